// SPDX-License-Identifier: MIT
#include "client/openingsupport.h"
#include "support/proxyserver.h"

#include <QtCore/qscopeguard.h>
#include <QtNetwork/qnetworkproxy.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

const QString Broker = u"broker.invalid"_s; // a name that nothing but the proxies of these tests can look up
const QString User = u"proxyuser"_s;
const QString Password = u"hunter2"_s;

ConnectionParameters through(const QNetworkProxy &proxy)
{
    ConnectionParameters parameters = to({{Broker, 5672}});
    parameters.setProxy(proxy);
    return parameters;
}

QString nameOf(ProxyServer::Kind kind)
{
    return kind == ProxyServer::Kind::Socks5 ? u"SOCKS5"_s : u"HTTP"_s;
}

void addKinds()
{
    QTest::addColumn<ProxyServer::Kind>("kind");
    QTest::newRow("SOCKS5") << ProxyServer::Kind::Socks5;
    QTest::newRow("HTTP") << ProxyServer::Kind::Http;
}

Error failureOf(const ConnectionParameters &parameters)
{
    Connection connection(parameters);
    const Reply<void> opened = connection.open();
    if (!waitUntil([&] { return opened.isFinished(); }))
        return Error(ErrorKind::Timeout, u"the attempt does not end"_s);
    return opened.result().error();
}

} // namespace

// Connections through SOCKS5 and HTTP proxies.
class tst_Proxies : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void messagesPassThroughTheProxy_data() { addKinds(); }
    void messagesPassThroughTheProxy();
    void proxyLooksUpTheName_data() { addKinds(); }
    void proxyLooksUpTheName();
    void proxyWithALoginIsUsed_data() { addKinds(); }
    void proxyWithALoginIsUsed();
    void rejectedLoginNamesTheProxy_data();
    void rejectedLoginNamesTheProxy();
    void unreachableProxyIsNamed_data() { addKinds(); }
    void unreachableProxyIsNamed();
    void refusedTargetIsNamed_data() { addKinds(); }
    void refusedTargetIsNamed();
    void silentProxyIsGivenUpInTime_data() { addKinds(); }
    void silentProxyIsGivenUpInTime();
    void bytesThatTheProxyDoesNotTakeAreCounted_data() { addKinds(); }
    void bytesThatTheProxyDoesNotTakeAreCounted();
    void closeSendsEverythingThroughTheProxy_data() { addKinds(); }
    void closeSendsEverythingThroughTheProxy();
    void lossOfTheProxyIsALossOfTheConnection_data() { addKinds(); }
    void lossOfTheProxyIsALossOfTheConnection();
    void proxyOfTheApplicationIsNotUsed();
};

