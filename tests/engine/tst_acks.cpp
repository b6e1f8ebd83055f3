// SPDX-License-Identifier: MIT
#include "engine/acking.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using Wire::BasicAck;
using Wire::BasicNack;
using Wire::BasicReject;

class tst_Acks : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void aContiguousRunLeavesAsOneMultiple();
    void aSingleAckIsNotMultiple();
    void theOrderOfTheCallsDoesNotMatterForARun();
    void aHoleSplitsTheRun();
    void writtenAcksAreNotRepeated();
    void aNackBreaksTheRunAndKeepsItsPlace();
    void nackUpToSettlesAllUnsettledDeliveries();
    void ackUpToSettlesAllUnsettledDeliveries();
    void rejectReplacesNackIfTheBrokerHasNone();
    void getAndDeliverShareTheNumbers();
    void noAckDeliveriesLeaveHolesThatDoNotCount();
    void tagsThatNeedNoAckMeanNothing_data();
    void tagsThatNeedNoAckMeanNothing();
    void gotMessagesThatNeedNoAckMeanNothing();
    void returnedDeliveriesLeaveHolesThatDoNotCount();
    void twoConsumersShareTheNumbersAndAreCountedApart();
    void settlingFailsWhenNothingIsOpen_data();
    void settlingFailsWhenNothingIsOpen();
    void acksLeaveBeforeALaterCall();
    void acksLeaveBeforeTheChannelIsClosed();
    void nothingIsSettledOnceTheChannelIsClosing();
    void acksOfADeletedChannelAreStale();
    void acksGoOnAfterAConnectionWasLost();
    void anEndedConsumersDeliveriesCanStillBeSettled();
    void aDeliveryHeldOpenDoesNotKeepTheSettledOnes();
};

void tst_Acks::aContiguousRunLeavesAsOneMultiple()
{
    Acking t;
    t.deliver(1, 5);
    for (quint64 tag = 1; tag <= 4; ++tag)
        QVERIFY(t.ack(tag));
    QVERIFY(t.s.engine.hasOutput());
    t.s.expectSent(BasicAck{.deliveryTag = 4, .multiple = true}).expectNothingSent();
    QVERIFY(!t.s.engine.hasOutput());
}

void tst_Acks::aSingleAckIsNotMultiple()
{
    Acking t;
    t.deliver(1, 2);
    QVERIFY(t.ack(1));
    t.s.expectSent(BasicAck{.deliveryTag = 1, .multiple = false});
    QVERIFY(t.ack(2)); // the lowest unacked delivery; a single ack needs no `multiple`
    t.s.expectSent(BasicAck{.deliveryTag = 2, .multiple = false}).expectNothingSent();
}

void tst_Acks::theOrderOfTheCallsDoesNotMatterForARun()
{
    Acking t;
    t.deliver(1, 4);
    for (const quint64 tag : {3, 1, 4, 2})
        QVERIFY(t.ack(tag));
    t.s.expectSent(BasicAck{.deliveryTag = 4, .multiple = true}).expectNothingSent();
}

void tst_Acks::aHoleSplitsTheRun()
{
    Acking t;
    t.deliver(1, 6);
    for (const quint64 tag : {1, 2, 4, 5})
        QVERIFY(t.ack(tag));
    t.s.expectSent(BasicAck{.deliveryTag = 2, .multiple = true});
    t.s.expectSent(BasicAck{.deliveryTag = 4}).expectSent(BasicAck{.deliveryTag = 5}).expectNothingSent();
    QVERIFY(t.ack(3)); // 4 and 5 are settled at the broker
    t.s.expectSent(BasicAck{.deliveryTag = 3}).expectNothingSent();
    QVERIFY(t.ack(6));
    t.s.expectSent(BasicAck{.deliveryTag = 6}).expectNothingSent();
}

void tst_Acks::writtenAcksAreNotRepeated()
{
    Acking t;
    t.deliver(1, 4);
    QVERIFY(t.ack(2));
    t.s.expectSent(BasicAck{.deliveryTag = 2});
    QVERIFY(t.ack(1));
    QVERIFY(t.ack(3));
    // 3 is unacked at the broker and may be named; 2 is settled and must not be.
    t.s.expectSent(BasicAck{.deliveryTag = 3, .multiple = true}).expectNothingSent();
}

