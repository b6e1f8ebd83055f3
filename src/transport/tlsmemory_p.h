// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qmap.h>
#include <QtNetwork/qsslcertificate.h>
#include <QtNetwork/qsslcipher.h>
#include <QtNetwork/qsslconfiguration.h>
#include <QtNetwork/qsslerror.h>

namespace AmqpQt
{

// The TLS state of a connection that outlasts an attempt: the certificate that the broker presented last, the cipher,
// the errors that the application accepts for a certificate, and the sessions that can be resumed.
class TlsMemory
{
public:
    const QSslCertificate &peerCertificate() const noexcept { return m_peerCertificate; }
    void setPeerCertificate(const QSslCertificate &certificate) // before the handshake is complete
    {
        m_peerCertificate = certificate;
        m_sessionCipher = {};
    }
    const QSslCipher &sessionCipher() const noexcept { return m_sessionCipher; }
    void setSessionCipher(const QSslCipher &cipher) { m_sessionCipher = cipher; }

    void accept(const QSslCertificate &certificate, const QList<QSslError::SslError> &errors);
    bool accepts(const QSslCertificate &certificate, const QList<QSslError> &errors) const; // all of them

    // `peer` is the endpoint with its name. Resuming a session skips the verification of the certificate, so this is
    // possible only with the configuration of the verified session, and while its certificate is valid.
    QByteArray session(const QString &peer, const QSslConfiguration &configuration) const;
    void keepSession(const QString &peer, const QSslCertificate &certificate, const QSslConfiguration &configuration,
                     const QByteArray &session);

private:
    struct Session {
        QSslConfiguration configuration;
        QSslCertificate certificate;
        QByteArray bytes;
    };

    QSslCertificate m_peerCertificate;
    QSslCipher m_sessionCipher;
    QMap<QByteArray, QList<QSslError::SslError>> m_accepted; // by the DER form of the certificate
    QMap<QString, Session> m_sessions;
};

} // namespace AmqpQt
