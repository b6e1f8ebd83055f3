// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/topology.h>

#include <QtCore/qvariant.h>

#include <chrono>

namespace AmqpQt
{

// A plain aggregate for designated initialisers, with a with…() function for each field for C++17.
struct AMQPQT_EXPORT RecoveryPolicy {
    Q_GADGET
public:
    enum class Mismatch : int { SkipAndReport, Fail, UseExisting };
    Q_ENUM(Mismatch)
    enum class Missing : int { SkipAndReport, Fail, Wait };
    Q_ENUM(Missing)

    bool enabled = true;
    bool topology = true;    // declares again what this connection has declared
    int maximumAttempts = 0; // in each outage; 0 means no limit
    std::chrono::milliseconds initialDelay{1'000};
    std::chrono::milliseconds maximumDelay{30'000};
    double factor = 2.0;                           // from one delay to the next
    std::chrono::milliseconds calmAfter{5'000};    // the duration of outages that a user need not know of
    Mismatch onMismatch = Mismatch::SkipAndReport; // 406
    Missing onMissing = Missing::SkipAndReport;    // 404 of an entity that others declare

    [[nodiscard]] RecoveryPolicy withEnabled(bool isEnabled = true) const;
    [[nodiscard]] RecoveryPolicy withTopology(bool declares = true) const;
    [[nodiscard]] RecoveryPolicy withMaximumAttempts(int attempts) const;
    [[nodiscard]] RecoveryPolicy withDelays(std::chrono::milliseconds initial, std::chrono::milliseconds maximum,
                                            double growth = 2.0) const;
    [[nodiscard]] RecoveryPolicy withCalmAfter(std::chrono::milliseconds time) const;
    [[nodiscard]] RecoveryPolicy withMismatch(Mismatch policy) const;
    [[nodiscard]] RecoveryPolicy withMissing(Missing policy) const;

    friend AMQPQT_EXPORT bool operator==(const RecoveryPolicy &a, const RecoveryPolicy &b) noexcept;
    friend bool operator!=(const RecoveryPolicy &a, const RecoveryPolicy &b) noexcept { return !(a == b); }
};

class AMQPQT_EXPORT RecoveryReport
{
    Q_GADGET
    Q_PROPERTY(int exchanges MEMBER exchanges CONSTANT)
    Q_PROPERTY(int queues MEMBER queues CONSTANT)
    Q_PROPERTY(int bindings MEMBER bindings CONSTANT)
    Q_PROPERTY(int consumers MEMBER consumers CONSTANT)
    Q_PROPERTY(QVariantMap renamedQueues MEMBER renamedQueues CONSTANT)
    Q_PROPERTY(bool complete READ isComplete CONSTANT)
    Q_PROPERTY(QStringList failures READ failures CONSTANT)
public:
    int exchanges = 0; // that were declared again, as are the next two
    int queues = 0;
    int bindings = 0;
    int consumers = 0;         // that were subscribed again
    QVariantMap renamedQueues; // old name -> new name
    QList<EntityFailure> failed;

    bool isComplete() const { return failed.isEmpty(); }
    QStringList failures() const; // as text
};

} // namespace AmqpQt
