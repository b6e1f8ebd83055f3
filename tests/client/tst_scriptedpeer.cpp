// SPDX-License-Identifier: MIT
#include "support/scriptedpeer.h"

#include <QtNetwork/qtcpsocket.h>
#include <QtTest/qtest.h>

using namespace AmqpQt::Wire;
using namespace Qt::StringLiterals;

namespace
{

// A client on a plain socket that the test controls.
class Client
{
public:
    explicit Client(const ScriptedPeer &peer)
    {
        QObject::connect(&socket, &QTcpSocket::readyRead, [this] {
            ++reads;
            m_input += socket.readAll();
        });
        socket.connectToHost(QHostAddress::LocalHost, peer.port());
    }

    void write(const QByteArray &bytes) { socket.write(bytes); }
    template <typename Method>
    void send(quint16 channel, const Method &method)
    {
        write(encodeFrame(channel, method));
    }
    void publish(quint16 channel, const QByteArrayList &bodies, const BasicProperties &properties = {})
    {
        send(channel, BasicPublish{.exchange = "readings", .routingKey = "sensor.1"});
        write(headerFrame(channel, quint64(bodies.join().size()), encodeProperties(properties)));
        for (const QByteArray &body : bodies)
            write(encodeFrame(FrameType::Body, channel, body));
    }

    // The next frame, which must be this method; its strings live until the next call. Waits in the event loop.
    template <typename Method>
    Method next(quint16 channel = 0)
    {
        m_frame = nextFrame();
        const std::optional<Method> method = m_frame.as<Method>();
        if (!method || m_frame.channel != channel)
            QTest::qFail(qPrintable(u"not the expected frame: "_s + m_frame.describe()), Method::name, 0);
        return method.value_or(Method());
    }
    Frame nextFrame()
    {
        std::optional<Frame> frame;
        const auto take = [&] {
            QByteArrayView left = m_input;
            frame = m_parser.next(left);
            m_input.remove(0, m_input.size() - left.size());
            return frame.has_value();
        };
        if (!QTest::qWaitFor(take))
            QTest::qFail("no frame came", __FILE__, __LINE__);
        return frame.value_or(Frame());
    }
    QByteArray input() const { return m_input; }

    void logIn(quint32 frameMax = 131072)
    {
        write(ProtocolHeader.toByteArray());
        next<ConnectionStart>();
        send(0, ConnectionStartOk{.mechanism = "PLAIN", .response = {"\0guest\0guest", 12}, .locale = "en_US"});
        next<ConnectionTune>();
        send(0, ConnectionTuneOk{.channelMax = 2047, .frameMax = frameMax, .heartbeat = 60});
        send(0, ConnectionOpen{.virtualHost = "/"});
        next<ConnectionOpenOk>();
    }
    void openChannel(quint16 channel = 1)
    {
        send(channel, ChannelOpen{});
        next<ChannelOpenOk>(channel);
    }

    QTcpSocket socket;
    int reads = 0;

private:
    FrameParser m_parser;
    QByteArray m_input;
    Frame m_frame;
};

} // namespace

class tst_ScriptedPeer : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void completesTheHandshake();
    void decodesReceivedMethods();
    void sendsTheGreetingInsteadOfStart();
    void sendsNothingIfItDoesNotAnswerTheHeader();
    void closesInsteadOfAnAnswer();
    void asksEachChallenge();
    void sendsBlockedAfterOpenOk();
    void declaresQueuesWithTheirCounts();
    void namesUnnamedQueuesAndConsumers();
    void answersNothingIfNoWait();
    void leavesAMethodToTheHook();
    void withholdsAnAnswer();
    void collectsTheContentOfAPublish();
    void confirmsPublishes();
    void deliversInFramesOfTheNegotiatedSize();
    void sendsByteByByte();
    void leavesBytesUnreadWhenFrozen();
    void answersNothingAfterItsOwnClose();
    void closesTheSocketAfterConnectionClose();
    void dropsTheConnection();
    void countsHeartbeats();
    void listensAgainOnTheSamePort();
    void livesInItsOwnThread();
    void recordsViolationsOfTheProtocol_data();
    void recordsViolationsOfTheProtocol();
};

