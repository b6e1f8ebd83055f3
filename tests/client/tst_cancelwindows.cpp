// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;

// The application's code may run between the end of a subscription, or its failure to start, and the signal
// cancelled(): in continuations of whenStarted() and of other calls, and in slots of other signals. These tests do
// everything that is allowed there.
class tst_CancelWindows : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void everythingEndsOnce_data();
    void everythingEndsOnce();
    void cancelLeavesANewConsumerWithTheSameTagAlone();
    void consumerThatDoesNotFitIntoAFrameEnds_data();
    void consumerThatDoesNotFitIntoAFrameEnds();
    void cancelInTheWindowEndsAConsumerThatWouldWaitForItsQueue();
};

namespace
{

constexpr std::array Ends = {
    "rejected here",          "cancelled before consume-ok",  "cancelled after consume-ok",
    "rejected by the broker", "channel closed by the broker", "connection closed by the broker",
    "connection lost"};
constexpr std::array Moments = {"whenStarted", "stateChanged", "channel error", "cancelled"};
constexpr std::array Actions = {"cancel",           "cancel twice",       "cancel before and after", "whenStarted",
                                "delete consumer",  "delete channel",     "delete connection",       "close channel",
                                "close connection", "cancel, then delete"};

} // namespace

void tst_CancelWindows::everythingEndsOnce_data()
{
    QTest::addColumn<QString>("end");
    QTest::addColumn<QString>("moment");
    QTest::addColumn<QString>("action");
    QTest::addColumn<bool>("resubscribe");
    for (const char *end : Ends) {
        for (const char *moment : Moments) {
            for (const char *action : Actions) {
                for (const bool resubscribe : {false, true}) {
                    QTest::addRow("%s, %s, %s%s", end, moment, action, resubscribe ? ", resubscribe" : "")
                        << QString::fromLatin1(end) << QString::fromLatin1(moment) << QString::fromLatin1(action)
                        << resubscribe;
                }
            }
        }
    }
}

void tst_CancelWindows::everythingEndsOnce()
{
    QFETCH(const QString, end);
    QFETCH(const QString, moment);
    QFETCH(const QString, action);
    QFETCH(const bool, resubscribe);
    ScriptedPeer peer;
    auto connection = std::make_unique<Connection>(withoutRecovery(peer));
    QPointer<Channel> channel = connection->createChannel();
    connection->open();
    QVERIFY(waitUntil([&] { return channel->isOpen(); }));
    const bool startsFirst = end == u"cancelled after consume-ok"_s;
    if (!startsFirst)
        peer.withhold("basic.consume-ok");
    QObject owner; // owns the consumer, which may outlive the others
    ConsumeOptions options{.consumerTag = u"c"_s, .resubscribe = resubscribe};
    if (end == u"rejected here"_s)
        options.arguments.insert(u"object"_s, QVariant::fromValue(QObject().thread())); // has no AMQP type
    QPointer<Consumer> consumer = channel->consume(u"q"_s, options, &owner);
    SignalLog log;
    log.watch(consumer);
    log.watch(consumer->whenStarted(), u"started"_s);

    bool isDone = false;
    int cancels = 0;
    const auto cancel = [&] { log.watch(consumer->cancel(), u"cancel %1"_s.arg(++cancels)); };
    const auto act = [&] {
        if (std::exchange(isDone, true) || !consumer)
            return;
        if (action.startsWith(u"cancel"_s)) {
            cancel();
            if (action == u"cancel twice"_s || action == u"cancel before and after"_s)
                cancel();
            if (action == u"cancel, then delete"_s)
                delete consumer;
        } else if (action == u"whenStarted"_s) {
            log.watch(consumer->whenStarted(), u"started again"_s);
        } else if (action == u"delete consumer"_s) {
            delete consumer;
        } else if (action == u"delete channel"_s) {
            delete channel;
        } else if (action == u"delete connection"_s) {
            connection.reset();
        } else if (action == u"close channel"_s) {
            channel->close();
        } else {
            connection->close();
        }
    };
    if (moment == u"whenStarted"_s) {
        consumer->whenStarted().then(&owner, [&] {
            if (!startsFirst)
                act();
        });
    } else if (moment == u"stateChanged"_s) {
        connect(consumer, &Consumer::stateChanged, this, [&](Consumer::State state) {
            if (state == Consumer::State::Recovering || state == Consumer::State::Cancelled)
                act();
        });
    } else if (moment == u"channel error"_s) {
        connect(channel, &Channel::errorOccurred, this, act);
    } else {
        connect(consumer, &Consumer::cancelled, this, act);
    }
    if (action == u"cancel before and after"_s && end != u"rejected here"_s && !startsFirst)
        cancel();

    if (end != u"rejected here"_s)
        QVERIFY(waitUntil([&] { return peer.count("basic.consume") == 1; }));
    if (startsFirst)
        QVERIFY(waitUntil([&] { return consumer->state() == Consumer::State::Active; }));
    if (end.startsWith(u"cancelled"_s))
        peer.send(1, Wire::BasicCancel{.consumerTag = "c", .noWait = true});
    else if (end == u"rejected by the broker"_s)
        peer.send(1, Wire::ChannelClose{
                         .replyCode = 404, .replyText = "NOT_FOUND - no queue 'q'", .classId = 60, .methodId = 20});
    else if (end == u"channel closed by the broker"_s)
        peer.closeChannel(1, 406, "PRECONDITION_FAILED");
    else if (end == u"connection closed by the broker"_s)
        peer.closeConnection(320, "CONNECTION_FORCED");
    else if (end == u"connection lost"_s)
        peer.dropConnection();
    peer.answerAgain("basic.consume-ok");
    const auto isOver = [&] {
        return !consumer || consumer->state() == Consumer::State::Cancelled ||
               consumer->state() == Consumer::State::Recovering ||
               consumer->state() == Consumer::State::Active; // again
    };
    const auto isReported = [&] { return log.ended.contains(u"started"_s) && isOver(); };
    QVERIFY(waitUntil(isReported));

    // Cancels a consumer that still waits for a reopen or for its queue.
    if (consumer && consumer->state() != Consumer::State::Cancelled)
        cancel();
    QVERIFY(waitUntil([&] { return log.ended.size() == log.replies.size(); }));
    if (consumer)
        QVERIFY(waitUntil([&] { return !log.only(u"consumer.cancelled"_s).isEmpty(); }));
    connection.reset();
    settleEvents(); // everything has been reported by now
    QCOMPARE(log.ended.size(), log.replies.size());
    if (consumer) {
        QCOMPARE(consumer->state(), Consumer::State::Cancelled);
        QCOMPARE(log.only(u"consumer.cancelled"_s).size(), 1);
        QCOMPARE(log.countOf(u"consumer.stateChanged Cancelled"_s), 1);
        QVERIFY2(log.only(u"consumer."_s).last().startsWith(u"consumer.cancelled"_s),
                 qPrintable(log.entries.join(u"; "_s)));
    } else {
        QVERIFY(log.only(u"consumer.cancelled"_s).size() <= 1);
    }
    QCOMPARE(peer.violations(), QStringList());
}

