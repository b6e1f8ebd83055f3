// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"

#include <QtCore/qregularexpression.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

// Deliveries that arrive together form one batch, even on a slow machine.
ConnectionParameters inOneTurn(const ScriptedPeer &peer)
{
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setDispatchBudget(10s);
    return parameters;
}

} // namespace

// Tests subscriptions from their start to each of their ends.
class tst_Cancelling : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init() { m_messages.clear(); }

    void deliveriesComeInBothWays();
    void unackedCountFollowsDeliveriesAndAcks();
    void deliveriesMayComeBeforeConsumeOk();
    void consumerWithoutSlotsWarnsOnce();
    void channelFindsItsConsumers();

    void cancelEndsWithTheBrokersAnswer();
    void cancelReturnsDeliveriesUntilCancelOk();
    void cancelReturnsThePendingBatch();
    void cancelWarnsOfNoAckDeliveriesThatAreLost();
    void cancelWaitsForConsumeOk();
    void cancelTwiceIsTheSame();
    void cancelledDeliveriesCanBeSettled();

    void deletionCancelsAndReturnsFurtherDeliveries();
    void deletionWhileStartingCancelsAfterConsumeOk();
    void brokerMayCancel_data();
    void brokerMayCancel();
    void batchIsEmittedBeforeTheEnd_data();
    void batchIsEmittedBeforeTheEnd();
    void tooLargeMessageEndsTheConsumer();

private:
    void keep(Consumer *consumer)
    {
        connect(consumer, &Consumer::delivered, this, [this](const Message &message) { m_messages += message; });
    }
    QList<Message> m_messages;
};

void tst_Cancelling::deliveriesComeInBothWays()
{
    ScriptedPeer peer;
    OpenClient client(inOneTurn(peer));
    Consumer *consumer = client.consume();
    SignalLog log;
    log.watchDeliveries(consumer);
    log.watchBatches(consumer);
    peer.sendRaw(deliveries("c1", 1, {"1", "2", "3"}));
    QVERIFY(waitUntil(
        [&] { return log.has(u"consumer.delivered 3"_s) && !log.only(u"consumer.batchDelivered"_s).isEmpty(); }));
    QCOMPARE(log.entries, QStringList({u"consumer.delivered 1"_s, u"consumer.delivered 2"_s, u"consumer.delivered 3"_s,
                                       u"consumer.batchDelivered 1 2 3"_s}));
}

void tst_Cancelling::unackedCountFollowsDeliveriesAndAcks()
{
    ScriptedPeer peer;
    OpenClient client(inOneTurn(peer));
    Consumer *consumer = client.consume();
    Consumer *noAck = client.consume({.ackMode = AckMode::NoAck});
    keep(consumer);
    SignalLog log;
    log.watch(consumer);
    log.watch(noAck, u"noAck"_s);
    peer.sendRaw(deliveries("c1", 1, {"1", "2", "3"}) + deliveries("c2", 4, {"4"}));
    QVERIFY(waitUntil([&] { return log.has(u"consumer.unackedCountChanged 3"_s); }));
    QCOMPARE(consumer->unackedCount(), 3);
    client.channel->ackUpTo(m_messages.at(1));
    QCOMPARE(consumer->unackedCount(), 1);
    m_messages.at(2).nack();
    QVERIFY(waitUntil([&] { return log.has(u"consumer.unackedCountChanged 0"_s); }));
    QCOMPARE(log.only(u"consumer."_s),
             QStringList({u"consumer.deliveredCountChanged 3"_s, u"consumer.unackedCountChanged 3"_s,
                          u"consumer.unackedCountChanged 0"_s}));
    QCOMPARE(log.only(u"noAck."_s), QStringList({u"noAck.deliveredCountChanged 1"_s}));
    QCOMPARE(noAck->unackedCount(), 0);
}

