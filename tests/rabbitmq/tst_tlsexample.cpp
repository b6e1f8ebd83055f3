// SPDX-License-Identifier: MIT
#include "rabbitmq/exampleprograms.h"
#include "support/certificates.h"

#include <QtCore/qdatetime.h>
#include <QtCore/qprocess.h>
#include <QtCore/qtemporaryfile.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// The example that connects with TLS.
class tst_TlsExample : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void itSendsAMessageToItself_data();
    void itSendsAMessageToItself();
    void lineEndIsNotPartOfThePassword_data();
    void lineEndIsNotPartOfThePassword();
    void certificateThatExpiresSoonIsReported();
    void failuresNameTheirCause_data();
    void failuresNameTheirCause();
};

namespace
{

ProcessResult runTls(const QStringList &arguments, const QProcessEnvironment &environment = {})
{
    QProcess process;
    QProcessEnvironment all = QProcessEnvironment::systemEnvironment();
    all.insert(environment);
    process.setProcessEnvironment(all);
    const QString url = brokerTlsUrl().adjusted(QUrl::RemoveUserInfo).toString(QUrl::FullyEncoded);
    process.start(program(u"tls"_s), QStringList{u"--url"_s, url} + arguments);
    if (!waitFor([&] { return process.state() == QProcess::NotRunning; }))
        process.kill();
    return {process.exitStatus() == QProcess::NormalExit ? process.exitCode() : -1, process.readAllStandardOutput(),
            process.readAllStandardError()};
}

QProcessEnvironment variable(const QString &name, const QByteArray &value)
{
    QProcessEnvironment environment;
    environment.insert(name, QString::fromUtf8(value));
    return environment;
}

QByteArray expectedOutput(const QByteArray &warning = {})
{
    const QByteArray expiry = readCertificate(u"server"_s).expiryDate().toUTC().toString(Qt::ISODate).toLatin1();
    return "TLSv1.3, TLS_AES_256_GCM_SHA384\n"
           "certificate of localhost, issued by Test CA, expires on " +
           expiry + '\n' + warning + "received: Hello, encrypted rabbit\n";
}

QStringList authorities()
{
    return {u"--authorities"_s, certificateFile(u"ca.pem"_s)};
}

} // namespace

void tst_TlsExample::itSendsAMessageToItself_data()
{
    QTest::addColumn<QStringList>("arguments");
    QTest::addColumn<QString>("name");
    QTest::addColumn<QByteArray>("value");
    const QString certificate = certificateFile(u"client.pem"_s);
    const QString encryptedKey = certificateFile(u"client-encrypted.key"_s);
    QTest::newRow("default password") << QStringList() << u"UNUSED"_s << QByteArray();
    QTest::newRow("password") << QStringList() << u"AMQP_PASSWORD"_s << QByteArray("guest");
    QTest::newRow("certificate") << QStringList{u"--external"_s, u"--certificate"_s, certificate, u"--key"_s,
                                                certificateFile(u"client.key"_s)}
                                 << u"UNUSED"_s << QByteArray();
    QTest::newRow("passphrase in the environment")
        << QStringList{u"--external"_s, u"--certificate"_s, certificate, u"--key"_s, encryptedKey}
        << u"TLS_PASSPHRASE"_s << certificatePassphrase();
    QTest::newRow("passphrase in a file")
        << QStringList{u"--external"_s, u"--pkcs12"_s, certificateFile(u"client.p12"_s), u"--passphrase-file"_s,
                       certificateFile(u"passphrase"_s)}
        << u"UNUSED"_s << QByteArray();
}

void tst_TlsExample::itSendsAMessageToItself()
{
    QFETCH(const QStringList, arguments);
    QFETCH(const QString, name);
    QFETCH(const QByteArray, value);
    const ProcessResult result = runTls(authorities() + arguments, variable(name, value));
    QCOMPARE(result.errors, QByteArray());
    QCOMPARE(result.exitCode, 0);
    QCOMPARE(result.output, expectedOutput());
}

void tst_TlsExample::lineEndIsNotPartOfThePassword_data()
{
    QTest::addColumn<QByteArray>("content");
    QTest::newRow("none") << QByteArray("guest");
    QTest::newRow("LF") << QByteArray("guest\n");
    QTest::newRow("CR LF") << QByteArray("guest\r\n");
}

void tst_TlsExample::lineEndIsNotPartOfThePassword()
{
    QFETCH(const QByteArray, content);
    QTemporaryFile file;
    QVERIFY(file.open());
    file.write(content);
    file.close();
    const ProcessResult result = runTls(authorities() + QStringList{u"--password-file"_s, file.fileName()});
    QCOMPARE(result.errors, QByteArray());
    QCOMPARE(result.output, expectedOutput());
}

void tst_TlsExample::certificateThatExpiresSoonIsReported()
{
    const qint64 days = QDateTime::currentDateTimeUtc().daysTo(readCertificate(u"server"_s).expiryDate());
    const ProcessResult result = runTls(authorities() + QStringList{u"--warn-days"_s, QString::number(days + 2)});
    QCOMPARE(result.exitCode, 0);
    QCOMPARE(result.output, expectedOutput("warning: the certificate of the broker expires in " +
                                           QByteArray::number(days) + " days\n"));
}

void tst_TlsExample::failuresNameTheirCause_data()
{
    QTest::addColumn<QStringList>("arguments");
    QTest::addColumn<QString>("name");
    QTest::addColumn<QByteArray>("value");
    QTest::addColumn<QByteArray>("text");
    QTest::newRow("unknown authority") << QStringList() << u"UNUSED"_s << QByteArray() << QByteArray("Test CA");
    QTest::newRow("missing file") << QStringList{u"--authorities"_s, u"/nonexistent"_s} << u"UNUSED"_s << QByteArray()
                                  << QByteArray("/nonexistent");
    QTest::newRow("wrong password") << authorities() << u"AMQP_PASSWORD"_s << QByteArray("mistaken")
                                    << QByteArray("ACCESS_REFUSED");
    QTest::newRow("no certificate") << authorities() + QStringList{u"--external"_s} << u"UNUSED"_s << QByteArray()
                                    << QByteArray("EXTERNAL");
    QTest::newRow("missing password file") << authorities() + QStringList{u"--password-file"_s, u"/nonexistent"_s}
                                           << u"UNUSED"_s << QByteArray() << QByteArray("/nonexistent");
    QTest::newRow("password on the command line") << QStringList{u"--url"_s, u"amqps://guest:mistaken@localhost/"_s}
                                                  << u"UNUSED"_s << QByteArray() << QByteArray("--password-file");
    QTest::newRow("without TLS") << QStringList{u"--url"_s, u"amqp://localhost/"_s} << u"UNUSED"_s << QByteArray()
                                 << QByteArray("tlsRequired");
}

void tst_TlsExample::failuresNameTheirCause()
{
    QFETCH(const QStringList, arguments);
    QFETCH(const QString, name);
    QFETCH(const QByteArray, value);
    QFETCH(const QByteArray, text);
    const ProcessResult result = runTls(arguments, variable(name, value));
    QCOMPARE(result.exitCode, 1);
    QVERIFY2(result.errors.contains(text), result.errors.constData());
    QVERIFY2(!result.errors.contains("mistaken"), result.errors.constData());
    QCOMPARE(result.output, QByteArray());
}

QTEST_GUILESS_MAIN(tst_TlsExample)
#include "tst_tlsexample.moc"
