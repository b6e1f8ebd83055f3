// SPDX-License-Identifier: MIT
#pragma once

#include "client/channel_p.h"

#include <AmqpQt/consumer.h>

namespace AmqpQt {

class ConsumerPrivate
{
public:
    using State = Consumer::State;

    ConsumerPrivate(Consumer *consumer, ChannelPrivate *channelPrivate, const QString &queueName, const ConsumeOptions &consumeOptions,
                    quint64 serialNumber);
    ~ConsumerPrivate();

    void start(); // basic.consume, also after a reopen
    void startFailed(const Error &reason);
    Reply<int> cancel();
    void deliver(Engine::ReceivedMessage &received);
    void emitBatch();
    void emitUnackedCount();
    void settled(); // one delivery less

    // The subscription ended.
    void onCancelled(const Error &reason, int returned = 0);
    void onChannelClosed(const Error &reason, bool couldNotStart);
    void channelGone(const Error &gone); // the channel, or its connection

    Consumer *const q;
    ChannelPrivate *channel; // null once it, or its connection, is gone
    QString queue;
    ConsumeOptions options; // with the tag
    quint64 serial;
    std::shared_ptr<Engine::ConsumerEntry> entry; // while the engine knows the subscription
    State state = State::Starting;
    int unackedCount = 0;
    Promise<void> started;
    std::optional<Promise<int>> cancelled;

private:
    void setState(State newState);
    void onStarted();
    int returnBatch();
    void noteUnacked();
    void tellWhatIsLeft();
    void defer(std::function<void()> action);
    template <typename T>
    void finishLater(const Promise<T> &promise, const Result<T> &result);
    bool isEnded() const { return state == State::Cancelled; }

    QExplicitlySharedDataPointer<const DeliveryOrigin> m_origin; // of the delivery before
    QList<Message> m_batch;
    bool m_batchIsNew = true;     // its messages were not told by delivered() as well
    int m_toldUnackedCount = 0;
    bool m_unackedNoted = false;
    bool m_warnedOfNobody = false;
};

} // namespace AmqpQt
