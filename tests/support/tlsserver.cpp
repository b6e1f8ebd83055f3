// SPDX-License-Identifier: MIT
#include "support/tlsserver.h"

#include "support/certificates.h"

#include <QtCore/qendian.h>
#include <QtNetwork/qsslconfiguration.h>
#include <QtNetwork/qsslsocket.h>

using namespace Qt::StringLiterals;

namespace
{

// Reads the fields of a TLS message; returns zeros and empty fields beyond its end.
class TlsReader
{
public:
    explicit TlsReader(QByteArrayView bytes)
        : m_left(bytes)
    {
    }

    bool isEmpty() const { return m_left.isEmpty(); }
    QByteArrayView take(qsizetype size)
    {
        const QByteArrayView taken = m_left.first(qMin(size, m_left.size()));
        m_left = m_left.sliced(taken.size());
        return taken;
    }
    quint16 number(qsizetype size)
    {
        quint16 value = 0;
        for (const char byte : take(size))
            value = quint16(value << 8 | quint8(byte));
        return value;
    }
    QByteArrayView field(qsizetype sizeOfSize) { return take(number(sizeOfSize)); } // preceded by its size

private:
    QByteArrayView m_left;
};

constexpr qsizetype RecordHeaderSize = 5; // type, version (2 bytes), size (2 bytes)

// RFC 8446, section 4.1.2, and RFC 6066, section 3.
QByteArray serverNameIn(QByteArrayView clientHello)
{
    TlsReader reader(clientHello);
    reader.take(RecordHeaderSize + 4 + 2 + 32); // the headers of record and message, version, random
    reader.field(1);                            // session id
    reader.field(2);                            // cipher suites
    reader.field(1);                            // compression methods
    TlsReader extensions(reader.field(2));
    while (!extensions.isEmpty()) {
        const quint16 type = extensions.number(2);
        TlsReader content(extensions.field(2));
        if (type != 0) // server_name
            continue;
        TlsReader names(content.field(2));
        names.take(1); // the type: host_name
        return names.field(2).toByteArray();
    }
    return {};
}

QSslConfiguration configuration(const TlsSettings &settings)
{
    QSslConfiguration configuration;
    configuration.setLocalCertificateChain(readCertificateChain(settings.certificate));
    configuration.setPrivateKey(readCertificateKey(settings.certificate));
    if (settings.clientCertificate == TlsSettings::ClientCertificate::Ignored) {
        configuration.setPeerVerifyMode(QSslSocket::VerifyNone);
    } else {
        configuration.setCaCertificates({readCertificate(u"ca"_s)});
        configuration.setPeerVerifyMode(settings.clientCertificate == TlsSettings::ClientCertificate::Required
                                            ? QSslSocket::VerifyPeer
                                            : QSslSocket::QueryPeer);
        // OpenSSL then sends the client an alert with the cause.
        configuration.setHandshakeMustInterruptOnError(true);
        configuration.setMissingCertificateIsFatal(settings.clientCertificate ==
                                                   TlsSettings::ClientCertificate::Required);
    }
    configuration.setProtocol(QSsl::AnyProtocol);
    configuration.setBackendConfigurationOption("MinProtocol", settings.minimumVersion);
    configuration.setBackendConfigurationOption("MaxProtocol", settings.maximumVersion);
    if (settings.minimumVersion < "TLSv1.2") // OpenSSL regards it as insecure
        configuration.setBackendConfigurationOption("CipherString", QByteArray("ALL:@SECLEVEL=0"));
    return configuration;
}

} // namespace

void TlsServer::incomingConnection(qintptr descriptor)
{
    ++m_acceptedCount;
    if (!m_settings)
        return QTcpServer::incomingConnection(descriptor);
    auto *socket = new QSslSocket(this);
    socket->setSocketDescriptor(descriptor);
    connect(socket, &QSslSocket::readyRead, this,
            [this, socket, settings = *m_settings] { startHandshake(socket, settings); });
}

void TlsServer::startHandshake(QSslSocket *socket, const TlsSettings &settings)
{
    const QByteArray header = socket->peek(RecordHeaderSize);
    if (header.size() < RecordHeaderSize)
        return;
    const bool isTls = header.startsWith('\x16'); // otherwise OpenSSL reports the error
    const qsizetype size = RecordHeaderSize + qFromBigEndian<quint16>(header.constData() + 3);
    if (isTls && socket->bytesAvailable() < size)
        return;
    m_indicatedName = isTls ? serverNameIn(socket->peek(size)) : QByteArray();

    disconnect(socket, &QSslSocket::readyRead, this, nullptr);
    switch (settings.handshake) {
    case TlsSettings::Handshake::Stalls:
        break;
    case TlsSettings::Handshake::SendsInstead:
        socket->write(settings.instead);
        [[fallthrough]];
    case TlsSettings::Handshake::HangsUp:
        socket->readAll(); // otherwise the client's socket would be reset
        socket->disconnectFromHost();
        break;
    case TlsSettings::Handshake::Completes:
    case TlsSettings::Handshake::ThenHangsUp:
        complete(socket, settings);
    }
}

void TlsServer::complete(QSslSocket *socket, const TlsSettings &settings)
{
    socket->setSslConfiguration(configuration(settings));
    connect(socket, &QSslSocket::encrypted, this, [this, socket, handshake = settings.handshake] {
        disconnect(socket, nullptr, this, nullptr);
        if (handshake == TlsSettings::Handshake::ThenHangsUp)
            return socket->disconnectFromHost();
        addPendingConnection(socket);
        Q_EMIT newConnection();
    });
    socket->startServerEncryption();
}
