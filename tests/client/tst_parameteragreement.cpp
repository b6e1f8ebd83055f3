// SPDX-License-Identifier: MIT
#include <AmqpQt/connectionparameters.h>

#include <QtCore/qfile.h>
#include <QtCore/qregularexpression.h>
#include <QtCore/qset.h>
#include <QtNetwork/qnetworkproxy.h>
#include <QtNetwork/qsslconfiguration.h>
#include <QtNetwork/qsslsocket.h>
#include <QtTest/qtest.h>

#include <functional>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

namespace
{

using Setup = std::function<void(ConnectionParameters &)>;

struct Case {
    QString url; // as toUrl() returns it, apart from the password
    QString setter;
    Setup setUp;
};

// Every part of a URL and every query key, and the setter that has the same effect.
QList<Case> cases()
{
    const QString plain = u"amqp://h/%2F"_s;
    const QString encrypted = u"amqps://h/%2F"_s;
    const auto encrypt = [](ConnectionParameters &p) { p.setEndpoints({{u"h"_s, 0, true}}); };
    const auto key = [=](const QString &query, const QString &setter, const Setup &setUp) {
        return Case{plain + u'?' + query, setter, [=](ConnectionParameters &p) {
                        p.setEndpoints({{u"h"_s}});
                        setUp(p);
                    }};
    };
    const auto tlsKey = [=](const QString &query, const QString &setter, const Setup &setUp) {
        return Case{encrypted + u'?' + query, setter, [=](ConnectionParameters &p) {
                        encrypt(p);
                        setUp(p);
                    }};
    };
    return {
        {u"amqp://other.example:5673/%2F"_s, u"setEndpoints"_s,
         [](auto &p) {
             p.setEndpoints({{u"other.example"_s, 5673}});
         }},
        {encrypted, u"setEndpoints"_s, encrypt},
        {u"amqps://h:5672/%2F"_s, u"setEndpoints"_s,
         [](auto &p) {
             p.setEndpoints({{u"h"_s, 5672, true}});
         }},
        {u"amqp://localhost/orders%2F%20%25"_s, u"setVirtualHost"_s, [](auto &p) { p.setVirtualHost(u"orders/ %"_s); }},
        {u"amqp://us%40r:p%3Aw@localhost/%2F"_s, u"setCredentials"_s,
         [](auto &p) { p.setCredentials(u"us@r"_s, u"p:w"_s); }},
        key(u"heartbeat=7"_s, u"setHeartbeatInterval"_s, [](auto &p) { p.setHeartbeatInterval(7s); }),
        key(u"connection_timeout=2500"_s, u"setConnectTimeout"_s, [](auto &p) { p.setConnectTimeout(2500ms); }),
        key(u"channel_max=12"_s, u"setMaximumChannels"_s, [](auto &p) { p.setMaximumChannels(12); }),
        key(u"frame_max=65536"_s, u"setMaximumFrameSize"_s, [](auto &p) { p.setMaximumFrameSize(65536); }),
        key(u"initial_frame_max=16384"_s, u"setMaximumInitialFrameSize"_s,
            [](auto &p) { p.setMaximumInitialFrameSize(16384); }),
        key(u"blocked_connection_timeout=90"_s, u"setBlockedTimeout"_s, [](auto &p) { p.setBlockedTimeout(90s); }),
        key(u"connection_attempts=3"_s, u"setConnectionAttempts"_s, [](auto &p) { p.setConnectionAttempts(3); }),
        key(u"retry_delay=0.25"_s, u"setRetryDelay"_s, [](auto &p) { p.setRetryDelay(250ms); }),
        key(u"backpressure_detection=t"_s, u"setBackpressureMultiplier"_s,
            [](auto &p) { p.setBackpressureMultiplier(10); }),
        key(u"backpressure_multiplier=4"_s, u"setBackpressureMultiplier"_s,
            [](auto &p) { p.setBackpressureMultiplier(4); }),
        key(u"name=a%20%26%20b"_s, u"setConnectionName"_s, [](auto &p) { p.setConnectionName(u"a & b"_s); }),
        key(u"auth_mechanism=amqplain&auth_mechanism=plain"_s, u"setMechanismNames"_s,
            [](auto &p) {
                p.setMechanismNames({u"AMQPLAIN"_s, u"PLAIN"_s});
            }),
        key(u"auth_mechanism=anonymous"_s, u"setAnonymousAuthentication"_s,
            [](auto &p) { p.setAnonymousAuthentication(); }),
        tlsKey(u"auth_mechanism=external"_s, u"setExternalAuthentication"_s,
               [](auto &p) { p.setExternalAuthentication(); }),
        tlsKey(u"cacertfile=%2Fetc%2Fca%20%26.pem"_s, u"trustOnly"_s, [](auto &p) { p.trustOnly(u"/etc/ca &.pem"_s); }),
        tlsKey(u"certfile=c.pem"_s, u"setClientCertificate"_s, [](auto &p) { p.setClientCertificate(u"c.pem"_s); }),
        tlsKey(u"certfile=c.pem&keyfile=c.key"_s, u"setClientCertificate"_s,
               [](auto &p) { p.setClientCertificate(u"c.pem"_s, u"c.key"_s); }),
        tlsKey(u"verify=verify_none"_s, u"setSslConfiguration"_s,
               [](auto &p) {
                   QSslConfiguration configuration = p.sslConfiguration();
                   configuration.setPeerVerifyMode(QSslSocket::VerifyNone);
                   p.setSslConfiguration(configuration);
               }),
        tlsKey(u"server_name_indication=other.example"_s, u"setEndpoints"_s,
               [](auto &p) {
                   p.setEndpoints({{u"h"_s, 0, true, u"other.example"_s}});
               }),
    };
}

const QSet<QString> SettersWithoutKey{
    u"setShuffleEndpoints"_s, u"setProxy"_s,        u"setMechanisms"_s,         u"setEraseOnConnect"_s,
    u"trustAlso"_s,           u"setClientPkcs12"_s, u"setTlsRequired"_s,        u"setClientProperties"_s,
    u"setReplyTimeout"_s,     u"setWriteBuffer"_s,  u"setMaximumMessageSize"_s, u"setDispatchBudget"_s,
    u"setChecksUserId"_s,     u"setCloseTimeout"_s, u"setRecoveryPolicy"_s,
};

QString textOf(const QString &value)
{
    return value;
}

QString textOf(const QStringList &value)
{
    return value.join(u'|');
}

template <typename Number, std::enable_if_t<std::is_arithmetic_v<Number>, int> = 0>
QString textOf(Number value)
{
    return QString::number(qint64(value));
}

template <typename Count, typename Period>
QString textOf(std::chrono::duration<Count, Period> value)
{
    return QString::number(std::chrono::milliseconds(value).count());
}

QString textOf(const QList<Endpoint> &value)
{
    QStringList texts;
    for (const Endpoint &endpoint : value)
        texts += endpoint.toString() + u' ' + endpoint.effectivePeerName();
    return textOf(texts);
}

QString textOf(const QNetworkProxy &value)
{
    return u"%1 %2:%3"_s.arg(value.type()).arg(value.hostName()).arg(value.port());
}

QString textOf(const QSslConfiguration &value)
{
    return u"%1 %2 %3"_s.arg(value.protocol())
        .arg(value.peerVerifyMode())
        .arg(value == ConnectionParameters().sslConfiguration());
}

QString textOf(const FieldTable &value)
{
    return textOf(QStringList(value.keys()));
}

// The value of each getter.
QMap<QString, QString> valuesOf(const ConnectionParameters &p)
{
    return {
        {u"endpoints"_s, textOf(p.endpoints())},
        {u"shuffleEndpoints"_s, textOf(p.shuffleEndpoints())},
        {u"connectionAttempts"_s, textOf(p.connectionAttempts())},
        {u"retryDelay"_s, textOf(p.retryDelay())},
        {u"proxy"_s, textOf(p.proxy())},
        {u"virtualHost"_s, textOf(p.virtualHost())},
        {u"userName"_s, textOf(p.userName())},
        {u"password"_s, textOf(p.password())},
        {u"mechanismNames"_s, textOf(p.mechanismNames())},
        {u"eraseOnConnect"_s, textOf(p.eraseOnConnect())},
        {u"sslConfiguration"_s, textOf(p.sslConfiguration())},
        {u"authorityFiles"_s, textOf(p.authorityFiles())},
        {u"trustsSystemAuthorities"_s, textOf(p.trustsSystemAuthorities())},
        {u"clientCertificateFile"_s, textOf(p.clientCertificateFile())},
        {u"clientKeyFile"_s, textOf(p.clientKeyFile())},
        {u"isTlsRequired"_s, textOf(p.isTlsRequired())},
        {u"connectionName"_s, textOf(p.connectionName())},
        {u"clientProperties"_s, textOf(p.clientProperties())},
        {u"heartbeatInterval"_s, textOf(p.heartbeatInterval())},
        {u"connectTimeout"_s, textOf(p.connectTimeout())},
        {u"replyTimeout"_s, textOf(p.replyTimeout())},
        {u"maximumFrameSize"_s, textOf(p.maximumFrameSize())},
        {u"maximumInitialFrameSize"_s, textOf(p.maximumInitialFrameSize())},
        {u"maximumChannels"_s, textOf(p.maximumChannels())},
        {u"maximumMessageSize"_s, textOf(p.maximumMessageSize())},
        {u"lowWatermark"_s, textOf(p.lowWatermark())},
        {u"highWatermark"_s, textOf(p.highWatermark())},
        {u"bufferLimit"_s, textOf(p.bufferLimit())},
        {u"dispatchBudget"_s, textOf(p.dispatchBudget())},
        {u"checksUserId"_s, textOf(p.checksUserId())},
        {u"backpressureMultiplier"_s, textOf(p.backpressureMultiplier())},
        {u"blockedTimeout"_s, textOf(p.blockedTimeout())},
        {u"closeTimeout"_s, textOf(p.closeTimeout())},
        {u"recoveryPolicy"_s, textOf(p.recoveryPolicy() == RecoveryPolicy())}, // whether it is the default
    };
}

QString contentsOf(const QString &name)
{
    QFile file(QStringLiteral(AMQPQT_SOURCE_DIR "/") + name);
    return file.open(QIODevice::ReadOnly) ? QString::fromUtf8(file.readAll()) : QString();
}

QString declarationOfTheClass()
{
    return contentsOf(u"include/AmqpQt/connectionparameters.h"_s).section(u"AMQPQT_EXPORT ConnectionParameters\n"_s, 1);
}

// The texts that the first group of the pattern matches.
QStringList sortedMatches(const QString &text, const QString &pattern)
{
    QSet<QString> found;
    const QRegularExpression expression(pattern, QRegularExpression::MultilineOption);
    for (const QRegularExpressionMatch &match : expression.globalMatch(text))
        found.insert(match.captured(1));
    QStringList result = found.values();
    result.sort();
    return result;
}

} // namespace

