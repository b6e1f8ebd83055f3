// SPDX-License-Identifier: MIT
#include "rabbitmq/brokerclient.h"

#include <QtTest/qsignalspy.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

class tst_Topology : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init()
    {
        m_client = std::make_unique<BrokerClient>();
        QVERIFY(m_client->isOpen());
    }
    void cleanup() { m_client.reset(); }

    void declareReturnsNameAndCounts();
    void passiveDeclareLooksOnly();
    void deleteReturnsTheNumberOfDeletedMessages();
    void deleteIfUnusedAndIfEmptySpareTheQueue();
    void purgeReturnsTheNumberOfDeletedMessages();
    void brokerNamesTheQueue();
    void emptyNameIsTheLastQueueOfTheChannel();
    void queueArgumentsAreKept();
    void temporaryQueueIsDeletedWithItsConnection();
    void namesMayTakeAll255Bytes();

    void defaultExchangeRoutesByQueueName();
    void directExchangeRoutesByKey();
    void fanoutExchangeRoutesToAll();
    void topicExchangeRoutesByPattern();
    void headersExchangeRoutesByArguments();
    void unbindUsesTheSameArguments();
    void predeclaredExchangesAreThere_data();
    void predeclaredExchangesAreThere();
    void exchangesMayBeBoundToEachOther();
    void alternateExchangeReceivesUnroutableMessages();
    void publishToAnInternalExchangeClosesTheChannel();
    void deleteExchangeIfUnused();

    void wrongDeclarationClosesTheChannelOnly_data();
    void wrongDeclarationClosesTheChannelOnly();
    void exclusiveQueueOfAnotherConnectionIsLocked();

private:
    // Takes the bodies from a queue. Uses the channel that publishes, since only there the call is sure to
    // follow the publishes.
    QStringList bodies(const QString &queue)
    {
        QStringList bodies;
        while (const auto got = await(m_client->channel->get(queue, AckMode::NoAck))) {
            if (!*got)
                break;
            bodies += (*got)->message.text();
        }
        return bodies;
    }

    std::unique_ptr<BrokerClient> m_client;
};

// E1
void tst_Topology::declareReturnsNameAndCounts()
{
    const QString name = uniqueName(u"q"_s);
    Channel *channel = m_client->channel;
    QList<QueueInfo> reported;
    connect(channel, &Channel::queueDeclared, this, [&](const QueueInfo &queue) { reported += queue; });
    const Result<QueueInfo> made = await(channel->declareQueue(name, {.exclusive = true}));
    QVERIFY(made);
    QCOMPARE(made->name, name);
    QCOMPARE(made->messageCount, 0U);
    QCOMPARE(made->consumerCount, 0U);

    VERIFY_OK(channel->consume(name, {.prefetch = quint16(1)})->whenStarted());
    for (int i = 0; i < 3; ++i)
        channel->publish({}, name, Message("m"));
    QVERIFY(waitFor([&] { return m_client->messageCount(name) == 2; }));
    const Result<QueueInfo> again = await(channel->declareQueue(name, {.exclusive = true}));
    QVERIFY(again);
    QCOMPARE(again->messageCount, 2U);
    QCOMPARE(again->consumerCount, 1U);
    QCOMPARE(reported.size(), 2); // the signal also reports the result
    QCOMPARE(reported.last().name, name);
    QCOMPARE(reported.last().messageCount, 2U);
}

// E1
void tst_Topology::passiveDeclareLooksOnly()
{
    const QString name = uniqueName(u"q"_s);
    Channel *channel = m_client->channel;
    VERIFY_FAILS(channel->inspectQueue(name), u"ChannelClosed 404 queue.declare"_s);
    VERIFY_OK(channel->reopen());
    VERIFY_OK(
        channel->declareQueue(name, {.durable = false, .exclusive = true, .arguments = {{u"x-max-length"_s, 5}}}));
    const Result<QueueInfo> info = await(channel->inspectQueue(name)); // a passive declaration needs no options
    QVERIFY(info);
    QCOMPARE(info->name, name);

    VERIFY_OK(channel->inspectExchange(u"amq.topic"_s));
    VERIFY_FAILS(channel->inspectExchange(name), u"ChannelClosed 404 exchange.declare"_s);
}

