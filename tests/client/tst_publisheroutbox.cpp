// SPDX-License-Identifier: MIT
#include "client/publisherclient.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Tests which messages a Publisher keeps in memory, how it counts them, and when it waits.
class tst_PublisherOutbox : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void outboxOutlivesALoss();
    void outboxOutlivesAClose();
    void publishingBeforeOpenKeepsTheOrder();
    void blockedPublisherKeepsMessages();
    void pausedPublisherKeepsMessages_data();
    void pausedPublisherKeepsMessages();
    void pausingKeepsSentMessages();
    void pauseOutlivesALoss();
    void windowLimitsUnconfirmedMessages_data();
    void windowLimitsUnconfirmedMessages();
    void widerWindowSendsMore();
    void publishFailsWhenTheOutboxIsFull();
    void withoutAnOutboxNothingWaits();
    void fullWriteBufferIsWaitedFor();
    void tooLargeForTheConnectionEndsWithAnError();
    void limitIsExact();
    void sentMessagesMakeRoom();
    void republishedMessagesTakeRoom();
    void settledMessageIsLetGo();
    void channelErrorEndsMessagesUnderEitherPolicy_data();
    void channelErrorEndsMessagesUnderEitherPolicy();
    void replyHasTheOutcome();
};

namespace
{

// Returns the smallest limit of the outbox at which the message is accepted.
qint64 sizeInOutbox(Publisher *publisher, const Message &message)
{
    publisher->setPaused(true);
    qint64 limit = 0;
    do
        publisher->setOutboxLimit(++limit);
    while (limit < 10'000 && publisher->publish(message) == 0);
    return limit;
}

// Returns the number of messages that the outbox accepts.
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
    QCOMPARE(client.publisher->outstandingCount(), 1);
    client.publisher->setOutboxLimit(3 * size - 1);
    QVERIFY(client.publisher->publish(message));
    QVERIFY(!client.publisher->publish(message));
    client.publisher->setOutboxLimit(3 * size);
    QVERIFY(client.publisher->publish(message));
    QVERIFY(!client.publisher->publish(message));
    QCOMPARE(client.publisher->outstandingCount(), 3);
}

void tst_PublisherOutbox::sentMessagesMakeRoom()
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
    QCOMPARE(client.publisher->outstandingCount(), count);
    QVERIFY(!client.publish(QByteArray(100, 'm')));
    QCOMPARE(client.publisher->error().kind(), ErrorKind::BufferFull);
}

// A settled message is released although earlier messages are not settled and keep their places.
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
    QCOMPARE(client.publisher->outstandingCount(), 1);
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

void tst_PublisherOutbox::outboxOutlivesALoss()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setConfirmWindow(1);
    client.publishMany(1, 3);
    QVERIFY(client.waitForPublishes(1));
    client.lose();
    QCOMPARE(client.log.entries, QStringList{u"1 Unconfirmed"_s});
    client.publish("4");
    QCOMPARE(client.publisher->outstandingCount(), 3);
    peer.forgetReceived();
    peer.answerAgain("basic.ack");
    client.open();
    QVERIFY(waitUntil([&] { return client.log.has(u"drained"_s); }));
    QCOMPARE(client.published(), QByteArrayList({"2", "3", "4"}));
    QCOMPARE(client.log.entries, QStringList({u"1 Unconfirmed"_s, u"2 ok"_s, u"3 ok"_s, u"4 ok"_s, u"drained"_s}));
}

void tst_PublisherOutbox::outboxOutlivesAClose()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    peer.answerAgain("basic.ack");
    client.connection->close();
    client.publish("1"); // published while the channel closes
    QVERIFY(waitUntil([&] { return client.connection->state() == Connection::State::Closed; }));
    client.publish("2");
    settleEvents();
    QCOMPARE(client.log.entries, QStringList());
    QCOMPARE(client.publisher->outstandingCount(), 2);
    client.open();
    QVERIFY(waitUntil([&] { return client.log.has(u"drained"_s); }));
    QCOMPARE(client.log.entries, QStringList({u"1 ok"_s, u"2 ok"_s, u"drained"_s}));
}

