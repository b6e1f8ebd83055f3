// SPDX-License-Identifier: MIT
#include "engine/connection/channelgate_p.h"

#include "engine/channel/channelengine_p.h"
#include "engine/connection/channeltable_p.h"
#include "engine/connection/recoverability_p.h"

#include <utility>

namespace AmqpQt::Engine
{

void ChannelGate::connectionOpened(const Settings &settings)
{
    m_isConnectionOpen = true;
    m_isOpen = !settings.holdsChannels;
    m_isReleasable = settings.holdsChannels;
    m_releasesLater = false;
    m_survivesLoss = settings.recovers;
}

void ChannelGate::connectionClosing()
{
    m_isReleasable = false;
    m_survivesLoss = false;
    m_restoration.reset();
}

void ChannelGate::connectionEnded()
{
    m_isConnectionOpen = false;
    m_isOpen = false;
    m_isReleasable = false;
    m_survivesLoss = false;
}

void ChannelGate::sendWaiting()
{
    for (auto &channel : std::exchange(m_waiting, {})) {
        if (channel->canSend())
            channel->releaseOne();
        else
            m_waiting.push_back(std::move(channel));
    }
    if (m_isOpen && m_restoration)
        m_restoration->channelsReleased();
}

void ChannelGate::lendNumber()
{
    if (m_isReleasable)
        m_channels.lendNumber();
}

void ChannelGate::numberReturned()
{
    if (std::exchange(m_releasesLater, false))
        release();
}

void ChannelGate::release()
{
    m_releasesLater = m_isReleasable && m_channels.hasLentNumber();
    if (m_releasesLater || !std::exchange(m_isReleasable, false))
        return;
    m_isOpen = true;
    startRestoration();
    sendWaiting();
}

void ChannelGate::channelEnded(const ChannelEngine &channel)
{
    std::erase_if(m_waiting, [&channel](const auto &waiting) { return waiting.get() == &channel; });
}

void ChannelGate::renameQueues(const QHash<QString, QString> &newNames)
{
    m_channels.renameQueues(newNames);
}

bool ChannelGate::survivesLoss(const Error &reason) const
{
    return m_survivesLoss && classify(reason, FailurePhase::Open) != FailureClass::Final;
}

void ChannelGate::suspendChannels(const Error &reason)
{
    m_lostIncarnation = m_lastIncarnation;
    startRestoration().connectionLost();
    const Error lost(ErrorKind::Network, reason.text(), reason.replyCode(), reason.method());
    const bool isRefusal = reason.kind() == ErrorKind::ConnectionClosed && !reason.method().isEmpty();
    m_channels.suspendAll(reason.kind() == ErrorKind::Network ? reason : lost, isRefusal ? reason : Error());
}

void ChannelGate::endChannels(const Error &callError, const Error &reason)
{
    m_waiting.clear();
    m_restoration.reset();
    m_channels.endAll(callError, reason);
}

Restoration &ChannelGate::startRestoration()
{
    if (!m_restoration)
        m_restoration = std::make_unique<Restoration>(m_events);
    return *m_restoration;
}

} // namespace AmqpQt::Engine
