// SPDX-License-Identifier: MIT
#include "qmlconsumer.h"

#include "setup.h"

#include <QtCore/qcoreevent.h>
#include <QtCore/qmetaobject.h>

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
    connect(this, &QmlConsumer::changed, this, &QmlConsumer::update);
}

QmlConsumer::~QmlConsumer()
{
    delete m_channel; // what is not settled goes back to the queue
}

// --- properties
// -----------------------------------------------------------------------------------------------------------

void QmlConsumer::setQueue(QmlQueue *queue)
{
    if (m_queue == queue)
        return;
    if (m_queue)
        m_queue->disconnect(this);
    m_queue = queue;
    if (queue) // declared, gone, or under another name
        connect(queue, &QmlQueue::declaredNameChanged, this, &QmlConsumer::changed);
    Q_EMIT changed();
}

QString QmlConsumer::queueName() const
{
    return m_queue ? m_queue->declaredName() : m_queueName;
}

void QmlConsumer::setQueueName(const QString &name)
{
    if (std::exchange(m_queueName, name) != name)
        Q_EMIT changed();
}

void QmlConsumer::setPaused(bool paused)
{
    if (std::exchange(m_paused, paused) == paused)
        return;
    // Without a limit the broker would go on sending.
    if (m_ackMode == AckMode::NoAck || m_prefetch == 0)
        update();
    else
        QMetaObject::invokeMethod(this, &QmlConsumer::dispatch, Qt::QueuedConnection);
    Q_EMIT pausedChanged();
}

void QmlConsumer::setPrefetch(int count)
{
    if (isInRange("prefetch", count, 0, std::numeric_limits<quint16>::max()) &&
        std::exchange(m_prefetch, count) != count)
        Q_EMIT changed();
}

QString QmlConsumer::consumerTag() const
{
    return m_consumer ? m_consumer->consumerTag() : m_consumerTag;
}

void QmlConsumer::setConsumerTag(const QString &tag)
{
    if (std::exchange(m_consumerTag, tag) == tag)
        return;
    update();
    Q_EMIT consumerTagChanged();
}

void QmlConsumer::setDispatchInterval(int milliseconds)
{
    if (isInRange("dispatchInterval", milliseconds, 0, std::numeric_limits<int>::max()) &&
        std::exchange(m_dispatchInterval, milliseconds) != milliseconds)
        Q_EMIT dispatchIntervalChanged();
}

int QmlConsumer::unackedCount() const
{
    return m_consumer ? m_consumer->unackedCount() : 0;
}

// --- the subscription
// -----------------------------------------------------------------------------------------------------

void QmlConsumer::connectionOpened()
{
    m_countTimer.start(RateMeter::Interval, this);
    m_meter.start(m_totalCount);
    update();
}

void QmlConsumer::connectionClosed()
{
    m_isPending = false;
    m_countTimer.stop();
    m_meter.stop();
    dropChannel();
    sampleCounts();
}

void QmlConsumer::update()
{
    if (!isLive() || std::exchange(m_isPending, true))
        return;
    setUp()->addUse(this, [this] {
        m_isPending = false;
        unsubscribe();
        subscribe();
    });
}

void QmlConsumer::subscribe()
{
    const bool waits = m_paused && (m_ackMode == AckMode::NoAck || m_prefetch == 0);
    if (!m_active || waits)
        return;
    const QString name = queueName();
    if (name.isEmpty()) {
        if (!m_queue)
            fail(tr("A Consumer needs a queue"));
        return; // the queue tells when it is declared
    }
    openChannel();
    ConsumeOptions options{.consumerTag = m_consumerTag,
                           .ackMode = m_ackMode == AckMode::NoAck ? AckMode::NoAck : AckMode::Manual,
                           .exclusive = m_exclusive,
                           .prefetch = quint16(m_prefetch),
                           .arguments = m_arguments};
    if (m_priority != 0)
        options.arguments.insert(u"x-priority"_s, m_priority);
    m_consumer = m_channel->consume(name, options);
    connect(m_consumer, &Consumer::batchDelivered, this, &QmlConsumer::onBatch);
    connect(m_consumer, &Consumer::unackedCountChanged, this, &QmlConsumer::unackedCountChanged);
    connect(m_consumer, &Consumer::started, this, [this] {
        setErrorString({});
        setSubscribed(true);
    });
    connect(m_consumer, &Consumer::cancelled, this, [this](const Error &reason) {
        const QPointer<QmlConsumer> self(this);
        unsubscribe();
        if (self && reason.kind() == ErrorKind::ConsumerCancelled)
            fail(reason.text());
    });
    Q_EMIT consumerTagChanged();
}

