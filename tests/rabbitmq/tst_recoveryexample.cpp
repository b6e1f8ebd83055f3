// SPDX-License-Identifier: MIT
#include "rabbitmq/exampleprograms.h"
#include "support/delayproxy.h"

#include <QtCore/qregularexpression.h>
#include <QtCore/qset.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// The examples that recover from losses of their connections.
class tst_RecoveryExample : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void everyConfirmedMessageArrives();
    void attemptsContinueUntilTheBrokerAnswers();
    void endsWithTheReasonIfTheQueueDiffers();
    void workerGoesOn();
};

namespace
{

// The program while it runs, with all that it has printed.
class Example
{
public:
    explicit Example(const QStringList &arguments, const QString &name = u"recovery"_s)
    {
        m_process.start(program(name), arguments);
    }
    ~Example()
    {
        m_process.kill();
        m_process.waitForFinished();
    }

    bool prints(const QByteArray &text, int times = 1)
    {
        return waitFor([&] { return output().count(text) >= times || hasEnded(); }) && output().count(text) >= times;
    }
    void interrupt() { ::kill(pid_t(m_process.processId()), SIGINT); }
    bool ends()
    {
        const bool ended = waitFor([&] { return hasEnded(); });
        output();
        return ended;
    }
    bool hasEnded() const { return m_process.state() == QProcess::NotRunning; }
    int exitCode() const { return m_process.exitStatus() == QProcess::NormalExit ? m_process.exitCode() : -1; }
    QByteArray errors()
    {
        m_errors += m_process.readAllStandardError();
        return m_errors;
    }
    QByteArray output()
    {
        m_output += m_process.readAllStandardOutput();
        return m_output;
    }

private:
    QProcess m_process;
    QByteArray m_output;
    QByteArray m_errors;
};

} // namespace

// A queue of the test shows what has reached the broker, whatever the program counts.
void tst_RecoveryExample::everyConfirmedMessageArrives()
{
    constexpr int Losses = 3;
    const QString exchange = uniqueName(u"e"_s);
    const QString queue = uniqueName(u"q"_s);
    const QString copies = uniqueName(u"copies"_s);
    {
        BrokerClient client;
        QVERIFY(client.isOpen());
        VERIFY_OK(client.channel->declareExchange(exchange, ExchangeType::Fanout));
        VERIFY_OK(client.channel->declareQueue(copies));
        VERIFY_OK(client.channel->bindQueue(copies, exchange));
    }
    Example example(
        withUrl({u"--exchange"_s, exchange, u"--queue"_s, queue, u"--count"_s, u"1000000"_s, u"--interval"_s, u"5"_s}));
    QVERIFY2(example.prints("open\n"), example.errors().constData());
    for (int loss = 1; loss <= Losses; ++loss) {
        QCOMPARE(brokerControl({u"close_all_connections"_s, u"the test"_s}).exitCode, 0);
        QVERIFY2(example.prints("recovered: ", loss), example.output().constData());
    }
    example.interrupt();
    QVERIFY(example.ends());

    const QByteArray output = example.output();
    QCOMPARE(example.errors(), QByteArray());
    QVERIFY2(example.exitCode() == 0, output.constData());
    QVERIFY2(output.count("attempt 1 follows in ") == Losses, output.constData());
    QVERIFY2(output.count(" is now amq.gen-") == Losses, output.constData());
    QVERIFY2(output.count("recovered: exchanges 1, queues 2, bindings 2, consumers 2\n") == Losses, output.constData());
    QVERIFY2(!output.contains("not recovered"), output.constData());
    static const QRegularExpression summary(
        u"published (\\d+): (\\d+) confirmed, 0 failed, 0 unknown\nreceived (\\d+), "_s);
    const QRegularExpressionMatch counts = summary.match(QString::fromUtf8(output));
    QVERIFY2(counts.hasMatch(), output.constData());
    QVERIFY2(output.contains("; 0 confirmed ones are missing\n"), output.constData());
    const int published = counts.captured(1).toInt();
    QVERIFY(published > 0);
    QCOMPARE(counts.captured(2).toInt(), published);
    QCOMPARE(counts.captured(3).toInt(), published);

    BrokerClient client;
    QVERIFY(client.isOpen());
    QSet<QString> arrived;
    for (const Message &message : client.drain(copies))
        arrived.insert(message.text());
    QCOMPARE(arrived.size(), published);
    for (int number = 1; number <= published; ++number)
        QVERIFY2(arrived.contains(QString::number(number)), qPrintable(QString::number(number)));
    QCOMPARE(client.messageCount(queue), 0);
    VERIFY_OK(client.channel->deleteQueue(queue));
    VERIFY_OK(client.channel->deleteQueue(copies));
    VERIFY_OK(client.channel->deleteExchange(exchange));
}

