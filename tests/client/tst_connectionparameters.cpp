// SPDX-License-Identifier: MIT
#include <AmqpQt/connectionparameters.h>
#include <AmqpQt/saslmechanism.h>

#include "base/secret_p.h"

#include <QtCore/qregularexpression.h>
#include <QtCore/qscopeguard.h>
#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

class tst_ConnectionParameters : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void endpointReadsItsOwnText();
    void defaultsAreDocumented();
    void copiesAreIndependent();

    void urlNamesBrokerAndLogin_data();
    void urlNamesBrokerAndLogin();
    void urlQuerySetsLimits();
    void urlQueryDecodesTheConnectionName();
    void urlAndSettersChooseTheSameMechanisms_data();
    void urlAndSettersChooseTheSameMechanisms();
    void theLastSetterChoosesTheMechanisms();
    void badMechanismsAreRejected();
    void badUrlIsRejectedByPlace_data();
    void badUrlIsRejectedByPlace();
    void urlErrorsNeverShowThePassword_data();
    void urlErrorsNeverShowThePassword();
    void noPartOfAPasswordIsEverShown_data();
    void noPartOfAPasswordIsEverShown();
    void rawCharactersAreNamedWithTheirEncoding_data();
    void rawCharactersAreNamedWithTheirEncoding();
    void guestNeedsAPasswordAwayFromThisMachine_data();
    void guestNeedsAPasswordAwayFromThisMachine();

    void urlOfParametersComesBack_data();
    void urlOfParametersComesBack();
    void urlOfParametersHasNoPassword();
    void urlOfParametersHasOnlyWhatDiffers();
    void userNameOfOddCharactersComesBack();

    void endpointIsReadFromText_data();
    void endpointIsReadFromText();
    void badEndpointIsRejectedWithReason_data();
    void badEndpointIsRejectedWithReason();
    void zonesComeBack_data();
    void zonesComeBack();
    void endpointsWithoutHostAreRejected();

    void valuesInRangeAreAccepted();
    void valuesOutOfRangeChangeNothing();
    void recoveryPolicyIsCheckedAsAWhole_data();
    void recoveryPolicyIsCheckedAsAWhole();
    void smallFrameSizesAreRaised();
    void writeBufferLimitsAscend();
    void credentialsWithoutNul();
    void virtualHostFitsAShortString();
    void clientPropertiesMustBeSendable();

    void wipedBytesAreZero();
    void secretCopiesShareNothing();
    void secretPrintsAsStars();
};

void tst_ConnectionParameters::defaultsAreDocumented()
{
    const ConnectionParameters parameters;
    QCOMPARE(parameters.endpoints().size(), 1);
    QCOMPARE(parameters.endpoints().constFirst().host, u"localhost"_s);
    QCOMPARE(parameters.endpoints().constFirst().effectivePort(), quint16(5672));
    QVERIFY(!parameters.endpoints().constFirst().encrypted);
    QCOMPARE(parameters.endpoints().constFirst().effectivePeerName(), u"localhost"_s);
    QCOMPARE(parameters.virtualHost(), u"/"_s);
    QCOMPARE(parameters.userName(), u"guest"_s);
    QCOMPARE(parameters.password(), u"guest"_s);
    QCOMPARE(parameters.connectionName(), QString());
    QVERIFY(parameters.clientProperties().isEmpty());
    QCOMPARE(parameters.heartbeatInterval(), 60s);
    QCOMPARE(parameters.connectTimeout(), 15s);
    QCOMPARE(parameters.replyTimeout(), 30s);
    QCOMPARE(parameters.closeTimeout(), 5s);
    QCOMPARE(parameters.dispatchBudget(), 4ms);
    QCOMPARE(parameters.maximumFrameSize(), 131072u);
    QCOMPARE(parameters.maximumChannels(), quint16(2047));
    QCOMPARE(parameters.maximumMessageSize(), 128 * 1024 * 1024);
    QCOMPARE(parameters.lowWatermark(), 1024 * 1024);
    QCOMPARE(parameters.highWatermark(), 4 * 1024 * 1024);
    QCOMPARE(parameters.bufferLimit(), 128 * 1024 * 1024);
    QVERIFY(parameters.recoveryPolicy().enabled);
    QVERIFY(parameters.recoveryPolicy().topology);
    QCOMPARE(parameters.recoveryPolicy().maximumAttempts, 0);
    QCOMPARE(parameters.recoveryPolicy().initialDelay, 1s);
    QCOMPARE(parameters.recoveryPolicy().maximumDelay, 30s);
    QCOMPARE(parameters.recoveryPolicy().factor, 2.0);
    QCOMPARE(parameters.recoveryPolicy().calmAfter, 5s);
    QCOMPARE(parameters.recoveryPolicy().onMismatch, RecoveryPolicy::Mismatch::SkipAndReport);
    QCOMPARE(parameters.recoveryPolicy().onMissing, RecoveryPolicy::Missing::SkipAndReport);
}

void tst_ConnectionParameters::copiesAreIndependent()
{
    ConnectionParameters a;
    ConnectionParameters b = a;
    b.setVirtualHost(u"b"_s);
    b.setCredentials(u"user"_s, u"password"_s);
    QCOMPARE(a.virtualHost(), u"/"_s);
    QCOMPARE(a.password(), u"guest"_s);
    a.swap(b);
    QCOMPARE(a.virtualHost(), u"b"_s);
    QCOMPARE(a.password(), u"password"_s);
    QCOMPARE(b.password(), u"guest"_s);
}

