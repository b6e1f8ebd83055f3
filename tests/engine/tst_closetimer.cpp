// SPDX-License-Identifier: MIT
#include "engine/connection/closetimer_p.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace std::chrono_literals;
using Engine::CloseTimer;
using Engine::Time;

class tst_CloseTimer : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void doesNothingUntilItIsStarted()
    {
        CloseTimer timer;
        timer.progress(m_now);
        timer.left(100, m_now);
        QVERIFY(!timer.deadline());
    }
    void progressPutsTheEndOff()
    {
        CloseTimer timer;
        timer.start(m_now, 5s);
        QCOMPARE(timer.deadline(), std::optional(m_now + 5s));
        timer.progress(m_now + 3s);
        QCOMPARE(timer.deadline(), std::optional(m_now + 8s));
        timer.progress(m_now + 1s); // never shortens the time
        QCOMPARE(timer.deadline(), std::optional(m_now + 8s));
        timer.stop();
        timer.progress(m_now + 4s);
        QVERIFY(!timer.deadline());
    }
    void bytesThatLeaveAreProgress()
    {
        CloseTimer timer;
        timer.start(m_now, 5s);
        timer.left(100, m_now + 1s);
        QCOMPARE(timer.deadline(), std::optional(m_now + 6s));
        timer.left(100, m_now + 2s); // nothing has been sent
        QCOMPARE(timer.deadline(), std::optional(m_now + 6s));
    }
    void aHeartbeatThatLeavesIsNoProgress()
    {
        CloseTimer timer;
        timer.start(m_now, 5s);
        timer.left(100, m_now);
        timer.heartbeatQueued(108);
        timer.left(104, m_now + 1s);
        timer.left(108, m_now + 2s);
        QCOMPARE(timer.deadline(), std::optional(m_now + 5s));
        timer.left(109, m_now + 3s); // progress of a frame after it
        QCOMPARE(timer.deadline(), std::optional(m_now + 8s));
    }

private:
    const Time m_now{1h};
};

QTEST_GUILESS_MAIN(tst_CloseTimer)
#include "tst_closetimer.moc"
