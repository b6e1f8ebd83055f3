// SPDX-License-Identifier: MIT
#pragma once

#include "chaos/connectionwatch.h"
#include "chaos/topologymodel.h"

#include <AmqpQt/Publisher>

#include <QtCore/qset.h>

#include <vector>

QT_FORWARD_DECLARE_CLASS(QRandomGenerator)

// Queues of all kinds, each with a consumer, behind three exchanges: messages pass from a durable one through one that
// is transient and auto-delete to a topic exchange.
class Subscribers : public QObject
{
    Q_OBJECT
public:
    Subscribers(AmqpQt::Connection *connection, ConnectionWatch *watch, int queuesOfEachKind);

    qsizetype count() const { return qsizetype(m_entries.size()); }
    bool isActive() const; // all consumers are subscribed
    TopologyModel model() const;

    void publishToEach(int round);
    bool isServed() const { return m_unserved.isEmpty(); } // every consumer has received its message of this round
    QStringList unserved() const { return m_unserved.values(); }
    // Binds a queue with another key, deletes a queue, cancels the consumer of an auto-delete queue, and deletes a
    // consumer; others take their places.
    void change(QRandomGenerator &random);

    int renamedCount() const { return m_renamed; }
    qint64 receivedCount() const { return m_received; }

private:
    enum class Kind { Durable, Transient, Exclusive, AutoDelete, ServerNamed };
    static constexpr int KindCount = int(Kind::ServerNamed) + 1;
    struct Entry {
        Kind kind = Kind::Durable;
        QString key; // with which the queue is bound
        AmqpQt::Channel *channel = nullptr;
        AmqpQt::Consumer *consumer = nullptr;
    };

    QString newName(Kind kind);
    void declare(Entry &entry);
    void consume(Entry &entry, const QString &queue);
    void endConsumer(Entry &entry);
    void receive(const QString &key, const AmqpQt::Message &message);
    Entry &any(Kind kind, QRandomGenerator &random);

    ConnectionWatch *const m_watch;
    AmqpQt::Publisher m_publisher;
    std::vector<Entry> m_entries; // of the kinds in turn
    QSet<QString> m_unserved;     // keys
    int m_names = 0;
    int m_round = 0;
    int m_renamed = 0;
    qint64 m_received = 0;
};
