// SPDX-License-Identifier: MIT
#include "client/connection/connectionparameters_p.h"

#include "base/logging_p.h"
#include "engine/connection/sasl_p.h"
#include "engine/topology/backoff_p.h"

#include <AmqpQt/saslmechanism.h>

#include <QtNetwork/qsslconfiguration.h>

#include <algorithm>

using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

namespace AmqpQt
{

void ConnectionParametersPrivate::reject(const QString &property, const QString &reason)
{
    qCWarning(lcConnection).noquote().nospace()
        << "set" << property.at(0).toUpper() << property.sliced(1) << ": " << reason;
    rejected.insert(property, Error(ErrorKind::InvalidArgument, property + ": "_L1 + reason));
}

QStringList ConnectionParametersPrivate::passwordMechanisms()
{
    static const QStringList names{QLatin1StringView(Engine::SaslPlain), QLatin1StringView(Engine::SaslAmqplain)};
    return names; // shared by all parameters
}

QString ConnectionParametersPrivate::mechanismProblem(const QStringList &names)
{
    const QStringList known = passwordMechanisms() + QStringList{QLatin1StringView(Engine::SaslExternal),
                                                                 QLatin1StringView(Engine::SaslAnonymous)};
    if (names.isEmpty())
        return u"the list is empty"_s;
    for (qsizetype i = 0; i < names.size(); ++i) {
        const QString &name = names.at(i);
        if (!known.contains(name))
            return u"\"%1\" is not one of the SASL mechanisms %2"_s.arg(name, known.join(u", "_s));
        if (names.indexOf(name) != i)
            return u"the SASL mechanism \"%1\" occurs twice"_s.arg(name);
    }
    return {};
}

QString ConnectionParametersPrivate::credentialsProblem(const QString &userName, const QString &password)
{
    if (userName.contains(QChar::Null) || password.contains(QChar::Null))
        return u"the user name or the password contains a NUL character"_s;
    if (!userName.isValidUtf16() || !password.isValidUtf16())
        return u"the user name or the password is not valid Unicode"_s;
    return {};
}

bool ConnectionParametersPrivate::usesPassword() const
{
    return ownMechanisms.isEmpty() &&
           std::any_of(mechanismNames.begin(), mechanismNames.end(),
                       [known = passwordMechanisms()](const QString &name) { return known.contains(name); });
}

bool ConnectionParametersPrivate::prefersPassword() const
{
    return ownMechanisms.isEmpty() && passwordMechanisms().contains(mechanismNames.constFirst());
}

void ConnectionParametersPrivate::eraseCredentials()
{
    password = {};
    credentials = Credentials::Erased;
}

namespace
{

void setTimeout(ConnectionParametersPrivate &d, std::chrono::milliseconds ConnectionParametersPrivate::*value,
                std::chrono::milliseconds timeout, std::chrono::milliseconds minimum, const QString &property)
{
    if (timeout < minimum || timeout > MaximumTimeout) {
        return d.reject(property, u"%1 ms is out of range; the range is %2 to %3 ms"_s.arg(timeout.count())
                                      .arg(minimum.count())
                                      .arg(MaximumTimeout.count()));
    }
    d.*value = timeout;
    d.accept(property);
}

// Returns why connections cannot be made through the proxy, or an empty string.
QString proxyProblem(const QNetworkProxy &proxy)
{
    if (proxy.type() == QNetworkProxy::NoProxy)
        return {};
    if (proxy.type() == QNetworkProxy::DefaultProxy)
        return u"the type DefaultProxy names no proxy; set QNetworkProxy::NoProxy, or a SOCKS5 or HTTP proxy"_s;
    if (proxy.type() != QNetworkProxy::Socks5Proxy && proxy.type() != QNetworkProxy::HttpProxy)
        return u"a caching proxy cannot be used for AMQP; set a SOCKS5 or HTTP proxy"_s;
    if (const QString problem = hostProblem(proxy.hostName()); !problem.isEmpty())
        return problem;
    if (proxy.port() == 0)
        return u"port 0 is out of range; the range is 1 to 65535"_s;
    constexpr qsizetype MaximumSocksLogin = 255; // RFC 1929
    for (const QString &text : {proxy.user(), proxy.password()}) {
        if (text.contains(QChar::Null))
            return u"the user name or the password contains a NUL character"_s;
        if (proxy.type() != QNetworkProxy::Socks5Proxy)
            continue;
        if (text.size() > MaximumSocksLogin)
            return u"the user name or the password is longer than 255 characters"_s;
        if (QString::fromLatin1(text.toLatin1()) != text) // QTcpSocket would send "?" instead
            return u"the user name or the password contains a character that is not in Latin-1"_s;
    }
    return {};
}

// Returns which setting is out of range, or an empty string.
QString recoveryProblem(const RecoveryPolicy &policy)
{
    const auto timeProblem = [](QLatin1StringView setting, std::chrono::milliseconds time,
                                std::chrono::milliseconds minimum) {
        return time >= minimum && time <= MaximumTimeout
                   ? QString()
                   : u"%1: %2 ms is out of range; the range is %3 to %4 ms"_s.arg(setting)
                         .arg(time.count())
                         .arg(minimum.count())
                         .arg(MaximumTimeout.count());
    };
    for (const QString &problem :
         {timeProblem("initialDelay"_L1, policy.initialDelay, Engine::Backoff::MinimumDelay),
          timeProblem("maximumDelay"_L1, policy.maximumDelay, std::max(policy.initialDelay, 0ms)),
          timeProblem("calmAfter"_L1, policy.calmAfter, 0ms)}) {
        if (!problem.isEmpty())
            return problem;
    }
    if (!(policy.factor >= 1.0 && policy.factor <= MaximumRecoveryFactor)) // also if it is not a number
        return u"factor: %1 is out of range; the range is 1 to %2"_s.arg(policy.factor).arg(MaximumRecoveryFactor);
    if (policy.maximumAttempts < 0)
        return u"maximumAttempts: %1 is out of range; the minimum is 0, which means no limit"_s.arg(
            policy.maximumAttempts);
    return {};
}

} // namespace

/*!
    \class AmqpQt::ConnectionParameters
    \inheaderfile AmqpQt/ConnectionParameters
    \inmodule AmqpQt
    \since 0.1
    \brief Contains the settings of a Connection: the broker's endpoints, the credentials and limits.

    This class is an implicitly shared value. A Connection takes a copy; changes take effect with the next
    Connection::open().

    If a value is out of range, the setter keeps the previous value, logs a warning of category \c amqpqt.connection and
    remembers the error: error() returns it, and Connection::open() fails with it without connecting, until the same
    setter accepts a value. For URLs from users fromUrl() reports errors at once.

    \table
    \header \li Setting \li Default
    \row \li endpoints() \li localhost, port 5672
    \row \li shuffleEndpoints() \li false
    \row \li connectionAttempts(), retryDelay() \li 1, 2 s
    \row \li proxy() \li none
    \row \li virtualHost() \li \c /
    \row \li userName(), password() \li guest, guest
    \row \li mechanismNames() \li \c PLAIN, \c AMQPLAIN
    \row \li eraseOnConnect() \li \c false
    \row \li sslConfiguration() \li TLS 1.2 or later, with verification of the broker
    \row \li trustsSystemAuthorities() \li \c true
    \row \li isTlsRequired() \li \c false
    \row \li heartbeatInterval() \li 60 s
    \row \li connectTimeout() \li 15 s
    \row \li replyTimeout() \li 30 s
    \row \li closeTimeout() \li 5 s
    \row \li maximumFrameSize() \li 131072 bytes
    \row \li maximumInitialFrameSize() \li 0 (8192 or 4096 bytes, depending on the broker)
    \row \li maximumChannels() \li 2047
    \row \li maximumMessageSize() \li 128 MiB
    \row \li lowWatermark(), highWatermark(), bufferLimit() \li 1 MiB, 4 MiB, 128 MiB
    \row \li dispatchBudget() \li 4 ms
    \row \li recoveryPolicy() \li automatic recovery without a limit, after delays from 0.2 s to 30 s
    \endtable
*/

/*!
    Constructs the defaults, which are those of \c{amqp://guest:guest@localhost:5672/%2F}.
*/
ConnectionParameters::ConnectionParameters()
    : d(new ConnectionParametersPrivate)
{
}

ConnectionParameters::ConnectionParameters(const ConnectionParameters &) noexcept = default;

ConnectionParameters::ConnectionParameters(ConnectionParameters &&) noexcept = default;

ConnectionParameters &ConnectionParameters::operator=(const ConnectionParameters &) noexcept = default;

ConnectionParameters::~ConnectionParameters() = default;

/*!
    \fn void AmqpQt::ConnectionParameters::swap(ConnectionParameters &other)

    Swaps these parameters with \a other.
*/

/*!
    Returns the error of a setter that has rejected a value and has not accepted a value since. It is of kind
    ErrorKind::InvalidArgument, and its text names the property. If several setters have rejected a value, one of their
    errors is returned. An endpoint without TLS is an error as well if isTlsRequired(). Otherwise Error::isError() is
    \c false.
*/
Error ConnectionParameters::error() const
{
    if (!d->rejected.isEmpty())
        return d->rejected.first();
    for (const Endpoint &endpoint : std::as_const(d->endpoints)) {
        if (d->isTlsRequired && !endpoint.encrypted)
            return Error(ErrorKind::InvalidArgument,
                         u"tlsRequired: the endpoint \"%1\" does not use TLS"_s.arg(endpoint.toString()));
    }
    return {};
}

/*!
    Returns the endpoints, which are tried in this order unless shuffleEndpoints() is set.
*/
QList<Endpoint> ConnectionParameters::endpoints() const
{
    return d->endpoints;
}

/*!
    Sets the \a endpoints to try, in this order unless shuffleEndpoints() is set. An empty list, and a host that is
    empty or neither a host name nor an address, are rejected.
*/
void ConnectionParameters::setEndpoints(const QList<Endpoint> &endpoints)
{
    const QString property = u"endpoints"_s;
    if (endpoints.isEmpty())
        return d->reject(property, u"the list is empty"_s);
    for (const Endpoint &endpoint : endpoints) {
        if (const QString problem = hostProblem(endpoint.host); !problem.isEmpty())
            return d->reject(property, problem);
        if (!endpoint.peerName.isEmpty()) {
            if (const QString problem = hostProblem(endpoint.peerName); !problem.isEmpty())
                return d->reject(property, "peerName: "_L1 + problem);
        }
    }
    d->endpoints = endpoints;
    d->accept(property);
    d->accept(UrlProperty); // a previous invalid URL no longer matters
}

/*!
    Returns whether the endpoints are tried in a random order, which is different in each pass over them; \c false by
    default.
*/
bool ConnectionParameters::shuffleEndpoints() const
{
    return d->shuffleEndpoints;
}

/*!
    Sets whether to \a shuffle the endpoints. Many clients with the same list of endpoints then connect to different
    nodes of a cluster.
*/
void ConnectionParameters::setShuffleEndpoints(bool shuffle)
{
    d->shuffleEndpoints = shuffle;
}

/*!
    Returns how many passes over the endpoints Connection::open() makes before it fails; 1 by default.

    \sa retryDelay()
*/
int ConnectionParameters::connectionAttempts() const
{
    return d->connectionAttempts;
}

/*!
    Sets the number of passes over the endpoints to \a attempts, 1 to 2147483647. An error that another attempt cannot
    remedy, such as a rejected login or a missing virtual host, ends the attempts at once, see Error::isRecoverable().
*/
void ConnectionParameters::setConnectionAttempts(int attempts)
{
    const QString property = u"connectionAttempts"_s;
    if (attempts < 1)
        return d->reject(property, u"%1 is out of range; the minimum is 1"_s.arg(attempts));
    d->connectionAttempts = attempts;
    d->accept(property);
}

/*!
    Returns the time between two passes over the endpoints; 2 seconds by default, as in pika.

    \sa connectionAttempts()
*/
std::chrono::milliseconds ConnectionParameters::retryDelay() const
{
    return d->retryDelay;
}

/*!
    Sets the time between two passes over the endpoints to \a delay, 0 to 2147483647 ms. During this time
    Connection::state() is Connection::State::Connecting, and Connection::close() and Connection::abort() end the
    attempts at once.
*/
void ConnectionParameters::setRetryDelay(std::chrono::milliseconds delay)
{
    setTimeout(*d, &ConnectionParametersPrivate::retryDelay, delay, 0ms, u"retryDelay"_s);
}

/*!
    Returns the proxy through which the endpoints are reached; of the type QNetworkProxy::NoProxy by default.
*/
QNetworkProxy ConnectionParameters::proxy() const
{
    return d->proxy;
}

/*!
    Sets the \a proxy through which the endpoints are reached: one of the type QNetworkProxy::Socks5Proxy (RFC 1928) or
    QNetworkProxy::HttpProxy, which must allow \c CONNECT to the broker's port, or QNetworkProxy::NoProxy. Other types,
    a proxy without host or port, and a login that cannot be sent are rejected.

    The proxy looks up the names of the endpoints, unless its QNetworkProxy::HostNameLookupCapability is cleared, so a
    host such as \c localhost is the proxy's own machine. Errors name the endpoint, the proxy and the cause: a proxy
    that cannot be reached and an endpoint that the proxy cannot reach or refuses are an ErrorKind::Network, a rejected
    login at the proxy is an ErrorKind::Authentication. A SOCKS5 proxy gets user name and password in Latin-1, and so
    does an HTTP proxy with the scheme Basic or Digest; there Qt replaces other characters by "?".

    The addresses of the proxy itself are tried one after the other, so an address of it that never answers may use up
    the time of connectTimeout(). Set an address instead of a name then.

    A proxy is used only if it is set here. QNetworkProxy::setApplicationProxy(), QNetworkProxyFactory and the proxies
    of the system have no effect; pass QNetworkProxy::applicationProxy() to use that. The parts of the proxy do not
    appear in toUrl().
*/
void ConnectionParameters::setProxy(const QNetworkProxy &proxy)
{
    const QString property = u"proxy"_s;
    if (const QString problem = proxyProblem(proxy); !problem.isEmpty())
        return d->reject(property, problem);
    d->proxy = proxy;
    d->accept(property);
}

/*!
    Returns the virtual host that \c connection.open requests.
*/
QString ConnectionParameters::virtualHost() const
{
    return d->virtualHost;
}

/*!
    Sets the virtual host to \a virtualHost, which is not decoded and has at most 255 bytes of UTF-8 without a NUL
    character. RabbitMQ's default virtual host is \c "/".
*/
void ConnectionParameters::setVirtualHost(const QString &virtualHost)
{
    const QString property = u"virtualHost"_s;
    if (!virtualHost.isValidUtf16())
        return d->reject(property, u"the name is not valid Unicode"_s);
    if (virtualHost.contains(QChar::Null))
        return d->reject(property, u"the name contains a NUL character"_s);
    if (virtualHost.toUtf8().size() > MaximumVirtualHost)
        return d->reject(property, u"the name is longer than 255 bytes"_s);
    d->virtualHost = virtualHost;
    d->accept(property);
}

/*!
    Returns the name of the user.
*/
QString ConnectionParameters::userName() const
{
    return d->userName;
}

/*!
    Returns the password, in a string that is not wiped when it is destroyed (the bytes kept here are).
*/
QString ConnectionParameters::password() const
{
    return d->password.toString();
}

/*!
    Sets the \a userName and the \a password, or a token in place of a password, for SASL \c PLAIN and \c AMQPLAIN. If
    mechanisms without a password are set, see setExternalAuthentication(), \c PLAIN and \c AMQPLAIN replace them. A NUL
    character in one of the arguments is rejected, since \c PLAIN separates them by NUL (RFC 4616). An empty password is
    sent as it is, unless Connection::credentialsRequested() has a receiver, which is asked for the password instead.

    If the broker takes the user from a token (OAuth 2), its name may differ from \a userName; see setChecksUserId().
*/
void ConnectionParameters::setCredentials(const QString &userName, const QString &password)
{
    const QString property = u"credentials"_s;
    if (const QString problem = ConnectionParametersPrivate::credentialsProblem(userName, password); !problem.isEmpty())
        return d->reject(property, problem);
    d->userName = userName;
    d->password = Secret(password);
    d->credentials = ConnectionParametersPrivate::Credentials::Set;
    if (!d->usesPassword()) {
        d->ownMechanisms.clear();
        d->mechanismNames = ConnectionParametersPrivate::passwordMechanisms();
    }
    d->accept(property);
}

/*!
    Authenticates with the certificate of the client (SASL \c EXTERNAL, RabbitMQ's plugin
    \c rabbitmq_auth_mechanism_ssl) instead of a password. The broker derives the user from the certificate.

    The connection must be encrypted and have a client certificate, and the broker must offer \c EXTERNAL. Otherwise
    Connection::open() fails with an ErrorKind::Authentication that names the missing part, and nothing is sent; in
    particular, no password is sent instead. checksUserId() has no effect, since the name of the user is not known.

    \sa setMechanismNames()
*/
void ConnectionParameters::setExternalAuthentication()
{
    setMechanismNames({QLatin1StringView(Engine::SaslExternal)});
}

/*!
    Connects without credentials (SASL \c ANONYMOUS). RabbitMQ 4.0 and later offer this mechanism, and take the user
    from \c anonymous_login_user in their configuration. It is used only if it is set here, by setMechanismNames(), or
    by the query key \c auth_mechanism of a URL.
*/
void ConnectionParameters::setAnonymousAuthentication()
{
    setMechanismNames({QLatin1StringView(Engine::SaslAnonymous)});
}

/*!
    Sets the application's own SASL \a mechanisms, in order of preference. They replace those of the library, so that a
    password is never sent to a broker that offers none of them. An empty list restores \c PLAIN and \c AMQPLAIN. A
    null pointer, a name that occurs twice, and a name that is not 1 to 255 characters of printable ASCII without spaces
    are rejected.

    SaslMechanism::name() is called here, and never by a connection. checksUserId() has no effect with own mechanisms,
    since the name of the user is not known.
*/
void ConnectionParameters::setMechanisms(const QList<std::shared_ptr<SaslMechanism>> &mechanisms)
{
    const QString property = u"mechanisms"_s;
    constexpr qsizetype MaximumName = 255;
    const auto isPrintable = [](char c) { return c > ' ' && c < 127; };
    QByteArrayList names;
    QList<ConnectionParametersPrivate::OwnMechanism> ownMechanisms;
    for (const auto &mechanism : mechanisms) {
        if (!mechanism)
            return d->reject(property, u"the list contains a null pointer"_s);
        const QByteArray name = mechanism->name();
        if (name.isEmpty() || name.size() > MaximumName || !std::all_of(name.begin(), name.end(), isPrintable))
            return d->reject(property, u"\"%1\" is not the name of a SASL mechanism"_s.arg(QString::fromUtf8(name)));
        if (names.contains(name))
            return d->reject(property, u"the mechanism \"%1\" occurs twice"_s.arg(QString::fromUtf8(name)));
        names += name;
        ownMechanisms.append({name, mechanism});
    }
    d->ownMechanisms = ownMechanisms;
    d->mechanismNames = ConnectionParametersPrivate::passwordMechanisms();
    d->accept(property);
}

/*!
    Returns the names of the SASL mechanisms in order of preference: a connection uses the first one that the broker
    offers.
*/
QStringList ConnectionParameters::mechanismNames() const
{
    if (d->ownMechanisms.isEmpty())
        return d->mechanismNames;
    QStringList names;
    for (const auto &own : std::as_const(d->ownMechanisms))
        names += QString::fromUtf8(own.name);
    return names;
}

/*!
    Sets which of the library's SASL mechanisms are used, and in which order of preference, to \a names. They are
    \c PLAIN and \c AMQPLAIN, which send userName() and password(), \c EXTERNAL, see setExternalAuthentication(), and
    \c ANONYMOUS, see setAnonymousAuthentication(). The default is \c PLAIN, \c AMQPLAIN. An empty list, other names
    and repeated ones are rejected.

    If \c EXTERNAL is the first mechanism that both sides have in common but cannot be used, the attempt fails; no later
    mechanism of the list is used instead.

    Connection::credentialsRequested() asks for a password before an attempt only if the first name is \c PLAIN or
    \c AMQPLAIN, and after a refusal only if one of them was used. checksUserId() has no effect if the first name, or
   the mechanism that was used, is another one.
*/
void ConnectionParameters::setMechanismNames(const QStringList &names)
{
    const QString property = u"mechanismNames"_s;
    if (const QString problem = ConnectionParametersPrivate::mechanismProblem(names); !problem.isEmpty())
        return d->reject(property, problem);
    d->mechanismNames = names;
    d->ownMechanisms.clear();
    d->accept(property);
}

/*!
    Returns whether a Connection wipes its copies of the credentials after each attempt to connect; \c false by default.
*/
bool ConnectionParameters::eraseOnConnect() const
{
    return d->eraseOnConnect;
}

/*!
    Sets whether a Connection wipes its copies of the credentials as soon as an attempt to connect has succeeded or
    failed, to \a erase. Connection::parameters() then has an empty password, and the next Connection::open() needs new
    credentials: it emits Connection::credentialsRequested() if that signal has a receiver, and otherwise fails with
    ErrorKind::Authentication unless Connection::setCredentials() or Connection::setParameters() was called.

    A password that is kept in memory, in these parameters or in a Connection, is wiped when it is replaced or
    destroyed. Other copies are beyond the library's control: strings and URLs of the application, the copy that
    password() returns, other copies of these parameters, and bytes that the socket, TLS or the kernel have buffered.
    The private key of the client, its passphrase and the password of the proxy are not erased after an attempt, since
    the next one needs them.
*/
void ConnectionParameters::setEraseOnConnect(bool erase)
{
    d->eraseOnConnect = erase;
}

/*!
    Returns the configuration for TLS: the one that setSslConfiguration() has set, or else a copy of
    QSslConfiguration::defaultConfiguration() that verifies the broker.
    \since 0.1
*/
QSslConfiguration ConnectionParameters::sslConfiguration() const
{
    if (d->tls.configuration)
        return *d->tls.configuration;
    return *tlsConfiguration({});
}

/*!
    Sets the \a configuration for TLS, such as ciphers, a verification depth, or certificates and keys that are not read
    from files. Files that were set by trustOnly(), trustAlso(), setClientCertificate() and setClientPkcs12() take
    precedence. The default configuration of the process is never changed.

    TLS 1.2 is the minimum: QSsl::SecureProtocols means TLS 1.2 and later, and a protocol that allows older versions is
    rejected. With QSslSocket::VerifyNone or QSslSocket::QueryPeer as QSslConfiguration::peerVerifyMode() the
    certificate of the broker is not verified, so that anybody in the network can read and change everything that is
    sent; each connection then logs a warning.
    \since 0.1
*/
void ConnectionParameters::setSslConfiguration(const QSslConfiguration &configuration)
{
    const QString property = u"sslConfiguration"_s;
    switch (configuration.protocol()) {
    case QSsl::SecureProtocols:
    case QSsl::TlsV1_2:
    case QSsl::TlsV1_2OrLater:
    case QSsl::TlsV1_3:
    case QSsl::TlsV1_3OrLater:
        break;
    default:
        return d->reject(property, u"the protocol is not TLS 1.2 or later"_s);
    }
    d->tls.configuration = configuration;
    d->accept(property);
}

/*!
    Returns the files that contain trusted certificate authorities, in PEM format.
    \since 0.1
    \sa trustOnly(), trustAlso()
*/
QStringList ConnectionParameters::authorityFiles() const
{
    return d->tls.authorityFiles;
}

/*!
    Returns whether the authorities that the system or sslConfiguration() trusts are trusted besides those in
    authorityFiles(); \c true by default.
    \since 0.1
*/
bool ConnectionParameters::trustsSystemAuthorities() const
{
    return d->tls.trustsSystem;
}

/*!
    Trusts only the certificate authorities in \a pemFile, which contains one or more certificates in PEM format. The
    authorities of the system, and those trusted before, are not trusted any more. This is the right choice for a broker
    whose certificate was issued by an authority of the company. The file may also contain the self-signed certificate
    of the broker itself.

    The file is read for each attempt to connect. If it cannot be read or contains no certificate, the attempt fails
    with ErrorKind::Tls.
    \since 0.1
    \sa trustAlso()
*/
void ConnectionParameters::trustOnly(const QString &pemFile)
{
    const QString property = u"authorityFiles"_s;
    if (pemFile.isEmpty())
        return d->reject(property, u"the file name is empty"_s);
    d->tls.authorityFiles = {pemFile};
    d->tls.trustsSystem = false;
    d->accept(property);
}

/*!
    Trusts the certificate authorities in \a pemFile as well: besides those of the system, or besides those in the file
    that trustOnly() has set. The file is read for each attempt, as with trustOnly().
    \since 0.1
*/
void ConnectionParameters::trustAlso(const QString &pemFile)
{
    const QString property = u"authorityFiles"_s;
    if (pemFile.isEmpty())
        return d->reject(property, u"the file name is empty"_s);
    if (!d->tls.authorityFiles.contains(pemFile))
        d->tls.authorityFiles.append(pemFile);
    d->accept(property);
}

/*!
    Returns the file that contains the certificate of this client, in PEM or PKCS#12 format; empty by default.
    \since 0.1
*/
QString ConnectionParameters::clientCertificateFile() const
{
    return d->tls.certificateFile;
}

/*!
    Returns the file that contains the private key of this client, in PEM format. It is empty if clientCertificateFile()
    contains the key as well.
    \since 0.1
*/
QString ConnectionParameters::clientKeyFile() const
{
    return d->tls.keyFile;
}

/*!
    Sets the certificate that this client presents to the broker, and its private key, both in PEM format. The \a
    certificateFile may contain intermediate certificates after the certificate. If \a keyFile is empty, the certificate
    file contains the key as well. RSA and EC keys are supported; an encrypted one requires its \a passphrase, which is
    wiped from memory when it is no longer needed. An empty certificate file means no certificate.

    The files are read for each attempt to connect, so renewed certificates are used without restarting the application.
    If a file is missing or damaged, the passphrase is wrong, or the key does not belong to the certificate, the attempt
    fails with ErrorKind::Tls.
    \since 0.1
    \sa setClientPkcs12()
*/
void ConnectionParameters::setClientCertificate(const QString &certificateFile, const QString &keyFile,
                                                const QString &passphrase)
{
    const QString property = u"clientCertificate"_s;
    if (certificateFile.isEmpty() && !keyFile.isEmpty())
        return d->reject(property, u"there is a key file, but no certificate file"_s);
    d->tls.certificateFile = certificateFile;
    d->tls.keyFile = keyFile;
    d->tls.isPkcs12 = false;
    d->tls.passphrase = Secret(passphrase);
    d->accept(property);
}

/*!
    Sets the certificate that this client presents to the broker, and its private key, which \a fileName contains in
    PKCS#12 format (.p12 or .pfx), encrypted with \a passphrase. It is read for each attempt, as with
    setClientCertificate().

    OpenSSL 3 cannot read files that are encrypted with RC2 or RC4, which older programs create. The error then names
    the commands that convert such a file.
    \since 0.1
*/
void ConnectionParameters::setClientPkcs12(const QString &fileName, const QString &passphrase)
{
    const QString property = u"clientCertificate"_s;
    if (fileName.isEmpty())
        return d->reject(property, u"the file name is empty"_s);
    d->tls.certificateFile = fileName;
    d->tls.keyFile.clear();
    d->tls.isPkcs12 = true;
    d->tls.passphrase = Secret(passphrase);
    d->accept(property);
}

/*!
    Returns whether an endpoint without TLS is an error; \c false by default.
    \since 0.1
*/
bool ConnectionParameters::isTlsRequired() const
{
    return d->isTlsRequired;
}

/*!
    Sets whether TLS is \a required. If it is, and one of the endpoints() is not encrypted, error() describes it, and
    Connection::open() fails with it before it connects to any endpoint.
    \since 0.1
*/
void ConnectionParameters::setTlsRequired(bool required)
{
    d->isTlsRequired = required;
}

/*!
    Returns the name under which the broker's management tools show the connection (client property
    \c connection_name); empty by default.
*/
QString ConnectionParameters::connectionName() const
{
    return d->connectionName;
}

/*!
    Sets the connection's name to \a name.
*/
void ConnectionParameters::setConnectionName(const QString &name)
{
    d->connectionName = name;
}

/*!
    Returns the application's additions to the client properties of \c connection.start-ok; empty by default.
*/
FieldTable ConnectionParameters::clientProperties() const
{
    return d->clientProperties;
}

/*!
    Sets \a properties, which are sent in \c connection.start-ok besides the library's own. A table that cannot be sent,
    see validate(), is rejected. Together with the login they must fit in one frame, see maximumInitialFrameSize();
    otherwise Connection::open() fails with ErrorKind::InvalidArgument.
*/
void ConnectionParameters::setClientProperties(const FieldTable &properties)
{
    const QString property = u"clientProperties"_s;
    if (const Error error = validate(properties); error.isError())
        return d->reject(property, error.text());
    d->clientProperties = properties;
    d->accept(property);
}

/*!
    Returns the requested heartbeat interval. The broker may ask for a shorter one in \c connection.tune. A connection
    that receives nothing for two intervals is dropped.
*/
std::chrono::seconds ConnectionParameters::heartbeatInterval() const
{
    return d->heartbeat;
}

/*!
    Sets the heartbeat \a interval, 0 to 65535 seconds; 0 disables heartbeats, regardless of the broker's value.
*/
void ConnectionParameters::setHeartbeatInterval(std::chrono::seconds interval)
{
    const QString property = u"heartbeat"_s;
    if (interval < 0s || interval > MaximumHeartbeat)
        return d->reject(property, u"%1 s is out of range; the range is 0 to 65535 s"_s.arg(interval.count()));
    d->heartbeat = interval;
    d->accept(property);
}

/*!
    Returns how long connecting to one endpoint may take; 15 seconds by default. A single deadline covers the look-up of
    the host, the attempts to connect to its addresses, a proxy's and TLS's negotiation and the login.
*/
std::chrono::milliseconds ConnectionParameters::connectTimeout() const
{
    return d->connectTimeout;
}

/*!
    Sets the deadline for connecting to \a timeout, 1 to 2147483647 ms.
*/
void ConnectionParameters::setConnectTimeout(std::chrono::milliseconds timeout)
{
    setTimeout(*d, &ConnectionParametersPrivate::connectTimeout, timeout, 1ms, u"connectTimeout"_s);
}

/*!
    Returns how long the broker may take to answer a method. A channel whose call got no answer in time is closed, since
    later answers could not be matched to their calls. The timeout starts when the kernel has accepted the last byte of
    the call. It is suspended while the broker blocks the connection.
*/
std::chrono::milliseconds ConnectionParameters::replyTimeout() const
{
    return d->replyTimeout;
}

/*!
    Sets the time for an answer to \a timeout, 0 to 2147483647 ms; 0 waits forever.
*/
void ConnectionParameters::setReplyTimeout(std::chrono::milliseconds timeout)
{
    setTimeout(*d, &ConnectionParametersPrivate::replyTimeout, timeout, 0ms, u"replyTimeout"_s);
}

/*!
    Returns the maximum frame size, in bytes, requested in \c connection.tune-ok; the broker's limit applies if it is
    smaller.
*/
quint32 ConnectionParameters::maximumFrameSize() const
{
    return d->maximumFrameSize;
}

/*!
    Sets the largest frame to \a bytes; 0 means that only the broker limits it. RabbitMQ refuses frames below 8192
    bytes: 1 to 8191 are raised to 8192, and a warning is logged.
*/
void ConnectionParameters::setMaximumFrameSize(quint32 bytes)
{
    if (bytes > 0 && bytes < RabbitMqFrameMinimum) {
        qCWarning(lcConnection, "setMaximumFrameSize: %u bytes is out of range; %u bytes, the minimum, is used instead",
                  bytes, RabbitMqFrameMinimum);
        bytes = RabbitMqFrameMinimum;
    }
    d->maximumFrameSize = bytes;
}

/*!
    Returns the size of the largest frame, in bytes, that is sent before \c connection.tune; 0, the default, means 8192
    for RabbitMQ 4.1 and later, and 4096, the minimum of AMQP 0-9-1, for other brokers.
    \since 0.1
*/
quint32 ConnectionParameters::maximumInitialFrameSize() const
{
    return d->maximumInitialFrameSize;
}

/*!
    Sets the largest frame before \c connection.tune to \a bytes, 0 or 4096 to 4294967295. The frame of
    \c connection.start-ok contains the credentials and the client properties, so a long token may need more than the
    default. The broker must accept such frames: in RabbitMQ, set \c initial_frame_max in \c rabbitmq.conf to the same
    value. A broker closes the connection without a reason when it receives a larger frame; therefore the library sends
    none, and Connection::open() fails with ErrorKind::InvalidArgument.
    \since 0.1
*/
void ConnectionParameters::setMaximumInitialFrameSize(quint32 bytes)
{
    const QString property = u"maximumInitialFrameSize"_s;
    if (bytes > 0 && bytes < SmallestInitialFrame)
        return d->reject(property,
                         u"%1 bytes is out of range; the range is 0 or 4096 to 4294967295 bytes"_s.arg(bytes));
    d->maximumInitialFrameSize = bytes;
    d->accept(property);
}

/*!
    Returns the highest channel number requested in \c connection.tune-ok; the broker's limit applies if it is smaller.
*/
quint16 ConnectionParameters::maximumChannels() const
{
    return d->maximumChannels;
}

/*!
    Sets the number of channels to at most \a count; 0 means that only the broker limits it.
*/
void ConnectionParameters::setMaximumChannels(quint16 count)
{
    d->maximumChannels = count;
}

/*!
    Returns the largest body of a delivery, in bytes. A larger one is skipped without being kept in memory: its
    consumer, or its Channel::get(), ends with ErrorKind::MessageTooLarge, and the message is requeued unless
    it needs no acknowledgement.
*/
qint64 ConnectionParameters::maximumMessageSize() const
{
    return d->maximumMessageSize;
}

/*!
    Sets the largest body of a delivery to \a bytes, 1 or more.
*/
void ConnectionParameters::setMaximumMessageSize(qint64 bytes)
{
    const QString property = u"maximumMessageSize"_s;
    if (bytes < 1)
        return d->reject(property, u"%1 bytes is out of range; the minimum is 1 byte"_s.arg(bytes));
    d->maximumMessageSize = bytes;
    d->accept(property);
}

/*!
    Returns the number of unsent bytes at which a full write buffer becomes writable again.
*/
qint64 ConnectionParameters::lowWatermark() const
{
    return d->lowWatermark;
}

/*!
    Returns the number of unsent bytes above which BackpressureReason::WriteBufferFull is set.
*/
qint64 ConnectionParameters::highWatermark() const
{
    return d->highWatermark;
}

/*!
    Returns the number of unsent bytes above which publishing is rejected with ErrorKind::BufferFull.
*/
qint64 ConnectionParameters::bufferLimit() const
{
    return d->bufferLimit;
}

/*!
    Sets the three limits of the write buffer, in bytes: \a lowWatermark, \a highWatermark and the hard \a limit. They
    are rejected together unless 0 ≤ low ≤ high ≤ limit and the limit is at least 1.
*/
void ConnectionParameters::setWriteBuffer(qint64 lowWatermark, qint64 highWatermark, qint64 limit)
{
    const QString property = u"writeBuffer"_s;
    if (lowWatermark < 0 || highWatermark < lowWatermark || limit < highWatermark || limit < 1) {
        return d->reject(property,
                         u"lowWatermark %1, highWatermark %2 and limit %3 must be in ascending order and not negative"_s
                             .arg(lowWatermark)
                             .arg(highWatermark)
                             .arg(limit));
    }
    d->lowWatermark = lowWatermark;
    d->highWatermark = highWatermark;
    d->bufferLimit = limit;
    d->accept(property);
}

/*!
    Returns the time that deliveries may take in one event loop iteration. Timers, input and painting are processed
    before the next deliveries.
*/
std::chrono::milliseconds ConnectionParameters::dispatchBudget() const
{
    return d->dispatchBudget;
}

/*!
    Sets the time for deliveries per event loop iteration to \a budget, 1 to 2147483647 ms.
*/
void ConnectionParameters::setDispatchBudget(std::chrono::milliseconds budget)
{
    setTimeout(*d, &ConnectionParametersPrivate::dispatchBudget, budget, 1ms, u"dispatchBudget"_s);
}

/*!
    Returns whether publishing rejects a message whose Message::userId() is neither empty nor userName(); \c true by
    default. RabbitMQ closes the channel with 406 for such a message, unless the user has the tag \c impersonator.
*/
bool ConnectionParameters::checksUserId() const
{
    return d->checksUserId;
}

/*!
    Sets whether publishing \a checks the user id of messages. Disable the check for a user with the tag
    \c impersonator, who may publish for other users; the library cannot know the tags of a user.
*/
void ConnectionParameters::setChecksUserId(bool checks)
{
    d->checksUserId = checks;
}

/*!
    Returns how long the broker may block the connection (\c connection.blocked) before the connection is dropped; 0,
    the default, means no limit.
*/
std::chrono::milliseconds ConnectionParameters::blockedTimeout() const
{
    return d->blockedTimeout;
}

/*!
    Sets how long the broker may block the connection to \a timeout, 0 (no limit) to 2147483647 ms. After this time the
    connection ends with ErrorKind::Timeout, and Channel::publishFailed() reports the waiting messages.
*/
void ConnectionParameters::setBlockedTimeout(std::chrono::milliseconds timeout)
{
    setTimeout(*d, &ConnectionParametersPrivate::blockedTimeout, timeout, 0ms, u"blockedTimeout"_s);
}

/*!
    Returns the backlog, in multiples of the average frame size, above which Connection::backpressureDetected() is
    emitted; 0, the default, disables the signal.
*/
int ConnectionParameters::backpressureMultiplier() const
{
    return d->backpressureMultiplier;
}

/*!
    Sets the \a multiplier of backpressure detection, 0 (off) or more. pika's default is 10. New code should use
    Connection::writable and Channel::backpressure, which count bytes.
*/
void ConnectionParameters::setBackpressureMultiplier(int multiplier)
{
    const QString property = u"backpressureMultiplier"_s;
    if (multiplier < 0)
        return d->reject(property, u"%1 is out of range; the minimum is 0"_s.arg(multiplier));
    d->backpressureMultiplier = multiplier;
    d->accept(property);
}

/*!
    Returns how long Connection::close() waits without progress, that is, while no byte is written, no message is
    confirmed and no answer arrives. After this time the connection ends with ErrorKind::Timeout.
*/
std::chrono::milliseconds ConnectionParameters::closeTimeout() const
{
    return d->closeTimeout;
}

/*!
    Sets the time for closing to \a timeout, 1 to 2147483647 ms.
*/
void ConnectionParameters::setCloseTimeout(std::chrono::milliseconds timeout)
{
    setTimeout(*d, &ConnectionParametersPrivate::closeTimeout, timeout, 1ms, u"closeTimeout"_s);
}

/*!
    Returns whether and how a connection recovers automatically, and how Channel::apply() treats entities that differ or
    are missing.
*/
RecoveryPolicy ConnectionParameters::recoveryPolicy() const
{
    return d->recoveryPolicy;
}

/*!
    Sets whether and how a connection recovers automatically, and how Channel::apply() treats entities that differ or
    are missing, to \a policy. The policy is rejected as a whole if RecoveryPolicy::initialDelay is not from 200 to
    2147483647 ms, RecoveryPolicy::maximumDelay is not from the initial delay to 2147483647 ms, RecoveryPolicy::factor
    is not from 1 to 1000, RecoveryPolicy::calmAfter is not from 0 to 2147483647 ms, or RecoveryPolicy::maximumAttempts
    is negative.
*/
void ConnectionParameters::setRecoveryPolicy(const RecoveryPolicy &policy)
{
    const QString property = u"recoveryPolicy"_s;
    if (const QString problem = recoveryProblem(policy); !problem.isEmpty())
        return d->reject(property, problem);
    d->recoveryPolicy = policy;
    d->accept(property);
}

} // namespace AmqpQt
