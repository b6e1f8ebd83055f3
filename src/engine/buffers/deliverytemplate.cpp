// SPDX-License-Identifier: MIT
#include "engine/buffers/deliverytemplate_p.h"

#include "wire/contentheader_p.h"
#include "wire/frame_p.h"
#include "wire/methods_p.h"

#include <QtCore/qendian.h>

#include <cstring>

namespace AmqpQt::Engine
{

namespace
{
constexpr qsizetype MethodIdSize = 4;
constexpr qsizetype ConsumerTagOffset = Wire::FrameHeaderSize + MethodIdSize; // begins with the length byte
constexpr qsizetype TagAndBitSize = 8 + 1;   // delivery-tag and redelivered of basic.deliver
constexpr qsizetype BodySizeOffset = 2 + 2;  // in a content header, after class-id and weight
constexpr qsizetype FrameSizeOffset = 1 + 2; // in a frame header, after type and channel
} // namespace

std::optional<DeliveryTemplate::Address> DeliveryTemplate::address(QByteArrayView input) noexcept
{
    if (input.size() <= ConsumerTagOffset)
        return std::nullopt;
    const Wire::FrameHeader frame = Wire::readFrameHeader(input.data());
    const char *const method = input.data() + Wire::FrameHeaderSize;
    const Wire::MethodId id{qFromBigEndian<quint16>(method), qFromBigEndian<quint16>(method + 2)};
    const qsizetype tagSize = quint8(input[ConsumerTagOffset]);
    if (frame.type != quint8(Wire::FrameType::Method) || id != Wire::BasicDeliver::id ||
        input.size() <= ConsumerTagOffset + tagSize)
        return std::nullopt;
    return Address{frame.channel, input.sliced(ConsumerTagOffset + 1, tagSize)};
}

void DeliveryTemplate::method(QByteArrayView frame)
{
    if (frame.size() > LongestFrames) { // malformed
        m_state = State::None;
        return;
    }
    m_state = State::Method;
    m_frames.resize(0); // keeps its memory
    m_frames.append(frame);
    m_tagOffset = quint16(ConsumerTagOffset + 1 + quint8(frame[ConsumerTagOffset]));
}

void DeliveryTemplate::header(QByteArrayView frame)
{
    const qsizetype bodyFrame = m_frames.size() + frame.size();
    if (m_state != State::Method || bodyFrame > LongestFrames) {
        m_state = State::None;
        return;
    }
    m_state = State::Header;
    m_bodySizeOffset = quint16(m_frames.size() + Wire::FrameHeaderSize + BodySizeOffset);
    const QByteArrayView channelNumber = frame.sliced(1, 2);
    m_frames.append(frame).append(char(Wire::FrameType::Body)).append(channelNumber);
}

qsizetype DeliveryTemplate::match(QByteArrayView input, RepeatedDelivery &delivery) const noexcept
{
    const qsizetype bodyFrame = m_frames.size() - FrameSizeOffset;
    const qsizetype body = bodyFrame + Wire::FrameHeaderSize;
    if (m_state != State::Complete || input.size() <= body)
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
    delivery.deliveryTag = qFromBigEndian<quint64>(frames + m_tagOffset);
    delivery.redelivered = frames[m_tagOffset + 8] & 1;
    delivery.body = QByteArrayView(frames + body, qsizetype(size));
    return body + qsizetype(size) + 1;
}

} // namespace AmqpQt::Engine
