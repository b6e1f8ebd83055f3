// SPDX-License-Identifier: MIT
#pragma once

#include <QObject>
#include <QTcpServer>
#include <QUrl>

#include <chrono>

class QTcpSocket;

// A token endpoint (RFC 6749) on loopback, which issues the same token to everybody. It stands in for an identity
// provider and understands just enough HTTP.
class TokenEndpoint : public QObject
{
    Q_OBJECT
public:
    TokenEndpoint(const QString &token, std::chrono::seconds life, QObject *parent = nullptr);

    QUrl url() const;

private:
    void answer(QTcpSocket *socket) const;

    const QString m_token;
    const std::chrono::seconds m_life;
    QTcpServer m_server;
};
