// SPDX-License-Identifier: MIT
#pragma once

#include "support/brokerfixture.h"

#include <utility>

namespace AmqpQt::Test
{

// Lets the broker think that it is out of memory, until the end of the scope.
class MemoryAlarm
{
public:
    MemoryAlarm()
        : m_raised(
              brokerControl({QStringLiteral("-q"), QStringLiteral("set_vm_memory_high_watermark"), QStringLiteral("0")})
                  .exitCode == 0)
    {
    }
    ~MemoryAlarm() { clear(); }
    MemoryAlarm(const MemoryAlarm &) = delete;
    MemoryAlarm &operator=(const MemoryAlarm &) = delete;
    bool isRaised() const { return m_raised; }
    void clear()
    {
        if (std::exchange(m_raised, false))
            brokerControl({QStringLiteral("-q"), QStringLiteral("set_vm_memory_high_watermark"),
                           QStringLiteral("absolute"), QStringLiteral("2GB")});
    }

private:
    bool m_raised;
};

} // namespace AmqpQt::Test
