// SPDX-License-Identifier: MIT
#include "engine/channelparts.h"

using namespace AmqpQt;
using namespace Qt::StringLiterals;

using Engine::ConsumerEntry;
using State = ConsumerEntry::State;

// The class Subscriptions; the tests of consumers with a broker are in tst_subscriptions.
class tst_ChannelSubscriptions : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void consumeOkActivatesTheConsumer();
    void anUnexpectedConsumeOkIsAViolation();
    void aTagIsFreeOnceItsConsumerHasEnded();
    void qosIsSentWhenThePrefetchChanges();
    void aReopenedChannelGetsItsPrefetchAgain();
    void cancelWaitsForConsumeOk();
    void onlyADrainedConsumerStillReceives();
    void theBrokersCancelEndsTheConsumer();
    void aCancelInsteadOfConsumeOkFailsTheStart();
    void theEndFinishesStartsAndCancels_data();
    void theEndFinishesStartsAndCancels();
    void consumersThatCannotWorkAreRejected_data();
    void consumersThatCannotWorkAreRejected();
    void deliveriesForAnUnknownTagStop();
};

namespace
{

struct Subscribing : ChannelParts {
    std::shared_ptr<ConsumerEntry> start(const QString &tag, ConsumeOptions options = {})
    {
        options.consumerTag = tag;
        const auto consumer = subscriptions.consume(u"q"_s, options, &s);
        return consumer ? *consumer : nullptr;
    }
    std::shared_ptr<ConsumerEntry> started(const QString &tag)
    {
        const auto consumer = start(tag);
        s.expectSent<Wire::BasicConsume>();
        const QByteArray bytes = tag.toUtf8();
        subscriptions.on(Wire::BasicConsumeOk{.consumerTag = bytes});
        s.expectReply(consumer->startCall);
        return consumer;
    }
};

} // namespace

void tst_ChannelSubscriptions::consumeOkActivatesTheConsumer()
{
    Subscribing t;
    const auto consumer = t.start(u"a"_s, {.ackMode = AckMode::NoAck, .exclusive = true});
    t.s.expectSent<Wire::BasicConsume>([](const Wire::BasicConsume &sent) {
        QCOMPARE(sent.queue, QByteArrayView("q"));
        QCOMPARE(sent.consumerTag, QByteArrayView("a"));
        QVERIFY(sent.noAck && sent.exclusive);
    });
    QCOMPARE(consumer->state, State::Starting);
    t.subscriptions.on(Wire::BasicConsumeOk{.consumerTag = "a"});
    t.s.expectReply(consumer->startCall).expectNoEvent();
    QCOMPARE(consumer->state, State::Active);
    QCOMPARE(t.consumers.find("a"), consumer);
}

void tst_ChannelSubscriptions::anUnexpectedConsumeOkIsAViolation()
{
    Subscribing t;
    t.started(u"a"_s);
    t.subscriptions.on(Wire::BasicConsumeOk{.consumerTag = "a"}); // a second one
    QCOMPARE(t.s.takeConnectionClosed().kind(), ErrorKind::ProtocolViolation);
}

void tst_ChannelSubscriptions::aTagIsFreeOnceItsConsumerHasEnded()
{
    Subscribing t;
    const auto former = t.started(u"a"_s);
    QVERIFY(!t.start(u"a"_s));
    const Engine::CallId cancelling = t.subscriptions.cancel(*former);
    t.s.expectSent(Wire::BasicCancel{.consumerTag = "a"});
    const auto next = t.start(u"a"_s);
    QVERIFY(next && next->waitsForTag);
    QVERIFY(!t.start(u"a"_s)); // only one can wait
    t.s.expectNothingSent();
    QVERIFY(!t.subscriptions.claimTag(*t.calls.firstCall()));
    t.subscriptions.on(Wire::BasicCancelOk{.consumerTag = "a"});
    t.s.expectReply(cancelling).expectSent<Wire::BasicConsume>(); // the channel sends the call that has waited
    QVERIFY(!next->waitsForTag);
    QCOMPARE(t.consumers.find("a"), next);
}

