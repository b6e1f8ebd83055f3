// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qloggingcategory.h>

// No log entry may contain a password or a body. Text of the broker must be escaped, as by Error and by quoted strings
// of QDebug.
namespace AmqpQt
{

Q_DECLARE_LOGGING_CATEGORY(lcConnection) // amqpqt.connection
Q_DECLARE_LOGGING_CATEGORY(lcChannel)    // amqpqt.channel
Q_DECLARE_LOGGING_CATEGORY(lcFrame)      // amqpqt.frame, disabled by default

} // namespace AmqpQt
