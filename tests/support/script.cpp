// SPDX-License-Identifier: MIT
#include "support/script.h"

#include "engine/connection/sasl_p.h"

#include <QtTest/qtest.h>

#include <algorithm>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using Engine::CallId;

Script::Script(const Engine::Settings &usedSettings)
    : settings(usedSettings)
{
}

Script::~Script()
{
    for (const auto &[number, channel] : m_channels)
        channel->release();
}

Engine::Settings Script::defaultSettings()
{
    Engine::Settings settings;
    settings.userName = u"guest"_s;
    settings.login.mechanisms = {{.name = Engine::SaslPlain}};
    settings.login.password = Secret(u"secret"_s);
    settings.virtualHost = u"/"_s;
    settings.heartbeatSeconds = 0;
    return settings;
}

Script &Script::start(Here here)
{
    m_session = {};
    m_sent.clear();
    ++m_connectionsStarted;
    const Error error = engine.start(settings, now);
    if (error.isError())
        fail(u"start() failed: "_s + error.text(), here);
    engine.handshake().transportReady({});
    write();
    if (!m_session.hasProtocolHeader())
        fail(u"no protocol header was sent"_s, here);
    return *this;
}

Script &Script::brokerStart(const QByteArray &properties, const QByteArray &mechanisms)
{
    return broker(connectionStart(properties, mechanisms, "en_US"));
}

Script &Script::open(const Offer &offer, Here here)
{
    return openTo(encodedServerProperties(), offer, here);
}

Script &Script::openTo(const QByteArray &serverProperties, const Offer &offer, Here here)
{
    start(here).brokerStart(serverProperties).expectSent<Wire::ConnectionStartOk>(0, here);
    broker(offer.tune());
    expectSent<Wire::ConnectionTuneOk>(0, here).expectSent<Wire::ConnectionOpen>(0, here);
    return broker(Wire::ConnectionOpenOk{}).expectEvent<Engine::Opened>(here);
}

Engine::ChannelEngine &Script::newChannel(quint16 number)
{
    std::shared_ptr<Engine::ChannelEngine> channel =
        number ? engine.createChannel(this, number) : engine.createChannel(this);
    if (!channel)
        qFatal("no channel number is free");
    return *(m_channels[channel->number()] = std::move(channel));
}

Engine::ChannelEngine &Script::openChannel(quint16 number, Here here)
{
    Engine::ChannelEngine &channel = newChannel(number);
    const Result<CallId> opening = channel.open();
    expectSent<Wire::ChannelOpen>(channel.number(), here).broker(Wire::ChannelOpenOk{}, channel.number());
    expectReply(*opening, here).expectEvent<Engine::ChannelOpened>(here);
    return channel;
}

std::shared_ptr<Engine::ConsumerEntry> Script::subscribe(Engine::ChannelEngine &channel, const QString &tag,
                                                         ConsumeOptions options, Here here)
{
    options.consumerTag = tag;
    const auto consumer = *channel.subscriptions().consume(u"queue"_s, options, this);
    const QByteArray tagBytes = tag.toUtf8();
    expectSent<Wire::BasicConsume>(channel.number(), here);
    broker(Wire::BasicConsumeOk{.consumerTag = tagBytes}, channel.number()).expectReply(consumer->startCall, here);
    return consumer;
}

Script &Script::brokerBytes(const QByteArray &bytes)
{
    m_session.send(bytes);
    QByteArrayView left = bytes;
    while (!left.isEmpty()) {
        const qsizetype piece = pieceSize ? std::min(pieceSize, left.size()) : left.size();
        left = left.sliced(feedEngine(engine, left.first(piece), now));
        pump();
    }
    return *this;
}

Script &Script::deliver(const QByteArray &tag, quint64 deliveryTag, const Content &content, quint16 channel)
{
    return brokerBytes(deliverFrames(tag, deliveryTag, content, channel));
}

Script &Script::getOk(quint64 deliveryTag, const Content &content, quint16 channel, quint32 remaining)
{
    return brokerBytes(Wire::encodeFrame(channel, Wire::BasicGetOk{.deliveryTag = deliveryTag,
                                                                   .redelivered = content.redelivered,
                                                                   .exchange = QByteArrayView(content.exchange),
                                                                   .routingKey = QByteArrayView(content.routingKey),
                                                                   .messageCount = remaining}) +
                       contentFrames(channel, content));
}

void Script::write()
{
    engine.prepareOutput(now);
    for (QByteArrayView bytes = engine.output(); !bytes.isEmpty(); bytes = engine.output()) {
        for (QByteArrayView left = bytes; !left.isEmpty();) {
            if (std::optional<Frame> frame = m_session.nextReceived(left))
                m_sent.push_back(*std::move(frame));
        }
        engine.written(bytes.size(), now);
    }
    checkRules();
    pump();
}

