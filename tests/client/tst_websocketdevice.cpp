// SPDX-License-Identifier: MIT
#include "../examples/websocket/websocketdevice.h"
#include "client/clientsupport.h"
#include "support/devicerelay.h"
#include "support/websocketrelay.h"

#include <QtCore/qrandom.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

QByteArray randomBytes(qsizetype size)
{
    QRandomGenerator random{quint32(size)};
    QByteArray bytes(size, Qt::Uninitialized);
    for (char &byte : bytes)
        byte = char(random.generate());
    return bytes;
}

// Passes a TCP connection on to a port on loopback, except while it is closed.
class Gate : public QTcpServer
{
public:
    explicit Gate(quint16 port)
    {
        listen(QHostAddress::LocalHost);
        connect(this, &QTcpServer::newConnection, this, [this, port] {
            QTcpSocket *client = nextPendingConnection();
            client->setReadBufferSize(64 * 1024); // so that it waits, too
            relay = std::make_unique<DeviceRelay>(client, port);
        });
    }

    std::unique_ptr<DeviceRelay> relay;
};

// A device that is connected to a WebSocket of the test.
class ConnectedDevice
{
public:
    explicit ConnectedDevice(QWebSocketServer::SslMode mode = QWebSocketServer::NonSecureMode)
        : m_server(mode)
        , gate(m_server.serverPort())
    {
        auto *socket = new QWebSocket;
        QSslConfiguration configuration = socket->sslConfiguration();
        configuration.setCaCertificates({readCertificate(u"ca"_s)});
        socket->setSslConfiguration(configuration);
        QUrl url = m_server.url();
        url.setPort(gate.serverPort());
        socket->open(url);
        const bool connected = waitUntil(
            [&] { return socket->state() == QAbstractSocket::ConnectedState && m_server.hasPendingConnections(); });
        if (!connected)
            qFatal("the WebSocket is not connected: %s", qPrintable(socket->errorString()));
        peer.reset(m_server.nextPendingConnection());
        QObject::connect(peer.get(), &QWebSocket::binaryMessageReceived, peer.get(),
                         [this](const QByteArray &message) { arrived += message; });
        device = std::make_unique<WebSocketDevice>(socket);
        ended.emplace(device.get(), &QIODevice::readChannelFinished);
    }

private:
    LocalWebSocketServer m_server;

public:
    Gate gate; // between the two
    std::unique_ptr<QWebSocket> peer;
    QByteArray arrived; // at the peer
    std::unique_ptr<WebSocketDevice> device;
    std::optional<QSignalSpy> ended;
};

void addModes()
{
    QTest::addColumn<QWebSocketServer::SslMode>("mode");
    QTest::newRow("ws") << QWebSocketServer::NonSecureMode;
    QTest::newRow("wss") << QWebSocketServer::SecureMode;
}

std::unique_ptr<WebSocketDevice> deviceTo(const QUrl &url)
{
    auto *socket = new QWebSocket;
    socket->open(url);
    if (!waitUntil([&] { return socket->state() == QAbstractSocket::ConnectedState; }))
        qFatal("the WebSocket is not connected: %s", qPrintable(socket->errorString()));
    auto device = std::make_unique<WebSocketDevice>(socket);
    device->setObjectName(u"relay"_s);
    return device;
}

} // namespace

// The adapter of the example websocket.
class tst_WebSocketDevice : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void bytesPassInBothDirections_data() { addModes(); }
    void bytesPassInBothDirections();
    void peerThatDoesNotReadIsWaitedFor_data() { addModes(); }
    void peerThatDoesNotReadIsWaitedFor();
    void unreadBytesAreLimited();
    void messageAboveTheReadLimitEndsTheDevice();
    void endIsReportedWithItsReason_data();
    void endIsReportedWithItsReason();
    void closeEndsTheWebSocket();
    void deletionEndsTheWebSocket();
    void deviceOfAnUnconnectedSocketIsNotOpen();
    void connectionPassesThroughAWebSocket();
    void connectionReportsWhyTheRelayHasClosed();
};

