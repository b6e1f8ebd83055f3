// SPDX-License-Identifier: MIT
#pragma once

#include "backoff.h"
#include "qmlqueue.h"

#include <AmqpQt/channel.h>
#include <AmqpQt/consumer.h>

#include <optional>

namespace AmqpQt
{

// The subscription that the properties of a Consumer element request.
struct SubscriptionSettings {
    QPointer<QmlQueue> queue;
    QString queueName; // if there is no queue element
    QString consumerTag;
    QVariantMap arguments;
    AckMode ackMode = AckMode::Manual;
    int prefetch = 100;
    int priority = 0;
    bool active = true;
    bool paused = false;
    bool exclusive = false;
    bool resubscribe = true;

    QString currentQueueName() const { return queue ? queue->declaredName() : queueName; }
    // Without a limit the broker would go on sending during a pause.
    bool endsForPause() const { return ackMode == AckMode::NoAck || prefetch == 0; }
};

// Keeps the subscription of a Consumer element at the broker in accordance with its settings: subscribes, replaces the
// subscription when a setting changes, subscribes again after a failure, and settles deliveries on the right channel.
//
// Any signal may delete it with its element.
class Subscriber : public QObject
{
    Q_OBJECT
public:
    explicit Subscriber(const SubscriptionSettings &settings);
    ~Subscriber() override;

    void start(QmlConnection *connection); // called with an open connection
    void stop();                           // called when the connection is closed
    void connectionRecovered();
    void renameQueue(const QString &oldName, const QString &newName); // by the broker
    void update();                                                    // takes effect later, once for several changes
    // Called when the settings have changed. Tries again even if the broker has ended the same subscription before.
    void retry();

    QString consumerTag() const; // of the current subscription, if there is one
    bool isSubscribed() const { return m_isSubscribed; }
    int unackedCount() const;
    bool hasChannel() const { return m_channel || !m_formerChannels.isEmpty(); }
    const Channel *channel() const { return m_channel; } // the channel of new subscriptions
    bool hasSeveralConsumers() const;                    // true while one subscription replaces another
    bool settle(const Message &message, bool acknowledge, Requeue requeue = Requeue::Yes);

Q_SIGNALS:
    void delivered(const AmqpQt::Consumer *consumer, const QList<AmqpQt::Message> &messages);
    void aboutToEnd();  // emitted before deliveries that no handler has seen go back to the queue
    void channelLost(); // the unsettled deliveries are lost with it, as they are with the connection
    void succeeded();
    void failed(const QString &text);
    void attemptFailed(const QString &text); // may be emitted many times with the same text
    void subscribedChanged();
    void unackedCountChanged();
    void consumerTagChanged();

protected:
    void timerEvent(QTimerEvent *event) override;

private:
    // The arguments of a subscription. It is replaced when one of them changes.
    struct Subscription {
        QString queue;
        QString consumerTag;
        QVariantMap arguments;
        int priority = 0;
        quint16 prefetch = 0;
        bool isNoAck = false;
        bool isExclusive = false;
        bool isResubscribing = false;
        bool operator==(const Subscription &) const = default;
    };

    void apply();
    void endUnwanted();
    std::optional<Subscription> wanted() const;
    void subscribe(const Subscription &wanted);
    void replace(const Subscription &wanted);
    void consume(const Subscription &wanted);
    void end(QPointer<Consumer> &consumer, bool drains);
    void takeNext();
    void endAll();
    bool isEnding() const; // a cancellation is under way
    void onStarted(Consumer *consumer);
    void onStateChanged(Consumer *consumer, Consumer::State state);
    void onSuspended(const Consumer *consumer);
    void onWaiting(Consumer *consumer);
    void onCancelled(Consumer *consumer, const Error &reason);
    void onRefused(const Error &reason, const QString &queue);
    void onBatch(const Consumer *consumer, const QList<Message> &messages);
    void releaseEnded();
    void openChannel();
    void leaveChannel();
    void onChannelClosed(Channel *channel, const Error &reason);
    void onChannelError(const Error &error);
    void setSubscribed(bool subscribed);

    const SubscriptionSettings &m_settings;
    QPointer<QmlConnection> m_connection;      // set while it is open or recovers
    QPointer<Channel> m_channel;               // for new subscriptions
    QList<QPointer<Channel>> m_formerChannels; // the previous channels with unsettled deliveries
    QPointer<Consumer> m_consumer;
    QPointer<Consumer> m_nextConsumer;               // is starting, and then replaces m_consumer
    QList<QPointer<Consumer>> m_endingConsumers;     // kept until they are cancelled and their deliveries are settled
    Subscription m_subscription;                     // the subscription of m_consumer
    Subscription m_nextSubscription;                 // the subscription of m_nextConsumer
    std::optional<Subscription> m_endedSubscription; // ended by the broker, not to be repeated
    Backoff m_backoff;
    bool m_hasTakenNoAck = false; // deliveries from a subscription with AckMode::NoAck
    bool m_isPending = false;
    bool m_isSubscribed = false;
};

} // namespace AmqpQt
