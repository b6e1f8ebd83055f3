// SPDX-License-Identifier: MIT
#pragma once

#include "client/clientsupport.h"
#include "client/connection/connection_p.h"

#include <AmqpQt/recovery.h>

// Shared by the tests of what survives the loss of a connection to a ScriptedPeer.
namespace AmqpQt::Test
{

// The connection recovers when recover() is called.
inline ConnectionParameters recovering(const ScriptedPeer &peer)
{
    ConnectionParameters parameters = parametersOf(peer);
    parameters.setRecoveryPolicy(RecoveryPolicy().withDelays(24h, 24h, 1.0));
    return parameters;
}

inline void loseConnection(ScriptedPeer &peer, Connection &connection)
{
    ConnectionPrivate::of(&connection)->recovery.setRandom([] { return 1.0; }); // so the delay is the longest
    peer.dropConnection();
    if (!waitUntil([&] { return connection.state() == Connection::State::Recovering; }))
        qFatal("the loss is not noticed");
    settleEvents();
}

inline void recover(Connection &connection)
{
    if (connection.state() == Connection::State::Recovering)
        connection.reconnectNow();
    else
        connection.open();
    if (!waitUntil([&] { return connection.isOpen(); }))
        qFatal("the connection does not open again");
}

// A client whose channel, with its consumers, survives the loss of its connection.
class RecoveringClient : public OpenClient
{
public:
    explicit RecoveringClient(ScriptedPeer &scriptedPeer)
        : OpenClient(recovering(scriptedPeer))
        , peer(scriptedPeer)
    {
    }
    void lose()
    {
        loseConnection(peer, connection);
        peer.forgetReceived();
    }
    bool recover()
    {
        Test::recover(connection);
        return waitUntil([this] { return channel->isOpen(); });
    }

    ScriptedPeer &peer;
};

} // namespace AmqpQt::Test
