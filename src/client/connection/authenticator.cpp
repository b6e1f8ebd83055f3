// SPDX-License-Identifier: MIT
#include "client/connection/authenticator_p.h"

#include "base/logging_p.h"
#include "client/clock_p.h"
#include "client/connection/connection_p.h"
#include "client/connection/connectionparameters_p.h"
#include "engine/connection/recoverability_p.h"
#include "engine/connection/sasl_p.h"

#include <AmqpQt/saslmechanism.h>

#include <QtCore/qmetaobject.h>
#include <QtCore/qpointer.h>
#include <QtCore/qrandom.h>

#include <algorithm>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

Reply<void> Authenticator::setCredentials(const QString &userName, const QString &secret,
                                          std::optional<std::chrono::seconds> validFor)
{
    constexpr std::chrono::hours Year(365 * 24);
    constexpr std::chrono::seconds Maximum = 100 * Year; // the clock counts nanoseconds up to 292 years
    const auto reject = [this](const Error &reason) {
        m_connection.reportCallError(reason);
        return Promise<void>::finished(reason);
    };
    if (const QString problem = ConnectionParametersPrivate::credentialsProblem(userName, secret); !problem.isEmpty())
        return reject(Error(ErrorKind::InvalidArgument, "credentials: "_L1 + problem));
    if (validFor && (validFor->count() < 1 || *validFor > Maximum))
        return reject(Error(
            ErrorKind::InvalidArgument,
            u"validFor: %1 s is out of range; the range is 1 to %2 s"_s.arg(validFor->count()).arg(Maximum.count())));
    std::optional<Engine::CallId> renewal;
    if (m_credentials.mustRenew() && canRenew()) {
        const Result<Engine::CallId> call =
            m_connection.engine.ownCalls().updateSecret(Secret(secret).bytes(), u"the credentials were renewed"_s);
        if (!call)
            return reject(call.error());
        renewal = *call;
    }
    m_connection.parameters.setCredentials(userName, secret);
    m_connection.noteParametersChanged();
    m_credentials.set(validFor, now(), QRandomGenerator::global()->generateDouble());
    const bool continues = isWaiting();
    m_request.reset();
    if (renewal)
        return awaitRenewal(*renewal);
    if (continues)
        continueAttempt();
    return Promise<void>::finished({});
}

void Authenticator::parametersChanged(const ConnectionParameters &before)
{
    using Kind = ConnectionParametersPrivate::Credentials;
    const auto &parameters = ConnectionParametersPrivate::of(m_connection.parameters);
    if (parameters.hasSameCredentials(ConnectionParametersPrivate::of(before)))
        return m_credentials.parametersReplaced(std::nullopt);
    const bool isMissing = parameters.credentials == Kind::Erased || parameters.password.isEmpty();
    m_credentials.parametersReplaced(parameters.credentials == Kind::Default ? Credentials::State::Default
                                     : isMissing                             ? Credentials::State::Missing
                                                                             : Credentials::State::Usable);
}

bool Authenticator::hasReceiver() const
{
    return m_connection.hasReceiver(QMetaMethod::fromSignal(&Connection::credentialsRequested));
}

void Authenticator::receiversChanged()
{
    if (isWaiting() && !hasReceiver())
        m_connection.connector.endWait(
            Error(ErrorKind::Authentication,
                  u"credentialsRequested() has no receiver any more that could set credentials"_s));
    else if (!canRenew())
        return;
    m_connection.scheduler.schedule(); // a new receiver may be asked
}

bool Authenticator::ask(Reason reason)
{
    if (!hasReceiver())
        return false;
    Connection *const q = m_connection.q;
    m_request = reason;
    m_connection.dispatcher.defer(q, [this, q, reason] {
        if (m_request == reason) // not answered or given up meanwhile
            Q_EMIT q->credentialsRequested(reason);
    });
    return true;
}

void Authenticator::attemptStarted()
{
    m_refusals = 0;
    m_credentials.attemptStarted();
}

bool Authenticator::askIfNeeded()
{
    const ConnectionParameters &attempt = m_connection.activeParameters();
    if (attempt.error().isError() || !ConnectionParametersPrivate::of(attempt).prefersPassword())
        return false;
    const std::optional<Reason> reason = m_credentials.neededAt(now());
    return reason && ask(*reason);
}

bool Authenticator::continuesAfter(const Error &reason)
{
    const Engine::Handshake &handshake = m_connection.engine.handshake();
    const bool mayHelp = Engine::classify(reason, Engine::FailurePhase::Opening) == Engine::FailureClass::Credentials;
    const bool isRefused = std::exchange(m_mayHaveSentLogin, false) && mayHelp && handshake.isLoginSent() &&
                           Engine::sendsPassword(handshake.mechanism());
    if (!isRefused)
        return false;
    ++m_refusals;
    m_refusedAt = now();
    const bool hasNewer = m_credentials.loginRefused();
    if (!m_connection.connector.canRestart())
        return false;
    if (hasNewer) {
        continueAttempt();
        return true;
    }
    if (!ask(Reason::Refused))
        return false;
    eraseIfWanted();
    return true;
}

