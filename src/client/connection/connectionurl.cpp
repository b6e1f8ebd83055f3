// SPDX-License-Identifier: MIT
#include "client/connection/connectionparameters_p.h"

#include <QtCore/qscopeguard.h>
#include <QtCore/qset.h>
#include <QtNetwork/qhostaddress.h>
#include <QtNetwork/qsslconfiguration.h>
#include <QtNetwork/qsslsocket.h>

#include <algorithm>
#include <array>

using namespace Qt::StringLiterals;

namespace AmqpQt
{

namespace
{

Error invalid(const QString &text)
{
    return Error(ErrorKind::InvalidArgument, text);
}

std::optional<qint64> wholeNumber(QStringView text, qint64 minimum, qint64 maximum)
{
    for (const QChar c : text) {
        if (c < u'0' || c > u'9')
            return std::nullopt;
    }
    bool ok = false;
    const qint64 number = text.toLongLong(&ok);
    if (!ok || number < minimum || number > maximum)
        return std::nullopt;
    return number;
}

// Reads seconds with up to three decimals, such as "2" or "0.25".
std::optional<std::chrono::milliseconds> secondsFrom(QStringView text)
{
    const qsizetype point = text.indexOf(u'.');
    const auto seconds = wholeNumber(text.first(point < 0 ? text.size() : point), 0, MaximumTimeout.count() / 1000);
    const QStringView decimals = point < 0 ? QStringView(u"0") : text.sliced(point + 1);
    const auto fraction = decimals.size() > 3 ? std::nullopt : wholeNumber(decimals, 0, 999);
    if (!seconds || !fraction)
        return std::nullopt;
    constexpr std::array<int, 4> Scale{0, 100, 10, 1};
    return std::chrono::seconds(*seconds) + std::chrono::milliseconds(*fraction * Scale.at(size_t(decimals.size())));
}

QString secondsText(std::chrono::milliseconds time)
{
    const auto seconds = std::chrono::floor<std::chrono::seconds>(time);
    QString text = QString::number(seconds.count());
    if (time > seconds) {
        text += u".%1"_s.arg((time - seconds).count(), 3, 10, QChar(u'0'));
        while (text.endsWith(u'0'))
            text.chop(1);
    }
    return text;
}

// The zone of a link-local address, such as "eth0" or "2", of the characters that RFC 6874 allows in a URL unencoded.
bool isZone(QStringView zone)
{
    return !zone.isEmpty() && std::all_of(zone.begin(), zone.end(), [](QChar c) {
        return c.unicode() < 128 && (c.isLetterOrNumber() || c == u'-' || c == u'.' || c == u'_' || c == u'~');
    });
}

} // namespace

bool isLoopback(const QString &host)
{
    return host.compare("localhost"_L1, Qt::CaseInsensitive) == 0 || QHostAddress(host).isLoopback();
}

QString hostProblem(const QString &host)
{
    if (host.isEmpty())
        return u"the host is missing"_s;
    if (host.contains(u'@')) // the text before the "@" may be a password
        return u"a host cannot contain \"@\"; user name and password are not part of an endpoint"_s;
    if (!host.contains(u':')) {
        QUrl url;
        url.setHost(host, QUrl::DecodedMode);
        return url.host().isEmpty() ? u"\"%1\" is not a host name"_s.arg(host) : QString();
    }
    const qsizetype percent = host.indexOf(u'%');
    const QString address = percent < 0 ? host : host.first(percent);
    if (QHostAddress(address).protocol() != QAbstractSocket::IPv6Protocol)
        return u"\"%1\" is not an IPv6 address"_s.arg(host);
    if (percent < 0 || isZone(QStringView(host).sliced(percent + 1)))
        return {};
    const QString zone = host.sliced(percent + 1);
    if (zone.contains(u':'))
        return u"\"%1\" is not the zone of an IPv6 address; a port needs brackets, as in \"[fe80::1%eth0]:5672\""_s.arg(
            zone);
    return zone.isEmpty() ? u"the zone after \"%\" is missing"_s
                          : u"\"%1\" is not the zone of an IPv6 address"_s.arg(zone);
}

/*!
    \class AmqpQt::Endpoint
    \inheaderfile AmqpQt/ConnectionParameters
    \inmodule AmqpQt
    \since 0.1
    \brief The address of a broker: a host name or IP address, and a TCP port.
*/

/*!
    \variable AmqpQt::Endpoint::host
    \brief a host name, or an IPv4 or IPv6 address (without brackets, and with its zone if it is link-local, as in
    \c{fe80::1%eth0}); \c localhost by default.
*/

/*!
    \variable AmqpQt::Endpoint::port
    \brief a TCP port. 0, the default, means 5672, or 5671 if the connection is encrypted.

    \sa effectivePort()
*/

/*!
    \variable AmqpQt::Endpoint::encrypted
    \brief whether the connection to the broker uses TLS; \c false by default.
*/

/*!
    \variable AmqpQt::Endpoint::peerName
    \brief the host name or IP address that the broker's certificate must be valid for, and the name that is sent to the
    broker as the Server Name Indication of TLS. If it is empty, which is the default, the name is \l host.

    A name is needed if the host is an address for which the certificate is not valid.
*/

/*!
    \fn quint16 AmqpQt::Endpoint::effectivePort() const

    Returns the TCP port to connect to: \l port, or the default port of AMQP if that is 0.
*/

/*!
    \fn QString AmqpQt::Endpoint::effectivePeerName() const

    Returns the name that the broker's certificate must be valid for: \l peerName, or \l host if that is empty.
*/

/*!
    \fn bool AmqpQt::Endpoint::operator==(const Endpoint &a, const Endpoint &b)

    Returns whether \a a and \a b have the same host, port, encryption and peer name. A port of 0 equals the default
    port.
*/

/*!
    Reads \a text: \c "host", \c "host:5673", \c "[::1]:5673", \c "[::1]" or \c "::1", and
    \c "[fe80::1%eth0]:5673" for an address with a zone. A port after an IPv6 address requires brackets. The text may
    begin with \c "amqp://", or with \c "amqps://" for a connection with TLS; the default port is 5672, with TLS 5671.
    For other input, returns an ErrorKind::InvalidArgument that describes the problem.
*/
Result<Endpoint> Endpoint::fromString(const QString &text)
{
    const auto bad = [&](const QString &what) {
        // The text in front of an "@" may be a password, which must not be shown.
        return invalid(text.contains(u'@') ? u"invalid endpoint: "_s + hostProblem(u"@"_s)
                                           : u"invalid endpoint \"%1\": %2"_s.arg(text, what));
    };

    QStringView host = text;
    QStringView scheme;
    if (const qsizetype end = host.indexOf("://"_L1); end >= 0) {
        scheme = host.first(end);
        host = host.sliced(end + 3);
        if (scheme.compare("amqp"_L1, Qt::CaseInsensitive) != 0 && scheme.compare("amqps"_L1, Qt::CaseInsensitive) != 0)
            return bad(u"the scheme \"%1\" is neither \"amqp\" nor \"amqps\""_s.arg(scheme));
    }
    std::optional<QStringView> port;
    bool isBracketed = false;
    if (host.startsWith(u'[')) {
        const qsizetype end = host.indexOf(u']');
        if (end < 0)
            return bad(u"\"]\" is missing"_s);
        const QStringView rest = host.sliced(end + 1);
        host = host.sliced(1, end - 1);
        isBracketed = true;
        if (rest.startsWith(u':'))
            port = rest.sliced(1);
        else if (!rest.isEmpty())
            return bad(u"only a port may follow \"]\""_s);
    } else if (host.count(u':') == 1) {
        const qsizetype colon = host.indexOf(u':');
        port = host.sliced(colon + 1);
        host = host.first(colon);
    }

    if (isBracketed && !host.isEmpty() && !host.contains(u':'))
        return bad(u"\"%1\" is not an IPv6 address"_s.arg(host));
    if (const QString problem = hostProblem(host.toString()); !problem.isEmpty())
        return bad(problem);

    Endpoint endpoint{.host = host.toString(), .encrypted = scheme.compare("amqps"_L1, Qt::CaseInsensitive) == 0};
    if (port) {
        const auto number = wholeNumber(*port, 1, std::numeric_limits<quint16>::max());
        if (!number)
            return bad(u"the port \"%1\" is not a number from 1 to 65535"_s.arg(*port));
        endpoint.port = quint16(*number);
    }
    return endpoint;
}

/*!
    Returns the endpoint as fromString() reads it: \c{host:port}, or \c{amqps://host:port} with TLS, with an IPv6
    address in brackets. The text does not contain \l peerName.
*/
QString Endpoint::toString() const
{
    const bool isIpv6 = host.contains(u':');
    const QString hostAndPort = (isIpv6 ? u"[%1]:%2"_s : u"%1:%2"_s) // the host may contain "%1"
                                    .arg(host, QString::number(effectivePort()));
    return encrypted ? "amqps://"_L1 + hostAndPort : hostAndPort;
}

namespace
{

// Reads a URL. Uses only its encoded parts, so that each escape is decoded exactly once, here.
class UrlReader
{
public:
    explicit UrlReader(const QUrl &url)
        : m_url(url)
    {
    }

