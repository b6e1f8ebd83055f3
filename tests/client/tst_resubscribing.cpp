// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"
#include "client/missingqueues.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Tests ConsumeOptions::resubscribe: events while a consumer that the broker has cancelled waits for its queue. The
// connection checks the queue on a separate channel, which the application does not see.
class tst_Resubscribing : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void waitsOnAfterALoss_data();
    void waitsOnAfterALoss();
    void queueThatIsBackBeforeReopenStartsTheConsumerThen();
    void channelErrorWhileWaitingNeedsReopenAndQueue();
    void endComesOnce_data();
    void endComesOnce();
    void oneChannelAsksForAll();
    void tagUsedMeanwhileEndsTheWaiting();
    void channelNumberIsWaitedFor();
    void missingQueuesDoNotDelayOtherConsumers();
    void failedProbeIsNotAlwaysAMissingQueue_data();
    void failedProbeIsNotAlwaysAMissingQueue();
    void queueDeletedAfterTheAnswerIsAwaitedAgain();
    void failedSubscriptionEndsTheConsumer();
    void tagAndPrefetchAreKept();
    void earlierDeliveriesMayBeSettledAfterwards_data();
    void earlierDeliveriesMayBeSettledAfterwards();
};

namespace
{

constexpr int UntilItAsksAgain = 700; // ms; after the first answer the library waits for 500 ms

// A consumer that waits for an answer about its queue, or for the time of the next check.
struct WaitingClient {
    WaitingClient(ScriptedPeer &peer, bool isAnswered)
        : connection(std::make_unique<Connection>(withoutRecovery(peer)))
        , channel(connection->createChannel())
        , consumer(channel->consume(u"q"_s, {.consumerTag = u"c"_s, .resubscribe = true}, &owner))
    {
        connection->open();
        if (!waitUntil([this] { return consumer->state() == Consumer::State::Active; }))
            qFatal("the consumer does not start");
        log.watch(consumer);
        if (isAnswered)
            peer.closeInsteadOf("queue.declare-ok", 404, "NOT_FOUND - no queue 'q'");
        else
            peer.withhold("queue.declare-ok");
        peer.forgetReceived();
        peer.send(1, Wire::BasicCancel{.consumerTag = "c", .noWait = true});
        const char *last = isAnswered ? "channel.close-ok" : "queue.declare";
        if (!waitUntil([&] { return peer.count(last) == 1; }))
            qFatal("nobody asks for the queue");
        settleEvents();
    }

    QObject owner; // owns the consumer, which may outlive the others
    std::unique_ptr<Connection> connection;
    Channel *channel;
    Consumer *consumer;
    SignalLog log;
};

void addMoments()
{
    QTest::addColumn<bool>("isAnswered");
    QTest::newRow("asking") << false;
    QTest::newRow("between two questions") << true;
}

} // namespace

void tst_Resubscribing::waitsOnAfterALoss_data()
{
    addMoments();
}

