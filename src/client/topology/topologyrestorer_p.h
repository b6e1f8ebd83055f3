// SPDX-License-Identifier: MIT
#pragma once

#include "client/channel/helperchannel_p.h"
#include "engine/time_p.h"
#include "engine/topology/backoff_p.h"
#include "engine/topology/topologyreplay_p.h"

#include <AmqpQt/recovery.h>

#include <QtCore/qhash.h>
#include <QtCore/qobject.h>

#include <functional>
#include <vector>

namespace AmqpQt
{

class ConnectionPrivate;

// Declares again what an open connection had recorded before it was lost, on a channel of its own, while the other
// channels are held. Must be deleted when the connection ends.
class TopologyRestorer final : public QObject
{
public:
    // The connection must have a record. `finished` gets the error that ends the recovery, if the policy requires that.
    // It may delete this object.
    TopologyRestorer(ConnectionPrivate *connection, std::function<void(const Error &)> finished);

    void start(); // called once, if something is recorded; the result comes from the event loop
    RecoveryReport report() const;
    const QHash<QString, QString> &newNames() const noexcept { return m_newNames; } // of queues, by their old names
    // Whether bindings still wait for an exchange or a queue that others declare.
    bool isWaiting() const noexcept { return !m_missing.empty(); }
    void endChannel() { m_helper.endChannel(); } // until bindings that wait are made again

private:
    void makeCalls();
    template <typename Entity>
    void call(quint64 step, const Entity &entity);
    template <typename Entity>
    void onAnswered(quint64 step, const Entity &entity, const Error &error, const QString &queueName);
    bool mayRetry(quint64 step, const Error &error);
    std::chrono::milliseconds nextDelay();
    void fail(const Error &error);
    void retryMissing();

    ConnectionPrivate *const m_connection;
    std::function<void(const Error &)> m_finished;
    const RecoveryPolicy m_policy;
    HelperChannel m_helper;
    Engine::TopologyReplay m_replay;
    QHash<QString, QString> m_newNames;
    QHash<quint64, Engine::Time> m_firstTries; // of steps that are made again
    Engine::Backoff m_backoff;
    std::vector<Engine::Binding> m_missing;
    bool m_isFinished = false;
};

} // namespace AmqpQt
