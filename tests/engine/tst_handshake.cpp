// SPDX-License-Identifier: MIT
#include "support/script.h"

#include "wire/fieldtable_p.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using State = Engine::ConnectionEngine::State;
using Step = Engine::Handshake::Step;

class tst_Handshake : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void goesFromTheProtocolHeaderToOpen();
    void sendsClientPropertiesAndCapabilities();
    void keepsTheCapabilitiesThatTheApplicationAdds();
    void reportsPropertiesAndCapabilitiesOfTheBroker();
    void aCapabilityIsSupportedIfItsValueIsTrue_data();
    void aCapabilityIsSupportedIfItsValueIsTrue();
    void rejectsSettingsThatCannotBeSent_data();
    void rejectsSettingsThatCannotBeSent();
    void needsAMechanismInCommon_data();
    void needsAMechanismInCommon();
    void negotiatesTheSmallerLimit_data();
    void negotiatesTheSmallerLimit();
    void rejectsAFrameMaxThatAmqpForbids_data();
    void rejectsAFrameMaxThatAmqpForbids();
    void sendsFramesOfTheNegotiatedSize();
    void aRejectedLoginIsAnAuthenticationError();
    void aSocketClosedAfterStartOkIsAnAuthenticationError();
    void aSocketClosedAfterStartOkIsALossIfTheBrokerReportsFailedLogins();
    void aFailedAttemptKeepsWaitingCalls();
    void waitingCallsMayBeEndedWithoutAConnection();
    void aSocketClosedElsewhereEndsWithTheErrorOfTheTransport_data();
    void aSocketClosedElsewhereEndsWithTheErrorOfTheTransport();
    void aMissingVirtualHostIsReported();
    void namesTheProtocolOfTheServer_data();
    void namesTheProtocolOfTheServer();
    void anyFaultAbortsWithoutConnectionClose_data();
    void anyFaultAbortsWithoutConnectionClose();
    void toleratesPaddingAndHeartbeats();
    void waitsNoLongerThanTheDeadline_data();
    void waitsNoLongerThanTheDeadline();
    void theDeadlineEndsWithOpenOk();
    void closeWhileConnectingCancelsEverything_data();
    void closeWhileConnectingCancelsEverything();
    void canStartAgainAfterAFailure();
};

namespace
{

QByteArray bytes(const char *text, qsizetype size)
{
    return QByteArray(text, size);
}

Wire::ConnectionTune tune(quint16 channelMax = 2047, quint32 frameMax = 131072, quint16 heartbeat = 60)
{
    return {.channelMax = channelMax, .frameMax = frameMax, .heartbeat = heartbeat};
}

// Continues until the handshake is at `step`.
void goTo(Script &s, Step step)
{
    s.start();
    if (step >= Step::AwaitsTune)
        s.brokerStart().expectSent<Wire::ConnectionStartOk>();
    if (step >= Step::AwaitsOpenOk)
        s.broker(tune()).expectSent<Wire::ConnectionTuneOk>().expectSent<Wire::ConnectionOpen>();
    if (step == Step::Done)
        s.broker(Wire::ConnectionOpenOk{}).expectEvent<Engine::Opened>();
    QCOMPARE(s.engine.handshake().step(), step);
}

void addStates()
{
    QTest::addColumn<Step>("step");
    QTest::newRow("AwaitsStart") << Step::AwaitsStart;
    QTest::newRow("AwaitsTune") << Step::AwaitsTune;
    QTest::newRow("AwaitsOpenOk") << Step::AwaitsOpenOk;
}

} // namespace

