// SPDX-License-Identifier: MIT
#pragma once

#include "engine/connection/restoration_p.h"
#include "engine/settings_p.h"

#include <AmqpQt/error.h>

#include <QtCore/qhash.h>
#include <QtCore/qstring.h>

#include <memory>
#include <vector>

namespace AmqpQt::Engine
{

class ChannelEngine;
class ChannelTable;

// Decides whether the channels of a connection may send, and whether they survive its loss. Channels that survive are
// suspended, and send again on the next connection.
class ChannelGate
{
public:
    ChannelGate(ChannelTable &channels, EventQueue &events)
        : m_channels(channels)
        , m_events(events)
    {
    }

    bool isOpen() const noexcept { return m_isOpen; } // methods can be sent on channels
    // The broker has answered connection.open. Channels may still be held, see Settings::holdsChannels.
    bool isConnectionOpen() const noexcept { return m_isConnectionOpen; }

    // Called as the connection changes its state.
    void connectionOpened(const Settings &settings);
    void connectionClosing(); // by close(): the channels are neither released nor restored any more
    void connectionEnded();   // also when connection.close is sent
    void sendWaiting();       // what the channels may send since the connection is open

    // Called on an open connection with Settings::holdsChannels. ChannelsRestored follows.
    void release();
    // Called before a channel that replays is created or opened again, see ChannelTable::lendNumber().
    void lendNumber();
    void numberReturned(); // called when a number is no longer lent
    void waitForOpen(std::shared_ptr<ChannelEngine> channel) { m_waiting.push_back(std::move(channel)); }
    void channelEnded(const ChannelEngine &channel);
    // Called when a replay has declared queues that the broker has named again, by their old names.
    void renameQueues(const QHash<QString, QString> &newNames);

    bool survivesLoss(const Error &reason) const; // called before connectionEnded()
    void suspendChannels(const Error &reason);
    void endChannels(const Error &callError, const Error &reason);

    quint64 newIncarnation() noexcept { return ++m_lastIncarnation; }      // called for a channel that is being opened
    quint64 lostIncarnation() const noexcept { return m_lostIncarnation; } // the last one that a loss has ended

    Restoration *restoration() noexcept { return m_restoration.get(); } // null until the connection is lost
    Restoration &startRestoration();

private:
    ChannelTable &m_channels;
    EventQueue &m_events;
    std::vector<std::shared_ptr<ChannelEngine>> m_waiting; // one entry for each operation held until isOpen()
    std::unique_ptr<Restoration> m_restoration;            // created when the connection is lost
    quint64 m_lastIncarnation = 0;
    quint64 m_lostIncarnation = 0;
    bool m_isOpen = false;
    bool m_isConnectionOpen = false;
    bool m_isReleasable = false;  // the connection is open, and holds the channels
    bool m_releasesLater = false; // as soon as no number is lent any more
    bool m_survivesLoss = false;  // the connection is open, is not closing, and recovers
};

} // namespace AmqpQt::Engine
