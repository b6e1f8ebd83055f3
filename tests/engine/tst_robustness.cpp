// SPDX-License-Identifier: MIT
#include "support/callsofchannel.h"
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
    void everyCallOfAChannelIsExercised();
    void survivesAnythingInAnyOrder_data();
    void survivesAnythingInAnyOrder();
};

void tst_Robustness::everyCallOfAChannelIsExercised()
{
    const QStringList ofTheClientOnly{u"whenOpen"_s, u"whenConfirmed"_s, u"apply"_s};
    const QHash<QString, QString> names{{u"reopen"_s, u"openChannel"_s},
                                        {u"close"_s, u"closeChannel"_s},
                                        {u"declareTemporaryQueue"_s, u"declareQueue"_s},
                                        {u"publishWithReply"_s, u"publish"_s}};
    const QStringList exercised = EngineExerciser::channelCalls();
    for (const QString &call : AmqpQt::Test::callsOfChannel()) {
        if (!ofTheClientOnly.contains(call))
            QVERIFY2(exercised.contains(names.value(call, call)), qPrintable(call));
    }
}

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
        const QByteArray script = randomScript(seed);
        const QString failure = EngineExerciser(script, begin).run();
        QVERIFY2(failure.isEmpty(), qPrintable(u"seed %1: %2"_s.arg(seed).arg(failure)));
    }
}

QTEST_APPLESS_MAIN(tst_Robustness)

#include "tst_robustness.moc"
