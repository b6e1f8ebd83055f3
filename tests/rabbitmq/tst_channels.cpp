// SPDX-License-Identifier: MIT
#include "rabbitmq/brokerclient.h"

#include <QtTest/qsignalspy.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

class tst_Channels : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init()
    {
        m_client = std::make_unique<BrokerClient>();
        QVERIFY(m_client->isOpen());
    }
    void cleanup() { m_client.reset(); }

    void numbersAreGivenInTurnAndUsedAgain();
    void numberMayBeChosen();
    void sameNumberIsTheSameChannel();
    void impossibleNumbersAreRejected();
    void usedUpNumbersAreALocalError();
    void closingAChannelFreesItsNumber();
    void deletedChannelIsClosedAtTheBroker();

    void callsBeforeOpenAreMadeInOrder();
    void callsOnAChannelThatOpensAreMadeInOrder();
    void publishFollowsTheDeclareItNeeds();
    void errorEndsTheCallsBehindIt();

    void reopenedChannelWorks();
    void reopenMayTakeAnotherNumber();
    void reopeningAnOpenChannelFails();
    void closedChannelFailsAllCalls();
    void consumerTagInUseIsRejected();
    void channelOutlivesItsConnection();
    void signalsReportTheLifeOfAChannel();

private:
    std::unique_ptr<BrokerClient> m_client;
};

// D1
void tst_Channels::numbersAreGivenInTurnAndUsedAgain()
{
    Connection &connection = m_client->connection;
    QCOMPARE(m_client->channel->number(), quint16(1));
    Channel *second = connection.createChannel();
    Channel *third = connection.createChannel();
    QCOMPARE(second->number(), quint16(2));
    QCOMPARE(third->number(), quint16(3));
    VERIFY_OK(third->whenOpen());
    QCOMPARE(connection.channels(), QList<Channel *>({m_client->channel, second, third}));

    VERIFY_OK(second->close());
    QCOMPARE(connection.channels().size(), 3); // the channel can be reopened
    Channel *next = connection.createChannel();
    QCOMPARE(next->number(), quint16(2));
    VERIFY_OK(next->declareTemporaryQueue());
}

// D1
void tst_Channels::numberMayBeChosen()
{
    Channel *seventh = m_client->connection.channel(7);
    QVERIFY(seventh);
    QCOMPARE(seventh->number(), quint16(7));
    VERIFY_OK(seventh->declareTemporaryQueue());
    QCOMPARE(m_client->connection.createChannel()->number(), quint16(2));
    Channel *last = m_client->connection.channel(m_client->connection.maximumChannels());
    QVERIFY(last);
    VERIFY_OK(last->declareTemporaryQueue());
}

// D1
void tst_Channels::sameNumberIsTheSameChannel()
{
    QCOMPARE(m_client->connection.channel(1), m_client->channel);
    Channel *fifth = m_client->connection.channel(5);
    QCOMPARE(m_client->connection.channel(5), fifth);
    VERIFY_OK(fifth->whenOpen());
    QCOMPARE(m_client->connection.channel(5), fifth);
}

// D1
void tst_Channels::impossibleNumbersAreRejected()
{
    for (const quint16 number : {quint16(0), quint16(m_client->connection.maximumChannels() + 1)}) {
        QCOMPARE(m_client->connection.channel(number), nullptr);
        QCOMPARE(brief(m_client->connection.lastCallError()), u"InvalidArgument"_s);
        QVERIFY2(m_client->connection.lastCallError().text().contains(QString::number(number)),
                 qPrintable(m_client->connection.lastCallError().text()));
    }
    VERIFY_OK(m_client->channel->declareTemporaryQueue());
}