void Script::checkRules()
{
    const QStringList violations = m_session.takeViolations();
    if (!violations.isEmpty() && checksRules)
        fail(u"the client broke the protocol: "_s + violations.join(u", "_s), {});
}

Frame Script::takeSentMethod(Wire::MethodId id, const char *name, quint16 channel, Here here)
{
    write();
    const Frame sent = m_sent.empty() ? Frame() : m_sent.front();
    if (m_sent.empty() || !sent.is(id) || sent.channel != channel) {
        fail(u"expected %1 on channel %2, sent was %3"_s.arg(QLatin1StringView(name))
                 .arg(channel)
                 .arg(m_sent.empty() ? u"nothing"_s : sent.describe()),
             here);
        return {};
    }
    m_sent.pop_front();
    return sent;
}

Script &Script::expectPublished(const QByteArray &body, const QByteArray &routingKey, quint16 channel, Here here)
{
    expectSent<Wire::BasicPublish>(
        [&](const Wire::BasicPublish &method) {
            if (method.routingKey != routingKey)
                fail(u"published was "_s + Wire::describe(method), here);
        },
        channel, here);
    QByteArray sent;
    Wire::ContentHeader header;
    if (m_sent.empty() || m_sent.front().type != Wire::FrameType::Header || m_sent.front().channel != channel) {
        fail(u"no content header was sent"_s, here);
        return *this;
    }
    Wire::decodeContentHeader(m_sent.front().payload, header);
    for (m_sent.pop_front(); !m_sent.empty() && m_sent.front().type == Wire::FrameType::Body &&
                             m_sent.front().channel == channel && quint64(sent.size()) < header.bodySize;
         m_sent.pop_front())
        sent += m_sent.front().payload;
    if (sent != body || header.bodySize != quint64(body.size()))
        fail(u"another body was published: %1 bytes, announced as %2"_s.arg(sent.size()).arg(header.bodySize), here);
    return *this;
}

Script &Script::expectHeartbeatSent(Here here)
{
    write();
    if (!m_sent.empty() && m_sent.front().type == Wire::FrameType::Heartbeat)
        m_sent.pop_front();
    else
        fail(u"expected a heartbeat, sent was "_s + (m_sent.empty() ? u"nothing"_s : m_sent.front().describe()), here);
    return *this;
}

Script &Script::expectNothingSent(Here here)
{
    for (const Frame &sent : takeSent())
        fail(u"expected nothing, sent was "_s + sent.describe(), here);
    return *this;
}

std::deque<Frame> Script::takeSent()
{
    write();
    return std::exchange(m_sent, {});
}

void Script::keep(Engine::Event event)
{
    if (std::holds_alternative<Engine::ConnectionClosed>(event) &&
        ++m_connectionsClosed > std::max(1, m_connectionsStarted))
        fail(u"a connection ended twice"_s, {});
    KeptEvent &kept = m_events.emplace_back(KeptEvent{std::move(event), {}, {}});
    const auto own = [&kept](Engine::ReceivedMessage &message) {
        message.exchange = kept.exchange = message.exchange.toByteArray();
        message.routingKey = kept.routingKey = message.routingKey.toByteArray();
    };
    if (auto *delivered = std::get_if<Engine::Delivered>(&kept.event))
        own(delivered->message);
    if (auto *reply = std::get_if<Engine::ReplyArrived>(&kept.event)) {
        if (m_endedCalls.contains(reply->call))
            fail(u"call %1 ended twice"_s.arg(reply->call), {});
        m_endedCalls.insert(reply->call);
        if (auto *got = std::get_if<Engine::GotMessage>(&reply->value))
            own(got->message);
    }
}

void Script::pump()
{
    while (std::optional<Engine::Event> event = m_engineEvents.next(engine))
        keep(*std::move(event));
}

bool Script::nextEvent()
{
    pump();
    m_event.reset();
    if (m_events.empty())
        return false;
    m_event.emplace(std::move(m_events.front()));
    m_events.pop_front();
    return true;
}

