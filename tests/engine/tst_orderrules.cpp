// SPDX-License-Identifier: MIT
#include "support/script.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;
using Engine::CallId;
using ConsumerState = Engine::ConsumerEntry::State;

class tst_OrderRules : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void repliesComeInTheOrderOfTheCalls();
    void eachCallGetsTheValueOfItsReply();
    void aTimeoutClosesTheChannelAndEndsItsOtherCalls();
    void aTimeoutOfAConsumeOrCancelNamesIt();
    void theTimeOfACallBeginsWithItsWriting();
    void theTimeOfACallBeginsWithItsLastByte();
    void theTimesOfCallsBeginOneByOne();
    void aCallBehindAPeerThatDoesNotReadEndsWithTheHeartbeat();
    void anAnsweredCallHasNoDeadline();
    void withoutReplyTimeoutCallsWaitForEver();
    void callDeadlinesStandStillWhileTheBrokerBlocks();
    void deadlinesStayInOrderAfterTheBrokerBlocked();
    void callsBeforeOpenAreSentInTheirOrderAcrossChannels();
    void callsTooLargeForTheNegotiatedFramesEndWithAnError();
    void anEmptyQueueNameIsTheLastOneDeclared();
    void anEmptyQueueNameFollowsTheBrokersName();
    void anEmptyQueueNameNeedsADeclaration_data();
    void anEmptyQueueNameNeedsADeclaration();
    void anEmptyKeyOfAnEmptyQueueIsItsName();
    void prefetchIsSentBeforeAConsumerAndBackAfterwards();
    void prefetchPerChannelIsSentAtOnceAndAgainAfterReopen();
    void getGivesAMessageOrNothing();
    void argumentsAreCheckedBeforeAnythingIsQueued_data();
    void argumentsAreCheckedBeforeAnythingIsQueued();
    void aClosedChannelAcceptsNoCalls();
};

void tst_OrderRules::repliesComeInTheOrderOfTheCalls()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const CallId a = *channel.topology().declareQueue(u"a"_s, {}, false);
    const CallId b = *channel.topology().declareQueue(u"b"_s, {}, false);
    const CallId c = *channel.topology().bindQueue(u"b"_s, u"amq.topic"_s, u"key"_s, {});
    QVERIFY(a < b && b < c);
    s.expectSent<Wire::QueueDeclare>().expectSent<Wire::QueueDeclare>().expectSent<Wire::QueueBind>();
    s.broker(Wire::QueueDeclareOk{.queue = "a"}).broker(Wire::QueueDeclareOk{.queue = "b"}).broker(Wire::QueueBindOk{});
    QCOMPARE(s.takeReply<QueueInfo>(a).name, u"a"_s);
    QCOMPARE(s.takeReply<QueueInfo>(b).name, u"b"_s);
    s.expectReply(c).expectNoEvent();
}

