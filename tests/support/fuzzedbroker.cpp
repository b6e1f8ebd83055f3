// SPDX-License-Identifier: MIT
#include "support/fuzzedbroker.h"

#include "support/wiresupport.h"

#include <QtCore/qset.h>

#include <algorithm>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

struct FuzzedBroker::Session final : MemoryTransport::Peer {
    Session(FuzzedBroker &fuzzedBroker, MemoryTransport *memoryTransport)
        : broker(fuzzedBroker)
        , transport(memoryTransport)
    {
        transport->setPeer(this);
    }
    ~Session()
    {
        if (transport)
            transport->setPeer(nullptr);
    }

    void received(QByteArrayView bytes) override
    {
        while (!bytes.isEmpty()) {
            const bool hadHeader = session.hasProtocolHeader();
            const std::optional<Frame> frame = session.nextReceived(bytes);
            owesStart = owesStart || (session.hasProtocolHeader() && !hadHeader);
            if (frame)
                broker.onRequest(*this, *frame);
            broker.m_violations += session.takeViolations();
        }
    }
    void clientClosed() override { isClosed = true; }

    FuzzedBroker &broker;
    QPointer<MemoryTransport> transport;
    BrokerSession session;
    std::map<quint16, Channel> channels; // the channels that the client has opened, and 0
    bool isAccepted = false;
    bool owesStart = false;
    bool isClosed = false; // by the client
};

FuzzedBroker::FuzzedBroker(ScriptBytes &script, bool hasFaults)
    : m_script(script)
    , m_hasFaults(hasFaults)
{
}

FuzzedBroker::~FuzzedBroker() = default;

std::unique_ptr<Transport> FuzzedBroker::connect(QObject *parent)
{
    auto transport = std::make_unique<MemoryTransport>(parent);
    m_sessions.push_back(std::make_unique<Session>(*this, transport.get()));
    return transport;
}

const std::vector<FuzzedBroker::Action> &FuzzedBroker::actions()
{
    using B = FuzzedBroker;
    static const std::vector<Action> all = {
        {60, &B::answer},        {40, &B::deliver},     {6, &B::returnMessage},   {16, &B::confirm},
        {6, &B::cancelConsumer}, {5, &B::closeChannel}, {2, &B::closeConnection}, {10, &B::control},
        {6, &B::setRoom},        {4, &B::endTransport}, {8, &B::sendFault},
    };
    return all;
}

void FuzzedBroker::act()
{
    Session *const session = anySession();
    if (!session)
        return;
    if (!session->isAccepted && session->transport->isConnecting() && !m_script.chance(16))
        return accept(*session);
    (this->*m_script.anyOf(actions()).run)(*session);
}

bool FuzzedBroker::answerEverything()
{
    bool hasAnswered = false;
    m_isWellBehaved = true;
    for (size_t i = 0; i < m_sessions.size(); ++i) { // an answer may add sessions, but only later
        Session &session = *m_sessions[i];
        if (!session.transport || session.isClosed)
            continue;
        session.transport->setRoom(std::numeric_limits<qint64>::max());
        if (!session.isAccepted) {
            accept(session);
            hasAnswered = true;
        }
        if (session.owesStart) {
            answerOn(session, 0);
            hasAnswered = true;
        }
        for (auto &[number, channel] : session.channels) {
            while (!channel.requests.empty()) {
                answerOn(session, number);
                hasAnswered = true;
            }
        }
    }
    m_isWellBehaved = false;
    return hasAnswered;
}

void FuzzedBroker::hangUp()
{
    for (const auto &session : m_sessions) {
        if (session->transport)
            session->transport->fail(Error(ErrorKind::Network, u"the broker has stopped"_s));
    }
}

bool FuzzedBroker::hasTransports() const
{
    return std::any_of(m_sessions.begin(), m_sessions.end(), [](const auto &session) { return session->transport; });
}

FuzzedBroker::Session *FuzzedBroker::anySession()
{
    std::erase_if(m_sessions, [](const auto &session) { return !session->transport; });
    return m_sessions.empty() ? nullptr : m_sessions[m_script.byte() % m_sessions.size()].get();
}

