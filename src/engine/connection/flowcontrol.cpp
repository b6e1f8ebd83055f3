// SPDX-License-Identifier: MIT
#include "engine/connection/flowcontrol_p.h"

namespace AmqpQt::Engine
{

void FlowControl::configure(const Settings &settings)
{
    m_bufferLimit = settings.bufferLimit;
    m_lowWatermark = settings.lowWatermark;
    m_highWatermark = settings.highWatermark;
    m_backpressureMultiplier = settings.backpressureMultiplier;
    m_blockedTimeout = settings.blockedTimeout;
    chooseCheck();
}

void FlowControl::setBlocked(bool blocked, const QString &reason, Time now)
{
    if (blocked == isBlocked())
        return;
    m_blockedSince = blocked ? std::optional(now) : std::nullopt;
    m_events.post(BlockedChanged{blocked, reason});
}

std::optional<Time> FlowControl::blockedDeadline() const
{
    if (!m_blockedSince || m_blockedTimeout.count() <= 0)
        return std::nullopt;
    return *m_blockedSince + m_blockedTimeout;
}

void FlowControl::updateWatermarks()
{
    const qint64 queued = queuedBytes();
    detectBackpressure(queued);
    if (m_isFull ? queued > m_lowWatermark : queued < m_highWatermark)
        return;
    m_isFull = !m_isFull;
    chooseCheck();
    m_events.post(WritableChanged{!m_isFull});
}

// As in pika, backpressure means that the waiting bytes exceed a multiple of the average size of the frames sent. It
// is reported once until it ends. Without a connection there is none, since nothing can be sent.
void FlowControl::detectBackpressure(qint64 queued)
{
    const qint64 frames = m_frames.frameCount();
    if (m_backpressureMultiplier == 0 || frames == 0)
        return;
    const qint64 sent = m_output.appended() - Wire::ProtocolHeader.size();
    const bool detected =
        m_isOutputCounted && double(queued) * double(frames) > double(sent) * m_backpressureMultiplier;
    if (detected && !m_isBackpressureReported)
        m_events.post(BackpressureDetected{queued});
    m_isBackpressureReported = detected;
}

} // namespace AmqpQt::Engine