void tst_Proxies::messagesPassThroughTheProxy()
{
    QFETCH(const ProxyServer::Kind, kind);
    ScriptedPeer peer;
    ProxyServer server(kind, peer.port());
    OpenClient client(through(server.proxy()));
    QCOMPARE(client.connection.currentEndpoint().host, Broker);
    QCOMPARE(peer.connectionCount(), 1);
    Consumer *consumer = client.consume();
    QByteArrayList arrived;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) { arrived += message.body(); });
    QByteArrayList bodies;
    for (int i = 0; i < 200; ++i)
        bodies += QByteArray(i % 10 ? i : 100'000, char('a' + i % 26));
    for (qsizetype i = 0; i < bodies.size(); ++i) {
        QVERIFY(client.channel->publish({}, u"q"_s, Message(bodies.at(i))) > 0);
        peer.deliver(1, "c1", quint64(i) + 1, bodies.at(i));
    }
    QVERIFY(waitUntil([&] { return arrived.size() == bodies.size() && peer.count("basic.publish") == 200; }));
    QCOMPARE(arrived, bodies);
    QByteArrayList published;
    for (const Command &command : peer.received("basic.publish"))
        published += command.body;
    QCOMPARE(published, bodies);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Proxies::proxyLooksUpTheName()
{
    QFETCH(const ProxyServer::Kind, kind);
    ScriptedPeer peer;
    ProxyServer server(kind, peer.port());
    OpenClient client(through(server.proxy()));
    QCOMPARE(server.targets(), QStringList{u"broker.invalid:5672"_s});
}

void tst_Proxies::proxyWithALoginIsUsed()
{
    QFETCH(const ProxyServer::Kind, kind);
    ScriptedPeer peer;
    ProxyServer server(kind, peer.port());
    server.requireLogin(User, Password);
    OpenClient client(through(server.proxy(User, Password)));
    QCOMPARE(server.targets().size(), 1);
}

void tst_Proxies::rejectedLoginNamesTheProxy_data()
{
    QTest::addColumn<ProxyServer::Kind>("kind");
    QTest::addColumn<QString>("user");
    QTest::newRow("SOCKS5, wrong password") << ProxyServer::Kind::Socks5 << User;
    QTest::newRow("HTTP, wrong password") << ProxyServer::Kind::Http << User;
    QTest::newRow("HTTP, no login") << ProxyServer::Kind::Http << QString();
}

void tst_Proxies::rejectedLoginNamesTheProxy()
{
    QFETCH(const ProxyServer::Kind, kind);
    QFETCH(const QString, user);
    ScriptedPeer peer;
    ProxyServer server(kind, peer.port());
    server.requireLogin(User, u"another"_s);
    const QNetworkProxy proxy = user.isEmpty() ? server.proxy() : server.proxy(user, Password);
    ConnectionParameters parameters = through(proxy);
    parameters.setCredentials(u"guest"_s, u"guest"_s);
    Connection connection(parameters);
    int requests = 0; // for the credentials at the broker, which has not refused them
    connect(&connection, &Connection::credentialsRequested, this, [&] { ++requests; });
    const Reply<void> opening = connection.open();
    QVERIFY(waitUntil([&] { return opening.isFinished(); }));
    const Error error = opening.result().error();
    QCOMPARE(requests, 0);
    const QString start =
        u"broker.invalid:5672 through the %1 proxy 127.0.0.1:%2: "_s.arg(nameOf(kind)).arg(server.serverPort());
    QVERIFY2(error.text().startsWith(start), qPrintable(error.text()));
    QVERIFY2(error.text().contains(u"auth"_s, Qt::CaseInsensitive), qPrintable(error.text()));
    QCOMPARE(error.kind(), ErrorKind::Authentication);
    QVERIFY(!error.toString().contains(Password));
    QCOMPARE(server.targets(), QStringList());
    QCOMPARE(peer.connectionCount(), 0);
}

void tst_Proxies::unreachableProxyIsNamed()
{
    QFETCH(const ProxyServer::Kind, kind);
    const auto type = kind == ProxyServer::Kind::Socks5 ? QNetworkProxy::Socks5Proxy : QNetworkProxy::HttpProxy;
    const Error error = failureOf(through(QNetworkProxy(type, u"127.0.0.1"_s, closedPort().port, User, Password)));
    const QString start = u"broker.invalid:5672 through the %1 proxy 127.0.0.1:1: "_s.arg(nameOf(kind));
    QVERIFY2(error.text().startsWith(start), qPrintable(error.text()));
    QVERIFY2(error.text().sliced(start.size()).contains(u"proxy"_s, Qt::CaseInsensitive), qPrintable(error.text()));
    QCOMPARE(error.kind(), ErrorKind::Network);
    QVERIFY(!error.toString().contains(Password));
}

void tst_Proxies::refusedTargetIsNamed()
{
    QFETCH(const ProxyServer::Kind, kind);
    ScriptedPeer peer;
    ProxyServer server(kind, peer.port());
    server.refuseTargets();
    const Error error = failureOf(through(server.proxy()));
    const QString start =
        u"broker.invalid:5672 through the %1 proxy 127.0.0.1:%2: "_s.arg(nameOf(kind)).arg(server.serverPort());
    QVERIFY2(error.text().startsWith(start), qPrintable(error.text()));
    QVERIFY2(error.text().sliced(start.size()).contains(u"refused"_s), qPrintable(error.text()));
    QCOMPARE(error.kind(), ErrorKind::Network);
    QCOMPARE(server.targets().size(), 1);
}

void tst_Proxies::silentProxyIsGivenUpInTime()
{
    QFETCH(const ProxyServer::Kind, kind);
    QTcpServer silent;
    QVERIFY(silent.listen(QHostAddress::LocalHost));
    const auto type = kind == ProxyServer::Kind::Socks5 ? QNetworkProxy::Socks5Proxy : QNetworkProxy::HttpProxy;
    ConnectionParameters parameters = through(QNetworkProxy(type, u"127.0.0.1"_s, silent.serverPort()));
    parameters.setConnectTimeout(50ms);
    QCOMPARE(failureOf(parameters).kind(), ErrorKind::Timeout);
}

// The socket to the proxy must not buffer bytes that are not counted.
void tst_Proxies::bytesThatTheProxyDoesNotTakeAreCounted()
{
    QFETCH(const ProxyServer::Kind, kind);
    ScriptedPeer peer;
    ProxyServer server(kind, peer.port());
    ConnectionParameters parameters = through(server.proxy());
    constexpr qint64 HighWatermark = 1024 * 1024;
    parameters.setWriteBuffer(0, HighWatermark, 64 * HighWatermark);
    OpenClient client(parameters);
    peer.setReading(false);
    constexpr qint64 Size = 64 * 1024;
    constexpr qint64 KernelBuffers = 64 * HighWatermark; // more than the sockets of peer and proxy can take
    qint64 published = 0;
    while (client.connection.isWritable() && published < KernelBuffers) {
        QVERIFY(client.channel->publish({}, u"q"_s, Message(QByteArray(Size, 'x'))) > 0);
        published += Size;
        QCoreApplication::processEvents();
    }
    QVERIFY(!client.connection.isWritable());
    QVERIFY(client.connection.bytesToWrite() >= HighWatermark);
    peer.setReading(true);
    QVERIFY(waitUntil([&] { return client.connection.isWritable() && client.connection.bytesToWrite() == 0; }));
    QVERIFY(waitUntil([&] { return peer.count("basic.publish") == int(published / Size); }));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Proxies::closeSendsEverythingThroughTheProxy()
{
    QFETCH(const ProxyServer::Kind, kind);
    ScriptedPeer peer;
    ProxyServer server(kind, peer.port());
    OpenClient client(through(server.proxy()));
    for (int i = 0; i < 50; ++i)
        QVERIFY(client.channel->publish({}, u"q"_s, Message(QByteArray(64 * 1024, 'x'))) > 0);
    const Reply<void> closed = client.connection.close();
    QVERIFY(waitUntil([&] { return closed.isFinished(); }));
    QVERIFY2(closed.result(), qPrintable(closed.result().error().toString()));
    QCOMPARE(peer.count("basic.publish"), 50);
    QVERIFY(waitUntil([&] { return !peer.isConnected(); }));
}

void tst_Proxies::lossOfTheProxyIsALossOfTheConnection()
{
    QFETCH(const ProxyServer::Kind, kind);
    ScriptedPeer peer;
    auto server = std::make_unique<ProxyServer>(kind, peer.port());
    OpenClient client(through(server->proxy()));
    SignalLog log;
    log.watch(&client.connection);
    server.reset();
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed Network"_s); }));
    QVERIFY2(client.connection.error().text().startsWith(u"broker.invalid:5672 through the "_s),
             qPrintable(client.connection.error().text()));
}

void tst_Proxies::proxyOfTheApplicationIsNotUsed()
{
    const auto restore =
        qScopeGuard([before = QNetworkProxy::applicationProxy()] { QNetworkProxy::setApplicationProxy(before); });
    QNetworkProxy::setApplicationProxy(QNetworkProxy(QNetworkProxy::Socks5Proxy, u"127.0.0.1"_s, closedPort().port));
    ScriptedPeer peer;
    Connection connection(parametersOf(peer));
    const Reply<void> opened = connection.open();
    QVERIFY(waitUntil([&] { return opened.isFinished(); }));
    QVERIFY2(opened.result(), qPrintable(opened.result().error().toString()));
}

QTEST_GUILESS_MAIN(tst_Proxies)
#include "tst_proxies.moc"
