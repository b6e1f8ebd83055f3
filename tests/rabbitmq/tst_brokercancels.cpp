// SPDX-License-Identifier: MIT
#include "rabbitmq/queues.h"

#include <QtTest/qsignalspy.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// The broker cancels a consumer that holds a message. Every version of RabbitMQ does so when the queue is deleted.
// From 4.3 on it also does so when the message is held for too long, and keeps the consumer's tag in use until the
// client has answered.
class tst_BrokerCancels : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void theChannelAndTheTagStayUsable_data();
    void theChannelAndTheTagStayUsable();
    void cancellingAConsumerCancelledByTheBrokerIsNoFault();
};

namespace
{

// A queue whose consumer the broker cancels while it holds a message.
class LeavingQueue
{
public:
    explicit LeavingQueue(BrokerClient &client)
        : m_client(client)
        , m_timesOut(client.brokerVersion() >= QVersionNumber(4, 3))
        , name(uniqueName(u"leaving"_s))
    {
        declare();
    }

    ConsumeOptions consumerOptions(const QString &tag) const
    {
        ConsumeOptions options{.consumerTag = tag};
        if (m_timesOut)
            options.arguments = {{u"x-consumer-timeout"_s, 1000}};
        return options;
    }
    // Afterwards `message` is ready in the queue.
    void cancelConsumers(const Message &message)
    {
        if (m_timesOut)
            return; // the broker does so by itself, and the held message is ready
        const std::unique_ptr<Channel> own(m_client.connection.createChannel());
        own->deleteQueue(name);
        await(own->close());
        declare();
        m_client.channel->publish({}, name, message);
    }

private:
    void declare()
    {
        m_client.channel->declareQueue(name, m_timesOut ? QueueOptions::quorum().withExpiry(120s) : sharedQueue());
    }

    BrokerClient &m_client;
    const bool m_timesOut;

public:
    const QString name;
};

} // namespace

void tst_BrokerCancels::theChannelAndTheTagStayUsable_data()
{
    QTest::addColumn<bool>("resubscribe");
    QTest::addColumn<bool>("acksLate");
    QTest::newRow("subscribed again, acknowledged late") << true << true;
    QTest::newRow("subscribed again, never acknowledged") << true << false;
    QTest::newRow("ended, acknowledged late") << false << true;
    QTest::newRow("ended, never acknowledged") << false << false;
}

// C13, C15
void tst_BrokerCancels::theChannelAndTheTagStayUsable()
{
    QFETCH(const bool, resubscribe);
    QFETCH(const bool, acksLate);
    BrokerClient client;
    QVERIFY(client.isOpen());
    LeavingQueue queue(client);
    ConsumeOptions options = queue.consumerOptions(u"tag"_s);
    options.resubscribe = resubscribe;
    Consumer *consumer = client.channel->consume(queue.name, options);
    QSignalSpy starts(consumer, &Consumer::started);
    QSignalSpy cancels(consumer, &Consumer::cancelled);
    Message held;
    int count = 0;
    const auto take = [&](const Message &message) {
        if (++count == 1)
            held = message; // for too long
        else
            message.ack();
    };
    connect(consumer, &Consumer::delivered, this, take);
    client.channel->publish({}, queue.name, Message("one"));
    QVERIFY(waitFor([&] { return count == 1; }));

    queue.cancelConsumers(Message("one"));
    QVERIFY(waitFor([&] { return (resubscribe ? starts.count() == 2 : cancels.count() == 1) || !client.isOpen(); }));
    QVERIFY2(client.isOpen(), qPrintable(client.connection.error().toString() + client.channel->error().toString()));
    if (acksLate)
        held.ack();
    if (!resubscribe) {
        QCOMPARE(consumer->state(), Consumer::State::Cancelled);
        VERIFY_OK(client.channel->inspectQueue(queue.name)); // the acknowledgement has been processed
        // The broker sends nothing to the ended consumer, not even messages that are requeued at once.
        for (int i = 0; i < 10; ++i)
            client.channel->publish({}, queue.name, Message("more"));
        QVERIFY(waitFor([&] { return client.messageCount(queue.name) >= 10; }));
        const quint64 before = client.connection.statistics().bytesIn;
        for (int i = 0; i < 20; ++i)
            QVERIFY(client.messageCount(queue.name) >= 10);
        QVERIFY(client.connection.statistics().bytesIn - before < 20 * 500); // only the answers
        Consumer *again = client.channel->consume(queue.name, options);
        connect(again, &Consumer::delivered, this, take);
        VERIFY_OK(again->whenStarted());
    } else {
        QVERIFY(waitFor([&] { return count >= 2 || acksLate; }));
        client.channel->publish({}, queue.name, Message("another"));
    }
    QVERIFY(waitFor([&] { return (count >= 2 && client.messageCount(queue.name) == 0) || !client.isOpen(); }));
    QVERIFY2(client.isOpen(), qPrintable(client.connection.error().toString() + client.channel->error().toString()));
    if (!acksLate)
        held.ack(); // the broker still accepts this
    QVERIFY(waitFor([&] { return queueCounts(client.channel, queue.name) == "0 0"; }));
    QVERIFY(count < 20);
    QVERIFY(client.isOpen());
    QVERIFY(!client.channel->error().isError());
}

// C13
void tst_BrokerCancels::cancellingAConsumerCancelledByTheBrokerIsNoFault()
{
    constexpr int Consumers = 40; // more than the channel remembers
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = filledQueue(client, Consumers);
    int delivered = 0;
    QList<Consumer *> consumers;
    for (int i = 0; i < Consumers; ++i) {
        consumers += client.channel->consume(queue, {.prefetch = 1});
        connect(consumers.last(), &Consumer::delivered, this, [&] { ++delivered; });
    }
    QVERIFY(waitFor([&] { return delivered == Consumers; }));
    client.channel->deleteQueue(queue);
    QList<Reply<int>> cancels;
    for (Consumer *consumer : std::as_const(consumers))
        cancels += consumer->cancel();
    for (const Reply<int> &cancel : std::as_const(cancels))
        VERIFY_OK(cancel);
    QVERIFY(client.isOpen());
    const QString other = filledQueue(client, 1);
    VERIFY_OK(client.channel->consume(other)->whenStarted());
    QVERIFY(waitFor([&] { return client.messageCount(other) == 0; }));
    QVERIFY(client.isOpen());
}

QTEST_GUILESS_MAIN(tst_BrokerCancels)
#include "tst_brokercancels.moc"
