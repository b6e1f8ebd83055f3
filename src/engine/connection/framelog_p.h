// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qbytearrayview.h>

namespace AmqpQt::Engine
{

// Logs a method in the category amqpqt.frame, which is off by default.
void logMethod(const char *what, quint16 channel, QByteArrayView payload);

} // namespace AmqpQt::Engine
