// SPDX-License-Identifier: MIT
#include "engine/acks_p.h"

#include <algorithm>

namespace AmqpQt::Engine {

bool Acks::deliveredWithoutAck(quint64 deliveryTag)
{
    if (deliveryTag <= m_lastTag)
        return false;
    m_lastTag = deliveryTag;
    return true;
}

bool Acks::delivered(quint64 deliveryTag, ConsumerEntry *consumer)
{
    if (!deliveredWithoutAck(deliveryTag))
        return false;
    m_entries.push_back({deliveryTag, consumer, State::Open});
    ++m_open;
    return true;
}

Acks::Entry *Acks::find(quint64 deliveryTag)
{
    if (m_entries.empty() || deliveryTag < m_entries.front().deliveryTag || deliveryTag > m_entries.back().deliveryTag)
        return nullptr;
    // Without no-ack deliveries on the channel there are no gaps and the first guess hits.
    const quint64 guess = deliveryTag - m_entries.front().deliveryTag;
    if (guess < quint64(m_entries.size()) && m_entries[qsizetype(guess)].deliveryTag == deliveryTag)
        return &m_entries[qsizetype(guess)];
    const auto at = std::lower_bound(m_entries.begin(), m_entries.end(), deliveryTag,
                                     [](const Entry &entry, quint64 tag) { return entry.deliveryTag < tag; });
    return at->deliveryTag == deliveryTag ? &*at : nullptr;
}

bool Acks::isOpen(quint64 deliveryTag) const
{
    const Entry *entry = const_cast<Acks *>(this)->find(deliveryTag);
    return entry && entry->state == State::Open;
}

std::vector<quint64> Acks::openUpTo(quint64 deliveryTag) const
{
    std::vector<quint64> tags;
    for (const Entry &entry : m_entries) {
        if (entry.deliveryTag > deliveryTag)
            break;
        if (entry.state == State::Open)
            tags.push_back(entry.deliveryTag);
    }
    return tags;
}

Acks::Settled Acks::change(quint64 deliveryTag, State state)
{
    Entry *entry = find(deliveryTag);
    if (!entry || entry->state != State::Open)
        return {};
    entry->state = state;
    --m_open;
    return {true, entry->consumer};
}

Acks::Settled Acks::ack(quint64 deliveryTag)
{
    const Settled settled = change(deliveryTag, State::Acked);
    if (settled.ok) {
        ++m_pending;
        if (deliveryTag != m_entries.front().deliveryTag)
            m_outOfOrder.push_back(deliveryTag);
    }
    return settled;
}

Acks::Settled Acks::settle(quint64 deliveryTag)
{
    const Settled settled = change(deliveryTag, State::Settled);
    if (settled.ok) {
        ++m_settled;
        dropSettled();
    }
    return settled;
}

void Acks::dropSettled()
{
    for (; !m_entries.empty() && m_entries.front().state == State::Settled; --m_settled)
        m_entries.pop_front();
    // One delivery that stays open for long must not keep all that were settled behind it.
    constexpr qsizetype Tolerated = 256;
    if (m_settled > Tolerated && 2 * m_settled > m_entries.size()) {
        m_entries.removeIf([](const Entry &entry) { return entry.state == State::Settled; });
        m_settled = 0;
    }
}

void Acks::takeFrames(std::vector<Frame> &frames)
{
    if (m_pending == 0)
        return;
    quint64 lastOfRun = 0;
    qsizetype inRun = 0;
    while (!m_entries.empty() && m_entries.front().state != State::Open) {
        if (m_entries.front().state == State::Acked) {
            lastOfRun = m_entries.front().deliveryTag;
            ++inRun;
        } else {
            --m_settled;
        }
        m_entries.pop_front();
    }
    if (inRun > 0)
        frames.push_back({lastOfRun, inRun > 1});
    if (inRun < m_pending) {
        for (const quint64 tag : m_outOfOrder) {
            Entry *entry = find(tag);
            if (entry && entry->state == State::Acked) {
                frames.push_back({tag, false});
                entry->state = State::Settled;
                ++m_settled;
            }
        }
        dropSettled();
    }
    m_outOfOrder.clear();
    m_pending = 0;
}

void Acks::reopen(quint64 deliveryTag, ConsumerEntry *consumer)
{
    const auto at = std::lower_bound(m_entries.begin(), m_entries.end(), deliveryTag,
                                     [](const Entry &entry, quint64 tag) { return entry.deliveryTag < tag; });
    if (at != m_entries.end() && at->deliveryTag == deliveryTag) { // settled, and kept behind one that is open
        at->state = State::Open;
        --m_settled;
    } else {
        if (at == m_entries.begin() && !m_entries.isEmpty() && at->state == State::Acked)
            m_outOfOrder.push_back(at->deliveryTag); // no longer the lowest
        m_entries.insert(at, {deliveryTag, consumer, State::Open});
    }
    ++m_open;
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
    m_open = 0;
    m_settled = 0;
}

} // namespace AmqpQt::Engine
