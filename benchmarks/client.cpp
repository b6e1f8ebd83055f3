// SPDX-License-Identifier: MIT

// The measuring client: what one message costs with AmqpQt. The same command line and output exist for other libraries, so
// that they can be put side by side.
//
//   client {publish|consume-ack|consume-autoack|rtt} --port P --count N --size S [--prefetch 256] [--ack-every K] [--queue Q]
//
// publish-confirm, and --window with it, belong to that command line too and are refused: this version has no confirms.
// Prints one line of JSON; on failure {"error": …} and exit code 1.

#include "usage.h"

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/Consumer>

#include <QCommandLineParser>
#include <QCoreApplication>
#include <QElapsedTimer>
#include <QJsonDocument>
#include <QJsonObject>
#include <QTextStream>

#include <algorithm>
#include <vector>

using namespace Qt::StringLiterals;

namespace {

class Client : public QObject
{
    Q_OBJECT
public:
    struct Options
    {
        QString mode;
        QString queue;
        quint16 port = 5672;
        qint64 count = 0;
        qsizetype size = 0;
        quint16 prefetch = 256;
        qint64 ackEvery = 1;
    };

    explicit Client(const Options &options) : m_options(options), m_connection(url(options.port))
    {
        m_message.setContentType(u"application/octet-stream"_s);
        m_message.setPersistent(false);
        m_message.setBody(QByteArray(options.size, 'x'));

        m_channel = m_connection.createChannel();
        connect(m_channel, &AmqpQt::Channel::errorOccurred, this, &Client::fail);
        connect(&m_connection, &AmqpQt::Connection::errorOccurred, this, &Client::fail);
        // Transient queues that are not exclusive are what newer brokers refuse; by then the default is the better choice.
        m_channel->declareQueue(options.queue, {.durable = false}).then(this, [this] { start(); });
        m_connection.open();
    }

private:
    static AmqpQt::ConnectionParameters url(quint16 port)
    {
        AmqpQt::ConnectionParameters parameters;
        parameters.setEndpoints({{u"127.0.0.1"_s, port}});
        return parameters;
    }

    void start()
    {
        m_before = Usage::now();
        m_timer.start();
        if (m_options.mode == "publish"_L1) {
            connect(m_channel, &AmqpQt::Channel::writableChanged, this, &Client::publishSome);
            publishSome();
        } else if (m_options.mode == "rtt"_L1) {
            m_roundTrips.reserve(size_t(m_options.count));
            consume(AmqpQt::AckMode::NoAck, [this](const AmqpQt::Message &) {
                m_roundTrips.push_back(m_roundTrip.nsecsElapsed());
                if (++m_done < m_options.count)
                    ping();
                else
                    finish();
            })->whenStarted().then(this, [this] { ping(); });
        } else if (m_options.mode == "consume-autoack"_L1) {
            consume(AmqpQt::AckMode::NoAck, [this](const AmqpQt::Message &) {
                if (++m_done == m_options.count)
                    finish();
            });
        } else {
            m_channel->setPrefetch(m_options.prefetch);
            consume(AmqpQt::AckMode::Manual, [this](const AmqpQt::Message &message) {
                ++m_done;
                if (m_options.ackEvery == 1)
                    message.ack();
                else if (m_done % m_options.ackEvery == 0 || m_done == m_options.count)
                    m_channel->ackUpTo(message);
                if (m_done == m_options.count)
                    finish();
            });
        }
    }

    template <typename Slot>
    AmqpQt::Consumer *consume(AmqpQt::AckMode ackMode, Slot slot)
    {
        AmqpQt::Consumer *consumer = m_channel->consume(m_options.queue, {.ackMode = ackMode});
        connect(consumer, &AmqpQt::Consumer::delivered, this, slot);
        return consumer;
    }

    void ping()
    {
        m_roundTrip.start();
        m_channel->publish({}, m_options.queue, m_message);
    }

    void publishSome()
    {
        while (m_done < m_options.count && m_channel->isWritable()) {
            if (m_channel->publish({}, m_options.queue, m_message) == 0)
                return;
            ++m_done;
        }
        if (m_done == m_options.count && !std::exchange(m_lastCallMade, true))
            m_channel->inspectQueue(m_options.queue).then(this, [this] { finish(); }); // the broker has read everything
    }

