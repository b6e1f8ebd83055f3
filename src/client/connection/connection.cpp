// SPDX-License-Identifier: MIT
#include "client/connection/connection_p.h"

#include "base/logging_p.h"
#include "client/adopt_p.h"
#include "client/channel/channel_p.h"
#include "client/topology/topology_p.h"

#include <AmqpQt/channel.h>

#include <QtCore/qiodevice.h>
#include <QtCore/qmetaobject.h>

#include <algorithm>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

/*!
    \class AmqpQt::Connection
    \inheaderfile AmqpQt/Connection
    \inmodule AmqpQt
    \since 0.1
    \brief The Connection class represents a TCP connection to a broker, with its channels.

    \code
    auto *connection = new AmqpQt::Connection(QUrl(u"amqp://guest:guest@localhost/%2F"_s), this);
    AmqpQt::Channel *channel = connection->createChannel();
    channel->declareQueue(u"orders"_s);
    connect(connection, &AmqpQt::Connection::closed, this, [](const AmqpQt::Error &reason) { … });
    connection->open(); // what was called before is sent, in that order, once the connection is open
    \endcode

    \section1 Life

    open() tries the endpoints of ConnectionParameters and logs in (AMQP 0-9-1, section 2.2.4). It returns immediately;
    its Reply and opened() or closed() report the result. Channels may be created and used before: their calls are
    queued and sent in the order in which they were made.

    close() sends everything that was accepted, cancels the consumers, closes the channels and then the connection, and
    waits for the broker's answer to each step. It fails when there has been no progress for
    ConnectionParameters::closeTimeout(). abort() drops the connection without any of these steps. Each open() ends with
    exactly one closed(), which is the last signal of the connection and its channels; open() may be called again
    afterwards. A connection that was lost or could not be made is opened again automatically, see \l Recovery.

    A failed attempt keeps everything that waits for the connection: the calls, messages and consumers of channels that
    are not open yet are sent in the order in which they were made once an attempt succeeds. They end earlier, with
    ErrorKind::Cancelled, if close() or abort() is called, or if the connection or their channel is deleted.

    The destructor never blocks. It ends all replies with ErrorKind::Cancelled and leaves unsent bytes and
    \c connection.close to the event loop of its thread, which continues to send until there has been no progress for
    ConnectionParameters::closeTimeout(). Without an event loop, only as much is sent as the kernel accepts immediately.
    To ensure that everything is sent, call close() and wait for closed().

    \section1 Recovery

    A connection that was lost or that open() could not make enters State::Recovering and tries to connect until it
    succeeds: one pass over the endpoints in each attempt, with a random delay that grows. The
    reply of open() ends with its own attempt. closed() is emitted only when the recovery ends: because of close(),
    abort() or RecoveryPolicy::maximumAttempts, or because of an error that further attempts would meet again:

    \list
        \li the virtual host does not exist (530),
        \li the certificate of the broker was rejected, or another setting for TLS is wrong,
        \li the server does not support AMQP 0-9-1, or one side has violated the protocol three times in a minute,
        \li the parameters are invalid,
        \li the broker refuses the credentials, unless credentialsRequested() has a receiver, which is then asked.
    \endlist

    The attempts use the latest parameters(). A connection on a device, see openOn(), does not recover.

    If RecoveryPolicy::enabled is \c false, a lost connection is not restored: closed() reports the reason, and
    Error::isRecoverable() returns whether another attempt may help. The Channel objects stay; after another open(),
    call Channel::reopen() for each of them to open it again and to restore its prefetch and its consumers.

    \section1 Signals

    No signal is emitted and no reply finishes inside a call; both happen later, from the event loop. A slot may call
    any function and delete any object, including the connection. state() and the other properties return the latest
    values, so in a slot state() may be ahead of the argument of the signal.

    \list
    \li When the connection opens: stateChanged(Connecting), stateChanged(Handshaking), the reply of open(), the replies
        of whenOpen(), stateChanged(Open), opened(). With several endpoints, and after a refused login, the first two
        signals may be repeated. The channels' signals follow.
    \li When credentials are needed: credentialsRequested(), after stateChanged(Connecting), or at any time while the
        connection is open.
    \li When the connection ends: the replies and signals of the channels that were open, see Channel; the unfinished
        replies of open(), whenOpen() and close(); errorOccurred() if there was an error; stateChanged(Closed),
        closed().
    \li When the connection recovers: errorOccurred(), stateChanged(Recovering), reconnecting(); after each failed
        attempt errorOccurred() and reconnecting(); after success stateChanged(Open).
    \li When the broker blocks the connection: blockedChanged(), writableChanged(), then Channel::backpressureChanged()
        and Channel::writableChanged() of each channel.
    \endlist

    \section1 Threads

    A connection and all of its channels and consumers live in one thread, which needs a running event loop. To use a
    thread other than the one that created the connection, call QObject::moveToThread() before open(), which creates the
    socket in the connection's thread. All functions must be called in that thread. Calls from another thread fail an
    assertion in debug builds, and are rejected with a warning and ErrorKind::InvalidArgument in other builds. Use
    QMetaObject::invokeMethod() instead:

    \code
    QMetaObject::invokeMethod(channel, [channel, message] { channel->publish({}, u"orders"_s, message); });
    \endcode

    Only messages may be settled in any thread; see Message::ack().

    \section1 Credentials that expire

    A token (OAuth 2) is sent in place of a password and expires, and a password may be unknown until a user enters it.
    For these cases, connect a slot to credentialsRequested() and answer with setCredentials():

    \code
    connect(&connection, &AmqpQt::Connection::credentialsRequested, this, [this] {
        fetchToken([this](const QString &token, std::chrono::seconds life) {
            connection.setCredentials(u"client"_s, token, life);
        });
    });
    \endcode

    If the signal has a receiver, and the mechanism is \c PLAIN or \c AMQPLAIN (before the broker has chosen one: the
    first of ConnectionParameters::mechanismNames()), the signal is emitted

    \list
        \li before an attempt to connect, if no credentials have been set, if there is a user name but no password, if
        they have expired, also during an attempt with several endpoints, or if they were erased
        (ConnectionParameters::setEraseOnConnect()). The attempt waits for setCredentials() in State::Connecting,
        without a deadline: ConnectionParameters::connectTimeout() begins afterwards. close(), abort() and the
        destructor end the wait.
        \li after the broker has refused the login. The attempt waits in the same way and continues with the first
        endpoint. The first answer is sent at once. From the second refusal in a row on, the next login follows
        ConnectionParameters::retryDelay() after the refusal, so that an application that always gives the same answer
        does not flood the broker.
        \li on an open connection, when about 80 % of the life of its credentials is over. setCredentials() then also
        sends the new secret to the broker (\c connection.update-secret), and the channels are not disturbed. The moment
        varies by 5 % of the life, so that many clients do not renew their tokens at the same time. Without an answer,
        the signal is emitted once more, halfway to the expiry, and a warning is logged when the credentials expire.
    \endlist

    RabbitMQ closes a connection whose token has expired (320, "credential expired") and one on which it refuses the new
    token (530). The next open() then asks for credentials. Without a receiver, a refused login ends the attempt with
    ErrorKind::Authentication, and so does the disconnection of the last receiver while an attempt waits. (A handler in
    a QML \c Connections element is not seen to disappear.)

    Only setCredentials() answers a request. An attempt that waits does not continue after setParameters() and setUrl(),
    since it keeps its endpoints, and the credentials of other parameters may belong to other brokers. setCredentials()
    must be called in the thread of the connection; if a provider finishes in another thread, use
    QMetaObject::invokeMethod() with the connection as its context.

    \section1 Security

    An endpoint with Endpoint::encrypted, or a URL with the scheme \c amqps, uses TLS 1.2 or later, and the certificate
    of the broker is verified: it must have been issued by a trusted authority, be valid now, and have the name of the
    endpoint. If it is rejected, open() fails with ErrorKind::Tls, and nothing is sent to the broker.
    ConnectionParameters has the trusted authorities and the certificate of this client. There is no fallback to an
    unencrypted connection.

    \code
    ConnectionParameters parameters = *ConnectionParameters::fromUrl(QUrl(u"amqps://broker.example"_s));
    parameters.trustOnly(u"/etc/broker/ca.pem"_s);
    parameters.setClientCertificate(u"/etc/broker/client.pem"_s, u"/etc/broker/client.key"_s);
    \endcode

    Qt's TLS backend of the platform is used. OpenSSL supports everything described here. Schannel does not resume
    sessions, and Secure Transport supports only TLS 1.2, so that it cannot connect to a broker that requires TLS 1.3;
    \c{QSslSocket::setActiveBackend("openssl")} selects OpenSSL where it is installed.

    Without TLS, a password that is sent to another machine can be read in transit, and a warning is logged.
    ConnectionParameters::setTlsRequired() turns this into an error.

    \sa Channel, ConnectionParameters
*/

