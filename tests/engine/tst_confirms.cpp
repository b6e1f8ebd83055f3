// SPDX-License-Identifier: MIT
#include "engine/confirming.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;
using Wire::BasicAck;
using Wire::BasicNack;

class tst_Confirms : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void acksAndNacksComeOneByOne();
    void multipleIsARange();
    void multipleSkipsSettledDeliveries();
    void confirmsOutOfOrderAreReportedAsTheyArrive();
    void tagZeroWithMultipleMeansAll();
    void unknownTagClosesTheChannel_data();
    void unknownTagClosesTheChannel();
    void numbersGoOnAndTagsRestartAfterReopening();
    void messagesPublishedBeforeConfirmModeHaveNoNumber();
    void heldPublishesGetTheirTagsWhenTheyAreWritten();
    void publishesBeforeTheConnectionIsOpenAreConfirmed();
    void modesExcludeEachOther();

    void closeWaitsForConfirms();
    void everyConfirmGivesAClosingConnectionMoreTime();
    void everyConfirmGivesAClosingChannelMoreTime();
    void aConfirmThatCameBeforeGivesNoMoreTime();
    void theTimeForConfirmsBeginsWhenTheMessagesHaveLeft();
    void closeDoesNotWaitForConfirmsForEver_data();
    void closeDoesNotWaitForConfirmsForEver();
    void windowHoldsAndReleasesInOrder();
    void windowHasHysteresis();
    void windowMayChange();
    void aHeldMessageThatCannotBeSentFreesTheWindow();
};

using Events = QStringList;

void tst_Confirms::acksAndNacksComeOneByOne()
{
    Confirming t;
    t.publishMany(3);
    QCOMPARE(t.channel->publishing().unconfirmed(), 3);
    t.acks(1);
    t.s.broker(BasicNack{.deliveryTag = 2});
    QCOMPARE(t.channel->publishing().unconfirmed(), 1);
    t.s.expectEvent<Engine::PublishConfirmed>([&](const Engine::PublishConfirmed &confirmed) {
        QCOMPARE(confirmed.channel.get(), t.channel);
        QCOMPARE(confirmed.first, quint64(1));
        QCOMPARE(confirmed.last, quint64(1));
    });
    t.s.expectEvent<Engine::PublishFailed>([&](const Engine::PublishFailed &failed) {
        QCOMPARE(failed.first, quint64(2));
        QCOMPARE(failed.last, quint64(2));
        QCOMPARE(failed.reason.kind(), ErrorKind::Nacked);
        QCOMPARE(failed.reason.method(), u"basic.nack"_s);
    });
    t.acks(1).s.expectNoEvent(); // already reported
    t.acks(3);
    QCOMPARE(t.s.takeEvents(), Events{u"PublishConfirmed 1 3-3"_s});
    QCOMPARE(t.channel->publishing().unconfirmed(), 0);
}

void tst_Confirms::multipleIsARange()
{
    Confirming t;
    t.publishMany(9);
    t.acks(4, true);
    QCOMPARE(t.s.takeEvents(), Events{u"PublishConfirmed 1 1-4"_s});
    t.s.broker(BasicNack{.deliveryTag = 7, .multiple = true});
    QCOMPARE(t.s.takeEvents(), Events{u"PublishFailed 1 5-7 Nacked"_s});
    t.acks(7, true).acks(9, true);
    QCOMPARE(t.s.takeEvents(), Events{u"PublishConfirmed 1 8-9"_s});
}

void tst_Confirms::multipleSkipsSettledDeliveries()
{
    Confirming t;
    t.publishMany(6);
    t.s.broker(BasicNack{.deliveryTag = 2}).expectEvent<Engine::PublishFailed>();
    t.acks(5).s.expectEvent<Engine::PublishConfirmed>();
    t.acks(6, true);
    QCOMPARE(t.s.takeEvents(),
             Events({u"PublishConfirmed 1 1-1"_s, u"PublishConfirmed 1 3-4"_s, u"PublishConfirmed 1 6-6"_s}));
    QCOMPARE(t.channel->publishing().unconfirmed(), 0);
}

void tst_Confirms::confirmsOutOfOrderAreReportedAsTheyArrive()
{
    Confirming t;
    t.publishMany(4);
    t.acks(3).acks(1).acks(4).acks(2);
    QCOMPARE(t.s.takeEvents(), Events({u"PublishConfirmed 1 3-3"_s, u"PublishConfirmed 1 1-1"_s,
                                       u"PublishConfirmed 1 4-4"_s, u"PublishConfirmed 1 2-2"_s}));
}