void tst_OrderRules::eachCallGetsTheValueOfItsReply()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const FieldTable table{{u"x-max-length"_s, 7}};
    const QByteArray encoded = *Wire::encodeTable(table, u"");

    const CallId declaring = *channel.topology().declareQueue(u"q"_s, {.exclusive = true, .arguments = table}, false);
    s.expectSent(Wire::QueueDeclare{.queue = "q", .durable = true, .exclusive = true, .arguments = {encoded}});
    s.broker(Wire::QueueDeclareOk{.queue = "q", .messageCount = 4, .consumerCount = 2});
    const auto info = s.takeReply<QueueInfo>(declaring);
    QCOMPARE(info.messageCount, 4u);
    QCOMPARE(info.consumerCount, 2u);

    const CallId inspecting = *channel.topology().declareQueue(u"q"_s, {.durable = false}, true);
    s.expectSent(Wire::QueueDeclare{.queue = "q", .passive = true}).broker(Wire::QueueDeclareOk{.queue = "q"});
    s.takeReply<QueueInfo>(inspecting);

    const CallId purging = *channel.topology().purgeQueue(u"q"_s);
    s.expectSent(Wire::QueuePurge{.queue = "q"}).broker(Wire::QueuePurgeOk{.messageCount = 9});
    QCOMPARE(s.takeReply<quint32>(purging), 9u);

    const CallId deleting = *channel.topology().deleteQueue(u"q"_s, true, false);
    s.expectSent(Wire::QueueDelete{.queue = "q", .ifUnused = true}).broker(Wire::QueueDeleteOk{.messageCount = 3});
    QCOMPARE(s.takeReply<quint32>(deleting), 3u);

    const CallId unbinding = *channel.topology().unbindQueue(u"q"_s, u"e"_s, u"k"_s, table);
    s.expectSent(Wire::QueueUnbind{.queue = "q", .exchange = "e", .routingKey = "k", .arguments = {encoded}});
    s.broker(Wire::QueueUnbindOk{}).expectReply(unbinding);

    const CallId exchange =
        *channel.topology().declareExchange(u"e"_s, u"topic"_s, {.autoDelete = true, .internal = true}, false);
    s.expectSent(
        Wire::ExchangeDeclare{.exchange = "e", .type = "topic", .durable = true, .autoDelete = true, .internal = true});
    s.broker(Wire::ExchangeDeclareOk{}).expectReply(exchange);

    const CallId deletingExchange = *channel.topology().deleteExchange(u"e"_s, true);
    s.expectSent(Wire::ExchangeDelete{.exchange = "e", .ifUnused = true});
    s.broker(Wire::ExchangeDeleteOk{}).expectReply(deletingExchange).expectNoEvent();
}

void tst_OrderRules::aTimeoutClosesTheChannelAndEndsItsOtherCalls()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    auto &other = s.openChannel();
    const auto consumer = s.subscribe(channel, u"a"_s);
    const CallId declaring = *channel.topology().declareQueue(u"q"_s, {}, false);
    s.expectSent<Wire::QueueDeclare>();
    s.advance(10s);
    const CallId purging = *channel.topology().purgeQueue(u"q"_s);
    const CallId elsewhere = *other.topology().purgeQueue(u"q"_s);
    s.expectSent<Wire::QueuePurge>().expectSent<Wire::QueuePurge>(2);
    s.advance(19'999ms).expectNoEvent().expectNothingSent();
    s.advance(1ms).expectSent<Wire::ChannelClose>().expectNothingSent();
    const auto reply = s.takeEvent<Engine::ReplyArrived>();
    QCOMPARE(reply.call, declaring);
    const Error error = std::get<Error>(reply.value);
    QCOMPARE(error.kind(), ErrorKind::Timeout);
    QCOMPARE(error.method(), u"queue.declare"_s);
    s.expectReply(purging, ErrorKind::Timeout);
    s.expectEvent<Engine::ChannelClosed>([&](const Engine::ChannelClosed &closed) { QCOMPARE(closed.reason, error); });
    s.expectNoEvent();
    QCOMPARE(consumer->state, ConsumerState::Gone);
    QCOMPARE(channel.topology().declareQueue(u"q"_s, {}, false).error().kind(), ErrorKind::NotOpen);

    // The delayed replies are ignored, and the other channel is not affected.
    s.broker(Wire::QueueDeclareOk{.queue = "q"}).broker(Wire::QueuePurgeOk{}).deliver("a", 1).expectNoEvent();
    s.broker(Wire::ChannelCloseOk{}).broker(Wire::QueuePurgeOk{}, 2).takeReply<quint32>(elsewhere);
    s.expectNoEvent().expectNothingSent();
}

void tst_OrderRules::aTimeoutOfAConsumeOrCancelNamesIt()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto consumer = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s);
    channel.subscriptions().cancel(*consumer); // is held and ends with the channel
    s.advance(30s);
    const Error error = std::get<Error>(s.takeEvent<Engine::ReplyArrived>().value);
    QCOMPARE(error.method(), u"basic.consume"_s);
    s.expectReply(consumer->cancelCall, ErrorKind::Timeout).expectEvent<Engine::ChannelClosed>().expectNoEvent();
    s.expectSent<Wire::BasicConsume>().expectSent<Wire::ChannelClose>().expectNothingSent();

    auto &second = s.openChannel();
    const auto cancelled = s.subscribe(second, u"a"_s);
    second.subscriptions().cancel(*cancelled);
    s.advance(30s);
    QCOMPARE(std::get<Error>(s.takeEvent<Engine::ReplyArrived>().value).method(), u"basic.cancel"_s);
}