QString Script::describe(const Engine::Event &event)
{
    const auto kindOf = [](const Error &error) {
        return error.isError() ? u" "_s + QVariant::fromValue(error.kind()).toString() : QString();
    };
    const auto numberOf = [](const std::shared_ptr<Engine::ChannelEngine> &channel) {
        return channel ? u" %1"_s.arg(channel->number()) : QString();
    };
    struct Describer {
        decltype(kindOf) kind;
        decltype(numberOf) number;

        QString operator()(const Engine::RepeatedDelivery &e) const
        {
            return u"RepeatedDelivery %1"_s.arg(e.deliveryTag);
        }
        QString operator()(const Engine::Delivered &e) const { return u"Delivered %1"_s.arg(e.message.deliveryTag); }
        QString operator()(const Engine::ReplyArrived &e) const
        {
            const Error *error = std::get_if<Error>(&e.value);
            return u"ReplyArrived %1"_s.arg(e.call) + (error ? kind(*error) : QString());
        }
        QString operator()(const Engine::Opened &) const { return u"Opened"_s; }
        QString operator()(const Engine::ConnectionClosed &e) const { return u"ConnectionClosed"_s + kind(e.reason); }
        QString operator()(const Engine::BlockedChanged &e) const
        {
            return u"BlockedChanged %1"_s.arg(e.blocked ? u"true" : u"false");
        }
        QString operator()(const Engine::WritableChanged &e) const
        {
            return u"WritableChanged %1"_s.arg(e.writable ? u"true" : u"false");
        }
        QString operator()(const Engine::ChannelOpened &e) const { return u"ChannelOpened"_s + number(e.channel); }
        QString operator()(const Engine::ChannelClosed &e) const
        {
            return u"ChannelClosed"_s + number(e.channel) + kind(e.reason);
        }
        QString operator()(const Engine::ChannelSuspended &e) const
        {
            return u"ChannelSuspended"_s + number(e.channel) + kind(e.reason);
        }
        QString operator()(const Engine::ChannelsRestored &e) const
        {
            return u"ChannelsRestored %1 %2"_s.arg(e.consumers).arg(e.failures.size());
        }
        QString operator()(const Engine::FlowChanged &e) const
        {
            return u"FlowChanged"_s + number(e.channel) + (e.active ? u" true"_s : u" false"_s);
        }
        QString operator()(const Engine::Returned &e) const { return u"Returned"_s + number(e.channel); }
        QString operator()(const Engine::PublishConfirmed &e) const
        {
            return u"PublishConfirmed"_s + number(e.channel) + u" %1-%2"_s.arg(e.first).arg(e.last);
        }
        QString operator()(const Engine::ConfirmWindowChanged &e) const
        {
            return u"ConfirmWindowChanged"_s + number(e.channel) + (e.full ? u" true"_s : u" false"_s);
        }
        QString operator()(const Engine::ResponseRequested &e) const
        {
            return u"ResponseRequested "_s + QString::fromUtf8(e.mechanism);
        }
        QString operator()(const Engine::BackpressureDetected &) const { return u"BackpressureDetected"_s; }
        QString operator()(const Engine::PublishFailed &e) const
        {
            return u"PublishFailed"_s + number(e.channel) + u" %1-%2"_s.arg(e.first).arg(e.last) + kind(e.reason);
        }
        QString operator()(const Engine::ConsumerCancelled &e) const
        {
            return u"ConsumerCancelled"_s + (e.consumer ? u" "_s + QString::fromUtf8(e.consumer->tag) : QString()) +
                   kind(e.reason);
        }
    };
    return std::visit(Describer{kindOf, numberOf}, event);
}

QString Script::describeEvent() const
{
    return m_event ? describe(m_event->event) : u"none"_s;
}

Script &Script::expectNoEvent(Here here)
{
    if (nextEvent())
        fail(u"expected no event, not "_s + describeEvent(), here);
    return *this;
}

Script &Script::expectReply(CallId call, Here here)
{
    const auto reply = takeEvent<Engine::ReplyArrived>(here);
    if (reply.call != call || std::holds_alternative<Error>(reply.value))
        fail(u"expected a good reply to call %1, not %2"_s.arg(call).arg(describeEvent()), here);
    return *this;
}

Script &Script::expectReply(CallId call, ErrorKind kind, Here here)
{
    const auto reply = takeEvent<Engine::ReplyArrived>(here);
    const Error *error = std::get_if<Error>(&reply.value);
    if (reply.call != call || !error || error->kind() != kind)
        fail(u"expected call %1 to end with %2, not %3"_s.arg(call).arg(QVariant::fromValue(kind).toString(),
                                                                        describeEvent()),
             here);
    return *this;
}

Error Script::takeConnectionClosed(Here here)
{
    while (nextEvent()) {
        if (const auto *closed = std::get_if<Engine::ConnectionClosed>(&m_event->event))
            return closed->reason;
    }
    fail(u"the connection did not end"_s, here);
    return {};
}

QStringList Script::takeEvents()
{
    QStringList events;
    while (nextEvent())
        events += describeEvent();
    return events;
}

Script &Script::advance(Engine::Milliseconds time)
{
    const Engine::Time end = now + time;
    write();
    for (auto due = engine.deadline(); due && *due <= end; due = engine.deadline()) {
        now = std::max(now, *due);
        engine.tick(now);
        write();
    }
    now = end;
    return *this;
}

Script &Script::sleep(Engine::Milliseconds time)
{
    write();
    now += time;
    engine.tick(now);
    pump();
    return *this;
}

void Script::fail(const QString &what, Here here)
{
    QTest::qFail(qPrintable(what), here.file, here.line);
}
