// SPDX-License-Identifier: MIT
#include "client/memoryclient.h"

#include "declarationqueue.h"

#include <AmqpQt/recovery.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;
using Phase = DeclarationQueue::Phase;

namespace
{

// A queue of calls on an open connection to a broker in memory.
struct Declaring {
    Declaring()
    {
        client.connection.setParameters(recovering());
        if (!client.open())
            qFatal("the connection does not open");
        watchBroker();
    }
    // The connection recovers when recover() is called.
    static ConnectionParameters recovering()
    {
        ConnectionParameters parameters;
        parameters.setRecoveryPolicy(RecoveryPolicy().withDelays(24h, 24h, 1.0));
        return parameters;
    }
    void lose()
    {
        client.broker().transport->fail(Error(ErrorKind::Network, u"lost"_s));
        awaitLoss();
    }
    void awaitLoss()
    {
        if (!waitUntil([this] { return client.connection.state() == Connection::State::Recovering; }))
            qFatal("the loss is not noticed");
        received.clear();
    }
    void recover()
    {
        const std::size_t attempts = client.brokers.size();
        client.connection.reconnectNow();
        if (!waitUntil([&] { return client.brokers.size() > attempts; }))
            qFatal("there is no attempt");
        watchBroker();
        client.broker().transport->accept();
    }
    void watchBroker()
    {
        client.broker().hook = [this](const Frame &frame) {
            if (const auto declare = frame.as<Wire::QueueDeclare>()) {
                const QByteArray name = declare->queue.toByteArray();
                received += u"%1 queue %2"_s.arg(frame.channel).arg(QString::fromUtf8(name));
                if (name == "refused")
                    client.broker().send(Wire::ChannelClose{.replyCode = 404, .replyText = "NOT_FOUND"}, frame.channel);
                if (name == "fatal")
                    client.broker().send(Wire::ConnectionClose{.replyCode = 541,
                                                               .replyText = "INTERNAL_ERROR",
                                                               .classId = Wire::QueueDeclare::id.classId,
                                                               .methodId = Wire::QueueDeclare::id.methodId});
                return name == "refused" || name == "fatal" || (name == "unanswered" && !answersAll);
            }
            if (frame.is(Wire::QueuePurge::id)) {
                received += u"%1 purge"_s.arg(frame.channel);
                return !answersAll;
            }
            if (frame.is(Wire::ExchangeDeclare::id))
                received += u"%1 exchange"_s.arg(frame.channel);
            if (frame.is(Wire::QueueBind::id))
                received += u"%1 binding"_s.arg(frame.channel);
            return false;
        };
    }
    void declare(QObject *theOwner, const QString &name, Phase phase = Phase::Queues)
    {
        queue.add(phase, theOwner, callFor(name), noteEnd(name));
    }
    std::function<std::optional<Reply<QueueInfo>>(Channel *)> callFor(const QString &name)
    {
        return [this, name](Channel *channel) {
            log += u"call "_s + name;
            return std::optional(channel->declareQueue(name));
        };
    }
    std::function<void(const Result<QueueInfo> &)> noteEnd(const QString &name)
    {
        return [this, name](const Result<QueueInfo> &result) { log += name + u' ' + brief(result.error()); };
    }

    bool answersAll = false;
    QStringList received; // with the numbers of the channels
    QStringList log;
    QObject owner;
    QObject other;
    Client client;
    DeclarationQueue queue{&client.connection};
};

} // namespace

class tst_DeclarationQueue : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void exchangesQueuesAndBindingsComeInThisOrder();
    void stepsOfAnOwnerRunOneAfterTheOther();
    void refusedCallSparesTheOthers();
    void stepsOfADeletedOwnerAreNotMade();
    void unneededStepIsSkipped();
    void stepOfAnyTimeWaitsForNoPhase();
    void onlyCallsMadeOnceFailWithTheConnection();
    void callsKeepTheirPlacesInARecovery();
    void callForWhichTheConnectionIsClosedFailsAlone();
    void namesFollowTheBroker();
};

