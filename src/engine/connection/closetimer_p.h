// SPDX-License-Identifier: MIT
#pragma once

#include "engine/time_p.h"
#include "wire/frame_p.h"

#include <algorithm>
#include <optional>
#include <utility>

namespace AmqpQt::Engine
{

// Limits how long closing the connection may take. Any progress extends the time: an answer, or bytes that leave,
// except those of a heartbeat. Positions are counted as in OutputBuffer.
class CloseTimer
{
public:
    void reset() noexcept { *this = {}; }
    void start(Time now, Milliseconds timeout)
    {
        m_timeout = timeout;
        m_deadline = now + timeout;
    }
    void stop() noexcept { m_deadline.reset(); }
    void progress(Time now)
    {
        if (m_deadline)
            m_deadline = std::max(*m_deadline, now + m_timeout);
    }
    void heartbeatQueued(qint64 end) noexcept { m_heartbeatEnd = end; } // the heartbeat ends at this position
    void left(qint64 position, Time now)                                // everything before this position has left
    {
        const qint64 before = std::exchange(m_left, position);
        const bool isHeartbeat = before >= m_heartbeatEnd - Wire::FrameOverhead && position <= m_heartbeatEnd;
        if (position > before && !isHeartbeat)
            progress(now);
    }
    std::optional<Time> deadline() const noexcept { return m_deadline; }

private:
    Milliseconds m_timeout{0};
    std::optional<Time> m_deadline;
    qint64 m_left = 0;
    qint64 m_heartbeatEnd = 0;
};

} // namespace AmqpQt::Engine
