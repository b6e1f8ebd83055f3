// SPDX-License-Identifier: MIT
#include "deliverycounter.h"

namespace AmqpQt
{

void DeliveryCounter::add(qsizetype count)
{
    m_total += double(count);
    Q_EMIT counted(int(count));
}

void DeliveryCounter::start()
{
    m_timer.start(RateMeter::Interval, this);
    m_meter.start(m_total);
}

void DeliveryCounter::stop()
{
    m_timer.stop();
    m_meter.stop();
    report();
}

void DeliveryCounter::timerEvent(QTimerEvent *)
{
    report();
}

void DeliveryCounter::report()
{
    const double rate = m_meter.rate(m_total);
    const bool isSame = m_total == m_reportedTotal && rate == m_rate;
    m_reportedTotal = m_total;
    m_rate = rate;
    if (!isSame)
        Q_EMIT changed();
}

} // namespace AmqpQt
