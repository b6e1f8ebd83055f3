// SPDX-License-Identifier: MIT

// Publishes readings of simulated sensors to the topic exchange "sensors" until Ctrl-C, no faster than the broker
// accepts them. The routing keys are sensor.1.temperature, sensor.1.humidity …
//
//   sensors [--url URL] [--sensors N] [--rate N]

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>

#include "../shared/quitsignals.h"

#include <QCommandLineParser>
#include <QCoreApplication>
#include <QDateTime>
#include <QElapsedTimer>
#include <QJsonObject>
#include <QRandomGenerator>
#include <QTextStream>
#include <QTimer>

#include <cmath>

using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

namespace
{

struct Quantity {
    QString name;
    QString unit;
    double middle;
    double range;
};

const Quantity quantities[] = {
    {u"temperature"_s, u"°C"_s, 21, 4},
    {u"humidity"_s, u"%"_s, 45, 10},
    {u"pressure"_s, u"hPa"_s, 1013, 8},
};

void publishReading(AmqpQt::Channel *channel, int sensor, const Quantity &quantity)
{
    // Each sensor has its own slow wave with a little noise.
    const double phase = sensor * 1.7 + quantity.middle;
    const double seconds = double(QDateTime::currentMSecsSinceEpoch()) / 1000;
    const double wave = 0.8 * std::sin(seconds / (17 + sensor * 3) + phase) + 0.25 * std::sin(seconds / 3.1 + phase);
    const double value =
        quantity.middle + quantity.range / 2 * (wave + 0.1 * (QRandomGenerator::global()->generateDouble() - 0.5));
    const QJsonObject reading{
        {u"sensor"_s, sensor}, {u"value"_s, qRound(value * 10) / 10.0}, {u"unit"_s, quantity.unit}};
    AmqpQt::Message message = AmqpQt::Message::fromJson(QJsonDocument(reading));
    message.setTimestamp(QDateTime::currentDateTimeUtc());
    message.setType(u"reading"_s);
    message.setAppId(u"sensors"_s);
    message.setHeader(u"x-site"_s, sensor % 2 ? u"greenhouse north"_s : u"greenhouse south"_s);
    message.setHeader(u"x-firmware"_s, u"2.4.1"_s);
    channel->publish(u"sensors"_s, u"sensor.%1.%2"_s.arg(sensor).arg(quantity.name), message);
}

} // namespace

int main(int argc, char *argv[])
{
    QCoreApplication application(argc, argv);
    QCommandLineParser options;
    options.setApplicationDescription(u"Publishes readings of simulated sensors."_s);
    options.addHelpOption();
    options.addOption({u"url"_s, u"The broker; by default $AMQPQT_URL or the local broker."_s, u"URL"_s,
                       qEnvironmentVariable("AMQPQT_URL", u"amqp://guest:guest@localhost/%2F"_s)});
    options.addOption({u"sensors"_s, u"The number of sensors."_s, u"N"_s, u"4"_s});
    options.addOption(
        {u"rate"_s, u"Readings per second of all sensors together; 0 for as many as possible."_s, u"N"_s, u"20"_s});
    options.process(application);
    const int sensors = qMax(1, options.value(u"sensors"_s).toInt());
    const double rate = options.value(u"rate"_s).toDouble();

    AmqpQt::Connection connection(QUrl(options.value(u"url"_s)));
    AmqpQt::Channel *channel = connection.createChannel();
    channel->declareExchange(u"sensors"_s, AmqpQt::ExchangeType::Topic);

    QTimer timer;
    QElapsedTimer sinceLast;
    double due = 0; // readings
    int next = 0;
    QObject::connect(&timer, &QTimer::timeout, &application, [&] {
        const double seconds = double(sinceLast.nsecsElapsed()) / 1e9;
        sinceLast.start();
        due = rate > 0 ? due + rate * seconds : 1000;
        // If the channel is not writable, the write buffer is full or the broker has blocked the connection. Readings
        // due in the meantime are dropped.
        for (; due >= 1 && channel->isWritable(); due -= 1) {
            constexpr int kinds = int(std::size(quantities));
            publishReading(channel, 1 + next / kinds, quantities[next % kinds]);
            next = (next + 1) % (sensors * kinds);
        }
        due = qMin(due, 1.0);
    });
    QObject::connect(&connection, &AmqpQt::Connection::opened, &timer, [&] {
        sinceLast.start();
        timer.start(rate > 0 ? 10ms : 0ms);
    });
    QObject::connect(&connection, &AmqpQt::Connection::reconnecting, &application,
                     [&](int attempt, std::chrono::milliseconds delay) {
                         QTextStream(stderr) << connection.error().toString() << "\nattempt " << attempt
                                             << " to connect follows in " << delay.count() << " ms" << Qt::endl;
                     });
    AmqpQt::Error failure; // why the broker closed the channel
    QObject::connect(channel, &AmqpQt::Channel::closed, &connection, [&](const AmqpQt::Error &reason) {
        failure = reason;
        connection.close();
    });

    const QuitSignals quit;
    QObject::connect(&quit, &QuitSignals::received, &timer, &QTimer::stop);
    QObject::connect(&quit, &QuitSignals::received, &connection, &AmqpQt::Connection::close);
    QObject::connect(&connection, &AmqpQt::Connection::closed, &application, [&](const AmqpQt::Error &reason) {
        const AmqpQt::Error &why = reason.isError() ? reason : failure;
        if (why.isError())
            QTextStream(stderr) << why.toString() << Qt::endl;
        QCoreApplication::exit(why.isError() ? 1 : 0);
    });
    connection.open();
    return application.exec();
}
