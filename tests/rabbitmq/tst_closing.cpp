// SPDX-License-Identifier: MIT
#include "rabbitmq/brokerclient.h"
#include "support/memoryalarm.h"

#include <QtTest/qsignalspy.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

class tst_Closing : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init()
    {
        m_client = std::make_unique<BrokerClient>();
        QVERIFY(m_client->isOpen());
    }
    void cleanup() { m_client.reset(); }

    void closeReturnsUnackedMessages();
    void closeEndsConsumersThenChannelsThenTheConnection();
    void acksGivenBeforeCloseCount();
    void closeLetsPendingCallsEnd();
    void closingTheChannelReturnsUnackedMessages();
    void abortEndsAtOnce();
    void deletingTheConnectionLeavesNoTrace();
    void deletingTheConnectionSendsEverythingAndClosesIt();

    void channelErrorSparesTheConnection();
    void connectionErrorEndsEverything();
    void closeByTheBrokerIsReported();
    void lostBytesAreNotSilent();

    void blockedConnectionHoldsPublishesOnly();
    void closeOfABlockedConnectionHasADeadline();

private:
    std::unique_ptr<BrokerClient> m_client;
};

// C2
void tst_Closing::closeReturnsUnackedMessages()
{
    BrokerClient consuming;
    QVERIFY(consuming.isOpen());
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_client->channel->declareQueue(queue, sharedQueue()));
    for (int i = 0; i < 20; ++i)
        m_client->channel->publish({}, queue, Message(QByteArray::number(i)));
    QList<Message> messages;
    collect(consuming.channel->consume(queue), &messages);
    QVERIFY(waitFor([&] { return messages.size() == 20; }));
    QCOMPARE(m_client->messageCount(queue), 0);

    VERIFY_OK(consuming.connection.close());
    QVERIFY(waitFor([&] { return m_client->messageCount(queue) == 20; }));
    const QList<Message> again = m_client->drain(queue);
    QCOMPARE(texts(again), texts(messages));
    for (const Message &message : again)
        QVERIFY(message.isRedelivered());
}

// C2
void tst_Closing::closeEndsConsumersThenChannelsThenTheConnection()
{
    const QString queue = uniqueName(u"q"_s);
    Channel *channel = m_client->channel;
    VERIFY_OK(channel->declareQueue(queue, {.exclusive = true}));
    Consumer *consumer = channel->consume(queue);
    VERIFY_OK(consumer->whenStarted());
    Channel *other = m_client->connection.createChannel();
    VERIFY_OK(other->whenOpen());

    QStringList log;
    connect(consumer, &Consumer::cancelled, this, [&](const Error &reason) { log += u"consumer "_s + brief(reason); });
    connect(channel, &Channel::closed, this, [&](const Error &reason) { log += u"channel "_s + brief(reason); });
    connect(other, &Channel::closed, this, [&](const Error &reason) { log += u"other "_s + brief(reason); });
    connect(&m_client->connection, &Connection::closed, this,
            [&](const Error &reason) { log += u"connection "_s + brief(reason); });
    VERIFY_OK(m_client->connection.close());
    QCOMPARE(log.size(), 4);
    QVERIFY(log.indexOf(u"consumer NoError"_s) >= 0);
    QVERIFY(log.indexOf(u"consumer NoError"_s) < log.indexOf(u"channel NoError"_s));
    QVERIFY(log.contains(u"other NoError"_s));
    QCOMPARE(log.last(), u"connection NoError"_s);
}

// C2
void tst_Closing::acksGivenBeforeCloseCount()
{
    BrokerClient consuming;
    QVERIFY(consuming.isOpen());
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_client->channel->declareQueue(queue, sharedQueue()));
    for (int i = 0; i < 100; ++i)
        m_client->channel->publish({}, queue, Message(QByteArray::number(i)));
    QList<Message> messages;
    collect(consuming.channel->consume(queue), &messages);
    QVERIFY(waitFor([&] { return messages.size() == 100; }));
    for (int i = 0; i < 60; ++i)
        messages[i].ack();
    VERIFY_OK(consuming.connection.close());
    QVERIFY(waitFor([&] { return m_client->messageCount(queue) == 40; }));
    QCOMPARE(m_client->drain(queue).constFirst().body(), "60");
}

