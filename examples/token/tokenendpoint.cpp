// SPDX-License-Identifier: MIT
#include "tokenendpoint.h"

#include <QJsonDocument>
#include <QJsonObject>
#include <QTcpSocket>

using namespace Qt::StringLiterals;

TokenEndpoint::TokenEndpoint(const QString &token, std::chrono::seconds life, QObject *parent)
    : QObject(parent)
    , m_token(token)
    , m_life(life)
{
    connect(&m_server, &QTcpServer::newConnection, this, [this] {
        while (QTcpSocket *socket = m_server.nextPendingConnection()) {
            connect(socket, &QTcpSocket::disconnected, socket, &QObject::deleteLater);
            connect(socket, &QTcpSocket::readyRead, this, [this, socket] { answer(socket); });
        }
    });
    m_server.listen(QHostAddress::LocalHost);
}

QUrl TokenEndpoint::url() const
{
    return QUrl(u"http://127.0.0.1:%1/token"_s.arg(m_server.serverPort()));
}

void TokenEndpoint::answer(QTcpSocket *socket) const
{
    constexpr qint64 LargestRequest = 16 * 1024;
    const QByteArray request = socket->peek(LargestRequest);
    if (!request.contains("\r\n\r\n"))
        return request.size() < LargestRequest ? void() : socket->abort();
    disconnect(socket, &QTcpSocket::readyRead, this, nullptr);
    const bool isKnown = request.startsWith("POST /token ");
    const QJsonObject token{
        {u"access_token"_s, m_token}, {u"token_type"_s, u"Bearer"_s}, {u"expires_in"_s, qint64(m_life.count())}};
    const QByteArray body = isKnown ? QJsonDocument(token).toJson(QJsonDocument::Compact) : QByteArray();
    socket->write(
        QByteArray(isKnown ? "HTTP/1.1 200 OK" : "HTTP/1.1 404 Not Found") +
        "\r\nContent-Type: application/json\r\nCache-Control: no-store\r\nConnection: close\r\nContent-Length: " +
        QByteArray::number(body.size()) + "\r\n\r\n" + body);
    socket->disconnectFromHost();
}
