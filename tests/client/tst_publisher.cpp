// SPDX-License-Identifier: MIT
#include "client/publisherclient.h"

#include <QtCore/qpoint.h>
#include <QtCore/qregularexpression.h>
#include <QtCore/qthread.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

class tst_Publisher : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void everyConfirmSettlesItsMessage_data();
    void everyConfirmSettlesItsMessage();
    void replyOfAMessageToTheDefaultAddressEndsWithItsConfirm();
    void returnedMessageEndsAsReturned();
    void missingExchangeDoesNotStopTheOthers();
    void lossIsReportedInOrder();
    void lossIsRepublishedInOrder();
    void republishedMessageThatIsRejectedEndsOnce();
    void badArgumentsAreRejected_data();
    void badArgumentsAreRejected();
    void badSettingsAreRejected();
    void signalsComeOncePerTurn();
    void stoppedPublisherIsNotifiedWhenItMayContinue();
    void pressureRisesToOne();
    void publishingInSettledGoesOn();
    void drainedComesOnceAndLast();
    void channelThatCannotOpenAgainEndsTheOutbox();
    void callOfAForeignThreadFails();
    void withoutAConnectionAllCallsFail();
};

void tst_Publisher::everyConfirmSettlesItsMessage_data()
{
    QTest::addColumn<QByteArrayList>("confirms"); // "+1" is an ack, "-1" a nack, and "m" sets `multiple`
    QTest::addColumn<QStringList>("expected");
    QTest::newRow("single") << QByteArrayList{"+1", "+2", "+3", "+4"}
                            << QStringList{u"1 ok"_s, u"2 ok"_s, u"3 ok"_s, u"4 ok"_s};
    QTest::newRow("multiple") << QByteArrayList{"+3m", "+4"} << QStringList{u"1 ok"_s, u"2 ok"_s, u"3 ok"_s, u"4 ok"_s};
    QTest::newRow("all") << QByteArrayList{"+0m"} << QStringList{u"1 ok"_s, u"2 ok"_s, u"3 ok"_s, u"4 ok"_s};
    QTest::newRow("backwards") << QByteArrayList{"+4", "+3", "+2", "+1"}
                               << QStringList{u"4 ok"_s, u"3 ok"_s, u"2 ok"_s, u"1 ok"_s};
    QTest::newRow("holes are filled") << QByteArrayList{"+2", "+4m"}
                                      << QStringList{u"2 ok"_s, u"1 ok"_s, u"3 ok"_s, u"4 ok"_s};
    QTest::newRow("again") << QByteArrayList{"+2", "+2", "+2m", "+4m"}
                           << QStringList{u"2 ok"_s, u"1 ok"_s, u"3 ok"_s, u"4 ok"_s};
    QTest::newRow("nack") << QByteArrayList{"-2", "+4m"} << QStringList{u"2 Nacked"_s, u"1 ok"_s, u"3 ok"_s, u"4 ok"_s};
    QTest::newRow("nack multiple") << QByteArrayList{"+1", "-3m", "+4"}
                                   << QStringList{u"1 ok"_s, u"2 Nacked"_s, u"3 Nacked"_s, u"4 ok"_s};
}

