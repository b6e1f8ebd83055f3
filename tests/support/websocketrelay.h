// SPDX-License-Identifier: MIT
#pragma once

#include "support/certificates.h"

#include <QtCore/qurl.h>
#include <QtNetwork/qnetworkproxy.h>
#include <QtNetwork/qsslconfiguration.h>
#include <QtNetwork/qtcpsocket.h>
#include <QtWebSockets/qwebsocket.h>
#include <QtWebSockets/qwebsocketserver.h>

// A WebSocket server on loopback. With TLS it has the certificate for localhost of certificates.h.
class LocalWebSocketServer : public QWebSocketServer
{
public:
    explicit LocalWebSocketServer(SslMode mode)
        : QWebSocketServer({}, mode)
    {
        if (mode == SecureMode) {
            QSslConfiguration configuration = QSslConfiguration::defaultConfiguration();
            configuration.setPeerVerifyMode(QSslSocket::VerifyNone);
            configuration.setLocalCertificate(readCertificate(QStringLiteral("server")));
            configuration.setPrivateKey(readCertificateKey(QStringLiteral("server")));
            setSslConfiguration(configuration);
        }
        if (!listen(QHostAddress::LocalHost))
            qFatal("the WebSocket server cannot listen: %s", qPrintable(errorString()));
    }

    QUrl url() const
    {
        QUrl url;
        url.setScheme(secureMode() == SecureMode ? QStringLiteral("wss") : QStringLiteral("ws"));
        url.setHost(QStringLiteral("localhost"));
        url.setPort(serverPort());
        return url;
    }
};

// A relay that passes the bytes of WebSockets on to a TCP port, and back.
class WebSocketRelay : public LocalWebSocketServer
{
public:
    WebSocketRelay(const QString &host, quint16 port, SslMode mode = NonSecureMode)
        : LocalWebSocketServer(mode)
        , m_host(host)
        , m_port(port)
    {
        connect(this, &QWebSocketServer::newConnection, this, [this] { join(nextPendingConnection()); });
    }

    void closeAfter(qint64 bytes) { m_bytesLeft = bytes; }      // of the broker
    QStringList subprotocols() const { return m_subprotocols; } // of the clients so far

private:
    void join(QWebSocket *client)
    {
        m_subprotocols += client->subprotocol();
        auto *broker = new QTcpSocket(client);
        broker->setProxy(QNetworkProxy::NoProxy);
        connect(client, &QWebSocket::binaryMessageReceived, broker,
                [broker](const QByteArray &bytes) { broker->write(bytes); });
        connect(client, &QWebSocket::disconnected, client, &QObject::deleteLater);
        connect(broker, &QTcpSocket::readyRead, client, [this, client, broker] {
            const QByteArray bytes = m_bytesLeft < 0 ? broker->readAll() : broker->read(m_bytesLeft);
            client->sendBinaryMessage(bytes);
            if (m_bytesLeft >= 0 && (m_bytesLeft -= bytes.size()) == 0)
                client->close(QWebSocketProtocol::CloseCodeGoingAway, QStringLiteral("the relay is stopped"));
        });
        connect(broker, &QTcpSocket::errorOccurred, client, [client, broker] {
            client->close(QWebSocketProtocol::CloseCodeBadOperation,
                          QStringLiteral("no broker: ") + broker->errorString());
        });
        broker->connectToHost(m_host, m_port);
    }

    const QString m_host;
    const quint16 m_port;
    qint64 m_bytesLeft = -1; // no limit
    QStringList m_subprotocols;
};
