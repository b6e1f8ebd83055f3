// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/error.h>

#include <QtCore/qbytearrayview.h>
#include <QtCore/qstring.h>

namespace AmqpQt::Engine
{

// An error if RabbitMQ would close the channel for a property of a message: an expiration that is not a valid time, CC or BCC
// headers that are not arrays, or the user-id of another user. `properties` as in Wire::ContentHeader.
Error checkProperties(QByteArrayView properties, bool checksUserId, const QString &userName);

} // namespace AmqpQt::Engine
