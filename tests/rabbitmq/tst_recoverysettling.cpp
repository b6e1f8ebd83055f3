// SPDX-License-Identifier: MIT
#include "rabbitmq/queues.h"
#include "rabbitmq/recoverytest.h"
#include "support/waystosettle.h"

#include <AmqpQt/Publisher>

#include <QtTest/qsignalspy.h>

#include <algorithm>
#include <numeric>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// What was under way when the connection was lost: deliveries, settlements, publishes and calls.
class tst_RecoverySettling : public RecoveryTest
{
    Q_OBJECT

private Q_SLOTS:
    void lateSettlementsSendNothing_data();
    void lateSettlementsSendNothing();
    void lateSettlementOfAFetchedMessageSendsNothing();
    void unsettledMessagesComeAgain();
    void confirmsBelongToTheirMessages();
    void publisherReportsWhatIsUnknown();
    void publisherSendsAgainInOrder();
    void slowConnectionEndsEveryPublish();
    void setUpCallsKeepTheirReplies();
    void otherCallsEnd();
    void manyCallsAreAnswered();
};

void tst_RecoverySettling::lateSettlementsSendNothing_data()
{
    addWaysToSettle();
}

void tst_RecoverySettling::lateSettlementsSendNothing()
{
    QFETCH(const QString, how);
    const QString queue = filledQueue(*m_other, 3);
    Channel *const channel = m_client->channel;
    Consumer *const consumer = channel->consume(queue);
    QList<Message> messages;
    collect(consumer, &messages);
    QVERIFY(waitFor([&] { return messages.size() == 3; }));
    QSignalSpy settlementFailed(channel, &Channel::settlementFailed);
    QVERIFY(m_client->loseAndRecover());
    QVERIFY(waitFor([&] { return messages.size() == 6; }));
    QCOMPARE(messages.at(1).deliveryTag(), messages.at(4).deliveryTag()); // the numbers begin again
    const Message old = messages.at(1);
    QVERIFY(!settleBy(how, channel, old));
    QCOMPARE(queueCounts(channel, queue), QByteArray("0 3"));
    QVERIFY(channel->isOpen());
    QCOMPARE(settlementFailed.count(), 0);
    QCOMPARE(consumer->unackedCount(), 3);
    messages.at(4).ack();
    QCOMPARE(queueCounts(channel, queue), QByteArray("0 2"));
}

void tst_RecoverySettling::lateSettlementOfAFetchedMessageSendsNothing()
{
    const QString queue = filledQueue(*m_other, 1);
    const auto fetched = await(m_client->channel->get(queue));
    QVERIFY(fetched && *fetched);
    QVERIFY(m_client->loseAndRecover());
    const auto again = await(m_client->channel->get(queue));
    QVERIFY(again && *again);
    (*fetched)->message.ack();
    QCOMPARE(queueCounts(m_client->channel, queue), QByteArray("0 1"));
    (*again)->message.ack();
    QCOMPARE(queueCounts(m_client->channel, queue), QByteArray("0 0"));
}

void tst_RecoverySettling::unsettledMessagesComeAgain()
{
    const QString queue = filledQueue(*m_other, 10);
    Consumer *const consumer = m_client->channel->consume(queue, {.prefetch = 4});
    QList<Message> messages;
    collect(consumer, &messages);
    QVERIFY(waitFor([&] { return messages.size() == 4; }));
    QVERIFY(m_client->loseAndRecover());
    QVERIFY(waitFor([&] { return messages.size() == 8; }));
    QCOMPARE(texts(messages), numbers(0, 3) + numbers(0, 3));
    QVERIFY(messages.at(4).isRedelivered());
    connect(consumer, &Consumer::delivered, this, [](const Message &message) { message.ack(); });
    for (int i = 4; i < 8; ++i)
        messages.at(i).ack();
    QVERIFY(waitFor([&] { return messages.size() == 14; }));
    QCOMPARE(texts(messages.sliced(8)), numbers(4, 9));
}

