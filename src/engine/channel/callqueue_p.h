// SPDX-License-Identifier: MIT
#pragma once

#include "engine/channel/channelcall_p.h"
#include "engine/channel/consumertable_p.h"

#include <QtCore/qhash.h>
#include <QtCore/qlist.h>

#include <optional>
#include <variant>

namespace AmqpQt::Engine
{

class ChannelContext;

// A message that cannot be sent yet.
struct HeldPublish {
    QByteArray payload; // of the method frame
    QByteArray properties;
    QByteArray body;
    quint64 sequence = 0;
    bool mandatory = false;
    bool confirm = false;

    qint64 bytes() const noexcept { return payload.size() + properties.size() + body.size(); }
};

// The operations of a channel in the order of their calls: those that await their replies, and those that are held. An
// operation that cannot be sent yet is held, and everything after it waits behind it.
class CallQueue
{
public:
    explicit CallQueue(ChannelContext &channel) noexcept
        : m_channel(channel)
    {
    }

    // Sent calls, which are answered first in first out.
    void sent(const SentCall &call) { m_sent.push_back(call); }
    template <typename Method>
    std::optional<SentCall> take() // the first call, if this method answers it; otherwise the peer is at fault
    {
        return take(Method::id, Method::name);
    }
    std::optional<SentCall> take(Wire::MethodId reply, const char *received);
    template <typename Method>
    bool awaits() const // whether a reply of this type is expected
    {
        return awaits(Method::id);
    }

    // Held operations.
    bool isHolding() const noexcept { return !m_held.isEmpty(); }
    void hold(ChannelCall call);
    void hold(HeldPublish publish);
    const ChannelCall *firstCall() const; // null if the first operation is a publish
    ChannelCall takeFirstCall();
    HeldPublish takeFirstPublish();                                  // the bytes of the message stay counted as held
    qsizetype unconfirmed() const noexcept { return m_unconfirmed; } // the number of held messages in confirm mode
    // Held calls of basic.consume that wait for their tag.
    const ChannelCall *consumeWaitingFor(QByteArrayView tag) const; // null if there is none
    bool holdsDirectReplyTo() const; // whether a consumer of direct reply-to is held that is not ending
    void cancelWaitingConsumes(const ConsumerEntry *only);      // null for all such calls
    void renameQueues(const QHash<QString, QString> &newNames); // in held calls

    // The calls end without an answer.
    void forget(CallId id); // the call may be sent or held
    void endSent(const Error &error, CallId close, const ReplyValue &closeResult);
    void endHeld(const Error &error, CallId close, const ReplyValue &closeResult);

private:
    using Held = std::variant<ChannelCall, HeldPublish>;

    bool awaits(Wire::MethodId reply) const;
    void noteHeld();

    ChannelContext &m_channel;
    QList<SentCall> m_sent;
    QList<Held> m_held;
    qsizetype m_unconfirmed = 0;
};

} // namespace AmqpQt::Engine
