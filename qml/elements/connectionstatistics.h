// SPDX-License-Identifier: MIT
#pragma once

#include "ratemeter.h"

#include <AmqpQt/connection.h>

#include <QtCore/qbasictimer.h>
#include <QtQml/qqmlregistration.h>

namespace AmqpQt
{

class ConnectionStatistics : public QObject
{
    Q_OBJECT
    Q_PROPERTY(double messagesIn READ messagesIn NOTIFY changed)
    Q_PROPERTY(double messagesOut READ messagesOut NOTIFY changed)
    Q_PROPERTY(double bytesIn READ bytesIn NOTIFY changed)
    Q_PROPERTY(double bytesOut READ bytesOut NOTIFY changed)
    Q_PROPERTY(double rateIn READ rateIn NOTIFY changed)
    Q_PROPERTY(double rateOut READ rateOut NOTIFY changed)
    QML_ANONYMOUS
public:
    explicit ConnectionStatistics(Connection *connection);

    double messagesIn() const { return double(m_reported.messagesIn); }
    double messagesOut() const { return double(m_reported.messagesOut); }
    double bytesIn() const { return double(m_reported.bytesIn); }
    double bytesOut() const { return double(m_reported.bytesOut); }
    double rateIn() const { return m_rateIn; }
    double rateOut() const { return m_rateOut; }

Q_SIGNALS:
    void changed();

protected:
    void timerEvent(QTimerEvent *event) override;

private:
    void onStateChanged();
    void sample();

    Connection *const m_connection;
    QBasicTimer m_timer;
    Connection::Statistics m_reported;
    RateMeter m_in;
    RateMeter m_out;
    double m_rateIn = 0;
    double m_rateOut = 0;
};

} // namespace AmqpQt
