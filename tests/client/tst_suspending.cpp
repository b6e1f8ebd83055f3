// SPDX-License-Identifier: MIT
#include "client/channel/channel_p.h"
#include "client/recoveringclient.h"
#include "support/waystosettle.h"

#include <QtCore/qthread.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Channels, consumers and deliveries when the connection is lost and recovers.
class tst_Suspending : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void channelAndConsumerComeBack();
    void everyLossIsSurvived();
    void channelThatWasNeverOpenStaysOpening();
    void callsFinishAfterTheRecovery();
    void callsThatCannotWaitEnd();
    void callsWhileRecoveringAreMadeAfterwards();
    void reopenAndWhenOpenWaitForTheRecovery();
    void lateSettlementsHaveNoEffect_data();
    void lateSettlementsHaveNoEffect();
    void lateSettlementOfAnotherThreadHasNoEffect();
    void deliveryCanBeSettledWhileItsConnectionLives();
    void anotherThreadKnowsOfTheLoss();
    void settlementsEndWithTheirIncarnation();
    void keptDeliveriesAreDropped();
    void cancelWhileRecovering();
    void cancelThatTheLossAnswers();
    void deletedWhileRecovering();
    void closeWhileRecovering();
    void refusedConsumerEndsOnce();
    void refusedConsumerWaitsForItsQueue_data();
    void refusedConsumerWaitsForItsQueue();
    void consumerFollowsItsRenamedQueue();
    void endOfTheRecoveryEndsCalls();
};

void tst_Suspending::channelAndConsumerComeBack()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    client.channel->setPrefetch(50, Channel::PrefetchScope::PerChannel);
    Consumer *consumer = client.consume({.prefetch = 10});
    peer.deliver(1, "c1", 1, "before");
    QVERIFY(waitUntil([&] { return consumer->unackedCount() == 1; }));
    SignalLog log;
    log.watch(client.channel);
    log.watch(consumer);
    client.lose();
    QCOMPARE(client.channel->state(), Channel::State::Recovering);
    QCOMPARE(consumer->state(), Consumer::State::Recovering);
    QCOMPARE(consumer->unackedCount(), 0);
    log.entries.removeIf(comesOncePerTurn);
    QCOMPARE(log.entries, QStringList({u"consumer.stateChanged Recovering"_s, u"channel.writableChanged 0"_s,
                                       u"channel.stateChanged Recovering"_s}));
    log.entries.clear();
    log.watch(consumer->whenStarted(), u"whenStarted"_s);
    QVERIFY(client.recover());
    QVERIFY(waitUntil([&] { return log.has(u"consumer.started"_s); }));
    QCOMPARE(log.entries,
             QStringList({u"channel.stateChanged Open"_s, u"channel.writableChanged 1"_s, u"reply.whenStarted ok"_s,
                          u"consumer.stateChanged Active"_s, u"consumer.started"_s}));
    QStringList sent;
    for (const Command &command : peer.received()) {
        if (command.channel == 1)
            sent += QString::fromLatin1(command.name) + u' ' +
                    command.fields.value(u"prefetch-count"_s, command.fields.value(u"consumer-tag"_s)).toString();
    }
    QCOMPARE(sent, QStringList({u"channel.open "_s, u"basic.qos 50"_s, u"basic.qos 10"_s, u"basic.consume c1"_s}));
    log.watchDeliveries(consumer);
    peer.deliver(1, "c1", 1, "after");
    QVERIFY(waitUntil([&] { return log.has(u"consumer.delivered after"_s); }));
    QCOMPARE(consumer->deliveredCount(), 2);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Suspending::everyLossIsSurvived()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    Consumer *consumer = client.consume();
    QList<Message> messages;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) { messages += message; });
    for (int loss = 1; loss <= 10; ++loss) {
        client.lose();
        QVERIFY(client.recover());
        QVERIFY(waitUntil([&] { return consumer->state() == Consumer::State::Active; }));
        peer.deliver(1, "c1", 1, QByteArray::number(loss));
        QVERIFY(waitUntil([&] { return messages.size() == loss; }));
        messages.last().ack();
        settle(client.connection);
        QCOMPARE(peer.count("basic.ack"), 1);
    }
    QCOMPARE(messages.last().body(), "10");
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Suspending::channelThatWasNeverOpenStaysOpening()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    peer.withhold("channel.open-ok");
    peer.withhold("queue.declare-ok");
    Channel *channel = client.connection.createChannel();
    const Reply<QueueInfo> declaring = channel->declareQueue(u"q"_s);
    QVERIFY(waitUntil([&] { return peer.count("queue.declare") == 1; }));
    QSignalSpy opened(channel, &Channel::opened);
    client.lose();
    QCOMPARE(channel->state(), Channel::State::Opening);
    peer.answerAgain("channel.open-ok");
    peer.answerAgain("queue.declare-ok");
    QVERIFY(client.recover());
    QVERIFY(waitUntil([&] { return channel->isOpen() && declaring.isFinished(); }));
    QVERIFY(!declaring.result().error().isError());
    settleEvents();
    QCOMPARE(opened.size(), 1);
}

