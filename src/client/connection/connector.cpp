// SPDX-License-Identifier: MIT
#include "client/connection/connector_p.h"

#include "base/logging_p.h"
#include "client/clock_p.h"
#include "client/connection/connection_p.h"
#include "client/connection/connectionparameters_p.h"
#include "transport/sockettransport_p.h"
#include "transport/tlstransport_p.h"

#include <AmqpQt/version.h>

#include <QtCore/qsysinfo.h>
#include <QtNetwork/qnetworkproxy.h>
#include <QtNetwork/qsslconfiguration.h>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

Connector::Connector(ConnectionPrivate &connection)
    : m_connection(connection)
    , m_makeTransport([this](const ConnectionParameters &attempt, const Endpoint &endpoint, QObject *parent) {
        return makeTransport(attempt, endpoint, parent);
    })
{
}

Engine::Settings Connector::settings(const ConnectionParameters &parameters)
{
    Engine::Settings result;
    result.userName = parameters.userName();
    // Without a password, the broker knows the name of the user, but the client does not.
    result.checksUserId = parameters.checksUserId() && ConnectionParametersPrivate::of(parameters).prefersPassword();
    result.virtualHost = parameters.virtualHost();
    result.connectionName = parameters.connectionName();
    result.clientProperties = {
        {u"product"_s, u"AmqpQt"_s},
        {u"version"_s, QStringLiteral(AMQPQT_VERSION_STRING)},
        {u"platform"_s, u"Qt %1, %2"_s.arg(QLatin1StringView(qVersion()), QSysInfo::prettyProductName())},
        {u"information"_s, u"MIT licence"_s},
    };
    result.clientProperties.insert(parameters.clientProperties());
    result.heartbeatSeconds = quint16(parameters.heartbeatInterval().count());
    result.frameMax = parameters.maximumFrameSize();
    result.initialFrameMax = parameters.maximumInitialFrameSize();
    result.channelMax = parameters.maximumChannels();
    result.handshakeTimeout = parameters.connectTimeout();
    result.replyTimeout = parameters.replyTimeout();
    result.closeTimeout = parameters.closeTimeout();
    result.maximumMessageSize = parameters.maximumMessageSize();
    result.blockedTimeout = parameters.blockedTimeout();
    result.backpressureMultiplier = parameters.backpressureMultiplier();
    result.lowWatermark = parameters.lowWatermark();
    result.highWatermark = parameters.highWatermark();
    result.bufferLimit = parameters.bufferLimit();
    return result;
}

void Connector::ignoreSslErrors(const QSslCertificate &certificate, const QList<QSslError::SslError> &errors)
{
    if (certificate.isNull())
        qCWarning(lcConnection, "ignoreSslErrors: the certificate is null");
    else
        tlsMemory()->accept(certificate, errors);
}

void Connector::start(const ConnectionParameters &parameters, std::unique_ptr<Transport> device)
{
    ConnectionPrivate *const connection = &m_connection; // whose child the dialer is
    m_dialer = device ? std::make_unique<Dialer>(parameters, std::move(device), connection)
                      : std::make_unique<Dialer>(parameters, m_makeTransport, connection);
    QObject::connect(m_dialer.get(), &Dialer::awaiting, connection,
                     [connection](const QString &what) { connection->engine.handshake().transportAwaits(what); });
    QObject::connect(m_dialer.get(), &Dialer::sslErrors, connection, [connection](const QList<QSslError> &errors) {
        Connection *const q = connection->q;
        connection->dispatcher.defer(q, [q, errors] { Q_EMIT q->sslErrors(errors); });
        connection->scheduler.schedule();
    });
    QObject::connect(m_dialer.get(), &Dialer::ready, connection, [this] { onTransportReady(); });
    QObject::connect(m_dialer.get(), &Dialer::failed, &connection->link, &TransportLink::fail);
    QObject::connect(m_dialer.get(), &Dialer::nextIsDue, connection, [this] {
        dialNextEndpoint();
        m_connection.scheduler.schedule();
    });
    connection->authenticator.attemptStarted();
    connection->setProgress(Connection::State::Connecting);
    dialNextEndpoint();
}

void Connector::dialNextEndpoint()
{
    if (m_connection.authenticator.askIfNeeded())
        return;
    m_connection.link.reset();
    if (m_tls)
        m_tls->setPeerCertificate(QSslCertificate());
    const ConnectionParameters &attempt = m_dialer->parameters();
    if (const Error invalid = attempt.error(); invalid.isError())
        return m_connection.engine.failAttempt(invalid);
    Result<Engine::Login> login = m_connection.authenticator.login(attempt);
    if (!login)
        return m_connection.engine.failAttempt(login.error());
    Engine::Settings engineSettings = settings(attempt);
    engineSettings.login = *std::move(login);
    engineSettings.recovers = attempt.recoveryPolicy().enabled && !m_dialer->isOnDevice();
    engineSettings.holdsChannels = m_connection.recovery.hasBeenOpen(); // until the topology is restored
    if (const Error wrong = m_connection.engine.start(engineSettings, now()); wrong.isError())
        return m_connection.engine.failAttempt(wrong);
    m_dialer->dialNext();
}

std::unique_ptr<Transport> Connector::makeTransport(const ConnectionParameters &attempt, const Endpoint &endpoint,
                                                    QObject *parent)
{
    if (endpoint.encrypted)
        return std::make_unique<TlsTransport>(ConnectionParametersPrivate::of(attempt).tls, tlsMemory(),
                                              attempt.proxy(), parent);
    return std::make_unique<SocketTransport>(attempt.proxy(), parent);
}

const std::shared_ptr<TlsMemory> &Connector::tlsMemory()
{
    if (!m_tls)
        m_tls = std::make_shared<TlsMemory>();
    return m_tls;
}

void Connector::onTransportReady()
{
    if (m_connection.state == Connection::State::Closing)
        return; // close() was called
    m_connection.link.setTransport(m_dialer->takeTransport());
    const ConnectionParameters &attempt = m_dialer->parameters();
    const bool isOnDevice = m_dialer->isOnDevice(); // which may use TLS and a certificate
    const bool isEncrypted = isOnDevice || m_dialer->endpoint().encrypted;
    const bool hasCertificate =
        isOnDevice || (isEncrypted && (!attempt.clientCertificateFile().isEmpty() ||
                                       !attempt.sslConfiguration().localCertificate().isNull()));
    m_connection.engine.handshake().transportReady({.isEncrypted = isEncrypted, .hasCertificate = hasCertificate});
    m_connection.setProgress(Connection::State::Handshaking);
    m_connection.link.writeNow();
}

// Only an error that may not occur at the next endpoint leads to another attempt.
bool Connector::triesNextEndpoint(const Error &reason)
{
    if (!m_dialer->hasNext() || !reason.isRecoverable())
        return false;
    m_dialer->scheduleNext();
    return true;
}

void Connector::restart(std::chrono::milliseconds delay)
{
    m_dialer->restart(m_connection.parameters, delay);
}

void Connector::eraseCredentials()
{
    if (m_dialer)
        m_dialer->eraseCredentials();
}

// Between two attempts, and while the application is asked for credentials, the engine has no attempt that it could
// end.
bool Connector::endWait(const Error &reason)
{
    if (!m_dialer->isNextScheduled() && !m_connection.authenticator.isWaiting())
        return false;
    m_connection.authenticator.stopWaiting();
    m_dialer->stop();
    m_connection.engine.failAttempt(reason);
    return true;
}

} // namespace AmqpQt