void tst_Publisher::everyConfirmSettlesItsMessage()
{
    QFETCH(const QByteArrayList, confirms);
    QFETCH(const QStringList, expected);
    ScriptedPeer peer;
    PublisherClient client(peer);
    for (quint64 id = 1; id <= 4; ++id)
        QCOMPARE(client.publish("m"), id);
    QVERIFY(client.waitForPublishes(4));
    QCOMPARE(client.publisher->outstandingCount(), 4);
    for (const QByteArray &confirm : confirms) {
        const quint64 tag = quint64(confirm.at(1) - '0');
        const bool multiple = confirm.endsWith('m');
        if (confirm.startsWith('+'))
            client.ack(tag, multiple);
        else
            peer.send(1, Wire::BasicNack{.deliveryTag = tag, .multiple = multiple});
    }
    settle(*client.connection);
    QCOMPARE(client.log.entries, expected + QStringList{u"drained"_s});
    QCOMPARE(client.publisher->outstandingCount(), 0);
    QVERIFY(client.publisher->isWritable());
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Publisher::replyOfAMessageToTheDefaultAddressEndsWithItsConfirm()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setExchange(u"readings"_s);
    client.publisher->setRoutingKey(u"sensor.1"_s);
    const Reply<void> acked = client.publisher->publishWithReply(Message("1"));
    client.publisher->setRoutingKey(u"sensor.2"_s);
    const Reply<void> nacked = client.publisher->publishWithReply(Message("2"));
    QVERIFY(client.waitForPublishes(2));
    const QList<Command> published = peer.received("basic.publish");
    QCOMPARE(published.at(0).fields.value(u"exchange"_s), u"readings"_s);
    QCOMPARE(published.at(0).fields.value(u"routing-key"_s), u"sensor.1"_s);
    QCOMPARE(published.at(0).body, "1");
    QCOMPARE(published.at(1).fields.value(u"routing-key"_s), u"sensor.2"_s);
    QVERIFY(!acked.isFinished() && !nacked.isFinished());
    client.ack(1);
    QVERIFY(waitUntil([&] { return acked.isFinished(); }));
    QVERIFY(!acked.result().error().isError());
    QVERIFY(!nacked.isFinished());
    peer.send(1, Wire::BasicNack{.deliveryTag = 2});
    QVERIFY(waitUntil([&] { return nacked.isFinished(); }));
    QCOMPARE(nacked.result().error().kind(), ErrorKind::Nacked);
    QCOMPARE(client.log.entries, QStringList({u"1 ok"_s, u"2 Nacked"_s, u"drained"_s}));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Publisher::returnedMessageEndsAsReturned()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publishMany(1, 3);
    QVERIFY(client.waitForPublishes(3));
    QVERIFY(peer.last("basic.publish").as<Wire::BasicPublish>().mandatory);
    const Command second = peer.received("basic.publish").at(1);
    peer.sendContent(1, Wire::BasicReturn{.replyCode = 312, .replyText = "NO_ROUTE", .routingKey = "q"},
                     second.basicProperties(), second.body);
    client.ack(3, true);
    QVERIFY(client.waitForEntries(4));
    QCOMPARE(client.log.entries, QStringList({u"1 ok"_s, u"2 Returned 312"_s, u"3 ok"_s, u"drained"_s}));

    client.publisher->setMandatory(false);
    client.publish("4");
    QVERIFY(client.waitForPublishes(4));
    QVERIFY(!peer.last("basic.publish").as<Wire::BasicPublish>().mandatory);
}

void tst_Publisher::missingExchangeDoesNotStopTheOthers()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setConfirmWindow(2);
    client.publish("1");
    client.publisher->publish(u"missing"_s, {}, Message("2"));
    client.publishMany(3, 4);
    QVERIFY(client.waitForPublishes(2));
    client.ack(1);
    peer.closeChannel(1, 404, "NOT_FOUND - no exchange 'missing'");
    peer.answerAgain("basic.ack"); // applies from now on
    QVERIFY(client.waitForEntries(5));
    settle(*client.connection);
    const bool thirdWasSent = client.log.has(u"3 Unconfirmed 404"_s); // before the channel was closed
    QCOMPARE(client.log.entries,
             QStringList({u"1 ok"_s, u"2 Unconfirmed 404"_s, thirdWasSent ? u"3 Unconfirmed 404"_s : u"3 ok"_s,
                          u"4 ok"_s, u"drained"_s}));
    QCOMPARE(client.publish("5"), quint64(5));
    QVERIFY(waitUntil([&] { return client.log.has(u"5 ok"_s); }));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Publisher::lossIsReportedInOrder()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publishMany(1, 5);
    QVERIFY(client.waitForPublishes(5));
    client.ack(3);
    QVERIFY(client.waitForEntries(1));
    client.lose();
    QCOMPARE(client.log.entries, QStringList({u"3 ok"_s, u"1 Unconfirmed"_s, u"2 Unconfirmed"_s, u"4 Unconfirmed"_s,
                                              u"5 Unconfirmed"_s, u"drained"_s}));
    QCOMPARE(client.publisher->outstandingCount(), 0);
    QVERIFY(!client.publisher->isWritable());
    peer.forgetReceived();
    client.open();
    QCOMPARE(peer.count("basic.publish"), 0);
    client.publish("6");
    QVERIFY(client.waitForPublishes(1));
    QCOMPARE(client.published(), QByteArrayList{"6"});
}