void tst_RecoverySettling::confirmsBelongToTheirMessages()
{
    const QString queue = uniqueName(u"q"_s);
    Channel *const channel = m_client->channel;
    channel->declareQueue(queue, sharedQueue());
    VERIFY_OK(channel->confirmSelect());
    QHash<quint64, int> ends;
    QSet<quint64> confirmed;
    connect(channel, &Channel::publishConfirmed, this, [&](quint64 first, quint64 last) {
        for (quint64 number = first; number <= last; ++number) {
            ++ends[number];
            confirmed += number;
        }
    });
    QList<Error> errors;
    connect(channel, &Channel::publishFailed, this, [&](quint64 first, quint64 last, const Error &error) {
        for (quint64 number = first; number <= last; ++number)
            ++ends[number];
        errors += error;
    });
    quint64 published = 0;
    for (int outage = 1; outage <= 3; ++outage) {
        for (int i = 0; i < 500; ++i) {
            Message message(QByteArray::number(qulonglong(published + 1)));
            message.setPersistent(true);
            QCOMPARE(channel->publish({}, queue, message), published + 1);
            ++published;
        }
        QVERIFY(waitFor([&] { return !ends.isEmpty() && confirmed.contains(published - 499); }));
        QVERIFY(m_client->loseAndRecover());
    }
    const Reply<void> last = channel->publishWithReply({}, queue, Message(QByteArray::number(qulonglong(++published))));
    VERIFY_OK(last);
    QVERIFY(waitFor([&] { return ends.size() == qsizetype(published); }));
    for (quint64 number = 1; number <= published; ++number)
        QCOMPARE(ends.value(number), 1);
    for (const Error &error : std::as_const(errors))
        QCOMPARE(error.kind(), ErrorKind::Unconfirmed);
    QSet<quint64> there;
    for (const Message &message : m_other->drain(queue))
        there += message.body().toULongLong();
    QVERIFY2(there.contains(confirmed), "a confirmed message is missing");
}

void tst_RecoverySettling::publisherReportsWhatIsUnknown()
{
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_other->channel->declareQueue(queue, sharedQueue()));
    Publisher publisher(&m_client->connection);
    publisher.setRoutingKey(queue);
    QList<quint64> ended, unknown;
    connect(&publisher, &Publisher::settled, this, [&](quint64 id, const Error &error) {
        ended += id;
        if (error.isError())
            unknown += id;
    });
    VERIFY_OK(publisher.channel()->whenOpen());
    m_client->proxy.strike({.kind = NetworkFault::Kind::BlackHole});
    for (int i = 1; i <= 10; ++i)
        publisher.publish(Message(QByteArray::number(i)));
    QVERIFY(m_client->writeAll());
    QVERIFY(m_client->loseAndRecover());
    publisher.publish(Message("11"));
    QVERIFY(waitFor([&] { return ended.size() == 11; }));
    QList<quint64> expected(11);
    std::iota(expected.begin(), expected.end(), 1);
    QCOMPARE(ended, expected);
    QCOMPARE(unknown, expected.first(10));
    QCOMPARE(texts(m_other->drain(queue)), QStringList{u"11"_s});
}

void tst_RecoverySettling::publisherSendsAgainInOrder()
{
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_other->channel->declareQueue(queue, sharedQueue()));
    Publisher publisher(&m_client->connection);
    publisher.setRoutingKey(queue);
    publisher.setLossPolicy(Publisher::LossPolicy::Republish);
    QList<quint64> ended;
    QList<Error> errors;
    connect(&publisher, &Publisher::settled, this, [&](quint64 id, const Error &error) {
        ended += id;
        if (error.isError())
            errors += error;
    });
    VERIFY_OK(publisher.channel()->whenOpen());
    for (int outage = 0; outage < 3; ++outage) {
        m_client->proxy.strike({.kind = NetworkFault::Kind::BlackHole});
        for (int i = 1; i <= 10; ++i)
            publisher.publish(Message(QByteArray::number(outage * 11 + i)));
        QVERIFY(m_client->writeAll());
        QVERIFY(m_client->lose());
        publisher.publish(Message(QByteArray::number(outage * 11 + 11))); // waits
        QVERIFY(m_client->recover());
    }
    QVERIFY(waitFor([&] { return ended.size() == 33; }));
    QCOMPARE(errors, QList<Error>());
    QVERIFY(std::is_sorted(ended.begin(), ended.end()));
    QCOMPARE(texts(m_other->drain(queue)), numbers(1, 33));
}

