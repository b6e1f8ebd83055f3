// SPDX-License-Identifier: MIT
#include "engine/recovering.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using State = Engine::ChannelEngine::State;

// What happens to a channel when the connection is lost and recovers.
class tst_SuspendedChannels : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void channelIsOpenedAgainWithModeAndPrefetch();
    void onlyARecoverableLossSuspends_data();
    void onlyARecoverableLossSuspends();
    void channelsKeepTheirNumbers();
    void numberBeyondTheNewLimitEndsTheChannel();
    void closingChannelEnds();
    void closeOfASuspendedChannelEndsIt();
    void endedChannelKeepsNothingOfTheLoss();
    void closeWhileRestoringRestoresNothing();
    void channelThatIsRefusedAnotherCallEnds();
    void channelThatClosesWhileItIsRestoredEnds();
    void deletedSuspendedChannelNeverComesBack();
    void endWithoutAnotherAttemptEndsSuspendedChannels();
    void failedAttemptKeepsChannelsSuspended();
    void anotherLossWhileRestoringLosesNothing();
    void anotherLossBeforeChannelOpenOkLosesNothing();
    void flowAndTicketAreForgotten();
    void partlyReceivedContentIsDropped();
    void recoveryIsReportedOncePerLoss();
};

void tst_SuspendedChannels::channelIsOpenedAgainWithModeAndPrefetch()
{
    Recovering s;
    auto &channel = s.openChannel();
    channel.confirmSelect();
    channel.subscriptions().setPrefetch(50, true);
    s.consume(channel, u"a"_s, u"q1"_s, 10);
    s.consume(channel, u"b"_s, u"q2"_s, 20);
    s.answerAll();
    s.takeEvents();

    s.lose();
    QCOMPARE(s.takeEvent<Engine::ChannelSuspended>().reason.text(), u"reset"_s);
    QVERIFY(s.takeEvent<Engine::ConnectionClosed>().isSuspended);
    s.expectNoEvent();
    QVERIFY(channel.acceptsCalls() && channel.isSuspended());
    s.open();
    QCOMPARE(s.sentMethods(),
             QStringList({u"1 channel.open"_s, u"1 confirm.select"_s, u"1 basic.qos 50 global"_s, u"1 basic.qos 10"_s,
                          u"1 basic.consume a q1"_s, u"1 basic.qos 20"_s, u"1 basic.consume b q2"_s}));
    s.answerSent();
    const QStringList events = s.takeEvents();
    QCOMPARE(events.filter(u"Channel"_s), QStringList({u"ChannelOpened 1"_s, u"ChannelsRestored 2 0"_s}));
    QCOMPARE(events.last(), u"ChannelsRestored 2 0"_s);
    QCOMPARE(channel.state(), State::Open);
    QVERIFY(!channel.isSuspended());

    // The broker counts messages from 1 again.
    const auto sequence = channel.publish({}, u"k"_s, QByteArray(2, '\0'), "body", false);
    s.broker(Wire::BasicAck{.deliveryTag = 1});
    QCOMPARE(s.takeEvent<Engine::PublishConfirmed>().first, *sequence);

    s.takeSent();
    auto &transacted = s.openChannel(2);
    transacted.txSelect();
    s.answerAll();
    s.loseAndReconnect();
    QVERIFY(s.sentMethods().contains(u"2 tx.select"_s));
}

void tst_SuspendedChannels::onlyARecoverableLossSuspends_data()
{
    QTest::addColumn<bool>("recovers");
    QTest::addColumn<int>("how");
    QTest::addColumn<bool>("isSuspended");
    QTest::newRow("lost") << true << 0 << true;
    QTest::newRow("lost, without recovery") << false << 0 << false;
    QTest::newRow("closed by an operator") << true << 1 << true;
    QTest::newRow("protocol violation") << true << 2 << true;
    QTest::newRow("lost while closing") << true << 3 << false;
    QTest::newRow("aborted") << true << 4 << false;
    QTest::newRow("ended by its owner") << true << 5 << false;
}

