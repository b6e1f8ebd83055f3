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

    void setCredentials(const QString &userName, const QString &secret, std::optional<std::chrono::seconds> validFor);
    void parametersChanged(const ConnectionParameters &before); // those of the next attempt

    // Attempts. While the attempt waits for the application, nothing is connected, and no deadline runs.
    bool isWaiting() const noexcept { return m_isWaiting; }
    void stopWaiting() noexcept
    {
        m_isWaiting = false;
        m_asked.reset();
    }
    bool asksBefore(const ConnectionParameters &attempt); // returns whether the attempt has to wait
    bool goesOnAfter(const Error &reason);                // after a failed attempt; returns whether it continues
    Result<Engine::Login> login(const ConnectionParameters &attempt);
    void onResponseRequested(const Engine::ResponseRequested &event);
    void opened();
    void closed(const Error &reason);

    std::optional<Engine::Time> deadline() const { return m_credentials.renewalAt(); }
    void tick(Engine::Time now);

private:
    bool ask(Reason reason); // returns false if the application does not listen
    void continueAttempt();
    void eraseIfWanted();

    ConnectionPrivate &m_connection;
    Credentials m_credentials;
    std::optional<Reason> m_asked; // not answered yet
    bool m_isWaiting = false;
    bool m_isLoginSent = false; // the engine has been started with a login that it may have sent
    quint64 m_loginNumber = 0;
};

} // namespace AmqpQt