// D2
void tst_Channels::usedUpNumbersAreALocalError()
{
    ConnectionParameters parameters = brokerParameters();
    parameters.setMaximumChannels(5);
    BrokerClient client(parameters);
    QVERIFY(client.isOpen());
    QList<Channel *> channels = {client.channel};
    while (channels.size() < 5)
        channels += client.connection.createChannel();
    for (Channel *channel : std::as_const(channels))
        VERIFY_OK(channel->declareTemporaryQueue());

    Channel *sixth = client.connection.createChannel();
    QVERIFY(sixth);
    QSignalSpy closed(sixth, &Channel::closed);
    QCOMPARE(closed.count(), 0); // emitted later, when slots can be connected
    QCOMPARE(sixth->publish({}, u"q"_s, Message("rejected")), 0U);
    VERIFY_FAILS(sixth->declareTemporaryQueue(), u"NotOpen"_s);
    QVERIFY(waitFor([&] { return closed.count() == 1; }));
    QCOMPARE(brief(closed.first().first().value<Error>()), u"NotOpen"_s);
    QVERIFY2(sixth->error().text().contains(u"number"_s), qPrintable(sixth->error().text()));

    for (Channel *channel : std::as_const(channels))
        VERIFY_OK(channel->declareTemporaryQueue()); // the broker has not seen the rejected calls
}

// D2
void tst_Channels::closingAChannelFreesItsNumber()
{
    ConnectionParameters parameters = brokerParameters();
    parameters.setMaximumChannels(5);
    BrokerClient client(parameters);
    QVERIFY(client.isOpen());
    QList<Channel *> channels = {client.channel};
    while (channels.size() < 5)
        channels += client.connection.createChannel();
    for (int i = 0; i < 50; ++i) { // many times, since a number that is reused too early ends the connection
        VERIFY_OK(channels.takeFirst()->close());
        channels += client.connection.createChannel();
        QVERIFY(channels.last()->number() > 0);
        VERIFY_OK(channels.last()->declareTemporaryQueue());
    }
    QVERIFY(client.connection.isOpen());
}

// D5
void tst_Channels::deletedChannelIsClosedAtTheBroker()
{
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_client->channel->declareQueue(queue, {.exclusive = true}));
    m_client->channel->publish({}, queue, Message("always there"));
    for (int i = 0; i < 10; ++i) {
        auto channel = std::unique_ptr<Channel>(m_client->connection.createChannel());
        QList<Message> messages;
        collect(channel->consume(queue), &messages);
        QVERIFY(waitFor([&] { return messages.size() == 1; }));
        const Reply<QueueInfo> pending = channel->inspectQueue(queue);
        channel.reset();
        VERIFY_FAILS(pending, u"Cancelled"_s);
        QVERIFY(waitFor([&] { return m_client->messageCount(queue) == 1; }));
    }
    QVERIFY(m_client->connection.isOpen());
}

// D4
void tst_Channels::callsBeforeOpenAreMadeInOrder()
{
    const QString exchange = uniqueName(u"e"_s);
    const QString queue = uniqueName(u"q"_s);
    Connection connection(brokerParameters());
    Channel *channel = connection.createChannel();
    QStringList ended;
    const auto note = [&](const QString &name) {
        return [&ended, name](const auto &result) { ended += result ? name : result.error().toString(); };
    };
    // Each call depends on the earlier ones.
    channel->setPrefetch(10).then(this, note(u"qos"_s));
    channel->declareExchange(exchange, ExchangeType::Direct, passingExchange()).then(this, note(u"exchange"_s));
    channel->declareQueue(queue, {.exclusive = true}).then(this, note(u"queue"_s));
    channel->publish(exchange, u"key"_s, Message("unroutable yet"));
    channel->bindQueue(queue, exchange, u"key"_s).then(this, note(u"bind"_s));
    for (int i = 0; i < 5; ++i)
        channel->publish(exchange, u"key"_s, Message(QByteArray::number(i)));
    channel->inspectQueue(queue).then(this, note(u"inspect"_s));
    channel->get(queue).then(this, [&](const Result<std::optional<GetResult>> &got) {
        ended += got && *got ? u"get "_s + (*got)->message.text() : got.error().toString();
        if (got && *got)
            (*got)->message.ack();
    });
    channel->publish({}, queue, Message("by the default exchange"));
    QList<Message> messages;
    Consumer *consumer = channel->consume(queue);
    collect(consumer, &messages);
    const Reply<QueueInfo> last = channel->inspectQueue(queue);
    QVERIFY(!last.isFinished());

    VERIFY_OK(connection.open());
    VERIFY_OK(last);
    QVERIFY(waitFor([&] { return messages.size() == 5; }));
    QCOMPARE(ended, QStringList({u"qos"_s, u"exchange"_s, u"queue"_s, u"bind"_s, u"inspect"_s, u"get 0"_s}));
    QCOMPARE(texts(messages), QStringList({u"1"_s, u"2"_s, u"3"_s, u"4"_s, u"by the default exchange"_s}));
}

