// SPDX-License-Identifier: MIT
#include "engine/recovering.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

// The calls and messages of a channel that were under way, or held, when the connection was lost.
class tst_SuspendedCalls : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void callsThatSetUpAreRepeatedInTheirOrder();
    void otherCallsEndWithNetwork();
    void refusedCallIsNotRepeated();
    void refusedConsumerIsNotRepeated();
    void refusedPrefetchIsNotRestored();
    void refusedPrefetchOfTheApplicationIsNoFailureOfTheRecovery();
    void timeOfARepeatedCallBeginsAgain();
    void heldCallsKeepTheirPlace();
    void restOfATransactionIsNotCommitted_data();
    void restOfATransactionIsNotCommitted();
    void selectedModeIsNotRestoredTwice();
    void messagesBeforeConfirmModeStayBeforeIt();
    void unconfirmedMessagesAreUnknown();
    void heldMessagesAreSentAfterRestoring();
    void confirmsOfTheLostConnectionAreNotExpected();
    void windowIsFreeAfterALoss();
    void callsNameTheLastQueue();
    void heldCallsNameTheLastQueue();
    void emptyNameFollowsItsRepeatedDeclaration();
    void heldCallsFollowNewNames();
    void recordKeepsWhatIsStillExpected();
    void callsThatAreTooLargeForTheNewConnectionFail();
};

namespace
{

QByteArray noProperties()
{
    return QByteArray(2, '\0');
}

} // namespace

void tst_SuspendedCalls::callsThatSetUpAreRepeatedInTheirOrder()
{
    Recovering s;
    auto &channel = s.openChannel();
    auto &topology = channel.topology();
    std::vector<Engine::CallId> calls;
    calls.push_back(*topology.declareExchange(u"x"_s, u"topic"_s, {}, false));
    calls.push_back(*topology.declareQueue(u"q"_s, {}, false));
    calls.push_back(*topology.bindQueue(u"q"_s, u"x"_s, u"k"_s, {}));
    calls.push_back(*channel.requestAccess(u"/data"_s, {}));
    calls.push_back(*topology.unbindQueue(u"q"_s, u"x"_s, u"k2"_s, {}));
    calls.push_back(*topology.bindExchange(u"y"_s, u"x"_s, u"k"_s, {}));
    calls.push_back(*topology.unbindExchange(u"y"_s, u"x"_s, u"k2"_s, {}));
    calls.push_back(*channel.subscriptions().setPrefetch(7, false));
    calls.push_back(*channel.confirmSelect());
    calls.push_back(s.consume(channel, u"tag"_s, u"q"_s)->startCall);
    s.loseAndReconnect();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 exchange.declare"_s, u"1 queue.declare q"_s,
                                           u"1 queue.bind q k"_s, u"1 access.request"_s, u"1 queue.unbind q k2"_s,
                                           u"1 exchange.bind k"_s, u"1 exchange.unbind k2"_s, u"1 basic.qos 7"_s,
                                           u"1 confirm.select"_s, u"1 basic.consume tag q"_s}));
    s.answerSent();
    QStringList replies = s.takeEvents().filter(u"ReplyArrived"_s);
    replies.removeFirst(); // channel.open
    QStringList expected;
    for (const Engine::CallId call : calls)
        expected += u"ReplyArrived %1"_s.arg(call);
    QCOMPARE(replies, expected);
}

void tst_SuspendedCalls::otherCallsEndWithNetwork()
{
    Recovering s;
    auto &channel = s.openChannel();
    auto &committing = s.openChannel();
    auto &rollingBack = s.openChannel();
    committing.txSelect();
    rollingBack.txSelect();
    s.answerAll();
    s.takeEvents();
    std::vector<Engine::CallId> calls;
    calls.push_back(*channel.get(u"q"_s, false));
    calls.push_back(*channel.topology().purgeQueue(u"q"_s));
    calls.push_back(*channel.topology().deleteQueue(u"q"_s, false, false));
    calls.push_back(*channel.topology().deleteExchange(u"x"_s, false));
    calls.push_back(*channel.redeliverUnacked());
    calls.push_back(*committing.txCommit());
    calls.push_back(*rollingBack.txRollback());
    s.write();
    s.broker(Wire::ConnectionClose{.replyCode = 320, .replyText = "CONNECTION_FORCED"});
    QStringList expected;
    for (const Engine::CallId call : calls)
        expected += u"ReplyArrived %1 Network"_s.arg(call);
    QCOMPARE(s.takeEvents().filter(u"ReplyArrived"_s), expected);
    s.open();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"2 channel.open"_s, u"2 tx.select"_s,
                                           u"3 channel.open"_s, u"3 tx.select"_s}));
}

