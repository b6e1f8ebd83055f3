// SPDX-License-Identifier: MIT
#include "rabbitmq/brokerclient.h"

#include <AmqpQt/Topology>

#include <algorithm>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Channel::apply(), and whether Connection::topology() is what the broker has.
class tst_RecordedTopology : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init()
    {
        m_client = std::make_unique<BrokerClient>();
        QVERIFY(m_client->isOpen());
    }
    void cleanup() { m_client.reset(); }

    void applyingTwiceCreatesOnce();
    void differingAndLockedEntitiesAreReported();
    void differingQueueMayBeUsed();
    void waitsForAnExchangeOfOthers();
    void appliedBindingsRoute();

    void autoDeleteCascadesAsInTheBroker_data();
    void autoDeleteCascadesAsInTheBroker();
    void autoDeleteExchangeWithoutABindingStays();
    void circleOfAutoDeleteExchangesEndsAsInTheBroker();
    void bindingsThatDifferInArgumentsAreTwo();
    void brokersCancelOfATemporaryQueueRemovesIt();

private:
    bool exists(const QString &exchange)
    {
        const std::unique_ptr<Channel> own(m_client->connection.createChannel());
        return bool(await(own->inspectExchange(exchange)));
    }
    bool queueExists(const QString &queue) { return m_client->messageCount(queue) >= 0; }

    std::unique_ptr<BrokerClient> m_client;
};

void tst_RecordedTopology::applyingTwiceCreatesOnce()
{
    const QString queue = uniqueName(u"q"_s), exchange = uniqueName(u"x"_s);
    Topology topology;
    topology.queue(queue, {.exclusive = true}).exchange(exchange, ExchangeType::Topic, passingExchange());
    topology.bind(queue, exchange, u"#"_s).bindExchange(exchange, u"amq.fanout"_s);
    topology.exchange(u"amq.fanout"_s, ExchangeType::Fanout);
    const auto first = await(m_client->channel->apply(topology));
    QVERIFY2(first, qPrintable(first.error().toString()));
    QVERIFY2(first->isComplete(), qPrintable(first->failures().join(u'\n')));
    QCOMPARE(first->created, QStringList({u"exchange \"%1\""_s.arg(exchange), u"queue \"%1\""_s.arg(queue)}));
    QCOMPARE(first->existed, QStringList{u"exchange \"amq.fanout\""_s});
    QCOMPARE(first->bound.size(), 2);
    const auto second = await(m_client->channel->apply(topology));
    QVERIFY(second);
    QCOMPARE(second->created, QStringList());
    QCOMPARE(second->existed.size(), 3);
    QCOMPARE(second->bound.size(), 2);
    QVERIFY(m_client->channel->isOpen());
}

void tst_RecordedTopology::differingAndLockedEntitiesAreReported()
{
    const QString queue = uniqueName(u"q"_s), exchange = uniqueName(u"x"_s), locked = uniqueName(u"locked"_s);
    BrokerClient other;
    VERIFY_OK(other.channel->declareQueue(locked, {.exclusive = true}));
    VERIFY_OK(m_client->channel->declareQueue(queue, {.exclusive = true}));
    VERIFY_OK(m_client->channel->declareExchange(exchange, ExchangeType::Topic, passingExchange()));
    Topology topology;
    topology.queue(queue, {.exclusive = true, .arguments = {{u"x-max-length"_s, 3}}})
        .exchange(exchange, ExchangeType::Direct, passingExchange())
        .queue(locked, {.exclusive = true})
        .bind(queue, u"amq.topic"_s, u"k"_s)
        .bind(locked, u"amq.topic"_s, u"k"_s)
        .bindExchange(u"amq.fanout"_s, u"no such exchange"_s);
    const auto report = await(m_client->channel->apply(topology));
    QVERIFY2(report, qPrintable(report.error().toString()));
    QCOMPARE(report->differs.size(), 2);
    for (const EntityFailure &failure : report->differs)
        QCOMPARE(failure.error.replyCode(), quint16(406));
    QCOMPARE(report->failed.size(), 4);
    QCOMPARE(report->failed.at(0).entity, u"queue \"%1\""_s.arg(locked));
    QCOMPARE(report->failed.at(0).error.replyCode(), quint16(405));
    QList<int> replyCodes; // of the queue and its binding, the binding of the other queue, and the other binding
    for (const EntityFailure &failure : report->failed)
        replyCodes += failure.error.replyCode();
    std::sort(replyCodes.begin(), replyCodes.end());
    QCOMPARE(replyCodes, QList<int>({404, 405, 405, 406}));
    QVERIFY(report->bound.isEmpty());
    QVERIFY(m_client->channel->isOpen());
}

