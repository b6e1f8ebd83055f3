// SPDX-License-Identifier: MIT
#pragma once

#include "engine/time_p.h"

namespace AmqpQt
{

// Finds out that the machine has slept: meanwhile the wall clock goes on, and the steady clock of some platforms does
// not. A user who sets the wall clock forward has the same effect.
class SleepDetector
{
public:
    using WallTime = std::chrono::system_clock::time_point;
    static constexpr std::chrono::seconds Interval{5}; // between two calls of hasSlept()
    static constexpr std::chrono::seconds ShortestSleep{5};

    void start(Engine::Time steady, WallTime wall) noexcept
    {
        m_steady = steady;
        m_wall = wall;
    }
    bool hasSlept(Engine::Time steady, WallTime wall) noexcept // since the previous call or start()
    {
        const bool result = (wall - m_wall) - (steady - m_steady) >= ShortestSleep;
        start(steady, wall);
        return result;
    }
    Engine::Time nextCheck() const noexcept { return m_steady + Interval; }

private:
    Engine::Time m_steady;
    WallTime m_wall;
};

} // namespace AmqpQt
