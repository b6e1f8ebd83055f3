// SPDX-License-Identifier: MIT

// Shows the window of Main.qml.
//
//   dashboard [--url URL] [--dark] [--size WxH] [--page NAME]
//
// With --seconds it ends by itself with the line "delivered N messages in S s, R msg/s", and fails if there were none.
// --screenshot and --details are for pictures of the window.

#include "../shared/quitsignals.h"

#include <QCommandLineParser>
#include <QElapsedTimer>
#include <QGuiApplication>
#include <QImageWriter>
#include <QQmlApplicationEngine>
#include <QQuickWindow>
#include <QSurfaceFormat>
#include <QTextStream>
#include <QTimer>
#include <QUrl>

#include <algorithm>
#include <chrono>

using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

namespace
{

struct Options {
    QUrl url;
    QSize size;
    int page = 0;
    bool isDark = false;
    int detailsRow = -1;              // -1 if no row is shown
    std::chrono::milliseconds end{0}; // 0 to run until the window is closed
    QString screenshot;
};

[[noreturn]] void refuse(const QString &text)
{
    QTextStream(stderr) << text << Qt::endl;
    std::exit(2);
}

Options parseCommandLine()
{
    const QStringList pages{u"overview"_s, u"messages"_s, u"publish"_s};
    QCommandLineParser parser;
    parser.setApplicationDescription(u"Shows readings of sensors in a window as they arrive."_s);
    parser.addHelpOption();
    parser.addOption({u"url"_s, u"The broker; by default $AMQPQT_URL or the local broker."_s, u"URL"_s,
                      qEnvironmentVariable("AMQPQT_URL", u"amqp://guest:guest@localhost/%2F"_s)});
    parser.addOption({u"dark"_s, u"Light text on a dark background."_s});
    parser.addOption({u"size"_s, u"The size of the window."_s, u"WxH"_s, u"1280x800"_s});
    parser.addOption(
        {u"page"_s, u"The first page of a narrow window: %1."_s.arg(pages.join(u", "_s)), u"NAME"_s, pages.first()});
    parser.addOption({u"seconds"_s, u"Ends after this many seconds."_s, u"N"_s});
    parser.addOption({u"screenshot"_s, u"Saves a picture of the window at the end."_s, u"FILE.png"_s});
    parser.addOption({u"details"_s, u"Shows the details of this row, from 0, a second before the end."_s, u"ROW"_s});
    parser.process(*QCoreApplication::instance());

    Options options;
    options.url = QUrl(parser.value(u"url"_s));
    options.isDark = parser.isSet(u"dark"_s);
    options.screenshot = parser.value(u"screenshot"_s);
    const QStringList size = parser.value(u"size"_s).split(u'x');
    options.size = QSize(size.first().toInt(), size.last().toInt());
    if (size.size() != 2 || options.size.isEmpty())
        refuse(u"%1 is not a size such as 1280x800"_s.arg(parser.value(u"size"_s)));
    options.page = int(pages.indexOf(parser.value(u"page"_s)));
    if (options.page < 0)
        refuse(u"%1 is not one of the pages %2"_s.arg(parser.value(u"page"_s), pages.join(u", "_s)));
    bool isNumber = true;
    if (parser.isSet(u"details"_s))
        options.detailsRow = parser.value(u"details"_s).toInt(&isNumber);
    if (!isNumber)
        refuse(u"%1 is not the number of a row"_s.arg(parser.value(u"details"_s)));
    if (parser.isSet(u"seconds"_s))
        options.end = std::chrono::milliseconds(qRound64(parser.value(u"seconds"_s).toDouble(&isNumber) * 1000));
    if (!isNumber || (parser.isSet(u"seconds"_s) && options.end <= 0ms))
        refuse(u"%1 is not a number of seconds"_s.arg(parser.value(u"seconds"_s)));
    return options;
}

bool savePicture(QQuickWindow *window, const QString &file)
{
    QImageWriter writer(file);
    writer.setCompression(100); // the smallest file
    const bool isSaved = writer.write(window->grabWindow());
    if (!isSaved)
        QTextStream(stderr) << "The screenshot was not saved: " << writer.errorString() << Qt::endl;
    return isSaved;
}

} // namespace

int main(int argc, char *argv[])
{
    QSurfaceFormat format = QSurfaceFormat::defaultFormat();
    format.setSamples(4); // smooth curves
    QSurfaceFormat::setDefaultFormat(format);
    QGuiApplication application(argc, argv);
    const Options options = parseCommandLine();

    QQmlApplicationEngine engine;
    engine.addImportPath(QStringLiteral(AMQPQT_QML_IMPORT_PATH)); // uses the built module and not an installed one
    engine.setInitialProperties({{u"brokerUrl"_s, options.url},
                                 {u"dark"_s, options.isDark},
                                 {u"page"_s, options.page},
                                 {u"width"_s, options.size.width()},
                                 {u"height"_s, options.size.height()}});
    engine.load(QUrl(u"qrc:/Dashboard/Main.qml"_s));
    if (engine.rootObjects().isEmpty())
        return 1;
    auto *window = qobject_cast<QQuickWindow *>(engine.rootObjects().constFirst());
    const auto *consumer = window->findChild<QObject *>(u"consumer"_s);

    bool isFinished = false;
    QElapsedTimer time;
    const auto finish = [&] {
        if (std::exchange(isFinished, true))
            return;
        const bool isSaved = options.screenshot.isEmpty() || savePicture(window, options.screenshot);
        const double count = consumer->property("totalCount").toDouble();
        const double seconds = double(time.elapsed()) / 1000;
        QTextStream(stdout) << u"delivered %1 messages in %2 s, %3 msg/s"_s.arg(count, 0, 'f', 0)
                                   .arg(seconds, 0, 'f', 1)
                                   .arg(seconds > 0 ? count / seconds : 0, 0, 'f', 0)
                            << Qt::endl;
        QCoreApplication::exit(isSaved && (count > 0 || options.end == 0ms) ? 0 : 1);
    };
    time.start();
    if (options.end > 0ms) {
        QTimer::singleShot(options.end, &application, finish);
        QTimer::singleShot(std::max(0ms, options.end - 1s), window,
                           [&] { window->setProperty("selectedRow", options.detailsRow); });
    }
    QObject::connect(&application, &QGuiApplication::lastWindowClosed, &application, finish);
    const QuitSignals quit;
    QObject::connect(&quit, &QuitSignals::received, &application, finish);
    return application.exec();
}