void tst_WebSocketDevice::bytesPassInBothDirections()
{
    QFETCH(const QWebSocketServer::SslMode, mode);
    ConnectedDevice client(mode);
    QVERIFY(client.device->isOpen());
    QVERIFY(client.device->isSequential());
    const QByteArray toPeer = randomBytes(300'000);
    const QByteArray fromPeer = randomBytes(200'000);
    client.peer->sendBinaryMessage(fromPeer.first(70'000));
    client.peer->sendBinaryMessage({});
    client.peer->sendBinaryMessage(fromPeer.sliced(70'000));
    QSignalSpy written(client.device.get(), &QIODevice::bytesWritten);
    QByteArray read;
    qsizetype sent = 0;
    QVERIFY(waitUntil([&] {
        sent += client.device->write(toPeer.sliced(sent, std::min<qsizetype>(7777, toPeer.size() - sent)));
        read += client.device->read(5555); // less than has arrived
        QMetaObject::invokeMethod(
            this, [] {}, Qt::QueuedConnection); // the rest is read without another signal
        return client.arrived.size() == toPeer.size() && read.size() == fromPeer.size();
    }));
    QCOMPARE(client.arrived, toPeer);
    QCOMPARE(read, fromPeer);
    QCOMPARE(client.device->bytesAvailable(), 0);
    QCOMPARE(client.device->bytesToWrite(), 0);
    QVERIFY(!written.isEmpty());
    QCOMPARE(client.ended->size(), 0);
}

void tst_WebSocketDevice::peerThatDoesNotReadIsWaitedFor()
{
    QFETCH(const QWebSocketServer::SslMode, mode);
    ConnectedDevice client(mode);
    client.gate.relay->setReading(false);
    constexpr qsizetype KernelBuffers = 32 * 1024 * 1024; // more than the sockets can take
    const QByteArray block = randomBytes(64 * 1024);
    QByteArray sent;
    int waits = 0; // without any progress
    while (waits < 1000 && sent.size() < KernelBuffers) {
        const qint64 taken = client.device->write(block);
        QVERIFY(taken >= 0);
        sent += block.first(taken);
        waits = taken > 0 ? 0 : waits + 1;
        QCoreApplication::processEvents();
    }
    QVERIFY(sent.size() < KernelBuffers);
    QVERIFY(client.device->bytesToWrite() >= WebSocketDevice::WriteLimit);
    QVERIFY(client.device->bytesToWrite() < WebSocketDevice::WriteLimit + 32 * 1024); // frames and TLS have headers

    QSignalSpy written(client.device.get(), &QIODevice::bytesWritten);
    client.gate.relay->setReading(true);
    QVERIFY(waitUntil([&] { return !written.isEmpty() && client.device->bytesToWrite() == 0; }));
    const QByteArray last = randomBytes(1000);
    QCOMPARE(client.device->write(last), last.size());
    sent += last;
    QVERIFY(waitUntil([&] { return client.arrived.size() == sent.size(); }));
    QCOMPARE(client.arrived, sent);
}

void tst_WebSocketDevice::unreadBytesAreLimited()
{
    ConnectedDevice client;
    client.device->setReadLimit(100'000);
    QCOMPARE(client.device->readLimit(), 100'000);
    const QByteArray message = randomBytes(60'000);
    for (int i = 0; i < 3; ++i) { // as long as they are read, there may be any number
        client.peer->sendBinaryMessage(message);
        QVERIFY(waitUntil([&] { return client.device->bytesAvailable() == message.size(); }));
        QCOMPARE(client.device->readAll(), message);
    }
    for (int i = 0; i < 3; ++i)
        client.peer->sendBinaryMessage(message);
    QSignalSpy closed(client.peer.get(), &QWebSocket::disconnected);
    QVERIFY(waitUntil([&] { return closed.size() == 1; }));
    QCOMPARE(client.peer->closeCode(), QWebSocketProtocol::CloseCodeTooMuchData);
    QCOMPARE(client.ended->size(), 1);
    QVERIFY2(client.device->errorString().startsWith(u"more than 100000 bytes are unread"_s),
             qPrintable(client.device->errorString()));
    QCOMPARE(client.device->readAll(), message);
    char byte = 0;
    QCOMPARE(client.device->read(&byte, 1), -1);
}

void tst_WebSocketDevice::messageAboveTheReadLimitEndsTheDevice()
{
    ConnectedDevice client;
    client.device->setReadLimit(100'000);
    client.peer->sendBinaryMessage(QByteArray(100'000, 'x'));
    QVERIFY(waitUntil([&] { return client.device->bytesAvailable() == 100'000; }));
    client.device->readAll();
    client.peer->sendBinaryMessage(QByteArray(100'001, 'x'));
    QVERIFY(waitUntil([&] { return client.ended->size() == 1; }));
    QVERIFY2(client.device->errorString().startsWith(u"the WebSocket was closed with code 1009, "_s),
             qPrintable(client.device->errorString()));
    QCOMPARE(client.device->bytesAvailable(), 0);
}

void tst_WebSocketDevice::endIsReportedWithItsReason_data()
{
    QTest::addColumn<QString>("end");
    QTest::addColumn<QString>("reason");
    QTest::newRow("close") << u"close"_s << u"the WebSocket was closed with code 1000"_s;
    QTest::newRow("close with a reason") << u"reason"_s << u"the WebSocket was closed with code 1011, \"no broker\""_s;
    QTest::newRow("loss of the TCP connection") << u"loss"_s << u"The remote host closed the connection"_s;
    QTest::newRow("text message") << u"text"_s << u"the peer has sent a text message; AMQP needs binary messages"_s;
}

void tst_WebSocketDevice::endIsReportedWithItsReason()
{
    QFETCH(const QString, end);
    ConnectedDevice client;
    client.peer->sendBinaryMessage("last words");
    if (end == u"close") {
        client.peer->close();
    } else if (end == u"reason") {
        client.peer->close(QWebSocketProtocol::CloseCodeBadOperation, u"no broker"_s);
    } else if (end == u"text") {
        client.peer->sendTextMessage(u"hello"_s);
        client.peer->sendBinaryMessage("more");
    } else {
        QVERIFY(waitUntil([&] { return client.device->bytesAvailable() > 0; }));
        client.gate.relay.reset();
    }
    QVERIFY(waitUntil([&] { return client.ended->size() == 1; }));
    QTEST(client.device->errorString(), "reason");
    QVERIFY(waitUntil([&] { return client.peer->state() == QAbstractSocket::UnconnectedState; }));
    settleEvents();
    QCOMPARE(client.ended->size(), 1);
    QTEST(client.device->errorString(), "reason");
    QCOMPARE(client.device->write("too late"), -1);
    QCOMPARE(client.device->readAll(), "last words");
    char byte = 0;
    QCOMPARE(client.device->read(&byte, 1), -1);
}

void tst_WebSocketDevice::closeEndsTheWebSocket()
{
    ConnectedDevice client;
    QSignalSpy closing(client.device.get(), &QIODevice::aboutToClose);
    client.device->write("last words");
    client.device->close();
    QCOMPARE(closing.size(), 1);
    QVERIFY(!client.device->isOpen());
    QVERIFY(waitUntil([&] { return client.peer->state() == QAbstractSocket::UnconnectedState; }));
    settleEvents();
    QCOMPARE(client.peer->closeCode(), QWebSocketProtocol::CloseCodeNormal);
    QCOMPARE(client.arrived, "last words");
    QCOMPARE(client.ended->size(), 0);
}

void tst_WebSocketDevice::deletionEndsTheWebSocket()
{
    ConnectedDevice client;
    client.device.reset();
    QVERIFY(waitUntil([&] { return client.peer->state() == QAbstractSocket::UnconnectedState; }));
    QCOMPARE(client.peer->closeCode(), QWebSocketProtocol::CloseCodeGoingAway);
}

void tst_WebSocketDevice::deviceOfAnUnconnectedSocketIsNotOpen()
{
    const WebSocketDevice device(new QWebSocket);
    QVERIFY(!device.isOpen());
}

void tst_WebSocketDevice::connectionPassesThroughAWebSocket()
{
    ScriptedPeer peer;
    WebSocketRelay relay(u"127.0.0.1"_s, peer.port());
    Connection connection;
    Channel *channel = connection.createChannel();
    connection.openOn(deviceTo(relay.url()));
    QVERIFY(waitUntil([&] { return channel->isOpen(); }));
    ConsumeOptions options;
    options.consumerTag = u"c1"_s;
    Consumer *consumer = channel->consume(u"q"_s, options);
    QVERIFY(waitUntil([&] { return consumer->state() == Consumer::State::Active; }));
    QByteArrayList arrived;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) { arrived += message.body(); });
    QByteArrayList bodies;
    for (int i = 0; i < 40; ++i)
        bodies += randomBytes(i % 10 ? i : 500'000);
    for (qsizetype i = 0; i < bodies.size(); ++i) {
        QVERIFY(channel->publish({}, u"q"_s, Message(bodies.at(i))) > 0);
        peer.deliver(1, "c1", quint64(i) + 1, bodies.at(i));
    }
    QVERIFY(waitUntil([&] { return arrived.size() == bodies.size(); }));
    QCOMPARE(arrived, bodies);
    const Reply<void> closed = connection.close();
    QVERIFY(waitUntil([&] { return closed.isFinished(); }));
    QVERIFY2(closed.result(), qPrintable(closed.result().error().toString()));
    QByteArrayList published;
    for (const Command &command : peer.received("basic.publish"))
        published += command.body;
    QCOMPARE(published, bodies);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_WebSocketDevice::connectionReportsWhyTheRelayHasClosed()
{
    ScriptedPeer peer;
    WebSocketRelay relay(u"127.0.0.1"_s, peer.port());
    Connection connection;
    connection.openOn(deviceTo(relay.url()));
    QVERIFY(waitUntil([&] { return connection.isOpen(); }));
    peer.dropConnection();
    QVERIFY(waitUntil([&] { return connection.state() == Connection::State::Closed; }));
    QCOMPARE(connection.error().kind(), ErrorKind::Network);
    const QString start =
        u"WebSocketDevice \"relay\": the stream has ended: the WebSocket was closed with code 1011, \"no broker: "_s;
    QVERIFY2(connection.error().text().startsWith(start), qPrintable(connection.error().text()));
}

QTEST_GUILESS_MAIN(tst_WebSocketDevice)
#include "tst_websocketdevice.moc"