/*!
    \enum AmqpQt::Connection::CredentialReason
    \brief Why credentialsRequested() is emitted.

    \value FirstConnect open() was called, and no credentials have been set, the password is missing, or the credentials
    have expired or were erased. The connection has never been open.
    \value Reconnect As FirstConnect, but the connection has been open before.
    \value ExpiresSoon The connection is open, and most of the life of its credentials is over.
    \value Refused The broker refused the credentials.
*/

/*!
    \enum AmqpQt::Connection::State

    \value Closed There is no connection, before open() and after closed().
    \value Connecting The host is looked up, and the TCP connection and TLS are set up, or the connection waits for
            credentials, see credentialsRequested(), or for the next pass over the endpoints.
    \value Handshaking The AMQP login is in progress, from the protocol header to \c connection.open-ok.
    \value Open The connection and its channels can be used.
    \value Recovering The connection was lost, or the first attempt to open it has failed, and further attempts follow
            automatically. The connection keeps this state while it waits and during the attempts. See RecoveryPolicy.
    \value Closing close() or abort() was called and has not finished yet. New calls on channels are rejected.
*/

/*!
    \property AmqpQt::Connection::url
    \brief the URL to connect to; the getter returns it without the password.

    Setting this property is equivalent to calling setParameters() with the result of ConnectionParameters::fromUrl(),
    which documents the form of such URLs. An invalid URL changes only ConnectionParameters::error(): open() fails with
    that error, of kind ErrorKind::InvalidArgument, without connecting, until a valid URL or parameters with new
    endpoints are set.

    The setter must be called in the thread of the connection. The new value applies to the next open().
*/

