// SPDX-License-Identifier: MIT
#include "engine/connection/eventqueue_p.h"
#include "engine/connection/framewriter_p.h"
#include "engine/connection/handshake_p.h"
#include "engine/connection/sasl_p.h"

#include "support/brokersession.h"

#include <QtTest/qtest.h>

#include <deque>

using namespace AmqpQt;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;
using Engine::Handshake;
using Engine::Settings;
using Engine::Time;
using Step = Handshake::Step;

// Tests Handshake by itself. tst_handshake tests it in the dialogues of an engine.
class tst_HandshakeSteps : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void eachMethodOfTheBrokerIsOneStep();
    void methodsOutOfOrderEndTheAttempt_data();
    void methodsOutOfOrderEndTheAttempt();
    void theSmallerLimitIsAgreed_data();
    void theSmallerLimitIsAgreed();
    void aStoppedAttemptForgetsTheLogin();
    void anAttemptThatCannotStartChangesNothing();
    void aTimeoutNamesTheAwaitedMethod();
    void theDeadlineEndsWithTheHandshake();
    void aSocketClosedBeforeStartMayExpectTls();
    void aClosedSocketDuringTheLoginIsAFailedLogin();
    void capabilitiesAreThoseOfTheCurrentBroker();

private:
    struct Attempt {
        explicit Attempt(const Settings &changed = {})
            : settings(changed)
        {
            settings.userName = u"guest"_s;
            settings.login.mechanisms = {{.name = Engine::SaslPlain}};
            settings.login.password = Secret(u"secret"_s);
            settings.virtualHost = u"/"_s;
            start();
        }
        void start()
        {
            frames.start();
            QVERIFY(!handshake.start(settings, now).isError());
            session = {};
        }
        Error receiveStart(const QByteArray &properties = encodedServerProperties())
        {
            return handshake.on(connectionStart(properties, "AMQPLAIN PLAIN", "en_US"));
        }
        // Takes the handshake to the step as quickly as possible.
        void goTo(Step step)
        {
            if (step > Step::AwaitsStart)
                QVERIFY(!receiveStart().isError());
            if (step > Step::AwaitsTune)
                QVERIFY(!handshake.on(Offer().tune()).isError());
            if (step > Step::AwaitsOpenOk)
                QVERIFY(!handshake.on(Wire::ConnectionOpenOk{}).isError());
            QCOMPARE(handshake.step(), step);
            takeSent();
        }
        std::deque<Frame> takeSent()
        {
            std::deque<Frame> sent;
            while (!frames.output().isEmpty()) {
                const QByteArrayView front = frames.output().front();
                for (QByteArrayView left = front; !left.isEmpty();) {
                    if (const std::optional<Frame> frame = session.nextReceived(left))
                        sent.push_back(*frame);
                }
                frames.output().consume(front.size());
            }
            return sent;
        }

        Settings settings;
        Time now{1h};
        Engine::FrameWriter frames;
        Engine::EventQueue events;
        Handshake handshake{frames, events};
        BrokerSession session;
    };
};

void tst_HandshakeSteps::eachMethodOfTheBrokerIsOneStep()
{
    Attempt t;
    QCOMPARE(t.handshake.step(), Step::AwaitsStart);
    QVERIFY(t.takeSent().empty());

    QVERIFY(!t.receiveStart().isError());
    QCOMPARE(t.handshake.step(), Step::AwaitsTune);
    std::deque<Frame> sent = t.takeSent();
    QCOMPARE(sent.size(), size_t(1));
    const auto startOk = sent.front().as<Wire::ConnectionStartOk>();
    QVERIFY(startOk);
    QCOMPARE(startOk->mechanism, QByteArrayView("PLAIN"));
    QCOMPARE(startOk->response, QByteArrayView("\0guest\0secret", 13));

    QVERIFY(!t.handshake.on(Offer().tune()).isError());
    QCOMPARE(t.handshake.step(), Step::AwaitsOpenOk);
    sent = t.takeSent();
    QCOMPARE(sent.size(), size_t(2));
    QVERIFY(sent.front().is(Wire::ConnectionTuneOk::id));
    const auto open = sent.back().as<Wire::ConnectionOpen>();
    QVERIFY(open);
    QCOMPARE(open->virtualHost, QByteArrayView("/"));

    QVERIFY(!t.handshake.on(Wire::ConnectionOpenOk{}).isError());
    QCOMPARE(t.handshake.step(), Step::Done);
    QVERIFY(t.takeSent().empty());
    QCOMPARE(t.session.takeViolations(), QStringList());
}

