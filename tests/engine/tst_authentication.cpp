// SPDX-License-Identifier: MIT
#include "engine/connection/sasl_p.h"
#include "support/script.h"
#include "wire/fieldtable_p.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;
using Step = Engine::Handshake::Step;

// SASL: the mechanisms of the engine, and those of the client.
class tst_Authentication : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void responsesOfTheMechanisms();
    void amqplainIsAFieldTable();
    void theFirstCommonMechanismIsChosen_data();
    void theFirstCommonMechanismIsChosen();
    void withoutACommonMechanismTheErrorListsBothSides();
    void externalNeedsTlsAndACertificate_data();
    void externalNeedsTlsAndACertificate();
    void startOkIsAsLargeAsTheBrokerAccepts_data();
    void startOkIsAsLargeAsTheBrokerAccepts();
    void largestFrameBeforeTuneCanBeSet();
    void refusedVirtualHostIsNoRefusedLogin();
    void droppedLoginNamesTheUserOrTheMechanism_data();
    void droppedLoginNamesTheUserOrTheMechanism();
    void aTooLargeStartOkNamesItsLargestPart_data();
    void aTooLargeStartOkNamesItsLargestPart();
    void theClientAnswersChallenges();
    void theClientMayGiveUp_data();
    void theClientMayGiveUp();
    void aChallengeForAMechanismOfTheEngineBreaksTheProtocol();
    void theBrokerMustWaitForAResponse_data();
    void theBrokerMustWaitForAResponse();
    void anAnswerAfterTheEndIsIgnored();
    void aTooLargeAnswerIsNotSent();
};

namespace
{

QByteArray withNuls(const char *text, qsizetype size)
{
    return QByteArray(text, size);
}

Script &startWith(Script &s, std::vector<Engine::Login::Mechanism> mechanisms,
                  const QByteArray &offered = "PLAIN AMQPLAIN EXTERNAL ANONYMOUS OWN")
{
    s.settings.login.mechanisms = std::move(mechanisms);
    return s.start().brokerStart(encodedServerProperties(), offered);
}

QByteArray encodedProperties(const FieldTable &properties)
{
    return *Wire::encodeTable(properties, u"");
}

} // namespace

void tst_Authentication::responsesOfTheMechanisms()
{
    QCOMPARE(Engine::saslResponse("PLAIN", u"usér"_s, "p").bytes(), withNuls("\0us\xc3\xa9r\0p", 8));
    QCOMPARE(Engine::saslResponse("PLAIN", {}, {}).bytes(), withNuls("\0\0", 2));
    QCOMPARE(Engine::saslResponse("AMQPLAIN", u"me"_s, "pw").bytes(),
             withNuls("\x05LOGINS\0\0\0\2me\x08PASSWORDS\0\0\0\2pw", 29));
    QVERIFY(Engine::saslResponse("EXTERNAL", u"me"_s, "pw").isEmpty());
    QVERIFY(Engine::saslResponse("ANONYMOUS", u"me"_s, "pw").isEmpty());
}

void tst_Authentication::amqplainIsAFieldTable()
{
    const Secret response = Engine::saslAmqplain(u"usér"_s, "pässword");
    QCOMPARE(Wire::decodeTable(response.bytes()),
             FieldTable({{u"LOGIN"_s, u"usér"_s}, {u"PASSWORD"_s, u"pässword"_s}}));
}

void tst_Authentication::theFirstCommonMechanismIsChosen_data()
{
    QTest::addColumn<QByteArrayList>("ours");
    QTest::addColumn<QByteArray>("offered");
    QTest::addColumn<QByteArray>("chosen");
    QTest::newRow("our order counts") << QByteArrayList{"PLAIN", "AMQPLAIN"} << QByteArray("AMQPLAIN PLAIN")
                                      << QByteArray("PLAIN");
    QTest::newRow("the other order") << QByteArrayList{"AMQPLAIN", "PLAIN"} << QByteArray("PLAIN AMQPLAIN")
                                     << QByteArray("AMQPLAIN");
    QTest::newRow("only the second is offered")
        << QByteArrayList{"PLAIN", "AMQPLAIN"} << QByteArray("XPLAIN AMQPLAIN") << QByteArray("AMQPLAIN");
    QTest::newRow("anonymous") << QByteArrayList{"ANONYMOUS"} << QByteArray("PLAIN ANONYMOUS")
                               << QByteArray("ANONYMOUS");
}

