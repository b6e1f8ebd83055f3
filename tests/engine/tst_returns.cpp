// SPDX-License-Identifier: MIT
#include "engine/confirming.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using Wire::BasicAck;
using Wire::BasicNack;

class tst_Returns : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void aReturnIsTheOutcomeOfItsMessage();
    void aReturnIsMatchedByTheFieldsThatTheBrokerKeeps_data();
    void aReturnIsMatchedByTheFieldsThatTheBrokerKeeps();
    void aThousandReturnsFindTheirMessages_data();
    void aThousandReturnsFindTheirMessages();
    void aSettledMandatoryMessageKeepsNoBody_data();
    void aSettledMandatoryMessageKeepsNoBody();
    void aReturnWithoutItsAckCountsWhenTheChannelEnds();
    void aReturnOfAMessagePublishedBeforeConfirmModeHasNoNumber();
    void aReturnOutsideConfirmModeHasNoNumber();
};

using Events = QStringList;

void tst_Returns::aReturnIsTheOutcomeOfItsMessage()
{
    Confirming t;
    t.publish("routed", true);
    t.publish("lost", true);
    t.publish("routed as well", true);
    t.s.takeSent();
    t.returns("lost").s.expectNoEvent(); // the ack identifies the message
    t.acks(3).s.expectEvent<Engine::PublishConfirmed>();
    t.acks(2, true);
    t.s.expectEvent<Engine::PublishConfirmed>([](const Engine::PublishConfirmed &confirmed) {
        QCOMPARE(confirmed.first, quint64(1));
        QCOMPARE(confirmed.last, quint64(1));
    });
    t.s.expectEvent<Engine::Returned>([&](const Engine::Returned &returned) {
        QCOMPARE(returned.sequence, quint64(2));
        QCOMPARE(returned.message.body, QByteArray("lost"));
        QCOMPARE(returned.message.routingKey, QByteArray("key"));
        QCOMPARE(returned.message.reason.kind(), ErrorKind::Returned);
        QCOMPARE(returned.message.reason.replyCode(), quint16(312));
    });
    t.s.expectEvent<Engine::PublishFailed>([&](const Engine::PublishFailed &failed) {
        QCOMPARE(failed.first, quint64(2));
        QCOMPARE(failed.last, quint64(2));
        QCOMPARE(failed.reason.kind(), ErrorKind::Returned);
    });
    t.s.expectNoEvent();
}

void tst_Returns::aReturnIsMatchedByTheFieldsThatTheBrokerKeeps_data()
{
    QTest::addColumn<QByteArray>("body");
    QTest::addColumn<QByteArray>("key");
    QTest::addColumn<QByteArray>("properties");
    QTest::addColumn<bool>("isSame");
    const FieldTable withBcc{{u"BCC"_s, QVariantList{u"other"_s}}, {u"n"_s, 1}};
    QTest::newRow("all as published") << QByteArray("body") << QByteArray("key") << propertiesOf(u"id"_s, withBcc)
                                      << true;
    QTest::newRow("BCC stripped") << QByteArray("body") << QByteArray("key") << propertiesOf(u"id"_s, {{u"n"_s, 1}})
                                  << true;
    QTest::newRow("another body") << QByteArray("Body") << QByteArray("key") << propertiesOf(u"id"_s, withBcc) << false;
    QTest::newRow("another key") << QByteArray("body") << QByteArray("other") << propertiesOf(u"id"_s, withBcc)
                                 << false;
    QTest::newRow("another message-id") << QByteArray("body") << QByteArray("key") << propertiesOf(u"no"_s, withBcc)
                                        << false;
    QTest::newRow("no message-id") << QByteArray("body") << QByteArray("key") << propertiesOf({}, withBcc) << false;
}

void tst_Returns::aReturnIsMatchedByTheFieldsThatTheBrokerKeeps()
{
    QFETCH(const QByteArray, body);
    QFETCH(const QByteArray, key);
    QFETCH(const QByteArray, properties);
    QFETCH(const bool, isSame);
    Confirming t;
    const FieldTable withBcc{{u"BCC"_s, QVariantList{u"other"_s}}, {u"n"_s, 1}};
    t.publish("body", true, u"key"_s, propertiesOf(u"id"_s, withBcc));
    t.s.takeSent();
    t.returns(body, key, properties).acks(1);
    // A returned message of another publisher is reported without a number.
    QCOMPARE(t.s.takeEvents(), isSame ? Events({u"Returned 1"_s, u"PublishFailed 1 1-1 Returned"_s})
                                      : Events({u"PublishConfirmed 1 1-1"_s, u"Returned 1"_s}));
}

void tst_Returns::aThousandReturnsFindTheirMessages_data()
{
    QTest::addColumn<bool>("areDifferent");
    QTest::addColumn<int>("ackedAtOnce");
    QTest::newRow("identical, acked one by one") << false << 1;
    QTest::newRow("different, acked one by one") << true << 1;
    QTest::newRow("different, acked by fifties") << true << 50;
}

