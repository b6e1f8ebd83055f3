// SPDX-License-Identifier: MIT
#include "client/askingclient.h"
#include "client/connection/connection_p.h"
#include "client/openingsupport.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;
using Reason = Connection::CredentialReason;

// Connection::credentialsRequested() and setCredentials(), before an attempt to connect and after its login is refused.
class tst_CredentialRequests : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void theFirstConnectionAsks();
    void aReceiverIsNotAskedForCredentialsThatAreSet();
    void withoutAReceiverTheDefaultsAreUsed();
    void mechanismsWithoutAPasswordDoNotAsk();
    void theWaitHasNoDeadline();
    void closeEndsTheWait_data();
    void closeEndsTheWait();
    void refusedCredentialsAreAskedForAgain();
    void newerCredentialsAreUsedAfterARefusal();
    void newerCredentialsAreUsedAtALaterEndpoint();
    void answersToRepeatedRefusalsAreDelayed();
    void withoutAReceiverARefusalEndsTheAttempt();
    void refusalOfAnotherMechanismDoesNotAsk();
    void passwordOfALaterMechanismIsNotAskedForBeforehand();
    void aConnectionDroppedDuringTheLoginIsARefusal();
    void anAnswerInTheSlotIsUsedAtOnce();
    void userNameWithoutAPasswordIsAskedFor_data();
    void userNameWithoutAPasswordIsAskedFor();
    void emptyPasswordMayBeAnAnswer();
    void lastReceiverEndsTheWait_data();
    void lastReceiverEndsTheWait();
    void anotherReceiverMayAnswer();
    void slotMayEndTheConnection_data();
    void slotMayEndTheConnection();
    void slotMayAnswerInANestedEventLoop();
    void invalidCredentialsChangeNothing_data();
    void invalidCredentialsChangeNothing();
    void channelsWaitThroughTheRequest();
};

void tst_CredentialRequests::theFirstConnectionAsks()
{
    ScriptedPeer peer;
    AskingClient client(withoutCredentials(peer));
    const Reply<void> opening = client.connection.open();
    QCOMPARE(client.requests.size(), 0); // signals come from the event loop
    QVERIFY(client.waitForRequests(1));
    QCOMPARE(client.requests, QList{Reason::FirstConnect});
    QCOMPARE(client.connection.state(), Connection::State::Connecting);
    QCOMPARE(peer.connectionCount(), 0);
    client.connection.setCredentials(u"guest"_s, u"token"_s);
    QVERIFY(waitUntil([&] { return opening.isFinished(); }));
    QVERIFY(opening.result());
    QCOMPARE(sentPassword(peer), "token");
    QCOMPARE(client.connection.parameters().password(), u"token"_s);
    QCOMPARE(client.requests.size(), 1);
    QVERIFY(client.log.has(u"connection.parametersChanged"_s));
    settle(client.connection);
    QCOMPARE(client.log.only(u"connection.stateChanged"_s),
             QStringList({u"connection.stateChanged Connecting"_s, u"connection.stateChanged Handshaking"_s,
                          u"connection.stateChanged Open"_s}));
}

void tst_CredentialRequests::aReceiverIsNotAskedForCredentialsThatAreSet()
{
    ScriptedPeer peer;
    AskingClient client(withoutRecovery(peer));
    QVERIFY(client.open());
    client.connection.close();
    QVERIFY(waitUntil([&] { return client.log.has(u"connection.closed ok"_s); }));
    QVERIFY(client.open());
    QCOMPARE(client.requests, QList<Reason>());
}

void tst_CredentialRequests::withoutAReceiverTheDefaultsAreUsed()
{
    ScriptedPeer peer;
    OpenClient client(withoutCredentials(peer));
    QCOMPARE(sentPassword(peer), "guest");
}

