// SPDX-License-Identifier: MIT
#include "rabbitmq/queues.h"
#include "support/heapmeter.h"
#include "support/memoryalarm.h"

#include <AmqpQt/Publisher>

#include <QtCore/qdeadlinetimer.h>
#include <QtCore/qelapsedtimer.h>
#include <QtTest/qsignalspy.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// AddressSanitizer keeps up to 256 MiB of freed memory by default, so resident memory would be meaningless.
extern "C" [[gnu::visibility("default")]] const char *__asan_default_options(); // NOLINT(bugprone-reserved-identifier)
extern "C" const char *__asan_default_options()                                 // NOLINT(bugprone-reserved-identifier)
{
    return "quarantine_size_mb=1:thread_local_quarantine_size_kb=64";
}

namespace
{

// Counts how every message ended. Each id has to come exactly once.
class Outcomes : public QObject
{
public:
    explicit Outcomes(Publisher *publisher)
    {
        connect(publisher, &Publisher::settled, this, [this](quint64 id, const Error &error) {
            if (id == 0 || id > m_ends.max_size())
                return;
            if (m_ends.size() < id)
                m_ends.resize(id);
            ++m_ends[id - 1];
            ++m_counts[error.kind()];
            ++total;
        });
    }
    int count(ErrorKind kind) const { return m_counts.value(kind); }
    // Returns the first id up to `last` that did not end exactly once, or 0 if all did.
    quint64 surprise(quint64 last) const
    {
        for (quint64 id = 1; id <= last; ++id) {
            if (id > m_ends.size() || m_ends[id - 1] != 1)
                return id;
        }
        return m_ends.size() > last ? last + 1 : 0;
    }

    int total = 0;

private:
    std::vector<quint8> m_ends;
    QMap<ErrorKind, int> m_counts;
};

// Publishes messages, with their numbers from 0 as bodies, as fast as the publisher is writable.
void publishAll(Publisher *publisher, int count)
{
    int next = 0;
    const auto publishSome = [&] {
        while (next < count && publisher->isWritable()) {
            const QByteArray body = QByteArray::number(next);
            QCOMPARE(publisher->publish(Message(body)), quint64(++next));
        }
    };
    const auto connection = QObject::connect(publisher, &Publisher::writableChanged, publisher, publishSome);
    publishSome();
    QVERIFY(waitFor([&] { return next == count && publisher->outstandingCount() == 0; }, 100s));
    QObject::disconnect(connection);
}

} // namespace

class tst_PublisherLive : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init()
    {
        m_client = std::make_unique<BrokerClient>();
        QVERIFY(m_client->isOpen());
    }
    void cleanup() { m_client.reset(); }

    void confirmedMessagesAreInTheQueueInOrder();
    void replyOfAMessageToTheDefaultAddressEndsWithItsConfirm();
    void messageWithoutARouteEndsAsReturned();
    void missingExchangeIsReportedAndSurvived();
    void everyMessageIsAckedOrNacked();
    void unconfirmedMessagesAreRepublished();
    void publishFailsWhenAnAlarmHasFilledTheOutbox();
    void closingDuringAnAlarmKeepsTheOutbox();

private:
    std::unique_ptr<BrokerClient> m_client;
};

// F6
void tst_PublisherLive::confirmedMessagesAreInTheQueueInOrder()
{
    constexpr int Count = 10'000;
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_client->channel->declareQueue(queue, sharedQueue()));
    Publisher publisher(&m_client->connection);
    publisher.setRoutingKey(queue);
    const Outcomes outcomes(&publisher);
    QSignalSpy drained(&publisher, &Publisher::drained);
    for (int i = 0; i < Count; ++i) // the window admits some messages, and the rest waits in the outbox
        QCOMPARE(publisher.publish(Message(QByteArray::number(i))), quint64(i + 1));
    QVERIFY(waitFor([&] { return drained.count() == 1; }));
    QCOMPARE(outcomes.surprise(Count), quint64(0));
    QCOMPARE(outcomes.count(ErrorKind::NoError), Count);
    QCOMPARE(queueCounts(m_client->channel, queue), QByteArray::number(Count) + " 0");

    QList<Message> messages;
    collect(m_client->channel->consume(queue, {.ackMode = AckMode::NoAck}), &messages);
    QVERIFY(waitFor([&] { return messages.size() == Count; }));
    QCOMPARE(texts(messages), numbers(0, Count - 1));
}

