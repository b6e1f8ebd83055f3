// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"

#include <QtCore/qabstracteventdispatcher.h>
#include <QtCore/qregularexpression.h>

#include <thread>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

// Makes calls that the peer does not answer, and publishes messages that wait because the peer blocks.
struct Pending {
    explicit Pending(ScriptedPeer &peer, QObject *parent = nullptr)
        : connection(new Connection(parametersOf(peer)))
    {
        channel = connection->createChannel(parent);
        consumer = channel->consume(u"q"_s, {.consumerTag = u"old"_s}, parent);
        connection->open();
        if (!waitUntil([this] { return consumer->state() == Consumer::State::Active; }))
            qFatal("the consumer does not start");
        log.watch(connection);
        log.watch(channel);
        log.watch(consumer);
        for (const char *answer :
             {"queue.declare-ok", "exchange.declare-ok", "basic.get-ok", "basic.get-empty", "basic.qos-ok",
              "basic.consume-ok", "basic.cancel-ok", "channel.open-ok", "queue.purge-ok"})
            peer.withhold(answer);
        peer.send(0, Wire::ConnectionBlocked{.reason = "low on memory"});
        if (!waitUntil([this] { return connection->isBlocked(); }))
            qFatal("the peer does not block");
        log.watch(channel->declareQueue(u"q"_s), u"declareQueue"_s);
        log.watch(channel->declareExchange(u"x"_s, ExchangeType::Fanout), u"declareExchange"_s);
        log.watch(channel->get(u"q"_s), u"get"_s);
        log.watch(channel->setPrefetch(1), u"setPrefetch"_s);
        log.watch(consumer->cancel(), u"cancel"_s);
        Consumer *starting = channel->consume(u"q"_s, {}, parent);
        log.watch(starting, u"starting"_s);
        log.watch(starting->whenStarted(), u"whenStarted"_s);
        log.watch(starting->cancel(), u"cancel held"_s);
        log.watch(connection->createChannel(parent)->whenOpen(), u"whenOpen"_s);
        channel->publish({}, u"q"_s, Message("1"));
        channel->publish({}, u"q"_s, Message("2"));
        log.watch(channel->purgeQueue(u"q"_s), u"purge held"_s);
        channel->publish({}, u"q"_s, Message("3"));
    }
    ~Pending() { delete connection; }

    QPointer<Connection> connection;
    QPointer<Channel> channel;
    QPointer<Consumer> consumer;
    SignalLog log;
};

} // namespace

class tst_Ending : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void messagesFromBeforeConfirmModeAreNotCounted();
    void closeSendsEverythingAndThenConnectionClose();
    void aDeletedConnectionStillSendsItsAcceptedOutput();
    void aDeletedConnectionWaitsForThePeerUpToItsDeadlineOnly();
    void aPeerThatStopsWithinAFrameIsNoticed();
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

    void lossIsReportedInOrder_data();
    void lossIsReportedInOrder();
    void lossEndsPendingCalls();
    void lossIsReportedAfterReceivedData();
    void deletionEndsPendingCalls_data();
    void deletionEndsPendingCalls();
    void survivorsSayNotOpen();

    void channelClosedByTheBrokerIsReportedInOrder();
    void replyTimeoutClosesTheChannel();
    void replyTimeoutOfConsumeAndCancel_data();
    void replyTimeoutOfConsumeAndCancel();
    void replyTimeoutIsPausedWhileBlocked();
    void unreadAnswerDoesNotTimeOut();
    void answerBehindSlowSlotsDoesNotTimeOut();
    void protocolViolationIsReportedToThePeer();
};

// They end in one range with the counted messages.
void tst_Ending::messagesFromBeforeConfirmModeAreNotCounted()
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

void tst_Ending::closeSendsEverythingAndThenConnectionClose()
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

void tst_Ending::aDeletedConnectionStillSendsItsAcceptedOutput()
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

void tst_Ending::aDeletedConnectionWaitsForThePeerUpToItsDeadlineOnly()
{
    ScriptedPeer peer;
    peer.withhold("connection.close-ok");
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setCloseTimeout(50ms);
    std::make_unique<OpenClient>(parameters).reset();
    QVERIFY(waitUntil([&] { return peer.count("connection.close") == 1 && !peer.isConnected(); }));
}

