// SPDX-License-Identifier: MIT
#include "client/connection/connectionchannels_p.h"

#include "client/channel/channel_p.h"

#include <algorithm>

namespace AmqpQt
{

QList<ChannelPrivate *>::const_iterator ConnectionChannels::position(quint64 serialNumber) const
{
    return std::lower_bound(
        m_channels.cbegin(), m_channels.cend(), serialNumber,
        [](const ChannelPrivate *channel, quint64 serial) { return channel->serialNumber < serial; });
}

ChannelPrivate *ConnectionChannels::find(quint64 serialNumber) const
{
    const auto found = position(serialNumber);
    return found != m_channels.cend() && (*found)->serialNumber == serialNumber ? *found : nullptr;
}

quint64 ConnectionChannels::add(ChannelPrivate *channel)
{
    m_channels.append(channel);
    return ++m_lastSerial;
}

void ConnectionChannels::remove(const ChannelPrivate *channel)
{
    m_channels.erase(position(channel->serialNumber));
}

} // namespace AmqpQt
