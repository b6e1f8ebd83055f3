// SPDX-License-Identifier: MIT
#include "client/story.h"

#include <QtCore/qeventloop.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

void runEventLoop(std::chrono::milliseconds time)
{
    QEventLoop loop;
    QTimer::singleShot(time, &loop, &QEventLoop::quit);
    loop.exec();
}

void addRowsForEntries(const std::function<void(const QString &entry, int occurrence)> &add)
{
    Story story(Story::Parents::Each);
    story.run();
    QHash<QString, int> occurrences;
    for (const QString &entry : std::as_const(story.log.entries)) {
        if (const int occurrence = ++occurrences[entry]; occurrence <= 2 && !comesOncePerTurn(entry))
            add(entry, occurrence);
    }
}

} // namespace

// Slots that run an event loop or call back into the library.
class tst_Reentrancy : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void nestedEventLoopKeepsTheOrderOfSignals_data();
    void nestedEventLoopKeepsTheOrderOfSignals();
    void everythingMayBeCalledInEverySlot_data();
    void everythingMayBeCalledInEverySlot();

    void deliveriesGoOnInANestedEventLoop();
    void deliveriesGoOnInProcessEvents();
    void acksAndPublishesLeaveDuringANestedEventLoop();
    void answersToTheBrokerLeaveDuringANestedEventLoop();
    void slotMayWaitForAReply();
    void slotMayWaitForTheEnd();
    void cancelInASlotReturnsBufferedDeliveries();
    void closeInASlotEndsTheDeliveries();
    void reopenInTheReplyOfTheCallThatFailed();
    void reopenInClosed();
    void closeAfterReopenInTheReplyOfTheCallThatFailed();
    void openInTheReplyAtALossFails();
    void openInClosedConnectsAgain();
    void closeInStateChangedComesAfterOpened();
};

void tst_Reentrancy::nestedEventLoopKeepsTheOrderOfSignals_data()
{
    QTest::addColumn<QString>("entry");
    QTest::addColumn<int>("occurrence");
    addRowsForEntries([](const QString &entry, int occurrence) {
        QTest::addRow("%s #%d", qPrintable(entry), occurrence) << entry << occurrence;
    });
}

void tst_Reentrancy::nestedEventLoopKeepsTheOrderOfSignals()
{
    QFETCH(const QString, entry);
    QFETCH(int, occurrence);
    Story expected(Story::Parents::Each);
    expected.run();

    Story story(Story::Parents::Each);
    story.log.afterEntry = [&](const QString &heard) {
        if (heard == entry && --occurrence == 0)
            runEventLoop(5ms);
    };
    story.run();
    QCOMPARE_LE(occurrence, 0);
    for (SignalLog *log : {&story.log, &expected.log})
        log->entries.removeIf(comesOncePerTurn);
    QCOMPARE(story.log.entries, expected.log.entries);
    QCOMPARE(story.peer.violations(), QStringList());
}

void tst_Reentrancy::everythingMayBeCalledInEverySlot_data()
{
    QTest::addColumn<QString>("entry");
    QTest::addColumn<int>("occurrence");
    QTest::addColumn<QString>("action");
    addRowsForEntries([](const QString &entry, int occurrence) {
        for (const char *action : {"close", "abort", "open", "channel.close", "channel.reopen", "cancel", "publish",
                                   "settle", "consume", "createChannel"})
            QTest::addRow("%s #%d: %s", qPrintable(entry), occurrence, action)
                << entry << occurrence << QString::fromLatin1(action);
    });
}