void tst_ConnectionParameters::urlNamesBrokerAndLogin_data()
{
    QTest::addColumn<QString>("url");
    QTest::addColumn<QString>("host");
    QTest::addColumn<int>("port");
    QTest::addColumn<QString>("virtualHost");
    QTest::addColumn<QString>("userName");
    QTest::addColumn<QString>("password");

    const auto row = [](const char *url, const QString &host, int port, const QString &virtualHost,
                        const QString &userName = u"guest"_s, const QString &password = u"guest"_s) {
        QTest::newRow(url) << QString::fromUtf8(url) << host << port << virtualHost << userName << password;
    };
    row("amqp://", u"localhost"_s, 5672, u"/"_s);
    row("amqp:///", u"localhost"_s, 5672, u"/"_s);
    row("amqp:///orders", u"localhost"_s, 5672, u"orders"_s);
    row("amqp://:5673", u"localhost"_s, 5673, u"/"_s);
    row("amqp://broker.example", u"broker.example"_s, 5672, u"/"_s);
    row("amqp://broker.example:", u"broker.example"_s, 5672, u"/"_s);
    row("AMQP://Broker.Example/Orders", u"broker.example"_s, 5672, u"Orders"_s);
    row("amqp://my_broker", u"my_broker"_s, 5672, u"/"_s);
    row("amqp://h:65535", u"h"_s, 65535, u"/"_s);
    row("amqp://192.0.2.1", u"192.0.2.1"_s, 5672, u"/"_s);
    row("amqp://[::1]", u"::1"_s, 5672, u"/"_s);
    row("amqp://[2001:db8::7]:5673/x", u"2001:db8::7"_s, 5673, u"x"_s);
    row("amqp://[fe80::1%25eth0]", u"fe80::1%eth0"_s, 5672, u"/"_s);

    row("amqp://h/", u"h"_s, 5672, u"/"_s);
    row("amqp://h?", u"h"_s, 5672, u"/"_s);
    row("amqp://h/%2F", u"h"_s, 5672, u"/"_s);
    row("amqp://h/%2f", u"h"_s, 5672, u"/"_s);
    row("amqp://h/%252F", u"h"_s, 5672, u"%2F"_s);
    row("amqp://h/a%2Fb%2F", u"h"_s, 5672, u"a/b/"_s);
    row("amqp://h/%3F%23%26%20%2B+", u"h"_s, 5672, u"?#& ++"_s);
    row("amqp://h/\u043E%D1%87 \u961F", u"h"_s, 5672, u"\u043E\u0447 \u961F"_s);
    row("amqp://h/..", u"h"_s, 5672, u".."_s);

    row("amqp://u:p@h", u"h"_s, 5672, u"/"_s, u"u"_s, u"p"_s);
    row("amqp://u@h", u"h"_s, 5672, u"/"_s, u"u"_s, QString());
    row("amqp://u:@h", u"h"_s, 5672, u"/"_s, u"u"_s, QString());
    row("amqp://guest:@h", u"h"_s, 5672, u"/"_s, u"guest"_s, QString());
    row("amqp://u:p@/v", u"localhost"_s, 5672, u"v"_s, u"u"_s, u"p"_s);
    row("amqp://a%40b:c%40d@h", u"h"_s, 5672, u"/"_s, u"a@b"_s, u"c@d"_s);
    row("amqp://a%3Ab:c%3Ad@h", u"h"_s, 5672, u"/"_s, u"a:b"_s, u"c:d"_s);
    row("amqp://a:b:c@h", u"h"_s, 5672, u"/"_s, u"a"_s, u"b:c"_s);
    row("amqp://a%2Fb:c%2Fd@h", u"h"_s, 5672, u"/"_s, u"a/b"_s, u"c/d"_s);
    row("amqp://a%25b:c%25d@h", u"h"_s, 5672, u"/"_s, u"a%b"_s, u"c%d"_s);
    row("amqp://a%2540:c%252F@h", u"h"_s, 5672, u"/"_s, u"a%40"_s, u"c%2F"_s);
    row("amqp://a+b:c+d@h", u"h"_s, 5672, u"/"_s, u"a+b"_s, u"c+d"_s);
    row("amqp://a%20b:%5B%5D%7B%7D%22%3C@h", u"h"_s, 5672, u"/"_s, u"a b"_s, u"[]{}\"<"_s);
    row("amqp://\u00FC:\u043F\u0430\u0440\u043E\u043B\u044C@h", u"h"_s, 5672, u"/"_s, u"\u00FC"_s,
        u"\u043F\u0430\u0440\u043E\u043B\u044C"_s);
    row("amqp://%C3%BC:%E5%AF%86%F0%9F%94%91@h", u"h"_s, 5672, u"/"_s, u"\u00FC"_s, u"\u5BC6\U0001F511"_s);
}

void tst_ConnectionParameters::urlNamesBrokerAndLogin()
{
    QFETCH(QString, url);
    const auto parameters = ConnectionParameters::fromUrl(QUrl(url));
    QVERIFY2(parameters, qPrintable(parameters.error().toString()));
    QCOMPARE(parameters->endpoints().size(), 1);
    QTEST(parameters->endpoints().constFirst().host, "host");
    QTEST(int(parameters->endpoints().constFirst().effectivePort()), "port");
    QTEST(parameters->virtualHost(), "virtualHost");
    QTEST(parameters->userName(), "userName");
    QTEST(parameters->password(), "password");
}

void tst_ConnectionParameters::urlQuerySetsLimits()
{
    const QUrl url(u"amqp://h/v?heartbeat=0&connection_timeout=2500&channel_max=12&frame_max=8192&"
                   "initial_frame_max=4096&name=n"_s);
    const auto parameters = ConnectionParameters::fromUrl(url);
    QVERIFY2(parameters, qPrintable(parameters.error().toString()));
    QCOMPARE(parameters->heartbeatInterval(), 0s);
    QCOMPARE(parameters->connectTimeout(), 2500ms);
    QCOMPARE(parameters->maximumChannels(), quint16(12));
    QCOMPARE(parameters->maximumFrameSize(), 8192u);
    QCOMPARE(parameters->maximumInitialFrameSize(), 4096u);
    QCOMPARE(parameters->connectionName(), u"n"_s);

    const QUrl limits(u"amqp://h?heartbeat=65535&connection_timeout=2147483647&channel_max=0&frame_max=0&"
                      "initial_frame_max=4294967295&name="_s);
    const auto extreme = ConnectionParameters::fromUrl(limits);
    QVERIFY2(extreme, qPrintable(extreme.error().toString()));
    QCOMPARE(extreme->heartbeatInterval(), 65535s);
    QCOMPARE(extreme->connectTimeout(), 2147483647ms);
    QCOMPARE(extreme->maximumChannels(), quint16(0));
    QCOMPARE(extreme->maximumFrameSize(), 0u);
    QCOMPARE(extreme->maximumInitialFrameSize(), 4294967295u);
    QCOMPARE(extreme->connectionName(), QString());
}

void tst_ConnectionParameters::urlAndSettersChooseTheSameMechanisms_data()
{
    QTest::addColumn<QString>("query");
    QTest::addColumn<QStringList>("names");
    QTest::addColumn<QString>("comesBack");
    const QString external = u"auth_mechanism=external"_s;
    QTest::newRow("default") << QString() << QStringList{u"PLAIN"_s, u"AMQPLAIN"_s} << QString();
    QTest::newRow("lower case") << external << QStringList{u"EXTERNAL"_s} << external;
    QTest::newRow("upper case") << u"auth_mechanism=EXTERNAL"_s << QStringList{u"EXTERNAL"_s} << external;
    QTest::newRow("anonymous") << u"auth_mechanism=Anonymous"_s << QStringList{u"ANONYMOUS"_s}
                               << u"auth_mechanism=anonymous"_s;
    QTest::newRow("several") << u"auth_mechanism=external&heartbeat=5&auth_mechanism=plain"_s
                             << QStringList{u"EXTERNAL"_s, u"PLAIN"_s}
                             << u"heartbeat=5&auth_mechanism=external&auth_mechanism=plain"_s;
    QTest::newRow("the default, written out")
        << u"auth_mechanism=plain&auth_mechanism=amqplain"_s << QStringList{u"PLAIN"_s, u"AMQPLAIN"_s} << QString();
}

