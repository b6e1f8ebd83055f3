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
    if (m_isStarted && !m_isEndReported && engineState() == State::Closed)
        return; // its end is still to be reported
    handshake();
}

// Starts a connection to a broker that follows the protocol for as long as the script says.
void EngineExerciser::handshake()
{
    m_session = {};
    m_peer.clear();
    m_startAsked = false;
    m_isSpoilt = m_isStalled = false;
    m_isStarted = true;
    m_isOpened = m_isEndReported = false;
    if (m_engine.start(m_settings, m_now).isError())
        return fail(u"start() failed"_s);
    m_engine.handshake().transportReady({});
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
        const bool hadHeader = m_session.hasProtocolHeader();
        for (QByteArrayView left = part; !left.isEmpty();) {
            if (const std::optional<Frame> frame = m_session.nextReceived(left))
                onSent(*frame);
        }
        m_startAsked = m_startAsked || (m_session.hasProtocolHeader() && !hadHeader);
        limit -= part.size();
        m_engine.written(part.size(), m_now);
    }
    if (const QStringList violations = m_session.takeViolations(); !violations.isEmpty())
        fail(violations.join(u", "_s));
}

void EngineExerciser::onSent(const Frame &frame)
{
    if (frame.type != Wire::FrameType::Method)
        return;
    PeerChannel &channel = m_peer[frame.channel];
    if (frame.is(Wire::ChannelOpen::id))
        channel = {};
    if (frame.is(Wire::ConfirmSelect::id))
        channel.confirms = true;
    else if (frame.is(Wire::BasicPublish::id) && channel.confirms)
        ++channel.published;
    if (frame.payload.size() < 4)
        return; // a violation
    Wire::visitMethod(frame.methodId(), frame.arguments(), [&]<typename M>(const M &method) {
        bool isAsking = !std::is_void_v<typename M::Reply>;
        if constexpr (std::is_same_v<M, Wire::BasicCancel>) {
            isAsking = !method.noWait;
            if (method.noWait)
                channel.consumers.removeAll(method.consumerTag.toByteArray());
        }
        if (isAsking)
            channel.asked.push_back(frame);
        if constexpr (std::is_same_v<M, Wire::ConnectionStartOk> || std::is_same_v<M, Wire::ConnectionSecureOk>)
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

// Feeds frame by frame, and notes each frame before the engine can answer it.
void EngineExerciser::feed(QByteArrayView bytes)
{
    while (!bytes.isEmpty()) {
        QByteArrayView left = bytes;
        if (const std::optional<Frame> frame = m_session.nextSent(left)) {
            for (const Wire::MethodId id : {Wire::ChannelClose::id, Wire::ChannelCloseOk::id, Wire::ConnectionClose::id,
                                            Wire::TxCommitOk::id, Wire::TxRollbackOk::id}) {
                if (frame->is(id))
                    write(std::numeric_limits<qint64>::max()); // the broker has seen everything sent before
            }
            m_session.apply(*frame);
        }
        const qsizetype size = bytes.size() - left.size();
        const qsizetype header = std::min(size, Wire::FrameHeaderSize);
        feedPart(bytes.first(header));
        feedPart(bytes.first(size).sliced(header));
        bytes = left;
    }
}

void EngineExerciser::feedPart(QByteArrayView part)
{
    const bool wasOver = isOver();
    const int countBefore = m_eventCount;
    while (!part.isEmpty()) {
        part = part.sliced(feedEngine(m_engine, part, m_now));
        drain();
    }
    if (wasOver && m_eventCount != countBefore)
        fail(u"bytes that came after the end changed something"_s);
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
    if (std::exchange(m_startAsked, false)) {
        const QByteArray mechanism = m_begin != Begin::Open && m_script.chance(64) ? "OWN" : "PLAIN";
        return send(Wire::encodeFrame(0, connectionStart(encodedServerProperties(), mechanism, "en_US")));
    }
    PeerChannel &channel = m_peer[number];
    const Frame asked = std::move(channel.asked.front());
    channel.asked.pop_front();
    const quint32 frameMax = m_engine.handshake().agreed().frameMax ? m_engine.handshake().agreed().frameMax : 131072;
    QByteArray bytes;
    Wire::visitMethod(asked.methodId(), asked.arguments(), [&]<typename M>(const M &method) {
        using Reply = typename M::Reply;
        if constexpr (std::is_same_v<M, Wire::ConnectionStartOk> || std::is_same_v<M, Wire::ConnectionSecureOk>) {
            if (m_engine.handshake().mechanism() == "OWN" && m_script.chance(64)) {
                bytes = Wire::encodeFrame(0, Wire::ConnectionSecure{.challenge = "challenge"});
                return;
            }
            static constexpr quint32 frameMaxes[] = {131072, 4096, 0, 10'000};
            Offer offer;
            offer.channelMax = m_script.chance(32) ? 2 : 2047;
            offer.frameMax = frameMaxes[m_script.byte() % 4];
            bytes = Wire::encodeFrame(0, offer.tune());
        } else if constexpr (std::is_same_v<M, Wire::BasicGet>) {
            if (m_script.chance(64))
                bytes = Wire::encodeFrame(number, Wire::BasicGetEmpty{});
            else
                bytes = Wire::encodeFrame(number, Wire::BasicGetOk{.deliveryTag = ++channel.deliveryTag,
                                                                   .exchange = "exchange",
                                                                   .routingKey = "key"}) +
                        contentFrames(number, anyContent(), frameMax);
        } else if constexpr (std::is_same_v<M, Wire::BasicConsume> || std::is_same_v<M, Wire::BasicCancel>) {
            if constexpr (std::is_same_v<M, Wire::BasicCancel>)
                channel.consumers.removeAll(method.consumerTag.toByteArray());
            bytes = Wire::encodeFrame(number, replyTo(method));
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
    const bool isCounted = !channel.noAck.contains(tag) || m_script.chance(128); // otherwise like direct reply-to
    send(deliverFrames(tag, channel.deliveryTag + 1, anyContent(), number));
    channel.deliveryTag += isCounted;
}

void EngineExerciser::returnMessage()
{
    const quint16 number = anyNumber();
    if (m_engine.channel(number))
        send(filled<Wire::BasicReturn>(number) + contentFrames(number, anyContent()));
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
    std::erase_if(channel.asked, [](const Frame &asked) { return !asked.is(Wire::ChannelClose::id); });
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
        return send(encodeFrame(Wire::FrameType::Heartbeat, 0, {}));
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
        return send(headerFrame(number, m_script.number(), content.properties));
    case 1:
        return send(encodeFrame(Wire::FrameType::Body, number, content.body));
    case 2:
        return send(filled<Wire::BasicDeliver>(number) + contentFrames(number, content));
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
