// SPDX-License-Identifier: MIT
#include "engine/buffers/deliverytemplate_p.h"
#include "engine/subscribed.h"

#include <QtCore/qregularexpression.h>
#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

// Deliveries that are recognised by comparison with the previous delivery must give the same result as others.
class tst_RepeatedDeliveries : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void theNextOneIsRecognised();
    void consumersThatTakeTurnsAreRecognised();
    void aDifferentDeliveryIsDecodedCompletely_data();
    void aDifferentDeliveryIsDecodedCompletely();
    void everyByteCountsButTagBitAndBody();
    void itMayComeInPieces();
    void anEndlessFrameIsAFault();
    void aTagThatDoesNotGrowIsAFault();
    void aBodyOverTheLimitEndsItsConsumer();
    void aBodyOverFrameMaxIsAFault();
    void itIsCountedAsUnacked();
    void deliveriesAfterCancelAreReturned();
    void deliveriesLongAfterTheEndOfTheirConsumerAreReturned();
    void aConsumerOfTheSameNameGetsItsOwn();
    void aReopenedChannelStartsWithoutOldState();
    void redeliveredMessagesAreNotReported();
    void eventsBeforeItComeFirst();
    void aContentBetweenIsAFault();
};

namespace
{

const Content Usual{.body = "body"};

struct AfterADelivery : Subscribed {
    explicit AfterADelivery(const Engine::Settings &usedSettings = defaultSettings(), const Offer &offer = {})
        : Subscribed(usedSettings, offer)
    {
        deliver("tag", 1, Usual).expectEvent<Engine::Delivered>();
    }
};

} // namespace