void tst_Authentication::theFirstCommonMechanismIsChosen()
{
    QFETCH(const QByteArrayList, ours);
    QFETCH(const QByteArray, offered);
    QFETCH(const QByteArray, chosen);
    Script s;
    std::vector<Engine::Login::Mechanism> mechanisms;
    for (const QByteArray &name : ours)
        mechanisms.push_back({.name = name});
    startWith(s, mechanisms, offered).expectSent<Wire::ConnectionStartOk>([&](const Wire::ConnectionStartOk &method) {
        QCOMPARE(method.mechanism, QByteArrayView(chosen));
        QCOMPARE(method.response, Engine::saslResponse(chosen, u"guest"_s, "secret").bytes());
    });
}

void tst_Authentication::withoutACommonMechanismTheErrorListsBothSides()
{
    Script s;
    startWith(s, {{.name = "EXTERNAL"}, {.name = "OWN", .isFromApplication = true}}, "PLAIN AMQPLAIN")
        .expectNothingSent();
    const Error error = s.takeConnectionClosed();
    QCOMPARE(error.kind(), ErrorKind::Authentication);
    for (const QString &part : {u"\"PLAIN AMQPLAIN\""_s, u"\"EXTERNAL OWN\""_s, u"rabbitmq_auth_mechanism_ssl"_s})
        QVERIFY2(error.text().contains(part), qPrintable(error.text()));
}

void tst_Authentication::externalNeedsTlsAndACertificate_data()
{
    QTest::addColumn<bool>("isEncrypted");
    QTest::addColumn<bool>("hasCertificate");
    QTest::addColumn<QString>("missing");
    QTest::newRow("neither") << false << false << u"not encrypted"_s;
    QTest::newRow("no TLS") << false << true << u"not encrypted"_s;
    QTest::newRow("no certificate") << true << false << u"certificate"_s;
    QTest::newRow("both") << true << true << QString();
}

void tst_Authentication::externalNeedsTlsAndACertificate()
{
    QFETCH(const bool, isEncrypted);
    QFETCH(const bool, hasCertificate);
    QFETCH(const QString, missing);
    Script s;
    s.settings.login.mechanisms = {{.name = "EXTERNAL"}, {.name = "PLAIN"}};
    s.start();
    s.engine.handshake().transportReady({.isEncrypted = isEncrypted, .hasCertificate = hasCertificate});
    s.brokerStart(encodedServerProperties(), "PLAIN EXTERNAL");
    if (missing.isEmpty()) {
        s.expectSent<Wire::ConnectionStartOk>([](const Wire::ConnectionStartOk &method) {
            QCOMPARE(method.mechanism, QByteArrayView("EXTERNAL"));
            QCOMPARE(method.response, QByteArrayView());
        });
        return;
    }
    const Error error = s.expectNothingSent().takeConnectionClosed(); // in particular not PLAIN
    QCOMPARE(error.kind(), ErrorKind::Authentication);
    QVERIFY2(error.text().contains(missing), qPrintable(error.text()));
}

void tst_Authentication::startOkIsAsLargeAsTheBrokerAccepts_data()
{
    QTest::addColumn<FieldTable>("properties");
    QTest::addColumn<int>("limit");
    const auto rabbitMq = [](const QVariant &version) {
        return FieldTable{{u"product"_s, u"RabbitMQ"_s}, {u"version"_s, version}};
    };
    QTest::newRow("3.10") << rabbitMq(u"3.10.8"_s) << 4096;
    QTest::newRow("4.0") << rabbitMq(u"4.0.9"_s) << 4096;
    QTest::newRow("4.1") << rabbitMq(u"4.1.0"_s) << 8192;
    QTest::newRow("4.10") << rabbitMq(u"4.10.0-rc.1"_s) << 8192;
    QTest::newRow("5.0") << rabbitMq(u"5.0.0"_s) << 8192;
    QTest::newRow("10") << rabbitMq(u"10"_s) << 8192;
    QTest::newRow("a version that is not a number") << rabbitMq(u"next"_s) << 4096;
    QTest::newRow("a version of another type") << rabbitMq(4) << 4096;
    QTest::newRow("another product") << FieldTable{{u"product"_s, u"Qpid"_s}, {u"version"_s, u"9.2.0"_s}} << 4096;
    QTest::newRow("no properties") << FieldTable() << 4096;
}

