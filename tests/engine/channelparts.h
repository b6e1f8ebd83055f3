// SPDX-License-Identifier: MIT
#pragma once

#include "support/script.h"

#include <QtTest/qtest.h>

// The parts of a channel as ChannelEngine connects them, but separate from it, so that a test calls them itself. They
// belong to an open channel, which sends their methods, and share its calls and consumers.
struct ChannelParts {
    explicit ChannelParts(const Engine::Settings &settings = Script::defaultSettings())
        : s(settings)
        , channel(opened(s))
    {
    }

    // Returns a call as the channel has sent it, which the next reply of its kind answers.
    template <typename Method>
    Engine::CallId sent(Engine::CallId id)
    {
        calls.sent(Engine::ChannelCall::of(id, Method{}));
        s.expectSent<Method>();
        return id;
    }
    // An active consumer, whose client is the script.
    std::shared_ptr<Engine::ConsumerEntry> addConsumer(const QByteArray &tag, bool noAck = false)
    {
        auto consumer = std::make_shared<Engine::ConsumerEntry>();
        consumer->tag = tag;
        consumer->client = &s;
        consumer->state = Engine::ConsumerEntry::State::Active;
        consumer->isSent = true;
        consumer->noAck = noAck;
        consumers.insert(consumer);
        return consumer;
    }

    Script s;
    Engine::ChannelEngine &channel;
    Engine::CallQueue &calls = channel.callQueue();
    Engine::ConsumerTable &consumers = channel.consumers();
    Engine::TopologyCalls topology{channel};
    Engine::Deliveries deliveries{channel};
    Engine::Publishing publishing{channel};
    Engine::Subscriptions subscriptions{channel, topology, publishing};
    Engine::ContentReceiver contents{channel, deliveries, publishing, subscriptions};

private:
    static Engine::ChannelEngine &opened(Script &s)
    {
        s.checksRules = false; // the broker knows nothing of the consumers and deliveries that a test adds
        s.open();
        return s.openChannel();
    }
};
