// SPDX-License-Identifier: MIT
#include "client/consumer/consumer_p.h"

#include "base/logging_p.h"
#include "client/channel/helperchannel_p.h"

#include <QtCore/qmetaobject.h>
#include <QtCore/qrandom.h>
#include <QtCore/qtimer.h>

#include <algorithm>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

ConsumerPrivate::ConsumerPrivate(Consumer *consumer, ChannelPrivate *channelPrivate, const QString &queueName,
                                 const ConsumeOptions &consumeOptions)
    : q(consumer)
    , channel(channelPrivate)
    , queue(queueName)
    , options(consumeOptions)
    , serial(channelPrivate ? channelPrivate->consumers.add(this) : 0)
{
}

ConsumerPrivate::~ConsumerPrivate()
{
    started.finish(Error(ErrorKind::Cancelled, u"the consumer was deleted"_s), ConnectionPrivate::Delivery::Posted);
    if (!channel)
        return;
    channel->consumers.remove(this);
    channel->connection->dispatcher.forget(this);
    releasePreviousSubscriptions();
    if (!entry)
        return;
    entry->client = nullptr;
    if (!entry->isEnding() && entry->cancelCall == 0 && channel->engine->acceptsCalls())
        channel->engine->subscriptions().cancel(*entry);
    requeueBatch(); // after basic.cancel, since otherwise the broker would deliver them again
    channel->connection->scheduler.schedule();
}

void ConsumerPrivate::releasePreviousSubscriptions()
{
    for (const auto &subscription : previousSubscriptions)
        subscription->client = nullptr;
    previousSubscriptions.clear();
}

void ConsumerPrivate::defer(std::function<void()> action)
{
    if (channel)
        channel->defer(q, std::move(action));
    else
        QMetaObject::invokeMethod(q, std::move(action), Qt::QueuedConnection);
}

template <typename T>
void ConsumerPrivate::finishLater(const Promise<T> &promise, const Result<T> &result)
{
    if (channel)
        channel->connection->dispatcher.finishLater(promise, result);
    else
        promise.finish(result, ConnectionPrivate::Delivery::Posted);
}

void ConsumerPrivate::start()
{
    if (!options.prefetch) { // a consumer that starts again keeps its limit
        const bool usesDefault = !channel->isPrefetchSet && options.ackMode != AckMode::NoAck;
        options.prefetch = usesDefault ? DefaultPrefetch : channel->engine->subscriptions().prefetch();
    }
    auto starting = channel->engine->subscriptions().consume(queue, options, this);
    if (!starting)
        return startFailed(channel->reportCallError(starting.error()));
    channel->consumers.setActive(this);
    std::erase_if(previousSubscriptions, [](const auto &subscription) { return subscription->unacked == 0; });
    if (entry && entry->unacked > 0)
        previousSubscriptions.push_back(std::move(entry));
    entry = *starting;
    if (queue.isEmpty())
        queue = channel->engine->topology().lastQueue();
    if (state == State::Recovering) {
        if (started.isFinished())
            started = {};
        setState(State::Starting);
    }
    awaitStart();
}

void ConsumerPrivate::awaitStart()
{
    channel->connection->addCall(
        entry->startCall,
        [subscription = entry, promise = started](Engine::ReplyValue &value, ConnectionPrivate::Delivery delivery) {
            // After an error the event that ends the consumer, or its channel, follows.
            if (const Error *failure = std::get_if<Error>(&value))
                promise.finish(*failure, delivery);
            else if (auto *consumer = static_cast<ConsumerPrivate *>(subscription->client))
                consumer->onStarted();
        });
}

void ConsumerPrivate::startFailed(const Error &reason)
{
    finishLater<void>(started, reason);
    onCancelled(reason);
}

void ConsumerPrivate::onStarted()
{
    m_hasStarted = true;
    finishLater<void>(started, {});
    if (queue.isEmpty()) {
        queue = Engine::Subscriptions::queueOf(*entry);
        defer([consumer = q, name = queue] { Q_EMIT consumer->queueChanged(name); });
    }
    if (isStarting()) { // otherwise a slot has called cancel() in the meantime
        setState(State::Active);
        defer([consumer = q] { Q_EMIT consumer->started(); });
    }
}

