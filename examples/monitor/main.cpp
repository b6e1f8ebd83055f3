// SPDX-License-Identifier: MIT

// A window that shows the messages of a topic exchange and publishes by hand. The example "sensors" publishes messages
// to show.
//
//   monitor [--url URL] [--exchange NAME] [--routing-key PATTERN] [--columns LIST]

#include "monitorwindow.h"

#include <QApplication>
#include <QCommandLineParser>
#include <QElapsedTimer>
#include <QStyleFactory>
#include <QTextStream>

using namespace Qt::StringLiterals;

namespace
{

QPalette darkPalette()
{
    QPalette palette(QColor(0x35, 0x35, 0x35), QColor(0x2b, 0x2b, 0x2b)); // buttons, windows; the rest is derived
    palette.setColor(QPalette::Base, QColor(0x1e, 0x1e, 0x1e));
    palette.setColor(QPalette::AlternateBase, QColor(0x26, 0x26, 0x26));
    palette.setColor(QPalette::PlaceholderText, QColor(0x90, 0x90, 0x90));
    palette.setColor(QPalette::Highlight, QColor(0x2a, 0x82, 0xda));
    return palette;
}

} // namespace

int main(int argc, char *argv[])
{
    QApplication application(argc, argv);
    QCommandLineParser options;
    options.setApplicationDescription(u"Shows messages as they arrive, and publishes by hand."_s);
    options.addHelpOption();
    options.addOption({u"url"_s, u"The broker; by default $AMQPQT_URL or the local broker."_s, u"URL"_s,
                       qEnvironmentVariable("AMQPQT_URL", u"amqp://guest:guest@localhost/%2F"_s)});
    options.addOption({u"exchange"_s, u"The topic exchange to watch."_s, u"NAME"_s, u"sensors"_s});
    options.addOption({u"routing-key"_s, u"The routing key pattern of the messages to show."_s, u"PATTERN"_s, u"#"_s});
    options.addOption(
        {u"columns"_s, u"The columns to show."_s, u"LIST"_s, u"routingKey,json.value,json.unit,size,text"_s});
    options.addOption({u"dark"_s, u"Uses a dark palette instead of that of the desktop."_s});
    options.addOption({u"seconds"_s, u"Ends after this many seconds."_s, u"N"_s});
    options.addOption({u"screenshot"_s, u"Saves a picture of the window before it ends."_s, u"FILE"_s});
    options.process(application);

    if (options.isSet(u"dark"_s)) {
        QApplication::setStyle(QStyleFactory::create(u"Fusion"_s)); // other styles use their own colours
        QApplication::setPalette(darkPalette());
    }
    MonitorWindow window(QUrl(options.value(u"url"_s)), options.value(u"exchange"_s), options.value(u"routing-key"_s),
                         options.value(u"columns"_s).split(u','));
    window.show();
    window.connectToBroker();

    int exitCode = 0;
    QElapsedTimer time;
    time.start();
    const auto finish = [&] {
        const QString file = options.value(u"screenshot"_s);
        if (!file.isEmpty() && !window.grab().save(file)) {
            QTextStream(stderr) << file << u" cannot be written"_s << Qt::endl;
            exitCode = 1;
        }
        const double count = window.deliveredCount();
        const double seconds = double(time.elapsed()) / 1000;
        QTextStream(stdout) << u"delivered %1 messages in %2 s, %3 msg/s"_s.arg(count, 0, 'f', 0)
                                   .arg(seconds, 0, 'f', 1)
                                   .arg(seconds > 0 ? count / seconds : 0, 0, 'f', 0)
                            << Qt::endl;
        if (count == 0)
            exitCode = 1;
        window.close();
    };
    if (options.isSet(u"seconds"_s))
        QTimer::singleShot(int(options.value(u"seconds"_s).toDouble() * 1000), &window, finish);
    QApplication::exec();
    return exitCode;
}
