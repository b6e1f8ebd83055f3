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

// The pseudo-queue of direct reply-to. RabbitMQ accepts a request with this reply-to only while the same channel
// consumes from it.
inline constexpr QLatin1StringView DirectReplyTo("amq.rabbitmq.reply-to");

// Whether a message has this reply-to.
bool asksForDirectReply(QByteArrayView properties);

} // namespace AmqpQt::Engine
