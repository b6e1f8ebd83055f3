// SPDX-License-Identifier: MIT
#pragma once

#include "client/promise_p.h"
#include "engine/event_p.h"

#include <QtCore/qhash.h>

#include <functional>

namespace AmqpQt
{

class ConnectionPrivate;
class Message;

using CallHandler = std::function<void(Engine::ReplyValue &value, Internal::ReplyStateBase::Delivery delivery)>;

// Passes each event of the engine to the call, consumer, channel or connection that it concerns. Each event leads to
// one direct notification or only to deferred ones, so order is kept when a slot runs an event loop.
class EventRouter
{
public:
    explicit EventRouter(ConnectionPrivate &connection);

    void expectReply(Engine::CallId id, CallHandler handler) { m_calls.emplace(id, std::move(handler)); }
    void releaseIdleMemory()
    {
        if (m_calls.isEmpty())
            m_calls = {};
    }
    quint64 messagesIn() const noexcept { return m_messagesIn; } // delivered or fetched
    void countMessage() noexcept { ++m_messagesIn; }

    void route(Engine::Event &event, Message &spare); // a repeated delivery reuses the memory of `spare` if possible
    // Called while the connection is being deleted. Reports only the outcome of calls and messages, from the event
    // loop.
    void routeLast(Engine::Event &event);
    void finish(Engine::ReplyArrived &reply, Internal::ReplyStateBase::Delivery delivery);

private:
    void on(Engine::Delivered &event);
    void on(Engine::ReplyArrived &event);
    void on(Engine::Opened &event);
    void on(Engine::ResponseRequested &event);
    void on(Engine::ConnectionClosed &event);
    void on(Engine::BlockedChanged &event);
    void on(Engine::WritableChanged &event);
    void on(Engine::ChannelOpened &event);
    void on(Engine::ChannelClosed &event);
    void on(Engine::ChannelSuspended &event);
    void on(Engine::ChannelsRestored &event);
    void on(Engine::FlowChanged &event);
    void on(Engine::Returned &event);
    void on(Engine::PublishConfirmed &event);
    void on(Engine::PublishFailed &event);
    void on(Engine::ConfirmWindowChanged &event);
    void on(Engine::BackpressureDetected &event);
    void on(Engine::ConsumerCancelled &event);

    ConnectionPrivate &m_connection;
    QHash<Engine::CallId, CallHandler> m_calls;
    quint64 m_messagesIn = 0;
};

} // namespace AmqpQt