Q_DECLARE_METATYPE(Setup)

// Parameters are the same, whether a URL, the text of an endpoint or setters have set them.
class tst_ParameterAgreement : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void urlAndSettersAgree_data();
    void urlAndSettersAgree();
    void endpointTextUrlAndSetterAgree_data();
    void endpointTextUrlAndSetterAgree();
    void everyKeyHasACase();
    void everySetterHasACaseOrNoKey();
    void everyGetterIsCompared();
};

void tst_ParameterAgreement::urlAndSettersAgree_data()
{
    QTest::addColumn<QUrl>("url");
    QTest::addColumn<Setup>("setUp");
    for (const Case &theCase : cases())
        QTest::newRow(qPrintable(theCase.url)) << QUrl(theCase.url) << theCase.setUp;
}

void tst_ParameterAgreement::urlAndSettersAgree()
{
    QFETCH(const QUrl, url);
    QFETCH(const Setup, setUp);
    ConnectionParameters set;
    setUp(set);
    QVERIFY2(!set.error().isError(), qPrintable(set.error().text()));
    const auto read = ConnectionParameters::fromUrl(url);
    QVERIFY2(read, qPrintable(read.error().text()));
    QCOMPARE(valuesOf(*read), valuesOf(set));
    QVERIFY(valuesOf(set) != valuesOf(ConnectionParameters()));
    if (url.hasQuery())
        QVERIFY(valuesOf(set) != valuesOf(*ConnectionParameters::fromUrl(url.adjusted(QUrl::RemoveQuery))));
    const QString shown = url.adjusted(QUrl::RemovePassword).toString(QUrl::FullyEncoded);
    QCOMPARE(set.toUrl().toString(QUrl::FullyEncoded), shown);
    QCOMPARE(read->toUrl().toString(QUrl::FullyEncoded), shown);
}

