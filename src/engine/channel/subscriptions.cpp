// SPDX-License-Identifier: MIT
#include "engine/channel/subscriptions_p.h"

#include "base/logging_p.h"
#include "engine/arguments/arguments_p.h"
#include "engine/arguments/knownproperties_p.h"

#include <algorithm>

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

Result<CallId> Subscriptions::setPrefetch(quint16 count, bool perChannel)
{
    if (!m_channel.acceptsCalls())
        return m_channel.notOpen(Wire::BasicQos::name);
    (perChannel ? m_channelPrefetch : m_prefetch) = count;
    if (!perChannel)
        m_sentPrefetch = count;
    return m_channel.call(Wire::BasicQos{.prefetchCount = count, .global = perChannel});
}

Result<std::shared_ptr<ConsumerEntry>> Subscriptions::consume(const QString &name, const ConsumeOptions &options,
                                                              ConsumerClient *client)
{
    if (!m_channel.acceptsCalls())
        return m_channel.notOpen(Wire::BasicConsume::name);
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
    const std::shared_ptr<ConsumerEntry> former = m_channel.consumers().find(tag);
    if ((former && !former->isEnding()) || m_channel.callQueue().consumeWaitingFor(tag))
        return Error(ErrorKind::InvalidArgument,
                     u"consumerTag: \"%1\" is in use on channel %2"_s.arg(options.consumerTag).arg(m_channel.number()));
    const bool noAck = options.ackMode == AckMode::NoAck;
    const quint16 prefetch = options.prefetch.value_or(m_prefetch);
    if (options.arguments.contains(u"x-stream-offset"_s) && (noAck || prefetch == 0)) {
        return Error(ErrorKind::InvalidArgument,
                     noAck ? u"ackMode: a consumer of a stream needs acknowledgements; AckMode::NoAck is not possible"_s
                           : u"prefetch: a consumer of a stream needs a limit; the minimum is 1"_s);
    }
    const bool isForReplies = *resolved == DirectReplyTo;
    if (isForReplies && (!noAck || (!former && hasDirectReplyTo()))) {
        return Error(
            ErrorKind::InvalidArgument,
            noAck ? u"queue: \"%1\" already has a consumer on channel %2"_s.arg(DirectReplyTo).arg(m_channel.number())
                  : u"ackMode: replies from \"%1\" cannot be acknowledged; use AckMode::NoAck"_s.arg(DirectReplyTo));
    }
    const Wire::BasicConsume method{.ticket = m_channel.ticket(),
                                    .queue = queue,
                                    .consumerTag = tag,
                                    .noLocal = options.noLocal,
                                    .noAck = noAck,
                                    .exclusive = options.exclusive,
                                    .arguments = {table}};
    if (const Error error = m_channel.checkSize(Wire::payloadSize(method), method.name); error.isError())
        return error;

    if (prefetch != m_sentPrefetch) {
        m_channel.call(Wire::BasicQos{.prefetchCount = prefetch});
        m_sentPrefetch = prefetch;
    }
    auto consumer = std::make_shared<ConsumerEntry>();
    consumer->tag = tag;
    consumer->tag.squeeze();
    consumer->client = client;
    consumer->noAck = noAck;
    consumer->isForReplies = isForReplies;
    consumer->prefetch = prefetch;
    consumer->startCall = m_channel.host().calls().nextId();
    if (m_channel.isRecorded() && !isForReplies)
        m_channel.host().topologyRecord().expect(consumer->startCall, ConsumerStart{m_topology.reference(*resolved)});
    ChannelCall starting = ChannelCall::of(consumer->startCall, method);
    starting.consumer = consumer;
    if (resolved->isEmpty()) {
        consumer->queueDeclare = m_topology.reference(*resolved).declaring;
        consumer->consume = starting.payload;
    }
    if (former) { // the tag is free after its consumer's cancel-ok
        consumer->waitsForTag = true;
        m_channel.callQueue().hold(std::move(starting));
        return consumer;
    }
    m_channel.consumers().insert(consumer);
    m_channel.submit(std::move(starting));
    return consumer;
}

