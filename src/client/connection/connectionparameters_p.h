// SPDX-License-Identifier: MIT
#pragma once

#include "base/secret_p.h"
#include "transport/tlsoptions_p.h"

#include <AmqpQt/connectionparameters.h>

#include <QtCore/qmap.h>
#include <QtNetwork/qnetworkproxy.h>

#include <limits>
#include <memory>

namespace AmqpQt
{

class ConnectionParametersPrivate : public QSharedData
{
public:
    QList<Endpoint> endpoints{Endpoint()};
    bool shuffleEndpoints = false;
    int connectionAttempts = 1;
    std::chrono::milliseconds retryDelay{2'000};
    QNetworkProxy proxy{QNetworkProxy::NoProxy};
    QString virtualHost = QStringLiteral("/");
    QString userName = QStringLiteral("guest");
    Secret password{QStringLiteral("guest")};
    enum class Credentials : quint8 { Default, Set, Erased } credentials = Credentials::Default;
    bool eraseOnConnect = false;
    QStringList mechanismNames = passwordMechanisms(); // in order of preference; unused if there are others
    struct OwnMechanism {
        QByteArray name;
        std::shared_ptr<SaslMechanism> mechanism;
    };
    QList<OwnMechanism> ownMechanisms; // the application's
    TlsOptions tls;
    bool isTlsRequired = false;
    QString connectionName;
    FieldTable clientProperties;
    std::chrono::seconds heartbeat{60};
    std::chrono::milliseconds connectTimeout{15'000};
    std::chrono::milliseconds replyTimeout{30'000};
    std::chrono::milliseconds closeTimeout{5'000};
    std::chrono::milliseconds blockedTimeout{0};
    std::chrono::milliseconds dispatchBudget{4};
    quint32 maximumFrameSize = 131072;
    quint32 maximumInitialFrameSize = 0;
    quint16 maximumChannels = 2047;
    qint64 maximumMessageSize = 128 * 1024 * 1024;
    qint64 lowWatermark = 1024 * 1024;
    qint64 highWatermark = 4 * 1024 * 1024;
    qint64 bufferLimit = 128 * 1024 * 1024;
    int backpressureMultiplier = 0;
    RecoveryPolicy recoveryPolicy;
    bool checksUserId = true;

    static QStringList passwordMechanisms();
    static QString mechanismProblem(const QStringList &names); // why the names are invalid; empty if they are valid
    static QString credentialsProblem(const QString &userName, const QString &password); // likewise
    bool usesPassword() const;    // whether one of the mechanisms sends user name and password
    bool prefersPassword() const; // whether the first one does
    void eraseCredentials();
    void copyCredentials(const ConnectionParametersPrivate &other)
    {
        userName = other.userName;
        password = other.password;
        credentials = other.credentials;
    }
    bool hasSameCredentials(const ConnectionParametersPrivate &other) const
    {
        return credentials == other.credentials && userName == other.userName && password == other.password;
    }
    static const ConnectionParametersPrivate &of(const ConnectionParameters &parameters) { return *parameters.d; }
    static ConnectionParametersPrivate &edit(ConnectionParameters &parameters) { return *parameters.d; }

    // Records that a value of the property was rejected. The previous value stays, and open() must not connect with it.
    void reject(const QString &property, const QString &reason);
    void accept(const QString &property)
    {
        if (!rejected.isEmpty())
            rejected.remove(property);
    }
    QMap<QString, Error> rejected; // by property
};

inline const QString UrlProperty = QStringLiteral("url"); // of a Connection

QString hostProblem(const QString &host); // why the host is invalid; empty if it is valid
bool isLoopback(const QString &host);     // whether the host is this machine, without looking it up

// The ranges shared by setters and URLs.
inline constexpr int DefaultBackpressureMultiplier = 10; // pika's
inline constexpr quint32 RabbitMqFrameMinimum = 8192;    // RabbitMQ 4.1 and later reject smaller values
inline constexpr quint32 SmallestInitialFrame = 4096;    // of AMQP
inline constexpr qsizetype MaximumVirtualHost = 255;
inline constexpr std::chrono::seconds MaximumHeartbeat{std::numeric_limits<quint16>::max()};
inline constexpr std::chrono::milliseconds MaximumTimeout{std::numeric_limits<int>::max()};
inline constexpr double MaximumRecoveryFactor = 1'000;

} // namespace AmqpQt