void tst_Confirms::tagZeroWithMultipleMeansAll()
{
    Confirming t;
    t.publishMany(3);
    t.acks(0, true);
    t.publishMany(2);
    t.s.broker(BasicNack{.deliveryTag = 0, .multiple = true});
    QCOMPARE(t.s.takeEvents(), Events({u"PublishConfirmed 1 1-3"_s, u"PublishFailed 1 4-5 Nacked"_s}));
}

void tst_Confirms::unknownTagClosesTheChannel_data()
{
    QTest::addColumn<bool>("isNack");
    QTest::addColumn<quint64>("tag");
    QTest::addColumn<bool>("multiple");
    QTest::newRow("ack of one to come") << false << quint64(4) << false;
    QTest::newRow("ack up to one to come") << false << quint64(4) << true;
    QTest::newRow("nack of one to come") << true << ~quint64(0) << true;
    QTest::newRow("ack of 0") << false << quint64(0) << false;
}

void tst_Confirms::unknownTagClosesTheChannel()
{
    QFETCH(const bool, isNack);
    QFETCH(const quint64, tag);
    QFETCH(const bool, multiple);
    Confirming t;
    t.publishMany(3);
    t.acks(2).s.expectEvent<Engine::PublishConfirmed>();
    if (isNack)
        t.s.broker(BasicNack{.deliveryTag = tag, .multiple = multiple});
    else
        t.acks(tag, multiple);
    t.s.expectSent<Wire::ChannelClose>(
        [](const Wire::ChannelClose &close) { QCOMPARE(close.replyCode, quint16(406)); });
    QCOMPARE(t.s.takeEvents(), Events({u"PublishFailed 1 1-1 Unconfirmed"_s, u"PublishFailed 1 3-3 Unconfirmed"_s,
                                       u"ChannelClosed 1 ProtocolViolation"_s}));
    QVERIFY(t.s.engine.isOpen());
}

void tst_Confirms::numbersGoOnAndTagsRestartAfterReopening()
{
    Confirming t;
    t.publishMany(2);
    t.acks(1);
    t.s.broker(Wire::ChannelClose{.replyCode = 404, .replyText = "NOT_FOUND"}).expectSent<Wire::ChannelCloseOk>();
    QCOMPARE(t.s.takeEvents(), Events({u"PublishConfirmed 1 1-1"_s, u"PublishFailed 1 2-2 Unconfirmed"_s,
                                       u"ChannelClosed 1 ChannelClosed"_s}));
    QVERIFY(!t.channel->publish({}, u"key"_s, QByteArray(2, '\0'), "no", false));
    t.reopen();
    QCOMPARE(t.publish("again"), quint64(3));
    t.acks(1);
    QCOMPARE(t.s.takeEvents(), Events{u"PublishConfirmed 1 3-3"_s});
}

void tst_Confirms::messagesPublishedBeforeConfirmModeHaveNoNumber()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    QVERIFY(channel.publish({}, u"key"_s, QByteArray(2, '\0'), "plain", false));
    QCOMPARE(channel.publishing().unconfirmed(), 0);
    QVERIFY(channel.confirmSelect());
    QCOMPARE(*channel.publish({}, u"key"_s, QByteArray(2, '\0'), "confirmed", false), quint64(2));
    QCOMPARE(channel.publishing().unconfirmed(), 1);
    s.takeSent();
    s.broker(Wire::ConfirmSelectOk{}).expectEvent<Engine::ReplyArrived>();
    s.broker(BasicAck{.deliveryTag = 1});
    QCOMPARE(s.takeEvents(), Events{u"PublishConfirmed 1 2-2"_s});
}

void tst_Confirms::heldPublishesGetTheirTagsWhenTheyAreWritten()
{
    Confirming t;
    t.publishMany(1);
    t.s.broker(Wire::ConnectionBlocked{}).expectEvent<Engine::BlockedChanged>();
    QCOMPARE(t.publish("two"), quint64(2));
    t.publish("three");
    t.s.expectNothingSent();
    QCOMPARE(t.channel->publishing().unconfirmed(), 3);
    t.acks(0, true); // confirms everything received so far
    QCOMPARE(t.s.takeEvents(), Events{u"PublishConfirmed 1 1-1"_s});
    QCOMPARE(t.channel->publishing().unconfirmed(), 2);
    t.s.broker(Wire::ConnectionUnblocked{}).expectEvent<Engine::BlockedChanged>();
    t.s.expectPublished("two", "key").expectPublished("three", "key");
    t.acks(3, true);
    QCOMPARE(t.s.takeEvents(), Events{u"PublishConfirmed 1 2-3"_s});
    t.s.broker(Wire::ConnectionBlocked{}).expectEvent<Engine::BlockedChanged>();
    t.publish("four");
    t.acks(4); // the broker cannot have received message 4 yet
    QCOMPARE(t.s.takeEvents(),
             Events({u"PublishFailed 1 4-4 ProtocolViolation"_s, u"ChannelClosed 1 ProtocolViolation"_s}));
}