void tst_Suspending::callsFinishAfterTheRecovery()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    const QByteArrayList answers{"queue.declare-ok", "queue.bind-ok", "confirm.select-ok", "basic.consume-ok"};
    for (const QByteArray &answer : answers)
        peer.withhold(answer);
    SignalLog log;
    log.watch(client.channel->declareQueue(u"q"_s), u"declare"_s);
    log.watch(client.channel->bindQueue(u"q"_s, u"x"_s), u"bind"_s);
    log.watch(client.channel->confirmSelect(), u"select"_s);
    log.watch(client.channel->consume(u"q"_s)->whenStarted(), u"consume"_s);
    QVERIFY(waitUntil([&] { return peer.count("basic.consume") == 1; }));
    client.lose();
    QCOMPARE(log.entries, QStringList());
    for (const QByteArray &answer : answers)
        peer.answerAgain(answer);
    QVERIFY(client.recover());
    QVERIFY(waitUntil([&] { return log.ended.size() == 4; }));
    QCOMPARE(log.entries,
             QStringList({u"reply.declare ok"_s, u"reply.bind ok"_s, u"reply.select ok"_s, u"reply.consume ok"_s}));
}

void tst_Suspending::callsThatCannotWaitEnd()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    peer.withhold("basic.get-empty");
    peer.withhold("queue.purge-ok");
    SignalLog log;
    log.watch(client.channel->get(u"q"_s), u"get"_s);
    log.watch(client.channel->purgeQueue(u"q"_s), u"purge"_s);
    QVERIFY(waitUntil([&] { return peer.count("queue.purge") == 1; }));
    client.lose();
    QVERIFY(waitUntil([&] { return log.ended.size() == 2; }));
    QCOMPARE(log.entries, QStringList({u"reply.get Network"_s, u"reply.purge Network"_s}));
    QVERIFY(client.recover());
    settle(client.connection);
    QCOMPARE(peer.count("queue.purge"), 0);
}

void tst_Suspending::callsWhileRecoveringAreMadeAfterwards()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    client.lose();
    SignalLog log;
    log.watch(client.channel->declareQueue(u"q"_s), u"declare"_s);
    QVERIFY(client.channel->publish({}, u"q"_s, Message("held")));
    log.watch(client.channel->purgeQueue(u"q"_s), u"purge"_s);
    QVERIFY(client.recover());
    QVERIFY(waitUntil([&] { return log.ended.size() == 2; }));
    QCOMPARE(log.entries, QStringList({u"reply.declare ok"_s, u"reply.purge ok"_s}));
    QCOMPARE(peer.last("basic.publish").body, "held");
}

