// SPDX-License-Identifier: MIT
#include "engine/topology/topologyreplay_p.h"

namespace AmqpQt::Engine
{

TopologyReplay::TopologyReplay(TopologyRecord &record)
    : m_record(record)
{
    for (DeclaredExchange &exchange : record.confirmed().exchanges())
        m_steps.emplace_back(std::move(exchange));
    for (DeclaredQueue &queue : record.confirmed().queues())
        m_steps.emplace_back(std::move(queue));
}

std::optional<TopologyReplay::Step> TopologyReplay::next()
{
    if (m_steps.empty() && !m_areBindingsTaken && m_outstanding.isEmpty())
        takeBindings();
    if (m_steps.empty())
        return std::nullopt;
    Step step{.number = ++m_lastNumber, .entity = std::move(m_steps.front())};
    m_steps.pop_front();
    m_outstanding.insert(step.number, step.entity);
    if (auto *queue = std::get_if<DeclaredQueue>(&step.entity); queue && queue->isNamedByBroker)
        queue->name.clear();
    return step;
}

void TopologyReplay::takeBindings()
{
    m_areBindingsTaken = true;
    for (const auto kind : {Binding::Destination::Exchange, Binding::Destination::Queue}) {
        for (Binding &binding : m_record.confirmed().bindings(kind)) {
            if (const Error *cause = failureOf(binding))
                m_failures.push_back({describe(binding), *cause});
            else
                m_steps.emplace_back(std::move(binding));
        }
    }
}

const Error *TopologyReplay::failureOf(const Binding &binding) const
{
    const auto &destinations = binding.kind == Binding::Destination::Queue ? m_failedQueues : m_failedExchanges;
    if (const auto at = destinations.constFind(binding.destination); at != destinations.cend())
        return &*at;
    const auto at = m_failedExchanges.constFind(binding.source);
    return at != m_failedExchanges.cend() ? &*at : nullptr;
}

std::optional<TopologyReplay::Renamed> TopologyReplay::finished(quint64 step, const Error &error,
                                                                const QString &queueName)
{
    const auto entity = m_outstanding.take(step);
    const auto *exchange = std::get_if<DeclaredExchange>(&entity);
    const auto *queue = std::get_if<DeclaredQueue>(&entity);
    if (error.isError()) {
        m_failures.push_back({std::visit([](const auto &failed) { return describe(failed); }, entity), error});
        if (exchange)
            m_failedExchanges.insert(exchange->name, error);
        else if (queue)
            m_failedQueues.insert(queue->name, error);
        return std::nullopt;
    }
    ++(exchange ? m_restored.exchanges : queue ? m_restored.queues : m_restored.bindings);
    if (!queue || !queue->isNamedByBroker || queueName.isEmpty() || queueName == queue->name)
        return std::nullopt;
    m_record.queueRenamed(queue->name, queueName);
    return Renamed{queue->name, queueName};
}

void TopologyReplay::existsDifferently(quint64 step, const Error &error)
{
    const auto entity = m_outstanding.take(step);
    m_failures.push_back({std::visit([](const auto &different) { return describe(different); }, entity), error});
}

} // namespace AmqpQt::Engine
