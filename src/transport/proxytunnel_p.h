// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qpointer.h>
#include <QtNetwork/qtcpsocket.h>

namespace AmqpQt
{

// The socket to the proxy, inside a socket that uses a SOCKS5 or HTTP proxy. The outer socket reports bytes as written
// that are still in the buffer of the inner one. Null without a proxy, and after the end of the connection, when the
// outer socket deletes it.
class ProxyTunnel
{
public:
    // Calls `written` on the stack of the inner socket, and possibly within the write() of the outer one.
    template <typename Written>
    void watch(const QTcpSocket &outer, const QObject *context, Written written)
    {
        for (QTcpSocket *const socket : outer.findChildren<QTcpSocket *>()) {
            if (socket->parent() != &outer) // otherwise it is the unencrypted socket of a QSslSocket
                m_inner = socket;
        }
        if (m_inner)
            QObject::connect(m_inner, &QAbstractSocket::bytesWritten, context, written);
    }
    qint64 bytesToWrite() const { return m_inner ? m_inner->bytesToWrite() : 0; }

private:
    QPointer<QTcpSocket> m_inner;
};

} // namespace AmqpQt
