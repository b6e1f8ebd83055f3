// SPDX-License-Identifier: MIT
#include "transport/tlstransport_p.h"

#include "base/logging_p.h"

#include <QtCore/qscopedvaluerollback.h>
#include <QtNetwork/qsslcipher.h>

#include <algorithm>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

namespace
{

// Decrypted bytes that have not been read. QSslSocket stops reading from the network above this size, and has as many
// encrypted bytes; then the kernel's buffer throttles the broker.
constexpr qint64 ReadBufferSize = 128 * 1024;
// Bytes that are encrypted at once. Those that the kernel does not accept stay in the buffer of the socket.
constexpr qint64 WriteChunk = 64 * 1024;
constexpr auto Scheme = "amqps://"_L1; // in error texts

bool canResume()
{
    return QSslSocket::supportedFeatures().contains(QSsl::SupportedFeature::SessionTicket);
}

// The name without the zone of an IPv6 address, or the dot at the end of an absolute name.
QString nameToVerify(const QString &name)
{
    if (name.contains(u':'))
        return name.section(u'%', 0, 0);
    return name.endsWith(u'.') ? name.chopped(1) : name;
}

} // namespace

TlsTransport::TlsTransport(const TlsOptions &options, std::shared_ptr<TlsMemory> memory, const QNetworkProxy &proxy,
                           QObject *parent, bool isTlsSupported)
    : Transport(parent)
    , m_options(options)
    , m_memory(std::move(memory))
    , m_isTlsSupported(isTlsSupported)
    , m_race(
          proxy, [] { return std::make_unique<QSslSocket>(); }, this)
{
    connect(&m_race, &AddressRace::connected, this, &TlsTransport::startHandshake);
    connect(&m_race, &AddressRace::failed, this,
            [this](const Error &error) { Q_EMIT failed(Error(error.kind(), Scheme + error.text())); });
}

void TlsTransport::connectTo(const PeerAddress &address)
{
    m_peer = Scheme + hostAndPort(address.host, address.port);
    m_failure.peerName = nameToVerify(address.name);
    const Result<QSslConfiguration> configuration =
        m_isTlsSupported ? tlsConfiguration(m_options) : Result<QSslConfiguration>(tlsIsMissing());
    if (!configuration) {
        QMetaObject::invokeMethod(
            this, [this, error = configuration.error()] { fail(error); }, Qt::QueuedConnection);
        return;
    }
    m_configuration = *configuration;
    m_configuration.setSslOption(QSsl::SslOptionDisableSessionPersistence, !canResume());
    m_failure.hasClientCertificate = !m_configuration.localCertificate().isNull();
    m_race.start(address.host, address.port, QIODevice::ReadWrite);
}

void TlsTransport::startHandshake()
{
    m_socket.reset(static_cast<QSslSocket *>(m_race.takeSocket().release()));
    m_socket->setParent(this); // so that it moves to another thread as well
    m_peer = Scheme + m_race.peerText();
    connect(m_socket.get(), &QSslSocket::encrypted, this, &TlsTransport::onEncrypted);
    connect(m_socket.get(), &QSslSocket::sslErrors, this, &TlsTransport::onSslErrors);
    connect(m_socket.get(), &QSslSocket::alertReceived, this, [this](QSsl::AlertLevel, QSsl::AlertType type) {
        if (type != QSsl::AlertType::CloseNotify)
            m_failure.alertReceived = type;
    });
    connect(m_socket.get(), &QSslSocket::alertSent, this,
            [this](QSsl::AlertLevel, QSsl::AlertType type) { m_failure.alertSent = type; });
    connect(m_socket.get(), &QSslSocket::newSessionTicketReceived, this, &TlsTransport::keepSession);
    connect(m_socket.get(), &QSslSocket::readyRead, this, &Transport::readable);
    connect(m_socket.get(), &QSslSocket::encryptedBytesWritten, this, &TlsTransport::onWritten);
    m_tunnel.watch(*m_socket, this, [this] { onWritten(); });
    connect(m_socket.get(), &QSslSocket::errorOccurred, this, &TlsTransport::onError);
    connect(m_socket.get(), &QSslSocket::disconnected, this, &Transport::finished);

    QSslConfiguration configuration = m_configuration;
    configuration.setSessionTicket(m_memory->session(sessionName(), m_configuration));
    m_socket->setSslConfiguration(configuration);
    m_socket->setPeerVerifyName(m_failure.peerName);
    m_socket->setReadBufferSize(ReadBufferSize);
    Q_EMIT awaiting(u"the TLS handshake"_s);
    m_socket->startClientEncryption();
}

void TlsTransport::onWritten()
{
    if (!m_isWriting) // a socket may emit its signal from within write()
        Q_EMIT written();
}