// C2
void tst_Closing::closeLetsPendingCallsEnd()
{
    const QString queue = uniqueName(u"q"_s);
    const Reply<QueueInfo> declaring = m_client->channel->declareQueue(queue, {.exclusive = true});
    const Reply<quint32> purging = m_client->channel->purgeQueue(queue);
    const Reply<void> closing = m_client->connection.close();
    VERIFY_OK(declaring);
    VERIFY_OK(purging);
    VERIFY_OK(closing);
    // Later calls are rejected.
    VERIFY_FAILS(m_client->channel->declareQueue(queue), u"NotOpen queue.declare"_s);
}

// G8
void tst_Closing::closingTheChannelReturnsUnackedMessages()
{
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_client->channel->declareQueue(queue, {.exclusive = true}));
    for (int i = 0; i < 10; ++i)
        m_client->channel->publish({}, queue, Message(QByteArray::number(i)));
    Channel *channel = m_client->connection.createChannel();
    QList<Message> messages;
    collect(channel->consume(queue), &messages);
    QVERIFY(waitFor([&] { return messages.size() == 10; }));
    messages[0].ack();
    VERIFY_OK(channel->close());
    QCOMPARE(channel->state(), Channel::State::Closed);
    QVERIFY(m_client->connection.isOpen());
    QVERIFY(waitFor([&] { return m_client->messageCount(queue) == 9; }));
}

// C1
void tst_Closing::abortEndsAtOnce()
{
    const QString queue = uniqueName(u"q"_s);
    BrokerClient aborting;
    QVERIFY(aborting.isOpen());
    VERIFY_OK(m_client->channel->declareQueue(queue, sharedQueue()));
    m_client->channel->publish({}, queue, Message("unacked"));
    QList<Message> messages;
    collect(aborting.channel->consume(queue), &messages);
    QVERIFY(waitFor([&] { return messages.size() == 1; }));
    const Reply<QueueInfo> declaring = aborting.channel->declareTemporaryQueue();
    QSignalSpy closed(&aborting.connection, &Connection::closed);
    aborting.connection.abort();
    QVERIFY(waitFor([&] { return closed.count() == 1; }));
    QVERIFY(!await(declaring));
    QVERIFY(waitFor([&] { return m_client->messageCount(queue) == 1; }));
}

// C2
void tst_Closing::deletingTheConnectionLeavesNoTrace()
{
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_client->channel->declareQueue(queue, sharedQueue()));
    m_client->channel->publish({}, queue, Message("unacked"));
    QList<Message> messages;
    auto *connection = new Connection(brokerParameters());
    Channel *channel = connection->createChannel();
    collect(channel->consume(queue), &messages);
    connection->open();
    QVERIFY(waitFor([&] { return messages.size() == 1; }));
    delete connection;
    messages.first().ack(); // has no effect
    QVERIFY(waitFor([&] { return m_client->messageCount(queue) == 1; }));
}

