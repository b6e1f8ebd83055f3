// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"
#include "client/connection/connection_p.h"

#include <AmqpQt/recovery.h>

#include <QtCore/qset.h>

#include <memory>
#include <optional>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Tests what a connection restores after a loss: its topology first, then its channels and consumers.
class tst_Restoring : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void topologyComesBeforeTheChannels();
    void channelsAreHeldUntilTheTopologyIsDeclared();
    void deletedEntitiesAreNotDeclaredAgain();
    void topologyMayBeLeftAlone();
    void nothingRecordedNeedsNoReplay();
    void renamedQueuesAreFollowed();
    void consumersAreAwaited();
    void refusedEntityIsReported_data();
    void refusedEntityIsReported();
    void missingEntityIsReported_data();
    void missingEntityIsReported();
    void missingEntityIsWaitedFor();
    void removedBindingIsNotWaitedFor();
    void lockedQueueIsTriedAgain_data();
    void lockedQueueIsTriedAgain();
    void lossDuringTheReplayStartsOver();
    void manyLossesAreRecoveredFromOnceEach();
    void givingUpEndsTheChannels_data();
    void givingUpEndsTheChannels();
    void openEndsWithTheRecovery();
    void endDuringTheReplay_data();
    void endDuringTheReplay();
    void slotMayDeleteTheConnection_data();
    void slotMayDeleteTheConnection();
};

namespace
{

constexpr std::chrono::milliseconds Shortest = 200ms;

// A client of a scripted peer that recovers, with one channel.
class Restoring
{
public:
    explicit Restoring(const RecoveryPolicy &policy = {})
        : connection(parameters(policy.withDelays(Shortest, Shortest, 1.0)))
        , channel(connection.createChannel())
    {
        log.watch(&connection);
        QObject::connect(&connection, &Connection::recovered, &connection, [this](const RecoveryReport &report) {
            log.add(u"recovered"_s);
            reports.append(report);
        });
        QObject::connect(&connection, &Connection::queueRenamed, &connection,
                         [this](const QString &from, const QString &to) { log.add(from + u" is "_s + to); });
        peer.setHook([this](const Command &command) { return refuses(command); });
        connection.open();
        if (!waitUntil([this] { return channel->isOpen(); }))
            qFatal("the connection does not open");
    }

    // Waits until the broker has answered everything so far.
    bool isAnswered()
    {
        const Reply<QueueInfo> last = channel->declareQueue(u"last"_s);
        return waitUntil([&] { return last.isFinished(); }) && last.result();
    }
    void lose()
    {
        peer.forgetReceived();
        log.entries.clear();
        peer.dropConnection();
    }
    bool isRecovered(qsizetype times = 1)
    {
        return waitUntil([&] { return reports.size() >= times; });
    }
    bool recover()
    {
        const qsizetype before = reports.size();
        lose();
        return isRecovered(before + 1);
    }
    // What arrived on all channels since the loss.
    QStringList sent() const
    {
        QStringList commands;
        for (const Command &command : peer.received()) {
            const QString name = QString::fromLatin1(command.name);
            const auto field = [&](const char *key) { return command.fields.value(QLatin1StringView(key)).toString(); };
            if (command.channel == 0 || name == u"channel.close-ok")
                continue;
            if (name == u"exchange.declare")
                commands += u"exchange "_s + field("exchange");
            else if (name == u"queue.declare")
                commands += u"queue "_s + field("queue");
            else if (name == u"queue.bind")
                commands += field("queue") + u'<' + field("exchange");
            else if (name == u"exchange.bind")
                commands += field("destination") + u'<' + field("source");
            else if (name == u"basic.consume")
                commands += u"consume "_s + field("queue");
            else
                commands += name;
        }
        return commands;
    }

    ScriptedPeer peer;
    // Returns the reply code with which the peer refuses a command, and the text.
    std::function<std::optional<std::pair<quint16, QByteArray>>(const Command &)> refusal;
    std::function<bool(const Command &)> hook;
    SignalLog log;
    QList<RecoveryReport> reports;
    Connection connection;
    Channel *channel;

private:
    ConnectionParameters parameters(const RecoveryPolicy &policy) const
    {
        ConnectionParameters result = parametersOf(peer);
        result.setRecoveryPolicy(policy);
        return result;
    }
    // As RabbitMQ does, answers nothing else on a channel that it closes.
    bool refuses(const Command &command)
    {
        const std::pair channelOfConnection(command.connection, command.channel);
        if (command.name == "channel.close-ok")
            m_closing.remove(channelOfConnection);
        if (m_closing.contains(channelOfConnection))
            return true;
        if (const auto refused = refusal ? refusal(command) : std::nullopt) {
            m_closing.insert(channelOfConnection);
            const QByteArray text = refused->second;
            peer.send(command.channel, Wire::ChannelClose{.replyCode = refused->first,
                                                          .replyText = QByteArrayView(text),
                                                          .classId = command.id.classId,
                                                          .methodId = command.id.methodId});
            return true;
        }
        return hook && hook(command);
    }

