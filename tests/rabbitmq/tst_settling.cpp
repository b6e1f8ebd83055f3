// SPDX-License-Identifier: MIT
#include "rabbitmq/queues.h"

#include <QtTest/qsignalspy.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

class tst_Settling : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init();
    void cleanup();

    void acksInAnyOrderEmptyTheQueue();
    void tenThousandSingleAcksLeaveNothing();
    void nackRequeuesOrDrops();
    void ackUpToAndNackUpToSettleAllBefore();
    void upToCoversAllConsumersOfTheChannel();
    void settledDeliveryIsStale_data();
    void settledDeliveryIsStale();
    void deliveryOfAnotherChannelIsStale();
    void deliveryOfAClosedConnectionIsStale();
    void settlingWithoutAcksFails();
    void quorumQueueCountsDeliveries();
    void deadLetterHasItsHistory_data();
    void deadLetterHasItsHistory();
    void deadLettersOfARetryLoopAreCounted();

private:
    // Receives all messages of the queue without settling them.
    QList<Message> receive(const QString &queue, int count)
    {
        collect(m_client->channel->consume(queue), &m_messages);
        waitFor([&] { return m_messages.size() == count; });
        return m_messages;
    }
    bool failsAsStale(bool settled) const
    {
        return !settled && m_client->channel->lastCallError().kind() == ErrorKind::StaleDelivery;
    }
    // The broker closes a channel for a wrong settlement when it processes it, which it does before it answers
    // this.
    bool isChannelUnharmed(Channel *channel, const QString &queue) const
    {
        return await(channel->inspectQueue(queue)) && channel->isOpen();
    }

    std::optional<BrokerClient> m_client;
    QList<Message> m_messages; // of receive()
};

void tst_Settling::init()
{
    m_client.emplace();
    QVERIFY(m_client->isOpen());
}

void tst_Settling::cleanup()
{
    m_client.reset();
    m_messages.clear();
}

// G3
void tst_Settling::acksInAnyOrderEmptyTheQueue()
{
    const QString queue = filledQueue(*m_client, 7);
    const QList<Message> messages = receive(queue, 7);
    QCOMPARE(texts(messages), numbers(0, 6));
    for (int i : {3, 0, 6, 5, 1})
        QVERIFY(m_client->channel->ack(messages[i]));
    QCOMPARE(m_client->channel->consumers().first()->unackedCount(), 2);
    QCOMPARE(queueCounts(m_client->channel, queue), QByteArray("0 2"));
    messages[4].ack();
    messages[2].ack();
    QVERIFY(isChannelUnharmed(m_client->channel, queue));
    VERIFY_OK(m_client->channel->close());
    QCOMPARE(m_client->messageCount(queue), 0);
}

// G10
void tst_Settling::tenThousandSingleAcksLeaveNothing()
{
    constexpr int Count = 10'000;
    const QString queue = filledQueue(*m_client, Count);
    const Consumer *consumer = m_client->channel->consume(queue, {.prefetch = 1000});
    int received = 0;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) {
        ++received;
        message.ack();
    });
    QVERIFY2(waitFor([&] { return received == Count; }), qPrintable(QString::number(received)));
    QCOMPARE(consumer->unackedCount(), 0);
    QCOMPARE(queueCounts(m_client->channel, queue), QByteArray("0 0"));
    QCOMPARE(received, Count);
}

// G3
void tst_Settling::nackRequeuesOrDrops()
{
    const QString queue = filledQueue(*m_client, 2);
    const QList<Message> messages = receive(queue, 2);
    QVERIFY(m_client->channel->nack(messages[0], Requeue::No));
    QVERIFY(m_client->channel->nack(messages[1])); // requeues by default
    QVERIFY(waitFor([&] { return m_messages.size() == 3; }));
    QCOMPARE(m_messages[2].text(), u"1"_s);
    QVERIFY(m_messages[2].isRedelivered());
    QVERIFY(m_messages[2].deliveryTag() > messages[1].deliveryTag());
    m_messages[2].nack(Requeue::No);
    QCOMPARE(queueCounts(m_client->channel, queue), QByteArray("0 0"));
    QCOMPARE(m_messages.size(), 3);
}

