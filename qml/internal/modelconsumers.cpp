// SPDX-License-Identifier: MIT
#include "modelconsumers.h"

#include <algorithm>

namespace AmqpQt
{

void ModelConsumers::removeDeleted()
{
    std::erase_if(m_entries, [](const Entry &entry) { return !entry.consumer; });
}

QmlConsumer *ModelConsumers::firstConsumer()
{
    removeDeleted();
    return m_entries.empty() ? nullptr : m_entries.front().consumer.data();
}

void ModelConsumers::setSingleConsumer(QmlConsumer *consumer)
{
    if (firstConsumer() != consumer || m_entries.size() > 1)
        replaceBy(consumer);
}

void ModelConsumers::insert(QmlConsumer *consumer)
{
    const auto isSame = [consumer](const Entry &entry) { return entry.consumer == consumer; };
    if (!consumer || std::any_of(m_entries.cbegin(), m_entries.cend(), isSame))
        return;
    m_entries.push_back({consumer, std::make_unique<QObject>()});
    connectConsumer(consumer, m_entries.back().context.get());
}

void ModelConsumers::replaceBy(QmlConsumer *consumer)
{
    m_entries.clear();
    insert(consumer);
    const QPointer<QObject> self(element());
    consumersReplaced();
    if (self)
        emitChanges();
}

// A slot may delete the element.
void ModelConsumers::emitChanges()
{
    const QPointer<QObject> self(element());
    Q_EMIT consumerChanged();
    if (self)
        Q_EMIT consumersChanged();
}

QQmlListProperty<QmlConsumer> ModelConsumers::consumerList()
{
    const auto append = [](Property *property, QmlConsumer *consumer) {
        of(property)->removeDeleted();
        of(property)->insert(consumer);
        of(property)->emitChanges();
    };
    const auto count = [](Property *property) {
        of(property)->removeDeleted();
        return qsizetype(of(property)->m_entries.size());
    };
    const auto at = [](Property *property, qsizetype index) {
        return of(property)->m_entries.at(std::size_t(index)).consumer.data();
    };
    const auto clear = [](Property *property) { of(property)->replaceBy(nullptr); };
    return {element(), this, append, count, at, clear};
}

} // namespace AmqpQt