    Result<ConnectionParameters> read()
    {
        for (const auto part :
             {&UrlReader::readScheme, &UrlReader::checkUnencoded, &UrlReader::readEndpoint, &UrlReader::readCredentials,
              &UrlReader::readVirtualHost, &UrlReader::readQuery, &UrlReader::readFragment}) {
            (this->*part)();
            if (m_error.isError())
                return m_error;
        }
        return m_parameters;
    }

private:
    void fail(const QString &text) { m_error = invalid("invalid URL: "_L1 + text); }
    void failUnencoded(const QString &text)
    {
        fail(text +
             "; \"#\", \"/\", \"?\" and \"@\" in a user name, password or virtual host must be percent-encoded as "
             "\"%23\", \"%2F\", \"%3F\" and \"%40\""_L1);
    }

    QString decoded(QStringView encoded, const QString &place)
    {
        QByteArray latin1 = encoded.toLatin1();
        QByteArray bytes = QByteArray::fromPercentEncoding(latin1);
        const auto wipe = qScopeGuard([&] { // they may be a password
            Secret::wipe(latin1);
            Secret::wipe(bytes);
        });
        if (bytes.contains('\0'))
            fail(place + " contains a NUL character"_L1);
        else if (!bytes.isValidUtf8())
            fail(place + " is not valid UTF-8"_L1);
        return QString::fromUtf8(bytes);
    }

