// SPDX-License-Identifier: MIT
#include "support/script.h"

#include <QtCore/qregularexpression.h>
#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

Q_DECLARE_METATYPE(AmqpQt::QueueOptions)

// RabbitMQ 4.3 denies or ignores calls that earlier versions accept, and closes the connection for some of them. A
// warning precedes such a call.
class tst_DeniedFeatures : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void queueIsWarnedOf_data();
    void queueIsWarnedOf();
    void queueIsDeclaredWithoutAWarning_data();
    void queueIsDeclaredWithoutAWarning();
    void prefetchOfTheWholeChannelIsWarnedOf();
    void prefetchOfConsumersIsNotWarnedOf();
    void callThatWaitedForTheConnectionIsWarnedOf();
    void passiveDeclarationIsNotWarnedOf();
    void otherBrokersAreNotWarnedOf_data();
    void otherBrokersAreNotWarnedOf();

private:
    static QByteArray properties(const QString &version, const QString &product = u"RabbitMQ"_s);
    static void expectWarning(const char *method, const QString &text);
    static void expectNoWarning() { QTest::failOnWarning(QRegularExpression(u"RabbitMQ"_s)); }
};

QByteArray tst_DeniedFeatures::properties(const QString &version, const QString &product)
{
    QVariantMap table = rabbitMqProperties();
    table.insert(u"version"_s, version);
    table.insert(u"product"_s, product);
    return Wire::encodeTable(table, u"server properties"_s).value();
}

void tst_DeniedFeatures::expectWarning(const char *method, const QString &text)
{
    QTest::ignoreMessage(QtWarningMsg,
                         QRegularExpression(u"^%1: RabbitMQ 4\\.3 and later may deny or ignore this: .*%2"_s.arg(
                             QLatin1StringView(method), text)));
}

void tst_DeniedFeatures::queueIsWarnedOf_data()
{
    QTest::addColumn<QueueOptions>("options");
    QTest::addColumn<QString>("text");
    QTest::newRow("transient") << QueueOptions{.durable = false} << u"neither durable nor exclusive; declare"_s;
    QTest::newRow("transient, auto-delete")
        << QueueOptions{.durable = false, .autoDelete = true} << u"neither durable nor exclusive; declare"_s;
    QTest::newRow("mode") << QueueOptions().withArgument(u"x-queue-mode"_s, u"lazy"_s) << u"x-queue-mode"_s;
    QTest::newRow("version") << QueueOptions().withArgument(u"x-queue-version"_s, 1) << u"x-queue-version"_s;
    QTest::newRow("locator") << QueueOptions().withArgument(u"x-queue-master-locator"_s, u"random"_s)
                             << u"withLeaderLocator"_s;
    QTest::newRow("timeout") << QueueOptions::stream().withConsumerTimeout(std::chrono::seconds(1))
                             << u"the type is stream"_s;
}

void tst_DeniedFeatures::queueIsWarnedOf()
{
    QFETCH(QueueOptions, options);
    QFETCH(QString, text);
    Script s;
    s.openTo(properties(u"4.3.0"_s));
    Engine::ChannelEngine &channel = s.openChannel();
    expectWarning("queue.declare", u"queue \"q\": .*"_s + text);
    QVERIFY(channel.topology().declareQueue(u"q"_s, options, false));
    s.expectSent<Wire::QueueDeclare>(); // the configuration of the broker may permit it
}

void tst_DeniedFeatures::queueIsDeclaredWithoutAWarning_data()
{
    QTest::addColumn<QueueOptions>("options");
    QTest::newRow("default") << QueueOptions();
    QTest::newRow("temporary") << QueueOptions::temporary();
    QTest::newRow("auto-delete") << QueueOptions{.autoDelete = true};
    QTest::newRow("quorum") << QueueOptions::quorum().withConsumerTimeout(std::chrono::seconds(1));
    QTest::newRow("timeout of the default type") << QueueOptions().withConsumerTimeout(std::chrono::seconds(1));
    QTest::newRow("version 2") << QueueOptions().withArgument(u"x-queue-version"_s, 2);
}

