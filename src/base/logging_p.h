// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qloggingcategory.h>

// Never a password, never a body; text of the broker only escaped, as Error and QDebug's quoted strings do it.
namespace AmqpQt
{

Q_DECLARE_LOGGING_CATEGORY(lcConnection) // amqpqt.connection
Q_DECLARE_LOGGING_CATEGORY(lcChannel)    // amqpqt.channel
Q_DECLARE_LOGGING_CATEGORY(lcFrame)      // amqpqt.frame, disabled by default

} // namespace AmqpQt
