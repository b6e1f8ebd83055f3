// SPDX-License-Identifier: MIT
#include "support/script.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;
using Engine::CallId;
using ChannelState = Engine::ChannelEngine::State;
using ConsumerState = Engine::ConsumerEntry::State;

class tst_ChannelClosing : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void aChannelIsClosedByAHandshake();
    void callsUnderWayAreStillAnswered();
    void callsThatStayUnansweredAreCancelled();
    void theBrokersCloseEndsTheChannelOnly();
    void framesAfterTheBrokersCloseAreSkipped();
    void secondCloseOfTheBrokerIsSkipped_data();
    void secondCloseOfTheBrokerIsSkipped();
    void refusalToOpenIsNotTakenForASecondClose();
    void anUnexpectedCloseOkDoesNotCloseAReopenedChannel();
    void theBrokersCloseAnswersACloseThatIsHeld();
    void closesOfAChannelMayCross();
    void theBrokerMayCloseAReleasedChannel();
    void aNumberIsNotReusedUntilCloseOk();
    void theSmallestFreeNumberIsUsed();
    void aNumberMayBeChosen();
    void numbersCanRunOut();
    void aReopenedChannelIsANewIncarnation();
    void reopeningUsesAnotherNumberUntilCloseOk();
    void reopeningWithoutAFreeNumberFailsAndKeepsTheNumber();
    void onlyAClosedChannelCanBeOpened();
    void channelsBeyondTheNegotiatedLimitEnd();
    void aReleasedChannelIsClosedInEveryState_data();
    void aReleasedChannelIsClosedInEveryState();
    void framesOfAReleasedChannelAreSkipped();
    void nothingIsSentAfterCloseIsSent();
};

namespace
{

const QByteArray noProperties(2, '\0');

void publish(Engine::ChannelEngine &channel, const QByteArray &body)
{
    QVERIFY(channel.publish({}, u"key"_s, noProperties, body, false));
}

} // namespace

void tst_ChannelClosing::aChannelIsClosedByAHandshake()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto a = s.subscribe(channel, u"a"_s);
    const auto b = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"b"_s},
                                                    &s); // not started, needs no cancel
    s.expectSent<Wire::BasicConsume>();
    const CallId closing = *channel.close();
    QCOMPARE(channel.state(), ChannelState::Closing);
    s.expectSent(Wire::BasicCancel{.consumerTag = "a"});
    s.expectSent<Wire::ChannelClose>([](const Wire::ChannelClose &close) { QCOMPARE(close.replyCode, quint16(200)); });
    s.expectNothingSent().expectNoEvent();
    s.broker(Wire::BasicCancelOk{.consumerTag = "a"}).broker(Wire::ChannelCloseOk{});
    s.takeReply<Engine::CancelResult>(a->cancelCall);
    s.expectReply(closing).expectReply(b->startCall, ErrorKind::Cancelled);
    s.expectEvent<Engine::ChannelClosed>([&](const Engine::ChannelClosed &closed) {
        QCOMPARE(closed.channel.get(), &channel);
        QVERIFY(!closed.reason.isError());
    });
    s.expectNoEvent().expectNothingSent();
    QCOMPARE(channel.state(), ChannelState::Closed);
    QCOMPARE(a->state, ConsumerState::Gone);
    QCOMPARE(b->state, ConsumerState::Gone);
    QVERIFY(s.engine.isOpen());
}

void tst_ChannelClosing::callsUnderWayAreStillAnswered()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const CallId purging = *channel.topology().purgeQueue(u"q"_s);
    const CallId getting = *channel.get(u"q"_s, false);
    const auto consumer = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s);
    const CallId closing = *channel.close();
    s.expectSent<Wire::QueuePurge>().expectSent<Wire::BasicGet>().expectSent<Wire::BasicConsume>();
    s.expectSent<Wire::ChannelClose>();
    s.broker(Wire::QueuePurgeOk{.messageCount = 3}).getOk(1, {.body = "got"});
    s.broker(Wire::BasicConsumeOk{.consumerTag = "a"}).deliver("a", 2);
    s.broker(Wire::ChannelFlow{.active = false}).broker(Wire::BasicCancel{.consumerTag = "a", .noWait = false});
    s.broker(Wire::ChannelCloseOk{});
    QCOMPARE(s.takeReply<quint32>(purging), 3u);
    QCOMPARE(s.takeReply<Engine::GotMessage>(getting).message.body, "got");
    s.expectReply(consumer->startCall).expectEvent<Engine::ConsumerCancelled>();
    s.expectReply(closing).expectEvent<Engine::ChannelClosed>().expectNoEvent();
    QCOMPARE(consumer->returned, 1);
    s.expectNothingSent(); // neither flow-ok nor cancel-ok nor nack
}