void tst_PublisherOutbox::publishingBeforeOpenKeepsTheOrder()
{
    ScriptedPeer peer;
    PublisherClient client(peer, false);
    QVERIFY(!client.publisher->isWritable());
    client.publishMany(1, 3);
    QCOMPARE(client.publisher->outstandingCount(), 3);
    peer.setListening(false); // the first attempt fails without ending a message
    client.connection->open();
    QVERIFY(waitUntil([&] { return client.connection->state() == Connection::State::Closed; }));
    settleEvents();
    QCOMPARE(client.log.entries, QStringList());
    client.publish("4");
    peer.setListening(true);
    peer.answerAgain("basic.ack");
    client.open();
    client.publish("5");
    QVERIFY(client.waitForPublishes(5));
    QCOMPARE(client.published(), QByteArrayList({"1", "2", "3", "4", "5"}));
    QVERIFY(waitUntil([&] { return client.log.has(u"5 ok"_s); }));
    QCOMPARE(client.log.countOf(u"1 ok"_s), 1);
}

void tst_PublisherOutbox::blockedPublisherKeepsMessages()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    peer.answerAgain("basic.ack");
    peer.send(0, Wire::ConnectionBlocked{.reason = "low on memory"});
    QVERIFY(waitUntil([&] { return client.connection->isBlocked(); }));
    QVERIFY(!client.publisher->isWritable());
    client.publishMany(1, 3);
    settle(*client.connection);
    QCOMPARE(peer.count("basic.publish"), 0);
    QCOMPARE(client.publisher->outstandingCount(), 3);
    QCOMPARE(client.connection->bytesToWrite(), 0); // the outbox has these messages
    peer.send(0, Wire::ConnectionUnblocked{});
    QVERIFY(client.waitForEntries(4));
    QCOMPARE(client.published(), QByteArrayList({"1", "2", "3"}));
    QCOMPARE(client.log.entries, QStringList({u"1 ok"_s, u"2 ok"_s, u"3 ok"_s, u"drained"_s}));
}

void tst_PublisherOutbox::pausedPublisherKeepsMessages_data()
{
    QTest::addColumn<bool>("isOpen");
    QTest::newRow("from the beginning") << false;
    QTest::newRow("later") << true;
}

void tst_PublisherOutbox::pausedPublisherKeepsMessages()
{
    QFETCH(const bool, isOpen);
    ScriptedPeer peer;
    PublisherClient client(peer, isOpen);
    peer.answerAgain("basic.ack");
    QVERIFY(!client.publisher->isPaused());
    client.publisher->setPaused(true);
    QVERIFY(client.publisher->isPaused());
    QVERIFY(!client.publisher->isWritable());
    client.publishMany(1, 3);
    if (!isOpen)
        client.open();
    client.publisher->setPaused(false);
    client.publisher->setPaused(true); // immediately, so nothing is sent in between
    settle(*client.connection);
    QCOMPARE(peer.count("basic.publish"), 0);
    QCOMPARE(client.publisher->outstandingCount(), 3);
    QCOMPARE(client.log.entries, QStringList());

    client.publisher->setPaused(false);
    QVERIFY(!client.publisher->isPaused());
    client.publish("4"); // queued after the waiting messages
    QVERIFY(waitUntil([&] { return client.log.has(u"drained"_s); }));
    settle(*client.connection);
    QCOMPARE(client.published(), QByteArrayList({"1", "2", "3", "4"}));
    QCOMPARE(client.log.entries, QStringList({u"1 ok"_s, u"2 ok"_s, u"3 ok"_s, u"4 ok"_s, u"drained"_s}));
    QVERIFY(client.publisher->isWritable());
    QCOMPARE(peer.violations(), QStringList());
}