void tst_ConnectionParameters::urlAndSettersChooseTheSameMechanisms()
{
    QFETCH(const QString, query);
    QFETCH(const QStringList, names);
    QFETCH(const QString, comesBack);
    const auto parameters = ConnectionParameters::fromUrl(QUrl(u"amqp://u:p@h/?"_s + query));
    QVERIFY2(parameters, qPrintable(parameters.error().toString()));
    QCOMPARE(parameters->mechanismNames(), names);
    QCOMPARE(parameters->userName(), u"u"_s);
    ConnectionParameters set = *ConnectionParameters::fromUrl(
        QUrl(query.contains(u"heartbeat"_s) ? u"amqp://u:p@h?heartbeat=5"_s : u"amqp://u:p@h"_s));
    set.setMechanismNames(names);
    QCOMPARE(set.mechanismNames(), names);
    QCOMPARE(set.toUrl(), parameters->toUrl());
    QCOMPARE(parameters->toUrl().query(), comesBack);
}

namespace
{

class Mechanism : public SaslMechanism
{
public:
    explicit Mechanism(const QByteArray &name)
        : m_name(name)
    {
    }
    QByteArray name() const override { return m_name; }
    QByteArray initialResponse() override { return {}; }
    std::optional<QByteArray> respond(const QByteArray &) override { return std::nullopt; }

private:
    const QByteArray m_name;
};

} // namespace

void tst_ConnectionParameters::theLastSetterChoosesTheMechanisms()
{
    const QStringList password{u"PLAIN"_s, u"AMQPLAIN"_s};
    ConnectionParameters parameters;
    QCOMPARE(parameters.mechanismNames(), password);
    parameters.setExternalAuthentication();
    QCOMPARE(parameters.mechanismNames(), QStringList{u"EXTERNAL"_s});
    parameters.setAnonymousAuthentication();
    QCOMPARE(parameters.mechanismNames(), QStringList{u"ANONYMOUS"_s});
    parameters.setCredentials(u"u"_s, u"p"_s);
    QCOMPARE(parameters.mechanismNames(), password);
    parameters.setMechanismNames({u"AMQPLAIN"_s});
    parameters.setCredentials(u"u"_s, u"p"_s);
    QCOMPARE(parameters.mechanismNames(), QStringList{u"AMQPLAIN"_s}); // it sends the password, too
    parameters.setMechanisms({std::make_shared<Mechanism>("B"), std::make_shared<Mechanism>("A")});
    QCOMPARE(parameters.mechanismNames(), QStringList({u"B"_s, u"A"_s}));
    parameters.setMechanisms({});
    QCOMPARE(parameters.mechanismNames(), password);
    QVERIFY(!parameters.error().isError());
}

void tst_ConnectionParameters::badMechanismsAreRejected()
{
    const QStringList before{u"EXTERNAL"_s};
    const auto check = [&](const QString &text, const auto &set) {
        ConnectionParameters parameters;
        parameters.setExternalAuthentication();
        set(parameters);
        QCOMPARE(parameters.error().text(), text);
        QCOMPARE(parameters.mechanismNames(), before);
    };
    check(u"mechanismNames: the list is empty"_s, [](auto &p) { p.setMechanismNames({}); });
    check(u"mechanismNames: \"GSSAPI\" is not one of the SASL mechanisms PLAIN, AMQPLAIN, EXTERNAL, ANONYMOUS"_s,
          [](auto &p) {
              p.setMechanismNames({u"PLAIN"_s, u"GSSAPI"_s});
          });
    check(u"mechanismNames: the SASL mechanism \"PLAIN\" occurs twice"_s, [](auto &p) {
        p.setMechanismNames({u"PLAIN"_s, u"PLAIN"_s});
    });
    check(u"mechanisms: the list contains a null pointer"_s, [](auto &p) { p.setMechanisms({nullptr}); });
    for (const QByteArray &name : {QByteArray(), QByteArray("A B"), QByteArray("\xc3\xa4"), QByteArray(256, 'A')}) {
        check(u"mechanisms: \"%1\" is not the name of a SASL mechanism"_s.arg(QString::fromUtf8(name)),
              [&](auto &p) { p.setMechanisms({std::make_shared<Mechanism>(name)}); });
    }
    check(u"mechanisms: the mechanism \"A\" occurs twice"_s, [](auto &p) {
        p.setMechanisms({std::make_shared<Mechanism>("A"), std::make_shared<Mechanism>("A")});
    });
}

void tst_ConnectionParameters::urlQueryDecodesTheConnectionName()
{
    const auto parameters = ConnectionParameters::fromUrl(QUrl(u"amqp://h?name=a%26b%3Dc%23+d=e%2520/\u00E4"_s));
    QVERIFY2(parameters, qPrintable(parameters.error().toString()));
    QCOMPARE(parameters->connectionName(), u"a&b=c#+d=e%20/\u00E4"_s);
}

