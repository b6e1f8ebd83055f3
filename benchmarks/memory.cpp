// SPDX-License-Identifier: MIT

// Measures the memory of many channels with a consumer each, or of many idle connections:
//
//   memory {channels|connections} --port P [--number N]
//
// The first of them is created before the measurement begins.

#include "memory.h"

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/Consumer>

#include <QCoreApplication>
#include <QTimer>

#include <memory>
#include <optional>

using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

namespace
{

class Memory : public QObject
{
public:
    explicit Memory(const Program &program)
        : m_program(program)
    {
        addConnection();
    }

private:
    void addConnection()
    {
        AmqpQt::ConnectionParameters parameters;
        parameters.setEndpoints({{u"127.0.0.1"_s, m_program.port}});
        parameters.setMaximumChannels(65535);
        AmqpQt::Connection &connection = *m_connections.emplace_back(std::make_unique<AmqpQt::Connection>(parameters));
        connect(&connection, &AmqpQt::Connection::errorOccurred, this,
                [](const AmqpQt::Error &error) { fail(error.toString().toStdString()); });
        connection.open().then(this, [this] {
            if (m_program.kind == "channels")
                addChannel();
            else
                added();
        });
    }

    void addChannel()
    {
        AmqpQt::Channel *channel = m_connections.front()->createChannel();
        channel->declareQueue(u"memory"_s, {.durable = false});
        channel->consume(u"memory"_s)->whenStarted().then(this, [this] { added(); });
    }

    void added()
    {
        ++m_added;
        if (m_added == 1) {
            // By then, unused buffers have been released.
            QTimer::singleShot(1s, this, [this] {
                m_growth.emplace();
                for (std::int64_t i = 0; i < m_program.number; ++i) {
                    if (m_program.kind == "channels")
                        addChannel();
                    else
                        addConnection();
                }
            });
        } else if (m_added == 1 + m_program.number) {
            QTimer::singleShot(1s, this, [this] {
                m_growth->print(m_program.number);
                QCoreApplication::quit();
            });
        }
    }

    const Program m_program;
    std::vector<std::unique_ptr<AmqpQt::Connection>> m_connections;
    std::optional<MemoryGrowth> m_growth;
    std::int64_t m_added = 0;
};

} // namespace

int main(int argc, char *argv[])
{
    const Program program = Program::read(argc, argv, {"channels", "connections"});
    QCoreApplication application(argc, argv);
    const Memory memory(program);
    return application.exec();
}
