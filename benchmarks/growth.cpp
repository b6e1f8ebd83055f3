// SPDX-License-Identifier: MIT

// Measures whether the cost of a message grows with the number of objects: the cost of one delivery or one confirmed
// publish, and the time to create the objects.
//
//   growth {channels|consumers|unacked|confirms|publisher} --port P [--number N] [--count M]
//
//   channels   N channels on one connection, each with a consumer, served in turn
//   consumers  N consumers on one channel, served in turn
//   unacked    one consumer that keeps N messages unacknowledged and acknowledges the oldest of them
//   confirms   one channel in confirm mode, whose confirms stay N messages behind
//   publisher  the same with a Publisher
//
// It needs the synthetic broker, which generates the messages and holds back the confirms.

#include "program.h"

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/Consumer>
#include <AmqpQt/Publisher>

#include <QCoreApplication>

#include <deque>
#include <memory>

using namespace Qt::StringLiterals;

namespace
{

// Creates the N objects, then measures the cost of M messages.
class Growth : public QObject
{
public:
    explicit Growth(const Program &program)
        : m_program(program)
        , m_connection(parameters(program.port))
    {
        connect(&m_connection, &AmqpQt::Connection::errorOccurred, this, failed);
        m_connection.open().then(this, [this] {
            m_begin = Usage::now();
            make();
        });
    }

protected:
    static void failed(const AmqpQt::Error &error) { fail(error.toString().toStdString()); }

    virtual void make() = 0;
    void setMade() { m_made = Usage::now(); }

    void finish(std::int64_t messages)
    {
        std::printf("{\"number\":%lld,\"make_us_each\":%.3f,\"cpu_us_per_msg\":%.5f}\n",
                    static_cast<long long>(m_program.number),
                    (m_made.cpuMicroseconds() - m_begin.cpuMicroseconds()) / double(m_program.number),
                    (Usage::now().cpuMicroseconds() - m_made.cpuMicroseconds()) / double(messages));
        std::fflush(stdout);
        disconnect(&m_connection, nullptr, this, nullptr);
        connect(&m_connection, &AmqpQt::Connection::closed, qApp, &QCoreApplication::quit);
    }

    const Program m_program;
    AmqpQt::Connection m_connection;

private:
    static AmqpQt::ConnectionParameters parameters(quint16 port)
    {
        AmqpQt::ConnectionParameters parameters;
        parameters.setEndpoints({{u"127.0.0.1"_s, port}});
        parameters.setMaximumChannels(65535);
        return parameters;
    }

    Usage m_begin;
    Usage m_made;
};

class Deliveries : public Growth
{
public:
    explicit Deliveries(const Program &program)
        : Growth(program)
        , m_channels(program.kind == "channels")
        , m_unacked(program.kind == "unacked")
    {
        const std::int64_t perConsumer =
            m_unacked ? program.number + program.count : (program.count + program.number - 1) / program.number;
        m_total = m_unacked ? perConsumer : perConsumer * program.number;
        m_queue = u"held-16-%1"_s.arg(perConsumer);
    }

private:
    void make() override
    {
        m_channel = m_connection.createChannel();
        const std::int64_t consumers = m_unacked ? 1 : m_program.number;
        for (std::int64_t i = 0; i < consumers; ++i) {
            AmqpQt::Channel *channel = m_channels && i > 0 ? m_connection.createChannel() : m_channel;
            channel->declareQueue(m_queue, {.durable = false});
            AmqpQt::ConsumeOptions options;
            options.ackMode = m_unacked ? AmqpQt::AckMode::Manual : AmqpQt::AckMode::NoAck;
            options.prefetch = 0; // unlimited
            AmqpQt::Consumer *consumer = channel->consume(m_queue, options);
            connect(consumer, &AmqpQt::Consumer::delivered, this, &Deliveries::receive);
            consumer->whenStarted().then(this, [this, consumers] {
                if (++m_started == consumers)
                    start();
            });
        }
    }

    void start()
    {
        setMade();
        m_channel->publish({}, m_queue, AmqpQt::Message(QByteArray("now"))); // the broker begins to deliver
    }

    void receive(const AmqpQt::Message &message)
    {
        ++m_received;
        if (m_unacked) {
            m_outstanding.push_back(message);
            if (m_received == m_program.number)
                setMade(); // the measurement begins here
            if (m_received > m_program.number) {
                m_outstanding.front().ack();
                m_outstanding.pop_front();
            }
        }
        if (m_received == m_total) {
            finish(m_unacked ? m_program.count : m_total);
            m_connection.close();
        }
    }

    const bool m_channels;
    const bool m_unacked;
    AmqpQt::Channel *m_channel = nullptr;
    QString m_queue;
    std::int64_t m_total = 0;
    std::int64_t m_started = 0;
    std::int64_t m_received = 0;
    std::deque<AmqpQt::Message> m_outstanding;
};

// The number of messages in flight, in addition to the N confirms that the broker holds back. With one message at a
// time, the system calls of each round trip would hide all other costs.
constexpr std::int64_t OnTheirWay = 256;

class Confirms : public Growth
{
public:
    using Growth::Growth;

private:
    void make() override
    {
        m_queue = u"unconfirmed-%1"_s.arg(m_program.number);
        m_message.setPersistent(false);
        m_message.setBody(QByteArray(16, 'x'));
        if (m_program.kind == "publisher") {
            m_publisher = std::make_unique<AmqpQt::Publisher>(&m_connection);
            m_publisher->setConfirmWindow(int(m_program.number + OnTheirWay));
            connect(m_publisher.get(), &AmqpQt::Publisher::settled, this, [this](quint64, const AmqpQt::Error &error) {
                if (error.isError())
                    failed(error);
                onConfirmed(1);
            });
        } else {
            m_channel = m_connection.createChannel();
            m_channel->confirmSelect();
            connect(m_channel, &AmqpQt::Channel::publishConfirmed, this,
                    [this](quint64 first, quint64 last) { onConfirmed(std::int64_t(last - first + 1)); });
        }
        publish(m_program.number + OnTheirWay);
    }

    void publish(std::int64_t messages)
    {
        for (std::int64_t i = 0; i < messages; ++i) {
            const quint64 number =
                m_publisher ? m_publisher->publish({}, m_queue, m_message) : m_channel->publish({}, m_queue, m_message);
            if (number == 0)
                failed(m_publisher ? m_publisher->error() : m_channel->error());
        }
    }

    void onConfirmed(std::int64_t messages)
    {
        if (m_confirmed == 0)
            setMade(); // the measurement begins here
        m_confirmed += messages;
        if (m_confirmed < m_program.count)
            return publish(messages);
        if (m_publisher)
            disconnect(m_publisher.get(), nullptr, this, nullptr);
        else
            disconnect(m_channel, nullptr, this, nullptr);
        finish(m_confirmed);
        m_connection.abort(); // the broker would not confirm the rest
    }

    QString m_queue;
    AmqpQt::Message m_message;
    std::unique_ptr<AmqpQt::Publisher> m_publisher;
    AmqpQt::Channel *m_channel = nullptr;
    std::int64_t m_confirmed = 0;
};

} // namespace

int main(int argc, char *argv[])
{
    const Program program = Program::read(argc, argv, {"channels", "consumers", "unacked", "confirms", "publisher"});
    QCoreApplication application(argc, argv);
    std::unique_ptr<Growth> growth;
    if (program.kind == "confirms" || program.kind == "publisher")
        growth = std::make_unique<Confirms>(program);
    else
        growth = std::make_unique<Deliveries>(program);
    return application.exec();
}
