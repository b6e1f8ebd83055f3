// SPDX-License-Identifier: MIT
#pragma once

#include "objectlist.h"

#include <AmqpQt/connection.h>

#include <QtQml/qqmlparserstatus.h>
#include <QtQml/qqmlregistration.h>

#include <memory>
#include <optional>
#include <utility>

namespace AmqpQt
{

class ConnectionRecovery;
class ConnectionStatistics;
class ConnectionTls;
class DeclarationQueue;
class OutageNotice;

class QmlConnection : public AmqpQt::Connection, public QQmlParserStatus
{
    Q_OBJECT
    Q_MOC_INCLUDE("connectionrecovery.h")
    Q_MOC_INCLUDE("connectionstatistics.h")
    Q_MOC_INCLUDE("connectiontls.h")
    Q_INTERFACES(QQmlParserStatus)
    Q_PROPERTY(QUrl url READ url WRITE setUrl RESET resetUrl NOTIFY parametersChanged)
    Q_PROPERTY(QStringList urls READ urls WRITE setUrls RESET resetUrls NOTIFY parametersChanged)
    Q_PROPERTY(QString host READ host WRITE setHost RESET resetHost NOTIFY parametersChanged)
    Q_PROPERTY(int port READ port WRITE setPort RESET resetPort NOTIFY parametersChanged)
    Q_PROPERTY(
        QString virtualHost READ virtualHost WRITE setVirtualHost RESET resetVirtualHost NOTIFY parametersChanged)
    Q_PROPERTY(QString userName READ userName WRITE setUserName RESET resetUserName NOTIFY parametersChanged)
    Q_PROPERTY(QString password READ password WRITE setPassword RESET resetPassword NOTIFY parametersChanged)
    Q_PROPERTY(
        int heartbeat READ heartbeatSeconds WRITE setHeartbeatSeconds RESET resetHeartbeat NOTIFY parametersChanged)
    Q_PROPERTY(QString connectionName READ connectionName WRITE setConnectionName RESET resetConnectionName NOTIFY
                   parametersChanged)
    Q_PROPERTY(QVariant clientProperties READ clientProperties WRITE setClientProperties RESET resetClientProperties
                   NOTIFY parametersChanged)
    Q_PROPERTY(QVariantMap serverProperties READ scriptServerProperties NOTIFY stateChanged)
    Q_PROPERTY(bool active READ isActive WRITE setActive RESET resetActive NOTIFY activeChanged)
    Q_PROPERTY(AmqpQt::Connection::State state READ state NOTIFY stateChanged)
    Q_PROPERTY(bool connected READ isOpen NOTIFY connectedChanged)
    Q_PROPERTY(AmqpQt::Error error READ error NOTIFY errorStringChanged)
    Q_PROPERTY(QString errorString READ errorString NOTIFY errorStringChanged)
    Q_PROPERTY(int nextAttemptIn READ secondsToNextAttempt NOTIFY nextAttemptInChanged)
    Q_PROPERTY(QString bannerText READ bannerText NOTIFY bannerTextChanged)
    Q_PROPERTY(AmqpQt::ConnectionRecovery *recovery READ recovery CONSTANT)
    Q_PROPERTY(AmqpQt::ConnectionTls *tls READ tls CONSTANT)
    Q_PROPERTY(AmqpQt::ConnectionStatistics *statistics READ statisticsObject CONSTANT)
    Q_PROPERTY(QQmlListProperty<QObject> data READ data CONSTANT)
    Q_CLASSINFO("DefaultProperty", "data")
    QML_NAMED_ELEMENT(Connection)
public:
    explicit QmlConnection(QObject *parent = nullptr);
    ~QmlConnection() override;

    void setUrl(const QUrl &url);
    QStringList urls() const;
    void setUrls(const QStringList &urls);
    QString host() const;
    void setHost(const QString &host);
    int port() const;
    void setPort(int port);
    QString virtualHost() const;
    void setVirtualHost(const QString &virtualHost);
    QString userName() const;
    void setUserName(const QString &name);
    QString password() const { return {}; } // cannot be read back
    void setPassword(const QString &password);
    int heartbeatSeconds() const;
    void setHeartbeatSeconds(int seconds);
    QString connectionName() const;
    void setConnectionName(const QString &name);
    QVariant clientProperties() const;
    void setClientProperties(const QVariant &properties);
    QVariantMap scriptServerProperties() const;
    int secondsToNextAttempt() const; // -1 if none is waited for
    QString bannerText() const;
    ConnectionRecovery *recovery() const { return m_recovery.get(); }
    ConnectionTls *tls() const { return m_tls.get(); }

