// SPDX-License-Identifier: MIT
#include "client/topology/topology_p.h"

#include "wire/fieldtable_p.h"

namespace AmqpQt
{

using namespace Qt::StringLiterals;
using Engine::Binding;

/*!
    \class AmqpQt::Topology
    \inheaderfile AmqpQt/Topology
    \inmodule AmqpQt
    \since 0.1
    \brief Contains exchanges, queues and bindings, which Channel::apply() declares.

    This class is an implicitly shared value. A program describes the topology that it needs in one place, applies it,
    and learns from the TopologyReport what was created, what existed and what failed:

    \code
    AmqpQt::Topology topology;
    topology.exchange(u"logs"_s, AmqpQt::ExchangeType::Topic)
            .queue(u"errors"_s, AmqpQt::QueueOptions::quorum())
            .bind(u"errors"_s, u"logs"_s, u"#.error"_s);
    channel->apply(topology).then(this, [](const AmqpQt::Result<AmqpQt::TopologyReport> &report) {
        if (!report)
            qWarning() << report.error();
        else if (!report->isComplete())
            qWarning() << report->failures();
    });
    \endcode

    Exchanges and queues are identified by their names, and bindings by everything: whether they lead to a queue or an
    exchange, both names, the routing key and the arguments, in which values of other types are other values. Bindings
    may refer to exchanges and queues that are not part of the topology, because another program declares them, or
    because they are predeclared, such as \c{amq.topic}. Every function takes a time that grows with the logarithm of
    the number of entities.

    The functions accept any value. Channel::apply() reports invalid ones, such as a name over 255 bytes of UTF-8, in
    TopologyReport::failed.

    Connection::topology() returns the topology that a connection has declared.
*/

/*!
    Constructs an empty topology.
*/
Topology::Topology()
    : d(new TopologyPrivate)
{
}

Topology::Topology(const Topology &) noexcept = default;

Topology::Topology(Topology &&) noexcept = default;

Topology &Topology::operator=(const Topology &) noexcept = default;

Topology::~Topology() = default;

/*!
    \fn void AmqpQt::Topology::swap(Topology &other)

    Swaps this topology with \a other.
*/

Topology TopologyPrivate::make(const Engine::Declarations &declarations)
{
    Topology topology;
    topology.d->contents = declarations;
    return topology;
}

Binding TopologyPrivate::binding(Binding::Destination kind, const QString &destination, const QString &source,
                                 const QString &routingKey, const FieldTable &arguments)
{
    Binding binding{
        .kind = kind, .destination = destination, .source = source, .routingKey = routingKey, .arguments = arguments};
    if (!arguments.isEmpty()) {
        const Result<QByteArray> encoded = Wire::encodeTable(arguments, u"arguments");
        binding.encodedArguments = encoded ? *encoded : encoded.error().text().toUtf8(); // apply() reports the error
    }
    return binding;
}

/*!
    Adds the exchange \a name of the given \a type with \a options, as Channel::declareExchange() declares it, or
    replaces the exchange of this name.
*/
Topology &Topology::exchange(const QString &name, const QString &type, const ExchangeOptions &options)
{
    d->contents.add(Engine::DeclaredExchange{name, type, options});
    return *this;
}

/*!
    Adds the queue \a name with \a options, as Channel::declareQueue() declares it, or replaces the queue of this name.
    The name must not be empty; use Channel::declareTemporaryQueue() for a queue that the broker names.
*/
Topology &Topology::queue(const QString &name, const QueueOptions &options)
{
    d->contents.add(Engine::DeclaredQueue{name, options});
    return *this;
}

/*!
    Adds the binding of \a queue to \a exchange with \a routingKey and \a arguments; see Channel::bindQueue().
*/
Topology &Topology::bind(const QString &queue, const QString &exchange, const QString &routingKey,
                         const FieldTable &arguments)
{
    d->contents.add(TopologyPrivate::binding(Binding::Destination::Queue, queue, exchange, routingKey, arguments));
    return *this;
}

/*!
    Adds the binding of the exchange \a destination to the exchange \a source with \a routingKey and \a arguments; see
    Channel::bindExchange().
*/
Topology &Topology::bindExchange(const QString &destination, const QString &source, const QString &routingKey,
                                 const FieldTable &arguments)
{
    d->contents.add(
        TopologyPrivate::binding(Binding::Destination::Exchange, destination, source, routingKey, arguments));
    return *this;
}

/*!
    Removes the exchange \a name and its bindings from this value, if they are in it. As with all functions that remove,
    Channel::apply() then does not declare them; to delete an exchange at the broker, use Channel::deleteExchange().
*/
Topology &Topology::removeExchange(const QString &name)
{
    d->contents.removeExchange(name);
    return *this;
}

/*!
    Removes the queue \a name and its bindings from this value, if they are in it.
*/
Topology &Topology::removeQueue(const QString &name)
{
    d->contents.removeQueue(name);
    return *this;
}

/*!
    Removes the binding of \a queue to \a exchange with the same \a routingKey and \a arguments from this value.
*/
Topology &Topology::removeBinding(const QString &queue, const QString &exchange, const QString &routingKey,
                                  const FieldTable &arguments)
{
    d->contents.remove(TopologyPrivate::binding(Binding::Destination::Queue, queue, exchange, routingKey, arguments));
    return *this;
}

/*!
    Removes the binding of the exchange \a destination to the exchange \a source with the same \a routingKey and
    \a arguments from this value.
*/
Topology &Topology::removeExchangeBinding(const QString &destination, const QString &source, const QString &routingKey,
                                          const FieldTable &arguments)
{
    d->contents.remove(
        TopologyPrivate::binding(Binding::Destination::Exchange, destination, source, routingKey, arguments));
    return *this;
}

/*!
    Returns whether this value contains the exchange \a name.
*/
bool Topology::containsExchange(const QString &name) const
{
    return d->contents.exchange(name);
}

/*!
    Returns whether this value contains the queue \a name.
*/
bool Topology::containsQueue(const QString &name) const
{
    return d->contents.queue(name);
}

/*!
    Returns whether this value contains the binding of \a queue to \a exchange with the same \a routingKey and
    \a arguments.
*/
bool Topology::containsBinding(const QString &queue, const QString &exchange, const QString &routingKey,
                               const FieldTable &arguments) const
{
    return d->contents.contains(
        TopologyPrivate::binding(Binding::Destination::Queue, queue, exchange, routingKey, arguments));
}

/*!
    Returns whether this value contains the binding of the exchange \a destination to the exchange \a source with the
    same \a routingKey and \a arguments.
*/
bool Topology::containsExchangeBinding(const QString &destination, const QString &source, const QString &routingKey,
                                       const FieldTable &arguments) const
{
    return d->contents.contains(
        TopologyPrivate::binding(Binding::Destination::Exchange, destination, source, routingKey, arguments));
}

/*!
    Returns whether this value contains no exchange, no queue and no binding.
*/
bool Topology::isEmpty() const
{
    return d->contents.isEmpty();
}

/*!
    Returns a text for each exchange, queue, binding between exchanges and binding of a queue, in this order, and within
    each kind in the order in which they were added. TopologyReport uses the same texts.
*/
QStringList Topology::entities() const
{
    QStringList entities;
    for (const Engine::DeclaredExchange &exchange : d->contents.exchanges())
        entities += describe(exchange);
    for (const Engine::DeclaredQueue &queue : d->contents.queues())
        entities += describe(queue);
    for (const auto kind : {Binding::Destination::Exchange, Binding::Destination::Queue}) {
        for (const Binding &binding : d->contents.bindings(kind))
            entities += describe(binding);
    }
    return entities;
}

/*!
    \class AmqpQt::EntityFailure
    \inheaderfile AmqpQt/Topology
    \inmodule AmqpQt
    \since 0.1
    \brief Contains the name of an exchange, queue, binding or consumer that failed, and the error.
*/

/*!
    \variable AmqpQt::EntityFailure::entity
    \brief the kind and the name, such as \c{queue "orders"}, as in Topology::entities().
*/

/*!
    \variable AmqpQt::EntityFailure::error
    \brief the reason, in most cases the broker's.
*/

/*!
    Returns the entity and the error as text.
*/
QString EntityFailure::toString() const
{
    return entity + u": "_s + error.toString();
}

/*!
    \class AmqpQt::TopologyReport
    \inheaderfile AmqpQt/Topology
    \inmodule AmqpQt
    \since 0.1
    \brief Contains the results of Channel::apply(), one entry for each exchange, queue and binding.
*/

/*!
    \property AmqpQt::TopologyReport::created
    \brief the exchanges and queues that did not exist before.
*/

/*!
    \property AmqpQt::TopologyReport::existed
    \brief the exchanges and queues that existed with the same options.
*/

/*!
    \property AmqpQt::TopologyReport::bound
    \brief the bindings that exist now. The broker does not report whether a binding existed before.
*/

/*!
    \property AmqpQt::TopologyReport::complete
    \brief whether everything exists as requested, that is, whether \l differs and \l failed are empty.
*/

/*!
    \property AmqpQt::TopologyReport::failures
    \brief the entries of \l differs and \l failed as text.
*/

/*!
    \variable AmqpQt::TopologyReport::differs
    \brief the exchanges and queues that exist with other options (406). They are left as they are.
*/

/*!
    \variable AmqpQt::TopologyReport::failed
    \brief everything else that does not exist as requested. A binding of an exchange or a queue that could not be
    declared is here with the same error.
*/

QStringList TopologyReport::failures() const
{
    QStringList failures;
    for (const QList<EntityFailure> &list : {differs, failed}) {
        for (const EntityFailure &failure : list)
            failures += failure.toString();
    }
    return failures;
}

} // namespace AmqpQt