// D4
void tst_Channels::callsOnAChannelThatOpensAreMadeInOrder()
{
    const QString queue = uniqueName(u"q"_s);
    Channel *channel = m_client->connection.createChannel();
    QCOMPARE(channel->state(), Channel::State::Opening);
    channel->declareQueue(queue, {.exclusive = true});
    channel->publish({}, queue, Message("1"));
    const Reply<quint32> purging = channel->purgeQueue(queue);
    channel->publish({}, queue, Message("2"));
    const Result<quint32> deleted = await(channel->deleteQueue(queue));
    QVERIFY(deleted);
    QCOMPARE(*purging.result(), 1U);
    QCOMPARE(*deleted, 1U);
}

// D4
void tst_Channels::publishFollowsTheDeclareItNeeds()
{
    for (int i = 0; i < 50; ++i) {
        const QString queue = uniqueName(u"q"_s);
        m_client->channel->declareQueue(queue, {.exclusive = true});
        m_client->channel->publish({}, queue, Message("at once"));
        const auto got = await(m_client->channel->get(queue, AckMode::NoAck));
        QVERIFY(got);
        QVERIFY(*got);
    }
}

// D3
void tst_Channels::errorEndsTheCallsBehindIt()
{
    Channel *channel = m_client->channel;
    const Reply<QueueInfo> before = channel->declareTemporaryQueue();
    const Reply<QueueInfo> wrong = channel->inspectQueue(uniqueName(u"missing"_s));
    const Reply<QueueInfo> after = channel->declareTemporaryQueue();
    const Reply<std::optional<GetResult>> get = channel->get({});
    VERIFY_OK(before);
    VERIFY_FAILS(wrong, u"ChannelClosed 404 queue.declare"_s);
    VERIFY_FAILS(after, u"ChannelClosed 404 queue.declare"_s); // these end with the same reason
    VERIFY_FAILS(get, u"ChannelClosed 404 queue.declare"_s);
}

// D3
void tst_Channels::reopenedChannelWorks()
{
    Channel *channel = m_client->channel;
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(channel->declareQueue(queue, {.exclusive = true}));
    VERIFY_OK(channel->setPrefetch(2));
    Consumer *consumer = channel->consume(queue);
    QList<Message> messages;
    collect(consumer, &messages);
    VERIFY_OK(consumer->whenStarted());
    QSignalSpy opened(channel, &Channel::opened);
    const quint64 sequence = channel->publish({}, queue, Message("before"));
    QVERIFY(waitFor([&] { return messages.size() == 1; }));

    VERIFY_FAILS(channel->inspectQueue(uniqueName(u"missing"_s)), u"ChannelClosed 404 queue.declare"_s);
    QVERIFY(waitFor([&] { return channel->state() == Channel::State::Closed; }));
    QCOMPARE(consumer->state(), Consumer::State::Recovering);
    VERIFY_OK(channel->reopen());
    QVERIFY(waitFor([&] { return opened.count() == 1 && consumer->state() == Consumer::State::Active; }));
    QCOMPARE(channel->publish({}, queue, Message("after")), sequence + 1); // the numbers continue
    QVERIFY(waitFor([&] { return messages.size() == 3; }));
    QCOMPARE(texts(messages), QStringList({u"before"_s, u"before"_s, u"after"_s}));
    QVERIFY(messages[1].isRedelivered());
    // The prefetch is restored as well, so the third message waits while two are unacked.
    channel->publish({}, queue, Message("third"));
    QVERIFY(waitFor([&] { return m_client->messageCount(queue) == 1; }));
    QCOMPARE(messages.size(), 3);
    messages[1].ack();
    QVERIFY(waitFor([&] { return messages.size() == 4; }));
}

// D3
void tst_Channels::reopenMayTakeAnotherNumber()
{
    Channel *channel = m_client->channel;
    VERIFY_OK(channel->close());
    Channel *other = m_client->connection.createChannel();
    VERIFY_OK(other->whenOpen());
    QCOMPARE(other->number(), quint16(1));
    VERIFY_OK(channel->reopen());
    QCOMPARE(channel->number(), quint16(2));
    VERIFY_OK(channel->declareTemporaryQueue());
    VERIFY_OK(other->declareTemporaryQueue());
}