// Otherwise the broker would close each connection.
void tst_SuspendedCalls::refusedCallIsNotRepeated()
{
    Recovering s;
    auto &channel = s.openChannel();
    auto &other = s.openChannel();
    const auto refused = channel.topology().declareQueue(u"transient"_s, {.durable = false}, false);
    const auto next = channel.topology().declareQueue(u"next"_s, {}, false);
    const auto ofOther = other.topology().bindQueue(u"q"_s, u"x"_s, {}, {});
    s.write();
    s.broker(Wire::ConnectionClose{.replyCode = 541, .replyText = "INTERNAL_ERROR", .classId = 50, .methodId = 10});
    s.expectReply(*refused, ErrorKind::ConnectionClosed);
    s.expectEvent<Engine::ChannelSuspended>().expectEvent<Engine::ChannelSuspended>();
    s.expectEvent<Engine::ConnectionClosed>();
    s.open();
    QCOMPARE(s.sentMethods(),
             QStringList({u"1 channel.open"_s, u"1 queue.declare next"_s, u"2 channel.open"_s, u"2 queue.bind q "_s}));
    s.answerSent();
    const QStringList events = s.takeEvents();
    QVERIFY(events.contains(u"ReplyArrived %1"_s.arg(*next)));
    QVERIFY(events.contains(u"ReplyArrived %1"_s.arg(*ofOther)));
}

void tst_SuspendedCalls::refusedConsumerIsNotRepeated()
{
    Recovering s;
    auto &channel = s.openChannel();
    s.consume(channel, u"active"_s, u"q"_s);
    s.answerAll();
    s.takeEvents();
    const auto refused = s.consume(channel, u"refused"_s, u"q"_s);
    s.consume(channel, u"later"_s, u"q"_s);
    s.write();
    s.broker(Wire::ConnectionClose{.replyCode = 530, .replyText = "NOT_ALLOWED", .classId = 60, .methodId = 20});
    s.expectReply(refused->startCall, ErrorKind::ConnectionClosed).expectEvent<Engine::ConsumerCancelled>();
    s.expectEvent<Engine::ChannelSuspended>().expectEvent<Engine::ConnectionClosed>();
    s.open();
    QCOMPARE(s.sentMethods(),
             QStringList({u"1 channel.open"_s, u"1 basic.consume active q"_s, u"1 basic.consume later q"_s}));
}

// RabbitMQ 4.3 has no prefetch for a whole channel.
void tst_SuspendedCalls::refusedPrefetchIsNotRestored()
{
    Recovering s;
    auto &channel = s.openChannel();
    channel.subscriptions().setPrefetch(50, true);
    s.consume(channel, u"tag"_s, u"q"_s);
    s.answerAll();
    s.loseAndReconnect();
    QCOMPARE(s.sentMethods(),
             QStringList({u"1 channel.open"_s, u"1 basic.qos 50 global"_s, u"1 basic.consume tag q"_s}));
    s.broker(Wire::ChannelOpenOk{});
    s.broker(Wire::ConnectionClose{.replyCode = 540, .replyText = "NOT_IMPLEMENTED", .classId = 60, .methodId = 10});
    s.takeEvents();
    s.open();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 basic.consume tag q"_s}));
    s.answerSent();
    QCOMPARE(s.takeEvents().last(), u"ChannelsRestored 1 1"_s); // the prefetch has failed
}

