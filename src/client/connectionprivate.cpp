// SPDX-License-Identifier: MIT
#include "client/connection_p.h"

#include "client/channel_p.h"
#include "client/consumer_p.h"
#include "engine/sasl_p.h"
#include "transport/sockettransport_p.h"
#include "values/logging_p.h"

#include <AmqpQt/version.h>

#include <QtCore/qcoreapplication.h>
#include <QtCore/qcoreevent.h>
#include <QtCore/qmetaobject.h>
#include <QtCore/qsysinfo.h>
#include <QtCore/qthread.h>
#include <QtCore/qtimer.h>
#include <QtNetwork/qhostaddress.h>

#include <algorithm>

namespace AmqpQt {

using namespace Qt::StringLiterals;

namespace {

constexpr auto TurnEvent = QEvent::User;
constexpr auto SettlementsEvent = QEvent::Type(QEvent::User + 1);

Engine::Time now()
{
    return std::chrono::steady_clock::now();
}

bool isLoopback(const QString &host)
{
    return host.compare("localhost"_L1, Qt::CaseInsensitive) == 0 || QHostAddress(host).isLoopback();
}

} // namespace

ConnectionPrivate::ConnectionPrivate(Connection *connection)
    : QObject(connection) // a child: it goes along to another thread
    , q(connection)
    , mailbox(std::make_shared<Mailbox>(this))
{
}

ConnectionPrivate::~ConnectionPrivate()
{
    for (Guard *guard = m_guard; guard; guard = guard->m_outer)
        guard->m_connection = nullptr;
    m_guard = nullptr;
    mailbox->detach();
    if (transport) {
        // As much as the kernel takes: nothing here may block.
        engine.prepareOutput(now());
        engine.goodbye();
        writeOutput();
        transport->abort();
    }
    const Error gone(ErrorKind::Cancelled, u"the connection was deleted"_s);
    Engine::ReplyValue goneReply = gone;
    for (const CallHandler &handler : std::exchange(m_calls, {}))
        handler(goneReply, Delivery::Posted);
    for (std::optional<Promise<void>> *promise : {&m_opening, &m_closing}) {
        if (*promise)
            (*promise)->finish(gone, Delivery::Posted);
    }
    for (const Promise<void> &promise : whenOpen)
        promise.finish(gone, Delivery::Posted);
    for (ChannelPrivate *channel : std::exchange(channels, {}))
        channel->connectionGone();
}

bool ConnectionPrivate::isOwnThread(const char *function) const
{
    if (thread() == QThread::currentThread())
        return true;
    qCWarning(lcConnection, "%s() was called in a foreign thread and is refused: use QMetaObject::invokeMethod()", function);
    Q_ASSERT_X(false, function, "called in a foreign thread");
    return false;
}

// --- parameters -----------------------------------------------------------------------------------------------------------

void ConnectionPrivate::setParameters(const ConnectionParameters &newParameters)
{
    parameters = newParameters;
    parametersError = {};
    if (state == Connection::State::Closed)
        engine.configure(settings());
}

void ConnectionPrivate::setUrl(const QUrl &url)
{
    const Result<ConnectionParameters> parsed = ConnectionParameters::fromUrl(url);
    if (parsed)
        setParameters(*parsed);
    else
        parametersError = parsed.error();
}

Engine::Settings ConnectionPrivate::settings() const
{
    Engine::Settings settings;
    settings.userName = parameters.userName();
    settings.virtualHost = parameters.virtualHost();
    settings.connectionName = parameters.connectionName();
    settings.clientProperties = {
        {u"product"_s, u"AmqpQt"_s},
        {u"version"_s, QStringLiteral(AMQPQT_VERSION_STRING)},
        {u"platform"_s, u"Qt %1, %2"_s.arg(QLatin1StringView(qVersion()), QSysInfo::prettyProductName())},
        {u"information"_s, u"MIT licence"_s},
    };
    settings.clientProperties.insert(parameters.clientProperties());
    settings.heartbeatSeconds = quint16(parameters.heartbeat().count());
    settings.frameMax = parameters.maximumFrameSize();
    settings.channelMax = parameters.maximumChannels();
    settings.handshakeTimeout = parameters.connectTimeout();
    settings.rpcTimeout = parameters.rpcTimeout();
    settings.closeTimeout = parameters.closeTimeout();
    settings.maximumMessageSize = parameters.maximumMessageSize();
    settings.lowWatermark = parameters.lowWatermark();
    settings.highWatermark = parameters.highWatermark();
    settings.bufferLimit = parameters.bufferLimit();
    return settings;
}

// --- open, close ----------------------------------------------------------------------------------------------------------

void ConnectionPrivate::setState(Connection::State newState)
{
    state = newState;
    qCDebug(lcConnection) << q << newState;
    Q_EMIT q->stateChanged(newState);
}

void ConnectionPrivate::setError(const Error &newError)
{
    error = newError;
    defer(q, [this, newError] { Q_EMIT q->errorOccurred(newError); });
}

Reply<void> ConnectionPrivate::open()
{
    if (!isOwnThread("open"))
        return Promise<void>::finished(Error(ErrorKind::InvalidArgument, u"open() in a foreign thread"_s));
    switch (state) {
    case Connection::State::Open: return Promise<void>::finished({});
    case Connection::State::Connecting:
    case Connection::State::Handshaking: return m_opening->reply();
    case Connection::State::Closing:
        return Promise<void>::finished(Error(ErrorKind::NotOpen, u"the connection is closing: open it after closed()"_s));
    case Connection::State::Closed: break;
    }
    m_opening.emplace();
    const Reply<void> reply = m_opening->reply();
    error = {};
    mailbox->setThread();
    Engine::Settings attempt = settings();
    attempt.saslPlainResponse = Engine::saslPlain(parameters.userName(), parameters.password().toUtf8());
    const Error wrong = parametersError.isError() ? parametersError : engine.start(attempt, now());
    if (wrong.isError()) {
        startFailed(wrong);
        return reply;
    }
    state = Connection::State::Connecting;
    defer(q, [this] { Q_EMIT q->stateChanged(Connection::State::Connecting); });
    m_endpointsLeft = parameters.endpoints();
    connectToNextEndpoint();
    armTimer();
    return reply;
}

void ConnectionPrivate::startFailed(const Error &reason)
{
    error = reason;
    const Promise<void> opening = *std::exchange(m_opening, std::nullopt);
    auto waiting = std::exchange(whenOpen, {});
    defer(q, [this, opening, waiting = std::move(waiting), reason] {
        const Guard guard(this);
        opening.finish(reason);
        for (const Promise<void> &promise : waiting)
            promise.finish(reason);
        if (guard)
            Q_EMIT q->errorOccurred(reason);
        if (guard)
            Q_EMIT q->closed(reason);
    });
}

void ConnectionPrivate::connectToNextEndpoint()
{
    currentEndpoint = m_endpointsLeft.takeFirst();
    if (!isLoopback(currentEndpoint.host))
        qCWarning(lcConnection).noquote() << "the password goes to" << currentEndpoint.host << "without encryption";
    if (transport)
        transport.release()->deleteLater(); // it may be its signal that brought us here
    transport = std::make_unique<SocketTransport>(this);
    m_readable = false;
    m_writeFailed = false;
    connect(transport.get(), &Transport::connected, this, [this] {
        engine.transportConnected();
        state = Connection::State::Handshaking;
        defer(q, [this] { Q_EMIT q->stateChanged(Connection::State::Handshaking); });
        writeOutput();
    });
    connect(transport.get(), &Transport::readable, this, [this] {
        m_readable = true;
        scheduleTurn();
    });
    connect(transport.get(), &Transport::written, this, [this] {
        writeOutput();
        scheduleTurn();
    });
    connect(transport.get(), &Transport::failed, this, &ConnectionPrivate::onTransportFailed);
    transport->connectTo(currentEndpoint.host, currentEndpoint.port);
}

void ConnectionPrivate::onTransportFailed()
{
    if (state == Connection::State::Connecting && !m_endpointsLeft.isEmpty())
        return connectToNextEndpoint();
    engine.transportClosed(transport->error());
    scheduleTurn();
}

Reply<void> ConnectionPrivate::close()
{
    if (!isOwnThread("close"))
        return Promise<void>::finished(Error(ErrorKind::InvalidArgument, u"close() in a foreign thread"_s));
    if (m_closing)
        return m_closing->reply();
    if (state == Connection::State::Closed)
        return Promise<void>::finished({});
    m_closing.emplace();
    const Reply<void> reply = m_closing->reply();
    state = Connection::State::Closing;
    defer(q, [this] { Q_EMIT q->stateChanged(Connection::State::Closing); });
    engine.close(now());
    armTimer();
    return reply;
}

void ConnectionPrivate::abort()
{
    if (!isOwnThread("abort") || state == Connection::State::Closed)
        return;
    engine.abort();
    releaseTransport(false);
    scheduleTurn();
}

void ConnectionPrivate::releaseTransport(bool graceful)
{
    if (!transport)
        return;
    Transport *old = transport.release();
    disconnect(old, nullptr, this, nullptr);
    if (graceful && old->isConnected()) {
        while (!engine.output().isEmpty() && old->write(engine.output().data(), engine.output().size()) >= 0)
            engine.written(engine.output().size(), now());
        connect(old, &Transport::finished, old, &QObject::deleteLater);
        QTimer::singleShot(parameters.closeTimeout(), old, &QObject::deleteLater); // a peer that does not read
        old->close();
    } else {
        old->abort();
        old->deleteLater();
    }
}

// --- the dispatch loop ----------------------------------------------------------------------------------------------------

void ConnectionPrivate::scheduleTurn()
{
    if (m_turnPosted)
        return;
    m_turnPosted = true;
    QCoreApplication::postEvent(this, new QEvent(TurnEvent));
}

void ConnectionPrivate::wakeForSettlements()
{
    QCoreApplication::postEvent(this, new QEvent(SettlementsEvent));
}

bool ConnectionPrivate::event(QEvent *event)
{
    if (event->type() == TurnEvent) {
        m_turnPosted = false;
        turn();
        return true;
    }
    if (event->type() == SettlementsEvent) {
        takeSettlements();
        return true;
    }
    return QObject::event(event);
}

void ConnectionPrivate::timerEvent(QTimerEvent *event)
{
    if (event->timerId() == m_continuation.timerId()) {
        m_continuation.stop();
        return turn();
    }
    m_timer.stop();
    m_timerAt.reset();
    // What the peer has sent counts before the time that has passed: the loop may have been blocked.
    if (!engine.hasInput())
        readTransport();
    engine.tick(now());
    if (!engine.hasInput())
        engine.releaseIdleMemory();
    turn();
}

void ConnectionPrivate::turn()
{
    const Guard guard(this);
    runDeferred(guard);
    if (!guard)
        return;
    if (m_dispatching == 0 && m_continuation.isActive()) // the time for deliveries is used up: others come first
        return endTurn(guard);
    ++m_dispatching;
    const Engine::Time deadline = now() + parameters.dispatchBudget();
    while (dispatchEvents(deadline, guard)) {
        if (!readTransport())
            break;
    }
    if (!guard)
        return;
    --m_dispatching;
    endTurn(guard);
}

bool ConnectionPrivate::dispatchEvents(Engine::Time deadline, const Guard &guard)
{
    // Looking at the clock costs as much as a small message: with quick slots it is done for every few of them.
    constexpr int LargestStride = 8;
    int stride = 1;
    int left = stride;
    Engine::Time last = deadline - parameters.dispatchBudget();
    while (auto event = engine.next()) {
        // A nested event loop in the application's code must find the rest of the work.
        if (engine.hasInput() || m_readable)
            scheduleTurn();
        dispatch(*event, guard);
        if (!guard)
            return false;
        if (--left > 0)
            continue;
        const Engine::Time time = now();
        if (time >= deadline) {
            m_continuation.start(0, this);
            return false;
        }
        stride = (time - last) * LargestStride < parameters.dispatchBudget() ? std::min(2 * stride, LargestStride) : 1;
        last = time;
        left = stride;
    }
    return true;
}

bool ConnectionPrivate::readTransport()
{
    if (!m_readable || !transport)
        return false;
    const std::span<char> space = engine.inputSpace();
    const qint64 size = transport->read(space.data(), qint64(space.size()));
    if (size > 0) {
        m_readable = size == qint64(space.size());
        engine.inputRead(size, now());
        return true;
    }
    m_readable = false;
    if (size == 0 && !m_writeFailed)
        return false;
    engine.transportClosed(transport->error());
    return true;
}

void ConnectionPrivate::writeOutput()
{
    const Engine::Time time = now();
    engine.prepareOutput(time);
    while (transport && !m_writeFailed && transport->isConnected() && transport->bytesToWrite() == 0) {
        const QByteArrayView bytes = engine.output();
        if (bytes.isEmpty())
            break;
        if (transport->write(bytes.data(), bytes.size()) < 0) {
            m_writeFailed = true;
            m_readable = true; // what the peer has said last is still to be read
            scheduleTurn();
            break;
        }
        engine.written(bytes.size(), time);
    }
}

void ConnectionPrivate::outputAdded()
{
    if (engine.wantsWrite())
        writeOutput();
    scheduleTurn();
}

void ConnectionPrivate::endTurn(const Guard &guard)
{
    while (!m_consumersWithBatch.empty()) {
        ConsumerPrivate *consumer = m_consumersWithBatch.back();
        m_consumersWithBatch.pop_back();
        consumer->emitBatch();
        if (!guard)
            return;
    }
    while (!m_consumersWithUnackedChange.empty()) {
        ConsumerPrivate *consumer = m_consumersWithUnackedChange.back();
        m_consumersWithUnackedChange.pop_back();
        consumer->emitUnackedCount();
        if (!guard)
            return;
    }
    writeOutput();
    if (engine.hasInput())
        scheduleTurn(); // a watermark was crossed
    armTimer();
    if (const double bytes = double(q->bytesToWrite()); bytes != m_toldBytesToWrite) {
        m_toldBytesToWrite = bytes;
        Q_EMIT q->bytesToWriteChanged(bytes);
    }
}

void ConnectionPrivate::armTimer()
{
    const std::optional<Engine::Time> deadline = engine.deadline();
    if (!deadline) {
        m_timer.stop();
        m_timerAt.reset();
    } else if (!m_timerAt || *deadline < *m_timerAt) { // a later one waits until the timer fires for nothing
        using std::chrono::milliseconds;
        const auto left = std::chrono::ceil<milliseconds>(*deadline - now());
        m_timer.start(int(std::clamp<qint64>(left.count(), 0, std::numeric_limits<int>::max())), Qt::PreciseTimer, this);
        m_timerAt = deadline;
    }
}

void ConnectionPrivate::defer(QObject *context, std::function<void()> action)
{
    m_deferred.push_back({context, std::move(action)});
    scheduleTurn();
}

void ConnectionPrivate::runDeferred(const Guard &guard)
{
    for (const Deferred &deferred : std::exchange(m_deferred, {})) {
        if (!deferred.context)
            continue;
        deferred.action();
        if (!guard)
            return;
    }
}

void ConnectionPrivate::addCall(Engine::CallId id, CallHandler handler)
{
    m_calls.insert(id, std::move(handler));
    scheduleTurn();
}

void ConnectionPrivate::forget(ConsumerPrivate *consumer)
{
    std::erase(m_consumersWithBatch, consumer);
    std::erase(m_consumersWithUnackedChange, consumer);
}

// --- settling -------------------------------------------------------------------------------------------------------------

void ConnectionPrivate::takeSettlements()
{
    for (const Settlement &settlement : mailbox->take())
        settleNow(settlement);
}

void ConnectionPrivate::settleNow(const Settlement &settlement)
{
    Engine::ChannelEngine *channel = engine.channel(settlement.channelNumber);
    auto *channelPrivate = channel ? static_cast<ChannelPrivate *>(channel->context) : nullptr;
    if (channelPrivate && channelPrivate->settle(settlement, false))
        return;
    const Error stale(ErrorKind::StaleDelivery,
                      u"delivery %1 on channel %2 is settled already, or its channel was closed since"_s.arg(settlement.deliveryTag)
                          .arg(settlement.channelNumber));
    if (channelPrivate)
        channelPrivate->refuse(stale);
    else
        setError(stale);
}

// --- events of the engine -------------------------------------------------------------------------------------------------

void ConnectionPrivate::dispatch(Engine::Event &event, const Guard &guard)
{
    std::visit([&](auto &alternative) { on(alternative, guard); }, event);
}

void ConnectionPrivate::on(Engine::Delivered &event, const Guard &)
{
    static_cast<ConsumerPrivate *>(event.consumer->context)->deliver(event.message);
}

void ConnectionPrivate::on(Engine::ReplyArrived &event, const Guard &)
{
    if (const CallHandler handler = m_calls.take(event.call))
        handler(event.value, Delivery::Direct);
}

void ConnectionPrivate::on(Engine::Opened &, const Guard &guard)
{
    const Promise<void> opening = *std::exchange(m_opening, std::nullopt);
    const auto waiting = std::exchange(whenOpen, {});
    if (state == Connection::State::Handshaking) // not if a slot called close() meanwhile
        setState(Connection::State::Open);
    opening.finish({});
    for (const Promise<void> &promise : waiting)
        promise.finish({});
    if (guard)
        Q_EMIT q->opened();
}

void ConnectionPrivate::on(Engine::ConnectionClosed &event, const Guard &guard)
{
    releaseTransport(event.graceful);
    const Error reason = event.reason;
    const Error notOpened = reason.isError() ? reason : Error(ErrorKind::Cancelled, u"the connection was closed"_s);
    const auto opening = std::exchange(m_opening, std::nullopt);
    const auto closing = std::exchange(m_closing, std::nullopt);
    const auto waiting = std::exchange(whenOpen, {});
    state = Connection::State::Closed;
    engine.configure(settings());
    if (opening)
        opening->finish(notOpened);
    for (const Promise<void> &promise : waiting)
        promise.finish(notOpened);
    if (guard && reason.isError()) {
        error = reason;
        Q_EMIT q->errorOccurred(reason);
    }
    if (guard)
        Q_EMIT q->stateChanged(Connection::State::Closed);
    if (closing)
        closing->finish(reason.isError() ? Result<void>(reason) : Result<void>());
    if (guard)
        Q_EMIT q->closed(reason);
}

void ConnectionPrivate::on(Engine::BlockedChanged &event, const Guard &guard)
{
    toldBlocked = event.blocked;
    blockedReason = event.reason;
    Q_EMIT q->blockedChanged(event.blocked, event.reason);
    if (guard && !toldBufferFull)
        Q_EMIT q->writableChanged(!event.blocked);
    if (guard)
        tellBackpressure(guard);
}

void ConnectionPrivate::on(Engine::WritableChanged &event, const Guard &guard)
{
    toldBufferFull = !event.writable;
    if (!toldBlocked)
        Q_EMIT q->writableChanged(event.writable);
    if (guard)
        tellBackpressure(guard);
}

void ConnectionPrivate::tellBackpressure(const Guard &guard)
{
    const QList<Channel *> all = q->channels();
    const QList<QPointer<Channel>> stillThere(all.begin(), all.end());
    for (const QPointer<Channel> &channel : stillThere) {
        if (channel)
            channel->d->tellBackpressure();
        if (!guard)
            return;
    }
}

void ConnectionPrivate::on(Engine::ChannelOpened &event, const Guard &)
{
    if (auto *channel = static_cast<ChannelPrivate *>(event.channel->context))
        channel->onOpened();
}

void ConnectionPrivate::on(Engine::ChannelClosed &event, const Guard &)
{
    if (auto *channel = static_cast<ChannelPrivate *>(event.channel->context))
        channel->onClosed(event.reason);
}

void ConnectionPrivate::on(Engine::FlowChanged &event, const Guard &)
{
    if (auto *channel = static_cast<ChannelPrivate *>(event.channel->context))
        channel->setFlow(event.active);
}

void ConnectionPrivate::on(Engine::Returned &event, const Guard &)
{
    auto *channel = static_cast<ChannelPrivate *>(event.channel->context);
    if (channel)
        Q_EMIT channel->q->messageReturned(0, channel->makeMessage(event.message, {}, true), event.reason);
}

void ConnectionPrivate::on(Engine::PublishFailed &event, const Guard &)
{
    if (auto *channel = static_cast<ChannelPrivate *>(event.channel->context))
        Q_EMIT channel->q->publishFailed(event.first, event.last, event.reason);
}

void ConnectionPrivate::on(Engine::ConsumerCancelled &event, const Guard &)
{
    if (auto *consumer = static_cast<ConsumerPrivate *>(event.consumer->context))
        consumer->onCancelled(event.reason);
}

} // namespace AmqpQt
