// SPDX-License-Identifier: MIT
#include "qmlmessagemodel.h"

#include "jsvalues.h"

#include <QtQml/qqmlinfo.h>

namespace AmqpQt
{

QVariant QmlMessageModel::data(const QModelIndex &index, int role) const
{
    return toScript(MessageModel::data(index, role));
}

void QmlMessageModel::connectConsumer(QmlConsumer *consumer, QObject *context)
{
    connect(consumer, &QmlConsumer::batchDelivered, context,
            [this](const QList<Message> &messages) { append(messages); });
}

void QmlMessageModel::warn(const QString &text) const
{
    qmlWarning(this) << text;
}

} // namespace AmqpQt
