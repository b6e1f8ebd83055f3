// SPDX-License-Identifier: MIT
#include "engine/subscribed.h"

#include <QtCore/qregularexpression.h>
#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

class tst_MessageLimit : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void aMessageOverTheLimitEndsItsConsumer_data();
    void aMessageOverTheLimitEndsItsConsumer();
    void aHeaderAboveTheLimitMayHaveNoBody();
    void aMessageAboveTheLimitSparesAConsumerBeingCancelled();
    void aMessageOverTheLimitIsNotDrained();
    void aConsumerIsCancelledBeforeHeldPublishes();
    void aGetOverTheLimitEndsWithAnError_data();
    void aGetOverTheLimitEndsWithAnError();
    void aReturnedMessageMayBeLargerThanADelivery();
    void aMessageOverTheLimitOnAClosingChannelIsSkipped();
    void aMessageOfTheLimitArrives();
};

void tst_MessageLimit::aMessageOverTheLimitEndsItsConsumer_data()
{
    QTest::addColumn<AckMode>("ackMode");
    QTest::addColumn<bool>("isHeaderTooLarge"); // otherwise the body is too large
    for (const AckMode ackMode : {AckMode::Manual, AckMode::NoAck}) {
        const char *name = ackMode == AckMode::Manual ? "acked" : "no-ack";
        QTest::addRow("body, %s", name) << ackMode << false;
        QTest::addRow("header, %s", name) << ackMode << true;
    }
}

void tst_MessageLimit::aMessageOverTheLimitEndsItsConsumer()
{
    QFETCH(AckMode, ackMode);
    QFETCH(bool, isHeaderTooLarge);
    Script s;
    s.settings.maximumMessageSize = 1000;
    s.open();
    auto &channel = s.openChannel();
    const auto consumer = s.subscribe(channel, u"tag"_s, {.ackMode = ackMode});
    const auto other = s.subscribe(channel, u"other"_s);
    const auto pending = *channel.topology().purgeQueue(u"q"_s);
    s.expectSent<Wire::QueuePurge>();
    s.deliver("tag", 1, {.body = "before"}).expectEvent<Engine::Delivered>();

    const QByteArray body = pattern(isHeaderTooLarge ? 1000 : 1001);
    const QByteArray header = headerFrame(1, quint64(body.size()),
                                          isHeaderTooLarge ? QByteArray(1024 * 1024 - 11, '\0') : QByteArray(2, '\0'));
    const QByteArray method =
        Wire::encodeFrame(1, Wire::BasicDeliver{.consumerTag = "tag", .deliveryTag = 2, .routingKey = "key"});
    const qsizetype beginning = isHeaderTooLarge ? 19 : header.size(); // up to the body size is enough
    s.brokerBytes(method + header.first(beginning));
    Error reason;
    s.expectSent(Wire::BasicCancel{.consumerTag = "tag"}).expectNothingSent();
    s.expectEvent<Engine::ConsumerCancelled>([&](const Engine::ConsumerCancelled &cancelled) {
        QCOMPARE(cancelled.consumer, consumer);
        reason = cancelled.reason;
    });
    QCOMPARE(reason.kind(), ErrorKind::MessageTooLarge);
    QCOMPARE(reason.replyCode(), quint16(311));
    const QString size = isHeaderTooLarge ? u"1048577"_s : u"1001"_s;
    for (const QString &detail : {size, u"\"key\""_s, isHeaderTooLarge ? u"1048576"_s : u"1000"_s})
        QVERIFY2(reason.text().contains(detail), qPrintable(reason.text()));

    // The rest of the body is skipped, and the delivery is returned when it is complete.
    s.brokerBytes(header.sliced(beginning) + encodeFrame(Wire::FrameType::Body, 1, body.first(500)))
        .expectNothingSent();
    s.brokerBytes(encodeFrame(Wire::FrameType::Body, 1, body.sliced(500))).expectNoEvent();
    if (ackMode != AckMode::NoAck)
        s.expectSent(Wire::BasicNack{.deliveryTag = 2, .requeue = true});
    s.expectNothingSent();
    QCOMPARE(consumer->lost, ackMode == AckMode::NoAck ? 1 : 0);
    // The channel and its other consumer continue, and earlier deliveries can still be settled.
    s.deliver("other", 3, {.body = "small"});
    s.expectEvent<Engine::Delivered>([&](const Engine::Delivered &delivered) {
        QCOMPARE(delivered.consumer, other.get());
        QCOMPARE(delivered.message.body, "small");
    });
    s.broker(Wire::QueuePurgeOk{}).expectReply(pending);
    s.broker(Wire::BasicCancelOk{.consumerTag = "tag"});
    QCOMPARE(s.takeEvents().size(), 1); // the reply to basic.cancel
    if (ackMode != AckMode::NoAck) {
        QVERIFY(channel.deliveries().ack(1).count);
        s.expectSent(Wire::BasicAck{.deliveryTag = 1});
    }
    s.expectNothingSent();
    QVERIFY(s.engine.isOpen());
}

