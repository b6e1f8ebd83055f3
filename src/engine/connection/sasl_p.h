// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qbytearray.h>
#include <QtCore/qbytearrayview.h>
#include <QtCore/qstring.h>

namespace AmqpQt::Engine
{

inline constexpr char SaslPlain[] = "PLAIN";

// RFC 4616: no authorization identity, NUL, user name, NUL, password, all UTF-8.
inline QByteArray saslPlain(const QString &userName, QByteArrayView password)
{
    QByteArray response;
    const QByteArray user = userName.toUtf8();
    response.reserve(user.size() + password.size() + 2);
    response.append('\0').append(user).append('\0').append(password);
    return response;
}

} // namespace AmqpQt::Engine
