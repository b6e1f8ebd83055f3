// SPDX-License-Identifier: MIT
#include <AmqpQt/connectionparameters.h>

#include <QtCore/qregularexpression.h>
#include <QtNetwork/qnetworkproxy.h>
#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using namespace std::chrono_literals;

// The parameters that say where and how often a connection is tried.
class tst_AddressParameters : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void defaultsAreDocumented();
    void urlKeysAndSettersAgree_data();
    void urlKeysAndSettersAgree();
    void badUrlValuesAreNamed_data();
    void badUrlValuesAreNamed();
    void valuesOutOfRangeChangeNothing();
    void proxiesAreAccepted_data();
    void proxiesAreAccepted();
    void unusableProxiesAreRejected_data();
    void unusableProxiesAreRejected();
    void proxyIsNotShown();
};

void tst_AddressParameters::defaultsAreDocumented()
{
    const ConnectionParameters parameters;
    QCOMPARE(parameters.shuffleEndpoints(), false);
    QCOMPARE(parameters.connectionAttempts(), 1);
    QCOMPARE(parameters.retryDelay(), 2s);
    QCOMPARE(parameters.proxy(), QNetworkProxy(QNetworkProxy::NoProxy));
}

void tst_AddressParameters::urlKeysAndSettersAgree_data()
{
    QTest::addColumn<QString>("query");
    QTest::addColumn<int>("attempts");
    QTest::addColumn<std::chrono::milliseconds>("delay");
    QTest::addColumn<QString>("shown"); // in toUrl()
    const auto row = [](const char *query, int attempts, std::chrono::milliseconds delay, const char *shown) {
        QTest::newRow(query) << QString::fromLatin1(query) << attempts << delay << QString::fromLatin1(shown);
    };
    row("connection_attempts=3", 3, 2s, "connection_attempts=3");
    row("connection_attempts=2147483647", 2147483647, 2s, "connection_attempts=2147483647");
    row("connection_attempts=1&retry_delay=2", 1, 2s, "");
    row("retry_delay=0", 1, 0s, "retry_delay=0");
    row("retry_delay=5", 1, 5s, "retry_delay=5");
    row("retry_delay=0.5", 1, 500ms, "retry_delay=0.5");
    row("retry_delay=0.05", 1, 50ms, "retry_delay=0.05");
    row("retry_delay=1.250", 1, 1250ms, "retry_delay=1.25");
    row("retry_delay=10.007", 1, 10007ms, "retry_delay=10.007");
    row("retry_delay=2147483.647", 1, 2147483647ms, "retry_delay=2147483.647");
    row("connection_attempts=5&retry_delay=3", 5, 3s, "connection_attempts=5&retry_delay=3");
}

void tst_AddressParameters::urlKeysAndSettersAgree()
{
    QFETCH(const QString, query);
    QFETCH(const int, attempts);
    QFETCH(const std::chrono::milliseconds, delay);
    const auto read = ConnectionParameters::fromUrl(QUrl(u"amqp://h?"_s + query));
    QVERIFY2(read, qPrintable(read.error().toString()));
    ConnectionParameters set;
    set.setConnectionAttempts(attempts);
    set.setRetryDelay(delay);
    for (const ConnectionParameters &parameters : {*read, set}) {
        QCOMPARE(parameters.connectionAttempts(), attempts);
        QCOMPARE(parameters.retryDelay(), delay);
        QTEST(parameters.toUrl().query(), "shown");
        const auto again = ConnectionParameters::fromUrl(parameters.toUrl());
        QVERIFY2(again, qPrintable(again.error().toString()));
        QCOMPARE(again->connectionAttempts(), attempts);
        QCOMPARE(again->retryDelay(), delay);
    }
}

void tst_AddressParameters::badUrlValuesAreNamed_data()
{
    QTest::addColumn<QString>("query");
    QTest::addColumn<QString>("problem");
    for (const char *value : {"", "0", "-1", "1.5", "2147483648", "many"}) {
        const QString text = QString::fromLatin1(value);
        QTest::addRow("connection_attempts=%s", value)
            << u"connection_attempts="_s + text
            << u"the query key \"connection_attempts\" has the value \"%1\", which is not a whole number from 1 to "
               "2147483647"_s.arg(text);
    }
    for (const char *value : {"", "-1", ".5", "1.", "1.0000", "1,5", "1e3", "0x1", "1.-5", "2147483.648", "2147484"}) {
        const QString text = QString::fromLatin1(value);
        QTest::addRow("retry_delay=%s", value)
            << u"retry_delay="_s + text
            << u"the query key \"retry_delay\" has the value \"%1\", which is not a number of seconds from 0 to "
               "2147483.647 with up to three decimals"_s.arg(text);
    }
}

void tst_AddressParameters::badUrlValuesAreNamed()
{
    QFETCH(const QString, query);
    QFETCH(const QString, problem);
    const auto parameters = ConnectionParameters::fromUrl(QUrl(u"amqp://h?"_s + query));
    QVERIFY(!parameters);
    QCOMPARE(parameters.error(), Error(ErrorKind::InvalidArgument, u"invalid URL: "_s + problem));
}

