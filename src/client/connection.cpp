// SPDX-License-Identifier: MIT
#include "client/connection_p.h"

#include "client/adopt_p.h"
#include "client/channel_p.h"
#include "values/logging_p.h"

#include <AmqpQt/channel.h>

#include <algorithm>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

/*!
    Constructs a connection with the default parameters, which is a child of \a parent.
*/
Connection::Connection(QObject *parent)
    : Connection(ConnectionParameters(), parent)
{
}

/*!
    Constructs a connection with \a parameters, which is a child of \a parent.
*/
Connection::Connection(const ConnectionParameters &parameters, QObject *parent)
    : QObject(parent)
    , d(std::make_unique<ConnectionPrivate>(this))
{
    d->setParameters(parameters);
}

/*!
    Constructs a connection for \a url, which is a child of \a parent. open() reports an invalid URL, see url.
*/
Connection::Connection(const QUrl &url, QObject *parent)
    : QObject(parent)
    , d(std::make_unique<ConnectionPrivate>(this))
{
    d->setUrl(url);
}

/*!
    Ends the connection without blocking. Unsent bytes and \c connection.close are written as far as the kernel accepts
    them at once. All unfinished replies end with ErrorKind::Cancelled: futures at once, functions and coroutines from
    the event loop, see Reply. The connection itself emits nothing more. Its channels are deleted with it, except that
    channels with another parent stay and emit Channel::closed().
*/
Connection::~Connection() = default;

/*!
    Returns the parameters for the next open().
*/
ConnectionParameters Connection::parameters() const
{
    return d->parameters;
}

/*!
    Sets the \a parameters for the next open(). It may be called at any time in the thread of the connection: an
    attempt, and the connection that results from it, use the parameters that were set when open() was called, at every
    endpoint.

    If a setter of \a parameters has refused a value, open() fails with ConnectionParameters::error().
*/
void Connection::setParameters(const ConnectionParameters &parameters)
{
    if (!d->isOwnThread("setParameters"))
        return;
    d->setParameters(parameters);
    d->dispatcher.defer(this, [this] { Q_EMIT parametersChanged(); });
}

QUrl Connection::url() const
{
    return d->parameters.toUrl();
}

void Connection::setUrl(const QUrl &url)
{
    if (!d->isOwnThread("setUrl"))
        return;
    d->setUrl(url);
    d->dispatcher.defer(this, [this] { Q_EMIT parametersChanged(); });
}

Connection::State Connection::state() const
{
    return d->state;
}

/*!
    Returns a reply that succeeds when the connection is open: at once if it is open already, otherwise with the next
    \c connection.open-ok. If the attempt fails, the reply ends with its error, or with ErrorKind::Cancelled if close()
    or abort() ended the attempt. If no attempt is under way, the reply waits for the next one.
*/
Reply<void> Connection::whenOpen()
{
    if (!d->isOwnThread("whenOpen"))
        return Promise<void>::finished(
            Error(ErrorKind::InvalidArgument, u"whenOpen() was called from another thread"_s));
    if (isOpen() && !d->isLost())
        return Promise<void>::finished({});
    return d->whenOpen.emplace_back().reply();
}

/*!
    Returns the endpoint of the connection or of the last attempt to connect.
*/
Endpoint Connection::currentEndpoint() const
{
    return d->currentEndpoint();
}

Error Connection::error() const
{
    return d->error;
}

Error Connection::lastCallError() const
{
    return d->lastCallError;
}

bool Connection::isBlocked() const
{
    return d->engine.isBlocked();
}

QString Connection::blockedReason() const
{
    return d->flow.blockedReason();
}

bool Connection::isWritable() const
{
    return d->engine.isWritable() && !d->engine.isBlocked();
}

qint64 Connection::bytesToWrite() const
{
    return d->engine.queuedBytes() + d->link.bytesToWrite();
}

