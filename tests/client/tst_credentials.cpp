// SPDX-License-Identifier: MIT
#include "client/connection/credentials_p.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace std::chrono_literals;
using Reason = Connection::CredentialReason;

// Credentials by itself, with a clock of its own.
class tst_Credentials : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void defaultsAreAskedFor();
    void credentialsAreUsedUntilTheyExpire();
    void othersReplaceTheLife();
    void erasedOnesAreAskedFor();
    void refusedOnesAreAskedForUntilOthersAreSet();
    void newerOnesAreUsedAfterARefusal();
    void anOpenConnectionAsksOnceBeforeItsCredentialsExpire_data();
    void anOpenConnectionAsksOnceBeforeItsCredentialsExpire();
    void renewedOnesAreRenewedAgain();
    void credentialsForLaterDoNotChangeTheOpenConnection();
    void aClosedConnectionAsksForNothing();
    void onesThatTheBrokerCallsExpiredAreAskedFor();
    void newerOnesOutliveTheEndOfAConnection();

private:
    struct Login : Credentials {
        Engine::Time now{1h};
        void give(Life life = {}, double random = 0.5) { set(life, now, random); }
        void open()
        {
            loginStarted();
            opened();
        }
        std::optional<Reason> needed() const { return neededAt(now); }
    };
};

void tst_Credentials::defaultsAreAskedFor()
{
    Login t;
    QCOMPARE(t.needed(), Reason::FirstConnect);
    t.open(); // nobody listened
    QVERIFY(!t.mustRenew());
    QVERIFY(!t.renewalAt());
    t.closed();
    QCOMPARE(t.needed(), Reason::Reconnect);
    t.reset(false);
    QVERIFY(!t.needed());
    t.reset(true);
    QCOMPARE(t.needed(), Reason::Reconnect);
}

void tst_Credentials::credentialsAreUsedUntilTheyExpire()
{
    Login t;
    t.give();
    t.now += 1000h;
    QVERIFY(!t.needed());
    t.give(10s);
    t.now += 10s - 1ms;
    QVERIFY(!t.needed());
    t.now += 1ms;
    QCOMPARE(t.needed(), Reason::FirstConnect);
    t.give(10s);
    QVERIFY(!t.needed());
}

void tst_Credentials::othersReplaceTheLife()
{
    Login t;
    t.give(10s);
    t.give();
    t.now += 1h;
    QVERIFY(!t.needed());
    t.give(10s);
    t.reset(false);
    t.now += 1h;
    QVERIFY(!t.needed());
}

void tst_Credentials::erasedOnesAreAskedFor()
{
    Login t;
    t.give();
    t.open();
    t.erased();
    t.closed();
    QCOMPARE(t.needed(), Reason::Reconnect);
    t.give();
    QVERIFY(!t.needed());
}

void tst_Credentials::refusedOnesAreAskedForUntilOthersAreSet()
{
    Login t;
    t.give();
    t.loginStarted();
    QVERIFY(!t.loginRefused());
    QCOMPARE(t.needed(), Reason::Refused);
    t.erased(); // they were wrong anyway
    t.closed();
    QCOMPARE(t.needed(), Reason::Refused);
    t.give();
    QVERIFY(!t.needed());
}

void tst_Credentials::newerOnesAreUsedAfterARefusal()
{
    Login t;
    t.give();
    t.loginStarted();
    t.give();
    QVERIFY(!t.areUsed());
    QVERIFY(t.loginRefused());
    QVERIFY(!t.needed());
    t.loginStarted();
    QVERIFY(t.areUsed());
    QVERIFY(!t.loginRefused());
}

void tst_Credentials::anOpenConnectionAsksOnceBeforeItsCredentialsExpire_data()
{
    QTest::addColumn<double>("random");
    QTest::addColumn<int>("percent");
    QTest::newRow("earliest") << 0.0 << 75;
    QTest::newRow("middle") << 0.5 << 80;
    QTest::newRow("latest") << 1.0 << 85;
}

void tst_Credentials::anOpenConnectionAsksOnceBeforeItsCredentialsExpire()
{
    QFETCH(const double, random);
    QFETCH(const int, percent);
    Login t;
    t.give(100s, random);
    QVERIFY(!t.renewalAt()); // not open yet
    t.open();
    QVERIFY(t.mustRenew());
    QVERIFY(t.renewalAt());
    const auto delay = std::chrono::round<std::chrono::milliseconds>(*t.renewalAt() - t.now);
    QCOMPARE(delay.count(), percent * 1000);
    t.now = *t.renewalAt() - 1ns;
    QVERIFY(!t.takeRenewal(t.now));
    t.now += 1ns;
    QVERIFY(t.takeRenewal(t.now));
    QVERIFY(!t.takeRenewal(t.now + 1h));
    QVERIFY(!t.renewalAt());
    QVERIFY(t.mustRenew()); // a late answer is still sent
}

void tst_Credentials::renewedOnesAreRenewedAgain()
{
    Login t;
    t.give(100s);
    t.open();
    t.now += 80s;
    QVERIFY(t.takeRenewal(t.now));
    t.give(100s);
    QVERIFY(!t.renewalAt()); // not sent yet
    t.renewed();
    QVERIFY(t.renewalAt());
    QVERIFY(!t.takeRenewal(t.now + 79s));
    QVERIFY(t.takeRenewal(t.now + 81s));
    t.give(); // that do not expire
    t.renewed();
    QVERIFY(!t.mustRenew());
    QVERIFY(!t.renewalAt());
}

void tst_Credentials::credentialsForLaterDoNotChangeTheOpenConnection()
{
    Login t;
    t.give(100s);
    t.open();
    const auto before = t.renewalAt();
    t.reset(false);
    QCOMPARE(t.renewalAt(), before);
    QVERIFY(t.mustRenew());

    Login unlimited;
    unlimited.give();
    unlimited.open();
    unlimited.give(100s);
    QVERIFY(!unlimited.mustRenew());
    QVERIFY(!unlimited.renewalAt());
}

void tst_Credentials::aClosedConnectionAsksForNothing()
{
    Login t;
    t.give(100s);
    t.open();
    t.closed();
    QVERIFY(!t.renewalAt());
    QVERIFY(!t.mustRenew());
    QVERIFY(!t.takeRenewal(t.now + 1h));
    QVERIFY(!t.needed());
    t.open();
    QVERIFY(t.renewalAt());
}

void tst_Credentials::onesThatTheBrokerCallsExpiredAreAskedFor()
{
    Login t;
    t.give();
    t.open();
    t.expired();
    t.closed();
    QCOMPARE(t.needed(), Reason::Reconnect);
    t.give();
    t.open();
    t.secretRefused();
    t.closed();
    QCOMPARE(t.needed(), Reason::Refused);
}

void tst_Credentials::newerOnesOutliveTheEndOfAConnection()
{
    Login t;
    t.give();
    t.open();
    t.give();
    t.expired();
    QVERIFY(!t.needed());
    t.secretRefused();
    QVERIFY(!t.needed());
}

QTEST_APPLESS_MAIN(tst_Credentials)
#include "tst_credentials.moc"
