// SPDX-License-Identifier: MIT
#include "engine/connection/calltracker_p.h"

#include <QtTest/qtest.h>

using namespace AmqpQt::Engine;
using namespace std::chrono_literals;

class tst_CallTracker : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init()
    {
        m_calls = {};
        m_calls.setTimeout(1000ms);
        m_now = Time(1h);
    }
    void numbersAreNeverZeroAndNeverRepeated();
    void timeStartsWhenTheLastByteHasLeft();
    void expiredCallHasItsOwnerAndMethod();
    void callOfTheConnectionHasNoOwner();
    void answeredCallsDoNotExpire();
    void callsAnsweredOutOfOrderDoNotExpire();
    void clockStandsStillWhilePaused();
    void callThatLeavesWhilePausedHasAllItsTime();
    void withoutTimeoutNothingExpires();
    void clearedCallsDoNotExpire();

private:
    CallId send(qint64 end, ChannelEngine *owner = nullptr)
    {
        const CallId id = m_calls.nextId();
        m_calls.sent({.id = id, .owner = owner, .method = "queue.declare"}, end);
        return id;
    }

    CallTracker m_calls;
    Time m_now;
};

void tst_CallTracker::numbersAreNeverZeroAndNeverRepeated()
{
    const CallId first = m_calls.nextId();
    QVERIFY(first != 0);
    m_calls.clear();
    QVERIFY(m_calls.nextId() > first);
}

void tst_CallTracker::timeStartsWhenTheLastByteHasLeft()
{
    const CallId id = send(100);
    m_calls.left(99, m_now);
    QVERIFY(!m_calls.deadline());
    QVERIFY(!m_calls.takeExpired(m_now + 1h));
    m_now += 5s;
    m_calls.left(100, m_now);
    QCOMPARE(m_calls.deadline(), std::optional(m_now + 1000ms));
    QVERIFY(!m_calls.takeExpired(m_now + 999ms));
    const auto expired = m_calls.takeExpired(m_now + 1000ms);
    QVERIFY(expired);
    QCOMPARE(expired->id, id);
    QVERIFY(!m_calls.takeExpired(m_now + 1h));
}

void tst_CallTracker::expiredCallHasItsOwnerAndMethod()
{
    auto *const owner = reinterpret_cast<ChannelEngine *>(this); // never followed by another call
    send(10, owner);
    m_calls.left(10, m_now);
    const auto expired = m_calls.takeExpired(m_now + 1s);
    QVERIFY(expired);
    QCOMPARE(expired->owner, owner);
    QCOMPARE(QByteArray(expired->method), QByteArray("queue.declare"));
    QCOMPARE(m_calls.outstanding(), 1);
    m_calls.ended(expired->id);
    QCOMPARE(m_calls.outstanding(), 0);
}

void tst_CallTracker::callOfTheConnectionHasNoOwner()
{
    send(10);
    m_calls.left(10, m_now);
    const auto expired = m_calls.takeExpired(m_now + 1s);
    QVERIFY(expired);
    QCOMPARE(expired->owner, nullptr);
}

void tst_CallTracker::answeredCallsDoNotExpire()
{
    const CallId first = send(10);
    const CallId second = send(20);
    m_calls.left(10, m_now);
    m_calls.ended(first);
    QVERIFY(!m_calls.deadline()); // the second call has not left
    m_calls.left(20, m_now + 400ms);
    QCOMPARE(m_calls.deadline(), std::optional(m_now + 1400ms));
    m_calls.ended(second);
    QVERIFY(!m_calls.deadline());
    QVERIFY(!m_calls.takeExpired(m_now + 1h));
}

void tst_CallTracker::callsAnsweredOutOfOrderDoNotExpire()
{
    const CallId first = send(10);
    const CallId second = send(20);
    const CallId third = send(30);
    m_calls.left(30, m_now);
    m_calls.ended(second);
    const auto expired = m_calls.takeExpired(m_now + 1s);
    QVERIFY(expired);
    QCOMPARE(expired->id, first);
    const auto next = m_calls.takeExpired(m_now + 1s);
    QVERIFY(next);
    QCOMPARE(next->id, third);
    QVERIFY(!m_calls.takeExpired(m_now + 1h));
}

void tst_CallTracker::clockStandsStillWhilePaused()
{
    const CallId id = send(10);
    m_calls.left(10, m_now);
    m_calls.pause(m_now + 600ms);
    QVERIFY(!m_calls.deadline());
    QVERIFY(!m_calls.takeExpired(m_now + 1h));
    m_calls.resume(m_now + 1h);
    QCOMPARE(m_calls.deadline(), std::optional(m_now + 1h + 400ms));
    QVERIFY(!m_calls.takeExpired(m_now + 1h + 399ms));
    const auto expired = m_calls.takeExpired(m_now + 1h + 400ms);
    QVERIFY(expired);
    QCOMPARE(expired->id, id);
}

void tst_CallTracker::callThatLeavesWhilePausedHasAllItsTime()
{
    m_calls.pause(m_now);
    send(10);
    m_calls.left(10, m_now + 10s);
    m_calls.resume(m_now + 20s);
    QCOMPARE(m_calls.deadline(), std::optional(m_now + 21s));
}

void tst_CallTracker::withoutTimeoutNothingExpires()
{
    m_calls.setTimeout(0ms);
    send(10);
    m_calls.left(10, m_now);
    QVERIFY(!m_calls.deadline());
    QVERIFY(!m_calls.takeExpired(m_now + 1h));
    QCOMPARE(m_calls.outstanding(), 1);
}

void tst_CallTracker::clearedCallsDoNotExpire()
{
    send(10);
    m_calls.left(10, m_now);
    m_calls.clear();
    QCOMPARE(m_calls.outstanding(), 0);
    QVERIFY(!m_calls.deadline());
    QVERIFY(!m_calls.takeExpired(m_now + 1h));
    send(5); // of the next connection, whose output is counted from 0
    QVERIFY(!m_calls.deadline());
    m_calls.left(5, m_now);
    QCOMPARE(m_calls.deadline(), std::optional(m_now + 1s));
}

QTEST_GUILESS_MAIN(tst_CallTracker)
#include "tst_calltracker.moc"
