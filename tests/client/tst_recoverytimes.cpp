// SPDX-License-Identifier: MIT
#include "client/clock_p.h"
#include "client/connection/connection_p.h"
#include "client/reconnectingclient.h"
#include "client/restoringclient.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Tests what depends on the time between two events of a connection, with a clock that only the test moves. The clock
// is late, so that no deadline of the connection lies ahead of it.
class tst_RecoveryTimes : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init() { m_time = now() - 1h; }

    void healthyMinuteEndsTheGrowthOfTheDelays_data();
    void healthyMinuteEndsTheGrowthOfTheDelays();
    void onlyFrequentViolationsEndTheRecovery_data();
    void onlyFrequentViolationsEndTheRecovery();
    void connectionThatIsOpenedAgainStartsOver();
    void queueThatStaysLockedIsReported();

private:
    std::function<Engine::Time()> clock()
    {
        return [this] { return m_time; };
    }

    Engine::Time m_time;
};

void tst_RecoveryTimes::healthyMinuteEndsTheGrowthOfTheDelays_data()
{
    QTest::addColumn<std::chrono::seconds>("lasted");
    QTest::addColumn<std::chrono::milliseconds>("delay");
    QTest::newRow("59 s") << 59s << std::chrono::milliseconds(4h);
    QTest::newRow("60 s") << 60s << std::chrono::milliseconds(2h);
}

void tst_RecoveryTimes::healthyMinuteEndsTheGrowthOfTheDelays()
{
    QFETCH(const std::chrono::seconds, lasted);
    QFETCH(const std::chrono::milliseconds, delay);
    ReconnectingClient client(with(RecoveryPolicy().withDelays(2h, 16h, 2.0)));
    client.recovery().setClock(clock());
    QList<std::chrono::milliseconds> delays;
    connect(&client.connection, &Connection::reconnecting, this,
            [&](int, std::chrono::milliseconds time) { delays.append(time); });
    QVERIFY(client.open());
    QVERIFY(client.lose());
    QVERIFY(client.recover());
    m_time += lasted;
    QVERIFY(client.lose());
    settleEvents();
    QCOMPARE(delays, QList<std::chrono::milliseconds>({2h, delay}));
}

void tst_RecoveryTimes::onlyFrequentViolationsEndTheRecovery_data()
{
    QTest::addColumn<std::chrono::seconds>("interval");
    QTest::addColumn<bool>("ends");
    QTest::newRow("three in 58 s") << 29s << true;
    QTest::newRow("three in a minute") << 30s << false;
}

void tst_RecoveryTimes::onlyFrequentViolationsEndTheRecovery()
{
    QFETCH(const std::chrono::seconds, interval);
    QFETCH(const bool, ends);
    ReconnectingClient client;
    client.recovery().setClock(clock());
    const auto violate = [&] {
        client.broker().send(Wire::BasicQosOk{}, 0);
        return waitUntil([&] { return client.isWaiting() || client.connection.state() == Connection::State::Closed; });
    };
    QVERIFY(client.open());
    for (int i = 1; i <= 2; ++i) {
        QVERIFY(violate());
        QVERIFY(client.recover());
        m_time += interval;
    }
    QVERIFY(violate());
    QCOMPARE(client.connection.state(), ends ? Connection::State::Closed : Connection::State::Recovering);
}

void tst_RecoveryTimes::connectionThatIsOpenedAgainStartsOver()
{
    ReconnectingClient client(with(RecoveryPolicy().withDelays(2h, 16h, 2.0)));
    client.recovery().setClock(clock());
    QList<std::chrono::milliseconds> delays;
    connect(&client.connection, &Connection::reconnecting, this,
            [&](int, std::chrono::milliseconds time) { delays.append(time); });
    const auto violate = [&] {
        client.broker().send(Wire::BasicQosOk{}, 0);
        return waitUntil([&] { return client.isWaiting() || client.connection.state() == Connection::State::Closed; });
    };
    for (int round = 1; round <= 2; ++round) { // a third violation would end the recovery
        QVERIFY(client.open());
        QVERIFY(violate());
        QVERIFY(client.recover());
        QVERIFY(violate());
        QVERIFY(client.isRecovering());
        client.connection.abort();
        QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
    }
    QCOMPARE(delays, QList<std::chrono::milliseconds>({2h, 4h, 2h, 4h}));
}

void tst_RecoveryTimes::queueThatStaysLockedIsReported()
{
    constexpr std::chrono::seconds Step(60); // from one refusal to the next
    Restoring client;
    ConnectionPrivate *const d = ConnectionPrivate::of(&client.connection);
    d->recovery.setClock(clock());
    setUp(client);
    int refusals = 0;
    client.refusal = [&](const Command &command) -> Refusal {
        if (!is(command, "queue.declare", "queue", u"a"_s))
            return std::nullopt;
        if (++refusals > 1)
            m_time += Step;
        return std::pair(quint16(405), QByteArray("RESOURCE_LOCKED - cannot obtain exclusive access"));
    };
    QVERIFY(client.recover());
    const std::chrono::seconds waited = Step * (refusals - 1);
    const std::chrono::seconds limit = 2 * d->engine.heartbeat() + 10s;
    QVERIFY(waited >= limit && waited < limit + Step);
    const RecoveryReport report = client.reports.constFirst();
    QCOMPARE(report.failed.constFirst().entity, u"queue \"a\""_s);
    QCOMPARE(report.failed.constFirst().error.replyCode(), quint16(405));
    QCOMPARE(report.queues, 2);
}

QTEST_GUILESS_MAIN(tst_RecoveryTimes)

#include "tst_recoverytimes.moc"
