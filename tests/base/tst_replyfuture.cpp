// SPDX-License-Identifier: MIT
#include "base/coroutine.h"
#include "base/replysupport.h"

#include <thread>

using namespace AmqpQt;
using namespace AmqpQt::Test;
using namespace Qt::StringLiterals;

class tst_ReplyFuture : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void futureOfAReplyOfAFunctionDoesNotWaitForTheEventLoop();

    void futureGetsTheResult_data() { deliveries(); }
    void futureGetsTheResult();
    void futureOfAFinishedReplyIsFinished();
    void futureMayBeWaitedForInAnotherThread();
    void futuresCombine();
    void futureOfAReplyThatNeverEndsIsCancelled();
    void futureIsFinishedInAThreadWithoutEventLoop();
    void futureDoesNotWaitForTheEventLoop();
};

void tst_ReplyFuture::futureOfAReplyOfAFunctionDoesNotWaitForTheEventLoop()
{
    const Promise<int> promise;
    auto context = std::make_unique<QObject>();
    const QFuture<Result<int>> future = promise.reply().then(context.get(), [] { return 1; }).toFuture();
    context.reset();
    promise.finish(1, Delivery::Posted);
    QVERIFY(future.isFinished());
    QCOMPARE(future.result().error().kind(), ErrorKind::Cancelled);
}

void tst_ReplyFuture::futureGetsTheResult()
{
    QFETCH(bool, posted);
    const Promise<int> value;
    const Promise<void> error;
    const auto valueFuture = value.reply().toFuture();
    const auto errorFuture = error.reply().toFuture();
    QVERIFY(valueFuture.isStarted() && !valueFuture.isFinished());
    finish<int>(value, 7, posted);
    finish<void>(error, notFound, posted);
    processPostedEvents();
    QVERIFY(valueFuture.isFinished() && !valueFuture.isCanceled());
    QCOMPARE(*valueFuture.result(), 7);
    QVERIFY(errorFuture.isFinished() && !errorFuture.isCanceled());
    QCOMPARE(errorFuture.result().error(), notFound);
}

void tst_ReplyFuture::futureOfAFinishedReplyIsFinished()
{
    const auto future = Promise<int>::finished(3).toFuture();
    QVERIFY(future.isFinished());
    QCOMPARE(*future.result(), 3);
}

void tst_ReplyFuture::futureMayBeWaitedForInAnotherThread()
{
    const Promise<QString> promise;
    const auto future = promise.reply().toFuture();
    QString got;
    std::thread waiting([&] { got = *future.result(); });
    promise.finish(u"from here"_s);
    waiting.join();
    QCOMPARE(got, u"from here"_s);
}

void tst_ReplyFuture::futuresCombine()
{
    const Promise<int> a;
    const Promise<int> b;
    QList futures{a.reply().toFuture(), b.reply().toFuture()};
    const auto all = QtFuture::whenAll(futures.begin(), futures.end());
    b.finish(2);
    QVERIFY(!all.isFinished());
    a.finish(notFound);
    QVERIFY(all.isFinished());
}

void tst_ReplyFuture::futureOfAReplyThatNeverEndsIsCancelled()
{
    QFuture<Result<int>> future;
    {
        const Promise<int> promise;
        future = promise.reply().toFuture();
    }
    QVERIFY(future.isFinished());
    QVERIFY(future.isCanceled());
}

void tst_ReplyFuture::futureIsFinishedInAThreadWithoutEventLoop()
{
    bool finished = false;
    std::thread([&] {
        const Promise<int> promise;
        const auto future = promise.reply().toFuture();
        promise.finish(1, Delivery::Posted);
        finished = future.isFinished();
    }).join();
    QVERIFY(finished);
}

// Finishes the reply as a destructor does, after which the loop may never run again. Functions and coroutines of the
// application do wait for the loop.
void tst_ReplyFuture::futureDoesNotWaitForTheEventLoop()
{
    const Promise<int> promise;
    QStringList log;
    const QFuture<Result<int>> future = promise.reply().toFuture();
    promise.reply().then(this, [&] { log += u"then"_s; });
    const Task task = append(promise.reply(), &log);
    promise.finish(7, Delivery::Posted);
    QVERIFY(future.isFinished());
    QCOMPARE(*future.result(), 7);
    QCOMPARE(log, QStringList());
    processPostedEvents();
    QCOMPARE(log, QStringList({u"then"_s, u"7"_s}));
}

QTEST_GUILESS_MAIN(tst_ReplyFuture)
#include "tst_replyfuture.moc"
