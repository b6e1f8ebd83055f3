// SPDX-License-Identifier: MIT
#include "client/connection_p.h"

#include "client/channel_p.h"
#include "client/connectionparameters_p.h"
#include "client/consumer_p.h"
#include "client/helperchannel_p.h"
#include "engine/sasl_p.h"
#include "transport/sockettransport_p.h"
#include "values/logging_p.h"

#include <AmqpQt/version.h>

#include <QtCore/qabstracteventdispatcher.h>
#include <QtCore/qcoreapplication.h>
#include <QtCore/qcoreevent.h>
#include <QtCore/qmetaobject.h>
#include <QtCore/qsysinfo.h>
#include <QtCore/qthread.h>
#include <QtCore/qtimer.h>
#include <QtNetwork/qhostaddress.h>

#include <algorithm>
#include <array>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

namespace
{

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
    takeSettlements();
    mailbox->detach();
    if (transport) {
        engine.prepareOutput(now());
        engine.sendConnectionClose();
        writeOutput(now());
        leaveTransport();
    }
    const Error gone(ErrorKind::Cancelled, u"the connection was deleted"_s);
    engine.abort(gone);
    engine.endWaiting(gone); // calls that waited for open()
    while (auto event = engine.next())
        tellLater(*event);
    for (std::optional<Promise<void>> *promise : {&m_opening, &m_closing}) {
        if (*promise)
            (*promise)->finish(gone, Delivery::Posted);
    }
    for (const Promise<void> &promise : whenOpen)
        promise.finish(gone, Delivery::Posted);
    while (!m_deferred.empty()) {
        Deferred deferred = std::move(m_deferred.front());
        m_deferred.pop_front();
        if (deferred.finish)
            deferred.finish(Delivery::Posted);
        else if (deferred.context && deferred.context != q)
            QMetaObject::invokeMethod(deferred.context, std::move(deferred.action), Qt::QueuedConnection);
    }
    for (ChannelPrivate *channel : std::exchange(channels, {}))
        channel->connectionGone(gone);
}

bool ConnectionPrivate::isForeignThread(const char *function) const
{
    if (thread() == QThread::currentThread())
        return false;
    qCWarning(lcConnection, "%s() was called in a foreign thread and is refused: use QMetaObject::invokeMethod()",
              function);
    Q_ASSERT_X(false, function, "called in a foreign thread");
    return true;
}

void ConnectionPrivate::setParameters(const ConnectionParameters &newParameters)
{
    parameters = newParameters;
    if (state == Connection::State::Closed)
        prepareAttempt();
}

// The limits also apply to messages that wait for the next open().
void ConnectionPrivate::prepareAttempt()
{
    attempt = parameters;
    engine.configure(settings());
}

void ConnectionPrivate::setUrl(const QUrl &url)
{
    const Result<ConnectionParameters> parsed = ConnectionParameters::fromUrl(url);
    ConnectionParameters wanted = parsed ? *parsed : parameters;
    if (!parsed)
        wanted.d->refused.insert(UrlProperty, parsed.error());
    setParameters(wanted);
}

Engine::Settings ConnectionPrivate::settings() const
{
    Engine::Settings settings;
    settings.userName = attempt.userName();
    settings.checksUserId = attempt.checksUserId();
    settings.virtualHost = attempt.virtualHost();
    settings.connectionName = attempt.connectionName();
    settings.clientProperties = {
        {u"product"_s, u"AmqpQt"_s},
        {u"version"_s, QStringLiteral(AMQPQT_VERSION_STRING)},
        {u"platform"_s, u"Qt %1, %2"_s.arg(QLatin1StringView(qVersion()), QSysInfo::prettyProductName())},
        {u"information"_s, u"MIT licence"_s},
    };
    settings.clientProperties.insert(attempt.clientProperties());
    settings.heartbeatSeconds = quint16(attempt.heartbeatInterval().count());
    settings.frameMax = attempt.maximumFrameSize();
    settings.channelMax = attempt.maximumChannels();
    settings.handshakeTimeout = attempt.connectTimeout();
    settings.replyTimeout = attempt.replyTimeout();
    settings.closeTimeout = attempt.closeTimeout();
    settings.maximumMessageSize = attempt.maximumMessageSize();
    settings.blockedTimeout = attempt.blockedTimeout();
    settings.backpressureMultiplier = attempt.backpressureMultiplier();
    settings.lowWatermark = attempt.lowWatermark();
    settings.highWatermark = attempt.highWatermark();
    settings.bufferLimit = attempt.bufferLimit();
    return settings;
}

