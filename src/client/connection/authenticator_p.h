// SPDX-License-Identifier: MIT
#pragma once

#include "client/connection/credentials_p.h"
#include "engine/event_p.h"
#include "engine/settings_p.h"

#include <AmqpQt/connectionparameters.h>

namespace AmqpQt
{

class ConnectionPrivate;

// Authenticates a connection: prepares the login of each attempt, asks the application for credentials, sends renewed
// ones to the broker and passes challenges to the application's SASL mechanisms.
class Authenticator
{
public:
    using Reason = Connection::CredentialReason;

    explicit Authenticator(ConnectionPrivate &connection)
        : m_connection(connection)
    {
    }

    Reply<void> setCredentials(const QString &userName, const QString &secret,
                               std::optional<std::chrono::seconds> validFor);
    void parametersChanged(const ConnectionParameters &before); // those of the next attempt
    bool hasReceiver() const;                                   // of credentialsRequested()
    void receiversChanged();

    // Attempts. While the attempt waits for the application, nothing is connected, and no deadline runs.
    bool isWaiting() const noexcept { return m_request && *m_request != Reason::ExpiresSoon; }
    void stopWaiting() noexcept { m_request.reset(); }
    void attemptStarted();
    bool askIfNeeded();                       // before a login; returns whether the attempt has to wait
    bool continuesAfter(const Error &reason); // after a failed attempt
    Result<Engine::Login> login(const ConnectionParameters &attempt);
    void onResponseRequested(const Engine::ResponseRequested &event);
    void opened();
    void closed(const Error &reason);

    std::optional<Engine::Time> deadline() const;
    void tick(Engine::Time now);

private:
    bool canRenew() const;   // whether the connection is open and has not begun to close
    bool ask(Reason reason); // returns false if the signal has no receiver
    void continueAttempt();
    Reply<void> awaitRenewal(Engine::CallId call);
    void renewalEnded(const Credentials::Version &sent, const Error &error);
    void eraseIfWanted();

    ConnectionPrivate &m_connection;
    Credentials m_credentials;
    std::optional<Reason> m_request; // not answered yet
    bool m_mayHaveSentLogin = false; // the engine has been started with a login of the library's mechanisms
    int m_refusals = 0;              // of the attempt's logins, in a row
    Engine::Time m_refusedAt;
    quint64 m_loginNumber = 0;
};

} // namespace AmqpQt
