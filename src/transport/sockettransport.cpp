// SPDX-License-Identifier: MIT
#include "transport/sockettransport_p.h"

#include <algorithm>
#include <limits>

#if defined(Q_OS_UNIX) && !defined(Q_OS_DARWIN) // where a single call can suppress SIGPIPE
#    define AMQPQT_SEND_PIECES
#    include <array>
#    include <cerrno>
#    include <sys/socket.h>
#    include <sys/uio.h>
#endif

namespace AmqpQt
{

using namespace Qt::StringLiterals;

SocketTransport::SocketTransport(const QNetworkProxy &proxy, QObject *parent)
    : Transport(parent)
    , m_race(std::make_unique<AddressRace>(proxy, std::make_unique<QTcpSocket>, this))
    , m_usesProxy(m_race->usesProxy())
{
    connect(m_race.get(), &AddressRace::connected, this, &SocketTransport::useSocket);
    connect(m_race.get(), &AddressRace::failed, this, &Transport::failed);
}

void SocketTransport::connectTo(const PeerAddress &address)
{
    // Unbuffered, so that reads copy from the kernel directly to their destination, and the kernel's buffer throttles
    // the broker.
    m_race->start(address.host, address.port, QIODevice::ReadWrite | QIODevice::Unbuffered);
}

void SocketTransport::useSocket()
{
    m_socket = m_race->takeSocket();
    m_peer = m_race->peerText();
    m_race.release()->deleteLater(); // it is emitting a signal
    m_socket->setParent(this);       // so that it moves to another thread as well
    connect(m_socket.get(), &QAbstractSocket::readyRead, this, &Transport::readable);
    connect(m_socket.get(), &QAbstractSocket::bytesWritten, this, &SocketTransport::onWritten);
    connect(m_socket.get(), &QAbstractSocket::errorOccurred, this, [this] { Q_EMIT failed(error()); });
    connect(m_socket.get(), &QAbstractSocket::disconnected, this, &Transport::finished);
    m_tunnel.watch(*m_socket, this, [this] { onWritten(); });
    Q_EMIT ready();
}

void SocketTransport::onWritten()
{
    if (!m_isWriting) // a socket may emit its signal from within write()
        Q_EMIT written();
}

qint64 SocketTransport::write(const char *from, qint64 size)
{
    m_isWriting = true;
    const qint64 taken = m_socket->write(from, size);
    m_isWriting = false;
    return taken;
}

qint64 SocketTransport::bytesToWrite() const
{
    return (m_socket ? m_socket->bytesToWrite() : 0) + m_tunnel.bytesToWrite();
}

#ifdef AMQPQT_SEND_PIECES
// A large message is a few small pieces and a large one. QTcpSocket writes each with a separate call, and each small
// write becomes a separate packet. Returns -1 if the peer no longer accepts bytes. Other errors are left to QTcpSocket,
// which gets them again.
static qint64 sendPieces(qintptr descriptor, std::span<const QByteArrayView> pieces)
{
    std::array<iovec, 32> vectors;
    const size_t count = std::min(pieces.size(), vectors.size());
    std::transform(pieces.begin(), pieces.begin() + qsizetype(count), vectors.begin(), [](QByteArrayView piece) {
        return iovec{const_cast<char *>(piece.data()), size_t(piece.size())};
    });
    msghdr message{};
    message.msg_iov = vectors.data();
    message.msg_iovlen = decltype(message.msg_iovlen)(count);
    const ssize_t sent = sendmsg(int(descriptor), &message, MSG_NOSIGNAL);
    if (sent < 0)
        return errno == EPIPE || errno == ECONNRESET ? -1 : 0;
    return sent;
}
constexpr qsizetype Remainder = 16 * 1024; // copied, so that the socket signals when there is room again
#else
static qint64 sendPieces(qintptr, std::span<const QByteArrayView>)
{
    return 0;
}
constexpr qsizetype Remainder = std::numeric_limits<qsizetype>::max();
#endif

// Bypasses QTcpSocket only while it has nothing to write, and never with a proxy, since only QTcpSocket speaks its
// protocol.
qint64 SocketTransport::writeSome(std::span<const QByteArrayView> pieces)
{
    if (m_isBroken)
        return 0;
    const bool bypassesSocket = isReady() && m_socket->bytesToWrite() == 0 && !m_usesProxy;
    const qint64 sent = bypassesSocket ? sendPieces(m_socket->socketDescriptor(), pieces) : 0;
    if (sent < 0) {
        // QTcpSocket would close the socket. Input that has arrived, such as connection.close, can still be read, and
        // ends with the error.
        m_isBroken = true;
        QMetaObject::invokeMethod(this, &Transport::readable, Qt::QueuedConnection);
        return 0;
    }
    qsizetype skip = qsizetype(sent);
    for (const QByteArrayView piece : pieces) {
        if (skip < piece.size()) {
            const QByteArrayView rest = piece.sliced(skip);
            const qint64 taken = write(rest.data(), std::min(rest.size(), Remainder));
            return taken < 0 ? -1 : sent + taken;
        }
        skip -= piece.size();
    }
    return sent;
}

Error SocketTransport::error() const
{
    return Error(ErrorKind::Network, u"%1: %2"_s.arg(m_peer, m_socket->errorString()));
}

void SocketTransport::close()
{
    if (m_race)
        m_race->stop();
    if (m_socket)
        m_socket->disconnectFromHost();
    if (!m_socket || m_socket->state() == QAbstractSocket::UnconnectedState)
        QMetaObject::invokeMethod(this, &Transport::finished, Qt::QueuedConnection);
}

void SocketTransport::abort()
{
    if (m_race)
        m_race->stop();
    if (m_socket)
        m_socket->abort();
}

} // namespace AmqpQt
