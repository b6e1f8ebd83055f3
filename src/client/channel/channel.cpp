// SPDX-License-Identifier: MIT
#include "client/channel/channel_p.h"

#include "client/consumer/consumer_p.h"
#include "client/topology/topologysetup_p.h"

#include <algorithm>

namespace AmqpQt
{

using namespace Qt::StringLiterals;
using Engine::CallId;
using Engine::ReplyValue;

/*!
    \class AmqpQt::Channel
    \inheaderfile AmqpQt/Channel
    \inmodule AmqpQt
    \since 0.1
    \brief The Channel class declares queues and exchanges, and publishes, consumes and settles messages.

    Connection::createChannel() and Connection::channel() create channels. Every function may be called immediately,
    even before the connection is open: calls are queued and sent in the order in which they were made, and the broker
    answers them in that order. It is therefore safe to publish right after declaring the queue, without waiting for a
    round trip.

    \code
    AmqpQt::Channel *channel = connection->createChannel();
    channel->declareQueue(u"orders"_s).then(this, [](const AmqpQt::Result<AmqpQt::QueueInfo> &queue) {
        if (queue)
            qInfo() << queue->messageCount << "messages wait";
        else
            qWarning() << queue.error();
    });
    channel->publish({}, u"orders"_s, AmqpQt::Message::fromText(u"one"));
    \endcode

    \section1 Answers

    A call that the broker answers returns a Reply, which finishes with a value or with an Error:

    \table
    \header \li ErrorKind \li When
    \row \li InvalidArgument \li An argument cannot be sent (a name over 255 bytes of UTF-8, a table value without an
             AMQP type, or arguments over the negotiated frame size), or the call came from another thread. Nothing is
             sent, and the channel is not affected.
    \row \li NotOpen \li The channel is closed or closing, its connection is gone or closing, or it has no number.
             Nothing is sent.
    \row \li ChannelClosed \li The broker refused this call or an earlier one and closed the channel. The error has the
             broker's reply code, text and method.
    \row \li Timeout \li No answer arrived within ConnectionParameters::replyTimeout() after the call was written. The
             channel is closed, because later answers could not be assigned to their calls.
    \row \li Cancelled \li close(), a destructor, Connection::close() or Connection::abort() came first.
    \row \li any other \li The connection ended for this reason; see Connection::closed().
    \endtable

    lastCallError() returns InvalidArgument and NotOpen errors immediately, and errorOccurred() follows. Some successful
    calls also emit a signal after the reply: queueDeclared(), queueDeleted() or exchangeDeclared().

    An empty queue name stands for the queue that was last declared on this channel, even if it has no name yet. The
    channel forgets this queue when it ends. If the routing key of a binding is empty as well, the name of the queue is
    used as the key (AMQP 0-9-1, \c queue.bind). If no queue was declared, the call is rejected with
    ErrorKind::InvalidArgument.

    \section1 Errors

    An error closes only the channel on which it occurs. Examples are a queue that does not exist (404), exists with
    other options (406), belongs to another connection (405), or may not be accessed (403). The channel then finishes
    all its replies with the error, emits publishFailed() if messages were still waiting to be sent, emits the signals
    of its consumers, and then emits backpressureChanged(), writableChanged(), errorOccurred(), stateChanged(Closed) and
    closed(), in this order. The delivered messages return to their queues, and settling them later is reported as
    ErrorKind::StaleDelivery.

    reopen() opens the same object again and restores its consumers.

    \section1 Publishing

    publish() puts the message into the write buffer and returns. Without confirms, messages that were written to a
    connection that is then lost may be lost too (at most once), and publishFailed() reports only messages that were
    never sent. After confirmSelect(), publishConfirmed() or publishFailed() reports the outcome of every message.
    Publisher does all this automatically.

    A publisher that is faster than the network or the broker should stop while writable is \c false. Otherwise messages
    accumulate in memory up to ConnectionParameters::bufferLimit(), and then publish() rejects them.

    \section1 Life and threads

    A channel is a child of its Connection unless it was given a parent. It may be deleted at any time, in any slot.
    Deleting it closes the channel at the broker and ends its replies and consumers with ErrorKind::Cancelled. A channel
    belongs to the thread of its connection; see Connection.

    \sa Connection, Consumer, Message, Publisher
*/

/*!
    \enum AmqpQt::Channel::State

    \value Closed The channel has ended, by close() or because of an error; reopen() opens it again.
    \value Opening The channel is waiting for the connection or for \c channel.open-ok. Calls may be made.
    \value Open The broker has opened the channel.
    \value Recovering The connection was lost and recovers. Calls may be made, and wait like those that were sent
   without an answer. Then the broker opens the channel again with its mode, its prefetch and its consumers. \value
   Closing close() was called and has not been answered yet. Calls are rejected with ErrorKind::NotOpen.
*/

/*!
    \enum AmqpQt::Channel::Mode

    This enum describes what the broker reports about published messages. The mode is selected once, and reopen()
    restores it.

    \value Plain The broker reports only messages that it returns.
    \value Confirm The broker confirms each message; see confirmSelect().
    \value Transaction Messages and settlements take effect with txCommit(); see txSelect().
*/

/*!
    \enum AmqpQt::Channel::AccessFlag

    The rights that requestAccess() requests.

    \value Exclusive Nobody else has access.
    \value Passive Check whether something exists.
    \value Active Create and delete.
    \value Write Publish.
    \value Read Consume.
*/

/*!
    \enum AmqpQt::Channel::PublishFlag

    \value Mandatory If the message cannot be routed to a queue, the broker returns it, see messageReturned(), instead
           of dropping it.
*/

/*!
    \enum AmqpQt::Channel::DeleteFlag

    \value IfUnused Delete only if no consumer uses the queue, or no binding uses the exchange; otherwise the broker
           closes the channel with 406.
    \value IfEmpty Delete the queue only if it has no messages; otherwise the broker closes the channel with 406. This
           flag has no meaning for exchanges.
*/

/*!
    \enum AmqpQt::Channel::PrefetchScope

    This enum describes the consumers to which a prefetch count applies (the argument \c global of \c basic.qos, as
    RabbitMQ interprets it; see \l {https://www.rabbitmq.com/docs/consumer-prefetch} {Consumer prefetch}).

    \value PerConsumer Each consumer that is started on the channel afterwards.
    \value PerChannel All consumers of the channel together. RabbitMQ 4.3 and later refuse this scope.
*/

/*!
    \class AmqpQt::GetResult
    \inheaderfile AmqpQt/Channel
    \inmodule AmqpQt
    \since 0.1
    \brief The GetResult class holds a message that Channel::get() fetched from a queue.
*/

/*!
    \variable AmqpQt::GetResult::message
    \brief the message, which must be settled like a delivery.
*/

/*!
    \variable AmqpQt::GetResult::remaining
    \brief the number of messages left in the queue.
*/

/*!
    \property AmqpQt::Channel::number
    \brief the channel number in the protocol, from 1; 0 if no number was free, and after the connection was deleted.

    reopen() uses the same number again if it is free, and another number otherwise.
*/

/*!
    \property AmqpQt::Channel::state
    \brief the state of the channel; State::Opening initially.
*/

/*!
    \property AmqpQt::Channel::open
    \brief whether state() is State::Open.
*/

/*!
    \property AmqpQt::Channel::error
    \brief the reason why the channel closed; no error if the channel is open or was closed by close().

    lastCallError() returns the reason why a call was rejected.
*/

/*!
    \property AmqpQt::Channel::lastCallError
    \brief the reason why a call on this channel was last rejected without being sent: an invalid argument, a channel
    that is not open, a full buffer, or a delivery that can no longer be settled.

    The error is set before the call returns. errorOccurred() or settlementFailed() follows from the event loop.
*/

/*!
    \property AmqpQt::Channel::backpressure
    \brief the reasons why a publisher should wait; empty if there are none.

    \l BackpressureReason::ConfirmWindowFull occurs only with setConfirmWindow().
*/

/*!
    \property AmqpQt::Channel::writable
    \brief whether a publisher may continue, that is, the channel is open and free of backpressure.
*/

/*!
    \property AmqpQt::Channel::mode
    \brief the mode, which determines the reports about published messages; Mode::Plain initially.

    The mode changes when confirmSelect() or txSelect() is called, and applies to messages published afterwards.
*/

/*!
    \property AmqpQt::Channel::unconfirmedCount
    \brief the number of messages published in confirm mode whose outcome has not been reported yet, including unsent
    ones.

    unconfirmedCountChanged() is emitted at most once per turn of the event loop.
*/

/*!
    \fn void AmqpQt::Channel::opened()

    This signal is emitted when the broker has opened the channel (\c channel.open-ok), for the first time or after
    reopen(). It follows the replies of reopen() and whenOpen(), stateChanged(Open) and writableChanged().
*/

/*!
    \fn void AmqpQt::Channel::closed(const AmqpQt::Error &reason)

    This signal is emitted when the channel has ended; it is the last signal of the channel. \a reason is not an error
    (Error::isError() is \c false) after close() and Connection::close(). Otherwise its kind is ErrorKind::ChannelClosed
    if the broker closed the channel, ErrorKind::Timeout if an answer did not arrive, ErrorKind::ProtocolViolation,
    ErrorKind::Cancelled if the connection was deleted, or the kind of the error that ended the connection.

    This signal is also emitted if the channel cannot be opened because no number is free (ErrorKind::NotOpen).
*/

/*!
    \fn void AmqpQt::Channel::stateChanged(AmqpQt::Channel::State state)

    This signal is emitted when the channel enters \a state.
*/

/*!
    \fn void AmqpQt::Channel::modeChanged(AmqpQt::Channel::Mode mode)

    This signal is emitted when confirmSelect() or txSelect() has changed mode() to \a mode.
*/

/*!
    \fn void AmqpQt::Channel::errorOccurred(const AmqpQt::Error &error)

    This signal is emitted when a call was rejected because of \a error, see lastCallError(), or when \a error closes
    the channel, in which case closed() follows.
*/

/*!
    \fn void AmqpQt::Channel::settlementFailed(quint64 deliveryTag, const AmqpQt::Error &error)

    This signal is emitted when the delivery \a deliveryTag was acknowledged or rejected too late: it had already been
    settled, or the channel that delivered it has been closed, in which case the broker delivers the message again.
    Settling a delivery from before a recovery has no effect and is not reported; see Message::canSettle().
    Nothing was sent, because RabbitMQ would close the channel. \a error is of kind ErrorKind::StaleDelivery;
    lastCallError() returns it as well.
*/

/*!
    \fn void AmqpQt::Channel::queueDeclared(const AmqpQt::QueueInfo &queue)

    This signal is emitted after the reply when declareQueue(), declareTemporaryQueue() or inspectQueue() succeeded
    (\c queue.declare-ok). \a queue has the counts and the name, which the broker generates if none was given.
*/

/*!
    \fn void AmqpQt::Channel::queueDeleted(const QString &name, quint32 messageCount)

    This signal is emitted when deleteQueue() succeeded (\c queue.delete-ok). \a name is the name that was passed to the
    call, and \a messageCount is the number of messages that were deleted with the queue.
*/

/*!
    \fn void AmqpQt::Channel::exchangeDeclared(const QString &name)

    This signal is emitted when declareExchange() succeeded (\c exchange.declare-ok) for the exchange \a name.
*/

/*!
    \fn void AmqpQt::Channel::publishConfirmed(quint64 first, quint64 last)

    This signal is emitted in confirm mode when the broker has taken responsibility for the messages with the sequence
    numbers from \a first to \a last (\c basic.ack). Messages whose outcome was already known are not in the range. The
    broker also confirms a message that has no route and was not published as mandatory.

    \sa publish(), publishFailed(), confirmSelect()
*/

/*!
    \fn void AmqpQt::Channel::publishFailed(quint64 first, quint64 last, const AmqpQt::Error &error)

    This signal is emitted when the messages with the sequence numbers from \a first to \a last, inclusive, were
    accepted by publish() and have failed. Either they were never sent: they were waiting for the connection to open, or
    for the broker to stop blocking, when \a error ended the channel, or they are too large for the negotiated frame
    size (ErrorKind::InvalidArgument). Or, in confirm mode, the broker nacked them (ErrorKind::Nacked), they had no
    route (ErrorKind::Returned), or they were not confirmed when the channel ended (ErrorKind::Unconfirmed).

    Without confirm mode, the outcome of a message that was written is not reported.
*/

/*!
    \fn void AmqpQt::Channel::messageReturned(quint64 sequence, const AmqpQt::Message &message, const AmqpQt::Error
    &reason)

    This signal is emitted when the broker returns a message that was published with PublishFlag::Mandatory and had no
    route (\c basic.return). \a message has the body, properties, exchange and routing key; it is not a delivery and
    cannot be settled. \a reason is of kind ErrorKind::Returned with the broker's code, which is 312 for no route.

    In confirm mode, \a sequence is the sequence number of the message, and publishFailed() follows. Otherwise it is 0,
    because without confirms a returned message cannot be matched to its publish() call.
*/

/*!
    \fn void AmqpQt::Channel::unconfirmedCountChanged(int count)

    This signal is emitted when unconfirmedCount() has changed to \a count, at most once per turn of the event loop.
*/

/*!
    \fn void AmqpQt::Channel::backpressureChanged(AmqpQt::BackpressureReasons reasons)

    This signal is emitted when backpressure() has changed to \a reasons.
*/

/*!
    \fn void AmqpQt::Channel::writableChanged(bool writable)

    This signal is emitted when isWritable() has changed to \a writable. It follows backpressureChanged().
*/

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
    if (const Error reason = d->checkUsable("whenOpen"); reason.isError())
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
    reopen(). Returns 0 if the message was rejected; then lastCallError() returns the reason, and errorOccurred()
    follows:

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
    returns a reply with the outcome. The channel has to be in confirm mode; if it is open in another mode, the reply
    ends with ErrorKind::InvalidArgument.

