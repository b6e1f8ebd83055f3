// SPDX-License-Identifier: MIT
#pragma once

#include "client/memoryclient.h"

#include <AmqpQt/recovery.h>

// Shared by the tests of automatic recovery.
namespace AmqpQt::Test
{

inline const Error Unreachable(ErrorKind::Network, u"unreachable"_s);
inline constexpr std::chrono::milliseconds Never = 24h;

inline ConnectionParameters with(const RecoveryPolicy &policy, ConnectionParameters parameters = {})
{
    parameters.setRecoveryPolicy(policy);
    return parameters;
}

// With a receiver of credentialsRequested(), these are not asked for before the first attempt.
inline ConnectionParameters withCredentials(ConnectionParameters parameters = {})
{
    parameters.setCredentials(u"user"_s, u"password"_s);
    return parameters;
}

// The next attempt follows soon, so that tests need not ask for it.
inline RecoveryPolicy soon()
{
    return RecoveryPolicy().withDelays(200ms, 200ms, 1.0);
}

// The next attempt follows only if something hastens it.
inline RecoveryPolicy later()
{
    return RecoveryPolicy().withDelays(Never, Never, 1.0);
}

// A client that recovers. Its delays are as long as possible.
class ReconnectingClient : public Client
{
public:
    explicit ReconnectingClient(const ConnectionParameters &parameters = with(later()))
        : Client(parameters)
    {
        recovery().setRandom([] { return 1.0; });
    }

    Recovery &recovery() { return ConnectionPrivate::of(&connection)->recovery; }
    bool isRecovering() const { return connection.state() == Connection::State::Recovering; }
    bool isWaiting() { return recovery().isWaiting(); }

    // Loses the open connection, and returns when the connection waits for the next attempt.
    bool lose(const Error &reason = Unreachable)
    {
        broker().transport->fail(reason);
        return waitUntil([this] { return isWaiting(); });
    }
    // Starts the next attempt; returns when its transport exists.
    bool tryAgain()
    {
        const size_t count = brokers.size();
        connection.reconnectNow();
        return waitUntil([this, count] { return brokers.size() > count; });
    }
    // Makes the next attempt, which succeeds.
    bool recover()
    {
        if (!tryAgain())
            return false;
        broker().transport->accept();
        return waitUntil([this] { return connection.isOpen(); });
    }
    // Makes the next attempt, which fails.
    bool fail()
    {
        if (!tryAgain())
            return false;
        broker().transport->fail(Unreachable);
        return waitUntil([this] { return isWaiting() || connection.state() == Connection::State::Closed; });
    }
    QStringList takeLog()
    {
        settleEvents();
        QStringList entries = std::exchange(log.entries, {});
        entries.removeIf(comesOncePerTurn);
        return entries;
    }
};

} // namespace AmqpQt::Test