void tst_Publisher::lossIsRepublishedInOrder()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setLossPolicy(Publisher::LossPolicy::Republish);
    client.publisher->setConfirmWindow(6);
    client.publishMany(1, 8); // the last two stay in the outbox
    QVERIFY(client.waitForPublishes(6));
    client.ack(3);
    QVERIFY(client.waitForPublishes(7));
    client.lose();
    QCOMPARE(client.log.entries, QStringList{u"3 ok"_s});
    QCOMPARE(client.publisher->outstandingCount(), 7);
    client.publish("9");
    QCOMPARE(client.publisher->outstandingCount(), 8);

    // A second loss before a message is confirmed has no effect.
    for (int round = 0; round < 2; ++round) {
        peer.forgetReceived();
        client.open();
        QVERIFY(client.waitForPublishes(6));
        QCOMPARE(client.published(), QByteArrayList({"1", "2", "4", "5", "6", "7"}));
        QCOMPARE(client.publisher->outstandingCount(), 8);
        if (round == 0)
            client.lose();
    }
    client.ack(6, true);
    QVERIFY(client.waitForPublishes(8));
    client.ack(8, true);
    QVERIFY(waitUntil([&] { return client.log.has(u"drained"_s); }));
    QCOMPARE(client.log.entries, QStringList({u"3 ok"_s, u"1 ok"_s, u"2 ok"_s, u"4 ok"_s, u"5 ok"_s, u"6 ok"_s,
                                              u"7 ok"_s, u"8 ok"_s, u"9 ok"_s, u"drained"_s}));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Publisher::republishedMessageThatIsRejectedEndsOnce()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setLossPolicy(Publisher::LossPolicy::Republish);
    client.publish("1");
    Message own("2");
    own.setUserId(u"guest"_s);
    QCOMPARE(client.publisher->publish(own), quint64(2));
    client.publish("3");
    QVERIFY(client.waitForPublishes(3));
    client.lose();
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setCredentials(u"another"_s, u"guest"_s); // this user may not send the message
    client.connection->setParameters(parameters);
    peer.forgetReceived();
    client.open();
    QVERIFY(client.waitForPublishes(2));
    QCOMPARE(client.published(), QByteArrayList({"1", "3"}));
    client.ack(2, true);
    QVERIFY(waitUntil([&] { return client.log.has(u"drained"_s); }));
    QCOMPARE(client.log.entries, QStringList({u"2 InvalidArgument"_s, u"1 ok"_s, u"3 ok"_s, u"drained"_s}));
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Publisher::badArgumentsAreRejected_data()
{
    QTest::addColumn<bool>("isOpen");
    QTest::addColumn<QString>("exchange");
    QTest::addColumn<QString>("routingKey");
    QTest::addColumn<QVariant>("header");
    QTest::addColumn<QString>("argument");
    for (const bool isOpen : {true, false}) {
        const auto row = [&](const char *name) -> QTestData & {
            return QTest::addRow("%s, %s", name, isOpen ? "sent at once" : "for the outbox") << isOpen;
        };
        row("exchange") << QString(256, u'e') << QString() << QVariant(1) << u"exchange"_s;
        row("exchange in UTF-8") << QString(128, u'ä') << QString() << QVariant(1) << u"exchange"_s;
        row("routing key") << QString() << QString(256, u'k') << QVariant(1) << u"routingKey"_s;
        row("not a number") << QString() << u"q"_s << QVariant(qQNaN()) << u"headers"_s;
        row("unsupported type") << QString() << u"q"_s << QVariant::fromValue(QPoint(1, 2)) << u"headers"_s;
    }
}

void tst_Publisher::badArgumentsAreRejected()
{
    QFETCH(const bool, isOpen);
    QFETCH(const QString, exchange);
    QFETCH(const QString, routingKey);
    QFETCH(const QVariant, header);
    QFETCH(const QString, argument);
    ScriptedPeer peer;
    PublisherClient client(peer, isOpen);
    Message message("m");
    message.setHeader(u"name"_s, header);
    QCOMPARE(client.publisher->publish(exchange, routingKey, message), quint64(0));
    QCOMPARE(client.publisher->error().kind(), ErrorKind::InvalidArgument);
    QVERIFY2(client.publisher->error().text().contains(argument), qPrintable(client.publisher->error().text()));
    const Reply<void> reply = client.publisher->publishWithReply(exchange, routingKey, message);
    QCOMPARE(reply.result().error(), client.publisher->error());
    QCOMPARE(client.publisher->outstandingCount(), 0);
    if (!isOpen)
        client.open();
    QCOMPARE(client.publish("good"), quint64(1));
    QVERIFY(client.waitForPublishes(1));
    QCOMPARE(client.published(), QByteArrayList{"good"});
}