void tst_OrderRules::theTimeOfACallBeginsWithItsWriting()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    QVERIFY(channel.topology().purgeQueue(u"q"_s));
    QVERIFY(!s.engine.deadline());
    s.now += 1h; // the socket was full
    s.expectSent<Wire::QueuePurge>();
    QCOMPARE(s.engine.deadline(), std::optional(s.now + 30s));
}

void tst_OrderRules::theTimeOfACallBeginsWithItsLastByte()
{
    Script s;
    s.checksRules = false; // the output is taken manually
    s.open();
    auto &channel = s.openChannel();
    QVERIFY(channel.publish({}, u"key"_s, QByteArray(2, '\0'), QByteArray(100'000, 'b'), false)); // the body is shared
    QVERIFY(channel.topology().purgeQueue(u"q"_s));
    s.engine.prepareOutput(s.now);
    qint64 left = s.engine.flow().queuedBytes();
    while (left > 1) {
        const qsizetype part = std::min<qsizetype>({s.engine.output().size(), 10'000, left - 1});
        s.engine.written(part, s.now += 1min);
        left -= part;
        QVERIFY(!s.engine.deadline());
    }
    s.engine.written(1, s.now += 1min, 200); // the transport has accepted the bytes, but not the kernel
    QVERIFY(!s.engine.deadline());
    s.engine.prepareOutput(s.now += 1min, 1);
    QVERIFY(!s.engine.deadline());
    s.engine.prepareOutput(s.now += 1min, 0);
    QCOMPARE(s.engine.deadline(), std::optional(s.now + 30s));
}

void tst_OrderRules::theTimesOfCallsBeginOneByOne()
{
    Script s;
    s.checksRules = false;
    s.open();
    auto &one = s.openChannel();
    auto &two = s.openChannel();
    const CallId first = *one.topology().purgeQueue(u"q"_s);
    s.engine.prepareOutput(s.now);
    const qsizetype size = s.engine.output().size();
    const CallId second = *two.topology().purgeQueue(u"q"_s);
    s.engine.written(size, s.now);
    s.engine.tick(s.now += 29'999ms);
    QVERIFY(s.engine.isOpen());
    s.engine.written(s.engine.output().size(), s.now);
    s.expectNoEvent().advance(1ms).expectReply(first, ErrorKind::Timeout).expectEvent<Engine::ChannelClosed>();
    s.expectNoEvent().advance(29'998ms).expectNoEvent().advance(1ms).expectReply(second, ErrorKind::Timeout);
}

void tst_OrderRules::aCallBehindAPeerThatDoesNotReadEndsWithTheHeartbeat()
{
    Engine::Settings settings = Script::defaultSettings();
    settings.heartbeatSeconds = 10;
    settings.replyTimeout = 1s;
    Script s(settings);
    s.checksRules = false;
    s.open({.heartbeat = 10});
    auto &channel = s.openChannel();
    QVERIFY(channel.publish({}, u"key"_s, QByteArray(2, '\0'), "body", false));
    const CallId purging = *channel.topology().purgeQueue(u"q"_s);
    s.engine.prepareOutput(s.now);
    s.engine.written(10, s.now); // the peer stops reading
    const Engine::Time end = s.now + 20s;
    for (; s.now < end; s.now += 1s) {
        s.engine.tick(s.now);
        s.expectNoEvent();
    }
    s.engine.tick(s.now);
    s.expectReply(purging, ErrorKind::Timeout).expectEvent<Engine::ChannelClosed>();
    QCOMPARE(s.takeConnectionClosed().kind(), ErrorKind::Timeout);
}

void tst_OrderRules::anAnsweredCallHasNoDeadline()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    QVERIFY(!s.engine.deadline());
    for (int i = 0; i < 3; ++i) {
        QVERIFY(channel.topology().purgeQueue(u"q"_s));
        s.expectSent<Wire::QueuePurge>().advance(1s);
    }
    const Engine::Time lastSent = s.now - 1s;
    s.broker(Wire::QueuePurgeOk{}).broker(Wire::QueuePurgeOk{}).takeEvents();
    QCOMPARE(s.engine.deadline(), std::optional(lastSent + 30s));
    s.broker(Wire::QueuePurgeOk{}).takeEvents();
    QVERIFY(!s.engine.deadline());
    s.advance(1h).expectNoEvent();
}

void tst_OrderRules::withoutReplyTimeoutCallsWaitForEver()
{
    Script s;
    s.settings.replyTimeout = 0ms;
    s.open();
    auto &channel = s.openChannel();
    const CallId purging = *channel.topology().purgeQueue(u"q"_s);
    s.expectSent<Wire::QueuePurge>();
    QVERIFY(!s.engine.deadline());
    s.advance(240h).expectNoEvent().broker(Wire::QueuePurgeOk{}).takeReply<quint32>(purging);
}

void tst_OrderRules::callDeadlinesStandStillWhileTheBrokerBlocks()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const CallId purging = *channel.topology().purgeQueue(u"q"_s);
    s.expectSent<Wire::QueuePurge>().advance(20s);
    s.broker(Wire::ConnectionBlocked{.reason = "low on memory"}).expectEvent<Engine::BlockedChanged>();
    QVERIFY(!s.engine.deadline());
    s.advance(1h).expectNoEvent();
    s.broker(Wire::ConnectionUnblocked{}).expectEvent<Engine::BlockedChanged>();
    QCOMPARE(s.engine.deadline(), std::optional(s.now + 10s));
    s.advance(9'999ms).expectNoEvent().advance(1ms).expectReply(purging, ErrorKind::Timeout);
}

void tst_OrderRules::deadlinesStayInOrderAfterTheBrokerBlocked()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    auto &other = s.openChannel();
    s.broker(Wire::ConnectionBlocked{}).advance(1h);
    const CallId whileBlocked = *channel.topology().purgeQueue(u"q"_s);
    s.expectSent<Wire::QueuePurge>().advance(1h).broker(Wire::ConnectionUnblocked{}).takeEvents();
    s.advance(10s);
    const CallId afterwards = *other.topology().purgeQueue(u"q"_s);
    s.expectSent<Wire::QueuePurge>(2);
    s.advance(20s).expectReply(whileBlocked, ErrorKind::Timeout).expectEvent<Engine::ChannelClosed>().expectNoEvent();
    s.advance(10s).expectReply(afterwards, ErrorKind::Timeout).expectEvent<Engine::ChannelClosed>().expectNoEvent();
}

void tst_OrderRules::callsBeforeOpenAreSentInTheirOrderAcrossChannels()
{
    Script s;
    auto &one = s.newChannel();
    auto &two = s.newChannel();
    QVERIFY(one.open());
    QVERIFY(one.topology().declareExchange(u"e"_s, u"fanout"_s, {}, false));
    QVERIFY(two.open());
    QVERIFY(two.topology().declareQueue(u"q"_s, {}, false));
    QVERIFY(one.publish(u"e"_s, u"first"_s, QByteArray(2, '\0'), "1", false));
    QVERIFY(two.topology().bindQueue(u"q"_s, u"e"_s, {}, {}));
    QVERIFY(one.publish(u"e"_s, u"second"_s, QByteArray(2, '\0'), "2", false));
    QVERIFY(two.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s));
    QCOMPARE(one.state(), Engine::ChannelEngine::State::Opening);
    s.open().expectSent<Wire::ChannelOpen>(1).expectSent<Wire::ExchangeDeclare>(1);
    s.expectSent<Wire::ChannelOpen>(2).expectSent<Wire::QueueDeclare>(2).expectPublished("1", "first", 1);
    s.expectSent<Wire::QueueBind>(2).expectPublished("2", "second", 1).expectSent<Wire::BasicConsume>(2);
    s.expectNothingSent();
}

void tst_OrderRules::callsTooLargeForTheNegotiatedFramesEndWithAnError()
{
    const FieldTable large{{u"x"_s, QString(5000, u'x')}};
    Script s;
    auto &channel = s.newChannel();
    QVERIFY(channel.open());
    const CallId declaring = *channel.topology().declareQueue(u"q"_s, {.arguments = large}, false);
    const auto consumer = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s, .arguments = large}, &s);
    const CallId cancelling = channel.subscriptions().cancel(*consumer);
    const QByteArray properties =
        Wire::encodeProperties({.flags = Wire::HeadersFlag, .headers = {*Wire::encodeTable(large, u"")}});
    QVERIFY(channel.publish({}, u"q"_s, properties, "body", false));
    const auto uncancelled = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"b"_s, .arguments = large}, &s);
    const CallId purging = *channel.topology().purgeQueue(u"q"_s);
    s.open({.frameMax = 4096}).expectSent<Wire::ChannelOpen>().expectSent<Wire::QueuePurge>().expectNothingSent();
    s.expectReply(declaring, ErrorKind::InvalidArgument);
    s.expectReply(consumer->startCall, ErrorKind::InvalidArgument).takeReply<Engine::CancelResult>(cancelling);
    s.expectEvent<Engine::PublishFailed>([](const Engine::PublishFailed &failed) {
        QCOMPARE(failed.first, quint64(1));
        QCOMPARE(failed.last, quint64(1));
        QCOMPARE(failed.reason.kind(), ErrorKind::InvalidArgument);
    });
    s.expectReply(uncancelled->startCall, ErrorKind::InvalidArgument);
    s.expectEvent<Engine::ConsumerCancelled>([&](const Engine::ConsumerCancelled &cancelled) {
        QCOMPARE(cancelled.consumer, uncancelled);
        QCOMPARE(cancelled.reason.kind(), ErrorKind::InvalidArgument);
    });
    s.broker(Wire::ChannelOpenOk{}).expectEvent<Engine::ReplyArrived>().expectEvent<Engine::ChannelOpened>();
    s.broker(Wire::QueuePurgeOk{}).takeReply<quint32>(purging);
    // Now the limit is known, so the call is rejected at once, and the tag is free.
    QCOMPARE(channel.topology().declareQueue(u"q"_s, {.arguments = large}, false).error().kind(),
             ErrorKind::InvalidArgument);
    QCOMPARE(channel.publish({}, u"q"_s, properties, {}, false).error().kind(), ErrorKind::InvalidArgument);
    QCOMPARE(channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s, .arguments = large}, &s).error().kind(),
             ErrorKind::InvalidArgument);
    s.expectNothingSent().subscribe(channel, u"a"_s);
}

