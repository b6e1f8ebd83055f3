// SPDX-License-Identifier: MIT
#include "engine/channel/consumertable_p.h"

#include <QtTest/qtest.h>

using namespace AmqpQt::Engine;

class tst_ConsumerTable : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void shorterTagsComeFirst();
    void aTagIsFreeOnceItsConsumerHasEnded();
    void theReceiverOfADeliveryMayHaveEndedRecently();
    void theNewestOfTheEndedConsumersWithATagReceives();
    void onlySixteenEndedConsumersAreRemembered();
    void anEndedConsumerLivesUntilItsDeliveriesAreSettled();
    void aRollbackBringsAnEndedConsumerBack();
    void requeuedDeliveriesKeepNoConsumer();
    void aConsumeOkIsDueOnce();
    void anEndingConsumerTakesNoReplies();
    void theEndOfTheChannelForgetsEverything();
};

namespace
{

using State = ConsumerEntry::State;

std::shared_ptr<ConsumerEntry> add(ConsumerTable &table, const QByteArray &tag)
{
    auto consumer = std::make_shared<ConsumerEntry>();
    consumer->tag = tag;
    consumer->state = State::Active;
    table.insert(consumer);
    return consumer;
}

QByteArrayList tagsOf(const ConsumerTable &table)
{
    QByteArrayList tags;
    for (const auto &consumer : table.entries())
        tags += consumer->tag;
    return tags;
}

} // namespace

void tst_ConsumerTable::shorterTagsComeFirst()
{
    ConsumerTable table;
    for (const char *tag : {"b", "10", "a", "9", "100"})
        add(table, tag);
    QCOMPARE(tagsOf(table), QByteArrayList({"9", "a", "b", "10", "100"}));
    QCOMPARE(table.find("10")->tag, "10");
    QVERIFY(!table.find("1"));
}

void tst_ConsumerTable::aTagIsFreeOnceItsConsumerHasEnded()
{
    ConsumerTable table;
    const auto consumer = add(table, "tag");
    QCOMPARE(table.take("tag"), consumer);
    QCOMPARE(consumer->state, State::Gone);
    QVERIFY(!table.find("tag"));
    const auto next = add(table, "tag");
    QCOMPARE(table.find("tag"), next);
    QCOMPARE(table.receiver("tag"), next.get());
}

void tst_ConsumerTable::theReceiverOfADeliveryMayHaveEndedRecently()
{
    ConsumerTable table;
    const auto consumer = add(table, "tag");
    QVERIFY(!table.lastReceiver());
    QCOMPARE(table.receiver("tag"), consumer.get());
    QCOMPARE(table.lastReceiver(), consumer.get());
    table.take("tag");
    QVERIFY(!table.lastReceiver());
    QCOMPARE(table.receiver("tag"), consumer.get());
    QVERIFY2(!table.lastReceiver(), "the fast path would deliver to a consumer that has ended");
    QVERIFY(!table.receiver("other"));
}

void tst_ConsumerTable::theNewestOfTheEndedConsumersWithATagReceives()
{
    ConsumerTable table;
    add(table, "tag");
    table.take("tag");
    const auto second = add(table, "tag");
    table.take("tag");
    QCOMPARE(table.receiver("tag"), second.get());
}

void tst_ConsumerTable::onlySixteenEndedConsumersAreRemembered()
{
    ConsumerTable table;
    for (int number = 0; number < 17; ++number) {
        const QByteArray tag = QByteArray::number(number);
        add(table, tag);
        table.take(tag);
    }
    QVERIFY(!table.receiver("0"));
    QVERIFY(table.receiver("1"));
    QCOMPARE(table.addEnded("0")->state, State::Gone); // a delivery has an unknown tag
    QVERIFY(table.receiver("0"));
    QVERIFY(!table.receiver("1"));
}

void tst_ConsumerTable::anEndedConsumerLivesUntilItsDeliveriesAreSettled()
{
    ConsumerTable table;
    std::weak_ptr<ConsumerEntry> consumer = add(table, "tag");
    consumer.lock()->unacked = 2;
    table.take("tag");
    for (int number = 0; number < 16; ++number)
        table.addEnded(QByteArray::number(number));
    QVERIFY(!table.receiver("tag"));
    QVERIFY(!consumer.expired());
    table.settled(*consumer.lock(), 1);
    QVERIFY(!consumer.expired());
    table.settled(*consumer.lock(), 1);
    QVERIFY(consumer.expired());
}

void tst_ConsumerTable::aRollbackBringsAnEndedConsumerBack()
{
    ConsumerTable table;
    std::weak_ptr<ConsumerEntry> consumer;
    {
        const auto entry = add(table, "tag");
        consumer = entry;
        entry->unacked = 1;
        table.take("tag");
        table.settled(*entry, 1);
        table.reopened(entry);
        table.reopened(entry);
        QCOMPARE(entry->unacked, 2);
    }
    for (int number = 0; number < 16; ++number)
        table.addEnded(QByteArray::number(number));
    QVERIFY(!consumer.expired());
    table.settled(*consumer.lock(), 2);
    QVERIFY(consumer.expired());
}

void tst_ConsumerTable::requeuedDeliveriesKeepNoConsumer()
{
    ConsumerTable table;
    const auto active = add(table, "active");
    active->unacked = 3;
    std::weak_ptr<ConsumerEntry> ended = add(table, "ended");
    ended.lock()->unacked = 2;
    table.take("ended");
    for (int number = 0; number < 16; ++number)
        table.addEnded(QByteArray::number(number));
    table.requeued();
    QCOMPARE(active->unacked, 0);
    QVERIFY(ended.expired());
}

void tst_ConsumerTable::aConsumeOkIsDueOnce()
{
    ConsumerTable table;
    QVERIFY(!table.takeDueConsumeOk("tag"));
    add(table, "tag")->consumeOkIsDue = true;
    table.take("tag");
    QVERIFY(!table.takeDueConsumeOk("other"));
    QVERIFY(table.takeDueConsumeOk("tag"));
    QVERIFY(!table.takeDueConsumeOk("tag"));
}

void tst_ConsumerTable::anEndingConsumerTakesNoReplies()
{
    ConsumerTable table;
    QVERIFY(!table.hasDirectReplyTo());
    const auto consumer = add(table, "tag");
    QVERIFY(!table.hasDirectReplyTo());
    consumer->isForReplies = true;
    QVERIFY(table.hasDirectReplyTo());
    consumer->cancelHeld = true;
    QVERIFY(!table.hasDirectReplyTo());
    consumer->cancelHeld = false;
    consumer->state = State::Cancelling;
    QVERIFY(!table.hasDirectReplyTo());
}

void tst_ConsumerTable::theEndOfTheChannelForgetsEverything()
{
    ConsumerTable table;
    const auto active = add(table, "active");
    std::weak_ptr<ConsumerEntry> ended = add(table, "ended");
    ended.lock()->unacked = 1;
    table.take("ended");
    table.receiver("active");
    QCOMPARE(table.takeAll(), ConsumerTable::Entries{active});
    QVERIFY(table.entries().isEmpty());
    QVERIFY(!table.lastReceiver());
    QVERIFY(ended.expired());
    QVERIFY(!table.receiver("ended"));
}

QTEST_APPLESS_MAIN(tst_ConsumerTable)
#include "tst_consumertable.moc"
