// SPDX-License-Identifier: MIT
#include "client/publisher/publisher_p.h"

namespace AmqpQt
{

using namespace Qt::StringLiterals;

/*!
    \class AmqpQt::Publisher
    \inheaderfile AmqpQt/Publisher
    \inmodule AmqpQt
    \since 0.1
    \brief The Publisher class publishes messages and reports the outcome of every message.

    A publisher has its own channel in confirm mode. Each message that publish() accepts gets an id and ends exactly
    once, in settled(): the broker has the message, does not have it, or the outcome is unknown. At most confirmWindow()
    messages are unconfirmed at a time. Further messages, and messages published while there is no connection or while
    the broker blocks, wait in the outbox, which holds up to outboxLimit() bytes. A message that does not fit is
    rejected, and publish() returns 0.

    \code
    auto *publisher = new AmqpQt::Publisher(connection, this);
    publisher->setRoutingKey(u"orders"_s);
    connect(publisher, &AmqpQt::Publisher::settled, this, [](quint64 id, const AmqpQt::Error &error) {
        if (error.isError())
            qWarning() << "message" << id << error;
    });
    publisher->publish(AmqpQt::Message::fromText(u"one"));
    \endcode

    \section1 How a message ends

    \table
    \header \li ErrorKind \li Outcome
    \row \li NoError \li The broker has the message.
    \row \li Nacked \li The broker rejected the message, for example because a queue is full and rejects messages.
    \row \li Returned \li The message had no route, and isMandatory() was \c true.
    \row \li Unconfirmed \li The connection or the channel ended first, and the broker may or may not have the message.
             The reply code is that of the error, such as 404 for a missing exchange. Messages that were sent together
             with the message that caused the error end the same way.
    \row \li Timeout \li The broker has not confirmed the message within confirmTimeout(), and may or may not have it.
    \row \li InvalidArgument \li The message waited in the outbox and is too large for the negotiated frame size.
    \row \li NotOpen \li The message waited in the outbox and can never be sent, because the connection or the channel
             was deleted, or the channel cannot be opened again.
    \endtable

    \section1 Lost connections

    Messages in the outbox stay there until the connection is open again, after a recovery or another
    Connection::open(). setLossPolicy() determines the outcome of messages that were sent and are unconfirmed: either
    they end as ErrorKind::Unconfirmed, in order, or they are sent again, in order and before any new message. In the
    second case the broker may have a message twice, and the duplicate is not necessarily marked as redelivered.

    An error that closes the channel, such as 404 for a missing exchange, ends the unconfirmed messages. The channel is
    then opened again, and the messages in the outbox are sent.

    \section1 Backpressure

    A fast producer continues while writable is \c true and otherwise waits for writableChanged(). The pressure property
    shows how close the limits are.

    Before it exits, a program should wait for drained() and then for Connection::closed().

    \section1 Life and threads

    A publisher belongs to the thread of its connection. The publisher and its connection may be deleted at any time, in
    any slot; all messages of the publisher then end.

    \sa Connection, Channel, Message
*/

/*!
    \enum AmqpQt::Publisher::LossPolicy

    This enum describes the outcome of messages that are unconfirmed when the connection is lost.

    \value Report The messages end as ErrorKind::Unconfirmed.
    \value Republish The messages are sent again when the connection is open, in order and before any new message. They
           may arrive twice.
*/

/*!
    \property AmqpQt::Publisher::exchange
    \brief the exchange to which publish() with one argument sends; empty initially, which is the default exchange.
*/

/*!
    \property AmqpQt::Publisher::routingKey
    \brief the routing key for publish() with one argument; empty initially.
*/

/*!
    \property AmqpQt::Publisher::writable
    \brief whether a message published now is sent immediately: the outbox is empty, the window is not full, and the
    channel is open and free of backpressure.
*/

/*!
    \property AmqpQt::Publisher::pressure
    \brief the fill level of the limits, from 0 (nothing is outstanding) to 1 (publish() rejects messages).

    The first half of the range is the window, the second half is the outbox. Without an outbox the whole range is the
    window, and the value is 1 while nothing can be sent.
*/

/*!
    \property AmqpQt::Publisher::outstandingCount
    \brief the number of accepted messages whose outcome has not been reported yet, in the outbox or unconfirmed.
*/

/*!
    \fn void AmqpQt::Publisher::settled(quint64 id, const AmqpQt::Error &error)

    This signal is emitted once for each message, when the message with this \a id has ended. Without an \a error
    (Error::isError() is \c false) the broker has the message. The reply of publishWithReply() finishes before this
    signal.
*/

/*!
    \fn void AmqpQt::Publisher::drained()

    This signal is emitted when nothing is outstanding any more, that is, settled() has been emitted for every accepted
    message.
*/

/*!
    \fn void AmqpQt::Publisher::writableChanged(bool writable)

    This signal is emitted when isWritable() has changed to \a writable. It and the signals for pressure and
    outstandingCount are emitted at most once per turn of the event loop.
*/

/*!
    \fn void AmqpQt::Publisher::pressureChanged(qreal pressure)

    This signal is emitted when pressure() has changed to \a pressure.
*/

/*!
    \fn void AmqpQt::Publisher::outstandingCountChanged(int count)

    This signal is emitted when outstandingCount() has changed to \a count.
*/

/*!
    \fn void AmqpQt::Publisher::exchangeChanged()

    This signal is emitted when exchange() has changed.
*/

/*!
    \fn void AmqpQt::Publisher::routingKeyChanged()

    This signal is emitted when routingKey() has changed.
*/

/*!
    Constructs a publisher on \a connection with its own channel and the given \a parent. It can be used at once;
    messages wait in the outbox until the connection is open.

    The publisher has to be created in the thread of \a connection. If \a connection is null or lives in another thread,
    error() is of kind ErrorKind::InvalidArgument from the start, every message is rejected with that error, and
    channel() is null.
*/
Publisher::Publisher(Connection *connection, QObject *parent)
    : QObject(parent)
    , d(std::make_unique<PublisherPrivate>(this, connection))
{
}

/*!
    Ends the publisher and its channel at once. Unfinished replies end with ErrorKind::Cancelled. The outcome of other
    outstanding messages is not reported, but a warning contains their number. To be sure of all messages, wait for
    drained().
*/
Publisher::~Publisher() = default;

/*!
    Publishes \a message to exchange() with routingKey(). Returns its id, which settled() uses to report the outcome.
    Ids start at 1 and increase by one. Returns 0 if the message was rejected. error() then returns the reason, which is
    logged unless it is the same as before: ErrorKind::InvalidArgument for a message that Channel::publish() rejects,
    ErrorKind::BufferFull if it cannot be sent now and would not fit into the outbox, ErrorKind::NotOpen once the
    connection has been deleted.

    The message is sent at once if the window and the connection allow it; otherwise it waits in the outbox. This
    function never blocks.
*/
quint64 Publisher::publish(const Message &message)
{
    return d->publish(d->exchange, d->routingKey, message);
}

/*!
    \overload

    Publishes \a message to \a exchange with \a routingKey.
*/
quint64 Publisher::publish(const QString &exchange, const QString &routingKey, const Message &message)
{
    return d->publish(exchange, routingKey, message);
}

/*!
    Publishes \a message to exchange() with routingKey() as publish() does. The reply succeeds when the broker has
    the message, and ends with the error of settled() otherwise, or with that of error() if it was rejected.
*/
Reply<void> Publisher::publishWithReply(const Message &message)
{
    return d->publishWithReply(d->exchange, d->routingKey, message);
}

/*!
    \overload

    Publishes \a message to \a exchange with \a routingKey.
*/
Reply<void> Publisher::publishWithReply(const QString &exchange, const QString &routingKey, const Message &message)
{
    return d->publishWithReply(exchange, routingKey, message);
}

QString Publisher::exchange() const
{
    return d->exchange;
}

void Publisher::setExchange(const QString &exchange)
{
    if (std::exchange(d->exchange, exchange) != exchange)
        Q_EMIT exchangeChanged();
}

QString Publisher::routingKey() const
{
    return d->routingKey;
}

void Publisher::setRoutingKey(const QString &routingKey)
{
    if (std::exchange(d->routingKey, routingKey) != routingKey)
        Q_EMIT routingKeyChanged();
}

/*!
    Returns whether a message without a route ends with ErrorKind::Returned; \c true by default. Otherwise the broker
    drops and confirms it.
*/
bool Publisher::isMandatory() const
{
    return d->mandatory;
}

/*!
    Sets whether a route is \a mandatory for messages published from now on.
*/
void Publisher::setMandatory(bool mandatory)
{
    d->mandatory = mandatory;
}

/*!
    Returns the maximum number of unconfirmed messages; 1000 by default.
*/
int Publisher::confirmWindow() const
{
    return d->confirmWindow;
}

/*!
    Sets the maximum number of unconfirmed messages to \a messages, at least 1; other values are rejected with
    ErrorKind::InvalidArgument in error().
*/
void Publisher::setConfirmWindow(int messages)
{
    if (messages < 1) {
        d->reportError(
            Error(ErrorKind::InvalidArgument, u"messages: %1 is out of range; the minimum is 1"_s.arg(messages)));
        return;
    }
    d->confirmWindow = messages;
    d->flushLater();
    d->noteChange();
}

/*!
    Returns the capacity of the outbox in bytes of bodies and properties; 16 MiB by default.
*/
qint64 Publisher::outboxLimit() const
{
    return d->outboxLimit;
}

/*!
    Limits the outbox to \a bytes, 0 or more. With 0, messages that cannot be sent at once are rejected. A negative
    limit is rejected with ErrorKind::InvalidArgument in error(). Messages in the outbox stay. Messages that return to
    it after a loss are kept regardless of the limit.
*/
void Publisher::setOutboxLimit(qint64 bytes)
{
    if (bytes < 0) {
        d->reportError(Error(ErrorKind::InvalidArgument, u"bytes: %1 is out of range; the minimum is 0"_s.arg(bytes)));
        return;
    }
    d->outboxLimit = bytes;
    d->noteChange();
}

/*!
    Returns whether published messages wait in the outbox; \c false by default.
*/
bool Publisher::isPaused() const
{
    return d->paused;
}

/*!
    Keeps messages in the outbox while \a paused is \c true, for example until their exchange and queues are declared.
    Messages already sent are not affected.
*/
void Publisher::setPaused(bool paused)
{
    if (std::exchange(d->paused, paused) == paused)
        return;
    d->noteChange();
    d->flushLater();
}

/*!
    Returns what happens to messages that are unconfirmed when the connection is lost; LossPolicy::Report by default.
*/
Publisher::LossPolicy Publisher::lossPolicy() const
{
    return d->lossPolicy;
}

/*!
    Sets the \a policy for a lost connection. An error that closes only the channel, such as a missing exchange, ends
    the unconfirmed messages under either policy.
*/
void Publisher::setLossPolicy(LossPolicy policy)
{
    d->lossPolicy = policy;
}

/*!
    Returns the time that the broker has to confirm a message once it has been sent; 0 by default, which means no limit.

    \since 0.1
*/
std::chrono::milliseconds Publisher::confirmTimeout() const
{
    return d->confirmTimeout;
}

/*!
    Sets the time that the broker has to confirm a message to \a timeout, 0 or more, for messages that are sent from now
    on. A message that the broker has not confirmed by then ends with ErrorKind::Timeout. Its confirm is ignored when it
    arrives, but until then, or until the connection is lost, the message keeps its place in the confirmWindow(). The
    time in the outbox does not count, and starts again for a message that is sent again with LossPolicy::Republish.

    A negative timeout, or one of more than 24 days, is rejected with ErrorKind::InvalidArgument in error().

    \since 0.1
    \sa {https://www.rabbitmq.com/docs/confirms#publisher-confirms-latency} {Latency of publisher confirms}
*/
void Publisher::setConfirmTimeout(std::chrono::milliseconds timeout)
{
    constexpr std::chrono::milliseconds Maximum = std::chrono::days(24);
    if (timeout.count() < 0 || timeout > Maximum) {
        d->reportError(
            Error(ErrorKind::InvalidArgument,
                  u"timeout: %1 ms is out of range; the minimum is 0, and the maximum is %2 ms"_s.arg(timeout.count())
                      .arg(Maximum.count())));
        return;
    }
    d->confirmTimeout = timeout;
}

/*!
    Returns the channel of this publisher, which lives as long as the publisher. Do not close it or publish on it
    directly.
*/
Channel *Publisher::channel() const
{
    return d->channel;
}

/*!
    Returns the reason for the last rejected call.
*/
Error Publisher::error() const
{
    return d->error;
}

bool Publisher::isWritable() const
{
    return d->isWritable();
}

qreal Publisher::pressure() const
{
    return d->pressure();
}

int Publisher::outstandingCount() const
{
    return d->outstandingCount();
}

/*!
    \reimp
*/
bool Publisher::event(QEvent *event)
{
    return QObject::event(event);
}

} // namespace AmqpQt
