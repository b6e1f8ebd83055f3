// SPDX-License-Identifier: MIT
#include "engine/topology/backoff_p.h"

#include <QtCore/qlist.h>
#include <QtTest/qtest.h>

using namespace std::chrono_literals;

using AmqpQt::Engine::Backoff;
using AmqpQt::Engine::Time;

class tst_Backoff : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void theLimitDoublesUpToTheMaximum();
    void theDelayIsRandomBelowTheLimit();
    void noDelayIsShorterThanTheMinimum();
    void extremeLimitsStayInRange();
    void healthyConnectionStartsAgain();
    void attemptsAreCountedInEachOutage();
    void failedFirstAttemptsAreCounted();
};

namespace
{

constexpr double AlmostOne = 0.9999999999999999;

QList<qint64> delays(Backoff &backoff, int count, double random)
{
    QList<qint64> delays;
    for (int i = 0; i < count; ++i)
        delays += backoff.nextDelay(random).count();
    return delays;
}

} // namespace

void tst_Backoff::theLimitDoublesUpToTheMaximum()
{
    Backoff backoff;
    QCOMPARE(delays(backoff, 7, 1.0), QList<qint64>({1'000, 2'000, 4'000, 8'000, 16'000, 30'000, 30'000}));
}

void tst_Backoff::theDelayIsRandomBelowTheLimit()
{
    Backoff backoff;
    QCOMPARE(delays(backoff, 3, 0.0), QList<qint64>({200, 200, 200}));
    QCOMPARE(backoff.nextDelay(0.5).count(), (8'000 + 200) / 2);
    QVERIFY(backoff.nextDelay(AlmostOne) < 16'000ms);
}

void tst_Backoff::noDelayIsShorterThanTheMinimum()
{
    Backoff backoff;
    backoff.setLimits({.initialDelay = 1ms, .maximumDelay = 150ms, .factor = 1.0});
    for (const double random : {-1.0, 0.0, 0.5, 1.0, 2.0})
        QCOMPARE(backoff.nextDelay(random), Backoff::MinimumDelay);
}

void tst_Backoff::extremeLimitsStayInRange()
{
    Backoff backoff;
    const auto longest = std::chrono::milliseconds(std::numeric_limits<int>::max());
    backoff.setLimits({.initialDelay = 200ms, .maximumDelay = longest, .factor = 1e300});
    QCOMPARE(backoff.nextDelay(1.0), 200ms);
    for (int i = 0; i < 5'000; ++i)
        QCOMPARE(backoff.nextDelay(1.0), longest);
    backoff.setLimits({.initialDelay = 200ms, .maximumDelay = 300ms, .factor = 2.0}); // also for what has grown
    QCOMPARE(backoff.nextDelay(1.0), 300ms);
}

void tst_Backoff::healthyConnectionStartsAgain()
{
    Backoff backoff;
    const Time start{1h};
    QCOMPARE(delays(backoff, 3, 1.0), QList<qint64>({1'000, 2'000, 4'000}));
    backoff.connected(start);
    backoff.lost(start + Backoff::HealthyTime - 1ms);
    QCOMPARE(backoff.nextDelay(1.0), 8'000ms);
    backoff.lost(start + 1h); // was not connected meanwhile
    QCOMPARE(backoff.nextDelay(1.0), 16'000ms);
    backoff.connected(start + 1h);
    backoff.lost(start + 1h + Backoff::HealthyTime);
    QCOMPARE(backoff.nextDelay(1.0), 1'000ms);
}

void tst_Backoff::attemptsAreCountedInEachOutage()
{
    Backoff backoff;
    Time now{1h};
    for (int outage = 0; outage < 10; ++outage) { // short ones, so that the delay keeps growing
        backoff.lost(now);
        QCOMPARE(backoff.attempts(), 0);
        backoff.nextDelay(0.0);
        backoff.nextDelay(0.0);
        QCOMPARE(backoff.attempts(), 2);
        backoff.connected(now += 1s);
    }
    QCOMPARE(backoff.nextDelay(1.0), 30'000ms);
}

void tst_Backoff::failedFirstAttemptsAreCounted()
{
    Backoff backoff; // no connection was lost
    for (int attempt = 1; attempt < 5; ++attempt) {
        backoff.nextDelay(0.3);
        QCOMPARE(backoff.attempts(), attempt);
    }
}

QTEST_APPLESS_MAIN(tst_Backoff)
#include "tst_backoff.moc"
