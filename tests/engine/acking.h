// SPDX-License-Identifier: MIT
#pragma once

#include "support/script.h"

// A dialogue in which the consumer "tag" of a channel gets deliveries and acknowledges them.
struct Acking {
    explicit Acking(const QByteArray &serverProperties = encodedServerProperties())
    {
        s.openTo(serverProperties);
        channel = &s.openChannel();
        consumer = s.subscribe(*channel, QStringLiteral("tag"));
    }
    void deliver(quint64 first, quint64 last)
    {
        for (quint64 tag = first; tag <= last; ++tag)
            s.deliver("tag", tag).expectEvent<Engine::Delivered>();
    }
    bool ack(quint64 tag) { return channel->deliveries().ack(tag).count; }

    Script s;
    Engine::ChannelEngine *channel = nullptr;
    std::shared_ptr<Engine::ConsumerEntry> consumer;
};
