// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/channel.h>

#include <type_traits>

namespace AmqpQt::Test
{

struct ChannelArguments {
    QString name = QStringLiteral("q"); // of a queue, or of an exchange to declare
    QString exchange = QStringLiteral("x");
    quint8 number = 1;
    Message message{"body"};
};

// Calls visit(name, call) for each function of Channel that changes the channel or sends something; call(channel,
// arguments) calls that function. The order is one in which all calls are accepted by a channel. A test fails if a
// function is missing.
template <typename Visitor>
void visitChannelCalls(Visitor &&visit)
{
    using A = const ChannelArguments &;
    visit("whenOpen", [](Channel *c, A) { return c->whenOpen(); });

    visit("declareTemporaryQueue", [](Channel *c, A) { return c->declareTemporaryQueue(); });
    visit("declareQueue", [](Channel *c, A a) { return c->declareQueue(a.name); });
    visit("inspectQueue", [](Channel *c, A a) { return c->inspectQueue(a.name); });
    visit("bindQueue", [](Channel *c, A a) { return c->bindQueue(a.name, a.exchange); });
    visit("unbindQueue", [](Channel *c, A a) { return c->unbindQueue(a.name, a.exchange); });
    visit("purgeQueue", [](Channel *c, A a) { return c->purgeQueue(a.name); });
    visit("deleteQueue", [](Channel *c, A a) { return c->deleteQueue(a.name); });
    visit("declareExchange", [](Channel *c, A a) { return c->declareExchange(a.name, ExchangeType::Direct); });
    visit("inspectExchange", [](Channel *c, A a) { return c->inspectExchange(a.name); });
    visit("bindExchange", [](Channel *c, A a) { return c->bindExchange(a.name, a.exchange); });
    visit("unbindExchange", [](Channel *c, A a) { return c->unbindExchange(a.name, a.exchange); });
    visit("deleteExchange", [](Channel *c, A a) { return c->deleteExchange(a.name); });
    visit("apply", [](Channel *c, A a) {
        return c->apply(Topology().queue(a.name).exchange(a.exchange, ExchangeType::Topic).bind(a.name, a.exchange));
    });

    visit("setPrefetch", [](Channel *c, A a) { return c->setPrefetch(a.number); });
    visit("consume", [](Channel *c, A a) { return c->consume(a.name); });
    visit("get", [](Channel *c, A a) { return c->get(a.name); });
    visit("ack", [](Channel *c, A a) { return c->ack(a.message); });
    visit("ackUpTo", [](Channel *c, A a) { return c->ackUpTo(a.message); });
    visit("nack", [](Channel *c, A a) { return c->nack(a.message); });
    visit("nackUpTo", [](Channel *c, A a) { return c->nackUpTo(a.message); });
    visit("redeliverUnacked", [](Channel *c, A) { return c->redeliverUnacked(); });
    visit("requestAccess", [](Channel *c, A) { return c->requestAccess(QStringLiteral("/"), {}); });

    visit("publish", [](Channel *c, A a) { return c->publish({}, a.name, a.message); });
    visit("setConfirmWindow", [](Channel *c, A a) { c->setConfirmWindow(a.number % 4); });
    visit("confirmSelect", [](Channel *c, A) { return c->confirmSelect(); });
    visit("publishWithReply", [](Channel *c, A a) { return c->publishWithReply({}, a.name, a.message); });
    visit("whenConfirmed", [](Channel *c, A) { return c->whenConfirmed(); });
    visit("txSelect", [](Channel *c, A) { return c->txSelect(); });
    visit("txCommit", [](Channel *c, A) { return c->txCommit(); });
    visit("txRollback", [](Channel *c, A) { return c->txRollback(); });

    visit("reopen", [](Channel *c, A) { return c->reopen(); });
    visit("close", [](Channel *c, A) { return c->close(); });
}

template <typename Call>
using ReturnedBy = std::invoke_result_t<Call, Channel *, const ChannelArguments &>;

template <typename T>
inline constexpr bool IsReply = false;
template <typename T>
inline constexpr bool IsReply<Reply<T>> = true;

} // namespace AmqpQt::Test