// E1
void tst_Topology::deleteReturnsTheNumberOfDeletedMessages()
{
    const QString name = uniqueName(u"q"_s);
    Channel *channel = m_client->channel;
    QSignalSpy deletedSignal(channel, &Channel::queueDeleted);
    channel->declareQueue(name, {.exclusive = true});
    for (int i = 0; i < 7; ++i)
        channel->publish({}, name, Message("m"));
    const Result<quint32> deleted = await(channel->deleteQueue(name));
    QVERIFY(deleted);
    QCOMPARE(*deleted, 7U);
    QCOMPARE(deletedSignal.count(), 1);
    QCOMPARE(deletedSignal.first().at(0).toString(), name);
    QCOMPARE(deletedSignal.first().at(1).toUInt(), 7U);
    QCOMPARE(m_client->messageCount(name), -1);
    QCOMPARE(*await(channel->deleteQueue(name)), 0U); // RabbitMQ does not treat this as an error
}

// E1
void tst_Topology::deleteIfUnusedAndIfEmptySpareTheQueue()
{
    const QString name = uniqueName(u"q"_s);
    Channel *channel = m_client->channel;
    channel->declareQueue(name, {.exclusive = true});
    channel->publish({}, name, Message("m"));
    VERIFY_FAILS(channel->deleteQueue(name, Channel::DeleteFlag::IfEmpty), u"ChannelClosed 406 queue.delete"_s);
    VERIFY_OK(channel->reopen());
    QCOMPARE(*await(channel->purgeQueue(name)), 1U);
    Consumer *consumer = channel->consume(name);
    VERIFY_OK(consumer->whenStarted());
    VERIFY_FAILS(channel->deleteQueue(name, Channel::DeleteFlag::IfUnused), u"ChannelClosed 406 queue.delete"_s);
    VERIFY_OK(channel->reopen());
    VERIFY_OK(consumer->cancel());
    VERIFY_OK(channel->deleteQueue(name, Channel::DeleteFlag::IfEmpty | Channel::DeleteFlag::IfUnused));
    QCOMPARE(m_client->messageCount(name), -1);
}

// E1
void tst_Topology::purgeReturnsTheNumberOfDeletedMessages()
{
    const QString name = uniqueName(u"q"_s);
    m_client->channel->declareQueue(name, {.exclusive = true});
    for (int i = 0; i < 300; ++i)
        m_client->channel->publish({}, name, Message("m"));
    const Result<quint32> purged = await(m_client->channel->purgeQueue(name));
    QVERIFY(purged);
    QCOMPARE(*purged, 300U);
    QCOMPARE(m_client->messageCount(name), 0);
    QCOMPARE(*await(m_client->channel->purgeQueue(name)), 0U);
}

// E2
void tst_Topology::brokerNamesTheQueue()
{
    Channel *channel = m_client->channel;
    const Result<QueueInfo> first = await(channel->declareTemporaryQueue());
    const Result<QueueInfo> second = await(channel->declareTemporaryQueue());
    QVERIFY(first && second);
    QVERIFY2(first->name.startsWith(u"amq.gen"_s), qPrintable(first->name));
    QVERIFY(first->name != second->name);
    QCOMPARE(first->messageCount, 0U);
    QCOMPARE(m_client->messageCount(first->name), 0);

    const Result<QueueInfo> withOptions = await(channel->declareQueue(QString(), {.exclusive = true}));
    QVERIFY(withOptions);
    QVERIFY(withOptions->name.startsWith(u"amq.gen"_s));
}

// E2
void tst_Topology::emptyNameIsTheLastQueueOfTheChannel()
{
    Channel *channel = m_client->channel;
    // All calls are made before the broker has sent the name.
    const Reply<QueueInfo> declaring = channel->declareTemporaryQueue();
    channel->bindQueue({}, u"amq.direct"_s, u"a key of its own"_s);
    channel->bindQueue({}, u"amq.topic"_s, uniqueName(u"topic"_s));
    channel->publish(u"amq.direct"_s, u"a key of its own"_s, Message("1"));
    const Reply<std::optional<GetResult>> getting = channel->get({});
    channel->publish(u"amq.direct"_s, u"a key of its own"_s, Message("2"));
    QList<Message> messages;
    Consumer *consumer = channel->consume({});
    collect(consumer, &messages);
    VERIFY_OK(declaring);
    const QString name = declaring.result()->name;
    const auto got = await(getting);
    QVERIFY(got && *got);
    QCOMPARE((*got)->message.text(), u"1"_s);
    QVERIFY(waitFor([&] { return messages.size() == 1; }));
    QCOMPARE(messages.first().text(), u"2"_s);
    QCOMPARE(consumer->queue(), name);

    // If both are empty, the routing key is the name of the queue, as specified.
    VERIFY_OK(channel->bindQueue({}, u"amq.direct"_s));
    channel->publish(u"amq.direct"_s, name, Message("3"));
    QVERIFY(waitFor([&] { return messages.size() == 2; }));
    QCOMPARE(messages.last().routingKey(), name);

    // Another channel does not know the queue.
    Channel *other = m_client->connection.createChannel();
    VERIFY_OK(other->whenOpen());
    const Error error = await(other->get({})).error();
    QCOMPARE(brief(error), u"InvalidArgument"_s);
    QVERIFY2(error.text().contains(u"queue"_s), qPrintable(error.text()));
}

