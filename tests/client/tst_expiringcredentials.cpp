// SPDX-License-Identifier: MIT
#include "client/askingclient.h"
#include "client/clock_p.h"
#include "client/connection/connection_p.h"
#include "client/openingsupport.h"

#include <QtCore/qregularexpression.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;
using Reason = Connection::CredentialReason;

// Credentials that expire and are renewed, and credentials that are erased after an attempt.
class tst_ExpiringCredentials : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void connectionAsksBeforeItsTokenExpires();
    void replyHasTheAnswerOfTheBroker();
    void replyIsFinishedIfNothingIsSent();
    void unansweredRequestIsRepeatedOnce();
    void laterReceiverIsAsked();
    void withoutALifeNoSecretIsSentToAnOpenConnection();
    void expiredTokenIsAskedForBeforeTheNextAttempt_data();
    void expiredTokenIsAskedForBeforeTheNextAttempt();
    void newTokenOutlivesAConnectionThatEndsDuringTheRenewal_data();
    void newTokenOutlivesAConnectionThatEndsDuringTheRenewal();
    void refusedSecretOfTheApplicationLeavesTheCredentials();
    void secretThatIsTooLargeChangesNothing();
    void lostConnectionDoesNotAsk();
    void closingConnectionDoesNotAsk();
    void renewedSecretIsErasedOnceTheBrokerHasIt();
    void credentialsThatExpireDuringTheAttemptAreAskedFor();
    void erasedCredentialsAreAskedFor();
    void erasedCredentialsOfAnotherConnectionAreAskedFor();
    void withoutAReceiverErasedCredentialsFailTheOpening();
    void erasedCredentialsAreWipedAfterAFailedAttempt();
    void newerCredentialsAreNotErasedUnused();
};

static Engine::ConnectionEngine &engineOf(const AskingClient &client)
{
    return ConnectionPrivate::of(&client.connection)->engine;
}

// With a new token, which is valid for an hour.
static Reply<void> renew(AskingClient &client)
{
    return client.connection.setCredentials(u"guest"_s, u"new token"_s, 1h);
}

void tst_ExpiringCredentials::connectionAsksBeforeItsTokenExpires()
{
    ScriptedPeer peer;
    AskingClient client(withoutCredentials(peer));
    int tokens = 0;
    client.answer = [&](Reason) {
        ++tokens;
        client.connection.setCredentials(u"guest"_s, u"token %1"_s.arg(tokens), tokens < 3 ? 1s : 1h);
    };
    QVERIFY(client.open());
    QVERIFY(waitUntil([&] { return peer.count("connection.update-secret") == 2; }));
    QCOMPARE(client.requests, QList({Reason::FirstConnect, Reason::ExpiresSoon, Reason::ExpiresSoon}));
    QByteArrayList secrets;
    for (const Command &command : peer.received("connection.update-secret"))
        secrets += command.fields.value(u"new-secret"_s).toByteArray();
    QCOMPARE(secrets, QByteArrayList({"token 2", "token 3"}));
    settle(client.connection);
    QVERIFY(client.connection.isOpen());
    QCOMPARE(client.connection.parameters().password(), u"token 3"_s);
    QCOMPARE(peer.connectionCount(), 1);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_ExpiringCredentials::withoutALifeNoSecretIsSentToAnOpenConnection()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    client.connection.setCredentials(u"guest"_s, u"for later"_s, 1h);
    settle(client.connection);
    QCOMPARE(peer.count("connection.update-secret"), 0);
}

void tst_ExpiringCredentials::expiredTokenIsAskedForBeforeTheNextAttempt_data()
{
    QTest::addColumn<int>("replyCode");
    QTest::addColumn<QByteArray>("text");
    QTest::addColumn<bool>("updates");
    QTest::addColumn<Reason>("reason");
    QTest::newRow("expired") << 320 << QByteArray("CONNECTION_FORCED - credential expired") << false
                             << Reason::Reconnect;
    QTest::newRow("the new secret is refused")
        << 530 << QByteArray("NOT_ALLOWED - bad token") << true << Reason::Refused;
}

