// SPDX-License-Identifier: MIT
#include "client/promise_p.h"

#include <QtCore/qprocess.h>
#include <QtCore/qthread.h>
#include <QtTest/qtest.h>

#include <coroutine>
#include <cstring>
#include <optional>
#include <thread>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

namespace
{

using Delivery = Promise<int>::Delivery;

const Error notFound(ErrorKind::ChannelClosed, u"NOT_FOUND"_s, 404, u"queue.declare"_s);

// A minimal coroutine type, whose coroutine starts at once and whose destructor destroys the frame.
class Task
{
public:
    struct promise_type {
        Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
        std::suspend_never initial_suspend() noexcept { return {}; }
        std::suspend_always final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };

    Task(Task &&other) noexcept
        : m_handle(std::exchange(other.m_handle, nullptr))
    {
    }
    Task(const Task &) = delete;
    Task &operator=(const Task &) = delete;
    ~Task()
    {
        if (m_handle)
            m_handle.destroy();
    }
    bool isDone() const { return m_handle.done(); }

private:
    explicit Task(std::coroutine_handle<promise_type> handle)
        : m_handle(handle)
    {
    }

    std::coroutine_handle<promise_type> m_handle;
};

Task append(Reply<int> reply, QStringList *log)
{
    const Result<int> result = co_await reply;
    *log += result ? QString::number(*result) : result.error().toString();
}

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

void processPostedEvents()
{
    QCoreApplication::sendPostedEvents();
}

} // namespace

class tst_Reply : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void resultHasEitherAValueOrAnError();
    void valueOfAnErrorEndsTheProgram();
    void dereferencedTemporaryLivesOn();

    void functionsAreCalledInOrder();
    void firstFinishCounts();
    void functionMayIgnoreTheResult();
    void functionMayBeMoveOnly_data() { deliveries(); }
    void functionMayBeMoveOnly();
    void functionMayHaveState();
    void finishedReplyCallsFromTheEventLoop();
    void postedReplyCallsFromTheEventLoop();
    void functionWithoutContextIsRejected();

    void deletedContextIsNotCalled_data() { deliveries(); }
    void deletedContextIsNotCalled();
    void contextMayBeDeletedWhileItsCallIsPosted_data();
    void contextMayBeDeletedWhileItsCallIsPosted();
    void functionMayDeleteItsContext_data() { deliveries(); }
    void functionMayDeleteItsContext();
    void functionMayDeleteOtherContexts_data() { deliveries(); }
    void functionMayDeleteOtherContexts();
    void functionMayDropTheLastHandle_data() { deliveries(); }
    void functionMayDropTheLastHandle();
    void functionMayAddFunctions();
    void functionMayFinishOtherReplies();
    void functionIsCalledInTheThreadOfItsContext();
    void unfinishedReplyIsFreedWithItsFunctions();

    void replyOfAFunctionGetsItsValue_data() { deliveries(); }
    void replyOfAFunctionGetsItsValue();
    void replyOfAFunctionGetsItsResult();
    void replyOfAFunctionFollowsTheReplyThatItReturns();
    void replyOfAFunctionThatIsNeverCalledIsCancelled_data() { deliveries(); }
    void replyOfAFunctionThatIsNeverCalledIsCancelled();
    void replyOfAFunctionWhoseReplyNeverEndsIsCancelled();
    void replyOfAFunctionInAnotherThreadEndsInItsOwnThread();
    void futureOfAReplyOfAFunctionDoesNotWaitForTheEventLoop();

    void futureGetsTheResult_data() { deliveries(); }
    void futureGetsTheResult();
    void futureOfAFinishedReplyIsFinished();
    void futureMayBeWaitedForInAnotherThread();
    void futuresCombine();
    void futureOfAReplyThatNeverEndsIsCancelled();
    void futureIsFinishedInAThreadWithoutEventLoop();
    void futureDoesNotWaitForTheEventLoop();

    void coroutineResumesWithTheResult_data() { deliveries(); }
    void coroutineResumesWithTheResult();
    void coroutineGoesOnAtOnceIfTheReplyIsFinished();
    void coroutineMayWaitForOneReplyAfterTheOther();
    void coroutineMayBeDestroyedWhileItWaits_data() { deliveries(); }
    void coroutineMayBeDestroyedWhileItWaits();
    void coroutineMayBeDestroyedWhileItsResumptionIsPosted();
    void coroutineMayDestroyAnotherOneThatWaits_data() { deliveries(); }
    void coroutineMayDestroyAnotherOneThatWaits();

