// SPDX-License-Identifier: MIT
#include "client/namedcalls.h"

#include <thread>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Tests messages that cannot be settled. Each call fails with an error, and the broker gets nothing.
class tst_WrongSettling : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void wrongSettlingSendsNothing_data();
    void wrongSettlingSendsNothing();
    void noAckDeliveryCannotBeSettledByItself_data();
    void noAckDeliveryCannotBeSettledByItself();
};

void tst_WrongSettling::wrongSettlingSendsNothing_data()
{
    QTest::addColumn<QString>("what");
    QTest::addColumn<ErrorKind>("kind");
    QTest::newRow("acked") << u"acked"_s << ErrorKind::StaleDelivery;
    QTest::newRow("nacked") << u"nacked"_s << ErrorKind::StaleDelivery;
    QTest::newRow("of another channel") << u"foreign"_s << ErrorKind::StaleDelivery;
    QTest::newRow("of another connection") << u"connection"_s << ErrorKind::StaleDelivery;
    QTest::newRow("no-ack") << u"no-ack"_s << ErrorKind::InvalidArgument;
    QTest::newRow("never delivered") << u"new"_s << ErrorKind::InvalidArgument;
    QTest::newRow("returned") << u"returned"_s << ErrorKind::InvalidArgument;
}

void tst_WrongSettling::wrongSettlingSendsNothing()
{
    QFETCH(const QString, what);
    QFETCH(const ErrorKind, kind);
    ScriptedPeer peer, otherPeer;
    OpenClient client(peer), otherClient(otherPeer);
    Channel *channel = client.channel;
    const QList<Message> open = receive(peer, client, channel, AckMode::Manual, 1, 2); // stay open
    Message message("new");
    if (what == u"acked" || what == u"nacked") {
        message = receive(peer, client, channel, AckMode::Manual, 3, 1).constFirst();
        QVERIFY(what == u"acked" ? channel->ack(message) : channel->nack(message));
    } else if (what == u"foreign") {
        Channel *other = client.connection.createChannel();
        QVERIFY(waitUntil([&] { return other->isOpen(); }));
        message = receive(peer, client, other, AckMode::Manual, 1, 1).constFirst();
    } else if (what == u"connection") {
        message = receive(otherPeer, otherClient, otherClient.channel, AckMode::Manual, 1, 1).constFirst();
    } else if (what == u"no-ack") {
        message = receive(peer, client, channel, AckMode::NoAck, 3, 1).constFirst();
    } else if (what == u"returned") {
        connect(channel, &Channel::messageReturned, this,
                [&](quint64, const Message &returned) { message = returned; });
        peer.sendContent(1, Wire::BasicReturn{.replyCode = 312, .replyText = "NO_ROUTE"}, {}, "returned");
        QVERIFY(waitUntil([&] { return message.body() == "returned"; }));
    }
    settle(client.connection);
    peer.forgetReceived();
    SignalLog log;
    log.watch(channel);

    for (const auto &[name, settleOne] : everySettle()) {
        QVERIFY2(!settleOne(channel, message), name);
        QVERIFY2(channel->lastCallError().kind() == kind, qPrintable(channel->lastCallError().toString()));
        QVERIFY2(
            channel->lastCallError().text().contains(kind == ErrorKind::StaleDelivery ? u"delivery "_s : u"message"_s),
            qPrintable(channel->lastCallError().text()));
    }
    settle(client.connection);
    const QString report =
        (kind == ErrorKind::StaleDelivery ? u"channel.settlementFailed "_s : u"channel.errorOccurred "_s);
    QCOMPARE(log.entries, QStringList(everySettle().size(), report + nameOf(kind)));
    QCOMPARE(peer.count("basic.ack") + peer.count("basic.nack") + peer.count("basic.reject"), 0);

    QVERIFY(channel->ackUpTo(open.constLast())); // still works
    QVERIFY(waitUntil([&] { return peer.count("basic.ack") == 1; }));
    QVERIFY(peer.last("basic.ack").as<Wire::BasicAck>().multiple);
    QCOMPARE(peer.last("basic.ack").as<Wire::BasicAck>().deliveryTag, quint64(2));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_WrongSettling::noAckDeliveryCannotBeSettledByItself_data()
{
    QTest::addColumn<bool>("inAnotherThread");
    QTest::newRow("in its thread") << false;
    QTest::newRow("in another thread") << true;
}

void tst_WrongSettling::noAckDeliveryCannotBeSettledByItself()
{
    QFETCH(const bool, inAnotherThread);
    ScriptedPeer peer;
    OpenClient client(peer);
    const Message message = receive(peer, client, client.channel, AckMode::NoAck, 1, 1).constFirst();
    SignalLog log;
    log.watch(client.channel);
    const auto settleIt = [&] {
        message.ack();
        message.nack(Requeue::No);
    };
    inAnotherThread ? std::thread(settleIt).join() : settleIt();
    QVERIFY(waitUntil([&] { return log.entries.size() == 2; }));
    QCOMPARE(log.entries, QStringList(2, u"channel.errorOccurred InvalidArgument"_s));
    QVERIFY2(client.channel->lastCallError().text().contains(u"delivery 1 on channel 1"_s),
             qPrintable(client.channel->lastCallError().text()));
    settle(client.connection);
    QCOMPARE(peer.count("basic.ack") + peer.count("basic.nack"), 0);
}

QTEST_GUILESS_MAIN(tst_WrongSettling)
#include "tst_wrongsettling.moc"
