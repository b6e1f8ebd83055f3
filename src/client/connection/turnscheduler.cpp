// SPDX-License-Identifier: MIT
#include "client/connection/turnscheduler_p.h"

#include <QtCore/qcoreapplication.h>
#include <QtCore/qcoreevent.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace AmqpQt
{

static constexpr auto TurnEvent = QEvent::User;

TurnScheduler::TurnScheduler(TurnTaker *taker, QObject *parent)
    : QObject(parent) // a child, so that it moves to another thread as well
    , m_taker(taker)
{
}

void TurnScheduler::post()
{
    m_isPosted = true;
    QCoreApplication::postEvent(this, new QEvent(TurnEvent));
}

void TurnScheduler::markDue()
{
#ifdef Q_OS_WIN // whose own modal loops, as while a window is moved, do not emit these signals
    post();
#else
    m_isDue = true;
    if (!m_watchedLoop)
        watchLoop();
#endif
}

void TurnScheduler::watchLoop()
{
    m_watchedLoop = QAbstractEventDispatcher::instance();
    connect(m_watchedLoop, &QAbstractEventDispatcher::awake, this, [this] {
        if (m_isDue)
            m_taker->takeTurn();
    });
    // In case awake() precedes the events, or a slot runs a nested loop.
    connect(m_watchedLoop, &QAbstractEventDispatcher::aboutToBlock, this, [this] {
        if (m_isDue) {
            m_watchedLoop->wakeUp(); // code that waits for an effect of a slot checks again
            m_taker->takeTurn();
        }
    });
}

void TurnScheduler::stopWatching()
{
    if (m_watchedLoop)
        disconnect(std::exchange(m_watchedLoop, nullptr), nullptr, this, nullptr);
}

void TurnScheduler::endTurn(bool hasWork)
{
    m_isDue = false;
    if (hasWork && !m_continuation.isActive())
        schedule();
}

bool TurnScheduler::setDeadline(std::optional<Engine::Time> deadline, Engine::Time now)
{
    if (!deadline) {
        m_deadlineTimer.stop();
        m_deadline.reset();
        return false;
    }
    if (m_deadline && *deadline >= *m_deadline)
        return false;
    using std::chrono::milliseconds;
    const auto left = std::chrono::ceil<milliseconds>(*deadline - now);
    m_deadlineTimer.start(int(std::clamp<qint64>(left.count(), 0, std::numeric_limits<int>::max())), Qt::PreciseTimer,
                          this);
    m_deadline = deadline;
    return true;
}

bool TurnScheduler::event(QEvent *event)
{
    if (event->type() == TurnEvent) {
        m_isPosted = false;
        m_taker->takeTurn();
        return true;
    }
    if (event->type() == QEvent::ThreadChange) {
        stopWatching();
        if (std::exchange(m_isDue, false))
            schedule();
    }
    return QObject::event(event);
}

void TurnScheduler::timerEvent(QTimerEvent *event)
{
    if (event->timerId() == m_continuation.timerId()) {
        m_continuation.stop();
        return m_taker->takeTurn();
    }
    m_deadlineTimer.stop();
    m_deadline.reset();
    m_taker->deadlineReached();
}

} // namespace AmqpQt
