// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qlist.h>
#include <QtNetwork/qtcpserver.h>

#include <atomic>
#include <chrono>
#include <functional>

// A fault of the network on one connection. It begins when `afterBytes` bytes have passed in `direction`, at once if
// that is 0.
struct NetworkFault {
    enum class Kind {
        None,
        Reset,     // both sides get RST
        Finish,    // both sides get FIN
        BlackHole, // both sockets stay open, and everything is discarded
        Stall,     // nothing more is read in `direction`, so the sender's buffers fill; the other direction goes on
        Throttle,  // `bytesPerSecond` in each direction
        Delay,     // everything arrives `delay` later
    };
    enum class Direction { ToBroker, ToClient };

    Kind kind = Kind::None;
    Direction direction = Direction::ToBroker;
    qint64 afterBytes = 0;
    qint64 bytesPerSecond = 1024;
    std::chrono::milliseconds delay{0};
    std::chrono::milliseconds resetAfter{0}; // a lasting fault ends with a reset after this time; 0 means never
};

// Forwards TCP connections on loopback to a port of a broker, and applies one fault to each. If the client ends its
// connection, the broker's side is reset, so that the broker learns of it in spite of the fault.
class FaultProxy : public QTcpServer
{
public:
    explicit FaultProxy(quint16 brokerPort, QObject *parent = nullptr);
    ~FaultProxy() override;

    // Called in the thread of the proxy for each later connection, numbered from 1. Without it there are no faults.
    void setFaults(std::function<NetworkFault(int connection)> choose) { m_choose = std::move(choose); }
    void strike(const NetworkFault &fault); // replaces the fault of each open connection, and begins it at once

    // These may be called in any thread.
    int acceptedCount() const { return m_accepted; }
    int openCount() const { return m_open; }    // connections that the client has not ended
    int faultCount() const { return m_faults; } // faults that have begun

private:
    class Link;

    const quint16 m_brokerPort;
    QList<Link *> m_links;
    std::function<NetworkFault(int)> m_choose;
    std::atomic<int> m_accepted = 0;
    std::atomic<int> m_open = 0;
    std::atomic<int> m_faults = 0;
};
