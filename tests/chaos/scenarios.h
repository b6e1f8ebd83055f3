// SPDX-License-Identifier: MIT
#pragma once

#include "chaos/verdict.h"

#include <AmqpQt/ConnectionParameters>

#include <chrono>

struct Settings {
    quint32 seed = 0;
    int kills = 50;
    quint64 messages = 1'000'000; // published between the kills
    int cuts = 1000;
    int restarts = 50;
    int queuesOfEachKind = 64;
    std::chrono::milliseconds patience = std::chrono::minutes(1); // with each step
};

struct Outcome {
    Verdict verdict;
    QJsonObject figures;
};

// Parameters for the node of tools/broker, with recovery and short delays.
AmqpQt::ConnectionParameters chaosParameters(bool isEncrypted = false);

// Kills the broker again and again while messages are published with confirms, consumed and acknowledged.
Outcome killBroker(const Settings &settings);
// Cuts and disturbs connections at random places, plain ones and those over TLS.
Outcome cutConnections(const Settings &settings);
// Restarts the broker, by SIGKILL and by maintenance in turn, with queues of all kinds, each with a consumer.
Outcome restartBroker(const Settings &settings);

void progress(const QString &text); // on standard error
