// SPDX-License-Identifier: MIT
#include <AmqpQt/recovery.h>
#include <AmqpQt/topology.h>

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

// The values Topology, TopologyReport and RecoveryPolicy.
class tst_TopologyValue : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void entitiesAreListedInOrder();
    void copiesAreIndependent();
    void removalTakesBindingsAlong();
    void bindingsAreIdentifiedByAllTheirFields();
    void unsendableArgumentsIdentifyToo();
    void reportsListTheirFailures();
    void policiesAreCopiedWithOneChange();
};

void tst_TopologyValue::entitiesAreListedInOrder()
{
    Topology topology;
    QVERIFY(topology.isEmpty());
    topology.bind(u"b"_s, u"logs"_s, u"#"_s, {{u"region"_s, u"eu"_s}})
        .queue(u"b"_s)
        .bindExchange(u"archive"_s, u"logs"_s)
        .queue(u"a"_s)
        .exchange(u"logs"_s, ExchangeType::Topic)
        .queue(u"b"_s, {.durable = false}); // keeps its place
    QVERIFY(!topology.isEmpty());
    QCOMPARE(topology.entities(),
             QStringList({u"exchange \"logs\""_s, u"queue \"b\""_s, u"queue \"a\""_s,
                          u"binding of exchange \"archive\" to exchange \"logs\" with the routing key \"\""_s,
                          u"binding of queue \"b\" to exchange \"logs\" with the routing key \"#\" and the "
                          "arguments region"_s}));
}

void tst_TopologyValue::copiesAreIndependent()
{
    Topology first;
    first.queue(u"a"_s).bind(u"a"_s, u"x"_s);
    Topology second = first;
    second.removeQueue(u"a"_s).exchange(u"x"_s, ExchangeType::Direct);
    QVERIFY(first.containsQueue(u"a"_s) && first.containsBinding(u"a"_s, u"x"_s) && !first.containsExchange(u"x"_s));
    QVERIFY(!second.containsQueue(u"a"_s) && !second.containsBinding(u"a"_s, u"x"_s) &&
            second.containsExchange(u"x"_s));
    first.swap(second);
    QVERIFY(first.containsExchange(u"x"_s));
    Topology third = std::move(second);
    QVERIFY(third.containsQueue(u"a"_s));
}

void tst_TopologyValue::removalTakesBindingsAlong()
{
    Topology topology;
    topology.exchange(u"x"_s, ExchangeType::Fanout)
        .queue(u"q"_s)
        .bind(u"q"_s, u"x"_s)
        .bind(u"q"_s, u"y"_s)
        .bindExchange(u"x"_s, u"y"_s)
        .bindExchange(u"z"_s, u"x"_s)
        .bindExchange(u"z"_s, u"y"_s);
    topology.removeExchange(u"x"_s).removeExchange(u"unknown"_s);
    QVERIFY(!topology.containsExchange(u"x"_s) && !topology.containsBinding(u"q"_s, u"x"_s));
    QVERIFY(!topology.containsExchangeBinding(u"x"_s, u"y"_s) && !topology.containsExchangeBinding(u"z"_s, u"x"_s));
    QVERIFY(topology.containsBinding(u"q"_s, u"y"_s) && topology.containsExchangeBinding(u"z"_s, u"y"_s));
    topology.removeQueue(u"q"_s).removeQueue(u"unknown"_s).removeExchangeBinding(u"z"_s, u"y"_s);
    QVERIFY(topology.isEmpty());
}