quint16 FuzzedBroker::anyChannel(const Session &session)
{
    const quint8 choice = m_script.byte();
    if (m_hasFaults && choice >= 250)
        return choice % 4;
    if (session.channels.empty())
        return 0;
    return std::next(session.channels.begin(), qsizetype(choice % session.channels.size()))->first;
}

void FuzzedBroker::onRequest(Session &session, const Frame &frame)
{
    if (frame.type != Wire::FrameType::Method || frame.payload.size() < 4)
        return;
    Channel &channel = session.channels[frame.channel];
    if (frame.is(Wire::ChannelOpen::id))
        channel = {};
    Wire::visitMethod(frame.methodId(), frame.arguments(), [&]<typename M>(const M &method) {
        bool isAnswered = !std::is_void_v<typename M::Reply> || std::is_same_v<M, Wire::ConnectionStartOk>;
        if constexpr (std::is_same_v<M, Wire::BasicCancel>) {
            isAnswered = !method.noWait;
            if (method.noWait)
                channel.consumerTags.removeAll(method.consumerTag.toByteArray());
        } else if constexpr (std::is_same_v<M, Wire::BasicPublish>) {
            channel.published += channel.confirms;
        } else if constexpr (std::is_same_v<M, Wire::ConfirmSelect>) {
            channel.confirms = true;
        } else if constexpr (std::is_same_v<M, Wire::TxSelect> || std::is_same_v<M, Wire::BasicRecover>) {
            channel.knowsOpenTags = false;
        } else if constexpr (std::is_same_v<M, Wire::BasicAck> || std::is_same_v<M, Wire::BasicNack>) {
            checkAck(session, frame.channel, method.deliveryTag, method.multiple);
        } else if constexpr (std::is_same_v<M, Wire::BasicReject>) {
            checkAck(session, frame.channel, method.deliveryTag, false);
        }
        if (isAnswered)
            channel.requests.push_back(frame);
    });
}

// RabbitMQ closes the channel with 406 for a tag that is not open.
void FuzzedBroker::checkAck(Session &session, quint16 number, quint64 tag, bool multiple)
{
    Channel &channel = session.channels[number];
    if (m_hasFaults || !channel.knowsOpenTags || session.session.awaitsCloseOk(number))
        return;
    const auto at = channel.openTags.find(tag);
    if (at == channel.openTags.end())
        m_violations += u"delivery %1 on channel %2 is not open, and was settled"_s.arg(tag).arg(number);
    else
        channel.openTags.erase(multiple ? channel.openTags.begin() : at, std::next(at));
}

void FuzzedBroker::send(Session &session, const QByteArray &bytes)
{
    QByteArray sent = bytes;
    if (!m_isWellBehaved && std::exchange(m_mutatesNext, false)) {
        QRandomGenerator random(m_script.number());
        sent = WireSupport::mutated(bytes, random);
    }
    session.session.send(sent);
    if (session.transport)
        session.transport->send(sent);
}

template <typename Method>
QByteArray FuzzedBroker::filled(quint16 channel)
{
    WireSupport::FieldFiller filler(m_script.number());
    Method method;
    Method::fields(method, filler);
    return Wire::encodeFrame(channel, method);
}

Content FuzzedBroker::anyContent()
{
    static constexpr int sizes[] = {0, 1, 300, 4088, 9000, 60'000, 100'001};
    Content content;
    content.body = QByteArray(sizes[std::min<int>(m_script.byte() % 24, 6)], 'd');
    content.redelivered = m_script.chance(64);
    if (m_script.chance(64))
        content.properties = QByteArray("\x90\0\x04text\x02", 8);
    return content;
}

void FuzzedBroker::accept(Session &session)
{
    if (!m_isWellBehaved && m_script.chance(24))
        return session.transport->fail(Error(m_script.chance(200) ? ErrorKind::Network : ErrorKind::Tls, u"refused"_s));
    session.isAccepted = true;
    session.transport->accept();
}