    The reply succeeds when the broker has taken responsibility for the message (\c basic.ack). It ends with
    ErrorKind::Returned if a mandatory message had no route, with ErrorKind::Nacked if the broker rejected it
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
    each message published after this call once. The mode cannot be left. A channel in transaction mode rejects the call
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
    return d->confirms.count();
}

/*!
    Returns the maximum number of sent but unconfirmed messages; 0, the default, means no limit.
*/
int Channel::confirmWindow() const
{
    return d->engine ? d->engine->publishing().confirmWindow() : 0;
}

/*!
    Limits the number of sent but unconfirmed messages to \a messages; 0 means no limit. Further messages are accepted,
    counted in unconfirmedCount() and queued until confirms arrive, within ConnectionParameters::bufferLimit().
    Subsequent calls wait behind them, so order is kept. BackpressureReason::ConfirmWindowFull is set when the limit is
    reached and cleared when half of these messages are confirmed. The limit has an effect in confirm mode only. A
    negative number is rejected with ErrorKind::InvalidArgument in lastCallError().
*/
void Channel::setConfirmWindow(int messages)
{
    Error reason = d->checkUsable("setConfirmWindow");
    if (!reason.isError() && messages < 0)
        reason = Error(ErrorKind::InvalidArgument, u"messages: %1 is out of range; the minimum is 0"_s.arg(messages));
    if (reason.isError()) {
        d->reportCallError(reason);
        return;
    }
    d->engine->publishing().setConfirmWindow(messages);
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
        "declareQueue", [&] { return d->engine->topology().declareQueue(name, options, false); },
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
        "inspectQueue", [&] { return d->engine->topology().declareQueue(name, {}, true); },
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
            return d->engine->topology().deleteQueue(name, flags.testFlag(DeleteFlag::IfUnused),
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
        "purgeQueue", [&] { return d->engine->topology().purgeQueue(name); },
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
    return d->reply("bindQueue",
                    [&] { return d->engine->topology().bindQueue(queue, exchange, routingKey, arguments); });
}

/*!
    Removes the binding of \a queue to \a exchange that was made with the same \a routingKey and \a arguments
    (\c queue.unbind). RabbitMQ does not treat a missing binding as an error. Empty names are handled as in bindQueue().
*/
Reply<void> Channel::unbindQueue(const QString &queue, const QString &exchange, const QString &routingKey,
                                 const FieldTable &arguments)
{
    return d->reply("unbindQueue",
                    [&] { return d->engine->topology().unbindQueue(queue, exchange, routingKey, arguments); });
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
        "declareExchange", [&] { return d->engine->topology().declareExchange(name, type, options, false); },
        [name](Channel *channel) { Q_EMIT channel->exchangeDeclared(name); });
}

