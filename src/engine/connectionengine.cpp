// SPDX-License-Identifier: MIT
#include "engine/connectionengine_p.h"

#include "engine/arguments_p.h"
#include "engine/sasl_p.h"

#include <algorithm>

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

void ConnectionEngine::setState(State state)
{
    using enum State;
    const auto isLegal = [](State from, State to) {
        switch (from) {
        case Idle:
            return to == HeaderSent;
        case HeaderSent:
            return to == StartReceived || to == Closed;
        case StartReceived:
            return to == TuneReceived || to == Closed;
        case TuneReceived:
            return to == OpenSent || to == Closed;
        case OpenSent:
            return to == Open || to == Closed;
        case Open:
            return to == CloseSent || to == Closed;
        case CloseSent:
            return to == Closed;
        case Closed:
            return to == HeaderSent;
        }
        return false;
    };
    Q_ASSERT(isLegal(m_state, state));
    m_state = state;
    m_isOpen = state == Open;
}

static FieldTable startProperties(const Settings &settings)
{
    FieldTable properties = settings.clientProperties;
    if (!settings.connectionName.isEmpty())
        properties.insert(u"connection_name"_s, settings.connectionName);
    QVariantMap capabilities = properties.value(u"capabilities"_s).toMap();
    for (const auto &name :
         {u"publisher_confirms"_s, u"exchange_exchange_bindings"_s, u"basic.nack"_s, u"consumer_cancel_notify"_s,
          u"connection.blocked"_s, u"authentication_failure_close"_s, u"per_consumer_qos"_s, u"direct_reply_to"_s})
        capabilities.insert(name, true);
    properties.insert(u"capabilities"_s, capabilities);
    return properties;
}

static Wire::ConnectionStartOk startOk(const QByteArray &clientProperties, const QByteArray &response)
{
    return {.clientProperties = {clientProperties},
            .mechanism = Engine::SaslPlain,
            .response = QByteArrayView(response),
            .locale = "en_US"};
}

// Whether `word` is among the words of `list`, which spaces separate.
static bool hasWord(QByteArrayView list, QByteArrayView word)
{
    for (qsizetype begin = 0; begin <= list.size();) {
        const qsizetype space = list.indexOf(' ', begin);
        const qsizetype end = space < 0 ? list.size() : space;
        if (list.sliced(begin, end - begin) == word)
            return true;
        begin = end + 1;
    }
    return false;
}

void ConnectionEngine::configure(const Settings &settings)
{
    m_settings = settings;
    m_channelIds.setLimit(settings.channelMax);
    m_frames.setMaximumFrameSize(settings.frameMax);
    m_calls.setTimeout(settings.rpcTimeout);
}

Error ConnectionEngine::start(const Settings &settings, Time now)
{
    Q_ASSERT(m_state != State::Open && m_state != State::CloseSent);
    Arguments arguments;
    arguments.shortString("virtualHost", settings.virtualHost);
    const QByteArray clientProperties = arguments.table("clientProperties", startProperties(settings));
    if (arguments.areInvalid())
        return arguments.error();
    // Before tune nobody has agreed to more than the smallest frame-max there is.
    const qsizetype size =
        Wire::payloadSize(startOk(clientProperties, settings.saslPlainResponse)) + Wire::FrameOverhead;
    if (size > Wire::MinimumFrameSize)
        return Error(
            ErrorKind::InvalidArgument,
            u"clientProperties: connection.start-ok takes %1 bytes with them and the login, %2 can be sent before tune"_s
                .arg(size)
                .arg(Wire::MinimumFrameSize),
            0, QString::fromLatin1(Wire::ConnectionStartOk::name));

    configure(settings);
    m_isTransportConnected = false;
    m_closing = false;
    m_frameMax = settings.frameMax;
    m_receiveFrameMax = HandshakeFrameLimit;
    m_channelMax = 0;
    m_clientProperties = clientProperties;
    m_serverProperties.clear();
    m_hasNack = false;
    m_input.clear();
    m_needsInput = false;
    m_lastChannel = nullptr;
    m_readsShort = false;
    m_handshakeDeadline = now + settings.handshakeTimeout;
    m_closeDeadline.reset();
    m_bytesLeft = 0;
    m_heartbeatEnd = 0;
    m_heartbeat.stop();
    m_body = {};
    m_now = now;
    if (m_state != State::Idle && m_state != State::Closed)
        setState(State::Closed);
    setState(State::HeaderSent);
    m_frames.start();
    m_flow.countOutput(true);
    return {};
}