void tst_PublisherOutbox::pausingKeepsSentMessages()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setConfirmWindow(1);
    client.publishMany(1, 2);
    QVERIFY(client.waitForPublishes(1));
    client.publisher->setPaused(true);
    client.ack(1);
    QVERIFY(client.waitForEntries(1));
    settle(*client.connection); // there is room for the second message now
    QCOMPARE(client.published(), QByteArrayList{"1"});
    QCOMPARE(client.log.entries, QStringList{u"1 ok"_s});
    client.publisher->setPaused(false);
    QVERIFY(client.waitForPublishes(2));
    client.ack(2);
    QVERIFY(client.waitForEntries(3));
    QCOMPARE(client.log.entries, QStringList({u"1 ok"_s, u"2 ok"_s, u"drained"_s}));
}

void tst_PublisherOutbox::pauseOutlivesALoss()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setPaused(true);
    client.publishMany(1, 2);
    client.lose();
    client.open();
    settle(*client.connection);
    QCOMPARE(peer.count("basic.publish"), 0);
    QVERIFY(client.publisher->isPaused());
    QCOMPARE(client.publisher->outstandingCount(), 2);
    peer.answerAgain("basic.ack");
    client.publisher->setPaused(false);
    QVERIFY(waitUntil([&] { return client.log.has(u"drained"_s); }));
    QCOMPARE(client.published(), QByteArrayList({"1", "2"}));
    QCOMPARE(client.log.entries, QStringList({u"1 ok"_s, u"2 ok"_s, u"drained"_s}));
}

void tst_PublisherOutbox::windowLimitsUnconfirmedMessages_data()
{
    QTest::addColumn<int>("window");
    QTest::newRow("1") << 1;
    QTest::newRow("2") << 2;
}

void tst_PublisherOutbox::windowLimitsUnconfirmedMessages()
{
    QFETCH(const int, window);
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setConfirmWindow(window);
    client.publishMany(1, 5);
    QStringList expected;
    for (int confirmed = 0; confirmed < 5; ++confirmed) {
        const int sent = std::min(confirmed + window, 5);
        settle(*client.connection);
        QCOMPARE(peer.count("basic.publish"), sent);
        QCOMPARE(client.publisher->isWritable(), confirmed + window > 5);
        client.ack(quint64(confirmed) + 1);
        expected += u"%1 ok"_s.arg(confirmed + 1);
    }
    settle(*client.connection);
    QCOMPARE(client.log.entries, expected + QStringList{u"drained"_s});
}

void tst_PublisherOutbox::widerWindowSendsMore()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setConfirmWindow(1);
    client.publishMany(1, 4);
    settle(*client.connection);
    QCOMPARE(peer.count("basic.publish"), 1);
    client.publisher->setConfirmWindow(3);
    settle(*client.connection);
    QCOMPARE(client.published(), QByteArrayList({"1", "2", "3"}));
}

void tst_PublisherOutbox::publishFailsWhenTheOutboxIsFull()
{
    ScriptedPeer peer;
    PublisherClient client(peer, false);
    client.publisher->setOutboxLimit(1000);
    int accepted = 0;
    while (accepted < 100 && client.publish(QByteArray(100, 'm')))
        ++accepted;
    QVERIFY(accepted >= 7 && accepted <= 9); // the rest of the limit is used by properties
    QCOMPARE(client.publisher->error().kind(), ErrorKind::BufferFull);
    QCOMPARE(brief(client.publisher->publishWithReply({}, u"q"_s, Message(QByteArray(100, 'm'))).result().error()),
             u"BufferFull"_s);
    QVERIFY2(client.publisher->error().text().contains(u"more; the maximum (outboxLimit) is 1000 bytes"),
             qPrintable(client.publisher->error().text()));
    QVERIFY(!client.publish(QByteArray(2000, 'm')));
    QVERIFY2(client.publisher->error().text().contains(u"the maximum (outboxLimit) is 1000 bytes"),
             qPrintable(client.publisher->error().text()));
    QCOMPARE(client.publisher->outstandingCount(), accepted);
    peer.answerAgain("basic.ack");
    client.open();
    QVERIFY(waitUntil([&] { return client.log.has(u"drained"_s); }));
    QCOMPARE(client.log.entries.size(), accepted + 1);
    QCOMPARE(client.publish("next"), quint64(accepted + 1)); // rejected messages have no number
}

