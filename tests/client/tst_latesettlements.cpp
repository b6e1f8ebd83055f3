// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"

#include <thread>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// A late settlement is reported by the delivery's own channel while the channel exists, otherwise by the connection,
// and never by another channel that has taken its number.
class tst_LateSettlements : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void areReportedByTheirOwnChannel_data();
    void areReportedByTheirOwnChannel();
    void leaveADeliveryWithTheSameTagAlone();
    void getRejectsAcknowledgementAfterDelivery();
};

void tst_LateSettlements::areReportedByTheirOwnChannel_data()
{
    QTest::addColumn<QString>("end");
    QTest::addColumn<AckMode>("ackMode");
    QTest::addColumn<bool>("inOtherThread");
    QTest::addColumn<QString>("reportedBy");
    for (const AckMode ackMode : {AckMode::Manual, AckMode::NoAck}) {
        for (const bool inOtherThread : {false, true}) {
            const auto add = [=](const char *end, const QString &reportedBy) {
                QTest::addRow("%s%s%s", end, ackMode == AckMode::NoAck ? ", no-ack" : "",
                              inOtherThread ? ", other thread" : "")
                    << QString::fromLatin1(end) << ackMode << inOtherThread << reportedBy;
            };
            add("closed", u"channel"_s);
            add("closed by the broker", u"channel"_s);
            add("reopened with another number", u"channel"_s);
            add("connection opened again", u"channel"_s);
            add("deleted", u"connection"_s);
            add("deleted, connection opened again", u"connection"_s);
        }
    }
}

void tst_LateSettlements::areReportedByTheirOwnChannel()
{
    QFETCH(const QString, end);
    QFETCH(const AckMode, ackMode);
    QFETCH(const bool, inOtherThread);
    QFETCH(const QString, reportedBy);
    ScriptedPeer peer;
    OpenClient client(withoutRecovery(peer));
    QPointer<Channel> channel = client.channel;
    Message message;
    connect(client.consume({.ackMode = ackMode}), &Consumer::delivered, this,
            [&](const Message &delivered) { message = delivered; });
    peer.deliver(1, "c1", 1, "x");
    QVERIFY(waitUntil([&] { return message.isDelivered(); }));

    if (end.contains(u"connection opened again"_s)) {
        peer.dropConnection();
        QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
    } else if (end == u"closed by the broker"_s) {
        peer.closeChannel(1, 406, "PRECONDITION_FAILED");
    } else if (!end.startsWith(u"deleted"_s)) {
        channel->close();
    }
    if (end.startsWith(u"deleted"_s))
        delete channel;
    else
        QVERIFY(waitUntil([&] { return channel->state() == Channel::State::Closed; }));
    if (!client.connection.isOpen())
        client.connection.open();
    else if (!channel)
        settle(client.connection); // until then the number is not free
    Channel *other = client.connection.channel(1);
    QVERIFY(other && other != channel);
    QVERIFY(waitUntil([&] { return other->isOpen(); }));
    if (end == u"reopened with another number"_s) {
        channel->reopen();
        QVERIFY(waitUntil([&] { return channel->isOpen(); }));
        QCOMPARE_NE(channel->number(), other->number());
    }
    settle(client.connection);

    SignalLog log;
    log.watch(&client.connection);
    if (channel)
        log.watch(channel);
    log.watch(other, u"other"_s);
    const auto settleIt = [&message] {
        message.ack();
        message.nack();
    };
    if (inOtherThread)
        std::thread(settleIt).join();
    else
        settleIt();
    const QString report = reportedBy + (ackMode == AckMode::NoAck ? u".errorOccurred InvalidArgument"_s
                                                                   : u".settlementFailed StaleDelivery"_s);
    QVERIFY(waitUntil([&] { return log.countOf(report) == 2; }));
    settle(client.connection);
    const QStringList reports = log.entries.filter(QRegularExpression(u"errorOccurred|settlementFailed|^other\\."_s));
    QCOMPARE(reports, (QStringList{report, report}));
    QVERIFY(!other->error().isError());
    QVERIFY(!other->lastCallError().isError());
    QCOMPARE(peer.count("basic.ack") + peer.count("basic.nack"), 0);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_LateSettlements::leaveADeliveryWithTheSameTagAlone()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    QList<Message> messages;
    const auto keep = [&](const Message &message) { messages += message; };
    connect(client.consume({.consumerTag = u"t"_s}), &Consumer::delivered, this, keep);
    peer.deliver(1, "t", 1, "x");
    QVERIFY(waitUntil([&] { return messages.size() == 1; }));
    delete client.channel;
    settle(client.connection);
    client.channel = client.connection.channel(1);
    Consumer *consumer = client.consume({.consumerTag = u"t"_s});
    connect(consumer, &Consumer::delivered, this, keep);
    peer.deliver(1, "t", 1, "x");
    QVERIFY(waitUntil([&] { return messages.size() == 2; }));

    messages.at(0).ack();
    QVERIFY(!client.channel->ackUpTo(messages.at(0)));
    QVERIFY(!client.channel->nackUpTo(messages.at(0)));
    settle(client.connection);
    QCOMPARE(client.connection.lastCallError().kind(), ErrorKind::StaleDelivery);
    QCOMPARE(consumer->unackedCount(), 1);
    QCOMPARE(peer.count("basic.ack") + peer.count("basic.nack"), 0);
    messages.at(1).ack();
    QVERIFY(waitUntil([&] { return peer.count("basic.ack") == 1; }));
    QCOMPARE(consumer->unackedCount(), 0);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_LateSettlements::getRejectsAcknowledgementAfterDelivery()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    const auto getting = client.channel->get(u"q"_s, AckMode::AfterDelivery);
    QVERIFY(getting.isFinished());
    QCOMPARE(getting.result().error().kind(), ErrorKind::InvalidArgument);
    QVERIFY(getting.result().error().text().startsWith(u"ackMode: "_s));
    QCOMPARE(client.channel->lastCallError(), getting.result().error());
    settle(client.connection);
    QCOMPARE(peer.count("basic.get"), 0);
    for (const AckMode ackMode : {AckMode::Manual, AckMode::NoAck}) {
        const auto allowed = client.channel->get(u"q"_s, ackMode);
        QVERIFY(waitUntil([&] { return allowed.isFinished(); }));
        QVERIFY(allowed.result());
    }
    QCOMPARE(peer.count("basic.get"), 2);
}

QTEST_GUILESS_MAIN(tst_LateSettlements)

#include "tst_latesettlements.moc"
