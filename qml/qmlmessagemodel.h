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
    QML_NAMED_ELEMENT(MessageModel)
public:
    explicit QmlMessageModel(QObject *parent = nullptr);

    QmlConsumer *consumer() const { return m_consumer; }
    void setConsumer(QmlConsumer *consumer);

    Q_INVOKABLE AmqpQt::Message get(int row) const { return message(row); }

Q_SIGNALS:
    void consumerChanged();

protected:
    void warn(const QString &text) const override; // with the element's file and line

private:
    QPointer<QmlConsumer> m_consumer;
};

} // namespace AmqpQt
