// SPDX-License-Identifier: MIT
#pragma once

#include "client/promise_p.h"

#include <optional>
#include <vector>

namespace AmqpQt
{

class Dispatcher;

// The unfinished replies of open(), whenOpen() and close() of a connection. The dispatcher finishes them.
class ConnectionReplies
{
public:
    explicit ConnectionReplies(Dispatcher &dispatcher)
        : m_dispatcher(dispatcher)
    {
    }

    bool isOpening() const noexcept { return m_opening.has_value(); }
    bool isClosing() const noexcept { return m_closing.has_value(); }
    Reply<void> open();     // of the current attempt, which several calls share
    Reply<void> close();    // also shared
    Reply<void> whenOpen(); // waits for attempts that follow, too

    void opened();
    void attemptFailed(const Error &reason);
    void noAttemptFollows(const Error &reason);
    void closed(const Error &reason);
    void fail(const Error &reason); // without the dispatcher, from the event loop

private:
    Dispatcher &m_dispatcher;
    std::optional<Promise<void>> m_opening;
    std::optional<Promise<void>> m_closing;
    std::vector<Promise<void>> m_whenOpen;
};

} // namespace AmqpQt