void tst_SuspendedChannels::onlyARecoverableLossSuspends()
{
    QFETCH(const bool, recovers);
    QFETCH(const int, how);
    QFETCH(const bool, isSuspended);
    Recovering s;
    s.loseAndReconnect();
    s.settings.recovers = recovers;
    s.loseAndReconnect();
    s.takeEvents();
    auto &channel = s.openChannel();
    switch (how) {
    case 1:
        s.broker(Wire::ConnectionClose{.replyCode = 320, .replyText = "shutdown"});
        break;
    case 2:
        s.broker(Wire::QueueBindOk{});
        break;
    case 3:
        s.engine.close(s.now);
        s.lose();
        break;
    case 4:
        s.engine.abort();
        break;
    case 5:
        s.engine.abort(Error(ErrorKind::Cancelled, u"deleted"_s));
        break;
    default:
        s.lose();
    }
    const QStringList events = s.takeEvents();
    QCOMPARE(events.filter(u"ChannelSuspended"_s).size(), isSuspended ? 1 : 0);
    QCOMPARE(events.filter(u"ChannelClosed"_s).size(), isSuspended ? 0 : 1);
    QCOMPARE(channel.state(), isSuspended ? State::Opening : State::Closed);
}

void tst_SuspendedChannels::channelsKeepTheirNumbers()
{
    Recovering s;
    s.openChannel(7);
    s.openChannel();
    auto &closed = s.openChannel();
    closed.close();
    s.answerAll();
    s.loseAndReconnect();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"7 channel.open"_s}));
    QCOMPARE(s.newChannel().number(), quint16(2)); // of the closed channel
}

void tst_SuspendedChannels::numberBeyondTheNewLimitEndsTheChannel()
{
    Recovering s;
    auto &channel = s.openChannel(7);
    const auto consumer = s.consume(channel, u"tag"_s, u"q"_s);
    s.answerAll().lose();
    s.takeEvents();
    Offer offer;
    offer.channelMax = 5;
    s.open(offer);
    QCOMPARE(channel.state(), State::Closed);
    s.expectReply(consumer->startCall, ErrorKind::InvalidArgument).expectEvent<Engine::ReplyArrived>();
    s.expectEvent<Engine::ChannelClosed>();
    const auto restored = s.takeEvent<Engine::ChannelsRestored>();
    QCOMPARE(restored.consumers, 0);
    QCOMPARE(restored.failures.size(), size_t(2));
    QCOMPARE(restored.failures[0].consumerTag, QByteArray("tag"));
    QCOMPARE(restored.failures[0].queue, u"q"_s);
    QCOMPARE(restored.failures[1].channel, quint16(7));
    QVERIFY(restored.failures[1].consumerTag.isEmpty());
    QCOMPARE(restored.failures[1].error.kind(), ErrorKind::InvalidArgument);
}

void tst_SuspendedChannels::closingChannelEnds()
{
    Recovering s;
    auto &channel = s.openChannel();
    const auto consumer = s.subscribe(channel, u"tag"_s);
    const auto closing = channel.close();
    s.lose();
    s.expectReply(*closing).expectReply(consumer->cancelCall);
    s.expectEvent<Engine::ChannelClosed>([](const auto &closed) { QVERIFY(!closed.reason.isError()); });
    s.takeEvents();
    s.open().expectNothingSent();
}

void tst_SuspendedChannels::closeOfASuspendedChannelEndsIt()
{
    Recovering s;
    auto &channel = s.openChannel();
    const auto consumer = s.subscribe(channel, u"tag"_s);
    s.lose();
    s.takeEvents();
    const auto declaring = channel.topology().declareQueue(u"q"_s, {}, false);
    const auto closing = channel.close();
    QCOMPARE(channel.state(), State::Closed);
    s.expectReply(*closing).expectReply(consumer->startCall, ErrorKind::Cancelled);
    const QStringList events = s.takeEvents();
    QVERIFY(events.contains(u"ReplyArrived %1 Cancelled"_s.arg(*declaring)));
    QCOMPARE(events.last(), u"ChannelClosed 1"_s);
    s.open().expectNothingSent();
    QCOMPARE(s.takeEvents(), QStringList{u"ChannelsRestored 0 0"_s}); // without a failure
    QVERIFY(channel.open());
    s.expectSent<Wire::ChannelOpen>().expectNothingSent();
}

void tst_SuspendedChannels::endedChannelKeepsNothingOfTheLoss()
{
    Recovering s;
    auto &channel = s.openChannel();
    channel.txSelect();
    s.answerAll();
    channel.publish({}, u"k"_s, QByteArray(2, '\0'), "lost with its transaction", false);
    s.write();
    s.lose();
    channel.close();
    s.takeEvents();
    QVERIFY(channel.open());
    QVERIFY(!channel.isSuspended());
    s.open();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 tx.select"_s}));
    s.answerSent();
    s.loseAndReconnect(); // with an empty transaction
    s.answerAll();
    s.takeEvents();
    const auto committing = channel.txCommit();
    QCOMPARE(s.sentMethods(), QStringList{u"1 tx.commit"_s});
    s.broker(Wire::TxCommitOk{}).expectReply(*committing).expectNoEvent();
}

