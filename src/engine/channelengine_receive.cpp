// SPDX-License-Identifier: MIT

// The part of ChannelEngine that handles the broker's methods and contents.

#include "engine/channelcalls_p.h"
#include "values/logging_p.h"
#include "wire/fieldtable_p.h"

#include <algorithm>

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

Wire::Visit ChannelEngine::receive(Wire::MethodId id, QByteArrayView arguments)
{
    return Wire::visitMethod(id, arguments, [this](const auto &method) { on(method); });
}

template <typename Method>
void ChannelEngine::on(const Method &)
{
    reportUnexpected(Method::name);
}

void ChannelEngine::on(const Wire::ChannelOpenOk &method)
{
    if (m_state == State::Opening)
        setState(State::Open);
    finishSimple(method);
    if (m_state == State::Open)
        m_host.post(ChannelOpened{shared_from_this()});
}

void ChannelEngine::on(const Wire::QueueDeclareOk &method)
{
    const auto call = m_calls.take<Wire::QueueDeclareOk>();
    if (!call)
        return;
    QueueInfo info;
    info.name = Wire::decodeText(method.queue);
    info.messageCount = method.messageCount;
    info.consumerCount = method.consumerCount;
    m_topology.queueDeclared(call->id, info.name);
    finish(call->id, info);
}

void ChannelEngine::on(const Wire::BasicConsumeOk &method)
{
    const auto consumer = m_consumers.find(method.consumerTag);
    if (!consumer || consumer->state != ConsumerEntry::State::Starting || !consumer->isSent) {
        if (!m_consumers.takeDueConsumeOk(method.consumerTag))
            reportUnexpected(method.name);
        return;
    }
    consumer->state = ConsumerEntry::State::Active;
    finish(consumer->startCall, {});
    if (consumer->cancelHeld && acceptsCalls())
        sendCancel(consumer);
}

void ChannelEngine::on(const Wire::BasicCancelOk &method)
{
    const auto consumer = m_consumers.find(method.consumerTag);
    if (!consumer || consumer->state != ConsumerEntry::State::Cancelling)
        return reportUnexpected(method.name);
    endConsumer(consumer);
    finish(consumer->cancelCall, CancelResult{consumer->returned, consumer->lost});
    releaseHeld(); // another may wait for the tag
}

