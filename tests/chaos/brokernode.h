// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qset.h>
#include <QtCore/qstringlist.h>

#include <memory>
#include <optional>

class QProcess;
class TopologyModel;

// The private node of tools/broker, which runs this program. The functions that wait run the event loop.
class BrokerNode
{
public:
    BrokerNode();
    ~BrokerNode();

    bool clear();           // deletes all exchanges and queues, which another scenario has left
    void kill();            // SIGKILL; does not wait
    void stopApplication(); // closes all connections with 320, as for maintenance; does not wait
    bool waitForEnd();
    bool start(); // after either of them, and waits until it is ready

    // Returns what the node has in addition to the model or lacks, or that rabbitmqctl fails.
    QStringList differences(const TopologyModel &model) const;
    QString errors() const { return m_errors; } // of the last command that has failed
    int staleAckCount()
        const; // channels that the node has closed because of an unknown delivery tag, since its first start

private:
    std::optional<QSet<QString>> entities() const; // see TopologyModel
    void launch(const QStringList &arguments);
    bool run(const QStringList &arguments);

    std::unique_ptr<QProcess> m_process;
    bool m_isKilled = false;
    QString m_errors;
};

// The sockets of this process that are connected to a port on loopback, also if the peer has ended the connection. Each
// is described by its address and state as in /proc/net/tcp.
QStringList socketsTo(quint16 port);
