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
//   Usable    uses them, unless they expired    set()
//   Refused   asks first                        loginRefused(), secretRefused()
//   Missing   asks first                        erased(), expired()
//
// An open connection asks once when most of the life of its own credentials is over.
class Credentials
{
public:
    using Reason = Connection::CredentialReason;
    using Life = std::optional<std::chrono::milliseconds>; // not set if they do not expire

    // Credentials for the next login. `random` is from 0 to 1; it spreads the renewals of many clients.
    void set(Life life, Engine::Time now, double random);
    void reset(bool areDefault); // other parameters were set, whose credentials do not expire
    void erased();

    // Why the application has to be asked before the next login.
    std::optional<Reason> neededAt(Engine::Time now) const;
    void loginStarted();
    // The broker refused the login. Returns whether newer credentials were set meanwhile, which may be used at once.
    bool loginRefused();
    bool areUsed() const noexcept { return m_serial == m_loginSerial; } // no newer ones wait for the next login
    void opened();

    // An open connection.
    bool mustRenew() const; // whether its credentials expire, so that new ones are sent to the broker
    void renewed();         // the current credentials were sent
    std::optional<Engine::Time> renewalAt() const;
    bool takeRenewal(Engine::Time now); // whether the application has to be asked now, once
    void expired();                     // the broker has closed the connection because of their age
    void secretRefused();               // the broker has closed the connection because of the renewed secret
    void closed();

private:
    enum class State : quint8 { Default, Usable, Refused, Missing };
    struct Expiry {
        Engine::Time at;
        Engine::Time renewal;
    };
    void loseLogin(State state);

    State m_state = State::Default;
    std::optional<Expiry> m_expiry; // of the next login's credentials
    quint64 m_serial = 0;           // counts the credentials

    // of the login under way or of the open connection
    std::optional<Expiry> m_loginExpiry;
    quint64 m_loginSerial = 0;
    bool m_isOpen = false;
    bool m_isRenewalDue = false; // not asked for yet
    bool m_wasOpen = false;
};

} // namespace AmqpQt
