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
    void heldChannelLendsItsNumber();
    void freeNumberIsNotLent();
    void numberReturnsIfTheBrokerClosesTheBorrower();
    void numberReturnsWithTheLoss();
    void lenderMayEndMeanwhile_data();
    void lenderMayEndMeanwhile();
    void closeWhileANumberIsLent();
    void missingCloseOkOfTheBorrowerEndsTheConnection();
    void lenderGetsNewNamesOfQueues();
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

// A connection with one channel, whose only number a channel that replays has borrowed.
struct Lending : Recovering {
    explicit Lending(const Engine::Settings &engineSettings = oneChannel())
        : Recovering(engineSettings)
    {
        lender = &openChannel();
        consumer = subscribe(*lender, u"tag"_s);
        loseAndReconnect();
        borrow();
    }
    ~Lending()
    {
        if (borrower->client)
            borrower->release();
    }
    static Engine::Settings oneChannel()
    {
        Engine::Settings result = settingsFor(true);
        result.channelMax = 1;
        return result;
    }
    void borrow()
    {
        engine.gate().lendNumber();
        borrower = engine.createChannel(this);
        borrower->setReplaying(true);
        borrower->open();
        borrower->topology().declareQueue(u"q"_s, {}, false);
    }

    Engine::ChannelEngine *lender = nullptr;
    std::shared_ptr<Engine::ChannelEngine> borrower;
    std::shared_ptr<Engine::ConsumerEntry> consumer;
};

void tst_HeldChannels::heldChannelLendsItsNumber()
{
    Lending s;
    QCOMPARE(s.borrower->number(), quint16(1));
    QCOMPARE(s.engine.channels().owner(1), s.lender);
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 queue.declare q"_s}));
    s.answerSent();
    QVERIFY(s.lender->isSuspended());
    s.borrower->release();
    QCOMPARE(s.sentMethods(), QStringList{u"1 channel.close"_s});
    s.takeEvents();
    s.engine.gate().release();
    s.expectNothingSent().expectNoEvent(); // the broker still has the other channel
    s.answerSent();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 basic.consume tag queue"_s}));
    s.answerSent();
    QCOMPARE(s.takeEvents().filter(u"Restored"_s), QStringList{u"ChannelsRestored 1 0"_s});
    QCOMPARE(s.lender->state(), State::Open);
    QCOMPARE(s.engine.channels().channel(1), s.lender);
    QCOMPARE(s.engine.channels().openCount(), 1);
    QVERIFY(!s.engine.deadline()); // nothing is timed any more
}

void tst_HeldChannels::freeNumberIsNotLent()
{
    Recovering s(true);
    auto &channel = s.openChannel();
    s.loseAndReconnect();
    s.engine.gate().lendNumber();
    QCOMPARE(s.newChannel().number(), quint16(2));
    QCOMPARE(s.engine.channels().channel(1), &channel);
}

void tst_HeldChannels::numberReturnsIfTheBrokerClosesTheBorrower()
{
    Lending s;
    s.takeSent();
    s.broker(Wire::ChannelOpenOk{}).broker(Wire::ChannelClose{.replyCode = Wire::ReplyCode::PreconditionFailed});
    s.expectSent<Wire::ChannelCloseOk>();
    s.takeEvents();
    QCOMPARE(s.engine.channels().channel(1), s.lender);
    s.engine.gate().lendNumber(); // for what is left of the replay
    QVERIFY(s.borrower->open());
    QCOMPARE(s.borrower->number(), quint16(1));
    s.expectSent<Wire::ChannelOpen>().broker(Wire::ChannelOpenOk{});
    s.borrower->release();
    s.engine.gate().release();
    s.expectSent<Wire::ChannelClose>().broker(Wire::ChannelCloseOk{});
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 basic.consume tag queue"_s}));
}

void tst_HeldChannels::numberReturnsWithTheLoss()
{
    for (const bool isClosing : {false, true}) {
        Lending s;
        s.answerAll();
        if (isClosing) {
            s.borrower->release();
            s.engine.gate().release();
        }
        s.loseAndReconnect();
        QCOMPARE(s.engine.channels().channel(1), s.lender);
        QVERIFY(!s.engine.channels().hasLentNumber());
        s.expectNothingSent(); // the release belonged to the connection that is lost
        s.engine.gate().release();
        QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 basic.consume tag queue"_s}));
        QCOMPARE(s.engine.channels().openCount(), 1);
    }
}

void tst_HeldChannels::lenderMayEndMeanwhile_data()
{
    QTest::addColumn<bool>("isDeleted");
    QTest::newRow("closed") << false;
    QTest::newRow("deleted") << true;
}

void tst_HeldChannels::lenderMayEndMeanwhile()
{
    QFETCH(const bool, isDeleted);
    Lending s;
    s.answerAll();
    if (isDeleted)
        s.lender->release();
    else
        QVERIFY(s.lender->close());
    s.expectNothingSent();
    QCOMPARE(s.engine.channels().channel(1), s.borrower.get());
    s.borrower->release();
    s.engine.gate().release();
    s.expectSent<Wire::ChannelClose>().broker(Wire::ChannelCloseOk{}).expectNothingSent();
    QCOMPARE(s.takeEvents().filter(u"Restored"_s), QStringList{u"ChannelsRestored 0 0"_s});
    QCOMPARE(s.engine.channels().openCount(), 0);
    QCOMPARE(s.newChannel().number(), quint16(1));
}

void tst_HeldChannels::closeWhileANumberIsLent()
{
    Lending s;
    s.answerAll();
    s.borrower->release();
    s.expectSent<Wire::ChannelClose>();
    s.takeEvents();
    s.engine.close(s.now);
    QCOMPARE(s.lender->state(), State::Closed);
    QVERIFY(s.takeEvents().contains(u"ReplyArrived %1 Cancelled"_s.arg(s.consumer->startCall)));
    s.expectNothingSent().broker(Wire::ChannelCloseOk{});
    s.expectSent<Wire::ConnectionClose>().broker(Wire::ConnectionCloseOk{});
    QVERIFY(!s.takeConnectionClosed().isError());
}

void tst_HeldChannels::missingCloseOkOfTheBorrowerEndsTheConnection()
{
    Engine::Settings settings = Lending::oneChannel();
    settings.replyTimeout = std::chrono::seconds(5);
    Lending s(settings);
    s.answerAll();
    s.borrower->release();
    s.engine.gate().release();
    s.write();
    s.takeEvents();
    s.advance(std::chrono::seconds(6));
    QCOMPARE(s.takeConnectionClosed().kind(), ErrorKind::Timeout);
    QVERIFY(s.lender->isSuspended());
}

void tst_HeldChannels::lenderGetsNewNamesOfQueues()
{
    Lending s;
    s.answerAll();
    s.engine.gate().renameQueues({{u"queue"_s, u"renamed"_s}});
    s.borrower->release();
    s.engine.gate().release();
    s.expectSent<Wire::ChannelClose>().broker(Wire::ChannelCloseOk{});
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 basic.consume tag renamed"_s}));
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
