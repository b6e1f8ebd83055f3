// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qglobal.h>

#include <set>

namespace AmqpQt::Engine
{

// Assigns channel numbers, the smallest free number first.
class ChannelIds
{
public:
    void setLimit(quint16 limit) noexcept { m_limit = limit; } // 0 means 65535
    quint16 limit() const noexcept { return m_limit ? m_limit : 65535; }

    bool hasFree() const { return m_next <= limit() || (!m_released.empty() && *m_released.begin() <= limit()); }
    quint16 acquire();            // 0 if none is free
    bool acquire(quint16 number); // false if the number is not free or beyond the limit
    void release(quint16 number);

private:
    // Numbers from m_next on were never used; lower ones are in use unless listed as released.
    std::set<quint16> m_released;
    quint32 m_next = 1;
    quint16 m_limit = 0;
};

} // namespace AmqpQt::Engine
