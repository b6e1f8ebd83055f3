// SPDX-License-Identifier: MIT
#pragma once

#include "engine/connection/connectionengine_p.h"

#include <QtCore/qdebug.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <span>

// Passes bytes from the broker to the engine. Returns the number of bytes taken.
inline qsizetype feedEngine(AmqpQt::Engine::ConnectionEngine &engine, QByteArrayView bytes, AmqpQt::Engine::Time now)
{
    const std::span<char> space = engine.inputSpace();
    const qsizetype size = std::min(bytes.size(), qsizetype(space.size()));
    std::memcpy(space.data(), bytes.data(), size_t(size));
    engine.inputRead(size, now);
    return size;
}

// The events of an engine, with repeated deliveries made whole, as the client layer does it.
class EngineEvents
{
public:
    std::optional<AmqpQt::Engine::Event> next(AmqpQt::Engine::ConnectionEngine &engine)
    {
        using namespace AmqpQt::Engine;
        Event event;
        if (!engine.next(event))
            return std::nullopt;
        if (const auto *repeated = std::get_if<RepeatedDelivery>(&event)) {
            const auto before = m_before.find(repeated->consumer);
            if (before == m_before.end())
                qFatal("a repeated delivery is the first one of its consumer");
            ++m_repeated;
            Delivered delivered;
            delivered.consumer = repeated->consumer;
            delivered.message.exchange = before->second.exchange;
            delivered.message.routingKey = before->second.routingKey;
            delivered.message.properties = before->second.properties;
            delivered.message.deliveryTag = repeated->deliveryTag;
            delivered.message.redelivered = repeated->redelivered;
            delivered.message.body = repeated->body.toByteArray();
            return delivered;
        }
        if (const auto *delivered = std::get_if<Delivered>(&event)) {
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
