// SPDX-License-Identifier: MIT
#include "support/engineexerciser.h"

#include <QtTest/qtest.h>

using namespace Qt::StringLiterals;
using Begin = EngineExerciser::Begin;
Q_DECLARE_METATYPE(Begin)

// The engine keeps its guarantees, whatever the application, the broker and time do, in any order.
class tst_Robustness : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void survivesAnythingInAnyOrder_data();
    void survivesAnythingInAnyOrder();
};

namespace
{

QByteArray randomBytes(quint32 seed)
{
    QRandomGenerator random(seed);
    QByteArray bytes(random.bounded(20, 1500), Qt::Uninitialized);
    for (char &byte : bytes)
        byte = char(random.bounded(256));
    return bytes;
}

} // namespace

void tst_Robustness::survivesAnythingInAnyOrder_data()
{
    QTest::addColumn<Begin>("begin");
    QTest::addColumn<quint32>("firstSeed");
    QTest::newRow("before it is started") << Begin::Unstarted << 1u;
    QTest::newRow("when it is open") << Begin::Open << 100'001u;
}

void tst_Robustness::survivesAnythingInAnyOrder()
{
    QFETCH(const Begin, begin);
    QFETCH(const quint32, firstSeed);
    constexpr quint32 Scripts = 1500;
    for (quint32 seed = firstSeed; seed < firstSeed + Scripts; ++seed) {
        const QByteArray script = randomBytes(seed);
        const QString failure = EngineExerciser(script, begin).run();
        QVERIFY2(failure.isEmpty(), qPrintable(u"seed %1: %2"_s.arg(seed).arg(failure)));
    }
}

QTEST_APPLESS_MAIN(tst_Robustness)

#include "tst_robustness.moc"