Reply<int> ConsumerPrivate::cancel(bool drains)
{
    const char *function = drains ? "drain" : "cancel";
    if (channel && !channel->connection->isOwnThread(function))
        return Promise<int>::finished(Error(ErrorKind::InvalidArgument,
                                            u"%1() was called from another thread"_s.arg(QLatin1StringView(function))));
    if (cancelled)
        return cancelled->reply();
    if (isEnded())
        return Promise<int>::finished(0);
    // There is nothing to send while the consumer waits for a reopen or for the queue, while the channel is closing,
    // and between the end of the subscription and cancelled(). Another consumer may have the tag by then.
    if (!entry || waitsForQueue || entry->isEnding() || !channel->engine->acceptsCalls()) {
        const int returned = entry ? requeueBatch() : 0;
        onCancelled({});
        return Promise<int>::finished(returned);
    }
    const Promise<int> promise;
    cancelled = std::make_unique<Promise<int>>(promise);
    setState(State::Cancelling);
    const Engine::CallId call =
        drains ? channel->engine->subscriptions().drain(*entry) : channel->engine->subscriptions().cancel(*entry);
    const int returned =
        drains ? 0 : requeueBatch(); // after basic.cancel, since otherwise the broker would deliver them again
    channel->connection->addCall(call, [consumer = QPointer(q), promise,
                                        returned](Engine::ReplyValue &value, ConnectionPrivate::Delivery delivery) {
        if (const Error *failure = std::get_if<Error>(&value))
            return promise.finish(*failure, delivery);
        const auto result = std::get<Engine::CancelResult>(value);
        if (result.lost > 0)
            qCWarning(lcChannel) << result.lost << "no-ack deliveries arrived after cancel() and are lost";
        if (consumer && delivery == ConnectionPrivate::Delivery::Direct)
            return consumer->d->onCancelled({}, returned + result.returned);
        promise.finish(returned + result.returned, delivery);
    });
    return promise.reply();
}

// Deliveries that no slot has seen go back to the queue.
int ConsumerPrivate::requeueBatch()
{
    const QList<Message> unseen = std::exchange(m_batch, {});
    if (!m_batchIsUnseen)
        return 0;
    int returned = 0;
    for (const Message &message : unseen) {
        const DeliveryOrigin *origin = MessageAccess::origin(message);
        if (options.ackMode == AckMode::NoAck)
            qCWarning(lcChannel) << "a no-ack delivery was not handled before the consumer ended and is lost";
        else if (channel->settle(
                     {origin->incarnation, message.deliveryTag(), origin->channelNumber, Settlement::Kind::NackRequeue},
                     false))
            ++returned;
    }
    return returned;
}

void ConsumerPrivate::updateListeners()
{
    static const QMetaMethod deliveredSignal = QMetaMethod::fromSignal(&Consumer::delivered);
    static const QMetaMethod batchSignal = QMetaMethod::fromSignal(&Consumer::batchDelivered);

    m_listenersChanged.store(false, std::memory_order_relaxed);
    m_listenersSlice = channel->connection->scheduler.slice();
    m_hasListener = q->isSignalConnected(deliveredSignal);
    m_hasBatchListener = q->isSignalConnected(batchSignal);
    noteCounts(); // once per slice suffices, since the counts change with each delivery
}

// The slots may delete the consumer.
inline void ConsumerPrivate::emitDelivery(const Message &message)
{
    ++m_deliveredCount;
    if (options.ackMode != AckMode::NoAck)
        ++unackedCount;
    // Checking for receivers costs more than a small message. The destruction of a receiver is not reported, so the
    // check is repeated in each slice, and whenever an unreceived delivery would be acked.
    if (m_listenersChanged.load(std::memory_order_relaxed) ||
        m_listenersSlice != channel->connection->scheduler.slice() || options.ackMode == AckMode::AfterDelivery)
        updateListeners();
    if (m_hasListener && !m_hasBatchListener && options.ackMode != AckMode::AfterDelivery)
        Q_EMIT q->delivered(message);
    else
        emitOrKeepDelivery(message);
}

