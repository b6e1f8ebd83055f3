// SPDX-License-Identifier: MIT
#include "support/messages.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;
using namespace Qt::StringLiterals;

namespace
{
struct RecordingTarget final : SettlementTarget {
    void settleNow(const Settlement &settlement) override { settled.push_back(settlement); }
    bool isUnsettled(const Settlement &) const override { return true; }
    void wakeForSettlements() override {}
    std::vector<Settlement> settled;
};
} // namespace

class tst_MessageEnvelope : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void envelopeIsEmptyInANewMessage();
    void envelopeIsReadFromTheDelivery();
    void settersKeepTheEnvelope();
    void returnedMessageHasAnEnvelopeButIsNotDelivered();
    void deliveryCountComesFromTheHeaders_data();
    void deliveryCountComesFromTheHeaders();

    void settlingGoesToTheMailbox();
    void copiesSettleTheSameDelivery();
    void settlingANewMessageWarns();
    void settlingAReturnedMessageWarns();
    void noAckDeliveryIsPassedOn();
    void messageMayBeDestroyedWhileItIsSettled();
    void equalityComparesTheEnvelope();
    void debugOutputHasNoBody();
};

void tst_MessageEnvelope::envelopeIsEmptyInANewMessage()
{
    const Message message("body"_ba);
    QVERIFY(!message.isDelivered());
    QCOMPARE(message.exchange(), QString());
    QCOMPARE(message.routingKey(), QString());
    QCOMPARE(message.consumerTag(), QString());
    QCOMPARE(message.channelNumber(), 0);
    QCOMPARE(message.deliveryTag(), quint64(0));
    QVERIFY(!message.isRedelivered());
    QCOMPARE(message.deliveryCount(), 0);
    QCOMPARE(MessageAccess::origin(message), nullptr);
}

void tst_MessageEnvelope::envelopeIsReadFromTheDelivery()
{
    const Message message = delivered("body"_ba, encoded(Message()), anOrigin(), quint64(1) << 63, true);
    QVERIFY(message.isDelivered());
    QCOMPARE(message.exchange(), u"amq.topic"_s);
    QCOMPARE(message.routingKey(), u"stock.nyse"_s);
    QCOMPARE(message.consumerTag(), u"consumer-1"_s);
    QCOMPARE(message.channelNumber(), 7);
    QCOMPARE(message.deliveryTag(), quint64(1) << 63);
    QVERIFY(message.isRedelivered());
    QCOMPARE(MessageAccess::origin(message)->incarnation, quint64(3));
    // Shared, not copied.
    QCOMPARE(message.exchange().constData(), MessageAccess::origin(message)->exchange.constData());
}

void tst_MessageEnvelope::settersKeepTheEnvelope()
{
    const Message original = delivered("body"_ba, encoded(Message()), anOrigin(), 5, true);
    Message changed = original;
    changed.setBody("other"_ba);
    changed.setType(u"t"_s);
    changed.setHeader(u"h"_s, 1);
    QVERIFY(changed.isDelivered());
    QCOMPARE(changed.exchange(), u"amq.topic"_s);
    QCOMPARE(changed.routingKey(), u"stock.nyse"_s);
    QCOMPARE(changed.deliveryTag(), quint64(5));
    QVERIFY(changed.isRedelivered());
    QCOMPARE(MessageAccess::origin(changed), MessageAccess::origin(original));
    QCOMPARE(original.body(), "body"_ba);
    QCOMPARE(original.type(), QString());
    QVERIFY(original.headers().isEmpty());
}

void tst_MessageEnvelope::returnedMessageHasAnEnvelopeButIsNotDelivered()
{
    const Message returned = delivered("body"_ba, encoded(Message()), anOrigin(), 0);
    QVERIFY(!returned.isDelivered());
    QCOMPARE(returned.exchange(), u"amq.topic"_s);
    QCOMPARE(returned.routingKey(), u"stock.nyse"_s);
}

