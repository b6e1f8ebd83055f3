// SPDX-License-Identifier: MIT
#pragma once

#include "engine/event_p.h"

#include <QtCore/qlist.h>

#include <utility>
#include <vector>

namespace AmqpQt::Engine
{

// The events of a connection that the client has not taken yet.
class EventQueue
{
public:
    bool isEmpty() const noexcept { return m_events.isEmpty(); }
    void post(Event event) { m_events.append(std::move(event)); }
    Event takeFirst() { return m_events.takeFirst(); }
    // The replies to calls of one channel, ahead of everything else.
    std::vector<ReplyArrived> takeReplies(const ChannelEngine *channel)
    {
        std::vector<ReplyArrived> replies;
        auto end = m_events.begin(); // of the events that stay
        for (auto it = m_events.begin(); it != m_events.end(); ++it) {
            auto *reply = std::get_if<ReplyArrived>(&*it);
            if (reply && reply->channel == channel) {
                replies.push_back(std::move(*reply));
            } else {
                if (it != end)
                    *end = std::move(*it);
                ++end;
            }
        }
        m_events.erase(end, m_events.end());
        return replies;
    }
    void releaseIdleMemory()
    {
        if (m_events.isEmpty())
            m_events = {};
    }

private:
    QList<Event> m_events; // which uses no memory while it is empty, unlike std::deque
};

} // namespace AmqpQt::Engine
