// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qtimer.h>

#include <utility>

namespace AmqpQt
{

// Limits how often a model changes. It calls a function at most once per interval, and only after a call of schedule().
class UpdateTimer
{
public:
    static constexpr int DefaultInterval = 50; // ms

    template <typename Function>
    UpdateTimer(QObject *model, Function update)
        : m_timer(model) // a child, so that it moves to another thread with the model
    {
        m_timer.setSingleShot(true);
        m_timer.setInterval(DefaultInterval);
        QObject::connect(&m_timer, &QTimer::timeout, model, std::move(update));
    }

    int interval() const { return m_timer.interval(); }
    // Applies to pending updates too. Returns whether this is another interval.
    bool setInterval(int milliseconds)
    {
        if (milliseconds == interval())
            return false;
        m_timer.setInterval(milliseconds);
        return true;
    }

    void schedule()
    {
        if (!m_timer.isActive())
            m_timer.start();
    }
    void cancel() { m_timer.stop(); }

private:
    QTimer m_timer;
};

} // namespace AmqpQt
