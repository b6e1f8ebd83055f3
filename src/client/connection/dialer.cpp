// SPDX-License-Identifier: MIT
#include "client/connection/dialer_p.h"

#include "base/logging_p.h"
#include "client/connection/connectionparameters_p.h"

#include <QtNetwork/qnetworkproxy.h>

#include <algorithm>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

Dialer::Dialer(const ConnectionParameters &parameters, TransportFactory makeTransport, QObject *parent,
               QRandomGenerator &random)
    : QObject(parent) // a child, so that it moves to another thread as well
    , m_parameters(parameters)
    , m_makeTransport(std::move(makeTransport))
    , m_random(random)
    , m_isOnDevice(false)
    , m_passesLeft(parameters.connectionAttempts())
    , m_nextTimer(this)
{
    connectTimer();
}

Dialer::Dialer(const ConnectionParameters &parameters, std::unique_ptr<Transport> device, QObject *parent)
    : QObject(parent)
    , m_parameters(parameters)
    , m_random(*QRandomGenerator::global())
    , m_isOnDevice(true)
    , m_device(std::move(device))
    , m_passesLeft(0)
    , m_nextTimer(this)
{
    m_device->setParent(this); // so that it moves to another thread as well
    connectTimer();
}

void Dialer::connectTimer()
{
    m_nextTimer.setSingleShot(true);
    connect(&m_nextTimer, &QTimer::timeout, this, &Dialer::nextIsDue);
}

void Dialer::beginPass()
{
    --m_passesLeft;
    m_endpointsLeft = m_parameters.endpoints();
    if (m_parameters.shuffleEndpoints())
        std::shuffle(m_endpointsLeft.begin(), m_endpointsLeft.end(), m_random);
}

void Dialer::scheduleNext()
{
    m_transport.reset();
    m_nextTimer.start(m_endpointsLeft.isEmpty() ? m_parameters.retryDelay() : std::chrono::milliseconds(0));
}

void Dialer::restart(const ConnectionParameters &credentials, std::chrono::milliseconds delay)
{
    ConnectionParametersPrivate::edit(m_parameters).copyCredentials(ConnectionParametersPrivate::of(credentials));
    m_endpointsLeft.clear();
    m_passesLeft = m_isOnDevice ? 0 : m_parameters.connectionAttempts();
    m_nextTimer.start(delay);
}

void Dialer::eraseCredentials()
{
    ConnectionParametersPrivate::edit(m_parameters).eraseCredentials();
}

std::unique_ptr<Transport> Dialer::transportToNextEndpoint()
{
    if (m_endpointsLeft.isEmpty())
        beginPass();
    m_endpoint = m_endpointsLeft.takeFirst();
    const bool sendsPassword = ConnectionParametersPrivate::of(m_parameters).usesPassword();
    const bool isLocal = isLoopback(m_endpoint.host) && m_parameters.proxy().type() == QNetworkProxy::NoProxy;
    if (sendsPassword && !m_endpoint.encrypted && !isLocal)
        qCWarning(lcConnection).noquote() << "the password is sent to" << m_endpoint.host
                                          << "without encryption; an endpoint with TLS, amqps://, encrypts it";
    return m_makeTransport(m_parameters, m_endpoint, this);
}

void Dialer::dialNext()
{
    m_transport = m_isOnDevice ? std::move(m_device) : transportToNextEndpoint();
    connect(m_transport.get(), &Transport::awaiting, this, &Dialer::awaiting);
    connect(m_transport.get(), &Transport::sslErrors, this, &Dialer::sslErrors);
    connect(m_transport.get(), &Transport::ready, this, &Dialer::ready);
    connect(m_transport.get(), &Transport::failed, this, &Dialer::failed);
    m_transport->connectTo({m_endpoint.host, m_endpoint.effectivePort(), m_endpoint.effectivePeerName()});
}

std::unique_ptr<Transport> Dialer::takeTransport()
{
    disconnect(m_transport.get(), nullptr, this, nullptr);
    return std::move(m_transport);
}

void Dialer::stop()
{
    m_nextTimer.stop();
    m_transport.reset();
    m_device.reset();
    m_endpointsLeft.clear();
    m_passesLeft = 0;
}

} // namespace AmqpQt
