// SPDX-License-Identifier: MIT
#include "chaos/connectionledger.h"
#include "chaos/messageledger.h"
#include "chaos/topologymodel.h"

#include <QtTest/qtest.h>

using namespace Qt::StringLiterals;
using Outcome = MessageLedger::Outcome;

namespace
{

// A stream whose first messages are published, confirmed, delivered and acknowledged.
MessageLedger cleanLedger(int messages, int prefetch = 10)
{
    MessageLedger ledger(u"stream"_s, prefetch);
    for (int i = 0; i < messages; ++i) {
        const quint64 number = ledger.publish();
        ledger.end(number, Outcome::Confirmed);
        ledger.deliver(number);
        ledger.acknowledge(ledger.incarnation());
    }
    return ledger;
}

// The counts that are not zero.
QString violations(const Verdict &verdict)
{
    QStringList result;
    for (const QString &part : verdict.toString().split(", "_L1)) {
        if (!part.endsWith(": 0"_L1))
            result += part;
    }
    return result.join(", "_L1);
}

} // namespace

// Shows that the checks of the program chaos find each violation.
class tst_Invariants : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void cleanRunsHaveNoViolation();
    void confirmedMessageMustBeFound();
    void unconfirmedMessageMayBeMissing();
    void publishEndsOnce();
    void firstDeliveriesAreInOrder();
    void messagesUnderWayAtALossMayComeLater();
    void prefetchLimitsUnacknowledgedMessages();
    void acknowledgementsOfAnEarlierConnectionCountForNothing();
    void unknownMessagesAreFound();
    void everyLossHasOneRecovery();
    void failuresOfARecoveryAreFound();
    void staleAcksAreToldFromOtherErrors();
    void socketsAreCounted();
    void verdictsAddUp();
    void examplesAreFew();
    void listsAreParsed();
    void differencesAreNamed();
};

void tst_Invariants::cleanRunsHaveNoViolation()
{
    MessageLedger ledger = cleanLedger(100);
    ledger.loseConnection();
    for (quint64 number = 95; number <= 100; ++number) { // again, because the acknowledgements were lost
        ledger.deliver(number);
        ledger.acknowledge(ledger.incarnation());
    }
    QCOMPARE(violations(ledger.verdict()), QString());
    QVERIFY(ledger.verdict().isClean());
    QCOMPARE(ledger.publishedCount(), 100U);
    QCOMPARE(ledger.endedCount(), 100U);
    QCOMPARE(ledger.confirmedCount(), 100U);
    QCOMPARE(ledger.deliveredCount(), 100U);
    QCOMPARE(ledger.redeliveredCount(), 6U);
    QCOMPARE(ledger.missingCount(), 0U);
}

void tst_Invariants::confirmedMessageMustBeFound()
{
    MessageLedger ledger = cleanLedger(3);
    const quint64 number = ledger.publish();
    ledger.end(number, Outcome::Confirmed);
    QCOMPARE(ledger.missingCount(), 1U);
    QCOMPARE(violations(ledger.verdict()), u"lost: 1"_s);
    QCOMPARE(ledger.verdict().examples(), QStringList{u"lost: stream #4"_s});
    ledger.findInQueue(number);
    QCOMPARE(ledger.missingCount(), 0U);
    QCOMPARE(violations(ledger.verdict()), QString());
    const quint64 deliveredBefore = ledger.publish();
    ledger.deliver(deliveredBefore); // the confirm may come later
    QCOMPARE(ledger.missingCount(), 0U);
    ledger.end(deliveredBefore, Outcome::Confirmed);
    QCOMPARE(ledger.missingCount(), 0U);
    QCOMPARE(violations(ledger.verdict()), QString());
}

void tst_Invariants::unconfirmedMessageMayBeMissing()
{
    MessageLedger ledger = cleanLedger(3);
    ledger.end(ledger.publish(), Outcome::Unknown);
    ledger.end(ledger.publish(), Outcome::Refused);
    QCOMPARE(violations(ledger.verdict()), QString());
    QCOMPARE(ledger.unknownCount(), 1U);
}