void tst_Authentication::startOkIsAsLargeAsTheBrokerAccepts()
{
    QFETCH(const FieldTable, properties);
    QFETCH(const int, limit);
    const QByteArray encoded = encodedProperties(properties);
    Script s;
    qsizetype size = 0;
    s.start().brokerStart(encoded).expectSent<Wire::ConnectionStartOk>(
        [&](const Wire::ConnectionStartOk &method) { size = Wire::payloadSize(method) + Wire::FrameOverhead; });
    const qsizetype room = limit - size;
    s.engine.abort();
    s.takeEvents();
    const auto withPassword = [&](qsizetype added) {
        s.settings.login.password = Secret(u"secret"_s + QString(added, u'x'));
        s.start().brokerStart(encoded);
    };
    s.checksRules = false; // they know only the limit of AMQP
    withPassword(room);
    s.expectSent<Wire::ConnectionStartOk>([&](const Wire::ConnectionStartOk &method) {
        QCOMPARE(Wire::payloadSize(method) + Wire::FrameOverhead, qsizetype(limit));
    });
    s.engine.abort();
    s.takeEvents();
    withPassword(room + 1);
    const Error error = s.expectNothingSent().takeConnectionClosed();
    QCOMPARE(error.kind(), ErrorKind::InvalidArgument);
    QVERIFY2(error.text().contains(
                 u"needs %1 bytes, but this broker accepts by default %2 bytes"_s.arg(limit + 1).arg(limit)),
             qPrintable(error.text()));
}

// RabbitMQ's initial_frame_max.
void tst_Authentication::largestFrameBeforeTuneCanBeSet()
{
    constexpr quint32 Limit = 10'000;
    Script s;
    s.settings.initialFrameMax = Limit;
    qsizetype size = 0;
    s.start().brokerStart().expectSent<Wire::ConnectionStartOk>(
        [&](const Wire::ConnectionStartOk &method) { size = Wire::payloadSize(method) + Wire::FrameOverhead; });
    const qsizetype room = qsizetype(Limit) - size;
    s.checksRules = false; // they know only the limit of AMQP
    for (const qsizetype tooMuch : {0, 1}) {
        s.engine.abort();
        s.takeEvents();
        s.settings.login.password = Secret(u"secret"_s + QString(room + tooMuch, u'x'));
        s.start().brokerStart();
        if (!tooMuch)
            s.expectSent<Wire::ConnectionStartOk>([&](const Wire::ConnectionStartOk &method) {
                QCOMPARE(Wire::payloadSize(method) + Wire::FrameOverhead, qsizetype(Limit));
            });
    }
    const Error error = s.expectNothingSent().takeConnectionClosed();
    QCOMPARE(error.kind(), ErrorKind::InvalidArgument);
    for (const QString &part : {u"credentials "_s, u"needs 10001 bytes"_s, u"10000 bytes"_s, u"8192 bytes"_s,
                                u"4096 bytes"_s, u"initial_frame_max"_s, u"setMaximumInitialFrameSize()"_s})
        QVERIFY2(error.text().contains(part), qPrintable(error.text()));
}

void tst_Authentication::refusedVirtualHostIsNoRefusedLogin()
{
    for (const bool isAccepted : {false, true}) {
        Script s;
        s.start().brokerStart().expectSent<Wire::ConnectionStartOk>();
        if (isAccepted)
            s.broker(Offer().tune()).expectSent<Wire::ConnectionTuneOk>().expectSent<Wire::ConnectionOpen>();
        s.broker(Wire::ConnectionClose{.replyCode = 403, .replyText = "ACCESS_REFUSED"});
        const Error error = s.takeConnectionClosed();
        QCOMPARE(error.kind(), isAccepted ? ErrorKind::ConnectionClosed : ErrorKind::Authentication);
        QCOMPARE(error.replyCode(), quint16(403));
    }
}

