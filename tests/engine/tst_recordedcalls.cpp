// SPDX-License-Identifier: MIT
#include "support/script.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

// The calls and consumers of channels that reach the connection's record of its topology.
class tst_RecordedCalls : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void everyDeclarationIsRecorded();
    void nothingIsRecordedWithoutADeclaration();
    void passiveDeclarationsAreNotRecorded();
    void refusedDeclarationsAreNotRecorded();
    void channelsShareTheRecord();
    void queueWithoutANameIsRecordedWithItsName();
    void emptyKeyIsTheNameOfTheQueue();
    void cancelRemovesTheQueue_data();
    void cancelRemovesTheQueue();
    void callsOfAChannelThatReplaysAreNotRecorded();
    void heldCallsFollowNewNames();
    void lastQueueFollowsItsNewName();
    void endOfTheConnectionClearsTheRecord();
    void failedAttemptKeepsCallsThatWait();
};

namespace
{

struct Recording : Script {
    Recording() { open(); }

    QStringList contents() const
    {
        QStringList contents;
        const Engine::TopologyRecord *record = const_cast<Engine::ConnectionEngine &>(engine).recordedTopology();
        if (!record)
            return contents;
        for (const auto &exchange : record->confirmed().exchanges())
            contents += exchange.name;
        for (const auto &queue : record->confirmed().queues())
            contents += queue.name;
        for (const auto kind : {Engine::Binding::Destination::Exchange, Engine::Binding::Destination::Queue}) {
            for (const auto &binding : record->confirmed().bindings(kind))
                contents += binding.destination + u'<' + binding.source + u' ' + binding.routingKey;
        }
        return contents;
    }
    void declareQueue(Engine::ChannelEngine &channel, const QByteArray &name, const QueueOptions &options = {})
    {
        const auto declaring = channel.topology().declareQueue(QString::fromUtf8(name), options, false);
        expectSent<Wire::QueueDeclare>(channel.number());
        broker(Wire::QueueDeclareOk{.queue = name}, channel.number());
        takeReply<QueueInfo>(*declaring);
    }
    template <typename Method>
    void answer(const Result<Engine::CallId> &call, const Method &reply, quint16 channel = 1)
    {
        broker(reply, channel);
        expectReply(*call);
    }
};

} // namespace

void tst_RecordedCalls::everyDeclarationIsRecorded()
{
    Recording t;
    auto &calls = t.openChannel().topology();
    const auto x = calls.declareExchange(u"x"_s, u"headers"_s, {.durable = false, .internal = true}, false);
    const auto y = calls.declareExchange(u"y"_s, u"fanout"_s, {}, false);
    const auto q = calls.declareQueue(u"q"_s, {.durable = false, .arguments = {{u"x-expires"_s, 9}}}, false);
    const auto bindingExchange = calls.bindExchange(u"y"_s, u"x"_s, u"e"_s, {{u"h"_s, 1}});
    const auto bindingQueue = calls.bindQueue(u"q"_s, u"y"_s, u"k"_s, {{u"h"_s, 2}});
    QCOMPARE(t.contents(), QStringList());
    t.answer(x, Wire::ExchangeDeclareOk{});
    t.answer(y, Wire::ExchangeDeclareOk{});
    t.answer(q, Wire::QueueDeclareOk{.queue = "q"});
    t.answer(bindingExchange, Wire::ExchangeBindOk{});
    t.answer(bindingQueue, Wire::QueueBindOk{});
    QCOMPARE(t.contents(), QStringList({u"x"_s, u"y"_s, u"q"_s, u"y<x e"_s, u"q<y k"_s}));

    const Engine::Declarations &confirmed = t.engine.recordedTopology()->confirmed();
    QCOMPARE(confirmed.exchange(u"x"_s)->type, u"headers"_s);
    QVERIFY(!confirmed.exchange(u"x"_s)->options.durable && confirmed.exchange(u"x"_s)->options.internal);
    QVERIFY(!confirmed.queue(u"q"_s)->options.durable);
    QCOMPARE(confirmed.queue(u"q"_s)->options.arguments, FieldTable({{u"x-expires"_s, 9}}));
    QCOMPARE(confirmed.bindings(Engine::Binding::Destination::Queue).front().arguments, FieldTable({{u"h"_s, 2}}));

    const auto otherArguments = calls.unbindQueue(u"q"_s, u"y"_s, u"k"_s, {{u"h"_s, 1}});
    t.answer(otherArguments, Wire::QueueUnbindOk{});
    QCOMPARE(t.contents().size(), 5);
    const auto unbindingQueue = calls.unbindQueue(u"q"_s, u"y"_s, u"k"_s, {{u"h"_s, 2}});
    const auto unbindingExchange = calls.unbindExchange(u"y"_s, u"x"_s, u"e"_s, {{u"h"_s, 1}});
    t.answer(unbindingQueue, Wire::QueueUnbindOk{});
    t.answer(unbindingExchange, Wire::ExchangeUnbindOk{});
    QCOMPARE(t.contents(), QStringList({u"x"_s, u"y"_s, u"q"_s}));
    const auto deletingQueue = calls.deleteQueue(u"q"_s, false, false);
    const auto deletingExchange = calls.deleteExchange(u"x"_s, false);
    t.answer(deletingQueue, Wire::QueueDeleteOk{});
    t.answer(deletingExchange, Wire::ExchangeDeleteOk{});
    QCOMPARE(t.contents(), QStringList{u"y"_s});
}

