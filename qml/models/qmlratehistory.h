// SPDX-License-Identifier: MIT
#pragma once

#include "modelconsumers.h"

#include <AmqpQt/ratehistory.h>

#include <QtCore/qvariant.h>

namespace AmqpQt
{

// The library's history, with the consumers that QML knows.
class QmlRateHistory : public AmqpQt::RateHistory, public ModelConsumers
{
    Q_OBJECT
    Q_PROPERTY(AmqpQt::QmlConsumer *consumer READ firstConsumer WRITE setSingleConsumer RESET removeConsumers NOTIFY
                   consumerChanged)
    Q_PROPERTY(QQmlListProperty<AmqpQt::QmlConsumer> consumers READ consumerList NOTIFY consumersChanged)
    QML_NAMED_ELEMENT(RateHistory)
public:
    Q_INVOKABLE QVariantList polyline(double width, double height) const;

Q_SIGNALS:
    void consumerChanged() override;
    void consumersChanged() override;

protected:
    void connectConsumer(QmlConsumer *consumer, QObject *context) override;
    void consumersReplaced() override { clear(); }
    void warn(const QString &text) const override; // with the element's file and line
};

} // namespace AmqpQt
