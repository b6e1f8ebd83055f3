// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qlist.h>

#include <utility>

namespace AmqpQt
{

class ChannelPrivate;

// The channels of a connection, by serial number: another channel may use the number of one that has ended.
class ConnectionChannels
{
public:
    const QList<ChannelPrivate *> &all() const noexcept { return m_channels; } // in order of creation
    ChannelPrivate *find(quint64 serialNumber) const;                          // null if it is gone

    quint64 add(ChannelPrivate *channel); // returns the serial number of the channel
    void remove(const ChannelPrivate *channel);
    QList<ChannelPrivate *> takeAll() { return std::exchange(m_channels, {}); }

private:
    QList<ChannelPrivate *>::const_iterator position(quint64 serialNumber) const; // the insertion point if not found

    QList<ChannelPrivate *> m_channels; // sorted by serial number
    quint64 m_lastSerial = 0;
};

} // namespace AmqpQt