void tst_ExpiringCredentials::expiredTokenIsAskedForBeforeTheNextAttempt()
{
    QFETCH(const int, replyCode);
    QFETCH(const QByteArray, text);
    QFETCH(const bool, updates);
    QFETCH(const Reason, reason);
    ScriptedPeer peer;
    AskingClient client(withoutCredentials(peer));
    client.connection.setCredentials(u"guest"_s, u"token"_s, 1h);
    QVERIFY(client.open());
    QCOMPARE(client.requests, QList<Reason>());
    if (updates) {
        peer.setHook([&](const Command &command) {
            if (command.name == "connection.update-secret")
                peer.send(0, Wire::ConnectionClose{.replyCode = quint16(replyCode),
                                                   .replyText = QByteArrayView(text),
                                                   .classId = Wire::ConnectionUpdateSecret::id.classId,
                                                   .methodId = Wire::ConnectionUpdateSecret::id.methodId});
            return command.name == "connection.update-secret";
        });
        client.connection.setCredentials(u"guest"_s, u"unsuitable"_s, 1h);
    } else {
        peer.closeConnection(quint16(replyCode), text);
    }
    const QString closed = u"connection.closed ConnectionClosed %1"_s.arg(replyCode);
    QVERIFY(waitUntil([&] { return client.log.has(closed); }));
    QCOMPARE(client.requests, QList<Reason>());
    peer.setHook({});
    client.connection.open();
    QVERIFY(client.waitForRequests(1));
    QCOMPARE(client.requests, QList{reason});
    client.connection.setCredentials(u"guest"_s, u"new token"_s);
    QVERIFY(waitUntil([&] { return client.connection.isOpen(); }));
    QCOMPARE(sentPassword(peer), "new token");
}

void tst_ExpiringCredentials::replyHasTheAnswerOfTheBroker()
{
    ScriptedPeer peer;
    peer.withhold("connection.update-secret-ok");
    AskingClient client(withoutCredentials(peer));
    client.connection.setCredentials(u"guest"_s, u"token"_s, 1h);
    QVERIFY(client.open());
    const Reply<void> reply = renew(client);
    QVERIFY(waitUntil([&] { return peer.count("connection.update-secret") == 1; }));
    settle(client.connection);
    QVERIFY(!reply.isFinished());
    peer.send(0, Wire::ConnectionUpdateSecretOk{});
    QVERIFY(waitUntil([&] { return reply.isFinished(); }));
    QVERIFY(reply.result());

    const Reply<void> refused = renew(client);
    QVERIFY(waitUntil([&] { return peer.count("connection.update-secret") == 2; }));
    peer.closeConnection(530, "NOT_ALLOWED");
    QVERIFY(waitUntil([&] { return refused.isFinished(); }));
    QCOMPARE(refused.result().error().replyCode(), quint16(530));
}

void tst_ExpiringCredentials::replyIsFinishedIfNothingIsSent()
{
    ScriptedPeer peer;
    AskingClient client(withoutRecovery(peer));
    QVERIFY(renew(client).isFinished()); // not open
    QVERIFY(client.open());
    client.connection.close();
    QVERIFY(client.waitForClosed());
    client.connection.setCredentials(u"guest"_s, u"token"_s); // does not expire
    QVERIFY(client.open());
    const Reply<void> reply = renew(client);
    QVERIFY(reply.isFinished());
    QVERIFY(reply.result());
    settle(client.connection);
    QCOMPARE(peer.count("connection.update-secret"), 0);
}