void tst_RecoverySettling::slowConnectionEndsEveryPublish()
{
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_other->channel->declareQueue(queue, sharedQueue()));
    Channel *const channel = m_client->channel;
    VERIFY_OK(channel->confirmSelect());
    m_client->proxy.strike({.kind = NetworkFault::Kind::Throttle, .bytesPerSecond = 1024});
    QList<Reply<void>> publishing;
    for (int i = 0; i < 200; ++i)
        publishing += channel->publishWithReply({}, queue, Message(QByteArray(1000, 'x')));
    QVERIFY(m_client->loseAndRecover());
    int confirmed = 0;
    for (const Reply<void> &reply : std::as_const(publishing)) {
        const Result<void> result = await(reply);
        confirmed += result.has_value();
        if (!result)
            QCOMPARE(result.error().kind(), ErrorKind::Unconfirmed);
    }
    QVERIFY(confirmed < 200);
    VERIFY_OK(channel->publishWithReply({}, queue, Message("one more")));
    QVERIFY(m_other->drain(queue).size() > confirmed);
}

void tst_RecoverySettling::setUpCallsKeepTheirReplies()
{
    const QString exchange = uniqueName(u"x"_s), queue = uniqueName(u"q"_s);
    Channel *const channel = m_client->channel;
    m_client->proxy.strike({.kind = NetworkFault::Kind::BlackHole});
    QStringList ended;
    const auto note = [&](const QString &name, const auto &reply) {
        reply.then(this, [&ended, name](const auto &result) { ended += result ? name : name + " failed"_L1; });
    };
    note(u"exchange"_s, channel->declareExchange(exchange, ExchangeType::Direct, passingExchange()));
    note(u"queue"_s, channel->declareQueue(queue, {.durable = false, .exclusive = true}));
    note(u"bind"_s, channel->bindQueue(queue, exchange, u"a"_s));
    note(u"unbind"_s, channel->unbindQueue(queue, exchange, u"b"_s));
    note(u"prefetch"_s, channel->setPrefetch(5));
    note(u"confirm"_s, channel->confirmSelect());
    const Reply<void> starting = channel->consume(queue)->whenStarted();
    QVERIFY(m_client->writeAll());
    QVERIFY(m_client->lose());
    QCOMPARE(ended, QStringList());
    note(u"last"_s, channel->bindQueue(queue, exchange, u"c"_s));
    QVERIFY(m_client->recover());
    VERIFY_OK(starting);
    QVERIFY(waitFor([&] { return ended.size() == 7; }));
    QCOMPARE(ended,
             QStringList({u"exchange"_s, u"queue"_s, u"bind"_s, u"unbind"_s, u"prefetch"_s, u"confirm"_s, u"last"_s}));
}

void tst_RecoverySettling::otherCallsEnd()
{
    const QString queue = filledQueue(*m_other, 1);
    Channel *const channel = m_client->channel, *const transactions = m_client->connection.createChannel();
    VERIFY_OK(transactions->txSelect());
    m_client->proxy.strike({.kind = NetworkFault::Kind::BlackHole});
    const auto getting = channel->get(queue);
    const auto purging = channel->purgeQueue(queue);
    const auto deleting = channel->deleteQueue(queue);
    const auto redelivering = channel->redeliverUnacked();
    const auto committing = transactions->txCommit();
    QVERIFY(m_client->writeAll());
    QVERIFY(m_client->lose());
    VERIFY_FAILS(getting, u"Network"_s);
    QCOMPARE(await(purging).error().kind(), ErrorKind::Network);
    QCOMPARE(await(deleting).error().kind(), ErrorKind::Network);
    QCOMPARE(await(redelivering).error().kind(), ErrorKind::Network);
    QCOMPARE(await(committing).error().kind(), ErrorKind::Network);
    QVERIFY(m_client->recover());
    VERIFY_OK(channel->get(queue));
    VERIFY_OK(transactions->txCommit()); // the mode is restored
}

void tst_RecoverySettling::manyCallsAreAnswered()
{
    const QString queue = uniqueName(u"q"_s);
    Channel *const channel = m_client->channel;
    channel->declareQueue(queue, sharedQueue());
    QList<Reply<QueueInfo>> calls;
    for (int i = 0; i < 256; ++i)
        calls += channel->declareQueue(queue + QString::number(i), {.durable = false, .exclusive = true});
    QVERIFY(m_client->loseAndRecover());
    for (int i = 0; i < 256; ++i) {
        const auto result = await(calls.at(i));
        QVERIFY2(result, qPrintable(result.error().toString()));
        QCOMPARE(result->name, queue + QString::number(i));
    }
}

QTEST_GUILESS_MAIN(tst_RecoverySettling)

#include "moc_recoverytest.cpp"
#include "tst_recoverysettling.moc"