void ConsumerPrivate::emitOrKeepDelivery(const Message &message)
{
    const bool emitsSingly = m_hasListener;
    const bool emitsBatches = m_hasBatchListener;
    // There is no receiver, or earlier deliveries are still to be emitted.
    const bool isKept =
        options.ackMode == AckMode::AfterDelivery && !emitsBatches && (!emitsSingly || !m_batch.isEmpty());
    if (emitsBatches || isKept) {
        if (emitsBatches && !std::exchange(m_batchNoted, true))
            channel->connection->dispatcher.noteBatch(this);
        m_batchIsUnseen = !emitsSingly || isKept;
        m_batch.append(message);
    } else if (!emitsSingly && !m_warnedOfMissingReceiver) {
        m_warnedOfMissingReceiver = true;
        qCWarning(lcChannel).noquote() << "deliveries for the consumer" << options.consumerTag
                                       << "arrive, but nothing is connected to delivered() or batchDelivered()";
    }
    if (!emitsSingly || isKept)
        return;
    if (options.ackMode == AckMode::AfterDelivery && !emitsBatches)
        emitAndAck({message}, [this, &message] { Q_EMIT q->delivered(message); });
    else
        Q_EMIT q->delivered(message);
}

void ConsumerPrivate::deliver(Engine::ReceivedMessage &received)
{
    m_properties = received.properties;
    const bool isSteady = m_origin && QByteArrayView(m_origin->routingKeyBytes) == received.routingKey &&
                          QByteArrayView(m_origin->exchangeBytes) == received.exchange &&
                          m_origin->incarnation == channel->engine->incarnation();
    const Message message =
        isSteady ? MessageAccess::makeDelivered(std::move(received.body), std::move(received.properties), m_origin,
                                                received.deliveryTag, received.redelivered)
                 : channel->makeMessage(received, options.consumerTag, options.ackMode == AckMode::NoAck);
    if (!isSteady)
        m_origin.reset(MessageAccess::origin(message));
    emitDelivery(message);
}

void ConsumerPrivate::deliver(const Engine::RepeatedDelivery &repeated, Message &spare)
{
    if (!MessageAccess::reuseForDelivery(spare, repeated.body, m_properties, m_origin, repeated.deliveryTag,
                                         repeated.redelivered))
        makeRepeated(repeated, spare);
    emitDelivery(spare);
}

void ConsumerPrivate::makeRepeated(const Engine::RepeatedDelivery &repeated, Message &message) const
{
    message = MessageAccess::makeDelivered(repeated.body.toByteArray(), m_properties, m_origin, repeated.deliveryTag,
                                           repeated.redelivered);
}

// Emits the delivery and, with AckMode::AfterDelivery, acks it unless the slots have settled it. The slots may
// delete the consumer.
template <typename Emit>
void ConsumerPrivate::emitAndAck(const QList<Message> &messages, Emit emitSignal)
{
    const bool acks = options.ackMode == AckMode::AfterDelivery && channel;
    const QPointer<Channel> settling = acks ? channel->q : nullptr;
    emitSignal();
    if (settling)
        ChannelPrivate::ackUnsettled(settling, messages);
}

void ConsumerPrivate::emitBatch()
{
    m_batchNoted = false;
    if (options.ackMode == AckMode::AfterDelivery && m_batchIsUnseen &&
        !q->isSignalConnected(QMetaMethod::fromSignal(&Consumer::batchDelivered)))
        return emitKeptDeliveries(); // the slot was disconnected
    const QList<Message> batch = std::exchange(m_batch, {});
    if (!batch.isEmpty())
        emitAndAck(batch, [this, &batch] { Q_EMIT q->batchDelivered(batch); });
}

void ConsumerPrivate::onConnected()
{
    m_listenersChanged.store(true, std::memory_order_relaxed);
    if (options.ackMode == AckMode::AfterDelivery)
        QMetaObject::invokeMethod(
            q, [this] { emitKeptDeliveries(); }, Qt::QueuedConnection);
}

