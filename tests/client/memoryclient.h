// SPDX-License-Identifier: MIT
#pragma once

#include "client/clientsupport.h"
#include "client/connection/connection_p.h"
#include "support/memorytransport.h"

// Shared by the tests of attempts to connect without sockets.
namespace AmqpQt::Test
{

// The broker's end of one transport. It answers the handshake and connection.close.
class Broker final : public MemoryTransport::Peer
{
public:
    explicit Broker(MemoryTransport *memoryTransport)
        : transport(memoryTransport)
    {
        transport->setPeer(this);
    }
    ~Broker()
    {
        if (transport)
            transport->setPeer(nullptr);
    }

    void received(QByteArrayView bytes) override
    {
        input.append(bytes);
        if (m_parsed == 0 && input.size() >= Wire::ProtocolHeader.size()) {
            m_parsed = Wire::ProtocolHeader.size();
            if (answers)
                send(Wire::ConnectionStart{.versionMinor = 9, .mechanisms = "PLAIN", .locales = "en_US"});
        }
        while (m_parsed > 0 && input.size() - m_parsed >= Wire::FrameOverhead) {
            const Wire::FrameHeader header = Wire::readFrameHeader(input.constData() + m_parsed);
            const qsizetype size = qsizetype(header.size) + Wire::FrameOverhead;
            if (input.size() - m_parsed < size)
                return;
            const QByteArrayView payload = QByteArrayView(input).sliced(m_parsed + Wire::FrameHeaderSize, header.size);
            m_parsed += size;
            if (header.type == quint8(Wire::FrameType::Method) && header.channel == 0)
                answer(qFromBigEndian<quint32>(payload.data()));
        }
    }
    void clientClosed() override { isClosed = true; }

    template <typename Method>
    void send(const Method &method)
    {
        transport->send(Wire::encodeFrame(0, method));
    }

    QPointer<MemoryTransport> transport;
    bool answers = true;
    QByteArray input;
    bool isClosed = false; // by the client

private:
    void answer(quint32 method)
    {
        if (method == Wire::ConnectionStartOk::id.value())
            send(Wire::ConnectionTune{.channelMax = 2047, .frameMax = 131072, .heartbeat = 60});
        else if (method == Wire::ConnectionOpen::id.value())
            send(Wire::ConnectionOpenOk{});
        else if (method == Wire::ConnectionClose::id.value())
            send(Wire::ConnectionCloseOk{});
    }

    qsizetype m_parsed = 0;
};

// A connection whose transports end at brokers in memory.
class Client
{
public:
    explicit Client(const ConnectionParameters &parameters = {})
        : connection(parameters)
    {
        ConnectionPrivate::of(&connection)
            ->setTransportFactory([this](const ConnectionParameters &, const Endpoint &, QObject *parent) {
                auto transport = std::make_unique<MemoryTransport>(parent);
                brokers.push_back(std::make_unique<Broker>(transport.get()));
                return transport;
            });
        log.watch(&connection);
    }

    Broker &broker() { return *brokers.back(); }
    bool open()
    {
        connection.open();
        broker().transport->accept();
        return waitUntil([this] { return connection.isOpen(); });
    }

    std::vector<std::unique_ptr<Broker>> brokers; // one for each endpoint that was tried
    SignalLog log;
    Connection connection;
};

inline ConnectionParameters withEndpoints(const QStringList &hosts)
{
    ConnectionParameters parameters;
    QList<Endpoint> endpoints;
    for (const QString &host : hosts)
        endpoints.append({host, 5672});
    parameters.setEndpoints(endpoints);
    return parameters;
}

} // namespace AmqpQt::Test
