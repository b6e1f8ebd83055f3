// SPDX-License-Identifier: MIT
#include "client/publisher_p.h"

#include "values/logging_p.h"
#include "wire/fieldtable_p.h"

#include <AmqpQt/connection.h>

#include <QtCore/qmetaobject.h>

#include <algorithm>

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
    refused, and publish() returns 0.

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
    \row \li Nacked \li The broker rejected the message, for example because a queue is full and refuses messages.
    \row \li Returned \li The message had no route, and isMandatory() was \c true.
    \row \li Unconfirmed \li The connection or the channel ended first, and the broker may or may not have the message.
             The reply code is that of the error, such as 404 for a missing exchange. Messages that were sent together
             with the message that caused the error end the same way.
    \row \li InvalidArgument \li The message waited in the outbox and is too large for the negotiated frame size.
    \row \li NotOpen \li The message waited in the outbox and can never be sent, because the connection or the channel
             was deleted, or the channel cannot be opened again.
    \endtable

    \section1 Lost connections

    Messages in the outbox stay there until the connection is open again. setLossPolicy() determines the outcome of
    messages that were sent and are unconfirmed: either they end as ErrorKind::Unconfirmed, in order, or they are sent
    again, in order and before any new message. In the second case the broker may have a message twice, and the
    duplicate is not necessarily marked as redelivered.

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
    \brief how close the limits are, from 0 (nothing is outstanding) to 1 (publish() refuses messages).

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

PublisherPrivate::PublisherPrivate(Publisher *publisher, Connection *connection)
    : q(publisher)
{
    if (!connection)
        m_noChannel =
            Error(ErrorKind::InvalidArgument, u"connection: the pointer is null; a publisher needs a connection"_s);
    else if (connection->thread() != QThread::currentThread())
        m_noChannel = Error(ErrorKind::InvalidArgument,
                            u"connection: the connection lives in a different thread than the publisher"_s);
    if (m_noChannel.isError()) {
        refuse(m_noChannel);
        return;
    }

    channel = connection->createChannel(publisher);
    ChannelPrivate::of(channel)->publisher = this;
    channel->confirmSelect();
    const auto again = [this] {
        noteChange();
        flush();
    };
    QObject::connect(channel, &Channel::opened, q, again);
    QObject::connect(channel, &Channel::writableChanged, q, again);
    QObject::connect(channel, &Channel::closed, q, [this] { reopenOrEnd(); });
    QObject::connect(channel, &Channel::publishConfirmed, q,
                     [this](quint64 first, quint64 last) { onEnded(first, last, {}); });
    QObject::connect(channel, &Channel::publishFailed, q,
                     [this](quint64 first, quint64 last, const Error &failure) { onEnded(first, last, failure); });
    QObject::connect(connection, &Connection::opened, q, [this] { reopenOrEnd(); });
    QObject::connect(connection, &Connection::bytesToWriteChanged, q, [this] { flush(); });
    // Queued: user code must not run inside a destructor, and the remaining signals of the two come first. Futures do
    // not wait for that, since there may no longer be an event loop.
    for (const QObject *needed : {static_cast<const QObject *>(connection), static_cast<const QObject *>(channel)}) {
        QObject::connect(needed, &QObject::destroyed, q, [this] { finishReplies(); });
        QObject::connect(
            needed, &QObject::destroyed, q, [this] { end(unusable()); }, Qt::QueuedConnection);
    }
}

PublisherPrivate::~PublisherPrivate()
{
    if (channel) {
        QObject::disconnect(channel, nullptr, q, nullptr);
        ChannelPrivate::of(channel)->publisher = nullptr;
    }
    if (const int left = outstandingCount(); left > 0)
        qCWarning(lcChannel) << "a publisher was deleted with" << left << "messages outstanding";
    const Error deleted(ErrorKind::Cancelled, u"the publisher was deleted"_s);
    for (const auto &[id, promise] : m_replies)
        promise.finish(deleted, ConnectionPrivate::Delivery::Posted);
}

// Returns at least the size of the message in the write buffer.
qint64 PublisherPrivate::size(const Outgoing &outgoing)
{
    Error invalid; // for the channel to refuse
    const QByteArray *properties = MessageAccess::encodedProperties(outgoing.message, &invalid);
    return Wire::ContentHeaderPrefix + (properties ? properties->size() : 0) +
           MessageAccess::body(outgoing.message).size() + outgoing.exchange.size() + outgoing.routingKey.size();
}

Error PublisherPrivate::unusable() const
{
    if (m_noChannel.isError())
        return m_noChannel;
    if (!channel)
        return Error(ErrorKind::NotOpen, u"the channel of this publisher was deleted"_s);
    return ChannelPrivate::of(channel)->unusable("publish");
}

