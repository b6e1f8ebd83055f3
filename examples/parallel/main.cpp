// SPDX-License-Identifier: MIT

// Scale out: consumes one queue, or several that share the load, with a connection in each of N threads, until Ctrl-C
// or until --count messages have arrived.
//
//   parallel [--url URL] [--threads N] [--queue NAME]... [--count N] [--declare-partitions EXCHANGE]
//            [--stream OFFSET]

#include <AmqpQt/Channel>
#include <AmqpQt/Connection>
#include <AmqpQt/Consumer>

#include "../shared/quitsignals.h"

#include <QCommandLineParser>
#include <QCoreApplication>
#include <QElapsedTimer>
#include <QTextStream>
#include <QThread>

#include <algorithm>
#include <atomic>
#include <memory>
#include <numeric>
#include <optional>
#include <vector>

using namespace Qt::StringLiterals;

namespace
{

struct Plan {
    QUrl url;
    QStringList queues;
    QString exchange; // declared with the queues, unless empty
    QVariant offset;  // of streams
};

// The work of one thread. Messages stay in the thread; only counts go to the main thread.
class Worker : public QObject
{
    Q_OBJECT
public:
    Worker(const Plan &plan, std::atomic<qint64> *wanted)
        : m_connection(plan.url, this) // moves with the worker
        , m_wanted(wanted)
    {
        connect(&m_connection, &AmqpQt::Connection::closed, this,
                [this](const AmqpQt::Error &reason) { Q_EMIT closed(m_failure.isError() ? m_failure : reason); });
    }

    // Each queue has its own channel, so acking a message and all earlier ones covers this queue only.
    void consume(const QString &queue, const Plan &plan)
    {
        const bool isStream = plan.offset.isValid();
        AmqpQt::Channel *channel = m_connection.createChannel();
        if (!plan.exchange.isEmpty()) {
            channel->declareExchange(plan.exchange, u"x-consistent-hash"_s);
            channel->declareQueue(queue, isStream ? AmqpQt::QueueOptions::stream() : AmqpQt::QueueOptions());
            channel->bindQueue(queue, plan.exchange, u"1"_s); // the key of such a binding is the weight of the queue
        }
        AmqpQt::ConsumeOptions options{.prefetch = quint16(1000)};
        if (isStream)
            options = options.withStreamOffset(plan.offset);
        AmqpQt::Consumer *consumer = channel->consume(queue, options);

        connect(consumer, &AmqpQt::Consumer::started, this, &Worker::started);
        connect(consumer, &AmqpQt::Consumer::batchDelivered, this,
                [this, channel](const QList<AmqpQt::Message> &messages) {
                    // No thread takes more messages than the total still needs; the rest goes back to the queue.
                    const qint64 wanted = m_wanted->fetch_sub(messages.size());
                    const qint64 count = std::clamp(wanted, qint64(0), qint64(messages.size()));
                    if (count == 0)
                        return;
                    // … the work for each message …
                    channel->ackUpTo(messages[count - 1]);
                    Q_EMIT handled(count);
                });
        connect(consumer, &AmqpQt::Consumer::cancelled, this,
                &Worker::fail); // for example because the queue was deleted
        connect(channel, &AmqpQt::Channel::closed, this, &Worker::fail);
    }

    // A broker that cannot be reached at the start ends the program. After a later loss the connection recovers.
    void open()
    {
        m_connection.open().then(this, [this](const AmqpQt::Result<void> &opened) {
            if (!opened && m_connection.state() == AmqpQt::Connection::State::Recovering)
                fail(opened.error());
        });
    }
    void close() { m_connection.close(); }

Q_SIGNALS:
    void started();
    void handled(qint64 count);
    void closed(const AmqpQt::Error &reason);

private:
    void fail(const AmqpQt::Error &reason)
    {
        if (!m_failure.isError())
            m_failure = reason;
        close();
    }

    AmqpQt::Connection m_connection;
    AmqpQt::Error m_failure;
    std::atomic<qint64> *m_wanted;
};

// Returns nothing if the value is not a number from 1 to greatest.
std::optional<qint64> number(const QCommandLineParser &options, const QString &name, qint64 greatest)
{
    bool ok = false;
    const qint64 value = options.value(name).toLongLong(&ok);
    if (ok && value >= 1 && value <= greatest)
        return value;
    QTextStream(stderr) << "--" << name << ": " << options.value(name) << " is not a number from 1 to " << greatest
                        << Qt::endl;
    return std::nullopt;
}

} // namespace

