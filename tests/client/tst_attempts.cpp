// SPDX-License-Identifier: MIT
#include "client/memoryclient.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Tests attempts to connect and the transports that they create.
class tst_Attempts : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void opensAndClosesWithoutASocket();
    void attemptKeepsItsParameters();
    void kindOfTheErrorDecidesAboutTheNextEndpoint_data();
    void kindOfTheErrorDecidesAboutTheNextEndpoint();
    void errorOfTheTransportIsNoRefusedLogin();
    void oneDeadlineCoversTransportAndLogin_data();
    void oneDeadlineCoversTransportAndLogin();
    void transportThatIsReadyAfterCloseIsNotUsed();
    void abortEndsAPendingTransportAtOnce();
    void deletingTheConnectionEndsAPendingTransport();
    void inputThatCameBeforeTheLossIsDispatched();
    void bytesThatTheTransportRefusesFollowInOrder();
};

void tst_Attempts::opensAndClosesWithoutASocket()
{
    Client client;
    QVERIFY(client.open());
    const Reply<void> closed = client.connection.close();
    QVERIFY(waitUntil([&] { return closed.isFinished(); }));
    QVERIFY(closed.result());
    QCOMPARE(client.connection.state(), Connection::State::Closed);
    settleEvents();
    settleEvents();
    QVERIFY(client.broker().isClosed);
    QVERIFY(!client.broker().transport);
}

// A password never reaches the host of other parameters.
void tst_Attempts::attemptKeepsItsParameters()
{
    ConnectionParameters parameters = withEndpoints({u"127.0.0.1"_s, u"127.0.0.2"_s});
    parameters.setCredentials(u"first"_s, u"first password"_s);
    Client client(parameters);
    client.connection.open();
    ConnectionParameters others = withEndpoints({u"127.0.0.3"_s, u"127.0.0.4"_s});
    others.setCredentials(u"second"_s, u"second password"_s);
    client.connection.setParameters(others);
    QCOMPARE(client.broker().transport->address().host, u"127.0.0.1"_s);
    client.broker().transport->fail(Error(ErrorKind::Network, u"unreachable"_s));
    QVERIFY(waitUntil([&] { return client.brokers.size() == 2; }));
    QCOMPARE(client.broker().transport->address().host, u"127.0.0.2"_s);
    client.broker().transport->accept();
    QVERIFY(waitUntil([&] { return client.connection.isOpen(); }));
    QVERIFY(client.broker().input.contains("first password"));
    QVERIFY(!client.broker().input.contains("second"));

    client.connection.abort();
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
    QVERIFY(client.open());
    QCOMPARE(client.broker().transport->address().host, u"127.0.0.3"_s);
    QVERIFY(client.broker().input.contains("second password"));
    QVERIFY(!client.broker().input.contains("first"));
}

void tst_Attempts::kindOfTheErrorDecidesAboutTheNextEndpoint_data()
{
    QTest::addColumn<ErrorKind>("kind");
    QTest::addColumn<bool>("triesNext");
    QTest::newRow("the host cannot be reached") << ErrorKind::Network << true;
    QTest::newRow("the transport's own negotiation fails") << ErrorKind::Tls << false;
}

void tst_Attempts::kindOfTheErrorDecidesAboutTheNextEndpoint()
{
    QFETCH(const ErrorKind, kind);
    QFETCH(const bool, triesNext);
    Client client(withEndpoints({u"127.0.0.1"_s, u"127.0.0.2"_s}));
    const Reply<void> opened = client.connection.open();
    client.broker().transport->fail(Error(kind, u"refused"_s));
    QVERIFY(waitUntil([&] { return client.brokers.size() == 2 || opened.isFinished(); }));
    QCOMPARE(client.brokers.size(), triesNext ? 2u : 1u);
    QVERIFY(client.brokers[0]->isClosed);
    if (triesNext)
        client.broker().transport->fail(Error(kind, u"refused"_s));
    QVERIFY(waitUntil([&] { return opened.isFinished(); }));
    QCOMPARE(opened.result().error(), Error(kind, u"refused"_s));
    QCOMPARE(client.connection.currentEndpoint().host, triesNext ? u"127.0.0.2"_s : u"127.0.0.1"_s);
}

// A broker can have refused the login only if the connection is lost after start-ok.
void tst_Attempts::errorOfTheTransportIsNoRefusedLogin()
{
    Client client;
    const Reply<void> opened = client.connection.open();
    client.broker().answers = false;
    client.broker().transport->accept();
    client.broker().send(Wire::ConnectionStart{.versionMinor = 9, .mechanisms = "PLAIN", .locales = "en_US"});
    QVERIFY(waitUntil([&] { return client.broker().input.contains("PLAIN"); }));
    client.broker().transport->fail(Error(ErrorKind::Tls, u"bad record"_s));
    QVERIFY(waitUntil([&] { return opened.isFinished(); }));
    QCOMPARE(opened.result().error().kind(), ErrorKind::Tls);
}

