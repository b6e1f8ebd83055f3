// SPDX-License-Identifier: MIT
#include "client/channel_p.h"

#include "client/consumer_p.h"
#include "values/logging_p.h"

#include <QtCore/qmetaobject.h>

#include <algorithm>

namespace AmqpQt {

using namespace Qt::StringLiterals;
using Engine::CallId;

ChannelPrivate::ChannelPrivate(Channel *channel, ConnectionPrivate *connectionPrivate)
    : q(channel)
    , connection(connectionPrivate)
{
}

ChannelPrivate::~ChannelPrivate()
{
    for (ConsumerPrivate *consumer : std::exchange(everyConsumer, {}))
        consumer->channelGone();
    const Error deleted(ErrorKind::Cancelled, u"the channel was deleted"_s);
    for (const Promise<void> &promise : whenOpen)
        promise.finish(deleted, ConnectionPrivate::Delivery::Posted);
    if (!connection)
        return;
    connection->channels.remove(this);
    if (engine) {
        engine->release(); // its calls end in the next turn
        connection->scheduleTurn();
    }
}

void ChannelPrivate::start(std::shared_ptr<Engine::ChannelEngine> engineChannel)
{
    connection->channels.insert(this);
    engine = std::move(engineChannel);
    state = State::Opening;
    engine->open();
    connection->scheduleTurn();
}

void ChannelPrivate::startFailed(const Error &reason)
{
    error = reason;
    // Not by the connection's loop: the call may come from a foreign thread.
    QMetaObject::invokeMethod(
        q,
        [channel = QPointer(q), reason] {
            Q_EMIT channel->errorOccurred(reason);
            if (channel)
                Q_EMIT channel->closed(reason);
        },
        Qt::QueuedConnection);
}

void ChannelPrivate::connectionGone()
{
    const Error gone(ErrorKind::Cancelled, u"the connection was deleted"_s);
    engine->context = nullptr;
    engine.reset();
    for (const Promise<void> &promise : std::exchange(whenOpen, {}))
        promise.finish(gone, ConnectionPrivate::Delivery::Posted);
    consumers.clear();
    for (ConsumerPrivate *consumer : std::exchange(everyConsumer, {}))
        consumer->channelGone();
    connection = nullptr;
    if (state == State::Closed)
        return;
    state = State::Closed;
    error = gone;
    defer(q, [channel = QPointer(q), gone] {
        Q_EMIT channel->errorOccurred(gone);
        if (channel)
            Q_EMIT channel->stateChanged(State::Closed);
        if (channel)
            Q_EMIT channel->closed(gone);
    });
}

void ChannelPrivate::defer(QObject *context, std::function<void()> action)
{
    if (connection)
        connection->defer(context, std::move(action));
    else
        QMetaObject::invokeMethod(context, std::move(action), Qt::QueuedConnection);
}

// --- calls ----------------------------------------------------------------------------------------------------------------

Error ChannelPrivate::unusable(const char *function) const
{
    if (!connection)
        return Error(ErrorKind::NotOpen, u"the connection of this channel is gone"_s);
    if (!connection->isOwnThread(function))
        return Error(ErrorKind::InvalidArgument, u"%1() in a foreign thread"_s.arg(QLatin1StringView(function)));
    if (!engine)
        return Error(ErrorKind::NotOpen, u"the channel got no number"_s);
    return {};
}

Error ChannelPrivate::refuse(Error reason)
{
    if (q->thread() != QThread::currentThread()) // nothing of ours is to be touched
        return reason;
    error = reason;
    defer(q, [channel = q, reason] { Q_EMIT channel->errorOccurred(reason); });
    return reason;
}

Result<CallId> ChannelPrivate::submit(const char *function, const Call &call)
{
    if (const Error reason = unusable(function); reason.isError())
        return refuse(reason);
    const Result<CallId> id = call();
    return id ? id : Result<CallId>(refuse(id.error()));
}

Reply<void> ChannelPrivate::reopen()
{
    const Reply<void> opening = reply("reopen", [this] { return engine->open(); });
    if (!engine || state != State::Closed || engine->state() != Engine::ChannelEngine::State::Opening)
        return opening;
    state = State::Opening;
    connection->defer(q, [channel = q] { Q_EMIT channel->stateChanged(State::Opening); });
    for (Consumer *consumer : q->consumers())
        consumers.value(consumer->consumerTag())->start();
    return opening;
}

Reply<void> ChannelPrivate::close()
{
    if (unusable("close").isError() || state == State::Closed)
        return Promise<void>::finished({});
    if (closing)
        return *closing;
    closing = reply("close", [this] { return engine->close(); });
    if (engine->state() == Engine::ChannelEngine::State::Closing) {
        state = State::Closing;
        connection->defer(q, [channel = q] { Q_EMIT channel->stateChanged(State::Closing); });
    }
    return *closing;
}

Consumer *ChannelPrivate::consume(const QString &queue, ConsumeOptions options, QObject *parent)
{
    const bool ownThread = !connection || connection->isOwnThread("consume");
    while (options.consumerTag.isEmpty()) {
        options.consumerTag = u"amqpqt-%1"_s.arg(lastConsumer + 1);
        if (consumers.contains(options.consumerTag))
            options.consumerTag.clear();
        ++lastConsumer;
    }
    auto *consumer = new Consumer(q, ownThread ? parent : nullptr);
    consumer->d = std::make_unique<ConsumerPrivate>(consumer, this, queue, options, ++lastConsumer);
    if (const Error reason = unusable("consume"); reason.isError())
        consumer->d->startFailed(reason);
    else
        consumer->d->start();
    return consumer;
}

// --- settling -------------------------------------------------------------------------------------------------------------

bool ChannelPrivate::settle(const char *function, const Message &message, Settlement::Kind kind, bool upTo)
{
    if (const Error reason = unusable(function); reason.isError()) {
        refuse(reason);
        return false;
    }
    const DeliveryOrigin *origin = MessageAccess::origin(message);
    if (!origin || !origin->mailbox || origin->noAck) {
        refuse(Error(ErrorKind::InvalidArgument, u"message: it is no delivery that could be settled"_s));
        return false;
    }
    const bool isOurs = origin->mailbox == connection->mailbox && origin->incarnation == engine->incarnation();
    if (isOurs && settle({origin->incarnation, message.deliveryTag(), origin->channelNumber, kind}, upTo))
        return true;
    refuse(Error(ErrorKind::StaleDelivery,
                 isOurs ? u"delivery %1 on channel %2 is settled already, or the channel was closed"_s.arg(message.deliveryTag())
                              .arg(origin->channelNumber)
                        : u"delivery %1 is of another channel, or of channel %2 before it was reopened"_s.arg(message.deliveryTag())
                              .arg(origin->channelNumber)));
    return false;
}

bool ChannelPrivate::settle(const Settlement &settlement, bool upTo)
{
    if (!engine || engine->incarnation() != settlement.incarnation)
        return false;
    using Settled = Engine::ChannelEngine::Settled;
    const quint64 tag = settlement.deliveryTag;
    const bool requeue = settlement.kind == Settlement::Kind::NackRequeue;
    const bool isAck = settlement.kind == Settlement::Kind::Ack;
    const auto count = [](const Settled &settled) {
        if (settled.consumerContext)
            static_cast<ConsumerPrivate *>(settled.consumerContext)->settled();
    };
    if (upTo) {
        const std::vector<Settled> all = isAck ? engine->ackUpTo(tag) : engine->nackUpTo(tag, requeue);
        if (all.empty())
            return false;
        std::for_each(all.begin(), all.end(), count);
    } else {
        const Settled settled = isAck ? engine->ack(tag) : engine->nack(tag, requeue);
        if (!settled.ok)
            return false;
        count(settled);
    }
    connection->scheduleTurn();
    return true;
}

Message ChannelPrivate::makeMessage(Engine::ReceivedMessage &received, const QString &consumerTag, bool noAck) const
{
    QExplicitlySharedDataPointer<DeliveryOrigin> origin(new DeliveryOrigin);
    origin->exchangeBytes = received.exchange.toByteArray();
    origin->routingKeyBytes = received.routingKey.toByteArray();
    origin->exchange = QString::fromUtf8(received.exchange);
    origin->routingKey = QString::fromUtf8(received.routingKey);
    origin->consumerTag = consumerTag;
    origin->incarnation = engine->incarnation();
    origin->channelNumber = engine->number();
    origin->noAck = noAck;
    if (received.deliveryTag > 0) // a returned message has none
        origin->mailbox = connection->mailbox;
    return MessageAccess::makeDelivered(std::move(received.body), std::move(received.properties),
                                        QExplicitlySharedDataPointer<const DeliveryOrigin>(origin.data()), received.deliveryTag,
                                        received.redelivered);
}

// --- events ---------------------------------------------------------------------------------------------------------------

void ChannelPrivate::setState(State newState)
{
    state = newState;
    qCDebug(lcChannel) << q << q->number() << newState;
    Q_EMIT q->stateChanged(newState);
}

void ChannelPrivate::onOpened()
{
    if (state != State::Opening)
        return; // a slot called close() meanwhile
    const QPointer<Channel> channel(q);
    const auto waiting = std::exchange(whenOpen, {});
    setState(State::Open);
    for (const Promise<void> &promise : waiting)
        promise.finish({});
    if (channel)
        tellBackpressure();
    if (channel)
        Q_EMIT channel->opened();
}

void ChannelPrivate::onClosed(const Error &reason)
{
    const QPointer<Channel> channel(q);
    state = State::Closed;
    closing.reset();
    toldFlowStopped = false;
    const Error notOpened = reason.isError() ? reason : Error(ErrorKind::Cancelled, u"the channel was closed"_s);
    for (const Promise<void> &promise : std::exchange(whenOpen, {}))
        promise.finish(notOpened);
    if (!channel)
        return;
    const QList<Consumer *> all = q->consumers();
    const QList<QPointer<Consumer>> stillThere(all.begin(), all.end());
    for (const QPointer<Consumer> &consumer : stillThere) {
        if (consumer)
            consumer->d->onChannelClosed(reason);
        if (!channel)
            return;
    }
    tellBackpressure();
    if (channel && reason.isError()) {
        error = reason;
        Q_EMIT channel->errorOccurred(reason);
    }
    if (channel && state == State::Closed)
        setState(State::Closed);
    if (channel)
        Q_EMIT channel->closed(reason);
}

BackpressureReasons ChannelPrivate::backpressure() const
{
    BackpressureReasons reasons;
    if (!connection || !engine)
        return reasons;
    reasons.setFlag(Backpressure::BrokerBlocked, connection->engine.isBlocked());
    reasons.setFlag(Backpressure::WriteBufferFull, !connection->engine.isWritable());
    reasons.setFlag(Backpressure::ChannelFlow, engine->isFlowed());
    return reasons;
}

void ChannelPrivate::setFlow(bool active)
{
    toldFlowStopped = !active;
    tellBackpressure();
}

void ChannelPrivate::tellBackpressure()
{
    const QPointer<Channel> channel(q);
    BackpressureReasons reasons;
    reasons.setFlag(Backpressure::BrokerBlocked, connection->toldBlocked);
    reasons.setFlag(Backpressure::WriteBufferFull, connection->toldBufferFull);
    reasons.setFlag(Backpressure::ChannelFlow, toldFlowStopped);
    const bool isWritable = state == State::Open && !reasons;
    if (std::exchange(m_toldBackpressure, reasons) != reasons)
        Q_EMIT q->backpressureChanged(reasons);
    if (channel && std::exchange(m_toldWritable, isWritable) != isWritable)
        Q_EMIT channel->writableChanged(isWritable);
}

} // namespace AmqpQt
