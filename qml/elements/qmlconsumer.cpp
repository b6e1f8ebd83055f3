// SPDX-License-Identifier: MIT
#include "qmlconsumer.h"

#include <QtCore/qmetaobject.h>
#include <QtQml/qqml.h>

#include <algorithm>
#include <limits>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

namespace
{

const QMetaMethod deliveredSignal = QMetaMethod::fromSignal(&QmlConsumer::delivered);
const QMetaMethod batchSignal = QMetaMethod::fromSignal(&QmlConsumer::batchDelivered);

} // namespace

QmlConsumer::QmlConsumer(QObject *parent)
    : QmlElement(parent)
{
    connect(&m_counter, &DeliveryCounter::changed, this, &QmlConsumer::countsChanged);
    connect(&m_subscriber, &Subscriber::delivered, this, &QmlConsumer::onBatch);
    connect(&m_subscriber, &Subscriber::aboutToEnd, this, &QmlConsumer::returnUnseen);
    connect(&m_subscriber, &Subscriber::channelLost, this, &QmlConsumer::dropUnseen);
    connect(&m_subscriber, &Subscriber::succeeded, this, [this] { setErrorString({}); });
    connect(&m_subscriber, &Subscriber::failed, this, &QmlConsumer::fail);
    connect(&m_subscriber, &Subscriber::attemptFailed, this, &QmlConsumer::failOnce);
    connect(&m_subscriber, &Subscriber::subscribedChanged, this, &QmlConsumer::subscribedChanged);
    connect(&m_subscriber, &Subscriber::unackedCountChanged, this, &QmlConsumer::unackedCountChanged);
    connect(&m_subscriber, &Subscriber::consumerTagChanged, this, &QmlConsumer::consumerTagChanged);
}

QmlConsumer::~QmlConsumer()
{
    m_subscriber.disconnect(this);
}

void QmlConsumer::connectionOpened()
{
    m_counter.start();
    m_subscriber.start(connection());
}

void QmlConsumer::connectionClosed()
{
    const QPointer<QmlConsumer> self(this);
    m_subscriber.stop();
    if (self)
        m_counter.stop();
}

void QmlConsumer::queueRenamed(const QString &oldName, const QString &newName)
{
    m_subscriber.renameQueue(oldName, newName);
}

void QmlConsumer::connectionRecovered(const RecoveryReport &)
{
    m_subscriber.connectionRecovered();
}

void QmlConsumer::settingsChanged()
{
    m_subscriber.retry();
    Q_EMIT changed();
}

void QmlConsumer::setQueue(QmlQueue *queue)
{
    if (m_settings.queue == queue)
        return;
    if (m_settings.queue)
        m_settings.queue->disconnect(this);
    m_settings.queue = queue;
    if (queue) { // declared, deleted or renamed
        connect(queue, &QmlQueue::declaredNameChanged, this, [this] {
            m_subscriber.update();
            Q_EMIT queueNameChanged();
        });
    }
    const QPointer<QmlConsumer> self(this);
    settingsChanged();
    if (self)
        Q_EMIT queueNameChanged();
}

void QmlConsumer::setQueueName(const QString &name)
{
    if (std::exchange(m_settings.queueName, name) == name)
        return;
    m_subscriber.retry();
    Q_EMIT queueNameChanged();
}

void QmlConsumer::setPaused(bool paused)
{
    if (std::exchange(m_settings.paused, paused) == paused)
        return;
    if (m_settings.endsForPause())
        m_subscriber.update();
    if (!paused)
        QMetaObject::invokeMethod(this, &QmlConsumer::dispatch, Qt::QueuedConnection);
    Q_EMIT pausedChanged();
}

void QmlConsumer::setPrefetch(int count)
{
    if (isInRange("prefetch", count, 0, std::numeric_limits<quint16>::max()))
        set(m_settings.prefetch, count);
}

QString QmlConsumer::consumerTag() const
{
    return m_settings.consumerTag.isEmpty() ? m_subscriber.consumerTag() : m_settings.consumerTag;
}

void QmlConsumer::setConsumerTag(const QString &tag)
{
    if (std::exchange(m_settings.consumerTag, tag) == tag)
        return;
    m_subscriber.update();
    Q_EMIT consumerTagChanged();
}

void QmlConsumer::setArguments(const QVariant &arguments)
{
    if (setTable("arguments", m_settings.arguments, arguments))
        settingsChanged();
}

void QmlConsumer::setDispatchInterval(int milliseconds)
{
    if (isInRange("dispatchInterval", milliseconds, 0, std::numeric_limits<int>::max()) &&
        std::exchange(m_dispatchInterval, milliseconds) != milliseconds)
        Q_EMIT dispatchIntervalChanged();
}

void QmlConsumer::onBatch(const Consumer *consumer, const QList<Message> &messages)
{
    const bool isFirst = m_arrived.isEmpty() && m_held.isEmpty() && m_batch.isEmpty();
    const bool isNoAck = consumer->ackMode() == AckMode::NoAck;
    m_holdsNoAck = isNoAck || (m_holdsNoAck && !isFirst);
    m_counter.add(messages.size());
    const bool isAlone = !m_subscriber.hasSeveralConsumers() && m_arrived.isEmpty();
    if (isAlone || consumer->channel() != m_subscriber.channel()) {
        m_held += messages;
        return dispatch();
    }
    // Each consumer has its own batch in a turn; the delivery tags give the order in which the messages arrived.
    if (m_arrived.isEmpty())
        QMetaObject::invokeMethod(this, &QmlConsumer::takeArrived, Qt::QueuedConnection);
    m_arrived += messages;
}

