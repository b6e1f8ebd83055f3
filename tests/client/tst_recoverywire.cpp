// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"

#include <AmqpQt/recovery.h>

#include <QtCore/qelapsedtimer.h>
#include <QtCore/qthread.h>

#include <algorithm>
#include <memory>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

ConnectionParameters recoveringParameters(const ScriptedPeer &peer)
{
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setRecoveryPolicy(RecoveryPolicy().withDelays(200ms, 200ms));
    return parameters;
}

// A client that counts its recoveries.
class RecoveringClient : public OpenClient
{
public:
    explicit RecoveringClient(ScriptedPeer &peer)
        : RecoveringClient(recoveringParameters(peer))
    {
    }
    explicit RecoveringClient(const ConnectionParameters &parameters)
        : OpenClient(parameters)
    {
        QObject::connect(&connection, &Connection::recovered, &connection,
                         [this](const RecoveryReport &report) { reports += report; });
    }

    bool recover()
    {
        const qsizetype before = reports.size();
        return waitUntil([&] { return reports.size() > before && connection.isOpen(); });
    }

    QList<RecoveryReport> reports;
};

// The methods that the peer has received on its latest connection behind the handshake, with their most important
// argument.
QStringList restored(const ScriptedPeer &peer)
{
    QStringList result;
    for (const Command &command : peer.received()) {
        if (command.connection != peer.connectionCount() || command.name.startsWith("connection."))
            continue;
        QString text = QString::fromLatin1(command.name);
        for (const char *field :
             {"exchange", "queue", "source", "destination", "routing-key", "prefetch-count", "consumer-tag"}) {
            if (const QVariant value = command.fields.value(QLatin1StringView(field)); value.isValid())
                text += u" %1"_s.arg(value.toString());
        }
        result += text;
    }
    return result;
}

} // namespace

// What a client sends to restore its connection, and what it makes of answers that are late or missing.
class tst_RecoveryWire : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void channelsAreRestoredBehindTheTopology();
    void queueNamedByTheBrokerIsDeclaredWithoutAName();
    void eachConsumerComesBackToItsOwnQueue_data();
    void eachConsumerComesBackToItsOwnQueue();
    void closedAtEachStepOfTheHandshake_data();
    void closedAtEachStepOfTheHandshake();
    void silentAtEachStepOfTheRecovery_data();
    void silentAtEachStepOfTheRecovery();
    void lossAtEachStepOfTheRecovery_data();
    void lossAtEachStepOfTheRecovery();
    void singleBytesRecoverAsWell();
    void heartbeatsOfOneConnectionRemain();
    void silentConnectionRecoversInAThreadOfItsOwn();
    void refusedDeclarationDoesNotRepeatTheRecovery();
    void staleSettlementsAreNeverSent();
    void replayNeedsNoFreeChannelNumber_data();
    void replayNeedsNoFreeChannelNumber();
    void waitingBindingIsMadeWhenAChannelNumberIsFree();
};

