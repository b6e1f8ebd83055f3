// SPDX-License-Identifier: MIT
#pragma once

#include "client/clientsupport.h"
#include "support/certificates.h"

#include <QtNetwork/qsslconfiguration.h>

// Shared by the tests of TLS.
namespace AmqpQt::Test
{

// The certificates of the servers are for localhost unless their names say otherwise.
inline Endpoint tlsEndpointOf(const ScriptedPeer &peer, const QString &peerName = u"localhost"_s)
{
    return {u"127.0.0.1"_s, peer.port(), true, peerName};
}

inline ConnectionParameters trusting(const QString &authority, const Endpoint &endpoint)
{
    ConnectionParameters parameters = withoutRecovery();
    parameters.setEndpoints({endpoint});
    parameters.trustOnly(certificateFile(authority + u".pem"_s));
    return parameters;
}

inline void setClientCertificate(ConnectionParameters &parameters, const QString &name)
{
    parameters.setClientCertificate(certificateFile(name + u".pem"_s), certificateFile(name + u".key"_s));
}

// Opens the connection, and returns the error of open().
inline Error openingError(Connection &connection)
{
    const Reply<void> opening = connection.open();
    if (!waitUntil([&] { return opening.isFinished(); }, 30s))
        qFatal("open() does not end");
    return opening.result().error();
}

// Sets the default configuration of the process while it exists.
class DefaultConfiguration
{
public:
    explicit DefaultConfiguration(const QSslConfiguration &configuration)
    {
        QSslConfiguration::setDefaultConfiguration(configuration);
    }
    ~DefaultConfiguration() { QSslConfiguration::setDefaultConfiguration(m_before); }
    Q_DISABLE_COPY_MOVE(DefaultConfiguration)

private:
    const QSslConfiguration m_before = QSslConfiguration::defaultConfiguration();
};

} // namespace AmqpQt::Test
