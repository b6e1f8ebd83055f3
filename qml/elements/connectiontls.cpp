// SPDX-License-Identifier: MIT
#include "connectiontls.h"

#include <QtCore/qurl.h>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

// QML's file dialogs and Qt.resolvedUrl() return URLs.
static QString localPath(const QString &file)
{
    if (file.startsWith("file:"_L1))
        return QUrl(file).toLocalFile();
    return file.startsWith("qrc:"_L1) ? u':' + QUrl(file).path() : file;
}

ConnectionTls::ConnectionTls(Connection *connection)
    : m_connection(connection)
{
    connect(connection, &Connection::parametersChanged, this, &ConnectionTls::changed);
    connect(connection, &Connection::stateChanged, this, &ConnectionTls::checkPeerCertificate);
    connect(connection, &Connection::sslErrors, this, &ConnectionTls::checkPeerCertificate);
}

bool ConnectionTls::isEnabled() const
{
    return m_connection->parameters().endpoints().constFirst().encrypted;
}

bool ConnectionTls::isRequired() const
{
    return m_connection->parameters().isTlsRequired();
}

QString ConnectionTls::trustOnly() const
{
    const ConnectionParameters parameters = m_connection->parameters();
    return parameters.trustsSystemAuthorities() ? QString() : parameters.authorityFiles().value(0);
}

QString ConnectionTls::trustAlso() const
{
    const ConnectionParameters parameters = m_connection->parameters();
    return parameters.authorityFiles().value(parameters.trustsSystemAuthorities() ? 0 : 1);
}

QString ConnectionTls::certificateFile() const
{
    return m_pkcs12File ? QString() : m_connection->parameters().clientCertificateFile();
}

QString ConnectionTls::keyFile() const
{
    return m_connection->parameters().clientKeyFile();
}

QString ConnectionTls::pkcs12File() const
{
    return m_pkcs12File ? m_connection->parameters().clientCertificateFile() : QString();
}

QString ConnectionTls::peerName() const
{
    return m_connection->parameters().endpoints().constFirst().peerName;
}

QmlCertificate ConnectionTls::peerCertificate() const
{
    return QmlCertificate(m_connection->peerCertificate());
}

void ConnectionTls::applyTo(Endpoint &endpoint) const
{
    endpoint.encrypted = m_enabled.value_or(endpoint.encrypted);
    endpoint.peerName = m_peerName.value_or(endpoint.peerName);
}

void ConnectionTls::applyTo(ConnectionParameters &parameters) const
{
    if (m_required)
        parameters.setTlsRequired(*m_required);
    if (m_trustOnly)
        parameters.trustOnly(localPath(*m_trustOnly));
    if (m_trustAlso)
        parameters.trustAlso(localPath(*m_trustAlso));
    const QString passphrase = m_passphrase.value_or(QString());
    if (m_pkcs12File)
        parameters.setClientPkcs12(localPath(*m_pkcs12File), passphrase);
    else if (m_certificateFile) // the key of the URL belongs to another certificate
        parameters.setClientCertificate(localPath(*m_certificateFile), localPath(m_keyFile.value_or(QString())),
                                        passphrase);
    else if (m_keyFile || m_passphrase)
        parameters.setClientCertificate(parameters.clientCertificateFile(),
                                        localPath(m_keyFile.value_or(parameters.clientKeyFile())), passphrase);
}

void ConnectionTls::checkPeerCertificate()
{
    const QmlCertificate certificate = peerCertificate();
    if (std::exchange(m_reportedCertificate, certificate) != certificate)
        Q_EMIT peerCertificateChanged();
}

} // namespace AmqpQt