void tst_ConnectionParameters::badUrlIsRejectedByPlace_data()
{
    QTest::addColumn<QString>("url");
    QTest::addColumn<QString>("text");

    const auto row = [](const char *url, const QString &text) { QTest::newRow(url) << QString::fromUtf8(url) << text; };
    const auto badNumber = [row](const char *url, const QString &key, const QString &value, const QString &range) {
        row(url, u"invalid URL: the query key \"%1\" has the value \"%2\", which is not a whole number from %3"_s.arg(
                     key, value, range));
    };
    row("", u"invalid URL: the text is empty"_s);
    row("localhost", u"invalid URL: the scheme is missing; a URL begins with \"amqp://\" or \"amqps://\""_s);
    row("localhost:5672", u"invalid URL: the scheme \"localhost\" is neither \"amqp\" nor \"amqps\""_s);
    row("http://h", u"invalid URL: the scheme \"http\" is neither \"amqp\" nor \"amqps\""_s);
    row("amqp:orders", u"invalid URL: \"//\" is missing after \"amqp:\""_s);
    row("amqps:orders", u"invalid URL: \"//\" is missing after \"amqps:\""_s);

    row("amqp://h?auth_mechanism=gssapi",
        u"invalid URL: the query key \"auth_mechanism\" is invalid: \"GSSAPI\" is not one of the SASL mechanisms "
        "PLAIN, AMQPLAIN, EXTERNAL, ANONYMOUS"_s);
    row("amqp://h?auth_mechanism=plain&auth_mechanism=plain",
        u"invalid URL: the query key \"auth_mechanism\" is invalid: the SASL mechanism \"PLAIN\" occurs twice"_s);
    row("amqp://h:0", u"invalid URL: port 0 is out of range; the range is 1 to 65535"_s);
    row("amqp://h:65536", u"invalid URL: Invalid port or port number out of range"_s);
    row("amqp://h:x", u"invalid URL: Invalid port or port number out of range"_s);
    row("amqp://[::1", u"invalid URL: Expected ']' to match '[' in hostname"_s);
    row("amqp://[h]", u"invalid URL: Invalid IPv6 address"_s);
    row("amqp://h%00i", u"invalid URL: Invalid hostname"_s);
    row("amqp://h i", u"invalid URL: Invalid hostname"_s);

    row("amqp://:p@h", u"invalid URL: the user name is missing"_s);
    row("amqp://:@h", u"invalid URL: the user name is missing"_s);
    row("amqp://%E4@h", u"invalid URL: the user name is not valid UTF-8"_s);
    row("amqp://u%00:p@h", u"invalid URL: the user name contains a NUL character"_s);
    row("amqp://u:%FF@h", u"invalid URL: the password is not valid UTF-8"_s);
    row("amqp://u:%ED%A0%80@h", u"invalid URL: the password is not valid UTF-8"_s); // half a surrogate pair
    row("amqp://u:p%00@h", u"invalid URL: the password contains a NUL character"_s);

    row("amqp://h//", u"invalid URL: the virtual host contains a second \"/\"; write it as \"%2F\""_s);
    row("amqp://h/a/b", u"invalid URL: the virtual host contains a second \"/\"; write it as \"%2F\""_s);
    row("amqp://h/a/", u"invalid URL: the virtual host contains a second \"/\"; write it as \"%2F\""_s);
    row("amqp://h/%C3", u"invalid URL: the virtual host is not valid UTF-8"_s);
    row("amqp://h/%C0%AF", u"invalid URL: the virtual host is not valid UTF-8"_s); // an overlong "/"
    row("amqp://h/a%00", u"invalid URL: the virtual host contains a NUL character"_s);
    QTest::newRow("long virtual host") << u"amqp://h/"_s + QString(256, u'v')
                                       << u"invalid URL: the virtual host is longer than 255 bytes"_s;

    row("amqp://h?heartbeats=1", u"invalid URL: the query key \"heartbeats\" is unknown"_s);
    row("amqp://h?Heartbeat=1", u"invalid URL: the query key \"Heartbeat\" is unknown"_s);
    row("amqp://h?heartbeat=1&", u"invalid URL: the query key \"\" is unknown"_s);
    row("amqp://h?heartbeat=1&heartbeat=1", u"invalid URL: the query key \"heartbeat\" occurs twice"_s);
    row("amqp://h?heartbeat=1&%68eartbeat=2", u"invalid URL: the query key \"heartbeat\" occurs twice"_s);
    row("amqp://h?%FF=1", u"invalid URL: a query key is not valid UTF-8"_s);
    row("amqp://h?name=%FF", u"invalid URL: the query key \"name\" is not valid UTF-8"_s);
    row("amqp://h?name=%00", u"invalid URL: the query key \"name\" contains a NUL character"_s);
    badNumber("amqp://h?heartbeat", u"heartbeat"_s, u""_s, u"0 to 65535"_s);
    badNumber("amqp://h?heartbeat=-1", u"heartbeat"_s, u"-1"_s, u"0 to 65535"_s);
    badNumber("amqp://h?heartbeat=+1", u"heartbeat"_s, u"+1"_s, u"0 to 65535"_s);
    badNumber("amqp://h?heartbeat=1.5", u"heartbeat"_s, u"1.5"_s, u"0 to 65535"_s);
    badNumber("amqp://h?heartbeat=65536", u"heartbeat"_s, u"65536"_s, u"0 to 65535"_s);
    badNumber("amqp://h?heartbeat=99999999999999999999", u"heartbeat"_s, u"99999999999999999999"_s, u"0 to 65535"_s);
    badNumber("amqp://h?connection_timeout=0", u"connection_timeout"_s, u"0"_s, u"1 to 2147483647"_s);
    badNumber("amqp://h?channel_max=65536", u"channel_max"_s, u"65536"_s, u"0 to 65535"_s);
    badNumber("amqp://h?frame_max=8191", u"frame_max"_s, u"8191"_s, u"8192 to 4294967295"_s);
    badNumber("amqp://h?initial_frame_max=4095", u"initial_frame_max"_s, u"4095"_s, u"4096 to 4294967295"_s);
    row("amqp://[fe80::1%25]/", u"invalid URL: Invalid IPv6 address"_s);
    for (const char *url : {"amqp://h/#", "amqp://h/v#f"})
        row(url, u"invalid URL: a fragment (\"#\") is not supported; \"#\", \"/\", \"?\" and \"@\" in a user name, "
                 u"password or virtual "
                 u"host must be percent-encoded as \"%23\", \"%2F\", \"%3F\" and \"%40\""_s);
}

void tst_ConnectionParameters::badUrlIsRejectedByPlace()
{
    QFETCH(QString, url);
    const auto parameters = ConnectionParameters::fromUrl(QUrl(url));
    QVERIFY(!parameters);
    QCOMPARE(parameters.error().kind(), ErrorKind::InvalidArgument);
    QTEST(parameters.error().text(), "text");
}

void tst_ConnectionParameters::urlErrorsNeverShowThePassword_data()
{
    QTest::addColumn<QString>("url");
    for (const char *url :
         {"amqp://u:hunter2@h:0", "amqp://u:hunter2@h:99999", "amqp://u:hunter2@[h]", "amqp://u:hunter2@x@h",
          "amqp://u:hunter2@h i", "amqps://u:hunter2@h?verify=x", "amqp://u:hunter2%FF@h", "amqp://u:hunter2%00@h",
          "amqp://u:hunter2@h/a/b", "amqp://u:hunter2@h?key=1", "amqp://u:hunter2@h#f", "amqp://:hunter2@h"}) {
        QTest::newRow(url) << QString::fromUtf8(url);
    }
}

void tst_ConnectionParameters::urlErrorsNeverShowThePassword()
{
    QFETCH(QString, url);
    const auto parameters = ConnectionParameters::fromUrl(QUrl(url));
    QVERIFY(!parameters);
    QVERIFY2(!parameters.error().toString().contains(u"hunter"_s), qPrintable(parameters.error().toString()));
}

// A URL with any password is parsed correctly or rejected, and no part of the password appears in any text.
void tst_ConnectionParameters::noPartOfAPasswordIsEverShown_data()
{
    QTest::addColumn<QString>("raw");
    for (const char *raw :
         {"?",   "#",  "/",   "@",   ":", "%", "?#", "@?", "@/", "@#", "?@", "/?",  "#/",           "::",    "//",
          "%zz", "%4", "%00", "%FF", "&", "=", " ",  "[",  "]",  "\\", "@@", "?x=", "/?heartbeat=", "?name="})
        QTest::newRow(raw) << QString::fromLatin1(raw);
}