/*!
    \property AmqpQt::Connection::state
    \brief the state of the connection; State::Closed initially.
*/

/*!
    \property AmqpQt::Connection::calmState
    \brief the state of the connection as a user should see it.

    It is state(), except that it stays State::Open during an outage until that has lasted for
    RecoveryPolicy::calmAfter. So a status line does not flicker when a broker or a network recovers quickly.
*/

/*!
    \property AmqpQt::Connection::stateText
    \brief a translated description of calmState, for display, such as \c Connected or \c{Reconnecting, attempt 3}. If
    the connection is closed, it contains the text of error().
*/

/*!
    \property AmqpQt::Connection::lostSince
    \brief when the connection was lost, or when the first attempt to open it failed. It is invalid unless state() is
    State::Recovering.
*/

/*!
    \property AmqpQt::Connection::reconnectAttempt
    \brief the number of the automatic attempt, in this outage, that is being made or waited for; 0 unless state() is
    State::Recovering.
*/

/*!
    \property AmqpQt::Connection::connected
    \brief whether state() is State::Open. (\e open is the name of the slot.)
*/

/*!
    \property AmqpQt::Connection::error
    \brief the last error of the connection; no error initially, after each open() and while the connection is open.

    It is the reason why the connection ended, was lost or could not be made. lastCallError() returns the reason why a
   call was rejected.
*/

/*!
    \property AmqpQt::Connection::lastCallError
    \brief the reason why a call was last rejected without being sent: why channel() returned null, or why a delivery
    whose channel has been deleted can no longer be settled.
*/

/*!
    \property AmqpQt::Connection::blocked
    \brief whether the broker currently refuses to read publishes (\c connection.blocked), because it is short of memory
    or disk space.

    While the connection is blocked, published messages are queued in the library, within
    ConnectionParameters::bufferLimit(), and the calls that follow them on the same channel wait behind them.
    Acknowledgements and heartbeats are still sent, deliveries arrive, and reply timeouts are suspended. RabbitMQ reads
    nothing from a connection that it blocks, and blocks a connection only if it has published something during the
    alarm. Consumers should therefore use a different connection from publishers. See
    \l {https://www.rabbitmq.com/docs/connection-blocked} {Blocked connection notifications}.
*/

/*!
    \property AmqpQt::Connection::blockedReason
    \brief the broker's reason for blocking the connection; empty while the connection is not blocked.
*/

/*!
    \property AmqpQt::Connection::writable
    \brief whether a publisher may continue, that is, the broker does not block the connection, and the unsent bytes are
    below the watermarks.

    It becomes \c false above ConnectionParameters::highWatermark() and \c true again below
    ConnectionParameters::lowWatermark(). It does not depend on whether the connection is open; Channel::writable does.
*/

/*!
    \property AmqpQt::Connection::bytesToWrite
    \brief the number of bytes waiting to be sent, in the library and in the socket, including held publishes.

    The notifier signal is emitted at most once per turn of the event loop.
*/

/*!
    \property AmqpQt::Connection::serverProperties
    \brief the broker's description of itself (\c connection.start): \c product, \c version, \c capabilities and others.

    The value is available from State::Open on and is kept until the next open().
*/

/*!
    \fn void AmqpQt::Connection::stateChanged(AmqpQt::Connection::State state)

    This signal is emitted when the connection enters \a state.
*/

/*!
    \fn void AmqpQt::Connection::opened()

    This signal is emitted when the broker has accepted the connection (\c connection.open-ok). It is emitted once per
    successful open(), after the replies and stateChanged(), and not when a lost connection has recovered.
*/

/*!
    \fn void AmqpQt::Connection::closed(const AmqpQt::Error &reason)

    This signal is emitted when the connection has ended or could not be made, and no automatic recovery follows. It is
    the last signal; each open() leads to exactly one.

    \a reason is not an error (Error::isError() is \c false) after close() and abort(). Otherwise it has one of these
    kinds:

    \table
    \header \li ErrorKind \li When
    \row \li InvalidArgument \li The URL was invalid, a setter of ConnectionParameters has rejected a value, or a
             parameter cannot be sent, such as a login that is larger than
             ConnectionParameters::maximumInitialFrameSize().
    \row \li Network \li Host look-up or connecting failed, at the last endpoint as well, or the connection was lost.
    \row \li Timeout \li The last endpoint took longer than ConnectionParameters::connectTimeout(), nothing arrived for
             two heartbeat intervals, or the broker did not answer close() in time.
    \row \li Tls \li The certificate of the broker was rejected, the broker refused the certificate of this client, the
             TLS handshake failed in another way that will not change, or a file for TLS cannot be read. The text
             names the cause and the remedy.
    \row \li Authentication \li The broker refused the login (403, or it closed the socket during the login and does not
             announce \c authentication_failure_close), or it offers no mechanism that the connection supports, or
             \c EXTERNAL lacks TLS or a certificate, or a SaslMechanism has no response, or the credentials were erased
             and credentialsRequested() has no receiver, or its last receiver has gone; or the proxy refused its login.
    \row \li ConnectionClosed \li The broker closed the connection. Error::replyCode(), Error::text() and
             Error::method() are from its \c connection.close. 320 means an operator or a shutdown, 530 an unknown
             virtual host.
    \row \li ProtocolViolation \li The peer violated the protocol, or does not support AMQP 0-9-1.
    \endtable
*/

