// SPDX-License-Identifier: MIT
#pragma once

#include "engine/channel/callqueue_p.h"
#include "engine/channel/channelcall_p.h"
#include "engine/channel/consumertable_p.h"
#include "engine/connection/channelhost_p.h"

#include <AmqpQt/error.h>

#include <memory>

namespace AmqpQt::Engine
{

// The channel as its parts see it. Only ChannelEngine changes its state.
class ChannelContext : public std::enable_shared_from_this<ChannelEngine>
{
public:
    enum class State : quint8 { Closed, Opening, Open, Flowed, Closing };
    enum class Mode : quint8 { Plain, Confirm, Transaction };

    ChannelContext(const ChannelContext &) = delete;
    ChannelContext &operator=(const ChannelContext &) = delete;

    ChannelHost &host() const noexcept { return m_host; }
    CallQueue &callQueue() noexcept { return m_calls; }
    ConsumerTable &consumers() noexcept { return m_consumers; }
    quint16 number() const noexcept { return m_number; }
    quint64 incarnation() const noexcept { return m_incarnation; }
    quint16 ticket() const noexcept { return m_ticket; } // of the last access.request-ok
    State state() const noexcept { return m_state; }
    Mode mode() const noexcept { return m_mode; }         // the requested mode; open() restores it
    Mode sentMode() const noexcept { return m_sentMode; } // the one that the broker knows from the calls that were sent
    bool acceptsCalls() const noexcept { return m_state != State::Closed && m_state != State::Closing; }
    bool isFlowed() const noexcept { return m_flowStopped; }    // whether channel.flow has stopped publishing
    bool isRecorded() const noexcept { return m_isRecorded; }   // whether its declarations belong to the application
    bool isOnWire() const noexcept { return m_isOnWire; }       // channel.open is sent
    bool isCloseSent() const noexcept { return m_isCloseSent; } // channel.close is sent, so nothing more may be sent
    // The connection was lost, and the channel waits to be opened again with all that it had.
    bool isSuspended() const noexcept { return m_isSuspended; }
    bool canSend() const noexcept // whether the connection takes methods of this channel now
    {
        return m_host.gate().isOpen() || (m_isReplaying && m_host.gate().isConnectionOpen());
    }

    Error notOpen(const char *method) const; // the error of a call while acceptsCalls() is false
    // Does nothing if channel.close has been sent, since the channel may receive anything until close-ok.
    void reportViolation(quint16 replyCode, const QString &text) const;
    void reportUnexpected(const char *method) const;

    // The number of the call, or an error if its arguments do not fit in a frame.
    template <typename Method>
    Result<CallId> call(Method method, bool noAck = false)
    {
        if constexpr (requires { method.ticket; })
            method.ticket = m_ticket;
        if (const Error error = checkSize(Wire::payloadSize(method), Method::name); error.isError())
            return error;
        ChannelCall call = ChannelCall::of(m_host.calls().nextId(), method);
        call.noAck = noAck;
        const CallId id = call.id;
        submit(std::move(call));
        return id;
    }
    Error checkSize(qsizetype payload, const char *method) const; // the method must fit in a frame
    virtual void submit(ChannelCall call) = 0;                    // sends or holds the call
    virtual void releaseHeld() = 0;                               // sends the held operations that can be sent now
    void finish(CallId id, ReplyValue value);                     // finishes a call that has been answered

protected:
    ChannelContext(ChannelHost &host, quint16 number) noexcept;
    ~ChannelContext() = default;

    void setState(State state);

    // How a channel closes. The last two columns are members of ChannelEngine.
    //
    //   m_state       m_isOnWire  m_isCloseSent  closeCall  closeWait
    //   Closed        .           .              .          .          by the end, which resets everything; the channel
    //                                                                  number may still await close-ok, see
    //                                                                  ChannelTable
    //   Opening       .           .              .          .          channel.open waits for the connection; so does a
    //                                                                  suspended channel, which ends at once on close()
    //   Opening       yes         .              .          .          channel.open is sent
    //   Open, Flowed  yes         .              .          .
    //   Closing       .           .              set        .          close() before the connection was open
    //   Closing       yes         .              set        .          channel.close waits behind held operations
    //   Closing       yes         .              set        set        channel.close waits for confirms; each one that
    //                                                                  arrives extends the time
    //   Closing       yes         yes            set        .          channel.close is sent
    //
    // Other ends need no state: release(), a call that timed out and a violation send channel.close and end the channel
    // at once. If the broker's channel.close crosses it, the number awaits close-ok all the same.
    ChannelHost &m_host;
    quint16 m_number = 0;
    State m_state = State::Closed;
    Mode m_mode = Mode::Plain;
    Mode m_sentMode = Mode::Plain;
    bool m_isOnWire = false;
    bool m_isCloseSent = false;
    bool m_flowStopped = false;
    bool m_isRecorded = true;
    bool m_isReplaying = false;
    bool m_isSuspended = false;
    bool m_isTransactionTorn = false; // a part of it was sent on a lost connection, so the rest must not be committed
    quint16 m_ticket = 0;
    quint64 m_incarnation = 0;
    CallQueue m_calls{*this};
    ConsumerTable m_consumers;
};

} // namespace AmqpQt::Engine