void tst_PublisherOutbox::withoutAnOutboxNothingWaits()
{
    ScriptedPeer peer;
    PublisherClient client(peer, false);
    client.publisher->setOutboxLimit(0);
    QCOMPARE(client.publisher->pressure(), 1.0);
    QCOMPARE(client.publisher->publish({}, {}, Message(QByteArray())), quint64(0));
    QCOMPARE(client.publisher->error().kind(), ErrorKind::BufferFull);
    QVERIFY2(client.publisher->error().text().contains(u"outboxLimit is 0"),
             qPrintable(client.publisher->error().text()));
    client.open();
    client.publisher->setConfirmWindow(2);
    QCOMPARE(client.publish("1"), quint64(1));
    QCOMPARE(client.publisher->pressure(), 0.5);
    QCOMPARE(client.publish("2"), quint64(2));
    QCOMPARE(client.publisher->pressure(), 1.0);
    QCOMPARE(client.publish("3"), quint64(0));
    client.ack(1);
    QVERIFY(client.waitForEntries(1));
    QCOMPARE(client.publish("3"), quint64(3));
}

// The write buffer is small, and other messages fill it.
void tst_PublisherOutbox::fullWriteBufferIsWaitedFor()
{
    ScriptedPeer peer;
    PublisherClient client(peer, false);
    ConnectionParameters parameters = client.connection->parameters();
    parameters.setWriteBuffer(1'000'000, 1'000'000, 1'000'000);
    client.connection->setParameters(parameters);
    client.open();
    peer.answerAgain("basic.ack");
    Channel *other = client.connection->createChannel();
    QVERIFY(waitUntil([&] { return other->isOpen(); }));
    peer.setReading(false); // bytes that are written now stay in the client
    while (client.connection->bytesToWrite() < 600'000)
        QVERIFY(other->publish({}, u"q"_s, Message(QByteArray(50'000, 'o'))));
    QVERIFY(client.publisher->isWritable());
    QCOMPARE(client.publish(QByteArray(500'000, 'm')), quint64(1));   // for the outbox
    QCOMPARE(client.publish(QByteArray(2'000'000, 'm')), quint64(0)); // never fits
    QCOMPARE(client.publisher->error().kind(), ErrorKind::InvalidArgument);
    QVERIFY(client.publisher->error().text().startsWith(u"message:"));
    settleEvents();
    QCOMPARE(client.log.entries, QStringList());
    peer.setReading(true);
    QVERIFY(client.waitForEntries(2));
    QCOMPARE(client.log.entries, QStringList({u"1 ok"_s, u"drained"_s}));
}

void tst_PublisherOutbox::tooLargeForTheConnectionEndsWithAnError()
{
    ScriptedPeer peer;
    ScriptedPeer::Handshake handshake;
    handshake.frameMax = 8192;
    peer.setHandshake(handshake);
    PublisherClient client(peer, false);
    Message large("large");
    large.setHeader(u"text"_s, QString(10'000, u'x'));
    client.publish("1");
    for (quint64 id = 2; id <= 1000; ++id)
        QCOMPARE(client.publisher->publish(large), id);
    client.publish("1001");
    peer.answerAgain("basic.ack");
    client.open();
    QVERIFY(waitUntil([&] { return client.log.has(u"drained"_s); }));
    QCOMPARE(client.log.entries.size(), 1002);
    QCOMPARE(client.log.entries.filter(u"InvalidArgument"_s).size(), 999);
    QVERIFY(client.log.has(u"1 ok"_s));
    QVERIFY(client.log.has(u"1001 ok"_s));
    QCOMPARE(client.published(), QByteArrayList({"1", "1001"}));
    // The frame size is known by now.
    peer.send(0, Wire::ConnectionBlocked{});
    QVERIFY(waitUntil([&] { return client.connection->isBlocked(); }));
    QCOMPARE(client.publisher->publish(large), quint64(0));
    QVERIFY(client.publisher->error().text().startsWith(u"headers:"));
}

QTEST_GUILESS_MAIN(tst_PublisherOutbox)

#include "tst_publisheroutbox.moc"