// D3
void tst_Channels::reopeningAnOpenChannelFails()
{
    VERIFY_FAILS(m_client->channel->reopen(), u"InvalidArgument"_s);
    QVERIFY(m_client->channel->isOpen());
    VERIFY_OK(m_client->channel->declareTemporaryQueue());
}

void tst_Channels::closedChannelFailsAllCalls()
{
    const QString queue = uniqueName(u"q"_s);
    Channel *channel = m_client->channel;
    VERIFY_OK(channel->declareQueue(queue, {.exclusive = true}));
    channel->publish({}, queue, Message("1"));
    const auto got = await(channel->get(queue));
    QVERIFY(got && *got);
    VERIFY_OK(channel->close());
    VERIFY_OK(channel->close()); // a second close is not an error

    QCOMPARE(channel->publish({}, queue, Message("2")), 0U);
    QCOMPARE(brief(channel->lastCallError()), u"NotOpen basic.publish"_s);
    VERIFY_FAILS(channel->declareQueue(queue), u"NotOpen queue.declare"_s);
    VERIFY_FAILS(channel->inspectQueue(queue), u"NotOpen queue.declare"_s);
    VERIFY_FAILS(channel->deleteQueue(queue), u"NotOpen queue.delete"_s);
    VERIFY_FAILS(channel->purgeQueue(queue), u"NotOpen queue.purge"_s);
    VERIFY_FAILS(channel->bindQueue(queue, u"amq.direct"_s), u"NotOpen queue.bind"_s);
    VERIFY_FAILS(channel->unbindQueue(queue, u"amq.direct"_s), u"NotOpen queue.unbind"_s);
    VERIFY_FAILS(channel->declareExchange(queue, ExchangeType::Direct), u"NotOpen exchange.declare"_s);
    VERIFY_FAILS(channel->inspectExchange(queue), u"NotOpen exchange.declare"_s);
    VERIFY_FAILS(channel->deleteExchange(queue), u"NotOpen exchange.delete"_s);
    VERIFY_FAILS(channel->setPrefetch(1), u"NotOpen basic.qos"_s);
    VERIFY_FAILS(channel->get(queue), u"NotOpen basic.get"_s);
    VERIFY_FAILS(channel->whenOpen(), u"NotOpen"_s);
    QVERIFY(!channel->ack((*got)->message));
    QCOMPARE(brief(channel->lastCallError()), u"StaleDelivery"_s);
    QVERIFY(!channel->nackUpTo((*got)->message));
    Consumer *consumer = channel->consume(queue);
    QSignalSpy cancelled(consumer, &Consumer::cancelled);
    QVERIFY(waitFor([&] { return cancelled.count() == 1; }));
    QCOMPARE(brief(cancelled.first().first().value<Error>()), u"NotOpen basic.consume"_s);
    VERIFY_FAILS(consumer->whenStarted(), u"NotOpen basic.consume"_s);
    QCOMPARE(*await(consumer->cancel()), 0);

    QVERIFY(m_client->connection.isOpen());
    QVERIFY(waitFor([&] { return m_client->messageCount(queue) == 1; }));
}