// F5
void tst_PublisherLive::replyOfAMessageToTheDefaultAddressEndsWithItsConfirm()
{
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_client->channel->declareQueue(queue, sharedQueue()));
    Publisher publisher(&m_client->connection);
    publisher.setRoutingKey(queue);
    VERIFY_OK(publisher.publishWithReply(Message("stored")));
    QCOMPARE(queueCounts(m_client->channel, queue), "1 0");
    publisher.setRoutingKey(uniqueName(u"nowhere"_s));
    VERIFY_FAILS(publisher.publishWithReply(Message("returned")), u"Returned 312 basic.return"_s);
    QCOMPARE(texts(m_client->drain(queue)), QStringList{u"stored"_s});
}

// F5 F6
void tst_PublisherLive::messageWithoutARouteEndsAsReturned()
{
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_client->channel->declareQueue(queue, sharedQueue()));
    Publisher publisher(&m_client->connection);
    QMap<quint64, QString> ends;
    connect(&publisher, &Publisher::settled, this,
            [&](quint64 id, const Error &error) { ends.insert(id, brief(error)); });
    for (int i = 0; i < 10; ++i)
        publisher.publish({}, i % 5 == 3 ? uniqueName(u"nowhere"_s) : queue, Message("m"));
    publisher.setMandatory(false); // applies to later messages only
    QVERIFY(waitFor([&] { return ends.size() == 10; }));
    for (quint64 id = 1; id <= 10; ++id)
        QCOMPARE(ends.value(id), id == 4 || id == 9 ? u"Returned 312 basic.return"_s : u"NoError"_s);
    VERIFY_OK(publisher.publishWithReply({}, uniqueName(u"nowhere"_s), Message("m")));
    publisher.setMandatory(true);
    VERIFY_FAILS(publisher.publishWithReply({}, uniqueName(u"nowhere"_s), Message("m")),
                 u"Returned 312 basic.return"_s);
    QCOMPARE(queueCounts(m_client->channel, queue), "8 0");
}

// F6
void tst_PublisherLive::missingExchangeIsReportedAndSurvived()
{
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_client->channel->declareQueue(queue, sharedQueue()));
    Publisher publisher(&m_client->connection);
    publisher.setRoutingKey(queue);
    VERIFY_OK(publisher.publishWithReply({}, queue, Message("before")));
    const Error error = await(publisher.publishWithReply(uniqueName(u"missing"_s), {}, Message("lost"))).error();
    QCOMPARE(error.kind(), ErrorKind::Unconfirmed);
    QCOMPARE(error.replyCode(), quint16(404));
    VERIFY_OK(publisher.publishWithReply({}, queue, Message("after")));
    QVERIFY(m_client->connection.isOpen());
    QCOMPARE(texts(m_client->drain(queue)), QStringList({u"before"_s, u"after"_s}));
}

// F6. AMQPQT_TEST_PUBLISHES in the environment is the number of messages instead of 100 000.
void tst_PublisherLive::everyMessageIsAckedOrNacked()
{
    const int asked = qEnvironmentVariableIntValue("AMQPQT_TEST_PUBLISHES");
    const int count = asked > 0 ? asked : 100'000;
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_client->channel->declareQueue(
        queue, sharedQueue({{u"x-max-length"_s, 1000}, {u"x-overflow"_s, u"reject-publish"_s}})));
    Publisher publisher(&m_client->connection);
    publisher.setRoutingKey(queue);
    const Outcomes outcomes(&publisher);
    QElapsedTimer timer;
    timer.start();
    publishAll(&publisher, count);
    const qint64 elapsed = timer.elapsed();
    QCOMPARE(outcomes.total, count);
    QCOMPARE(outcomes.surprise(quint64(count)), quint64(0));
    const int taken = outcomes.count(ErrorKind::NoError);
    QCOMPARE(taken + outcomes.count(ErrorKind::Nacked), count);
    QVERIFY(taken >= 1000);
    QVERIFY(taken < count);
    QCOMPARE(queueCounts(m_client->channel, queue), QByteArray::number(taken) + " 0");
    qInfo("%d messages, window %d: %d taken, %d nacked, in %lld ms", count, publisher.confirmWindow(), taken,
          count - taken, static_cast<long long>(elapsed));
}

