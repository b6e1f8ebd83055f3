// SPDX-License-Identifier: MIT
#include "client/reconnectingclient.h"

#include <QtNetwork/qtcpsocket.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Tests the attempts of an automatic recovery.
class tst_Recovering : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void lostConnectionIsOpenedAgain();
    void failedFirstAttemptGoesOn();
    void attemptsFollowByThemselves();
    void outageIsDescribed();
    void delaysGrow();
    void attemptMakesOnePassOverTheEndpoints();
    void tenOutagesAreRecoveredFrom();
    void lossWhileOpeningGoesOn();
    void limitEndsTheRecovery_data();
    void limitEndsTheRecovery();
    void errorsThatLastEndTheRecovery_data();
    void errorsThatLastEndTheRecovery();
    void violationsEndTheRecovery();
    void refusedCredentialsAreAskedFor();
    void refusedTokenIsAskedFor();
    void erasedCredentialsAreAskedForEachTime();
    void latestParametersAreUsed();
    void eachAttemptMayHaveAnotherHost();
    void openTriesAtOnce();
    void openDuringAnAttemptWaitsForIt();
    void openAfterAnUnreportedLossWaitsForTheRecovery();
    void whenOpenWaitsForTheEndOfTheRecovery();
    void reconnectNowDoesNothingElsewhere();
    void endStopsTheRecovery_data();
    void endStopsTheRecovery();
    void endInASlotStopsTheRecovery_data();
    void endInASlotStopsTheRecovery();
    void canOpenAgainAfterTheEnd();
    void recoversByDefault();
    void disabledPolicyEndsTheConnection();
    void deviceDoesNotRecover();
};

void tst_Recovering::lostConnectionIsOpenedAgain()
{
    ReconnectingClient client;
    QVERIFY(client.open());
    client.takeLog();
    QVERIFY(client.lose());
    QCOMPARE(client.takeLog(), QStringList({u"connection.errorOccurred Network"_s,
                                            u"connection.stateChanged Recovering"_s, u"connection.reconnecting 1"_s}));
    QCOMPARE(client.connection.error(), Unreachable);
    QVERIFY(client.recover());
    QCOMPARE(client.takeLog(), QStringList{u"connection.stateChanged Open"_s});
    QVERIFY(!client.connection.error().isError());
    const Reply<void> closed = client.connection.close();
    QVERIFY(waitUntil([&] { return closed.isFinished(); }));
    QVERIFY(closed.result());
    QCOMPARE(client.takeLog(), QStringList({u"connection.stateChanged Closing"_s, u"connection.stateChanged Closed"_s,
                                            u"connection.closed ok"_s}));
}

void tst_Recovering::failedFirstAttemptGoesOn()
{
    ReconnectingClient client;
    Channel *channel = client.connection.createChannel();
    client.log.watch(channel->declareQueue(u"q"_s), u"declareQueue"_s);
    client.log.watch(client.connection.open(), u"open"_s);
    client.broker().transport->fail(Unreachable);
    QVERIFY(waitUntil([&] { return client.isWaiting(); }));
    QVERIFY(client.fail());
    QCOMPARE(client.takeLog(), QStringList({u"connection.stateChanged Connecting"_s, u"reply.open Network"_s,
                                            u"connection.errorOccurred Network"_s,
                                            u"connection.stateChanged Recovering"_s, u"connection.reconnecting 1"_s,
                                            u"connection.errorOccurred Network"_s, u"connection.reconnecting 2"_s}));
    QVERIFY(client.recover());
    QVERIFY(waitUntil([&] { return client.log.has(u"reply.declareQueue ok"_s); }));
    QCOMPARE(client.takeLog(),
             QStringList({u"connection.stateChanged Open"_s, u"connection.opened"_s, u"reply.declareQueue ok"_s}));
    QCOMPARE(client.connection.reconnectAttempt(), 0);
    QVERIFY(!client.connection.lostSince().isValid());
}

