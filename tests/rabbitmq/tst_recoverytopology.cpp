// SPDX-License-Identifier: MIT
#include "rabbitmq/recoverytest.h"

#include <AmqpQt/Topology>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// The entities that come back after a lost connection, and those that stay gone.
class tst_RecoveryTopology : public RecoveryTest
{
    Q_OBJECT

private Q_SLOTS:
    void exclusiveEntitiesComeBack();
    void everyWayToDeclareIsRecorded();
    void argumentsAreThoseOfTheCall();
    void deletedQueueStaysGone();
    void autoDeletedQueueStaysGone();
    void cascadeOfAutoDeleteExchangesStaysGone();
    void exchangeDeletedOnAnotherChannelStaysGone();
    void bindingsThatDifferInArgumentsAreTwo();
    void queueNamedByTheBrokerGetsANewName();
    void lossBeforeTheNameIsKnownDeclaresOnce();
    void manyBindingsOfAQueueComeBack();
    void queueThatAnotherConnectionHoldsIsAwaited();
    void exclusiveNameIsFreeAtEachAttempt();
    void differingQueueIsReported();
    void withoutTopologyOnlyConsumersComeBack();

private:
    QString exclusiveQueue(const FieldTable &arguments = {})
    {
        const QString name = uniqueName(u"q"_s);
        m_client->channel->declareQueue(name, {.durable = false, .exclusive = true, .arguments = arguments});
        return name;
    }
    // Whether the broker has the queue, as another connection sees it; an exclusive one is locked.
    bool exists(const QString &queue)
    {
        const std::unique_ptr<Channel> own(m_other->connection.createChannel());
        return await(own->inspectQueue(queue)).error().replyCode() != 404;
    }
    bool exchangeExists(const QString &exchange)
    {
        const std::unique_ptr<Channel> own(m_other->connection.createChannel());
        return bool(await(own->inspectExchange(exchange)));
    }
    // Whether the exchange routes a message with these properties to a queue.
    bool routes(const QString &exchange, const QString &key, const FieldTable &headers = {})
    {
        const std::unique_ptr<Channel> own(m_other->connection.createChannel());
        own->confirmSelect();
        Message message("routed");
        message.setHeaders(headers);
        return bool(await(own->publishWithReply(exchange, key, message)));
    }
};

void tst_RecoveryTopology::exclusiveEntitiesComeBack()
{
    const QString exchange = uniqueName(u"x"_s);
    Channel *const channel = m_client->channel;
    channel->declareExchange(exchange, ExchangeType::Direct, passingExchange());
    const QString queue = exclusiveQueue();
    VERIFY_OK(channel->bindQueue(queue, exchange, u"key"_s));
    for (int outage = 1; outage <= 3; ++outage) {
        QVERIFY(m_client->loseAndRecover());
        QCOMPARE(m_client->failures(), QStringList());
        QVERIFY(exists(queue));
        QVERIFY(routes(exchange, u"key"_s));
        QVERIFY(waitFor([&] { return await(channel->get(queue, AckMode::NoAck))->has_value(); }));
    }
    const RecoveryReport report = m_client->reports.constLast();
    QCOMPARE(report.exchanges, 1);
    QCOMPARE(report.queues, 1);
    QCOMPARE(report.bindings, 1);
    QCOMPARE(m_client->reports.size(), 3);
}

void tst_RecoveryTopology::everyWayToDeclareIsRecorded()
{
    const QString called = exclusiveQueue();
    const QString applied = uniqueName(u"applied"_s);
    Topology topology;
    topology.queue(applied, {.durable = false, .exclusive = true});
    VERIFY_OK(m_client->channel->apply(topology));
    const Result<QueueInfo> named = await(m_client->channel->declareTemporaryQueue());
    QVERIFY(named);
    QVERIFY(m_client->loseAndRecover());
    QCOMPARE(m_client->failures(), QStringList());
    QVERIFY(exists(called));
    QVERIFY(exists(applied));
    QVERIFY(!exists(named->name));
    const QString renamed = m_client->reports.constLast().renamedQueues.value(named->name).toString();
    QVERIFY2(renamed.startsWith("amq.gen-"_L1), qPrintable(renamed));
    QVERIFY(exists(renamed));
}

