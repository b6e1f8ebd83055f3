// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"

#include <thread>

using namespace AmqpQt;
using namespace AmqpQt::Test;

class tst_Close : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void messagesFromBeforeConfirmModeAreNotCounted();
    void closeSendsEverythingAndThenConnectionClose();
    void aDeletedConnectionStillSendsItsAcceptedOutput();
    void aDeletedConnectionWaitsForThePeerUpToItsDeadlineOnly();
    void closeTwiceIsTheSame();
    void channelCreatedDuringCloseEnds();
    void closeAfterAbortReportsClosingOnce();
    void abortEndsAPendingClose();
    void closeSendsEarlierSettlementsOfOtherThreads();
    void closeOfAChannelSendsEarlierSettlementsOfOtherThreads();
    void closeWaitsNoLongerThanItsTimeout_data();
    void closeWaitsNoLongerThanItsTimeout();
    void closeWhileBlockedEndsAtItsTimeout();
    void closeOfAChannelWithItsConnection();
    void destructorSendsConnectionClose();
};

// The messages without a count end in one range with the counted messages.
void tst_Close::messagesFromBeforeConfirmModeAreNotCounted()
{
    ScriptedPeer peer;
    Connection connection(parametersOf(peer));
    Channel *channel = connection.createChannel();
    SignalLog log;
    log.watch(channel);
    channel->publish({}, u"q"_s, Message("1"));
    channel->publish({}, u"q"_s, Message("2"));
    channel->confirmSelect();
    channel->publish({}, u"q"_s, Message("3"));
    QCOMPARE(channel->unconfirmedCount(), 1);
    log.watch(channel->whenConfirmed(), u"whenConfirmed"_s);
    connection.open();
    connection.abort();
    QVERIFY(waitUntil([&] { return log.has(u"channel.publishFailed 1-3 Cancelled"_s) && !log.ended.isEmpty(); }));
    QCOMPARE(log.only(u"reply."_s), QStringList{u"reply.whenConfirmed Cancelled"_s});
    QCOMPARE(channel->unconfirmedCount(), 0);
}