/*!
    \fn void AmqpQt::Connection::errorOccurred(const AmqpQt::Error &error)

    This signal is emitted when a call was rejected because of \a error, see lastCallError(), or when \a error ends the
    connection, in which case closed() follows with the same error, or reconnecting() if the connection recovers.
    Channel::errorOccurred() reports the errors of a channel.
*/

/*!
    \fn void AmqpQt::Connection::reconnecting(int attempt, std::chrono::milliseconds delay)

    This signal is emitted when the connection was lost or an attempt to open it has failed, and another attempt follows
    after \a delay. \a attempt counts the attempts of this outage from 1. error() is the reason. The slot may call
    reconnectNow(), close() or abort().

    \sa RecoveryPolicy
*/

/*!
    \fn void AmqpQt::Connection::reconnectAttemptChanged(int attempt)

    This signal is emitted when reconnectAttempt() has changed to \a attempt.
*/

/*!
    \fn void AmqpQt::Connection::calmStateChanged(AmqpQt::Connection::State state)

    This signal is emitted when calmState() has changed to \a state.
*/

/*!
    \fn void AmqpQt::Connection::stateTextChanged()

    This signal is emitted when stateText() has changed.
*/

/*!
    \fn void AmqpQt::Connection::recovered(const AmqpQt::RecoveryReport &report)

    This signal is emitted when a lost connection is open again, its exchanges, queues and bindings have been declared,
    its channels are open, and the broker has answered the \c basic.consume of each consumer. \a report lists what could
    not be restored. The signal follows stateChanged(State::Open), and there is one for each change from State::Open to
    State::Recovering, unless the recovery fails or the application ends it. It is not emitted if the connection had
    never been open.
*/

/*!
    \fn void AmqpQt::Connection::queueRenamed(const QString &oldName, const QString &newName)

    This signal is emitted during a recovery when the broker has given a queue that it names itself, see
    Channel::declareTemporaryQueue(), the name \a newName, because the queue \a oldName did not outlive the loss. The
    bindings and consumers of the queue, and calls that wait, have the new name. The application must use it from now
    on, for example as Message::replyTo().
*/

/*!
    \fn void AmqpQt::Connection::settlementFailed(quint64 deliveryTag, const AmqpQt::Error &error)

    This signal is emitted when the delivery \a deliveryTag was acknowledged or rejected too late: the channel that
    delivered it no longer exists. Nothing was sent. \a error is of kind ErrorKind::StaleDelivery. As long as the
    Channel object exists, Channel::settlementFailed() reports late settlements instead.
*/

/*!
    \fn void AmqpQt::Connection::parametersChanged()

    This signal is emitted when setParameters(), setUrl() or setCredentials() was called.
*/

/*!
    \fn void AmqpQt::Connection::credentialsRequested(AmqpQt::Connection::CredentialReason reason)

    This signal is emitted when the connection needs credentials because of \a reason. Answer it with setCredentials(),
    in the slot or at any time later, for example when a token has arrived or a user has entered a password. The answer
    must be given in the thread of the connection. See \l {Credentials that expire}.
*/

/*!
    \fn void AmqpQt::Connection::sslErrors(const QList<QSslError> &errors)

    This signal is emitted when the verification of the broker's certificate has found \a errors. It is for information:
    the attempt to connect has failed already, and error() reports the reason. Only a configuration that does not verify
    the broker, see ConnectionParameters::setSslConfiguration(), goes on. peerCertificate() returns the certificate.

    \since 0.1
    \sa ignoreSslErrors()
*/

/*!
    \fn void AmqpQt::Connection::blockedChanged(bool blocked, const QString &reason)

    This signal is emitted when the broker begins to block publishes (\c connection.blocked), in which case \a blocked
    is \c true and \a reason is the broker's description, or stops blocking them (\c connection.unblocked). Blocking
    also ends with the connection.
*/

/*!
    \fn void AmqpQt::Connection::writableChanged(bool writable)

    This signal is emitted when isWritable() has changed to \a writable.
*/

/*!
    \fn void AmqpQt::Connection::bytesToWriteChanged(double bytes)

    This signal is emitted when bytesToWrite() has changed to \a bytes, at most once per turn of the event loop.
*/

/*!
    \fn void AmqpQt::Connection::backpressureDetected(qint64 queuedBytes)

    This signal is emitted when messages are published faster than the broker accepts them, that is, when the
    \a queuedBytes that wait to be sent exceed ConnectionParameters::backpressureMultiplier() times the average size of
    the frames that this connection has sent, counting the frames of all methods with their overhead. It is emitted
    once, until the backlog is smaller again, with a warning in the category \c amqpqt.connection, and has no other
    effect. For limits, see writableChanged() and ConnectionParameters::setWriteBuffer().
*/

