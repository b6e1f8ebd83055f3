// SPDX-License-Identifier: MIT

// The window of Dashboard.qml: dashboard [--url URL] [--dark] [--seconds N] [--screenshot FILE.png]. With --seconds it ends by
// itself with the line "delivered N messages in S s, R msg/s", and fails if there were none.

#include "../shared/quitsignals.h"

#include <QCommandLineParser>
#include <QElapsedTimer>
#include <QGuiApplication>
#include <QQmlApplicationEngine>
#include <QQuickWindow>
#include <QTextStream>
#include <QTimer>
#include <QUrl>

#include <chrono>

using namespace Qt::StringLiterals;

int main(int argc, char *argv[])
{
    if (!qEnvironmentVariableIsSet("QT_QUICK_CONTROLS_STYLE"))
        qputenv("QT_QUICK_CONTROLS_STYLE", "Fusion"); // whose colours are those of the palette
    QGuiApplication application(argc, argv);
    QCommandLineParser options;
    options.setApplicationDescription(u"Shows readings of sensors in a window as they arrive."_s);
    options.addHelpOption();
    options.addOption({u"url"_s, u"The broker; default: $AMQPQT_URL, else the local one."_s, u"URL"_s,
                       qEnvironmentVariable("AMQPQT_URL", u"amqp://guest:guest@localhost/%2F"_s)});
    options.addOption({u"dark"_s, u"Light text on a dark background."_s});
    options.addOption({u"seconds"_s, u"Ends after so many seconds."_s, u"N"_s});
    options.addOption({u"screenshot"_s, u"Saves a picture of the window at the end."_s, u"FILE.png"_s});
    options.process(application);

    QQmlApplicationEngine engine;
#ifdef AMQPQT_QML_IMPORT_PATH
    engine.addImportPath(QStringLiteral(AMQPQT_QML_IMPORT_PATH)); // the module as it was built, not installed
#endif
    engine.setInitialProperties({{u"brokerUrl"_s, QUrl(options.value(u"url"_s))}, {u"dark"_s, options.isSet(u"dark"_s)}});
    engine.load(QUrl(u"qrc:/Dashboard.qml"_s));
    if (engine.rootObjects().isEmpty())
        return 1;
    auto *window = qobject_cast<QQuickWindow *>(engine.rootObjects().constFirst());
    const auto *consumer = window->findChild<QObject *>(u"consumer"_s);

    bool isFinished = false;
    QElapsedTimer time;
    const auto finish = [&] {
        if (std::exchange(isFinished, true))
            return;
        bool isSaved = true;
        if (const QString file = options.value(u"screenshot"_s); !file.isEmpty())
            isSaved = window->grabWindow().save(file);
        if (!isSaved)
            QTextStream(stderr) << "the screenshot could not be saved" << Qt::endl;
        const double count = consumer->property("totalCount").toDouble();
        const double seconds = double(time.elapsed()) / 1000;
        QTextStream(stdout) << u"delivered %1 messages in %2 s, %3 msg/s"_s.arg(count, 0, 'f', 0)
                                   .arg(seconds, 0, 'f', 1)
                                   .arg(seconds > 0 ? count / seconds : 0, 0, 'f', 0)
                            << Qt::endl;
        QCoreApplication::exit(isSaved && (count > 0 || !options.isSet(u"seconds"_s)) ? 0 : 1);
    };
    time.start();
    if (options.isSet(u"seconds"_s))
        QTimer::singleShot(std::chrono::milliseconds(qint64(options.value(u"seconds"_s).toDouble() * 1000)), &application, finish);
    QObject::connect(&application, &QGuiApplication::lastWindowClosed, &application, finish);
    const QuitSignals quit;
    QObject::connect(&quit, &QuitSignals::received, &application, finish);
    return application.exec();
}
