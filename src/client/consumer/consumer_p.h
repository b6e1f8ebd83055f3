// SPDX-License-Identifier: MIT
#pragma once

#include "client/channel/channel_p.h"

#include <AmqpQt/consumer.h>

#include <atomic>
#include <memory>
#include <vector>

namespace AmqpQt
{

class ConsumerPrivate : public Engine::ConsumerClient
{
public:
    using State = Consumer::State;
    static constexpr quint16 DefaultPrefetch = 100;

    ConsumerPrivate(Consumer *consumer, ChannelPrivate *channelPrivate, const QString &queueName,
                    const ConsumeOptions &consumeOptions);
    ~ConsumerPrivate();

    void start(); // sends basic.consume; called again after a reopen
    void startFailed(const Error &reason);
    Reply<int> cancel(bool drains);
    void deliver(Engine::ReceivedMessage &received);
    void deliver(const Engine::RepeatedDelivery &repeated,
                 Message &spare); // reuses the memory of `spare` if possible
    void emitBatch();
    void emitCounts();
    void settled(int count); // reduces the count of unsettled deliveries
    void recountUnacked();

    // The subscription ended.
    void onCancelled(const Error &reason, int returned = 0);
    void onCancelledByBroker(const Engine::ConsumerEntry *subscription, const Error &reason);
    // A slot was connected to a delivery signal, maybe in another thread.
    void onConnected();
    void onDisconnected() { m_listenersChanged.store(true, std::memory_order_relaxed); }
    void onSuspended(); // the connection was lost
    void renameQueue(const QHash<QString, QString> &newNames);
    // Whether basic.consume is sent, or will be without a call of start().
    bool isStarting() const
    {
        return state == State::Starting || (state == State::Recovering && entry && !waitsForQueue);
    }
    void onChannelClosed(const Error &reason, bool couldNotStart);
    void channelDestroyed(const Error &gone); // the channel, or its connection

    Consumer *const q;
    ChannelPrivate *channel; // null after the channel or its connection was destroyed
    QString queue;
    ConsumeOptions options;                       // contain the final consumer tag
    const quint64 serial;                         // in order of creation within the channel; 0 without a channel
    std::shared_ptr<Engine::ConsumerEntry> entry; // set while the engine knows the subscription
    // Subscriptions that the broker has ended but whose deliveries are still unsettled.
    std::vector<std::shared_ptr<Engine::ConsumerEntry>> previousSubscriptions;
    std::atomic<qint64> deliveredCount = 0; // the last reported count
    Promise<void> started;
    std::unique_ptr<Promise<int>> cancelled; // cancel() or drain() was called
    State state = State::Starting;
    int unackedCount = 0;
    bool waitsForQueue = false; // cancelled by the broker; resubscribes once the queue exists

private:
    void setState(State newState);
    void releasePreviousSubscriptions();
    void awaitStart();
    void onStarted();
    int requeueBatch();
    void noteCounts();
    void makeRepeated(const Engine::RepeatedDelivery &repeated, Message &message) const;
    void emitDelivery(const Message &message);
    void emitOrKeepDelivery(const Message &message);
    void updateListeners();
    void emitKeptDeliveries();
    void waitForQueue();
    void checkQueue();
    void checkQueueLater();
    void onQueueChecked(const Result<QueueInfo> &found);
    template <typename Emit>
    void emitAndAck(const QList<Message> &messages, Emit emitSignal);
    void emitPendingSignals();
    void defer(std::function<void()> action);
    template <typename T>
    void finishLater(const Promise<T> &promise, const Result<T> &result);
    bool isEnded() const { return state == State::Cancelled; }

    std::atomic<bool> m_listenersChanged = true;
    bool m_hasListener = false;      // whether delivered() is connected
    bool m_hasBatchListener = false; // whether batchDelivered() is connected
    bool m_batchIsUnseen = true;     // the messages of the batch were not emitted by delivered()
    bool m_batchNoted = false;
    bool m_countsNoted = false;
    bool m_warnedOfMissingReceiver = false;
    bool m_hasStarted = false;    // the consumer has been started at least once
    quint32 m_listenersSlice = 0; // the slice in which the connections were checked
    int m_reportedUnackedCount = 0;
    std::chrono::duration<int, std::milli> m_queueCheckDelay{0};
    qint64 m_deliveredCount = 0;
    QExplicitlySharedDataPointer<const DeliveryOrigin> m_origin; // of the previous delivery
    QByteArray m_properties;                                     // of the previous delivery
    QList<Message> m_batch;
};

} // namespace AmqpQt
