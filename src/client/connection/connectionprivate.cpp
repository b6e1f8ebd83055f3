// SPDX-License-Identifier: MIT
#include "client/connection/connection_p.h"

#include "base/logging_p.h"
#include "client/channel/channel_p.h"
#include "client/channel/helperchannel_p.h"
#include "client/clock_p.h"
#include "client/connection/connectionparameters_p.h"
#include "client/consumer/consumer_p.h"
#include "transport/devicetransport_p.h"

#include <QtCore/qcoreapplication.h>
#include <QtCore/qcoreevent.h>
#include <QtCore/qmetaobject.h>
#include <QtCore/qthread.h>

#include <algorithm>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

namespace
{

constexpr auto SettlementsEvent = QEvent::User;
constexpr auto ReceiversEvent = QEvent::Type(QEvent::User + 1);

} // namespace

ConnectionPrivate::ConnectionPrivate(Connection *connection)
    : QObject(connection) // a child, so that it moves to another thread as well
    , q(connection)
    , scheduler(this, this)
    , dispatcher(scheduler)
    , router(*this)
    , authenticator(*this)
    , flow(*this)
    , link(engine, scheduler, this)
    , connector(*this)
    , recovery(*this)
    , calm(*this)
    , mailbox(std::make_shared<Mailbox>(this))
{
}

ConnectionPrivate::~ConnectionPrivate() // NOLINT(bugprone-exception-escape): assigning an event never throws
{
    dispatcher.endGuards();
    takeSettlements();
    mailbox->detach();
    if (link.hasTransport()) {
        engine.prepareOutput(now());
        engine.sendConnectionClose();
        link.writeNow();
        const bool isCloseSent = engine.state() == Engine::ConnectionEngine::State::CloseSent;
        link.release(isCloseSent ? Engine::Ending::AwaitCloseOk : Engine::Ending::Abort,
                     activeParameters().closeTimeout());
    }
    const Error gone(ErrorKind::Cancelled, u"the connection was deleted"_s);
    engine.abort(gone);
    engine.endWaiting(gone); // calls that waited for open()
    for (Engine::Event event; engine.next(event);)
        router.routeLast(event);
    replies.fail(gone);
    dispatcher.postDeferred(q);
    for (ChannelPrivate *channel : channels.takeAll())
        channel->connectionDestroyed(gone);
}

bool ConnectionPrivate::isForeignThread(const char *function) const
{
    if (thread() == QThread::currentThread())
        return false;
    qCWarning(lcConnection, "%s() was called from another thread and has no effect; use QMetaObject::invokeMethod()",
              function);
    Q_ASSERT_X(false, function, "called from another thread");
    return true;
}

void ConnectionPrivate::setParameters(const ConnectionParameters &newParameters)
{
    const ConnectionParameters before = std::exchange(parameters, newParameters);
    authenticator.parametersChanged(before);
    if (state == Connection::State::Closed)
        configureEngine();
}

// The limits also apply to messages that wait for the next open().
void ConnectionPrivate::configureEngine()
{
    engine.configure(Connector::settings(parameters));
}

void ConnectionPrivate::setUrl(const QUrl &url)
{
    const Result<ConnectionParameters> parsed = ConnectionParameters::fromUrl(url);
    ConnectionParameters wanted = parsed ? *parsed : parameters;
    if (!parsed)
        wanted.d->rejected.insert(UrlProperty, parsed.error());
    setParameters(wanted);
}

void ConnectionPrivate::setState(Connection::State newState)
{
    state = newState;
    qCDebug(lcConnection) << q << newState;
    dispatcher.defer(q, [this, newState] { Q_EMIT q->stateChanged(newState); });
    calm.stateChanged();
}

void ConnectionPrivate::setProgress(Connection::State step)
{
    if (state != step && state != Connection::State::Recovering)
        setState(step);
}

void ConnectionPrivate::reportCallError(const Error &reason)
{
    lastCallError = reason;
    dispatcher.defer(q, [this, reason] { Q_EMIT q->errorOccurred(reason); });
}

void ConnectionPrivate::setError(const Error &newError)
{
    error = newError;
    dispatcher.defer(q, [this, newError] { Q_EMIT q->errorOccurred(newError); });
    calm.noteText();
}

bool ConnectionPrivate::isLost() const
{
    return state == Connection::State::Open && !engine.isOpen();
}