void tst_RecordedCalls::nothingIsRecordedWithoutADeclaration()
{
    Recording t;
    auto &channel = t.openChannel();
    const auto purging = channel.topology().purgeQueue(u"q"_s);
    t.answer(purging, Wire::QueuePurgeOk{});
    QVERIFY(!t.engine.recordedTopology());
}

void tst_RecordedCalls::passiveDeclarationsAreNotRecorded()
{
    Recording t;
    auto &calls = t.openChannel().topology();
    const auto queue = calls.declareQueue(u"q"_s, {}, true);
    const auto exchange = calls.declareExchange(u"x"_s, {}, {}, true);
    t.answer(queue, Wire::QueueDeclareOk{.queue = "q"});
    t.answer(exchange, Wire::ExchangeDeclareOk{});
    QCOMPARE(t.contents(), QStringList());
}

void tst_RecordedCalls::refusedDeclarationsAreNotRecorded()
{
    Recording t;
    auto &channel = t.openChannel();
    t.declareQueue(channel, "q");
    QVERIFY(channel.topology().declareExchange(u"x"_s, u"topic"_s, {}, false));
    QVERIFY(channel.topology().deleteQueue(u"q"_s, false, false)); // not processed by the broker
    t.broker(Wire::ChannelClose{.replyCode = 406, .replyText = "PRECONDITION_FAILED"});
    t.takeEvents();
    QCOMPARE(t.contents(), QStringList{u"q"_s});
}

void tst_RecordedCalls::channelsShareTheRecord()
{
    Recording t;
    auto &first = t.openChannel();
    auto &second = t.openChannel(2);
    t.declareQueue(first, "a");
    t.declareQueue(second, "b");
    const auto deleting = second.topology().deleteQueue(u"a"_s, false, false);
    t.answer(deleting, Wire::QueueDeleteOk{}, 2);
    QCOMPARE(t.contents(), QStringList{u"b"_s});
}

void tst_RecordedCalls::queueWithoutANameIsRecordedWithItsName()
{
    Recording t;
    auto &calls = t.openChannel().topology();
    const auto declaring = calls.declareQueue({}, QueueOptions::temporary(), false);
    const auto binding = calls.bindQueue({}, u"amq.topic"_s, u"k"_s, {});
    const auto other = calls.declareQueue(u"other"_s, {}, false);
    t.broker(Wire::QueueDeclareOk{.queue = "amq.gen-1"});
    t.broker(Wire::QueueBindOk{});
    t.broker(Wire::QueueDeclareOk{.queue = "other"});
    t.takeReply<QueueInfo>(*declaring);
    t.expectReply(*binding).takeReply<QueueInfo>(*other);
    QCOMPARE(t.contents(), QStringList({u"amq.gen-1"_s, u"other"_s, u"amq.gen-1<amq.topic k"_s}));
    QVERIFY(t.engine.recordedTopology()->confirmed().queue(u"amq.gen-1"_s)->isNamedByBroker);
    QVERIFY(!t.engine.recordedTopology()->confirmed().queue(u"other"_s)->isNamedByBroker);
}