void tst_RecoveryTopology::argumentsAreThoseOfTheCall()
{
    FieldTable arguments{{u"x-max-length"_s, 1}};
    const QString queue = exclusiveQueue(arguments);
    arguments.insert(u"x-max-length"_s, 100); // too late
    QVERIFY(m_client->loseAndRecover());
    QCOMPARE(m_client->failures(), QStringList());
    for (int i = 0; i < 3; ++i)
        m_client->channel->publish({}, queue, Message(QByteArray::number(i)));
    QVERIFY(waitFor([&] { return await(m_client->channel->inspectQueue(queue))->messageCount == 1; }));
}

void tst_RecoveryTopology::deletedQueueStaysGone()
{
    const QString exchange = uniqueName(u"x"_s);
    const QString queue = exclusiveQueue();
    m_client->channel->declareExchange(exchange, ExchangeType::Direct);
    VERIFY_OK(m_client->channel->bindQueue(queue, exchange));
    VERIFY_OK(m_client->connection.createChannel()->deleteQueue(queue));
    QVERIFY(m_client->loseAndRecover());
    QCOMPARE(m_client->failures(), QStringList());
    QVERIFY(!exists(queue));
    VERIFY_OK(m_client->channel->deleteExchange(exchange));
}

void tst_RecoveryTopology::autoDeletedQueueStaysGone()
{
    const QString queue = uniqueName(u"q"_s);
    m_client->channel->declareQueue(queue, {.durable = false, .exclusive = true, .autoDelete = true});
    m_client->channel->bindQueue(queue, u"amq.direct"_s, queue);
    Consumer *const consumer = m_client->channel->consume(queue);
    VERIFY_OK(consumer->whenStarted());
    VERIFY_OK(consumer->cancel());
    QVERIFY(m_client->loseAndRecover());
    QCOMPARE(m_client->failures(), QStringList());
    QVERIFY(!exists(queue));
}

void tst_RecoveryTopology::cascadeOfAutoDeleteExchangesStaysGone()
{
    const QString first = uniqueName(u"first"_s), second = uniqueName(u"second"_s), queue = uniqueName(u"q"_s);
    Channel *const channel = m_client->channel;
    channel->declareExchange(first, ExchangeType::Fanout, passingExchange());
    channel->declareExchange(second, ExchangeType::Fanout, passingExchange());
    channel->bindExchange(second, first);
    channel->declareQueue(queue, {.durable = false, .exclusive = true, .autoDelete = true});
    channel->bindQueue(queue, second);
    Consumer *const consumer = channel->consume(queue);
    VERIFY_OK(consumer->whenStarted());
    QVERIFY(m_client->loseAndRecover());
    QVERIFY(exchangeExists(first));
    QVERIFY(waitFor([&] { return consumer->state() == Consumer::State::Active; }));
    VERIFY_OK(consumer->cancel());
    QVERIFY(m_client->loseAndRecover());
    QCOMPARE(m_client->failures(), QStringList());
    QVERIFY(!exists(queue));
    QVERIFY(!exchangeExists(second));
    QVERIFY(!exchangeExists(first));
}

void tst_RecoveryTopology::exchangeDeletedOnAnotherChannelStaysGone()
{
    const QString exchange = uniqueName(u"x"_s);
    const QString queue = exclusiveQueue();
    m_client->channel->declareExchange(exchange, ExchangeType::Direct, {.durable = false});
    VERIFY_OK(m_client->channel->bindQueue(queue, exchange));
    VERIFY_OK(m_client->connection.createChannel()->deleteExchange(exchange));
    QVERIFY(m_client->loseAndRecover());
    QCOMPARE(m_client->failures(), QStringList());
    QVERIFY(exists(queue));
    QVERIFY(!exchangeExists(exchange));
}