void tst_Recovering::attemptsFollowByThemselves()
{
    ReconnectingClient client(with(soon()));
    QVERIFY(client.open());
    QVERIFY(client.lose());
    QVERIFY(waitUntil([&] { return client.brokers.size() == 2; }));
    client.broker().transport->fail(Unreachable);
    QVERIFY(waitUntil([&] { return client.brokers.size() == 3; }));
    client.broker().transport->accept();
    QVERIFY(waitUntil([&] { return client.connection.isOpen(); }));
}

void tst_Recovering::outageIsDescribed()
{
    ReconnectingClient client;
    QSignalSpy attempts(&client.connection, &Connection::reconnectAttemptChanged);
    QVERIFY(client.open());
    const auto isWithoutOutage = [&] {
        return !client.connection.lostSince().isValid() && client.connection.reconnectAttempt() == 0 &&
               client.connection.nextAttemptIn() == 0ms;
    };
    QVERIFY(isWithoutOutage());
    const QDateTime before = QDateTime::currentDateTime();
    QVERIFY(client.lose());
    const QDateTime lostSince = client.connection.lostSince();
    QVERIFY(lostSince >= before);
    QVERIFY(lostSince <= QDateTime::currentDateTime());
    QCOMPARE(client.connection.reconnectAttempt(), 1);
    QVERIFY(client.connection.nextAttemptIn() > 0ms);
    QVERIFY(client.connection.nextAttemptIn() <= Never);
    QVERIFY(client.tryAgain());
    QCOMPARE(client.connection.reconnectAttempt(), 1);
    QCOMPARE(client.connection.nextAttemptIn(), 0ms);
    QVERIFY(waitUntil([&] { return QDateTime::currentDateTime() > lostSince; }));
    client.broker().transport->fail(Unreachable);
    QVERIFY(waitUntil([&] { return client.isWaiting(); }));
    QCOMPARE(client.connection.reconnectAttempt(), 2);
    QCOMPARE(client.connection.lostSince(), lostSince);
    QVERIFY(client.recover());
    QVERIFY(isWithoutOutage());
    settleEvents();
    QCOMPARE(attempts, QList<QVariantList>({{1}, {2}, {0}}));
}

void tst_Recovering::delaysGrow()
{
    ReconnectingClient client(with(RecoveryPolicy().withDelays(1h, 5h, 2.0)));
    QList<std::chrono::milliseconds> delays;
    connect(&client.connection, &Connection::reconnecting, this,
            [&](int, std::chrono::milliseconds delay) { delays.append(delay); });
    QVERIFY(client.open());
    QVERIFY(client.lose());
    for (int attempt = 1; attempt <= 3; ++attempt)
        QVERIFY(client.fail());
    client.recovery().setRandom([] { return 0.0; });
    QVERIFY(client.fail());
    settleEvents();
    QCOMPARE(delays, QList<std::chrono::milliseconds>({1h, 2h, 4h, 5h, 200ms}));
}

void tst_Recovering::attemptMakesOnePassOverTheEndpoints()
{
    ConnectionParameters parameters = withEndpoints({u"127.0.0.1"_s, u"127.0.0.2"_s});
    parameters.setConnectionAttempts(2);
    parameters.setRetryDelay(1ms);
    ReconnectingClient client(with(later(), parameters));
    client.log.watch(client.connection.open(), u"open"_s);
    const auto failEndpoints = [&](size_t count) {
        for (size_t i = 0; i < count; ++i) {
            const size_t tried = client.brokers.size();
            client.broker().transport->fail(Unreachable);
            if (!waitUntil([&] { return client.brokers.size() == tried + 1 || client.isWaiting(); }))
                return false;
        }
        return client.isWaiting();
    };
    QVERIFY(failEndpoints(4));
    settleEvents();
    QVERIFY(client.log.has(u"reply.open Network"_s));
    QVERIFY(client.tryAgain());
    QVERIFY(failEndpoints(2));
    QCOMPARE(client.brokers.size(), 6u);
    QCOMPARE(client.connection.reconnectAttempt(), 2);
}

