// SPDX-License-Identifier: MIT
#include "engine/flowcontrol_p.h"

namespace AmqpQt::Engine
{

void FlowControl::setBlocked(bool blocked, const QString &reason, Time now)
{
    if (blocked == isBlocked())
        return;
    m_blockedSince = blocked ? std::optional(now) : std::nullopt;
    m_events.post(BlockedChanged{blocked, reason});
}

std::optional<Time> FlowControl::blockedDeadline() const
{
    if (!m_blockedSince || m_settings.blockedTimeout.count() <= 0)
        return std::nullopt;
    return *m_blockedSince + m_settings.blockedTimeout;
}

void FlowControl::updateWatermarks()
{
    const qint64 queued = queuedBytes();
    detectBackpressure(queued);
    if (m_isFull ? queued > m_settings.lowWatermark : queued < m_settings.highWatermark)
        return;
    m_isFull = !m_isFull;
    m_events.post(WritableChanged{!m_isFull});
}

// As pika has it: more waits than a multiple of the average frame that was sent. Reported once, until that is over.
void FlowControl::detectBackpressure(qint64 queued)
{
    const qint64 frames = m_frames.frameCount();
    if (m_settings.backpressureMultiplier == 0 || frames == 0)
        return;
    const qint64 sent = m_frames.output().appended() - Wire::ProtocolHeader.size();
    const bool detected = double(queued) * double(frames) > double(sent) * m_settings.backpressureMultiplier;
    if (detected && !m_isBackpressureReported)
        m_events.post(BackpressureDetected{queued});
    m_isBackpressureReported = detected;
}

} // namespace AmqpQt::Engine