/*!
    Constructs a connection with the default parameters, which is a child of \a parent.
*/
Connection::Connection(QObject *parent)
    : Connection(ConnectionParameters(), parent)
{
}

/*!
    Constructs a connection with \a parameters, which is a child of \a parent.
*/
Connection::Connection(const ConnectionParameters &parameters, QObject *parent)
    : QObject(parent)
    , d(std::make_unique<ConnectionPrivate>(this))
{
    d->setParameters(parameters);
}

/*!
    Constructs a connection for \a url, which is a child of \a parent. open() reports an invalid URL, see url.
*/
Connection::Connection(const QUrl &url, QObject *parent)
    : QObject(parent)
    , d(std::make_unique<ConnectionPrivate>(this))
{
    d->setUrl(url);
}

/*!
    Ends the connection without blocking. The event loop still writes unsent bytes and \c connection.close, and closes
    the socket when the broker has answered, or when it has accepted no byte for ConnectionParameters::closeTimeout().
    Without a running event loop the last bytes may be lost; call close() and wait for closed() first. All unfinished
    replies end with ErrorKind::Cancelled: futures at once, functions and coroutines from
    the event loop, see Reply. The connection itself emits nothing more. Its channels are deleted with it, except that
    channels with another parent stay and emit Channel::closed().
*/
Connection::~Connection() = default;

/*!
    Returns the parameters for the next open().
*/
ConnectionParameters Connection::parameters() const
{
    return d->parameters;
}

/*!
    Sets the \a parameters for the next attempt to connect, that of open() or of an automatic recovery. It may be called
    at any time in the thread of the connection: an attempt, and the connection that results from it, use the parameters
    that were set when the attempt began, at every endpoint.

    If a setter of \a parameters has rejected a value, open() fails with ConnectionParameters::error().
*/
void Connection::setParameters(const ConnectionParameters &parameters)
{
    if (!d->isOwnThread("setParameters"))
        return;
    d->setParameters(parameters);
    d->noteParametersChanged();
}

QUrl Connection::url() const
{
    return d->parameters.toUrl();
}

void Connection::setUrl(const QUrl &url)
{
    if (!d->isOwnThread("setUrl"))
        return;
    d->setUrl(url);
    d->noteParametersChanged();
}

/*!
    Sets the \a userName and the \a secret, a password or token, for the next login. This is the answer to
    credentialsRequested(), and may also be called at any other time in the thread of the connection. \a validFor is the
    time until the secret expires, 1 s to 100 years; without it, the secret is assumed not to expire.

    \list
    \li An attempt that waits for credentials continues with them.
    \li An open connection whose own credentials expire sends the secret to the broker (\c connection.update-secret), as
        updateSecret() does. RabbitMQ requires that it belongs to the same user.
    \li Otherwise the next open() uses them. An attempt under way uses them only if the broker refuses the earlier ones,
        and only if setParameters() and setUrl() have not been called since open(): the credentials may then belong to
        other brokers.
    \endlist

    They become part of parameters(), also of parameters that were set after open(), unless
    ConnectionParameters::eraseOnConnect() is set and they have been used already.

    Returns a reply that has the answer of the broker if the secret is sent to an open connection, see updateSecret(),
    and otherwise has finished. Invalid arguments (see ConnectionParameters::setCredentials()) and a secret that is too
    large for a frame of the open connection change nothing; the reply and lastCallError() then have an
    ErrorKind::InvalidArgument.
*/
Reply<void> Connection::setCredentials(const QString &userName, const QString &secret,
                                       std::optional<std::chrono::seconds> validFor)
{
    if (!d->isOwnThread("setCredentials"))
        return Promise<void>::finished(
            Error(ErrorKind::InvalidArgument, u"setCredentials() was called from another thread"_s));
    return d->authenticator.setCredentials(userName, secret, validFor);
}

/*!
    Replaces the secret with which the connection has logged in by \a newSecret, such as a new OAuth 2 token, before the
    old one expires (\c connection.update-secret, an extension of RabbitMQ). The broker logs the \a reason, which has at
    most 255 bytes of UTF-8. The channels stay open. parameters() do not change; setCredentials() renews the secret of
    an open connection and changes them.

    The reply succeeds with \c connection.update-secret-ok. It ends with ErrorKind::NotOpen if the connection is not
    open, unlike a call of a channel, which waits for open(); with ErrorKind::InvalidArgument if an argument cannot be
    sent; and otherwise with the reason for which the connection ended. A broker that refuses the secret closes the
    connection (ErrorKind::ConnectionClosed with 530), as does a broker that does not support the method (540). Without
    an answer within ConnectionParameters::replyTimeout(), the connection ends with ErrorKind::Timeout.

    The log never contains the secret.
*/
Reply<void> Connection::updateSecret(const QString &newSecret, const QString &reason)
{
    return d->updateSecret(newSecret, reason);
}

Connection::State Connection::state() const
{
    return d->state;
}

Connection::State Connection::calmState() const
{
    return d->calm.value();
}

QString Connection::stateText() const
{
    return d->calm.text();
}

QDateTime Connection::lostSince() const
{
    return d->recovery.lostSince();
}

int Connection::reconnectAttempt() const
{
    return d->recovery.attempt();
}