void ConnectionEngine::refuse(const Error &reason)
{
    if (m_state == State::Idle || m_state == State::Closed)
        setState(State::HeaderSent);
    finish(reason, false);
}

bool ConnectionEngine::expect(State state, const char *method)
{
    if (m_state != state)
        unexpected(method);
    return m_state == state;
}

void ConnectionEngine::on(const Wire::ConnectionStart &method)
{
    if (!expect(State::HeaderSent, method.name))
        return;
    if (method.versionMajor != 0 || method.versionMinor != 9)
        return fail(Wire::ReplyCode::NotImplemented,
                    u"the server speaks AMQP %1-%2, not 0-9-1"_s.arg(method.versionMajor).arg(method.versionMinor));
    m_serverProperties = method.serverProperties.contents.toByteArray();
    m_hasNack = hasCapability(u"basic.nack"_s);

    if (!hasWord(method.mechanisms, Engine::SaslPlain)) {
        constexpr qsizetype Shown = 255;
        const QByteArrayView offered = method.mechanisms.first(std::min(method.mechanisms.size(), Shown));
        return finish(Error(ErrorKind::Authentication,
                            u"no common SASL mechanism: the broker offers \"%1\", this connection can \"%2\""_s.arg(
                                QString::fromUtf8(offered), QLatin1StringView(Engine::SaslPlain)),
                            0, QString::fromLatin1(method.name)),
                      false);
    }
    setState(State::StartReceived);
    send(0, startOk(m_clientProperties, m_settings.saslPlainResponse));
    wipePassword();
}

void ConnectionEngine::wipePassword()
{
    m_settings.saslPlainResponse.fill('\0');
    m_settings.saslPlainResponse.clear();
}

void ConnectionEngine::on(const Wire::ConnectionSecure &method)
{
    if (expect(State::StartReceived, method.name)) // PLAIN has no challenges
        unexpected(method.name);
}

void ConnectionEngine::negotiate(const Wire::ConnectionTune &tune)
{
    const auto smaller = [](auto ours, auto theirs) {
        return ours == 0 ? theirs : theirs == 0 ? ours : std::min(ours, theirs);
    };
    m_frameMax = smaller(m_settings.frameMax, tune.frameMax);
    m_channelMax = smaller(m_settings.channelMax, tune.channelMax);
    m_frames.setMaximumFrameSize(m_frameMax);
    m_receiveFrameMax = m_frameMax ? m_frameMax : std::numeric_limits<qint32>::max();
    m_channelIds.setLimit(m_channelMax);
    const quint16 heartbeat =
        m_settings.heartbeatSeconds == 0 ? 0 : smaller(m_settings.heartbeatSeconds, tune.heartbeat);
    m_heartbeat.start(std::chrono::seconds(heartbeat), m_now);
}

void ConnectionEngine::on(const Wire::ConnectionTune &method)
{
    if (!expect(State::StartReceived, method.name))
        return;
    if (method.frameMax > 0 && method.frameMax < Wire::MinimumFrameSize)
        return fail(Wire::ReplyCode::FrameError,
                    u"the broker offers a frame-max of %1, at least %2 is required"_s.arg(method.frameMax)
                        .arg(Wire::MinimumFrameSize));
    negotiate(method);
    setState(State::TuneReceived);
    send(0, Wire::ConnectionTuneOk{.channelMax = m_channelMax,
                                   .frameMax = m_frameMax,
                                   .heartbeat = quint16(m_heartbeat.interval().count())});
    const QByteArray virtualHost = m_settings.virtualHost.toUtf8();
    send(0, Wire::ConnectionOpen{.virtualHost = virtualHost});
    setState(State::OpenSent);
}

void ConnectionEngine::on(const Wire::ConnectionOpenOk &method)
{
    if (!expect(State::OpenSent, method.name))
        return;
    setState(State::Open);
    m_handshakeDeadline.reset();
    post(Opened{});
    for (quint32 number = m_channelIds.limit() + 1u; number < m_slots.size(); ++number) {
        ChannelEngine *channel = m_slots[number].channel;
        if (channel && channel->state() == ChannelEngine::State::Closed) {
            vacate(quint16(number)); // it was never opened: open() takes another number
        } else if (channel) {
            const Error error(
                ErrorKind::InvalidArgument,
                u"channel number %1 is larger than the negotiated channel-max %2"_s.arg(number).arg(m_channelMax));
            channel->end(error, error, false);
        }
    }
    for (const auto &channel : std::exchange(m_waiting, {}))
        channel->releaseOne();
}

