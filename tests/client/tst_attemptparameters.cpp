// SPDX-License-Identifier: MIT
#include "client/openingsupport.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Tests which parameters a connection attempt uses, and when there is no attempt at all.
class tst_AttemptParameters : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void attemptKeepsItsParameters_data();
    void attemptKeepsItsParameters();
    void refusedAttemptKeepsItsCredentials_data();
    void refusedAttemptKeepsItsCredentials();
    void invalidValuesPreventConnecting_data();
    void invalidValuesPreventConnecting();
};

void tst_AttemptParameters::attemptKeepsItsParameters_data()
{
    QTest::addColumn<QString>("change");
    for (const char *change : {"setParameters", "setUrl", "an invalid URL", "a rejected value"})
        QTest::newRow(change) << QString::fromLatin1(change);
}

void tst_AttemptParameters::attemptKeepsItsParameters()
{
    QFETCH(const QString, change);
    ScriptedPeer first;
    ScriptedPeer second;
    ScriptedPeer other;
    const auto login = [](const ScriptedPeer &peer) {
        const QVariantMap startOk = peer.last("connection.start-ok").fields;
        return QStringList{QString::fromUtf8(startOk.value(u"response"_s).toByteArray().replace('\0', ' ')),
                           startOk.value(u"client-properties"_s).toMap().value(u"connection_name"_s).toString(),
                           startOk.value(u"client-properties"_s).toMap().value(u"team"_s).toString(),
                           peer.last("connection.open").fields.value(u"virtual-host"_s).toString(),
                           peer.last("connection.tune-ok").fields.value(u"heartbeat"_s).toString()};
    };
    ConnectionParameters parameters = to({endpointOf(first), endpointOf(second)});
    parameters.setCredentials(u"old-user"_s, u"old-password"_s);
    parameters.setVirtualHost(u"old"_s);
    parameters.setConnectionName(u"old name"_s);
    parameters.setClientProperties({{u"team"_s, u"old"_s}});
    parameters.setHeartbeatInterval(11s);
    Connection connection(parameters);

    ConnectionParameters next = to({endpointOf(other)});
    next.setCredentials(u"new-user"_s, u"new-password"_s);
    next.setVirtualHost(u"new"_s);
    next.setConnectionName(u"new name"_s);
    next.setClientProperties({{u"team"_s, u"new"_s}});
    next.setHeartbeatInterval(12s);
    first.setHook([&](const Command &command) {
        if (command.id != Wire::ConnectionStartOk::id)
            return false;
        if (change == u"setParameters") {
            connection.setParameters(next);
        } else if (change == u"setUrl") {
            connection.setUrl(QUrl(u"amqp://new-user:new-password@127.0.0.1:%1/new"_s.arg(other.port())));
        } else if (change == u"an invalid URL") {
            connection.setUrl(QUrl(u"amqp://new-user:new-password@127.0.0.1:0"_s));
        } else {
            ConnectionParameters rejected = next;
            rejected.setEndpoints({});
            connection.setParameters(rejected);
        }
        first.dropConnection();
        return true;
    });
    const Reply<void> opening = connection.open();
    QVERIFY(waitUntil([&] { return opening.isFinished(); }));
    QVERIFY2(opening.result(), qPrintable(opening.result().error().toString()));
    QCOMPARE(login(second), QStringList({u" old-user old-password"_s, u"old name"_s, u"old"_s, u"old"_s, u"11"_s}));
    settle(connection);
    QVERIFY(connection.isOpen());

    QSignalSpy closed(&connection, &Connection::closed);
    connection.close();
    QVERIFY(waitUntil([&] { return closed.size() == 1; }));
    const Reply<void> again = connection.open();
    QVERIFY(waitUntil([&] { return again.isFinished(); }));
    QCOMPARE(first.connectionCount() + second.connectionCount(), 2);
    if (change == u"setParameters")
        QCOMPARE(login(other), QStringList({u" new-user new-password"_s, u"new name"_s, u"new"_s, u"new"_s, u"12"_s}));
    else if (change == u"setUrl")
        QCOMPARE(login(other).constFirst(), u" new-user new-password"_s);
    else
        QCOMPARE(again.result().error().kind(), ErrorKind::InvalidArgument);
}