void tst_Handshake::goesFromTheProtocolHeaderToOpen()
{
    Script s;
    QCOMPARE(s.engine.state(), State::Idle);
    QVERIFY(!s.engine.start(s.settings, s.now).isError());
    QCOMPARE(s.engine.handshake().step(), Step::AwaitsStart);
    QCOMPARE(s.engine.output(), QByteArrayView("AMQP\0\0\x09\x01", 8));
    s.write();

    s.brokerStart();
    QCOMPARE(s.engine.handshake().step(), Step::AwaitsTune);
    s.expectSent<Wire::ConnectionStartOk>([](const Wire::ConnectionStartOk &method) {
        QCOMPARE(method.mechanism, QByteArrayView("PLAIN"));
        QCOMPARE(method.response, QByteArrayView("\0guest\0secret", 13));
        QCOMPARE(method.locale, QByteArrayView("en_US"));
    });
    s.broker(tune());
    QCOMPARE(s.engine.handshake().step(), Step::AwaitsOpenOk);
    s.expectSent(Wire::ConnectionTuneOk{.channelMax = 2047, .frameMax = 131072, .heartbeat = 0});
    s.expectSent(Wire::ConnectionOpen{.virtualHost = "/"});
    s.expectNoEvent().broker(Wire::ConnectionOpenOk{});
    QVERIFY(s.engine.isOpen());
    s.expectEvent<Engine::Opened>().expectNoEvent().expectNothingSent();
}

void tst_Handshake::sendsClientPropertiesAndCapabilities()
{
    Script s;
    s.settings.virtualHost = u"заказы"_s;
    s.settings.connectionName = u"till 7"_s;
    s.settings.clientProperties = {{u"product"_s, u"AmqpQt"_s}};
    s.start().brokerStart().expectSent<Wire::ConnectionStartOk>([](const Wire::ConnectionStartOk &method) {
        const FieldTable properties = Wire::decodeTable(method.clientProperties.contents);
        QCOMPARE(properties.value(u"product"_s), QVariant(u"AmqpQt"_s));
        QCOMPARE(properties.value(u"connection_name"_s), QVariant(u"till 7"_s));
        const QVariantMap capabilities = properties.value(u"capabilities"_s).toMap();
        QCOMPARE(capabilities.keys(),
                 QStringList({u"authentication_failure_close"_s, u"basic.nack"_s, u"connection.blocked"_s,
                              u"consumer_cancel_notify"_s, u"direct_reply_to"_s, u"exchange_exchange_bindings"_s,
                              u"per_consumer_qos"_s, u"publisher_confirms"_s}));
        for (const QVariant &value : capabilities)
            QCOMPARE(value, QVariant(true));
    });
    s.broker(tune()).expectSent<Wire::ConnectionTuneOk>();
    s.expectSent(Wire::ConnectionOpen{.virtualHost = QByteArrayView("заказы")});
}

void tst_Handshake::keepsTheCapabilitiesThatTheApplicationAdds()
{
    Script s;
    s.settings.clientProperties = {{u"capabilities"_s, QVariantMap{{u"x-mine"_s, 7}}}};
    s.start().brokerStart().expectSent<Wire::ConnectionStartOk>([](const Wire::ConnectionStartOk &method) {
        const QVariantMap capabilities =
            Wire::decodeTable(method.clientProperties.contents).value(u"capabilities"_s).toMap();
        QCOMPARE(capabilities.value(u"x-mine"_s), QVariant(7));
        QCOMPARE(capabilities.value(u"basic.nack"_s), QVariant(true));
    });
}

void tst_Handshake::reportsPropertiesAndCapabilitiesOfTheBroker()
{
    Script s;
    s.open();
    QCOMPARE(s.engine.handshake().serverProperties().value(u"product"_s), QVariant(u"RabbitMQ"_s));
    QVERIFY(s.engine.handshake().hasCapability(u"publisher_confirms"_s));
    QVERIFY(s.engine.hasNack());
    QVERIFY(!s.engine.handshake().hasCapability(u"another_capability"_s));
}