void tst_SuspendedCalls::refusedPrefetchOfTheApplicationIsNoFailureOfTheRecovery()
{
    Recovering s;
    auto &channel = s.openChannel();
    const auto limiting = channel.subscriptions().setPrefetch(50, true);
    s.write();
    s.broker(Wire::ConnectionClose{.replyCode = 540, .replyText = "NOT_IMPLEMENTED", .classId = 60, .methodId = 10});
    s.expectReply(*limiting, ErrorKind::ConnectionClosed);
    s.takeEvents();
    s.open();
    QCOMPARE(s.sentMethods(), QStringList{u"1 channel.open"_s});
    s.answerSent();
    QCOMPARE(s.takeEvents().last(), u"ChannelsRestored 0 0"_s);
}

void tst_SuspendedCalls::timeOfARepeatedCallBeginsAgain()
{
    const auto timeout = Script::defaultSettings().replyTimeout;
    Recovering s;
    auto &channel = s.openChannel();
    s.consume(channel, u"refused"_s, u"gone"_s);
    s.consume(channel, u"tag"_s, u"q"_s);
    s.answerAll();
    const auto declaring = channel.topology().declareQueue(u"d"_s, {}, false);
    s.loseAndReconnect();
    s.takeSent();
    s.broker(Wire::ChannelOpenOk{});
    s.advance(timeout * 2 / 3);
    s.broker(Wire::ChannelClose{
        .replyCode = 404, .replyText = "NOT_FOUND - no queue 'gone'", .classId = 60, .methodId = 20});
    s.takeEvents();
    s.expectSent<Wire::ChannelCloseOk>();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 queue.declare d"_s, u"1 basic.consume tag q"_s}));
    s.advance(timeout * 2 / 3).expectNoEvent();
    s.answerSent();
    QVERIFY(s.takeEvents().contains(u"ReplyArrived %1"_s.arg(*declaring)));
    QCOMPARE(channel.state(), Engine::ChannelEngine::State::Open);
}

void tst_SuspendedCalls::heldCallsKeepTheirPlace()
{
    Recovering s;
    auto &channel = s.openChannel();
    channel.txSelect();
    s.answerAll();
    channel.txCommit();
    const auto getting = channel.get(u"q"_s, false); // held until commit-ok
    channel.publish({}, u"one"_s, noProperties(), "1", false);
    const auto declaring = channel.topology().declareQueue(u"d"_s, {}, false);
    channel.publish({}, u"two"_s, noProperties(), "2", false);
    s.loseAndReconnect();
    s.expectSent<Wire::ChannelOpen>().expectSent<Wire::TxSelect>().expectSent<Wire::BasicGet>();
    s.expectPublished("1", "one").expectSent<Wire::QueueDeclare>().expectPublished("2", "two").expectNothingSent();
    s.broker(Wire::ChannelOpenOk{}).broker(Wire::TxSelectOk{}).broker(Wire::BasicGetEmpty{});
    s.broker(Wire::QueueDeclareOk{.queue = "d"});
    const QStringList events = s.takeEvents();
    QVERIFY(events.contains(u"ReplyArrived %1"_s.arg(*getting)));
    QVERIFY(events.contains(u"ReplyArrived %1"_s.arg(*declaring)));
}

// The application believes that everything since the last commit is in the transaction.
void tst_SuspendedCalls::restOfATransactionIsNotCommitted_data()
{
    QTest::addColumn<int>("what");
    QTest::addColumn<bool>("isTorn");
    QTest::newRow("message sent") << 0 << true;
    QTest::newRow("delivery acknowledged") << 1 << true;
    QTest::newRow("nothing since tx.select") << 2 << false;
    QTest::newRow("nothing since tx.commit") << 3 << false;
    QTest::newRow("message held") << 4 << false;
    QTest::newRow("rolled back after the loss") << 5 << false;
    QTest::newRow("commit made before the loss") << 6 << true;
}

