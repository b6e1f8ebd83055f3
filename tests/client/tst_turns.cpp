// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"

#include <QtCore/qabstracteventdispatcher.h>
#include <QtCore/qscopeguard.h>
#include <QtCore/qsemaphore.h>
#include <QtCore/qthread.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Tests when the event loop calls the connection to read, dispatch and write.
class tst_Turns : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void oneSignalOfTheEventLoopIsEnough_data();
    void oneSignalOfTheEventLoopIsEnough();
    void deliveriesComeAfterAnIdleTime();
    void movedConnectionFollowsTheLoopOfItsThread();
    void workLeftByTheLastSlotOfATurnIsDone();
};

void tst_Turns::oneSignalOfTheEventLoopIsEnough_data()
{
    QTest::addColumn<bool>("awakeIsMissing");
    QTest::newRow("awake") << false;
    QTest::newRow("aboutToBlock") << true;
}

// Event dispatchers differ in which of the two signals follows the events of a socket.
void tst_Turns::oneSignalOfTheEventLoopIsEnough()
{
    QFETCH(const bool, awakeIsMissing);
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *consumer = client.consume();
    QStringList texts;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) { texts += message.text(); });
    const auto missing = awakeIsMissing ? &QAbstractEventDispatcher::awake : &QAbstractEventDispatcher::aboutToBlock;
    for (int i = 1; i <= 20; ++i) {
        for (QObject *child : client.connection.children())
            disconnect(QAbstractEventDispatcher::instance(), missing, child, nullptr);
        peer.deliver(1, "c1", quint64(i), QByteArray::number(i));
        QVERIFY(waitUntil([&] { return texts.size() == i; }));
    }
    QCOMPARE(texts.last(), u"20"_s);
}

void tst_Turns::deliveriesComeAfterAnIdleTime()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *consumer = client.consume();
    int deliveries = 0;
    connect(consumer, &Consumer::delivered, this, [&] { ++deliveries; });
    for (int i = 1; i <= 2; ++i) {
        peer.deliver(1, "c1", quint64(i), "x");
        QVERIFY(waitUntil([&] { return deliveries == i; }));
        QTest::qWait(1200); // by then no resources for traffic are left
    }
}

void tst_Turns::movedConnectionFollowsTheLoopOfItsThread()
{
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    auto *connection = new Connection(parametersOf(peer));
    connection->open();
    QVERIFY(waitUntil([&] { return connection->isOpen(); }));
    connection->close();
    QVERIFY(waitUntil([&] { return connection->state() == Connection::State::Closed; }));

    QThread thread;
    connection->moveToThread(&thread);
    for (QObject *child : connection->children())
        QVERIFY(!disconnect(QAbstractEventDispatcher::instance(), nullptr, child,
                            nullptr)); // stopped watching
    connect(&thread, &QThread::finished, connection, &QObject::deleteLater);
    const auto joined = qScopeGuard([&] {
        thread.quit();
        thread.wait();
    });
    QSemaphore opened;
    connect(connection, &Connection::opened, connection, [&] { opened.release(); });
    thread.start();
    QMetaObject::invokeMethod(connection, &Connection::open);
    QVERIFY(opened.tryAcquire(1, 10'000)); // no event loop runs here at this time
}

// At the end of a turn the counts of unacked deliveries are emitted before those of unconfirmed messages, whose slot
// changes the count of unacked deliveries once more.
void tst_Turns::workLeftByTheLastSlotOfATurnIsDone()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    client.channel->confirmSelect();
    Consumer *consumer = client.consume();
    Message kept;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) { kept = message; });
    int unacked = 0;
    connect(consumer, &Consumer::unackedCountChanged, this, [&](int count) { unacked = count; });
    bool isConfirmed = false;
    connect(client.channel, &Channel::unconfirmedCountChanged, this, [&](int count) {
        isConfirmed = count == 0;
        if (isConfirmed)
            client.channel->ack(kept);
    });
    peer.withhold("basic.ack");
    peer.deliver(1, "c1", 1, "x");
    client.channel->publish({}, u"q"_s, Message("y"));
    QVERIFY(waitUntil([&] { return unacked == 1 && client.channel->unconfirmedCount() == 1; }));
    QTest::qWait(100); // no work is left
    peer.send(1, Wire::BasicAck{.deliveryTag = 1});
    QVERIFY(waitUntil([&] { return isConfirmed; }));
    QCoreApplication::sendPostedEvents(); // not only when a timer fires
    QCOMPARE(unacked, 0);
}

QTEST_GUILESS_MAIN(tst_Turns)

#include "tst_turns.moc"
