// SPDX-License-Identifier: MIT
#pragma once

#include "qmlconsumer.h"

#include <QtQml/qqmllist.h>

#include <memory>
#include <vector>

namespace AmqpQt
{

// The consumers of a model element: the property `consumers`, and `consumer` as its shorthand for a single one. Deleted
// consumers are removed from the list.
class ModelConsumers
{
public:
    virtual ~ModelConsumers() = default;

protected:
    QmlConsumer *firstConsumer();
    void setSingleConsumer(QmlConsumer *consumer);
    QQmlListProperty<QmlConsumer> consumerList(QObject *model);

    // The connections to the consumer end with the context.
    virtual void connectConsumer(QmlConsumer *consumer, QObject *context) = 0;
    virtual void notifyConsumers(bool isReset) = 0; // isReset is true if the previous consumers were removed

private:
    struct Entry {
        QPointer<QmlConsumer> consumer;
        std::unique_ptr<QObject> context;
    };
    using Property = QQmlListProperty<QmlConsumer>;

    static ModelConsumers *of(Property *property) { return static_cast<ModelConsumers *>(property->data); }
    void removeDeleted();
    void insert(QmlConsumer *consumer);

    std::vector<Entry> m_entries;
};

} // namespace AmqpQt