void TlsTransport::onSslErrors(const QList<QSslError> &errors)
{
    m_isVerified = false;
    m_memory->setPeerCertificate(m_socket->peerCertificate());
    const QSslSocket::PeerVerifyMode mode = m_socket->peerVerifyMode();
    const bool isRequired = mode == QSslSocket::VerifyPeer || mode == QSslSocket::AutoVerifyPeer;
    if (isRequired && m_memory->accepts(m_socket->peerCertificate(), errors)) {
        for (const QSslError &error : errors)
            qCWarning(lcConnection).noquote()
                << m_peer << "has a certificate that is accepted in spite of an error:" << error.errorString();
        m_socket->ignoreSslErrors(errors);
        return;
    }
    if (isRequired)
        m_failure.errors = errors;
    Q_EMIT sslErrors(errors);
}

void TlsTransport::onEncrypted()
{
    m_failure.isEncrypted = true;
    m_memory->setPeerCertificate(m_socket->peerCertificate());
    m_memory->setSessionCipher(m_socket->sessionCipher());
    if (m_socket->peerVerifyMode() == QSslSocket::VerifyNone || m_socket->peerVerifyMode() == QSslSocket::QueryPeer) {
        m_isVerified = false;
        qCWarning(lcConnection).noquote() << m_peer << "is used without verification of its certificate";
    }
    qCDebug(lcConnection).noquote() << m_peer << m_socket->sessionProtocol() << m_socket->sessionCipher().name()
                                    << QSslSocket::activeBackend() << QSslSocket::sslLibraryVersionString();
    if (m_socket->sessionProtocol() == QSsl::TlsV1_2) // with TLS 1.3 the broker sends the session later
        keepSession();
    Q_EMIT ready();
}

QString TlsTransport::sessionName() const
{
    return m_peer + u' ' + m_failure.peerName;
}

void TlsTransport::keepSession()
{
    const QByteArray session = m_socket->sslConfiguration().sessionTicket();
    if (m_isVerified && !session.isEmpty())
        m_memory->keepSession(sessionName(), m_socket->peerCertificate(), m_configuration, session);
}

void TlsTransport::onError(QAbstractSocket::SocketError code)
{
    m_failure.code = code;
    m_failure.text = m_socket->errorString();
    fail(describe(m_failure));
}

void TlsTransport::fail(const Error &error)
{
    if (m_error.isError())
        return;
    m_error = Error(error.kind(), u"%1: %2"_s.arg(m_peer, error.text()));
    Q_EMIT failed(m_error);
}

Error TlsTransport::error() const
{
    return m_error.isError() ? m_error : Error(ErrorKind::Network, u"%1: the connection was closed"_s.arg(m_peer));
}

// The bytes that arrived before the end of the connection can still be read.
bool TlsTransport::isReady() const
{
    return m_failure.isEncrypted &&
           (m_socket->state() == QAbstractSocket::ConnectedState || m_socket->bytesAvailable());
}

qint64 TlsTransport::read(char *to, qint64 size)
{
    const qint64 taken = m_socket->read(to, size);
    if (taken > 0)
        m_failure.isSilent = false;
    return taken;
}

qint64 TlsTransport::write(const char *from, qint64 size)
{
    if (m_socket->state() != QAbstractSocket::ConnectedState)
        return -1;
    const QScopedValueRollback writing(m_isWriting, true);
    const qint64 taken = m_socket->write(from, size);
    m_socket->flush();
    return taken;
}

qint64 TlsTransport::writeSome(std::span<const QByteArrayView> pieces)
{
    if (m_socket->state() != QAbstractSocket::ConnectedState)
        return -1;
    const QScopedValueRollback writing(m_isWriting, true);
    qint64 taken = 0;
    for (const QByteArrayView piece : pieces) {
        const qint64 size = std::min<qint64>(piece.size(), WriteChunk - taken);
        if (m_socket->write(piece.data(), size) < 0)
            return -1;
        taken += size;
    }
    m_socket->flush(); // encrypts, and writes what the kernel accepts
    return taken;
}

qint64 TlsTransport::bytesToWrite() const
{
    if (!m_socket)
        return 0;
    return m_socket->bytesToWrite() + m_socket->encryptedBytesToWrite() + m_tunnel.bytesToWrite();
}

void TlsTransport::close()
{
    m_race.stop();
    if (m_socket)
        m_socket->disconnectFromHost(); // sends close_notify after the buffer
    if (!m_socket || m_socket->state() == QAbstractSocket::UnconnectedState)
        QMetaObject::invokeMethod(this, &Transport::finished, Qt::QueuedConnection);
}

void TlsTransport::abort()
{
    m_race.stop();
    if (m_socket)
        m_socket->abort();
}

} // namespace AmqpQt
