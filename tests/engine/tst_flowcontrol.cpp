// SPDX-License-Identifier: MIT
#include "support/script.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

class tst_FlowControl : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void blockedHoldsPublishesOnly();
    void blockedIsReportedOncePerChange();
    void acksAndHeartbeatsFlowWhileBlocked();
    void callsBehindAHeldPublishKeepTheirPlace();
    void aCancelDoesNotWaitBehindAHeldPublish();
    void callsWithoutAPublishBeforeThemAreNotHeld();
    void eachChannelGoesOnInItsOrderAfterUnblocked();
    void closeFollowsHeldOperations();
    void channelFlowHoldsItsOwnChannel();
    void channelFlowIsAnsweredAlways();
    void flowedAndBlockedBothHaveToEnd();
    void aFlowedChannelThatIsClosedGoesOnWithTheFlow();
    void flowEndsWithTheChannel();
    void flowBeforeOpenOkIsAFault();
    void watermarksHaveHysteresis();
    void heldBytesCountForTheWatermarks();
    void bytesMovedToTheSocketCrossNoWatermark();
    void aLostConnectionIsWritableAgain_data();
    void aLostConnectionIsWritableAgain();
    void publishFailsAboveTheBufferLimit();
    void aMessageAboveTheBufferLimitIsAlwaysRejected();
    void messagesPublishedBeforeOpenCount();
    void aFullChunkAsksToBeWritten();
    void unwrittenOutputIsOfferedAgainAfterAsMuchMoreOutput();
    void namesOfPublishedMessagesAreEncodedOneByOne();
    void repeatedPublishesAreCheckedAndHeldLikeTheFirst();
    void aBacklogIsReportedOncePerEpisode();
    void aBacklogIsComparedWithWholeFrames();
    void aBacklogIsComparedWithFramesOfAllKinds();
    void blockedForTooLongEndsTheConnection();
};

namespace
{

const QByteArray noProperties(2, '\0');

QByteArray bodyOf(qsizetype size)
{
    return QByteArray(size, 'b');
}

quint64 publish(Engine::ChannelEngine &channel, const QByteArray &body)
{
    const Engine::Published sequence = channel.publish({}, u"key"_s, noProperties, body, false);
    return sequence ? *sequence : 0;
}

} // namespace

void tst_FlowControl::blockedHoldsPublishesOnly()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    QVERIFY(!s.engine.flow().isBlocked());
    s.broker(Wire::ConnectionBlocked{.reason = "low on disk"});
    QVERIFY(s.engine.flow().isBlocked());
    s.expectEvent<Engine::BlockedChanged>([](const Engine::BlockedChanged &changed) {
        QVERIFY(changed.blocked);
        QCOMPARE(changed.reason, u"low on disk"_s);
    });
    QCOMPARE(publish(channel, "one"), quint64(1));
    QCOMPARE(publish(channel, "two"), quint64(2));
    s.expectNothingSent();
    s.broker(Wire::ConnectionUnblocked{});
    QVERIFY(!s.engine.flow().isBlocked());
    s.expectEvent<Engine::BlockedChanged>([](const Engine::BlockedChanged &changed) { QVERIFY(!changed.blocked); });
    s.expectPublished("one", "key").expectPublished("two", "key").expectNothingSent().expectNoEvent();
}

void tst_FlowControl::blockedIsReportedOncePerChange()
{
    Script s;
    s.open();
    s.broker(Wire::ConnectionUnblocked{}).expectNoEvent();
    s.broker(Wire::ConnectionBlocked{}).broker(Wire::ConnectionBlocked{}).expectEvent<Engine::BlockedChanged>();
    s.expectNoEvent().broker(Wire::ConnectionUnblocked{}).expectEvent<Engine::BlockedChanged>().expectNoEvent();
}

void tst_FlowControl::acksAndHeartbeatsFlowWhileBlocked()
{
    Script s;
    s.settings.heartbeatSeconds = 10;
    s.open();
    auto &channel = s.openChannel();
    s.subscribe(channel, u"a"_s);
    s.deliver("a", 1).deliver("a", 2).takeEvents();
    s.broker(Wire::ConnectionBlocked{}).expectEvent<Engine::BlockedChanged>();
    publish(channel, "held");
    QVERIFY(channel.deliveries().ack(1).count);
    s.expectSent(Wire::BasicAck{.deliveryTag = 1});
    QVERIFY(channel.deliveries().nack(2, true).count);
    s.expectSent<Wire::BasicNack>().advance(5s).expectHeartbeatSent().expectNothingSent();
}

