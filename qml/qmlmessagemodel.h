// SPDX-License-Identifier: MIT
#pragma once

#include "qmlconsumer.h"

#include <AmqpQt/messagemodel.h>

namespace AmqpQt
{

// The library's model, with the consumer that QML knows.
class QmlMessageModel : public AmqpQt::MessageModel
{
    Q_OBJECT
    Q_PROPERTY(AmqpQt::QmlConsumer *consumer READ consumer WRITE setConsumer NOTIFY consumerChanged)
    Q_PROPERTY(QStringList columns READ columns WRITE setColumns NOTIFY columnsChanged)
    QML_NAMED_ELEMENT(MessageModel)
public:
    explicit QmlMessageModel(QObject *parent = nullptr);

    QmlConsumer *consumer() const { return m_consumer; }
    void setConsumer(QmlConsumer *consumer);
    void setColumns(const QStringList &columns);

    Q_INVOKABLE AmqpQt::Message get(int row) const { return message(row); }

Q_SIGNALS:
    void consumerChanged();

private:
    QPointer<QmlConsumer> m_consumer;
};

} // namespace AmqpQt