    void readScheme()
    {
        if (m_url.isEmpty())
            fail(u"the text is empty"_s);
        else if (!m_url.isValid())
            failInvalid();
        else if (m_url.scheme().isEmpty())
            fail(u"the scheme is missing; a URL begins with \"amqp://\" or \"amqps://\""_s);
        else if (m_url.scheme() != "amqp"_L1 && m_url.scheme() != "amqps"_L1)
            fail(u"the scheme \"%1\" is neither \"amqp\" nor \"amqps\""_s.arg(m_url.scheme()));
    }

    // The rest of QUrl's text may contain the password.
    void failInvalid()
    {
        const QString text = m_url.errorString();
        const QString reason = text.section(u';', 0, 0).section(u" ("_s, 0, 0);
        if (text.section(u';', 1).contains(u'@'))
            failUnencoded(reason);
        else
            fail(reason);
    }

    // An unencoded "#", "/" or "?" in a password ends the authority of the URL. The rest of the password, and the host,
    // are then part of the path, query or fragment, and must not be shown either.
    void checkUnencoded()
    {
        for (const QString &part :
             {m_url.path(QUrl::FullyEncoded), m_url.query(QUrl::FullyEncoded), m_url.fragment(QUrl::FullyEncoded)}) {
            if (part.contains(u'@'))
                return failUnencoded(u"there is an \"@\" after the host"_s);
        }
    }

