// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"

#include <AmqpQt/saslmechanism.h>

#include <algorithm>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

// Answers each challenge with its reverse, as far as it knows the answer.
class Reverse : public SaslMechanism
{
public:
    QByteArray name() const override { return "REVERSE"; }
    QByteArray initialResponse() override
    {
        ++initialResponses;
        if (whenAsked)
            whenAsked();
        return "hello";
    }
    std::optional<QByteArray> respond(const QByteArray &challenge) override
    {
        challenges += challenge;
        if (whenAsked)
            whenAsked();
        if (challenge == "unknown")
            return std::nullopt;
        QByteArray response = challenge;
        std::reverse(response.begin(), response.end());
        return response;
    }

    int initialResponses = 0;
    QByteArrayList challenges;
    std::function<void()> whenAsked;
};

ConnectionParameters with(const ScriptedPeer &peer, const QList<std::shared_ptr<SaslMechanism>> &mechanisms)
{
    ConnectionParameters parameters = withoutRecovery(peer);
    parameters.setMechanisms(mechanisms);
    return parameters;
}

ScriptedPeer::Handshake challenging(const QByteArrayList &challenges)
{
    ScriptedPeer::Handshake handshake;
    handshake.mechanisms = "PLAIN REVERSE";
    handshake.challenges = challenges;
    return handshake;
}

} // namespace

// The choice of a mechanism, and mechanisms of the application.
class tst_SaslMechanisms : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void theChosenMechanismIsSent_data();
    void theChosenMechanismIsSent();
    void externalIsNeverReplacedByAPassword();
    void anOwnMechanismAnswersChallenges();
    void eachEndpointBeginsWithAnInitialResponse();
    void aMechanismThatGivesUpFailsTheOpening();
    void theUserIdIsNotCheckedWithoutAPassword();
    void aMechanismMayEndTheAttempt_data();
    void aMechanismMayEndTheAttempt();
};

void tst_SaslMechanisms::theChosenMechanismIsSent_data()
{
    QTest::addColumn<QStringList>("names");
    QTest::addColumn<QByteArray>("offered");
    QTest::addColumn<QString>("mechanism");
    QTest::addColumn<QByteArray>("response");
    const QByteArray plain("\0guest\0guest", 12);
    const QByteArray amqplain("\x05LOGINS\0\0\0\5guest\x08PASSWORDS\0\0\0\5guest", 35);
    QTest::newRow("default") << QStringList() << QByteArray("AMQPLAIN PLAIN ANONYMOUS") << u"PLAIN"_s << plain;
    QTest::newRow("PLAIN is not offered")
        << QStringList() << QByteArray("EXTERNAL AMQPLAIN") << u"AMQPLAIN"_s << amqplain;
    QTest::newRow("AMQPLAIN") << QStringList{u"AMQPLAIN"_s} << QByteArray("PLAIN AMQPLAIN") << u"AMQPLAIN"_s
                              << amqplain;
    QTest::newRow("ANONYMOUS") << QStringList{u"ANONYMOUS"_s} << QByteArray("PLAIN ANONYMOUS") << u"ANONYMOUS"_s
                               << QByteArray();
}

