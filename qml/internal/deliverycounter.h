// SPDX-License-Identifier: MIT
#pragma once

#include "ratemeter.h"

#include <QtCore/qbasictimer.h>
#include <QtCore/qobject.h>

namespace AmqpQt
{

// Counts the deliveries of a Consumer element. Reports their number and rate four times a second, so that gauges are
// not painted again for each message.
class DeliveryCounter : public QObject
{
    Q_OBJECT
public:
    double total() const { return m_reportedTotal; }
    double rate() const { return m_rate; }

    void add(qsizetype count);
    void start();
    void stop();

Q_SIGNALS:
    void counted(int count); // at once
    void changed();          // total() or rate()

protected:
    void timerEvent(QTimerEvent *event) override;

private:
    void report();

    QBasicTimer m_timer;
    RateMeter m_meter;
    double m_total = 0;
    double m_reportedTotal = 0;
    double m_rate = 0;
};

} // namespace AmqpQt
