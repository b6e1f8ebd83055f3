// SPDX-License-Identifier: MIT
#include "rabbitmq/subscribing.h"

#include <QtCore/qpointer.h>
#include <QtCore/qscopeguard.h>
#include <QtTest/qsignalspy.h>

#include <algorithm>
#include <functional>
#include <memory>

using namespace AmqpQt;
using namespace AmqpQt::Test;

class tst_Subscriptions : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void deletedQueueCancelsItsConsumerOnly();
    void cancelledConsumerSubscribesAgainWhenItsQueueIsBack();
    void missingQueueKeepsNoOtherConsumerWaiting();
    void consumerThatMayOnlyReadSubscribesAgain();
    void exclusiveQueueOfAnotherConnectionEndsTheWaiting();
    void cancelledConsumerMayBeEndedWhileItWaits_data();
    void cancelledConsumerMayBeEndedWhileItWaits();
    void tagOfAnEndedConsumerMayBeUsedAtOnce_data();
    void tagOfAnEndedConsumerMayBeUsedAtOnce();
    void drainedConsumerLosesNothingAndReturnsNothing_data();
    void drainedConsumerLosesNothingAndReturnsNothing();
    void singleActiveConsumersTakeTurns();
    void streamNeedsPrefetchAndAcks_data();
    void streamNeedsPrefetchAndAcks();
    void endOfASubscriptionReturnsUnreportedDeliveries_data();
    void endOfASubscriptionReturnsUnreportedDeliveries();
    void floodLetsOtherEventsRun();
    void batchesBringTheSameMessages();
    void batchSlotMayEndTheSubscription_data() { Subscription::addWaysToEnd(); }
    void batchSlotMayEndTheSubscription();
    void batchesOfAWorkerConnectionArriveInTheMainThread();
};

// G6
void tst_Subscriptions::deletedQueueCancelsItsConsumerOnly()
{
    BrokerClient client, other;
    QVERIFY(client.isOpen() && other.isOpen());
    const QString queue = filledQueue(client, 1);
    const QString survivor = filledQueue(client, 0);
    Consumer *consumer = client.channel->consume(queue);
    QList<Message> messages, others;
    collect(consumer, &messages);
    Consumer *surviving = client.channel->consume(survivor);
    collect(surviving, &others);
    QVERIFY(waitFor([&] { return messages.size() == 1; }));

    QSignalSpy cancelled(consumer, &Consumer::cancelled);
    QSignalSpy errors(client.channel, &Channel::errorOccurred);
    VERIFY_OK(other.channel->deleteQueue(queue));
    QVERIFY(waitFor([&] { return cancelled.count() == 1; }));
    QCOMPARE(cancelled.first().first().value<Error>().kind(), ErrorKind::ConsumerCancelled);
    QCOMPARE(consumer->state(), Consumer::State::Cancelled);
    QCOMPARE(client.channel->consumers(), QList<Consumer *>({surviving}));
    QCOMPARE(surviving->state(), Consumer::State::Active);

    messages.first().ack(); // the queue is gone, but the channel still knows the delivery
    client.channel->publish({}, survivor, Message::fromText(u"another"));
    QVERIFY(waitFor([&] { return texts(others) == QStringList(u"another"_s); }));
    VERIFY_OK(client.channel->declareQueue(queue, sharedQueue()));
    collect(client.channel->consume(queue, {.consumerTag = consumer->consumerTag()}), &messages);
    client.channel->publish({}, queue, Message::fromText(u"again"));
    QVERIFY(waitFor([&] { return messages.size() == 2; }));
    QCOMPARE(messages.last().text(), u"again"_s);
    QCOMPARE(errors.count(), 0);
}

// C13
void tst_Subscriptions::cancelledConsumerSubscribesAgainWhenItsQueueIsBack()
{
    BrokerClient client, other;
    QVERIFY(client.isOpen() && other.isOpen());
    const QString queue = filledQueue(client, 1);
    Consumer *consumer = client.channel->consume(queue, {.consumerTag = u"tag"_s, .resubscribe = true});
    QList<Message> messages;
    collect(consumer, &messages);
    QVERIFY(waitFor([&] { return messages.size() == 1; }));
    QSignalSpy cancelled(consumer, &Consumer::cancelled);
    QSignalSpy started(consumer, &Consumer::started);
    QSignalSpy errors(client.channel, &Channel::errorOccurred);
    for (int round = 2; round <= 3; ++round) {
        VERIFY_OK(other.channel->deleteQueue(queue));
        QVERIFY(waitFor([&] { return consumer->state() == Consumer::State::Recovering; }));
        messages.last().ack(); // is harmless
        VERIFY_OK(other.channel->declareQueue(queue, sharedQueue()));
        other.channel->publish({}, queue, Message(QByteArray::number(round)));
        QVERIFY(waitFor([&] { return messages.size() == round; }));
        QCOMPARE(messages.last().text(), QString::number(round));
        QCOMPARE(consumer->state(), Consumer::State::Active);
        VERIFY_OK(consumer->whenStarted());
    }
    QCOMPARE(started.count(), 2);
    QCOMPARE(cancelled.count(), 0);
    QCOMPARE(errors.count(), 0);
    QCOMPARE(client.channel->consumer(u"tag"_s), consumer);
    QCOMPARE(client.connection.channels(),
             QList<Channel *>{client.channel}); // the channel that checks the queue is hidden
    VERIFY_OK(client.connection.close());
    QVERIFY(waitFor([&] { return cancelled.count() == 1; }));
}

