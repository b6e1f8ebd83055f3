// SPDX-License-Identifier: MIT
#include "support/enginepeer.h"
#include "support/wiresupport.h"

#include <algorithm>
#include <limits>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using State = Engine::ConnectionEngine::State;
using WireSupport::FieldFiller;

EnginePeer::EnginePeer(ScriptBytes &script, Engine::ConnectionEngine &engine, EngineObserver &observer,
                       const Engine::Settings &settings, bool hasFaults)
    : m_script(script)
    , m_engine(engine)
    , m_observer(observer)
    , m_settings(settings)
    , m_hasFaults(hasFaults)
{
}

const std::vector<EnginePeer::Operation> &EnginePeer::operations()
{
    using P = EnginePeer;
    static const std::vector<Operation> all = {
        {"start", 4, &P::start},
        {"loseTransport", 1, &P::loseTransport},
        {"tick", 6, &P::tick},
        {"writeSome", 4, &P::writeSome},
        {"stall", 3, &P::stall},
        {"releaseMemory", 2, &P::releaseMemory},
        {"answer", 40, &P::answer},
        {"deliver", 20, &P::deliver},
        {"returnMessage", 4, &P::returnMessage},
        {"confirm", 8, &P::confirm},
        {"cancelByBroker", 4, &P::cancelByBroker},
        {"closeByBroker", 3, &P::closeByBroker},
        {"control", 6, &P::control},
        {"sendAnyMethod", 3, &P::sendAnyMethod},
        {"sendAnyContent", 3, &P::sendAnyContent},
        {"sendAnyBytes", 2, &P::sendAnyBytes},
        {"spoil", 2, &P::spoil},
    };
    return all;
}

void EnginePeer::act()
{
    const Operation &operation = m_script.anyOf(operations());
    m_observer.setOperation(operation.name);
    (this->*operation.run)();
}

void EnginePeer::handshake(int steps)
{
    m_session = {};
    m_channels.clear();
    m_startAsked = false;
    m_isSpoilt = m_isStalled = false;
    m_observer.noteStart();
    if (m_engine.start(m_settings, m_now).isError())
        return m_observer.fail(u"start() failed"_s);
    m_engine.handshake().transportReady({});
    for (int i = 0; i < steps && !m_observer.hasFailed() && m_engine.state() != State::Closed; ++i) {
        write(std::numeric_limits<qint64>::max());
        if (m_channels[0].asked.empty() && !m_startAsked)
            break;
        answerOn(0);
    }
}

void EnginePeer::write()
{
    if (!m_isStalled)
        flush();
}

void EnginePeer::flush()
{
    m_engine.prepareOutput(m_now);
    write(std::numeric_limits<qint64>::max());
    m_observer.drain();
}

void EnginePeer::passTime(std::chrono::milliseconds time)
{
    m_now += time;
    m_engine.tick(m_now);
    m_observer.drain();
}

void EnginePeer::start()
{
    if (m_engine.state() == State::Open || m_engine.state() == State::CloseSent || m_engine.isClosing())
        return;
    if (m_observer.awaitsEnd() && m_engine.state() == State::Closed)
        return; // its end is still to be reported
    m_mechanism = m_script.chance(64) ? "OWN" : "PLAIN";
    handshake(m_script.byte() % 8);
}

void EnginePeer::loseTransport()
{
    m_engine.transportClosed(Error(ErrorKind::Network, u"lost"_s));
}

void EnginePeer::tick()
{
    const int step = m_script.byte();
    m_now += std::chrono::milliseconds(step * step / 4);
    const bool wasOver = m_observer.isOver();
    m_engine.tick(m_now, m_script.chance(200));
    if (wasOver && m_engine.hasInput())
        m_observer.fail(u"time passed after the end, and something happened"_s);
}

void EnginePeer::writeSome()
{
    m_isStalled = true;
    m_engine.prepareOutput(m_now);
    write(m_script.byte());
}

void EnginePeer::stall()
{
    m_isStalled = !m_isStalled;
}

void EnginePeer::releaseMemory()
{
    if (!m_engine.hasInput())
        m_engine.releaseIdleMemory();
}

void EnginePeer::write(qint64 limit)
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
        m_observer.fail(violations.join(u", "_s));
}

