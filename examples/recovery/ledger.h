// SPDX-License-Identifier: MIT
#pragma once

#include <QHash>
#include <QString>

// Records what has become of each published message, by its message id.
class Ledger
{
public:
    void published(const QString &id);
    void settled(const QString &id, bool isConfirmed); // otherwise the message has failed
    void received(const QString &id);

    int publishedCount() const { return int(m_messages.size()); }
    bool isComplete() const { return m_unsettled == 0 && m_missing == 0; }
    bool hasFailures() const { return m_failed > 0 || m_missing > 0; }
    QString summary() const;

private:
    struct Message {
        bool isConfirmed = false;
        int arrivals = 0;
    };

    QHash<QString, Message> m_messages;
    int m_unsettled = 0; // neither confirmed nor failed yet
    int m_confirmed = 0;
    int m_failed = 0;
    int m_received = 0; // each message once
    int m_repeated = 0; // messages that have arrived more than once
    int m_missing = 0;  // confirmed messages that have not arrived
};
