// SPDX-License-Identifier: MIT
#pragma once

#include "client/message/message_p.h"

#include <QtTest/qtest.h>

// Messages as the engine creates them from deliveries.
namespace AmqpQt::Test
{

using namespace Qt::StringLiterals;

inline DeliveryOrigin anOrigin()
{
    DeliveryOrigin origin;
    origin.exchange = u"amq.topic"_s;
    origin.routingKey = u"stock.nyse"_s;
    origin.exchangeBytes = "amq.topic"_ba;
    origin.routingKeyBytes = "stock.nyse"_ba;
    origin.consumerTag = u"consumer-1"_s;
    origin.incarnation = 3;
    origin.channelNumber = 7;
    return origin;
}

inline Message delivered(const QByteArray &body, const QByteArray &properties,
                         const DeliveryOrigin &origin = anOrigin(), quint64 deliveryTag = 42, bool redelivered = false)
{
    QExplicitlySharedDataPointer<const DeliveryOrigin> shared(new DeliveryOrigin(origin));
    return MessageAccess::makeDelivered(body, properties, shared, deliveryTag, redelivered);
}

inline QByteArray encoded(const Message &message)
{
    Error error;
    const QByteArray *properties = MessageAccess::encodedProperties(message, &error);
    return properties ? *properties : error.text().toUtf8();
}

// The message as its receiver would see it.
inline Message sent(const Message &message)
{
    return delivered(message.body(), encoded(message));
}

inline Message withHeaders(const FieldTable &headers)
{
    Message message;
    message.setHeaders(headers);
    return message;
}

} // namespace AmqpQt::Test
