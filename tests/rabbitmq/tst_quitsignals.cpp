// SPDX-License-Identifier: MIT
#include "rabbitmq/brokerclient.h"

#include <QtCore/qset.h>

#include <csignal>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Tests Ctrl-C as the examples handle it.
class tst_QuitSignals : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void programEndsWellAndLeavesTheRest_data();
    void programEndsWellAndLeavesTheRest();
    void programEndsWhileNothingArrives();
};

void tst_QuitSignals::programEndsWellAndLeavesTheRest_data()
{
    QTest::addColumn<int>("signalNumber");
    QTest::newRow("SIGINT") << SIGINT;
    QTest::newRow("SIGTERM") << SIGTERM;
}

// A3
void tst_QuitSignals::programEndsWellAndLeavesTheRest()
{
    QFETCH(const int, signalNumber);
    constexpr int Count = 5000;
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(client.channel->declareQueue(queue));
    const QString padding(1000, u'.');
    for (int i = 0; i < Count; ++i)
        client.channel->publish({}, queue, Message::fromText(u"%1 %2"_s.arg(i).arg(padding)));
    QVERIFY(waitFor([&] { return client.messageCount(queue) == Count; }));

    QProcess receive;
    receive.start(QStringLiteral(AMQPQT_RECEIVE), {u"--url"_s, brokerUrl().toString(), u"--queue"_s, queue});
    QVERIFY(receive.waitForStarted());
    // Nothing has emptied the pipe so far, so the program cannot have reached the end of the queue.
    QVERIFY(receive.waitForReadyRead(int(Patience.count())));
    ::kill(pid_t(receive.processId()), signalNumber);
    QVERIFY(waitFor([&] { return receive.state() == QProcess::NotRunning; }));
    QCOMPARE(receive.readAllStandardError(), QByteArray());
    QCOMPARE(receive.exitStatus(), QProcess::NormalExit);
    QCOMPARE(receive.exitCode(), 0);

    QList<QByteArray> lines = receive.readAllStandardOutput().split('\n');
    QCOMPARE(lines.takeLast(), QByteArray());
    QVERIFY(!lines.isEmpty());
    QVERIFY(lines.takeFirst().endsWith("messages are waiting"));
    QVERIFY(lines.size() < Count);
    for (qsizetype i = 0; i < lines.size(); ++i)
        QVERIFY2(lines[i].startsWith(QByteArray::number(i) + ' '), lines[i].left(20).constData());

    // Printed messages are acked. All others are still in the queue, even if they had been sent to the program.
    QVERIFY(waitFor([&] { return client.messageCount(queue) == Count - lines.size(); }));
    const Result<std::optional<GetResult>> next = await(client.channel->get(queue));
    QVERIFY(next && *next);
    QVERIFY((*next)->message.body().startsWith(QByteArray::number(lines.size()) + ' '));
    VERIFY_OK(client.channel->deleteQueue(queue));
}

// A3
void tst_QuitSignals::programEndsWhileNothingArrives()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = uniqueName(u"q"_s);
    QProcess receive;
    receive.start(QStringLiteral(AMQPQT_RECEIVE), {u"--url"_s, brokerUrl().toString(), u"--queue"_s, queue});
    QVERIFY(waitFor([&] { return receive.canReadLine(); })); // the program is connected
    ::kill(pid_t(receive.processId()), SIGTERM);
    QVERIFY(waitFor([&] { return receive.state() == QProcess::NotRunning; }));
    QCOMPARE(receive.exitStatus(), QProcess::NormalExit);
    QCOMPARE(receive.exitCode(), 0);
    VERIFY_OK(client.channel->deleteQueue(queue));
}

QTEST_GUILESS_MAIN(tst_QuitSignals)

#include "tst_quitsignals.moc"
