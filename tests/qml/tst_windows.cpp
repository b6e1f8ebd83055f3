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
    void dashboardRejectsUnknownArguments_data();
    void dashboardRejectsUnknownArguments();

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
    QTest::addColumn<QSize>("size"); // empty if any size is accepted
    const QString dashboard = QStringLiteral(AMQPQT_DASHBOARD);
    QTest::newRow("dashboard") << dashboard << QStringList() << QSize(1280, 800);
    QTest::newRow("dark dashboard with details")
        << dashboard << QStringList{u"--dark"_s, u"--details"_s, u"0"_s, u"--size"_s, u"1920x1080"_s}
        << QSize(1920, 1080);
    QTest::newRow("dashboard of a phone")
        << dashboard << QStringList{u"--page"_s, u"messages"_s, u"--size"_s, u"375x667"_s} << QSize(375, 667);
#ifdef AMQPQT_MONITOR
    QTest::newRow("monitor") << QStringLiteral(AMQPQT_MONITOR) << QStringList() << QSize();
#endif
}

void tst_Windows::windowShowsReadings()
{
    QFETCH(const QString, program);
    QFETCH(const QStringList, options);
    QFETCH(const QSize, size);
    const QString picture = m_folder.filePath(u"window.png"_s);
    QProcess window;
    QProcessEnvironment environment = QProcessEnvironment::systemEnvironment();
    // Qt's software renderer keeps a texture when the program ends.
    environment.insert(u"ASAN_OPTIONS"_s, environment.value(u"ASAN_OPTIONS"_s) + u":detect_leaks=0"_s);
    window.setProcessEnvironment(environment);
    window.start(program, options + QStringList{u"--seconds"_s, u"3"_s, u"--screenshot"_s, picture});
    QVERIFY(window.waitForFinished(60'000));
    const QString warnings = QString::fromUtf8(window.readAllStandardError());
    QVERIFY2(!warnings.contains(u"qrc:"_s) && !warnings.contains(u".qml:"_s) && !warnings.contains(u"amqpqt."_s),
             qPrintable(warnings));
    const QString last = QString::fromUtf8(window.readAllStandardOutput()).trimmed().section(u'\n', -1);
    static const QRegularExpression summary(u"^delivered [1-9][0-9]* messages in [0-9.]+ s, [0-9]+ msg/s$"_s);
    QVERIFY2(summary.match(last).hasMatch(), qPrintable(last));
    QCOMPARE(window.exitCode(), 0);
    const QImage image(picture);
    if (size.isEmpty())
        QVERIFY(image.width() >= 600 && image.height() >= 400);
    else
        QCOMPARE(image.size(), size);
}

void tst_Windows::windowWithoutReadingsFails()
{
    QProcess window;
    window.start(QStringLiteral(AMQPQT_DASHBOARD), {u"--seconds"_s, u"1"_s, u"--url"_s, u"amqp://127.0.0.1:1"_s});
    QVERIFY(window.waitForFinished(60'000));
    QCOMPARE(window.exitCode(), 1);
    QVERIFY(window.readAllStandardOutput().startsWith("delivered 0 messages"));
}

void tst_Windows::dashboardRejectsUnknownArguments_data()
{
    QTest::addColumn<QString>("option");
    QTest::addColumn<QString>("value");
    QTest::newRow("size") << u"--size"_s << u"1280"_s;
    QTest::newRow("negative size") << u"--size"_s << u"-1x800"_s;
    QTest::newRow("page") << u"--page"_s << u"settings"_s;
    QTest::newRow("row") << u"--details"_s << u"first"_s;
    QTest::newRow("seconds") << u"--seconds"_s << u"soon"_s;
}

void tst_Windows::dashboardRejectsUnknownArguments()
{
    QFETCH(const QString, option);
    QFETCH(const QString, value);
    QProcess window;
    window.start(QStringLiteral(AMQPQT_DASHBOARD), {option + u'=' + value});
    QVERIFY(window.waitForFinished(60'000));
    QCOMPARE(window.exitCode(), 2);
    QVERIFY(window.readAllStandardError().contains(value.toUtf8() + " is not "));
}

QTEST_GUILESS_MAIN(tst_Windows)
#include "tst_windows.moc"