// The attempts are counted in each outage.
void tst_Recovering::tenOutagesAreRecoveredFrom()
{
    ReconnectingClient client(with(later().withMaximumAttempts(3)));
    QVERIFY(client.open());
    for (int outage = 1; outage <= 10; ++outage) {
        QVERIFY(client.lose());
        QCOMPARE(client.connection.reconnectAttempt(), 1);
        QVERIFY(client.fail());
        QVERIFY(client.fail());
        QVERIFY(client.recover());
    }
    client.takeLog();
    QVERIFY(!client.log.has(u"connection.closed Network"_s));
    QCOMPARE(client.brokers.size(), 31u);
}

void tst_Recovering::lossWhileOpeningGoesOn()
{
    ReconnectingClient client;
    QVERIFY(client.open());
    QVERIFY(client.lose());
    for (const char *method : {"connection.start-ok", "connection.tune-ok", "connection.open"}) {
        for (const bool closes : {false, true}) {
            QVERIFY(client.tryAgain());
            Broker &broker = client.broker();
            broker.hook = [&](const Frame &frame) {
                if (QByteArray(Wire::methodName(frame.methodId())) != method)
                    return false;
                if (closes)
                    broker.send(Wire::ConnectionClose{.replyCode = 320, .replyText = "CONNECTION_FORCED - shutdown"});
                else
                    broker.transport->fail(Unreachable);
                return true;
            };
            broker.transport->accept();
            QVERIFY(waitUntil([&] { return client.isWaiting(); }));
            QCOMPARE(brief(client.connection.error()), closes ? u"ConnectionClosed 320"_s : u"Network"_s);
        }
    }
    QVERIFY(client.recover());
    QCOMPARE(client.log.only(u"connection.closed"_s), QStringList());
}

void tst_Recovering::limitEndsTheRecovery_data()
{
    QTest::addColumn<bool>("wasOpen");
    QTest::newRow("after a loss") << true;
    QTest::newRow("never opened") << false;
}

void tst_Recovering::limitEndsTheRecovery()
{
    QFETCH(const bool, wasOpen);
    ReconnectingClient client(with(later().withMaximumAttempts(2)));
    client.log.watch(client.connection.whenOpen(), u"whenOpen"_s);
    if (wasOpen) {
        QVERIFY(client.open());
        client.log.watch(client.connection.whenOpen(), u"whenOpen"_s);
        QVERIFY(client.lose());
    } else {
        client.connection.open();
        client.broker().transport->fail(Unreachable);
        QVERIFY(waitUntil([&] { return client.isWaiting(); }));
    }
    QVERIFY(client.fail());
    client.log.watch(client.connection.whenOpen(), u"whenOpen again"_s);
    client.takeLog();
    QVERIFY(client.fail());
    QStringList expected{u"reply.whenOpen Network"_s, u"reply.whenOpen again Network"_s,
                         u"connection.errorOccurred Network"_s, u"connection.stateChanged Closed"_s,
                         u"connection.closed Network"_s};
    if (wasOpen)
        expected.removeFirst();
    QCOMPARE(client.takeLog(), expected);
    QCOMPARE(client.connection.reconnectAttempt(), 0);
    QVERIFY(!client.connection.lostSince().isValid());
}

void tst_Recovering::errorsThatLastEndTheRecovery_data()
{
    QTest::addColumn<QString>("cause");
    QTest::addColumn<QString>("error");
    QTest::newRow("virtual host deleted") << u"530"_s << u"ConnectionClosed 530"_s;
    QTest::newRow("login refused") << u"403"_s << u"Authentication 403"_s;
    QTest::newRow("certificate rejected") << u"tls"_s << u"Tls"_s;
    QTest::newRow("another protocol") << u"protocol"_s << u"ProtocolViolation"_s;
    QTest::newRow("invalid parameters") << u"parameters"_s << u"InvalidArgument"_s;
}

