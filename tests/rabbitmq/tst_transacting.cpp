// SPDX-License-Identifier: MIT
#include "rabbitmq/queues.h"

#include <QtTest/qsignalspy.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Tests transactions, basic.recover, and access tickets.
class tst_Transacting : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init();
    void cleanup();

    void commitMakesPublishesVisible();
    void rollbackDropsPublishes();
    void rollbackReopensSettledDeliveries();
    void commitSettlesPermanently();
    void everythingMayBeCalledBetweenCommitAndItsAnswer_data();
    void everythingMayBeCalledBetweenCommitAndItsAnswer();
    void commitOutsideATransactionFails();
    void returnsInATransactionHaveNoNumber();
    void transactionModeComesBackWithTheChannel();
    void cancelledConsumersDeliveriesAreReturnedAfterARollback();

    void redeliverUnackedBringsMessagesAgain();
    void rollbackAfterRecoverReopensSettledDeliveries();
    void accessTicketIsUsed();

private:
    std::optional<BrokerClient> m_client;
    Channel *m_channel = nullptr;
};

void tst_Transacting::init()
{
    m_client.emplace();
    QVERIFY(m_client->isOpen());
    m_channel = m_client->channel;
}

void tst_Transacting::cleanup()
{
    m_client.reset();
}

// D7
void tst_Transacting::commitMakesPublishesVisible()
{
    const QString queue = filledQueue(*m_client, 0);
    VERIFY_OK(m_channel->txSelect());
    QCOMPARE(m_channel->mode(), Channel::Mode::Transaction);
    for (int i = 0; i < 3; ++i)
        m_channel->publish({}, queue, Message(QByteArray::number(i)));
    VERIFY_OK(m_channel->inspectQueue(queue)); // the broker has them all
    QCOMPARE(m_client->messageCount(queue), 0);
    VERIFY_OK(m_channel->txCommit());
    QVERIFY(waitFor([&] { return m_client->messageCount(queue) == 3; }));
    QCOMPARE(texts(m_client->drain(queue)), numbers(0, 2));
}

// D7
void tst_Transacting::rollbackDropsPublishes()
{
    const QString queue = filledQueue(*m_client, 0);
    m_channel->txSelect();
    m_channel->publish({}, queue, Message("dropped"));
    const Reply<void> rolledBack = m_channel->txRollback();
    m_channel->publish({}, queue, Message("kept")); // of the next transaction
    VERIFY_OK(rolledBack);
    VERIFY_OK(m_channel->txCommit());
    QVERIFY(waitFor([&] { return m_client->messageCount(queue) == 1; }));
    QCOMPARE(texts(m_client->drain(queue)), QStringList{u"kept"_s});
}

// D7
void tst_Transacting::rollbackReopensSettledDeliveries()
{
    const QString queue = filledQueue(*m_client, 6);
    m_channel->txSelect();
    QList<Message> messages;
    Consumer *consumer = m_channel->consume(queue);
    collect(consumer, &messages);
    QVERIFY(waitFor([&] { return messages.size() == 6; }));
    QVERIFY(m_channel->ack(messages[1]));
    QVERIFY(m_channel->nack(messages[3], Requeue::No));
    messages[4].ack();
    QVERIFY(waitFor([&] { return consumer->unackedCount() == 3; }));
    const Reply<void> rolledBack = m_channel->txRollback();
    QVERIFY(m_channel->ack(messages[2])); // of the next transaction
    VERIFY_OK(rolledBack);
    QCOMPARE(consumer->unackedCount(), 5);
    QCOMPARE(queueCounts(m_channel, queue), QByteArray("0 6"));
    QVERIFY(m_channel->ackUpTo(messages[5]));
    VERIFY_OK(m_channel->txCommit());
    QCOMPARE(consumer->unackedCount(), 0);
    QCOMPARE(queueCounts(m_channel, queue), QByteArray("0 0"));
    QCOMPARE(messages.size(), 6);
}

