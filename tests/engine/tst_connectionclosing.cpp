// SPDX-License-Identifier: MIT
#include "support/script.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;
using Engine::CallId;
using ChannelState = Engine::ChannelEngine::State;
using State = Engine::ConnectionEngine::State;

class tst_ConnectionClosing : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void aConnectionIsClosedAfterItsChannels();
    void aConnectionWithoutChannelsIsClosedAtOnce();
    void aChannelThatWasNeverOpenedDoesNotKeepAConnection();
    void noChannelIsOpenedWhileTheConnectionCloses();
    void aClosingConnectionAcceptsNoCalls();
    void closesOfAConnectionMayCross();
    void theBrokerMayCloseWhileChannelsClose();
    void closeHasADeadline_data();
    void closeHasADeadline();
    void closeWaitsForUnwrittenOutput();
    void closeBehindABacklogLastsAsLongAsItMoves();
    void closeBehindABacklogThatStandsStillHasADeadline();
    void eachAnswerGivesAClosingConnectionMoreTime();
    void closeWaitsForOperationsHeldByTheBroker();
    void aSocketThatEndsAfterConnectionCloseIsACleanEnd();
    void theBrokersCloseEndsEverythingInOrder();
    void aViolationAwaitsCloseOk();
    void theBrokersCloseIsReportedWithItsCause();
    void aLostConnectionEndsEverythingOnce();
    void abortEndsEverythingWithoutConnectionClose();
    void connectionCloseWaitsForNoCalls();
    void heldPublishesFailWithTheirRange_data();
    void heldPublishesFailWithTheirRange();
};

namespace
{

const QByteArray noProperties(2, '\0');

void publish(Engine::ChannelEngine &channel, const QByteArray &body)
{
    QVERIFY(channel.publish({}, u"key"_s, noProperties, body, false));
}

} // namespace

void tst_ConnectionClosing::aConnectionIsClosedAfterItsChannels()
{
    Script s;
    s.open();
    auto &one = s.openChannel();
    auto &two = s.openChannel();
    s.openChannel(7).release();
    s.expectSent<Wire::ChannelClose>(7);
    const auto consumer = s.takeEvents().isEmpty() ? nullptr : s.subscribe(one, u"a"_s);
    publish(two, "last words");
    s.engine.close(s.now);
    s.engine.close(s.now); // a second call has no effect
    QVERIFY(s.engine.isClosing());
    s.expectPublished("last words", "key", 2);
    s.expectSent<Wire::BasicCancel>(1).expectSent<Wire::ChannelClose>(1).expectSent<Wire::ChannelClose>(2);
    s.broker(Wire::BasicCancelOk{.consumerTag = "a"})
        .broker(Wire::ChannelCloseOk{}, 2)
        .broker(Wire::ChannelCloseOk{}, 1);
    s.expectNothingSent(); // channel 7 is still open
    s.broker(Wire::ChannelCloseOk{}, 7);
    s.expectSent<Wire::ConnectionClose>(
        [](const Wire::ConnectionClose &close) { QCOMPARE(close.replyCode, quint16(200)); });
    QCOMPARE(s.engine.state(), State::CloseSent);
    s.takeEvents();
    s.broker(Wire::ConnectionCloseOk{})
        .expectEvent<Engine::ConnectionClosed>([](const Engine::ConnectionClosed &closed) {
            QVERIFY(!closed.reason.isError());
            QCOMPARE(closed.ending, Engine::Ending::Close);
        });
    s.expectNoEvent().expectNothingSent();
    QVERIFY(!s.engine.isClosing());
    QVERIFY(!s.engine.deadline());
}

void tst_ConnectionClosing::aConnectionWithoutChannelsIsClosedAtOnce()
{
    Script s;
    s.open();
    s.engine.close(s.now);
    s.expectSent<Wire::ConnectionClose>();
    // Frames still in flight no longer matter.
    s.broker(Wire::ConnectionBlocked{}).broker(Wire::QueueDeclareOk{}, 3).deliver("a", 1, {.body = "b"}, 4);
    s.broker(Wire::ConnectionTune{}).expectNoEvent().broker(Wire::ConnectionCloseOk{});
    s.expectEvent<Engine::ConnectionClosed>().expectNoEvent().expectNothingSent();
}

void tst_ConnectionClosing::aChannelThatWasNeverOpenedDoesNotKeepAConnection()
{
    Script s;
    s.open();
    auto &channel = s.newChannel();
    s.engine.close(s.now);
    s.expectSent<Wire::ConnectionClose>().broker(Wire::ConnectionCloseOk{}).expectEvent<Engine::ConnectionClosed>();
    s.expectNoEvent();
    s.settings = Script::defaultSettings();
    const CallId opening = *channel.open(); // the call waits for the next connection
    s.open().expectSent<Wire::ChannelOpen>().broker(Wire::ChannelOpenOk{}).expectReply(opening);
}

