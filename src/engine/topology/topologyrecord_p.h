// SPDX-License-Identifier: MIT
#pragma once

#include "engine/event_p.h"
#include "engine/topology/declarations_p.h"

#include <QtCore/qhash.h>

#include <memory>
#include <unordered_map>
#include <variant>

namespace AmqpQt::Engine
{

// A queue of a call. Its name is empty until the broker has named it in the answer to the call that declares it.
struct QueueReference {
    QString name;
    CallId declaring = 0; // of the same channel; only used while the name is empty
};

// What a call changes if the broker confirms it.
struct ExchangeDeletion {
    QString name;
};
struct QueueDeletion {
    QueueReference queue;
};
struct BindingChange {
    enum class Kind : quint8 { Bind, Unbind } kind = Kind::Bind;
    Binding binding; // its destination is empty while the queue has no name
    CallId declaring = 0;
};
struct ConsumerStart {
    QueueReference queue;
};
using TopologyChange =
    std::variant<DeclaredExchange, DeclaredQueue, ExchangeDeletion, QueueDeletion, BindingChange, ConsumerStart>;

// The exchanges, queues and bindings that the broker has confirmed on one connection, over all its channels, and that
// still exist as far as the connection can know. They are declared again after the connection was lost.
//
//   event                              leaves the record
//   deletion of a queue                the queue and its bindings
//   deletion of an exchange            the exchange, and its bindings as a source and as a destination
//   a binding leaves the record        its source, if that is auto-delete and no recorded binding has it as the source
//   end of the last consumer           the queue, if it is auto-delete
//   cancel of the last consumer by     the queue, if it is auto-delete and exclusive. Otherwise the queue may exist:
//   the broker                         RabbitMQ also cancels the consumers of a durable queue whose node has failed or
//                                      moved, and those of a user who has lost the permission to read
//
// An auto-delete queue or exchange that has never had a consumer or a binding stays. Consumers and bindings of other
// connections are unknown here.
class TopologyRecord
{
public:
    enum class EndOfConsumer : quint8 { Ended, CancelledByBroker }; // Ended: with certainty, also with its channel

    // The change takes effect when the call is finished without an error. Changes without an effect need no memory.
    void expect(CallId id, TopologyChange change);
    void finished(CallId id, const ReplyValue &value); // other calls are ignored
    bool expectsNameAsKey(CallId id) const;            // whether the call binds a queue with its name as the key
    // The consumer that this call has started.
    void consumerEnded(CallId start, EndOfConsumer how);

    // The connection was lost and is to be recovered. The consumers are gone at the broker, but will start again.
    void connectionLost();
    // A consumer that was active when the connection was lost ends without having started again.
    void consumerAbandoned(const QString &queue);
    void queueRenamed(const QString &from, const QString &to); // the broker has named a queue again

    const Declarations &confirmed() const noexcept { return m_confirmed; }

private:
    // The consumers of a queue.
    struct Consumers {
        QString queue;
        int active = 0;
        int awaited = 0; // since the connection was lost
    };

    bool isRedundant(const TopologyChange &change) const;
    void apply(CallId id, DeclaredExchange &exchange);
    void apply(CallId id, DeclaredQueue &queue);
    void apply(CallId id, ExchangeDeletion &deletion);
    void apply(CallId id, QueueDeletion &deletion);
    void apply(CallId id, BindingChange &change);
    void apply(CallId id, ConsumerStart &start);
    void nameQueue(CallId declaring, const QString &name);
    QString currentName(const QString &queue) const;
    void removeQueue(const QString &name);
    void removeUnusedExchanges(QStringList exchanges);
    void noteUnused(const Consumers &consumers);

    Declarations m_confirmed;
    std::unordered_map<CallId, TopologyChange> m_expected;
    int m_expectedDeletions = 0;               // of queues
    QMultiHash<CallId, CallId> m_awaitingName; // expected changes by the call that declares their queue
    QHash<QString, QString> m_newNames;        // of queues that were renamed while changes are expected

    // Only of auto-delete queues, and of queues that are not recorded, which may be declared later. A queue that leaves
    // the record leaves m_consumersByQueue, so that the end of its consumers has no effect on the next queue of this
    // name.
    QHash<CallId, std::shared_ptr<Consumers>> m_consumers; // by the call that has started the consumer
    QHash<QString, std::shared_ptr<Consumers>> m_consumersByQueue;
};

} // namespace AmqpQt::Engine