void tst_ChannelSubscriptions::qosIsSentWhenThePrefetchChanges()
{
    Subscribing t;
    t.start(u"a"_s, {.prefetch = 10});
    t.start(u"b"_s, {.prefetch = 10});
    t.start(u"c"_s);
    QVERIFY(t.subscriptions.setPrefetch(20, false));
    t.start(u"d"_s);
    t.s.expectSent(Wire::BasicQos{.prefetchCount = 10}).expectSent<Wire::BasicConsume>();
    t.s.expectSent<Wire::BasicConsume>(); // b
    t.s.expectSent(Wire::BasicQos{.prefetchCount = 0}).expectSent<Wire::BasicConsume>();
    t.s.expectSent(Wire::BasicQos{.prefetchCount = 20}).expectSent<Wire::BasicConsume>().expectNothingSent();
}

void tst_ChannelSubscriptions::aReopenedChannelGetsItsPrefetchAgain()
{
    Subscribing t;
    QVERIFY(t.subscriptions.setPrefetch(100, true));
    QVERIFY(t.subscriptions.setPrefetch(5, false));
    t.start(u"a"_s);
    t.s.expectSent(Wire::BasicQos{.prefetchCount = 100, .global = true});
    t.s.expectSent(Wire::BasicQos{.prefetchCount = 5}).expectSent<Wire::BasicConsume>();
    t.subscriptions.channelOpened();
    t.start(u"b"_s);
    t.s.expectSent(Wire::BasicQos{.prefetchCount = 100, .global = true});
    t.s.expectSent(Wire::BasicQos{.prefetchCount = 5}).expectSent<Wire::BasicConsume>().expectNothingSent();
}

// RabbitMQ would end the connection for a cancel before consume-ok.
void tst_ChannelSubscriptions::cancelWaitsForConsumeOk()
{
    Subscribing t;
    const auto consumer = t.start(u"a"_s);
    t.s.expectSent<Wire::BasicConsume>();
    const Engine::CallId cancelling = t.subscriptions.cancel(*consumer);
    QVERIFY(consumer->isEnding());
    t.s.expectNothingSent();
    t.subscriptions.on(Wire::BasicConsumeOk{.consumerTag = "a"});
    t.s.expectReply(consumer->startCall).expectSent(Wire::BasicCancel{.consumerTag = "a"});
    QCOMPARE(consumer->state, State::Cancelling);
    consumer->returned = 2;
    consumer->lost = 3;
    t.subscriptions.on(Wire::BasicCancelOk{.consumerTag = "a"});
    const auto result = t.s.takeReply<Engine::CancelResult>(cancelling);
    QCOMPARE(result.returned, 2);
    QCOMPARE(result.lost, 3);
    QCOMPARE(consumer->state, State::Gone);
    QVERIFY(!t.consumers.find("a"));
}

void tst_ChannelSubscriptions::onlyADrainedConsumerStillReceives()
{
    Subscribing t;
    const auto cancelled = t.started(u"a"_s);
    const auto drained = t.started(u"b"_s);
    t.subscriptions.cancel(*cancelled);
    t.subscriptions.drain(*drained);
    t.s.expectSent(Wire::BasicCancel{.consumerTag = "a"}).expectSent(Wire::BasicCancel{.consumerTag = "b"});
    QVERIFY(!t.contents.accept(*cancelled, 1));
    QVERIFY(t.contents.accept(*drained, 2));
}

void tst_ChannelSubscriptions::theBrokersCancelEndsTheConsumer()
{
    Subscribing t;
    const auto consumer = t.started(u"a"_s);
    t.subscriptions.on(Wire::BasicCancel{.consumerTag = "a", .noWait = true});
    QCOMPARE(consumer->state, State::Gone);
    t.s.expectEvent<Engine::ConsumerCancelled>([&](const Engine::ConsumerCancelled &event) {
        QCOMPARE(event.consumer, consumer);
        QCOMPARE(event.reason.kind(), ErrorKind::ConsumerCancelled);
        QVERIFY(event.reason.text().contains(u"\"a\""_s));
    });
    t.s.expectSent(Wire::BasicCancel{.consumerTag = "a", .noWait = true}); // otherwise deliveries would continue
    t.subscriptions.on(Wire::BasicCancel{.consumerTag = "a", .noWait = false});
    t.s.expectSent(Wire::BasicCancelOk{.consumerTag = "a"}).expectNothingSent().expectNoEvent();
}

