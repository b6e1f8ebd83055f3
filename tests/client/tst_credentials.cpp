// SPDX-License-Identifier: MIT
#include "client/connection/credentials_p.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace std::chrono_literals;
using Reason = Connection::CredentialReason;
using State = Credentials::State;

// Credentials by itself, with a clock of its own.
class tst_Credentials : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void defaultsAreAskedFor();
    void credentialsAreUsedUntilTheyExpire();
    void otherCredentialsReplaceTheLife();
    void missingCredentialsAreAskedFor();
    void refusedCredentialsAreAskedForUntilOthersAreSet();
    void newerCredentialsAreUsedAfterARefusal();
    void credentialsOfOtherParametersAreNotUsedAfterARefusal();
    void refusalConcernsOnlyTheCredentialsOfTheAttempt();
    void attemptIsJudgedByItsOwnCredentials();
    void openConnectionAsksBeforeItsCredentialsExpire_data();
    void openConnectionAsksBeforeItsCredentialsExpire();
    void unansweredRequestIsRepeatedOnce();
    void lateRequestIsNotRepeated();
    void expiryIsReportedOnce();
    void renewedCredentialsAreRenewedAgain();
    void renewalTakesEffectWithTheAnswerOfTheBroker();
    void refusedRenewalIsAskedFor();
    void credentialsForLaterDoNotChangeTheOpenConnection();
    void closedConnectionAsksForNothing();
    void expiredCredentialsAreAskedFor();
    void newerCredentialsOutliveTheEndOfAConnection();

private:
    struct Login : Credentials {
        Engine::Time now{1h};
        void give(Life life = {}, double random = 0.5) { set(life, now, random); }
        void open()
        {
            attemptStarted();
            opened();
        }
        void renew(Life life = {})
        {
            give(life);
            renewalSent();
            renewed(latest());
        }
        std::optional<Reason> needed() const // by the next attempt
        {
            Credentials next = *this;
            next.attemptStarted();
            return next.neededAt(now);
        }
    };
};

