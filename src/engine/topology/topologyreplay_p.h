// SPDX-License-Identifier: MIT
#pragma once

#include "engine/topology/topologyrecord_p.h"

#include <AmqpQt/error.h>

#include <deque>
#include <optional>
#include <variant>
#include <vector>

namespace AmqpQt::Engine
{

// Makes the declarations of a record again after the connection was lost: the exchanges, the queues, the bindings
// between exchanges, and the bindings of queues. The client makes the call of each step, on a channel that does not
// record it, and reports its result. Calls need not wait for each other, except that bindings wait for all exchanges
// and queues: their queues may get new names, and a binding to an exchange or a queue that could not be declared is
// skipped.
class TopologyReplay
{
public:
    struct Step {
        quint64 number = 0;
        std::variant<DeclaredExchange, DeclaredQueue, Binding> entity; // a queue that the broker names has no name here
    };
    struct Failure {
        QString entity; // as describe() does
        Error error;
    };
    struct Counts {
        int exchanges = 0;
        int queues = 0;
        int bindings = 0;
    };
    struct Renamed {
        QString from;
        QString to;
    };

    explicit TopologyReplay(TopologyRecord &record); // must outlive this object

    std::optional<Step> next(); // none if all steps have been taken, or before the bindings, while results are awaited
    // `queueName` is the name that the broker has given to a queue. Returns the new name of a queue that has changed.
    std::optional<Renamed> finished(quint64 step, const Error &error, const QString &queueName = {});
    // The exchange or queue exists with other options. It is a failure, but the bindings are made.
    void existsDifferently(quint64 step, const Error &error);
    bool isFinished() const noexcept { return m_areBindingsTaken && m_steps.empty() && m_outstanding.isEmpty(); }

    const Counts &restored() const noexcept { return m_restored; }
    const std::vector<Failure> &failures() const noexcept { return m_failures; }

private:
    void takeBindings();
    const Error *failureOf(const Binding &binding) const; // of its queue or an exchange; null if there is none

    TopologyRecord &m_record;
    std::deque<decltype(Step::entity)> m_steps;
    QHash<quint64, decltype(Step::entity)> m_outstanding;
    quint64 m_lastNumber = 0;
    bool m_areBindingsTaken = false;
    QHash<QString, Error> m_failedExchanges;
    QHash<QString, Error> m_failedQueues;
    Counts m_restored;
    std::vector<Failure> m_failures;
};

} // namespace AmqpQt::Engine
