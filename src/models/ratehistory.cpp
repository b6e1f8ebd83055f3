// SPDX-License-Identifier: MIT
#include <AmqpQt/ratehistory.h>

#include "models/consumerlist_p.h"
#include "models/logging_p.h"

#include <QtCore/qelapsedtimer.h>
#include <QtCore/qtimer.h>

#include <algorithm>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

/*!
    \class AmqpQt::RateHistory
    \inheaderfile AmqpQt/RateHistory
    \inmodule AmqpQt
    \since 0.1
    \brief The RateHistory class records the recent message rate of consumers, for a chart.

    \code
    auto *history = new AmqpQt::RateHistory(this);
    history->addConsumer(orders);
    history->addConsumer(invoices);
    connect(history, &AmqpQt::RateHistory::valuesChanged, this, [this, history] {
        m_curve->setPoints(history->polyline(m_curve->width(), m_curve->height()));
    });
    \endcode

    Once per interval(), the messages of all consumers together become one of the values(), in messages per second. The
    history keeps the last samples() of them. Recording starts with the first consumer or the first call of add(). When
    no consumer is left and all values are 0, it stops until there is something to record.

    A RateHistory counts messages without receiving them (Consumer::deliveredCount()), so it does not change when a
    consumer delivers or acknowledges them. A history belongs to the thread of its chart. Its consumers may live in
    other threads.

    \sa LatestValueModel, MessageModel, Consumer
*/

/*!
    \property AmqpQt::RateHistory::samples
    \brief the maximum number of values that are kept, 60 by default.

    A number below 2 is rejected with a warning.
*/

/*!
    \property AmqpQt::RateHistory::interval
    \brief the time between two values in milliseconds, 1000 by default.

    A number below 1 is rejected with a warning.
*/

/*!
    \property AmqpQt::RateHistory::values
    \brief the recorded rates in messages per second, the newest last.
*/

/*!
    \property AmqpQt::RateHistory::maximum
    \brief the highest of the \l values, or 0 if there are none.
*/

/*!
    \fn void AmqpQt::RateHistory::samplesChanged()

    This signal is emitted when \l samples has changed.
*/

/*!
    \fn void AmqpQt::RateHistory::intervalChanged()

    This signal is emitted when \l interval has changed.
*/

/*!
    \fn void AmqpQt::RateHistory::valuesChanged()

    This signal is emitted when the \l values have changed, usually once per \l interval.
*/

class RateHistoryPrivate
{
public:
    explicit RateHistoryPrivate(RateHistory *history);

    void start();
    void clear();

    static constexpr int DefaultSamples = 60;
    static constexpr int DefaultInterval = 1000; // ms

    RateHistory *const q;
    ConsumerList consumers;
    QTimer timer;
    QList<double> values; // messages per second, the newest last
    int samples = DefaultSamples;
    qint64 newCount = 0; // messages since the last sample

private:
    void connectTo(Consumer *consumer, QObject *context);
    void sample();

    QElapsedTimer m_sinceSample;
};

RateHistoryPrivate::RateHistoryPrivate(RateHistory *history)
    : q(history)
    , consumers(history, [this](Consumer *consumer, QObject *context) { connectTo(consumer, context); })
    , timer(history) // a child, so that it moves to another thread with the history
{
    timer.setInterval(DefaultInterval);
    QObject::connect(&timer, &QTimer::timeout, history, [this] { sample(); });
}

void RateHistoryPrivate::connectTo(Consumer *consumer, QObject *context)
{
    const auto count = [this, last = double(consumer->deliveredCount())](double total) mutable {
        newCount += qint64(total - std::exchange(last, total));
    };
    QObject::connect(consumer, &Consumer::deliveredCountChanged, context, count);
    start();
}

void RateHistoryPrivate::start()
{
    if (timer.isActive())
        return;
    m_sinceSample.start();
    timer.start();
}

void RateHistoryPrivate::sample()
{
    const qint64 elapsed = std::max<qint64>(m_sinceSample.nsecsElapsed(), 1);
    m_sinceSample.start();
    values.append(double(std::exchange(newCount, 0)) * 1e9 / double(elapsed));
    if (values.size() > samples)
        values.removeFirst();
    const bool isIdle = values.size() == samples && q->maximum() == 0 && consumers.isEmpty();
    if (isIdle)
        timer.stop();
    else
        timer.start(); // a full interval, even if this sample was late
    Q_EMIT q->valuesChanged();
}

