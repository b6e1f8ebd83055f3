// SPDX-License-Identifier: MIT

// What the files for TLS may contain, and how their errors are described.

#include "support/certificates.h"

#include "transport/tlsoptions_p.h"

#include <QtCore/qfile.h>
#include <QtCore/qtemporarydir.h>
#include <QtNetwork/qsslcertificate.h>
#include <QtNetwork/qsslkey.h>
#include <QtNetwork/qsslsocket.h>
#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

Q_DECLARE_METATYPE(TlsOptions)

class tst_TlsOptions : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void initTestCase();
    void keysAndCertificatesAreRead_data();
    void keysAndCertificatesAreRead();
    void badFilesAreDescribed_data();
    void badFilesAreDescribed();
    void olderVersionsOfTlsAreNeverUsed();
    void brokerIsVerifiedUnlessTheConfigurationSaysOtherwise();
    void onlyTheseAuthoritiesAreTrusted();
    void otherAuthoritiesAreTrustedAsWell();
    void authoritiesOfTheSystemAreLoadedUnlessExcluded();
    void chainIsPresented();

private:
    QString write(const QString &name, const QByteArray &bytes) const;

    QTemporaryDir m_directory;
    // Before QSslConfiguration::setDefaultConfiguration(), which ends the loading on demand.
    const QSslConfiguration m_system = QSslConfiguration::defaultConfiguration();
};

QString tst_TlsOptions::write(const QString &name, const QByteArray &bytes) const
{
    QFile file(m_directory.filePath(name));
    if (!file.open(QFile::WriteOnly) || file.write(bytes) != bytes.size())
        qFatal("cannot write %s", qPrintable(file.fileName()));
    return file.fileName();
}

static QByteArray read(const QString &name)
{
    QFile file(certificateFile(name));
    if (!file.open(QFile::ReadOnly))
        qFatal("cannot read %s", qPrintable(name));
    return file.readAll();
}

void tst_TlsOptions::initTestCase()
{
    QVERIFY(m_directory.isValid());
    QVERIFY(QSslSocket::supportsSsl());
}

void tst_TlsOptions::keysAndCertificatesAreRead_data()
{
    QTest::addColumn<TlsOptions>("options");
    const QString certificate = certificateFile(u"client.pem"_s);
    const auto row = [](const char *name, const TlsOptions &options) { QTest::newRow(name) << options; };
    const Secret passphrase(QString::fromUtf8(certificatePassphrase()));
    row("two files", {.certificateFile = certificate, .keyFile = certificateFile(u"client.key"_s)});
    row("one file", {.certificateFile = write(u"both.pem"_s, read(u"client.pem"_s) + read(u"client.key"_s))});
    row("encrypted", {.certificateFile = certificate,
                      .keyFile = certificateFile(u"client-encrypted.key"_s),
                      .passphrase = passphrase});
    row("old encryption of the key", {.certificateFile = certificate,
                                      .keyFile = certificateFile(u"client-traditional.key"_s),
                                      .passphrase = passphrase});
    row("pkcs12", {.certificateFile = certificateFile(u"client.p12"_s), .isPkcs12 = true, .passphrase = passphrase});
    row("pkcs12 without a password",
        {.certificateFile = certificateFile(u"client-no-password.p12"_s), .isPkcs12 = true});
}

void tst_TlsOptions::keysAndCertificatesAreRead()
{
    QFETCH(const TlsOptions, options);
    const Result<QSslConfiguration> configuration = tlsConfiguration(options);
    QVERIFY2(configuration, qPrintable(configuration.error().toString()));
    QCOMPARE(configuration->localCertificate(), readCertificate(u"client"_s));
    QCOMPARE(configuration->privateKey(), readCertificateKey(u"client"_s));
}

