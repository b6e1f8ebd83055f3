// SPDX-License-Identifier: MIT
#include "client/connection/mailbox_p.h"

#include <QtTest/qtest.h>

#include <QtCore/qdeadlinetimer.h>
#include <QtCore/qloggingcategory.h>
#include <QtCore/qthread.h>

#include <atomic>
#include <functional>
#include <memory>
#include <thread>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

namespace
{

struct RecordingTarget final : SettlementTarget {
    void settleNow(const Settlement &settlement) override
    {
        settled.push_back(settlement);
        thread = QThread::currentThreadId();
    }
    bool isUnsettled(const Settlement &) const override { return true; }
    void wakeForSettlements() override { ++wakes; }

    std::vector<Settlement> settled;
    Qt::HANDLE thread = nullptr;
    int wakes = 0;
};

Settlement settlement(quint64 deliveryTag, quint16 channelNumber = 1)
{
    return {.incarnation = 2, .deliveryTag = deliveryTag, .channelNumber = channelNumber};
}

void inAnotherThread(const std::function<void()> &function)
{
    std::thread(function).join();
}

} // namespace

class tst_Mailbox : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void ownThreadSettlesAtOnce();
    void otherThreadIsQueuedWithOneWakeUpPerBatch();
    void orderOfCallsIsKept();
    void afterMovingTheNewThreadIsTheOwnOne();
    void settlingAfterDetachIsReportedAsStale();
    void settlementsQueuedAtDetachAreReportedAsStale();
    void targetMayBeDeletedWhileItSettles();
    void everythingFromManyThreadsArrivesOnceAndInOrder();
    void detachRacesWithOtherThreads();
};

void tst_Mailbox::ownThreadSettlesAtOnce()
{
    RecordingTarget target;
    Mailbox mailbox(&target);
    mailbox.settle(settlement(1));
    QVERIFY(target.settled == std::vector{settlement(1)});
    QCOMPARE(target.wakes, 0);
    QVERIFY(mailbox.take().empty());
}

void tst_Mailbox::otherThreadIsQueuedWithOneWakeUpPerBatch()
{
    RecordingTarget target;
    Mailbox mailbox(&target);
    inAnotherThread([&] {
        mailbox.settle(settlement(1));
        mailbox.settle(settlement(2));
    });
    inAnotherThread([&] { mailbox.settle(settlement(3)); });
    QVERIFY(target.settled.empty());
    QCOMPARE(target.wakes, 1);
    QCOMPARE(mailbox.take().size(), size_t(3));
    QVERIFY(mailbox.take().empty());

    inAnotherThread([&] { mailbox.settle(settlement(4)); });
    QCOMPARE(target.wakes, 2);
    QVERIFY(mailbox.take() == std::vector{settlement(4)});
}

void tst_Mailbox::orderOfCallsIsKept()
{
    RecordingTarget target;
    Mailbox mailbox(&target);
    std::vector<Settlement> expected;
    for (const auto kind : {Settlement::Kind::NackDiscard, Settlement::Kind::Ack, Settlement::Kind::NackRequeue}) {
        for (const quint64 tag : {9, 3, 7})
            expected.push_back({.incarnation = tag * 10, .deliveryTag = tag, .channelNumber = 65535, .kind = kind});
    }
    inAnotherThread([&] {
        for (const Settlement &each : expected)
            mailbox.settle(each);
    });
    QVERIFY(mailbox.take() == expected);
}

void tst_Mailbox::afterMovingTheNewThreadIsTheOwnOne()
{
    RecordingTarget target;
    Mailbox mailbox(&target);
    inAnotherThread([&] {
        mailbox.setThread();
        mailbox.settle(settlement(1));
        QVERIFY(target.settled == std::vector{settlement(1)});
        QCOMPARE(target.thread, QThread::currentThreadId());
        std::thread([&] { mailbox.settle(settlement(2)); }).join();
        QCOMPARE(target.wakes, 1);
        QVERIFY(mailbox.take() == std::vector{settlement(2)});
    });
    QCOMPARE(target.settled.size(), size_t(1));
}

