// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/amqpqt_export.h>

#include <QtCore/qflags.h>
#include <QtCore/qobjectdefs.h>

namespace AmqpQt
{
Q_NAMESPACE_EXPORT(AMQPQT_EXPORT)

// No enumerator is called None: X11's headers define that as a macro. The underlying type is int: code that qmlcachegen
// compiles reads every enum as an int, and with a smaller type it reads the bytes beside the value too.

enum class DeliveryMode : int { Transient = 1, Persistent = 2 };
Q_ENUM_NS(DeliveryMode)

enum class AckMode : int {
    Manual,        // the application settles each message
    AfterDelivery, // the library acks when the slots of delivered() or batchDelivered() have returned; see Consumer
    NoAck,         // the broker forgets the message as soon as it is written
};
Q_ENUM_NS(AckMode)

enum class Requeue : int { No, Yes };
Q_ENUM_NS(Requeue)

enum class BackpressureReason : int {
    BrokerBlocked = 0x1,     // connection.blocked: the broker is short of memory or disk
    WriteBufferFull = 0x2,   // our unsent bytes passed the high watermark
    ChannelFlow = 0x4,       // channel.flow(active=false) from the broker
    ConfirmWindowFull = 0x8, // as many unconfirmed messages as Channel::confirmWindow() allows
};
Q_DECLARE_FLAGS(BackpressureReasons, BackpressureReason)
Q_FLAG_NS(BackpressureReasons)
Q_DECLARE_OPERATORS_FOR_FLAGS(BackpressureReasons)

enum class ErrorKind : int {
    NoError,
    // local: nothing was sent
    InvalidArgument, // a name over 255 bytes, an unsupported table value, …
    NotOpen,
    BufferFull,    // over ConnectionParameters::bufferLimit()
    Timeout,       // connect, handshake, heartbeat, RPC, close
    Cancelled,     // close(), a destructor or a cancelled wait ended it
    StaleDelivery, // settled after a recovery, or twice
    // transport
    Network,
    Tls,
    // peer
    Authentication,
    ConnectionClosed, // connection.close: see replyCode
    ChannelClosed,    // channel.close: see replyCode
    ConsumerCancelled,
    MessageTooLarge, // a message from the broker over maximumMessageSize()
    Returned,        // mandatory message had no route
    Nacked,          // basic.nack for a published message
    Unconfirmed,     // the connection went first: the broker may or may not have the message
    ProtocolViolation,
};
Q_ENUM_NS(ErrorKind)

} // namespace AmqpQt