void tst_ConnectionParameters::noPartOfAPasswordIsEverShown()
{
    QFETCH(const QString, raw);
    static QStringList logged;
    logged.clear();
    const QtMessageHandler before =
        qInstallMessageHandler([](QtMsgType, const QMessageLogContext &, const QString &text) { logged += text; });
    const auto restore = qScopeGuard([&] { qInstallMessageHandler(before); });
    for (const QString &letters : {u"HQWXJKZVBNMR"_s, u"731846925073"_s}) { // digits look like a port
        for (qsizetype position = 0; position <= letters.size(); ++position) {
            QString password = letters;
            password.insert(position, raw);
            for (const QString &form : {u"amqp://user:%1@host.example/v"_s, u"amqp://user:%1@host.example:5673"_s,
                                        u"user:%1@host.example"_s, u"amqps://user:%1@host.example/v"_s,
                                        u"amqp://user:%1@host.example?colour=red"_s, u"amqp://user:%1@[::1]/v"_s}) {
                const QString text = QString(form).replace(u"%1"_s, password);
                const auto parameters = ConnectionParameters::fromUrl(QUrl(text));
                const auto endpoint = Endpoint::fromString(text);
                QVERIFY(!endpoint);
                QString shown = endpoint.error().toString() + logged.join(u'\n');
                if (parameters) {
                    QVERIFY2(parameters->endpoints().constFirst().host == u"host.example" ||
                                 parameters->endpoints().constFirst().host == u"::1",
                             qPrintable(text));
                    shown += parameters->toUrl().toString();
                } else {
                    QDebug(&shown) << parameters.error();
                    shown += parameters.error().toString();
                }
                for (qsizetype piece = 0; piece + 3 <= letters.size(); ++piece) {
                    QVERIFY2(!shown.contains(letters.mid(piece, 3), Qt::CaseInsensitive),
                             qPrintable(text + u" -> "_s + shown));
                }
            }
        }
    }
}

void tst_ConnectionParameters::rawCharactersAreNamedWithTheirEncoding_data()
{
    QTest::addColumn<QString>("url");
    for (const char *url : {"amqp://u:se#cret@h/v", "amqp://u:se/cret@h/v", "amqp://u:se?cret@h/v",
                            "amqp://u:1#cret@h/v", "amqp://u:1/cret@h/v", "amqp://u:1?cret@h/v", "amqp://u:s@e/cret@h",
                            "amqp://u:s@e?cret@h", "amqp://u:s@e#cret@h", "amqp://u#1:p@h"})
        QTest::newRow(url) << QString::fromUtf8(url);
}

void tst_ConnectionParameters::rawCharactersAreNamedWithTheirEncoding()
{
    QFETCH(const QString, url);
    const auto parameters = ConnectionParameters::fromUrl(QUrl(url));
    QVERIFY(!parameters);
    for (const char *expected : {"percent-encoded", "%23", "%2F", "%3F", "%40"})
        QVERIFY2(parameters.error().text().contains(QLatin1StringView(expected)),
                 qPrintable(parameters.error().text()));
}

void tst_ConnectionParameters::guestNeedsAPasswordAwayFromThisMachine_data()
{
    QTest::addColumn<QString>("host");
    QTest::addColumn<bool>("accepted");
    QTest::newRow("none") << QString() << true;
    QTest::newRow("name") << u"LocalHost"_s << true;
    QTest::newRow("IPv4") << u"127.0.0.1"_s << true;
    QTest::newRow("IPv4 network") << u"127.1.2.3"_s << true;
    QTest::newRow("IPv6") << u"[::1]"_s << true;
    QTest::newRow("other name") << u"broker.example"_s << false;
    QTest::newRow("misleading name") << u"localhost.example"_s << false;
    QTest::newRow("other IPv4") << u"192.0.2.1"_s << false;
    QTest::newRow("other IPv6") << u"[2001:db8::1]"_s << false;
}

void tst_ConnectionParameters::guestNeedsAPasswordAwayFromThisMachine()
{
    QFETCH(QString, host);
    QFETCH(bool, accepted);
    const auto parameters = ConnectionParameters::fromUrl(QUrl(u"amqp://guest@"_s + host));
    QCOMPARE(parameters.has_value(), accepted);
    if (accepted) {
        QCOMPARE(parameters->password(), u"guest"_s);
    } else {
        QCOMPARE(parameters.error().kind(), ErrorKind::InvalidArgument);
        QVERIFY(parameters.error().text().contains(u"password is missing"_s));
    }
}

void tst_ConnectionParameters::urlOfParametersComesBack_data()
{
    QTest::addColumn<QString>("url");
    for (const char *url :
         {"amqp://localhost/%2F", "amqp://broker.example:5673/orders", "amqp://[::1]/%2F",
          "amqp://[fe80::1%25eth0]/%2F", "amqp://h/a%2Fb", "amqp://h/%252F", "amqp://h/%23%3F%26%20", "amqp://u@h/%2F",
          "amqp://a%40b@h/%2F", "amqp://a%3Ab@h/%2F", "amqp://a%25b@h/%2F", "amqp://a%2Fb@h/%2F",
          ("amqp://h/%2F?heartbeat=5&connection_timeout=1&channel_max=1&frame_max=8192&initial_frame_max=4096"
           "&name=a%26b%3D%2Bc%25")}) {
        QTest::newRow(url) << QString::fromUtf8(url);
    }
}

void tst_ConnectionParameters::urlOfParametersComesBack()
{
    QFETCH(QString, url);
    const auto parameters = ConnectionParameters::fromUrl(QUrl(url));
    QVERIFY2(parameters, qPrintable(parameters.error().toString()));
    QCOMPARE(QString::fromLatin1(parameters->toUrl().toEncoded()), url);
    QVERIFY(parameters->toUrl().isValid());
}

void tst_ConnectionParameters::urlOfParametersHasNoPassword()
{
    const auto withPassword = ConnectionParameters::fromUrl(QUrl(u"amqp://u:hunter2@h/v"_s));
    QVERIFY(withPassword);
    QCOMPARE(withPassword->toUrl(), QUrl(u"amqp://u@h/v"_s));
    const auto guest = ConnectionParameters::fromUrl(QUrl(u"amqp://guest:hunter2@h/v"_s));
    QVERIFY(guest);
    QCOMPARE(guest->toUrl(), QUrl(u"amqp://guest@h/v"_s)); // without a user name, guest's default password would apply
}

void tst_ConnectionParameters::urlOfParametersHasOnlyWhatDiffers()
{
    ConnectionParameters parameters;
    QCOMPARE(parameters.toUrl(), QUrl(u"amqp://localhost/%2F"_s));
    parameters.setHeartbeatInterval(61s);
    QCOMPARE(parameters.toUrl(), QUrl(u"amqp://localhost/%2F?heartbeat=61"_s));
    parameters.setHeartbeatInterval(60s);
    parameters.setEndpoints({{u"a"_s, 1}, {u"b"_s, 2}});
    QCOMPARE(parameters.toUrl(), QUrl(u"amqp://a:1/%2F"_s));
}

