// SPDX-License-Identifier: MIT
#include "support/script.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using Engine::CallId;
using ConsumerState = Engine::ConsumerEntry::State;

// Tests how a consumer starts and ends, regardless of the order of the broker's answers.
class tst_ConsumerRules : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void consumeOkMayArriveAfterCancel();
    void consumeOkMayComeEarly();
    void consumeOksAreMatchedByTag();
    void cancelOkMayArriveAfterTheConsumerIsDeleted();
    void cancelWaitsForConsumeOk();
    void cancelBeforeOpenIsSentAfterConsumeOk();
    void aTagInUseIsRejected();
    void aTagIsNotReusedUntilCancelOk();
    void aTagIsNotReusedBeforeConsumeOk();
    void consumeThatWaitsForATagMayBeCancelled();
    void consumeThatWaitsForATagEndsWithItsChannel();
    void channelClosesThoughAConsumeWaitsForATag();
    void aTagIsFreeAfterTheBrokerCancelled_data();
    void aTagIsFreeAfterTheBrokerCancelled();
    void theBrokersCancelIsAnswered_data();
    void theBrokersCancelIsAnswered();
    void theBrokersCancelIsAnsweredInATransaction();
    void consumeOkMayComeAfterTheBrokersCancel();
    void theBrokersCancelOfAnOldConsumerSparesANewOneWithItsTag();
    void theBrokersCancelEndsTheConsumer();
    void theBrokersCancelEndsPendingCalls();
    void theBrokersCancelMayCrossTheClients();
    void deliveriesOfACancelledConsumerAreReturned();
    void deliveriesBeforeCancelOkAreReturnedAfterIt();
    void drainingReceivesDeliveriesUntilCancelOk();
};

void tst_ConsumerRules::consumeOkMayArriveAfterCancel()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto consumer = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s);
    const CallId declaring = *channel.topology().declareQueue(u"q2"_s, {}, false);
    s.expectSent<Wire::BasicConsume>().expectSent<Wire::QueueDeclare>();
    s.broker(Wire::QueueDeclareOk{.queue = "q2"});
    s.takeReply<QueueInfo>(declaring);
    s.deliver("a", 1).expectEvent<Engine::Delivered>(); // even a delivery may arrive first
    s.broker(Wire::BasicConsumeOk{.consumerTag = "a"}).expectReply(consumer->startCall).expectNoEvent();
    QCOMPARE(consumer->state, ConsumerState::Active);
}

void tst_ConsumerRules::consumeOkMayComeEarly()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const CallId declaring = *channel.topology().declareQueue(u"q"_s, {}, false);
    const auto consumer = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s);
    s.expectSent<Wire::QueueDeclare>().expectSent<Wire::BasicConsume>();
    s.broker(Wire::BasicConsumeOk{.consumerTag = "a"}).expectReply(consumer->startCall);
    s.broker(Wire::QueueDeclareOk{.queue = "q"}).takeReply<QueueInfo>(declaring);
}

void tst_ConsumerRules::consumeOksAreMatchedByTag()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto a = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s);
    const auto b = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"b"_s}, &s);
    s.expectSent(Wire::BasicConsume{.queue = "q", .consumerTag = "a"});
    s.expectSent(Wire::BasicConsume{.queue = "q", .consumerTag = "b"});
    s.broker(Wire::BasicConsumeOk{.consumerTag = "b"}).broker(Wire::BasicConsumeOk{.consumerTag = "a"});
    s.expectReply(b->startCall).expectReply(a->startCall);
}

void tst_ConsumerRules::cancelOkMayArriveAfterTheConsumerIsDeleted()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto consumer = s.subscribe(channel, u"a"_s);
    const CallId cancelling = channel.subscriptions().cancel(*consumer);
    const CallId purging = *channel.topology().purgeQueue(u"q"_s);
    s.expectSent(Wire::BasicCancel{.consumerTag = "a"}).expectSent<Wire::QueuePurge>();
    QCOMPARE(consumer->state, ConsumerState::Cancelling);
    s.broker(Wire::QueuePurgeOk{}).takeReply<quint32>(purging);
    s.broker(Wire::BasicCancelOk{.consumerTag = "a"}).takeReply<Engine::CancelResult>(cancelling);
    QCOMPARE(consumer->state, ConsumerState::Gone);
}