/*!
    Checks whether the exchange \a name exists (\c exchange.declare with \c passive). If it does not, the broker closes
    the channel with 404.
*/
Reply<void> Channel::inspectExchange(const QString &name)
{
    return d->reply("inspectExchange", [&] { return d->engine->topology().declareExchange(name, {}, {}, true); });
}

/*!
    Deletes the exchange \a name (\c exchange.delete); with DeleteFlag::IfUnused in \a flags only if nothing is bound to
    it; otherwise the broker closes the channel with 406. RabbitMQ does not treat a missing exchange as an error.
*/
Reply<void> Channel::deleteExchange(const QString &name, DeleteFlags flags)
{
    return d->reply("deleteExchange",
                    [&] { return d->engine->topology().deleteExchange(name, flags.testFlag(DeleteFlag::IfUnused)); });
}

/*!
    Binds the exchange \a destination to the exchange \a source (\c exchange.bind, a RabbitMQ extension) with
    \a routingKey and \a arguments, as bindQueue() does for a queue.
*/
Reply<void> Channel::bindExchange(const QString &destination, const QString &source, const QString &routingKey,
                                  const FieldTable &arguments)
{
    return d->reply("bindExchange",
                    [&] { return d->engine->topology().bindExchange(destination, source, routingKey, arguments); });
}