private:
    static void deliveries()
    {
        QTest::addColumn<bool>("posted");
        QTest::newRow("direct") << false;
        QTest::newRow("posted") << true;
    }
    template <typename T>
    static void finish(const Promise<T> &promise, Result<T> result, bool posted)
    {
        promise.finish(std::move(result), posted ? Delivery::Posted : Delivery::Direct);
    }
};

void tst_Reply::resultHasEitherAValueOrAnError()
{
    const Result<QString> value(u"q"_s);
    QVERIFY(value.has_value() && value);
    QCOMPARE(*value, u"q"_s);
    QCOMPARE(value->size(), 1);
    QVERIFY(!value.error().isError());

    const Result<QString> error(notFound);
    QVERIFY(!error.has_value());
    QVERIFY(!error);
    QCOMPARE(error.error(), notFound);

    QCOMPARE(Result<QString>().error().kind(), ErrorKind::Cancelled);
    QVERIFY(Result<void>());
    QVERIFY(!Result<void>().error().isError());
    QVERIFY(!Result<void>(notFound));
}

void tst_Reply::valueOfAnErrorEndsTheProgram()
{
    QProcess self;
    self.start(QCoreApplication::applicationFilePath(), {u"--value-of-an-error"_s});
    QVERIFY(self.waitForFinished());
    QVERIFY(self.exitStatus() == QProcess::CrashExit || self.exitCode() != 0);
    QVERIFY(self.readAllStandardError().contains("queue.declare: NOT_FOUND (404, ChannelClosed)"));
}

void tst_Reply::dereferencedTemporaryLivesOn()
{
    const auto make = [] { return Result<QString>(u"a string that is too long to be stored in place"_s); };
    const QString &text = *make();
    QVERIFY(text.startsWith("a string"_L1));
}

void tst_Reply::functionsAreCalledInOrder()
{
    QStringList log;
    const Promise<int> promise;
    promise.reply().then(this, [&](const Result<int> &result) { log += QString::number(*result); });
    promise.reply().then(this, [&](const Result<int> &result) { log += QString::number(*result + 1); });
    QVERIFY(!promise.reply().isFinished());
    QVERIFY(log.isEmpty());

    promise.finish(1);
    QCOMPARE(log, QStringList({u"1"_s, u"2"_s}));
    QVERIFY(promise.reply().isFinished());
    QCOMPARE(*promise.reply().result(), 1);
}

void tst_Reply::firstFinishCounts()
{
    int calls = 0;
    const Promise<int> promise;
    promise.reply().then(this, [&] { ++calls; });
    promise.finish(1);
    promise.finish(2);
    QCOMPARE(calls, 1);
    QCOMPARE(*promise.reply().result(), 1);
}

void tst_Reply::functionMayIgnoreTheResult()
{
    bool called = false;
    const Promise<void> promise;
    promise.reply().then(this, [&] { called = true; });
    promise.finish({});
    QVERIFY(called);
}

void tst_Reply::functionMayBeMoveOnly()
{
    QFETCH(bool, posted);
    int got = 0;
    const Promise<int> promise;
    promise.reply().then(
        this, [&got, factor = std::make_unique<int>(3)](const Result<int> &result) { got = *result * *factor; });
    finish<int>(promise, 2, posted);
    processPostedEvents();
    QCOMPARE(got, 6);
}

void tst_Reply::functionMayHaveState()
{
    int got = 0;
    const Promise<int> promise;
    const auto count = [&got, calls = 0]() mutable { got = ++calls; }; // a const object, copied into the reply
    promise.reply().then(this, count);
    promise.finish(0);
    QCOMPARE(got, 1);
}

