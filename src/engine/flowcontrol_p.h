// SPDX-License-Identifier: MIT
#pragma once

#include "engine/eventqueue_p.h"
#include "engine/framewriter_p.h"
#include "engine/settings_p.h"

#include <optional>

namespace AmqpQt::Engine
{

// Knows how much waits to be sent, in the output and in messages that channels hold back, and whether the broker blocks
// the connection. Posts the events about it.
class FlowControl
{
public:
    FlowControl(const Settings &settings, const FrameWriter &frames, EventQueue &events)
        : m_settings(settings)
        , m_frames(frames)
        , m_events(events)
    {
    }

    // The output counts as long as it has a connection to go to.
    void countOutput(bool counts) noexcept { m_isOutputCounted = counts; }

    qint64 queuedBytes() const noexcept { return m_heldBytes + (m_isOutputCounted ? m_frames.output().size() : 0); }
    bool hasRoom(qint64 bytes) const noexcept { return queuedBytes() + bytes <= m_settings.bufferLimit; }
    bool isWritable() const noexcept { return !m_isFull; }

    void addHeld(qint64 bytes) // negative: they are not held any more
    {
        m_heldBytes += bytes;
        checkWatermarks();
    }
    void checkWatermarks()
    {
        if (m_isFull || m_settings.backpressureMultiplier != 0 || queuedBytes() >= m_settings.highWatermark)
            updateWatermarks();
    }

    void setBlocked(bool blocked, const QString &reason, Time now);
    bool isBlocked() const noexcept { return m_blockedSince.has_value(); }
    std::optional<Time> blockedDeadline() const; // when the broker has blocked the connection for too long

private:
    void updateWatermarks();
    void detectBackpressure(qint64 queued);

    const Settings &m_settings;
    const FrameWriter &m_frames;
    EventQueue &m_events;
    qint64 m_heldBytes = 0;
    bool m_isOutputCounted = false;
    bool m_isFull = false; // from the high watermark until the low one
    bool m_isBackpressureReported = false;
    std::optional<Time> m_blockedSince;
};

} // namespace AmqpQt::Engine
