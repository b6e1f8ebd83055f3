// SPDX-License-Identifier: MIT
#include "client/channel/channel_p.h"
#include "client/clientsupport.h"
#include "client/connection/connection_p.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

struct Reporting {
    Reporting()
        : flow(ConnectionPrivate::of(&connection)->flow)
        , channel(connection.createChannel())
    {
        log.watch(&connection);
        log.watch(channel);
    }
    QStringList take() // the signals
    {
        settleEvents();
        settleEvents();
        return std::exchange(log.entries, {});
    }

    Connection connection;
    FlowReports &flow;
    Channel *channel;
    SignalLog log;
};

QString backpressure(BackpressureReasons reasons)
{
    return u"channel.backpressureChanged %1"_s.arg(reasons.toInt());
}

} // namespace

// Reports of a connection that is not opened.
class tst_FlowReports : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void blockingIsReportedFromTheEventLoop();
    void connectionIsWritableOnceBothReasonsAreGone_data();
    void connectionIsWritableOnceBothReasonsAreGone();
    void libraryChannelsAreNotTold();
    void bytesAreReportedWhenTheyChange();
};

void tst_FlowReports::blockingIsReportedFromTheEventLoop()
{
    Reporting t;
    QSignalSpy blocked(&t.connection, &Connection::blockedChanged);
    t.flow.setBlocked(true, u"low on memory"_s);
    QVERIFY(t.flow.isBlocked() && !t.flow.isBufferFull());
    QCOMPARE(t.flow.blockedReason(), u"low on memory"_s);
    QCOMPARE(t.log.entries, QStringList());
    QCOMPARE(t.take(), QStringList({u"connection.blockedChanged 1"_s, u"connection.writableChanged 0"_s,
                                    backpressure(BackpressureReason::BrokerBlocked)}));
    QCOMPARE(blocked, QList<QVariantList>({{true, u"low on memory"_s}}));
    t.flow.setBlocked(false, {});
    QCOMPARE(t.take(),
             QStringList({u"connection.blockedChanged 0"_s, u"connection.writableChanged 1"_s, backpressure({})}));
}

void tst_FlowReports::connectionIsWritableOnceBothReasonsAreGone_data()
{
    QTest::addColumn<bool>("blockedEndsFirst");
    QTest::newRow("unblocked first") << true;
    QTest::newRow("written first") << false;
}

void tst_FlowReports::connectionIsWritableOnceBothReasonsAreGone()
{
    QFETCH(const bool, blockedEndsFirst);
    Reporting t;
    t.flow.setWritable(false);
    QVERIFY(t.flow.isBufferFull());
    t.flow.setBlocked(true, {});
    t.take();
    QSignalSpy writable(&t.connection, &Connection::writableChanged);
    blockedEndsFirst ? t.flow.setBlocked(false, {}) : t.flow.setWritable(true);
    t.take();
    QCOMPARE(writable.count(), 0);
    blockedEndsFirst ? t.flow.setWritable(true) : t.flow.setBlocked(false, {});
    t.take();
    QCOMPARE(writable, QList<QVariantList>{{true}});
}

void tst_FlowReports::libraryChannelsAreNotTold()
{
    Reporting t;
    ChannelPrivate::get(t.channel)->isInternal = true;
    t.flow.setWritable(false);
    QCOMPARE(t.take(), QStringList{u"connection.writableChanged 0"_s});
}

void tst_FlowReports::bytesAreReportedWhenTheyChange()
{
    Reporting t;
    t.flow.reportBytesToWrite();
    QCOMPARE(t.take(), QStringList());
    QVERIFY(t.channel->publish({}, u"q"_s, Message("held")) > 0);
    QSignalSpy bytes(&t.connection, &Connection::bytesToWriteChanged);
    t.flow.reportBytesToWrite();
    t.flow.reportBytesToWrite();
    t.take();
    QCOMPARE(bytes, QList<QVariantList>{{double(t.connection.bytesToWrite())}});
    QVERIFY(t.connection.bytesToWrite() > 0);
}

QTEST_GUILESS_MAIN(tst_FlowReports)

#include "tst_flowreports.moc"