void tst_Invariants::publishEndsOnce()
{
    MessageLedger ledger = cleanLedger(3);
    ledger.end(2, Outcome::Confirmed);
    ledger.end(3, Outcome::Unknown);
    ledger.publish();
    QCOMPARE(violations(ledger.verdict()), u"ended twice: 2, never ended: 1"_s);
    QCOMPARE(ledger.endedCount(), 3U);
}

void tst_Invariants::firstDeliveriesAreInOrder()
{
    MessageLedger ledger(u"stream"_s, 10);
    for (int i = 0; i < 4; ++i)
        ledger.end(ledger.publish(), Outcome::Confirmed);
    ledger.deliver(1);
    ledger.deliver(3);
    ledger.deliver(2); // for the first time
    ledger.deliver(1); // again
    ledger.deliver(4);
    QCOMPARE(violations(ledger.verdict()), u"out of order: 1"_s);
    QCOMPARE(ledger.verdict().examples(), QStringList{u"out of order: stream #2 behind 3"_s});
}

void tst_Invariants::messagesUnderWayAtALossMayComeLater()
{
    MessageLedger ledger(u"stream"_s, 10);
    for (int number = 1; number <= 4; ++number)
        ledger.publish();
    ledger.end(1, Outcome::Confirmed);
    ledger.loseConnection();
    for (const quint64 number : {3, 2, 4})
        ledger.deliver(number);
    QVERIFY(!violations(ledger.verdict()).contains(u"out of order"_s));
    ledger.deliver(1); // was in the queue before the loss
    QVERIFY(violations(ledger.verdict()).contains(u"out of order: 1"_s));
}

void tst_Invariants::prefetchLimitsUnacknowledgedMessages()
{
    MessageLedger ledger = cleanLedger(5, 2);
    ledger.deliver(1);
    ledger.deliver(2);
    QCOMPARE(violations(ledger.verdict()), QString());
    ledger.deliver(3);
    QCOMPARE(violations(ledger.verdict()), u"over prefetch: 1"_s);
    ledger.acknowledge(ledger.incarnation(), 3);
    ledger.deliver(4);
    ledger.deliver(5);
    QCOMPARE(violations(ledger.verdict()), u"over prefetch: 1"_s);
}

void tst_Invariants::acknowledgementsOfAnEarlierConnectionCountForNothing()
{
    MessageLedger ledger = cleanLedger(5, 2);
    ledger.deliver(1);
    ledger.deliver(2);
    const int earlier = ledger.incarnation();
    ledger.loseConnection();
    ledger.deliver(1);
    ledger.deliver(2);
    QCOMPARE(violations(ledger.verdict()), QString());
    ledger.acknowledge(earlier, 2);
    ledger.deliver(3);
    QCOMPARE(violations(ledger.verdict()), u"over prefetch: 1"_s);
}

void tst_Invariants::unknownMessagesAreFound()
{
    MessageLedger ledger = cleanLedger(5);
    ledger.deliver(0);
    ledger.deliver(6);
    ledger.end(7, Outcome::Confirmed);
    ledger.findInQueue(8);
    QCOMPARE(violations(ledger.verdict()), u"not published: 4"_s);
}

void tst_Invariants::everyLossHasOneRecovery()
{
    ConnectionLedger ledger(u"connection"_s);
    ledger.lose();
    QVERIFY(!ledger.isRecovered());
    QCOMPARE(violations(ledger.verdict()), u"not recovered: 1"_s);
    ledger.recover();
    QVERIFY(ledger.isRecovered());
    QCOMPARE(violations(ledger.verdict()), QString());
    ledger.recover();
    QCOMPARE(violations(ledger.verdict()), u"recovered twice: 1"_s);
    ledger.lose();
    ledger.lose();
    ledger.recover();
    QCOMPARE(violations(ledger.verdict()), u"not recovered: 1, recovered twice: 1"_s);
    QCOMPARE(ledger.lossCount(), 3);
}

void tst_Invariants::failuresOfARecoveryAreFound()
{
    ConnectionLedger ledger(u"connection"_s);
    ledger.lose();
    ledger.recover({u"queue \"q\": 406"_s});
    QCOMPARE(violations(ledger.verdict()), u"not restored: 1"_s);
}