void tst_Acks::aNackBreaksTheRunAndKeepsItsPlace()
{
    Acking t;
    t.deliver(1, 5);
    QVERIFY(t.ack(1));
    QVERIFY(t.ack(2));
    QVERIFY(t.channel->deliveries().nack(3, false).count);
    QVERIFY(t.ack(4));
    QVERIFY(t.channel->deliveries().nack(5, true).count);
    t.s.expectSent(BasicAck{.deliveryTag = 2, .multiple = true});
    t.s.expectSent(BasicNack{.deliveryTag = 3, .multiple = false, .requeue = false});
    t.s.expectSent(BasicAck{.deliveryTag = 4});
    t.s.expectSent(BasicNack{.deliveryTag = 5, .multiple = false, .requeue = true}).expectNothingSent();
}

void tst_Acks::nackUpToSettlesAllUnsettledDeliveries()
{
    Acking t;
    t.deliver(1, 6);
    QVERIFY(t.ack(2));
    QCOMPARE(countOf(t.channel->deliveries().nackUpTo(4, true)), 3);
    t.s.expectSent(BasicAck{.deliveryTag = 2});
    t.s.expectSent(BasicNack{.deliveryTag = 4, .multiple = true, .requeue = true}).expectNothingSent();
    QVERIFY(t.channel->deliveries().nackUpTo(4, true).empty());
    QVERIFY(t.channel->deliveries().nackUpTo(3, true).empty());
    QCOMPARE(countOf(t.channel->deliveries().nackUpTo(5, false)), 1);
    t.s.expectSent(BasicNack{.deliveryTag = 5, .multiple = false, .requeue = false}).expectNothingSent();
    QCOMPARE(t.consumer->unacked, 1);
}

void tst_Acks::ackUpToSettlesAllUnsettledDeliveries()
{
    Acking t;
    t.deliver(1, 6);
    QVERIFY(t.channel->deliveries().nack(2, false).count);
    QCOMPARE(countOf(t.channel->deliveries().ackUpTo(4)), 3);
    t.s.expectSent<BasicNack>().expectSent(BasicAck{.deliveryTag = 4, .multiple = true}).expectNothingSent();
    QVERIFY(t.channel->deliveries().ackUpTo(4).empty());
    QCOMPARE(countOf(t.channel->deliveries().ackUpTo(6)), 2);
    t.s.expectSent(BasicAck{.deliveryTag = 6, .multiple = true}).expectNothingSent();
    QCOMPARE(t.consumer->unacked, 0);
}

void tst_Acks::rejectReplacesNackIfTheBrokerHasNone()
{
    Acking t{QByteArray()};
    t.deliver(1, 3);
    QVERIFY(t.channel->deliveries().nack(2, false).count);
    t.s.expectSent(BasicReject{.deliveryTag = 2, .requeue = false});
    QCOMPARE(countOf(t.channel->deliveries().nackUpTo(3, true)), 2);
    t.s.expectSent(BasicReject{.deliveryTag = 1, .requeue = true});
    t.s.expectSent(BasicReject{.deliveryTag = 3, .requeue = true}).expectNothingSent();
}

void tst_Acks::getAndDeliverShareTheNumbers()
{
    Acking t;
    t.deliver(1, 1);
    const auto call = *t.channel->get(u"queue"_s, false);
    t.s.expectSent<Wire::BasicGet>().getOk(2);
    QCOMPARE(t.s.takeReply<Engine::GotMessage>(call).message.deliveryTag, quint64(2));
    t.deliver(3, 3);
    for (const quint64 tag : {1, 2, 3})
        QVERIFY(t.ack(tag));
    t.s.expectSent(BasicAck{.deliveryTag = 3, .multiple = true}).expectNothingSent();
}

void tst_Acks::noAckDeliveriesLeaveHolesThatDoNotCount()
{
    Acking t;
    const auto lossy = t.s.subscribe(*t.channel, u"lossy"_s, {.ackMode = AckMode::NoAck});
    t.deliver(1, 1);
    t.s.deliver("lossy", 2).expectEvent<Engine::Delivered>();
    t.deliver(3, 3);
    t.s.deliver("lossy", 4).expectEvent<Engine::Delivered>();
    t.deliver(5, 5);
    QVERIFY(!t.ack(2));
    QVERIFY(!t.channel->deliveries().nack(4, true).count);
    QVERIFY(t.channel->deliveries().ackUpTo(4).empty());
    t.s.expectNothingSent();
    QVERIFY(t.ack(1));
    QVERIFY(t.ack(3));
    t.s.expectSent(BasicAck{.deliveryTag = 3, .multiple = true}).expectNothingSent();
    QVERIFY(t.ack(5));
    t.s.expectSent(BasicAck{.deliveryTag = 5}).expectNothingSent();
    QCOMPARE(lossy->unacked, 0);
}