void tst_ChannelSubscriptions::aCancelInsteadOfConsumeOkFailsTheStart()
{
    Subscribing t;
    const auto consumer = t.start(u"a"_s);
    t.s.expectSent<Wire::BasicConsume>();
    t.subscriptions.on(Wire::BasicCancel{.consumerTag = "a", .noWait = true});
    t.s.expectReply(consumer->startCall, ErrorKind::ConsumerCancelled).expectEvent<Engine::ConsumerCancelled>();
    t.subscriptions.on(Wire::BasicConsumeOk{.consumerTag = "a"}); // arrives late, and does no harm
    t.s.expectNoEvent();
    QVERIFY(t.s.engine.isOpen());
}

void tst_ChannelSubscriptions::theEndFinishesStartsAndCancels_data()
{
    QTest::addColumn<bool>("isFailure");
    QTest::newRow("failure") << true;
    QTest::newRow("close") << false;
}

void tst_ChannelSubscriptions::theEndFinishesStartsAndCancels()
{
    QFETCH(const bool, isFailure);
    Subscribing t;
    const auto active = t.started(u"a"_s);
    const auto leaving = t.started(u"b"_s);
    const Engine::CallId cancelling = t.subscriptions.cancel(*leaving);
    leaving->returned = 1;
    const auto starting = t.start(u"c"_s);
    t.subscriptions.end(Error(ErrorKind::ChannelClosed, u"gone"_s, 404), isFailure);
    if (isFailure)
        t.s.expectReply(cancelling, ErrorKind::ChannelClosed);
    else
        QCOMPARE(t.s.takeReply<Engine::CancelResult>(cancelling).returned, 1);
    t.s.expectReply(starting->startCall, ErrorKind::ChannelClosed).expectNoEvent();
    for (const auto &consumer : {active, leaving, starting})
        QCOMPARE(consumer->state, State::Gone);
    QVERIFY(t.consumers.entries().isEmpty());
}

void tst_ChannelSubscriptions::consumersThatCannotWorkAreRejected_data()
{
    QTest::addColumn<QString>("queue");
    QTest::addColumn<ConsumeOptions>("options");
    QTest::addColumn<QString>("argument");
    const FieldTable stream{{u"x-stream-offset"_s, u"first"_s}};
    const auto row = [](const char *name, const QString &queue, const ConsumeOptions &options,
                        const QString &argument) { QTest::newRow(name) << queue << options << argument; };
    row("no tag", u"q"_s, {}, u"consumerTag"_s);
    row("long tag", u"q"_s, {.consumerTag = QString(256, u't')}, u"consumerTag"_s);
    row("no queue", {}, {.consumerTag = u"a"_s}, u"queue"_s);
    row("stream without acks", u"q"_s,
        {.consumerTag = u"a"_s, .ackMode = AckMode::NoAck, .prefetch = 1, .arguments = stream}, u"ackMode"_s);
    row("stream without a limit", u"q"_s, {.consumerTag = u"a"_s, .arguments = stream}, u"prefetch"_s);
    row("replies with acks", u"amq.rabbitmq.reply-to"_s, {.consumerTag = u"a"_s}, u"ackMode"_s);
}

void tst_ChannelSubscriptions::consumersThatCannotWorkAreRejected()
{
    QFETCH(const QString, queue);
    QFETCH(const ConsumeOptions, options);
    QFETCH(const QString, argument);
    ChannelParts t;
    const auto consumer = t.subscriptions.consume(queue, options, &t.s);
    QCOMPARE(consumer.error().kind(), ErrorKind::InvalidArgument);
    QVERIFY2(consumer.error().text().startsWith(argument + u": "_s), qPrintable(consumer.error().text()));
    QVERIFY(t.consumers.entries().isEmpty());
    t.s.expectNothingSent();
}

void tst_ChannelSubscriptions::deliveriesForAnUnknownTagStop()
{
    Subscribing t;
    QTest::ignoreMessage(QtWarningMsg, "a delivery for the unknown consumer tag \"a\" on channel 1 is requeued");
    const ConsumerEntry *ended = t.subscriptions.rejectDelivery("a");
    t.s.expectSent(Wire::BasicCancel{.consumerTag = "a", .noWait = true}).expectNothingSent();
    QCOMPARE(t.consumers.receiver("a"), ended);
    QVERIFY(ended && !ended->client);
}

QTEST_APPLESS_MAIN(tst_ChannelSubscriptions)
#include "tst_channelsubscriptions.moc"