void tst_FlowControl::callsBehindAHeldPublishKeepTheirPlace()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    s.broker(Wire::ConnectionBlocked{}).expectEvent<Engine::BlockedChanged>();
    publish(channel, "1");
    QVERIFY(channel.topology().purgeQueue(u"q"_s));
    publish(channel, "2");
    QVERIFY(channel.subscriptions().setPrefetch(7, false));
    s.expectNothingSent();
    QVERIFY(!s.engine.deadline()); // a call that was never sent needs no answer
    s.broker(Wire::ConnectionUnblocked{}).expectPublished("1", "key").expectSent<Wire::QueuePurge>();
    s.expectPublished("2", "key").expectSent<Wire::BasicQos>().expectNothingSent();
    QVERIFY(s.engine.deadline());
}

// Otherwise the broker would deliver the returned messages again and again while it blocks.
void tst_FlowControl::aCancelDoesNotWaitBehindAHeldPublish()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto consumer = s.subscribe(channel, u"a"_s);
    s.broker(Wire::ConnectionBlocked{}).expectEvent<Engine::BlockedChanged>();
    publish(channel, "1");
    const auto cancelling = channel.subscriptions().cancel(*consumer);
    s.expectSent<Wire::BasicCancel>();
    s.broker(Wire::BasicCancelOk{.consumerTag = "a"}).expectReply(cancelling);
    s.broker(Wire::ConnectionUnblocked{}).expectPublished("1", "key").expectNothingSent();
}

void tst_FlowControl::callsWithoutAPublishBeforeThemAreNotHeld()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    auto &other = s.openChannel();
    s.broker(Wire::ConnectionBlocked{}).expectEvent<Engine::BlockedChanged>();
    publish(channel, "held");
    const auto purging = *other.topology().purgeQueue(u"q"_s);
    s.expectSent<Wire::QueuePurge>(2).broker(Wire::QueuePurgeOk{}, 2).takeReply<quint32>(purging);
    s.openChannel();
}

void tst_FlowControl::eachChannelGoesOnInItsOrderAfterUnblocked()
{
    Script s;
    s.open();
    auto &one = s.openChannel();
    auto &two = s.openChannel();
    s.broker(Wire::ConnectionBlocked{});
    publish(two, "2a");
    publish(one, "1a");
    QVERIFY(one.topology().purgeQueue(u"q"_s));
    publish(two, "2b");
    s.broker(Wire::ConnectionUnblocked{});
    QHash<quint16, QByteArrayList> order;
    for (const Frame &sent : s.takeSent()) {
        if (sent.type == Wire::FrameType::Body)
            order[sent.channel] += sent.payload;
        else if (sent.is(Wire::QueuePurge::id))
            order[sent.channel] += "purge";
    }
    QCOMPARE(order[1], QByteArrayList({"1a", "purge"}));
    QCOMPARE(order[2], QByteArrayList({"2a", "2b"}));
}

void tst_FlowControl::closeFollowsHeldOperations()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    s.broker(Wire::ConnectionBlocked{}).expectEvent<Engine::BlockedChanged>();
    publish(channel, "held");
    const auto closing = *channel.close();
    s.expectNothingSent().broker(Wire::ConnectionUnblocked{}).expectEvent<Engine::BlockedChanged>();
    s.expectPublished("held", "key").expectSent<Wire::ChannelClose>();
    s.broker(Wire::ChannelCloseOk{}).expectReply(closing).expectEvent<Engine::ChannelClosed>().expectNoEvent();
}

