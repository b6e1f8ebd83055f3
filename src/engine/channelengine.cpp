// SPDX-License-Identifier: MIT
#include "engine/channelengine_p.h"

#include "engine/arguments_p.h"
#include "engine/channelcalls_p.h"
#include "engine/knownproperties_p.h"

#include <algorithm>

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

ChannelEngine::ChannelEngine(ChannelHost &host, quint16 number, void *clientContext)
    : ChannelContext(host, number)
    , context(clientContext)
{
}

// Closing a channel loses its outstanding confirms.
bool ChannelEngine::mustHold(const ChannelCall &call) const
{
    return call.reply == Wire::ChannelCloseOk::id.value() && sentUnconfirmed() > 0;
}

void ChannelEngine::submit(ChannelCall call)
{
    if (mustHold(false) || mustHold(call))
        m_calls.hold(std::move(call));
    else
        sendCall(call);
}

void ChannelEngine::sendCall(const ChannelCall &call)
{
    m_deliveries.writeAcks(); // the order of calls is the order on the wire
    if (const Error error = checkSize(call.payload.size(), call.method); error.isError())
        return rejectCall(call, error); // known only now, since the call was made before tune
    m_host.frames().sendMethod(m_number, call.payload);
    m_host.callSent({.id = call.id, .owner = this, .method = call.method});
    if (call.reply == Wire::ChannelOpenOk::id.value()) {
        m_isOnWire = true;
    } else if (call.reply == Wire::ChannelCloseOk::id.value()) {
        m_isCloseSent = true;
        m_host.calls().ended(std::exchange(m_closeWait, 0));
    } else if (call.reply == Wire::BasicRecoverOk::id.value()) {
        m_deliveries.recoverSent();
    } else if (call.reply == Wire::TxCommitOk::id.value()) {
        m_deliveries.commitSent();
    } else if (call.reply == Wire::TxRollbackOk::id.value()) {
        m_deliveries.rollbackSent();
    }
    if (!call.consumer)
        m_calls.sent(call);
    else if (call.id == call.consumer->startCall) // basic.consume and basic.cancel are answered by tag
        call.consumer->isSent = true;
}

void ChannelEngine::rejectCall(const ChannelCall &call, const Error &error)
{
    finish(call.id, error);
    if (!call.consumer)
        return;
    endConsumer(call.consumer);
    if (call.consumer->cancelCall)
        finish(call.consumer->cancelCall, CancelResult{});
    else
        m_host.post(ConsumerCancelled{call.consumer, error});
}

bool ChannelEngine::releaseOne()
{
    if (!m_calls.isHolding() || !m_host.isOpen() || m_deliveries.isTransactionEnding())
        return false;
    if (const ChannelCall *call = m_calls.firstCall()) {
        if (mustHold(*call)) {
            startCloseTime();
            return false;
        }
        const bool takesTag = call->consumer && call->consumer->waitsForTag;
        if (takesTag && m_consumers.find(call->consumer->tag))
            return false;
        const ChannelCall next = m_calls.takeFirstCall();
        if (takesTag) {
            next.consumer->waitsForTag = false;
            m_consumers.insert(next.consumer);
        }
        sendCall(next);
        return true;
    }
    if (!mayPublish())
        return false;
    const HeldPublish publish = m_calls.takeFirstPublish();
    const qsizetype headerPayload = Wire::ContentHeaderPrefix + publish.properties.size();
    Error error = checkSize(headerPayload, Wire::BasicPublish::name);
    if (!error.isError())
        error = checkProperties(publish.properties); // the user of the connection may have changed
    if (error.isError()) {
        m_host.post(PublishFailed{shared_from_this(), publish.sequence, publish.sequence, error});
        noteConfirmWindow();
    } else {
        ContentFrames frames;
        frames.encode(m_number, publish.payload, publish.properties);
        sendPublish(publish.sequence, frames, publish.properties, publish.body, publish.mandatory, publish.confirm);
    }
    m_host.flow().addHeld(-publish.bytes());
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
    m_incarnation = m_host.newIncarnation();
    m_sentPrefetch = 0;
    m_ticket = 0;
    const Result<CallId> opening = call(Wire::ChannelOpen{});
    if (m_mode == Mode::Confirm)
        call(Wire::ConfirmSelect{});
    else if (m_mode == Mode::Transaction)
        call(Wire::TxSelect{});
    if (m_channelPrefetch)
        call(Wire::BasicQos{.prefetchCount = m_channelPrefetch, .global = true});
    return opening;
}

