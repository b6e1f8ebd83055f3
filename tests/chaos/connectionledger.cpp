// SPDX-License-Identifier: MIT
#include "chaos/connectionledger.h"

#include <utility>

using namespace Qt::StringLiterals;

ConnectionLedger::ConnectionLedger(QString name)
    : m_name(std::move(name))
{
}

void ConnectionLedger::lose()
{
    if (m_recoveries < m_losses) {
        m_verdict.add(Violation::NotRecovered, u"%1, before loss %2"_s.arg(m_name).arg(m_losses + 1));
        m_recoveries = m_losses;
    }
    ++m_losses;
}

void ConnectionLedger::recover(const QStringList &failures)
{
    if (m_recoveries == m_losses)
        m_verdict.add(Violation::RecoveredTwice, u"%1, behind loss %2"_s.arg(m_name).arg(m_losses));
    else
        ++m_recoveries;
    for (const QString &failure : failures)
        m_verdict.add(Violation::NotRestored, u"%1, loss %2: %3"_s.arg(m_name).arg(m_losses).arg(failure));
}

void ConnectionLedger::fail(const QString &error)
{
    const bool isStaleAck = error.contains("unknown delivery tag"_L1);
    fail(isStaleAck ? Violation::StaleAck : Violation::Unexpected, error);
}

void ConnectionLedger::fail(Violation violation, const QString &example)
{
    m_verdict.add(violation, m_name + ": "_L1 + example);
}

void ConnectionLedger::noteSockets(const QStringList &open)
{
    if (open.size() > 1)
        m_verdict.add(Violation::SecondConnection,
                      u"%1, after loss %2: %3"_s.arg(m_name).arg(m_losses).arg(open.join(", "_L1)));
}

Verdict ConnectionLedger::verdict() const
{
    Verdict verdict = m_verdict;
    if (m_recoveries < m_losses)
        verdict.add(Violation::NotRecovered, u"%1, loss %2"_s.arg(m_name).arg(m_losses));
    return verdict;
}
