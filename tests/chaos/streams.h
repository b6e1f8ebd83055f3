// SPDX-License-Identifier: MIT
#pragma once

#include "chaos/scenarios.h"
#include "chaos/stream.h"

#include <memory>
#include <vector>

// One connection with several streams of different kinds.
class Streams
{
public:
    Streams(const AmqpQt::ConnectionParameters &parameters, const QString &name, quint32 seed);

    bool open(std::chrono::milliseconds patience);
    void publishUpTo(quint64 number); // in each stream
    void stop();
    bool isQuiet() const;
    bool waitUntilQuiet(std::chrono::milliseconds patience); // false if nothing has happened for so long
    bool isRecovered() const { return m_watch.ledger().isRecovered() && m_connection.isOpen(); }
    int lossCount() const { return m_watch.ledger().lossCount(); }
    quint64 publishedCount() const;
    QStringList entities() const; // see TopologyModel
    void fail(const QString &error) { m_watch.fail(error); }

    // Waits until everything has ended, closes, and looks for messages that are left in the queues.
    Outcome finish(const AmqpQt::ConnectionParameters &direct, std::chrono::milliseconds patience);

private:
    AmqpQt::Connection m_connection;
    ConnectionWatch m_watch;
    std::vector<std::unique_ptr<Stream>> m_streams;
};
