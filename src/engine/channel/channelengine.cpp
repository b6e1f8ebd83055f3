// SPDX-License-Identifier: MIT
#include "engine/channel/channelengine_p.h"

#include "base/logging_p.h"
#include "engine/arguments/arguments_p.h"
#include "engine/arguments/deniedfeatures_p.h"
#include "engine/channel/channelrestart_p.h"

#include <utility>

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

ChannelEngine::ChannelEngine(ChannelHost &host, quint16 number, ChannelClient *channelClient)
    : ChannelContext(host, number)
    , client(channelClient)
{
}

// Closing a channel loses its outstanding confirms.
bool ChannelEngine::waitsForConfirms(const ChannelCall &call) const
{
    return call.is<Wire::ChannelClose>() && m_publishing.sentUnconfirmed() > 0;
}

bool ChannelEngine::mustHold(const ChannelCall &call) const
{
    // A basic.cancel does not wait for held publishes, which may take long while the broker redelivers the
    // returned messages, nor for a held basic.consume, which waits for the cancel-ok.
    if (call.is<Wire::BasicCancel>() && canSend())
        return m_deliveries.isTransactionEnding() && !m_calls.consumeWaitingFor(call.consumer->tag);
    return holdsCalls() || waitsForConfirms(call);
}

void ChannelEngine::submit(ChannelCall call)
{
    if (mustHold(call))
        m_calls.hold(std::move(call));
    else
        sendCall(std::move(call));
}

static void warnOfDeniedFeature(const ChannelCall &call)
{
    if (const QString feature = deniedFeature(call.payload); !feature.isEmpty()) {
        qCWarning(lcChannel).noquote().nospace()
            << call.method << ": RabbitMQ 4.3 and later may deny or ignore this: " << feature;
    }
}

void ChannelEngine::sendCall(ChannelCall call)
{
    m_deliveries.writeAcks(); // the order of calls is the order on the wire
    if (const Error error = checkSize(call.payload.size(), call.method); error.isError()) {
        finish(call.id, error); // the limit was unknown when the call was made before tune
        if (call.consumer)
            m_subscriptions.consumeRejected(call, error);
        return;
    }
    if (m_host.deniesFeatures())
        warnOfDeniedFeature(call);
    m_host.frames().sendMethod(m_number, call.payload);
    m_host.callSent({.id = call.id, .owner = this, .method = call.method});
    if (call.is<Wire::ChannelOpen>()) {
        m_isOnWire = true;
        m_isSuspended = false;
    } else if (call.is<Wire::ConfirmSelect>()) {
        m_sentMode = Mode::Confirm;
    } else if (call.is<Wire::TxSelect>()) {
        if (std::exchange(m_sentMode, Mode::Transaction) != Mode::Transaction)
            m_deliveries.transactionsSelected(m_publishing.lastSent());
    } else if (call.is<Wire::ChannelClose>()) {
        m_isCloseSent = true;
        m_host.calls().ended(std::exchange(m_closeWait, 0));
    } else if (call.is<Wire::BasicRecover>()) {
        m_deliveries.recoverSent();
    } else if (call.is<Wire::TxCommit>()) {
        m_deliveries.commitSent(m_publishing.lastSent());
    } else if (call.is<Wire::TxRollback>()) {
        m_deliveries.rollbackSent(m_publishing.lastSent());
    }
    if (!call.consumer)
        m_calls.sent(std::move(call));
    else if (call.id == call.consumer->startCall) // basic.consume and basic.cancel are answered by tag
        m_subscriptions.consumeSent(call);
}

bool ChannelEngine::releaseOne()
{
    if (!m_calls.isHolding() || !canSend() || m_deliveries.isTransactionEnding())
        return false;
    if (m_calls.isAtBarrier()) {
        if (m_subscriptions.restartCount() > 0)
            return false;
        m_calls.removeBarrier();
        return true;
    }
    if (const ChannelCall *call = m_calls.firstCall()) {
        if (waitsForConfirms(*call)) {
            startCloseTime();
            return false;
        }
        if (call->consumer && call->consumer->waitsForTag && !m_subscriptions.claimTag(*call))
            return false;
        sendCall(m_calls.takeFirstCall());
        return true;
    }
    if (!m_publishing.mayPublish())
        return false;
    m_publishing.sendHeld(m_calls.takeFirstPublish());
    return true;
}

