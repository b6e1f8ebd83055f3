// SPDX-License-Identifier: MIT
#include "engine/channel/channelcall_p.h"

#include "wire/methodpayload_p.h"

namespace AmqpQt::Engine
{

namespace
{

template <typename Function>
void visit(QByteArrayView payload, Function function)
{
    Wire::visitPayload(payload, [&](auto method) {
        if constexpr (requires { method.queue; })
            function(method);
    });
}

template <typename... Methods>
bool isOneOf(const ChannelCall &call) noexcept
{
    return (call.is<Methods>() || ...);
}

} // namespace

bool ChannelCall::isRepeatable() const noexcept
{
    return isOneOf<Wire::ChannelOpen, Wire::AccessRequest, Wire::ExchangeDeclare, Wire::ExchangeBind,
                   Wire::ExchangeUnbind, Wire::QueueDeclare, Wire::QueueBind, Wire::QueueUnbind, Wire::BasicQos,
                   Wire::BasicConsume, Wire::ConfirmSelect, Wire::TxSelect>(*this);
}

QByteArray ChannelCall::queueOf(QByteArrayView payload)
{
    QByteArray name;
    visit(payload, [&](const auto &arguments) { name = arguments.queue.toByteArray(); });
    return name;
}

void ChannelCall::setQueue(QByteArrayView name, bool isAlsoKey)
{
    const QByteArray before = payload; // the method refers to its bytes
    visit(before, [&](auto arguments) {
        if constexpr (requires { arguments.routingKey; }) {
            // By the specification, an empty key together with an empty name stands for the name as well.
            if (isAlsoKey || (arguments.queue.isEmpty() && arguments.routingKey.isEmpty()))
                arguments.routingKey = name;
        }
        arguments.queue = name;
        payload = Wire::encodePayload(arguments);
    });
}

} // namespace AmqpQt::Engine