Result<CallId> ChannelEngine::close()
{
    if (!acceptsCalls())
        return notOpen(Wire::ChannelClose::name);
    for (const auto &consumer : m_consumers.entries()) {
        if (consumer->state == ConsumerEntry::State::Active)
            cancel(*consumer);
    }
    endWaitingConsumes();
    const Result<CallId> closing =
        call(Wire::ChannelClose{.replyCode = Wire::ReplyCode::ReplySuccess, .replyText = "closed by the application"});
    m_closeCall = *closing;
    if (sentUnconfirmed() > 0)
        startCloseTime();
    setState(State::Closing);
    return closing;
}

// Waits for confirms as long as they arrive. Each may take as long as the answer to a call.
void ChannelEngine::startCloseTime()
{
    m_host.calls().ended(m_closeWait);
    m_closeWait = m_host.calls().nextId();
    m_host.callSent({.id = m_closeWait, .owner = this, .method = Wire::ChannelClose::name});
}

Result<CallId> ChannelEngine::setPrefetch(quint16 count, bool perChannel)
{
    if (!acceptsCalls())
        return notOpen(Wire::BasicQos::name);
    (perChannel ? m_channelPrefetch : m_prefetch) = count;
    if (!perChannel)
        m_sentPrefetch = count;
    return call(Wire::BasicQos{.prefetchCount = count, .global = perChannel});
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

Result<std::shared_ptr<ConsumerEntry>> ChannelEngine::consume(const QString &name, const ConsumeOptions &options,
                                                              void *consumerContext)
{
    if (!acceptsCalls())
        return notOpen(Wire::BasicConsume::name);
    const Result<QString> resolved = m_topology.resolveQueue(name);
    if (!resolved)
        return resolved.error();
    Arguments arguments;
    const QByteArray queue = arguments.shortString("queue", *resolved);
    const QByteArray tag = arguments.shortString("consumerTag", options.consumerTag);
    const QByteArray table = arguments.table("arguments", options.arguments, consumeArguments());
    if (arguments.areInvalid())
        return arguments.error();
    if (tag.isEmpty())
        return Error(ErrorKind::InvalidArgument, u"consumerTag: the tag is empty"_s);
    const std::shared_ptr<ConsumerEntry> former = m_consumers.find(tag);
    const bool isEnding = former && (former->state == ConsumerEntry::State::Cancelling || former->cancelHeld);
    if ((former && !isEnding) || m_calls.consumeWaitingFor(tag))
        return Error(ErrorKind::InvalidArgument,
                     u"consumerTag: \"%1\" is in use on channel %2"_s.arg(options.consumerTag).arg(m_number));
    const bool noAck = options.ackMode == AckMode::NoAck;
    const quint16 prefetch = options.prefetch.value_or(m_prefetch);
    if (options.arguments.contains(u"x-stream-offset"_s) && (noAck || prefetch == 0)) {
        return Error(ErrorKind::InvalidArgument,
                     noAck ? u"ackMode: a consumer of a stream needs acknowledgements; AckMode::NoAck is not possible"_s
                           : u"prefetch: a consumer of a stream needs a limit; the minimum is 1"_s);
    }
    const bool isForReplies = *resolved == DirectReplyTo;
    if (isForReplies && (!noAck || (!former && hasConsumerForReplies()))) {
        return Error(
            ErrorKind::InvalidArgument,
            noAck ? u"queue: \"%1\" already has a consumer on channel %2"_s.arg(DirectReplyTo).arg(m_number)
                  : u"ackMode: replies from \"%1\" cannot be acknowledged; use AckMode::NoAck"_s.arg(DirectReplyTo));
    }
    const Wire::BasicConsume method{.ticket = m_ticket,
                                    .queue = queue,
                                    .consumerTag = tag,
                                    .noLocal = options.noLocal,
                                    .noAck = noAck,
                                    .exclusive = options.exclusive,
                                    .arguments = {table}};
    if (const Error error = checkSize(Wire::payloadSize(method), method.name); error.isError())
        return error;

    if (prefetch != m_sentPrefetch) {
        call(Wire::BasicQos{.prefetchCount = prefetch});
        m_sentPrefetch = prefetch;
    }
    auto consumer = std::make_shared<ConsumerEntry>();
    consumer->tag = tag;
    consumer->context = consumerContext;
    consumer->noAck = noAck;
    consumer->isForReplies = isForReplies;
    consumer->startCall = m_host.calls().nextId();
    ChannelCall starting = ChannelCall::of(consumer->startCall, method);
    starting.consumer = consumer;
    if (former) { // the tag is free after its consumer's cancel-ok
        consumer->waitsForTag = true;
        m_calls.hold(std::move(starting));
        return consumer;
    }
    m_consumers.insert(consumer);
    submit(std::move(starting));
    return consumer;
}

CallId ChannelEngine::cancel(ConsumerEntry &consumer)
{
    Q_ASSERT(consumer.cancelCall == 0);
    const CallId id = consumer.cancelCall = m_host.calls().nextId();
    if (consumer.isForReplies)
        m_published.reset(); // a request like the last one must be checked again
    if (consumer.waitsForTag)
        endWaitingConsumes(&consumer);
    else if (consumer.state == ConsumerEntry::State::Starting)
        consumer.cancelHeld = true;
    else
        sendCancel(m_consumers.find(consumer.tag));
    return id;
}

CallId ChannelEngine::drain(ConsumerEntry &consumer)
{
    consumer.isDraining = true;
    return cancel(consumer);
}

void ChannelEngine::endWaitingConsumes(const ConsumerEntry *only)
{
    m_calls.cancelWaitingConsumes(only);
    releaseHeld(); // the operations behind them
}

void ChannelEngine::sendCancel(const std::shared_ptr<ConsumerEntry> &consumer)
{
    consumer->cancelHeld = false;
    consumer->state = ConsumerEntry::State::Cancelling;
    ChannelCall cancelling = ChannelCall::of(consumer->cancelCall, Wire::BasicCancel{.consumerTag = consumer->tag});
    cancelling.consumer = consumer;
    // Does not wait behind held publishes, which may take long while the broker redelivers the messages that we return,
    // nor behind a held basic.consume, which waits for the answer.
    if (m_host.isOpen() && (!m_deliveries.isTransactionEnding() || m_calls.consumeWaitingFor(consumer->tag)))
        sendCall(cancelling);
    else
        submit(std::move(cancelling));
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

Result<CallId> ChannelEngine::redeliverUnacked()
{
    if (!acceptsCalls())
        return notOpen(Wire::BasicRecover::name);
    return call(Wire::BasicRecover{.requeue = true});
}

void ChannelEngine::release()
{
    context = nullptr;
    if (m_state == State::Closed) {
        m_host.releaseNumber(*this);
        return;
    }
    const bool closeNow = m_isOnWire && !m_isCloseSent && m_host.isOpen();
    if (closeNow) {
        m_deliveries.writeAcks();
        m_host.frames().send(m_number, Wire::ChannelClose{.replyCode = Wire::ReplyCode::ReplySuccess,
                                                          .replyText = "closed by the application"});
    }
    end(Error(ErrorKind::Cancelled, u"the channel was deleted"_s), {}, closeNow || m_isCloseSent);
}

void ChannelEngine::callTimedOut(const char *method, Milliseconds timeout)
{
    closeByUs(Wire::ReplyCode::ReplySuccess,
              Error(ErrorKind::Timeout,
                    u"timed out after %1 ms while waiting for the reply; channel %2 is closed"_s.arg(timeout.count())
                        .arg(m_number),
                    0, QString::fromLatin1(method)));
}

void ChannelEngine::closeByUs(quint16 replyCode, const Error &reason)
{
    if (!m_isCloseSent) {
        m_deliveries.writeAcks();
        const QByteArray text = Arguments::shortened(reason.text());
        m_host.frames().send(m_number, Wire::ChannelClose{.replyCode = replyCode, .replyText = QByteArrayView(text)});
    }
    end(reason, reason, true);
}

// Ends all outstanding calls with callError, and drops all subscriptions.
void ChannelEngine::end(const Error &callError, const Error &closeReason, bool awaitsCloseOk)
{
    setState(State::Closed);
    const ReplyValue closeResult = closeReason.isError() ? ReplyValue(callError) : ReplyValue();
    m_calls.endSent(callError, m_closeCall, closeResult);
    if (m_getCall)
        finish(std::exchange(m_getCall, 0), callError);
    for (const auto &consumer : m_consumers.takeAll()) {
        if (consumer->state == ConsumerEntry::State::Starting)
            finish(consumer->startCall, callError);
        consumer->state = ConsumerEntry::State::Gone;
        if (consumer->cancelCall)
            finish(consumer->cancelCall,
                   closeReason.isError() ? ReplyValue(callError) : CancelResult{consumer->returned, consumer->lost});
    }
    if (m_confirms) {
        std::vector<Confirms::Outcome> outcomes;
        m_confirms->end(outcomes);
        tellOutcomes(outcomes,
                     Error(ErrorKind::Unconfirmed,
                           u"the channel ended before the broker confirmed the message: %1"_s.arg(callError.text()),
                           callError.replyCode()));
    }
    m_calls.endHeld(callError, m_closeCall, closeResult);
    m_windowFull = false;
    m_deliveries.clear();
    dropContent();
    m_published.reset();
    m_closeCall = 0;
    m_host.calls().ended(std::exchange(m_closeWait, 0));
    m_topology.clear();
    m_isOnWire = false;
    m_isCloseSent = false;
    m_flowStopped = false;
    m_host.channelEnded(*this, awaitsCloseOk);
    m_host.post(ChannelClosed{shared_from_this(), closeReason});
}

} // namespace AmqpQt::Engine