void tst_ChannelClosing::callsThatStayUnansweredAreCancelled()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const CallId purging = *channel.topology().purgeQueue(u"q"_s);
    const CallId closing = *channel.close();
    s.broker(Wire::ChannelCloseOk{}).expectReply(closing).expectReply(purging, ErrorKind::Cancelled);
    s.expectEvent<Engine::ChannelClosed>().expectNoEvent();
}

void tst_ChannelClosing::theBrokersCloseEndsTheChannelOnly()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    auto &other = s.openChannel();
    const auto active = s.subscribe(channel, u"active"_s);
    const auto cancelled = s.subscribe(channel, u"cancelled"_s);
    const auto otherConsumer = s.subscribe(other, u"active"_s);
    const CallId cancelling = channel.subscriptions().cancel(*cancelled);
    const CallId declaring = *channel.topology().declareQueue(u"q"_s, {}, true);
    const auto starting = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"starting"_s}, &s);
    const CallId elsewhere = *other.topology().purgeQueue(u"q"_s);
    s.takeSent();
    s.broker(Wire::ChannelClose{.replyCode = 404,
                                .replyText = "NOT_FOUND - no queue 'q'",
                                .classId = Wire::QueueDeclare::id.classId,
                                .methodId = Wire::QueueDeclare::id.methodId});
    s.expectSent<Wire::ChannelCloseOk>().expectNothingSent();
    const Error reason(ErrorKind::ChannelClosed, u"NOT_FOUND - no queue 'q'"_s, 404, u"queue.declare"_s);
    const auto reply = s.takeEvent<Engine::ReplyArrived>();
    QCOMPARE(reply.call, declaring);
    QCOMPARE(std::get<Error>(reply.value), reason);
    s.expectReply(starting->startCall, ErrorKind::ChannelClosed).expectReply(cancelling, ErrorKind::ChannelClosed);
    s.expectEvent<Engine::ChannelClosed>([&](const Engine::ChannelClosed &closed) {
        QCOMPARE(closed.channel.get(), &channel);
        QCOMPARE(closed.reason, reason);
    });
    s.expectNoEvent();
    for (const auto &consumer : {active, cancelled, starting})
        QCOMPARE(consumer->state, ConsumerState::Gone);
    QCOMPARE(otherConsumer->state, ConsumerState::Active);
    s.broker(Wire::QueuePurgeOk{}, 2).takeReply<quint32>(elsewhere);
}

void tst_ChannelClosing::framesAfterTheBrokersCloseAreSkipped()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    s.subscribe(channel, u"a"_s);
    s.broker(Wire::ChannelClose{.replyCode = 404}).expectSent<Wire::ChannelCloseOk>().takeEvents();
    s.deliver("a", 1, {.body = "body"}).broker(Wire::BasicConsumeOk{.consumerTag = "b"});
    s.expectNoEvent().expectNothingSent();

    const CallId opening = *channel.open();
    s.expectSent<Wire::ChannelOpen>();
    s.deliver("a", 2, {.body = "body"}).expectNoEvent().expectNothingSent();
    s.broker(Wire::ChannelOpenOk{}).expectReply(opening).expectEvent<Engine::ChannelOpened>();
    s.deliver("a", 3).expectNoEvent(); // the consumer is gone
    s.expectSent(Wire::BasicCancel{.consumerTag = "a", .noWait = true});
    s.expectSent(Wire::BasicNack{.deliveryTag = 3, .requeue = true}).expectNothingSent();
}

void tst_ChannelClosing::secondCloseOfTheBrokerIsSkipped_data()
{
    QTest::addColumn<bool>("reopens");
    QTest::newRow("while the channel is closed") << false;
    QTest::newRow("while the channel is opened again") << true;
}

