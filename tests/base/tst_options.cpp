// SPDX-License-Identifier: MIT
#include <AmqpQt/options.h>

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

class tst_Options : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void everyFieldCanBeSetInAChain();
    void defaultsLoseNothing();
    void temporaryQueueBelongsToItsConnection();
    void queueTypesAreDurableAndNamedByAString_data();
    void queueTypesAreDurableAndNamedByAString();
    void helpersSetOneArgument_data();
    void helpersSetOneArgument();
    void helpersKeepOtherHeaders();
    void designatedInitialisersKeepTheOtherDefaults();
    void exchangeTypesArePlainStrings();
    void queueInfoIsReadableThroughTheMetaObject();
    void enumeratorsHaveNamesAtRunTime();
};

void tst_Options::defaultsLoseNothing()
{
    const QueueOptions queue;
    QVERIFY(queue.durable && !queue.exclusive && !queue.autoDelete);
    QVERIFY(queue.arguments.isEmpty());

    const ExchangeOptions exchange;
    QVERIFY(exchange.durable && !exchange.autoDelete && !exchange.internal);

    const ConsumeOptions consume;
    QCOMPARE(consume.ackMode, AckMode::Manual);
    QVERIFY(!consume.prefetch);
    QVERIFY(consume.consumerTag.isEmpty());
}

void tst_Options::temporaryQueueBelongsToItsConnection()
{
    const QueueOptions options = QueueOptions::temporary();
    QVERIFY(options.exclusive && options.autoDelete && !options.durable);
    QVERIFY(options.arguments.isEmpty());
}

void tst_Options::queueTypesAreDurableAndNamedByAString_data()
{
    QTest::addColumn<bool>("stream");
    QTest::addColumn<QString>("type");
    QTest::newRow("quorum") << false << u"quorum"_s;
    QTest::newRow("stream") << true << u"stream"_s;
}

void tst_Options::queueTypesAreDurableAndNamedByAString()
{
    QFETCH(bool, stream);
    QFETCH(QString, type);
    const QueueOptions options = stream ? QueueOptions::stream() : QueueOptions::quorum();
    QVERIFY(options.durable && !options.exclusive && !options.autoDelete);
    QCOMPARE(options.arguments.keys(), QStringList{u"x-queue-type"_s});
    const QVariant value = options.arguments.value(u"x-queue-type"_s);
    QCOMPARE(value.typeId(), int(QMetaType::QString)); // a byte array would be another type on the wire
    QCOMPARE(value.toString(), type);
}

