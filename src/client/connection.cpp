// SPDX-License-Identifier: MIT
#include "client/connection_p.h"

#include "client/channel_p.h"

#include <AmqpQt/channel.h>

#include <algorithm>

namespace AmqpQt {

using namespace Qt::StringLiterals;

Connection::Connection(QObject *parent)
    : Connection(ConnectionParameters(), parent)
{
}

Connection::Connection(const ConnectionParameters &parameters, QObject *parent)
    : QObject(parent)
    , d(std::make_unique<ConnectionPrivate>(this))
{
    d->setParameters(parameters);
}

Connection::Connection(const QUrl &url, QObject *parent)
    : QObject(parent)
    , d(std::make_unique<ConnectionPrivate>(this))
{
    d->setUrl(url);
}

Connection::~Connection() = default;

ConnectionParameters Connection::parameters() const
{
    return d->parameters;
}

void Connection::setParameters(const ConnectionParameters &parameters)
{
    if (!d->isOwnThread("setParameters"))
        return;
    d->setParameters(parameters);
    d->defer(this, [this] { Q_EMIT parametersChanged(); });
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
    d->defer(this, [this] { Q_EMIT parametersChanged(); });
}

Connection::State Connection::state() const
{
    return d->state;
}

Reply<void> Connection::whenOpen()
{
    if (!d->isOwnThread("whenOpen"))
        return Promise<void>::finished(Error(ErrorKind::InvalidArgument, u"whenOpen() in a foreign thread"_s));
    if (isOpen())
        return Promise<void>::finished({});
    return d->whenOpen.emplace_back().reply();
}

Endpoint Connection::currentEndpoint() const
{
    return d->currentEndpoint;
}

Error Connection::error() const
{
    return d->error;
}

bool Connection::isBlocked() const
{
    return d->engine.isBlocked();
}

QString Connection::blockedReason() const
{
    return d->blockedReason;
}

bool Connection::isWritable() const
{
    return d->engine.isWritable() && !d->engine.isBlocked();
}

qint64 Connection::bytesToWrite() const
{
    return d->engine.queuedBytes() + (d->transport ? d->transport->bytesToWrite() : 0);
}

std::chrono::seconds Connection::heartbeat() const
{
    return d->engine.heartbeat();
}

quint32 Connection::frameSize() const
{
    return d->engine.frameMax();
}

quint16 Connection::channelMax() const
{
    return d->engine.channelMax();
}

FieldTable Connection::serverProperties() const
{
    return d->engine.serverProperties();
}

bool Connection::hasCapability(const QString &name) const
{
    return d->engine.hasCapability(name);
}

Channel *Connection::createChannel(QObject *parent)
{
    auto *channel = new Channel(this, parent ? parent : this);
    if (!d->isOwnThread("createChannel")) {
        channel->d->startFailed(Error(ErrorKind::InvalidArgument, u"createChannel() in a foreign thread"_s));
        return channel;
    }
    if (auto engineChannel = d->engine.createChannel(channel->d.get()))
        channel->d->start(std::move(engineChannel));
    else
        channel->d->startFailed(Error(ErrorKind::NotOpen, u"no channel number is free"_s));
    return channel;
}

Channel *Connection::channel(quint16 number)
{
    if (!d->isOwnThread("channel"))
        return nullptr;
    if (Engine::ChannelEngine *existing = d->engine.channel(number))
        return static_cast<ChannelPrivate *>(existing->context)->q;
    const auto refuse = [&](ErrorKind kind, const QString &text) {
        d->setError(Error(kind, text));
        return nullptr;
    };
    if (!d->engine.isChannelNumberPossible(number))
        return refuse(ErrorKind::InvalidArgument, u"number: %1 is no channel number of this connection"_s.arg(number));
    auto channel = std::unique_ptr<Channel>(new Channel(this, this));
    auto engineChannel = d->engine.createChannel(number, channel->d.get());
    if (!engineChannel)
        return refuse(ErrorKind::NotOpen, u"channel %1 is still closing"_s.arg(number));
    channel->d->start(std::move(engineChannel));
    return channel.release();
}

QList<Channel *> Connection::channels() const
{
    QList<Channel *> channels;
    for (const ChannelPrivate *channel : std::as_const(d->channels))
        channels.append(channel->q);
    std::sort(channels.begin(), channels.end(), [](const Channel *a, const Channel *b) { return a->number() < b->number(); });
    return channels;
}

Reply<void> Connection::open()
{
    return d->open();
}

Reply<void> Connection::close()
{
    return d->close();
}

void Connection::abort()
{
    d->abort();
}

} // namespace AmqpQt
