// SPDX-License-Identifier: MIT
#include "support/script.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;
using Wire::BasicAck;
using Wire::BasicNack;

// Tests transactions and basic.recover.
class tst_Transactions : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void nothingFollowsCommitOrRollbackBeforeItsAnswer_data();
    void nothingFollowsCommitOrRollbackBeforeItsAnswer();
    void acksWaitForTheAnswer();
    void heldNacksComeBeforeHeldAcks();
    void nackUpToDuringACommitIsOneByOne();
    void heldNacksAreRejectsWhereTheBrokerHasNoNack();
    void onlyATransactionChannelCommits();
    void closeWaitsForTheAnswer();
    void aCommitThatIsNotAnsweredClosesTheChannel();
    void transactionModeComesBackWithTheChannel();

    void rollbackReopensSettledDeliveries();
    void commitSettlesPermanently();
    void settlementsDuringARollbackBelongToTheNextTransaction();
    void rollbackReopensDeliveriesOfEndedConsumersAndOfGet();
    void rollbackReturnsUnwantedDeliveriesAgain();

    void recoverMakesOlderDeliveriesStale();
    void deliveriesUntilRecoverOkAreSkipped();
    void noAckDeliveriesAreNotSkipped();
    void severalRecoversCoverEachOther();
    void rollbackAfterRecoverReopensSettledDeliveries();
};

namespace
{

struct Transactional {
    explicit Transactional(const QByteArray &serverProperties = encodedServerProperties())
    {
        s.openTo(serverProperties);
        channel = &s.openChannel();
        const auto selecting = *channel->txSelect();
        s.expectSent<Wire::TxSelect>().broker(Wire::TxSelectOk{}).expectReply(selecting);
        consumer = s.subscribe(*channel, u"tag"_s);
    }
    void deliver(quint64 first, quint64 last)
    {
        for (quint64 tag = first; tag <= last; ++tag)
            s.deliver("tag", tag).expectEvent<Engine::Delivered>();
    }
    void publish(const QByteArray &body) { QVERIFY(channel->publish({}, u"key"_s, QByteArray(2, '\0'), body, false)); }
    void commit()
    {
        committing = *channel->txCommit();
        s.expectSent<Wire::TxCommit>();
    }
    void commitOk() { s.broker(Wire::TxCommitOk{}).expectReply(committing); }
    void rollback()
    {
        const auto rollingBack = *channel->txRollback();
        s.expectSent<Wire::TxRollback>().broker(Wire::TxRollbackOk{}).expectReply(rollingBack);
    }
    void recover()
    {
        const auto recovering = *channel->redeliverUnacked();
        s.expectSent<Wire::BasicRecover>().broker(Wire::BasicRecoverOk{}).expectReply(recovering);
    }
    bool ack(quint64 tag) { return channel->deliveries().ack(tag).count; }
    bool nack(quint64 tag) { return channel->deliveries().nack(tag, true).count; }

    Script s;
    Engine::ChannelEngine *channel = nullptr;
    std::shared_ptr<Engine::ConsumerEntry> consumer;
    Engine::CallId committing = 0;
};

} // namespace

void tst_Transactions::nothingFollowsCommitOrRollbackBeforeItsAnswer_data()
{
    QTest::addColumn<bool>("isCommit");
    QTest::newRow("commit") << true;
    QTest::newRow("rollback") << false;
}

void tst_Transactions::nothingFollowsCommitOrRollbackBeforeItsAnswer()
{
    QFETCH(const bool, isCommit);
    Transactional t;
    auto &other = t.s.openChannel();
    t.publish("1");
    t.s.expectPublished("1", "key");
    const auto first = isCommit ? *t.channel->txCommit() : *t.channel->txRollback();
    t.publish("2");
    const auto declaring = *t.channel->topology().declareQueue(u"q"_s, {}, false);
    const auto second = *t.channel->txCommit();
    t.publish("3");
    t.channel->subscriptions().cancel(*t.consumer);
    if (isCommit)
        t.s.expectSent<Wire::TxCommit>();
    else
        t.s.expectSent<Wire::TxRollback>();
    t.s.expectNothingSent();
    QVERIFY(other.topology().purgeQueue(u"q"_s));
    t.s.expectSent<Wire::QueuePurge>(2); // other channels continue
    if (isCommit)
        t.s.broker(Wire::TxCommitOk{});
    else
        t.s.broker(Wire::TxRollbackOk{});
    t.s.expectReply(first).expectPublished("2", "key").expectSent<Wire::QueueDeclare>();
    t.s.expectSent<Wire::TxCommit>().expectNothingSent();
    t.s.broker(Wire::QueueDeclareOk{.queue = "q"}).expectReply(declaring).expectNothingSent();
    t.s.broker(Wire::TxCommitOk{}).expectReply(second);
    t.s.expectPublished("3", "key").expectSent<Wire::BasicCancel>().expectNothingSent();
}

