// SPDX-License-Identifier: MIT
#include "engine/recovering.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using State = Engine::ConsumerEntry::State;

// The consumers and deliveries of a channel when the connection is lost and recovers.
class tst_SuspendedConsumers : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void consumersAreStartedAgainInOrder();
    void consumerFollowsTheDeclarationThatItWaitedFor();
    void consumersReturnToTheQueuesThatTheBrokerNamed();
    void heldConsumersGetTheirPrefetch();
    void nextConsumerGetsItsPrefetch();
    void endingConsumersEnd_data();
    void endingConsumersEnd();
    void cancelledWhileSuspended();
    void cancelledWhileItIsStartedAgain();
    void tagOfAnEndedConsumerIsFree();
    void deliveriesAreForgotten();
    void firstDeliveryIsComplete();
    void deliveryTagsStartAgain();
    void refusedConsumerIsReported();
    void refusedConsumersDoNotAffectOthers();
    void refusedConsumerIsFoundByItsQueue();
    void refusalOfANewConsumerEndsTheChannel();
    void newConsumerOfTheSameQueueIsRefusedForItself();
    void cancelledByTheBrokerWhileItIsStartedAgain();
    void queueLeavesTheRecordWithItsLastConsumer_data();
    void queueLeavesTheRecordWithItsLastConsumer();
    void queuesOfAClosedChannelLeaveTheRecord();
};

namespace
{

Wire::ChannelClose refused(const char *queue)
{
    static QByteArray text;
    text = QByteArray("NOT_FOUND - no queue '") + queue + "' in vhost '/'";
    return {.replyCode = 404, .replyText = QByteArrayView(text), .classId = 60, .methodId = 20};
}

} // namespace

void tst_SuspendedConsumers::consumersAreStartedAgainInOrder()
{
    Recovering s;
    auto &channel = s.openChannel();
    const QStringList tags{u"zz"_s, u"a"_s, u"b"_s, u"long tag"_s}; // not the order of the table
    std::vector<std::shared_ptr<Engine::ConsumerEntry>> consumers;
    for (const QString &tag : tags)
        consumers.push_back(s.consume(channel, tag, u"q-"_s + tag));
    s.answerAll().loseAndReconnect();
    QStringList expected{u"1 channel.open"_s};
    for (const QString &tag : tags)
        expected += u"1 basic.consume %1 q-%1"_s.arg(tag);
    QCOMPARE(s.sentMethods(), expected);
    for (const auto &consumer : consumers)
        QCOMPARE(consumer->state, State::Starting);
    s.answerSent();
    for (const auto &consumer : consumers)
        QCOMPARE(consumer->state, State::Active);
}

void tst_SuspendedConsumers::consumerFollowsTheDeclarationThatItWaitedFor()
{
    Recovering s;
    auto &channel = s.openChannel();
    s.consume(channel, u"active"_s, u"q1"_s);
    s.answerAll();
    channel.topology().declareQueue(u"q2"_s, {}, false);
    const auto starting = s.consume(channel, u"starting"_s, u"q2"_s);
    s.loseAndReconnect();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 basic.consume active q1"_s, u"1 queue.declare q2"_s,
                                           u"1 basic.consume starting q2"_s}));
    s.answerSent();
    QVERIFY(s.takeEvents().contains(u"ReplyArrived %1"_s.arg(starting->startCall)));
}

// RabbitMQ may answer a basic.consume after a later queue.declare.
void tst_SuspendedConsumers::consumersReturnToTheQueuesThatTheBrokerNamed()
{
    Recovering s;
    auto &channel = s.openChannel();
    channel.topology().declareQueue({}, {}, false);
    s.consume(channel, u"a"_s, {});
    channel.topology().declareQueue({}, {}, false);
    s.consume(channel, u"b"_s, {});
    for (const char *queue : {"amq.gen-1", "amq.gen-2"})
        s.broker(Wire::QueueDeclareOk{.queue = queue}, 1);
    for (const char *tag : {"a", "b"})
        s.broker(Wire::BasicConsumeOk{.consumerTag = tag}, 1);
    s.loseAndReconnect();
    QCOMPARE(s.sentMethods(),
             QStringList({u"1 channel.open"_s, u"1 basic.consume a amq.gen-1"_s, u"1 basic.consume b amq.gen-2"_s}));
}

