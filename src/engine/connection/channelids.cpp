// SPDX-License-Identifier: MIT
#include "engine/connection/channelids_p.h"

namespace AmqpQt::Engine
{

quint16 ChannelIds::acquire()
{
    if (!m_released.empty() && *m_released.begin() <= limit())
        return m_released.extract(m_released.begin()).value();
    return m_next <= limit() ? quint16(m_next++) : 0;
}

bool ChannelIds::acquire(quint16 number)
{
    if (number == 0 || number > limit())
        return false;
    if (number < m_next)
        return m_released.erase(number) > 0;
    while (m_next < number)
        m_released.insert(quint16(m_next++));
    ++m_next;
    return true;
}

void ChannelIds::release(quint16 number)
{
    Q_ASSERT(number > 0 && number < m_next && !m_released.contains(number));
    m_released.insert(number);
}

} // namespace AmqpQt::Engine