void tst_Recovering::errorsThatLastEndTheRecovery()
{
    QFETCH(const QString, cause);
    QFETCH(const QString, error);
    ReconnectingClient client;
    QVERIFY(client.open());
    QVERIFY(client.lose());
    if (cause == u"parameters"_s) {
        client.connection.setUrl(QUrl(u"amqp://localhost?colour=red"_s));
        client.connection.reconnectNow();
    } else {
        QVERIFY(client.tryAgain());
        Broker &broker = client.broker();
        if (cause == u"tls"_s) {
            broker.transport->fail(Error(ErrorKind::Tls, u"wrong host"_s));
        } else if (cause == u"protocol"_s) {
            broker.answers = false;
            broker.transport->accept();
            broker.transport->send("HTTP/1.1 400 Bad Request\r\n\r\n");
        } else {
            broker.hook = [&](const Frame &frame) {
                const QByteArray method = Wire::methodName(frame.methodId());
                if (method != (cause == u"403"_s ? "connection.start-ok" : "connection.open"))
                    return false;
                broker.send(Wire::ConnectionClose{.replyCode = cause.toUShort(), .replyText = "no"});
                return true;
            };
            broker.transport->accept();
        }
    }
    client.takeLog();
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
    QCOMPARE(brief(client.connection.error()).section(u' ', 0, 0), error.section(u' ', 0, 0));
    settleEvents();
    QCOMPARE(client.log.only(u"connection.closed"_s).size(), 1);
    QVERIFY(!client.recovery().deadline());
}

// They are counted over successful recoveries, since a defect may show only later.
void tst_Recovering::violationsEndTheRecovery()
{
    ReconnectingClient client;
    QVERIFY(client.open());
    for (int i = 1; i <= 3; ++i) {
        client.broker().send(Wire::BasicQosOk{}, 0);
        QVERIFY(
            waitUntil([&] { return client.isWaiting() || client.connection.state() == Connection::State::Closed; }));
        QCOMPARE(client.isWaiting(), i < 3);
        if (i < 3)
            QVERIFY(client.recover());
    }
    settleEvents();
    QCOMPARE(client.connection.error().kind(), ErrorKind::ProtocolViolation);
    QCOMPARE(client.log.only(u"connection.closed"_s).size(), 1);
}

// Refuses the login of the latest attempt.
static void refuseLogin(Client &client)
{
    Broker &broker = client.broker();
    broker.hook = [&broker](const Frame &frame) {
        if (!frame.is(Wire::ConnectionStartOk::id))
            return false;
        broker.send(Wire::ConnectionClose{.replyCode = 403, .replyText = "ACCESS_REFUSED"});
        return true;
    };
    broker.transport->accept();
}

void tst_Recovering::refusedCredentialsAreAskedFor()
{
    ReconnectingClient client(with(later(), withCredentials()));
    QList<Connection::CredentialReason> requests;
    connect(&client.connection, &Connection::credentialsRequested, this,
            [&](Connection::CredentialReason reason) { requests.append(reason); });
    QVERIFY(client.open());
    QVERIFY(client.lose());
    QVERIFY(client.tryAgain());
    refuseLogin(client);
    QVERIFY(waitUntil([&] { return requests.size() == 1; }));
    QCOMPARE(requests, QList{Connection::CredentialReason::Refused});
    QVERIFY(client.isRecovering());
    const size_t count = client.brokers.size();
    client.connection.reconnectNow(); // has no effect on the wait for credentials
    settleEvents();
    QCOMPARE(client.brokers.size(), count);
    client.connection.setCredentials(u"user"_s, u"new password"_s);
    QVERIFY(waitUntil([&] { return client.brokers.size() == count + 1; }));
    client.broker().transport->accept();
    QVERIFY(waitUntil([&] { return client.connection.isOpen(); }));
    QVERIFY(client.broker().input.contains("new password"));
}