void tst_SuspendedConsumers::heldConsumersGetTheirPrefetch()
{
    Recovering s;
    auto &channel = s.openChannel();
    s.consume(channel, u"a"_s, u"q"_s, 10);
    s.consume(channel, u"b"_s, u"q"_s, 20);
    s.answerAll();
    s.write();
    s.lose();
    s.consume(channel, u"c"_s, u"q"_s, 20); // the last prefetch of the lost channel
    s.consume(channel, u"d"_s, u"q"_s, 30);
    s.takeEvents();
    s.open();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 basic.qos 10"_s, u"1 basic.consume a q"_s,
                                           u"1 basic.qos 20"_s, u"1 basic.consume b q"_s}));
    s.answerSent();
    QCOMPARE(s.sentMethods(), QStringList({u"1 basic.consume c q"_s, u"1 basic.qos 30"_s, u"1 basic.consume d q"_s}));
}

void tst_SuspendedConsumers::nextConsumerGetsItsPrefetch()
{
    Recovering s;
    auto &channel = s.openChannel();
    channel.subscriptions().setPrefetch(10, false);
    s.answerAll().loseAndReconnect();
    s.answerAll();
    s.consume(channel, u"a"_s, u"q"_s);
    QCOMPARE(s.sentMethods(), QStringList({u"1 basic.qos 10"_s, u"1 basic.consume a q"_s}));
}

void tst_SuspendedConsumers::endingConsumersEnd_data()
{
    QTest::addColumn<int>("ending");
    QTest::newRow("cancelling") << 0;
    QTest::newRow("draining") << 1;
    QTest::newRow("cancelled before consume-ok") << 2;
    QTest::newRow("cancelled before basic.consume was sent") << 3;
}

void tst_SuspendedConsumers::endingConsumersEnd()
{
    QFETCH(const int, ending);
    Recovering s;
    auto &channel = s.openChannel();
    if (ending == 3) {
        channel.txSelect();
        s.answerAll();
        channel.txCommit(); // holds what follows
    }
    const auto consumer = s.consume(channel, u"tag"_s, u"q"_s);
    if (ending < 2)
        s.answerAll();
    auto &subscriptions = channel.subscriptions();
    const auto cancelling = ending == 1 ? subscriptions.drain(*consumer) : subscriptions.cancel(*consumer);
    s.write();
    s.takeEvents();
    s.lose();
    QVERIFY(s.takeEvents().contains(u"ReplyArrived %1"_s.arg(cancelling)));
    QCOMPARE(consumer->state, State::Gone);
    s.open();
    QVERIFY(s.sentMethods().filter(u"basic."_s).isEmpty());
    s.answerSent();
    QCOMPARE(s.takeEvents().filter(u"Restored"_s), QStringList{u"ChannelsRestored 0 0"_s});
}

void tst_SuspendedConsumers::cancelledWhileSuspended()
{
    Recovering s;
    auto &channel = s.openChannel();
    const auto consumer = s.consume(channel, u"tag"_s, u"q"_s, 10);
    s.answerAll().lose();
    s.takeEvents();
    const auto start = consumer->startCall;
    const auto cancelling = channel.subscriptions().cancel(*consumer);
    s.expectReply(start, ErrorKind::Cancelled).expectReply(cancelling).expectNoEvent();
    QCOMPARE(consumer->state, State::Gone);
    s.open();
    QVERIFY(s.sentMethods().filter(u"basic.consume"_s).isEmpty());
    s.answerSent();
    QCOMPARE(s.takeEvents().filter(u"Restored"_s), QStringList{u"ChannelsRestored 0 0"_s});
}

void tst_SuspendedConsumers::cancelledWhileItIsStartedAgain()
{
    Recovering s;
    auto &channel = s.openChannel();
    const auto consumer = s.consume(channel, u"tag"_s, u"q"_s);
    s.answerAll().loseAndReconnect();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 basic.consume tag q"_s}));
    const auto cancelling = channel.subscriptions().cancel(*consumer);
    s.expectNothingSent(); // before consume-ok
    s.answerSent();
    s.takeEvents();
    s.expectSent<Wire::BasicCancel>().broker(Wire::BasicCancelOk{.consumerTag = "tag"}).expectReply(cancelling);
}