void tst_Ending::aPeerThatStopsWithinAFrameIsNoticed()
{
    ScriptedPeer peer;
    ScriptedPeer::Handshake handshake;
    handshake.heartbeat = 1;
    peer.setHandshake(handshake);
    OpenClient client(peer);
    SignalLog log;
    log.watch(&client.connection);
    peer.sendRaw(encodeFrame(Wire::FrameType::Heartbeat, 0, {}).first(5));
    int wakes = 0;
    const QObject counting;
    connect(QAbstractEventDispatcher::instance(), &QAbstractEventDispatcher::awake, &counting, [&] { ++wakes; });
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
    QCOMPARE(client.connection.error().kind(), ErrorKind::Timeout);
    QCOMPARE_LT(wakes, 200); // polling for the rest would take thousands
}

void tst_Ending::channelCreatedDuringCloseEnds()
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

void tst_Ending::abortEndsAPendingClose()
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

void tst_Ending::closeAfterAbortReportsClosingOnce()
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

void tst_Ending::closeTwiceIsTheSame()
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

void tst_Ending::closeSendsEarlierSettlementsOfOtherThreads()
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

void tst_Ending::closeOfAChannelSendsEarlierSettlementsOfOtherThreads()
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

void tst_Ending::closeWaitsNoLongerThanItsTimeout_data()
{
    QTest::addColumn<QString>("what");
    for (const char *what : {"connection.close-ok", "channel.close-ok", "nothing is read", "an answer before"})
        QTest::newRow(what) << QString::fromLatin1(what);
}

void tst_Ending::closeWaitsNoLongerThanItsTimeout()
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

void tst_Ending::closeWhileBlockedEndsAtItsTimeout()
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

void tst_Ending::closeOfAChannelWithItsConnection()
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

void tst_Ending::destructorSendsConnectionClose()
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

void tst_Ending::lossIsReportedInOrder_data()
{
    QTest::addColumn<QString>("loss");
    QTest::addColumn<QString>("error");
    QTest::newRow("connection.close") << u"close"_s << u"ConnectionClosed 320"_s;
    QTest::newRow("end of stream") << u"hangUp"_s << u"Network"_s;
    QTest::newRow("reset") << u"drop"_s << u"Network"_s;
    QTest::newRow("broken frame") << u"garbage"_s << u"ProtocolViolation 501"_s;
    QTest::newRow("unknown reply") << u"reply"_s << u"ProtocolViolation 503"_s;
}

void tst_Ending::lossIsReportedInOrder()
{
    QFETCH(const QString, loss);
    QFETCH(const QString, error);
    ScriptedPeer peer;
    OpenClient client(peer);
    SignalLog log;
    Consumer *consumer = client.consume();
    log.watch(&client.connection);
    log.watch(client.channel);
    log.watch(consumer);
    if (loss == u"close")
        peer.closeConnection(320, "CONNECTION_FORCED - shutdown");
    else if (loss == u"hangUp")
        peer.hangUp();
    else if (loss == u"drop")
        peer.dropConnection();
    else if (loss == u"garbage")
        peer.sendRaw(QByteArray(20, '\xff'));
    else
        peer.send(1, Wire::QueueBindOk{});
    QVERIFY(waitUntil([&] { return !log.only(u"connection.closed"_s).isEmpty(); }));
    settleEvents();
    QCOMPARE(log.entries, QStringList({u"consumer.stateChanged Recovering"_s, u"channel.writableChanged 0"_s,
                                       u"channel.errorOccurred "_s + error, u"channel.stateChanged Closed"_s,
                                       u"channel.closed "_s + error, u"connection.errorOccurred "_s + error,
                                       u"connection.stateChanged Closed"_s, u"connection.closed "_s + error}));
    QCOMPARE(brief(client.connection.error()), error);
    QCOMPARE(brief(client.channel->error()), error);
    QCOMPARE(peer.count("connection.close-ok"), loss == u"close" ? 1 : 0);
}

void tst_Ending::lossEndsPendingCalls()
{
    ScriptedPeer peer;
    Pending pending(peer);
    peer.dropConnection();
    QVERIFY(waitUntil([&] { return pending.log.has(u"connection.closed Network"_s); }));
    for (const QString &reply : std::as_const(pending.log.replies))
        QVERIFY2(pending.log.ended.count(reply) == 1, qPrintable(reply));
    QVERIFY(pending.log.has(u"reply.declareQueue Network"_s));
    QVERIFY(pending.log.has(u"channel.publishFailed 1-3 Network"_s));
    QCOMPARE(pending.log.entries.last(), u"connection.closed Network"_s);
}

