// SPDX-License-Identifier: MIT
#include "rabbitmq/queues.h"

#include <QtTest/qsignalspy.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

class tst_Consuming : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void brokerListsTheConsumerWithItsOptions();
    void noAckDeliveriesAreForgottenByTheBroker();
    void exclusiveConsumerKeepsOthersOut();
    void rejectedConsumerEndsAlone();
    void consumerOfHighestPriorityGetsTheMessages();
    void deliveryHasItsExchangeAndRoutingKey();
    void prefetchLimitsEachConsumer();
    void prefetchLimitsAllConsumersOfAChannel();
    void getFetchesOneMessageAndReportsTheRemainingCount();
    void getFromAMissingQueueClosesTheChannel();
    void consumersOfAChannelGetTheirOwnMessages();
    void emptyNameIsTheQueueThatTheBrokerNamed();
    void reopenBringsConsumersAndPrefetchBack();
    void namesKeepAnInitialByteOrderMark();
};

// G1
void tst_Consuming::brokerListsTheConsumerWithItsOptions()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = filledQueue(client, 1);
    Consumer *named = client.channel->consume(queue, {.consumerTag = u"my ünique tag"_s, .prefetch = 7});
    Consumer *unnamed =
        client.channel->consume(queue, {.ackMode = AckMode::NoAck, .arguments = {{u"x-priority"_s, -1}}});
    QList<Message> messages;
    collect(named, &messages);
    VERIFY_OK(named->whenStarted());
    VERIFY_OK(unnamed->whenStarted());
    QCOMPARE(named->state(), Consumer::State::Active);
    QCOMPARE(named->consumerTag(), u"my ünique tag"_s);
    QVERIFY(!unnamed->consumerTag().isEmpty());

    const ProcessResult listed =
        brokerControl({u"list_consumers"_s, u"--quiet"_s, u"--no-table-headers"_s, u"queue_name"_s, u"consumer_tag"_s,
                       u"ack_required"_s, u"prefetch_count"_s, u"arguments"_s});
    QStringList lines;
    for (const QString &line : QString::fromUtf8(listed.output).split(u'\n')) {
        if (line.startsWith(queue + u'\t'))
            lines += line.mid(queue.size() + 1);
    }
    lines.sort();
    QStringList expected = {u"my ünique tag\ttrue\t7\t[]"_s,
                            unnamed->consumerTag() + u"\tfalse\t0\t[{\"x-priority\",-1}]"_s};
    expected.sort();
    QCOMPARE(lines, expected);

    QVERIFY(waitFor([&] { return messages.size() == 1; }));
    QCOMPARE(messages.first().consumerTag(), u"my ünique tag"_s);
}

// G1
void tst_Consuming::noAckDeliveriesAreForgottenByTheBroker()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = filledQueue(client, 20);
    Consumer *consumer = client.channel->consume(queue, {.ackMode = AckMode::NoAck, .prefetch = 1});
    QCOMPARE(consumer->ackMode(), AckMode::NoAck);
    QList<Message> messages;
    collect(consumer, &messages);
    QVERIFY(waitFor([&] { return messages.size() == 20; })); // though nothing is acked and the prefetch is 1
    QCOMPARE(consumer->unackedCount(), 0);
    QCOMPARE(queueCounts(client.channel, queue), QByteArray("0 0"));
    VERIFY_OK(client.channel->close());
    QCOMPARE(client.messageCount(queue), 0);
}