void tst_Invariants::staleAcksAreToldFromOtherErrors()
{
    ConnectionLedger ledger(u"connection"_s);
    ledger.fail(u"PRECONDITION_FAILED - unknown delivery tag 7"_s);
    ledger.fail(u"INTERNAL_ERROR"_s);
    QCOMPARE(violations(ledger.verdict()), u"stale acks: 1, unexpected: 1"_s);
}

void tst_Invariants::socketsAreCounted()
{
    ConnectionLedger ledger(u"connection"_s);
    ledger.noteSockets({});
    ledger.noteSockets({u"one"_s});
    QCOMPARE(violations(ledger.verdict()), QString());
    ledger.noteSockets({u"one"_s, u"two"_s});
    QCOMPARE(violations(ledger.verdict()), u"second connections: 1"_s);
}

void tst_Invariants::verdictsAddUp()
{
    Verdict sum;
    QVERIFY(sum.isClean());
    Verdict one;
    one.add(Violation::Lost, u"a"_s, 2);
    one.add(Violation::TopologyDiffers, u"b"_s, 0);
    sum.add(one);
    one.add(Violation::Unexpected, u"c"_s);
    sum.add(one);
    QVERIFY(!sum.isClean());
    QCOMPARE(violations(sum), u"lost: 4, unexpected: 1"_s);
    QCOMPARE(sum.count(Violation::Lost), 4);
    QCOMPARE(sum.toJson().value("lost"_L1).toInt(), 4);
    QCOMPARE(sum.toJson().value("topology_differs"_L1).toInt(-1), 0);
    QCOMPARE(sum.examples().size(), 3);
    QVERIFY2(sum.toString().startsWith("lost: 4, ended twice: 0, "_L1), qPrintable(sum.toString()));
}

void tst_Invariants::examplesAreFew()
{
    Verdict verdict;
    for (int i = 0; i < 1000; ++i)
        verdict.add(Violation::Lost, QString::number(i));
    verdict.add(Violation::StaleAck, u"one"_s);
    QCOMPARE(verdict.count(Violation::Lost), 1000);
    QCOMPARE(verdict.examples().size(), 6);
}

void tst_Invariants::listsAreParsed()
{
    QCOMPARE(TopologyModel::commands().size(), 4);
    const QSet<QString> listed = TopologyModel::parse(
        {"q 1\ttrue\tfalse\tfalse\namq.gen-x\tfalse\ttrue\ttrue\n",
         "\tdirect\ttrue\tfalse\namq.topic\ttopic\ttrue\tfalse\nlogs\ttopic\ttrue\tfalse\n",
         "\tqueue\tq 1\tq 1\nlogs\tqueue\tq 1\tkey\nlogs\texchange\tother\t\n", "q 1\ttag\ttrue\t5\n"});
    QCOMPARE(listed, QSet({TopologyModel::queue(u"q 1"_s, true, false, false),
                           TopologyModel::queue(u"amq.gen-x"_s, false, true, true),
                           TopologyModel::exchange(u"logs"_s, u"topic"_s, true, false),
                           TopologyModel::binding(u"logs"_s, u"queue"_s, u"q 1"_s, u"key"_s),
                           TopologyModel::binding(u"logs"_s, u"exchange"_s, u"other"_s, {}),
                           TopologyModel::consumer(u"q 1"_s, u"tag"_s, 5)}));
}

void tst_Invariants::differencesAreNamed()
{
    TopologyModel model;
    model.insert(u"queue a"_s);
    model.insert(u"queue b"_s);
    QCOMPARE(model.differences({u"queue a"_s, u"queue b"_s}), QStringList());
    QCOMPARE(model.differences({u"queue b"_s, u"queue c"_s}),
             QStringList({u"missing: queue a"_s, u"surplus: queue c"_s}));
    model.remove(u"queue a"_s);
    model.remove(u"queue b"_s);
    QCOMPARE(model.differences({}), QStringList());
}

QTEST_APPLESS_MAIN(tst_Invariants)

#include "tst_invariants.moc"