void tst_RecoveryWire::channelsAreRestoredBehindTheTopology()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    Channel *const channel = client.channel;
    channel->declareExchange(u"first"_s, ExchangeType::Fanout);
    channel->declareExchange(u"second"_s, ExchangeType::Topic);
    channel->bindExchange(u"second"_s, u"first"_s);
    channel->declareQueue(u"q"_s);
    channel->bindQueue(u"q"_s, u"second"_s, u"#"_s);
    channel->setPrefetch(7, Channel::PrefetchScope::PerChannel);
    channel->confirmSelect();
    client.consume();
    client.consume({.prefetch = 5});
    peer.dropConnection();
    QVERIFY(client.recover());
    QCOMPARE(client.reports.constLast().failures(), QStringList());
    QStringList sent = restored(peer);
    const qsizetype consumers = sent.indexOf(u"basic.consume q c1"_s);
    const QStringList topology{u"exchange.declare first"_s, u"exchange.declare second"_s, u"queue.declare q"_s,
                               u"exchange.bind first second "_s, u"queue.bind second q #"_s};
    qsizetype last = -1;
    for (const QString &entity : topology) {
        QVERIFY2(sent.count(entity) == 1, qPrintable(entity + u" in "_s + sent.join(u", "_s)));
        QVERIFY(sent.indexOf(entity) > last);
        last = sent.indexOf(entity);
    }
    QVERIFY(sent.indexOf(u"basic.qos 7"_s) > last);
    QVERIFY(sent.indexOf(u"confirm.select"_s) > last);
    QVERIFY(consumers > sent.indexOf(u"basic.qos 7"_s));
    QVERIFY(consumers > sent.indexOf(u"confirm.select"_s));
    QVERIFY(sent.indexOf(u"basic.consume q c2"_s) > consumers);
    QCOMPARE(sent.count(u"basic.consume q c1"_s), 1);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_RecoveryWire::queueNamedByTheBrokerIsDeclaredWithoutAName()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    const auto declaring = client.channel->declareTemporaryQueue();
    client.channel->bindQueue({}, u"amq.direct"_s, u"key"_s);
    QVERIFY(waitUntil([&] { return peer.count("queue.bind") == 1; }));
    for (int outage = 1; outage <= 2; ++outage) {
        const QString before = client.connection.topology().entities().value(0);
        peer.dropConnection();
        QVERIFY(client.recover());
        const QStringList sent = restored(peer);
        QCOMPARE(sent.count(u"queue.declare "_s), 1);
        QVERIFY(client.connection.topology().entities().value(0) != before);
        const QVariantMap renamed = client.reports.constLast().renamedQueues;
        QCOMPARE(renamed.size(), 1);
        QCOMPARE(sent.count(u"queue.bind amq.direct %1 key"_s.arg(renamed.first().toString())), 1);
    }
    QCOMPARE(peer.violations(), QStringList());
}

void tst_RecoveryWire::eachConsumerComesBackToItsOwnQueue_data()
{
    QTest::addColumn<bool>("isOpen");
    QTest::newRow("on an open channel") << true;
    QTest::newRow("before the channel opens") << false;
}

void tst_RecoveryWire::eachConsumerComesBackToItsOwnQueue()
{
    QFETCH(bool, isOpen);
    ScriptedPeer peer;
    RecoveringClient client(peer);
    Channel *const channel = isOpen ? client.channel : client.connection.createChannel();
    QList<Reply<QueueInfo>> declaring;
    QList<Consumer *> consumers;
    for (int i = 0; i < 3; ++i) { // all of it is sent before the first queue has a name
        declaring += channel->declareTemporaryQueue();
        channel->bindQueue({}, u"amq.topic"_s, QString::number(i));
        consumers += channel->consume({});
    }
    const auto areActive = [&] {
        return std::all_of(consumers.cbegin(), consumers.cend(),
                           [](const Consumer *consumer) { return consumer->state() == Consumer::State::Active; });
    };
    QVERIFY(waitUntil(areActive));
    for (int i = 0; i < 3; ++i)
        QCOMPARE(consumers.at(i)->queue(), declaring.at(i).result()->name);
    peer.dropConnection();
    QVERIFY(client.recover());
    QVERIFY(areActive());
    const QVariantMap renamed = client.reports.constLast().renamedQueues;
    for (int i = 0; i < 3; ++i) {
        const QString name = renamed.value(declaring.at(i).result()->name).toString();
        QCOMPARE(consumers.at(i)->queue(), name);
        QVERIFY(restored(peer).contains(u"basic.consume %1 %2"_s.arg(name, consumers.at(i)->consumerTag())));
    }
}

void tst_RecoveryWire::closedAtEachStepOfTheHandshake_data()
{
    QTest::addColumn<QByteArray>("answer");
    QTest::newRow("tune") << QByteArray("connection.tune");
    QTest::newRow("open") << QByteArray("connection.open-ok");
}