void tst_Cancelling::deliveriesMayComeBeforeConsumeOk()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    peer.withhold("basic.consume-ok");
    Consumer *consumer = client.channel->consume(u"q"_s, {.consumerTag = u"t"_s});
    keep(consumer);
    QVERIFY(waitUntil([&] { return peer.count("basic.consume") == 1; }));
    peer.deliver(1, "t", 1, "early");
    QVERIFY(waitUntil([&] { return m_messages.size() == 1; }));
    QCOMPARE(consumer->state(), Consumer::State::Starting);
    peer.send(1, Wire::BasicConsumeOk{.consumerTag = "t"});
    QVERIFY(waitUntil([&] { return consumer->state() == Consumer::State::Active; }));
}

void tst_Cancelling::consumerWithoutSlotsWarnsOnce()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    client.consume();
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"c1 arrive, but nothing is connected"_s));
    peer.sendRaw(deliveries("c1", 1, {"1", "2", "3"}));
    settle(client.connection);
    QVERIFY(client.channel->isOpen());
}

void tst_Cancelling::channelFindsItsConsumers()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *a = client.consume({.consumerTag = u"a"_s});
    Consumer *b = client.channel->consume(u"q"_s);
    Consumer *c = client.consume({.consumerTag = u"c"_s});
    QCOMPARE(client.channel->consumers(), (QList<Consumer *>{a, b, c}));
    QCOMPARE(client.channel->consumer(u"a"_s), a);
    QVERIFY(!b->consumerTag().isEmpty());
    QCOMPARE(client.channel->consumer(b->consumerTag()), b);
    QCOMPARE(client.channel->consumer(u"none"_s), nullptr);
    QCOMPARE(a->channel(), client.channel);
    QCOMPARE(a->parent(), client.channel);
    a->cancel();
    QVERIFY(waitUntil([&] { return a->state() == Consumer::State::Cancelled; }));
    QCOMPARE(client.channel->consumers(), (QList<Consumer *>{b, c}));
    QCOMPARE(client.channel->consumer(u"a"_s), nullptr);
    client.consume({.consumerTag = u"a"_s}); // its tag is free again
}

void tst_Cancelling::cancelEndsWithTheBrokersAnswer()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *consumer = client.consume();
    SignalLog log;
    log.watch(consumer);
    log.watch(consumer->cancel(), u"cancel"_s);
    QCOMPARE(consumer->state(), Consumer::State::Cancelling);
    QVERIFY(waitUntil([&] { return log.has(u"consumer.cancelled ok"_s); }));
    QCOMPARE(log.entries, QStringList({u"consumer.stateChanged Cancelling"_s, u"reply.cancel ok"_s,
                                       u"consumer.stateChanged Cancelled"_s, u"consumer.cancelled ok"_s}));
    QVERIFY(client.channel->isOpen());
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Cancelling::cancelReturnsDeliveriesUntilCancelOk()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *consumer = client.consume();
    keep(consumer);
    peer.withhold("basic.cancel-ok");
    const Reply<int> cancel = consumer->cancel();
    QVERIFY(waitUntil([&] { return peer.count("basic.cancel") == 1; }));
    peer.sendRaw(deliveries("c1", 1, {"1", "2"}));
    QVERIFY(waitUntil([&] { return peer.count("basic.nack") == 2; }));
    peer.send(1, Wire::BasicCancelOk{.consumerTag = "c1"});
    QVERIFY(waitUntil([&] { return cancel.isFinished(); }));
    QCOMPARE(cancel.result().value(), 2);
    QVERIFY(m_messages.isEmpty());
    QVERIFY(peer.last("basic.nack").as<Wire::BasicNack>().requeue);
}