void tst_RecordedTopology::differingQueueMayBeUsed()
{
    const QString queue = uniqueName(u"q"_s);
    ConnectionParameters parameters = brokerParameters();
    parameters.setRecoveryPolicy(RecoveryPolicy().withMismatch(RecoveryPolicy::Mismatch::UseExisting));
    BrokerClient client(parameters);
    VERIFY_OK(client.channel->declareQueue(queue, {.exclusive = true}));
    Topology topology;
    topology.queue(queue, {.exclusive = true, .autoDelete = true}).bind(queue, u"amq.direct"_s, queue);
    const auto report = await(client.channel->apply(topology));
    QVERIFY(report);
    QCOMPARE(report->differs.size(), 1);
    QCOMPARE(report->bound.size(), 1);
    client.channel->publish(u"amq.direct"_s, queue, Message("1"));
    QVERIFY(waitFor([&] { return client.messageCount(queue) == 1; }));
}

void tst_RecordedTopology::waitsForAnExchangeOfOthers()
{
    const QString queue = uniqueName(u"q"_s), exchange = uniqueName(u"x"_s);
    ConnectionParameters parameters = brokerParameters();
    parameters.setRecoveryPolicy(RecoveryPolicy().withMissing(RecoveryPolicy::Missing::Wait).withDelays(200ms, 200ms));
    BrokerClient client(parameters);
    const auto reply = client.channel->apply(Topology().queue(queue, {.exclusive = true}).bind(queue, exchange));
    QVERIFY(waitFor([&] { return m_client->messageCount(queue) == -1 && client.messageCount(queue) == 0; }));
    QVERIFY(!reply.isFinished());
    VERIFY_OK(m_client->channel->declareExchange(exchange, ExchangeType::Fanout, passingExchange()));
    VERIFY_OK(reply);
    QVERIFY(reply.result()->isComplete());
    m_client->channel->publish(exchange, {}, Message("1"));
    QVERIFY(waitFor([&] { return client.messageCount(queue) == 1; }));
}

void tst_RecordedTopology::appliedBindingsRoute()
{
    const QString queue = uniqueName(u"q"_s), exchange = uniqueName(u"x"_s);
    Topology topology;
    topology.queue(queue, {.exclusive = true})
        .exchange(exchange, ExchangeType::Headers, passingExchange())
        .bind(queue, exchange, {}, {{u"x-match"_s, u"all"_s}, {u"region"_s, u"eu"_s}});
    const auto report = await(m_client->channel->apply(topology));
    QVERIFY(report && report->isComplete());
    for (const QString &region : {u"us"_s, u"eu"_s}) {
        Message message(region.toUtf8());
        message.setHeaders({{u"region"_s, region}});
        m_client->channel->publish(exchange, {}, message);
    }
    QVERIFY(waitFor([&] { return m_client->messageCount(queue) == 1; }));
    QCOMPARE(texts(m_client->drain(queue)), QStringList{u"eu"_s});
}

void tst_RecordedTopology::autoDeleteCascadesAsInTheBroker_data()
{
    QTest::addColumn<QString>("cause");
    for (const char *cause : {"consumer cancelled", "channel of the consumer closed", "queue deleted", "unbound"})
        QTest::newRow(cause) << QString::fromLatin1(cause);
}

// exchange -> exchange -> exchange -> queue -> consumer
void tst_RecordedTopology::autoDeleteCascadesAsInTheBroker()
{
    QFETCH(const QString, cause);
    QStringList exchanges;
    Topology topology;
    for (int i = 0; i < 3; ++i) {
        exchanges += uniqueName(u"x%1"_s.arg(i));
        topology.exchange(exchanges.last(), ExchangeType::Fanout, {.durable = false, .autoDelete = true});
        if (i > 0)
            topology.bindExchange(exchanges.at(i), exchanges.at(i - 1));
    }
    const QString queue = uniqueName(u"q"_s);
    topology.queue(queue, QueueOptions::temporary()).bind(queue, exchanges.last());
    const auto report = await(m_client->channel->apply(topology));
    QVERIFY(report && report->isComplete());
    Channel *consuming = m_client->connection.createChannel();
    Consumer *consumer = consuming->consume(queue);
    VERIFY_OK(consumer->whenStarted());
    QCOMPARE(m_client->connection.topology().entities(), topology.entities());
    for (const QString &exchange : std::as_const(exchanges))
        QVERIFY(exists(exchange));

    if (cause == u"consumer cancelled"_s)
        VERIFY_OK(consumer->cancel());
    else if (cause == u"channel of the consumer closed"_s)
        VERIFY_OK(consuming->close());
    else if (cause == u"queue deleted"_s)
        VERIFY_OK(m_client->channel->deleteQueue(queue));
    else
        VERIFY_OK(m_client->channel->unbindQueue(queue, exchanges.last()));

    const bool keepsQueue = cause == u"unbound"_s;
    QCOMPARE(m_client->connection.topology().entities(),
             keepsQueue ? QStringList{u"queue \"%1\""_s.arg(queue)} : QStringList());
    QVERIFY(waitFor([&] { return queueExists(queue) == keepsQueue; }));
    for (const QString &exchange : std::as_const(exchanges))
        QVERIFY(waitFor([&] { return !exists(exchange); }));
}

