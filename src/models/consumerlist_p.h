// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/consumer.h>

#include <QtCore/qlist.h>
#include <QtCore/qpointer.h>

namespace AmqpQt
{

// The consumers of a model. They may live in other threads, and may be deleted at any time.
class ConsumerList
{
public:
    explicit ConsumerList(QObject *model)
        : m_model(model)
    {
    }

    // Returns the context for the connections of the model to this consumer, or null if there is nothing to connect
    // because the consumer is null or in the list already.
    QObject *add(Consumer *consumer);
    // Ends the connections of the consumer's context, and drops its queued signals from another thread.
    void remove(Consumer *consumer);
    void clear();

    QList<Consumer *> consumers() const;
    bool isEmpty() const { return consumers().isEmpty(); }

private:
    struct Entry {
        QPointer<Consumer> consumer;
        QPointer<QObject> context; // a child of the model, so that it moves to another thread with the model
    };

    QObject *const m_model;
    QList<Entry> m_entries;
};

} // namespace AmqpQt