// One consumer's slot cancels another consumer whose batch has not been emitted yet.
void tst_Cancelling::cancelReturnsThePendingBatch()
{
    ScriptedPeer peer;
    OpenClient client(inOneTurn(peer));
    Consumer *slow = client.consume();
    Consumer *quick = client.consume();
    SignalLog log;
    log.watchBatches(slow);
    std::optional<int> returned;
    connect(quick, &Consumer::delivered, this, [&](const Message &message) {
        message.ack();
        slow->cancel().then(this, [&](const Result<int> &result) { returned = result.value(); });
    });
    peer.sendRaw(deliveries("c1", 1, {"1", "2"}) + deliveries("c2", 3, {"stop"}) + deliveries("c1", 4, {"late"}));
    QVERIFY(waitUntil([&] { return returned.has_value(); }));
    QCOMPARE(*returned, 3);
    QCOMPARE(log.entries, QStringList());
    QList<quint64> tags;
    for (const Command &nack : peer.received("basic.nack"))
        tags += nack.as<Wire::BasicNack>().deliveryTag;
    QCOMPARE(tags, (QList<quint64>{1, 2, 4}));
    QCOMPARE(peer.count("basic.ack"), 1);
    QCOMPARE(slow->unackedCount(), 0);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Cancelling::cancelWarnsOfNoAckDeliveriesThatAreLost()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *consumer = client.consume({.ackMode = AckMode::NoAck});
    peer.withhold("basic.cancel-ok");
    const Reply<int> cancel = consumer->cancel();
    QVERIFY(waitUntil([&] { return peer.count("basic.cancel") == 1; }));
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"2 no-ack deliveries .* are lost"_s));
    peer.sendRaw(deliveries("c1", 1, {"1", "2"}));
    peer.send(1, Wire::BasicCancelOk{.consumerTag = "c1"});
    QVERIFY(waitUntil([&] { return cancel.isFinished(); }));
    QCOMPARE(cancel.result().value(), 0);
    QCOMPARE(peer.count("basic.nack"), 0);
}

void tst_Cancelling::cancelWaitsForConsumeOk()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    peer.withhold("basic.consume-ok");
    Consumer *consumer = client.channel->consume(u"q"_s, {.consumerTag = u"t"_s});
    SignalLog log;
    log.watch(consumer);
    log.watch(consumer->whenStarted(), u"whenStarted"_s);
    log.watch(consumer->cancel(), u"cancel"_s);
    settle(client.connection);
    QCOMPARE(peer.count("basic.cancel"), 0); // if it were sent earlier, it would end the connection
    peer.send(1, Wire::BasicConsumeOk{.consumerTag = "t"});
    QVERIFY(waitUntil([&] { return log.has(u"consumer.cancelled ok"_s); }));
    QCOMPARE(log.entries,
             QStringList({u"consumer.stateChanged Cancelling"_s, u"reply.whenStarted ok"_s, u"reply.cancel ok"_s,
                          u"consumer.stateChanged Cancelled"_s, u"consumer.cancelled ok"_s}));
    QCOMPARE(peer.count("basic.cancel"), 1);
}

void tst_Cancelling::cancelTwiceIsTheSame()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *consumer = client.consume();
    const Reply<int> first = consumer->cancel();
    const Reply<int> second = consumer->cancel();
    QVERIFY(waitUntil([&] { return first.isFinished() && second.isFinished(); }));
    const Reply<int> third = consumer->cancel();
    QVERIFY(third.isFinished());
    QCOMPARE(third.result().value(), 0);
    settle(client.connection);
    QCOMPARE(peer.count("basic.cancel"), 1);
}

