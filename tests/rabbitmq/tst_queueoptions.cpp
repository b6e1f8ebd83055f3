// SPDX-License-Identifier: MIT
#include "rabbitmq/queues.h"

#include <QtTest/qsignalspy.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

Q_DECLARE_METATYPE(AmqpQt::QueueOptions)

// Tests the effect of the helpers of QueueOptions, ExchangeOptions and ConsumeOptions on RabbitMQ.
class tst_QueueOptions : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init();
    void cleanup();
    void messagesExpire();
    void unusedQueueExpires();
    void maximumLengthDropsTheOldest();
    void maximumLengthInBytesCountsBodies();
    void fullQueueRejects_data();
    void fullQueueRejects();
    void deadLettersGoToTheirExchange();
    void highestPriorityComesFirst();
    void deliveryLimitEndsARetryLoop();
    void argumentsOfClustersAreAccepted_data();
    void argumentsOfClustersAreAccepted();
    void singleActiveConsumerIsFollowedByTheNext();
    void alternateExchangeReceivesUnroutedMessages();
    void highestPriorityConsumerIsServed();
    void streamIsReadFromItsOffset_data();
    void streamIsReadFromItsOffset();
    void wrongValuesLeaveTheChannelOpen();

private:
    QString declare(const QueueOptions &options);
    void publish(const QString &queue, const QStringList &texts);
    QStringList fetch(const QString &queue);

    std::unique_ptr<BrokerClient> m_client;
    Channel *m_channel = nullptr;
    QStringList m_queues;
};

void tst_QueueOptions::init()
{
    m_client = std::make_unique<BrokerClient>();
    QVERIFY(m_client->isOpen());
    m_channel = m_client->channel;
    VERIFY_OK(m_channel->confirmSelect());
}

void tst_QueueOptions::cleanup()
{
    for (const QString &queue : std::exchange(m_queues, {}))
        await(m_channel->deleteQueue(queue));
    m_client.reset();
}

QString tst_QueueOptions::declare(const QueueOptions &options)
{
    const QString queue = uniqueName(u"q"_s);
    if (const Result<QueueInfo> declared = await(m_channel->declareQueue(queue, options)); !declared)
        qWarning() << declared.error();
    m_queues += queue;
    return queue;
}

// Afterwards the broker has all of these messages or has rejected them.
void tst_QueueOptions::publish(const QString &queue, const QStringList &texts)
{
    for (const QString &text : texts)
        m_channel->publish({}, queue, Message::fromText(text));
    await(m_channel->whenConfirmed());
}

QStringList tst_QueueOptions::fetch(const QString &queue)
{
    return texts(m_client->drain(queue));
}

// E6
void tst_QueueOptions::messagesExpire()
{
    const QString graveyard = declare({});
    const QString short_ = declare(QueueOptions().withMessageTtl(1ms).withDeadLetter({}, graveyard));
    const QString long_ = declare(QueueOptions().withMessageTtl(1h));
    publish(short_, {u"gone"_s});
    publish(long_, {u"there"_s});
    QVERIFY(waitFor([&] { return m_client->messageCount(graveyard) == 1; }));
    QCOMPARE(m_client->messageCount(short_), 0);
    QCOMPARE(fetch(long_), QStringList(u"there"_s));

    // With a time to live of zero a message is delivered only if a consumer is waiting.
    const QString none = declare(QueueOptions().withMessageTtl(0ms));
    QList<Message> messages;
    Consumer *consumer = m_channel->consume(none);
    collect(consumer, &messages);
    VERIFY_OK(consumer->whenStarted());
    publish(none, {u"at once"_s});
    QVERIFY(waitFor([&] { return messages.size() == 1; }));
    VERIFY_OK(consumer->cancel());
}

