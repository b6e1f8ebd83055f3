// SPDX-License-Identifier: MIT
#include "engine/contentframes_p.h"

#include "wire/contentheader_p.h"
#include "wire/methods_p.h"

#include <cstring>

namespace AmqpQt::Engine {

void ContentFrames::encode(quint16 channel, QByteArrayView methodPayload, const QByteArray &properties)
{
    const qsizetype headerPayload = Wire::ContentHeaderPrefix + properties.size();
    m_methodSize = methodPayload.size();
    m_bytes.resize(m_methodSize + headerPayload + 2 * Wire::FrameOverhead);
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
}

char *ContentFrames::write(char *at, quint64 bodySize) const
{
    std::memcpy(at, m_bytes.constData(), size_t(m_bytes.size()));
    constexpr qsizetype BodySizeOffset = Wire::FrameHeaderSize + Wire::ContentHeaderPrefix - qsizetype(sizeof(bodySize));
    qToBigEndian(bodySize, at + m_methodSize + Wire::FrameOverhead + BodySizeOffset);
    return at + m_bytes.size();
}

} // namespace AmqpQt::Engine