void tst_Cancelling::cancelledDeliveriesCanBeSettled()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *consumer = client.consume();
    keep(consumer);
    peer.sendRaw(deliveries("c1", 1, {"1", "2", "3"}));
    QVERIFY(waitUntil([&] { return m_messages.size() == 3; }));
    consumer->cancel();
    QVERIFY(waitUntil([&] { return consumer->state() == Consumer::State::Cancelled; }));
    QCOMPARE(consumer->unackedCount(), 3);
    m_messages.at(1).ack();
    m_messages.at(0).nack();
    QCOMPARE(consumer->unackedCount(), 1);
    delete consumer;
    QVERIFY(client.channel->ack(m_messages.at(2)));
    settle(client.connection);
    QCOMPARE(peer.count("basic.ack"), 2);
    QCOMPARE(peer.count("basic.nack"), 1);
    QCOMPARE(client.channel->error().kind(), ErrorKind::NoError);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Cancelling::deletionCancelsAndReturnsFurtherDeliveries()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *consumer = client.consume();
    peer.withhold("basic.cancel-ok");
    delete consumer;
    QVERIFY(client.channel->consumers().isEmpty());
    QVERIFY(waitUntil([&] { return peer.count("basic.cancel") == 1; }));
    peer.deliver(1, "c1", 1, "late");
    QVERIFY(waitUntil([&] { return peer.count("basic.nack") == 1; }));
    QVERIFY(peer.last("basic.nack").as<Wire::BasicNack>().requeue);
    // Its tag cannot be reused until cancel-ok.
    Consumer *same = client.channel->consume(u"q"_s, {.consumerTag = u"c1"_s});
    settle(client.connection);
    QCOMPARE(peer.count("basic.consume"), 1);
    peer.answerAgain("basic.cancel-ok");
    peer.send(1, Wire::BasicCancelOk{.consumerTag = "c1"});
    QVERIFY(waitUntil([&] { return same->state() == Consumer::State::Active; }));
    QVERIFY(!client.channel->error().isError());
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Cancelling::deletionWhileStartingCancelsAfterConsumeOk()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    peer.withhold("basic.consume-ok");
    SignalLog log;
    Consumer *consumer = client.channel->consume(u"q"_s, {.consumerTag = u"t"_s});
    log.watch(consumer->whenStarted(), u"whenStarted"_s);
    delete consumer;
    settle(client.connection);
    QCOMPARE(log.entries, QStringList{u"reply.whenStarted Cancelled"_s});
    QCOMPARE(peer.count("basic.cancel"), 0);
    peer.send(1, Wire::BasicConsumeOk{.consumerTag = "t"});
    peer.deliver(1, "t", 1, "late");
    QVERIFY(waitUntil([&] { return peer.count("basic.cancel") == 1 && peer.count("basic.nack") == 1; }));
}

void tst_Cancelling::brokerMayCancel_data()
{
    QTest::addColumn<bool>("noWait");
    QTest::addColumn<bool>("starting");
    QTest::newRow("active") << true << false;
    QTest::newRow("starting") << true << true;
    QTest::newRow("with an answer") << false << false;
}

void tst_Cancelling::brokerMayCancel()
{
    QFETCH(const bool, noWait);
    QFETCH(const bool, starting);
    ScriptedPeer peer;
    OpenClient client(peer);
    if (starting)
        peer.withhold("basic.consume-ok");
    Consumer *consumer = starting ? client.channel->consume(u"q"_s, {.consumerTag = u"c1"_s}) : client.consume();
    keep(consumer);
    SignalLog log;
    log.watch(consumer);
    log.watch(consumer->whenStarted(), u"whenStarted"_s);
    QVERIFY(waitUntil([&] { return peer.count("basic.consume") == 1; }));
    peer.deliver(1, "c1", 1, "before");
    peer.send(1, Wire::BasicCancel{.consumerTag = "c1", .noWait = noWait});
    QVERIFY(waitUntil([&] { return log.has(u"consumer.cancelled ConsumerCancelled"_s); }));
    QCOMPARE(log.only(u"consumer.stateChanged"_s), QStringList{u"consumer.stateChanged Cancelled"_s});
    QVERIFY(log.has(starting ? u"reply.whenStarted ConsumerCancelled"_s : u"reply.whenStarted ok"_s));
    QCOMPARE(m_messages.size(), 1);
    m_messages.constFirst().ack(); // the channel still works
    settle(client.connection);
    QCOMPARE(peer.count("basic.ack"), 1);
    QCOMPARE(peer.count("basic.cancel"), noWait ? 1 : 0);
    QCOMPARE(peer.count("basic.cancel-ok"), noWait ? 0 : 1);
    QVERIFY(client.channel->isOpen());
    QVERIFY(client.channel->consumers().isEmpty());
    QCOMPARE(consumer->cancel().result().value(), 0);
    QCOMPARE(client.channel->error().kind(), ErrorKind::NoError);
}

