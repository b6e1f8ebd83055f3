// SPDX-License-Identifier: MIT
#include "engine/connection/handshake_p.h"

#include "engine/arguments/arguments_p.h"
#include "engine/connection/framewriter_p.h"
#include "engine/connection/sasl_p.h"
#include "wire/fieldtable_p.h"

#include <algorithm>

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

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
            .mechanism = SaslPlain,
            .response = QByteArrayView(response),
            .locale = "en_US"};
}

// Returns whether `word` is one of the words of `list`, which are separated by spaces.
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

static Error unexpected(const char *method)
{
    return Error(ErrorKind::ProtocolViolation, u"received an unexpected %1"_s.arg(QLatin1StringView(method)),
                 Wire::ReplyCode::CommandInvalid);
}

Error Handshake::start(const Settings &settings, Time now)
{
    Arguments arguments;
    arguments.shortString("virtualHost", settings.virtualHost);
    const QByteArray clientProperties = arguments.table("clientProperties", startProperties(settings));
    if (arguments.areInvalid())
        return arguments.error();
    // Before tune, only the smallest possible frame-max may be used.
    const qsizetype size =
        Wire::payloadSize(startOk(clientProperties, settings.saslPlainResponse)) + Wire::FrameOverhead;
    if (size > Wire::SpecFrameMinimum)
        return Error(ErrorKind::InvalidArgument,
                     u"clientProperties: connection.start-ok with these properties needs %1 bytes; "
                     "the maximum before tune is %2 bytes"_s.arg(size)
                         .arg(Wire::SpecFrameMinimum),
                     0, QString::fromLatin1(Wire::ConnectionStartOk::name));
    m_step = Step::AwaitsStart;
    m_isTransportReady = false;
    m_awaitedByTransport = u"a TCP connection"_s;
    m_timeout = settings.handshakeTimeout;
    m_deadline = now + m_timeout;
    m_userName = settings.userName;
    m_saslResponse = settings.saslPlainResponse;
    m_virtualHost = settings.virtualHost.toUtf8();
    m_clientProperties = clientProperties;
    m_serverProperties.clear();
    m_proposed = {settings.frameMax, settings.channelMax, settings.heartbeatSeconds};
    m_agreed = {.frameMax = settings.frameMax};
    return {};
}

void Handshake::stop()
{
    m_deadline.reset();
    m_saslResponse.fill('\0');
    m_saslResponse.clear();
}

Error Handshake::on(const Wire::ConnectionStart &method)
{
    if (m_step != Step::AwaitsStart)
        return unexpected(method.name);
    if (method.versionMajor != 0 || method.versionMinor != 9)
        return Error(
            ErrorKind::ProtocolViolation,
            u"the server speaks AMQP %1-%2, not AMQP 0-9-1"_s.arg(method.versionMajor).arg(method.versionMinor),
            Wire::ReplyCode::NotImplemented);
    m_serverProperties = method.serverProperties.contents.toByteArray();
    if (!hasWord(method.mechanisms, SaslPlain)) {
        constexpr qsizetype Shown = 255;
        const QByteArrayView offered = method.mechanisms.first(std::min(method.mechanisms.size(), Shown));
        return Error(ErrorKind::Authentication,
                     u"the broker and this connection have no SASL mechanism in common; "
                     "the broker offers \"%1\", this connection supports \"%2\""_s.arg(QString::fromUtf8(offered),
                                                                                       QLatin1StringView(SaslPlain)),
                     0, QString::fromLatin1(method.name));
    }
    m_step = Step::AwaitsTune;
    m_frames.send(0, startOk(m_clientProperties, m_saslResponse));
    m_saslResponse.fill('\0');
    m_saslResponse.clear();
    return {};
}

Error Handshake::on(const Wire::ConnectionSecure &method)
{
    return unexpected(method.name); // PLAIN has no challenges
}

Error Handshake::on(const Wire::ConnectionTune &method)
{
    if (m_step != Step::AwaitsTune)
        return unexpected(method.name);
    if (method.frameMax > 0 && method.frameMax < Wire::SpecFrameMinimum)
        return Error(
            ErrorKind::ProtocolViolation,
            u"the broker offers a frame-max of %1 bytes, but at least %2 bytes are required"_s.arg(method.frameMax)
                .arg(Wire::SpecFrameMinimum),
            Wire::ReplyCode::FrameError);
    const auto smaller = [](auto ours, auto theirs) {
        return ours == 0 ? theirs : theirs == 0 ? ours : std::min(ours, theirs);
    };
    m_agreed.frameMax = smaller(m_proposed.frameMax, method.frameMax);
    m_agreed.channelMax = smaller(m_proposed.channelMax, method.channelMax);
    m_agreed.heartbeat = m_proposed.heartbeat == 0 ? quint16(0) : smaller(m_proposed.heartbeat, method.heartbeat);
    m_step = Step::AwaitsOpenOk;
    m_frames.send(0, Wire::ConnectionTuneOk{.channelMax = m_agreed.channelMax,
                                            .frameMax = m_agreed.frameMax,
                                            .heartbeat = m_agreed.heartbeat});
    m_frames.send(0, Wire::ConnectionOpen{.virtualHost = m_virtualHost});
    return {};
}

Error Handshake::on(const Wire::ConnectionOpenOk &method)
{
    if (m_step != Step::AwaitsOpenOk)
        return unexpected(method.name);
    m_step = Step::Done;
    m_deadline.reset();
    return {};
}

// Brokers without the capability reject a login by closing the socket, and servers that expect TLS may close it when
// they receive the protocol header.
Error Handshake::transportFailed(const Error &error) const
{
    if (m_step == Step::AwaitsStart && m_isTransportReady && !m_isEncrypted && error.kind() == ErrorKind::Network)
        return Error(error.kind(), u"%1, without an answer to the protocol header; if this port expects TLS, an "
                                   "encrypted endpoint is needed, as in amqps://host"_s.arg(error.text()));
    const bool mayBeRefusal = m_step == Step::AwaitsTune && error.kind() == ErrorKind::Network;
    if (!mayBeRefusal || hasCapability(u"authentication_failure_close"_s))
        return error;
    return Error(
        ErrorKind::Authentication,
        u"the broker closed the connection during the login of user \"%1\": %2"_s.arg(m_userName, error.text()));
}

Error Handshake::timedOut() const
{
    const auto awaited = [this] {
        if (!m_isTransportReady)
            return m_awaitedByTransport;
        switch (m_step) {
        case Step::AwaitsStart:
            return u"connection.start"_s;
        case Step::AwaitsTune:
            return u"connection.tune"_s;
        default:
            return u"connection.open-ok"_s;
        }
    };
    return Error(ErrorKind::Timeout,
                 u"timed out after %1 ms while waiting for %2"_s.arg(m_timeout.count()).arg(awaited()));
}

FieldTable Handshake::serverProperties() const
{
    return Wire::decodeTable(m_serverProperties);
}

bool Handshake::hasCapability(const QString &name) const
{
    const QByteArrayView capabilities = Wire::findValue(m_serverProperties, "capabilities");
    constexpr qsizetype Prefix = 5; // type letter and length
    return capabilities.startsWith('F') &&
           Wire::findValue(capabilities.sliced(Prefix), name.toUtf8()) == QByteArrayView("t\x01", 2);
}

} // namespace AmqpQt::Engine
