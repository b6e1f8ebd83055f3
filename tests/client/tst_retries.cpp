// SPDX-License-Identifier: MIT
#include "client/memoryclient.h"

#include <QtCore/qset.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

const QString First = u"127.0.0.1"_s;
const QString Second = u"127.0.0.2"_s;
const Error Unreachable(ErrorKind::Network, u"unreachable"_s);

ConnectionParameters withPasses(int attempts, std::chrono::milliseconds delay)
{
    ConnectionParameters parameters = withEndpoints({First, Second});
    parameters.setConnectionAttempts(attempts);
    parameters.setRetryDelay(delay);
    return parameters;
}

// Lets this many endpoints fail one after the other; returns their hosts.
QStringList failEndpoints(Client &client, size_t count)
{
    QStringList hosts;
    const size_t already = client.brokers.size() - 1; // the first one was made by open()
    for (size_t i = 0; i < count; ++i) {
        if (!waitUntil([&] { return client.brokers.size() == already + i + 1; }))
            return hosts;
        hosts += client.broker().transport->address().host;
        client.broker().transport->fail(Unreachable);
    }
    return hosts;
}

// Opens the connection and waits until it waits for its second pass, which will not come.
[[nodiscard]] bool waitsForSecondPass(Client &client)
{
    failEndpoints(client, 2);
    return waitUntil([&] { return !client.broker().transport; }) && client.brokers.size() == 2 &&
           client.connection.state() == Connection::State::Connecting;
}

constexpr std::chrono::milliseconds Never = 24h;

} // namespace

// Several passes over the endpoints, and their order.
class tst_Retries : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void passesFollowUntilAnEndpointAnswers();
    void theLastPassEndsTheAttempt();
    void oneOpenMakesOnePassByDefault();
    void errorsThatLastEndThePasses_data();
    void errorsThatLastEndThePasses();
    void endStopsTheWaitForTheNextPass_data();
    void endStopsTheWaitForTheNextPass();
    void deletionStopsTheWaitForTheNextPass();
    void openDuringTheWaitReturnsItsReply();
    void callsDuringTheWaitAreSentLater();
    void canOpenAgainAfterTheWaitWasStopped();
    void brokerThatComesUpLateIsReached();
    void shuffledPassesVisitAllEndpoints();
    void theGeneratorDecidesAboutTheOrder();
    void endpointsStayInOrderByDefault();
};

void tst_Retries::passesFollowUntilAnEndpointAnswers()
{
    Client client(withPasses(3, 1ms));
    const Reply<void> opened = client.connection.open();
    QCOMPARE(failEndpoints(client, 5), QStringList({First, Second, First, Second, First}));
    QVERIFY(waitUntil([&] { return client.brokers.size() == 6; }));
    client.broker().transport->accept();
    QVERIFY(waitUntil([&] { return client.connection.isOpen(); }));
    settleEvents();
    QVERIFY(opened.result());
    QCOMPARE(client.connection.currentEndpoint().host, Second);
    client.log.entries.removeIf(comesOncePerTurn);
    QCOMPARE(client.log.entries,
             QStringList({u"connection.stateChanged Connecting"_s, u"connection.stateChanged Handshaking"_s,
                          u"connection.stateChanged Open"_s, u"connection.opened"_s}));
}

void tst_Retries::theLastPassEndsTheAttempt()
{
    Client client(withPasses(2, 1ms));
    const Reply<void> opened = client.connection.open();
    QCOMPARE(failEndpoints(client, 4).size(), 4);
    QVERIFY(waitUntil([&] { return opened.isFinished(); }));
    settleEvents();
    QCOMPARE(opened.result().error(), Unreachable);
    QCOMPARE(client.brokers.size(), 4u);
    client.log.entries.removeIf(comesOncePerTurn);
    QCOMPARE(client.log.entries,
             QStringList({u"connection.stateChanged Connecting"_s, u"connection.errorOccurred Network"_s,
                          u"connection.stateChanged Closed"_s, u"connection.closed Network"_s}));
}