void tst_MessageEnvelope::deliveryCountComesFromTheHeaders_data()
{
    QTest::addColumn<FieldTable>("headers");
    QTest::addColumn<int>("count");
    const auto deaths = [](const QVariantList &counts, const QString &reason = u"rejected"_s) {
        QVariantList list;
        for (const QVariant &count : counts)
            list << QVariantMap{{u"queue"_s, u"q"_s}, {u"reason"_s, reason}, {u"count"_s, count}};
        return list;
    };
    QTest::newRow("none") << FieldTable{{u"other"_s, 3}} << 0;
    QTest::newRow("counted") << FieldTable{{u"x-delivery-count"_s, 3LL}} << 3;
    QTest::newRow("counted as int") << FieldTable{{u"x-delivery-count"_s, 4}} << 4;
    QTest::newRow("counted as 0") << FieldTable{{u"x-delivery-count"_s, 0LL}} << 0;
    QTest::newRow("counted and dead") << FieldTable{{u"x-delivery-count"_s, 2LL}, {u"x-death"_s, deaths({9LL})}} << 2;
    QTest::newRow("dead once") << FieldTable{{u"x-death"_s, deaths({1LL})}} << 1;
    QTest::newRow("rejected from two queues") << FieldTable{{u"x-death"_s, deaths({4LL, 3LL})}} << 7;
    QTest::newRow("rejected, and waited elsewhere")
        << FieldTable{{u"x-death"_s, deaths({4LL}, u"expired"_s) + deaths({4LL}, u"rejected"_s)}} << 4;
    QTest::newRow("never rejected, expired") << FieldTable{{u"x-death"_s, deaths({2LL, 3LL}, u"expired"_s)}} << 5;
    QTest::newRow("negative") << FieldTable{{u"x-delivery-count"_s, -3LL}} << 0;
    QTest::newRow("text") << FieldTable{{u"x-delivery-count"_s, u"3"_s}} << 0;
    QTest::newRow("huge") << FieldTable{{u"x-delivery-count"_s, std::numeric_limits<qlonglong>::max()}}
                          << std::numeric_limits<int>::max();
    const auto largest = QVariant(std::numeric_limits<qlonglong>::max());
    QTest::newRow("huge sum") << FieldTable{{u"x-death"_s, deaths({largest, largest, largest})}}
                              << std::numeric_limits<int>::max();
    QTest::newRow("deaths that are no tables") << FieldTable{{u"x-death"_s, QVariantList{1, u"count"_s}}} << 0;
    QTest::newRow("death that is no list") << FieldTable{{u"x-death"_s, 5}} << 0;
}

void tst_MessageEnvelope::deliveryCountComesFromTheHeaders()
{
    QFETCH(const FieldTable, headers);
    QFETCH(const int, count);
    QCOMPARE(sent(withHeaders(headers)).deliveryCount(), count);
}

void tst_MessageEnvelope::settlingGoesToTheMailbox()
{
    RecordingTarget target;
    DeliveryOrigin origin = anOrigin();
    origin.mailbox = std::make_shared<Mailbox>(&target);
    const Message message = delivered("body"_ba, encoded(Message()), origin, 42);
    message.ack();
    message.nack();
    message.nack(Requeue::No);

    using Kind = Settlement::Kind;
    const auto settlement = [](Kind kind) {
        return Settlement{.incarnation = 3, .deliveryTag = 42, .channelNumber = 7, .kind = kind};
    };
    QVERIFY((target.settled ==
             std::vector{settlement(Kind::Ack), settlement(Kind::NackRequeue), settlement(Kind::NackDiscard)}));
}

void tst_MessageEnvelope::copiesSettleTheSameDelivery()
{
    RecordingTarget target;
    DeliveryOrigin origin = anOrigin();
    origin.mailbox = std::make_shared<Mailbox>(&target);
    const Message message = delivered("body"_ba, encoded(Message()), origin, 42);
    Message changed = message;
    changed.setBody("other"_ba);
    message.ack();
    changed.ack();
    QCOMPARE(target.settled.size(), size_t(2));
    QVERIFY(target.settled[0] == target.settled[1]);
}

