// SPDX-License-Identifier: MIT
#pragma once

#include "client/promise_p.h"
#include "engine/topology/backoff_p.h"
#include "engine/topology/declarations_p.h"

#include <AmqpQt/channel.h>
#include <AmqpQt/recovery.h>

#include <QtCore/qhash.h>
#include <QtCore/qobject.h>

#include <optional>
#include <vector>

namespace AmqpQt
{

class ConnectionPrivate;
class HelperChannel;

// Declares a topology for Channel::apply(), on the helper channel of the connection, so that a refused entity does not
// prevent the others: first checks which exchanges and queues exist, then declares them all, then makes the bindings.
// Deletes itself at the end, and ends with the channel.
class TopologySetup final : public QObject
{
public:
    // The setup is a child of the channel, which must have a connection.
    static Reply<TopologyReport> start(Channel *channel, const Topology &topology);
    ~TopologySetup() override;

private:
    TopologySetup(Channel *channel, ConnectionPrivate &connection, const Topology &topology);

    void begin();
    template <typename Entity>
    void inspect(const Entity &entity);
    template <typename Entity>
    void declare(const Entity &entity, bool existed);
    template <typename Entity>
    void noteDeclared(const Entity &entity, const Error &error, bool existed);
    void startBindings();
    void bind(const Engine::Binding &binding);
    void noteBound(const Engine::Binding &binding, const Error &error);
    void noteDone();
    void finish(Result<TopologyReport> result);
    const Error *failureOf(const Engine::Binding &binding) const; // of its queue or an exchange; null if there is none

    HelperChannel &m_helper;
    const RecoveryPolicy m_policy;
    const Engine::Declarations m_topology;
    TopologyReport m_report;
    QHash<QString, Error> m_failedExchanges;
    QHash<QString, Error> m_failedQueues;
    qsizetype m_unfinished = 0;
    bool m_areBindingsStarted = false;
    Engine::Backoff m_backoff;
    std::vector<Engine::Binding> m_missing; // bindings that wait for an exchange or a queue
    std::optional<Promise<TopologyReport>> m_promise{std::in_place};
};

} // namespace AmqpQt