/*!
    Returns the time until the next attempt of an automatic recovery, or 0 unless the connection waits for it.

    \sa reconnecting(), reconnectNow()
*/
std::chrono::milliseconds Connection::nextAttemptIn() const
{
    return d->recovery.timeToNextAttempt();
}

/*!
    Returns a reply that succeeds when the connection is open: at once if it is open already, otherwise after the next
    successful attempt. If an attempt fails and no automatic recovery follows, or the recovery ends without success, the
    reply ends with the error, or with ErrorKind::Cancelled if close() or abort() ended the attempt. If no attempt is
    under way, the reply waits for the next one.
*/
Reply<void> Connection::whenOpen()
{
    if (!d->isOwnThread("whenOpen"))
        return Promise<void>::finished(
            Error(ErrorKind::InvalidArgument, u"whenOpen() was called from another thread"_s));
    if (isOpen() && !d->isLost())
        return Promise<void>::finished({});
    return d->replies.whenOpen();
}

/*!
    Returns the certificate that the broker presented to this connection or in the last attempt to connect, even if it
    was rejected. It is null if the endpoint does not use TLS, and before the TLS handshake.
    QSslCertificate::expiryDate() returns the date by which it has to be renewed.
    \since 0.1
    \sa sslErrors()
*/
QSslCertificate Connection::peerCertificate() const
{
    return d->connector.peerCertificate();
}

/*!
    Returns the cipher of this connection, or of the last one if it has ended.
    QSslCipher::protocolString() is the version of TLS. The cipher is null if the endpoint does not use TLS, and before
    the end of the TLS handshake.
    \since 0.1
*/
QSslCipher Connection::sessionCipher() const
{
    return d->connector.sessionCipher();
}

/*!
    Accepts the broker's \a certificate in spite of these \a errors, from the next attempt to connect on. If the broker
    presents another certificate, or this certificate has a further error, it is rejected. A warning is logged for each
    error each time. An empty list ends the acceptance of the certificate. Other connections are not affected.

    This is meant for a person who has compared the certificate's fingerprint with the broker's. If the issuer is known,
    ConnectionParameters::trustOnly() is better.

    \code
    connect(connection, &Connection::sslErrors, this, [=](const QList<QSslError> &errors) {
        const QSslCertificate certificate = connection->peerCertificate();
        if (askUser(certificate, errors))
            connection->ignoreSslErrors(certificate, {QSslError::SelfSignedCertificate}); // and then open() again
    });
    \endcode
    \since 0.1
*/
void Connection::ignoreSslErrors(const QSslCertificate &certificate, const QList<QSslError::SslError> &errors)
{
    if (d->isOwnThread("ignoreSslErrors"))
        d->connector.ignoreSslErrors(certificate, errors);
}

/*!
    Returns the endpoint of the connection, or the one that the last attempt to connect has tried last. Its host is
    empty after openOn(), and while the attempt waits for credentials before its first endpoint.
*/
Endpoint Connection::currentEndpoint() const
{
    return d->connector.endpoint();
}

Error Connection::error() const
{
    return d->error;
}

Error Connection::lastCallError() const
{
    return d->lastCallError;
}

bool Connection::isBlocked() const
{
    return d->engine.flow().isBlocked();
}

QString Connection::blockedReason() const
{
    return d->flow.blockedReason();
}

bool Connection::isWritable() const
{
    return d->engine.flow().isWritable() && !d->engine.flow().isBlocked();
}

qint64 Connection::bytesToWrite() const
{
    return d->engine.flow().queuedBytes() + d->link.bytesToWrite();
}

/*!
    \class AmqpQt::Connection::Statistics
    \inmodule AmqpQt
    \since 0.1
    \brief Counts the traffic of a connection: \c messagesIn delivered or fetched, \c messagesOut accepted by
    Channel::publish(), \c bytesIn read from the socket and \c bytesOut written to it.
*/

/*!
    Returns the traffic of this connection since the object was created, across all calls of open(). For a rate, compare
    two values.
*/
Connection::Statistics Connection::statistics() const
{
    return d->statistics();
}

/*!
    Returns the negotiated heartbeat interval (\c connection.tune), or 0 if heartbeats are disabled or there is no
    connection. See ConnectionParameters::setHeartbeatInterval().
*/
std::chrono::seconds Connection::heartbeatInterval() const
{
    return d->engine.heartbeat();
}

/*!
    Returns the negotiated maximum frame size in bytes (\c connection.tune), or 0 if neither side has a limit. A message
    may be larger, since its body is split into frames; the arguments of a call and the headers of a message may not.
*/
quint32 Connection::maximumFrameSize() const
{
    return d->engine.handshake().agreed().frameMax;
}

/*!
    Returns the negotiated highest channel number (\c connection.tune), or 0 if neither side has a limit or it is not
    negotiated yet.
*/
quint16 Connection::maximumChannels() const
{
    return d->engine.handshake().agreed().channelMax;
}

FieldTable Connection::serverProperties() const
{
    return d->engine.handshake().serverProperties();
}

