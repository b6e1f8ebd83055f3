// SPDX-License-Identifier: MIT

// What arrives at the broker when a connection ends that has not read everything, over each kind of transport.

#include "support/proxyserver.h"
#include "tlssupport.h"

#include <QtCore/qprocess.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

constexpr int Publishes = 30;
constexpr qsizetype LargeBody = 100'000; // the kernel's buffers cannot hold all publishes

// A connection to a peer that leaves closing the socket to the client, as RabbitMQ does.
class Way
{
public:
    Way(bool isEncrypted, std::optional<ProxyServer::Kind> proxyKind)
    {
        peer.stayOpen();
        if (isEncrypted)
            peer.setTls(TlsSettings());
        parameters = isEncrypted ? trusting(u"ca"_s, tlsEndpointOf(peer)) : withoutRecovery(peer);
        if (proxyKind) {
            proxy.emplace(*proxyKind, peer.port());
            parameters.setProxy(proxy->proxy());
        }
        parameters.setCloseTimeout(24h);
    }
    void open() { client = std::make_unique<OpenClient>(parameters); }
    void publish() const
    {
        for (int i = 0; i < Publishes; ++i)
            client->channel->publish({}, u"q"_s, Message(QByteArray(LargeBody, 'a')));
    }
    bool isClosed()
    {
        return waitUntil([this] { return !peer.isConnected(); }, 60s);
    }
    static QByteArray largeDeliveries() { return deliveries("c1", 2, QByteArrayList(100, QByteArray(LargeBody, 'b'))); }

    ScriptedPeer peer;
    std::optional<ProxyServer> proxy;
    ConnectionParameters parameters;
    std::unique_ptr<OpenClient> client;
};

void addWays()
{
    QTest::addColumn<bool>("isEncrypted");
    QTest::addColumn<std::optional<ProxyServer::Kind>>("proxyKind");
    for (const bool isEncrypted : {false, true}) {
        const auto add = [&](const char *name, std::optional<ProxyServer::Kind> proxyKind) {
            QTest::addRow("%s%s", isEncrypted ? "TLS" : "TCP", name) << isEncrypted << proxyKind;
        };
        add("", std::nullopt);
        add(" through SOCKS5", ProxyServer::Kind::Socks5);
        add(" through HTTP", ProxyServer::Kind::Http);
    }
}

} // namespace

class tst_Departing : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void deletedConnectionSendsEverything_data() { addWays(); }
    void deletedConnectionSendsEverything();
    void idleConnectionIsClosedAfterCloseOk_data() { addWays(); }
    void idleConnectionIsClosedAfterCloseOk();
    void protocolViolationIsReportedToAPeerThatSends_data() { addWays(); }
    void protocolViolationIsReportedToAPeerThatSends();
    void threadMayEndAfterTheDeletion_data() { addWays(); }
    void threadMayEndAfterTheDeletion();
    void applicationMayEndAfterTheDeletion_data();
    void applicationMayEndAfterTheDeletion();
};

void tst_Departing::deletedConnectionSendsEverything()
{
    QFETCH(const bool, isEncrypted);
    QFETCH(const std::optional<ProxyServer::Kind>, proxyKind);
    Way way(isEncrypted, proxyKind);
    way.open();
    Consumer *consumer = way.client->consume();
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) {
        message.ack();
        way.publish();
        way.client.reset();
    });
    way.peer.setReading(false);
    way.peer.sendRaw(deliveries("c1", 1, {"m"}) + Way::largeDeliveries());
    QVERIFY(waitUntil([&] { return !way.client; }));
    settleEvents();
    way.peer.setReading(true);
    QVERIFY(way.isClosed());
    QCOMPARE(way.peer.count("basic.ack"), 1);
    QCOMPARE(way.peer.count("basic.publish"), Publishes);
    QCOMPARE(way.peer.count("connection.close"), 1);
    QCOMPARE(way.peer.violations(), QStringList());
}

void tst_Departing::idleConnectionIsClosedAfterCloseOk()
{
    QFETCH(const bool, isEncrypted);
    QFETCH(const std::optional<ProxyServer::Kind>, proxyKind);
    Way way(isEncrypted, proxyKind);
    way.open();
    way.client.reset();
    QVERIFY(way.isClosed());
    QCOMPARE(way.peer.count("connection.close"), 1);
    if (isEncrypted) // by close_notify
        QVERIFY(way.peer.socketErrors().contains(u"The TLS/SSL connection has been closed"_s));
}

