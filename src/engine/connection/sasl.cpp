// SPDX-License-Identifier: MIT
#include "engine/connection/sasl_p.h"

#include <QtCore/qendian.h>

namespace AmqpQt::Engine
{

Secret saslPlain(const QString &userName, QByteArrayView password)
{
    QByteArray response;
    const QByteArray user = userName.toUtf8();
    response.reserve(user.size() + password.size() + 2); // growing would leave a copy behind
    response.append('\0').append(user).append('\0').append(password);
    return Secret::fromBytes(std::move(response));
}

Secret saslAmqplain(const QString &userName, QByteArrayView password)
{
    constexpr QByteArrayView LoginKey("\x05LOGINS"); // the S is the type: a long string
    constexpr QByteArrayView PasswordKey("\x08PASSWORDS");
    const QByteArray user = userName.toUtf8();
    QByteArray response;
    response.reserve(LoginKey.size() + PasswordKey.size() + user.size() + password.size() + 2 * 4);
    const auto append = [&response](QByteArrayView key, QByteArrayView value) {
        char length[4];
        qToBigEndian(quint32(value.size()), length);
        response.append(key).append(length, sizeof length).append(value);
    };
    append(LoginKey, user);
    append(PasswordKey, password);
    return Secret::fromBytes(std::move(response));
}

Secret saslResponse(QByteArrayView mechanism, const QString &userName, QByteArrayView password)
{
    if (mechanism == QByteArrayView(SaslPlain))
        return saslPlain(userName, password);
    if (mechanism == QByteArrayView(SaslAmqplain))
        return saslAmqplain(userName, password);
    return {};
}

} // namespace AmqpQt::Engine
