// SPDX-License-Identifier: MIT
#pragma once

#include "client/channel/confirmreplies_p.h"

#include <memory>
#include <utility>

namespace AmqpQt
{

class ChannelPrivate;

// Counts the messages of a channel whose outcome has not been reported to the application, and has the replies that
// wait for it.
class ChannelConfirms
{
public:
    explicit ChannelConfirms(ChannelPrivate &channel)
        : m_channel(channel)
    {
    }

    void selected() noexcept { m_first = m_last + 1; } // the channel has entered confirm mode
    void published(quint64 sequence, bool isConfirmed)
    {
        m_last = sequence;
        if (isConfirmed)
            addToCount(1);
    }
    void publishesEnded(quint64 first, quint64 last, const Error &failure); // called before the signals are emitted
    void fail(const Error &reason);                                         // no further outcomes will arrive

    int count() const noexcept { return m_count; }
    void reportCount(); // emits a change

    Reply<void> whenConfirmed(quint64 sequence);
    Reply<void> whenAllConfirmed(); // those that have been published

private:
    void addToCount(int messages)
    {
        m_count += messages;
        if (!std::exchange(m_isChangeNoted, true))
            noteChange();
    }
    void noteChange();
    ConfirmReplies &replies();

    ChannelPrivate &m_channel;
    quint64 m_first = 0; // the first sequence number in confirm mode
    quint64 m_last = 0;
    int m_count = 0;
    int m_reportedCount = 0;
    bool m_isChangeNoted = false;
    // There may be thousands of channels, so this member, which most of them never use, is created on demand.
    std::unique_ptr<ConfirmReplies> m_replies;
};

} // namespace AmqpQt