void tst_OrderRules::anEmptyQueueNameIsTheLastOneDeclared()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    QVERIFY(channel.topology().declareQueue(u"first"_s, {}, false));
    QVERIFY(channel.topology().declareQueue(u"q"_s, {}, true)); // a passive declaration counts too
    QVERIFY(channel.topology().purgeQueue({}));
    QVERIFY(channel.get({}, true));
    QVERIFY(channel.subscriptions().consume({}, {.consumerTag = u"a"_s}, &s));
    QVERIFY(channel.topology().bindQueue({}, u"e"_s, u"k"_s, {}));
    QVERIFY(channel.topology().deleteQueue({}, false, false));
    s.expectSent<Wire::QueueDeclare>().expectSent<Wire::QueueDeclare>().expectSent(Wire::QueuePurge{.queue = "q"});
    s.expectSent(Wire::BasicGet{.queue = "q", .noAck = true});
    s.expectSent(Wire::BasicConsume{.queue = "q", .consumerTag = "a"});
    s.expectSent(Wire::QueueBind{.queue = "q", .exchange = "e", .routingKey = "k"});
    s.expectSent(Wire::QueueDelete{.queue = "q"}).expectNothingSent();
}

void tst_OrderRules::anEmptyQueueNameFollowsTheBrokersName()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    QVERIFY(channel.topology().declareQueue(u"old"_s, {}, false));
    QVERIFY(channel.topology().declareQueue({}, {}, false));
    QVERIFY(channel.topology().purgeQueue({})); // the broker knows which queue is meant
    s.expectSent<Wire::QueueDeclare>().expectSent(Wire::QueueDeclare{.durable = true});
    s.expectSent(Wire::QueuePurge{.queue = ""});
    s.broker(Wire::QueueDeclareOk{.queue = "old"}); // of the earlier declaration
    QCOMPARE(channel.topology().lastQueue(), QString());
    s.broker(Wire::QueueDeclareOk{.queue = "amq.gen-1"});
    QCOMPARE(channel.topology().lastQueue(), u"amq.gen-1"_s);
    QVERIFY(channel.topology().purgeQueue({}));
    s.expectSent(Wire::QueuePurge{.queue = "amq.gen-1"});
}

