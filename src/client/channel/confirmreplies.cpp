// SPDX-License-Identifier: MIT
#include "client/channel/confirmreplies_p.h"

#include "client/connection/dispatcher_p.h"

#include <algorithm>
#include <utility>

namespace AmqpQt
{

static Result<void> outcome(const Error &failure)
{
    return failure.isError() ? Result<void>(failure) : Result<void>();
}

Reply<void> ConfirmReplies::whenAllConfirmed(quint64 last, int outstanding)
{
    m_waits.push_back({last, outstanding, {}, {}});
    return m_waits.back().promise.reply();
}

void ConfirmReplies::publishesEnded(quint64 first, quint64 last, const Error &failure, Dispatcher &dispatcher)
{
    for (auto reply = m_ofMessages.lowerBound(first); reply != m_ofMessages.end() && reply.key() <= last;
         reply = m_ofMessages.erase(reply))
        dispatcher.finishLater<void>(*reply, outcome(failure));

    for (Wait &wait : m_waits) {
        if (first > wait.last)
            continue;
        wait.outstanding -= int(std::min(last, wait.last) - first + 1);
        if (failure.isError() && !wait.failure.isError())
            wait.failure = failure;
        if (wait.outstanding == 0)
            dispatcher.finishLater<void>(wait.promise, outcome(wait.failure));
    }
    std::erase_if(m_waits, [](const Wait &wait) { return wait.outstanding == 0; });
}

void ConfirmReplies::fail(const Error &reason)
{
    for (const Promise<void> &promise : std::exchange(m_ofMessages, {}))
        promise.finish(reason, Promise<void>::Delivery::Posted);
    for (const Wait &wait : std::exchange(m_waits, {}))
        wait.promise.finish(wait.failure.isError() ? wait.failure : reason, Promise<void>::Delivery::Posted);
}

} // namespace AmqpQt
