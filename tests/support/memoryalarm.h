// SPDX-License-Identifier: MIT
#pragma once

#include "support/brokerfixture.h"

#include <QtCore/qthread.h>

#include <utility>

namespace AmqpQt::Test
{

// Makes the broker raise a memory alarm until the end of the scope.
class MemoryAlarm
{
public:
    MemoryAlarm()
        : m_raised(
              brokerControl({QStringLiteral("-q"), QStringLiteral("set_vm_memory_high_watermark"), QStringLiteral("0")})
                  .exitCode == 0)
    {
        // The broker checks its memory some time after rabbitmqctl has returned.
        while (m_raised && !hasAlarm())
            QThread::msleep(100);
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
    static bool hasAlarm()
    {
        const auto alarms =
            brokerControl({QStringLiteral("-q"), QStringLiteral("eval"), QStringLiteral("rabbit_alarm:get_alarms().")});
        return alarms.exitCode != 0 || alarms.output.contains("memory"); // on a failure the test times out
    }

    bool m_raised;
};

} // namespace AmqpQt::Test