void tst_Options::helpersSetOneArgument_data()
{
    QTest::addColumn<FieldTable>("arguments");
    QTest::addColumn<FieldTable>("expected");
    const auto row = [](const auto &options, const FieldTable &expected) {
        QTest::newRow(qPrintable(expected.firstKey())) << options.arguments << expected;
    };
    const QueueOptions queue;
    row(queue.withMessageTtl(90s), {{u"x-message-ttl"_s, 90'000LL}});
    row(queue.withExpiry(1ms), {{u"x-expires"_s, 1LL}});
    row(queue.withMaxLength(5'000'000'000), {{u"x-max-length"_s, 5'000'000'000LL}});
    row(queue.withMaxLengthBytes(0), {{u"x-max-length-bytes"_s, 0LL}});
    row(queue.withOverflow(u"reject-publish"_s), {{u"x-overflow"_s, u"reject-publish"_s}});
    row(queue.withDeadLetter({}), {{u"x-dead-letter-exchange"_s, QString()}});
    row(queue.withDeadLetter(u"dead"_s, u"key"_s),
        {{u"x-dead-letter-exchange"_s, u"dead"_s}, {u"x-dead-letter-routing-key"_s, u"key"_s}});
    row(queue.withMaxPriority(255), {{u"x-max-priority"_s, 255}});
    row(queue.withDeliveryLimit(3), {{u"x-delivery-limit"_s, 3}});
    row(queue.withSingleActiveConsumer(), {{u"x-single-active-consumer"_s, true}});
    row(queue.withAtLeastOnceDeadLettering(),
        {{u"x-dead-letter-strategy"_s, u"at-least-once"_s}, {u"x-overflow"_s, u"reject-publish"_s}});
    row(queue.withLeaderLocator(u"balanced"_s), {{u"x-queue-leader-locator"_s, u"balanced"_s}});
    row(queue.withInitialReplicas(3), {{u"x-quorum-initial-group-size"_s, 3}});
    row(QueueOptions::stream().withInitialReplicas(5),
        {{u"x-initial-cluster-size"_s, 5}, {u"x-queue-type"_s, u"stream"_s}});
    row(queue.withConsumerTimeout(90s), {{u"x-consumer-timeout"_s, 90'000LL}});
    row(queue.withDelayedRetry(u"failed"_s, 1s, 1min), {{u"x-delayed-retry-max"_s, 60'000LL},
                                                        {u"x-delayed-retry-min"_s, 1000LL},
                                                        {u"x-delayed-retry-type"_s, u"failed"_s}});
    row(ExchangeOptions().withDelayedType(u"topic"_s), {{u"x-delayed-type"_s, u"topic"_s}});
    row(ConsumeOptions().withConsumerTimeout(1ms), {{u"x-consumer-timeout"_s, 1LL}});
    row(ExchangeOptions().withAlternate(u"rest"_s), {{u"alternate-exchange"_s, u"rest"_s}});
    row(ConsumeOptions().withPriority(-2), {{u"x-priority"_s, -2}});
    row(ConsumeOptions().withStreamOffset(u"first"_s), {{u"x-stream-offset"_s, u"first"_s}});
    row(ConsumeOptions().withStreamOffset(7), {{u"x-stream-offset"_s, 7}});
}

void tst_Options::helpersSetOneArgument()
{
    QFETCH(FieldTable, arguments);
    QFETCH(FieldTable, expected);
    QCOMPARE(arguments, expected);
    for (auto it = expected.cbegin(); it != expected.cend(); ++it)
        QCOMPARE(arguments.value(it.key()).typeId(), it->typeId()); // it determines the type on the wire
}

void tst_Options::helpersKeepOtherHeaders()
{
    const QueueOptions queue = QueueOptions{.exclusive = true, .arguments = {{u"x-mine"_s, 1}}}
                                   .withMaxLength(5)
                                   .withMessageTtl(1s)
                                   .withMaxLength(6);
    QVERIFY(queue.exclusive && queue.durable);
    QCOMPARE(queue.arguments, FieldTable({{u"x-mine"_s, 1}, {u"x-max-length"_s, 6LL}, {u"x-message-ttl"_s, 1000LL}}));

    const ConsumeOptions consume = ConsumeOptions{.consumerTag = u"tag"_s, .prefetch = quint16(3)}.withPriority(1);
    QCOMPARE(consume.consumerTag, u"tag"_s);
    QCOMPARE(consume.prefetch, quint16(3));

    QVERIFY(ExchangeOptions{.internal = true}.withAlternate(u"e"_s).internal);
}

void tst_Options::designatedInitialisersKeepTheOtherDefaults()
{
    const QueueOptions queue{.exclusive = true};
    QVERIFY(queue.durable && queue.exclusive);

    const ConsumeOptions consume{.ackMode = AckMode::NoAck, .prefetch = quint16(0)};
    QCOMPARE(consume.ackMode, AckMode::NoAck);
    QVERIFY(consume.prefetch.has_value()); // 0 means no limit, which differs from the default of the channel
    QVERIFY(!consume.exclusive);
}

void tst_Options::exchangeTypesArePlainStrings()
{
    const QStringList types{ExchangeType::Direct, ExchangeType::Fanout, ExchangeType::Topic, ExchangeType::Headers};
    QCOMPARE(types, QStringList({u"direct"_s, u"fanout"_s, u"topic"_s, u"headers"_s}));
}

void tst_Options::queueInfoIsReadableThroughTheMetaObject()
{
    QueueInfo info;
    info.name = u"orders"_s;
    info.messageCount = 7;
    info.consumerCount = 2;
    const QMetaObject &meta = QueueInfo::staticMetaObject;
    const auto read = [&](const char *name) { return meta.property(meta.indexOfProperty(name)).readOnGadget(&info); };
    QCOMPARE(read("name").toString(), u"orders"_s);
    QCOMPARE(read("messageCount").toInt(), 7);
    QCOMPARE(read("consumerCount").toInt(), 2);
}

void tst_Options::enumeratorsHaveNamesAtRunTime()
{
    QCOMPARE(QMetaEnum::fromType<AckMode>().valueToKey(int(AckMode::NoAck)), "NoAck");
    QCOMPARE(QMetaEnum::fromType<ErrorKind>().keyToValue("ChannelClosed"), int(ErrorKind::ChannelClosed));
    const BackpressureReasons reasons = BackpressureReason::BrokerBlocked | BackpressureReason::ChannelFlow;
    QCOMPARE(QMetaEnum::fromType<BackpressureReasons>().valueToKeys(int(reasons)), "BrokerBlocked|ChannelFlow");
}

void tst_Options::everyFieldCanBeSetInAChain()
{
    const QueueOptions queue =
        QueueOptions().withDurable(false).withExclusive().withAutoDelete().withArgument(u"a"_s, 1);
    QVERIFY(!queue.durable && queue.exclusive && queue.autoDelete);
    QCOMPARE(queue.arguments, (FieldTable{{u"a"_s, 1}}));
    QVERIFY(queue.withDurable().durable);
    QVERIFY(!queue.withExclusive(false).exclusive);

    const ExchangeOptions exchange =
        ExchangeOptions().withDurable(false).withAutoDelete().withInternal().withArgument(u"b"_s, 2);
    QVERIFY(!exchange.durable && exchange.autoDelete && exchange.internal);
    QCOMPARE(exchange.arguments, (FieldTable{{u"b"_s, 2}}));

    const ConsumeOptions consume = ConsumeOptions()
                                       .withConsumerTag(u"tag"_s)
                                       .withAckMode(AckMode::AfterDelivery)
                                       .withExclusive()
                                       .withNoLocal()
                                       .withResubscribe()
                                       .withPrefetch(7)
                                       .withArgument(u"c"_s, 3);
    QCOMPARE(consume.consumerTag, u"tag"_s);
    QCOMPARE(consume.ackMode, AckMode::AfterDelivery);
    QVERIFY(consume.exclusive && consume.noLocal && consume.resubscribe);
    QCOMPARE(consume.prefetch, std::optional<quint16>(7));
    QCOMPARE(consume.arguments, (FieldTable{{u"c"_s, 3}}));
}

QTEST_APPLESS_MAIN(tst_Options)
#include "tst_options.moc"
