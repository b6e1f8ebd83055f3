// SPDX-License-Identifier: MIT
#include "engine/recovering.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using State = Engine::ChannelEngine::State;

// A connection that is open while its channels are held, so that the topology can be declared before.
class tst_HeldChannels : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void channelsWaitUntilTheyAreReleased();
    void operationsKeepTheOrderOfTheirCalls();
    void connectionWorksWhileChannelsAreHeld();
    void channelThatReplaysSendsAtOnce();
    void channelThatWaitedReplaysWhenTheConnectionOpens();
    void channelThatReplaysEndsWithItsConnection();
    void lossWhileHeldKeepsEverything();
    void closeWhileHeldEndsTheChannels();
    void deletedWhileHeld();
    void releaseIsReportedWhenNothingWaits();
    void releaseHasNoEffectTwice();
};

void tst_HeldChannels::channelsWaitUntilTheyAreReleased()
{
    Recovering s(true);
    auto &channel = s.openChannel();
    const auto consumer = s.subscribe(channel, u"tag"_s);
    s.loseAndReconnect();
    QVERIFY(s.engine.isOpen());
    auto &created = s.newChannel();
    created.open();
    created.publish({}, u"k"_s, QByteArray(2, '\0'), "body", false);
    s.expectNothingSent().expectNoEvent();
    QVERIFY(!channel.canSend());
    s.engine.gate().release();
    s.expectSent<Wire::ChannelOpen>(1).expectSent<Wire::BasicConsume>(1).expectSent<Wire::ChannelOpen>(2);
    s.expectPublished("body", "k", 2).expectNoEvent();
    s.broker(Wire::ChannelOpenOk{}, 2).broker(Wire::ChannelOpenOk{}, 1);
    QVERIFY(s.takeEvents().filter(u"Restored"_s).isEmpty());
    s.broker(Wire::BasicConsumeOk{.consumerTag = "tag"}).expectReply(consumer->startCall);
    s.expectEvent<Engine::ChannelsRestored>([](const auto &restored) { QCOMPARE(restored.consumers, 1); });
}

void tst_HeldChannels::operationsKeepTheOrderOfTheirCalls()
{
    Recovering s(true);
    auto &one = s.openChannel();
    auto &two = s.openChannel();
    s.lose();
    s.takeEvents();
    two.topology().declareQueue(u"before"_s, {}, false);
    s.open();
    two.topology().declareQueue(u"a"_s, {}, false);
    one.topology().declareQueue(u"b"_s, {}, false);
    two.topology().declareQueue(u"c"_s, {}, false);
    s.engine.gate().release();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"2 channel.open"_s, u"2 queue.declare before"_s,
                                           u"2 queue.declare a"_s, u"1 queue.declare b"_s, u"2 queue.declare c"_s}));
}

void tst_HeldChannels::connectionWorksWhileChannelsAreHeld()
{
    Engine::Settings settings = Recovering::settingsFor(true);
    settings.heartbeatSeconds = 10;
    Script s(settings);
    s.open();
    const auto updating = s.engine.ownCalls().updateSecret("secret", u"renewed"_s);
    QVERIFY(updating);
    s.expectSent<Wire::ConnectionUpdateSecret>().broker(Wire::ConnectionUpdateSecretOk{}).expectReply(*updating);
    s.advance(std::chrono::seconds(6)).expectHeartbeatSent();
    s.broker(Wire::ConnectionBlocked{}).expectEvent<Engine::BlockedChanged>();
    s.broker(Wire::ConnectionUnblocked{}).expectEvent<Engine::BlockedChanged>().expectNothingSent();
}

void tst_HeldChannels::channelThatReplaysSendsAtOnce()
{
    Recovering s(true);
    auto &channel = s.openChannel();
    s.loseAndReconnect();
    auto &replaying = s.newChannel();
    replaying.setReplaying(true);
    replaying.open();
    replaying.topology().declareQueue(u"q"_s, {}, false);
    QCOMPARE(s.sentMethods(), QStringList({u"2 channel.open"_s, u"2 queue.declare q"_s}));
    s.answerSent();
    QVERIFY(channel.isSuspended());
    replaying.release();
    s.expectSent<Wire::ChannelClose>(2);
    s.engine.gate().release();
    QCOMPARE(s.sentMethods(), QStringList{u"1 channel.open"_s});
}