void tst_MessageLimit::aHeaderAboveTheLimitMayHaveNoBody()
{
    Subscribed s;
    s.brokerBytes(Wire::encodeFrame(1, Wire::BasicDeliver{.consumerTag = "tag", .deliveryTag = 1}) +
                  headerFrame(1, 0, QByteArray(2 * 1024 * 1024, '\0')));
    s.expectSent<Wire::BasicCancel>()
        .expectSent(Wire::BasicNack{.deliveryTag = 1, .requeue = true})
        .expectNothingSent();
    s.expectEvent<Engine::ConsumerCancelled>().expectNoEvent();
    s.broker(Wire::BasicCancelOk{.consumerTag = "tag"}).takeEvents();
    s.subscribe(*s.channel, u"tag"_s); // the frames are still in sync
}

void tst_MessageLimit::aMessageAboveTheLimitSparesAConsumerBeingCancelled()
{
    Script s;
    s.settings.maximumMessageSize = 10;
    s.open();
    auto &channel = s.openChannel();
    s.subscribe(channel, u"a"_s);
    const auto leaving = s.subscribe(channel, u"c"_s);
    const auto leavingCall = channel.subscriptions().cancel(*leaving);
    s.expectSent<Wire::BasicCancel>();
    s.deliver("c", 1, {.body = pattern(11)}).expectSent(Wire::BasicNack{.deliveryTag = 1, .requeue = true});
    s.expectNoEvent().expectNothingSent();
    s.broker(Wire::BasicCancelOk{.consumerTag = "c"});
    QCOMPARE(s.takeReply<Engine::CancelResult>(leavingCall).returned, 1);
    s.deliver("a", 2, {.body = "small"}).expectEvent<Engine::Delivered>();
}

void tst_MessageLimit::aMessageOverTheLimitIsNotDrained()
{
    Script s;
    s.settings.maximumMessageSize = 10;
    s.open();
    auto &channel = s.openChannel();
    const auto leaving = s.subscribe(channel, u"tag"_s);
    channel.subscriptions().drain(*leaving);
    s.expectSent<Wire::BasicCancel>();
    s.deliver("tag", 1, {.body = pattern(11)})
        .expectSent(Wire::BasicNack{.deliveryTag = 1, .requeue = true})
        .expectNoEvent();
    s.deliver("tag", 2, {.body = "small"}).expectEvent<Engine::Delivered>().expectNothingSent();
}