void EnginePeer::onSent(const Frame &frame)
{
    if (frame.type != Wire::FrameType::Method)
        return;
    Channel &channel = m_channels[frame.channel];
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

quint16 EnginePeer::anyNumber()
{
    const quint8 choice = m_script.byte();
    if (choice >= 240)
        return choice % 4;
    std::vector<quint16> open;
    for (const auto &channel : m_observer.channels) {
        if (channel->engine && channel->engine->state() != Engine::ChannelEngine::State::Closed)
            open.push_back(channel->engine->number());
    }
    return open.empty() ? 1 : open[choice % open.size()];
}

void EnginePeer::send(const QByteArray &bytes)
{
    if (!std::exchange(m_isSpoilt, false))
        return feed(bytes);
    QRandomGenerator random(m_script.number());
    feed(WireSupport::mutated(bytes, random));
}

// Feeds frame by frame, and notes each frame before the engine can answer it.
void EnginePeer::feed(QByteArrayView bytes)
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

void EnginePeer::feedPart(QByteArrayView part)
{
    const bool wasOver = m_observer.isOver();
    const int countBefore = m_observer.eventCount();
    while (!part.isEmpty()) {
        part = part.sliced(feedEngine(m_engine, part, m_now));
        m_observer.drain();
    }
    if (wasOver && m_observer.eventCount() != countBefore)
        m_observer.fail(u"bytes that came after the end changed something"_s);
}

template <typename Method>
QByteArray EnginePeer::filled(quint16 channel)
{
    FieldFiller filler(m_script.number());
    Method method;
    Method::fields(method, filler);
    return Wire::encodeFrame(channel, method);
}

Content EnginePeer::anyContent()
{
    static constexpr int sizes[] = {0, 1, 300, 4088, 5000, 30'000, 99'999, 100'001};
    Content content;
    content.body = QByteArray(sizes[std::min<int>(m_script.byte() % 12, 7)], 'd');
    content.redelivered = m_script.chance(64);
    if (m_script.chance(64))
        content.properties = QByteArray("\x90\0\x04text\x02", 8);
    return content;
}

void EnginePeer::answer()
{
    std::vector<quint16> asked;
    for (const auto &[number, channel] : m_channels) {
        if (!channel.asked.empty())
            asked.push_back(number);
    }
    if (m_startAsked)
        answerOn(0);
    else if (!asked.empty())
        answerOn(asked[m_script.byte() % asked.size()]);
}

void EnginePeer::answerOn(quint16 number)
{
    if (std::exchange(m_startAsked, false))
        return send(Wire::encodeFrame(0, connectionStart(encodedServerProperties(), m_mechanism, "en_US")));
    Channel &channel = m_channels[number];
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

void EnginePeer::deliver()
{
    const quint16 number = anyNumber();
    Channel &channel = m_channels[number];
    if (channel.consumers.isEmpty())
        return;
    const QByteArray tag = channel.consumers[m_script.byte() % channel.consumers.size()];
    const bool isCounted = !channel.noAck.contains(tag) || m_script.chance(128); // otherwise like direct reply-to
    send(deliverFrames(tag, channel.deliveryTag + 1, anyContent(), number));
    channel.deliveryTag += isCounted;
}

void EnginePeer::returnMessage()
{
    const quint16 number = anyNumber();
    if (m_engine.channels().channel(number))
        send(filled<Wire::BasicReturn>(number) + contentFrames(number, anyContent()));
}

void EnginePeer::confirm()
{
    const quint16 number = anyNumber();
    const quint64 published = m_channels[number].published;
    const quint64 tag = m_script.byte() % (published + (m_hasFaults ? 2 : 1));
    const bool multiple = m_script.chance(128) || tag == 0;
    if (published == 0)
        return;
    if (m_script.chance(64))
        send(Wire::encodeFrame(number, Wire::BasicNack{.deliveryTag = tag, .multiple = multiple}));
    else
        send(Wire::encodeFrame(number, Wire::BasicAck{.deliveryTag = tag, .multiple = multiple}));
}

void EnginePeer::cancelByBroker()
{
    const quint16 number = anyNumber();
    Channel &channel = m_channels[number];
    if (channel.consumers.isEmpty())
        return;
    const QByteArray tag = channel.consumers.takeAt(m_script.byte() % channel.consumers.size());
    send(Wire::encodeFrame(number,
                           Wire::BasicCancel{.consumerTag = QByteArrayView(tag), .noWait = m_script.chance(200)}));
}

void EnginePeer::closeByBroker()
{
    if (m_script.chance(40))
        return send(filled<Wire::ConnectionClose>(0));
    const quint16 number = anyNumber();
    if (number == 0 || !m_engine.channels().channel(number))
        return;
    Channel &channel = m_channels[number];
    std::erase_if(channel.asked, [](const Frame &asked) { return !asked.is(Wire::ChannelClose::id); });
    channel.consumers.clear();
    send(filled<Wire::ChannelClose>(number));
}

void EnginePeer::control()
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

void EnginePeer::sendAnyMethod()
{
    if (!m_hasFaults)
        return;
    static const auto methods = [] {
        std::vector<QByteArray (EnginePeer::*)(quint16)> all;
        WireSupport::forEachMethod([&]<typename M>() {
            if constexpr (M::toClient)
                all.push_back(&EnginePeer::filled<M>);
        });
        return all;
    }();
    const auto any = methods[m_script.byte() % methods.size()];
    send((this->*any)(anyNumber()));
}

void EnginePeer::sendAnyContent()
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

void EnginePeer::sendAnyBytes()
{
    if (m_hasFaults)
        send(m_script.take(m_script.byte() % 64));
}

void EnginePeer::spoil()
{
    m_isSpoilt = m_hasFaults;
}
