// SPDX-License-Identifier: MIT
#include "engine/channelparts.h"

#include <functional>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

using Call = std::function<Result<Engine::CallId>(Engine::TopologyCalls &)>;
Q_DECLARE_METATYPE(Call)

class tst_TopologyCalls : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void anEmptyNameIsTheLastDeclaredQueue();
    void theBrokersNameIsUsedOnceItIsKnown();
    void theNameOfAnEarlierQueueIsIgnored();
    void theEndForgetsTheQueue();
    void callsForWhichTheBrokerWouldCloseTheChannelAreRejected_data();
    void callsForWhichTheBrokerWouldCloseTheChannelAreRejected();
    void aReservedNameMayBeInspected();
    void optionsAreInTheMethod();
    void aClosedChannelRejectsAllCalls_data();
    void aClosedChannelRejectsAllCalls();
};

void tst_TopologyCalls::anEmptyNameIsTheLastDeclaredQueue()
{
    ChannelParts t;
    QVERIFY(t.topology.declareQueue(u"first"_s, {}, false));
    QVERIFY(t.topology.declareQueue(u"second"_s, {}, false));
    QCOMPARE(t.topology.lastQueue(), u"second"_s);
    t.s.expectSent<Wire::QueueDeclare>().expectSent<Wire::QueueDeclare>();
    QVERIFY(t.topology.purgeQueue({}));
    QVERIFY(t.topology.purgeQueue(u"first"_s));
    QVERIFY(t.topology.bindQueue({}, u"x"_s, {}, {}));
    QVERIFY(t.topology.bindQueue({}, u"x"_s, u"key"_s, {}));
    QVERIFY(t.topology.unbindQueue(u"first"_s, u"x"_s, {}, {}));
    t.s.expectSent(Wire::QueuePurge{.queue = "second"}).expectSent(Wire::QueuePurge{.queue = "first"});
    t.s.expectSent(Wire::QueueBind{.queue = "second", .exchange = "x", .routingKey = "second"});
    t.s.expectSent(Wire::QueueBind{.queue = "second", .exchange = "x", .routingKey = "key"});
    t.s.expectSent(Wire::QueueUnbind{.queue = "first", .exchange = "x", .routingKey = ""}).expectNothingSent();
}

void tst_TopologyCalls::theBrokersNameIsUsedOnceItIsKnown()
{
    ChannelParts t;
    const auto declaring = t.topology.declareQueue({}, {}, false);
    t.sent<Wire::QueueDeclare>(*declaring);
    QVERIFY(t.topology.deleteQueue({}, false, false)); // for the broker, too, this is the last declared queue
    t.s.expectSent(Wire::QueueDelete{.queue = ""});
    t.topology.on(Wire::QueueDeclareOk{.queue = "amq.gen-1", .messageCount = 2, .consumerCount = 3});
    const auto info = t.s.takeReply<QueueInfo>(*declaring);
    QCOMPARE(info.name, u"amq.gen-1"_s);
    QCOMPARE(info.messageCount, 2u);
    QCOMPARE(info.consumerCount, 3u);
    QVERIFY(t.topology.deleteQueue({}, true, true));
    t.s.expectSent(Wire::QueueDelete{.queue = "amq.gen-1", .ifUnused = true, .ifEmpty = true}).expectNothingSent();
}

void tst_TopologyCalls::theNameOfAnEarlierQueueIsIgnored()
{
    ChannelParts t;
    const auto first = t.topology.declareQueue({}, {}, false);
    const auto second = t.topology.declareQueue(u"second"_s, {}, false);
    t.sent<Wire::QueueDeclare>(*first);
    t.sent<Wire::QueueDeclare>(*second);
    t.topology.on(Wire::QueueDeclareOk{.queue = "amq.gen-1"});
    QCOMPARE(t.s.takeReply<QueueInfo>(*first).name, u"amq.gen-1"_s);
    QCOMPARE(t.topology.lastQueue(), u"second"_s);
}

void tst_TopologyCalls::theEndForgetsTheQueue()
{
    ChannelParts t;
    QVERIFY(t.topology.declareQueue(u"q"_s, {}, false));
    t.topology.clear();
    const Result<Engine::CallId> purging = t.topology.purgeQueue({});
    QCOMPARE(purging.error().kind(), ErrorKind::InvalidArgument);
    QVERIFY2(purging.error().text().startsWith(u"queue: "_s), qPrintable(purging.error().text()));
}

void tst_TopologyCalls::callsForWhichTheBrokerWouldCloseTheChannelAreRejected_data()
{
    QTest::addColumn<Call>("call");
    QTest::addColumn<QString>("argument");
    const auto row = [](const char *name, const QString &argument, const Call &call) {
        QTest::newRow(name) << call << argument;
    };
    using Calls = Engine::TopologyCalls;
    row("queue amq.", u"queue"_s, [](Calls &c) { return c.declareQueue(u"amq.q"_s, {}, false); });
    row("dead letters without an exchange", u"arguments"_s, [](Calls &c) {
        return c.declareQueue(u"q"_s, {.arguments = {{u"x-dead-letter-routing-key"_s, u"k"_s}}}, false);
    });
    row("exclusive quorum queue", u"options"_s, [](Calls &c) {
        return c.declareQueue(u"q"_s, {.exclusive = true, .arguments = {{u"x-queue-type"_s, u"quorum"_s}}}, false);
    });
    row("stream without a name", u"options"_s, [](Calls &c) {
        return c.declareQueue({}, {.arguments = {{u"x-queue-type"_s, u"stream"_s}}}, false);
    });
    row("long name", u"queue"_s, [](Calls &c) { return c.deleteQueue(QString(256, u'q'), false, false); });
    row("binding to the default exchange", u"exchange"_s, [](Calls &c) { return c.bindQueue(u"q"_s, {}, {}, {}); });
    row("unbinding from the default exchange", u"exchange"_s,
        [](Calls &c) { return c.unbindQueue(u"q"_s, {}, {}, {}); });
    row("binding of the default exchange", u"destination"_s,
        [](Calls &c) { return c.bindExchange({}, u"x"_s, {}, {}); });
    row("binding an exchange to the default exchange", u"source"_s,
        [](Calls &c) { return c.unbindExchange(u"x"_s, {}, {}, {}); });
    row("default exchange", u"exchange"_s, [](Calls &c) { return c.declareExchange({}, u"direct"_s, {}, false); });
    row("exchange without a type", u"type"_s, [](Calls &c) { return c.declareExchange(u"x"_s, {}, {}, false); });
    row("deletion of the default exchange", u"exchange"_s, [](Calls &c) { return c.deleteExchange({}, false); });
    row("deletion of amq.", u"exchange"_s, [](Calls &c) { return c.deleteExchange(u"amq.topic"_s, false); });
}

