// SPDX-License-Identifier: MIT

// Does a message cost more when there is more of everything? What one delivery costs, and how long the making takes,
// with
//
//   growth {channels|consumers|unacked} --port P [--number N] [--count N]
//
//   channels   N channels on one connection, each with a consumer, served in turn
//   consumers  N consumers on one channel, served in turn
//   unacked    one consumer that always has N messages unacknowledged and acknowledges the oldest of them
//
// Against the synthetic broker, which makes up the messages.

#include "program.h"

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/Consumer>

#include <QCoreApplication>

#include <deque>

using namespace Qt::StringLiterals;

namespace
{

class Growth : public QObject
{
public:
    explicit Growth(const Program &program)
        : m_program(program)
        , m_channels(program.kind == "channels")
        , m_unacked(program.kind == "unacked")
        , m_connection(parameters(program.port))
    {
        const std::int64_t perConsumer =
            m_unacked ? program.number + program.count : (program.count + program.number - 1) / program.number;
        m_total = m_unacked ? perConsumer : perConsumer * program.number;
        m_queue = u"held-16-%1"_s.arg(perConsumer);
        connect(&m_connection, &AmqpQt::Connection::errorOccurred, this,
                [](const AmqpQt::Error &error) { fail(error.toString().toStdString()); });
        m_connection.open().then(this, [this] { make(); });
    }

private:
    static AmqpQt::ConnectionParameters parameters(quint16 port)
    {
        AmqpQt::ConnectionParameters parameters;
        parameters.setEndpoints({{u"127.0.0.1"_s, port}});
        parameters.setMaximumChannels(65535);
        return parameters;
    }

    void make()
    {
        m_begin = Usage::now();
        m_channel = m_connection.createChannel();
        const std::int64_t consumers = m_unacked ? 1 : m_program.number;
        for (std::int64_t i = 0; i < consumers; ++i) {
            AmqpQt::Channel *channel = m_channels && i > 0 ? m_connection.createChannel() : m_channel;
            channel->declareQueue(m_queue, {.durable = false});
            const AmqpQt::AckMode mode = m_unacked ? AmqpQt::AckMode::Manual : AmqpQt::AckMode::NoAck;
            AmqpQt::Consumer *consumer = channel->consume(m_queue, {.ackMode = mode});
            connect(consumer, &AmqpQt::Consumer::delivered, this, &Growth::receive);
            consumer->whenStarted().then(this, [this, consumers] {
                if (++m_started == consumers)
                    start();
            });
        }
    }

    void start()
    {
        m_made = Usage::now();
        m_channel->publish({}, m_queue, AmqpQt::Message(QByteArray("now"))); // the broker begins to deliver
    }

    void receive(const AmqpQt::Message &message)
    {
        ++m_received;
        if (m_unacked) {
            m_outstanding.push_back(message);
            if (m_received == m_program.number)
                m_made = Usage::now(); // what is measured begins here
            if (m_received > m_program.number) {
                m_outstanding.front().ack();
                m_outstanding.pop_front();
            }
        }
        if (m_received == m_total)
            finish();
    }

    void finish()
    {
        const double messages = double(m_unacked ? m_program.count : m_total);
        std::printf("{\"number\":%lld,\"make_us_each\":%.3f,\"cpu_us_per_msg\":%.5f}\n",
                    static_cast<long long>(m_program.number),
                    (m_made.cpuMicroseconds() - m_begin.cpuMicroseconds()) / double(m_program.number),
                    (Usage::now().cpuMicroseconds() - m_made.cpuMicroseconds()) / messages);
        std::fflush(stdout);
        disconnect(&m_connection, nullptr, this, nullptr);
        connect(&m_connection, &AmqpQt::Connection::closed, qApp, &QCoreApplication::quit);
        m_connection.close();
    }

    const Program m_program;
    const bool m_channels;
    const bool m_unacked;
    AmqpQt::Connection m_connection;
    AmqpQt::Channel *m_channel = nullptr;
    QString m_queue;
    std::int64_t m_total = 0;
    std::int64_t m_started = 0;
    std::int64_t m_received = 0;
    std::deque<AmqpQt::Message> m_outstanding;
    Usage m_begin;
    Usage m_made;
};

} // namespace

int main(int argc, char *argv[])
{
    const Program program = Program::read(argc, argv, {"channels", "consumers", "unacked"});
    QCoreApplication application(argc, argv);
    const Growth growth(program);
    return application.exec();
}