void tst_Suspending::reopenAndWhenOpenWaitForTheRecovery()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    client.lose();
    SignalLog log;
    log.watch(client.channel->whenOpen(), u"whenOpen"_s);
    log.watch(client.channel->reopen(), u"reopen"_s);
    QVERIFY(client.recover());
    QVERIFY(waitUntil([&] { return log.ended.size() == 2; }));
    QCOMPARE(log.entries, QStringList({u"reply.whenOpen ok"_s, u"reply.reopen ok"_s}));
    settle(client.connection);
    QCOMPARE(peer.count("channel.open"), 2); // with that of settle()
}

void tst_Suspending::lateSettlementsHaveNoEffect_data()
{
    addWaysToSettle();
}

void tst_Suspending::lateSettlementsHaveNoEffect()
{
    QFETCH(const QString, how);
    ScriptedPeer peer;
    RecoveringClient client(peer);
    Consumer *consumer = client.consume();
    QList<Message> messages;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) { messages += message; });
    peer.sendRaw(deliveries("c1", 1, {"old", "old"}));
    QVERIFY(waitUntil([&] { return messages.size() == 2; }));
    client.lose();
    SignalLog log;
    log.watch(client.channel);
    log.watch(&client.connection);
    QVERIFY(!settleBy(how, client.channel, messages.at(0))); // while recovering
    QVERIFY(client.recover());
    QVERIFY(waitUntil([&] { return consumer->state() == Consumer::State::Active; }));
    peer.sendRaw(deliveries("c1", 1, {"new", "new"})); // have the same numbers
    QVERIFY(waitUntil([&] { return messages.size() == 4; }));
    QVERIFY(!settleBy(how, client.channel, messages.at(1)));
    settle(client.connection);
    QCOMPARE(log.only(u"channel.settlementFailed"_s) + log.only(u"connection.settlementFailed"_s) +
                 log.only(u"channel.errorOccurred"_s),
             QStringList());
    QCOMPARE(peer.count("basic.ack") + peer.count("basic.nack") + peer.count("basic.reject"), 0);
    QCOMPARE(consumer->unackedCount(), 2);
    messages.last().ack();
    messages.last().ack(); // twice is still an error
    settle(client.connection);
    QCOMPARE(peer.count("basic.ack"), 1);
    QCOMPARE(log.only(u"channel.settlementFailed"_s).size(), 1);
}

void tst_Suspending::lateSettlementOfAnotherThreadHasNoEffect()
{
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    RecoveringClient client(peer);
    Consumer *consumer = client.consume();
    Message old;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) { old = message; });
    peer.deliver(1, "c1", 1, "old");
    QVERIFY(waitUntil([&] { return old.isDelivered(); }));
    client.lose();
    SignalLog log;
    log.watch(client.channel);
    log.watch(&client.connection);
    const std::unique_ptr<QThread> thread(QThread::create([&] { old.ack(); }));
    thread->start();
    QVERIFY(thread->wait());
    QVERIFY(client.recover());
    settle(client.connection);
    QCOMPARE(log.only(u"channel.settlementFailed"_s) + log.only(u"connection.settlementFailed"_s), QStringList());
    QCOMPARE(peer.count("basic.ack"), 0);
}

void tst_Suspending::deliveryCanBeSettledWhileItsConnectionLives()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    QList<Message> messages;
    const auto keep = [&](const Message &message) { messages += message; };
    connect(client.consume(), &Consumer::delivered, this, keep);
    connect(client.consume({.ackMode = AckMode::NoAck}), &Consumer::delivered, this, keep);
    QVERIFY(!Message("published").canSettle());
    peer.sendRaw(deliveries("c1", 1, {"1", "2", "3"}));
    QVERIFY(waitUntil([&] { return messages.size() == 3; }));
    peer.deliver(1, "c2", 4, "no ack");
    QVERIFY(waitUntil([&] { return messages.size() == 4; }));
    QVERIFY(!messages.at(3).canSettle());
    for (int i = 0; i < 3; ++i)
        QVERIFY(messages.at(i).canSettle());
    messages.at(0).ack();
    messages.at(1).nack();
    QVERIFY(!messages.at(0).canSettle());
    QVERIFY(!messages.at(1).canSettle());
    QVERIFY(messages.at(2).canSettle());
    client.lose();
    QVERIFY(!messages.at(2).canSettle());
    QVERIFY(client.recover());
    QVERIFY(!messages.at(2).canSettle());
    messages.clear();
    peer.deliver(1, "c1", 1, "new");
    QVERIFY(waitUntil([&] { return messages.size() == 1; }));
    QVERIFY(messages.first().canSettle());
    delete client.channel;
    QVERIFY(!messages.first().canSettle());
}

