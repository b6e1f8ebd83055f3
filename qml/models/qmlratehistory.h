// SPDX-License-Identifier: MIT
#pragma once

#include "modelconsumers.h"

#include <AmqpQt/ratehistory.h>

#include <QtCore/qvariant.h>

namespace AmqpQt
{

// The library's history, with the consumers that QML knows.
class QmlRateHistory : public AmqpQt::RateHistory, private ModelConsumers
{
    Q_OBJECT
    Q_PROPERTY(AmqpQt::QmlConsumer *consumer READ consumer WRITE setConsumer RESET resetConsumer NOTIFY consumerChanged)
    Q_PROPERTY(QQmlListProperty<AmqpQt::QmlConsumer> consumers READ consumers NOTIFY consumersChanged)
    // The properties of the library's history; assigning undefined resets a property.
    Q_PROPERTY(int samples READ samples WRITE setSamples RESET resetSamples NOTIFY samplesChanged)
    Q_PROPERTY(int interval READ interval WRITE setInterval RESET resetInterval NOTIFY intervalChanged)
    QML_NAMED_ELEMENT(RateHistory)
public:
    explicit QmlRateHistory(QObject *parent = nullptr);

    QmlConsumer *consumer() { return firstConsumer(); }
    void setConsumer(QmlConsumer *consumer) { setSingleConsumer(consumer); }
    QQmlListProperty<QmlConsumer> consumers() { return consumerList(this); }

    void resetConsumer() { setConsumer(nullptr); }
    void resetSamples() { setSamples(60); }
    void resetInterval() { setInterval(1000); }

    Q_INVOKABLE QVariantList polyline(double width, double height) const;

Q_SIGNALS:
    void consumerChanged();
    void consumersChanged();

protected:
    void warn(const QString &text) const override; // with the element's file and line

private:
    void connectConsumer(QmlConsumer *consumer, QObject *context) override;
    void notifyConsumers(bool isReset) override;
};

} // namespace AmqpQt