void ConnectionPrivate::setState(Connection::State newState)
{
    state = newState;
    qCDebug(lcConnection) << q << newState;
    defer(q, [this, newState] { Q_EMIT q->stateChanged(newState); });
}

void ConnectionPrivate::reportCallError(const Error &reason)
{
    lastCallError = reason;
    defer(q, [this, reason] { Q_EMIT q->errorOccurred(reason); });
}

void ConnectionPrivate::setError(const Error &newError)
{
    error = newError;
    defer(q, [this, newError] { Q_EMIT q->errorOccurred(newError); });
}

bool ConnectionPrivate::isLost() const
{
    return state == Connection::State::Open && !engine.isOpen();
}

Reply<void> ConnectionPrivate::open()
{
    if (!isOwnThread("open"))
        return Promise<void>::finished(Error(ErrorKind::InvalidArgument, u"open() in a foreign thread"_s));
    if (state == Connection::State::Closing || isLost())
        return Promise<void>::finished(
            Error(ErrorKind::NotOpen, u"the connection is closing: open it after closed()"_s));
    if (state == Connection::State::Open)
        return Promise<void>::finished({});
    if (!m_opening) {
        m_opening.emplace();
        error = {};
        mailbox->setThread();
        prepareAttempt();
        m_endpointsLeft = attempt.endpoints();
        connectToNextEndpoint();
        armTimer(now());
    }
    return m_opening->reply();
}

void ConnectionPrivate::connectToNextEndpoint()
{
    if (state != Connection::State::Connecting)
        setState(Connection::State::Connecting);
    releaseTransport(false);
    m_readable = false;
    m_transportError = {};
    Engine::Settings login = settings();
    login.saslPlainResponse = Engine::saslPlain(attempt.d->userName, attempt.d->password.bytes());
    const Error refused = attempt.error();
    if (const Error wrong = refused.isError() ? refused : engine.start(login, now()); wrong.isError())
        return engine.failAttempt(wrong);
    currentEndpoint = m_endpointsLeft.takeFirst();
    if (!isLoopback(currentEndpoint.host))
        qCWarning(lcConnection).noquote() << "the password goes to" << currentEndpoint.host << "without encryption";
    transport = std::make_unique<SocketTransport>(this);
    connect(transport.get(), &Transport::connected, this, [this] {
        if (state != Connection::State::Connecting)
            return; // close() was called
        engine.transportConnected();
        setState(Connection::State::Handshaking);
        writeOutput(now());
    });
    connect(transport.get(), &Transport::readable, this, [this] {
        m_readable = true;
        prepareTurn();
    });
    connect(transport.get(), &Transport::written, this, [this] {
        writeOutput(now());
        scheduleTurn();
    });
    connect(transport.get(), &Transport::failed, this, &ConnectionPrivate::onTransportFailed);
    transport->connectTo(currentEndpoint.host, currentEndpoint.port);
}

// Only an error that may not occur at the next endpoint leads to another attempt.
bool ConnectionPrivate::triesNextEndpoint(const Error &reason) const
{
    const bool isAttempt = state == Connection::State::Connecting || state == Connection::State::Handshaking;
    return isAttempt && !m_endpointsLeft.isEmpty() && reason.isRecoverable();
}

// Earlier input is dispatched before the error.
void ConnectionPrivate::onTransportFailed()
{
    m_transportError = transport->error();
    m_readable = true;
    scheduleTurn();
}