void tst_Mailbox::settlingAfterDetachIsReportedAsStale()
{
    auto target = std::make_unique<RecordingTarget>();
    Mailbox mailbox(target.get());
    mailbox.detach();
    target.reset();
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"StaleDelivery: delivery 5 of channel 6"_s));
    mailbox.settle(settlement(5, 6));
    inAnotherThread([&] {
        QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"StaleDelivery: delivery 7 of channel 8"_s));
        mailbox.settle(settlement(7, 8));
    });
    QVERIFY(mailbox.take().empty());
}

void tst_Mailbox::settlementsQueuedAtDetachAreReportedAsStale()
{
    RecordingTarget target;
    Mailbox mailbox(&target);
    inAnotherThread([&] { mailbox.settle(settlement(5)); });
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"StaleDelivery: delivery 5 of channel 1"_s));
    mailbox.detach();
    QVERIFY(mailbox.take().empty());
    QVERIFY(target.settled.empty());
}

void tst_Mailbox::targetMayBeDeletedWhileItSettles()
{
    struct Target final : SettlementTarget {
        void settleNow(const Settlement &) override
        {
            mailbox->detach();
            mailbox.reset();
        }
        bool isUnsettled(const Settlement &) const override { return true; }
        void wakeForSettlements() override {}
        std::unique_ptr<Mailbox> mailbox;
    } target;
    target.mailbox = std::make_unique<Mailbox>(&target);
    target.mailbox->settle(settlement(1));
    QVERIFY(!target.mailbox);
}

void tst_Mailbox::everythingFromManyThreadsArrivesOnceAndInOrder()
{
    static constexpr quint64 Count = 5000;
    static constexpr quint16 Threads = 4;

    // Takes all queued settlements at each wake-up, as a connection does. It does not use an event, since Qt is not
    // built for ThreadSanitizer, which would not see the transfer.
    struct Target final : SettlementTarget {
        void settleNow(const Settlement &) override { qFatal("not in the own thread"); }
        bool isUnsettled(const Settlement &) const override { return true; }
        void wakeForSettlements() override { woken = true; }
        void takeIfWoken()
        {
            if (!woken.exchange(false))
                return;
            for (const Settlement &each : mailbox.take()) {
                inOrder &= each.deliveryTag == ++lastTag[each.channelNumber];
                ++received;
            }
        }
        Mailbox mailbox{this};
        std::atomic<bool> woken = false;
        quint64 lastTag[Threads] = {};
        quint64 received = 0;
        bool inOrder = true;
    } target;

    std::vector<std::thread> threads;
    for (quint16 channel = 0; channel < Threads; ++channel) {
        threads.emplace_back([&target, channel] {
            for (quint64 tag = 1; tag <= Count; ++tag)
                target.mailbox.settle(settlement(tag, channel));
        });
    }
    const QDeadlineTimer deadline(30'000);
    while (target.received < Count * Threads && !deadline.hasExpired())
        target.takeIfWoken();
    QCOMPARE(target.received, Count * Threads);
    for (std::thread &thread : threads)
        thread.join();
    QVERIFY(target.inOrder);
}

void tst_Mailbox::detachRacesWithOtherThreads()
{
    struct Target final : SettlementTarget {
        void settleNow(const Settlement &) override { qFatal("not in the own thread"); }
        bool isUnsettled(const Settlement &) const override { return true; }
        void wakeForSettlements() override { ++wakes; } // the sanitizers detect a call on a deleted target
        int wakes = 0;
    };
    QLoggingCategory::setFilterRules(u"amqpqt.channel.warning=false"_s);
    for (int round = 0; round < 50; ++round) {
        auto target = std::make_unique<Target>();
        const auto mailbox = std::make_shared<Mailbox>(target.get());
        std::atomic_int started = 0;
        std::vector<std::thread> threads;
        for (int i = 0; i < 3; ++i) {
            threads.emplace_back([mailbox, &started] {
                ++started;
                for (quint64 tag = 1; tag <= 200; ++tag)
                    mailbox->settle(settlement(tag));
            });
        }
        while (started < 3)
            std::this_thread::yield();
        const size_t taken = mailbox->take().size();
        mailbox->detach();
        const bool wasWoken = target->wakes > 0;
        target.reset();
        for (std::thread &thread : threads)
            thread.join();
        QVERIFY(wasWoken || taken == 0);
        QVERIFY(mailbox->take().empty());
    }
    QLoggingCategory::setFilterRules({});
}

QTEST_GUILESS_MAIN(tst_Mailbox)
#include "tst_mailbox.moc"
