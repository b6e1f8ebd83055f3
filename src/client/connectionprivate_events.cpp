// SPDX-License-Identifier: MIT

// The part of ConnectionPrivate that reports the engine's events to the application.

#include "client/connection_p.h"

#include "client/channel_p.h"
#include "client/consumer_p.h"
#include "client/publisher_p.h"
#include "values/logging_p.h"

namespace AmqpQt
{

using namespace Qt::StringLiterals;

// Each function makes one notification directly or all of them by defer(), so order is kept when a slot runs an event
// loop.

void ConnectionPrivate::dispatch(Engine::Event &event)
{
    std::visit([&](auto &alternative) { on(alternative); }, event);
}

void ConnectionPrivate::on(Engine::Delivered &event)
{
    ++statistics.messagesIn;
    static_cast<ConsumerPrivate *>(event.consumer->context)->deliver(event.message);
}

void ConnectionPrivate::on(Engine::ReplyArrived &event)
{
    if (const CallHandler handler = m_calls.take(event.call))
        handler(event.value, Delivery::Direct);
}

void ConnectionPrivate::on(Engine::Opened &)
{
    m_endpointsLeft.clear();
    finishLater(*std::exchange(m_opening, std::nullopt), {});
    for (const Promise<void> &promise : std::exchange(whenOpen, {}))
        finishLater(promise, {});
    setState(Connection::State::Open);
    defer(q, [this] { Q_EMIT q->opened(); });
}

void ConnectionPrivate::on(Engine::ConnectionClosed &event)
{
    const Error reason = event.reason;
    const Error notOpened = reason.isError() ? reason : Error(ErrorKind::Cancelled, u"the connection was closed"_s);
    if (state == Connection::State::Closing && engine.isWaitedFor()) { // the attempt failed before it was given up
        engine.endWaiting();
        return engine.postpone(std::move(event));
    }
    releaseTransport(event.graceful);
    if (triesNextEndpoint(reason))
        return connectToNextEndpoint();
    m_endpointsLeft.clear();
    prepareAttempt();
    tellBytesToWrite();
    if (const auto opening = std::exchange(m_opening, std::nullopt))
        finishLater<void>(*opening, notOpened);
    for (const Promise<void> &promise : std::exchange(whenOpen, {}))
        finishLater<void>(promise, notOpened);
    if (const auto closing = std::exchange(m_closing, std::nullopt))
        finishLater<void>(*closing, reason);
    if (reason.isError())
        setError(reason);
    setState(Connection::State::Closed);
    defer(q, [this, reason] { Q_EMIT q->closed(reason); });
}

void ConnectionPrivate::on(Engine::BlockedChanged &event)
{
    toldBlocked = event.blocked;
    blockedReason = event.reason;
    defer(q, [this, blocked = event.blocked, reason = event.reason] { Q_EMIT q->blockedChanged(blocked, reason); });
    if (!toldBufferFull)
        defer(q, [this, blocked = event.blocked] { Q_EMIT q->writableChanged(!blocked); });
    tellBackpressure();
}

void ConnectionPrivate::on(Engine::WritableChanged &event)
{
    toldBufferFull = !event.writable;
    if (!toldBlocked)
        defer(q, [this, writable = event.writable] { Q_EMIT q->writableChanged(writable); });
    tellBackpressure();
}

void ConnectionPrivate::tellBackpressure()
{
    for (const Channel *channel : q->channels())
        channel->d->tellBackpressure();
}

void ConnectionPrivate::on(Engine::ChannelOpened &event)
{
    if (auto *channel = static_cast<ChannelPrivate *>(event.channel->context))
        channel->onOpened();
}

void ConnectionPrivate::on(Engine::ChannelClosed &event)
{
    if (auto *channel = static_cast<ChannelPrivate *>(event.channel->context))
        channel->onClosed(event.reason);
}

void ConnectionPrivate::on(Engine::FlowChanged &event)
{
    if (auto *channel = static_cast<ChannelPrivate *>(event.channel->context))
        channel->setFlow(event.active);
}

void ConnectionPrivate::on(Engine::Returned &event)
{
    auto *channel = static_cast<ChannelPrivate *>(event.channel->context);
    if (!channel)
        return;
    const Engine::ReturnedMessage &returned = event.message;
    Engine::ReceivedMessage message{returned.exchange, returned.routingKey, returned.properties, returned.body};
    Q_EMIT channel->q->messageReturned(event.sequence, channel->makeMessage(message, {}, true), returned.reason);
}

void ConnectionPrivate::on(Engine::PublishConfirmed &event)
{
    auto *channel = static_cast<ChannelPrivate *>(event.channel->context);
    if (!channel)
        return;
    channel->publishesEnded(event.first, event.last, {});
    Q_EMIT channel->q->publishConfirmed(event.first, event.last);
}

void ConnectionPrivate::on(Engine::PublishFailed &event)
{
    auto *channel = static_cast<ChannelPrivate *>(event.channel->context);
    if (!channel) {
        qCWarning(lcChannel) << "channel" << event.channel->number() << "was deleted, its messages" << event.first
                             << "to" << event.last << "end so:" << event.reason;
        return;
    }
    channel->publishesEnded(event.first, event.last, event.reason);
    Q_EMIT channel->q->publishFailed(event.first, event.last, event.reason);
}

void ConnectionPrivate::on(Engine::ConfirmWindowChanged &event)
{
    if (auto *channel = static_cast<ChannelPrivate *>(event.channel->context))
        channel->setConfirmWindowFull(event.full);
}

void ConnectionPrivate::on(Engine::BackpressureDetected &event)
{
    qCWarning(lcConnection) << event.queuedBytes
                            << "bytes wait to be sent: messages are published faster than the broker takes them";
    Q_EMIT q->backpressureDetected(event.queuedBytes);
}

void ConnectionPrivate::on(Engine::ConsumerCancelled &event)
{
    if (auto *consumer = static_cast<ConsumerPrivate *>(event.consumer->context))
        consumer->onCancelledByBroker(event.consumer.get(), event.reason);
}

// Reports the outcome of pending calls and messages when the connection is lost.
void ConnectionPrivate::tellLater(Engine::Event &event)
{
    if (auto *reply = std::get_if<Engine::ReplyArrived>(&event)) {
        if (const CallHandler handler = m_calls.take(reply->call))
            handler(reply->value, Delivery::Posted);
    } else if (const auto *failed = std::get_if<Engine::PublishFailed>(&event)) {
        if (auto *channel = static_cast<ChannelPrivate *>(failed->channel->context)) {
            channel->publishesEnded(failed->first, failed->last, failed->reason);
            if (channel->publisher)
                channel->publisher->finishReplies(failed->first, failed->last, failed->reason);
            defer(channel->q, [q = channel->q, first = failed->first, last = failed->last, reason = failed->reason] {
                Q_EMIT q->publishFailed(first, last, reason);
            });
        }
    } else if (const auto *confirmed = std::get_if<Engine::PublishConfirmed>(&event)) {
        if (auto *channel = static_cast<ChannelPrivate *>(confirmed->channel->context)) {
            channel->publishesEnded(confirmed->first, confirmed->last, {});
            if (channel->publisher)
                channel->publisher->finishReplies(confirmed->first, confirmed->last, {});
            defer(channel->q, [q = channel->q, first = confirmed->first, last = confirmed->last] {
                Q_EMIT q->publishConfirmed(first, last);
            });
        }
    }
}

} // namespace AmqpQt
