// SPDX-License-Identifier: MIT
#pragma once

#include "support/scriptedpeer.h"

#include <QtCore/qset.h>

namespace AmqpQt::Test
{

// Makes the peer reject the declarations of some queues with 404. Until that channel is closed, the peer answers
// nothing else on it.
template <typename IsMissing>
void rejectMissingQueues(ScriptedPeer &peer, IsMissing isMissing)
{
    peer.setHook([&peer, isMissing, closing = QSet<quint16>()](const Command &command) mutable {
        if (command.name == "channel.close-ok")
            closing.remove(command.channel);
        const QString queue = command.fields.value(QStringLiteral("queue")).toString();
        if (command.name != "queue.declare" || closing.contains(command.channel) || !isMissing(queue))
            return false;
        closing.insert(command.channel);
        peer.closeChannel(command.channel, 404, "NOT_FOUND - no queue '" + queue.toUtf8() + "'");
        return true;
    });
}

} // namespace AmqpQt::Test