void tst_OrderRules::anEmptyQueueNameNeedsADeclaration_data()
{
    QTest::addColumn<QString>("operation");
    for (const QString &operation : {u"delete"_s, u"purge"_s, u"bind"_s, u"unbind"_s, u"get"_s, u"consume"_s})
        QTest::newRow(qPrintable(operation)) << operation;
}

void tst_OrderRules::anEmptyQueueNameNeedsADeclaration()
{
    QFETCH(QString, operation);
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto attempt = [&]() -> Error {
        return operation == u"delete"_s   ? channel.topology().deleteQueue({}, false, false).error()
               : operation == u"purge"_s  ? channel.topology().purgeQueue({}).error()
               : operation == u"bind"_s   ? channel.topology().bindQueue({}, u"e"_s, {}, {}).error()
               : operation == u"unbind"_s ? channel.topology().unbindQueue({}, u"e"_s, {}, {}).error()
               : operation == u"get"_s    ? channel.get({}, false).error()
                                          : channel.subscriptions().consume({}, {.consumerTag = u"a"_s}, &s).error();
    };
    QCOMPARE(attempt().kind(), ErrorKind::InvalidArgument);
    QVERIFY2(attempt().text().startsWith(u"queue:"_s), qPrintable(attempt().text()));
    s.expectNothingSent();
    // The broker does not count a declaration on another channel or before a reopen either.
    QVERIFY(s.openChannel(2).topology().declareQueue(u"q"_s, {}, false));
    QVERIFY(channel.topology().declareQueue(u"q"_s, {}, false));
    QCOMPARE(attempt().kind(), ErrorKind::NoError);
    s.broker(Wire::ChannelClose{.replyCode = 404}).write();
    QVERIFY(channel.open());
    s.takeSent();
    QCOMPARE(attempt().kind(), ErrorKind::InvalidArgument);
    s.expectNothingSent();
}

