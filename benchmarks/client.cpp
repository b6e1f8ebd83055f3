// SPDX-License-Identifier: MIT

// The benchmark client of AmqpQt, which measures the cost of a message. The clients of other libraries have the same
// command line and output (measure.h), so that they can be compared.

#include "measure.h"

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/Consumer>

#include <QCoreApplication>

#include <algorithm>

using namespace Qt::StringLiterals;

namespace
{

class Client : public QObject
{
public:
    explicit Client(const Options &options)
        : m_options(options)
        , m_measurement(options)
        , m_queue(QString::fromStdString(options.queue))
        , m_connection(parameters(options))
    {
        m_message.setContentType(u"application/octet-stream"_s);
        m_message.setPersistent(false);
        m_message.setBody(QByteArray(options.size, 'x'));

        m_channel = m_connection.createChannel();
        const auto failed = [](const AmqpQt::Error &error) { fail(error.toString().toStdString()); };
        connect(m_channel, &AmqpQt::Channel::errorOccurred, this, failed);
        connect(&m_connection, &AmqpQt::Connection::errorOccurred, this, failed);
        // Newer brokers reject this queue, because it is transient and not exclusive; with them, declare the default, a
        // durable queue.
        m_channel->declareQueue(m_queue, {.durable = false}).then(this, [this] { start(); });
        m_connection.open();
    }

private:
    static AmqpQt::ConnectionParameters parameters(const Options &options)
    {
        AmqpQt::ConnectionParameters parameters;
        const bool encrypted = !options.caFile.empty();
        parameters.setEndpoints({{.host = u"127.0.0.1"_s, .port = options.port, .encrypted = encrypted}});
        if (encrypted)
            parameters.trustOnly(QString::fromStdString(options.caFile));
        // A whole window of messages may be buffered; all its messages share one body.
        const qint64 window = options.window * (options.size + 4096);
        parameters.setWriteBuffer(parameters.lowWatermark(), parameters.highWatermark(),
                                  std::max<qint64>(parameters.bufferLimit(), 2 * window));
        if (options.dispatchBudget > 0)
            parameters.setDispatchBudget(std::chrono::milliseconds(options.dispatchBudget));
        return parameters;
    }

    void start()
    {
        m_measurement.start();
        switch (m_options.mode) {
        case Mode::Publish:
            connect(m_channel, &AmqpQt::Channel::writableChanged, this, &Client::publishSome);
            publishSome();
            break;
        case Mode::PublishConfirm:
            m_channel->confirmSelect();
            connect(m_channel, &AmqpQt::Channel::publishFailed, this,
                    [](quint64, quint64, const AmqpQt::Error &error) { fail(error.toString().toStdString()); });
            connect(m_channel, &AmqpQt::Channel::publishConfirmed, this, &Client::fillWindow);
            fillWindow();
            break;
        case Mode::ConsumeAck:
            m_channel->setPrefetch(m_options.prefetch);
            consume(AmqpQt::AckMode::Manual, [this](const AmqpQt::Message &message) {
                ++m_done;
                if (m_options.ackEvery == 1)
                    message.ack();
                else if (m_options.isAckDue(m_done))
                    m_channel->ackUpTo(message);
                if (m_done == m_options.count)
                    finish();
            });
            break;
        case Mode::ConsumeAutoack:
            consume(AmqpQt::AckMode::NoAck, [this](const AmqpQt::Message &) {
                if (++m_done == m_options.count)
                    finish();
            });
            break;
        case Mode::RoundTrip:
            consume(AmqpQt::AckMode::NoAck,
                    [this](const AmqpQt::Message &) {
                        m_measurement.endRoundTrip();
                        if (++m_done < m_options.count)
                            ping();
                        else
                            finish();
                    })
                ->whenStarted()
                .then(this, [this] { ping(); });
            break;
        }
    }

    template <typename Slot>
    AmqpQt::Consumer *consume(AmqpQt::AckMode ackMode, Slot slot)
    {
        AmqpQt::Consumer *consumer = m_channel->consume(m_queue, {.ackMode = ackMode});
        connect(consumer, &AmqpQt::Consumer::delivered, this, slot);
        return consumer;
    }

    void ping()
    {
        m_measurement.beginRoundTrip();
        m_channel->publish({}, m_queue, m_message);
    }

    void publishSome()
    {
        while (m_done < m_options.count && m_channel->isWritable()) {
            if (m_channel->publish({}, m_queue, m_message) == 0)
                return;
            ++m_done;
        }
        if (m_done == m_options.count && !std::exchange(m_lastCallMade, true))
            m_channel->inspectQueue(m_queue).then(this, [this] { finish(); }); // the broker has read everything by then
    }

    // Called for each confirm. The channel's own window (setConfirmWindow()) would wait until half of it is free.
    void fillWindow()
    {
        while (m_done < m_options.count && m_channel->unconfirmedCount() < m_options.window) {
            if (m_channel->publish({}, m_queue, m_message) == 0)
                return;
            ++m_done;
        }
        if (m_done == m_options.count && m_channel->unconfirmedCount() == 0 && !std::exchange(m_lastCallMade, true))
            finish();
    }

    void finish()
    {
        m_measurement.finish();
        disconnect(&m_connection, nullptr, this, nullptr);
        connect(&m_connection, &AmqpQt::Connection::closed, qApp, &QCoreApplication::quit);
        m_connection.close();
    }

    const Options m_options;
    Measurement m_measurement;
    const QString m_queue;
    AmqpQt::Connection m_connection;
    AmqpQt::Channel *m_channel = nullptr;
    AmqpQt::Message m_message;
    qint64 m_done = 0;
    bool m_lastCallMade = false;
};

} // namespace

int main(int argc, char *argv[])
{
    const Options options = Options::read(argc, argv);
    QCoreApplication application(argc, argv);
    const Client client(options);
    return application.exec();
}