void RateHistoryPrivate::clear()
{
    timer.stop();
    newCount = 0;
    if (!consumers.isEmpty())
        start();
    if (values.isEmpty())
        return;
    values.clear();
    Q_EMIT q->valuesChanged();
}

/*!
    Constructs an empty history with the given \a parent.
*/
RateHistory::RateHistory(QObject *parent)
    : QObject(parent)
    , d(std::make_unique<RateHistoryPrivate>(this))
{
}

/*! Destroys the history. Its consumers are not affected. */
RateHistory::~RateHistory() = default;

/*!
    Records the rate of \a consumer in place of that of all previous consumers; null means no consumer. The values stay.

    \sa addConsumer(), clear()
*/
void RateHistory::setConsumer(Consumer *consumer)
{
    d->consumers.set(consumer);
}

/*!
    Counts future deliveries of \a consumer too. The consumer may live in another thread, and may be deleted at any
    time. The function does nothing for null and for a consumer that was added before.

    \sa removeConsumer(), consumers()
*/
void RateHistory::addConsumer(Consumer *consumer)
{
    d->consumers.add(consumer);
}

/*!
    Stops counting deliveries of \a consumer. The values stay.
*/
void RateHistory::removeConsumer(Consumer *consumer)
{
    d->consumers.remove(consumer);
}

/*!
    Returns the consumers whose deliveries are counted, in the order in which they were added. Deleted consumers are not
    in the list.
*/
QList<Consumer *> RateHistory::consumers() const
{
    return d->consumers.consumers();
}

/*!
    Counts \a count messages of another source, such as published messages. Numbers below 1 are ignored.
*/
void RateHistory::add(int count)
{
    if (count < 1)
        return;
    d->newCount += count;
    d->start();
}

/*!
    Removes all values. Recording continues if there are consumers.
*/
void RateHistory::clear()
{
    d->clear();
}

int RateHistory::samples() const
{
    return d->samples;
}

void RateHistory::setSamples(int samples)
{
    if (samples < 2)
        return warn(u"samples: %1 is out of range; the minimum is 2"_s.arg(samples));
    if (std::exchange(d->samples, samples) == samples)
        return;
    const QPointer<RateHistory> alive(this);
    const bool isShortened = d->values.size() > samples;
    if (isShortened)
        d->values = d->values.last(samples);
    Q_EMIT samplesChanged();
    if (alive && isShortened)
        Q_EMIT valuesChanged();
}

int RateHistory::interval() const
{
    return d->timer.interval();
}

void RateHistory::setInterval(int milliseconds)
{
    if (milliseconds < 1) {
        warn(u"interval: %1 ms is out of range; the minimum is 1 ms"_s.arg(milliseconds));
    } else if (milliseconds != d->timer.interval()) {
        d->timer.setInterval(milliseconds);
        Q_EMIT intervalChanged();
    }
}

QList<double> RateHistory::values() const
{
    return d->values;
}

double RateHistory::maximum() const
{
    return d->values.isEmpty() ? 0 : *std::max_element(d->values.cbegin(), d->values.cend());
}

/*!
    Returns the points of a curve in a rectangle of \a width and \a height, from left to right. The newest value is at
    the right edge, and the highest value at the upper edge (y = 0). The distance between two points is the same however
    many values there are. In a widget, convert the list to a QPolygonF.
*/
QList<QPointF> RateHistory::polyline(double width, double height) const
{
    const double highest = std::max(maximum(), 1.0);
    const double step = width / (d->samples - 1);
    double x = width - step * double(d->values.size() - 1);
    QList<QPointF> points;
    points.reserve(d->values.size());
    for (const double value : std::as_const(d->values)) {
        points.append(QPointF(x, height - value / highest * height));
        x += step;
    }
    return points;
}

/*! \reimp */
bool RateHistory::event(QEvent *event)
{
    return QObject::event(event);
}

/*!
    Logs \a text, which describes an invalid property value, as a warning in the category \c amqpqt.channel. A subclass
    may add the origin of the value, as the QML element does.
*/
void RateHistory::warn(const QString &text) const
{
    qCWarning(lcModel).noquote() << text;
}

void RateHistory::resetSamples()
{
    setSamples(RateHistoryPrivate::DefaultSamples);
}

void RateHistory::resetInterval()
{
    setInterval(RateHistoryPrivate::DefaultInterval);
}

} // namespace AmqpQt
