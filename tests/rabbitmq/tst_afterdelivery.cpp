// SPDX-License-Identifier: MIT
#include "rabbitmq/queues.h"

#include <QtTest/qsignalspy.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Tests AckMode::AfterDelivery, with which the library acks deliveries after the slots have returned.
class tst_AfterDelivery : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init();
    void cleanup();

    void slotsThatReturnAck();
    void ackComesAfterTheSlot();
    void explicitSettlementWins();
    void batchIsAckedAfterItsSlot();
    void withoutASlotDeliveriesAreKept();
    void keptDeliveriesComeFirst_data();
    void keptDeliveriesComeFirst();
    void keptDeliveriesAreReturnedWithTheirConsumer();
    void slotMayEndEverything_data();
    void slotMayEndEverything();

private:
    Consumer *consume(const QString &queue, quint16 prefetch = 0)
    {
        return m_client->channel->consume(queue, {.ackMode = AckMode::AfterDelivery, .prefetch = prefetch});
    }

    std::optional<BrokerClient> m_client;
};

void tst_AfterDelivery::init()
{
    m_client.emplace();
    QVERIFY(m_client->isOpen());
}

void tst_AfterDelivery::cleanup()
{
    m_client.reset();
}

// G3
void tst_AfterDelivery::slotsThatReturnAck()
{
    const QString queue = filledQueue(*m_client, 200);
    const Consumer *consumer = consume(queue, 20);
    QList<Message> messages;
    collect(consumer, &messages);
    QVERIFY(waitFor([&] { return messages.size() == 200; }));
    QCOMPARE(texts(messages), numbers(0, 199));
    QCOMPARE(queueCounts(m_client->channel, queue), QByteArray("0 0"));
    QCOMPARE(consumer->unackedCount(), 0);
}

// G3
void tst_AfterDelivery::ackComesAfterTheSlot()
{
    const QString queue = filledQueue(*m_client, 3);
    const Consumer *consumer = consume(queue, 1);
    QList<QByteArray> counts;
    connect(consumer, &Consumer::delivered, this, [&] {
        // The next delivery arrives only when the previous one is acked, since the prefetch is 1.
        const int before = int(counts.size());
        BrokerClient other;
        counts += queueCounts(other.channel, queue);
        QCOMPARE(counts.size(), before + 1);
    });
    QVERIFY(waitFor([&] { return counts.size() == 3; }));
    QCOMPARE(counts, QList<QByteArray>({"2 1", "1 1", "0 1"}));
    QCOMPARE(queueCounts(m_client->channel, queue), QByteArray("0 0"));
}

// G3
void tst_AfterDelivery::explicitSettlementWins()
{
    const QString queue = filledQueue(*m_client, 4);
    QSignalSpy errors(m_client->channel, &Channel::errorOccurred);
    const Consumer *consumer = consume(queue);
    QStringList seen;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) {
        seen += message.text();
        if (message.text() == u"0"_s)
            m_client->channel->nack(message, Requeue::No);
        else if (message.text() == u"1"_s && !message.isRedelivered())
            message.nack();
        else if (message.text() == u"2"_s)
            message.ack();
    });
    QVERIFY(waitFor([&] { return seen.size() == 5; }));
    QCOMPARE(seen, QStringList({u"0"_s, u"1"_s, u"2"_s, u"3"_s, u"1"_s}));
    QCOMPARE(queueCounts(m_client->channel, queue), QByteArray("0 0"));
    QCOMPARE(consumer->unackedCount(), 0);
    QCOMPARE(errors.size(), 0);
}

// G3
void tst_AfterDelivery::batchIsAckedAfterItsSlot()
{
    const QString queue = filledQueue(*m_client, 100);
    const Consumer *consumer = consume(queue);
    QList<Message> messages;
    connect(consumer, &Consumer::batchDelivered, this, [&](const QList<Message> &batch) {
        QVERIFY(consumer->unackedCount() >= batch.size());
        for (const Message &message : batch) {
            if (message.text() == u"50"_s && !message.isRedelivered())
                message.nack();
        }
        messages += batch;
    });
    QVERIFY(waitFor([&] { return messages.size() == 101; }));
    QCOMPARE(messages.last().text(), u"50"_s);
    QCOMPARE(queueCounts(m_client->channel, queue), QByteArray("0 0"));
    QCOMPARE(consumer->unackedCount(), 0);
}