void tst_Recovering::refusedTokenIsAskedFor()
{
    for (const bool hasReceiver : {false, true}) {
        ReconnectingClient client;
        QList<Connection::CredentialReason> requests;
        if (hasReceiver)
            connect(&client.connection, &Connection::credentialsRequested, this,
                    [&](Connection::CredentialReason reason) { requests.append(reason); });
        client.connection.setCredentials(u"user"_s, u"token"_s, 1h);
        QVERIFY(client.open());
        client.connection.setCredentials(u"user"_s, u"second token"_s, 1h);
        client.broker().hook = [&](const Frame &frame) {
            const Wire::MethodId refused = Wire::ConnectionUpdateSecret::id;
            if (!frame.is(refused))
                return false;
            client.broker().send(Wire::ConnectionClose{.replyCode = 530,
                                                       .replyText = "NOT_ALLOWED",
                                                       .classId = refused.classId,
                                                       .methodId = refused.methodId});
            return true;
        };
        QVERIFY(waitUntil([&] { return client.connection.state() != Connection::State::Open; }));
        QCOMPARE(client.connection.state(), hasReceiver ? Connection::State::Recovering : Connection::State::Closed);
        if (!hasReceiver)
            continue;
        client.connection.reconnectNow();
        QVERIFY(waitUntil([&] { return requests.size() == 1; }));
        QCOMPARE(requests, QList{Connection::CredentialReason::Refused});
    }
}

void tst_Recovering::erasedCredentialsAreAskedForEachTime()
{
    ConnectionParameters parameters = withCredentials();
    parameters.setEraseOnConnect(true);
    ReconnectingClient client(with(later(), parameters));
    QList<Connection::CredentialReason> requests;
    connect(&client.connection, &Connection::credentialsRequested, this,
            [&](Connection::CredentialReason reason) { requests.append(reason); });
    QVERIFY(client.open());
    QCOMPARE(requests.size(), 0);
    for (int outage = 1; outage <= 2; ++outage) {
        QVERIFY(client.lose());
        client.connection.reconnectNow();
        QVERIFY(waitUntil([&] { return requests.size() == outage; }));
        QCOMPARE(requests.constLast(), Connection::CredentialReason::Reconnect);
        const size_t count = client.brokers.size();
        client.connection.setCredentials(u"user"_s, u"password"_s);
        QVERIFY(waitUntil([&] { return client.brokers.size() == count + 1; }));
        client.broker().transport->accept();
        QVERIFY(waitUntil([&] { return client.connection.isOpen(); }));
    }
}

void tst_Recovering::latestParametersAreUsed()
{
    ReconnectingClient client(with(later(), withEndpoints({u"127.0.0.1"_s})));
    QVERIFY(client.open());
    QVERIFY(client.lose());
    ConnectionParameters others = with(later(), withEndpoints({u"127.0.0.2"_s}));
    others.setCredentials(u"second"_s, u"second password"_s);
    client.connection.setParameters(others);
    QVERIFY(client.recover());
    QCOMPARE(client.broker().transport->address().host, u"127.0.0.2"_s);
    QVERIFY(client.broker().input.contains("second password"));
}

void tst_Recovering::eachAttemptMayHaveAnotherHost()
{
    ReconnectingClient client(with(later(), withEndpoints({u"127.0.0.1"_s})));
    connect(&client.connection, &Connection::reconnecting, this, [&](int attempt) {
        const QString host = u"127.0.0.%1"_s.arg(attempt + 1);
        client.connection.setParameters(with(later(), withEndpoints({host})));
    });
    QVERIFY(client.open());
    QVERIFY(client.lose());
    settleEvents();
    for (const QString &host : {u"127.0.0.2"_s, u"127.0.0.3"_s, u"127.0.0.4"_s}) {
        QVERIFY(client.tryAgain());
        QCOMPARE(client.broker().transport->address().host, host);
        client.broker().transport->fail(Unreachable);
        QVERIFY(waitUntil([&] { return client.isWaiting(); }));
        settleEvents();
    }
    QVERIFY(client.recover());
    QCOMPARE(client.connection.currentEndpoint().host, u"127.0.0.5"_s);
}

void tst_Recovering::openTriesAtOnce()
{
    ReconnectingClient client;
    QVERIFY(client.open());
    QVERIFY(client.lose());
    client.takeLog();
    client.log.watch(client.connection.open(), u"open"_s);
    QVERIFY(waitUntil([&] { return client.brokers.size() == 2; }));
    client.broker().transport->fail(Unreachable);
    QVERIFY(waitUntil([&] { return client.isWaiting(); }));
    QCOMPARE(client.takeLog(), QStringList({u"reply.open Network"_s, u"connection.errorOccurred Network"_s,
                                            u"connection.reconnecting 2"_s}));
    client.log.watch(client.connection.open(), u"open again"_s);
    QVERIFY(waitUntil([&] { return client.brokers.size() == 3; }));
    client.broker().transport->accept();
    QVERIFY(waitUntil([&] { return client.connection.isOpen(); }));
    QCOMPARE(client.takeLog(), QStringList({u"reply.open again ok"_s, u"connection.stateChanged Open"_s}));
}