Reply<void> ConnectionPrivate::open()
{
    if (!isOwnThread("open"))
        return Promise<void>::finished(Error(ErrorKind::InvalidArgument, u"open() was called from another thread"_s));
    const bool willRecover = recovery.isOn();
    if (state == Connection::State::Closing || (isLost() && !willRecover))
        return Promise<void>::finished(
            Error(ErrorKind::NotOpen, u"the connection is closing; call open() after closed()"_s));
    if (state == Connection::State::Open && !isLost())
        return Promise<void>::finished({});
    if (state == Connection::State::Closed)
        startAttempt();
    recovery.reconnectNow();
    return replies.open();
}

Reply<void> ConnectionPrivate::openOn(std::unique_ptr<QIODevice> device)
{
    const auto reject = [&](ErrorKind kind, const QString &text) {
        deleteDevice(std::move(device));
        return Promise<void>::finished(Error(kind, text));
    };
    if (!isOwnThread("openOn"))
        return reject(ErrorKind::InvalidArgument, u"openOn() was called from another thread"_s);
    if (state == Connection::State::Closing || isLost())
        return reject(ErrorKind::NotOpen, u"the connection is closing; call openOn() after closed()"_s);
    if (state != Connection::State::Closed)
        return reject(ErrorKind::InvalidArgument, u"the connection is open or is being opened"_s);
    if (const QString problem = deviceProblem(device.get(), thread()); !problem.isEmpty())
        return reject(ErrorKind::InvalidArgument, "device: "_L1 + problem);
    startAttempt(std::make_unique<DeviceTransport>(std::move(device)));
    return replies.open();
}

void ConnectionPrivate::startAttempt(std::unique_ptr<Transport> device)
{
    error = {};
    mailbox->setThread();
    recovery.started(bool(device));
    connector.start(parameters, std::move(device));
    setDeadline(now());
}

void ConnectionPrivate::onOpened()
{
    authenticator.opened();
    connector.stop();
    if (!recovery.opened())
        return;
    setOpen();
    dispatcher.defer(q, [this] { Q_EMIT q->opened(); });
}

void ConnectionPrivate::setOpen()
{
    error = {};
    replies.opened();
    setState(Connection::State::Open);
}

void ConnectionPrivate::onClosed(Engine::ConnectionClosed &event)
{
    const Error reason = event.reason;
    if (state == Connection::State::Closing && engine.isWaitedFor()) { // the attempt failed before it was given up
        engine.endWaiting();
        return engine.post(std::move(event));
    }
    link.release(event.ending, activeParameters().closeTimeout());
    const bool isAttempt = isAttempting() && !recovery.isOpen();
    if (isAttempt && (connector.triesNextEndpoint(reason) || authenticator.continuesAfter(reason)))
        return setProgress(Connection::State::Connecting);
    connector.stop();
    authenticator.closed(reason);
    if (state != Connection::State::Closing) {
        switch (recovery.afterFailure(reason)) {
        case Recovery::Decision::Continue:
            return recoverFrom(reason);
        case Recovery::Decision::GiveUp:
            engine.endWaiting(reason);
            return engine.post(std::move(event));
        case Recovery::Decision::Close:
            break;
        }
    }
    configureEngine();
    flow.reportBytesToWrite();
    replies.closed(reason);
    if (reason.isError())
        setError(reason);
    setState(Connection::State::Closed);
    dispatcher.defer(q, [this, reason] { Q_EMIT q->closed(reason); });
}

// open() may have been called after the loss, and then waits for the first attempt.
void ConnectionPrivate::recoverFrom(const Error &reason)
{
    flow.reportBytesToWrite();
    if (state == Connection::State::Open) {
        if (replies.isOpening())
            recovery.reconnectNow();
    } else {
        replies.attemptFailed(reason);
    }
    setError(reason);
    if (state != Connection::State::Recovering)
        setState(Connection::State::Recovering);
    recovery.report();
}

bool ConnectionPrivate::stopAttempts()
{
    if (!recovery.stop())
        return connector.endWait();
    engine.failAttempt({});
    return true;
}

Reply<void> ConnectionPrivate::close()
{
    if (!isOwnThread("close"))
        return Promise<void>::finished(Error(ErrorKind::InvalidArgument, u"close() was called from another thread"_s));
    if (replies.isClosing())
        return replies.close();
    if (state == Connection::State::Closed) {
        cancelWaiting();
        return Promise<void>::finished({});
    }
    takeSettlements();                       // earlier settlements of other threads are still sent
    if (state != Connection::State::Closing) // otherwise abort() has set the state
        setState(Connection::State::Closing);
    if (!stopAttempts())
        engine.close(now());
    for (ChannelPrivate *channel : channels.all())
        channel->noteClosing();
    setDeadline(now());
    return replies.close();
}

