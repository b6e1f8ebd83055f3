// SPDX-License-Identifier: MIT
#include "engine/connection/connectionengine_p.h"

#include "engine/arguments/arguments_p.h"
#include "engine/connection/sasl_p.h"

#include <algorithm>

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

static Error timeout(const QString &text, const QString &method = {})
{
    return Error(ErrorKind::Timeout, text, 0, method);
}

void ConnectionEngine::setState(State state)
{
    using enum State;
    const auto isLegal = [](State from, State to) {
        switch (from) {
        case Idle:
        case Closed:
            return to == Connecting;
        case Connecting:
            return to == Open || to == Closed;
        case Open:
            return to == CloseSent || to == Closed;
        case CloseSent:
            return to == Closed;
        }
        return false;
    };
    Q_ASSERT(isLegal(m_state, state));
    m_state = state;
    if (state == Open)
        m_gate.connectionOpened(m_settings);
    else
        m_gate.connectionEnded();
    m_takesRepeated = false; // until the next read
}

void ConnectionEngine::configure(const Settings &settings)
{
    m_settings = settings;
    m_settings.login = {};
    m_settings.clientProperties = {}; // only the handshake needs them
    m_channels.setLimit(settings.channelMax);
    m_frames.setMaximumFrameSize(settings.frameMax);
    m_flow.configure(settings);
    m_calls.setTimeout(settings.replyTimeout);
}

Error ConnectionEngine::start(const Settings &settings, Time now)
{
    Q_ASSERT(m_state != State::Open && m_state != State::CloseSent);
    if (const Error error = m_handshake.start(settings, now); error.isError())
        return error;
    configure(settings);
    m_isClosing = false;
    m_ownCalls.start();
    m_hasNack = false;
    m_deniesFeatures = false;
    m_reader.start();
    m_frames.start();
    m_flow.countOutput(true);
    m_closeTimer.reset();
    m_heartbeat.stop();
    m_now = now;
    if (m_state == State::Connecting)
        setState(State::Closed);
    setState(State::Connecting);
    return {};
}

void ConnectionEngine::inputRead(qsizetype size, Time now)
{
    if (m_state == State::Idle || m_state == State::Closed)
        return; // the input is too late
    m_now = now;
    m_heartbeat.received(now);
    m_takesRepeated = isOpen() && !m_frames.isLogged();
    m_reader.filled(size);
}

bool ConnectionEngine::nextOther(Event &event)
{
    for (;;) {
        if (!m_events.isEmpty()) {
            event = m_events.takeFirst();
            return true;
        }
        if (m_state == State::Idle || m_state == State::Closed)
            return false;
        const bool isSkipped = m_state == State::CloseSent; // drop all content that still arrives
        bool isDelivery = false;
        switch (m_reader.next()) {
        case FrameReader::Step::NeedsInput:
            return false;
        case FrameReader::Step::Frame:
            if (m_reader.header().type == quint8(Wire::FrameType::Method))
                onMethodFrame();
            else if (m_reader.header().type == quint8(Wire::FrameType::Header) && !isSkipped)
                isDelivery = m_router.onHeader(m_now);
            break;
        case FrameReader::Step::LargeHeader:
            isDelivery = !isSkipped && m_router.onLargeHeader();
            break;
        case FrameReader::Step::Body:
            if (!isSkipped)
                m_router.onBody();
            break;
        case FrameReader::Step::BodyEnd:
            isDelivery = m_router.onBodyEnd();
            break;
        case FrameReader::Step::Fault:
            if (const FrameReader::Fault &fault = m_reader.fault(); fault.isFraming)
                end(Error(ErrorKind::ProtocolViolation, fault.text, fault.replyCode));
            else
                reportViolation(fault.replyCode, fault.text);
            break;
        }
        if (isDelivery) {
            event = m_router.takeDelivered();
            return true;
        }
    }
}