void tst_CredentialRequests::mechanismsWithoutAPasswordDoNotAsk()
{
    ScriptedPeer peer;
    ScriptedPeer::Handshake handshake;
    handshake.mechanisms = "ANONYMOUS";
    peer.setHandshake(handshake);
    ConnectionParameters parameters = withoutCredentials(peer);
    parameters.setAnonymousAuthentication();
    AskingClient client(parameters);
    QVERIFY(client.open());
    client.connection.abort();
    QVERIFY(waitUntil([&] { return client.log.has(u"connection.closed ok"_s); }));
    peer.closeInsteadOf("connection.tune", 403, "ACCESS_REFUSED");
    client.connection.open();
    QVERIFY(waitUntil([&] { return client.log.has(u"connection.closed Authentication 403"_s); }));
    QCOMPARE(client.requests, QList<Reason>());
}

void tst_CredentialRequests::theWaitHasNoDeadline()
{
    ScriptedPeer peer;
    ConnectionParameters parameters = withoutCredentials(peer);
    parameters.setConnectTimeout(50ms);
    AskingClient client(parameters);
    const Reply<void> opening = client.connection.open();
    QVERIFY(client.waitForRequests(1));
    QVERIFY(!ConnectionPrivate::of(&client.connection)->engine.deadline());
    QVERIFY(!opening.isFinished());
    QCOMPARE(client.connection.state(), Connection::State::Connecting);
    QCOMPARE(client.connection.currentEndpoint().host, QString());
    ScriptedPeer::Handshake silent;
    silent.answersHeader = false;
    peer.setHandshake(silent);
    client.connection.setCredentials(u"guest"_s, u"token"_s);
    QVERIFY(waitUntil([&] { return opening.isFinished(); })); // now the deadline applies
    QCOMPARE(opening.result().error().kind(), ErrorKind::Timeout);
}

void tst_CredentialRequests::closeEndsTheWait_data()
{
    QTest::addColumn<QString>("how");
    QTest::newRow("close") << u"close"_s;
    QTest::newRow("abort") << u"abort"_s;
    QTest::newRow("delete") << u"delete"_s;
    QTest::newRow("close before the request is emitted") << u"early"_s;
}

void tst_CredentialRequests::closeEndsTheWait()
{
    QFETCH(const QString, how);
    ScriptedPeer peer;
    auto client = std::make_unique<AskingClient>(withoutCredentials(peer));
    const QFuture<Result<void>> opening = client->connection.open().toFuture();
    if (how != u"early")
        QVERIFY(client->waitForRequests(1));
    if (how == u"delete")
        client.reset();
    else if (how == u"abort")
        client->connection.abort();
    else
        client->connection.close();
    QVERIFY(waitUntil([&] { return opening.isFinished(); }));
    QCOMPARE(opening.result().error().kind(), ErrorKind::Cancelled);
    if (!client)
        return;
    QVERIFY(waitUntil([&] { return client->log.has(u"connection.closed ok"_s); }));
    QCOMPARE(client->requests.size(), how == u"early" ? 0 : 1);
    client->connection.setCredentials(u"guest"_s, u"late"_s); // for the next open()
    settleEvents();
    QCOMPARE(client->connection.state(), Connection::State::Closed);
    QCOMPARE(peer.connectionCount(), 0);
    QVERIFY(client->open());
    QCOMPARE(sentPassword(peer), "late");
    QCOMPARE(client->log.only(u"connection.closed"_s).size(), 1);
}

void tst_CredentialRequests::refusedCredentialsAreAskedForAgain()
{
    ScriptedPeer peer;
    acceptOnly(peer, "right");
    ConnectionParameters parameters = withoutRecovery(peer);
    parameters.setRetryDelay(1ms);
    AskingClient client(parameters);
    const Reply<void> opening = client.connection.open();
    QVERIFY(client.waitForRequests(1));
    client.connection.setCredentials(u"guest"_s, u"wrong"_s);
    QVERIFY(client.waitForRequests(2));
    QCOMPARE(client.requests, QList({Reason::Refused, Reason::Refused}));
    QVERIFY(!opening.isFinished());
    client.connection.setCredentials(u"guest"_s, u"right"_s);
    QVERIFY(waitUntil([&] { return opening.isFinished(); }));
    QVERIFY(opening.result());
    QCOMPARE(peer.connectionCount(), 3);
    QVERIFY(!client.connection.error().isError());
    QCOMPARE(client.log.only(u"connection.errorOccurred"_s), QStringList());
    QCOMPARE(client.log.only(u"connection.closed"_s), QStringList());
}

