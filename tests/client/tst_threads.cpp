// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"

#include <AmqpQt/messagemodel.h>

#include <QtCore/qeventloop.h>
#include <QtCore/qset.h>

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Tests a connection in a worker thread and the calls allowed from other threads. Most useful under ThreadSanitizer.
class tst_Threads : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void deliveriesAreSettledInOtherThreads();
    void bodiesOutliveTheirMessagesInOtherThreads();
    void bodyIsOverwrittenBehindItsLastReader();
    void modelShowsMessagesOfAWorkerConnection();
    void connectionEndsWhileOthersSettle_data();
    void connectionEndsWhileOthersSettle();
};

namespace
{

// Checks every few milliseconds, since events in another thread wake no event loop here.
template <typename Condition>
bool becomes(Condition condition)
{
    return QTest::qWaitFor(condition, 60000);
}

// A connection that lives in its own thread, with one channel and one consumer. Data crosses threads here only through
// the standard library: Qt is not instrumented, so the sanitizer reports races for data passed through Qt's event
// queue. For the same reason the peer lives in the thread of the test.
class Worker
{
public:
    Worker(const ScriptedPeer &peer, AckMode ackMode, std::function<void(Consumer *)> prepare)
        : m_thread([this, parameters = parametersOf(peer), ackMode, prepare] { work(parameters, ackMode, prepare); })
    {
        if (!becomes([this] { return m_isStarted.load(); }))
            qFatal("the consumer does not start");
    }
    ~Worker() { end(); }

    // Runs the function in the worker's thread and waits for its end.
    void run(std::function<void()> function)
    {
        std::unique_lock lock(m_mutex);
        m_command = std::move(function);
        m_ended.wait(lock, [this] { return !m_command; });
    }
    void end() // deletes the connection
    {
        if (!m_thread.joinable())
            return;
        run([this] { m_loop->quit(); });
        m_thread.join();
    }

    // Used by functions that run() calls.
    Connection *connection = nullptr;
    Channel *channel = nullptr;
    Consumer *consumer = nullptr;

private:
    void work(const ConnectionParameters &parameters, AckMode ackMode, const std::function<void(Consumer *)> &prepare)
    {
        QEventLoop loop;
        Connection ownConnection(parameters);
        m_loop = &loop;
        connection = &ownConnection;
        channel = connection->createChannel();
        consumer = channel->consume(u"q"_s, {.consumerTag = u"c"_s, .ackMode = ackMode});
        prepare(consumer);
        QObject::connect(consumer, &Consumer::started, consumer, [this] { m_isStarted = true; });
        connection->open();
        QTimer commands;
        QObject::connect(&commands, &QTimer::timeout, &commands, [this] {
            const std::scoped_lock lock(m_mutex);
            if (!m_command)
                return;
            m_command();
            m_command = {};
            m_ended.notify_all();
        });
        commands.start(1);
        loop.exec();
    }

    QEventLoop *m_loop = nullptr;
    std::atomic_bool m_isStarted = false;
    std::mutex m_mutex;
    std::condition_variable m_ended;
    std::function<void()> m_command;
    std::thread m_thread; // declared last, because it uses the other members
};

// Hands values over to some threads.
template <typename T>
class Pool
{
public:
    explicit Pool(std::function<void(T)> use)
    {
        for (int i = 0; i < 3; ++i)
            m_threads.emplace_back([this, use] { work(use); });
    }
    ~Pool() { join(); }
    void add(T value)
    {
        const std::scoped_lock lock(m_mutex);
        m_values.push_back(std::move(value));
        m_changed.notify_one();
    }
    void join() // when all values are used
    {
        {
            const std::scoped_lock lock(m_mutex);
            m_isEnding = true;
            m_changed.notify_all();
        }
        for (std::thread &thread : m_threads)
            thread.join();
        m_threads.clear();
    }

private:
    void work(const std::function<void(T)> &use)
    {
        std::unique_lock lock(m_mutex);
        for (;;) {
            m_changed.wait(lock, [this] { return m_isEnding || !m_values.empty(); });
            if (m_values.empty())
                return;
            T value = std::move(m_values.front());
            m_values.pop_front();
            lock.unlock();
            use(std::move(value));
            lock.lock();
        }
    }

    std::mutex m_mutex;
    std::condition_variable m_changed;
    std::deque<T> m_values;
    bool m_isEnding = false;
    std::vector<std::thread> m_threads;
};

QByteArrayList numbered(int count, int length = 0)
{
    QByteArrayList bodies;
    for (int i = 1; i <= count; ++i)
        bodies += QByteArray::number(i).rightJustified(length, '0');
    return bodies;
}

// Returns how many of the 2000 deliveries the client has acknowledged so far.
int acknowledged(const ScriptedPeer &peer)
{
    QSet<quint64> open;
    for (quint64 tag = 1; tag <= 2000; ++tag)
        open.insert(tag);
    for (const Command &command : peer.received("basic.ack")) {
        const quint64 tag = command.fields.value(u"delivery-tag"_s).toULongLong();
        if (!command.fields.value(u"multiple"_s).toBool())
            open.remove(tag);
        else
            open.removeIf([tag](quint64 one) { return one <= tag; });
    }
    return 2000 - int(open.size());
}

} // namespace

