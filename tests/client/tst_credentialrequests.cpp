// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;
using Reason = Connection::CredentialReason;

namespace
{

// A connection whose requests for credentials are recorded, and answered if the test sets an answer.
class AskingClient
{
public:
    explicit AskingClient(const ConnectionParameters &parameters)
        : connection(parameters)
    {
        log.watch(&connection);
        QObject::connect(&connection, &Connection::credentialsRequested, &connection, [this](Reason reason) {
            log.add(u"credentialsRequested "_s + nameOf(reason));
            requests += reason;
            if (answer)
                answer(reason);
        });
    }
    bool waitForRequests(int count)
    {
        return waitUntil([this, count] { return requests.size() >= count; });
    }
    bool open()
    {
        connection.open();
        return waitUntil([this] { return connection.isOpen(); });
    }

    Connection connection;
    SignalLog log;
    QList<Reason> requests;
    std::function<void(Reason)> answer;
};

// Refuses logins with other passwords.
void acceptOnly(ScriptedPeer &peer, const QByteArray &password)
{
    peer.setHook([&peer, password](const Command &command) {
        if (command.name != "connection.start-ok" ||
            command.fields.value(u"response"_s).toByteArray().endsWith('\0' + password))
            return false;
        peer.closeConnection(403, "ACCESS_REFUSED - Login was refused");
        return true;
    });
}

ConnectionParameters withoutCredentials(const ScriptedPeer &peer)
{
    ConnectionParameters parameters;
    parameters.setEndpoints(parametersOf(peer).endpoints());
    return parameters;
}

QByteArray sentPassword(const ScriptedPeer &peer)
{
    return peer.last("connection.start-ok").fields.value(u"response"_s).toByteArray().split('\0').last();
}

} // namespace

// Connection::credentialsRequested() and setCredentials().
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
    void withoutAReceiverARefusalEndsTheAttempt();
    void aConnectionDroppedDuringTheLoginIsARefusal();
    void anAnswerInTheSlotIsUsedAtOnce();
    void aConnectionAsksBeforeItsTokenExpires();
    void withoutALifeNoSecretIsSentToAnOpenConnection();
    void anExpiredTokenIsAskedForBeforeTheNextAttempt_data();
    void anExpiredTokenIsAskedForBeforeTheNextAttempt();
    void erasedCredentialsAreAskedFor();
    void withoutAReceiverErasedCredentialsFailTheOpening();
    void erasedCredentialsAreWipedAfterAFailedAttempt();
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
    AskingClient client(parametersOf(peer));
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
    QTest::qWait(200); // longer than the deadline of the attempt
    QVERIFY(!opening.isFinished());
    QCOMPARE(client.connection.state(), Connection::State::Connecting);
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
    AskingClient client(parametersOf(peer));
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
    AskingClient client(parametersOf(peer));
    const Reply<void> opening = client.connection.open();
    client.connection.setCredentials(u"guest"_s, u"right"_s); // the attempt has a copy of the parameters
    QVERIFY(waitUntil([&] { return opening.isFinished(); }));
    QVERIFY(opening.result());
    QCOMPARE(client.requests, QList<Reason>());
    QCOMPARE(peer.connectionCount(), 2);
}

void tst_CredentialRequests::withoutAReceiverARefusalEndsTheAttempt()
{
    ScriptedPeer peer;
    acceptOnly(peer, "right");
    Connection connection(parametersOf(peer));
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
    AskingClient client(parametersOf(peer));
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

void tst_CredentialRequests::aConnectionAsksBeforeItsTokenExpires()
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

void tst_CredentialRequests::withoutALifeNoSecretIsSentToAnOpenConnection()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    client.connection.setCredentials(u"guest"_s, u"for later"_s, 1h);
    settle(client.connection);
    QCOMPARE(peer.count("connection.update-secret"), 0);
}

void tst_CredentialRequests::anExpiredTokenIsAskedForBeforeTheNextAttempt_data()
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

void tst_CredentialRequests::anExpiredTokenIsAskedForBeforeTheNextAttempt()
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

void tst_CredentialRequests::erasedCredentialsAreAskedFor()
{
    ScriptedPeer peer;
    ConnectionParameters parameters = parametersOf(peer);
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

void tst_CredentialRequests::withoutAReceiverErasedCredentialsFailTheOpening()
{
    ScriptedPeer peer;
    ConnectionParameters parameters = parametersOf(peer);
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

void tst_CredentialRequests::erasedCredentialsAreWipedAfterAFailedAttempt()
{
    ScriptedPeer peer;
    peer.closeInsteadOf("connection.open-ok", 530, "NOT_ALLOWED - vhost not found");
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setEraseOnConnect(true);
    Connection connection(parameters);
    SignalLog log;
    log.watch(&connection);
    connection.open();
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed ConnectionClosed 530"_s); }));
    QCOMPARE(connection.parameters().password(), QString());
    QCOMPARE(parameters.password(), u"guest"_s);
}

void tst_CredentialRequests::invalidCredentialsChangeNothing_data()
{
    QTest::addColumn<QString>("secret");
    QTest::addColumn<int>("validFor");
    QTest::addColumn<QString>("argument");
    QTest::newRow("NUL") << QString(QChar::Null) << 1 << u"credentials: "_s;
    QTest::newRow("not Unicode") << QString(QChar(0xd800)) << 1 << u"credentials: "_s;
    QTest::newRow("expired") << u"token"_s << 0 << u"validFor: "_s;
}

void tst_CredentialRequests::invalidCredentialsChangeNothing()
{
    QFETCH(const QString, secret);
    QFETCH(const int, validFor);
    QFETCH(const QString, argument);
    ScriptedPeer peer;
    AskingClient client(withoutCredentials(peer));
    client.connection.open();
    QVERIFY(client.waitForRequests(1));
    client.connection.setCredentials(u"guest"_s, secret, std::chrono::seconds(validFor));
    const Error error = client.connection.lastCallError();
    QCOMPARE(error.kind(), ErrorKind::InvalidArgument);
    QVERIFY2(error.text().startsWith(argument), qPrintable(error.text()));
    settleEvents();
    QCOMPARE(client.connection.state(), Connection::State::Connecting); // still waiting
    client.connection.setCredentials(u"guest"_s, u"token"_s);
    QVERIFY(waitUntil([&] { return client.connection.isOpen(); }));
}

void tst_CredentialRequests::channelsWaitThroughTheRequest()
{
    ScriptedPeer peer;
    acceptOnly(peer, "right");
    AskingClient client(parametersOf(peer));
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