void tst_Attempts::oneDeadlineCoversTransportAndLogin_data()
{
    QTest::addColumn<bool>("accepts");
    QTest::newRow("the transport does not become ready") << false;
    QTest::newRow("the broker is silent") << true;
}

void tst_Attempts::oneDeadlineCoversTransportAndLogin()
{
    QFETCH(const bool, accepts);
    ConnectionParameters parameters = withEndpoints({u"127.0.0.1"_s, u"127.0.0.2"_s});
    parameters.setConnectTimeout(30ms);
    Client client(parameters);
    const Reply<void> opened = client.connection.open();
    for (size_t attempt = 1; attempt <= 2; ++attempt) {
        QVERIFY(waitUntil([&] { return client.brokers.size() == attempt; }));
        client.broker().answers = false;
        if (accepts)
            client.broker().transport->accept();
    }
    QVERIFY(waitUntil([&] { return opened.isFinished(); }));
    QCOMPARE(opened.result().error().kind(), ErrorKind::Timeout);
    settleEvents();
    for (const auto &broker : client.brokers) {
        QVERIFY(broker->isClosed);
        QVERIFY(!broker->transport);
    }
}

void tst_Attempts::transportThatIsReadyAfterCloseIsNotUsed()
{
    Client client;
    const Reply<void> opened = client.connection.open();
    client.broker().transport->accept();
    const Reply<void> closed = client.connection.close();
    QVERIFY(waitUntil([&] { return closed.isFinished(); }));
    QVERIFY(closed.result());
    QCOMPARE(opened.result().error().kind(), ErrorKind::Cancelled);
    settleEvents();
    QVERIFY(client.broker().input.isEmpty());
    QVERIFY(!client.broker().transport);
    QVERIFY(!client.log.has(u"connection.stateChanged Handshaking"_s));
}

void tst_Attempts::abortEndsAPendingTransportAtOnce()
{
    Client client;
    client.connection.open();
    client.connection.abort();
    QVERIFY(client.broker().isClosed);
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
}

void tst_Attempts::deletingTheConnectionEndsAPendingTransport()
{
    std::unique_ptr<Broker> broker;
    {
        Connection connection;
        ConnectionPrivate::of(&connection)
            ->connector.setTransportFactory([&](const ConnectionParameters &, const Endpoint &, QObject *parent) {
                auto transport = std::make_unique<MemoryTransport>(parent);
                broker = std::make_unique<Broker>(transport.get());
                return transport;
            });
        connection.open();
    }
    QVERIFY(broker->isClosed);
    QVERIFY(!broker->transport);
}

void tst_Attempts::inputThatCameBeforeTheLossIsDispatched()
{
    Client client;
    QVERIFY(client.open());
    client.log.entries.clear();
    client.broker().send(Wire::ConnectionBlocked{.reason = "low on memory"});
    client.broker().transport->hangUp();
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
    settleEvents();
    QCOMPARE(client.log.entries.first(), u"connection.blockedChanged 1"_s);
    QCOMPARE(client.log.entries.last(), u"connection.closed Network"_s);
}

void tst_Attempts::bytesThatTheTransportRefusesFollowInOrder()
{
    Client client;
    Channel *channel = client.connection.createChannel();
    QVERIFY(client.open());
    Broker &broker = client.broker();
    QVERIFY(waitUntil([&] { return channel->isOpen(); }));
    broker.transport->setRoom(0);
    const qsizetype before = broker.input.size();
    QByteArray expected;
    for (int i = 0; i < 2000; ++i) {
        const QByteArray body = "<message " + QByteArray::number(i) + '>';
        expected += body;
        QVERIFY(channel->publish(u"x"_s, u"k"_s, Message(body)) > 0);
    }
    QByteArray bodies;
    QVERIFY(waitUntil([&] {
        broker.transport->setRoom(1000);
        bodies.clear();
        for (qsizetype at = before; (at = broker.input.indexOf("<message ", at)) >= 0;) {
            const qsizetype end = broker.input.indexOf('>', at);
            if (end < 0)
                break;
            bodies += broker.input.sliced(at, end + 1 - at);
            at = end;
        }
        return bodies.size() >= expected.size() || client.connection.bytesToWrite() == 0;
    }));
    QCOMPARE(bodies, expected);
    QVERIFY(waitUntil([&] { return client.connection.bytesToWrite() == 0; }));
}

QTEST_GUILESS_MAIN(tst_Attempts)

#include "tst_attempts.moc"