    QSet<std::pair<int, quint16>> m_closing;
};

bool is(const Command &command, const char *name, const char *field, const QString &value)
{
    return command.name == name && command.fields.value(QLatin1StringView(field)).toString() == value;
}

// Declares an exchange, two queues and their bindings, and starts a consumer of each.
void setUp(Restoring &client)
{
    client.channel->declareExchange(u"x"_s, ExchangeType::Topic);
    for (const QString &queue : {u"a"_s, u"b"_s}) {
        client.channel->declareQueue(queue);
        client.channel->bindQueue(queue, u"x"_s, queue);
        client.channel->consume(queue);
    }
    QVERIFY(client.isAnswered());
}

} // namespace

void tst_Restoring::topologyComesBeforeTheChannels()
{
    Restoring client;
    setUp(client);
    QVERIFY(client.recover());
    QCOMPARE(client.sent(), QStringList({u"channel.open"_s, u"exchange x"_s, u"queue a"_s, u"queue b"_s,
                                         u"queue last"_s, u"a<x"_s, u"b<x"_s, u"channel.close"_s, u"channel.open"_s,
                                         u"basic.qos"_s, u"consume a"_s, u"consume b"_s}));
    QCOMPARE(client.reports.size(), 1);
    const RecoveryReport report = client.reports.constFirst();
    QCOMPARE(report.exchanges, 1);
    QCOMPARE(report.queues, 3);
    QCOMPARE(report.bindings, 2);
    QCOMPARE(report.consumers, 2);
    QCOMPARE(report.failures(), QStringList());
    QCOMPARE(report.renamedQueues, QVariantMap());
    client.log.entries.removeIf(comesOncePerTurn);
    QCOMPARE(client.log.entries,
             QStringList({u"connection.errorOccurred Network"_s, u"connection.stateChanged Recovering"_s,
                          u"connection.reconnecting 1"_s, u"connection.stateChanged Open"_s, u"recovered"_s}));
    for (const Consumer *consumer : client.channel->consumers())
        QCOMPARE(consumer->state(), Consumer::State::Active);
    QCOMPARE(client.connection.channels(), QList<Channel *>{client.channel});
    QCOMPARE(client.peer.violations(), QStringList());
}

void tst_Restoring::channelsAreHeldUntilTheTopologyIsDeclared()
{
    Restoring client;
    setUp(client);
    bool isWithheld = true;
    client.hook = [&](const Command &command) { return isWithheld && command.name == "queue.bind"; };
    client.lose();
    QVERIFY(waitUntil([&] { return client.peer.count("queue.bind") == 2; }));
    const Reply<QueueInfo> declared = client.channel->declareQueue(u"c"_s);
    QCOMPARE(client.connection.state(), Connection::State::Recovering);
    QCOMPARE(client.channel->state(), Channel::State::Recovering);
    QCOMPARE(client.peer.count("channel.open"), 1); // of the library
    isWithheld = false;
    client.peer.send(client.peer.last("queue.bind").channel, Wire::QueueBindOk{});
    settleEvents();
    QCOMPARE(client.peer.count("channel.open"), 1);
    client.peer.send(client.peer.last("queue.bind").channel, Wire::QueueBindOk{});
    QVERIFY(client.isRecovered());
    QVERIFY(waitUntil([&] { return declared.isFinished(); }));
    QVERIFY(declared.result());
    QCOMPARE(client.sent().mid(8),
             QStringList({u"channel.open"_s, u"basic.qos"_s, u"consume a"_s, u"consume b"_s, u"queue c"_s}));
}

void tst_Restoring::deletedEntitiesAreNotDeclaredAgain()
{
    Restoring client;
    setUp(client);
    const std::unique_ptr<Channel> other(client.connection.createChannel());
    const Reply<quint32> deleted = other->deleteQueue(u"a"_s);
    QVERIFY(waitUntil([&] { return deleted.isFinished(); }));
    QVERIFY(client.recover());
    QVERIFY(!client.sent().contains(u"queue a"_s));
    QVERIFY(!client.sent().contains(u"a<x"_s));
    QVERIFY(client.sent().contains(u"b<x"_s));
}

