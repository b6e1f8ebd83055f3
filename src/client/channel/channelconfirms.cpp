// SPDX-License-Identifier: MIT
#include "client/channel/channelconfirms_p.h"

#include "client/channel/channel_p.h"

#include <algorithm>
#include <utility>

namespace AmqpQt
{

void ChannelConfirms::publishesEnded(quint64 first, quint64 last, const Error &failure)
{
    if (m_first == 0 || last < m_first)
        return;
    first = std::max(first, m_first); // before, there was no confirm mode
    addToCount(-int(last - first + 1));
    if (m_replies)
        m_replies->publishesEnded(first, last, failure, m_channel.connection->dispatcher);
}

void ChannelConfirms::fail(const Error &reason)
{
    if (m_replies)
        m_replies->fail(reason);
}

void ChannelConfirms::noteChange()
{
    m_channel.connection->dispatcher.noteUnconfirmedChange(&m_channel);
}

void ChannelConfirms::reportCount()
{
    m_isChangeNoted = false;
    if (std::exchange(m_reportedCount, m_count) != m_count)
        Q_EMIT m_channel.q->unconfirmedCountChanged(m_count);
}

Reply<void> ChannelConfirms::whenConfirmed(quint64 sequence)
{
    return replies().whenConfirmed(sequence);
}

Reply<void> ChannelConfirms::whenAllConfirmed()
{
    if (m_count == 0)
        return Promise<void>::finished({});
    return replies().whenAllConfirmed(m_last, m_count);
}

ConfirmReplies &ChannelConfirms::replies()
{
    if (!m_replies)
        m_replies = std::make_unique<ConfirmReplies>();
    return *m_replies;
}

} // namespace AmqpQt