void tst_CancelWindows::cancelLeavesANewConsumerWithTheSameTagAlone()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    peer.withhold("basic.consume-ok");
    Consumer *consumer = client.channel->consume(u"q"_s, {.consumerTag = u"c"_s});
    Consumer *next = nullptr;
    consumer->whenStarted().then(this, [&] { // the tag is free, and cancelled() is still to come
        next = client.channel->consume(u"q"_s, {.consumerTag = u"c"_s});
        consumer->cancel();
        delete consumer;
    });
    QVERIFY(waitUntil([&] { return peer.count("basic.consume") == 1; }));
    peer.answerAgain("basic.consume-ok");
    peer.send(1, Wire::BasicCancel{.consumerTag = "c", .noWait = true});
    QVERIFY(waitUntil([&] { return next && next->state() == Consumer::State::Active; }));
    settle(client.connection);
    QCOMPARE(next->state(), Consumer::State::Active);
    QCOMPARE(client.channel->consumer(u"c"_s), next);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_CancelWindows::consumerThatDoesNotFitIntoAFrameEnds_data()
{
    QTest::addColumn<bool>("isCancelled");
    QTest::newRow("by itself") << false;
    QTest::newRow("cancelled before") << true;
}

// The size of a frame is known only when the connection is open.
void tst_CancelWindows::consumerThatDoesNotFitIntoAFrameEnds()
{
    QFETCH(const bool, isCancelled);
    ScriptedPeer peer;
    ScriptedPeer::Handshake handshake;
    handshake.frameMax = 8192;
    peer.setHandshake(handshake);
    Connection connection(parametersOf(peer));
    Channel *channel = connection.createChannel();
    Consumer *consumer = channel->consume(
        u"q"_s, {.consumerTag = u"c"_s, .resubscribe = true, .arguments = {{u"x"_s, QByteArray(10000, 'x')}}});
    SignalLog log;
    log.watch(consumer);
    log.watch(consumer->whenStarted(), u"started"_s);
    if (isCancelled)
        log.watch(consumer->cancel(), u"cancel"_s);
    else
        consumer->whenStarted().then(this, [&] { log.watch(consumer->cancel(), u"cancel"_s); });
    connection.open();
    QVERIFY(waitUntil([&] { return !log.only(u"consumer.cancelled"_s).isEmpty(); }));
    settle(connection);
    QVERIFY(log.has(u"reply.started InvalidArgument"_s));
    QVERIFY(log.has(u"reply.cancel ok"_s));
    QCOMPARE(log.only(u"consumer.cancelled"_s).size(), 1);
    QCOMPARE(consumer->state(), Consumer::State::Cancelled);
    QVERIFY(channel->isOpen());
    QCOMPARE(peer.violations(), QStringList());
}

void tst_CancelWindows::cancelInTheWindowEndsAConsumerThatWouldWaitForItsQueue()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    peer.withhold("basic.consume-ok");
    Consumer *consumer = client.channel->consume(u"q"_s, {.consumerTag = u"c"_s, .resubscribe = true});
    SignalLog log;
    log.watch(consumer);
    consumer->whenStarted().then(consumer, [&] { log.watch(consumer->cancel(), u"cancel"_s); });
    QVERIFY(waitUntil([&] { return peer.count("basic.consume") == 1; }));
    peer.answerAgain("basic.consume-ok");
    peer.send(1, Wire::BasicCancel{.consumerTag = "c", .noWait = true});
    QVERIFY(waitUntil([&] { return log.has(u"consumer.cancelled ok"_s); }));
    settle(client.connection);
    QCOMPARE(consumer->state(), Consumer::State::Cancelled);
    QCOMPARE(log.entries,
             QStringList({u"consumer.stateChanged Cancelled"_s, u"consumer.cancelled ok"_s, u"reply.cancel ok"_s}));
    QCOMPARE(peer.count("queue.declare"), 0);
    QCOMPARE(peer.count("basic.consume"), 1);
}

QTEST_GUILESS_MAIN(tst_CancelWindows)

#include "tst_cancelwindows.moc"
