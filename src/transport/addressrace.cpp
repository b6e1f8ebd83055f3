// SPDX-License-Identifier: MIT
#include "transport/addressrace_p.h"

#include <algorithm>
#include <chrono>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

constexpr std::chrono::milliseconds AttemptDelay(250); // recommended by RFC 8305, section 5

QList<QHostAddress> interleaved(const QList<QHostAddress> &addresses)
{
    QList<QHostAddress> first;
    QList<QHostAddress> second;
    for (const QHostAddress &address : addresses) {
        const bool isFirst = address.protocol() == addresses.constFirst().protocol();
        (isFirst ? first : second).append(address);
    }
    QList<QHostAddress> result;
    for (qsizetype i = 0; i < std::max(first.size(), second.size()); ++i) {
        if (i < first.size())
            result.append(first.at(i));
        if (i < second.size())
            result.append(second.at(i));
    }
    return result;
}

QString hostAndPort(const QString &host, quint16 port)
{
    return (host.contains(u':') ? u"[%1]:%2"_s : u"%1:%2"_s)
        .arg(host, QString::number(port)); // the host may contain "%1"
}

AddressRace::AddressRace(const QNetworkProxy &proxy, SocketFactory makeSocket, QObject *parent)
    : QObject(parent)
    , m_proxy(proxy)
    , m_makeSocket(std::move(makeSocket))
    , m_next(this) // a child, so that it moves to another thread as well
{
    m_next.setSingleShot(true);
    connect(&m_next, &QTimer::timeout, this, &AddressRace::startNext);
}

AddressRace::~AddressRace()
{
    stop();
}

void AddressRace::start(const QString &host, quint16 port, QIODevice::OpenMode mode)
{
    stop();
    m_host = host;
    m_port = port;
    m_mode = mode;
    m_failures.clear();
    m_failureCount = 0;
    m_isProxyRefusal = false;
    const bool isLookedUpByProxy = m_proxy.capabilities().testFlag(QNetworkProxy::HostNameLookupCapability);
    if (isLookedUpByProxy || !QHostAddress(host).isNull()) {
        m_addressesLeft = {host};
        m_next.start(0);
    } else if (m_resolver.lookUp) {
        m_lookUp = m_resolver.lookUp(host, this, [this](const QHostInfo &info) { lookedUp(info); });
    } else { // by name, since QHostInfo of Qt 6.4 leaks a function object if the look-up is aborted
        m_lookUp = QHostInfo::lookupHost(host, this, SLOT(onLookedUp(QHostInfo)));
    }
}

void AddressRace::stop()
{
    if (m_lookUp)
        m_resolver.cancel(*std::exchange(m_lookUp, std::nullopt));
    m_next.stop();
    m_addressesLeft.clear();
    m_attempts.clear();
    m_winner.reset();
}

void AddressRace::onLookedUp(const QHostInfo &info)
{
    if (m_lookUp == info.lookupId()) // otherwise it has been aborted too late
        lookedUp(info);
}

void AddressRace::lookedUp(const QHostInfo &info)
{
    m_lookUp.reset();
    for (const QHostAddress &address : interleaved(info.addresses()))
        m_addressesLeft.append(address.toString());
    if (m_addressesLeft.isEmpty())
        note(info.error() == QHostInfo::NoError ? u"the name has no address"_s : info.errorString());
    m_next.start(0);
}

void AddressRace::startNext()
{
    if (m_addressesLeft.isEmpty()) {
        if (m_attempts.empty())
            Q_EMIT failed(error());
        return;
    }
    const QString address = m_addressesLeft.takeFirst();
    if (!m_addressesLeft.isEmpty())
        m_next.start(AttemptDelay);
    Attempt &attempt = m_attempts.emplace_back(Attempt{m_makeSocket(), address});
    QTcpSocket *const socket = attempt.socket.get();
    socket->setParent(this); // so that it moves to another thread as well
    socket->setProxy(m_proxy);
    connect(socket, &QAbstractSocket::connected, this, [this, socket] { attemptConnected(socket); });
    connect(socket, &QAbstractSocket::errorOccurred, this, [this, socket] { attemptFailed(socket); });
    socket->connectToHost(address, m_port, m_mode); // may fail at once
}

void AddressRace::attemptConnected(QTcpSocket *socket)
{
    Attempt attempt = takeAttempt(socket);
    stop();
    m_winner = std::move(attempt.socket);
    m_winner->setSocketOption(QAbstractSocket::LowDelayOption, 1); // Qt loses the option if it is set earlier
    Q_EMIT connected();
}

void AddressRace::attemptFailed(QTcpSocket *socket)
{
    Attempt attempt = takeAttempt(socket);
    attempt.socket.release()->deleteLater(); // it is emitting a signal
    if (socket->error() == QAbstractSocket::ProxyAuthenticationRequiredError)
        m_isProxyRefusal = true;
    if (socket->error() == QAbstractSocket::SocketTimeoutError) { // Qt's own; the caller has another one
        m_addressesLeft.append(attempt.address);
        return m_next.start(AttemptDelay);
    }
    const QString reason = socket->errorString();
    note(attempt.address == m_host ? reason : u"%1 (%2)"_s.arg(reason, attempt.address));
    m_next.start(0);
}

AddressRace::Attempt AddressRace::takeAttempt(QTcpSocket *socket)
{
    const auto at = std::find_if(m_attempts.begin(), m_attempts.end(),
                                 [socket](const Attempt &attempt) { return attempt.socket.get() == socket; });
    Attempt attempt = std::move(*at);
    m_attempts.erase(at);
    disconnect(socket, nullptr, this, nullptr);
    return attempt;
}

void AddressRace::note(const QString &failure)
{
    constexpr qsizetype MostNamed = 8; // of the addresses of a name, in the text of the error
    if (m_failures.size() < MostNamed)
        m_failures.append(failure);
    ++m_failureCount;
}

QString AddressRace::peerText() const
{
    const QString peer = hostAndPort(m_host, m_port);
    if (!usesProxy())
        return peer;
    const QLatin1StringView type = m_proxy.type() == QNetworkProxy::Socks5Proxy ? "SOCKS5"_L1 : "HTTP"_L1;
    return u"%1 through the %2 proxy %3"_s.arg(peer, type, hostAndPort(m_proxy.hostName(), m_proxy.port()));
}

Error AddressRace::error() const
{
    QString text = peerText() + ": "_L1 + m_failures.join("; "_L1);
    if (m_failureCount > m_failures.size())
        text += u"; and %1 more addresses failed"_s.arg(m_failureCount - m_failures.size());
    return Error(m_isProxyRefusal ? ErrorKind::Authentication : ErrorKind::Network, text);
}

} // namespace AmqpQt