void tst_HandshakeSteps::methodsOutOfOrderEndTheAttempt_data()
{
    QTest::addColumn<Step>("step");
    using enum Handshake::Step;
    QTest::newRow("start") << AwaitsStart;
    QTest::newRow("tune") << AwaitsTune;
    QTest::newRow("open-ok") << AwaitsOpenOk;
    QTest::newRow("done") << Done;
}

void tst_HandshakeSteps::methodsOutOfOrderEndTheAttempt()
{
    QFETCH(const Step, step);
    const auto check = [step](Step allowed, auto receive) {
        if (step == allowed)
            return;
        Attempt t;
        t.goTo(step);
        const Error error = receive(t);
        QCOMPARE(error.kind(), ErrorKind::ProtocolViolation);
        QCOMPARE(error.replyCode(), Wire::ReplyCode::CommandInvalid);
        QCOMPARE(t.handshake.step(), step);
        QVERIFY(t.takeSent().empty());
    };
    check(Step::AwaitsStart, [](Attempt &t) { return t.receiveStart(); });
    check(Step::AwaitsTune, [](Attempt &t) { return t.handshake.on(Offer().tune()); });
    check(Step::AwaitsOpenOk, [](Attempt &t) { return t.handshake.on(Wire::ConnectionOpenOk{}); });
    Attempt t;
    t.goTo(step);
    QCOMPARE(t.handshake.on(Wire::ConnectionSecure{}).kind(), ErrorKind::ProtocolViolation); // PLAIN has no challenges
}

void tst_HandshakeSteps::theSmallerLimitIsAgreed_data()
{
    QTest::addColumn<quint32>("frameMax");
    QTest::addColumn<quint32>("offeredFrameMax");
    QTest::addColumn<quint32>("agreedFrameMax");
    QTest::newRow("the client has the smaller one") << 10'000u << 131'072u << 10'000u;
    QTest::newRow("the broker has the smaller one") << 131'072u << 10'000u << 10'000u;
    QTest::newRow("only the broker has one") << 0u << 10'000u << 10'000u;
    QTest::newRow("only the client has one") << 10'000u << 0u << 10'000u;
    QTest::newRow("none") << 0u << 0u << 0u;
}

void tst_HandshakeSteps::theSmallerLimitIsAgreed()
{
    QFETCH(const quint32, frameMax);
    QFETCH(const quint32, offeredFrameMax);
    QFETCH(const quint32, agreedFrameMax);
    Settings settings;
    settings.frameMax = frameMax;
    settings.channelMax = quint16(frameMax / 10);
    settings.heartbeatSeconds = quint16(frameMax / 100);
    Attempt t(settings);
    t.goTo(Step::AwaitsTune);
    const Offer offer{quint16(offeredFrameMax / 10), offeredFrameMax, quint16(offeredFrameMax / 100)};
    QVERIFY(!t.handshake.on(offer.tune()).isError());
    QCOMPARE(t.handshake.agreed().frameMax, agreedFrameMax);
    QCOMPARE(t.handshake.agreed().channelMax, quint16(agreedFrameMax / 10));
    // 0 in the settings disables heartbeats.
    QCOMPARE(t.handshake.agreed().heartbeat, quint16(frameMax == 0 ? 0 : agreedFrameMax / 100));
    const std::deque<Frame> sent = t.takeSent();
    const auto tuneOk = sent.front().as<Wire::ConnectionTuneOk>();
    QVERIFY(tuneOk);
    QCOMPARE(tuneOk->frameMax, agreedFrameMax);
    QCOMPARE(tuneOk->channelMax, t.handshake.agreed().channelMax);
    QCOMPARE(tuneOk->heartbeat, t.handshake.agreed().heartbeat);
}

void tst_HandshakeSteps::aStoppedAttemptForgetsTheLogin()
{
    Attempt t;
    t.handshake.stop();
    QCOMPARE(t.receiveStart().kind(), ErrorKind::Authentication);
    QVERIFY(t.takeSent().empty());
}

void tst_HandshakeSteps::anAttemptThatCannotStartChangesNothing()
{
    Attempt t;
    t.goTo(Step::AwaitsTune);
    const auto deadline = t.handshake.deadline();
    Settings settings = t.settings;
    settings.virtualHost = QString(256, u'x');
    const Error error = t.handshake.start(settings, t.now + 1h);
    QCOMPARE(error.kind(), ErrorKind::InvalidArgument);
    QCOMPARE(t.handshake.step(), Step::AwaitsTune);
    QCOMPARE(t.handshake.deadline(), deadline);
    QVERIFY(t.handshake.hasCapability(u"basic.nack"_s));
}

