// SPDX-License-Identifier: MIT
#include "base/coroutine.h"
#include "base/replysupport.h"

#include <optional>

using namespace AmqpQt;
using namespace AmqpQt::Test;
using namespace Qt::StringLiterals;

namespace
{

Task appendSum(Reply<int> a, Reply<int> b, QStringList *log)
{
    const int sum = *co_await a + *co_await b;
    *log += QString::number(sum);
}

Task destroy(Reply<int> reply, std::optional<Task> *other)
{
    co_await reply;
    other->reset();
}

} // namespace

class tst_ReplyCoroutine : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void coroutineResumesWithTheResult_data() { deliveries(); }
    void coroutineResumesWithTheResult();
    void coroutineGoesOnAtOnceIfTheReplyIsFinished();
    void coroutineMayWaitForOneReplyAfterTheOther();
    void coroutineMayBeDestroyedWhileItWaits_data() { deliveries(); }
    void coroutineMayBeDestroyedWhileItWaits();
    void coroutineMayBeDestroyedWhileItsResumptionIsPosted();
    void coroutineMayDestroyAnotherOneThatWaits_data() { deliveries(); }
    void coroutineMayDestroyAnotherOneThatWaits();
};

void tst_ReplyCoroutine::coroutineResumesWithTheResult()
{
    QFETCH(bool, posted);
    QStringList log;
    const Promise<int> value;
    const Promise<int> error;
    const Task first = append(value.reply(), &log);
    const Task second = append(error.reply(), &log);
    QVERIFY(log.isEmpty());
    finish<int>(value, 1, posted);
    finish<int>(error, notFound, posted);
    QCOMPARE(log.isEmpty(), posted);
    processPostedEvents();
    QCOMPARE(log, QStringList({u"1"_s, notFound.toString()}));
    QVERIFY(first.isDone() && second.isDone());
}

void tst_ReplyCoroutine::coroutineGoesOnAtOnceIfTheReplyIsFinished()
{
    QStringList log;
    const Task task = append(Promise<int>::finished(1), &log);
    QVERIFY(task.isDone());
    QCOMPARE(log, QStringList{u"1"_s});
}

void tst_ReplyCoroutine::coroutineMayWaitForOneReplyAfterTheOther()
{
    QStringList log;
    const Promise<int> a;
    const Promise<int> b;
    const Task task = appendSum(a.reply(), b.reply(), &log);
    b.finish(2);
    QVERIFY(log.isEmpty());
    a.finish(40);
    QCOMPARE(log, QStringList{u"42"_s});
}

void tst_ReplyCoroutine::coroutineMayBeDestroyedWhileItWaits()
{
    QFETCH(bool, posted);
    QStringList log;
    const Promise<int> promise;
    {
        const Task task = append(promise.reply(), &log);
        QVERIFY(!task.isDone());
    }
    finish<int>(promise, 1, posted);
    processPostedEvents();
    QVERIFY(log.isEmpty());
}

void tst_ReplyCoroutine::coroutineMayBeDestroyedWhileItsResumptionIsPosted()
{
    QStringList log;
    const Promise<int> promise;
    {
        const Task task = append(promise.reply(), &log);
        promise.finish(1, Delivery::Posted);
    }
    processPostedEvents();
    QVERIFY(log.isEmpty());
}

void tst_ReplyCoroutine::coroutineMayDestroyAnotherOneThatWaits()
{
    QFETCH(bool, posted);
    QStringList log;
    const Promise<int> promise;
    std::optional<Task> other;
    const Task task = destroy(promise.reply(), &other);
    other.emplace(append(promise.reply(), &log));
    finish<int>(promise, 1, posted);
    processPostedEvents();
    QVERIFY(task.isDone());
    QVERIFY(!other);
    QVERIFY(log.isEmpty());
}

QTEST_GUILESS_MAIN(tst_ReplyCoroutine)
#include "tst_replycoroutine.moc"
