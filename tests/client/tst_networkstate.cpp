// SPDX-License-Identifier: MIT
#include "client/clock_p.h"
#include "client/reconnectingclient.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Tests what shortens or extends the wait for the next attempt: the network of the machine, and its sleep.
class tst_NetworkState : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void returningNetworkEndsTheWait();
    void attemptIsNeverMadeAtOnce();
    void withoutANetworkTheWaitIsLong();
    void networkThatGoesExtendsTheWait();
    void brokerOnThisMachineNeedsNoNetwork();
    void networkDoesNotDisturbAnAttemptOrAnOpenConnection();
    void missingBackendMeansThatThereIsANetwork();
    void sleepIsDetected();
    void resumingEndsTheWait();
    void passingTimeDoesNotEndTheWait();
};

namespace
{

class FakeNetwork final : public NetworkState
{
public:
    bool isOffline() const override { return m_isOffline; }
    void set(bool isOffline)
    {
        m_isOffline = isOffline;
        Q_EMIT changed();
    }

private:
    bool m_isOffline = false;
};

ConnectionParameters remote(const RecoveryPolicy &policy)
{
    ConnectionParameters parameters = withEndpoints({u"192.0.2.1"_s});
    parameters.setAnonymousAuthentication(); // a password would be sent without encryption
    return with(policy, parameters);
}

class NetworkClient : public ReconnectingClient
{
public:
    explicit NetworkClient(const ConnectionParameters &parameters = remote(later()))
        : ReconnectingClient(parameters)
    {
        auto fake = std::make_unique<FakeNetwork>();
        network = fake.get();
        recovery().setNetworkState(std::move(fake));
        recovery().setWallClock([this] { return wallTime; });
    }

    FakeNetwork *network;
    SleepDetector::WallTime wallTime{std::chrono::hours(1'000'000)};
};

} // namespace

void tst_NetworkState::returningNetworkEndsTheWait()
{
    NetworkClient client;
    QVERIFY(client.open());
    client.network->set(true);
    QVERIFY(client.lose());
    QVERIFY(client.connection.nextAttemptIn() > 23h);
    client.network->set(false);
    QVERIFY(waitUntil([&] { return client.brokers.size() == 2; }));
    client.broker().transport->accept();
    QVERIFY(waitUntil([&] { return client.connection.isOpen(); }));
}

// Otherwise a network that comes and goes would cause a storm of attempts.
void tst_NetworkState::attemptIsNeverMadeAtOnce()
{
    NetworkClient client;
    QVERIFY(client.open());
    const Engine::Time before = now();
    QVERIFY(client.lose());
    for (int i = 0; i < 10; ++i)
        client.network->set(false);
    QVERIFY(*client.recovery().deadline() >= before + Engine::Backoff::MinimumDelay);
    QVERIFY(waitUntil([&] { return client.brokers.size() == 2; }));
}

void tst_NetworkState::withoutANetworkTheWaitIsLong()
{
    NetworkClient client(remote(RecoveryPolicy().withDelays(1h, 5h)));
    QVERIFY(client.open());
    client.network->set(true);
    QVERIFY(client.lose());
    QVERIFY(client.connection.nextAttemptIn() > 4h);
    QVERIFY(client.connection.nextAttemptIn() <= 5h); // the platform may be wrong
    QVERIFY(client.recover());
}

void tst_NetworkState::networkThatGoesExtendsTheWait()
{
    NetworkClient client(remote(RecoveryPolicy().withDelays(1h, 5h)));
    QVERIFY(client.open());
    QVERIFY(client.lose());
    QVERIFY(client.connection.nextAttemptIn() <= 1h);
    client.network->set(true);
    QVERIFY(client.connection.nextAttemptIn() > 4h);
    QVERIFY(client.connection.nextAttemptIn() <= 5h);
}

void tst_NetworkState::brokerOnThisMachineNeedsNoNetwork()
{
    NetworkClient client(with(RecoveryPolicy().withDelays(1h, 5h), withEndpoints({u"127.0.0.1"_s})));
    QVERIFY(client.open());
    client.network->set(true);
    QVERIFY(client.lose());
    QVERIFY(client.connection.nextAttemptIn() <= 1h);
}

void tst_NetworkState::networkDoesNotDisturbAnAttemptOrAnOpenConnection()
{
    NetworkClient client;
    QVERIFY(client.open());
    client.network->set(true);
    client.network->set(false);
    settleEvents();
    QVERIFY(client.connection.isOpen());
    QVERIFY(client.lose());
    QVERIFY(client.tryAgain());
    client.network->set(true);
    client.network->set(false);
    settleEvents();
    QCOMPARE(client.brokers.size(), 2u);
    client.broker().transport->accept();
    QVERIFY(waitUntil([&] { return client.connection.isOpen(); }));
    client.connection.close();
    client.network->set(false);
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
    client.network->set(false);
    settleEvents();
    QCOMPARE(client.brokers.size(), 2u);
}

void tst_NetworkState::missingBackendMeansThatThereIsANetwork()
{
    qunsetenv("DBUS_SYSTEM_BUS_ADDRESS");
    std::unique_ptr<QThread> thread(QThread::create([] { // where no backend is loaded
        const auto state = NetworkState::ofSystem();
        QVERIFY(!state->isOffline());
    }));
    thread->start();
    QVERIFY(thread->wait());
}

void tst_NetworkState::sleepIsDetected()
{
    const Engine::Time steady{1h};
    const SleepDetector::WallTime wall{std::chrono::hours(1'000'000)};
    SleepDetector detector;
    detector.start(steady, wall);
    QCOMPARE(detector.nextCheck(), steady + SleepDetector::Interval);
    QVERIFY(!detector.hasSlept(steady + 5s, wall + 5s));
    QVERIFY(!detector.hasSlept(steady + 10s, wall + 14s)); // an adjusted clock
    QVERIFY(detector.hasSlept(steady + 15s, wall + 1h));
    QVERIFY(!detector.hasSlept(steady + 20s, wall + 1h + 5s));
    QVERIFY(!detector.hasSlept(steady + 25s, wall));           // set back
    QVERIFY(!detector.hasSlept(steady + 1h, wall + 1h - 25s)); // the application was busy
}

void tst_NetworkState::resumingEndsTheWait()
{
    NetworkClient client;
    QVERIFY(client.open());
    QVERIFY(client.lose());
    client.wallTime += 1h;
    client.recovery().tick(now() + SleepDetector::Interval);
    QCOMPARE(client.brokers.size(), 2u);
}

void tst_NetworkState::passingTimeDoesNotEndTheWait()
{
    NetworkClient client;
    QVERIFY(client.open());
    QVERIFY(client.lose());
    Engine::Time time = now();
    for (int i = 0; i < 10; ++i) {
        QVERIFY(*client.recovery().deadline() <= time + SleepDetector::Interval);
        client.wallTime += SleepDetector::Interval;
        time += SleepDetector::Interval;
        client.recovery().tick(time);
        QCOMPARE(client.brokers.size(), 1u);
    }
}

QTEST_GUILESS_MAIN(tst_NetworkState)

#include "tst_networkstate.moc"