void ConnectionEngine::onMethodFrame()
{
    const quint16 number = m_reader.header().channel;
    const QByteArrayView payload = m_reader.payload();
    if (payload.size() < 4)
        return reportViolation(Wire::ReplyCode::SyntaxError,
                               u"received a method frame of %1 bytes; the minimum is 4 bytes"_s.arg(payload.size()));
    logMethod("received", number, payload);
    const Wire::MethodId id{qFromBigEndian<quint16>(payload.data()), qFromBigEndian<quint16>(payload.data() + 2)};
    const QByteArrayView arguments = payload.sliced(4);
    const bool isClose = number == 0 && (id == Wire::ConnectionClose::id || id == Wire::ConnectionCloseOk::id);
    if (m_state == State::CloseSent && !isClose)
        return;

    const qsizetype outstandingCalls = m_calls.outstanding();
    const Wire::Visit visit = number == 0 ? Wire::visitMethod(id, arguments, [this](const auto &method) { on(method); })
                                          : m_router.onMethod(number, id, arguments);
    const auto describe = [id] {
        const char *name = Wire::methodName(id);
        return name ? QString::fromLatin1(name) : u"method %1.%2"_s.arg(id.classId).arg(id.methodId);
    };
    switch (visit) {
    case Wire::Visit::Done:
        break;
    case Wire::Visit::UnknownMethod:
        reportViolation(Wire::ReplyCode::NotImplemented, u"received %1, which is not supported"_s.arg(describe()));
        break;
    case Wire::Visit::Malformed:
        reportViolation(Wire::ReplyCode::SyntaxError, u"received malformed arguments of %1"_s.arg(describe()));
        break;
    }
    if (m_calls.outstanding() < outstandingCalls) // an answer
        noteProgress();
    if (m_returnOfNumber != 0 && !m_channels.hasLentNumber()) {
        m_calls.ended(std::exchange(m_returnOfNumber, 0));
        m_gate.numberReturned();
    }
    sendCloseWhenAllIsAnswered();
}

template <typename Method>
void ConnectionEngine::on(const Method &method)
{
    if constexpr (std::is_same_v<Method, Wire::ConnectionStart> || std::is_same_v<Method, Wire::ConnectionSecure>)
        advance(method);
    else if constexpr (std::is_same_v<Method, Wire::ConnectionUpdateSecretOk>)
        m_ownCalls.onUpdateSecretOk();
    else if constexpr (Method::hasContent)
        reportViolation(Wire::ReplyCode::ChannelError,
                        u"received %1 on channel 0"_s.arg(QLatin1StringView(Method::name)));
    else
        reportUnexpected(Method::name);
}

bool ConnectionEngine::expect(State state, const char *method)
{
    if (m_state != state)
        reportUnexpected(method);
    return m_state == state;
}

template <typename Method>
bool ConnectionEngine::advance(const Method &method)
{
    if (!expect(State::Connecting, method.name))
        return false;
    const Error error = m_handshake.on(method);
    if (error.isError())
        end(error);
    m_hasNack = m_handshake.hasCapability(u"basic.nack"_s);
    m_deniesFeatures = m_handshake.isRabbitMq(4, 3);
    return !error.isError();
}

void ConnectionEngine::on(const Wire::ConnectionTune &method)
{
    if (!advance(method))
        return;
    const Handshake::Limits &agreed = m_handshake.agreed();
    m_frames.setMaximumFrameSize(agreed.frameMax);
    m_reader.setMaximumFrameSize(agreed.frameMax);
    m_channels.setLimit(agreed.channelMax);
    m_heartbeat.start(std::chrono::seconds(agreed.heartbeat), m_now);
}

void ConnectionEngine::on(const Wire::ConnectionOpenOk &method)
{
    if (!advance(method))
        return;
    setState(State::Open);
    m_settings.checksUserId = m_settings.checksUserId && sendsPassword(m_handshake.mechanism());
    m_reader.handshakeDone();
    post(Opened{});
    m_channels.endBeyondLimit();
    m_gate.sendWaiting();
}

// The error of calls that the end of the connection leaves unanswered.
static Error callErrorFor(const Error &reason)
{
    return reason.isError() ? reason : Error(ErrorKind::Cancelled, u"the connection was closed"_s);
}

void ConnectionEngine::close(Time now)
{
    if (m_isClosing || m_state == State::Idle || m_state == State::Closed)
        return;
    m_isClosing = true;
    m_ownCalls.close();
    if (m_state != State::Open)
        return end({});
    m_closeTimer.start(now, m_settings.closeTimeout);
    m_gate.connectionClosing();
    m_channels.closeAll(callErrorFor({}));
    sendCloseWhenAllIsAnswered();
}

// connection.close overtakes requests that a channel has not processed yet, so the channels close first. Answers to the
// connection's own calls that follow it would be dropped.
void ConnectionEngine::sendCloseWhenAllIsAnswered()
{
    if (m_isClosing && m_channels.openCount() == 0 && m_ownCalls.areAnswered())
        sendConnectionClose();
}

