// SPDX-License-Identifier: MIT
#include "client/connection/calmstate_p.h"

#include "client/clock_p.h"
#include "client/connection/connection_p.h"

#include <AmqpQt/recovery.h>

#include <utility>

namespace AmqpQt
{

using State = Connection::State;

QString CalmState::text() const
{
    const Recovery &recovery = m_connection.recovery;
    switch (m_value) {
    case State::Closed:
        return m_connection.error.isError() ? Connection::tr("Not connected: %1").arg(m_connection.error.text())
                                            : Connection::tr("Not connected");
    case State::Connecting:
        return Connection::tr("Connecting");
    case State::Handshaking:
        return Connection::tr("Logging in");
    case State::Open:
        return m_connection.engine.flow().isBlocked() ? Connection::tr("Connected, blocked by the broker")
                                                      : Connection::tr("Connected");
    case State::Recovering:
        return recovery.attempt() > 1 ? Connection::tr("Reconnecting, attempt %1").arg(recovery.attempt())
                                      : Connection::tr("Reconnecting");
    case State::Closing:
        return Connection::tr("Closing");
    }
    return {};
}

void CalmState::stateChanged()
{
    const State state = m_connection.state;
    if (state == State::Recovering && m_value == State::Open) {
        const auto calmTime = m_connection.activeParameters().recoveryPolicy().calmAfter;
        if (!m_showsLossAt && calmTime.count() > 0)
            m_showsLossAt = now() + calmTime;
        if (m_showsLossAt)
            return;
    }
    m_showsLossAt.reset();
    setValue(state);
}

void CalmState::setValue(State value)
{
    if (std::exchange(m_value, value) == value)
        return;
    Connection *const q = m_connection.q;
    m_connection.dispatcher.defer(q, [q, value] { Q_EMIT q->calmStateChanged(value); });
    noteText();
}

void CalmState::noteText()
{
    Connection *const q = m_connection.q;
    m_connection.dispatcher.defer(q, [this, q] {
        if (QString now = text(); now != m_reportedText) {
            m_reportedText = std::move(now);
            Q_EMIT q->stateTextChanged();
        }
    });
}

void CalmState::tick(Engine::Time now)
{
    if (m_showsLossAt && now >= *m_showsLossAt) {
        m_showsLossAt.reset();
        setValue(m_connection.state);
    }
}

} // namespace AmqpQt