// What nobody has seen goes back to the queue.
void QmlConsumer::unsubscribe()
{
    m_batchTimer.stop();
    QList<Message> unseen = std::exchange(m_batch, {});
    if (!m_isBatchNew) {
        for (const Message &message : unseen)
            settleAfterDelivery(message);
        unseen.clear();
    }
    unseen += std::exchange(m_held, {});
    if (m_channel && m_ackMode != AckMode::NoAck) {
        for (const Message &message : unseen)
            m_channel->nack(message);
    }
    if (!m_consumer)
        return;
    m_consumer->disconnect(this);
    delete m_consumer.data();
    const QPointer<QmlConsumer> self(this);
    setSubscribed(false);
    if (self)
        Q_EMIT unackedCountChanged();
}

void QmlConsumer::setSubscribed(bool subscribed)
{
    if (std::exchange(m_isSubscribed, subscribed) != subscribed)
        Q_EMIT subscribedChanged();
}

void QmlConsumer::openChannel()
{
    if (m_channel)
        return;
    m_channel = connection()->createChannel();
    connect(m_channel, &Channel::errorOccurred, this, &QmlConsumer::onChannelError);
    connect(m_channel, &Channel::closed, this, &QmlConsumer::dropChannel);
}

// It has ended: the broker has back what was not settled.
void QmlConsumer::dropChannel()
{
    if (m_channel) {
        m_channel->disconnect(this);
        m_channel->deleteLater();
        m_channel = nullptr;
    }
    unsubscribe();
}

void QmlConsumer::onChannelError(const Error &error)
{
    switch (error.kind()) {
    case ErrorKind::StaleDelivery: // the handler has settled it itself
        if (m_ackMode != AckMode::AfterDelivery)
            fail(error.text());
        break;
    case ErrorKind::ChannelClosed:
    case ErrorKind::InvalidArgument:
    case ErrorKind::MessageTooLarge:
    case ErrorKind::NotOpen:
        fail(error.text());
        break;
    default: // the connection tells it
        break;
    }
}

// --- deliveries
// -----------------------------------------------------------------------------------------------------------

void QmlConsumer::onBatch(const QList<Message> &messages)
{
    m_totalCount += double(messages.size());
    m_held += messages;
    dispatch();
}

bool QmlConsumer::isHolding() const
{
    return m_paused ||
           (m_ackMode != AckMode::NoAck && !isSignalConnected(deliveredSignal) && !isSignalConnected(batchSignal));
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
        if (batch && !one) { // models, for one: as little as possible for each message
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
            Q_EMIT delivered(message);
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
    Q_EMIT batchDelivered(messages);
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

// --- settling
// -------------------------------------------------------------------------------------------------------------

bool QmlConsumer::ack(const Message &message)
{
    if (m_channel)
        return m_channel->ack(message);
    fail(tr("There is no channel any more"));
    return false;
}

bool QmlConsumer::nack(const Message &message, bool requeue)
{
    if (m_channel)
        return m_channel->nack(message, requeue ? Requeue::Yes : Requeue::No);
    fail(tr("There is no channel any more"));
    return false;
}

void QmlConsumer::settleAfterDelivery(const Message &message)
{
    if (m_ackMode == AckMode::AfterDelivery && m_channel)
        m_channel->ack(message);
}

// --- counts
// ---------------------------------------------------------------------------------------------------------------

void QmlConsumer::timerEvent(QTimerEvent *event)
{
    if (event->timerId() == m_countTimer.timerId())
        return sampleCounts();
    m_batchTimer.stop();
    emitBatch();
}

void QmlConsumer::sampleCounts()
{
    const double rate = m_meter.rate(m_totalCount);
    const bool isSame = m_totalCount == m_toldTotalCount && rate == m_rate;
    m_toldTotalCount = m_totalCount;
    m_rate = rate;
    if (!isSame)
        Q_EMIT countsChanged();
}

} // namespace AmqpQt
