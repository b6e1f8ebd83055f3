// SPDX-License-Identifier: MIT
#pragma once

#include "engine/event_p.h"

#include <deque>
#include <utility>
#include <vector>

namespace AmqpQt::Engine
{

// The events of a connection that the client has not taken yet.
class EventQueue
{
public:
    bool isEmpty() const noexcept { return m_events.empty(); }
    void post(Event event) { m_events.push_back(std::move(event)); }
    Event takeFirst()
    {
        Event event = std::move(m_events.front());
        m_events.pop_front();
        return event;
    }
    // The replies to calls of one channel, ahead of everything else.
    std::vector<ReplyArrived> takeReplies(const ChannelEngine *channel)
    {
        std::vector<ReplyArrived> replies;
        std::erase_if(m_events, [&](Event &event) {
            auto *reply = std::get_if<ReplyArrived>(&event);
            if (!reply || reply->channel != channel)
                return false;
            replies.push_back(std::move(*reply));
            return true;
        });
        return replies;
    }

private:
    std::deque<Event> m_events;
};

} // namespace AmqpQt::Engine
