// SPDX-License-Identifier: MIT
#include "models/workerconsumer.h"

#include <AmqpQt/ratehistory.h>

#include <QtCore/qelapsedtimer.h>

#include <algorithm>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

constexpr int AnHour = 3'600'000; // no sample is taken while a test runs

// Checks the number of messages before the first value of a history, however long the test takes, because the time that
// the history measures is between two times that are measured here.
class CountCheck
{
public:
    // The history starts in the function.
    template <typename Function>
    explicit CountCheck(Function start)
    {
        m_clock.start();
        start();
        m_started = m_clock.nsecsElapsed();
    }

    // Returns whether the next value represents this number of messages.
    bool isNext(RateHistory &history, int count)
    {
        const QSignalSpy sampled(&history, &RateHistory::valuesChanged);
        qint64 before = 0;
        history.setInterval(1);
        while (sampled.isEmpty()) {
            before = m_clock.nsecsElapsed();
            QCoreApplication::processEvents();
        }
        const qint64 after = m_clock.nsecsElapsed();
        history.setInterval(AnHour);
        const double value = history.values().constLast();
        const double shortest = double(std::max<qint64>(before - m_started, 0));
        return value * double(after) >= count * 1e9 * 0.999'999 && value * shortest <= count * 1e9 * 1.000'001;
    }

private:
    QElapsedTimer m_clock;
    qint64 m_started = 0;
};

bool nextValue(RateHistory &history)
{
    const QSignalSpy sampled(&history, &RateHistory::valuesChanged);
    return waitUntil([&] { return !sampled.isEmpty(); });
}

} // namespace

class tst_RateHistory : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void defaults();
    void valueIsMessagesPerSecond();
    void newestValueIsLast();
    void idleHistoryHasNoTimer();
    void fewerSamplesKeepTheNewest();
    void clearStartsAgain();
    void polylineEndsAtTheRightEdge();
    void invalidValuesAreRefused();
    void slotMayDeleteTheHistory_data();
    void slotMayDeleteTheHistory();
    void deliveriesOfAllConsumersAreCounted_data();
    void deliveriesOfAllConsumersAreCounted();
    void earlierDeliveriesAreNotCounted();
    void consumersThatLeaveAreNotCounted();
    void nothingIsAcknowledged();
    void consumerMayLiveInAnotherThread();
};

void tst_RateHistory::defaults()
{
    const RateHistory history;
    QCOMPARE(history.samples(), 60);
    QCOMPARE(history.interval(), 1000);
    QVERIFY(history.values().isEmpty());
    QCOMPARE(history.maximum(), 0.0);
    QVERIFY(history.polyline(10, 10).isEmpty());
    QVERIFY(history.consumers().isEmpty());
}

void tst_RateHistory::valueIsMessagesPerSecond()
{
    RateHistory history;
    history.setInterval(AnHour);
    CountCheck check([&] { history.add(100); });
    history.add();
    history.add(0);
    history.add(-5);
    QVERIFY(check.isNext(history, 101));
    QCOMPARE(history.maximum(), history.values().constFirst());
}

void tst_RateHistory::newestValueIsLast()
{
    RateHistory history;
    history.setSamples(3);
    history.setInterval(1);
    history.add(5);
    QVERIFY(nextValue(history));
    QCOMPARE(history.values().size(), 1);
    const double first = history.values().constFirst();
    QVERIFY(first > 0);
    QVERIFY(nextValue(history));
    QVERIFY(nextValue(history));
    QCOMPARE(history.values(), QList({first, 0.0, 0.0}));
    QCOMPARE(history.maximum(), first);
    history.add(5);
    QVERIFY(nextValue(history));
    QCOMPARE(history.values().size(), 3);
    QCOMPARE(history.values().constFirst(), 0.0);
    QVERIFY(history.values().constLast() > 0);
}

void tst_RateHistory::idleHistoryHasNoTimer()
{
    RateHistory history;
    history.setSamples(2);
    history.setInterval(1);
    const auto *timer = history.findChild<QTimer *>();
    QVERIFY(!timer->isActive());
    history.add();
    QVERIFY(timer->isActive());
    QVERIFY(waitUntil([&] { return !timer->isActive(); }));
    QCOMPARE(history.values(), QList({0.0, 0.0}));
    history.add();
    QVERIFY(nextValue(history));
    QVERIFY(history.values().constLast() > 0);
}

void tst_RateHistory::fewerSamplesKeepTheNewest()
{
    RateHistory history;
    QSignalSpy changed(&history, &RateHistory::samplesChanged);
    QSignalSpy values(&history, &RateHistory::valuesChanged);
    history.setInterval(1);
    for (int i = 0; i < 4; ++i) {
        history.add(i + 1);
        QVERIFY(nextValue(history));
    }
    history.setInterval(AnHour);
    const QList<double> all = history.values();
    values.clear();
    history.setSamples(2);
    history.setSamples(2);
    QCOMPARE(changed.size(), 1);
    QCOMPARE(values.size(), 1);
    QCOMPARE(history.values(), all.last(2));
    history.setSamples(100);
    QCOMPARE(history.values(), all.last(2));
    QCOMPARE(values.size(), 1);
}

