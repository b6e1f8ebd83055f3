// SPDX-License-Identifier: MIT
#pragma once

#include "engine/time_p.h"

#include <optional>

namespace AmqpQt::Engine
{

// Heartbeats in both directions (AMQP 0-9-1 section 4.2.7). A heartbeat is due when no bytes have reached the kernel
// for half the interval; the peer is considered dead when nothing has arrived for two intervals.
class Heartbeat
{
public:
    void start(std::chrono::seconds interval, Time now) noexcept; // 0 disables heartbeats
    void stop() noexcept { m_interval = std::chrono::seconds(0); }
    bool isRunning() const noexcept { return m_interval.count() > 0; }
    std::chrono::seconds interval() const noexcept { return m_interval; }

    void sent(Time now) noexcept { m_lastSent = now; }
    void received(Time now) noexcept
    {
        m_lastReceived = now;
        m_secondChance = false;
    }

    std::optional<Time> deadline() const noexcept;

    enum class Verdict { Nothing, SendHeartbeat, PeerIsDead };
    Verdict tick(Time now, bool inputIsRead = true) noexcept; // false if input of the peer is still unread

private:
    Time sendDeadline() const noexcept { return m_lastSent + Milliseconds(m_interval) / 2; }
    Time receiveDeadline() const noexcept { return m_secondChance ? m_graceEnd : m_lastReceived + 2 * m_interval; }

    std::chrono::seconds m_interval{0};
    Time m_lastSent;
    Time m_lastReceived;
    Time m_graceEnd;
    bool m_secondChance = false;
};

} // namespace AmqpQt::Engine