int main(int argc, char *argv[])
{
    QCoreApplication application(argc, argv);
    QCommandLineParser options;
    options.setApplicationDescription(u"Consumes queues with a connection in each of several threads."_s);
    options.addHelpOption();
    options.addOption({u"url"_s, u"The broker; by default $AMQPQT_URL or the local broker."_s, u"URL"_s,
                       qEnvironmentVariable("AMQPQT_URL", u"amqp://guest:guest@localhost/%2F"_s)});
    options.addOption({u"threads"_s, u"The number of threads, each with a connection."_s, u"N"_s, u"2"_s});
    options.addOption(
        {u"queue"_s, u"A queue; with several queues, the threads share them."_s, u"name"_s, u"task_queue"_s});
    options.addOption({u"count"_s, u"Ends after this many messages in total."_s, u"N"_s});
    options.addOption({u"declare-partitions"_s,
                       u"Declares the queues as durable and binds them to this consistent-hash exchange."_s,
                       u"exchange"_s});
    options.addOption({u"stream"_s,
                       u"The queues are streams, read from this offset: first, last, next, a number, 1h …"_s,
                       u"offset"_s});
    options.process(application);

    const auto threadCount = number(options, u"threads"_s, 256);
    const auto count = options.isSet(u"count"_s) ? number(options, u"count"_s, 1'000'000'000) : INT64_MAX;
    if (!threadCount || !count)
        return 1;
    Plan plan{QUrl(options.value(u"url"_s)), options.values(u"queue"_s), options.value(u"declare-partitions"_s), {}};
    if (plan.queues.removeDuplicates() > 0) {
        QTextStream(stderr) << "--queue: a queue is named twice; use more threads than queues to consume it twice"
                            << Qt::endl;
        return 1;
    }
    if (options.isSet(u"stream"_s)) {
        if (*threadCount > plan.queues.size()) {
            QTextStream(stderr) << "--threads: the maximum is the number of streams, since each consumer of a stream "
                                   "receives all its messages"
                                << Qt::endl;
            return 1;
        }
        bool isNumber = false;
        const qlonglong first = options.value(u"stream"_s).toLongLong(&isNumber);
        plan.offset = isNumber ? QVariant(first) : QVariant(options.value(u"stream"_s));
    }

    std::atomic<qint64> wanted = *count;
    QList<qint64> counts(*threadCount); // of each thread, as last reported to the main thread
    std::vector<std::unique_ptr<QThread>> threads;
    QList<Worker *> workers;
    QElapsedTimer sinceStart;
    double seconds = 0;
    qsizetype closedCount = 0;
    int exitCode = 0;

    const auto total = [&] { return std::accumulate(counts.cbegin(), counts.cend(), qint64(0)); };
    const auto finish = [&] {
        if (sinceStart.isValid() && seconds == 0)
            seconds = double(sinceStart.nsecsElapsed()) / 1e9;
        for (Worker *worker : std::as_const(workers))
            QMetaObject::invokeMethod(worker, &Worker::close); // queued to its thread
    };
    for (qsizetype i = 0; i < *threadCount; ++i) {
        auto *worker = new Worker(plan, &wanted);
        workers.append(worker);
        QObject::connect(worker, &Worker::started, &application, [&] {
            if (!sinceStart.isValid())
                sinceStart.start();
        });
        QObject::connect(worker, &Worker::handled, &application, [&, i](qint64 more) {
            counts[i] += more;
            if (total() == *count)
                finish();
        });
        QObject::connect(worker, &Worker::closed, &application, [&](const AmqpQt::Error &reason) {
            if (reason.isError()) {
                if (exitCode == 0) // the threads often fail for the same reason
                    QTextStream(stderr) << reason.toString() << Qt::endl;
                exitCode = 1;
                finish(); // stops the other threads too
            }
            if (++closedCount == workers.size())
                QCoreApplication::quit();
        });
    }
    // With more queues than threads, a thread consumes several queues; with fewer, several threads share a queue.
    for (qsizetype i = 0; i < std::max(workers.size(), plan.queues.size()); ++i)
        workers[i % workers.size()]->consume(plan.queues[i % plan.queues.size()], plan);

    const QuitSignals quit;
    QObject::connect(&quit, &QuitSignals::received, &application, finish);
    for (Worker *worker : std::as_const(workers)) {
        threads.push_back(std::make_unique<QThread>());
        QThread *thread = threads.back().get();
        worker->moveToThread(thread);
        QObject::connect(thread, &QThread::finished, worker, &QObject::deleteLater);
        thread->start();
        QMetaObject::invokeMethod(worker, &Worker::open);
    }
    application.exec();
    for (const auto &thread : threads) {
        thread->quit();
        thread->wait();
    }

    QTextStream out(stdout);
    out << u"received %1 messages in %2 s, %3 msg/s, by thread:"_s.arg(total())
               .arg(seconds, 0, 'f', 2)
               .arg(seconds > 0 ? qRound64(double(total()) / seconds) : 0);
    for (const qint64 of : std::as_const(counts))
        out << ' ' << of;
    out << Qt::endl;
    return exitCode;
}

#include "main.moc"
