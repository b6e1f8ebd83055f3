// SPDX-License-Identifier: MIT

// Measures whether a flood of messages freezes the event loop. It receives 16-byte messages without acks in the thread
// of a 1 ms timer and reports the timer's longest gap and the growth of resident memory. A second process floods the
// queue, unless --queue names a queue that the synthetic broker fills; two processors are then enough.
//
//   stall --port P [--queue bench-16-1000000000] [--seconds 10] [--slot-us 50] [--budget-ms 4]

#include "usage.h"

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/Consumer>

#include <QCommandLineParser>
#include <QCoreApplication>
#include <QElapsedTimer>
#include <QJsonDocument>
#include <QJsonObject>
#include <QProcess>
#include <QTextStream>
#include <QTimer>

#include <algorithm>
#include <vector>

using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

namespace
{

AmqpQt::ConnectionParameters parameters(quint16 port)
{
    AmqpQt::ConnectionParameters parameters;
    parameters.setEndpoints({{u"127.0.0.1"_s, port}});
    return parameters;
}

// Runs in the second process, and publishes as fast as flow control allows until the process is killed.
int flood(quint16 port, const QString &queue)
{
    AmqpQt::Connection connection(parameters(port));
    AmqpQt::Channel *channel = connection.createChannel();
    AmqpQt::Message message(QByteArray(16, 'x'));
    message.setPersistent(false);
    const auto publish = [&] {
        for (int i = 0; i < 1000 && channel->isWritable(); ++i)
            channel->publish({}, queue, message);
    };
    QTimer timer;
    QObject::connect(&timer, &QTimer::timeout, &connection, publish);
    QObject::connect(&connection, &AmqpQt::Connection::opened, &timer, [&timer] { timer.start(10ms); });
    QObject::connect(&connection, &AmqpQt::Connection::errorOccurred, qApp, [] { QCoreApplication::exit(1); });
    connection.open();
    return QCoreApplication::exec();
}

} // namespace

int main(int argc, char *argv[])
{
    QCoreApplication application(argc, argv);
    QCommandLineParser parser;
    parser.addHelpOption();
    parser.addOption({u"port"_s, u"The port of the broker on 127.0.0.1."_s, u"port"_s, u"5672"_s});
    parser.addOption(
        {u"queue"_s, u"A queue that the broker fills; by default, a second process fills one."_s, u"name"_s});
    parser.addOption({u"seconds"_s, u"The duration of the measurement."_s, u"s"_s, u"10"_s});
    parser.addOption({u"slot-us"_s, u"How long the slot of each delivery runs."_s, u"µs"_s, u"50"_s});
    parser.addOption({u"budget-ms"_s, u"The value for ConnectionParameters::setDispatchBudget()."_s, u"ms"_s, u"4"_s});
    QCommandLineOption floodOption(u"flood"_s, u"Publish to this queue as the second process."_s, u"queue"_s);
    floodOption.setFlags(QCommandLineOption::HiddenFromHelp);
    parser.addOption(floodOption);
    parser.process(application);
    const quint16 port = parser.value(u"port"_s).toUShort();
    if (parser.isSet(floodOption))
        return flood(port, parser.value(floodOption));
    const qint64 slotNanoseconds = parser.value(u"slot-us"_s).toLongLong() * 1000;
    const std::chrono::milliseconds budget(parser.value(u"budget-ms"_s).toInt());
    const std::chrono::seconds duration(parser.value(u"seconds"_s).toInt());

    AmqpQt::ConnectionParameters receiving = parameters(port);
    receiving.setDispatchBudget(budget);
    AmqpQt::Connection connection(receiving);
    AmqpQt::Channel *channel = connection.createChannel();
    QProcess flooder;
    flooder.setProcessChannelMode(QProcess::ForwardedErrorChannel);
    qint64 received = 0;
    QElapsedTimer sinceTick;
    std::vector<qint64> gaps;
    long residentBefore = 0;
    const Usage usageBefore = Usage::now();
    QTimer tick;
    tick.setTimerType(Qt::PreciseTimer);
    QObject::connect(&tick, &QTimer::timeout, &application, [&] {
        gaps.push_back(sinceTick.nsecsElapsed());
        sinceTick.start();
    });

    const QString filled = parser.value(u"queue"_s);
    const auto declared = filled.isEmpty() ? channel->declareTemporaryQueue() : channel->declareQueue(filled);
    declared.then(&application, [&](const AmqpQt::Result<AmqpQt::QueueInfo> &queue) {
        if (!queue)
            return;
        AmqpQt::Consumer *consumer = channel->consume(queue->name, {.ackMode = AmqpQt::AckMode::NoAck});
        QObject::connect(consumer, &AmqpQt::Consumer::delivered, &application, [&](const AmqpQt::Message &) {
            ++received;
            QElapsedTimer busy;
            busy.start();
            while (busy.nsecsElapsed() < slotNanoseconds) {
            }
        });
        if (filled.isEmpty())
            flooder.start(QCoreApplication::applicationFilePath(),
                          {u"--port"_s, QString::number(port), u"--flood"_s, queue->name});
        // Buffers and caches fill in the first second, which is not measured.
        QTimer::singleShot(1s, &application, [&] {
            residentBefore = residentKilobytes();
            received = 0;
            gaps.clear();
            gaps.reserve(size_t(duration / 1ms) + 1000);
            sinceTick.start();
            tick.start(1ms);
            QTimer::singleShot(duration, &application, [] { QCoreApplication::exit(0); });
        });
    });
    QObject::connect(&connection, &AmqpQt::Connection::errorOccurred, &application, [](const AmqpQt::Error &error) {
        QTextStream(stderr) << error.toString() << Qt::endl;
        QCoreApplication::exit(1);
    });
    connection.open();
    const int exitCode = application.exec();
    const long residentAfter = residentKilobytes();
    if (flooder.state() != QProcess::NotRunning) {
        flooder.kill();
        flooder.waitForFinished();
    }
    if (exitCode != 0 || gaps.empty() || received == 0)
        return 1;

    std::sort(gaps.begin(), gaps.end());
    const auto milliseconds = [&gaps](size_t permille) {
        return double(gaps[(gaps.size() - 1) * permille / 1000]) / 1e6;
    };
    const Usage usage = Usage::now();
    const QJsonObject result{
        {u"seconds"_s, double(duration.count())},
        {u"msgs_per_s"_s, double(received) / double(duration.count())},
        {u"longest_gap_ms"_s, milliseconds(1000)},
        {u"p99_gap_ms"_s, milliseconds(990)},
        {u"p50_gap_ms"_s, milliseconds(500)},
        {u"rss_growth_kb"_s, qint64(residentAfter - residentBefore)},
        {u"rss_kb"_s, qint64(residentAfter)},
        {u"cpu_s"_s, (usage.userMicroseconds + usage.systemMicroseconds - usageBefore.userMicroseconds -
                      usageBefore.systemMicroseconds) /
                         1e6},
    };
    QTextStream(stdout) << QJsonDocument(result).toJson(QJsonDocument::Compact) << Qt::endl;
    return 0;
}
