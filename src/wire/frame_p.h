// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qbytearrayview.h>
#include <QtCore/qendian.h>

#include <cstring>

// AMQP 0-9-1 frames, section 4.2.3 of the specification: type, channel, size, payload, frame-end.
namespace AmqpQt::Wire
{

enum class FrameType : quint8 { Method = 1, Header = 2, Body = 3, Heartbeat = 8 };

inline constexpr qsizetype FrameHeaderSize = 7;
inline constexpr qsizetype FrameOverhead = FrameHeaderSize + 1; // header and frame-end
inline constexpr quint8 FrameEnd = 0xCE;
inline constexpr quint32 SpecFrameMinimum = 4096; // frame-min-size
inline constexpr QByteArrayView ProtocolHeader{"AMQP\0\0\x09\x01", 8};

struct FrameHeader {
    quint8 type = 0; // as received; may be none of the values of FrameType
    quint16 channel = 0;
    quint32 size = 0; // of the payload
};

// `at` must have FrameHeaderSize readable bytes.
inline FrameHeader readFrameHeader(const char *at) noexcept
{
    return {quint8(at[0]), qFromBigEndian<quint16>(at + 1), qFromBigEndian<quint32>(at + 3)};
}

// `at` must have FrameHeaderSize writable bytes; returns the place of the payload.
inline char *writeFrameHeader(char *at, FrameType type, quint16 channel, quint32 size) noexcept
{
    *at = char(type);
    qToBigEndian(channel, at + 1);
    qToBigEndian(size, at + 3);
    return at + FrameHeaderSize;
}

} // namespace AmqpQt::Wire
