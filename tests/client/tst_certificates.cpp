// SPDX-License-Identifier: MIT
#include "support/certificates.h"

#include <QtCore/qdir.h>
#include <QtCore/qprocess.h>
#include <QtCore/qtemporarydir.h>
#include <QtNetwork/qsslconfiguration.h>
#include <QtNetwork/qsslerror.h>
#include <QtTest/qtest.h>

using namespace Qt::StringLiterals;

Q_DECLARE_METATYPE(QSslError::SslError)

// Tests that each certificate of tools/certificates is valid, or has the fault that its name describes.
class tst_Certificates : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void init();
    void haveTheErrorsOfTheirNames_data();
    void haveTheErrorsOfTheirNames();
    void nameTheClients_data();
    void nameTheClients();
    void comeWithTheirKeys();
    void comeWithEncryptedKeys_data();
    void comeWithEncryptedKeys();
    void comeAsPkcs12_data();
    void comeAsPkcs12();
    void differWhenRenewed();
    void areRevoked_data();
    void areRevoked();
    void needAnEmptyDirectory();
    void rejectBadUsage();

private:
    static int run(const QStringList &arguments);
};

void tst_Certificates::init()
{
    // QSslCertificate::verify() takes the authorities from here.
    QSslConfiguration configuration = QSslConfiguration::defaultConfiguration();
    configuration.setCaCertificates({readCertificate(u"ca"_s)});
    QSslConfiguration::setDefaultConfiguration(configuration);
}

void tst_Certificates::haveTheErrorsOfTheirNames_data()
{
    using Error = QSslError::SslError;
    QTest::addColumn<QString>("host");
    QTest::addColumn<QSslError::SslError>("error");
    QTest::newRow("server") << u"localhost"_s << Error::NoError;
    QTest::newRow("server-rsa") << u"localhost"_s << Error::NoError;
    QTest::newRow("server-chain") << u"localhost"_s << Error::NoError;
    QTest::newRow("server-renewed") << u"127.0.0.1"_s << Error::NoError;
    QTest::newRow("server-no-ip") << u"localhost"_s << Error::NoError;
    QTest::newRow("server-broker-example") << u"broker.example"_s << Error::NoError;
    QTest::newRow("server-wrong-host") << u"localhost"_s << Error::HostNameMismatch;
    QTest::newRow("server-expired") << u"localhost"_s << Error::CertificateExpired;
    QTest::newRow("server-not-yet-valid") << u"localhost"_s << Error::CertificateNotYetValid;
    QTest::newRow("server-self-signed") << u"localhost"_s << Error::SelfSignedCertificate;
    QTest::newRow("server-foreign") << u"localhost"_s << Error::UnableToGetLocalIssuerCertificate;
}

void tst_Certificates::haveTheErrorsOfTheirNames()
{
    QFETCH(QString, host);
    QFETCH(QSslError::SslError, error);
    const QString name = QString::fromLatin1(QTest::currentDataTag());
    QList<QSslError::SslError> errors;
    for (const QSslError &found : QSslCertificate::verify(readCertificateChain(name), host)) {
        if (!errors.contains(found.error()))
            errors.append(found.error());
    }
    if (error == QSslError::UnableToGetLocalIssuerCertificate) // OpenSSL reports this as a second error
        errors.removeOne(QSslError::UnableToVerifyFirstCertificate);
    QCOMPARE(errors, error == QSslError::NoError ? QList<QSslError::SslError>() : QList{error});
}

void tst_Certificates::nameTheClients_data()
{
    QTest::addColumn<QString>("commonName");
    QTest::newRow("client") << u"amqpqt-client"_s;
    QTest::newRow("client-rsa") << u"amqpqt-client"_s;
    QTest::newRow("client-chain") << u"amqpqt-client"_s;
    QTest::newRow("client-foreign") << u"amqpqt-client"_s;
    QTest::newRow("client-expired") << u"amqpqt-client"_s;
    QTest::newRow("client-stranger") << u"amqpqt-stranger"_s;
    QTest::newRow("client-revoked") << u"amqpqt-revoked"_s;
}

void tst_Certificates::nameTheClients()
{
    QFETCH(QString, commonName);
    const QString name = QString::fromLatin1(QTest::currentDataTag());
    const QSslCertificate certificate = readCertificate(name);
    QCOMPARE(certificate.subjectInfo(QSslCertificate::CommonName), QStringList{commonName});
    QCOMPARE(certificate.expiryDate() < QDateTime::currentDateTime(), name == u"client-expired"_s);
}

