// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"
#include "support/waystosettle.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Tests Channel::reopen() and the state after the broker's channel.close.
class tst_Reopening : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void prefetchAndConsumersComeBackInOrder();
    void startedComesAgain();
    void oldDeliveriesAreStale_data();
    void oldDeliveriesAreStale();
    void consumerThatCouldNotStartEnds();
    void endedCallsAreNotRepeated();
    void consumerKeepsTheNameThatTheBrokerGave();
    void consumerThatCannotStartAgainEnds();
    void cancelWhileWaitingEndsWithoutTheBroker();
    void publishingGoesOnWithTheNextNumber();
    void openChannelCannotBeReopened();
    void reopenWaitsForTheConnection();
    void reopenFailsWhileTheConnectionIsClosing();
    void numberInUseIsReplaced();
    void numberIsNotReusedUntilCloseOk();
    void exhaustedNumbersAreALocalError();
    void sameNumberIsTheSameChannel();
};

void tst_Reopening::prefetchAndConsumersComeBackInOrder()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    client.channel->setPrefetch(100, Channel::PrefetchScope::PerChannel);
    client.channel->setPrefetch(10);
    client.consume({.consumerTag = u"a"_s});
    client.consume({.consumerTag = u"b"_s,
                    .ackMode = AckMode::NoAck,
                    .exclusive = true,
                    .prefetch = 5,
                    .arguments = {{u"x-priority"_s, 7}}});
    peer.closeChannel(1, 406, "PRECONDITION_FAILED");
    QVERIFY(waitUntil([&] { return client.channel->state() == Channel::State::Closed; }));
    peer.forgetReceived();
    client.channel->reopen();
    client.channel->declareQueue(u"after"_s);
    QVERIFY(waitUntil([&] { return peer.count("queue.declare") == 1; }));
    QStringList sent;
    for (const Command &command : peer.received()) {
        QString text = QString::fromLatin1(command.name);
        for (const char *field : {"prefetch-count", "global", "consumer-tag", "no-ack", "exclusive"}) {
            if (command.fields.contains(QLatin1StringView(field)))
                text += u' ' + command.fields.value(QLatin1StringView(field)).toString();
        }
        if (const QVariantMap table = command.fields.value(u"arguments"_s).toMap(); !table.isEmpty())
            text += u" x-priority "_s + table.value(u"x-priority"_s).toString();
        sent += text;
    }
    sent.removeAll(u"channel.close-ok"_s);
    QCOMPARE(sent, QStringList({u"channel.open"_s, u"basic.qos 100 true"_s, u"basic.qos 10 false"_s,
                                u"basic.consume a false false"_s, u"basic.qos 5 false"_s,
                                u"basic.consume b true true x-priority 7"_s, u"queue.declare false"_s}));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Reopening::startedComesAgain()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *consumer = client.consume();
    SignalLog log;
    log.watch(consumer);
    log.watchDeliveries(consumer);
    for (quint64 round = 1; round <= 3; ++round) {
        log.entries.clear();
        peer.closeChannel(1, 406, "PRECONDITION_FAILED");
        QVERIFY(waitUntil([&] { return client.channel->state() == Channel::State::Closed; }));
        QCOMPARE(client.channel->consumers(), QList<Consumer *>{consumer});
        log.watch(client.channel->reopen(), u"reopen"_s);
        log.watch(consumer->whenStarted(), u"whenStarted"_s);
        QVERIFY(waitUntil([&] { return log.has(u"consumer.started"_s); }));
        peer.deliver(1, "c1", 1, "m");
        QVERIFY(waitUntil([&] { return log.has(u"consumer.delivered m"_s); }));
        log.entries.removeIf(comesOncePerTurn);
        QCOMPARE(log.entries,
                 QStringList({u"consumer.stateChanged Recovering"_s, u"consumer.stateChanged Starting"_s,
                              u"reply.reopen ok"_s, u"reply.whenStarted ok"_s, u"consumer.stateChanged Active"_s,
                              u"consumer.started"_s, u"consumer.delivered m"_s}));
        QCOMPARE(consumer->unackedCount(), 1);
    }
}

void tst_Reopening::oldDeliveriesAreStale_data()
{
    addWaysToSettle();
}