void ConnectionEngine::sendConnectionClose()
{
    if (m_state != State::Open)
        return;
    m_frames.send(
        0, Wire::ConnectionClose{.replyCode = Wire::ReplyCode::ReplySuccess, .replyText = "closed by the application"});
    setState(State::CloseSent);
}

void ConnectionEngine::on(const Wire::ConnectionClose &method)
{
    m_frames.send(0, Wire::ConnectionCloseOk{});
    if (m_state == State::CloseSent) // both sides have sent close, so the connection ends without outstanding calls
        return end({}, Ending::Close);
    const char *cause = Wire::methodName({method.classId, method.methodId});
    const bool isLoginRefused = method.replyCode == Wire::ReplyCode::AccessRefused && m_state == State::Connecting &&
                                !m_handshake.isLoginAccepted(); // otherwise it is the virtual host that is refused
    end(Error(isLoginRefused ? ErrorKind::Authentication : ErrorKind::ConnectionClosed,
              QString::fromUtf8(method.replyText), method.replyCode, cause ? QString::fromLatin1(cause) : QString()),
        Ending::Close);
}

void ConnectionEngine::on(const Wire::ConnectionCloseOk &method)
{
    if (expect(State::CloseSent, method.name))
        end({}, Ending::Close);
}

void ConnectionEngine::abort(const Error &reason)
{
    end(reason);
}

void ConnectionEngine::failAttempt(const Error &reason)
{
    if (m_state == State::Idle || m_state == State::Closed)
        setState(State::Connecting);
    end(reason);
}

void ConnectionEngine::transportClosed(const Error &error)
{
    if (m_state == State::CloseSent)
        end({});
    else
        end(m_state == State::Connecting ? m_handshake.transportFailed(error) : error);
}

void ConnectionEngine::reportViolation(quint16 replyCode, const QString &text)
{
    const bool canReply = m_state == State::Open;
    if (canReply) {
        const QByteArray reason = Arguments::shortened(text);
        m_frames.send(0, Wire::ConnectionClose{.replyCode = replyCode, .replyText = QByteArrayView(reason)});
    }
    end(Error(ErrorKind::ProtocolViolation, text, replyCode), canReply ? Ending::AwaitCloseOk : Ending::Abort);
}

void ConnectionEngine::reportUnexpected(const char *method)
{
    reportViolation(Wire::ReplyCode::CommandInvalid, u"received an unexpected %1"_s.arg(QLatin1StringView(method)));
}

void ConnectionEngine::end(const Error &reason, Ending ending)
{
    if (m_state == State::Idle || m_state == State::Closed)
        return;
    const bool isFailedAttempt = m_state == State::Connecting && reason.isError();
    const bool isSuspended = m_gate.survivesLoss(reason);
    setState(State::Closed);
    m_flow.countOutput(false);
    m_isClosing = false;
    m_handshake.stop();
    if (isSuspended) {
        m_router.connectionLost();
        if (m_topology)
            m_topology->connectionLost();
        m_gate.suspendChannels(reason);
    } else if (!isFailedAttempt) {
        endChannels(reason);
    }
    m_ownCalls.end(callErrorFor(reason));
    m_channelsWithAcks.clear();
    m_calls.clear();
    m_returnOfNumber = 0;
    m_closeTimer.stop();
    m_heartbeat.stop();
    m_reader.stop();
    if (ending == Ending::Abort)
        m_frames.output().clear();
    setBlocked(false, {});
    m_flow.checkWatermarks();
    post(ConnectionClosed{reason, ending, isSuspended});
}

void ConnectionEngine::endWaiting(const Error &reason)
{
    Q_ASSERT(m_state == State::Idle || m_state == State::Closed);
    endChannels(reason);
    m_flow.checkWatermarks();
}

void ConnectionEngine::endChannels(const Error &reason)
{
    m_topology.reset(); // what the broker has confirmed on a connection ends with it
    m_gate.endChannels(callErrorFor(reason), reason);
}

std::shared_ptr<ChannelEngine> ConnectionEngine::createChannel(ChannelClient *client, std::optional<quint16> wanted)
{
    const quint16 number = !wanted ? m_channels.add(nullptr) : m_channels.add(*wanted, nullptr) ? *wanted : quint16(0);
    if (number == 0)
        return nullptr;
    ChannelHost &host = *this;
    auto channel = std::make_shared<ChannelEngine>(host, number, client);
    m_channels.setChannel(number, channel.get());
    return channel;
}

