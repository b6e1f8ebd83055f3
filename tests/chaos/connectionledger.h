// SPDX-License-Identifier: MIT
#pragma once

#include "chaos/verdict.h"

// Accounts for the losses and recoveries of one connection.
class ConnectionLedger
{
public:
    explicit ConnectionLedger(QString name);

    void lose(); // an open connection
    void recover(const QStringList &failures = {});
    void fail(const QString &error); // of the connection, a channel or a consumer, apart from losses
    void fail(Violation violation, const QString &example);
    void noteSockets(const QStringList &open);

    int lossCount() const { return m_losses; }
    int recoveryCount() const { return m_recoveries; }
    bool isRecovered() const { return m_losses == m_recoveries; }

    Verdict verdict() const; // at the end

private:
    const QString m_name;
    Verdict m_verdict;
    int m_losses = 0;
    int m_recoveries = 0;
};
