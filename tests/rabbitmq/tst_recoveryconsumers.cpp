// SPDX-License-Identifier: MIT
#include "rabbitmq/queues.h"
#include "rabbitmq/recoverytest.h"

#include <QtTest/qsignalspy.h>

#include <algorithm>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Consumers after a lost connection.
class tst_RecoveryConsumers : public RecoveryTest
{
    Q_OBJECT

private Q_SLOTS:
    void brokerHasTheSameConsumersAfterEachOutage();
    void signalsComeOnceFromTheSameObject();
    void settingsOfTheChannelApply();
    void channelWithAChosenNumberComesBack();
    void refusedConsumerIsToldOnce();
    void consumerOfADeletedQueueWaits();
    void channelThatTheBrokerClosesDuringRecoveryEndsAlone();
    void closedAndDeletedChannelsStayGone();
    void cancelledConsumerStaysGone();
    void consumerCancelledMeanwhileStaysGone();

private:
    QString queueOf(BrokerClient &client)
    {
        const QString queue = uniqueName(u"q"_s);
        if (!await(client.channel->declareQueue(queue, sharedQueue())))
            qWarning("the queue is not declared");
        return queue;
    }
};

void tst_RecoveryConsumers::brokerHasTheSameConsumersAfterEachOutage()
{
    const QString prefix = uniqueName(u"q"_s);
    QList<Consumer *> consumers;
    Channel *channel = nullptr;
    for (int i = 0; i < 12; ++i) {
        if (i % 3 == 0)
            channel = m_client->connection.createChannel();
        const QString queue = prefix + QString::number(i);
        channel->declareQueue(queue, {.durable = false, .exclusive = true});
        consumers += channel->consume(queue, {.consumerTag = u"tag %1"_s.arg(i), .prefetch = quint16(i + 1)});
    }
    const auto areActive = [&] {
        return std::all_of(consumers.cbegin(), consumers.cend(),
                           [](const Consumer *consumer) { return consumer->state() == Consumer::State::Active; });
    };
    QVERIFY(waitFor(areActive));
    const QStringList columns{u"list_consumers"_s, u"queue_name"_s, u"consumer_tag"_s, u"prefetch_count"_s};
    QStringList before = listed(columns, prefix);
    before.sort();
    QCOMPARE(before.size(), 12);
    for (int outage = 1; outage <= 3; ++outage) {
        QVERIFY(m_client->loseAndRecover());
        QCOMPARE(m_client->failures(), QStringList());
        QCOMPARE(m_client->reports.constLast().consumers, 12);
        QVERIFY(areActive()); // recovered() comes when they are
        QStringList after = listed(columns, prefix);
        after.sort();
        QCOMPARE(after, before);
    }
}

void tst_RecoveryConsumers::signalsComeOnceFromTheSameObject()
{
    const QString queue = queueOf(*m_other);
    Consumer *const consumer = m_client->channel->consume(queue);
    QList<Message> messages;
    collect(consumer, &messages);
    QSignalSpy started(consumer, &Consumer::started), cancelled(consumer, &Consumer::cancelled);
    VERIFY_OK(consumer->whenStarted());
    QList<Consumer::State> states;
    connect(consumer, &Consumer::stateChanged, this, [&](Consumer::State state) { states += state; });
    for (int outage = 1; outage <= 3; ++outage) {
        states.clear();
        QVERIFY(m_client->loseAndRecover());
        QCOMPARE(m_client->channel->consumers(), QList<Consumer *>{consumer});
        QCOMPARE(states, QList({Consumer::State::Recovering, Consumer::State::Active}));
        QVERIFY(waitFor([&] { return started.count() == outage + 1; }));
        m_other->channel->publish({}, queue, Message(QByteArray::number(outage)));
        QVERIFY(waitFor([&] { return messages.size() == outage; }));
        messages.constLast().ack();
        QCOMPARE(queueCounts(m_client->channel, queue), QByteArray("0 0"));
    }
    QCOMPARE(texts(messages), numbers(1, 3));
    QCOMPARE(started.count(), 4);
    QCOMPARE(cancelled.count(), 0);
}