// Deliveries that are not read must not cost the publishes, and the broker leaves closing the socket to the client.
void tst_Closing::deletingTheConnectionSendsEverythingAndClosesIt()
{
    constexpr int Count = 100;
    const QString full = uniqueName(u"full"_s);
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_client->channel->declareQueue(full, sharedQueue()));
    VERIFY_OK(m_client->channel->declareQueue(queue, sharedQueue()));
    for (int i = 0; i < 1000; ++i)
        m_client->channel->publish({}, full, Message(QByteArray(10'000, 'x')));
    QVERIFY(waitFor([&] { return m_client->messageCount(full) == 1000; }));

    const QString name = uniqueName(u"connection"_s);
    const auto isListed = [&] {
        return brokerControl({u"-q"_s, u"list_connections"_s, u"client_properties"_s}).output.contains(name.toUtf8());
    };
    ConnectionParameters parameters = brokerParameters();
    parameters.setConnectionName(name);
    parameters.setCloseTimeout(10min);
    auto client = std::make_unique<BrokerClient>(parameters);
    QVERIFY(client->isOpen());
    QVERIFY(isListed());
    Consumer *consumer = client->channel->consume(full);
    connect(consumer, &Consumer::delivered, this, [&] {
        for (int i = 0; i < Count; ++i)
            client->channel->publish({}, queue, Message(QByteArray(10'000, 'y')));
        client.reset();
    });
    QVERIFY(waitFor([&] { return !client; }));
    QVERIFY(waitFor([&] { return m_client->messageCount(queue) == Count; }));
    QVERIFY(waitFor([&] { return m_client->messageCount(full) == 1000; }));
    QTRY_VERIFY_WITH_TIMEOUT(!isListed(), std::chrono::milliseconds(Patience).count());
}

// C6
void tst_Closing::channelErrorSparesTheConnection()
{
    const QString missing = uniqueName(u"missing"_s);
    Channel *channel = m_client->channel;
    Channel *other = m_client->connection.createChannel();
    QSignalSpy channelErrors(channel, &Channel::errorOccurred);
    QSignalSpy channelClosed(channel, &Channel::closed);
    QSignalSpy connectionErrors(&m_client->connection, &Connection::errorOccurred);
    const Error error = await(channel->inspectQueue(missing)).error();
    QCOMPARE(brief(error), u"ChannelClosed 404 queue.declare"_s);
    QVERIFY2(error.text().contains(missing), qPrintable(error.text()));
    QVERIFY(!error.isRecoverable());
    QVERIFY(waitFor([&] { return channelClosed.count() == 1; }));
    QCOMPARE(channelClosed.first().first().value<Error>(), error);
    QCOMPARE(channelErrors.count(), 1);
    QCOMPARE(channel->error(), error);
    QCOMPARE(channel->state(), Channel::State::Closed);

    VERIFY_OK(other->declareTemporaryQueue());
    QVERIFY(m_client->connection.isOpen());
    QCOMPARE(connectionErrors.count(), 0);
    QCOMPARE(m_client->connection.error(), Error());
}

// C6
void tst_Closing::connectionErrorEndsEverything()
{
    BrokerClient client(withoutRecovery());
    QVERIFY(client.isOpen());
    if (client.brokerVersion() >= QVersionNumber(4))
        QSKIP("RabbitMQ 4 treats an unknown exchange type as an error of the channel only");
    QSignalSpy channelClosed(client.channel, &Channel::closed);
    QSignalSpy connectionClosed(&client.connection, &Connection::closed);
    VERIFY_OK(client.channel->declareTemporaryQueue());
    // The broker closes the connection without waiting for the answers that its channel still has to write, so the call
    // before the rejected one ends either way.
    const Reply<QueueInfo> before = client.channel->declareTemporaryQueue();
    const Error error = await(client.channel->declareExchange(uniqueName(u"e"_s), u"no-such-type"_s)).error();
    QCOMPARE(brief(error), u"ConnectionClosed 503 exchange.declare"_s);
    QVERIFY(before.isFinished());
    QVERIFY(before.result() || before.result().error() == error);
    QVERIFY2(error.text().contains(u"no-such-type"_s), qPrintable(error.text()));
    QVERIFY(waitFor([&] { return connectionClosed.count() == 1; }));
    QCOMPARE(connectionClosed.first().first().value<Error>(), error);
    QCOMPARE(channelClosed.count(), 1);
    QCOMPARE(channelClosed.first().first().value<Error>().kind(), ErrorKind::ConnectionClosed);
    QCOMPARE(client.connection.error(), error);
}

// C6
void tst_Closing::closeByTheBrokerIsReported()
{
    const QString name = uniqueName(u"connection"_s);
    ConnectionParameters parameters = withoutRecovery();
    parameters.setConnectionName(name);
    BrokerClient client(parameters);
    QVERIFY(client.isOpen());
    QSignalSpy closed(&client.connection, &Connection::closed);
    QSignalSpy channelClosed(client.channel, &Channel::closed);

    const ProcessResult listed = brokerControl({u"-q"_s, u"list_connections"_s, u"pid"_s, u"client_properties"_s});
    QString pid;
    for (const QString &line : QString::fromUtf8(listed.output).split(u'\n')) {
        if (line.contains(name))
            pid = line.section(u'\t', 0, 0);
    }
    QVERIFY2(!pid.isEmpty(), listed.output.constData());
    brokerControl({u"-q"_s, u"close_connection"_s, pid, u"making room"_s});
    QVERIFY(waitFor([&] { return closed.count() == 1; }));
    const Error reason = closed.first().first().value<Error>();
    QCOMPARE(brief(reason), u"ConnectionClosed 320"_s);
    QVERIFY2(reason.text().contains(u"making room"_s), qPrintable(reason.text()));
    QVERIFY(reason.isRecoverable());
    QCOMPARE(channelClosed.count(), 1);
    QCOMPARE(brief(channelClosed.first().first().value<Error>()), u"ConnectionClosed 320"_s);
}

// C6
void tst_Closing::lostBytesAreNotSilent()
{
    // Publishes are accepted while the channel is open and rejected once it is closed, so each has an outcome.
    QSignalSpy errors(m_client->channel, &Channel::errorOccurred);
    VERIFY_FAILS(m_client->channel->inspectQueue(uniqueName(u"missing"_s)), u"ChannelClosed 404 queue.declare"_s);
    QVERIFY(waitFor([&] { return m_client->channel->state() == Channel::State::Closed; }));
    QCOMPARE(m_client->channel->publish({}, u"q"_s, Message("lost")), 0U);
    QCOMPARE(m_client->channel->lastCallError().kind(), ErrorKind::NotOpen);
    QVERIFY(waitFor([&] { return errors.count() == 2; }));
    QCOMPARE(errors.last().first().value<Error>().kind(), ErrorKind::NotOpen);
}

// C3
void tst_Closing::blockedConnectionHoldsPublishesOnly()
{
    BrokerClient consuming; // never publishes, so it is not blocked
    QVERIFY(consuming.isOpen());
    const QString queue = uniqueName(u"q"_s);
    Connection &connection = m_client->connection;
    Channel *channel = m_client->channel;
    VERIFY_OK(channel->declareQueue(queue, sharedQueue()));
    QSignalSpy blockedChanged(&connection, &Connection::blockedChanged);
    QSignalSpy backpressureChanged(channel, &Channel::backpressureChanged);

    MemoryAlarm alarm;
    QVERIFY(alarm.isRaised());
    channel->publish({}, queue, Message("0")); // the broker reports it at the first publish
    QVERIFY(waitFor([&] { return connection.isBlocked(); }));
    QCOMPARE(connection.blockedReason(), u"low on memory"_s);
    QCOMPARE(blockedChanged.count(), 1);
    QVERIFY(!connection.isWritable());
    QVERIFY(!channel->isWritable());
    QCOMPARE(channel->backpressure(), BackpressureReasons(BackpressureReason::BrokerBlocked));

    for (int i = 1; i < 100; ++i)
        QVERIFY(channel->publish({}, queue, Message(QByteArray::number(i))) > 0);
    QVERIFY(connection.bytesToWrite() > 0);
    QVERIFY(consuming.messageCount(queue) <= 1); // message 0 was sent before

    alarm.clear();
    QVERIFY(waitFor([&] { return !connection.isBlocked(); }));
    QCOMPARE(connection.blockedReason(), QString());
    QCOMPARE(blockedChanged.count(), 2);
    QCOMPARE(backpressureChanged.count(), 2);
    QVERIFY(channel->isWritable());
    QVERIFY(waitFor([&] { return consuming.messageCount(queue) == 100; }));
    const QList<Message> messages = consuming.drain(queue);
    for (int i = 0; i < 100; ++i)
        QCOMPARE(messages[i].body(), QByteArray::number(i));
}

// C3
void tst_Closing::closeOfABlockedConnectionHasADeadline()
{
    ConnectionParameters parameters = brokerParameters();
    parameters.setCloseTimeout(500ms);
    BrokerClient client(parameters);
    QVERIFY(client.isOpen());
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(client.channel->declareQueue(queue, sharedQueue()));
    MemoryAlarm alarm;
    QVERIFY(alarm.isRaised());
    client.channel->publish({}, queue, Message("1"));
    QVERIFY(waitFor([&] { return client.connection.isBlocked(); }));
    QSignalSpy publishFailed(client.channel, &Channel::publishFailed);
    QCOMPARE(client.channel->publish({}, queue, Message("2")), 2U);
    QCOMPARE(client.channel->publish({}, queue, Message("3")), 3U);

    VERIFY_FAILS(client.connection.close(), u"Timeout"_s);
    QCOMPARE(client.connection.state(), Connection::State::Closed);
    QCOMPARE(publishFailed.count(), 1); // accepted but never sent, which is reported
    QCOMPARE(publishFailed.first().at(0).toULongLong(), 2U);
    QCOMPARE(publishFailed.first().at(1).toULongLong(), 3U);
}

QTEST_GUILESS_MAIN(tst_Closing)

#include "tst_closing.moc"
