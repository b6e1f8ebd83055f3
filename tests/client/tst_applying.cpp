// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"

#include <QtCore/qset.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Channel::apply() and Connection::topology(), with a scripted peer that has a few queues and exchanges.
class tst_Applying : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void everythingIsDeclaredInOrder();
    void emptyTopologyIsComplete();
    void existingEntitiesAreTold();
    void refusedEntitiesDoNotEndTheOthers();
    void mismatchFollowsThePolicy_data();
    void mismatchFollowsThePolicy();
    void missingFollowsThePolicy_data();
    void missingFollowsThePolicy();
    void waitingEndsWhenTheExchangeAppears();
    void invalidEntitiesFailByThemselves();
    void closedChannelRejectsTheCall();
    void endOfTheChannelOrConnectionEndsTheReply_data();
    void endOfTheChannelOrConnectionEndsTheReply();
    void resultMayDeleteEverything();
    void appliesBeforeTheConnectionIsOpen();
    void declarationsAreRecorded();
    void recordEndsWithTheConnection();
};

namespace
{

// What a broker has, and refuses.
struct Contents {
    QSet<QString> existing;        // queues and exchanges
    QSet<QString> differing;       // those that exist with other options
    QSet<QString> hidden;          // those that exist, but must not be inspected
    QMap<QString, quint16> denied; // reply codes of declarations
};

// Makes the peer answer declarations and bindings by its contents. A channel that is being closed answers nothing.
void serve(ScriptedPeer &peer, const std::shared_ptr<Contents> &contents)
{
    peer.setHook([&peer, contents, closing = QSet<quint16>()](const Command &command) mutable {
        if (command.name == "channel.close-ok")
            closing.remove(command.channel);
        if (command.channel == 0 || command.name == "channel.open" || command.name == "channel.close-ok")
            return false;
        if (closing.contains(command.channel))
            return true;
        const auto text = [&](const char *field) { return command.fields.value(QLatin1StringView(field)).toString(); };
        const auto refuse = [&](quint16 replyCode) {
            closing.insert(command.channel);
            peer.closeChannel(command.channel, replyCode, "refused");
            return true;
        };
        const bool isQueue = command.name == "queue.declare";
        if (isQueue || command.name == "exchange.declare") {
            const QString name = isQueue ? text("queue") : text("exchange");
            if (command.fields.value(u"passive"_s).toBool()) {
                if (contents->hidden.contains(name))
                    return refuse(403);
                return contents->existing.contains(name) ? false : refuse(404);
            }
            if (contents->denied.contains(name))
                return refuse(contents->denied.value(name));
            if (contents->differing.contains(name))
                return refuse(406);
            contents->existing.insert(name);
        } else if (command.name == "queue.bind") {
            if (!contents->existing.contains(text("queue")) || !contents->existing.contains(text("exchange")))
                return refuse(404);
        } else if (command.name == "exchange.bind") {
            if (!contents->existing.contains(text("source")) || !contents->existing.contains(text("destination")))
                return refuse(404);
        }
        return false;
    });
}

struct Serving {
    explicit Serving(const RecoveryPolicy &policy = {})
        : client([&] {
            serve(peer, contents);
            ConnectionParameters parameters = parametersOf(peer);
            parameters.setRecoveryPolicy(policy);
            return parameters;
        }())
    {
    }

    Result<TopologyReport> apply(const Topology &topology)
    {
        const Reply<TopologyReport> reply = client.channel->apply(topology);
        if (reply.isFinished())
            qFatal("the reply has finished within the call");
        if (!waitUntil([&] { return reply.isFinished(); }))
            return Error(ErrorKind::Timeout, u"the test has waited long enough"_s);
        return reply.result();
    }

    std::shared_ptr<Contents> contents = std::make_shared<Contents>();
    ScriptedPeer peer;
    OpenClient client;
};

QStringList briefly(const QList<EntityFailure> &failures)
{
    QStringList list;
    for (const EntityFailure &failure : failures)
        list += failure.entity + u' ' + brief(failure.error);
    return list;
}

QString bindingText(const QString &queue, const QString &exchange, const QString &key = {})
{
    return u"binding of queue \"%1\" to exchange \"%2\" with the routing key \"%3\""_s.arg(queue, exchange, key);
}

} // namespace

