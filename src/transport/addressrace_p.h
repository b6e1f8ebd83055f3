// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/error.h>

#include <QtCore/qobject.h>
#include <QtCore/qstringlist.h>
#include <QtCore/qtimer.h>
#include <QtNetwork/qhostinfo.h>
#include <QtNetwork/qnetworkproxy.h>
#include <QtNetwork/qtcpsocket.h>

#include <functional>
#include <memory>
#include <optional>
#include <vector>

namespace AmqpQt
{

QString hostAndPort(const QString &host, quint16 port); // an IPv6 address in brackets

// Looks up host names, for tests; QHostInfo does it if there is no `lookUp`. A look-up whose context is deleted does
// not call `done`.
struct Resolver {
    using Done = std::function<void(const QHostInfo &)>;
    std::function<int(const QString &name, QObject *context, const Done &done)> lookUp;
    std::function<void(int id)> cancel = &QHostInfo::abortHostLookup;
};

// Returns the addresses with IPv6 and IPv4 alternating, as RFC 8305, section 4, describes. The resolver determines the
// order within each family, and which family is first.
QList<QHostAddress> interleaved(const QList<QHostAddress> &addresses);

// Connects a socket to the first address of a host that accepts the connection. Attempts start 250 ms apart, or at once
// when an attempt has failed (RFC 8305, "Happy Eyeballs"), so that an address that never answers costs only this delay.
// QHostInfo returns the addresses of both families at once, so a resolver that is slow for one delays all.
// A proxy that can look up names gets the name, and nothing is looked up here.
class AddressRace final : public QObject
{
    Q_OBJECT
public:
    using SocketFactory = std::function<std::unique_ptr<QTcpSocket>()>;

    AddressRace(const QNetworkProxy &proxy, SocketFactory makeSocket, QObject *parent);
    ~AddressRace() override;

    void setResolver(Resolver resolver) { m_resolver = std::move(resolver); }
    void start(const QString &host, quint16 port, QIODevice::OpenMode mode);
    void stop();
    std::unique_ptr<QTcpSocket> takeSocket() { return std::move(m_winner); } // called after connected()
    bool usesProxy() const { return m_proxy.type() != QNetworkProxy::NoProxy; }
    QString peerText() const; // host, port and proxy, for error texts

Q_SIGNALS:
    // Emitted at most once per start(), and never from within start().
    void connected();
    void failed(const AmqpQt::Error &error); // names every address with the reason of its failure

private:
    struct Attempt {
        std::unique_ptr<QTcpSocket> socket;
        QString address;
    };

    Q_SLOT void onLookedUp(const QHostInfo &info); // by QHostInfo
    void lookedUp(const QHostInfo &info);
    void startNext();
    void attemptConnected(QTcpSocket *socket);
    void attemptFailed(QTcpSocket *socket);
    Attempt takeAttempt(QTcpSocket *socket);
    void note(const QString &failure);
    Error error() const;

    const QNetworkProxy m_proxy;
    const SocketFactory m_makeSocket;
    Resolver m_resolver;
    QString m_host;
    quint16 m_port = 0;
    QIODevice::OpenMode m_mode;
    std::optional<int> m_lookUp; // its id while it is under way
    QStringList m_addressesLeft;
    QTimer m_next; // until the next attempt
    std::vector<Attempt> m_attempts;
    std::unique_ptr<QTcpSocket> m_winner;
    QStringList m_failures; // the first few
    qsizetype m_failureCount = 0;
    bool m_isProxyRefusal = false; // the proxy has refused the user name and password
};

} // namespace AmqpQt