    void readEndpoint()
    {
        Endpoint endpoint{.encrypted = m_url.scheme() == "amqps"_L1};
        if (!m_url.host().isEmpty())
            endpoint.host = m_url.host();
        const int port = m_url.port(-1);
        if (port == 0)
            return fail(u"port 0 is out of range; the range is 1 to 65535"_s);
        endpoint.port = quint16(std::max(port, 0));
        if (const QString problem = hostProblem(endpoint.host); !problem.isEmpty())
            return fail(problem);
        m_parameters.setEndpoints({endpoint});
    }

    void readCredentials()
    {
        QString userInfo = m_url.userInfo(QUrl::FullyEncoded);
        const auto wipe = qScopeGuard([&userInfo] { Secret::wipe(userInfo); });
        if (userInfo.isEmpty())
            return;
        const qsizetype colon = userInfo.indexOf(u':');
        const bool hasPassword = colon >= 0;
        const QStringView encodedName = QStringView(userInfo).first(hasPassword ? colon : userInfo.size());
        const QString userName = decoded(encodedName, u"the user name"_s);
        if (m_error.isError())
            return;
        if (userName.isEmpty())
            return fail(u"the user name is missing"_s);
        if (hasPassword) {
            QString password = decoded(QStringView(userInfo).sliced(colon + 1), u"the password"_s);
            if (!m_error.isError())
                m_parameters.setCredentials(userName, password);
            Secret::wipe(password);
        } else if (userName != "guest"_L1) {
            m_parameters.setCredentials(userName, {});
        } else if (!isLoopback(m_parameters.endpoints().constFirst().host)) {
            fail(u"the password is missing; the default password of guest applies to this machine only"_s);
        }
    }

    void readVirtualHost()
    {
        const QString path = m_url.path(QUrl::FullyEncoded);
        if (path.isEmpty() || path == "/"_L1)
            return;
        if (!path.startsWith(u'/'))
            return fail(u"\"//\" is missing after \"%1:\""_s.arg(m_url.scheme()));
        if (path.indexOf(u'/', 1) >= 0)
            return fail(u"the virtual host contains a second \"/\"; write it as \"%2F\""_s);
        const QString virtualHost = decoded(QStringView(path).sliced(1), u"the virtual host"_s);
        if (m_error.isError())
            return;
        if (virtualHost.toUtf8().size() > MaximumVirtualHost)
            return fail(u"the virtual host is longer than 255 bytes"_s);
        m_parameters.setVirtualHost(virtualHost);
    }

    void readQuery()
    {
        const QString query = m_url.query(QUrl::FullyEncoded);
        if (query.isEmpty())
            return;
        QSet<QString> seen;
        for (const QStringView item : QStringView(query).split(u'&')) {
            const qsizetype equals = item.indexOf(u'=');
            const QString key = decoded(item.first(equals < 0 ? item.size() : equals), u"a query key"_s);
            if (seen.contains(key) && key != "auth_mechanism"_L1) // lists mechanisms in order of preference
                return fail(u"the query key \"%1\" occurs twice"_s.arg(key));
            seen.insert(key);
            const QString place = u"the query key \"%1\""_s.arg(key);
            const QString value = equals < 0 ? QString() : decoded(item.sliced(equals + 1), place);
            if (!m_error.isError())
                readQueryItem(key, value, place);
            if (m_error.isError())
                return;
        }
        setClientCertificate();
        if (!m_mechanisms.isEmpty())
            m_parameters.setMechanismNames(m_mechanisms);
        if (m_detectsBackpressure) // the keys may come in either order
            m_parameters.setBackpressureMultiplier(
                *m_detectsBackpressure ? m_multiplier.value_or(DefaultBackpressureMultiplier) : 0);
        else if (m_multiplier)
            m_parameters.setBackpressureMultiplier(*m_multiplier);
    }