// RabbitMQ: queue.declare "q" is refused, and queue.bind with an empty name follows.
void tst_ChannelClosing::secondCloseOfTheBrokerIsSkipped()
{
    QFETCH(const bool, reopens);
    Script s;
    s.open();
    auto &channel = s.openChannel();
    s.broker(Wire::ChannelClose{
        .replyCode = 406, .classId = Wire::QueueDeclare::id.classId, .methodId = Wire::QueueDeclare::id.methodId});
    s.expectSent<Wire::ChannelCloseOk>().expectEvent<Engine::ChannelClosed>();
    CallId opening = 0;
    if (reopens) {
        opening = *channel.open();
        s.expectSent<Wire::ChannelOpen>();
    }
    s.broker(Wire::ChannelClose{.replyCode = 404,
                                .replyText = "NOT_FOUND - no previously declared queue",
                                .classId = Wire::QueueBind::id.classId,
                                .methodId = Wire::QueueBind::id.methodId});
    s.expectNoEvent().expectNothingSent();
    if (!reopens) {
        opening = *channel.open();
        s.expectSent<Wire::ChannelOpen>();
    }
    s.broker(Wire::ChannelOpenOk{}).expectReply(opening).expectEvent<Engine::ChannelOpened>();
    const CallId purging = *channel.topology().purgeQueue(u"q"_s);
    s.expectSent<Wire::QueuePurge>().broker(Wire::QueuePurgeOk{}).takeReply<quint32>(purging);
}

void tst_ChannelClosing::refusalToOpenIsNotTakenForASecondClose()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    s.broker(Wire::ChannelClose{.replyCode = 404}).expectSent<Wire::ChannelCloseOk>().takeEvents();
    const CallId opening = *channel.open();
    s.expectSent<Wire::ChannelOpen>();
    s.broker(Wire::ChannelClose{
        .replyCode = 504, .classId = Wire::ChannelOpen::id.classId, .methodId = Wire::ChannelOpen::id.methodId});
    s.expectSent<Wire::ChannelCloseOk>().expectReply(opening, ErrorKind::ChannelClosed);
    s.expectEvent<Engine::ChannelClosed>().expectNoEvent();
}

void tst_ChannelClosing::anUnexpectedCloseOkDoesNotCloseAReopenedChannel()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    s.broker(Wire::ChannelClose{.replyCode = 404, .replyText = "NOT_FOUND"}).expectSent<Wire::ChannelCloseOk>();
    s.expectEvent<Engine::ChannelClosed>();
    const CallId opening = *channel.open();
    s.expectSent<Wire::ChannelOpen>().broker(Wire::ChannelCloseOk{}).expectNoEvent();
    const CallId purging = *channel.topology().purgeQueue(u"q"_s);
    s.expectSent<Wire::QueuePurge>();
    s.broker(Wire::ChannelOpenOk{}).expectReply(opening).expectEvent<Engine::ChannelOpened>();
    s.broker(Wire::QueuePurgeOk{}).takeReply<quint32>(purging);
}

void tst_ChannelClosing::theBrokersCloseAnswersACloseThatIsHeld()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    s.broker(Wire::ConnectionBlocked{}).expectEvent<Engine::BlockedChanged>();
    publish(channel, "held");
    const CallId purging = *channel.topology().purgeQueue(u"q"_s);
    const CallId closing = *channel.close();
    s.expectNothingSent().broker(Wire::ChannelClose{.replyCode = 406}).expectSent<Wire::ChannelCloseOk>();
    s.expectReply(closing).expectReply(purging, ErrorKind::ChannelClosed).expectEvent<Engine::PublishFailed>();
    s.expectEvent<Engine::ChannelClosed>().expectNoEvent();
}

void tst_ChannelClosing::closesOfAChannelMayCross()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const CallId purging = *channel.topology().purgeQueue(u"q"_s);
    const CallId closing = *channel.close();
    s.expectSent<Wire::QueuePurge>().expectSent<Wire::ChannelClose>();
    s.broker(Wire::ChannelClose{.replyCode = 404, .replyText = "NOT_FOUND"}).expectSent<Wire::ChannelCloseOk>();
    s.expectReply(closing).expectReply(purging, ErrorKind::ChannelClosed).expectEvent<Engine::ChannelClosed>();
    QVERIFY(!s.engine.createChannel(nullptr, 1)); // the answer to the engine's close has not arrived yet
    s.broker(Wire::ChannelCloseOk{}).expectNoEvent().expectNothingSent();
    s.openChannel(1);
}