void ConnectionPrivate::abort()
{
    if (!isOwnThread("abort"))
        return;
    if (state == Connection::State::Closed)
        return cancelWaiting();
    if (state != Connection::State::Closing)
        setState(Connection::State::Closing);
    if (!stopAttempts())
        engine.abort();
    connector.stop();
    link.release(Engine::Ending::Abort, {});
    scheduler.schedule();
}

Reply<void> ConnectionPrivate::reply(const char *function, const std::function<Result<Engine::CallId>()> &call)
{
    if (!isOwnThread(function))
        return Promise<void>::finished(Error(
            ErrorKind::InvalidArgument, u"%1() was called from another thread"_s.arg(QLatin1StringView(function))));
    const Result<Engine::CallId> id = call();
    if (!id) {
        reportCallError(id.error());
        return Promise<void>::finished(id.error());
    }
    Promise<void> promise;
    addCall(*id, [promise](Engine::ReplyValue &value, Delivery delivery) {
        const Error *failure = std::get_if<Error>(&value);
        promise.finish(failure ? Result<void>(*failure) : Result<void>(), delivery);
    });
    return promise.reply();
}

Reply<void> ConnectionPrivate::updateSecret(const QString &newSecret, const QString &reason)
{
    return reply("updateSecret", [&]() -> Result<Engine::CallId> {
        if (!newSecret.isValidUtf16())
            return Error(ErrorKind::InvalidArgument, u"newSecret: the text is not valid Unicode"_s);
        return engine.ownCalls().updateSecret(Secret(newSecret).bytes(), reason);
    });
}

bool ConnectionPrivate::hasReceiver(const QMetaMethod &signal) const
{
    return q->isSignalConnected(signal);
}

void ConnectionPrivate::receiversChanged()
{
    QCoreApplication::postEvent(this, new QEvent(ReceiversEvent));
}

void ConnectionPrivate::noteParametersChanged()
{
    dispatcher.defer(q, [this] { Q_EMIT q->parametersChanged(); });
}

// Without a connection, ends the calls that wait for the next connection.
void ConnectionPrivate::cancelWaiting()
{
    engine.endWaiting();
    replies.noAttemptFollows(Error(ErrorKind::Cancelled, u"the connection was closed"_s));
    scheduler.schedule();
}

void ConnectionPrivate::wakeForSettlements()
{
    QCoreApplication::postEvent(this, new QEvent(SettlementsEvent));
}

bool ConnectionPrivate::event(QEvent *event)
{
    if (event->type() == QEvent::ThreadChange)
        mailbox->forgetThread(); // until open() is called in the new thread
    if (event->type() == SettlementsEvent) {
        takeSettlements();
        return true;
    }
    if (event->type() == ReceiversEvent) {
        authenticator.receiversChanged();
        return true;
    }
    return QObject::event(event);
}

void ConnectionPrivate::deadlineReached()
{
    if (!engine.hasInput() && link.isIdle()) {
        engine.releaseIdleMemory();
        router.releaseIdleMemory();
        dispatcher.releaseIdleMemory();
        scheduler.stopWatching();
    }
    // Process the peer's input before the elapsed time, since the loop may have been blocked.
    if (const auto deadline = engine.deadline(); deadline && now() >= *deadline)
        link.lookAgain();
    takeTurn();
}

void ConnectionPrivate::takeTurn()
{
    const Dispatcher::Guard guard(dispatcher);
    scheduler.beginTurn();
    dispatcher.runDeferred(guard);
    if (!guard)
        return;
    if (!scheduler.mayDispatch()) // the time for deliveries is used up, so others come first
        return endTurn(guard);
    scheduler.enterDispatch();
    Engine::Time time = now();
    const Engine::Time deadline = time + activeParameters().dispatchBudget();
    while (dispatchEvents(deadline, guard) && link.read(time)) {
        if (time >= deadline) { // a large body, or input without events
            scheduler.continueLater();
            break;
        }
    }
    if (!guard)
        return;
    scheduler.leaveDispatch();
    endTurn(guard);
}