// RabbitMQ 3.10 gives each reply of direct reply-to the number of the next ordinary delivery; 4.3 counts the
// replies.
void tst_Acks::tagsThatNeedNoAckMeanNothing_data()
{
    QTest::addColumn<QList<quint64>>("tags"); // 100 is added to the tags of deliveries that need no ack
    QTest::newRow("replies first") << QList<quint64>{101, 101, 101, 1, 2};
    QTest::newRow("replies last") << QList<quint64>{1, 2, 103, 103};
    QTest::newRow("in turn, not counted") << QList<quint64>{101, 1, 102, 2, 103, 103, 3, 4, 105};
    QTest::newRow("in turn, counted") << QList<quint64>{101, 2, 103, 4, 105, 106, 7, 8, 109};
    QTest::newRow("always 1") << QList<quint64>{1, 101, 2, 101, 3, 101, 101, 4};
    QTest::newRow("always 0") << QList<quint64>{100, 1, 100, 100, 2, 100};
    QTest::newRow("falling") << QList<quint64>{1000, 1, 999, 2, 998, 997, 3};
}

void tst_Acks::tagsThatNeedNoAckMeanNothing()
{
    QFETCH(const QList<quint64>, tags);
    for (const QByteArray &body : {QByteArray(), QByteArray("body")}) { // with a body, they are recognised as repeated
        Acking t;
        const auto replies = t.s.subscribe(*t.channel, u"replies"_s, {.ackMode = AckMode::NoAck});
        quint64 last = 0;
        int count = 0;
        for (const quint64 tag : tags) {
            const bool noAck = tag >= 100;
            t.s.deliver(noAck ? "replies" : "tag", noAck ? tag - 100 : tag, {.body = body});
            QCOMPARE(t.s.takeEvent<Engine::Delivered>().consumer, noAck ? replies.get() : t.consumer.get());
            if (noAck)
                continue;
            QVERIFY(t.channel->deliveries().isUnsettled(tag));
            last = tag;
            ++count;
        }
        QCOMPARE(t.s.repeatedCount() > 0, !body.isEmpty());
        QCOMPARE(t.consumer->unacked, count);
        QCOMPARE(replies->unacked, 0);
        QCOMPARE(countOf(t.channel->deliveries().ackUpTo(last)), count);
        t.s.expectSent(BasicAck{.deliveryTag = last, .multiple = count > 1}).expectNothingSent();
        QVERIFY(t.s.engine.isOpen());
    }
}

void tst_Acks::gotMessagesThatNeedNoAckMeanNothing()
{
    Acking t;
    t.deliver(1, 2);
    for (const quint64 tag : {3, 1, 1, 2}) {
        const auto call = *t.channel->get(u"queue"_s, true);
        t.s.expectSent<Wire::BasicGet>().getOk(tag);
        QCOMPARE(t.s.takeReply<Engine::GotMessage>(call).message.deliveryTag, tag);
    }
    const auto call = *t.channel->get(u"queue"_s, false);
    t.s.expectSent<Wire::BasicGet>().getOk(3);
    t.s.takeReply<Engine::GotMessage>(call);
    QCOMPARE(countOf(t.channel->deliveries().ackUpTo(3)), 3);
    t.s.expectSent(BasicAck{.deliveryTag = 3, .multiple = true}).expectNothingSent();
}

void tst_Acks::returnedDeliveriesLeaveHolesThatDoNotCount()
{
    Acking t;
    const auto other = t.s.subscribe(*t.channel, u"other"_s);
    t.deliver(1, 1);
    QVERIFY(t.ack(1)); // not yet written
    t.channel->subscriptions().cancel(*other);
    t.s.deliver("other", 2).expectNoEvent();
    t.deliver(3, 3);
    QVERIFY(t.ack(3));
    // In each order, 2 is returned before an ack names a higher tag.
    t.s.expectSent(BasicAck{.deliveryTag = 1});
    t.s.expectSent<Wire::BasicCancel>().expectSent(BasicNack{.deliveryTag = 2, .requeue = true});
    t.s.expectSent(BasicAck{.deliveryTag = 3}).expectNothingSent();
}