void tst_Recovering::openDuringAnAttemptWaitsForIt()
{
    ReconnectingClient client;
    QVERIFY(client.open());
    QVERIFY(client.lose());
    QVERIFY(client.tryAgain());
    client.takeLog();
    client.log.watch(client.connection.open(), u"open"_s);
    client.log.watch(client.connection.open(), u"open again"_s);
    client.broker().transport->accept();
    QVERIFY(waitUntil([&] { return client.connection.isOpen(); }));
    QCOMPARE(client.brokers.size(), 2u);
    QCOMPARE(client.takeLog(),
             QStringList({u"reply.open ok"_s, u"reply.open again ok"_s, u"connection.stateChanged Open"_s}));
}

// The connection is lost, but its state still Open.
void tst_Recovering::openAfterAnUnreportedLossWaitsForTheRecovery()
{
    ReconnectingClient client;
    Channel *channel = client.connection.createChannel();
    QVERIFY(client.open());
    QVERIFY(waitUntil([&] { return channel->isOpen(); }));
    bool isCalled = false;
    connect(channel, &Channel::stateChanged, this, [&] {
        if (std::exchange(isCalled, true))
            return;
        QCOMPARE(client.connection.state(), Connection::State::Open);
        client.log.watch(client.connection.open(), u"open"_s);
    });
    client.broker().transport->fail(Unreachable);
    QVERIFY(waitUntil([&] { return client.brokers.size() == 2; })); // at once
    QVERIFY(isCalled);
    QCOMPARE(client.log.only(u"reply.open"_s), QStringList());
    client.broker().transport->accept();
    QVERIFY(waitUntil([&] { return client.log.has(u"reply.open ok"_s); }));
    QCOMPARE(client.log.countOf(u"connection.opened"_s), 1);
}

void tst_Recovering::whenOpenWaitsForTheEndOfTheRecovery()
{
    ReconnectingClient client;
    QVERIFY(client.open());
    QVERIFY(client.lose());
    client.log.watch(client.connection.whenOpen(), u"whenOpen"_s);
    QVERIFY(client.fail());
    settleEvents();
    QCOMPARE(client.log.only(u"reply"_s), QStringList());
    QVERIFY(client.recover());
    QVERIFY(waitUntil([&] { return client.log.has(u"reply.whenOpen ok"_s); }));
}

void tst_Recovering::reconnectNowDoesNothingElsewhere()
{
    ReconnectingClient client;
    client.connection.reconnectNow();
    settleEvents();
    QCOMPARE(client.brokers.size(), 0u);
    QVERIFY(client.open());
    client.connection.reconnectNow();
    settleEvents();
    QCOMPARE(client.brokers.size(), 1u);
    QVERIFY(client.lose());
    QVERIFY(client.tryAgain());
    client.connection.reconnectNow();
    settleEvents();
    QCOMPARE(client.brokers.size(), 2u);
    client.connection.abort();
    client.connection.reconnectNow();
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
    settleEvents();
    QCOMPARE(client.brokers.size(), 2u);
}

void tst_Recovering::endStopsTheRecovery_data()
{
    QTest::addColumn<QString>("end");
    QTest::addColumn<QString>("moment");
    for (const char *end : {"close", "abort", "delete"}) {
        for (const char *moment : {"waiting", "connecting", "logging in", "asking", "second endpoint"})
            QTest::addRow("%s, %s", end, moment) << QString::fromLatin1(end) << QString::fromLatin1(moment);
    }
}

