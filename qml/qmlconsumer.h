// SPDX-License-Identifier: MIT
#pragma once

#include "backoff.h"
#include "deliverycounter.h"
#include "qmlqueue.h"

#include <AmqpQt/channel.h>
#include <AmqpQt/consumer.h>

#include <QtCore/qbasictimer.h>
#include <QtQml/qqmlerror.h>

#include <optional>

namespace AmqpQt
{

class QmlConsumer : public AmqpQt::QmlElement
{
    Q_OBJECT
    Q_PROPERTY(AmqpQt::QmlQueue *queue READ queue WRITE setQueue RESET resetQueue NOTIFY changed)
    Q_PROPERTY(QString queueName READ queueName WRITE setQueueName RESET resetQueueName NOTIFY changed)
    Q_PROPERTY(bool active MEMBER m_active RESET resetActive NOTIFY changed)
    Q_PROPERTY(bool paused READ isPaused WRITE setPaused RESET resetPaused NOTIFY pausedChanged)
    Q_PROPERTY(AmqpQt::AckMode ackMode MEMBER m_ackMode RESET resetAckMode NOTIFY changed)
    Q_PROPERTY(int prefetch READ prefetch WRITE setPrefetch RESET resetPrefetch NOTIFY changed)
    Q_PROPERTY(bool exclusive MEMBER m_exclusive RESET resetExclusive NOTIFY changed)
    Q_PROPERTY(int priority MEMBER m_priority RESET resetPriority NOTIFY changed)
    Q_PROPERTY(
        QString consumerTag READ consumerTag WRITE setConsumerTag RESET resetConsumerTag NOTIFY consumerTagChanged)
    Q_PROPERTY(QVariant arguments READ arguments WRITE setArguments RESET resetArguments NOTIFY changed)
    Q_PROPERTY(bool resubscribe MEMBER m_resubscribe RESET resetResubscribe NOTIFY changed)
    Q_PROPERTY(int dispatchInterval READ dispatchInterval WRITE setDispatchInterval RESET resetDispatchInterval NOTIFY
                   dispatchIntervalChanged)
    Q_PROPERTY(bool subscribed READ isSubscribed NOTIFY subscribedChanged)
    Q_PROPERTY(double totalCount READ totalCount NOTIFY countsChanged)
    Q_PROPERTY(double rate READ rate NOTIFY countsChanged)
    Q_PROPERTY(int unackedCount READ unackedCount NOTIFY unackedCountChanged)
    QML_NAMED_ELEMENT(Consumer)
public:
    explicit QmlConsumer(QObject *parent = nullptr);
    ~QmlConsumer() override;

    QmlQueue *queue() const { return m_queue; }
    void setQueue(QmlQueue *queue);
    QString queueName() const;
    void setQueueName(const QString &name);
    bool isPaused() const { return m_paused; }
    void setPaused(bool paused);
    int prefetch() const { return m_prefetch; }
    void setPrefetch(int count);
    QString consumerTag() const;
    void setConsumerTag(const QString &tag);
    QVariant arguments() const { return m_arguments; }
    void setArguments(const QVariant &arguments);
    int dispatchInterval() const { return m_dispatchInterval; }
    void setDispatchInterval(int milliseconds);
    bool isSubscribed() const { return m_isSubscribed; }
    double totalCount() const { return m_counter.total(); }
    double rate() const { return m_counter.rate(); }
    const DeliveryCounter *counter() const { return &m_counter; }
    int unackedCount() const;

    void resetQueue() { setQueue(nullptr); }
    void resetQueueName() { setQueueName({}); }
    void resetActive() { reset(this, m_active, true); }
    void resetPaused() { setPaused(false); }
    void resetAckMode() { reset(this, m_ackMode, AckMode::Manual); }
    void resetPrefetch() { setPrefetch(100); }
    void resetExclusive() { reset(this, m_exclusive, false); }
    void resetPriority() { reset(this, m_priority, 0); }
    void resetConsumerTag() { setConsumerTag({}); }
    void resetArguments() { reset(this, m_arguments, {}); }
    void resetResubscribe() { reset(this, m_resubscribe, true); }
    void resetDispatchInterval() { setDispatchInterval(16); }

