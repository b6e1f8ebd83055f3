// SPDX-License-Identifier: MIT
#include "ratechart.h"

#include <QPainter>
#include <QPainterPath>

RateChart::RateChart(AmqpQt::RateHistory *history, QWidget *parent)
    : QWidget(parent)
    , m_history(history)
{
    setSizePolicy(QSizePolicy::Expanding, QSizePolicy::Fixed);
    connect(history, &AmqpQt::RateHistory::valuesChanged, this, qOverload<>(&QWidget::update));
}

QSize RateChart::sizeHint() const
{
    return {fontMetrics().averageCharWidth() * 40, fontMetrics().height() * 5};
}

void RateChart::paintEvent(QPaintEvent *)
{
    QPainter painter(this);
    painter.setRenderHint(QPainter::Antialiasing);
    const QList<double> values = m_history->values();
    const QString rate =
        values.isEmpty() ? QString() : tr("%L1 messages per second").arg(values.constLast(), 0, 'f', 0);
    const QString maximum = values.isEmpty() ? QString() : tr("maximum %L1").arg(m_history->maximum(), 0, 'f', 0);
    painter.drawText(rect(), Qt::AlignTop | Qt::AlignLeft, rate);
    painter.setPen(palette().color(QPalette::PlaceholderText));
    painter.drawText(rect(), Qt::AlignTop | Qt::AlignRight, maximum);

    const QRectF chart = QRectF(rect()).adjusted(0, fontMetrics().height() + 4, 0, -1);
    painter.drawLine(chart.bottomLeft(), chart.bottomRight());
    QPolygonF curve(m_history->polyline(chart.width(), chart.height()));
    if (curve.size() < 2)
        return;
    curve.translate(chart.topLeft());
    QColor colour = palette().color(QPalette::Highlight);
    painter.setPen(QPen(colour, 1.5));
    painter.drawPolyline(curve);
    colour.setAlphaF(0.2F);
    QPolygonF area = curve;
    area << QPointF(curve.constLast().x(), chart.bottom()) << QPointF(curve.constFirst().x(), chart.bottom());
    painter.setPen(Qt::NoPen);
    painter.setBrush(colour);
    painter.drawPolygon(area);
}
