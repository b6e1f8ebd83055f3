// SPDX-License-Identifier: MIT
#pragma once

#include "engine/connection/eventqueue_p.h"
#include "engine/event_p.h"

#include <QtCore/qhash.h>
#include <QtCore/qset.h>

namespace AmqpQt::Engine
{

// Follows the channels and consumers that were suspended when the connection was lost, until each of them has been
// restored, has failed, or was ended by the application. Then posts ChannelsRestored.
class Restoration
{
public:
    using Consumer = ChannelsRestored::Failure; // described as in its failure

    explicit Restoration(EventQueue &events)
        : m_events(events)
    {
    }

    void connectionLost(); // what is being restored will be suspended again
    void addChannel(quint16 number) { m_channels.insert(number); }
    void addConsumer(CallId start, Consumer consumer) { m_consumers.insert(start, std::move(consumer)); }
    void consumerSuspendedAgain() { --m_result.consumers; } // one that had been restored
    void channelsReleased();                                // may be restored from now on

    // Called when the channel is open again, or has ended; when the call that starts a consumer has been answered.
    void channelEnded(quint16 number, const Error &failure = {});
    void consumerEnded(CallId start, const Error &failure);

    // Between both, several calls, consumers and channels may end, and their events come first.
    void pauseReport() noexcept { m_isPaused = true; }
    void resumeReport();

    bool isPending() const noexcept { return !m_channels.isEmpty() || !m_consumers.isEmpty(); }

    void addFailure(Consumer consumer, const Error &failure);

private:
    void reportWhenDone();

    EventQueue &m_events;
    QSet<quint16> m_channels;
    QHash<CallId, Consumer> m_consumers; // by the call that starts them
    ChannelsRestored m_result;
    bool m_isReleased = false;
    bool m_isPaused = false;
};

} // namespace AmqpQt::Engine