void tst_RateHistory::clearStartsAgain()
{
    RateHistory history;
    const auto *timer = history.findChild<QTimer *>();
    history.setInterval(1);
    history.add(5);
    QVERIFY(nextValue(history));
    history.setInterval(AnHour);
    history.add(1000);
    QSignalSpy values(&history, &RateHistory::valuesChanged);
    history.clear();
    history.clear();
    QCOMPARE(values.size(), 1);
    QVERIFY(history.values().isEmpty());
    QVERIFY(!timer->isActive());
    CountCheck check([&] { history.add(2); });
    QVERIFY(check.isNext(history, 2));
}

void tst_RateHistory::polylineEndsAtTheRightEdge()
{
    RateHistory history;
    history.setSamples(5);
    history.setInterval(1);
    for (int i = 0; i < 3; ++i) {
        history.add(10 * (i + 1));
        QVERIFY(nextValue(history));
    }
    const QList<double> values = history.values();
    const QList<QPointF> points = history.polyline(80, 10);
    QCOMPARE(points.size(), values.size());
    const double maximum = std::max(history.maximum(), 1.0);
    for (qsizetype i = 0; i < points.size(); ++i) {
        QCOMPARE(points[i].x(), 80.0 - 20.0 * double(points.size() - 1 - i));
        QCOMPARE(points[i].y() + 1, 11.0 - 10.0 * values[i] / maximum);
    }
    QVERIFY(std::any_of(points.begin(), points.end(), [](const QPointF &point) { return point.y() == 0; }));
}

void tst_RateHistory::invalidValuesAreRefused()
{
    RateHistory history;
    QSignalSpy samples(&history, &RateHistory::samplesChanged);
    QSignalSpy interval(&history, &RateHistory::intervalChanged);
    QTest::ignoreMessage(QtWarningMsg, "samples: 1 is out of range; the minimum is 2");
    history.setSamples(1);
    QTest::ignoreMessage(QtWarningMsg, "interval: 0 ms is out of range; the minimum is 1 ms");
    history.setInterval(0);
    QCOMPARE(history.samples(), 60);
    QCOMPARE(history.interval(), 1000);
    QVERIFY(samples.isEmpty() && interval.isEmpty());
    history.setInterval(1);
    history.setInterval(1);
    QCOMPARE(interval.size(), 1);
}

void tst_RateHistory::slotMayDeleteTheHistory_data()
{
    QTest::addColumn<QByteArray>("call");
    for (const char *call : {"sample", "clear", "samples", "interval"})
        QTest::newRow(call) << QByteArray(call);
}

void tst_RateHistory::slotMayDeleteTheHistory()
{
    QFETCH(const QByteArray, call);
    QPointer<RateHistory> history = new RateHistory;
    history->setInterval(1);
    history->add();
    QVERIFY(nextValue(*history));
    history->add();
    QVERIFY(nextValue(*history));
    history->add();
    QVERIFY(nextValue(*history));
    const auto remove = [&history] { delete history.data(); };
    if (call == "samples")
        connect(history, &RateHistory::samplesChanged, this, remove);
    else if (call == "interval")
        connect(history, &RateHistory::intervalChanged, this, remove);
    else
        connect(history, &RateHistory::valuesChanged, this, remove);
    if (call == "samples")
        history->setSamples(2);
    else if (call == "interval")
        history->setInterval(2);
    else if (call == "clear")
        history->clear();
    QVERIFY(waitUntil([&] { return !history; }));
}

void tst_RateHistory::deliveriesOfAllConsumersAreCounted_data()
{
    QTest::addColumn<AckMode>("ackMode");
    QTest::newRow("manual") << AckMode::Manual;
    QTest::newRow("after delivery") << AckMode::AfterDelivery;
    QTest::newRow("no ack") << AckMode::NoAck;
}

void tst_RateHistory::deliveriesOfAllConsumersAreCounted()
{
    QFETCH(const AckMode, ackMode);
    ScriptedPeer peer;
    OpenClient client(peer);
    RateHistory history;
    history.setInterval(AnHour);
    Consumer *first = client.consume({.ackMode = ackMode});
    Consumer *second = client.consume({.ackMode = ackMode});
    for (Consumer *consumer : {first, second})
        connect(consumer, &Consumer::delivered, this, [] {});
    CountCheck check([&] { history.addConsumer(first); });
    history.addConsumer(second);
    history.addConsumer(second);
    history.addConsumer(nullptr);
    QCOMPARE(history.consumers(), QList({first, second}));
    QSignalSpy firstCount(first, &Consumer::deliveredCountChanged);
    QSignalSpy secondCount(second, &Consumer::deliveredCountChanged);
    peer.sendRaw(deliveries("c1", 1, {"a", "b"}) + deliveries("c2", 3, {"c"}));
    QVERIFY(waitUntil([&] { return !firstCount.isEmpty() && !secondCount.isEmpty(); }));
    peer.sendRaw(deliveries("c1", 4, {"d", "e"}));
    QVERIFY(waitUntil([&] { return firstCount.constLast().constFirst() == 4.0; }));
    QVERIFY(check.isNext(history, 5));
}