void tst_AddressParameters::valuesOutOfRangeChangeNothing()
{
    ConnectionParameters parameters;
    for (const int attempts : {0, -1}) {
        QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"^setConnectionAttempts: "_s));
        parameters.setConnectionAttempts(attempts);
        QCOMPARE(parameters.connectionAttempts(), 1);
        QVERIFY(parameters.error().text().startsWith(u"connectionAttempts: "));
    }
    parameters.setConnectionAttempts(2);
    QVERIFY(!parameters.error().isError());
    for (const std::chrono::milliseconds delay : {-1ms, 2147483648ms}) {
        QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"^setRetryDelay: "_s));
        parameters.setRetryDelay(delay);
        QCOMPARE(parameters.retryDelay(), 2s);
        QVERIFY(parameters.error().text().startsWith(u"retryDelay: "));
    }
    parameters.setRetryDelay(0ms);
    QVERIFY(!parameters.error().isError());
}

void tst_AddressParameters::proxiesAreAccepted_data()
{
    QTest::addColumn<QNetworkProxy>("proxy");
    const QString host = u"proxy.example"_s;
    QTest::newRow("none") << QNetworkProxy(QNetworkProxy::NoProxy);
    QTest::newRow("SOCKS5") << QNetworkProxy(QNetworkProxy::Socks5Proxy, host, 1080);
    QTest::newRow("SOCKS5 with a login") << QNetworkProxy(QNetworkProxy::Socks5Proxy, host, 1080, u"us\u00E9r"_s,
                                                          QString(255, u'p'));
    QTest::newRow("HTTP") << QNetworkProxy(QNetworkProxy::HttpProxy, u"::1"_s, 3128, u"user"_s, QString(256, u'p'));
}

void tst_AddressParameters::proxiesAreAccepted()
{
    QFETCH(const QNetworkProxy, proxy);
    ConnectionParameters parameters;
    parameters.setProxy(proxy);
    QVERIFY2(!parameters.error().isError(), qPrintable(parameters.error().text()));
    QCOMPARE(parameters.proxy(), proxy);
}

void tst_AddressParameters::unusableProxiesAreRejected_data()
{
    QTest::addColumn<QNetworkProxy>("proxy");
    QTest::addColumn<QString>("problem");
    const QString host = u"proxy.example"_s;
    const QString secret = u"hunter2"_s;
    QTest::newRow("no type")
        << QNetworkProxy()
        << u"the type DefaultProxy names no proxy; set QNetworkProxy::NoProxy, or a SOCKS5 or HTTP "
           "proxy"_s;
    for (const auto type : {QNetworkProxy::HttpCachingProxy, QNetworkProxy::FtpCachingProxy})
        QTest::addRow("caching %d", int(type))
            << QNetworkProxy(type, host, 3128)
            << u"a caching proxy cannot be used for AMQP; set a SOCKS5 or HTTP proxy"_s;
    QTest::newRow("no host") << QNetworkProxy(QNetworkProxy::Socks5Proxy, {}, 1080) << u"the host is missing"_s;
    QTest::newRow("bad host") << QNetworkProxy(QNetworkProxy::HttpProxy, u"a b"_s, 1080)
                              << u"\"a b\" is not a host name"_s;
    QTest::newRow("no port") << QNetworkProxy(QNetworkProxy::HttpProxy, host, 0)
                             << u"port 0 is out of range; the range is 1 to 65535"_s;
    QTest::newRow("NUL") << QNetworkProxy(QNetworkProxy::HttpProxy, host, 3128, u"user"_s, secret + QChar::Null)
                         << u"the user name or the password contains a NUL character"_s;
    QTest::newRow("long SOCKS5 password")
        << QNetworkProxy(QNetworkProxy::Socks5Proxy, host, 1080, u"user"_s, secret + QString(250, u'p'))
        << u"the user name or the password is longer than 255 characters"_s;
    QTest::newRow("SOCKS5 user name in Cyrillic")
        << QNetworkProxy(QNetworkProxy::Socks5Proxy, host, 1080, u"\u0438\u043C\u044F"_s, secret)
        << u"the user name or the password contains a character that is not in Latin-1"_s;
}

void tst_AddressParameters::unusableProxiesAreRejected()
{
    QFETCH(const QNetworkProxy, proxy);
    QFETCH(const QString, problem);
    ConnectionParameters parameters;
    const QNetworkProxy before(QNetworkProxy::HttpProxy, u"other.example"_s, 3128);
    parameters.setProxy(before);
    QTest::ignoreMessage(QtWarningMsg, qPrintable(u"setProxy: "_s + problem));
    parameters.setProxy(proxy);
    QCOMPARE(parameters.error(), Error(ErrorKind::InvalidArgument, u"proxy: "_s + problem));
    QCOMPARE(parameters.proxy(), before);
    parameters.setProxy(QNetworkProxy::NoProxy);
    QVERIFY(!parameters.error().isError());
}

void tst_AddressParameters::proxyIsNotShown()
{
    ConnectionParameters parameters;
    parameters.setProxy(QNetworkProxy(QNetworkProxy::HttpProxy, u"proxy.example"_s, 3128, u"user"_s, u"hunter2"_s));
    QCOMPARE(parameters.toUrl(), ConnectionParameters().toUrl());
}

QTEST_GUILESS_MAIN(tst_AddressParameters)
#include "tst_addressparameters.moc"