// G1
void tst_Consuming::exclusiveConsumerKeepsOthersOut()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = filledQueue(client, 0);
    Consumer *only = client.channel->consume(queue, {.exclusive = true});
    QList<Message> messages;
    collect(only, &messages);
    VERIFY_OK(only->whenStarted());

    Channel *second = client.connection.createChannel();
    VERIFY_OK(second->whenOpen());
    QSignalSpy closed(second, &Channel::closed);
    Consumer *rejected = second->consume(queue);
    QSignalSpy cancelled(rejected, &Consumer::cancelled);
    VERIFY_FAILS(rejected->whenStarted(), u"ChannelClosed 403 basic.consume"_s);
    QVERIFY(waitFor([&] { return closed.count() == 1 && cancelled.count() == 1; }));
    QCOMPARE(second->state(), Channel::State::Closed);
    QCOMPARE(brief(second->error()), u"ChannelClosed 403 basic.consume"_s);
    QCOMPARE(closed.first().first().value<Error>(), second->error());
    QCOMPARE(cancelled.first().first().value<Error>(), second->error());
    QCOMPARE(rejected->state(), Consumer::State::Cancelled);

    client.channel->publish({}, queue, Message::fromText(u"still there"));
    QVERIFY(waitFor([&] { return texts(messages) == QStringList(u"still there"_s); }));
}

// D3, G1
void tst_Consuming::rejectedConsumerEndsAlone()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString first = filledQueue(client, 1);
    const QString last = filledQueue(client, 1);
    QList<Message> messages;
    Consumer *before = client.channel->consume(first);
    Consumer *rejected = client.channel->consume(uniqueName(u"missing"_s));
    Consumer *after = client.channel->consume(last);
    collect(before, &messages);
    collect(after, &messages);
    VERIFY_FAILS(rejected->whenStarted(), u"ChannelClosed 404 basic.consume"_s);
    QVERIFY(waitFor([&] { return client.channel->state() == Channel::State::Closed; }));
    QCOMPARE(rejected->state(), Consumer::State::Cancelled);
    QCOMPARE(before->state(), Consumer::State::Recovering);
    QCOMPARE(after->state(), Consumer::State::Recovering);

    messages.clear();
    VERIFY_OK(client.channel->reopen());
    QVERIFY(waitFor([&] { return messages.size() == 2; }));
    QCOMPARE(client.channel->consumers(), QList<Consumer *>({before, after}));
}

// G1
void tst_Consuming::consumerOfHighestPriorityGetsTheMessages()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = filledQueue(client, 0);
    Consumer *low = client.channel->consume(queue, {.prefetch = 2, .arguments = {{u"x-priority"_s, -5}}});
    Consumer *high = client.channel->consume(queue, {.prefetch = 2, .arguments = {{u"x-priority"_s, 10}}});
    QList<Message> toLow, toHigh;
    collect(low, &toLow);
    collect(high, &toHigh);
    VERIFY_OK(low->whenStarted());
    VERIFY_OK(high->whenStarted());
    for (int i = 0; i < 3; ++i)
        client.channel->publish({}, queue, Message(QByteArray::number(i)));
    QVERIFY(waitFor([&] { return toLow.size() + toHigh.size() == 3; }));
    QCOMPARE(texts(toHigh), numbers(0, 1)); // the other consumer is served only when this consumer is at its limit
    QCOMPARE(texts(toLow), numbers(2, 2));
}

