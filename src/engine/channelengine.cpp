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
bool ChannelEngine::mustHold(const Call &call) const
{
    return call.reply == Wire::ChannelCloseOk::id.value() && sentUnconfirmed() > 0;
}

void ChannelEngine::hold(Held held)
{
    if (const auto *publish = std::get_if<HeldPublish>(&held)) {
        m_host.flow().addHeld(publish->bytes());
        m_heldUnconfirmed += publish->confirm;
    }
    m_held.push_back(std::move(held));
    if (!m_host.isOpen())
        m_host.waitForOpen(shared_from_this());
}

Error ChannelEngine::checkSize(qsizetype payload, const char *method) const
{
    if (payload <= m_host.frames().maximumPayload())
        return {};
    return Error(
        ErrorKind::InvalidArgument,
        u"arguments: the method needs %1 bytes; the maximum of a frame on this connection is %2 bytes"_s.arg(payload)
            .arg(m_host.frames().maximumPayload()),
        0, QString::fromLatin1(method));
}

void ChannelEngine::submit(Call call)
{
    if (mustHold(false) || mustHold(call))
        hold(std::move(call));
    else
        sendCall(call);
}

void ChannelEngine::sendCall(const Call &call)
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
        m_calls.push_back(call);
    else if (call.id == call.consumer->startCall) // basic.consume and basic.cancel are answered by tag
        call.consumer->isSent = true;
}

void ChannelEngine::rejectCall(const Call &call, const Error &error)
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
    if (m_held.empty() || !m_host.isOpen() || m_deliveries.isTransactionEnding())
        return false;
    if (auto *call = std::get_if<Call>(&m_held.front())) {
        if (mustHold(*call)) {
            startCloseTime();
            return false;
        }
        const bool takesTag = call->consumer && call->consumer->waitsForTag;
        if (takesTag && m_consumers.find(call->consumer->tag))
            return false;
        const Call next = std::move(*call);
        m_held.pop_front();
        if (takesTag) {
            next.consumer->waitsForTag = false;
            m_consumers.insert(next.consumer);
        }
        sendCall(next);
        return true;
    }
    if (!mayPublish())
        return false;
    const HeldPublish publish = std::get<HeldPublish>(std::move(m_held.front()));
    m_held.pop_front();
    m_heldUnconfirmed -= publish.confirm;
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

Result<QString> ChannelEngine::resolveQueue(const QString &name) const
{
    if (!name.isEmpty() || m_lastDeclare == 0)
        return !name.isEmpty()
                   ? Result<QString>(name)
                   : Error(ErrorKind::InvalidArgument,
                           u"queue: the name is empty, and no queue has been declared on channel %1"_s.arg(m_number));
    return m_lastQueue; // empty until the broker's answer names it; for the broker, empty means the last declared queue
}

// The reason for which RabbitMQ would close the channel on this declaration; empty if it would not.
static QString problemOfQueue(const QString &name, const QueueOptions &options)
{
    if (name.startsWith("amq."_L1) && !name.startsWith("amq.rabbitmq.reply-to"_L1))
        return u"queue: \"%1\" cannot be declared because the prefix amq. is reserved for the broker"_s.arg(name);
    const FieldTable &table = options.arguments;
    if (table.contains(u"x-dead-letter-routing-key"_s) && !table.contains(u"x-dead-letter-exchange"_s))
        return u"arguments: \"x-dead-letter-routing-key\" needs \"x-dead-letter-exchange\""_s;
    const QString type = table.value(u"x-queue-type"_s).toString();
    const bool isLasting = type == "quorum"_L1 || type == "stream"_L1;
    if (isLasting && (name.isEmpty() || !options.durable || options.exclusive || options.autoDelete))
        return u"options: a queue of type %1 must have a name and be durable, and cannot be exclusive or auto-delete"_s
            .arg(type);
    return {};
}