void tst_ConnectionClosing::noChannelIsOpenedWhileTheConnectionCloses()
{
    Script s;
    s.open();
    s.openChannel();
    auto &late = s.newChannel();
    s.engine.close(s.now);
    s.expectSent<Wire::ChannelClose>();
    QCOMPARE(late.open().error().kind(), ErrorKind::NotOpen);
    s.expectNothingSent().broker(Wire::ChannelCloseOk{}).expectSent<Wire::ConnectionClose>();
    QCOMPARE(late.open().error().kind(), ErrorKind::NotOpen);
    s.broker(Wire::ConnectionCloseOk{}).takeConnectionClosed();
}

void tst_ConnectionClosing::aClosingConnectionAcceptsNoCalls()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    s.engine.close(s.now);
    QCOMPARE(channel.topology().purgeQueue(u"q"_s).error().kind(), ErrorKind::NotOpen);
    QCOMPARE(channel.publish({}, u"k"_s, noProperties, {}, false).error().kind(), ErrorKind::NotOpen);
    s.expectSent<Wire::ChannelClose>().expectNothingSent();
}

void tst_ConnectionClosing::closesOfAConnectionMayCross()
{
    Script s;
    s.open();
    s.engine.close(s.now);
    s.expectSent<Wire::ConnectionClose>();
    s.broker(Wire::ConnectionClose{.replyCode = 320, .replyText = "CONNECTION_FORCED"});
    s.expectSent<Wire::ConnectionCloseOk>().expectNothingSent();
    s.expectEvent<Engine::ConnectionClosed>([](const Engine::ConnectionClosed &closed) {
        QVERIFY(!closed.reason.isError());
        QCOMPARE(closed.ending, Engine::Ending::Close);
    });
    s.broker(Wire::ConnectionCloseOk{}).expectNoEvent();
}

void tst_ConnectionClosing::theBrokerMayCloseWhileChannelsClose()
{
    Script s;
    s.open();
    s.openChannel();
    s.engine.close(s.now);
    s.expectSent<Wire::ChannelClose>().broker(Wire::ConnectionClose{.replyCode = 320, .replyText = "shutdown"});
    s.expectSent<Wire::ConnectionCloseOk>().expectNothingSent();
    const Error reason = s.takeConnectionClosed();
    QCOMPARE(reason.replyCode(), quint16(320));
    QVERIFY(!s.engine.deadline());
}

void tst_ConnectionClosing::closeHasADeadline_data()
{
    QTest::addColumn<bool>("channelAnswers");
    QTest::addColumn<bool>("blocked");
    QTest::newRow("a channel does not answer") << false << false;
    QTest::newRow("the connection does not answer") << true << false;
    QTest::newRow("the broker blocks") << false << true;
}

void tst_ConnectionClosing::closeHasADeadline()
{
    QFETCH(bool, channelAnswers);
    QFETCH(bool, blocked);
    Script s;
    s.open();
    auto &channel = s.openChannel();
    if (blocked)
        s.broker(Wire::ConnectionBlocked{}).expectEvent<Engine::BlockedChanged>();
    publish(channel, "1");
    publish(channel, "2");
    s.takeSent();
    s.engine.close(s.now);
    QCOMPARE(s.engine.deadline(), std::optional(s.now + 5s));
    if (channelAnswers) {
        s.expectSent<Wire::ChannelClose>().broker(Wire::ChannelCloseOk{}).expectSent<Wire::ConnectionClose>();
        s.takeEvents();
    }
    s.advance(4999ms).expectNoEvent().advance(1ms);
    QStringList expected;
    if (!channelAnswers)
        expected += u"ReplyArrived %1 Timeout"_s.arg(2);
    if (blocked)
        expected += u"PublishFailed 1 1-2 Timeout"_s;
    if (!channelAnswers)
        expected += u"ChannelClosed 1 Timeout"_s;
    if (blocked)
        expected += u"BlockedChanged false"_s;
    QCOMPARE(s.takeEvents(), expected << u"ConnectionClosed Timeout"_s);
    QVERIFY(!s.engine.hasOutput());
    QVERIFY(!s.engine.deadline());
}

