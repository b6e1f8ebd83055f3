// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/connectionparameters.h>
#include <AmqpQt/options.h>
#include <AmqpQt/recovery.h>
#include <AmqpQt/topology.h>

#include <QtCore/qdatetime.h>
#include <QtCore/qobject.h>
#include <QtNetwork/qsslcertificate.h>
#include <QtNetwork/qsslerror.h>

#include <chrono>
#include <memory>
#include <optional>

QT_FORWARD_DECLARE_CLASS(QSslCipher)
QT_FORWARD_DECLARE_CLASS(QIODevice)

namespace AmqpQt
{

class Channel;
class ConnectionPrivate;

// One TCP connection to a broker. Lives in one thread, with all of its channels.
class AMQPQT_EXPORT Connection : public QObject
{
    Q_OBJECT
    Q_PROPERTY(QUrl url READ url WRITE setUrl NOTIFY parametersChanged) // reads back without the password
    Q_PROPERTY(AmqpQt::Connection::State state READ state NOTIFY stateChanged)
    Q_PROPERTY(bool connected READ isOpen NOTIFY stateChanged) // not named "open" because of the slot
    Q_PROPERTY(AmqpQt::Connection::State calmState READ calmState NOTIFY calmStateChanged)
    Q_PROPERTY(QString stateText READ stateText NOTIFY stateTextChanged)
    Q_PROPERTY(QDateTime lostSince READ lostSince NOTIFY stateChanged)
    Q_PROPERTY(int reconnectAttempt READ reconnectAttempt NOTIFY reconnectAttemptChanged)
    Q_PROPERTY(AmqpQt::Error error READ error NOTIFY errorOccurred)
    Q_PROPERTY(AmqpQt::Error lastCallError READ lastCallError NOTIFY errorOccurred)
    Q_PROPERTY(bool blocked READ isBlocked NOTIFY blockedChanged)
    Q_PROPERTY(QString blockedReason READ blockedReason NOTIFY blockedChanged)
    Q_PROPERTY(bool writable READ isWritable NOTIFY writableChanged)
    Q_PROPERTY(double bytesToWrite READ bytesToWrite NOTIFY bytesToWriteChanged)
    Q_PROPERTY(QVariantMap serverProperties READ serverProperties NOTIFY stateChanged)
    Q_DISABLE_COPY_MOVE(Connection)
public:
    enum class State : int {
        Closed,
        Connecting,  // waiting for credentials, name look-up, TCP, TLS
        Handshaking, // AMQP start .. open-ok
        Open,
        Recovering, // lost, or not opened by the first attempt; further attempts follow
        Closing,
    };
    Q_ENUM(State)
    enum class CredentialReason : int {
        FirstConnect,
        Reconnect,
        ExpiresSoon, // the connection is open; the answer is sent to the broker
        Refused,
    };
    Q_ENUM(CredentialReason)
    struct Statistics // since the object was created
    {
        quint64 messagesIn = 0;  // delivered and fetched
        quint64 messagesOut = 0; // accepted by Channel::publish()
        quint64 bytesIn = 0;     // read from the socket
        quint64 bytesOut = 0;    // written to the socket
    };

    explicit Connection(QObject *parent = nullptr);
    explicit Connection(const ConnectionParameters &parameters, QObject *parent = nullptr);
    explicit Connection(const QUrl &url, QObject *parent = nullptr); // an invalid URL fails open() with InvalidArgument
    ~Connection() override; // never blocks; to send everything first, call close() and wait for closed()

    // Like open(), on a device that is connected to a broker already, such as a QLocalSocket.
    Reply<void> openOn(std::unique_ptr<QIODevice> device);

    ConnectionParameters parameters() const;
    void setParameters(const ConnectionParameters &parameters); // used by the next open()
    QUrl url() const;
    void setUrl(const QUrl &url);

    // For the next login, and, if the connection is open with credentials that expire, for the broker at once. Answers
    // credentialsRequested(). The reply has the answer of the broker, or finishes at once if nothing is sent.
    Reply<void> setCredentials(const QString &userName, const QString &secret,
                               std::optional<std::chrono::seconds> validFor = {});
    // connection.update-secret: a new token for the open connection
    Reply<void> updateSecret(const QString &newSecret, const QString &reason = {});

