// SPDX-License-Identifier: MIT
#include "engine/deliverypattern_p.h"

#include "wire/contentheader_p.h"
#include "wire/frame_p.h"

#include <QtCore/qendian.h>

#include <cstring>

namespace AmqpQt::Engine
{

namespace
{
constexpr qsizetype MethodIdSize = 4;
constexpr qsizetype TagAndBitSize = 8 + 1;   // of basic.deliver: delivery-tag, redelivered
constexpr qsizetype BodySizeOffset = 2 + 2;  // in a content header: behind class-id and weight
constexpr qsizetype FrameSizeOffset = 1 + 2; // in a frame header: behind type and channel
} // namespace

void DeliveryPattern::method(ChannelEngine *channel, QByteArrayView frame)
{
    m_state = State::Method;
    m_channel = channel;
    m_frames.resize(0); // keeps its memory
    m_frames.append(frame);
    const qsizetype tagLength = Wire::FrameHeaderSize + MethodIdSize;
    m_tagOffset = tagLength + 1 + quint8(frame[tagLength]); // behind the consumer tag
}

void DeliveryPattern::header(ChannelEngine *channel, QByteArrayView frame)
{
    if (m_state != State::Method || m_channel != channel)
        return;
    if (m_frames.size() + frame.size() > LongestFrames)
        return forget();
    m_state = State::Header;
    m_bodySizeOffset = m_frames.size() + Wire::FrameHeaderSize + BodySizeOffset;
    const QByteArrayView channelNumber = frame.sliced(1, 2);
    m_frames.append(frame).append(char(Wire::FrameType::Body)).append(channelNumber);
}

void DeliveryPattern::delivered(ChannelEngine *channel, ConsumerEntry *consumer)
{
    if (m_channel != channel || m_state == State::None)
        return;
    m_state = m_state == State::Header ? State::Complete : State::None;
    m_consumer = consumer;
}

void DeliveryPattern::release() noexcept
{
    forget();
    m_frames = QByteArray();
}

qsizetype DeliveryPattern::match(QByteArrayView input, RepeatedDelivery &delivery) const noexcept
{
    const qsizetype bodyFrame = m_frames.size() - FrameSizeOffset;
    const qsizetype body = bodyFrame + Wire::FrameHeaderSize;
    if (input.size() <= body)
        return 0;
    const char *const frames = input.data();
    const char *const pattern = m_frames.constData();
    const auto isEqual = [frames, pattern](qsizetype from, qsizetype to) {
        return std::memcmp(frames + from, pattern + from, size_t(to - from)) == 0;
    };
    if (!isEqual(0, m_tagOffset) || !isEqual(m_tagOffset + TagAndBitSize, m_bodySizeOffset) ||
        !isEqual(m_bodySizeOffset + qsizetype(sizeof(quint64)), m_frames.size()))
        return 0;
    const quint64 size = qFromBigEndian<quint64>(frames + m_bodySizeOffset);
    if (size != qFromBigEndian<quint32>(frames + bodyFrame + FrameSizeOffset) || size == 0 ||
        size >= quint64(input.size() - body) || quint8(frames[body + qsizetype(size)]) != Wire::FrameEnd)
        return 0;
    delivery.consumer = m_consumer;
    delivery.deliveryTag = qFromBigEndian<quint64>(frames + m_tagOffset);
    delivery.redelivered = frames[m_tagOffset + 8] & 1;
    delivery.body = QByteArrayView(frames + body, qsizetype(size));
    return body + qsizetype(size) + 1;
}

} // namespace AmqpQt::Engine
