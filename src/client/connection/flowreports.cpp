// SPDX-License-Identifier: MIT
#include "client/connection/flowreports_p.h"

#include "client/channel/channel_p.h"
#include "client/connection/connection_p.h"

#include <utility>

namespace AmqpQt
{

FlowReports::FlowReports(ConnectionPrivate &connection)
    : m_connection(connection)
{
}

void FlowReports::setBlocked(bool blocked, const QString &reason)
{
    m_isBlocked = blocked;
    m_blockedReason = reason;
    Connection *const q = m_connection.q;
    m_connection.dispatcher.defer(q, [q, blocked, reason] { Q_EMIT q->blockedChanged(blocked, reason); });
    m_connection.calm.noteText();
    if (!m_isBufferFull)
        m_connection.dispatcher.defer(q, [q, blocked] { Q_EMIT q->writableChanged(!blocked); });
    reportToChannels();
}

void FlowReports::setWritable(bool writable)
{
    m_isBufferFull = !writable;
    Connection *const q = m_connection.q;
    if (!m_isBlocked)
        m_connection.dispatcher.defer(q, [q, writable] { Q_EMIT q->writableChanged(writable); });
    reportToChannels();
}

void FlowReports::reportBytesToWrite()
{
    Connection *const q = m_connection.q;
    const double bytes = double(q->bytesToWrite());
    if (std::exchange(m_bytesToWrite, bytes) != bytes)
        m_connection.dispatcher.defer(q, [q, bytes] { Q_EMIT q->bytesToWriteChanged(bytes); });
}

void FlowReports::reportToChannels()
{
    for (ChannelPrivate *channel : m_connection.channels.all()) {
        if (channel->engine && !channel->isInternal)
            channel->flow.report();
    }
}

} // namespace AmqpQt
