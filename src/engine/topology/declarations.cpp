// SPDX-License-Identifier: MIT
#include "engine/topology/declarations_p.h"

#include <algorithm>
#include <tuple>

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

namespace
{

auto destinationOrder(const Binding &binding)
{
    return std::tie(binding.kind, binding.destination, binding.source, binding.routingKey, binding.encodedArguments);
}

auto sourceOrder(const Binding &binding)
{
    return std::tie(binding.source, binding.kind, binding.destination, binding.routingKey, binding.encodedArguments);
}

template <typename Numbered>
auto sortedEntities(std::vector<const Numbered *> entities)
{
    std::sort(entities.begin(), entities.end(), [](const auto *a, const auto *b) { return a->number < b->number; });
    std::vector<decltype(Numbered::entity)> sorted;
    sorted.reserve(entities.size());
    for (const Numbered *numbered : entities)
        sorted.push_back(numbered->entity);
    return sorted;
}

template <typename Map>
auto sortedValues(const Map &map)
{
    std::vector<const typename Map::mapped_type *> entities;
    entities.reserve(map.size());
    for (const auto &[name, numbered] : map)
        entities.push_back(&numbered);
    return sortedEntities(std::move(entities));
}

} // namespace

QString describe(const DeclaredExchange &exchange)
{
    return u"exchange \"%1\""_s.arg(exchange.name);
}

QString describe(const DeclaredQueue &queue)
{
    return u"queue \"%1\""_s.arg(queue.name);
}

QString describe(const Binding &binding)
{
    const QString arguments = binding.arguments.isEmpty()
                                  ? QString()
                                  : u" and the arguments %1"_s.arg(QStringList(binding.arguments.keys()).join(u", "_s));
    return (binding.kind == Binding::Destination::Queue
                ? u"binding of queue \"%1\" to exchange \"%2\" with the routing key \"%3\"%4"_s
                : u"binding of exchange \"%1\" to exchange \"%2\" with the routing key \"%3\"%4"_s)
        .arg(binding.destination, binding.source, binding.routingKey, arguments);
}

bool Declarations::ByDestination::operator()(const BindingPointer &a, const BindingPointer &b) const
{
    return destinationOrder(a->entity) < destinationOrder(b->entity);
}

bool Declarations::ByDestination::operator()(const BindingPointer &a, const Binding &b) const
{
    return destinationOrder(a->entity) < destinationOrder(b);
}

bool Declarations::ByDestination::operator()(const Binding &a, const BindingPointer &b) const
{
    return destinationOrder(a) < destinationOrder(b->entity);
}

bool Declarations::ByDestination::operator()(const BindingPointer &a, DestinationName b) const
{
    return std::tie(a->entity.kind, a->entity.destination) < std::tie(b.kind, b.name);
}

bool Declarations::ByDestination::operator()(DestinationName a, const BindingPointer &b) const
{
    return std::tie(a.kind, a.name) < std::tie(b->entity.kind, b->entity.destination);
}

bool Declarations::BySource::operator()(const BindingPointer &a, const BindingPointer &b) const
{
    return sourceOrder(a->entity) < sourceOrder(b->entity);
}

bool Declarations::BySource::operator()(const BindingPointer &a, SourceName b) const
{
    return a->entity.source < b.name;
}

bool Declarations::BySource::operator()(SourceName a, const BindingPointer &b) const
{
    return a.name < b->entity.source;
}

template <typename Entity>
void Declarations::add(std::map<QString, Numbered<Entity>> &entities, Entity entity)
{
    auto &[name, numbered] = *entities.try_emplace(entity.name).first;
    if (numbered.number == 0)
        numbered.number = ++m_lastNumber;
    numbered.entity = std::move(entity);
    numbered.entity.name = name; // shares the string
}

void Declarations::add(DeclaredExchange exchange)
{
    add(m_exchanges, std::move(exchange));
}

