// SPDX-License-Identifier: MIT
#pragma once

#include "engine/time_p.h"

#include <AmqpQt/connection.h>

#include <optional>

namespace AmqpQt
{

class ConnectionPrivate;

// The state of a connection as a user should see it: the loss of an open connection shows only if it lasts.
class CalmState
{
public:
    explicit CalmState(ConnectionPrivate &connection)
        : m_connection(connection)
    {
    }

    Connection::State value() const noexcept { return m_value; }
    QString text() const; // describes it, translated
    void stateChanged();  // of the connection
    void noteText();      // something else that text() contains has changed

    std::optional<Engine::Time> deadline() const noexcept { return m_showsLossAt; }
    void tick(Engine::Time now);

private:
    void setValue(Connection::State value);

    ConnectionPrivate &m_connection;
    Connection::State m_value = Connection::State::Closed;
    std::optional<Engine::Time> m_showsLossAt; // while a loss is not shown
    QString m_reportedText;
};

} // namespace AmqpQt
