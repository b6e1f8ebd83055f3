// SPDX-License-Identifier: MIT
#include "engine/channelparts.h"

#include <QtCore/qregularexpression.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

using Engine::Delivered;

class tst_ContentReceiver : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void aDeliveryIsReportedToItsConsumer();
    void deliveriesThatNobodyWantsAreReturned_data();
    void deliveriesThatNobodyWantsAreReturned();
    void aLostDeliveryIsCounted();
    void aDeliveryForAnUnknownTagIsReturned();
    void aTagThatIsNotGreaterIsAViolation();
    void aMessageOverTheLimitEndsItsConsumer();
    void deliveriesAreDroppedWhileTheBrokerRequeues();
    void getOkAnswersItsCall_data();
    void getOkAnswersItsCall();
    void getEmptyAnswersItsCall();
    void theEndFailsTheCallOfAnUnfinishedGet();
    void aReturnGoesToThePublisher();
    void aRepeatedDeliveryIsRecognised();
};

namespace
{

const QByteArray NoProperties(2, '\0');

struct Receiving : ChannelParts {
    using ChannelParts::ChannelParts;

    // Passes on the frames of a content whose method has been passed on.
    bool receive(const QByteArray &body, Delivered &delivered)
    {
        contents.onHeader({.bodySize = quint64(body.size()), .properties = NoProperties},
                          headerFrame(channel.number(), quint64(body.size())));
        if (!contents.content().isSkipped() && !body.isEmpty())
            contents.content().append(body, body.size());
        return contents.complete(delivered);
    }
    // Returns whether the delivery is to be reported.
    bool deliver(const QByteArray &tag, quint64 deliveryTag, const QByteArray &body, Delivered &delivered)
    {
        const Wire::BasicDeliver method{.consumerTag = QByteArrayView(tag),
                                        .deliveryTag = deliveryTag,
                                        .redelivered = true,
                                        .exchange = "x",
                                        .routingKey = "key"};
        contents.on(method, Wire::encodeFrame(channel.number(), method));
        return receive(body, delivered);
    }
    bool deliver(const QByteArray &tag, quint64 deliveryTag, const QByteArray &body = "body")
    {
        Delivered ignored;
        return deliver(tag, deliveryTag, body, ignored);
    }
};

} // namespace

void tst_ContentReceiver::aDeliveryIsReportedToItsConsumer()
{
    Receiving t;
    const auto other = t.addConsumer("b");
    const auto consumer = t.addConsumer("a");
    Delivered delivered;
    QVERIFY(t.deliver("a", 7, "the body", delivered));
    QCOMPARE(delivered.consumer, consumer.get());
    QCOMPARE(delivered.message.exchange, QByteArrayView("x"));
    QCOMPARE(delivered.message.routingKey, QByteArrayView("key"));
    QCOMPARE(delivered.message.body, QByteArray("the body"));
    QCOMPARE(delivered.message.properties, NoProperties);
    QCOMPARE(delivered.message.deliveryTag, quint64(7));
    QVERIFY(delivered.message.redelivered);
    QVERIFY(t.deliveries.isUnsettled(7));
    QCOMPARE(consumer->unacked, 1);
    QCOMPARE(other->unacked, 0);
    QVERIFY(!t.contents.isReceiving());
    t.s.expectNothingSent().expectNoEvent();
}

void tst_ContentReceiver::deliveriesThatNobodyWantsAreReturned_data()
{
    QTest::addColumn<QString>("why");
    QTest::newRow("the consumer object is deleted") << u"deleted"_s;
    QTest::newRow("the consumer is being cancelled") << u"cancelled"_s;
    QTest::newRow("the channel waits for confirms before it closes") << u"closing"_s;
}