void Declarations::add(DeclaredQueue queue)
{
    add(m_queues, std::move(queue));
}

void Declarations::add(Binding binding)
{
    quint64 number = 0;
    if (const auto same = m_byDestination.find(binding); same != m_byDestination.end()) {
        number = (*same)->number;
        erase(BindingPointer(*same));
    } else {
        number = ++m_lastNumber;
    }
    insert(std::make_shared<const Numbered<Binding>>(Numbered<Binding>{number, std::move(binding)}));
}

void Declarations::insert(BindingPointer binding)
{
    m_bySource.insert(binding);
    m_byDestination.insert(std::move(binding));
}

void Declarations::erase(const BindingPointer &binding)
{
    m_bySource.erase(binding);
    m_byDestination.erase(binding);
}

std::vector<Declarations::BindingPointer> Declarations::bindingsOf(DestinationName destination) const
{
    const auto [begin, end] = m_byDestination.equal_range(destination);
    return {begin, end};
}

QStringList Declarations::removeBindingsTo(DestinationName destination)
{
    QStringList sources;
    for (const BindingPointer &binding : bindingsOf(destination)) {
        if (sources.isEmpty() || sources.constLast() != binding->entity.source) // equal sources are adjacent
            sources += binding->entity.source;
        erase(binding);
    }
    return sources;
}

QStringList Declarations::removeExchange(const QString &name)
{
    m_exchanges.erase(name);
    const auto [begin, end] = m_bySource.equal_range(SourceName{name});
    for (const BindingPointer &binding : std::vector<BindingPointer>(begin, end))
        erase(binding);
    return removeBindingsTo({Binding::Destination::Exchange, name});
}

QStringList Declarations::removeQueue(const QString &name)
{
    m_queues.erase(name);
    return removeBindingsTo({Binding::Destination::Queue, name});
}

bool Declarations::remove(const Binding &binding)
{
    const auto at = m_byDestination.find(binding);
    if (at == m_byDestination.end())
        return false;
    erase(BindingPointer(*at));
    return true;
}

void Declarations::renameQueue(const QString &from, const QString &to)
{
    if (auto queue = m_queues.extract(from); queue && !m_queues.contains(to)) {
        queue.key() = to;
        queue.mapped().entity.name = to;
        m_queues.insert(std::move(queue));
    }
    for (const BindingPointer &old : bindingsOf({Binding::Destination::Queue, from})) {
        Numbered<Binding> renamed = *old;
        renamed.entity.destination = to;
        if (renamed.entity.keyIsQueueName)
            renamed.entity.routingKey = to;
        erase(old);
        insert(std::make_shared<const Numbered<Binding>>(std::move(renamed)));
    }
}

const DeclaredExchange *Declarations::exchange(const QString &name) const
{
    const auto at = m_exchanges.find(name);
    return at == m_exchanges.end() ? nullptr : &at->second.entity;
}

const DeclaredQueue *Declarations::queue(const QString &name) const
{
    const auto at = m_queues.find(name);
    return at == m_queues.end() ? nullptr : &at->second.entity;
}

bool Declarations::contains(const Binding &binding) const
{
    return m_byDestination.find(binding) != m_byDestination.end();
}

bool Declarations::hasBindingFrom(const QString &exchange) const
{
    return m_bySource.find(SourceName{exchange}) != m_bySource.end();
}

std::vector<DeclaredExchange> Declarations::exchanges() const
{
    return sortedValues(m_exchanges);
}

std::vector<DeclaredQueue> Declarations::queues() const
{
    return sortedValues(m_queues);
}

std::vector<Binding> Declarations::bindings(Binding::Destination kind) const
{
    std::vector<const Numbered<Binding> *> bindings;
    for (const BindingPointer &binding : m_byDestination) {
        if (binding->entity.kind == kind)
            bindings.push_back(binding.get());
    }
    return sortedEntities(std::move(bindings));
}

} // namespace AmqpQt::Engine