void tst_Recovering::endStopsTheRecovery()
{
    QFETCH(const QString, end);
    QFETCH(const QString, moment);
    auto client = std::make_unique<ReconnectingClient>(
        with(later(), withCredentials(withEndpoints({u"127.0.0.1"_s, u"127.0.0.2"_s}))));
    bool isAsked = false;
    if (moment == u"asking")
        connect(&client->connection, &Connection::credentialsRequested, this, [&] { isAsked = true; });
    QVERIFY(client->open());
    client->broker().transport->fail(Unreachable);
    QVERIFY(waitUntil([&] { return client->isWaiting(); }));
    Channel *channel = client->connection.createChannel();
    client->log.watch(channel->declareQueue(u"q"_s), u"declareQueue"_s);
    client->log.watch(client->connection.whenOpen(), u"whenOpen"_s);
    if (moment != u"waiting") {
        client->log.watch(client->connection.open(), u"open"_s);
        QVERIFY(waitUntil([&] { return client->brokers.size() == 2; }));
    }
    if (moment == u"second endpoint") {
        client->broker().transport->fail(Unreachable);
        QVERIFY(waitUntil([&] { return client->brokers.size() == 3; }));
    } else if (moment == u"logging in") {
        client->broker().answers = false;
        client->broker().transport->accept();
        QVERIFY(waitUntil([&] { return client->broker().input.startsWith("AMQP"); }));
    } else if (moment == u"asking") {
        refuseLogin(*client);
        QVERIFY(waitUntil([&] { return isAsked; }));
    }
    client->takeLog();
    const size_t attempts = client->brokers.size();
    if (end == u"delete") {
        std::vector<std::unique_ptr<Broker>> brokers = std::exchange(client->brokers, {});
        client.reset(); // would end with failed assertions or sanitizer reports
        settleEvents();
        for (const auto &broker : brokers)
            QVERIFY(!broker->transport);
        return;
    }
    if (end == u"close")
        client->log.watch(client->connection.close(), u"close"_s);
    else
        client->connection.abort();
    QVERIFY(waitUntil([&] { return client->connection.state() == Connection::State::Closed; }));
    const QStringList log = client->takeLog();
    QCOMPARE(log.first(), u"connection.stateChanged Closing"_s);
    QCOMPARE(log.last(), u"connection.closed ok"_s);
    QVERIFY(log.contains(u"reply.declareQueue Cancelled"_s));
    QVERIFY(log.contains(u"reply.whenOpen Cancelled"_s));
    QCOMPARE(log.count(u"reply.open Cancelled"_s), moment == u"waiting" ? 0 : 1);
    QCOMPARE(log.count(u"reply.close ok"_s), end == u"close" ? 1 : 0);
    QCOMPARE(client->brokers.size(), attempts);
    QVERIFY(!client->recovery().deadline());
    for (const auto &broker : client->brokers)
        QVERIFY(!broker->transport);
}

void tst_Recovering::endInASlotStopsTheRecovery_data()
{
    QTest::addColumn<QString>("entry");
    QTest::addColumn<QString>("end");
    for (const char *entry : {"connection.errorOccurred Network", "connection.stateChanged Recovering",
                              "connection.reconnecting 1", "connection.reconnecting 2"}) {
        for (const char *end : {"close", "abort", "delete"})
            QTest::addRow("%s in %s", end, entry) << QString::fromLatin1(entry) << QString::fromLatin1(end);
    }
}

