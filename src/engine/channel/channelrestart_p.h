// SPDX-License-Identifier: MIT
#pragma once

#include "engine/channel/channelcontext_p.h"
#include "engine/channel/subscriptions_p.h"
#include "engine/channel/topologycalls_p.h"

#include <vector>

namespace AmqpQt::Engine
{

// Makes the calls that open a channel again on the next connection, after the loss of the current one.
class ChannelRestart
{
public:
    ChannelRestart(ChannelContext &channel, const TopologyCalls &topology, Subscriptions &subscriptions)
        : m_channel(channel)
        , m_topology(topology)
        , m_subscriptions(subscriptions)
    {
    }

    // Ends the call because of which the broker has closed the connection, which it would close again otherwise. It is
    // the first unanswered one of its method.
    void endRefusedCall(const Error &refusal);
    // Returns channel.open, the calls that restore mode and prefetch, and the repeated ones, among them the
    // basic.consume of each consumer, in the order in which they were first made.
    std::vector<ChannelCall> calls(std::vector<ChannelCall> repeated);

private:
    void prepare(ChannelCall &consume);

    ChannelContext &m_channel;
    const TopologyCalls &m_topology;
    Subscriptions &m_subscriptions;
};

} // namespace AmqpQt::Engine