// E6
void tst_QueueOptions::unusedQueueExpires()
{
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_channel->declareQueue(queue, QueueOptions().withExpiry(100ms)));
    // Checking with a declaration would count as a use of the queue.
    QVERIFY(waitFor([&] {
        const ProcessResult list = brokerControl({u"list_queues"_s, u"--quiet"_s, u"--no-table-headers"_s, u"name"_s});
        return list.exitCode == 0 && !list.output.contains(queue.toUtf8());
    }));
}

// E6
void tst_QueueOptions::maximumLengthDropsTheOldest()
{
    const QString queue = declare(QueueOptions().withMaxLength(2).withOverflow(u"drop-head"_s));
    publish(queue, numbers(0, 4));
    QCOMPARE(fetch(queue), numbers(3, 4));
    const QString same = declare(QueueOptions().withMaxLength(2)); // the default
    publish(same, numbers(0, 4));
    QCOMPARE(fetch(same), numbers(3, 4));
}

// E6
void tst_QueueOptions::maximumLengthInBytesCountsBodies()
{
    const QString queue = declare(QueueOptions().withMaxLengthBytes(10));
    publish(queue, {u"12345"_s, u"abcde"_s, u"ABCDE"_s});
    QCOMPARE(fetch(queue), QStringList({u"abcde"_s, u"ABCDE"_s}));
}

void tst_QueueOptions::fullQueueRejects_data()
{
    QTest::addColumn<QString>("behaviour");
    QTest::addColumn<qint64>("dead");
    QTest::newRow("reject") << u"reject-publish"_s << qint64(0);
    QTest::newRow("reject and dead-letter") << u"reject-publish-dlx"_s << qint64(1);
}

// E6
void tst_QueueOptions::fullQueueRejects()
{
    QFETCH(const QString, behaviour);
    QFETCH(const qint64, dead);
    const QString graveyard = declare({});
    const QString queue =
        declare(QueueOptions().withMaxLength(1).withOverflow(behaviour).withDeadLetter({}, graveyard));
    VERIFY_OK(m_channel->publishWithReply({}, queue, Message("1")));
    VERIFY_FAILS(m_channel->publishWithReply({}, queue, Message("2")), u"Nacked basic.nack"_s);
    QCOMPARE(fetch(queue), QStringList(u"1"_s));
    QVERIFY(waitFor([&] { return m_client->messageCount(graveyard) == dead; }));
}

// E6
void tst_QueueOptions::deadLettersGoToTheirExchange()
{
    const QString exchange = uniqueName(u"dead"_s);
    const QString graveyard = declare({});
    VERIFY_OK(m_channel->declareExchange(exchange, ExchangeType::Direct, passingExchange()));
    const QString keeping = declare(QueueOptions().withDeadLetter(exchange));
    const QString changing = declare(QueueOptions().withDeadLetter(exchange, u"changed"_s));
    m_channel->bindQueue(graveyard, exchange, keeping); // its dead letters keep their original routing key
    VERIFY_OK(m_channel->bindQueue(graveyard, exchange, u"changed"_s));
    QList<Message> dead;
    collect(m_channel->consume(graveyard), &dead);
    for (const QString &queue : {keeping, changing}) {
        publish(queue, {u"bad"_s});
        const auto got = await(m_channel->get(queue));
        QVERIFY(got && *got);
        (*got)->message.nack(Requeue::No);
        QVERIFY(waitFor([&] { return !dead.isEmpty(); }));
        QCOMPARE(dead.takeFirst().routingKey(), queue == keeping ? keeping : u"changed"_s);
    }
}

// E6
void tst_QueueOptions::highestPriorityComesFirst()
{
    const QString queue = declare(QueueOptions().withMaxPriority(5));
    for (const int priority : {1, 5, 3, 5, 9}) { // a priority above the maximum counts as the maximum
        Message message(QByteArray::number(priority));
        message.setPriority(priority);
        m_channel->publish({}, queue, message);
    }
    VERIFY_OK(m_channel->whenConfirmed());
    QCOMPARE(fetch(queue), QStringList({u"5"_s, u"5"_s, u"9"_s, u"3"_s, u"1"_s}));
}

