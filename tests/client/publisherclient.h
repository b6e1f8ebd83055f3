// SPDX-License-Identifier: MIT
#pragma once

#include "client/clientsupport.h"

#include <AmqpQt/publisher.h>

namespace AmqpQt::Test
{

// A publisher to a broker that confirms nothing by itself, and a log of its signals.
class PublisherClient
{
public:
    explicit PublisherClient(ScriptedPeer &scriptedPeer, bool isOpen = true)
        : peer(scriptedPeer)
        , connection(std::make_unique<Connection>(withoutRecovery(scriptedPeer)))
        , publisher(new Publisher(connection.get(), connection.get()))
    {
        peer.withhold("basic.ack");
        publisher->setRoutingKey(u"q"_s);
        QObject::connect(publisher, &Publisher::settled, &log,
                         [this](quint64 id, const Error &error) { log.add(u"%1 %2"_s.arg(id).arg(brief(error))); });
        QObject::connect(publisher, &Publisher::drained, &log, [this] { log.add(u"drained"_s); });
        if (isOpen)
            open();
    }

    void open()
    {
        connection->open();
        if (!waitUntil([this] { return publisher->channel()->isOpen(); }))
            qFatal("the connection does not open");
        settle(*connection);
    }
    void lose()
    {
        peer.dropConnection();
        if (!waitUntil([this] { return connection->state() == Connection::State::Closed; }))
            qFatal("the loss is not noticed");
        settleEvents();
    }
    quint64 publish(const QByteArray &body) { return publisher->publish(Message(body)); }
    void publishMany(int first, int last)
    {
        for (int i = first; i <= last; ++i)
            publish(QByteArray::number(i));
    }
    void ack(quint64 tag, bool multiple = false)
    {
        peer.send(1, Wire::BasicAck{.deliveryTag = tag, .multiple = multiple});
    }
    bool waitForEntries(qsizetype count)
    {
        return waitUntil([&] { return log.entries.size() >= count; });
    }
    bool waitForPublishes(int count)
    {
        return waitUntil([&] { return peer.count("basic.publish") >= count; });
    }
    QByteArrayList published() const
    {
        QByteArrayList bodies;
        for (const Command &command : peer.received("basic.publish"))
            bodies += command.body;
        return bodies;
    }

    ScriptedPeer &peer;
    SignalLog log;
    std::unique_ptr<Connection> connection;
    QPointer<Publisher> publisher;
};

} // namespace AmqpQt::Test