void tst_CredentialRequests::newerCredentialsAreUsedAfterARefusal()
{
    ScriptedPeer peer;
    acceptOnly(peer, "right");
    AskingClient client(withoutRecovery(peer));
    const Reply<void> opening = client.connection.open();
    client.connection.setCredentials(u"guest"_s, u"right"_s); // the attempt has a copy of the parameters
    QVERIFY(waitUntil([&] { return opening.isFinished(); }));
    QVERIFY(opening.result());
    QCOMPARE(client.requests, QList<Reason>());
    QCOMPARE(peer.connectionCount(), 2);
}

void tst_CredentialRequests::newerCredentialsAreUsedAtALaterEndpoint()
{
    ScriptedPeer peer;
    acceptOnly(peer, "right");
    AskingClient client(to({closedPort(), endpointOf(peer)}));
    client.connection.setCredentials(u"guest"_s, u"wrong"_s);
    const Reply<void> opening = client.connection.open();
    client.connection.setCredentials(u"guest"_s, u"right"_s);
    QVERIFY(waitUntil([&] { return opening.isFinished(); }));
    QVERIFY2(opening.result(), qPrintable(opening.result().error().toString()));
    QCOMPARE(client.requests, QList<Reason>());
    QCOMPARE(peer.connectionCount(), 2);
}

void tst_CredentialRequests::answersToRepeatedRefusalsAreDelayed()
{
    ScriptedPeer peer;
    acceptOnly(peer, "right");
    ConnectionParameters parameters = withoutRecovery(peer);
    parameters.setRetryDelay(1h);
    AskingClient client(parameters);
    client.answer = [&](Reason) { client.connection.setCredentials(u"guest"_s, u"wrong"_s); };
    client.connection.open();
    QVERIFY(client.waitForRequests(2));
    for (int i = 0; i < 5; ++i)
        settleEvents();
    QVERIFY(!ConnectionPrivate::of(&client.connection)->engine.deadline()); // there is no attempt to connect
    QCOMPARE(client.connection.state(), Connection::State::Connecting);
    QCOMPARE(client.requests.size(), 2);
    client.connection.close();
    QVERIFY(client.waitForClosed());
    QCOMPARE(peer.connectionCount(), 2);
}

void tst_CredentialRequests::withoutAReceiverARefusalEndsTheAttempt()
{
    ScriptedPeer peer;
    acceptOnly(peer, "right");
    Connection connection(withoutRecovery(peer));
    SignalLog log;
    log.watch(&connection);
    connection.open();
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed Authentication 403"_s); }));
    QCOMPARE(peer.connectionCount(), 1);

    // A receiver that comes later is asked at the next attempt, before the same credentials are sent again.
    QList<Reason> requests;
    connect(&connection, &Connection::credentialsRequested, this, [&](Reason reason) {
        requests += reason;
        connection.setCredentials(u"guest"_s, u"right"_s);
    });
    connection.open();
    QVERIFY(waitUntil([&] { return connection.isOpen(); }));
    QCOMPARE(requests, QList{Reason::Refused});
    QCOMPARE(peer.connectionCount(), 2);
}

