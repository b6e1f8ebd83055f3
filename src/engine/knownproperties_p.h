// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/error.h>

#include <QtCore/qbytearrayview.h>
#include <QtCore/qstring.h>

namespace AmqpQt::Engine
{

// Whether RabbitMQ would close the channel for a property of a message to publish, as it does for an expiration that is
// no time, CC and BCC that are no arrays, and a user-id that is not the user's own. `properties` as in
// Wire::ContentHeader.
Error checkProperties(QByteArrayView properties, bool checksUserId, const QString &userName);

} // namespace AmqpQt::Engine
