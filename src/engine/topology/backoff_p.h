// SPDX-License-Identifier: MIT
#pragma once

#include "engine/time_p.h"

#include <optional>

namespace AmqpQt::Engine
{

// Decides how long to wait before each attempt to connect again. The upper limit of the delay grows by a factor from
// one attempt to the next, also over several outages, until a connection has lasted long enough to count as healthy.
// The delay is random below the limit (full jitter), so that many clients of a broker do not come back at once.
class Backoff
{
public:
    struct Limits {
        Milliseconds initialDelay{1'000};
        Milliseconds maximumDelay{30'000};
        double factor = 2.0;
    };
    static constexpr Milliseconds MinimumDelay{200};
    static constexpr Milliseconds HealthyTime{60'000};

    void setLimits(const Limits &limits); // for the next delay

    void connected(Time now);
    void lost(Time now); // an outage begins

    Milliseconds nextDelay(double random); // before the next attempt; `random` is at least 0 and less than 1
    int attempts() const noexcept { return m_attempts; } // of this outage, including the one that is waited for

private:
    Limits m_limits;
    double m_grown = 0; // the next upper limit in milliseconds; 0 for the initial delay
    int m_attempts = 0;
    std::optional<Time> m_connectedAt;
};

} // namespace AmqpQt::Engine