void tst_ChannelClosing::theBrokerMayCloseAReleasedChannel()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    channel.release();
    s.expectSent<Wire::ChannelClose>().takeEvents();
    s.broker(Wire::ChannelClose{.replyCode = 406}).expectSent<Wire::ChannelCloseOk>().expectNoEvent();
    QVERIFY(!s.engine.createChannel(nullptr, 1));
    s.broker(Wire::ChannelCloseOk{});
    s.openChannel(1);
}

void tst_ChannelClosing::aNumberIsNotReusedUntilCloseOk()
{
    Script s;
    s.open();
    s.openChannel();
    auto &second = s.openChannel();
    s.openChannel();
    QVERIFY(second.close());
    s.expectSent<Wire::ChannelClose>(2);
    QCOMPARE(s.openChannel().number(), quint16(4));
    s.broker(Wire::ChannelCloseOk{}, 2).takeEvents();
    QCOMPARE(s.openChannel().number(), quint16(2));
}

void tst_ChannelClosing::theSmallestFreeNumberIsUsed()
{
    Script s;
    s.open();
    for (quint16 number = 1; number <= 5; ++number)
        QCOMPARE(s.openChannel().number(), number);
    for (const quint16 number : {4, 2}) {
        s.broker(Wire::ChannelClose{.replyCode = 404}, number).expectSent<Wire::ChannelCloseOk>(number).takeEvents();
    }
    QCOMPARE(s.openChannel().number(), quint16(2));
    QCOMPARE(s.openChannel().number(), quint16(4));
    QCOMPARE(s.openChannel().number(), quint16(6));
}

void tst_ChannelClosing::aNumberMayBeChosen()
{
    Script s;
    s.open();
    QCOMPARE(s.openChannel(2).number(), quint16(2));
    QVERIFY(!s.engine.createChannel(nullptr, 2));
    QVERIFY(!s.engine.createChannel(nullptr, 0));
    QVERIFY(!s.engine.createChannel(nullptr, 2048));
    QCOMPARE(s.openChannel(2047).number(), quint16(2047));
    QCOMPARE(s.openChannel().number(), quint16(1));
    QCOMPARE(s.openChannel().number(), quint16(3));
    QCOMPARE(s.engine.channels().channel(3)->number(), quint16(3));
    QVERIFY(!s.engine.channels().channel(4));
    QVERIFY(!s.engine.channels().channel(65535));
}

void tst_ChannelClosing::numbersCanRunOut()
{
    Script s;
    s.open({.channelMax = 3});
    for (int i = 0; i < 3; ++i)
        s.openChannel();
    QVERIFY(!s.engine.createChannel(nullptr));
    QVERIFY(!s.engine.createChannel(nullptr, 4));
    s.broker(Wire::ChannelClose{.replyCode = 404}, 1).expectSent<Wire::ChannelCloseOk>(1).takeEvents();
    QCOMPARE(s.openChannel().number(), quint16(1));
}

void tst_ChannelClosing::aReopenedChannelIsANewIncarnation()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const quint64 first = channel.incarnation();
    publish(channel, "1");
    s.expectPublished("1", "key").broker(Wire::ChannelClose{.replyCode = 404}).expectSent<Wire::ChannelCloseOk>();
    s.expectEvent<Engine::ChannelClosed>();
    const CallId opening = *channel.open();
    QCOMPARE(channel.state(), ChannelState::Opening);
    QVERIFY(channel.incarnation() > first);
    s.expectSent<Wire::ChannelOpen>().broker(Wire::ChannelOpenOk{}).expectReply(opening);
    s.expectEvent<Engine::ChannelOpened>();
    QCOMPARE(channel.number(), quint16(1));
    QCOMPARE(*channel.publish({}, u"key"_s, noProperties, "2", false), quint64(2)); // the numbers never start again
    s.expectPublished("2", "key");
    QVERIFY(s.openChannel().incarnation() > channel.incarnation()); // and are not shared
}