CallId Subscriptions::cancel(ConsumerEntry &consumer)
{
    Q_ASSERT(consumer.cancelCall == 0);
    const CallId id = consumer.cancelCall = m_channel.host().calls().nextId();
    if (consumer.isForReplies)
        m_publishing.dropTemplate(); // a request like the last one must be checked again
    if (consumer.waitsForTag) {
        m_channel.callQueue().cancelWaitingConsumes(&consumer);
        m_channel.releaseHeld(); // including the operations queued after it
    } else if (consumer.isRestored && !consumer.isSent) {
        m_channel.callQueue().forget(consumer.startCall);
        noteEnd(consumer, TopologyRecord::EndOfConsumer::Ended);
        endConsumer(m_channel.consumers().find(consumer.tag));
        m_channel.finish(consumer.startCall,
                         Error(ErrorKind::Cancelled, u"the consumer was cancelled while the connection was lost"_s));
        m_channel.finish(id, CancelResult{});
        m_channel.releaseHeld();
    } else if (consumer.state == ConsumerEntry::State::Starting) {
        consumer.cancelHeld = true;
    } else {
        sendCancel(m_channel.consumers().find(consumer.tag));
    }
    return id;
}

CallId Subscriptions::drain(ConsumerEntry &consumer)
{
    consumer.isDraining = true;
    return cancel(consumer);
}

void Subscriptions::channelOpened()
{
    m_sentPrefetch = 0;
    if (m_channelPrefetch)
        m_channel.call(Wire::BasicQos{.prefetchCount = m_channelPrefetch, .global = true});
}

void Subscriptions::suspend(const Error &callError, std::vector<ChannelCall> &calls)
{
    m_channel.consumers().requeued();
    for (const auto &consumer : m_channel.consumers().takeAll()) {
        consumer->lastDelivery.reset();
        const bool wasActive = consumer->state != ConsumerEntry::State::Starting;
        if (wasActive && m_channel.host().gate().isConnectionOpen()) // otherwise the record knows
            noteEnd(*consumer, TopologyRecord::EndOfConsumer::Ended);
        if (consumer->isEnding()) {
            consumer->isRestored = consumer->isRestored || wasActive;
            noteEnd(*consumer, TopologyRecord::EndOfConsumer::Ended);
            if (consumer->state == ConsumerEntry::State::Starting)
                m_channel.finish(consumer->startCall, callError);
            consumer->state = ConsumerEntry::State::Gone;
            m_channel.finish(consumer->cancelCall, CancelResult{consumer->returned, consumer->lost});
            continue;
        }
        m_channel.consumers().insert(consumer);
        if (!consumer->isSent)
            continue;                                        // its call is held
        m_channel.host().calls().ended(consumer->startCall); // until it is sent again
        ChannelCall starting{.id = consumer->startCall,
                             .reply = Wire::BasicConsumeOk::id.value(),
                             .method = Wire::BasicConsume::name,
                             .payload = consumer->consume,
                             .consumer = consumer};
        calls.push_back(std::move(starting));
    }
    m_restarts = 0;
}

void Subscriptions::restart(ChannelCall &consume)
{
    ConsumerEntry &consumer = *consume.consumer;
    consumer.isSent = false;
    consumer.consume = consume.payload;
    consumer.isRestored = consumer.isRestored || consumer.state == ConsumerEntry::State::Active;
    m_restarts += consumer.isRestored;
    if (consumer.state == ConsumerEntry::State::Starting)
        return; // its reply is still awaited
    consumer.state = ConsumerEntry::State::Starting;
    consumer.startCall = consume.id = m_channel.host().calls().nextId();
    if (TopologyRecord *record = m_channel.host().recordedTopology();
        record && m_channel.isRecorded() && !consumer.isForReplies)
        record->expect(consume.id, ConsumerStart{{.name = Wire::decodeText(consume.queue())}});
}

// In the order on the wire, where consumers that start again come before new ones, although their calls have later ids.
static std::vector<std::shared_ptr<ConsumerEntry>> unanswered(const ConsumerTable &consumers)
{
    using Entry = std::shared_ptr<ConsumerEntry>;
    std::vector<Entry> started;
    for (const Entry &consumer : consumers.entries()) {
        if (consumer->state == ConsumerEntry::State::Starting && consumer->isSent)
            started.push_back(consumer);
    }
    std::sort(started.begin(), started.end(), [](const Entry &one, const Entry &other) {
        return one->isRestored != other->isRestored ? one->isRestored : one->startCall < other->startCall;
    });
    return started;
}

std::vector<std::shared_ptr<ConsumerEntry>> Subscriptions::oldestUnanswered() const
{
    std::vector<std::shared_ptr<ConsumerEntry>> started = unanswered(m_channel.consumers());
    if (started.size() > 1)
        started.resize(1);
    return started;
}

