// SPDX-License-Identifier: MIT
#pragma once

#include "engine/event_p.h"
#include "wire/methods_p.h"

#include <QtCore/qbytearray.h>

#include <memory>

namespace AmqpQt::Engine
{

// A call of a channel.
struct ChannelCall {
    CallId id = 0;
    quint32 reply = 0;            // the method that answers it
    bool noAck = false;           // for basic.get
    bool isForRestoring = false;  // made by the library after a loss, and not repeated after another one
    const char *method = nullptr; // its name
    QByteArray payload;
    std::shared_ptr<ConsumerEntry> consumer; // for basic.consume and basic.cancel, which are answered by tag

    template <typename Method>
    static ChannelCall of(CallId id, const Method &method)
    {
        ChannelCall call;
        call.id = id;
        call.reply = Method::Reply::id.value();
        call.method = Method::name;
        call.payload = Wire::encodePayload(method);
        return call;
    }
    template <typename Method>
    bool is() const noexcept
    {
        return reply == Method::Reply::id.value();
    }
    // Whether it may be made twice, as it sets up a channel, a consumer, or an entity of the broker.
    bool isRepeatable() const noexcept;
    // The name of the queue that the method refers to; empty also for a method without a queue.
    QByteArray queue() const { return queueOf(payload); }
    void setQueue(QByteArrayView name, bool isAlsoKey = false); // ignored by a method without a queue

    static QByteArray queueOf(QByteArrayView payload);
    // A tx.rollback in the place of a tx.commit, which fails.
    static ChannelCall undoing(CallId id)
    {
        ChannelCall call = of(id, Wire::TxRollback{});
        call.method = Wire::TxCommit::name;
        return call;
    }
};

} // namespace AmqpQt::Engine
