// SPDX-License-Identifier: MIT
#pragma once

#include "engine/connection/calltracker_p.h"
#include "engine/connection/channelgate_p.h"
#include "engine/connection/channeltable_p.h"
#include "engine/connection/eventqueue_p.h"
#include "engine/connection/flowcontrol_p.h"
#include "engine/connection/framewriter_p.h"
#include "engine/settings_p.h"
#include "engine/topology/topologyrecord_p.h"

#include <memory>
#include <vector>

namespace AmqpQt::Engine
{

class ChannelEngine;

// The connection as its channels see it. Messages are sent through the parts below without a virtual call.
class ChannelHost
{
public:
    ChannelHost(const ChannelHost &) = delete;
    ChannelHost &operator=(const ChannelHost &) = delete;

    bool hasNack() const noexcept { return m_hasNack; }               // the broker supports basic.nack
    bool deniesFeatures() const noexcept { return m_deniesFeatures; } // those that deniedFeature() describes
    const Settings &settings() const noexcept { return m_settings; }
    FrameWriter &frames() noexcept { return m_frames; }
    FlowControl &flow() noexcept { return m_flow; }
    CallTracker &calls() noexcept { return m_calls; }
    ChannelTable &channels() noexcept { return m_channels; }
    ChannelGate &gate() noexcept { return m_gate; }
    void post(Event event) { m_events.post(std::move(event)); }
    TopologyRecord *recordedTopology() noexcept { return m_topology.get(); } // null while nothing is recorded
    TopologyRecord &topologyRecord()
    {
        if (!m_topology)
            m_topology = std::make_unique<TopologyRecord>();
        return *m_topology;
    }
    void callSent(const CallTracker::Call &call) { m_calls.sent(call, m_frames.output().appended()); }

    // A channel being opened gets its previous number if it is free, otherwise another one.
    virtual Result<quint16> claimNumber(ChannelEngine &channel) = 0;
    virtual void channelEnded(const ChannelEngine &channel, bool awaitsCloseOk) = 0;

    // Calls Deliveries::flushAcks() before the next write.
    void queueAcks(std::shared_ptr<ChannelEngine> channel) { m_channelsWithAcks.push_back(std::move(channel)); }
    virtual void noteProgress() = 0; // the broker has answered, so closing the connection may take longer

    // Ends the connection, since the broker broke the protocol.
    virtual void reportViolation(quint16 replyCode, const QString &text) = 0;
    virtual void reportUnexpected(const char *method) = 0;

protected:
    ChannelHost() = default;
    ~ChannelHost() = default;

    Settings m_settings;
    EventQueue m_events;
    FrameWriter m_frames;
    FlowControl m_flow{m_frames, m_events};
    CallTracker m_calls;
    ChannelTable m_channels;
    ChannelGate m_gate{m_channels, m_events};
    std::vector<std::shared_ptr<ChannelEngine>> m_channelsWithAcks;
    std::unique_ptr<TopologyRecord> m_topology; // created with the first declaration or consumer
    bool m_hasNack = false;
    bool m_deniesFeatures = false;
};

} // namespace AmqpQt::Engine