void tst_Reopening::oldDeliveriesAreStale()
{
    QFETCH(const QString, how);
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *consumer = client.consume();
    QList<Message> messages;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) { messages += message; });
    peer.deliver(1, "c1", 1, "old");
    QVERIFY(waitUntil([&] { return messages.size() == 1; }));
    peer.closeChannel(1, 406, "PRECONDITION_FAILED");
    QVERIFY(waitUntil([&] { return client.channel->state() == Channel::State::Closed; }));
    client.channel->reopen();
    QVERIFY(waitUntil([&] { return consumer->state() == Consumer::State::Active; }));
    peer.deliver(1, "c1", 1, "new"); // has the same number
    QVERIFY(waitUntil([&] { return messages.size() == 2; }));
    QCOMPARE(messages.first().deliveryTag(), messages.last().deliveryTag());

    SignalLog log;
    log.watch(client.channel);
    QVERIFY(!settleBy(how, client.channel, messages.first()));
    QCOMPARE(client.channel->lastCallError().kind(), ErrorKind::StaleDelivery);
    settle(client.connection);
    QCOMPARE(log.entries, QStringList{u"channel.settlementFailed StaleDelivery"_s});
    QCOMPARE(peer.count("basic.ack") + peer.count("basic.nack"), 0);
    QCOMPARE(consumer->unackedCount(), 1);
    messages.last().ack();
    settle(client.connection);
    QCOMPARE(peer.count("basic.ack"), 1);
}

void tst_Reopening::consumerThatCouldNotStartEnds()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *living = client.consume({.consumerTag = u"living"_s});
    peer.closeInsteadOf("basic.consume-ok", 404, "NOT_FOUND - no queue 'missing'");
    Consumer *consumer = client.channel->consume(u"missing"_s, {.consumerTag = u"unlucky"_s});
    SignalLog log;
    log.watch(consumer);
    log.watch(consumer->whenStarted(), u"whenStarted"_s);
    peer.setHook([&](const Command &command) {
        if (command.id == Wire::BasicConsume::id) // names the method, as brokers do
            peer.send(1, Wire::ChannelClose{.replyCode = 404, .replyText = "NOT_FOUND", .classId = 60, .methodId = 20});
        return command.id == Wire::BasicConsume::id;
    });
    QVERIFY(waitUntil([&] { return client.channel->state() == Channel::State::Closed; }));
    settleEvents();
    QCOMPARE(log.entries, QStringList({u"reply.whenStarted ChannelClosed 404"_s, u"consumer.stateChanged Cancelled"_s,
                                       u"consumer.cancelled ChannelClosed 404"_s}));
    QCOMPARE(client.channel->consumers(), QList<Consumer *>{living});
    peer.setHook({});
    peer.answerAgain("basic.consume-ok");
    peer.forgetReceived();
    client.channel->reopen();
    QVERIFY(waitUntil([&] { return living->state() == Consumer::State::Active; }));
    QCOMPARE(peer.count("basic.consume"), 1);
    QVERIFY(client.channel->isOpen());
}

void tst_Reopening::endedCallsAreNotRepeated()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *cancelled = client.consume({.consumerTag = u"cancelled"_s});
    Consumer *cancelledByBroker = client.consume({.consumerTag = u"by the broker"_s});
    Consumer *deleted = client.consume({.consumerTag = u"deleted"_s});
    Consumer *deletedLater = client.consume({.consumerTag = u"deleted later"_s});
    cancelled->cancel();
    peer.send(1, Wire::BasicCancel{.consumerTag = "by the broker", .noWait = true});
    delete deleted;
    QVERIFY(waitUntil([&] { return cancelledByBroker->state() == Consumer::State::Cancelled; }));
    peer.closeChannel(1, 406, "PRECONDITION_FAILED");
    QVERIFY(waitUntil([&] { return client.channel->state() == Channel::State::Closed; }));
    QCOMPARE(client.channel->consumers(), QList<Consumer *>{deletedLater});
    delete deletedLater;
    peer.forgetReceived();
    client.channel->reopen();
    settle(client.connection);
    QCOMPARE(peer.count("basic.consume"), 0);
}

