// SPDX-License-Identifier: MIT
#pragma once

#include "transport/addressrace_p.h"
#include "transport/proxytunnel_p.h"
#include "transport/tlserrors_p.h"
#include "transport/tlsmemory_p.h"
#include "transport/tlsoptions_p.h"
#include "transport/transport_p.h"

#include <QtNetwork/qsslsocket.h>

#include <memory>

namespace AmqpQt
{

// A transport with TLS. It is ready when the handshake is complete and the broker's certificate is verified.
class TlsTransport final : public Transport
{
    Q_OBJECT
public:
    TlsTransport(const TlsOptions &options, std::shared_ptr<TlsMemory> memory,
                 const QNetworkProxy &proxy = QNetworkProxy::NoProxy, QObject *parent = nullptr,
                 bool isTlsSupported = QSslSocket::supportsSsl());

    void connectTo(const PeerAddress &address) override;
    bool isReady() const override;
    qint64 read(char *to, qint64 size) override;
    qint64 write(const char *from, qint64 size) override;
    qint64 writeSome(std::span<const QByteArrayView> pieces) override;
    qint64 bytesToWrite() const override;
    Error error() const override;
    void close() override;
    void abort() override;

private:
    void startHandshake();
    void onEncrypted();
    void onSslErrors(const QList<QSslError> &errors);
    void onWritten();
    QString sessionName() const;
    void onError(QAbstractSocket::SocketError code);
    void keepSession();
    void fail(const Error &error);

    const TlsOptions m_options;
    const std::shared_ptr<TlsMemory> m_memory;
    const bool m_isTlsSupported;
    AddressRace m_race;
    std::unique_ptr<QSslSocket> m_socket; // null until the TCP connection exists
    ProxyTunnel m_tunnel;
    QString m_peer;                    // for error texts
    QSslConfiguration m_configuration; // of this attempt, without the session to resume
    TlsFailure m_failure;
    Error m_error;            // the first one; later ones are its consequences
    bool m_isVerified = true; // no error was accepted or ignored
    bool m_isWriting = false;
};

} // namespace AmqpQt
