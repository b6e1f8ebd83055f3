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
    Closes the channel on the wire (\c channel.close) and returns at once; nothing waits for the answer. Its
    unfinished replies end with ErrorKind::Cancelled, see Reply, its consumers with Consumer::cancelled().
    Messages that are not settled go back to their queues; those that were published and wait to be sent because the
    connection is not open yet, or because the broker blocks, are dropped, and a warning of category \c amqpqt.channel
    has their numbers. The channel itself emits nothing more.
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
    Returns a reply that succeeds when the channel is open: at once if it is, else with the \c channel.open-ok that it
    waits for. It ends with ErrorKind::NotOpen at once while the channel is closed or closing, and with the reason if
    the channel ends before it opens.
*/
Reply<void> Channel::whenOpen()
{
    if (const Error reason = d->unusable("whenOpen"); reason.isError())
        return Promise<void>::finished(reason);
    if (isOpen() && d->engine->takesCalls())
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
    Publishes \a message to \a exchange with \a routingKey (\c basic.publish). The empty \a exchange is the default
    one, which routes to the queue whose name is the routing key. With PublishFlag::Mandatory in \a flags a message
    without a route comes back by messageReturned(); without, the broker drops it.

    Returns the message's sequence number: 1 for the first of this object, then 2 and so on, never repeated, not even
    after reopen(). Returns 0 if the message was refused; then error() has the reason, and errorOccurred() follows:

    \table
    \header \li ErrorKind \li When
    \row \li NotOpen \li The channel is closed or closing. Before it has opened for the first time messages wait.
    \row \li InvalidArgument \li The exchange's name or the routing key has over 255 bytes of UTF-8; a property or
             header cannot be sent, see Message; the properties take more than one frame; the message alone is over
             ConnectionParameters::bufferLimit(). Or RabbitMQ would close the channel: the expiration is over ten years,
             Message::userId() is not the user of the connection (see ConnectionParameters::setChecksUserId()), one of
             the headers \c CC and \c BCC is not a list, or Message::replyTo() is \c amq.rabbitmq.reply-to and no
             consumer of this channel takes the replies.
    \row \li BufferFull \li With it more than ConnectionParameters::bufferLimit() bytes would wait to be sent.
    \endtable

    The message is written to the socket with others at the end of the current turn of the event loop, or when 128 KiB
    have gathered. Bodies from 32 KiB on are not copied. A number says that the message was accepted here, not that
    the broker has it.

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
    ErrorKind::Returned if no queue was there for a mandatory message, with ErrorKind::Nacked if the broker refused it
    (\c basic.nack), with ErrorKind::Unconfirmed if the channel ended first, so that the outcome is unknown, and with
    the errors of publish() if it was not sent. publishConfirmed() and publishFailed() are emitted as well.
*/
Reply<void> Channel::publishWithReply(const QString &exchange, const QString &routingKey, const Message &message,
                                      PublishFlags flags)
{
    return d->publishWithReply(exchange, routingKey, message, flags);
}

/*!
    Puts the channel into confirm mode (\c confirm.select): for every message that is published after this call
    publishConfirmed() or publishFailed() reports the outcome once. There is no way back. A channel in transaction mode
    refuses the call with ErrorKind::InvalidArgument. reopen() sets the mode again.

    See \l {https://www.rabbitmq.com/docs/confirms#publisher-confirms} {publisher confirms}.
*/
Reply<void> Channel::confirmSelect()
{
    return d->select("confirmSelect", [this] { return d->engine->confirmSelect(); });
}

/*!
    Returns a reply that succeeds when the broker has taken all messages that were published so far in confirm mode. If
    some failed, it ends with the error of the first of them, when the outcome of all is known. Without confirm mode it
    ends with ErrorKind::InvalidArgument.
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
    Returns how many messages may be sent and not be confirmed; 0, the default, for no limit.
*/
int Channel::confirmWindow() const
{
    return d->engine ? d->engine->confirmWindow() : 0;
}

/*!
    Limits the number of messages that are sent and not confirmed to \a messages, 0 for no limit. Further ones are
    accepted, count in unconfirmedCount(), and wait here for confirms, within ConnectionParameters::bufferLimit();
    calls that follow them wait as well, since the order is kept. BackpressureReason::ConfirmWindowFull is set from that
   many unconfirmed messages on until half of them are confirmed. It has an effect in confirm mode only. A negative
   number is refused with ErrorKind::InvalidArgument in lastCallError().
*/
void Channel::setConfirmWindow(int messages)
{
    Error reason = d->unusable("setConfirmWindow");
    if (!reason.isError() && messages < 0)
        reason = Error(ErrorKind::InvalidArgument, u"messages: a window of %1"_s.arg(messages));
    if (reason.isError()) {
        d->reportCallError(reason);
        return;
    }
    d->engine->setConfirmWindow(messages);
    d->connection->scheduleTurn();
}

/*!
    Declares a queue for this connection, QueueOptions::temporary(), to which the broker gives a name. The reply and
    queueDeclared() have that name.
*/
Reply<QueueInfo> Channel::declareTemporaryQueue()
{
    return declareQueue(QString(), QueueOptions::temporary());
}

/*!
    Declares the queue \a name with \a options (\c queue.declare), that is, makes it if it is not there. An empty
    \a name leaves the naming to the broker. The reply has the name and the counts of ready messages and consumers;
    queueDeclared() follows.

    The broker closes the channel with 406 if the queue is there with other options, with 405 if it is exclusive to
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
    Asks for the counts of the queue \a name without making it (\c queue.declare with \c passive). The reply is as
    that of declareQueue(), and queueDeclared() follows. If there is no such queue the broker closes the channel with
    404.
*/
Reply<QueueInfo> Channel::inspectQueue(const QString &name)
{
    return d->reply<QueueInfo>(
        "inspectQueue", [&] { return d->engine->declareQueue(name, {}, true); },
        [](const ReplyValue &value) { return std::get<QueueInfo>(value); },
        [](Channel *channel, const QueueInfo &queue) { Q_EMIT channel->queueDeclared(queue); });
}

/*!
    Deletes the queue \a name (\c queue.delete), under the conditions in \a flags. The reply has the number of
    messages that were in it; queueDeleted() follows. RabbitMQ answers 0 if there was no such queue. An empty \a name
    is the queue last declared on this channel.
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
    Removes the ready messages of the queue \a name (\c queue.purge); unsettled ones stay. The reply has their number.
    An empty \a name is the queue last declared on this channel. If there is no such queue the broker closes the
    channel with 404.
*/
Reply<quint32> Channel::purgeQueue(const QString &name)
{
    return d->reply<quint32>(
        "purgeQueue", [&] { return d->engine->purgeQueue(name); },
        [](const ReplyValue &value) { return std::get<quint32>(value); });
}

/*!
    Lets \a exchange route to \a queue (\c queue.bind) what fits \a routingKey and \a arguments, by the rules of the
    exchange's type: see ExchangeType. A headers exchange reads the headers to match from \a arguments, and \c x-match
    there: \c all or \c any. The same binding made twice is one. If the exchange or the queue is missing the broker
    closes the channel with 404.

    An empty \a queue is the one last declared on this channel; if \a routingKey is empty as well, it is the queue's
    name.
*/
Reply<void> Channel::bindQueue(const QString &queue, const QString &exchange, const QString &routingKey,
                               const FieldTable &arguments)
{
    return d->reply("bindQueue", [&] { return d->engine->bindQueue(queue, exchange, routingKey, arguments); });
}

/*!
    Removes the binding of \a queue to \a exchange that was made with the same \a routingKey and \a arguments
    (\c queue.unbind). A binding that is not there is no error to RabbitMQ. Empty names are as in bindQueue().
*/
Reply<void> Channel::unbindQueue(const QString &queue, const QString &exchange, const QString &routingKey,
                                 const FieldTable &arguments)
{
    return d->reply("unbindQueue", [&] { return d->engine->unbindQueue(queue, exchange, routingKey, arguments); });
}

/*!
    Declares the exchange \a name of the given \a type with \a options (\c exchange.declare), that is, makes it if it
    is not there. ExchangeType has the types of every broker. On success exchangeDeclared() follows the reply.

    The broker closes the channel with 406 if the exchange is there with another type or other options, and with 403
    if the name begins with \c{amq.} and it is not there. An unknown type ends the \e connection with 503.
*/
Reply<void> Channel::declareExchange(const QString &name, const QString &type, const ExchangeOptions &options)
{
    return d->reply(
        "declareExchange", [&] { return d->engine->declareExchange(name, type, options, false); },
        [name](Channel *channel) { Q_EMIT channel->exchangeDeclared(name); });
}

/*!
    Asks whether there is an exchange \a name (\c exchange.declare with \c passive). If there is none the broker
    closes the channel with 404.
*/
Reply<void> Channel::inspectExchange(const QString &name)
{
    return d->reply("inspectExchange", [&] { return d->engine->declareExchange(name, {}, {}, true); });
}

/*!
    Deletes the exchange \a name (\c exchange.delete); with DeleteFlag::IfUnused in \a flags only if nothing is bound
    to it, else the broker closes the channel with 406. An exchange that is not there is no error to RabbitMQ.
*/
Reply<void> Channel::deleteExchange(const QString &name, DeleteFlags flags)
{
    return d->reply("deleteExchange",
                    [&] { return d->engine->deleteExchange(name, flags.testFlag(DeleteFlag::IfUnused)); });
}

/*!
    Lets the exchange \a source route to the exchange \a destination (\c exchange.bind, an extension of RabbitMQ) what
    fits \a routingKey and \a arguments, as bindQueue() does for a queue.
*/
Reply<void> Channel::bindExchange(const QString &destination, const QString &source, const QString &routingKey,
                                  const FieldTable &arguments)
{
    return d->reply("bindExchange",
                    [&] { return d->engine->bindExchange(destination, source, routingKey, arguments); });
}

/*!
    Removes the binding of the exchange \a destination to \a source that was made with the same \a routingKey and
    \a arguments (\c exchange.unbind). A binding that is not there is no error to RabbitMQ.
*/
Reply<void> Channel::unbindExchange(const QString &destination, const QString &source, const QString &routingKey,
                                    const FieldTable &arguments)
{
    return d->reply("unbindExchange",
                    [&] { return d->engine->unbindExchange(destination, source, routingKey, arguments); });
}

/*!
    Limits the number of unsettled deliveries to \a count, 0 for no limit (\c basic.qos): with
    PrefetchScope::PerConsumer in \a scope for each consumer that starts on this channel afterwards and does not set
    its own in ConsumeOptions::prefetch, with PrefetchScope::PerChannel for all of the channel together. It has no
    effect on AckMode::NoAck and on get().

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
    Subscribes to \a queue with \a options (\c basic.consume) and returns the consumer, which emits what arrives. It
    is never null, and a child of \a parent, or of this channel if that is null. An empty \a queue is the one last
    declared on this channel.

    A call that is refused here ends the consumer by Consumer::cancelled(), from the event loop: ErrorKind::NotOpen if
    the channel is closed or closing, ErrorKind::InvalidArgument for a name over 255 bytes, for arguments that cannot
    be sent, and for a consumer tag that is in use on this channel. The broker closes the channel with 404 if there is
    no such queue, and with 403 if it, or this consumer, is to be exclusive and there are others.

    Replies from \c amq.rabbitmq.reply-to (RabbitMQ's direct reply-to) need AckMode::NoAck. A channel has at most one
    consumer for them, which gets the replies to what the same channel publishes with that Message::replyTo(). Anything
    else is refused with ErrorKind::InvalidArgument.

    The tag of a consumer that was cancelled or deleted may be used again at once: this call, and all later calls of the
    channel, wait until the broker has confirmed the cancellation.

    If \a parent lives in another thread than the channel, the consumer becomes a child of the channel instead, and a
    warning says so. A call from another thread is refused; the refused consumer still becomes a child of its parent, in
    the parent's thread.
*/
Consumer *Channel::consume(const QString &queue, const ConsumeOptions &options, QObject *parent)
{
    return d->consume(queue, options, parent ? parent : this);
}

/*!
    Returns the consumers of this channel that have not ended, in the order they were made. Those that wait for
    reopen() are among them.
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
    Fetches one message from \a queue (\c basic.get). The reply has the message and the number of those left, or
    std::nullopt if the queue is empty. The message is to be settled as a delivery is, unless \a ackMode is
    AckMode::NoAck. An empty \a queue is the one last declared on this channel. If there is no such queue the broker
    closes the channel with 404.

    AckMode::AfterDelivery is refused with ErrorKind::InvalidArgument, since a reply has no slots to wait for. Use
    AckMode::Manual and Message::ack().

    A Consumer is the better way to receive more than a few: each get costs a round trip.
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
            ++channel->d->connection->statistics.messagesIn;
            return GetResult{channel->d->makeMessage(got->message, {}, noAck), got->remaining};
        });
}

/*!
    Tells the broker that the delivery \a message is done with (\c basic.ack). Returns \c true if it was still
    unsettled.

    Returns \c false otherwise and sends nothing: with ErrorKind::StaleDelivery in lastCallError() for one that is
   settled already, that came before the channel was closed, or through another channel; with ErrorKind::InvalidArgument
   for a message that is no delivery or needs no settling (AckMode::NoAck). RabbitMQ would close the channel with 406.

    Acknowledgements are merged and leave at the end of the turn of the event loop. For other threads there is
    Message::ack().
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
    Tells the broker that the delivery \a message failed (\c basic.nack, or \c basic.reject where the broker lacks
    it). With Requeue::Yes in \a requeue it goes back to the queue and may be delivered again at once, with
    Requeue::No it is dropped or dead-lettered. Returns the same as ack(), with the same errors.
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
    Gives every unsettled delivery of this channel back to its queue, to be delivered again (\c basic.recover with
    \c requeue). From this call on they are stale: settling one of them sends nothing and is reported as
    ErrorKind::StaleDelivery. Deliveries that are on their way when the broker gets the call are not emitted, since
    they come again.
*/
Reply<void> Channel::redeliverUnacked()
{
    return d->reply(
        "redeliverUnacked", [this] { return d->engine->redeliverUnacked(); },
        [](Channel *channel) { channel->d->countUnackedAgain(); });
}

/*!
    Puts the channel into transaction mode (\c tx.select): messages that are published and deliveries that are settled
    afterwards count from the next txCommit() on. There is no way back, and a channel in confirm mode cannot:
    ErrorKind::InvalidArgument. reopen() sets the mode again; what was not committed is gone.

    Transactions are slow. To know that the broker has a message, confirmSelect() is the better way; see
    \l {https://www.rabbitmq.com/docs/semantics} {what a transaction guarantees}.
*/
Reply<void> Channel::txSelect()
{
    return d->select("txSelect", [this] { return d->engine->txSelect(); });
}

/*!
    Commits what was published and settled since the last commit or rollback (\c tx.commit). What is called before the
    reply, settlements included, waits for it and belongs to the next transaction: the broker ends the connection when
    anything follows a commit before it has answered. Without txSelect() it ends with ErrorKind::InvalidArgument.
*/
Reply<void> Channel::txCommit()
{
    return d->reply("txCommit", [this] { return d->engine->txCommit(); });
}

/*!
    Drops the messages that were published since the last commit or rollback and takes back the settlements
    (\c tx.rollback): the deliveries are unsettled again, and are not delivered again by themselves. What is called
    before the reply waits, as with txCommit(), and the errors are the same.
*/
Reply<void> Channel::txRollback()
{
    return d->reply(
        "txRollback", [this] { return d->engine->txRollback(); },
        [](Channel *channel) { channel->d->countUnackedAgain(); });
}

/*!
    Asks for an access ticket to \a realm with the rights in \a flags (\c access.request), for code that comes from
    AMQP 0-8. The reply has the ticket; from then on the calls of this channel carry it. RabbitMQ 3 answers every
    request with a ticket and looks at none; RabbitMQ 4 may end the connection with 540.
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
    Opens the channel again after it was closed (\c channel.open). It may be called as soon as state() is
    State::Closed, also while the connection is not open: it waits for Connection::open(), as other calls do. If the
    channel is already opening it changes nothing, and returns a reply as whenOpen() does. The prefetch is set again,
    and consumers in Consumer::Recovering subscribe again, in the order they were made and before the calls that are
    made next. Queues and exchanges are not declared again.

    The reply succeeds with \c channel.open-ok. It ends with ErrorKind::InvalidArgument if the channel is open,
    and with ErrorKind::NotOpen if the connection is closing or gone, or if no channel number is free.
*/
Reply<void> Channel::reopen()
{
    return d->reopen();
}

/*!
    Closes the channel (\c channel.close): what was called before is sent and answered first, consumers are cancelled.
    The reply succeeds with \c channel.close-ok, also if the broker closes the channel for an error at the same time,
    in which case closed() has it. A channel that is closed already succeeds at once.
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