void tst_RepeatedDeliveries::theNextOneIsRecognised()
{
    AfterADelivery s;
    QCOMPARE(s.repeatedCount(), 0);
    const QByteArray bodies[] = {"x", "body", QByteArray(2'000, 'l')};
    quint64 tag = 1;
    for (const QByteArray &body : bodies) {
        ++tag;
        s.deliver("tag", tag, {.body = body, .redelivered = tag % 2 == 0});
        const auto delivered = s.takeEvent<Engine::Delivered>();
        QCOMPARE(delivered.consumer, s.consumer.get());
        QCOMPARE(delivered.message.deliveryTag, tag);
        QCOMPARE(delivered.message.redelivered, tag % 2 == 0);
        QCOMPARE(delivered.message.body, body);
        QCOMPARE(delivered.message.exchange, QByteArrayView("exchange"));
    }
    QCOMPARE(s.repeatedCount(), 3);
}

void tst_RepeatedDeliveries::consumersThatTakeTurnsAreRecognised()
{
    Script s;
    s.open();
    Engine::ChannelEngine &first = s.openChannel();
    Engine::ChannelEngine &second = s.openChannel();
    struct {
        std::shared_ptr<Engine::ConsumerEntry> consumer;
        quint16 channel;
        Content content;
    } const turns[] = {
        {s.subscribe(first, u"tag"_s), 1, {.body = "one", .routingKey = "a"}},
        {s.subscribe(first, u"two"_s), 1, {.body = "two", .routingKey = "bcd"}},
        {s.subscribe(second, u"tag"_s), 2, Usual},
    };
    for (quint64 round = 1; round <= 3; ++round) {
        quint64 position = 0;
        for (const auto &turn : turns) {
            const quint64 tag = 10 * round + position++;
            s.brokerBytes(deliverFrames(turn.consumer->tag, tag, turn.content, turn.channel));
            const auto delivered = s.takeEvent<Engine::Delivered>();
            QCOMPARE(delivered.consumer, turn.consumer.get());
            QCOMPARE(delivered.message.deliveryTag, tag);
            QCOMPARE(delivered.message.routingKey, QByteArrayView(turn.content.routingKey));
            QCOMPARE(delivered.message.body, turn.content.body);
        }
    }
    QCOMPARE(s.repeatedCount(), 6);
    for (const auto &turn : turns)
        QCOMPARE(turn.consumer->unacked, 3);
}

void tst_RepeatedDeliveries::aDifferentDeliveryIsDecodedCompletely_data()
{
    QTest::addColumn<QByteArray>("frames");
    QTest::addColumn<QByteArray>("body");
    const QByteArray properties = Wire::encodeProperties({.flags = Wire::PriorityFlag, .priority = 1});
    const auto deliver = [](const QByteArray &tag, const Content &content, quint16 channel = 1) {
        return deliverFrames(tag, 2, content, channel);
    };
    QTest::newRow("exchange") << deliver("tag", {.body = "b", .exchange = "other"}) << "b"_ba;
    QTest::newRow("exchange of the same length") << deliver("tag", {.body = "b", .exchange = "exchangf"}) << "b"_ba;
    QTest::newRow("routing key") << deliver("tag", {.body = "b", .routingKey = "kez"}) << "b"_ba;
    QTest::newRow("properties") << deliver("tag", {.body = "b", .properties = properties}) << "b"_ba;
    QTest::newRow("consumer") << deliver("two", Usual) << "body"_ba;
    QTest::newRow("channel") << deliver("tag", Usual, 2) << "body"_ba;
    QTest::newRow("no body") << deliver("tag", {}) << QByteArray();
    const QByteArray method = Wire::encodeFrame(
        1, Wire::BasicDeliver{.consumerTag = "tag", .deliveryTag = 2, .exchange = "exchange", .routingKey = "key"});
    QTest::newRow("two body frames") << method + headerFrame(1, 4) + encodeFrame(Wire::FrameType::Body, 1, "bo") +
                                            encodeFrame(Wire::FrameType::Body, 1, "dy")
                                     << "body"_ba;
    QTest::newRow("an empty body frame") << method + headerFrame(1, 1) + encodeFrame(Wire::FrameType::Body, 1, {}) +
                                                encodeFrame(Wire::FrameType::Body, 1, "b")
                                         << "b"_ba;
    QTest::newRow("a heartbeat between") << method + headerFrame(1, 1) +
                                                encodeFrame(Wire::FrameType::Heartbeat, 0, {}) +
                                                encodeFrame(Wire::FrameType::Body, 1, "b")
                                         << "b"_ba;
}

void tst_RepeatedDeliveries::aDifferentDeliveryIsDecodedCompletely()
{
    QFETCH(const QByteArray, frames);
    QFETCH(const QByteArray, body);
    Script s;
    s.open();
    Engine::ChannelEngine &first = s.openChannel();
    Engine::ChannelEngine &second = s.openChannel();
    s.subscribe(first, u"tag"_s);
    s.subscribe(first, u"two"_s);
    s.subscribe(second, u"tag"_s);
    s.deliver("tag", 1, Usual).expectEvent<Engine::Delivered>();
    s.brokerBytes(frames);
    const auto delivered = s.takeEvent<Engine::Delivered>();
    const QByteArray exchange = delivered.message.exchange.toByteArray();
    const QByteArray routingKey = delivered.message.routingKey.toByteArray();
    QCOMPARE(delivered.message.body, body);
    QCOMPARE(s.repeatedCount(), 0);
    // Later deliveries are like this one.
    s.brokerBytes(
        QByteArray(frames).replace(QByteArray::fromHex("0000000000000002"), QByteArray::fromHex("0000000000000003")));
    const auto next = s.takeEvent<Engine::Delivered>();
    QCOMPARE(next.consumer, delivered.consumer);
    QCOMPARE(next.message.deliveryTag, quint64(3));
    QCOMPARE(next.message.exchange, QByteArrayView(exchange));
    QCOMPARE(next.message.routingKey, QByteArrayView(routingKey));
    QCOMPARE(next.message.properties, delivered.message.properties);
    QCOMPARE(next.message.body, body);
}

void tst_RepeatedDeliveries::everyByteCountsButTagBitAndBody()
{
    for (qsizetype tagSize = 1; tagSize <= 16; ++tagSize) { // frame sizes with every remainder modulo the word size
        const QByteArray before = deliverFrames(QByteArray(tagSize, 't'), 1, Usual);
        const qsizetype body = before.size() - Usual.body.size() - 1;
        const qsizetype bodyFrame = body - Wire::FrameHeaderSize;
        const qsizetype header = bodyFrame - headerFrame(1, 4).size();
        const qsizetype deliveryTag = Wire::FrameHeaderSize + 4 + 1 + tagSize;
        Engine::DeliveryTemplate pattern;
        pattern.method(QByteArrayView(before).first(header));
        pattern.header(QByteArrayView(before).sliced(header, bodyFrame - header));
        pattern.delivered();
        Engine::RepeatedDelivery delivery;
        QCOMPARE(pattern.match(before, delivery), before.size());
        for (qsizetype at = 0; at < before.size(); ++at) {
            const bool mayDiffer =
                (at >= deliveryTag && at < deliveryTag + 8 + 1) || (at >= body && at < before.size() - 1);
            for (int bit = 0; bit < 8; ++bit) {
                QByteArray other = before;
                other[at] = char(other[at] ^ (1 << bit));
                QCOMPARE(pattern.match(other, delivery), mayDiffer ? before.size() : 0);
            }
        }
    }
}

void tst_RepeatedDeliveries::itMayComeInPieces()
{
    const QByteArray frames = deliverFrames("tag", 2, Usual);
    for (qsizetype size = 1; size < frames.size(); ++size) {
        AfterADelivery s;
        s.brokerBytes(frames.first(size)).expectNoEvent().brokerBytes(frames.sliced(size));
        QCOMPARE(s.takeEvent<Engine::Delivered>().message.body, "body");
        s.deliver("tag", 3, Usual).expectEvent<Engine::Delivered>().expectNoEvent();
    }
}

void tst_RepeatedDeliveries::anEndlessFrameIsAFault()
{
    AfterADelivery s;
    QByteArray frames = deliverFrames("tag", 2, Usual);
    frames.back() = 'x';
    s.brokerBytes(frames);
    QCOMPARE(s.takeConnectionClosed().replyCode(), quint16(501));
}

void tst_RepeatedDeliveries::aTagThatDoesNotGrowIsAFault()
{
    AfterADelivery s;
    s.deliver("tag", 1, Usual);
    QCOMPARE(s.takeConnectionClosed().replyCode(), quint16(503));
}

void tst_RepeatedDeliveries::aBodyOverTheLimitEndsItsConsumer()
{
    Engine::Settings settings = Script::defaultSettings();
    settings.maximumMessageSize = 100;
    AfterADelivery s(settings);
    s.deliver("tag", 2, {.body = QByteArray(100, 'b')}).expectEvent<Engine::Delivered>();
    s.deliver("tag", 3, {.body = QByteArray(101, 'b')});
    s.expectEvent<Engine::ConsumerCancelled>(
        [](const Engine::ConsumerCancelled &event) { QCOMPARE(event.reason.kind(), ErrorKind::MessageTooLarge); });
    s.expectSent<Wire::BasicCancel>()
        .expectSent(Wire::BasicNack{.deliveryTag = 3, .requeue = true})
        .expectNothingSent();
}

void tst_RepeatedDeliveries::aBodyOverFrameMaxIsAFault()
{
    AfterADelivery s(Script::defaultSettings(), {.frameMax = 4096});
    s.deliver("tag", 2, {.body = QByteArray(4088, 'b')}).expectEvent<Engine::Delivered>(); // in one frame
    s.deliver("tag", 3, {.body = QByteArray(4089, 'b')});
    QCOMPARE(s.takeConnectionClosed().replyCode(), quint16(501));
}

void tst_RepeatedDeliveries::itIsCountedAsUnacked()
{
    AfterADelivery s;
    s.deliver("tag", 2, Usual).expectEvent<Engine::Delivered>();
    QCOMPARE(s.repeatedCount(), 1);
    QCOMPARE(s.consumer->unacked, 2);
    QVERIFY(s.channel->deliveries().ack(2).count);
    s.expectSent(Wire::BasicAck{.deliveryTag = 2});
    QVERIFY(s.channel->deliveries().ack(1).count);
    s.expectSent(Wire::BasicAck{.deliveryTag = 1});
    QVERIFY(!s.channel->deliveries().ack(2).count);
}

void tst_RepeatedDeliveries::deliveriesAfterCancelAreReturned()
{
    AfterADelivery s;
    s.channel->subscriptions().cancel(*s.consumer);
    s.expectSent<Wire::BasicCancel>().deliver("tag", 2, Usual).expectNoEvent();
    QCOMPARE(s.consumer->returned, 1);
    s.expectSent<Wire::BasicNack>([](const Wire::BasicNack &nack) { QVERIFY(nack.requeue && nack.deliveryTag == 2); });
}

void tst_RepeatedDeliveries::deliveriesLongAfterTheEndOfTheirConsumerAreReturned()
{
    AfterADelivery s;
    s.broker(Wire::BasicCancel{.consumerTag = "tag", .noWait = true}).expectEvent<Engine::ConsumerCancelled>();
    s.expectSent<Wire::BasicCancel>();
    for (int i = 0; i < 20; ++i) { // more consumers than are remembered
        const QByteArray tag = "tag" + QByteArray::number(i);
        s.subscribe(*s.channel, QString::fromLatin1(tag));
        s.broker(Wire::BasicCancel{.consumerTag = QByteArrayView(tag), .noWait = true})
            .expectEvent<Engine::ConsumerCancelled>();
        s.expectSent<Wire::BasicCancel>();
    }
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"unknown consumer tag \"tag\""_s));
    s.deliver("tag", 2, Usual).expectNoEvent();
    s.expectSent(Wire::BasicCancel{.consumerTag = "tag", .noWait = true}); // once
    s.expectSent(Wire::BasicNack{.deliveryTag = 2, .requeue = true});
    s.deliver("tag", 3, Usual).expectNoEvent().expectSent(Wire::BasicNack{.deliveryTag = 3, .requeue = true});
    s.expectNothingSent();
    QCOMPARE(s.repeatedCount(), 0);
    QVERIFY(s.engine.isOpen());
}

