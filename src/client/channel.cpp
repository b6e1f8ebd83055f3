// SPDX-License-Identifier: MIT
#include "client/channel_p.h"

#include "client/consumer_p.h"

#include <algorithm>

namespace AmqpQt {

using namespace Qt::StringLiterals;
using Engine::CallId;
using Engine::ReplyValue;

Channel::Channel(Connection *connection, QObject *parent)
    : QObject(parent)
    , d(std::make_unique<ChannelPrivate>(this, connection->d.get()))
{
}

Channel::~Channel() = default;

Connection *Channel::connection() const
{
    return d->connection ? d->connection->q : nullptr;
}

quint16 Channel::number() const
{
    return d->engine ? d->engine->number() : 0;
}

Channel::State Channel::state() const
{
    return d->state;
}

Reply<void> Channel::whenOpen()
{
    if (isOpen())
        return Promise<void>::finished({});
    if (d->state == State::Closed || d->state == State::Closing)
        return Promise<void>::finished(Error(ErrorKind::NotOpen, u"channel %1 is closed"_s.arg(number())));
    return d->whenOpen.emplace_back().reply();
}

Error Channel::error() const
{
    return d->error;
}

BackpressureReasons Channel::backpressure() const
{
    return d->backpressure();
}

bool Channel::isWritable() const
{
    return isOpen() && !d->backpressure();
}

// --- publishing -----------------------------------------------------------------------------------------------------------

quint64 Channel::publish(const QString &exchange, const QString &routingKey, const Message &message, PublishFlags flags)
{
    if (const Error unusable = d->unusable("publish"); unusable.isError()) {
        d->refuse(unusable);
        return 0;
    }
    Error invalid;
    const QByteArray properties = MessageAccess::encodedProperties(message, &invalid);
    if (invalid.isError()) {
        d->refuse(invalid);
        return 0;
    }
    const Result<quint64> sequence =
        d->engine->publish(exchange, routingKey, properties, MessageAccess::body(message), flags.testFlag(PublishFlag::Mandatory));
    if (!sequence) {
        d->refuse(sequence.error());
        return 0;
    }
    d->connection->outputAdded();
    return *sequence;
}

// --- topology -------------------------------------------------------------------------------------------------------------

Reply<QueueInfo> Channel::declareQueue()
{
    return declareQueue(QString(), QueueOptions::temporary());
}

Reply<QueueInfo> Channel::declareQueue(const QString &name, const QueueOptions &options)
{
    return d->reply<QueueInfo>(
        "declareQueue", [&] { return d->engine->declareQueue(name, options, false); },
        [](const ReplyValue &value) { return std::get<QueueInfo>(value); },
        [](Channel *channel, const QueueInfo &queue) { Q_EMIT channel->queueDeclared(queue); });
}

Reply<QueueInfo> Channel::inspectQueue(const QString &name)
{
    return d->reply<QueueInfo>(
        "inspectQueue", [&] { return d->engine->declareQueue(name, {}, true); },
        [](const ReplyValue &value) { return std::get<QueueInfo>(value); },
        [](Channel *channel, const QueueInfo &queue) { Q_EMIT channel->queueDeclared(queue); });
}

Reply<quint32> Channel::deleteQueue(const QString &name, DeleteFlags flags)
{
    return d->reply<quint32>(
        "deleteQueue",
        [&] {
            return d->engine->deleteQueue(name, flags.testFlag(DeleteFlag::IfUnused), flags.testFlag(DeleteFlag::IfEmpty));
        },
        [](const ReplyValue &value) { return std::get<quint32>(value); },
        [name](Channel *channel, quint32 messageCount) { Q_EMIT channel->queueDeleted(name, messageCount); });
}

Reply<quint32> Channel::purgeQueue(const QString &name)
{
    return d->reply<quint32>(
        "purgeQueue", [&] { return d->engine->purgeQueue(name); },
        [](const ReplyValue &value) { return std::get<quint32>(value); });
}

Reply<void> Channel::bindQueue(const QString &queue, const QString &exchange, const QString &routingKey,
                               const FieldTable &arguments)
{
    return d->reply("bindQueue", [&] { return d->engine->bindQueue(queue, exchange, routingKey, arguments); });
}

Reply<void> Channel::unbindQueue(const QString &queue, const QString &exchange, const QString &routingKey,
                                 const FieldTable &arguments)
{
    return d->reply("unbindQueue", [&] { return d->engine->unbindQueue(queue, exchange, routingKey, arguments); });
}

Reply<void> Channel::declareExchange(const QString &name, const QString &type, const ExchangeOptions &options)
{
    return d->reply(
        "declareExchange", [&] { return d->engine->declareExchange(name, type, options, false); },
        [name](Channel *channel) { Q_EMIT channel->exchangeDeclared(name); });
}

Reply<void> Channel::inspectExchange(const QString &name)
{
    return d->reply("inspectExchange", [&] { return d->engine->declareExchange(name, {}, {}, true); });
}

Reply<void> Channel::deleteExchange(const QString &name, DeleteFlags flags)
{
    return d->reply("deleteExchange",
                    [&] { return d->engine->deleteExchange(name, flags.testFlag(DeleteFlag::IfUnused)); });
}

// --- consuming ------------------------------------------------------------------------------------------------------------

Reply<void> Channel::setPrefetch(quint16 count, PrefetchScope scope)
{
    return d->reply("setPrefetch", [&] { return d->engine->setPrefetch(count, scope == PrefetchScope::PerChannel); });
}

Consumer *Channel::consume(const QString &queue, const ConsumeOptions &options, QObject *parent)
{
    return d->consume(queue, options, parent ? parent : this);
}

QList<Consumer *> Channel::consumers() const
{
    QList<ConsumerPrivate *> sorted = d->consumers.values();
    std::sort(sorted.begin(), sorted.end(), [](const auto *a, const auto *b) { return a->serial < b->serial; });
    QList<Consumer *> consumers;
    for (const ConsumerPrivate *consumer : std::as_const(sorted))
        consumers.append(consumer->q);
    return consumers;
}

Consumer *Channel::consumer(const QString &consumerTag) const
{
    const ConsumerPrivate *consumer = d->consumers.value(consumerTag);
    return consumer ? consumer->q : nullptr;
}

Reply<std::optional<GetResult>> Channel::get(const QString &queue, AckMode ackMode)
{
    const bool noAck = ackMode == AckMode::NoAck;
    return d->reply<std::optional<GetResult>>(
        "get", [&] { return d->engine->get(queue, noAck); },
        [channel = QPointer(this), noAck](ReplyValue &value) -> std::optional<GetResult> {
            auto *got = std::get_if<Engine::GotMessage>(&value);
            if (!got || !channel)
                return std::nullopt;
            return GetResult{channel->d->makeMessage(got->message, {}, noAck), got->remaining};
        });
}

bool Channel::ack(const Message &message)
{
    return d->settle("ack", message, Settlement::Kind::Ack, false);
}

bool Channel::ackUpTo(const Message &message)
{
    return d->settle("ackUpTo", message, Settlement::Kind::Ack, true);
}

bool Channel::nack(const Message &message, Requeue requeue)
{
    return d->settle("nack", message,
                     requeue == Requeue::Yes ? Settlement::Kind::NackRequeue : Settlement::Kind::NackDiscard, false);
}

bool Channel::nackUpTo(const Message &message, Requeue requeue)
{
    return d->settle("nackUpTo", message,
                     requeue == Requeue::Yes ? Settlement::Kind::NackRequeue : Settlement::Kind::NackDiscard, true);
}

// --- open, close ----------------------------------------------------------------------------------------------------------

Reply<void> Channel::reopen()
{
    return d->reopen();
}

Reply<void> Channel::close()
{
    return d->close();
}

} // namespace AmqpQt
