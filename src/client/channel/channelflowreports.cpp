// SPDX-License-Identifier: MIT
#include "client/channel/channelflowreports_p.h"

#include "client/channel/channel_p.h"

#include <utility>

namespace AmqpQt
{

void ChannelFlowReports::setFlow(bool active)
{
    m_isFlowStopped = !active;
    report();
}

void ChannelFlowReports::setConfirmWindowFull(bool full)
{
    m_isWindowFull = full;
    report();
}

void ChannelFlowReports::channelEnded()
{
    m_isFlowStopped = false;
    m_isWindowFull = false;
}

void ChannelFlowReports::report()
{
    const ConnectionPrivate *connection = m_channel.connection;
    BackpressureReasons reasons;
    reasons.setFlag(BackpressureReason::BrokerBlocked, connection && connection->flow.isBlocked());
    reasons.setFlag(BackpressureReason::WriteBufferFull, connection && connection->flow.isBufferFull());
    reasons.setFlag(BackpressureReason::ChannelFlow, m_isFlowStopped);
    reasons.setFlag(BackpressureReason::ConfirmWindowFull, m_isWindowFull);
    const bool isWritable = m_channel.state == Channel::State::Open && !reasons;
    Channel *const q = m_channel.q;
    if (std::exchange(m_reasons, reasons) != reasons)
        m_channel.defer(q, [q, reasons] { Q_EMIT q->backpressureChanged(reasons); });
    if (std::exchange(m_isWritable, isWritable) != isWritable)
        m_channel.defer(q, [q, isWritable] { Q_EMIT q->writableChanged(isWritable); });
}

} // namespace AmqpQt