bool Subscriptions::dropChannelPrefetch(const ChannelCall &qos)
{
    Wire::BasicQos method;
    if (Wire::decodeArguments(QByteArrayView(qos.payload).sliced(4), method) || !method.global)
        return false;
    m_channelPrefetch = 0;
    return true;
}

// channel.close does not contain the tag, but RabbitMQ's text has the name of the queue. Otherwise the oldest consumer
// is the cause, since they are answered in order.
std::vector<std::shared_ptr<ConsumerEntry>> Subscriptions::refusedRestarts(const Error &reason) const
{
    using Entry = std::shared_ptr<ConsumerEntry>;
    std::vector<Entry> started = unanswered(m_channel.consumers());
    if (started.empty())
        return {};
    const auto named = std::find_if(started.begin(), started.end(), [&](const Entry &consumer) {
        return reason.text().contains(u"'%1'"_s.arg(queueOf(*consumer)));
    });
    const Entry refused = named != started.end() ? *named : started.front();
    std::erase_if(started, [queue = queueOf(*refused)](const Entry &consumer) {
        return !consumer->isRestored || queueOf(*consumer) != queue;
    });
    return started;
}

void Subscriptions::endRefused(const std::vector<std::shared_ptr<ConsumerEntry>> &refused, const Error &reason)
{
    for (const auto &consumer : refused) {
        noteEnd(*consumer, TopologyRecord::EndOfConsumer::Ended);
        endConsumer(consumer);
        m_channel.finish(consumer->startCall, reason);
        if (consumer->cancelCall)
            m_channel.finish(consumer->cancelCall, CancelResult{});
        else
            m_channel.host().post(ConsumerCancelled{consumer, reason});
    }
}

void Subscriptions::consumeSent(const ChannelCall &call)
{
    ConsumerEntry &consumer = *call.consumer;
    consumer.isSent = true;
    if (m_channel.host().settings().recovers && (consumer.consume.isEmpty() || !call.queue().isEmpty()))
        consumer.consume = call.payload;
}

void Subscriptions::cancelAll()
{
    for (const auto &consumer : m_channel.consumers().entries()) {
        if (consumer->state == ConsumerEntry::State::Active)
            cancel(*consumer);
    }
    m_channel.callQueue().cancelWaitingConsumes(nullptr);
    m_channel.releaseHeld(); // including the operations queued after them
}

void Subscriptions::end(const Error &callError, bool isFailure)
{
    for (const auto &consumer : m_channel.consumers().takeAll()) {
        noteEnd(*consumer, TopologyRecord::EndOfConsumer::Ended);
        if (consumer->state == ConsumerEntry::State::Starting)
            m_channel.finish(consumer->startCall, callError);
        consumer->state = ConsumerEntry::State::Gone;
        if (consumer->cancelCall)
            m_channel.finish(consumer->cancelCall,
                             isFailure ? ReplyValue(callError) : CancelResult{consumer->returned, consumer->lost});
    }
}

void Subscriptions::sendCancel(const std::shared_ptr<ConsumerEntry> &consumer)
{
    consumer->cancelHeld = false;
    consumer->state = ConsumerEntry::State::Cancelling;
    ChannelCall cancelling = ChannelCall::of(consumer->cancelCall, Wire::BasicCancel{.consumerTag = consumer->tag});
    cancelling.consumer = consumer;
    m_channel.submit(std::move(cancelling));
}

bool Subscriptions::claimTag(const ChannelCall &consume)
{
    if (m_channel.consumers().find(consume.consumer->tag))
        return false;
    consume.consumer->waitsForTag = false;
    m_channel.consumers().insert(consume.consumer);
    return true;
}

void Subscriptions::consumeRejected(const ChannelCall &call, const Error &error)
{
    noteEnd(*call.consumer, TopologyRecord::EndOfConsumer::Ended);
    endConsumer(call.consumer);
    if (call.consumer->cancelCall)
        m_channel.finish(call.consumer->cancelCall, CancelResult{});
    else
        m_channel.host().post(ConsumerCancelled{call.consumer, error});
}

void Subscriptions::cancelTooLarge(ConsumerEntry &consumer, const Error &reason)
{
    if (consumer.isEnding())
        return;
    consumer.isEndReported = true;
    m_channel.host().post(ConsumerCancelled{m_channel.consumers().find(consumer.tag), reason});
    cancel(consumer);
}