// G3, G4
void tst_AfterDelivery::withoutASlotDeliveriesAreKept()
{
    const QString queue = filledQueue(*m_client, 10);
    const Consumer *consumer = consume(queue, 4);
    QVERIFY(waitFor([&] { return consumer->unackedCount() == 4; }));
    QCOMPARE(queueCounts(m_client->channel, queue), QByteArray("6 4"));
    QList<Message> messages;
    collect(consumer, &messages);
    QVERIFY(waitFor([&] { return messages.size() == 10; }));
    QCOMPARE(texts(messages), numbers(0, 9));
    QCOMPARE(queueCounts(m_client->channel, queue), QByteArray("0 0"));
}

void tst_AfterDelivery::keptDeliveriesComeFirst_data()
{
    QTest::addColumn<bool>("inBatches");
    QTest::newRow("one by one") << false;
    QTest::newRow("in batches") << true;
}

// G3
void tst_AfterDelivery::keptDeliveriesComeFirst()
{
    QFETCH(const bool, inBatches);
    constexpr int Count = 3000;
    const QString queue = filledQueue(*m_client, Count);
    const Consumer *consumer = consume(queue);
    QVERIFY(waitFor([&] { return consumer->unackedCount() > 0; })); // the other messages arrive in the meantime
    QList<Message> messages;
    if (inBatches)
        connect(consumer, &Consumer::batchDelivered, this, [&](const QList<Message> &batch) { messages += batch; });
    else
        collect(consumer, &messages);
    QVERIFY(waitFor([&] { return messages.size() == Count; }));
    QCOMPARE(texts(messages), numbers(0, Count - 1));
    QCOMPARE(queueCounts(m_client->channel, queue), QByteArray("0 0"));
}

// G3, G8
void tst_AfterDelivery::keptDeliveriesAreReturnedWithTheirConsumer()
{
    const QString queue = filledQueue(*m_client, 3);
    Consumer *consumer = consume(queue);
    QVERIFY(waitFor([&] { return consumer->unackedCount() == 3; }));
    const Result<int> returned = await(consumer->cancel());
    QVERIFY(returned);
    QCOMPARE(*returned, 3);
    QCOMPARE(queueCounts(m_client->channel, queue), QByteArray("3 0"));
}

void tst_AfterDelivery::slotMayEndEverything_data()
{
    QTest::addColumn<QString>("what");
    for (const char *what : {"consumer", "channel", "connection", "cancel", "close"})
        QTest::newRow(what) << QString::fromLatin1(what);
}

// G3, A10
void tst_AfterDelivery::slotMayEndEverything()
{
    QFETCH(const QString, what);
    const QString queue = filledQueue(*m_client, 1);
    auto *connection = new Connection(brokerParameters());
    Channel *channel = connection->createChannel();
    Consumer *consumer = channel->consume(queue, {.ackMode = AckMode::AfterDelivery});
    bool isOver = false;
    connect(consumer, &Consumer::delivered, this, [&] {
        isOver = true;
        if (what == u"consumer")
            delete consumer;
        else if (what == u"channel")
            delete channel;
        else if (what == u"connection")
            delete std::exchange(connection, nullptr);
        else if (what == u"cancel")
            consumer->cancel();
        else
            connection->close();
    });
    connection->open();
    QVERIFY(waitFor([&] { return isOver; }));
    if (connection)
        VERIFY_OK(connection->close());
    delete connection;
    // The slot has returned, so the message is acked if the channel still existed.
    const bool isAcked = what == u"consumer" || what == u"cancel";
    if (what != u"close") // the ack may or may not be in time
        QVERIFY(waitFor([&] { return queueCounts(m_client->channel, queue) == (isAcked ? "0 0" : "1 0"); }));
}

QTEST_GUILESS_MAIN(tst_AfterDelivery)

#include "tst_afterdelivery.moc"