    State state() const;
    bool isOpen() const { return state() == State::Open; }
    State calmState() const;   // for users: a short outage does not show
    QString stateText() const; // for users: describes calmState()
    Reply<void> whenOpen();    // finishes at once if open, otherwise with the next attempt, or the end of the recovery
    Endpoint currentEndpoint() const;
    QSslCertificate peerCertificate() const; // of the broker, also if it was rejected; null without TLS
    QSslCipher sessionCipher() const;        // and the version of TLS; null without TLS
    // Accepts that certificate in spite of those errors, from the next attempt on.
    void ignoreSslErrors(const QSslCertificate &certificate, const QList<QSslError::SslError> &errors);
    Error error() const;         // why the connection ended or failed to open
    Error lastCallError() const; // why the last rejected call was not sent

    // automatic recovery
    QDateTime lostSince() const;                     // invalid without an outage
    int reconnectAttempt() const;                    // of this outage; 0 without one
    std::chrono::milliseconds nextAttemptIn() const; // 0 unless the next attempt is waited for

    // flow control (publishers)
    bool isBlocked() const; // the broker sent connection.blocked
    QString blockedReason() const;
    bool isWritable() const;     // neither blocked nor over the high watermark
    qint64 bytesToWrite() const; // library buffer plus socket buffer
    Statistics statistics() const;

    // negotiated
    std::chrono::seconds heartbeatInterval() const;
    quint32 maximumFrameSize() const;
    quint16 maximumChannels() const;
    FieldTable serverProperties() const;
    bool hasCapability(const QString &name) const; // "publisher_confirms", "basic.nack", ...

    // Never blocks; the channel opens when the connection does. It is a child of this connection unless a parent is
    // given. If no channel number is free, it emits closed(error) later.
    Channel *createChannel(QObject *parent = nullptr);
    // Returns the open channel with this number, or a new one if there is none. For 0 and numbers over the negotiated
    // limit, returns nullptr and sets InvalidArgument in lastCallError().
    Channel *channel(quint16 number);
    QList<Channel *> channels() const;
    Topology topology() const; // declared by this connection and confirmed by the broker

public Q_SLOTS:
    AmqpQt::Reply<void> open(); // finishes when the connection is open or has failed
    AmqpQt::Reply<void> close();
    void abort();        // drops the connection without connection.close
    void reconnectNow(); // while recovering: makes the next attempt without waiting

Q_SIGNALS:
    void stateChanged(AmqpQt::Connection::State state);
    void opened();                            // once per open()
    void closed(const AmqpQt::Error &reason); // the last signal; NoError after close()
    void errorOccurred(const AmqpQt::Error &error);
    // The connection was lost or could not be opened, and this attempt follows after the delay.
    void reconnecting(int attempt, std::chrono::milliseconds delay);
    void reconnectAttemptChanged(int attempt);
    // After a loss, the topology, the channels and their consumers have been restored as far as possible.
    void recovered(const AmqpQt::RecoveryReport &report);
    void queueRenamed(const QString &oldName, const QString &newName); // by the broker, during a recovery
    void calmStateChanged(AmqpQt::Connection::State state);
    void stateTextChanged();
    // Emitted only for a delivery whose channel no longer exists; otherwise see Channel::settlementFailed().
    void settlementFailed(quint64 deliveryTag, const AmqpQt::Error &error);
    void parametersChanged();
    void sslErrors(const QList<QSslError> &errors); // the broker's certificate was rejected
    void credentialsRequested(AmqpQt::Connection::CredentialReason reason);

    void blockedChanged(bool blocked, const QString &reason);
    void writableChanged(bool writable);
    void backpressureDetected(
        qint64 queuedBytes); // the backlog exceeds backpressureMultiplier() x average sent frame; once per episode
    void bytesToWriteChanged(double bytes); // at most once per turn of the event loop

protected:
    bool event(QEvent *event) override;
    void connectNotify(const QMetaMethod &signal) override;
    void disconnectNotify(const QMetaMethod &signal) override;

private:
    friend class Channel;
    friend class ConnectionPrivate;
    std::unique_ptr<ConnectionPrivate> d;
};

} // namespace AmqpQt