void tst_SuspendedCalls::restOfATransactionIsNotCommitted()
{
    QFETCH(const int, what);
    QFETCH(const bool, isTorn);
    Recovering s;
    auto &channel = s.openChannel();
    channel.publish({}, u"k"_s, noProperties(), "before the transaction", false);
    channel.txSelect();
    s.consume(channel, u"tag"_s, u"q"_s);
    s.answerAll();
    if (what == 0 || what == 3 || what == 5 || what == 6)
        channel.publish({}, u"k"_s, noProperties(), "body", false);
    std::optional<Engine::CallId> committing;
    switch (what) {
    case 1:
        s.deliver("tag", 1);
        QCOMPARE(channel.deliveries().ack(1).count, 1);
        break;
    case 3:
        channel.txCommit();
        s.answerAll();
        break;
    case 4:
    case 6:
        s.broker(Wire::ConnectionBlocked{});
        channel.publish({}, u"k"_s, noProperties(), "held", false);
        if (what == 6)
            committing = *channel.txCommit();
        break;
    default:
        break;
    }
    s.loseAndReconnect();
    s.answerAll();
    s.takeEvents();
    s.takeSent();
    if (what == 5) {
        channel.txRollback();
        s.answerAll();
    }
    channel.publish({}, u"k"_s, noProperties(), "after the loss", false);
    if (!committing)
        committing = *channel.txCommit();
    else
        s.broker(Wire::TxRollbackOk{});
    if (what != 6) {
        s.takeSent();
        isTorn ? s.broker(Wire::TxRollbackOk{}) : s.broker(Wire::TxCommitOk{});
    }
    QCOMPARE(s.takeEvents().filter(u"ReplyArrived"_s).last(),
             u"ReplyArrived %1"_s.arg(*committing) + (isTorn ? u" Network"_s : QString()));
    const auto next = *channel.txCommit();
    s.broker(Wire::TxCommitOk{}).expectReply(next);
}

void tst_SuspendedCalls::selectedModeIsNotRestoredTwice()
{
    Recovering s;
    auto &channel = s.openChannel();
    const auto selecting = channel.confirmSelect();
    s.loseAndReconnect();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 confirm.select"_s}));
    s.answerSent();
    QVERIFY(s.takeEvents().contains(u"ReplyArrived %1"_s.arg(*selecting)));
    s.loseAndReconnect();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 confirm.select"_s}));
}

void tst_SuspendedCalls::messagesBeforeConfirmModeStayBeforeIt()
{
    Recovering s;
    auto &channel = s.openChannel();
    s.broker(Wire::ConnectionBlocked{});
    channel.publish({}, u"plain"_s, noProperties(), "1", false);
    channel.confirmSelect();
    const auto confirmed = channel.publish({}, u"confirmed"_s, noProperties(), "2", false);
    s.loseAndReconnect();
    s.expectSent<Wire::ChannelOpen>().expectPublished("1", "plain").expectSent<Wire::ConfirmSelect>();
    s.expectPublished("2", "confirmed");
    s.broker(Wire::ChannelOpenOk{}).broker(Wire::ConfirmSelectOk{});
    s.takeEvents();
    s.broker(Wire::BasicAck{.deliveryTag = 1});
    QCOMPARE(s.takeEvent<Engine::PublishConfirmed>().first, *confirmed);
}

void tst_SuspendedCalls::unconfirmedMessagesAreUnknown()
{
    Recovering s;
    auto &channel = s.openChannel();
    channel.confirmSelect();
    s.answerAll();
    for (int i = 0; i < 4; ++i)
        channel.publish({}, u"k"_s, noProperties(), QByteArray::number(i), false);
    s.write();
    s.broker(Wire::BasicAck{.deliveryTag = 2});
    s.takeEvents();
    s.lose();
    const auto first = s.takeEvent<Engine::PublishFailed>();
    QCOMPARE(first.first, quint64(1));
    QCOMPARE(first.last, quint64(1));
    QCOMPARE(first.reason.kind(), ErrorKind::Unconfirmed); // Network means that it was never sent
    const auto others = s.takeEvent<Engine::PublishFailed>();
    QCOMPARE(others.first, quint64(3));
    QCOMPARE(others.last, quint64(4));
    s.expectEvent<Engine::ChannelSuspended>();
}