void ConnectionEngine::close(Time now)
{
    if (m_closing || m_state == State::Idle || m_state == State::Closed)
        return;
    m_closing = true;
    if (m_state != State::Open)
        return finish({}, false);
    m_closeDeadline = now + m_settings.closeTimeout;
    closeChannels();
    sendCloseWhenChannelsAreClosed();
}

void ConnectionEngine::closeChannels()
{
    for (const Slot &slot : std::as_const(m_slots)) {
        if (slot.channel && slot.channel->takesCalls())
            slot.channel->close();
    }
}

// connection.close overtakes what a channel has not processed yet, so the channels go first.
void ConnectionEngine::sendCloseWhenChannelsAreClosed()
{
    if (!m_closing || m_state != State::Open || m_openNumbers > 0)
        return;
    goodbye();
}

void ConnectionEngine::goodbye()
{
    if (m_state != State::Open)
        return;
    send(0,
         Wire::ConnectionClose{.replyCode = Wire::ReplyCode::ReplySuccess, .replyText = "closed by the application"});
    setState(State::CloseSent);
}

void ConnectionEngine::on(const Wire::ConnectionClose &method)
{
    send(0, Wire::ConnectionCloseOk{});
    if (m_state == State::CloseSent) // crossing closes: it is over either way, and nothing was under way
        return finish({}, true);
    const char *cause = Wire::methodName({method.classId, method.methodId});
    const bool refused = method.replyCode == Wire::ReplyCode::AccessRefused && m_state != State::Open;
    finish(Error(refused ? ErrorKind::Authentication : ErrorKind::ConnectionClosed, QString::fromUtf8(method.replyText),
                 method.replyCode, cause ? QString::fromLatin1(cause) : QString()),
           true);
}

void ConnectionEngine::on(const Wire::ConnectionCloseOk &method)
{
    if (expect(State::CloseSent, method.name))
        finish({}, true);
}

void ConnectionEngine::transportClosed(const Error &error)
{
    switch (m_state) {
    case State::Idle:
    case State::Closed:
        return;
    case State::CloseSent:
        return finish({}, false);
    case State::StartReceived:
        if (hasCapability(u"authentication_failure_close"_s)) // a refusal would come as connection.close
            return finish(error, false);
        return finish(Error(ErrorKind::Authentication,
                            u"the broker ended the connection during the login of user \"%1\": %2"_s.arg(
                                m_settings.userName, error.text())),
                      false);
    case State::HeaderSent:
    case State::TuneReceived:
    case State::OpenSent:
    case State::Open:
        return finish(error, false);
    }
}

void ConnectionEngine::fail(quint16 replyCode, const QString &text)
{
    const Error error(ErrorKind::ProtocolViolation, text, replyCode);
    const bool goodbye = m_state == State::Open;
    if (goodbye) {
        const QByteArray reason = Arguments::shortened(text);
        send(0, Wire::ConnectionClose{.replyCode = replyCode, .replyText = QByteArrayView(reason)});
    }
    finish(error, goodbye);
}

void ConnectionEngine::failFraming(const QString &text)
{
    finish(Error(ErrorKind::ProtocolViolation, text, Wire::ReplyCode::FrameError), false);
}

void ConnectionEngine::unexpected(const char *method)
{
    fail(Wire::ReplyCode::CommandInvalid, u"%1 was not expected here"_s.arg(QLatin1StringView(method)));
}

void ConnectionEngine::finish(const Error &reason, bool graceful)
{
    if (m_state == State::Idle || m_state == State::Closed)
        return;
    const bool isFailedAttempt = m_state != State::Open && m_state != State::CloseSent && reason.isError();
    setState(State::Closed);
    m_flow.countOutput(false);
    m_closing = false;
    wipePassword();
    if (!isFailedAttempt)
        endChannels(reason);
    m_channelsWithAcks.clear();
    m_calls.clear();
    m_handshakeDeadline.reset();
    m_closeDeadline.reset();
    m_heartbeat.stop();
    m_body = {};
    m_input.consume(m_input.bytes().size());
    if (!graceful)
        m_frames.output().clear();
    setBlocked(false, {});
    m_flow.checkWatermarks();
    post(ConnectionClosed{reason, graceful});
}

