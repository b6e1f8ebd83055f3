// SPDX-License-Identifier: MIT
#include "engine/channel/deliveries_p.h"

namespace AmqpQt::Engine
{

void Deliveries::notePending()
{
    if (!m_isPendingNoted) {
        m_isPendingNoted = true;
        m_channel.host().queueAcks(m_channel.shared_from_this());
    }
}

// Deliveries of one consumer.
Deliveries::Settled Deliveries::settled(std::span<const Acks::Entry> entries)
{
    ConsumerEntry *consumer = entries.front().consumer;
    if (m_transaction) {
        for (const Acks::Entry &entry : entries) {
            m_transaction->settled(
                {.deliveryTag = entry.deliveryTag,
                 .consumer = consumer ? consumer->shared_from_this() : std::shared_ptr<ConsumerEntry>()});
        }
    }
    const int count = int(entries.size());
    if (!consumer)
        return {count, nullptr};
    ConsumerClient *const client = consumer->client;
    m_channel.consumers().settled(*consumer, count);
    return {count, client};
}

Deliveries::Settled Deliveries::settled(const std::optional<Acks::Entry> &entry)
{
    return entry ? settled(std::span(&*entry, 1)) : Settled();
}

Deliveries::Settled Deliveries::ack(quint64 deliveryTag)
{
    const Acks::Entry *const acked = m_channel.isCloseSent() ? nullptr : m_acks.ack(deliveryTag);
    if (!acked)
        return {};
    notePending();
    return settled(std::span(acked, 1));
}

Deliveries::Settled Deliveries::nack(quint64 deliveryTag, bool requeue)
{
    if (!isUnsettled(deliveryTag))
        return {};
    writeAcks();
    writeNack(deliveryTag, false, requeue);
    return settled(m_acks.settle(deliveryTag));
}

std::vector<Deliveries::Settled> Deliveries::ackUpTo(quint64 deliveryTag)
{
    std::vector<Settled> all;
    if (!isUnsettled(deliveryTag))
        return all;
    m_acks.ackUpTo(deliveryTag, [&](std::span<const Acks::Entry> acked) { all.push_back(settled(acked)); });
    notePending();
    return all;
}

std::vector<Deliveries::Settled> Deliveries::nackUpTo(quint64 deliveryTag, bool requeue)
{
    std::vector<Settled> all;
    if (!isUnsettled(deliveryTag))
        return all;
    writeAcks();
    const std::vector<quint64> tags = m_acks.openUpTo(deliveryTag);
    if (m_channel.host().hasNack() && !isTransactionEnding()) {
        writeNack(deliveryTag, tags.size() > 1, requeue);
    } else {
        for (const quint64 tag : tags)
            writeNack(tag, false, requeue);
    }
    for (const quint64 tag : tags)
        all.push_back(settled(m_acks.settle(tag)));
    return all;
}

void Deliveries::flushAcks()
{
    m_isPendingNoted = false;
    writeAcks();
}

void Deliveries::writeAcks()
{
    if (!m_acks.hasPending() || isTransactionEnding())
        return;
    Acks::Frames frames;
    m_acks.takeFrames(frames);
    for (const Acks::Frame &frame : std::as_const(frames))
        m_channel.host().frames().send(m_channel.number(),
                                       Wire::BasicAck{.deliveryTag = frame.deliveryTag, .multiple = frame.multiple});
}

void Deliveries::writeNack(quint64 deliveryTag, bool multiple, bool requeue)
{
    ChannelHost &host = m_channel.host();
    if (isTransactionEnding())
        m_transaction->hold({deliveryTag, requeue}); // one by one, since earlier deliveries may be acked in between
    else if (host.hasNack())
        host.frames().send(m_channel.number(),
                           Wire::BasicNack{.deliveryTag = deliveryTag, .multiple = multiple, .requeue = requeue});
    else
        host.frames().send(m_channel.number(), Wire::BasicReject{.deliveryTag = deliveryTag, .requeue = requeue});
}

void Deliveries::returnUnwanted(quint64 deliveryTag)
{
    writeNack(deliveryTag, false, true);
    if (m_transaction)
        m_transaction->settled({.deliveryTag = deliveryTag, .isReturned = true});
}

// Deliveries settled in a transaction are not touched, since a rollback opens them again.
void Deliveries::recoverSent()
{
    m_isRequeuing = true;
    m_acks.abandon();
    m_channel.consumers().requeued();
}

void Deliveries::startTransactions()
{
    if (!m_transaction)
        m_transaction = std::make_unique<Transaction>();
}

void Deliveries::committed()
{
    for (const Transaction::Nack &nack : m_transaction->ended())
        writeNack(nack.deliveryTag, false, nack.requeue);
    if (m_acks.hasPending())
        notePending();
}

void Deliveries::rolledBack()
{
    for (const Transaction::Settlement &settlement : m_transaction->takeRolledBack()) {
        if (settlement.isReturned) {
            returnUnwanted(settlement.deliveryTag); // the nack is sent as soon as possible
            continue;
        }
        m_acks.reopen(settlement.deliveryTag, settlement.consumer.get());
        if (settlement.consumer)
            m_channel.consumers().reopened(settlement.consumer);
    }
    committed();
}

void Deliveries::clear()
{
    if (m_transaction)
        *m_transaction = {};
    m_isRequeuing = false;
    m_isPendingNoted = false;
    m_acks.clear();
}

} // namespace AmqpQt::Engine