void tst_Retries::oneOpenMakesOnePassByDefault()
{
    Client client(withEndpoints({First, Second}));
    const Reply<void> opened = client.connection.open();
    QCOMPARE(failEndpoints(client, 2).size(), 2);
    QVERIFY(waitUntil([&] { return opened.isFinished(); }));
    QCOMPARE(opened.result().error(), Unreachable);
    QCOMPARE(client.brokers.size(), 2u);
}

void tst_Retries::errorsThatLastEndThePasses_data()
{
    QTest::addColumn<QString>("cause");
    QTest::addColumn<QString>("error");
    QTest::newRow("TLS") << u"tls"_s << u"Tls"_s;
    QTest::newRow("the proxy rejects the login") << u"proxy"_s << u"Authentication"_s;
    QTest::newRow("the broker rejects the login") << u"403"_s << u"Authentication 403"_s;
    QTest::newRow("no such virtual host") << u"530"_s << u"ConnectionClosed 530"_s;
}

void tst_Retries::errorsThatLastEndThePasses()
{
    QFETCH(const QString, cause);
    QFETCH(const QString, error);
    Client client(withPasses(3, 1ms));
    const Reply<void> opened = client.connection.open();
    if (cause == u"tls") {
        client.broker().transport->fail(Error(ErrorKind::Tls, u"wrong host"_s));
    } else if (cause == u"proxy") {
        client.broker().transport->fail(Error(ErrorKind::Authentication, u"rejected"_s));
    } else {
        client.broker().answers = false;
        client.broker().transport->accept();
        QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Handshaking; }));
        client.broker().send(Wire::ConnectionClose{.replyCode = cause.toUShort(), .replyText = "no"});
    }
    QVERIFY(waitUntil([&] { return opened.isFinished(); }));
    QCOMPARE(brief(opened.result().error()), error);
    settleEvents();
    QCOMPARE(client.brokers.size(), 1u);
}

void tst_Retries::endStopsTheWaitForTheNextPass_data()
{
    QTest::addColumn<bool>("aborts");
    QTest::newRow("close") << false;
    QTest::newRow("abort") << true;
}

void tst_Retries::endStopsTheWaitForTheNextPass()
{
    QFETCH(const bool, aborts);
    Client client(withPasses(2, Never));
    Channel *channel = client.connection.createChannel();
    client.log.watch(channel->declareQueue(u"q"_s), u"declareQueue"_s);
    client.log.watch(client.connection.open(), u"open"_s);
    QVERIFY(waitsForSecondPass(client));
    if (aborts)
        client.connection.abort();
    else
        client.log.watch(client.connection.close(), u"close"_s);
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
    settleEvents();
    QVERIFY(client.log.has(u"reply.open Cancelled"_s));
    QVERIFY(client.log.has(u"reply.declareQueue Cancelled"_s));
    QCOMPARE(client.log.countOf(u"reply.close ok"_s), aborts ? 0 : 1);
    QCOMPARE(client.log.ended.size(), client.log.replies.size());
    QCOMPARE(client.log.entries.last(), u"connection.closed ok"_s);
    QCOMPARE(client.brokers.size(), 2u);
}

void tst_Retries::deletionStopsTheWaitForTheNextPass()
{
    auto client = std::make_unique<Client>(withPasses(2, Never));
    const QFuture<Result<void>> opened = client->connection.open().toFuture();
    QVERIFY(waitsForSecondPass(*client));
    client.reset();
    QVERIFY(opened.isFinished());
    QCOMPARE(opened.result().error().kind(), ErrorKind::Cancelled);
}

void tst_Retries::openDuringTheWaitReturnsItsReply()
{
    Client client(withPasses(2, Never));
    client.connection.open();
    QVERIFY(waitsForSecondPass(client));
    const Reply<void> second = client.connection.open();
    settleEvents();
    QCOMPARE(client.brokers.size(), 2u);
    client.connection.abort();
    QVERIFY(waitUntil([&] { return second.isFinished(); }));
    QCOMPARE(second.result().error().kind(), ErrorKind::Cancelled);
}