void ConnectionEngine::endWaiting(const Error &reason)
{
    Q_ASSERT(m_state == State::Idle || m_state == State::Closed);
    endChannels(reason);
    m_flow.checkWatermarks();
}

void ConnectionEngine::endChannels(const Error &reason)
{
    const Error callError = reason.isError() ? reason : Error(ErrorKind::Cancelled, u"the connection was closed"_s);
    m_waiting.clear();
    for (quint32 number = 1; number < m_slots.size(); ++number) {
        ChannelEngine *channel = m_slots[number].channel;
        if (channel && channel->state() != ChannelEngine::State::Closed)
            channel->end(callError, reason, false);
        else if (m_slots[number].resting)
            numberClosed(quint16(number), false);
        m_slots[number].lingering = false;
    }
}

std::shared_ptr<ChannelEngine> ConnectionEngine::createChannel(void *context)
{
    const quint16 number = m_channelIds.acquire();
    return number == 0 ? nullptr : createChannelAt(number, context);
}

std::shared_ptr<ChannelEngine> ConnectionEngine::createChannel(quint16 number, void *context)
{
    return m_channelIds.acquire(number) ? createChannelAt(number, context) : nullptr;
}

std::shared_ptr<ChannelEngine> ConnectionEngine::createChannelAt(quint16 number, void *context)
{
    ChannelHost &host = *this;
    auto channel = std::make_shared<ChannelEngine>(host, number, context);
    occupy(number, channel.get());
    return channel;
}

void ConnectionEngine::occupy(quint16 number, ChannelEngine *channel)
{
    if (number >= m_slots.size())
        m_slots.resize(number + 1u);
    m_slots[number].channel = channel;
}

void ConnectionEngine::vacate(quint16 number)
{
    m_slots[number].channel = nullptr;
    m_channelIds.release(number);
}

Result<quint16> ConnectionEngine::claimNumber(ChannelEngine &channel)
{
    if (m_closing)
        return Error(ErrorKind::NotOpen, u"the connection is closing"_s, 0,
                     QString::fromLatin1(Wire::ChannelOpen::name));
    quint16 number = channel.number();
    if (slotOf(number).channel != &channel) { // closed before: the number was given back
        if (!m_channelIds.acquire(number))
            number = m_channelIds.acquire();
        if (number == 0)
            return Error(ErrorKind::NotOpen, u"all %1 channel numbers are in use"_s.arg(m_channelIds.limit()), 0,
                         QString::fromLatin1(Wire::ChannelOpen::name));
        occupy(number, &channel);
    }
    ++m_openNumbers;
    return number;
}

void ConnectionEngine::releaseNumber(const ChannelEngine &channel)
{
    if (slotOf(channel.number()).channel == &channel)
        vacate(channel.number());
}

void ConnectionEngine::channelClosedByPeer(const ChannelEngine &channel)
{
    m_slots[channel.number()].lingering = true;
}

void ConnectionEngine::channelEnded(const ChannelEngine &channel, bool awaitsCloseOk)
{
    if (m_lastChannel == &channel)
        m_lastChannel = nullptr;
    std::erase_if(m_waiting, [&channel](const auto &waiting) { return waiting.get() == &channel; });
    numberClosed(channel.number(), awaitsCloseOk);
}

void ConnectionEngine::numberClosed(quint16 number, bool rests)
{
    Slot &slot = m_slots[number];
    if (m_body.channel && m_body.channel == slot.channel)
        m_body.channel = nullptr; // the rest of its body is skipped
    slot.channel = nullptr;
    slot.resting = rests;
    if (rests)
        return;
    vacate(number);
    --m_openNumbers;
    sendCloseWhenChannelsAreClosed();
}

void ConnectionEngine::on(const Wire::ConnectionBlocked &method)
{
    if (expect(State::Open, method.name))
        setBlocked(true, QString::fromUtf8(method.reason));
}

void ConnectionEngine::on(const Wire::ConnectionUnblocked &method)
{
    if (!expect(State::Open, method.name))
        return;
    setBlocked(false, {});
    for (const Slot &slot : std::as_const(m_slots)) {
        if (slot.channel)
            slot.channel->releaseHeld();
    }
}

void ConnectionEngine::setBlocked(bool blocked, const QString &reason)
{
    m_flow.setBlocked(blocked, reason, m_now);
    blocked ? m_calls.pause(m_now) : m_calls.resume(m_now);
}

