// SPDX-License-Identifier: MIT
#include "support/brokerfixture.h"

#include <QtTest/qtest.h>

using namespace Qt::StringLiterals;

class tst_BrokerFixture : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void givesTheUrlOfABroker();
    void givesTheUrlOfTheBrokerOverTls();
    void logsInByCertificate_data();
    void logsInByCertificate();
    void controlsTheBroker();
    void runsPika();
    void runsPikaBesideTheTest();
    void namesAreUnique();
};

void tst_BrokerFixture::givesTheUrlOfABroker()
{
    const QUrl url = brokerUrl();
    QVERIFY(url.isValid());
    QCOMPARE(url.scheme(), u"amqp"_s);
    QCOMPARE(brokerUrl(), url);
}

void tst_BrokerFixture::givesTheUrlOfTheBrokerOverTls()
{
    const QUrl url = brokerTlsUrl();
    QVERIFY(url.isValid());
    QCOMPARE(url.scheme(), u"amqps"_s);
    const ProcessResult result = runPika(uR"(
import os, pika, ssl
context = ssl.create_default_context(cafile=os.environ["AMQPQT_TEST_CERTIFICATES"] + "/ca.pem")
parameters = pika.URLParameters(os.environ["AMQPQT_TEST_TLS_URL"])
parameters.ssl_options = pika.SSLOptions(context, parameters.host)
connection = pika.BlockingConnection(parameters)
print(connection._impl.params.host, connection._impl.server_properties["product"])
)"_s);
    QVERIFY2(result.exitCode == 0, result.errors.constData());
    QCOMPARE(result.output, "127.0.0.1 RabbitMQ\n");
}

void tst_BrokerFixture::logsInByCertificate_data()
{
    QTest::addColumn<QByteArray>("outcome"); // of a log-in by EXTERNAL
    QTest::newRow("client") << QByteArray("logged in\n");
    QTest::newRow("client-chain") << QByteArray("logged in\n");
    QTest::newRow("client-stranger") << QByteArray("403\n");
    QTest::newRow("client-foreign") << QByteArray("TLSV1_ALERT_UNKNOWN_CA\n");
    QTest::newRow("client-revoked") << QByteArray("SSLV3_ALERT_CERTIFICATE_REVOKED\n");
    QTest::newRow("client-expired") << QByteArray("SSLV3_ALERT_CERTIFICATE_EXPIRED\n");
}

void tst_BrokerFixture::logsInByCertificate()
{
    QFETCH(QByteArray, outcome);
    QVERIFY(!brokerTlsUrl().isEmpty());
    const ProcessResult result = runPika(uR"(
import logging, os, pika, re, ssl, sys
logging.disable(logging.CRITICAL)
name = os.environ["AMQPQT_TEST_CERTIFICATES"] + "/"
context = ssl.create_default_context(cafile=name + "ca.pem")
context.maximum_version = ssl.TLSVersion.TLSv1_2 # with 1.3, the alert comes after the handshake
context.load_cert_chain(name + sys.argv[1] + ".pem", name + sys.argv[1] + ".key")
parameters = pika.URLParameters(os.environ["AMQPQT_TEST_TLS_URL"])
parameters.ssl_options = pika.SSLOptions(context, parameters.host)
parameters.credentials = pika.credentials.ExternalCredentials()
try:
    pika.BlockingConnection(parameters)
    print("logged in")
except Exception as error:
    print(re.search("[A-Z0-9]+_ALERT_[A-Z_]+|403", repr(error)).group())
)"_s,
                                         {QString::fromLatin1(QTest::currentDataTag())});
    QVERIFY2(result.exitCode == 0, result.errors.constData());
    QCOMPARE(result.output, outcome);
}

void tst_BrokerFixture::controlsTheBroker()
{
    const ProcessResult hosts = brokerControl({u"-q"_s, u"list_vhosts"_s});
    QVERIFY2(hosts.exitCode == 0, hosts.errors.constData());
    QVERIFY(hosts.output.split('\n').contains("/"));
    QVERIFY(brokerControl({u"no_such_command"_s}).exitCode > 0);
}

void tst_BrokerFixture::runsPika()
{
    const ProcessResult result = runPika(uR"(
import os, sys, pika
channel = pika.BlockingConnection(pika.URLParameters(os.environ["AMQPQT_TEST_URL"])).channel()
channel.queue_declare(sys.argv[1], exclusive=True)
channel.basic_publish("", sys.argv[1], sys.stdin.buffer.read())
print(channel.basic_get(sys.argv[1], auto_ack=True)[2].decode())
)"_s,
                                         {uniqueName(u"q"_s)}, "21.5 °C");
    QVERIFY2(result.exitCode == 0, result.errors.constData());
    QCOMPARE(result.output, "21.5 °C\n");

    const ProcessResult failed = runPika(u"raise SystemExit(3)"_s);
    QCOMPARE(failed.exitCode, 3);
}

void tst_BrokerFixture::runsPikaBesideTheTest()
{
    const auto process =
        startPika(u"import sys, pika\nfor line in sys.stdin: print(line.upper(), end='', flush=True)"_s);
    process->write("one\n");
    QTRY_VERIFY(process->canReadLine());
    QCOMPARE(process->readLine(), "ONE\n");
    process->closeWriteChannel();
    QTRY_COMPARE(process->state(), QProcess::NotRunning);
    QCOMPARE(process->exitCode(), 0);
}

void tst_BrokerFixture::namesAreUnique()
{
    QVERIFY(uniqueName(u"q"_s).startsWith(u"q.namesAreUnique."_s));
    QVERIFY(uniqueName(u"q"_s) != uniqueName(u"q"_s));
}

QTEST_GUILESS_MAIN(tst_BrokerFixture)

#include "tst_brokerfixture.moc"
