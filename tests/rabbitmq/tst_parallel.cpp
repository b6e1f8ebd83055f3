// SPDX-License-Identifier: MIT
#include "rabbitmq/exampleprograms.h"
#include "rabbitmq/queues.h"

#include <QtCore/qregularexpression.h>

#include <numeric>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// The example that consumes with several connections in several threads.
class tst_Parallel : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void everyMessageIsReceivedOnce_data();
    void everyMessageIsReceivedOnce();
    void countLeavesTheRest();
    void threadsShareAQueueUntilCtrlC();
    void consistentHashSpreadsOverThePartitions();
    void streamsAreReadFromTheirOffset();
    void wrongOptionsAreRejected_data();
    void wrongOptionsAreRejected();
    void missingQueueEndsAllThreads();
};

namespace
{

QStringList ofQueues(const QStringList &queues)
{
    QStringList arguments;
    for (const QString &queue : queues)
        arguments += {u"--queue"_s, queue};
    return arguments;
}

int sum(const QList<int> &counts)
{
    return std::accumulate(counts.cbegin(), counts.cend(), 0);
}

// Returns the counts of the threads, if their sum is the total in the program's last line.
QList<int> receivedBy(const QByteArray &output)
{
    static const QRegularExpression line(
        u"\\Areceived (\\d+) messages in \\d+\\.\\d\\d s, \\d+ msg/s, by thread:((?: \\d+)+)\n\\z"_s);
    const QRegularExpressionMatch match = line.match(QString::fromUtf8(output));
    QList<int> counts;
    for (const QString &count : match.captured(2).split(u' ', Qt::SkipEmptyParts))
        counts += count.toInt();
    if (sum(counts) != match.captured(1).toInt())
        return {};
    return counts;
}

bool hasConsumers(BrokerClient &client, const QString &queue, quint32 count)
{
    return waitFor([&] {
        const Result<QueueInfo> info = await(client.channel->inspectQueue(queue));
        return !info || info->consumerCount == count;
    });
}

} // namespace

void tst_Parallel::everyMessageIsReceivedOnce_data()
{
    QTest::addColumn<int>("threads");
    QTest::addColumn<int>("queues");
    QTest::addColumn<QList<int>>("shares"); // empty if the broker decides
    QTest::newRow("one thread, one queue") << 1 << 1 << QList<int>{500};
    QTest::newRow("one thread, three queues") << 1 << 3 << QList<int>{1500};
    QTest::newRow("two threads, one queue") << 2 << 1 << QList<int>{};
    QTest::newRow("two threads, two queues") << 2 << 2 << QList<int>{500, 500};
    QTest::newRow("two threads, three queues") << 2 << 3 << QList<int>{1000, 500};
    QTest::newRow("three threads, two queues") << 3 << 2 << QList<int>{};
}

void tst_Parallel::everyMessageIsReceivedOnce()
{
    QFETCH(const int, threads);
    QFETCH(const int, queues);
    QFETCH(const QList<int>, shares);
    BrokerClient client;
    QVERIFY(client.isOpen());
    QStringList names;
    for (int i = 0; i < queues; ++i)
        names += filledQueue(client, 500);
    const ProcessResult result = run(u"parallel"_s, QStringList{u"--threads"_s, QString::number(threads), u"--count"_s,
                                                                QString::number(queues * 500)} +
                                                        ofQueues(names));
    QCOMPARE(result.errors, QByteArray());
    QCOMPARE(result.exitCode, 0);
    const QList<int> counts = receivedBy(result.output);
    QCOMPARE(counts.size(), threads);
    QCOMPARE(sum(counts), queues * 500);
    if (!shares.isEmpty())
        QCOMPARE(counts, shares);
    // If a message were counted twice, another message would be left.
    for (const QString &name : std::as_const(names))
        QVERIFY(waitFor([&] { return queueCounts(client.channel, name) == "0 0"; }));
}

void tst_Parallel::countLeavesTheRest()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = filledQueue(client, 1000);
    const ProcessResult result = run(u"parallel"_s, {u"--count"_s, u"301"_s, u"--queue"_s, queue});
    QCOMPARE(result.errors, QByteArray());
    QCOMPARE(result.exitCode, 0);
    QCOMPARE(sum(receivedBy(result.output)), 301);
    QVERIFY(waitFor([&] { return queueCounts(client.channel, queue) == "699 0"; }));
}

void tst_Parallel::threadsShareAQueueUntilCtrlC()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = filledQueue(client, 0);
    Receiver parallel(u"parallel"_s, {u"--threads"_s, u"2"_s, u"--queue"_s, queue});
    QVERIFY(hasConsumers(client, queue, 2));
    for (int i = 0; i < 100; ++i)
        client.channel->publish({}, queue, Message("task"));
    QVERIFY(waitFor([&] { return queueCounts(client.channel, queue) == "0 0"; }));
    QVERIFY(parallel.endsWell());
    const QList<int> counts = receivedBy(parallel.output());
    QCOMPARE(sum(counts), 100);
    QCOMPARE(counts.size(), 2);
    QVERIFY2(!counts.contains(0), parallel.output().constData());
}