// Emits the deliveries that arrived while no slot was connected.
void ConsumerPrivate::emitKeptDeliveries()
{
    if (m_batchNoted || m_batch.isEmpty() || !channel)
        return;
    if (q->isSignalConnected(QMetaMethod::fromSignal(&Consumer::batchDelivered))) {
        m_batchNoted = true;
        channel->connection->dispatcher.noteBatch(this);
        channel->connection->scheduler.schedule();
    } else if (q->isSignalConnected(QMetaMethod::fromSignal(&Consumer::delivered))) {
        // Emits the deliveries one by one from the dispatch loop, each after the slots of the previous one have
        // returned.
        const Message message = m_batch.takeFirst();
        defer([this, message] { emitAndAck({message}, [this, &message] { Q_EMIT q->delivered(message); }); });
        defer([this] { emitKeptDeliveries(); });
    }
}

void ConsumerPrivate::noteCounts()
{
    if (!std::exchange(m_countsNoted, true))
        channel->connection->dispatcher.noteCountChange(this);
}

void ConsumerPrivate::settled(int count)
{
    unackedCount -= count;
    noteCounts();
}

void ConsumerPrivate::recountUnacked()
{
    unackedCount = entry ? entry->unacked : 0;
    for (const auto &subscription : previousSubscriptions)
        unackedCount += subscription->unacked;
    noteCounts();
}

void ConsumerPrivate::emitCounts()
{
    m_countsNoted = false;
    const QPointer<Consumer> alive(q);
    if (q->deliveredCount() != m_deliveredCount) {
        deliveredCount.store(m_deliveredCount, std::memory_order_relaxed);
        Q_EMIT q->deliveredCountChanged(double(m_deliveredCount));
    }
    if (alive && std::exchange(m_reportedUnackedCount, unackedCount) != unackedCount)
        Q_EMIT q->unackedCountChanged(unackedCount);
}

void ConsumerPrivate::setState(State newState)
{
    state = newState;
    defer([consumer = q, newState] { Q_EMIT consumer->stateChanged(newState); });
}

// Runs before the end is reported; nothing may follow the end.
void ConsumerPrivate::emitPendingSignals()
{
    if (m_batchNoted)
        defer([this] { emitBatch(); });
    else if (channel)
        requeueBatch();
    if (q->deliveredCount() != m_deliveredCount || unackedCount != m_reportedUnackedCount)
        defer([this] { emitCounts(); });
}

void ConsumerPrivate::onCancelled(const Error &reason, int returned)
{
    if (isEnded())
        return;
    waitsForQueue = false;
    if (channel)
        channel->consumers.setEnded(this);
    emitPendingSignals();
    if (cancelled)
        finishLater<int>(*cancelled, returned);
    setState(State::Cancelled);
    defer([consumer = q, reason] { Q_EMIT consumer->cancelled(reason); });
}

// Whether the queue exists, but cannot be reached now.
static bool isDown(const Error &reason)
{
    return reason.text().contains("is down or inaccessible"_L1) || reason.text().contains("stopped by supervisor"_L1);
}

// The engine also reports here that the broker has refused to start the consumer again after a loss.
void ConsumerPrivate::onCancelledByBroker(const Engine::ConsumerEntry *subscription, const Error &reason)
{
    if (isEnded() || subscription != entry.get()) // a slot has ended it in the meantime
        return;
    const bool isMissing = reason.kind() == ErrorKind::ChannelClosed && reason.replyCode() == Wire::ReplyCode::NotFound;
    const bool waits = (options.resubscribe && (isMissing || reason.kind() == ErrorKind::ConsumerCancelled)) ||
                       (isMissing && isDown(reason));
    if (cancelled || !waits)
        return onCancelled(reason);
    if (state == State::Starting)
        finishLater<void>(started, reason);
    if (queue.isEmpty()) // cancelled before the broker has named the queue
        queue = Engine::Subscriptions::queueOf(*entry);
    if (queue.isEmpty())
        return onCancelled(reason);
    waitForQueue();
    if (isMissing)
        checkQueueLater();
    else
        checkQueue();
}

void ConsumerPrivate::waitForQueue()
{
    waitsForQueue = true;
    m_queueCheckDelay = std::chrono::milliseconds(0);
    if (state != State::Recovering)
        setState(State::Recovering);
}

// Uses a passive declaration on another channel, since a missing queue would close the consumer's channel.
void ConsumerPrivate::checkQueue()
{
    if (!waitsForQueue || !channel)
        return;
    channel->connection->helperChannel().call<QueueInfo>(
        q, [name = queue](Channel *helper) { return helper->inspectQueue(name); },
        [this](const Result<QueueInfo> &found) { onQueueChecked(found); });
}

