// SPDX-License-Identifier: MIT
#include "engine/buffers/publishtemplate_p.h"

#include "wire/contentheader_p.h"
#include "wire/methods_p.h"

namespace AmqpQt::Engine
{

void PublishTemplate::encode(quint16 channel, QByteArrayView methodPayload, const QByteArray &properties)
{
    const qsizetype headerPayload = Wire::ContentHeaderPrefix + properties.size();
    m_methodSize = methodPayload.size();
    m_bodySizeOffset = m_methodSize + Wire::FrameOverhead + Wire::FrameHeaderSize + Wire::ContentHeaderPrefix -
                       qsizetype(sizeof(quint64));
    m_bytes.resize(m_methodSize + headerPayload + 2 * Wire::FrameOverhead + Wire::FrameHeaderSize);
    char *at = m_bytes.data();
    const auto put = [&at](QByteArrayView bytes) {
        std::memcpy(at, bytes.data(), size_t(bytes.size()));
        at += bytes.size();
        *at++ = char(Wire::FrameEnd);
    };
    at = Wire::writeFrameHeader(at, Wire::FrameType::Method, channel, quint32(methodPayload.size()));
    put(methodPayload);
    at = Wire::writeFrameHeader(at, Wire::FrameType::Header, channel, quint32(headerPayload));
    at = Wire::writeContentHeaderPrefix(at, Wire::BasicPublish::id.classId, 0);
    put(properties);
    Wire::writeFrameHeader(at, Wire::FrameType::Body, channel, 0);
}

} // namespace AmqpQt::Engine
