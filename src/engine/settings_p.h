// SPDX-License-Identifier: MIT
#pragma once

#include "base/secret_p.h"
#include "engine/time_p.h"

#include <AmqpQt/fieldtable.h>

#include <QtCore/qbytearray.h>

#include <vector>

namespace AmqpQt::Engine
{

// How an attempt authenticates itself.
struct Login {
    struct Mechanism // of SASL
    {
        QByteArray name;
        bool isFromApplication = false; // the application makes the responses, see ResponseRequested
    };
    std::vector<Mechanism> mechanisms; // in order of preference
    Secret password;
};

// The settings of one attempt to connect.
struct Settings {
    QString userName;
    Login login;              // only the handshake has it, and forgets it
    bool checksUserId = true; // a message's user-id must be the user name, if the mechanism sends a user name
    QString virtualHost;
    FieldTable clientProperties; // the engine adds the capabilities
    QString connectionName;
    quint16 heartbeatSeconds = 60;
    quint32 frameMax = 131072;   // 0 means no limit
    quint32 initialFrameMax = 0; // before connection.tune; 0 means that it depends on the version of the broker
    quint16 channelMax = 2047;   // 0 means no limit
    Milliseconds handshakeTimeout{15'000};
    Milliseconds replyTimeout{30'000}; // 0 means no timeout
    Milliseconds closeTimeout{5'000};
    Milliseconds blockedTimeout{0}; // 0 means no limit
    int backpressureMultiplier = 0; // 0 disables detection
    qint64 maximumMessageSize = 128 * 1024 * 1024;
    qint64 lowWatermark = 1024 * 1024;
    qint64 highWatermark = 4 * 1024 * 1024;
    qint64 bufferLimit = 128 * 1024 * 1024;
    bool recovers = false;      // a lost connection suspends its channels, unless another attempt would fail as well
    bool holdsChannels = false; // channels wait for ChannelGate::release(), also on the open connection
};

} // namespace AmqpQt::Engine