void tst_Restoring::topologyMayBeLeftAlone()
{
    Restoring client(RecoveryPolicy().withTopology(false));
    setUp(client);
    QVERIFY(client.recover());
    QCOMPARE(client.sent(), QStringList({u"channel.open"_s, u"basic.qos"_s, u"consume a"_s, u"consume b"_s}));
    QCOMPARE(client.reports.constFirst().queues, 0);
    QCOMPARE(client.reports.constFirst().consumers, 2);
}

void tst_Restoring::nothingRecordedNeedsNoReplay()
{
    Restoring client;
    QVERIFY(client.recover());
    QCOMPARE(client.sent(), QStringList{u"channel.open"_s});
    QVERIFY(client.connection.isOpen());
    QVERIFY(client.reports.constFirst().isComplete());
}

void tst_Restoring::renamedQueuesAreFollowed()
{
    Restoring client;
    const Reply<QueueInfo> declared = client.channel->declareTemporaryQueue();
    QVERIFY(waitUntil([&] { return declared.isFinished(); }));
    const QString first = declared.result()->name;
    client.channel->bindQueue(first, u"x"_s, u"key"_s);
    Consumer *consumer = client.channel->consume(first);
    QVERIFY(client.isAnswered());
    QSignalSpy renamed(consumer, &Consumer::queueChanged);
    QString before = first;
    for (int loss = 1; loss <= 2; ++loss) {
        QVERIFY(client.recover());
        const QString now = consumer->queue();
        QVERIFY(now != before);
        QCOMPARE(client.sent(),
                 QStringList({u"channel.open"_s, u"queue "_s, u"queue last"_s, now + u"<x"_s, u"channel.close"_s,
                              u"channel.open"_s, u"basic.qos"_s, u"consume "_s + now}));
        QCOMPARE(client.reports.constLast().renamedQueues, (QVariantMap{{before, now}}));
        QCOMPARE(client.log.countOf(before + u" is "_s + now), 1);
        QVERIFY(client.log.entries.indexOf(before + u" is "_s + now) < client.log.entries.indexOf(u"recovered"_s));
        QCOMPARE(renamed.size(), loss);
        QVERIFY(client.connection.topology().containsBinding(now, u"x"_s, u"key"_s));
        before = now;
    }
}

void tst_Restoring::consumersAreAwaited()
{
    Restoring client;
    setUp(client);
    client.refusal = [](const Command &command) -> std::optional<std::pair<quint16, QByteArray>> {
        if (is(command, "basic.consume", "queue", u"b"_s))
            return std::pair(quint16(403), QByteArray("ACCESS_REFUSED"));
        return std::nullopt;
    };
    bool isWithheld = true;
    client.hook = [&](const Command &command) { return isWithheld && is(command, "basic.consume", "queue", u"a"_s); };
    client.lose();
    QVERIFY(waitUntil([&] { return client.peer.count("basic.consume") == 2; }));
    QVERIFY(client.isRecovered());
    QStringList failures = client.reports.constFirst().failures();
    QCOMPARE(failures.size(), 2); // the peer has closed the channel of both
    QVERIFY2(failures.last().contains(u"queue \"b\""_s) && failures.last().contains(u"ACCESS_REFUSED"_s),
             qPrintable(failures.join(u'\n')));
    QVERIFY(client.connection.isOpen());
}

void tst_Restoring::refusedEntityIsReported_data()
{
    QTest::addColumn<RecoveryPolicy::Mismatch>("policy");
    QTest::addColumn<bool>("binds");
    QTest::newRow("skip") << RecoveryPolicy::Mismatch::SkipAndReport << false;
    QTest::newRow("use") << RecoveryPolicy::Mismatch::UseExisting << true;
    QTest::newRow("fail") << RecoveryPolicy::Mismatch::Fail << false;
}