void tst_MessageEnvelope::settlingANewMessageWarns()
{
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"not delivered by a broker"_s));
    Message("body"_ba).ack();
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"not delivered by a broker"_s));
    Message().nack();
}

void tst_MessageEnvelope::settlingAReturnedMessageWarns()
{
    RecordingTarget target;
    DeliveryOrigin origin = anOrigin();
    origin.mailbox = std::make_shared<Mailbox>(&target);
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"not delivered by a broker"_s));
    delivered("body"_ba, encoded(Message()), origin, 0).ack();
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"not delivered by a broker"_s));
    delivered("body"_ba, encoded(Message()), anOrigin(), 1).ack(); // has no mailbox
    QVERIFY(target.settled.empty());
}

void tst_MessageEnvelope::noAckDeliveryIsPassedOn()
{
    RecordingTarget target;
    DeliveryOrigin origin = anOrigin();
    origin.noAck = true;
    origin.mailbox = std::make_shared<Mailbox>(&target);
    delivered("body"_ba, encoded(Message()), origin).nack();
    QCOMPARE(target.settled.size(), size_t(1));
    QVERIFY(target.settled.front().noAck); // the connection reports it
}

void tst_MessageEnvelope::messageMayBeDestroyedWhileItIsSettled()
{
    struct Destroyer final : SettlementTarget {
        void settleNow(const Settlement &) override { message.reset(); }
        bool isUnsettled(const Settlement &) const override { return true; }
        void wakeForSettlements() override {}
        std::optional<Message> message;
    } target;
    DeliveryOrigin origin = anOrigin();
    origin.mailbox = std::make_shared<Mailbox>(&target);
    target.message = delivered("body"_ba, encoded(Message()), origin);
    origin.mailbox.reset(); // the message has the last reference
    target.message->ack();
    QVERIFY(!target.message);
}

void tst_MessageEnvelope::equalityComparesTheEnvelope()
{
    const QByteArray properties = encoded(Message());
    const Message original = delivered("body"_ba, properties);
    QCOMPARE(delivered("body"_ba, properties), original); // equal origins that are not identical
    QVERIFY(Message("body"_ba) != original);
    QVERIFY(delivered("body"_ba, properties, anOrigin(), 43) != original);
    QVERIFY(delivered("body"_ba, properties, anOrigin(), 42, true) != original);

    const auto other = [&](auto change) {
        DeliveryOrigin origin = anOrigin();
        change(origin);
        return delivered("body"_ba, properties, origin);
    };
    QVERIFY(other([](DeliveryOrigin &o) { o.exchange = u"other"_s; }) != original);
    QVERIFY(other([](DeliveryOrigin &o) { o.routingKey = u"other"_s; }) != original);
    QVERIFY(other([](DeliveryOrigin &o) { o.consumerTag = u"other"_s; }) != original);
    QVERIFY(other([](DeliveryOrigin &o) { o.incarnation = 4; }) != original);
    QVERIFY(other([](DeliveryOrigin &o) { o.channelNumber = 8; }) != original);
    QVERIFY(other([](DeliveryOrigin &o) { o.mailbox = std::make_shared<Mailbox>(nullptr); }) != original);
}

void tst_MessageEnvelope::debugOutputHasNoBody()
{
    Message message = delivered("secret"_ba, encoded(Message()), anOrigin(), 42, true);
    message.setHeader(u"token"_s, u"hidden"_s);
    message.setContentType(u"text/plain\nforged"_s);
    QString text;
    QDebug(&text) << message;
    QVERIFY(!text.contains(u"secret"_s));
    QVERIFY(!text.contains(u"hidden"_s));
    QVERIFY(!text.contains(u'\n'));
    QVERIFY(text.contains(u"6 bytes"_s));
    QVERIFY(text.contains(u"stock.nyse"_s));
    QVERIFY(text.contains(u"deliveryTag 42, redelivered"_s));

    QString empty;
    QDebug(&empty) << Message();
    QCOMPARE(empty.trimmed(), u"AmqpQt::Message(0 bytes)"_s);
}

QTEST_APPLESS_MAIN(tst_MessageEnvelope)
#include "tst_messageenvelope.moc"