void tst_RecoveryConsumers::settingsOfTheChannelApply()
{
    const QString queue = filledQueue(*m_other, 20);
    Channel *const channel = m_client->channel;
    VERIFY_OK(channel->setPrefetch(3));
    VERIFY_OK(channel->confirmSelect());
    Consumer *const consumer = channel->consume(queue);
    QList<Message> messages;
    collect(consumer, &messages);
    QVERIFY(waitFor([&] { return messages.size() == 3; }));
    QVERIFY(m_client->loseAndRecover());
    QCOMPARE(channel->mode(), Channel::Mode::Confirm);
    VERIFY_OK(channel->publishWithReply({}, queue, Message("confirmed")));
    QCOMPARE(queueCounts(channel, queue), QByteArray("18 3"));
    QCOMPARE(messages.size(), 6);
}

void tst_RecoveryConsumers::channelWithAChosenNumberComesBack()
{
    const QString queue = queueOf(*m_other);
    Channel *const channel = m_client->connection.channel(7);
    QVERIFY(channel);
    Consumer *const consumer = channel->consume(queue);
    QList<Message> messages;
    collect(consumer, &messages);
    VERIFY_OK(consumer->whenStarted());
    QVERIFY(m_client->loseAndRecover());
    QCOMPARE(channel->number(), quint16(7));
    QCOMPARE(channel->state(), Channel::State::Open);
    QCOMPARE(m_client->connection.channel(7), channel);
    m_other->channel->publish({}, queue, Message("hello"));
    QVERIFY(waitFor([&] { return messages.size() == 1; }));
    QCOMPARE(messages.constFirst().channelNumber(), 7);
}

void tst_RecoveryConsumers::refusedConsumerIsToldOnce()
{
    const QString refused = queueOf(*m_other), allowed = queueOf(*m_other);
    Consumer *const first = m_client->channel->consume(refused);
    Consumer *const second = m_client->connection.createChannel()->consume(allowed);
    VERIFY_OK(first->whenStarted());
    VERIFY_OK(second->whenStarted());
    QSignalSpy cancelled(first, &Consumer::cancelled);
    m_client->proxy.pauseAccepting();
    QVERIFY(m_client->lose());
    const auto subscribesAlone = [&] { // as soon as the broker has noticed the loss; 403 for everybody else
        return bool(await(m_other->connection.createChannel()->consume(refused, {.exclusive = true})->whenStarted()));
    };
    QVERIFY(waitFor(subscribesAlone));
    m_client->proxy.resumeAccepting();
    QVERIFY(m_client->recover());
    QVERIFY(waitFor([&] { return cancelled.count() == 1; }));
    QCOMPARE(cancelled.constFirst().constFirst().value<Error>().replyCode(), quint16(403));
    QCOMPARE(m_client->failures().size(), 1);
    QVERIFY2(m_client->failures().constFirst().contains(refused), qPrintable(m_client->failures().constFirst()));
    QCOMPARE(second->state(), Consumer::State::Active);
    QVERIFY(m_client->loseAndRecover());
    QCOMPARE(m_client->failures(), QStringList()); // it has ended
    QCOMPARE(cancelled.count(), 1);
}

void tst_RecoveryConsumers::consumerOfADeletedQueueWaits()
{
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_other->channel->declareQueue(queue, sharedQueue()));
    Consumer *const consumer = m_client->channel->consume(queue, {.resubscribe = true});
    QList<Message> messages;
    collect(consumer, &messages);
    VERIFY_OK(consumer->whenStarted());
    m_client->proxy.pauseAccepting();
    QVERIFY(m_client->lose());
    VERIFY_OK(m_other->channel->deleteQueue(queue));
    m_client->proxy.resumeAccepting();
    QVERIFY(waitFor([&] { return m_client->connection.isOpen(); }));
    QCOMPARE(consumer->state(), Consumer::State::Recovering);
    m_other->channel->declareQueue(queue, sharedQueue());
    m_other->channel->publish({}, queue, Message("hello"));
    QVERIFY(waitFor([&] { return messages.size() == 1; }));
    QCOMPARE(consumer->state(), Consumer::State::Active);
}