void tst_RecordedCalls::emptyKeyIsTheNameOfTheQueue()
{
    Recording t;
    auto &calls = t.openChannel().topology();
    const auto declaring = calls.declareQueue({}, {.exclusive = true}, false);
    const auto early = calls.bindQueue({}, u"amq.direct"_s, {}, {}); // the name is not known yet
    t.broker(Wire::QueueDeclareOk{.queue = "amq.gen-1"}).broker(Wire::QueueBindOk{});
    t.takeReply<QueueInfo>(*declaring);
    t.expectReply(*early);
    const auto late = calls.bindQueue({}, u"amq.topic"_s, {}, {});
    t.answer(late, Wire::QueueBindOk{});
    QCOMPARE(t.contents(),
             QStringList({u"amq.gen-1"_s, u"amq.gen-1<amq.direct amq.gen-1"_s, u"amq.gen-1<amq.topic amq.gen-1"_s}));
    t.engine.recordedTopology()->queueRenamed(u"amq.gen-1"_s, u"amq.gen-2"_s);
    QCOMPARE(t.contents(),
             QStringList({u"amq.gen-2"_s, u"amq.gen-2<amq.direct amq.gen-2"_s, u"amq.gen-2<amq.topic amq.gen-2"_s}));
}

void tst_RecordedCalls::cancelRemovesTheQueue_data()
{
    QTest::addColumn<QString>("end");
    QTest::addColumn<bool>("isRemoved");
    QTest::newRow("cancel") << u"cancel"_s << true;
    QTest::newRow("cancel by the broker") << u"broker"_s << true;
    QTest::newRow("close of the channel") << u"close"_s << true;
    QTest::newRow("release of the channel") << u"release"_s << true;
    QTest::newRow("close of the channel by the broker") << u"error"_s << true;
    QTest::newRow("none") << u"none"_s << false;
}

void tst_RecordedCalls::cancelRemovesTheQueue()
{
    QFETCH(const QString, end);
    QFETCH(const bool, isRemoved);
    Recording t;
    auto &channel = t.openChannel();
    auto &declaring = t.openChannel(2);
    t.declareQueue(declaring, "queue", QueueOptions::temporary());
    const auto consumer = t.subscribe(channel, u"tag"_s);
    QCOMPARE(t.contents(), QStringList{u"queue"_s});
    if (end == u"cancel"_s) {
        const auto cancelling = channel.subscriptions().cancel(*consumer);
        QCOMPARE(t.contents(), QStringList{u"queue"_s});
        t.broker(Wire::BasicCancelOk{.consumerTag = "tag"});
        t.takeReply<Engine::CancelResult>(cancelling);
    } else if (end == u"broker"_s) {
        t.broker(Wire::BasicCancel{.consumerTag = "tag", .noWait = true});
        t.expectEvent<Engine::ConsumerCancelled>();
    } else if (end == u"close"_s) {
        QVERIFY(channel.close());
        t.broker(Wire::BasicCancelOk{.consumerTag = "tag"}).broker(Wire::ChannelCloseOk{});
        t.takeEvents();
    } else if (end == u"release"_s) {
        channel.release();
    } else if (end == u"error"_s) {
        t.broker(Wire::ChannelClose{.replyCode = 404, .replyText = "NOT_FOUND"});
        t.takeEvents();
    }
    QCOMPARE(t.contents().isEmpty(), isRemoved);
}

void tst_RecordedCalls::callsOfAChannelThatReplaysAreNotRecorded()
{
    Recording t;
    auto &channel = t.openChannel();
    channel.setRecorded(false);
    t.declareQueue(channel, "q");
    t.subscribe(channel, u"tag"_s);
    QVERIFY(!t.engine.recordedTopology());
    channel.setRecorded(true);
    t.declareQueue(channel, "r");
    QCOMPARE(t.contents(), QStringList{u"r"_s});
}