void tst_Applying::everythingIsDeclaredInOrder()
{
    Serving t;
    Topology topology;
    topology.bind(u"q"_s, u"y"_s, u"key"_s, {{u"h"_s, 1}})
        .bindExchange(u"y"_s, u"x"_s)
        .queue(u"q"_s, {.durable = false, .exclusive = true})
        .exchange(u"x"_s, ExchangeType::Headers, {.autoDelete = true})
        .exchange(u"y"_s, ExchangeType::Topic);
    const auto report = t.apply(topology);
    QVERIFY(report);
    QCOMPARE(report->created, QStringList({u"exchange \"x\""_s, u"exchange \"y\""_s, u"queue \"q\""_s}));
    QCOMPARE(report->existed, QStringList());
    QCOMPARE(report->bound, QStringList({u"binding of exchange \"y\" to exchange \"x\" with the routing key \"\""_s,
                                         bindingText(u"q"_s, u"y"_s, u"key"_s) + u" and the arguments h"_s}));
    QVERIFY(report->isComplete());
    const Command queue = t.peer.last("queue.declare");
    QVERIFY(!queue.fields.value(u"durable"_s).toBool() && queue.fields.value(u"exclusive"_s).toBool());
    QCOMPARE(t.peer.last("queue.bind").fields.value(u"routing-key"_s).toString(), u"key"_s);
    QCOMPARE(t.peer.last("queue.bind").fields.value(u"arguments"_s).toMap(), QVariantMap({{u"h"_s, 1}}));
    QCOMPARE(t.peer.last("exchange.bind").fields.value(u"source"_s).toString(), u"x"_s);
    QVERIFY(t.client.channel->isOpen()); // the refusals were elsewhere
    QCOMPARE(t.client.connection.channels(), QList<Channel *>{t.client.channel});
    QCOMPARE(t.peer.violations(), QStringList());
}

void tst_Applying::emptyTopologyIsComplete()
{
    Serving t;
    const auto report = t.apply({});
    QVERIFY(report);
    QVERIFY(report->isComplete());
    QVERIFY(report->created.isEmpty() && report->existed.isEmpty() && report->bound.isEmpty());
}

void tst_Applying::existingEntitiesAreTold()
{
    Serving t;
    t.contents->existing = {u"q1"_s, u"x1"_s};
    t.contents->hidden = {u"hidden"_s};
    Topology topology;
    topology.queue(u"hidden"_s);
    for (int i = 0; i < 3; ++i)
        topology.queue(u"q%1"_s.arg(i)).exchange(u"x%1"_s.arg(i), ExchangeType::Fanout);
    topology.bind(u"q1"_s, u"x1"_s);
    auto report = t.apply(topology);
    QVERIFY(report);
    QCOMPARE(report->created,
             QStringList({u"exchange \"x0\""_s, u"exchange \"x2\""_s, u"queue \"q0\""_s, u"queue \"q2\""_s}));
    QCOMPARE(report->existed,
             QStringList({u"exchange \"x1\""_s, u"queue \"hidden\""_s, u"queue \"q1\""_s})); // it is not missing
    QCOMPARE(report->bound, QStringList{bindingText(u"q1"_s, u"x1"_s)});
    report = t.apply(topology); // again
    QVERIFY(report);
    QCOMPARE(report->created, QStringList());
    QCOMPARE(report->existed.size(), 7);
    QCOMPARE(report->bound.size(), 1);
    QCOMPARE(t.peer.violations(), QStringList());
}