void tst_ChannelClosing::reopeningUsesAnotherNumberUntilCloseOk()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    QVERIFY(channel.topology().purgeQueue(u"q"_s));
    s.advance(30s).expectSent<Wire::QueuePurge>().expectSent<Wire::ChannelClose>().takeEvents();
    const CallId opening = *channel.open();
    QCOMPARE(channel.number(), quint16(2));
    s.expectSent<Wire::ChannelOpen>(2).broker(Wire::QueuePurgeOk{}, 1).broker(Wire::ChannelCloseOk{}, 1);
    s.broker(Wire::ChannelOpenOk{}, 2).expectReply(opening).expectEvent<Engine::ChannelOpened>().expectNoEvent();
    QCOMPARE(s.openChannel().number(), quint16(1));
}

void tst_ChannelClosing::reopeningWithoutAFreeNumberFailsAndKeepsTheNumber()
{
    Script s;
    s.open({.channelMax = 2});
    auto &channel = s.openChannel();
    s.openChannel();
    s.broker(Wire::ChannelClose{.replyCode = 404}).expectSent<Wire::ChannelCloseOk>().takeEvents();
    const auto usurper = s.engine.createChannel(nullptr, 1);
    QVERIFY(usurper->open());
    s.expectSent<Wire::ChannelOpen>();
    const Error error = channel.open().error();
    QCOMPARE(error.kind(), ErrorKind::NotOpen);
    QCOMPARE(channel.number(), quint16(1));
    QCOMPARE(channel.state(), ChannelState::Closed);
    usurper->release();
    s.expectSent<Wire::ChannelClose>().broker(Wire::ChannelCloseOk{});
    QVERIFY(channel.open());
    s.expectSent<Wire::ChannelOpen>();
}

void tst_ChannelClosing::onlyAClosedChannelCanBeOpened()
{
    Script s;
    s.open();
    auto &channel = s.newChannel();
    QVERIFY(channel.open());
    QCOMPARE(channel.open().error().kind(), ErrorKind::InvalidArgument);
    s.broker(Wire::ChannelOpenOk{});
    QCOMPARE(channel.open().error().kind(), ErrorKind::InvalidArgument);
    QVERIFY(channel.close());
    QCOMPARE(channel.open().error().kind(), ErrorKind::InvalidArgument);
    s.expectSent<Wire::ChannelOpen>().expectSent<Wire::ChannelClose>().expectNothingSent();
}

void tst_ChannelClosing::channelsBeyondTheNegotiatedLimitEnd()
{
    Script s;
    auto &first = s.newChannel();
    auto &opening = s.newChannel();
    auto &idle = s.newChannel();
    const CallId firstOpening = *first.open();
    const CallId secondOpening = *opening.open();
    const CallId declaring = *opening.topology().declareQueue(u"q"_s, {}, false);
    s.open({.channelMax = 1}).expectSent<Wire::ChannelOpen>().expectNothingSent();
    s.expectReply(secondOpening, ErrorKind::InvalidArgument).expectReply(declaring, ErrorKind::InvalidArgument);
    s.expectEvent<Engine::ChannelClosed>().broker(Wire::ChannelOpenOk{}).expectReply(firstOpening);
    s.expectEvent<Engine::ChannelOpened>().expectNoEvent();
    QCOMPARE(idle.open().error().kind(), ErrorKind::NotOpen);
    s.broker(Wire::ChannelClose{.replyCode = 404}).expectSent<Wire::ChannelCloseOk>().takeEvents();
    QVERIFY(idle.open());
    QCOMPARE(idle.number(), quint16(1));
    s.expectSent<Wire::ChannelOpen>();
}

void tst_ChannelClosing::aReleasedChannelIsClosedInEveryState_data()
{
    QTest::addColumn<QString>("state");
    QTest::addColumn<bool>("sendsClose");
    QTest::addColumn<bool>("rests");
    QTest::newRow("never opened") << u"new"_s << false << false;
    QTest::newRow("waits for the connection") << u"waiting"_s << false << false;
    QTest::newRow("Opening") << u"opening"_s << true << true;
    QTest::newRow("Open") << u"open"_s << true << true;
    QTest::newRow("Flowed") << u"flowed"_s << true << true;
    QTest::newRow("Closing, sent") << u"closing"_s << false << true;
    QTest::newRow("Closing, held") << u"closing held"_s << true << true;
    QTest::newRow("Closed") << u"closed"_s << false << false;
}