void tst_Restoring::refusedEntityIsReported()
{
    QFETCH(const RecoveryPolicy::Mismatch, policy);
    QFETCH(const bool, binds);
    Restoring client(RecoveryPolicy().withMismatch(policy));
    setUp(client);
    client.refusal = [](const Command &command) -> std::optional<std::pair<quint16, QByteArray>> {
        if (is(command, "queue.declare", "queue", u"a"_s))
            return std::pair(quint16(406), QByteArray("PRECONDITION_FAILED"));
        return std::nullopt;
    };
    client.lose();
    if (policy == RecoveryPolicy::Mismatch::Fail) {
        QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
        settleEvents();
        QCOMPARE(client.log.only(u"connection.closed"_s), QStringList{u"connection.closed ChannelClosed 406"_s});
        QCOMPARE(client.channel->state(), Channel::State::Closed);
        QCOMPARE(client.reports.size(), 0);
        return;
    }
    QVERIFY(client.isRecovered());
    const RecoveryReport report = client.reports.constFirst();
    QCOMPARE(report.failed.size(), binds ? 1 : 2);
    QCOMPARE(report.failed.constFirst().entity, u"queue \"a\""_s);
    QCOMPARE(report.failed.constFirst().error.replyCode(), quint16(406));
    QCOMPARE(report.queues, 2);
    QCOMPARE(report.bindings, binds ? 2 : 1);
    QCOMPARE(client.sent().contains(u"a<x"_s), binds);
    QVERIFY(client.connection.isOpen());
}

static std::optional<std::pair<quint16, QByteArray>> refuseBindingOfA(const Command &command)
{
    if (is(command, "queue.bind", "queue", u"a"_s))
        return std::pair(quint16(404), QByteArray("NOT_FOUND - no exchange 'x' in vhost '/'"));
    return std::nullopt;
}

void tst_Restoring::missingEntityIsReported_data()
{
    QTest::addColumn<RecoveryPolicy::Missing>("policy");
    QTest::newRow("skip") << RecoveryPolicy::Missing::SkipAndReport;
    QTest::newRow("fail") << RecoveryPolicy::Missing::Fail;
}

void tst_Restoring::missingEntityIsReported()
{
    QFETCH(const RecoveryPolicy::Missing, policy);
    Restoring client(RecoveryPolicy().withMissing(policy));
    setUp(client);
    client.refusal = refuseBindingOfA;
    client.lose();
    if (policy == RecoveryPolicy::Missing::Fail) {
        QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
        QCOMPARE(brief(client.connection.error()), u"ChannelClosed 404"_s);
        return;
    }
    QVERIFY(client.isRecovered());
    QCOMPARE(client.reports.constFirst().failed.size(), 1);
    QVERIFY(client.reports.constFirst().failures().constFirst().contains(u"no exchange 'x'"_s));
    QCOMPARE(client.reports.constFirst().bindings, 1);
    QCOMPARE(client.sent().count(u"b<x"_s), 2); // the broker has not processed it the first time
}

// The channels do not wait for it.
void tst_Restoring::missingEntityIsWaitedFor()
{
    Restoring client(RecoveryPolicy().withMissing(RecoveryPolicy::Missing::Wait));
    setUp(client);
    client.refusal = refuseBindingOfA;
    client.lose();
    QVERIFY(client.isRecovered());
    QCOMPARE(client.reports.constFirst().failed.size(), 1);
    QVERIFY(client.isAnswered());
    client.refusal = {};
    client.peer.forgetReceived();
    QVERIFY(waitUntil([&] { return client.sent().contains(u"a<x"_s); }));
    QCOMPARE(client.reports.size(), 1);
}

void tst_Restoring::removedBindingIsNotWaitedFor()
{
    Restoring client(RecoveryPolicy().withMissing(RecoveryPolicy::Missing::Wait));
    setUp(client);
    QMap<QString, int> tries;
    client.refusal = [&](const Command &command) -> std::optional<std::pair<quint16, QByteArray>> {
        if (command.name != "queue.bind")
            return std::nullopt;
        ++tries[command.fields.value(u"queue"_s).toString()];
        return std::pair(quint16(404), QByteArray("NOT_FOUND - no exchange 'x' in vhost '/'"));
    };
    client.lose();
    QVERIFY(client.isRecovered());
    const Reply<void> removed = client.channel->unbindQueue(u"a"_s, u"x"_s, u"a"_s);
    QVERIFY(waitUntil([&] { return removed.isFinished(); }));
    QVERIFY(removed.result());
    const auto waitForTry = [&] {
        const int before = tries[u"b"_s];
        return waitUntil([&] { return tries[u"b"_s] > before; });
    };
    QVERIFY(waitForTry()); // both may have been under way
    QVERIFY(waitForTry());
    const int before = tries[u"a"_s];
    QVERIFY(waitForTry());
    QVERIFY(waitForTry());
    QCOMPARE(tries[u"a"_s], before);
}