void tst_Reopening::consumerKeepsTheNameThatTheBrokerGave()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    client.channel->declareTemporaryQueue();
    Consumer *consumer = client.channel->consume({});
    QSignalSpy named(consumer, &Consumer::queueChanged);
    QVERIFY(waitUntil([&] { return consumer->state() == Consumer::State::Active; }));
    QVERIFY(waitUntil([&] { return named.size() == 1; }));
    QVERIFY(consumer->queue().startsWith(u"amq.gen-"));
    peer.closeChannel(1, 406, "PRECONDITION_FAILED");
    QVERIFY(waitUntil([&] { return client.channel->state() == Channel::State::Closed; }));
    peer.forgetReceived();
    client.channel->reopen();
    QVERIFY(waitUntil([&] { return consumer->state() == Consumer::State::Active; }));
    QCOMPARE(peer.last("basic.consume").fields.value(u"queue"_s).toString(), consumer->queue());
    QCOMPARE(named.size(), 1);
}

// The queue was never named and no longer exists.
void tst_Reopening::consumerThatCannotStartAgainEnds()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    peer.withhold("queue.declare-ok");
    peer.withhold("basic.qos-ok");
    peer.withhold("basic.consume-ok");
    client.channel->declareTemporaryQueue();
    Consumer *consumer = client.channel->consume({});
    SignalLog log;
    log.watch(consumer);
    settle(client.connection);
    peer.closeChannel(1, 406, "PRECONDITION_FAILED");
    QVERIFY(waitUntil([&] { return client.channel->state() == Channel::State::Closed; }));
    log.watch(client.channel->reopen(), u"reopen"_s);
    QVERIFY(waitUntil([&] { return log.has(u"reply.reopen ok"_s); }));
    QCOMPARE(log.only(u"consumer."_s),
             QStringList({u"consumer.stateChanged Recovering"_s, u"consumer.stateChanged Cancelled"_s,
                          u"consumer.cancelled InvalidArgument"_s}));
    QVERIFY(client.channel->isOpen());
}

void tst_Reopening::cancelWhileWaitingEndsWithoutTheBroker()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *consumer = client.consume();
    peer.closeChannel(1, 406, "PRECONDITION_FAILED");
    QVERIFY(waitUntil([&] { return consumer->state() == Consumer::State::Recovering; }));
    SignalLog log;
    log.watch(consumer);
    log.watch(consumer->cancel(), u"cancel"_s);
    QVERIFY(waitUntil([&] { return log.has(u"consumer.cancelled ok"_s) && log.has(u"reply.cancel ok"_s); }));
    QVERIFY(client.channel->consumers().isEmpty());
    peer.forgetReceived();
    client.channel->reopen();
    settle(client.connection);
    QCOMPARE(peer.count("basic.consume"), 0);
    QCOMPARE(peer.count("basic.cancel"), 0);
}

void tst_Reopening::publishingGoesOnWithTheNextNumber()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    QCOMPARE(client.channel->publish({}, u"q"_s, Message("1")), quint64(1));
    peer.closeChannel(1, 404, "NOT_FOUND");
    QVERIFY(waitUntil([&] { return client.channel->state() == Channel::State::Closed; }));
    QCOMPARE(client.channel->publish({}, u"q"_s, Message("rejected")), quint64(0));
    client.channel->reopen();
    QCOMPARE(client.channel->publish({}, u"q"_s, Message("2")), quint64(2)); // while the channel is opening
    QVERIFY(waitUntil([&] { return peer.count("basic.publish") == 2; }));
    QCOMPARE(peer.last("basic.publish").body, "2");
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Reopening::openChannelCannotBeReopened()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    SignalLog log;
    log.watch(client.channel);
    QCOMPARE(client.channel->reopen().result().error().kind(), ErrorKind::InvalidArgument);
    settle(client.connection);
    QCOMPARE(log.entries, QStringList{u"channel.errorOccurred InvalidArgument"_s});
    QVERIFY(client.channel->isOpen());
    QCOMPARE(peer.count("channel.open"), 2); // including the channel.open of settle()
}

void tst_Reopening::reopenWaitsForTheConnection()
{
    ScriptedPeer peer;
    OpenClient client(withoutRecovery(peer));
    Consumer *consumer = client.consume();
    peer.dropConnection();
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
    SignalLog log;
    log.watch(client.channel->reopen(), u"reopen"_s);
    QCOMPARE(client.channel->state(), Channel::State::Opening);
    settleEvents();
    QCOMPARE(log.ended, QStringList());
    client.connection.open();
    QVERIFY(waitUntil([&] { return consumer->state() == Consumer::State::Active; }));
    QVERIFY(log.has(u"reply.reopen ok"_s));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Reopening::reopenFailsWhileTheConnectionIsClosing()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    client.channel->close();
    QVERIFY(waitUntil([&] { return client.channel->state() == Channel::State::Closed; }));
    client.connection.close();
    const Reply<void> reopened = client.channel->reopen();
    QVERIFY(reopened.isFinished());
    QCOMPARE(reopened.result().error().kind(), ErrorKind::NotOpen);
    QCOMPARE(client.channel->state(), Channel::State::Closed);
}

