// SPDX-License-Identifier: MIT
#include "qmlconnection.h"

#include "connectionrecovery.h"
#include "connectionstatistics.h"
#include "connectiontls.h"
#include "declarationqueue.h"
#include "jsvalues.h"
#include "outagenotice.h"

#include <QtCore/qmetaobject.h>
#include <QtNetwork/qsslerror.h>
#include <QtQml/qqmlinfo.h>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

QmlConnection::QmlConnection(QObject *parent)
    : Connection(parent)
    , m_declarations(std::make_unique<DeclarationQueue>(this))
    , m_statistics(std::make_unique<ConnectionStatistics>(this))
    , m_tls(std::make_unique<ConnectionTls>(this))
    , m_recovery(std::make_unique<ConnectionRecovery>(this))
    , m_notice(std::make_unique<OutageNotice>(this))
{
    connect(m_tls.get(), &ConnectionTls::edited, this, &QmlConnection::applyParameters);
    connect(m_recovery.get(), &ConnectionRecovery::changed, this, &QmlConnection::applyRecovery);
    connect(m_notice.get(), &OutageNotice::secondsLeftChanged, this, &QmlConnection::nextAttemptInChanged);
    connect(m_notice.get(), &OutageNotice::textChanged, this, &QmlConnection::bannerTextChanged);
    connect(this, &Connection::reconnecting, this,
            [this](int attempt, std::chrono::milliseconds delay) { Q_EMIT reconnecting(attempt, int(delay.count())); });
    connect(this, &Connection::sslErrors, this, [this](const QList<QSslError> &errors) {
        QStringList texts;
        for (const QSslError &error : errors)
            texts += error.errorString();
        Q_EMIT sslErrors(texts);
    });
    connect(this, &Connection::errorOccurred, this, &QmlConnection::reportError);
    connect(this, &Connection::stateChanged, this, &QmlConnection::onStateChanged);
    connect(this, &Connection::closed, this, [this] {
        const QPointer<QmlConnection> self(this);
        m_declarations->clear();
        if (self)
            update();
    });
}

QmlConnection::~QmlConnection() = default;

void QmlConnection::setUrl(const QUrl &url)
{
    // Setting the URL as it reads back, without its password, changes nothing.
    const bool isReadBack = url == this->url() && !parameters().error().isError() && (!m_urls || m_urls->size() == 1);
    if (!isReadBack)
        setUrlList(QList<QUrl>{url});
}

QStringList QmlConnection::urls() const
{
    QStringList urls;
    for (const QUrl &url : m_urls.value_or(QList<QUrl>()))
        urls.append(url.toString(QUrl::RemovePassword | QUrl::FullyEncoded));
    return urls;
}

void QmlConnection::setUrls(const QStringList &urls)
{
    QList<QUrl> list;
    for (const QString &url : urls)
        list.append(QUrl(url));
    setUrlList(list);
}

void QmlConnection::setUrlList(const std::optional<QList<QUrl>> &urls)
{
    if (std::exchange(m_urls, urls) == urls)
        return;
    m_hasGivenCredentials = false;
    applyParameters();
}

QString QmlConnection::host() const
{
    return parameters().endpoints().constFirst().host;
}

void QmlConnection::setHost(const QString &host)
{
    if (std::exchange(m_host, host) != host)
        applyParameters();
}

int QmlConnection::port() const
{
    return parameters().endpoints().constFirst().effectivePort();
}

void QmlConnection::setPort(int port)
{
    if (port < 1 || port > 65535)
        qmlWarning(this) << "port: " << port << " is out of range; the range is 1 to 65535";
    if (std::exchange(m_port, port) != port)
        applyParameters();
}

QString QmlConnection::virtualHost() const
{
    return parameters().virtualHost();
}

void QmlConnection::setVirtualHost(const QString &virtualHost)
{
    if (std::exchange(m_virtualHost, virtualHost) != virtualHost)
        applyParameters();
}

QString QmlConnection::userName() const
{
    return parameters().userName();
}

void QmlConnection::setUserName(const QString &name)
{
    setLogin(m_userName, name);
}

void QmlConnection::setPassword(const QString &password)
{
    setLogin(m_password, password);
}

void QmlConnection::setLogin(std::optional<QString> &part, const std::optional<QString> &value)
{
    const bool isNew = std::exchange(part, value) != value;
    if (std::exchange(m_hasGivenCredentials, false) || isNew)
        applyParameters();
}

void QmlConnection::setCredentials(const QString &userName, const QString &secret)
{
    giveCredentials(userName, secret, std::nullopt);
}

void QmlConnection::setCredentials(const QString &userName, const QString &secret, int validFor)
{
    giveCredentials(userName, secret, std::chrono::seconds(validFor));
}

void QmlConnection::giveCredentials(const QString &userName, const QString &secret,
                                    std::optional<std::chrono::seconds> validFor)
{
    const Reply<void> reply = Connection::setCredentials(userName, secret, validFor);
    const bool isRejected = reply.isFinished() && !reply.result();
    m_hasGivenCredentials = m_hasGivenCredentials || !isRejected;
}

int QmlConnection::heartbeatSeconds() const
{
    return int(parameters().heartbeatInterval().count());
}

void QmlConnection::setHeartbeatSeconds(int seconds)
{
    if (seconds < 0 || seconds > 65535)
        qmlWarning(this) << "heartbeat: " << seconds << " s is out of range; the range is 0 to 65535 s";
    if (std::exchange(m_heartbeat, seconds) != seconds)
        applyParameters();
}

QString QmlConnection::connectionName() const
{
    return parameters().connectionName();
}