void tst_Handshake::aCapabilityIsSupportedIfItsValueIsTrue_data()
{
    QTest::addColumn<FieldTable>("properties");
    QTest::addColumn<bool>("has");
    const auto withCapabilities = [](const QVariant &capabilities) {
        return FieldTable{{u"basic.nack"_s, true}, {u"capabilities"_s, capabilities}};
    };
    QTest::newRow("true") << withCapabilities(QVariantMap{{u"basic.nack"_s, true}}) << true;
    QTest::newRow("false") << withCapabilities(QVariantMap{{u"basic.nack"_s, false}}) << false;
    QTest::newRow("not a boolean") << withCapabilities(QVariantMap{{u"basic.nack"_s, u"yes"_s}}) << false;
    QTest::newRow("nested deeper") << withCapabilities(QVariantMap{{u"more"_s, QVariantMap{{u"basic.nack"_s, true}}}})
                                   << false;
    QTest::newRow("no such capability") << withCapabilities(QVariantMap()) << false;
    QTest::newRow("not a table") << withCapabilities(QVariantList{true}) << false;
    QTest::newRow("no properties") << FieldTable() << false;
}

void tst_Handshake::aCapabilityIsSupportedIfItsValueIsTrue()
{
    QFETCH(FieldTable, properties);
    QFETCH(bool, has);
    Script s;
    s.start().brokerStart(*Wire::encodeTable(properties, u"")).expectSent<Wire::ConnectionStartOk>();
    QCOMPARE(s.engine.hasNack(), has);
    QCOMPARE(s.engine.handshake().hasCapability(u"basic.nack"_s), has);
}

void tst_Handshake::rejectsSettingsThatCannotBeSent_data()
{
    QTest::addColumn<QString>("virtualHost");
    QTest::addColumn<QString>("connectionName");
    QTest::addColumn<FieldTable>("properties");
    QTest::addColumn<QString>("argument");
    QTest::newRow("virtual host") << QString(256, u'v') << QString() << FieldTable() << u"virtualHost"_s;
    QTest::newRow("client property") << u"/"_s << QString() << FieldTable{{u"k"_s, qQNaN()}} << u"clientProperties"_s;
    QTest::newRow("connection name") << u"/"_s << QString(QChar(0xd800)) << FieldTable() << u"clientProperties"_s;
}

void tst_Handshake::rejectsSettingsThatCannotBeSent()
{
    QFETCH(QString, virtualHost);
    QFETCH(QString, connectionName);
    QFETCH(FieldTable, properties);
    QFETCH(QString, argument);
    Script s;
    s.settings.virtualHost = virtualHost;
    s.settings.connectionName = connectionName;
    s.settings.clientProperties = properties;
    const Error error = s.engine.start(s.settings, s.now);
    QCOMPARE(error.kind(), ErrorKind::InvalidArgument);
    QVERIFY2(error.text().startsWith(argument), qPrintable(error.text()));
    QCOMPARE(s.engine.state(), State::Idle);
    QVERIFY(!s.engine.hasOutput());
    s.expectNoEvent();
}

void tst_Handshake::needsAMechanismInCommon_data()
{
    QTest::addColumn<QByteArray>("offered");
    QTest::addColumn<bool>("accepted");
    QTest::newRow("alone") << QByteArray("PLAIN") << true;
    QTest::newRow("last") << QByteArray("AMQPLAIN EXTERNAL PLAIN") << true;
    QTest::newRow("first") << QByteArray("PLAIN AMQPLAIN") << true;
    QTest::newRow("only others") << QByteArray("AMQPLAIN EXTERNAL") << false;
    QTest::newRow("as part of a name") << QByteArray("AMQPLAIN XPLAINX PLAINTEXT") << false;
    QTest::newRow("none") << QByteArray() << false;
}

void tst_Handshake::needsAMechanismInCommon()
{
    QFETCH(QByteArray, offered);
    QFETCH(bool, accepted);
    Script s;
    s.start().brokerStart(encodedServerProperties(), offered);
    if (accepted) {
        s.expectSent<Wire::ConnectionStartOk>().expectNoEvent();
        return;
    }
    const Error error = s.expectNothingSent().takeConnectionClosed();
    QCOMPARE(error.kind(), ErrorKind::Authentication);
    QVERIFY2(error.text().contains(u'"' + QString::fromLatin1(offered) + u'"'), qPrintable(error.text()));
    QVERIFY2(error.text().contains(u"\"PLAIN\""_s), qPrintable(error.text()));
}