void tst_ExpiringCredentials::unansweredRequestIsRepeatedOnce()
{
    ScriptedPeer peer;
    AskingClient client(withoutCredentials(peer));
    client.connection.setCredentials(u"guest"_s, u"token"_s, 1s);
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"^the credentials of the connection to .* have expired"_s));
    QVERIFY(client.open());
    QVERIFY(waitUntil([&] { return !ConnectionPrivate::of(&client.connection)->authenticator.deadline(); }));
    QCOMPARE(client.requests, QList({Reason::ExpiresSoon, Reason::ExpiresSoon}));
    const Reply<void> reply = renew(client); // a late answer
    QVERIFY(waitUntil([&] { return reply.isFinished(); }));
    QVERIFY(reply.result());
    QCOMPARE(peer.count("connection.update-secret"), 1);
    QVERIFY(ConnectionPrivate::of(&client.connection)->authenticator.deadline());
}

void tst_ExpiringCredentials::laterReceiverIsAsked()
{
    ScriptedPeer peer;
    Connection connection(withoutCredentials(peer));
    connection.setCredentials(u"guest"_s, u"token"_s, 1s);
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"^the credentials of the connection to .* have expired"_s));
    connection.open();
    QVERIFY(waitUntil([&] { return connection.isOpen(); }));
    QVERIFY(waitUntil([&] { return !ConnectionPrivate::of(&connection)->authenticator.deadline(); }));
    QList<Reason> requests;
    connect(&connection, &Connection::credentialsRequested, this, [&](Reason reason) { requests += reason; });
    QVERIFY(waitUntil([&] { return !requests.isEmpty(); }));
    QCOMPARE(requests, QList{Reason::ExpiresSoon});
}

void tst_ExpiringCredentials::newTokenOutlivesAConnectionThatEndsDuringTheRenewal_data()
{
    QTest::addColumn<QString>("end");
    QTest::newRow("the former token expires") << u"320"_s;
    QTest::newRow("the connection is lost") << u"drop"_s;
    QTest::newRow("the connection is lost, and the application does not know it yet") << u"lost"_s;
}

void tst_ExpiringCredentials::newTokenOutlivesAConnectionThatEndsDuringTheRenewal()
{
    QFETCH(const QString, end);
    ScriptedPeer peer;
    peer.withhold("connection.update-secret-ok");
    ConnectionParameters parameters = withoutCredentials(peer);
    parameters.setEraseOnConnect(true);
    AskingClient client(parameters);
    client.connection.setCredentials(u"guest"_s, u"token"_s, 1h);
    QVERIFY(client.open());
    if (end == u"lost")
        engineOf(client).abort(Error(ErrorKind::Network, u"lost"_s));
    QCOMPARE(client.connection.state(), Connection::State::Open);
    renew(client);
    if (end != u"lost") {
        QVERIFY(waitUntil([&] { return peer.count("connection.update-secret") == 1; }));
        if (end == u"320")
            peer.closeConnection(320, "CONNECTION_FORCED - credential expired");
        else
            peer.dropConnection();
    }
    QVERIFY(client.waitForClosed(end == u"320" ? u"ConnectionClosed 320"_s : u"Network"_s));
    QVERIFY(!client.connection.lastCallError().isError());
    QVERIFY(client.open());
    QCOMPARE(sentPassword(peer), "new token");
    QCOMPARE(client.requests, QList<Reason>());
}

void tst_ExpiringCredentials::refusedSecretOfTheApplicationLeavesTheCredentials()
{
    ScriptedPeer peer;
    peer.closeInsteadOf("connection.update-secret-ok", 530, "NOT_ALLOWED - bad token");
    AskingClient client(withoutRecovery(peer));
    QVERIFY(client.open());
    client.connection.updateSecret(u"unsuitable"_s);
    QVERIFY(client.waitForClosed(u"ConnectionClosed 530"_s));
    QVERIFY(client.open());
    QCOMPARE(client.requests, QList<Reason>());
}