void tst_HeldChannels::channelThatWaitedReplaysWhenTheConnectionOpens()
{
    Recovering s(true);
    s.openChannel();
    s.lose();
    s.takeEvents();
    auto &replaying = s.newChannel();
    replaying.open();
    replaying.topology().declareQueue(u"q"_s, {}, false);
    replaying.setReplaying(true);
    s.open();
    QCOMPARE(s.sentMethods(), QStringList({u"2 channel.open"_s, u"2 queue.declare q"_s}));
    s.engine.gate().release();
    QCOMPARE(s.sentMethods(), QStringList{u"1 channel.open"_s});
}

void tst_HeldChannels::channelThatReplaysEndsWithItsConnection()
{
    Recovering s(true);
    auto &channel = s.openChannel();
    s.loseAndReconnect();
    auto &replaying = s.newChannel();
    replaying.setReplaying(true);
    replaying.open();
    const auto declaring = replaying.topology().declareQueue(u"q"_s, {}, false);
    s.write();
    s.lose();
    const QStringList events = s.takeEvents();
    QVERIFY(events.contains(u"ReplyArrived %1 Network"_s.arg(*declaring)));
    QVERIFY(events.contains(u"ChannelClosed 2 Network"_s));
    QVERIFY(channel.isSuspended());
    s.open();
    s.engine.gate().release();
    QCOMPARE(s.sentMethods(), QStringList{u"1 channel.open"_s});
}

void tst_HeldChannels::lossWhileHeldKeepsEverything()
{
    Recovering s(true);
    auto &channel = s.openChannel();
    const auto consumer = s.subscribe(channel, u"tag"_s);
    for (int i = 0; i < 3; ++i)
        s.loseAndReconnect();
    s.lose();
    s.takeEvents();
    s.engine.gate().release(); // without a connection
    s.open().expectNothingSent().expectNoEvent();
    auto &created = s.newChannel();
    created.open();
    s.loseAndReconnect();
    s.engine.gate().release();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 basic.consume tag queue"_s, u"2 channel.open"_s}));
    s.answerSent();
    QCOMPARE(s.takeEvents().filter(u"Restored"_s), QStringList{u"ChannelsRestored 1 0"_s});
    QCOMPARE(consumer->state, Engine::ConsumerEntry::State::Active);
}

void tst_HeldChannels::closeWhileHeldEndsTheChannels()
{
    Recovering s(true);
    auto &channel = s.openChannel();
    const auto consumer = s.subscribe(channel, u"tag"_s);
    s.loseAndReconnect();
    auto &created = s.newChannel();
    const auto opening = created.open();
    auto &replaying = s.newChannel();
    replaying.setReplaying(true);
    replaying.open();
    s.answerAll().takeEvents();
    s.engine.close(s.now);
    QCOMPARE(channel.state(), State::Closed);
    QCOMPARE(created.state(), State::Closed);
    const QStringList events = s.takeEvents();
    QVERIFY(events.contains(u"ReplyArrived %1 Cancelled"_s.arg(consumer->startCall)));
    QVERIFY(events.contains(u"ReplyArrived %1 Cancelled"_s.arg(*opening)));
    s.engine.gate().release(); // too late
    s.expectNoEvent();
    QCOMPARE(s.sentMethods(), QStringList{u"3 channel.close"_s});
    s.answerSent();
    s.expectSent<Wire::ConnectionClose>().broker(Wire::ConnectionCloseOk{});
    QVERIFY(!s.takeConnectionClosed().isError());
}

void tst_HeldChannels::deletedWhileHeld()
{
    Recovering s(true);
    s.subscribe(s.openChannel(), u"tag"_s);
    s.loseAndReconnect();
    const auto deleted = s.engine.channels().channel(1)->shared_from_this();
    const auto users = deleted.use_count();
    deleted->release();
    s.takeEvents();
    QVERIFY(deleted.use_count() < users); // the connection keeps nothing of it
    s.engine.gate().release();
    s.expectNothingSent();
    QCOMPARE(s.takeEvents(), QStringList{u"ChannelsRestored 0 0"_s});
}

void tst_HeldChannels::releaseIsReportedWhenNothingWaits()
{
    Script s(Recovering::settingsFor(true));
    s.open().expectNoEvent();
    s.engine.gate().release();
    s.expectEvent<Engine::ChannelsRestored>([](const auto &restored) {
        QCOMPARE(restored.consumers, 0);
        QVERIFY(restored.failures.empty());
    });
}

void tst_HeldChannels::releaseHasNoEffectTwice()
{
    Recovering s(true);
    s.engine.gate().release();
    s.expectNoEvent();
    s.lose();
    s.takeEvents();
    s.engine.gate().release(); // without a connection
    s.expectNoEvent();
    auto &channel = s.newChannel();
    channel.open();
    s.open().expectNothingSent();
}

QTEST_APPLESS_MAIN(tst_HeldChannels)

#include "tst_heldchannels.moc"