Reply<void> ConnectionPrivate::close()
{
    if (!isOwnThread("close"))
        return Promise<void>::finished(Error(ErrorKind::InvalidArgument, u"close() in a foreign thread"_s));
    if (m_closing)
        return m_closing->reply();
    if (state == Connection::State::Closed) {
        cancelWaiting();
        return Promise<void>::finished({});
    }
    takeSettlements(); // earlier settlements of other threads are still sent
    m_closing.emplace();
    setState(Connection::State::Closing);
    engine.close(now());
    for (ChannelPrivate *channel : std::as_const(channels))
        channel->noteClosing();
    armTimer(now());
    return m_closing->reply();
}

void ConnectionPrivate::abort()
{
    if (!isOwnThread("abort"))
        return;
    if (state == Connection::State::Closed)
        return cancelWaiting();
    if (state != Connection::State::Closing)
        setState(Connection::State::Closing);
    engine.abort();
    releaseTransport(false);
}

// Without a connection, ends the calls that wait for the next one.
void ConnectionPrivate::cancelWaiting()
{
    engine.endWaiting();
    for (const Promise<void> &promise : std::exchange(whenOpen, {}))
        finishLater<void>(promise, Error(ErrorKind::Cancelled, u"the connection was closed"_s));
    scheduleTurn();
}

// Writes all output, including bytes that the kernel does not accept yet. Returns false if writing is no longer
// possible.
bool ConnectionPrivate::writeAll(Transport *to)
{
    while (to->isConnected() && !engine.output().isEmpty()) {
        if (to->write(engine.output().data(), engine.output().size()) < 0)
            return false;
        statistics.bytesOut += quint64(engine.output().size());
        engine.written(engine.output().size(), now());
    }
    return to->isConnected();
}

// Gives up on a peer that has stopped reading, but not on one that reads slowly.
static void deleteWhenStuck(Transport *leaving, std::chrono::milliseconds patience)
{
    auto *const timer = new QTimer(leaving);
    timer->setSingleShot(true);
    QObject::connect(timer, &QTimer::timeout, leaving, &QObject::deleteLater);
    QObject::connect(leaving, &Transport::written, timer, qOverload<>(&QTimer::start));
    QObject::connect(leaving, &Transport::finished, timer, &QTimer::stop);
    timer->start(patience);
}

void ConnectionPrivate::releaseTransport(bool graceful)
{
    if (!transport)
        return;
    Transport *old = transport.release();
    disconnect(old, nullptr, this, nullptr);
    if (graceful && writeAll(old)) {
        connect(old, &Transport::finished, old, &QObject::deleteLater);
        deleteWhenStuck(old, attempt.closeTimeout());
        old->close();
    } else {
        old->abort();
        old->deleteLater();
    }
}

static void discardInput(Transport *leaving)
{
    constexpr int Reads = 16;
    char space[4096];
    for (int reads = 0; reads < Reads; ++reads) {
        const qint64 size = leaving->read(space, sizeof space);
        if (size < 0)
            leaving->deleteLater();
        if (size <= 0)
            return;
    }
    QMetaObject::invokeMethod(
        leaving, [leaving] { discardInput(leaving); }, Qt::QueuedConnection); // others come first
}

// Nothing waits for the transport any more. A socket closed with unread input is reset, and the peer may then drop the
// last bytes written. So it stays in the event loop until the peer closes the connection.
void ConnectionPrivate::leaveTransport()
{
    const bool isGoodbyeSaid = engine.state() == Engine::ConnectionEngine::State::CloseSent;
    QAbstractEventDispatcher *const loop =
        thread() == QThread::currentThread() ? QAbstractEventDispatcher::instance() : nullptr;
    if (!isGoodbyeSaid || !loop || !writeAll(transport.get()))
        return transport.reset();
    Transport *const leaving = transport.release();
    disconnect(leaving, nullptr, this, nullptr);
    leaving->setParent(loop); // which ends it with the thread
    connect(leaving, &Transport::readable, leaving, [leaving] { discardInput(leaving); });
    connect(leaving, &Transport::failed, leaving, &QObject::deleteLater);
    deleteWhenStuck(leaving, attempt.closeTimeout());
    discardInput(leaving);
}

