// SPDX-License-Identifier: MIT
#include "client/topology/topologyrestorer_p.h"

#include "client/connection/connection_p.h"
#include "client/topology/entitycalls_p.h"

#include <QtCore/qrandom.h>
#include <QtCore/qtimer.h>

#include <algorithm>
#include <utility>

namespace AmqpQt
{

using namespace Qt::StringLiterals;
using Engine::Binding;

TopologyRestorer::TopologyRestorer(ConnectionPrivate *connection, std::function<void(const Error &)> finished)
    : QObject(connection) // a child, so that it moves to another thread as well
    , m_connection(connection)
    , m_finished(std::move(finished))
    , m_policy(connection->activeParameters().recoveryPolicy())
    , m_helper(connection, HelperChannel::Use::Replay)
    , m_replay(*connection->engine.recordedTopology())
{
    m_backoff.setLimits({m_policy.initialDelay, m_policy.maximumDelay, m_policy.factor});
}

void TopologyRestorer::start()
{
    makeCalls();
}

RecoveryReport TopologyRestorer::report() const
{
    RecoveryReport report;
    report.exchanges = m_replay.restored().exchanges;
    report.queues = m_replay.restored().queues;
    report.bindings = m_replay.restored().bindings;
    for (auto name = m_newNames.cbegin(); name != m_newNames.cend(); ++name)
        report.renamedQueues.insert(name.key(), name.value());
    for (const Engine::TopologyReplay::Failure &failure : m_replay.failures())
        report.failed.append({failure.entity, failure.error});
    return report;
}

void TopologyRestorer::makeCalls()
{
    while (const auto step = m_replay.next())
        std::visit([&](const auto &entity) { call(step->number, entity); }, step->entity);
    if (!m_replay.isFinished() || std::exchange(m_isFinished, true))
        return;
    retryMissing();
    const auto finished = m_finished;
    finished({});
}

template <typename Entity>
void TopologyRestorer::call(quint64 step, const Entity &entity)
{
    m_helper.call<ReplyType<Entity>>(
        this, [entity](Channel *channel) { return declareEntity(channel, entity); },
        [this, step, entity](const auto &result) {
            QString queueName;
            if constexpr (std::is_same_v<Entity, Engine::DeclaredQueue>) {
                if (result)
                    queueName = result->name;
            }
            onAnswered(step, entity, result.error(), queueName);
        });
}

template <typename Entity>
void TopologyRestorer::onAnswered(quint64 step, const Entity &entity, const Error &error, const QString &queueName)
{
    if (!m_connection->engine.isOpen() || m_isFinished)
        return; // the connection is lost, which will be handled next, or the recovery has failed
    if (mayRetry(step, error)) {
        QTimer::singleShot(nextDelay(), this, [this, step, entity] { call(step, entity); });
        return;
    }
    constexpr bool isBinding = std::is_same_v<Entity, Binding>;
    const bool differs = !isBinding && isRefusedWith(error, Wire::ReplyCode::PreconditionFailed);
    const bool isMissing = isBinding && isRefusedWith(error, Wire::ReplyCode::NotFound);
    if ((differs && m_policy.onMismatch == RecoveryPolicy::Mismatch::Fail) ||
        (isMissing && m_policy.onMissing == RecoveryPolicy::Missing::Fail))
        return fail(error);
    if constexpr (isBinding) {
        if (isMissing && m_policy.onMissing == RecoveryPolicy::Missing::Wait)
            m_missing.push_back(entity);
    }
    if (differs && m_policy.onMismatch == RecoveryPolicy::Mismatch::UseExisting)
        m_replay.existsDifferently(step, error);
    else if (const auto renamed = m_replay.finished(step, error, queueName))
        m_newNames.insert(renamed->from, renamed->to);
    makeCalls();
}

// The broker may not have found out yet that the previous connection, which holds an exclusive queue, is lost. Or the
// node that has a queue starts later than the one that this connection leads to.
bool TopologyRestorer::mayRetry(quint64 step, const Error &error)
{
    constexpr std::chrono::seconds Margin(10);
    const bool isNodeDown = isRefusedWith(error, Wire::ReplyCode::NotFound) && error.text().contains("home node"_L1);
    if (!isNodeDown && !isRefusedWith(error, Wire::ReplyCode::ResourceLocked) && error.kind() != ErrorKind::Timeout)
        return false;
    const Engine::Time time = m_connection->recovery.now();
    const auto firstTry = m_firstTries.constFind(step);
    if (firstTry == m_firstTries.cend()) {
        m_firstTries.insert(step, time);
        return true;
    }
    return time - *firstTry < 2 * m_connection->engine.heartbeat() + Margin; // the time in which the broker finds out
}

std::chrono::milliseconds TopologyRestorer::nextDelay()
{
    return m_backoff.nextDelay(QRandomGenerator::global()->generateDouble());
}

void TopologyRestorer::fail(const Error &error)
{
    m_isFinished = true;
    m_missing.clear();
    const auto finished = m_finished;
    finished(error);
}

void TopologyRestorer::retryMissing()
{
    if (m_missing.empty())
        return;
    QTimer::singleShot(nextDelay(), this, [this] {
        const Engine::TopologyRecord *record = m_connection->engine.recordedTopology();
        for (const Binding &binding : std::exchange(m_missing, {})) {
            if (!record || !record->confirmed().contains(binding))
                continue; // removed by the application
            m_helper.call<void>(
                this, [binding](Channel *channel) { return declareEntity(channel, binding); },
                [this, binding](const Result<void> &result) {
                    const bool hasNoNumber = result.error().kind() == ErrorKind::NotOpen;
                    if (!hasNoNumber && !isRefusedWith(result.error(), Wire::ReplyCode::NotFound))
                        return;
                    m_missing.push_back(binding);
                    if (m_missing.size() == 1)
                        retryMissing();
                });
        }
    });
}

} // namespace AmqpQt