// E6
void tst_Topology::queueArgumentsAreKept()
{
    const QString name = uniqueName(u"q"_s);
    Channel *channel = m_client->channel;
    VERIFY_OK(channel->declareQueue(
        name, {.exclusive = true, .arguments = {{u"x-max-length"_s, 3}, {u"x-overflow"_s, u"drop-head"_s}}}));
    for (int i = 0; i < 5; ++i)
        channel->publish({}, name, Message(QByteArray::number(i)));
    QCOMPARE(bodies(name), QStringList({u"2"_s, u"3"_s, u"4"_s}));

    const QString sorting = uniqueName(u"priorities"_s);
    VERIFY_OK(channel->declareQueue(sorting, {.exclusive = true, .arguments = {{u"x-max-priority"_s, quint8(4)}}}));
    for (const int priority : {1, 4, 2, 4, 1}) {
        Message message(QByteArray::number(priority));
        message.setPriority(priority);
        channel->publish({}, sorting, message);
    }
    QCOMPARE(bodies(sorting), QStringList({u"4"_s, u"4"_s, u"2"_s, u"1"_s, u"1"_s}));

    const QString shortLived = uniqueName(u"ttl"_s);
    VERIFY_OK(channel->declareQueue(shortLived, {.exclusive = true, .arguments = {{u"x-message-ttl"_s, 1}}}));
    channel->publish({}, shortLived, Message("gone soon"));
    Message expiring("gone soon");
    expiring.setExpiration(1ms);
    channel->publish({}, name, expiring);
    QTest::qWait(50);
    QCOMPARE(bodies(shortLived), QStringList());
    QCOMPARE(bodies(name), QStringList());
}

// E2
void tst_Topology::temporaryQueueIsDeletedWithItsConnection()
{
    BrokerClient other;
    QVERIFY(other.isOpen());
    const Result<QueueInfo> queue = await(other.channel->declareTemporaryQueue());
    QVERIFY(queue);
    VERIFY_OK(other.connection.close());
    QVERIFY(waitFor([&] { return m_client->messageCount(queue->name) == -1; }));
}

// E1
void tst_Topology::namesMayTakeAll255Bytes()
{
    const auto name255 = [](const QString &start, QChar letter) {
        QString name = start;
        while (name.toUtf8().size() + QString(letter).toUtf8().size() <= 255)
            name += letter;
        while (name.toUtf8().size() < 255)
            name += u'.';
        return name;
    };
    const QString queue = name255(uniqueName(u"очередь"_s), u'Ж');
    const QString exchange = name255(uniqueName(u"交換"_s), u'換');
    const QString key = name255(u"مفتاح"_s, u'ح');
    const QString tag = name255(u"צרכן"_s, u'ן');
    for (const QString &name : {queue, exchange, key, tag})
        QCOMPARE(name.toUtf8().size(), 255);

    Channel *channel = m_client->channel;
    VERIFY_OK(channel->declareExchange(exchange, ExchangeType::Direct, passingExchange()));
    const Result<QueueInfo> declared = await(channel->declareQueue(queue, {.exclusive = true}));
    QVERIFY(declared);
    QCOMPARE(declared->name, queue);
    VERIFY_OK(channel->bindQueue(queue, exchange, key));
    QList<Message> messages;
    Consumer *consumer = channel->consume(queue, {.consumerTag = tag});
    collect(consumer, &messages);
    channel->publish(exchange, key, Message("1"));
    QVERIFY(waitFor([&] { return messages.size() == 1; }));
    QCOMPARE(messages.first().exchange(), exchange);
    QCOMPARE(messages.first().routingKey(), key);
    QCOMPARE(messages.first().consumerTag(), tag);
    QCOMPARE(*await(consumer->cancel()), 0);
    VERIFY_OK(channel->unbindQueue(queue, exchange, key));
    VERIFY_OK(channel->deleteQueue(queue));
}

