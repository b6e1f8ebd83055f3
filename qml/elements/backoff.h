// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qbasictimer.h>
#include <QtCore/qelapsedtimer.h>
#include <QtCore/qrandom.h>

#include <algorithm>

namespace AmqpQt
{

// Schedules retries after failures. The first retry is immediate, the next follows after 0.5 s at most, and the delay
// doubles up to half a minute. The delays vary, so that several programs do not act in step.
class Backoff
{
public:
    void start(QObject *object)
    {
        constexpr int First = 500, Last = 30'000, Health = 60'000;
        if (m_sinceSuccess.isValid() && m_sinceSuccess.elapsed() > Health)
            m_delay = 0;
        m_sinceSuccess.invalidate();
        m_timer.start(m_delay == 0 ? 0 : m_delay / 2 + QRandomGenerator::global()->bounded(m_delay / 2), object);
        m_delay = std::clamp(2 * m_delay, First, Last);
    }
    void succeeded()
    {
        m_timer.stop();
        m_sinceSuccess.start();
    }
    void stop() { m_timer.stop(); }
    void reset()
    {
        m_timer.stop();
        m_delay = 0;
    }
    bool isActive() const { return m_timer.isActive(); }

private:
    QBasicTimer m_timer;
    QElapsedTimer m_sinceSuccess;
    int m_delay = 0;
};

} // namespace AmqpQt
