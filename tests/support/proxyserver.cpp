// SPDX-License-Identifier: MIT
#include "support/proxyserver.h"

#include <QtCore/qendian.h>
#include <QtCore/qpointer.h>
#include <QtNetwork/qtcpsocket.h>

#include <memory>

using namespace Qt::StringLiterals;

namespace
{

enum class Step { Greeting, Login, Request, Tunnel };
constexpr char StepProperty[] = "step";

Step stepOf(const QTcpSocket *client)
{
    return Step(client->property(StepProperty).toInt());
}

void setStep(QTcpSocket *client, Step step)
{
    client->setProperty(StepProperty, int(step));
}

// Passes everything on, at the pace of the receiver. Both sockets have a small read buffer.
void relay(QTcpSocket *from, QTcpSocket *to)
{
    constexpr qint64 Window = 64 * 1024;
    const auto pass = [from, to] {
        if (to->bytesToWrite() < Window)
            to->write(from->read(Window - to->bytesToWrite()));
    };
    from->setReadBufferSize(Window);
    QObject::connect(from, &QTcpSocket::readyRead, to, pass);
    QObject::connect(to, &QTcpSocket::bytesWritten, from, pass);
    QObject::connect(from, &QTcpSocket::disconnected, to, &QTcpSocket::disconnectFromHost);
    pass();
}

} // namespace

ProxyServer::ProxyServer(Kind kind, quint16 targetPort, QObject *parent)
    : QTcpServer(parent)
    , m_kind(kind)
    , m_targetPort(targetPort)
{
    if (!listen(QHostAddress::LocalHost))
        qFatal("the proxy cannot listen: %s", qPrintable(errorString()));
    connect(this, &QTcpServer::newConnection, this, [this] {
        while (QTcpSocket *client = nextPendingConnection())
            serve(client);
    });
}

QNetworkProxy ProxyServer::proxy(const QString &user, const QString &password) const
{
    const auto type = m_kind == Kind::Socks5 ? QNetworkProxy::Socks5Proxy : QNetworkProxy::HttpProxy;
    return QNetworkProxy(type, u"127.0.0.1"_s, serverPort(), user, password);
}

void ProxyServer::requireLogin(const QString &user, const QString &password)
{
    m_user = user.toLatin1();
    m_password = password.toLatin1();
}

void ProxyServer::serve(QTcpSocket *client)
{
    setStep(client, m_kind == Kind::Socks5 ? Step::Greeting : Step::Request);
    auto input = std::make_shared<QByteArray>();
    connect(client, &QTcpSocket::readyRead, this, [this, client, input] {
        while (stepOf(client) != Step::Tunnel && client->bytesAvailable() > 0) {
            *input += client->read(1); // the bytes behind the negotiation are left to the tunnel
            input->remove(0, negotiate(client, *input));
        }
    });
    connect(client, &QTcpSocket::disconnected, client, &QObject::deleteLater);
}

qsizetype ProxyServer::negotiate(QTcpSocket *client, const QByteArray &input)
{
    switch (stepOf(client)) {
    case Step::Greeting:
        return greet(client, input);
    case Step::Login:
        return logIn(client, input);
    case Step::Request:
        return m_kind == Kind::Socks5 ? openSocksTunnel(client, input) : openHttpTunnel(client, input);
    case Step::Tunnel:
        break;
    }
    return 0;
}

// version, number of methods, methods
qsizetype ProxyServer::greet(QTcpSocket *client, const QByteArray &input)
{
    if (input.size() < 2 || input.size() < 2 + input.at(1))
        return 0;
    const char method = m_user.isEmpty() ? 0 : 2;
    if (!input.sliced(2).contains(method)) {
        client->write("\x05\xff", 2);
        client->disconnectFromHost();
    } else {
        client->write(QByteArray("\x05") + method);
        setStep(client, method == 0 ? Step::Request : Step::Login);
    }
    return input.size();
}

// version, length of the name, name, length of the password, password
qsizetype ProxyServer::logIn(QTcpSocket *client, const QByteArray &input)
{
    if (input.size() < 2)
        return 0;
    const qsizetype nameSize = uchar(input.at(1));
    if (input.size() < 3 + nameSize)
        return 0;
    const qsizetype passwordSize = uchar(input.at(2 + nameSize));
    if (input.size() < 3 + nameSize + passwordSize)
        return 0;
    const bool isRight = input.sliced(2, nameSize) == m_user && input.sliced(3 + nameSize) == m_password;
    client->write(isRight ? "\x01\x00" : "\x01\x01", 2);
    setStep(client, Step::Request);
    if (!isRight)
        client->disconnectFromHost();
    return input.size();
}

// version, command, 0, type of the address, address, port
qsizetype ProxyServer::openSocksTunnel(QTcpSocket *client, const QByteArray &input)
{
    if (input.size() < 5)
        return 0;
    const char type = input.at(3);
    const qsizetype start = type == 3 ? 5 : 4;
    const qsizetype size = type == 1 ? 4 : type == 4 ? 16 : uchar(input.at(4));
    if (input.size() < start + size + 2)
        return 0;
    const QByteArray address = input.sliced(start, size);
    QString host = QString::fromLatin1(address);
    if (type == 1)
        host = QHostAddress(qFromBigEndian<quint32>(address.constData())).toString();
    else if (type == 4)
        host = QHostAddress(reinterpret_cast<const quint8 *>(address.constData())).toString();
    const quint16 port = qFromBigEndian<quint16>(input.constData() + start + size);
    openTunnel(client, u"%1:%2"_s.arg(host).arg(port), QByteArray("\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00", 10),
               QByteArray("\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00", 10));
    return input.size();
}

qsizetype ProxyServer::openHttpTunnel(QTcpSocket *client, const QByteArray &input)
{
    if (!input.endsWith("\r\n\r\n"))
        return 0;
    const QByteArrayList words = input.left(input.indexOf('\r')).split(' ');
    const QByteArray login = "Proxy-Authorization: Basic " + (m_user + ':' + m_password).toBase64() + "\r\n";
    if (!m_user.isEmpty() && !input.contains(login)) {
        client->write("HTTP/1.1 407 Proxy Authentication Required\r\n"
                      "Proxy-Authenticate: Basic realm=\"test\"\r\nContent-Length: 0\r\n\r\n");
    } else {
        openTunnel(client, QString::fromLatin1(words.value(1)), "HTTP/1.1 200 Connected\r\n\r\n",
                   "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    }
    return input.size();
}

void ProxyServer::openTunnel(QTcpSocket *client, const QString &target, const QByteArray &accepted,
                             const QByteArray &refused)
{
    m_targets += target;
    setStep(client, Step::Tunnel);
    if (m_refuses) {
        client->write(refused);
        client->disconnectFromHost();
        return;
    }
    auto *broker = new QTcpSocket(client);
    broker->setProxy(QNetworkProxy::NoProxy);
    connect(broker, &QTcpSocket::connected, client, [client, broker, accepted] {
        client->write(accepted);
        relay(client, broker);
        relay(broker, client);
    });
    broker->connectToHost(QHostAddress::LocalHost, m_targetPort);
}
