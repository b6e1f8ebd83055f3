// SPDX-License-Identifier: MIT
#pragma once

#include "engine/channelengine_p.h"
#include "engine/channelhost_p.h"
#include "engine/channelids_p.h"
#include "engine/event_p.h"
#include "engine/heartbeat_p.h"
#include "engine/inputbuffer_p.h"
#include "wire/fieldtable_p.h"
#include "wire/methods_p.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace AmqpQt::Engine
{

// All protocol state of one connection. It is pulled and never calls out: bytes and times go in, next() tells one thing
// at a time, output() has what is to be written. While the caller handles an event, nothing of the engine is on the
// stack.
class ConnectionEngine final : private ChannelHost
{
public:
    enum class State : quint8 {
        Idle,
        HeaderSent,
        StartReceived, // start-ok is sent
        TuneReceived,
        OpenSent,
        Open,
        CloseSent,
        Closed,
    };

    ConnectionEngine() = default;

    void configure(const Settings &settings); // before start(): the limits for what waits until then
    // A new attempt: queues the protocol header. An error (then nothing has begun) if a setting cannot be sent. A
    // failed attempt ends no channel: channels that wait for the connection go on waiting, until an attempt succeeds or
    // endWaiting().
    Error start(const Settings &settings, Time now);
    void refuse(const Error &reason);          // instead of start(): the attempt has failed
    void endWaiting(const Error &reason = {}); // without a connection: ends the channels that wait for one
    bool isWaitedFor() const noexcept { return m_openNumbers > 0; }   // without a connection: by such channels
    void postpone(ConnectionClosed event) { post(std::move(event)); } // behind all queued events
    void close(Time now);
    void abort(const Error &reason = {}) { finish(reason, false); } // without the goodbye
    void goodbye(); // queues connection.close, without waiting for outstanding calls
    void transportConnected() { m_isTransportConnected = true; }
    void transportClosed(const Error &error); // the connection is lost, or could not be made

    // input: fill inputSpace() and say how much; then call next() until it has nothing more
    std::span<char> inputSpace();
    void inputRead(qsizetype size, Time now);
    qsizetype feed(QByteArrayView bytes, Time now); // copies; gives how many were taken
    bool hasInput() const noexcept
    {
        return !m_events.isEmpty() || (!m_input.isEmpty() && !m_needsInput);
    } // for next()
    std::optional<Event> next();
    std::vector<ReplyArrived> takeReplies(const ChannelEngine *channel) // instead of by next()
    {
        return m_events.takeReplies(channel);
    }
    // A shorter way for most deliveries of a steady stream. False: ask next().
    bool nextRepeated(RepeatedDelivery &delivery);

    // output
    // Merges acks. `held`, here and below: bytes that the transport has accepted and not yet passed to the kernel.
    void prepareOutput(Time now, qint64 held = 0);
    QByteArrayView output() const { return m_frames.output().front(); }
    std::span<const QByteArrayView> output(std::span<QByteArrayView> space) const
    {
        return m_frames.output().pieces(space);
    }
    void written(qsizetype size, Time now, qint64 held = 0);
    qint64 queuedBytes() const noexcept { return m_flow.queuedBytes(); }
    bool hasRoom(qint64 bytes) const noexcept { return m_flow.hasRoom(bytes); }
    bool hasOutput() const noexcept { return !m_frames.output().isEmpty() || !m_channelsWithAcks.empty(); }
    // So much has come since writing was tried last.
    bool wantsWrite(qsizetype threshold = WriteThreshold) const noexcept
    {
        return m_frames.output().size() - m_leftUnwritten >= threshold;
    }
    void writeTried() noexcept { m_leftUnwritten = m_frames.output().size(); }

    std::optional<Time> deadline() const;
    // `inputIsRead`: next() has seen all that the peer has sent. Before, no answer and no sign of life of it is
    // overdue.
    void tick(Time now, bool inputIsRead = true);
    bool hasIdleMemory() const noexcept
    {
        return m_input.hasIdleMemory() || (m_frames.output().isEmpty() && m_frames.output().hasSpare());
    }
    void releaseIdleMemory(); // what only the next burst needs again

    // Numbers are the smallest free ones; null if there is none, or if `number` is taken or beyond the limit. For the
    // channel's end see ChannelEngine::release().
    std::shared_ptr<ChannelEngine> createChannel(void *context);
    std::shared_ptr<ChannelEngine> createChannel(quint16 number, void *context);
    ChannelEngine *channel(quint16 number) const { return slotOf(number).channel; }
    bool isChannelNumberPossible(quint16 number) const { return number > 0 && number <= m_channelIds.limit(); }

    State state() const noexcept { return m_state; }
    using ChannelHost::hasNack;
    using ChannelHost::isOpen;
    bool isClosing() const noexcept { return m_closing; }
    bool isBlocked() const noexcept { return m_flow.isBlocked(); }
    bool isWritable() const noexcept { return m_flow.isWritable(); }
    std::chrono::seconds heartbeat() const noexcept { return m_heartbeat.interval(); }
    quint32 frameMax() const noexcept { return m_frameMax; }
    quint16 channelMax() const noexcept { return m_channelMax; }
    FieldTable serverProperties() const { return Wire::decodeTable(m_serverProperties); }
    bool hasCapability(const QString &name) const;

private:
    static constexpr qsizetype WriteThreshold = 128 * 1024;
    static constexpr quint32 HandshakeFrameLimit = 128 * 1024;
    static constexpr quint32 MethodFrameLimit = 1024 * 1024;
    static constexpr qsizetype DirectReadSize = 4096; // the rest of a body frame from which it is read into its place
    static constexpr quint64 LargeBody = 32 * 1024;   // after one of these not much more is read than the next header
    static constexpr qsizetype ShortRead = 4096;

    struct Slot // what a channel number is used for
    {
        ChannelEngine *channel = nullptr;
        bool resting = false; // we closed it and close-ok has not come
        // The broker closed it. RabbitMQ may send deliveries after its channel.close: they are skipped until
        // channel.open-ok.
        bool lingering = false;
    };
    struct BodyStream // the body frame under way
    {
        bool active = false;
        bool direct = false;              // the next read goes into the body's place
        ChannelEngine *channel = nullptr; // null: skipped
        quint32 remaining = 0;
    };

    enum class Step { NeedInput, Done, Delivery };

    void setState(State state);

    // decoding
    Step decode();
    Step decodeBodyStream();
    Step completeContent(ChannelEngine *channel);
    qsizetype matchDelivery(RepeatedDelivery &delivery);
    bool checkFirstBytes(QByteArrayView bytes); // false: not AMQP 0-9-1, or not enough to tell
    bool checkFrame(const Wire::FrameHeader &frame);
    bool checkContentChannel(quint16 number);
    Step onBodyFrame(const Wire::FrameHeader &frame);
    void onMethodFrame(quint16 number, QByteArrayView payload);
    Step onHeaderFrame(quint16 number, QByteArrayView payload);
    Step skipHeaderFrame(const Wire::FrameHeader &frame);
    ChannelEngine *channelOfHeader(quint16 number, const Wire::ContentHeader &header,
                                   bool isComplete); // null: it is skipped, or a fault
    quint32 methodFrameLimit() const noexcept
    {
        return m_state < State::Open ? HandshakeFrameLimit : std::max(MethodFrameLimit, m_frameMax);
    }
    void noteUndecodable(const ChannelEngine &channel, const char *what);
    Slot slotOf(quint16 number) const { return number < m_slots.size() ? m_slots[number] : Slot(); }
    void onRestingMethod(quint16 number, Wire::MethodId id);
    bool isLate(quint16 number, Wire::MethodId id); // of a channel that the broker closed before

    void on(const Wire::ConnectionStart &);
    void on(const Wire::ConnectionSecure &);
    void on(const Wire::ConnectionTune &);
    void on(const Wire::ConnectionOpenOk &);
    void on(const Wire::ConnectionClose &);
    void on(const Wire::ConnectionCloseOk &);
    void on(const Wire::ConnectionBlocked &);
    void on(const Wire::ConnectionUnblocked &);
    template <typename Method>
    void on(const Method &);
    bool expect(State state, const char *method);
    void negotiate(const Wire::ConnectionTune &tune);

    // what channels ask for
    Result<quint16> claimNumber(ChannelEngine &channel) override;
    void releaseNumber(const ChannelEngine &channel) override;
    void channelClosedByPeer(const ChannelEngine &channel) override;
    void channelEnded(const ChannelEngine &channel, bool awaitsCloseOk) override;
    void waitForOpen(std::shared_ptr<ChannelEngine> channel) override { m_waiting.push_back(std::move(channel)); }
    void queueAcks(std::shared_ptr<ChannelEngine> channel) override
    {
        m_channelsWithAcks.push_back(std::move(channel));
    }
    void noteProgress() override { noteCloseProgress(m_now); }
    void reportViolation(quint16 replyCode, const QString &text) override { fail(replyCode, text); }
    void reportUnexpected(const char *method) override { unexpected(method); }

    // sending
    template <typename Method>
    void send(quint16 channel, const Method &method)
    {
        m_frames.send(channel, method);
    }
    void noteLeft(qint64 held, Time now);
    void noteCloseProgress(Time now);

    void expireCalls(Time now);

    // ending
    void fail(quint16 replyCode, const QString &text); // the peer broke the protocol
    void failFraming(const QString &text);             // and nobody knows where its next frame begins
    void unexpected(const char *method);
    void finish(const Error &reason, bool graceful);
    void wipePassword();
    void closeChannels();
    void endChannels(const Error &reason);
    void sendCloseWhenChannelsAreClosed();
    std::shared_ptr<ChannelEngine> createChannelAt(quint16 number, void *context);
    void occupy(quint16 number, ChannelEngine *channel);
    void vacate(quint16 number);
    void numberClosed(quint16 number, bool rests);
    void setBlocked(bool blocked, const QString &reason);

    State m_state = State::Idle;
    bool m_isTransportConnected = false;
    bool m_closing = false;
    InputBuffer m_input;
    qint64 m_leftUnwritten = 0; // bytes of it, when writing was tried last
    Delivered m_delivered;
    BodyStream m_body;
    std::optional<Time> m_undecodableWarned; // the last warning about undecodable headers
    quint64 m_undecodableSince = 0;          // messages with such headers since then
    ChannelEngine *m_lastChannel = nullptr;  // that a delivery came for
    bool m_needsInput = false;               // what there is of it is a part of a frame
    bool m_isLogged = false;                 // each method is to be described in the log
    bool m_readsShort = false;               // lest the next large body is read into the input buffer and copied

    ChannelIds m_channelIds;
    std::vector<Slot> m_slots;                            // by channel number
    int m_openNumbers = 0;                                // of channels that are not closed, resting ones included
    std::deque<std::shared_ptr<ChannelEngine>> m_waiting; // one entry for each operation held until we are open
    std::vector<std::shared_ptr<ChannelEngine>> m_channelsWithAcks;

    Heartbeat m_heartbeat;
    std::optional<Time> m_handshakeDeadline;
    std::optional<Time> m_closeDeadline; // put off by any progress
    qint64 m_bytesLeft = 0;              // position in the output: everything before it is with the kernel
    qint64 m_heartbeatEnd = 0;           // position behind the last heartbeat
    Time m_now;                          // of the input being decoded

    quint32 m_frameMax = 0;
    quint32 m_receiveFrameMax = HandshakeFrameLimit;
    quint16 m_channelMax = 0;
    QByteArray m_clientProperties; // of start-ok
    QByteArray m_serverProperties; // not decoded before somebody asks: that takes up to 40 times their size
};

} // namespace AmqpQt::Engine