// E5
void tst_Topology::defaultExchangeRoutesByQueueName()
{
    const QString name = uniqueName(u"q"_s);
    Channel *channel = m_client->channel;
    VERIFY_OK(channel->declareQueue(name, {.exclusive = true}));
    channel->publish({}, name + u'x', Message("nobody's"));
    channel->publish({}, name, Message("mine"));
    QCOMPARE(bodies(name), QStringList(u"mine"_s));
    VERIFY_FAILS(channel->bindQueue(name, {}, u"key"_s), u"InvalidArgument"_s); // it has no other bindings
}

// E5
void tst_Topology::directExchangeRoutesByKey()
{
    const QString exchange = uniqueName(u"direct"_s);
    const QString red = uniqueName(u"red"_s);
    const QString any = uniqueName(u"any"_s);
    Channel *channel = m_client->channel;
    QSignalSpy declared(channel, &Channel::exchangeDeclared);
    VERIFY_OK(channel->declareExchange(exchange, ExchangeType::Direct, passingExchange()));
    QCOMPARE(declared.count(), 1);
    QCOMPARE(declared.first().first().toString(), exchange);
    channel->declareQueue(red, {.exclusive = true});
    channel->declareQueue(any, {.exclusive = true});
    channel->bindQueue(red, exchange, u"red"_s);
    channel->bindQueue(any, exchange, u"red"_s);
    channel->bindQueue(any, exchange, u"blue"_s);
    VERIFY_OK(channel->bindQueue(any, exchange)); // the empty key is a routing key, too
    for (const QString &key : {u"red"_s, u"blue"_s, u"green"_s, QString()})
        channel->publish(exchange, key, Message::fromText(u'<' + key + u'>'));
    QCOMPARE(bodies(red), QStringList(u"<red>"_s));
    QCOMPARE(bodies(any), QStringList({u"<red>"_s, u"<blue>"_s, u"<>"_s}));
}

// E5
void tst_Topology::fanoutExchangeRoutesToAll()
{
    const QString exchange = uniqueName(u"fanout"_s);
    const QStringList queues = {uniqueName(u"q1"_s), uniqueName(u"q2"_s), uniqueName(u"q3"_s)};
    Channel *channel = m_client->channel;
    channel->declareExchange(exchange, ExchangeType::Fanout, passingExchange());
    for (const QString &queue : queues) {
        channel->declareQueue(queue, {.exclusive = true});
        channel->bindQueue(queue, exchange, u"a key does not matter"_s);
    }
    channel->publish(exchange, u"another"_s, Message("to all"));
    for (const QString &queue : queues)
        QCOMPARE(bodies(queue), QStringList(u"to all"_s));
}

// E5
void tst_Topology::topicExchangeRoutesByPattern()
{
    const QString exchange = uniqueName(u"topic"_s);
    const QHash<QString, QString> queueOf = {{u"stock.*.nyse"_s, uniqueName(u"one word"_s)},
                                             {u"stock.#"_s, uniqueName(u"any words"_s)},
                                             {u"#"_s, uniqueName(u"all"_s)},
                                             {u"température.*"_s, uniqueName(u"not ASCII"_s)}};
    Channel *channel = m_client->channel;
    channel->declareExchange(exchange, ExchangeType::Topic, passingExchange());
    for (auto it = queueOf.begin(); it != queueOf.end(); ++it) {
        channel->declareQueue(it.value(), {.exclusive = true});
        channel->bindQueue(it.value(), exchange, it.key());
    }
    const QStringList keys = {u"stock"_s, u"stock.usd.nyse"_s, u"stock.usd.db"_s, u"stock.a.b.nyse"_s,
                              u"température.été"_s};
    for (const QString &key : keys)
        channel->publish(exchange, key, Message::fromText(key));
    QCOMPARE(bodies(queueOf[u"stock.*.nyse"_s]), QStringList(u"stock.usd.nyse"_s));
    QCOMPARE(bodies(queueOf[u"stock.#"_s]), keys.first(4));
    QCOMPARE(bodies(queueOf[u"#"_s]), keys);
    QCOMPARE(bodies(queueOf[u"température.*"_s]), keys.last(1));
}