void tst_ContentReceiver::deliveriesThatNobodyWantsAreReturned()
{
    QFETCH(const QString, why);
    Receiving t;
    const auto consumer = t.addConsumer("a");
    if (why == u"deleted") {
        consumer->client = nullptr;
    } else if (why == u"cancelled") {
        consumer->cancelHeld = true;
    } else {
        const auto selecting = *t.channel.confirmSelect();
        t.s.expectSent<Wire::ConfirmSelect>().broker(Wire::ConfirmSelectOk{}).expectReply(selecting);
        t.channel.publish({}, u"q"_s, NoProperties, "unconfirmed", false);
        QVERIFY(t.channel.close());
        t.s.expectPublished("unconfirmed", "q").expectSent<Wire::BasicCancel>().expectNothingSent();
    }
    QVERIFY(!t.deliver("a", 1));
    QCOMPARE(consumer->returned, 1);
    QCOMPARE(consumer->unacked, 0);
    QVERIFY(!t.deliveries.isUnsettled(1));
    t.s.expectSent(Wire::BasicNack{.deliveryTag = 1, .requeue = true}).expectNothingSent();
}

void tst_ContentReceiver::aLostDeliveryIsCounted()
{
    Receiving t;
    const auto consumer = t.addConsumer("a", true);
    QVERIFY(t.deliver("a", 1));
    QVERIFY(t.deliver("a", 1)); // its tag does not matter
    consumer->client = nullptr;
    QVERIFY(!t.deliver("a", 2));
    QCOMPARE(consumer->lost, 1);
    QCOMPARE(consumer->returned, 0);
    t.s.expectNothingSent();
}

void tst_ContentReceiver::aDeliveryForAnUnknownTagIsReturned()
{
    Receiving t;
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"unknown consumer tag \"nobody\""_s));
    QVERIFY(!t.deliver("nobody", 1));
    t.s.expectSent(Wire::BasicCancel{.consumerTag = "nobody", .noWait = true});
    t.s.expectSent(Wire::BasicNack{.deliveryTag = 1, .requeue = true}).expectNothingSent();
}

void tst_ContentReceiver::aTagThatIsNotGreaterIsAViolation()
{
    Receiving t;
    t.addConsumer("a");
    QVERIFY(t.deliver("a", 2));
    QVERIFY(!t.deliver("a", 2));
    const Error reason = t.s.takeConnectionClosed();
    QCOMPARE(reason.kind(), ErrorKind::ProtocolViolation);
    QVERIFY2(reason.text().contains(u"delivery tag 2 on channel 1"_s), qPrintable(reason.text()));
}

void tst_ContentReceiver::aMessageOverTheLimitEndsItsConsumer()
{
    Engine::Settings settings = Script::defaultSettings();
    settings.maximumMessageSize = 10;
    Receiving t(settings);
    const auto consumer = t.addConsumer("a");
    QVERIFY(t.deliver("a", 1, "ten bytes!"));
    QVERIFY(!t.deliver("a", 2, "11 bytes..."));
    t.s.expectEvent<Engine::ConsumerCancelled>([&](const Engine::ConsumerCancelled &event) {
        QCOMPARE(event.consumer, consumer);
        QCOMPARE(event.reason.kind(), ErrorKind::MessageTooLarge);
        QVERIFY2(event.reason.text().contains(u"11 bytes"_s) && event.reason.text().contains(u"\"key\""_s),
                 qPrintable(event.reason.text()));
    });
    t.s.expectSent(Wire::BasicCancel{.consumerTag = "a"});
    t.s.expectSent(Wire::BasicNack{.deliveryTag = 2, .requeue = true}).expectNothingSent();
    QVERIFY(t.deliveries.isUnsettled(1));
}

void tst_ContentReceiver::deliveriesAreDroppedWhileTheBrokerRequeues()
{
    Receiving t;
    const auto consumer = t.addConsumer("a");
    const auto lossy = t.addConsumer("b", true);
    t.deliveries.recoverSent();
    QVERIFY(!t.deliver("a", 1)); // the broker sends it again
    QCOMPARE(consumer->returned, 0);
    QVERIFY(t.deliver("b", 2));
    t.deliveries.recoverDone(false);
    QVERIFY(t.deliver("a", 3));
    t.s.expectNothingSent();
}

void tst_ContentReceiver::getOkAnswersItsCall_data()
{
    QTest::addColumn<bool>("noAck");
    QTest::newRow("with acks") << false;
    QTest::newRow("without") << true;
}