void tst_Reentrancy::everythingMayBeCalledInEverySlot()
{
    QFETCH(const QString, entry);
    QFETCH(int, occurrence);
    QFETCH(const QString, action);

    Story story(Story::Parents::Each);
    const auto act = [&] {
        if (action == u"close")
            story.log.watch(story.connection->close(), u"the slot's close"_s);
        else if (action == u"abort")
            story.connection->abort();
        else if (action == u"open")
            story.log.watch(story.connection->open(), u"the slot's open"_s);
        else if (action == u"createChannel")
            story.log.watch(story.connection->createChannel()->declareQueue(u"slot"_s), u"the slot's declareQueue"_s);
        else if (!story.channel)
            return;
        else if (action == u"channel.close")
            story.log.watch(story.channel->close(), u"the slot's channel.close"_s);
        else if (action == u"channel.reopen")
            story.log.watch(story.channel->reopen(), u"the slot's reopen"_s);
        else if (action == u"cancel" && story.consumer)
            story.log.watch(story.consumer->cancel(), u"the slot's cancel"_s);
        else if (action == u"publish")
            story.channel->publish(u"x"_s, u"k"_s, Message(QByteArray(200'000, 'x'))); // is written at once
        else if (action == u"consume")
            story.log.watch(story.channel->consume(u"slot"_s)->whenStarted(), u"the slot's consume"_s);
        else if (action == u"settle") {
            for (const Message &message : std::as_const(story.messages))
                story.channel->nackUpTo(message);
        }
    };
    story.log.afterEntry = [&](const QString &heard) {
        if (heard == entry && --occurrence == 0) {
            story.stopped = true;
            act();
        }
    };
    story.run();
    QVERIFY(story.stopped);
    const Connection::State stateBefore = story.connection->state();
    if (stateBefore == Connection::State::Connecting || stateBefore == Connection::State::Handshaking) {
        QVERIFY(waitUntil([&] { return story.connection->isOpen(); }));
    }
    const int closedBefore = int(story.log.only(u"connection.closed"_s).size());
    const bool isClosed = stateBefore == Connection::State::Closed;
    story.endRemaining();
    QCOMPARE(story.log.only(u"connection.closed"_s).size(), closedBefore + (isClosed ? 0 : 1));
    if (const QStringList reported = story.log.only(u"connection."_s); reported.size() > 2)
        QVERIFY2(reported.last().startsWith(u"connection.closed"), qPrintable(reported.join(u"; ")));
    for (const QString &reply : std::as_const(story.log.ended))
        QVERIFY2(story.log.ended.count(reply) == 1, qPrintable(reply));
    delete story.connection;
    QCoreApplication::processEvents();
    for (const QString &reply : std::as_const(story.log.replies))
        QVERIFY2(story.log.ended.count(reply) == 1, qPrintable(reply));
    QCOMPARE(story.peer.violations(), QStringList());
}

void tst_Reentrancy::deliveriesGoOnInANestedEventLoop()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *consumer = client.consume();
    QStringList texts;
    QEventLoop loop;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) {
        texts += message.text();
        if (texts.size() == 1) {
            loop.exec();
            texts += u"the loop has ended"_s;
        } else if (texts.size() == 4) {
            loop.quit();
        }
    });
    peer.deliver(1, "c1", 1, "1");
    peer.deliver(1, "c1", 2, "2");
    peer.deliver(1, "c1", 3, "3");
    // This delivery arrives when the loop is running.
    QTimer::singleShot(5, &peer, [&] { peer.deliver(1, "c1", 4, "4"); });
    QVERIFY(waitUntil([&] { return texts.size() == 5; }));
    QCOMPARE(texts, QStringList({u"1"_s, u"2"_s, u"3"_s, u"4"_s, u"the loop has ended"_s}));
}

void tst_Reentrancy::deliveriesGoOnInProcessEvents()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *consumer = client.consume();
    QStringList texts;
    int depth = 0;
    int deepest = 0;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) {
        texts += message.text();
        deepest = std::max(deepest, ++depth);
        if (depth < 10)
            QCoreApplication::processEvents();
        --depth;
    });
    QStringList expected;
    for (int i = 1; i <= 100; ++i) {
        expected += QString::number(i);
        peer.deliver(1, "c1", quint64(i), QByteArray::number(i));
    }
    QVERIFY(waitUntil([&] { return texts.size() == 100; }));
    QCOMPARE(texts, expected);
    QCOMPARE(deepest, 10);
}

void tst_Reentrancy::acksAndPublishesLeaveDuringANestedEventLoop()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *consumer = client.consume();
    bool haveLeft = false;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) {
        message.ack();
        client.channel->publish(u"x"_s, u"k"_s, Message("out"));
        haveLeft = waitUntil([&] { return peer.count("basic.ack") == 1 && peer.count("basic.publish") == 1; }, 1s);
    });
    peer.deliver(1, "c1", 1, "in");
    QVERIFY(waitUntil([&] { return peer.count("basic.publish") == 1; }));
    QVERIFY(haveLeft);
}

void tst_Reentrancy::answersToTheBrokerLeaveDuringANestedEventLoop()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    bool hasLeft = false;
    connect(client.channel, &Channel::errorOccurred, this, [&] { // a message box
        hasLeft = waitUntil([&] { return peer.count("channel.close-ok") == 1; }, 1s);
    });
    peer.closeChannel(1, 404, "NOT_FOUND");
    QVERIFY(waitUntil([&] { return client.channel->state() == Channel::State::Closed && hasLeft; }, 2s));
}

