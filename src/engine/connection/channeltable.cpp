// SPDX-License-Identifier: MIT
#include "engine/connection/channeltable_p.h"

namespace AmqpQt::Engine
{

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

void ChannelTable::release(quint16 number)
{
    m_slots[number].channel = nullptr;
    m_ids.release(number);
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

} // namespace AmqpQt::Engine