void tst_Retries::callsDuringTheWaitAreSentLater()
{
    Client client(withPasses(2, 500ms));
    client.connection.open();
    Channel *channel = client.connection.createChannel();
    QVERIFY(waitsForSecondPass(client));
    QVERIFY(channel->publish({}, u"q"_s, Message("kept")) > 0);
    QCOMPARE(client.brokers.size(), 2u); // the second pass has not begun
    QVERIFY(waitUntil([&] { return client.brokers.size() == 3; }));
    client.broker().transport->accept();
    QVERIFY(waitUntil([&] { return client.connection.isOpen(); }));
    QVERIFY(waitUntil([&] { return client.broker().input.contains("kept"); }));
}

void tst_Retries::canOpenAgainAfterTheWaitWasStopped()
{
    Client client(withPasses(2, Never));
    client.connection.open();
    QVERIFY(waitsForSecondPass(client));
    client.connection.close();
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
    QVERIFY(client.open());
    QCOMPARE(client.connection.currentEndpoint().host, First);
    QCOMPARE(client.brokers.size(), 3u);
}

// The same with sockets.
void tst_Retries::brokerThatComesUpLateIsReached()
{
    ScriptedPeer peer;
    peer.setListening(false);
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setConnectionAttempts(1000);
    parameters.setRetryDelay(10ms);
    Connection connection(parameters);
    SignalLog log;
    log.watch(&connection);
    connection.open();
    QVERIFY(waitUntil([&] { return connection.state() == Connection::State::Connecting; }));
    peer.setListening(true);
    QVERIFY(waitUntil([&] { return connection.isOpen(); }));
    QCOMPARE(peer.connectionCount(), 1);
}

namespace
{

// The hosts that a dialer tries in a number of passes.
QList<QStringList> passes(int count, const QStringList &hosts, bool shuffles, quint32 seed)
{
    ConnectionParameters parameters = withEndpoints(hosts);
    parameters.setConnectionAttempts(count);
    parameters.setShuffleEndpoints(shuffles);
    QRandomGenerator random(seed);
    const auto makeTransport = [](const ConnectionParameters &, const Endpoint &, QObject *parent) {
        return std::make_unique<MemoryTransport>(parent);
    };
    Dialer dialer(parameters, makeTransport, nullptr, random);
    QList<QStringList> result;
    while (dialer.hasNext()) {
        QStringList pass;
        for (qsizetype i = 0; i < hosts.size(); ++i) {
            dialer.dialNext();
            pass += dialer.endpoint().host;
        }
        result += pass;
    }
    return result;
}

const QStringList Hosts{u"127.0.0.1"_s, u"127.0.0.2"_s, u"127.0.0.3"_s, u"127.0.0.4"_s, u"127.0.0.5"_s, u"127.0.0.6"_s};

} // namespace

void tst_Retries::shuffledPassesVisitAllEndpoints()
{
    const QList<QStringList> orders = passes(20, Hosts, true, 1);
    QCOMPARE(orders.size(), 20);
    for (QStringList order : orders) {
        order.sort();
        QCOMPARE(order, Hosts);
    }
    QVERIFY(QSet<QStringList>(orders.begin(), orders.end()).size() > 10); // each pass has its own
}

void tst_Retries::theGeneratorDecidesAboutTheOrder()
{
    QCOMPARE(passes(20, Hosts, true, 1), passes(20, Hosts, true, 1));
    QVERIFY(passes(20, Hosts, true, 1) != passes(20, Hosts, true, 2));
}

void tst_Retries::endpointsStayInOrderByDefault()
{
    QCOMPARE(passes(3, Hosts, false, 1), QList<QStringList>({Hosts, Hosts, Hosts}));
}

QTEST_GUILESS_MAIN(tst_Retries)
#include "tst_retries.moc"
