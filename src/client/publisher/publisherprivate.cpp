// SPDX-License-Identifier: MIT
#include "client/publisher/publisher_p.h"

#include "base/logging_p.h"
#include "wire/fieldtable_p.h"

#include <AmqpQt/connection.h>

#include <algorithm>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

PublisherPrivate::PublisherPrivate(Publisher *publisher, Connection *connection)
    : q(publisher)
{
    if (!connection)
        m_creationError =
            Error(ErrorKind::InvalidArgument, u"connection: the pointer is null; a publisher needs a connection"_s);
    else if (connection->thread() != QThread::currentThread())
        m_creationError = Error(ErrorKind::InvalidArgument,
                                u"connection: the connection lives in a different thread than the publisher"_s);
    if (m_creationError.isError()) {
        reportError(m_creationError);
        return;
    }

    channel = connection->createChannel(publisher);
    ChannelPrivate::get(channel)->publisher = this;
    channel->confirmSelect();
    const auto retry = [this] {
        noteChange();
        flush();
    };
    QObject::connect(channel, &Channel::opened, q, retry);
    QObject::connect(channel, &Channel::writableChanged, q, retry);
    QObject::connect(channel, &Channel::closed, q, [this] { reopenOrEnd(); });
    QObject::connect(channel, &Channel::publishConfirmed, q,
                     [this](quint64 first, quint64 last) { onEnded(first, last, {}); });
    QObject::connect(channel, &Channel::publishFailed, q,
                     [this](quint64 first, quint64 last, const Error &failure) { onEnded(first, last, failure); });
    QObject::connect(connection, &Connection::opened, q, [this] { reopenOrEnd(); });
    QObject::connect(connection, &Connection::bytesToWriteChanged, q, [this] { flush(); });
    // Queued, since user code must not run inside a destructor, and the remaining signals of the two come first.
    // Futures do not wait for that, since there may no longer be an event loop.
    for (const QObject *needed : {static_cast<const QObject *>(connection), static_cast<const QObject *>(channel)}) {
        QObject::connect(needed, &QObject::destroyed, q, [this] { finishReplies(); });
        QObject::connect(
            needed, &QObject::destroyed, q, [this] { end(checkUsable()); }, Qt::QueuedConnection);
    }
}