void tst_DeclarationQueue::exchangesQueuesAndBindingsComeInThisOrder()
{
    Declaring t;
    QObject owners[3];
    QStringList receivedBefore;
    t.queue.whenDeclared(&t.other, [&] {
        receivedBefore = t.received;
        t.log += u"declared"_s;
    });
    const auto ignore = [](const Result<void> &) {};
    t.queue.add(
        Phase::Bindings, &owners[0], [](Channel *c) { return std::optional(c->bindQueue(u"q"_s, u"x"_s)); }, ignore);
    t.declare(&owners[1], u"q"_s);
    t.queue.add(
        Phase::Exchanges, &owners[2],
        [](Channel *c) { return std::optional(c->declareExchange(u"x"_s, ExchangeType::Topic)); }, ignore);
    QCOMPARE(t.received, QStringList());
    QVERIFY(waitUntil([&] { return t.log.contains(u"declared"_s); }));
    QCOMPARE(receivedBefore, QStringList({u"1 exchange"_s, u"1 queue q"_s, u"1 binding"_s}));
}

void tst_DeclarationQueue::stepsOfAnOwnerRunOneAfterTheOther()
{
    Declaring t;
    t.declare(&t.owner, u"1"_s);
    t.declare(&t.owner, u"2"_s);
    t.declare(&t.other, u"3"_s);
    QVERIFY(waitUntil([&] { return t.log.size() == 6; }));
    QCOMPARE(t.log, QStringList({u"call 1"_s, u"call 3"_s, u"1 ok"_s, u"3 ok"_s, u"call 2"_s, u"2 ok"_s}));
}

void tst_DeclarationQueue::refusedCallSparesTheOthers()
{
    Declaring t;
    QObject third;
    t.declare(&t.owner, u"good"_s);
    t.declare(&t.other, u"refused"_s);
    t.declare(&third, u"behind"_s);
    QVERIFY(waitUntil([&] { return t.log.contains(u"behind ok"_s); }));
    QCOMPARE(t.log.filter(u"good"_s), QStringList({u"call good"_s, u"good ok"_s}));
    QCOMPARE(t.log.filter(u"refused"_s), QStringList({u"call refused"_s, u"refused ChannelClosed 404"_s}));
    QCOMPARE(t.log.filter(u"behind"_s), QStringList({u"call behind"_s, u"call behind"_s, u"behind ok"_s}));
    QCOMPARE(t.received.filter(u"good"_s).size(), 1);
}

void tst_DeclarationQueue::stepsOfADeletedOwnerAreNotMade()
{
    Declaring t;
    auto gone = std::make_unique<QObject>();
    t.declare(gone.get(), u"gone"_s);
    t.declare(&t.owner, u"q"_s);
    gone.reset();
    QVERIFY(waitUntil([&] { return t.log.contains(u"q ok"_s); }));
    QCOMPARE(t.log, QStringList({u"call q"_s, u"q ok"_s}));
}

void tst_DeclarationQueue::unneededStepIsSkipped()
{
    Declaring t;
    t.queue.add(
        Phase::Queues, &t.owner, [](Channel *) { return std::optional<Reply<QueueInfo>>(); }, t.noteEnd(u"none"_s));
    t.declare(&t.owner, u"q"_s);
    QVERIFY(waitUntil([&] { return t.log.contains(u"q ok"_s); }));
    QCOMPARE(t.log, QStringList({u"call q"_s, u"q ok"_s}));
}

void tst_DeclarationQueue::stepOfAnyTimeWaitsForNoPhase()
{
    Declaring t;
    t.declare(&t.owner, u"unanswered"_s, Phase::Exchanges);
    QObject third;
    t.declare(&third, u"waits"_s, Phase::Queues);
    t.declare(&t.other, u"any time"_s, Phase::AnyTime);
    QVERIFY(waitUntil([&] { return t.received.contains(u"1 queue any time"_s); }));
    QCOMPARE(t.log.filter(u"waits"_s), QStringList());
}

