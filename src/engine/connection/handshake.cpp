// SPDX-License-Identifier: MIT
#include "engine/connection/handshake_p.h"

#include "engine/arguments/arguments_p.h"
#include "engine/connection/eventqueue_p.h"
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

// RabbitMQ 4.1 takes larger frames before tune than AMQP requires.
constexpr qsizetype LargeFrame = 8192;

static QByteArrayView textProperty(QByteArrayView properties, QByteArrayView key)
{
    constexpr qsizetype Prefix = 5; // type letter and length
    const QByteArrayView value = Wire::findValue(properties, key);
    return value.startsWith('S') ? value.sliced(Prefix) : QByteArrayView();
}

static bool isAtLeast(QByteArrayView version, int major, int minor)
{
    const QByteArrayList parts = version.toByteArray().split('.');
    const auto part = [&parts](qsizetype index) { return parts.value(index).toInt(); };
    return part(0) > major || (part(0) == major && part(1) >= minor);
}

Error Handshake::start(const Settings &settings, Time now)
{
    Arguments arguments;
    arguments.shortString("virtualHost", settings.virtualHost);
    const QByteArray clientProperties = arguments.table("clientProperties", startProperties(settings));
    if (arguments.areInvalid())
        return arguments.error();
    m_step = Step::AwaitsStart;
    m_security.reset();
    m_awaitedByTransport = u"a TCP connection"_s;
    m_timeout = settings.handshakeTimeout;
    m_deadline = now + m_timeout;
    m_userName = settings.userName;
    m_login = settings.login;
    m_mechanism.clear();
    m_initialFrameMax = settings.initialFrameMax;
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
    m_login = {};
}

static Error noCommonMechanism(QByteArrayView offered, const std::vector<Login::Mechanism> &mechanisms)
{
    constexpr qsizetype Shown = 255;
    QStringList names;
    for (const Login::Mechanism &mechanism : mechanisms)
        names += QString::fromUtf8(mechanism.name);
    QString text = u"the broker and this connection have no SASL mechanism in common; "
                   "the broker offers \"%1\", this connection supports \"%2\""_s.arg(
                       QString::fromUtf8(offered.first(std::min(offered.size(), Shown))), names.join(u' '));
    if (names.contains(QLatin1StringView(SaslExternal)))
        text += u"; RabbitMQ offers EXTERNAL if the plugin rabbitmq_auth_mechanism_ssl is enabled and "
                "auth_mechanisms in its configuration contains EXTERNAL"_s;
    return Error(ErrorKind::Authentication, text, 0, QString::fromLatin1(Wire::ConnectionStart::name));
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
    const auto chosen = std::find_if(m_login.mechanisms.begin(), m_login.mechanisms.end(),
                                     [&](const auto &ours) { return hasWord(method.mechanisms, ours.name); });
    if (chosen == m_login.mechanisms.end())
        return noCommonMechanism(method.mechanisms, m_login.mechanisms);
    m_mechanism = chosen->name;
    m_usesApplicationMechanism = chosen->isFromApplication;
    const Login login = std::exchange(m_login, {});
    if (m_usesApplicationMechanism) {
        m_step = Step::AwaitsInitialResponse;
        m_events.post(ResponseRequested{m_mechanism, std::nullopt});
        return {};
    }
    if (const Error error = checkExternal(); error.isError())
        return error;
    return sendStartOk(saslResponse(m_mechanism, m_userName, login.password.bytes()).bytes());
}

Error Handshake::on(const Wire::ConnectionSecure &method)
{
    if (m_step != Step::AwaitsTune || !m_usesApplicationMechanism)
        return unexpected(method.name); // the mechanisms of the engine have no challenges
    m_step = Step::AwaitsResponse;
    m_events.post(ResponseRequested{m_mechanism, method.challenge.toByteArray()});
    return {};
}

Error Handshake::respond(std::optional<QByteArrayView> response)
{
    const bool isInitial = m_step == Step::AwaitsInitialResponse;
    if (!m_deadline || !(isInitial || m_step == Step::AwaitsResponse))
        return {};
    if (!response)
        return Error(ErrorKind::Authentication,
                     u"the SASL mechanism \"%1\" has no response to the challenge of the broker"_s.arg(
                         QString::fromUtf8(m_mechanism)),
                     0, QString::fromLatin1(Wire::ConnectionSecure::name));
    return isInitial ? sendStartOk(*response) : sendSecureOk(*response);
}

// Without these the broker refuses the login with a text that does not name the cause.
Error Handshake::checkExternal() const
{
    if (m_mechanism != SaslExternal)
        return {};
    const auto missing = [](const QString &what) {
        return Error(ErrorKind::Authentication, u"the SASL mechanism EXTERNAL needs "_s + what, 0,
                     QString::fromLatin1(Wire::ConnectionStart::name));
    };
    const TransportSecurity security = m_security.value_or(TransportSecurity());
    if (!security.isEncrypted)
        return missing(u"TLS, but the connection is not encrypted; use an endpoint with TLS"_s);
    if (!security.hasCertificate)
        return missing(u"a client certificate, but none is set; see ConnectionParameters::setClientCertificate()"_s);
    return {};
}

