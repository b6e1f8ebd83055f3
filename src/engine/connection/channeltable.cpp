// SPDX-License-Identifier: MIT
#include "engine/connection/channeltable_p.h"

#include "engine/channel/channelengine_p.h"

#include <algorithm>
#include <utility>

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

quint16 ChannelTable::add(ChannelEngine *channel)
{
    const quint16 number = m_ids.acquire();
    if (number != 0)
        occupy(number, channel);
    return number;
}

bool ChannelTable::add(quint16 number, ChannelEngine *channel)
{
    if (!m_ids.acquire(number))
        return false;
    occupy(number, channel);
    return true;
}

void ChannelTable::occupy(quint16 number, ChannelEngine *channel)
{
    if (number >= m_slots.size())
        m_slots.resize(number + 1u);
    m_slots[number].channel = channel;
}

void ChannelTable::release(quint16 number, const ChannelEngine *channel)
{
    if (this->channel(number) == channel) // otherwise another channel has the number by now
        release(number);
}

void ChannelTable::release(quint16 number)
{
    if (isLent(number)) {
        m_lentNumber = 0;
        m_slots[number].channel = std::exchange(m_lender, nullptr);
        if (m_slots[number].channel)
            return;
    }
    m_slots[number].channel = nullptr;
    m_ids.release(number);
}

void ChannelTable::lendNumber()
{
    if (m_ids.hasFree() || hasLentNumber())
        return;
    for (size_t number = std::min<size_t>(limit(), m_slots.size() - 1); number > 0; --number) {
        ChannelEngine *const channel = m_slots[number].channel;
        if (!channel || channel->state() == ChannelEngine::State::Closed || channel->isOnWire())
            continue;
        m_lender = std::exchange(m_slots[number].channel, nullptr);
        m_lentNumber = quint16(number);
        m_ids.release(m_lentNumber);
        return;
    }
}

void ChannelTable::closed(quint16 number, bool awaitsCloseOk)
{
    Slot &slot = m_slots[number];
    slot.channel = nullptr;
    slot.awaitsCloseOk = awaitsCloseOk;
    if (awaitsCloseOk)
        return;
    release(number);
    --m_openCount;
}

void ChannelTable::ended(const ChannelEngine &channel, bool awaitsCloseOk)
{
    if (&channel != m_lender)
        return closed(channel.number(), awaitsCloseOk);
    m_lender = nullptr;
    --m_openCount;
}

// Below, a channel that ends may remove itself and others from the table, and the table may grow.

void ChannelTable::closeAll(const Error &callError)
{
    if (m_lender)
        m_lender->end(callError, {}, false);
    for (size_t number = 1; number < m_slots.size(); ++number) {
        ChannelEngine *channel = m_slots[number].channel;
        if (!channel || channel->state() == ChannelEngine::State::Closed)
            continue;
        if (!channel->isOnWire() && !channel->canSend())
            channel->end(callError, {}, false);
        else if (channel->acceptsCalls())
            channel->close();
    }
}

void ChannelTable::releaseHeld()
{
    for (size_t number = 1; number < m_slots.size(); ++number) {
        if (ChannelEngine *channel = m_slots[number].channel)
            channel->releaseHeld();
    }
}

void ChannelTable::renameQueues(const QHash<QString, QString> &newNames)
{
    for (size_t number = 1; number < m_slots.size(); ++number) {
        if (ChannelEngine *channel = owner(quint16(number)))
            channel->renameQueues(newNames);
    }
}

void ChannelTable::endAll(const Error &callError, const Error &reason)
{
    if (m_lender)
        m_lender->end(callError, reason, false);
    for (size_t number = 1; number < m_slots.size(); ++number) {
        const Slot slot = m_slots[number];
        if (slot.channel && slot.channel->state() != ChannelEngine::State::Closed)
            slot.channel->end(callError, reason, false);
        else if (slot.awaitsCloseOk)
            closed(quint16(number), false);
        m_slots[number].closedByPeer = false;
    }
}

void ChannelTable::suspendAll(const Error &callError, const Error &refusal)
{
    if (m_lender)
        m_lender->suspend(callError, refusal);
    for (size_t number = 1; number < m_slots.size(); ++number) {
        const Slot slot = m_slots[number];
        if (slot.channel && slot.channel->state() != ChannelEngine::State::Closed)
            slot.channel->suspend(callError, refusal);
        else if (slot.awaitsCloseOk)
            closed(quint16(number), false);
        m_slots[number].closedByPeer = false;
    }
}

void ChannelTable::endBeyondLimit()
{
    for (size_t index = limit() + 1u; index < m_slots.size(); ++index) {
        const quint16 number = quint16(index);
        ChannelEngine *channel = m_slots[number].channel;
        if (channel && channel->state() == ChannelEngine::State::Closed) {
            release(number); // the channel was never opened, so open() takes another number
        } else if (channel) {
            const Error error(ErrorKind::InvalidArgument,
                              u"channel number %1 exceeds the negotiated channel-max of %2"_s.arg(number).arg(limit()));
            channel->end(error, error, false);
        }
    }
}

} // namespace AmqpQt::Engine