    // The reset functions set a property to the value of the URL, or otherwise to the library's default.
    void resetUrl() { setUrlList(std::nullopt); }
    void resetUrls() { setUrlList(std::nullopt); }
    void resetHost() { resetParameter(m_host); }
    void resetPort() { resetParameter(m_port); }
    void resetVirtualHost() { resetParameter(m_virtualHost); }
    void resetUserName() { setLogin(m_userName, std::nullopt); }
    void resetPassword() { setLogin(m_password, std::nullopt); }
    void resetHeartbeat() { resetParameter(m_heartbeat); }
    void resetConnectionName() { resetParameter(m_connectionName); }
    void resetClientProperties() { resetParameter(m_clientProperties); }
    void resetActive() { setActive(false); }

    bool isActive() const { return m_active; }
    void setActive(bool active);
    QString errorString() const;
    ConnectionStatistics *statisticsObject() const { return m_statistics.get(); }
    QQmlListProperty<QObject> data() { return m_data.property(this); }

    Q_INVOKABLE void open() { setActive(true); }
    Q_INVOKABLE void close() { setActive(false); }
    Q_INVOKABLE void reconnect();
    Q_INVOKABLE void setCredentials(const QString &userName, const QString &secret);
    Q_INVOKABLE void setCredentials(const QString &userName, const QString &secret, int validFor); // in seconds

    DeclarationQueue *declarations() const { return m_declarations.get(); }

    void classBegin() override {}
    void componentComplete() override;

Q_SIGNALS:
    void activeChanged();
    void stateChanged(); // an argument `state` would hide the property in handlers
    void connectedChanged();
    void errorStringChanged();
    void nextAttemptInChanged();
    void bannerTextChanged();
    // These hide signals of Connection with types that QML does not know.
    void reconnecting(int attempt, int delay); // in milliseconds
    void sslErrors(const QStringList &errors);

private:
    std::optional<QUrl> invalidUrl() const;
    ConnectionParameters wantedParameters() const;
    QString passwordOf(const ConnectionParameters &parameters) const;
    void setUrlList(const std::optional<QList<QUrl>> &urls); // std::nullopt for the library's default
    void giveCredentials(const QString &userName, const QString &secret, std::optional<std::chrono::seconds> validFor);
    void setLogin(std::optional<QString> &part, const std::optional<QString> &value);
    void applyParameters();
    template <typename T>
    void resetParameter(std::optional<T> &parameter)
    {
        if (std::exchange(parameter, std::nullopt))
            applyParameters();
    }
    void applyRecovery();
    void update(); // brings the connection to the wanted state
    void onStateChanged();
    void reportError();

    std::optional<QList<QUrl>> m_urls; // as set; url is the first
    std::optional<QString> m_host;
    std::optional<int> m_port;
    std::optional<QString> m_virtualHost;
    std::optional<QString> m_userName;
    std::optional<QString> m_password;
    std::optional<int> m_heartbeat;
    std::optional<QString> m_connectionName;
    std::optional<QVariantMap> m_clientProperties;

    ObjectList<QObject> m_data;
    std::unique_ptr<DeclarationQueue> m_declarations;
    std::unique_ptr<ConnectionStatistics> m_statistics;
    std::unique_ptr<ConnectionTls> m_tls;
    std::unique_ptr<ConnectionRecovery> m_recovery;
    std::unique_ptr<OutageNotice> m_notice;
    QString m_reportedError;
    bool m_reportedConnected = false;
    bool m_active = false;
    bool m_wantsAttempt = false; // set if the connection is to be opened once it is closed
    bool m_isComplete = false;
    bool m_hasGivenCredentials = false; // those of setCredentials(), which the parameters have
};

} // namespace AmqpQt