static Error defaultExchange(QLatin1StringView argument, QLatin1StringView fact)
{
    return Error(ErrorKind::InvalidArgument, u"%1: the name is empty; the default exchange %2"_s.arg(argument, fact));
}

Result<CallId> ChannelEngine::declareQueue(const QString &name, const QueueOptions &options, bool passive)
{
    if (!acceptsCalls())
        return notOpen(Wire::QueueDeclare::name);
    Arguments arguments;
    const QByteArray queue = arguments.shortString("queue", name);
    const QByteArray table = arguments.table("arguments", options.arguments, queueArguments());
    if (arguments.areInvalid())
        return arguments.error();
    if (const QString problem = passive ? QString() : problemOfQueue(name, options); !problem.isEmpty())
        return Error(ErrorKind::InvalidArgument, problem);
    const Result<CallId> declaring = call(Wire::QueueDeclare{.queue = queue,
                                                             .passive = passive,
                                                             .durable = options.durable,
                                                             .exclusive = options.exclusive,
                                                             .autoDelete = options.autoDelete,
                                                             .arguments = {table}});
    if (declaring) {
        m_lastQueue = name;
        m_lastDeclare = *declaring;
    }
    return declaring;
}

Result<CallId> ChannelEngine::deleteQueue(const QString &name, bool ifUnused, bool ifEmpty)
{
    if (!acceptsCalls())
        return notOpen(Wire::QueueDelete::name);
    const Result<QString> resolved = resolveQueue(name);
    if (!resolved)
        return resolved.error();
    Arguments arguments;
    const QByteArray queue = arguments.shortString("queue", *resolved);
    if (arguments.areInvalid())
        return arguments.error();
    return call(Wire::QueueDelete{.queue = queue, .ifUnused = ifUnused, .ifEmpty = ifEmpty});
}

Result<CallId> ChannelEngine::purgeQueue(const QString &name)
{
    if (!acceptsCalls())
        return notOpen(Wire::QueuePurge::name);
    const Result<QString> resolved = resolveQueue(name);
    if (!resolved)
        return resolved.error();
    Arguments arguments;
    const QByteArray queue = arguments.shortString("queue", *resolved);
    if (arguments.areInvalid())
        return arguments.error();
    return call(Wire::QueuePurge{.queue = queue});
}

Result<CallId> ChannelEngine::bindQueue(const QString &queue, const QString &exchange, const QString &routingKey,
                                        const FieldTable &table)
{
    return bindOrUnbind<Wire::QueueBind>(queue, exchange, routingKey, table);
}

Result<CallId> ChannelEngine::unbindQueue(const QString &queue, const QString &exchange, const QString &routingKey,
                                          const FieldTable &table)
{
    return bindOrUnbind<Wire::QueueUnbind>(queue, exchange, routingKey, table);
}

Result<CallId> ChannelEngine::bindExchange(const QString &destination, const QString &source, const QString &routingKey,
                                           const FieldTable &table)
{
    return bindOrUnbindExchange<Wire::ExchangeBind>(destination, source, routingKey, table);
}

Result<CallId> ChannelEngine::unbindExchange(const QString &destination, const QString &source,
                                             const QString &routingKey, const FieldTable &table)
{
    return bindOrUnbindExchange<Wire::ExchangeUnbind>(destination, source, routingKey, table);
}

template <typename Method>
Result<CallId> ChannelEngine::bindOrUnbindExchange(const QString &destination, const QString &source,
                                                   const QString &routingKey, const FieldTable &table)
{
    if (!acceptsCalls())
        return notOpen(Method::name);
    Arguments arguments;
    const QByteArray destinationName = arguments.shortString("destination", destination);
    const QByteArray sourceName = arguments.shortString("source", source);
    if (destination.isEmpty() || source.isEmpty())
        return defaultExchange(destination.isEmpty() ? "destination"_L1 : "source"_L1,
                               "cannot be bound to another exchange"_L1);
    const QByteArray key = arguments.shortString("routingKey", routingKey);
    const QByteArray bindingArguments = arguments.table("arguments", table);
    if (arguments.areInvalid())
        return arguments.error();
    return call(Method{
        .destination = destinationName, .source = sourceName, .routingKey = key, .arguments = {bindingArguments}});
}

