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

// The unsettled deliveries of one channel, in the order of their tags. Acks gather here and leave merged: a contiguous
// run from the lowest unacked tag is one basic.ack(multiple); settled means acked *and written*, which is why the tag
// named in `multiple` is always one that the broker still counts as unacked.
class Acks
{
public:
    enum class State : quint8 { Open, Acked, Settled };
    struct Entry {
        quint64 deliveryTag = 0;
        ConsumerEntry *consumer = nullptr;
        State state = State::Open;
    };
    struct Frame // one basic.ack
    {
        quint64 deliveryTag = 0;
        bool multiple = false;
    };

    using Frames = QVarLengthArray<Frame, 16>;

    // Only what is to be settled comes here: RabbitMQ does not count the deliveries of direct reply-to, so their tags
    // repeat. False if the tag does not grow. Two open deliveries with the same tag could not be distinguished.
    bool delivered(quint64 deliveryTag, ConsumerEntry *consumer);

    bool isOpen(quint64 deliveryTag) const;
    std::optional<Entry> ack(quint64 deliveryTag); // written by takeFrames(); none: it is not open (any more)
    // All open ones up to and including this one, which is open: settled(std::span<const Entry>) for each run of them
    // that are the same consumer's, in order.
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
            m_open -= qsizetype(run.size());
            m_pending += qsizetype(run.size());
            settled(run);
            while (entry != end && entry->state != State::Open)
                ++entry;
        }
        m_closed = entry - m_entries.data();
    }
    std::optional<Entry> settle(quint64 deliveryTag); // the caller writes the basic.nack or basic.reject itself
    bool hasPending() const noexcept { return m_pending > 0; }
    qsizetype openCount() const noexcept { return m_open; }
    qsizetype entryCount() const noexcept { return m_entries.size(); }

    void reopen(quint64 deliveryTag, ConsumerEntry *consumer); // it was settled, and tx.rollback took that back
    void abandon();                                            // nothing is open any more; the numbers go on

    std::vector<quint64> openUpTo(quint64 deliveryTag) const; // all open tags up to and including this one

    // What has to be written so that no ack is pending any more.
    void takeFrames(Frames &frames);
    void clear();

private:
    qsizetype indexOf(quint64 deliveryTag) const; // -1: it is not here
    std::optional<Entry> change(qsizetype index, State state);
    void countClosed()
    {
        while (m_closed < m_entries.size() && m_entries.at(m_closed).state != State::Open)
            ++m_closed;
    }
    void dropSettled();

    QList<Entry> m_entries;            // ascending tags; the first one is not Settled
    qsizetype m_closed = 0;            // entries before the first one that is open
    std::vector<quint64> m_outOfOrder; // acked while a lower tag was open
    quint64 m_lastTag = 0;             // of a delivery that was to be settled
    qsizetype m_pending = 0;
    qsizetype m_open = 0;
    qsizetype m_settled = 0; // entries in the state Settled, behind one that is open
};

} // namespace AmqpQt::Engine