void tst_Parallel::consistentHashSpreadsOverThePartitions()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString exchange = uniqueName(u"e"_s);
    const QStringList queues = {uniqueName(u"q"_s), uniqueName(u"q"_s)};
    for (const QString &queue : queues)
        VERIFY_OK(client.channel->declareQueue(queue));
    Receiver parallel(u"parallel"_s,
                      QStringList{u"--count"_s, u"300"_s, u"--declare-partitions"_s, exchange} + ofQueues(queues));
    for (const QString &queue : queues)
        QVERIFY(hasConsumers(client, queue, 1)); // the queue is bound by then
    for (int i = 0; i < 300; ++i)
        client.channel->publish(exchange, u"customer-%1"_s.arg(i), Message("order"));
    QVERIFY(parallel.endsByItself());
    const QList<int> counts = receivedBy(parallel.output());
    QCOMPARE(sum(counts), 300);
    QCOMPARE(counts.size(), 2);
    QVERIFY2(!counts.contains(0), parallel.output().constData());
    for (const QString &queue : queues)
        VERIFY_OK(client.channel->deleteQueue(queue));
    VERIFY_OK(client.channel->deleteExchange(exchange));
}

void tst_Parallel::streamsAreReadFromTheirOffset()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    VERIFY_OK(client.channel->confirmSelect());
    const QString stream = uniqueName(u"s"_s);
    const QStringList partitions = {stream + u"-0"_s, stream + u"-1"_s};
    for (const QString &partition : partitions) {
        VERIFY_OK(client.channel->declareQueue(partition, QueueOptions::stream()));
        for (int i = 0; i < 50; ++i)
            client.channel->publish({}, partition, Message("event"));
    }
    VERIFY_OK(client.channel->whenConfirmed());
    using Read = std::pair<QString, int>;
    for (const auto &[offset, each] : {Read(u"first"_s, 50), Read(u"30"_s, 20)}) {
        const ProcessResult result =
            run(u"parallel"_s,
                QStringList{u"--stream"_s, offset, u"--count"_s, QString::number(2 * each)} + ofQueues(partitions));
        QCOMPARE(result.errors, QByteArray());
        QCOMPARE(result.exitCode, 0);
        QCOMPARE(receivedBy(result.output), QList<int>({each, each}));
    }
    for (const QString &partition : partitions)
        VERIFY_OK(client.channel->deleteQueue(partition));
}

void tst_Parallel::wrongOptionsAreRejected_data()
{
    QTest::addColumn<QStringList>("arguments");
    QTest::addColumn<QByteArray>("message");
    QTest::newRow("no thread") << QStringList{u"--threads"_s, u"0"_s}
                               << "--threads: 0 is not a number from 1 to 256\n"_ba;
    QTest::newRow("too many threads") << QStringList{u"--threads"_s, u"257"_s}
                                      << "--threads: 257 is not a number from 1 to 256\n"_ba;
    QTest::newRow("no number") << QStringList{u"--threads"_s, u"two"_s}
                               << "--threads: two is not a number from 1 to 256\n"_ba;
    QTest::newRow("no message") << QStringList{u"--count"_s, u"0"_s}
                                << "--count: 0 is not a number from 1 to 1000000000\n"_ba;
    QTest::newRow("a queue twice")
        << ofQueues({u"a"_s, u"b"_s, u"a"_s})
        << "--queue: a queue is named twice; use more threads than queues to consume it twice\n"_ba;
    QTest::newRow("more threads than streams")
        << QStringList{u"--stream"_s, u"first"_s, u"--threads"_s, u"2"_s, u"--queue"_s, u"a"_s}
        << "--threads: the maximum is the number of streams, since "
           "each consumer of a stream receives all its messages\n"_ba;
}

void tst_Parallel::wrongOptionsAreRejected()
{
    QFETCH(const QStringList, arguments);
    QFETCH(const QByteArray, message);
    const ProcessResult result = run(u"parallel"_s, arguments);
    QCOMPARE(result.errors, message);
    QCOMPARE(result.output, QByteArray());
    QCOMPARE(result.exitCode, 1);
}

void tst_Parallel::missingQueueEndsAllThreads()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = filledQueue(client, 0);
    const ProcessResult result = run(u"parallel"_s, ofQueues({queue, uniqueName(u"missing"_s)}));
    QVERIFY2(result.errors.contains("NOT_FOUND"), result.errors.constData());
    QCOMPARE(result.errors.count('\n'), 1);
    QCOMPARE(receivedBy(result.output), QList<int>({0, 0}));
    QCOMPARE(result.exitCode, 1);
}

QTEST_GUILESS_MAIN(tst_Parallel)

#include "tst_parallel.moc"
