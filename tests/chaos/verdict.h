// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qjsonobject.h>
#include <QtCore/qstringlist.h>

#include <array>

enum class Violation {
    Lost,             // a confirmed message was neither delivered nor left in its queue
    EndedTwice,       // a publish ended more than once
    NeverEnded,       // a publish did not end
    OutOfOrder,       // a first delivery came behind that of a later message
    OverPrefetch,     // more messages were unacknowledged than the prefetch allows
    NotPublished,     // a message was delivered or ended that nobody published
    NotRecovered,     // a loss without a signal recovered()
    RecoveredTwice,   // recovered() without a loss, or again
    NotRestored,      // a recovery that reports a failure, or a consumer that receives nothing
    TopologyDiffers,  // an entity that the broker has and the model does not, or the other way round
    StaleAck,         // the broker was sent an unknown delivery tag
    SecondConnection, // two connections at the same time
    Unexpected,       // any other error
};

// Counts the violations that were found, and has examples of them.
class Verdict
{
public:
    void add(Violation violation, const QString &example, qint64 count = 1);
    void add(const Verdict &other);

    qint64 count(Violation violation) const { return m_counts[size_t(violation)]; }
    bool isClean() const;
    QStringList examples() const { return m_examples; } // a few of each violation
    QString toString() const;                           // "lost: 0, ended twice: 0, …"
    QJsonObject toJson() const;                         // the same counts

private:
    static constexpr size_t Kinds = size_t(Violation::Unexpected) + 1;

    std::array<qint64, Kinds> m_counts{};
    std::array<int, Kinds> m_shown{};
    QStringList m_examples;
};