void tst_Restoring::lockedQueueIsTriedAgain_data()
{
    QTest::addColumn<quint16>("code");
    QTest::addColumn<QByteArray>("text");
    QTest::newRow("locked") << quint16(405) << QByteArray("RESOURCE_LOCKED - cannot obtain exclusive access");
    QTest::newRow("node down") << quint16(404)
                               << QByteArray(
                                      "NOT_FOUND - home node 'r@h' of durable queue 'a' is down or inaccessible");
}

void tst_Restoring::lockedQueueIsTriedAgain()
{
    QFETCH(const quint16, code);
    QFETCH(const QByteArray, text);
    Restoring client;
    setUp(client);
    int refusals = 0;
    client.refusal = [&](const Command &command) -> std::optional<std::pair<quint16, QByteArray>> {
        if (is(command, "queue.declare", "queue", u"a"_s) && ++refusals <= 2)
            return std::pair(code, text);
        return std::nullopt;
    };
    QVERIFY(client.recover());
    QCOMPARE(refusals, 3);
    QCOMPARE(client.reports.constFirst().failures(), QStringList());
    QCOMPARE(client.reports.constFirst().bindings, 2);
}

void tst_Restoring::lossDuringTheReplayStartsOver()
{
    Restoring client;
    setUp(client);
    int attempts = 0;
    client.hook = [&](const Command &command) {
        static const QByteArrayList moments{"exchange.declare", "queue.bind", "basic.consume"};
        if (attempts == moments.size() || command.name != moments.at(attempts))
            return false;
        ++attempts;
        QTimer::singleShot(0, &client.peer, [&] { client.peer.dropConnection(); });
        return true;
    };
    client.lose();
    QVERIFY(client.isRecovered());
    settle(client.connection);
    QCOMPARE(attempts, 3);
    QCOMPARE(client.reports.size(), 1);
    QCOMPARE(client.reports.constFirst().queues, 3);
    QCOMPARE(client.reports.constFirst().consumers, 2);
    QCOMPARE(client.log.countOf(u"connection.stateChanged Recovering"_s), 1);
    QCOMPARE(client.log.only(u"connection.reconnecting"_s).constLast(), u"connection.reconnecting 4"_s);
}

void tst_Restoring::manyLossesAreRecoveredFromOnceEach()
{
    Restoring client;
    setUp(client);
    for (int loss = 1; loss <= 5; ++loss) {
        QVERIFY(client.recover());
        QVERIFY(client.isAnswered());
        QCOMPARE(client.reports.size(), loss);
        QCOMPARE(client.reports.constLast().consumers, 2);
        QCOMPARE(client.peer.count("basic.consume"), 2);
        QCOMPARE(client.peer.count("channel.open"), 2);
        QCOMPARE(client.peer.count("channel.close"), 1);
    }
    QCOMPARE(client.peer.violations(), QStringList());
}

void tst_Restoring::givingUpEndsTheChannels_data()
{
    QTest::addColumn<QString>("cause");
    QTest::addColumn<QString>("error");
    QTest::newRow("limit") << u"limit"_s << u"Network"_s;
    QTest::newRow("virtual host deleted") << u"530"_s << u"ConnectionClosed 530"_s;
    QTest::newRow("recovery disabled") << u"disabled"_s << u"Network"_s;
}

void tst_Restoring::givingUpEndsTheChannels()
{
    QFETCH(const QString, cause);
    QFETCH(const QString, error);
    Restoring client(RecoveryPolicy().withMaximumAttempts(1));
    setUp(client);
    Consumer *consumer = client.channel->consumers().constFirst();
    client.log.watch(client.channel);
    client.log.watch(consumer);
    if (cause == u"530"_s)
        client.peer.closeInsteadOf("connection.open-ok", 530, "NOT_ALLOWED - vhost / not found");
    else
        client.peer.setListening(false);
    client.lose();
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Recovering; }));
    client.log.watch(client.channel->declareQueue(u"c"_s), u"declareQueue"_s);
    if (cause == u"disabled"_s)
        client.connection.setParameters(withoutRecovery(client.peer));
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
    settleEvents();
    QCOMPARE(client.channel->state(), Channel::State::Closed);
    QCOMPARE(client.log.only(u"reply.declareQueue"_s), QStringList{u"reply.declareQueue "_s + error});
    QCOMPARE(client.log.only(u"channel.closed"_s), QStringList{u"channel.closed "_s + error});
    QCOMPARE(client.log.only(u"connection.closed"_s), QStringList{u"connection.closed "_s + error});
    QCOMPARE(client.log.entries.constLast(), u"connection.closed "_s + error);
    QCOMPARE(client.reports.size(), 0);
    QVERIFY(client.connection.topology().isEmpty());
}