// G2
void tst_Consuming::deliveryHasItsExchangeAndRoutingKey()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = uniqueName(u"q"_s);
    const QString exchange = uniqueName(u"x"_s);
    const QString key = u"sensors.kitchen.temperature"_s;
    client.channel->declareExchange(exchange, ExchangeType::Topic, passingExchange());
    client.channel->declareQueue(queue, {.exclusive = true});
    client.channel->bindQueue(queue, exchange, u"sensors.#"_s);

    Message sent("\0\1body\xff", u"application/x-test"_s);
    sent.setContentEncoding(u"x-none"_s);
    sent.setHeaders({{u"text"_s, u"ü"_s}, {u"number"_s, 42}, {u"list"_s, QVariantList({1, true})}});
    sent.setDeliveryMode(DeliveryMode::Persistent);
    sent.setPriority(3);
    sent.setCorrelationId(u"correlation"_s);
    sent.setReplyTo(u"reply"_s);
    sent.setExpiration(600s);
    sent.setMessageId(u"id"_s);
    sent.setTimestamp(QDateTime::fromSecsSinceEpoch(1'700'000'000).toUTC());
    sent.setType(u"type"_s);
    sent.setUserId(brokerParameters().userName()); // the broker rejects any other user
    sent.setAppId(u"app"_s);

    Consumer *consumer = client.channel->consume(queue, {.consumerTag = u"tag"_s});
    QList<Message> messages;
    collect(consumer, &messages);
    client.channel->publish(exchange, key, sent);
    QVERIFY(waitFor([&] { return messages.size() == 1; }));
    messages.first().nack(Requeue::Yes);
    QVERIFY(waitFor([&] { return messages.size() == 2; }));

    for (int i = 0; i < 2; ++i) {
        const Message &got = messages[i];
        QVERIFY(got.isDelivered());
        QCOMPARE(got.channelNumber(), int(client.channel->number()));
        QCOMPARE(got.consumerTag(), u"tag"_s);
        QCOMPARE(got.deliveryTag(), quint64(i + 1));
        QCOMPARE(got.exchange(), exchange);
        QCOMPARE(got.routingKey(), key);
        QCOMPARE(got.isRedelivered(), i == 1);
        QCOMPARE(got.body(), sent.body());
        QCOMPARE(got.contentType(), sent.contentType());
        QCOMPARE(got.contentEncoding(), sent.contentEncoding());
        QCOMPARE(got.headers(), sent.headers());
        QCOMPARE(got.deliveryMode(), sent.deliveryMode());
        QCOMPARE(got.priority(), sent.priority());
        QCOMPARE(got.correlationId(), sent.correlationId());
        QCOMPARE(got.replyTo(), sent.replyTo());
        QVERIFY(got.expiration() == sent.expiration());
        QCOMPARE(got.messageId(), sent.messageId());
        QCOMPARE(got.timestamp(), sent.timestamp());
        QCOMPARE(got.type(), sent.type());
        QCOMPARE(got.userId(), sent.userId());
        QCOMPARE(got.appId(), sent.appId());
    }
}

// G4
void tst_Consuming::prefetchLimitsEachConsumer()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = filledQueue(client, 20);
    QList<Message> toFirst, toSecond;
    client.channel->setPrefetch(3);
    Consumer *first = client.channel->consume(queue);
    Consumer *second = client.channel->consume(queue, {.prefetch = 5});
    collect(first, &toFirst);
    collect(second, &toSecond);
    QVERIFY(waitFor([&] { return toFirst.size() + toSecond.size() == 8 && client.messageCount(queue) == 12; }));
    QCOMPARE(toFirst.size(), 3);
    QCOMPARE(toSecond.size(), 5);
    QCOMPARE(first->unackedCount(), 3);
    QCOMPARE(second->unackedCount(), 5);

    toSecond.first().ack();
    QVERIFY(waitFor([&] { return toSecond.size() == 6 && client.messageCount(queue) == 11; }));
    QCOMPARE(toFirst.size(), 3);

    // A later consumer has the channel's limit, not that of the previous consumer.
    QList<Message> toThird;
    collect(client.channel->consume(queue), &toThird);
    QVERIFY(waitFor([&] { return toThird.size() == 3 && client.messageCount(queue) == 8; }));
}

// G4
void tst_Consuming::prefetchLimitsAllConsumersOfAChannel()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = filledQueue(client, 20);
    QList<Message> messages;
    client.channel->setPrefetch(4, Channel::PrefetchScope::PerChannel);
    collect(client.channel->consume(queue), &messages);
    collect(client.channel->consume(queue), &messages);
    QVERIFY(waitFor([&] { return messages.size() == 4 && client.messageCount(queue) == 16; }));
    messages.first().ack();
    QVERIFY(waitFor([&] { return messages.size() == 5 && client.messageCount(queue) == 15; }));

    QList<Message> toOther;
    collect(client.connection.createChannel()->consume(queue), &toOther);
    QVERIFY(waitFor([&] { return toOther.size() == 15; }));
    QCOMPARE(messages.size(), 5);
}

