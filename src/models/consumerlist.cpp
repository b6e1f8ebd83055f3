// SPDX-License-Identifier: MIT
#include "models/consumerlist_p.h"

namespace AmqpQt
{

QObject *ConsumerList::add(Consumer *consumer)
{
    m_entries.removeIf([](const Entry &entry) { return !entry.consumer; });
    if (!consumer || consumers().contains(consumer))
        return nullptr;
    auto *context = new QObject(m_model);
    // If the consumer lives in another thread, its queued signals arrive before this one.
    QObject::connect(consumer, &QObject::destroyed, context, &QObject::deleteLater);
    m_entries.append({consumer, context});
    return context;
}

void ConsumerList::remove(Consumer *consumer)
{
    if (!consumer)
        return;
    m_entries.removeIf([consumer](const Entry &entry) {
        const bool isRemoved = entry.consumer == consumer;
        if (isRemoved)
            delete entry.context;
        return isRemoved;
    });
}

void ConsumerList::clear()
{
    for (const Entry &entry : std::as_const(m_entries))
        delete entry.context;
    m_entries.clear();
}

QList<Consumer *> ConsumerList::consumers() const
{
    QList<Consumer *> consumers;
    for (const Entry &entry : m_entries) {
        if (entry.consumer)
            consumers.append(entry.consumer);
    }
    return consumers;
}

} // namespace AmqpQt
