// SPDX-License-Identifier: MIT
#include "client/message/messageproperties_p.h"

#include "wire/contentheader_p.h"
#include "wire/fieldtable_p.h"

#include <array>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

namespace
{

struct StringProperty {
    QLatin1String name;
    Wire::PropertyFlag flag;
    Wire::ShortString Wire::BasicProperties::*onWire;
    QString MessageProperties::*value;
};

using Wire::BasicProperties;

constexpr std::array StringProperties{
    StringProperty{"contentType"_L1, Wire::ContentTypeFlag, &BasicProperties::contentType,
                   &MessageProperties::contentType},
    StringProperty{"contentEncoding"_L1, Wire::ContentEncodingFlag, &BasicProperties::contentEncoding,
                   &MessageProperties::contentEncoding},
    StringProperty{"correlationId"_L1, Wire::CorrelationIdFlag, &BasicProperties::correlationId,
                   &MessageProperties::correlationId},
    StringProperty{"replyTo"_L1, Wire::ReplyToFlag, &BasicProperties::replyTo, &MessageProperties::replyTo},
    StringProperty{"expiration"_L1, Wire::ExpirationFlag, &BasicProperties::expiration, &MessageProperties::expiration},
    StringProperty{"messageId"_L1, Wire::MessageIdFlag, &BasicProperties::messageId, &MessageProperties::messageId},
    StringProperty{"type"_L1, Wire::TypeFlag, &BasicProperties::type, &MessageProperties::type},
    StringProperty{"userId"_L1, Wire::UserIdFlag, &BasicProperties::userId, &MessageProperties::userId},
    StringProperty{"appId"_L1, Wire::AppIdFlag, &BasicProperties::appId, &MessageProperties::appId},
    StringProperty{"clusterId"_L1, Wire::ClusterIdFlag, &BasicProperties::clusterId, &MessageProperties::clusterId},
};

void setPresent(BasicProperties &onWire, Wire::PropertyFlag flag, bool present)
{
    onWire.flags = quint16(present ? onWire.flags | flag : onWire.flags & ~flag);
}

// Returns the well-formed properties before the first error.
BasicProperties view(QByteArrayView encoded)
{
    BasicProperties onWire;
    Wire::decodeProperties(encoded, onWire);
    return onWire;
}

} // namespace

MessageProperties decodeProperties(QByteArrayView encoded)
{
    const BasicProperties onWire = view(encoded);
    MessageProperties values;
    for (const StringProperty &property : StringProperties) {
        if (onWire.has(property.flag))
            values.*property.value = Wire::decodeText(onWire.*property.onWire);
    }
    if (onWire.has(Wire::TimestampFlag))
        values.timestamp = onWire.timestamp;
    if (onWire.has(Wire::PriorityFlag))
        values.priority = onWire.priority;
    if (onWire.has(Wire::DeliveryModeFlag) && onWire.deliveryMode == quint8(DeliveryMode::Persistent))
        values.deliveryMode = DeliveryMode::Persistent;
    return values;
}

FieldTable decodeHeaders(QByteArrayView encoded)
{
    const QByteArrayView contents = encodedHeaders(encoded);
    return Wire::checkTable(contents) ? FieldTable() : Wire::decodeTable(contents);
}

QVariant decodeHeader(QByteArrayView encoded, const QString &name)
{
    const QByteArrayView value = Wire::findValue(encodedHeaders(encoded), textToBytes(name));
    if (value.isEmpty())
        return {};
    QByteArray table(1, '\0'); // with an empty key
    table.append(value);
    return Wire::checkTable(table) ? QVariant() : Wire::decodeTable(table).first();
}

QByteArrayView encodedHeaders(QByteArrayView encoded)
{
    return view(encoded).headers.contents;
}

const char *checkHeaders(QByteArrayView encoded)
{
    BasicProperties onWire;
    const char *wrong = Wire::decodeProperties(encoded, onWire);
    return wrong ? wrong : Wire::checkTable(onWire.headers.contents);
}

Result<QByteArray> replaceProperties(QByteArrayView encoded, quint16 changed, const MessageProperties &values,
                                     const FieldTable &headers)
{
    BasicProperties onWire;
    if (const char *wrong = Wire::decodeProperties(encoded, onWire))
        return Error(ErrorKind::InvalidArgument,
                     u"message: the properties were malformed when the message was received (%1); "
                     "the message can only be published unchanged"_s.arg(QLatin1StringView(wrong)));

    std::array<QByteArray, StringProperties.size()> utf8;
    for (size_t i = 0; i < StringProperties.size(); ++i) {
        const StringProperty &property = StringProperties[i];
        if (!(changed & property.flag))
            continue;
        Result<QByteArray> text = Wire::encodeShortText(property.name, values.*property.value, Wire::NotUtf8::Allowed);
        if (!text)
            return text;
        utf8[i] = std::move(text).value();
        onWire.*property.onWire = QByteArrayView(utf8[i]);
        setPresent(onWire, property.flag, !utf8[i].isEmpty());
    }

    Result<QByteArray> table{QByteArray()};
    if (changed & Wire::HeadersFlag) {
        table = Wire::encodeTable(headers, u"headers");
        if (!table)
            return table;
        onWire.headers.contents = *table;
        setPresent(onWire, Wire::HeadersFlag, !headers.isEmpty());
    }
    if (changed & Wire::TimestampFlag) {
        onWire.timestamp = values.timestamp.value_or(0);
        setPresent(onWire, Wire::TimestampFlag, values.timestamp.has_value());
    }
    if (changed & Wire::PriorityFlag) {
        onWire.priority = quint8(values.priority);
        setPresent(onWire, Wire::PriorityFlag, values.priority >= 0);
    }
    if (changed & Wire::DeliveryModeFlag) {
        onWire.deliveryMode = quint8(values.deliveryMode);
        setPresent(onWire, Wire::DeliveryModeFlag, true);
    }
    return Wire::encodeProperties(onWire);
}

} // namespace AmqpQt
