// SPDX-License-Identifier: MIT
#include "client/channel/channel_p.h"

#include "base/logging_p.h"
#include "client/adopt_p.h"
#include "client/consumer/consumer_p.h"
#include "wire/fieldtable_p.h"

#include <QtCore/qmetaobject.h>

#include <algorithm>

namespace AmqpQt
{

using namespace Qt::StringLiterals;
using Engine::CallId;

ChannelPrivate::ChannelPrivate(Channel *channel, ConnectionPrivate *connectionPrivate)
    : q(channel)
    , connection(connectionPrivate)
    , serialNumber(connectionPrivate ? connectionPrivate->channels.add(this) : 0)
{
}

ChannelPrivate::~ChannelPrivate()
{
    const Error deleted(ErrorKind::Cancelled, u"the channel was deleted"_s);
    if (connection)
        connection->takeSettlements(); // earlier settlements of other threads are still sent
    for (ConsumerPrivate *consumer : consumers.takeAll())
        consumer->channelDestroyed(deleted);
    for (const Promise<void> &promise : whenOpen)
        promise.finish(deleted, ConnectionPrivate::Delivery::Posted);
    if (reopening)
        reopening->finish(deleted, ConnectionPrivate::Delivery::Posted);
    confirms.fail(deleted);
    if (!connection)
        return;
    connection->channels.remove(this);
    connection->dispatcher.forget(this);
    if (engine) {
        engine->release();
        connection->finishCallsOf(engine.get());
        connection->scheduler.schedule();
    }
}

void ChannelPrivate::start(std::shared_ptr<Engine::ChannelEngine> engineChannel)
{
    engine = std::move(engineChannel);
    if (const Result<CallId> opening = engine->open(); !opening) // the connection is closing
        return startFailed(opening.error());
    state = State::Opening;
    connection->scheduler.schedule();
}

void ChannelPrivate::startFailed(const Error &reason)
{
    setError(reason);
    defer(q, [channel = q, reason] { Q_EMIT channel->closed(reason); });
}

void ChannelPrivate::connectionDestroyed(const Error &gone)
{
    for (ConsumerPrivate *consumer : consumers.takeAll())
        consumer->channelDestroyed(gone);
    if (engine)
        engine->client = nullptr;
    engine.reset();
    connection = nullptr;
    for (const Promise<void> &promise : std::exchange(whenOpen, {}))
        promise.finish(gone, ConnectionPrivate::Delivery::Posted);
    if (const auto promise = std::exchange(reopening, nullptr))
        promise->finish(gone, ConnectionPrivate::Delivery::Posted);
    confirms.fail(gone);
    if (state == State::Closed)
        return;
    state = State::Closed;
    flow.report();
    setError(gone);
    setState(State::Closed);
    defer(q, [channel = q, gone] { Q_EMIT channel->closed(gone); });
}

void ChannelPrivate::defer(QObject *context, std::function<void()> action)
{
    if (connection)
        connection->dispatcher.defer(context, std::move(action));
    else
        QMetaObject::invokeMethod(context, std::move(action), Qt::QueuedConnection);
}

Error ChannelPrivate::checkUsable(const char *function) const
{
    if (!connection)
        return Error(ErrorKind::NotOpen, u"the connection of this channel was deleted"_s);
    if (!connection->isOwnThread(function))
        return Error(ErrorKind::InvalidArgument,
                     u"%1() was called from another thread"_s.arg(QLatin1StringView(function)));
    if (!engine)
        return Error(ErrorKind::NotOpen, u"the channel has no number because no channel number was free"_s);
    return {};
}

Error ChannelPrivate::reportCallError(const Error &reason)
{
    if (q->thread() != QThread::currentThread()) // another thread must not touch this object
        return reason;
    lastCallError = reason;
    defer(q, [channel = q, reason] { Q_EMIT channel->errorOccurred(reason); });
    return reason;
}

void ChannelPrivate::setError(const Error &reason)
{
    error = reason;
    defer(q, [channel = q, reason] { Q_EMIT channel->errorOccurred(reason); });
}

void ChannelPrivate::reportFailedSettlement(quint64 deliveryTag, const Error &reason)
{
    lastCallError = reason;
    defer(q, [channel = q, deliveryTag, reason] { Q_EMIT channel->settlementFailed(deliveryTag, reason); });
}

Result<CallId> ChannelPrivate::submit(const char *function, const Call &call)
{
    if (const Error reason = checkUsable(function); reason.isError())
        return reportCallError(reason);
    const Result<CallId> id = call();
    return id ? id : Result<CallId>(reportCallError(id.error()));
}

Reply<void> ChannelPrivate::reopen()
{
    if (const Error reason = checkUsable("reopen"); reason.isError())
        return Promise<void>::finished(reportCallError(reason));
    if (reopening)
        return reopening->reply();
    // The channel waits for the connection or for the broker.
    if ((state == State::Opening || state == State::Recovering) && engine->acceptsCalls())
        return whenOpen.emplace_back().reply();
    const Promise<void> promise;
    if (state != State::Closed && engine->state() == Engine::ChannelEngine::State::Closed)
        reopening = std::make_unique<Promise<void>>(promise); // closed() must be emitted first
    else
        startReopening(promise);
    return promise.reply();
}

void ChannelPrivate::startReopening(const Promise<void> &promise)
{
    const Result<CallId> id = engine->open();
    if (!id)
        return promise.finish(reportCallError(id.error()));
    connection->addCall(*id, [promise](const Engine::ReplyValue &value, ConnectionPrivate::Delivery delivery) {
        const Error *failure = std::get_if<Error>(&value);
        promise.finish(failure ? Result<void>(*failure) : Result<void>(), delivery);
    });
    setState(State::Opening);
    for (Consumer *consumer : q->consumers()) {
        if (!consumer->d->waitsForQueue)
            consumer->d->start();
    }
}

Reply<void> ChannelPrivate::close()
{
    if (connection && !connection->isOwnThread("close"))
        return Promise<void>::finished(Error(ErrorKind::InvalidArgument, u"close() was called from another thread"_s));
    if (const auto promise = std::exchange(reopening, nullptr))
        promise->finish(Error(ErrorKind::Cancelled, u"the channel was closed"_s), ConnectionPrivate::Delivery::Posted);
    if (!engine || state == State::Closed || engine->state() == Engine::ChannelEngine::State::Closed)
        return Promise<void>::finished({});
    if (state == State::Closing)
        return closing ? *closing : connection->close(); // closing the connection also closes this channel
    connection->takeSettlements();                       // earlier settlements of other threads are still sent
    closing = std::make_unique<Reply<void>>(reply("close", [this] { return engine->close(); }));
    noteClosing();
    return *closing;
}

void ChannelPrivate::noteClosing()
{
    if (state == State::Closing || !engine || engine->state() != Engine::ChannelEngine::State::Closing)
        return;
    setState(State::Closing);
    flow.report();
}

Consumer *ChannelPrivate::consume(const QString &queue, ConsumeOptions options, QObject *parent)
{
    const Error reason = checkUsable("consume");
    if (reason.isError()) {
        auto *failed = new Consumer(q, nullptr);
        failed->d = std::make_unique<ConsumerPrivate>(failed, nullptr, queue, options);
        failed->d->startFailed(reportCallError(reason));
        adopt(parent, failed);
        return failed;
    }
    if (parent->thread() != q->thread()) {
        qCWarning(lcChannel,
                  "consume(): the parent lives in another thread; the consumer is a child of the channel instead");
        parent = q;
    }
    auto *consumer = new Consumer(q, parent);
    if (options.consumerTag.isEmpty())
        options.consumerTag = consumers.unusedTag();
    consumer->d = std::make_unique<ConsumerPrivate>(consumer, this, queue, options);
    consumer->d->start();
    return consumer;
}

bool ChannelPrivate::settle(const char *function, const Message &message, Settlement::Kind kind, bool upTo)
{
    if (const Error reason = checkUsable(function); reason.isError()) {
        reportCallError(reason);
        return false;
    }
    const DeliveryOrigin *origin = MessageAccess::origin(message);
    if (!origin || !origin->mailbox || origin->noAck) {
        reportCallError(Error(ErrorKind::InvalidArgument,
                              u"this message is not a delivery that can be acknowledged or rejected"_s));
        return false;
    }
    const bool isCurrent = origin->mailbox == connection->mailbox && origin->incarnation == engine->incarnation();
    if (isCurrent && settle({origin->incarnation, message.deliveryTag(), origin->channelNumber, kind}, upTo))
        return true;
    if (origin->mailbox == connection->mailbox && origin->incarnation <= connection->engine.gate().lostIncarnation())
        return false; // the broker has requeued it
    const QString text = isCurrent
                             ? u"delivery %1 on channel %2 has already been settled, or the channel was closed"_s
                             : u"delivery %1 belongs to another channel, or to channel %2 before it was reopened"_s;
    reportFailedSettlement(message.deliveryTag(),
                           Error(ErrorKind::StaleDelivery, text.arg(message.deliveryTag()).arg(origin->channelNumber)));
    return false;
}

bool ChannelPrivate::settle(const Settlement &settlement, bool upTo)
{
    if (!engine || engine->incarnation() != settlement.incarnation)
        return false;
    using Settled = Engine::Deliveries::Settled;
    const quint64 tag = settlement.deliveryTag;
    const bool requeue = settlement.kind == Settlement::Kind::NackRequeue;
    const bool isAck = settlement.kind == Settlement::Kind::Ack;
    const auto count = [](const Settled &settled) {
        if (settled.consumer)
            static_cast<ConsumerPrivate *>(settled.consumer)->settled(settled.count);
    };
    if (upTo) {
        const std::vector<Settled> all =
            isAck ? engine->deliveries().ackUpTo(tag) : engine->deliveries().nackUpTo(tag, requeue);
        if (all.empty())
            return false;
        std::for_each(all.begin(), all.end(), count);
    } else {
        const Settled settled = isAck ? engine->deliveries().ack(tag) : engine->deliveries().nack(tag, requeue);
        if (settled.count == 0)
            return false;
        count(settled);
    }
    connection->scheduler.schedule();
    return true;
}

void ChannelPrivate::ackUnsettled(Channel *channel, const QList<Message> &messages)
{
    for (const Message &message : messages) {
        const DeliveryOrigin *origin = MessageAccess::origin(message);
        channel->d->settle({origin->incarnation, message.deliveryTag(), origin->channelNumber, Settlement::Kind::Ack},
                           false);
    }
}

Message ChannelPrivate::makeMessage(Engine::ReceivedMessage &received, const QString &consumerTag, bool noAck) const
{
    QExplicitlySharedDataPointer<DeliveryOrigin> origin(new DeliveryOrigin);
    origin->exchangeBytes = received.exchange.toByteArray();
    origin->routingKeyBytes = received.routingKey.toByteArray();
    origin->exchange = Wire::decodeText(received.exchange);
    origin->routingKey = Wire::decodeText(received.routingKey);
    origin->consumerTag = consumerTag;
    origin->incarnation = engine->incarnation();
    origin->channelSerial = serialNumber;
    origin->channelNumber = engine->number();
    origin->noAck = noAck;
    if (received.deliveryTag > 0) // a returned message has no delivery tag
        origin->mailbox = connection->mailbox;
    return MessageAccess::makeDelivered(std::move(received.body), std::move(received.properties),
                                        QExplicitlySharedDataPointer<const DeliveryOrigin>(origin.data()),
                                        received.deliveryTag, received.redelivered);
}

void ChannelPrivate::recountUnacked()
{
    for (ConsumerPrivate *consumer : consumers.all())
        consumer->recountUnacked();
}

void ChannelPrivate::setState(State newState)
{
    state = newState;
    qCDebug(lcChannel) << q << q->number() << newState;
    defer(q, [channel = q, newState] { Q_EMIT channel->stateChanged(newState); });
}

void ChannelPrivate::onOpened()
{
    if (state != State::Opening && state != State::Recovering)
        return; // a slot has called close() in the meantime
    const bool isRestored = state == State::Recovering;
    for (const Promise<void> &promise : std::exchange(whenOpen, {}))
        connection->dispatcher.finishLater(promise, {});
    setState(State::Open);
    flow.report();
    if (!isRestored)
        defer(q, [channel = q] { Q_EMIT channel->opened(); });
}

// A channel that has never been open stays in State::Opening.
void ChannelPrivate::onSuspended()
{
    if (!engine->isSuspended())
        return; // a slot has closed it in the meantime
    flow.channelEnded();
    const bool wasOpen = state == State::Open;
    if (wasOpen)
        state = State::Recovering;
    for (ConsumerPrivate *consumer : consumers.all())
        consumer->onSuspended();
    flow.report();
    if (wasOpen)
        setState(State::Recovering);
}

void ChannelPrivate::onClosed(const Error &reason)
{
    closing.reset();
    flow.channelEnded();
    state = State::Closed;
    for (const Promise<void> &promise : std::exchange(whenOpen, {}))
        connection->dispatcher.finishLater<void>(
            promise, reason.isError() ? reason : Error(ErrorKind::Cancelled, u"the channel was closed"_s));
    const ConsumerPrivate *rejected = consumers.rejectedBy(reason);
    for (ConsumerPrivate *consumer : consumers.all())
        consumer->onChannelClosed(reason, consumer == rejected);
    flow.report();
    if (reason.isError())
        setError(reason);
    setState(State::Closed);
    defer(q, [channel = q, reason] { Q_EMIT channel->closed(reason); });
    if (reopening) {
        defer(q, [this] {
            if (const auto promise = std::exchange(reopening, nullptr))
                startReopening(*promise);
        });
    }
}

void ChannelPrivate::renameQueues(const QHash<QString, QString> &newNames)
{
    for (ConsumerPrivate *consumer : consumers.all())
        consumer->renameQueue(newNames);
}

quint64 ChannelPrivate::publish(const char *function, const QString &exchange, const QString &routingKey,
                                const Message &message, Channel::PublishFlags flags)
{
    const auto fail = [this](const Error &reason) {
        reportCallError(reason);
        return quint64(0);
    };
    const MessagePrivate *content = MessageAccess::data(message);
    const QByteArray *properties = content ? content->encodedProperties() : nullptr;
    if (!properties || !isKnownUsable()) {
        Error reason = checkUsable(function);
        if (!reason.isError())
            properties = MessageAccess::encodedProperties(message, &reason);
        if (reason.isError())
            return fail(reason);
    }
    const QByteArray &body = content ? content->body : MessageAccess::body(message);
    const Engine::Published published =
        engine->publish(exchange, routingKey, *properties, body, flags.testFlag(Channel::PublishFlag::Mandatory));
    if (!published)
        return fail(published.error());
    confirms.published(*published, engine->mode() == Engine::ChannelEngine::Mode::Confirm);
    connection->outputAdded();
    return *published;
}

Reply<void> ChannelPrivate::publishWithReply(const QString &exchange, const QString &routingKey, const Message &message,
                                             Channel::PublishFlags flags)
{
    Error reason = checkUsable("publishWithReply");
    if (!reason.isError() && engine->acceptsCalls()) // otherwise publish() reports that the channel is not open
        reason = checkConfirmMode("publishWithReply");
    if (reason.isError())
        return Promise<void>::finished(reportCallError(reason));
    const quint64 sequence = publish("publishWithReply", exchange, routingKey, message, flags);
    if (sequence == 0)
        return Promise<void>::finished(lastCallError);
    return confirms.whenConfirmed(sequence);
}

Reply<void> ChannelPrivate::whenConfirmed()
{
    Error reason = checkUsable("whenConfirmed");
    if (!reason.isError())
        reason = checkConfirmMode("whenConfirmed");
    if (reason.isError())
        return Promise<void>::finished(reportCallError(reason));
    return confirms.whenAllConfirmed();
}

Error ChannelPrivate::checkConfirmMode(const char *function) const
{
    if (engine->mode() == Engine::ChannelEngine::Mode::Confirm)
        return {};
    return Error(ErrorKind::InvalidArgument, u"%1() requires confirm mode; call confirmSelect() on channel %2 first"_s
                                                 .arg(QLatin1StringView(function))
                                                 .arg(q->number()));
}

Reply<void> ChannelPrivate::select(const char *function, const Call &call)
{
    const Channel::Mode before = q->mode();
    const Reply<void> selecting = reply(function, call);
    const Channel::Mode mode = q->mode();
    if (mode == before)
        return selecting;
    if (mode == Channel::Mode::Confirm)
        confirms.selected();
    defer(q, [channel = q, mode] { Q_EMIT channel->modeChanged(mode); });
    return selecting;
}

} // namespace AmqpQt