void tst_Handshake::negotiatesTheSmallerLimit_data()
{
    QTest::addColumn<Offer>("client");
    QTest::addColumn<Offer>("broker");
    QTest::addColumn<Offer>("agreed");
    //                                 channel-max frame-max heartbeat
    QTest::newRow("equal") << Offer{2047, 131072, 60} << Offer{2047, 131072, 60} << Offer{2047, 131072, 60};
    QTest::newRow("client smaller") << Offer{100, 8192, 10} << Offer{2047, 131072, 60} << Offer{100, 8192, 10};
    QTest::newRow("broker smaller") << Offer{2047, 131072, 60} << Offer{10, 16384, 5} << Offer{10, 16384, 5};
    QTest::newRow("broker unlimited") << Offer{2047, 131072, 60} << Offer{0, 0, 0} << Offer{2047, 131072, 60};
    QTest::newRow("client unlimited") << Offer{0, 0, 0} << Offer{2047, 131072, 60} << Offer{2047, 131072, 0};
    QTest::newRow("both unlimited") << Offer{0, 0, 0} << Offer{0, 0, 0} << Offer{0, 0, 0};
    QTest::newRow("largest") << Offer{65535, 0xffffffff, 65535} << Offer{65535, 0xffffffff, 65535}
                             << Offer{65535, 0xffffffff, 65535};
    QTest::newRow("smallest frame-max of AMQP") << Offer{} << Offer{1, 4096, 1} << Offer{1, 4096, 1};
    QTest::newRow("below the defaults") << Offer{} << Offer{1, 8191, 1} << Offer{1, 8191, 1};
}

void tst_Handshake::negotiatesTheSmallerLimit()
{
    QFETCH(Offer, client);
    QFETCH(Offer, broker);
    QFETCH(Offer, agreed);
    Script s;
    s.settings.channelMax = client.channelMax;
    s.settings.frameMax = client.frameMax;
    s.settings.heartbeatSeconds = client.heartbeat;
    s.start().brokerStart().expectSent<Wire::ConnectionStartOk>();
    s.broker(tune(broker.channelMax, broker.frameMax, broker.heartbeat));
    s.expectSent(Wire::ConnectionTuneOk{
        .channelMax = agreed.channelMax, .frameMax = agreed.frameMax, .heartbeat = agreed.heartbeat});
    s.expectSent<Wire::ConnectionOpen>().broker(Wire::ConnectionOpenOk{}).expectEvent<Engine::Opened>();
    QCOMPARE(s.engine.handshake().agreed().channelMax, agreed.channelMax);
    QCOMPARE(s.engine.handshake().agreed().frameMax, agreed.frameMax);
    QCOMPARE(s.engine.heartbeat(), std::chrono::seconds(agreed.heartbeat));
    const quint16 highest = agreed.channelMax ? agreed.channelMax : 65535;
    QVERIFY(s.engine.channels().isPossible(highest));
    QCOMPARE(s.engine.channels().isPossible(quint16(highest + 1)), false); // 0 after 65535
}

void tst_Handshake::rejectsAFrameMaxThatAmqpForbids_data()
{
    QTest::addColumn<quint32>("frameMax");
    QTest::newRow("1") << 1u;
    QTest::newRow("4095") << 4095u;
}

void tst_Handshake::rejectsAFrameMaxThatAmqpForbids()
{
    QFETCH(quint32, frameMax);
    Script s;
    goTo(s, Step::AwaitsTune);
    s.broker(tune(2047, frameMax, 60)).expectNothingSent();
    const Error error = s.takeConnectionClosed();
    QCOMPARE(error.kind(), ErrorKind::ProtocolViolation);
    QVERIFY2(error.text().contains(QString::number(frameMax)), qPrintable(error.text()));
}

