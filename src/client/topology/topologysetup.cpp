// SPDX-License-Identifier: MIT
#include "client/topology/topologysetup_p.h"

#include "client/channel/helperchannel_p.h"
#include "client/connection/connection_p.h"
#include "client/topology/entitycalls_p.h"
#include "client/topology/topology_p.h"

#include <QtCore/qrandom.h>
#include <QtCore/qtimer.h>

#include <utility>

namespace AmqpQt
{

using namespace Qt::StringLiterals;
using Engine::Binding;
using Engine::DeclaredExchange;
using Engine::DeclaredQueue;

namespace
{

Reply<void> inspectEntity(Channel *channel, const DeclaredExchange &exchange)
{
    return channel->inspectExchange(exchange.name);
}

Reply<QueueInfo> inspectEntity(Channel *channel, const DeclaredQueue &queue)
{
    return channel->inspectQueue(queue.name);
}

// Whether the error concerns one call only, and not the connection.
bool concernsOneCall(const Error &error)
{
    return error.kind() == ErrorKind::ChannelClosed || error.kind() == ErrorKind::Timeout ||
           error.kind() == ErrorKind::InvalidArgument;
}

// On the helper channel, an empty name would stand for a queue of somebody else.
Error nameIsMissing()
{
    return Error(ErrorKind::InvalidArgument, u"queue: the name is empty; a queue of a topology needs a name"_s);
}

} // namespace

Reply<TopologyReport> TopologySetup::start(Channel *channel, const Topology &topology)
{
    auto *setup = new TopologySetup(channel, *ConnectionPrivate::of(channel->connection()), topology);
    const Reply<TopologyReport> reply = setup->m_promise->reply();
    setup->begin();
    return reply;
}

TopologySetup::TopologySetup(Channel *channel, ConnectionPrivate &connection, const Topology &topology)
    : QObject(channel)
    , m_helper(connection.helperChannel())
    , m_policy(connection.activeParameters().recoveryPolicy())
    , m_topology(TopologyPrivate::declarations(topology))
{
    m_backoff.setLimits({m_policy.initialDelay, m_policy.maximumDelay, m_policy.factor});
    connect(channel, &Channel::closed, this, [this](const Error &reason) {
        finish(reason.isError() ? reason : Error(ErrorKind::Cancelled, u"the channel was closed"_s));
    });
}

TopologySetup::~TopologySetup()
{
    if (m_promise)
        m_promise->finish(Error(ErrorKind::Cancelled, u"the channel was deleted"_s),
                          Promise<TopologyReport>::Delivery::Posted);
}

void TopologySetup::begin()
{
    ++m_unfinished; // until all calls have been made
    for (const DeclaredExchange &exchange : m_topology.exchanges())
        inspect(exchange);
    for (const DeclaredQueue &queue : m_topology.queues()) {
        if (!queue.name.isEmpty()) {
            inspect(queue);
            continue;
        }
        m_report.failed.append({describe(queue), nameIsMissing()});
    }
    QTimer::singleShot(0, this, [this] { noteDone(); }); // a reply finishes after apply() has returned it
}

template <typename Entity>
void TopologySetup::inspect(const Entity &entity)
{
    ++m_unfinished;
    m_helper.call<ReplyType<Entity>>(
        this, [entity](Channel *channel) { return inspectEntity(channel, entity); },
        [this, entity](const auto &result) {
            const Error &error = result.error();
            if (error.isError() && !concernsOneCall(error))
                return finish(error);
            declare(entity, !isRefusedWith(error, Wire::ReplyCode::NotFound));
        });
}

template <typename Entity>
void TopologySetup::declare(const Entity &entity, bool existed)
{
    m_helper.call<ReplyType<Entity>>(
        this, [entity](Channel *channel) { return declareEntity(channel, entity); },
        [this, entity, existed](const auto &result) { noteDeclared(entity, result.error(), existed); });
}

template <typename Entity>
void TopologySetup::noteDeclared(const Entity &entity, const Error &error, bool existed)
{
    const QString name = describe(entity);
    if (!error.isError()) {
        (existed ? m_report.existed : m_report.created).append(name);
        return noteDone();
    }
    const bool differs = existed && isRefusedWith(error, Wire::ReplyCode::PreconditionFailed);
    if (!concernsOneCall(error) || (differs && m_policy.onMismatch == RecoveryPolicy::Mismatch::Fail))
        return finish(error);
    (differs ? m_report.differs : m_report.failed).append({name, error});
    if (!differs || m_policy.onMismatch != RecoveryPolicy::Mismatch::UseExisting)
        (std::is_same_v<Entity, DeclaredQueue> ? m_failedQueues : m_failedExchanges).insert(entity.name, error);
    noteDone();
}

void TopologySetup::noteDone()
{
    if (--m_unfinished > 0)
        return;
    if (!std::exchange(m_areBindingsStarted, true))
        return startBindings();
    if (m_missing.empty())
        return finish(std::move(m_report));
    QTimer::singleShot(m_backoff.nextDelay(QRandomGenerator::global()->generateDouble()), this, [this] {
        const std::vector<Binding> missing = std::exchange(m_missing, {});
        m_unfinished = qsizetype(missing.size());
        for (const Binding &binding : missing)
            bind(binding);
    });
}

void TopologySetup::startBindings()
{
    ++m_unfinished; // until all calls have been made
    for (const auto kind : {Binding::Destination::Exchange, Binding::Destination::Queue}) {
        for (const Binding &binding : m_topology.bindings(kind)) {
            if (kind == Binding::Destination::Queue && binding.destination.isEmpty()) {
                m_report.failed.append({describe(binding), nameIsMissing()});
            } else if (const Error *cause = failureOf(binding)) {
                m_report.failed.append({describe(binding), *cause});
            } else {
                ++m_unfinished;
                bind(binding);
            }
        }
    }
    noteDone();
}

const Error *TopologySetup::failureOf(const Binding &binding) const
{
    const auto &destinations = binding.kind == Binding::Destination::Queue ? m_failedQueues : m_failedExchanges;
    if (const auto at = destinations.constFind(binding.destination); at != destinations.cend())
        return &*at;
    const auto at = m_failedExchanges.constFind(binding.source);
    return at != m_failedExchanges.cend() ? &*at : nullptr;
}

void TopologySetup::bind(const Binding &binding)
{
    m_helper.call<void>(
        this, [binding](Channel *channel) { return declareEntity(channel, binding); },
        [this, binding](const Result<void> &result) { noteBound(binding, result.error()); });
}

void TopologySetup::noteBound(const Binding &binding, const Error &error)
{
    const bool isMissing = isRefusedWith(error, Wire::ReplyCode::NotFound);
    if (!error.isError())
        m_report.bound.append(describe(binding));
    else if (!concernsOneCall(error) || (isMissing && m_policy.onMissing == RecoveryPolicy::Missing::Fail))
        return finish(error);
    else if (isMissing && m_policy.onMissing == RecoveryPolicy::Missing::Wait)
        m_missing.push_back(binding);
    else
        m_report.failed.append({describe(binding), error});
    noteDone();
}

// The application may delete everything when the reply finishes.
void TopologySetup::finish(Result<TopologyReport> result)
{
    const Promise<TopologyReport> promise = *std::exchange(m_promise, std::nullopt);
    delete this;
    promise.finish(std::move(result));
}

} // namespace AmqpQt