// E3, E5
void tst_Topology::headersExchangeRoutesByArguments()
{
    const QString exchange = uniqueName(u"headers"_s);
    const QString all = uniqueName(u"all"_s);
    const QString any = uniqueName(u"any"_s);
    Channel *channel = m_client->channel;
    channel->declareExchange(exchange, ExchangeType::Headers, passingExchange());
    channel->declareQueue(all, {.exclusive = true});
    channel->declareQueue(any, {.exclusive = true});
    channel->bindQueue(all, exchange, {}, {{u"x-match"_s, u"all"_s}, {u"unit"_s, u"°C"_s}, {u"room"_s, 7}});
    VERIFY_OK(channel->bindQueue(any, exchange, {}, {{u"x-match"_s, u"any"_s}, {u"unit"_s, u"°C"_s}, {u"room"_s, 7}}));
    const auto publish = [&](const char *body, const FieldTable &headers) {
        Message message(body);
        message.setHeaders(headers);
        channel->publish(exchange, u"no matter"_s, message);
    };
    publish("both", {{u"unit"_s, u"°C"_s}, {u"room"_s, 7}, {u"more"_s, true}});
    publish("unit", {{u"unit"_s, u"°C"_s}, {u"room"_s, 8}});
    publish("room", {{u"room"_s, 7}});
    publish("neither", {{u"unit"_s, u"K"_s}});
    publish("nothing", {});
    QCOMPARE(bodies(all), QStringList(u"both"_s));
    QCOMPARE(bodies(any), QStringList({u"both"_s, u"unit"_s, u"room"_s}));
}

// E3
void tst_Topology::unbindUsesTheSameArguments()
{
    const QString exchange = uniqueName(u"headers"_s);
    const QString queue = uniqueName(u"q"_s);
    const FieldTable red = {{u"colour"_s, u"red"_s}};
    const FieldTable blue = {{u"colour"_s, u"blue"_s}};
    Channel *channel = m_client->channel;
    channel->declareExchange(exchange, ExchangeType::Headers, passingExchange());
    channel->declareQueue(queue, {.exclusive = true});
    channel->bindQueue(queue, exchange, {}, red);
    VERIFY_OK(channel->bindQueue(queue, exchange, {}, blue));
    VERIFY_OK(channel->unbindQueue(queue, exchange, {}, red));
    for (const FieldTable &headers : {red, blue}) {
        Message message(headers.first().toByteArray());
        message.setHeaders(headers);
        channel->publish(exchange, {}, message);
    }
    QCOMPARE(bodies(queue), QStringList(u"blue"_s));
    // The other binding was the last one, so the auto-delete exchange is deleted with it.
    VERIFY_OK(channel->unbindQueue(queue, exchange, {}, blue));
    VERIFY_FAILS(channel->inspectExchange(exchange), u"ChannelClosed 404 exchange.declare"_s);
}

void tst_Topology::predeclaredExchangesAreThere_data()
{
    QTest::addColumn<QString>("type");
    QTest::newRow("amq.direct") << QString(ExchangeType::Direct);
    QTest::newRow("amq.fanout") << QString(ExchangeType::Fanout);
    QTest::newRow("amq.topic") << QString(ExchangeType::Topic);
    QTest::newRow("amq.headers") << QString(ExchangeType::Headers);
    QTest::newRow("amq.match") << QString(ExchangeType::Headers);
}

// E5
void tst_Topology::predeclaredExchangesAreThere()
{
    QFETCH(const QString, type);
    const QString exchange = QString::fromLatin1(QTest::currentDataTag());
    const QString queue = uniqueName(u"q"_s);
    Channel *channel = m_client->channel;
    VERIFY_OK(channel->inspectExchange(exchange));
    VERIFY_OK(channel->declareExchange(exchange, type)); // repeating the declaration is not an error
    channel->declareQueue(queue, {.exclusive = true});
    VERIFY_OK(channel->bindQueue(queue, exchange, queue, {{u"x-match"_s, u"all"_s}, {u"to"_s, queue}}));
    Message message("body");
    message.setHeader(u"to"_s, queue);
    channel->publish(exchange, queue, message);
    const auto got = await(channel->get(queue, AckMode::NoAck));
    QVERIFY(got && *got);
    QCOMPARE((*got)->message.exchange(), exchange);

    VERIFY_FAILS(channel->declareExchange(u"amq."_s + uniqueName(u"mine"_s), type),
                 u"ChannelClosed 403 exchange.declare"_s);
}

