// SPDX-License-Identifier: MIT
#include "support/brokerfixture.h"

#include <QtTest/qtest.h>

using namespace Qt::StringLiterals;

class tst_BrokerFixture : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void givesTheUrlOfABroker();
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