void tst_ParameterAgreement::endpointTextUrlAndSetterAgree_data()
{
    QTest::addColumn<QString>("text");
    QTest::addColumn<QString>("url");
    QTest::addColumn<QString>("host");
    QTest::addColumn<int>("port");
    QTest::addColumn<bool>("encrypted");
    const auto row = [](const char *text, const char *url, const char *host, int port, bool encrypted) {
        QTest::newRow(text) << QString::fromLatin1(text) << QString::fromLatin1(url) << QString::fromLatin1(host)
                            << port << encrypted;
    };
    row("h", "amqp://h", "h", 0, false);
    row("h:5673", "amqp://h:5673", "h", 5673, false);
    row("amqp://h:1", "amqp://h:1", "h", 1, false);
    row("amqps://h", "amqps://h", "h", 0, true);
    row("amqps://h:65535", "amqps://h:65535", "h", 65535, true);
    row("192.0.2.1:5673", "amqp://192.0.2.1:5673", "192.0.2.1", 5673, false);
    row("::1", "amqp://[::1]", "::1", 0, false);
    row("[::1]", "amqp://[::1]", "::1", 0, false);
    row("[::1]:5673", "amqp://[::1]:5673", "::1", 5673, false);
    row("amqps://[::1]:5673", "amqps://[::1]:5673", "::1", 5673, true);
    row("[fe80::1%eth0]:5673", "amqp://[fe80::1%25eth0]:5673", "fe80::1%eth0", 5673, false);
}

