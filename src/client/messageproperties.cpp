// SPDX-License-Identifier: MIT
#include "client/messageproperties_p.h"

#include "wire/contentheader_p.h"
#include "wire/fieldtable_p.h"

#include <array>

namespace AmqpQt {

using namespace Qt::StringLiterals;

namespace {

struct StringProperty
{
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

// None if they are malformed: the decoder of content headers has refused such a message before it comes here.
BasicProperties view(QByteArrayView encoded)
{
    BasicProperties onWire;
    if (Wire::decodeProperties(encoded, onWire))
        return {};
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
    const BasicProperties onWire = view(encoded);
    return onWire.has(Wire::HeadersFlag) ? Wire::decodeTable(onWire.headers.contents) : FieldTable();
}

Result<QByteArray> replaceProperties(QByteArrayView encoded, quint16 changed, const MessageProperties &values,
                                     const FieldTable &headers)
{
    BasicProperties onWire = view(encoded);

    std::array<QByteArray, StringProperties.size()> utf8;
    for (size_t i = 0; i < StringProperties.size(); ++i) {
        const StringProperty &property = StringProperties[i];
        if (!(changed & property.flag))
            continue;
        Result<QByteArray> text = Wire::encodeShortText(property.name, values.*property.value);
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