void tst_Acks::twoConsumersShareTheNumbersAndAreCountedApart()
{
    Acking t;
    const auto other = t.s.subscribe(*t.channel, u"other"_s);
    struct : Engine::ConsumerClient {
    } otherClient;
    other->client = &otherClient;
    t.deliver(1, 1);
    t.s.deliver("other", 2).expectEvent<Engine::Delivered>();
    t.deliver(3, 5);
    QCOMPARE(t.consumer->unacked, 4);
    QCOMPARE(other->unacked, 1);
    const auto settled = t.channel->deliveries().ackUpTo(4);
    QCOMPARE(countOf(settled), 4);
    QCOMPARE(settled[0].count, 1);
    QCOMPARE(settled[0].consumer, static_cast<Engine::ConsumerClient *>(&t.s));
    QCOMPARE(settled[1].count, 1);
    QCOMPARE(settled[1].consumer, static_cast<Engine::ConsumerClient *>(&otherClient));
    QCOMPARE(t.consumer->unacked, 1);
    QCOMPARE(other->unacked, 0);
    t.s.expectSent(BasicAck{.deliveryTag = 4, .multiple = true}).expectNothingSent();
}

void tst_Acks::settlingFailsWhenNothingIsOpen_data()
{
    QTest::addColumn<quint64>("tag");
    QTest::newRow("acked") << quint64(1);
    QTest::newRow("acked, not written") << quint64(2);
    QTest::newRow("nacked") << quint64(3);
    QTest::newRow("not delivered yet") << quint64(5);
    QTest::newRow("0") << quint64(0);
    QTest::newRow("far away") << ~quint64(0);
}

void tst_Acks::settlingFailsWhenNothingIsOpen()
{
    QFETCH(quint64, tag);
    Acking t;
    t.deliver(1, 4);
    QVERIFY(t.ack(1));
    QVERIFY(t.channel->deliveries().nack(3, true).count);
    t.s.expectSent<BasicAck>().expectSent<BasicNack>();
    QVERIFY(t.ack(2));
    QVERIFY(!t.channel->deliveries().isUnsettled(tag));
    QVERIFY(!t.ack(tag));
    QVERIFY(!t.channel->deliveries().nack(tag, true).count);
    QVERIFY(t.channel->deliveries().ackUpTo(tag).empty());
    QVERIFY(t.channel->deliveries().nackUpTo(tag, true).empty());
    QVERIFY(t.channel->deliveries().isUnsettled(4));
    t.s.expectSent(BasicAck{.deliveryTag = 2}).expectNothingSent();
    QCOMPARE(t.consumer->unacked, 1);
}

void tst_Acks::acksLeaveBeforeALaterCall()
{
    Acking t;
    t.deliver(1, 3);
    QVERIFY(t.ack(1));
    QVERIFY(t.ack(2));
    QVERIFY(t.channel->topology().purgeQueue(u"queue"_s));
    QVERIFY(t.ack(3));
    t.s.expectSent(BasicAck{.deliveryTag = 2, .multiple = true}).expectSent<Wire::QueuePurge>();
    t.s.expectSent(BasicAck{.deliveryTag = 3}).expectNothingSent();
}

void tst_Acks::acksLeaveBeforeTheChannelIsClosed()
{
    Acking t;
    t.deliver(1, 3);
    for (const quint64 tag : {1, 2})
        QVERIFY(t.ack(tag));
    QVERIFY(t.channel->close());
    t.s.expectSent(BasicAck{.deliveryTag = 2, .multiple = true}).expectSent<Wire::BasicCancel>();
    t.s.expectSent<Wire::ChannelClose>().expectNothingSent();

    Acking deleted;
    deleted.deliver(1, 1);
    QVERIFY(deleted.ack(1));
    deleted.channel->release();
    deleted.s.expectSent<BasicAck>().expectSent<Wire::ChannelClose>().expectNothingSent();

    Acking closed;
    closed.deliver(1, 1);
    QVERIFY(closed.ack(1));
    closed.s.engine.close(closed.s.now);
    closed.s.expectSent<BasicAck>()
        .expectSent<Wire::BasicCancel>()
        .expectSent<Wire::ChannelClose>()
        .expectNothingSent();
}

void tst_Acks::nothingIsSettledOnceTheChannelIsClosing()
{
    Acking t;
    t.deliver(1, 3);
    QVERIFY(t.channel->close());
    t.s.expectSent<Wire::BasicCancel>().expectSent<Wire::ChannelClose>();
    // After channel.close an ack would end the connection.
    QVERIFY(!t.ack(1));
    QVERIFY(!t.channel->deliveries().nack(2, true).count);
    QVERIFY(t.channel->deliveries().ackUpTo(3).empty());
    QVERIFY(t.channel->deliveries().nackUpTo(3, true).empty());
    t.s.deliver("tag", 4).expectNoEvent().expectNothingSent();
}

