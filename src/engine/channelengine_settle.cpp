// SPDX-License-Identifier: MIT

// The part of ChannelEngine that settles deliveries.

#include "engine/channelcalls_p.h"

#include <algorithm>

namespace AmqpQt::Engine
{

void ChannelEngine::noteAcks()
{
    if (!m_acksNoted) {
        m_acksNoted = true;
        m_host.queueAcks(shared_from_this());
    }
}

// Deliveries of one consumer.
ChannelEngine::Settled ChannelEngine::countSettled(std::span<const Acks::Entry> settled)
{
    ConsumerEntry *consumer = settled.front().consumer;
    if (m_mode == Mode::Transaction) {
        for (const Acks::Entry &entry : settled) {
            m_transaction->settled.push_back(
                {.deliveryTag = entry.deliveryTag,
                 .consumer = consumer ? consumer->shared_from_this() : std::shared_ptr<ConsumerEntry>()});
        }
    }
    const int count = int(settled.size());
    if (!consumer)
        return {count, nullptr};
    void *const consumerContext = consumer->context;
    m_consumers.settled(*consumer, count);
    return {count, consumerContext};
}

ChannelEngine::Settled ChannelEngine::countSettled(const std::optional<Acks::Entry> &settled)
{
    return settled ? countSettled(std::span(&*settled, 1)) : Settled();
}

ChannelEngine::Settled ChannelEngine::ack(quint64 deliveryTag)
{
    const Acks::Entry *const acked = m_isCloseSent ? nullptr : m_acks.ack(deliveryTag);
    if (!acked)
        return {};
    noteAcks();
    return countSettled(std::span(acked, 1));
}

ChannelEngine::Settled ChannelEngine::nack(quint64 deliveryTag, bool requeue)
{
    if (!isUnsettled(deliveryTag))
        return {};
    writeAcks();
    writeNack(deliveryTag, false, requeue);
    return countSettled(m_acks.settle(deliveryTag));
}

std::vector<ChannelEngine::Settled> ChannelEngine::ackUpTo(quint64 deliveryTag)
{
    std::vector<Settled> all;
    if (!isUnsettled(deliveryTag))
        return all;
    m_acks.ackUpTo(deliveryTag, [&](std::span<const Acks::Entry> acked) { all.push_back(countSettled(acked)); });
    noteAcks();
    return all;
}

std::vector<ChannelEngine::Settled> ChannelEngine::nackUpTo(quint64 deliveryTag, bool requeue)
{
    std::vector<Settled> all;
    if (!isUnsettled(deliveryTag))
        return all;
    writeAcks();
    const std::vector<quint64> tags = m_acks.openUpTo(deliveryTag);
    if (m_host.hasNack() && !m_transactionEnding) {
        writeNack(deliveryTag, tags.size() > 1, requeue);
    } else {
        for (const quint64 tag : tags)
            writeNack(tag, false, requeue);
    }
    for (const quint64 tag : tags)
        all.push_back(countSettled(m_acks.settle(tag)));
    return all;
}

void ChannelEngine::flushAcks()
{
    m_acksNoted = false;
    writeAcks();
}

void ChannelEngine::writeAcks()
{
    if (!m_acks.hasPending() || m_transactionEnding)
        return;
    Acks::Frames frames;
    m_acks.takeFrames(frames);
    for (const Acks::Frame &frame : std::as_const(frames))
        m_host.frames().send(m_number, Wire::BasicAck{.deliveryTag = frame.deliveryTag, .multiple = frame.multiple});
}

void ChannelEngine::writeNack(quint64 deliveryTag, bool multiple, bool requeue)
{
    if (m_transactionEnding)
        m_transaction->heldNacks.push_back({deliveryTag, requeue}); // one by one, earlier ones may be acked meanwhile
    else if (m_host.hasNack())
        m_host.frames().send(m_number,
                             Wire::BasicNack{.deliveryTag = deliveryTag, .multiple = multiple, .requeue = requeue});
    else
        m_host.frames().send(m_number, Wire::BasicReject{.deliveryTag = deliveryTag, .requeue = requeue});
}

void ChannelEngine::returnUnwanted(quint64 deliveryTag)
{
    writeNack(deliveryTag, false, true);
    if (m_mode == Mode::Transaction)
        m_transaction->settled.push_back({.deliveryTag = deliveryTag, .isReturned = true});
}

Result<CallId> ChannelEngine::redeliverUnacked()
{
    if (!acceptsCalls())
        return notOpen(Wire::BasicRecover::name);
    return call(Wire::BasicRecover{.requeue = true});
}

// Unsettled deliveries go back to the queues, and so do those that arrive until recover-ok. Deliveries settled in a
// transaction are not touched, since a rollback reopens them.
void ChannelEngine::abandonDeliveries()
{
    m_redelivering = true;
    m_acks.abandon();
    m_consumers.requeued();
}

void ChannelEngine::on(const Wire::BasicRecoverOk &method)
{
    finishSimple(method);
    m_redelivering = std::any_of(m_calls.cbegin(), m_calls.cend(),
                                 [](const SentCall &call) { return call.reply == Wire::BasicRecoverOk::id.value(); });
}

} // namespace AmqpQt::Engine
