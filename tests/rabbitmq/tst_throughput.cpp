// SPDX-License-Identifier: MIT
#include "rabbitmq/queues.h"

#include <QtCore/qcryptographichash.h>
#include <QtCore/qendian.h>
#include <QtCore/qscopeguard.h>
#include <QtCore/qthread.h>
#include <QtTest/qsignalspy.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

constexpr quint64 Count = 100'000;
// The time for all messages to pass through a busy broker and a slow build of the library.
constexpr std::chrono::milliseconds Long = 100s;

// 16 bytes: the number, and a second word that reveals a damaged body.
QByteArray bodyOf(quint64 number)
{
    QByteArray body(16, Qt::Uninitialized);
    qToBigEndian(number, body.data());
    qToBigEndian(number * 0x9E3779B97F4A7C15u, body.data() + 8);
    return body;
}

// Takes the bodies in order of arrival. Number N has to be the Nth, so none is lost or duplicated and the order is
// kept.
class Tally
{
public:
    void take(const QByteArray &body)
    {
        if (!m_surprise && body != bodyOf(m_count))
            m_surprise = u"as number %1 came %2"_s.arg(m_count).arg(QString::fromLatin1(body.toHex(' ')));
        m_checksum.addData(body);
        ++m_count;
    }
    quint64 count() const { return m_count; }
    QString surprise() const { return m_surprise.value_or(u"none"_s); }
    QByteArray checksum() const { return m_checksum.result(); }

private:
    std::optional<QString> m_surprise;
    QCryptographicHash m_checksum{QCryptographicHash::Sha1};
    quint64 m_count = 0;
};

// Returns the checksum of all published messages, which the receiver's Tally has to match at the end.
QByteArray checksumOfAll()
{
    QCryptographicHash checksum(QCryptographicHash::Sha1);
    for (quint64 i = 0; i < Count; ++i)
        checksum.addData(bodyOf(i));
    return checksum.result();
}

// Afterwards all messages are in the queue, and the connection is closed.
void fill(const QString &queue)
{
    ConnectionParameters parameters = brokerParameters();
    parameters.setCloseTimeout(Patience); // all messages have to be sent before the broker answers
    BrokerClient client(parameters);
    QVERIFY(client.isOpen());
    VERIFY_OK(client.channel->declareQueue(queue, sharedQueue()));
    for (quint64 i = 0; i < Count; ++i)
        QCOMPARE(client.channel->publish({}, queue, Message(bodyOf(i))), i + 1);
    const Result<void> closed = await(client.connection.close(), Long);
    QVERIFY2(closed, qPrintable(closed.error().toString()));
}

} // namespace

class tst_Throughput : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void messagesPassThroughTheBrokerCompleteAndInOrder();
    void closeSendsEverythingThatWasAccepted();
    void backlogIsWorkedOffWithBatchesOfAcks();
    void backlogIsWorkedOffByAWorkerThread();
};

// One program publishes as fast as its channel accepts messages, and consumes at the same time.
void tst_Throughput::messagesPassThroughTheBrokerCompleteAndInOrder()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(client.channel->declareQueue(queue, sharedQueue()));
    Channel *receiving = client.connection.createChannel();
    receiving->setPrefetch(256);
    const Consumer *consumer = receiving->consume(queue);
    Tally received;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) {
        received.take(message.body());
        message.ack();
    });

    quint64 published = 0;
    QTimer producer;
    connect(&producer, &QTimer::timeout, this, [&] {
        for (int i = 0; i < 500 && published < Count && client.channel->isWritable(); ++i) {
            if (client.channel->publish({}, queue, Message(bodyOf(published))) == 0)
                break;
            ++published;
        }
        if (published == Count)
            producer.stop();
    });
    QSignalSpy errors(client.channel, &Channel::errorOccurred);
    producer.start(0);

    QVERIFY2(waitFor([&] { return received.count() == Count; }, Long),
             qPrintable(u"%1 published, %2 received"_s.arg(published).arg(received.count())));
    QCOMPARE(received.surprise(), u"none"_s);
    QCOMPARE(received.checksum(), checksumOfAll());
    QCOMPARE(errors.count(), 0);
    QCOMPARE(consumer->unackedCount(), 0);
    QCOMPARE(queueCounts(receiving, queue), QByteArray("0 0"));
    QCOMPARE(received.count(), Count); // no further messages have arrived
}

