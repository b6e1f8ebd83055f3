// SPDX-License-Identifier: MIT
#include "ratehistory.h"

#include <QtCore/qpoint.h>
#include <QtQml/qqmlinfo.h>

#include <algorithm>

namespace AmqpQt
{

RateHistory::RateHistory(QObject *parent)
    : QObject(parent)
{
}

void RateHistory::setConsumer(QmlConsumer *consumer)
{
    if (m_consumer == consumer)
        return;
    m_consumer = consumer;
    m_values.clear();
    restart();
    Q_EMIT consumerChanged();
    Q_EMIT valuesChanged();
}

void RateHistory::setSamples(int samples)
{
    if (samples < 2) {
        qmlWarning(this) << "samples: " << samples << " is less than 2";
        return;
    }
    if (std::exchange(m_samples, samples) == samples)
        return;
    m_values = m_values.last(std::min(m_values.size(), qsizetype(samples)));
    Q_EMIT samplesChanged();
    Q_EMIT valuesChanged();
}

void RateHistory::setInterval(int milliseconds)
{
    if (milliseconds < 1) {
        qmlWarning(this) << "interval: " << milliseconds << " is less than 1";
        return;
    }
    if (std::exchange(m_interval, milliseconds) == milliseconds)
        return;
    restart();
    Q_EMIT intervalChanged();
}

double RateHistory::maximum() const
{
    return m_values.isEmpty() ? 0 : *std::max_element(m_values.begin(), m_values.end());
}

// The points of a curve from left to right; the newest value is at the right edge, the maximum at the upper one.
QVariantList RateHistory::polyline(double width, double height) const
{
    QVariantList points;
    const double highest = std::max(maximum(), 1.0);
    const double step = width / (m_samples - 1);
    double x = width - step * double(m_values.size() - 1);
    for (const double value : m_values) {
        points.append(QPointF(x, height - value / highest * height));
        x += step;
    }
    return points;
}

void RateHistory::componentComplete()
{
    m_isComplete = true;
    restart();
}

void RateHistory::restart()
{
    m_timer.stop();
    if (!m_isComplete || !m_consumer)
        return;
    m_total = m_consumer->exactTotalCount();
    m_elapsed.start();
    m_timer.start(m_interval, this);
}

void RateHistory::timerEvent(QTimerEvent *)
{
    if (!m_consumer)
        return m_timer.stop();
    const double total = m_consumer->exactTotalCount();
    const double seconds = double(m_elapsed.nsecsElapsed()) / 1e9;
    m_elapsed.start();
    m_values.append((total - std::exchange(m_total, total)) / seconds);
    if (m_values.size() > m_samples)
        m_values.removeFirst();
    Q_EMIT valuesChanged();
}

} // namespace AmqpQt
