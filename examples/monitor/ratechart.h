// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/RateHistory>

#include <QWidget>

// The curve of a rate history, with the latest value in words.
class RateChart : public QWidget
{
    Q_OBJECT
public:
    explicit RateChart(AmqpQt::RateHistory *history, QWidget *parent = nullptr);

    QSize sizeHint() const override;

protected:
    void paintEvent(QPaintEvent *event) override;

private:
    AmqpQt::RateHistory *const m_history;
};