void tst_Transactions::acksWaitForTheAnswer()
{
    Transactional t;
    t.deliver(1, 4);
    QVERIFY(t.ack(1));
    t.committing = *t.channel->txCommit();
    t.s.expectSent(BasicAck{.deliveryTag = 1}).expectSent<Wire::TxCommit>(); // settled and sent before it
    QVERIFY(t.ack(2));
    QVERIFY(t.ack(3));
    t.s.expectNothingSent();
    t.commitOk();
    t.s.expectSent(BasicAck{.deliveryTag = 3, .multiple = true}).expectNothingSent();
    QVERIFY(t.ack(4));
    t.s.expectSent(BasicAck{.deliveryTag = 4}).expectNothingSent();
}

void tst_Transactions::heldNacksComeBeforeHeldAcks()
{
    Transactional t;
    t.deliver(1, 5);
    t.commit();
    QVERIFY(t.ack(1));
    QVERIFY(t.nack(2));
    QVERIFY(t.ack(3));
    QVERIFY(t.channel->deliveries().nack(4, false).count);
    QVERIFY(!t.ack(2));
    t.s.expectNothingSent();
    t.commitOk();
    // An ack up to 3 would include the nacked delivery if it were sent first.
    t.s.expectSent(BasicNack{.deliveryTag = 2, .requeue = true})
        .expectSent(BasicNack{.deliveryTag = 4, .requeue = false});
    t.s.expectSent(BasicAck{.deliveryTag = 3, .multiple = true}).expectNothingSent();
    QCOMPARE(t.consumer->unacked, 1);
}

void tst_Transactions::nackUpToDuringACommitIsOneByOne()
{
    Transactional t;
    t.deliver(1, 4);
    t.commit();
    QVERIFY(t.ack(2));
    QCOMPARE(countOf(t.channel->deliveries().nackUpTo(3, false)), 2);
    t.commitOk();
    t.s.expectSent(BasicNack{.deliveryTag = 1, .requeue = false})
        .expectSent(BasicNack{.deliveryTag = 3, .requeue = false});
    t.s.expectSent(BasicAck{.deliveryTag = 2}).expectNothingSent();
}

void tst_Transactions::heldNacksAreRejectsWhereTheBrokerHasNoNack()
{
    Transactional t{QByteArray()};
    t.deliver(1, 1);
    t.commit();
    QVERIFY(t.nack(1));
    t.commitOk();
    t.s.expectSent(Wire::BasicReject{.deliveryTag = 1, .requeue = true}).expectNothingSent();
}

void tst_Transactions::onlyATransactionChannelCommits()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    QCOMPARE(channel.txCommit().error().kind(), ErrorKind::InvalidArgument);
    QCOMPARE(channel.txRollback().error().kind(), ErrorKind::InvalidArgument);
    s.expectNothingSent().expectNoEvent();
}

void tst_Transactions::closeWaitsForTheAnswer()
{
    Transactional t;
    t.deliver(1, 1);
    t.commit();
    QVERIFY(t.ack(1));
    QVERIFY(t.channel->close());
    t.s.expectNothingSent();
    t.commitOk();
    t.s.expectSent(BasicAck{.deliveryTag = 1}).expectSent<Wire::BasicCancel>().expectSent<Wire::ChannelClose>();
}

void tst_Transactions::aCommitThatIsNotAnsweredClosesTheChannel()
{
    Transactional t;
    t.deliver(1, 1);
    t.commit();
    QVERIFY(t.nack(1));
    t.publish("held");
    t.s.advance(t.s.settings.replyTimeout);
    t.s.expectSent<Wire::ChannelClose>().expectNothingSent(); // only channel.close may follow a commit
    QCOMPARE(t.s.takeEvents(), QStringList({u"ReplyArrived %1 Timeout"_s.arg(t.committing),
                                            u"PublishFailed 1 1-1 Timeout"_s, u"ChannelClosed 1 Timeout"_s}));
    QVERIFY(t.s.engine.isOpen());
}

void tst_Transactions::transactionModeComesBackWithTheChannel()
{
    Transactional t;
    t.deliver(1, 1);
    t.commit();
    QVERIFY(t.nack(1));
    t.s.broker(Wire::ChannelClose{.replyCode = 406}).expectSent<Wire::ChannelCloseOk>();
    t.s.takeEvents();
    QVERIFY(t.channel->open());
    t.publish("first");
    t.s.expectSent<Wire::ChannelOpen>()
        .expectSent<Wire::TxSelect>()
        .expectPublished("first", "key")
        .expectNothingSent();
    t.s.broker(Wire::ChannelOpenOk{}).broker(Wire::TxSelectOk{}).takeEvents();
    t.rollback();
    t.s.expectNothingSent();
    QVERIFY(!t.channel->deliveries().isUnsettled(1));
}

