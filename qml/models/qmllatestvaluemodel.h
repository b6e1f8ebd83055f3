// SPDX-License-Identifier: MIT
#pragma once

#include "modelconsumers.h"

#include <AmqpQt/latestvaluemodel.h>

namespace AmqpQt
{

// The library's model, with the consumers that QML knows.
class QmlLatestValueModel : public AmqpQt::LatestValueModel, public ModelConsumers
{
    Q_OBJECT
    Q_PROPERTY(AmqpQt::QmlConsumer *consumer READ firstConsumer WRITE setSingleConsumer RESET removeConsumers NOTIFY
                   consumerChanged)
    Q_PROPERTY(QQmlListProperty<AmqpQt::QmlConsumer> consumers READ consumerList NOTIFY consumersChanged)
    QML_NAMED_ELEMENT(LatestValueModel)
public:
    QVariant data(const QModelIndex &index, int role = Qt::DisplayRole) const override;

    Q_INVOKABLE AmqpQt::Message get(int row) const { return message(row); }

Q_SIGNALS:
    void consumerChanged() override;
    void consumersChanged() override;

protected:
    void connectConsumer(QmlConsumer *consumer, QObject *context) override;
    void warn(const QString &text) const override; // with the element's file and line
};

} // namespace AmqpQt