void Subscriptions::on(const Wire::BasicConsumeOk &method)
{
    const auto consumer = m_channel.consumers().find(method.consumerTag);
    if (!consumer || consumer->state != ConsumerEntry::State::Starting || !consumer->isSent) {
        if (!m_channel.consumers().takeDueConsumeOk(method.consumerTag))
            m_channel.reportUnexpected(method.name);
        return;
    }
    consumer->state = ConsumerEntry::State::Active;
    const bool isRestored = consumer->isRestored;
    consumer->isRestored = false;
    m_restarts -= isRestored;
    m_channel.finish(consumer->startCall, {});
    if (consumer->cancelHeld && m_channel.acceptsCalls())
        sendCancel(consumer);
    if (isRestored)
        m_channel.releaseHeld();
}

void Subscriptions::on(const Wire::BasicCancelOk &method)
{
    const auto consumer = m_channel.consumers().find(method.consumerTag);
    if (!consumer || consumer->state != ConsumerEntry::State::Cancelling)
        return m_channel.reportUnexpected(method.name);
    noteEnd(*consumer, TopologyRecord::EndOfConsumer::Ended);
    endConsumer(consumer);
    m_channel.finish(consumer->cancelCall, CancelResult{consumer->returned, consumer->lost});
    m_channel.releaseHeld(); // another consumer may wait for the tag
}

void Subscriptions::on(const Wire::BasicCancel &method)
{
    const auto consumer = m_channel.consumers().find(method.consumerTag);
    const bool isCancelling = consumer && consumer->state == ConsumerEntry::State::Cancelling;
    if (!method.noWait && !m_channel.isCloseSent())
        m_channel.host().frames().send(m_channel.number(), Wire::BasicCancelOk{.consumerTag = method.consumerTag});
    else if (!isCancelling)
        stopDeliveries(method.consumerTag);
    if (isCancelling)
        return; // the consumer's cancel-ok will arrive as well
    if (!consumer || !consumer->isSent)
        return; // refers to an earlier consumer, whose cancel-ok has arrived
    const Error error(ErrorKind::ConsumerCancelled,
                      u"the broker cancelled the consumer \"%1\""_s.arg(QString::fromUtf8(consumer->tag)), 0,
                      QString::fromLatin1(method.name));
    if (consumer->state == ConsumerEntry::State::Starting) {
        consumer->consumeOkIsDue = true;
        m_channel.finish(consumer->startCall, error);
    }
    noteEnd(*consumer, TopologyRecord::EndOfConsumer::CancelledByBroker);
    endConsumer(consumer);
    if (consumer->cancelCall)
        m_channel.finish(consumer->cancelCall, CancelResult{consumer->returned, consumer->lost});
    if (!std::exchange(consumer->isEndReported, true))
        m_channel.host().post(ConsumerCancelled{consumer, error});
    m_channel.releaseHeld(); // another consumer may wait for the tag
}

// RabbitMQ 4.3 keeps a consumer that it has cancelled, with its tag, until the client answers. Without an answer it
// would resume deliveries once the consumer's messages are settled. Every version ignores a cancel for an unknown tag.
void Subscriptions::stopDeliveries(QByteArrayView consumerTag)
{
    if (!m_channel.isCloseSent())
        m_channel.host().frames().send(m_channel.number(),
                                       Wire::BasicCancel{.consumerTag = consumerTag, .noWait = true});
}

QString Subscriptions::queueOf(const ConsumerEntry &consumer)
{
    return Wire::decodeText(ChannelCall::queueOf(consumer.consume));
}

void Subscriptions::noteEnd(ConsumerEntry &consumer, TopologyRecord::EndOfConsumer how)
{
    const bool isRestored = consumer.isRestored;
    consumer.isRestored = false;
    m_restarts -= isRestored;
    TopologyRecord *record = m_channel.host().recordedTopology();
    if (record && isRestored)
        record->consumerAbandoned(queueOf(consumer));
    else if (record)
        record->consumerEnded(consumer.startCall, how);
}

void Subscriptions::endConsumer(const std::shared_ptr<ConsumerEntry> &consumer)
{
    m_channel.consumers().take(consumer->tag);
    if (consumer->isForReplies)
        m_publishing.dropTemplate(); // as in cancel()
}

// Returns its deliveries to the queue and asks the broker to cancel it, since it would otherwise redeliver them
// forever.
ConsumerEntry *Subscriptions::rejectDelivery(QByteArrayView tag)
{
    qCWarning(lcChannel) << "a delivery for the unknown consumer tag" << QString::fromUtf8(tag) << "on channel"
                         << m_channel.number() << "is requeued";
    stopDeliveries(tag);
    return m_channel.consumers().addEnded(tag);
}

} // namespace AmqpQt::Engine