void tst_OrderRules::anEmptyKeyOfAnEmptyQueueIsItsName()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    QVERIFY(channel.topology().declareQueue({}, {}, false));
    QVERIFY(channel.topology().bindQueue({}, u"e"_s, {}, {})); // the broker uses the queue's name for both
    s.expectSent<Wire::QueueDeclare>().expectSent(Wire::QueueBind{.queue = "", .exchange = "e", .routingKey = ""});
    s.broker(Wire::QueueDeclareOk{.queue = "amq.gen-1"});
    QVERIFY(channel.topology().bindQueue({}, u"e"_s, {}, {}));
    QVERIFY(channel.topology().unbindQueue({}, u"e"_s, {}, {}));
    QVERIFY(channel.topology().bindQueue({}, u"e"_s, u"k"_s, {}));
    QVERIFY(channel.topology().bindQueue(u"amq.gen-1"_s, u"e"_s, {}, {})); // here the empty key stays empty
    s.expectSent(Wire::QueueBind{.queue = "amq.gen-1", .exchange = "e", .routingKey = "amq.gen-1"});
    s.expectSent(Wire::QueueUnbind{.queue = "amq.gen-1", .exchange = "e", .routingKey = "amq.gen-1"});
    s.expectSent(Wire::QueueBind{.queue = "amq.gen-1", .exchange = "e", .routingKey = "k"});
    s.expectSent(Wire::QueueBind{.queue = "amq.gen-1", .exchange = "e", .routingKey = ""});
}

