// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/error.h>
#include <AmqpQt/options.h>

#include <QtCore/qlist.h>
#include <QtCore/qshareddata.h>
#include <QtCore/qstringlist.h>

namespace AmqpQt
{

class TopologyPrivate;

// Exchanges, queues and bindings as a value, which Channel::apply() declares.
class AMQPQT_EXPORT Topology
{
public:
    Topology();
    Topology(const Topology &) noexcept;
    Topology(Topology &&) noexcept;
    Topology &operator=(const Topology &) noexcept;
    QT_MOVE_ASSIGNMENT_OPERATOR_IMPL_VIA_PURE_SWAP(Topology)
    ~Topology();
    void swap(Topology &other) noexcept { d.swap(other.d); }

    // Each replaces what has the same name, or for a binding the same arguments.
    Topology &exchange(const QString &name, const QString &type, const ExchangeOptions &options = {});
    Topology &queue(const QString &name, const QueueOptions &options = {});
    Topology &bind(const QString &queue, const QString &exchange, const QString &routingKey = {},
                   const FieldTable &arguments = {});
    Topology &bindExchange(const QString &destination, const QString &source, const QString &routingKey = {},
                           const FieldTable &arguments = {});

    Topology &removeExchange(const QString &name); // with its bindings
    Topology &removeQueue(const QString &name);    // with its bindings
    Topology &removeBinding(const QString &queue, const QString &exchange, const QString &routingKey = {},
                            const FieldTable &arguments = {});
    Topology &removeExchangeBinding(const QString &destination, const QString &source, const QString &routingKey = {},
                                    const FieldTable &arguments = {});

    bool containsExchange(const QString &name) const;
    bool containsQueue(const QString &name) const;
    bool containsBinding(const QString &queue, const QString &exchange, const QString &routingKey = {},
                         const FieldTable &arguments = {}) const;
    bool containsExchangeBinding(const QString &destination, const QString &source, const QString &routingKey = {},
                                 const FieldTable &arguments = {}) const;
    bool isEmpty() const;
    QStringList entities() const; // as text: "exchange "logs"", "queue "orders"", ...

private:
    friend class TopologyPrivate;
    QSharedDataPointer<TopologyPrivate> d;
};

// Something that could not be declared, and why.
struct AMQPQT_EXPORT EntityFailure {
    QString entity; // as text, as in Topology::entities()
    Error error;

    QString toString() const; // both
};

class AMQPQT_EXPORT TopologyReport // of Channel::apply()
{
    Q_GADGET
    Q_PROPERTY(QStringList created MEMBER created CONSTANT)
    Q_PROPERTY(QStringList existed MEMBER existed CONSTANT)
    Q_PROPERTY(QStringList bound MEMBER bound CONSTANT)
    Q_PROPERTY(bool complete READ isComplete CONSTANT)
    Q_PROPERTY(QStringList failures READ failures CONSTANT)
public:
    QStringList created; // exchanges and queues
    QStringList existed; // exchanges and queues
    QStringList bound;   // bindings, which may have existed
    QList<EntityFailure> differs;
    QList<EntityFailure> failed;

    bool isComplete() const { return differs.isEmpty() && failed.isEmpty(); }
    QStringList failures() const; // those that differ and those that failed, as text
};

} // namespace AmqpQt

Q_DECLARE_SHARED(AmqpQt::Topology)