void tst_SuspendedCalls::heldMessagesAreSentAfterRestoring()
{
    Recovering s;
    auto &channel = s.openChannel();
    channel.confirmSelect();
    channel.publishing().setConfirmWindow(1);
    s.consume(channel, u"tag"_s, u"q"_s);
    s.answerAll();
    s.takeEvents();
    channel.publish({}, u"k"_s, noProperties(), "sent", false);
    const auto held = channel.publish({}, u"k"_s, noProperties(), "held", false);
    s.write();
    s.takeEvents();
    s.lose();
    const auto lost = s.takeEvent<Engine::PublishFailed>();
    QCOMPARE(lost.last, *held - 1);
    s.expectEvent<Engine::ChannelSuspended>().expectEvent<Engine::ConnectionClosed>();
    const auto late = channel.publish({}, u"k"_s, noProperties(), "late", false);
    s.open();
    s.expectSent<Wire::ChannelOpen>().expectSent<Wire::ConfirmSelect>().expectSent<Wire::BasicConsume>();
    s.broker(Wire::ChannelOpenOk{}).broker(Wire::ConfirmSelectOk{}).expectNothingSent();
    s.broker(Wire::BasicConsumeOk{.consumerTag = "tag"}).takeEvents();
    s.expectPublished("held", "k").expectNothingSent();
    s.broker(Wire::BasicAck{.deliveryTag = 1});
    QCOMPARE(s.takeEvent<Engine::PublishConfirmed>().first, *held);
    s.expectPublished("late", "k");
    s.broker(Wire::BasicAck{.deliveryTag = 2});
    QVERIFY(s.takeEvents().contains(u"PublishConfirmed 1 %1-%1"_s.arg(*late)));
}

void tst_SuspendedCalls::confirmsOfTheLostConnectionAreNotExpected()
{
    Recovering s;
    auto &channel = s.openChannel();
    channel.confirmSelect();
    s.answerAll();
    for (int loss = 0; loss < 3; ++loss) {
        const auto unknown = channel.publish({}, u"k"_s, noProperties(), "unknown", false);
        s.write();
        s.lose();
        QVERIFY(s.takeEvents().contains(u"PublishFailed 1 %1-%1 Unconfirmed"_s.arg(*unknown)));
        s.open();
        s.answerAll();
        s.takeEvents();
        const auto known = channel.publish({}, u"k"_s, noProperties(), "known", false);
        s.takeSent();
        s.broker(Wire::BasicAck{.deliveryTag = 1, .multiple = true});
        QCOMPARE(s.takeEvents(), QStringList{u"PublishConfirmed 1 %1-%1"_s.arg(*known)});
    }
}

void tst_SuspendedCalls::windowIsFreeAfterALoss()
{
    Recovering s;
    auto &channel = s.openChannel();
    channel.confirmSelect();
    channel.publishing().setConfirmWindow(2);
    s.answerAll();
    channel.publish({}, u"k"_s, noProperties(), "1", false);
    channel.publish({}, u"k"_s, noProperties(), "2", false);
    QVERIFY(s.takeEvents().contains(u"ConfirmWindowChanged 1 true"_s));
    s.lose();
    QVERIFY(s.takeEvents().contains(u"ConfirmWindowChanged 1 false"_s));
    QCOMPARE(channel.publishing().unconfirmed(), qsizetype(0));
}

void tst_SuspendedCalls::callsNameTheLastQueue()
{
    Recovering s;
    auto &channel = s.openChannel();
    auto &topology = channel.topology();
    topology.declareQueue({}, {}, false);
    topology.bindQueue({}, u"x"_s, {}, {});
    s.consume(channel, u"first"_s, {});
    topology.declareQueue(u"other"_s, {}, false);
    topology.bindQueue({}, u"x"_s, {}, {});
    s.takeSent();
    s.broker(Wire::QueueDeclareOk{.queue = "amq.gen-1"});
    s.loseAndReconnect();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 queue.bind amq.gen-1 amq.gen-1"_s,
                                           u"1 basic.consume first amq.gen-1"_s, u"1 queue.declare other"_s,
                                           u"1 queue.bind other other"_s}));
    s.answerSent();
    s.loseAndReconnect();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 basic.consume first amq.gen-1"_s}));
}

void tst_SuspendedCalls::heldCallsNameTheLastQueue()
{
    Recovering s;
    auto &channel = s.openChannel();
    auto &topology = channel.topology();
    s.broker(Wire::ConnectionBlocked{});
    topology.declareQueue({}, {}, false);
    channel.publish({}, u"k"_s, noProperties(), "held", false);
    topology.bindQueue({}, u"x"_s, u"k"_s, {}); // behind the message
    s.takeSent();
    s.broker(Wire::QueueDeclareOk{.queue = "amq.gen-1"});
    s.loseAndReconnect();
    s.expectSent<Wire::ChannelOpen>().expectPublished("held", "k");
    s.expectSent<Wire::QueueBind>([](const auto &bind) { QCOMPARE(bind.queue, QByteArrayView("amq.gen-1")); });
}

