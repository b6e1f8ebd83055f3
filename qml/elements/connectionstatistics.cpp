// SPDX-License-Identifier: MIT
#include "connectionstatistics.h"

namespace AmqpQt
{

ConnectionStatistics::ConnectionStatistics(Connection *connection)
    : m_connection(connection)
{
    connect(connection, &Connection::stateChanged, this, &ConnectionStatistics::onStateChanged);
}

void ConnectionStatistics::onStateChanged()
{
    if (m_connection->state() != Connection::State::Closed) {
        if (m_timer.isActive())
            return;
        m_timer.start(RateMeter::Interval, this);
        m_in.start(double(m_connection->statistics().messagesIn));
        m_out.start(double(m_connection->statistics().messagesOut));
        return;
    }
    m_timer.stop();
    m_in.stop();
    m_out.stop();
    sample();
}

void ConnectionStatistics::timerEvent(QTimerEvent *)
{
    sample();
}

void ConnectionStatistics::sample()
{
    const Connection::Statistics now = m_connection->statistics();
    const double rateIn = m_in.rate(double(now.messagesIn));
    const double rateOut = m_out.rate(double(now.messagesOut));
    if (now.bytesIn == m_reported.bytesIn && now.bytesOut == m_reported.bytesOut &&
        now.messagesIn == m_reported.messagesIn && now.messagesOut == m_reported.messagesOut && rateIn == m_rateIn &&
        rateOut == m_rateOut)
        return;
    m_reported = now;
    m_rateIn = rateIn;
    m_rateOut = rateOut;
    Q_EMIT changed();
}

} // namespace AmqpQt
