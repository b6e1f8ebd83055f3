// SPDX-License-Identifier: MIT
#include "engine/channel/transaction_p.h"

#include <QtTest/qtest.h>

using namespace AmqpQt::Engine;

class tst_Transaction : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void aRollbackReturnsWhatWasSettledBeforeIt();
    void aCommitForgetsWhatWasSettledBeforeIt();
    void itEndsWithTheReply_data();
    void itEndsWithTheReply();
    void nacksWaitForTheReplyInOrder();
    void aSettlementKeepsItsConsumer();
};

namespace
{

std::vector<quint64> tagsOf(const std::vector<Transaction::Settlement> &settlements)
{
    std::vector<quint64> tags;
    for (const Transaction::Settlement &settlement : settlements)
        tags.push_back(settlement.deliveryTag);
    return tags;
}

} // namespace

void tst_Transaction::aRollbackReturnsWhatWasSettledBeforeIt()
{
    Transaction transaction;
    transaction.settled({.deliveryTag = 1});
    transaction.settled({.deliveryTag = 2, .isReturned = true});
    transaction.rollbackSent(0);
    transaction.settled({.deliveryTag = 3}); // belongs to the next transaction
    const auto rolledBack = transaction.takeRolledBack();
    QCOMPARE(tagsOf(rolledBack), (std::vector<quint64>{1, 2}));
    QVERIFY(!rolledBack[0].isReturned);
    QVERIFY(rolledBack[1].isReturned);
    QVERIFY(transaction.takeRolledBack().empty());
    transaction.ended();
    transaction.rollbackSent(0);
    QCOMPARE(tagsOf(transaction.takeRolledBack()), std::vector<quint64>{3});
}

void tst_Transaction::aCommitForgetsWhatWasSettledBeforeIt()
{
    Transaction transaction;
    transaction.settled({.deliveryTag = 1});
    transaction.commitSent(0);
    transaction.settled({.deliveryTag = 2});
    transaction.ended();
    transaction.rollbackSent(0);
    QCOMPARE(tagsOf(transaction.takeRolledBack()), std::vector<quint64>{2});
}

void tst_Transaction::itEndsWithTheReply_data()
{
    QTest::addColumn<bool>("commits");
    QTest::newRow("commit") << true;
    QTest::newRow("rollback") << false;
}

void tst_Transaction::itEndsWithTheReply()
{
    QFETCH(bool, commits);
    Transaction transaction;
    QVERIFY(!transaction.isEnding());
    if (commits)
        transaction.commitSent(0);
    else
        transaction.rollbackSent(0);
    QVERIFY(transaction.isEnding());
    transaction.ended();
    QVERIFY(!transaction.isEnding());
}

void tst_Transaction::nacksWaitForTheReplyInOrder()
{
    Transaction transaction;
    transaction.commitSent(0);
    transaction.hold({.deliveryTag = 2, .requeue = true});
    transaction.hold({.deliveryTag = 1});
    const std::vector<Transaction::Nack> nacks = transaction.ended();
    QCOMPARE(nacks.size(), size_t(2));
    QCOMPARE(nacks[0].deliveryTag, quint64(2));
    QVERIFY(nacks[0].requeue);
    QCOMPARE(nacks[1].deliveryTag, quint64(1));
    QVERIFY(!nacks[1].requeue);
    QVERIFY(transaction.ended().empty());
}

void tst_Transaction::aSettlementKeepsItsConsumer()
{
    Transaction transaction;
    auto consumer = std::make_shared<ConsumerEntry>();
    const std::weak_ptr<ConsumerEntry> observed = consumer;
    transaction.settled({.deliveryTag = 1, .consumer = std::move(consumer)});
    QVERIFY(!observed.expired());
    transaction.commitSent(0);
    QVERIFY(observed.expired());
}

QTEST_APPLESS_MAIN(tst_Transaction)
#include "tst_transaction.moc"
