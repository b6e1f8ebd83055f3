// SPDX-License-Identifier: MIT

// The part of EngineExerciser that is the socket, the clock and the broker.

#include "support/engineexerciser.h"

#include <algorithm>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using State = Engine::ConnectionEngine::State;
using WireSupport::FieldFiller;

void EngineExerciser::start()
{
    if (engineState() == State::Open || engineState() == State::CloseSent || m_engine.isClosing())
        return;
    if (m_isStarted && !m_isTold && engineState() == State::Closed)
        return; // its end is still to be reported
    handshake();
}

// A start, and a broker that is well-behaved for as long as the script says.
void EngineExerciser::handshake()
{
    m_rules = {};
    m_rules.setFrameMax(Wire::SpecFrameMinimum);
    m_sentBytes.clear();
    m_frame.clear();
    m_peer.clear();
    m_headerSent = m_startAsked = false;
    m_isSpoilt = m_isStalled = false;
    m_isStarted = true;
    m_isOpened = m_isTold = false;
    if (m_engine.start(m_settings, m_now).isError())
        return fail(u"start() refused"_s);
    m_engine.transportConnected();
    const int steps = m_begin == Begin::Open ? 3 : m_script.byte() % 8;
    for (int i = 0; i < steps && m_failure.isEmpty() && engineState() != State::Closed; ++i) {
        write(std::numeric_limits<qint64>::max());
        if (m_peer[0].asked.empty() && !m_startAsked)
            break;
        answerOn(0);
    }
}

void EngineExerciser::loseTransport()
{
    m_engine.transportClosed(Error(ErrorKind::Network, u"lost"_s));
}

void EngineExerciser::tick()
{
    const int step = m_script.byte();
    m_now += std::chrono::milliseconds(step * step / 4);
    const bool wasOver = isOver();
    m_engine.tick(m_now, m_script.chance(200));
    if (wasOver && m_engine.hasInput())
        fail(u"time passed after the end, and something happened"_s);
}

void EngineExerciser::writeSome()
{
    m_isStalled = true;
    m_engine.prepareOutput(m_now);
    write(m_script.byte());
}

void EngineExerciser::stall()
{
    m_isStalled = !m_isStalled;
}

void EngineExerciser::releaseMemory()
{
    if (!m_engine.hasInput())
        m_engine.releaseIdleMemory();
}

void EngineExerciser::write(qint64 limit)
{
    for (QByteArrayView bytes = m_engine.output(); !bytes.isEmpty() && limit > 0; bytes = m_engine.output()) {
        const QByteArrayView part = bytes.first(std::min<qint64>(limit, bytes.size()));
        m_sentBytes.append(part);
        limit -= part.size();
        m_engine.written(part.size(), m_now);
    }
    parseSent();
}

void EngineExerciser::parseSent()
{
    if (!m_headerSent && m_sentBytes.size() >= Wire::ProtocolHeader.size()) {
        if (!m_sentBytes.startsWith(Wire::ProtocolHeader))
            fail(u"no protocol header was sent"_s);
        m_sentBytes.remove(0, Wire::ProtocolHeader.size());
        m_headerSent = m_startAsked = true;
    }
    qsizetype at = 0;
    while (m_headerSent && m_sentBytes.size() - at >= Wire::FrameOverhead) {
        const Wire::FrameHeader header = Wire::readFrameHeader(m_sentBytes.constData() + at);
        if (header.size > 131072)
            return fail(u"a frame of %1 bytes was sent"_s.arg(header.size));
        const qsizetype size = qsizetype(header.size) + Wire::FrameOverhead;
        if (m_sentBytes.size() - at < size)
            break;
        if (quint8(m_sentBytes[at + size - 1]) != Wire::FrameEnd)
            return fail(u"a frame without its end was sent"_s);
        onSent(
            {Wire::FrameType(header.type), header.channel, m_sentBytes.mid(at + Wire::FrameHeaderSize, header.size)});
        at += size;
    }
    m_sentBytes.remove(0, at);
}

