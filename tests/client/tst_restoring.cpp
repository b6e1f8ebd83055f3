// SPDX-License-Identifier: MIT
#include "client/restoringclient.h"

#include <memory>

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
    void lossDuringTheReplayStartsOver();
    void manyLossesAreRecoveredFromOnceEach();
    void givingUpEndsTheChannels_data();
    void givingUpEndsTheChannels();
    void openEndsWithTheRecovery();
    void endDuringTheReplay_data();
    void endDuringTheReplay();
    void closeBeforeTheReportEndsTheRecovery();
    void slotMayDeleteTheConnection_data();
    void slotMayDeleteTheConnection();
};

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
    client.refusal = [](const Command &command) -> Refusal {
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

void tst_Restoring::closeBeforeTheReportEndsTheRecovery()
{
    Restoring client;
    connect(client.channel, &Channel::stateChanged, this, [&](Channel::State state) {
        if (state == Channel::State::Open)
            client.connection.close();
    });
    client.lose();
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
    settleEvents();
    QCOMPARE(client.reports.size(), 0);
    QCOMPARE(client.log.countOf(u"connection.stateChanged Open"_s), 0);
    QCOMPARE(client.log.only(u"connection.closed"_s), QStringList{u"connection.closed ok"_s});
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
