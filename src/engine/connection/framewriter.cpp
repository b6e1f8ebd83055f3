// SPDX-License-Identifier: MIT
#include "engine/connection/framewriter_p.h"

#include <cstring>

namespace AmqpQt::Engine
{

void FrameWriter::start()
{
    m_output.clear();
    m_frameCount = 0;
    std::memcpy(m_output.append(Wire::ProtocolHeader.size()), Wire::ProtocolHeader.data(),
                size_t(Wire::ProtocolHeader.size()));
}

void FrameWriter::setMaximumFrameSize(quint32 frameMax) noexcept
{
    m_maximumPayload = qsizetype(frameMax ? frameMax : UnlimitedFrameSize) - Wire::FrameOverhead;
    m_copiedBodyLimit = size_t(std::min(m_maximumPayload, OutputBuffer::ShareThreshold - 1));
}

void FrameWriter::sendMethod(quint16 channel, QByteArrayView payload)
{
    char *at = m_output.append(payload.size() + Wire::FrameOverhead);
    at = Wire::writeFrameHeader(at, Wire::FrameType::Method, channel, quint32(payload.size()));
    std::memcpy(at, payload.data(), size_t(payload.size()));
    at[payload.size()] = char(Wire::FrameEnd);
    ++m_frameCount;
    logMethod("sent", channel, payload);
}

// The frames of one content are written together, since no other frames of the channel may come between them.
void FrameWriter::sendAnyContent(quint16 channel, const PublishTemplate &frames, const QByteArray &body)
{
    if (m_frameLog.isDebugEnabled())
        logMethod("sent", channel, frames.methodPayload());
    m_frameCount += 2 + (body.size() + m_maximumPayload - 1) / m_maximumPayload;
    frames.writeHead(m_output.append(frames.headSize()), quint64(body.size()));
    for (qsizetype offset = 0; offset < body.size();) {
        const qsizetype part = std::min(body.size() - offset, m_maximumPayload);
        Wire::writeFrameHeader(m_output.append(Wire::FrameHeaderSize), Wire::FrameType::Body, channel, quint32(part));
        m_output.append(body, offset, part);
        *m_output.append(1) = char(Wire::FrameEnd);
        offset += part;
    }
}

void FrameWriter::sendHeartbeat()
{
    char *end = Wire::writeFrameHeader(m_output.append(Wire::FrameOverhead), Wire::FrameType::Heartbeat, 0, 0);
    *end = char(Wire::FrameEnd);
    ++m_frameCount;
}

} // namespace AmqpQt::Engine