void tst_ScriptedPeer::completesTheHandshake()
{
    ScriptedPeer peer;
    Client client(peer);
    client.write(ProtocolHeader.toByteArray());
    const auto start = client.next<ConnectionStart>();
    QCOMPARE(start.versionMajor, 0);
    QCOMPARE(start.versionMinor, 9);
    QCOMPARE(start.mechanisms.toByteArray(), "PLAIN AMQPLAIN");
    client.send(0, ConnectionStartOk{.mechanism = "PLAIN", .response = {"\0guest\0guest", 12}, .locale = "en_US"});
    const auto tune = client.next<ConnectionTune>();
    QCOMPARE(tune.channelMax, 2047);
    QCOMPARE(tune.frameMax, 131072u);
    QCOMPARE(tune.heartbeat, 60);
    client.send(0, ConnectionTuneOk{.channelMax = 2047, .frameMax = 131072, .heartbeat = 60});
    client.send(0, ConnectionOpen{.virtualHost = "/"});
    client.next<ConnectionOpenOk>();
    QCOMPARE(peer.protocolHeader(), ProtocolHeader.toByteArray());
    QCOMPARE(peer.connectionCount(), 1);
    QVERIFY(peer.isConnected());
    QCOMPARE(peer.violations(), QStringList());
}

void tst_ScriptedPeer::decodesReceivedMethods()
{
    ScriptedPeer peer;
    Client client(peer);
    client.logIn();
    client.openChannel(7);
    const QByteArray arguments = ScriptedPeer::table({{u"x-max-length"_s, 1000}});
    client.send(7, QueueDeclare{.queue = "заказы", .durable = true, .arguments = {arguments}});
    client.next<QueueDeclareOk>(7);

    QCOMPARE(peer.received().size(), 5);
    const Command command = peer.last("queue.declare");
    QCOMPARE(command.connection, 1);
    QCOMPARE(command.channel, 7);
    QCOMPARE(command.id, QueueDeclare::id);
    QCOMPARE(command.fields.value(u"queue"_s), u"заказы"_s);
    QCOMPARE(command.fields.value(u"durable"_s), true);
    QCOMPARE(command.fields.value(u"exclusive"_s), false);
    QCOMPARE(command.fields.value(u"arguments"_s).toMap().value(u"x-max-length"_s).toInt(), 1000);
    QCOMPARE(command.as<QueueDeclare>().queue.toByteArray(), "заказы");
    QCOMPARE(peer.last("connection.start-ok").fields.value(u"response"_s), QByteArray("\0guest\0guest", 12));
    QCOMPARE(peer.last("queue.bind").name, QByteArray());
    peer.forgetReceived();
    QCOMPARE(peer.count("queue.declare"), 0);
}

void tst_ScriptedPeer::sendsTheGreetingInsteadOfStart()
{
    ScriptedPeer peer;
    ScriptedPeer::Handshake handshake;
    handshake.greeting = "HTTP/1.1 400 Bad Request\r\n\r\n";
    peer.setHandshake(handshake);
    Client client(peer);
    client.write(ProtocolHeader.toByteArray());
    QTRY_COMPARE(client.input(), handshake.greeting);
}

void tst_ScriptedPeer::sendsNothingIfItDoesNotAnswerTheHeader()
{
    ScriptedPeer peer;
    ScriptedPeer::Handshake handshake;
    handshake.answersHeader = false;
    peer.setHandshake(handshake);
    Client client(peer);
    client.write(ProtocolHeader.toByteArray());
    QTRY_COMPARE(peer.protocolHeader(), ProtocolHeader.toByteArray());
    peer.sendHeartbeat(); // the first bytes that arrive
    QCOMPARE(client.nextFrame().type, FrameType::Heartbeat);
}