void tst_Cancelling::batchIsEmittedBeforeTheEnd_data()
{
    QTest::addColumn<QString>("end");
    QTest::addColumn<QString>("last");
    QTest::newRow("basic.cancel") << u"cancel"_s << u"consumer.cancelled ConsumerCancelled"_s;
    QTest::newRow("channel.close") << u"channel"_s << u"consumer.stateChanged Recovering"_s;
    QTest::newRow("connection.close") << u"connection"_s << u"consumer.stateChanged Recovering"_s;
}

void tst_Cancelling::batchIsEmittedBeforeTheEnd()
{
    QFETCH(const QString, end);
    QFETCH(const QString, last);
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    OpenClient client(inOneTurn(peer));
    Consumer *consumer = client.consume();
    SignalLog log;
    log.watch(consumer);
    log.watchBatches(consumer);
    QByteArray bytes = deliveries("c1", 1, {"1", "2"}); // all arrive in one read
    if (end == u"cancel")
        bytes += Wire::encodeFrame(1, Wire::BasicCancel{.consumerTag = "c1", .noWait = true});
    else if (end == u"channel")
        bytes += Wire::encodeFrame(1, Wire::ChannelClose{.replyCode = 406, .replyText = "PRECONDITION_FAILED"});
    else
        bytes += Wire::encodeFrame(0, Wire::ConnectionClose{.replyCode = 320, .replyText = "CONNECTION_FORCED"});
    peer.sendRaw(bytes);
    QVERIFY(waitUntil([&] { return log.has(last); }));
    settleEvents();
    log.entries.removeIf([](const QString &entry) { return entry.contains(u"unackedCount"); });
    QCOMPARE(log.entries.first(), u"consumer.batchDelivered 1 2"_s);
    QCOMPARE(log.entries.last(), last);
}

void tst_Cancelling::tooLargeMessageEndsTheConsumer()
{
    ScriptedPeer peer;
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setMaximumMessageSize(1000);
    OpenClient client(parameters);
    Consumer *consumer = client.consume();
    Consumer *other = client.consume();
    keep(consumer);
    SignalLog log;
    log.watch(consumer);
    log.watch(client.channel);
    peer.deliver(1, "c1", 1, QByteArray(1000, 'a'));
    peer.deliver(1, "c1", 2, QByteArray(1001, 'a'));
    QVERIFY(waitUntil([&] { return log.has(u"consumer.cancelled MessageTooLarge 311"_s); }));
    QCOMPARE(m_messages.size(), 1);
    QVERIFY(waitUntil([&] { return peer.count("basic.nack") == 1; }));
    QCOMPARE(peer.count("basic.cancel"), 1);
    QCOMPARE(consumer->state(), Consumer::State::Cancelled);
    QCOMPARE(other->state(), Consumer::State::Active);
    QVERIFY(client.channel->isOpen());
    int delivered = 0;
    connect(other, &Consumer::delivered, this, [&] { ++delivered; });
    peer.deliver(1, "c2", 3, "small");
    QVERIFY(waitUntil([&] { return delivered == 1; }));
    m_messages.first().ack(); // earlier deliveries can still be settled
    QVERIFY(waitUntil([&] { return peer.count("basic.ack") == 1; }));
    QCOMPARE(peer.count("basic.consume"), 2);
    QCOMPARE(peer.violations(), QStringList());
}

QTEST_GUILESS_MAIN(tst_Cancelling)
#include "tst_cancelling.moc"
