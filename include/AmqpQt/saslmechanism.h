// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/global.h>

#include <QtCore/qbytearray.h>

#include <optional>

namespace AmqpQt
{

// A SASL mechanism of the application. A connection calls the responses in its thread, from the event loop.
class AMQPQT_EXPORT SaslMechanism
{
    Q_DISABLE_COPY_MOVE(SaslMechanism)
public:
    SaslMechanism();
    virtual ~SaslMechanism();

    virtual QByteArray name() const = 0; // as the broker lists it, such as "RABBIT-CR-DEMO"
    virtual QByteArray initialResponse() = 0;
    virtual std::optional<QByteArray> respond(const QByteArray &challenge) = 0; // std::nullopt ends the attempt
};

} // namespace AmqpQt