void EngineExerciser::onSent(const SentFrame &frame)
{
    if (const QString offence = m_rules.sent(frame); !offence.isEmpty())
        return fail(u"%1: %2"_s.arg(offence, frame.describe()));
    if (frame.type != Wire::FrameType::Method)
        return;
    PeerChannel &channel = m_peer[frame.channel];
    if (frame.is(Wire::ChannelOpen::id))
        channel = {};
    const Wire::MethodId id{qFromBigEndian<quint16>(frame.payload.constData()),
                            qFromBigEndian<quint16>(frame.payload.constData() + 2)};
    if (frame.is(Wire::ConfirmSelect::id))
        channel.confirms = true;
    else if (frame.is(Wire::BasicPublish::id) && channel.confirms)
        ++channel.published;
    const auto visit = Wire::visitMethod(id, QByteArrayView(frame.payload).sliced(4), [&]<typename M>(const M &method) {
        if constexpr (!M::toServer)
            fail(u"a method for clients was sent: "_s + frame.describe());
        bool isAsking = !std::is_void_v<typename M::Reply>;
        if constexpr (std::is_same_v<M, Wire::BasicCancel>) {
            isAsking = !method.noWait;
            if (method.noWait)
                channel.consumers.removeAll(method.consumerTag.toByteArray());
        }
        if (isAsking)
            channel.asked.push_back(frame);
        if constexpr (std::is_same_v<M, Wire::ConnectionStartOk>)
            channel.asked.push_back(frame); // tune answers it
        if constexpr (std::is_same_v<M, Wire::BasicConsume>) {
            const QByteArray tag = method.consumerTag.toByteArray();
            channel.consumers.push_back(tag);
            if (method.noAck)
                channel.noAck.insert(tag);
            else
                channel.noAck.remove(tag);
        }
    });
    if (visit != Wire::Visit::Done)
        fail(u"malformed: "_s + frame.describe());
}

quint16 EngineExerciser::anyNumber()
{
    const quint8 choice = m_script.byte();
    if (choice >= 240)
        return choice % 4;
    std::vector<quint16> open;
    for (const auto &channel : m_channels) {
        if (channel->engine && channel->engine->state() != Engine::ChannelEngine::State::Closed)
            open.push_back(channel->engine->number());
    }
    return open.empty() ? 1 : open[choice % open.size()];
}

void EngineExerciser::send(const QByteArray &bytes)
{
    if (!std::exchange(m_isSpoilt, false))
        return feed(bytes);
    QRandomGenerator random(m_script.number());
    feed(WireSupport::mutated(bytes, random));
}

// Feeds frame by frame, so that WireRules sees each frame before the engine's answer.
void EngineExerciser::feed(QByteArrayView bytes)
{
    while (!bytes.isEmpty()) {
        const qsizetype size = m_frame.size() < Wire::FrameHeaderSize
                                   ? Wire::FrameHeaderSize
                                   : qsizetype(Wire::readFrameHeader(m_frame.constData()).size) + Wire::FrameOverhead;
        const QByteArrayView part = bytes.first(std::min(size - m_frame.size(), bytes.size()));
        bytes = bytes.sliced(part.size());
        m_frame.append(part);
        feedPart(part, m_frame.size() == size && size >= Wire::FrameOverhead);
    }
}

void EngineExerciser::feedPart(QByteArrayView part, bool endsFrame)
{
    if (endsFrame) {
        const Wire::FrameHeader header = Wire::readFrameHeader(m_frame.constData());
        const bool isMethod = header.type == quint8(Wire::FrameType::Method) && header.size >= 4;
        const quint32 id = isMethod ? qFromBigEndian<quint32>(m_frame.constData() + Wire::FrameHeaderSize) : 0;
        for (const Wire::MethodId method : {Wire::ChannelClose::id, Wire::ChannelCloseOk::id, Wire::ConnectionClose::id,
                                            Wire::TxCommitOk::id, Wire::TxRollbackOk::id}) {
            if (id == method.value()) {
                write(std::numeric_limits<qint64>::max()); // the broker has seen what was sent before
                m_rules.received(header.channel, method);
            }
        }
        m_frame.clear();
    }
    const bool wasOver = isOver();
    const int toldBefore = m_told;
    while (!part.isEmpty()) {
        part = part.sliced(m_engine.feed(part, m_now));
        drain();
    }
    if (wasOver && m_told != toldBefore)
        fail(u"bytes that came after the end changed something"_s);
    if (m_engine.handshake().step() >= Engine::Handshake::Step::AwaitsOpenOk && engineState() != State::Closed)
        m_rules.setFrameMax(m_engine.frameMax());
}