void tst_RepeatedDeliveries::aConsumerOfTheSameNameGetsItsOwn()
{
    AfterADelivery s;
    s.broker(Wire::BasicCancel{.consumerTag = "tag", .noWait = true}).expectEvent<Engine::ConsumerCancelled>();
    s.expectSent<Wire::BasicCancel>();
    const auto again = s.subscribe(*s.channel, u"tag"_s);
    s.deliver("tag", 2, Usual);
    QCOMPARE(s.takeEvent<Engine::Delivered>().consumer, again.get());
    QCOMPARE(again->unacked, 1);
    QCOMPARE(s.repeatedCount(), 0);
}

void tst_RepeatedDeliveries::aReopenedChannelStartsWithoutOldState()
{
    AfterADelivery s;
    s.broker(Wire::ChannelClose{.replyCode = 404, .replyText = "NOT_FOUND"}).expectSent<Wire::ChannelCloseOk>();
    s.expectEvent<Engine::ChannelClosed>();
    const auto opening = s.channel->open();
    s.expectSent<Wire::ChannelOpen>()
        .broker(Wire::ChannelOpenOk{})
        .expectReply(*opening)
        .expectEvent<Engine::ChannelOpened>();
    const auto again = s.subscribe(*s.channel, u"tag"_s);
    s.deliver("tag", 1, Usual);
    QCOMPARE(s.takeEvent<Engine::Delivered>().consumer, again.get());
    QCOMPARE(s.repeatedCount(), 0);
}

