// SPDX-License-Identifier: MIT
#include "support/script.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

class tst_Heartbeat : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void isSentWhenNothingElseWasForHalfTheInterval();
    void bytesPassedToTheKernelCount();
    void queuedMessagesDoNotCount();
    void offMeansOff_data();
    void offMeansOff();
    void aSilentPeerIsDeadAfterTwoIntervals();
    void anyByteKeepsThePeerAlive();
    void bytesReadIntoABodyCount();
    void aDelayedTimerGivesThePeerMoreTime();
    void aDelayedTimerAfterAnyByteGivesMoreTimeAgain();
    void aSlightlyDelayedTimerGivesThePeerNoMoreTime();
    void beginsWithTune();
    void goesOnWhileTheConnectionCloses();
    void isNotSentAfterConnectionClose();
    void endsWithTheConnection();
};

namespace
{

struct Beating : Script {
    explicit Beating(quint16 seconds = 10)
    {
        settings.heartbeatSeconds = seconds;
        open();
    }
    Script &brokerHeartbeat() { return brokerBytes(encodeFrame(Wire::FrameType::Heartbeat, 0, {})); }
};

} // namespace

void tst_Heartbeat::isSentWhenNothingElseWasForHalfTheInterval()
{
    Beating s;
    QCOMPARE(s.engine.heartbeat(), 10s);
    QCOMPARE(s.engine.deadline(), std::optional(s.now + 5s));
    s.advance(4999ms).expectNothingSent().advance(1ms).expectHeartbeatSent().expectNothingSent();
    s.brokerHeartbeat().advance(5s).expectHeartbeatSent();
    s.brokerHeartbeat().advance(4999ms).expectNothingSent();
}

void tst_Heartbeat::bytesPassedToTheKernelCount()
{
    Beating s;
    auto &channel = s.openChannel();
    for (int i = 0; i < 5; ++i) {
        s.advance(4s);
        QVERIFY(channel.publish({}, u"k"_s, QByteArray(2, '\0'), "b", false));
        s.expectPublished("b", "k").expectNothingSent();
        s.brokerHeartbeat();
    }
    s.advance(5s).expectHeartbeatSent();
}

void tst_Heartbeat::queuedMessagesDoNotCount()
{
    Beating s;
    auto &channel = s.openChannel();
    s.now += 4s;
    QVERIFY(channel.publish({}, u"k"_s, QByteArray(2, '\0'), "b", false)); // the socket accepts nothing
    s.engine.prepareOutput(s.now);
    s.now += 1s;
    s.engine.tick(s.now);
    s.expectPublished("b", "k").expectHeartbeatSent();
}

void tst_Heartbeat::offMeansOff_data()
{
    QTest::addColumn<quint16>("ours");
    QTest::addColumn<quint16>("theirs");
    QTest::newRow("we want none") << quint16(0) << quint16(60);
    QTest::newRow("both disable them") << quint16(0) << quint16(0);
}

void tst_Heartbeat::offMeansOff()
{
    QFETCH(quint16, ours);
    QFETCH(quint16, theirs);
    Script s;
    s.settings.heartbeatSeconds = ours;
    s.open({.heartbeat = theirs});
    QCOMPARE(s.engine.heartbeat(), 0s);
    QVERIFY(!s.engine.deadline());
    s.advance(24h).expectNothingSent().expectNoEvent();
    s.brokerBytes(encodeFrame(Wire::FrameType::Heartbeat, 0, {})).expectNoEvent(); // the peer may still send heartbeats
}

