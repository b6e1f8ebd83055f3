// SPDX-License-Identifier: MIT
#include "websocketdevice.h"

#include <QSslSocket>

#include <algorithm>
#include <cstring>

using namespace Qt::StringLiterals;

WebSocketDevice::WebSocketDevice(QWebSocket *socket, QObject *parent)
    : QIODevice(parent)
    , m_socket(socket)
    , m_tls(socket->findChild<QSslSocket *>(QString(), Qt::FindDirectChildrenOnly))
{
    m_socket->setParent(this);
    setReadLimit(64 * 1024 * 1024);
    connect(m_socket, &QWebSocket::binaryMessageReceived, this, &WebSocketDevice::receive);
    connect(m_socket, &QWebSocket::bytesWritten, this, &QIODevice::bytesWritten);
    connect(m_socket, &QWebSocket::textMessageReceived, this, [this] {
        end(u"the peer has sent a text message; AMQP needs binary messages"_s);
        m_socket->close(QWebSocketProtocol::CloseCodeDatatypeNotSupported);
    });
    connect(m_socket, WebSocketFailed, this, [this] { end(m_socket->errorString()); });
    connect(m_socket, &QWebSocket::disconnected, this, [this] { end(closeText()); });
    if (m_socket->state() == QAbstractSocket::ConnectedState)
        open(ReadWrite | Unbuffered);
}

void WebSocketDevice::setReadLimit(qint64 bytes)
{
    m_readLimit = bytes;
    // The limit also applies to a single message, which a QWebSocket buffers until it is complete.
    const quint64 largest = std::min(quint64(bytes), QWebSocket::maxIncomingFrameSize());
    m_socket->setMaxAllowedIncomingFrameSize(largest);
    m_socket->setMaxAllowedIncomingMessageSize(largest);
}

qint64 WebSocketDevice::bytesAvailable() const
{
    return m_received.size() + QIODevice::bytesAvailable();
}

// QWebSocket does not count what its socket has encrypted and not written yet.
qint64 WebSocketDevice::bytesToWrite() const
{
    return m_socket->bytesToWrite() + (m_tls ? m_tls->encryptedBytesToWrite() : 0);
}

void WebSocketDevice::close()
{
    QIODevice::close();
    m_hasEnded = true; // nothing is reported for a device that is closed
    m_received.clear();
    m_socket->close();
}

qint64 WebSocketDevice::readData(char *to, qint64 size)
{
    if (m_received.isEmpty() && m_hasEnded)
        return -1;
    const qint64 taken = std::min<qint64>(size, m_received.size());
    std::memcpy(to, m_received.constData(), size_t(taken));
    m_received.remove(0, taken);
    return taken;
}

qint64 WebSocketDevice::writeData(const char *from, qint64 size)
{
    const qint64 accepted = std::min(size, WriteLimit - bytesToWrite());
    if (m_hasEnded || accepted <= 0)
        return m_hasEnded ? -1 : 0;
    const qint64 sent = m_socket->sendBinaryMessage(QByteArray(from, accepted)); // may fail, which ends the device
    return m_hasEnded ? -1 : sent;
}

void WebSocketDevice::receive(const QByteArray &message)
{
    if (m_hasEnded)
        return;
    if (m_received.size() + message.size() > m_readLimit) {
        end(u"more than %1 bytes are unread; read faster, limit the messages by a prefetch, or raise the read limit"_s
                .arg(m_readLimit));
        m_socket->close(QWebSocketProtocol::CloseCodeTooMuchData);
        return;
    }
    m_received += message;
    Q_EMIT readyRead();
}

void WebSocketDevice::end(const QString &reason)
{
    if (m_hasEnded)
        return;
    m_hasEnded = true;
    setErrorString(reason);
    Q_EMIT readChannelFinished();
}

QString WebSocketDevice::closeText() const
{
    const QString reason = m_socket->closeReason();
    const QString text = u"the WebSocket was closed with code %1"_s.arg(m_socket->closeCode());
    return reason.isEmpty() ? text : u"%1, \"%2\""_s.arg(text, reason);
}
