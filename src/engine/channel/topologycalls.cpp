// SPDX-License-Identifier: MIT
#include "engine/channel/topologycalls_p.h"

#include "engine/arguments/arguments_p.h"

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

Result<QString> TopologyCalls::resolveQueue(const QString &name) const
{
    if (!name.isEmpty() || m_lastDeclare == 0)
        return !name.isEmpty() ? Result<QString>(name)
                               : Error(ErrorKind::InvalidArgument,
                                       u"queue: the name is empty, and no queue has been declared on channel %1"_s.arg(
                                           m_channel.number()));
    return m_lastQueue; // empty until the broker's answer names it; for the broker, empty means the last declared queue
}

// The reason for which RabbitMQ would close the channel on this declaration; empty if it would not.
static QString problemOfQueue(const QString &name, const QueueOptions &options)
{
    if (name.startsWith("amq."_L1) && !name.startsWith("amq.rabbitmq.reply-to"_L1))
        return u"queue: \"%1\" cannot be declared because the prefix amq. is reserved for the broker"_s.arg(name);
    const FieldTable &table = options.arguments;
    if (table.contains(u"x-dead-letter-routing-key"_s) && !table.contains(u"x-dead-letter-exchange"_s))
        return u"arguments: \"x-dead-letter-routing-key\" needs \"x-dead-letter-exchange\""_s;
    const QString type = table.value(u"x-queue-type"_s).toString();
    const bool isLasting = type == "quorum"_L1 || type == "stream"_L1;
    if (isLasting && (name.isEmpty() || !options.durable || options.exclusive || options.autoDelete))
        return u"options: a queue of type %1 must have a name and be durable, and cannot be exclusive or auto-delete"_s
            .arg(type);
    return {};
}

static Error defaultExchange(QLatin1StringView argument, QLatin1StringView fact)
{
    return Error(ErrorKind::InvalidArgument, u"%1: the name is empty; the default exchange %2"_s.arg(argument, fact));
}

template <typename Change>
Result<CallId> TopologyCalls::recorded(const Result<CallId> &call, Change change)
{
    if (call && m_channel.isRecorded())
        m_channel.host().topologyRecord().expect(*call, std::move(change));
    return call;
}

Result<CallId> TopologyCalls::declareQueue(const QString &name, const QueueOptions &options, bool passive)
{
    if (!m_channel.acceptsCalls())
        return m_channel.notOpen(Wire::QueueDeclare::name);
    Arguments arguments;
    const QByteArray queue = arguments.shortString("queue", name);
    const QByteArray table = arguments.table("arguments", options.arguments, queueArguments());
    if (arguments.areInvalid())
        return arguments.error();
    if (const QString problem = passive ? QString() : problemOfQueue(name, options); !problem.isEmpty())
        return Error(ErrorKind::InvalidArgument, problem);
    const Result<CallId> declaring = m_channel.call(Wire::QueueDeclare{.queue = queue,
                                                                       .passive = passive,
                                                                       .durable = options.durable,
                                                                       .exclusive = options.exclusive,
                                                                       .autoDelete = options.autoDelete,
                                                                       .arguments = {table}});
    if (declaring) {
        m_lastQueue = name;
        m_lastDeclare = *declaring;
    }
    return passive ? declaring : recorded(declaring, DeclaredQueue{name, options});
}

Result<CallId> TopologyCalls::deleteQueue(const QString &name, bool ifUnused, bool ifEmpty)
{
    if (!m_channel.acceptsCalls())
        return m_channel.notOpen(Wire::QueueDelete::name);
    const Result<QString> resolved = resolveQueue(name);
    if (!resolved)
        return resolved.error();
    Arguments arguments;
    const QByteArray queue = arguments.shortString("queue", *resolved);
    if (arguments.areInvalid())
        return arguments.error();
    return recorded(m_channel.call(Wire::QueueDelete{.queue = queue, .ifUnused = ifUnused, .ifEmpty = ifEmpty}),
                    QueueDeletion{reference(*resolved)});
}

