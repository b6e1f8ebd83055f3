// SPDX-License-Identifier: MIT
#include "client/openingsupport.h"

#include <QtCore/qeventloop.h>
#include <QtCore/qregularexpression.h>
#include <QtNetwork/qtcpserver.h>
#include <QtNetwork/qtcpsocket.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

// A server that sends this answer to the first bytes that arrive, and closes.
class RawServer
{
public:
    explicit RawServer(const QByteArray &answer)
    {
        m_server.listen(QHostAddress::LocalHost);
        QObject::connect(&m_server, &QTcpServer::newConnection, &m_server, [this, answer] {
            QTcpSocket *socket = m_server.nextPendingConnection();
            ++connections;
            QObject::connect(socket, &QTcpSocket::readyRead, socket, [socket, answer] {
                socket->readAll();
                socket->write(answer);
                socket->disconnectFromHost();
            });
        });
    }
    Endpoint endpoint() const { return {u"127.0.0.1"_s, m_server.serverPort()}; }

    int connections = 0;

private:
    QTcpServer m_server;
};

} // namespace

class tst_Opening : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void signalsComeInOrder();
    void operationsBeforeOpenGoOutInCallOrder();
    void channelsAreOpenedInTheOrderOfTheirUse();
    void peerMaySendByteByByte();

    void invalidParametersFailLikeTheNetwork_data();
    void invalidParametersFailLikeTheNetwork();
    void foreignProtocolsAreNamed_data();
    void foreignProtocolsAreNamed();
    void silentPeerIsGivenUpInTime_data();
    void silentPeerIsGivenUpInTime();
    void peerMayDisconnectAtAnyPoint_data();
    void peerMayDisconnectAtAnyPoint();

    void closeWhileConnectingEndsWaitingCalls_data();
    void closeWhileConnectingEndsWaitingCalls();
    void abortWhileConnecting();
    void openTwiceIsTheSameAttempt();
    void whenOpenFollowsTheNextAttempt();
    void sameConnectionOpensAgain_data();
    void sameConnectionOpensAgain();
    void parametersCountFromTheNextOpen();

    void endpointsAreTriedInOrder_data();
    void endpointsAreTriedInOrder();
    void rejectedLoginTriesNoOtherEndpoint();
    void lastEndpointsErrorIsReported();
    void closeEndsTheTryingOfEndpoints();
    void blockedAtOpenIsReported();
    void openWorksBeforeAndInTheEventLoop();
};

void tst_Opening::signalsComeInOrder()
{
    ScriptedPeer peer;
    Connection connection(withoutRecovery(peer));
    SignalLog log;
    log.watch(&connection);
    log.watch(connection.open(), u"open"_s);
    QCOMPARE(log.entries, QStringList()); // nothing is reported inside the call
    QCOMPARE(connection.state(), Connection::State::Connecting);
    QVERIFY(waitUntil([&] { return log.has(u"connection.opened"_s); }));
    log.entries.removeIf(comesOncePerTurn);
    QCOMPARE(log.entries,
             QStringList({u"connection.stateChanged Connecting"_s, u"connection.stateChanged Handshaking"_s,
                          u"reply.open ok"_s, u"connection.stateChanged Open"_s, u"connection.opened"_s}));
    QCOMPARE(connection.currentEndpoint().port, peer.port());
    QCOMPARE(connection.serverProperties().value(u"product"_s).toString(), u"RabbitMQ"_s);
    QVERIFY(connection.hasCapability(u"basic.nack"_s));
    QCOMPARE(connection.maximumFrameSize(), 131072u);
    QCOMPARE(connection.heartbeatInterval(), 60s);
    QCOMPARE(connection.error().kind(), ErrorKind::NoError);
}

