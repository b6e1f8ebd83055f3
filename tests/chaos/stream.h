// SPDX-License-Identifier: MIT
#pragma once

#include "chaos/connectionwatch.h"
#include "chaos/messageledger.h"

#include <AmqpQt/Publisher>

#include <QtCore/qrandom.h>

#include <deque>

// A publisher and an acknowledging consumer of one durable queue, on one connection. Both keep some messages in hand,
// so that each loss finds unconfirmed and unacknowledged ones: the consumer settles singly and several at once, accepts
// and requeues, and also settles deliveries of a connection that is lost.
class Stream : public QObject
{
    Q_OBJECT
public:
    struct Options {
        QString queue;
        AmqpQt::Publisher::LossPolicy lossPolicy = AmqpQt::Publisher::LossPolicy::Republish;
        qsizetype bodySize = 100;
        int prefetch = 50;
    };

    Stream(AmqpQt::Connection *connection, ConnectionWatch *watch, const Options &options, quint32 seed);

    void publishUpTo(quint64 number); // in total
    void stop() { m_target = m_ledger.publishedCount(); }
    bool isQuiet() const;       // every message has ended, and the confirmed ones have been delivered
    quint64 eventCount() const; // grows with each message that ends or is delivered
    void stopReceiving();       // settles everything
    bool collectLeftovers(const AmqpQt::ConnectionParameters &parameters); // after the end of the connection; waits

    const MessageLedger &ledger() const { return m_ledger; }
    const AmqpQt::Consumer *consumer() const { return m_consumer; }
    int prefetch() const { return m_options.prefetch; }

private:
    struct Held {
        AmqpQt::Message message;
        int incarnation = 0;
    };

    void publishSome();
    void end(quint64 number, const AmqpQt::Error &error);
    void receive(const AmqpQt::Message &message);
    void settleOldest();
    void settleAll();

    const Options m_options;
    ConnectionWatch *const m_watch;
    MessageLedger m_ledger;
    QRandomGenerator m_random;
    AmqpQt::Publisher m_publisher;
    AmqpQt::Consumer *m_consumer = nullptr;
    bool m_isBound = false;
    quint64 m_target = 0;
    std::deque<Held> m_held;
    QTimer m_pause; // without deliveries, after which everything is settled
};