void tst_SaslMechanisms::theChosenMechanismIsSent()
{
    QFETCH(const QStringList, names);
    QFETCH(const QByteArray, offered);
    QFETCH(const QString, mechanism);
    QFETCH(const QByteArray, response);
    ScriptedPeer peer;
    ScriptedPeer::Handshake handshake;
    handshake.mechanisms = offered;
    peer.setHandshake(handshake);
    ConnectionParameters parameters = withoutRecovery(peer);
    if (!names.isEmpty())
        parameters.setMechanismNames(names);
    OpenClient client(parameters);
    const Command startOk = peer.last("connection.start-ok");
    QCOMPARE(startOk.fields.value(u"mechanism"_s).toString(), mechanism);
    QCOMPARE(startOk.fields.value(u"response"_s).toByteArray(), response);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_SaslMechanisms::externalIsNeverReplacedByAPassword()
{
    ScriptedPeer peer;
    ScriptedPeer::Handshake handshake;
    ConnectionParameters parameters = withoutRecovery(peer);
    parameters.setExternalAuthentication();
    for (const QByteArray &offered : {QByteArray("PLAIN AMQPLAIN"), QByteArray("PLAIN EXTERNAL")}) {
        handshake.mechanisms = offered;
        peer.setHandshake(handshake);
        Connection connection(parameters);
        const Reply<void> opening = connection.open();
        QVERIFY(waitUntil([&] { return opening.isFinished(); }));
        QCOMPARE(opening.result().error().kind(), ErrorKind::Authentication);
        QVERIFY2(opening.result().error().text().contains(u"EXTERNAL"), qPrintable(opening.result().error().text()));
    }
    QCOMPARE(peer.connectionCount(), 2);
    QCOMPARE(peer.received().size(), 0);
}

void tst_SaslMechanisms::anOwnMechanismAnswersChallenges()
{
    ScriptedPeer peer;
    peer.setHandshake(challenging({"abc", "", "xyz"}));
    const auto mechanism = std::make_shared<Reverse>();
    OpenClient client(with(peer, {mechanism}));
    const Command startOk = peer.last("connection.start-ok");
    QCOMPARE(startOk.fields.value(u"mechanism"_s).toString(), u"REVERSE"_s);
    QCOMPARE(startOk.fields.value(u"response"_s).toByteArray(), "hello");
    QByteArrayList responses;
    for (const Command &secureOk : peer.received("connection.secure-ok"))
        responses += secureOk.fields.value(u"response"_s).toByteArray();
    QCOMPARE(responses, QByteArrayList({"cba", "", "zyx"}));
    QCOMPARE(mechanism->challenges, QByteArrayList({"abc", "", "xyz"}));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_SaslMechanisms::eachEndpointBeginsWithAnInitialResponse()
{
    ScriptedPeer refusing;
    refusing.setHandshake(challenging({"abc"}));
    refusing.closeInsteadOf("connection.tune", 320, "CONNECTION_FORCED");
    ScriptedPeer peer;
    peer.setHandshake(challenging({"xyz"}));
    const auto mechanism = std::make_shared<Reverse>();
    ConnectionParameters parameters = with(refusing, {mechanism});
    parameters.setEndpoints(parametersOf(refusing).endpoints() + parametersOf(peer).endpoints());
    OpenClient client(parameters);
    QCOMPARE(mechanism->initialResponses, 2);
    QCOMPARE(mechanism->challenges, QByteArrayList({"abc", "xyz"}));
}

void tst_SaslMechanisms::aMechanismThatGivesUpFailsTheOpening()
{
    ScriptedPeer peer;
    peer.setHandshake(challenging({"abc", "unknown", "xyz"}));
    Connection connection(with(peer, {std::make_shared<Reverse>()}));
    SignalLog log;
    log.watch(&connection);
    connection.open();
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed Authentication"_s); }));
    QVERIFY2(connection.error().text().contains(u"\"REVERSE\""), qPrintable(connection.error().text()));
    QVERIFY(waitUntil([&] { return !peer.isConnected(); }));
    QCOMPARE(peer.count("connection.secure-ok"), 1);
    QCOMPARE(log.only(u"connection.closed"_s).size(), 1);
}

void tst_SaslMechanisms::theUserIdIsNotCheckedWithoutAPassword()
{
    ScriptedPeer peer;
    peer.setHandshake(challenging({}));
    OpenClient client(with(peer, {std::make_shared<Reverse>()}));
    Message message("body");
    message.setUserId(u"whoever the broker knows"_s);
    client.channel->publish({}, u"q"_s, message);
    QVERIFY(waitUntil([&] { return peer.count("basic.publish") == 1; }));
}

void tst_SaslMechanisms::aMechanismMayEndTheAttempt_data()
{
    QTest::addColumn<QString>("how");
    QTest::newRow("close") << u"close"_s;
    QTest::newRow("abort") << u"abort"_s;
    QTest::newRow("delete") << u"delete"_s;
    QTest::newRow("nested event loop in which the peer drops the connection") << u"drop"_s;
    QTest::newRow("nested event loop in which another attempt begins") << u"reopen"_s;
}

void tst_SaslMechanisms::aMechanismMayEndTheAttempt()
{
    QFETCH(const QString, how);
    ScriptedPeer peer;
    peer.setHandshake(challenging({"abc"}));
    const auto mechanism = std::make_shared<Reverse>();
    auto connection = std::make_unique<Connection>(with(peer, {mechanism}));
    SignalLog log;
    log.watch(connection.get());
    bool isDone = false;
    mechanism->whenAsked = [&] {
        if (mechanism->challenges.isEmpty() || std::exchange(isDone, true))
            return; // at the first challenge
        if (how == u"close")
            connection->close();
        else if (how == u"delete")
            return connection.reset();
        else if (how == u"abort" || how == u"reopen")
            connection->abort();
        else
            peer.dropConnection();
        if (how == u"reopen" || how == u"drop")
            QVERIFY(waitUntil([&] { return !log.only(u"connection.closed"_s).isEmpty(); }));
        if (how == u"reopen") {
            connection->open();
            QVERIFY(waitUntil([&] { return peer.count("connection.start-ok") == 2; }));
        }
    };
    connection->open();
    QVERIFY(waitUntil([&] { return isDone; }));
    if (how == u"reopen") {
        QVERIFY(waitUntil([&] { return connection->isOpen(); }));
        QCOMPARE(peer.count("connection.secure-ok"), 1); // not the answer to the challenge of the first attempt
    } else if (connection) {
        QVERIFY(waitUntil([&] { return connection->state() == Connection::State::Closed; }));
        QVERIFY(waitUntil([&] { return !peer.isConnected(); }));
        QCOMPARE(peer.count("connection.secure-ok"), 0);
    } else {
        QVERIFY(waitUntil([&] { return !peer.isConnected(); }));
    }
    QCOMPARE(peer.violations(), QStringList());
}

QTEST_GUILESS_MAIN(tst_SaslMechanisms)
#include "tst_saslmechanisms.moc"