void tst_ScriptedPeer::closesInsteadOfAnAnswer()
{
    ScriptedPeer peer;
    peer.closeInsteadOf("connection.tune", 403, "ACCESS_REFUSED");
    peer.closeInsteadOf("queue.declare-ok", 406, "PRECONDITION_FAILED");
    Client refused(peer);
    refused.write(ProtocolHeader.toByteArray());
    refused.next<ConnectionStart>();
    refused.send(0, ConnectionStartOk{});
    QCOMPARE(refused.next<ConnectionClose>().replyCode, 403);

    peer.answerAgain("connection.tune");
    Client client(peer);
    client.logIn();
    client.openChannel();
    client.send(1, QueueDeclare{.queue = "q"});
    QCOMPARE(client.next<ChannelClose>(1).replyText.toByteArray(), "PRECONDITION_FAILED");
    client.send(1, ChannelCloseOk{});
    client.openChannel(); // the number is free again
    QCOMPARE(peer.violations(), QStringList());
}

void tst_ScriptedPeer::asksEachChallenge()
{
    ScriptedPeer peer;
    ScriptedPeer::Handshake handshake;
    handshake.challenges = {"one", "two"};
    peer.setHandshake(handshake);
    Client client(peer);
    client.write(ProtocolHeader.toByteArray());
    client.next<ConnectionStart>();
    client.send(0, ConnectionStartOk{});
    QCOMPARE(client.next<ConnectionSecure>().challenge.toByteArray(), "one");
    client.send(0, ConnectionSecureOk{.response = "1"});
    QCOMPARE(client.next<ConnectionSecure>().challenge.toByteArray(), "two");
    client.send(0, ConnectionSecureOk{.response = "2"});
    client.next<ConnectionTune>();
    QCOMPARE(peer.count("connection.secure-ok"), 2);
}

void tst_ScriptedPeer::sendsBlockedAfterOpenOk()
{
    ScriptedPeer peer;
    ScriptedPeer::Handshake handshake;
    handshake.blockedReason = "low on memory";
    peer.setHandshake(handshake);
    Client client(peer);
    client.logIn();
    QCOMPARE(client.next<ConnectionBlocked>().reason.toByteArray(), "low on memory");
}

void tst_ScriptedPeer::declaresQueuesWithTheirCounts()
{
    ScriptedPeer peer;
    peer.setQueueCounts(u"orders"_s, 42, 3);
    Client client(peer);
    client.logIn();
    client.openChannel();
    client.send(1, QueueDeclare{.queue = "orders"});
    const auto declared = client.next<QueueDeclareOk>(1);
    QCOMPARE(declared.queue.toByteArray(), "orders");
    QCOMPARE(declared.messageCount, 42u);
    QCOMPARE(declared.consumerCount, 3u);
    client.send(1, QueuePurge{.queue = "orders"});
    QCOMPARE(client.next<QueuePurgeOk>(1).messageCount, 42u);
    client.send(1, QueueDelete{.queue = "others"});
    QCOMPARE(client.next<QueueDeleteOk>(1).messageCount, 0u);
}

void tst_ScriptedPeer::namesUnnamedQueuesAndConsumers()
{
    ScriptedPeer peer;
    Client client(peer);
    client.logIn();
    client.openChannel();
    client.send(1, QueueDeclare{});
    const QByteArray first = client.next<QueueDeclareOk>(1).queue.toByteArray();
    QVERIFY(first.startsWith("amq.gen-"));
    client.send(1, QueueDeclare{});
    QVERIFY(client.next<QueueDeclareOk>(1).queue != first);
    client.send(1, BasicConsume{.queue = "q", .consumerTag = "mine"});
    QCOMPARE(client.next<BasicConsumeOk>(1).consumerTag.toByteArray(), "mine");
    client.send(1, BasicConsume{.queue = "q"});
    QVERIFY(client.next<BasicConsumeOk>(1).consumerTag.startsWith("amq.ctag-"));
    client.send(1, BasicCancel{.consumerTag = "mine"});
    QCOMPARE(client.next<BasicCancelOk>(1).consumerTag.toByteArray(), "mine");
}

void tst_ScriptedPeer::answersNothingIfNoWait()
{
    ScriptedPeer peer;
    Client client(peer);
    client.logIn();
    client.openChannel();
    client.send(1, QueueBind{.queue = "q", .exchange = "e", .noWait = true});
    client.send(1, BasicGet{.queue = "q"});
    client.next<BasicGetEmpty>(1);
    QCOMPARE(peer.count("queue.bind"), 1);
}