void tst_AttemptParameters::refusedAttemptKeepsItsCredentials_data()
{
    QTest::addColumn<QString>("change");
    for (const char *change : {"setParameters", "setUrl", "setUrl without credentials",
                               "setParameters with another endpoint, then setCredentials"})
        QTest::newRow(change) << QString::fromLatin1(change);
}

// The credentials for another broker must not be sent to this one.
void tst_AttemptParameters::refusedAttemptKeepsItsCredentials()
{
    QFETCH(const QString, change);
    ScriptedPeer first;
    ScriptedPeer other;
    ConnectionParameters parameters = to({endpointOf(first)});
    parameters.setCredentials(u"old-user"_s, u"old-password"_s);
    Connection connection(parameters);
    first.setHook([&](const Command &command) {
        if (command.id != Wire::ConnectionStartOk::id || first.connectionCount() > 1)
            return false;
        const QString host = u"127.0.0.1:%1"_s.arg(other.port());
        if (change == u"setUrl") {
            connection.setUrl(QUrl(u"amqp://new-user:new-password@"_s + host));
        } else if (change == u"setUrl without credentials") {
            connection.setUrl(QUrl(u"amqp://"_s + host));
        } else {
            ConnectionParameters next = parameters;
            next.setEndpoints({endpointOf(other)});
            if (change == u"setParameters")
                next.setCredentials(u"new-user"_s, u"new-password"_s);
            connection.setParameters(next);
            if (change != u"setParameters")
                connection.setCredentials(u"new-user"_s, u"new-password"_s);
        }
        first.closeConnection(403, "ACCESS_REFUSED");
        return true;
    });
    const Reply<void> opening = connection.open();
    QVERIFY(waitUntil([&] { return opening.isFinished(); }));
    QCOMPARE(opening.result().error().kind(), ErrorKind::Authentication);
    QCOMPARE(first.connectionCount(), 1);
    QVERIFY(waitUntil([&] { return connection.state() == Connection::State::Closed; }));

    QList<Connection::CredentialReason> requests;
    if (change != u"setUrl without credentials")
        connect(&connection, &Connection::credentialsRequested, this, [&](auto reason) { requests += reason; });
    connection.open();
    QVERIFY(waitUntil([&] { return connection.isOpen(); }));
    QVERIFY(requests.isEmpty()); // nobody has refused the new credentials
    QCOMPARE(other.connectionCount(), 1);
}

using RefusedSetter = std::function<void(ConnectionParameters &parameters, bool isGood)>;