// C2
void tst_Throughput::closeSendsEverythingThatWasAccepted()
{
    const QString queue = uniqueName(u"q"_s);
    fill(queue);
    if (QTest::currentTestFailed())
        return;

    BrokerClient client;
    QVERIFY(client.isOpen());
    QVERIFY(waitFor([&] { return client.messageCount(queue) == qint64(Count); }));
    Tally received;
    const Consumer *consumer = client.channel->consume(queue, {.ackMode = AckMode::NoAck});
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) { received.take(message.body()); });
    QVERIFY2(waitFor([&] { return received.count() == Count; }, Long), qPrintable(QString::number(received.count())));
    QCOMPARE(received.surprise(), u"none"_s);
    QCOMPARE(received.checksum(), checksumOfAll());
}

void tst_Throughput::backlogIsWorkedOffWithBatchesOfAcks()
{
    constexpr int AckEvery = 64;
    const QString queue = uniqueName(u"q"_s);
    fill(queue);
    if (QTest::currentTestFailed())
        return;

    BrokerClient client;
    QVERIFY(client.isOpen());
    const Consumer *consumer = client.channel->consume(queue, {.prefetch = 256});
    Tally received;
    int rejected = 0;
    int mostUnacked = 0;
    connect(consumer, &Consumer::delivered, this, [&](const Message &message) {
        received.take(message.body());
        mostUnacked = std::max(mostUnacked, consumer->unackedCount());
        if (received.count() % AckEvery == 0 || received.count() == Count)
            rejected += !client.channel->ackUpTo(message);
    });
    QVERIFY2(waitFor([&] { return received.count() == Count; }, Long), qPrintable(QString::number(received.count())));
    QCOMPARE(received.surprise(), u"none"_s);
    QCOMPARE(received.checksum(), checksumOfAll());
    QCOMPARE(rejected, 0);
    QCOMPARE_LE(mostUnacked, 256);
    QCOMPARE(consumer->unackedCount(), 0);
    QCOMPARE(queueCounts(client.channel, queue), QByteArray("0 0"));
}

// A6
void tst_Throughput::backlogIsWorkedOffByAWorkerThread()
{
    const QString queue = uniqueName(u"q"_s);
    fill(queue);
    if (QTest::currentTestFailed())
        return;

    BrokerClient client;
    QVERIFY(client.isOpen());
    QSignalSpy errors(client.channel, &Channel::errorOccurred);
    Tally received; // used by the worker until it has ended
    QAtomicInteger<quint64> done;
    QThread thread;
    QObject worker;
    worker.moveToThread(&thread);
    const auto joined = qScopeGuard([&] {
        thread.quit();
        thread.wait();
    });
    thread.start();

    const Consumer *consumer = client.channel->consume(queue, {.prefetch = 256});
    connect(consumer, &Consumer::batchDelivered, &worker, [&](const QList<Message> &messages) {
        for (const Message &message : messages) {
            received.take(message.body());
            message.ack();
        }
        done.fetchAndAddRelease(quint64(messages.size()));
    });
    QVERIFY2(waitFor([&] { return done.loadAcquire() == Count && consumer->unackedCount() == 0; }, Long),
             qPrintable(u"%1, %2 unacked"_s.arg(done.loadAcquire()).arg(consumer->unackedCount())));
    QCOMPARE(queueCounts(client.channel, queue), QByteArray("0 0"));
    thread.quit();
    QVERIFY(thread.wait(Patience));
    QCOMPARE(received.count(), Count);
    QCOMPARE(received.surprise(), u"none"_s);
    QCOMPARE(received.checksum(), checksumOfAll());
    QCOMPARE(errors.count(), 0);
}

QTEST_GUILESS_MAIN(tst_Throughput)

#include "tst_throughput.moc"
