// SPDX-License-Identifier: MIT
#include "engine/channel/acks_p.h"

#include <algorithm>

namespace AmqpQt::Engine
{

qsizetype Acks::indexOf(quint64 deliveryTag) const
{
    if (m_entries.isEmpty())
        return -1;
    // Without other deliveries on the channel there are no gaps and the first guess hits.
    const quint64 guess = deliveryTag - m_entries.constFirst().deliveryTag;
    if (guess < quint64(m_entries.size()) && m_entries.at(qsizetype(guess)).deliveryTag == deliveryTag)
        return qsizetype(guess);
    const auto at = std::lower_bound(m_entries.cbegin(), m_entries.cend(), deliveryTag,
                                     [](const Entry &entry, quint64 tag) { return entry.deliveryTag < tag; });
    return at != m_entries.cend() && at->deliveryTag == deliveryTag ? at - m_entries.cbegin() : -1;
}

bool Acks::isOpen(quint64 deliveryTag) const
{
    const qsizetype index = indexOf(deliveryTag);
    return index >= 0 && m_entries.at(index).state == State::Open;
}

std::vector<quint64> Acks::openUpTo(quint64 deliveryTag) const
{
    std::vector<quint64> tags;
    for (qsizetype index = m_closed; index < m_entries.size() && m_entries.at(index).deliveryTag <= deliveryTag;
         ++index) {
        if (m_entries.at(index).state == State::Open)
            tags.push_back(m_entries.at(index).deliveryTag);
    }
    return tags;
}

Acks::Entry *Acks::change(qsizetype index, State state)
{
    if (index < 0 || m_entries.at(index).state != State::Open)
        return nullptr;
    Entry *const entry = m_entries.data() + index;
    entry->state = state;
    if (index == m_closed)
        countClosed();
    return entry;
}

const Acks::Entry *Acks::ack(quint64 deliveryTag)
{
    const qsizetype index = indexOf(deliveryTag);
    const Entry *const acked = change(index, State::Acked);
    if (acked) {
        ++m_pending;
        if (index >= m_closed)
            m_outOfOrder.push_back(deliveryTag);
        checkInvariants();
    }
    return acked;
}

std::optional<Acks::Entry> Acks::settle(quint64 deliveryTag)
{
    const Entry *const entry = change(indexOf(deliveryTag), State::Settled);
    if (!entry)
        return std::nullopt;
    const Entry settled = *entry;
    ++m_settled;
    dropSettled();
    checkInvariants();
    return settled;
}

void Acks::dropSettled()
{
    for (; !m_entries.empty() && m_entries.constFirst().state == State::Settled; --m_settled, --m_closed)
        m_entries.pop_front();
    // A delivery that stays open for a long time must not keep all settled deliveries after it in memory.
    constexpr qsizetype Tolerated = 256;
    if (m_settled > Tolerated && 2 * m_settled > m_entries.size()) {
        m_entries.removeIf([](const Entry &entry) { return entry.state == State::Settled; });
        m_settled = 0;
        m_closed = 0;
        countClosed();
    }
}

void Acks::takeFrames(Frames &frames)
{
    if (m_pending == 0)
        return;
    quint64 lastOfRun = 0;
    qsizetype inRun = 0;
    if (m_closed > 0 && m_settled == 0) { // usually, all closed entries are acked
        lastOfRun = m_entries.at(m_closed - 1).deliveryTag;
        inRun = m_closed;
    } else {
        for (qsizetype index = 0; index < m_closed; ++index) {
            if (m_entries.at(index).state == State::Acked) {
                lastOfRun = m_entries.at(index).deliveryTag;
                ++inRun;
            } else {
                --m_settled;
            }
        }
    }
    m_entries.remove(0, m_closed);
    m_closed = 0;
    if (inRun > 0)
        frames.push_back({lastOfRun, inRun > 1});
    if (inRun < m_pending) {
        for (const quint64 tag : m_outOfOrder) {
            const qsizetype index = indexOf(tag);
            if (index >= 0 && m_entries.at(index).state == State::Acked) {
                frames.push_back({tag, false});
                m_entries[index].state = State::Settled;
                ++m_settled;
            }
        }
        dropSettled();
    }
    m_outOfOrder.clear();
    m_pending = 0;
    checkInvariants();
}

void Acks::reopen(quint64 deliveryTag, ConsumerEntry *consumer)
{
    const auto at = std::lower_bound(m_entries.cbegin(), m_entries.cend(), deliveryTag,
                                     [](const Entry &entry, quint64 tag) { return entry.deliveryTag < tag; });
    const qsizetype index = at - m_entries.cbegin();
    if (at != m_entries.cend() && at->deliveryTag == deliveryTag) { // settled, but kept after an open delivery
        m_entries[index].state = State::Open;
        --m_settled;
    } else {
        m_entries.insert(index, {deliveryTag, consumer, State::Open});
        m_closed += index < m_closed;
    }
    for (; m_closed > index; --m_closed) { // these now follow an open delivery
        if (m_entries.at(m_closed - 1).state == State::Acked)
            m_outOfOrder.push_back(m_entries.at(m_closed - 1).deliveryTag);
    }
    checkInvariants();
}

void Acks::clear()
{
    abandon();
    m_outOfOrder.shrink_to_fit();
    m_lastTag = 0;
}

void Acks::abandon()
{
    m_entries.clear();
    m_outOfOrder.clear();
    m_pending = 0;
    m_closed = 0;
    m_settled = 0;
}

#ifndef QT_NO_DEBUG
void Acks::checkInvariants() const
{
    constexpr qsizetype Largest = 256; // with more entries, a check after each change would take too long
    if (m_entries.size() > Largest)
        return;
    const auto count = [this](State state) {
        return std::count_if(m_entries.cbegin(), m_entries.cend(),
                             [state](const Entry &entry) { return entry.state == state; });
    };
    const auto isOpen = [](const Entry &entry) { return entry.state == State::Open; };
    Q_ASSERT(std::adjacent_find(m_entries.cbegin(), m_entries.cend(), [](const Entry &one, const Entry &next) {
                 return one.deliveryTag >= next.deliveryTag;
             }) == m_entries.cend());
    Q_ASSERT(m_entries.isEmpty() || m_entries.constLast().deliveryTag <= m_lastTag);
    Q_ASSERT(m_entries.isEmpty() || m_entries.constFirst().state != State::Settled);
    Q_ASSERT(m_closed == std::find_if(m_entries.cbegin(), m_entries.cend(), isOpen) - m_entries.cbegin());
    Q_ASSERT(m_pending == count(State::Acked));
    Q_ASSERT(m_settled == count(State::Settled));
    Q_ASSERT(std::all_of(m_entries.cbegin() + m_closed, m_entries.cend(), [this](const Entry &entry) {
        return entry.state != State::Acked ||
               std::find(m_outOfOrder.cbegin(), m_outOfOrder.cend(), entry.deliveryTag) != m_outOfOrder.cend();
    }));
}
#endif

} // namespace AmqpQt::Engine
