// SPDX-License-Identifier: MIT
#include "base/logging_p.h"

namespace AmqpQt
{

Q_LOGGING_CATEGORY(lcConnection, "amqpqt.connection", QtInfoMsg)
Q_LOGGING_CATEGORY(lcChannel, "amqpqt.channel", QtInfoMsg)
Q_LOGGING_CATEGORY(lcFrame, "amqpqt.frame", QtWarningMsg)

} // namespace AmqpQt