// F6, guarantee 2: the broker ends the connection in the middle.
void tst_PublisherLive::unconfirmedMessagesAreRepublished()
{
    constexpr int Count = 5'000;
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_client->channel->declareQueue(queue, sharedQueue()));
    Connection connection(brokerParameters());
    Publisher publisher(&connection);
    publisher.setRoutingKey(queue);
    publisher.setLossPolicy(Publisher::LossPolicy::Republish);
    const Outcomes outcomes(&publisher);
    int aborts = 0;
    connect(&publisher, &Publisher::settled, this, [&](quint64 id) {
        if (id % 1000 == 500 && aborts < 5) {
            ++aborts;
            connection.abort();
        }
    });
    connect(&connection, &Connection::closed, this, [&] { connection.open(); });
    connection.open();
    for (int i = 0; i < Count; ++i)
        QCOMPARE(publisher.publish(Message(QByteArray::number(i))), quint64(i + 1));
    QVERIFY(waitFor([&] { return publisher.outstandingCount() == 0; }));
    QVERIFY(aborts > 1);
    QCOMPARE(outcomes.surprise(Count), quint64(0));
    QCOMPARE(outcomes.count(ErrorKind::NoError), Count);
    disconnect(&connection, nullptr, this, nullptr);

    // Messages arrive at least once, and in order except for repeated ones.
    QVERIFY(waitFor([&] { return m_client->messageCount(queue) >= Count; }));
    QList<Message> messages;
    const qint64 inQueue = m_client->messageCount(queue);
    collect(m_client->channel->consume(queue, {.ackMode = AckMode::NoAck}), &messages);
    QVERIFY(waitFor([&] { return messages.size() == inQueue; }));
    int next = 0;
    for (const Message &message : messages) {
        const int number = message.body().toInt();
        QVERIFY2(number <= next, qPrintable(u"%1 came before %2"_s.arg(number).arg(next)));
        next = std::max(next, number + 1);
    }
    QCOMPARE(next, Count);
}