void tst_SuspendedConsumers::tagOfAnEndedConsumerIsFree()
{
    Recovering s;
    auto &channel = s.openChannel();
    const auto former = s.consume(channel, u"tag"_s, u"q1"_s);
    s.answerAll();
    channel.subscriptions().cancel(*former);
    const auto next = s.consume(channel, u"tag"_s, u"q2"_s); // waits for cancel-ok
    s.loseAndReconnect();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 basic.consume tag q2"_s}));
    s.answerSent();
    QCOMPARE(next->state, State::Active);
}

void tst_SuspendedConsumers::deliveriesAreForgotten()
{
    Recovering s;
    auto &channel = s.openChannel();
    const auto consumer = s.subscribe(channel, u"tag"_s);
    const auto incarnation = channel.incarnation();
    for (quint64 tag = 1; tag <= 4; ++tag)
        s.deliver("tag", tag);
    QVERIFY(channel.deliveries().ack(1).count == 1); // merged, not written yet
    s.lose();
    QCOMPARE(consumer->unacked, 0);
    QVERIFY(channel.incarnation() > incarnation);
    QVERIFY(s.engine.gate().lostIncarnation() >= incarnation &&
            s.engine.gate().lostIncarnation() < channel.incarnation());
    QCOMPARE(channel.deliveries().ack(2).count, 0);
    QCOMPARE(channel.deliveries().nack(3, true).count, 0);
    QVERIFY(channel.deliveries().ackUpTo(4).empty());
    s.takeEvents();
    s.open();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 basic.consume tag queue"_s}));
    s.answerSent();
    QCOMPARE(channel.deliveries().ack(2).count, 0);
    s.expectNothingSent();
}

// The client knows the envelope of a repeated delivery only from an earlier one of the same incarnation.
void tst_SuspendedConsumers::firstDeliveryIsComplete()
{
    Recovering s;
    auto &channel = s.openChannel();
    s.subscribe(channel, u"a"_s);
    s.subscribe(channel, u"b"_s);
    const Content content{.body = "body"};
    quint64 tag = 0;
    const auto deliver = [&](const QByteArray &consumer) {
        s.deliver(consumer, ++tag, content).expectEvent<Engine::Delivered>();
        return s.repeatedCount();
    };
    deliver("a");
    deliver("b");
    deliver("a");
    const int before = deliver("b");
    QVERIFY(before > 0);
    s.loseAndReconnect();
    s.answerAll().takeEvents();
    tag = 0;
    QCOMPARE(deliver("a"), before);
    QCOMPARE(deliver("b"), before);
    QVERIFY(deliver("a") > before);
}

void tst_SuspendedConsumers::deliveryTagsStartAgain()
{
    Recovering s;
    auto &channel = s.openChannel();
    const auto consumer = s.subscribe(channel, u"tag"_s);
    s.deliver("tag", 1).deliver("tag", 2);
    s.loseAndReconnect();
    s.answerAll().takeEvents();
    s.deliver("tag", 1).deliver("tag", 2).deliver("tag", 3).takeEvents();
    QCOMPARE(consumer->unacked, 3);
    QCOMPARE(countOf(channel.deliveries().ackUpTo(2)), 2);
    s.expectSent(Wire::BasicAck{.deliveryTag = 2, .multiple = true});
    QCOMPARE(consumer->unacked, 1);
}

void tst_SuspendedConsumers::refusedConsumerIsReported()
{
    Recovering s;
    auto &channel = s.openChannel();
    const auto consumer = s.consume(channel, u"tag"_s, u"gone"_s);
    s.answerAll().loseAndReconnect();
    QCOMPARE(s.sentMethods().size(), 2);
    s.broker(Wire::ChannelOpenOk{}).takeEvents();
    s.broker(refused("gone"));
    s.expectReply(consumer->startCall, ErrorKind::ChannelClosed);
    QCOMPARE(s.takeEvent<Engine::ConsumerCancelled>().consumer, consumer);
    s.expectEvent<Engine::ChannelSuspended>().expectNoEvent();
    s.expectSent<Wire::ChannelCloseOk>().expectSent<Wire::ChannelOpen>().expectNothingSent();
    s.broker(Wire::ChannelOpenOk{}).expectEvent<Engine::ReplyArrived>().expectEvent<Engine::ChannelOpened>();
    const auto restored = s.takeEvent<Engine::ChannelsRestored>();
    QCOMPARE(restored.consumers, 0);
    QCOMPARE(restored.failures.size(), size_t(1));
    QCOMPARE(restored.failures[0].channel, quint16(1));
    QCOMPARE(restored.failures[0].consumerTag, QByteArray("tag"));
    QCOMPARE(restored.failures[0].queue, u"gone"_s);
    QCOMPARE(restored.failures[0].error.replyCode(), quint16(404));
}