// G5
void tst_Consuming::getFetchesOneMessageAndReportsTheRemainingCount()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = filledQueue(client, 3);
    auto got = await(client.channel->get(queue));
    QVERIFY(got && *got);
    QCOMPARE((*got)->remaining, 2u);
    const Message message = (*got)->message;
    QCOMPARE(message.text(), u"0"_s);
    QCOMPARE(message.exchange(), QString());
    QCOMPARE(message.routingKey(), queue);
    QCOMPARE(message.consumerTag(), QString());
    QCOMPARE(message.deliveryTag(), 1u);
    QVERIFY(!message.isRedelivered());
    message.nack(Requeue::Yes);

    got = await(client.channel->get(queue));
    QVERIFY(got && *got);
    QCOMPARE((*got)->message.text(), u"0"_s);
    QVERIFY((*got)->message.isRedelivered());
    (*got)->message.ack();

    got = await(client.channel->get(queue, AckMode::NoAck));
    QVERIFY(got && *got);
    QCOMPARE((*got)->message.text(), u"1"_s);
    QCOMPARE((*got)->remaining, 1u);
    got = await(client.channel->get(queue, AckMode::NoAck));
    QVERIFY(got && *got);
    QCOMPARE((*got)->remaining, 0u);

    got = await(client.channel->get(queue));
    QVERIFY2(got, qPrintable(got.error().toString()));
    QVERIFY(!got->has_value());
    VERIFY_OK(client.channel->close());
    QCOMPARE(client.messageCount(queue), 0);
}

// G5
void tst_Consuming::getFromAMissingQueueClosesTheChannel()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    VERIFY_FAILS(client.channel->get(uniqueName(u"missing"_s)), u"ChannelClosed 404 basic.get"_s);
    QVERIFY(client.connection.isOpen());
}

// G7
void tst_Consuming::consumersOfAChannelGetTheirOwnMessages()
{
    constexpr int Consumers = 4;
    BrokerClient client;
    QVERIFY(client.isOpen());
    QStringList queues;
    QList<Consumer *> consumers;
    QList<Message> messages[Consumers];
    for (int i = 0; i < Consumers; ++i) {
        queues += filledQueue(client, 0);
        consumers += client.channel->consume(queues[i], {.consumerTag = u"tag %1"_s.arg(i)});
        collect(consumers[i], &messages[i]);
    }
    QCOMPARE(client.channel->consumers(), consumers);
    for (int round = 0; round < 10; ++round) {
        for (int i = 0; i < Consumers; ++i)
            client.channel->publish({}, queues[i], Message(QByteArray::number(round)));
    }
    for (int i = 0; i < Consumers; ++i) {
        QVERIFY(waitFor([&] { return messages[i].size() == 10; }));
        QCOMPARE(texts(messages[i]), numbers(0, 9));
        for (const Message &message : std::as_const(messages[i])) {
            QCOMPARE(message.routingKey(), queues[i]);
            QCOMPARE(client.channel->consumer(message.consumerTag()), consumers[i]);
        }
    }

    QCOMPARE(client.channel->consumer(u"tag"_s), nullptr);
    VERIFY_OK(consumers[1]->cancel());
    delete consumers.takeAt(2);
    consumers.removeAt(1);
    QCOMPARE(client.channel->consumers(), consumers);
    QCOMPARE(client.channel->consumer(u"tag 1"_s), nullptr);
    QCOMPARE(client.channel->consumer(u"tag 2"_s), nullptr);
}

// G1, G5
void tst_Consuming::emptyNameIsTheQueueThatTheBrokerNamed()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString exchange = uniqueName(u"x"_s);
    // All calls are made at once, before the name is known.
    client.channel->declareExchange(exchange, ExchangeType::Direct, passingExchange());
    const Reply<QueueInfo> declared = client.channel->declareTemporaryQueue();
    client.channel->bindQueue({}, exchange, u"key"_s);
    client.channel->publish(exchange, u"key"_s, Message::fromText(u"first"));
    const Reply<std::optional<GetResult>> got = client.channel->get({});
    Consumer *consumer = client.channel->consume({});
    QList<Message> messages;
    collect(consumer, &messages);
    client.channel->publish(exchange, u"key"_s, Message::fromText(u"second"));

    QSignalSpy queueChanged(consumer, &Consumer::queueChanged);
    VERIFY_OK(declared);
    const QString name = declared.result()->name;
    QVERIFY(name.startsWith(u"amq.gen"_s));
    QVERIFY(waitFor([&] { return messages.size() == 1; }));
    QVERIFY(got.isFinished());
    QVERIFY(got.result() && *got.result());
    QCOMPARE((*got.result())->message.text(), u"first"_s);
    QCOMPARE(messages.first().text(), u"second"_s);
    QCOMPARE(consumer->queue(), name);
    QCOMPARE(queueChanged.count(), 1);
    QCOMPARE(queueChanged.first().first().toString(), name);

    client.channel->publish({}, name, Message::fromText(u"by its name"));
    QVERIFY(waitFor([&] { return messages.size() == 2; }));
}

