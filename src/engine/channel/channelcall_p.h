// SPDX-License-Identifier: MIT
#pragma once

#include "engine/event_p.h"
#include "wire/methods_p.h"

#include <QtCore/qbytearray.h>

#include <memory>

namespace AmqpQt::Engine
{

// A call of a channel that awaits its reply.
struct SentCall {
    CallId id = 0;
    quint32 reply = 0;  // the method that answers it
    bool noAck = false; // for basic.get
};

// A call that can be sent.
struct ChannelCall : SentCall {
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
};

} // namespace AmqpQt::Engine