void tst_CredentialRequests::refusalOfAnotherMechanismDoesNotAsk()
{
    ScriptedPeer peer;
    ScriptedPeer::Handshake handshake;
    handshake.mechanisms = "ANONYMOUS PLAIN";
    peer.setHandshake(handshake);
    peer.closeInsteadOf("connection.tune", 403, "ACCESS_REFUSED");
    ConnectionParameters parameters = withoutRecovery(peer);
    parameters.setMechanismNames({u"ANONYMOUS"_s, u"PLAIN"_s});
    AskingClient client(parameters);
    client.connection.open();
    QVERIFY(client.waitForClosed(u"Authentication 403"_s));
    QCOMPARE(client.requests, QList<Reason>());
    QCOMPARE(peer.connectionCount(), 1);
}

void tst_CredentialRequests::passwordOfALaterMechanismIsNotAskedForBeforehand()
{
    ScriptedPeer peer;
    ScriptedPeer::Handshake handshake;
    handshake.mechanisms = "ANONYMOUS PLAIN";
    peer.setHandshake(handshake);
    ConnectionParameters parameters = withoutCredentials(peer);
    parameters.setMechanismNames({u"ANONYMOUS"_s, u"PLAIN"_s});
    parameters.setEraseOnConnect(true);
    AskingClient client(parameters);
    for (int i = 0; i < 2; ++i) { // the second time, the credentials are erased
        QVERIFY(client.open());
        QCOMPARE(peer.last("connection.start-ok").fields.value(u"mechanism"_s).toString(), u"ANONYMOUS"_s);
        client.connection.close();
        QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
    }
    QCOMPARE(client.requests, QList<Reason>());

    handshake.mechanisms = "PLAIN";
    peer.setHandshake(handshake);
    client.connection.open(); // an empty password must not be sent instead
    QVERIFY(client.waitForClosed(u"Authentication"_s));
    QCOMPARE(peer.count("connection.start-ok"), 2);
}

void tst_CredentialRequests::aConnectionDroppedDuringTheLoginIsARefusal()
{
    ScriptedPeer peer;
    ScriptedPeer::Handshake handshake;
    handshake.serverProperties = {}; // without authentication_failure_close
    peer.setHandshake(handshake);
    peer.setHook([&peer](const Command &command) {
        const bool refuses = command.name == "connection.start-ok" && peer.connectionCount() == 1;
        if (refuses)
            peer.hangUp();
        return refuses;
    });
    AskingClient client(withoutRecovery(peer));
    client.answer = [&](Reason) { client.connection.setCredentials(u"guest"_s, u"right"_s); };
    QVERIFY(client.open());
    QCOMPARE(client.requests, QList{Reason::Refused});
}

void tst_CredentialRequests::anAnswerInTheSlotIsUsedAtOnce()
{
    ScriptedPeer peer;
    AskingClient client(withoutCredentials(peer));
    client.answer = [&](Reason) { client.connection.setCredentials(u"me"_s, u"token"_s); };
    QVERIFY(client.open());
    QCOMPARE(sentPassword(peer), "token");
    QCOMPARE(client.connection.parameters().userName(), u"me"_s);
}

void tst_CredentialRequests::userNameWithoutAPasswordIsAskedFor_data()
{
    QTest::addColumn<bool>("isUrl");
    QTest::newRow("setCredentials") << false;
    QTest::newRow("URL") << true;
}

void tst_CredentialRequests::userNameWithoutAPasswordIsAskedFor()
{
    QFETCH(const bool, isUrl);
    ScriptedPeer peer;
    ConnectionParameters parameters = withoutCredentials(peer);
    if (isUrl)
        parameters = ConnectionParameters::fromUrl(QUrl(u"amqp://alice@127.0.0.1:%1"_s.arg(peer.port()))).value();
    else
        parameters.setCredentials(u"alice"_s, {});
    AskingClient client(parameters);
    client.connection.open();
    QVERIFY(client.waitForRequests(1));
    QCOMPARE(client.requests, QList{Reason::FirstConnect});
    QCOMPARE(client.connection.parameters().userName(), u"alice"_s);
    QCOMPARE(peer.connectionCount(), 0);

    OpenClient silent(parameters); // whose signal has no receiver
    QCOMPARE(sentPassword(peer), "");
}

