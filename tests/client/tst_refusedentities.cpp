// SPDX-License-Identifier: MIT
#include "client/restoringclient.h"

#include <QtCore/qmap.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Tests what a recovery makes of entities and consumers that the broker refuses.
class tst_RefusedEntities : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void refusedEntityIsReported_data();
    void refusedEntityIsReported();
    void missingEntityIsReported_data();
    void missingEntityIsReported();
    void missingEntityIsWaitedFor();
    void removedBindingIsNotWaitedFor();
    void lockedQueueIsTriedAgain_data();
    void lockedQueueIsTriedAgain();
    void bindingThatIsRefusedOnceComesBackWithTheOthers();
    void consumerThatIsRefusedOnceCanSubscribeAgain();
};

void tst_RefusedEntities::refusedEntityIsReported_data()
{
    QTest::addColumn<RecoveryPolicy::Mismatch>("policy");
    QTest::addColumn<bool>("binds");
    QTest::newRow("skip") << RecoveryPolicy::Mismatch::SkipAndReport << false;
    QTest::newRow("use") << RecoveryPolicy::Mismatch::UseExisting << true;
    QTest::newRow("fail") << RecoveryPolicy::Mismatch::Fail << false;
}

void tst_RefusedEntities::refusedEntityIsReported()
{
    QFETCH(const RecoveryPolicy::Mismatch, policy);
    QFETCH(const bool, binds);
    Restoring client(RecoveryPolicy().withMismatch(policy));
    setUp(client);
    client.refusal = [](const Command &command) -> Refusal {
        if (is(command, "queue.declare", "queue", u"a"_s))
            return std::pair(quint16(406), QByteArray("PRECONDITION_FAILED"));
        return std::nullopt;
    };
    client.lose();
    if (policy == RecoveryPolicy::Mismatch::Fail) {
        QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
        settleEvents();
        QCOMPARE(client.log.only(u"connection.closed"_s), QStringList{u"connection.closed ChannelClosed 406"_s});
        QCOMPARE(client.channel->state(), Channel::State::Closed);
        QCOMPARE(client.reports.size(), 0);
        return;
    }
    QVERIFY(client.isRecovered());
    const RecoveryReport report = client.reports.constFirst();
    QCOMPARE(report.failed.size(), binds ? 1 : 2);
    QCOMPARE(report.failed.constFirst().entity, u"queue \"a\""_s);
    QCOMPARE(report.failed.constFirst().error.replyCode(), quint16(406));
    QCOMPARE(report.queues, 2);
    QCOMPARE(report.bindings, binds ? 2 : 1);
    QCOMPARE(client.sent().contains(u"a<x"_s), binds);
    QVERIFY(client.connection.isOpen());
}

static Refusal refuseBindingOfA(const Command &command)
{
    if (is(command, "queue.bind", "queue", u"a"_s))
        return std::pair(quint16(404), QByteArray("NOT_FOUND - no exchange 'x' in vhost '/'"));
    return std::nullopt;
}

void tst_RefusedEntities::missingEntityIsReported_data()
{
    QTest::addColumn<RecoveryPolicy::Missing>("policy");
    QTest::newRow("skip") << RecoveryPolicy::Missing::SkipAndReport;
    QTest::newRow("fail") << RecoveryPolicy::Missing::Fail;
}

void tst_RefusedEntities::missingEntityIsReported()
{
    QFETCH(const RecoveryPolicy::Missing, policy);
    Restoring client(RecoveryPolicy().withMissing(policy));
    setUp(client);
    client.refusal = refuseBindingOfA;
    client.lose();
    if (policy == RecoveryPolicy::Missing::Fail) {
        QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
        QCOMPARE(brief(client.connection.error()), u"ChannelClosed 404"_s);
        return;
    }
    QVERIFY(client.isRecovered());
    QCOMPARE(client.reports.constFirst().failed.size(), 1);
    QVERIFY(client.reports.constFirst().failures().constFirst().contains(u"no exchange 'x'"_s));
    QCOMPARE(client.reports.constFirst().bindings, 1);
    QCOMPARE(client.sent().count(u"b<x"_s), 2); // the broker has not processed it the first time
}

// The channels do not wait for it.
void tst_RefusedEntities::missingEntityIsWaitedFor()
{
    Restoring client(RecoveryPolicy().withMissing(RecoveryPolicy::Missing::Wait));
    setUp(client);
    client.refusal = refuseBindingOfA;
    client.lose();
    QVERIFY(client.isRecovered());
    QCOMPARE(client.reports.constFirst().failed.size(), 1);
    QVERIFY(client.isAnswered());
    client.refusal = {};
    client.peer.forgetReceived();
    QVERIFY(waitUntil([&] { return client.sent().contains(u"a<x"_s); }));
    QCOMPARE(client.reports.size(), 1);
}

