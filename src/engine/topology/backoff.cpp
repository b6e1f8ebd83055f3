// SPDX-License-Identifier: MIT
#include "engine/topology/backoff_p.h"

#include <algorithm>

namespace AmqpQt::Engine
{

void Backoff::setLimits(const Limits &limits)
{
    m_limits = limits;
}

void Backoff::connected(Time now)
{
    m_connectedAt = now;
}

void Backoff::lost(Time now)
{
    if (m_connectedAt && now - *m_connectedAt >= HealthyTime)
        m_grown = 0;
    m_connectedAt.reset();
    m_attempts = 0;
}

Milliseconds Backoff::nextDelay(double random)
{
    const double minimum = double(MinimumDelay.count());
    const double maximum = double(m_limits.maximumDelay.count());
    const double limit = std::min(std::max(m_grown, double(m_limits.initialDelay.count())), maximum);
    m_grown = std::min(limit * m_limits.factor, maximum);
    ++m_attempts;
    return Milliseconds(Milliseconds::rep(minimum + std::clamp(random, 0.0, 1.0) * std::max(limit - minimum, 0.0)));
}

} // namespace AmqpQt::Engine