void tst_SuspendedChannels::closeWhileRestoringRestoresNothing()
{
    Recovering s;
    auto &channel = s.openChannel();
    s.subscribe(channel, u"tag"_s);
    s.loseAndReconnect();
    s.engine.close(s.now);
    s.answerAll().answerAll();
    QCOMPARE(s.takeEvents().filter(u"Restored"_s), QStringList());
    QCOMPARE(channel.state(), State::Closed);

    Recovering again;
    auto &other = again.openChannel();
    again.engine.close(again.now);
    again.expectNoEvent();
    again.lose(); // before the answer to channel.close
    QCOMPARE(other.state(), State::Closed);
    again.expectEvent<Engine::ReplyArrived>().expectEvent<Engine::ChannelClosed>();
    QVERIFY(!again.takeEvent<Engine::ConnectionClosed>().isSuspended);
}

void tst_SuspendedChannels::channelThatIsRefusedAnotherCallEnds()
{
    Recovering s;
    auto &channel = s.openChannel();
    const auto consumer = s.consume(channel, u"tag"_s, u"q"_s);
    s.answerAll();
    const auto binding = channel.topology().bindQueue(u"q"_s, u"x"_s, u"k"_s, {});
    s.loseAndReconnect();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 basic.consume tag q"_s, u"1 queue.bind q k"_s}));
    s.broker(Wire::ChannelOpenOk{}).takeEvents();
    s.broker(Wire::ChannelClose{.replyCode = 404, .replyText = "NOT_FOUND", .classId = 50, .methodId = 20});
    const QStringList events = s.takeEvents();
    QVERIFY(events.contains(u"ReplyArrived %1 ChannelClosed"_s.arg(*binding)));
    QVERIFY(events.contains(u"ReplyArrived %1 ChannelClosed"_s.arg(consumer->startCall)));
    QVERIFY(events.contains(u"ChannelClosed 1 ChannelClosed"_s));
    s.expectSent<Wire::ChannelCloseOk>().expectNothingSent();
}

void tst_SuspendedChannels::channelThatClosesWhileItIsRestoredEnds()
{
    Recovering s;
    auto &channel = s.openChannel();
    s.consume(channel, u"tag"_s, u"q"_s);
    s.answerAll().loseAndReconnect();
    s.broker(Wire::ChannelOpenOk{}).takeEvents();
    s.takeSent();
    const auto closing = channel.close();
    s.broker(Wire::ChannelClose{.replyCode = 404, .replyText = "NOT_FOUND", .classId = 60, .methodId = 20});
    s.expectReply(*closing);
    QVERIFY(s.takeEvents().filter(u"ChannelSuspended"_s).isEmpty());
    QCOMPARE(channel.state(), State::Closed);
    QVERIFY(s.sentMethods().filter(u"channel.open"_s).isEmpty());
}

void tst_SuspendedChannels::deletedSuspendedChannelNeverComesBack()
{
    Recovering s;
    auto &channel = s.openChannel();
    s.subscribe(channel, u"tag"_s);
    auto &other = s.openChannel();
    s.lose();
    channel.release();
    s.takeEvents();
    s.open();
    QCOMPARE(s.sentMethods(), QStringList{u"2 channel.open"_s});
    s.answerSent();
    QCOMPARE(s.takeEvents().last(), u"ChannelsRestored 0 0"_s);
    QCOMPARE(other.state(), State::Open);
}

void tst_SuspendedChannels::endWithoutAnotherAttemptEndsSuspendedChannels()
{
    Recovering s;
    auto &channel = s.openChannel();
    const auto consumer = s.subscribe(channel, u"tag"_s);
    const auto declaring = channel.topology().declareQueue(u"q"_s, {}, false);
    s.write();
    s.lose();
    s.takeEvents();
    s.engine.endWaiting(Error(ErrorKind::Network, u"given up"_s));
    QCOMPARE(channel.state(), State::Closed);
    const QStringList events = s.takeEvents();
    QVERIFY(events.contains(u"ReplyArrived %1 Network"_s.arg(consumer->startCall)));
    QVERIFY(events.contains(u"ReplyArrived %1 Network"_s.arg(*declaring)));
    QCOMPARE(events.last(), u"ChannelClosed 1 Network"_s);
    s.open().expectNothingSent().expectNoEvent();
}