void tst_ConsumerRules::cancelWaitsForConsumeOk()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto consumer = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s);
    const CallId cancelling = channel.subscriptions().cancel(*consumer);
    const CallId purging = *channel.topology().purgeQueue(u"q"_s);
    s.expectSent<Wire::BasicConsume>().expectSent<Wire::QueuePurge>().expectNothingSent();
    s.deliver("a", 1).expectNoEvent().expectSent(Wire::BasicNack{.deliveryTag = 1, .requeue = true});
    s.broker(Wire::BasicConsumeOk{.consumerTag = "a"}).expectSent<Wire::BasicCancel>().expectReply(consumer->startCall);
    s.broker(Wire::QueuePurgeOk{}).takeReply<quint32>(purging);
    s.broker(Wire::BasicCancelOk{.consumerTag = "a"});
    QCOMPARE(s.takeReply<Engine::CancelResult>(cancelling).returned, 1);
}

void tst_ConsumerRules::cancelBeforeOpenIsSentAfterConsumeOk()
{
    Script s;
    auto &channel = s.newChannel();
    QVERIFY(channel.open());
    const auto consumer = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s);
    channel.subscriptions().cancel(*consumer);
    s.open().expectSent<Wire::ChannelOpen>().expectSent<Wire::BasicConsume>().expectNothingSent();
    s.broker(Wire::ChannelOpenOk{}).expectNothingSent();
    s.broker(Wire::BasicConsumeOk{.consumerTag = "a"}).expectSent<Wire::BasicCancel>();
}

void tst_ConsumerRules::aTagInUseIsRejected()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto duplicate = [&] { return channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s); };
    const auto consumer = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s);
    s.expectSent<Wire::BasicConsume>();
    QCOMPARE(duplicate().error().kind(), ErrorKind::InvalidArgument); // Starting
    s.broker(Wire::BasicConsumeOk{.consumerTag = "a"}).expectReply(consumer->startCall);
    QCOMPARE(duplicate().error().kind(), ErrorKind::InvalidArgument); // Active
    QVERIFY2(duplicate().error().text().startsWith(u"consumerTag"_s), qPrintable(duplicate().error().text()));
    channel.subscriptions().cancel(*consumer);
    QVERIFY(duplicate());
    QCOMPARE(duplicate().error().kind(), ErrorKind::InvalidArgument); // another consumer waits for the tag
    s.expectSent<Wire::BasicCancel>().expectNothingSent();
    // A tag belongs to its channel.
    QVERIFY(s.openChannel(2).subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s));
}

void tst_ConsumerRules::aTagIsNotReusedUntilCancelOk()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto former = s.subscribe(channel, u"a"_s);
    const CallId cancelling = channel.subscriptions().cancel(*former);
    const auto consumer = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s);
    const CallId purging = *channel.topology().purgeQueue(u"q"_s); // calls stay in order
    s.expectSent<Wire::BasicCancel>().expectNothingSent();
    s.deliver("a", 1).expectNoEvent().expectSent(Wire::BasicNack{.deliveryTag = 1, .requeue = true});
    s.broker(Wire::BasicCancelOk{.consumerTag = "a"});
    QCOMPARE(s.takeReply<Engine::CancelResult>(cancelling).returned, 1);
    s.expectSent(Wire::BasicConsume{.queue = "q", .consumerTag = "a"}).expectSent<Wire::QueuePurge>();
    s.broker(Wire::BasicConsumeOk{.consumerTag = "a"}).expectReply(consumer->startCall);
    s.broker(Wire::QueuePurgeOk{}).takeReply<quint32>(purging);
    QCOMPARE(consumer->state, ConsumerState::Active);
    s.deliver("a", 2).expectEvent<Engine::Delivered>(
        [&](const Engine::Delivered &delivered) { QCOMPARE(delivered.consumer, consumer.get()); });
}

