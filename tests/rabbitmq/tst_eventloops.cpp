// SPDX-License-Identifier: MIT
#include "rabbitmq/subscribing.h"

#include <QtCore/qabstracteventdispatcher.h>
#include <QtCore/qmutex.h>
#include <QtCore/qscopeguard.h>
#include <QtTest/qsignalspy.h>

#include <memory>
#include <vector>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

// Sends one message through the broker and back; called in the thread in which the connection is to live. Returns "ok"
// or the reason for the failure.
QString roundTrip(const QString &queue)
{
    BrokerClient client;
    if (!client.isOpen())
        return client.connection.error().toString();
    client.channel->declareQueue(queue, {.exclusive = true});
    QList<Message> messages;
    collect(client.channel->consume(queue), &messages);
    client.channel->publish({}, queue, Message::fromText(u"there and back"));
    if (!waitFor([&] { return !messages.isEmpty(); }))
        return u"no delivery"_s;
    messages.first().ack();
    const Result<void> closed = await(client.connection.close());
    return closed ? u"ok"_s : closed.error().toString();
}

class Thread : public QThread
{
public:
    explicit Thread(std::function<void()> function)
        : m_function(std::move(function))
    {
        start();
    }
    ~Thread() override { wait(); }

private:
    void run() override { m_function(); }
    std::function<void()> m_function;
};

} // namespace

class tst_EventLoops : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void connectionMadeBeforeTheLoopStarts();
    void connectionMadeInsideARunningLoop();
    void everyThreadAndDispatcherWorks_data();
    void everyThreadAndDispatcherWorks();
    void nestedLoopInASlotGoesOnReceiving();
    void timerOpensTheConnection();
    void otherThreadsCallByInvokeMethod();
    void anyThreadMayAck();
    void ackFromAnotherThreadIsStaleOnceTheChannelIsClosed();
    void publishesOfSeveralThreadsKeepTheOrderOfEach();
    void slotMayEndTheSubscription_data() { Subscription::addWaysToEnd(); }
    void slotMayEndTheSubscription();
    void workerThreadServesTheConnectionWhileTheMainThreadIsBusy();
};

// A1
void tst_EventLoops::connectionMadeBeforeTheLoopStarts()
{
    Connection connection(brokerParameters());
    QSignalSpy opened(&connection, &Connection::opened);
    QEventLoop loop;
    connect(&connection, &Connection::opened, &connection, &Connection::close);
    connect(&connection, &Connection::closed, &loop, &QEventLoop::quit);
    connection.open();
    QTimer::singleShot(Patience, &loop, &QEventLoop::quit);
    loop.exec();
    QCOMPARE(opened.count(), 1);
    QCOMPARE(connection.state(), Connection::State::Closed);
    QCOMPARE(connection.error(), Error());
}

// A1
void tst_EventLoops::connectionMadeInsideARunningLoop()
{
    QEventLoop loop;
    std::unique_ptr<Connection> connection;
    bool opened = false;
    QTimer::singleShot(0, &loop, [&] {
        connection = std::make_unique<Connection>(brokerParameters());
        connect(connection.get(), &Connection::opened, &loop, [&] {
            opened = true;
            loop.quit();
        });
        connection->open();
    });
    QTimer::singleShot(Patience, &loop, &QEventLoop::quit);
    loop.exec();
    QVERIFY(opened);
    QVERIFY(connection->isOpen());
}

void tst_EventLoops::everyThreadAndDispatcherWorks_data()
{
    QTest::addColumn<bool>("ownThread");
    QTest::addColumn<QByteArray>("dispatcher");
    QTest::newRow("main thread") << false << QByteArray();
    QTest::newRow("GLib in a thread") << true << QByteArray("Glib");
    QTest::newRow("Unix in a thread") << true << QByteArray("UNIX");
}

// A1
void tst_EventLoops::everyThreadAndDispatcherWorks()
{
    QFETCH(const bool, ownThread);
    QFETCH(const QByteArray, dispatcher);
    const QString queue = uniqueName(u"q"_s);
    brokerUrl(); // a node is started in the main thread

    QString result;
    QByteArray dispatcherClass;
    if (ownThread) {
        const char *variable = "QT_NO_THREADED_GLIB";
        if (dispatcher == "UNIX")
            qputenv(variable, "1");
        const auto restored = qScopeGuard([variable] { qunsetenv(variable); });
        const Thread thread([&] {
            dispatcherClass = QAbstractEventDispatcher::instance()->metaObject()->className();
            result = roundTrip(queue);
        });
    } else {
        result = roundTrip(queue);
    }
    QCOMPARE(result, u"ok"_s);
    QVERIFY2(dispatcherClass.contains(dispatcher), dispatcherClass.constData());
}

