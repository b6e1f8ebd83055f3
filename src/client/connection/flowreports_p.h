// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qstring.h>

namespace AmqpQt
{

class ConnectionPrivate;

// Reports to the application whether it may publish and how many bytes wait to be written. It keeps the last reported
// state; the engine may be ahead of it.
class FlowReports
{
public:
    explicit FlowReports(ConnectionPrivate &connection);

    bool isBlocked() const noexcept { return m_isBlocked; } // by the broker
    bool isBufferFull() const noexcept { return m_isBufferFull; }
    QString blockedReason() const { return m_blockedReason; }

    void setBlocked(bool blocked, const QString &reason);
    void setWritable(bool writable);
    void reportBytesToWrite();

private:
    void reportToChannels();

    ConnectionPrivate &m_connection;
    bool m_isBlocked = false;
    bool m_isBufferFull = false;
    QString m_blockedReason;
    double m_bytesToWrite = 0;
};

} // namespace AmqpQt
