// SPDX-License-Identifier: MIT
#pragma once

#include "engine/time_p.h"

#include <AmqpQt/connection.h>

#include <optional>

namespace AmqpQt
{

// Knows when a connection needs new credentials, and why. The caller keeps the credentials themselves, and passes the
// time.
//
//   state     the next attempt                  entered by
//   Default   asks first                        the application has not set any credentials
//   Usable    uses them, unless they expired    set(), parametersReplaced()
//   Refused   asks first                        loginRefused(), renewalRefused()
//   Missing   asks first                        parametersReplaced(), erased(), expired()
//
// An open connection asks when most of the life of its own credentials is over, and once more halfway to their expiry
// if there is no answer.
class Credentials
{
public:
    using Reason = Connection::CredentialReason;
    using Life = std::optional<std::chrono::milliseconds>; // not set if they do not expire
    enum class State : quint8 { Default, Usable, Refused, Missing };
    struct Expiry {
        Engine::Time at;
        Engine::Time renewal;
        Engine::Time reminder() const { return renewal + (at - renewal) / 2; }
    };
    struct Version {
        quint64 serial = 0;
        std::optional<Expiry> expiry;
    };

    // Credentials for the next login. `random` is from 0 to 1; it spreads the renewals of many clients.
    void set(Life life, Engine::Time now, double random);
    // Other parameters were set. `state` is that of their credentials, which do not expire; not set if the credentials
    // are the same as before.
    void parametersReplaced(std::optional<State> state);
    void erased();
    const Version &latest() const noexcept { return m_latest; }

    // An attempt. It has a copy of the credentials, so others may be set during it.
    void attemptStarted();   // with the latest credentials
    void attemptContinued(); // with the latest credentials, in answer to a request or after a refusal
    std::optional<Reason> neededAt(Engine::Time now) const; // why the application has to be asked before the login
    // The broker refused the login. Returns whether newer credentials were set for the attempt, which may be used at
    // once. Credentials that belong to other parameters must not be sent to this broker.
    bool loginRefused();
    bool areLatestSpent() const noexcept; // used by the attempt or the connection, or refused
    void opened();

    // An open connection.
    bool mustRenew() const; // whether its credentials expire, so that new ones are sent to the broker
    std::optional<Engine::Time> requestAt() const; // when the application has to be asked
    void requested(Engine::Time now);
    std::optional<Engine::Time> expiryAt() const; // when the credentials expire without an answer
    void expiryReported() { m_isExpiryReported = true; }
    void renewalSent() { m_isRenewing = true; } // the latest credentials; the broker has not answered yet
    void renewed(const Version &version);
    void renewalRefused(const Version &version);
    void expired(); // the broker has closed the connection because of the age of its credentials
    void closed();

private:
    State m_state = State::Default; // of the latest credentials
    Version m_latest;               // for the next login
    bool m_isNewer = false;         // set() was called during the attempt, with the attempt's parameters
    bool m_isForAttempt = false;    // set() applies to the attempt

    Version m_used; // by the attempt or the open connection
    bool m_isOpen = false;
    bool m_wasOpen = false;
    int m_requests = 0; // for a renewal
    bool m_isRenewing = false;
    bool m_isExpiryReported = false;
};

} // namespace AmqpQt
