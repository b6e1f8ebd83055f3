// SPDX-License-Identifier: MIT
#pragma once

#include "rabbitmq/interop.h"

namespace AmqpQt::Test
{

// A test with another client library: a connection, the other side, and for each test function a new queue.
class InteropTest : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void initTestCase()
    {
        m_client = std::make_unique<BrokerClient>();
        QVERIFY(m_client->isOpen());
        m_peer = std::make_unique<Peer>(startPeer());
    }
    void cleanupTestCase()
    {
        m_peer.reset();
        m_client.reset();
    }
    void init()
    {
        m_queue = uniqueName(u"q"_s);
        VERIFY_OK(m_client->channel->declareQueue(m_queue, sharedQueue()));
    }
    void cleanup() { VERIFY_OK(m_client->channel->deleteQueue(m_queue)); }

protected:
    virtual std::unique_ptr<QProcess> startPeer() = 0;

    // Sends the message to the queue; the message has arrived when this returns.
    Result<QueueInfo> send(const Message &message)
    {
        m_client->channel->publish({}, m_queue, message);
        return await(m_client->channel->inspectQueue(m_queue)); // the commands of one channel reach a queue in order
    }
    // Takes the next message from the queue.
    std::optional<Message> take()
    {
        const auto got = await(m_client->channel->get(m_queue, AckMode::NoAck));
        return got && *got ? std::optional((*got)->message) : std::nullopt;
    }

    std::unique_ptr<BrokerClient> m_client;
    std::unique_ptr<Peer> m_peer;
    QString m_queue;
};

} // namespace AmqpQt::Test