    void fail(const AmqpQt::Error &error)
    {
        print({{u"error"_s, error.toString()}});
        QCoreApplication::exit(1);
    }

    void finish()
    {
        const double seconds = double(m_timer.nsecsElapsed()) / 1e9;
        const Usage after = Usage::now();
        const double user = after.userMicroseconds - m_before.userMicroseconds;
        const double system = after.systemMicroseconds - m_before.systemMicroseconds;
        const double count = double(m_options.count);
        QJsonObject result{
            {u"seconds"_s, seconds},
            {u"msgs_per_s"_s, count / seconds},
            {u"MB_per_s"_s, count * double(m_options.size) / seconds / 1e6},
            {u"cpu_us_per_msg"_s, (user + system) / count},
            {u"user_us"_s, user},
            {u"sys_us"_s, system},
            {u"rss_kb"_s, qint64(after.peakResidentKilobytes)},
        };
        if (!m_roundTrips.empty()) {
            std::sort(m_roundTrips.begin(), m_roundTrips.end());
            const auto percentile = [this](size_t percent) { return double(m_roundTrips[(m_roundTrips.size() - 1) * percent / 100]) / 1e3; };
            result.insert(u"p50_us"_s, percentile(50));
            result.insert(u"p99_us"_s, percentile(99));
        }
        print(result);
        disconnect(&m_connection, nullptr, this, nullptr);
        connect(&m_connection, &AmqpQt::Connection::closed, qApp, &QCoreApplication::quit);
        m_connection.close();
    }

    static void print(const QJsonObject &object)
    {
        QTextStream(stdout) << QJsonDocument(object).toJson(QJsonDocument::Compact) << Qt::endl;
    }

    const Options m_options;
    AmqpQt::Connection m_connection;
    AmqpQt::Channel *m_channel = nullptr;
    AmqpQt::Message m_message;
    QElapsedTimer m_timer;
    QElapsedTimer m_roundTrip;
    Usage m_before;
    std::vector<qint64> m_roundTrips;
    qint64 m_done = 0;
    bool m_lastCallMade = false;
};

} // namespace

int main(int argc, char *argv[])
{
    QCoreApplication application(argc, argv);
    QCommandLineParser parser;
    parser.addHelpOption();
    parser.addPositionalArgument(u"mode"_s, u"publish, consume-ack, consume-autoack or rtt"_s);
    parser.addOption({u"port"_s, u"Of the broker on 127.0.0.1."_s, u"port"_s, u"5672"_s});
    parser.addOption({u"count"_s, u"Messages."_s, u"N"_s, u"100000"_s});
    parser.addOption({u"size"_s, u"Of a body in bytes."_s, u"bytes"_s, u"16"_s});
    parser.addOption({u"prefetch"_s, u"With consume-ack."_s, u"N"_s, u"256"_s});
    parser.addOption({u"ack-every"_s, u"Ack up to every Nth message."_s, u"N"_s, u"1"_s});
    parser.addOption({u"window"_s, u"With publish-confirm."_s, u"N"_s});
    parser.addOption({u"queue"_s, u"Its name."_s, u"name"_s, u"bench"_s});
    parser.process(application);

    Client::Options options;
    options.mode = parser.positionalArguments().value(0);
    options.queue = parser.value(u"queue"_s);
    options.port = parser.value(u"port"_s).toUShort();
    options.count = parser.value(u"count"_s).toLongLong();
    options.size = parser.value(u"size"_s).toLongLong();
    options.prefetch = parser.value(u"prefetch"_s).toUShort();
    options.ackEvery = parser.value(u"ack-every"_s).toLongLong();
    const QStringList modes{u"publish"_s, u"consume-ack"_s, u"consume-autoack"_s, u"rtt"_s};
    if (!modes.contains(options.mode) || options.count < 1 || options.size < 0 || options.ackEvery < 1 || options.port == 0) {
        QTextStream(stdout) << u"{\"error\":\"modes are %1; count, size, ack-every and port are numbers\"}"_s.arg(modes.join(u", "_s)) << Qt::endl;
        return 1;
    }
    const Client client(options);
    return application.exec();
}

#include "client.moc"
