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
    return !m_host.isOpen() || m_calls.isHolding() || m_deliveries.isTransactionEnding() || (publish && !mayPublish());
}

template <typename Method>
void ChannelEngine::finishSimple(const Method &, ReplyValue value)
{
    if (const auto call = m_calls.take<Method>())
        finish(call->id, std::move(value));
}

} // namespace AmqpQt::Engine