void tst_RecoveryTopology::bindingsThatDifferInArgumentsAreTwo()
{
    const QString exchange = uniqueName(u"x"_s);
    const FieldTable red{{u"colour"_s, u"red"_s}}, blue{{u"colour"_s, u"blue"_s}};
    const QString queue = exclusiveQueue();
    m_client->channel->declareExchange(exchange, ExchangeType::Headers, passingExchange());
    m_client->channel->bindQueue(queue, exchange, {}, red);
    m_client->channel->bindQueue(queue, exchange, {}, blue);
    VERIFY_OK(m_client->channel->unbindQueue(queue, exchange, {}, red));
    QVERIFY(m_client->loseAndRecover());
    QCOMPARE(m_client->failures(), QStringList());
    QVERIFY(routes(exchange, {}, blue));
    QVERIFY(!routes(exchange, {}, red));
}

void tst_RecoveryTopology::queueNamedByTheBrokerGetsANewName()
{
    const QString key = uniqueName(u"key"_s);
    Channel *const channel = m_client->channel;
    const auto declaring = channel->declareTemporaryQueue();
    channel->bindQueue({}, u"amq.direct"_s, key);
    Consumer *const consumer = channel->consume({});
    QList<Message> messages;
    collect(consumer, &messages);
    VERIFY_OK(consumer->whenStarted());
    QString name = declaring.result()->name;
    QCOMPARE(consumer->queue(), name);
    QList<std::pair<QString, QString>> renamed;
    connect(&m_client->connection, &Connection::queueRenamed, this, [&](const QString &before, const QString &now) {
        renamed.append({before, now});
    });
    for (int outage = 1; outage <= 2; ++outage) {
        QVERIFY(m_client->loseAndRecover());
        QCOMPARE(m_client->failures(), QStringList());
        QVERIFY(waitFor([&] { return consumer->state() == Consumer::State::Active; }));
        QVERIFY(consumer->queue() != name);
        QCOMPARE(renamed, (QList<std::pair<QString, QString>>{{name, consumer->queue()}}));
        QVERIFY(!exists(name));
        QVERIFY(routes(u"amq.direct"_s, key));
        QVERIFY(waitFor([&] { return messages.size() == outage; }));
        name = consumer->queue();
        renamed.clear();
    }
    VERIFY_OK(channel->purgeQueue({})); // the last declared queue is known by its new name
}

void tst_RecoveryTopology::lossBeforeTheNameIsKnownDeclaresOnce()
{
    const auto named = [] { return listed({u"list_queues"_s, u"name"_s}, u"amq.gen-"_s).size(); };
    const qsizetype before = named();
    Channel *const channel = m_client->channel;
    m_client->proxy.strike({.kind = NetworkFault::Kind::BlackHole});
    const auto declaring = channel->declareTemporaryQueue();
    Consumer *const consumer = channel->consume({});
    QVERIFY(m_client->loseAndRecover());
    VERIFY_OK(declaring);
    VERIFY_OK(consumer->whenStarted());
    QCOMPARE(consumer->queue(), declaring.result()->name);
    QCOMPARE(named(), before + 1);
}

void tst_RecoveryTopology::manyBindingsOfAQueueComeBack()
{
    const QString exchange = uniqueName(u"x"_s);
    const QString queue = exclusiveQueue();
    m_client->channel->declareExchange(exchange, ExchangeType::Direct, passingExchange());
    for (int i = 0; i < 20; ++i)
        m_client->channel->bindQueue(queue, exchange, QString::number(i));
    VERIFY_OK(m_client->channel->inspectQueue(queue));
    QVERIFY(m_client->loseAndRecover());
    QCOMPARE(m_client->failures(), QStringList());
    for (int i = 0; i < 20; ++i)
        QVERIFY2(routes(exchange, QString::number(i)), qPrintable(QString::number(i)));
}