// The broker's last frames are read even if its socket is gone when a slot returns.
void tst_Ending::lossIsReportedAfterReceivedData()
{
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    OpenClient client(peer);
    Consumer *consumer = client.consume();
    SignalLog log;
    log.watch(&client.connection);
    log.watchDeliveries(consumer);
    log.afterEntry = [&](const QString &entry) {
        if (entry == u"consumer.delivered 1") {
            QThread::msleep(50); // in the meantime the peer closes
            client.channel->publish({}, u"q"_s, Message(QByteArray(200'000, 'x')));
            client.channel->publish({}, u"q"_s, Message(QByteArray(200'000, 'x')));
        }
    };
    QByteArrayList bodies;
    for (int i = 1; i <= 20; ++i)
        bodies += QByteArray::number(i);
    QByteArray all = deliveries("c1", 1, bodies);
    all += Wire::encodeFrame(0, Wire::ConnectionClose{.replyCode = 320, .replyText = "CONNECTION_FORCED"});
    peer.sendRaw(all);
    peer.hangUp();
    QVERIFY(waitUntil([&] { return !log.only(u"connection.closed"_s).isEmpty(); }));
    QCOMPARE(log.entries.last(), u"connection.closed ConnectionClosed 320"_s);
    QCOMPARE(log.only(u"consumer.delivered"_s).size(), 20);
}

void tst_Ending::deletionEndsPendingCalls_data()
{
    QTest::addColumn<bool>("othersSurvive");
    QTest::newRow("children") << false;
    QTest::newRow("others survive") << true;
}

void tst_Ending::deletionEndsPendingCalls()
{
    QFETCH(const bool, othersSurvive);
    ScriptedPeer peer;
    QObject parent;
    Pending pending(peer, othersSurvive ? &parent : nullptr);
    delete pending.connection;
    QCOMPARE(pending.log.ended, QStringList()); // nothing is reported inside the destructor
    settleEvents();
    for (const QString &reply : std::as_const(pending.log.replies))
        QVERIFY2(pending.log.has(u"reply."_s + reply + u" Cancelled"_s), qPrintable(pending.log.entries.join(u'\n')));
    QCOMPARE(pending.log.ended.size(), pending.log.replies.size());
    if (!othersSurvive) {
        QVERIFY(!pending.channel && !pending.consumer);
        return;
    }
    QStringList channel = pending.log.only(u"channel."_s);
    QCOMPARE(channel.mid(channel.indexOf(u"channel.publishFailed 1-3 Cancelled"_s)),
             QStringList({u"channel.publishFailed 1-3 Cancelled"_s, u"channel.backpressureChanged 0"_s,
                          u"channel.errorOccurred Cancelled"_s, u"channel.stateChanged Closed"_s,
                          u"channel.closed Cancelled"_s}));
    QCOMPARE(pending.log.only(u"consumer."_s).mid(1),
             QStringList({u"consumer.stateChanged Cancelled"_s, u"consumer.cancelled Cancelled"_s}));
}

void tst_Ending::survivorsSayNotOpen()
{
    ScriptedPeer peer;
    auto *connection = new Connection(parametersOf(peer));
    QObject parent;
    QPointer<Channel> channel = connection->createChannel(&parent);
    QPointer<Consumer> consumer = channel->consume(u"q"_s, {.consumerTag = u"t"_s}, &parent);
    QList<Message> messages;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) { messages += message; });
    connection->open();
    QVERIFY(waitUntil([&] { return consumer->state() == Consumer::State::Active; }));
    peer.deliver(1, "t", 1, "m");
    QVERIFY(waitUntil([&] { return messages.size() == 1; }));
    delete connection;

    SignalLog log;
    log.watch(channel);
    log.watch(consumer);
    QVERIFY(channel && consumer);
    QCOMPARE(channel->state(), Channel::State::Closed);
    QCOMPARE(channel->connection(), nullptr);
    QCOMPARE(consumer->channel(), nullptr);
    QCOMPARE(consumer->state(), Consumer::State::Cancelled);
    QCOMPARE(consumer->unackedCount(), 0);
    QVERIFY(!channel->isWritable());
    QCOMPARE(channel->publish({}, u"q"_s, Message("m")), quint64(0));
    const auto kind = [](const auto &reply) {
        return reply.isFinished() ? reply.result().error().kind() : ErrorKind::NoError;
    };
    QCOMPARE(kind(channel->declareTemporaryQueue()), ErrorKind::NotOpen);
    QCOMPARE(kind(channel->get(u"q"_s)), ErrorKind::NotOpen);
    QCOMPARE(kind(channel->setPrefetch(1)), ErrorKind::NotOpen);
    QCOMPARE(kind(channel->reopen()), ErrorKind::NotOpen);
    QCOMPARE(kind(channel->whenOpen()), ErrorKind::NotOpen);
    QVERIFY(channel->close().result());
    QCOMPARE(channel->ack(messages.constFirst()), false);
    QCOMPARE(channel->lastCallError().kind(), ErrorKind::NotOpen);
    messages.constFirst().ack(); // is only logged
    QCOMPARE(consumer->cancel().result().value(), 0);
    Consumer *late = channel->consume(u"q"_s);
    log.watch(late, u"late"_s);
    QCOMPARE(late->cancel().result().value(), 0);
    QCOMPARE(late->parent(), channel.data());
    QVERIFY(waitUntil([&] { return log.has(u"late.cancelled NotOpen"_s); }));
    QCOMPARE(log.only(u"consumer."_s).last(), u"consumer.cancelled Cancelled"_s);
    QVERIFY(log.has(u"channel.closed Cancelled"_s));
}

void tst_Ending::channelClosedByTheBrokerIsReportedInOrder()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *consumer = client.consume();
    Channel *other = client.connection.createChannel();
    SignalLog log;
    QVERIFY(waitUntil([&] { return other->isOpen(); }));
    log.watch(&client.connection);
    log.watch(client.channel);
    log.watch(other, u"other"_s);
    log.watch(consumer);
    peer.closeInsteadOf("queue.bind-ok", 404, "NOT_FOUND - no exchange 'x'");
    log.watch(client.channel->bindQueue(u"q"_s, u"x"_s), u"bindQueue"_s);
    log.watch(client.channel->purgeQueue(u"q"_s), u"purgeQueue"_s);
    QVERIFY(waitUntil([&] { return !log.only(u"channel.closed"_s).isEmpty(); }));
    settle(client.connection);
    log.entries.removeIf(comesOncePerTurn);
    const QString error = u"ChannelClosed 404"_s;
    QCOMPARE(log.entries, QStringList({u"reply.bindQueue "_s + error, u"reply.purgeQueue "_s + error,
                                       u"consumer.stateChanged Recovering"_s, u"channel.writableChanged 0"_s,
                                       u"channel.errorOccurred "_s + error, u"channel.stateChanged Closed"_s,
                                       u"channel.closed "_s + error}));
    QCOMPARE(client.channel->error().text(), u"NOT_FOUND - no exchange 'x'"_s);
    QVERIFY(other->isOpen());
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Ending::replyTimeoutClosesTheChannel()
{
    ScriptedPeer peer;
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setReplyTimeout(50ms);
    OpenClient client(parameters);
    Consumer *consumer = client.consume();
    SignalLog log;
    log.watch(&client.connection);
    log.watch(client.channel);
    log.watch(consumer);
    peer.withhold("queue.declare-ok");
    peer.withhold("queue.purge-ok");
    log.watch(client.channel->declareQueue(u"q"_s), u"declareQueue"_s);
    log.watch(client.channel->purgeQueue(u"q"_s), u"purgeQueue"_s);
    QVERIFY(waitUntil([&] { return !log.only(u"channel.closed"_s).isEmpty(); }));
    log.entries.removeIf(comesOncePerTurn);
    QCOMPARE(log.entries, QStringList({u"reply.declareQueue Timeout"_s, u"reply.purgeQueue Timeout"_s,
                                       u"consumer.stateChanged Recovering"_s, u"channel.writableChanged 0"_s,
                                       u"channel.errorOccurred Timeout"_s, u"channel.stateChanged Closed"_s,
                                       u"channel.closed Timeout"_s}));
    QCOMPARE(client.channel->error().method(), u"queue.declare"_s);
    QCOMPARE(client.channel->purgeQueue(u"q"_s).result().error().kind(), ErrorKind::NotOpen);
    QVERIFY(client.connection.isOpen());
    QVERIFY(waitUntil([&] { return peer.count("channel.close") == 1; }));

    peer.answerAgain("queue.declare-ok");
    const Reply<void> reopened = client.channel->reopen();
    QVERIFY(waitUntil([&] { return reopened.isFinished() && consumer->state() == Consumer::State::Active; }));
    QVERIFY(reopened.result());
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Ending::replyTimeoutOfConsumeAndCancel_data()
{
    QTest::addColumn<bool>("cancel");
    QTest::newRow("consume") << false;
    QTest::newRow("cancel") << true;
}

void tst_Ending::replyTimeoutOfConsumeAndCancel()
{
    QFETCH(const bool, cancel);
    ScriptedPeer peer;
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setReplyTimeout(50ms);
    OpenClient client(parameters);
    peer.withhold(cancel ? "basic.cancel-ok" : "basic.consume-ok");
    SignalLog log;
    Consumer *consumer = nullptr;
    if (cancel) {
        consumer = client.consume();
        log.watch(consumer->cancel(), u"call"_s);
    } else {
        consumer = client.channel->consume(u"q"_s);
        log.watch(consumer->whenStarted(), u"call"_s);
    }
    log.watch(consumer);
    log.watch(client.channel);
    QVERIFY(waitUntil([&] { return log.has(u"channel.closed Timeout"_s); }));
    QVERIFY(log.has(u"reply.call Timeout"_s));
    QCOMPARE(client.channel->error().method(), cancel ? u"basic.cancel"_s : u"basic.consume"_s);
    QCOMPARE(consumer->state(), Consumer::State::Cancelled);
}

void tst_Ending::replyTimeoutIsPausedWhileBlocked()
{
    ScriptedPeer peer;
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setReplyTimeout(80ms);
    OpenClient client(parameters);
    peer.send(0, Wire::ConnectionBlocked{.reason = "low on memory"});
    QVERIFY(waitUntil([&] { return client.connection.isBlocked(); }));
    peer.withhold("queue.declare-ok");
    const Reply<QueueInfo> reply = client.channel->declareQueue(u"q"_s);
    QTest::qWait(200);
    QVERIFY(!reply.isFinished());
    QVERIFY(client.channel->isOpen());
    peer.send(0, Wire::ConnectionUnblocked{});
    QVERIFY(waitUntil([&] { return reply.isFinished(); }));
    QCOMPARE(reply.result().error().kind(), ErrorKind::Timeout);
}

void tst_Ending::unreadAnswerDoesNotTimeOut()
{
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setReplyTimeout(100ms);
    OpenClient client(parameters);
    const Reply<QueueInfo> reply = client.channel->declareQueue(u"q"_s);
    QCoreApplication::processEvents(); // writes the call
    QThread::msleep(300);              // the loop is blocked; timers come before sockets afterwards
    QVERIFY(waitUntil([&] { return reply.isFinished(); }));
    QVERIFY2(reply.result(), qPrintable(reply.result().error().toString()));
}

void tst_Ending::answerBehindSlowSlotsDoesNotTimeOut()
{
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setReplyTimeout(100ms);
    OpenClient client(parameters);
    Consumer *consumer = client.consume();
    std::optional<Reply<QueueInfo>> reply;
    int delivered = 0;
    connect(consumer, &Consumer::delivered, this, [&](const Message &) {
        if (++delivered == 1) {
            reply = client.channel->declareQueue(u"q"_s);
            client.channel->publish({}, u"q"_s, Message(QByteArray(200'000, 'x'))); // both are then written
        }
        QThread::msleep(10);
    });
    peer.sendRaw(deliveries("c1", 1, QByteArrayList(50, "m")));
    QVERIFY(waitUntil([&] { return reply && reply->isFinished(); }));
    QVERIFY2(reply->result(), qPrintable(reply->result().error().toString()));
    QCOMPARE(delivered, 50);
}

void tst_Ending::protocolViolationIsReportedToThePeer()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    SignalLog log;
    log.watch(&client.connection);
    peer.send(1, Wire::BasicConsumeOk{.consumerTag = "nobody"});
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed ProtocolViolation 503"_s); }));
    QVERIFY(waitUntil([&] { return !peer.isConnected(); }));
    QCOMPARE(peer.last("connection.close").as<Wire::ConnectionClose>().replyCode, quint16(503));
}

QTEST_GUILESS_MAIN(tst_Ending)
#include "tst_ending.moc"
