// SPDX-License-Identifier: MIT
#include "client/connection/recovery_p.h"

#include "base/logging_p.h"
#include "client/channel/channel_p.h"
#include "client/clock_p.h"
#include "client/connection/connection_p.h"
#include "client/connection/connectionparameters_p.h"
#include "client/topology/topologyrestorer_p.h"
#include "engine/connection/recoverability_p.h"

#include <QtCore/qrandom.h>

#include <algorithm>
#include <utility>

namespace AmqpQt
{

using namespace Qt::StringLiterals;
using Engine::FailureClass;
using Engine::FailurePhase;

Recovery::Recovery(ConnectionPrivate &connection)
    : m_connection(connection)
    , m_random([] { return QRandomGenerator::global()->generateDouble(); })
    , m_clock(&AmqpQt::now)
    , m_wallClock([] { return std::chrono::system_clock::now(); })
{
}

Recovery::~Recovery() = default;

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
    if (std::exchange(m_wasOpen, true)) {
        m_state = State::Restoring;
        restoreTopology();
        return false;
    }
    if (m_state != State::Off)
        m_state = State::Ready;
    endOutage();
    return true;
}

void Recovery::restoreTopology()
{
    m_report = {};
    const Engine::TopologyRecord *record = m_connection.engine.recordedTopology();
    if (!policy().topology || !record || record->confirmed().isEmpty())
        return releaseChannels();
    m_restorer =
        std::make_unique<TopologyRestorer>(&m_connection, [this](const Error &failure) { topologyRestored(failure); });
    m_restorer->start();
}

void Recovery::topologyRestored(const Error &failure)
{
    if (failure.isError()) {
        m_connection.engine.abort(failure);
        return m_connection.scheduler.schedule();
    }
    m_report = m_restorer->report();
    if (const QHash<QString, QString> newNames = m_restorer->newNames(); !newNames.isEmpty())
        renameQueues(newNames);
    if (m_restorer->isWaiting())
        m_restorer->endChannel(); // which may have borrowed its number
    else
        m_restorer.reset();
    releaseChannels();
}

void Recovery::renameQueues(const QHash<QString, QString> &newNames)
{
    m_connection.engine.gate().renameQueues(newNames);
    Connection *const q = m_connection.q;
    for (auto name = newNames.cbegin(); name != newNames.cend(); ++name)
        m_connection.dispatcher.defer(q,
                                      [q, from = name.key(), to = name.value()] { Q_EMIT q->queueRenamed(from, to); });
    for (ChannelPrivate *channel : m_connection.channels.all())
        channel->renameQueues(newNames);
}

void Recovery::releaseChannels()
{
    m_connection.engine.gate().release();
    m_connection.scheduler.schedule();
}

void Recovery::channelsRestored(const Engine::ChannelsRestored &event)
{
    if (m_state != State::Restoring)
        return; // the connection is closing, or has been lost again
    m_state = State::Ready;
    endOutage();
    m_connection.setOpen();
    RecoveryReport report = std::exchange(m_report, {});
    report.consumers = event.consumers;
    for (const Engine::ChannelsRestored::Failure &failure : event.failures) {
        const QString entity =
            failure.consumerTag.isEmpty()
                ? u"channel %1"_s.arg(failure.channel)
                : u"consumer \"%1\" of queue \"%2\""_s.arg(QString::fromUtf8(failure.consumerTag), failure.queue);
        report.failed.append({entity, failure.error});
    }
    Connection *const q = m_connection.q;
    m_connection.dispatcher.defer(q, [q, report] { Q_EMIT q->recovered(report); });
}

Recovery::Decision Recovery::afterFailure(const Error &reason)
{
    const bool wasOpen = std::exchange(m_isOpen, false);
    const bool wasRecovering = m_lostSince.isValid();
    const bool isOn = this->isOn(); // the policy may have changed meanwhile
    const Engine::Time time = now();
    m_restorer.reset();
    if (wasOpen && !wasRecovering)
        m_backoff.lost(time);
    if (!isOn || !mayHelp(reason, wasOpen) || hasTooManyViolations(reason, time)) {
        stop();
        return m_wasOpen && (isOn || wasRecovering) ? Decision::GiveUp : Decision::Close;
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
    m_restorer.reset();
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