void tst_Recovering::endInASlotStopsTheRecovery()
{
    QFETCH(const QString, entry);
    QFETCH(const QString, end);
    auto *connection = new Connection(with(later()));
    QPointer<Connection> guard(connection);
    std::vector<std::unique_ptr<Broker>> brokers;
    ConnectionPrivate::of(connection)
        ->connector.setTransportFactory([&](const ConnectionParameters &, const Endpoint &, QObject *parent) {
            auto transport = std::make_unique<MemoryTransport>(parent);
            brokers.push_back(std::make_unique<Broker>(transport.get()));
            return transport;
        });
    SignalLog log;
    log.watch(connection);
    connection->open();
    brokers.back()->transport->accept();
    QVERIFY(waitUntil([&] { return connection->isOpen(); }));
    settleEvents();
    bool isEnded = false;
    log.afterEntry = [&](const QString &happened) {
        if (happened != entry || std::exchange(isEnded, true))
            return;
        if (end == u"delete")
            delete connection;
        else if (end == u"abort")
            connection->abort();
        else
            log.watch(connection->close(), u"close"_s);
    };
    brokers.back()->transport->fail(Unreachable);
    if (entry.endsWith(u'2')) {
        QVERIFY(waitUntil([&] { return log.has(u"connection.reconnecting 1"_s); }));
        connection->reconnectNow();
        QVERIFY(waitUntil([&] { return brokers.size() == 2; }));
        brokers.back()->transport->fail(Unreachable);
    }
    QVERIFY(waitUntil([&] { return isEnded; }));
    if (end == u"delete") {
        QVERIFY(!guard);
        settleEvents();
        return;
    }
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed ok"_s); }));
    settleEvents();
    QCOMPARE(log.only(u"connection.closed"_s).size(), 1);
    QCOMPARE(log.countOf(u"reply.close ok"_s), end == u"close" ? 1 : 0);
    QCOMPARE(brokers.size(), entry.endsWith(u'2') ? 2u : 1u);
    delete connection;
}

void tst_Recovering::canOpenAgainAfterTheEnd()
{
    ReconnectingClient client;
    QVERIFY(client.open());
    QVERIFY(client.lose());
    client.connection.abort();
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
    QVERIFY(client.open());
    QCOMPARE(client.log.countOf(u"connection.opened"_s), 2);
    QVERIFY(client.lose());
    QCOMPARE(client.connection.reconnectAttempt(), 1);
    QVERIFY(client.recover());
}

void tst_Recovering::recoversByDefault()
{
    Client client{ConnectionParameters()};
    const Reply<void> opening = client.connection.open();
    client.broker().transport->fail(Unreachable); // the first attempt
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Recovering; }));
    QVERIFY(waitUntil([&] { return opening.isFinished(); }));
    QCOMPARE(opening.result().error(), Unreachable);
    for (int outage = 1; outage <= 2; ++outage) {
        QVERIFY(waitUntil([&] { return client.brokers.size() == size_t(outage) + 1; })); // at most 2 s later
        client.broker().transport->accept();
        QVERIFY(waitUntil([&] { return client.connection.isOpen(); }));
        client.broker().transport->fail(Unreachable);
        QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Recovering; }));
    }
    settleEvents();
    QCOMPARE(client.log.only(u"connection.closed"_s), QStringList());
    QCOMPARE(client.log.only(u"connection.opened"_s).size(), 1);
}

void tst_Recovering::disabledPolicyEndsTheConnection()
{
    Client client;
    QVERIFY(client.open());
    client.broker().transport->fail(Unreachable);
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
    settleEvents();
    QCOMPARE(client.log.only(u"connection.reconnecting"_s), QStringList());

    ReconnectingClient second; // and disabled while it waits
    QVERIFY(second.open());
    QVERIFY(second.lose());
    second.connection.setParameters(withoutRecovery());
    QVERIFY(second.fail());
    QVERIFY(waitUntil([&] { return second.connection.state() == Connection::State::Closed; }));
}

void tst_Recovering::deviceDoesNotRecover()
{
    ScriptedPeer peer;
    Connection connection(with(later()));
    SignalLog log;
    log.watch(&connection);
    auto socket = std::make_unique<QTcpSocket>();
    QTcpSocket *const device = socket.get();
    device->connectToHost(QHostAddress::LocalHost, peer.port());
    QVERIFY(waitUntil([&] { return device->state() == QAbstractSocket::ConnectedState; }));
    connection.openOn(std::move(socket));
    QVERIFY(waitUntil([&] { return connection.isOpen(); }));
    peer.dropConnection();
    QVERIFY(waitUntil([&] { return connection.state() == Connection::State::Closed; }));
    settleEvents();
    QCOMPARE(log.only(u"connection.reconnecting"_s), QStringList());
    QVERIFY(log.has(u"connection.closed Network"_s));
}

QTEST_GUILESS_MAIN(tst_Recovering)

#include "tst_recovering.moc"