void tst_Credentials::defaultsAreAskedFor()
{
    Login t;
    QCOMPARE(t.needed(), Reason::FirstConnect);
    t.open(); // if the signal has no receiver
    QVERIFY(!t.mustRenew());
    QVERIFY(!t.requestAt());
    t.closed();
    QCOMPARE(t.needed(), Reason::Reconnect);
    t.parametersReplaced(State::Usable);
    QVERIFY(!t.needed());
    t.parametersReplaced(State::Default);
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

void tst_Credentials::otherCredentialsReplaceTheLife()
{
    Login t;
    t.give(10s);
    t.give();
    t.now += 1h;
    QVERIFY(!t.needed());
    t.give(10s);
    t.parametersReplaced(std::nullopt); // with the same credentials
    t.now += 10s;
    QVERIFY(t.needed());
    t.give(10s);
    t.parametersReplaced(State::Usable);
    t.now += 1h;
    QVERIFY(!t.needed());
}

void tst_Credentials::missingCredentialsAreAskedFor()
{
    Login t;
    t.give();
    t.open();
    t.erased();
    t.closed();
    QCOMPARE(t.needed(), Reason::Reconnect);
    t.give();
    QVERIFY(!t.needed());
    t.parametersReplaced(State::Missing);
    QCOMPARE(t.needed(), Reason::Reconnect);
}

void tst_Credentials::refusedCredentialsAreAskedForUntilOthersAreSet()
{
    Login t;
    t.give();
    t.attemptStarted();
    QVERIFY(!t.loginRefused());
    QCOMPARE(t.needed(), Reason::Refused);
    t.erased(); // they were wrong anyway
    t.closed();
    QCOMPARE(t.needed(), Reason::Refused);
    t.give();
    QVERIFY(!t.needed());
}

void tst_Credentials::newerCredentialsAreUsedAfterARefusal()
{
    Login t;
    t.give();
    t.attemptStarted();
    QVERIFY(t.areLatestSpent());
    t.give();
    QVERIFY(!t.areLatestSpent());
    QVERIFY(t.loginRefused());
    QVERIFY(!t.needed());
    t.attemptContinued();
    QVERIFY(t.areLatestSpent());
    QVERIFY(!t.loginRefused());
    QCOMPARE(t.needed(), Reason::Refused);
}

void tst_Credentials::credentialsOfOtherParametersAreNotUsedAfterARefusal()
{
    for (const std::optional<State> &state : {std::optional(State::Usable), std::optional<State>()}) {
        Login t;
        t.give();
        t.attemptStarted();
        t.parametersReplaced(state);
        if (!state)
            t.give(); // for the other parameters
        QVERIFY(!t.loginRefused());
        QVERIFY(!t.needed()); // nobody has refused them
        t.give();
        QVERIFY(!t.loginRefused());
    }
}

void tst_Credentials::refusalConcernsOnlyTheCredentialsOfTheAttempt()
{
    Login t;
    t.give();
    t.attemptStarted();
    t.parametersReplaced(State::Usable);
    QVERIFY(!t.loginRefused());
    QVERIFY(!t.areLatestSpent());
    t.closed();
    QVERIFY(!t.needed());
}

void tst_Credentials::attemptIsJudgedByItsOwnCredentials()
{
    Login t;
    t.give(10s);
    t.attemptStarted();
    t.parametersReplaced(State::Missing);
    QVERIFY(!t.neededAt(t.now));
    QCOMPARE(t.neededAt(t.now + 10s), Reason::FirstConnect);
    t.give();
    QCOMPARE(t.neededAt(t.now + 10s), Reason::FirstConnect);
    t.attemptContinued();
    QVERIFY(!t.neededAt(t.now + 10s));
}

void tst_Credentials::openConnectionAsksBeforeItsCredentialsExpire_data()
{
    QTest::addColumn<double>("random");
    QTest::addColumn<int>("percent");
    QTest::newRow("earliest") << 0.0 << 75;
    QTest::newRow("middle") << 0.5 << 80;
    QTest::newRow("latest") << 1.0 << 85;
}

void tst_Credentials::openConnectionAsksBeforeItsCredentialsExpire()
{
    QFETCH(const double, random);
    QFETCH(const int, percent);
    Login t;
    t.give(100s, random);
    QVERIFY(!t.requestAt()); // not open yet
    t.open();
    QVERIFY(t.mustRenew());
    QVERIFY(t.requestAt());
    const auto delay = std::chrono::round<std::chrono::milliseconds>(*t.requestAt() - t.now);
    QCOMPARE(delay.count(), percent * 1000);
}

void tst_Credentials::unansweredRequestIsRepeatedOnce()
{
    Login t;
    t.give(100s);
    t.open();
    const Engine::Time opened = t.now;
    t.now = *t.requestAt();
    t.requested(t.now);
    QVERIFY(t.requestAt());
    QCOMPARE(std::chrono::round<std::chrono::seconds>(*t.requestAt() - opened).count(), 90);
    t.requested(*t.requestAt());
    QVERIFY(!t.requestAt());
    QVERIFY(t.mustRenew()); // a late answer is still sent
}

void tst_Credentials::lateRequestIsNotRepeated()
{
    Login t;
    t.give(100s);
    t.open();
    t.now += 95s; // the signal has a receiver only now
    QVERIFY(*t.requestAt() < t.now);
    t.requested(t.now);
    QVERIFY(!t.requestAt());
}

void tst_Credentials::expiryIsReportedOnce()
{
    Login t;
    t.give(100s);
    QVERIFY(!t.expiryAt());
    t.open();
    QCOMPARE(t.expiryAt(), std::optional(t.now + 100s));
    t.expiryReported();
    QVERIFY(!t.expiryAt());
    t.renew(100s);
    QVERIFY(t.expiryAt());
}

void tst_Credentials::renewedCredentialsAreRenewedAgain()
{
    Login t;
    t.give(100s);
    t.open();
    t.now += 80s;
    t.requested(t.now);
    t.renew(100s);
    QVERIFY(t.requestAt());
    QCOMPARE(std::chrono::round<std::chrono::seconds>(*t.requestAt() - t.now).count(), 80);
    t.renew(); // with credentials that do not expire
    QVERIFY(!t.mustRenew());
    QVERIFY(!t.requestAt());
}

void tst_Credentials::renewalTakesEffectWithTheAnswerOfTheBroker()
{
    Login t;
    t.give(100s);
    t.open();
    const auto before = t.requestAt();
    t.give(1000s);
    QCOMPARE(t.requestAt(), before); // not sent yet
    t.renewalSent();
    const Credentials::Version sent = t.latest();
    QVERIFY(!t.requestAt());
    QVERIFY(!t.expiryAt());
    QVERIFY(!t.areLatestSpent());
    t.give(50s); // during the renewal
    t.renewed(sent);
    QCOMPARE(std::chrono::round<std::chrono::seconds>(*t.requestAt() - t.now).count(), 800);
    QVERIFY(!t.areLatestSpent());

    t.give();
    t.renewalSent();
    t.expired(); // before the answer: these are the former credentials
    t.closed();
    QVERIFY(!t.needed());
}

void tst_Credentials::refusedRenewalIsAskedFor()
{
    Login t;
    t.give(100s);
    t.open();
    t.give(100s);
    t.renewalSent();
    const Credentials::Version sent = t.latest();
    t.renewalRefused(sent);
    QVERIFY(t.areLatestSpent());
    t.closed();
    QCOMPARE(t.needed(), Reason::Refused);
    t.give();
    t.renewalRefused(sent); // others than the latest
    QVERIFY(!t.needed());
}

void tst_Credentials::credentialsForLaterDoNotChangeTheOpenConnection()
{
    Login t;
    t.give(100s);
    t.open();
    const auto before = t.requestAt();
    t.parametersReplaced(State::Usable);
    QCOMPARE(t.requestAt(), before);
    QVERIFY(t.mustRenew());

    Login unlimited;
    unlimited.give();
    unlimited.open();
    unlimited.give(100s);
    QVERIFY(!unlimited.mustRenew());
    QVERIFY(!unlimited.requestAt());
    QVERIFY(!unlimited.expiryAt());
}

void tst_Credentials::closedConnectionAsksForNothing()
{
    Login t;
    t.give(100s);
    t.open();
    t.closed();
    QVERIFY(!t.requestAt());
    QVERIFY(!t.expiryAt());
    QVERIFY(!t.mustRenew());
    QVERIFY(!t.needed());
    t.open();
    QVERIFY(t.requestAt());
}

void tst_Credentials::expiredCredentialsAreAskedFor()
{
    Login t;
    t.give();
    t.open();
    t.expired();
    t.closed();
    QCOMPARE(t.needed(), Reason::Reconnect);
}

void tst_Credentials::newerCredentialsOutliveTheEndOfAConnection()
{
    Login t;
    t.give();
    t.open();
    t.give();
    t.expired();
    QVERIFY(!t.needed());
}

QTEST_APPLESS_MAIN(tst_Credentials)
#include "tst_credentials.moc"
