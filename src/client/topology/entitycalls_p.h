// SPDX-License-Identifier: MIT
#pragma once

#include "engine/topology/declarations_p.h"
#include "wire/methods_p.h"

#include <AmqpQt/channel.h>

#include <type_traits>

// The calls that declare the entities of a topology, and the errors that refuse them.
namespace AmqpQt
{

template <typename Entity>
using ReplyType = std::conditional_t<std::is_same_v<Entity, Engine::DeclaredQueue>, QueueInfo, void>;

inline Reply<void> declareEntity(Channel *channel, const Engine::DeclaredExchange &exchange)
{
    return channel->declareExchange(exchange.name, exchange.type, exchange.options);
}

inline Reply<QueueInfo> declareEntity(Channel *channel, const Engine::DeclaredQueue &queue)
{
    return channel->declareQueue(queue.name, queue.options);
}

inline Reply<void> declareEntity(Channel *channel, const Engine::Binding &binding)
{
    return binding.kind == Engine::Binding::Destination::Queue
               ? channel->bindQueue(binding.destination, binding.source, binding.routingKey, binding.arguments)
               : channel->bindExchange(binding.destination, binding.source, binding.routingKey, binding.arguments);
}

inline bool isRefusedWith(const Error &error, quint16 replyCode)
{
    return error.kind() == ErrorKind::ChannelClosed && error.replyCode() == replyCode;
}

} // namespace AmqpQt
