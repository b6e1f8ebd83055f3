// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/global.h>

#include <QtCore/qlist.h>
#include <QtCore/qobject.h>
#include <QtCore/qpoint.h>

#include <memory>

namespace AmqpQt
{

class Consumer;
class RateHistoryPrivate;

// Records the recent message rate of consumers for a chart: messages per second, one value per interval().
class AMQPQT_EXPORT RateHistory : public QObject
{
    Q_OBJECT
    Q_PROPERTY(int samples READ samples WRITE setSamples RESET resetSamples NOTIFY samplesChanged)
    Q_PROPERTY(int interval READ interval WRITE setInterval RESET resetInterval NOTIFY intervalChanged) // ms
    Q_PROPERTY(QList<double> values READ values NOTIFY valuesChanged)
    Q_PROPERTY(double maximum READ maximum NOTIFY valuesChanged)
    Q_DISABLE_COPY_MOVE(RateHistory)
public:
    explicit RateHistory(QObject *parent = nullptr);
    ~RateHistory() override;

    void setConsumer(Consumer *consumer); // replaces all consumers; nullptr removes them
    void addConsumer(Consumer *consumer);
    void removeConsumer(Consumer *consumer);
    [[nodiscard]] QList<Consumer *> consumers() const;
    void add(int count = 1); // messages of other sources
    Q_INVOKABLE void clear();

    int samples() const;
    void setSamples(int samples);
    int interval() const;
    void setInterval(int milliseconds);
    QList<double> values() const;
    double maximum() const;
    [[nodiscard]] QList<QPointF> polyline(double width, double height) const;

Q_SIGNALS:
    void samplesChanged();
    void intervalChanged();
    void valuesChanged();

protected:
    bool event(QEvent *event) override;
    virtual void warn(const QString &text) const; // reports an invalid property value

private:
    // Set the defaults: for QMetaProperty::reset(), and for QML, where undefined resets a property.
    void resetSamples();
    void resetInterval();

    friend class RateHistoryPrivate;
    std::unique_ptr<RateHistoryPrivate> d;
};

} // namespace AmqpQt
