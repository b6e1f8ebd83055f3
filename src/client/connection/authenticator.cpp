// SPDX-License-Identifier: MIT
#include "client/connection/authenticator_p.h"

#include "base/logging_p.h"
#include "client/connection/connection_p.h"
#include "client/connection/connectionparameters_p.h"

#include <AmqpQt/saslmechanism.h>

#include <QtCore/qmetaobject.h>
#include <QtCore/qpointer.h>
#include <QtCore/qrandom.h>

#include <algorithm>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

static Engine::Time now()
{
    return std::chrono::steady_clock::now();
}

void Authenticator::setCredentials(const QString &userName, const QString &secret,
                                   std::optional<std::chrono::seconds> validFor)
{
    ConnectionParameters changed = m_connection.parameters;
    ConnectionParametersPrivate::edit(changed).rejected.clear();
    changed.setCredentials(userName, secret);
    Error invalid = changed.error();
    if (validFor && validFor->count() < 1)
        invalid = Error(ErrorKind::InvalidArgument,
                        u"validFor: %1 s is out of range; the minimum is 1 s"_s.arg(validFor->count()));
    if (invalid.isError())
        return m_connection.reportCallError(invalid);

    m_connection.parameters.setCredentials(userName, secret);
    m_connection.noteParametersChanged();
    m_credentials.set(validFor, now(), QRandomGenerator::global()->generateDouble());
    m_asked.reset();
    if (m_isWaiting)
        return continueAttempt();
    if (!m_credentials.mustRenew() || m_connection.state != Connection::State::Open)
        return;
    m_credentials.renewed();
    m_connection.updateSecret(secret, u"the credentials were renewed"_s);
    eraseIfWanted();
}

void Authenticator::parametersChanged(const ConnectionParameters &before)
{
    const auto &parameters = ConnectionParametersPrivate::of(m_connection.parameters);
    if (!parameters.hasSameCredentials(ConnectionParametersPrivate::of(before)))
        m_credentials.reset(parameters.credentials == ConnectionParametersPrivate::Credentials::Default);
}

bool Authenticator::ask(Reason reason)
{
    Connection *const q = m_connection.q;
    if (!m_connection.hasReceiver(QMetaMethod::fromSignal(&Connection::credentialsRequested)))
        return false;
    m_asked = reason;
    m_connection.dispatcher.defer(q, [this, q, reason] {
        if (m_asked == reason) // not answered or given up meanwhile
            Q_EMIT q->credentialsRequested(reason);
    });
    return true;
}

bool Authenticator::asksBefore(const ConnectionParameters &attempt)
{
    const bool isUsable = !attempt.error().isError() && ConnectionParametersPrivate::of(attempt).usesPassword();
    const std::optional<Reason> reason = isUsable ? m_credentials.neededAt(now()) : std::nullopt;
    m_isWaiting = reason && ask(*reason);
    return m_isWaiting;
}

bool Authenticator::goesOnAfter(const Error &reason)
{
    const bool isRefused = std::exchange(m_isLoginSent, false) && reason.kind() == ErrorKind::Authentication &&
                           m_connection.engine.handshake().isLoginSent();
    if (!isRefused || !ConnectionParametersPrivate::of(m_connection.activeParameters()).usesPassword())
        return false;
    const bool hasNewCredentials = m_credentials.loginRefused();
    if (!m_connection.canDialAgain())
        return false;
    if (hasNewCredentials) {
        continueAttempt();
        return true;
    }
    m_isWaiting = ask(Reason::Refused);
    if (m_isWaiting)
        eraseIfWanted();
    return m_isWaiting;
}

// The answer belongs to the attempt, so it is used even if other parameters were set meanwhile.
void Authenticator::continueAttempt()
{
    m_isWaiting = false;
    const auto &given = ConnectionParametersPrivate::of(m_connection.parameters);
    ConnectionParameters attempt = m_connection.activeParameters();
    ConnectionParametersPrivate &changed = ConnectionParametersPrivate::edit(attempt);
    changed.userName = given.userName;
    changed.password = given.password;
    changed.credentials = given.credentials;
    m_connection.dialAgain(attempt);
}

Result<Engine::Login> Authenticator::login(const ConnectionParameters &attempt)
{
    m_isLoginSent = false;
    ++m_loginNumber;
    const auto &parameters = ConnectionParametersPrivate::of(attempt);
    Engine::Login login;
    for (const auto &mechanism : parameters.ownMechanisms)
        login.mechanisms.push_back({.name = mechanism->name(), .isClients = true});
    if (!login.mechanisms.empty())
        return login;
    if (parameters.usesPassword() && parameters.credentials == ConnectionParametersPrivate::Credentials::Erased)
        return Error(ErrorKind::Authentication, u"the credentials were erased after the previous attempt to connect "
                                                "(eraseOnConnect); call Connection::setCredentials()"_s);
    for (const QString &name : parameters.mechanismNames)
        login.mechanisms.push_back({.name = name.toLatin1()});
    if (parameters.usesPassword())
        login.password = parameters.password;
    m_credentials.loginStarted();
    m_isLoginSent = true;
    return login;
}

void Authenticator::onResponseRequested(const Engine::ResponseRequested &event)
{
    const auto &mechanisms = ConnectionParametersPrivate::of(m_connection.activeParameters()).ownMechanisms;
    const auto found = std::find_if(mechanisms.begin(), mechanisms.end(),
                                    [&](const auto &mechanism) { return mechanism->name() == event.mechanism; });
    if (found == mechanisms.end())
        return;
    const auto mechanism = *found;
    const auto challenge = event.challenge;
    m_connection.dispatcher.defer(m_connection.q, [this, mechanism, challenge, number = m_loginNumber] {
        const QPointer<ConnectionPrivate> connection(&m_connection);
        Authenticator *const self = this; // the function object may be gone after the call
        const quint64 asked = number;
        std::optional<QByteArray> response = challenge ? mechanism->respond(*challenge) : mechanism->initialResponse();
        if (connection && self->m_loginNumber == asked && connection->state == Connection::State::Handshaking) {
            std::optional<QByteArrayView> view;
            if (response)
                view = *response;
            if (const Error error = connection->engine.handshake().respond(view); error.isError())
                connection->engine.abort(error);
            connection->scheduler.schedule();
        }
        if (response)
            Secret::wipe(*response);
    });
}

void Authenticator::opened()
{
    m_credentials.opened();
    eraseIfWanted();
}

void Authenticator::closed(const Error &reason)
{
    constexpr quint16 ConnectionForced = 320;
    constexpr quint16 NotAllowed = 530;
    m_isWaiting = false;
    m_asked.reset();
    if (reason.replyCode() == ConnectionForced && reason.text().contains("credential expired"_L1))
        m_credentials.expired();
    else if (reason.replyCode() == NotAllowed && reason.method() == "connection.update-secret"_L1)
        m_credentials.secretRefused();
    m_credentials.closed();
    eraseIfWanted();
}

void Authenticator::eraseIfWanted()
{
    if (m_connection.activeParameters().eraseOnConnect())
        m_connection.eraseDialedCredentials();
    if (!m_connection.parameters.eraseOnConnect() || !m_credentials.areUsed())
        return;
    ConnectionParametersPrivate::edit(m_connection.parameters).eraseCredentials();
    m_credentials.erased();
}

void Authenticator::tick(Engine::Time now)
{
    if (m_credentials.takeRenewal(now) && !m_asked)
        ask(Reason::ExpiresSoon);
}

} // namespace AmqpQt