void tst_Suspending::anotherThreadKnowsOfTheLoss()
{
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    RecoveringClient client(peer);
    QList<Message> messages;
    connect(client.consume(), &Consumer::delivered, this, [&](const Message &message) { messages += message; });
    const auto canSettle = [](const Message &message) {
        bool can = false;
        const std::unique_ptr<QThread> thread(QThread::create([&] { can = message.canSettle(); }));
        thread->start();
        thread->wait();
        return can;
    };
    peer.deliver(1, "c1", 1, "old");
    QVERIFY(waitUntil([&] { return messages.size() == 1; }));
    QVERIFY(canSettle(messages.first()));
    client.lose();
    QVERIFY(!canSettle(messages.first()));
    QVERIFY(client.recover());
    peer.deliver(1, "c1", 1, "new");
    QVERIFY(waitUntil([&] { return messages.size() == 2; }));
    QVERIFY(!canSettle(messages.first()));
    QVERIFY(canSettle(messages.last()));
}

// `multiple` must not reach into another incarnation.
void tst_Suspending::settlementsEndWithTheirIncarnation()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    Consumer *consumer = client.consume();
    QList<Message> messages;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) { messages += message; });
    peer.sendRaw(deliveries("c1", 1, {"1", "2", "3"}));
    QVERIFY(waitUntil([&] { return messages.size() == 3; }));
    client.lose();
    QVERIFY(client.recover());
    QVERIFY(waitUntil([&] { return consumer->state() == Consumer::State::Active; }));
    peer.sendRaw(deliveries("c1", 1, {"4", "5"}));
    QVERIFY(waitUntil([&] { return messages.size() == 5; }));
    QVERIFY(client.channel->ackUpTo(messages.at(3)));
    settle(client.connection);
    QCOMPARE(peer.count("basic.ack"), 1);
    QCOMPARE(peer.last("basic.ack").fields.value(u"delivery-tag"_s).toULongLong(), 1u);
    QCOMPARE(consumer->unackedCount(), 1);
}

void tst_Suspending::keptDeliveriesAreDropped()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    Consumer *consumer = client.consume({.ackMode = AckMode::AfterDelivery}); // keeps messages without a slot
    peer.sendRaw(deliveries("c1", 1, {"1", "2"}));
    settle(client.connection);
    client.lose();
    QVERIFY(client.recover());
    SignalLog log;
    log.watchDeliveries(consumer);
    peer.sendRaw(deliveries("c1", 1, {"1 again", "2 again"}));
    QVERIFY(waitUntil([&] { return log.entries.size() == 2; }));
    settle(client.connection);
    QCOMPARE(log.entries, QStringList({u"consumer.delivered 1 again"_s, u"consumer.delivered 2 again"_s}));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Suspending::cancelWhileRecovering()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    Consumer *consumer = client.consume();
    client.lose();
    SignalLog log;
    log.watch(consumer);
    log.watch(consumer->cancel(), u"cancel"_s);
    QVERIFY(waitUntil([&] { return log.has(u"consumer.cancelled ok"_s); }));
    QCOMPARE(log.only(u"reply."_s), QStringList{u"reply.cancel ok"_s});
    QVERIFY(client.recover());
    settle(client.connection);
    QCOMPARE(peer.count("basic.consume"), 0);
}