void tst_Publisher::badSettingsAreRejected()
{
    ScriptedPeer peer;
    PublisherClient client(peer, false);
    for (const int window : {0, -1}) {
        client.publisher->setConfirmWindow(window);
        QCOMPARE(client.publisher->confirmWindow(), 1000);
        QCOMPARE(client.publisher->error().kind(), ErrorKind::InvalidArgument);
        QVERIFY(client.publisher->error().text().startsWith(u"messages:"));
    }
    client.publisher->setOutboxLimit(-1);
    QCOMPARE(client.publisher->outboxLimit(), 16 * 1024 * 1024);
    QCOMPARE(client.publisher->error().kind(), ErrorKind::InvalidArgument);
    QVERIFY(client.publisher->error().text().startsWith(u"bytes:"));
}

void tst_Publisher::signalsComeOncePerTurn()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setConfirmWindow(10);
    QSignalSpy outstanding(client.publisher, &Publisher::outstandingCountChanged);
    QSignalSpy pressure(client.publisher, &Publisher::pressureChanged);
    QSignalSpy writable(client.publisher, &Publisher::writableChanged);
    client.publishMany(1, 10);
    QCOMPARE(outstanding.size() + pressure.size() + writable.size(), 0); // never emitted inside a call
    settleEvents();
    QCOMPARE(outstanding.size(), 1);
    QCOMPARE(outstanding.takeFirst().first().toInt(), 10);
    QCOMPARE(pressure.size(), 1);
    QCOMPARE(pressure.takeFirst().first().toReal(), client.publisher->pressure());
    QCOMPARE(writable.size(), 1);
    QCOMPARE(writable.takeFirst().first().toBool(), false);

    QVERIFY(client.waitForPublishes(10));
    settleEvents();
    QByteArray acks;
    for (quint64 tag = 1; tag <= 10; ++tag)
        acks += Wire::encodeFrame(1, Wire::BasicAck{.deliveryTag = tag});
    peer.sendRaw(acks);
    QVERIFY(waitUntil([&] { return client.log.has(u"drained"_s); }));
    settleEvents();
    QCOMPARE(outstanding.size(), 1);
    QCOMPARE(outstanding.takeFirst().first().toInt(), 0);
    QCOMPARE(pressure.size(), 1);
    QCOMPARE(pressure.takeFirst().first().toReal(), 0.0);
    QCOMPARE(writable.size(), 1);
    QCOMPARE(writable.takeFirst().first().toBool(), true);
}

// The window is full and free again within one turn.
void tst_Publisher::stoppedPublisherIsNotifiedWhenItMayContinue()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setConfirmWindow(3);
    client.publishMany(1, 2);
    QVERIFY(client.waitForPublishes(2));
    settleEvents();
    QVERIFY(client.publisher->isWritable());
    connect(client.publisher, &Publisher::settled, &client.log, [&](quint64 id) {
        while (id == 1 && client.publisher->isWritable())
            client.publish("m");
    });
    QSignalSpy writable(client.publisher, &Publisher::writableChanged);
    peer.sendRaw(Wire::encodeFrame(1, Wire::BasicAck{.deliveryTag = 1}) +
                 Wire::encodeFrame(1, Wire::BasicAck{.deliveryTag = 2}));
    QVERIFY(client.waitForEntries(2));
    QVERIFY(client.publisher->isWritable());
    QVERIFY(waitUntil([&] { return !writable.isEmpty(); }));
    QCOMPARE(writable.last().first().toBool(), true);
}

void tst_Publisher::pressureRisesToOne()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setConfirmWindow(10);
    client.publisher->setOutboxLimit(2000);
    QCOMPARE(client.publisher->pressure(), 0.0);
    qreal last = 0;
    while (client.publish(QByteArray(20, 'm'))) {
        QVERIFY(client.publisher->pressure() > last);
        QVERIFY(client.publisher->pressure() <= 1.0);
        last = client.publisher->pressure();
    }
    QVERIFY(last > 0.95);
    peer.answerAgain("basic.ack");
    QVERIFY(client.waitForPublishes(10));
    client.ack(10, true);
    settleEvents();
    for (quint64 tag = 11; client.publisher->outstandingCount() > 0; tag += 10) {
        QVERIFY(client.publisher->pressure() <= last);
        last = client.publisher->pressure();
        settle(*client.connection);
    }
    QCOMPARE(client.publisher->pressure(), 0.0);
}

void tst_Publisher::publishingInSettledGoesOn()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    peer.answerAgain("basic.ack");
    client.publisher->setConfirmWindow(2);
    connect(client.publisher, &Publisher::settled, &client.log, [&](quint64 id) {
        if (id <= 20)
            client.publish(QByteArray::number(id));
    });
    client.publishMany(1, 5);
    QVERIFY(waitUntil([&] { return client.log.has(u"drained"_s); }));
    QCOMPARE(client.log.entries.size(), 26);
    for (int id = 1; id <= 25; ++id)
        QCOMPARE(client.log.entries.at(id - 1), u"%1 ok"_s.arg(id));
    QCOMPARE(client.log.entries.last(), u"drained"_s);
}

