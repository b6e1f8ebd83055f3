// SPDX-License-Identifier: MIT

// Recovers from a number of losses:
//
//   recovery {queues|shared} --port P [--number N] [--count LOSSES]
//
//   queues  N queues with a consumer each, ten on a channel
//   shared  N consumers of 100 queues, on 100 channels
//
// recovery.py runs it behind a proxy, which cuts the connection and takes the times. RecoveryClient.java does the same
// with the Java client.

#include "program.h"

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/ConnectionParameters>
#include <AmqpQt/Consumer>

#include <QCoreApplication>

using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

namespace
{

class Recovery : public QObject
{
public:
    explicit Recovery(const Program &program)
        : m_program(program)
        , m_connection(parameters(program.port))
    {
        connect(&m_connection, &AmqpQt::Connection::closed, this,
                [](const AmqpQt::Error &reason) { fail(reason.toString().toStdString()); });
        connect(&m_connection, &AmqpQt::Connection::recovered, this, &Recovery::recovered);
        m_connection.open();
        const bool isShared = program.kind == "shared";
        const std::int64_t queues = isShared ? 100 : program.number;
        const std::int64_t queuesOfAChannel = isShared ? 1 : 10;
        const std::int64_t consumersOfAQueue = program.number / queues;
        AmqpQt::Channel *channel = nullptr;
        for (std::int64_t queue = 0; queue < queues; ++queue) {
            if (queue % queuesOfAChannel == 0)
                channel = m_connection.createChannel();
            const QString name = u"recovery-%1"_s.arg(queue);
            channel->declareQueue(name, {.durable = false});
            for (std::int64_t i = 0; i < consumersOfAQueue; ++i)
                channel->consume(name, {.prefetch = 0});
        }
    }

private:
    static AmqpQt::ConnectionParameters parameters(quint16 port)
    {
        AmqpQt::ConnectionParameters parameters;
        parameters.setEndpoints({{u"127.0.0.1"_s, port}});
        parameters.setRecoveryPolicy(AmqpQt::RecoveryPolicy().withEnabled().withDelays(200ms, 200ms));
        return parameters;
    }

    void recovered(const AmqpQt::RecoveryReport &report)
    {
        if (const QStringList failures = report.failures(); !failures.isEmpty())
            fail(failures.constFirst().toStdString());
        if (report.consumers != m_program.number)
            fail("only " + std::to_string(report.consumers) + " consumers have been recovered");
        if (++m_recoveries < m_program.count)
            return;
        std::printf("{\"recoveries\":%lld}\n", static_cast<long long>(m_recoveries));
        disconnect(&m_connection, nullptr, this, nullptr);
        connect(&m_connection, &AmqpQt::Connection::closed, qApp, &QCoreApplication::quit);
        m_connection.close();
    }

    const Program m_program;
    AmqpQt::Connection m_connection;
    std::int64_t m_recoveries = 0;
};

} // namespace

int main(int argc, char *argv[])
{
    const Program program = Program::read(argc, argv, {"queues", "shared"});
    QCoreApplication application(argc, argv);
    const Recovery recovery(program);
    return application.exec();
}