template <typename Method>
Result<CallId> ChannelEngine::bindOrUnbind(const QString &queue, const QString &exchange, const QString &routingKey,
                                           const FieldTable &table)
{
    if (!acceptsCalls())
        return notOpen(Method::name);
    const Result<QString> resolved = resolveQueue(queue);
    if (!resolved)
        return resolved.error();
    // By the specification, if the queue and the key are both empty, the name of the last declared queue is the key.
    const bool keyIsName = queue.isEmpty() && routingKey.isEmpty();
    Arguments arguments;
    const QByteArray queueName = arguments.shortString("queue", *resolved);
    const QByteArray exchangeName = arguments.shortString("exchange", exchange);
    if (exchange.isEmpty())
        return defaultExchange("exchange"_L1, "routes to each queue by its name and accepts no other bindings"_L1);
    const QByteArray key = arguments.shortString("routingKey", keyIsName ? *resolved : routingKey);
    const QByteArray bindingArguments = arguments.table("arguments", table);
    if (arguments.areInvalid())
        return arguments.error();
    return call(
        Method{.queue = queueName, .exchange = exchangeName, .routingKey = key, .arguments = {bindingArguments}});
}

Result<CallId> ChannelEngine::declareExchange(const QString &name, const QString &type, const ExchangeOptions &options,
                                              bool passive)
{
    if (!acceptsCalls())
        return notOpen(Wire::ExchangeDeclare::name);
    Arguments arguments;
    const QByteArray exchange = arguments.shortString("exchange", name);
    const QByteArray typeName = arguments.shortString("type", type);
    const QByteArray table = arguments.table("arguments", options.arguments, exchangeArguments());
    if (arguments.areInvalid())
        return arguments.error();
    if (name.isEmpty())
        return defaultExchange("exchange"_L1, "cannot be declared"_L1);
    if (type.isEmpty() && !passive)
        return Error(ErrorKind::InvalidArgument,
                     u"type: the type is empty; an exchange needs a type, such as direct or topic"_s);
    return call(Wire::ExchangeDeclare{.exchange = exchange,
                                      .type = typeName,
                                      .passive = passive,
                                      .durable = options.durable,
                                      .autoDelete = options.autoDelete,
                                      .internal = options.internal,
                                      .arguments = {table}});
}

