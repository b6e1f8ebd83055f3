// SPDX-License-Identifier: MIT
#pragma once

#include "engine/connectionengine_p.h"

#include <QtCore/qdebug.h>

// Both ways in which the engine tells deliveries as one: what the client layer makes of them.
class EngineEvents
{
public:
    std::optional<AmqpQt::Engine::Event> next(AmqpQt::Engine::ConnectionEngine &engine)
    {
        using namespace AmqpQt::Engine;
        if (RepeatedDelivery repeated; engine.nextRepeated(repeated)) {
            if (repeated.consumer != m_last.consumer)
                qFatal("a repeated delivery is for another consumer than the one before");
            ++m_repeated;
            m_last.message.deliveryTag = repeated.deliveryTag;
            m_last.message.redelivered = repeated.redelivered;
            Delivered delivered = m_last;
            delivered.message.body = repeated.body.toByteArray();
            return delivered;
        }
        std::optional<Event> event = engine.next();
        if (const auto *delivered = event ? std::get_if<Delivered>(&*event) : nullptr) {
            m_last = *delivered;
            m_last.message.body = QByteArray(); // it is not ours to keep
            m_exchange = delivered->message.exchange.toByteArray();
            m_routingKey = delivered->message.routingKey.toByteArray();
            m_last.message.exchange = m_exchange;
            m_last.message.routingKey = m_routingKey;
        }
        return event;
    }
    int repeatedCount() const { return m_repeated; }

private:
    AmqpQt::Engine::Delivered m_last;
    QByteArray m_exchange;
    QByteArray m_routingKey;
    int m_repeated = 0;
};