void tst_ConsumerRules::aTagIsNotReusedBeforeConsumeOk()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto former = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s);
    const CallId cancelling = channel.subscriptions().cancel(*former);
    const auto consumer = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s);
    s.expectSent<Wire::BasicConsume>().expectNothingSent();
    s.broker(Wire::BasicConsumeOk{.consumerTag = "a"}).expectReply(former->startCall);
    s.expectSent<Wire::BasicCancel>().expectNothingSent();
    s.broker(Wire::BasicCancelOk{.consumerTag = "a"}).takeReply<Engine::CancelResult>(cancelling);
    s.expectSent<Wire::BasicConsume>()
        .broker(Wire::BasicConsumeOk{.consumerTag = "a"})
        .expectReply(consumer->startCall);

    // The broker may end the first consumer first.
    const auto second = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"b"_s}, &s);
    const CallId cancellingSecond = channel.subscriptions().cancel(*second);
    const auto third = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"b"_s}, &s);
    s.expectSent<Wire::BasicConsume>().broker(Wire::BasicCancel{.consumerTag = "b", .noWait = true});
    s.expectReply(second->startCall, ErrorKind::ConsumerCancelled).takeReply<Engine::CancelResult>(cancellingSecond);
    s.expectEvent<Engine::ConsumerCancelled>();
    s.expectSent(Wire::BasicCancel{.consumerTag = "b", .noWait = true}).expectSent<Wire::BasicConsume>();
    s.broker(Wire::BasicConsumeOk{.consumerTag = "b"}).expectReply(third->startCall);
}

void tst_ConsumerRules::consumeThatWaitsForATagMayBeCancelled()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto former = s.subscribe(channel, u"a"_s);
    const CallId cancelling = channel.subscriptions().cancel(*former);
    const auto never = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s);
    const CallId purging = *channel.topology().purgeQueue(u"q"_s);
    s.expectSent<Wire::BasicCancel>().expectNothingSent();
    const CallId cancellingNever = channel.subscriptions().cancel(*never);
    s.expectReply(never->startCall, ErrorKind::Cancelled).takeReply<Engine::CancelResult>(cancellingNever);
    QCOMPARE(never->state, ConsumerState::Gone);
    s.expectSent<Wire::QueuePurge>(); // nothing holds the call any longer
    const auto consumer = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s);
    s.broker(Wire::BasicCancelOk{.consumerTag = "a"}).takeReply<Engine::CancelResult>(cancelling);
    s.expectSent<Wire::BasicConsume>().expectNothingSent();
    s.broker(Wire::QueuePurgeOk{}).takeReply<quint32>(purging);
    s.broker(Wire::BasicConsumeOk{.consumerTag = "a"}).expectReply(consumer->startCall);
}

void tst_ConsumerRules::consumeThatWaitsForATagEndsWithItsChannel()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto former = s.subscribe(channel, u"a"_s);
    const CallId cancelling = channel.subscriptions().cancel(*former);
    const auto consumer = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s);
    s.expectSent<Wire::BasicCancel>();
    s.broker(Wire::ChannelClose{.replyCode = 404, .replyText = "NOT_FOUND"});
    s.expectReply(cancelling, ErrorKind::ChannelClosed).expectReply(consumer->startCall, ErrorKind::ChannelClosed);
    s.expectEvent<Engine::ChannelClosed>().expectNoEvent();
    QCOMPARE(consumer->state, ConsumerState::Gone);
}

void tst_ConsumerRules::channelClosesThoughAConsumeWaitsForATag()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto former = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s);
    channel.subscriptions().cancel(*former); // not sent before consume-ok
    const auto consumer = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s);
    QVERIFY(channel.close());
    s.expectReply(consumer->startCall, ErrorKind::Cancelled);
    s.expectSent<Wire::BasicConsume>().expectSent<Wire::ChannelClose>().expectNothingSent();
}

void tst_ConsumerRules::aTagIsFreeAfterTheBrokerCancelled_data()
{
    QTest::addColumn<bool>("acksLate");
    QTest::newRow("its delivery is acknowledged late") << true;
    QTest::newRow("never") << false;
}