Result<quint16> ConnectionEngine::claimNumber(ChannelEngine &channel)
{
    if (m_isClosing)
        return Error(ErrorKind::NotOpen, u"the connection is closing"_s, 0,
                     QString::fromLatin1(Wire::ChannelOpen::name));
    quint16 number = channel.number();
    if (m_channels.channel(number) != &channel) { // already closed, and its number released
        if (!m_channels.add(number, &channel))
            number = m_channels.add(&channel);
        if (number == 0)
            return Error(ErrorKind::NotOpen, u"all %1 channel numbers are in use"_s.arg(m_channels.limit()), 0,
                         QString::fromLatin1(Wire::ChannelOpen::name));
    }
    m_channels.opened();
    return number;
}

void ConnectionEngine::channelEnded(const ChannelEngine &channel, bool awaitsCloseOk)
{
    m_router.channelEnded(channel);
    m_gate.channelEnded(channel);
    m_channels.ended(channel, awaitsCloseOk);
    if (awaitsCloseOk && m_channels.isLent(channel.number())) { // the channels wait for it
        m_returnOfNumber = m_calls.nextId();
        callSent({.id = m_returnOfNumber, .owner = nullptr, .method = Wire::ChannelClose::name});
    }
    sendCloseWhenAllIsAnswered();
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
    m_channels.releaseHeld();
}

void ConnectionEngine::setBlocked(bool blocked, const QString &reason)
{
    m_flow.setBlocked(blocked, reason, m_now);
    blocked ? m_calls.pause(m_now) : m_calls.resume(m_now);
}

void ConnectionEngine::prepareOutput(Time now, qint64 held)
{
    for (const auto &channel : m_channelsWithAcks)
        channel->deliveries().flushAcks();
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
    m_calls.left(left, now);
    m_closeTimer.left(left, now);
}

std::optional<Time> ConnectionEngine::deadline() const
{
    std::optional<Time> first;
    for (const std::optional<Time> &at : {m_heartbeat.deadline(), m_handshake.deadline(), m_closeTimer.deadline(),
                                          m_flow.blockedDeadline(), m_calls.deadline()}) {
        if (at && (!first || *at < *first))
            first = at;
    }
    return first;
}

void ConnectionEngine::tick(Time now, bool inputIsRead)
{
    const auto isOver = [now](const std::optional<Time> &deadline) { return deadline && now >= *deadline; };
    if (isOver(m_handshake.deadline()))
        return end(m_handshake.timedOut());
    if (isOver(m_closeTimer.deadline()))
        return end(
            timeout(u"the broker did not confirm the close within %1 ms"_s.arg(m_settings.closeTimeout.count())));
    if (inputIsRead)
        expireCalls(now);
    if (inputIsRead && isOver(m_flow.blockedDeadline()))
        return end(timeout(
            u"the broker has blocked the connection for more than %1 ms"_s.arg(m_settings.blockedTimeout.count())));
    switch (m_heartbeat.tick(now, inputIsRead)) {
    case Heartbeat::Verdict::Nothing:
        break;
    case Heartbeat::Verdict::SendHeartbeat:
        if (m_state == State::CloseSent)
            break; // nothing may follow connection.close
        m_frames.sendHeartbeat();
        m_closeTimer.heartbeatQueued(m_frames.output().appended());
        break;
    case Heartbeat::Verdict::PeerIsDead:
        end(timeout(u"received no data from the broker during two heartbeat intervals of %1 s"_s.arg(
            m_heartbeat.interval().count())));
        break;
    }
}

void ConnectionEngine::expireCalls(Time now)
{
    while (const auto call = m_calls.takeExpired(now)) {
        if (call->owner)
            call->owner->callTimedOut(call->method, m_calls.timeout());
        else // a call of the connection, which ends with it
            end(timeout(u"timed out after %1 ms while waiting for the reply"_s.arg(m_calls.timeout().count()),
                        QString::fromLatin1(call->method)));
    }
}

void ConnectionEngine::releaseIdleMemory()
{
    m_reader.releaseIdleMemory();
    if (m_frames.output().isEmpty())
        m_frames.output().releaseSpare();
    m_calls.releaseIdleMemory();
    m_events.releaseIdleMemory();
    m_channelsWithAcks.shrink_to_fit();
}

} // namespace AmqpQt::Engine