void tst_Transactions::rollbackReopensSettledDeliveries()
{
    Transactional t;
    t.deliver(1, 5);
    QVERIFY(t.ack(1));
    QVERIFY(t.nack(3));
    QVERIFY(t.ack(4));
    QCOMPARE(t.consumer->unacked, 2);
    t.s.expectSent<BasicAck>().expectSent<BasicNack>().expectSent<BasicAck>();
    t.rollback();
    QCOMPARE(t.consumer->unacked, 5);
    for (quint64 tag = 1; tag <= 5; ++tag)
        QVERIFY(t.channel->deliveries().isUnsettled(tag));
    QVERIFY(t.ack(3));
    QCOMPARE(countOf(t.channel->deliveries().ackUpTo(4)), 3);
    t.s.expectSent(BasicAck{.deliveryTag = 4, .multiple = true}).expectNothingSent();
    t.deliver(6, 6);
    QVERIFY(t.ack(5));
    QVERIFY(t.ack(6));
    t.s.expectSent(BasicAck{.deliveryTag = 6, .multiple = true}).expectNothingSent();
    QCOMPARE(t.consumer->unacked, 0);
}

void tst_Transactions::commitSettlesPermanently()
{
    Transactional t;
    t.deliver(1, 3);
    QVERIFY(t.ack(1));
    t.s.expectSent<BasicAck>();
    t.commit();
    t.commitOk();
    QVERIFY(t.ack(2));
    t.s.expectSent<BasicAck>();
    t.rollback();
    QVERIFY(!t.channel->deliveries().isUnsettled(1));
    QVERIFY(t.channel->deliveries().isUnsettled(2));
    QCOMPARE(t.consumer->unacked, 2);
}

void tst_Transactions::settlementsDuringARollbackBelongToTheNextTransaction()
{
    Transactional t;
    t.deliver(1, 4);
    QVERIFY(t.ack(1));
    const auto rollingBack = *t.channel->txRollback();
    QVERIFY(t.ack(2));
    QVERIFY(t.nack(3));
    QVERIFY(!t.ack(1)); // the delivery is not open again yet
    t.s.expectSent(BasicAck{.deliveryTag = 1}).expectSent<Wire::TxRollback>().expectNothingSent();
    t.s.broker(Wire::TxRollbackOk{}).expectReply(rollingBack);
    t.s.expectSent(BasicNack{.deliveryTag = 3, .requeue = true})
        .expectSent(BasicAck{.deliveryTag = 2})
        .expectNothingSent();
    QVERIFY(t.channel->deliveries().isUnsettled(1));
    QVERIFY(!t.channel->deliveries().isUnsettled(2));
    t.rollback();
    for (const quint64 tag : {1, 2, 3, 4})
        QVERIFY(t.channel->deliveries().isUnsettled(tag));
    QCOMPARE(t.consumer->unacked, 4);
}

void tst_Transactions::rollbackReopensDeliveriesOfEndedConsumersAndOfGet()
{
    Transactional t;
    t.deliver(1, 2);
    const auto getting = *t.channel->get(u"queue"_s, false);
    t.s.expectSent<Wire::BasicGet>().getOk(3);
    t.s.takeReply<Engine::GotMessage>(getting);
    for (const quint64 tag : {1, 2, 3})
        QVERIFY(t.ack(tag));
    t.s.expectSent(BasicAck{.deliveryTag = 3, .multiple = true});
    t.channel->subscriptions().cancel(*t.consumer);
    t.s.expectSent<Wire::BasicCancel>().broker(Wire::BasicCancelOk{.consumerTag = "tag"}).takeEvents();
    const auto later = t.s.subscribe(*t.channel, u"later"_s);
    t.s.deliver("later", 4).expectEvent<Engine::Delivered>();
    t.rollback();
    QCOMPARE(t.consumer->unacked, 2);
    for (const quint64 tag : {1, 2, 3, 4})
        QVERIFY(t.ack(tag));
    QCOMPARE(t.consumer->unacked, 0);
    t.s.expectSent(BasicAck{.deliveryTag = 4, .multiple = true}).expectNothingSent();
}

// Unwanted deliveries are returned within the transaction, so the rollback reverts this as well.
void tst_Transactions::rollbackReturnsUnwantedDeliveriesAgain()
{
    Transactional t;
    t.channel->subscriptions().cancel(*t.consumer);
    t.s.expectSent<Wire::BasicCancel>().deliver("tag", 1);
    t.s.expectSent(BasicNack{.deliveryTag = 1, .requeue = true});
    const auto rollingBack = *t.channel->txRollback();
    t.s.expectSent<Wire::TxRollback>().deliver("tag", 2).expectNothingSent();
    t.s.broker(Wire::TxRollbackOk{}).expectReply(rollingBack);
    std::set<quint64> returned;
    for (int i = 0; i < 2; ++i)
        t.s.expectSent<BasicNack>([&](const BasicNack &nack) { returned.insert(nack.deliveryTag); });
    QCOMPARE(returned, std::set<quint64>({1, 2}));
    t.commit();
    t.commitOk();
    t.rollback();
    t.s.expectNothingSent();
}

