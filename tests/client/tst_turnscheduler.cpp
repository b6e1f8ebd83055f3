// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"
#include "client/clock_p.h"
#include "client/turntaker.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;

class tst_TurnScheduler : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void takesNoTurnUntilScheduled();
    void severalRequestsLeadToOneTurn_data();
    void severalRequestsLeadToOneTurn();
    void turnFollowsTheEventsAtHand();
    void nestedEventLoopTakesTheTurnThatIsDue();
    void remainingWorkLeadsToAnotherTurn();
    void usedUpTimeKeepsTurnsFromDispatching();
    void nestedTurnDispatchesInAnyCase();
    void turnThatIsDueMovesToAnotherThread();
    void watchesTheLoopUntilItIsStopped();
    void earlierDeadlineReplacesTheTimer();
};

void tst_TurnScheduler::takesNoTurnUntilScheduled()
{
    Taker taker;
    settleEvents();
    QCOMPARE(taker.turns, 0);
    QVERIFY(!taker.scheduler.isScheduled());
}

void tst_TurnScheduler::severalRequestsLeadToOneTurn_data()
{
    QTest::addColumn<bool>("first");
    QTest::addColumn<bool>("second");
    QTest::newRow("posted twice") << true << true;
    QTest::newRow("posted, then due") << true << false;
    QTest::newRow("due, then posted") << false << true;
    QTest::newRow("due twice") << false << false;
}

void tst_TurnScheduler::severalRequestsLeadToOneTurn()
{
    QFETCH(const bool, first);
    QFETCH(const bool, second);
    Taker taker;
    for (const bool posts : {first, second})
        posts ? taker.scheduler.schedule() : taker.scheduler.scheduleInLoop();
    QVERIFY(taker.scheduler.isScheduled());
    QCOMPARE(taker.turns, 0);
    settleEvents();
    settleEvents();
    QCOMPARE(taker.turns, 1);
    QVERIFY(!taker.scheduler.isScheduled());
}

void tst_TurnScheduler::turnFollowsTheEventsAtHand()
{
    Taker taker;
    QObject context;
    int turnsBefore = -1;
    taker.scheduler.scheduleInLoop(); // from now on it watches the loop
    settleEvents();
    QMetaObject::invokeMethod(
        &context,
        [&] {
            taker.scheduler.scheduleInLoop();
            turnsBefore = taker.turns;
        },
        Qt::QueuedConnection);
    QVERIFY(waitUntil([&] { return taker.turns == 2; }));
    QCOMPARE(turnsBefore, 1);
}

void tst_TurnScheduler::nestedEventLoopTakesTheTurnThatIsDue()
{
    Taker taker;
    int turnsInLoop = 0;
    taker.inTurn = [&] {
        taker.inTurn = nullptr;
        taker.scheduler.scheduleInLoop();
        QVERIFY(waitUntil([&] { return taker.turns == 2; }));
        turnsInLoop = taker.turns;
    };
    taker.scheduler.schedule();
    QVERIFY(waitUntil([&] { return taker.turns == 2; }));
    QCOMPARE(turnsInLoop, 2);
}

void tst_TurnScheduler::remainingWorkLeadsToAnotherTurn()
{
    Taker taker;
    taker.hasWork = true;
    taker.scheduler.schedule();
    QVERIFY(waitUntil([&] { return taker.turns == 2; }));
    settleEvents();
    QCOMPARE(taker.turns, 2);
}

void tst_TurnScheduler::usedUpTimeKeepsTurnsFromDispatching()
{
    Taker taker;
    taker.hasWork = true; // does not lead to a turn; the timer does
    taker.inTurn = [&] {
        taker.inTurn = nullptr;
        taker.scheduler.continueLater();
    };
    taker.scheduler.schedule();
    QCoreApplication::sendPostedEvents();
    QCOMPARE(taker.turns, 1);
    QVERIFY(!taker.scheduler.isScheduled());
    taker.scheduler.schedule();
    QCoreApplication::sendPostedEvents();
    QCOMPARE(taker.turns, 2);
    QVERIFY(!taker.mayDispatch);
    QVERIFY(waitUntil([&] { return taker.turns == 3; }));
    QVERIFY(taker.mayDispatch);
}

void tst_TurnScheduler::nestedTurnDispatchesInAnyCase()
{
    Taker taker;
    taker.scheduler.enterDispatch();
    taker.scheduler.continueLater();
    QVERIFY(taker.scheduler.mayDispatch());
    taker.scheduler.leaveDispatch();
    QVERIFY(!taker.scheduler.mayDispatch());
}

void tst_TurnScheduler::turnThatIsDueMovesToAnotherThread()
{
    Taker taker;
    QThread thread;
    thread.start();
    taker.scheduler.scheduleInLoop();
    taker.scheduler.moveToThread(&thread);
    QVERIFY(!taker.scheduler.isWatching());
    std::atomic<int> turns = 0;
    QMetaObject::invokeMethod(
        &taker.scheduler, [] {}, Qt::BlockingQueuedConnection); // after the turn
    QMetaObject::invokeMethod(
        &taker.scheduler,
        [&] {
            turns = taker.turns;
            taker.scheduler.moveToThread(qApp->thread());
        },
        Qt::BlockingQueuedConnection);
    thread.quit();
    thread.wait();
    QCOMPARE(turns.load(), 1);
    QCOMPARE(taker.thread, &thread);
}

void tst_TurnScheduler::watchesTheLoopUntilItIsStopped()
{
    Taker taker;
    QVERIFY(!taker.scheduler.isWatching());
    taker.scheduler.schedule();
    QVERIFY(!taker.scheduler.isWatching());
    settleEvents();
    taker.scheduler.scheduleInLoop();
    QVERIFY(taker.scheduler.isWatching());
    settleEvents();
    QVERIFY(taker.scheduler.isWatching());
    taker.scheduler.stopWatching();
    QVERIFY(!taker.scheduler.isWatching());
    taker.scheduler.scheduleInLoop();
    QVERIFY(taker.scheduler.isWatching());
    QVERIFY(waitUntil([&] { return taker.turns == 3; }));
}

void tst_TurnScheduler::earlierDeadlineReplacesTheTimer()
{
    Taker taker;
    const Engine::Time time = now();
    QVERIFY(!taker.scheduler.setDeadline(std::nullopt, time));
    QVERIFY(taker.scheduler.setDeadline(time + 1h, time));
    QVERIFY(!taker.scheduler.setDeadline(time + 2h, time)); // the timer then fires too early, without effect
    QVERIFY(taker.scheduler.setDeadline(time, time));
    QVERIFY(waitUntil([&] { return taker.deadlines == 1; }));
    QVERIFY(taker.scheduler.setDeadline(time + 2h, time)); // no earlier timer is running
    QVERIFY(taker.scheduler.setDeadline(time, time));
    QVERIFY(!taker.scheduler.setDeadline(std::nullopt, time));
    QTest::qWait(20);
    QCOMPARE(taker.deadlines, 1);
    QCOMPARE(taker.turns, 0);
}

QTEST_GUILESS_MAIN(tst_TurnScheduler)

#include "tst_turnscheduler.moc"
