// SPDX-License-Identifier: MIT
#include "client/connection/eventrouter_p.h"

#include "base/logging_p.h"
#include "client/channel/channel_p.h"
#include "client/connection/connection_p.h"
#include "client/consumer/consumer_p.h"
#include "client/publisher/publisher_p.h"

namespace AmqpQt
{

using Delivery = Internal::ReplyStateBase::Delivery;

EventRouter::EventRouter(ConnectionPrivate &connection)
    : m_connection(connection)
{
}

void EventRouter::route(Engine::Event &event, Message &spare)
{
    if (const auto *delivery = std::get_if<Engine::RepeatedDelivery>(&event)) { // most events of a steady stream
        countMessage();
        static_cast<ConsumerPrivate *>(delivery->consumer->client)->deliver(*delivery, spare);
    } else {
        std::visit(
            [&](auto &alternative) {
                if constexpr (!std::is_same_v<std::decay_t<decltype(alternative)>, Engine::RepeatedDelivery>)
                    on(alternative);
            },
            event);
    }
}

void EventRouter::on(Engine::Delivered &event)
{
    countMessage();
    static_cast<ConsumerPrivate *>(event.consumer->client)->deliver(event.message);
}

void EventRouter::on(Engine::ReplyArrived &event)
{
    finish(event, Delivery::Direct);
}

void EventRouter::finish(Engine::ReplyArrived &reply, Delivery delivery)
{
    if (const CallHandler handler = m_calls.take(reply.call))
        handler(reply.value, delivery);
}

void EventRouter::on(Engine::Opened &)
{
    m_connection.onOpened();
}

void EventRouter::on(Engine::ResponseRequested &event)
{
    m_connection.authenticator.onResponseRequested(event);
}

void EventRouter::on(Engine::ConnectionClosed &event)
{
    if (event.isSuspended)
        m_connection.mailbox->setLost(m_connection.engine.gate().lostIncarnation());
    m_connection.onClosed(event);
}

void EventRouter::on(Engine::BlockedChanged &event)
{
    m_connection.flow.setBlocked(event.blocked, event.reason);
}

void EventRouter::on(Engine::WritableChanged &event)
{
    m_connection.flow.setWritable(event.writable);
}

void EventRouter::on(Engine::ChannelOpened &event)
{
    if (auto *channel = static_cast<ChannelPrivate *>(event.channel->client))
        channel->onOpened();
}

void EventRouter::on(Engine::ChannelClosed &event)
{
    if (auto *channel = static_cast<ChannelPrivate *>(event.channel->client))
        channel->onClosed(event.reason);
}

void EventRouter::on(Engine::ChannelSuspended &event)
{
    if (auto *channel = static_cast<ChannelPrivate *>(event.channel->client))
        channel->onSuspended();
}

void EventRouter::on(Engine::ChannelsRestored &event)
{
    m_connection.recovery.channelsRestored(event);
}

void EventRouter::on(Engine::FlowChanged &event)
{
    if (auto *channel = static_cast<ChannelPrivate *>(event.channel->client))
        channel->flow.setFlow(event.active);
}

void EventRouter::on(Engine::Returned &event)
{
    auto *channel = static_cast<ChannelPrivate *>(event.channel->client);
    if (!channel)
        return;
    const Engine::ReturnedMessage &returned = event.message;
    Engine::ReceivedMessage message{returned.exchange, returned.routingKey, returned.properties, returned.body};
    Q_EMIT channel->q->messageReturned(event.sequence, channel->makeMessage(message, {}, true), returned.reason);
}

void EventRouter::on(Engine::PublishConfirmed &event)
{
    auto *channel = static_cast<ChannelPrivate *>(event.channel->client);
    if (!channel)
        return;
    channel->confirms.publishesEnded(event.first, event.last, {});
    Q_EMIT channel->q->publishConfirmed(event.first, event.last);
}

void EventRouter::on(Engine::PublishFailed &event)
{
    auto *channel = static_cast<ChannelPrivate *>(event.channel->client);
    if (!channel) {
        qCWarning(lcChannel) << "channel" << event.channel->number() << "was deleted; its messages" << event.first
                             << "to" << event.last << "ended with" << event.reason;
        return;
    }
    channel->confirms.publishesEnded(event.first, event.last, event.reason);
    Q_EMIT channel->q->publishFailed(event.first, event.last, event.reason);
}

void EventRouter::on(Engine::ConfirmWindowChanged &event)
{
    if (auto *channel = static_cast<ChannelPrivate *>(event.channel->client))
        channel->flow.setConfirmWindowFull(event.full);
}

void EventRouter::on(Engine::BackpressureDetected &event)
{
    qCWarning(lcConnection)
        << event.queuedBytes
        << "bytes are waiting to be sent; messages are published faster than the broker accepts them";
    Q_EMIT m_connection.q->backpressureDetected(event.queuedBytes);
}

void EventRouter::on(Engine::ConsumerCancelled &event)
{
    if (auto *consumer = static_cast<ConsumerPrivate *>(event.consumer->client))
        consumer->onCancelledByBroker(event.consumer.get(), event.reason);
}

void EventRouter::routeLast(Engine::Event &event)
{
    if (auto *reply = std::get_if<Engine::ReplyArrived>(&event)) {
        finish(*reply, Delivery::Posted);
    } else if (const auto *failed = std::get_if<Engine::PublishFailed>(&event)) {
        if (auto *channel = static_cast<ChannelPrivate *>(failed->channel->client)) {
            channel->confirms.publishesEnded(failed->first, failed->last, failed->reason);
            if (channel->publisher)
                channel->publisher->finishReplies(failed->first, failed->last, failed->reason);
            m_connection.dispatcher.defer(channel->q,
                                          [q = channel->q, first = failed->first, last = failed->last,
                                           reason = failed->reason] { Q_EMIT q->publishFailed(first, last, reason); });
        }
    } else if (const auto *confirmed = std::get_if<Engine::PublishConfirmed>(&event)) {
        if (auto *channel = static_cast<ChannelPrivate *>(confirmed->channel->client)) {
            channel->confirms.publishesEnded(confirmed->first, confirmed->last, {});
            if (channel->publisher)
                channel->publisher->finishReplies(confirmed->first, confirmed->last, {});
            m_connection.dispatcher.defer(channel->q,
                                          [q = channel->q, first = confirmed->first, last = confirmed->last] {
                                              Q_EMIT q->publishConfirmed(first, last);
                                          });
        }
    }
}

} // namespace AmqpQt