// F7, guarantee 6
void tst_PublisherLive::publishFailsWhenAnAlarmHasFilledTheOutbox()
{
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_client->channel->declareQueue(queue, sharedQueue()));
    const QString work = filledQueue(*m_client, 10);
    ConnectionParameters parameters = brokerParameters();
    parameters.setHeartbeatInterval(2s);
    BrokerClient client(parameters);
    QVERIFY(client.isOpen());
    QList<Message> deliveries;
    client.channel->setPrefetch(20);
    collect(client.channel->consume(work), &deliveries);
    QVERIFY(waitFor([&] { return deliveries.size() == 10; }));
    Publisher publisher(&client.connection);
    publisher.setRoutingKey(queue);
    constexpr qint64 Limit = 2'000'000;
    publisher.setOutboxLimit(Limit);
    const Outcomes outcomes(&publisher);
    QSignalSpy closed(&client.connection, &Connection::closed);
    QVERIFY(waitFor([&] { return publisher.isWritable(); }));

    const QByteArray padding(1000, ' ');
    int accepted = 0;
    MemoryAlarm alarm;
    QVERIFY(alarm.isRaised());
    const auto publishOne = [&] {
        const bool isTaken = publisher.publish(Message(QByteArray::number(accepted) + padding)) > 0;
        accepted += isTaken;
        return isTaken;
    };
    publishOne(); // the broker reports it at the first publish
    QVERIFY(waitFor([&] { return client.connection.isBlocked(); }));
    const int before = accepted;
    const HeapMeter heap;
    const qint64 residentBefore = residentMemory();
    QVERIFY(residentBefore > 0);
    while (accepted < 100'000 && publishOne()) { // without a limit this loop has to end too
    }
    const qint64 residentFull = residentMemory() - residentBefore;
    QVERIFY2(residentFull < 4 * Limit, qPrintable(QString::number(residentFull)));
    QCOMPARE(publisher.error().kind(), ErrorKind::BufferFull);
    QVERIFY(accepted - before > 1000);
    const qint64 full = heap.live();
    QVERIFY2(full < 2 * Limit, qPrintable(QString::number(full))); // the outbox and the overhead of each message
    for (const Message &message : std::as_const(deliveries))
        message.ack();
    int rejected = 0;
    // Waits for three heartbeats, and tries to publish ten times the limit.
    const QDeadlineTimer threeHeartbeats(7s);
    QTimer attempts;
    connect(&attempts, &QTimer::timeout, this, [&] {
        for (int i = 0; i < 10; ++i)
            rejected += !publishOne();
    });
    attempts.start(1ms);
    QVERIFY(waitFor([&] { return threeHeartbeats.hasExpired() && rejected >= 20'000; }));
    attempts.stop();
    QCOMPARE(closed.count(), 0);
    QVERIFY(client.connection.isBlocked());
    QCOMPARE(client.connection.bytesToWrite(), 0); // the acks have been sent
    const qint64 residentGrowth = residentMemory() - residentBefore - residentFull;
    QVERIFY2(residentGrowth < 4 * Limit, qPrintable(QString::number(residentGrowth)));
    QVERIFY2(heap.live() < full + 500'000, qPrintable(QString::number(heap.live() - full)));
    QCOMPARE(outcomes.total, 0);

    alarm.clear();
    QVERIFY(waitFor([&] { return publisher.outstandingCount() == 0; }));
    QCOMPARE(outcomes.surprise(quint64(accepted)), quint64(0));
    QCOMPARE(outcomes.count(ErrorKind::NoError), accepted);
    QCOMPARE(queueCounts(m_client->channel, queue), QByteArray::number(accepted) + " 0");
    QCOMPARE(queueCounts(client.channel, work), "0 0");
    QList<Message> messages;
    collect(m_client->channel->consume(queue, {.ackMode = AckMode::NoAck}), &messages);
    QVERIFY(waitFor([&] { return messages.size() == accepted; }));
    for (int i = 0; i < accepted; ++i)
        QCOMPARE(messages.at(i).body().trimmed(), QByteArray::number(i));
}

// F9, guarantee 6
void tst_PublisherLive::closingDuringAnAlarmKeepsTheOutbox()
{
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_client->channel->declareQueue(queue, sharedQueue()));
    ConnectionParameters parameters = brokerParameters();
    parameters.setCloseTimeout(500ms);
    BrokerClient client(parameters);
    QVERIFY(client.isOpen());
    Publisher publisher(&client.connection);
    publisher.setRoutingKey(queue);
    QStringList ends;
    connect(&publisher, &Publisher::settled, this,
            [&](quint64 id, const Error &error) { ends += u"%1 %2"_s.arg(id).arg(brief(error)); });
    QVERIFY(waitFor([&] { return publisher.isWritable(); }));
    MemoryAlarm alarm;
    QVERIFY(alarm.isRaised());
    publisher.publish(Message("1"));
    QVERIFY(waitFor([&] { return client.connection.isBlocked(); }));
    publisher.publish(Message("2"));
    publisher.publish(Message("3"));
    VERIFY_FAILS(client.connection.close(), u"Timeout"_s);
    QVERIFY(waitFor([&] { return ends.size() == 1; }));
    QCOMPARE(ends, QStringList{u"1 Unconfirmed"_s});
    QCOMPARE(publisher.outstandingCount(), 2);
    alarm.clear();
    VERIFY_OK(client.connection.open());
    QVERIFY(waitFor([&] { return publisher.outstandingCount() == 0; }));
    QCOMPARE(ends, QStringList({u"1 Unconfirmed"_s, u"2 NoError"_s, u"3 NoError"_s}));
    const QStringList arrived = texts(m_client->drain(queue));
    QCOMPARE(arrived.mid(arrived.indexOf(u"2"_s)), QStringList({u"2"_s, u"3"_s}));
}

QTEST_GUILESS_MAIN(tst_PublisherLive)

#include "tst_publisher_live.moc"