// C13
void tst_Subscriptions::missingQueueKeepsNoOtherConsumerWaiting()
{
    BrokerClient client, other;
    QVERIFY(client.isOpen() && other.isOpen());
    QStringList queues;
    QList<Consumer *> consumers;
    for (int i = 0; i < 5; ++i) {
        queues += filledQueue(client, 0);
        consumers += client.channel->consume(queues.last(), {.resubscribe = true});
        VERIFY_OK(consumers.last()->whenStarted());
    }
    QSignalSpy errors(client.channel, &Channel::errorOccurred);
    for (const QString &queue : std::as_const(queues))
        VERIFY_OK(other.channel->deleteQueue(queue));
    for (int i = 0; i < 5; ++i)
        QVERIFY(waitFor([&] { return consumers.at(i)->state() == Consumer::State::Recovering; }));
    for (const int back : {4, 1, 3}) { // the first queue of all stays missing
        VERIFY_OK(other.channel->declareQueue(queues.at(back), sharedQueue()));
        QVERIFY(waitFor([&] { return consumers.at(back)->state() == Consumer::State::Active; }));
    }
    QCOMPARE(consumers.at(0)->state(), Consumer::State::Recovering);
    QCOMPARE(consumers.at(2)->state(), Consumer::State::Recovering);
    for (const int back : {0, 2})
        VERIFY_OK(other.channel->declareQueue(queues.at(back), sharedQueue()));
    for (const Consumer *consumer : std::as_const(consumers))
        QVERIFY(waitFor([&] { return consumer->state() == Consumer::State::Active; }));
    QCOMPARE(errors.count(), 0);
}

// C13: some brokers require the permission to configure a queue for checking whether it exists.
void tst_Subscriptions::consumerThatMayOnlyReadSubscribesAgain()
{
    ConnectionParameters parameters = brokerParameters();
    const QString user = uniqueName(u"reader"_s);
    QCOMPARE(brokerControl({u"add_user"_s, user, u"secret"_s}).exitCode, 0);
    const auto deleted = qScopeGuard([&] { brokerControl({u"delete_user"_s, user}); });
    QCOMPARE(brokerControl({u"set_permissions"_s, u"-p"_s, parameters.virtualHost(), user, u"^$"_s, u"^$"_s, u".*"_s})
                 .exitCode,
             0);
    parameters.setCredentials(user, u"secret"_s);
    BrokerClient other;
    QVERIFY(other.isOpen());
    const QString queue = filledQueue(other, 1);
    Connection connection(parameters);
    connection.open();
    Channel *channel = connection.createChannel();
    Consumer *consumer = channel->consume(queue, {.consumerTag = u"tag"_s, .resubscribe = true});
    QList<Message> messages;
    collect(consumer, &messages);
    QVERIFY(waitFor([&] { return messages.size() == 1; }));
    VERIFY_OK(other.channel->deleteQueue(queue));
    QVERIFY(waitFor([&] { return consumer->state() == Consumer::State::Recovering; }));
    VERIFY_OK(other.channel->declareQueue(queue, sharedQueue()));
    other.channel->publish({}, queue, Message("again"));
    QVERIFY(waitFor([&] { return messages.size() == 2; }));
    QCOMPARE(consumer->state(), Consumer::State::Active);
    QVERIFY(!channel->error().isError());
    VERIFY_OK(other.channel->deleteQueue(queue));
}

