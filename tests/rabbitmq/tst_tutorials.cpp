// SPDX-License-Identifier: MIT
#include "rabbitmq/exampleprograms.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;

// The examples that follow RabbitMQ's tutorials, run as a reader runs them.
class tst_Tutorials : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void helloWorld();
    void callsThatTheBrokerRejectsEndWithItsReason_data();
    void callsThatTheBrokerRejectsEndWithItsReason();
    void unreachableBrokerEndsThePrograms_data();
    void unreachableBrokerEndsThePrograms();
    void receiverSurvivesALoss();
    void workersShareTheTasks();
    void subscribersGetEveryLine();
    void severitiesAreRouted();
    void patternsChooseTopics();
    void confirmsReportTheOutcome_data();
    void confirmsReportTheOutcome();
};

void tst_Tutorials::helloWorld()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = uniqueName(u"q"_s);
    VERIFY_RUNS(u"send"_s, {u"--queue"_s, queue, u"Hello"_s, u"World!"_s});
    Receiver receive(u"receive"_s, {u"--queue"_s, queue});
    VERIFY_PRINTS(receive, queue.toUtf8() + ": 1 messages are waiting\nHello World!\n");
    QVERIFY(receive.endsWell());
    VERIFY_OK(client.channel->deleteQueue(queue));
}

void tst_Tutorials::callsThatTheBrokerRejectsEndWithItsReason_data()
{
    QTest::addColumn<QString>("kind");
    for (const char *name : {"receive", "dotasks", "worker"})
        QTest::newRow(name) << u"queue"_s;
    for (const char *name : {"receivelogs", "receivelogsdirect", "receivelogstopic"})
        QTest::newRow(name) << u"exchange"_s;
}

void tst_Tutorials::callsThatTheBrokerRejectsEndWithItsReason()
{
    QFETCH(const QString, kind);
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString name = uniqueName(kind);
    if (kind == u"queue"_s)
        VERIFY_OK(
            client.channel->declareQueue(name, {.durable = false, .exclusive = true})); // the example's is durable
    else
        VERIFY_OK(client.channel->declareExchange(name, u"headers"_s));
    const QString example = QString::fromLatin1(QTest::currentDataTag());
    QStringList arguments{u"--"_s + kind, name};
    if (example == u"receivelogsdirect"_s || example == u"receivelogstopic"_s)
        arguments += u"key"_s;
    const ProcessResult result = run(example, arguments);
    QCOMPARE(result.exitCode, 1);
    QVERIFY2(result.errors.contains(name.toUtf8()), result.errors.constData());
    if (kind == u"exchange"_s)
        VERIFY_OK(client.channel->deleteExchange(name));
}

void tst_Tutorials::unreachableBrokerEndsThePrograms_data()
{
    QTest::addColumn<QStringList>("arguments");
    for (const char *name : {"send", "receive", "newtask", "dotasks", "emitlog", "receivelogs", "confirms", "parallel",
                             "sensorwatch", "token"})
        QTest::newRow(name) << QStringList();
    for (const char *name : {"receivelogsdirect", "receivelogstopic"})
        QTest::newRow(name) << QStringList{u"key"_s};
    for (const char *name : {"emitlogdirect", "emitlogtopic"})
        QTest::newRow(name) << QStringList{u"key"_s, u"text"_s};
}

void tst_Tutorials::unreachableBrokerEndsThePrograms()
{
    QFETCH(const QStringList, arguments);
    const QString url = u"amqp://127.0.0.1:1"_s; // nobody listens on this port
    const ProcessResult result =
        run(QString::fromLatin1(QTest::currentDataTag()), QStringList{u"--url"_s, url} + arguments);
    QCOMPARE(result.exitCode, 1);
    QVERIFY2(result.errors.startsWith("127.0.0.1:1: Connection refused"), result.errors.constData());
    QCOMPARE(result.errors.count("Connection refused"), 1);
}

void tst_Tutorials::receiverSurvivesALoss()
{
    const QString queue = uniqueName(u"q"_s);
    Receiver receive(u"receive"_s, {u"--queue"_s, queue});
    VERIFY_PRINTS(receive, queue.toUtf8() + ": 0 messages are waiting\n");
    QCOMPARE(brokerControl({u"-q"_s, u"close_all_connections"_s, u"the test"_s}).exitCode, 0);
    VERIFY_RUNS(u"send"_s, {u"--queue"_s, queue, u"Hello"_s, u"again"_s});
    VERIFY_PRINTS(receive, queue.toUtf8() + ": 0 messages are waiting\nHello again\n");
    QVERIFY(receive.endsWell());
    BrokerClient client;
    VERIFY_OK(client.channel->deleteQueue(queue));
}