// A server that is started later than the program, and a connection that is cut without a word of the broker.
void tst_RecoveryExample::attemptsContinueUntilTheBrokerAnswers()
{
    const QString exchange = uniqueName(u"e"_s);
    const QString queue = uniqueName(u"q"_s);
    DelayProxy proxy(brokerUrl(), 0ms);
    const QUrl url = proxy.url();
    proxy.close();
    Example example({u"--url"_s, url.toString(), u"--exchange"_s, exchange, u"--queue"_s, queue, u"--count"_s,
                     u"1000000"_s, u"--interval"_s, u"5"_s});
    QVERIFY2(example.prints("attempt 2 follows in "), example.errors().constData());
    QVERIFY(!example.output().contains("open"));
    QVERIFY(proxy.listen(QHostAddress::LocalHost, quint16(url.port())));
    QVERIFY2(example.prints("open\n"), example.output().constData());

    const auto received = [&] { // in the durable queue
        BrokerClient client;
        return client.isOpen() && client.messageCount(queue) >= 0;
    };
    QVERIFY(waitFor(received));
    const qsizetype recoveries = example.output().count("recovered: ");
    for (QTcpSocket *socket : proxy.findChildren<QTcpSocket *>(Qt::FindDirectChildrenOnly))
        socket->abort();
    QVERIFY2(example.prints("recovered: ", int(recoveries) + 1), example.output().constData());
    example.interrupt();
    QVERIFY(example.ends());
    QCOMPARE(example.errors(), QByteArray());
    QVERIFY2(example.exitCode() == 0, example.output().constData());

    BrokerClient client;
    QVERIFY(client.isOpen());
    QCOMPARE(client.messageCount(queue), 0);
    VERIFY_OK(client.channel->deleteQueue(queue));
    VERIFY_OK(client.channel->deleteExchange(exchange));
}

void tst_RecoveryExample::endsWithTheReasonIfTheQueueDiffers()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString exchange = uniqueName(u"e"_s);
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(client.channel->declareQueue(queue, {.durable = false, .exclusive = true}));
    const ProcessResult result = run(u"recovery"_s, {u"--exchange"_s, exchange, u"--queue"_s, queue});
    QCOMPARE(result.exitCode, 1);
    QVERIFY2(result.errors.contains(queue.toUtf8()), result.errors.constData());
    VERIFY_OK(client.channel->deleteExchange(exchange));
}

// The connection of the example "worker" lives in a thread of its own.
void tst_RecoveryExample::workerGoesOn()
{
    const QString queue = uniqueName(u"q"_s);
    Example worker(withUrl({u"--queue"_s, queue}), u"worker"_s);
    const auto send = [&queue](const QString &text) {
        BrokerClient client;
        return client.isOpen() && await(client.channel->declareQueue(queue)) &&
               await(client.channel->confirmSelect()) &&
               await(client.channel->publishWithReply({}, queue, Message::fromText(text)));
    };
    QVERIFY(send(u"before"_s));
    QVERIFY2(worker.prints("before\n"), worker.errors().constData());
    QCOMPARE(brokerControl({u"close_all_connections"_s, u"the test"_s}).exitCode, 0);
    QVERIFY(waitFor([&] { return worker.errors().contains("connected again\n") || worker.hasEnded(); }));
    QVERIFY(send(u"after"_s));
    QVERIFY2(worker.prints("after\n"), worker.errors().constData());
    worker.interrupt();
    QVERIFY(worker.ends());
    QVERIFY2(worker.exitCode() == 0, worker.errors().constData());
    QVERIFY2(!worker.errors().contains("not recovered"), worker.errors().constData());
    BrokerClient client;
    QVERIFY(client.isOpen());
    QCOMPARE(client.messageCount(queue), 0);
    VERIFY_OK(client.channel->deleteQueue(queue));
}

QTEST_GUILESS_MAIN(tst_RecoveryExample)
#include "tst_recoveryexample.moc"