void tst_Resubscribing::waitsOnAfterALoss()
{
    QFETCH(const bool, isAnswered);
    ScriptedPeer peer;
    WaitingClient client(peer, isAnswered);
    peer.dropConnection();
    QVERIFY(waitUntil([&] { return client.connection->state() == Connection::State::Closed; }));
    QTest::qWait(UntilItAsksAgain); // the library checks the queue without getting an answer
    QCOMPARE(client.consumer->state(), Consumer::State::Recovering);

    peer.answerAgain("queue.declare-ok");
    peer.forgetReceived();
    client.connection->open();
    client.channel->reopen();
    QVERIFY(waitUntil([&] { return client.consumer->state() == Consumer::State::Active; }));
    settle(*client.connection);
    QCOMPARE(client.log.entries,
             QStringList({u"consumer.stateChanged Recovering"_s, u"consumer.stateChanged Starting"_s,
                          u"consumer.stateChanged Active"_s, u"consumer.started"_s}));
    QCOMPARE(peer.count("basic.consume"), 1);
    QCOMPARE(peer.last("basic.consume").channel, client.channel->number());
    QCOMPARE(client.connection->channels(), QList<Channel *>{client.channel});
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Resubscribing::queueThatIsBackBeforeReopenStartsTheConsumerThen()
{
    ScriptedPeer peer;
    WaitingClient client(peer, false);
    peer.dropConnection();
    QVERIFY(waitUntil([&] { return client.connection->state() == Connection::State::Closed; }));
    peer.answerAgain("queue.declare-ok");
    peer.forgetReceived();
    client.connection->open();
    QVERIFY(waitUntil([&] { return peer.count("queue.declare") == 1; }));
    settle(*client.connection);
    QCOMPARE(peer.count("basic.consume"), 0);
    QCOMPARE(client.consumer->state(), Consumer::State::Recovering);
    client.channel->reopen();
    QVERIFY(waitUntil([&] { return client.consumer->state() == Consumer::State::Active; }));
    QCOMPARE(peer.count("basic.consume"), 1);
    QCOMPARE(client.log.countOf(u"consumer.started"_s), 1);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Resubscribing::channelErrorWhileWaitingNeedsReopenAndQueue()
{
    ScriptedPeer peer;
    WaitingClient client(peer, true);
    peer.closeChannel(1, 406, "PRECONDITION_FAILED");
    QVERIFY(waitUntil([&] { return client.channel->state() == Channel::State::Closed; }));
    client.channel->reopen();
    QVERIFY(waitUntil([&] { return client.channel->isOpen(); }));
    settle(*client.connection);
    QCOMPARE(peer.count("basic.consume"), 0);
    QCOMPARE(client.log.entries, QStringList{u"consumer.stateChanged Recovering"_s});
    peer.answerAgain("queue.declare-ok");
    QVERIFY(waitUntil([&] { return client.consumer->state() == Consumer::State::Active; }));
    QCOMPARE(peer.count("basic.consume"), 1);
    QCOMPARE(client.log.countOf(u"consumer.started"_s), 1);
}

void tst_Resubscribing::endComesOnce_data()
{
    QTest::addColumn<bool>("isAnswered");
    QTest::addColumn<QString>("end");
    QTest::addColumn<QString>("reported"); // empty if the consumer is gone
    for (const bool isAnswered : {false, true}) {
        const auto add = [isAnswered](const char *end, const QString &reported) {
            QTest::addRow("%s, %s", end, isAnswered ? "between two questions" : "asking")
                << isAnswered << QString::fromLatin1(end) << reported;
        };
        add("cancel", u"ok"_s);
        add("cancel after a loss", u"ok"_s);
        add("close the channel", u"ok"_s);
        add("close the connection", u"ok"_s);
        add("abort the connection", u"ok"_s);
        add("delete the consumer", {});
        add("delete the consumer after a loss", {});
        add("delete the channel", u"Cancelled"_s);
        add("delete the channel after a loss", u"Cancelled"_s);
        add("delete the connection", u"Cancelled"_s);
        add("delete the connection after a loss", u"Cancelled"_s);
    }
}

void tst_Resubscribing::endComesOnce()
{
    QFETCH(const bool, isAnswered);
    QFETCH(QString, end);
    QFETCH(const QString, reported);
    ScriptedPeer peer;
    WaitingClient client(peer, isAnswered);
    std::unique_ptr<Connection> &connection = client.connection;
    const bool isLost = end.endsWith(u" after a loss"_s);
    if (isLost) {
        peer.dropConnection();
        QVERIFY(waitUntil([&] { return connection->state() == Connection::State::Closed; }));
        end.chop(13);
    }
    if (end == u"cancel"_s)
        QCOMPARE(client.consumer->cancel().result().value(), 0);
    else if (end == u"close the channel"_s)
        client.channel->close();
    else if (end == u"close the connection"_s)
        connection->close();
    else if (end == u"abort the connection"_s)
        connection->abort();
    else if (end == u"delete the consumer"_s)
        delete client.consumer;
    else if (end == u"delete the channel"_s)
        delete client.channel;
    else
        connection.reset();
    if (!reported.isEmpty()) {
        QVERIFY(waitUntil([&] { return client.log.has(u"consumer.cancelled "_s + reported); }));
        QCOMPARE(client.consumer->state(), Consumer::State::Cancelled);
    }
    peer.answerAgain("queue.declare-ok");
    if (connection && connection->state() == Connection::State::Closed)
        connection->open();
    QTest::qWait(UntilItAsksAgain); // consumers that still wait check again
    QStringList entries{u"consumer.stateChanged Recovering"_s};
    if (!reported.isEmpty())
        entries += {u"consumer.stateChanged Cancelled"_s, u"consumer.cancelled "_s + reported};
    QCOMPARE(client.log.entries, entries);
    QCOMPARE(peer.count("basic.consume"), 0);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Resubscribing::oneChannelAsksForAll()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Channel *other = client.connection.createChannel();
    Consumer *first = client.channel->consume(u"q1"_s, {.consumerTag = u"c"_s, .resubscribe = true});
    Consumer *second = other->consume(u"q2"_s, {.consumerTag = u"c"_s, .resubscribe = true});
    const auto bothAre = [&](Consumer::State state) { return first->state() == state && second->state() == state; };
    QVERIFY(waitUntil([&] { return bothAre(Consumer::State::Active); }));
    peer.withhold("queue.declare-ok");
    peer.forgetReceived();
    peer.send(1, Wire::BasicCancel{.consumerTag = "c", .noWait = true});
    peer.send(2, Wire::BasicCancel{.consumerTag = "c", .noWait = true});
    QVERIFY(waitUntil([&] { return peer.count("queue.declare") == 2; }));
    QCOMPARE(peer.count("channel.open"), 1);
    peer.answerAgain("queue.declare-ok");
    peer.closeChannel(3, 404, "NOT_FOUND - no queue 'q1'"); // ends both declarations, and the second is made again
    QVERIFY(waitUntil([&] { return bothAre(Consumer::State::Active); }));
    QCOMPARE(peer.count("basic.consume"), 2);
    QCOMPARE(client.connection.channels(), (QList<Channel *>{client.channel, other}));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Resubscribing::tagUsedMeanwhileEndsTheWaiting()
{
    ScriptedPeer peer;
    WaitingClient client(peer, true);
    Consumer *other = client.channel->consume(u"q2"_s, {.consumerTag = u"c"_s});
    QVERIFY(waitUntil([&] { return other->state() == Consumer::State::Active; }));
    QCOMPARE(client.channel->consumer(u"c"_s), other);
    peer.answerAgain("queue.declare-ok");
    QVERIFY(waitUntil([&] { return client.consumer->state() == Consumer::State::Cancelled; }));
    settle(*client.connection);
    QVERIFY(client.log.entries.last().startsWith(u"consumer.cancelled InvalidArgument"_s));
    QCOMPARE(other->state(), Consumer::State::Active);
    delete client.consumer;
    QCOMPARE(client.channel->consumer(u"c"_s), other);
    QCOMPARE(client.channel->consumers(), QList<Consumer *>{other});
    delete other;
    QCOMPARE(client.channel->consumers(), QList<Consumer *>());
    QCOMPARE(peer.violations(), QStringList());
}

// The checking channel needs a number, and all numbers may be in use.
void tst_Resubscribing::channelNumberIsWaitedFor()
{
    ScriptedPeer peer;
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setMaximumChannels(2);
    OpenClient client(parameters);
    Channel *other = client.connection.createChannel();
    QVERIFY(waitUntil([&] { return other->isOpen(); }));
    Consumer *consumer = client.consume({.consumerTag = u"c"_s, .resubscribe = true});
    peer.send(1, Wire::BasicCancel{.consumerTag = "c", .noWait = true});
    QVERIFY(waitUntil([&] { return consumer->state() == Consumer::State::Recovering; }));
    settleEvents();
    delete other;
    QVERIFY(waitUntil([&] { return consumer->state() == Consumer::State::Active; }));
    QCOMPARE(peer.violations(), QStringList());
}

// One channel checks all queues, and the broker closes it for each queue that is missing.
void tst_Resubscribing::missingQueuesDoNotDelayOtherConsumers()
{
    constexpr int Count = 1000;
    const QSet<int> missing{0, 1, 499, 998, 999};
    ScriptedPeer peer;
    OpenClient client(peer);
    QList<Consumer *> consumers;
    for (int i = 0; i < Count; ++i)
        consumers += client.channel->consume(u"q%1"_s.arg(i), {.consumerTag = u"c%1"_s.arg(i), .resubscribe = true});
    const auto areIn = [&](Consumer::State state, bool ofMissing) {
        for (int i = 0; i < Count; ++i) {
            if (missing.contains(i) == ofMissing && consumers.at(i)->state() != state)
                return false;
        }
        return true;
    };
    QVERIFY(waitUntil([&] { return areIn(Consumer::State::Active, false) && areIn(Consumer::State::Active, true); }));
    bool areMissing = true;
    rejectMissingQueues(peer,
                        [&](const QString &queue) { return areMissing && missing.contains(queue.mid(1).toInt()); });
    QByteArray cancels;
    for (int i = 0; i < Count; ++i)
        cancels += Wire::encodeFrame(1, Wire::BasicCancel{.consumerTag = "c" + QByteArray::number(i), .noWait = true});
    peer.forgetReceived();
    peer.sendRaw(cancels);
    QVERIFY(waitUntil(
        [&] { return peer.count("channel.close-ok") >= missing.size() && areIn(Consumer::State::Active, false); }));
    QVERIFY(areIn(Consumer::State::Recovering, true));
    // At most a few dozen declarations are outstanding, and are repeated when one is rejected.
    QVERIFY2(peer.count("queue.declare") < Count + 50 * peer.count("channel.close-ok"),
             qPrintable(QString::number(peer.count("queue.declare"))));
    areMissing = false;
    QVERIFY(waitUntil([&] { return areIn(Consumer::State::Active, true); }));
    QCOMPARE(peer.count("basic.consume"), Count);
    QVERIFY(client.channel->isOpen());
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Resubscribing::failedProbeIsNotAlwaysAMissingQueue_data()
{
    QTest::addColumn<quint16>("replyCode");
    QTest::addColumn<Consumer::State>("state");
    QTest::newRow("missing, or its node is down") << quint16(404) << Consumer::State::Recovering;
    QTest::newRow("asking is not allowed") << quint16(403) << Consumer::State::Active;
    QTest::newRow("another connection's") << quint16(405) << Consumer::State::Cancelled;
    QTest::newRow("another reason") << quint16(406) << Consumer::State::Active;
}

void tst_Resubscribing::failedProbeIsNotAlwaysAMissingQueue()
{
    QFETCH(const quint16, replyCode);
    QFETCH(const Consumer::State, state);
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *bystander = client.consume();
    Consumer *consumer = client.consume({.consumerTag = u"c"_s, .resubscribe = true});
    SignalLog log;
    log.watch(consumer);
    peer.closeInsteadOf("queue.declare-ok", replyCode, "rejected");
    peer.forgetReceived();
    peer.send(1, Wire::BasicCancel{.consumerTag = "c", .noWait = true});
    QVERIFY(waitUntil([&] { return peer.count("channel.close-ok") == 1 && consumer->state() == state; }));
    settle(client.connection);
    QCOMPARE(consumer->state(), state);
    QCOMPARE(peer.count("basic.consume"), state == Consumer::State::Active ? 1 : 0);
    if (state == Consumer::State::Cancelled)
        QCOMPARE(log.entries.last(), u"consumer.cancelled ChannelClosed %1"_s.arg(replyCode));
    QCOMPARE(bystander->state(), Consumer::State::Active);
    QVERIFY(client.channel->isOpen());
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Resubscribing::queueDeletedAfterTheAnswerIsAwaitedAgain()
{
    ScriptedPeer peer;
    WaitingClient client(peer, true);
    Consumer *bystander = client.channel->consume(u"other"_s, {.consumerTag = u"b"_s});
    QVERIFY(waitUntil([&] { return bystander->state() == Consumer::State::Active; }));
    peer.setHook([&](const Command &command) {
        if (command.name != "basic.consume" || command.fields.value(u"queue"_s) != u"q"_s)
            return false;
        peer.send(command.channel,
                  Wire::ChannelClose{
                      .replyCode = 404, .replyText = "NOT_FOUND - no queue 'q'", .classId = 60, .methodId = 20});
        return true;
    });
    peer.answerAgain("queue.declare-ok");
    QVERIFY(waitUntil([&] { return client.channel->state() == Channel::State::Closed; }));
    QCOMPARE(client.consumer->state(), Consumer::State::Recovering);
    QCOMPARE(bystander->state(), Consumer::State::Recovering);

    peer.setHook({});
    peer.closeInsteadOf("queue.declare-ok", 404, "NOT_FOUND - no queue 'q'");
    peer.forgetReceived();
    client.channel->reopen();
    QVERIFY(waitUntil([&] { return bystander->state() == Consumer::State::Active; }));
    QVERIFY(waitUntil([&] { return peer.count("channel.close-ok") == 1; }));
    QCOMPARE(peer.count("basic.consume"), 1);
    QVERIFY(client.channel->isOpen());
    peer.answerAgain("queue.declare-ok");
    QVERIFY(waitUntil([&] { return client.consumer->state() == Consumer::State::Active; }));
    QCOMPARE(client.log.only(u"consumer.cancelled"_s), QStringList());
    QCOMPARE(peer.violations(), QStringList());
}

// The broker allows the passive declaration but not the consumer.
void tst_Resubscribing::failedSubscriptionEndsTheConsumer()
{
    ScriptedPeer peer;
    WaitingClient client(peer, true);
    peer.setHook([&](const Command &command) {
        if (command.name != "basic.consume")
            return false;
        peer.send(command.channel,
                  Wire::ChannelClose{.replyCode = 403, .replyText = "ACCESS_REFUSED", .classId = 60, .methodId = 20});
        return true;
    });
    peer.answerAgain("queue.declare-ok");
    QVERIFY(waitUntil([&] { return client.consumer->state() == Consumer::State::Cancelled; }));
    settle(*client.connection);
    QCOMPARE(client.log.only(u"consumer.cancelled"_s), QStringList{u"consumer.cancelled ChannelClosed 403"_s});
    client.channel->reopen();
    QVERIFY(waitUntil([&] { return client.channel->isOpen(); }));
    QCOMPARE(peer.count("basic.consume"), 1);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Resubscribing::tagAndPrefetchAreKept()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    client.channel->setPrefetch(5);
    Consumer *ofChannel = client.consume({.resubscribe = true});
    Consumer *own = client.consume({.resubscribe = true, .prefetch = 7});
    client.channel->setPrefetch(50);
    settle(client.connection);
    peer.forgetReceived();
    peer.send(1, Wire::BasicCancel{.consumerTag = "c1", .noWait = true});
    QVERIFY(
        waitUntil([&] { return peer.count("basic.consume") == 1 && ofChannel->state() == Consumer::State::Active; }));
    peer.send(1, Wire::BasicCancel{.consumerTag = "c2", .noWait = true});
    QVERIFY(waitUntil([&] { return peer.count("basic.consume") == 2 && own->state() == Consumer::State::Active; }));
    QStringList calls;
    for (const Command &command : peer.received()) {
        if (command.name == "basic.qos")
            calls += u"prefetch %1"_s.arg(command.fields.value(u"prefetch-count"_s).toInt());
        else if (command.name == "basic.consume")
            calls += u"consume "_s + command.fields.value(u"consumer-tag"_s).toString();
    }
    QCOMPARE(calls, QStringList({u"prefetch 5"_s, u"consume c1"_s, u"prefetch 7"_s, u"consume c2"_s}));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Resubscribing::earlierDeliveriesMayBeSettledAfterwards_data()
{
    QTest::addColumn<bool>("isDeleted");
    QTest::newRow("the consumer goes on") << false;
    QTest::newRow("the consumer was deleted") << true;
}

void tst_Resubscribing::earlierDeliveriesMayBeSettledAfterwards()
{
    QFETCH(const bool, isDeleted);
    ScriptedPeer peer;
    OpenClient client(peer);
    QPointer<Consumer> consumer = client.consume({.consumerTag = u"c"_s, .resubscribe = true});
    QList<Message> messages;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) { messages += message; });
    peer.deliver(1, "c", 1, "before");
    QVERIFY(waitUntil([&] { return messages.size() == 1; }));
    peer.send(1, Wire::BasicCancel{.consumerTag = "c", .noWait = true});
    QVERIFY(
        waitUntil([&] { return peer.count("basic.consume") == 2 && consumer->state() == Consumer::State::Active; }));
    peer.deliver(1, "c", 2, "after");
    QVERIFY(waitUntil([&] { return messages.size() == 2; }));
    QCOMPARE(consumer->unackedCount(), 2);

    if (isDeleted)
        delete consumer;
    messages[0].ack();
    QVERIFY(waitUntil([&] { return peer.count("basic.ack") == 1; }));
    if (!isDeleted)
        QCOMPARE(consumer->unackedCount(), 1);
    messages[1].ack();
    QVERIFY(waitUntil([&] { return peer.count("basic.ack") == 2; }));
    QVERIFY(!client.channel->error().isError());
    QCOMPARE(peer.violations(), QStringList());
}

QTEST_GUILESS_MAIN(tst_Resubscribing)

#include "tst_resubscribing.moc"