void tst_Reply::finishedReplyCallsFromTheEventLoop()
{
    int got = 0;
    const Reply<int> reply = Promise<int>::finished(5);
    QVERIFY(reply.isFinished());
    reply.then(this, [&](const Result<int> &result) { got = *result; });
    QCOMPARE(got, 0);
    processPostedEvents();
    QCOMPARE(got, 5);
}

void tst_Reply::postedReplyCallsFromTheEventLoop()
{
    QStringList log;
    const Promise<int> promise;
    promise.reply().then(this, [&] { log += u"first"_s; });
    promise.reply().then(this, [&] { log += u"second"_s; });
    promise.finish(1, Delivery::Posted);
    QVERIFY(promise.isFinished());
    QVERIFY(log.isEmpty());
    processPostedEvents();
    QCOMPARE(log, QStringList({u"first"_s, u"second"_s}));
}

void tst_Reply::functionWithoutContextIsRejected()
{
    bool called = false;
    const Promise<int> promise;
    QTest::ignoreMessage(QtWarningMsg, "Reply::then() was called without a context; its function will never be called");
    promise.reply().then(nullptr, [&] { called = true; });
    promise.finish(1);
    processPostedEvents();
    QVERIFY(!called);
}

void tst_Reply::deletedContextIsNotCalled()
{
    QFETCH(bool, posted);
    bool called = false;
    bool otherCalled = false;
    const Promise<int> promise;
    auto context = std::make_unique<QObject>();
    promise.reply().then(context.get(), [&] { called = true; });
    promise.reply().then(this, [&] { otherCalled = true; });
    context.reset();
    finish<int>(promise, 1, posted);
    processPostedEvents();
    QVERIFY(!called);
    QVERIFY(otherCalled);
}

void tst_Reply::contextMayBeDeletedWhileItsCallIsPosted_data()
{
    QTest::addColumn<bool>("finishedBefore");
    QTest::newRow("added to a finished reply") << true;
    QTest::newRow("finished by post") << false;
}

void tst_Reply::contextMayBeDeletedWhileItsCallIsPosted()
{
    QFETCH(bool, finishedBefore);
    bool called = false;
    const Promise<int> promise;
    auto context = std::make_unique<QObject>();
    if (finishedBefore)
        promise.finish(1);
    promise.reply().then(context.get(), [&] { called = true; });
    promise.finish(1, Delivery::Posted);
    context.reset();
    processPostedEvents();
    QVERIFY(!called);
}

void tst_Reply::functionMayDeleteItsContext()
{
    QFETCH(bool, posted);
    QStringList log;
    const Promise<int> promise;
    auto *context = new QObject;
    promise.reply().then(context, [&log, context, text = u"a capture that is used after the delete"_s] {
        delete context;
        log += text;
    });
    promise.reply().then(context, [&] { log += u"never"_s; });
    finish<int>(promise, 1, posted);
    processPostedEvents();
    QCOMPARE(log, QStringList{u"a capture that is used after the delete"_s});
}

void tst_Reply::functionMayDeleteOtherContexts()
{
    QFETCH(bool, posted);
    bool called = false;
    const Promise<int> promise;
    auto other = std::make_unique<QObject>();
    promise.reply().then(this, [&] { other.reset(); });
    promise.reply().then(other.get(), [&] { called = true; });
    finish<int>(promise, 1, posted);
    processPostedEvents();
    QVERIFY(!other);
    QVERIFY(!called);
}

void tst_Reply::functionMayDropTheLastHandle()
{
    QFETCH(bool, posted);
    QStringList log;
    auto promise = std::make_unique<Promise<QString>>();
    auto reply = std::make_unique<Reply<QString>>(promise->reply());
    const auto drop = [&](const Result<QString> &result) {
        promise.reset();
        reply.reset();
        log += *result;
    };
    reply->then(this, drop);
    reply->then(this, [&](const Result<QString> &result) { log += *result; });
    finish<QString>(*promise, u"text"_s, posted);
    processPostedEvents();
    QCOMPARE(log, QStringList({u"text"_s, u"text"_s}));
}