void tst_RecordedTopology::autoDeleteExchangeWithoutABindingStays()
{
    const QString exchange = uniqueName(u"x"_s);
    VERIFY_OK(m_client->channel->declareExchange(exchange, ExchangeType::Fanout, passingExchange()));
    VERIFY_OK(m_client->channel->bindExchange(exchange, u"amq.fanout"_s)); // as the destination
    VERIFY_OK(m_client->channel->unbindExchange(exchange, u"amq.fanout"_s));
    QVERIFY(m_client->connection.topology().containsExchange(exchange));
    QVERIFY(exists(exchange));
    VERIFY_OK(m_client->channel->deleteExchange(exchange));
    QVERIFY(m_client->connection.topology().isEmpty());
}

void tst_RecordedTopology::circleOfAutoDeleteExchangesEndsAsInTheBroker()
{
    const QString a = uniqueName(u"a"_s), b = uniqueName(u"b"_s);
    for (const QString &exchange : {a, b})
        VERIFY_OK(m_client->channel->declareExchange(exchange, ExchangeType::Fanout, passingExchange()));
    VERIFY_OK(m_client->channel->bindExchange(a, b));
    VERIFY_OK(m_client->channel->bindExchange(b, a));
    VERIFY_OK(m_client->channel->deleteExchange(a));
    QVERIFY(m_client->connection.topology().isEmpty());
    QVERIFY(waitFor([&] { return !exists(b); }));
}

void tst_RecordedTopology::bindingsThatDifferInArgumentsAreTwo()
{
    const QString queue = uniqueName(u"q"_s), exchange = uniqueName(u"x"_s);
    Channel *channel = m_client->channel;
    const FieldTable whole{{u"n"_s, 1}}, longer{{u"n"_s, qint64(1)}};
    VERIFY_OK(channel->declareQueue(queue, {.exclusive = true}));
    VERIFY_OK(channel->declareExchange(exchange, ExchangeType::Headers, passingExchange()));
    VERIFY_OK(channel->bindQueue(queue, exchange, {}, whole));
    VERIFY_OK(channel->bindQueue(queue, exchange, {}, longer));
    VERIFY_OK(channel->unbindQueue(queue, exchange, {}, whole));
    QVERIFY(m_client->connection.topology().containsExchange(exchange));
    QVERIFY(exists(exchange)); // for the broker, too, one binding is left
    VERIFY_OK(channel->unbindQueue(queue, exchange, {}, longer));
    QVERIFY(!m_client->connection.topology().containsExchange(exchange));
    QVERIFY(waitFor([&] { return !exists(exchange); }));
}

void tst_RecordedTopology::brokersCancelOfATemporaryQueueRemovesIt()
{
    // Another connection cannot delete an exclusive queue, but another channel can.
    const Result<QueueInfo> queue = await(m_client->channel->declareTemporaryQueue());
    QVERIFY(queue);
    Consumer *consumer = m_client->channel->consume(queue->name);
    VERIFY_OK(consumer->whenStarted());
    QVERIFY(m_client->connection.topology().containsQueue(queue->name));
    bool isCancelled = false;
    connect(consumer, &Consumer::cancelled, this, [&] { isCancelled = true; });
    VERIFY_OK(m_client->connection.createChannel()->deleteQueue(queue->name));
    QVERIFY(waitFor([&] { return isCancelled; }));
    QVERIFY(m_client->connection.topology().isEmpty());
}

QTEST_GUILESS_MAIN(tst_RecordedTopology)

#include "tst_recordedtopology.moc"