void tst_Reentrancy::slotMayWaitForAReply()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *consumer = client.consume();
    QString name;
    connect(consumer, &Consumer::delivered, this, [&](const Message &) {
        const Reply<QueueInfo> reply = client.channel->declareQueue(u"answer"_s);
        if (waitUntil([&] { return reply.isFinished(); }, 1s))
            name = reply.result().value().name;
    });
    peer.deliver(1, "c1", 1, "question");
    QVERIFY(waitUntil([&] { return !name.isEmpty(); }, 2s));
    QCOMPARE(name, u"answer"_s);
}

void tst_Reentrancy::slotMayWaitForTheEnd()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    SignalLog log;
    log.watch(&client.connection);
    log.watch(client.channel);
    Consumer *consumer = client.consume();
    bool done = false;
    connect(consumer, &Consumer::delivered, this, [&](const Message &) {
        client.connection.close();
        done = waitUntil([&] { return log.has(u"connection.closed ok"_s); }, 1s);
    });
    peer.deliver(1, "c1", 1, "stop");
    peer.deliver(1, "c1", 2, "too late");
    QVERIFY(waitUntil([&] { return done; }, 2s));
    QCOMPARE(log.entries.last(), u"connection.closed ok"_s);
    QVERIFY(log.entries.indexOf(u"channel.closed ok"_s) >= 0);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Reentrancy::cancelInASlotReturnsBufferedDeliveries()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *consumer = client.consume();
    QStringList texts;
    std::optional<int> returned;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) {
        texts += message.text();
        message.ack();
        consumer->cancel().then(this, [&](const Result<int> &result) { returned = result.value(); });
    });
    QByteArray deliveries;
    for (quint64 tag = 1; tag <= 4; ++tag)
        peer.deliver(1, "c1", tag, "m" + QByteArray::number(tag));
    QVERIFY(waitUntil([&] { return returned.has_value(); }));
    QCOMPARE(texts, QStringList{u"m1"_s});
    QCOMPARE(*returned, 3);
    QVERIFY(waitUntil([&] { return peer.count("basic.nack") == 3; }));
    QCOMPARE(peer.count("basic.ack"), 1);
    const QList<Command> nacks = peer.received("basic.nack");
    for (const Command &nack : nacks)
        QVERIFY(nack.as<Wire::BasicNack>().requeue);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Reentrancy::closeInASlotEndsTheDeliveries()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *consumer = client.consume();
    QStringList texts;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) {
        texts += message.text();
        message.ack();
        client.channel->close();
    });
    for (quint64 tag = 1; tag <= 4; ++tag)
        peer.deliver(1, "c1", tag, "m" + QByteArray::number(tag));
    QVERIFY(waitUntil([&] { return client.channel->state() == Channel::State::Closed; }));
    QCOMPARE(texts, QStringList{u"m1"_s});
    const QList<Command> received = peer.received();
    const auto positionOf = [&](const char *name) {
        return std::find_if(received.begin(), received.end(), [&](const Command &c) { return c.name == name; }) -
               received.begin();
    };
    QVERIFY(positionOf("basic.ack") < positionOf("channel.close"));
    QCOMPARE(peer.violations(), QStringList());
}

// The usual way to try again after a 406 or 404.
void tst_Reentrancy::reopenInTheReplyOfTheCallThatFailed()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    SignalLog log;
    log.watch(client.channel);
    peer.closeInsteadOf("queue.declare-ok", 404, "NOT_FOUND");
    client.channel->inspectQueue(u"q"_s).then(this, [&](const Result<QueueInfo> &result) {
        QVERIFY(!result);
        peer.answerAgain("queue.declare-ok");
        log.watch(client.channel->reopen(), u"reopen"_s);
        log.watch(client.channel->reopen(), u"reopen again"_s); // returns the same reply
    });
    QVERIFY(waitUntil([&] { return log.has(u"channel.opened"_s); }));
    log.entries.removeIf([](const QString &entry) { return entry.contains(u"writable"); });
    QCOMPARE(log.entries, QStringList({u"channel.errorOccurred ChannelClosed 404"_s, u"channel.stateChanged Closed"_s,
                                       u"channel.closed ChannelClosed 404"_s, u"channel.stateChanged Opening"_s,
                                       u"reply.reopen ok"_s, u"reply.reopen again ok"_s, u"channel.stateChanged Open"_s,
                                       u"channel.opened"_s}));
    QVERIFY(client.channel->isOpen());
    const Reply<QueueInfo> declared = client.channel->declareQueue(u"q"_s);
    QVERIFY(waitUntil([&] { return declared.isFinished(); }));
    QVERIFY(declared.result());
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Reentrancy::reopenInClosed()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    connect(client.channel, &Channel::closed, this, [&] { client.channel->reopen(); });
    peer.closeChannel(1, 406, "PRECONDITION_FAILED");
    QSignalSpy opened(client.channel, &Channel::opened);
    QVERIFY(waitUntil([&] { return opened.size() == 1; }));
    QVERIFY(client.channel->isOpen());
}

