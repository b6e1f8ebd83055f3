// SPDX-License-Identifier: MIT
#include "support/heapmeter.h"
#include "support/scriptedpeer.h"

#include <AmqpQt/channel.h>
#include <AmqpQt/connection.h>
#include <AmqpQt/consumer.h>

#include <QtTest/qtest.h>

#include <algorithm>
#include <memory>
#include <vector>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

// The memory that idle objects need. The peer has its own thread, and only the allocations of this thread count.
class tst_Footprint : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void theMeterCountsOnlyItsThread();
    void anIdleConnectionIsSmall();
    void anIdleChannelWithAConsumerIsSmall();

private:
    static std::unique_ptr<Connection> openedConnection(const ScriptedPeer &peer)
    {
        auto connection = std::make_unique<Connection>(peer.url());
        connection->open();
        return QTest::qWaitFor([&] { return connection->isOpen(); }) ? std::move(connection) : nullptr;
    }
};

void tst_Footprint::theMeterCountsOnlyItsThread()
{
    const HeapMeter meter;
    std::unique_ptr<char[]> ofOtherThread;
    const std::unique_ptr<QThread> thread(
        QThread::create([&] { ofOtherThread = std::make_unique<char[]>(1024 * 1024); }));
    thread->start();
    QVERIFY(thread->wait());
    QVERIFY(meter.live() >= 1024 * 1024);
    QVERIFY(meter.liveInThread() < 64 * 1024);
    const auto ofThisThread = std::make_unique<char[]>(1024 * 1024);
    QVERIFY(meter.liveInThread() >= 1024 * 1024);
}

void tst_Footprint::anIdleConnectionIsSmall()
{
    constexpr int Count = 20;
    constexpr qint64 Limit = 11'000; // bytes; 9939 with Qt 6.4
    const ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    const auto first = openedConnection(peer); // creates what all connections share
    QVERIFY(first);
    std::vector<std::unique_ptr<Connection>> connections;
    connections.reserve(Count);
    const HeapMeter meter;
    for (int i = 0; i < Count; ++i) {
        connections.push_back(openedConnection(peer));
        QVERIFY(connections.back());
    }
    // An idle connection releases its buffers after a while.
    QTRY_VERIFY2(meter.liveInThread() / Count < Limit, qPrintable(QString::number(meter.liveInThread() / Count)));
}

void tst_Footprint::anIdleChannelWithAConsumerIsSmall()
{
    constexpr int Count = 500;
    constexpr qint64 Limit = 1'900; // bytes; 1720 with Qt 6.4
    const ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    const auto connection = openedConnection(peer);
    QVERIFY(connection);
    std::vector<Consumer *> consumers;
    consumers.reserve(Count);
    const auto addConsumer = [&] {
        Channel *const channel = connection->createChannel();
        channel->declareQueue(u"q"_s);
        consumers.push_back(channel->consume(u"q"_s));
    };
    const auto areActive = [&] {
        return std::all_of(consumers.begin(), consumers.end(),
                           [](const Consumer *consumer) { return consumer->state() == Consumer::State::Active; });
    };
    addConsumer();
    QTRY_VERIFY(areActive());
    consumers.clear();
    const HeapMeter meter;
    for (int i = 0; i < Count; ++i)
        addConsumer();
    QTRY_VERIFY(areActive());
    QTRY_VERIFY2(meter.liveInThread() / Count < Limit, qPrintable(QString::number(meter.liveInThread() / Count)));
}

QTEST_GUILESS_MAIN(tst_Footprint)
#include "tst_footprint.moc"
