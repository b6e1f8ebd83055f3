// SPDX-License-Identifier: MIT
#include "ledger.h"

using namespace Qt::StringLiterals;

void Ledger::published(const QString &id)
{
    m_messages.insert(id, {});
    ++m_unsettled;
}

void Ledger::settled(const QString &id, bool isConfirmed)
{
    Message &message = m_messages[id];
    message.isConfirmed = isConfirmed;
    --m_unsettled;
    ++(isConfirmed ? m_confirmed : m_failed);
    if (isConfirmed && message.arrivals == 0)
        ++m_missing;
}

// A message may arrive before its confirm. Messages of earlier runs are not counted.
void Ledger::received(const QString &id)
{
    const auto message = m_messages.find(id);
    if (message == m_messages.end())
        return;
    ++message->arrivals;
    if (message->arrivals == 1) {
        ++m_received;
        if (message->isConfirmed)
            --m_missing;
    } else if (message->arrivals == 2) {
        ++m_repeated;
    }
}

QString Ledger::summary() const
{
    return u"published %1: %2 confirmed, %3 failed, %4 unknown\n"
           "received %5, %6 of them repeatedly; %7 confirmed ones are missing"_s.arg(publishedCount())
               .arg(m_confirmed)
               .arg(m_failed)
               .arg(m_unsettled)
               .arg(m_received)
               .arg(m_repeated)
               .arg(m_missing);
}