Error PublisherPrivate::check(const Outgoing &outgoing) const
{
    if (const auto name = Wire::encodeShortText("exchange"_L1, outgoing.exchange); !name)
        return name.error();
    if (const auto key = Wire::encodeShortText("routingKey"_L1, outgoing.routingKey, Wire::NotUtf8::Allowed); !key)
        return key.error();
    Error invalid;
    const QByteArray *properties = MessageAccess::encodedProperties(outgoing.message, &invalid);
    if (!properties)
        return invalid;
    return ChannelPrivate::of(channel)->engine->checkContent(*properties, MessageAccess::body(outgoing.message));
}

bool PublisherPrivate::maySend() const
{
    return !paused && m_inFlightCount < confirmWindow && channel && channel->isWritable() &&
           ChannelPrivate::of(channel)->engine->acceptsCalls(); // the end may not be reported yet
}

bool PublisherPrivate::hasRoom(qint64 bytes) const
{
    const Engine::ConnectionEngine &engine = ChannelPrivate::of(channel)->connection->engine;
    return engine.queuedBytes() == 0 || engine.hasRoom(bytes); // the channel refuses a message that never fits
}

bool PublisherPrivate::send(Outgoing &outgoing)
{
    outgoing.sequence =
        channel->publish(outgoing.exchange, outgoing.routingKey, outgoing.message,
                         outgoing.isMandatory ? Channel::PublishFlag::Mandatory : Channel::PublishFlags());
    if (outgoing.sequence == 0)
        return false;
    m_inFlight.push_back(std::move(outgoing));
    ++m_inFlightCount;
    return true;
}

void PublisherPrivate::refuse(const Error &reason)
{
    if (std::exchange(error, reason).kind() != reason.kind()) // else a loop of publish() would flood the log
        qCWarning(lcChannel) << q << "cannot publish:" << reason;
}

bool PublisherPrivate::isForeignThread(const char *function) const
{
    if (q->thread() == QThread::currentThread())
        return false;
    qCWarning(lcChannel, "%s() was called from another thread and has no effect; use QMetaObject::invokeMethod()",
              function);
    return true; // this object must not be touched
}

Result<quint64> PublisherPrivate::submit(const QString &exchangeName, const QString &key, const Message &message)
{
    if (const Error reason = unusable(); reason.isError())
        return reason;
    Outgoing outgoing{
        .id = m_lastId + 1, .exchange = exchangeName, .routingKey = key, .message = message, .isMandatory = mandatory};
    const qint64 bytes = size(outgoing);
    if (isWritable() && hasRoom(bytes)) {
        if (!send(outgoing))
            return channel->lastCallError();
    } else {
        if (const Error invalid = check(outgoing); invalid.isError())
            return invalid;
        if (m_outboxBytes + bytes > outboxLimit)
            return outboxFull(bytes);
        if (const Error closed = reopen(); closed.isError())
            return closed;
        outgoing.bytes = bytes;
        m_outboxBytes += bytes;
        m_outbox.push_back(std::move(outgoing));
    }
    m_isDrained = false;
    noteChange();
    return ++m_lastId;
}

Error PublisherPrivate::outboxFull(qint64 bytes) const
{
    if (outboxLimit == 0)
        return Error(ErrorKind::BufferFull,
                     u"the message cannot be sent now, and the outbox is disabled because outboxLimit is 0"_s);
    if (bytes > outboxLimit) {
        return Error(
            ErrorKind::BufferFull,
            u"the message needs %1 bytes in the outbox; the maximum (outboxLimit) is %2 bytes"_s.arg(bytes).arg(
                outboxLimit));
    }
    return Error(ErrorKind::BufferFull,
                 u"the outbox holds %1 bytes and has no room for %2 more; the maximum (outboxLimit) is %3 bytes"_s
                     .arg(m_outboxBytes)
                     .arg(bytes)
                     .arg(outboxLimit));
}

quint64 PublisherPrivate::publish(const QString &exchangeName, const QString &key, const Message &message)
{
    if (isForeignThread("publish"))
        return 0;
    const Result<quint64> id = submit(exchangeName, key, message);
    if (id)
        return *id;
    refuse(id.error());
    return 0;
}

Reply<void> PublisherPrivate::publishWithReply(const QString &exchangeName, const QString &key, const Message &message)
{
    if (isForeignThread("publishWithReply"))
        return Promise<void>::finished(
            Error(ErrorKind::InvalidArgument, u"publishWithReply() was called from another thread"_s));
    const Result<quint64> id = submit(exchangeName, key, message);
    if (id)
        return m_replies[*id].reply();
    error = id.error(); // the reply reports it
    return Promise<void>::finished(error);
}

