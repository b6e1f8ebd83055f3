// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/fieldtable.h>
#include <AmqpQt/recovery.h>

#include <QtCore/qlist.h>
#include <QtCore/qshareddata.h>
#include <QtCore/qstringlist.h>
#include <QtCore/qurl.h>

#include <chrono>
#include <memory>

QT_FORWARD_DECLARE_CLASS(QNetworkProxy)
QT_FORWARD_DECLARE_CLASS(QSslConfiguration)

namespace AmqpQt
{

struct AMQPQT_EXPORT Endpoint {
    QString host = QStringLiteral("localhost");
    quint16 port = 0; // 0 means 5672, or 5671 with TLS
    bool encrypted = false;
    QString peerName = {}; // the name that the certificate must have; if empty, that is host

    quint16 effectivePort() const noexcept { return port ? port : quint16(encrypted ? 5671 : 5672); }
    QString effectivePeerName() const { return peerName.isEmpty() ? host : peerName; }

    // "host", "host:5673", "[::1]:5672", "amqps://host"
    [[nodiscard]] static Result<Endpoint> fromString(const QString &text);
    QString toString() const; // without peerName

    friend bool operator==(const Endpoint &a, const Endpoint &b) noexcept
    {
        return a.effectivePort() == b.effectivePort() && a.encrypted == b.encrypted && a.host == b.host &&
               a.peerName == b.peerName;
    }
    friend bool operator!=(const Endpoint &a, const Endpoint &b) noexcept { return !(a == b); }
};

class ConnectionParametersPrivate;
class SaslMechanism;

class AMQPQT_EXPORT ConnectionParameters
{
public:
    ConnectionParameters(); // amqp://guest:guest@localhost:5672/%2F
    [[nodiscard]] static Result<ConnectionParameters>
    fromUrl(const QUrl &url); // amqp://user:pw@host:port/vhost?heartbeat=...
    ConnectionParameters(const ConnectionParameters &) noexcept;
    ConnectionParameters(ConnectionParameters &&) noexcept;
    ConnectionParameters &operator=(const ConnectionParameters &) noexcept;
    QT_MOVE_ASSIGNMENT_OPERATOR_IMPL_VIA_PURE_SWAP(ConnectionParameters)
    ~ConnectionParameters();
    void swap(ConnectionParameters &other) noexcept { d.swap(other.d); }

    QUrl toUrl() const;  // without the password
    Error error() const; // set by a setter that rejected a value; open() fails with this error

    QList<Endpoint> endpoints() const; // tried in order
    void setEndpoints(const QList<Endpoint> &endpoints);
    bool shuffleEndpoints() const; // whether each pass over the endpoints has a random order
    void setShuffleEndpoints(bool shuffle);
    int connectionAttempts() const; // passes over the endpoints in one open(); 1
    void setConnectionAttempts(int attempts);
    std::chrono::milliseconds retryDelay() const; // between two passes; 2 s
    void setRetryDelay(std::chrono::milliseconds delay);
    QNetworkProxy proxy() const; // none by default
    void setProxy(const QNetworkProxy &proxy);
    QString virtualHost() const;
    void setVirtualHost(const QString &virtualHost);

    QString userName() const;
    QString password() const;
    void setCredentials(const QString &userName, const QString &password); // SASL PLAIN or AMQPLAIN
    void setExternalAuthentication();                                      // SASL EXTERNAL
    void setAnonymousAuthentication();                                     // SASL ANONYMOUS
    // mechanisms of the application, which replace those of the library
    void setMechanisms(const QList<std::shared_ptr<SaslMechanism>> &mechanisms);
    QStringList mechanismNames() const; // in order of preference
    void
    setMechanismNames(const QStringList &names); // of the library's mechanisms: PLAIN, AMQPLAIN, EXTERNAL, ANONYMOUS
    bool eraseOnConnect() const;                 // whether a Connection wipes the credentials after each attempt
    void setEraseOnConnect(bool erase);

    QSslConfiguration sslConfiguration() const;
    void setSslConfiguration(const QSslConfiguration &configuration);
    QStringList authorityFiles() const;     // PEM
    bool trustsSystemAuthorities() const;   // besides authorityFiles()
    void trustOnly(const QString &pemFile); // the authorities in this file and no others
    void trustAlso(const QString &pemFile); // besides those trusted so far
    QString clientCertificateFile() const;  // PEM or PKCS#12
    QString clientKeyFile() const;          // PEM; empty if clientCertificateFile() contains the key
    void setClientCertificate(const QString &certificateFile, const QString &keyFile = {},
                              const QString &passphrase = {});
    void setClientPkcs12(const QString &fileName, const QString &passphrase = {});
    bool isTlsRequired() const; // whether endpoints without TLS are rejected
    void setTlsRequired(bool required);

    QString connectionName() const; // shown in the management UI
    void setConnectionName(const QString &name);
    FieldTable clientProperties() const;
    void setClientProperties(const FieldTable &properties);

    std::chrono::seconds
    heartbeatInterval() const; // 0 disables heartbeats; otherwise the smaller of this value and the broker's
    void setHeartbeatInterval(std::chrono::seconds interval);
    std::chrono::milliseconds connectTimeout() const;
    void setConnectTimeout(std::chrono::milliseconds timeout);
    std::chrono::milliseconds replyTimeout() const; // 30 s; 0 means none; suspended while blocked
    void setReplyTimeout(std::chrono::milliseconds timeout);
    quint32 maximumFrameSize() const;
    void setMaximumFrameSize(quint32 bytes);
    quint32 maximumInitialFrameSize() const; // of the login, initial_frame_max of RabbitMQ; 0 depends on the broker
    void setMaximumInitialFrameSize(quint32 bytes);
    quint16 maximumChannels() const;
    void setMaximumChannels(quint16 count);
    qint64 maximumMessageSize() const; // larger deliveries fail with MessageTooLarge
    void setMaximumMessageSize(qint64 bytes);

    qint64 lowWatermark() const;
    qint64 highWatermark() const;
    qint64 bufferLimit() const; // publish() rejects messages above this
    void setWriteBuffer(qint64 lowWatermark, qint64 highWatermark, qint64 limit);

    std::chrono::milliseconds dispatchBudget() const; // time for deliveries per event loop iteration, 4 ms
    void setDispatchBudget(std::chrono::milliseconds budget);
    bool checksUserId() const; // whether publishing rejects a Message::userId() other than userName()
    void setChecksUserId(bool checks);

    int backpressureMultiplier() const; // 0 disables it; 10 by default with backpressure_detection
    void setBackpressureMultiplier(int multiplier);
    std::chrono::milliseconds blockedTimeout() const; // 0 waits forever
    void setBlockedTimeout(std::chrono::milliseconds timeout);
    std::chrono::milliseconds closeTimeout() const;
    void setCloseTimeout(std::chrono::milliseconds timeout);
    RecoveryPolicy recoveryPolicy() const;
    void setRecoveryPolicy(const RecoveryPolicy &policy);

private:
    friend class ConnectionParametersPrivate;
    friend class ConnectionPrivate; // reads the password without copying it
    QSharedDataPointer<ConnectionParametersPrivate> d;
};

} // namespace AmqpQt

Q_DECLARE_SHARED(AmqpQt::ConnectionParameters)