void tst_Applying::refusedEntitiesDoNotEndTheOthers()
{
    Serving t;
    t.contents->existing = {u"differs"_s, u"locked"_s, u"amq.topic"_s};
    t.contents->differing = {u"differs"_s};
    t.contents->denied = {{u"denied"_s, 403}, {u"locked"_s, 405}, {u"invalid"_s, 406}};
    Topology topology;
    for (const QString &name : {u"a"_s, u"differs"_s, u"denied"_s, u"b"_s, u"locked"_s, u"invalid"_s, u"c"_s}) {
        topology.queue(name);
        topology.bind(name, u"amq.topic"_s);
    }
    topology.bind(u"c"_s, u"missing"_s);
    const auto report = t.apply(topology);
    QVERIFY(report);
    QCOMPARE(report->created, QStringList({u"queue \"a\""_s, u"queue \"b\""_s, u"queue \"c\""_s}));
    QCOMPARE(briefly(report->differs), QStringList{u"queue \"differs\" ChannelClosed 406"_s});
    QCOMPARE(briefly(report->failed),
             QStringList({u"queue \"denied\" ChannelClosed 403"_s, u"queue \"locked\" ChannelClosed 405"_s,
                          u"queue \"invalid\" ChannelClosed 406"_s,
                          bindingText(u"differs"_s, u"amq.topic"_s) + u" ChannelClosed 406"_s,
                          bindingText(u"denied"_s, u"amq.topic"_s) + u" ChannelClosed 403"_s,
                          bindingText(u"locked"_s, u"amq.topic"_s) + u" ChannelClosed 405"_s,
                          bindingText(u"invalid"_s, u"amq.topic"_s) + u" ChannelClosed 406"_s,
                          bindingText(u"c"_s, u"missing"_s) + u" ChannelClosed 404"_s}));
    QCOMPARE(report->bound, QStringList({bindingText(u"a"_s, u"amq.topic"_s), bindingText(u"b"_s, u"amq.topic"_s),
                                         bindingText(u"c"_s, u"amq.topic"_s)}));
    QVERIFY(!report->isComplete());
    QCOMPARE(report->failures().size(), 9);
    QVERIFY(t.client.channel->isOpen());
    QCOMPARE(t.peer.violations(), QStringList());
}

void tst_Applying::mismatchFollowsThePolicy_data()
{
    QTest::addColumn<RecoveryPolicy::Mismatch>("policy");
    QTest::addColumn<QStringList>("bound");
    QTest::newRow("skip") << RecoveryPolicy::Mismatch::SkipAndReport << QStringList();
    QTest::newRow("use") << RecoveryPolicy::Mismatch::UseExisting
                         << QStringList{u"binding of queue \"q\" to exchange \"x\" with the routing key \"\""_s};
    QTest::newRow("fail") << RecoveryPolicy::Mismatch::Fail << QStringList();
}

void tst_Applying::mismatchFollowsThePolicy()
{
    QFETCH(const RecoveryPolicy::Mismatch, policy);
    QFETCH(const QStringList, bound);
    Serving t(RecoveryPolicy().withMismatch(policy));
    t.contents->existing = {u"q"_s, u"x"_s};
    t.contents->differing = {u"q"_s, u"x"_s};
    const auto report = t.apply(Topology().exchange(u"x"_s, ExchangeType::Direct).queue(u"q"_s).bind(u"q"_s, u"x"_s));
    if (policy == RecoveryPolicy::Mismatch::Fail) {
        QCOMPARE(brief(report.error()), u"ChannelClosed 406"_s);
        return;
    }
    QVERIFY(report);
    QCOMPARE(briefly(report->differs),
             QStringList({u"exchange \"x\" ChannelClosed 406"_s, u"queue \"q\" ChannelClosed 406"_s}));
    QCOMPARE(report->bound, bound);
    QCOMPARE(report->failed.size(), 1 - bound.size());
}

void tst_Applying::missingFollowsThePolicy_data()
{
    QTest::addColumn<RecoveryPolicy::Missing>("policy");
    QTest::newRow("skip") << RecoveryPolicy::Missing::SkipAndReport;
    QTest::newRow("fail") << RecoveryPolicy::Missing::Fail;
}