void FuzzedBroker::answer(Session &session)
{
    std::vector<quint16> numbers;
    for (const auto &[number, channel] : session.channels) {
        if (!channel.requests.empty())
            numbers.push_back(number);
    }
    if (session.owesStart)
        answerOn(session, 0);
    else if (!numbers.empty())
        answerOn(session, numbers[m_script.byte() % numbers.size()]);
}

void FuzzedBroker::answerOn(Session &session, quint16 number)
{
    if (std::exchange(session.owesStart, false))
        return send(session, Wire::encodeFrame(0, connectionStart(encodedServerProperties(), "PLAIN", "en_US")));
    Channel &channel = session.channels[number];
    const Frame request = std::move(channel.requests.front());
    channel.requests.pop_front();
    QByteArray bytes;
    Wire::visitMethod(request.methodId(), request.arguments(), [&]<typename M>(const M &method) {
        using Reply = typename M::Reply;
        if constexpr (std::is_same_v<M, Wire::ConnectionStartOk>) {
            static constexpr quint32 frameMaxes[] = {131072, 8192, 0, 10'000};
            Offer offer;
            offer.channelMax = m_script.chance(32) ? 2 : 2047;
            offer.frameMax = frameMaxes[m_script.byte() % 4];
            offer.heartbeat = 0;
            bytes = Wire::encodeFrame(0, offer.tune());
        } else if constexpr (std::is_same_v<M, Wire::BasicGet>) {
            if (m_script.chance(64)) {
                bytes = Wire::encodeFrame(number, Wire::BasicGetEmpty{});
            } else {
                bytes = Wire::encodeFrame(number, Wire::BasicGetOk{.deliveryTag = ++channel.lastTag,
                                                                   .exchange = "exchange",
                                                                   .routingKey = "key"}) +
                        contentFrames(number, anyContent(), Wire::SpecFrameMinimum);
                if (!method.noAck)
                    channel.openTags.insert(channel.lastTag);
            }
        } else if constexpr (std::is_same_v<M, Wire::BasicConsume> || std::is_same_v<M, Wire::BasicCancel> ||
                             std::is_same_v<M, Wire::ConnectionClose> || std::is_same_v<M, Wire::ChannelClose>) {
            if constexpr (std::is_same_v<M, Wire::BasicCancel>)
                channel.consumerTags.removeAll(method.consumerTag.toByteArray());
            if constexpr (std::is_same_v<M, Wire::ChannelClose>)
                channel.consumerTags.clear();
            if constexpr (std::is_same_v<M, Wire::BasicConsume>) { // deliveries follow consume-ok
                const QByteArray tag = method.consumerTag.toByteArray();
                channel.consumerTags.append(tag);
                if (method.noAck)
                    channel.noAck.insert(tag);
                else
                    channel.noAck.remove(tag);
            }
            bytes = Wire::encodeFrame(number, replyTo(method));
        } else if constexpr (!std::is_void_v<Reply>) {
            bytes = filled<Reply>(number);
        }
    });
    send(session, bytes);
}

void FuzzedBroker::deliver(Session &session)
{
    const quint16 number = anyChannel(session);
    Channel &channel = session.channels[number];
    if (channel.consumerTags.isEmpty())
        return;
    const QByteArray tag = channel.consumerTags[m_script.byte() % channel.consumerTags.size()];
    const int count = 1 + m_script.byte() % 8;
    const Content content = anyContent();
    QByteArray bytes;
    for (int i = 0; i < count; ++i) {
        bytes += deliverFrames(tag, ++channel.lastTag, content, number);
        if (!channel.noAck.contains(tag))
            channel.openTags.insert(channel.lastTag);
    }
    send(session, bytes);
}

void FuzzedBroker::returnMessage(Session &session)
{
    const quint16 number = anyChannel(session);
    if (number != 0 || m_hasFaults)
        send(session, filled<Wire::BasicReturn>(number) + contentFrames(number, anyContent(), Wire::SpecFrameMinimum));
}

void FuzzedBroker::confirm(Session &session)
{
    const quint16 number = anyChannel(session);
    const quint64 published = session.channels[number].published;
    if (published == 0)
        return;
    const quint64 tag = m_script.byte() % (published + (m_hasFaults ? 2 : 1));
    const bool multiple = m_script.chance(128) || tag == 0;
    if (m_script.chance(64))
        send(session, Wire::encodeFrame(number, Wire::BasicNack{.deliveryTag = tag, .multiple = multiple}));
    else
        send(session, Wire::encodeFrame(number, Wire::BasicAck{.deliveryTag = tag, .multiple = multiple}));
}

void FuzzedBroker::cancelConsumer(Session &session)
{
    const quint16 number = anyChannel(session);
    Channel &channel = session.channels[number];
    if (channel.consumerTags.isEmpty())
        return;
    const QByteArray tag = channel.consumerTags.takeAt(m_script.byte() % channel.consumerTags.size());
    const bool noWait = m_script.chance(200);
    send(session, Wire::encodeFrame(number, Wire::BasicCancel{.consumerTag = QByteArrayView(tag), .noWait = noWait}));
}

void FuzzedBroker::closeChannel(Session &session)
{
    const quint16 number = anyChannel(session);
    if (number == 0 || session.session.awaitsCloseOk(number))
        return;
    Channel &channel = session.channels[number];
    // The broker has forgotten the channel and answers only a channel.close that crosses.
    std::erase_if(channel.requests, [](const Frame &request) { return !request.is(Wire::ChannelClose::id); });
    channel.consumerTags.clear();
    if (m_script.chance(128))
        return send(session, filled<Wire::ChannelClose>(number));
    send(session, Wire::encodeFrame(number, Wire::ChannelClose{.replyCode = 404,
                                                               .replyText = "NOT_FOUND",
                                                               .classId = Wire::BasicConsume::id.classId,
                                                               .methodId = Wire::BasicConsume::id.methodId}));
}

void FuzzedBroker::closeConnection(Session &session)
{
    if (session.channels.contains(0))
        send(session, filled<Wire::ConnectionClose>(0));
}

void FuzzedBroker::control(Session &session)
{
    switch (m_script.byte() % 4) {
    case 0:
        return send(session, Wire::encodeFrame(anyChannel(session), Wire::ChannelFlow{.active = m_script.chance(128)}));
    case 1:
        return send(session, filled<Wire::ConnectionBlocked>(0));
    case 2:
        return send(session, Wire::encodeFrame(0, Wire::ConnectionUnblocked{}));
    default:
        return send(session, encodeFrame(Wire::FrameType::Heartbeat, 0, {}));
    }
}

void FuzzedBroker::setRoom(Session &session)
{
    static constexpr qint64 rooms[] = {0, 7, 500, 20'000};
    const quint8 choice = m_script.byte() % 8;
    session.transport->setRoom(choice < 4 ? rooms[choice] : std::numeric_limits<qint64>::max());
}

void FuzzedBroker::endTransport(Session &session)
{
    if (m_script.chance(128))
        session.transport->hangUp();
    else
        session.transport->fail(Error(ErrorKind::Network, u"reset by the broker"_s));
}

void FuzzedBroker::sendFault(Session &session)
{
    if (!m_hasFaults)
        return;
    static const auto methods = [] {
        std::vector<QByteArray (FuzzedBroker::*)(quint16)> all;
        WireSupport::forEachMethod([&]<typename M>() {
            if constexpr (M::toClient)
                all.push_back(&FuzzedBroker::filled<M>);
        });
        return all;
    }();
    switch (m_script.byte() % 4) {
    case 0:
        m_mutatesNext = true;
        return;
    case 1:
        return send(session, m_script.take(m_script.byte() % 32));
    case 2:
        return send(session, headerFrame(anyChannel(session), m_script.number()));
    default:
        return send(session, (this->*methods[m_script.byte() % methods.size()])(anyChannel(session)));
    }
}
