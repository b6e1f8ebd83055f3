// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/consumer.h>

#include <QtCore/qlist.h>
#include <QtCore/qpointer.h>

#include <functional>

namespace AmqpQt
{

// The consumers of a model. They may live in other threads, and may be deleted at any time.
class ConsumerList
{
public:
    // Connects the model to a consumer that was added. The connections must have this context.
    using Connect = std::function<void(Consumer *consumer, QObject *context)>;

    ConsumerList(QObject *model, Connect connect);

    void set(Consumer *consumer); // replaces all consumers; null removes them
    // Does nothing if the consumer is null or in the list already.
    void add(Consumer *consumer);
    // Ends the connections of the consumer's context, and drops its queued signals from another thread.
    void remove(Consumer *consumer);

    QList<Consumer *> consumers() const;
    bool isEmpty() const { return consumers().isEmpty(); }

private:
    struct Entry {
        QPointer<Consumer> consumer;
        QPointer<QObject> context; // a child of the model, so that it moves to another thread with the model
    };

    QObject *const m_model;
    const Connect m_connect;
    QList<Entry> m_entries;
};

// Returns a function that connects Consumer::batchDelivered() to `receive`.
ConsumerList::Connect batchesTo(std::function<void(const QList<Message> &messages)> receive);

} // namespace AmqpQt
