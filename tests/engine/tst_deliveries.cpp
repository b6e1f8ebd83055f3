// SPDX-License-Identifier: MIT
#include "engine/channelparts.h"

using namespace AmqpQt;
using Wire::BasicAck;
using Wire::BasicNack;

class tst_Deliveries : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void aDeliveryIsSettledOnce();
    void aTagMustBeGreaterThanThePreviousOne();
    void acksWaitForTheWriteAndANackWritesThemFirst();
    void settlingUpToATagGroupsTheConsumers();
    void recoverAbandonsUnsettledDeliveries();
    void nothingIsSentWhileATransactionEnds();
    void aRollbackOpensTheSettledDeliveriesAgain();
    void nothingIsSettledOnceChannelCloseIsSent();
};

void tst_Deliveries::aDeliveryIsSettledOnce()
{
    ChannelParts t;
    const auto consumer = t.addConsumer("a");
    QVERIFY(!t.deliveries.isUnsettled(1));
    QVERIFY(t.deliveries.add(1, consumer.get()));
    QVERIFY(t.deliveries.add(2, nullptr)); // of basic.get
    QVERIFY(t.deliveries.isUnsettled(1));
    QCOMPARE(consumer->unacked, 1);
    const auto settled = t.deliveries.ack(1);
    QCOMPARE(settled.count, 1);
    QCOMPARE(settled.consumer, static_cast<Engine::ConsumerClient *>(&t.s));
    QCOMPARE(consumer->unacked, 0);
    QVERIFY(!t.deliveries.isUnsettled(1));
    QCOMPARE(t.deliveries.ack(1).count, 0);
    QCOMPARE(t.deliveries.nack(1, true).count, 0);
    QCOMPARE(t.deliveries.nack(2, false).count, 1);
    QCOMPARE(t.deliveries.nack(2, false).count, 0);
    t.s.expectSent(BasicAck{.deliveryTag = 1}).expectSent(BasicNack{.deliveryTag = 2, .requeue = false});
    t.s.expectNothingSent();
}

void tst_Deliveries::aTagMustBeGreaterThanThePreviousOne()
{
    ChannelParts t;
    const auto consumer = t.addConsumer("a");
    QVERIFY(t.deliveries.add(2, consumer.get()));
    QVERIFY(!t.deliveries.add(2, consumer.get()));
    QVERIFY(!t.deliveries.add(1, consumer.get()));
    QCOMPARE(consumer->unacked, 1);
    t.deliveries.clear(); // the next incarnation of the channel counts from 1
    QVERIFY(!t.deliveries.isUnsettled(2));
    QVERIFY(t.deliveries.add(1, consumer.get()));
}

void tst_Deliveries::acksWaitForTheWriteAndANackWritesThemFirst()
{
    ChannelParts t;
    for (const quint64 tag : {1, 2, 3, 4})
        QVERIFY(t.deliveries.add(tag, nullptr));
    t.deliveries.ack(1);
    t.deliveries.ack(2);
    t.s.expectNothingSent();
    t.deliveries.flushAcks();
    t.s.expectSent(BasicAck{.deliveryTag = 2, .multiple = true}).expectNothingSent();
    t.deliveries.ack(3);
    t.deliveries.nack(4, true);
    t.s.expectSent(BasicAck{.deliveryTag = 3}).expectSent(BasicNack{.deliveryTag = 4, .requeue = true});
    t.deliveries.flushAcks();
    t.s.expectNothingSent();
}

void tst_Deliveries::settlingUpToATagGroupsTheConsumers()
{
    ChannelParts t;
    const auto first = t.addConsumer("a");
    const auto second = t.addConsumer("b");
    t.deliveries.add(1, first.get());
    t.deliveries.add(2, first.get());
    t.deliveries.add(3, second.get());
    t.deliveries.add(4, second.get());
    QVERIFY(t.deliveries.ackUpTo(5).empty());
    const auto settled = t.deliveries.ackUpTo(3);
    QCOMPARE(settled.size(), size_t(2));
    QCOMPARE(settled[0].count, 2);
    QCOMPARE(settled[1].count, 1);
    QCOMPARE(first->unacked, 0);
    QCOMPARE(second->unacked, 1);
    QCOMPARE(countOf(t.deliveries.nackUpTo(4, false)), 1);
    t.s.expectSent(BasicAck{.deliveryTag = 3, .multiple = true});
    t.s.expectSent(BasicNack{.deliveryTag = 4, .requeue = false}).expectNothingSent();
}

