// SPDX-License-Identifier: MIT
#include "support/frames.h"

#include "wire/trace_p.h"

#include <algorithm>
#include <utility>

using namespace AmqpQt::Wire;
using namespace Qt::StringLiterals;

MethodId Frame::methodId() const
{
    if (type != FrameType::Method || payload.size() < 4)
        return {};
    return {qFromBigEndian<quint16>(payload.constData()), qFromBigEndian<quint16>(payload.constData() + 2)};
}

QString Frame::describe() const
{
    switch (type) {
    case FrameType::Method:
        return u"%1 on channel %2"_s.arg(describeMethod(payload)).arg(channel);
    case FrameType::Header:
        return u"%1 on channel %2"_s.arg(describeContentHeader(payload)).arg(channel);
    case FrameType::Body:
        return u"a body of %1 bytes on channel %2"_s.arg(payload.size()).arg(channel);
    case FrameType::Heartbeat:
        return u"a heartbeat of %1 bytes on channel %2"_s.arg(payload.size()).arg(channel);
    }
    return u"a frame of type %1 on channel %2"_s.arg(int(type)).arg(channel);
}

QByteArray frameHeader(int type, quint16 channel, quint32 size)
{
    QByteArray bytes(FrameHeaderSize, Qt::Uninitialized);
    writeFrameHeader(bytes.data(), FrameType(type), channel, size);
    return bytes;
}

QByteArray encodeFrame(FrameType type, quint16 channel, const QByteArray &payload)
{
    return frameHeader(int(type), channel, quint32(payload.size())) + payload + char(FrameEnd);
}

QByteArray headerFrame(quint16 channel, quint64 bodySize, const QByteArray &properties)
{
    QByteArray payload(ContentHeaderPrefix, Qt::Uninitialized);
    writeContentHeaderPrefix(payload.data(), BasicDeliver::id.classId, bodySize);
    return encodeFrame(FrameType::Header, channel, payload + properties);
}

QByteArray contentFrames(quint16 channel, const Content &content, quint32 frameMax)
{
    QByteArray bytes = headerFrame(channel, quint64(content.body.size()), content.properties);
    const qsizetype largest = frameMax ? qsizetype(frameMax) - FrameOverhead : content.body.size();
    for (qsizetype offset = 0; offset < content.body.size(); offset += largest)
        bytes += encodeFrame(FrameType::Body, channel, content.body.mid(offset, largest));
    return bytes;
}

QByteArray deliverFrames(const QByteArray &tag, quint64 deliveryTag, const Content &content, quint16 channel)
{
    return encodeFrame(channel, BasicDeliver{.consumerTag = QByteArrayView(tag),
                                             .deliveryTag = deliveryTag,
                                             .redelivered = content.redelivered,
                                             .exchange = QByteArrayView(content.exchange),
                                             .routingKey = QByteArrayView(content.routingKey)}) +
           contentFrames(channel, content);
}

std::optional<Frame> FrameParser::next(QByteArrayView &bytes)
{
    while (!bytes.isEmpty() && !m_isMalformed) {
        const QByteArrayView part = bytes.first(std::min(m_missing, bytes.size()));
        bytes = bytes.sliced(part.size());
        m_missing -= part.size();
        if (!m_header || m_keeps == Keeps::AllPayloads || m_header->type == quint8(FrameType::Method))
            m_bytes.append(part);
        if (m_missing > 0)
            return std::nullopt;
        const QByteArray complete = std::exchange(m_bytes, {});
        if (!m_header) {
            m_header = readFrameHeader(complete.constData());
            m_missing = qsizetype(m_header->size) + 1;
            m_isMalformed = m_header->size > MaximumPayload;
            continue;
        }
        m_isMalformed = quint8(part.back()) != FrameEnd;
        const FrameHeader header = *std::exchange(m_header, std::nullopt);
        m_missing = FrameHeaderSize;
        if (!m_isMalformed)
            return Frame{FrameType(header.type), header.channel, complete.chopped(complete.isEmpty() ? 0 : 1)};
    }
    bytes = {};
    return std::nullopt;
}