void tst_SuspendedConsumers::refusedConsumersDoNotAffectOthers()
{
    Recovering s;
    auto &channel = s.openChannel();
    const auto a = s.consume(channel, u"a"_s, u"q1"_s);
    const auto b = s.consume(channel, u"b"_s, u"gone"_s);
    const auto c = s.consume(channel, u"c"_s, u"q2"_s);
    const auto d = s.consume(channel, u"d"_s, u"gone"_s); // would be refused as well
    s.answerAll().lose();
    channel.publish({}, u"k"_s, QByteArray(2, '\0'), "held", false);
    s.takeEvents();
    s.open().takeSent();
    s.broker(Wire::ChannelOpenOk{}).broker(Wire::BasicConsumeOk{.consumerTag = "a"});
    s.deliver("a", 1).takeEvents();
    s.broker(refused("gone"));
    QCOMPARE(s.takeEvents().filter(u"ConsumerCancelled"_s),
             QStringList({u"ConsumerCancelled b ChannelClosed"_s, u"ConsumerCancelled d ChannelClosed"_s}));
    QCOMPARE(a->unacked, 0);
    s.expectSent<Wire::ChannelCloseOk>();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 basic.consume a q1"_s, u"1 basic.consume c q2"_s}));
    // Frames that the broker has sent before it closed the channel.
    s.broker(Wire::BasicConsumeOk{.consumerTag = "c"}).deliver("a", 2).expectNoEvent();
    s.answerSent();
    QCOMPARE(s.takeEvents().filter(u"Restored"_s), QStringList{u"ChannelsRestored 2 2"_s});
    s.expectPublished("held", "k");
    QCOMPARE(b->state, State::Gone);
    QCOMPARE(c->state, State::Active);
    QCOMPARE(d->state, State::Gone);
    s.deliver("a", 1).expectEvent<Engine::Delivered>();
}

void tst_SuspendedConsumers::refusedConsumerIsFoundByItsQueue()
{
    Recovering s;
    auto &channel = s.openChannel();
    const auto waiting = s.consume(channel, u"a"_s, u"q"_s);
    s.consume(channel, u"b"_s, u"gone"_s);
    s.answerAll().loseAndReconnect();
    s.takeSent();
    s.broker(Wire::ChannelOpenOk{}).takeEvents();
    s.broker(refused("gone"));
    QCOMPARE(s.takeEvents().filter(u"ConsumerCancelled"_s), QStringList{u"ConsumerCancelled b ChannelClosed"_s});
    s.answerAll();
    QCOMPARE(waiting->state, State::Active);
}

void tst_SuspendedConsumers::newConsumerOfTheSameQueueIsRefusedForItself()
{
    Recovering s;
    auto &channel = s.openChannel();
    s.consume(channel, u"a"_s, u"gone"_s);
    s.answerAll();
    const auto started = s.consume(channel, u"new"_s, u"gone"_s);
    s.loseAndReconnect();
    QCOMPARE(s.sentMethods(),
             QStringList({u"1 channel.open"_s, u"1 basic.consume a gone"_s, u"1 basic.consume new gone"_s}));
    s.broker(Wire::ChannelOpenOk{}).takeEvents();
    s.broker(refused("gone"));
    QCOMPARE(s.takeEvents().filter(u"ConsumerCancelled"_s), QStringList{u"ConsumerCancelled a ChannelClosed"_s});
    s.expectSent<Wire::ChannelCloseOk>();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 basic.consume new gone"_s}));
    s.answerSent();
    QVERIFY(s.takeEvents().contains(u"ReplyArrived %1"_s.arg(started->startCall)));
}

