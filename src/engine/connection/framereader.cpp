// SPDX-License-Identifier: MIT
#include "engine/connection/framereader_p.h"

#include "engine/channel/assembler_p.h"
#include "wire/contentheader_p.h"
#include "wire/methods_p.h"

#include <algorithm>
#include <limits>

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

void FrameReader::start()
{
    m_input.clear();
    m_needsInput = false;
    m_isFirst = true;
    m_isHandshakeDone = false;
    m_readsShort = false;
    m_maximumFrameSize = HandshakeFrameLimit;
    m_body = {};
}

void FrameReader::stop()
{
    m_body = {};
    m_input.consume(m_input.bytes().size());
}

void FrameReader::setMaximumFrameSize(quint32 frameMax) noexcept
{
    m_maximumFrameSize = frameMax ? frameMax : std::numeric_limits<qint32>::max();
}

quint32 FrameReader::methodFrameLimit() const noexcept
{
    return m_isHandshakeDone ? std::max(MethodFrameLimit, m_maximumFrameSize) : HandshakeFrameLimit;
}

std::span<char> FrameReader::space()
{
    m_body.direct = m_body.active && m_body.to && m_body.remaining >= DirectReadSize && m_input.isEmpty() &&
                    !m_body.to->isSkipped();
    if (m_body.direct)
        return m_body.to->space(m_body.remaining);
    const std::span<char> space = m_input.space();
    return m_readsShort ? space.first(std::min(space.size(), size_t(ShortRead))) : space;
}

void FrameReader::filled(qsizetype size)
{
    m_needsInput = false;
    if (!m_body.direct)
        return m_input.filled(size);
    m_body.direct = false;
    m_body.to->filled(size);
    m_body.remaining -= quint32(size);
}

FrameReader::Step FrameReader::fail(quint16 replyCode, const QString &text)
{
    m_fault = {replyCode, text, false};
    return Step::Fault;
}

FrameReader::Step FrameReader::failFraming(const QString &text)
{
    m_fault = {Wire::ReplyCode::FrameError, text, true};
    return Step::Fault;
}

FrameReader::Step FrameReader::failProtocol(const QString &spoken)
{
    m_fault = {0, u"the server speaks %1, not AMQP 0-9-1"_s.arg(spoken), true};
    return Step::Fault;
}

FrameReader::Step FrameReader::failTls()
{
    m_fault = {0, u"the server speaks TLS on this port; an encrypted endpoint is needed, as in amqps://host"_s, true};
    return Step::Fault;
}

FrameReader::Step FrameReader::next()
{
    const auto needsInput = [this] {
        m_needsInput = true;
        return Step::NeedsInput;
    };
    if (m_body.active) {
        const Step step = streamBody();
        return step == Step::NeedsInput ? needsInput() : step;
    }
    if (m_isFirst) {
        if (const Step step = checkFirstBytes(); step != Step::Frame)
            return step == Step::NeedsInput ? needsInput() : step;
    }
    const QByteArrayView bytes = m_input.bytes();
    if (bytes.size() < Wire::FrameHeaderSize)
        return needsInput();
    m_header = Wire::readFrameHeader(bytes.data());
    if (!checkHeader())
        return Step::Fault;
    if (m_header.type == quint8(Wire::FrameType::Body)) {
        m_input.consume(Wire::FrameHeaderSize);
        m_body = {.active = true, .remaining = m_header.size};
        return Step::Body;
    }
    if (m_header.type == quint8(Wire::FrameType::Header) && m_header.size > methodFrameLimit()) {
        const Step step = readLargeHeader();
        return step == Step::NeedsInput ? needsInput() : step;
    }
    const qsizetype size = qsizetype(m_header.size) + Wire::FrameOverhead;
    if (bytes.size() < size)
        return needsInput();
    if (quint8(bytes[size - 1]) != Wire::FrameEnd)
        return failFraming(u"received a frame that does not end with frame-end"_s);
    m_isFirst = false;
    m_frame = bytes.first(size);
    m_payload = bytes.sliced(Wire::FrameHeaderSize, m_header.size);
    m_input.consume(size); // the bytes stay where they are until the next read
    return Step::Frame;
}