void tst_Handshake::sendsFramesOfTheNegotiatedSize()
{
    Script s;
    s.open({.frameMax = 4096});
    auto &channel = s.openChannel();
    const QByteArray body(3 * 4088 + 1, 'b');
    QVERIFY(channel.publish({}, u"key"_s, QByteArray(2, '\0'), body, false));
    s.write();
    const auto sent = s.takeSent(); // each frame was checked against frame-max
    QCOMPARE(sent.size(), size_t(2 + 4));
    QCOMPARE(sent.back().payload.size(), 1);
    QCOMPARE(sent[2].payload.size(), 4088);
}

void tst_Handshake::aRejectedLoginIsAnAuthenticationError()
{
    Script s;
    goTo(s, Step::AwaitsTune);
    s.broker(Wire::ConnectionClose{.replyCode = 403, .replyText = "ACCESS_REFUSED - Login was refused"});
    s.expectSent<Wire::ConnectionCloseOk>();
    const auto closed = s.takeEvent<Engine::ConnectionClosed>();
    QCOMPARE(closed.reason, Error(ErrorKind::Authentication, u"ACCESS_REFUSED - Login was refused"_s, 403));
    QCOMPARE(closed.ending, Engine::Ending::Close);
}

void tst_Handshake::aSocketClosedAfterStartOkIsAnAuthenticationError()
{
    Script s;
    s.start().brokerStart(QByteArray()).expectSent<Wire::ConnectionStartOk>(); // without authentication_failure_close
    s.engine.transportClosed(Error(ErrorKind::Network, u"the remote host closed the connection"_s));
    const Error error = s.takeConnectionClosed();
    QCOMPARE(error.kind(), ErrorKind::Authentication);
    QVERIFY2(error.text().contains(u"\"guest\""_s), qPrintable(error.text()));
    QVERIFY2(error.text().contains(u"the remote host closed the connection"_s), qPrintable(error.text()));
}

void tst_Handshake::aSocketClosedAfterStartOkIsALossIfTheBrokerReportsFailedLogins()
{
    Script s;
    const QVariantMap capabilities{{u"authentication_failure_close"_s, true}};
    s.start()
        .brokerStart(*Wire::encodeTable({{u"capabilities"_s, capabilities}}, u""))
        .expectSent<Wire::ConnectionStartOk>();
    const Error network(ErrorKind::Network, u"the remote host closed the connection"_s);
    s.engine.transportClosed(network);
    QCOMPARE(s.takeConnectionClosed(), network);
}

void tst_Handshake::aFailedAttemptKeepsWaitingCalls()
{
    Script s;
    Engine::ChannelEngine &channel = s.newChannel(5);
    QVERIFY(channel.open());
    const auto declaring = channel.topology().declareQueue(u"q"_s, {}, false);
    QVERIFY(channel.publish({}, u"q"_s, QByteArray(2, '\0'), "m", false));
    for (int attempt = 1; attempt <= 2; ++attempt) {
        s.start();
        s.engine.transportClosed(Error(ErrorKind::Network, u"gone"_s));
        QCOMPARE(s.takeEvents(), QStringList{u"ConnectionClosed Network"_s});
        QVERIFY(s.engine.isWaitedFor());
    }
    s.open();
    s.expectSent<Wire::ChannelOpen>(5).expectSent<Wire::QueueDeclare>(5).expectPublished("m", "q", 5);
    s.broker(Wire::ChannelOpenOk{}, 5).broker(Wire::QueueDeclareOk{.queue = "q"}, 5);
    QVERIFY(s.takeEvents().contains(u"ReplyArrived %1"_s.arg(*declaring)));
}

void tst_Handshake::waitingCallsMayBeEndedWithoutAConnection()
{
    Script s;
    Engine::ChannelEngine &channel = s.newChannel();
    const auto opening = channel.open();
    QVERIFY(channel.publish({}, u"q"_s, QByteArray(2, '\0'), "m", false));
    s.engine.endWaiting();
    QCOMPARE(s.takeEvents(), QStringList({u"ReplyArrived %1 Cancelled"_s.arg(*opening),
                                          u"PublishFailed 1 1-1 Cancelled"_s, u"ChannelClosed 1"_s}));
    QVERIFY(!s.engine.isWaitedFor());
    QCOMPARE(s.engine.flow().queuedBytes(), 0);
    s.open();
    s.expectNothingSent();
}

