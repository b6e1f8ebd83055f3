// SPDX-License-Identifier: MIT
#pragma once

#include "qmlconsumer.h"

#include <QtQml/qqmllist.h>

#include <memory>
#include <vector>

namespace AmqpQt
{

// The second base class of a model element, with its consumers. They are its property `consumers`, and `consumer` is
// the shorthand for a single one. Deleted consumers are removed from the list.
class ModelConsumers
{
public:
    virtual ~ModelConsumers() = default;

protected:
    QmlConsumer *firstConsumer();
    void setSingleConsumer(QmlConsumer *consumer);
    void removeConsumers() { setSingleConsumer(nullptr); }
    QQmlListProperty<QmlConsumer> consumerList();

    // The connections to the consumer end with the context.
    virtual void connectConsumer(QmlConsumer *consumer, QObject *context) = 0;
    virtual void consumersReplaced() {} // the previous consumers were removed
    // The element has these as its signals.
    virtual void consumerChanged() = 0;
    virtual void consumersChanged() = 0;

private:
    struct Entry {
        QPointer<QmlConsumer> consumer;
        std::unique_ptr<QObject> context;
    };
    using Property = QQmlListProperty<QmlConsumer>;

    static ModelConsumers *of(Property *property) { return static_cast<ModelConsumers *>(property->data); }
    QObject *element() { return dynamic_cast<QObject *>(this); }
    void removeDeleted();
    void insert(QmlConsumer *consumer);
    void replaceBy(QmlConsumer *consumer);
    void emitChanges();

    std::vector<Entry> m_entries;
};

} // namespace AmqpQt
