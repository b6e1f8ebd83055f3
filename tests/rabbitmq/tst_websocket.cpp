// SPDX-License-Identifier: MIT
#include "rabbitmq/exampleprograms.h"
#include "support/websocketrelay.h"

#include <QtNetwork/qtcpserver.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// The example that connects through a WebSocket.
class tst_WebSocket : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void itSendsAMessageToItself_data();
    void itSendsAMessageToItself();
    void subprotocolIsUsed();
    void relayThatDoesNotAcceptIsNamed_data();
    void relayThatDoesNotAcceptIsNamed();
    void lossOfTheRelayIsReported_data();
    void lossOfTheRelayIsReported();
    void relayWithoutABrokerIsReported();
    void refusalOfTheBrokerIsReported_data();
    void refusalOfTheBrokerIsReported();
    void unusableOptionsAreNamed_data();
    void unusableOptionsAreNamed();
};

namespace
{

std::unique_ptr<WebSocketRelay> relayToTheBroker(QWebSocketServer::SslMode mode = QWebSocketServer::NonSecureMode)
{
    const QUrl broker = brokerUrl();
    return std::make_unique<WebSocketRelay>(broker.host(), quint16(broker.port(5672)), mode);
}

ProcessResult runThrough(const QUrl &relay, const QStringList &arguments = {})
{
    return run(u"websocket"_s, QStringList{u"--relay"_s, relay.toString()} + arguments);
}

QStringList trustsTestCa()
{
    return {u"--authorities"_s, certificateFile(u"ca.pem"_s)};
}

// The program prints one line with these parts, and nothing else.
void verifyFailsWith(const QByteArrayList &parts, const ProcessResult &result)
{
    QCOMPARE(result.exitCode, 1);
    for (const QByteArray &part : parts)
        QVERIFY2(result.errors.contains(part), result.errors.constData());
    QVERIFY2(result.errors.indexOf('\n') == result.errors.size() - 1, result.errors.constData());
    QCOMPARE(result.output, QByteArray());
}

} // namespace

void tst_WebSocket::itSendsAMessageToItself_data()
{
    QTest::addColumn<QWebSocketServer::SslMode>("mode");
    QTest::addColumn<QStringList>("arguments");
    QTest::newRow("ws") << QWebSocketServer::NonSecureMode << QStringList();
    QTest::newRow("wss") << QWebSocketServer::SecureMode << trustsTestCa();
}

void tst_WebSocket::itSendsAMessageToItself()
{
    QFETCH(const QWebSocketServer::SslMode, mode);
    QFETCH(const QStringList, arguments);
    const auto relay = relayToTheBroker(mode);
    const ProcessResult result = runThrough(relay->url(), arguments);
    QCOMPARE(result.errors, QByteArray());
    QCOMPARE(result.exitCode, 0);
    QCOMPARE(result.output, "received through " + relay->url().toEncoded() + ": Hello, rabbit behind a WebSocket\n");
}

void tst_WebSocket::subprotocolIsUsed()
{
    const auto relay = relayToTheBroker();
    relay->setSupportedSubprotocols({u"binary"_s, u"amqp"_s});
    const ProcessResult result = runThrough(relay->url(), {u"--subprotocol"_s, u"amqp"_s});
    QCOMPARE(result.errors, QByteArray());
    QCOMPARE(result.exitCode, 0);
    QCOMPARE(relay->subprotocols(), QStringList{u"amqp"_s});
}

void tst_WebSocket::relayThatDoesNotAcceptIsNamed_data()
{
    QTest::addColumn<QString>("relay");
    QTest::addColumn<QByteArray>("reason");
    QTest::newRow("refused") << u"refused"_s << QByteArray("Connection refused");
    QTest::newRow("no WebSocket server") << u"http"_s << QByteArray("404");
    QTest::newRow("silent") << u"silent"_s << QByteArray("it does not answer");
    QTest::newRow("hangs up") << u"hang up"_s << QByteArray("closed");
    QTest::newRow("another scheme") << u"scheme"_s << QByteArray("http");
    QTest::newRow("unknown authority") << u"tls"_s << QByteArray("certificate");
}

