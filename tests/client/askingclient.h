// SPDX-License-Identifier: MIT
#pragma once

#include "client/clientsupport.h"

#include <functional>

// Shared by the tests of credentials.
namespace AmqpQt::Test
{

// A connection whose requests for credentials are recorded, and answered if the test sets an answer.
class AskingClient
{
public:
    using Reason = Connection::CredentialReason;

    explicit AskingClient(const ConnectionParameters &parameters)
        : connection(parameters)
    {
        log.watch(&connection);
        QObject::connect(&connection, &Connection::credentialsRequested, &connection, [this](Reason reason) {
            log.add(u"credentialsRequested "_s + nameOf(reason));
            requests += reason;
            if (const auto call = answer) // the client may be deleted in it
                call(reason);
        });
    }
    bool waitForRequests(int count)
    {
        return waitUntil([this, count] { return requests.size() >= count; });
    }
    bool open()
    {
        connection.open();
        return waitUntil([this] { return connection.isOpen(); });
    }
    bool waitForClosed(const QString &reason = u"ok"_s)
    {
        return waitUntil([this, reason] { return log.has(u"connection.closed "_s + reason); });
    }

    Connection connection;
    SignalLog log;
    QList<Reason> requests;
    std::function<void(Reason)> answer;
};

// Refuses logins with other passwords.
inline void acceptOnly(ScriptedPeer &peer, const QByteArray &password)
{
    peer.setHook([&peer, password](const Command &command) {
        if (command.name != "connection.start-ok" ||
            command.fields.value(u"response"_s).toByteArray().endsWith('\0' + password))
            return false;
        peer.closeConnection(403, "ACCESS_REFUSED - Login was refused");
        return true;
    });
}

inline ConnectionParameters withoutCredentials(const ScriptedPeer &peer)
{
    ConnectionParameters parameters = withoutRecovery();
    parameters.setEndpoints(parametersOf(peer).endpoints());
    return parameters;
}

inline QByteArray sentPassword(const ScriptedPeer &peer)
{
    return peer.last("connection.start-ok").fields.value(u"response"_s).toByteArray().split('\0').last();
}

} // namespace AmqpQt::Test
