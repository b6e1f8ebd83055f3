// SPDX-License-Identifier: MIT
#pragma once

#include <QIODevice>
#include <QWebSocket>

class QSslSocket;

// The signal for errors of a WebSocket, which was called error() before Qt 6.5.
#if QT_VERSION >= QT_VERSION_CHECK(6, 5, 0)
inline const auto WebSocketFailed = &QWebSocket::errorOccurred;
#else
inline const auto WebSocketFailed = qOverload<QAbstractSocket::SocketError>(&QWebSocket::error);
#endif

// A connected WebSocket as a stream of bytes, for example for AmqpQt::Connection::openOn(). The stream is sent in
// binary messages, whose boundaries have no meaning.
//
// Writing: write() accepts bytes until bytesToWrite() has reached WriteLimit, and then returns 0. bytesWritten() is
// emitted when there is room again. It counts the bytes on the network, including the headers of frames.
//
// Reading: a QWebSocket cannot pause, so the peer is not slowed down. If more bytes than the read limit are unread, the
// device ends, as it does if the peer closes the WebSocket. It then emits readChannelFinished(), and errorString() is
// the reason. The bytes that have arrived before can still be read.
class WebSocketDevice : public QIODevice
{
    Q_OBJECT
public:
    explicit WebSocketDevice(QWebSocket *socket, QObject *parent = nullptr); // the socket becomes a child of the device

    qint64 readLimit() const { return m_readLimit; }
    void setReadLimit(qint64 bytes); // 64 MiB by default
    static constexpr qint64 WriteLimit = 256 * 1024;

    bool isSequential() const override { return true; }
    qint64 bytesAvailable() const override;
    qint64 bytesToWrite() const override;
    void close() override; // discards what has been received; deleting the device also discards bytesToWrite()

protected:
    qint64 readData(char *to, qint64 size) override;
    qint64 writeData(const char *from, qint64 size) override;

private:
    void receive(const QByteArray &message);
    void end(const QString &reason);
    QString closeText() const;

    QWebSocket *const m_socket;
    const QSslSocket *const m_tls; // null without TLS
    qint64 m_readLimit = 0;
    QByteArray m_received; // and not read
    bool m_hasEnded = false;
};