void tst_WebSocket::relayThatDoesNotAcceptIsNamed()
{
    QFETCH(const QString, relay);
    QFETCH(const QByteArray, reason);
    QTcpServer server;
    QVERIFY(server.listen(QHostAddress::LocalHost));
    connect(&server, &QTcpServer::newConnection, this, [&] {
        QTcpSocket *client = server.nextPendingConnection();
        connect(client, &QTcpSocket::readyRead, client, [client, relay] {
            if (!client->peek(16 * 1024).contains("\r\n\r\n") || relay == u"silent")
                return;
            if (relay == u"http")
                client->write("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
            client->readAll();
            client->disconnectFromHost();
        });
    });
    const auto encrypted = relayToTheBroker(QWebSocketServer::SecureMode);
    QUrl url(u"ws://127.0.0.1/a?token=secret"_s);
    url.setPort(relay == u"refused" ? 1 : server.serverPort());
    if (relay == u"scheme")
        url.setScheme(u"http"_s);
    else if (relay == u"tls")
        url = encrypted->url();
    const QStringList arguments = relay == u"silent" ? QStringList{u"--timeout"_s, u"1"_s} : QStringList();
    const ProcessResult result = runThrough(url, arguments);
    const QByteArray start = "cannot connect to the relay " + url.toEncoded(QUrl::RemoveQuery) + ": ";
    verifyFailsWith({start, reason}, result);
    QVERIFY2(result.errors.startsWith(start), result.errors.constData());
    QVERIFY2(!result.errors.contains("secret"), result.errors.constData());
}

void tst_WebSocket::lossOfTheRelayIsReported_data()
{
    QTest::addColumn<qint64>("bytes"); // of the broker
    QTest::newRow("before the broker answers") << qint64(0);
    QTest::newRow("while the connection is opened") << qint64(10);
}

void tst_WebSocket::lossOfTheRelayIsReported()
{
    QFETCH(const qint64, bytes);
    const auto relay = relayToTheBroker();
    relay->closeAfter(bytes);
    const QByteArray device = "WebSocketDevice \"" + relay->url().toEncoded() + "\": ";
    verifyFailsWith({device, "1001, \"the relay is stopped\"", "Network"}, runThrough(relay->url()));
}

void tst_WebSocket::relayWithoutABrokerIsReported()
{
    const WebSocketRelay relay(u"127.0.0.1"_s, 1);
    const QByteArray device = "WebSocketDevice \"" + relay.url().toEncoded() + "\": ";
    verifyFailsWith({device, "1011, \"no broker: Connection refused\"", "Network"}, runThrough(relay.url()));
}

void tst_WebSocket::refusalOfTheBrokerIsReported_data()
{
    QTest::addColumn<QString>("url");
    QTest::addColumn<QByteArray>("reason");
    QTest::newRow("login") << u"amqp://nobody:mistaken@localhost"_s << QByteArray("ACCESS_REFUSED");
    QTest::newRow("virtual host") << u"amqp://localhost/no%20such%20host"_s << QByteArray("530");
}

void tst_WebSocket::refusalOfTheBrokerIsReported()
{
    QFETCH(const QString, url);
    QFETCH(const QByteArray, reason);
    const auto relay = relayToTheBroker();
    const ProcessResult result = runThrough(relay->url(), {u"--url"_s, url});
    verifyFailsWith({reason}, result);
    QVERIFY2(!result.errors.contains("mistaken"), result.errors.constData());
}

void tst_WebSocket::unusableOptionsAreNamed_data()
{
    QTest::addColumn<QStringList>("arguments");
    QTest::addColumn<QByteArray>("reason");
    QTest::newRow("file of the authorities")
        << QStringList{u"--authorities"_s, u"/nonexistent"_s} << QByteArray("there is no certificate in /nonexistent");
    QTest::newRow("URL") << QStringList{u"--url"_s, u"http://localhost"_s} << QByteArray("invalid URL");
    QTest::newRow("URL of the relay") << QStringList{u"--relay"_s, u"ws://["_s}
                                      << QByteArray("the URL of the relay is invalid");
}

void tst_WebSocket::unusableOptionsAreNamed()
{
    QFETCH(const QStringList, arguments);
    QFETCH(const QByteArray, reason);
    verifyFailsWith({reason}, run(u"websocket"_s, arguments));
}

QTEST_GUILESS_MAIN(tst_WebSocket)
#include "tst_websocket.moc"