/*!
    Removes the binding of the exchange \a destination to \a source that was made with the same \a routingKey and
    \a arguments (\c exchange.unbind). RabbitMQ does not treat a missing binding as an error.
*/
Reply<void> Channel::unbindExchange(const QString &destination, const QString &source, const QString &routingKey,
                                    const FieldTable &arguments)
{
    return d->reply("unbindExchange",
                    [&] { return d->engine->topology().unbindExchange(destination, source, routingKey, arguments); });
}

/*!
    Declares the exchanges, queues and bindings of \a topology, and returns a report. Each exchange and queue is checked
    first (\c exchange.declare and \c queue.declare with \c passive), which tells whether the declaration creates it.
    Bindings follow when everything is declared. What is not part of \a topology is not changed or deleted, so a
    topology may be applied repeatedly, also by several programs at once; two that create the same queue at the same
    moment may both report it as created.

    The calls are made on a channel of the library, where a refused declaration does not prevent the others, and an
    entity that does not exist yet costs a round trip. They do not keep their order with calls on this channel: wait for
    the reply before using the entities here. Like all declarations, they are part of Connection::topology().

    The reply succeeds even if declarations were refused; see TopologyReport::isComplete(). \l
   RecoveryPolicy::onMismatch decides about exchanges and queues that exist with other options, and \l
   RecoveryPolicy::onMissing about bindings that need an exchange or a queue that does not exist; with
   RecoveryPolicy::Missing::Wait the reply waits for them. The reply ends with an error if a policy says so, or if the
   connection or this channel ends first. As with declareExchange(), an exchange of an unknown type ends the \e
   connection.
*/
Reply<TopologyReport> Channel::apply(const Topology &topology)
{
    Error reason = d->checkUsable("apply");
    if (!reason.isError() && !d->engine->acceptsCalls())
        reason = d->engine->notOpen("");
    if (reason.isError())
        return Promise<TopologyReport>::finished(d->reportCallError(reason));
    return TopologySetup::start(this, topology);
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
        return d->engine->subscriptions().setPrefetch(count, scope == PrefetchScope::PerChannel);
    });
}