Result<CallId> TopologyCalls::purgeQueue(const QString &name)
{
    if (!m_channel.acceptsCalls())
        return m_channel.notOpen(Wire::QueuePurge::name);
    const Result<QString> resolved = resolveQueue(name);
    if (!resolved)
        return resolved.error();
    Arguments arguments;
    const QByteArray queue = arguments.shortString("queue", *resolved);
    if (arguments.areInvalid())
        return arguments.error();
    return m_channel.call(Wire::QueuePurge{.queue = queue});
}

Result<CallId> TopologyCalls::bindQueue(const QString &queue, const QString &exchange, const QString &routingKey,
                                        const FieldTable &table)
{
    return bindOrUnbind<Wire::QueueBind>(queue, exchange, routingKey, table);
}

Result<CallId> TopologyCalls::unbindQueue(const QString &queue, const QString &exchange, const QString &routingKey,
                                          const FieldTable &table)
{
    return bindOrUnbind<Wire::QueueUnbind>(queue, exchange, routingKey, table);
}

Result<CallId> TopologyCalls::bindExchange(const QString &destination, const QString &source, const QString &routingKey,
                                           const FieldTable &table)
{
    return bindOrUnbindExchange<Wire::ExchangeBind>(destination, source, routingKey, table);
}

Result<CallId> TopologyCalls::unbindExchange(const QString &destination, const QString &source,
                                             const QString &routingKey, const FieldTable &table)
{
    return bindOrUnbindExchange<Wire::ExchangeUnbind>(destination, source, routingKey, table);
}

template <typename Method>
static constexpr BindingChange::Kind changeOf()
{
    constexpr bool Unbinds = std::is_same_v<Method, Wire::QueueUnbind> || std::is_same_v<Method, Wire::ExchangeUnbind>;
    return Unbinds ? BindingChange::Kind::Unbind : BindingChange::Kind::Bind;
}

template <typename Method>
Result<CallId> TopologyCalls::bindOrUnbindExchange(const QString &destination, const QString &source,
                                                   const QString &routingKey, const FieldTable &table)
{
    if (!m_channel.acceptsCalls())
        return m_channel.notOpen(Method::name);
    Arguments arguments;
    const QByteArray destinationName = arguments.shortString("destination", destination);
    const QByteArray sourceName = arguments.shortString("source", source);
    if (destination.isEmpty() || source.isEmpty())
        return defaultExchange(destination.isEmpty() ? "destination"_L1 : "source"_L1,
                               "cannot be bound to another exchange"_L1);
    const QByteArray key = arguments.shortString("routingKey", routingKey);
    const QByteArray bindingArguments = arguments.table("arguments", table);
    if (arguments.areInvalid())
        return arguments.error();
    return recorded(
        m_channel.call(Method{
            .destination = destinationName, .source = sourceName, .routingKey = key, .arguments = {bindingArguments}}),
        BindingChange{changeOf<Method>(),
                      {.kind = Binding::Destination::Exchange,
                       .destination = destination,
                       .source = source,
                       .routingKey = routingKey,
                       .arguments = table,
                       .encodedArguments = bindingArguments}});
}

template <typename Method>
Result<CallId> TopologyCalls::bindOrUnbind(const QString &queue, const QString &exchange, const QString &routingKey,
                                           const FieldTable &table)
{
    if (!m_channel.acceptsCalls())
        return m_channel.notOpen(Method::name);
    const Result<QString> resolved = resolveQueue(queue);
    if (!resolved)
        return resolved.error();
    // By the specification, if the queue and the key are both empty, the name of the last declared queue is the key.
    const bool keyIsName = queue.isEmpty() && routingKey.isEmpty();
    Arguments arguments;
    const QByteArray queueName = arguments.shortString("queue", *resolved);
    const QByteArray exchangeName = arguments.shortString("exchange", exchange);
    if (exchange.isEmpty())
        return defaultExchange("exchange"_L1, "routes to each queue by its name and accepts no other bindings"_L1);
    const QByteArray key = arguments.shortString("routingKey", keyIsName ? *resolved : routingKey);
    const QByteArray bindingArguments = arguments.table("arguments", table);
    if (arguments.areInvalid())
        return arguments.error();
    return recorded(
        m_channel.call(
            Method{.queue = queueName, .exchange = exchangeName, .routingKey = key, .arguments = {bindingArguments}}),
        BindingChange{changeOf<Method>(),
                      {.destination = *resolved,
                       .source = exchange,
                       .routingKey = keyIsName ? *resolved : routingKey,
                       .arguments = table,
                       .encodedArguments = bindingArguments,
                       .keyIsQueueName = keyIsName},
                      m_lastDeclare});
}

