// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qtimer.h>
#include <QtCore/qurl.h>
#include <QtNetwork/qnetworkproxy.h>
#include <QtNetwork/qtcpserver.h>
#include <QtNetwork/qtcpsocket.h>

#include <chrono>

// Simulates a distant broker: a server on loopback that forwards everything to the broker at `url`, and back, after
// `delay`.
class DelayProxy : public QTcpServer
{
    Q_OBJECT
public:
    DelayProxy(const QUrl &url, std::chrono::milliseconds delay, QObject *parent = nullptr)
        : QTcpServer(parent)
        , m_url(url)
        , m_delay(delay)
    {
        listen(QHostAddress::LocalHost);
        connect(this, &QTcpServer::newConnection, this, [this] {
            while (QTcpSocket *client = nextPendingConnection())
                join(client);
        });
    }

    QUrl url() const
    {
        QUrl url = m_url;
        url.setHost(serverAddress().toString());
        url.setPort(serverPort());
        return url;
    }

private:
    void join(QTcpSocket *client)
    {
        auto *broker = new QTcpSocket(client);
        broker->setProxy(QNetworkProxy::NoProxy);
        broker->connectToHost(m_url.host(), quint16(m_url.port(5672)));
        pass(client, broker);
        pass(broker, client);
        connect(client, &QTcpSocket::disconnected, client, &QObject::deleteLater);
    }

    // Timers of one interval end in the order in which they were started. The sockets outlive this part of the proxy.
    void pass(QTcpSocket *from, QTcpSocket *to)
    {
        connect(from, &QTcpSocket::readyRead, to, [delay = m_delay, from, to] {
            QTimer::singleShot(delay, Qt::PreciseTimer, to, [to, bytes = from->readAll()] {
                if (to->state() != QAbstractSocket::UnconnectedState) // its other side may have closed it meanwhile
                    to->write(bytes);
            });
        });
        connect(from, &QTcpSocket::disconnected, to, [delay = m_delay, to] {
            QTimer::singleShot(delay, Qt::PreciseTimer, to, &QTcpSocket::disconnectFromHost);
        });
    }

    const QUrl m_url;
    const std::chrono::milliseconds m_delay;
};
