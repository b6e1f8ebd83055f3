// SPDX-License-Identifier: MIT
#include "models/consumerlist_p.h"

namespace AmqpQt
{

ConsumerList::ConsumerList(QObject *model, Connect connect)
    : m_model(model)
    , m_connect(std::move(connect))
{
}

void ConsumerList::set(Consumer *consumer)
{
    if (consumer && consumers() == QList{consumer})
        return;
    for (const Entry &entry : std::as_const(m_entries))
        delete entry.context;
    m_entries.clear();
    add(consumer);
}

void ConsumerList::add(Consumer *consumer)
{
    m_entries.removeIf([](const Entry &entry) { return !entry.consumer; });
    if (!consumer || consumers().contains(consumer))
        return;
    auto *context = new QObject(m_model);
    // If the consumer lives in another thread, its queued signals arrive before this one.
    QObject::connect(consumer, &QObject::destroyed, context, &QObject::deleteLater);
    m_entries.append({consumer, context});
    m_connect(consumer, context);
}

void ConsumerList::remove(Consumer *consumer)
{
    if (!consumer)
        return;
    for (qsizetype i = m_entries.size() - 1; i >= 0; --i) {
        if (m_entries[i].consumer == consumer)
            delete m_entries.takeAt(i).context;
    }
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

ConsumerList::Connect batchesTo(std::function<void(const QList<Message> &messages)> receive)
{
    return [receive = std::move(receive)](Consumer *consumer, QObject *context) {
        QObject::connect(consumer, &Consumer::batchDelivered, context, receive);
    };
}

} // namespace AmqpQt
