// SPDX-License-Identifier: MIT
#pragma once

#include "client/clientsupport.h"

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

struct NamedCall {
    const char *name;
    Call call;
};

// Each case is wrong only for the state of its channel.
inline const QList<NamedCall> &everyCall()
{
    static const QList<NamedCall> calls = {
        {"publish", [](Channel *c) { return publish(c, {}, u"q"_s); }},
        {"declareTemporaryQueue()", [](Channel *c) { return errorOf(c->declareTemporaryQueue()); }},
        {"declareQueue", [](Channel *c) { return errorOf(c->declareQueue(u"q"_s)); }},
        {"inspectQueue", [](Channel *c) { return errorOf(c->inspectQueue(u"q"_s)); }},
        {"deleteQueue", [](Channel *c) { return errorOf(c->deleteQueue(u"q"_s)); }},
        {"purgeQueue", [](Channel *c) { return errorOf(c->purgeQueue(u"q"_s)); }},
        {"bindQueue", [](Channel *c) { return errorOf(c->bindQueue(u"q"_s, u"e"_s)); }},
        {"unbindQueue", [](Channel *c) { return errorOf(c->unbindQueue(u"q"_s, u"e"_s)); }},
        {"declareExchange", [](Channel *c) { return errorOf(c->declareExchange(u"e"_s, ExchangeType::Direct)); }},
        {"inspectExchange", [](Channel *c) { return errorOf(c->inspectExchange(u"e"_s)); }},
        {"deleteExchange", [](Channel *c) { return errorOf(c->deleteExchange(u"e"_s)); }},
        {"setPrefetch", [](Channel *c) { return errorOf(c->setPrefetch(1)); }},
        {"get", [](Channel *c) { return errorOf(c->get(u"q"_s)); }},
        {"consume", [](Channel *c) { return consume(c, u"q"_s); }},
    };
    return calls;
}

using Settle = std::function<bool(Channel *, const Message &)>; // returns false if the message is rejected
inline const QList<std::pair<const char *, Settle>> &everySettle()
{
    static const QList<std::pair<const char *, Settle>> calls = {
        {"ack", [](Channel *c, const Message &m) { return c->ack(m); }},
        {"ackUpTo", [](Channel *c, const Message &m) { return c->ackUpTo(m); }},
        {"nack", [](Channel *c, const Message &m) { return c->nack(m); }},
        {"nackUpTo", [](Channel *c, const Message &m) { return c->nackUpTo(m); }},
    };
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