void tst_Channels::consumerTagInUseIsRejected()
{
    const QString queue = uniqueName(u"q"_s);
    Channel *channel = m_client->channel;
    VERIFY_OK(channel->declareQueue(queue, {.exclusive = true}));
    Consumer *first = channel->consume(queue, {.consumerTag = u"the tag"_s});
    QList<Message> messages;
    collect(first, &messages);
    Consumer *second = channel->consume(queue, {.consumerTag = u"the tag"_s}); // the broker would end the connection
    QSignalSpy cancelled(second, &Consumer::cancelled);
    VERIFY_FAILS(second->whenStarted(), u"InvalidArgument"_s);
    QVERIFY(waitFor([&] { return cancelled.count() == 1; }));
    QVERIFY2(channel->lastCallError().text().contains(u"the tag"_s), qPrintable(channel->lastCallError().text()));

    // The first consumer still works, and other channels have their own tags.
    VERIFY_OK(first->whenStarted());
    QCOMPARE(channel->consumer(u"the tag"_s), first);
    QCOMPARE(channel->consumers(), QList<Consumer *>({first}));
    channel->publish({}, queue, Message("1"));
    QVERIFY(waitFor([&] { return messages.size() == 1; }));
    Channel *other = m_client->connection.createChannel();
    VERIFY_OK(other->consume(queue, {.consumerTag = u"the tag"_s})->whenStarted());

    // The tag may be used again at once, since the subscription waits until the broker has confirmed the cancellation.
    const Reply<int> cancelling = first->cancel();
    Consumer *third = channel->consume(queue, {.consumerTag = u"the tag"_s});
    VERIFY_OK(third->whenStarted());
    QVERIFY(cancelling.isFinished());
    QVERIFY(cancelling.result());
    QCOMPARE(channel->consumer(u"the tag"_s), third);
}

void tst_Channels::channelOutlivesItsConnection()
{
    QObject parent;
    auto *connection = new Connection(brokerParameters());
    Channel *channel = connection->createChannel(&parent);
    Consumer *consumer = nullptr;
    connection->open();
    VERIFY_OK(channel->declareTemporaryQueue());
    consumer = channel->consume({});
    VERIFY_OK(consumer->whenStarted());
    QSignalSpy closed(channel, &Channel::closed);
    const Reply<QueueInfo> declaring = channel->declareTemporaryQueue();
    delete connection;

    VERIFY_FAILS(declaring, u"Cancelled"_s);
    QCOMPARE(channel->connection(), nullptr);
    QCOMPARE(channel->state(), Channel::State::Closed);
    QVERIFY(waitFor([&] { return closed.count() == 1; }));
    QCOMPARE(consumer->state(), Consumer::State::Cancelled);
    QCOMPARE(channel->publish({}, u"q"_s, Message("1")), 0U);
    VERIFY_FAILS(channel->declareTemporaryQueue(), u"NotOpen"_s);
    VERIFY_FAILS(channel->reopen(), u"NotOpen"_s);
    VERIFY_OK(channel->close());
}

// C1
void tst_Channels::signalsReportTheLifeOfAChannel()
{
    Channel *channel = m_client->connection.createChannel();
    QStringList log;
    connect(channel, &Channel::stateChanged, this, [&](Channel::State state) {
        log += QLatin1StringView(QMetaEnum::fromType<Channel::State>().valueToKey(int(state)));
    });
    connect(channel, &Channel::opened, this, [&] { log += u"opened"_s; });
    connect(channel, &Channel::closed, this, [&](const Error &reason) { log += u"closed "_s + brief(reason); });
    connect(channel, &Channel::errorOccurred, this, [&](const Error &error) { log += u"error "_s + brief(error); });
    connect(channel, &Channel::writableChanged, this,
            [&](bool writable) { log += writable ? u"writable"_s : u"not writable"_s; });
    VERIFY_OK(channel->whenOpen());
    QVERIFY(waitFor([&] { return log.contains(u"opened"_s); }));
    VERIFY_OK(channel->close());
    QVERIFY(waitFor([&] { return log.contains(u"closed NoError"_s); }));
    log.removeAll(u"writable"_s);
    log.removeAll(u"not writable"_s);
    QCOMPARE(log, QStringList({u"Open"_s, u"opened"_s, u"Closing"_s, u"Closed"_s, u"closed NoError"_s}));
    log.clear();
    VERIFY_OK(channel->reopen());
    VERIFY_FAILS(channel->inspectQueue(uniqueName(u"missing"_s)), u"ChannelClosed 404 queue.declare"_s);
    QVERIFY(waitFor([&] { return log.contains(u"closed ChannelClosed 404 queue.declare"_s); }));
    log.removeAll(u"writable"_s);
    log.removeAll(u"not writable"_s);
    QCOMPARE(log, QStringList({u"Opening"_s, u"Open"_s, u"opened"_s, u"error ChannelClosed 404 queue.declare"_s,
                               u"Closed"_s, u"closed ChannelClosed 404 queue.declare"_s}));
}

QTEST_GUILESS_MAIN(tst_Channels)

#include "tst_channels.moc"
