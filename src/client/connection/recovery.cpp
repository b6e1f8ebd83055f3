// SPDX-License-Identifier: MIT
#include "client/connection/recovery_p.h"

#include "base/logging_p.h"
#include "client/connection/connection_p.h"
#include "client/connection/connectionparameters_p.h"
#include "engine/connection/recoverability_p.h"

#include <QtCore/qrandom.h>

#include <algorithm>
#include <utility>

namespace AmqpQt
{

using Engine::FailureClass;
using Engine::FailurePhase;

static Engine::Time now()
{
    return std::chrono::steady_clock::now();
}

Recovery::Recovery(ConnectionPrivate &connection)
    : m_connection(connection)
    , m_random([] { return QRandomGenerator::global()->generateDouble(); })
    , m_wallClock([] { return std::chrono::system_clock::now(); })
{
}

RecoveryPolicy Recovery::policy() const
{
    return m_connection.connector.parameters().recoveryPolicy();
}

bool Recovery::isOn() const
{
    return m_state != State::Off && policy().enabled;
}

void Recovery::started(bool isOnDevice)
{
    m_state = isOnDevice ? State::Off : State::Ready;
    m_isOpen = m_wasOpen = false;
    m_backoff = {};
    m_violations = {};
}

void Recovery::endOutage()
{
    if (!std::exchange(m_lostSince, {}).isValid())
        return;
    Connection *const q = m_connection.q;
    m_connection.dispatcher.defer(q, [q] { Q_EMIT q->reconnectAttemptChanged(0); });
}

bool Recovery::opened()
{
    m_backoff.connected(now());
    m_isOpen = true;
    if (m_state != State::Off)
        m_state = State::Ready;
    endOutage();
    return !std::exchange(m_wasOpen, true);
}

Recovery::Decision Recovery::afterFailure(const Error &reason)
{
    const bool wasOpen = std::exchange(m_isOpen, false);
    if (!isOn()) {
        m_state = State::Off;
        return Decision::Close;
    }
    const Engine::Time time = now();
    if (wasOpen)
        m_backoff.lost(time);
    if (!mayHelp(reason, wasOpen) || hasTooManyViolations(reason, time)) {
        stop();
        return m_wasOpen ? Decision::GiveUp : Decision::Close;
    }
    scheduleAttempt(time);
    return Decision::Continue;
}

bool Recovery::mayHelp(const Error &reason, bool wasOpen)
{
    const int maximumAttempts = policy().maximumAttempts;
    if (maximumAttempts > 0 && m_backoff.attempts() >= maximumAttempts)
        return false;
    switch (Engine::classify(reason, wasOpen ? FailurePhase::Open : FailurePhase::Opening)) {
    case FailureClass::Recoverable:
        return true;
    case FailureClass::Credentials: // after a failed attempt, the application has been asked already if it can be
        return wasOpen && m_connection.authenticator.hasReceiver();
    case FailureClass::Final:
        break;
    }
    return false;
}

// A violation of the protocol that repeats itself is due to a defect, which attempts cannot remedy.
bool Recovery::hasTooManyViolations(const Error &reason, Engine::Time now)
{
    constexpr std::chrono::seconds Span(60);
    if (!Engine::isViolation(reason))
        return false;
    if (m_violations[0] && now - *m_violations[0] < Span)
        return true;
    m_violations = {m_violations[1], now};
    return false;
}

void Recovery::scheduleAttempt(Engine::Time now)
{
    const RecoveryPolicy policy = this->policy();
    m_backoff.setLimits({policy.initialDelay, policy.maximumDelay, policy.factor});
    m_delay = m_backoff.nextDelay(m_random());
    if (!m_network)
        setNetworkState(NetworkState::ofSystem());
    if (lacksNetwork())
        m_delay = policy.maximumDelay; // the platform may be wrong
    m_failedAt = now;
    m_nextAt = now + m_delay;
    m_sleep.start(now, m_wallClock());
    m_state = State::Waiting;
    if (!m_lostSince.isValid())
        m_lostSince = QDateTime::currentDateTime();
}

void Recovery::report()
{
    Connection *const q = m_connection.q;
    qCDebug(lcConnection) << q << "attempt" << attempt() << "to connect again follows in" << m_delay.count() << "ms";
    m_connection.dispatcher.defer(q, [q, attempt = attempt()] { Q_EMIT q->reconnectAttemptChanged(attempt); });
    m_connection.dispatcher.defer(
        q, [q, attempt = attempt(), delay = m_delay] { Q_EMIT q->reconnecting(attempt, delay); });
    m_connection.calm.noteText();
}

bool Recovery::stop()
{
    endOutage();
    return std::exchange(m_state, State::Off) == State::Waiting;
}

void Recovery::reconnectNow()
{
    if (m_state != State::Waiting)
        return;
    m_nextAt = now();
    m_connection.scheduler.schedule();
}

void Recovery::setNetworkState(std::unique_ptr<NetworkState> state)
{
    m_network = std::move(state);
    m_network->setParent(&m_connection); // so that it moves to another thread as well
    QObject::connect(m_network.get(), &NetworkState::changed, &m_connection, [this] { networkChanged(); });
}

// A broker on this machine does not need a network.
bool Recovery::lacksNetwork() const
{
    const QList<Endpoint> endpoints = m_connection.parameters.endpoints();
    return m_network->isOffline() && std::none_of(endpoints.cbegin(), endpoints.cend(),
                                                  [](const Endpoint &endpoint) { return isLoopback(endpoint.host); });
}

void Recovery::networkChanged()
{
    if (m_state != State::Waiting)
        return;
    if (!lacksNetwork())
        return hasten();
    m_nextAt = std::max(m_nextAt, m_failedAt + policy().maximumDelay);
}

void Recovery::hasten()
{
    m_nextAt = std::min(m_nextAt, std::max(now(), m_failedAt + Engine::Backoff::MinimumDelay));
    m_connection.scheduler.schedule();
}

std::chrono::milliseconds Recovery::timeToNextAttempt() const
{
    using std::chrono::milliseconds;
    if (m_state != State::Waiting)
        return milliseconds(0);
    return std::max(milliseconds(0), std::chrono::ceil<milliseconds>(m_nextAt - now()));
}

std::optional<Engine::Time> Recovery::deadline() const
{
    return m_state == State::Waiting ? std::optional(std::min(m_nextAt, m_sleep.nextCheck())) : std::nullopt;
}

void Recovery::tick(Engine::Time now)
{
    if (m_state == State::Waiting && now >= m_sleep.nextCheck() && m_sleep.hasSlept(now, m_wallClock()))
        hasten();
    if (m_state != State::Waiting || now < m_nextAt)
        return;
    m_state = State::Attempting;
    ConnectionParameters attempt = m_connection.parameters; // the latest ones
    attempt.setConnectionAttempts(1);
    m_connection.connector.start(attempt, {});
}

} // namespace AmqpQt