void tst_AttemptParameters::invalidValuesPreventConnecting_data()
{
    QTest::addColumn<RefusedSetter>("set");
    QTest::addColumn<QString>("place");
    const auto row = [](const char *name, const QString &place, const RefusedSetter &set) {
        QTest::newRow(name) << set << place;
    };
    using P = ConnectionParameters;
    row("long virtual host", u"virtualHost"_s,
        [](P &p, bool good) { p.setVirtualHost(good ? u"/"_s : QString(128, u'\u00E4')); });
    row("half a character", u"virtualHost"_s,
        [](P &p, bool good) { p.setVirtualHost(good ? u"/"_s : QString(QChar(0xD800))); });
    row("NUL in the virtual host", u"virtualHost"_s,
        [](P &p, bool good) { p.setVirtualHost(good ? u"/"_s : u"/"_s + QChar::Null); });
    row("NUL in the name", u"credentials"_s,
        [](P &p, bool good) { p.setCredentials(good ? u"guest"_s : u"gu"_s + QChar::Null, u"guest"_s); });
    row("NUL in the password", u"credentials"_s,
        [](P &p, bool good) { p.setCredentials(u"guest"_s, good ? u"guest"_s : u"gu"_s + QChar::Null); });
    row("NaN", u"clientProperties"_s, [](P &p, bool good) {
        p.setClientProperties(good ? FieldTable() : FieldTable{{u"a"_s, qQNaN()}});
    });
    row("heartbeat", u"heartbeat"_s, [](P &p, bool good) { p.setHeartbeatInterval(good ? 60s : -1s); });
    row("connect timeout", u"connectTimeout"_s, [](P &p, bool good) { p.setConnectTimeout(good ? 1000ms : -1ms); });
    row("rpc timeout", u"replyTimeout"_s, [](P &p, bool good) { p.setReplyTimeout(good ? 0ms : -1ms); });
    row("close timeout", u"closeTimeout"_s, [](P &p, bool good) { p.setCloseTimeout(good ? 1000ms : 0ms); });
    row("blocked timeout", u"blockedTimeout"_s, [](P &p, bool good) { p.setBlockedTimeout(good ? 0ms : -1ms); });
    row("dispatch budget", u"dispatchBudget"_s, [](P &p, bool good) { p.setDispatchBudget(good ? 4ms : 0ms); });
    row("message size", u"maximumMessageSize"_s, [](P &p, bool good) { p.setMaximumMessageSize(good ? 1000 : 0); });
    row("initial frame size", u"maximumInitialFrameSize"_s,
        [](P &p, bool good) { p.setMaximumInitialFrameSize(good ? 4096 : 4095); });
    row("write buffer", u"writeBuffer"_s, [](P &p, bool good) { p.setWriteBuffer(10, good ? 20 : 5, 30); });
    row("multiplier", u"backpressureMultiplier"_s, [](P &p, bool good) { p.setBackpressureMultiplier(good ? 0 : -1); });
    row("recovery", u"recoveryPolicy"_s,
        [](P &p, bool good) { p.setRecoveryPolicy({.maximumAttempts = good ? 0 : -1}); });
    row("no endpoint", u"endpoints"_s,
        [](P &p, bool good) { p.setEndpoints(good ? p.endpoints() : QList<Endpoint>()); });
    row("empty host", u"endpoints"_s, [](P &p, bool good) {
        p.setEndpoints(good ? p.endpoints() : QList<Endpoint>{{QString(), 1}});
    });
    row("no host name", u"endpoints"_s, [](P &p, bool good) {
        p.setEndpoints(good ? p.endpoints() : p.endpoints() + QList<Endpoint>{{u"a b"_s, 1}});
    });
}

void tst_AttemptParameters::invalidValuesPreventConnecting()
{
    QFETCH(const RefusedSetter, set);
    QFETCH(const QString, place);
    ScriptedPeer peer;
    ConnectionParameters parameters = parametersOf(peer);
    set(parameters, false);
    QCOMPARE(parameters.error().kind(), ErrorKind::InvalidArgument);
    QVERIFY2(parameters.error().text().startsWith(place + u": "_s), qPrintable(parameters.error().text()));
    Connection connection(parameters);
    const Reply<void> rejected = connection.open();
    QVERIFY(waitUntil([&] { return rejected.isFinished() && connection.state() == Connection::State::Closed; }));
    QCOMPARE(rejected.result().error(), parameters.error());
    QCOMPARE(peer.connectionCount(), 0);

    parameters = connection.parameters(); // changing another parameter has the same effect
    parameters.setConnectionName(u"name"_s);
    connection.setParameters(parameters);
    const Reply<void> refusedAgain = connection.open();
    QVERIFY(waitUntil([&] { return refusedAgain.isFinished() && connection.state() == Connection::State::Closed; }));
    QVERIFY(!refusedAgain.result());
    QCOMPARE(peer.connectionCount(), 0);

    set(parameters, true);
    QCOMPARE(parameters.error(), Error());
    connection.setParameters(parameters);
    connection.open();
    QVERIFY(waitUntil([&] { return connection.isOpen(); }));
}

QTEST_GUILESS_MAIN(tst_AttemptParameters)
#include "tst_attemptparameters.moc"
