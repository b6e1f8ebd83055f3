// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qbytearray.h>
#include <QtCore/qstring.h>

namespace AmqpQt::Engine
{

// Describes the feature in the call with this payload that RabbitMQ 4.3 and later deny or ignore, depending on their
// configuration, with the remedy. Empty if the call has no such feature.
QString deniedFeature(QByteArrayView payload);

} // namespace AmqpQt::Engine
