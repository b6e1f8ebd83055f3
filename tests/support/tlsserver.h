// SPDX-License-Identifier: MIT
#pragma once

#include <QtNetwork/qtcpserver.h>

#include <optional>

class QSslSocket;

// The settings of a server for the TLS handshake.
struct TlsSettings {
    enum class ClientCertificate { Ignored, Optional, Required };
    enum class Handshake {
        Completes,
        Stalls,       // the client's first bytes are read, and nothing is sent
        HangsUp,      // closes the socket after the client's first bytes
        ThenHangsUp,  // completes the handshake, and then closes the socket without reading
        SendsInstead, // sends `instead` in answer to the client's first bytes, and closes the socket
    };

    QString certificate = QStringLiteral("server");                   // a NAME of tools/certificates
    ClientCertificate clientCertificate = ClientCertificate::Ignored; // unless Ignored, ca must have issued it
    QByteArray minimumVersion = "TLSv1.2"; // as OpenSSL names it: "TLSv1.1", "TLSv1.2" or "TLSv1.3"
    QByteArray maximumVersion = "TLSv1.3";
    Handshake handshake = Handshake::Completes;
    QByteArray instead;
};

// A QTcpServer whose connections can be encrypted. An encrypted connection is pending once its handshake is complete.
class TlsServer : public QTcpServer
{
public:
    void setTls(const std::optional<TlsSettings> &settings) { m_settings = settings; } // for later connections
    const std::optional<TlsSettings> &tls() const { return m_settings; }

    int acceptedCount() const { return m_acceptedCount; } // TCP connections, with and without handshakes
    // The name of the server that the latest client has sent in its handshake (server_name_indication).
    QByteArray indicatedName() const { return m_indicatedName; }

protected:
    void incomingConnection(qintptr descriptor) override;

private:
    void startHandshake(QSslSocket *socket, const TlsSettings &settings);
    void complete(QSslSocket *socket, const TlsSettings &settings);

    std::optional<TlsSettings> m_settings;
    int m_acceptedCount = 0;
    QByteArray m_indicatedName;
};