void tst_Handshake::aSocketClosedElsewhereEndsWithTheErrorOfTheTransport_data()
{
    QTest::addColumn<Step>("step");
    QTest::newRow("AwaitsStart") << Step::AwaitsStart;
    QTest::newRow("AwaitsOpenOk") << Step::AwaitsOpenOk;
    QTest::newRow("Done") << Step::Done;
}

void tst_Handshake::aSocketClosedElsewhereEndsWithTheErrorOfTheTransport()
{
    QFETCH(Step, step);
    Script s;
    goTo(s, step);
    const Error network(ErrorKind::Network, u"connection refused"_s);
    s.engine.transportClosed(network);
    const auto closed = s.takeEvent<Engine::ConnectionClosed>();
    QCOMPARE(closed.reason.kind(), ErrorKind::Network);
    QVERIFY2(closed.reason.text().startsWith(network.text()),
             qPrintable(closed.reason.text())); // with a hint about TLS
    QCOMPARE(closed.ending, Engine::Ending::Abort);
    s.expectNoEvent().expectNothingSent();
    s.engine.transportClosed(network); // is reported only once
    s.expectNoEvent();
}

void tst_Handshake::aMissingVirtualHostIsReported()
{
    Script s;
    goTo(s, Step::AwaitsOpenOk);
    s.broker(Wire::ConnectionClose{
        .replyCode = 530, .replyText = "NOT_ALLOWED - vhost x not found", .classId = 10, .methodId = 40});
    s.expectSent<Wire::ConnectionCloseOk>();
    QCOMPARE(s.takeConnectionClosed(),
             Error(ErrorKind::ConnectionClosed, u"NOT_ALLOWED - vhost x not found"_s, 530, u"connection.open"_s));
}

void tst_Handshake::namesTheProtocolOfTheServer_data()
{
    QTest::addColumn<QByteArray>("answer");
    QTest::addColumn<QString>("named");
    QTest::newRow("AMQP 0-9-0") << bytes("AMQP\0\0\x09\0", 8) << u"AMQP 0-9-0 (protocol header 0 0 9 0)"_s;
    QTest::newRow("AMQP 1.0") << bytes("AMQP\0\x01\0\0", 8) << u"AMQP 1.0 (protocol header 0 1 0 0)"_s;
    QTest::newRow("AMQP 1.0 with SASL") << bytes("AMQP\x03\x01\0\0", 8) << u"AMQP 1.0 (protocol header 3 1 0 0)"_s;
    QTest::newRow("HTTP") << QByteArray("HTTP/1.1 400 Bad Request\r\n\r\n") << u"HTTP"_s;
    QTest::newRow("TLS alert") << bytes("\x15\x03\x01\0\x02\x02\x46", 7) << u"TLS"_s;
}

void tst_Handshake::namesTheProtocolOfTheServer()
{
    QFETCH(QByteArray, answer);
    QFETCH(QString, named);
    for (const qsizetype piece : {answer.size(), qsizetype(1), qsizetype(3)}) {
        Script s;
        s.pieceSize = piece;
        s.start().brokerBytes(answer).expectNothingSent();
        const Error error = s.takeConnectionClosed();
        QCOMPARE(error.kind(), ErrorKind::ProtocolViolation);
        QVERIFY2(error.text().contains(named), qPrintable(error.text()));
        s.expectNoEvent();
    }
}