void tst_RecordedCalls::heldCallsFollowNewNames()
{
    Recording t;
    t.checksRules = false; // the broker knows only the old name
    auto &channel = t.openChannel();
    auto &calls = channel.topology();
    const auto declaring = calls.declareQueue({}, {.exclusive = true}, false);
    t.expectSent<Wire::QueueDeclare>().broker(Wire::QueueDeclareOk{.queue = "amq.gen-1"});
    t.takeReply<QueueInfo>(*declaring);
    t.answer(channel.txSelect(), Wire::TxSelectOk{});
    const auto committing = channel.txCommit(); // holds the calls that follow
    t.expectSent<Wire::TxSelect>().expectSent<Wire::TxCommit>();
    QVERIFY(calls.bindQueue({}, u"x"_s, {}, {}));
    QVERIFY(calls.bindQueue(u"amq.gen-1"_s, u"x"_s, u"amq.gen-1"_s, {{u"h"_s, 1}})); // a key of the application
    QVERIFY(calls.unbindQueue(u"other"_s, u"x"_s, u"amq.gen-1"_s, {}));
    QVERIFY(channel.get(u"amq.gen-1"_s, true));
    QVERIFY(channel.subscriptions().consume(u"amq.gen-1"_s, {.consumerTag = u"tag"_s}, &t));
    QVERIFY(calls.purgeQueue({}));
    QVERIFY(calls.deleteQueue(u"amq.gen-1"_s, true, false));
    channel.publish({}, u"amq.gen-1"_s, Wire::encodeProperties({}), "body",
                    false); // the key belongs to the application
    t.expectNothingSent();

    t.engine.recordedTopology()->queueRenamed(u"amq.gen-1"_s, u"amq.gen-2"_s);
    t.engine.gate().renameQueues({{u"amq.gen-1"_s, u"amq.gen-2"_s}, {u"unknown"_s, u"amq.gen-3"_s}});
    t.answer(committing, Wire::TxCommitOk{});
    t.expectSent(Wire::QueueBind{.queue = "amq.gen-2", .exchange = "x", .routingKey = "amq.gen-2"});
    t.expectSent<Wire::QueueBind>([](const Wire::QueueBind &sent) {
        QCOMPARE(sent.queue, QByteArrayView("amq.gen-2"));
        QCOMPARE(sent.routingKey, QByteArrayView("amq.gen-1"));
        QVERIFY(!sent.arguments.contents.isEmpty());
    });
    t.expectSent(Wire::QueueUnbind{.queue = "other", .exchange = "x", .routingKey = "amq.gen-1"});
    t.expectSent(Wire::BasicGet{.queue = "amq.gen-2", .noAck = true});
    t.expectSent<Wire::BasicConsume>([](const Wire::BasicConsume &sent) {
        QCOMPARE(sent.queue, QByteArrayView("amq.gen-2"));
        QCOMPARE(sent.consumerTag, QByteArrayView("tag"));
    });
    t.expectSent(Wire::QueuePurge{.queue = "amq.gen-2"});
    t.expectSent(Wire::QueueDelete{.queue = "amq.gen-2", .ifUnused = true});
    t.expectPublished("body", "amq.gen-1").expectNothingSent();
    t.broker(Wire::QueueBindOk{}).broker(Wire::QueueBindOk{});
    t.takeEvents();
    QCOMPARE(t.contents(), QStringList({u"amq.gen-2"_s, u"amq.gen-2<x amq.gen-2"_s, u"amq.gen-2<x amq.gen-1"_s}));
}

void tst_RecordedCalls::lastQueueFollowsItsNewName()
{
    Recording t;
    auto &calls = t.openChannel().topology();
    const auto declaring = calls.declareQueue({}, {.exclusive = true}, false);
    t.broker(Wire::QueueDeclareOk{.queue = "amq.gen-1"});
    t.takeReply<QueueInfo>(*declaring);
    t.engine.gate().renameQueues({{u"other"_s, u"amq.gen-3"_s}});
    QCOMPARE(calls.lastQueue(), u"amq.gen-1"_s);
    t.engine.gate().renameQueues({{u"amq.gen-1"_s, u"amq.gen-2"_s}});
    QCOMPARE(calls.lastQueue(), u"amq.gen-2"_s);
}

void tst_RecordedCalls::endOfTheConnectionClearsTheRecord()
{
    Recording t;
    t.declareQueue(t.openChannel(), "q");
    t.engine.transportClosed(Error(ErrorKind::Network, u"lost"_s));
    t.takeEvents();
    QVERIFY(!t.engine.recordedTopology());
}

void tst_RecordedCalls::failedAttemptKeepsCallsThatWait()
{
    Script t;
    auto &channel = t.newChannel();
    QVERIFY(channel.open());
    const auto declaring = channel.topology().declareQueue(u"q"_s, {}, false);
    t.start();
    t.engine.transportClosed(Error(ErrorKind::Network, u"lost"_s));
    t.takeEvents();
    t.open();
    t.broker(Wire::ChannelOpenOk{}).broker(Wire::QueueDeclareOk{.queue = "q"});
    t.takeEvents();
    QCOMPARE(t.engine.recordedTopology()->confirmed().queues().size(), size_t(1));
    Q_UNUSED(declaring)
}

QTEST_APPLESS_MAIN(tst_RecordedCalls)
#include "tst_recordedcalls.moc"