/*!
    \class AmqpQt::Connection::Statistics
    \inmodule AmqpQt
    \since 0.1
    \brief Counts the traffic of a connection: \c messagesIn delivered or fetched, \c messagesOut accepted by
    Channel::publish(), \c bytesIn read from the socket and \c bytesOut written to it.
*/

/*!
    Returns the traffic of this connection since the object was created, across all calls of open(). For a rate, compare
    two values.
*/
Connection::Statistics Connection::statistics() const
{
    return d->statistics();
}

/*!
    Returns the negotiated heartbeat interval (\c connection.tune), or 0 if heartbeats are disabled or there is no
    connection. See ConnectionParameters::setHeartbeatInterval().
*/
std::chrono::seconds Connection::heartbeatInterval() const
{
    return d->engine.heartbeat();
}

/*!
    Returns the negotiated maximum frame size in bytes (\c connection.tune), or 0 if neither side has a limit. A message
    may be larger, since its body is split into frames; the arguments of a call and the headers of a message may not.
*/
quint32 Connection::maximumFrameSize() const
{
    return d->engine.frameMax();
}

/*!
    Returns the negotiated highest channel number (\c connection.tune), or 0 if neither side has a limit or it is not
    negotiated yet.
*/
quint16 Connection::maximumChannels() const
{
    return d->engine.channelMax();
}

FieldTable Connection::serverProperties() const
{
    return d->engine.serverProperties();
}

/*!
    Returns whether the broker has the capability \a name, such as \c{"basic.nack"}, \c{"consumer_priorities"} or
    \c{"connection.blocked"}; \c false before \c connection.start has arrived. See \l serverProperties.
*/
bool Connection::hasCapability(const QString &name) const
{
    return d->engine.hasCapability(name);
}

/*!
    Returns a new channel with the lowest free number, a child of \a parent, or of this connection if \a parent is null.
    The channel can be used at once and opens when the connection does (\c channel.open).

    If no number is free (see ConnectionParameters::setMaximumChannels() and maximumChannels()) the channel emits
    Channel::errorOccurred() and Channel::closed() with ErrorKind::NotOpen from the event loop. If the broker allows
    fewer channels than exist when the connection opens, those with higher numbers end with ErrorKind::InvalidArgument.

    If \a parent lives in another thread than the connection, the channel becomes a child of the connection instead, and
    a warning is logged. A call from another thread is refused: the channel ends with ErrorKind::InvalidArgument and
    cannot be used. It still becomes a child of \a parent or of the connection, in the thread of that object.
*/
Channel *Connection::createChannel(QObject *parent)
{
    if (!d->isOwnThread("createChannel")) {
        auto *channel = new Channel(nullptr, nullptr);
        channel->d->startFailed(Error(ErrorKind::InvalidArgument, u"createChannel() was called from another thread"_s));
        adopt(parent ? parent : this, channel);
        return channel;
    }
    if (parent && parent->thread() != thread()) {
        qCWarning(
            lcConnection,
            "createChannel(): the parent lives in another thread; the channel is a child of the connection instead");
        parent = nullptr;
    }
    auto *channel = new Channel(this, parent ? parent : this);
    if (auto engineChannel = d->engine.createChannel(channel->d.get()))
        channel->d->start(std::move(engineChannel));
    else
        channel->d->startFailed(Error(ErrorKind::NotOpen, u"no channel number is free"_s));
    return channel;
}