void tst_OrderRules::prefetchIsSentBeforeAConsumerAndBackAfterwards()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto consume = [&](const QString &tag, std::optional<quint16> prefetch) {
        QVERIFY(channel.subscriptions().consume(u"q"_s, {.consumerTag = tag, .prefetch = prefetch}, &s));
    };
    consume(u"a"_s, {}); // the broker has no limit by default
    s.expectSent<Wire::BasicConsume>();
    const CallId setting = *channel.subscriptions().setPrefetch(100, false);
    s.expectSent(Wire::BasicQos{.prefetchCount = 100}).broker(Wire::BasicQosOk{});
    consume(u"b"_s, {});
    s.expectSent<Wire::BasicConsume>();
    consume(u"c"_s, 10);
    s.expectSent(Wire::BasicQos{.prefetchCount = 10}).expectSent<Wire::BasicConsume>();
    consume(u"d"_s, 10);
    s.expectSent<Wire::BasicConsume>();
    consume(u"e"_s, {});
    s.expectSent(Wire::BasicQos{.prefetchCount = 100}).expectSent<Wire::BasicConsume>();
    consume(u"f"_s, 0);
    s.expectSent(Wire::BasicQos{.prefetchCount = 0}).expectSent<Wire::BasicConsume>().expectNothingSent();
    s.expectReply(setting).expectNoEvent();
}

void tst_OrderRules::prefetchPerChannelIsSentAtOnceAndAgainAfterReopen()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    QVERIFY(channel.subscriptions().setPrefetch(200, true));
    QVERIFY(channel.subscriptions().setPrefetch(20, false));
    s.expectSent(Wire::BasicQos{.prefetchCount = 200, .global = true});
    s.expectSent(Wire::BasicQos{.prefetchCount = 20});
    s.broker(Wire::ChannelClose{.replyCode = 406}).expectSent<Wire::ChannelCloseOk>();
    QVERIFY(channel.open());
    s.expectSent<Wire::ChannelOpen>().expectSent(Wire::BasicQos{.prefetchCount = 200, .global = true});
    s.expectNothingSent();
    QVERIFY(channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s));
    s.expectSent(Wire::BasicQos{.prefetchCount = 20}).expectSent<Wire::BasicConsume>().expectNothingSent();
}

void tst_OrderRules::getGivesAMessageOrNothing()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const CallId first = *channel.get(u"q"_s, false);
    const CallId second = *channel.get(u"q"_s, true);
    const CallId third = *channel.get(u"q"_s, false);
    s.expectSent(Wire::BasicGet{.queue = "q"}).expectSent(Wire::BasicGet{.queue = "q", .noAck = true});
    s.expectSent(Wire::BasicGet{.queue = "q"});
    s.getOk(1, {.body = "body", .redelivered = true}, 1, 7).getOk(2).broker(Wire::BasicGetEmpty{});
    const auto got = s.takeReply<Engine::GotMessage>(first);
    QCOMPARE(got.remaining, 7u);
    QCOMPARE(got.message.body, "body");
    QVERIFY(got.message.redelivered);
    s.takeReply<Engine::GotMessage>(second);
    s.takeReply<Engine::QueueEmpty>(third);
    QVERIFY(channel.deliveries().isUnsettled(1));
    QVERIFY(!channel.deliveries().isUnsettled(2));
}

void tst_OrderRules::argumentsAreCheckedBeforeAnythingIsQueued_data()
{
    QTest::addColumn<QString>("argument");
    for (const QString &argument : {u"queue"_s, u"exchange"_s, u"routingKey"_s, u"type"_s, u"consumerTag"_s,
                                    u"arguments"_s, u"arguments too large"_s, u"consumerTag empty"_s})
        QTest::newRow(qPrintable(argument)) << argument;
}