void tst_RecoveryWire::closedAtEachStepOfTheHandshake()
{
    QFETCH(QByteArray, answer);
    ScriptedPeer peer;
    RecoveringClient client(peer);
    client.consume();
    peer.closeInsteadOf(answer, 320, "CONNECTION_FORCED - broker forced connection closure");
    peer.dropConnection();
    QVERIFY(waitUntil([&] { return peer.connectionCount() >= 3; })); // twice in a row
    peer.answerAgain(answer);
    QVERIFY(client.recover());
    QCOMPARE(client.reports.size(), 1);
    QCOMPARE(client.channel->consumers().constFirst()->state(), Consumer::State::Active);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_RecoveryWire::silentAtEachStepOfTheRecovery_data()
{
    QTest::addColumn<QByteArray>("answer");
    for (const char *answer :
         {"connection.tune", "connection.open-ok", "channel.open-ok", "exchange.declare-ok", "queue.declare-ok",
          "queue.bind-ok", "basic.qos-ok", "confirm.select-ok", "basic.consume-ok"})
        QTest::newRow(answer) << QByteArray(answer);
}

// An answer that never comes ends the attempt, or the call is repeated; it must not end the recovery.
void tst_RecoveryWire::silentAtEachStepOfTheRecovery()
{
    QFETCH(QByteArray, answer);
    ScriptedPeer peer;
    ConnectionParameters parameters = recoveringParameters(peer);
    parameters.setReplyTimeout(300ms);
    parameters.setConnectTimeout(300ms);
    RecoveringClient client(parameters);
    client.channel->declareExchange(u"x"_s, ExchangeType::Direct);
    client.channel->declareQueue(u"q"_s);
    client.channel->bindQueue(u"q"_s, u"x"_s);
    client.channel->setPrefetch(3);
    client.channel->confirmSelect();
    Consumer *const consumer = client.consume();
    peer.withhold(answer);
    peer.dropConnection();
    const QByteArray request = answer.chopped(3); // without "-ok"
    const int before = peer.count(request);
    QVERIFY(waitUntil(
        [&] { return answer == "connection.tune" ? peer.connectionCount() >= 2 : peer.count(request) > before; }));
    const int connections = peer.connectionCount();
    QVERIFY(waitUntil([&] { // the timeout
        return peer.connectionCount() > connections || peer.count(request) > before + 1 ||
               consumer->state() == Consumer::State::Cancelled || !client.reports.isEmpty();
    }));
    peer.answerAgain(answer);
    QVERIFY(waitUntil([&] { return client.connection.isOpen() && !client.reports.isEmpty(); }));
    // Either everything is back, or the report says what is not.
    QVERIFY(consumer->state() == Consumer::State::Active || !client.reports.constLast().isComplete());
    QCOMPARE(peer.violations(), QStringList());
}

void tst_RecoveryWire::lossAtEachStepOfTheRecovery_data()
{
    silentAtEachStepOfTheRecovery_data();
}

void tst_RecoveryWire::lossAtEachStepOfTheRecovery()
{
    QFETCH(QByteArray, answer);
    ScriptedPeer peer;
    RecoveringClient client(peer);
    client.channel->declareExchange(u"x"_s, ExchangeType::Direct);
    client.channel->declareQueue(u"q"_s);
    client.channel->bindQueue(u"q"_s, u"x"_s);
    client.channel->setPrefetch(3);
    client.channel->confirmSelect();
    Consumer *const consumer = client.consume();
    const QByteArray request = answer.chopped(3);
    int losses = 2;
    peer.setHook([&](const Command &command) {
        const bool isIt =
            command.name == request || (answer == "connection.tune" && command.name == "connection.start-ok");
        if (!isIt || losses == 0)
            return false;
        --losses;
        peer.dropConnection();
        return true;
    });
    peer.dropConnection();
    QVERIFY(waitUntil([&] { return losses == 0; }));
    QVERIFY(waitUntil([&] {
        return client.connection.isOpen() && consumer->state() == Consumer::State::Active && !client.reports.isEmpty();
    }));
    QCOMPARE(client.reports.constLast().failures(), QStringList());
    QCOMPARE(peer.connectionCount(), 4);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_RecoveryWire::singleBytesRecoverAsWell()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    client.channel->declareQueue(u"q"_s);
    Consumer *const consumer = client.consume();
    QStringList delivered;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) { delivered += message.text(); });
    peer.setPacing(1);
    peer.dropConnection();
    QVERIFY(client.recover());
    peer.deliver(client.channel->number(), "c1", 1, "hello");
    QVERIFY(waitUntil([&] { return delivered.size() == 1; }));
    QCOMPARE(delivered, QStringList{u"hello"_s});
}