// G1, G4
void tst_Consuming::reopenBringsConsumersAndPrefetchBack()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString firstQueue = filledQueue(client, 10);
    const QString secondQueue = filledQueue(client, 10);
    client.channel->setPrefetch(3);
    Consumer *first = client.channel->consume(firstQueue, {.consumerTag = u"first"_s});
    Consumer *second = client.channel->consume(secondQueue, {.consumerTag = u"second"_s, .prefetch = 2});
    QList<Message> fromFirst, fromSecond;
    collect(first, &fromFirst);
    collect(second, &fromSecond);
    QVERIFY(waitFor([&] { return fromFirst.size() == 3 && fromSecond.size() == 2; }));
    QSignalSpy started(first, &Consumer::started), cancelled(first, &Consumer::cancelled);

    VERIFY_FAILS(client.channel->inspectQueue(uniqueName(u"missing"_s)), u"ChannelClosed 404 queue.declare"_s);
    QCOMPARE(client.channel->state(), Channel::State::Closed);
    QCOMPARE(first->state(), Consumer::State::Recovering);
    QCOMPARE(first->unackedCount(), 0);
    QVERIFY(waitFor([&] { return client.messageCount(firstQueue) == 10 && client.messageCount(secondQueue) == 10; }));

    const Message old = fromFirst.first();
    VERIFY_OK(client.channel->reopen());
    QVERIFY(waitFor([&] { return fromFirst.size() == 6 && fromSecond.size() == 4; }));
    QCOMPARE(client.messageCount(firstQueue), 7);
    QCOMPARE(client.messageCount(secondQueue), 8);
    QCOMPARE(texts(fromFirst.mid(3)), numbers(0, 2));
    QVERIFY(fromFirst[3].isRedelivered());
    QCOMPARE(fromFirst[3].consumerTag(), u"first"_s);
    QCOMPARE(first->state(), Consumer::State::Active);
    QCOMPARE(client.channel->consumers(), QList<Consumer *>({first, second}));
    QCOMPARE(started.count(), 1);
    QCOMPARE(cancelled.count(), 0);

    QVERIFY(!client.channel->ack(old));
    QCOMPARE(client.channel->lastCallError().kind(), ErrorKind::StaleDelivery);
    QVERIFY(client.channel->ack(fromFirst[3]));
    QVERIFY(waitFor([&] { return fromFirst.size() == 7; }));
}

// E1, G2
void tst_Consuming::namesKeepAnInitialByteOrderMark()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString name = u"\uFEFF"_s + uniqueName(u"marked"_s);
    const Result<QueueInfo> declared = await(client.channel->declareQueue(name, {.exclusive = true}));
    QVERIFY(declared);
    QCOMPARE(declared->name, name);
    VERIFY_OK(client.channel->declareExchange(name, ExchangeType::Fanout, {.autoDelete = true}));
    VERIFY_OK(client.channel->bindQueue(name, name));
    client.channel->publish(name, u"\uFEFFkey"_s, Message("body"));
    const Result<std::optional<GetResult>> got = await(client.channel->get(name, AckMode::NoAck));
    QVERIFY(got && *got);
    QCOMPARE((*got)->message.exchange(), name);
    QCOMPARE((*got)->message.routingKey(), u"\uFEFFkey"_s);
}

QTEST_GUILESS_MAIN(tst_Consuming)

#include "tst_consuming.moc"
