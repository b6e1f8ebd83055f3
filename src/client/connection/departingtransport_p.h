// SPDX-License-Identifier: MIT
#pragma once

#include "engine/event_p.h"
#include "transport/transport_p.h"

#include <QtCore/qtimer.h>

#include <memory>

namespace AmqpQt
{

// A transport that its connection no longer needs. It writes the rest of its output, discards input until the broker
// has answered connection.close or has closed the connection, and then closes. The kernel resets the TCP connection of
// a socket that is closed with unread input, and the broker may then lose the last bytes written.
class DepartingTransport final : public QObject
{
public:
    // The transport lives until it is closed, or until the peer has accepted no byte for `patience`. `input` has the
    // bytes that were read but not processed.
    static void depart(std::unique_ptr<Transport> transport, Engine::Ending ending, std::chrono::milliseconds patience,
                       QByteArrayView input = {});
    ~DepartingTransport() override;

private:
    DepartingTransport(std::unique_ptr<Transport> transport, QObject *parent);
    void discardInput();
    void keepTail(QByteArrayView input);
    void close();
    void patienceEnded();

    const std::unique_ptr<Transport> m_transport;
    QTimer m_timer;
    const QByteArray m_closeOk;
    QByteArray m_tail; // of the input, at most as long as close-ok
    bool m_isClosing = false;
};

} // namespace AmqpQt
