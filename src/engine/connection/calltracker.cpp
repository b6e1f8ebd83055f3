// SPDX-License-Identifier: MIT
#include "engine/connection/calltracker_p.h"

#include <utility>

namespace AmqpQt::Engine
{

void CallTracker::sent(const Call &call, qint64 end)
{
    m_outstanding.insert(call.id, call);
    if (m_timeout.count() > 0)
        m_deadlines.push_back({.id = call.id, .end = end, .at = {}});
}

void CallTracker::ended(CallId id)
{
    m_outstanding.remove(id);
    while (!m_deadlines.empty() && !m_outstanding.contains(m_deadlines.front().id))
        dropFirstDeadline();
}

void CallTracker::startTimes(qint64 position, Time now)
{
    for (; m_running < m_deadlines.size() && m_deadlines[m_running].end <= position; ++m_running)
        m_deadlines[m_running].at = clock(now) + m_timeout;
}

void CallTracker::clear()
{
    m_outstanding.clear();
    m_deadlines.clear();
    m_running = 0;
}

void CallTracker::pause(Time now)
{
    if (!m_pausedSince)
        m_pausedSince = now;
}

void CallTracker::resume(Time now)
{
    if (m_pausedSince)
        m_paused += now - *std::exchange(m_pausedSince, std::nullopt);
}

std::optional<Time> CallTracker::deadline() const
{
    if (m_pausedSince || m_running == 0)
        return std::nullopt;
    return m_deadlines.front().at + m_paused;
}

std::optional<CallTracker::Call> CallTracker::takeExpired(Time now)
{
    while (!m_pausedSince && m_running > 0 && m_deadlines.front().at <= clock(now)) {
        const CallId id = m_deadlines.front().id;
        dropFirstDeadline();
        if (const auto call = m_outstanding.constFind(id); call != m_outstanding.cend())
            return *call;
    }
    return std::nullopt;
}

void CallTracker::releaseIdleMemory()
{
    if (!m_outstanding.isEmpty())
        return;
    m_outstanding.squeeze();
    m_deadlines.shrink_to_fit();
}

void CallTracker::dropFirstDeadline()
{
    m_deadlines.pop_front();
    m_running -= m_running > 0;
}

} // namespace AmqpQt::Engine