void tst_Close::closeSendsEverythingAndThenConnectionClose()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    SignalLog log;
    log.watch(&client.connection);
    Consumer *consumer = client.consume();
    log.watch(client.channel);
    log.watch(consumer);
    connect(consumer, &Consumer::delivered, this, [](const Message &message) { message.ack(); });
    peer.deliver(1, "c1", 1, "m");
    QVERIFY(waitUntil([&] { return peer.count("basic.ack") == 1; }));
    peer.forgetReceived();

    client.channel->publish(u"x"_s, u"k"_s, Message(QByteArray(3'000'000, 'a')));
    log.watch(client.channel->declareQueue(u"q"_s), u"declareQueue"_s);
    log.watch(client.connection.close(), u"close"_s);
    QCOMPARE(client.connection.state(), Connection::State::Closing);
    QCOMPARE(client.channel->state(), Channel::State::Closing);
    QVERIFY(!client.channel->isWritable());
    QCOMPARE(client.channel->publish(u"x"_s, u"k"_s, Message("late")), quint64(0));
    QCOMPARE(client.channel->lastCallError().kind(), ErrorKind::NotOpen);
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed ok"_s); }));

    QStringList names;
    for (const Command &command : peer.received())
        names += QString::fromLatin1(command.name);
    QCOMPARE(names, QStringList({u"basic.publish"_s, u"queue.declare"_s, u"basic.cancel"_s, u"channel.close"_s,
                                 u"connection.close"_s}));
    log.entries.removeIf([](const QString &entry) {
        return comesOncePerTurn(entry) || entry.contains(u"ritable") || entry.contains(u"backpressure");
    });
    QCOMPARE(log.entries,
             QStringList({u"connection.stateChanged Closing"_s, u"channel.stateChanged Closing"_s,
                          u"channel.errorOccurred NotOpen"_s, u"reply.declareQueue ok"_s, u"channel.queueDeclared"_s,
                          u"consumer.stateChanged Cancelled"_s, u"consumer.cancelled ok"_s,
                          u"channel.stateChanged Closed"_s, u"channel.closed ok"_s, u"reply.close ok"_s,
                          u"connection.stateChanged Closed"_s, u"connection.closed ok"_s}));
    QVERIFY(waitUntil([&] { return !peer.isConnected(); }));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Close::aDeletedConnectionStillSendsItsAcceptedOutput()
{
    ScriptedPeer peer;
    auto client = std::make_unique<OpenClient>(peer);
    Consumer *consumer = client->consume();
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) {
        message.ack();
        client->channel->publish(u"x"_s, u"k"_s, Message(QByteArray(3'000'000, 'a')));
        client.reset();
    });
    peer.setReading(false); // the kernel's buffers cannot hold all of it
    peer.deliver(1, "c1", 1, "m");
    peer.deliver(1, "c1", 2, QByteArray(100'000, 'b')); // never read by the client
    QVERIFY(waitUntil([&] { return !client; }));
    peer.setReading(true);
    QVERIFY(waitUntil([&] { return peer.count("connection.close") == 1 && !peer.isConnected(); }));
    QCOMPARE(peer.count("basic.ack"), 1);
    QCOMPARE(peer.count("basic.publish"), 1);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Close::aDeletedConnectionWaitsForThePeerUpToItsDeadlineOnly()
{
    ScriptedPeer peer;
    peer.withhold("connection.close-ok");
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setCloseTimeout(50ms);
    std::make_unique<OpenClient>(parameters).reset();
    QVERIFY(waitUntil([&] { return peer.count("connection.close") == 1 && !peer.isConnected(); }));
}

void tst_Close::channelCreatedDuringCloseEnds()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    SignalLog log;
    log.watch(&client.connection);
    client.connection.close();
    Channel *late = client.connection.createChannel();
    log.watch(late, u"late"_s);
    log.watch(late->whenOpen(), u"whenOpen"_s);
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed ok"_s); }));
    QVERIFY(log.has(u"reply.whenOpen NotOpen"_s));
    QCOMPARE(log.only(u"late."_s), QStringList({u"late.errorOccurred NotOpen"_s, u"late.closed NotOpen"_s}));
    QCOMPARE(late->state(), Channel::State::Closed);

    client.connection.open();
    late->reopen();
    QVERIFY(waitUntil([&] { return late->isOpen(); }));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Close::abortEndsAPendingClose()
{
    ScriptedPeer peer;
    peer.withhold("channel.close-ok");
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setCloseTimeout(1h);
    OpenClient client(parameters);
    const Reply<void> closed = client.connection.close();
    QVERIFY(waitUntil([&] { return peer.count("channel.close") == 1; }));
    settleEvents();
    client.connection.abort();
    QVERIFY(waitUntil([&] { return closed.isFinished(); }));
    QCOMPARE(client.connection.state(), Connection::State::Closed);
}

void tst_Close::closeAfterAbortReportsClosingOnce()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    SignalLog log;
    log.watch(&client.connection);
    client.connection.abort();
    const Reply<void> closed = client.connection.close();
    QVERIFY(waitUntil([&] { return closed.isFinished() && log.has(u"connection.closed ok"_s); }));
    QVERIFY(closed.result());
    QCOMPARE(log.countOf(u"connection.stateChanged Closing"_s), 1);
}

void tst_Close::closeTwiceIsTheSame()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    SignalLog log;
    log.watch(&client.connection);
    log.watch(client.connection.close(), u"first"_s);
    log.watch(client.connection.close(), u"second"_s);
    log.watch(client.connection.open(), u"open"_s);
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed ok"_s); }));
    QVERIFY(log.has(u"reply.first ok"_s));
    QVERIFY(log.has(u"reply.second ok"_s));
    QVERIFY(log.has(u"reply.open NotOpen"_s));
    QCOMPARE(log.countOf(u"connection.closed ok"_s), 1);
    QVERIFY(client.connection.close().isFinished());
    QVERIFY(client.channel->close().result());
    QCOMPARE(peer.count("connection.close"), 1);
}