void tst_Confirms::publishesBeforeTheConnectionIsOpenAreConfirmed()
{
    Script s;
    auto &channel = s.newChannel();
    QVERIFY(channel.open());
    QVERIFY(channel.publish({}, u"key"_s, QByteArray(2, '\0'), "plain", false));
    QVERIFY(channel.confirmSelect());
    for (const char *body : {"a", "b", "c"})
        QVERIFY(channel.publish({}, u"key"_s, QByteArray(2, '\0'), body, false));
    QCOMPARE(channel.publishing().unconfirmed(), 3);
    channel.publishing().setConfirmWindow(2);
    s.expectEvent<Engine::ConfirmWindowChanged>();
    s.open().expectSent<Wire::ChannelOpen>().expectPublished("plain", "key").expectSent<Wire::ConfirmSelect>();
    s.expectPublished("a", "key").expectPublished("b", "key").expectNothingSent();
    s.broker(Wire::ChannelOpenOk{}).broker(Wire::ConfirmSelectOk{}).takeEvents();
    s.broker(BasicAck{.deliveryTag = 1}).expectPublished("c", "key");
    QCOMPARE(s.takeEvents(), Events{u"PublishConfirmed 1 2-2"_s});
    s.broker(BasicAck{.deliveryTag = 3, .multiple = true});
    QCOMPARE(s.takeEvents(), Events({u"PublishConfirmed 1 3-4"_s, u"ConfirmWindowChanged 1 false"_s}));
}

void tst_Confirms::modesExcludeEachOther()
{
    Confirming t;
    QCOMPARE(t.channel->txSelect().error().kind(), ErrorKind::InvalidArgument);
    QCOMPARE(t.channel->txCommit().error().kind(), ErrorKind::InvalidArgument);
    QCOMPARE(t.channel->txRollback().error().kind(), ErrorKind::InvalidArgument);
    auto &transactional = t.s.openChannel();
    QVERIFY(transactional.txSelect());
    t.s.expectSent<Wire::TxSelect>(2);
    QCOMPARE(transactional.confirmSelect().error().kind(), ErrorKind::InvalidArgument);
    t.s.expectNothingSent().expectNoEvent();
    QVERIFY(transactional.publish({}, u"key"_s, QByteArray(2, '\0'), "body", true));
    QCOMPARE(transactional.publishing().unconfirmed(), 0);
    t.s.takeSent();
    t.s.broker(BasicAck{.deliveryTag = 1}, 2).expectSent<Wire::ChannelClose>(2); // a transaction has no confirms
}

void tst_Confirms::closeWaitsForConfirms()
{
    Confirming t(1);
    t.publish("one");
    t.publish("two");
    const auto closing = *t.channel->close();
    QVERIFY(!t.channel->acceptsCalls());
    t.s.expectPublished("one", "key").expectNothingSent().takeEvents();
    t.acks(1).s.expectEvent<Engine::PublishConfirmed>();
    t.s.expectPublished("two", "key").expectNothingSent();
    t.s.broker(BasicNack{.deliveryTag = 2}).expectEvent<Engine::PublishFailed>();
    t.s.expectSent<Wire::ChannelClose>().expectNothingSent();
    t.s.broker(Wire::ChannelCloseOk{});
    t.s.takeEvent<Engine::ConfirmWindowChanged>();
    t.s.expectReply(closing).expectEvent<Engine::ChannelClosed>(
        [](const Engine::ChannelClosed &closed) { QVERIFY(!closed.reason.isError()); });
}