void tst_RecoveryWire::heartbeatsOfOneConnectionRemain()
{
    ScriptedPeer peer;
    ConnectionParameters parameters = recoveringParameters(peer);
    parameters.setHeartbeatInterval(1s);
    RecoveringClient client(parameters);
    for (int outage = 1; outage <= 10; ++outage) {
        peer.dropConnection();
        QVERIFY(client.recover());
    }
    QElapsedTimer timer;
    timer.start();
    const int before = peer.heartbeats();
    QVERIFY(waitUntil([&] { return peer.heartbeats() >= before + 3; }));
    // At most one in each half of the interval.
    QVERIFY2(timer.elapsed() >= 2 * 450, qPrintable(QString::number(timer.elapsed())));
}

void tst_RecoveryWire::silentConnectionRecoversInAThreadOfItsOwn()
{
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread); // sends no heartbeats
    bool isRecovered = false;
    ErrorKind reason = ErrorKind::NoError;
    const std::unique_ptr<QThread> thread(QThread::create([&] {
        ConnectionParameters parameters = recoveringParameters(peer);
        parameters.setHeartbeatInterval(1s);
        RecoveringClient client(parameters);
        Consumer *const consumer = client.consume();
        QObject::connect(&client.connection, &Connection::reconnecting, &client.connection, [&] {
            reason = client.connection.error().kind();
            client.connection.reconnectNow(); // in the slot that learns of the missing heartbeats
        });
        isRecovered = client.recover() && consumer->state() == Consumer::State::Active;
    }));
    thread->start();
    thread->wait(); // the event loop of this thread stands still
    QVERIFY(isRecovered);
    QCOMPARE(reason, ErrorKind::Timeout);
}

void tst_RecoveryWire::refusedDeclarationDoesNotRepeatTheRecovery()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    client.channel->declareQueue(u"refused"_s);
    client.channel->declareQueue(u"q"_s);
    Consumer *const consumer = client.consume();
    peer.setHook([&](const Command &command) {
        if (command.name != "queue.declare" || command.fields.value(u"queue"_s).toString() != u"refused"_s)
            return false;
        peer.closeChannel(command.channel, 403, "ACCESS_REFUSED - configure access to queue 'refused' refused");
        return true;
    });
    for (int outage = 1; outage <= 2; ++outage) {
        peer.dropConnection();
        QVERIFY(client.recover());
        QCOMPARE(client.reports.size(), outage);
        QCOMPARE(client.reports.constLast().failed.size(), 1);
        QCOMPARE(client.reports.constLast().failed.constFirst().error.replyCode(), quint16(403));
        QCOMPARE(consumer->state(), Consumer::State::Active);
        QCOMPARE(peer.connectionCount(), outage + 1);
    }
    QCOMPARE(peer.violations(), QStringList());
}

void tst_RecoveryWire::replayNeedsNoFreeChannelNumber_data()
{
    QTest::addColumn<bool>("isRefused");
    QTest::newRow("every declaration is accepted") << false;
    QTest::newRow("a refused one closes the channel of the replay") << true;
}