// G3
void tst_Settling::ackUpToAndNackUpToSettleAllBefore()
{
    const QString queue = filledQueue(*m_client, 12);
    Channel *channel = m_client->channel;
    const QList<Message> messages = receive(queue, 12);
    const Consumer *consumer = channel->consumers().first();
    QVERIFY(channel->ack(messages[1]));
    QVERIFY(channel->ackUpTo(messages[3]));
    QCOMPARE(consumer->unackedCount(), 8);
    QVERIFY(channel->nack(messages[5], Requeue::No));
    QVERIFY(channel->nackUpTo(messages[6], Requeue::No));
    QCOMPARE(consumer->unackedCount(), 5);
    QVERIFY(isChannelUnharmed(channel, queue));
    QCOMPARE(m_messages.size(), 12); // none of these messages was requeued

    QVERIFY(channel->ack(messages[8]));
    QVERIFY(channel->nackUpTo(messages[10], Requeue::Yes)); // 7, 9 and 10
    QVERIFY(waitFor([&] { return m_messages.size() == 15; }));
    QCOMPARE(texts(m_messages.mid(12)), QStringList({u"7"_s, u"9"_s, u"10"_s}));
    QCOMPARE(consumer->unackedCount(), 4);
    QVERIFY(channel->ackUpTo(m_messages.last())); // 11 as well
    QCOMPARE(consumer->unackedCount(), 0);
    QCOMPARE(queueCounts(channel, queue), QByteArray("0 0"));
}

// G3
void tst_Settling::upToCoversAllConsumersOfTheChannel()
{
    const QString first = filledQueue(*m_client, 3);
    const QString second = filledQueue(*m_client, 3);
    receive(first, 3);
    receive(second, 6);
    QVERIFY(m_client->channel->ackUpTo(m_messages.last()));
    for (const Consumer *consumer : m_client->channel->consumers())
        QCOMPARE(consumer->unackedCount(), 0);
    VERIFY_OK(m_client->channel->close());
    QCOMPARE(m_client->messageCount(first), 0);
    QCOMPARE(m_client->messageCount(second), 0);
}

void tst_Settling::settledDeliveryIsStale_data()
{
    QTest::addColumn<bool>("nackFirst");
    QTest::newRow("acked") << false;
    QTest::newRow("nacked") << true;
}

// G3
void tst_Settling::settledDeliveryIsStale()
{
    QFETCH(const bool, nackFirst);
    const QString queue = filledQueue(*m_client, 2);
    Channel *channel = m_client->channel;
    const QList<Message> messages = receive(queue, 2);
    QSignalSpy errors(channel, &Channel::settlementFailed);
    // The later delivery is settled first. RabbitMQ would reject an unknown tag and close the channel.
    for (const Message &message : {messages[1], messages[0]}) {
        QVERIFY(nackFirst ? channel->nack(message, Requeue::No) : channel->ack(message));
        QVERIFY(failsAsStale(channel->ack(message)));
        QVERIFY(failsAsStale(channel->nack(message)));
    }
    QVERIFY(failsAsStale(channel->ackUpTo(messages[1])));
    QVERIFY(failsAsStale(channel->nackUpTo(messages[1])));
    messages[0].ack();
    messages[0].nack();
    QVERIFY(waitFor([&] { return errors.count() == 8; }));
    for (const QList<QVariant> &error : std::as_const(errors))
        QCOMPARE(brief(error.last().value<Error>()), u"StaleDelivery"_s);
    QCOMPARE(queueCounts(channel, queue), QByteArray("0 0"));
    QVERIFY(channel->isOpen());
}