void tst_SuspendedChannels::failedAttemptKeepsChannelsSuspended()
{
    Recovering s;
    auto &channel = s.openChannel();
    s.subscribe(channel, u"tag"_s);
    s.lose();
    s.takeEvents();
    s.start();
    s.lose();
    QVERIFY(!s.takeEvent<Engine::ConnectionClosed>().isSuspended);
    s.expectNoEvent();
    QVERIFY(channel.isSuspended());
    s.open();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 basic.consume tag queue"_s}));
}

void tst_SuspendedChannels::anotherLossWhileRestoringLosesNothing()
{
    Recovering s;
    auto &channel = s.openChannel();
    channel.confirmSelect();
    const auto consumer = s.consume(channel, u"tag"_s, u"q"_s, 10);
    s.answerAll().loseAndReconnect();
    const auto declaring = channel.topology().declareQueue(u"late"_s, {}, false);
    s.broker(Wire::ChannelOpenOk{}).broker(Wire::ConfirmSelectOk{});
    const auto start = consumer->startCall;
    s.lose();
    const QStringList events = s.takeEvents();
    QVERIFY(events.contains(u"ChannelSuspended 1 Network"_s));
    QVERIFY(events.filter(u"ReplyArrived"_s).filter(u"Network"_s).isEmpty());
    QCOMPARE(consumer->startCall, start); // its reply is still to come
    s.open();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 confirm.select"_s, u"1 basic.qos 10"_s,
                                           u"1 basic.consume tag q"_s}));
    s.answerSent();
    QCOMPARE(s.sentMethods(), QStringList{u"1 queue.declare late"_s});
    s.answerSent();
    const QStringList restored = s.takeEvents();
    QVERIFY(restored.contains(u"ReplyArrived %1"_s.arg(start)));
    QVERIFY(restored.contains(u"ReplyArrived %1"_s.arg(*declaring)));
    QCOMPARE(restored.filter(u"Restored"_s), QStringList{u"ChannelsRestored 1 0"_s});
}

void tst_SuspendedChannels::anotherLossBeforeChannelOpenOkLosesNothing()
{
    Recovering s;
    auto &channel = s.newChannel();
    const auto opening = channel.open();
    channel.confirmSelect();
    s.consume(channel, u"tag"_s, u"q"_s, 10);
    for (int i = 0; i < 3; ++i) {
        s.loseAndReconnect();
        QStringList sent = s.sentMethods();
        sent.removeDuplicates();
        QCOMPARE(sent, QStringList({u"1 channel.open"_s, u"1 confirm.select"_s, u"1 basic.qos 10"_s,
                                    u"1 basic.consume tag q"_s}));
    }
    s.answerSent();
    QVERIFY(s.takeEvents().contains(u"ReplyArrived %1"_s.arg(*opening)));
    QCOMPARE(channel.state(), State::Open);
}

void tst_SuspendedChannels::flowAndTicketAreForgotten()
{
    Recovering s;
    auto &channel = s.openChannel();
    channel.requestAccess(u"/data"_s, {});
    s.broker(Wire::AccessRequestOk{.ticket = 77}).broker(Wire::ChannelFlow{.active = false});
    QVERIFY(channel.isFlowed());
    channel.publish({}, u"k"_s, QByteArray(2, '\0'), "held", false);
    s.takeSent();
    s.loseAndReconnect();
    s.expectSent<Wire::ChannelOpen>().expectPublished("held", "k");
    channel.topology().purgeQueue(u"q"_s);
    s.expectSent<Wire::QueuePurge>([](const auto &method) { QCOMPARE(method.ticket, quint16(0)); });
}

void tst_SuspendedChannels::partlyReceivedContentIsDropped()
{
    Recovering s;
    auto &channel = s.openChannel();
    s.subscribe(channel, u"tag"_s);
    const QByteArray frames = deliverFrames("tag", 1, {.body = pattern(1000)});
    s.brokerBytes(frames.first(frames.size() / 2));
    s.loseAndReconnect();
    s.answerAll().takeEvents();
    s.brokerBytes(frames);
    QCOMPARE(s.takeEvent<Engine::Delivered>().message.body, pattern(1000));
}

void tst_SuspendedChannels::recoveryIsReportedOncePerLoss()
{
    Recovering s;
    s.subscribe(s.openChannel(), u"tag"_s);
    for (int i = 0; i < 3; ++i) {
        s.loseAndReconnect();
        QVERIFY(s.takeEvents().filter(u"Restored"_s).isEmpty());
        s.answerAll();
        QCOMPARE(s.takeEvents().filter(u"Restored"_s), QStringList{u"ChannelsRestored 1 0"_s});
    }
}

QTEST_APPLESS_MAIN(tst_SuspendedChannels)

#include "tst_suspendedchannels.moc"