    Q_INVOKABLE bool ack(const AmqpQt::Message &message);
    Q_INVOKABLE bool nack(const AmqpQt::Message &message, const QVariant &requeue = {}); // not given: true
    Q_INVOKABLE bool reject(const AmqpQt::Message &message) { return nack(message, false); }

Q_SIGNALS:
    void changed();
    void pausedChanged();
    void consumerTagChanged();
    void dispatchIntervalChanged();
    void subscribedChanged();
    void countsChanged(); // at 4 Hz
    void unackedCountChanged();
    void delivered(const AmqpQt::Message &message);
    void batchDelivered(const QList<AmqpQt::Message> &messages);

protected:
    void connectionOpened() override;
    void connectionClosed() override;
    void connectNotify(const QMetaMethod &signal) override;
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

    void update(); // later, once for several changes
    void apply();
    std::optional<Subscription> wanted() const;
    void subscribe(const Subscription &wanted);
    void replace(const Subscription &wanted);
    void start(const Subscription &wanted);
    void end(QPointer<Consumer> &consumer, bool drains);
    void takeNext();
    void endAll();
    bool isEnding() const; // a cancellation is under way
    void onStarted(Consumer *consumer);
    void onStateChanged(Consumer *consumer, Consumer::State state);
    void onCancelled(Consumer *consumer, const Error &reason);
    void releaseEnded();
    void openChannel();
    void leaveChannel();
    void onChannelClosed(Channel *channel, const Error &reason);
    void dropChannels();
    void releaseUnseen();
    void setSubscribed(bool subscribed);
    void onChannelError(const Error &error);
    void failOnce(const QString &text);
    void onBatch(const Consumer *consumer, const QList<Message> &messages);
    void takeArrived();
    void dropUnseen();
    bool isHolding() const;
    void dispatch();
    void emitBatch();
    bool settle(const Message &message, bool acknowledge, Requeue requeue = Requeue::Yes);
    template <typename Emit>
    bool callHandlers(Emit emitSignal); // whether all of them returned
    void onWarnings(const QList<QQmlError> &warnings);
    void keepUnsettled(const QList<Message> &messages);
    void settleAfterDelivery(const Message &message);

    QPointer<QmlQueue> m_queue;
    QString m_queueName;
    QString m_consumerTag;
    QVariantMap m_arguments;
    AckMode m_ackMode = AckMode::Manual;
    int m_prefetch = 100;
    int m_priority = 0;
    int m_dispatchInterval = 16;
    bool m_active = true;
    bool m_paused = false;
    bool m_exclusive = false;
    bool m_resubscribe = true;

    QPointer<Channel> m_channel;               // for new subscriptions
    QList<QPointer<Channel>> m_formerChannels; // with unsettled deliveries
    QPointer<Consumer> m_consumer;
    QPointer<Consumer> m_nextConsumer;               // is starting, and then replaces m_consumer
    QList<QPointer<Consumer>> m_endingConsumers;     // until they are cancelled and their deliveries are settled
    Subscription m_subscription;                     // of m_consumer
    Subscription m_nextSubscription;                 // of m_nextConsumer
    std::optional<Subscription> m_endedSubscription; // ended by the broker, not to be repeated
    Backoff m_backoff;
    QList<Message> m_arrived;     // in this turn of the event loop, while several consumers share the channel
    QList<Message> m_held;        // no handler has seen these
    QList<Message> m_batch;       // for the next batchDelivered()
    bool m_isBatchNew = false;    // not emitted by delivered()
    bool m_holdsNoAck = false;    // among these three
    bool m_hasTakenNoAck = false; // from a subscription with AckMode::NoAck
    QList<Message> m_thrown;      // a handler has thrown; these stay unsettled until the subscription ends
    QList<int> m_throwDepths;     // of exceptions while the current signal is emitted, see callHandlers()
    bool m_isWatchingHandlers = false;
    bool m_isPending = false;
    bool m_isSubscribed = false;
    bool m_isDispatching = false;
    QBasicTimer m_batchTimer;
    DeliveryCounter m_counter;
};

} // namespace AmqpQt