void ChannelEngine::releaseHeld()
{
    while (releaseOne()) {
    }
}

Result<CallId> ChannelEngine::open()
{
    if (m_state != State::Closed)
        return Error(ErrorKind::InvalidArgument, u"channel %1 is not closed"_s.arg(m_number));
    const Result<quint16> number = m_host.claimNumber(*this);
    if (!number)
        return number.error();
    m_number = *number;
    setState(State::Opening);
    m_incarnation = m_host.gate().newIncarnation();
    m_ticket = 0;
    const Result<CallId> opening = call(Wire::ChannelOpen{});
    if (m_mode == Mode::Confirm)
        call(Wire::ConfirmSelect{});
    else if (m_mode == Mode::Transaction)
        call(Wire::TxSelect{});
    m_subscriptions.channelOpened();
    return opening;
}

Result<CallId> ChannelEngine::close()
{
    if (!acceptsCalls())
        return notOpen(Wire::ChannelClose::name);
    if (m_isSuspended) {
        const CallId closing = m_host.calls().nextId();
        finish(closing, {});
        end(Error(ErrorKind::Cancelled, u"channel %1 was closed"_s.arg(m_number)), {}, false);
        return closing;
    }
    m_subscriptions.cancelAll();
    const Result<CallId> closing =
        call(Wire::ChannelClose{.replyCode = Wire::ReplyCode::ReplySuccess, .replyText = "closed by the application"});
    m_closeCall = *closing;
    if (m_publishing.sentUnconfirmed() > 0)
        startCloseTime();
    setState(State::Closing);
    return closing;
}

// Waits for confirms as long as they arrive. Each confirm may take as long as the answer to a call.
void ChannelEngine::startCloseTime()
{
    m_host.calls().ended(m_closeWait);
    m_closeWait = m_host.calls().nextId();
    m_host.callSent({.id = m_closeWait, .owner = this, .method = Wire::ChannelClose::name});
}

Error ChannelEngine::wrongMode(const char *method, const QString &need) const
{
    return Error(ErrorKind::InvalidArgument, u"channel %1 %2"_s.arg(m_number).arg(need), 0,
                 QString::fromLatin1(method));
}

Result<CallId> ChannelEngine::confirmSelect()
{
    if (!acceptsCalls())
        return notOpen(Wire::ConfirmSelect::name);
    if (m_mode == Mode::Transaction)
        return wrongMode(Wire::ConfirmSelect::name, u"is in transaction mode, which excludes confirm mode"_s);
    const Result<CallId> selecting = call(Wire::ConfirmSelect{});
    m_mode = Mode::Confirm;
    m_publishing.startConfirms();
    return selecting;
}

Result<CallId> ChannelEngine::txSelect()
{
    if (!acceptsCalls())
        return notOpen(Wire::TxSelect::name);
    if (m_mode == Mode::Confirm)
        return wrongMode(Wire::TxSelect::name, u"is in confirm mode, which excludes transactions"_s);
    m_mode = Mode::Transaction;
    m_deliveries.startTransactions();
    return call(Wire::TxSelect{});
}

Result<CallId> ChannelEngine::txCommit()
{
    if (!acceptsCalls())
        return notOpen(Wire::TxCommit::name);
    if (m_mode != Mode::Transaction)
        return wrongMode(Wire::TxCommit::name, u"is not in transaction mode"_s);
    if (!std::exchange(m_isTransactionTorn, false))
        return call(Wire::TxCommit{});
    ChannelCall undoing = ChannelCall::undoing(m_host.calls().nextId());
    const CallId id = undoing.id;
    submit(std::move(undoing));
    return id;
}

Result<CallId> ChannelEngine::txRollback()
{
    if (!acceptsCalls())
        return notOpen(Wire::TxRollback::name);
    if (m_mode != Mode::Transaction)
        return wrongMode(Wire::TxRollback::name, u"is not in transaction mode"_s);
    m_isTransactionTorn = false;
    return call(Wire::TxRollback{});
}

