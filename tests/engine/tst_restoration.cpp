// SPDX-License-Identifier: MIT
#include "engine/connection/restoration_p.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace AmqpQt::Engine;
using namespace Qt::StringLiterals;

class tst_Restoration : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void reportFollowsTheLastChannelAndConsumer();
    void reportWaitsForTheRelease();
    void failuresAreListed();
    void endsByTheApplicationAreNoFailures();
    void pausedReportComesAfterwards();
    void anotherLossCountsAgain();
};

namespace
{

const Error Refused(ErrorKind::ChannelClosed, u"refused"_s, 404);

struct Restoring {
    Restoring()
    {
        restoration.addChannel(1);
        restoration.addConsumer(10, {.channel = 1, .consumerTag = "a", .queue = u"q"_s});
        restoration.addConsumer(11, {.channel = 1, .consumerTag = "b", .queue = u"q"_s});
    }
    std::optional<ChannelsRestored> takeReport()
    {
        return events.isEmpty() ? std::nullopt : std::optional(std::get<ChannelsRestored>(events.takeFirst()));
    }

    EventQueue events;
    Restoration restoration{events};
};

} // namespace

void tst_Restoration::reportFollowsTheLastChannelAndConsumer()
{
    Restoring t;
    t.restoration.channelsReleased();
    t.restoration.consumerEnded(10, {});
    t.restoration.consumerEnded(99, {}); // another call
    t.restoration.channelEnded(1);
    QVERIFY(!t.takeReport());
    t.restoration.consumerEnded(11, {});
    const auto report = t.takeReport();
    QVERIFY(report);
    QCOMPARE(report->consumers, 2);
    QVERIFY(report->failures.empty());
    t.restoration.channelEnded(1); // later, on the application's behalf
    QVERIFY(!t.takeReport());
    t.restoration.pauseReport();
    t.restoration.resumeReport();
    QVERIFY(!t.takeReport());
}

void tst_Restoration::reportWaitsForTheRelease()
{
    Restoring t;
    t.restoration.consumerEnded(10, {});
    t.restoration.consumerEnded(11, {});
    t.restoration.channelEnded(1);
    QVERIFY(!t.restoration.isPending());
    QVERIFY(!t.takeReport());
    t.restoration.channelsReleased();
    QVERIFY(t.takeReport());
    t.restoration.channelsReleased(); // nothing to restore
    QCOMPARE(t.takeReport()->consumers, 0);
}

void tst_Restoration::failuresAreListed()
{
    Restoring t;
    t.restoration.channelsReleased();
    t.restoration.consumerEnded(11, Refused);
    t.restoration.consumerEnded(10, {});
    t.restoration.channelEnded(1, Refused);
    const auto report = t.takeReport();
    QCOMPARE(report->consumers, 1);
    QCOMPARE(report->failures.size(), size_t(2));
    QCOMPARE(report->failures[0].consumerTag, QByteArray("b"));
    QCOMPARE(report->failures[0].error.replyCode(), quint16(404));
    QCOMPARE(report->failures[1].channel, quint16(1));
    QVERIFY(report->failures[1].consumerTag.isEmpty());
}

void tst_Restoration::endsByTheApplicationAreNoFailures()
{
    Restoring t;
    const Error cancelled(ErrorKind::Cancelled, u"closed"_s);
    t.restoration.consumerEnded(10, cancelled);
    t.restoration.consumerEnded(11, cancelled);
    t.restoration.channelEnded(1);
    t.restoration.channelsReleased();
    const auto report = t.takeReport();
    QCOMPARE(report->consumers, 0);
    QVERIFY(report->failures.empty());
}

void tst_Restoration::pausedReportComesAfterwards()
{
    Restoring t;
    t.restoration.channelsReleased();
    t.restoration.pauseReport();
    t.restoration.consumerEnded(10, {});
    t.restoration.consumerEnded(11, {});
    t.restoration.channelEnded(1);
    QVERIFY(!t.takeReport());
    t.restoration.resumeReport();
    QVERIFY(t.takeReport());
}

void tst_Restoration::anotherLossCountsAgain()
{
    Restoring t;
    t.restoration.channelsReleased();
    t.restoration.channelEnded(1);
    t.restoration.consumerEnded(10, {});
    t.restoration.connectionLost();
    t.restoration.addChannel(1);
    t.restoration.addConsumer(12, {.channel = 1, .consumerTag = "a", .queue = u"q"_s}); // has a new call
    t.restoration.channelEnded(1);
    t.restoration.consumerEnded(11, {});
    t.restoration.consumerEnded(12, {});
    QVERIFY(!t.takeReport()); // not released
    t.restoration.channelsReleased();
    QCOMPARE(t.takeReport()->consumers, 2);
}

QTEST_APPLESS_MAIN(tst_Restoration)

#include "tst_restoration.moc"