void tst_Reply::functionMayAddFunctions()
{
    QStringList log;
    const Promise<int> promise;
    const Reply<int> reply = promise.reply();
    reply.then(this, [&] {
        log += u"first"_s;
        reply.then(this, [&] { log += u"added"_s; });
    });
    reply.then(this, [&] { log += u"second"_s; });
    promise.finish(1);
    QCOMPARE(log, QStringList({u"first"_s, u"second"_s}));
    processPostedEvents();
    QCOMPARE(log, QStringList({u"first"_s, u"second"_s, u"added"_s}));
}

void tst_Reply::functionMayFinishOtherReplies()
{
    QStringList log;
    const Promise<int> outer;
    const Promise<int> inner;
    outer.reply().then(this, [&] {
        inner.finish(1);
        outer.finish(2);
        log += u"outer"_s;
    });
    inner.reply().then(this, [&] { log += u"inner"_s; });
    outer.finish(1);
    QCOMPARE(log, QStringList({u"inner"_s, u"outer"_s}));
}

void tst_Reply::functionIsCalledInTheThreadOfItsContext()
{
    QThread thread;
    thread.start();
    QObject context;
    context.moveToThread(&thread);

    QAtomicPointer<QThread> calledIn;
    const Promise<int> promise;
    promise.reply().then(&context, [&] {
        calledIn.storeRelease(QThread::currentThread());
        QThread::currentThread()->quit();
    });
    promise.finish(1);
    QVERIFY(thread.wait());
    QCOMPARE(calledIn.loadAcquire(), &thread);
}

void tst_Reply::unfinishedReplyIsFreedWithItsFunctions()
{
    const auto token = std::make_shared<int>();
    {
        const Promise<int> promise;
        promise.reply().then(this, [token] {});
        QCOMPARE(token.use_count(), 2);
    }
    QCOMPARE(token.use_count(), 1);
}

void tst_Reply::replyOfAFunctionGetsItsValue()
{
    QFETCH(bool, posted);
    QStringList log;
    const Promise<int> promise;
    const Reply<QString> text =
        promise.reply().then(this, [](const Result<int> &result) { return QString::number(*result); });
    const Reply<qsizetype> size = text.then(this, [](const Result<QString> &result) { return result->size(); });
    size.then(this, [&](const Result<qsizetype> &result) { log += QString::number(*result); });
    QVERIFY(!text.isFinished());
    finish<int>(promise, 12345, posted);
    processPostedEvents();
    QCOMPARE(*text.result(), u"12345"_s);
    QCOMPARE(log, QStringList{u"5"_s});
}

void tst_Reply::replyOfAFunctionGetsItsResult()
{
    const Promise<int> promise;
    const Reply<int> failing = promise.reply().then(this, [] { return Result<int>(notFound); });
    const Reply<void> checked = promise.reply().then(this, [] { return Result<void>(); });
    promise.finish(1);
    QCOMPARE(failing.result().error(), notFound);
    QVERIFY(checked.result());
}

void tst_Reply::replyOfAFunctionFollowsTheReplyThatItReturns()
{
    const Promise<int> first;
    const Promise<QString> second;
    const Promise<QString> alreadyFinished;
    alreadyFinished.finish(u"before"_s);
    const Reply<QString> reply = first.reply().then(this, [&] { return second.reply(); });
    const Reply<QString> atOnce = first.reply().then(this, [&] { return alreadyFinished.reply(); });
    first.finish(1);
    QVERIFY(!reply.isFinished());
    QCOMPARE(*atOnce.result(), u"before"_s);
    second.finish(u"after"_s);
    QCOMPARE(*reply.result(), u"after"_s);
}

void tst_Reply::replyOfAFunctionThatIsNeverCalledIsCancelled()
{
    QFETCH(bool, posted);
    bool called = false;
    const Promise<int> promise;
    auto context = std::make_unique<QObject>();
    const Reply<int> reply = promise.reply().then(context.get(), [&] {
        called = true;
        return 1;
    });
    context.reset();
    finish<int>(promise, 1, posted);
    processPostedEvents();
    QVERIFY(!called);
    QVERIFY(reply.isFinished());
    QCOMPARE(reply.result().error().kind(), ErrorKind::Cancelled);

    QTest::ignoreMessage(QtWarningMsg, "Reply::then() was called without a context; its function will never be called");
    const Reply<int> withoutContext = promise.reply().then(nullptr, [] { return 1; });
    QCOMPARE(withoutContext.result().error().kind(), ErrorKind::Cancelled);
}

