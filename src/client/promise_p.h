// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/reply.h>

namespace AmqpQt
{

namespace Internal
{
struct ReplyAccess {
    template <typename T>
    static Reply<T> makeReply(std::shared_ptr<ReplyState<T>> state)
    {
        return Reply<T>(std::move(state));
    }
};
} // namespace Internal

// The side of a Reply that finishes it. A shared handle; only the first finish() has an effect.
template <typename T>
class Promise
{
public:
    using Delivery = Internal::ReplyStateBase::Delivery;

    Promise()
        : m_state(std::make_shared<Internal::ReplyState<T>>())
    {
    }

    Reply<T> reply() const { return Internal::ReplyAccess::makeReply(m_state); }
    bool isFinished() const noexcept { return m_state->isFinished(); }

    void finish(Result<T> result, Delivery delivery = Delivery::Direct) const
    {
        if (isFinished())
            return;
        const auto state = m_state; // a continuation may destroy this promise
        state->result = std::move(result);
        state->finish(delivery);
    }

    // Returns a reply that has already finished; the event loop runs its continuations.
    static Reply<T> finished(Result<T> result)
    {
        Promise promise;
        promise.finish(std::move(result));
        return promise.reply();
    }

private:
    std::shared_ptr<Internal::ReplyState<T>> m_state;
};

} // namespace AmqpQt