Result<CallId> TopologyCalls::declareExchange(const QString &name, const QString &type, const ExchangeOptions &options,
                                              bool passive)
{
    if (!m_channel.acceptsCalls())
        return m_channel.notOpen(Wire::ExchangeDeclare::name);
    Arguments arguments;
    const QByteArray exchange = arguments.shortString("exchange", name);
    const QByteArray typeName = arguments.shortString("type", type);
    const QByteArray table = arguments.table("arguments", options.arguments, exchangeArguments());
    if (arguments.areInvalid())
        return arguments.error();
    if (name.isEmpty())
        return defaultExchange("exchange"_L1, "cannot be declared"_L1);
    if (type.isEmpty() && !passive)
        return Error(ErrorKind::InvalidArgument,
                     u"type: the type is empty; an exchange needs a type, such as direct or topic"_s);
    const Result<CallId> declaring = m_channel.call(Wire::ExchangeDeclare{.exchange = exchange,
                                                                          .type = typeName,
                                                                          .passive = passive,
                                                                          .durable = options.durable,
                                                                          .autoDelete = options.autoDelete,
                                                                          .internal = options.internal,
                                                                          .arguments = {table}});
    return passive ? declaring : recorded(declaring, DeclaredExchange{name, type, options});
}

Result<CallId> TopologyCalls::deleteExchange(const QString &name, bool ifUnused)
{
    if (!m_channel.acceptsCalls())
        return m_channel.notOpen(Wire::ExchangeDelete::name);
    Arguments arguments;
    const QByteArray exchange = arguments.shortString("exchange", name);
    if (arguments.areInvalid())
        return arguments.error();
    if (name.isEmpty())
        return defaultExchange("exchange"_L1, "cannot be deleted"_L1);
    if (name.startsWith("amq."_L1))
        return Error(
            ErrorKind::InvalidArgument,
            u"exchange: \"%1\" cannot be deleted because the prefix amq. is reserved for the broker"_s.arg(name));
    return recorded(m_channel.call(Wire::ExchangeDelete{.exchange = exchange, .ifUnused = ifUnused}),
                    ExchangeDeletion{name});
}

void TopologyCalls::on(const Wire::QueueDeclareOk &method)
{
    const auto call = m_channel.callQueue().take<Wire::QueueDeclareOk>();
    if (!call)
        return;
    QueueInfo info;
    info.name = Wire::decodeText(method.queue);
    info.messageCount = method.messageCount;
    info.consumerCount = method.consumerCount;
    const bool isLast = call->id == m_lastDeclare;
    if (isLast && m_lastQueue != info.name) // otherwise it keeps sharing the application's string
        m_lastQueue = info.name;
    m_declaredQueue = isLast ? m_lastQueue : info.name;
    if (call->queue().isEmpty()) { // the answers to pipelined calls that start consumers may follow in another order
        for (const auto &consumer : m_channel.consumers().entries()) {
            if (consumer->queueDeclare == call->id)
                consumer->queueNamed(method.queue);
        }
        m_channel.callQueue().nameQueueOfWaitingConsumes(call->id, method.queue);
    }
    m_channel.finish(call->id, info);
}

void TopologyCalls::renameQueues(const QHash<QString, QString> &newNames)
{
    m_lastQueue = newNames.value(m_lastQueue, m_lastQueue);
    m_declaredQueue = newNames.value(m_declaredQueue, m_declaredQueue);
}

void TopologyCalls::clear()
{
    m_lastDeclare = 0;
    m_lastQueue.clear();
    m_declaredQueue.clear();
}

} // namespace AmqpQt::Engine