void tst_Authentication::droppedLoginNamesTheUserOrTheMechanism_data()
{
    QTest::addColumn<QByteArray>("mechanism");
    QTest::addColumn<QString>("name");
    QTest::newRow("PLAIN") << QByteArray("PLAIN") << u"of user \"guest\""_s;
    QTest::newRow("AMQPLAIN") << QByteArray("AMQPLAIN") << u"of user \"guest\""_s;
    QTest::newRow("ANONYMOUS") << QByteArray("ANONYMOUS") << u"with the SASL mechanism \"ANONYMOUS\""_s;
}

void tst_Authentication::droppedLoginNamesTheUserOrTheMechanism()
{
    QFETCH(const QByteArray, mechanism);
    QFETCH(const QString, name);
    Script s;
    s.settings.login.mechanisms = {{.name = mechanism}};
    s.start().brokerStart(encodedProperties({}), mechanism).expectSent<Wire::ConnectionStartOk>();
    s.engine.transportClosed(Error(ErrorKind::Network, u"gone"_s));
    const Error error = s.takeConnectionClosed();
    QCOMPARE(error.kind(), ErrorKind::Authentication);
    QVERIFY2(error.text().contains(u"during the login "_s + name), qPrintable(error.text()));
}

void tst_Authentication::aTooLargeStartOkNamesItsLargestPart_data()
{
    QTest::addColumn<int>("properties");
    QTest::addColumn<int>("password");
    QTest::addColumn<QString>("name");
    QTest::newRow("client properties") << 5000 << 6 << u"clientProperties "_s;
    QTest::newRow("password") << 0 << 5000 << u"credentials "_s;
}

void tst_Authentication::aTooLargeStartOkNamesItsLargestPart()
{
    QFETCH(const int, properties);
    QFETCH(const int, password);
    QFETCH(const QString, name);
    Script s;
    s.settings.clientProperties = {{u"x"_s, QString(properties, u'x')}};
    s.settings.login.password = Secret(QString(password, u'p'));
    s.start().brokerStart().expectNothingSent();
    const Error error = s.takeConnectionClosed();
    QVERIFY2(error.text().startsWith(name), qPrintable(error.text()));
    for (const QString &limit : {u"4096 bytes"_s, u"8192 bytes"_s})
        QVERIFY2(error.text().contains(limit), qPrintable(error.text()));
    QVERIFY(!error.text().contains(u"pppp"));
}

void tst_Authentication::theClientAnswersChallenges()
{
    Script s;
    const auto requested = [&s](const std::optional<QByteArray> &challenge) {
        s.expectEvent<Engine::ResponseRequested>([&](const Engine::ResponseRequested &event) {
            QCOMPARE(event.mechanism, "OWN");
            QCOMPARE(event.challenge, challenge);
        });
    };
    startWith(s, {{.name = "OWN", .isFromApplication = true}}).expectNothingSent();
    QCOMPARE(s.engine.handshake().step(), Step::AwaitsInitialResponse);
    requested(std::nullopt);
    QVERIFY(!s.engine.handshake().respond("first").isError());
    s.write();
    s.expectSent<Wire::ConnectionStartOk>([](const Wire::ConnectionStartOk &method) {
        QCOMPARE(method.mechanism, QByteArrayView("OWN"));
        QCOMPARE(method.response, QByteArrayView("first"));
    });
    for (const QByteArray &challenge : {QByteArray("who?"), QByteArray()}) {
        s.broker(Wire::ConnectionSecure{.challenge = challenge}).expectNothingSent();
        QCOMPARE(s.engine.handshake().step(), Step::AwaitsResponse);
        requested(challenge);
        QVERIFY(!s.engine.handshake().respond("me" + challenge).isError());
        s.write();
        s.expectSent<Wire::ConnectionSecureOk>([&](const Wire::ConnectionSecureOk &method) {
            QCOMPARE(method.response, QByteArrayView("me" + challenge));
        });
    }
    s.broker(Offer().tune()).expectSent<Wire::ConnectionTuneOk>().expectSent<Wire::ConnectionOpen>();
    s.broker(Wire::ConnectionOpenOk{}).expectEvent<Engine::Opened>();
}

