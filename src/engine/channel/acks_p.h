// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qlist.h>
#include <QtCore/qvarlengtharray.h>

#include <optional>
#include <span>
#include <vector>

namespace AmqpQt::Engine
{

struct ConsumerEntry;

// The unsettled deliveries of one channel, in the order of their tags. Acks are collected and merged here: a contiguous
// run from the lowest unacked tag becomes one basic.ack(multiple). Settled means acked *and written*, so the tag named
// in `multiple` is always one that the broker still counts as unacked.
class Acks
{
public:
    enum class State : quint8 { Open, Acked, Settled };
    struct Entry {
        quint64 deliveryTag = 0;
        ConsumerEntry *consumer = nullptr;
        State state = State::Open;
    };
    struct Frame // the fields of one basic.ack
    {
        quint64 deliveryTag = 0;
        bool multiple = false;
    };

    using Frames = QVarLengthArray<Frame, 16>;

    // Called only for deliveries that need settling, since RabbitMQ does not count the deliveries of direct reply-to,
    // whose tags repeat. Returns false if the tag does not grow, since open deliveries with the same tag cannot be
    // distinguished.
    bool delivered(quint64 deliveryTag, ConsumerEntry *consumer)
    {
        if (deliveryTag <= m_lastTag)
            return false;
        m_lastTag = deliveryTag;
        m_entries.push_back({deliveryTag, consumer, State::Open});
        checkInvariants();
        return true;
    }

    bool isOpen(quint64 deliveryTag) const;
    // The ack is written by takeFrames(). Returns null if the tag is not open; otherwise the entry is valid until the
    // next change.
    const Entry *ack(quint64 deliveryTag);
    // Acks all open deliveries up to and including this one, which must be open. Calls settled(std::span<const Entry>)
    // for each run of deliveries of the same consumer, in order.
    template <typename Function>
    void ackUpTo(quint64 deliveryTag, Function settled)
    {
        Entry *entry = m_entries.data() + m_closed; // open
        Entry *const end = m_entries.data() + m_entries.size();
        while (entry != end && entry->deliveryTag <= deliveryTag) {
            Entry *const first = entry;
            for (; entry != end && entry->deliveryTag <= deliveryTag && entry->state == State::Open &&
                   entry->consumer == first->consumer;
                 ++entry)
                entry->state = State::Acked;
            const std::span<const Entry> run(first, entry);
            m_pending += qsizetype(run.size());
            settled(run);
            while (entry != end && entry->state != State::Open)
                ++entry;
        }
        m_closed = entry - m_entries.data();
        checkInvariants();
    }
    std::optional<Entry> settle(quint64 deliveryTag); // the caller writes the basic.nack or basic.reject itself
    bool hasPending() const noexcept { return m_pending > 0; }
    qsizetype entryCount() const noexcept { return m_entries.size(); }

    void reopen(quint64 deliveryTag, ConsumerEntry *consumer); // tx.rollback undid its settlement
    void abandon();                                            // drops all open deliveries; the tags continue

    std::vector<quint64> openUpTo(quint64 deliveryTag) const; // all open tags up to and including this one

    // The frames to write so that no ack is pending.
    void takeFrames(Frames &frames);
    void clear();

private:
    qsizetype indexOf(quint64 deliveryTag) const; // -1 if not found
    Entry *change(qsizetype index, State state);  // null if it is not open
    void countClosed()
    {
        while (m_closed < m_entries.size() && m_entries.at(m_closed).state != State::Open)
            ++m_closed;
    }
    void dropSettled();
#ifdef QT_NO_DEBUG
    void checkInvariants() const noexcept {}
#else
    void checkInvariants() const; // after each change
#endif

    // The effect of each operation on the entries and the counters. Afterwards m_closed moves past the entries
    // that are not Open, and Settled entries before it are dropped.
    //
    //                 entries                        m_pending  m_settled  m_closed      m_outOfOrder
    //   delivered     new one, Open                  .          .          .             .
    //   ack           Open -> Acked                  +1         .          moves on      + tag, if behind an Open one
    //   settle        Open -> Settled                .          +1         moves on      .
    //   takeFrames    drops those before m_closed,   0          counts     0             emptied
    //                 the other Acked -> Settled
    //   reopen        new or Settled -> Open         .          -1 if old  to its index  + tags of Acked ones behind it
    //   abandon       drops all                      0          0          0             emptied
    //   clear         as abandon, m_lastTag = 0
    QList<Entry> m_entries;            // ascending tags; the first one is not Settled
    quint64 m_lastTag = 0;             // of the last delivery; not less than the last entry's
    qsizetype m_closed = 0;            // entries before the first one that is Open
    qsizetype m_pending = 0;           // entries that are Acked
    qsizetype m_settled = 0;           // entries that are Settled
    std::vector<quint64> m_outOfOrder; // contains the tags of all Acked entries behind an Open one, and maybe others
};

} // namespace AmqpQt::Engine
