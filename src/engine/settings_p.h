// SPDX-License-Identifier: MIT
#pragma once

#include "engine/time_p.h"

#include <AmqpQt/fieldtable.h>

#include <QtCore/qbytearray.h>

namespace AmqpQt::Engine
{

// The settings of one attempt to connect.
struct Settings {
    QString userName;
    bool checksUserId = true;     // a message's user-id must be the user name
    QByteArray saslPlainResponse; // see saslPlain()
    QString virtualHost;
    FieldTable clientProperties; // the engine adds the capabilities
    QString connectionName;
    quint16 heartbeatSeconds = 60;
    quint32 frameMax = 131072; // 0 means no limit
    quint16 channelMax = 2047; // 0 means no limit
    Milliseconds handshakeTimeout{15'000};
    Milliseconds replyTimeout{30'000}; // 0 means no timeout
    Milliseconds closeTimeout{5'000};
    Milliseconds blockedTimeout{0}; // 0 means no limit
    int backpressureMultiplier = 0; // 0 disables detection
    qint64 maximumMessageSize = 128 * 1024 * 1024;
    qint64 lowWatermark = 1024 * 1024;
    qint64 highWatermark = 4 * 1024 * 1024;
    qint64 bufferLimit = 128 * 1024 * 1024;
};

} // namespace AmqpQt::Engine
