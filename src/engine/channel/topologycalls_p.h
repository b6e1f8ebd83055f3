// SPDX-License-Identifier: MIT
#pragma once

#include "engine/channel/channelcontext_p.h"

#include <AmqpQt/fieldtable.h>
#include <AmqpQt/options.h>

#include <QtCore/qhash.h>
#include <QtCore/qstring.h>

namespace AmqpQt::Engine
{

// The calls of a channel that declare, bind and delete queues and exchanges. Each returns the id of its reply, or an
// error for a call that is not made. An empty name of a queue stands for the one that the channel declared last.
class TopologyCalls
{
public:
    explicit TopologyCalls(ChannelContext &channel) noexcept
        : m_channel(channel)
    {
    }

    Result<CallId> declareQueue(const QString &name, const QueueOptions &options, bool passive);
    Result<CallId> deleteQueue(const QString &name, bool ifUnused, bool ifEmpty);
    Result<CallId> purgeQueue(const QString &name);
    Result<CallId> bindQueue(const QString &queue, const QString &exchange, const QString &routingKey,
                             const FieldTable &arguments);
    Result<CallId> unbindQueue(const QString &queue, const QString &exchange, const QString &routingKey,
                               const FieldTable &arguments);
    Result<CallId> declareExchange(const QString &name, const QString &type, const ExchangeOptions &options,
                                   bool passive);
    Result<CallId> deleteExchange(const QString &name, bool ifUnused);
    Result<CallId> bindExchange(const QString &destination, const QString &source, const QString &routingKey,
                                const FieldTable &arguments);
    Result<CallId> unbindExchange(const QString &destination, const QString &source, const QString &routingKey,
                                  const FieldTable &arguments);

    QString lastQueue() const { return m_lastQueue; } // empty until the broker has named it
    // The queue of the last declaration that the broker has answered.
    QString declaredQueue() const { return m_declaredQueue; }
    Result<QString> resolveQueue(const QString &name) const;
    QueueReference reference(const QString &resolved) const { return {resolved, m_lastDeclare}; }
    void on(const Wire::QueueDeclareOk &);
    void renameQueues(const QHash<QString, QString> &newNames); // the broker has named queues again
    void clear();                                               // the channel has ended

private:
    // Announces the change of a call to the connection's record of the topology.
    template <typename Change>
    Result<CallId> recorded(const Result<CallId> &call, Change change);
    template <typename Method>
    Result<CallId> bindOrUnbind(const QString &queue, const QString &exchange, const QString &routingKey,
                                const FieldTable &table);
    template <typename Method>
    Result<CallId> bindOrUnbindExchange(const QString &destination, const QString &source, const QString &routingKey,
                                        const FieldTable &table);

    ChannelContext &m_channel;
    CallId m_lastDeclare = 0;
    QString m_lastQueue;
    QString m_declaredQueue;
};

} // namespace AmqpQt::Engine