void tst_RecoveryConsumers::channelThatTheBrokerClosesDuringRecoveryEndsAlone()
{
    const QString queue = queueOf(*m_other), other = queueOf(*m_other);
    Channel *const failing = m_client->connection.createChannel();
    Consumer *const consumer = failing->consume(queue);
    Consumer *const survivor = m_client->channel->consume(other);
    VERIFY_OK(consumer->whenStarted());
    VERIFY_OK(survivor->whenStarted());
    QSignalSpy cancelled(consumer, &Consumer::cancelled);
    m_client->proxy.pauseAccepting();
    QVERIFY(m_client->lose());
    VERIFY_OK(m_other->channel->deleteQueue(queue)); // 404 when it subscribes again
    m_client->proxy.resumeAccepting();
    QVERIFY(m_client->recover());
    QVERIFY(waitFor([&] { return cancelled.count() == 1; }));
    QCOMPARE(cancelled.constFirst().constFirst().value<Error>().replyCode(), quint16(404));
    QCOMPARE(m_client->failures().size(), 1);
    QCOMPARE(survivor->state(), Consumer::State::Active);
    QCOMPARE(m_client->connection.state(), Connection::State::Open);
    QCOMPARE(m_client->reports.size(), 1);
}

void tst_RecoveryConsumers::closedAndDeletedChannelsStayGone()
{
    const QString queue = queueOf(*m_other);
    QList<Channel *> channels;
    for (int i = 0; i < 10; ++i) {
        channels += m_client->connection.createChannel();
        VERIFY_OK(channels.constLast()->consume(queue, {.consumerTag = queue + QString::number(i)})->whenStarted());
    }
    VERIFY_OK(channels.at(0)->close());
    delete channels.at(1);
    QVERIFY(m_client->lose());
    channels.at(2)->close();
    delete channels.at(3);
    QVERIFY(m_client->recover());
    QCOMPARE(m_client->failures(), QStringList());
    QStringList tags = listed({u"list_consumers"_s, u"consumer_tag"_s}, queue);
    tags.sort();
    QStringList expected;
    for (int i = 4; i < 10; ++i)
        expected += queue + QString::number(i);
    QCOMPARE(tags, expected);
    QCOMPARE(channels.at(0)->state(), Channel::State::Closed);
    QCOMPARE(channels.at(2)->state(), Channel::State::Closed);
}

void tst_RecoveryConsumers::cancelledConsumerStaysGone()
{
    const QString queue = queueOf(*m_other);
    Consumer *const cancelled = m_client->channel->consume(queue, {.consumerTag = queue + u" cancelled"_s});
    Consumer *const living = m_client->channel->consume(queue, {.consumerTag = queue + u" living"_s});
    VERIFY_OK(living->whenStarted());
    VERIFY_OK(cancelled->cancel());
    QVERIFY(m_client->loseAndRecover());
    QCOMPARE(listed({u"list_consumers"_s, u"consumer_tag"_s}, queue), QStringList{living->consumerTag()});
    QCOMPARE(cancelled->state(), Consumer::State::Cancelled);
}

void tst_RecoveryConsumers::consumerCancelledMeanwhileStaysGone()
{
    const QString queue = queueOf(*m_other);
    Consumer *const consumer = m_client->channel->consume(queue);
    Consumer *const deleted = m_client->channel->consume(queue);
    VERIFY_OK(deleted->whenStarted());
    QSignalSpy cancelled(consumer, &Consumer::cancelled);
    QVERIFY(m_client->lose());
    const Reply<int> cancelling = consumer->cancel();
    delete deleted;
    VERIFY_OK(cancelling);
    QVERIFY(m_client->recover());
    QCOMPARE(m_client->failures(), QStringList());
    QCOMPARE(cancelled.count(), 1);
    QCOMPARE(listed({u"list_consumers"_s, u"queue_name"_s}, queue), QStringList());
}

QTEST_GUILESS_MAIN(tst_RecoveryConsumers)

#include "moc_recoverytest.cpp"
#include "tst_recoveryconsumers.moc"
