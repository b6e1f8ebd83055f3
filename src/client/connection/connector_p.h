// SPDX-License-Identifier: MIT
#pragma once

#include "client/connection/dialer_p.h"
#include "engine/settings_p.h"
#include "transport/tlsmemory_p.h"

#include <chrono>
#include <memory>

namespace AmqpQt
{

class ConnectionPrivate;

// Connects a connection to the broker: gives each endpoint of an attempt the login of the Authenticator, and the engine
// the transport that is ready.
class Connector
{
public:
    explicit Connector(ConnectionPrivate &connection);

    static Engine::Settings settings(const ConnectionParameters &parameters); // without the login

    void setTransportFactory(TransportFactory factory) { m_makeTransport = std::move(factory); } // for the next attempt
    void ignoreSslErrors(const QSslCertificate &certificate, const QList<QSslError::SslError> &errors);
    QSslCertificate peerCertificate() const { return m_tls ? m_tls->peerCertificate() : QSslCertificate(); }
    QSslCipher sessionCipher() const { return m_tls ? m_tls->sessionCipher() : QSslCipher(); }
    Endpoint endpoint() const { return m_dialer ? m_dialer->endpoint() : Endpoint(); } // tried last

    // Starts an attempt with these parameters, on the device unless it is null. The other functions concern the current
    // or the last attempt.
    void start(const ConnectionParameters &parameters, std::unique_ptr<Transport> device);
    const ConnectionParameters &parameters() const noexcept { return m_dialer->parameters(); }
    bool triesNextEndpoint(const Error &reason); // after a failure; the next endpoint is tried later
    bool canRestart() const noexcept { return m_dialer->canDial(); }
    void restart(std::chrono::milliseconds delay); // with the credentials of the connection's parameters
    void eraseCredentials();
    bool endWait(const Error &reason = {}); // returns false if the attempt does not wait
    void stop() { m_dialer->stop(); }

private:
    void dialNextEndpoint();
    std::unique_ptr<Transport> makeTransport(const ConnectionParameters &attempt, const Endpoint &endpoint,
                                             QObject *parent);
    const std::shared_ptr<TlsMemory> &tlsMemory();
    void onTransportReady();

    ConnectionPrivate &m_connection;
    std::shared_ptr<TlsMemory> m_tls; // created on demand
    TransportFactory m_makeTransport;
    std::unique_ptr<Dialer> m_dialer;
};

} // namespace AmqpQt
