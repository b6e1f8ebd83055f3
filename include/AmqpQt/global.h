// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/amqpqt_export.h>

#include <QtCore/qflags.h>
#include <QtCore/qobjectdefs.h>

namespace AmqpQt
{
Q_NAMESPACE_EXPORT(AMQPQT_EXPORT)

// No enumerator is called None because X11's headers define None as a macro. The underlying type is int because code
// compiled by qmlcachegen reads every enum as an int; a smaller type would make it read adjacent bytes.

enum class DeliveryMode : int { Transient = 1, Persistent = 2 };
Q_ENUM_NS(DeliveryMode)

enum class AckMode : int {
    Manual,        // the application settles each message
    AfterDelivery, // the library acks after the slots of delivered() or batchDelivered() return; see Consumer
    NoAck,         // the broker drops the message as soon as it is sent
};
Q_ENUM_NS(AckMode)

enum class Requeue : int { No, Yes };
Q_ENUM_NS(Requeue)

enum class BackpressureReason : int {
    BrokerBlocked = 0x1,     // connection.blocked: the broker is short of memory or disk
    WriteBufferFull = 0x2,   // the unsent bytes exceed the high watermark
    ChannelFlow = 0x4,       // channel.flow(active=false) from the broker
    ConfirmWindowFull = 0x8, // Channel::confirmWindow() messages are unconfirmed
};
Q_DECLARE_FLAGS(BackpressureReasons, BackpressureReason)
Q_FLAG_NS(BackpressureReasons)
Q_DECLARE_OPERATORS_FOR_FLAGS(BackpressureReasons)

enum class ErrorKind : int {
    NoError,
    // local errors; nothing was sent
    InvalidArgument, // a name over 255 bytes, an unsupported table value, …
    NotOpen,
    BufferFull,    // over ConnectionParameters::bufferLimit()
    Timeout,       // connect, handshake, heartbeat, RPC, close
    Cancelled,     // ended by close(), a destructor or a cancelled wait
    StaleDelivery, // settled after a recovery, or twice
    // transport
    Network,
    Tls,
    // peer
    Authentication,
    ConnectionClosed, // connection.close, see replyCode()
    ChannelClosed,    // channel.close, see replyCode()
    ConsumerCancelled,
    MessageTooLarge, // a delivery exceeds maximumMessageSize()
    Returned,        // a mandatory message had no route
    Nacked,          // basic.nack for a published message
    Unconfirmed,     // the connection was lost first; the outcome is unknown
    ProtocolViolation,
};
Q_ENUM_NS(ErrorKind)

} // namespace AmqpQt