void tst_Suspending::cancelThatTheLossAnswers()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    Consumer *consumer = client.consume();
    peer.withhold("basic.cancel-ok");
    SignalLog log;
    log.watch(consumer);
    log.watch(consumer->cancel(), u"cancel"_s);
    QVERIFY(waitUntil([&] { return peer.count("basic.cancel") == 1; }));
    client.lose();
    QVERIFY(waitUntil([&] { return log.has(u"consumer.cancelled ok"_s); }));
    QCOMPARE(log.entries, QStringList({u"consumer.stateChanged Cancelling"_s, u"reply.cancel ok"_s,
                                       u"consumer.stateChanged Cancelled"_s, u"consumer.cancelled ok"_s}));
    QVERIFY(client.recover());
    settle(client.connection);
    QCOMPARE(peer.count("basic.consume"), 0);
}

void tst_Suspending::deletedWhileRecovering()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    Consumer *deleted = client.consume({.consumerTag = u"deleted"_s});
    client.consume({.consumerTag = u"stays"_s});
    Channel *other = client.connection.createChannel();
    QVERIFY(waitUntil([&] { return other->isOpen(); }));
    client.lose();
    delete deleted;
    delete other;
    QVERIFY(client.recover());
    settle(client.connection);
    QCOMPARE(peer.count("basic.consume"), 1);
    QCOMPARE(peer.last("basic.consume").fields.value(u"consumer-tag"_s), u"stays"_s);
    QCOMPARE(peer.count("channel.open"), 2); // with that of settle()
}

void tst_Suspending::closeWhileRecovering()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    Consumer *consumer = client.consume();
    client.lose();
    SignalLog log;
    log.watch(client.channel);
    log.watch(consumer);
    log.watch(client.channel->close(), u"close"_s);
    QVERIFY(waitUntil([&] { return log.has(u"channel.closed ok"_s); }));
    QCOMPARE(log.entries,
             QStringList({u"reply.close ok"_s, u"consumer.stateChanged Cancelled"_s, u"consumer.cancelled ok"_s,
                          u"channel.stateChanged Closed"_s, u"channel.closed ok"_s}));
    recover(client.connection);
    settle(client.connection);
    QCOMPARE(peer.count("channel.open"), 1); // that of settle()
}

namespace
{

// Refuses basic.consume for the queue "gone", as RabbitMQ does.
ScriptedPeer::Hook refusing(ScriptedPeer &peer, const QByteArray &text)
{
    return [&peer, text](const Command &command) {
        const bool isRefused =
            command.id == Wire::BasicConsume::id && command.fields.value(u"queue"_s).toString() == u"gone";
        if (isRefused)
            peer.send(
                command.channel,
                Wire::ChannelClose{.replyCode = 404, .replyText = QByteArrayView(text), .classId = 60, .methodId = 20});
        return isRefused;
    };
}

} // namespace

void tst_Suspending::refusedConsumerEndsOnce()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    Consumer *first = client.consume();
    Consumer *refused = client.channel->consume(u"gone"_s);
    Consumer *last = client.consume();
    QVERIFY(waitUntil([&] { return refused->state() == Consumer::State::Active; }));
    client.lose();
    peer.setHook(refusing(peer, "NOT_FOUND - no queue 'gone' in vhost '/'"));
    SignalLog log;
    log.watch(refused);
    log.watch(client.channel);
    client.channel->publish({}, u"q"_s, Message("held"));
    QVERIFY(client.recover());
    QVERIFY(waitUntil([&] {
        return first->state() == Consumer::State::Active && last->state() == Consumer::State::Active &&
               peer.count("basic.publish") == 1;
    }));
    settleEvents();
    QCOMPARE(log.only(u"consumer.cancelled"_s), QStringList{u"consumer.cancelled ChannelClosed 404"_s});
    QCOMPARE(log.only(u"channel.closed"_s), QStringList());
    QVERIFY(client.channel->isOpen());
}