/*!
    Subscribes to \a queue with \a options (\c basic.consume) and returns the consumer, which emits the deliveries. The
    consumer is never null. It is a child of \a parent, or of this channel if \a parent is null. An empty \a queue means
    the queue last declared on this channel.

    If the library rejects the call, the consumer emits Consumer::cancelled() from the event loop: ErrorKind::NotOpen if
    the channel is closed or closing, ErrorKind::InvalidArgument for a name over 255 bytes, for arguments that cannot be
    sent, and for a consumer tag that is in use on this channel. The broker closes the channel with 404 if there is no
    such queue, and with 403 if the queue already has an exclusive consumer, or if this consumer is exclusive and the
    queue has others.

    Replies from \c amq.rabbitmq.reply-to (RabbitMQ's direct reply-to) need AckMode::NoAck. A channel has at most one
    consumer for them, which gets the replies to messages published on the same channel with that Message::replyTo().
    Other uses are rejected with ErrorKind::InvalidArgument.

    The tag of a consumer that was cancelled or deleted may be used again at once: this call, and all later calls of the
    channel, wait until the broker has confirmed the cancellation.

    If \a parent lives in another thread than the channel, the consumer becomes a child of the channel instead, and a
    warning is logged. A call from another thread is rejected; the consumer still becomes a child of its parent, in the
    parent's thread.
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
    QList<Consumer *> consumers;
    for (const ConsumerPrivate *consumer : d->consumers.active())
        consumers.append(consumer->q);
    return consumers;
}

/*!
    Returns the consumer with this \a consumerTag that has not ended, or null if there is none.
*/
Consumer *Channel::consumer(const QString &consumerTag) const
{
    const ConsumerPrivate *consumer = d->consumers.find(consumerTag);
    return consumer ? consumer->q : nullptr;
}

