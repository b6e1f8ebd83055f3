// SPDX-License-Identifier: MIT

// The half of ConnectionEngine that takes the broker's bytes apart.

#include "engine/connectionengine_p.h"

#include "values/logging_p.h"

#include <algorithm>
#include <cstring>

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

static QByteArrayView wholeFrame(QByteArrayView payload)
{
    return QByteArrayView(payload.data() - Wire::FrameHeaderSize, payload.size() + Wire::FrameOverhead);
}

std::span<char> ConnectionEngine::inputSpace()
{
    m_body.direct = m_body.active && m_body.channel && m_body.remaining >= DirectReadSize && m_input.isEmpty() &&
                    !m_body.channel->content().isSkipped();
    if (m_body.direct)
        return m_body.channel->content().space(m_body.remaining);
    const std::span<char> space = m_input.space();
    return m_readsShort ? space.first(std::min(space.size(), size_t(ShortRead))) : space;
}

void ConnectionEngine::inputRead(qsizetype size, Time now)
{
    if (m_state == State::Idle || m_state == State::Closed)
        return; // too late
    m_now = now;
    m_needsInput = false;
    m_heartbeat.received(now);
    m_isLogged = lcFrame().isDebugEnabled();
    if (!m_body.direct)
        return m_input.filled(size);
    m_body.direct = false;
    m_body.channel->content().filled(size);
    m_body.remaining -= quint32(size);
}

qsizetype ConnectionEngine::feed(QByteArrayView bytes, Time now)
{
    const std::span<char> space = inputSpace();
    const qsizetype size = std::min(bytes.size(), qsizetype(space.size()));
    std::memcpy(space.data(), bytes.data(), size_t(size));
    inputRead(size, now);
    return size;
}

std::optional<Event> ConnectionEngine::next()
{
    for (;;) {
        if (!m_events.isEmpty())
            return m_events.takeFirst();
        switch (decode()) {
        case Step::NeedInput:
            m_needsInput = true;
            return std::nullopt;
        case Step::Delivery:
            return std::move(m_delivered);
        case Step::Done:
            break;
        }
    }
}

bool ConnectionEngine::nextRepeated(RepeatedDelivery &delivery)
{
    if (!m_lastChannel || !m_events.isEmpty() || m_body.active || m_state != State::Open || m_isLogged)
        return false;
    qsizetype size = m_lastChannel->matchLastDelivery(m_input.bytes(), delivery);
    if (size == 0)
        size = matchDelivery(delivery);
    if (size == 0 || delivery.body.size() > qsizetype(m_receiveFrameMax - Wire::FrameOverhead) ||
        delivery.body.size() > m_settings.maximumMessageSize || m_lastChannel->isReceivingContent())
        return false;
    m_input.consume(size); // the bytes stay where they are until the next read
    m_readsShort = quint64(delivery.body.size()) >= LargeBody;
    return m_lastChannel->takesDelivery(*delivery.consumer, delivery.deliveryTag);
}

// Consumers may take turns. If it matches, its channel is the last one now.
qsizetype ConnectionEngine::matchDelivery(RepeatedDelivery &delivery)
{
    const auto address = DeliveryPattern::address(m_input.bytes());
    ChannelEngine *channel = address ? slotOf(address->channel).channel : nullptr;
    const qsizetype size = channel ? channel->matchDelivery(address->consumerTag, m_input.bytes(), delivery) : 0;
    if (size > 0)
        m_lastChannel = channel;
    return size;
}

ConnectionEngine::Step ConnectionEngine::decode()
{
    if (m_state == State::Idle || m_state == State::Closed)
        return Step::NeedInput;
    if (m_body.active)
        return decodeBodyStream();
    const QByteArrayView bytes = m_input.bytes();
    if (m_state == State::HeaderSent && !checkFirstBytes(bytes))
        return m_state == State::Closed ? Step::Done : Step::NeedInput;
    if (bytes.size() < Wire::FrameHeaderSize)
        return Step::NeedInput;
    const Wire::FrameHeader frame = Wire::readFrameHeader(bytes.data());
    if (!checkFrame(frame))
        return Step::Done;
    if (frame.type == quint8(Wire::FrameType::Body)) {
        m_input.consume(Wire::FrameHeaderSize);
        return onBodyFrame(frame);
    }
    if (frame.type == quint8(Wire::FrameType::Header) && frame.size > methodFrameLimit())
        return skipHeaderFrame(frame);
    const qsizetype size = qsizetype(frame.size) + Wire::FrameOverhead;
    if (bytes.size() < size)
        return Step::NeedInput;
    if (quint8(bytes[size - 1]) != Wire::FrameEnd) {
        failFraming(u"a frame does not end with frame-end"_s);
        return Step::Done;
    }
    const QByteArrayView payload = bytes.sliced(Wire::FrameHeaderSize, frame.size);
    m_input.consume(size); // the bytes stay where they are until the next read
    if (frame.type == quint8(Wire::FrameType::Method))
        onMethodFrame(frame.channel, payload);
    else if (frame.type == quint8(Wire::FrameType::Header))
        return onHeaderFrame(frame.channel, payload);
    return Step::Done;
}