// C13
void tst_Subscriptions::exclusiveQueueOfAnotherConnectionEndsTheWaiting()
{
    BrokerClient client, other;
    QVERIFY(client.isOpen() && other.isOpen());
    const QString queue = filledQueue(client, 0);
    Consumer *consumer = client.channel->consume(queue, {.resubscribe = true});
    VERIFY_OK(consumer->whenStarted());
    QSignalSpy cancelled(consumer, &Consumer::cancelled);
    const Reply<quint32> deleting = other.channel->deleteQueue(queue);
    VERIFY_OK(other.channel->declareQueue(queue, {.exclusive = true}));
    QVERIFY(waitFor([&] { return cancelled.count() == 1; }));
    QCOMPARE(cancelled.first().first().value<Error>().replyCode(), 405);
    VERIFY_OK(deleting);
    QVERIFY(client.channel->isOpen());
    VERIFY_OK(client.channel->declareTemporaryQueue());
}

void tst_Subscriptions::cancelledConsumerMayBeEndedWhileItWaits_data()
{
    QTest::addColumn<bool>("isDeleted");
    QTest::newRow("cancel()") << false;
    QTest::newRow("deleted") << true;
}

// C13
void tst_Subscriptions::cancelledConsumerMayBeEndedWhileItWaits()
{
    QFETCH(const bool, isDeleted);
    BrokerClient client, other;
    QVERIFY(client.isOpen() && other.isOpen());
    const QString queue = filledQueue(client, 0);
    Consumer *consumer = client.channel->consume(queue, {.resubscribe = true});
    VERIFY_OK(consumer->whenStarted());
    VERIFY_OK(other.channel->deleteQueue(queue));
    QVERIFY(waitFor([&] { return consumer->state() == Consumer::State::Recovering; }));
    if (isDeleted) {
        delete consumer;
    } else {
        QSignalSpy cancelled(consumer, &Consumer::cancelled);
        QCOMPARE(*await(consumer->cancel()), 0);
        QVERIFY(waitFor([&] { return cancelled.count() == 1; }));
        QVERIFY(!cancelled.first().first().value<Error>().isError());
    }
    VERIFY_OK(other.channel->declareQueue(queue, sharedQueue()));
    QTest::qWait(1200); // longer than the interval of the checks
    const Result<QueueInfo> info = await(other.channel->inspectQueue(queue));
    QVERIFY(info);
    QCOMPARE(info->consumerCount, quint32(0));
    QVERIFY(client.channel->isOpen());
}

void tst_Subscriptions::tagOfAnEndedConsumerMayBeUsedAtOnce_data()
{
    QTest::addColumn<bool>("isDeleted");
    QTest::newRow("cancel()") << false;
    QTest::newRow("deleted") << true;
}

// C13
void tst_Subscriptions::tagOfAnEndedConsumerMayBeUsedAtOnce()
{
    QFETCH(const bool, isDeleted);
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = filledQueue(client, 0);
    QSignalSpy errors(client.channel, &Channel::errorOccurred);
    const auto consume = [&] { return client.channel->consume(queue, {.consumerTag = u"tag"_s, .exclusive = true}); };
    for (int i = 0; i < 6; ++i) {
        Consumer *former = consume();
        if (i % 2 == 1)
            VERIFY_OK(former->whenStarted());
        if (isDeleted)
            delete former;
        else
            former->cancel();
    }
    QList<Message> messages;
    Consumer *consumer = consume();
    collect(consumer, &messages);
    client.channel->publish({}, queue, Message::fromText(u"last"_s));
    QVERIFY(waitFor([&] { return texts(messages) == QStringList(u"last"_s); }));
    QCOMPARE(consumer->state(), Consumer::State::Active);
    QCOMPARE(client.channel->consumer(u"tag"_s), consumer);
    QCOMPARE(errors.count(), 0);
}

void tst_Subscriptions::drainedConsumerLosesNothingAndReturnsNothing_data()
{
    QTest::addColumn<AckMode>("ackMode");
    QTest::newRow("manual") << AckMode::Manual;
    QTest::newRow("no ack") << AckMode::NoAck;
}

void tst_Subscriptions::drainedConsumerLosesNothingAndReturnsNothing()
{
    QFETCH(const AckMode, ackMode);
    constexpr int Count = 5000;
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = filledQueue(client, Count);
    QList<Message> messages;
    Consumer *drained = client.channel->consume(queue, {.ackMode = ackMode});
    collect(drained, &messages);
    QVERIFY(waitFor([&] { return !messages.isEmpty(); }));
    const Reply<int> draining = drained->drain();
    QCOMPARE(drained->state(), Consumer::State::Cancelling);
    collect(client.channel->consume(queue, {.ackMode = ackMode}), &messages);
    QVERIFY(waitFor([&] { return messages.size() >= Count && draining.isFinished(); }));
    QCOMPARE(draining.result().value(), 0);
    QCOMPARE(texts(messages), numbers(0, Count - 1));
    QVERIFY(std::none_of(messages.cbegin(), messages.cend(), [](const Message &one) { return one.isRedelivered(); }));
    QCOMPARE(drained->state(), Consumer::State::Cancelled);
}