Result<CallId> ChannelEngine::redeliverUnacked()
{
    if (!acceptsCalls())
        return notOpen(Wire::BasicRecover::name);
    return call(Wire::BasicRecover{.requeue = true});
}

Result<CallId> ChannelEngine::requestAccess(const QString &realm, Wire::AccessRequest request)
{
    if (!acceptsCalls())
        return notOpen(Wire::AccessRequest::name);
    Arguments arguments;
    const QByteArray realmName = arguments.shortString("realm", realm);
    if (arguments.areInvalid())
        return arguments.error();
    request.realm = realmName;
    return call(request);
}

Result<CallId> ChannelEngine::get(const QString &name, bool noAck)
{
    if (!acceptsCalls())
        return notOpen(Wire::BasicGet::name);
    const Result<QString> resolved = m_topology.resolveQueue(name);
    if (!resolved)
        return resolved.error();
    Arguments arguments;
    const QByteArray queue = arguments.shortString("queue", *resolved);
    if (arguments.areInvalid())
        return arguments.error();
    return call(Wire::BasicGet{.queue = queue, .noAck = noAck}, noAck);
}

Wire::Visit ChannelEngine::receive(Wire::MethodId id, QByteArrayView arguments, QByteArrayView frame)
{
    return Wire::visitMethod(id, arguments, [&](const auto &method) {
        if constexpr (requires { m_contents.on(method, frame); })
            m_contents.on(method, frame);
        else if constexpr (requires { m_contents.on(method); })
            m_contents.on(method);
        else if constexpr (requires { m_subscriptions.on(method); })
            m_subscriptions.on(method);
        else if constexpr (requires { m_topology.on(method); })
            m_topology.on(method);
        else
            on(method);
    });
}

template <typename Method>
void ChannelEngine::finishCall(const Method &, ReplyValue value)
{
    if (const auto call = m_calls.take<Method>())
        finish(call->id, std::move(value));
}

// Replies that only finish their calls.
template <typename Method, typename... Methods>
constexpr bool IsOneOf = (std::is_same_v<Method, Methods> || ...);
template <typename Method>
constexpr bool IsPlainReply =
    IsOneOf<Method, Wire::ExchangeDeclareOk, Wire::ExchangeDeleteOk, Wire::ExchangeBindOk, Wire::ExchangeUnbindOk,
            Wire::QueueBindOk, Wire::QueueUnbindOk, Wire::QueuePurgeOk, Wire::QueueDeleteOk, Wire::BasicQosOk,
            Wire::ConfirmSelectOk, Wire::TxSelectOk>;

template <typename Method>
void ChannelEngine::on(const Method &method)
{
    if constexpr (!IsPlainReply<Method>)
        reportUnexpected(Method::name);
    else if constexpr (requires { method.messageCount; })
        finishCall(method, method.messageCount);
    else
        finishCall(method);
}

void ChannelEngine::on(const Wire::ChannelOpenOk &method)
{
    if (m_state == State::Opening)
        setState(State::Open);
    finishCall(method);
    if (m_state != State::Open)
        return;
    m_host.post(ChannelOpened{shared_from_this()});
    if (Restoration *restoration = m_host.gate().restoration())
        restoration->channelEnded(m_number);
}

void ChannelEngine::on(const Wire::ChannelCloseOk &method)
{
    if (!m_isCloseSent)
        return reportUnexpected(method.name);
    m_calls.forget(m_closeCall);
    finish(std::exchange(m_closeCall, 0), {});
    end(Error(ErrorKind::Cancelled, u"channel %1 was closed"_s.arg(m_number)), {}, false);
}

void ChannelEngine::on(const Wire::AccessRequestOk &method)
{
    m_ticket = method.ticket;
    m_publishing.dropTemplate();
    finishCall(method, quint32(method.ticket));
}