// G3
void tst_Settling::deliveryOfAnotherChannelIsStale()
{
    const QString queue = filledQueue(*m_client, 1);
    const QList<Message> messages = receive(queue, 1);
    Channel *other = m_client->connection.createChannel();
    VERIFY_OK(other->whenOpen());
    // The other channel of this connection, and one with the same number of another connection.
    BrokerClient otherClient;
    QVERIFY(otherClient.isOpen());
    QCOMPARE(otherClient.channel->number(), m_client->channel->number());
    for (Channel *foreign : {other, otherClient.channel}) {
        const QString ownQueue = filledQueue(*m_client, 1);
        const auto own = await(foreign->get(ownQueue)); // a delivery with the same tag, which is not affected
        QVERIFY(own && *own);
        QCOMPARE((*own)->message.deliveryTag(), messages[0].deliveryTag());
        QVERIFY(!foreign->ack(messages[0]));
        QCOMPARE(brief(foreign->lastCallError()), u"StaleDelivery"_s);
        QVERIFY(!foreign->nackUpTo(messages[0]));
        QCOMPARE(brief(foreign->lastCallError()), u"StaleDelivery"_s);
        QVERIFY(foreign->nack((*own)->message));
        QVERIFY(isChannelUnharmed(foreign, ownQueue));
        QCOMPARE(m_client->messageCount(ownQueue), 1);
    }
    messages[0].ack(); // is acknowledged on its own channel
    QCOMPARE(queueCounts(m_client->channel, queue), QByteArray("0 0"));
}

// G3
void tst_Settling::deliveryOfAClosedConnectionIsStale()
{
    const QString queue = filledQueue(*m_client, 1);
    const QList<Message> messages = receive(queue, 1);
    m_client.reset();
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"StaleDelivery: delivery 1 of channel 1"_s));
    messages[0].ack(); // no object exists that could report it
    m_client.emplace();
    QVERIFY(waitFor([&] { return m_client->messageCount(queue) == 1; }));
    QCOMPARE(texts(m_client->drain(queue)), numbers(0, 0));
}

// G3
void tst_Settling::settlingWithoutAcksFails()
{
    const QString queue = filledQueue(*m_client, 1);
    Channel *channel = m_client->channel;
    collect(channel->consume(queue, {.ackMode = AckMode::NoAck}), &m_messages);
    QVERIFY(waitFor([&] { return m_messages.size() == 1; }));
    QSignalSpy errors(channel, &Channel::errorOccurred);
    for (const Message &message : {m_messages[0], Message("never sent")}) {
        QVERIFY(!channel->nack(message));
        QVERIFY(!channel->nackUpTo(message));
        QVERIFY(!channel->ack(message));
        QVERIFY(!channel->ackUpTo(message));
    }
    QVERIFY(waitFor([&] { return errors.count() == 8; }));
    for (const QList<QVariant> &error : std::as_const(errors))
        QCOMPARE(brief(error.first().value<Error>()), u"InvalidArgument"_s);
    QVERIFY(isChannelUnharmed(channel, queue));
}

// G2, G3
void tst_Settling::quorumQueueCountsDeliveries()
{
    const QString queue = filledQueue(*m_client, 1, QueueOptions::quorum().arguments);
    receive(queue, 1);
    for (int attempt = 0; attempt < 3; ++attempt) {
        QVERIFY(waitFor([&] { return m_messages.size() == attempt + 1; }));
        QCOMPARE(m_messages.last().deliveryCount(), attempt);
        QCOMPARE(m_messages.last().header(u"x-delivery-count"_s, 0).toInt(), attempt);
        QCOMPARE(m_messages.last().isRedelivered(), attempt > 0);
        m_messages.last().nack(attempt < 2 ? Requeue::Yes : Requeue::No);
    }
    VERIFY_OK(m_client->channel->deleteQueue(queue));
}

