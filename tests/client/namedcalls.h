// SPDX-License-Identifier: MIT
#pragma once

#include "client/clientsupport.h"
#include "support/channelcalls.h"

// The calls of a channel, and the messages to settle.
namespace AmqpQt::Test
{

// A call of a channel; the error is that of its reply, if it has one.
using Call = std::function<Error(Channel *)>;

template <typename T>
Error errorOf(const Reply<T> &reply)
{
    return reply.isFinished() ? reply.result().error() : Error();
}

inline Error publish(Channel *channel, const QString &exchange, const QString &routingKey,
                     const Message &message = Message("body"))
{
    return channel->publish(exchange, routingKey, message) == 0 ? channel->lastCallError() : Error();
}

inline Error consume(Channel *channel, const QString &queue, const ConsumeOptions &options = {})
{
    return channel->consume(queue, options)->state() == Consumer::State::Cancelled ? channel->lastCallError() : Error();
}

// Each returns the error of its reply, or lastCallError() if it was refused.
struct NamedCall {
    const char *name;
    Call call;
};

template <typename T>
bool isRefused(const Reply<T> &reply)
{
    return errorOf(reply).isError();
}
inline bool isRefused(const Consumer *consumer)
{
    return consumer->state() == Consumer::State::Cancelled;
}
inline bool isRefused(quint64 sequence)
{
    return sequence == 0;
}

// All calls that are not about a delivery. Each is wrong only for the state of its channel.
inline const QList<NamedCall> &everyCall()
{
    static const QList<NamedCall> calls = [] {
        QList<NamedCall> all;
        visitChannelCalls([&all](const char *name, auto call) {
            using Returned = ReturnedBy<decltype(call)>;
            if constexpr (IsReply<Returned>) {
                all += {name, [call](Channel *c) { return errorOf(call(c, {})); }};
            } else if constexpr (std::is_void_v<Returned>) {
                all += {name, [call](Channel *c) {
                            call(c, {});
                            return c->lastCallError();
                        }};
            } else if constexpr (!std::is_same_v<Returned, bool>) {
                all += {name, [call](Channel *c) { return isRefused(call(c, {})) ? c->lastCallError() : Error(); }};
            }
        });
        return all;
    }();
    return calls;
}

using Settle = std::function<bool(Channel *, const Message &)>; // returns false if the message is rejected
inline const QList<std::pair<const char *, Settle>> &everySettle()
{
    static const QList<std::pair<const char *, Settle>> calls = [] {
        QList<std::pair<const char *, Settle>> all;
        visitChannelCalls([&all](const char *name, auto call) {
            if constexpr (std::is_same_v<ReturnedBy<decltype(call)>, bool>)
                all += {name, [call](Channel *c, const Message &m) { return call(c, {.message = m}); }};
        });
        return all;
    }();
    return calls;
}

// The messages of a new consumer, delivered with the tags from `first` on.
inline QList<Message> receive(ScriptedPeer &peer, OpenClient &client, Channel *channel, AckMode ackMode, quint64 first,
                              int count)
{
    const QString tag = u"t%1"_s.arg(first);
    Consumer *consumer = channel->consume(u"q"_s, {.consumerTag = tag, .ackMode = ackMode});
    QList<Message> messages;
    QObject::connect(consumer, &Consumer::delivered, &client.connection,
                     [&messages](const Message &message) { messages += message; });
    if (!waitUntil([&] { return consumer->state() == Consumer::State::Active; }))
        qFatal("the consumer does not start");
    peer.sendRaw(deliveries(tag.toUtf8(), first, QByteArrayList(count, "m"), channel->number()));
    if (!waitUntil([&] { return messages.size() == count; }))
        qFatal("nothing is delivered");
    consumer->disconnect();
    return messages;
}

} // namespace AmqpQt::Test

Q_DECLARE_METATYPE(AmqpQt::Test::Call)