void tst_ChannelClosing::aReleasedChannelIsClosedInEveryState()
{
    QFETCH(QString, state);
    QFETCH(bool, sendsClose);
    QFETCH(bool, rests);
    Script s;
    if (state != u"waiting")
        s.open();
    auto &channel = s.newChannel();
    QSet<CallId> calls;
    if (state != u"new") {
        calls += *channel.open();
        calls += *channel.topology().purgeQueue(u"q"_s);
        calls += (*channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s))->startCall;
    }
    if (state != u"waiting" && state != u"new" && state != u"opening")
        s.broker(Wire::ChannelOpenOk{});
    if (state == u"flowed" || state == u"closing held") {
        s.broker(Wire::ChannelFlow{.active = false});
        publish(channel, "held");
    }
    if (state.startsWith(u"closing"))
        calls += *channel.close();
    if (state == u"closed")
        s.broker(Wire::ChannelClose{.replyCode = 404});
    s.takeSent();
    int ended = int(s.takeEvents().filter(u"ReplyArrived"_s).size());

    channel.release();
    QCOMPARE(channel.state(), ChannelState::Closed);
    QVERIFY(!channel.client);
    const auto sent = s.takeSent();
    QCOMPARE(sent.size(), size_t(sendsClose));
    QVERIFY(!sendsClose || sent.front().is(Wire::ChannelClose::id));
    const QStringList events = s.takeEvents();
    ended += int(events.filter(u"ReplyArrived"_s).size());
    QCOMPARE(ended, calls.size());
    QCOMPARE(events.filter(u"PublishFailed"_s).size(), state == u"flowed" || state == u"closing held" ? 1 : 0);
    channel.release(); // a second call has no effect
    s.expectNothingSent().expectNoEvent();

    const auto next = s.engine.createChannel(nullptr);
    QCOMPARE(next->number(), quint16(rests ? 2 : 1));
    if (state == u"waiting")
        s.open().expectNothingSent();
    if (rests) {
        s.broker(Wire::ChannelCloseOk{}).expectNoEvent();
        QCOMPARE(s.engine.createChannel(nullptr)->number(), quint16(1));
    }
}

void tst_ChannelClosing::framesOfAReleasedChannelAreSkipped()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    s.subscribe(channel, u"a"_s);
    const auto calls = {channel.topology().purgeQueue(u"q"_s), channel.get(u"q"_s, false)};
    Q_UNUSED(calls)
    s.takeSent();
    channel.release();
    s.expectSent<Wire::ChannelClose>().takeEvents();
    s.broker(Wire::QueuePurgeOk{}).getOk(1, {.body = "x"}).deliver("a", 2, {.body = QByteArray(200'000, 'x')});
    s.broker(Wire::BasicCancel{.consumerTag = "a"}).broker(Wire::ChannelFlow{.active = false});
    s.brokerBytes(encodeFrame(Wire::FrameType::Method, 1, QByteArray("\x7f\x7f\x7f\x7f", 4)));
    s.expectNoEvent().expectNothingSent().broker(Wire::ChannelCloseOk{});
    s.openChannel(1);
}

void tst_ChannelClosing::nothingIsSentAfterCloseIsSent()
{
    Script s; // the rules of the script would report it
    s.open();
    auto &channel = s.openChannel();
    const auto consumer = s.subscribe(channel, u"a"_s);
    const auto starting = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"b"_s}, &s);
    channel.subscriptions().cancel(*starting);
    s.deliver("a", 1).expectEvent<Engine::Delivered>();
    QVERIFY(channel.close());
    s.expectSent<Wire::BasicConsume>().expectSent<Wire::BasicCancel>().expectSent<Wire::ChannelClose>();
    s.broker(Wire::BasicConsumeOk{.consumerTag = "b"}); // would otherwise send the held cancel
    s.broker(Wire::ChannelFlow{.active = false}).broker(Wire::BasicCancel{.consumerTag = "b", .noWait = false});
    s.deliver("a", 2).deliver("nobody's", 3).broker(Wire::BasicAck{.deliveryTag = 1});
    QVERIFY(!channel.deliveries().ack(1).count);
    s.broker(Wire::QueueDeclareOk{.queue = "nobody asked"});
    s.expectNothingSent();
    s.broker(Wire::ChannelCloseOk{}).expectNothingSent().takeEvents();
    QVERIFY(s.engine.isOpen());
    s.openChannel(1);
}

QTEST_GUILESS_MAIN(tst_ChannelClosing)
#include "tst_channelclosing.moc"