void tst_Applying::missingFollowsThePolicy()
{
    QFETCH(const RecoveryPolicy::Missing, policy);
    Serving t(RecoveryPolicy().withMissing(policy));
    const auto report = t.apply(Topology().queue(u"q"_s).bind(u"q"_s, u"missing"_s));
    if (policy == RecoveryPolicy::Missing::Fail) {
        QCOMPARE(brief(report.error()), u"ChannelClosed 404"_s);
    } else {
        QVERIFY(report);
        QCOMPARE(briefly(report->failed), QStringList{bindingText(u"q"_s, u"missing"_s) + u" ChannelClosed 404"_s});
        QCOMPARE(report->created, QStringList{u"queue \"q\""_s});
    }
}

void tst_Applying::waitingEndsWhenTheExchangeAppears()
{
    Serving t(RecoveryPolicy().withMissing(RecoveryPolicy::Missing::Wait).withDelays(200ms, 200ms));
    const auto reply = t.client.channel->apply(
        Topology().queue(u"q"_s).bind(u"q"_s, u"late"_s).bind(u"late queue"_s, u"late"_s).bind(u"q"_s, u"q"_s));
    QVERIFY(waitUntil([&] { return t.peer.count("queue.bind") >= 9; })); // tried several times
    QVERIFY(!reply.isFinished());
    t.contents->existing += {u"late"_s};
    QVERIFY(waitUntil([&] { return t.peer.count("queue.bind") >= 15; }));
    QVERIFY(!reply.isFinished());
    t.contents->existing += {u"late queue"_s};
    QVERIFY(waitUntil([&] { return reply.isFinished(); }));
    QVERIFY(reply.result());
    QStringList bound = reply.result()->bound;
    bound.sort();
    QCOMPARE(bound, QStringList({bindingText(u"late queue"_s, u"late"_s), bindingText(u"q"_s, u"late"_s),
                                 bindingText(u"q"_s, u"q"_s)}));
    QCOMPARE(t.peer.violations(), QStringList());
}

void tst_Applying::invalidEntitiesFailByThemselves()
{
    Serving t;
    t.contents->existing = {u"x"_s};
    const QString longName(256, u'q');
    Topology topology;
    topology.queue({})
        .queue(longName)
        .queue(u"amq.q"_s)
        .queue(u"good"_s)
        .exchange({}, ExchangeType::Topic)
        .exchange(u"no type"_s, {})
        .bind({}, u"x"_s)
        .bind(longName, u"x"_s)
        .bind(u"good"_s, u"x"_s, {}, {{u"h"_s, qQNaN()}})
        .bind(u"good"_s, u"x"_s);
    const auto report = t.apply(topology);
    QVERIFY(report);
    QCOMPARE(report->created, QStringList{u"queue \"good\""_s});
    QCOMPARE(report->bound, QStringList{bindingText(u"good"_s, u"x"_s)});
    QCOMPARE(report->failed.size(), 8);
    for (const EntityFailure &failure : report->failed)
        QCOMPARE(failure.error.kind(), ErrorKind::InvalidArgument);
    QVERIFY(t.client.channel->isOpen());
}

void tst_Applying::closedChannelRejectsTheCall()
{
    Serving t;
    t.client.channel->close();
    const auto reply = t.client.channel->apply(Topology().queue(u"q"_s));
    QVERIFY(reply.isFinished());
    QCOMPARE(reply.result().error().kind(), ErrorKind::NotOpen);
    QCOMPARE(t.client.channel->lastCallError(), reply.result().error());
}

void tst_Applying::endOfTheChannelOrConnectionEndsTheReply_data()
{
    QTest::addColumn<QString>("end");
    QTest::addColumn<QString>("error");
    QTest::newRow("channel closed") << u"close"_s << u"Cancelled"_s;
    QTest::newRow("channel closed by the broker") << u"broker"_s << u"ChannelClosed 404"_s;
    QTest::newRow("channel deleted") << u"delete"_s << u"Cancelled"_s;
    QTest::newRow("connection closed") << u"close connection"_s << u"Cancelled"_s;
    QTest::newRow("connection lost") << u"lose connection"_s << u"Network"_s;
    QTest::newRow("connection deleted") << u"delete connection"_s << u"Cancelled"_s;
}