void tst_ConnectionParameters::userNameOfOddCharactersComesBack()
{
    const QString text = u"a b@c:d/e?f#g%h%40[]\u00E4\u961F\U0001F511+&="_s;
    ConnectionParameters parameters;
    parameters.setCredentials(text, {});
    parameters.setVirtualHost(text);
    parameters.setConnectionName(text);
    const auto again = ConnectionParameters::fromUrl(parameters.toUrl());
    QVERIFY2(again, qPrintable(again.error().toString()));
    QCOMPARE(again->userName(), text);
    QCOMPARE(again->virtualHost(), text);
    QCOMPARE(again->connectionName(), text);

    const auto fromText = ConnectionParameters::fromUrl(QUrl(parameters.toUrl().toString()));
    QVERIFY2(fromText, qPrintable(fromText.error().toString()));
    QCOMPARE(fromText->userName(), text);
    QCOMPARE(fromText->virtualHost(), text);
    QCOMPARE(fromText->connectionName(), text);
}

void tst_ConnectionParameters::endpointIsReadFromText_data()
{
    QTest::addColumn<QString>("host");
    QTest::addColumn<int>("port");
    QTest::newRow("broker") << u"broker"_s << 5672;
    QTest::newRow("broker.example:5673") << u"broker.example"_s << 5673;
    QTest::newRow("my_broker:1") << u"my_broker"_s << 1;
    QTest::newRow("192.0.2.1:65535") << u"192.0.2.1"_s << 65535;
    QTest::newRow("[::1]:5673") << u"::1"_s << 5673;
    QTest::newRow("[::1]") << u"::1"_s << 5672;
    QTest::newRow("amqp://broker") << u"broker"_s << 5672;
    QTest::newRow("amqps://broker") << u"broker"_s << 5671;
    QTest::newRow("amqps://broker:5672") << u"broker"_s << 5672;
    QTest::newRow("AMQP://[::1]:1") << u"::1"_s << 1;
    QTest::newRow("::1") << u"::1"_s << 5672;
    QTest::newRow("2001:db8::5673") << u"2001:db8::5673"_s << 5672;
    QTest::newRow("fe80::1%eth0") << u"fe80::1%eth0"_s << 5672;
    QTest::newRow("[fe80::1%eth0]:5673") << u"fe80::1%eth0"_s << 5673;
    QTest::newRow("[fe80::1%2]") << u"fe80::1%2"_s << 5672;
    QTest::newRow("fe80::1%br-0.7_a~") << u"fe80::1%br-0.7_a~"_s << 5672;
}

void tst_ConnectionParameters::endpointIsReadFromText()
{
    const auto endpoint = Endpoint::fromString(QString::fromUtf8(QTest::currentDataTag()));
    QVERIFY2(endpoint, qPrintable(endpoint.error().toString()));
    QTEST(endpoint->host, "host");
    QTEST(int(endpoint->effectivePort()), "port");
    QCOMPARE(endpoint->encrypted, QByteArrayView(QTest::currentDataTag()).startsWith("amqps"));
}

void tst_ConnectionParameters::badEndpointIsRejectedWithReason_data()
{
    QTest::addColumn<QString>("text");
    QTest::addColumn<QString>("reason");
    const auto row = [](const QString &text, const QString &reason) {
        QTest::newRow(qPrintable(text)) << text << u"invalid endpoint \"%1\": %2"_s.arg(text, reason);
    };
    const auto badPort = [](const QString &port) {
        return u"the port \"%1\" is not a number from 1 to 65535"_s.arg(port);
    };
    row(QString(), u"the host is missing"_s);
    row(u":5672"_s, u"the host is missing"_s);
    row(u"[]:5672"_s, u"the host is missing"_s);
    row(u"h:"_s, badPort(QString()));
    row(u"h:0"_s, badPort(u"0"_s));
    row(u"h:65536"_s, badPort(u"65536"_s));
    row(u"h:+1"_s, badPort(u"+1"_s));
    row(u"h: 1"_s, badPort(u" 1"_s));
    row(u"h:amqp"_s, badPort(u"amqp"_s));
    row(u"[::1]:"_s, badPort(QString()));
    row(u"[::1"_s, u"\"]\" is missing"_s);
    row(u"[::1]5672"_s, u"only a port may follow \"]\""_s);
    row(u"[h]:5672"_s, u"\"h\" is not an IPv6 address"_s);
    row(u"[127.0.0.1]:5672"_s, u"\"127.0.0.1\" is not an IPv6 address"_s);
    row(u"h:5672:5673"_s, u"\"h:5672:5673\" is not an IPv6 address"_s);
    row(u"http://h"_s, u"the scheme \"http\" is neither \"amqp\" nor \"amqps\""_s);
    row(u"://h"_s, u"the scheme \"\" is neither \"amqp\" nor \"amqps\""_s);
    row(u"amqps://"_s, u"the host is missing"_s);
    row(u"amqps:/h"_s, badPort(u"/h"_s));
    row(u"a b"_s, u"\"a b\" is not a host name"_s);
    row(u"fe80::1%"_s, u"the zone after \"%\" is missing"_s);
    row(u"[fe80::1%]:5673"_s, u"the zone after \"%\" is missing"_s);
    row(u"fe80::1%eth0:5673"_s,
        u"\"eth0:5673\" is not the zone of an IPv6 address; a port needs brackets, as in \"[fe80::1%eth0]:5672\""_s);
    row(u"fe80::1%a/b"_s, u"\"a/b\" is not the zone of an IPv6 address"_s);
    row(u"fe80::1%a%b"_s, u"\"a%b\" is not the zone of an IPv6 address"_s);
    row(u"fe80::1%e h"_s, u"\"e h\" is not the zone of an IPv6 address"_s);
    row(u"[h%eth0]:1"_s, u"\"h%eth0\" is not an IPv6 address"_s);
    row(u"h/v"_s, u"\"h/v\" is not a host name"_s);
}

void tst_ConnectionParameters::badEndpointIsRejectedWithReason()
{
    QFETCH(QString, text);
    const auto endpoint = Endpoint::fromString(text);
    QVERIFY(!endpoint);
    QCOMPARE(endpoint.error().kind(), ErrorKind::InvalidArgument);
    QTEST(endpoint.error().text(), "reason");
}

void tst_ConnectionParameters::zonesComeBack_data()
{
    QTest::addColumn<Endpoint>("endpoint");
    for (const char *host : {"fe80::1%eth0", "fe80::1%2", "fe80::abcd%br-0.7_a~", "::1"}) {
        for (const int port : {5672, 5673})
            QTest::addRow("%s %d", host, port) << Endpoint{QString::fromLatin1(host), quint16(port)};
    }
}