// 1000 messages that are returned are in flight, between mandatory messages with a route and messages that are not
// mandatory.
void tst_Returns::aThousandReturnsFindTheirMessages()
{
    QFETCH(const bool, areDifferent);
    QFETCH(const int, ackedAtOnce);
    constexpr int Count = 1000;
    Confirming t;
    const auto bodyOf = [&](int i) { return areDifferent ? "lost " + QByteArray::number(i) : QByteArray("lost"); };
    for (int i = 0; i < Count; ++i) {
        t.publish("routed", true);
        t.publish(bodyOf(i), false, u"routed"_s);
        t.publish(bodyOf(i), true, u"nowhere"_s);
    }
    t.s.takeSent();
    for (int i = 0; i < Count; ++i) {
        t.returns(bodyOf(i), "nowhere");
        if ((i + 1) % ackedAtOnce == 0)
            t.acks(quint64(i + 1) * 3, true);
    }
    QSet<quint64> returned;
    quint64 next = 1;
    for (const QString &event : t.s.takeEvents()) {
        if (event == u"Returned 1")
            continue;
        const QStringList words = event.split(u' ');
        const QStringList range = words[2].split(u'-');
        QCOMPARE(range[0].toULongLong(), next); // each message once, in order
        next = range[1].toULongLong() + 1;
        if (words[0] == u"PublishFailed") {
            QCOMPARE(range[0], range[1]);
            returned.insert(range[0].toULongLong());
        }
    }
    QCOMPARE(next, quint64(3 * Count + 1));
    QCOMPARE(returned.size(), Count);
    for (const quint64 sequence : returned)
        QCOMPARE(sequence % 3, quint64(0));
}

void tst_Returns::aSettledMandatoryMessageKeepsNoBody_data()
{
    QTest::addColumn<bool>("isAck");
    QTest::newRow("ack") << true;
    QTest::newRow("nack") << false;
}

// A settled message releases its body even if the broker has not settled earlier messages, of which some are not
// mandatory.
void tst_Returns::aSettledMandatoryMessageKeepsNoBody()
{
    QFETCH(bool, isAck);
    Confirming t;
    const QByteArray properties = propertiesOf(u"id"_s);
    QList<QByteArray> bodies;
    for (int i = 0; i < 7; ++i) {
        bodies.append(QByteArray(1000, char('a' + i)));
        t.publish(bodies.constLast(), i % 3 != 1, u"key"_s, properties);
    }
    t.s.takeSent();
    const auto kept = [&] {
        QList<int> numbers;
        for (int i = 0; i < bodies.size(); ++i) {
            if (!bodies[i].isDetached())
                numbers.append(i + 1);
        }
        return numbers;
    };
    QCOMPARE(kept(), QList<int>({1, 3, 4, 6, 7}));
    for (const quint64 tag : {5, 6, 6, 4}) {
        if (isAck)
            t.acks(tag);
        else
            t.s.broker(BasicNack{.deliveryTag = tag});
    }
    QCOMPARE(t.s.takeEvents().size(), 3);
    QCOMPARE(kept(), QList<int>({1, 3, 7}));
    t.returns(bodies[2], "key", properties)
        .returns(bodies[6], "key", properties)
        .acks(7, true); // the other messages are still known
    QCOMPARE(t.s.takeEvents(), Events({u"PublishConfirmed 1 1-2"_s, u"Returned 1"_s, u"PublishFailed 1 3-3 Returned"_s,
                                       u"Returned 1"_s, u"PublishFailed 1 7-7 Returned"_s}));
    QCOMPARE(kept(), QList<int>());
}

void tst_Returns::aReturnWithoutItsAckCountsWhenTheChannelEnds()
{
    Confirming t;
    t.publish("taken?", true);
    t.publish("lost", true);
    t.s.takeSent();
    t.returns("lost").s.expectNoEvent();
    t.s.broker(Wire::ChannelClose{.replyCode = 541, .replyText = "INTERNAL_ERROR"}).expectSent<Wire::ChannelCloseOk>();
    QCOMPARE(t.s.takeEvents(), Events({u"PublishFailed 1 1-1 Unconfirmed"_s, u"Returned 1"_s,
                                       u"PublishFailed 1 2-2 Returned"_s, u"ChannelClosed 1 ChannelClosed"_s}));
    t.reopen();
    t.publish("lost", true);
    t.s.takeSent();
    t.acks(1);
    QCOMPARE(t.s.takeEvents(), Events{u"PublishConfirmed 1 3-3"_s}); // the return has been used
}

void tst_Returns::aReturnOfAMessagePublishedBeforeConfirmModeHasNoNumber()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    QVERIFY(channel.publish({}, u"key"_s, QByteArray(2, '\0'), "plain", true));
    const auto selecting = *channel.confirmSelect();
    QVERIFY(channel.publish({}, u"key"_s, QByteArray(2, '\0'), "confirmed", true));
    s.takeSent();
    s.broker(Wire::BasicReturn{.replyCode = 312, .replyText = "NO_ROUTE", .routingKey = "key"});
    s.brokerBytes(contentFrames(1, {.body = "plain"}));
    s.broker(Wire::ConfirmSelectOk{}).expectReply(selecting).broker(BasicAck{.deliveryTag = 1});
    s.expectEvent<Engine::PublishConfirmed>().expectEvent<Engine::Returned>([](const Engine::Returned &returned) {
        QCOMPARE(returned.sequence, quint64(0));
        QCOMPARE(returned.message.body, QByteArray("plain"));
    });
    s.expectNoEvent();
}

void tst_Returns::aReturnOutsideConfirmModeHasNoNumber()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    QVERIFY(channel.publish({}, u"key"_s, QByteArray(2, '\0'), "plain", true));
    s.takeSent();
    s.broker(Wire::BasicReturn{.replyCode = 312, .replyText = "NO_ROUTE", .routingKey = "key"});
    s.brokerBytes(contentFrames(1, {.body = "plain"}));
    s.expectEvent<Engine::Returned>([](const Engine::Returned &returned) { QCOMPARE(returned.sequence, quint64(0)); });
    s.expectNoEvent();
}

QTEST_APPLESS_MAIN(tst_Returns)

#include "tst_returns.moc"