// If a consumer holds a message for too long, RabbitMQ 4.3 takes the message back and delivers it again.
void tst_ConsumerRules::aTagIsFreeAfterTheBrokerCancelled()
{
    QFETCH(const bool, acksLate);
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto first = s.subscribe(channel, u"a"_s);
    s.deliver("a", 1).expectEvent<Engine::Delivered>();
    s.broker(Wire::BasicCancel{.consumerTag = "a", .noWait = true}).expectEvent<Engine::ConsumerCancelled>();
    s.expectSent(Wire::BasicCancel{.consumerTag = "a", .noWait = true}); // before the tag is used again
    const auto second = s.subscribe(channel, u"a"_s);
    s.deliver("a", 2);
    QCOMPARE(s.takeEvent<Engine::Delivered>().consumer, second.get());
    if (acksLate) {
        QCOMPARE(channel.deliveries().ack(1).count, 1);
        s.expectSent(Wire::BasicAck{.deliveryTag = 1});
    }
    QCOMPARE(channel.deliveries().ack(2).count, 1);
    s.expectSent(Wire::BasicAck{.deliveryTag = 2}).expectNothingSent();
    QCOMPARE(first->unacked, acksLate ? 0 : 1);
    QCOMPARE(second->unacked, 0);
}

void tst_ConsumerRules::theBrokersCancelIsAnswered_data()
{
    QTest::addColumn<bool>("noWait");
    QTest::addColumn<bool>("isKnown");
    for (const bool noWait : {true, false}) {
        QTest::addRow("of a consumer, no-wait %d", noWait) << noWait << true;
        QTest::addRow("of an unknown consumer, no-wait %d", noWait) << noWait << false;
    }
}

// Without an answer, RabbitMQ 4.3 keeps the tag and may deliver messages to it.
void tst_ConsumerRules::theBrokersCancelIsAnswered()
{
    QFETCH(const bool, noWait);
    QFETCH(const bool, isKnown);
    Script s;
    s.open();
    auto &channel = s.openChannel();
    if (isKnown)
        s.subscribe(channel, u"a"_s);
    s.broker(Wire::BasicCancel{.consumerTag = "a", .noWait = noWait});
    if (noWait)
        s.expectSent(Wire::BasicCancel{.consumerTag = "a", .noWait = true});
    else
        s.expectSent(Wire::BasicCancelOk{.consumerTag = "a"});
    if (isKnown)
        s.expectEvent<Engine::ConsumerCancelled>();
    s.expectNothingSent().expectNoEvent();
    QVERIFY(!s.engine.deadline()); // no deadline is needed
    // Its later deliveries are returned.
    s.deliver("a", 1).deliver("a", 2).takeEvents();
    std::deque<Frame> sent = s.takeSent();
    for (const quint64 tag : {1, 2}) {
        const auto returned = sent.empty() ? std::nullopt : sent.back().as<Wire::BasicNack>();
        QVERIFY(returned);
        QCOMPARE(returned->deliveryTag, 3 - tag);
        sent.pop_back();
    }
    QVERIFY(s.engine.isOpen());
}

void tst_ConsumerRules::theBrokersCancelIsAnsweredInATransaction()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto consumer = s.subscribe(channel, u"a"_s);
    QVERIFY(channel.txSelect());
    s.expectSent<Wire::TxSelect>().broker(Wire::TxSelectOk{}).takeEvents();
    const CallId committing = *channel.txCommit();
    s.expectSent<Wire::TxCommit>();
    s.broker(Wire::BasicCancel{.consumerTag = "a", .noWait = true}).expectEvent<Engine::ConsumerCancelled>();
    s.expectSent(Wire::BasicCancel{.consumerTag = "a", .noWait = true});
    s.broker(Wire::TxCommitOk{}).expectReply(committing);
}

void tst_ConsumerRules::consumeOkMayComeAfterTheBrokersCancel()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto first = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s);
    s.expectSent<Wire::BasicConsume>().broker(Wire::BasicCancel{.consumerTag = "a", .noWait = true});
    s.expectReply(first->startCall, ErrorKind::ConsumerCancelled).expectEvent<Engine::ConsumerCancelled>();
    s.expectSent(Wire::BasicCancel{.consumerTag = "a", .noWait = true});
    s.broker(Wire::BasicConsumeOk{.consumerTag = "a"}).expectNoEvent();
    QVERIFY(s.engine.isOpen());

    // Checks the same when the tag is in use again by then.
    const auto second = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s);
    s.expectSent<Wire::BasicConsume>().broker(Wire::BasicCancel{.consumerTag = "a", .noWait = true}).takeEvents();
    QCOMPARE(second->state, ConsumerState::Gone);
    const auto third = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s);
    s.expectSent<Wire::BasicCancel>().expectSent<Wire::BasicConsume>();
    s.broker(Wire::BasicConsumeOk{.consumerTag = "a"}).broker(Wire::BasicConsumeOk{.consumerTag = "a"});
    s.expectReply(third->startCall).expectNoEvent();
    QCOMPARE(third->state, ConsumerState::Active);
    QVERIFY(s.engine.isOpen());
}