void tst_ParameterAgreement::endpointTextUrlAndSetterAgree()
{
    QFETCH(const QString, text);
    QFETCH(const QString, url);
    QFETCH(const QString, host);
    QFETCH(const int, port);
    QFETCH(const bool, encrypted);
    const Endpoint endpoint{host, quint16(port), encrypted};
    ConnectionParameters set;
    set.setEndpoints({endpoint});
    QVERIFY2(!set.error().isError(), qPrintable(set.error().text()));
    const auto fromUrl = ConnectionParameters::fromUrl(QUrl(url));
    QVERIFY2(fromUrl, qPrintable(fromUrl.error().text()));
    for (const QString &written : {text, endpoint.toString()}) {
        const auto fromString = Endpoint::fromString(written);
        QVERIFY2(fromString, qPrintable(fromString.error().text()));
        ConnectionParameters read;
        read.setEndpoints({*fromString});
        QCOMPARE(valuesOf(read), valuesOf(set));
        QCOMPARE(valuesOf(read), valuesOf(*fromUrl));
        QCOMPARE(read.toUrl(), fromUrl->toUrl());
    }
}

void tst_ParameterAgreement::everyKeyHasACase()
{
    const QString source = contentsOf(u"src/client/connection/connectionurl.cpp"_s);
    const QStringList keys = sortedMatches(source, u"\\bkey == \"(\\w+)\"_L1"_s);
    QVERIFY(keys.contains(u"heartbeat"_s));
    QString queries;
    for (const Case &theCase : cases())
        queries += u'\n' + QUrl(theCase.url).query(QUrl::FullyEncoded).replace(u'&', u'\n');
    QCOMPARE(sortedMatches(queries, u"^(\\w+)="_s), keys);
    for (const QString &key : keys)
        QVERIFY2(source.contains(u"\\c "_s + key), qPrintable(key)); // in the documentation of fromUrl()
}

void tst_ParameterAgreement::everySetterHasACaseOrNoKey()
{
    QSet<QString> setters = SettersWithoutKey;
    for (const Case &theCase : cases()) {
        QVERIFY2(!SettersWithoutKey.contains(theCase.setter), qPrintable(theCase.setter));
        setters.insert(theCase.setter);
    }
    QStringList sorted = setters.values();
    sorted.sort();
    QCOMPARE(sortedMatches(declarationOfTheClass(), u"void\\s+((?:set|trust)\\w+)\\("_s), sorted);
}

void tst_ParameterAgreement::everyGetterIsCompared()
{
    QStringList getters = sortedMatches(declarationOfTheClass(), u"(\\w+)\\(\\) const;"_s);
    QCOMPARE(getters.removeAll(u"toUrl"_s), 1);
    QCOMPARE(getters.removeAll(u"error"_s), 1);
    QCOMPARE(valuesOf(ConnectionParameters()).keys(), getters);
}

QTEST_APPLESS_MAIN(tst_ParameterAgreement)
#include "tst_parameteragreement.moc"
