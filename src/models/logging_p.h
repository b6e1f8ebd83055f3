// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qloggingcategory.h>

namespace AmqpQt
{

Q_DECLARE_LOGGING_CATEGORY(lcModel) // amqpqt.channel, as for channels

} // namespace AmqpQt
