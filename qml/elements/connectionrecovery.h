// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/recovery.h>

#include <QtCore/qobject.h>
#include <QtQml/qqmlregistration.h>

#include <utility>

namespace AmqpQt
{

// The group `recovery` of a Connection element: the settings of automatic recovery by name, with times in milliseconds.
class ConnectionRecovery : public QObject
{
    Q_OBJECT
    Q_PROPERTY(bool enabled READ isEnabled WRITE setEnabled RESET resetEnabled NOTIFY changed)
    Q_PROPERTY(
        int maximumAttempts READ maximumAttempts WRITE setMaximumAttempts RESET resetMaximumAttempts NOTIFY changed)
    Q_PROPERTY(int initialDelay READ initialDelay WRITE setInitialDelay RESET resetInitialDelay NOTIFY changed)
    Q_PROPERTY(int maximumDelay READ maximumDelay WRITE setMaximumDelay RESET resetMaximumDelay NOTIFY changed)
    Q_PROPERTY(int calmAfter READ calmAfter WRITE setCalmAfter RESET resetCalmAfter NOTIFY changed)
    QML_ANONYMOUS
public:
    explicit ConnectionRecovery(QObject *connection);

    RecoveryPolicy policy() const; // consistent, in whatever order the properties are set

    bool isEnabled() const { return m_policy.enabled; }
    int maximumAttempts() const { return m_policy.maximumAttempts; }
    int initialDelay() const { return int(m_policy.initialDelay.count()); }
    int maximumDelay() const { return int(m_policy.maximumDelay.count()); }
    int calmAfter() const { return int(m_policy.calmAfter.count()); }

    void setEnabled(bool enabled) { set(m_policy.enabled, enabled); }
    void setMaximumAttempts(int attempts);
    void setInitialDelay(int milliseconds);
    void setMaximumDelay(int milliseconds);
    void setCalmAfter(int milliseconds);

    void resetEnabled() { set(m_policy.enabled, RecoveryPolicy().enabled); }
    void resetMaximumAttempts() { set(m_policy.maximumAttempts, RecoveryPolicy().maximumAttempts); }
    void resetInitialDelay() { set(m_policy.initialDelay, RecoveryPolicy().initialDelay); }
    void resetMaximumDelay() { set(m_policy.maximumDelay, RecoveryPolicy().maximumDelay); }
    void resetCalmAfter() { set(m_policy.calmAfter, RecoveryPolicy().calmAfter); }

Q_SIGNALS:
    void changed();

private:
    bool isAtLeast(const char *property, int value, int minimum) const;
    void setTime(const char *property, std::chrono::milliseconds &setting, int milliseconds, int minimum);
    template <typename T>
    void set(T &setting, const T &value)
    {
        if (std::exchange(setting, value) != value)
            Q_EMIT changed();
    }

    QObject *const m_connection; // named by warnings
    RecoveryPolicy m_policy;
};

} // namespace AmqpQt