// `version`: the last four bytes of a protocol header.
static QString describeProtocol(QByteArrayView version)
{
    const auto byte = [version](qsizetype index) { return quint8(version[index]); };
    QString name;
    if (byte(1) == 1 && byte(2) == 0 && byte(3) == 0)
        name = u"AMQP 1.0"_s; // the first byte says whether TLS or SASL comes first
    else if (byte(0) == 0 && byte(1) == 0)
        name = u"AMQP %1-%2-%3"_s.arg(byte(1)).arg(byte(2)).arg(byte(3));
    else if (byte(0) == 1 && byte(1) == 1)
        name = byte(2) > 0 ? u"AMQP 0-%1"_s.arg(byte(2)) : u"AMQP 0-%1"_s.arg(byte(3));
    else
        name = u"another version of AMQP"_s;
    return u"it speaks %1 (protocol header %2 %3 %4 %5)"_s.arg(name).arg(byte(0)).arg(byte(1)).arg(byte(2)).arg(
        byte(3));
}

bool ConnectionEngine::checkFirstBytes(QByteArrayView bytes)
{
    const auto beginsWith = [bytes](QByteArrayView prefix) {
        const qsizetype size = std::min(bytes.size(), prefix.size());
        return size > 0 && bytes.first(size) == prefix.first(size);
    };
    const auto refuse = [this](const QString &what) {
        finish(Error(ErrorKind::ProtocolViolation, u"the server does not speak AMQP 0-9-1: %1"_s.arg(what)), false);
        return false;
    };
    if (beginsWith("AMQP")) {
        if (bytes.size() < Wire::ProtocolHeader.size())
            return false;
        return refuse(describeProtocol(bytes.sliced(4, 4)));
    }
    if (beginsWith("HTTP/"))
        return bytes.size() < 5 ? false : refuse(u"it speaks HTTP"_s);
    if (beginsWith(QByteArrayView("\x15\x03", 2)))
        return bytes.size() < 2 ? false : refuse(u"it speaks TLS"_s);
    return true;
}

bool ConnectionEngine::checkFrame(const Wire::FrameHeader &frame)
{
    const auto refuse = [this](const QString &text) {
        fail(Wire::ReplyCode::FrameError, text);
        return false;
    };
    switch (frame.type) {
    case quint8(Wire::FrameType::Method):
    case quint8(Wire::FrameType::Header):
        // Correct brokers exceed frame-max here: with each death a message's x-death header grows.
        if (frame.size <= methodFrameLimit() ||
            (frame.type == quint8(Wire::FrameType::Header) && m_state >= State::Open))
            return true;
        return refuse(
            u"a method or header frame of %1 bytes, at most %2 are accepted"_s.arg(frame.size).arg(methodFrameLimit()));
    case quint8(Wire::FrameType::Body):
        if (frame.size > m_receiveFrameMax - Wire::FrameOverhead)
            return refuse(u"a body frame of %1 bytes with frame-max %2"_s.arg(frame.size).arg(m_receiveFrameMax));
        return true;
    case quint8(Wire::FrameType::Heartbeat):
        if (frame.channel != 0 || frame.size != 0)
            return refuse(u"a heartbeat on channel %1 with %2 bytes"_s.arg(frame.channel).arg(frame.size));
        return true;
    default:
        failFraming(u"a frame of unknown type %1"_s.arg(frame.type));
        return false;
    }
}

