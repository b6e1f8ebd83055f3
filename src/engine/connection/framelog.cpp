// SPDX-License-Identifier: MIT
#include "engine/connection/framelog_p.h"

#include "base/logging_p.h"
#include "wire/trace_p.h"

namespace AmqpQt::Engine
{

void logMethod(const char *what, quint16 channel, QByteArrayView payload)
{
    if (lcFrame().isDebugEnabled())
        qCDebug(lcFrame).noquote() << what << "on channel" << channel << Wire::describeMethod(payload);
}

} // namespace AmqpQt::Engine
