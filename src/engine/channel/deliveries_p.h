// SPDX-License-Identifier: MIT
#pragma once

#include "engine/channel/acks_p.h"
#include "engine/channel/channelcontext_p.h"
#include "engine/channel/transaction_p.h"

#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace AmqpQt::Engine
{

// Settles the deliveries of a channel, and writes the methods for it.
class Deliveries
{
public:
    struct Settled {
        int count = 0;                      // 0 if the delivery is not open, and nothing is sent
        ConsumerClient *consumer = nullptr; // of the deliveries
    };

    explicit Deliveries(ChannelContext &channel) noexcept
        : m_channel(channel)
    {
    }

    // False once channel.close is sent, since the broker then requeues everything.
    bool isUnsettled(quint64 deliveryTag) const { return !m_channel.isCloseSent() && m_acks.isOpen(deliveryTag); }
    Settled ack(quint64 deliveryTag);
    Settled nack(quint64 deliveryTag, bool requeue);
    // Settles this delivery, which must be open, and all earlier open ones, in runs of one consumer. Returns an
    // empty list if nothing is sent.
    std::vector<Settled> ackUpTo(quint64 deliveryTag);
    std::vector<Settled> nackUpTo(quint64 deliveryTag, bool requeue);

    // Records a delivery that must be settled. Returns false if the tag is not larger than the previous one.
    bool add(quint64 deliveryTag, ConsumerEntry *consumer) // null for basic.get
    {
        if (!m_acks.delivered(deliveryTag, consumer))
            return false;
        if (consumer)
            ++consumer->unacked;
        return true;
    }
    void returnUnwanted(quint64 deliveryTag); // called for a delivery that was not added
    void writeAcks();                         // writes the pending acks
    void flushAcks();                         // called before the connection writes

    // After basic.recover, unsettled deliveries go back to the queues, and so do deliveries that arrive before
    // recover-ok.
    void recoverSent();
    void recoverDone(bool isSentAgain) noexcept { m_isRequeuing = isSentAgain; }
    bool isRequeuing() const noexcept { return m_isRequeuing; }

    void startTransactions(); // transaction mode
    bool isTransacted() const noexcept { return m_transaction != nullptr; }
    // After tx.commit and tx.rollback nothing may follow before the reply, not even acks.
    bool isTransactionEnding() const noexcept { return m_transaction && m_transaction->isEnding(); }
    // `lastPublish` is the number of the last message that was sent on the channel.
    void commitSent(quint64 lastPublish) { m_transaction->commitSent(lastPublish); }
    void rollbackSent(quint64 lastPublish) { m_transaction->rollbackSent(lastPublish); }
    void transactionsSelected(quint64 lastPublish) { m_transaction->restart(lastPublish); } // tx.select is sent
    bool isTransactionEmpty(quint64 lastPublish) const { return !m_transaction || m_transaction->isEmpty(lastPublish); }
    void committed();
    void rolledBack();

    void clear(); // the channel has ended

private:
    Settled settled(std::span<const Acks::Entry> entries);
    Settled settled(const std::optional<Acks::Entry> &entry);
    void notePending();
    void writeNack(quint64 deliveryTag, bool multiple, bool requeue);

    ChannelContext &m_channel;
    Acks m_acks;
    std::unique_ptr<Transaction> m_transaction; // set in transaction mode
    bool m_isRequeuing = false;
    bool m_isPendingNoted = false; // whether the connection has noted that acks are pending
};

} // namespace AmqpQt::Engine