void tst_ConnectionClosing::closeWaitsForUnwrittenOutput()
{
    Script s;
    s.checksRules = false; // the output is taken manually
    s.open();
    publish(s.openChannel(), "body");
    s.engine.close(s.now);
    QCOMPARE(s.engine.deadline(), std::optional(s.now + 5s));
    const qsizetype accepted = s.engine.output().size();
    s.engine.written(1, s.now + 4s);
    QCOMPARE(s.engine.deadline(), std::optional(s.now + 9s));
    s.engine.written(accepted - 1, s.now + 8s);
    QCOMPARE(s.engine.deadline(), std::optional(s.now + 13s));
    s.engine.tick(s.now + 13s);
    QCOMPARE(s.takeConnectionClosed().kind(), ErrorKind::Timeout);
}

void tst_ConnectionClosing::closeBehindABacklogLastsAsLongAsItMoves()
{
    Engine::Settings settings = Script::defaultSettings();
    settings.replyTimeout = 1s; // shorter than the time it takes
    Script s(settings);
    s.checksRules = false; // the output is taken manually
    s.open();
    auto &channel = s.openChannel();
    for (int i = 0; i < 10; ++i)
        publish(channel, QByteArray(100'000, 'b'));
    s.engine.close(s.now);
    s.engine.prepareOutput(s.now);
    while (!s.engine.output().isEmpty()) {
        s.engine.written(std::min<qsizetype>(s.engine.output().size(), 40'000), s.now);
        s.engine.tick(s.now);
        s.expectNoEvent();
        s.now += 900ms; // each deadline is earlier than the end of the backlog
    }
    s.broker(Wire::ChannelCloseOk{});
    QCOMPARE(s.takeEvents().last(), u"ChannelClosed 1"_s);
    s.engine.prepareOutput(s.now);
    s.engine.written(s.engine.output().size(), s.now);
    s.broker(Wire::ConnectionCloseOk{});
    QVERIFY(!s.takeConnectionClosed().isError());
}

void tst_ConnectionClosing::closeBehindABacklogThatStandsStillHasADeadline()
{
    Engine::Settings settings = Script::defaultSettings();
    settings.heartbeatSeconds = 4; // the peer is alive, but heartbeats do not count as progress
    Script s(settings);
    s.checksRules = false;
    s.open({.heartbeat = 4});
    publish(s.openChannel(), QByteArray(100'000, 'b'));
    s.engine.close(s.now);
    s.engine.prepareOutput(s.now);
    s.engine.written(10, s.now += 3s);
    const Engine::Time end = s.now + 5s;
    for (; s.now < end; s.now += 500ms) {
        s.brokerBytes(encodeFrame(Wire::FrameType::Heartbeat, 0, {}));
        s.engine.tick(s.now);
        s.expectNoEvent();
    }
    s.engine.tick(s.now);
    QCOMPARE(s.takeConnectionClosed().kind(), ErrorKind::Timeout);
}

void tst_ConnectionClosing::eachAnswerGivesAClosingConnectionMoreTime()
{
    Script s;
    s.open();
    for (int i = 0; i < 3; ++i)
        s.openChannel();
    s.openChannel(9).release();
    s.engine.close(s.now);
    s.takeSent();
    for (const quint16 number : {1, 9, 2, 3})
        s.advance(4s).broker(Wire::ChannelCloseOk{}, number);
    s.expectSent<Wire::ConnectionClose>();
    QVERIFY(!s.takeEvents().contains(u"ConnectionClosed Timeout"_s));
    s.advance(5s);
    QCOMPARE(s.takeConnectionClosed().kind(), ErrorKind::Timeout);
}

void tst_ConnectionClosing::closeWaitsForOperationsHeldByTheBroker()
{
    Engine::Settings settings = Script::defaultSettings();
    settings.heartbeatSeconds = 2;
    Script s(settings);
    s.open({.heartbeat = 2});
    auto &channel = s.openChannel();
    s.broker(Wire::ConnectionBlocked{}).expectEvent<Engine::BlockedChanged>();
    publish(channel, "held");
    const Engine::Time begin = s.now;
    s.engine.close(s.now);
    s.write();
    s.advance(1s).expectHeartbeatSent(); // does not extend the deadline
    s.brokerBytes(encodeFrame(Wire::FrameType::Heartbeat, 0, {})).advance(2s);
    s.broker(Wire::ConnectionUnblocked{});
    s.advance(1s).takeSent();
    s.brokerBytes(encodeFrame(Wire::FrameType::Heartbeat, 0, {})).advance(3s);
    QVERIFY(s.now > begin + 5s);
    QVERIFY(s.engine.isOpen());
    s.takeSent();
    s.broker(Wire::ChannelCloseOk{}).expectSent<Wire::ConnectionClose>();
}

void tst_ConnectionClosing::aSocketThatEndsAfterConnectionCloseIsACleanEnd()
{
    Script s;
    s.open();
    s.engine.close(s.now);
    s.expectSent<Wire::ConnectionClose>();
    s.engine.transportClosed(Error(ErrorKind::Network, u"gone"_s));
    QVERIFY(!s.takeConnectionClosed().isError());
}

void tst_ConnectionClosing::theBrokersCloseEndsEverythingInOrder()
{
    Script s;
    s.open();
    auto &one = s.openChannel();
    auto &two = s.openChannel();
    const CallId first = *one.topology().purgeQueue(u"q"_s);
    const CallId second = *two.topology().purgeQueue(u"q"_s);
    const auto consumer = *two.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s);
    s.broker(Wire::ConnectionBlocked{}).takeSent();
    publish(one, "held");
    s.broker(Wire::ConnectionClose{.replyCode = 320, .replyText = "CONNECTION_FORCED - shutdown"});
    s.expectSent<Wire::ConnectionCloseOk>().expectNothingSent();
    QCOMPARE(s.takeEvents(),
             QStringList({u"BlockedChanged true"_s, u"ReplyArrived %1 ConnectionClosed"_s.arg(first),
                          u"PublishFailed 1 1-1 ConnectionClosed"_s, u"ChannelClosed 1 ConnectionClosed"_s,
                          u"ReplyArrived %1 ConnectionClosed"_s.arg(second),
                          u"ReplyArrived %1 ConnectionClosed"_s.arg(consumer->startCall),
                          u"ChannelClosed 2 ConnectionClosed"_s, u"BlockedChanged false"_s,
                          u"ConnectionClosed ConnectionClosed"_s}));
    QCOMPARE(one.state(), ChannelState::Closed);
    QCOMPARE(one.topology().purgeQueue(u"q"_s).error().kind(), ErrorKind::NotOpen);
}

void tst_ConnectionClosing::aViolationAwaitsCloseOk()
{
    Script s;
    s.open();
    s.broker(Wire::ConnectionOpenOk{});
    s.expectSent<Wire::ConnectionClose>();
    QCOMPARE(s.takeEvent<Engine::ConnectionClosed>().ending, Engine::Ending::AwaitCloseOk);
}

void tst_ConnectionClosing::theBrokersCloseIsReportedWithItsCause()
{
    Script s;
    s.open();
    s.openChannel();
    s.broker(Wire::ConnectionClose{.replyCode = 541,
                                   .replyText = "INTERNAL_ERROR",
                                   .classId = Wire::QueueDeclare::id.classId,
                                   .methodId = Wire::QueueDeclare::id.methodId});
    s.expectEvent<Engine::ChannelClosed>();
    s.expectEvent<Engine::ConnectionClosed>([](const Engine::ConnectionClosed &closed) {
        QCOMPARE(closed.reason, Error(ErrorKind::ConnectionClosed, u"INTERNAL_ERROR"_s, 541, u"queue.declare"_s));
        QCOMPARE(closed.ending, Engine::Ending::Close); // close-ok is still to be written
    });
    s.expectSent<Wire::ConnectionCloseOk>();
}

void tst_ConnectionClosing::aLostConnectionEndsEverythingOnce()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    auto &closing = s.openChannel();
    s.openChannel().release();
    s.expectSent<Wire::ChannelClose>(3).takeEvents();
    const auto active = s.subscribe(channel, u"active"_s);
    const auto cancelled = s.subscribe(channel, u"cancelled"_s);
    const CallId cancelling = channel.subscriptions().cancel(*cancelled);
    const CallId getting = *channel.get(u"q"_s, false);
    s.takeSent();
    // The message that answers basic.get is being received.
    s.brokerBytes(Wire::encodeFrame(1, Wire::BasicGetOk{.deliveryTag = 1}) + headerFrame(1, 10) +
                  encodeFrame(Wire::FrameType::Body, 1, "part").chopped(2));
    const CallId closingCall = *closing.close();
    publish(channel, "unwritten");
    s.engine.transportClosed(Error(ErrorKind::Network, u"connection reset"_s));
    QCOMPARE(s.takeEvents(),
             QStringList({u"ReplyArrived %1 Network"_s.arg(getting), u"ReplyArrived %1 Network"_s.arg(cancelling),
                          u"ChannelClosed 1 Network"_s, u"ReplyArrived %1 Network"_s.arg(closingCall),
                          u"ChannelClosed 2 Network"_s, u"ConnectionClosed Network"_s}));
    QVERIFY(s.engine.output().isEmpty());
    QVERIFY(!s.engine.hasOutput());
    QVERIFY(!s.engine.deadline());
    s.advance(1h).expectNoEvent();
    // All numbers are free again.
    s.settings = Script::defaultSettings();
    s.open();
    QCOMPARE(s.openChannel().number(), quint16(1));
    QCOMPARE(s.openChannel().number(), quint16(2));
    QCOMPARE(s.openChannel().number(), quint16(3));
}

void tst_ConnectionClosing::abortEndsEverythingWithoutConnectionClose()
{
    Script s;
    s.engine.abort(); // there are no calls to end
    s.expectNoEvent();
    s.open();
    auto &channel = s.openChannel();
    const CallId purging = *channel.topology().purgeQueue(u"q"_s);
    s.engine.abort();
    s.expectReply(purging, ErrorKind::Cancelled).expectEvent<Engine::ChannelClosed>();
    s.expectEvent<Engine::ConnectionClosed>([](const Engine::ConnectionClosed &closed) {
        QVERIFY(!closed.reason.isError());
        QCOMPARE(closed.ending, Engine::Ending::Abort);
    });
    s.engine.abort();
    s.expectNoEvent().expectNothingSent();
}

void tst_ConnectionClosing::connectionCloseWaitsForNoCalls()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    publish(channel, "last");
    s.engine.sendConnectionClose();
    s.engine.sendConnectionClose();
    s.expectPublished("last", "key").expectSent<Wire::ConnectionClose>().expectNothingSent();

    Script connecting;
    connecting.start().engine.sendConnectionClose();
    connecting.expectNothingSent();
}

void tst_ConnectionClosing::heldPublishesFailWithTheirRange_data()
{
    QTest::addColumn<QString>("end");
    QTest::addColumn<ErrorKind>("kind");
    QTest::newRow("the broker closes the channel") << u"channel.close"_s << ErrorKind::ChannelClosed;
    QTest::newRow("the broker closes the connection") << u"connection.close"_s << ErrorKind::ConnectionClosed;
    QTest::newRow("the connection is lost") << u"lost"_s << ErrorKind::Network;
    QTest::newRow("the channel is deleted") << u"release"_s << ErrorKind::Cancelled;
    QTest::newRow("the close takes too long") << u"close"_s << ErrorKind::Timeout;
    QTest::newRow("the connection is aborted") << u"abort"_s << ErrorKind::Cancelled;
    QTest::newRow("the broker breaks the protocol") << u"fault"_s << ErrorKind::ProtocolViolation;
}

void tst_ConnectionClosing::heldPublishesFailWithTheirRange()
{
    QFETCH(QString, end);
    QFETCH(ErrorKind, kind);
    Script s;
    s.open();
    auto &channel = s.openChannel();
    publish(channel, "1");
    publish(channel, "2");
    s.expectPublished("1", "key").expectPublished("2", "key");
    s.broker(Wire::ConnectionBlocked{}).expectEvent<Engine::BlockedChanged>();
    publish(channel, "3");
    const CallId between = *channel.topology().purgeQueue(u"q"_s);
    publish(channel, "4");
    publish(channel, "5");
    QVERIFY(s.engine.flow().queuedBytes() > 0);
    if (end == u"channel.close")
        s.broker(Wire::ChannelClose{.replyCode = 406});
    else if (end == u"connection.close")
        s.broker(Wire::ConnectionClose{.replyCode = 320});
    else if (end == u"lost")
        s.engine.transportClosed(Error(ErrorKind::Network, u"gone"_s));
    else if (end == u"release")
        channel.release();
    else if (end == u"abort")
        s.engine.abort();
    else if (end == u"fault")
        s.broker(Wire::QueueDeclareOk{});
    if (end == u"close") {
        s.engine.close(s.now);
        s.advance(5s);
    }
    s.expectReply(between, kind);
    if (end == u"close")
        s.expectEvent<Engine::ReplyArrived>(); // of channel.close
    s.expectEvent<Engine::PublishFailed>([&](const Engine::PublishFailed &failed) {
        QCOMPARE(failed.channel.get(), &channel);
        QCOMPARE(failed.first, quint64(3));
        QCOMPARE(failed.last, quint64(5));
        QCOMPARE(failed.reason.kind(), kind);
    });
    s.expectEvent<Engine::ChannelClosed>();
    QCOMPARE(s.takeEvents().filter(u"PublishFailed"_s), QStringList());
    s.checksRules = false;
    s.takeSent();
    QCOMPARE(s.engine.flow().queuedBytes(), 0);
}

QTEST_GUILESS_MAIN(tst_ConnectionClosing)
#include "tst_connectionclosing.moc"
