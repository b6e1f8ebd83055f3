// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qstringlist.h>
#include <QtNetwork/qnetworkproxy.h>
#include <QtNetwork/qtcpserver.h>

class QTcpSocket;

// A SOCKS5 proxy (RFC 1928 and 1929) or an HTTP proxy (CONNECT, RFC 9110) on loopback. Whatever target a client names,
// the proxy connects it to one port on loopback, so tests can use names that only the proxy could look up.
class ProxyServer : public QTcpServer
{
public:
    enum class Kind { Socks5, Http };
    ProxyServer(Kind kind, quint16 targetPort, QObject *parent = nullptr);

    QNetworkProxy proxy(const QString &user = {}, const QString &password = {}) const;
    void requireLogin(const QString &user, const QString &password);
    void refuseTargets() { m_refuses = true; }        // SOCKS5: "connection refused"; HTTP: 503
    QStringList targets() const { return m_targets; } // as clients have named them, "host:port"

private:
    void serve(QTcpSocket *client);
    // Reads a part of the negotiation. Returns the number of bytes that it has taken, and 0 if some are missing.
    qsizetype negotiate(QTcpSocket *client, const QByteArray &input);
    qsizetype greet(QTcpSocket *client, const QByteArray &input);
    qsizetype logIn(QTcpSocket *client, const QByteArray &input);
    qsizetype openSocksTunnel(QTcpSocket *client, const QByteArray &input);
    qsizetype openHttpTunnel(QTcpSocket *client, const QByteArray &input);
    void openTunnel(QTcpSocket *client, const QString &target, const QByteArray &accepted, const QByteArray &refused);

    const Kind m_kind;
    const quint16 m_targetPort;
    bool m_refuses = false;
    QByteArray m_user;
    QByteArray m_password;
    QStringList m_targets;
};