/*!
    Fetches one message from \a queue (\c basic.get). The reply contains the message and the number of messages left, or
    std::nullopt if the queue is empty. The message has to be settled like a delivery, unless \a ackMode is
    AckMode::NoAck. An empty \a queue is the one last declared on this channel. If there is no such queue the broker
    closes the channel with 404.

    AckMode::AfterDelivery is rejected with ErrorKind::InvalidArgument, since a reply has no slots to wait for. Use
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
        [channel = QPointer(this), channelPrivate = d.get(), noAck](ReplyValue &value) -> std::optional<GetResult> {
            auto *got = std::get_if<Engine::GotMessage>(&value);
            if (!got || !channel)
                return std::nullopt;
            channelPrivate->connection->router.countMessage();
            return GetResult{channelPrivate->makeMessage(got->message, {}, noAck), got->remaining};
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
        [](Channel *channel) { channel->d->recountUnacked(); });
}

/*!
    Puts the channel into transaction mode (\c tx.select): messages that are published and deliveries that are settled
    afterwards take effect with the next txCommit(). The mode cannot be left. A channel in confirm mode rejects the call
    with ErrorKind::InvalidArgument. reopen() sets the mode again; uncommitted messages and settlements are lost.

    Transactions are slow. Prefer confirmSelect() to learn whether the broker has a message. For the guarantees of
    transactions, see \l {https://www.rabbitmq.com/docs/semantics} {Broker Semantics}.
*/
Reply<void> Channel::txSelect()
{
    return d->select("txSelect", [this] { return d->engine->txSelect(); });
}

/*!
    Commits the messages and settlements since the last commit or rollback (\c tx.commit). Calls made before the reply
    arrives, including settlements, wait for it and belong to the next transaction, since the broker closes the
    connection when anything follows a commit that it has not answered. Without txSelect() the reply ends with
    ErrorKind::InvalidArgument.

    If the connection was lost since the last commit or rollback, a part of the transaction is lost, even if the
    connection has recovered. Then the rest is rolled back, and the reply ends with ErrorKind::Network. The same error
    ends a commit whose answer is lost, so its outcome is unknown.
*/
Reply<void> Channel::txCommit()
{
    const Reply<void> committing = d->reply("txCommit", [this] { return d->engine->txCommit(); });
    committing.then(this, [this](const Result<void> &result) {
        if (!result)
            d->recountUnacked(); // the transaction may have been rolled back
    });
    return committing;
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
        [](Channel *channel) { channel->d->recountUnacked(); });
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
