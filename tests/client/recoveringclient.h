// SPDX-License-Identifier: MIT
#pragma once

#include "client/clientsupport.h"
#include "client/connection/connection_p.h"

namespace AmqpQt::Test
{

// Lets the loss of an open connection suspend its channels, which open() then restores.
inline void suspendWhenLost(Connection &connection)
{
    ConnectionPrivate *const d = ConnectionPrivate::of(&connection);
    Engine::Settings settings = Connector::settings(connection.parameters());
    settings.recovers = true;
    d->engine.configure(settings);
}

inline void loseConnection(ScriptedPeer &peer, Connection &connection)
{
    peer.dropConnection();
    if (!waitUntil([&] { return connection.state() != Connection::State::Open; }))
        qFatal("the loss is not noticed");
    settleEvents();
}

inline void openAgain(Connection &connection)
{
    connection.open();
    if (!waitUntil([&] { return connection.isOpen(); }))
        qFatal("the connection does not open again");
    suspendWhenLost(connection);
}

// A client whose channel, with its consumers, survives the loss of its connection.
class RecoveringClient : public OpenClient
{
public:
    explicit RecoveringClient(ScriptedPeer &scriptedPeer)
        : OpenClient(scriptedPeer)
        , peer(scriptedPeer)
    {
        suspendWhenLost(connection);
    }
    void lose()
    {
        loseConnection(peer, connection);
        peer.forgetReceived();
    }
    bool recover()
    {
        openAgain(connection);
        return waitUntil([this] { return channel->isOpen(); });
    }

    ScriptedPeer &peer;
};

} // namespace AmqpQt::Test
