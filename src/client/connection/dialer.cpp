// SPDX-License-Identifier: MIT
#include "client/connection/dialer_p.h"

#include "base/logging_p.h"
#include "transport/sockettransport_p.h"

#include <QtNetwork/qhostaddress.h>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

static bool isLoopback(const QString &host)
{
    return host.compare("localhost"_L1, Qt::CaseInsensitive) == 0 || QHostAddress(host).isLoopback();
}

std::unique_ptr<Transport> makeSocketTransport(const ConnectionParameters &, const Endpoint &, QObject *parent)
{
    return std::make_unique<SocketTransport>(parent);
}

Dialer::Dialer(const ConnectionParameters &parameters, TransportFactory makeTransport, QObject *parent)
    : QObject(parent) // a child, so that it moves to another thread as well
    , m_parameters(parameters)
    , m_makeTransport(std::move(makeTransport))
    , m_endpointsLeft(parameters.endpoints())
{
}

void Dialer::dialNext()
{
    m_endpoint = m_endpointsLeft.takeFirst();
    if (!m_endpoint.encrypted && !isLoopback(m_endpoint.host))
        qCWarning(lcConnection).noquote() << "the password is sent to" << m_endpoint.host << "without encryption";
    m_transport = m_makeTransport(m_parameters, m_endpoint, this);
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
    m_transport.reset();
    m_endpointsLeft.clear();
}

} // namespace AmqpQt
