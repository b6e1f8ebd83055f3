// SPDX-License-Identifier: MIT
#pragma once

#include "client/clientsupport.h"

#include <QtNetwork/qtcpserver.h>

// Shared by the tests of connection attempts.
namespace AmqpQt::Test
{

inline Endpoint closedPort()
{
    return {u"127.0.0.1"_s, 1}; // not a port that has just been freed, since another process may listen on it by now
}

inline Endpoint endpointOf(const ScriptedPeer &peer)
{
    return {u"127.0.0.1"_s, peer.port()};
}

inline ConnectionParameters to(const QList<Endpoint> &endpoints)
{
    ConnectionParameters parameters = withoutRecovery();
    parameters.setEndpoints(endpoints);
    return parameters;
}

// A connection with operations of all kinds that wait for it to open.
struct Waiting {
    explicit Waiting(const ConnectionParameters &parameters)
        : connection(parameters)
    {
        log.watch(&connection);
        for (int i = 1; i <= 2; ++i) {
            Channel *channel = connection.createChannel();
            const QString name = u"channel%1"_s.arg(i);
            log.watch(channel, name);
            log.watch(channel->whenOpen(), name + u".whenOpen"_s);
            log.watch(channel->declareQueue(u"q"_s), name + u".declareQueue"_s);
            channel->publish({}, u"q"_s, Message("1"));
            log.watch(channel->get(u"q"_s), name + u".get"_s);
            channel->publish({}, u"q"_s, Message("2"));
            Consumer *consumer = channel->consume(u"q"_s);
            log.watch(consumer, u"consumer%1"_s.arg(i));
            log.watch(consumer->whenStarted(), u"consumer%1.whenStarted"_s.arg(i));
        }
        log.watch(connection.whenOpen(), u"whenOpen"_s);
    }
    bool open()
    {
        log.watch(connection.open(), u"open"_s);
        return waitUntil(
            [this] { return log.has(u"connection.opened"_s) || !log.only(u"connection.closed"_s).isEmpty(); });
    }

    Connection connection;
    SignalLog log;
};

} // namespace AmqpQt::Test