void tst_OrderRules::argumentsAreCheckedBeforeAnythingIsQueued()
{
    QFETCH(QString, argument);
    const QString name = argument.section(u' ', 0, 0);
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const QString wide = QString(128, QChar(0x44f)); // 256 bytes in 128 characters
    QCOMPARE(wide.toUtf8().size(), 256);
    const FieldTable table =
        argument == u"arguments"_s ? FieldTable{{u"k"_s, qInf()}} : FieldTable{{u"k"_s, QString(131072, u'x')}};
    QList<Error> errors;
    if (name == u"queue"_s) {
        errors = {channel.topology().declareQueue(wide, {}, false).error(),
                  channel.topology().deleteQueue(wide, false, false).error(),
                  channel.topology().purgeQueue(wide).error(),
                  channel.get(wide, false).error(),
                  channel.topology().bindQueue(wide, u"e"_s, {}, {}).error(),
                  channel.subscriptions().consume(wide, {.consumerTag = u"a"_s}, &s).error()};
    } else if (name == u"exchange"_s) {
        errors = {channel.topology().declareExchange(wide, u"fanout"_s, {}, false).error(),
                  channel.topology().deleteExchange(wide, false).error(),
                  channel.topology().bindQueue(u"q"_s, wide, {}, {}).error(),
                  channel.publish(wide, {}, QByteArray(2, '\0'), {}, false).error(),
                  channel.publish(QString(256, u'e'), {}, QByteArray(2, '\0'), {}, false).error()};
    } else if (name == u"routingKey"_s) {
        errors = {channel.topology().bindQueue(u"q"_s, u"e"_s, wide, {}).error(),
                  channel.topology().unbindQueue(u"q"_s, u"e"_s, wide, {}).error(),
                  channel.publish({}, wide, QByteArray(2, '\0'), {}, false).error(),
                  channel.publish({}, QString(256, u'k'), QByteArray(2, '\0'), {}, false).error()};
    } else if (name == u"type"_s) {
        errors = {channel.topology().declareExchange(u"e"_s, wide, {}, false).error()};
    } else if (name == u"consumerTag"_s) {
        const QString tag = argument == name ? wide : QString();
        errors = {channel.subscriptions().consume(u"q"_s, {.consumerTag = tag}, &s).error()};
    } else {
        errors = {channel.topology().declareQueue(u"q"_s, {.arguments = table}, false).error(),
                  channel.topology().declareExchange(u"e"_s, u"fanout"_s, {.arguments = table}, false).error(),
                  channel.topology().bindQueue(u"q"_s, u"e"_s, {}, table).error(),
                  channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s, .arguments = table}, &s).error()};
    }
    for (const Error &error : std::as_const(errors)) {
        QCOMPARE(error.kind(), ErrorKind::InvalidArgument);
        QVERIFY2(error.text().startsWith(name + u':'), qPrintable(error.text()));
    }
    s.expectNothingSent().expectNoEvent();
    QVERIFY(!s.engine.deadline());
    s.subscribe(channel, u"a"_s); // the channel is not affected, and no tag is in use
    QVERIFY(channel.publish(QString(127, QChar(0x44f)), QString(255, u'k'), QByteArray(2, '\0'), {}, false));
}

void tst_OrderRules::aClosedChannelAcceptsNoCalls()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto attempts = [&] {
        return QList<Error>{channel.topology().declareQueue(u"q"_s, {}, false).error(),
                            channel.topology().deleteQueue(u"q"_s, false, false).error(),
                            channel.topology().purgeQueue(u"q"_s).error(),
                            channel.topology().bindQueue(u"q"_s, u"e"_s, {}, {}).error(),
                            channel.topology().unbindQueue(u"q"_s, u"e"_s, {}, {}).error(),
                            channel.topology().declareExchange(u"e"_s, u"fanout"_s, {}, false).error(),
                            channel.topology().deleteExchange(u"e"_s, false).error(),
                            channel.subscriptions().setPrefetch(1, false).error(),
                            channel.get(u"q"_s, false).error(),
                            channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s).error(),
                            channel.publish({}, u"q"_s, QByteArray(2, '\0'), {}, false).error(),
                            channel.close().error()};
    };
    QVERIFY(channel.close());
    s.expectSent<Wire::ChannelClose>();
    for (const Error &error : attempts())
        QCOMPARE(error.kind(), ErrorKind::NotOpen);
    s.broker(Wire::ChannelCloseOk{}).takeEvents();
    for (const Error &error : attempts())
        QCOMPARE(error.kind(), ErrorKind::NotOpen);
    s.expectNothingSent().expectNoEvent();
}

QTEST_GUILESS_MAIN(tst_OrderRules)
#include "tst_orderrules.moc"