void tst_CredentialRequests::emptyPasswordMayBeAnAnswer()
{
    ScriptedPeer peer;
    AskingClient client(withoutCredentials(peer));
    client.answer = [&](Reason) { client.connection.setCredentials(u"alice"_s, {}); };
    QVERIFY(client.open());
    QCOMPARE(client.requests.size(), 1);
    QCOMPARE(sentPassword(peer), "");
}

void tst_CredentialRequests::lastReceiverEndsTheWait_data()
{
    QTest::addColumn<QString>("how");
    QTest::addColumn<bool>("isEmitted");
    for (const char *how : {"deleted", "disconnected", "everything disconnected"}) {
        QTest::addRow("%s", how) << QString::fromLatin1(how) << true;
        QTest::addRow("%s before the request is emitted", how) << QString::fromLatin1(how) << false;
    }
}

void tst_CredentialRequests::lastReceiverEndsTheWait()
{
    QFETCH(const QString, how);
    QFETCH(const bool, isEmitted);
    ScriptedPeer peer;
    Connection connection(withoutCredentials(peer));
    auto receiver = std::make_unique<QObject>();
    int requests = 0;
    connect(&connection, &Connection::credentialsRequested, receiver.get(), [&] { ++requests; });
    const Reply<void> opening = connection.open();
    QVERIFY(!isEmitted || waitUntil([&] { return requests == 1; }));
    if (how == u"deleted")
        receiver.reset();
    else if (how == u"disconnected")
        disconnect(&connection, &Connection::credentialsRequested, nullptr, nullptr);
    else
        disconnect(&connection, nullptr, nullptr, nullptr);
    QVERIFY(waitUntil([&] { return opening.isFinished(); }));
    QCOMPARE(opening.result().error().kind(), ErrorKind::Authentication);
    QVERIFY2(opening.result().error().text().contains(u"credentialsRequested()"),
             qPrintable(opening.result().error().text()));
    QCOMPARE(requests, isEmitted ? 1 : 0);
    QCOMPARE(peer.connectionCount(), 0);
    connection.setCredentials(u"guest"_s, u"token"_s);
    connection.open();
    QVERIFY(waitUntil([&] { return connection.isOpen(); }));
}

void tst_CredentialRequests::anotherReceiverMayAnswer()
{
    ScriptedPeer peer;
    AskingClient client(withoutCredentials(peer));
    auto receiver = std::make_unique<QObject>();
    connect(&client.connection, &Connection::credentialsRequested, receiver.get(), [] {});
    client.connection.open();
    QVERIFY(client.waitForRequests(1));
    receiver.reset();
    for (int i = 0; i < 5; ++i)
        settleEvents();
    QCOMPARE(client.connection.state(), Connection::State::Connecting);
    client.connection.setCredentials(u"guest"_s, u"token"_s);
    QVERIFY(waitUntil([&] { return client.connection.isOpen(); }));
}

void tst_CredentialRequests::slotMayEndTheConnection_data()
{
    QTest::addColumn<QString>("how");
    QTest::addColumn<bool>("isRefused");
    for (const char *how : {"delete", "delete after the answer", "close", "abort"}) {
        QTest::addRow("%s before the login", how) << QString::fromLatin1(how) << false;
        QTest::addRow("%s after a refusal", how) << QString::fromLatin1(how) << true;
    }
}