void ConnectionEngine::noteCloseProgress(Time now)
{
    if (m_closeDeadline)
        m_closeDeadline = std::max(*m_closeDeadline, now + m_settings.closeTimeout);
}

void ConnectionEngine::prepareOutput(Time now, qint64 held)
{
    for (const auto &channel : m_channelsWithAcks)
        channel->flushAcks();
    m_channelsWithAcks.clear();
    noteLeft(held, now);
}

void ConnectionEngine::written(qsizetype size, Time now, qint64 held)
{
    m_frames.output().consume(size);
    m_heartbeat.sent(now);
    noteLeft(held, now);
    m_flow.checkWatermarks();
}

void ConnectionEngine::noteLeft(qint64 held, Time now)
{
    const qint64 left = m_frames.output().consumed() - held;
    const qint64 before = std::exchange(m_bytesLeft, left);
    m_calls.left(left, now);
    const bool isHeartbeat = before >= m_heartbeatEnd - Wire::FrameOverhead && left <= m_heartbeatEnd;
    if (left > before && !isHeartbeat) // heartbeats are no progress
        noteCloseProgress(now);
}

std::optional<Time> ConnectionEngine::deadline() const
{
    std::optional<Time> first = m_heartbeat.deadline();
    const auto consider = [&first](Time at) {
        if (!first || at < *first)
            first = at;
    };
    if (m_handshakeDeadline)
        consider(*m_handshakeDeadline);
    if (m_closeDeadline)
        consider(*m_closeDeadline);
    if (const auto blocked = m_flow.blockedDeadline())
        consider(*blocked);
    if (const auto call = m_calls.deadline())
        consider(*call);
    return first;
}

void ConnectionEngine::tick(Time now, bool inputIsRead)
{
    if (m_handshakeDeadline && now >= *m_handshakeDeadline) {
        const QString waitedFor = !m_isTransportConnected           ? u"a TCP connection"_s
                                  : m_state == State::HeaderSent    ? u"connection.start"_s
                                  : m_state == State::StartReceived ? u"connection.tune"_s
                                                                    : u"connection.open-ok"_s;
        return finish(Error(ErrorKind::Timeout, u"waited for %1 when %2 ms were over"_s.arg(waitedFor).arg(
                                                    m_settings.handshakeTimeout.count())),
                      false);
    }
    if (m_closeDeadline && now >= *m_closeDeadline)
        return finish(Error(ErrorKind::Timeout, u"the broker did not confirm the close within %1 ms"_s.arg(
                                                    m_settings.closeTimeout.count())),
                      false);
    if (inputIsRead)
        expireCalls(now);
    if (const auto blocked = m_flow.blockedDeadline(); blocked && inputIsRead && now >= *blocked)
        return finish(Error(ErrorKind::Timeout, u"the broker has blocked the connection for more than %1 ms"_s.arg(
                                                    m_settings.blockedTimeout.count())),
                      false);
    switch (m_heartbeat.tick(now, inputIsRead)) {
    case Heartbeat::Verdict::Nothing:
        break;
    case Heartbeat::Verdict::SendHeartbeat:
        if (m_state == State::CloseSent)
            break; // nothing may follow connection.close
        m_frames.sendHeartbeat();
        m_heartbeatEnd = m_frames.output().appended();
        break;
    case Heartbeat::Verdict::PeerIsDead:
        finish(Error(ErrorKind::Timeout, u"nothing came from the broker for two heartbeat intervals of %1 s"_s.arg(
                                             m_heartbeat.interval().count())),
               false);
        break;
    }
}

void ConnectionEngine::expireCalls(Time now)
{
    while (const auto call = m_calls.takeExpired(now))
        call->owner->callTimedOut(call->method, m_calls.timeout());
}

void ConnectionEngine::releaseIdleMemory()
{
    if (m_input.hasIdleMemory())
        m_input.clear();
    if (m_frames.output().isEmpty())
        m_frames.output().releaseSpare();
    m_calls.releaseIdleMemory();
}

bool ConnectionEngine::hasCapability(const QString &name) const
{
    const QByteArrayView capabilities = Wire::findValue(m_serverProperties, "capabilities");
    constexpr qsizetype Prefix = 5; // type letter and length
    return capabilities.startsWith('F') &&
           Wire::findValue(capabilities.sliced(Prefix), name.toUtf8()) == QByteArrayView("t\x01", 2);
}

} // namespace AmqpQt::Engine