void ConnectionEngine::onMethodFrame(quint16 number, QByteArrayView payload)
{
    if (payload.size() < 4)
        return fail(Wire::ReplyCode::SyntaxError, u"a method frame of %1 bytes"_s.arg(payload.size()));
    logMethod("received", number, payload);
    const Wire::MethodId id{qFromBigEndian<quint16>(payload.data()), qFromBigEndian<quint16>(payload.data() + 2)};
    const QByteArrayView arguments = payload.sliced(4);
    const bool isGoodbye = number == 0 && (id == Wire::ConnectionClose::id || id == Wire::ConnectionCloseOk::id);
    if (m_state == State::CloseSent && !isGoodbye)
        return;

    const qsizetype outstandingCalls = m_calls.outstanding();
    Wire::Visit visit = Wire::Visit::Done;
    if (number == 0) {
        visit = Wire::visitMethod(id, arguments, [this](const auto &method) { on(method); });
    } else {
        const Slot slot = slotOf(number);
        if (slot.resting)
            return onRestingMethod(number, id);
        if (slot.lingering && isLate(number, id))
            return;
        if (!slot.channel || !slot.channel->isOnWire())
            return fail(Wire::ReplyCode::ChannelError, u"a method on channel %1, which is not open"_s.arg(number));
        if (slot.channel->isReceivingContent())
            return fail(Wire::ReplyCode::UnexpectedFrame,
                        u"a method on channel %1 where content was expected"_s.arg(number));
        visit = slot.channel->receive(id, arguments);
        if (id == Wire::BasicDeliver::id && visit == Wire::Visit::Done && slot.channel->isReceivingContent()) {
            if (DeliveryPattern *pattern = slot.channel->makePattern())
                pattern->method(wholeFrame(payload));
        }
    }
    const auto describe = [id] {
        const char *name = Wire::methodName(id);
        return name ? QString::fromLatin1(name) : u"method %1.%2"_s.arg(id.classId).arg(id.methodId);
    };
    switch (visit) {
    case Wire::Visit::Done:
        break;
    case Wire::Visit::UnknownMethod:
        fail(Wire::ReplyCode::NotImplemented, u"%1 is not known"_s.arg(describe()));
        break;
    case Wire::Visit::Malformed:
        fail(Wire::ReplyCode::SyntaxError, u"the arguments of %1 are malformed"_s.arg(describe()));
        break;
    }
    if (m_calls.outstanding() < outstandingCalls) // an answer
        noteCloseProgress(m_now);
}

void ConnectionEngine::onRestingMethod(quint16 number, Wire::MethodId id)
{
    if (id == Wire::ChannelCloseOk::id) {
        noteCloseProgress(m_now);
        numberClosed(number, false);
    } else if (id == Wire::ChannelClose::id) {
        send(number, Wire::ChannelCloseOk{});
    }
}

bool ConnectionEngine::isLate(quint16 number, Wire::MethodId id)
{
    Slot &slot = m_slots[number];
    if (id == Wire::ChannelOpenOk::id && slot.channel && slot.channel->isOnWire())
        slot.lingering = false;
    return slot.lingering && id != Wire::ChannelClose::id;
}

template <typename Method>
void ConnectionEngine::on(const Method &)
{
    if constexpr (Method::hasContent)
        fail(Wire::ReplyCode::ChannelError, u"%1 on channel 0"_s.arg(QLatin1StringView(Method::name)));
    else
        unexpected(Method::name);
}

// False: its frames are skipped, or it was a fault.
bool ConnectionEngine::checkContentChannel(quint16 number)
{
    if (m_state == State::CloseSent)
        return false;
    const Slot slot = slotOf(number);
    if (slot.resting || slot.lingering)
        return false;
    if (slot.channel && slot.channel->isOnWire())
        return true;
    fail(Wire::ReplyCode::ChannelError,
         number == 0 ? u"content on channel 0"_s : u"content on channel %1, which is not open"_s.arg(number));
    return false;
}

ChannelEngine *ConnectionEngine::channelOfHeader(quint16 number, const Wire::ContentHeader &header, bool isComplete)
{
    if (!checkContentChannel(number))
        return nullptr;
    ChannelEngine *channel = slotOf(number).channel;
    if (channel->contentState() != Assembler::State::Header)
        fail(Wire::ReplyCode::UnexpectedFrame,
             u"a content header on channel %1 without a method that has content"_s.arg(number));
    else if (!isComplete)
        fail(Wire::ReplyCode::SyntaxError, u"a truncated content header"_s);
    else if (header.classId != Wire::BasicDeliver::id.classId)
        fail(Wire::ReplyCode::UnexpectedFrame, u"a content header of class %1"_s.arg(header.classId));
    else if (header.bodySize > quint64(std::numeric_limits<qint64>::max()))
        fail(Wire::ReplyCode::FrameError, u"a content of %1 bytes"_s.arg(header.bodySize));
    else
        return channel;
    return nullptr;
}