void tst_Heartbeat::aSilentPeerIsDeadAfterTwoIntervals()
{
    Beating s;
    s.advance(19'999ms).expectNoEvent().advance(1ms);
    const auto closed = s.takeEvent<Engine::ConnectionClosed>();
    QCOMPARE(closed.reason.kind(), ErrorKind::Timeout);
    QVERIFY2(closed.reason.text().contains(u"10 s"_s), qPrintable(closed.reason.text()));
    QCOMPARE(closed.ending, Engine::Ending::Abort);
    QVERIFY(!s.engine.hasOutput());
}

void tst_Heartbeat::anyByteKeepsThePeerAlive()
{
    Beating s;
    const QByteArray frame = Wire::encodeFrame(0, Wire::ConnectionBlocked{.reason = "any"});
    for (const char byte : frame) { // one byte of a frame every 19 seconds
        s.advance(19s).expectNoEvent();
        s.brokerBytes(QByteArray(1, byte));
    }
    s.expectEvent<Engine::BlockedChanged>().advance(19'999ms).expectNoEvent().advance(1ms);
    QCOMPARE(s.takeConnectionClosed().kind(), ErrorKind::Timeout);
}

void tst_Heartbeat::bytesReadIntoABodyCount()
{
    Beating s;
    s.subscribe(s.openChannel(), u"a"_s);
    const QByteArray stream = deliverFrames("a", 1, {.body = QByteArray(100'000, 'b')});
    for (qsizetype offset = 0; offset < stream.size(); offset += 10'000) {
        s.advance(19s).expectNoEvent();
        s.brokerBytes(stream.mid(offset, 10'000));
    }
    s.expectEvent<Engine::Delivered>();
}

void tst_Heartbeat::aDelayedTimerGivesThePeerMoreTime()
{
    Beating s;
    s.sleep(60s).expectNoEvent(); // the event loop was blocked
    QVERIFY(s.engine.isOpen());
    s.advance(2499ms).expectNoEvent().advance(1ms); // a quarter of the interval for bytes still in the socket
    QCOMPARE(s.takeConnectionClosed().kind(), ErrorKind::Timeout);
}

void tst_Heartbeat::aDelayedTimerAfterAnyByteGivesMoreTimeAgain()
{
    Beating s;
    s.sleep(60s).expectNoEvent();
    s.brokerHeartbeat();
    s.advance(19'999ms).expectNoEvent();
    s.sleep(10s).expectNoEvent(); // the timer is late again, so the peer gets more time again
    s.brokerHeartbeat().advance(19'999ms).expectNoEvent().advance(1ms);
    QCOMPARE(s.takeConnectionClosed().kind(), ErrorKind::Timeout);
}

void tst_Heartbeat::aSlightlyDelayedTimerGivesThePeerNoMoreTime()
{
    Beating s;
    s.advance(19'999ms).sleep(500ms);
    QCOMPARE(s.takeConnectionClosed().kind(), ErrorKind::Timeout);
}

void tst_Heartbeat::beginsWithTune()
{
    Script s;
    s.settings.heartbeatSeconds = 2;
    s.settings.handshakeTimeout = 100s;
    s.start().advance(50s).expectNothingSent().expectNoEvent().brokerStart().expectSent<Wire::ConnectionStartOk>();
    s.broker(Wire::ConnectionTune{.frameMax = 131072, .heartbeat = 60}).expectSent<Wire::ConnectionTuneOk>();
    s.expectSent<Wire::ConnectionOpen>().advance(1s).expectHeartbeatSent();
    s.advance(3s);
    QCOMPARE(s.takeConnectionClosed().kind(), ErrorKind::Timeout);
}

void tst_Heartbeat::goesOnWhileTheConnectionCloses()
{
    Beating s(2);
    s.openChannel();
    s.engine.close(s.now);
    s.expectSent<Wire::ChannelClose>().advance(1s).expectHeartbeatSent().advance(3s);
    QCOMPARE(s.takeConnectionClosed().kind(), ErrorKind::Timeout);
}

void tst_Heartbeat::isNotSentAfterConnectionClose()
{
    Beating s(2);
    s.settings.closeTimeout = 1h;
    s.engine.abort();
    s.takeConnectionClosed();
    s.open();
    s.engine.close(s.now);
    s.expectSent<Wire::ConnectionClose>().advance(3999ms).expectNothingSent().expectNoEvent();
    s.advance(1ms); // the peer is dead all the same
    QCOMPARE(s.takeConnectionClosed().kind(), ErrorKind::Timeout);
}

void tst_Heartbeat::endsWithTheConnection()
{
    Beating s;
    s.engine.transportClosed(Error(ErrorKind::Network, u"gone"_s));
    s.expectEvent<Engine::ConnectionClosed>();
    QVERIFY(!s.engine.deadline());
    s.advance(1h).expectNoEvent().expectNothingSent();
    // A new connection begins with a new clock.
    s.settings = Script::defaultSettings();
    s.settings.heartbeatSeconds = 10;
    s.open().advance(19'999ms).expectNoEvent();
}

QTEST_GUILESS_MAIN(tst_Heartbeat)
#include "tst_heartbeat.moc"