qsizetype Handshake::defaultFrameLimit() const
{
    return isRabbitMq(4, 1) ? LargeFrame : qsizetype(Wire::SpecFrameMinimum);
}

qsizetype Handshake::frameLimit() const
{
    return m_initialFrameMax ? m_initialFrameMax : defaultFrameLimit();
}

Error Handshake::tooLarge(const QString &part, const char *method, qsizetype size) const
{
    const QString limit = m_initialFrameMax ? u"maximumInitialFrameSize allows"_s : u"this broker accepts by default"_s;
    return Error(ErrorKind::InvalidArgument,
                 u"%1: %2 needs %3 bytes, but %4 %5 bytes before connection.tune (the default is %6 bytes for RabbitMQ "
                 "4.1 and later, and %7 bytes for other brokers); to send more, set initial_frame_max in the "
                 "configuration of RabbitMQ, and ConnectionParameters::setMaximumInitialFrameSize()"_s
                     .arg(part, QLatin1StringView(method))
                     .arg(size)
                     .arg(limit)
                     .arg(frameLimit())
                     .arg(LargeFrame)
                     .arg(Wire::SpecFrameMinimum),
                 0, QLatin1StringView(method));
}

QString Handshake::responseText() const
{
    return u"the response of the SASL mechanism \"%1\""_s.arg(QString::fromUtf8(m_mechanism));
}

Error Handshake::sendStartOk(QByteArrayView response)
{
    const Wire::ConnectionStartOk method{.clientProperties = {m_clientProperties},
                                         .mechanism = QByteArrayView(m_mechanism),
                                         .response = response,
                                         .locale = "en_US"};
    if (const qsizetype size = Wire::payloadSize(method) + Wire::FrameOverhead; size > frameLimit()) {
        const QString culprit = m_clientProperties.size() >= response.size() ? u"clientProperties"_s
                                : m_usesApplicationMechanism                 ? responseText()
                                                                             : u"credentials"_s;
        return tooLarge(u"%1 (client properties %2 bytes, response %3 bytes)"_s.arg(culprit)
                            .arg(m_clientProperties.size())
                            .arg(response.size()),
                        method.name, size);
    }
    m_step = Step::AwaitsTune;
    m_frames.sendSecret(0, method);
    m_clientProperties.clear();
    return {};
}

Error Handshake::sendSecureOk(QByteArrayView response)
{
    const Wire::ConnectionSecureOk method{.response = response};
    if (const qsizetype size = Wire::payloadSize(method) + Wire::FrameOverhead; size > frameLimit())
        return tooLarge(responseText(), method.name, size);
    m_step = Step::AwaitsTune;
    m_frames.sendSecret(0, method);
    return {};
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
    if (m_step == Step::AwaitsStart && m_security && !m_security->isEncrypted && error.kind() == ErrorKind::Network)
        return Error(error.kind(), u"%1, without an answer to the protocol header; if this port expects TLS, an "
                                   "encrypted endpoint is needed, as in amqps://host"_s.arg(error.text()));
    const bool mayBeRefusal = m_step == Step::AwaitsTune && error.kind() == ErrorKind::Network;
    if (!mayBeRefusal || hasCapability(u"authentication_failure_close"_s))
        return error;
    const QString login = sendsPassword(m_mechanism)
                              ? u"of user \"%1\""_s.arg(m_userName)
                              : u"with the SASL mechanism \"%1\""_s.arg(QString::fromUtf8(m_mechanism));
    return Error(ErrorKind::Authentication,
                 u"the broker closed the connection during the login %1: %2"_s.arg(login, error.text()));
}

Error Handshake::timedOut() const
{
    const auto awaited = [this] {
        if (!m_security)
            return m_awaitedByTransport;
        switch (m_step) {
        case Step::AwaitsStart:
            return u"connection.start"_s;
        case Step::AwaitsTune:
            return u"connection.tune"_s;
        case Step::AwaitsInitialResponse:
        case Step::AwaitsResponse:
            return responseText();
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

bool Handshake::isRabbitMq(int major, int minor) const
{
    return textProperty(m_serverProperties, "product") == QByteArrayView("RabbitMQ") &&
           isAtLeast(textProperty(m_serverProperties, "version"), major, minor);
}

bool Handshake::hasCapability(const QString &name) const
{
    const QByteArrayView capabilities = Wire::findValue(m_serverProperties, "capabilities");
    constexpr qsizetype Prefix = 5; // type letter and length
    return capabilities.startsWith('F') &&
           Wire::findValue(capabilities.sliced(Prefix), name.toUtf8()) == QByteArrayView("t\x01", 2);
}

} // namespace AmqpQt::Engine
