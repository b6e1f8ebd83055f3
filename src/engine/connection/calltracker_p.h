// SPDX-License-Identifier: MIT
#pragma once

#include "engine/event_p.h"
#include "engine/time_p.h"

#include <QtCore/qlist.h>
#include <QtCore/qset.h>

#include <optional>

namespace AmqpQt::Engine
{

// Numbers the calls of a connection, remembers sent calls until they are answered, and finds those that timed out. The
// timeout of a call starts when its last byte has left, since the peer cannot have seen the call earlier, and pauses
// while the peer blocks the connection. Positions are counted in bytes of the output, as in OutputBuffer.
class CallTracker
{
public:
    struct Call {
        CallId id = 0;
        ChannelEngine *owner = nullptr; // null if the connection itself made the call, on channel 0
        const char *method = nullptr;   // its name
    };

    void setTimeout(Milliseconds timeout) noexcept
    {
        m_timeout = timeout;
    } // 0 means none; applies to calls sent from now on
    Milliseconds timeout() const noexcept { return m_timeout; }

    CallId nextId() noexcept { return ++m_lastId; }
    void sent(const Call &call, qint64 end); // `end` is the position after the call
    void ended(CallId id);                   // the call was answered or given up; 0 and unknown calls are ignored
    void left(qint64 position, Time now)     // everything before this position has left
    {
        if (m_running < m_timed.size())
            startTimes(position, now);
    }
    void clear(); // the connection has ended
    qsizetype outstanding() const noexcept { return m_outstanding.size(); }

    void pause(Time now); // the peer blocks the connection
    void resume(Time now);

    std::optional<Time> deadline() const;      // the deadline of the first call; unset while paused
    std::optional<Call> takeExpired(Time now); // the call stays outstanding until ended()

    void releaseIdleMemory();

private:
    struct Timed : Call {
        qint64 end = 0; // the position after the call
        Time at;        // the deadline, once the call has left
    };

    Time clock(Time now) const { return m_pausedSince.value_or(now) - m_paused; }
    void startTimes(qint64 position, Time now);
    void dropFirst();

    Milliseconds m_timeout{0};
    CallId m_lastId = 0;
    QSet<CallId> m_outstanding;
    // Calls with their deadlines as clock() measures time; ascending, since all calls have the same timeout. Calls that
    // have ended stay until they are the first.
    QList<Timed> m_timed;
    qsizetype m_running = 0; // the number of calls, from the first on, that have left
    std::optional<Time> m_pausedSince;
    Time::duration m_paused{}; // the total time before m_pausedSince
};

} // namespace AmqpQt::Engine