void tst_RepeatedDeliveries::redeliveredMessagesAreNotReported()
{
    AfterADelivery s;
    const auto recovering = s.channel->redeliverUnacked();
    s.expectSent<Wire::BasicRecover>().deliver("tag", 2, Usual).expectNoEvent();
    s.broker(Wire::BasicRecoverOk{}).expectReply(*recovering).deliver("tag", 3, Usual).expectEvent<Engine::Delivered>();
}

void tst_RepeatedDeliveries::eventsBeforeItComeFirst()
{
    AfterADelivery s;
    s.brokerBytes(Wire::encodeFrame(0, Wire::ConnectionBlocked{.reason = "low on memory"}) +
                  deliverFrames("tag", 2, Usual));
    QCOMPARE(s.takeEvents(), QStringList({u"BlockedChanged true"_s, u"Delivered 2"_s}));
}

void tst_RepeatedDeliveries::aContentBetweenIsAFault()
{
    AfterADelivery s;
    s.brokerBytes(
        Wire::encodeFrame(
            1, Wire::BasicReturn{.replyCode = 312, .replyText = "NO_ROUTE", .exchange = "e", .routingKey = "k"}) +
        headerFrame(1, 4) + deliverFrames("tag", 2, Usual));
    QCOMPARE(s.takeConnectionClosed().replyCode(), quint16(505));
}

QTEST_APPLESS_MAIN(tst_RepeatedDeliveries)
#include "tst_repeateddeliveries.moc"
