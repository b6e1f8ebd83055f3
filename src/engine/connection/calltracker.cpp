// SPDX-License-Identifier: MIT
#include "engine/connection/calltracker_p.h"

#include <utility>

namespace AmqpQt::Engine
{

void CallTracker::sent(const Call &call, qint64 end)
{
    m_outstanding.insert(call.id);
    if (m_timeout.count() > 0)
        m_timed.append({call, end, {}});
}

void CallTracker::ended(CallId id)
{
    m_outstanding.remove(id);
    while (!m_timed.isEmpty() && !m_outstanding.contains(m_timed.constFirst().id))
        dropFirst();
}

void CallTracker::startTimes(qint64 position, Time now)
{
    for (; m_running < m_timed.size() && m_timed[m_running].end <= position; ++m_running)
        m_timed[m_running].at = clock(now) + m_timeout;
}

void CallTracker::clear()
{
    m_outstanding.clear();
    m_timed.clear();
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
    return m_timed.constFirst().at + m_paused;
}

std::optional<CallTracker::Call> CallTracker::takeExpired(Time now)
{
    while (!m_pausedSince && m_running > 0 && m_timed.constFirst().at <= clock(now)) {
        const Call call = m_timed.constFirst();
        dropFirst();
        if (m_outstanding.contains(call.id))
            return call;
    }
    return std::nullopt;
}

void CallTracker::releaseIdleMemory()
{
    if (!m_outstanding.isEmpty())
        return;
    m_outstanding = {};
    m_timed = {};
}

void CallTracker::dropFirst()
{
    m_timed.removeFirst();
    m_running -= m_running > 0;
}

} // namespace AmqpQt::Engine