// The order is kept even if slots run an event loop.
void tst_Publisher::drainedComesOnceAndLast()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publishMany(1, 3);
    QVERIFY(client.waitForPublishes(3));
    QList<int> left;
    connect(client.publisher, &Publisher::settled, &client.log, [&](quint64 id) {
        left += client.publisher->outstandingCount();
        if (id != 1)
            return;
        client.publish("4");
        client.waitForPublishes(4);
        client.ack(4);
        waitUntil([&] { return client.log.has(u"4 ok"_s); });
    });
    client.ack(3, true);
    QVERIFY(waitUntil([&] { return client.log.has(u"drained"_s); }));
    settleEvents();
    QCOMPARE(client.log.entries, QStringList({u"1 ok"_s, u"4 ok"_s, u"2 ok"_s, u"3 ok"_s, u"drained"_s}));
    QCOMPARE(left, QList<int>({2, 2, 1, 0}));
}

// Other channels have taken the number of the publisher's channel in the meantime.
void tst_Publisher::channelThatCannotOpenAgainEndsTheOutbox()
{
    ScriptedPeer peer;
    PublisherClient client(peer, false);
    ConnectionParameters parameters = client.connection->parameters();
    parameters.setMaximumChannels(1);
    client.connection->setParameters(parameters);
    client.connection->open();
    QVERIFY(waitUntil([&] { return client.publisher->channel()->isOpen(); }));
    client.publisher->setConfirmWindow(1);
    client.publishMany(1, 2);
    QVERIFY(client.waitForPublishes(1));
    Channel *thief = nullptr;
    connect(client.publisher->channel(), &Channel::stateChanged, &client.log, [&](Channel::State state) {
        if (state == Channel::State::Closed)
            thief = client.connection->createChannel();
    });
    peer.closeChannel(1, 404, "NOT_FOUND");
    QVERIFY(client.waitForEntries(3));
    QVERIFY(thief);
    QCOMPARE(client.log.entries, QStringList({u"1 Unconfirmed 404"_s, u"2 NotOpen"_s, u"drained"_s}));
    QCOMPARE(client.publish("3"), quint64(0));
    QCOMPARE(client.publisher->error().kind(), ErrorKind::NotOpen);
    delete thief;
    QVERIFY(waitUntil([&] { return client.publish("4") == 3; }));
    QVERIFY(client.waitForPublishes(2));
}

void tst_Publisher::callOfAForeignThreadFails()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    quint64 id = 1;
    std::optional<Reply<void>> reply;
    std::unique_ptr<QThread> thread(QThread::create([&] {
        id = client.publish("m");
        reply = client.publisher->publishWithReply({}, u"q"_s, Message("m"));
    }));
    thread->start();
    thread->wait();
    QCOMPARE(id, quint64(0));
    QCOMPARE(reply->result().error().kind(), ErrorKind::InvalidArgument);
    QCOMPARE(client.publisher->outstandingCount(), 0);
    QVERIFY(!client.publisher->error().isError());
}

void tst_Publisher::withoutAConnectionAllCallsFail()
{
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"cannot publish: .*connection"_s));
    Publisher publisher(nullptr);
    QCOMPARE(publisher.error().kind(), ErrorKind::InvalidArgument);
    SignalLog log;
    connect(&publisher, &Publisher::settled, &log, [&] { log.add(u"settled"_s); });
    publisher.setConfirmWindow(5);
    publisher.setPaused(true);
    publisher.setPaused(false);
    publisher.setOutboxLimit(5);
    QCOMPARE(publisher.publish(Message("m")), quint64(0));
    QCOMPARE(publisher.publish(u"x"_s, u"k"_s, Message("m")), quint64(0));
    const Reply<void> reply = publisher.publishWithReply({}, u"q"_s, Message("m"));
    QVERIFY(reply.isFinished());
    QCOMPARE(reply.result().error().kind(), ErrorKind::InvalidArgument);
    QVERIFY2(publisher.error().text().contains(u"connection"), qPrintable(publisher.error().text()));
    QCOMPARE(publisher.channel(), nullptr);
    QVERIFY(!publisher.isWritable());
    QCOMPARE(publisher.outstandingCount(), 0);
    QVERIFY(publisher.pressure() >= 0);
    settleEvents();
    QCOMPARE(log.entries, QStringList());
}

QTEST_GUILESS_MAIN(tst_Publisher)
#include "tst_publisher.moc"