// `version` is the last four bytes of a protocol header.
static QString describeProtocol(QByteArrayView version)
{
    const auto byte = [version](qsizetype index) { return quint8(version[index]); };
    QString name;
    if (byte(1) == 1 && byte(2) == 0 && byte(3) == 0)
        name = u"AMQP 1.0"_s; // the first byte selects plain, TLS or SASL
    else if (byte(0) == 0 && byte(1) == 0)
        name = u"AMQP %1-%2-%3"_s.arg(byte(1)).arg(byte(2)).arg(byte(3));
    else if (byte(0) == 1 && byte(1) == 1)
        name = byte(2) > 0 ? u"AMQP 0-%1"_s.arg(byte(2)) : u"AMQP 0-%1"_s.arg(byte(3));
    else
        name = u"another version of AMQP"_s;
    return u"%1 (protocol header %2 %3 %4 %5)"_s.arg(name).arg(byte(0)).arg(byte(1)).arg(byte(2)).arg(byte(3));
}

// Returns Frame if the bytes may be the beginning of a frame.
FrameReader::Step FrameReader::checkFirstBytes()
{
    const QByteArrayView bytes = m_input.bytes();
    const auto beginsWith = [bytes](QByteArrayView prefix) {
        const qsizetype size = std::min(bytes.size(), prefix.size());
        return size > 0 && bytes.first(size) == prefix.first(size);
    };
    if (beginsWith("AMQP"))
        return bytes.size() < Wire::ProtocolHeader.size() ? Step::NeedsInput
                                                          : failProtocol(describeProtocol(bytes.sliced(4, 4)));
    if (beginsWith("HTTP/"))
        return bytes.size() < 5 ? Step::NeedsInput : failProtocol(u"HTTP"_s);
    if (beginsWith(QByteArrayView("\x15\x03", 2)))
        return bytes.size() < 2 ? Step::NeedsInput : failTls();
    return Step::Frame;
}

bool FrameReader::checkHeader()
{
    switch (m_header.type) {
    case quint8(Wire::FrameType::Method):
    case quint8(Wire::FrameType::Header):
        // Even correct brokers exceed frame-max here, since dead-lettering extends the x-death header of a message.
        if (m_header.size <= methodFrameLimit() ||
            (m_header.type == quint8(Wire::FrameType::Header) && m_isHandshakeDone))
            return true;
        fail(Wire::ReplyCode::FrameError,
             u"received a method or header frame of %1 bytes; the maximum is %2 bytes"_s.arg(m_header.size)
                 .arg(methodFrameLimit()));
        return false;
    case quint8(Wire::FrameType::Body):
        if (m_header.size <= m_maximumFrameSize - Wire::FrameOverhead)
            return true;
        fail(Wire::ReplyCode::FrameError,
             u"received a body frame of %1 bytes with a frame-max of %2 bytes"_s.arg(m_header.size)
                 .arg(m_maximumFrameSize));
        return false;
    case quint8(Wire::FrameType::Heartbeat):
        if (m_header.channel == 0 && m_header.size == 0)
            return true;
        fail(Wire::ReplyCode::FrameError,
             u"received a heartbeat on channel %1 with %2 bytes"_s.arg(m_header.channel).arg(m_header.size));
        return false;
    default:
        failFraming(u"received a frame of unknown type %1"_s.arg(m_header.type));
        return false;
    }
}

FrameReader::Step FrameReader::readLargeHeader()
{
    constexpr qsizetype Beginning = Wire::FrameHeaderSize + Wire::ContentHeaderPrefix;
    if (m_input.bytes().size() < Beginning)
        return Step::NeedsInput;
    m_payload = m_input.bytes().sliced(Wire::FrameHeaderSize, Wire::ContentHeaderPrefix);
    m_input.consume(Beginning);
    m_body = {.active = true, .remaining = m_header.size - quint32(Wire::ContentHeaderPrefix)};
    return Step::LargeHeader;
}

FrameReader::Step FrameReader::streamBody()
{
    if (const qsizetype part = std::min<qsizetype>(m_input.bytes().size(), m_body.remaining); part > 0) {
        if (m_body.to)
            m_body.to->append(m_input.bytes().first(part), m_body.remaining);
        m_input.consume(part);
        m_body.remaining -= quint32(part);
    }
    if (m_body.remaining > 0 || m_input.isEmpty())
        return Step::NeedsInput;
    const bool ended = quint8(m_input.bytes().front()) == Wire::FrameEnd;
    m_input.consume(1);
    m_body = {};
    return ended ? Step::BodyEnd : failFraming(u"received a frame that does not end with frame-end"_s);
}

void FrameReader::releaseIdleMemory() noexcept
{
    if (m_input.hasIdleMemory())
        m_input.clear();
}

} // namespace AmqpQt::Engine