void tst_Reopening::numberInUseIsReplaced()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    peer.closeChannel(1, 404, "NOT_FOUND");
    QVERIFY(waitUntil([&] { return client.channel->state() == Channel::State::Closed; }));
    Channel *other = client.connection.createChannel();
    QCOMPARE(other->number(), quint16(1));
    client.channel->reopen();
    QVERIFY(waitUntil([&] { return client.channel->isOpen() && other->isOpen(); }));
    QCOMPARE(client.channel->number(), quint16(2));
    QCOMPARE(client.connection.channels(), (QList<Channel *>{other, client.channel}));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Reopening::numberIsNotReusedUntilCloseOk()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    peer.withhold("channel.close-ok");
    delete client.channel;
    QVERIFY(waitUntil([&] { return peer.count("channel.close") == 1; }));
    QCOMPARE(client.connection.channel(1), nullptr);
    QCOMPARE(client.connection.lastCallError().kind(), ErrorKind::NotOpen);
    Channel *next = client.connection.createChannel();
    QCOMPARE(next->number(), quint16(2));
    peer.answerAgain("channel.close-ok");
    peer.send(1, Wire::ChannelCloseOk{});
    settle(client.connection);
    Channel *first = client.connection.channel(1);
    QVERIFY(first);
    QVERIFY(waitUntil([&] { return first->isOpen(); }));
}

void tst_Reopening::exhaustedNumbersAreALocalError()
{
    ScriptedPeer peer;
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setMaximumChannels(2);
    OpenClient client(parameters);
    Channel *second = client.connection.createChannel();
    QPointer<Channel> third = client.connection.createChannel();
    SignalLog log;
    log.watch(third);
    QCOMPARE(log.entries, QStringList());
    QVERIFY(waitUntil([&] { return log.has(u"channel.closed NotOpen"_s); }));
    QCOMPARE(log.entries, QStringList({u"channel.errorOccurred NotOpen"_s, u"channel.closed NotOpen"_s}));
    QCOMPARE(third->declareQueue(u"q"_s).result().error().kind(), ErrorKind::NotOpen);
    QCOMPARE(third->consume(u"q"_s)->state(), Consumer::State::Cancelled);
    QCOMPARE(third->publish({}, {}, Message("m")), quint64(0));
    QVERIFY(third->close().result());
    QVERIFY(!third->isWritable());
    QCOMPARE(client.connection.channels(), (QList<Channel *>{client.channel, second}));
    // A blocking broker makes all channels report backpressure, but this channel has nothing to report.
    peer.send(0, Wire::ConnectionBlocked{.reason = "low on memory"});
    QVERIFY(waitUntil([&] { return client.connection.isBlocked() && !second->isWritable(); }));
    second->close();
    QVERIFY(waitUntil([&] { return second->state() == Channel::State::Closed; }));
    Channel *fourth = client.connection.createChannel(); // closing has freed a number
    QVERIFY(waitUntil([&] { return fourth->isOpen(); }));
}

void tst_Reopening::sameNumberIsTheSameChannel()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    QCOMPARE(client.connection.channel(1), client.channel);
    Channel *seventh = client.connection.channel(7);
    QVERIFY(seventh);
    QCOMPARE(client.connection.channel(7), seventh);
    QVERIFY(waitUntil([&] { return seventh->isOpen(); }));
    QCOMPARE(client.connection.createChannel()->number(), quint16(2));
    SignalLog log;
    log.watch(&client.connection);
    QCOMPARE(client.connection.channel(0), nullptr);
    QCOMPARE(client.connection.lastCallError().kind(), ErrorKind::InvalidArgument);
    QVERIFY(client.connection.lastCallError().text().contains(u"number"));
    QCOMPARE(client.connection.channel(2048), nullptr);
    settle(client.connection);
    QCOMPARE(log.entries.filter(u"errorOccurred InvalidArgument"_s).size(), 2);
    QVERIFY(client.connection.isOpen());
}

QTEST_GUILESS_MAIN(tst_Reopening)
#include "tst_reopening.moc"
