// SPDX-License-Identifier: MIT
#include "support/script.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;
using Engine::CallId;

class tst_ConnectionCalls : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void theBrokerAnswersInOrder();
    void aConnectionThatIsNotOpenRefusesIt();
    void argumentsThatCannotBeSentAreRefused();
    void theEndOfTheConnectionEndsTheCall_data();
    void theEndOfTheConnectionEndsTheCall();
    void aSecretThatTheBrokerRefusesEndsTheConnection();
    void timesOutUnlessTheBrokerBlocks();
    void closeWaitsForTheAnswer();
    void anAnswerWithoutACallBreaksTheProtocol();
};

void tst_ConnectionCalls::theBrokerAnswersInOrder()
{
    Script s;
    s.open();
    const CallId first = *s.engine.ownCalls().updateSecret("token 1", u"expiry"_s);
    const CallId second = *s.engine.ownCalls().updateSecret("token 2", {});
    QVERIFY(first != second);
    s.expectSent(Wire::ConnectionUpdateSecret{.newSecret = "token 1", .reason = "expiry"});
    s.expectSent(Wire::ConnectionUpdateSecret{.newSecret = "token 2", .reason = ""}).expectNoEvent();
    s.broker(Wire::ConnectionUpdateSecretOk{}).expectReply(first).expectNoEvent();
    s.broker(Wire::ConnectionUpdateSecretOk{}).expectReply(second).expectNoEvent();
    QVERIFY(!s.engine.deadline());
}

void tst_ConnectionCalls::aConnectionThatIsNotOpenRefusesIt()
{
    Script s;
    const auto refused = [&s] { return s.engine.ownCalls().updateSecret("token", {}).error(); };
    QCOMPARE(refused().kind(), ErrorKind::NotOpen);
    QCOMPARE(refused().method(), u"connection.update-secret"_s);
    s.start();
    QCOMPARE(refused().kind(), ErrorKind::NotOpen);

    Script closing;
    closing.open().openChannel();
    closing.engine.close(closing.now);
    QCOMPARE(closing.engine.ownCalls().updateSecret("token", {}).error().kind(), ErrorKind::NotOpen);
    closing.expectSent<Wire::ChannelClose>().expectNothingSent();
}

void tst_ConnectionCalls::argumentsThatCannotBeSentAreRefused()
{
    Script s;
    s.open({.frameMax = 4096});
    const auto tooLong = s.engine.ownCalls().updateSecret("token", QString(256, u'x'));
    QCOMPARE(tooLong.error().kind(), ErrorKind::InvalidArgument);
    QVERIFY(tooLong.error().text().startsWith(u"reason: "));
    const QByteArray secret(4096 - Wire::FrameOverhead - 4 - 4 - 1, 's'); // ids, and the lengths of both texts
    const auto tooLarge = s.engine.ownCalls().updateSecret(secret + 's', {});
    QCOMPARE(tooLarge.error().kind(), ErrorKind::InvalidArgument);
    QVERIFY(!tooLarge.error().text().contains(u"sss"));
    s.expectNothingSent();
    QVERIFY(s.engine.ownCalls().updateSecret(secret, {}));
    s.expectSent<Wire::ConnectionUpdateSecret>();
}

void tst_ConnectionCalls::theEndOfTheConnectionEndsTheCall_data()
{
    QTest::addColumn<QString>("end");
    QTest::addColumn<ErrorKind>("kind");
    QTest::newRow("lost") << u"lost"_s << ErrorKind::Network;
    QTest::newRow("aborted") << u"abort"_s << ErrorKind::Cancelled;
    QTest::newRow("closed without waiting") << u"exit"_s << ErrorKind::Cancelled;
}

void tst_ConnectionCalls::theEndOfTheConnectionEndsTheCall()
{
    QFETCH(const QString, end);
    QFETCH(const ErrorKind, kind);
    Script s;
    s.open();
    const CallId updating = *s.engine.ownCalls().updateSecret("token", {});
    s.expectSent<Wire::ConnectionUpdateSecret>();
    if (end == u"lost")
        s.engine.transportClosed(Error(ErrorKind::Network, u"gone"_s));
    else if (end == u"abort")
        s.engine.abort();
    else
        s.engine.sendConnectionClose();
    if (end == u"exit")
        s.expectSent<Wire::ConnectionClose>().broker(Wire::ConnectionCloseOk{});
    s.expectReply(updating, kind).expectEvent<Engine::ConnectionClosed>().expectNoEvent();
    s.settings = Script::defaultSettings();
    s.open(); // nothing is left of it
    s.broker(Wire::ConnectionUpdateSecretOk{});
    QCOMPARE(s.takeConnectionClosed().replyCode(), 503);
}

void tst_ConnectionCalls::aSecretThatTheBrokerRefusesEndsTheConnection()
{
    Script s;
    s.open();
    const CallId updating = *s.engine.ownCalls().updateSecret("token", {});
    s.expectSent<Wire::ConnectionUpdateSecret>();
    s.broker(Wire::ConnectionClose{.replyCode = 530, .replyText = "NOT_ALLOWED", .classId = 10, .methodId = 70});
    s.expectSent<Wire::ConnectionCloseOk>().expectReply(updating, ErrorKind::ConnectionClosed);
    QCOMPARE(s.takeConnectionClosed().method(), u"connection.update-secret"_s);
}

void tst_ConnectionCalls::timesOutUnlessTheBrokerBlocks()
{
    Script s;
    s.settings.replyTimeout = 1s;
    s.open();
    s.broker(Wire::ConnectionBlocked{}).expectEvent<Engine::BlockedChanged>();
    const CallId updating = *s.engine.ownCalls().updateSecret("token", {});
    s.expectSent<Wire::ConnectionUpdateSecret>();
    s.advance(1h).expectNoEvent();
    s.broker(Wire::ConnectionUnblocked{}).expectEvent<Engine::BlockedChanged>();
    s.advance(999ms).expectNoEvent().advance(1ms).expectReply(updating, ErrorKind::Timeout);
    const Error reason = s.takeConnectionClosed();
    QCOMPARE(reason.kind(), ErrorKind::Timeout);
    QCOMPARE(reason.method(), u"connection.update-secret"_s);
}

void tst_ConnectionCalls::closeWaitsForTheAnswer()
{
    Script s;
    s.open();
    const CallId updating = *s.engine.ownCalls().updateSecret("token", {});
    s.expectSent<Wire::ConnectionUpdateSecret>();
    s.engine.close(s.now);
    s.expectNothingSent().broker(Wire::ConnectionUpdateSecretOk{}).expectReply(updating);
    s.expectSent<Wire::ConnectionClose>().broker(Wire::ConnectionCloseOk{});
    s.expectEvent<Engine::ConnectionClosed>().expectNoEvent();
}

void tst_ConnectionCalls::anAnswerWithoutACallBreaksTheProtocol()
{
    Script s;
    s.open();
    const CallId updating = *s.engine.ownCalls().updateSecret("token", {});
    s.expectSent<Wire::ConnectionUpdateSecret>();
    s.broker(Wire::ConnectionUpdateSecretOk{}).expectReply(updating);
    s.broker(Wire::ConnectionUpdateSecretOk{}).expectSent<Wire::ConnectionClose>();
    QCOMPARE(s.takeConnectionClosed().kind(), ErrorKind::ProtocolViolation);
}

QTEST_GUILESS_MAIN(tst_ConnectionCalls)
#include "tst_connectioncalls.moc"