bool ConnectionPrivate::dispatchEvents(Engine::Time deadline, const Dispatcher::Guard &guard)
{
    // Reading the clock costs as much as a small message, so with quick slots it is read once per several messages.
    constexpr int LargestStride = 8;
    int stride = 1;
    int left = stride;
    const auto budget = activeParameters().dispatchBudget();
    Engine::Time last = deadline - budget;
    Message spare; // reuses the memory of the previous delivery if it has no other owner
    scheduler.beginSlice();
    Engine::Event event;
    while (engine.next(event)) {
        scheduler.scheduleInLoop(); // a nested event loop in the application's code continues the work
        router.route(event, spare);
        if (guard && dispatcher.hasDeferred())
            dispatcher.runDeferred(guard);
        if (!guard)
            return false;
        if (--left > 0)
            continue;
        const Engine::Time time = now();
        if (time >= deadline) {
            scheduler.continueLater();
            return false;
        }
        stride = (time - last) * LargestStride < budget ? std::min(2 * stride, LargestStride) : 1;
        last = time;
        left = stride;
    }
    return true;
}

void ConnectionPrivate::endTurn(const Dispatcher::Guard &guard)
{
    dispatcher.reportNoted(guard);
    if (!guard)
        return;
    const Engine::Time time = now();
    engine.tick(time, !link.isReadable() && !engine.hasInput());
    authenticator.tick(time);
    recovery.tick(time);
    calm.tick(time);
    link.write(time);
    flow.reportBytesToWrite();
    const bool goesOn = hasWork();
    scheduler.endTurn(goesOn);
    if (!goesOn)
        setDeadline(time);
}

bool ConnectionPrivate::hasWork() const
{
    return link.isReadable() || engine.hasInput() || dispatcher.hasWork();
}

void ConnectionPrivate::setDeadline(Engine::Time time)
{
    constexpr std::chrono::milliseconds IdleTime(500); // after this time memory is released
    std::optional<Engine::Time> deadline = engine.deadline();
    for (const auto &other : {authenticator.deadline(), recovery.deadline(), calm.deadline()}) {
        if (other)
            deadline = std::min(deadline.value_or(Engine::Time::max()), *other);
    }
    if (engine.hasIdleMemory() || scheduler.isWatching())
        deadline = std::min(deadline.value_or(Engine::Time::max()), time + IdleTime);
    if (scheduler.setDeadline(deadline, time))
        link.watchIdleness();
}

void ConnectionPrivate::addCall(Engine::CallId id, CallHandler handler)
{
    // Setting up a channel takes a few calls. The calls of thousands of channels must not pile up, since memory is
    // rarely returned.
    constexpr qsizetype EnoughToWrite = 16 * 1024;
    router.expectReply(id, std::move(handler));
    if (engine.wantsWrite(EnoughToWrite))
        link.writeNow();
    scheduler.schedule();
}

void ConnectionPrivate::finishCallsOf(const Engine::ChannelEngine *channel)
{
    for (Engine::ReplyArrived &reply : engine.takeReplies(channel))
        router.finish(reply, Delivery::Posted);
}

HelperChannel &ConnectionPrivate::helperChannel()
{
    if (!m_helperChannel)
        m_helperChannel = new HelperChannel(this);
    return *m_helperChannel;
}

void ConnectionPrivate::takeSettlements()
{
    for (const Settlement &settlement : mailbox->take())
        settleNow(settlement);
}

bool ConnectionPrivate::isUnsettled(const Settlement &delivery) const
{
    const ChannelPrivate *channel = channels.find(delivery.channelSerial);
    return channel && channel->engine && channel->engine->incarnation() == delivery.incarnation &&
           channel->engine->deliveries().isUnsettled(delivery.deliveryTag);
}

void ConnectionPrivate::settleNow(const Settlement &settlement)
{
    ChannelPrivate *const channel = channels.find(settlement.channelSerial);
    if (!settlement.noAck && channel && channel->settle(settlement, false))
        return;
    if (!settlement.noAck && settlement.incarnation <= engine.gate().lostIncarnation())
        return; // the broker has requeued the delivery
    const QString reason = settlement.noAck
                               ? u"delivery %1 on channel %2 does not need an acknowledgement"_s
                               : u"delivery %1 on channel %2 has already been settled, or the channel was closed"_s;
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
        dispatcher.defer(q,
                         [this, tag = settlement.deliveryTag, refused] { Q_EMIT q->settlementFailed(tag, refused); });
    }
}

} // namespace AmqpQt