void tst_CredentialRequests::slotMayEndTheConnection()
{
    QFETCH(const QString, how);
    QFETCH(const bool, isRefused);
    ScriptedPeer peer;
    acceptOnly(peer, "right");
    auto client = std::make_unique<AskingClient>(isRefused ? withoutRecovery(peer) : withoutCredentials(peer));
    client->answer = [&](Reason) {
        if (how == u"close") {
            client->connection.close();
        } else if (how == u"abort") {
            client->connection.abort();
        } else {
            if (how == u"delete after the answer")
                client->connection.setCredentials(u"guest"_s, u"right"_s);
            client.reset();
        }
    };
    const QFuture<Result<void>> opening = client->connection.open().toFuture();
    QVERIFY(waitUntil([&] { return opening.isFinished(); }));
    QCOMPARE(opening.result().error().kind(), ErrorKind::Cancelled);
    QVERIFY(!client || client->waitForClosed());
    settleEvents();
    QCOMPARE(peer.connectionCount(), isRefused ? 1 : 0);
    QVERIFY(!client || client->requests.size() == 1);
}

void tst_CredentialRequests::slotMayAnswerInANestedEventLoop()
{
    ScriptedPeer peer;
    acceptOnly(peer, "right");
    AskingClient client(withoutRecovery(peer));
    bool wasOpenInside = false;
    client.answer = [&](Reason) {
        client.connection.setCredentials(u"guest"_s, u"right"_s);
        wasOpenInside = waitUntil([&] { return client.connection.isOpen(); });
    };
    QVERIFY(client.open());
    QVERIFY(wasOpenInside);
    QCOMPARE(client.requests, QList{Reason::Refused});
    settle(client.connection);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_CredentialRequests::invalidCredentialsChangeNothing_data()
{
    QTest::addColumn<QString>("secret");
    QTest::addColumn<qint64>("validFor");
    QTest::addColumn<QString>("argument");
    constexpr qint64 Century = 100LL * 365 * 24 * 3600;
    QTest::newRow("NUL") << QString(QChar::Null) << qint64(1) << u"credentials: "_s;
    QTest::newRow("not Unicode") << QString(QChar(0xd800)) << qint64(1) << u"credentials: "_s;
    QTest::newRow("expired") << u"token"_s << qint64(0) << u"validFor: "_s;
    QTest::newRow("more than a century") << u"token"_s << Century + 1 << u"validFor: 3153600001 s is out of range"_s;
    QTest::newRow("longest") << u"token"_s << qint64(std::chrono::seconds::max().count()) << u"validFor: "_s;
}

void tst_CredentialRequests::invalidCredentialsChangeNothing()
{
    QFETCH(const QString, secret);
    QFETCH(const qint64, validFor);
    QFETCH(const QString, argument);
    ScriptedPeer peer;
    AskingClient client(withoutCredentials(peer));
    client.connection.open();
    QVERIFY(client.waitForRequests(1));
    const Reply<void> reply = client.connection.setCredentials(u"guest"_s, secret, std::chrono::seconds(validFor));
    const Error error = client.connection.lastCallError();
    QVERIFY(reply.isFinished());
    QCOMPARE(reply.result().error(), error);
    QCOMPARE(error.kind(), ErrorKind::InvalidArgument);
    QVERIFY2(error.text().startsWith(argument), qPrintable(error.text()));
    settleEvents();
    QCOMPARE(client.connection.state(), Connection::State::Connecting);                           // still waiting
    client.connection.setCredentials(u"guest"_s, u"token"_s, std::chrono::hours(100 * 365 * 24)); // the longest life
    QVERIFY(waitUntil([&] { return client.connection.isOpen(); }));
    QCOMPARE(client.requests.size(), 1);
}

void tst_CredentialRequests::channelsWaitThroughTheRequest()
{
    ScriptedPeer peer;
    acceptOnly(peer, "right");
    AskingClient client(withoutRecovery(peer));
    Channel *channel = client.connection.createChannel();
    client.log.watch(channel->declareQueue(u"q"_s), u"declare"_s);
    client.connection.open();
    QVERIFY(client.waitForRequests(1));
    client.connection.setCredentials(u"guest"_s, u"right"_s);
    QVERIFY(waitUntil([&] { return client.log.has(u"reply.declare ok"_s); }));
    QVERIFY(channel->isOpen());
}

QTEST_GUILESS_MAIN(tst_CredentialRequests)
#include "tst_credentialrequests.moc"
