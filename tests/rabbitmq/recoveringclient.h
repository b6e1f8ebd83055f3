// SPDX-License-Identifier: MIT
#pragma once

#include "rabbitmq/brokerclient.h"
#include "support/faultproxy.h"

#include <AmqpQt/Recovery>

#include <memory>

// Shared by the tests of automatic recovery with a real broker.
namespace AmqpQt::Test
{

// A connection with recovery, through a proxy that can cut it, with one channel. The delay before the first attempt is
// 200 ms, the shortest possible one.
class RecoveringClient
{
public:
    explicit RecoveringClient(const RecoveryPolicy &policy = {})
        : proxy(quint16(brokerUrl().port()))
        , connection(parameters(policy))
        , channel(connection.createChannel())
    {
        QObject::connect(&connection, &Connection::recovered, &connection,
                         [this](const RecoveryReport &report) { reports += report; });
        QObject::connect(&connection, &Connection::stateChanged, &connection, [this](Connection::State state) {
            losses += wasOpen && state == Connection::State::Recovering;
            wasOpen = state == Connection::State::Open;
        });
    }

    ConnectionParameters parameters(const RecoveryPolicy &policy) const
    {
        ConnectionParameters parameters = brokerParameters();
        Endpoint endpoint = parameters.endpoints().constFirst();
        endpoint.port = proxy.serverPort();
        parameters.setEndpoints({endpoint});
        parameters.setRecoveryPolicy(policy.withDelays(200ms, 400ms));
        return parameters;
    }

    bool open() { return await(connection.open()) && await(channel->whenOpen()); }

    bool lose(const NetworkFault &fault = {.kind = NetworkFault::Kind::Reset})
    {
        const int before = losses;
        proxy.strike(fault);
        return waitFor([&] { return losses > before; });
    }
    bool recover()
    {
        const qsizetype before = reports.size();
        return waitFor([&] { return reports.size() > before && connection.isOpen(); });
    }
    bool loseAndRecover(const NetworkFault &fault = {.kind = NetworkFault::Kind::Reset})
    {
        return lose(fault) && recover();
    }
    // Waits until everything has been handed to the system.
    bool writeAll()
    {
        return waitFor([&] { return connection.bytesToWrite() == 0; });
    }
    QStringList failures() const // of the last recovery
    {
        return reports.isEmpty() ? QStringList{u"no recovery"_s} : reports.constLast().failures();
    }

    FaultProxy proxy;
    Connection connection;
    Channel *const channel;
    QList<RecoveryReport> reports;
    int losses = 0;
    bool wasOpen = false;
};

// The lines of `rabbitmqctl list_…` that contain this text.
inline QStringList listed(const QStringList &command, const QString &text)
{
    const ProcessResult result = brokerControl(command + QStringList{u"--quiet"_s, u"--no-table-headers"_s});
    QStringList lines;
    for (const QString &line : QString::fromUtf8(result.output).split(u'\n')) {
        if (line.contains(text))
            lines += line;
    }
    return lines;
}

} // namespace AmqpQt::Test