void tst_Acks::acksOfADeletedChannelAreStale()
{
    Acking t;
    t.deliver(1, 2);
    QVERIFY(t.ack(1)); // never written, because the channel closes first
    t.s.broker(Wire::ChannelClose{.replyCode = 406, .replyText = "PRECONDITION_FAILED"});
    t.s.expectSent<Wire::ChannelCloseOk>().expectNothingSent();
    QVERIFY(!t.ack(2));
    QVERIFY(!t.channel->deliveries().isUnsettled(2));
    const auto opening = *t.channel->open();
    t.s.broker(Wire::ChannelOpenOk{}).expectSent<Wire::ChannelOpen>().expectNothingSent();
    QVERIFY(!t.ack(2));
    t.s.expectEvent<Engine::ChannelClosed>().expectReply(opening);
    t.consumer = t.s.expectEvent<Engine::ChannelOpened>().subscribe(*t.channel, u"tag"_s);
    t.deliver(1, 2); // the numbers start again
    QVERIFY(t.ack(1));
    QVERIFY(t.ack(2));
    t.s.expectSent(BasicAck{.deliveryTag = 2, .multiple = true}).expectNothingSent();
}

void tst_Acks::acksGoOnAfterAConnectionWasLost()
{
    Acking t;
    t.deliver(1, 1);
    QVERIFY(t.ack(1)); // the ack is not written
    t.s.engine.transportClosed(Error(ErrorKind::Network, u"gone"_s));
    t.s.takeConnectionClosed();
    t.s.settings = Script::defaultSettings();
    t.s.open();
    const auto opening = *t.channel->open();
    t.s.expectSent<Wire::ChannelOpen>().broker(Wire::ChannelOpenOk{}).expectReply(opening);
    t.s.expectEvent<Engine::ChannelOpened>().subscribe(*t.channel, u"tag"_s);
    t.deliver(1, 1);
    QVERIFY(t.ack(1));
    QVERIFY(t.s.engine.hasOutput());
    t.s.expectSent(BasicAck{.deliveryTag = 1}).expectNothingSent();
}

void tst_Acks::anEndedConsumersDeliveriesCanStillBeSettled()
{
    Acking t;
    t.deliver(1, 3);
    const auto cancelling = t.channel->subscriptions().cancel(*t.consumer);
    t.s.expectSent<Wire::BasicCancel>().broker(Wire::BasicCancelOk{.consumerTag = "tag"});
    QCOMPARE(t.s.takeReply<Engine::CancelResult>(cancelling).returned, 0);
    QVERIFY(t.ack(1));
    QVERIFY(t.channel->deliveries().nack(2, true).count);
    t.consumer.reset(); // the engine keeps the consumer whose deliveries it still counts
    QCOMPARE(t.channel->deliveries().ack(3).consumer, static_cast<Engine::ConsumerClient *>(&t.s));
    t.s.expectSent(BasicAck{.deliveryTag = 1}).expectSent<BasicNack>().expectSent(BasicAck{.deliveryTag = 3});
}

void tst_Acks::aDeliveryHeldOpenDoesNotKeepTheSettledOnes()
{
    Engine::Acks acks;
    Engine::Acks::Frames frames;
    QVERIFY(acks.delivered(1, nullptr));
    constexpr quint64 last = 20'000;
    for (quint64 tag = 2; tag <= last; ++tag) {
        QVERIFY(acks.delivered(tag, nullptr));
        if (tag % 2 == 0)
            QVERIFY(acks.ack(tag));
        else
            acks.takeFrames(frames);
        if (tag % 2 == 1)
            QVERIFY(acks.settle(tag));
        QVERIFY(!acks.isOpen(tag));
        QVERIFY(acks.isOpen(1));
    }
    acks.takeFrames(frames);
    QCOMPARE(frames.size(), size_t(last / 2));
    QCOMPARE(acks.openUpTo(last), std::vector<quint64>{1});
    QVERIFY2(acks.entryCount() < 1000, "settled deliveries behind an open one are kept");
    QVERIFY(acks.ack(1));
    frames.clear();
    acks.takeFrames(frames);
    QCOMPARE(frames.size(), size_t(1));
    QVERIFY(!frames[0].multiple);
}

QTEST_GUILESS_MAIN(tst_Acks)
#include "tst_acks.moc"