/*!
    Returns the channel with this \a number, or a new one, a child of this connection, if the number is unused. Returns
    null for 0 and for numbers over the limit (maximumChannels(), or ConnectionParameters::maximumChannels() before
    negotiation) and sets error() to ErrorKind::InvalidArgument. While the broker has not confirmed the end of the
    number's last use, the error is ErrorKind::NotOpen.

    A closed channel has released its number.
*/
Channel *Connection::channel(quint16 number)
{
    if (!d->isOwnThread("channel"))
        return nullptr;
    const auto refuse = [&](ErrorKind kind, const QString &text) {
        d->reportCallError(Error(kind, text));
        return nullptr;
    };
    if (Engine::ChannelEngine *existing = d->engine.channel(number)) {
        auto *channel = static_cast<ChannelPrivate *>(existing->context);
        return channel->isInternal ? refuse(ErrorKind::NotOpen, u"channel %1 is in use by the library"_s.arg(number))
                                   : channel->q;
    }
    if (!d->engine.isChannelNumberPossible(number))
        return refuse(ErrorKind::InvalidArgument,
                      u"number: %1 is not a valid channel number of this connection"_s.arg(number));
    auto channel = std::unique_ptr<Channel>(new Channel(this, this));
    auto engineChannel = d->engine.createChannel(number, channel->d.get());
    if (!engineChannel)
        return refuse(ErrorKind::NotOpen, u"channel %1 is still closing"_s.arg(number));
    channel->d->start(std::move(engineChannel));
    return channel.release();
}

/*!
    Returns the channels of this connection that have a number, closed ones included, in ascending order of their
    numbers.
*/
QList<Channel *> Connection::channels() const
{
    QList<Channel *> channels;
    for (const auto &[serial, channel] : std::as_const(d->channels)) {
        if (channel->engine && !channel->isInternal)
            channels.append(channel->q);
    }
    std::sort(channels.begin(), channels.end(),
              [](const Channel *a, const Channel *b) { return a->number() < b->number(); });
    return channels;
}

/*!
    Connects to the broker with the current parameters(). Their endpoints are tried in order; each has
    ConnectionParameters::connectTimeout() for the look-up, the TCP connection and the login. If an endpoint fails with
    a recoverable error (Error::isRecoverable()) the next one is tried: the endpoint cannot be reached, does not answer
    in time, drops the connection, or closes it with a code such as 320. The error of the attempt is that of the last
    endpoint. A refused login, a missing virtual host and a server that speaks another protocol end the attempt.

    A broker with the capability \c authentication_failure_close reports a refused login. If such a broker drops the
    connection during the login, the connection has been lost (ErrorKind::Network). With other brokers, a drop means
    that the login was refused (ErrorKind::Authentication).

    A failed attempt ends only its own reply and those of whenOpen(). Channels that were made before, or reopened by
    Channel::reopen(), keep waiting with all of their calls, in order, through any number of attempts until one
    succeeds. close() and abort() end them with ErrorKind::Cancelled.

    Returns a reply that ends when the connection is open or has failed; for the errors see closed(). If an attempt is
    already under way, its reply is returned. On an open connection the reply succeeds at once, and on one that is
    closing it ends with ErrorKind::NotOpen: open it after closed().
*/
Reply<void> Connection::open()
{
    return d->open();
}

/*!
    Closes the connection cleanly: sends all accepted messages and calls, cancels all consumers, closes all channels,
    sends \c connection.close and waits for \c connection.close-ok. Pending calls still get their answers; new ones are
    refused with ErrorKind::NotOpen.

    If there is no progress within ConnectionParameters::closeTimeout(), the connection is dropped, and the reply and
    closed() report ErrorKind::Timeout. This also happens if a broker that blocks the connection holds back publishes.
    While the connection is being opened, open() ends with ErrorKind::Cancelled, and so do all calls that wait for it.
    On a closed connection the reply succeeds at once, and channels that wait for the next open() end with
    ErrorKind::Cancelled.
*/
Reply<void> Connection::close()
{
    return d->close();
}

/*!
    Drops the connection at once, with all unsent bytes and without \c connection.close. Unfinished replies end with
    ErrorKind::Cancelled, and closed() follows without an error, both from the event loop. On a closed connection,
    abort() ends the channels that wait for the next open(), as close() does.
*/
void Connection::abort()
{
    d->abort();
}

/*!
    \reimp
*/
bool Connection::event(QEvent *event)
{
    return QObject::event(event);
}

} // namespace AmqpQt