void tst_ConsumerRules::theBrokersCancelOfAnOldConsumerSparesANewOneWithItsTag()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto first = s.subscribe(channel, u"a"_s);
    QVERIFY(channel.txSelect());
    s.expectSent<Wire::TxSelect>().broker(Wire::TxSelectOk{}).takeEvents();
    channel.subscriptions().cancel(*first);
    s.expectSent<Wire::BasicCancel>().broker(Wire::BasicCancelOk{.consumerTag = "a"}).takeEvents();
    const CallId committing = *channel.txCommit();
    const auto second = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s},
                                                         &s); // is held until the transaction has ended
    s.expectSent<Wire::TxCommit>().expectNothingSent();
    s.broker(Wire::BasicCancel{.consumerTag = "a", .noWait = true}).expectNoEvent();
    s.expectSent(Wire::BasicCancel{.consumerTag = "a", .noWait = true});
    s.broker(Wire::TxCommitOk{}).expectReply(committing).expectSent<Wire::BasicConsume>();
    s.broker(Wire::BasicConsumeOk{.consumerTag = "a"}).expectReply(second->startCall);
}

void tst_ConsumerRules::theBrokersCancelEndsTheConsumer()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto a = s.subscribe(channel, u"a"_s);
    s.broker(Wire::BasicCancel{.consumerTag = "a", .noWait = true}).expectSent<Wire::BasicCancel>().expectNothingSent();
    s.expectEvent<Engine::ConsumerCancelled>([&](const Engine::ConsumerCancelled &cancelled) {
        QCOMPARE(cancelled.consumer, a);
        QCOMPARE(cancelled.reason.kind(), ErrorKind::ConsumerCancelled);
    });
    QCOMPARE(a->state, ConsumerState::Gone);
    s.subscribe(channel, u"b"_s);
    s.broker(Wire::BasicCancel{.consumerTag = "b", .noWait = false});
    s.expectSent(Wire::BasicCancelOk{.consumerTag = "b"}).expectEvent<Engine::ConsumerCancelled>().expectNoEvent();
}

void tst_ConsumerRules::theBrokersCancelEndsPendingCalls()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto consumer = *channel.subscriptions().consume(u"q"_s, {.consumerTag = u"a"_s}, &s);
    const CallId cancelling = channel.subscriptions().cancel(*consumer);
    s.expectSent<Wire::BasicConsume>().broker(Wire::BasicCancel{.consumerTag = "a", .noWait = true});
    s.expectReply(consumer->startCall, ErrorKind::ConsumerCancelled);
    s.takeReply<Engine::CancelResult>(cancelling);
    s.expectEvent<Engine::ConsumerCancelled>().expectNoEvent();
    s.expectSent(Wire::BasicCancel{.consumerTag = "a", .noWait = true}).expectNothingSent(); // no second basic.cancel
}

void tst_ConsumerRules::theBrokersCancelMayCrossTheClients()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto consumer = s.subscribe(channel, u"a"_s);
    const CallId cancelling = channel.subscriptions().cancel(*consumer);
    s.expectSent<Wire::BasicCancel>().broker(Wire::BasicCancel{.consumerTag = "a", .noWait = true}).expectNoEvent();
    s.broker(Wire::BasicCancelOk{.consumerTag = "a"}).takeReply<Engine::CancelResult>(cancelling);
    s.broker(Wire::BasicCancel{.consumerTag = "a", .noWait = true}).expectNoEvent();
    s.expectSent(Wire::BasicCancel{.consumerTag = "a", .noWait = true}).expectNothingSent();
    QVERIFY(s.engine.isOpen());
}

