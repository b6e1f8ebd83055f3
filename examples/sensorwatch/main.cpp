// SPDX-License-Identifier: MIT

// Shows the latest reading of each sensor that the example "sensors" publishes, until Ctrl-C or for some seconds.
//
//   sensorwatch [--url URL] [--lines | --quiet] [--seconds N]

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/Consumer>

#include "../shared/quitsignals.h"

#include <QCommandLineParser>
#include <QCoreApplication>
#include <QElapsedTimer>
#include <QMap>
#include <QTextStream>
#include <QTimer>

#include <chrono>

using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

namespace
{

QString reading(const AmqpQt::Message &message)
{
    const QString value = QString::number(message.json(u"value"_s).toDouble(), 'f', 1);
    return u"%1  %2 %3"_s.arg(message.routingKey(), -24).arg(value, 8).arg(message.json(u"unit"_s).toString());
}

} // namespace

int main(int argc, char *argv[])
{
    QCoreApplication application(argc, argv);
    QCommandLineParser options;
    options.setApplicationDescription(u"Shows readings of sensors as they arrive."_s);
    options.addHelpOption();
    options.addOption({u"url"_s, u"The broker; by default $AMQPQT_URL or the local broker."_s, u"URL"_s,
                       qEnvironmentVariable("AMQPQT_URL", u"amqp://guest:guest@localhost/%2F"_s)});
    options.addOption({u"lines"_s, u"Prints a line for each reading instead of a table that is refreshed."_s});
    options.addOption({u"quiet"_s, u"Prints only the number of readings, at the end."_s});
    options.addOption({u"seconds"_s, u"Ends after this many seconds."_s, u"N"_s});
    options.process(application);
    const bool lines = options.isSet(u"lines"_s);
    const bool table = !lines && !options.isSet(u"quiet"_s);
    QTextStream out(stdout);

    AmqpQt::Connection connection(QUrl(options.value(u"url"_s)));
    AmqpQt::Channel *channel = connection.createChannel();
    channel->declareExchange(u"sensors"_s, AmqpQt::ExchangeType::Topic);
    channel->declareTemporaryQueue(); // temporary, named by the broker; below, an empty name means this queue
    channel->bindQueue({}, u"sensors"_s, u"sensor.#"_s);
    AmqpQt::Consumer *consumer = channel->consume({}, {.ackMode = AmqpQt::AckMode::NoAck});

    QMap<QString, AmqpQt::Message> latest; // by routing key
    qint64 count = 0;
    QElapsedTimer sinceStart;
    double seconds = 0;
    QObject::connect(consumer, &AmqpQt::Consumer::delivered, &application, [&](const AmqpQt::Message &message) {
        ++count;
        if (lines)
            out << reading(message) << Qt::endl;
        else if (table)
            latest.insert(message.routingKey(), message);
    });

    QTimer refresh;
    qint64 countAtRefresh = 0;
    QObject::connect(&refresh, &QTimer::timeout, &application, [&] {
        out << u"\x1b[H\x1b[J"_s; // moves the cursor to the top left and clears the rest of the screen
        for (const AmqpQt::Message &message : std::as_const(latest))
            out << reading(message) << '\n';
        out << u"\n%1 messages, %2 msg/s. Ctrl-C ends."_s.arg(count).arg((count - countAtRefresh) * 2) << Qt::endl;
        countAtRefresh = count;
    });

    const auto stopCounting = [&] {
        if (!sinceStart.isValid())
            return;
        seconds = double(sinceStart.elapsed()) / 1000;
        sinceStart.invalidate();
        refresh.stop();
        consumer->disconnect(&application);
    };
    const auto finish = [&] {
        stopCounting();
        connection.close();
    };
    QTimer end;
    end.setSingleShot(true);
    end.setTimerType(Qt::PreciseTimer);
    QObject::connect(&end, &QTimer::timeout, &application, finish);
    consumer->whenStarted().then(&application, [&](const AmqpQt::Result<void> &started) {
        if (!started)
            return;
        sinceStart.start();
        if (table)
            refresh.start(500ms);
        if (options.isSet(u"seconds"_s))
            end.start(std::chrono::milliseconds(qint64(options.value(u"seconds"_s).toDouble() * 1000)));
    });
    const QuitSignals quit;
    QObject::connect(&quit, &QuitSignals::received, &application, finish);
    AmqpQt::Error failure; // why the channel was closed, or the connection could not be opened
    QObject::connect(channel, &AmqpQt::Channel::closed, &connection, [&](const AmqpQt::Error &reason) {
        if (reason.isError())
            failure = reason;
        connection.close();
    });

    QObject::connect(&connection, &AmqpQt::Connection::closed, &application, [&](const AmqpQt::Error &reason) {
        stopCounting();
        const AmqpQt::Error &why = reason.isError() ? reason : failure;
        if (why.isError())
            QTextStream(stderr) << why.toString() << Qt::endl;
        out << u"delivered %1 messages in %2 s, %3 msg/s"_s.arg(count)
                   .arg(seconds, 0, 'f', 1)
                   .arg(seconds > 0 ? qRound64(double(count) / seconds) : 0)
            << Qt::endl;
        QCoreApplication::exit(why.isError() || count == 0 ? 1 : 0);
    });
    // A broker that cannot be reached at the start ends the program. After a later loss the connection recovers.
    connection.open().then(&connection, [&](const AmqpQt::Result<void> &opened) {
        if (opened || connection.state() != AmqpQt::Connection::State::Recovering)
            return;
        failure = opened.error();
        connection.close();
    });
    return application.exec();
}
