// SPDX-License-Identifier: MIT
#pragma once

#include "transport/transport_p.h"

#include <AmqpQt/connectionparameters.h>

#include <QtCore/qlist.h>
#include <QtCore/qrandom.h>
#include <QtCore/qtimer.h>

#include <functional>
#include <memory>

namespace AmqpQt
{

// Creates the transport to one endpoint of an attempt with these parameters, as a child of `parent`.
using TransportFactory = std::function<std::unique_ptr<Transport>(const ConnectionParameters &parameters,
                                                                  const Endpoint &endpoint, QObject *parent)>;

// One attempt to connect, which tries the endpoints of its parameters in order until a transport is ready, in as many
// passes as the parameters ask for. It owns a copy of the parameters, so later changes never send a password to another
// host. restart() changes only the credentials in this copy.
//
// The engine has the deadline, since a single one covers the look-up, the transport and the login at an endpoint.
class Dialer final : public QObject
{
    Q_OBJECT
public:
    // Endpoints are shuffled with `random`.
    Dialer(const ConnectionParameters &parameters, TransportFactory makeTransport, QObject *parent,
           QRandomGenerator &random = *QRandomGenerator::global());

    // Uses a device of the application, once, instead of the endpoints.
    Dialer(const ConnectionParameters &parameters, std::unique_ptr<Transport> device, QObject *parent);

    const ConnectionParameters &parameters() const noexcept { return m_parameters; }
    const Endpoint &endpoint() const noexcept { return m_endpoint; } // tried last; no host before the first one
    bool hasNext() const noexcept { return !m_endpointsLeft.isEmpty() || m_passesLeft > 0; }
    bool isOnDevice() const noexcept { return m_isOnDevice; }
    bool canDial() const noexcept { return !m_isOnDevice || m_device; } // a device is used once
    // Begins again after `delay`, with the first endpoint and the credentials of these parameters; nextIsDue() follows.
    void restart(const ConnectionParameters &credentials, std::chrono::milliseconds delay);
    void scheduleNext(); // ends the current transport; nextIsDue() follows, in a new pass after the retry delay
    bool isNextScheduled() const { return m_nextTimer.isActive(); }
    void eraseCredentials();
    void dialNext();
    std::unique_ptr<Transport> takeTransport(); // called after ready()
    void stop();                                // ends the attempt

Q_SIGNALS:
    // Emitted from within the signals of the transport.
    void awaiting(const QString &what); // after the TCP connection, before ready()
    void sslErrors(const QList<QSslError> &errors);
    void ready();
    void failed(const AmqpQt::Error &reason);
    // Emitted from the event loop.
    void nextIsDue();

private:
    void connectTimer();
    void beginPass();
    std::unique_ptr<Transport> transportToNextEndpoint();

    ConnectionParameters m_parameters;
    const TransportFactory m_makeTransport;
    QRandomGenerator &m_random;
    const bool m_isOnDevice;
    std::unique_ptr<Transport> m_device; // not used yet
    int m_passesLeft;
    QList<Endpoint> m_endpointsLeft; // in the current pass
    QTimer m_nextTimer;
    Endpoint m_endpoint{.host = {}};
    std::unique_ptr<Transport> m_transport; // null after takeTransport()
};

} // namespace AmqpQt