void tst_Certificates::comeWithTheirKeys()
{
    const QDir directory(certificatesDirectory());
    const QFileInfoList files = directory.entryInfoList({u"*.pem"_s});
    QCOMPARE_GE(files.size(), 20);
    for (const QFileInfo &file : files) {
        const QString name = file.completeBaseName();
        const QSslKey key = readCertificateKey(name);
        QCOMPARE(readCertificate(name).publicKey().algorithm(), key.algorithm());
        QCOMPARE(key.algorithm() == QSsl::Rsa, name.endsWith(u"-rsa"_s));
    }
}

void tst_Certificates::comeWithEncryptedKeys_data()
{
    QTest::addColumn<QByteArray>("firstLine");
    QTest::newRow("client-encrypted.key") << QByteArray("-----BEGIN ENCRYPTED PRIVATE KEY-----\n");
    QTest::newRow("client-traditional.key") << QByteArray("-----BEGIN EC PRIVATE KEY-----\n");
}

void tst_Certificates::comeWithEncryptedKeys()
{
    QFETCH(QByteArray, firstLine);
    QFile file(certificateFile(QString::fromLatin1(QTest::currentDataTag())));
    QVERIFY(file.open(QFile::ReadOnly));
    const QByteArray encoded = file.readAll();
    QVERIFY(encoded.startsWith(firstLine));
    QVERIFY(QSslKey(encoded, QSsl::Ec, QSsl::Pem, QSsl::PrivateKey, "wrong").isNull());
    QCOMPARE(QSslKey(encoded, QSsl::Ec, QSsl::Pem, QSsl::PrivateKey, certificatePassphrase()),
             readCertificateKey(u"client"_s));
}

void tst_Certificates::comeAsPkcs12_data()
{
    QTest::addColumn<QByteArray>("password");
    QTest::newRow("client.p12") << certificatePassphrase();
    QTest::newRow("client-no-password.p12") << QByteArray();
}

void tst_Certificates::comeAsPkcs12()
{
    QFETCH(QByteArray, password);
    QFile file(certificateFile(QString::fromLatin1(QTest::currentDataTag())));
    QVERIFY(file.open(QFile::ReadOnly));
    QSslKey key;
    QSslCertificate certificate;
    QList<QSslCertificate> authorities;
    QVERIFY(QSslCertificate::importPkcs12(&file, &key, &certificate, &authorities, password));
    QCOMPARE(key, readCertificateKey(u"client"_s));
    QCOMPARE(certificate, readCertificate(u"client"_s));
    QCOMPARE(authorities, QList{readCertificate(u"ca"_s)});
}

void tst_Certificates::differWhenRenewed()
{
    QVERIFY(readCertificate(u"server-renewed"_s).serialNumber() != readCertificate(u"server"_s).serialNumber());
    QVERIFY(readCertificateKey(u"server-renewed"_s) != readCertificateKey(u"server"_s));
}

void tst_Certificates::areRevoked_data()
{
    QTest::addColumn<bool>("isRevoked");
    QTest::newRow("client") << false;
    QTest::newRow("client-revoked") << true;
}

void tst_Certificates::areRevoked()
{
    QFETCH(bool, isRevoked);
    const QString list = QDir(certificateFile(u"crl"_s)).absolutePath();
    QProcess process;
    process.setProcessChannelMode(QProcess::MergedChannels);
    process.start(u"openssl"_s, {u"verify"_s, u"-crl_check"_s, u"-CAfile"_s, certificateFile(u"ca.pem"_s), u"-CApath"_s,
                                 list, certificateFile(QString::fromLatin1(QTest::currentDataTag()) + u".pem"_s)});
    QVERIFY(process.waitForFinished());
    const QByteArray output = process.readAll();
    QVERIFY2(output.contains("certificate revoked") == isRevoked, output.constData());
    QVERIFY2((process.exitCode() == 0) == !isRevoked, output.constData());
}

void tst_Certificates::needAnEmptyDirectory()
{
    QTemporaryDir directory;
    QFile file(directory.filePath(u"mine"_s));
    QVERIFY(file.open(QFile::WriteOnly));
    QCOMPARE(run({directory.path()}), 1);
    QCOMPARE(QDir(directory.path()).entryList(QDir::Files), QStringList{u"mine"_s});
}

void tst_Certificates::rejectBadUsage()
{
    QCOMPARE(run({}), 2);
    QCOMPARE(run({u"--force"_s}), 2);
}

int tst_Certificates::run(const QStringList &arguments)
{
    QProcess process;
    process.start(QStringLiteral(AMQPQT_SOURCE_DIR "/tools/certificates"), arguments);
    return process.waitForFinished() ? process.exitCode() : -1;
}

QTEST_GUILESS_MAIN(tst_Certificates)

#include "tst_certificates.moc"
