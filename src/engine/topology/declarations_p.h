// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/fieldtable.h>
#include <AmqpQt/options.h>

#include <QtCore/qbytearray.h>
#include <QtCore/qstringlist.h>

#include <map>
#include <memory>
#include <set>
#include <vector>

namespace AmqpQt::Engine
{

struct DeclaredExchange {
    QString name;
    QString type;
    ExchangeOptions options;
};

struct DeclaredQueue {
    QString name;
    QueueOptions options;
    bool isNamedByBroker = false; // a declaration of it has an empty name
};

// As RabbitMQ does, identifies a binding by everything except keyIsQueueName.
struct Binding {
    enum class Destination : quint8 { Queue, Exchange };

    Destination kind = Destination::Queue;
    QString destination;
    QString source;
    QString routingKey;
    FieldTable arguments;
    QByteArray encodedArguments; // identifies the arguments, since equal variants may have different types on the wire
    bool keyIsQueueName = false; // the broker or the library used the queue's name as the key
};

// Describe an entity to a person: "queue "orders"".
QString describe(const DeclaredExchange &exchange);
QString describe(const DeclaredQueue &queue);
QString describe(const Binding &binding);

// Exchanges, queues and bindings by their identity, in the order in which they were added. All functions take O(log n)
// for each entity that they return or change. The names in bindings need not be those of exchanges and queues here.
class Declarations
{
public:
    // Replace an entity with the same identity, which keeps its place.
    void add(DeclaredExchange exchange);
    void add(DeclaredQueue queue);
    void add(Binding binding);

    // Remove an entity, and with an exchange or a queue all its bindings. Return the sources of the bindings to it.
    QStringList removeExchange(const QString &name);
    QStringList removeQueue(const QString &name);
    bool remove(const Binding &binding); // returns false if it is not here
    void renameQueue(const QString &from, const QString &to);

    const DeclaredExchange *exchange(const QString &name) const; // null if it is not here
    const DeclaredQueue *queue(const QString &name) const;
    bool contains(const Binding &binding) const;
    bool hasBindingFrom(const QString &exchange) const;
    bool isEmpty() const noexcept { return m_exchanges.empty() && m_queues.empty() && m_byDestination.empty(); }

    std::vector<DeclaredExchange> exchanges() const;
    std::vector<DeclaredQueue> queues() const;
    std::vector<Binding> bindings(Binding::Destination kind) const;

private:
    template <typename Entity>
    struct Numbered {
        quint64 number = 0; // in the order in which they were added
        Entity entity;
    };
    using BindingPointer = std::shared_ptr<const Numbered<Binding>>; // shared by copies
    struct DestinationName {
        Binding::Destination kind;
        const QString &name;
    };
    struct SourceName {
        const QString &name;
    };
    struct ByDestination {
        using is_transparent = void;
        bool operator()(const BindingPointer &a, const BindingPointer &b) const;
        bool operator()(const BindingPointer &a, const Binding &b) const;
        bool operator()(const Binding &a, const BindingPointer &b) const;
        bool operator()(const BindingPointer &a, DestinationName b) const;
        bool operator()(DestinationName a, const BindingPointer &b) const;
    };
    struct BySource {
        using is_transparent = void;
        bool operator()(const BindingPointer &a, const BindingPointer &b) const;
        bool operator()(const BindingPointer &a, SourceName b) const;
        bool operator()(SourceName a, const BindingPointer &b) const;
    };

    template <typename Entity>
    void add(std::map<QString, Numbered<Entity>> &entities, Entity entity);
    void insert(BindingPointer binding);
    void erase(const BindingPointer &binding);
    std::vector<BindingPointer> bindingsOf(DestinationName destination) const;
    QStringList removeBindingsTo(DestinationName destination);

    quint64 m_lastNumber = 0;
    std::map<QString, Numbered<DeclaredExchange>> m_exchanges;
    std::map<QString, Numbered<DeclaredQueue>> m_queues;
    std::set<BindingPointer, ByDestination> m_byDestination;
    std::set<BindingPointer, BySource> m_bySource; // the same bindings
};

} // namespace AmqpQt::Engine