void tst_RecoveryTopology::queueThatAnotherConnectionHoldsIsAwaited()
{
    const QString queue = exclusiveQueue();
    Consumer *const consumer = m_client->channel->consume(queue);
    QList<Message> messages;
    collect(consumer, &messages);
    VERIFY_OK(consumer->whenStarted());
    m_client->proxy.pauseAccepting();
    QVERIFY(m_client->lose());
    const auto takesTheQueue = [&] { // as soon as the broker has noticed the loss
        const std::unique_ptr<Channel> own(m_other->connection.createChannel());
        return bool(await(own->declareQueue(queue, {.durable = false, .exclusive = true})));
    };
    QVERIFY(waitFor(takesTheQueue));
    const int accepted = m_client->proxy.acceptedCount();
    m_client->proxy.resumeAccepting();
    QVERIFY(waitFor([&] { return m_client->proxy.acceptedCount() > accepted; }));
    VERIFY_OK(m_other->connection.close()); // gives the queue free
    QVERIFY(waitFor([&] { return !m_client->reports.isEmpty(); }));
    QCOMPARE(m_client->failures(), QStringList());
    QVERIFY(waitFor([&] { return consumer->state() == Consumer::State::Active; }));
    m_client->channel->publish({}, queue, Message("for the owner"));
    QVERIFY(waitFor([&] { return messages.size() == 1; }));
}

void tst_RecoveryTopology::exclusiveNameIsFreeAtEachAttempt()
{
    const QString queue = exclusiveQueue();
    Consumer *const consumer = m_client->channel->consume(queue);
    VERIFY_OK(consumer->whenStarted());
    for (int outage = 1; outage <= 20; ++outage) {
        QVERIFY(m_client->loseAndRecover());
        QCOMPARE(m_client->failures(), QStringList());
        QVERIFY(waitFor([&] { return consumer->state() == Consumer::State::Active; }));
    }
}

void tst_RecoveryTopology::differingQueueIsReported()
{
    const QString queue = uniqueName(u"q"_s), own = exclusiveQueue();
    VERIFY_OK(m_client->channel->declareQueue(queue));
    m_client->proxy.pauseAccepting();
    QVERIFY(m_client->lose());
    m_other->channel->deleteQueue(queue);
    VERIFY_OK(m_other->channel->declareQueue(queue, {.durable = false, .autoDelete = true}));
    m_client->proxy.resumeAccepting();
    QVERIFY(m_client->recover());
    QCOMPARE(m_client->failures().size(), 1);
    QVERIFY2(m_client->failures().constFirst().contains(queue), qPrintable(m_client->failures().constFirst()));
    QCOMPARE(m_client->reports.constLast().failed.constFirst().error.replyCode(), quint16(406));
    QVERIFY(exists(own)); // the others are not affected
    QVERIFY(m_client->channel->isOpen());
    VERIFY_OK(m_other->channel->deleteQueue(queue));
}

void tst_RecoveryTopology::withoutTopologyOnlyConsumersComeBack()
{
    RecoveringClient client(RecoveryPolicy().withTopology(false));
    QVERIFY(client.open());
    const QString durable = uniqueName(u"durable"_s), exclusive = uniqueName(u"exclusive"_s);
    client.channel->declareQueue(durable, sharedQueue());
    client.channel->declareQueue(exclusive, {.durable = false, .exclusive = true});
    Consumer *const consumer = client.channel->consume(durable);
    QList<Message> messages;
    collect(consumer, &messages);
    VERIFY_OK(consumer->whenStarted());
    QVERIFY(client.loseAndRecover());
    QCOMPARE(client.failures(), QStringList());
    QCOMPARE(client.reports.constLast().queues, 0);
    QVERIFY(!exists(exclusive));
    QVERIFY(routes({}, durable));
    QVERIFY(waitFor([&] { return messages.size() == 1; }));
}

QTEST_GUILESS_MAIN(tst_RecoveryTopology)

#include "moc_recoverytest.cpp"
#include "tst_recoverytopology.moc"