void tst_ExpiringCredentials::secretThatIsTooLargeChangesNothing()
{
    ScriptedPeer peer;
    AskingClient client(withoutCredentials(peer));
    client.connection.setCredentials(u"guest"_s, u"token"_s, 1h);
    QVERIFY(client.open());
    const auto before = ConnectionPrivate::of(&client.connection)->authenticator.deadline();
    const Reply<void> reply =
        client.connection.setCredentials(u"guest"_s, QString(qsizetype(client.connection.maximumFrameSize()), u'x'));
    QVERIFY(reply.isFinished());
    QCOMPARE(reply.result().error().kind(), ErrorKind::InvalidArgument);
    QCOMPARE(client.connection.parameters().password(), u"token"_s);
    QCOMPARE(ConnectionPrivate::of(&client.connection)->authenticator.deadline(), before);
    renew(client);
    QVERIFY(waitUntil([&] { return peer.count("connection.update-secret") == 1; }));
}

// The application has not been told yet that the connection is lost.
void tst_ExpiringCredentials::lostConnectionDoesNotAsk()
{
    ScriptedPeer peer;
    AskingClient client(withoutCredentials(peer));
    client.connection.setCredentials(u"guest"_s, u"token"_s, 1h);
    QVERIFY(client.open());
    engineOf(client).abort(Error(ErrorKind::Network, u"lost"_s));
    QCOMPARE(client.connection.state(), Connection::State::Open);
    Authenticator &authenticator = ConnectionPrivate::of(&client.connection)->authenticator;
    QVERIFY(!authenticator.deadline());
    authenticator.tick(now() + 1h);
    QVERIFY(client.waitForClosed(u"Network"_s));
    QCOMPARE(client.requests, QList<Reason>());
}

void tst_ExpiringCredentials::closingConnectionDoesNotAsk()
{
    ScriptedPeer peer;
    peer.withhold("connection.close-ok");
    AskingClient client(withoutCredentials(peer));
    client.connection.setCredentials(u"guest"_s, u"token"_s, 1s);
    QVERIFY(client.open());
    client.connection.close();
    QVERIFY(!ConnectionPrivate::of(&client.connection)->authenticator.deadline());
    QVERIFY(renew(client).isFinished());
    QVERIFY(waitUntil([&] { return peer.count("connection.close") == 1; }));
    QCOMPARE(peer.count("connection.update-secret"), 0);
    QVERIFY(!client.connection.lastCallError().isError());
}

void tst_ExpiringCredentials::renewedSecretIsErasedOnceTheBrokerHasIt()
{
    ScriptedPeer peer;
    peer.withhold("connection.update-secret-ok");
    ConnectionParameters parameters = withoutCredentials(peer);
    parameters.setEraseOnConnect(true);
    AskingClient client(parameters);
    client.connection.setCredentials(u"guest"_s, u"token"_s, 1h);
    QVERIFY(client.open());
    const Reply<void> reply = renew(client);
    QVERIFY(waitUntil([&] { return peer.count("connection.update-secret") == 1; }));
    QCOMPARE(client.connection.parameters().password(), u"new token"_s);
    peer.send(0, Wire::ConnectionUpdateSecretOk{});
    QVERIFY(waitUntil([&] { return reply.isFinished(); }));
    QCOMPARE(client.connection.parameters().password(), QString());
}

void tst_ExpiringCredentials::credentialsThatExpireDuringTheAttemptAreAskedFor()
{
    ScriptedPeer peer;
    ConnectionParameters parameters = to({closedPort()});
    parameters.setConnectionAttempts(1000);
    parameters.setRetryDelay(20ms);
    AskingClient client(parameters);
    client.connection.setCredentials(u"guest"_s, u"token"_s, 1s);
    client.connection.open();
    QVERIFY(client.waitForRequests(1));
    QCOMPARE(client.requests, QList{Reason::FirstConnect});
    QVERIFY(!ConnectionPrivate::of(&client.connection)->engine.deadline());
    client.answer = {};
    client.connection.close();
    QVERIFY(client.waitForClosed());
}

