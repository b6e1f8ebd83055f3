// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/error.h>
#include <AmqpQt/options.h>

#include <QtCore/qbytearray.h>
#include <QtCore/qbytearrayview.h>

#include <memory>
#include <optional>
#include <variant>
#include <vector>

// The events of the engine. Views and plain pointers are valid until the next call of ConnectionEngine::next().
namespace AmqpQt::Engine
{

class ChannelEngine;
struct ConsumerEntry;

// The client's objects for a channel and for a consumer. The engine only passes their addresses on.
class ChannelClient
{
protected:
    ~ChannelClient() = default;
};
class ConsumerClient
{
protected:
    ~ConsumerClient() = default;
};

using CallId = quint64; // identifies a request that the broker answers; never 0 and never repeated

struct ReceivedMessage {
    QByteArrayView exchange;
    QByteArrayView routingKey;
    QByteArray properties; // flags and list as on the wire; shares the previous message's bytes if they are equal
    QByteArray body;
    quint64 deliveryTag = 0;
    bool redelivered = false;
};

struct GotMessage // basic.get-ok
{
    ReceivedMessage message;
    quint32 remaining = 0;
};

struct QueueEmpty // basic.get-empty
{
};

struct CancelResult // basic.cancel-ok
{
    int returned = 0; // deliveries that went back to the queue
    int lost = 0;     // no-ack deliveries that were dropped
};

using ReplyValue = std::variant<std::monostate, Error, QueueInfo, quint32, GotMessage, QueueEmpty, CancelResult>;

struct Opened {
};
// The SASL mechanism is one of the client's, which answers with Handshake::respond().
struct ResponseRequested {
    QByteArray mechanism;
    std::optional<QByteArray> challenge; // not set for the initial response
};
// How the transport of a connection ends.
enum class Ending : quint8 {
    Abort,        // at once; the output is dropped
    Close,        // after the rest of the output; the broker sends nothing more
    AwaitCloseOk, // after the rest of the output and its answer, since the broker may be sending
};
struct ConnectionClosed {
    Error reason; // kind NoError: the broker has answered close()
    Ending ending = Ending::Abort;
    bool isSuspended = false; // the channels wait for the next attempt that succeeds, see Settings::recovers
};
struct BlockedChanged {
    bool blocked = false;
    QString reason;
};
struct WritableChanged // the write buffer crossed a watermark
{
    bool writable = false;
};
struct ChannelOpened {
    std::shared_ptr<ChannelEngine> channel;
};
struct ChannelClosed {
    std::shared_ptr<ChannelEngine> channel;
    Error reason;
};
// The connection was lost, and the channel and its consumers will be restored on the next one.
struct ChannelSuspended {
    std::shared_ptr<ChannelEngine> channel;
    Error reason;
};
// Each suspended channel is open again, and each of its consumers active, unless it has failed, or the application has
// ended it in the meantime. Follows each ChannelGate::release().
struct ChannelsRestored {
    struct Failure {
        quint16 channel = 0;
        QByteArray consumerTag; // empty if the channel itself could not be opened
        QString queue;          // of the consumer
        Error error;
    };
    int consumers = 0;
    std::vector<Failure> failures;
};
struct FlowChanged // channel.flow
{
    std::shared_ptr<ChannelEngine> channel;
    bool active = true;
};
struct ReplyArrived {
    CallId call = 0;
    ReplyValue value;
    const ChannelEngine *channel = nullptr; // the channel that made the call; null if the connection itself did
};
struct Delivered {
    ConsumerEntry *consumer = nullptr;
    ReceivedMessage message;
};
// Identical to this consumer's previous Delivered event except for the fields below.
struct RepeatedDelivery {
    ConsumerEntry *consumer = nullptr;
    quint64 deliveryTag = 0;
    bool redelivered = false;
    QByteArrayView body;
};
struct ReturnedMessage {
    QByteArray exchange;
    QByteArray routingKey;
    QByteArray properties; // as in ReceivedMessage
    QByteArray body;
    Error reason;
};
struct Returned {
    std::shared_ptr<ChannelEngine> channel;
    ReturnedMessage message;
    quint64 sequence = 0; // 0 if unknown, because the message was not published in confirm mode
};
// A closed range of sequence numbers, as in PublishFailed.
struct PublishConfirmed {
    std::shared_ptr<ChannelEngine> channel;
    quint64 first = 0;
    quint64 last = 0;
};
struct PublishFailed // never sent, nacked, returned, or unknown
{
    std::shared_ptr<ChannelEngine> channel;
    quint64 first = 0;
    quint64 last = 0;
    Error reason;
};
struct ConfirmWindowChanged {
    std::shared_ptr<ChannelEngine> channel;
    bool full = false;
};
struct BackpressureDetected // more waits to be sent than a multiple of the average frame
{
    qint64 queuedBytes = 0;
};
struct ConsumerCancelled // reported by the broker, or by the engine with MessageTooLarge
{
    std::shared_ptr<ConsumerEntry> consumer;
    Error reason;
};

using Event = std::variant<RepeatedDelivery, Delivered, ReplyArrived, Opened, ConnectionClosed, BlockedChanged,
                           WritableChanged, ChannelOpened, ChannelClosed, FlowChanged, Returned, PublishConfirmed,
                           PublishFailed, ConfirmWindowChanged, BackpressureDetected, ConsumerCancelled,
                           ResponseRequested, ChannelSuspended, ChannelsRestored>;

} // namespace AmqpQt::Engine