void tst_Tutorials::workersShareTheTasks()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = uniqueName(u"q"_s);
    Receiver busy(u"dotasks"_s, {u"--queue"_s, queue});
    VERIFY_PRINTS(busy, "Waiting for tasks\n");
    const QString hours(3600, u'.'); // a task of an hour
    VERIFY_RUNS(u"newtask"_s, {u"--queue"_s, queue, hours});
    VERIFY_PRINTS(busy, "Waiting for tasks\nBegin " + hours.toUtf8() + '\n');
    VERIFY_RUNS(u"newtask"_s, {u"--queue"_s, queue, u"short"_s, u"one"_s});

    // The task waits for an idle worker.
    Receiver idle(u"dotasks"_s, {u"--queue"_s, queue});
    VERIFY_PRINTS(idle, "Waiting for tasks\nBegin short one\nDone short one\n");
    QVERIFY(idle.endsWell());
    QVERIFY(waitFor([&] { return client.messageCount(queue) == 0; }));
    QVERIFY(busy.endsWell());
    QVERIFY(waitFor([&] { return client.messageCount(queue) == 1; })); // the unfinished task has returned to the queue
    VERIFY_OK(client.channel->deleteQueue(queue));
}

void tst_Tutorials::subscribersGetEveryLine()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString exchange = uniqueName(u"e"_s);
    Receiver one(u"receivelogs"_s, {u"--exchange"_s, exchange});
    Receiver two(u"receivelogs"_s, {u"--exchange"_s, exchange});
    VERIFY_PRINTS(one, "Waiting for logs\n");
    VERIFY_PRINTS(two, "Waiting for logs\n");
    VERIFY_RUNS(u"emitlog"_s, {u"--exchange"_s, exchange, u"to"_s, u"all"_s});
    VERIFY_PRINTS(one, "Waiting for logs\nto all\n");
    VERIFY_PRINTS(two, "Waiting for logs\nto all\n");
    QVERIFY(one.endsWell() && two.endsWell());
    VERIFY_OK(client.channel->deleteExchange(exchange));
}

void tst_Tutorials::severitiesAreRouted()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString exchange = uniqueName(u"e"_s);
    Receiver errors(u"receivelogsdirect"_s, {u"--exchange"_s, exchange, u"error"_s});
    Receiver all(u"receivelogsdirect"_s, {u"--exchange"_s, exchange, u"error"_s, u"info"_s});
    VERIFY_PRINTS(errors, "Waiting for logs\n");
    VERIFY_PRINTS(all, "Waiting for logs\n");
    VERIFY_RUNS(u"emitlogdirect"_s, {u"--exchange"_s, exchange, u"info"_s, u"it"_s, u"runs"_s});
    VERIFY_RUNS(u"emitlogdirect"_s, {u"--exchange"_s, exchange, u"error"_s, u"it"_s, u"burns"_s});
    VERIFY_PRINTS(all, "Waiting for logs\ninfo: it runs\nerror: it burns\n");
    VERIFY_PRINTS(errors, "Waiting for logs\nerror: it burns\n");
    QVERIFY(errors.endsWell() && all.endsWell());
    VERIFY_OK(client.channel->deleteExchange(exchange));
    QCOMPARE(run(u"receivelogsdirect"_s, {}).exitCode, 1); // the program requires a severity
}

void tst_Tutorials::patternsChooseTopics()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString exchange = uniqueName(u"e"_s);
    Receiver kernel(u"receivelogstopic"_s, {u"--exchange"_s, exchange, u"kern.*"_s});
    Receiver critical(u"receivelogstopic"_s, {u"--exchange"_s, exchange, u"#.critical"_s, u"cron.#"_s});
    VERIFY_PRINTS(kernel, "Waiting for logs\n");
    VERIFY_PRINTS(critical, "Waiting for logs\n");
    const QStringList topics = {u"kern.info"_s, u"kern.critical"_s, u"cron"_s, u"mail.in.info"_s,
                                u"mail.in.critical"_s};
    for (const QString &topic : topics)
        VERIFY_RUNS(u"emitlogtopic"_s, {u"--exchange"_s, exchange, topic, u"line"_s});
    VERIFY_PRINTS(kernel, "Waiting for logs\nkern.info: line\nkern.critical: line\n");
    VERIFY_PRINTS(critical, "Waiting for logs\nkern.critical: line\ncron: line\nmail.in.critical: line\n");
    QVERIFY(kernel.endsWell() && critical.endsWell());
    VERIFY_OK(client.channel->deleteExchange(exchange));
}

void tst_Tutorials::confirmsReportTheOutcome_data()
{
    QTest::addColumn<bool>("declare");
    QTest::newRow("confirmed") << true;
    QTest::newRow("returned") << false;
}

void tst_Tutorials::confirmsReportTheOutcome()
{
    QFETCH(const bool, declare);
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = uniqueName(u"q"_s);
    QStringList arguments = {u"--queue"_s, queue, u"--count"_s, u"500"_s};
    if (declare)
        arguments += u"--declare"_s;
    const ProcessResult result = run(u"confirms"_s, arguments);
    QCOMPARE(result.exitCode, declare ? 0 : 1);
    QCOMPARE(result.output, declare ? "500 confirmed, 0 failed\n"_ba : "0 confirmed, 500 failed\n"_ba);
    QCOMPARE(result.errors.count("NO_ROUTE"), declare ? 0 : 500);
    QCOMPARE(client.messageCount(queue), declare ? 500 : -1);
    VERIFY_OK(client.channel->deleteQueue(queue));
}

QTEST_GUILESS_MAIN(tst_Tutorials)

#include "tst_tutorials.moc"