/*!
    Returns whether the broker has the capability \a name, such as \c{"basic.nack"}, \c{"consumer_priorities"} or
    \c{"connection.blocked"}; \c false before \c connection.start has arrived. See \l serverProperties.
*/
bool Connection::hasCapability(const QString &name) const
{
    return d->engine.handshake().hasCapability(name);
}

/*!
    Returns a new channel with the lowest free number, a child of \a parent, or of this connection if \a parent is null.
    The channel can be used at once and opens when the connection does (\c channel.open).

    If no number is free (see ConnectionParameters::setMaximumChannels() and maximumChannels()) or the connection is
    closing, the channel emits Channel::errorOccurred() and Channel::closed() with ErrorKind::NotOpen from the event
    loop. If the broker allows
    fewer channels than exist when the connection opens, those with higher numbers end with ErrorKind::InvalidArgument.

    If \a parent lives in another thread than the connection, the channel becomes a child of the connection instead, and
    a warning is logged. A call from another thread is rejected: the channel ends with ErrorKind::InvalidArgument and
    cannot be used. It still becomes a child of \a parent or of the connection, in the thread of that object.
*/
Channel *Connection::createChannel(QObject *parent)
{
    if (!d->isOwnThread("createChannel")) {
        auto *channel = new Channel(nullptr, nullptr);
        channel->d->startFailed(Error(ErrorKind::InvalidArgument, u"createChannel() was called from another thread"_s));
        adopt(parent ? parent : this, channel);
        return channel;
    }
    if (parent && parent->thread() != thread()) {
        qCWarning(
            lcConnection,
            "createChannel(): the parent lives in another thread; the channel is a child of the connection instead");
        parent = nullptr;
    }
    auto *channel = new Channel(this, parent ? parent : this);
    if (auto engineChannel = d->engine.createChannel(channel->d.get()))
        channel->d->start(std::move(engineChannel));
    else
        channel->d->startFailed(Error(ErrorKind::NotOpen, u"no channel number is free"_s));
    return channel;
}

/*!
    Returns the channel with this \a number, or a new one, a child of this connection, if the number is unused. Returns
    null for 0 and for numbers over the limit (maximumChannels(), or ConnectionParameters::maximumChannels() before
    negotiation), and lastCallError() is ErrorKind::InvalidArgument. While the broker has not confirmed the end of the
    number's last use, the error is ErrorKind::NotOpen.

    A closed channel has released its number.
*/
Channel *Connection::channel(quint16 number)
{
    if (!d->isOwnThread("channel"))
        return nullptr;
    const auto fail = [&](ErrorKind kind, const QString &text) {
        d->reportCallError(Error(kind, text));
        return nullptr;
    };
    if (Engine::ChannelEngine *existing = d->engine.channels().owner(number)) {
        auto *channel = static_cast<ChannelPrivate *>(existing->client);
        return channel->isInternal ? fail(ErrorKind::NotOpen, u"channel %1 is in use by the library"_s.arg(number))
                                   : channel->q;
    }
    if (!d->engine.channels().isPossible(number))
        return fail(ErrorKind::InvalidArgument,
                    u"number: %1 is not a valid channel number of this connection"_s.arg(number));
    auto channel = std::unique_ptr<Channel>(new Channel(this, this));
    auto engineChannel = d->engine.createChannel(channel->d.get(), number);
    if (!engineChannel)
        return fail(ErrorKind::NotOpen, u"channel %1 is still closing"_s.arg(number));
    channel->d->start(std::move(engineChannel));
    return channel.release();
}

/*!
    Returns the channels of this connection that have a number, including closed ones, in ascending order of their
    numbers.
*/
QList<Channel *> Connection::channels() const
{
    QList<Channel *> channels;
    for (const ChannelPrivate *channel : d->channels.all()) {
        if (channel->engine && !channel->isInternal)
            channels.append(channel->q);
    }
    std::sort(channels.begin(), channels.end(),
              [](const Channel *a, const Channel *b) { return a->number() < b->number(); });
    return channels;
}

/*!
    Returns the exchanges, queues and bindings that the channels of this connection have declared, that the broker has
    confirmed, and that still exist as far as the connection knows. It is empty after the connection has ended.

    An exchange or a queue leaves the topology when a channel of this connection deletes it, together with its bindings.
    An auto-delete queue leaves it with the last consumer of this connection, and an auto-delete exchange with the last
    binding of which it is the source, if this connection has made such a binding; so a cancelled consumer may remove a
    queue and several exchanges. If the \e broker cancels the last consumer of an auto-delete queue, only an exclusive
    queue leaves the topology. Other queues may still exist, since RabbitMQ also cancels consumers when the node of a
    queue fails.

    Passive declarations, and the actions of other connections, have no effect. A queue that the broker has named has
    its current name here.
*/
Topology Connection::topology() const
{
    const Engine::TopologyRecord *record = d->engine.recordedTopology();
    return record ? TopologyPrivate::make(record->confirmed()) : Topology();
}