void tst_Threads::deliveriesAreSettledInOtherThreads()
{
    constexpr int Count = 1000;
    ScriptedPeer peer;
    std::atomic_int right = 0;
    Pool<Message> pool([&](const Message &message) {
        right += message.headers().isEmpty() && message.body().toInt() == int(message.deliveryTag());
        message.ack();
    });
    Worker worker(peer, AckMode::Manual, [&](Consumer *consumer) {
        QObject::connect(consumer, &Consumer::delivered, consumer, [&](const Message &message) { pool.add(message); });
    });
    peer.sendRaw(deliveries("c", 1, numbered(Count)));
    QVERIFY(becomes([&] { return acknowledged(peer) == Count; }));
    QCOMPARE(right.load(), Count);
    int unacked = -1;
    Error error;
    worker.run([&] {
        unacked = worker.consumer->unackedCount();
        error = worker.channel->lastCallError();
    });
    QCOMPARE(unacked, 0);
    QVERIFY2(!error.isError(), qPrintable(error.toString()));
    worker.end();
    QCOMPARE(peer.violations(), QStringList());
}

// The memory of a message without references is reused for the next delivery; the memory of a kept body is not.
void tst_Threads::bodiesOutliveTheirMessagesInOtherThreads()
{
    constexpr int Count = 2000;
    constexpr int Length = 200;
    ScriptedPeer peer;
    std::atomic_int whole = 0;
    std::atomic<quint64> sum = 0;
    Pool<QByteArray> pool([&](const QByteArray &body) {
        const int number = body.toInt();
        whole += body == QByteArray::number(number).rightJustified(Length, '0');
        sum += quint64(number);
    });
    Worker worker(peer, AckMode::NoAck, [&](Consumer *consumer) {
        QObject::connect(consumer, &Consumer::delivered, consumer,
                         [&](const Message &message) { pool.add(message.body()); });
    });
    peer.sendRaw(deliveries("c", 1, numbered(Count, Length)));
    QVERIFY(becomes([&] { return whole == Count; }));
    QCOMPARE(sum.load(), quint64(Count) * (Count + 1) / 2);
    worker.end();
    QCOMPARE(peer.violations(), QStringList());
}

// The other thread releases each body before the slot returns, and only the body's reference count orders its reads.
void tst_Threads::bodyIsOverwrittenBehindItsLastReader()
{
    constexpr int Count = 500;
    constexpr int Length = 200;
    ScriptedPeer peer;
    std::vector<QByteArray> bodies(Count + 1); // by number
    std::atomic_int given = 0, taken = 0, wrong = 0;
    std::thread reader([&] {
        for (int number = 1; number <= Count; ++number) {
            while (given.load(std::memory_order_acquire) < number)
                std::this_thread::yield();
            {
                const QByteArray body = std::exchange(bodies[size_t(number)], {});
                if (body != QByteArray::number(number).rightJustified(Length, '0'))
                    wrong.fetch_add(1, std::memory_order_relaxed);
            }
            taken.store(number, std::memory_order_relaxed);
        }
    });
    int delivered = 0;
    Worker worker(peer, AckMode::NoAck, [&](Consumer *consumer) {
        QObject::connect(consumer, &Consumer::delivered, consumer, [&](const Message &message) {
            bodies[size_t(++delivered)] = message.body();
            given.store(delivered, std::memory_order_release);
            while (taken.load(std::memory_order_relaxed) < delivered)
                std::this_thread::yield();
        });
    });
    peer.sendRaw(deliveries("c", 1, numbered(Count, Length)));
    QVERIFY(becomes([&] { return taken == Count; }));
    reader.join();
    worker.end();
    QCOMPARE(wrong.load(), 0);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Threads::modelShowsMessagesOfAWorkerConnection()
{
    constexpr int Count = 500;
    ScriptedPeer peer;
    std::mutex mutex;
    QList<Message> arrived;
    Worker worker(peer, AckMode::AfterDelivery, [&](Consumer *consumer) {
        QObject::connect(consumer, &Consumer::batchDelivered, consumer, [&](const QList<Message> &messages) {
            const std::scoped_lock lock(mutex);
            arrived += messages;
        });
    });
    MessageModel model;
    model.setUpdateInterval(0);
    peer.sendRaw(deliveries("c", 1, numbered(Count)));
    QVERIFY(becomes([&] {
        QList<Message> messages;
        {
            const std::scoped_lock lock(mutex);
            messages = std::exchange(arrived, {});
        }
        model.append(messages);
        return model.count() == Count;
    }));
    for (int row = 0; row < Count; ++row) {
        for (int column = 0; column < model.columnCount(); ++column)
            model.data(model.index(row, column));
    }
    QVERIFY(becomes([&] { return acknowledged(peer) == Count; }));
    worker.end();
    QVERIFY(model.message(0).isDelivered());
    QCOMPARE(peer.violations(), QStringList());
}

void tst_Threads::connectionEndsWhileOthersSettle_data()
{
    QTest::addColumn<QString>("end");
    for (const char *end : {"close", "abort", "delete", "lose"})
        QTest::newRow(end) << QString::fromLatin1(end);
}

void tst_Threads::connectionEndsWhileOthersSettle()
{
    QFETCH(const QString, end);
    ScriptedPeer peer;
    std::atomic_int settled = 0;
    Pool<Message> pool([&](const Message &message) {
        message.ack();
        ++settled;
    });
    Worker worker(peer, AckMode::Manual, [&](Consumer *consumer) {
        QObject::connect(consumer, &Consumer::delivered, consumer, [&](const Message &message) { pool.add(message); });
    });
    peer.sendRaw(deliveries("c", 1, numbered(300)));
    QVERIFY(becomes([&] { return settled > 100; }));
    if (end == u"lose"_s)
        peer.dropConnection();
    else if (end == u"close"_s)
        worker.run([&] { worker.connection->close(); });
    else if (end == u"abort"_s)
        worker.run([&] { worker.connection->abort(); });
    worker.end(); // deletes the connection, so later settlements are logged
    pool.join();
    QVERIFY(settled > 100);
    QCOMPARE(peer.violations(), QStringList());
}

QTEST_GUILESS_MAIN(tst_Threads)

#include "tst_threads.moc"
