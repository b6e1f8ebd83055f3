// SPDX-License-Identifier: MIT
#pragma once

#include "engine/channel/channelengine_p.h"
#include "engine/connection/channelhost_p.h"
#include "engine/connection/channelrouter_p.h"
#include "engine/connection/closetimer_p.h"
#include "engine/connection/connectioncalls_p.h"
#include "engine/connection/framereader_p.h"
#include "engine/connection/handshake_p.h"
#include "engine/connection/heartbeat_p.h"
#include "engine/event_p.h"

#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace AmqpQt::Engine
{

// All protocol state of one connection. The caller drives it, and it never calls back: bytes and times go in, next()
// returns one event at a time, and output() has the bytes to write. While the caller handles an event, no function of
// the engine is on the stack.
class ConnectionEngine final : private ChannelHost
{
public:
    enum class State : quint8 {
        Idle,
        Connecting, // see Handshake::Step
        Open,
        CloseSent,
        Closed,
    };

    void configure(const Settings &settings); // called before start(); sets the limits for operations that wait for it
    // Starts an attempt and queues the protocol header. Returns an error, without starting, if a setting cannot be
    // sent. A failed attempt ends no channel: channels that wait for the connection keep waiting until an attempt
    // succeeds or endWaiting() is called.
    Error start(const Settings &settings, Time now);

    // Ways to end the connection. All but endWaiting() lead to ConnectionClosed.
    void close(Time now);                     // called on close(); closes the channels, then the connection
    void sendConnectionClose();               // called when the application exits; does not wait for answers
    void abort(const Error &reason = {});     // called when the client gives up; sends nothing
    void failAttempt(const Error &reason);    // called when the client cannot call start(); acts as if it had failed
    void transportClosed(const Error &error); // called when the transport is lost or could not connect
    // Called when no attempt follows; ends the channels that wait for the connection, also those suspended.
    void endWaiting(const Error &reason = {});
    bool isWaitedFor() const noexcept { return m_channels.openCount() > 0; } // whether channels wait for the connection
    using ChannelHost::post; // for an event that takes effect after all queued ones

    // For input, fill inputSpace() and report the size, then call next() until it returns nothing.
    std::span<char> inputSpace() { return m_reader.space(); }
    void inputRead(qsizetype size, Time now);
    QByteArrayView unprocessedInput() const noexcept { return m_reader.input(); }
    bool hasInput() const noexcept { return !m_events.isEmpty() || m_reader.hasInput(); } // for next()
    // Returns false if more input is needed. A steady stream reuses `event`, which costs less than a new one
    // each time.
    bool next(Event &event)
    {
        if (RepeatedDelivery delivery; m_takesRepeated && m_events.isEmpty() && m_reader.isBetweenFrames() &&
                                       m_router.nextRepeated(delivery)) { // most deliveries of a steady stream
            event = delivery;
            return true;
        }
        return nextOther(event);
    }
    std::vector<ReplyArrived> takeReplies(const ChannelEngine *channel) // next() omits these replies
    {
        return m_events.takeReplies(channel);
    }

    // output
    // Merges acks. Here and below, `held` is the number of bytes that the transport has accepted but not yet passed to
    // the kernel.
    void prepareOutput(Time now, qint64 held = 0);
    QByteArrayView output() const { return m_frames.output().front(); }
    std::span<const QByteArrayView> output(std::span<QByteArrayView> space) const
    {
        return m_frames.output().pieces(space);
    }
    void written(qsizetype size, Time now, qint64 held = 0);
    bool hasOutput() const noexcept { return !m_frames.output().isEmpty() || !m_channelsWithAcks.empty(); }
    // Enough output has been added since the last attempt to write.
    bool wantsWrite(qsizetype threshold = WriteThreshold) const noexcept
    {
        return m_frames.output().untried() >= threshold;
    }
    void writeTried() noexcept { m_frames.output().setTried(); }
    const FlowControl &flow() const noexcept { return m_flow; }

    std::optional<Time> deadline() const;
    // `inputIsRead` is true if next() has seen everything the peer has sent. Until then no call times out and
    // the peer is not considered dead.
    void tick(Time now, bool inputIsRead = true);
    bool hasIdleMemory() const noexcept
    {
        return m_reader.hasIdleMemory() || (m_frames.output().isEmpty() && m_frames.output().hasSpare());
    }
    void releaseIdleMemory(); // memory that only the next burst needs

    // Uses the smallest free number unless one is wanted. Null if none is free, or if `wanted` is taken or beyond the
    // limit.
    // ChannelEngine::release() ends the channel.
    std::shared_ptr<ChannelEngine> createChannel(ChannelClient *client, std::optional<quint16> wanted = {});
    const ChannelTable &channels() const noexcept { return m_channels; }
    using ChannelHost::gate;

    ConnectionCalls &ownCalls() noexcept { return m_ownCalls; }
    State state() const noexcept { return m_state; }
    using ChannelHost::hasNack;
    bool isOpen() const noexcept { return m_gate.isConnectionOpen(); }
    using ChannelHost::recordedTopology;
    bool isClosing() const noexcept { return m_isClosing; }
    Handshake &handshake() noexcept { return m_handshake; }
    const Handshake &handshake() const noexcept { return m_handshake; }
    std::chrono::seconds heartbeat() const noexcept { return m_heartbeat.interval(); } // 0 if disabled or not connected

private:
    static constexpr qsizetype WriteThreshold = 128 * 1024;

    void setState(State state);
    bool nextOther(Event &event);

    // received methods
    void onMethodFrame();
    void on(const Wire::ConnectionTune &);
    void on(const Wire::ConnectionOpenOk &);
    void on(const Wire::ConnectionClose &);
    void on(const Wire::ConnectionCloseOk &);
    void on(const Wire::ConnectionBlocked &);
    void on(const Wire::ConnectionUnblocked &);
    template <typename Method>
    void on(const Method &); // others
    template <typename Method>
    bool advance(const Method &method); // takes a step of the handshake; returns false if the attempt has failed
    bool expect(State state, const char *method);
    void setBlocked(bool blocked, const QString &reason);

    // requests of channels
    Result<quint16> claimNumber(ChannelEngine &channel) override;
    void channelEnded(const ChannelEngine &channel, bool awaitsCloseOk) override;
    void noteProgress() override { m_closeTimer.progress(m_now); }
    void reportViolation(quint16 replyCode, const QString &text) override;
    void reportUnexpected(const char *method) override;

    void noteLeft(qint64 held, Time now);
    void expireCalls(Time now);
    void endChannels(const Error &reason);
    void sendCloseWhenAllIsAnswered();
    void end(const Error &reason, Ending ending = Ending::Abort);

    State m_state = State::Idle;
    bool m_isClosing = false; // close() was called
    FrameReader m_reader;
    Handshake m_handshake{m_frames, m_events};
    ChannelRouter m_router{*this, m_channels, m_reader};
    ConnectionCalls m_ownCalls{*this};
    Heartbeat m_heartbeat;
    CloseTimer m_closeTimer;
    CallId m_returnOfNumber = 0;  // channel.close of a channel that has borrowed its number, timed like a call
    Time m_now;                   // the time of the input that is being decoded
    bool m_takesRepeated = false; // since the last read: the connection is open and frames are not logged
};

} // namespace AmqpQt::Engine
