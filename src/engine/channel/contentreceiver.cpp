// SPDX-License-Identifier: MIT
#include "engine/channel/contentreceiver_p.h"

#include "base/logging_p.h"

#include <algorithm>
#include <utility>

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

qsizetype ContentReceiver::match(QByteArrayView consumerTag, QByteArrayView input, RepeatedDelivery &delivery)
{
    const bool isTried = m_channel.consumers().receiver(consumerTag) == delivery.consumer;
    return isTried ? 0 : matchLast(input, delivery);
}

Assembler &ContentReceiver::assembler()
{
    if (!m_assembler)
        m_assembler = std::make_unique<Assembler>();
    return *m_assembler;
}

void ContentReceiver::drop() noexcept
{
    if (m_assembler)
        m_assembler->reset();
}

void ContentReceiver::on(const Wire::BasicDeliver &method, QByteArrayView frame)
{
    ConsumerEntry *consumer = m_channel.consumers().receiver(method.consumerTag);
    if (!consumer && !m_channel.isCloseSent())
        consumer = m_subscriptions.rejectDelivery(method.consumerTag);
    assembler().begin({.kind = Assembler::Kind::Deliver,
                       .redelivered = method.redelivered,
                       .deliveryTag = method.deliveryTag,
                       .consumer = consumer},
                      method.exchange, method.routingKey);
    if (!consumer)
        return;
    if (!consumer->lastDelivery)
        consumer->lastDelivery = std::make_unique<DeliveryTemplate>();
    consumer->lastDelivery->method(frame);
}