void tst_ConsumerRules::deliveriesOfACancelledConsumerAreReturned()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto acked = s.subscribe(channel, u"acked"_s);
    const auto lossy = s.subscribe(channel, u"lossy"_s, {.ackMode = AckMode::NoAck});
    const CallId cancellingAcked = channel.subscriptions().cancel(*acked);
    const CallId cancellingLossy = channel.subscriptions().cancel(*lossy);
    s.expectSent<Wire::BasicCancel>().expectSent<Wire::BasicCancel>();
    s.deliver("acked", 1).deliver("lossy", 2).deliver("acked", 3).expectNoEvent();
    s.expectSent(Wire::BasicNack{.deliveryTag = 1, .requeue = true});
    s.expectSent(Wire::BasicNack{.deliveryTag = 3, .requeue = true}).expectNothingSent();
    s.broker(Wire::BasicCancelOk{.consumerTag = "acked"}).broker(Wire::BasicCancelOk{.consumerTag = "lossy"});
    const auto ackedResult = s.takeReply<Engine::CancelResult>(cancellingAcked);
    QCOMPARE(ackedResult.returned, 2);
    QCOMPARE(ackedResult.lost, 0);
    const auto lossyResult = s.takeReply<Engine::CancelResult>(cancellingLossy);
    QCOMPARE(lossyResult.returned, 0);
    QCOMPARE(lossyResult.lost, 1);
    // The consumer has no owner but is not cancelled, as when a consumer object is deleted.
    const auto orphan = s.subscribe(channel, u"orphan"_s);
    orphan->client = nullptr;
    s.deliver("orphan", 4).expectNoEvent().expectSent(Wire::BasicNack{.deliveryTag = 4, .requeue = true});
}

void tst_ConsumerRules::deliveriesBeforeCancelOkAreReturnedAfterIt()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto consumer = s.subscribe(channel, u"a"_s);
    channel.subscriptions().cancel(*consumer);
    s.expectSent<Wire::BasicCancel>().broker(Wire::BasicCancelOk{.consumerTag = "a"}).takeEvents();
    s.deliver("a", 1).expectNoEvent().expectSent(Wire::BasicNack{.deliveryTag = 1, .requeue = true});
    QCOMPARE(consumer->returned, 1);

    const auto lossy = s.subscribe(channel, u"lossy"_s, {.ackMode = AckMode::NoAck});
    s.broker(Wire::BasicCancel{.consumerTag = "lossy", .noWait = true}).expectEvent<Engine::ConsumerCancelled>();
    s.expectSent<Wire::BasicCancel>();
    s.deliver("lossy", 2).expectNoEvent().expectNothingSent();
    QCOMPARE(lossy->lost, 1);
    QVERIFY(s.engine.isOpen());
}

void tst_ConsumerRules::drainingReceivesDeliveriesUntilCancelOk()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto acked = s.subscribe(channel, u"acked"_s);
    const auto lossy = s.subscribe(channel, u"lossy"_s, {.ackMode = AckMode::NoAck});
    const CallId drainingAcked = channel.subscriptions().drain(*acked);
    const CallId drainingLossy = channel.subscriptions().drain(*lossy);
    s.expectSent<Wire::BasicCancel>().expectSent<Wire::BasicCancel>();
    s.deliver("acked", 1).expectEvent<Engine::Delivered>();
    s.deliver("lossy", 2).expectEvent<Engine::Delivered>();
    s.broker(Wire::BasicCancelOk{.consumerTag = "acked"}).broker(Wire::BasicCancelOk{.consumerTag = "lossy"});
    QCOMPARE(s.takeReply<Engine::CancelResult>(drainingAcked).returned, 0);
    QCOMPARE(s.takeReply<Engine::CancelResult>(drainingLossy).lost, 0);
    s.deliver("acked", 3).expectNoEvent().expectSent<Wire::BasicNack>([](const auto &nack) {
        QCOMPARE(nack.deliveryTag, quint64(3));
        QVERIFY(nack.requeue);
    });
    s.deliver("lossy", 4).expectNoEvent().expectNothingSent();
    QCOMPARE(channel.deliveries().ack(1).count, 1);
}

QTEST_GUILESS_MAIN(tst_ConsumerRules)
#include "tst_consumerrules.moc"