void tst_Transactions::recoverMakesOlderDeliveriesStale()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto consumer = s.subscribe(channel, u"tag"_s);
    for (const quint64 tag : {1, 2, 3})
        s.deliver("tag", tag).expectEvent<Engine::Delivered>();
    QVERIFY(channel.deliveries().ack(2).count);
    const auto recovering = *channel.redeliverUnacked();
    s.expectSent(BasicAck{.deliveryTag = 2});
    s.expectSent<Wire::BasicRecover>([](const Wire::BasicRecover &recover) { QVERIFY(recover.requeue); });
    QCOMPARE(consumer->unacked, 0);
    for (const quint64 tag : {1, 2, 3}) {
        QVERIFY(!channel.deliveries().ack(tag).count);
        QVERIFY(channel.deliveries().nackUpTo(tag, true).empty());
    }
    s.broker(Wire::BasicRecoverOk{}).expectReply(recovering);
    s.deliver("tag", 4, {.redelivered = true}).expectEvent<Engine::Delivered>();
    s.deliver("tag", 5, {.redelivered = true}).expectEvent<Engine::Delivered>();
    QVERIFY(!channel.deliveries().ack(3).count);
    QCOMPARE(countOf(channel.deliveries().ackUpTo(5)), 2);
    s.expectSent(BasicAck{.deliveryTag = 5, .multiple = true}).expectNothingSent();
}

void tst_Transactions::deliveriesUntilRecoverOkAreSkipped()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto consumer = s.subscribe(channel, u"tag"_s);
    const auto getting = *channel.get(u"queue"_s, false);
    const auto recovering = *channel.redeliverUnacked();
    s.expectSent<Wire::BasicGet>().expectSent<Wire::BasicRecover>();
    s.deliver("tag", 1).expectNoEvent();
    s.getOk(2);
    s.takeReply<Engine::GotMessage>(getting); // the message of the call is stale
    QVERIFY(!channel.deliveries().isUnsettled(2));
    s.broker(Wire::BasicRecoverOk{}).expectReply(recovering);
    QCOMPARE(consumer->unacked, 0);
    s.deliver("tag", 3).expectEvent<Engine::Delivered>();
    QVERIFY(channel.deliveries().ack(3).count);
    s.expectSent(BasicAck{.deliveryTag = 3}).expectNothingSent();
}

void tst_Transactions::noAckDeliveriesAreNotSkipped()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    s.subscribe(channel, u"tag"_s, {.ackMode = AckMode::NoAck});
    QVERIFY(channel.redeliverUnacked());
    s.expectSent<Wire::BasicRecover>().deliver("tag", 1).expectEvent<Engine::Delivered>();
}

void tst_Transactions::severalRecoversCoverEachOther()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto consumer = s.subscribe(channel, u"tag"_s);
    const auto first = *channel.redeliverUnacked();
    const auto second = *channel.redeliverUnacked();
    s.expectSent<Wire::BasicRecover>().expectSent<Wire::BasicRecover>();
    s.deliver("tag", 1).broker(Wire::BasicRecoverOk{}).expectReply(first);
    s.deliver("tag", 2).expectNoEvent(); // returned to the queue by the second recover
    s.broker(Wire::BasicRecoverOk{}).expectReply(second);
    s.deliver("tag", 3).expectEvent<Engine::Delivered>();
    QCOMPARE(consumer->unacked, 1);
}

void tst_Transactions::rollbackAfterRecoverReopensSettledDeliveries()
{
    Transactional t;
    t.deliver(1, 3);
    QVERIFY(t.ack(2));
    t.s.expectSent<BasicAck>();
    t.recover();
    QVERIFY(!t.channel->deliveries().isUnsettled(2));
    t.s.deliver("tag", 4).deliver("tag", 5).takeEvents();
    t.rollback();
    QVERIFY(!t.channel->deliveries().isUnsettled(1));
    QVERIFY(t.channel->deliveries().isUnsettled(2));
    QCOMPARE(t.consumer->unacked, 3);
    QCOMPARE(countOf(t.channel->deliveries().ackUpTo(5)), 3);
    t.s.expectSent(BasicAck{.deliveryTag = 5, .multiple = true}).expectNothingSent();
}

QTEST_APPLESS_MAIN(tst_Transactions)

#include "tst_transactions.moc"