void tst_Restoring::openEndsWithTheRecovery()
{
    Restoring client;
    setUp(client);
    client.lose();
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Recovering; }));
    client.log.watch(client.connection.open(), u"open"_s);
    client.log.watch(client.connection.whenOpen(), u"whenOpen"_s);
    QVERIFY(client.isRecovered());
    const QStringList &log = client.log.entries;
    QVERIFY(log.contains(u"reply.open ok"_s));
    QVERIFY(log.contains(u"reply.whenOpen ok"_s));
    QVERIFY(log.indexOf(u"reply.open ok"_s) < log.indexOf(u"connection.stateChanged Open"_s));
    QCOMPARE(log.count(u"connection.opened"_s), 0);
}

void tst_Restoring::endDuringTheReplay_data()
{
    QTest::addColumn<QString>("end");
    QTest::addColumn<QByteArray>("moment");
    for (const char *end : {"close", "abort", "delete"}) {
        for (const char *moment : {"exchange.declare", "queue.bind", "basic.consume"})
            QTest::addRow("%s at %s", end, moment) << QString::fromLatin1(end) << QByteArray(moment);
    }
}

void tst_Restoring::endDuringTheReplay()
{
    QFETCH(const QString, end);
    QFETCH(const QByteArray, moment);
    auto client = std::make_unique<Restoring>();
    setUp(*client);
    client->log.watch(client->channel);
    client->hook = [&](const Command &command) { return command.name == moment; };
    client->lose();
    QVERIFY(waitUntil([&] { return client->peer.count(moment) > 0; }));
    client->log.watch(client->channel->declareQueue(u"c"_s), u"declareQueue"_s);
    QPointer<Channel> channel = client->channel;
    if (end == u"delete") {
        client.reset();
        settleEvents();
        QVERIFY(!channel);
        return;
    }
    client->hook = [&](const Command &command) { return command.name == moment; };
    if (end == u"close")
        client->log.watch(client->connection.close(), u"close"_s);
    else
        client->connection.abort();
    if (moment == "basic.consume" && end == u"close") { // the calls under way are answered first
        for (const Command &command : client->peer.received("basic.consume"))
            client->peer.send(command.channel,
                              Wire::BasicConsumeOk{.consumerTag = command.as<Wire::BasicConsume>().consumerTag});
    }
    QVERIFY(waitUntil([&] { return client->connection.state() == Connection::State::Closed; }));
    settleEvents();
    QCOMPARE(client->log.only(u"connection.closed"_s), QStringList{u"connection.closed ok"_s});
    QCOMPARE(client->log.only(u"channel.closed"_s), QStringList{u"channel.closed ok"_s});
    QCOMPARE(client->log.countOf(u"reply.close ok"_s), end == u"close" ? 1 : 0);
    QCOMPARE(client->log.only(u"reply.declareQueue"_s).size(), 1);
    QCOMPARE(client->reports.size(), 0);
}

void tst_Restoring::slotMayDeleteTheConnection_data()
{
    QTest::addColumn<QString>("entry");
    QTest::newRow("recovered") << u"recovered"_s;
    QTest::newRow("open") << u"connection.stateChanged Open"_s;
    QTest::newRow("renamed") << u"amq.gen-1 is amq.gen-2"_s;
}

void tst_Restoring::slotMayDeleteTheConnection()
{
    QFETCH(const QString, entry);
    ScriptedPeer peer;
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setRecoveryPolicy(RecoveryPolicy().withDelays(Shortest, Shortest, 1.0));
    QPointer<Connection> connection(new Connection(parameters));
    Channel *channel = connection->createChannel();
    const Reply<QueueInfo> declared = channel->declareTemporaryQueue();
    connection->open();
    QVERIFY(waitUntil([&] { return declared.isFinished(); }));
    SignalLog log;
    log.watch(connection);
    connect(connection, &Connection::recovered, this, [&] { log.add(u"recovered"_s); });
    connect(connection, &Connection::queueRenamed, this,
            [&](const QString &from, const QString &to) { log.add(from + u" is "_s + to); });
    log.afterEntry = [&](const QString &happened) {
        if (happened == entry)
            delete connection;
    };
    peer.dropConnection();
    QVERIFY(waitUntil([&] { return !connection; }));
    settleEvents();
}

QTEST_GUILESS_MAIN(tst_Restoring)

#include "tst_restoring.moc"
