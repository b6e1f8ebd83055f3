// SPDX-License-Identifier: MIT
#include "client/connection/connectionreplies_p.h"

#include "client/connection/dispatcher_p.h"

#include <utility>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

Reply<void> ConnectionReplies::open()
{
    if (!m_opening)
        m_opening.emplace();
    return m_opening->reply();
}

Reply<void> ConnectionReplies::close()
{
    if (!m_closing)
        m_closing.emplace();
    return m_closing->reply();
}

Reply<void> ConnectionReplies::whenOpen()
{
    return m_whenOpen.emplace_back().reply();
}

void ConnectionReplies::opened()
{
    if (const auto opening = std::exchange(m_opening, std::nullopt))
        m_dispatcher.finishLater(*opening, {});
    for (const Promise<void> &promise : std::exchange(m_whenOpen, {}))
        m_dispatcher.finishLater(promise, {});
}

void ConnectionReplies::attemptFailed(const Error &reason)
{
    if (const auto opening = std::exchange(m_opening, std::nullopt))
        m_dispatcher.finishLater<void>(*opening, reason);
}

void ConnectionReplies::noAttemptFollows(const Error &reason)
{
    for (const Promise<void> &promise : std::exchange(m_whenOpen, {}))
        m_dispatcher.finishLater<void>(promise, reason);
}

void ConnectionReplies::closed(const Error &reason)
{
    const Error notOpened = reason.isError() ? reason : Error(ErrorKind::Cancelled, u"the connection was closed"_s);
    attemptFailed(notOpened);
    noAttemptFollows(notOpened);
    if (const auto closing = std::exchange(m_closing, std::nullopt))
        m_dispatcher.finishLater<void>(*closing, reason);
}

void ConnectionReplies::fail(const Error &reason)
{
    using Delivery = Promise<void>::Delivery;
    for (const std::optional<Promise<void>> &promise : {m_opening, m_closing}) {
        if (promise)
            promise->finish(reason, Delivery::Posted);
    }
    for (const Promise<void> &promise : m_whenOpen)
        promise.finish(reason, Delivery::Posted);
}

} // namespace AmqpQt