void tst_ConnectionParameters::zonesComeBack()
{
    QFETCH(const Endpoint, endpoint);
    ConnectionParameters parameters;
    parameters.setEndpoints({endpoint});
    for (const QUrl &url : {parameters.toUrl(), QUrl(parameters.toUrl().toString()),
                            QUrl(QString::fromLatin1(parameters.toUrl().toEncoded()))}) {
        const auto again = ConnectionParameters::fromUrl(url);
        QVERIFY2(again, qPrintable(url.toString()));
        QCOMPARE(again->endpoints().constFirst().host, endpoint.host);
        QCOMPARE(again->endpoints().constFirst().effectivePort(), endpoint.port);
    }
}

void tst_ConnectionParameters::endpointsWithoutHostAreRejected()
{
    ConnectionParameters parameters;
    parameters.setEndpoints({{u"a"_s, 1}, {u"b"_s, 2}});

    QTest::ignoreMessage(QtWarningMsg, "setEndpoints: the list is empty");
    parameters.setEndpoints({});
    QTest::ignoreMessage(QtWarningMsg, "setEndpoints: the host is missing");
    parameters.setEndpoints({{QString(), 5672}});

    for (const char *host : {"fe80::1%", "a b", "h:5672", "u@h"}) {
        QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"^setEndpoints: "_s));
        parameters.setEndpoints({{QString::fromLatin1(host), 5672}});
    }

    QCOMPARE(parameters.endpoints().size(), 2);
    QCOMPARE(parameters.endpoints().constLast().host, u"b"_s);
    QVERIFY(parameters.error().isError());
    parameters.setEndpoints({Endpoint()});
    QVERIFY(!parameters.error().isError());
}

void tst_ConnectionParameters::valuesInRangeAreAccepted()
{
    ConnectionParameters parameters;
    parameters.setHeartbeatInterval(0s);
    QCOMPARE(parameters.heartbeatInterval(), 0s);
    parameters.setHeartbeatInterval(65535s);
    QCOMPARE(parameters.heartbeatInterval(), 65535s);
    parameters.setConnectTimeout(1ms);
    QCOMPARE(parameters.connectTimeout(), 1ms);
    parameters.setReplyTimeout(0ms);
    QCOMPARE(parameters.replyTimeout(), 0ms);
    parameters.setCloseTimeout(2147483647ms);
    QCOMPARE(parameters.closeTimeout(), 2147483647ms);
    parameters.setDispatchBudget(1ms);
    QCOMPARE(parameters.dispatchBudget(), 1ms);
    parameters.setMaximumChannels(0);
    QCOMPARE(parameters.maximumChannels(), quint16(0));
    parameters.setMaximumMessageSize(1);
    QCOMPARE(parameters.maximumMessageSize(), 1);
    parameters.setConnectionName(u"importer"_s);
    QCOMPARE(parameters.connectionName(), u"importer"_s);
}

void tst_ConnectionParameters::valuesOutOfRangeChangeNothing()
{
    ConnectionParameters parameters;
    const auto expectWarning = [](const QString &start) {
        QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u'^' + start));
    };
    for (const auto seconds : {-1s, 65536s}) {
        expectWarning(u"setHeartbeat: "_s);
        parameters.setHeartbeatInterval(seconds);
    }
    for (const std::chrono::milliseconds timeout : {-1ms, 0ms, 2147483648ms, std::chrono::milliseconds::max()}) {
        expectWarning(u"setConnectTimeout: "_s);
        parameters.setConnectTimeout(timeout);
        expectWarning(u"setCloseTimeout: "_s);
        parameters.setCloseTimeout(timeout);
        expectWarning(u"setDispatchBudget: "_s);
        parameters.setDispatchBudget(timeout);
        if (timeout != 0ms) {
            expectWarning(u"setReplyTimeout: "_s);
            parameters.setReplyTimeout(timeout);
        }
    }
    for (const qint64 bytes : {-1, 0}) {
        expectWarning(u"setMaximumMessageSize: "_s);
        parameters.setMaximumMessageSize(bytes);
    }
    const ConnectionParameters defaults;
    QCOMPARE(parameters.heartbeatInterval(), defaults.heartbeatInterval());
    QCOMPARE(parameters.connectTimeout(), defaults.connectTimeout());
    QCOMPARE(parameters.closeTimeout(), defaults.closeTimeout());
    QCOMPARE(parameters.dispatchBudget(), defaults.dispatchBudget());
    QCOMPARE(parameters.replyTimeout(), defaults.replyTimeout());
    QCOMPARE(parameters.maximumMessageSize(), defaults.maximumMessageSize());
}

void tst_ConnectionParameters::recoveryPolicyIsCheckedAsAWhole_data()
{
    QTest::addColumn<RecoveryPolicy>("policy");
    QTest::addColumn<QString>("problem"); // empty if the policy is accepted
    const RecoveryPolicy valid;
    QTest::newRow("default") << valid << QString();
    QTest::newRow("all settings") << valid.withEnabled(false)
                                         .withTopology(false)
                                         .withMaximumAttempts(2147483647)
                                         .withDelays(200ms, 2147483647ms, 1000.0)
                                         .withCalmAfter(0ms)
                                         .withMismatch(RecoveryPolicy::Mismatch::Fail)
                                         .withMissing(RecoveryPolicy::Missing::Wait)
                                  << QString();
    QTest::newRow("constant delay") << valid.withDelays(200ms, 200ms, 1.0) << QString();
    QTest::newRow("attempts") << valid.withMaximumAttempts(-1)
                              << u"maximumAttempts: -1 is out of range; the minimum is 0, which means no limit"_s;
    QTest::newRow("short delay") << valid.withDelays(199ms, 30s)
                                 << u"initialDelay: 199 ms is out of range; the range is 200 to 2147483647 ms"_s;
    QTest::newRow("long delay") << valid.withDelays(2147483648ms, 2147483648ms)
                                << u"initialDelay: 2147483648 ms is out of range; the range is 200 to 2147483647 ms"_s;
    QTest::newRow("descending delays")
        << valid.withDelays(2s, 1999ms)
        << u"maximumDelay: 1999 ms is out of range; the range is 2000 to 2147483647 ms"_s;
    QTest::newRow("long maximum")
        << valid.withDelays(1s, 2147483648ms)
        << u"maximumDelay: 2147483648 ms is out of range; the range is 1000 to 2147483647 ms"_s;
    QTest::newRow("factor below 1") << valid.withDelays(1s, 2s, 0.99)
                                    << u"factor: 0.99 is out of range; the range is 1 to 1000"_s;
    QTest::newRow("large factor") << valid.withDelays(1s, 2s, 1001)
                                  << u"factor: 1001 is out of range; the range is 1 to 1000"_s;
    QTest::newRow("no number") << valid.withDelays(1s, 2s, qQNaN())
                               << u"factor: nan is out of range; the range is 1 to 1000"_s;
    QTest::newRow("calm") << valid.withCalmAfter(-1ms)
                          << u"calmAfter: -1 ms is out of range; the range is 0 to 2147483647 ms"_s;
}

