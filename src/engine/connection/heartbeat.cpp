// SPDX-License-Identifier: MIT
#include "engine/connection/heartbeat_p.h"

#include <algorithm>

namespace AmqpQt::Engine
{

void Heartbeat::start(std::chrono::seconds interval, Time now) noexcept
{
    m_interval = interval;
    m_lastSent = m_lastReceived = now;
    m_secondChance = false;
}

std::optional<Time> Heartbeat::deadline() const noexcept
{
    if (!isRunning())
        return std::nullopt;
    return std::min(sendDeadline(), receiveDeadline());
}

Heartbeat::Verdict Heartbeat::tick(Time now, bool inputIsRead) noexcept
{
    if (!isRunning())
        return Verdict::Nothing;
    if (inputIsRead && now >= receiveDeadline()) {
        // A late timer means that the event loop was blocked, not that the peer is dead. The bytes of the peer may only
        // arrive now.
        const Milliseconds late = Milliseconds(m_interval) / 4;
        if (m_secondChance || now < receiveDeadline() + late)
            return Verdict::PeerIsDead;
        m_secondChance = true;
        m_graceEnd = now + late;
    }
    if (now >= sendDeadline()) {
        m_lastSent = now;
        return Verdict::SendHeartbeat;
    }
    return Verdict::Nothing;
}

} // namespace AmqpQt::Engine