void tst_HandshakeSteps::aTimeoutNamesTheAwaitedMethod()
{
    Settings settings;
    settings.handshakeTimeout = 2s;
    Attempt t(settings);
    QCOMPARE(t.handshake.timedOut(),
             Error(ErrorKind::Timeout, u"timed out after 2000 ms while waiting for a TCP connection"_s));
    t.handshake.transportAwaits(u"the TLS handshake"_s);
    QVERIFY(t.handshake.timedOut().text().endsWith(u"waiting for the TLS handshake"_s));
    t.start();
    QVERIFY(t.handshake.timedOut().text().endsWith(u"waiting for a TCP connection"_s));
    t.handshake.transportReady({.isEncrypted = true});
    QVERIFY(t.handshake.timedOut().text().endsWith(u"waiting for connection.start"_s));
    t.receiveStart();
    QVERIFY(t.handshake.timedOut().text().endsWith(u"waiting for connection.tune"_s));
    t.handshake.on(Offer().tune());
    QVERIFY(t.handshake.timedOut().text().endsWith(u"waiting for connection.open-ok"_s));

    t.settings.login.mechanisms = {{.name = "PLAIN", .isFromApplication = true}};
    t.start();
    t.handshake.transportReady({});
    t.receiveStart();
    const QString response = u"waiting for the response of the SASL mechanism \"PLAIN\""_s;
    QVERIFY2(t.handshake.timedOut().text().endsWith(response), qPrintable(t.handshake.timedOut().text()));
    t.handshake.respond("first");
    QVERIFY(t.handshake.timedOut().text().endsWith(u"waiting for connection.tune"_s));
    t.handshake.on(Wire::ConnectionSecure{.challenge = "who?"});
    QVERIFY2(t.handshake.timedOut().text().endsWith(response), qPrintable(t.handshake.timedOut().text()));
}

void tst_HandshakeSteps::theDeadlineEndsWithTheHandshake()
{
    Settings settings;
    settings.handshakeTimeout = 2s;
    Attempt t(settings);
    QCOMPARE(t.handshake.deadline(), std::optional(t.now + 2s));
    t.goTo(Step::AwaitsOpenOk);
    QCOMPARE(t.handshake.deadline(), std::optional(t.now + 2s)); // one deadline for all steps
    t.handshake.on(Wire::ConnectionOpenOk{});
    QVERIFY(!t.handshake.deadline());

    t.start();
    t.handshake.stop();
    QVERIFY(!t.handshake.deadline());
}

void tst_HandshakeSteps::aSocketClosedBeforeStartMayExpectTls()
{
    const Error network(ErrorKind::Network, u"closed"_s);
    Attempt t;
    QCOMPARE(t.handshake.transportFailed(network), network); // the TCP connection failed
    t.handshake.transportReady({.isEncrypted = true});
    QCOMPARE(t.handshake.transportFailed(network), network); // it is encrypted already
    t.start();
    t.handshake.transportReady({.isEncrypted = false});
    const Error error = t.handshake.transportFailed(network);
    QCOMPARE(error.kind(), ErrorKind::Network);
    QCOMPARE(error.text(), u"closed, without an answer to the protocol header; if this port expects TLS, an encrypted "
                           "endpoint is needed, as in amqps://host"_s);
    t.receiveStart();
    QVERIFY(!t.handshake.transportFailed(network).text().contains(u"TLS"_s));
}

void tst_HandshakeSteps::aClosedSocketDuringTheLoginIsAFailedLogin()
{
    const Error network(ErrorKind::Network, u"closed"_s);
    Attempt t;
    QCOMPARE(t.handshake.transportFailed(network), network);
    QVERIFY(!t.receiveStart(QByteArray()).isError());
    QCOMPARE(t.handshake.transportFailed(network).kind(), ErrorKind::Authentication);
    t.handshake.on(Offer().tune());
    QCOMPARE(t.handshake.transportFailed(network), network);

    t.start();
    QVERIFY(!t.receiveStart().isError()); // with authentication_failure_close
    QCOMPARE(t.handshake.transportFailed(network), network);
}

void tst_HandshakeSteps::capabilitiesAreThoseOfTheCurrentBroker()
{
    Attempt t;
    QVERIFY(!t.handshake.hasCapability(u"basic.nack"_s));
    t.receiveStart();
    QVERIFY(t.handshake.hasCapability(u"basic.nack"_s));
    QVERIFY(!t.handshake.hasCapability(u"another"_s));
    QCOMPARE(t.handshake.serverProperties().value(u"product"_s), QVariant(u"RabbitMQ"_s));
    t.start();
    QVERIFY(!t.handshake.hasCapability(u"basic.nack"_s));
    QVERIFY(t.handshake.serverProperties().isEmpty());
}

QTEST_GUILESS_MAIN(tst_HandshakeSteps)
#include "tst_handshakesteps.moc"
