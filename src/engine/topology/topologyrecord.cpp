// SPDX-License-Identifier: MIT
#include "engine/topology/topologyrecord_p.h"

#include <utility>

namespace AmqpQt::Engine
{

namespace
{

// The call whose answer names the queue of a change; 0 if the name is known.
CallId declaringCall(const TopologyChange &change)
{
    const auto of = [](const QueueReference &queue) { return queue.name.isEmpty() ? queue.declaring : 0; };
    if (const auto *deletion = std::get_if<QueueDeletion>(&change))
        return of(deletion->queue);
    if (const auto *start = std::get_if<ConsumerStart>(&change))
        return of(start->queue);
    if (const auto *binding = std::get_if<BindingChange>(&change))
        return of({binding->binding.destination, binding->declaring});
    return 0;
}

void setQueueName(TopologyChange &change, const QString &name)
{
    if (auto *deletion = std::get_if<QueueDeletion>(&change)) {
        deletion->queue.name = name;
    } else if (auto *start = std::get_if<ConsumerStart>(&change)) {
        start->queue.name = name;
    } else if (auto *binding = std::get_if<BindingChange>(&change)) {
        binding->binding.destination = name;
    }
}

} // namespace

// Many channels declare the same queue before they consume from it. Auto-delete queues may leave the record meanwhile.
bool TopologyRecord::isRedundant(const TopologyChange &change) const
{
    const auto recorded = [this](const QString &name) {
        const DeclaredQueue *queue = m_expectedDeletions == 0 ? m_confirmed.queue(name) : nullptr;
        return queue && !queue->options.autoDelete ? queue : nullptr;
    };
    if (const auto *start = std::get_if<ConsumerStart>(&change))
        return recorded(start->queue.name);
    const auto *declared = std::get_if<DeclaredQueue>(&change);
    const DeclaredQueue *queue = declared ? recorded(declared->name) : nullptr;
    return queue && queue->options.durable == declared->options.durable &&
           queue->options.exclusive == declared->options.exclusive && !declared->options.autoDelete &&
           queue->options.arguments == declared->options.arguments;
}

void TopologyRecord::expect(CallId id, TopologyChange change)
{
    if (isRedundant(change))
        return;
    m_expectedDeletions += std::holds_alternative<QueueDeletion>(change);
    if (const CallId declaring = declaringCall(change))
        m_awaitingName.insert(declaring, id);
    m_expected.emplace(id, std::move(change));
}

void TopologyRecord::finished(CallId id, const ReplyValue &value)
{
    const auto *declared = std::get_if<QueueInfo>(&value);
    if (!m_awaitingName.isEmpty()) {
        if (declared)
            nameQueue(id, declared->name);
        m_awaitingName.remove(id); // after an error, the calls that refer to this one fail as well
    }
    auto expected = m_expected.extract(id);
    if (!expected)
        return;
    TopologyChange &change = expected.mapped();
    m_expectedDeletions -= std::holds_alternative<QueueDeletion>(change);
    if (auto *queue = std::get_if<DeclaredQueue>(&change); queue && declared && queue->name.isEmpty()) {
        queue->isNamedByBroker = true;
        queue->name = declared->name;
    }
    if (!std::holds_alternative<Error>(value))
        std::visit([&](auto &confirmed) { apply(id, confirmed); }, change);
    if (m_expected.empty())
        m_newNames.clear();
}

void TopologyRecord::apply(CallId, DeclaredExchange &exchange)
{
    m_confirmed.add(std::move(exchange));
}

void TopologyRecord::apply(CallId, DeclaredQueue &queue)
{
    if (!queue.name.isEmpty()) // otherwise the broker is at fault
        m_confirmed.add(std::move(queue));
}

void TopologyRecord::apply(CallId, ExchangeDeletion &deletion)
{
    removeUnusedExchanges(m_confirmed.removeExchange(deletion.name));
}

void TopologyRecord::apply(CallId, QueueDeletion &deletion)
{
    removeQueue(currentName(deletion.queue.name));
}

void TopologyRecord::apply(CallId, BindingChange &change)
{
    Binding &binding = change.binding;
    if (binding.kind == Binding::Destination::Queue) {
        binding.destination = currentName(binding.destination);
        if (binding.keyIsQueueName)
            binding.routingKey = binding.destination;
    }
    if (binding.destination.isEmpty())
        return; // the broker is at fault
    if (change.kind == BindingChange::Kind::Bind)
        m_confirmed.add(std::move(binding));
    else if (m_confirmed.remove(binding))
        removeUnusedExchanges({binding.source});
}

void TopologyRecord::apply(CallId id, ConsumerStart &start)
{
    const QString name = currentName(start.queue.name);
    const DeclaredQueue *queue = m_confirmed.queue(name);
    if (queue && !queue->options.autoDelete)
        return;
    std::shared_ptr<Consumers> &consumers = m_consumersByQueue[name];
    if (!consumers)
        consumers = std::make_shared<Consumers>(Consumers{.queue = name});
    ++consumers->active;
    if (consumers->awaited > 0)
        --consumers->awaited;
    m_consumers.insert(id, consumers);
}

// Completes the changes of calls for the queue that this call has declared or inspected.
void TopologyRecord::nameQueue(CallId declaring, const QString &name)
{
    const auto [begin, end] = std::as_const(m_awaitingName).equal_range(declaring);
    for (auto dependent = begin; dependent != end; ++dependent) {
        if (const auto at = m_expected.find(*dependent); at != m_expected.end())
            setQueueName(at->second, name);
    }
}

QString TopologyRecord::currentName(const QString &queue) const
{
    QString name = queue;
    for (auto next = m_newNames.constFind(name); next != m_newNames.cend(); next = m_newNames.constFind(name))
        name = *next;
    return name;
}

void TopologyRecord::consumerEnded(CallId start, EndOfConsumer how)
{
    const std::shared_ptr<Consumers> consumers = m_consumers.take(start);
    if (!consumers)
        return;
    --consumers->active;
    if (consumers->active > 0 || consumers->awaited > 0 || m_consumersByQueue.value(consumers->queue) != consumers)
        return;
    const DeclaredQueue *queue = m_confirmed.queue(consumers->queue);
    if (how == EndOfConsumer::CancelledByBroker && !(queue && queue->options.exclusive))
        m_consumersByQueue.remove(consumers->queue);
    else
        noteUnused(*consumers);
}

void TopologyRecord::noteUnused(const Consumers &consumers)
{
    const QString name = consumers.queue;
    m_consumersByQueue.remove(name);
    if (const DeclaredQueue *queue = m_confirmed.queue(name); queue && queue->options.autoDelete)
        removeQueue(name);
}

void TopologyRecord::connectionLost()
{
    m_consumers.clear();
    m_consumersByQueue.removeIf([this](const auto &entry) { return !m_confirmed.queue(entry.key()); });
    for (const std::shared_ptr<Consumers> &consumers : std::as_const(m_consumersByQueue))
        consumers->awaited += std::exchange(consumers->active, 0);
}

void TopologyRecord::consumerAbandoned(const QString &queue)
{
    const std::shared_ptr<Consumers> consumers = m_consumersByQueue.value(queue);
    if (consumers && consumers->awaited > 0 && --consumers->awaited == 0 && consumers->active == 0)
        noteUnused(*consumers);
}

bool TopologyRecord::expectsNameAsKey(CallId id) const
{
    const auto at = m_expected.find(id);
    const auto *change = at == m_expected.end() ? nullptr : std::get_if<BindingChange>(&at->second);
    return change && change->binding.keyIsQueueName;
}

void TopologyRecord::queueRenamed(const QString &from, const QString &to)
{
    if (from == to)
        return;
    m_confirmed.renameQueue(from, to);
    if (const std::shared_ptr<Consumers> consumers = m_consumersByQueue.take(from)) {
        consumers->queue = to;
        m_consumersByQueue.insert(to, consumers);
    }
    m_newNames.remove(to); // so that names of a broker never lead round in a circle
    if (!m_expected.empty())
        m_newNames.insert(from, to);
}

void TopologyRecord::removeQueue(const QString &name)
{
    m_consumersByQueue.remove(name);
    removeUnusedExchanges(m_confirmed.removeQueue(name));
}

// Each of them has lost a binding of which it was the source.
void TopologyRecord::removeUnusedExchanges(QStringList exchanges)
{
    while (!exchanges.isEmpty()) {
        const QString name = exchanges.takeLast();
        const DeclaredExchange *exchange = m_confirmed.exchange(name);
        if (exchange && exchange->options.autoDelete && !m_confirmed.hasBindingFrom(name))
            exchanges += m_confirmed.removeExchange(name);
    }
}

} // namespace AmqpQt::Engine