void tst_DeclarationQueue::onlyCallsMadeOnceFailWithTheConnection()
{
    Declaring t;
    t.declare(&t.owner, u"unanswered"_s);
    t.queue.addOnce(&t.other, t.callFor(u"unanswered"_s), t.noteEnd(u"once"_s));
    t.queue.addOnce(&t.other, t.callFor(u"never"_s), t.noteEnd(u"never"_s));
    QVERIFY(waitUntil([&] { return t.received.count(u"1 queue unanswered"_s) == 2; }));
    t.log.clear();
    t.queue.clear(); // the connection has ended
    QCOMPARE(t.log, QStringList({u"once NotOpen"_s, u"never NotOpen"_s}));
}

void tst_DeclarationQueue::callsKeepTheirPlacesInARecovery()
{
    Declaring t;
    QObject third;
    QObject fourth;
    t.declare(&t.owner, u"unanswered"_s);
    t.queue.addOnce(
        &t.other,
        [&t](Channel *channel) {
            t.log += u"call purge"_s;
            return std::optional(channel->purgeQueue(u"q"_s));
        },
        [&t](const Result<quint32> &result) { t.log += u"purge "_s + brief(result.error()); });
    QVERIFY(waitUntil([&] { return t.received.size() == 2; }));
    t.lose();
    t.declare(&third, u"during the outage"_s);
    settleEvents();
    QCOMPARE(t.log, QStringList({u"call unanswered"_s, u"call purge"_s, u"purge Network"_s}));
    t.log.clear();
    t.answersAll = true;
    t.recover();
    QVERIFY(waitUntil([&] { return t.log.contains(u"during the outage ok"_s); }));
    t.declare(&fourth, u"after it"_s);
    QVERIFY(waitUntil([&] { return t.log.contains(u"after it ok"_s); }));
    QCOMPARE(t.log.first(), u"unanswered ok"_s); // without another call by the queue
    QCOMPARE(t.received.count(u"1 queue unanswered"_s), 1);
    QCOMPARE(t.received.filter(u"purge"_s), QStringList());
}

void tst_DeclarationQueue::callForWhichTheConnectionIsClosedFailsAlone()
{
    Declaring t;
    QObject third;
    t.declare(&t.owner, u"fatal"_s);
    t.declare(&t.other, u"unanswered"_s);
    t.awaitLoss();
    t.answersAll = true;
    t.recover();
    t.declare(&third, u"later"_s);
    QVERIFY(waitUntil([&] { return t.log.contains(u"later ok"_s); }));
    QCOMPARE(t.log.filter(u"fatal"_s), QStringList({u"call fatal"_s, u"fatal ConnectionClosed 541"_s}));
    QCOMPARE(t.log.filter(u"unanswered"_s), QStringList({u"call unanswered"_s, u"unanswered ok"_s}));
    QCOMPARE(t.received.filter(u"fatal"_s), QStringList());
}

void tst_DeclarationQueue::namesFollowTheBroker()
{
    Declaring t;
    t.declare(&t.owner, u"unanswered"_s);
    QVERIFY(waitUntil([&] { return t.received.size() == 1; }));
    Q_EMIT t.client.connection.queueRenamed(u"a"_s, u"b"_s);
    Q_EMIT t.client.connection.queueRenamed(u"b"_s, u"c"_s);
    QCOMPARE(t.queue.currentName(u"a"_s), u"c"_s);
    QCOMPARE(t.queue.currentName(u"d"_s), u"d"_s);
    t.queue.clear();
    settleEvents();
    t.declare(&t.owner, u"q"_s); // when nothing depends on the names, they are forgotten
    QVERIFY(waitUntil([&] { return t.log.contains(u"q ok"_s); }));
    settleEvents();
    QCOMPARE(t.queue.currentName(u"a"_s), u"a"_s);
}

QTEST_GUILESS_MAIN(tst_DeclarationQueue)

#include "tst_declarationqueue.moc"
