// SPDX-License-Identifier: MIT
#include "qmlconsumer.h"

#include <QtCore/qcoreevent.h>
#include <QtCore/qmetaobject.h>
#include <QtQml/qqml.h>
#include <QtQml/qqmlengine.h>

#include <algorithm>
#include <limits>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

namespace
{

const QMetaMethod deliveredSignal = QMetaMethod::fromSignal(&QmlConsumer::delivered);
const QMetaMethod batchSignal = QMetaMethod::fromSignal(&QmlConsumer::batchDelivered);

// Returns how many JavaScript functions are running.
int stackDepth(QJSEngine *engine)
{
    return engine ? int(engine->evaluate(u"new Error().stack"_s).toString().count(u'\n')) : 0;
}

} // namespace

QmlConsumer::QmlConsumer(QObject *parent)
    : QmlElement(parent)
{
    connect(this, &QmlConsumer::changed, this, [this] {
        m_endedSubscription.reset();
        update();
    });
    connect(&m_counter, &DeliveryCounter::changed, this, &QmlConsumer::countsChanged);
}

QmlConsumer::~QmlConsumer()
{
    delete m_channel; // unsettled deliveries go back to the queue
    for (const QPointer<Channel> &channel : std::as_const(m_formerChannels))
        delete channel;
}

void QmlConsumer::setQueue(QmlQueue *queue)
{
    if (m_queue == queue)
        return;
    if (m_queue)
        m_queue->disconnect(this);
    m_queue = queue;
    if (queue) // declared, deleted or renamed
        connect(queue, &QmlQueue::declaredNameChanged, this, [this] {
            const QPointer<QmlConsumer> self(this);
            const std::optional<Subscription> ended = m_endedSubscription;
            Q_EMIT changed();
            if (self)
                m_endedSubscription = ended; // nothing of this element has changed
        });
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
    if (!paused)
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
    return m_consumer && m_consumerTag.isEmpty() ? m_consumer->consumerTag() : m_consumerTag;
}

void QmlConsumer::setConsumerTag(const QString &tag)
{
    if (std::exchange(m_consumerTag, tag) == tag)
        return;
    update();
    Q_EMIT consumerTagChanged();
}

void QmlConsumer::setArguments(const QVariant &arguments)
{
    if (setTable("arguments", m_arguments, arguments))
        Q_EMIT changed();
}

void QmlConsumer::setDispatchInterval(int milliseconds)
{
    if (isInRange("dispatchInterval", milliseconds, 0, std::numeric_limits<int>::max()) &&
        std::exchange(m_dispatchInterval, milliseconds) != milliseconds)
        Q_EMIT dispatchIntervalChanged();
}

int QmlConsumer::unackedCount() const
{
    int count = m_consumer ? m_consumer->unackedCount() : 0;
    count += m_nextConsumer ? m_nextConsumer->unackedCount() : 0;
    for (const QPointer<Consumer> &consumer : m_endingConsumers)
        count += consumer ? consumer->unackedCount() : 0;
    return count;
}

void QmlConsumer::onBatch(const Consumer *consumer, const QList<Message> &messages)
{
    const bool isFirst = m_arrived.isEmpty() && m_held.isEmpty() && m_batch.isEmpty();
    const bool isNoAck = consumer->ackMode() == AckMode::NoAck;
    m_holdsNoAck = isNoAck || (m_holdsNoAck && !isFirst);
    m_hasTakenNoAck = m_hasTakenNoAck || isNoAck;
    m_counter.add(messages.size());
    const bool isAlone = !m_nextConsumer && m_endingConsumers.isEmpty() && m_arrived.isEmpty();
    if (isAlone || consumer->channel() != m_channel) {
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
        if (batch && !one) { // for models, among others: does as little as possible for each message
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
    return settle(message, true);
}

bool QmlConsumer::nack(const Message &message, const QVariant &requeue)
{
    return settle(message, false, !requeue.isValid() || requeue.toBool() ? Requeue::Yes : Requeue::No);
}

bool QmlConsumer::settle(const Message &message, bool acknowledge, Requeue requeue)
{
    const auto settleOn = [&](Channel *channel) {
        return channel && (acknowledge ? channel->ack(message) : channel->nack(message, requeue));
    };
    if (std::any_of(m_formerChannels.cbegin(), m_formerChannels.cend(), settleOn))
        return true;
    if (!m_channel)
        fail(tr("The delivery was settled already, or its channel was closed"));
    return settleOn(m_channel);
}

// An exception in a handler does not reach the code that emits the signal: the engine catches it, warns, and calls the
// next handler. By then the handler is no longer on the JavaScript stack. It still is when the engine warns about
// something that the handler has triggered, such as a binding.
template <typename Emit>
bool QmlConsumer::callHandlers(Emit emitSignal)
{
    if (m_ackMode == AckMode::AfterDelivery && !m_isWatchingHandlers) {
        if (const QQmlEngine *engine = qmlEngine(this)) {
            m_isWatchingHandlers = true;
            connect(engine, &QQmlEngine::warnings, this, &QmlConsumer::onWarnings);
        }
    }
    const QPointer<QmlConsumer> self(this);
    const QList<int> before = std::exchange(m_throwDepths, {}); // of a handler whose event loop led here
    emitSignal();
    if (!self)
        return false;
    const QList<int> depths = std::exchange(m_throwDepths, before);
    return depths.isEmpty() || !depths.contains(stackDepth(qmlEngine(this)));
}

void QmlConsumer::onWarnings(const QList<QQmlError> &warnings)
{
    // A warning of an element begins with "QML Consumer: …".
    const bool isException = std::any_of(warnings.cbegin(), warnings.cend(), [](const QQmlError &warning) {
        return !warning.object() && !warning.description().startsWith("QML "_L1);
    });
    if (isException)
        m_throwDepths.append(stackDepth(qmlEngine(this)));
}

void QmlConsumer::keepUnsettled(const QList<Message> &messages)
{
    if (m_ackMode != AckMode::AfterDelivery)
        return;
    m_thrown += messages;
    const QString text =
        tr("A handler has thrown an exception: its message stays unacknowledged until the subscription ends");
    if (errorString() != text) // once for many of them
        fail(text);
}

void QmlConsumer::settleAfterDelivery(const Message &message)
{
    // With NoAck there may still be deliveries of an earlier subscription, and no handler that acknowledges them.
    const bool acknowledges =
        m_ackMode == AckMode::AfterDelivery || (m_ackMode == AckMode::NoAck && unackedCount() > 0);
    if (acknowledges && (m_channel || !m_formerChannels.isEmpty()) && !m_thrown.contains(message))
        settle(message, true);
}

void QmlConsumer::timerEvent(QTimerEvent *event)
{
    if (event->timerId() == m_backoff.timerId()) {
        m_backoff.stop();
        return update();
    }
    m_batchTimer.stop();
    emitBatch();
}

} // namespace AmqpQt
