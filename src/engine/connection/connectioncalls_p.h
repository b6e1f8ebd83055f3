// SPDX-License-Identifier: MIT
#pragma once

#include "engine/event_p.h"

#include <AmqpQt/error.h>

#include <QtCore/qbytearrayview.h>
#include <QtCore/qlist.h>
#include <QtCore/qstring.h>

namespace AmqpQt::Engine
{

class ChannelHost;

// Makes the calls of a connection itself, on channel 0, which the broker answers in order.
class ConnectionCalls
{
public:
    explicit ConnectionCalls(ChannelHost &host)
        : m_host(host)
    {
    }

    Result<CallId> updateSecret(QByteArrayView newSecret, const QString &reason); // connection.update-secret
    void onUpdateSecretOk();

    bool areAnswered() const noexcept { return m_sent.isEmpty(); }
    void start() noexcept { m_isClosing = false; } // for a new connection
    void close() noexcept { m_isClosing = true; }  // new calls are rejected; those made before are still answered
    void end(const Error &callError); // finishes the calls that the end of the connection leaves unanswered

private:
    ChannelHost &m_host;
    QList<CallId> m_sent;
    bool m_isClosing = false;
};

} // namespace AmqpQt::Engine
