// SPDX-License-Identifier: MIT
#pragma once

#include "base/secret_p.h"

#include <QtCore/qbytearrayview.h>
#include <QtCore/qstring.h>

// The SASL mechanisms that the engine knows.
namespace AmqpQt::Engine
{

inline constexpr char SaslPlain[] = "PLAIN";
inline constexpr char SaslAmqplain[] = "AMQPLAIN";
inline constexpr char SaslExternal[] = "EXTERNAL";   // the broker takes the user from the client's certificate
inline constexpr char SaslAnonymous[] = "ANONYMOUS"; // RFC 4505; the broker has a user for such clients

inline bool sendsPassword(QByteArrayView mechanism)
{
    return mechanism == QByteArrayView(SaslPlain) || mechanism == QByteArrayView(SaslAmqplain);
}

// RFC 4616: no authorization identity, NUL, user name, NUL, password, all UTF-8.
Secret saslPlain(const QString &userName, QByteArrayView password);

// A field table with LOGIN and PASSWORD, without the length in front of it.
Secret saslAmqplain(const QString &userName, QByteArrayView password);

// Returns the initial response of one of these mechanisms. That of EXTERNAL and ANONYMOUS is empty.
Secret saslResponse(QByteArrayView mechanism, const QString &userName, QByteArrayView password);

} // namespace AmqpQt::Engine