void tst_Confirms::everyConfirmGivesAClosingConnectionMoreTime()
{
    Script s;
    s.settings.replyTimeout = 0s;
    s.settings.closeTimeout = 30s;
    s.open();
    auto &channel = s.openChannel();
    const auto selecting = *channel.confirmSelect();
    s.expectSent<Wire::ConfirmSelect>().broker(Wire::ConfirmSelectOk{}).expectReply(selecting);
    for (int i = 0; i < 3; ++i)
        QVERIFY(channel.publish({}, u"key"_s, QByteArray(2, '\0'), "body", false));
    s.takeSent();
    s.engine.close(s.now);
    for (quint64 tag = 1; tag <= 3; ++tag) {
        s.expectNothingSent().advance(29s).expectNoEvent();
        s.broker(BasicAck{.deliveryTag = tag}).expectEvent<Engine::PublishConfirmed>();
    }
    s.expectSent<Wire::ChannelClose>();
}

void tst_Confirms::everyConfirmGivesAClosingChannelMoreTime()
{
    Confirming t;
    for (int i = 0; i < 3; ++i)
        t.publish("body");
    t.s.takeSent();
    const auto closing = *t.channel->close();
    for (quint64 tag = 1; tag <= 3; ++tag) {
        t.s.expectNothingSent().advance(29s).expectNoEvent();
        t.s.broker(BasicAck{.deliveryTag = tag}).expectEvent<Engine::PublishConfirmed>();
    }
    t.s.expectSent<Wire::ChannelClose>().advance(29s).expectNoEvent(); // the answer has its own timeout
    t.s.broker(Wire::ChannelCloseOk{}).expectReply(closing);
}

void tst_Confirms::aConfirmThatCameBeforeGivesNoMoreTime()
{
    Confirming t;
    for (int i = 0; i < 2; ++i)
        t.publish("body");
    t.s.takeSent();
    t.s.broker(BasicAck{.deliveryTag = 1}).expectEvent<Engine::PublishConfirmed>();
    t.s.engine.close(t.s.now);
    for (int i = 0; i < 4; ++i) // the deadline of the connection applies, 5 s
        t.s.expectNothingSent().advance(1s).broker(BasicAck{.deliveryTag = 1}).expectNoEvent();
    t.s.advance(1s);
    QCOMPARE(t.s.takeConnectionClosed().kind(), ErrorKind::Timeout);
}

void tst_Confirms::theTimeForConfirmsBeginsWhenTheMessagesHaveLeft()
{
    Confirming t;
    t.publish("body");
    QVERIFY(t.channel->close());
    t.s.engine.prepareOutput(t.s.now);
    QVERIFY(!t.s.engine.deadline());
    t.s.now += 1h; // the socket was full
    t.s.expectPublished("body", "key");
    QCOMPARE(t.s.engine.deadline(), std::optional(t.s.now + 30s));
}

void tst_Confirms::closeDoesNotWaitForConfirmsForEver_data()
{
    QTest::addColumn<bool>("beforeOpen");
    QTest::addColumn<bool>("isConnection");
    QTest::newRow("channel") << false << false;
    QTest::newRow("channel that was not open yet") << true << false;
    QTest::newRow("connection") << false << true;
}

void tst_Confirms::closeDoesNotWaitForConfirmsForEver()
{
    QFETCH(const bool, beforeOpen);
    QFETCH(const bool, isConnection);
    Script s;
    s.settings.replyTimeout = 30s;
    s.settings.closeTimeout = 30s;
    if (!beforeOpen)
        s.open();
    auto &channel = s.newChannel();
    QVERIFY(channel.open());
    QVERIFY(channel.confirmSelect());
    QVERIFY(channel.publish({}, u"key"_s, QByteArray(2, '\0'), "body", false));
    if (!isConnection)
        QVERIFY(channel.close());
    if (beforeOpen)
        s.open();
    if (isConnection)
        s.engine.close(s.now);
    s.expectSent<Wire::ChannelOpen>()
        .expectSent<Wire::ConfirmSelect>()
        .expectPublished("body", "key")
        .expectNothingSent();
    s.broker(Wire::ChannelOpenOk{}).broker(Wire::ConfirmSelectOk{}).takeEvents();
    s.advance(29s).expectNothingSent().expectNoEvent();
    s.advance(1s);
    if (isConnection) {
        QCOMPARE(s.takeEvents(),
                 Events({u"PublishFailed 1 1-1 Unconfirmed"_s, u"ReplyArrived 3 Timeout"_s, // of the channel's close
                         u"ChannelClosed 1 Timeout"_s, u"ConnectionClosed Timeout"_s}));
        return;
    }
    s.expectSent<Wire::ChannelClose>();
    s.expectEvent<Engine::PublishFailed>(
        [](const Engine::PublishFailed &failed) { QCOMPARE(failed.reason.kind(), ErrorKind::Unconfirmed); });
    const auto reply = s.takeEvent<Engine::ReplyArrived>();
    QVERIFY(std::holds_alternative<Error>(reply.value));
    QCOMPARE(std::get<Error>(reply.value).kind(), ErrorKind::Timeout);
    QCOMPARE(std::get<Error>(reply.value).method(), u"channel.close"_s);
    QCOMPARE(s.takeEvents(), Events{u"ChannelClosed 1 Timeout"_s});
    QVERIFY(s.engine.isOpen());
}

