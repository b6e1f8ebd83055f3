// SPDX-License-Identifier: MIT
#include "client/channel/channel_p.h"
#include "client/clientsupport.h"
#include "client/connection/dispatcher_p.h"
#include "client/turntaker.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

struct Dispatching {
    Dispatching()
    {
        taker.inTurn = [this] {
            const Dispatcher::Guard guard(dispatcher);
            dispatcher.runDeferred(guard);
            survived = bool(guard);
        };
    }
    void note(const QString &what) { note(&context, what); }
    void note(QObject *theContext, const QString &what)
    {
        dispatcher.defer(theContext, [this, what] { log += what; });
    }

    QStringList log;
    QObject context;
    Taker taker;
    Dispatcher dispatcher{taker.scheduler};
    bool survived = false;
};

} // namespace

class tst_Dispatcher : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void notificationsAreMadeInOrderInOneTurn();
    void notificationOfADeletedContextIsDropped();
    void notificationMayAddOthers();
    void finishedReplyKeepsItsPlace();
    void nestedEventLoopMakesTheOtherNotifications();
    void deletionStopsTheNotifications();
    void leftNotificationsArePosted();
    void notedChannelReportsOnce();
    void notedChannelsReportInOrder();
    void forgottenChannelReportsNothing();
};

void tst_Dispatcher::notificationsAreMadeInOrderInOneTurn()
{
    Dispatching t;
    QVERIFY(!t.dispatcher.hasWork());
    for (const QString &what : {u"1"_s, u"2"_s, u"3"_s})
        t.note(what);
    QVERIFY(t.dispatcher.hasDeferred() && t.dispatcher.hasWork());
    QCOMPARE(t.log, QStringList());
    QVERIFY(waitUntil([&] { return t.taker.turns > 0; }));
    QCOMPARE(t.log, QStringList({u"1"_s, u"2"_s, u"3"_s}));
    QVERIFY(t.survived);
    QVERIFY(!t.dispatcher.hasWork());
}

void tst_Dispatcher::notificationOfADeletedContextIsDropped()
{
    Dispatching t;
    auto gone = std::make_unique<QObject>();
    t.note(gone.get(), u"gone"_s);
    t.note(u"here"_s);
    t.dispatcher.defer(&t.context, [&] { gone = std::make_unique<QObject>(); });
    gone.reset();
    QVERIFY(waitUntil([&] { return t.taker.turns > 0; }));
    QCOMPARE(t.log, QStringList{u"here"_s});
}

void tst_Dispatcher::notificationMayAddOthers()
{
    Dispatching t;
    t.dispatcher.defer(&t.context, [&] {
        t.log += u"1"_s;
        t.note(u"3"_s);
    });
    t.note(u"2"_s);
    QVERIFY(waitUntil([&] { return t.log.size() == 3; }));
    QCOMPARE(t.log, QStringList({u"1"_s, u"2"_s, u"3"_s}));
}

void tst_Dispatcher::finishedReplyKeepsItsPlace()
{
    Dispatching t;
    const Promise<int> promise;
    promise.reply().then(&t.context, [&](const Result<int> &result) { t.log += QString::number(*result); });
    t.note(u"before"_s);
    t.dispatcher.finishLater(promise, Result<int>(7));
    t.note(u"after"_s);
    QVERIFY(!promise.isFinished());
    QVERIFY(waitUntil([&] { return t.taker.turns > 0; }));
    QCOMPARE(t.log, QStringList({u"before"_s, u"7"_s, u"after"_s}));
}

void tst_Dispatcher::nestedEventLoopMakesTheOtherNotifications()
{
    Dispatching t;
    t.dispatcher.defer(&t.context, [&] {
        t.log += u"begin"_s;
        QVERIFY(waitUntil([&] { return t.log.contains(u"3"_s); }));
        t.log += u"end"_s;
    });
    t.note(u"2"_s);
    t.note(u"3"_s);
    QVERIFY(waitUntil([&] { return t.log.contains(u"end"_s); }));
    QCOMPARE(t.log, QStringList({u"begin"_s, u"2"_s, u"3"_s, u"end"_s}));
}

void tst_Dispatcher::deletionStopsTheNotifications()
{
    Dispatching t;
    t.dispatcher.defer(&t.context, [&] {
        const Dispatcher::Guard inner(t.dispatcher);
        t.dispatcher.endGuards(); // as the destructor of a connection does
        QVERIFY(!inner);
        t.log += u"1"_s;
    });
    t.note(u"2"_s);
    QVERIFY(waitUntil([&] { return t.taker.turns > 0; }));
    QCOMPARE(t.log, QStringList{u"1"_s});
    QVERIFY(!t.survived);
    QVERIFY(t.dispatcher.hasDeferred());
}

void tst_Dispatcher::leftNotificationsArePosted()
{
    Dispatching t;
    QObject leaving;
    const Promise<int> promise;
    promise.reply().then(&t.context, [&](const Result<int> &result) { t.log += QString::number(*result); });
    t.note(&leaving, u"leaving"_s);
    t.note(u"1"_s);
    t.dispatcher.finishLater(promise, Result<int>(2));
    t.note(u"3"_s);
    t.taker.inTurn = nullptr;
    t.dispatcher.postDeferred(&leaving);
    QVERIFY(!t.dispatcher.hasDeferred());
    QVERIFY(promise.isFinished());
    QCOMPARE(t.log, QStringList());
    settleEvents();
    QCOMPARE(t.log, QStringList({u"1"_s, u"2"_s, u"3"_s}));
}

void tst_Dispatcher::notedChannelReportsOnce()
{
    Dispatching t;
    Connection connection;
    Channel *channel = connection.createChannel();
    ChannelPrivate *const d = ChannelPrivate::get(channel);
    QSignalSpy counts(channel, &Channel::unconfirmedCountChanged);
    for (quint64 sequence = 1; sequence <= 3; ++sequence)
        d->confirms.published(sequence, true);
    t.dispatcher.noteUnconfirmedChange(d);
    QVERIFY(t.dispatcher.hasWork() && !t.dispatcher.hasDeferred());
    {
        const Dispatcher::Guard guard(t.dispatcher);
        t.dispatcher.reportNoted(guard);
        t.dispatcher.reportNoted(guard);
    }
    QCOMPARE(counts, QList<QVariantList>{{3}});
    QVERIFY(!t.dispatcher.hasWork());
}

void tst_Dispatcher::notedChannelsReportInOrder()
{
    Dispatching t;
    Connection connection;
    QList<int> reported;
    for (int i = 1; i <= 3; ++i) {
        Channel *channel = connection.createChannel();
        connect(channel, &Channel::unconfirmedCountChanged, this, [&reported, i] { reported += i; });
        ChannelPrivate::get(channel)->confirms.published(1, true);
        t.dispatcher.noteUnconfirmedChange(ChannelPrivate::get(channel));
    }
    const Dispatcher::Guard guard(t.dispatcher);
    t.dispatcher.reportNoted(guard);
    QCOMPARE(reported, QList<int>({1, 2, 3}));
}

void tst_Dispatcher::forgottenChannelReportsNothing()
{
    Dispatching t;
    Connection connection;
    Channel *channel = connection.createChannel();
    t.dispatcher.noteUnconfirmedChange(ChannelPrivate::get(channel));
    t.dispatcher.forget(ChannelPrivate::get(channel));
    QVERIFY(!t.dispatcher.hasWork());
}

QTEST_GUILESS_MAIN(tst_Dispatcher)

#include "tst_dispatcher.moc"