// D7
void tst_Transacting::commitSettlesPermanently()
{
    const QString queue = filledQueue(*m_client, 2);
    m_channel->txSelect();
    QList<Message> messages;
    collect(m_channel->consume(queue), &messages);
    QVERIFY(waitFor([&] { return messages.size() == 2; }));
    messages[0].ack();
    VERIFY_OK(m_channel->txCommit());
    messages[1].ack();
    VERIFY_OK(m_channel->txRollback());
    QVERIFY(!m_channel->ack(messages[0]));
    QCOMPARE(m_channel->lastCallError().kind(), ErrorKind::StaleDelivery);
    QCOMPARE(queueCounts(m_channel, queue), QByteArray("0 1"));
    VERIFY_OK(m_channel->close());
    QCOMPARE(m_client->messageCount(queue), 1);
}

void tst_Transacting::everythingMayBeCalledBetweenCommitAndItsAnswer_data()
{
    QTest::addColumn<FieldTable>("arguments");
    QTest::newRow("durable") << FieldTable();
    QTest::newRow("quorum") << FieldTable{{u"x-queue-type"_s, u"quorum"_s}};
}

// D7: commands after the commit would end the connection if they were written at once.
void tst_Transacting::everythingMayBeCalledBetweenCommitAndItsAnswer()
{
    QFETCH(const FieldTable, arguments);
    constexpr int Count = 50;
    const QString from = uniqueName(u"from"_s);
    const QString to = uniqueName(u"to"_s);
    VERIFY_OK(m_channel->declareQueue(from, sharedQueue(arguments)));
    VERIFY_OK(m_channel->declareQueue(to, sharedQueue(arguments)));
    for (int i = 0; i < Count; ++i)
        m_channel->publish({}, from, Message(QByteArray::number(i)));
    VERIFY_OK(m_channel->txSelect());
    QList<Reply<void>> commits;
    QList<Reply<QueueInfo>> declares;
    connect(m_channel->consume(from), &Consumer::delivered, this, [&](const Message &message) {
        m_channel->publish({}, to, message);
        commits += m_channel->txCommit();
        message.ack();
        declares += m_channel->declareQueue(to, sharedQueue(arguments));
    });
    QVERIFY(waitFor([&] { return commits.size() == Count && declares.last().isFinished(); }));
    VERIFY_OK(m_channel->txCommit()); // the last ack
    for (const Reply<void> &commit : commits)
        VERIFY_OK(commit);
    for (const Reply<QueueInfo> &declare : declares)
        VERIFY_OK(declare);
    QVERIFY(m_client->connection.isOpen());
    QVERIFY(m_channel->isOpen());
    QVERIFY(waitFor([&] { return m_client->messageCount(to) == Count; }));
    QCOMPARE(texts(m_client->drain(to)), numbers(0, Count - 1));
    VERIFY_OK(m_channel->close());
    QVERIFY(waitFor([&] { return m_client->messageCount(from) == 0; }));
}

// D7
void tst_Transacting::commitOutsideATransactionFails()
{
    VERIFY_FAILS(m_channel->txCommit(), u"InvalidArgument tx.commit"_s);
    VERIFY_FAILS(m_channel->txRollback(), u"InvalidArgument tx.rollback"_s);
    VERIFY_OK(m_channel->declareTemporaryQueue());
}

// D7, F5
void tst_Transacting::returnsInATransactionHaveNoNumber()
{
    m_channel->txSelect();
    QSignalSpy returned(m_channel, &Channel::messageReturned);
    m_channel->publish({}, u"no such queue"_s, Message("lost"), Channel::PublishFlag::Mandatory);
    VERIFY_OK(m_channel->txCommit());
    QVERIFY(waitFor([&] { return !returned.isEmpty(); }));
    QCOMPARE(returned.first().first().toULongLong(), 0);
}

// D7, D3
void tst_Transacting::transactionModeComesBackWithTheChannel()
{
    const QString queue = filledQueue(*m_client, 0);
    VERIFY_OK(m_channel->txSelect());
    m_channel->publish({}, queue, Message("lost with the channel"));
    VERIFY_FAILS(m_channel->inspectQueue(u"no such queue"_s), u"ChannelClosed 404 queue.declare"_s);
    VERIFY_OK(m_channel->reopen());
    QCOMPARE(m_channel->mode(), Channel::Mode::Transaction);
    m_channel->publish({}, queue, Message("kept"));
    VERIFY_OK(m_channel->txCommit());
    QVERIFY(waitFor([&] { return m_client->messageCount(queue) == 1; }));
    QCOMPARE(texts(m_client->drain(queue)), QStringList{u"kept"_s});
}