ConnectionEngine::Step ConnectionEngine::onHeaderFrame(quint16 number, QByteArrayView payload)
{
    Wire::ContentHeader header;
    const bool isComplete = Wire::decodeContentHeader(payload, header);
    ChannelEngine *channel = channelOfHeader(number, header, isComplete);
    if (!channel)
        return Step::Done;
    if (header.undecodable)
        noteUndecodable(*channel, header.undecodable);
    m_readsShort = header.bodySize >= LargeBody;
    if (DeliveryPattern *pattern = channel->makePattern())
        pattern->header(wholeFrame(payload));
    channel->onHeader(header);
    return completeContent(channel);
}

// The publisher of the message causes its size, so the fault must not cost more than its consumer.
ConnectionEngine::Step ConnectionEngine::skipHeaderFrame(const Wire::FrameHeader &frame)
{
    const QByteArrayView bytes = m_input.bytes();
    constexpr qsizetype Beginning = Wire::FrameHeaderSize + Wire::ContentHeaderPrefix;
    if (bytes.size() < Beginning)
        return Step::NeedInput;
    Wire::ContentHeader header;
    Wire::decodeContentHeader(bytes.sliced(Wire::FrameHeaderSize, Wire::ContentHeaderPrefix), header);
    m_input.consume(Beginning);
    ChannelEngine *channel = channelOfHeader(frame.channel, header, true);
    if (m_state == State::Closed)
        return Step::Done;
    m_body = {.active = true, .channel = nullptr, .remaining = frame.size - quint32(Wire::ContentHeaderPrefix)};
    if (!channel)
        return Step::Done;
    channel->skipContent(header.bodySize, u"a content header of %1 bytes"_s.arg(frame.size), methodFrameLimit());
    return completeContent(channel);
}

void ConnectionEngine::noteUndecodable(const ChannelEngine &channel, const char *what)
{
    using namespace std::chrono_literals;
    ++m_undecodableSince;
    if (m_undecodableWarned && m_now - *m_undecodableWarned < 1min)
        return;
    m_undecodableWarned = m_now;
    const Assembler &content = channel.content();
    qCWarning(lcChannel).nospace() << "Channel " << channel.number()
                                   << ": the headers of a message stay undecoded: " << what << " (exchange "
                                   << Wire::decodeText(content.exchange()) << ", routing key "
                                   << Wire::decodeText(content.routingKey())
                                   << ", such headers since the last warning: " << std::exchange(m_undecodableSince, 0)
                                   << ')';
}

ConnectionEngine::Step ConnectionEngine::onBodyFrame(const Wire::FrameHeader &frame)
{
    ChannelEngine *channel = checkContentChannel(frame.channel) ? slotOf(frame.channel).channel : nullptr;
    if (m_state == State::Closed)
        return Step::Done;
    if (channel) {
        if (channel->contentState() != Assembler::State::Body) {
            fail(Wire::ReplyCode::UnexpectedFrame,
                 u"a body on channel %1 without a content header"_s.arg(frame.channel));
            return Step::Done;
        }
        if (const quint64 missing = channel->content().bodyRemaining(); frame.size > missing) {
            fail(Wire::ReplyCode::FrameError,
                 u"a body frame of %1 bytes where %2 are missing"_s.arg(frame.size).arg(missing));
            return Step::Done;
        }
    }
    m_body = {.active = true, .channel = channel, .remaining = frame.size};
    return decodeBodyStream();
}

ConnectionEngine::Step ConnectionEngine::decodeBodyStream()
{
    if (const qsizetype part = std::min<qsizetype>(m_input.bytes().size(), m_body.remaining); part > 0) {
        if (m_body.channel)
            m_body.channel->content().append(m_input.bytes().first(part), m_body.remaining);
        m_input.consume(part);
        m_body.remaining -= quint32(part);
    }
    if (m_body.remaining > 0 || m_input.isEmpty())
        return Step::NeedInput;
    const bool ended = quint8(m_input.bytes().front()) == Wire::FrameEnd;
    m_input.consume(1);
    ChannelEngine *channel = std::exchange(m_body, {}).channel;
    if (!ended) {
        failFraming(u"a frame does not end with frame-end"_s);
        return Step::Done;
    }
    return channel ? completeContent(channel) : Step::Done;
}

ConnectionEngine::Step ConnectionEngine::completeContent(ChannelEngine *channel)
{
    if (channel->contentState() != Assembler::State::Complete)
        return Step::Done;
    if (!channel->completeContent(m_delivered))
        return Step::Done;
    m_lastChannel = channel;
    m_delivered.consumer->pattern->delivered();
    return Step::Delivery;
}

} // namespace AmqpQt::Engine