void tst_ScriptedPeer::leavesAMethodToTheHook()
{
    ScriptedPeer peer;
    peer.setHook([&](const Command &command) {
        if (command.name != "basic.get")
            return false;
        peer.sendContent(command.channel, BasicGetOk{.deliveryTag = 5, .messageCount = 9}, {}, "from the hook");
        return true;
    });
    Client client(peer);
    client.logIn();
    client.openChannel();
    client.send(1, BasicGet{.queue = "q"});
    QCOMPARE(client.next<BasicGetOk>(1).messageCount, 9u);
    client.nextFrame();
    QCOMPARE(client.nextFrame().payload, "from the hook");
}

void tst_ScriptedPeer::withholdsAnAnswer()
{
    ScriptedPeer peer;
    peer.withhold("basic.qos-ok");
    Client client(peer);
    client.logIn();
    client.openChannel();
    client.send(1, BasicQos{.prefetchCount = 10});
    client.send(1, TxSelect{});
    client.next<TxSelectOk>(1);
    peer.send(1, BasicQosOk{});
    client.next<BasicQosOk>(1);
}

void tst_ScriptedPeer::collectsTheContentOfAPublish()
{
    ScriptedPeer peer;
    Client client(peer);
    client.logIn();
    client.openChannel();
    client.publish(1, {"21", ".5"},
                   {.flags = ContentTypeFlag | PriorityFlag, .contentType = "text/plain", .priority = 4});
    client.publish(1, {});
    QTRY_COMPARE(peer.count("basic.publish"), 2);
    const Command full = peer.received("basic.publish").at(0);
    QCOMPARE(full.fields.value(u"routing-key"_s), u"sensor.1"_s);
    QCOMPARE(full.body, "21.5");
    QCOMPARE(full.bodyFrames, 2);
    QCOMPARE(full.basicProperties().contentType.toByteArray(), "text/plain");
    QCOMPARE(full.basicProperties().priority, 4);
    QVERIFY(!full.basicProperties().has(HeadersFlag));
    const Command empty = peer.received("basic.publish").at(1);
    QCOMPARE(empty.body, QByteArray());
    QCOMPARE(empty.bodyFrames, 0);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_ScriptedPeer::confirmsPublishes()
{
    ScriptedPeer peer;
    Client client(peer);
    client.logIn();
    client.openChannel();
    client.send(1, ConfirmSelect{});
    client.next<ConfirmSelectOk>(1);
    client.publish(1, {"a"});
    client.publish(1, {"b"});
    QCOMPARE(client.next<BasicAck>(1).deliveryTag, 1u);
    QCOMPARE(client.next<BasicAck>(1).deliveryTag, 2u);
}

void tst_ScriptedPeer::deliversInFramesOfTheNegotiatedSize()
{
    ScriptedPeer peer;
    Client client(peer);
    client.logIn(4096);
    client.openChannel();
    const QByteArray body(5000, 'x');
    peer.deliver(1, "tag", 8, body, {.flags = TypeFlag, .type = "reading"});
    const auto deliver = client.next<BasicDeliver>(1);
    QCOMPARE(deliver.consumerTag.toByteArray(), "tag");
    QCOMPARE(deliver.deliveryTag, 8u);
    const Frame header = client.nextFrame();
    ContentHeader content;
    QVERIFY(decodeContentHeader(header.payload, content));
    QCOMPARE(content.bodySize, 5000u);
    BasicProperties properties;
    QCOMPARE(decodeProperties(content.properties, properties), nullptr);
    QCOMPARE(properties.type.toByteArray(), "reading");
    QCOMPARE(client.nextFrame().payload.size(), 4096 - FrameOverhead);
    QCOMPARE(client.nextFrame().payload.size(), 5000 - (4096 - FrameOverhead));
}

void tst_ScriptedPeer::sendsByteByByte()
{
    ScriptedPeer peer;
    ScriptedPeer::Handshake handshake;
    handshake.serverProperties.clear();
    peer.setHandshake(handshake);
    peer.setPacing(1);
    Client client(peer);
    client.logIn();
    QVERIFY2(client.reads > 20, qPrintable(QString::number(client.reads)));
    peer.setPacing(0);
    client.openChannel();
    client.send(0, ConnectionClose{.replyCode = 200});
    client.next<ConnectionCloseOk>();
}

void tst_ScriptedPeer::leavesBytesUnreadWhenFrozen()
{
    ScriptedPeer peer;
    Client client(peer);
    client.logIn();
    client.openChannel();
    peer.setReading(false);
    const qint64 before = peer.bytesReceived();
    const QByteArrayList bodies(400, QByteArray(100000, 'x')); // more than the kernel accepts
    client.publish(1, bodies);
    QVERIFY(!QTest::qWaitFor([&] { return client.socket.bytesToWrite() == 0; }, 200));
    QCOMPARE(peer.bytesReceived(), before);
    peer.setReading(true);
    QTRY_COMPARE(peer.count("basic.publish"), 1);
    QCOMPARE(peer.last("basic.publish").body.size(), 40000000);
    QCOMPARE(peer.largestFrame(), 100000 + FrameOverhead);
}

void tst_ScriptedPeer::answersNothingAfterItsOwnClose()
{
    ScriptedPeer peer;
    Client client(peer);
    client.logIn();
    client.openChannel();
    peer.closeChannel(1, 404, "NOT_FOUND");
    client.send(1, QueueDeclare{.queue = "q"}); // crosses the peer's close
    client.next<ChannelClose>(1);
    client.send(1, ChannelCloseOk{});
    client.openChannel(2);
    QCOMPARE(peer.count("queue.declare"), 1);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_ScriptedPeer::closesTheSocketAfterConnectionClose()
{
    ScriptedPeer peer;
    Client asking(peer);
    asking.logIn();
    asking.send(0, ConnectionClose{.replyCode = 200});
    asking.next<ConnectionCloseOk>();
    QTRY_COMPARE(asking.socket.state(), QAbstractSocket::UnconnectedState);

    Client asked(peer);
    asked.logIn();
    peer.closeConnection(320, "CONNECTION_FORCED");
    QCOMPARE(asked.next<ConnectionClose>().replyCode, 320);
    QVERIFY(peer.isConnected());
    asked.send(0, ConnectionCloseOk{});
    QTRY_COMPARE(asked.socket.state(), QAbstractSocket::UnconnectedState);
    QVERIFY(!peer.isConnected());
}

void tst_ScriptedPeer::dropsTheConnection()
{
    ScriptedPeer peer;
    Client client(peer);
    client.logIn();
    peer.dropConnection();
    QTRY_COMPARE(client.socket.state(), QAbstractSocket::UnconnectedState);
    QCOMPARE(client.input(), QByteArray());
}

void tst_ScriptedPeer::countsHeartbeats()
{
    ScriptedPeer peer;
    Client client(peer);
    client.logIn();
    client.write(encodeFrame(FrameType::Heartbeat, 0, {}));
    QTRY_COMPARE(peer.heartbeats(), 1);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_ScriptedPeer::listensAgainOnTheSamePort()
{
    ScriptedPeer peer;
    const quint16 port = peer.port();
    Client first(peer);
    first.logIn();
    peer.setListening(false);
    Client refused(peer);
    QTRY_COMPARE(refused.socket.error(), QAbstractSocket::ConnectionRefusedError);
    peer.setListening(true);
    QCOMPARE(peer.port(), port);
    Client second(peer);
    second.logIn();
    second.openChannel();
    QCOMPARE(peer.connectionCount(), 2);
    QCOMPARE(peer.last("channel.open").connection, 2);
}

void tst_ScriptedPeer::livesInItsOwnThread()
{
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    QTcpSocket socket; // used without an event loop in this thread
    socket.connectToHost(QHostAddress::LocalHost, peer.port());
    QVERIFY(socket.waitForConnected());
    socket.write(ProtocolHeader.data(), ProtocolHeader.size());
    QVERIFY(socket.waitForReadyRead());
    QCOMPARE(peer.protocolHeader(), ProtocolHeader.toByteArray());
    socket.readAll();
    peer.send(0, ConnectionBlocked{.reason = "x"});
    QVERIFY(socket.waitForReadyRead());
    QCOMPARE(socket.readAll(), encodeFrame(0, ConnectionBlocked{.reason = "x"}));
}

void tst_ScriptedPeer::recordsViolationsOfTheProtocol_data()
{
    QTest::addColumn<QByteArray>("bytes");
    QTest::addColumn<QString>("violation");
    QByteArray noEnd = encodeFrame(1, TxSelect{});
    noEnd.back() = 'x';
    QTest::newRow("no frame-end") << noEnd << u"a malformed frame"_s;
    QTest::newRow("frame over frame-max")
        << encodeFrame(FrameType::Body, 1, QByteArray(4089, 'x')) << u"a frame larger than frame-max"_s;
    QTest::newRow("channel never opened") << encodeFrame(2, TxSelect{}) << u"a method on a closed channel"_s;
    QTest::newRow("channel open already") << encodeFrame(1, ChannelOpen{}) << u"channel.open on a number in use"_s;
    QTest::newRow("channel over channel-max") << encodeFrame(2048, ChannelOpen{}) << u"a channel above channel-max"_s;
    QTest::newRow("answer of a broker") << encodeFrame(1, TxSelectOk{}) << u"a method that only brokers send"_s;
    QTest::newRow("unknown method") << encodeFrame(FrameType::Method, 1, QByteArray("\0\x3c\0\xff", 4))
                                    << u"an unknown method"_s;
    QTest::newRow("truncated method") << encodeFrame(FrameType::Method, 1, QByteArray("\0\x3c\0\x0a\0", 5))
                                      << u"malformed arguments"_s;
    QTest::newRow("method without class")
        << encodeFrame(FrameType::Method, 1, QByteArray("\0\x3c", 2)) << u"a method frame without a method"_s;
    QTest::newRow("method inside a content")
        << encodeFrame(1, BasicPublish{}) + encodeFrame(1, TxSelect{}) << u"a method between the frames of a content"_s;
    QTest::newRow("header without method") << headerFrame(1, 1) << u"a header without basic.publish"_s;
    QTest::newRow("body without header") << encodeFrame(FrameType::Body, 1, "x")
                                         << u"a body that no header announced"_s;
    QTest::newRow("body longer than announced")
        << encodeFrame(1, BasicPublish{}) + headerFrame(1, 1) + encodeFrame(FrameType::Body, 1, "xy")
        << u"a body that no header announced"_s;
    QTest::newRow("heartbeat on a channel") << encodeFrame(FrameType::Heartbeat, 1, {}) << u"a malformed heartbeat"_s;
    QTest::newRow("frame type") << encodeFrame(FrameType(9), 1, {}) << u"an unknown frame type"_s;
    QTest::newRow("tune-ok above the offer")
        << encodeFrame(0, ConnectionTuneOk{.channelMax = 0, .frameMax = 4096}) << u"tune-ok above the offer"_s;
    QTest::newRow("unexpected close-ok") << encodeFrame(1, ChannelCloseOk{}) << u"an unexpected channel.close-ok"_s;
    QTest::newRow("frame after connection.close") << encodeFrame(0, ConnectionClose{}) + encodeFrame(1, TxSelect{})
                                                  << u"a frame after connection.close or its close-ok"_s;
    QTest::newRow("channel closed again")
        << encodeFrame(1, ChannelClose{}) + encodeFrame(1, TxSelect{}) << u"a method on a closed channel"_s;
    QTest::newRow("consumer tag in use") << encodeFrame(1, BasicConsume{.consumerTag = "t"}).repeated(2)
                                         << u"basic.consume with a consumer tag in use"_s;
}

void tst_ScriptedPeer::recordsViolationsOfTheProtocol()
{
    QFETCH(QByteArray, bytes);
    QFETCH(QString, violation);
    ScriptedPeer peer;
    Client client(peer);
    client.logIn(4096);
    client.openChannel();
    client.write(bytes);
    QTRY_VERIFY(peer.violations().join(u'\n').contains(violation));
}

QTEST_GUILESS_MAIN(tst_ScriptedPeer)

#include "tst_scriptedpeer.moc"
