// SPDX-License-Identifier: MIT

// Measures the cost of showing a flood of messages in QML. It receives from a queue that fills at a fixed rate, such as
// paced-SIZE-RATE of the synthetic broker, and reports the CPU time of the process as a share of one core, the lateness
// of a 1 ms timer of the thread, and the resident memory:
//
//   qmlmodel --port P [--queue paced-64-50000] [--seconds 60] [--no-ack] [--qml FILE | --no-view]
//
// The window is that of qmlmodel.qml or FILE; its properties brokerUrl, queueName and noAck are set if they exist. With
// --no-view, the program receives the same messages without QML; the difference is the cost of the view.

#include "usage.h"

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/Consumer>

#include <QCommandLineParser>
#include <QElapsedTimer>
#include <QGuiApplication>
#include <QJsonDocument>
#include <QJsonObject>
#include <QQmlComponent>
#include <QQmlEngine>
#include <QQuickWindow>
#include <QTextStream>
#include <QTimer>

#include <algorithm>
#include <memory>
#include <vector>

using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

namespace
{

int fail(const QString &text)
{
    QTextStream(stdout) << QJsonDocument(QJsonObject{{u"error"_s, text}}).toJson(QJsonDocument::Compact) << Qt::endl;
    return 1;
}

// Consumes like qmlmodel.qml, but without a view.
std::unique_ptr<AmqpQt::Connection> receiveOnly(const QUrl &url, const QString &queue, AmqpQt::AckMode ackMode)
{
    auto connection = std::make_unique<AmqpQt::Connection>(AmqpQt::ConnectionParameters::fromUrl(url).value());
    AmqpQt::Channel *channel = connection->createChannel();
    channel->declareQueue(queue);
    const AmqpQt::Consumer *consumer = channel->consume(queue, {.ackMode = ackMode, .prefetch = 1000});
    QObject::connect(consumer, &AmqpQt::Consumer::batchDelivered, connection.get(), [] {});
    connection->open();
    return connection;
}

// Measures from start() to result().
class Measurement : public QObject
{
public:
    explicit Measurement(std::chrono::seconds duration)
        : m_duration(duration)
    {
        m_tick.setTimerType(Qt::PreciseTimer);
        m_tick.setInterval(1ms);
        m_tick.callOnTimeout(this, [this] {
            m_late.push_back(std::max(0.0, double(m_sinceTick.nsecsElapsed()) / 1e6 - 1));
            m_sinceTick.start();
        });
    }

    void start(const AmqpQt::Connection &connection)
    {
        m_messagesBefore = connection.statistics().messagesIn;
        m_framesBefore = frames;
        m_late.assign(size_t(m_duration / 1ms) + 1000, 0); // makes the memory resident from the start
        m_late.clear();
        m_usageBefore = Usage::now();
        m_time.start();
        m_sinceTick.start();
        m_tick.start();
        QTimer::singleShot(std::min<std::chrono::seconds>(10s, m_duration / 2), this,
                           [this] { m_residentEarly = residentKilobytes(); });
        QTimer::singleShot(m_duration, Qt::PreciseTimer, this, [] { QCoreApplication::exit(0); });
    }
    QJsonObject result(const AmqpQt::Connection &connection)
    {
        const double seconds = double(m_time.nsecsElapsed()) / 1e9;
        const double cpu = Usage::now().cpuMicroseconds() - m_usageBefore.cpuMicroseconds();
        std::sort(m_late.begin(), m_late.end());
        return {
            {u"seconds"_s, seconds},
            {u"msgs_per_s"_s, double(connection.statistics().messagesIn - m_messagesBefore) / seconds},
            {u"frames_per_s"_s, (frames - m_framesBefore) / seconds},
            {u"cpu_share"_s, cpu / 1e6 / seconds},
            {u"p99_late_ms"_s, m_late[(m_late.size() - 1) * 99 / 100]},
            {u"max_late_ms"_s, m_late.back()},
            {u"rss_early_kb"_s, qint64(m_residentEarly)},
            {u"rss_kb"_s, qint64(residentKilobytes())},
        };
    }