void tst_RateHistory::earlierDeliveriesAreNotCounted()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    RateHistory history;
    history.setInterval(AnHour);
    Consumer *consumer = client.consume();
    connect(consumer, &Consumer::delivered, this, [] {});
    QSignalSpy count(consumer, &Consumer::deliveredCountChanged);
    peer.sendRaw(deliveries("c1", 1, {"a", "b"}));
    QVERIFY(waitUntil([&] { return count.size() == 1; }));
    CountCheck check([&] { history.addConsumer(consumer); });
    peer.sendRaw(deliveries("c1", 3, {"c"}));
    QVERIFY(waitUntil([&] { return count.size() == 2; }));
    QVERIFY(check.isNext(history, 1));
}

void tst_RateHistory::consumersThatLeaveAreNotCounted()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    RateHistory history;
    history.setInterval(AnHour);
    const auto *timer = history.findChild<QTimer *>();
    QList<Consumer *> consumers;
    for (int i = 0; i < 3; ++i) {
        consumers += client.consume();
        connect(consumers.constLast(), &Consumer::delivered, this, [] {});
    }
    CountCheck check([&] { history.setConsumer(consumers[0]); });
    history.addConsumer(consumers[1]);
    history.setConsumer(consumers[2]);
    QCOMPARE(history.consumers(), QList({consumers[2]}));
    peer.sendRaw(deliveries("c1", 1, {"a"}) + deliveries("c2", 2, {"b"}) + deliveries("c3", 3, {"c"}));
    QVERIFY(waitUntil([&] {
        return std::all_of(consumers.cbegin(), consumers.cend(),
                           [](const Consumer *consumer) { return consumer->deliveredCount() == 1; });
    }));
    settleEvents();
    history.removeConsumer(consumers[2]);
    QVERIFY(history.consumers().isEmpty());
    peer.sendRaw(deliveries("c3", 4, {"d"}));
    QVERIFY(waitUntil([&] { return consumers[2]->deliveredCount() == 2; }));
    settleEvents();
    QVERIFY(check.isNext(history, 1));

    history.addConsumer(consumers[0]);
    delete consumers[0];
    QVERIFY(history.consumers().isEmpty());
    history.setSamples(2);
    history.setInterval(1);
    QVERIFY(waitUntil([&] { return !timer->isActive(); }));
    QCOMPARE(history.values(), QList({0.0, 0.0}));
}

// A history does not count as a receiver of the messages.
void tst_RateHistory::nothingIsAcknowledged()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    RateHistory history;
    history.setInterval(AnHour);
    Consumer *consumer = client.consume({.ackMode = AckMode::AfterDelivery});
    CountCheck check([&] { history.addConsumer(consumer); });
    peer.sendRaw(deliveries("c1", 1, {"a", "b"}));
    QVERIFY(waitUntil([&] { return consumer->deliveredCount() == 2; }));
    settle(client.connection);
    QVERIFY(check.isNext(history, 2));
    QCOMPARE(consumer->unackedCount(), 2);
    QCOMPARE(peer.count("basic.ack"), 0);
    QStringList received;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) { received += message.text(); });
    QVERIFY(waitUntil([&] { return consumer->unackedCount() == 0; }));
    QCOMPARE(received, QStringList({u"a"_s, u"b"_s}));
}

void tst_RateHistory::consumerMayLiveInAnotherThread()
{
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    RateHistory history;
    history.setInterval(AnHour);
    WorkerConsumer worker(peer);
    Consumer *consumer = worker.consumer();
    worker.call([consumer] { connect(consumer, &Consumer::delivered, consumer, [] {}); });
    CountCheck check([&] { history.addConsumer(consumer); });
    double counted = 0;
    connect(consumer, &Consumer::deliveredCountChanged, this, [&](double count) { counted = count; });
    peer.sendRaw(deliveries("c1", 1, {"a", "b", "c"}));
    QVERIFY(waitUntil([&] { return counted == 3; }));
    worker.removeClient();
    QVERIFY(history.consumers().isEmpty());
    QVERIFY(check.isNext(history, 3));
}

QTEST_GUILESS_MAIN(tst_RateHistory)
#include "tst_ratehistory.moc"
