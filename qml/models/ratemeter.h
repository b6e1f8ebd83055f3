// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qelapsedtimer.h>

#include <deque>
#include <utility>

namespace AmqpQt
{

// Measures how fast a counter grew during the last second. It must be called every RateMeter::Interval.
class RateMeter
{
public:
    static constexpr int Interval = 250; // ms

    void start(double total)
    {
        m_clock.start();
        m_samples = {{0, total}};
    }
    double rate(double total)
    {
        m_samples.emplace_back(m_clock.elapsed(), total);
        if (m_samples.size() > 1000 / Interval + 1)
            m_samples.pop_front();
        const auto [time, count] = m_samples.front();
        const qint64 elapsed = m_samples.back().first - time;
        return elapsed > 0 ? (total - count) * 1000 / double(elapsed) : 0;
    }
    void stop() { m_samples.clear(); }

private:
    QElapsedTimer m_clock;
    std::deque<std::pair<qint64, double>> m_samples; // ms, total
};

} // namespace AmqpQt
