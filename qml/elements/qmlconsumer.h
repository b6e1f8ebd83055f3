// SPDX-License-Identifier: MIT
#pragma once

#include "deliverycounter.h"
#include "handlerwatch.h"
#include "qmlelement.h"
#include "subscriber.h"

#include <QtCore/qbasictimer.h>

namespace AmqpQt
{

class QmlConsumer : public AmqpQt::QmlElement
{
    Q_OBJECT
    Q_PROPERTY(AmqpQt::QmlQueue *queue READ queue WRITE setQueue RESET resetQueue NOTIFY changed)
    Q_PROPERTY(QString queueName READ queueName WRITE setQueueName RESET resetQueueName NOTIFY queueNameChanged)
    Q_PROPERTY(bool active READ isActive WRITE setActive RESET resetActive NOTIFY changed)
    Q_PROPERTY(bool paused READ isPaused WRITE setPaused RESET resetPaused NOTIFY pausedChanged)
    Q_PROPERTY(AmqpQt::AckMode ackMode READ ackMode WRITE setAckMode RESET resetAckMode NOTIFY changed)
    Q_PROPERTY(int prefetch READ prefetch WRITE setPrefetch RESET resetPrefetch NOTIFY changed)
    Q_PROPERTY(bool exclusive READ isExclusive WRITE setExclusive RESET resetExclusive NOTIFY changed)
    Q_PROPERTY(int priority READ priority WRITE setPriority RESET resetPriority NOTIFY changed)
    Q_PROPERTY(
        QString consumerTag READ consumerTag WRITE setConsumerTag RESET resetConsumerTag NOTIFY consumerTagChanged)
    Q_PROPERTY(QVariant arguments READ arguments WRITE setArguments RESET resetArguments NOTIFY changed)
    Q_PROPERTY(bool resubscribe READ resubscribes WRITE setResubscribe RESET resetResubscribe NOTIFY changed)
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

    QmlQueue *queue() const { return m_settings.queue; }
    void setQueue(QmlQueue *queue);
    QString queueName() const { return m_settings.currentQueueName(); }
    void setQueueName(const QString &name);
    bool isActive() const { return m_settings.active; }
    void setActive(bool active) { set(m_settings.active, active); }
    bool isPaused() const { return m_settings.paused; }
    void setPaused(bool paused);
    AckMode ackMode() const { return m_settings.ackMode; }
    void setAckMode(AckMode mode) { set(m_settings.ackMode, mode); }
    int prefetch() const { return m_settings.prefetch; }
    void setPrefetch(int count);
    bool isExclusive() const { return m_settings.exclusive; }
    void setExclusive(bool exclusive) { set(m_settings.exclusive, exclusive); }
    int priority() const { return m_settings.priority; }
    void setPriority(int priority) { set(m_settings.priority, priority); }
    QString consumerTag() const;
    void setConsumerTag(const QString &tag);
    QVariant arguments() const { return m_settings.arguments; }
    void setArguments(const QVariant &arguments);
    bool resubscribes() const { return m_settings.resubscribe; }
    void setResubscribe(bool resubscribe) { set(m_settings.resubscribe, resubscribe); }
    int dispatchInterval() const { return m_dispatchInterval; }
    void setDispatchInterval(int milliseconds);
    bool isSubscribed() const { return m_subscriber.isSubscribed(); }
    double totalCount() const { return m_counter.total(); }
    double rate() const { return m_counter.rate(); }
    const DeliveryCounter *counter() const { return &m_counter; }
    int unackedCount() const { return m_subscriber.unackedCount(); }

    void resetQueue() { setQueue(nullptr); }
    void resetQueueName() { setQueueName({}); }
    void resetActive() { setActive(true); }
    void resetPaused() { setPaused(false); }
    void resetAckMode() { setAckMode(AckMode::Manual); }
    void resetPrefetch() { setPrefetch(100); }
    void resetExclusive() { setExclusive(false); }
    void resetPriority() { setPriority(0); }
    void resetConsumerTag() { setConsumerTag({}); }
    void resetArguments() { set(m_settings.arguments, {}); }
    void resetResubscribe() { setResubscribe(true); }
    void resetDispatchInterval() { setDispatchInterval(16); }

    Q_INVOKABLE bool ack(const AmqpQt::Message &message);
    Q_INVOKABLE bool nack(const AmqpQt::Message &message, const QVariant &requeue = {}); // true if not given
    Q_INVOKABLE bool reject(const AmqpQt::Message &message) { return nack(message, false); }

Q_SIGNALS:
    void changed();
    void queueNameChanged();
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
    void queueRenamed(const QString &oldName, const QString &newName) override;
    void connectionRecovered(const RecoveryReport &report) override;
    void connectNotify(const QMetaMethod &signal) override;
    void timerEvent(QTimerEvent *event) override;

private:
    template <typename T>
    void set(T &setting, const std::type_identity_t<T> &value)
    {
        if (std::exchange(setting, value) != value)
            settingsChanged();
    }
    void settingsChanged();
    void failOnce(const QString &text);
    void onBatch(const Consumer *consumer, const QList<Message> &messages);
    void takeArrived();
    void dropUnseen();
    void returnUnseen();
    bool isHolding() const;
    void dispatch();
    void emitBatch();
    template <typename Emit>
    bool callHandlers(Emit emitSignal); // returns whether all handlers have returned
    void keepUnsettled(const QList<Message> &messages);
    void settleAfterDelivery(const Message &message);

    SubscriptionSettings m_settings;
    Subscriber m_subscriber{m_settings};
    DeliveryCounter m_counter;
    HandlerWatch m_handlers;
    int m_dispatchInterval = 16;
    QList<Message> m_arrived;  // the messages of this turn of the event loop, while several consumers share the channel
    QList<Message> m_held;     // no handler has seen these messages
    QList<Message> m_batch;    // the messages of the next batchDelivered()
    bool m_isBatchNew = false; // the messages of the batch were not emitted by delivered()
    bool m_holdsNoAck = false; // one of these three lists has no-ack deliveries
    QList<Message> m_thrown;   // a handler has thrown; these stay unsettled until the subscription ends
    bool m_isDispatching = false;
    QBasicTimer m_batchTimer;
};

} // namespace AmqpQt
