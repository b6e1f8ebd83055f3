// SPDX-License-Identifier: MIT
#pragma once

#include "engine/topology/topologyrecord_p.h"
#include "wire/fieldtable_p.h"

#include <QtCore/qstringlist.h>

// Calls for a TopologyRecord, which the broker confirms at once unless a test does it itself.
struct TopologyStory {
    using TopologyRecord = AmqpQt::Engine::TopologyRecord;
    using Binding = AmqpQt::Engine::Binding;
    using BindingChange = AmqpQt::Engine::BindingChange;
    using CallId = AmqpQt::Engine::CallId;
    using EndOfConsumer = TopologyRecord::EndOfConsumer;

    CallId expect(AmqpQt::Engine::TopologyChange change)
    {
        record.expect(++lastCall, std::move(change));
        return lastCall;
    }
    void confirm(CallId id, const AmqpQt::Engine::ReplyValue &value = {}) { record.finished(id, value); }
    void fail(CallId id)
    {
        record.finished(id, AmqpQt::Error(AmqpQt::ErrorKind::ChannelClosed, QStringLiteral("refused"), 406));
    }

    void exchange(const QString &name, bool autoDelete = false)
    {
        confirm(expect(AmqpQt::Engine::DeclaredExchange{name, QStringLiteral("topic"), {.autoDelete = autoDelete}}));
    }
    void queue(const QString &name, const AmqpQt::QueueOptions &options = {})
    {
        confirm(expect(AmqpQt::Engine::DeclaredQueue{name, options}), infoOf(name));
    }
    void queueNamedByBroker(const QString &name, const AmqpQt::QueueOptions &options = {.exclusive = true})
    {
        confirm(expect(AmqpQt::Engine::DeclaredQueue{{}, options}), infoOf(name));
    }
    void deleteQueue(const QString &name) { confirm(expect(AmqpQt::Engine::QueueDeletion{{name}}), 0U); }
    void deleteExchange(const QString &name) { confirm(expect(AmqpQt::Engine::ExchangeDeletion{name})); }
    void bind(const Binding &binding) { confirm(expect(BindingChange{BindingChange::Kind::Bind, binding})); }
    void unbind(const Binding &binding) { confirm(expect(BindingChange{BindingChange::Kind::Unbind, binding})); }
    CallId consume(const QString &queue)
    {
        const CallId start = expect(AmqpQt::Engine::ConsumerStart{{queue}});
        confirm(start);
        return start;
    }

    static AmqpQt::QueueInfo infoOf(const QString &name)
    {
        AmqpQt::QueueInfo info;
        info.name = name;
        return info;
    }
    static Binding queueBinding(const QString &queue, const QString &exchange, const QString &key = {},
                                const AmqpQt::FieldTable &arguments = {})
    {
        return {.destination = queue,
                .source = exchange,
                .routingKey = key,
                .arguments = arguments,
                .encodedArguments = AmqpQt::Wire::encodeTable(arguments, {}).value()};
    }
    static Binding exchangeBinding(const QString &destination, const QString &source, const QString &key = {})
    {
        return {
            .kind = Binding::Destination::Exchange, .destination = destination, .source = source, .routingKey = key};
    }

    // "x", "q", "q<x key" and "y<x key", sorted as they are declared again.
    QStringList contents() const
    {
        QStringList contents;
        const AmqpQt::Engine::Declarations &confirmed = record.confirmed();
        for (const auto &exchange : confirmed.exchanges())
            contents += exchange.name;
        for (const auto &queue : confirmed.queues())
            contents += queue.name;
        for (const auto kind : {Binding::Destination::Exchange, Binding::Destination::Queue}) {
            for (const Binding &binding : confirmed.bindings(kind)) {
                const QString key = binding.routingKey.isEmpty() ? QString() : u' ' + binding.routingKey;
                contents += binding.destination + u'<' + binding.source + key;
            }
        }
        return contents;
    }

    TopologyRecord record;
    CallId lastCall = 0;
};
