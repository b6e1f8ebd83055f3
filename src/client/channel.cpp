// SPDX-License-Identifier: MIT
#include "client/channel_p.h"

#include "client/consumer_p.h"

#include <algorithm>

namespace AmqpQt
{

using namespace Qt::StringLiterals;
using Engine::CallId;
using Engine::ReplyValue;

Channel::Channel(Connection *connection, QObject *parent)
    : QObject(parent)
    , d(std::make_unique<ChannelPrivate>(this, connection ? connection->d.get() : nullptr))
{
}

/*!
    Closes the channel on the wire (\c channel.close) without waiting for the answer. Its unfinished replies end with
    ErrorKind::Cancelled, see Reply, its consumers with Consumer::cancelled(). Unsettled deliveries go back to their
    queues. Published messages that wait to be sent, because the connection is not open yet or is blocked by the broker,
    are dropped, and a warning in the category \c amqpqt.channel lists their numbers. The channel itself emits nothing
    more.
*/
Channel::~Channel() = default;

/*!
    Returns the connection of this channel, or null once it has been deleted.
*/
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

/*!
    Returns a reply that succeeds when the channel is open: at once if it is open already, otherwise with
    \c channel.open-ok. It ends with ErrorKind::NotOpen at once while the channel is closed or closing, and with the
    reason if the channel ends before it opens.
*/
Reply<void> Channel::whenOpen()
{
    if (const Error reason = d->unusable("whenOpen"); reason.isError())
        return Promise<void>::finished(reason);
    if (isOpen() && d->engine->acceptsCalls())
        return Promise<void>::finished({});
    if ((d->state == State::Closed || d->state == State::Closing) && !d->reopening)
        return Promise<void>::finished(Error(ErrorKind::NotOpen, u"channel %1 is closed"_s.arg(number())));
    return d->whenOpen.emplace_back().reply();
}

Error Channel::error() const
{
    return d->error;
}

Error Channel::lastCallError() const
{
    return d->lastCallError;
}

BackpressureReasons Channel::backpressure() const
{
    return d->backpressure();
}

bool Channel::isWritable() const
{
    return d->state == State::Open && !d->backpressure();
}

/*!
    Publishes \a message to \a exchange with \a routingKey (\c basic.publish). An empty \a exchange means the default
    exchange, which routes to the queue whose name is the routing key. With PublishFlag::Mandatory in \a flags a message
    without a route is returned by messageReturned(); without the flag, the broker drops it.

    Returns the message's sequence number, which starts at 1 and is never reused by this object, not even after
    reopen(). Returns 0 if the message was refused; then error() has the reason, and errorOccurred() follows:

    \table
    \header \li ErrorKind \li When
    \row \li NotOpen \li The channel is closed or closing. Messages wait until it opens for the first time.
    \row \li InvalidArgument \li The exchange name or the routing key exceeds 255 bytes of UTF-8; a property or header
             cannot be sent, see Message; the properties do not fit into one frame; the message alone exceeds
             ConnectionParameters::bufferLimit(). Or RabbitMQ would close the channel: the expiration is over ten years,
             Message::userId() is not the user of the connection (see ConnectionParameters::setChecksUserId()), one of
             the headers \c CC and \c BCC is not a list, or Message::replyTo() is \c amq.rabbitmq.reply-to and no
             consumer of this channel takes the replies.
    \row \li BufferFull \li The unsent bytes would exceed ConnectionParameters::bufferLimit().
    \endtable

    The message is written to the socket with others at the end of the current event loop iteration, or when 128 KiB
    have accumulated. Bodies of 32 KiB or more are not copied. A sequence number means that the channel has accepted the
    message, not that the broker has received it.

    If \a exchange does not exist the broker closes the channel with 404.
*/
quint64 Channel::publish(const QString &exchange, const QString &routingKey, const Message &message, PublishFlags flags)
{
    return d->publish("publish", exchange, routingKey, message, flags);
}

/*!
    Publishes as publish() does, with the same arguments \a exchange, \a routingKey, \a message and \a flags, and
    returns a reply with the outcome. The channel has to be in confirm mode, otherwise the reply ends with
    ErrorKind::InvalidArgument.

    The reply succeeds when the broker has taken responsibility for the message (\c basic.ack). It ends with
    ErrorKind::Returned if a mandatory message had no route, with ErrorKind::Nacked if the broker refused it
    (\c basic.nack), with ErrorKind::Unconfirmed if the channel closed first and the outcome is unknown, and with the
    errors of publish() if it was not sent. publishConfirmed() and publishFailed() are emitted as well.
*/
Reply<void> Channel::publishWithReply(const QString &exchange, const QString &routingKey, const Message &message,
                                      PublishFlags flags)
{
    return d->publishWithReply(exchange, routingKey, message, flags);
}

/*!
    Puts the channel into confirm mode (\c confirm.select): publishConfirmed() or publishFailed() reports the outcome of
    each message published after this call once. The mode cannot be left. A channel in transaction mode refuses the call
    with ErrorKind::InvalidArgument. reopen() sets the mode again.

    See \l {https://www.rabbitmq.com/docs/confirms#publisher-confirms} {publisher confirms}.
*/
Reply<void> Channel::confirmSelect()
{
    return d->select("confirmSelect", [this] { return d->engine->confirmSelect(); });
}

/*!
    Returns a reply that succeeds when the broker has confirmed all messages published so far in confirm mode. If some
    failed, it ends with the first error once the outcome of all messages is known. Without confirm mode it ends with
    ErrorKind::InvalidArgument.
*/
Reply<void> Channel::whenConfirmed()
{
    return d->whenConfirmed();
}

Channel::Mode Channel::mode() const
{
    return d->engine ? Mode(d->engine->mode()) : Mode::Plain;
}

int Channel::unconfirmedCount() const
{
    return d->unconfirmedCount;
}

/*!
    Returns the maximum number of sent but unconfirmed messages; 0, the default, means no limit.
*/
int Channel::confirmWindow() const
{
    return d->engine ? d->engine->confirmWindow() : 0;
}

/*!
    Limits the number of sent but unconfirmed messages to \a messages; 0 means no limit. Further messages are accepted,
    counted in unconfirmedCount() and queued until confirms arrive, within ConnectionParameters::bufferLimit().
    Subsequent calls wait behind them, so order is kept. BackpressureReason::ConfirmWindowFull is set when the limit is
    reached and cleared when half of these messages are confirmed. The limit has an effect in confirm mode only. A
    negative number is refused with ErrorKind::InvalidArgument in lastCallError().
*/
void Channel::setConfirmWindow(int messages)
{
    Error reason = d->unusable("setConfirmWindow");
    if (!reason.isError() && messages < 0)
        reason = Error(ErrorKind::InvalidArgument, u"messages: %1 is out of range; the minimum is 0"_s.arg(messages));
    if (reason.isError()) {
        d->reportCallError(reason);
        return;
    }
    d->engine->setConfirmWindow(messages);
    d->connection->scheduler.schedule();
}

/*!
    Declares a queue for this connection with QueueOptions::temporary() and a name chosen by the broker. The reply and
    queueDeclared() contain the name.
*/
Reply<QueueInfo> Channel::declareTemporaryQueue()
{
    return declareQueue(QString(), QueueOptions::temporary());
}

/*!
    Declares the queue \a name with \a options (\c queue.declare), which creates it if it does not exist. If \a name is
    empty, the broker chooses the name. The reply contains the name and the counts of ready messages and consumers;
    queueDeclared() follows.

    The broker closes the channel with 406 if the queue exists with other options, with 405 if it is exclusive to
    another connection, and with 403 if the name begins with \c{amq.} or the user may not configure it. RabbitMQ 4.3
    closes the whole \e connection with 541 if the queue is neither durable nor exclusive.
*/
Reply<QueueInfo> Channel::declareQueue(const QString &name, const QueueOptions &options)
{
    return d->reply<QueueInfo>(
        "declareQueue", [&] { return d->engine->declareQueue(name, options, false); },
        [](const ReplyValue &value) { return std::get<QueueInfo>(value); },
        [](Channel *channel, const QueueInfo &queue) { Q_EMIT channel->queueDeclared(queue); });
}

/*!
    Requests the counts of the queue \a name without creating it (\c queue.declare with \c passive). The reply is the
    same as for declareQueue(), and queueDeclared() follows. If there is no such queue the broker closes the channel
    with 404.
*/
Reply<QueueInfo> Channel::inspectQueue(const QString &name)
{
    return d->reply<QueueInfo>(
        "inspectQueue", [&] { return d->engine->declareQueue(name, {}, true); },
        [](const ReplyValue &value) { return std::get<QueueInfo>(value); },
        [](Channel *channel, const QueueInfo &queue) { Q_EMIT channel->queueDeclared(queue); });
}

/*!
    Deletes the queue \a name (\c queue.delete), under the conditions in \a flags. The reply contains the number of
    messages in the queue; queueDeleted() follows. RabbitMQ answers 0 if there was no such queue. An empty \a name is
    the queue last declared on this channel.
*/
Reply<quint32> Channel::deleteQueue(const QString &name, DeleteFlags flags)
{
    return d->reply<quint32>(
        "deleteQueue",
        [&] {
            return d->engine->deleteQueue(name, flags.testFlag(DeleteFlag::IfUnused),
                                          flags.testFlag(DeleteFlag::IfEmpty));
        },
        [](const ReplyValue &value) { return std::get<quint32>(value); },
        [name](Channel *channel, quint32 messageCount) { Q_EMIT channel->queueDeleted(name, messageCount); });
}

/*!
    Removes the ready messages of the queue \a name (\c queue.purge); unsettled ones stay. The reply contains the number
    of removed messages. An empty \a name is the queue last declared on this channel. If there is no such queue the
    broker closes the channel with 404.
*/
Reply<quint32> Channel::purgeQueue(const QString &name)
{
    return d->reply<quint32>(
        "purgeQueue", [&] { return d->engine->purgeQueue(name); },
        [](const ReplyValue &value) { return std::get<quint32>(value); });
}

/*!
    Binds \a queue to \a exchange (\c queue.bind), which then routes messages that match \a routingKey and \a arguments
    to the queue, by the rules of the exchange's type; see ExchangeType. A headers exchange takes the headers to match
    from \a arguments, along with \c x-match, which is \c all or \c any. Repeating a binding has no effect. If the
    exchange or the queue is missing the broker closes the channel with 404.

    An empty \a queue means the queue last declared on this channel; if \a routingKey is empty as well, it defaults to
    the queue's name.
*/
Reply<void> Channel::bindQueue(const QString &queue, const QString &exchange, const QString &routingKey,
                               const FieldTable &arguments)
{
    return d->reply("bindQueue", [&] { return d->engine->bindQueue(queue, exchange, routingKey, arguments); });
}

/*!
    Removes the binding of \a queue to \a exchange that was made with the same \a routingKey and \a arguments
    (\c queue.unbind). RabbitMQ does not treat a missing binding as an error. Empty names are handled as in bindQueue().
*/
Reply<void> Channel::unbindQueue(const QString &queue, const QString &exchange, const QString &routingKey,
                                 const FieldTable &arguments)
{
    return d->reply("unbindQueue", [&] { return d->engine->unbindQueue(queue, exchange, routingKey, arguments); });
}

/*!
    Declares the exchange \a name of the given \a type with \a options (\c exchange.declare), which creates it if it
    does not exist. ExchangeType lists the types that every broker supports. On success exchangeDeclared() follows the
    reply.

    The broker closes the channel with 406 if the exchange exists with another type or other options, and with 403 if it
    does not exist and its name begins with \c{amq.}. An unknown type ends the \e connection with 503.
*/
Reply<void> Channel::declareExchange(const QString &name, const QString &type, const ExchangeOptions &options)
{
    return d->reply(
        "declareExchange", [&] { return d->engine->declareExchange(name, type, options, false); },
        [name](Channel *channel) { Q_EMIT channel->exchangeDeclared(name); });
}

/*!
    Checks whether the exchange \a name exists (\c exchange.declare with \c passive). If it does not, the broker closes
    the channel with 404.
*/
Reply<void> Channel::inspectExchange(const QString &name)
{
    return d->reply("inspectExchange", [&] { return d->engine->declareExchange(name, {}, {}, true); });
}

/*!
    Deletes the exchange \a name (\c exchange.delete); with DeleteFlag::IfUnused in \a flags only if nothing is bound to
    it; otherwise the broker closes the channel with 406. RabbitMQ does not treat a missing exchange as an error.
*/
Reply<void> Channel::deleteExchange(const QString &name, DeleteFlags flags)
{
    return d->reply("deleteExchange",
                    [&] { return d->engine->deleteExchange(name, flags.testFlag(DeleteFlag::IfUnused)); });
}

/*!
    Binds the exchange \a destination to the exchange \a source (\c exchange.bind, a RabbitMQ extension) with
    \a routingKey and \a arguments, as bindQueue() does for a queue.
*/
Reply<void> Channel::bindExchange(const QString &destination, const QString &source, const QString &routingKey,
                                  const FieldTable &arguments)
{
    return d->reply("bindExchange",
                    [&] { return d->engine->bindExchange(destination, source, routingKey, arguments); });
}

/*!
    Removes the binding of the exchange \a destination to \a source that was made with the same \a routingKey and
    \a arguments (\c exchange.unbind). RabbitMQ does not treat a missing binding as an error.
*/
Reply<void> Channel::unbindExchange(const QString &destination, const QString &source, const QString &routingKey,
                                    const FieldTable &arguments)
{
    return d->reply("unbindExchange",
                    [&] { return d->engine->unbindExchange(destination, source, routingKey, arguments); });
}

/*!
    Limits the number of unsettled deliveries to \a count (\c basic.qos); 0 means no limit. If \a scope is
    PrefetchScope::PerConsumer, the limit applies to each consumer that starts on this channel afterwards and does not
    set ConsumeOptions::prefetch; with PrefetchScope::PerChannel it applies to the channel as a whole. It has no effect
    on AckMode::NoAck and on get().

    Before the first call, a consumer has a limit of 100. Without a limit the broker sends everything it has, and
    unsettled deliveries are kept in memory. A few hundred keep a consumer busy; see \l
   {https://www.rabbitmq.com/docs/confirms#channel-qos-prefetch-throughput} {RabbitMQ's advice}. reopen() sets the same
   limits again.
*/
Reply<void> Channel::setPrefetch(quint16 count, PrefetchScope scope)
{
    return d->reply("setPrefetch", [&] {
        d->isPrefetchSet = true;
        return d->engine->setPrefetch(count, scope == PrefetchScope::PerChannel);
    });
}

/*!
    Subscribes to \a queue with \a options (\c basic.consume) and returns the consumer, which emits the deliveries. The
    consumer is never null. It is a child of \a parent, or of this channel if \a parent is null. An empty \a queue means
    the queue last declared on this channel.

    If the library refuses the call, the consumer emits Consumer::cancelled() from the event loop: ErrorKind::NotOpen if
    the channel is closed or closing, ErrorKind::InvalidArgument for a name over 255 bytes, for arguments that cannot be
    sent, and for a consumer tag that is in use on this channel. The broker closes the channel with 404 if there is no
    such queue, and with 403 if the queue already has an exclusive consumer, or if this consumer is exclusive and the
    queue has others.

    Replies from \c amq.rabbitmq.reply-to (RabbitMQ's direct reply-to) need AckMode::NoAck. A channel has at most one
    consumer for them, which gets the replies to messages published on the same channel with that Message::replyTo().
    Other uses are refused with ErrorKind::InvalidArgument.

    The tag of a consumer that was cancelled or deleted may be used again at once: this call, and all later calls of the
    channel, wait until the broker has confirmed the cancellation.

    If \a parent lives in another thread than the channel, the consumer becomes a child of the channel instead, and a
    warning is logged. A call from another thread is refused; the refused consumer still becomes a child of its parent,
    in the parent's thread.
*/
Consumer *Channel::consume(const QString &queue, const ConsumeOptions &options, QObject *parent)
{
    return d->consume(queue, options, parent ? parent : this);
}

/*!
    Returns the consumers of this channel that have not ended, including those that wait for reopen(), in order of
    creation.
*/
QList<Consumer *> Channel::consumers() const
{
    QList<ConsumerPrivate *> sorted = d->consumers;
    std::sort(sorted.begin(), sorted.end(), [](const auto *a, const auto *b) { return a->serial < b->serial; });
    QList<Consumer *> consumers;
    for (const ConsumerPrivate *consumer : std::as_const(sorted))
        consumers.append(consumer->q);
    return consumers;
}

/*!
    Returns the consumer with this \a consumerTag that has not ended, or null if there is none.
*/
Consumer *Channel::consumer(const QString &consumerTag) const
{
    const ConsumerPrivate *consumer = d->findConsumer(consumerTag);
    return consumer ? consumer->q : nullptr;
}

/*!
    Fetches one message from \a queue (\c basic.get). The reply contains the message and the number of messages left, or
    std::nullopt if the queue is empty. The message has to be settled like a delivery, unless \a ackMode is
    AckMode::NoAck. An empty \a queue is the one last declared on this channel. If there is no such queue the broker
    closes the channel with 404.

    AckMode::AfterDelivery is refused with ErrorKind::InvalidArgument, since a reply has no slots to wait for. Use
    AckMode::Manual and Message::ack().

    To receive more than a few messages, use a Consumer, since each get costs a round trip.
*/
Reply<std::optional<GetResult>> Channel::get(const QString &queue, AckMode ackMode)
{
    const bool noAck = ackMode == AckMode::NoAck;
    return d->reply<std::optional<GetResult>>(
        "get",
        [&]() -> Result<Engine::CallId> {
            if (ackMode == AckMode::AfterDelivery)
                return Error(
                    ErrorKind::InvalidArgument,
                    u"ackMode: get() cannot acknowledge after delivery; use AckMode::Manual and Message::ack()"_s);
            return d->engine->get(queue, noAck);
        },
        [channel = QPointer(this), noAck](ReplyValue &value) -> std::optional<GetResult> {
            auto *got = std::get_if<Engine::GotMessage>(&value);
            if (!got || !channel)
                return std::nullopt;
            channel->d->connection->router.countMessage();
            return GetResult{channel->d->makeMessage(got->message, {}, noAck), got->remaining};
        });
}

/*!
    Acknowledges the delivery \a message (\c basic.ack). Returns \c true if it was still unsettled.

    Otherwise returns \c false and sends nothing. lastCallError() is ErrorKind::StaleDelivery if the message is settled
    already, arrived before the channel was closed or came through another channel, and ErrorKind::InvalidArgument if it
    is not a delivery or needs no settling (AckMode::NoAck). RabbitMQ would close the channel with 406.

    Acknowledgements are merged and sent at the end of the event loop iteration. From other threads, use Message::ack().
*/
bool Channel::ack(const Message &message)
{
    return d->settle("ack", message, Settlement::Kind::Ack, false);
}

/*!
    Acknowledges \a message and all unsettled deliveries of this channel before it, of every consumer (\c basic.ack
    with \c multiple). Returns the same as ack(), with the same errors.
*/
bool Channel::ackUpTo(const Message &message)
{
    return d->settle("ackUpTo", message, Settlement::Kind::Ack, true);
}

/*!
    Rejects the delivery \a message (\c basic.nack, or \c basic.reject if the broker does not support it). If \a requeue
    is Requeue::Yes, the message goes back to the queue and may be delivered again at once; with Requeue::No it is
    dropped or dead-lettered. Returns the same as ack(), with the same errors.
*/
bool Channel::nack(const Message &message, Requeue requeue)
{
    return d->settle("nack", message,
                     requeue == Requeue::Yes ? Settlement::Kind::NackRequeue : Settlement::Kind::NackDiscard, false);
}

/*!
    Does the same as nack(), with \a requeue, for \a message and all unsettled deliveries of this channel before it.
    Returns the same as ack(), with the same errors.
*/
bool Channel::nackUpTo(const Message &message, Requeue requeue)
{
    return d->settle("nackUpTo", message,
                     requeue == Requeue::Yes ? Settlement::Kind::NackRequeue : Settlement::Kind::NackDiscard, true);
}

/*!
    Returns all unsettled deliveries of this channel to their queues for redelivery (\c basic.recover with \c requeue).
    After this call they are stale; settling one sends nothing and is reported as ErrorKind::StaleDelivery. Deliveries
    in transit when the broker receives the call are not emitted, since they are delivered again.
*/
Reply<void> Channel::redeliverUnacked()
{
    return d->reply(
        "redeliverUnacked", [this] { return d->engine->redeliverUnacked(); },
        [](Channel *channel) { channel->d->countUnackedAgain(); });
}

/*!
    Puts the channel into transaction mode (\c tx.select): messages that are published and deliveries that are settled
    afterwards take effect with the next txCommit(). The mode cannot be left. A channel in confirm mode refuses the call
    with ErrorKind::InvalidArgument. reopen() sets the mode again; uncommitted messages and settlements are lost.

    Transactions are slow. Prefer confirmSelect() to learn whether the broker has a message; see
    \l {https://www.rabbitmq.com/docs/semantics} {what a transaction guarantees}.
*/
Reply<void> Channel::txSelect()
{
    return d->select("txSelect", [this] { return d->engine->txSelect(); });
}

/*!
    Commits the messages and settlements since the last commit or rollback (\c tx.commit). Calls made before the reply
    arrives, settlements included, wait for it and belong to the next transaction, since the broker closes the
    connection when anything follows a commit that it has not answered. Without txSelect() the reply ends with
    ErrorKind::InvalidArgument.
*/
Reply<void> Channel::txCommit()
{
    return d->reply("txCommit", [this] { return d->engine->txCommit(); });
}

/*!
    Drops the messages that were published since the last commit or rollback and reverts the settlements
    (\c tx.rollback). The deliveries are unsettled again, but are not redelivered automatically. Calls made before the
    reply arrives wait, as with txCommit(), and the errors are the same.
*/
Reply<void> Channel::txRollback()
{
    return d->reply(
        "txRollback", [this] { return d->engine->txRollback(); },
        [](Channel *channel) { channel->d->countUnackedAgain(); });
}

/*!
    Requests an access ticket to \a realm with the rights in \a flags (\c access.request), for code ported from AMQP
    0-8. The reply contains the ticket, which all later calls of this channel carry. RabbitMQ 3 answers every request
    with a ticket and ignores tickets; RabbitMQ 4 may end the connection with 540.
*/
Reply<quint16> Channel::requestAccess(const QString &realm, AccessFlags flags)
{
    return d->reply<quint16>(
        "requestAccess",
        [&] {
            return d->engine->requestAccess(realm, {.exclusive = flags.testFlag(AccessFlag::Exclusive),
                                                    .passive = flags.testFlag(AccessFlag::Passive),
                                                    .active = flags.testFlag(AccessFlag::Active),
                                                    .write = flags.testFlag(AccessFlag::Write),
                                                    .read = flags.testFlag(AccessFlag::Read)});
        },
        [](const ReplyValue &value) { return quint16(std::get<quint32>(value)); });
}

/*!
    Opens the channel again after it was closed (\c channel.open). It may be called as soon as state() is State::Closed,
    even while the connection is not open; like other calls, it then waits for Connection::open(). If the channel is
    already opening, it changes nothing and returns a reply as whenOpen() does. The prefetch is set again, and consumers
    in Consumer::Recovering resubscribe in order of creation, before any later calls. Queues and exchanges are not
    declared again.

    The reply succeeds with \c channel.open-ok. It ends with ErrorKind::InvalidArgument if the channel is open,
    and with ErrorKind::NotOpen if the connection is closing or gone, or if no channel number is free.
*/
Reply<void> Channel::reopen()
{
    return d->reopen();
}

/*!
    Closes the channel (\c channel.close) after earlier calls have been sent and answered, and cancels its consumers.
    The reply succeeds with \c channel.close-ok, also if the broker closes the channel for an error at the same time;
    closed() then reports the error. On a closed channel the reply succeeds at once.
*/
Reply<void> Channel::close()
{
    return d->close();
}

/*!
    \reimp
*/
bool Channel::event(QEvent *event)
{
    return QObject::event(event);
}

} // namespace AmqpQt
