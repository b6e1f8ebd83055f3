// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/channel.h>

namespace AmqpQt
{

class ChannelPrivate;

// Reports to the application whether it may publish on a channel. It keeps the last reported state; the engine may be
// ahead of it.
class ChannelFlowReports
{
public:
    explicit ChannelFlowReports(ChannelPrivate &channel)
        : m_channel(channel)
    {
    }

    void setFlow(bool active); // channel.flow
    void setConfirmWindowFull(bool full);
    void report();       // called after the state of the channel, or the flow of its connection, has changed
    void channelEnded(); // forgets the state of the channel; a call of report() follows

private:
    ChannelPrivate &m_channel;
    BackpressureReasons m_reasons;
    bool m_isWritable = false;
    bool m_isFlowStopped = false;
    bool m_isWindowFull = false;
};

} // namespace AmqpQt