void tst_TlsOptions::badFilesAreDescribed_data()
{
    QTest::addColumn<TlsOptions>("options");
    QTest::addColumn<QString>("text");
    const auto row = [](const char *name, const TlsOptions &options, const QString &text) {
        QTest::newRow(name) << options << text;
    };
    const QString certificate = certificateFile(u"client.pem"_s);
    const QString empty = write(u"empty.pem"_s, {});
    const QString der = write(u"der.pem"_s, readCertificate(u"ca"_s).toDer());
    const QString damaged = write(u"damaged.key"_s, read(u"client.key"_s).replace("M", "N"));
    const Secret wrong(u"not the passphrase"_s);

    row("authorities are missing", {.authorityFiles = {u"/no/file"_s}},
        u"cannot read the file of certificate authorities \"/no/file\": "_s);
    row("authorities are a directory", {.authorityFiles = {m_directory.path()}},
        u"cannot read the file of certificate authorities \"%1\": "_s.arg(m_directory.path()));
    row("authorities are empty", {.trustsSystem = false, .authorityFiles = {empty}},
        u"the file of certificate authorities \"%1\" contains no certificate in PEM format"_s.arg(empty));
    row("authorities in DER", {.authorityFiles = {der}},
        u"\"%1\" contains no certificate in PEM format; \"openssl x509 -inform der\""_s.arg(der));
    row("authorities are a key", {.authorityFiles = {certificateFile(u"ca.key"_s)}},
        u"contains no certificate in PEM format"_s);
    row("certificate is missing", {.certificateFile = u"/no/file"_s},
        u"cannot read the client certificate \"/no/file\": "_s);
    row("certificate is empty", {.certificateFile = empty}, u"the client certificate \"%1\" contains no"_s.arg(empty));
    row("key is missing", {.certificateFile = certificate, .keyFile = u"/no/file"_s},
        u"cannot read the private key \"/no/file\": "_s);
    row("no key in the certificate's file", {.certificateFile = certificate},
        u"the file \"%1\" contains no private key in PEM format"_s.arg(certificate));
    row("key is damaged", {.certificateFile = certificate, .keyFile = damaged},
        u"the private key \"%1\" is damaged or of a type that Qt does not support"_s.arg(damaged));
    for (const QString &name : {u"client-encrypted.key"_s, u"client-traditional.key"_s}) {
        const QString file = certificateFile(name);
        row(qPrintable(name + u" without a passphrase"_s), {.certificateFile = certificate, .keyFile = file},
            u"the private key \"%1\" is encrypted and requires a passphrase"_s.arg(file));
        row(qPrintable(name + u" with a wrong passphrase"_s),
            {.certificateFile = certificate, .keyFile = file, .passphrase = wrong},
            u"the private key \"%1\" cannot be decrypted with this passphrase"_s.arg(file));
    }
    const QString pkcs12 = certificateFile(u"client.p12"_s);
    row("pkcs12 is missing", {.certificateFile = u"/no/file"_s, .isPkcs12 = true},
        u"cannot read the PKCS#12 file \"/no/file\": "_s);
    row("pkcs12 without its passphrase", {.certificateFile = pkcs12, .isPkcs12 = true},
        u"the PKCS#12 file \"%1\" cannot be read; it is damaged, or encrypted and requires a passphrase"_s.arg(pkcs12));
    row("pkcs12 with a wrong passphrase", {.certificateFile = pkcs12, .isPkcs12 = true, .passphrase = wrong},
        u"the PKCS#12 file \"%1\" cannot be read; it is damaged, or the passphrase is wrong"_s.arg(pkcs12));
    row("pkcs12 in PEM", {.certificateFile = certificate, .isPkcs12 = true},
        u"the file \"%1\" is not in PKCS#12 format; ConnectionParameters::setClientCertificate()"_s.arg(certificate));
    const QString legacy = certificateFile(u"client-legacy.p12"_s);
    if (QFile::exists(legacy)) {
        row("pkcs12 of an old program",
            {.certificateFile = legacy,
             .isPkcs12 = true,
             .passphrase = Secret(QString::fromUtf8(certificatePassphrase()))},
            u"it is encrypted with RC2 or RC4, which OpenSSL 3 no longer supports, or the passphrase is wrong; "
            "convert it with \"openssl pkcs12 -legacy -in %1"_s.arg(legacy));
    }
}

void tst_TlsOptions::badFilesAreDescribed()
{
    QFETCH(const TlsOptions, options);
    QFETCH(const QString, text);
    const Result<QSslConfiguration> configuration = tlsConfiguration(options);
    QVERIFY(!configuration);
    QCOMPARE(configuration.error().kind(), ErrorKind::Tls);
    QVERIFY2(configuration.error().text().contains(text), qPrintable(configuration.error().text()));
    QVERIFY(!configuration.error().text().contains(options.passphrase.toString()) ||
            options.passphrase.bytes().isEmpty());
}