// Held publishes may wait for a long time, and until then the broker would deliver the message again and again.
void tst_MessageLimit::aConsumerIsCancelledBeforeHeldPublishes()
{
    Script s;
    s.settings.maximumMessageSize = 10;
    s.open();
    auto &channel = s.openChannel();
    s.subscribe(channel, u"tag"_s);
    s.broker(Wire::ConnectionBlocked{.reason = "low on memory"}).expectEvent<Engine::BlockedChanged>();
    QVERIFY(channel.publish(u""_s, u"q"_s, QByteArray(2, '\0'), "held", false));
    s.expectNothingSent();
    s.deliver("tag", 1, {.body = pattern(11)});
    s.expectSent<Wire::BasicCancel>()
        .expectSent(Wire::BasicNack{.deliveryTag = 1, .requeue = true})
        .expectNothingSent();
}

void tst_MessageLimit::aGetOverTheLimitEndsWithAnError_data()
{
    QTest::addColumn<bool>("noAck");
    QTest::newRow("acked") << false;
    QTest::newRow("no-ack") << true;
}

void tst_MessageLimit::aGetOverTheLimitEndsWithAnError()
{
    QFETCH(bool, noAck);
    Script s;
    s.settings.maximumMessageSize = 10;
    s.open();
    auto &channel = s.openChannel();
    const auto getting = *channel.get(u"q"_s, noAck);
    s.expectSent<Wire::BasicGet>().getOk(1, {.body = pattern(11)});
    if (!noAck)
        s.expectSent(Wire::BasicNack{.deliveryTag = 1, .requeue = true});
    s.expectNothingSent().expectReply(getting, ErrorKind::MessageTooLarge).expectNoEvent();
    const auto again = *channel.get(u"q"_s, noAck);
    s.expectSent<Wire::BasicGet>().getOk(2, {.body = pattern(10)});
    QCOMPARE(s.takeReply<Engine::GotMessage>(again).message.body, pattern(10));
}

void tst_MessageLimit::aReturnedMessageMayBeLargerThanADelivery()
{
    Engine::Settings settings = Script::defaultSettings();
    settings.maximumMessageSize = 10;
    settings.bufferLimit = 1000;
    Subscribed s(settings);
    const auto sendBack = [&](qsizetype size) {
        s.broker(Wire::BasicReturn{.replyCode = 312, .replyText = "NO_ROUTE", .exchange = "e", .routingKey = "k"});
        s.brokerBytes(contentFrames(1, {.body = pattern(size)}));
    };
    sendBack(1000);
    QCOMPARE(s.takeEvent<Engine::Returned>().message.body, pattern(1000));
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"returned message was dropped.*1001 bytes"_s));
    sendBack(1001); // the client cannot have published this message
    s.expectNoEvent();
    s.deliver("tag", 1, {.body = "small"}).expectEvent<Engine::Delivered>();
}

void tst_MessageLimit::aMessageOverTheLimitOnAClosingChannelIsSkipped()
{
    Script s;
    s.settings.maximumMessageSize = 10;
    s.open();
    auto &channel = s.openChannel();
    s.subscribe(channel, u"tag"_s);
    const auto closing = *channel.close();
    s.expectSent<Wire::BasicCancel>().expectSent<Wire::ChannelClose>();
    s.deliver("tag", 1, {.body = pattern(11)}).deliver("tag", 2, {.body = pattern(11)}).expectNothingSent();
    s.broker(Wire::ChannelCloseOk{});
    const QStringList events = s.takeEvents();
    QVERIFY2(events.contains(u"ReplyArrived %1"_s.arg(closing)), qPrintable(events.join(u", "_s)));
    QCOMPARE(events.last(), u"ChannelClosed 1"_s);
    s.openChannel(1);
}

void tst_MessageLimit::aMessageOfTheLimitArrives()
{
    Script s;
    s.settings.maximumMessageSize = 1000;
    s.open();
    s.subscribe(s.openChannel(), u"tag"_s);
    s.deliver("tag", 1, {.body = pattern(1000)}).expectEvent<Engine::Delivered>().expectNothingSent();
}

QTEST_GUILESS_MAIN(tst_MessageLimit)
#include "tst_messagelimit.moc"
