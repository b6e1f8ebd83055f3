// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;

class tst_ReplyTimeout : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void replyTimeoutClosesTheChannel();
    void replyTimeoutOfConsumeAndCancel_data();
    void replyTimeoutOfConsumeAndCancel();
    void replyTimeoutIsPausedWhileBlocked();
    void unreadAnswerDoesNotTimeOut();
    void answerBehindSlowSlotsDoesNotTimeOut();
};

void tst_ReplyTimeout::replyTimeoutClosesTheChannel()
{
    ScriptedPeer peer;
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setReplyTimeout(50ms);
    OpenClient client(parameters);
    Consumer *consumer = client.consume();
    SignalLog log;
    log.watch(&client.connection);
    log.watch(client.channel);
    log.watch(consumer);
    peer.withhold("queue.declare-ok");
    peer.withhold("queue.purge-ok");
    log.watch(client.channel->declareQueue(u"q"_s), u"declareQueue"_s);
    log.watch(client.channel->purgeQueue(u"q"_s), u"purgeQueue"_s);
    QVERIFY(waitUntil([&] { return !log.only(u"channel.closed"_s).isEmpty(); }));
    log.entries.removeIf(comesOncePerTurn);
    QCOMPARE(log.entries, QStringList({u"reply.declareQueue Timeout"_s, u"reply.purgeQueue Timeout"_s,
                                       u"consumer.stateChanged Recovering"_s, u"channel.writableChanged 0"_s,
                                       u"channel.errorOccurred Timeout"_s, u"channel.stateChanged Closed"_s,
                                       u"channel.closed Timeout"_s}));
    QCOMPARE(client.channel->error().method(), u"queue.declare"_s);
    QCOMPARE(client.channel->purgeQueue(u"q"_s).result().error().kind(), ErrorKind::NotOpen);
    QVERIFY(client.connection.isOpen());
    QVERIFY(waitUntil([&] { return peer.count("channel.close") == 1; }));

    peer.answerAgain("queue.declare-ok");
    const Reply<void> reopened = client.channel->reopen();
    QVERIFY(waitUntil([&] { return reopened.isFinished() && consumer->state() == Consumer::State::Active; }));
    QVERIFY(reopened.result());
    QCOMPARE(peer.violations(), QStringList());
}

void tst_ReplyTimeout::replyTimeoutOfConsumeAndCancel_data()
{
    QTest::addColumn<bool>("cancel");
    QTest::newRow("consume") << false;
    QTest::newRow("cancel") << true;
}

void tst_ReplyTimeout::replyTimeoutOfConsumeAndCancel()
{
    QFETCH(const bool, cancel);
    ScriptedPeer peer;
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setReplyTimeout(50ms);
    OpenClient client(parameters);
    peer.withhold(cancel ? "basic.cancel-ok" : "basic.consume-ok");
    SignalLog log;
    Consumer *consumer = nullptr;
    if (cancel) {
        consumer = client.consume();
        log.watch(consumer->cancel(), u"call"_s);
    } else {
        consumer = client.channel->consume(u"q"_s);
        log.watch(consumer->whenStarted(), u"call"_s);
    }
    log.watch(consumer);
    log.watch(client.channel);
    QVERIFY(waitUntil([&] { return log.has(u"channel.closed Timeout"_s); }));
    QVERIFY(log.has(u"reply.call Timeout"_s));
    QCOMPARE(client.channel->error().method(), cancel ? u"basic.cancel"_s : u"basic.consume"_s);
    QCOMPARE(consumer->state(), Consumer::State::Cancelled);
}

void tst_ReplyTimeout::replyTimeoutIsPausedWhileBlocked()
{
    ScriptedPeer peer;
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setReplyTimeout(80ms);
    OpenClient client(parameters);
    peer.send(0, Wire::ConnectionBlocked{.reason = "low on memory"});
    QVERIFY(waitUntil([&] { return client.connection.isBlocked(); }));
    peer.withhold("queue.declare-ok");
    const Reply<QueueInfo> reply = client.channel->declareQueue(u"q"_s);
    QTest::qWait(200);
    QVERIFY(!reply.isFinished());
    QVERIFY(client.channel->isOpen());
    peer.send(0, Wire::ConnectionUnblocked{});
    QVERIFY(waitUntil([&] { return reply.isFinished(); }));
    QCOMPARE(reply.result().error().kind(), ErrorKind::Timeout);
}

void tst_ReplyTimeout::unreadAnswerDoesNotTimeOut()
{
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setReplyTimeout(100ms);
    OpenClient client(parameters);
    const Reply<QueueInfo> reply = client.channel->declareQueue(u"q"_s);
    QCoreApplication::processEvents(); // writes the call
    QThread::msleep(300);              // the loop is blocked; timers come before sockets afterwards
    QVERIFY(waitUntil([&] { return reply.isFinished(); }));
    QVERIFY2(reply.result(), qPrintable(reply.result().error().toString()));
}

void tst_ReplyTimeout::answerBehindSlowSlotsDoesNotTimeOut()
{
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setReplyTimeout(100ms);
    OpenClient client(parameters);
    Consumer *consumer = client.consume();
    std::optional<Reply<QueueInfo>> reply;
    int delivered = 0;
    connect(consumer, &Consumer::delivered, this, [&](const Message &) {
        if (++delivered == 1) {
            reply = client.channel->declareQueue(u"q"_s);
            client.channel->publish({}, u"q"_s, Message(QByteArray(200'000, 'x'))); // both are then written
        }
        QThread::msleep(10);
    });
    peer.sendRaw(deliveries("c1", 1, QByteArrayList(50, "m")));
    QVERIFY(waitUntil([&] { return reply && reply->isFinished(); }));
    QVERIFY2(reply->result(), qPrintable(reply->result().error().toString()));
    QCOMPARE(delivered, 50);
}

QTEST_GUILESS_MAIN(tst_ReplyTimeout)
#include "tst_replytimeout.moc"