void tst_TlsOptions::olderVersionsOfTlsAreNeverUsed()
{
    const QSslConfiguration before = QSslConfiguration::defaultConfiguration();
    QSslConfiguration any = before;
    any.setProtocol(QSsl::AnyProtocol);
    any.setPeerVerifyMode(QSslSocket::VerifyNone);
    QSslConfiguration::setDefaultConfiguration(any);
    const Result<QSslConfiguration> configuration = tlsConfiguration({});
    const bool isUnchanged = QSslConfiguration::defaultConfiguration() == any;
    QSslConfiguration::setDefaultConfiguration(before);
    QCOMPARE(configuration->protocol(), QSsl::TlsV1_2OrLater);
    QCOMPARE(configuration->peerVerifyMode(), QSslSocket::VerifyPeer);
    QVERIFY(isUnchanged);
    any.setProtocol(QSsl::TlsV1_3OrLater);
    QCOMPARE(tlsConfiguration({.configuration = any})->protocol(), QSsl::TlsV1_3OrLater);
    any.setProtocol(QSsl::SecureProtocols);
    QCOMPARE(tlsConfiguration({.configuration = any})->protocol(), QSsl::TlsV1_2OrLater);
}

void tst_TlsOptions::brokerIsVerifiedUnlessTheConfigurationSaysOtherwise()
{
    QSslConfiguration none = QSslConfiguration::defaultConfiguration();
    none.setPeerVerifyMode(QSslSocket::VerifyNone);
    QCOMPARE(tlsConfiguration({})->peerVerifyMode(), QSslSocket::VerifyPeer);
    QCOMPARE(tlsConfiguration({.configuration = none})->peerVerifyMode(), QSslSocket::VerifyNone);
}

void tst_TlsOptions::onlyTheseAuthoritiesAreTrusted()
{
    QSslConfiguration system = QSslConfiguration::defaultConfiguration();
    system.setCaCertificates({readCertificate(u"foreign-ca"_s)});
    const auto configuration = tlsConfiguration(
        {.configuration = system, .trustsSystem = false, .authorityFiles = {certificateFile(u"ca.pem"_s)}});
    QCOMPARE(configuration->caCertificates(), QList<QSslCertificate>{readCertificate(u"ca"_s)});
    // No authority at all is not the same as those of the system.
    QCOMPARE(tlsConfiguration({.configuration = system, .trustsSystem = false})->caCertificates(),
             QList<QSslCertificate>());
}

void tst_TlsOptions::otherAuthoritiesAreTrustedAsWell()
{
    QSslConfiguration system = QSslConfiguration::defaultConfiguration();
    system.setCaCertificates({readCertificate(u"foreign-ca"_s)});
    const auto configuration =
        tlsConfiguration({.configuration = system, .authorityFiles = {certificateFile(u"ca.pem"_s)}});
    QCOMPARE(configuration->caCertificates(),
             (QList<QSslCertificate>{readCertificate(u"foreign-ca"_s), readCertificate(u"ca"_s)}));
    QCOMPARE(tlsConfiguration({.configuration = system})->caCertificates(), system.caCertificates());
}

// Only a comparison shows whether the authorities of the system are loaded on demand, which setCaCertificates() ends.
static bool loadsOnDemand(const QSslConfiguration &configuration)
{
    QSslConfiguration other = configuration;
    other.setCaCertificates(configuration.caCertificates());
    return other != configuration;
}

void tst_TlsOptions::authoritiesOfTheSystemAreLoadedUnlessExcluded()
{
    if (!loadsOnDemand(m_system))
        QSKIP("this Qt does not load authorities on demand");
    const QStringList files{certificateFile(u"ca.pem"_s)};
    QVERIFY(loadsOnDemand(*tlsConfiguration({.configuration = m_system})));
    QVERIFY(loadsOnDemand(*tlsConfiguration({.configuration = m_system, .authorityFiles = files})));
    QVERIFY(!loadsOnDemand(*tlsConfiguration({.configuration = m_system, .trustsSystem = false})));
    QVERIFY(
        !loadsOnDemand(*tlsConfiguration({.configuration = m_system, .trustsSystem = false, .authorityFiles = files})));
}

void tst_TlsOptions::chainIsPresented()
{
    const auto configuration = tlsConfiguration(
        {.certificateFile = certificateFile(u"client-chain.pem"_s), .keyFile = certificateFile(u"client-chain.key"_s)});
    QVERIFY2(configuration, qPrintable(configuration.error().toString()));
    QCOMPARE(configuration->localCertificateChain(), readCertificateChain(u"client-chain"_s));
    QCOMPARE(configuration->localCertificateChain().size(), 2);
}

QTEST_GUILESS_MAIN(tst_TlsOptions)
#include "tst_tlsoptions.moc"