// E6
void tst_QueueOptions::deliveryLimitEndsARetryLoop()
{
    const QString graveyard = declare({});
    const QString queue = declare(QueueOptions::quorum().withDeliveryLimit(2).withDeadLetter({}, graveyard));
    publish(queue, {u"poison"_s});
    int deliveries = 0;
    const Consumer *consumer = m_channel->consume(queue);
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) {
        ++deliveries;
        message.nack();
    });
    QVERIFY(waitFor([&] { return m_client->messageCount(graveyard) == 1; }));
    QCOMPARE(deliveries, 3); // the first delivery and two redeliveries
    const QList<Message> dead = m_client->drain(graveyard);
    QCOMPARE(dead.value(0).header(u"x-first-death-reason"_s).toString(), u"delivery_limit"_s);
    delete consumer;
}

// E6
void tst_QueueOptions::argumentsOfClustersAreAccepted_data()
{
    QTest::addColumn<QueueOptions>("options");
    const QueueOptions quorum = QueueOptions::quorum();
    QTest::newRow("quorum: leader") << quorum.withLeaderLocator(u"balanced"_s);
    QTest::newRow("quorum: replicas") << quorum.withInitialReplicas(1);
    QTest::newRow("quorum: dead letters") << quorum.withDeadLetter(u"amq.fanout"_s).withAtLeastOnceDeadLettering();
    QTest::newRow("quorum: timeout") << quorum.withConsumerTimeout(1min);
    QTest::newRow("quorum: retry") << quorum.withDelayedRetry(u"failed"_s, 1s, 1min);
    QTest::newRow("stream: leader") << QueueOptions::stream().withLeaderLocator(u"client-local"_s);
    QTest::newRow("stream: replicas") << QueueOptions::stream().withInitialReplicas(1);
}

void tst_QueueOptions::argumentsOfClustersAreAccepted()
{
    QFETCH(QueueOptions, options);
    const QString queue = declare(options);
    publish(queue, {u"a"_s});
    QCOMPARE(m_channel->state(), Channel::State::Open);
    VERIFY_OK(m_channel->declareQueue(queue, options));
}

void tst_QueueOptions::singleActiveConsumerIsFollowedByTheNext()
{
    const QString queue = declare(QueueOptions().withSingleActiveConsumer());
    QList<Message> toFirst, toSecond;
    Consumer *first = m_channel->consume(queue);
    Consumer *second = m_channel->consume(queue);
    collect(first, &toFirst);
    collect(second, &toSecond);
    VERIFY_OK(second->whenStarted());
    publish(queue, numbers(0, 3));
    QVERIFY(waitFor([&] { return toFirst.size() == 4; }));
    QCOMPARE(toSecond.size(), 0);
    for (const Message &message : std::as_const(toFirst))
        message.ack();
    VERIFY_OK(first->cancel());
    publish(queue, numbers(4, 5));
    QVERIFY(waitFor([&] { return toSecond.size() == 2; }));
    QCOMPARE(texts(toSecond), numbers(4, 5));
}

// E5
void tst_QueueOptions::alternateExchangeReceivesUnroutedMessages()
{
    const QString exchange = uniqueName(u"e"_s);
    const QString rest = declare({});
    VERIFY_OK(m_channel->declareExchange(rest, ExchangeType::Fanout, passingExchange()));
    VERIFY_OK(m_channel->bindQueue(rest, rest));
    VERIFY_OK(m_channel->declareExchange(exchange, ExchangeType::Direct,
                                         ExchangeOptions{.durable = false}.withAlternate(rest)));
    VERIFY_OK(m_channel->publishWithReply(exchange, u"nobody's"_s, Message("rest")));
    QCOMPARE(fetch(rest), QStringList(u"rest"_s));
    VERIFY_OK(m_channel->deleteExchange(exchange));
}

