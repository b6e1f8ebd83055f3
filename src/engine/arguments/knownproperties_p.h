// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/error.h>

#include <QtCore/qbytearrayview.h>
#include <QtCore/qstring.h>

namespace AmqpQt::Engine
{

// Returns an error if RabbitMQ would close the channel for a property of a message, that is, for an expiration that
// is not a valid time, for CC or BCC headers that are not arrays, or for the user-id of another user. `properties`
// are as in Wire::ContentHeader.
Error checkProperties(QByteArrayView properties, bool checksUserId, const QString &userName);

// The pseudo-queue of direct reply-to. RabbitMQ accepts a request with this reply-to only while the same channel
// consumes from it.
inline constexpr QLatin1StringView DirectReplyTo("amq.rabbitmq.reply-to");

// Returns whether a message has this reply-to.
bool asksForDirectReply(QByteArrayView properties);

} // namespace AmqpQt::Engine