void tst_Reply::replyOfAFunctionWhoseReplyNeverEndsIsCancelled()
{
    const Promise<int> first;
    auto second = std::make_unique<Promise<int>>();
    const Reply<int> reply = first.reply().then(this, [&] { return second->reply(); });
    first.finish(1);
    second.reset();
    QVERIFY(reply.isFinished());
    QCOMPARE(reply.result().error().kind(), ErrorKind::Cancelled);
}

void tst_Reply::replyOfAFunctionInAnotherThreadEndsInItsOwnThread()
{
    QThread thread;
    thread.start();
    auto *context = new QObject;
    context->moveToThread(&thread);
    const Promise<int> promise;
    const Reply<QThread *> reply = promise.reply().then(context, [] { return QThread::currentThread(); });
    QThread *endedIn = nullptr;
    reply.then(this, [&] { endedIn = QThread::currentThread(); });
    promise.finish(1);
    QTRY_VERIFY(endedIn);
    QCOMPARE(endedIn, QThread::currentThread());
    QCOMPARE(*reply.result(), &thread);
    context->deleteLater();
    thread.quit();
    thread.wait();
}

void tst_Reply::futureOfAReplyOfAFunctionDoesNotWaitForTheEventLoop()
{
    const Promise<int> promise;
    auto context = std::make_unique<QObject>();
    const QFuture<Result<int>> future = promise.reply().then(context.get(), [] { return 1; }).toFuture();
    context.reset();
    promise.finish(1, Delivery::Posted);
    QVERIFY(future.isFinished());
    QCOMPARE(future.result().error().kind(), ErrorKind::Cancelled);
}

void tst_Reply::futureGetsTheResult()
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

void tst_Reply::futureOfAFinishedReplyIsFinished()
{
    const auto future = Promise<int>::finished(3).toFuture();
    QVERIFY(future.isFinished());
    QCOMPARE(*future.result(), 3);
}

void tst_Reply::futureMayBeWaitedForInAnotherThread()
{
    const Promise<QString> promise;
    const auto future = promise.reply().toFuture();
    QString got;
    std::thread waiting([&] { got = *future.result(); });
    promise.finish(u"from here"_s);
    waiting.join();
    QCOMPARE(got, u"from here"_s);
}

void tst_Reply::futuresCombine()
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

void tst_Reply::futureOfAReplyThatNeverEndsIsCancelled()
{
    QFuture<Result<int>> future;
    {
        const Promise<int> promise;
        future = promise.reply().toFuture();
    }
    QVERIFY(future.isFinished());
    QVERIFY(future.isCanceled());
}

void tst_Reply::futureIsFinishedInAThreadWithoutEventLoop()
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
void tst_Reply::futureDoesNotWaitForTheEventLoop()
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

void tst_Reply::coroutineResumesWithTheResult()
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

void tst_Reply::coroutineGoesOnAtOnceIfTheReplyIsFinished()
{
    QStringList log;
    const Task task = append(Promise<int>::finished(1), &log);
    QVERIFY(task.isDone());
    QCOMPARE(log, QStringList{u"1"_s});
}

void tst_Reply::coroutineMayWaitForOneReplyAfterTheOther()
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

void tst_Reply::coroutineMayBeDestroyedWhileItWaits()
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

void tst_Reply::coroutineMayBeDestroyedWhileItsResumptionIsPosted()
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

void tst_Reply::coroutineMayDestroyAnotherOneThatWaits()
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

int main(int argc, char *argv[])
{
    if (argc == 2 && std::strcmp(argv[1], "--value-of-an-error") == 0)
        return Result<int>(notFound).value();
    QCoreApplication application(argc, argv);
    tst_Reply test;
    return QTest::qExec(&test, argc, argv);
}

#include "tst_reply.moc"
