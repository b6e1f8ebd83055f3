// SPDX-License-Identifier: MIT
#pragma once

#include "engine/connection/eventqueue_p.h"
#include "engine/connection/framewriter_p.h"
#include "engine/settings_p.h"

#include <optional>

namespace AmqpQt::Engine
{

// Tracks how many bytes wait to be sent, in the output and in messages that channels hold, and whether the broker
// blocks the connection. Posts the events about both.
class FlowControl
{
public:
    FlowControl(const FrameWriter &frames, EventQueue &events)
        : m_frames(frames)
        , m_output(frames.output())
        , m_events(events)
    {
    }

    void configure(const Settings &settings);
    // The output counts only while there is a connection.
    void countOutput(bool counts) noexcept { m_isOutputCounted = counts; }

    qint64 queuedBytes() const noexcept { return m_heldBytes + (m_isOutputCounted ? m_output.size() : 0); }
    bool hasRoom(qint64 bytes) const noexcept { return queuedBytes() + bytes <= m_bufferLimit; }
    bool isWritable() const noexcept { return !m_isFull; }

    void addHeld(qint64 bytes) // `bytes` is negative if they are no longer held
    {
        m_heldBytes += bytes;
        checkWatermarks();
    }
    void checkWatermarks()
    {
        if (queuedBytes() >= m_checkedFrom)
            updateWatermarks();
    }

    void setBlocked(bool blocked, const QString &reason, Time now);
    bool isBlocked() const noexcept { return m_blockedSince.has_value(); }
    std::optional<Time> blockedDeadline() const; // when the broker has blocked the connection for too long

private:
    void updateWatermarks();
    void detectBackpressure(qint64 queued);
    void chooseCheck() noexcept { m_checkedFrom = m_isFull || m_backpressureMultiplier != 0 ? 0 : m_highWatermark; }

    const FrameWriter &m_frames;
    const OutputBuffer &m_output;
    EventQueue &m_events;
    qint64 m_bufferLimit = Settings().bufferLimit;
    qint64 m_lowWatermark = Settings().lowWatermark;
    qint64 m_highWatermark = Settings().highWatermark;
    qint64 m_checkedFrom = m_highWatermark; // below this number of bytes nothing can change
    int m_backpressureMultiplier = 0;
    Milliseconds m_blockedTimeout{0};
    qint64 m_heldBytes = 0;
    bool m_isOutputCounted = false;
    bool m_isFull = false; // true from crossing the high watermark until the low watermark is reached
    bool m_isBackpressureReported = false;
    std::optional<Time> m_blockedSince;
};

} // namespace AmqpQt::Engine
