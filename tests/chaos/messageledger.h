// SPDX-License-Identifier: MIT
#pragma once

#include "chaos/verdict.h"

#include <vector>

// Accounts for the messages of one stream, that is, of one publisher and one consumer of one queue. The messages are
// numbered from 1 in the order in which they are published.
class MessageLedger
{
public:
    enum class Outcome { Confirmed, Refused, Unknown };

    MessageLedger(QString name, int prefetch);

    quint64 publish(); // returns the number of the new message
    void end(quint64 number, Outcome outcome);
    void deliver(quint64 number);
    // An acknowledgement of deliveries that came in this incarnation of the connection. It has no effect later.
    void acknowledge(int incarnation, int deliveries = 1);
    // Unacknowledged messages go back to the queue. The broker may have any of those that are under way, and the others
    // may be published again, so only the order of the rest is certain.
    void loseConnection();
    void findInQueue(quint64 number); // after the end

    int incarnation() const { return m_incarnation; }
    quint64 publishedCount() const { return m_messages.size(); }
    quint64 endedCount() const { return m_ended; }
    quint64 confirmedCount() const { return m_confirmed; }
    quint64 unknownCount() const { return m_unknown; }
    quint64 deliveredCount() const { return m_delivered; }     // different messages
    quint64 redeliveredCount() const { return m_redelivered; } // further deliveries
    quint64 missingCount() const;                              // confirmed, but not delivered or found yet

    Verdict verdict() const; // at the end

private:
    struct Message {
        bool hasEnded = false;
        bool isConfirmed = false;
        bool isFound = false;     // delivered, or in the queue
        bool wasUnderWay = false; // without an outcome at a loss
    };

    Message *message(quint64 number, const char *event);
    QString nameOf(quint64 number) const;

    const QString m_name;
    const int m_prefetch;
    std::vector<Message> m_messages;
    Verdict m_verdict;
    int m_incarnation = 0;
    int m_unacknowledged = 0;
    quint64 m_lastFirst = 0; // the highest number that has been delivered
    quint64 m_ended = 0;
    quint64 m_confirmed = 0;
    quint64 m_confirmedAndFound = 0;
    quint64 m_unknown = 0;
    quint64 m_delivered = 0;
    quint64 m_redelivered = 0;
};
