// SPDX-License-Identifier: MIT
#pragma once

#include "engine/channel/acks_p.h"
#include "engine/channel/channelcontext_p.h"
#include "engine/channel/consumertable_p.h"
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
        int count = 0;                      // deliveries; 0: not open, nothing is sent
        ConsumerClient *consumer = nullptr; // of the deliveries
    };

    Deliveries(ChannelContext &channel, ConsumerTable &consumers) noexcept
        : m_channel(channel)
        , m_consumers(consumers)
    {
    }

    // False once channel.close is sent, since the broker then requeues everything.
    bool isUnsettled(quint64 deliveryTag) const { return !m_channel.isCloseSent() && m_acks.isOpen(deliveryTag); }
    Settled ack(quint64 deliveryTag);
    Settled nack(quint64 deliveryTag, bool requeue);
    // Settles this delivery, which must be open, and all earlier open ones, in runs of one consumer. Empty: nothing is
    // sent.
    std::vector<Settled> ackUpTo(quint64 deliveryTag);
    std::vector<Settled> nackUpTo(quint64 deliveryTag, bool requeue);

    // A message has arrived that must be settled. False: the tag is not larger than the previous one.
    bool add(quint64 deliveryTag, ConsumerEntry *consumer) // null: by basic.get
    {
        if (!m_acks.delivered(deliveryTag, consumer))
            return false;
        if (consumer)
            ++consumer->unacked;
        return true;
    }
    void returnUnwanted(quint64 deliveryTag); // one that was not added
    void writeAcks();                         // those that are pending
    void flushAcks();                         // before the connection writes

    // basic.recover: unsettled deliveries go back to the queues, and so do those that arrive until recover-ok.
    void recoverSent();
    void recoverDone(bool isSentAgain) noexcept { m_isRequeuing = isSentAgain; }
    bool isRequeuing() const noexcept { return m_isRequeuing; }

    void startTransactions(); // transaction mode
    bool isTransacted() const noexcept { return m_transaction != nullptr; }
    // After tx.commit and tx.rollback nothing may follow before the reply, acks included.
    bool isTransactionEnding() const noexcept { return m_transaction && m_transaction->isEnding(); }
    void commitSent() { m_transaction->commitSent(); }
    void rollbackSent() { m_transaction->rollbackSent(); }
    void committed();
    void rolledBack();

    void clear(); // the channel has ended

private:
    Settled settled(std::span<const Acks::Entry> entries);
    Settled settled(const std::optional<Acks::Entry> &entry);
    void notePending();
    void writeNack(quint64 deliveryTag, bool multiple, bool requeue);

    ChannelContext &m_channel;
    ConsumerTable &m_consumers;
    Acks m_acks;
    std::unique_ptr<Transaction> m_transaction; // in transaction mode
    bool m_isRequeuing = false;
    bool m_isPendingNoted = false; // the connection knows that acks wait here
};

} // namespace AmqpQt::Engine