// E4
void tst_Topology::exchangesMayBeBoundToEachOther()
{
    Channel *channel = m_client->channel;
    const QString source = uniqueName(u"source"_s);
    const QString destination = uniqueName(u"destination"_s);
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(channel->declareQueue(queue, {.exclusive = true}));
    VERIFY_OK(channel->declareExchange(source, ExchangeType::Topic, {.durable = false}));
    VERIFY_OK(channel->declareExchange(destination, ExchangeType::Fanout, passingExchange()));
    VERIFY_OK(channel->bindQueue(queue, destination));
    VERIFY_OK(channel->bindExchange(destination, source, u"a.*"_s, {{u"n"_s, 1}}));
    channel->publish(source, u"a.b"_s, Message("routed"));
    channel->publish(source, u"b.b"_s, Message("not routed"));
    VERIFY_OK(channel->unbindExchange(destination, source, u"a.*"_s, {{u"n"_s, 1}}));
    channel->publish(source, u"a.c"_s, Message("no more"));
    VERIFY_OK(channel->deleteExchange(source));
    QVERIFY(waitFor([&] { return m_client->messageCount(queue) == 1; }));
    QCOMPARE(texts(m_client->drain(queue)), QStringList{u"routed"_s});
    VERIFY_FAILS(channel->bindExchange(destination, source), u"ChannelClosed 404 exchange.bind"_s);
}

// E5
void tst_Topology::alternateExchangeReceivesUnroutableMessages()
{
    const QString exchange = uniqueName(u"e"_s);
    const QString alternate = uniqueName(u"alternate"_s);
    const QString routed = uniqueName(u"routed"_s);
    const QString unrouted = uniqueName(u"unrouted"_s);
    Channel *channel = m_client->channel;
    VERIFY_OK(channel->declareExchange(exchange, ExchangeType::Direct,
                                       passingExchange({{u"alternate-exchange"_s, alternate}})));
    VERIFY_OK(channel->declareExchange(alternate, ExchangeType::Fanout,
                                       {.durable = false, .autoDelete = true, .internal = true}));
    channel->declareQueue(routed, {.exclusive = true});
    channel->declareQueue(unrouted, {.exclusive = true});
    channel->bindQueue(routed, exchange, u"known"_s);
    VERIFY_OK(channel->bindQueue(unrouted, alternate));
    channel->publish(exchange, u"known"_s, Message("1"));
    channel->publish(exchange, u"unknown"_s, Message("2"), Channel::PublishFlag::Mandatory);
    QSignalSpy returned(channel, &Channel::messageReturned);
    QCOMPARE(bodies(routed), QStringList(u"1"_s));
    QCOMPARE(bodies(unrouted), QStringList(u"2"_s));
    QCOMPARE(returned.count(), 0);
}

// E5
void tst_Topology::publishToAnInternalExchangeClosesTheChannel()
{
    const QString exchange = uniqueName(u"internal"_s);
    Channel *channel = m_client->channel;
    VERIFY_OK(channel->declareExchange(exchange, ExchangeType::Fanout, {.durable = false, .internal = true}));
    QSignalSpy closed(channel, &Channel::closed);
    channel->publish(exchange, {}, Message("not from outside"));
    QVERIFY(waitFor([&] { return closed.count() == 1; }));
    QCOMPARE(brief(channel->error()), u"ChannelClosed 403 basic.publish"_s);
    QVERIFY2(channel->error().text().contains(exchange), qPrintable(channel->error().text()));
    VERIFY_OK(channel->reopen());
    VERIFY_OK(channel->deleteExchange(exchange));
    VERIFY_FAILS(channel->inspectExchange(exchange), u"ChannelClosed 404 exchange.declare"_s);
}

