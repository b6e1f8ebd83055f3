// SPDX-License-Identifier: MIT
#include "support/brokerfixture.h"

#include <QtCore/qprocess.h>
#include <QtCore/qregularexpression.h>
#include <QtCore/qtemporarydir.h>
#include <QtGui/qimage.h>
#include <QtTest/qtest.h>

using namespace Qt::StringLiterals;

// The example windows with a real broker and the example that publishes readings.
class tst_Windows : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void cleanupTestCase();
    void windowShowsReadings_data();
    void windowShowsReadings();
    void windowWithoutReadingsFails();

private:
    QProcess m_sensors;
    QTemporaryDir m_folder;
};

void tst_Windows::initTestCase()
{
    qputenv("AMQPQT_URL", brokerUrl().toEncoded());
    m_sensors.start(QStringLiteral(AMQPQT_SENSORS), {u"--rate"_s, u"500"_s});
    QVERIFY(m_sensors.waitForStarted());
}

void tst_Windows::cleanupTestCase()
{
    m_sensors.terminate();
    QVERIFY(m_sensors.waitForFinished());
}

void tst_Windows::windowShowsReadings_data()
{
    QTest::addColumn<QString>("program");
    QTest::addColumn<QStringList>("options");
    QTest::newRow("dashboard") << QStringLiteral(AMQPQT_DASHBOARD) << QStringList();
    QTest::newRow("dark dashboard") << QStringLiteral(AMQPQT_DASHBOARD) << QStringList(u"--dark"_s);
#ifdef AMQPQT_MONITOR
    QTest::newRow("monitor") << QStringLiteral(AMQPQT_MONITOR) << QStringList();
#endif
}

void tst_Windows::windowShowsReadings()
{
    QFETCH(const QString, program);
    QFETCH(const QStringList, options);
    const QString picture = m_folder.filePath(u"window.png"_s);
    QProcess window;
    QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
    // Qt's software renderer keeps a texture when the program ends.
    environment.insert(u"ASAN_OPTIONS"_s, environment.value(u"ASAN_OPTIONS"_s) + u":detect_leaks=0"_s);
    window.setProcessEnvironment(environment);
    window.start(program, options + QStringList{u"--seconds"_s, u"3"_s, u"--screenshot"_s, picture});
    QVERIFY(window.waitForFinished(60'000));
    const QString warnings = QString::fromUtf8(window.readAllStandardError());
    QVERIFY2(!warnings.contains(u"qrc:"_s) && !warnings.contains(u"amqpqt."_s), qPrintable(warnings));
    const QString last = QString::fromUtf8(window.readAllStandardOutput()).trimmed().section(u'\n', -1);
    static const QRegularExpression summary(u"^delivered [1-9][0-9]* messages in [0-9.]+ s, [0-9]+ msg/s$"_s);
    QVERIFY2(summary.match(last).hasMatch(), qPrintable(last));
    QCOMPARE(window.exitCode(), 0);
    const QImage image(picture);
    QVERIFY(image.width() >= 600 && image.height() >= 400);
}

void tst_Windows::windowWithoutReadingsFails()
{
    QProcess window;
    window.start(QStringLiteral(AMQPQT_DASHBOARD), {u"--seconds"_s, u"1"_s, u"--url"_s, u"amqp://127.0.0.1:1"_s});
    QVERIFY(window.waitForFinished(60'000));
    QCOMPARE(window.exitCode(), 1);
    QVERIFY(window.readAllStandardOutput().startsWith("delivered 0 messages"));
}

QTEST_GUILESS_MAIN(tst_Windows)
#include "tst_windows.moc"