    void readQueryItem(const QString &key, const QString &value, const QString &place)
    {
        const auto number = [&](qint64 minimum, qint64 maximum) {
            const auto result = wholeNumber(value, minimum, maximum);
            if (!result)
                fail(u"%1 has the value \"%2\", which is not a whole number from %3 to %4"_s.arg(place, value)
                         .arg(minimum)
                         .arg(maximum));
            return result;
        };
        if (isTlsKey(key)) {
            readTlsItem(key, value, place);
        } else if (key == "heartbeat"_L1) {
            if (const auto seconds = number(0, MaximumHeartbeat.count()))
                m_parameters.setHeartbeatInterval(std::chrono::seconds(*seconds));
        } else if (key == "connection_timeout"_L1) {
            if (const auto milliseconds = number(1, MaximumTimeout.count()))
                m_parameters.setConnectTimeout(std::chrono::milliseconds(*milliseconds));
        } else if (key == "channel_max"_L1) {
            if (const auto channels = number(0, std::numeric_limits<quint16>::max()))
                m_parameters.setMaximumChannels(quint16(*channels));
        } else if (key == "frame_max"_L1) {
            if (value == "0"_L1)
                m_parameters.setMaximumFrameSize(0);
            else if (const auto bytes = number(RabbitMqFrameMinimum, std::numeric_limits<quint32>::max()))
                m_parameters.setMaximumFrameSize(quint32(*bytes));
        } else if (key == "initial_frame_max"_L1) {
            if (value == "0"_L1)
                m_parameters.setMaximumInitialFrameSize(0);
            else if (const auto bytes = number(SmallestInitialFrame, std::numeric_limits<quint32>::max()))
                m_parameters.setMaximumInitialFrameSize(quint32(*bytes));
        } else if (key == "blocked_connection_timeout"_L1) {
            if (const auto seconds = number(0, MaximumTimeout.count() / 1000))
                m_parameters.setBlockedTimeout(std::chrono::seconds(*seconds));
        } else if (key == "connection_attempts"_L1) {
            if (const auto attempts = number(1, std::numeric_limits<int>::max()))
                m_parameters.setConnectionAttempts(int(*attempts));
        } else if (key == "retry_delay"_L1) {
            const auto delay = secondsFrom(value);
            if (!delay || *delay > MaximumTimeout)
                return fail(
                    u"%1 has the value \"%2\", which is not a number of seconds from 0 to 2147483.647 with up to "
                    "three decimals"_s.arg(place, value));
            m_parameters.setRetryDelay(*delay);
        } else if (key == "backpressure_detection"_L1) {
            if (value != "t"_L1 && value != "f"_L1)
                return fail(u"%1 has the value \"%2\", which is neither \"t\" nor \"f\""_s.arg(place, value));
            m_detectsBackpressure = value == "t"_L1;
        } else if (key == "backpressure_multiplier"_L1) {
            if (const auto multiplier = number(0, std::numeric_limits<int>::max()))
                m_multiplier = int(*multiplier);
        } else if (key == "auth_mechanism"_L1) {
            m_mechanisms += value.toUpper();
            if (const QString problem = ConnectionParametersPrivate::mechanismProblem(m_mechanisms); !problem.isEmpty())
                fail(u"%1 is invalid: %2"_s.arg(place, problem));
        } else if (key == "name"_L1) {
            m_parameters.setConnectionName(value);
        } else {
            fail(place + " is unknown"_L1);
        }
    }

    static bool isTlsKey(const QString &key)
    {
        return key == "cacertfile"_L1 || key == "certfile"_L1 || key == "keyfile"_L1 || key == "verify"_L1 ||
               key == "server_name_indication"_L1;
    }

    void readTlsItem(const QString &key, const QString &value, const QString &place)
    {
        Endpoint endpoint = m_parameters.endpoints().constFirst();
        if (!endpoint.encrypted)
            return fail(place + " requires the scheme \"amqps\""_L1);
        if (value.isEmpty())
            return fail(place + " has no value"_L1);
        if (key == "cacertfile"_L1) {
            m_parameters.trustOnly(value);
        } else if (key == "certfile"_L1) {
            m_certificateFile = value;
        } else if (key == "keyfile"_L1) {
            m_keyFile = value;
        } else if (key == "verify"_L1) {
            if (value != "verify_peer"_L1 && value != "verify_none"_L1)
                return fail(u"%1 has the value \"%2\", which is neither \"verify_peer\" nor \"verify_none\""_s.arg(
                    place, value));
            if (value == "verify_none"_L1) {
                QSslConfiguration configuration = m_parameters.sslConfiguration();
                configuration.setPeerVerifyMode(QSslSocket::VerifyNone);
                m_parameters.setSslConfiguration(configuration);
            }
        } else if (value == "disable"_L1) {
            fail(place + " has the value \"disable\", which is not supported; the name is needed for verification"_L1);
        } else if (const QString problem = hostProblem(value); !problem.isEmpty()) {
            fail(u"%1 has an invalid value: %2"_s.arg(place, problem));
        } else {
            endpoint.peerName = value;
            m_parameters.setEndpoints({endpoint});
        }
    }