void tst_Reentrancy::closeAfterReopenInTheReplyOfTheCallThatFailed()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    SignalLog log;
    log.watch(client.channel);
    peer.closeInsteadOf("queue.declare-ok", 404, "NOT_FOUND");
    client.channel->inspectQueue(u"q"_s).then(this, [&](const Result<QueueInfo> &) {
        log.watch(client.channel->reopen(), u"reopen"_s);
        log.watch(client.channel->close(), u"close"_s);
    });
    QVERIFY(waitUntil([&] { return log.ended.size() == 2; }));
    settle(client.connection);
    QVERIFY(log.has(u"reply.reopen Cancelled"_s));
    QVERIFY(log.has(u"reply.close ok"_s));
    QCOMPARE(log.entries.filter(u"channel.closed"_s), QStringList{u"channel.closed ChannelClosed 404"_s});
    QCOMPARE(client.channel->state(), Channel::State::Closed);
}

void tst_Reentrancy::openInTheReplyAtALossFails()
{
    ScriptedPeer peer;
    OpenClient client(withoutRecovery(peer));
    SignalLog log;
    log.watch(&client.connection);
    peer.withhold("queue.declare-ok");
    bool heard = false;
    client.channel->declareQueue(u"q"_s).then(this, [&](const Result<QueueInfo> &result) {
        heard = true;
        QCOMPARE(result.error().kind(), ErrorKind::ConnectionClosed);
        QCOMPARE(client.connection.open().result().error().kind(), ErrorKind::NotOpen);
    });
    peer.closeConnection(320, "CONNECTION_FORCED");
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed ConnectionClosed 320"_s); }));
    QVERIFY(heard);
}

void tst_Reentrancy::openInClosedConnectsAgain()
{
    ScriptedPeer peer;
    OpenClient client(withoutRecovery(peer));
    SignalLog log;
    log.watch(&client.connection);
    connect(&client.connection, &Connection::closed, this, [&] {
        log.watch(client.connection.open(), u"open"_s);
        log.watch(client.channel->reopen(), u"reopen"_s);
    });
    peer.dropConnection();
    QVERIFY(waitUntil([&] { return log.has(u"reply.reopen ok"_s); }));
    log.entries.removeIf(comesOncePerTurn);
    QCOMPARE(log.entries,
             QStringList({u"connection.errorOccurred Network"_s, u"connection.stateChanged Closed"_s,
                          u"connection.closed Network"_s, u"connection.stateChanged Connecting"_s,
                          u"connection.stateChanged Handshaking"_s, u"reply.open ok"_s,
                          u"connection.stateChanged Open"_s, u"connection.opened"_s, u"reply.reopen ok"_s}));
    disconnect(&client.connection, &Connection::closed, this, nullptr);
}

void tst_Reentrancy::closeInStateChangedComesAfterOpened()
{
    ScriptedPeer peer;
    Connection connection(parametersOf(peer));
    SignalLog log;
    log.watch(&connection);
    connect(&connection, &Connection::stateChanged, this, [&](Connection::State state) {
        if (state == Connection::State::Open)
            connection.close();
    });
    connection.open();
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed ok"_s); }));
    log.entries.removeIf(comesOncePerTurn);
    QCOMPARE(log.entries, QStringList({u"connection.stateChanged Connecting"_s,
                                       u"connection.stateChanged Handshaking"_s, u"connection.stateChanged Open"_s,
                                       u"connection.opened"_s, u"connection.stateChanged Closing"_s,
                                       u"connection.stateChanged Closed"_s, u"connection.closed ok"_s}));
}

QTEST_GUILESS_MAIN(tst_Reentrancy)
#include "tst_reentrancy.moc"