PublisherPrivate::~PublisherPrivate()
{
    if (channel) {
        QObject::disconnect(channel, nullptr, q, nullptr);
        ChannelPrivate::get(channel)->publisher = nullptr;
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
    Error invalid; // the channel reports the error
    const QByteArray *properties = MessageAccess::encodedProperties(outgoing.message, &invalid);
    return Wire::ContentHeaderPrefix + (properties ? properties->size() : 0) +
           MessageAccess::body(outgoing.message).size() + outgoing.exchange.size() + outgoing.routingKey.size();
}

Error PublisherPrivate::checkUsable() const
{
    if (m_creationError.isError())
        return m_creationError;
    if (!channel)
        return Error(ErrorKind::NotOpen, u"the channel of this publisher was deleted"_s);
    return ChannelPrivate::get(channel)->checkUsable("publish");
}

Error PublisherPrivate::checkOutgoing(const Outgoing &outgoing) const
{
    if (const auto name = Wire::encodeShortText("exchange"_L1, outgoing.exchange); !name)
        return name.error();
    if (const auto key = Wire::encodeShortText("routingKey"_L1, outgoing.routingKey, Wire::NotUtf8::Allowed); !key)
        return key.error();
    Error invalid;
    const QByteArray *properties = MessageAccess::encodedProperties(outgoing.message, &invalid);
    if (!properties)
        return invalid;
    return ChannelPrivate::get(channel)->engine->publishing().checkContent(*properties,
                                                                           MessageAccess::body(outgoing.message));
}

bool PublisherPrivate::canSend() const
{
    if (paused || m_inFlightCount >= confirmWindow || !channel || !channel->isWritable())
        return false;
    const Engine::ChannelEngine &engine = *ChannelPrivate::get(channel)->engine;
    return engine.acceptsCalls() && !engine.isSuspended(); // the end or the loss may not be reported yet
}

bool PublisherPrivate::hasRoom(qint64 bytes) const
{
    const Engine::ConnectionEngine &engine = ChannelPrivate::get(channel)->connection->engine;
    return engine.flow().queuedBytes() == 0 ||
           engine.flow().hasRoom(bytes); // the channel rejects a message that never fits
}

bool PublisherPrivate::send(Outgoing &outgoing)
{
    outgoing.sequence =
        channel->publish(outgoing.exchange, outgoing.routingKey, outgoing.message,
                         outgoing.isMandatory ? Channel::PublishFlag::Mandatory : Channel::PublishFlags());
    if (outgoing.sequence == 0)
        return false;
    if (confirmTimeout.count() > 0) {
        outgoing.deadline = Clock::now() + confirmTimeout;
        watchDeadline(outgoing.deadline);
    }
    m_inFlight.push_back(std::move(outgoing));
    ++m_inFlightCount;
    return true;
}

void PublisherPrivate::reportError(const Error &reason)
{
    if (std::exchange(error, reason).kind() != reason.kind()) // otherwise a loop of publish() would flood the log
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
    if (const Error reason = checkUsable(); reason.isError())
        return reason;
    Outgoing outgoing{
        .id = m_lastId + 1, .exchange = exchangeName, .routingKey = key, .message = message, .isMandatory = mandatory};
    const qint64 bytes = size(outgoing);
    if (isWritable() && hasRoom(bytes)) {
        if (!send(outgoing))
            return channel->lastCallError();
    } else {
        if (const Error invalid = checkOutgoing(outgoing); invalid.isError())
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
    reportError(id.error());
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
    while (!m_outbox.empty() && canSend() && hasRoom(m_outbox.front().bytes)) {
        noteChange();
        Outgoing outgoing = std::move(m_outbox.front());
        m_outbox.pop_front();
        m_outboxBytes -= outgoing.bytes;
        if (!send(outgoing) &&
            !reportOutcomes({outgoing.id},
                            channel->lastCallError())) // the message may be too large for the frames of this connection
            return;
    }
}

void PublisherPrivate::flushLater()
{
    QMetaObject::invokeMethod(
        q, [this] { flush(); }, Qt::QueuedConnection);
}

// Returns whether the message goes back to the outbox, because it was never sent, or because the connection is lost
// and it may be sent twice.
bool PublisherPrivate::returnsToOutbox(const Error &failure) const
{
    const ConnectionPrivate *connection = ChannelPrivate::get(channel)->connection;
    switch (failure.kind()) {
    case ErrorKind::NoError:
    case ErrorKind::Nacked:
    case ErrorKind::Returned:
    case ErrorKind::InvalidArgument:
        return false;
    case ErrorKind::Unconfirmed:
        return connection && lossPolicy == Publisher::LossPolicy::Republish &&
               (!connection->engine.isOpen() || ChannelPrivate::get(channel)->engine->isSuspended());
    default:
        return connection; // channel or connection ended before it was sent
    }
}

void PublisherPrivate::onEnded(quint64 first, quint64 last, const Error &failure)
{
    auto at = std::lower_bound(m_inFlight.begin(), m_inFlight.end(), first,
                               [](const Outgoing &outgoing, quint64 sequence) { return outgoing.sequence < sequence; });
    const bool returns = returnsToOutbox(failure);
    std::vector<quint64> ids;
    std::vector<Outgoing> waiting;
    for (; at != m_inFlight.end() && at->sequence <= last; ++at) {
        if (std::exchange(at->isSettled, true))
            continue;
        --m_inFlightCount;
        if (at->isTimedOut)
            --m_timedOutCount;
        else if (returns)
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
        outgoing->deadline = Clock::time_point::max();
        outgoing->bytes = size(*outgoing);
        m_outboxBytes += outgoing->bytes;
        // The ranges of one loss may come in any order; ids restore it.
        const auto place = std::lower_bound(m_outbox.begin(), m_outbox.end(), outgoing->id,
                                            [](const Outgoing &kept, quint64 id) { return kept.id < id; });
        m_outbox.insert(place, std::move(*outgoing));
    }
    noteChange();
    if (reportOutcomes(ids, failure))
        flush();
}

// The timer waits for the earliest deadline, even if its message is confirmed before, as most messages are.
void PublisherPrivate::watchDeadline(Clock::time_point deadline)
{
    if (deadline >= m_watchedDeadline)
        return;
    m_watchedDeadline = deadline;
    if (!m_deadlineTimer) {
        m_deadlineTimer = new QTimer(q);
        m_deadlineTimer->setSingleShot(true);
        QObject::connect(m_deadlineTimer, &QTimer::timeout, q, [this] { reportTimeouts(); });
    }
    m_deadlineTimer->start(
        std::max(std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()), std::chrono::milliseconds(0)));
}

// A message that has timed out keeps its place in the window, because the broker still has to answer it.
void PublisherPrivate::reportTimeouts()
{
    const auto now = Clock::now();
    auto next = m_watchedDeadline = Clock::time_point::max();
    std::vector<quint64> ids;
    for (Outgoing &outgoing : m_inFlight) {
        if (outgoing.isSettled || outgoing.isTimedOut)
            continue;
        if (outgoing.deadline > now) {
            next = std::min(next, outgoing.deadline);
            continue;
        }
        outgoing.isTimedOut = true;
        outgoing.message = Message();
        ++m_timedOutCount;
        ids.push_back(outgoing.id);
    }
    watchDeadline(next);
    if (ids.empty())
        return;
    noteChange();
    reportOutcomes(
        ids, Error(ErrorKind::Timeout, u"the broker did not confirm the message in time"_s, 0, u"basic.publish"_s));
}

// Reports the outcome of these messages, and emits drained() after the last one. Returns false if the application
// has deleted the publisher in a slot.
bool PublisherPrivate::reportOutcomes(const std::vector<quint64> &ids, const Error &failure)
{
    const QPointer<Publisher> guard(q);
    m_unreportedCount += int(ids.size());
    for (const quint64 id : ids) {
        --m_unreportedCount;
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
    const ConnectionPrivate *connection = ChannelPrivate::get(channel)->connection;
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
        if (!outgoing.isSettled && !outgoing.isTimedOut)
            sent.push_back(outgoing.id);
    }
    m_inFlightCount = 0;
    m_timedOutCount = 0;
    if (!reportOutcomes(sent, unconfirmed(reason)))
        return;
    std::vector<quint64> unsent;
    for (const Outgoing &outgoing : std::exchange(m_outbox, {}))
        unsent.push_back(outgoing.id);
    m_outboxBytes = 0;
    reportOutcomes(unsent, reason);
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
    const Error reason = checkUsable();
    for (const Outgoing &outgoing : m_inFlight)
        finishReplies(outgoing.sequence, outgoing.sequence, unconfirmed(reason));
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
    if (!std::exchange(m_changeNoted, true)) // one call for all changes of a turn
        QMetaObject::invokeMethod(
            q, [this] { emitChanges(); }, Qt::QueuedConnection);
}

void PublisherPrivate::emitChanges()
{
    m_changeNoted = false;
    const QPointer<Publisher> guard(q);
    if (std::exchange(m_reportedOutstandingCount, outstandingCount()) != outstandingCount())
        Q_EMIT q->outstandingCountChanged(m_reportedOutstandingCount);
    if (guard && std::exchange(m_reportedPressure, pressure()) != pressure())
        Q_EMIT q->pressureChanged(m_reportedPressure);
    if (!guard)
        return;
    // A caller to which the publisher was not writable in the meantime waits for the signal.
    const bool writable = isWritable();
    const bool wasUnwritable = std::exchange(m_wasUnwritable, !writable);
    if (std::exchange(m_reportedWritable, writable) != writable || (writable && wasUnwritable))
        Q_EMIT q->writableChanged(writable);
}

} // namespace AmqpQt
