// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/error.h>

#include <QtCore/qbytearrayview.h>
#include <QtCore/qstring.h>

namespace AmqpQt::Engine
{

// An error if RabbitMQ would close the channel for a property of a message: an expiration that is not a valid time, CC
// or BCC headers that are not arrays, or the user-id of another user. `properties` as in Wire::ContentHeader.
Error checkProperties(QByteArrayView properties, bool checksUserId, const QString &userName);

// The queue that stands for the replies to requests of the same channel. RabbitMQ takes a request that asks for them
// there only while that channel consumes them.
inline constexpr QLatin1StringView DirectReplyTo("amq.rabbitmq.reply-to");

// Whether a message asks for replies there.
bool asksForDirectReply(QByteArrayView properties);

} // namespace AmqpQt::Engine
