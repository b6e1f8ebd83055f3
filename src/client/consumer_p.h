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
    void countUnackedAgain();

    // The subscription ended.
    void onCancelled(const Error &reason, int returned = 0);
    void onCancelledByBroker(const Error &reason);
    void onConnected(); // a slot, to one of the signals that tell deliveries
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
    bool waitsForQueue = false; // cancelled by the broker: subscribes again once the queue is there
    Promise<void> started;
    std::optional<Promise<int>> cancelled;

private:
    void setState(State newState);
    void onStarted();
    int returnBatch();
    void noteUnacked();
    void tellKept();
    void askForQueue();
    void askForQueueLater();
    template <typename Emit>
    void tell(const QList<Message> &messages, Emit emitSignal);
    void tellWhatIsLeft();
    void defer(std::function<void()> action);
    template <typename T>
    void finishLater(const Promise<T> &promise, const Result<T> &result);
    bool isEnded() const { return state == State::Cancelled; }

    QExplicitlySharedDataPointer<const DeliveryOrigin> m_origin; // of the delivery before
    QList<Message> m_batch;
    bool m_batchIsNew = true;     // its messages were not told by delivered() as well
    bool m_batchNoted = false;
    std::chrono::milliseconds m_askDelay{0};
    int m_toldUnackedCount = 0;
    bool m_unackedNoted = false;
    bool m_warnedOfNobody = false;
};

} // namespace AmqpQt