void ConnectionPrivate::scheduleTurn()
{
    if (m_turnPosted || m_isTurnDue)
        return;
    m_turnPosted = true;
    QCoreApplication::postEvent(this, new QEvent(TurnEvent));
}

// The turn runs as soon as the event loop, this one or a nested one, has handled its pending events. So it is not on
// the stack of the socket, and avoids the cost of posting an event: two system calls and another pass of the loop.
void ConnectionPrivate::prepareTurn()
{
#ifdef Q_OS_WIN // whose own modal loops, as while a window is moved, know nothing of these signals
    scheduleTurn();
#else
    if (m_turnPosted || m_isTurnDue)
        return;
    m_isTurnDue = true;
    if (!m_watchedLoop)
        watchLoop();
#endif
}

void ConnectionPrivate::watchLoop()
{
    m_watchedLoop = QAbstractEventDispatcher::instance();
    connect(m_watchedLoop, &QAbstractEventDispatcher::awake, this, [this] {
        if (m_isTurnDue)
            turn();
    });
    // In case awake() precedes the events, or a slot runs a nested loop.
    connect(m_watchedLoop, &QAbstractEventDispatcher::aboutToBlock, this, [this] {
        if (m_isTurnDue) {
            m_watchedLoop->wakeUp(); // code that waits for an effect of a slot checks again
            turn();
        }
    });
}

