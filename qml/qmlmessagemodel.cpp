// SPDX-License-Identifier: MIT
#include "qmlmessagemodel.h"

#include "jsvalues.h"

#include <QtQml/qqmlinfo.h>

namespace AmqpQt
{

QmlMessageModel::QmlMessageModel(QObject *parent)
    : MessageModel(parent)
{
}

void QmlMessageModel::setConsumer(QmlConsumer *consumer)
{
    if (m_consumer == consumer)
        return;
    if (m_consumer)
        m_consumer->disconnect(this);
    m_consumer = consumer;
    if (consumer)
        connect(consumer, &QmlConsumer::batchDelivered, this, &MessageModel::append);
    Q_EMIT consumerChanged();
}

QVariant QmlMessageModel::data(const QModelIndex &index, int role) const
{
    return toScript(MessageModel::data(index, role));
}

void QmlMessageModel::warn(const QString &text) const
{
    qmlWarning(this) << text;
}

} // namespace AmqpQt
