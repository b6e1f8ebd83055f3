// SPDX-License-Identifier: MIT
#pragma once

#include "wire/frame_p.h"

#include <QtCore/qbytearray.h>
#include <QtCore/qbytearrayview.h>

#include <cstring>

namespace AmqpQt::Engine
{

// The frames of a message to publish, except its body and the sizes that depend on it, since the next message often has
// the same ones.
class PublishTemplate
{
public:
    // `properties` as in Wire::ContentHeader.
    void encode(quint16 channel, QByteArrayView methodPayload, const QByteArray &properties);
    QByteArrayView methodPayload() const { return QByteArrayView(m_bytes).sliced(Wire::FrameHeaderSize, m_methodSize); }

    // Writes the method and header frames to `at`, which has headSize() bytes.
    qsizetype headSize() const noexcept { return m_bytes.size() - Wire::FrameHeaderSize; }
    void writeHead(char *at, quint64 bodySize) const noexcept { write(at, headSize(), bodySize); }

    // Writes all frames to `at`, which has size() bytes. The body is not empty and fits in one frame.
    qsizetype size(const QByteArray &body) const noexcept { return m_bytes.size() + body.size() + 1; }
    void write(char *at, const QByteArray &body) const noexcept
    {
        write(at, m_bytes.size(), quint64(body.size()));
        char *const payload = at + m_bytes.size();
        qToBigEndian(quint32(body.size()), payload - sizeof(quint32));
        std::memcpy(payload, body.constData(), size_t(body.size()));
        payload[body.size()] = char(Wire::FrameEnd);
    }

private:
    void write(char *at, qsizetype size, quint64 bodySize) const noexcept
    {
        std::memcpy(at, m_bytes.constData(), size_t(size));
        qToBigEndian(bodySize, at + m_bodySizeOffset);
    }

    QByteArray m_bytes; // ends with the beginning of a body frame
    qsizetype m_methodSize = 0;
    qsizetype m_bodySizeOffset = 0;
};

} // namespace AmqpQt::Engine
