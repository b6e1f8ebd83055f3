// SPDX-License-Identifier: MIT
#include "client/consumer_p.h"

#include "values/logging_p.h"

#include <QtCore/qmetaobject.h>

namespace AmqpQt {

using namespace Qt::StringLiterals;

namespace {

Error stateError(const QString &text)
{
    return Error(ErrorKind::Cancelled, text);
}

} // namespace

ConsumerPrivate::ConsumerPrivate(Consumer *consumer, ChannelPrivate *channelPrivate, const QString &queueName,
                                 const ConsumeOptions &consumeOptions, quint64 serialNumber)
    : q(consumer)
    , channel(channelPrivate)
    , queue(queueName)
    , options(consumeOptions)
    , serial(serialNumber)
{
    channel->everyConsumer.insert(this);
}

ConsumerPrivate::~ConsumerPrivate()
{
    started.finish(stateError(u"the consumer was deleted"_s), ConnectionPrivate::Delivery::Posted);
    if (!channel)
        return;
    channel->everyConsumer.remove(this);
    if (channel->consumers.value(options.consumerTag) == this)
        channel->consumers.remove(options.consumerTag);
    if (!channel->connection)
        return;
    channel->connection->forget(this);
    if (!entry)
        return;
    entry->context = nullptr;
    returnBatch();
    if (entry->cancelCall == 0 && entry->state <= Engine::ConsumerEntry::State::Active && channel->engine->takesCalls())
        channel->engine->cancel(*entry);
    channel->connection->scheduleTurn();
}

void ConsumerPrivate::start()
{
    auto starting = channel->engine->consume(queue, options, this);
    if (!starting)
        return startFailed(channel->refuse(starting.error()));
    channel->consumers.insert(options.consumerTag, this);
    entry = *starting;
    if (queue.isEmpty())
        queue = channel->engine->lastQueue();
    if (state == State::Recovering) {
        state = State::Starting;
        channel->connection->defer(q, [consumer = q] { Q_EMIT consumer->stateChanged(State::Starting); });
    }
    channel->connection->addCall(entry->startCall, [consumer = QPointer(q), promise = started](
                                                       Engine::ReplyValue &value, ConnectionPrivate::Delivery delivery) {
        // After an error the event that ends the consumer, or its channel, follows.
        if (const Error *failure = std::get_if<Error>(&value))
            promise.finish(*failure, delivery);
        else if (consumer)
            consumer->d->onStarted();
    });
}

void ConsumerPrivate::startFailed(const Error &reason)
{
    if (channel && channel->consumers.value(options.consumerTag) == this)
        channel->consumers.remove(options.consumerTag);
    state = State::Cancelled;
    const auto tell = [consumer = q, promise = started, reason] {
        const QPointer<Consumer> stillThere(consumer);
        promise.finish(reason);
        if (stillThere)
            Q_EMIT consumer->stateChanged(State::Cancelled);
        if (stillThere)
            Q_EMIT consumer->cancelled(reason);
    };
    QMetaObject::invokeMethod(q, tell, Qt::QueuedConnection);
}

void ConsumerPrivate::onStarted()
{
    const QPointer<Consumer> consumer(q);
    if (queue.isEmpty()) {
        queue = channel->engine->lastQueue(); // by now the broker has named it
        Q_EMIT q->queueChanged(queue);
    }
    if (consumer && state == State::Starting)
        setState(State::Active);
    if (!consumer)
        return;
    const Promise<void> promise = started;
    promise.finish({});
    if (consumer)
        Q_EMIT consumer->started();
}

Reply<int> ConsumerPrivate::cancel()
{
    if (cancelled)
        return cancelled->reply();
    if (channel && !channel->connection->isOwnThread("cancel"))
        return Promise<int>::finished(Error(ErrorKind::InvalidArgument, u"cancel() in a foreign thread"_s));
    if (isEnded())
        return Promise<int>::finished(0);
    cancelled.emplace();
    const Reply<int> reply = cancelled->reply();
    const int returned = entry ? returnBatch() : 0;
    if (!entry || !channel->engine->takesCalls()) { // waiting for a reopen, or the channel is closing: nothing to send
        channel->connection->defer(q, [this] { onCancelled({}); });
        return reply;
    }
    state = State::Cancelling;
    channel->connection->defer(q, [consumer = q] { Q_EMIT consumer->stateChanged(State::Cancelling); });
    const Engine::CallId call = channel->engine->cancel(*entry);
    channel->connection->addCall(call, [consumer = QPointer(q), promise = *cancelled, returned](
                                           Engine::ReplyValue &value, ConnectionPrivate::Delivery delivery) {
        if (const Error *failure = std::get_if<Error>(&value))
            return promise.finish(*failure, delivery);
        const auto result = std::get<Engine::CancelResult>(value);
        if (result.lost > 0)
            qCWarning(lcChannel) << result.lost << "no-ack deliveries came after cancel() and are lost";
        promise.finish(returned + result.returned, delivery);
        if (consumer)
            consumer->d->onCancelled({});
    });
    return reply;
}

// Deliveries that no slot has seen go back to the queue.
int ConsumerPrivate::returnBatch()
{
    const QList<Message> unseen = std::exchange(m_batch, {});
    if (!m_batchIsNew)
        return 0;
    int returned = 0;
    for (const Message &message : unseen) {
        const DeliveryOrigin *origin = MessageAccess::origin(message);
        if (options.ackMode == AckMode::NoAck)
            qCWarning(lcChannel) << "a no-ack delivery was not taken before the consumer ended and is lost";
        else if (channel->settle({origin->incarnation, message.deliveryTag(), origin->channelNumber, Settlement::Kind::NackRequeue},
                                 false))
            ++returned;
    }
    return returned;
}

// --- deliveries -----------------------------------------------------------------------------------------------------------

void ConsumerPrivate::deliver(Engine::ReceivedMessage &received)
{
    static const QMetaMethod deliveredSignal = QMetaMethod::fromSignal(&Consumer::delivered);
    static const QMetaMethod batchSignal = QMetaMethod::fromSignal(&Consumer::batchDelivered);

    const bool noAck = options.ackMode == AckMode::NoAck;
    if (!noAck) {
        ++unackedCount;
        noteUnacked();
    }
    const bool isSteady = m_origin && QByteArrayView(m_origin->routingKeyBytes) == received.routingKey
        && QByteArrayView(m_origin->exchangeBytes) == received.exchange
        && m_origin->incarnation == channel->engine->incarnation();
    const Message message = isSteady
        ? MessageAccess::makeDelivered(std::move(received.body), std::move(received.properties), m_origin, received.deliveryTag,
                                       received.redelivered)
        : channel->makeMessage(received, options.consumerTag, noAck);
    if (!isSteady)
        m_origin.reset(MessageAccess::origin(message));

    const bool one = q->isSignalConnected(deliveredSignal);
    if (q->isSignalConnected(batchSignal)) {
        if (m_batch.isEmpty())
            channel->connection->noteBatch(this);
        m_batchIsNew = !one;
        m_batch.append(message);
    } else if (!one && !m_warnedOfNobody) {
        m_warnedOfNobody = true;
        qCWarning(lcChannel).noquote() << "deliveries for the consumer" << options.consumerTag
                                       << "arrive, but nothing is connected to delivered() or batchDelivered()";
    }
    if (one)
        Q_EMIT q->delivered(message); // the consumer may be gone now
}

void ConsumerPrivate::emitBatch()
{
    if (!m_batch.isEmpty())
        Q_EMIT q->batchDelivered(std::exchange(m_batch, {}));
}

void ConsumerPrivate::noteUnacked()
{
    if (!std::exchange(m_unackedNoted, true))
        channel->connection->noteUnackedChange(this);
}

void ConsumerPrivate::settled()
{
    --unackedCount;
    noteUnacked();
}

void ConsumerPrivate::emitUnackedCount()
{
    m_unackedNoted = false;
    if (std::exchange(m_toldUnackedCount, unackedCount) != unackedCount)
        Q_EMIT q->unackedCountChanged(unackedCount);
}

// --- the end --------------------------------------------------------------------------------------------------------------

void ConsumerPrivate::setState(State newState)
{
    state = newState;
    Q_EMIT q->stateChanged(newState);
}

void ConsumerPrivate::onCancelled(const Error &reason)
{
    if (isEnded())
        return;
    const QPointer<Consumer> consumer(q);
    if (channel->consumers.value(options.consumerTag) == this)
        channel->consumers.remove(options.consumerTag);
    if (cancelled) {
        const Promise<int> promise = *cancelled;
        promise.finish(0); // unless the broker's answer did
    }
    if (consumer)
        setState(State::Cancelled);
    if (consumer)
        Q_EMIT consumer->cancelled(reason);
}

void ConsumerPrivate::onChannelClosed(const Error &reason)
{
    entry.reset(); // its deliveries are the broker's again
    if (unackedCount > 0) {
        unackedCount = 0;
        noteUnacked();
    }
    if (isEnded())
        return;
    // The one that could not start would close the channel again.
    const bool couldNotStart = state == State::Starting && reason.method() == "basic.consume"_L1;
    if (!reason.isError() || cancelled || couldNotStart)
        return onCancelled(cancelled ? Error() : reason);
    setState(State::Recovering);
}

void ConsumerPrivate::channelGone()
{
    if (channel->connection)
        channel->connection->forget(this);
    if (entry)
        entry->context = nullptr;
    entry.reset();
    channel = nullptr;
    const Error gone = stateError(u"the channel was deleted"_s);
    started.finish(gone, ConnectionPrivate::Delivery::Posted);
    if (cancelled)
        cancelled->finish(0, ConnectionPrivate::Delivery::Posted);
    if (isEnded())
        return;
    state = State::Cancelled;
    QMetaObject::invokeMethod(
        q,
        [consumer = QPointer(q), gone] {
            Q_EMIT consumer->stateChanged(State::Cancelled);
            if (consumer)
                Q_EMIT consumer->cancelled(gone);
        },
        Qt::QueuedConnection);
}

} // namespace AmqpQt
