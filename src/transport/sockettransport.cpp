// SPDX-License-Identifier: MIT
#include "transport/sockettransport_p.h"

#include <QtNetwork/qnetworkproxy.h>

namespace AmqpQt {

using namespace Qt::StringLiterals;

SocketTransport::SocketTransport(QObject *parent)
    : Transport(parent)
    , m_socket(this) // a child: it goes along to another thread
{
    // Distributions may turn system proxies on by default; an AMQP connection goes through one only where it is told to.
    m_socket.setProxy(QNetworkProxy::NoProxy);
    connect(&m_socket, &QAbstractSocket::connected, this, [this] {
        m_socket.setSocketOption(QAbstractSocket::LowDelayOption, 1); // set earlier, Qt loses it
        Q_EMIT connected();
    });
    connect(&m_socket, &QAbstractSocket::readyRead, this, &Transport::readable);
    connect(&m_socket, &QAbstractSocket::bytesWritten, this, &Transport::written);
    connect(&m_socket, &QAbstractSocket::errorOccurred, this, &Transport::failed);
    connect(&m_socket, &QAbstractSocket::disconnected, this, &Transport::finished);
}

void SocketTransport::connectTo(const QString &host, quint16 port)
{
    m_peer = u"%1:%2"_s.arg(host).arg(port);
    // Unbuffered: reads go from the kernel to their place, and the kernel's buffer is the limit that holds the broker back.
    m_socket.connectToHost(host, port, QIODevice::ReadWrite | QIODevice::Unbuffered);
}

Error SocketTransport::error() const
{
    return Error(ErrorKind::Network, u"%1: %2"_s.arg(m_peer, m_socket.errorString()));
}

void SocketTransport::close()
{
    m_socket.disconnectFromHost();
    if (m_socket.state() == QAbstractSocket::UnconnectedState)
        QMetaObject::invokeMethod(this, &Transport::finished, Qt::QueuedConnection);
}

} // namespace AmqpQt
