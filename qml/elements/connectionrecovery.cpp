// SPDX-License-Identifier: MIT
#include "connectionrecovery.h"

#include <QtQml/qqmlinfo.h>

#include <algorithm>

namespace AmqpQt
{

ConnectionRecovery::ConnectionRecovery(QObject *connection)
    : m_connection(connection)
{
}

RecoveryPolicy ConnectionRecovery::policy() const
{
    RecoveryPolicy policy = m_policy;
    policy.maximumDelay = std::max(policy.initialDelay, policy.maximumDelay);
    return policy;
}

void ConnectionRecovery::setMaximumAttempts(int attempts)
{
    if (isAtLeast("recovery.maximumAttempts", attempts, 0))
        set(m_policy.maximumAttempts, attempts);
}

void ConnectionRecovery::setInitialDelay(int milliseconds)
{
    setTime("recovery.initialDelay", m_policy.initialDelay, milliseconds, 200);
}

void ConnectionRecovery::setMaximumDelay(int milliseconds)
{
    setTime("recovery.maximumDelay", m_policy.maximumDelay, milliseconds, 200);
}

void ConnectionRecovery::setCalmAfter(int milliseconds)
{
    setTime("recovery.calmAfter", m_policy.calmAfter, milliseconds, 0);
}

void ConnectionRecovery::setTime(const char *property, std::chrono::milliseconds &setting, int milliseconds,
                                 int minimum)
{
    if (isAtLeast(property, milliseconds, minimum))
        set(setting, std::chrono::milliseconds(milliseconds));
}

bool ConnectionRecovery::isAtLeast(const char *property, int value, int minimum) const
{
    if (value < minimum)
        qmlWarning(m_connection) << property << ": " << value << " is out of range; the minimum is " << minimum;
    return value >= minimum;
}

} // namespace AmqpQt