void tst_FlowControl::channelFlowHoldsItsOwnChannel()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    auto &other = s.openChannel();
    s.broker(Wire::ChannelFlow{.active = false}).expectSent(Wire::ChannelFlowOk{.active = false});
    s.expectEvent<Engine::FlowChanged>([&](const Engine::FlowChanged &changed) {
        QCOMPARE(changed.channel.get(), &channel);
        QVERIFY(!changed.active);
    });
    QVERIFY(channel.isFlowed());
    QCOMPARE(channel.state(), Engine::ChannelEngine::State::Flowed);
    publish(channel, "held");
    publish(other, "goes");
    s.expectPublished("goes", "key", 2).expectNothingSent();
    s.broker(Wire::ChannelFlow{.active = true}).expectSent(Wire::ChannelFlowOk{.active = true});
    s.expectEvent<Engine::FlowChanged>([](const Engine::FlowChanged &changed) { QVERIFY(changed.active); });
    QVERIFY(!channel.isFlowed());
    s.expectPublished("held", "key").expectNothingSent().expectNoEvent();
}

void tst_FlowControl::channelFlowIsAnsweredAlways()
{
    Script s;
    s.open();
    s.openChannel();
    s.broker(Wire::ChannelFlow{.active = true}).expectSent(Wire::ChannelFlowOk{.active = true}).expectNoEvent();
    s.broker(Wire::ChannelFlow{.active = false}).broker(Wire::ChannelFlow{.active = false});
    s.expectSent<Wire::ChannelFlowOk>().expectSent<Wire::ChannelFlowOk>();
    s.expectEvent<Engine::FlowChanged>().expectNoEvent();
}

void tst_FlowControl::flowedAndBlockedBothHaveToEnd()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    s.broker(Wire::ChannelFlow{.active = false}).broker(Wire::ConnectionBlocked{}).expectSent<Wire::ChannelFlowOk>();
    publish(channel, "held");
    s.broker(Wire::ConnectionUnblocked{}).expectNothingSent();
    s.broker(Wire::ConnectionBlocked{}).broker(Wire::ChannelFlow{.active = true});
    s.expectSent<Wire::ChannelFlowOk>().expectNothingSent();
    s.broker(Wire::ConnectionUnblocked{}).expectPublished("held", "key");
}

void tst_FlowControl::aFlowedChannelThatIsClosedGoesOnWithTheFlow()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    s.broker(Wire::ChannelFlow{.active = false}).expectSent<Wire::ChannelFlowOk>();
    publish(channel, "held");
    const auto closing = *channel.close();
    s.expectNothingSent().takeEvents();
    s.broker(Wire::ChannelFlow{.active = true}).expectSent<Wire::ChannelFlowOk>();
    s.expectPublished("held", "key").expectSent<Wire::ChannelClose>();
    s.broker(Wire::ChannelCloseOk{}).expectReply(closing).expectEvent<Engine::ChannelClosed>().expectNoEvent();
}

void tst_FlowControl::flowEndsWithTheChannel()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    s.broker(Wire::ChannelFlow{.active = false}).broker(Wire::ChannelClose{.replyCode = 404});
    s.expectSent<Wire::ChannelFlowOk>().expectSent<Wire::ChannelCloseOk>();
    QVERIFY(!channel.isFlowed());
    QVERIFY(channel.open());
    publish(channel, "goes");
    s.expectSent<Wire::ChannelOpen>().expectPublished("goes", "key");
}

void tst_FlowControl::flowBeforeOpenOkIsAFault()
{
    Script s;
    s.open();
    QVERIFY(s.newChannel().open());
    s.broker(Wire::ChannelFlow{.active = false});
    QCOMPARE(s.takeConnectionClosed().replyCode(), Wire::ReplyCode::CommandInvalid);
}