void ChannelEngine::on(const Wire::BasicGetEmpty &method)
{
    if (const auto call = m_calls.take(Wire::BasicGetOk::id, method.name))
        finish(call->id, QueueEmpty{});
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
    m_published.reset();
    finishSimple(method, quint32(method.ticket));
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
    m_host.channelClosedByPeer(*this);
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

void ChannelEngine::on(const Wire::BasicCancel &method)
{
    const auto consumer = m_consumers.find(method.consumerTag);
    const bool isCancelling = consumer && consumer->state == ConsumerEntry::State::Cancelling;
    if (!method.noWait && !m_isCloseSent)
        m_host.frames().send(m_number, Wire::BasicCancelOk{.consumerTag = method.consumerTag});
    else if (!isCancelling)
        stopDeliveries(method.consumerTag);
    if (isCancelling)
        return; // its cancel-ok will arrive as well
    if (!consumer || !consumer->isSent)
        return; // refers to an earlier consumer, whose cancel-ok has arrived
    const Error error(ErrorKind::ConsumerCancelled,
                      u"the broker cancelled the consumer \"%1\""_s.arg(QString::fromUtf8(consumer->tag)), 0,
                      QString::fromLatin1(method.name));
    if (consumer->state == ConsumerEntry::State::Starting) {
        consumer->consumeOkIsDue = true;
        finish(consumer->startCall, error);
    }
    endConsumer(consumer);
    if (consumer->cancelCall)
        finish(consumer->cancelCall, CancelResult{consumer->returned, consumer->lost});
    if (!std::exchange(consumer->isEndReported, true))
        m_host.post(ConsumerCancelled{consumer, error});
    releaseHeld(); // another may wait for the tag
}

// RabbitMQ 4.3 keeps a consumer that it has cancelled, with its tag, until the client answers. Without an answer it
// would resume deliveries once the consumer's messages are settled. Every version ignores a cancel for an unknown tag.
void ChannelEngine::stopDeliveries(QByteArrayView consumerTag)
{
    if (!m_isCloseSent)
        m_host.frames().send(m_number, Wire::BasicCancel{.consumerTag = consumerTag, .noWait = true});
}

void ChannelEngine::endConsumer(const std::shared_ptr<ConsumerEntry> &consumer)
{
    m_consumers.take(consumer->tag);
    if (consumer->isForReplies)
        m_published.reset(); // as in cancel()
}

// The consumer ended too long ago to be remembered, or never existed. Returns its deliveries to the queue and asks the
// broker to cancel it, since it would otherwise redeliver them forever.
ConsumerEntry *ChannelEngine::rejectConsumer(QByteArrayView tag)
{
    qCWarning(lcChannel) << "a delivery for the unknown consumer tag" << QString::fromUtf8(tag) << "on channel"
                         << m_number << "is requeued";
    stopDeliveries(tag);
    return m_consumers.addEnded(tag);
}

qsizetype ChannelEngine::matchDelivery(QByteArrayView consumerTag, QByteArrayView input, RepeatedDelivery &delivery)
{
    const bool isTried = m_consumers.receiver(consumerTag) == delivery.consumer;
    return isTried ? 0 : matchLastDelivery(input, delivery);
}

Assembler &ChannelEngine::assembler()
{
    if (!m_assembler)
        m_assembler = std::make_unique<Assembler>();
    return *m_assembler;
}

void ChannelEngine::dropContent() noexcept
{
    if (m_assembler)
        m_assembler->reset();
}

DeliveryPattern *ChannelEngine::makePattern()
{
    ConsumerEntry *consumer = m_assembler->method().consumer;
    if (consumer && !consumer->pattern)
        consumer->pattern = std::make_unique<DeliveryPattern>();
    return consumer ? consumer->pattern.get() : nullptr;
}

void ChannelEngine::on(const Wire::BasicDeliver &method)
{
    ConsumerEntry *consumer = m_consumers.receiver(method.consumerTag);
    if (!consumer && !m_isCloseSent)
        consumer = rejectConsumer(method.consumerTag);
    assembler().begin({.kind = Assembler::Kind::Deliver,
                       .redelivered = method.redelivered,
                       .deliveryTag = method.deliveryTag,
                       .consumer = consumer},
                      method.exchange, method.routingKey);
}

void ChannelEngine::on(const Wire::BasicGetOk &method)
{
    const auto call = m_calls.take<Wire::BasicGetOk>();
    if (!call)
        return;
    m_getCall = call->id;
    m_getNoAck = call->noAck;
    assembler().begin({.kind = Assembler::Kind::GetOk,
                       .redelivered = method.redelivered,
                       .messageCount = method.messageCount,
                       .deliveryTag = method.deliveryTag},
                      method.exchange, method.routingKey);
}

void ChannelEngine::on(const Wire::BasicReturn &method)
{
    assembler().begin({.kind = Assembler::Kind::Return, .replyCode = method.replyCode}, method.exchange,
                      method.routingKey, method.replyText);
}

void ChannelEngine::onHeader(const Wire::ContentHeader &header)
{
    const Settings &settings = m_host.settings();
    // A returned message was published on this channel, so it may be as large as the write buffer allows.
    const qint64 limit = m_assembler->method().kind == Assembler::Kind::Return
                             ? std::max(settings.maximumMessageSize, settings.bufferLimit)
                             : settings.maximumMessageSize;
    if (header.bodySize <= quint64(limit))
        m_assembler->header(header);
    else
        skipContent(header.bodySize, u"a message of %1 bytes"_s.arg(header.bodySize), limit);
}

void ChannelEngine::skipContent(quint64 bodySize, const QString &what, qint64 limit)
{
    m_assembler->skip(bodySize);
    const Assembler::Kind kind = m_assembler->method().kind;
    if (m_isCloseSent && kind != Assembler::Kind::GetOk) // a call ends in any case
        return;
    const Error error(ErrorKind::MessageTooLarge,
                      u"%1 from exchange \"%2\" with routing key \"%3\" exceeds the maximum of %4 bytes"_s.arg(what)
                          .arg(QString::fromUtf8(m_assembler->exchange()), QString::fromUtf8(m_assembler->routingKey()))
                          .arg(limit),
                      Wire::ReplyCode::ContentTooLarge);
    switch (kind) {
    case Assembler::Kind::Deliver:
        // If it stayed subscribed, the consumer would get the same message again.
        if (ConsumerEntry *consumer = m_assembler->method().consumer; !consumer->isEnding()) {
            consumer->isEndReported = true;
            m_host.post(ConsumerCancelled{m_consumers.find(consumer->tag), error});
            cancel(*consumer);
        }
        break;
    case Assembler::Kind::GetOk:
        finish(std::exchange(m_getCall, 0), error);
        break;
    case Assembler::Kind::Return:
        qCWarning(lcChannel) << "a returned message was dropped:" << error;
        break;
    }
}

ReceivedMessage ChannelEngine::takeMessage()
{
    ReceivedMessage message;
    message.exchange = m_assembler->exchange();
    message.routingKey = m_assembler->routingKey();
    message.deliveryTag = m_assembler->method().deliveryTag;
    message.redelivered = m_assembler->method().redelivered;
    message.properties = m_assembler->properties();
    message.body = m_assembler->takeBody();
    return message;
}

bool ChannelEngine::completeContent(Delivered &delivered)
{
    switch (m_assembler->method().kind) {
    case Assembler::Kind::Deliver:
        return completeDelivery(delivered);
    case Assembler::Kind::GetOk:
        completeGet();
        break;
    case Assembler::Kind::Return:
        if (m_assembler->isSkipped())
            dropContent();
        else
            completeReturn();
        break;
    }
    return false;
}

bool ChannelEngine::completeDelivery(Delivered &delivered)
{
    if (!m_assembler->method().consumer) { // has no consumer, on a closing channel
        dropContent();
        return false;
    }
    ConsumerEntry *consumer = m_assembler->method().consumer;
    if (!takesDelivery(*consumer, m_assembler->method().deliveryTag, m_assembler->isSkipped()))
        return false;
    delivered.consumer = consumer;
    delivered.message = takeMessage();
    return true;
}

bool ChannelEngine::takesDelivery(ConsumerEntry &consumer, quint64 deliveryTag, bool isSkipped)
{
    const bool isEnding = consumer.isEnding();
    const bool wanted =
        consumer.context && (!isEnding || consumer.isDraining) && m_state != State::Closing && !isSkipped;
    if (m_deliveries.isRequeuing() && !consumer.noAck) { // the broker sends it again
        dropContent();
        return false;
    }
    if (wanted && !consumer.noAck && !m_deliveries.add(deliveryTag, &consumer)) {
        rejectTag(deliveryTag);
        return false;
    }
    if (wanted)
        return true;
    dropContent();
    if (consumer.noAck) {
        ++consumer.lost;
    } else {
        ++consumer.returned;
        if (!m_isCloseSent) // otherwise the broker requeues everything itself
            m_deliveries.returnUnwanted(deliveryTag);
    }
    return false;
}

void ChannelEngine::completeGet()
{
    const quint64 deliveryTag = m_assembler->method().deliveryTag;
    if (m_assembler->isSkipped()) {
        dropContent();
        if (!m_getNoAck && !m_deliveries.isRequeuing() && !m_isCloseSent)
            m_deliveries.returnUnwanted(deliveryTag);
        return;
    }
    if (!m_getNoAck && !m_deliveries.isRequeuing() && !m_deliveries.add(deliveryTag, nullptr))
        return rejectTag(deliveryTag);
    finish(std::exchange(m_getCall, 0), GotMessage{takeMessage(), m_assembler->method().messageCount});
}

void ChannelEngine::rejectTag(quint64 deliveryTag)
{
    dropContent();
    reportViolation(Wire::ReplyCode::CommandInvalid,
                    u"delivery tag %1 on channel %2 is not greater than the previous delivery tag"_s.arg(deliveryTag)
                        .arg(m_number));
}

void ChannelEngine::on(const Wire::BasicRecoverOk &method)
{
    finishSimple(method);
    m_deliveries.recoverDone(m_calls.awaits<Wire::BasicRecoverOk>());
}

} // namespace AmqpQt::Engine
