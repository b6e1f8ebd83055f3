// SPDX-License-Identifier: MIT
#include "chaos/connectionwatch.h"

#include "chaos/brokernode.h"

#include <utility>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

ConnectionWatch::ConnectionWatch(Connection *connection, const QString &name)
    : m_connection(connection)
    , m_ledger(name)
{
    connect(connection, &Connection::stateChanged, this, [this](Connection::State state) {
        noteSockets();
        if (std::exchange(m_isOpen, state == Connection::State::Open) && state == Connection::State::Recovering) {
            m_ledger.lose();
            Q_EMIT lost();
        }
    });
    connect(connection, &Connection::recovered, this, [this](const RecoveryReport &report) {
        m_ledger.recover(report.failures());
        Q_EMIT recovered();
    });
    connect(connection, &Connection::closed, this, [this](const Error &reason) {
        if (!m_hasEnded)
            fail("the connection has ended: "_L1 + reason.toString());
    });
    connect(connection, &Connection::settlementFailed, this,
            [this](quint64, const Error &error) { fail(error.toString()); });
    connect(&m_clock, &QTimer::timeout, this, &ConnectionWatch::noteSockets);
    m_clock.start(100ms);
}

void ConnectionWatch::watch(Channel *channel)
{
    connect(channel, &Channel::closed, this, [this](const Error &reason) {
        if (!m_hasEnded)
            fail("a channel has ended: "_L1 + reason.toString());
    });
    connect(channel, &Channel::settlementFailed, this,
            [this](quint64, const Error &error) { fail("a settlement was reported: "_L1 + error.toString()); });
}

void ConnectionWatch::watch(Consumer *consumer)
{
    connect(consumer, &Consumer::cancelled, this, [this](const Error &reason) {
        if (!m_hasEnded)
            fail("a consumer has ended: "_L1 + reason.toString());
    });
}

void ConnectionWatch::end()
{
    m_hasEnded = true;
    m_clock.stop();
}

void ConnectionWatch::noteSockets()
{
    m_ledger.noteSockets(socketsTo(m_connection->parameters().endpoints().constFirst().effectivePort()));
}
