// SPDX-License-Identifier: MIT
#pragma once

#include "engine/calltracker_p.h"
#include "engine/channelengine_p.h"
#include "engine/channelids_p.h"
#include "engine/event_p.h"
#include "engine/heartbeat_p.h"
#include "engine/inputbuffer_p.h"
#include "engine/outputbuffer_p.h"
#include "engine/settings_p.h"
#include "values/logging_p.h"
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
class ConnectionEngine
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
    ConnectionEngine(const ConnectionEngine &) = delete;
    ConnectionEngine &operator=(const ConnectionEngine &) = delete;

    void configure(const Settings &settings); // before start(): the limits for what waits until then
    // A new attempt: queues the protocol header. An error (then nothing has begun) if a setting cannot be sent. A
    // failed attempt ends no channel: channels that wait for the connection go on waiting, until an attempt succeeds or
    // endWaiting().
    Error start(const Settings &settings, Time now);
    void refuse(const Error &reason);          // instead of start(): the attempt has failed
    void endWaiting(const Error &reason = {}); // without a connection: ends the channels that wait for one
    bool isWaitedFor() const noexcept { return m_openNumbers > 0; }   // without a connection: by such channels
    void postpone(ConnectionClosed event) { tell(std::move(event)); } // behind all queued events
    void close(Time now);
    void abort(const Error &reason = {}) { finish(reason, false); } // without the goodbye
    void goodbye(); // queues connection.close, without waiting for outstanding calls
    void transportConnected() { m_isTransportConnected = true; }
    void transportClosed(const Error &error); // the connection is lost, or could not be made

    // input: fill inputSpace() and say how much; then call next() until it has nothing more
    std::span<char> inputSpace();
    void inputRead(qsizetype size, Time now);
    qsizetype feed(QByteArrayView bytes, Time now); // copies; gives how many were taken
    bool hasInput() const noexcept { return !m_events.empty() || (!m_input.isEmpty() && !m_needsInput); } // for next()
    std::optional<Event> next();
    std::vector<ReplyArrived> takeReplies(const ChannelEngine *channel); // instead of by next()
    // A shorter way for most deliveries of a steady stream. False: ask next().
    bool nextRepeated(RepeatedDelivery &delivery);

    // output
    // Merges acks. `held`, here and below: bytes that the transport has accepted and not yet passed to the kernel.
    void prepareOutput(Time now, qint64 held = 0);
    QByteArrayView output() const { return m_output.front(); }
    std::span<const QByteArrayView> output(std::span<QByteArrayView> space) const { return m_output.pieces(space); }
    void written(qsizetype size, Time now, qint64 held = 0);
    qint64 queuedBytes() const noexcept { return m_heldBytes + (m_state == State::Closed ? 0 : m_output.size()); }
    bool hasRoom(qint64 bytes) const noexcept { return queuedBytes() + bytes <= m_settings.bufferLimit; }
    bool hasOutput() const noexcept { return !m_output.isEmpty() || !m_channelsWithAcks.empty(); }
    // So much has come since writing was tried last.
    bool wantsWrite(qsizetype threshold = WriteThreshold) const noexcept
    {
        return m_output.size() - m_leftUnwritten >= threshold;
    }
    void writeTried() noexcept { m_leftUnwritten = m_output.size(); }

    std::optional<Time> deadline() const;
    // `inputIsRead`: next() has seen all that the peer has sent. Before, no answer and no sign of life of it is
    // overdue.
    void tick(Time now, bool inputIsRead = true);
    bool hasIdleMemory() const noexcept
    {
        return m_input.hasIdleMemory() || (m_output.isEmpty() && m_output.hasSpare());
    }
    void releaseIdleMemory(); // what only the next burst needs again

    // Numbers are the smallest free ones; null if there is none, or if `number` is taken or beyond the limit. For the
    // channel's end see ChannelEngine::release().
    std::shared_ptr<ChannelEngine> createChannel(void *context);
    std::shared_ptr<ChannelEngine> createChannel(quint16 number, void *context);
    ChannelEngine *channel(quint16 number) const { return slotOf(number).channel; }
    bool isChannelNumberPossible(quint16 number) const { return number > 0 && number <= m_channelIds.limit(); }

    State state() const noexcept { return m_state; }
    bool isOpen() const noexcept { return m_state == State::Open; }
    bool isClosing() const noexcept { return m_closing; }
    bool isBlocked() const noexcept { return m_blocked; }
    bool isWritable() const noexcept { return !m_bufferFull; }
    std::chrono::seconds heartbeat() const noexcept { return m_heartbeat.interval(); }
    quint32 frameMax() const noexcept { return m_frameMax; }
    quint16 channelMax() const noexcept { return m_channelMax; }
    FieldTable serverProperties() const { return Wire::decodeTable(m_serverProperties); }
    bool hasCapability(const QString &name) const;
    bool hasNack() const noexcept { return m_hasNack; }