// G1
void tst_QueueOptions::highestPriorityConsumerIsServed()
{
    const QString queue = declare({});
    QList<Message> toLow, toHigh;
    Consumer *low = m_channel->consume(queue, ConsumeOptions{.prefetch = quint16(5)}.withPriority(-1));
    Consumer *high = m_channel->consume(queue, ConsumeOptions{.prefetch = quint16(2)}.withPriority(1));
    collect(low, &toLow);
    collect(high, &toHigh);
    VERIFY_OK(high->whenStarted());
    publish(queue, numbers(0, 2));
    QVERIFY(waitFor([&] { return toLow.size() + toHigh.size() == 3; }));
    QCOMPARE(texts(toHigh), numbers(0, 1));
    QCOMPARE(texts(toLow), numbers(2, 2));
}

void tst_QueueOptions::streamIsReadFromItsOffset_data()
{
    QTest::addColumn<QVariant>("offset");
    QTest::addColumn<int>("first"); // -1 if no earlier message is delivered
    QTest::newRow("first") << QVariant(u"first"_s) << 0;
    QTest::newRow("number") << QVariant(6) << 6;
    QTest::newRow("large number type") << QVariant(6ull) << 6;
    QTest::newRow("time") << QVariant(QDateTime::currentDateTimeUtc().addSecs(-3600)) << 0;
    QTest::newRow("interval") << QVariant(u"1h"_s) << 0;
    QTest::newRow("next") << QVariant(u"next"_s) << -1;
    QTest::newRow("later time") << QVariant(QDateTime::currentDateTimeUtc().addSecs(3600)) << -1;
}

// G1
void tst_QueueOptions::streamIsReadFromItsOffset()
{
    QFETCH(const QVariant, offset);
    QFETCH(const int, first);
    const QString stream = declare(QueueOptions::stream());
    publish(stream, numbers(0, 9));
    QList<Message> messages;
    Consumer *consumer = m_channel->consume(stream, ConsumeOptions{.prefetch = quint16(100)}.withStreamOffset(offset));
    collect(consumer, &messages);
    VERIFY_OK(consumer->whenStarted());
    publish(stream, {u"new"_s});
    QVERIFY(waitFor([&] { return !messages.isEmpty() && messages.last().text() == u"new"_s; }));
    QCOMPARE(texts(messages), (first < 0 ? QStringList() : numbers(first, 9)) + QStringList(u"new"_s));
    QCOMPARE(messages.first().header(u"x-stream-offset"_s).toLongLong(), first < 0 ? 10 : first);
    VERIFY_OK(consumer->cancel());
}

// E6
void tst_QueueOptions::wrongValuesLeaveTheChannelOpen()
{
    const QString queue = uniqueName(u"q"_s);
    const QueueOptions wrong[] = {QueueOptions().withMessageTtl(-1ms),
                                  QueueOptions().withExpiry(0ms),
                                  QueueOptions().withMaxLength(-1),
                                  QueueOptions().withOverflow(u"spill"_s),
                                  QueueOptions{.arguments = {{u"x-max-priority"_s, 256}}},
                                  QueueOptions{.arguments = {{u"x-max-age"_s, u"soon"_s}}}};
    for (const QueueOptions &options : wrong) {
        const Error error = await(m_channel->declareQueue(queue, options)).error();
        QCOMPARE(error.kind(), ErrorKind::InvalidArgument);
        QVERIFY2(error.text().contains(options.arguments.firstKey()), qPrintable(error.text()));
    }
    Consumer *consumer =
        m_channel->consume(declare({}), ConsumeOptions{.prefetch = quint16(1)}.withStreamOffset(u"now"_s));
    QSignalSpy cancelled(consumer, &Consumer::cancelled);
    VERIFY_FAILS(consumer->whenStarted(), u"InvalidArgument"_s);
    QVERIFY(waitFor([&] { return cancelled.count() == 1; }));
    QVERIFY(m_channel->isOpen());
    QCOMPARE(m_client->messageCount(queue), -1); // the queue was not declared
}

QTEST_GUILESS_MAIN(tst_QueueOptions)

#include "tst_queueoptions.moc"