// Sends messages from the outbox as far as window and backpressure allow. The application may delete the publisher.
void PublisherPrivate::flush()
{
    while (!m_outbox.empty() && maySend() && hasRoom(m_outbox.front().bytes)) {
        noteChange();
        Outgoing outgoing = std::move(m_outbox.front());
        m_outbox.pop_front();
        m_outboxBytes -= outgoing.bytes;
        if (!send(outgoing) &&
            !tell({outgoing.id}, channel->lastCallError())) // too large for this connection's frames, for one
            return;
    }
}

void PublisherPrivate::flushLater()
{
    QMetaObject::invokeMethod(
        q, [this] { flush(); }, Qt::QueuedConnection);
}

// Whether the message goes back to the outbox, because it was never sent, or may be sent twice and the connection is
// lost.
bool PublisherPrivate::goesAgain(const Error &failure) const
{
    const ConnectionPrivate *connection = ChannelPrivate::of(channel)->connection;
    switch (failure.kind()) {
    case ErrorKind::NoError:
    case ErrorKind::Nacked:
    case ErrorKind::Returned:
    case ErrorKind::InvalidArgument:
        return false;
    case ErrorKind::Unconfirmed:
        return connection && !connection->engine.isOpen() && lossPolicy == Publisher::LossPolicy::Republish;
    default:
        return connection; // channel or connection ended before it was sent
    }
}

void PublisherPrivate::onEnded(quint64 first, quint64 last, const Error &failure)
{
    auto at = std::lower_bound(m_inFlight.begin(), m_inFlight.end(), first,
                               [](const Outgoing &outgoing, quint64 sequence) { return outgoing.sequence < sequence; });
    const bool again = goesAgain(failure);
    std::vector<quint64> ids;
    std::vector<Outgoing> waiting;
    for (; at != m_inFlight.end() && at->sequence <= last; ++at) {
        if (std::exchange(at->isSettled, true))
            continue;
        --m_inFlightCount;
        if (again)
            waiting.push_back(std::move(*at));
        else
            ids.push_back(at->id);
        at->message = Message(); // earlier messages may wait for a long time
    }
    while (!m_inFlight.empty() && m_inFlight.front().isSettled)
        m_inFlight.pop_front();
    for (auto outgoing = waiting.rbegin(); outgoing != waiting.rend(); ++outgoing) {
        outgoing->isSettled = false;
        outgoing->sequence = 0;
        outgoing->bytes = size(*outgoing);
        m_outboxBytes += outgoing->bytes;
        // The ranges of one loss may come in any order; ids restore it.
        const auto place = std::lower_bound(m_outbox.begin(), m_outbox.end(), outgoing->id,
                                            [](const Outgoing &kept, quint64 id) { return kept.id < id; });
        m_outbox.insert(place, std::move(*outgoing));
    }
    noteChange();
    if (tell(ids, failure))
        flush();
}

// Reports the outcome of these messages, and emits drained() after the last one. Returns false if the application has
// deleted the publisher meanwhile.
bool PublisherPrivate::tell(const std::vector<quint64> &ids, const Error &failure)
{
    const QPointer<Publisher> guard(q);
    m_untold += int(ids.size());
    for (const quint64 id : ids) {
        --m_untold;
        if (!m_replies.empty()) {
            if (auto reply = m_replies.extract(id))
                reply.mapped().finish(failure.isError() ? Result<void>(failure) : Result<void>());
            if (!guard)
                return false;
        }
        Q_EMIT q->settled(id, failure);
        if (!guard)
            return false;
    }
    if (outstandingCount() == 0 && !std::exchange(m_isDrained, true))
        Q_EMIT q->drained();
    return guard;
}

// Reopens the channel if it is closed and the connection is not. Returns an error if it has to stay closed.
Error PublisherPrivate::reopen()
{
    if (!channel || channel->state() != Channel::State::Closed)
        return {};
    const ConnectionPrivate *connection = ChannelPrivate::of(channel)->connection;
    if (!connection || !connection->engine.isOpen() || connection->engine.isClosing())
        return {};
    const Reply<void> opening = channel->reopen();
    return opening.isFinished() ? opening.result().error() : Error();
}

// An error of one message, such as a missing exchange, does not stop the others.
void PublisherPrivate::reopenOrEnd()
{
    noteChange();
    if (const Error reason = reopen(); reason.isError())
        end(reason);
}