void tst_Handshake::anyFaultAbortsWithoutConnectionClose_data()
{
    QTest::addColumn<Step>("step");
    QTest::addColumn<QByteArray>("input");
    QTest::addColumn<int>("replyCode");
    const QByteArray deliver = deliverFrames("tag", 1);
    const QByteArray tuneBytes = Wire::encodeFrame(0, tune());
    const QByteArray oversized = frameHeader(1, 0, 128 * 1024 + 1);
    using enum Engine::Handshake::Step;
    QTest::newRow("noise") << AwaitsStart << QByteArray("SSH-2.0-OpenSSH") << 501;
    QTest::newRow("frame over 128 KiB") << AwaitsStart << oversized << 501;
    QTest::newRow("frame over 128 KiB after tune") << AwaitsOpenOk << oversized << 501;
    QTest::newRow("wrong frame-end") << AwaitsStart << tuneBytes.chopped(1) + 'X' << 501;
    QTest::newRow("frame-end later") << AwaitsOpenOk << tuneBytes.chopped(1) + 'X' << 501;
    QTest::newRow("tune before start") << AwaitsStart << tuneBytes << 503;
    QTest::newRow("open-ok before start") << AwaitsStart << Wire::encodeFrame(0, Wire::ConnectionOpenOk{}) << 503;
    QTest::newRow("open-ok before tune") << AwaitsTune << Wire::encodeFrame(0, Wire::ConnectionOpenOk{}) << 503;
    QTest::newRow("secure") << AwaitsTune << Wire::encodeFrame(0, Wire::ConnectionSecure{.challenge = "c"}) << 503;
    QTest::newRow("second tune") << AwaitsOpenOk << tuneBytes << 503;
    QTest::newRow("close-ok") << AwaitsTune << Wire::encodeFrame(0, Wire::ConnectionCloseOk{}) << 503;
    QTest::newRow("blocked") << AwaitsTune << Wire::encodeFrame(0, Wire::ConnectionBlocked{}) << 503;
    QTest::newRow("channel method") << AwaitsOpenOk << Wire::encodeFrame(1, Wire::ChannelOpenOk{}) << 504;
    QTest::newRow("content") << AwaitsOpenOk << deliver << 504;
    QTest::newRow("version 8-0") << AwaitsStart
                                 << Wire::encodeFrame(0,
                                                      Wire::ConnectionStart{.versionMajor = 8, .mechanisms = "PLAIN"})
                                 << 540;
    QTest::newRow("malformed start") << AwaitsStart
                                     << encodeFrame(Wire::FrameType::Method, 0,
                                                    bytes("\0\x0a\0\x0a\0\x09\0\0\0\xff", 10))
                                     << 502;
    QTest::newRow("unknown method") << AwaitsStart << encodeFrame(Wire::FrameType::Method, 0, bytes("\0\x0a\0\xff", 4))
                                    << 540;
}

void tst_Handshake::anyFaultAbortsWithoutConnectionClose()
{
    QFETCH(Step, step);
    QFETCH(QByteArray, input);
    QFETCH(int, replyCode);
    Script s;
    goTo(s, step);
    s.brokerBytes(input).expectNothingSent();
    const auto closed = s.takeEvent<Engine::ConnectionClosed>();
    QCOMPARE(closed.reason.kind(), ErrorKind::ProtocolViolation);
    QCOMPARE(closed.reason.replyCode(), quint16(replyCode));
    QCOMPARE(closed.ending, Engine::Ending::Abort);
    s.expectNoEvent();
    s.brokerBytes(input).expectNoEvent().expectNothingSent(); // later bytes are ignored
}

void tst_Handshake::toleratesPaddingAndHeartbeats()
{
    Script s;
    s.start();
    const QByteArray heartbeat = encodeFrame(Wire::FrameType::Heartbeat, 0, {});
    const QByteArray start =
        Wire::encodePayload(Wire::ConnectionStart{.versionMinor = 9, .mechanisms = "PLAIN", .locales = "en_US"});
    const qsizetype largest = 128 * 1024;
    s.brokerBytes(heartbeat);
    s.brokerBytes(encodeFrame(Wire::FrameType::Method, 0, start + QByteArray(largest - start.size(), 'p')));
    s.expectSent<Wire::ConnectionStartOk>().expectNoEvent();
}

