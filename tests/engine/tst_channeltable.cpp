// SPDX-License-Identifier: MIT
#include "engine/connection/channeltable_p.h"

#include <QtTest/qtest.h>

using namespace AmqpQt::Engine;

class tst_ChannelTable : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void aChannelIsFoundByItsNumber();
    void aNumberInUseIsNotFree();
    void theLimitHoldsForEveryNumber();
    void aNumberThatAwaitsCloseOkIsNotFree();
    void aNumberClosedByTheBrokerStaysMarkedForItsNextChannel();
    void numbersNeverUsedHaveEmptySlots();

private:
    // Only compared, never dereferenced.
    int m_addresses[3] = {};
    ChannelEngine *channel(int index) { return reinterpret_cast<ChannelEngine *>(&m_addresses[index]); }
};

void tst_ChannelTable::aChannelIsFoundByItsNumber()
{
    ChannelTable table;
    QCOMPARE(table.add(channel(0)), quint16(1));
    QVERIFY(table.add(7, channel(1)));
    QCOMPARE(table.add(channel(2)), quint16(2));
    QCOMPARE(table.channel(1), channel(0));
    QCOMPARE(table.channel(7), channel(1));
    QCOMPARE(table.channel(2), channel(2));
    QCOMPARE(table.channel(3), nullptr);
    table.setChannel(7, channel(2));
    QCOMPARE(table.channel(7), channel(2));
}

void tst_ChannelTable::aNumberInUseIsNotFree()
{
    ChannelTable table;
    QVERIFY(table.add(3, channel(0)));
    QVERIFY(!table.add(3, channel(1)));
    QCOMPARE(table.channel(3), channel(0));
    table.release(3, channel(1)); // another channel
    QCOMPARE(table.channel(3), channel(0));
    table.release(3, channel(0));
    QCOMPARE(table.channel(3), nullptr);
    QVERIFY(table.add(3, channel(1)));
    QCOMPARE(table.channel(3), channel(1));
}

void tst_ChannelTable::theLimitHoldsForEveryNumber()
{
    ChannelTable table;
    QCOMPARE(table.limit(), quint16(65535));
    table.setLimit(2);
    QCOMPARE(table.limit(), quint16(2));
    QVERIFY(!table.add(3, channel(0)));
    QCOMPARE(table.add(channel(0)), quint16(1));
    QCOMPARE(table.add(channel(1)), quint16(2));
    QCOMPARE(table.add(channel(2)), quint16(0));
    QCOMPARE(table.channel(0), nullptr);
}

void tst_ChannelTable::aNumberThatAwaitsCloseOkIsNotFree()
{
    ChannelTable table;
    const quint16 number = table.add(channel(0));
    table.opened();
    QCOMPARE(table.openCount(), 1);
    table.closed(number, true);
    QCOMPARE(table.channel(number), nullptr);
    QVERIFY(table.slot(number).awaitsCloseOk);
    QVERIFY(!table.add(number, channel(1)));
    QCOMPARE(table.openCount(), 1); // the channel is still open at the broker

    table.closed(number, false); // close-ok
    QVERIFY(!table.slot(number).awaitsCloseOk);
    QCOMPARE(table.openCount(), 0);
    QVERIFY(table.add(number, channel(1)));
}

void tst_ChannelTable::aNumberClosedByTheBrokerStaysMarkedForItsNextChannel()
{
    ChannelTable table;
    const quint16 number = table.add(channel(0));
    table.opened();
    table.setClosedByPeer(number, true);
    table.closed(number, false);
    QVERIFY(table.slot(number).closedByPeer);
    QVERIFY(table.add(number, channel(1)));
    table.opened();
    QVERIFY(table.slot(number).closedByPeer); // deliveries for the previous channel may still arrive
    QCOMPARE(table.channel(number), channel(1));
    table.setClosedByPeer(number, false);
    QVERIFY(!table.slot(number).closedByPeer);
    QCOMPARE(table.openCount(), 1);
}

void tst_ChannelTable::numbersNeverUsedHaveEmptySlots()
{
    ChannelTable table;
    QVERIFY(table.add(65535, channel(0)));
    for (const quint16 number : {quint16(0), quint16(1), quint16(65534)}) {
        const ChannelTable::Slot slot = table.slot(number);
        QVERIFY(!slot.channel && !slot.awaitsCloseOk && !slot.closedByPeer);
    }
    QCOMPARE(ChannelTable().slot(9).channel, nullptr);
}

QTEST_GUILESS_MAIN(tst_ChannelTable)
#include "tst_channeltable.moc"
