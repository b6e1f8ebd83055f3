// SPDX-License-Identifier: MIT
#pragma once

#include "engine/channelengine_p.h"

// Templates shared by the parts of ChannelEngine, for calls of any method and their answers.
namespace AmqpQt::Engine
{

inline bool ChannelEngine::mayPublish() const
{
    const bool windowIsFull = m_mode == Mode::Confirm && m_confirmWindow > 0 && sentUnconfirmed() >= m_confirmWindow;
    return !m_host.flow().isBlocked() && !m_flowStopped && !windowIsFull;
}

inline bool ChannelEngine::mustHold(bool publish) const
{
    return !m_host.isOpen() || !m_held.empty() || m_deliveries.isTransactionEnding() || (publish && !mayPublish());
}

template <typename Method>
ChannelEngine::Call ChannelEngine::makeCall(CallId id, const Method &method)
{
    Call call;
    call.id = id;
    call.reply = Method::Reply::id.value();
    call.method = Method::name;
    call.payload = Wire::encodePayload(method);
    return call;
}

template <typename Method>
Result<CallId> ChannelEngine::call(Method method, bool noAck)
{
    if constexpr (requires { method.ticket; })
        method.ticket = m_ticket;
    if (const Error error = checkSize(Wire::payloadSize(method), Method::name); error.isError())
        return error;
    Call call = makeCall(m_host.calls().nextId(), method);
    call.noAck = noAck;
    const CallId id = call.id;
    submit(std::move(call));
    return id;
}

template <typename Method>
std::optional<ChannelEngine::SentCall> ChannelEngine::takeCall()
{
    if (m_calls.empty() || m_calls.front().reply != Method::id.value()) {
        reportUnexpected(Method::name);
        return std::nullopt;
    }
    return takeFirstCall();
}

template <typename Method>
void ChannelEngine::finishSimple(const Method &, ReplyValue value)
{
    if (const auto call = takeCall<Method>())
        finish(call->id, std::move(value));
}

} // namespace AmqpQt::Engine