void tst_Handshake::waitsNoLongerThanTheDeadline_data()
{
    QTest::addColumn<bool>("connected");
    QTest::addColumn<Step>("step");
    QTest::addColumn<QString>("waitedFor");
    QTest::newRow("TCP") << false << Step::AwaitsStart << u"TCP connection"_s;
    QTest::newRow("start") << true << Step::AwaitsStart << u"connection.start"_s;
    QTest::newRow("tune") << true << Step::AwaitsTune << u"connection.tune"_s;
    QTest::newRow("open-ok") << true << Step::AwaitsOpenOk << u"connection.open-ok"_s;
}

void tst_Handshake::waitsNoLongerThanTheDeadline()
{
    QFETCH(bool, connected);
    QFETCH(Step, step);
    QFETCH(QString, waitedFor);
    Script s;
    const Engine::Time begin = s.now;
    if (connected)
        goTo(s, step);
    else
        QVERIFY(!s.engine.start(s.settings, s.now).isError());
    QCOMPARE(s.engine.deadline(), std::optional(begin + s.settings.handshakeTimeout));
    s.now = begin + s.settings.handshakeTimeout - Engine::Milliseconds(1);
    s.engine.tick(s.now);
    s.expectNoEvent();
    s.now += Engine::Milliseconds(1);
    s.engine.tick(s.now);
    const Error error = s.takeConnectionClosed();
    QCOMPARE(error.kind(), ErrorKind::Timeout);
    QVERIFY2(error.text().contains(waitedFor), qPrintable(error.text()));
    s.expectNothingSent().expectNoEvent();
    QVERIFY(!s.engine.deadline());
}

void tst_Handshake::theDeadlineEndsWithOpenOk()
{
    Script s;
    s.open();
    QVERIFY(!s.engine.deadline());
    s.advance(std::chrono::hours(1)).expectNoEvent();
    QVERIFY(s.engine.isOpen());
}

void tst_Handshake::closeWhileConnectingCancelsEverything_data()
{
    addStates();
}

void tst_Handshake::closeWhileConnectingCancelsEverything()
{
    QFETCH(Step, step);
    Script s;
    auto &channel = s.newChannel();
    const auto opening = *channel.open();
    const auto declaring = *channel.topology().declareQueue(u"q"_s, {}, false);
    const auto consumer = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"tag"_s}, &s);
    QCOMPARE(*channel.publish({}, u"q"_s, QByteArray(2, '\0'), "body", false), quint64(1));
    goTo(s, step);
    s.engine.close(s.now);
    s.expectReply(consumer->startCall, ErrorKind::Cancelled);
    s.expectReply(opening, ErrorKind::Cancelled).expectReply(declaring, ErrorKind::Cancelled);
    s.expectEvent<Engine::PublishFailed>([](const Engine::PublishFailed &failed) {
        QCOMPARE(failed.first, quint64(1));
        QCOMPARE(failed.last, quint64(1));
        QCOMPARE(failed.reason.kind(), ErrorKind::Cancelled);
    });
    s.expectEvent<Engine::ChannelClosed>(
        [](const Engine::ChannelClosed &closed) { QVERIFY(!closed.reason.isError()); });
    s.expectEvent<Engine::ConnectionClosed>([](const Engine::ConnectionClosed &closed) {
        QVERIFY(!closed.reason.isError());
        QCOMPARE(closed.ending, Engine::Ending::Abort);
    });
    s.expectNoEvent().expectNothingSent();
    QCOMPARE(s.engine.state(), State::Closed);
    QVERIFY(!s.engine.deadline());
}

void tst_Handshake::canStartAgainAfterAFailure()
{
    Script s;
    s.open({.channelMax = 5, .frameMax = 4096});
    s.brokerBytes("\x01\0\0\0\0").engine.transportClosed(Error(ErrorKind::Network, u"gone"_s));
    QCOMPARE(s.takeConnectionClosed().kind(), ErrorKind::Network);
    s.settings = Script::defaultSettings();
    s.open(); // half a frame and the limits of the old connection are forgotten
    QCOMPARE(s.engine.handshake().agreed().frameMax, quint32(131072));
    QVERIFY(s.engine.channels().isPossible(2047));
}

QTEST_GUILESS_MAIN(tst_Handshake)
#include "tst_handshake.moc"