void tst_ContentReceiver::getOkAnswersItsCall()
{
    QFETCH(const bool, noAck);
    Receiving t;
    Engine::ChannelCall call = Engine::ChannelCall::of(1'000'000, Wire::BasicGet{});
    call.noAck = noAck;
    t.calls.sent(call);
    t.contents.on(Wire::BasicGetOk{.deliveryTag = 4, .exchange = "x", .routingKey = "key", .messageCount = 9});
    Delivered ignored;
    QVERIFY(!t.receive("got", ignored));
    const auto got = t.s.takeReply<Engine::GotMessage>(call.id);
    QCOMPARE(got.message.body, QByteArray("got"));
    QCOMPARE(got.remaining, 9u);
    QCOMPARE(t.deliveries.isUnsettled(4), !noAck);
}

void tst_ContentReceiver::getEmptyAnswersItsCall()
{
    Receiving t;
    const Engine::ChannelCall call = Engine::ChannelCall::of(1'000'000, Wire::BasicGet{});
    t.calls.sent(call);
    t.contents.on(Wire::BasicGetEmpty{});
    t.s.takeReply<Engine::QueueEmpty>(call.id);
    QVERIFY(!t.contents.isReceiving());
    t.contents.on(Wire::BasicGetEmpty{}); // answers nothing
    QCOMPARE(t.s.takeConnectionClosed().kind(), ErrorKind::ProtocolViolation);
}

void tst_ContentReceiver::theEndFailsTheCallOfAnUnfinishedGet()
{
    Receiving t;
    const Engine::ChannelCall call = Engine::ChannelCall::of(1'000'000, Wire::BasicGet{});
    t.calls.sent(call);
    t.contents.on(Wire::BasicGetOk{.deliveryTag = 1});
    QVERIFY(t.contents.isReceiving());
    t.contents.end(Error(ErrorKind::Network, u"gone"_s));
    t.s.expectReply(call.id, ErrorKind::Network).expectNoEvent();
    QVERIFY(!t.contents.isReceiving());
}

void tst_ContentReceiver::aReturnGoesToThePublisher()
{
    Receiving t;
    t.contents.on(Wire::BasicReturn{.replyCode = 312, .replyText = "NO_ROUTE", .exchange = "x", .routingKey = "key"});
    Delivered ignored;
    QVERIFY(!t.receive("back", ignored));
    t.s.expectEvent<Engine::Returned>([](const Engine::Returned &event) {
        QCOMPARE(event.message.body, QByteArray("back"));
        QCOMPARE(event.message.exchange, QByteArray("x"));
        QCOMPARE(event.message.reason.replyCode(), 312);
        QVERIFY(event.message.reason.text().startsWith(u"NO_ROUTE"_s));
    });
}

void tst_ContentReceiver::aRepeatedDeliveryIsRecognised()
{
    Receiving t;
    const auto consumer = t.addConsumer("a");
    const auto frames = [&](quint64 deliveryTag, const QByteArray &body) {
        return deliverFrames("a", deliveryTag, {.body = body, .exchange = "x", .routingKey = "key"});
    };
    Engine::RepeatedDelivery repeated;
    QCOMPARE(t.contents.matchLast(frames(1, "1"), repeated), 0); // nothing came before
    QVERIFY(t.deliver("a", 1, "1"));
    const QByteArray next = frames(2, "two");
    QCOMPARE(t.contents.matchLast(next, repeated), next.size());
    QCOMPARE(repeated.consumer, consumer.get());
    QCOMPARE(repeated.deliveryTag, quint64(2));
    QCOMPARE(repeated.body, QByteArrayView("two"));
    QCOMPARE(t.contents.matchLast(deliverFrames("a", 3, {.exchange = "y", .routingKey = "key"}), repeated), 0);
    consumer->client = nullptr;
    QVERIFY(!t.contents.accept(*consumer, 2));
    t.s.expectSent(Wire::BasicNack{.deliveryTag = 2, .requeue = true});
}

QTEST_APPLESS_MAIN(tst_ContentReceiver)
#include "tst_contentreceiver.moc"