void ConsumerPrivate::onQueueChecked(const Result<QueueInfo> &found)
{
    if (!waitsForQueue || !channel)
        return;
    const Error &failure = found.error();
    const bool isRefused = failure.kind() == ErrorKind::ChannelClosed;
    // 404 means that the queue is missing, or on a node that is down. An error of another kind means that the broker
    // was not asked, since the connection is lost or no channel number is free. The consumer continues to wait in both
    // cases.
    if (failure.isError() && (!isRefused || failure.replyCode() == Wire::ReplyCode::NotFound))
        return checkQueueLater();
    waitsForQueue = false;
    // The queue is exclusive to another connection. Consuming would be refused too, and would close the consumer's
    // channel.
    if (isRefused && failure.replyCode() == Wire::ReplyCode::ResourceLocked)
        return onCancelled(failure);
    // The queue exists, or the declaration is not allowed (403, some brokers require permission to configure the
    // queue for it), but consuming may be.
    if (channel->engine->acceptsCalls()) // otherwise reopen() starts it
        start();
}

// With jitter, so that consumers whose queues were deleted at the same moment do not check in step.
void ConsumerPrivate::checkQueueLater()
{
    using namespace std::chrono_literals;
    constexpr double Jitter = 0.25;
    m_queueCheckDelay =
        m_queueCheckDelay == 0ms ? 500ms : std::min<std::chrono::milliseconds>(2 * m_queueCheckDelay, 30s);
    const double factor = 1 - Jitter + 2 * Jitter * QRandomGenerator::global()->generateDouble();
    const auto delay = std::chrono::milliseconds(qint64(double(m_queueCheckDelay.count()) * factor));
    QTimer::singleShot(delay, q, [this] { checkQueue(); });
}

// A consumer that could not start would close the channel again, so it ends. The exception is a consumer with
// resubscribe whose queue was deleted while the channel was closed or after the broker had answered that it exists;
// this consumer waits for the queue.
void ConsumerPrivate::onChannelClosed(const Error &reason, bool couldNotStart)
{
    entry.reset(); // the broker has requeued its deliveries
    previousSubscriptions.clear();
    unackedCount = 0;
    emitPendingSignals();
    if (isEnded())
        return;
    const bool isMissing =
        couldNotStart && m_hasStarted && options.resubscribe && reason.replyCode() == Wire::ReplyCode::NotFound;
    if (!reason.isError() || cancelled || (couldNotStart && !isMissing))
        return onCancelled(cancelled ? Error() : reason);
    if (isMissing) {
        waitForQueue();
        checkQueueLater();
    } else if (state != State::Recovering) { // it may wait for its queue
        setState(State::Recovering);
    }
}

// The engine subscribes again, with another call if the consumer was active.
void ConsumerPrivate::onSuspended()
{
    previousSubscriptions.clear(); // the broker has requeued their deliveries
    unackedCount = 0;
    emitPendingSignals();
    if (entry && entry->state == Engine::ConsumerEntry::State::Gone && !cancelled)
        entry.reset();
    if (!entry || isEnded() || cancelled) // or the end of the subscription will be reported
        return;
    if (state == State::Active) {
        started = {};
        awaitStart();
    }
    if (state != State::Recovering)
        setState(State::Recovering);
}

void ConsumerPrivate::renameQueue(const QHash<QString, QString> &newNames)
{
    const auto name = newNames.constFind(queue);
    if (isEnded() || name == newNames.cend())
        return;
    queue = *name;
    defer([consumer = q, name = queue] { Q_EMIT consumer->queueChanged(name); });
}

void ConsumerPrivate::channelDestroyed(const Error &gone)
{
    channel->connection->dispatcher.forget(this);
    if (entry)
        entry->client = nullptr;
    entry.reset();
    releasePreviousSubscriptions();
    channel = nullptr;
    unackedCount = 0;
    finishLater<void>(started, gone);
    if (isEnded())
        emitPendingSignals();
    else
        onCancelled(gone);
}

} // namespace AmqpQt