// G1, E6
void tst_Subscriptions::singleActiveConsumersTakeTurns()
{
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = filledQueue(client, 2, {{u"x-single-active-consumer"_s, true}});
    Consumer *first = client.channel->consume(queue, {.ackMode = AckMode::AfterDelivery});
    Consumer *second = client.channel->consume(queue, {.ackMode = AckMode::AfterDelivery});
    QList<Message> ofFirst, ofSecond;
    collect(first, &ofFirst);
    collect(second, &ofSecond);
    QVERIFY(waitFor([&] { return ofFirst.size() == 2; }));
    QCOMPARE(ofSecond.size(), 0);
    VERIFY_OK(first->cancel());
    client.channel->publish({}, queue, Message("for the next one"));
    QVERIFY(waitFor([&] { return ofSecond.size() == 1; }));
}

void tst_Subscriptions::streamNeedsPrefetchAndAcks_data()
{
    QTest::addColumn<AckMode>("ackMode");
    QTest::addColumn<quint16>("prefetch");
    QTest::newRow("no prefetch") << AckMode::Manual << quint16(0);
    QTest::newRow("no acks") << AckMode::NoAck << quint16(10);
}

// G1: the broker would close the channel, or the connection.
void tst_Subscriptions::streamNeedsPrefetchAndAcks()
{
    QFETCH(const AckMode, ackMode);
    QFETCH(const quint16, prefetch);
    BrokerClient client;
    QVERIFY(client.isOpen());
    ConsumeOptions options;
    options.ackMode = ackMode;
    options.prefetch = prefetch;
    options.arguments = {{u"x-stream-offset"_s, u"first"_s}};
    VERIFY_FAILS(client.channel->consume(u"stream"_s, options)->whenStarted(), u"InvalidArgument"_s);
    VERIFY_OK(client.channel->declareTemporaryQueue());
}

void tst_Subscriptions::endOfASubscriptionReturnsUnreportedDeliveries_data()
{
    QTest::addColumn<bool>("batches");
    QTest::addColumn<bool>("deleting");
    QTest::newRow("cancel") << false << false;
    QTest::newRow("delete") << false << true;
    QTest::newRow("cancel, with batches") << true << false;
    QTest::newRow("delete, with batches") << true << true;
}

// G8
void tst_Subscriptions::endOfASubscriptionReturnsUnreportedDeliveries()
{
    QFETCH(const bool, batches);
    QFETCH(const bool, deleting);
    constexpr int Count = 200;
    constexpr int Prefetch = 50;
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = filledQueue(client, Count);
    QPointer<Consumer> consumer = client.channel->consume(queue, {.prefetch = Prefetch});
    QList<Message> messages;
    std::optional<Reply<int>> cancelled;
    bool isSentOut = false;
    const auto end = [&] {
        // Uses another thread, so that nothing is read here until the broker has sent everything it may
        // send.
        const std::unique_ptr<QThread> observer(QThread::create([&] {
            BrokerClient observing;
            isSentOut = waitFor([&] { return observing.messageCount(queue) == Count - Prefetch; });
        }));
        observer->start();
        observer->wait();
        if (deleting)
            delete consumer;
        else
            cancelled = consumer->cancel();
    };
    if (batches) {
        connect(consumer, &Consumer::batchDelivered, this, [&](const QList<Message> &batch) {
            messages += batch;
            end();
        });
    } else {
        connect(consumer, &Consumer::delivered, this, [&](const Message &message) {
            messages += message;
            end();
        });
    }
    QVERIFY(waitFor([&] { return isSentOut; }));
    const int seen = int(messages.size());
    QCOMPARE(texts(messages), numbers(0, seen - 1));
    if (!batches)
        QCOMPARE(seen, 1);
    if (!deleting) {
        const Result<int> returned = await(*cancelled);
        QVERIFY2(returned, qPrintable(returned.error().toString()));
        QCOMPARE(*returned, Prefetch - seen);
        QCOMPARE(consumer->state(), Consumer::State::Cancelled);
    }

    // The application can still settle the messages that its slot has received. The others are back in the
    // queue.
    QVERIFY(waitFor([&] { return client.messageCount(queue) == Count - seen; }));
    QCOMPARE(int(messages.size()), seen);
    QVERIFY(client.channel->ackUpTo(messages.last()));
    VERIFY_OK(client.channel->close());
    QCOMPARE(texts(client.drain(queue)), numbers(seen, Count - 1));
}