void tst_Authentication::theClientMayGiveUp_data()
{
    QTest::addColumn<bool>("atOnce");
    QTest::newRow("without an initial response") << true;
    QTest::newRow("at a challenge") << false;
}

void tst_Authentication::theClientMayGiveUp()
{
    QFETCH(const bool, atOnce);
    Script s;
    startWith(s, {{.name = "OWN", .isFromApplication = true}, {.name = "PLAIN"}});
    s.expectEvent<Engine::ResponseRequested>();
    if (!atOnce) {
        s.engine.handshake().respond("first");
        s.write();
        s.expectSent<Wire::ConnectionStartOk>().broker(Wire::ConnectionSecure{.challenge = "who?"});
        s.expectEvent<Engine::ResponseRequested>();
    }
    const Error error = s.engine.handshake().respond(std::nullopt);
    QCOMPARE(error.kind(), ErrorKind::Authentication);
    QVERIFY(error.text().contains(u"\"OWN\""_s));
    s.write();
    s.expectNothingSent();
}

void tst_Authentication::aChallengeForAMechanismOfTheEngineBreaksTheProtocol()
{
    Script s;
    startWith(s, {{.name = "PLAIN"}}).expectSent<Wire::ConnectionStartOk>();
    s.broker(Wire::ConnectionSecure{.challenge = "who?"}).expectNothingSent();
    QCOMPARE(s.takeConnectionClosed().kind(), ErrorKind::ProtocolViolation);
}

void tst_Authentication::theBrokerMustWaitForAResponse_data()
{
    QTest::addColumn<bool>("isInitial");
    QTest::newRow("initial") << true;
    QTest::newRow("to a challenge") << false;
}

void tst_Authentication::theBrokerMustWaitForAResponse()
{
    QFETCH(const bool, isInitial);
    Script s;
    startWith(s, {{.name = "OWN", .isFromApplication = true}});
    if (!isInitial) {
        s.engine.handshake().respond("first");
        s.write();
        s.expectSent<Wire::ConnectionStartOk>().broker(Wire::ConnectionSecure{.challenge = "who?"});
    }
    s.broker(Offer().tune()).expectNothingSent();
    QCOMPARE(s.takeConnectionClosed().kind(), ErrorKind::ProtocolViolation);
}

void tst_Authentication::anAnswerAfterTheEndIsIgnored()
{
    Script s;
    startWith(s, {{.name = "OWN", .isFromApplication = true}});
    s.engine.transportClosed(Error(ErrorKind::Network, u"gone"_s));
    QCOMPARE(s.takeConnectionClosed().kind(), ErrorKind::Network);
    QVERIFY(!s.engine.handshake().respond("late").isError());
    QVERIFY(!s.engine.handshake().respond(std::nullopt).isError());
    QVERIFY(!s.engine.hasOutput());

    startWith(s, {{.name = "PLAIN"}}).expectSent<Wire::ConnectionStartOk>();
    QVERIFY(!s.engine.handshake().respond("unasked").isError());
    QVERIFY(!s.engine.hasOutput());
}

void tst_Authentication::aTooLargeAnswerIsNotSent()
{
    Script s;
    startWith(s, {{.name = "OWN", .isFromApplication = true}});
    const Error initial = s.engine.handshake().respond(QByteArray(5000, 'x'));
    QCOMPARE(initial.kind(), ErrorKind::InvalidArgument);
    QVERIFY2(initial.text().contains(u"\"OWN\""), qPrintable(initial.text()));
    s.engine.handshake().respond("first");
    s.write();
    s.expectSent<Wire::ConnectionStartOk>().broker(Wire::ConnectionSecure{.challenge = "who?"});
    const Error answer = s.engine.handshake().respond(QByteArray(4096, 'x'));
    QCOMPARE(answer.kind(), ErrorKind::InvalidArgument);
    QVERIFY2(answer.text().contains(u"\"OWN\"") && answer.text().contains(u"4096 bytes"), qPrintable(answer.text()));
    s.write();
    s.expectNothingSent();
}

QTEST_GUILESS_MAIN(tst_Authentication)
#include "tst_authentication.moc"
