// SPDX-License-Identifier: MIT
#include "engine/arguments/knownproperties_p.h"

#include "wire/contentheader_p.h"
#include "wire/fieldtable_p.h"

#include <algorithm>

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

namespace
{

constexpr qint64 LongestExpiration = 315'360'000'000; // ten years in milliseconds

// RabbitMQ parses an expiration as digits, with or without a sign.
bool isExpiration(QByteArrayView text)
{
    const bool isNegative = text.startsWith('-');
    if (isNegative || text.startsWith('+'))
        text = text.sliced(1);
    if (text.isEmpty() || !std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; }))
        return false;
    bool isNumber = false; // also false if the number needs more than 64 bits
    const qint64 milliseconds = text.toByteArray().toLongLong(&isNumber);
    return isNumber && milliseconds <= (isNegative ? 0 : LongestExpiration);
}

Error invalid(const QString &text)
{
    return Error(ErrorKind::InvalidArgument, text);
}

} // namespace

Error checkProperties(QByteArrayView properties, bool checksUserId, const QString &userName)
{
    constexpr quint16 Checked = Wire::ExpirationFlag | Wire::HeadersFlag | Wire::UserIdFlag;
    if (!(qFromBigEndian<quint16>(properties.data()) & Checked))
        return {};
    Wire::BasicProperties values;
    Wire::decodeProperties(properties, values);
    if (values.has(Wire::ExpirationFlag) && !isExpiration(values.expiration)) {
        return invalid(
            u"expiration: \"%1\" is out of range; the range is 0 to %2 ms"_s.arg(Wire::decodeText(values.expiration))
                .arg(LongestExpiration));
    }
    if (checksUserId && values.has(Wire::UserIdFlag) && Wire::decodeText(values.userId) != userName) {
        return invalid(u"userId: \"%1\" is not the user of this connection, \"%2\" (see "
                       "ConnectionParameters::setChecksUserId())"_s.arg(Wire::decodeText(values.userId), userName));
    }
    if (values.has(Wire::HeadersFlag)) {
        for (const char *name : {"CC", "BCC"}) {
            const QByteArrayView value = Wire::findValue(values.headers.contents, name);
            if (!value.isEmpty() && value.front() != 'A')
                return invalid(u"headers: \"%1\" must be a list of routing keys"_s.arg(QLatin1StringView(name)));
        }
    }
    return {};
}

bool asksForDirectReply(QByteArrayView properties)
{
    if (!(qFromBigEndian<quint16>(properties.data()) & Wire::ReplyToFlag))
        return false;
    Wire::BasicProperties values;
    Wire::decodeProperties(properties, values);
    return values.has(Wire::ReplyToFlag) && QByteArrayView(values.replyTo) == QByteArrayView(DirectReplyTo);
}

} // namespace AmqpQt::Engine