void tst_Deliveries::recoverAbandonsUnsettledDeliveries()
{
    ChannelParts t;
    const auto consumer = t.addConsumer("a");
    t.deliveries.add(1, consumer.get());
    t.deliveries.recoverSent();
    QVERIFY(t.deliveries.isRequeuing());
    QVERIFY(!t.deliveries.isUnsettled(1));
    QCOMPARE(t.deliveries.ack(1).count, 0);
    QCOMPARE(consumer->unacked, 0);
    t.deliveries.recoverDone(false);
    QVERIFY(!t.deliveries.isRequeuing());
    QVERIFY(t.deliveries.add(2, consumer.get()));
    QCOMPARE(t.deliveries.ack(2).count, 1);
}

void tst_Deliveries::nothingIsSentWhileATransactionEnds()
{
    ChannelParts t;
    for (const quint64 tag : {1, 2, 3})
        QVERIFY(t.deliveries.add(tag, nullptr));
    t.deliveries.startTransactions();
    QVERIFY(t.deliveries.isTransacted());
    t.deliveries.commitSent(0);
    QVERIFY(t.deliveries.isTransactionEnding());
    QCOMPARE(t.deliveries.ack(1).count, 1);
    QCOMPARE(countOf(t.deliveries.nackUpTo(3, true)), 2);
    t.deliveries.flushAcks();
    t.s.expectNothingSent();
    t.deliveries.committed();
    QVERIFY(!t.deliveries.isTransactionEnding());
    t.s.expectSent(BasicNack{.deliveryTag = 2, .requeue = true});
    t.s.expectSent(BasicNack{.deliveryTag = 3, .requeue = true}).expectNothingSent();
    t.deliveries.flushAcks();
    t.s.expectSent(BasicAck{.deliveryTag = 1}).expectNothingSent();
}

void tst_Deliveries::aRollbackOpensTheSettledDeliveriesAgain()
{
    ChannelParts t;
    const auto consumer = t.addConsumer("a");
    t.deliveries.add(1, consumer.get());
    t.deliveries.add(2, consumer.get());
    t.deliveries.startTransactions();
    t.deliveries.ack(1);
    t.deliveries.returnUnwanted(3);
    t.deliveries.flushAcks();
    t.s.expectSent<BasicNack>().expectSent<BasicAck>();
    t.deliveries.rollbackSent(0);
    QVERIFY(!t.deliveries.isUnsettled(1));
    t.deliveries.rolledBack();
    QVERIFY(t.deliveries.isUnsettled(1));
    QVERIFY(t.deliveries.isUnsettled(2));
    QCOMPARE(consumer->unacked, 2);
    // The rollback has undone the return as well.
    t.s.expectSent(BasicNack{.deliveryTag = 3, .requeue = true}).expectNothingSent();
}

void tst_Deliveries::nothingIsSettledOnceChannelCloseIsSent()
{
    ChannelParts t;
    t.deliveries.add(1, nullptr);
    QVERIFY(t.channel.close());
    t.s.expectSent<Wire::ChannelClose>();
    QVERIFY(!t.deliveries.isUnsettled(1));
    QCOMPARE(t.deliveries.ack(1).count, 0);
    QCOMPARE(t.deliveries.nack(1, true).count, 0);
    QVERIFY(t.deliveries.ackUpTo(1).empty());
    t.deliveries.flushAcks();
    t.s.expectNothingSent();
}

QTEST_APPLESS_MAIN(tst_Deliveries)
#include "tst_deliveries.moc"
