// SPDX-License-Identifier: MIT
#pragma once

#include "engine/connection/channelids_p.h"

#include <AmqpQt/error.h>

#include <QtCore/qhash.h>

#include <vector>

namespace AmqpQt::Engine
{

class ChannelEngine;

// The use of the channel numbers of a connection. A number is free again once no channel has it and the broker owes no
// close-ok for it.
//
//   channel  awaitsCloseOk  closedByPeer
//   no       no             no            free, or closed by channel.close of the broker and free
//   yes      no             no            has a channel, open on the broker or not
//   no       yes            no            the channel was released; all frames are skipped until channel.close-ok
//   no       yes            yes           the same, and the channel.close of both sides crossed
//   any      no             yes           RabbitMQ may send deliveries, or another channel.close, after its
//                                         channel.close, so all frames are skipped until a new channel with this number
//                                         gets the answer to channel.open
//
// While the channels are held after a loss, one of them may lend its number to the channel of the replay. The slot is
// that of the borrower then, until this channel has ended and the number no longer awaits close-ok.
class ChannelTable
{
public:
    struct Slot {
        ChannelEngine *channel = nullptr;
        bool awaitsCloseOk = false;
        bool closedByPeer = false;
    };

    void setLimit(quint16 limit) noexcept { m_ids.setLimit(limit); } // 0 means 65535
    quint16 limit() const noexcept { return m_ids.limit(); }
    bool isPossible(quint16 number) const noexcept { return number > 0 && number <= limit(); }

    quint16 add(ChannelEngine *channel);              // uses the smallest free number; returns 0 if none is free
    bool add(quint16 number, ChannelEngine *channel); // returns false if the number is not free or beyond the limit
    void setChannel(quint16 number, ChannelEngine *channel) { m_slots[number].channel = channel; }
    void release(quint16 number, const ChannelEngine *channel);   // called for a channel that was never opened
    void opened() noexcept { ++m_openCount; }                     // called when a channel uses its number
    void closed(quint16 number, bool awaitsCloseOk);              // called when a channel no longer uses its number
    void ended(const ChannelEngine &channel, bool awaitsCloseOk); // the same, also if it has lent its number

    // Makes a number free if there is none, for the channel that is created or opened next. It is that of a channel
    // that is not open on the broker yet, and returns to this channel when the borrower no longer uses it. Only one
    // number is lent at a time.
    void lendNumber();
    bool isLent(quint16 number) const noexcept { return number != 0 && number == m_lentNumber; }
    bool hasLentNumber() const noexcept { return m_lentNumber != 0; }
    ChannelEngine *owner(quint16 number) const // the lender of a number that is lent, and otherwise its channel
    {
        return isLent(number) && m_lender ? m_lender : channel(number);
    }

    Slot slot(quint16 number) const { return number < m_slots.size() ? m_slots[number] : Slot(); }
    ChannelEngine *channel(quint16 number) const { return slot(number).channel; }
    void setClosedByPeer(quint16 number, bool closed) { m_slots[number].closedByPeer = closed; }
    int openCount() const noexcept { return m_openCount; } // includes numbers that await close-ok

    void closeAll(const Error &callError); // on an open connection; ends those that are held before they were sent
    void releaseHeld();                    // the operations that the channels hold
    void renameQueues(const QHash<QString, QString> &newNames);
    void endAll(const Error &callError, const Error &reason); // also forgets the close-oks that the broker owes
    // The same; `refusal` as in ChannelEngine::suspend().
    void suspendAll(const Error &callError, const Error &refusal);
    void endBeyondLimit(); // the channels whose numbers exceed the limit

private:
    void occupy(quint16 number, ChannelEngine *channel);
    void release(quint16 number);

    ChannelIds m_ids;
    std::vector<Slot> m_slots; // by number
    int m_openCount = 0;
    quint16 m_lentNumber = 0;
    ChannelEngine *m_lender = nullptr; // null if it has ended meanwhile
};

} // namespace AmqpQt::Engine