void tst_SuspendedConsumers::refusalOfANewConsumerEndsTheChannel()
{
    Recovering s;
    auto &channel = s.openChannel();
    s.consume(channel, u"a"_s, u"q"_s);
    s.answerAll();
    const auto started = s.consume(channel, u"new"_s, u"gone"_s);
    s.loseAndReconnect();
    s.takeSent();
    s.broker(Wire::ChannelOpenOk{}).takeEvents();
    s.broker(refused("gone"));
    const QStringList events = s.takeEvents();
    QVERIFY(events.contains(u"ReplyArrived %1 ChannelClosed"_s.arg(started->startCall)));
    QVERIFY(events.contains(u"ChannelClosed 1 ChannelClosed"_s));
    QCOMPARE(events.last(), u"ChannelsRestored 0 2"_s); // the new consumer failed as well
}

void tst_SuspendedConsumers::cancelledByTheBrokerWhileItIsStartedAgain()
{
    Recovering s;
    const auto consumer = s.consume(s.openChannel(), u"tag"_s, u"q"_s);
    s.answerAll().loseAndReconnect();
    s.takeSent();
    s.broker(Wire::ChannelOpenOk{}).takeEvents();
    s.broker(Wire::BasicCancel{.consumerTag = "tag", .noWait = true});
    s.expectReply(consumer->startCall, ErrorKind::ConsumerCancelled).expectEvent<Engine::ChannelsRestored>();
    s.expectEvent<Engine::ConsumerCancelled>().expectNoEvent();
    s.broker(Wire::BasicConsumeOk{.consumerTag = "tag"}).expectNoEvent();
}

void tst_SuspendedConsumers::queueLeavesTheRecordWithItsLastConsumer_data()
{
    QTest::addColumn<int>("how");
    QTest::addColumn<bool>("stays");
    QTest::newRow("restored") << 0 << true;
    QTest::newRow("cancelled while suspended") << 1 << false;
    QTest::newRow("cancelled before the loss") << 2 << false;
    QTest::newRow("channel closed while suspended") << 3 << false;
    QTest::newRow("cancelled after it was restored") << 4 << false;
}

void tst_SuspendedConsumers::queueLeavesTheRecordWithItsLastConsumer()
{
    QFETCH(const int, how);
    QFETCH(const bool, stays);
    Recovering s;
    auto &channel = s.openChannel();
    channel.topology().declareQueue(u"q"_s, {.autoDelete = true}, false);
    const auto consumer = s.consume(channel, u"tag"_s, u"q"_s);
    s.answerAll();
    const auto isRecorded = [&] { return s.engine.recordedTopology()->confirmed().queue(u"q"_s) != nullptr; };
    QVERIFY(isRecorded());
    if (how == 2)
        channel.subscriptions().cancel(*consumer);
    s.write();
    s.lose();
    if (how == 1)
        channel.subscriptions().cancel(*consumer);
    else if (how == 3)
        channel.close();
    s.takeEvents();
    s.open();
    s.answerAll();
    if (how == 4) {
        channel.subscriptions().cancel(*consumer);
        s.answerAll();
        s.broker(Wire::BasicCancelOk{.consumerTag = "tag"});
    }
    QCOMPARE(isRecorded(), stays);
}

// The broker deletes an auto-delete queue together with the channel of its last consumer.
void tst_SuspendedConsumers::queuesOfAClosedChannelLeaveTheRecord()
{
    Recovering s;
    auto &channel = s.openChannel();
    for (const QString &queue : {u"active"_s, u"refused"_s, u"kept"_s})
        channel.topology().declareQueue(queue, {.autoDelete = queue != u"kept"}, false);
    s.consume(channel, u"a"_s, u"active"_s);
    s.consume(channel, u"b"_s, u"refused"_s);
    s.answerAll().loseAndReconnect();
    s.takeSent();
    s.broker(Wire::ChannelOpenOk{}).broker(Wire::BasicConsumeOk{.consumerTag = "a"});
    s.broker(refused("refused"));
    const auto &recorded = s.engine.recordedTopology()->confirmed();
    QVERIFY(!recorded.queue(u"active"_s));
    QVERIFY(!recorded.queue(u"refused"_s));
    QVERIFY(recorded.queue(u"kept"_s));
}

QTEST_APPLESS_MAIN(tst_SuspendedConsumers)

#include "tst_suspendedconsumers.moc"
