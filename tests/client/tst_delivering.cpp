// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"

#include <QtCore/qregularexpression.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

class tst_Delivering : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void consumersHaveAPrefetchOf100ByDefault();
    void deliveriesAreCounted_data();
    void deliveriesAreCounted();
    void consumersThatTakeTurnsGetTheirOwnMessages_data();
    void consumersThatTakeTurnsGetTheirOwnMessages();
};

void tst_Delivering::deliveriesAreCounted_data()
{
    QTest::addColumn<AckMode>("ackMode");
    QTest::addColumn<bool>("isReceived");
    for (const bool isReceived : {true, false}) {
        const char *suffix = isReceived ? "" : " without a receiver";
        QTest::addRow("manual%s", suffix) << AckMode::Manual << isReceived;
        QTest::addRow("after delivery%s", suffix) << AckMode::AfterDelivery << isReceived;
        QTest::addRow("no ack%s", suffix) << AckMode::NoAck << isReceived;
    }
}

void tst_Delivering::deliveriesAreCounted()
{
    QFETCH(const AckMode, ackMode);
    QFETCH(const bool, isReceived);
    ScriptedPeer peer;
    OpenClient client(peer);
    Consumer *consumer = client.consume({.ackMode = ackMode});
    if (isReceived)
        connect(consumer, &Consumer::delivered, this, [] {});
    else if (ackMode != AckMode::AfterDelivery)
        QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"nothing is connected"_s));
    QSignalSpy counted(consumer, &Consumer::deliveredCountChanged);
    QCOMPARE(consumer->deliveredCount(), 0);
    peer.sendRaw(deliveries("c1", 1, {"a", "b", "c"}));
    QVERIFY(waitUntil([&] { return !counted.isEmpty() && counted.constLast().constFirst() == 3.0; }));
    QCOMPARE(consumer->deliveredCount(), 3);
    QCOMPARE(consumer->unackedCount(),
             ackMode == AckMode::Manual || (!isReceived && ackMode != AckMode::NoAck) ? 3 : 0);
    counted.clear();
    settle(client.connection);
    QVERIFY(counted.isEmpty());
    // The last count precedes the end.
    QStringList last;
    connect(consumer, &Consumer::delivered, this, [consumer] { consumer->cancel(); });
    connect(consumer, &Consumer::deliveredCountChanged, this, [&](double count) { last += QString::number(count); });
    connect(consumer, &Consumer::cancelled, this, [&] { last += u"cancelled"_s; });
    peer.sendRaw(deliveries("c1", 4, {"d"}));
    QVERIFY(waitUntil([&] { return last.contains(u"cancelled"_s); }));
    settle(client.connection);
    QCOMPARE(last.constLast(), u"cancelled"_s);
}

void tst_Delivering::consumersThatTakeTurnsGetTheirOwnMessages_data()
{
    QTest::addColumn<bool>("isKept");
    QTest::newRow("looked at") << false;
    QTest::newRow("kept") << true;
}

void tst_Delivering::consumersThatTakeTurnsGetTheirOwnMessages()
{
    QFETCH(const bool, isKept);
    ScriptedPeer peer;
    OpenClient client(peer);
    QList<Message> kept;
    QStringList reported;
    for (const QString &tag : {u"a"_s, u"b"_s}) {
        connect(client.consume({.consumerTag = tag}), &Consumer::delivered, this, [&, tag](const Message &message) {
            reported += u"%1: %2 %3 %4 %5"_s.arg(tag, message.consumerTag(), message.routingKey(), message.text())
                            .arg(message.priority());
            if (isKept)
                kept += message;
        });
    }
    const auto delivery = [](const QByteArray &consumerTag, quint64 deliveryTag, const QByteArray &body,
                             quint8 priority) {
        const QByteArray properties = Wire::encodeProperties({.flags = Wire::PriorityFlag, .priority = priority});
        return deliverFrames(consumerTag, deliveryTag,
                             {.body = body, .properties = properties, .routingKey = "key-" + consumerTag});
    };
    QByteArray bytes;
    QStringList expected;
    QList<quint64> tags;
    // At first the deliveries of both consumers have the same properties, then different ones.
    for (const quint8 priorityOfB : {quint8(1), quint8(2)}) {
        for (int round = 0; round < 3; ++round) {
            for (const char tag : {'a', 'b'}) {
                const quint8 priority = tag == 'a' ? 1 : priorityOfB;
                tags += quint64(tags.size() + 1);
                const QByteArray body = QByteArray::number(tags.last());
                bytes += delivery(QByteArray(1, tag), tags.last(), body, priority);
                expected += u"%1: %1 key-%1 %2 %3"_s.arg(QLatin1Char(tag)).arg(tags.last()).arg(priority);
            }
        }
    }
    peer.sendRaw(bytes);
    QVERIFY(waitUntil([&] { return reported.size() == expected.size(); }));
    QCOMPARE(reported, expected);
    for (qsizetype i = 0; i < kept.size(); ++i) {
        QCOMPARE(kept.at(i).deliveryTag(), tags.at(i));
        QCOMPARE(kept.at(i).body(), QByteArray::number(tags.at(i)));
    }
}

void tst_Delivering::consumersHaveAPrefetchOf100ByDefault()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    const auto prefetchesOf = [&](const ConsumeOptions &options) {
        peer.forgetReceived();
        client.consume(options);
        settle(client.connection);
        QList<int> prefetches;
        for (const Command &command : peer.received()) {
            if (command.name == "basic.qos")
                prefetches += command.as<Wire::BasicQos>().prefetchCount;
        }
        return prefetches;
    };
    QCOMPARE(prefetchesOf({.ackMode = AckMode::NoAck}), QList<int>());
    QCOMPARE(prefetchesOf({}), QList<int>{100});
    QCOMPARE(prefetchesOf({.prefetch = 7}), QList<int>{7});
    QCOMPARE(prefetchesOf({.ackMode = AckMode::AfterDelivery}), QList<int>{100});
    client.channel->setPrefetch(20);
    settle(client.connection);
    QCOMPARE(prefetchesOf({}), QList<int>()); // setPrefetch() has sent basic.qos
    client.channel->setPrefetch(0);
    settle(client.connection);
    QCOMPARE(prefetchesOf({}), QList<int>());
    QCOMPARE(peer.violations(), QStringList());
}

QTEST_GUILESS_MAIN(tst_Delivering)
#include "tst_delivering.moc"