// A1
void tst_EventLoops::nestedLoopInASlotGoesOnReceiving()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(client.channel->declareQueue(queue, {.exclusive = true}));
    Consumer *consumer = client.channel->consume(queue);
    QStringList order;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) {
        order += u"begin "_s + message.text();
        if (message.text() == u"1"_s) {
            client.channel->publish({}, queue, Message::fromText(u"2"));
            waitFor([&] { return order.contains(u"end 2"_s); });
        }
        message.ack();
        order += u"end "_s + message.text();
    });
    client.channel->publish({}, queue, Message::fromText(u"1"));
    QVERIFY(waitFor([&] { return order.size() == 4; }));
    QCOMPARE(order, QStringList({u"begin 1"_s, u"begin 2"_s, u"end 2"_s, u"end 1"_s}));
}

// A2
void tst_EventLoops::timerOpensTheConnection()
{
    Connection connection(brokerParameters());
    QTimer::singleShot(0, &connection, &Connection::open);
    QVERIFY(waitFor([&] { return connection.isOpen(); }));
    VERIFY_OK(connection.close());

    QVERIFY(QMetaObject::invokeMethod(&connection, "open", Qt::QueuedConnection)); // by name
    QVERIFY(waitFor([&] { return connection.isOpen(); }));
}

// A5
void tst_EventLoops::otherThreadsCallByInvokeMethod()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = uniqueName(u"q"_s);
    QList<Message> messages;
    bool calledInOwnThread = false;
    const Thread thread([&] {
        QMetaObject::invokeMethod(client.channel, [&] {
            calledInOwnThread = QThread::currentThread() == client.channel->thread();
            client.channel->declareQueue(queue, {.exclusive = true});
            collect(client.channel->consume(queue), &messages);
            client.channel->publish({}, queue, Message::fromText(u"from another thread"));
        });
    });
    QVERIFY(waitFor([&] { return !messages.isEmpty(); }));
    QVERIFY(calledInOwnThread);
    QCOMPARE(messages.first().text(), u"from another thread"_s);

    // close() is a slot, so a queued connection or invokeMethod() calls it in the right thread.
    const Thread closing([&] { QMetaObject::invokeMethod(&client.connection, &Connection::close); });
    QVERIFY(waitFor([&] { return client.connection.state() == Connection::State::Closed; }));
    QCOMPARE(client.connection.error(), Error());
}

// A6
void tst_EventLoops::anyThreadMayAck()
{
    constexpr int Count = 300;
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(client.channel->declareQueue(queue, sharedQueue()));
    for (int i = 0; i < Count; ++i)
        client.channel->publish({}, queue, Message(QByteArray::number(i)));
    Consumer *consumer = client.channel->consume(queue);
    QList<Message> messages;
    collect(consumer, &messages);
    QVERIFY(waitFor([&] { return messages.size() == Count; }));
    QSignalSpy errors(client.channel, &Channel::errorOccurred);

    std::vector<std::unique_ptr<Thread>> threads;
    for (int t = 0; t < 3; ++t) {
        threads.push_back(std::make_unique<Thread>([t, messages] {
            for (qsizetype i = t; i < messages.size(); i += 3)
                messages[i].ack();
        }));
    }
    threads.clear(); // joins the threads
    QVERIFY(waitFor([&] { return consumer->unackedCount() == 0; }));
    QCOMPARE(queueCounts(client.channel, queue), QByteArray("0 0"));
    QCOMPARE(errors.count(), 0);
}

// A6
void tst_EventLoops::ackFromAnotherThreadIsStaleOnceTheChannelIsClosed()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(client.channel->declareQueue(queue, sharedQueue()));
    client.channel->publish({}, queue, Message("body"));
    QList<Message> messages;
    collect(client.channel->consume(queue), &messages);
    QVERIFY(waitFor([&] { return messages.size() == 1; }));
    VERIFY_OK(client.channel->close());
    VERIFY_OK(client.channel->reopen()); // the number is the same, so an ack would settle another delivery

    QSignalSpy errors(client.channel, &Channel::settlementFailed);
    {
        const Thread thread([message = messages.first()] { message.ack(); });
    }
    QVERIFY(waitFor([&] { return errors.count() == 1; }));
    QCOMPARE(errors.first().last().value<Error>().kind(), ErrorKind::StaleDelivery);
    QVERIFY(client.channel->isOpen());
    QVERIFY(waitFor([&] { return client.messageCount(queue) == 1; }));
}

