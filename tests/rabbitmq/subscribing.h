// SPDX-License-Identifier: MIT
#pragma once

#include "rabbitmq/queues.h"

#include <QtCore/qpointer.h>
#include <QtCore/qthread.h>

// Shared by the tests of slots that end their subscription, and of connections in other threads.
namespace AmqpQt::Test
{

// A connection that opens when the test calls open(), with a consumer. A slot of the test may end any part of it.
struct Subscription {
    explicit Subscription(const QString &queue)
        : connection(new Connection(brokerParameters()))
        , channel(connection->createChannel())
        , consumer(channel->consume(queue))
    {
    }
    ~Subscription() { delete connection; }
    Q_DISABLE_COPY_MOVE(Subscription)

    static void addWaysToEnd()
    {
        QTest::addColumn<QString>("how");
        for (const char *how : {"cancel the consumer", "delete the consumer", "close the channel", "delete the channel",
                                "close the connection", "delete the connection"})
            QTest::newRow(how) << QString::fromLatin1(how);
    }
    void end(const QString &how)
    {
        if (how == u"cancel the consumer"_s)
            consumer->cancel();
        else if (how == u"delete the consumer"_s)
            delete consumer;
        else if (how == u"close the channel"_s)
            channel->close();
        else if (how == u"delete the channel"_s)
            delete channel;
        else if (how == u"close the connection"_s)
            connection->close();
        else
            delete connection;
    }

    QPointer<Connection> connection;
    QPointer<Channel> channel;
    QPointer<Consumer> consumer;
};

// Runs the event loop of a connection, which is deleted with the thread.
class ConnectionThread : public QThread
{
public:
    explicit ConnectionThread(Connection *connection)
    {
        connection->moveToThread(this);
        connect(this, &QThread::finished, connection, &QObject::deleteLater);
        start();
    }
    ~ConnectionThread() override
    {
        quit();
        wait();
    }
};

} // namespace AmqpQt::Test
