// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"

#include <QtCore/qabstracteventdispatcher.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

// Makes calls that the peer does not answer, and publishes messages that wait because the peer blocks.
struct Pending {
    explicit Pending(ScriptedPeer &peer, QObject *parent = nullptr)
        : connection(new Connection(withoutRecovery(peer)))
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
    void aPeerThatStopsWithinAFrameIsNoticed();

    void lossIsReportedInOrder_data();
    void lossIsReportedInOrder();
    void lossEndsPendingCalls();
    void lossIsReportedAfterReceivedData();
    void deletionEndsPendingCalls_data();
    void deletionEndsPendingCalls();
    void survivorsSayNotOpen();

    void channelClosedByTheBrokerIsReportedInOrder();
    void closeByTheBrokerPrecedesTheErrorOfAWrite();
    void protocolViolationIsReportedToThePeer();
};

void tst_Ending::aPeerThatStopsWithinAFrameIsNoticed()
{
    ScriptedPeer peer;
    ScriptedPeer::Handshake handshake;
    handshake.heartbeat = 1;
    peer.setHandshake(handshake);
    OpenClient client(withoutRecovery(peer));
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
    OpenClient client(withoutRecovery(peer));
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
    OpenClient client(withoutRecovery(peer));
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

// The broker sends connection.close, and resets the TCP connection because it has not read everything.
void tst_Ending::closeByTheBrokerPrecedesTheErrorOfAWrite()
{
    const Message message(QByteArray(200'000, 'x'));
    ScriptedPeer peer;
    OpenClient client(withoutRecovery(peer));
    SignalLog log;
    log.watch(&client.connection);
    peer.setReading(false);
    QVERIFY(client.channel->publish({}, u"q"_s, message) > 0);
    QCOMPARE(client.connection.bytesToWrite(), 0); // the kernel has taken all bytes
    peer.closeConnection(320, "CONNECTION_FORCED");
    peer.dropConnection();
    client.channel->publish({}, u"q"_s, message); // is written at once
    QVERIFY(waitUntil([&] { return !log.only(u"connection.closed"_s).isEmpty(); }));
    QCOMPARE(log.only(u"connection.closed"_s), QStringList{u"connection.closed ConnectionClosed 320"_s});
}

void tst_Ending::protocolViolationIsReportedToThePeer()
{
    ScriptedPeer peer;
    OpenClient client(withoutRecovery(peer));
    SignalLog log;
    log.watch(&client.connection);
    peer.send(1, Wire::BasicConsumeOk{.consumerTag = "nobody"});
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed ProtocolViolation 503"_s); }));
    QVERIFY(waitUntil([&] { return !peer.isConnected(); }));
    QCOMPARE(peer.last("connection.close").as<Wire::ConnectionClose>().replyCode, quint16(503));
}

QTEST_GUILESS_MAIN(tst_Ending)
#include "tst_ending.moc"