void tst_Opening::operationsBeforeOpenGoOutInCallOrder()
{
    ScriptedPeer peer;
    Connection connection(withoutRecovery(peer));
    Channel *a = connection.createChannel();
    Channel *b = connection.createChannel();
    a->setPrefetch(10);
    a->declareExchange(u"x"_s, ExchangeType::Topic);
    b->declareQueue(u"q"_s);
    a->publish(u"x"_s, u"k"_s, Message("1"));
    b->publish(u"x"_s, u"k"_s, Message("2"));
    a->bindQueue(u"q"_s, u"x"_s, u"#"_s);
    a->publish(u"x"_s, u"k"_s, Message("3"));
    a->consume(u"q"_s);
    connection.open();
    a->publish(u"x"_s, u"k"_s, Message("4")); // also while the connection is opening
    QVERIFY(waitUntil([&] { return peer.count("basic.publish") == 4; }));
    QStringList names;
    const QList<Command> received = peer.received();
    for (const Command &command : received) {
        if (command.channel > 0)
            names += u"%1 %2"_s.arg(command.channel).arg(QString::fromLatin1(command.name + command.body));
    }
    QCOMPARE(names, QStringList({u"1 channel.open"_s, u"2 channel.open"_s, u"1 basic.qos"_s, u"1 exchange.declare"_s,
                                 u"2 queue.declare"_s, u"1 basic.publish1"_s, u"2 basic.publish2"_s, u"1 queue.bind"_s,
                                 u"1 basic.publish3"_s, u"1 basic.consume"_s, u"1 basic.publish4"_s}));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Opening::channelsAreOpenedInTheOrderOfTheirUse()
{
    ScriptedPeer peer;
    Waiting waiting(withoutRecovery(peer));
    QVERIFY(waiting.open());
    QVERIFY(waitUntil([&] { return waiting.log.has(u"consumer2.started"_s); }));
    QCOMPARE(waiting.log.ended.size(), waiting.log.replies.size());
    const QStringList failed = waiting.log.entries.filter(u"reply."_s).filter(QRegularExpression(u"(?<! ok)$"_s));
    QCOMPARE(failed, QStringList());
    QCOMPARE(waiting.connection.channels().size(), 2);
    QCOMPARE(waiting.connection.channels().constFirst()->number(), quint16(1));
}

void tst_Opening::peerMaySendByteByByte()
{
    ScriptedPeer peer;
    peer.setPacing(1);
    Waiting waiting(withoutRecovery(peer));
    QVERIFY(waiting.open());
    QVERIFY(waitUntil([&] { return waiting.log.has(u"consumer2.started"_s); }));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Opening::invalidParametersFailLikeTheNetwork_data()
{
    QTest::addColumn<QUrl>("url");
    QTest::addColumn<QString>("place");
    QTest::newRow("scheme") << QUrl(u"http://localhost"_s) << u"scheme"_s;
    QTest::newRow("query") << QUrl(u"amqp://localhost?colour=red"_s) << u"colour"_s;
}

void tst_Opening::invalidParametersFailLikeTheNetwork()
{
    QFETCH(const QUrl, url);
    QFETCH(const QString, place);
    Waiting waiting{withoutRecovery()};
    waiting.connection.setUrl(url);
    QVERIFY(waiting.open());
    SignalLog &log = waiting.log;
    QVERIFY2(waiting.connection.error().text().contains(place), qPrintable(waiting.connection.error().text()));
    log.entries.removeIf(comesOncePerTurn);
    QCOMPARE(log.only(u"connection."_s),
             QStringList({u"connection.parametersChanged"_s, u"connection.stateChanged Connecting"_s,
                          u"connection.errorOccurred InvalidArgument"_s, u"connection.stateChanged Closed"_s,
                          u"connection.closed InvalidArgument"_s}));

    ScriptedPeer peer;
    waiting.connection.setUrl(peer.url());
    const Reply<void> open = waiting.connection.open();
    QVERIFY(waitUntil([&] { return open.isFinished(); }));
    QVERIFY(open.result());
}

void tst_Opening::foreignProtocolsAreNamed_data()
{
    QTest::addColumn<QByteArray>("answer");
    QTest::addColumn<QString>("name");
    QTest::newRow("AMQP 0-9") << QByteArray("AMQP\x01\x01\x00\x09", 8) << u"AMQP 0-9 (protocol header 1 1 0 9)"_s;
    QTest::newRow("AMQP 1.0") << QByteArray("AMQP\x00\x01\x00\x00", 8) << u"AMQP 1.0 (protocol header 0 1 0 0)"_s;
    QTest::newRow("AMQP 1.0 with SASL") << QByteArray("AMQP\x03\x01\x00\x00", 8)
                                        << u"AMQP 1.0 (protocol header 3 1 0 0)"_s;
    QTest::newRow("AMQP 1.0 with TLS") << QByteArray("AMQP\x02\x01\x00\x00", 8) << u"AMQP 1.0"_s;
    QTest::newRow("AMQP 0-8") << QByteArray("AMQP\x01\x01\x08\x00", 8) << u"AMQP 0-8"_s;
    QTest::newRow("AMQP 0-10") << QByteArray("AMQP\x01\x01\x00\x0a", 8) << u"AMQP 0-10"_s;
    QTest::newRow("HTTP") << "HTTP/1.1 400 Bad Request\r\n\r\n"_ba << u"HTTP"_s;
    QTest::newRow("TLS") << QByteArray("\x15\x03\x01\x00\x02\x02\x0a", 7) << u"TLS"_s;
}

void tst_Opening::foreignProtocolsAreNamed()
{
    QFETCH(const QByteArray, answer);
    QFETCH(const QString, name);
    RawServer server(answer);
    ScriptedPeer another;
    Connection connection(to({server.endpoint(), endpointOf(another)}));
    const Reply<void> open = connection.open();
    QVERIFY(waitUntil([&] { return open.isFinished(); }));
    QCOMPARE(open.result().error().kind(), ErrorKind::ProtocolViolation);
    QVERIFY2(open.result().error().text().contains(name), qPrintable(open.result().error().text()));
    QCOMPARE(another.connectionCount(), 0);
}

void tst_Opening::silentPeerIsGivenUpInTime_data()
{
    QTest::addColumn<QByteArray>("silentInsteadOf");
    QTest::addColumn<QString>("waitedFor");
    QTest::newRow("start") << ""_ba << u"connection.start"_s;
    QTest::newRow("tune") << "connection.tune"_ba << u"connection.tune"_s;
    QTest::newRow("open-ok") << "connection.open-ok"_ba << u"connection.open-ok"_s;
}

void tst_Opening::silentPeerIsGivenUpInTime()
{
    QFETCH(const QByteArray, silentInsteadOf);
    QFETCH(const QString, waitedFor);
    ScriptedPeer peer;
    if (silentInsteadOf.isEmpty()) {
        ScriptedPeer::Handshake handshake;
        handshake.answersHeader = false;
        peer.setHandshake(handshake);
    } else {
        peer.withhold(silentInsteadOf);
    }
    ConnectionParameters parameters = withoutRecovery(peer);
    parameters.setConnectTimeout(50ms);
    Waiting waiting(parameters);
    QVERIFY(waiting.open());
    QCOMPARE(waiting.log.entries.last(), u"connection.closed Timeout"_s);
    QVERIFY(waiting.connection.error().text().contains(waitedFor));
    QVERIFY(waitUntil([&] { return !peer.isConnected(); }));
    QCOMPARE(peer.count("connection.close"), 0);
}

void tst_Opening::peerMayDisconnectAtAnyPoint_data()
{
    QTest::addColumn<QByteArray>("at");
    QTest::addColumn<bool>("resets");
    for (const bool resets : {false, true}) {
        for (const char *at : {"connection.start-ok", "connection.tune-ok", "connection.open", "channel.open",
                               "queue.declare", "basic.publish", "basic.get", "basic.qos", "basic.consume"})
            QTest::addRow("%s, %s", at, resets ? "resets" : "closes") << QByteArray(at) << resets;
    }
}

void tst_Opening::peerMayDisconnectAtAnyPoint()
{
    QFETCH(const QByteArray, at);
    QFETCH(const bool, resets);
    ScriptedPeer peer;
    peer.setHook([&](const Command &command) {
        if (command.name != at)
            return false;
        resets ? peer.dropConnection() : peer.hangUp();
        return true;
    });
    Waiting waiting(withoutRecovery(peer));
    Channel *channel = waiting.connection.channels().constFirst();
    channel->setPrefetch(10);
    waiting.log.watch(waiting.connection.open(), u"open"_s);
    SignalLog &log = waiting.log;
    QVERIFY(waitUntil([&] { return !log.only(u"connection.closed"_s).isEmpty(); }));
    const bool wasOpen = log.has(u"connection.opened"_s);
    QCOMPARE(wasOpen, !at.startsWith("connection."));
    QCOMPARE(log.ended.size(), wasOpen ? log.replies.size() : 2); // otherwise the replies of open() and whenOpen()
    QVERIFY(!log.entries.last().endsWith(u" ok"));
    QVERIFY(log.entries.last().startsWith(u"connection.closed"));
    QCOMPARE(log.only(u"connection.closed"_s).size(), 1);
    QCOMPARE(log.only(u"connection.errorOccurred"_s).size(), 1);
    QCOMPARE(waiting.connection.error().kind(), ErrorKind::Network);
    for (Channel *each : waiting.connection.channels())
        QCOMPARE(each->state(), wasOpen ? Channel::State::Closed : Channel::State::Opening);
}

void tst_Opening::closeWhileConnectingEndsWaitingCalls_data()
{
    QTest::addColumn<bool>("handshaking");
    QTest::newRow("connecting") << false;
    QTest::newRow("handshaking") << true;
}

void tst_Opening::closeWhileConnectingEndsWaitingCalls()
{
    QFETCH(const bool, handshaking);
    ScriptedPeer peer;
    ScriptedPeer::Handshake handshake;
    handshake.answersHeader = false;
    peer.setHandshake(handshake);
    Waiting waiting(withoutRecovery(peer));
    SignalLog &log = waiting.log;
    log.watch(waiting.connection.open(), u"open"_s);
    if (handshaking)
        QVERIFY(waitUntil([&] { return waiting.connection.state() == Connection::State::Handshaking; }));
    const Reply<void> closing = waiting.connection.close();
    QCOMPARE(waiting.connection.state(), Connection::State::Closing);
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed ok"_s); }));
    QVERIFY(closing.isFinished() && closing.result());
    for (const QString &reply : std::as_const(log.replies))
        QVERIFY2(log.has(u"reply."_s + reply + u" Cancelled"_s), qPrintable(reply));
    QVERIFY(log.has(u"channel1.publishFailed 1-2 Cancelled"_s));
    QVERIFY(log.has(u"channel2.publishFailed 1-2 Cancelled"_s));
    QCOMPARE(log.only(u"connection.errorOccurred"_s), QStringList());
    log.entries.removeIf(comesOncePerTurn);
    QStringList states = log.only(u"connection."_s);
    if (!handshaking) // the socket may have been faster
        states.removeAll(u"connection.stateChanged Handshaking"_s);
    QCOMPARE(states.mid(states.size() - 3),
             QStringList({u"connection.stateChanged Closing"_s, u"connection.stateChanged Closed"_s,
                          u"connection.closed ok"_s}));
    QVERIFY(waitUntil([&] { return !peer.isConnected(); }));
}

void tst_Opening::abortWhileConnecting()
{
    ScriptedPeer peer;
    Waiting waiting(withoutRecovery(peer));
    waiting.log.watch(waiting.connection.open(), u"open"_s);
    waiting.connection.abort();
    QCOMPARE(waiting.connection.state(), Connection::State::Closing);
    QCOMPARE(waiting.connection.open().result().error().kind(), ErrorKind::NotOpen);
    QVERIFY(waitUntil([&] { return waiting.log.has(u"connection.closed ok"_s); }));
    for (const QString &reply : std::as_const(waiting.log.replies))
        QVERIFY2(waiting.log.has(u"reply."_s + reply + u" Cancelled"_s), qPrintable(reply));
}

void tst_Opening::openTwiceIsTheSameAttempt()
{
    ScriptedPeer peer;
    Connection connection(withoutRecovery(peer));
    SignalLog log;
    log.watch(&connection);
    log.watch(connection.open(), u"first"_s);
    log.watch(connection.open(), u"second"_s);
    QVERIFY(waitUntil([&] { return log.has(u"connection.opened"_s); }));
    QVERIFY(log.has(u"reply.first ok"_s));
    QVERIFY(log.has(u"reply.second ok"_s));
    const Reply<void> third = connection.open();
    QVERIFY(third.isFinished() && third.result());
    QVERIFY(connection.whenOpen().isFinished());
    settle(connection);
    QCOMPARE(log.countOf(u"connection.opened"_s), 1);
    QCOMPARE(peer.connectionCount(), 1);
}

void tst_Opening::whenOpenFollowsTheNextAttempt()
{
    ScriptedPeer peer;
    Connection connection(withoutRecovery(peer));
    const Reply<void> first = connection.whenOpen();
    connection.open();
    QVERIFY(waitUntil([&] { return first.isFinished(); }));
    QVERIFY(first.result());
    connection.close();
    const Reply<void> tooLate = connection.whenOpen();
    QVERIFY(waitUntil([&] { return tooLate.isFinished(); }));
    QCOMPARE(tooLate.result().error().kind(), ErrorKind::Cancelled);
    const Reply<void> next = connection.whenOpen();
    QVERIFY(!next.isFinished());
    connection.open();
    QVERIFY(waitUntil([&] { return next.isFinished(); }));
    QVERIFY(next.result());
}

void tst_Opening::sameConnectionOpensAgain_data()
{
    QTest::addColumn<QString>("end");
    for (const char *end : {"close", "abort", "closed by the peer", "dropped"})
        QTest::newRow(end) << QString::fromLatin1(end);
}

void tst_Opening::sameConnectionOpensAgain()
{
    QFETCH(const QString, end);
    ScriptedPeer peer;
    OpenClient client(withoutRecovery(peer));
    for (int round = 1; round <= 3; ++round) {
        QCOMPARE(client.channel->publish({}, u"q"_s, Message("m")), quint64(round)); // numbers never repeat
        QSignalSpy closed(&client.connection, &Connection::closed);
        if (end == u"close")
            client.connection.close();
        else if (end == u"abort")
            client.connection.abort();
        else if (end == u"dropped")
            peer.dropConnection();
        else
            peer.closeConnection(320, "CONNECTION_FORCED");
        QVERIFY(waitUntil([&] { return closed.size() == 1; }));
        QCOMPARE(client.channel->state(), Channel::State::Closed);
        const Reply<void> reopened = client.channel->reopen(); // held until the connection is open
        const Reply<void> opened = client.connection.open();
        QVERIFY(waitUntil([&] { return reopened.isFinished(); }));
        QVERIFY(opened.result() && reopened.result());
        QVERIFY(client.connection.isOpen());
    }
    QCOMPARE(peer.connectionCount(), 4);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Opening::parametersCountFromTheNextOpen()
{
    ScriptedPeer first;
    ScriptedPeer second;
    OpenClient client(first);
    client.connection.setParameters(parametersOf(second));
    settle(client.connection);
    QVERIFY(first.isConnected());
    client.connection.close();
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
    client.connection.open();
    QVERIFY(waitUntil([&] { return client.connection.isOpen(); }));
    QVERIFY(second.isConnected());
    QCOMPARE(client.connection.currentEndpoint().port, second.port());
}

void tst_Opening::endpointsAreTriedInOrder_data()
{
    QTest::addColumn<QString>("first");
    for (const char *first : {"closed port", "unknown host", "silent", "silent at login", "silent at open",
                              "drops at once", "drops at connection.start-ok", "drops at connection.tune-ok",
                              "drops at connection.open", "shuts down at login", "shuts down at open"})
        QTest::newRow(first) << QString::fromLatin1(first);
}

void tst_Opening::endpointsAreTriedInOrder()
{
    QFETCH(const QString, first);
    ScriptedPeer bad;
    RawServer dropping{{}};
    Endpoint endpoint = endpointOf(bad);
    if (first == u"closed port") {
        endpoint = closedPort();
    } else if (first == u"unknown host") {
        endpoint = {u"no-such-host.invalid"_s, 5672};
    } else if (first == u"drops at once") {
        endpoint = dropping.endpoint();
    } else if (first == u"silent") {
        ScriptedPeer::Handshake handshake;
        handshake.answersHeader = false;
        bad.setHandshake(handshake);
    } else if (first == u"silent at login") {
        bad.withhold("connection.tune");
    } else if (first == u"silent at open") {
        bad.withhold("connection.open-ok");
    } else if (first == u"shuts down at login") {
        bad.closeInsteadOf("connection.tune", 320, "CONNECTION_FORCED");
    } else if (first == u"shuts down at open") {
        bad.closeInsteadOf("connection.open-ok", 541, "INTERNAL_ERROR");
    } else {
        bad.setHook([&](const Command &command) {
            const bool drops = command.name == first.section(u' ', 2).toLatin1();
            if (drops)
                bad.dropConnection();
            return drops;
        });
    }
    ScriptedPeer good;
    ScriptedPeer unused;
    ConnectionParameters parameters = to({endpoint, endpointOf(good), endpointOf(unused)});
    parameters.setConnectTimeout(first == u"unknown host" ? 5000ms : 100ms);
    Waiting waiting(parameters);
    SignalLog &log = waiting.log;
    QVERIFY(waiting.open());
    QVERIFY(waitUntil([&] { return log.has(u"consumer2.started"_s); }));
    // Waiting calls keep waiting, and the first attempt has no visible effect.
    QCOMPARE(log.ended.size(), log.replies.size());
    QCOMPARE(log.entries.filter(QRegularExpression(u"^reply\\..*(?<! ok)$"_s)), QStringList());
    QCOMPARE(log.entries.filter(u"errorOccurred"_s), QStringList());
    QCOMPARE(log.entries.filter(u"closed"_s), QStringList());
    QCOMPARE(log.countOf(u"connection.opened"_s), 1);
    QCOMPARE(waiting.connection.currentEndpoint().port, good.port());
    QCOMPARE(good.count("basic.publish"), 4);
    QCOMPARE(good.violations(), QStringList());
    QCOMPARE(unused.connectionCount(), 0);
}

void tst_Opening::rejectedLoginTriesNoOtherEndpoint()
{
    ScriptedPeer refusing;
    refusing.closeInsteadOf("connection.tune", 403, "ACCESS_REFUSED");
    ScriptedPeer another;
    Connection connection(to({endpointOf(refusing), endpointOf(another)}));
    const Reply<void> open = connection.open();
    QVERIFY(waitUntil([&] { return open.isFinished(); }));
    QCOMPARE(open.result().error().kind(), ErrorKind::Authentication);
    QCOMPARE(another.connectionCount(), 0);
}

void tst_Opening::lastEndpointsErrorIsReported()
{
    ScriptedPeer silent;
    silent.withhold("connection.tune");
    ConnectionParameters parameters = to({closedPort(), endpointOf(silent)});
    parameters.setConnectTimeout(50ms);
    Waiting waiting(parameters);
    QVERIFY(waiting.open());
    QCOMPARE(waiting.log.entries.last(), u"connection.closed Timeout"_s);
    QCOMPARE(waiting.log.only(u"connection.errorOccurred"_s).size(), 1);
}

void tst_Opening::closeEndsTheTryingOfEndpoints()
{
    ScriptedPeer silent;
    silent.withhold("connection.tune");
    ScriptedPeer another;
    Connection connection(to({endpointOf(silent), endpointOf(another)}));
    connection.open();
    QVERIFY(waitUntil([&] { return silent.count("connection.start-ok") == 1; }));
    const Reply<void> closing = connection.close();
    QVERIFY(waitUntil([&] { return closing.isFinished() && connection.state() == Connection::State::Closed; }));
    QVERIFY(waitUntil([&] { return !silent.isConnected(); }));
    QCOMPARE(another.connectionCount(), 0);
}

void tst_Opening::blockedAtOpenIsReported()
{
    ScriptedPeer peer;
    ScriptedPeer::Handshake handshake;
    handshake.blockedReason = "low on disk";
    peer.setHandshake(handshake);
    Connection connection(withoutRecovery(peer));
    SignalLog log;
    log.watch(&connection);
    Channel *channel = connection.createChannel();
    connection.open();
    QVERIFY(waitUntil([&] { return connection.isBlocked() && channel->isOpen(); }));
    QVERIFY(waitUntil([&] { return log.has(u"connection.blockedChanged 1"_s); }));
    QVERIFY(log.entries.indexOf(u"connection.opened"_s) < log.entries.indexOf(u"connection.blockedChanged 1"_s));
    QCOMPARE(connection.blockedReason(), u"low on disk"_s);
    QCOMPARE(channel->backpressure(), BackpressureReasons(BackpressureReason::BrokerBlocked));
    QVERIFY(!channel->isWritable());
}

void tst_Opening::openWorksBeforeAndInTheEventLoop()
{
    ScriptedPeer peer;
    ScriptedPeer secondPeer;
    int opened = 0;
    Connection before(withoutRecovery(peer));
    std::unique_ptr<Connection> during;
    QEventLoop loop;
    const auto count = [&] {
        if (++opened == 2)
            loop.quit();
    };
    connect(&before, &Connection::opened, &loop, count);
    before.open();
    QTimer::singleShot(0, &loop, [&] {
        during = std::make_unique<Connection>(parametersOf(secondPeer));
        connect(during.get(), &Connection::opened, &loop, count);
        QMetaObject::invokeMethod(during.get(), "open", Qt::QueuedConnection);
    });
    QTimer::singleShot(10s, &loop, &QEventLoop::quit);
    loop.exec();
    QCOMPARE(opened, 2);
}

QTEST_GUILESS_MAIN(tst_Opening)
#include "tst_opening.moc"
