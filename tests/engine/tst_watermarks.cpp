// SPDX-License-Identifier: MIT
#include "engine/connection/flowcontrol_p.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace std::chrono_literals;
using namespace Qt::StringLiterals;
using Engine::BackpressureDetected;
using Engine::BlockedChanged;
using Engine::FlowControl;
using Engine::Settings;
using Engine::Time;
using Engine::WritableChanged;

// Tests FlowControl by itself. tst_flowcontrol tests it in the dialogues of an engine.
class tst_Watermarks : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void writableChangesAtTheWatermarks();
    void outputCountsWhileItHasAConnection();
    void theBufferLimitBoundsQueuedBytes();
    void blockedIsReportedOncePerChange();
    void aBlockLastsNoLongerThanItsTimeout();
    void withoutTimeoutABlockLastsForEver();
    void backpressureIsReportedOncePerEpisode();
    void backpressureNeedsAConnection();

private:
    // A buffer of 1000 bytes with watermarks at 100 and 500, and nothing sent.
    struct Flow {
        explicit Flow(int backpressureMultiplier = 0)
        {
            Settings settings;
            settings.bufferLimit = 1000;
            settings.lowWatermark = 100;
            settings.highWatermark = 500;
            settings.backpressureMultiplier = backpressureMultiplier;
            settings.blockedTimeout = 3s;
            flow.configure(settings);
        }
        // The next event's `writable`, or nothing.
        std::optional<bool> takeWritable()
        {
            if (events.isEmpty())
                return std::nullopt;
            return std::get<WritableChanged>(events.takeFirst()).writable;
        }

        Engine::FrameWriter frames;
        Engine::EventQueue events;
        FlowControl flow{frames, events};
    };
    const Time m_now{1h};
};

void tst_Watermarks::writableChangesAtTheWatermarks()
{
    Flow t;
    t.flow.addHeld(499);
    QVERIFY(t.flow.isWritable());
    QVERIFY(t.events.isEmpty());
    t.flow.addHeld(1);
    QVERIFY(!t.flow.isWritable());
    QCOMPARE(t.takeWritable(), std::optional(false));
    t.flow.addHeld(300);
    t.flow.addHeld(-699);
    QCOMPARE(t.flow.queuedBytes(), 101);
    QVERIFY(!t.flow.isWritable());
    QVERIFY(t.events.isEmpty());
    t.flow.addHeld(-1);
    QVERIFY(t.flow.isWritable());
    QCOMPARE(t.takeWritable(), std::optional(true));
    t.flow.addHeld(399); // only the high watermark counts again
    QVERIFY(t.events.isEmpty());
    t.flow.addHeld(1);
    QCOMPARE(t.takeWritable(), std::optional(false));
}

void tst_Watermarks::outputCountsWhileItHasAConnection()
{
    Flow t;
    t.frames.output().append(600);
    t.flow.checkWatermarks();
    QCOMPARE(t.flow.queuedBytes(), 0);
    QVERIFY(t.events.isEmpty());
    t.flow.countOutput(true);
    t.flow.addHeld(10);
    QCOMPARE(t.flow.queuedBytes(), 610);
    QCOMPARE(t.takeWritable(), std::optional(false));
    t.frames.output().consume(600);
    t.flow.checkWatermarks();
    QCOMPARE(t.flow.queuedBytes(), 10);
    QCOMPARE(t.takeWritable(), std::optional(true));
    t.frames.output().append(600);
    t.flow.countOutput(false);
    QCOMPARE(t.flow.queuedBytes(), 10);
}

void tst_Watermarks::theBufferLimitBoundsQueuedBytes()
{
    Flow t;
    QVERIFY(t.flow.hasRoom(1000));
    QVERIFY(!t.flow.hasRoom(1001));
    t.flow.addHeld(400);
    t.flow.countOutput(true);
    t.frames.output().append(100);
    QVERIFY(t.flow.hasRoom(500));
    QVERIFY(!t.flow.hasRoom(501));
}

void tst_Watermarks::blockedIsReportedOncePerChange()
{
    Flow t;
    t.flow.setBlocked(false, {}, m_now);
    QVERIFY(t.events.isEmpty());
    t.flow.setBlocked(true, u"low on memory"_s, m_now);
    t.flow.setBlocked(true, u"low on disk"_s, m_now);
    QVERIFY(t.flow.isBlocked());
    const auto blocked = std::get<BlockedChanged>(t.events.takeFirst());
    QVERIFY(blocked.blocked);
    QCOMPARE(blocked.reason, u"low on memory"_s);
    QVERIFY(t.events.isEmpty());
    t.flow.setBlocked(false, {}, m_now);
    QVERIFY(!t.flow.isBlocked());
    QVERIFY(!std::get<BlockedChanged>(t.events.takeFirst()).blocked);
    QVERIFY(t.events.isEmpty());
}

void tst_Watermarks::aBlockLastsNoLongerThanItsTimeout()
{
    Flow t;
    QVERIFY(!t.flow.blockedDeadline());
    t.flow.setBlocked(true, {}, m_now);
    t.flow.setBlocked(true, {}, m_now + 2s); // does not extend the period
    QCOMPARE(t.flow.blockedDeadline(), std::optional(m_now + 3s));
    t.flow.setBlocked(false, {}, m_now + 2s);
    QVERIFY(!t.flow.blockedDeadline());
    t.flow.setBlocked(true, {}, m_now + 10s);
    QCOMPARE(t.flow.blockedDeadline(), std::optional(m_now + 13s));
}

void tst_Watermarks::withoutTimeoutABlockLastsForEver()
{
    Flow t;
    t.flow.configure(Settings());
    t.flow.setBlocked(true, {}, m_now);
    QVERIFY(!t.flow.blockedDeadline());
}

void tst_Watermarks::backpressureIsReportedOncePerEpisode()
{
    Flow t(3);
    t.frames.start();
    t.flow.countOutput(true);
    t.frames.output().consume(t.frames.output().size());
    t.flow.addHeld(50); // no frame has been sent yet, so there is no average
    QVERIFY(t.events.isEmpty());
    t.frames.sendHeartbeat(); // 8 bytes
    t.frames.output().consume(t.frames.output().size());
    t.flow.addHeld(-26);
    QVERIFY(t.events.isEmpty()); // 24 bytes are three frames
    t.flow.addHeld(1);
    QCOMPARE(std::get<BackpressureDetected>(t.events.takeFirst()).queuedBytes, 25);
    t.flow.addHeld(100);
    QVERIFY(t.events.isEmpty());
    t.flow.addHeld(-125);
    t.flow.addHeld(30);
    QCOMPARE(std::get<BackpressureDetected>(t.events.takeFirst()).queuedBytes, 30);
    QVERIFY(t.events.isEmpty());
}

void tst_Watermarks::backpressureNeedsAConnection()
{
    Flow t(3);
    t.frames.start();
    t.flow.countOutput(true);
    t.frames.sendHeartbeat();
    t.frames.output().consume(t.frames.output().size());
    t.flow.countOutput(false); // the connection ends as in ConnectionEngine::end()
    t.frames.output().clear();
    t.flow.checkWatermarks();
    t.flow.addHeld(100);
    QVERIFY(t.events.isEmpty());
}

QTEST_GUILESS_MAIN(tst_Watermarks)
#include "tst_watermarks.moc"
