// SPDX-License-Identifier: MIT
#pragma once

#include "engine/channel/channelcontext_p.h"
#include "engine/channel/contentreceiver_p.h"
#include "engine/channel/deliveries_p.h"
#include "engine/channel/publishing_p.h"
#include "engine/channel/subscriptions_p.h"
#include "engine/channel/topologycalls_p.h"
#include "engine/time_p.h"

#include <vector>

namespace AmqpQt::Engine
{

// The protocol state of one channel. It outlives the channel on the broker: after an error has closed it, it can be
// opened again as a new incarnation. Operations are sent in the order of their calls: an operation that cannot be sent
// yet is held, and all later ones wait behind it.
class ChannelEngine final : public ChannelContext
{
public:
    ChannelEngine(ChannelHost &host, quint16 number, ChannelClient *channelClient);

    ChannelClient *client = nullptr; // null once the channel has been released

    // The parts of the channel whose operations are called directly.
    TopologyCalls &topology() noexcept { return m_topology; }
    Subscriptions &subscriptions() noexcept { return m_subscriptions; }
    Deliveries &deliveries() noexcept { return m_deliveries; }
    Publishing &publishing() noexcept { return m_publishing; }
    ContentReceiver &contents() noexcept { return m_contents; }

    // The broker has named these queues again. They get their new names in held calls, and as the last declared queue.
    void renameQueues(const QHash<QString, QString> &newNames)
    {
        m_topology.renameQueues(newNames);
        m_calls.renameQueues(newNames);
    }
    void setRecorded(bool recorded) noexcept { m_isRecorded = recorded; } // for calls made afterwards
    // A channel that replays makes its calls while Settings::holdsChannels holds the others, and ends when the
    // connection is lost.
    void setReplaying(bool replays);

    // Each returns the id of its reply, or an error if nothing was queued.
    Result<CallId> open();
    Result<CallId> close();
    Result<CallId> confirmSelect();
    Result<CallId> txSelect();
    Result<CallId> txCommit();
    Result<CallId> txRollback();
    Result<CallId> redeliverUnacked();                                               // basic.recover
    Result<CallId> requestAccess(const QString &realm, Wire::AccessRequest request); // the request's realm is not set
    Result<CallId> get(const QString &queue, bool noAck);

    Published publish(const QString &exchange, const QString &routingKey, const QByteArray &properties,
                      const QByteArray &body, bool mandatory) // `properties` as in Wire::ContentHeader
    {
        if (!acceptsCalls())
            return m_publishing.reject(notOpen(Wire::BasicPublish::name));
        return m_publishing.publish(exchange, routingKey, properties, body, mandatory, holdsCalls());
    }

    // Closes the channel on the wire without waiting for outstanding calls. Its creator must call this before dropping
    // the last pointer to it.
    void release();

    // Called by the connection.
    Wire::Visit receive(Wire::MethodId id, QByteArrayView arguments, QByteArrayView frame);
    bool releaseOne(); // returns false if no held operation can be sent now
    void releaseHeld() override;
    void callTimedOut(const char *method, Milliseconds timeout);
    // Called when the connection is lost and recovers, and when the broker closes the channel instead of starting a
    // consumer again. On the next connection, the channel is opened with its mode, its
    // prefetch and its consumers, repeats calls that were sent without an answer, and continues with those held.
    // Other calls that were sent end with `callError`, and unconfirmed messages as unknown. `refusal` is the reason if
    // the broker has closed the connection because of a method; a call of it that may be the cause ends with this
    // error.
    void suspend(const Error &callError, const Error &refusal = {});
    // Ends all outstanding calls with `callError`, and drops all subscriptions.
    void end(const Error &callError, const Error &closeReason, bool awaitsCloseOk);

private:
    void submit(ChannelCall call) override;
    bool holdsCalls() const // whether a call that is made now is held
    {
        return !canSend() || m_calls.isHolding() || m_deliveries.isTransactionEnding();
    }
    bool mustHold(const ChannelCall &call) const;
    bool waitsForConfirms(const ChannelCall &call) const;
    void sendCall(ChannelCall call);
    Error wrongMode(const char *method, const QString &need) const;

    // received methods that are not for one part alone
    void on(const Wire::ChannelOpenOk &);
    void on(const Wire::ChannelFlow &);
    void on(const Wire::ChannelClose &);
    void on(const Wire::ChannelCloseOk &);
    void on(const Wire::AccessRequestOk &);
    void on(const Wire::BasicAck &);
    void on(const Wire::BasicNack &);
    void on(const Wire::BasicRecoverOk &);
    void on(const Wire::TxCommitOk &);
    void on(const Wire::TxRollbackOk &);
    template <typename Method>
    void on(const Method &);
    template <typename Method>
    void finishCall(const Method &, ReplyValue value = {}); // finishes the call that this method answers
    void onConfirm(quint64 deliveryTag, bool multiple, const Error &failure);

    void startCloseTime();
    void closeWithError(quint16 replyCode, const Error &reason);

    CallId m_closeCall = 0; // close() was called
    CallId m_closeWait = 0; // close() waits for confirms; timed like a call
    TopologyCalls m_topology{*this};
    Deliveries m_deliveries{*this};
    Publishing m_publishing{*this};
    Subscriptions m_subscriptions{*this, m_topology, m_publishing};
    ContentReceiver m_contents{*this, m_deliveries, m_publishing, m_subscriptions};
};

} // namespace AmqpQt::Engine
