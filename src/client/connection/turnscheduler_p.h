// SPDX-License-Identifier: MIT
#pragma once

#include "engine/time_p.h"

#include <QtCore/qabstracteventdispatcher.h>
#include <QtCore/qbasictimer.h>
#include <QtCore/qobject.h>
#include <QtCore/qpointer.h>

#include <optional>

namespace AmqpQt
{

// The owner of a TurnScheduler.
class TurnTaker
{
public:
    // Either function may delete the scheduler.
    virtual void takeTurn() = 0;
    virtual void deadlineReached() = 0; // may be called before the time of setDeadline()

protected:
    ~TurnTaker() = default;
};

// Decides when a connection takes its next turn, in which it reads, dispatches and writes.
//
//   state        members                   the next turn starts                 entered by
//   idle         -                         once something schedules it          beginTurn(), endTurn()
//   posted       m_isPosted                with an event posted to this object  schedule()
//   due          m_isDue                   at the next awake() or               scheduleInLoop(), when there is traffic
//                                          aboutToBlock() of m_watchedLoop
//   continued    m_continuation is active  with a timer of 0 ms; earlier turns  continueLater(), when a turn has
//                                          only notify and write                used up its time
//
// schedule() and scheduleInLoop() have no effect while a turn is posted or due. `continued` may coincide with either,
// since a slot may publish in between. If the object moves to another thread, due becomes posted.
//
// The other members only qualify these states. m_watchedLoop is set from the first scheduleInLoop() until
// stopWatching(); its signals have no effect unless a turn is due. m_depth counts the dispatch loops on the stack, one
// for each nested event loop in a slot. A nested one dispatches even while `continued`, since the application waits in
// it for events. m_slice numbers the spans of dispatching without a return to the event loop. m_deadlineTimer and
// m_deadline are independent of turns: the earliest time at which deadlineReached() is needed.
class TurnScheduler final : public QObject
{
public:
    TurnScheduler(TurnTaker *taker, QObject *parent);

    bool isScheduled() const noexcept { return m_isPosted || m_isDue; }
    void schedule()
    {
        if (!isScheduled())
            post();
    }
    // The turn starts as soon as the event loop, this one or a nested one, has handled its pending events. So it is not
    // on the stack of the socket, and avoids the cost of posting an event: two system calls and another pass of the
    // loop.
    void scheduleInLoop()
    {
        if (!isScheduled())
            markDue();
    }
    // Called after a dispatch loop that has used up its time. Uses a timer because GLib's event dispatcher lets other
    // timers run only every second time between events that are posted again and again.
    void continueLater() { m_continuation.start(0, this); }

    void beginTurn() noexcept { m_isDue = false; }
    bool mayDispatch() const noexcept { return m_depth > 0 || !m_continuation.isActive(); }
    void enterDispatch() noexcept { ++m_depth; }
    void leaveDispatch() noexcept { --m_depth; }
    void beginSlice() noexcept { ++m_slice; }
    quint32 slice() const noexcept { return m_slice; }
    void endTurn(bool hasWork);

    // Returns whether the timer was set. A timer that fires earlier is kept, and then fires without effect.
    bool setDeadline(std::optional<Engine::Time> deadline, Engine::Time now);
    bool isWatching() const noexcept { return m_watchedLoop; }
    void stopWatching(); // an idle connection then costs nothing in each pass of the loop

protected:
    bool event(QEvent *event) override;
    void timerEvent(QTimerEvent *event) override;

private:
    void post();
    void markDue();
    void watchLoop();

    TurnTaker *const m_taker;
    bool m_isPosted = false;
    bool m_isDue = false;
    QBasicTimer m_continuation;
    QPointer<QAbstractEventDispatcher> m_watchedLoop;
    int m_depth = 0;
    quint32 m_slice = 0;
    QBasicTimer m_deadlineTimer;
    std::optional<Engine::Time> m_deadline; // the deadline of the running timer
};

} // namespace AmqpQt
