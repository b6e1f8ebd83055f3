// SPDX-License-Identifier: MIT
#pragma once

#include "client/promise_p.h"

#include <QtCore/qmap.h>

#include <vector>

namespace AmqpQt
{

class Dispatcher;

// The replies that end with the outcomes of published messages: those of publishWithReply() and whenConfirmed().
class ConfirmReplies
{
public:
    Reply<void> whenConfirmed(quint64 sequence) { return m_ofMessages[sequence].reply(); }
    // The reply waits for `outstanding` messages with numbers up to `last`.
    Reply<void> whenAllConfirmed(quint64 last, int outstanding);
    // Reports the outcome of the messages `first` to `last`; the dispatcher finishes the replies.
    void publishesEnded(quint64 first, quint64 last, const Error &failure, Dispatcher &dispatcher);
    void fail(const Error &reason); // no further outcomes will arrive

private:
    struct Wait {
        quint64 last = 0;    // sequence number
        int outstanding = 0; // up to and including it
        Error failure;       // the first failure
        Promise<void> promise;
    };
    QMap<quint64, Promise<void>> m_ofMessages; // by sequence number
    std::vector<Wait> m_waits;
};

} // namespace AmqpQt