void tst_DeniedFeatures::queueIsDeclaredWithoutAWarning()
{
    QFETCH(QueueOptions, options);
    expectNoWarning();
    Script s;
    s.openTo(properties(u"4.3.6"_s));
    Engine::ChannelEngine &channel = s.openChannel();
    QVERIFY(channel.topology().declareQueue(u"q"_s, options, false));
    s.expectSent<Wire::QueueDeclare>();
}

void tst_DeniedFeatures::prefetchOfTheWholeChannelIsWarnedOf()
{
    Script s;
    s.openTo(properties(u"4.10.0"_s));
    Engine::ChannelEngine &channel = s.openChannel();
    expectWarning("basic.qos", u"PrefetchScope::PerConsumer"_s);
    QVERIFY(channel.subscriptions().setPrefetch(10, true));
    s.expectSent<Wire::BasicQos>();
}

void tst_DeniedFeatures::prefetchOfConsumersIsNotWarnedOf()
{
    expectNoWarning();
    Script s;
    s.openTo(properties(u"4.3.0"_s));
    Engine::ChannelEngine &channel = s.openChannel();
    QVERIFY(channel.subscriptions().setPrefetch(10, false));
    s.expectSent<Wire::BasicQos>();
}

void tst_DeniedFeatures::callThatWaitedForTheConnectionIsWarnedOf()
{
    Script s;
    s.start();
    Engine::ChannelEngine &channel = s.newChannel();
    QVERIFY(channel.open());
    QVERIFY(channel.topology().declareQueue(u"q"_s, {.durable = false}, false));
    s.brokerStart(properties(u"4.3.0"_s)).expectSent<Wire::ConnectionStartOk>();
    expectWarning("queue.declare", u"neither durable nor exclusive"_s);
    s.broker(Wire::ConnectionTune{.channelMax = 2047, .frameMax = 131072}).broker(Wire::ConnectionOpenOk{});
    s.expectSent<Wire::ConnectionTuneOk>().expectSent<Wire::ConnectionOpen>().expectEvent<Engine::Opened>();
    s.expectSent<Wire::ChannelOpen>().expectSent<Wire::QueueDeclare>();
}

void tst_DeniedFeatures::passiveDeclarationIsNotWarnedOf()
{
    expectNoWarning();
    Script s;
    s.openTo(properties(u"4.3.0"_s));
    Engine::ChannelEngine &channel = s.openChannel();
    QVERIFY(channel.topology().declareQueue(u"q"_s, {.durable = false}, true));
    s.expectSent<Wire::QueueDeclare>();
}

void tst_DeniedFeatures::otherBrokersAreNotWarnedOf_data()
{
    QTest::addColumn<QString>("version");
    QTest::addColumn<QString>("product");
    QTest::newRow("3.10") << u"3.10.8"_s << u"RabbitMQ"_s;
    QTest::newRow("4.2") << u"4.2.9"_s << u"RabbitMQ"_s;
    QTest::newRow("no number") << u"new"_s << u"RabbitMQ"_s;
    QTest::newRow("another product") << u"4.3.0"_s << u"LavinMQ"_s;
}

void tst_DeniedFeatures::otherBrokersAreNotWarnedOf()
{
    QFETCH(QString, version);
    QFETCH(QString, product);
    expectNoWarning();
    Script s;
    s.openTo(properties(version, product));
    Engine::ChannelEngine &channel = s.openChannel();
    QVERIFY(channel.topology().declareQueue(u"q"_s, {.durable = false}, false));
    QVERIFY(channel.subscriptions().setPrefetch(10, true));
    s.expectSent<Wire::QueueDeclare>().expectSent<Wire::BasicQos>();
}

QTEST_APPLESS_MAIN(tst_DeniedFeatures)
#include "tst_deniedfeatures.moc"
