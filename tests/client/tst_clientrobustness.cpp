// SPDX-License-Identifier: MIT
#include "support/clientexerciser.h"

#include <QtCore/qloggingcategory.h>
#include <QtTest/qtest.h>

using namespace Qt::StringLiterals;

// The client layer keeps its guarantees, whatever the application does in its slots and outside, and whatever the
// broker does, in any order.
class tst_ClientRobustness : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void initTestCase();
    void survivesAnythingInAnyOrder_data();
    void survivesAnythingInAnyOrder();
};

void tst_ClientRobustness::initTestCase()
{
    QLoggingCategory::setFilterRules(u"amqpqt.*=false"_s);
}

void tst_ClientRobustness::survivesAnythingInAnyOrder_data()
{
    constexpr quint32 Parts = 10;
    constexpr quint32 Scripts = 100;
    QTest::addColumn<quint32>("firstSeed");
    QTest::addColumn<quint32>("lastSeed");
    for (quint32 part = 0; part < Parts; ++part) {
        const quint32 first = part * Scripts + 1;
        QTest::addRow("seeds %u to %u", first, first + Scripts - 1) << first << first + Scripts - 1;
    }
}

void tst_ClientRobustness::survivesAnythingInAnyOrder()
{
    QFETCH(const quint32, firstSeed);
    QFETCH(const quint32, lastSeed);
    for (quint32 seed = firstSeed; seed <= lastSeed; ++seed) {
        const QByteArray script = randomScript(seed);
        const QString failure = ClientExerciser(script).run();
        QVERIFY2(failure.isEmpty(), qPrintable(u"seed %1: %2"_s.arg(seed).arg(failure)));
    }
}

QTEST_GUILESS_MAIN(tst_ClientRobustness)

#include "tst_clientrobustness.moc"