void ChannelEngine::on(const Wire::ChannelClose &method)
{
    const char *cause = Wire::methodName({method.classId, method.methodId});
    const Error error(ErrorKind::ChannelClosed, QString::fromUtf8(method.replyText), method.replyCode,
                      cause ? QString::fromLatin1(cause) : QString());
    m_host.frames().send(m_number, Wire::ChannelCloseOk{});
    const bool crossing = m_isCloseSent;
    if (m_closeCall) { // the channel is closed as requested, though by the broker
        const CallId closing = std::exchange(m_closeCall, 0);
        m_calls.forget(closing);
        finish(closing, {});
    }
    m_host.channels().setClosedByPeer(m_number, true);
    const bool isConsume = Wire::MethodId{method.classId, method.methodId}.value() == Wire::BasicConsume::id.value();
    if (isConsume && m_state != State::Closing && m_subscriptions.restartCount() > 0) {
        // A consumer that cannot be started again does not end the others.
        if (const auto refused = m_subscriptions.refusedRestarts(error); !refused.empty()) {
            m_host.gate().startRestoration().addChannel(m_number);
            m_subscriptions.endRefused(refused, error);
            suspend(error);
            return releaseHeld();
        }
    }
    end(error, error, crossing);
}

void ChannelEngine::on(const Wire::ChannelFlow &method)
{
    if (m_state == State::Opening)
        return reportUnexpected(method.name);
    if (m_isCloseSent)
        return; // nothing may follow channel.close
    m_host.frames().send(m_number, Wire::ChannelFlowOk{.active = method.active});
    if (m_flowStopped == !method.active)
        return;
    m_flowStopped = !method.active;
    if (m_state != State::Closing) {
        setState(method.active ? State::Open : State::Flowed);
        m_host.post(FlowChanged{shared_from_this(), method.active});
    }
    releaseHeld();
}

void ChannelEngine::on(const Wire::BasicAck &method)
{
    onConfirm(method.deliveryTag, method.multiple, {});
}

void ChannelEngine::on(const Wire::BasicNack &method)
{
    onConfirm(method.deliveryTag, method.multiple,
              Error(ErrorKind::Nacked, u"the broker rejected the message (basic.nack)"_s, 0,
                    QString::fromLatin1(Wire::BasicNack::name)));
}

void ChannelEngine::onConfirm(quint64 deliveryTag, bool multiple, const Error &failure)
{
    if (m_isCloseSent)
        return;
    switch (m_publishing.confirm(deliveryTag, multiple, failure)) {
    case Publishing::Confirmed::Now:
        m_host.noteProgress();
        releaseHeld();
        m_publishing.checkConfirmWindow();
        break;
    case Publishing::Confirmed::Before:
        break;
    case Publishing::Confirmed::NeverPublished:
        closeWithError(Wire::ReplyCode::PreconditionFailed,
                       Error(ErrorKind::ProtocolViolation,
                             u"the broker confirmed a message that was never published in confirm mode"_s,
                             Wire::ReplyCode::PreconditionFailed));
        break;
    }
}

void ChannelEngine::on(const Wire::BasicRecoverOk &method)
{
    finishCall(method);
    m_deliveries.recoverDone(m_calls.awaits<Wire::BasicRecoverOk>());
}

void ChannelEngine::on(const Wire::TxCommitOk &method)
{
    if (!m_deliveries.isTransacted())
        return reportUnexpected(method.name);
    m_deliveries.committed();
    finishCall(method);
    releaseHeld();
}

void ChannelEngine::on(const Wire::TxRollbackOk &method)
{
    if (!m_deliveries.isTransacted())
        return reportUnexpected(method.name);
    m_deliveries.rolledBack();
    if (const auto call = m_calls.take<Wire::TxRollbackOk>()) {
        const bool isCommit = QLatin1StringView(call->method) == QLatin1StringView(Wire::TxCommit::name);
        finish(call->id, isCommit ? ReplyValue(Error(ErrorKind::Network,
                                                     u"the transaction was rolled back because a part of it was lost "
                                                     u"with the connection"_s,
                                                     0, QLatin1StringView(Wire::TxCommit::name)))
                                  : ReplyValue());
    }
    releaseHeld();
}

