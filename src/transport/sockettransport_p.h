// SPDX-License-Identifier: MIT
#pragma once

#include "transport/addressrace_p.h"
#include "transport/proxytunnel_p.h"
#include "transport/transport_p.h"

namespace AmqpQt
{

class SocketTransport final : public Transport
{
    Q_OBJECT
public:
    explicit SocketTransport(const QNetworkProxy &proxy = QNetworkProxy::NoProxy, QObject *parent = nullptr);

    void connectTo(const PeerAddress &address) override;
    bool isReady() const override { return m_socket && m_socket->state() == QAbstractSocket::ConnectedState; }
    qint64 read(char *to, qint64 size) override { return m_socket->read(to, size); }
    qint64 write(const char *from, qint64 size) override;
    qint64 writeSome(std::span<const QByteArrayView> pieces) override;
    qint64 bytesToWrite() const override;
    Error error() const override;
    void close() override;
    void abort() override;

private:
    void useSocket();
    void onWritten();

    std::unique_ptr<AddressRace> m_race;  // null from ready() on
    std::unique_ptr<QTcpSocket> m_socket; // null until ready()
    QString m_peer;                       // for error texts
    ProxyTunnel m_tunnel;
    const bool m_usesProxy;
    bool m_isWriting = false;
    bool m_isBroken = false; // the peer no longer accepts bytes
};

} // namespace AmqpQt
