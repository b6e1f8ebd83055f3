// SPDX-License-Identifier: MIT
#include "base/replysupport.h"

#include <QtCore/qprocess.h>
#include <QtCore/qthread.h>

#include <cstring>

using namespace AmqpQt;
using namespace AmqpQt::Test;
using namespace Qt::StringLiterals;

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

int main(int argc, char *argv[])
{
    if (argc == 2 && std::strcmp(argv[1], "--value-of-an-error") == 0)
        return Result<int>(notFound).value();
    QCoreApplication application(argc, argv);
    tst_Reply test;
    return QTest::qExec(&test, argc, argv);
}

#include "tst_reply.moc"