    int frames = 0;

private:
    const std::chrono::seconds m_duration;
    QTimer m_tick;
    QElapsedTimer m_sinceTick;
    QElapsedTimer m_time;
    std::vector<double> m_late; // ms
    quint64 m_messagesBefore = 0;
    int m_framesBefore = 0;
    long m_residentEarly = 0;
    Usage m_usageBefore;
};

} // namespace

int main(int argc, char *argv[])
{
    if (!qEnvironmentVariableIsSet("QT_QUICK_CONTROLS_STYLE"))
        qputenv("QT_QUICK_CONTROLS_STYLE", "Fusion");
    QGuiApplication application(argc, argv);
    QCommandLineParser parser;
    parser.addHelpOption();
    parser.addOption({u"port"_s, u"The port of the broker on 127.0.0.1."_s, u"port"_s, u"5672"_s});
    parser.addOption({u"queue"_s, u"The queue that the broker fills."_s, u"name"_s, u"paced-64-50000"_s});
    parser.addOption({u"seconds"_s, u"The duration of the measurement."_s, u"s"_s, u"60"_s});
    parser.addOption({u"no-ack"_s, u"Do not acknowledge; by default, acknowledge after delivery, prefetch 1000."_s});
    parser.addOption({u"qml"_s, u"The QML file to show."_s, u"file"_s, u":/qmlmodel.qml"_s});
    parser.addOption({u"no-view"_s, u"Receive only, without QML."_s});
    parser.process(application);
    const QUrl url(u"amqp://guest:guest@127.0.0.1:%1/%2F"_s.arg(parser.value(u"port"_s)));
    const QString queue = parser.value(u"queue"_s);
    const bool noAck = parser.isSet(u"no-ack"_s);
    const std::chrono::seconds duration(parser.value(u"seconds"_s).toInt());
    if (duration < 2s)
        return fail(u"seconds must be at least 2"_s);

    Measurement measurement(duration);
    std::unique_ptr<AmqpQt::Connection> alone;
    const AmqpQt::Connection *connection = nullptr;
    QQmlEngine engine;
    std::unique_ptr<QObject> root;
    if (parser.isSet(u"no-view"_s)) {
        alone = receiveOnly(url, queue, noAck ? AmqpQt::AckMode::NoAck : AmqpQt::AckMode::AfterDelivery);
        connection = alone.get();
    } else {
        engine.addImportPath(QStringLiteral(AMQPQT_QML_IMPORT_PATH));
        const QString file = parser.value(u"qml"_s);
        QQmlComponent component(&engine, file.startsWith(u':') ? QUrl(u"qrc"_s + file) : QUrl::fromLocalFile(file));
        root.reset(component.beginCreate(engine.rootContext()));
        auto *window = qobject_cast<QQuickWindow *>(root.get());
        if (!window)
            return fail(component.isError() ? component.errorString() : u"the root object is not a window"_s);
        const std::pair<const char *, QVariant> properties[] = {
            {"brokerUrl", url}, {"queueName", queue}, {"noAck", noAck}};
        for (const auto &[name, value] : properties) {
            if (window->metaObject()->indexOfProperty(name) >= 0)
                window->setProperty(name, value);
        }
        component.completeCreate();
        for (const QObject *child : window->findChildren<QObject *>()) {
            if (const auto *found = qobject_cast<const AmqpQt::Connection *>(child))
                connection = found;
        }
        if (!connection)
            return fail(u"the window has no Connection"_s);
        QObject::connect(window, &QQuickWindow::frameSwapped, &measurement, [&measurement] { ++measurement.frames; });
    }
    // Buffers, caches and the table fill in the first second, which is not measured.
    QTimer::singleShot(1s, &measurement, [&] { measurement.start(*connection); });
    QObject::connect(connection, &AmqpQt::Connection::errorOccurred, &application,
                     [](const AmqpQt::Error &error) { QCoreApplication::exit(fail(error.toString())); });
    if (const int exitCode = application.exec(); exitCode != 0)
        return exitCode;
    const QJsonObject result = measurement.result(*connection);
    if (result[u"msgs_per_s"_s].toDouble() == 0)
        return fail(u"nothing was delivered"_s);
    QTextStream(stdout) << QJsonDocument(result).toJson(QJsonDocument::Compact) << Qt::endl;
    return 0;
}
