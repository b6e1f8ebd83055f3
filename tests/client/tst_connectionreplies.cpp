// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"
#include "client/connection/connectionreplies_p.h"
#include "client/connection/dispatcher_p.h"
#include "client/turntaker.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;

class tst_ConnectionReplies : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void callsShareTheReplyOfAnAttempt();
    void failedAttemptLeavesWhatWaitsForLaterOnes();
    void closingEndsAllReplies();
    void regularCloseCancelsTheAttempt();
    void repliesThatFailEndFromTheEventLoop();
};

namespace
{

const Error Refused(ErrorKind::Network, u"refused"_s);

struct Connecting {
    Connecting()
    {
        taker.inTurn = [this] {
            const Dispatcher::Guard guard(dispatcher);
            dispatcher.runDeferred(guard);
        };
    }
    Reply<void> followed(const Reply<void> &reply, const QString &name)
    {
        reply.then(&context, [this, name](const Result<void> &result) {
            log += result ? name : u"%1: %2"_s.arg(name, result.error().text());
        });
        return reply;
    }

    QStringList log;
    QObject context;
    Taker taker;
    Dispatcher dispatcher{taker.scheduler};
    ConnectionReplies replies{dispatcher};
};

} // namespace

void tst_ConnectionReplies::callsShareTheReplyOfAnAttempt()
{
    Connecting t;
    QVERIFY(!t.replies.isOpening());
    const Reply<void> first = t.replies.open();
    const Reply<void> second = t.replies.open();
    QVERIFY(t.replies.isOpening());
    t.followed(t.replies.whenOpen(), u"when open"_s);
    t.replies.opened();
    QVERIFY(!t.replies.isOpening());
    QVERIFY(!first.isFinished()); // until the dispatcher's next turn
    settleEvents();
    QVERIFY(first.isFinished() && first.result());
    QVERIFY(second.isFinished() && second.result());
    QCOMPARE(t.log, QStringList{u"when open"_s});
    QVERIFY(!t.replies.open().isFinished()); // of another attempt
}

void tst_ConnectionReplies::failedAttemptLeavesWhatWaitsForLaterOnes()
{
    Connecting t;
    t.followed(t.replies.open(), u"open"_s);
    const Reply<void> whenOpen = t.replies.whenOpen();
    t.replies.attemptFailed(Refused);
    settleEvents();
    QCOMPARE(t.log, QStringList{u"open: refused"_s});
    QVERIFY(!t.replies.isOpening() && !whenOpen.isFinished());
    t.replies.noAttemptFollows(Refused);
    settleEvents();
    QVERIFY(whenOpen.isFinished() && whenOpen.result().error() == Refused);
}

void tst_ConnectionReplies::closingEndsAllReplies()
{
    Connecting t;
    t.followed(t.replies.close(), u"close"_s);
    QVERIFY(t.replies.isClosing());
    t.followed(t.replies.whenOpen(), u"when open"_s);
    t.followed(t.replies.open(), u"open"_s);
    t.replies.closed(Refused);
    settleEvents();
    QCOMPARE(t.log, QStringList({u"open: refused"_s, u"when open: refused"_s, u"close: refused"_s}));
    QVERIFY(!t.replies.isOpening() && !t.replies.isClosing());
}

void tst_ConnectionReplies::regularCloseCancelsTheAttempt()
{
    Connecting t;
    const Reply<void> opening = t.replies.open();
    const Reply<void> closing = t.replies.close();
    t.replies.closed({});
    settleEvents();
    QVERIFY(closing.isFinished() && closing.result());
    QVERIFY(opening.isFinished() && !opening.result());
    QCOMPARE(opening.result().error().kind(), ErrorKind::Cancelled);
}

void tst_ConnectionReplies::repliesThatFailEndFromTheEventLoop()
{
    Connecting t;
    t.followed(t.replies.open(), u"open"_s);
    t.followed(t.replies.close(), u"close"_s);
    t.followed(t.replies.whenOpen(), u"when open"_s);
    t.taker.inTurn = {}; // the dispatcher is gone by then
    t.replies.fail(Refused);
    QCOMPARE(t.log, QStringList());
    settleEvents();
    QCOMPARE(t.log, QStringList({u"open: refused"_s, u"close: refused"_s, u"when open: refused"_s}));
}

QTEST_GUILESS_MAIN(tst_ConnectionReplies)

#include "tst_connectionreplies.moc"
