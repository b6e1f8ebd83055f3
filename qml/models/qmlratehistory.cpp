// SPDX-License-Identifier: MIT
#include "qmlratehistory.h"

#include <QtQml/qqmlinfo.h>

namespace AmqpQt
{

void QmlRateHistory::connectConsumer(QmlConsumer *consumer, QObject *context)
{
    connect(consumer->counter(), &DeliveryCounter::counted, context, [this](int count) { add(count); });
}

QVariantList QmlRateHistory::polyline(double width, double height) const
{
    QVariantList points;
    for (const QPointF &point : RateHistory::polyline(width, height))
        points.append(point);
    return points;
}

void QmlRateHistory::warn(const QString &text) const
{
    qmlWarning(this) << text;
}

} // namespace AmqpQt