void tst_Confirms::windowHoldsAndReleasesInOrder()
{
    Confirming t(2);
    for (const char *body : {"1", "2", "3"})
        t.publish(body);
    const auto purging = *t.channel->topology().purgeQueue(u"queue"_s); // keeps its position in the order
    t.publish("4");
    t.s.expectPublished("1", "key").expectPublished("2", "key").expectNothingSent();
    QCOMPARE(t.channel->publishing().unconfirmed(), 4);
    t.acks(2).s.expectPublished("3", "key").expectSent<Wire::QueuePurge>().expectNothingSent();
    t.s.broker(Wire::QueuePurgeOk{});
    t.acks(3, true).s.expectPublished("4", "key").expectNothingSent();
    t.acks(4);
    QCOMPARE(t.s.takeEvents(),
             Events({u"ConfirmWindowChanged 1 true"_s, u"PublishConfirmed 1 2-2"_s, u"ReplyArrived %1"_s.arg(purging),
                     u"PublishConfirmed 1 1-1"_s, u"PublishConfirmed 1 3-3"_s, u"ConfirmWindowChanged 1 false"_s,
                     u"PublishConfirmed 1 4-4"_s}));
}

void tst_Confirms::windowHasHysteresis()
{
    Confirming t(4);
    t.publishMany(3);
    QVERIFY(!t.channel->publishing().isConfirmWindowFull());
    t.s.expectNoEvent();
    t.publishMany(1);
    QVERIFY(t.channel->publishing().isConfirmWindowFull());
    QCOMPARE(t.s.takeEvents(), Events{u"ConfirmWindowChanged 1 true"_s});
    t.acks(1).s.expectEvent<Engine::PublishConfirmed>();
    QVERIFY(t.channel->publishing().isConfirmWindowFull());
    t.publishMany(1);
    t.acks(3, true).s.expectEvent<Engine::PublishConfirmed>();
    QCOMPARE(t.s.takeEvents(), Events{u"ConfirmWindowChanged 1 false"_s});
    QVERIFY(!t.channel->publishing().isConfirmWindowFull());
    t.publishMany(1);
    t.s.expectNoEvent();
}

void tst_Confirms::windowMayChange()
{
    Confirming t;
    t.publishMany(5);
    t.channel->publishing().setConfirmWindow(3);
    QCOMPARE(t.s.takeEvents(), Events{u"ConfirmWindowChanged 1 true"_s});
    t.publish("6");
    t.publish("7");
    t.s.expectNothingSent();
    t.acks(2, true).s.expectNothingSent();
    t.channel->publishing().setConfirmWindow(4);
    t.s.expectPublished("6", "key").expectNothingSent();
    t.channel->publishing().setConfirmWindow(0);
    t.s.expectPublished("7", "key");
    QCOMPARE(t.s.takeEvents(), Events({u"PublishConfirmed 1 1-2"_s, u"ConfirmWindowChanged 1 false"_s}));
}

void tst_Confirms::aHeldMessageThatCannotBeSentFreesTheWindow()
{
    Script s;
    s.settings.frameMax = 8192;
    s.engine.configure(s.settings);
    auto &channel = s.newChannel();
    QVERIFY(channel.open());
    QVERIFY(channel.confirmSelect());
    channel.publishing().setConfirmWindow(1);
    const QByteArray large = propertiesOf({}, {{u"x"_s, QString(5000, u'x')}});
    QVERIFY(channel.publish({}, u"key"_s, large, "body", false));
    s.expectEvent<Engine::ConfirmWindowChanged>();
    s.open({.frameMax = 4096});
    QCOMPARE(s.takeEvents(), Events({u"PublishFailed 1 1-1 InvalidArgument"_s, u"ConfirmWindowChanged 1 false"_s}));
    QVERIFY(!channel.publishing().isConfirmWindowFull());
}

QTEST_APPLESS_MAIN(tst_Confirms)

#include "tst_confirms.moc"
