// SPDX-License-Identifier: MIT
#pragma once

#include "wire/frame_p.h"

#include <QtCore/qbytearray.h>
#include <QtCore/qbytearrayview.h>

namespace AmqpQt::Engine
{

// Method and header frame of a message to publish, all but the size of its body: the next message often has the same
// ones.
class ContentFrames
{
public:
    // `properties` as in Wire::ContentHeader.
    void encode(quint16 channel, QByteArrayView methodPayload, const QByteArray &properties);
    QByteArrayView methodPayload() const { return QByteArrayView(m_bytes).sliced(Wire::FrameHeaderSize, m_methodSize); }
    qsizetype size() const noexcept { return m_bytes.size(); }
    char *write(char *at, quint64 bodySize) const; // `at` has size() bytes; returns their end

private:
    QByteArray m_bytes;
    qsizetype m_methodSize = 0;
};

} // namespace AmqpQt::Engine
