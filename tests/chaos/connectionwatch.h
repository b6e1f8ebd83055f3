// SPDX-License-Identifier: MIT
#pragma once

#include "chaos/connectionledger.h"

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/Consumer>

#include <QtCore/qtimer.h>

// Enters what happens to a connection, its channels and its consumers into the connection's ledger. Everything that
// ends apart from the end() of the run is a violation.
class ConnectionWatch : public QObject
{
    Q_OBJECT
public:
    ConnectionWatch(AmqpQt::Connection *connection, const QString &name);

    void watch(AmqpQt::Channel *channel);
    void watch(AmqpQt::Consumer *consumer);
    void ignore(const AmqpQt::Consumer *consumer) { consumer->disconnect(this); }
    void fail(const QString &error) { m_ledger.fail(error); }
    void fail(Violation violation, const QString &example) { m_ledger.fail(violation, example); }
    void end(); // before the connection is closed

    const ConnectionLedger &ledger() const { return m_ledger; }

Q_SIGNALS:
    void lost();
    void recovered();

private:
    void noteSockets();

    AmqpQt::Connection *const m_connection;
    ConnectionLedger m_ledger;
    QTimer m_clock; // until the sockets are looked at again
    bool m_isOpen = false;
    bool m_hasEnded = false;
};