// Ends the remaining messages.
void PublisherPrivate::end(const Error &reason)
{
    noteChange();
    std::vector<quint64> sent;
    for (const Outgoing &outgoing : std::exchange(m_inFlight, {})) {
        if (!outgoing.isSettled)
            sent.push_back(outgoing.id);
    }
    m_inFlightCount = 0;
    if (!tell(sent, lost(reason)))
        return;
    std::vector<quint64> unsent;
    for (const Outgoing &outgoing : std::exchange(m_outbox, {}))
        unsent.push_back(outgoing.id);
    m_outboxBytes = 0;
    tell(unsent, reason);
}

void PublisherPrivate::finishReplies(quint64 first, quint64 last, const Error &failure)
{
    for (const Outgoing &outgoing : m_inFlight) {
        if (outgoing.sequence < first || outgoing.sequence > last)
            continue;
        if (auto reply = m_replies.extract(outgoing.id))
            reply.mapped().finish(failure.isError() ? Result<void>(failure) : Result<void>(),
                                  ConnectionPrivate::Delivery::Posted);
    }
}

void PublisherPrivate::finishReplies()
{
    const Error reason = unusable();
    for (const Outgoing &outgoing : m_inFlight)
        finishReplies(outgoing.sequence, outgoing.sequence, lost(reason));
    for (const auto &[id, promise] : std::exchange(m_replies, {}))
        promise.finish(reason, ConnectionPrivate::Delivery::Posted);
}

qreal PublisherPrivate::pressure() const
{
    const qreal inFlight = std::min(qreal(m_inFlightCount) / confirmWindow, 1.0);
    if (outboxLimit == 0)
        return isWritable() ? inFlight : 1;
    return m_outbox.empty() ? inFlight / 2 : 0.5 + std::min(qreal(m_outboxBytes) / qreal(outboxLimit), 1.0) / 2;
}

void PublisherPrivate::noteChange()
{
    m_wasUnwritable = m_wasUnwritable || !isWritable();
    if (!std::exchange(m_changeNoted, true)) // once for all that happens in a turn
        QMetaObject::invokeMethod(
            q, [this] { tellChange(); }, Qt::QueuedConnection);
}

void PublisherPrivate::tellChange()
{
    m_changeNoted = false;
    const QPointer<Publisher> guard(q);
    if (std::exchange(m_reportedOutstandingCount, outstandingCount()) != outstandingCount())
        Q_EMIT q->outstandingCountChanged(m_reportedOutstandingCount);
    if (guard && std::exchange(m_toldPressure, pressure()) != pressure())
        Q_EMIT q->pressureChanged(m_toldPressure);
    if (!guard)
        return;
    // A caller that saw it as not writable in between waits for the signal.
    const bool writable = isWritable();
    const bool wasUnwritable = std::exchange(m_wasUnwritable, !writable);
    if (std::exchange(m_toldWritable, writable) != writable || (writable && wasUnwritable))
        Q_EMIT q->writableChanged(writable);
}

/*!
    Constructs a publisher on \a connection with its own channel and the given \a parent. It can be used at once;
    messages wait in the outbox until the connection is open.

    The publisher has to be created in the thread of \a connection. If \a connection is null or lives in another thread,
    error() is of kind ErrorKind::InvalidArgument from the start, every message is refused with that error, and
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
    Ids start at 1 and increase by one. Returns 0 if the message was refused. error() then returns the reason, which is
    logged unless it is the same as before: ErrorKind::InvalidArgument for a message that Channel::publish() refuses,
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
    the message, and ends with the error of settled() otherwise, or with that of error() if it was refused.
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
    Sets the maximum number of unconfirmed messages to \a messages, at least 1; other values are refused with
    ErrorKind::InvalidArgument in error().
*/
void Publisher::setConfirmWindow(int messages)
{
    if (messages < 1) {
        d->refuse(Error(ErrorKind::InvalidArgument, u"messages: %1 is out of range; the minimum is 1"_s.arg(messages)));
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
    Limits the outbox to \a bytes, 0 or more. With 0, messages that cannot be sent at once are refused. A negative limit
    is refused with ErrorKind::InvalidArgument in error(). Messages in the outbox stay. Messages that return to it after
    a loss are kept regardless of the limit.
*/
void Publisher::setOutboxLimit(qint64 bytes)
{
    if (bytes < 0) {
        d->refuse(Error(ErrorKind::InvalidArgument, u"bytes: %1 is out of range; the minimum is 0"_s.arg(bytes)));
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
    Returns the channel of this publisher, which lives as long as the publisher. Do not close it or publish on it
    directly.
*/
Channel *Publisher::channel() const
{
    return d->channel;
}

/*!
    Returns the reason for the last refused call.
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