Result<CallId> ChannelEngine::deleteExchange(const QString &name, bool ifUnused)
{
    if (!acceptsCalls())
        return notOpen(Wire::ExchangeDelete::name);
    Arguments arguments;
    const QByteArray exchange = arguments.shortString("exchange", name);
    if (arguments.areInvalid())
        return arguments.error();
    if (name.isEmpty())
        return defaultExchange("exchange"_L1, "cannot be deleted"_L1);
    if (name.startsWith("amq."_L1))
        return Error(
            ErrorKind::InvalidArgument,
            u"exchange: \"%1\" cannot be deleted because the prefix amq. is reserved for the broker"_s.arg(name));
    return call(Wire::ExchangeDelete{.exchange = exchange, .ifUnused = ifUnused});
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
    const Result<QString> resolved = resolveQueue(name);
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
    const Result<QString> resolved = resolveQueue(name);
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
    if ((former && !isEnding) || waitingConsume(tag))
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
    Call starting = makeCall(consumer->startCall, method);
    starting.consumer = consumer;
    if (former) { // the tag is free after its consumer's cancel-ok
        consumer->waitsForTag = true;
        hold(std::move(starting));
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

const ChannelEngine::Call *ChannelEngine::waitingConsume(QByteArrayView tag) const
{
    for (const Held &held : m_held) {
        const auto *call = std::get_if<Call>(&held);
        if (call && call->consumer && call->consumer->waitsForTag && QByteArrayView(call->consumer->tag) == tag)
            return call;
    }
    return nullptr;
}

// Cancels consumers whose basic.consume has not been sent. Without `only`, cancels all of them.
void ChannelEngine::endWaitingConsumes(const ConsumerEntry *only)
{
    const Error cancelled(ErrorKind::Cancelled, u"the consumer was cancelled before it was started"_s);
    m_held.removeIf([&](const Held &held) {
        const auto *call = std::get_if<Call>(&held);
        ConsumerEntry *consumer = call ? call->consumer.get() : nullptr;
        if (!consumer || !consumer->waitsForTag || (only && consumer != only))
            return false;
        consumer->waitsForTag = false;
        consumer->state = ConsumerEntry::State::Gone;
        finish(consumer->startCall, cancelled);
        if (consumer->cancelCall)
            finish(consumer->cancelCall, CancelResult{});
        return true;
    });
    releaseHeld(); // the operations behind them
}

void ChannelEngine::sendCancel(const std::shared_ptr<ConsumerEntry> &consumer)
{
    consumer->cancelHeld = false;
    consumer->state = ConsumerEntry::State::Cancelling;
    Call cancelling = makeCall(consumer->cancelCall, Wire::BasicCancel{.consumerTag = consumer->tag});
    cancelling.consumer = consumer;
    // Does not wait behind held publishes, which may take long while the broker redelivers the messages that we return,
    // nor behind a held basic.consume, which waits for the answer.
    if (m_host.isOpen() && (!m_deliveries.isTransactionEnding() || waitingConsume(consumer->tag)))
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

void ChannelEngine::failHeld(const Error &error, const ReplyValue &closeResult)
{
    std::optional<PublishFailed> failed;
    qint64 bytes = 0;
    for (const Held &held : std::as_const(m_held)) {
        if (const auto *publish = std::get_if<HeldPublish>(&held)) {
            bytes += publish->bytes();
            if (!failed)
                failed = PublishFailed{shared_from_this(), publish->sequence, publish->sequence, error};
            else
                failed->last = publish->sequence; // held publishes have consecutive numbers
        } else if (const Call &call = std::get<Call>(held); !call.consumer) {
            finish(call.id, call.id == m_closeCall ? closeResult : ReplyValue(error));
        } else if (call.consumer->waitsForTag) {
            call.consumer->waitsForTag = false;
            call.consumer->state = ConsumerEntry::State::Gone;
            finish(call.id, error);
        }
    }
    m_held.clear();
    m_heldUnconfirmed = 0;
    if (failed)
        m_host.post(*std::move(failed));
    if (bytes > 0)
        m_host.flow().addHeld(-bytes);
}

// Ends all outstanding calls with callError, and drops all subscriptions.
void ChannelEngine::end(const Error &callError, const Error &closeReason, bool awaitsCloseOk)
{
    setState(State::Closed);
    const ReplyValue closeResult = closeReason.isError() ? ReplyValue(callError) : ReplyValue();
    for (const SentCall &call : std::exchange(m_calls, {}))
        finish(call.id, call.id == m_closeCall ? closeResult : ReplyValue(callError));
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
    failHeld(callError, closeResult);
    m_windowFull = false;
    m_deliveries.clear();
    dropContent();
    m_published.reset();
    m_closeCall = 0;
    m_host.calls().ended(std::exchange(m_closeWait, 0));
    m_lastDeclare = 0;
    m_lastQueue.clear();
    m_isOnWire = false;
    m_isCloseSent = false;
    m_flowStopped = false;
    m_host.channelEnded(*this, awaitsCloseOk);
    m_host.post(ChannelClosed{shared_from_this(), closeReason});
}

} // namespace AmqpQt::Engine