template <typename Method>
QByteArray EngineExerciser::filled(quint16 channel)
{
    FieldFiller filler(m_script.number());
    Method method;
    Method::fields(method, filler);
    return Wire::encodeFrame(channel, method);
}

Content EngineExerciser::anyContent()
{
    static constexpr int sizes[] = {0, 1, 300, 4088, 5000, 30'000, 99'999, 100'001};
    Content content;
    content.body = QByteArray(sizes[std::min<int>(m_script.byte() % 12, 7)], 'd');
    content.redelivered = m_script.chance(64);
    if (m_script.chance(64))
        content.properties = QByteArray("\x90\0\x04text\x02", 8);
    return content;
}

void EngineExerciser::answer()
{
    std::vector<quint16> asked;
    for (const auto &[number, channel] : m_peer) {
        if (!channel.asked.empty())
            asked.push_back(number);
    }
    if (m_startAsked)
        answerOn(0);
    else if (!asked.empty())
        answerOn(asked[m_script.byte() % asked.size()]);
}

void EngineExerciser::answerOn(quint16 number)
{
    if (std::exchange(m_startAsked, false))
        return send(Wire::encodeFrame(0, Wire::ConnectionStart{.versionMinor = 9,
                                                               .serverProperties = {Script::serverProperties()},
                                                               .mechanisms = "PLAIN",
                                                               .locales = "en_US"}));
    PeerChannel &channel = m_peer[number];
    const SentFrame asked = std::move(channel.asked.front());
    channel.asked.pop_front();
    const Wire::MethodId id{qFromBigEndian<quint16>(asked.payload.constData()),
                            qFromBigEndian<quint16>(asked.payload.constData() + 2)};
    const quint32 frameMax = m_engine.frameMax() ? m_engine.frameMax() : 131072;
    QByteArray bytes;
    Wire::visitMethod(id, QByteArrayView(asked.payload).sliced(4), [&]<typename M>(const M &method) {
        using Reply = typename M::Reply;
        if constexpr (std::is_same_v<M, Wire::ConnectionStartOk>) {
            static constexpr quint32 frameMaxes[] = {131072, 4096, 0, 10'000};
            bytes = Wire::encodeFrame(0, Wire::ConnectionTune{.channelMax = quint16(m_script.chance(32) ? 2 : 2047),
                                                              .frameMax = frameMaxes[m_script.byte() % 4],
                                                              .heartbeat = 60});
        } else if constexpr (std::is_same_v<M, Wire::BasicGet>) {
            if (m_script.chance(64))
                bytes = Wire::encodeFrame(number, Wire::BasicGetEmpty{});
            else
                bytes = Wire::encodeFrame(number, Wire::BasicGetOk{.deliveryTag = ++channel.deliveryTag,
                                                                   .exchange = "exchange",
                                                                   .routingKey = "key"}) +
                        Script::contentFrames(number, anyContent(), frameMax);
        } else if constexpr (std::is_same_v<M, Wire::BasicConsume> || std::is_same_v<M, Wire::BasicCancel>) {
            if constexpr (std::is_same_v<M, Wire::BasicCancel>)
                channel.consumers.removeAll(method.consumerTag.toByteArray());
            bytes = Wire::encodeFrame(number, Reply{.consumerTag = method.consumerTag});
        } else if constexpr (!std::is_void_v<Reply>) {
            bytes = filled<Reply>(number);
        }
    });
    send(bytes);
}

void EngineExerciser::deliver()
{
    const quint16 number = anyNumber();
    PeerChannel &channel = m_peer[number];
    if (channel.consumers.isEmpty())
        return;
    const QByteArray tag = channel.consumers[m_script.byte() % channel.consumers.size()];
    const bool isCounted = !channel.noAck.contains(tag) || m_script.chance(128); // else as one of direct reply-to
    send(Script::deliverFrames(tag, channel.deliveryTag + 1, anyContent(), number));
    channel.deliveryTag += isCounted;
}

void EngineExerciser::returnMessage()
{
    const quint16 number = anyNumber();
    if (m_engine.channel(number))
        send(filled<Wire::BasicReturn>(number) + Script::contentFrames(number, anyContent()));
}

void EngineExerciser::confirm()
{
    const quint16 number = anyNumber();
    const quint64 published = m_peer[number].published;
    const quint64 tag = m_script.byte() % (published + (m_hasFaults ? 2 : 1));
    const bool multiple = m_script.chance(128) || tag == 0;
    if (published == 0)
        return;
    if (m_script.chance(64))
        send(Wire::encodeFrame(number, Wire::BasicNack{.deliveryTag = tag, .multiple = multiple}));
    else
        send(Wire::encodeFrame(number, Wire::BasicAck{.deliveryTag = tag, .multiple = multiple}));
}

void EngineExerciser::cancelByBroker()
{
    const quint16 number = anyNumber();
    PeerChannel &channel = m_peer[number];
    if (channel.consumers.isEmpty())
        return;
    const QByteArray tag = channel.consumers.takeAt(m_script.byte() % channel.consumers.size());
    send(Wire::encodeFrame(number,
                           Wire::BasicCancel{.consumerTag = QByteArrayView(tag), .noWait = m_script.chance(200)}));
}

void EngineExerciser::closeByBroker()
{
    if (m_script.chance(40))
        return send(filled<Wire::ConnectionClose>(0));
    const quint16 number = anyNumber();
    if (number == 0 || !m_engine.channel(number))
        return;
    PeerChannel &channel = m_peer[number];
    std::erase_if(channel.asked, [](const SentFrame &asked) { return !asked.is(Wire::ChannelClose::id); });
    channel.consumers.clear();
    send(filled<Wire::ChannelClose>(number));
}

void EngineExerciser::control()
{
    switch (m_script.byte() % 4) {
    case 0:
        return send(Wire::encodeFrame(anyNumber(), Wire::ChannelFlow{.active = m_script.chance(128)}));
    case 1:
        return send(filled<Wire::ConnectionBlocked>(0));
    case 2:
        return send(Wire::encodeFrame(0, Wire::ConnectionUnblocked{}));
    case 3:
        return send(Script::frame(Wire::FrameType::Heartbeat, 0, {}));
    }
}

void EngineExerciser::sendAnyMethod()
{
    if (!m_hasFaults)
        return;
    static const auto methods = [] {
        std::vector<QByteArray (EngineExerciser::*)(quint16)> all;
        WireSupport::forEachMethod([&]<typename M>() {
            if constexpr (M::toClient)
                all.push_back(&EngineExerciser::filled<M>);
        });
        return all;
    }();
    const auto any = methods[m_script.byte() % methods.size()];
    send((this->*any)(anyNumber()));
}

void EngineExerciser::sendAnyContent()
{
    if (!m_hasFaults)
        return;
    const quint16 number = anyNumber();
    const Content content = anyContent();
    switch (m_script.byte() % 3) {
    case 0:
        return send(Script::headerFrame(number, m_script.number(), content.properties));
    case 1:
        return send(Script::frame(Wire::FrameType::Body, number, content.body));
    case 2:
        return send(filled<Wire::BasicDeliver>(number) + Script::contentFrames(number, content));
    }
}

void EngineExerciser::sendAnyBytes()
{
    if (m_hasFaults)
        send(m_script.take(m_script.byte() % 64));
}

void EngineExerciser::spoil()
{
    m_isSpoilt = m_hasFaults;
}
