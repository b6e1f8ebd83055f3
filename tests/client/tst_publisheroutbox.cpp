// SPDX-License-Identifier: MIT
#include "client/publisherclient.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;

// What a Publisher keeps in memory, and how it counts it.
class tst_PublisherOutbox : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void limitIsExact();
    void whatWasSentMakesRoom();
    void republishedMessagesTakeRoom();
    void settledMessageIsLetGo();
    void channelErrorEndsMessagesUnderEitherPolicy_data();
    void channelErrorEndsMessagesUnderEitherPolicy();
    void replyHasTheOutcome();
};

namespace
{

// The smallest limit of the outbox that takes the message.
qint64 sizeInOutbox(Publisher *publisher, const Message &message)
{
    publisher->setPaused(true);
    qint64 limit = 0;
    do
        publisher->setOutboxLimit(++limit);
    while (limit < 10'000 && publisher->publish(message) == 0);
    return limit;
}

// How many messages the outbox takes until it is full.
int fill(PublisherClient &client)
{
    int count = 0;
    while (count < 1000 && client.publish(QByteArray(100, 'm')))
        ++count;
    return count;
}

} // namespace

void tst_PublisherOutbox::limitIsExact()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    const Message message(QByteArray(100, 'm'));
    const qint64 size = sizeInOutbox(client.publisher, message);
    QVERIFY(size > 100);
    QCOMPARE(client.publisher->outstanding(), 1);
    client.publisher->setOutboxLimit(3 * size - 1);
    QVERIFY(client.publisher->publish(message));
    QVERIFY(!client.publisher->publish(message));
    client.publisher->setOutboxLimit(3 * size);
    QVERIFY(client.publisher->publish(message));
    QVERIFY(!client.publisher->publish(message));
    QCOMPARE(client.publisher->outstanding(), 3);
}

void tst_PublisherOutbox::whatWasSentMakesRoom()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setOutboxLimit(1000);
    client.publisher->setPaused(true);
    const int count = fill(client);
    QVERIFY(count > 1);
    client.publisher->setPaused(false);
    QVERIFY(client.waitForPublishes(count));
    client.publisher->setPaused(true);
    QCOMPARE(fill(client), count);
}

void tst_PublisherOutbox::republishedMessagesTakeRoom()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setLossPolicy(Publisher::LossPolicy::Republish);
    client.publisher->setOutboxLimit(1000);
    client.publisher->setPaused(true);
    const int count = fill(client);
    client.publisher->setPaused(false);
    QVERIFY(client.waitForPublishes(count));
    client.lose();
    QCOMPARE(client.publisher->outstanding(), count);
    QVERIFY(!client.publish(QByteArray(100, 'm')));
    QCOMPARE(client.publisher->error().kind(), ErrorKind::BufferFull);
}

// Although others before it are not settled, and their places are kept.
void tst_PublisherOutbox::settledMessageIsLetGo()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setMandatory(false);
    const QByteArray body(100, 'm');
    client.publish("1");
    client.publish(body);
    QVERIFY(client.waitForPublishes(2));
    QVERIFY(!body.isDetached());
    client.ack(2);
    QVERIFY(client.waitForEntries(1));
    QVERIFY(body.isDetached());
    QCOMPARE(client.publisher->outstanding(), 1);
}

void tst_PublisherOutbox::channelErrorEndsMessagesUnderEitherPolicy_data()
{
    QTest::addColumn<Publisher::LossPolicy>("policy");
    QTest::newRow("report") << Publisher::LossPolicy::Report;
    QTest::newRow("republish") << Publisher::LossPolicy::Republish;
}

void tst_PublisherOutbox::channelErrorEndsMessagesUnderEitherPolicy()
{
    QFETCH(const Publisher::LossPolicy, policy);
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setLossPolicy(policy);
    client.publishMany(1, 2);
    QVERIFY(client.waitForPublishes(2));
    peer.closeChannel(1, 404, "NOT_FOUND - no exchange 'missing'");
    QVERIFY(client.waitForEntries(3));
    settle(*client.connection);
    QCOMPARE(client.log.entries, QStringList({u"1 Unconfirmed 404"_s, u"2 Unconfirmed 404"_s, u"drained"_s}));
    QCOMPARE(client.published(), QByteArrayList({"1", "2"}));
}

void tst_PublisherOutbox::replyHasTheOutcome()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.log.watch(client.publisher->publishWithReply({}, u"q"_s, Message("1")), u"first"_s);
    client.log.watch(client.publisher->publishWithReply({}, u"q"_s, Message("2")), u"second"_s);
    QVERIFY(client.waitForPublishes(2));
    peer.send(1, Wire::BasicNack{.deliveryTag = 1});
    client.ack(2);
    QVERIFY(client.waitForEntries(5));
    QCOMPARE(client.log.only(u"reply."_s), QStringList({u"reply.first Nacked"_s, u"reply.second ok"_s}));
}

QTEST_GUILESS_MAIN(tst_PublisherOutbox)

#include "tst_publisheroutbox.moc"
