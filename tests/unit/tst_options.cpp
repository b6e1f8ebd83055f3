// SPDX-License-Identifier: MIT
#include <AmqpQt/options.h>

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

class tst_Options : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void defaultsLoseNothing();
    void temporaryQueueBelongsToItsConnection();
    void queueTypesAreDurableAndNamedByAString_data();
    void queueTypesAreDurableAndNamedByAString();
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

void tst_Options::designatedInitialisersKeepTheOtherDefaults()
{
    const QueueOptions queue{.exclusive = true};
    QVERIFY(queue.durable && queue.exclusive);

    const ConsumeOptions consume{.ackMode = AckMode::NoAck, .prefetch = quint16(0)};
    QCOMPARE(consume.ackMode, AckMode::NoAck);
    QVERIFY(consume.prefetch.has_value()); // 0 is "any number", which is not "the channel's"
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
    const BackpressureReasons reasons = Backpressure::BrokerBlocked | Backpressure::ChannelFlow;
    QCOMPARE(QMetaEnum::fromType<BackpressureReasons>().valueToKeys(int(reasons)), "BrokerBlocked|ChannelFlow");
}

QTEST_APPLESS_MAIN(tst_Options)
#include "tst_options.moc"
