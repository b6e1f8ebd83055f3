// SPDX-License-Identifier: MIT
#pragma once

#include "engine/connectionengine_p.h"

#include <QtCore/qdebug.h>

#include <map>

// Merges both ways in which the engine reports deliveries, as the client layer does.
class EngineEvents
{
public:
    std::optional<AmqpQt::Engine::Event> next(AmqpQt::Engine::ConnectionEngine &engine)
    {
        using namespace AmqpQt::Engine;
        if (RepeatedDelivery repeated; engine.nextRepeated(repeated)) {
            const auto before = m_before.find(repeated.consumer);
            if (before == m_before.end())
                qFatal("a repeated delivery is the first one of its consumer");
            ++m_repeated;
            Delivered delivered;
            delivered.consumer = repeated.consumer;
            delivered.message.exchange = before->second.exchange;
            delivered.message.routingKey = before->second.routingKey;
            delivered.message.properties = before->second.properties;
            delivered.message.deliveryTag = repeated.deliveryTag;
            delivered.message.redelivered = repeated.redelivered;
            delivered.message.body = repeated.body.toByteArray();
            return delivered;
        }
        std::optional<Event> event = engine.next();
        if (const auto *delivered = event ? std::get_if<Delivered>(&*event) : nullptr) {
            const ReceivedMessage &message = delivered->message;
            m_before[delivered->consumer] = {message.exchange.toByteArray(), message.routingKey.toByteArray(),
                                             message.properties};
        }
        return event;
    }
    int repeatedCount() const { return m_repeated; }

private:
    struct Before // the fields that a repeated delivery omits
    {
        QByteArray exchange;
        QByteArray routingKey;
        QByteArray properties;
    };
    std::map<const AmqpQt::Engine::ConsumerEntry *, Before> m_before;
    int m_repeated = 0;
};
