// SPDX-License-Identifier: MIT
#pragma once

#include "qmlconsumer.h"

#include <QtCore/qbasictimer.h>
#include <QtCore/qelapsedtimer.h>
#include <QtCore/qobject.h>
#include <QtCore/qpointer.h>
#include <QtCore/qvariant.h>
#include <QtQml/qqmlparserstatus.h>
#include <QtQml/qqmlregistration.h>

namespace AmqpQt
{

class RateHistory : public QObject, public QQmlParserStatus
{
    Q_OBJECT
    Q_INTERFACES(QQmlParserStatus)
    Q_PROPERTY(AmqpQt::QmlConsumer *consumer READ consumer WRITE setConsumer RESET resetConsumer NOTIFY consumerChanged)
    Q_PROPERTY(int samples READ samples WRITE setSamples RESET resetSamples NOTIFY samplesChanged)
    Q_PROPERTY(int interval READ interval WRITE setInterval RESET resetInterval NOTIFY intervalChanged)
    Q_PROPERTY(QList<double> values READ values NOTIFY valuesChanged)
    Q_PROPERTY(double maximum READ maximum NOTIFY valuesChanged)
    QML_ELEMENT
public:
    explicit RateHistory(QObject *parent = nullptr);

    QmlConsumer *consumer() const { return m_consumer; }
    void setConsumer(QmlConsumer *consumer);
    int samples() const { return m_samples; }
    void setSamples(int samples);
    int interval() const { return m_interval; }
    void setInterval(int milliseconds);
    void resetConsumer() { setConsumer(nullptr); }
    void resetSamples() { setSamples(60); }
    void resetInterval() { setInterval(1000); }
    QList<double> values() const { return m_values; }
    double maximum() const;
    Q_INVOKABLE QVariantList polyline(double width, double height) const;

    void classBegin() override {}
    void componentComplete() override;

Q_SIGNALS:
    void consumerChanged();
    void samplesChanged();
    void intervalChanged();
    void valuesChanged();

protected:
    void timerEvent(QTimerEvent *event) override;

private:
    void restart();

    QPointer<QmlConsumer> m_consumer;
    QList<double> m_values; // messages per second, the newest last
    int m_samples = 60;
    int m_interval = 1000;
    bool m_isComplete = false;
    QBasicTimer m_timer;
    QElapsedTimer m_elapsed; // since the last sample
    double m_total = 0;      // at the last sample
};

} // namespace AmqpQt