// G11
void tst_Subscriptions::floodLetsOtherEventsRun()
{
    constexpr int Count = 1000;
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = filledQueue(client, Count);
    int delivered = 0, timeouts = 0, calls = 0;
    QTimer timer;
    connect(&timer, &QTimer::timeout, this, [&] { ++timeouts; });
    const std::function<void()> callAgain = [&] {
        if (++calls && delivered < Count)
            QMetaObject::invokeMethod(&timer, callAgain, Qt::QueuedConnection);
    };
    Consumer *consumer = client.channel->consume(queue, {.ackMode = AckMode::NoAck});
    connect(consumer, &Consumer::delivered, this, [&] {
        if (++delivered == 1) {
            timer.start(0);
            callAgain();
        }
        QThread::msleep(1); // four slots use up the time of one turn of the event loop
    });
    int timeoutsMeanwhile = 0, callsMeanwhile = 0;
    QVERIFY(waitFor([&] {
        if (delivered < Count) {
            timeoutsMeanwhile = timeouts;
            callsMeanwhile = calls;
        }
        return delivered == Count;
    }));
    QVERIFY2(timeoutsMeanwhile > Count / 20, qPrintable(QString::number(timeoutsMeanwhile)));
    QVERIFY2(callsMeanwhile > Count / 20, qPrintable(QString::number(callsMeanwhile)));
}

// G11
void tst_Subscriptions::batchesBringTheSameMessages()
{
    constexpr int Count = 2000;
    BrokerClient client;
    QVERIFY(client.isOpen());
    const QString queue = filledQueue(client, Count);
    Consumer *consumer = client.channel->consume(queue);
    QList<Message> single, batched;
    int batches = 0;
    collect(consumer, &single);
    connect(consumer, &Consumer::batchDelivered, this, [&](const QList<Message> &messages) {
        QVERIFY(!messages.isEmpty());
        ++batches;
        batched += messages;
    });
    QVERIFY(waitFor([&] { return batched.size() == Count; }));
    QCOMPARE(texts(single), numbers(0, Count - 1));
    QVERIFY(batched == single);
    QVERIFY(batches < Count);
    QCOMPARE(consumer->unackedCount(), Count); // emitted by both signals, but delivered once
}

// A10
void tst_Subscriptions::batchSlotMayEndTheSubscription()
{
    QFETCH(const QString, how);
    constexpr int Count = 50;
    BrokerClient observer;
    QVERIFY(observer.isOpen());
    const QString queue = filledQueue(observer, Count);
    Subscription subscription(queue);
    int batches = 0;
    int acked = 0;
    connect(subscription.consumer, &Consumer::batchDelivered, this, [&](const QList<Message> &messages) {
        ++batches;
        for (const Message &message : messages)
            message.ack();
        acked += int(messages.size());
        subscription.end(how);
    });
    subscription.connection->open();
    QVERIFY(waitFor([&] { return batches > 0; }));
    QVERIFY(waitFor([&] { return observer.messageCount(queue) == Count - acked; }));
    QCOMPARE(batches, 1);
}

// A12
void tst_Subscriptions::batchesOfAWorkerConnectionArriveInTheMainThread()
{
    constexpr int Count = 1000;
    BrokerClient publisher;
    QVERIFY(publisher.isOpen());
    const QString queue = filledQueue(publisher, Count);
    auto *connection = new Connection(brokerParameters());
    Consumer *consumer = connection->createChannel()->consume(queue, {.prefetch = 100});
    QStringList received;
    int elsewhere = 0;
    connect(consumer, &Consumer::batchDelivered, this, [&](const QList<Message> &messages) {
        elsewhere += QThread::currentThread() != this->thread();
        received += texts(messages);
        for (const Message &message : messages)
            message.ack(); // otherwise only as many messages as the prefetch would arrive
    });
    ConnectionThread worker(connection);
    QMetaObject::invokeMethod(connection, &Connection::open);
    QVERIFY(waitFor([&] { return received.size() == Count; }));
    QCOMPARE(received, numbers(0, Count - 1));
    QCOMPARE(elsewhere, 0);

    bool closed = false;
    connect(connection, &Connection::closed, this, [&] { closed = true; });
    QMetaObject::invokeMethod(connection, &Connection::close);
    QVERIFY(waitFor([&] { return closed; }));
    QCOMPARE(publisher.messageCount(queue), 0); // no message was requeued, since all acks had arrived
}

QTEST_GUILESS_MAIN(tst_Subscriptions)

#include "tst_subscriptions.moc"
