// SPDX-License-Identifier: MIT
#include "engine/connection/channelids_p.h"

#include <QtCore/qrandom.h>
#include <QtTest/qtest.h>

#include <set>

using AmqpQt::Engine::ChannelIds;

class tst_ChannelIds : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void givesTheSmallestFreeNumber();
    void givesAChosenNumberOnce();
    void givesNothingBeyondTheLimit();
    void withoutALimitThereAre65535();
    void aLowerLimitKeepsWhatIsInUse();
    void neverGivesANumberTwice();
};

void tst_ChannelIds::givesTheSmallestFreeNumber()
{
    ChannelIds ids;
    QCOMPARE(ids.acquire(), quint16(1));
    QCOMPARE(ids.acquire(), quint16(2));
    QCOMPARE(ids.acquire(), quint16(3));
    ids.release(2);
    ids.release(1);
    QCOMPARE(ids.acquire(), quint16(1));
    QCOMPARE(ids.acquire(), quint16(2));
    QCOMPARE(ids.acquire(), quint16(4));
}

void tst_ChannelIds::givesAChosenNumberOnce()
{
    ChannelIds ids;
    QVERIFY(!ids.acquire(0));
    QVERIFY(ids.acquire(3));
    QVERIFY(!ids.acquire(3));
    QCOMPARE(ids.acquire(), quint16(1));
    QVERIFY(ids.acquire(2));
    QVERIFY(!ids.acquire(2));
    QCOMPARE(ids.acquire(), quint16(4));
    ids.release(3);
    QVERIFY(ids.acquire(3));
}

void tst_ChannelIds::givesNothingBeyondTheLimit()
{
    ChannelIds ids;
    ids.setLimit(2);
    QCOMPARE(ids.limit(), quint16(2));
    QVERIFY(!ids.acquire(3));
    QVERIFY(ids.acquire());
    QVERIFY(ids.acquire());
    QCOMPARE(ids.acquire(), quint16(0));
    ids.release(2);
    QCOMPARE(ids.acquire(), quint16(2));
    ids.setLimit(3);
    QCOMPARE(ids.acquire(), quint16(3));
    QCOMPARE(ids.acquire(), quint16(0));
}

void tst_ChannelIds::withoutALimitThereAre65535()
{
    ChannelIds ids;
    QCOMPARE(ids.limit(), quint16(65535));
    for (int number = 1; number <= 65535; ++number)
        QCOMPARE(ids.acquire(), quint16(number));
    QCOMPARE(ids.acquire(), quint16(0));
    QVERIFY(!ids.acquire(65535));
    ids.release(65535);
    QVERIFY(ids.acquire(65535));
    QCOMPARE(ids.acquire(), quint16(0));
}

void tst_ChannelIds::aLowerLimitKeepsWhatIsInUse()
{
    ChannelIds ids;
    for (int i = 0; i < 5; ++i)
        ids.acquire();
    ids.setLimit(2);
    QCOMPARE(ids.acquire(), quint16(0));
    ids.release(4);
    QCOMPARE(ids.acquire(), quint16(0));
    QVERIFY(!ids.acquire(4));
    ids.release(1);
    QCOMPARE(ids.acquire(), quint16(1));
    ids.setLimit(0);
    QCOMPARE(ids.acquire(), quint16(4));
}

void tst_ChannelIds::neverGivesANumberTwice()
{
    QRandomGenerator random(1);
    ChannelIds ids;
    ids.setLimit(50);
    std::set<quint16> used;
    for (int i = 0; i < 20'000; ++i) {
        const quint16 wanted = quint16(random.bounded(60));
        if (random.bounded(3) == 0 && !used.empty()) {
            const auto at = std::next(used.begin(), random.bounded(int(used.size())));
            ids.release(*at);
            used.erase(at);
        } else if (random.bounded(2)) {
            QCOMPARE(ids.acquire(wanted), wanted > 0 && wanted <= 50 && used.insert(wanted).second);
        } else {
            quint16 smallest = 1;
            while (used.contains(smallest))
                ++smallest;
            const quint16 given = ids.acquire();
            QCOMPARE(given, smallest <= 50 ? smallest : quint16(0));
            if (given)
                used.insert(given);
        }
    }
}

QTEST_APPLESS_MAIN(tst_ChannelIds)
#include "tst_channelids.moc"