void QmlConsumer::takeArrived()
{
    std::stable_sort(m_arrived.begin(), m_arrived.end(),
                     [](const Message &a, const Message &b) { return a.deliveryTag() < b.deliveryTag(); });
    m_held += std::exchange(m_arrived, {});
    dispatch();
}

void QmlConsumer::dropUnseen()
{
    if (m_holdsNoAck)
        return;
    m_batchTimer.stop();
    m_arrived.clear();
    m_held.clear();
    m_batch.clear();
    m_thrown.clear();
}

// Returns deliveries that no handler has seen to the queue. Deliveries that cannot go back are kept.
void QmlConsumer::returnUnseen()
{
    if (m_holdsNoAck)
        return;
    const QPointer<QmlConsumer> self(this);
    m_batchTimer.stop();
    if (!m_isBatchNew && !m_batch.isEmpty()) // delivered() has emitted them
        emitBatch();
    if (!self)
        return;
    const QList<Message> unseen = std::exchange(m_batch, {}) + std::exchange(m_held, {}) + std::exchange(m_arrived, {});
    for (const Message &message : unseen + std::exchange(m_thrown, {})) {
        if (self)
            m_subscriber.settle(message, false);
    }
}

bool QmlConsumer::isHolding() const
{
    return m_settings.paused || (m_settings.ackMode != AckMode::NoAck && !isSignalConnected(deliveredSignal) &&
                                 !isSignalConnected(batchSignal));
}

template <typename Emit>
bool QmlConsumer::callHandlers(Emit emitSignal)
{
    if (m_settings.ackMode == AckMode::AfterDelivery)
        m_handlers.start(qmlEngine(this));
    return m_handlers.call(emitSignal);
}

void QmlConsumer::dispatch()
{
    if (m_isDispatching)
        return; // a handler runs an event loop
    const QPointer<QmlConsumer> self(this);
    m_isDispatching = true;
    while (!m_held.isEmpty() && !isHolding()) {
        const bool one = isSignalConnected(deliveredSignal);
        const bool batch = isSignalConnected(batchSignal);
        if (batch && !one) { // used by models, among others, so it does as little as possible for each message
            m_isBatchNew = true;
            m_batch.append(std::exchange(m_held, {}));
            break;
        }
        const Message message = m_held.takeFirst();
        if (batch) {
            m_isBatchNew = !one;
            m_batch.append(message);
        }
        if (one) {
            const bool haveReturned = callHandlers([&] { Q_EMIT delivered(message); });
            if (!self)
                return;
            if (!haveReturned)
                keepUnsettled({message});
            if (!self)
                return;
            if (!batch)
                settleAfterDelivery(message);
        }
    }
    m_isDispatching = false;
    if (!m_batch.isEmpty() && !m_batchTimer.isActive())
        m_batchTimer.start(m_dispatchInterval, this);
}

void QmlConsumer::emitBatch()
{
    const QPointer<QmlConsumer> self(this);
    const QList<Message> messages = std::exchange(m_batch, {});
    const bool haveReturned = callHandlers([&] { Q_EMIT batchDelivered(messages); });
    if (self && !haveReturned)
        return keepUnsettled(messages);
    for (const Message &message : messages) {
        if (self)
            settleAfterDelivery(message);
    }
}

void QmlConsumer::connectNotify(const QMetaMethod &signal)
{
    if ((signal == deliveredSignal || signal == batchSignal) && !m_held.isEmpty())
        QMetaObject::invokeMethod(this, &QmlConsumer::dispatch, Qt::QueuedConnection);
}

bool QmlConsumer::ack(const Message &message)
{
    return m_subscriber.settle(message, true);
}

bool QmlConsumer::nack(const Message &message, const QVariant &requeue)
{
    return m_subscriber.settle(message, false, !requeue.isValid() || requeue.toBool() ? Requeue::Yes : Requeue::No);
}

void QmlConsumer::keepUnsettled(const QList<Message> &messages)
{
    if (m_settings.ackMode != AckMode::AfterDelivery)
        return;
    m_thrown += messages;
    const QString text =
        tr("A handler threw an exception; its message stays unacknowledged until the subscription ends");
    if (errorString() != text) // one warning for many exceptions
        fail(text);
}

void QmlConsumer::settleAfterDelivery(const Message &message)
{
    // With NoAck there may still be deliveries of an earlier subscription, and no handler that acknowledges them.
    const bool acknowledges =
        m_settings.ackMode == AckMode::AfterDelivery || (m_settings.ackMode == AckMode::NoAck && unackedCount() > 0);
    if (acknowledges && m_subscriber.hasChannel() && !m_thrown.contains(message))
        m_subscriber.settle(message, true);
}

void QmlConsumer::timerEvent(QTimerEvent *)
{
    m_batchTimer.stop();
    emitBatch();
}

// Attempts are repeated, and several signals may report the same error.
void QmlConsumer::failOnce(const QString &text)
{
    if (text != errorString())
        fail(text);
}

} // namespace AmqpQt
