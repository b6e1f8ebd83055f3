// SPDX-License-Identifier: MIT
#pragma once

#include "engine/channel/channelengine_p.h"
#include "engine/connection/channeltable_p.h"
#include "engine/connection/framereader_p.h"

#include <optional>

namespace AmqpQt::Engine
{

// Dispatches frames to their channels, and skips the frames of channels that are closing.
class ChannelRouter
{
public:
    ChannelRouter(ChannelHost &host, ChannelTable &channels, FrameReader &reader)
        : m_host(host)
        , m_channels(channels)
        , m_reader(reader)
    {
    }

    Wire::Visit onMethod(quint16 number, Wire::MethodId id, QByteArrayView arguments);
    // Handles the reader's result. Returns true if a delivery is complete and can be taken.
    bool onHeader(Time now);
    bool onLargeHeader();
    void onBody();
    bool onBodyEnd();
    Delivered takeDelivered() { return std::move(m_delivered); }

    // A fast path for most deliveries of a steady stream, between two frames. Returns false if the reader must
    // be used.
    bool nextRepeated(RepeatedDelivery &delivery);

    void channelEnded(const ChannelEngine &channel); // the rest of its body is skipped
    void connectionLost();

private:
    bool isLate(quint16 number, Wire::MethodId id, QByteArrayView arguments);
    void onMethodWhileClosing(quint16 number, Wire::MethodId id);
    ChannelEngine *channelForContent(quint16 number);
    ChannelEngine *channelForHeader(quint16 number, const Wire::ContentHeader &header, bool isComplete);
    void warnOfUndecodable(ChannelEngine &channel, const char *what, Time now);
    bool completeContent(ChannelEngine *channel);
    qsizetype matchDelivery(RepeatedDelivery &delivery);

    ChannelHost &m_host;
    ChannelTable &m_channels;
    FrameReader &m_reader;
    ChannelEngine *m_bodyChannel = nullptr; // has the current body frame; null if the frame is skipped
    ChannelEngine *m_lastChannel = nullptr; // the channel that has received the last delivery
    Delivered m_delivered;
    std::optional<Time> m_undecodableWarned; // the last warning about undecodable headers
    quint64 m_undecodableSince = 0;          // messages with such headers since then
};

} // namespace AmqpQt::Engine