// A7
void tst_EventLoops::publishesOfSeveralThreadsKeepTheOrderOfEach()
{
    constexpr int Threads = 3;
    constexpr int PerThread = 400;
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(client.channel->declareQueue(queue, {.exclusive = true}));
    QList<Message> messages;
    collect(client.channel->consume(queue, {.ackMode = AckMode::NoAck}), &messages);

    std::vector<std::unique_ptr<Thread>> threads;
    for (int t = 0; t < Threads; ++t) {
        threads.push_back(std::make_unique<Thread>([&client, queue, t] {
            for (int i = 0; i < PerThread; ++i) {
                const Message message(QByteArray::number(i), QString::number(t));
                QMetaObject::invokeMethod(client.channel,
                                          [&client, queue, message] { client.channel->publish({}, queue, message); });
            }
        }));
    }
    QVERIFY(waitFor([&] { return messages.size() == Threads * PerThread; }));
    int next[Threads] = {};
    for (const Message &message : std::as_const(messages))
        QCOMPARE(message.body().toInt(), next[message.contentType().toInt()]++);
}

// A10
void tst_EventLoops::slotMayEndTheSubscription()
{
    QFETCH(const QString, how);
    constexpr int Count = 50;
    BrokerClient observer;
    QVERIFY(observer.isOpen());
    const QString queue = filledQueue(observer, Count);
    Subscription subscription(queue);
    int delivered = 0;
    connect(subscription.consumer, &Consumer::delivered, this, [&](const Message &message) {
        ++delivered;
        message.ack();
        if (delivered == 10)
            subscription.end(how);
    });
    subscription.connection->open();
    QVERIFY(waitFor([&] { return delivered == 10; }));
    // The ten are acked; further messages that the client had received are back in the queue.
    QVERIFY(waitFor([&] { return observer.messageCount(queue) == Count - 10; }));
    QCOMPARE(delivered, 10);
}

// A12
void tst_EventLoops::workerThreadServesTheConnectionWhileTheMainThreadIsBusy()
{
    constexpr int Count = 200;
    const QString queue = uniqueName(u"q"_s);
    ConnectionParameters parameters = brokerParameters();
    parameters.setHeartbeatInterval(1s);
    auto *connection = new Connection(parameters);
    Channel *channel = connection->createChannel();
    channel->declareQueue(queue, {.exclusive = true});
    for (int i = 0; i < Count; ++i)
        channel->publish({}, queue, Message(QByteArray::number(i)));
    const Consumer *consumer = channel->consume(queue, {.prefetch = 0});

    QByteArrayList bodies;
    int signalCount = 0;
    connect(consumer, &Consumer::batchDelivered, this, [&](const QList<Message> &messages) {
        QCOMPARE(QThread::currentThread(), thread());
        ++signalCount;
        for (const Message &message : messages) {
            bodies += message.body();
            message.ack();
        }
    });
    QList<Error> closings;
    connect(connection, &Connection::closed, this, [&](const Error &reason) { closings += reason; });

    ConnectionThread worker(connection);
    QMetaObject::invokeMethod(connection, &Connection::open);
    QThread::sleep(3); // no event loop runs here for three heartbeats

    QVERIFY(waitFor([&] { return bodies.size() == Count; }));
    for (int i = 0; i < Count; ++i)
        QCOMPARE(bodies[i], QByteArray::number(i));
    QVERIFY(signalCount < Count);
    QVERIFY(closings.isEmpty());

    int unacked = -1;
    QVERIFY(waitFor([&] {
        QMetaObject::invokeMethod(
            connection, [&] { unacked = consumer->unackedCount(); }, Qt::BlockingQueuedConnection);
        return unacked == 0;
    }));
    QMetaObject::invokeMethod(connection, &Connection::close);
    QVERIFY(waitFor([&] { return closings.size() == 1; }));
    QCOMPARE(closings.first(), Error());
}

QTEST_GUILESS_MAIN(tst_EventLoops)

#include "tst_eventloops.moc"
