// SPDX-License-Identifier: MIT
#pragma once

#include "engine/channel/channelcall_p.h"
#include "engine/channel/consumertable_p.h"

#include <QtCore/qhash.h>
#include <QtCore/qlist.h>

#include <optional>
#include <variant>
#include <vector>

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
    void sent(ChannelCall call) { m_sent.push_back(std::move(call)); }
    template <typename Method>
    std::optional<ChannelCall> take() // the first call, if this method answers it; otherwise the peer is at fault
    {
        return take(Method::id, Method::name);
    }
    std::optional<ChannelCall> take(Wire::MethodId reply, const char *received);
    template <typename Method>
    bool awaits() const // whether a reply of this type is expected
    {
        return awaits(Method::id);
    }

    // Held operations.
    bool isHolding() const noexcept { return !m_held.isEmpty(); }
    void hold(ChannelCall call);
    void hold(HeldPublish publish);
    const ChannelCall *firstCall() const;    // null if the first operation is another one
    const HeldPublish *firstPublish() const; // the first message among all held operations; null if there is none
    ChannelCall takeFirstCall();
    HeldPublish takeFirstPublish();                                  // the bytes of the message stay counted as held
    qsizetype unconfirmed() const noexcept { return m_unconfirmed; } // the number of held messages in confirm mode
    // Held calls of basic.consume that wait for their tag.
    const ChannelCall *consumeWaitingFor(QByteArrayView tag) const; // null if there is none
    bool holdsDirectReplyTo() const; // whether a consumer of direct reply-to is held that is not ending
    void cancelWaitingConsumes(const ConsumerEntry *only); // null for all such calls
    void nameQueueOfWaitingConsumes(CallId declare, QByteArrayView name);
    void renameQueues(const QHash<QString, QString> &newNames); // in held calls
    // Turns the first held tx.commit into a tx.rollback, unless a tx.rollback comes before it. Returns false if neither
    // is held.
    bool undoTransaction();

    std::optional<ChannelCall> takeFirstSent(QLatin1StringView method); // nothing if it is a call of another method
    // The connection was lost. Ends the sent calls, except for those that can be made again, which are returned.
    std::vector<ChannelCall> takeRepeatable(const Error &error);
    // Sets the name in calls without one, first in `repeated` and then in held calls, up to the next declaration of a
    // queue: an empty name stands for the last declared queue, which a new channel of the broker does not know.
    void nameLastQueue(std::vector<ChannelCall> &repeated, QByteArrayView name);
    // Puts calls before the held ones, drops the calls of consumers that have ended, and adds a basic.qos wherever the
    // next consumer needs another prefetch. Returns the prefetch after all calls. If `hasBarrier`, the operations after
    // these calls wait for removeBarrier().
    quint16 holdFirst(std::vector<ChannelCall> calls, bool hasBarrier);
    bool isAtBarrier() const { return isHolding() && std::holds_alternative<Barrier>(m_held.constFirst()); }
    void removeBarrier() { m_held.removeFirst(); } // which must be the first operation

    // The calls end without an answer.
    void forget(CallId id); // the call may be sent or held
    void endSent(const Error &error, CallId close, const ReplyValue &closeResult);
    void endHeld(const Error &error, CallId close, const ReplyValue &closeResult);

private:
    struct Barrier {
    };
    using Held = std::variant<ChannelCall, HeldPublish, Barrier>;

    bool awaits(Wire::MethodId reply) const;
    void noteHeld();

    ChannelContext &m_channel;
    QList<ChannelCall> m_sent;
    QList<Held> m_held;
    qsizetype m_unconfirmed = 0;
};

} // namespace AmqpQt::Engine