// D7, G8
void tst_Transacting::cancelledConsumersDeliveriesAreReturnedAfterARollback()
{
    const QString queue = filledQueue(*m_client, 1);
    m_channel->txSelect();
    QList<Message> messages;
    auto *consumer = m_channel->consume(queue);
    collect(consumer, &messages);
    QVERIFY(waitFor([&] { return messages.size() == 1; }));
    messages[0].ack();
    delete consumer;
    VERIFY_OK(m_channel->txRollback());
    QVERIFY(m_channel->ack(messages[0]));
    VERIFY_OK(m_channel->txCommit());
    QCOMPARE(queueCounts(m_channel, queue), QByteArray("0 0"));
}

// G3
void tst_Transacting::redeliverUnackedBringsMessagesAgain()
{
    const QString queue = filledQueue(*m_client, 4);
    QList<Message> messages;
    const Consumer *consumer = m_channel->consume(queue);
    collect(consumer, &messages);
    QVERIFY(waitFor([&] { return messages.size() == 4; }));
    messages[0].ack();
    const Reply<void> recovered = m_channel->redeliverUnacked();
    QVERIFY(!m_channel->ack(messages[1])); // too late, because the broker has requeued it
    QCOMPARE(m_channel->lastCallError().kind(), ErrorKind::StaleDelivery);
    VERIFY_OK(recovered);
    QVERIFY(waitFor([&] { return messages.size() == 7; }));
    QCOMPARE(consumer->unackedCount(), 3);
    for (int i = 4; i < 7; ++i)
        QVERIFY(messages[i].isRedelivered());
    QVERIFY(!m_channel->ack(messages[3]));
    QVERIFY(m_channel->ackUpTo(messages[6]));
    QCOMPARE(queueCounts(m_channel, queue), QByteArray("0 0"));
    // Several recovers at once, with deliveries in transit between them.
    for (int i = 0; i < 200; ++i)
        m_channel->publish({}, queue, Message("more"));
    QVERIFY(waitFor([&] { return messages.size() > 10; }));
    for (int i = 0; i < 5; ++i)
        VERIFY_OK((m_channel->redeliverUnacked(), m_channel->redeliverUnacked()));
    QVERIFY(waitFor([&] { return consumer->unackedCount() == 200; }));
    QVERIFY(m_channel->ackUpTo(messages.last()));
    QCOMPARE(queueCounts(m_channel, queue), QByteArray("0 0"));
}

// G3, D7
void tst_Transacting::rollbackAfterRecoverReopensSettledDeliveries()
{
    const QString queue = filledQueue(*m_client, 3);
    m_channel->txSelect();
    QList<Message> messages;
    collect(m_channel->consume(queue), &messages);
    QVERIFY(waitFor([&] { return messages.size() == 3; }));
    messages[1].ack();
    VERIFY_OK(m_channel->redeliverUnacked());
    QVERIFY(waitFor([&] { return messages.size() == 5; }));
    VERIFY_OK(m_channel->txRollback());
    QCOMPARE(queueCounts(m_channel, queue), QByteArray("0 3"));
    QVERIFY(m_channel->ackUpTo(messages[4])); // settles the second delivery as well
    VERIFY_OK(m_channel->txCommit());
    QCOMPARE(queueCounts(m_channel, queue), QByteArray("0 0"));
}

// D8
void tst_Transacting::accessTicketIsUsed()
{
    const Reply<quint16> ticket = m_channel->requestAccess(
        u"/data"_s, Channel::AccessFlag::Active | Channel::AccessFlag::Write | Channel::AccessFlag::Read);
    VERIFY_OK(ticket);
    const QString queue = filledQueue(*m_client, 2); // uses the ticket, whatever its value
    QCOMPARE(texts(m_client->drain(queue)), numbers(0, 1));
    QVERIFY(m_channel->isOpen());
}

QTEST_GUILESS_MAIN(tst_Transacting)

#include "tst_transacting.moc"
