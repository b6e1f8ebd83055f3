// SPDX-License-Identifier: MIT
#include "qmllatestvaluemodel.h"

#include "jsvalues.h"

#include <QtQml/qqmlinfo.h>

namespace AmqpQt
{

QVariant QmlLatestValueModel::data(const QModelIndex &index, int role) const
{
    return toScript(LatestValueModel::data(index, role));
}

void QmlLatestValueModel::connectConsumer(QmlConsumer *consumer, QObject *context)
{
    connect(consumer, &QmlConsumer::batchDelivered, context,
            [this](const QList<Message> &messages) { append(messages); });
}

void QmlLatestValueModel::warn(const QString &text) const
{
    qmlWarning(this) << text;
}

} // namespace AmqpQt