void ChannelEngine::release()
{
    client = nullptr;
    if (m_state == State::Closed) {
        m_host.channels().release(m_number, this);
        return;
    }
    const bool closeNow = m_isOnWire && !m_isCloseSent && m_host.gate().isConnectionOpen();
    if (closeNow) {
        m_deliveries.writeAcks();
        m_host.frames().send(m_number, Wire::ChannelClose{.replyCode = Wire::ReplyCode::ReplySuccess,
                                                          .replyText = "closed by the application"});
    }
    end(Error(ErrorKind::Cancelled, u"the channel was deleted"_s), {}, closeNow || m_isCloseSent);
}

void ChannelEngine::callTimedOut(const char *method, Milliseconds timeout)
{
    closeWithError(
        Wire::ReplyCode::ReplySuccess,
        Error(ErrorKind::Timeout,
              u"timed out after %1 ms while waiting for the reply; channel %2 is closed"_s.arg(timeout.count())
                  .arg(m_number),
              0, QString::fromLatin1(method)));
}

void ChannelEngine::closeWithError(quint16 replyCode, const Error &reason)
{
    if (!m_isCloseSent) {
        m_deliveries.writeAcks();
        const QByteArray text = Arguments::shortened(reason.text());
        m_host.frames().send(m_number, Wire::ChannelClose{.replyCode = replyCode, .replyText = QByteArrayView(text)});
    }
    end(reason, reason, true);
}

void ChannelEngine::end(const Error &callError, const Error &closeReason, bool awaitsCloseOk)
{
    setState(State::Closed);
    Restoration *const restoration = m_host.gate().restoration();
    if (restoration)
        restoration->pauseReport();
    const ReplyValue closeResult = closeReason.isError() ? ReplyValue(callError) : ReplyValue();
    // The events have the order of these calls.
    m_calls.endSent(callError, m_closeCall, closeResult);
    m_contents.end(callError);
    m_subscriptions.end(callError, closeReason.isError());
    m_publishing.end(callError);
    m_calls.endHeld(callError, m_closeCall, closeResult);
    m_deliveries.clear();
    m_topology.clear();
    m_closeCall = 0;
    m_host.calls().ended(std::exchange(m_closeWait, 0));
    m_isOnWire = false;
    m_isCloseSent = false;
    m_flowStopped = false;
    m_isSuspended = false;
    m_isTransactionTorn = false;
    m_sentMode = Mode::Plain;
    const quint16 number = m_number;
    m_host.channelEnded(*this, awaitsCloseOk);
    m_host.post(ChannelClosed{shared_from_this(), closeReason});
    if (restoration) {
        restoration->channelEnded(number, closeReason);
        restoration->resumeReport();
    }
}

void ChannelEngine::setReplaying(bool replays)
{
    m_isReplaying = replays;
    releaseHeld();
}

void ChannelEngine::suspend(const Error &callError, const Error &refusal)
{
    if (m_isReplaying || m_state == State::Closing)
        return end(callError, m_isReplaying ? callError : Error(), false);
    m_incarnation = m_host.gate().newIncarnation();
    if (!m_isOnWire)
        return; // nothing was sent, so everything continues to wait
    ChannelRestart restart(*this, m_topology, m_subscriptions);
    if (refusal.isError())
        restart.endRefusedCall(refusal);
    std::vector<ChannelCall> repeated = m_calls.takeRepeatable(callError);
    m_contents.end(callError);
    m_subscriptions.suspend(callError, repeated);
    m_publishing.suspend(callError);
    if (!m_deliveries.isTransactionEmpty(m_publishing.lastSent()))
        m_isTransactionTorn = true;
    if (m_isTransactionTorn)
        m_isTransactionTorn = !m_calls.undoTransaction();
    m_deliveries.clear();
    std::vector<ChannelCall> calls = restart.calls(std::move(repeated));
    m_subscriptions.suspended(m_calls.holdFirst(std::move(calls), m_subscriptions.restartCount() > 0));
    if (m_state != State::Opening)
        setState(State::Opening);
    m_ticket = 0;
    m_isOnWire = false;
    m_flowStopped = false;
    m_sentMode = Mode::Plain;
    m_isSuspended = true;
    m_host.post(ChannelSuspended{shared_from_this(), callError});
}

} // namespace AmqpQt::Engine