void tst_Departing::protocolViolationIsReportedToAPeerThatSends()
{
    QFETCH(const bool, isEncrypted);
    QFETCH(const std::optional<ProxyServer::Kind>, proxyKind);
    Way way(isEncrypted, proxyKind);
    way.open();
    way.client->consume();
    connect(&way.client->connection, &Connection::closed, this, [&] { way.client.reset(); });
    way.peer.setReading(false);
    way.publish();
    way.peer.sendRaw(Wire::encodeFrame(1, Wire::BasicConsumeOk{.consumerTag = "unknown"}) + Way::largeDeliveries());
    QVERIFY(waitUntil([&] { return !way.client; }));
    settleEvents();
    way.peer.setReading(true);
    QVERIFY(way.isClosed());
    QCOMPARE(way.peer.count("basic.publish"), Publishes);
    QCOMPARE(way.peer.last("connection.close").as<Wire::ConnectionClose>().replyCode, quint16(503));
    QCOMPARE(way.peer.violations(), QStringList());
}

// Without an event loop only the bytes that the kernel accepts at once are sent. A proxy gets none.
void tst_Departing::threadMayEndAfterTheDeletion()
{
    QFETCH(const bool, isEncrypted);
    QFETCH(const std::optional<ProxyServer::Kind>, proxyKind);
    Way way(isEncrypted, proxyKind);
    const std::unique_ptr<QThread> thread(QThread::create([&] {
        OpenClient client(way.parameters);
        client.channel->publish({}, u"q"_s, Message("last"));
    }));
    thread->start();
    QVERIFY(waitUntil([&] { return way.peer.connectionCount() == 1; }));
    QVERIFY(way.isClosed());
    QVERIFY(thread->wait());
    if (proxyKind)
        return;
    QCOMPARE(way.peer.count("basic.publish"), 1);
    QCOMPARE(way.peer.count("connection.close"), 1);
}

void tst_Departing::applicationMayEndAfterTheDeletion_data()
{
    QTest::addColumn<bool>("isEncrypted");
    QTest::newRow("TCP") << false;
    QTest::newRow("TLS") << true;
}

// The last connections leave while QCoreApplication is being destroyed.
void tst_Departing::applicationMayEndAfterTheDeletion()
{
    QFETCH(const bool, isEncrypted);
    ScriptedPeer peer;
    peer.stayOpen();
    QStringList arguments{u"--publish"_s, QString::number(peer.port())};
    if (isEncrypted) {
        peer.setTls(TlsSettings());
        arguments += certificateFile(u"ca.pem"_s);
    }
    QProcess program;
    program.start(QCoreApplication::applicationFilePath(), arguments);
    QVERIFY(waitUntil([&] { return program.state() == QProcess::NotRunning; }, 60s));
    QCOMPARE(QString::fromUtf8(program.readAllStandardError()), QString());
    QCOMPARE(program.exitCode(), 0);
    QVERIFY(waitUntil([&] { return !peer.isConnected(); }, 60s));
    QCOMPARE(peer.count("basic.publish"), 1);
    QCOMPARE(peer.count("connection.close"), 1);
    QCOMPARE(peer.violations(), QStringList());
}

// Publishes a message to the broker at a port, over TLS if a certificate authority is given, and ends.
static int publishAndEnd(int argc, char *argv[])
{
    const QCoreApplication application(argc, argv);
    const QStringList arguments = QCoreApplication::arguments();
    Endpoint endpoint{u"127.0.0.1"_s, arguments.at(2).toUShort(), false, u"localhost"_s};
    ConnectionParameters parameters;
    if (arguments.size() > 3) {
        endpoint.encrypted = true;
        parameters.trustOnly(arguments.at(3));
    }
    parameters.setEndpoints({endpoint});
    OpenClient client(parameters);
    client.channel->publish({}, u"q"_s, Message("last"));
    return 0;
}

int main(int argc, char *argv[])
{
    if (argc > 2 && QByteArrayView(argv[1]) == "--publish")
        return publishAndEnd(argc, argv);
    const QCoreApplication application(argc, argv);
    tst_Departing test;
    QTEST_SET_MAIN_SOURCE_PATH
    return QTest::qExec(&test, argc, argv);
}

#include "tst_departing.moc"
