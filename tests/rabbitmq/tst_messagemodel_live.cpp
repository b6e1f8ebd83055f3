// SPDX-License-Identifier: MIT
#include "rabbitmq/brokerclient.h"

#include <AmqpQt/MessageModel>

#include <QtTest/qabstractitemmodeltester.h>
#include <QtTest/qsignalspy.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

class tst_MessageModel_Live : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void deliveriesAreShown();
    void everyDeliveryIsCounted();
    void unacknowledgedDeliveriesStopAtThePrefetch();
    void filterMatchesAsTheBrokerDoes();
};

void tst_MessageModel_Live::deliveriesAreShown()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    MessageModel model;
    const QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::QtTest);
    model.setColumns({u"exchange"_s, u"routingKey"_s, u"json.items.0"_s, u"headers.x-id"_s, u"type"_s, u"text"_s});
    client.channel->declareTemporaryQueue();
    client.channel->bindQueue({}, u"amq.topic"_s, u"orders.#"_s);
    Consumer *consumer = client.channel->consume({}, {.ackMode = AckMode::NoAck});
    model.setConsumer(consumer);
    VERIFY_OK(consumer->whenStarted());

    Message message(R"({"items": ["tea"]})");
    message.setHeader(u"x-id"_s, 17);
    message.setType(u"order"_s);
    client.channel->publish(u"amq.topic"_s, u"orders.new"_s, message);
    client.channel->publish(u"amq.topic"_s, u"orders.paid"_s, Message::fromText(u"paid"));
    QVERIFY(waitFor([&] { return model.count() == 2; }));

    const QVariantList expected = {u"amq.topic"_s, u"orders.new"_s, u"tea"_s, 17, u"order"_s, message.text()};
    for (int column = 0; column < expected.size(); ++column)
        QCOMPARE(model.index(1, column).data(), expected.at(column));
    QCOMPARE(model.index(0, 1).data(), QVariant(u"orders.paid"_s));
    QVERIFY(!model.index(0, 2).data().isValid());
    QCOMPARE(model.message(1).header(u"x-id"_s), QVariant(17));
}

void tst_MessageModel_Live::everyDeliveryIsCounted()
{
    constexpr int Count = 20'000;
    BrokerClient client;
    QVERIFY(client.isOpen());
    MessageModel model;
    model.setMaximumCount(50);
    const Result<QueueInfo> queue = await(client.channel->declareTemporaryQueue());
    QVERIFY(queue);
    model.setConsumer(client.channel->consume(queue->name, {.ackMode = AckMode::NoAck}));
    QSignalSpy inserted(&model, &MessageModel::rowsInserted);
    QSignalSpy removed(&model, &MessageModel::rowsRemoved);
    for (int i = 0; i < Count; ++i)
        client.channel->publish({}, queue->name, Message(QByteArray::number(i)));
    QVERIFY(
        waitFor([&] { return model.totalCount() == Count && model.message(0).text() == QString::number(Count - 1); }));
    for (int row = 0; row < 50; ++row)
        QCOMPARE(model.message(row).text(), QString::number(Count - 1 - row));
    QCOMPARE(model.count(), 50);
    QVERIFY(inserted.size() <= 50);
    QVERIFY(removed.isEmpty());
}

void tst_MessageModel_Live::unacknowledgedDeliveriesStopAtThePrefetch()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    MessageModel model;
    const Result<QueueInfo> queue = await(client.channel->declareTemporaryQueue());
    QVERIFY(queue);
    for (int i = 0; i < 6; ++i)
        client.channel->publish({}, queue->name, Message(QByteArray::number(i)));
    Consumer *consumer = client.channel->consume(queue->name, {.prefetch = 4});
    model.setConsumer(consumer);
    QVERIFY(waitFor([&] { return model.count() == 4; }));
    QCOMPARE(consumer->unackedCount(), 4);
    QVERIFY(client.channel->ackUpTo(model.message(0)));
    QVERIFY(waitFor([&] { return model.count() == 6; }));
    QCOMPARE(consumer->unackedCount(), 2);
}

// The rows of a model with a filter match the messages that the broker routes by a binding with the same pattern.
void tst_MessageModel_Live::filterMatchesAsTheBrokerDoes()
{
    const QStringList patterns = {u"a"_s,     u"a.b"_s,   u"*"_s,       u"*.*"_s, u"a.*.c"_s, u"#"_s,      u"#.c"_s,
                                  u"a.#"_s,   u"a.#.c"_s, u"#.b.#"_s,   u"#.#"_s, u"*.#"_s,   u"#.*"_s,    u"a.#.*.c"_s,
                                  u"a.*.#"_s, u"."_s,     u"#.a.#.b"_s, u"a#"_s,  u"*a"_s,    u"a.#.#.c"_s};
    const QStringList keys = {u""_s,        u"a"_s,     u"b"_s,     u"."_s,  u"a."_s,    u".a"_s,   u".."_s,
                              u"a.b"_s,     u"a.c"_s,   u"b.c"_s,   u"c"_s,  u"a.b.c"_s, u"a..c"_s, u"a.b.b.c"_s,
                              u"x.a.y.b"_s, u"b.a.b"_s, u"a.c.b"_s, u"a#"_s, u"aa"_s,    u"A"_s};
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString exchange = uniqueName(u"topic"_s);
    client.channel->declareExchange(exchange, ExchangeType::Topic, passingExchange());

    std::vector<std::unique_ptr<MessageModel>> models;
    std::vector<QStringList> routed(size_t(patterns.size()));
    MessageModel all; // the last queue receives every message, so when its messages have arrived, all others have too
    for (qsizetype i = 0; i <= patterns.size(); ++i) {
        const bool isLast = i == patterns.size();
        const Result<QueueInfo> queue = await(client.channel->declareTemporaryQueue());
        QVERIFY(queue);
        client.channel->bindQueue(queue->name, exchange, isLast ? u"#"_s : patterns.at(i));
        Consumer *consumer = client.channel->consume(queue->name, {.ackMode = AckMode::NoAck});
        if (isLast) {
            all.setConsumer(consumer);
            for (const QString &pattern : patterns) {
                auto &model = models.emplace_back(std::make_unique<MessageModel>());
                model->setFilterRoutingKey(pattern);
                model->setConsumer(consumer);
            }
        } else {
            connect(consumer, &Consumer::delivered, this,
                    [&, i](const Message &message) { routed[size_t(i)] += message.routingKey(); });
        }
        VERIFY_OK(consumer->whenStarted());
    }
    for (const QString &key : keys)
        client.channel->publish(exchange, key, Message());
    const Result<QueueInfo> end = await(client.channel->declareTemporaryQueue());
    QVERIFY(end);
    QVERIFY(waitFor([&] { return all.count() == keys.size(); }));

    for (size_t i = 0; i < models.size(); ++i) {
        const MessageModel &model = *models[i];
        const auto shown = [&model] {
            QStringList shownKeys;
            for (int row = model.count() - 1; row >= 0; --row)
                shownKeys += model.message(row).routingKey();
            return shownKeys;
        };
        QVERIFY2(waitFor([&] { return shown() == routed[i] && model.totalCount() == double(keys.size()); }),
                 qPrintable(patterns.at(qsizetype(i)) + u": "_s + shown().join(u' ') + u" instead of "_s +
                            routed[i].join(u' ')));
    }
    client.connection.disconnect(this);
}

QTEST_GUILESS_MAIN(tst_MessageModel_Live)
#include "tst_messagemodel_live.moc"