void QmlConnection::setConnectionName(const QString &name)
{
    if (std::exchange(m_connectionName, name) != name)
        applyParameters();
}

QVariant QmlConnection::clientProperties() const
{
    return parameters().clientProperties();
}

void QmlConnection::setClientProperties(const QVariant &properties)
{
    const std::optional<FieldTable> table = tableFromScript(properties);
    if (!table)
        qmlWarning(this) << "clientProperties: the value is not an object with names and values";
    else if (std::exchange(m_clientProperties, table) != table)
        applyParameters();
}

QVariantMap QmlConnection::scriptServerProperties() const
{
    return toScript(serverProperties());
}

// Returns a URL that ConnectionParameters rejects for the same reason as an invalid property, if there is one.
std::optional<QUrl> QmlConnection::invalidUrl() const
{
    for (const QUrl &url : m_urls.value_or(QList<QUrl>())) {
        if (!ConnectionParameters::fromUrl(url))
            return url;
    }
    if (m_port && (*m_port < 1 || *m_port > 65535))
        return QUrl(u"amqp://localhost:0"_s);
    return std::nullopt;
}

// Named properties override the URL, regardless of the order in which they were set. A value that a setter of the
// parameters rejects becomes the error of the next attempt. The latest credentials count, whether they were properties
// or the arguments of setCredentials().
ConnectionParameters QmlConnection::wantedParameters() const
{
    ConnectionParameters wanted;
    QList<Endpoint> endpoints = m_urls ? QList<Endpoint>() : wanted.endpoints();
    for (const QUrl &url : m_urls.value_or(QList<QUrl>())) {
        const Result<ConnectionParameters> parsed = ConnectionParameters::fromUrl(url);
        if (endpoints.isEmpty())
            wanted = *parsed;
        endpoints += parsed->endpoints();
    }
    if (m_host) {
        Endpoint endpoint = endpoints.value(0);
        endpoint.host = *m_host;
        endpoints = {endpoint};
    }
    for (Endpoint &endpoint : endpoints) {
        if (m_port)
            endpoint.port = quint16(*m_port);
        m_tls->applyTo(endpoint);
    }
    wanted.setEndpoints(endpoints);
    if (m_virtualHost)
        wanted.setVirtualHost(*m_virtualHost);
    m_tls->applyTo(wanted);
    wanted.setRecoveryPolicy(m_recovery->policy());
    if (m_hasGivenCredentials)
        wanted.setCredentials(parameters().userName(), parameters().password());
    else if (m_userName || m_password)
        wanted.setCredentials(m_userName.value_or(wanted.userName()), m_password.value_or(passwordOf(wanted)));
    if (m_heartbeat)
        wanted.setHeartbeatInterval(std::chrono::seconds(*m_heartbeat));
    if (m_connectionName)
        wanted.setConnectionName(*m_connectionName);
    if (m_clientProperties)
        wanted.setClientProperties(*m_clientProperties);
    return wanted;
}

// The password of the parameters belongs to their user.
QString QmlConnection::passwordOf(const ConnectionParameters &parameters) const
{
    return !m_userName || *m_userName == parameters.userName() ? parameters.password() : QString();
}

void QmlConnection::applyParameters()
{
    if (const std::optional<QUrl> invalid = invalidUrl()) {
        Connection::setUrl(*invalid); // open() then fails with the error of the URL
        m_hasGivenCredentials = false;
    } else {
        setParameters(wantedParameters());
    }
    m_wantsAttempt = m_active;
    QMetaObject::invokeMethod(this, &QmlConnection::update, Qt::QueuedConnection); // called once for several changes
}

// The other parameters stay, so an open connection need not be closed.
void QmlConnection::applyRecovery()
{
    if (!invalidUrl())
        setParameters(wantedParameters());
}

void QmlConnection::setActive(bool active)
{
    if (std::exchange(m_active, active) == active)
        return;
    m_wantsAttempt = active;
    const QPointer<QmlConnection> self(this);
    m_notice->setWanted(active);
    if (self)
        Q_EMIT activeChanged();
    if (self)
        update();
}

void QmlConnection::reconnect()
{
    if (!m_active)
        return setActive(true);
    if (state() == State::Recovering) {
        reconnectNow();
        return m_notice->update();
    }
    m_wantsAttempt = true;
    update();
}

void QmlConnection::componentComplete()
{
    m_isComplete = true;
    update();
}

void QmlConnection::update()
{
    if (!m_isComplete)
        return;
    if (state() == State::Closed) {
        if (std::exchange(m_wantsAttempt, false))
            Connection::open();
    } else if (state() == State::Recovering && m_active && nextAttemptIn() > std::chrono::milliseconds(0)) {
        if (std::exchange(m_wantsAttempt, false)) {
            reconnectNow(); // uses the latest parameters
            m_notice->update();
        }
    } else if (state() != State::Closing && (m_wantsAttempt || !m_active)) {
        Connection::close(); // also ends an attempt of a recovery with earlier parameters
    }
}

int QmlConnection::secondsToNextAttempt() const
{
    return m_notice->secondsLeft();
}

QString QmlConnection::bannerText() const
{
    return m_notice->text();
}

QString QmlConnection::errorString() const
{
    return error().text();
}

void QmlConnection::onStateChanged()
{
    const QPointer<QmlConnection> self(this);
    reportError(); // open() clears the last error
    if (self)
        Q_EMIT stateChanged();
    if (self && std::exchange(m_reportedConnected, isOpen()) != isOpen())
        Q_EMIT connectedChanged();
}

void QmlConnection::reportError()
{
    if (std::exchange(m_reportedError, errorString()) != errorString())
        Q_EMIT errorStringChanged();
}

} // namespace AmqpQt