void tst_Applying::endOfTheChannelOrConnectionEndsTheReply()
{
    QFETCH(const QString, end);
    QFETCH(const QString, error);
    ScriptedPeer peer;
    peer.withhold("exchange.declare-ok");
    peer.withhold("queue.declare-ok");
    auto client = std::make_unique<OpenClient>(withoutRecovery(peer));
    QObject context;
    QStringList ends;
    const auto reply =
        client->channel->apply(Topology().exchange(u"x"_s, ExchangeType::Topic).queue(u"q"_s).bind(u"q"_s, u"x"_s));
    reply.then(&context, [&](const Result<TopologyReport> &result) { ends += brief(result.error()); });
    QVERIFY(waitUntil([&] { return peer.count("exchange.declare") > 0; }));
    if (end == u"close"_s)
        client->channel->close();
    else if (end == u"broker"_s)
        peer.closeChannel(client->channel->number(), 404, "NOT_FOUND");
    else if (end == u"delete"_s)
        delete client->channel;
    else if (end == u"close connection"_s)
        client->connection.abort();
    else if (end == u"lose connection"_s)
        peer.dropConnection();
    else
        client.reset();
    QVERIFY(waitUntil([&] { return !ends.isEmpty(); }));
    settleEvents();
    QCOMPARE(ends, QStringList{error});
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Applying::resultMayDeleteEverything()
{
    ScriptedPeer peer;
    auto client = std::make_unique<OpenClient>(peer);
    QObject context;
    bool isDone = false;
    client->channel->apply(Topology().queue(u"q"_s)).then(&context, [&] {
        client.reset();
        isDone = true;
    });
    QVERIFY(waitUntil([&] { return isDone; }));
    settleEvents();
}

void tst_Applying::appliesBeforeTheConnectionIsOpen()
{
    ScriptedPeer peer;
    Connection connection(parametersOf(peer));
    const auto reply = connection.createChannel()->apply(Topology().queue(u"q"_s));
    settleEvents();
    QVERIFY(!reply.isFinished());
    connection.open();
    QVERIFY(waitUntil([&] { return reply.isFinished(); }));
    QVERIFY(reply.result());
    QCOMPARE(reply.result()->existed, QStringList{u"queue \"q\""_s}); // the peer has every queue
}

void tst_Applying::declarationsAreRecorded()
{
    Serving t;
    t.contents->existing = {u"known"_s};
    QVERIFY(t.client.connection.topology().isEmpty());
    t.client.channel->declareExchange(u"x"_s, ExchangeType::Topic, {.autoDelete = true});
    const Topology applied = Topology().queue(u"q"_s).bind(u"q"_s, u"x"_s, u"k"_s, {{u"h"_s, 1}});
    QVERIFY(t.apply(applied));
    Channel *other = t.client.connection.createChannel();
    const auto inspecting = other->inspectQueue(u"known"_s); // is not recorded
    QVERIFY(waitUntil([&] { return inspecting.isFinished(); }));
    const Topology recorded = t.client.connection.topology();
    QCOMPARE(recorded.entities(), QStringList{u"exchange \"x\""_s} + applied.entities());
    QVERIFY(recorded.containsBinding(u"q"_s, u"x"_s, u"k"_s, {{u"h"_s, 1}}));
    const auto deleting = other->deleteQueue(u"q"_s);
    QVERIFY(waitUntil([&] { return deleting.isFinished(); }));
    QVERIFY(t.client.connection.topology().isEmpty()); // the exchange has lost its last binding
    QVERIFY(recorded.containsQueue(u"q"_s));           // a value
}

void tst_Applying::recordEndsWithTheConnection()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    const auto declaring = client.channel->declareQueue(u"q"_s);
    QVERIFY(waitUntil([&] { return declaring.isFinished(); }));
    QVERIFY(client.connection.topology().containsQueue(u"q"_s));
    client.connection.close();
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
    QVERIFY(client.connection.topology().isEmpty());
}

QTEST_GUILESS_MAIN(tst_Applying)

#include "tst_applying.moc"