private:
    friend class ChannelEngine;

    static constexpr qsizetype WriteThreshold = 128 * 1024;
    static constexpr quint32 HandshakeFrameLimit = 128 * 1024;
    static constexpr quint32 MethodFrameLimit = 1024 * 1024;
    static constexpr quint32 UnlimitedFrameSend = 131072; // what we send where nobody has set a limit
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
    qsizetype matchAnotherConsumer(RepeatedDelivery &delivery);
    void forgetDeliveries(const ChannelEngine *channel) noexcept
    {
        if (m_lastChannel == channel)
            m_lastConsumer = nullptr;
    }
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
    void lingerAfterClose(quint16 number) { m_slots[number].lingering = true; }
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

    // sending
    template <typename Method>
    void send(quint16 channel, const Method &method)
    {
        const qsizetype size = Wire::payloadSize(method);
        char *at = m_output.append(size + Wire::FrameOverhead);
        char *end =
            Wire::writePayload(Wire::writeFrameHeader(at, Wire::FrameType::Method, channel, quint32(size)), method);
        *end = char(Wire::FrameEnd);
        ++m_framesSent;
        logMethod("sent", channel, QByteArrayView(at + Wire::FrameHeaderSize, size));
    }
    // To the category amqpqt.frame, which is off unless somebody asks for it.
    static void logMethod(const char *what, quint16 channel, QByteArrayView payload);
    void sendMethod(quint16 channel, QByteArrayView payload);
    void sendContent(quint16 channel, const ContentFrames &frames, const QByteArray &body)
    {
        if (size_t(body.size()) - 1 >= m_copiedBodyLimit || m_frameLog.isDebugEnabled()) // an empty one, too
            return sendAnyContent(channel, frames, body);
        const qsizetype size = frames.size(body);
        m_framesSent += 3;
        frames.write(m_output.append(size), body);
    }
    void sendAnyContent(quint16 channel, const ContentFrames &frames, const QByteArray &body);
    qsizetype maximumPayload() const noexcept { return qsizetype(m_sendFrameMax) - Wire::FrameOverhead; }
    void setSendFrameMax(quint32 frameMax) // 0: no limit
    {
        m_sendFrameMax = frameMax ? frameMax : UnlimitedFrameSend;
        m_copiedBodyLimit = size_t(std::min(maximumPayload(), OutputBuffer::ShareThreshold - 1));
    }
    void checkWatermarks()
    {
        if (m_bufferFull || m_settings.backpressureMultiplier != 0 || queuedBytes() >= m_settings.highWatermark)
            tellWatermarks();
    }
    void tellWatermarks();
    void noteHeld(qint64 bytes);
    void detectBackpressure(qint64 queued);
    void noteLeft(qint64 held, Time now);
    void noteCloseProgress(Time now);

    // calls
    void callSent(const CallTracker::Call &call) { m_calls.sent(call, m_output.appended()); }
    void expireCalls(Time now);
    void tell(Event event) { m_events.push_back(std::move(event)); }

    // ending
    void fail(quint16 replyCode, const QString &text); // the peer broke the protocol
    void failFraming(const QString &text);             // and nobody knows where its next frame begins
    void unexpected(const char *method);
    void finish(const Error &reason, bool graceful);
    void wipePassword();
    void closeChannels();
    void endChannels(const Error &reason);
    void sendCloseWhenChannelsAreClosed();
    void occupy(quint16 number, ChannelEngine *channel);
    void vacate(quint16 number);
    void numberClosed(quint16 number, bool rests);
    void forgetWaiting(const ChannelEngine *channel)
    {
        std::erase_if(m_waiting, [channel](const auto &waiting) { return waiting.get() == channel; });
    }
    void setBlocked(bool blocked, const QString &reason);

    const QLoggingCategory &m_frameLog = lcFrame();
    Settings m_settings;
    State m_state = State::Idle;
    bool m_isTransportConnected = false;
    bool m_closing = false;
    bool m_blocked = false;
    bool m_bufferFull = false;
    InputBuffer m_input;
    OutputBuffer m_output;
    qint64 m_leftUnwritten = 0; // bytes of it, when writing was tried last
    std::deque<Event> m_events;
    Delivered m_delivered;
    BodyStream m_body;
    std::optional<Time> m_undecodableWarned; // the last warning about undecodable headers
    quint64 m_undecodableSince = 0;          // messages with such headers since then
    // Of the last delivery: with a single consumer that is whose the next one is, too.
    ChannelEngine *m_lastChannel = nullptr;
    ConsumerEntry *m_lastConsumer = nullptr;
    bool m_needsInput = false; // what there is of it is a part of a frame
    bool m_isLogged = false;   // each method is to be described in the log
    bool m_readsShort = false; // lest the next large body is read into the input buffer and copied

    ChannelIds m_channelIds;
    std::vector<Slot> m_slots;                            // by channel number
    int m_openNumbers = 0;                                // of channels that are not closed, resting ones included
    std::deque<std::shared_ptr<ChannelEngine>> m_waiting; // one entry for each operation held until we are open
    std::vector<std::shared_ptr<ChannelEngine>> m_channelsWithAcks;
    std::vector<Acks::Frame> m_ackFrames; // kept for its memory
    qint64 m_heldBytes = 0;
    quint64 m_lastIncarnation = 0;

    CallTracker m_calls;
    std::optional<Time> m_blockedSince;

    Heartbeat m_heartbeat;
    std::optional<Time> m_handshakeDeadline;
    std::optional<Time> m_closeDeadline; // put off by any progress
    qint64 m_framesSent = 0;             // or about to be: they are in the output
    qint64 m_bytesLeft = 0;              // position in the output: everything before it is with the kernel
    qint64 m_heartbeatEnd = 0;           // position behind the last heartbeat
    bool m_backpressureTold = false;
    Time m_now; // of the input being decoded

    quint32 m_frameMax = 0;
    quint32 m_sendFrameMax = UnlimitedFrameSend;
    size_t m_copiedBodyLimit = OutputBuffer::ShareThreshold - 1; // bodies up to this are copied, and go in one frame
    quint32 m_receiveFrameMax = HandshakeFrameLimit;
    quint16 m_channelMax = 0;
    QByteArray m_clientProperties; // of start-ok
    QByteArray m_serverProperties; // not decoded before somebody asks: that takes up to 40 times their size
    bool m_hasNack = false;
};

} // namespace AmqpQt::Engine