void tst_TopologyCalls::callsForWhichTheBrokerWouldCloseTheChannelAreRejected()
{
    QFETCH(const Call, call);
    QFETCH(const QString, argument);
    ChannelParts t;
    const Result<Engine::CallId> result = call(t.topology);
    QCOMPARE(result.error().kind(), ErrorKind::InvalidArgument);
    QVERIFY2(result.error().text().startsWith(argument + u": "_s), qPrintable(result.error().text()));
    QCOMPARE(t.topology.lastQueue(), QString());
    t.s.expectNothingSent();
}

void tst_TopologyCalls::aReservedNameMayBeInspected()
{
    ChannelParts t;
    QVERIFY(t.topology.declareQueue(u"amq.q"_s, {}, true));
    QVERIFY(t.topology.declareExchange(u"amq.topic"_s, {}, {}, true));
    t.s.expectSent<Wire::QueueDeclare>([](const Wire::QueueDeclare &sent) {
        QVERIFY(sent.passive);
        QCOMPARE(sent.queue, QByteArrayView("amq.q"));
    });
    t.s.expectSent<Wire::ExchangeDeclare>([](const Wire::ExchangeDeclare &sent) {
        QVERIFY(sent.passive);
        QCOMPARE(sent.exchange, QByteArrayView("amq.topic"));
    });
}

void tst_TopologyCalls::optionsAreInTheMethod()
{
    ChannelParts t;
    QVERIFY(t.topology.declareQueue(u"q"_s, {.durable = false, .exclusive = true, .autoDelete = true}, false));
    QVERIFY(t.topology.declareExchange(u"x"_s, u"fanout"_s, {.durable = true, .autoDelete = true, .internal = true},
                                       false));
    QVERIFY(t.topology.deleteExchange(u"x"_s, true));
    QVERIFY(t.topology.bindExchange(u"to"_s, u"from"_s, u"key"_s, {}));
    t.s.expectSent<Wire::QueueDeclare>([](const Wire::QueueDeclare &sent) {
        QVERIFY(!sent.passive && !sent.durable && sent.exclusive && sent.autoDelete);
    });
    t.s.expectSent<Wire::ExchangeDeclare>([](const Wire::ExchangeDeclare &sent) {
        QCOMPARE(sent.type, QByteArrayView("fanout"));
        QVERIFY(!sent.passive && sent.durable && sent.autoDelete && sent.internal);
    });
    t.s.expectSent(Wire::ExchangeDelete{.exchange = "x", .ifUnused = true});
    t.s.expectSent(Wire::ExchangeBind{.destination = "to", .source = "from", .routingKey = "key"});
}

void tst_TopologyCalls::aClosedChannelRejectsAllCalls_data()
{
    QTest::addColumn<Call>("call");
    QTest::addColumn<QString>("method");
    const auto row = [](const char *method, const Call &call) {
        QTest::newRow(method) << call << QString::fromLatin1(method);
    };
    using Calls = Engine::TopologyCalls;
    row("queue.declare", [](Calls &c) { return c.declareQueue(u"q"_s, {}, false); });
    row("queue.delete", [](Calls &c) { return c.deleteQueue(u"q"_s, false, false); });
    row("queue.purge", [](Calls &c) { return c.purgeQueue(u"q"_s); });
    row("queue.bind", [](Calls &c) { return c.bindQueue(u"q"_s, u"x"_s, {}, {}); });
    row("queue.unbind", [](Calls &c) { return c.unbindQueue(u"q"_s, u"x"_s, {}, {}); });
    row("exchange.declare", [](Calls &c) { return c.declareExchange(u"x"_s, u"topic"_s, {}, false); });
    row("exchange.delete", [](Calls &c) { return c.deleteExchange(u"x"_s, false); });
    row("exchange.bind", [](Calls &c) { return c.bindExchange(u"y"_s, u"x"_s, {}, {}); });
    row("exchange.unbind", [](Calls &c) { return c.unbindExchange(u"y"_s, u"x"_s, {}, {}); });
}

void tst_TopologyCalls::aClosedChannelRejectsAllCalls()
{
    QFETCH(const Call, call);
    QFETCH(const QString, method);
    ChannelParts t;
    QVERIFY(t.channel.close());
    t.s.expectSent<Wire::ChannelClose>();
    const Result<Engine::CallId> result = call(t.topology);
    QCOMPARE(result.error().kind(), ErrorKind::NotOpen);
    QVERIFY2(result.error().text().contains(method) || result.error().method() == method,
             qPrintable(result.error().toString()));
    t.s.expectNothingSent();
}

QTEST_APPLESS_MAIN(tst_TopologyCalls)
#include "tst_topologycalls.moc"