void tst_FlowControl::watermarksHaveHysteresis()
{
    Script s;
    s.settings.lowWatermark = 10'000;
    s.settings.highWatermark = 20'000;
    s.open();
    auto &channel = s.openChannel();
    QVERIFY(s.engine.flow().isWritable());
    while (s.engine.flow().queuedBytes() < 19'000)
        publish(channel, bodyOf(500));
    s.expectNoEvent();
    while (s.engine.flow().queuedBytes() < 20'000)
        publish(channel, bodyOf(500));
    QVERIFY(!s.engine.flow().isWritable());
    s.expectEvent<Engine::WritableChanged>([](const Engine::WritableChanged &changed) { QVERIFY(!changed.writable); });
    publish(channel, bodyOf(500)); // a full buffer is a hint and not a limit
    s.expectNoEvent();
    s.engine.prepareOutput(s.now);
    while (s.engine.flow().queuedBytes() > 10'001)
        s.engine.written(std::min(s.engine.output().size(), qsizetype(s.engine.flow().queuedBytes() - 10'001)), s.now);
    s.expectNoEvent();
    QVERIFY(!s.engine.flow().isWritable());
    s.engine.written(1, s.now);
    s.expectEvent<Engine::WritableChanged>([](const Engine::WritableChanged &changed) { QVERIFY(changed.writable); });
    QVERIFY(s.engine.flow().isWritable());
    publish(channel, bodyOf(500));
    s.expectNoEvent();
}

void tst_FlowControl::heldBytesCountForTheWatermarks()
{
    Script s;
    s.settings.lowWatermark = 10'000;
    s.settings.highWatermark = 20'000;
    s.open();
    auto &channel = s.openChannel();
    s.broker(Wire::ConnectionBlocked{}).expectEvent<Engine::BlockedChanged>();
    publish(channel, bodyOf(30'000));
    s.expectEvent<Engine::WritableChanged>().expectNothingSent();
    s.broker(Wire::ConnectionUnblocked{}).expectEvent<Engine::BlockedChanged>().expectNoEvent();
    s.expectPublished(bodyOf(30'000), "key");
    s.expectEvent<Engine::WritableChanged>([](const Engine::WritableChanged &changed) { QVERIFY(changed.writable); });
}

void tst_FlowControl::bytesMovedToTheSocketCrossNoWatermark()
{
    Script s;
    s.settings.lowWatermark = 10'000;
    s.settings.highWatermark = 20'000;
    s.engine.configure(s.settings);
    auto &channel = s.newChannel();
    QVERIFY(channel.open());
    for (int i = 0; i < 3; ++i)
        publish(channel, bodyOf(100'000));
    s.expectEvent<Engine::WritableChanged>().start().brokerStart().broker(Wire::ConnectionTune{.frameMax = 131072});
    s.broker(Wire::ConnectionOpenOk{}).expectEvent<Engine::Opened>().expectNoEvent();
    QVERIFY(s.engine.flow().queuedBytes() > 300'000);
}

void tst_FlowControl::aLostConnectionIsWritableAgain_data()
{
    QTest::addColumn<bool>("graceful");
    QTest::newRow("lost") << false;
    QTest::newRow("closed by the broker") << true;
}

void tst_FlowControl::aLostConnectionIsWritableAgain()
{
    QFETCH(bool, graceful);
    Script s;
    s.settings.highWatermark = 20'000;
    s.settings.lowWatermark = 10'000;
    s.open();
    publish(s.openChannel(), bodyOf(30'000));
    s.expectEvent<Engine::WritableChanged>();
    if (graceful)
        s.broker(Wire::ConnectionClose{.replyCode = 320});
    else
        s.engine.transportClosed(Error(ErrorKind::Network, u"gone"_s));
    s.expectEvent<Engine::ChannelClosed>();
    s.expectEvent<Engine::WritableChanged>([](const Engine::WritableChanged &changed) { QVERIFY(changed.writable); });
    s.expectEvent<Engine::ConnectionClosed>();
    QCOMPARE(s.engine.hasOutput(), graceful);
    s.takeSent(); // the remaining output, which ends with close-ok, has no effect any more
    s.expectNoEvent();
}

void tst_FlowControl::publishFailsAboveTheBufferLimit()
{
    Script s;
    s.settings.bufferLimit = 50'000;
    s.open();
    auto &channel = s.openChannel();
    QCOMPARE(publish(channel, bodyOf(30'000)), quint64(1));
    const Error error = channel.publish({}, u"key"_s, noProperties, bodyOf(30'000), false).error();
    QCOMPARE(error.kind(), ErrorKind::BufferFull);
    QVERIFY2(error.text().contains(u"50000"_s), qPrintable(error.text()));
    QCOMPARE(publish(channel, bodyOf(10'000)), quint64(2)); // the rejected message has no number
    s.expectPublished(bodyOf(30'000), "key").expectPublished(bodyOf(10'000), "key").expectNothingSent();
    QCOMPARE(publish(channel, bodyOf(30'000)), quint64(3));
    QVERIFY(channel.topology().purgeQueue(u"q"_s)); // the limit does not apply to calls
}

void tst_FlowControl::aMessageAboveTheBufferLimitIsAlwaysRejected()
{
    Script s;
    s.settings.bufferLimit = 50'000;
    s.open();
    const Error error = s.openChannel().publish({}, u"key"_s, noProperties, bodyOf(50'000), false).error();
    QCOMPARE(error.kind(), ErrorKind::InvalidArgument);
    QVERIFY2(error.text().startsWith(u"message:"_s), qPrintable(error.text()));
    s.expectNothingSent();
}

void tst_FlowControl::messagesPublishedBeforeOpenCount()
{
    Script s;
    s.settings.bufferLimit = 50'000;
    s.engine.configure(s.settings);
    auto &channel = s.newChannel();
    QVERIFY(channel.open());
    QCOMPARE(publish(channel, bodyOf(30'000)), quint64(1));
    QVERIFY(s.engine.flow().queuedBytes() >= 30'000);
    QCOMPARE(channel.publish({}, u"key"_s, noProperties, bodyOf(30'000), false).error().kind(), ErrorKind::BufferFull);
    s.open().expectSent<Wire::ChannelOpen>().expectPublished(bodyOf(30'000), "key").expectNothingSent();
    QCOMPARE(s.engine.flow().queuedBytes(), 0);
}

void tst_FlowControl::aFullChunkAsksToBeWritten()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    QVERIFY(!s.engine.wantsWrite());
    for (int i = 0; i < 12; ++i)
        publish(channel, bodyOf(10'000));
    QVERIFY(!s.engine.wantsWrite());
    publish(channel, bodyOf(20'000));
    QVERIFY(s.engine.wantsWrite());
    s.write();
    QVERIFY(!s.engine.wantsWrite());
}

void tst_FlowControl::unwrittenOutputIsOfferedAgainAfterAsMuchMoreOutput()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    for (int i = 0; i < 13; ++i)
        publish(channel, bodyOf(11'000));
    QVERIFY(s.engine.wantsWrite());
    s.engine.writeTried(); // the socket accepted nothing
    for (int i = 0; i < 11; ++i) {
        QVERIFY(!s.engine.wantsWrite());
        publish(channel, bodyOf(11'000));
    }
    publish(channel, bodyOf(11'000));
    QVERIFY(s.engine.wantsWrite());
    s.write();
    s.engine.writeTried();
    QVERIFY(!s.engine.wantsWrite());
    for (int i = 0; i < 12; ++i)
        publish(channel, bodyOf(11'000));
    QVERIFY(s.engine.wantsWrite());
}

void tst_FlowControl::namesOfPublishedMessagesAreEncodedOneByOne()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    // An exchange name that ends in half a character is rejected, and must not consume part of the next key.
    const QString exchange = QString(84, QChar(0x20ac)) + QChar(0xd83d);
    const QString key(85, QChar(0x20ac));
    QCOMPARE(channel.publish(exchange, key, noProperties, {}, false).error().kind(), ErrorKind::InvalidArgument);
    s.expectNothingSent();
    QVERIFY(channel.publish({}, key, noProperties, {}, false));
    s.expectSent<Wire::BasicPublish>([&](const Wire::BasicPublish &method) {
        QCOMPARE(method.routingKey.toByteArray(), key.toUtf8());
        QVERIFY(method.exchange.isEmpty());
    });
    const QString longest(255, QChar(0x20ac));
    QCOMPARE(channel.publish(QString(254, u'e') + QChar(0xd83d), longest, noProperties, {}, false).error().kind(),
             ErrorKind::InvalidArgument);
}

void tst_FlowControl::repeatedPublishesAreCheckedAndHeldLikeTheFirst()
{
    Script s;
    s.settings.bufferLimit = 40'000;
    s.open();
    auto &channel = s.openChannel();
    const auto failureOf = [&](const QByteArray &body) {
        return channel.publish({}, u"key"_s, noProperties, body, false).error().kind();
    };
    QCOMPARE(publish(channel, "1"), quint64(1));
    QCOMPARE(publish(channel, "2"), quint64(2));
    s.expectPublished("1", "key").expectPublished("2", "key");
    QCOMPARE(failureOf(bodyOf(50'000)), ErrorKind::InvalidArgument); // larger than the buffer limit
    QCOMPARE(publish(channel, bodyOf(30'000)), quint64(3));
    QCOMPARE(failureOf(bodyOf(30'000)), ErrorKind::BufferFull);
    s.takeSent();
    s.broker(Wire::ConnectionBlocked{}).expectEvent<Engine::BlockedChanged>();
    QCOMPARE(publish(channel, "4"), quint64(4));
    s.expectNothingSent();
    s.broker(Wire::ConnectionUnblocked{}).expectEvent<Engine::BlockedChanged>();
    s.expectPublished("4", "key");
    QVERIFY(channel.confirmSelect());
    channel.publishing().setConfirmWindow(1);
    QCOMPARE(publish(channel, "5"), quint64(5));
    QCOMPARE(publish(channel, "the window is full"), quint64(6));
    s.expectSent<Wire::ConfirmSelect>().expectPublished("5", "key").expectNothingSent();
    QVERIFY(channel.close());
    QCOMPARE(failureOf("closing"), ErrorKind::NotOpen);
}

void tst_FlowControl::aBacklogIsReportedOncePerEpisode()
{
    Script s;
    s.settings.backpressureMultiplier = 10;
    s.open();
    auto &channel = s.openChannel();
    const auto publishMany = [&](int count) {
        for (int i = 0; i < count; ++i)
            publish(channel, bodyOf(100));
    };
    publishMany(2);
    s.expectNoEvent().takeSent();
    for (int episode = 0; episode < 2; ++episode) {
        publishMany(5);
        s.expectEvent<Engine::BackpressureDetected>(
            [](const Engine::BackpressureDetected &detected) { QVERIFY(detected.queuedBytes > 0); });
        publishMany(20);
        s.expectNoEvent().takeSent();
    }
    s.expectNoEvent();
}

void tst_FlowControl::aBacklogIsComparedWithWholeFrames()
{
    Script s;
    s.settings.backpressureMultiplier = 10;
    s.open();
    auto &channel = s.openChannel();
    for (int i = 0; i < 1000; ++i) {
        publish(channel, bodyOf(1));
        s.takeSent();
    }
    s.expectNoEvent();
    // The three frames of a message have 51 bytes, so the average is a little more than 17 bytes. Three messages are
    // less than ten average frames, and four are more.
    for (int i = 0; i < 3; ++i)
        publish(channel, bodyOf(1));
    s.expectNoEvent();
    publish(channel, bodyOf(1));
    s.expectEvent<Engine::BackpressureDetected>(
        [](const Engine::BackpressureDetected &detected) { QCOMPARE(detected.queuedBytes, 4 * 51); });
}

void tst_FlowControl::aBacklogIsComparedWithFramesOfAllKinds()
{
    Script s;
    s.settings.backpressureMultiplier = 10;
    s.open();
    auto &channel = s.openChannel();
    for (int i = 0; i < 1000; ++i) {
        QVERIFY(channel.topology().purgeQueue(u"q"_s));
        s.takeSent();
    }
    publish(channel, bodyOf(200)); // 248 bytes in three frames; the average frame so far has less than 20 bytes
    s.expectEvent<Engine::BackpressureDetected>();
}

void tst_FlowControl::blockedForTooLongEndsTheConnection()
{
    Script s;
    s.settings.blockedTimeout = 60s;
    s.open();
    for (int i = 0; i < 2; ++i) { // each period counts separately
        s.broker(Wire::ConnectionBlocked{}).broker(Wire::ConnectionBlocked{}).expectEvent<Engine::BlockedChanged>();
        s.advance(59s).expectNoEvent();
        s.broker(Wire::ConnectionUnblocked{}).expectEvent<Engine::BlockedChanged>().advance(60s).expectNoEvent();
    }
    s.broker(Wire::ConnectionBlocked{}).expectEvent<Engine::BlockedChanged>().advance(60s);
    QCOMPARE(s.takeConnectionClosed().kind(), ErrorKind::Timeout);
}

QTEST_GUILESS_MAIN(tst_FlowControl)
#include "tst_flowcontrol.moc"