void ContentReceiver::on(const Wire::BasicGetOk &method)
{
    const auto call = m_channel.callQueue().take<Wire::BasicGetOk>();
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

void ContentReceiver::on(const Wire::BasicGetEmpty &method)
{
    if (const auto call = m_channel.callQueue().take(Wire::BasicGetOk::id, method.name))
        m_channel.finish(call->id, QueueEmpty{});
}

void ContentReceiver::on(const Wire::BasicReturn &method)
{
    assembler().begin({.kind = Assembler::Kind::Return, .replyCode = method.replyCode}, method.exchange,
                      method.routingKey, method.replyText);
}

void ContentReceiver::onHeader(const Wire::ContentHeader &header, QByteArrayView frame)
{
    if (ConsumerEntry *consumer = m_assembler->method().consumer)
        consumer->lastDelivery->header(frame);
    const Settings &settings = m_channel.host().settings();
    // A returned message was published on this channel, so it may be as large as the write buffer allows.
    const qint64 limit = m_assembler->method().kind == Assembler::Kind::Return
                             ? std::max(settings.maximumMessageSize, settings.bufferLimit)
                             : settings.maximumMessageSize;
    if (header.bodySize <= quint64(limit))
        m_assembler->header(header);
    else
        skip(header.bodySize, u"a message of %1 bytes"_s.arg(header.bodySize), limit);
}

void ContentReceiver::skip(quint64 bodySize, const QString &what, qint64 limit)
{
    m_assembler->skip(bodySize);
    const Assembler::Kind kind = m_assembler->method().kind;
    if (m_channel.isCloseSent() && kind != Assembler::Kind::GetOk) // a call ends in any case
        return;
    const Error error(ErrorKind::MessageTooLarge,
                      u"%1 from exchange \"%2\" with routing key \"%3\" exceeds the maximum of %4 bytes"_s.arg(what)
                          .arg(QString::fromUtf8(m_assembler->exchange()), QString::fromUtf8(m_assembler->routingKey()))
                          .arg(limit),
                      Wire::ReplyCode::ContentTooLarge);
    switch (kind) {
    case Assembler::Kind::Deliver:
        // If the consumer stayed subscribed, it would get the same message again.
        m_subscriptions.cancelTooLarge(*m_assembler->method().consumer, error);
        break;
    case Assembler::Kind::GetOk:
        m_channel.finish(std::exchange(m_getCall, 0), error);
        break;
    case Assembler::Kind::Return:
        qCWarning(lcChannel) << "a returned message was dropped:" << error;
        break;
    }
}

ReceivedMessage ContentReceiver::takeMessage()
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

bool ContentReceiver::complete(Delivered &delivered)
{
    switch (m_assembler->method().kind) {
    case Assembler::Kind::Deliver:
        return completeDelivery(delivered);
    case Assembler::Kind::GetOk:
        completeGet();
        break;
    case Assembler::Kind::Return:
        if (m_assembler->isSkipped())
            drop();
        else
            completeReturn();
        break;
    }
    return false;
}

bool ContentReceiver::completeDelivery(Delivered &delivered)
{
    ConsumerEntry *const consumer = m_assembler->method().consumer;
    if (!consumer) { // on a closing channel
        drop();
        return false;
    }
    if (!accept(*consumer, m_assembler->method().deliveryTag, m_assembler->isSkipped()))
        return false;
    delivered.consumer = consumer;
    delivered.message = takeMessage();
    consumer->lastDelivery->delivered();
    return true;
}

bool ContentReceiver::accept(ConsumerEntry &consumer, quint64 deliveryTag, bool isSkipped)
{
    const bool isDraining = consumer.isDraining && consumer.state != ConsumerEntry::State::Gone;
    const bool wanted = consumer.client && (!consumer.isEnding() || isDraining) &&
                        m_channel.state() != ChannelContext::State::Closing && !isSkipped;
    if (wanted && consumer.noAck)
        return true;
    if (m_deliveries.isRequeuing() && !consumer.noAck) { // the broker sends it again
        drop();
        return false;
    }
    if (wanted && !m_deliveries.add(deliveryTag, &consumer)) {
        rejectTag(deliveryTag);
        return false;
    }
    if (wanted)
        return true;
    drop();
    if (consumer.noAck) {
        ++consumer.lost;
    } else {
        ++consumer.returned;
        if (!m_channel.isCloseSent()) // otherwise the broker requeues everything itself
            m_deliveries.returnUnwanted(deliveryTag);
    }
    return false;
}

void ContentReceiver::completeGet()
{
    const quint64 deliveryTag = m_assembler->method().deliveryTag;
    if (m_assembler->isSkipped()) {
        drop();
        if (!m_getNoAck && !m_deliveries.isRequeuing() && !m_channel.isCloseSent())
            m_deliveries.returnUnwanted(deliveryTag);
        return;
    }
    if (!m_getNoAck && !m_deliveries.isRequeuing() && !m_deliveries.add(deliveryTag, nullptr))
        return rejectTag(deliveryTag);
    m_channel.finish(std::exchange(m_getCall, 0), GotMessage{takeMessage(), m_assembler->method().messageCount});
}

void ContentReceiver::completeReturn()
{
    ReturnedMessage message{
        m_assembler->exchange().toByteArray(), m_assembler->routingKey().toByteArray(), m_assembler->properties(),
        QByteArray(),
        Error(ErrorKind::Returned,
              u"%1 (exchange \"%2\", routing key \"%3\")"_s.arg(QString::fromUtf8(m_assembler->replyText()),
                                                                QString::fromUtf8(m_assembler->exchange()),
                                                                QString::fromUtf8(m_assembler->routingKey())),
              m_assembler->method().replyCode, QString::fromLatin1(Wire::BasicReturn::name))};
    message.body = m_assembler->takeBody();
    m_publishing.returned(std::move(message));
}

void ContentReceiver::rejectTag(quint64 deliveryTag)
{
    drop();
    m_channel.reportViolation(
        Wire::ReplyCode::CommandInvalid,
        u"delivery tag %1 on channel %2 is not greater than the previous delivery tag"_s.arg(deliveryTag)
            .arg(m_channel.number()));
}

void ContentReceiver::end(const Error &callError)
{
    if (m_getCall)
        m_channel.finish(std::exchange(m_getCall, 0), callError);
    drop();
}

} // namespace AmqpQt::Engine
