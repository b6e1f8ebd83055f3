// SPDX-License-Identifier: MIT
#include "client/publisher_p.h"

#include "values/logging_p.h"

#include <AmqpQt/connection.h>

#include <QtCore/qpointer.h>

#include <algorithm>

namespace AmqpQt {

using namespace Qt::StringLiterals;

PublisherPrivate::PublisherPrivate(Publisher *publisher, Connection *connection)
    : q(publisher)
    , channel(connection->createChannel(publisher))
{
    channel->confirmSelect();
    const auto again = [this] {
        noteChange();
        flush();
    };
    QObject::connect(channel, &Channel::opened, q, again);
    QObject::connect(channel, &Channel::writableChanged, q, again);
    QObject::connect(channel, &Channel::closed, q, [this](const Error &reason) { onClosed(reason); });
    QObject::connect(channel, &Channel::publishConfirmed, q,
                     [this](quint64 first, quint64 last) { onEnded(first, last, {}); });
    QObject::connect(channel, &Channel::publishFailed, q,
                     [this](quint64 first, quint64 last, const Error &failure) { onEnded(first, last, failure); });
    QObject::connect(connection, &Connection::opened, q, [this] {
        if (channel->state() == Channel::State::Closed)
            channel->reopen();
    });
}

PublisherPrivate::~PublisherPrivate()
{
    QObject::disconnect(channel, nullptr, q, nullptr);
    if (const int left = outstanding(); left > 0)
        qCWarning(lcChannel) << "a publisher was deleted with" << left << "messages outstanding";
    const Error deleted(ErrorKind::Cancelled, u"the publisher was deleted"_s);
    for (const auto &[id, promise] : m_replies)
        promise.finish(deleted, ConnectionPrivate::Delivery::Posted);
}

// --- publishing -----------------------------------------------------------------------------------------------------------

qint64 PublisherPrivate::size(const Outgoing &outgoing)
{
    return MessageAccess::encodedProperties(outgoing.message, nullptr).size() + MessageAccess::body(outgoing.message).size()
        + outgoing.exchange.size() + outgoing.routingKey.size();
}

Error PublisherPrivate::check(const Outgoing &outgoing)
{
    if (const auto name = Wire::encodeShortText("exchange"_L1, outgoing.exchange); !name)
        return name.error();
    if (const auto key = Wire::encodeShortText("routingKey"_L1, outgoing.routingKey); !key)
        return key.error();
    Error invalid;
    MessageAccess::encodedProperties(outgoing.message, &invalid);
    return invalid;
}

bool PublisherPrivate::maySend() const
{
    const ChannelPrivate *own = ChannelPrivate::of(channel);
    return m_inFlightCount < window && channel->isWritable() && own->engine->takesCalls(); // the end may not be told yet
}

bool PublisherPrivate::send(Outgoing &outgoing)
{
    outgoing.sequence = channel->publish(outgoing.exchange, outgoing.routingKey, outgoing.message,
                                         mandatory ? Channel::PublishFlag::Mandatory : Channel::PublishFlags());
    if (outgoing.sequence == 0)
        return false;
    m_inFlight.push_back(std::move(outgoing));
    ++m_inFlightCount;
    return true;
}

Error PublisherPrivate::refuse(const Error &reason)
{
    error = reason;
    qCWarning(lcChannel) << "a message was not published:" << reason;
    return reason;
}

quint64 PublisherPrivate::publish(const QString &exchangeName, const QString &key, const Message &message)
{
    if (q->thread() != QThread::currentThread()) {
        qCWarning(lcChannel, "publish() was called in a foreign thread and is refused: use QMetaObject::invokeMethod()");
        return 0;
    }
    const auto refused = [this](const Error &reason) {
        refuse(reason);
        return 0;
    };
    if (!channel->connection())
        return refused(Error(ErrorKind::NotOpen, u"the connection of this publisher is gone"_s));
    Outgoing outgoing{.id = m_lastId + 1, .exchange = exchangeName, .routingKey = key, .message = message};
    if (isWritable()) {
        if (!send(outgoing))
            return refused(channel->error());
    } else {
        if (const Error invalid = check(outgoing); invalid.isError())
            return refused(invalid);
        const qint64 bytes = size(outgoing);
        if (m_outboxBytes + bytes > outboxLimit) {
            return refused(Error(ErrorKind::BufferFull,
                                 u"the outbox holds %1 bytes, its limit is %2"_s.arg(m_outboxBytes).arg(outboxLimit)));
        }
        m_outboxBytes += bytes;
        m_outbox.push_back(std::move(outgoing));
    }
    noteChange();
    return ++m_lastId;
}

Reply<void> PublisherPrivate::publishWithReply(const QString &exchangeName, const QString &key, const Message &message)
{
    const quint64 id = publish(exchangeName, key, message);
    return id ? m_replies[id].reply() : Promise<void>::finished(error);
}

// What waits in the outbox leaves as far as window and backpressure allow.
void PublisherPrivate::flush()
{
    const QPointer<Publisher> guard(q);
    while (guard && !m_outbox.empty() && maySend()) {
        Outgoing outgoing = std::move(m_outbox.front());
        m_outbox.pop_front();
        m_outboxBytes -= size(outgoing);
        if (!send(outgoing))
            settle({outgoing.id}, channel->error()); // too large for this connection's frames, for one
    }
}

// --- outcomes -------------------------------------------------------------------------------------------------------------

// Whether the message goes back to the outbox: it was never sent, or it may be sent twice and the connection is lost.
bool PublisherPrivate::goesAgain(const Error &failure) const
{
    const ConnectionPrivate *connection = ChannelPrivate::of(channel)->connection;
    const bool isLost = connection && !connection->engine.isOpen();
    switch (failure.kind()) {
    case ErrorKind::Network:
    case ErrorKind::Timeout:
    case ErrorKind::ConnectionClosed:
    case ErrorKind::Cancelled: return connection; // it was never sent
    case ErrorKind::Unconfirmed: return isLost && lossPolicy == Publisher::LossPolicy::Republish;
    default: return false;
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
        at->message = Message(); // others before it may wait for long
    }
    while (!m_inFlight.empty() && m_inFlight.front().isSettled)
        m_inFlight.pop_front();
    for (auto outgoing = waiting.rbegin(); outgoing != waiting.rend(); ++outgoing) {
        outgoing->isSettled = false;
        outgoing->sequence = 0;
        m_outboxBytes += size(*outgoing);
        // Ranges of one loss may come in any order, ids tell the right one.
        const auto place = std::lower_bound(m_outbox.begin(), m_outbox.end(), outgoing->id,
                                            [](const Outgoing &kept, quint64 id) { return kept.id < id; });
        m_outbox.insert(place, std::move(*outgoing));
    }
    noteChange();
    settle(ids, failure);
}

// The application may delete the publisher meanwhile.
void PublisherPrivate::settle(const std::vector<quint64> &ids, const Error &failure)
{
    if (ids.empty())
        return;
    const QPointer<Publisher> guard(q);
    for (const quint64 id : ids) {
        if (!m_replies.empty()) {
            if (auto reply = m_replies.extract(id))
                reply.mapped().finish(failure.isError() ? Result<void>(failure) : Result<void>());
            if (!guard)
                return;
        }
        Q_EMIT q->settled(id, failure);
        if (!guard)
            return;
    }
    if (outstanding() == 0)
        Q_EMIT q->drained();
    else
        flush();
}

void PublisherPrivate::onClosed(const Error &reason)
{
    noteChange();
    Connection *connection = channel->connection();
    if (connection && connection->isOpen()) {
        channel->reopen(); // one message's error, a missing exchange for one, does not stop the others
    } else if (!connection) {
        std::vector<quint64> ids;
        for (const Outgoing &outgoing : std::exchange(m_outbox, {}))
            ids.push_back(outgoing.id);
        m_outboxBytes = 0;
        settle(ids, reason);
    }
}

// --- properties -----------------------------------------------------------------------------------------------------------

qreal PublisherPrivate::pressure() const
{
    const qreal inFlight = std::min(qreal(m_inFlightCount) / window, 1.0);
    if (outboxLimit == 0)
        return isWritable() ? inFlight : 1;
    return m_outbox.empty() ? inFlight / 2 : 0.5 + std::min(qreal(m_outboxBytes) / qreal(outboxLimit), 1.0) / 2;
}

void PublisherPrivate::noteChange()
{
    if (!std::exchange(m_changeNoted, true))
        ChannelPrivate::of(channel)->defer(q, [this] { tellChange(); });
}

void PublisherPrivate::tellChange()
{
    m_changeNoted = false;
    const QPointer<Publisher> guard(q);
    if (std::exchange(m_toldOutstanding, outstanding()) != outstanding())
        Q_EMIT q->outstandingChanged(m_toldOutstanding);
    if (guard && std::exchange(m_toldPressure, pressure()) != pressure())
        Q_EMIT q->pressureChanged(m_toldPressure);
    if (guard && std::exchange(m_toldWritable, isWritable()) != isWritable())
        Q_EMIT q->writableChanged(m_toldWritable);
}

// --- the class ------------------------------------------------------------------------------------------------------------

/*!
    Makes a publisher on \a connection, with a channel of its own, and with \a parent. It can be used at once: messages
    wait in the outbox until the connection is open.
*/
Publisher::Publisher(Connection *connection, QObject *parent)
    : QObject(parent)
    , d(std::make_unique<PublisherPrivate>(this, connection))
{
}

/*!
    Ends the publisher and its channel at once. Replies that are not finished end with ErrorKind::Cancelled; for what
    was published otherwise and is outstanding nothing more is told, and a warning has its number. To be sure of
    everything wait for drained().
*/
Publisher::~Publisher() = default;

/*!
    Publishes \a message to exchange() with routingKey(). Returns its id, from 1 and never repeated, under which
    settled() will tell its end, or 0 if it was refused; then error() has the reason: ErrorKind::InvalidArgument for
    what Channel::publish() refuses, ErrorKind::BufferFull if it cannot be sent now and would not fit into the outbox,
    ErrorKind::NotOpen once the connection has been deleted.

    The message is sent at once if the window and the connection allow, else it waits in the outbox. Never blocks.
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
    Publishes \a message to \a exchange with \a routingKey as publish() does. The reply succeeds when the broker has
    the message, and ends with the error of settled() otherwise, or with that of error() if it was refused.
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
    drops it, and confirms it.
*/
bool Publisher::isMandatory() const
{
    return d->mandatory;
}

/*!
    Sets whether a route is \a mandatory, for what is sent from now on.
*/
void Publisher::setMandatory(bool mandatory)
{
    d->mandatory = mandatory;
}

/*!
    Returns how many messages may be on their way, sent and unconfirmed, at a time; 1000 by default.
*/
int Publisher::window() const
{
    return d->window;
}

/*!
    Sets the number of unconfirmed messages at a time to \a messages, 1 or more; others are refused with
    ErrorKind::InvalidArgument in error().
*/
void Publisher::setWindow(int messages)
{
    if (messages < 1) {
        d->refuse(Error(ErrorKind::InvalidArgument, u"messages: a window of %1"_s.arg(messages)));
        return;
    }
    d->window = messages;
    d->noteChange();
    d->flush();
}

/*!
    Returns how many bytes of messages, bodies and properties, the outbox takes; 16 MiB by default.
*/
qint64 Publisher::outboxLimit() const
{
    return d->outboxLimit;
}

/*!
    Limits the outbox to \a bytes, 0 or more. With 0 what cannot be sent at once is refused. A negative limit is refused
    with ErrorKind::InvalidArgument in error(). What is in the outbox stays. Messages that return there after a loss
    are kept whatever the limit is.
*/
void Publisher::setOutboxLimit(qint64 bytes)
{
    if (bytes < 0) {
        d->refuse(Error(ErrorKind::InvalidArgument, u"bytes: an outbox of %1"_s.arg(bytes)));
        return;
    }
    d->outboxLimit = bytes;
    d->noteChange();
}

/*!
    Returns what happens to messages that are unconfirmed when the connection is lost; LossPolicy::Report by default.
*/
Publisher::LossPolicy Publisher::lossPolicy() const
{
    return d->lossPolicy;
}

/*!
    Sets what happens at a loss to \a policy. An error that closes only the channel, a missing exchange for one, ends
    the unconfirmed messages under either policy.
*/
void Publisher::setLossPolicy(LossPolicy policy)
{
    d->lossPolicy = policy;
}

/*!
    Returns the channel of this publisher, which lives as long. To close it, or to publish there, confuses the
    publisher.
*/
Channel *Publisher::channel() const
{
    return d->channel;
}

/*!
    Returns why a call was refused the last time.
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

int Publisher::outstanding() const
{
    return d->outstanding();
}

} // namespace AmqpQt