void tst_TopologyValue::bindingsAreIdentifiedByAllTheirFields()
{
    Topology topology;
    topology.bind(u"q"_s, u"x"_s, u"k"_s, {{u"h"_s, 1}});
    QVERIFY(topology.containsBinding(u"q"_s, u"x"_s, u"k"_s, {{u"h"_s, 1}}));
    QVERIFY(!topology.containsBinding(u"q"_s, u"x"_s, u"k"_s, {{u"h"_s, qint64(1)}}));
    QVERIFY(!topology.containsBinding(u"q"_s, u"x"_s, u"k"_s));
    QVERIFY(!topology.containsBinding(u"q"_s, u"x"_s, {}, {{u"h"_s, 1}}));
    QVERIFY(!topology.containsBinding(u"q"_s, u"y"_s, u"k"_s, {{u"h"_s, 1}}));
    QVERIFY(!topology.containsBinding(u"r"_s, u"x"_s, u"k"_s, {{u"h"_s, 1}}));
    QVERIFY(!topology.containsExchangeBinding(u"q"_s, u"x"_s, u"k"_s, {{u"h"_s, 1}}));
    topology.removeBinding(u"q"_s, u"x"_s, u"k"_s);
    QCOMPARE(topology.entities().size(), 1);
    topology.removeBinding(u"q"_s, u"x"_s, u"k"_s, {{u"h"_s, 1}});
    QVERIFY(topology.isEmpty());
}

void tst_TopologyValue::unsendableArgumentsIdentifyToo()
{
    Topology topology;
    const FieldTable unsendable{{u"h"_s, qQNaN()}};
    topology.bind(u"q"_s, u"x"_s).bind(u"q"_s, u"x"_s, {}, unsendable);
    QCOMPARE(topology.entities().size(), 2);
    topology.removeBinding(u"q"_s, u"x"_s, {}, unsendable);
    QVERIFY(topology.containsBinding(u"q"_s, u"x"_s));
    QCOMPARE(topology.entities().size(), 1);
}

void tst_TopologyValue::reportsListTheirFailures()
{
    TopologyReport report;
    report.created = QStringList{u"queue \"a\""_s};
    QVERIFY(report.isComplete());
    QCOMPARE(report.failures(), QStringList());
    const Error error(ErrorKind::ChannelClosed, u"PRECONDITION_FAILED"_s, 406, u"queue.declare"_s);
    report.differs.append({u"queue \"b\""_s, error});
    QVERIFY(!report.isComplete());
    report.failed.append({u"queue \"c\""_s, error});
    QCOMPARE(report.failures(),
             QStringList({u"queue \"b\": "_s + error.toString(), u"queue \"c\": "_s + error.toString()}));
}

void tst_TopologyValue::policiesAreCopiedWithOneChange()
{
    const RecoveryPolicy policy;
    const QList<RecoveryPolicy> changed{policy.withEnabled(false),
                                        policy.withTopology(false),
                                        policy.withMaximumAttempts(3),
                                        policy.withDelays(2s, 30s),
                                        policy.withDelays(1s, 31s),
                                        policy.withDelays(1s, 30s, 3.0),
                                        policy.withCalmAfter(1s),
                                        policy.withMismatch(RecoveryPolicy::Mismatch::UseExisting),
                                        policy.withMissing(RecoveryPolicy::Missing::Wait)};
    for (qsizetype i = 0; i < changed.size(); ++i) {
        QVERIFY(changed.at(i) != policy);
        for (qsizetype j = 0; j < changed.size(); ++j)
            QCOMPARE(changed.at(i) == changed.at(j), i == j);
    }
    QVERIFY(!changed.at(0).enabled);
    QVERIFY(!changed.at(1).topology);
    QCOMPARE(changed.at(2).maximumAttempts, 3);
    QCOMPARE(changed.at(3).initialDelay, 2s);
    QCOMPARE(changed.at(4).maximumDelay, 31s);
    QCOMPARE(changed.at(5).factor, 3.0);
    QCOMPARE(changed.at(6).calmAfter, 1s);
    QCOMPARE(changed.at(7).onMismatch, RecoveryPolicy::Mismatch::UseExisting);
    QCOMPARE(changed.at(8).onMissing, RecoveryPolicy::Missing::Wait);
}

QTEST_APPLESS_MAIN(tst_TopologyValue)
#include "tst_topologyvalue.moc"
