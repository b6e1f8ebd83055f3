// SPDX-License-Identifier: MIT
#pragma once

#include "client/clientsupport.h"
#include "client/connection/connection_p.h"
#include "support/brokersession.h"
#include "support/memorytransport.h"

#include <functional>

// Shared by the tests that need a connection, but no socket.
namespace AmqpQt::Test
{

// The broker's end of one transport. It answers each method with its default reply.
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
        if (input.size() < Wire::ProtocolHeader.size())
            return;
        if (m_parsed == 0) {
            m_parsed = Wire::ProtocolHeader.size();
            if (answers)
                send(connectionStart(encodedServerProperties(), "PLAIN ANONYMOUS", "en_US"));
        }
        QByteArrayView unparsed = QByteArrayView(input).sliced(m_parsed);
        m_parsed = input.size();
        while (const std::optional<Frame> frame = m_parser.next(unparsed)) {
            if (answers && frame->type == Wire::FrameType::Method && !(hook && hook(*frame)))
                answer(*frame);
        }
    }
    void clientClosed() override { isClosed = true; }

    template <typename Method>
    void send(const Method &method, quint16 channel = 0)
    {
        transport->send(Wire::encodeFrame(channel, method));
    }

    QPointer<MemoryTransport> transport;
    bool answers = true;
    std::function<bool(const Frame &)> hook; // called for each method; if it returns true, there is no default reply
    QByteArray input;
    bool isClosed = false; // by the client

private:
    void answer(const Frame &frame)
    {
        Wire::visitMethod(frame.methodId(), frame.arguments(), [&]<typename M>(const M &method) {
            if constexpr (std::is_same_v<M, Wire::ConnectionStartOk>)
                send(Offer().tune());
            else if constexpr (!std::is_void_v<typename M::Reply>)
                send(replyTo(method), frame.channel);
        });
    }

    FrameParser m_parser;
    qsizetype m_parsed = 0;
};

// A connection whose transports end at brokers in memory.
class Client
{
public:
    explicit Client(const ConnectionParameters &parameters = withoutRecovery())
        : connection(parameters)
    {
        ConnectionPrivate::of(&connection)
            ->connector.setTransportFactory([this](const ConnectionParameters &, const Endpoint &, QObject *parent) {
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
    ConnectionParameters parameters = withoutRecovery();
    QList<Endpoint> endpoints;
    for (const QString &host : hosts)
        endpoints.append({host, 5672});
    parameters.setEndpoints(endpoints);
    return parameters;
}

} // namespace AmqpQt::Test