void ConnectionPrivate::stopWatchingLoop()
{
    if (m_watchedLoop)
        disconnect(std::exchange(m_watchedLoop, nullptr), nullptr, this, nullptr);
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
    if (event->type() == QEvent::ThreadChange) {
        mailbox->forgetThread(); // until open() is called in the new one
        stopWatchingLoop();
        if (std::exchange(m_isTurnDue, false))
            scheduleTurn();
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
    if (!engine.hasInput() && m_bytesWhenArmed == bytesSoFar()) {
        engine.releaseIdleMemory();
        m_calls.squeeze();
        stopWatchingLoop();
    }
    // Process the peer's input before the elapsed time, since the loop may have been blocked.
    if (const auto deadline = engine.deadline(); deadline && now() >= *deadline)
        m_readable = m_readable || (transport && transport->isConnected());
    turn();
}

void ConnectionPrivate::turn()
{
    const Guard guard(this);
    m_isTurnDue = false;
    runDeferred(guard);
    if (!guard)
        return;
    if (m_dispatching == 0 && m_continuation.isActive()) // the time for deliveries is used up: others come first
        return endTurn(guard);
    ++m_dispatching;
    Engine::Time time = now();
    const Engine::Time deadline = time + attempt.dispatchBudget();
    while (dispatchEvents(deadline, guard) && readTransport(time)) {
        if (time >= deadline) { // a large body, or input without events
            m_continuation.start(0, this);
            break;
        }
    }
    if (!guard)
        return;
    --m_dispatching;
    endTurn(guard);
}

bool ConnectionPrivate::dispatchEvents(Engine::Time deadline, const Guard &guard)
{
    // Reading the clock costs as much as a small message, so with quick slots it is read once per several messages.
    constexpr int LargestStride = 8;
    int stride = 1;
    int left = stride;
    Engine::Time last = deadline - attempt.dispatchBudget();
    Message spare; // reuses the memory of the previous delivery if nobody keeps it
    ++m_slice;
    for (;;) {
        if (Engine::RepeatedDelivery delivery; engine.nextRepeated(delivery)) {
            prepareTurn(); // a nested event loop in the application's code continues the work
            tell(delivery, spare);
        } else if (auto event = engine.next()) {
            prepareTurn();
            dispatch(*event);
        } else {
            return true;
        }
        if (guard && !m_deferred.empty())
            runDeferred(guard);
        if (!guard)
            return false;
        if (--left > 0)
            continue;
        const Engine::Time time = now();
        if (time >= deadline) {
            m_continuation.start(0, this);
            return false;
        }
        stride = (time - last) * LargestStride < attempt.dispatchBudget() ? std::min(2 * stride, LargestStride) : 1;
        last = time;
        left = stride;
    }
}

void ConnectionPrivate::tell(const Engine::RepeatedDelivery &delivery, Message &spare)
{
    ++statistics.messagesIn;
    static_cast<ConsumerPrivate *>(delivery.consumer->context)->deliver(delivery, spare);
}

bool ConnectionPrivate::readTransport(Engine::Time &time)
{
    if (!m_readable || !transport)
        return false;
    if (transport->isConnected()) {
        const std::span<char> space = engine.inputSpace();
        const qint64 size = transport->read(space.data(), qint64(space.size()));
        if (size > 0) {
            m_readable = m_transportError.isError() || size == qint64(space.size());
            statistics.bytesIn += quint64(size);
            time = now();
            engine.inputRead(size, time);
            return true;
        }
        if (size < 0)
            m_transportError = transport->error();
    }
    m_readable = false;
    if (!m_transportError.isError())
        return false;
    engine.transportClosed(m_transportError);
    return true;
}

void ConnectionPrivate::writeOutput(Engine::Time time)
{
    engine.prepareOutput(time, transport ? transport->bytesToWrite() : 0);
    std::array<QByteArrayView, 32> space; // of 15 bodies of one frame each
    while (transport && !m_transportError.isError() && transport->isConnected() && transport->bytesToWrite() == 0) {
        const std::span<const QByteArrayView> pieces = engine.output(space);
        if (pieces.empty())
            break;
        const qint64 size = transport->writeSome(pieces);
        if (size < 0)
            return onTransportFailed();
        statistics.bytesOut += quint64(size);
        engine.written(qsizetype(size), time, transport->bytesToWrite());
    }
    engine.writeTried();
}

void ConnectionPrivate::writeOutputNow()
{
    writeOutput(now());
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
    while (!m_consumersWithCountChange.empty()) {
        ConsumerPrivate *consumer = m_consumersWithCountChange.back();
        m_consumersWithCountChange.pop_back();
        consumer->emitCounts();
        if (!guard)
            return;
    }
    while (!m_channelsWithUnconfirmedChange.empty()) {
        ChannelPrivate *channel = m_channelsWithUnconfirmedChange.back();
        m_channelsWithUnconfirmedChange.pop_back();
        channel->emitUnconfirmedCount();
        if (!guard)
            return;
    }
    const Engine::Time time = now();
    checkTime(time);
    writeOutput(time);
    tellBytesToWrite();
    m_isTurnDue = false;
    if (!hasWork())
        armTimer(time);
    else if (!m_continuation.isActive())
        scheduleTurn();
}

bool ConnectionPrivate::hasWork() const
{
    return m_readable || engine.hasInput() || !m_deferred.empty() || !m_consumersWithBatch.empty() ||
           !m_consumersWithCountChange.empty() || !m_channelsWithUnconfirmedChange.empty();
}

void ConnectionPrivate::checkTime(Engine::Time time)
{
    engine.tick(time, !m_readable && !engine.hasInput());
}

void ConnectionPrivate::tellBytesToWrite()
{
    const double bytes = double(q->bytesToWrite());
    if (std::exchange(m_toldBytesToWrite, bytes) != bytes)
        defer(q, [this, bytes] { Q_EMIT q->bytesToWriteChanged(bytes); });
}

void ConnectionPrivate::armTimer(Engine::Time time)
{
    constexpr std::chrono::milliseconds IdleTime(500); // after this time memory is released
    std::optional<Engine::Time> deadline = engine.deadline();
    if (engine.hasIdleMemory() || m_watchedLoop)
        deadline = std::min(deadline.value_or(Engine::Time::max()), time + IdleTime);
    if (!deadline) {
        m_timer.stop();
        m_timerAt.reset();
    } else if (!m_timerAt || *deadline < *m_timerAt) { // a later one waits until the timer fires for nothing
        using std::chrono::milliseconds;
        const auto left = std::chrono::ceil<milliseconds>(*deadline - time);
        m_timer.start(int(std::clamp<qint64>(left.count(), 0, std::numeric_limits<int>::max())), Qt::PreciseTimer,
                      this);
        m_timerAt = deadline;
        m_bytesWhenArmed = bytesSoFar();
    }
}

void ConnectionPrivate::defer(QObject *context, std::function<void()> action)
{
    m_deferred.push_back({context, std::move(action), {}});
    scheduleTurn();
}

void ConnectionPrivate::runDeferred(const Guard &guard)
{
    while (guard && !m_deferred.empty()) {
        const Deferred deferred = std::move(m_deferred.front());
        m_deferred.pop_front();
        if (!deferred.finish && !deferred.context)
            continue;
        if (!m_deferred.empty())
            scheduleTurn(); // for a nested event loop
        if (deferred.finish)
            deferred.finish(Delivery::Direct);
        else
            deferred.action();
    }
}

void ConnectionPrivate::addCall(Engine::CallId id, CallHandler handler)
{
    // Setting up a channel takes a few calls. Those of thousands of channels must not pile up, since memory is rarely
    // returned.
    constexpr qsizetype EnoughToWrite = 16 * 1024;
    m_calls.insert(id, std::move(handler));
    if (engine.wantsWrite(EnoughToWrite))
        writeOutputNow();
    scheduleTurn();
}

void ConnectionPrivate::finishCallsOf(const Engine::ChannelEngine *channel)
{
    for (Engine::ReplyArrived &reply : engine.takeReplies(channel)) {
        if (const CallHandler handler = m_calls.take(reply.call))
            handler(reply.value, Delivery::Posted);
    }
}

void ConnectionPrivate::forget(ConsumerPrivate *consumer)
{
    std::erase(m_consumersWithBatch, consumer);
    std::erase(m_consumersWithCountChange, consumer);
}

HelperChannel &ConnectionPrivate::helperChannel()
{
    if (!m_helperChannel)
        m_helperChannel = new HelperChannel(this);
    return *m_helperChannel;
}

void ConnectionPrivate::forget(ChannelPrivate *channel)
{
    std::erase(m_channelsWithUnconfirmedChange, channel);
}

void ConnectionPrivate::takeSettlements()
{
    for (const Settlement &settlement : mailbox->take())
        settleNow(settlement);
}

// Searches by the object's serial number, since another channel may have reused the number of a closed one.
ChannelPrivate *ConnectionPrivate::channelOf(const Settlement &settlement) const
{
    if (const Engine::ChannelEngine *present = engine.channel(settlement.channelNumber)) {
        auto *channel = static_cast<ChannelPrivate *>(present->context);
        if (channel && channel->serialNumber == settlement.channelSerial)
            return channel;
    }
    const auto own = std::find_if(channels.cbegin(), channels.cend(), [&](const ChannelPrivate *channel) {
        return channel->serialNumber == settlement.channelSerial;
    });
    return own != channels.cend() ? *own : nullptr;
}

void ConnectionPrivate::settleNow(const Settlement &settlement)
{
    ChannelPrivate *const channel = channelOf(settlement);
    if (!settlement.noAck && channel && channel->settle(settlement, false))
        return;
    const QString reason =
        settlement.noAck
            ? u"message: delivery %1 on channel %2 needs no settling"_s
            : u"delivery %1 on channel %2 has already been settled, or its channel has been closed since"_s;
    const Error refused(settlement.noAck ? ErrorKind::InvalidArgument : ErrorKind::StaleDelivery,
                        reason.arg(settlement.deliveryTag).arg(settlement.channelNumber));
    if (settlement.noAck) {
        if (channel)
            channel->reportCallError(refused);
        else
            reportCallError(refused);
    } else if (channel) {
        channel->reportFailedSettlement(settlement.deliveryTag, refused);
    } else {
        lastCallError = refused;
        defer(q, [this, tag = settlement.deliveryTag, refused] { Q_EMIT q->settlementFailed(tag, refused); });
    }
}

} // namespace AmqpQt
