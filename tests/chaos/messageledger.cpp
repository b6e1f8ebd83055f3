// SPDX-License-Identifier: MIT
#include "chaos/messageledger.h"

#include <algorithm>
#include <utility>

using namespace Qt::StringLiterals;

MessageLedger::MessageLedger(QString name, int prefetch)
    : m_name(std::move(name))
    , m_prefetch(prefetch)
{
}

quint64 MessageLedger::publish()
{
    m_messages.emplace_back();
    return m_messages.size();
}

void MessageLedger::end(quint64 number, Outcome outcome)
{
    Message *const ended = message(number, "ended");
    if (!ended)
        return;
    if (std::exchange(ended->hasEnded, true)) {
        m_verdict.add(Violation::EndedTwice, nameOf(number));
        return;
    }
    ++m_ended;
    if (outcome == Outcome::Unknown)
        ++m_unknown;
    if (outcome != Outcome::Confirmed)
        return;
    ended->isConfirmed = true;
    ++m_confirmed;
    m_confirmedAndFound += ended->isFound;
}

void MessageLedger::deliver(quint64 number)
{
    if (++m_unacknowledged > m_prefetch)
        m_verdict.add(Violation::OverPrefetch,
                      u"%1 of %2 when %3 came"_s.arg(m_unacknowledged).arg(m_prefetch).arg(nameOf(number)));
    Message *const delivered = message(number, "delivered");
    if (!delivered)
        return;
    if (std::exchange(delivered->isFound, true)) {
        ++m_redelivered;
        return;
    }
    ++m_delivered;
    m_confirmedAndFound += delivered->isConfirmed;
    if (number < m_lastFirst && !delivered->wasUnderWay)
        m_verdict.add(Violation::OutOfOrder, u"%1 behind %2"_s.arg(nameOf(number)).arg(m_lastFirst));
    m_lastFirst = std::max(m_lastFirst, number);
}

void MessageLedger::acknowledge(int incarnation, int deliveries)
{
    if (incarnation == m_incarnation)
        m_unacknowledged -= deliveries;
}

void MessageLedger::loseConnection()
{
    ++m_incarnation;
    m_unacknowledged = 0;
    for (Message &message : m_messages)
        message.wasUnderWay = message.wasUnderWay || !message.hasEnded;
}

void MessageLedger::findInQueue(quint64 number)
{
    Message *const found = message(number, "in the queue");
    if (found && !std::exchange(found->isFound, true))
        m_confirmedAndFound += found->isConfirmed;
}

quint64 MessageLedger::missingCount() const
{
    return m_confirmed - m_confirmedAndFound;
}

Verdict MessageLedger::verdict() const
{
    Verdict verdict = m_verdict;
    for (quint64 number = 1; number <= m_messages.size(); ++number) {
        const Message &message = m_messages[number - 1];
        if (!message.hasEnded)
            verdict.add(Violation::NeverEnded, nameOf(number));
        if (message.isConfirmed && !message.isFound)
            verdict.add(Violation::Lost, nameOf(number));
    }
    return verdict;
}

MessageLedger::Message *MessageLedger::message(quint64 number, const char *event)
{
    if (number >= 1 && number <= m_messages.size())
        return &m_messages[number - 1];
    m_verdict.add(Violation::NotPublished, u"%1 %2"_s.arg(nameOf(number), QLatin1StringView(event)));
    return nullptr;
}

QString MessageLedger::nameOf(quint64 number) const
{
    return u"%1 #%2"_s.arg(m_name).arg(number);
}