// The answer belongs to the attempt, so it is used even if other parameters were set meanwhile.
void Authenticator::continueAttempt()
{
    m_credentials.attemptContinued();
    std::chrono::milliseconds delay(0);
    if (m_refusals > 1) { // an application may give the same answer to each refusal
        const Engine::Time next = m_refusedAt + m_connection.activeParameters().retryDelay();
        delay = std::max(delay, std::chrono::ceil<std::chrono::milliseconds>(next - now()));
    }
    m_connection.connector.restart(delay);
}

Result<Engine::Login> Authenticator::login(const ConnectionParameters &attempt)
{
    m_mayHaveSentLogin = false;
    ++m_loginNumber;
    const auto &parameters = ConnectionParametersPrivate::of(attempt);
    Engine::Login login;
    for (const auto &own : parameters.ownMechanisms)
        login.mechanisms.push_back({.name = own.name, .isFromApplication = true});
    if (!login.mechanisms.empty())
        return login;
    const bool areErased = parameters.credentials == ConnectionParametersPrivate::Credentials::Erased;
    if (areErased && parameters.prefersPassword())
        return Error(ErrorKind::Authentication, u"the credentials were erased after the previous attempt to connect "
                                                "(eraseOnConnect); call Connection::setCredentials()"_s);
    for (const QString &name : parameters.mechanismNames) {
        if (const QByteArray mechanism = name.toLatin1(); !areErased || !Engine::sendsPassword(mechanism))
            login.mechanisms.push_back({.name = mechanism});
    }
    if (parameters.usesPassword())
        login.password = parameters.password;
    m_mayHaveSentLogin = true;
    return login;
}

void Authenticator::onResponseRequested(const Engine::ResponseRequested &event)
{
    const auto &mechanisms = ConnectionParametersPrivate::of(m_connection.activeParameters()).ownMechanisms;
    const auto found = std::find_if(mechanisms.begin(), mechanisms.end(),
                                    [&](const auto &own) { return own.name == event.mechanism; });
    Q_ASSERT(found != mechanisms.end()); // login() has passed this list to the engine
    m_connection.dispatcher.defer(m_connection.q, [this, mechanism = found->mechanism, challenge = event.challenge,
                                                   number = m_loginNumber] {
        const QPointer<ConnectionPrivate> connection(&m_connection);
        std::optional<QByteArray> response = challenge ? mechanism->respond(*challenge) : mechanism->initialResponse();
        if (connection && m_loginNumber == number && connection->isAttempting()) {
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
    m_request.reset();
    if (reason.replyCode() == ConnectionForced && reason.text().contains("credential expired"_L1))
        m_credentials.expired();
    m_credentials.closed();
    eraseIfWanted();
}

void Authenticator::eraseIfWanted()
{
    if (m_connection.activeParameters().eraseOnConnect())
        m_connection.connector.eraseCredentials();
    if (!m_connection.parameters.eraseOnConnect() || !m_credentials.areLatestSpent())
        return;
    ConnectionParametersPrivate::edit(m_connection.parameters).eraseCredentials();
    m_credentials.erased();
}

// A connection that is lost has the state Open until the application learns of it.
bool Authenticator::canRenew() const
{
    return m_connection.state == Connection::State::Open && m_connection.engine.isOpen() &&
           !m_connection.engine.isClosing();
}

Reply<void> Authenticator::awaitRenewal(Engine::CallId call)
{
    m_credentials.renewalSent();
    Promise<void> promise;
    m_connection.addCall(call, [this, promise, sent = m_credentials.latest()](Engine::ReplyValue &value,
                                                                              ConnectionPrivate::Delivery delivery) {
        const Error *const failure = std::get_if<Error>(&value);
        const Error error = failure ? *failure : Error();
        renewalEnded(sent, error);
        promise.finish(failure ? Result<void>(error) : Result<void>(), delivery);
    });
    return promise.reply();
}

// Without an answer of the broker, the secret may still be used by the next attempt.
void Authenticator::renewalEnded(const Credentials::Version &sent, const Error &error)
{
    constexpr quint16 NotAllowed = 530;
    if (!error.isError())
        m_credentials.renewed(sent);
    else if (error.replyCode() == NotAllowed && error.method() == "connection.update-secret"_L1)
        m_credentials.renewalRefused(sent);
    else
        return;
    eraseIfWanted();
}

std::optional<Engine::Time> Authenticator::deadline() const
{
    if (!canRenew())
        return std::nullopt;
    const std::optional<Engine::Time> expiry = m_credentials.expiryAt();
    const std::optional<Engine::Time> request = m_credentials.requestAt();
    if (!request || !hasReceiver())
        return expiry;
    return expiry ? std::min(*expiry, *request) : request;
}

void Authenticator::tick(Engine::Time now)
{
    const auto isOver = [now](const std::optional<Engine::Time> &time) { return time && now >= *time; };
    if (!canRenew())
        return;
    if (isOver(m_credentials.requestAt()) && ask(Reason::ExpiresSoon))
        m_credentials.requested(now);
    if (isOver(m_credentials.expiryAt())) {
        qCWarning(lcConnection) << "the credentials of the connection to"
                                << m_connection.connector.endpoint().toString()
                                << "have expired, and no new ones were set; the broker may close the connection";
        m_credentials.expiryReported();
    }
}

} // namespace AmqpQt