    void setClientCertificate() // whose keys may come in either order
    {
        if (!m_certificateFile.isEmpty())
            m_parameters.setClientCertificate(m_certificateFile, m_keyFile);
        else if (!m_keyFile.isEmpty())
            fail(u"the query key \"keyfile\" requires \"certfile\""_s);
    }

    void readFragment()
    {
        if (m_url.hasFragment())
            failUnencoded(u"a fragment (\"#\") is not supported"_s);
    }

    const QUrl &m_url;
    ConnectionParameters m_parameters;
    std::optional<bool> m_detectsBackpressure;
    std::optional<int> m_multiplier;
    QString m_certificateFile;
    QString m_keyFile;
    QStringList m_mechanisms;
    Error m_error;
};

} // namespace

/*!
    Reads \a url, which has the form \c{amqp://user:password@host:port/vhost?key=value&key=value}. Every part but the
    scheme is optional and has a default.

    \list
    \li The path is the virtual host. An absent or empty one is \c /, and a \c / within its name is written as \c %2F,
        so that \c{amqp://host/%2F} is \c / too. (setVirtualHost() can set a virtual host whose name is the empty
        string.)
    \li A user name without a password has the empty password, see setCredentials(). The exception is \c guest: on this
        machine it has its default password, for other hosts the password is required.
    \li The query knows \c heartbeat (seconds, 0 to 65535), \c connection_timeout (milliseconds, 1 to 2147483647),
        \c channel_max (0 to 65535), \c frame_max (bytes, 0 or 8192 to 4294967295), \c initial_frame_max (bytes, 0 or
        4096 to 4294967295, see setMaximumInitialFrameSize()), \c blocked_connection_timeout (seconds, 0 to 2147483),
        \c connection_attempts (1 to 2147483647), \c retry_delay (seconds with up to three decimals, 0 to 2147483.647),
        \c backpressure_detection (\c t or \c f; \c t means a multiplier of 10), \c backpressure_multiplier (0 to
        2147483647), \c name (connectionName()) and \c auth_mechanism (\c plain, \c amqplain, \c external or
        \c anonymous in upper or lower case, see setMechanismNames(); several of these keys list mechanisms in order of
        preference).
    \li With the scheme \c amqps the connection uses TLS, and the default port is 5671. The query then also knows
        \c cacertfile (trustOnly()), \c certfile and \c keyfile (setClientCertificate()), \c server_name_indication
        (Endpoint::peerName) and \c verify: \c verify_peer, the default, verifies the certificate of the broker,
        \c verify_none does not, see setSslConfiguration().
    \endlist

    Everything is percent-encoded UTF-8 and decoded once. In a user name, a password and a virtual host \c{#}, \c{/},
    \c{?} and \c{@} are written as \c{%23}, \c{%2F}, \c{%3F} and \c{%40}; QUrl::toPercentEncoding() does that. An
    invalid URL, another scheme, invalid UTF-8, NUL characters, a second \c / in the path, port 0, an unknown or
    repeated query key, a key for TLS with the scheme \c amqp, a value out of its range and a fragment give an
    ErrorKind::InvalidArgument whose text names the place, and never shows the password.
*/
Result<ConnectionParameters> ConnectionParameters::fromUrl(const QUrl &url)
{
    return UrlReader(url).read();
}

static QStringList tlsQuery(const TlsOptions &options, const Endpoint &endpoint)
{
    QStringList query;
    const auto add = [&query](QLatin1StringView key, const QString &value) {
        query += key + u'=' + QString::fromLatin1(QUrl::toPercentEncoding(value));
    };
    if (!options.trustsSystem && options.authorityFiles.size() == 1)
        add("cacertfile"_L1, options.authorityFiles.constFirst());
    if (!options.certificateFile.isEmpty() && !options.isPkcs12)
        add("certfile"_L1, options.certificateFile);
    if (!options.keyFile.isEmpty())
        add("keyfile"_L1, options.keyFile);
    if (options.configuration && options.configuration->peerVerifyMode() == QSslSocket::VerifyNone)
        add("verify"_L1, u"verify_none"_s);
    if (!endpoint.peerName.isEmpty())
        add("server_name_indication"_L1, endpoint.peerName);
    return query;
}

/*!
    Returns these parameters as a URL without the password, suitable for display, logs and fromUrl(). It contains the
    first endpoint, and the query keys whose values differ from the defaults. A user name is left out if it and the
    password are the defaults.

    It does not contain the password, further endpoints, the proxy, client properties, limits without a query key, a
    virtual host whose name is empty, or settings for TLS other than those that fromUrl() reads. If authorityFiles() has
    one file and the authorities of the system are not trusted, it is the value of \c cacertfile.
*/
QUrl ConnectionParameters::toUrl() const
{
    const ConnectionParameters defaults;
    const Endpoint endpoint = endpoints().constFirst();

    QUrl url;
    url.setScheme(endpoint.encrypted ? u"amqps"_s : u"amqp"_s);
    url.setHost(endpoint.host, QUrl::DecodedMode);
    if (endpoint.effectivePort() != Endpoint{.encrypted = endpoint.encrypted}.effectivePort())
        url.setPort(endpoint.port);
    if (userName() != defaults.userName() || d->password != defaults.d->password)
        url.setUserName(userName(), QUrl::DecodedMode);
    url.setPath(u'/' + QString::fromLatin1(QUrl::toPercentEncoding(virtualHost())), QUrl::TolerantMode);

    QStringList query;
    if (heartbeatInterval() != defaults.heartbeatInterval())
        query += u"heartbeat=%1"_s.arg(heartbeatInterval().count());
    if (connectTimeout() != defaults.connectTimeout())
        query += u"connection_timeout=%1"_s.arg(connectTimeout().count());
    if (maximumChannels() != defaults.maximumChannels())
        query += u"channel_max=%1"_s.arg(maximumChannels());
    if (maximumFrameSize() != defaults.maximumFrameSize())
        query += u"frame_max=%1"_s.arg(maximumFrameSize());
    if (maximumInitialFrameSize() != defaults.maximumInitialFrameSize())
        query += u"initial_frame_max=%1"_s.arg(maximumInitialFrameSize());
    if (blockedTimeout() != defaults.blockedTimeout()) // in whole seconds, rounded up
        query +=
            u"blocked_connection_timeout=%1"_s.arg(std::chrono::ceil<std::chrono::seconds>(blockedTimeout()).count());
    if (connectionAttempts() != defaults.connectionAttempts())
        query += u"connection_attempts=%1"_s.arg(connectionAttempts());
    if (retryDelay() != defaults.retryDelay())
        query += "retry_delay="_L1 + secondsText(retryDelay());
    if (backpressureMultiplier() == DefaultBackpressureMultiplier)
        query += u"backpressure_detection=t"_s;
    else if (backpressureMultiplier() != defaults.backpressureMultiplier())
        query += u"backpressure_multiplier=%1"_s.arg(backpressureMultiplier());
    if (endpoint.encrypted)
        query += tlsQuery(d->tls, endpoint);
    if (connectionName() != defaults.connectionName())
        query += "name="_L1 + QString::fromLatin1(QUrl::toPercentEncoding(connectionName()));
    if (d->ownMechanisms.isEmpty() && mechanismNames() != defaults.mechanismNames()) {
        for (const QString &name : mechanismNames())
            query += "auth_mechanism="_L1 + name.toLower();
    }
    if (!query.isEmpty())
        url.setQuery(query.join(u'&'), QUrl::TolerantMode);
    return url;
}

} // namespace AmqpQt
