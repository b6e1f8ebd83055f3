// SPDX-License-Identifier: MIT

// The settings for TLS.

#include <AmqpQt/connectionparameters.h>

#include <QtNetwork/qsslconfiguration.h>
#include <QtNetwork/qsslsocket.h>
#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

class tst_TlsParameters : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void defaultsVerifyTheBroker();
    void trustOnlyReplacesTrustAlsoAdds();
    void clientCertificatesReplaceEachOther();
    void invalidValuesAreRejected();
    void badKeysAreRejectedByPlace_data();
    void badKeysAreRejectedByPlace();
    void plainUrlHasNoSettingsForTls();
    void requiredTlsIsCheckedWhateverTheOrder();
};

void tst_TlsParameters::defaultsVerifyTheBroker()
{
    const ConnectionParameters parameters;
    QCOMPARE(parameters.sslConfiguration().protocol(), QSsl::TlsV1_2OrLater);
    QCOMPARE(parameters.sslConfiguration().peerVerifyMode(), QSslSocket::VerifyPeer);
    QCOMPARE(parameters.authorityFiles(), QStringList());
    QVERIFY(parameters.trustsSystemAuthorities());
    QCOMPARE(parameters.clientCertificateFile(), QString());
    QCOMPARE(parameters.clientKeyFile(), QString());
    QVERIFY(!parameters.isTlsRequired());
}

void tst_TlsParameters::trustOnlyReplacesTrustAlsoAdds()
{
    ConnectionParameters parameters;
    parameters.trustAlso(u"a"_s);
    parameters.trustAlso(u"b"_s);
    parameters.trustAlso(u"a"_s);
    QCOMPARE(parameters.authorityFiles(), (QStringList{u"a"_s, u"b"_s}));
    QVERIFY(parameters.trustsSystemAuthorities());
    parameters.trustOnly(u"c"_s);
    QCOMPARE(parameters.authorityFiles(), QStringList{u"c"_s});
    QVERIFY(!parameters.trustsSystemAuthorities());
    parameters.trustAlso(u"d"_s);
    QCOMPARE(parameters.authorityFiles(), (QStringList{u"c"_s, u"d"_s}));
    QVERIFY(!parameters.trustsSystemAuthorities());
}

void tst_TlsParameters::clientCertificatesReplaceEachOther()
{
    ConnectionParameters parameters;
    parameters.setClientCertificate(u"a.pem"_s, u"a.key"_s);
    QCOMPARE(parameters.clientCertificateFile(), u"a.pem"_s);
    QCOMPARE(parameters.clientKeyFile(), u"a.key"_s);
    parameters.setClientPkcs12(u"a.p12"_s);
    QCOMPARE(parameters.clientCertificateFile(), u"a.p12"_s);
    QCOMPARE(parameters.clientKeyFile(), QString());
    parameters.setClientCertificate({});
    QCOMPARE(parameters.clientCertificateFile(), QString());
}

void tst_TlsParameters::invalidValuesAreRejected()
{
    ConnectionParameters parameters;
    QTest::ignoreMessage(QtWarningMsg, "setAuthorityFiles: the file name is empty");
    parameters.trustOnly({});
    QCOMPARE(parameters.error().text(), u"authorityFiles: the file name is empty"_s);
    QVERIFY(parameters.trustsSystemAuthorities());
    QTest::ignoreMessage(QtWarningMsg, "setAuthorityFiles: the file name is empty");
    parameters.trustAlso({});
    parameters.trustAlso(u"a"_s);
    QVERIFY(!parameters.error().isError());

    QTest::ignoreMessage(QtWarningMsg, "setClientCertificate: there is a key file, but no certificate file");
    parameters.setClientCertificate({}, u"key"_s);
    QCOMPARE(parameters.error().kind(), ErrorKind::InvalidArgument);
    QTest::ignoreMessage(QtWarningMsg, "setClientCertificate: the file name is empty");
    parameters.setClientPkcs12({});
    parameters.setClientPkcs12(u"p"_s);
    QVERIFY(!parameters.error().isError());

    QTest::ignoreMessage(QtWarningMsg, "setEndpoints: peerName: \"a b\" is not a host name");
    parameters.setEndpoints({{u"h"_s, 0, true, u"a b"_s}});
    QCOMPARE(parameters.endpoints(), QList<Endpoint>{Endpoint()});
}

void tst_TlsParameters::badKeysAreRejectedByPlace_data()
{
    QTest::addColumn<QString>("text");
    const auto row = [](const char *url, const QString &text) { QTest::newRow(url) << "invalid URL: "_L1 + text; };
    for (const char *key : {"cacertfile", "certfile", "keyfile", "verify", "server_name_indication"}) {
        const QString name = QString::fromLatin1(key);
        row(qPrintable(u"amqp://h?%1=x"_s.arg(name)),
            u"the query key \"%1\" requires the scheme \"amqps\""_s.arg(name));
        row(qPrintable(u"amqps://h?%1="_s.arg(name)), u"the query key \"%1\" has no value"_s.arg(name));
    }
    row("amqps://h?keyfile=x", u"the query key \"keyfile\" requires \"certfile\""_s);
    row("amqps://h?verify=none",
        u"the query key \"verify\" has the value \"none\", which is neither \"verify_peer\" nor \"verify_none\""_s);
    row("amqps://h?server_name_indication=disable", u"the query key \"server_name_indication\" has the value "
                                                    "\"disable\", which is not supported; the name is needed for "
                                                    "verification"_s);
    row("amqps://h?server_name_indication=a%20b",
        u"the query key \"server_name_indication\" has an invalid value: \"a b\" is not a host name"_s);
    row("amqps://h?certfile=a&certfile=b", u"the query key \"certfile\" occurs twice"_s);
}

void tst_TlsParameters::badKeysAreRejectedByPlace()
{
    const auto parameters = ConnectionParameters::fromUrl(QUrl(QString::fromUtf8(QTest::currentDataTag())));
    QVERIFY(!parameters);
    QCOMPARE(parameters.error().kind(), ErrorKind::InvalidArgument);
    QTEST(parameters.error().text(), "text");
}

void tst_TlsParameters::plainUrlHasNoSettingsForTls()
{
    ConnectionParameters parameters;
    parameters.setEndpoints({{u"h"_s}});
    parameters.trustOnly(u"ca.pem"_s);
    parameters.setClientCertificate(u"c.pem"_s);
    QCOMPARE(parameters.toUrl(), QUrl(u"amqp://h/%2F"_s));
    QVERIFY(ConnectionParameters::fromUrl(parameters.toUrl()));
}

void tst_TlsParameters::requiredTlsIsCheckedWhateverTheOrder()
{
    ConnectionParameters parameters;
    parameters.setTlsRequired(true);
    QCOMPARE(parameters.error().kind(), ErrorKind::InvalidArgument);
    QCOMPARE(parameters.error().text(), u"tlsRequired: the endpoint \"localhost:5672\" does not use TLS"_s);
    parameters.setEndpoints({{u"h"_s, 0, true}});
    QVERIFY(!parameters.error().isError());
    parameters.setEndpoints({{u"h"_s, 0, true}, {u"::1"_s}});
    QCOMPARE(parameters.error().text(), u"tlsRequired: the endpoint \"[::1]:5672\" does not use TLS"_s);
    parameters.setTlsRequired(false);
    QVERIFY(!parameters.error().isError());
}

QTEST_APPLESS_MAIN(tst_TlsParameters)
#include "tst_tlsparameters.moc"