void tst_ConnectionParameters::recoveryPolicyIsCheckedAsAWhole()
{
    QFETCH(const RecoveryPolicy, policy);
    QFETCH(const QString, problem);
    ConnectionParameters parameters;
    if (!problem.isEmpty())
        QTest::ignoreMessage(QtWarningMsg, qPrintable(u"setRecoveryPolicy: "_s + problem));
    parameters.setRecoveryPolicy(policy);
    QCOMPARE(parameters.error().text(), problem.isEmpty() ? QString() : u"recoveryPolicy: "_s + problem);
    QVERIFY(parameters.recoveryPolicy() == (problem.isEmpty() ? policy : RecoveryPolicy()));
}

void tst_ConnectionParameters::smallFrameSizesAreRaised()
{
    ConnectionParameters parameters;
    for (const quint32 bytes : {1u, 4096u, 8191u}) {
        parameters.setMaximumFrameSize(65536);
        QTest::ignoreMessage(
            QtWarningMsg,
            qPrintable(u"setMaximumFrameSize: %1 bytes is out of range; 8192 bytes, the minimum, is used instead"_s.arg(
                bytes)));
        parameters.setMaximumFrameSize(bytes);
        QCOMPARE(parameters.maximumFrameSize(), 8192u);
    }
    for (const quint32 bytes : {0u, 8192u, 0xFFFFFFFFu}) {
        parameters.setMaximumFrameSize(bytes);
        QCOMPARE(parameters.maximumFrameSize(), bytes);
    }
}

void tst_ConnectionParameters::writeBufferLimitsAscend()
{
    ConnectionParameters parameters;
    parameters.setWriteBuffer(0, 0, 1);
    parameters.setWriteBuffer(10, 20, 20);

    const struct {
        qint64 low, high, limit;
    } rejected[] = {{-1, 20, 30}, {21, 20, 30}, {10, 31, 30}, {0, 0, 0}, {10, 20, -1}};
    for (const auto &[low, high, limit] : rejected) {
        QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"^setWriteBuffer: "_s));
        parameters.setWriteBuffer(low, high, limit);
    }
    QCOMPARE(parameters.lowWatermark(), 10);
    QCOMPARE(parameters.highWatermark(), 20);
    QCOMPARE(parameters.bufferLimit(), 20);
}

void tst_ConnectionParameters::credentialsWithoutNul()
{
    ConnectionParameters parameters;
    parameters.setCredentials(u"user"_s, u"password"_s);
    const char *const warning = "setCredentials: the user name or the password contains a NUL character";
    QTest::ignoreMessage(QtWarningMsg, warning);
    parameters.setCredentials(u"a"_s + QChar::Null, u"b"_s);
    QTest::ignoreMessage(QtWarningMsg, warning);
    parameters.setCredentials(u"a"_s, u"b"_s + QChar::Null);
    QCOMPARE(parameters.userName(), u"user"_s);
    QCOMPARE(parameters.password(), u"password"_s);
}

void tst_ConnectionParameters::virtualHostFitsAShortString()
{
    ConnectionParameters parameters;
    const QString longest = QString(127, u'\u00E4') + u'a'; // 255 bytes of UTF-8
    parameters.setVirtualHost(longest);
    QCOMPARE(parameters.virtualHost(), longest);
    QTest::ignoreMessage(QtWarningMsg, "setVirtualHost: the name is longer than 255 bytes");
    parameters.setVirtualHost(QString(128, u'\u00E4'));
    QCOMPARE(parameters.virtualHost(), longest);
    parameters.setVirtualHost({});
    QCOMPARE(parameters.virtualHost(), QString());
}

void tst_ConnectionParameters::clientPropertiesMustBeSendable()
{
    ConnectionParameters parameters;
    const FieldTable properties{{u"team"_s, u"billing"_s}};
    parameters.setClientProperties(properties);
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"^setClientProperties: .*ratio"_s));
    parameters.setClientProperties({{u"ratio"_s, qQNaN()}});
    QCOMPARE(parameters.clientProperties(), properties);
}

void tst_ConnectionParameters::wipedBytesAreZero()
{
    char text[] = "hunter2!";
    Secret::wipe(text, 7);
    QCOMPARE(QByteArrayView(text, 8), QByteArrayView("\0\0\0\0\0\0\0!", 8));
}

void tst_ConnectionParameters::secretCopiesShareNothing()
{
    Secret a(u"hunter2"_s);
    const Secret b = a;
    QVERIFY(a.bytes().data() != b.bytes().data());
    a = Secret(u"other"_s);
    QCOMPARE(b.toString(), u"hunter2"_s);
    const Secret c = std::move(a);
    QCOMPARE(c.toString(), u"other"_s);
    QVERIFY(b == Secret(u"hunter2"_s));
}

void tst_ConnectionParameters::secretPrintsAsStars()
{
    QString output;
    QDebug(&output).nospace() << Secret(u"hunter2"_s);
    QCOMPARE(output, u"***"_s);
}

void tst_ConnectionParameters::endpointReadsItsOwnText()
{
    for (const Endpoint &endpoint :
         {Endpoint(), Endpoint{u"rabbit"_s, 5673}, Endpoint{u"::1"_s, 5672}, Endpoint{u"fe80::1%1"_s, 65535},
          Endpoint{u"rabbit"_s, 0, true}, Endpoint{u"::1"_s, 5672, true}}) {
        const Result<Endpoint> read = Endpoint::fromString(endpoint.toString());
        QVERIFY2(read, qPrintable(endpoint.toString()));
        QCOMPARE(*read, endpoint);
    }
    QCOMPARE((Endpoint{u"::1"_s, 5673}).toString(), u"[::1]:5673"_s);
    QVERIFY((Endpoint{u"a"_s, 1}) != (Endpoint{u"a"_s, 2}));
    QVERIFY((Endpoint{u"a"_s, 1}) != (Endpoint{u"b"_s, 1}));
    QCOMPARE((Endpoint{u"a"_s, 0}), (Endpoint{u"a"_s, 5672}));
    QCOMPARE((Endpoint{u"a"_s, 0, true}), (Endpoint{u"a"_s, 5671, true}));
    QVERIFY((Endpoint{u"a"_s, 5671}) != (Endpoint{u"a"_s, 5671, true}));
    QVERIFY((Endpoint{u"a"_s, 1, true, u"x"_s}) != (Endpoint{u"a"_s, 1, true, u"y"_s}));
    QCOMPARE((Endpoint{u"::1"_s, 0, true}).toString(), u"amqps://[::1]:5671"_s);
}

QTEST_APPLESS_MAIN(tst_ConnectionParameters)
#include "tst_connectionparameters.moc"