// E1
void tst_Topology::deleteExchangeIfUnused()
{
    const QString exchange = uniqueName(u"e"_s);
    Channel *channel = m_client->channel;
    VERIFY_OK(channel->declareExchange(exchange, ExchangeType::Fanout, {.durable = false}));
    const Result<QueueInfo> queue = await(channel->declareTemporaryQueue());
    VERIFY_OK(channel->bindQueue({}, exchange));
    VERIFY_FAILS(channel->deleteExchange(exchange, Channel::DeleteFlag::IfUnused),
                 u"ChannelClosed 406 exchange.delete"_s);
    VERIFY_OK(channel->reopen());
    VERIFY_OK(channel->unbindQueue(queue->name, exchange, queue->name));
    VERIFY_OK(channel->deleteExchange(exchange, Channel::DeleteFlag::IfUnused));
    VERIFY_FAILS(channel->inspectExchange(exchange), u"ChannelClosed 404 exchange.declare"_s);
}

void tst_Topology::wrongDeclarationClosesTheChannelOnly_data()
{
    QTest::addColumn<QString>("what");
    QTest::addColumn<QString>("error");
    QTest::newRow("queue with other flags") << u"flags"_s << u"ChannelClosed 406 queue.declare"_s;
    QTest::newRow("queue with other arguments") << u"arguments"_s << u"ChannelClosed 406 queue.declare"_s;
    QTest::newRow("exchange with a reserved name") << u"reserved"_s << u"ChannelClosed 403 exchange.declare"_s;
    QTest::newRow("queue with a wrong argument") << u"wrong argument"_s << u"ChannelClosed 406 queue.declare"_s;
    QTest::newRow("exchange of another type") << u"type"_s << u"ChannelClosed 406 exchange.declare"_s;
    QTest::newRow("binding to a missing exchange") << u"bind"_s << u"ChannelClosed 404 queue.bind"_s;
    QTest::newRow("missing queue") << u"purge"_s << u"ChannelClosed 404 queue.purge"_s;
}

// E7
void tst_Topology::wrongDeclarationClosesTheChannelOnly()
{
    QFETCH(const QString, what);
    QFETCH(const QString, error);
    const QString name = uniqueName(u"name"_s);
    Channel *channel = m_client->channel;
    VERIFY_OK(channel->declareQueue(name, {.exclusive = true}));
    channel->publish({}, name, Message("kept"));
    const auto fail = [&]() -> Error {
        if (what == u"flags"_s)
            return await(channel->declareQueue(name, {.exclusive = true, .autoDelete = true})).error();
        if (what == u"arguments"_s)
            return await(channel->declareQueue(name, {.exclusive = true, .arguments = {{u"x-max-length"_s, 1}}}))
                .error();
        if (what == u"reserved"_s)
            return await(channel->declareExchange(u"amq."_s + name, ExchangeType::Fanout)).error();
        if (what == u"wrong argument"_s)
            return await(channel->declareQueue(name + u'2',
                                               {.exclusive = true, .arguments = {{u"x-queue-type"_s, u"none"_s}}}))
                .error();
        if (what == u"type"_s)
            return await(channel->declareExchange(u"amq.topic"_s, ExchangeType::Fanout)).error();
        if (what == u"bind"_s)
            return await(channel->bindQueue(name, name + u".missing"_s)).error();
        return await(channel->purgeQueue(name + u".missing"_s)).error();
    };
    const Error failure = fail();
    QCOMPARE(brief(failure), error);
    QVERIFY2(failure.text().contains(u"amq.topic"_s) || failure.text().contains(name), qPrintable(failure.text()));
    QVERIFY(waitFor([&] { return channel->state() == Channel::State::Closed; }));
    QVERIFY(m_client->connection.isOpen());

    VERIFY_OK(channel->reopen());
    QCOMPARE(bodies(name), QStringList(u"kept"_s));
}

// E7
void tst_Topology::exclusiveQueueOfAnotherConnectionIsLocked()
{
    const QString name = uniqueName(u"q"_s);
    VERIFY_OK(m_client->channel->declareQueue(name, {.exclusive = true}));
    BrokerClient other;
    QVERIFY(other.isOpen());
    VERIFY_FAILS(other.channel->inspectQueue(name), u"ChannelClosed 405 queue.declare"_s);
    VERIFY_OK(other.channel->reopen());
    VERIFY_FAILS(other.channel->get(name), u"ChannelClosed 405 basic.get"_s);
    VERIFY_OK(other.channel->reopen());
    VERIFY_FAILS(other.channel->deleteQueue(name), u"ChannelClosed 405 queue.delete"_s);
    QCOMPARE(m_client->messageCount(name), 0);
}

QTEST_GUILESS_MAIN(tst_Topology)

#include "tst_topology.moc"