void tst_Close::closeSendsEarlierSettlementsOfOtherThreads()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *consumer = client.consume();
    QList<Message> messages;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) { messages += message; });
    peer.deliver(1, "c1", 1, "m");
    QVERIFY(waitUntil([&] { return messages.size() == 1; }));
    std::thread([&] { messages.constFirst().ack(); }).join();
    const Reply<void> closing = client.connection.close();
    QVERIFY(waitUntil([&] { return closing.isFinished(); }));
    QCOMPARE(peer.count("basic.ack"), 1);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Close::closeOfAChannelSendsEarlierSettlementsOfOtherThreads()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    for (const bool deletes : {false, true}) {
        Channel *channel = client.connection.createChannel();
        Consumer *consumer = channel->consume(u"q"_s, {.consumerTag = u"t"_s});
        QList<Message> messages;
        connect(consumer, &Consumer::delivered, this, [&](const Message &message) { messages += message; });
        QVERIFY(waitUntil([&] { return consumer->state() == Consumer::State::Active; }));
        peer.deliver(channel->number(), "t", 1, "m");
        QVERIFY(waitUntil([&] { return messages.size() == 1; }));
        peer.forgetReceived();
        std::thread([&] { messages.constFirst().ack(); }).join();
        deletes ? delete channel : void(channel->close());
        QVERIFY(waitUntil([&] { return peer.count("channel.close") == 1; }));
        QCOMPARE(peer.count("basic.ack"), 1);
    }
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Close::closeWaitsNoLongerThanItsTimeout_data()
{
    QTest::addColumn<QString>("what");
    for (const char *what : {"connection.close-ok", "channel.close-ok", "nothing is read", "an answer before"})
        QTest::newRow(what) << QString::fromLatin1(what);
}

void tst_Close::closeWaitsNoLongerThanItsTimeout()
{
    QFETCH(const QString, what);
    ScriptedPeer peer;
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setCloseTimeout(50ms);
    OpenClient client(parameters);
    SignalLog log;
    log.watch(&client.connection);
    log.watch(client.channel);
    if (what == u"nothing is read") {
        peer.setReading(false);
        for (int i = 0; i < 100; ++i)
            client.channel->publish({}, u"q"_s, Message(QByteArray(100'000, 'a')));
    } else if (what == u"an answer before") {
        // The channel closes in order, but the peer answers neither call.
        peer.setHook([](const Command &) { return true; });
        log.watch(client.channel->declareQueue(u"q"_s), u"declareQueue"_s);
    } else {
        peer.withhold(what.toLatin1());
    }
    log.watch(client.connection.close(), u"close"_s);
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed Timeout"_s); }));
    QVERIFY(log.has(u"reply.close Timeout"_s));
    QCOMPARE(log.ended.size(), log.replies.size());
    QCOMPARE(log.only(u"channel.closed"_s).size(), 1);
    QCOMPARE(log.entries.last(), u"connection.closed Timeout"_s);
    peer.setReading(true);
    QVERIFY(waitUntil([&] { return !peer.isConnected(); }));
}

void tst_Close::closeWhileBlockedEndsAtItsTimeout()
{
    ScriptedPeer peer;
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setCloseTimeout(50ms);
    OpenClient client(parameters);
    SignalLog log;
    log.watch(&client.connection);
    log.watch(client.channel);
    peer.send(0, Wire::ConnectionBlocked{.reason = "low on memory"});
    QVERIFY(waitUntil([&] { return client.connection.isBlocked(); }));
    client.channel->publish({}, u"q"_s, Message("1"));
    client.connection.close();
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed Timeout"_s); }));
    QVERIFY(log.has(u"channel.publishFailed 1-1 Timeout"_s));
    QVERIFY(log.has(u"connection.blockedChanged 0"_s));
    QCOMPARE(log.entries.last(), u"connection.closed Timeout"_s);
    QCOMPARE(peer.count("basic.publish"), 0);
}

void tst_Close::closeOfAChannelWithItsConnection()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    SignalLog log;
    log.watch(client.channel);
    client.connection.close();
    log.watch(client.channel->close(), u"close"_s);
    QVERIFY(waitUntil([&] { return log.has(u"reply.close ok"_s); }));
    QCOMPARE(log.only(u"channel.errorOccurred"_s), QStringList());
    QCOMPARE(peer.count("channel.close"), 1);
}

void tst_Close::destructorSendsConnectionClose()
{
    ScriptedPeer peer;
    {
        OpenClient client(peer);
        client.channel->publish({}, u"q"_s, Message("last"));
    }
    QVERIFY(waitUntil([&] { return !peer.isConnected(); }));
    QCOMPARE(peer.count("basic.publish"), 1);
    QCOMPARE(peer.count("connection.close"), 1);
    QCOMPARE(peer.violations(), QStringList());
}

QTEST_GUILESS_MAIN(tst_Close)
#include "tst_close.moc"