void tst_Suspending::refusedConsumerWaitsForItsQueue_data()
{
    QTest::addColumn<bool>("resubscribes");
    QTest::addColumn<QByteArray>("text");
    QTest::newRow("resubscribe") << true << QByteArray("NOT_FOUND - no queue 'gone' in vhost '/'");
    QTest::newRow("node is down") << false
                                  << QByteArray("NOT_FOUND - home node 'rabbit@b' of durable queue 'gone' in vhost '/' "
                                                "is down or inaccessible");
}

void tst_Suspending::refusedConsumerWaitsForItsQueue()
{
    QFETCH(const bool, resubscribes);
    QFETCH(const QByteArray, text);
    ScriptedPeer peer;
    RecoveringClient client(peer);
    Consumer *consumer = client.channel->consume(u"gone"_s, {.resubscribe = resubscribes});
    QVERIFY(waitUntil([&] { return consumer->state() == Consumer::State::Active; }));
    client.lose();
    peer.setHook(refusing(peer, text));
    QVERIFY(client.recover());
    QVERIFY(waitUntil([&] { return peer.count("channel.close-ok") == 1; }));
    settle(client.connection);
    QCOMPARE(consumer->state(), Consumer::State::Recovering);
    peer.setHook({});
    QVERIFY(waitUntil([&] { return consumer->state() == Consumer::State::Active; })); // after a passive declaration
}

void tst_Suspending::consumerFollowsItsRenamedQueue()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    Consumer *consumer = client.consume();
    Consumer *other = client.channel->consume(u"other"_s);
    SignalLog log;
    log.watch(consumer);
    log.watch(other, u"other"_s);
    client.lose();
    ConnectionPrivate *const d = ConnectionPrivate::of(&client.connection);
    d->engine.gate().renameQueues({{u"q"_s, u"renamed"_s}});
    for (ChannelPrivate *channel : d->channels.all())
        channel->renameQueues({{u"q"_s, u"renamed"_s}});
    QCOMPARE(consumer->queue(), u"renamed"_s);
    QCOMPARE(other->queue(), u"other"_s);
    QVERIFY(client.recover());
    QVERIFY(waitUntil([&] { return consumer->state() == Consumer::State::Active; }));
    QCOMPARE(log.only(u"consumer.queueChanged"_s), QStringList{u"consumer.queueChanged renamed"_s});
    QCOMPARE(log.only(u"other.queueChanged"_s), QStringList());
    QCOMPARE(peer.received("basic.consume").first().fields.value(u"queue"_s), u"renamed"_s);
}

void tst_Suspending::endOfTheRecoveryEndsCalls()
{
    ScriptedPeer peer;
    RecoveringClient client(peer);
    Consumer *consumer = client.consume();
    peer.withhold("queue.declare-ok");
    SignalLog log;
    log.watch(client.channel);
    log.watch(consumer);
    log.watch(client.channel->declareQueue(u"q"_s), u"declare"_s);
    QVERIFY(waitUntil([&] { return peer.count("queue.declare") == 1; }));
    client.lose();
    log.watch(consumer->whenStarted(), u"whenStarted"_s);
    client.connection.close();
    QVERIFY(waitUntil([&] { return log.ended.size() == 2; }));
    settleEvents();
    QCOMPARE(log.only(u"reply.declare"_s), QStringList{u"reply.declare Cancelled"_s});
    QCOMPARE(log.only(u"reply.whenStarted"_s), QStringList{u"reply.whenStarted Cancelled"_s});
    QCOMPARE(log.only(u"channel.closed"_s), QStringList{u"channel.closed ok"_s});
    QCOMPARE(log.only(u"consumer.cancelled"_s), QStringList{u"consumer.cancelled ok"_s});
}

QTEST_GUILESS_MAIN(tst_Suspending)

#include "tst_suspending.moc"
