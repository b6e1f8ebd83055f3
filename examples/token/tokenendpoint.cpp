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

// Returns whether the request has arrived with all of its body.
static bool isComplete(const QByteArray &request)
{
    const qsizetype end = request.indexOf("\r\n\r\n");
    if (end < 0)
        return false;
    qsizetype length = 0;
    for (const QByteArray &line : request.first(end).split('\n')) {
        if (line.toLower().startsWith("content-length:"))
            length = line.mid(line.indexOf(':') + 1).trimmed().toLongLong();
    }
    return request.size() >= end + 4 + length;
}

void TokenEndpoint::answer(QTcpSocket *socket) const
{
    constexpr qint64 LargestRequest = 16 * 1024;
    const QByteArray request = socket->peek(LargestRequest);
    if (!isComplete(request)) {
        if (request.size() == LargestRequest)
            socket->abort();
        return;
    }
    socket->readAll(); // closing with unread input would drop the answer
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