// The application has all channels that the broker allows. One of them lends its number.
void tst_RecoveryWire::replayNeedsNoFreeChannelNumber()
{
    QFETCH(const bool, isRefused);
    ScriptedPeer peer;
    ConnectionParameters parameters = recoveringParameters(peer);
    parameters.setMaximumChannels(2);
    RecoveringClient client(parameters);
    Channel *const other = client.connection.createChannel();
    client.channel->declareQueue(u"refused"_s);
    client.channel->declareQueue(u"q"_s);
    const QList<Consumer *> consumers{client.consume(), other->consume(u"q"_s)};
    QVERIFY(waitUntil([&] { return consumers.constLast()->state() == Consumer::State::Active; }));
    peer.setHook([&](const Command &command) {
        if (!isRefused || command.name != "queue.declare" ||
            command.fields.value(u"queue"_s).toString() != u"refused"_s)
            return false;
        peer.closeChannel(command.channel, 403, "ACCESS_REFUSED - configure access to queue 'refused' refused");
        return true;
    });
    for (int outage = 1; outage <= 2; ++outage) {
        peer.dropConnection();
        QVERIFY(client.recover());
        const RecoveryReport report = client.reports.constLast();
        QCOMPARE(report.queues, isRefused ? 1 : 2);
        QCOMPARE(report.consumers, 2);
        QCOMPARE(report.failed.size(), isRefused ? 1 : 0);
        QCOMPARE(client.connection.channels(), QList<Channel *>({client.channel, other}));
        QCOMPARE(client.connection.channel(2), other);
        for (const Consumer *consumer : consumers)
            QCOMPARE(consumer->state(), Consumer::State::Active);
    }
    QCOMPARE(peer.violations(), QStringList());
}

void tst_RecoveryWire::waitingBindingIsMadeWhenAChannelNumberIsFree()
{
    ScriptedPeer peer;
    ConnectionParameters parameters = recoveringParameters(peer);
    parameters.setMaximumChannels(2);
    parameters.setRecoveryPolicy(parameters.recoveryPolicy().withMissing(RecoveryPolicy::Missing::Wait));
    RecoveringClient client(parameters);
    Channel *const other = client.connection.createChannel();
    client.channel->declareQueue(u"q"_s);
    client.channel->bindQueue(u"q"_s, u"foreign"_s, u"key"_s);
    client.consume();
    bool isMissing = true;
    peer.setHook([&](const Command &command) {
        if (!isMissing || command.name != "queue.bind")
            return false;
        peer.closeChannel(command.channel, 404, "NOT_FOUND - no exchange 'foreign' in vhost '/'");
        return true;
    });
    peer.dropConnection();
    QVERIFY(client.recover());
    QCOMPARE(client.reports.constLast().failed.size(), 1);
    QCOMPARE(client.connection.channel(2), other);
    isMissing = false;
    other->close();
    QVERIFY(waitUntil([&] { return restored(peer).count(u"queue.bind foreign q key"_s) == 2; }));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_RecoveryWire::staleSettlementsAreNeverSent()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    Consumer *const consumer = client.consume();
    QList<Message> messages;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) { messages += message; });
    for (quint64 tag = 1; tag <= 4; ++tag)
        peer.deliver(1, "c1", tag, "old");
    QVERIFY(waitUntil([&] { return messages.size() == 4; }));
    peer.dropConnection();
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Recovering; }));
    messages.at(0).ack(); // while there is no connection
    client.channel->ackUpTo(messages.at(1));
    QVERIFY(client.recover());
    messages.at(2).ack();
    messages.at(3).nack();
    client.channel->ackUpTo(messages.at(3));
    client.channel->nackUpTo(messages.at(3));
    settle(client.connection);
    QCOMPARE(peer.count("basic.ack"), 0);
    QCOMPARE(peer.count("basic.nack"), 0);
    QCOMPARE(peer.count("basic.reject"), 0);
    peer.deliver(1, "c1", 1, "new");
    QVERIFY(waitUntil([&] { return messages.size() == 5; }));
    messages.at(4).ack();
    settle(client.connection);
    QCOMPARE(peer.count("basic.ack"), 1);
}

QTEST_GUILESS_MAIN(tst_RecoveryWire)

#include "tst_recoverywire.moc"