/*!
    Connects to the broker with the current parameters(). Their endpoints are tried in order, or in a random order with
    ConnectionParameters::shuffleEndpoints(); each has ConnectionParameters::connectTimeout() for the look-up, the TCP
    connection and the login. The addresses of a host are tried 250 ms apart, IPv6 and IPv4 in turn, until one of them
    accepts the connection (RFC 8305). The attempts begin when the resolver has returned all addresses. If an endpoint
    fails with a recoverable error (Error::isRecoverable()) the next one is tried: the endpoint cannot be reached, does
   not answer in time, drops the connection, or closes it with a code such as 320. After the last endpoint, another pass
   over all endpoints follows after ConnectionParameters::retryDelay(), until ConnectionParameters::connectionAttempts()
   passes have been made. The error of the attempt is that of the last endpoint. A refused login, a missing virtual host
   and a server that speaks another protocol end the attempt.

    A broker with the capability \c authentication_failure_close reports a refused login. If such a broker drops the
    connection during the login, the connection has been lost (ErrorKind::Network). With other brokers, a drop means
    that the login was refused (ErrorKind::Authentication).

    A failed attempt ends only its own reply and those of whenOpen(). Channels that were created before, or reopened by
    Channel::reopen(), keep waiting with all of their calls, in order, through any number of attempts until one
    succeeds. close() and abort() end them with ErrorKind::Cancelled.

    Returns a reply that ends when the connection is open or has failed; for the errors see closed(). If an attempt is
    already under way, its reply is returned. If the connection is recovering, the next attempt is made at once, and the
    reply ends with it. On an open connection the reply succeeds at once, and on one that is
    closing it ends with ErrorKind::NotOpen: open it after closed().
*/
Reply<void> Connection::open()
{
    return d->open();
}

/*!
    Connects on \a device, which is open and leads to a broker: a QLocalSocket, one end of a pipe in memory, an adapter
    for a QWebSocket, or a socket that a protocol of its own has connected. The endpoints, the proxy and
    ConnectionParameters::connectionAttempts() of parameters() have no effect; the login, the limits and the timeouts
    apply, and the connection does not recover automatically. Whether the bytes are encrypted is a matter of the device:
   the login is sent without a warning, and \c EXTERNAL is allowed, since the device may be a QSslSocket with a
   certificate. ConnectionParameters::isTlsRequired() is judged by the endpoints, although they are not used. The device
   is used for one login; if the broker refuses that, the attempt ends, and credentialsRequested() is emitted before the
   next login. An attempt that waits for credentials before its login keeps the device.

    The device belongs to the connection from now on, in any case, and is deleted once. It must live in the thread of
    the connection, be open for reading and writing, not in text mode, and be sequential (QIODevice::isSequential()).
    Otherwise, and if the connection is open or is being opened, the reply ends with ErrorKind::InvalidArgument at once,
    and nothing else changes.

    The device must emit QIODevice::readyRead() when bytes arrive, and QIODevice::bytesWritten() when bytes have left.
    It gets 64 KiB at most until it has written them, and may take fewer, or none. The connection ends with
    ErrorKind::Network when the device emits QIODevice::readChannelFinished() or QIODevice::aboutToClose(), when it is
    deleted, and when reading or writing fails. The error names the class and QObject::objectName() of the device.
    After such a loss, open() or openOn() makes another connection.

    Returns a reply as open() does.
*/
Reply<void> Connection::openOn(std::unique_ptr<QIODevice> device)
{
    return d->openOn(std::move(device));
}

/*!
    Closes the connection cleanly: sends all accepted messages and calls, cancels all consumers, closes all channels,
    sends \c connection.close and waits for \c connection.close-ok. Pending calls still get their answers; new ones are
    rejected with ErrorKind::NotOpen.

    If there is no progress within ConnectionParameters::closeTimeout(), the connection is dropped, and the reply and
    closed() report ErrorKind::Timeout. This also happens if a broker that blocks the connection holds back publishes.
    While the connection is being opened, open() ends with ErrorKind::Cancelled, and so do all calls that wait for it.
    On a closed connection the reply succeeds at once, and channels that wait for the next open() end with
    ErrorKind::Cancelled.
*/
Reply<void> Connection::close()
{
    return d->close();
}

/*!
    Drops the connection at once, with all unsent bytes and without \c connection.close. Unfinished replies end with
    ErrorKind::Cancelled, and closed() follows without an error, both from the event loop. On a closed connection,
    abort() ends the channels that wait for the next open(), as close() does.
*/
void Connection::abort()
{
    d->abort();
}

/*!
    Makes the next attempt of an automatic recovery at once if the connection waits for it, and has no effect otherwise.
    The number of attempts and the delays are counted as without this call.

    \sa RecoveryPolicy, nextAttemptIn()
*/
void Connection::reconnectNow()
{
    if (d->isOwnThread("reconnectNow"))
        d->recovery.reconnectNow();
}

/*!
    \reimp
*/
bool Connection::event(QEvent *event)
{
    return QObject::event(event);
}

/*!
    \reimp
*/
void Connection::connectNotify(const QMetaMethod &signal)
{
    if (signal == QMetaMethod::fromSignal(&Connection::credentialsRequested))
        d->receiversChanged();
}

/*!
    \reimp
*/
void Connection::disconnectNotify(const QMetaMethod &signal)
{
    const bool isAny = !signal.isValid(); // all signals were disconnected
    if (isAny || signal == QMetaMethod::fromSignal(&Connection::credentialsRequested))
        d->receiversChanged();
}

} // namespace AmqpQt