void tst_RefusedEntities::removedBindingIsNotWaitedFor()
{
    Restoring client(RecoveryPolicy().withMissing(RecoveryPolicy::Missing::Wait));
    setUp(client);
    QMap<QString, int> tries;
    client.refusal = [&](const Command &command) -> Refusal {
        if (command.name != "queue.bind")
            return std::nullopt;
        ++tries[command.fields.value(u"queue"_s).toString()];
        return std::pair(quint16(404), QByteArray("NOT_FOUND - no exchange 'x' in vhost '/'"));
    };
    client.lose();
    QVERIFY(client.isRecovered());
    const Reply<void> removed = client.channel->unbindQueue(u"a"_s, u"x"_s, u"a"_s);
    QVERIFY(waitUntil([&] { return removed.isFinished(); }));
    QVERIFY(removed.result());
    const auto waitForTry = [&] {
        const int before = tries[u"b"_s];
        return waitUntil([&] { return tries[u"b"_s] > before; });
    };
    QVERIFY(waitForTry()); // both may have been under way
    QVERIFY(waitForTry());
    const int before = tries[u"a"_s];
    QVERIFY(waitForTry());
    QVERIFY(waitForTry());
    QCOMPARE(tries[u"a"_s], before);
}

void tst_RefusedEntities::lockedQueueIsTriedAgain_data()
{
    QTest::addColumn<quint16>("code");
    QTest::addColumn<QByteArray>("text");
    QTest::newRow("locked") << quint16(405) << QByteArray("RESOURCE_LOCKED - cannot obtain exclusive access");
    QTest::newRow("node down") << quint16(404)
                               << QByteArray(
                                      "NOT_FOUND - home node 'r@h' of durable queue 'a' is down or inaccessible");
}

void tst_RefusedEntities::lockedQueueIsTriedAgain()
{
    QFETCH(const quint16, code);
    QFETCH(const QByteArray, text);
    Restoring client;
    setUp(client);
    int refusals = 0;
    client.refusal = [&](const Command &command) -> Refusal {
        if (is(command, "queue.declare", "queue", u"a"_s) && ++refusals <= 2)
            return std::pair(code, text);
        return std::nullopt;
    };
    QVERIFY(client.recover());
    QCOMPARE(refusals, 3);
    QCOMPARE(client.reports.constFirst().failures(), QStringList());
    QCOMPARE(client.reports.constFirst().bindings, 2);
}

void tst_RefusedEntities::bindingThatIsRefusedOnceComesBackWithTheOthers()
{
    constexpr int Count = 20;
    Restoring client;
    client.channel->declareExchange(u"x"_s, ExchangeType::Topic);
    client.channel->declareQueue(u"a"_s);
    QSet<QString> keys;
    for (int i = 1; i <= Count; ++i) {
        keys += QString::number(i);
        client.channel->bindQueue(u"a"_s, u"x"_s, QString::number(i));
    }
    QVERIFY(client.isAnswered());
    int tries = 0;
    client.refusal = [&](const Command &command) -> Refusal {
        if (is(command, "queue.bind", "routing-key", u"3"_s) && ++tries == 1)
            return std::pair(quint16(404), QByteArray("NOT_FOUND - home node 'r@h' of durable queue 'a' is down"));
        return std::nullopt;
    };
    QSet<QString> accepted;
    client.hook = [&](const Command &command) {
        if (command.name == "queue.bind")
            accepted += command.fields.value(u"routing-key"_s).toString();
        return false;
    };
    QVERIFY(client.recover());
    QCOMPARE(tries, 2);
    QCOMPARE(accepted, keys);
    QCOMPARE(client.reports.constFirst().bindings, Count);
    QCOMPARE(client.reports.constFirst().failures(), QStringList());
}

void tst_RefusedEntities::consumerThatIsRefusedOnceCanSubscribeAgain()
{
    Restoring client;
    client.channel->declareQueue(u"a"_s);
    Consumer *const refused = client.channel->consume(u"a"_s, {.consumerTag = u"tag"_s});
    QVERIFY(client.isAnswered());
    int tries = 0;
    client.refusal = [&](const Command &command) -> Refusal {
        if (is(command, "basic.consume", "consumer-tag", u"tag"_s) && ++tries == 1)
            return std::pair(quint16(403), QByteArray("ACCESS_REFUSED - read access to queue 'a' refused"));
        return std::nullopt;
    };
    QStringList reasons;
    QPointer<Consumer> next;
    connect(refused, &Consumer::cancelled, this, [&](const Error &reason) {
        reasons += brief(reason);
        next = client.channel->consume(u"a"_s, {.consumerTag = u"tag"_s});
    });
    QVERIFY(client.recover());
    QCOMPARE(reasons, QStringList{u"ChannelClosed 403"_s});
    QCOMPARE(refused->state(), Consumer::State::Cancelled);
    QCOMPARE(client.reports.constFirst().failed.size(), 1);
    QVERIFY(next && waitUntil([&] { return next->state() == Consumer::State::Active; }));
    QCOMPARE(tries, 2);
    QVERIFY(client.recover());
    QCOMPARE(client.reports.constLast().failures(), QStringList());
    QCOMPARE(next->state(), Consumer::State::Active);
    QCOMPARE(tries, 3);
    QCOMPARE(reasons.size(), 1);
}

QTEST_GUILESS_MAIN(tst_RefusedEntities)

#include "tst_refusedentities.moc"