void tst_Settling::deadLetterHasItsHistory_data()
{
    QTest::addColumn<FieldTable>("arguments");
    QTest::addColumn<bool>("rejecting");
    QTest::addColumn<QString>("reason");
    QTest::newRow("rejected") << FieldTable() << true << u"rejected"_s;
    QTest::newRow("expired") << FieldTable({{u"x-message-ttl"_s, 1}}) << false << u"expired"_s;
    QTest::newRow("too many") << FieldTable({{u"x-max-length"_s, 0}}) << false << u"maxlen"_s;
}

// G2, G3
void tst_Settling::deadLetterHasItsHistory()
{
    QFETCH(FieldTable, arguments);
    QFETCH(const bool, rejecting);
    QFETCH(const QString, reason);
    const QString exchange = uniqueName(u"dead"_s);
    m_client->channel->declareExchange(exchange, ExchangeType::Fanout, passingExchange());
    const QString graveyard = filledQueue(*m_client, 0);
    m_client->channel->bindQueue(graveyard, exchange);
    arguments.insert(u"x-dead-letter-exchange"_s, exchange);
    const QString queue = filledQueue(*m_client, 0, arguments);
    Message message("body");
    message.setHeader(u"mine"_s, u"stays"_s);
    m_client->channel->publish({}, queue, message);
    if (rejecting) {
        receive(queue, 1);
        QCOMPARE(m_messages.size(), 1);
        m_messages.first().nack(Requeue::No);
    }

    QList<Message> dead;
    collect(m_client->channel->consume(graveyard), &dead);
    QVERIFY(waitFor([&] { return dead.size() == 1; }));
    QCOMPARE(dead[0].body(), "body");
    QCOMPARE(dead[0].exchange(), exchange);
    QCOMPARE(dead[0].deliveryCount(), 1);
    QCOMPARE(dead[0].header(u"mine"_s).toString(), u"stays"_s);
    QCOMPARE(dead[0].header(u"x-first-death-reason"_s).toString(), reason);
    const QVariantList deaths = dead[0].header(u"x-death"_s).toList();
    QCOMPARE(deaths.size(), 1);
    const QVariantMap death = deaths.first().toMap();
    QCOMPARE(death.value(u"reason"_s).toString(), reason);
    QCOMPARE(death.value(u"queue"_s).toString(), queue);
    QCOMPARE(death.value(u"exchange"_s).toString(), QString());
    QCOMPARE(death.value(u"routing-keys"_s).toList(), QVariantList({queue}));
    QCOMPARE(death.value(u"count"_s).toInt(), 1);
    QCOMPARE(death.value(u"time"_s).typeId(), int(QMetaType::QDateTime));
}

// G2, G3
void tst_Settling::deadLettersOfARetryLoopAreCounted()
{
    const QString queue = uniqueName(u"work"_s);
    const QString waiting = filledQueue(
        *m_client, 0,
        {{u"x-message-ttl"_s, 1}, {u"x-dead-letter-exchange"_s, QString()}, {u"x-dead-letter-routing-key"_s, queue}});
    VERIFY_OK(m_client->channel->declareQueue(
        queue, sharedQueue({{u"x-dead-letter-exchange"_s, QString()}, {u"x-dead-letter-routing-key"_s, waiting}})));
    m_client->channel->publish({}, queue, Message("body"));
    receive(queue, 1);
    for (int attempt = 0; attempt < 4; ++attempt) {
        QVERIFY(waitFor([&] { return m_messages.size() == attempt + 1; }));
        const QVariantList deaths = m_messages.last().header(u"x-death"_s).toList();
        QCOMPARE(deaths.size(), attempt ? 2 : 0); // one entry for each queue that has dead-lettered the message
        for (const QVariant &death : deaths)
            QCOMPARE(death.toMap().value(u"count"_s).toInt(), attempt);
        QCOMPARE(m_messages.last().deliveryCount(), attempt); // expiring in the waiting queue does not count
        if (attempt < 3)
            m_messages.last().nack(Requeue::No);
    }
}

QTEST_GUILESS_MAIN(tst_Settling)

#include "tst_settling.moc"