void tst_ExpiringCredentials::erasedCredentialsAreAskedFor()
{
    ScriptedPeer peer;
    ConnectionParameters parameters = withoutRecovery(peer);
    parameters.setEraseOnConnect(true);
    AskingClient client(parameters);
    QVERIFY(client.open());
    QCOMPARE(sentPassword(peer), "guest");
    QCOMPARE(client.requests, QList<Reason>());
    QCOMPARE(client.connection.parameters().password(), QString());
    QCOMPARE(client.connection.parameters().userName(), u"guest"_s);
    client.connection.close();
    QVERIFY(waitUntil([&] { return client.log.has(u"connection.closed ok"_s); }));
    client.connection.open();
    QVERIFY(client.waitForRequests(1));
    QCOMPARE(client.requests, QList{Reason::Reconnect});
    client.connection.setCredentials(u"guest"_s, u"again"_s);
    QVERIFY(waitUntil([&] { return client.connection.isOpen(); }));
    QCOMPARE(sentPassword(peer), "again");
    QCOMPARE(client.connection.parameters().password(), QString());
}

void tst_ExpiringCredentials::erasedCredentialsOfAnotherConnectionAreAskedFor()
{
    ScriptedPeer peer;
    ConnectionParameters parameters = withoutRecovery(peer);
    parameters.setEraseOnConnect(true);
    OpenClient first(parameters);
    AskingClient second(first.connection.parameters());
    second.connection.open();
    QVERIFY(second.waitForRequests(1));
    QCOMPARE(second.requests, QList{Reason::FirstConnect});

    const ConnectionParameters erased = first.connection.parameters();
    AskingClient third(parameters);
    third.connection.setParameters(erased);
    third.connection.open();
    QVERIFY(third.waitForRequests(1));
}

void tst_ExpiringCredentials::withoutAReceiverErasedCredentialsFailTheOpening()
{
    ScriptedPeer peer;
    ConnectionParameters parameters = withoutRecovery(peer);
    parameters.setEraseOnConnect(true);
    OpenClient client(parameters);
    SignalLog log;
    log.watch(&client.connection);
    client.connection.close();
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed ok"_s); }));
    client.connection.open();
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed Authentication"_s); }));
    QVERIFY2(client.connection.error().text().contains(u"eraseOnConnect"),
             qPrintable(client.connection.error().text()));
    QCOMPARE(peer.connectionCount(), 1);
    client.connection.setParameters(parameters); // the application's copy has kept them
    client.connection.open();
    QVERIFY(waitUntil([&] { return client.connection.isOpen(); }));
}

void tst_ExpiringCredentials::erasedCredentialsAreWipedAfterAFailedAttempt()
{
    ScriptedPeer peer;
    peer.closeInsteadOf("connection.open-ok", 530, "NOT_ALLOWED - vhost not found");
    ConnectionParameters parameters = withoutRecovery(peer);
    parameters.setEraseOnConnect(true);
    Connection connection(parameters);
    SignalLog log;
    log.watch(&connection);
    connection.open();
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed ConnectionClosed 530"_s); }));
    QCOMPARE(connection.parameters().password(), QString());
    QCOMPARE(parameters.password(), u"guest"_s);
}

void tst_ExpiringCredentials::newerCredentialsAreNotErasedUnused()
{
    ScriptedPeer peer;
    ConnectionParameters parameters = to({closedPort(), endpointOf(peer)});
    parameters.setEraseOnConnect(true);
    parameters.setCredentials(u"guest"_s, u"first"_s);
    AskingClient client(parameters);
    const Reply<void> opening = client.connection.open();
    client.connection.setCredentials(u"guest"_s, u"second"_s);
    QVERIFY(waitUntil([&] { return opening.isFinished(); }));
    QVERIFY2(opening.result(), qPrintable(opening.result().error().toString()));
    QCOMPARE(sentPassword(peer), "first");
    QCOMPARE(client.connection.parameters().password(), u"second"_s);
}

QTEST_GUILESS_MAIN(tst_ExpiringCredentials)
#include "tst_expiringcredentials.moc"