void tst_SuspendedCalls::emptyNameFollowsItsRepeatedDeclaration()
{
    Recovering s;
    auto &channel = s.openChannel();
    auto &topology = channel.topology();
    topology.declareQueue({}, {}, false);
    topology.bindQueue({}, u"x"_s, u"k"_s, {});
    const auto consumer = s.consume(channel, u"tag"_s, {});
    s.loseAndReconnect();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 queue.declare -"_s, u"1 queue.bind - k"_s,
                                           u"1 basic.consume tag -"_s}));
    s.broker(Wire::ChannelOpenOk{}).broker(Wire::QueueDeclareOk{.queue = "amq.gen-2"}).broker(Wire::QueueBindOk{});
    s.broker(Wire::BasicConsumeOk{.consumerTag = "tag"});
    s.takeEvents();
    s.loseAndReconnect();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 basic.consume tag amq.gen-2"_s}));
}

void tst_SuspendedCalls::heldCallsFollowNewNames()
{
    Recovering s(true);
    auto &channel = s.openChannel();
    auto &topology = channel.topology();
    topology.declareQueue({}, {.exclusive = true}, false);
    s.takeSent();
    s.broker(Wire::QueueDeclareOk{.queue = "amq.gen-1"});
    const auto consumer = s.consume(channel, u"tag"_s, {});
    s.broker(Wire::BasicConsumeOk{.consumerTag = "tag"});
    topology.bindQueue({}, u"x"_s, u"k"_s, {});
    s.loseAndReconnect();
    s.engine.recordedTopology()->queueRenamed(u"amq.gen-1"_s, u"amq.gen-2"_s);
    s.engine.gate().renameQueues({{u"amq.gen-1"_s, u"amq.gen-2"_s}});
    QCOMPARE(topology.lastQueue(), u"amq.gen-2"_s);
    QCOMPARE(Engine::Subscriptions::queueOf(*consumer), u"amq.gen-2"_s);
    s.engine.gate().release();
    QCOMPARE(s.sentMethods(),
             QStringList({u"1 channel.open"_s, u"1 basic.consume tag amq.gen-2"_s, u"1 queue.bind amq.gen-2 k"_s}));
    s.answerSent();
    s.loseAndReconnect();
    s.engine.gate().release();
    QCOMPARE(s.sentMethods(), QStringList({u"1 channel.open"_s, u"1 basic.consume tag amq.gen-2"_s}));
}

void tst_SuspendedCalls::recordKeepsWhatIsStillExpected()
{
    Recovering s;
    auto &channel = s.openChannel();
    channel.topology().declareQueue(u"confirmed"_s, {}, false);
    s.answerAll();
    channel.topology().declareQueue(u"expected"_s, {}, false);
    s.loseAndReconnect();
    const auto &record = s.engine.recordedTopology()->confirmed();
    QCOMPARE(record.queues().size(), size_t(1));
    s.answerAll();
    QCOMPARE(record.queues().size(), size_t(2));
    QVERIFY(record.queue(u"expected"_s));
}

void tst_SuspendedCalls::callsThatAreTooLargeForTheNewConnectionFail()
{
    Recovering s;
    auto &channel = s.openChannel();
    const FieldTable large{{u"x-match"_s, QString(8000, u'x')}};
    const auto binding = channel.topology().bindQueue(u"q"_s, u"x"_s, {}, large);
    s.write();
    s.lose();
    s.takeEvents();
    Offer offer;
    offer.frameMax = 4096;
    s.open(offer);
    QCOMPARE(s.sentMethods(), QStringList{u"1 channel.open"_s});
    s.expectReply(*binding, ErrorKind::InvalidArgument);
}

QTEST_APPLESS_MAIN(tst_SuspendedCalls)

#include "tst_suspendedcalls.moc"
