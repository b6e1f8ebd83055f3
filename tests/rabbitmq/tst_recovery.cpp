// SPDX-License-Identifier: MIT
#include "rabbitmq/brokerclient.h"

#include <AmqpQt/Publisher>
#include <AmqpQt/Recovery>

#include <QtTest/qsignalspy.h>

#include <algorithm>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Automatic recovery after the broker has closed the connection.
class tst_Recovery : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init();
    void cleanup() { m_client.reset(); }

    void connectionRecoversByDefault();
    void connectionClosedByAnOperatorComesBack();
    void queuesOfEveryKindComeBack();
    void changedQueueIsReported();
    void refusedConsumerDoesNotAffectOthers();
    void lateAcknowledgementsDoNoHarm();
    void publisherSendsAgainInOrder();
    void connectionThatIsClosedStaysClosed();

private:
    bool loseAndRecover();
    bool closeByOperator();

    std::unique_ptr<BrokerClient> m_client;
    QList<RecoveryReport> m_reports;
    QString m_name;
};

void tst_Recovery::init()
{
    m_name = uniqueName(u"recovering"_s);
    m_reports.clear();
    ConnectionParameters parameters = brokerParameters();
    parameters.setConnectionName(m_name);
    parameters.setRecoveryPolicy(RecoveryPolicy().withDelays(200ms, 1s));
    m_client = std::make_unique<BrokerClient>(parameters);
    QVERIFY(m_client->isOpen());
    connect(&m_client->connection, &Connection::recovered, this,
            [this](const RecoveryReport &report) { m_reports.append(report); });
}

// Other connections of the broker belong to other tests.
bool tst_Recovery::closeByOperator()
{
    for (int tries = 1; tries <= 100; ++tries) { // RabbitMQ lists a connection a little later than it opens it
        const QString list =
            QString::fromUtf8(brokerControl({u"-q"_s, u"list_connections"_s, u"pid"_s, u"client_properties"_s}).output);
        for (const QString &line : list.split(u'\n')) {
            if (!line.contains(m_name))
                continue;
            const QString pid = line.section(u'\t', 0, 0);
            if (brokerControl({u"-q"_s, u"close_connection"_s, pid, u"maintenance"_s}).exitCode == 0)
                return true;
        }
    }
    return false;
}

bool tst_Recovery::loseAndRecover()
{
    const qsizetype before = m_reports.size();
    return closeByOperator() && waitFor([&] { return m_reports.size() > before; });
}

void tst_Recovery::connectionRecoversByDefault()
{
    m_name = uniqueName(u"default"_s);
    ConnectionParameters parameters = brokerParameters();
    parameters.setConnectionName(m_name);
    Connection connection(parameters);
    QSignalSpy recovered(&connection, &Connection::recovered);
    QSignalSpy closed(&connection, &Connection::closed);
    VERIFY_OK(connection.open());
    QVERIFY(closeByOperator());
    QVERIFY(waitFor([&] { return recovered.size() == 1; }));
    QVERIFY(connection.isOpen());
    QCOMPARE(closed.size(), 0);
}

void tst_Recovery::connectionClosedByAnOperatorComesBack()
{
    QSignalSpy states(&m_client->connection, &Connection::stateChanged);
    Error error;
    connect(&m_client->connection, &Connection::errorOccurred, this, [&](const Error &reason) { error = reason; });
    QVERIFY(loseAndRecover());
    QCOMPARE(states.size(), 2);
    QCOMPARE(states.at(0).at(0).value<Connection::State>(), Connection::State::Recovering);
    QCOMPARE(states.at(1).at(0).value<Connection::State>(), Connection::State::Open);
    QCOMPARE(brief(error), u"ConnectionClosed 320"_s);
    QVERIFY(error.text().contains(u"maintenance"_s));
    QVERIFY(m_client->channel->isOpen());
}

void tst_Recovery::queuesOfEveryKindComeBack()
{
    const QString exchange = uniqueName(u"x"_s);
    const QString durable = uniqueName(u"durable"_s), exclusive = uniqueName(u"exclusive"_s);
    const QString passing = uniqueName(u"passing"_s);
    VERIFY_OK(m_client->channel->declareExchange(exchange, ExchangeType::Topic, passingExchange()));
    VERIFY_OK(m_client->channel->declareQueue(durable, sharedQueue()));
    VERIFY_OK(m_client->channel->declareQueue(exclusive, {.exclusive = true}));
    VERIFY_OK(m_client->channel->declareQueue(passing, {.durable = false, .autoDelete = true}));
    const auto temporary = await(m_client->channel->declareTemporaryQueue());
    QVERIFY(temporary);
    QList<Message> messages;
    QList<Consumer *> consumers;
    for (const QString &queue : {durable, exclusive, passing, temporary->name}) {
        VERIFY_OK(m_client->channel->bindQueue(queue, exchange, u"#"_s));
        consumers += m_client->channel->consume(queue, {.ackMode = AckMode::AfterDelivery});
        collect(consumers.constLast(), &messages);
        VERIFY_OK(consumers.constLast()->whenStarted());
    }
    for (int loss = 1; loss <= 2; ++loss) {
        QVERIFY(loseAndRecover());
        const RecoveryReport &report = m_reports.constLast();
        QVERIFY2(report.isComplete(), qPrintable(report.failures().join(u'\n')));
        QCOMPARE(report.exchanges, 1);
        QCOMPARE(report.queues, 4);
        QCOMPARE(report.bindings, 4);
        QCOMPARE(report.consumers, 4);
        QCOMPARE(report.renamedQueues.size(), 1);
        QCOMPARE(report.renamedQueues.first().toString(), consumers.constLast()->queue());
        messages.clear();
        m_client->channel->publish(exchange, u"key"_s, Message::fromText(u"after loss %1"_s.arg(loss)));
        QVERIFY(waitFor([&] { return messages.size() == 4; }));
        for (const Message &message : messages)
            QCOMPARE(message.text(), u"after loss %1"_s.arg(loss));
    }
}

void tst_Recovery::changedQueueIsReported()
{
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_client->channel->declareQueue(queue, sharedQueue()));
    VERIFY_OK(m_client->channel->bindQueue(queue, u"amq.topic"_s, u"k"_s));
    BrokerClient other;
    VERIFY_OK(other.channel->deleteQueue(queue));
    VERIFY_OK(other.channel->declareQueue(queue, sharedQueue({{u"x-max-length"_s, 3}})));
    QVERIFY(loseAndRecover());
    QCOMPARE(m_reports.constLast().failed.size(), 2); // with its binding
    QCOMPARE(m_reports.constLast().failed.constFirst().error.replyCode(), quint16(406));
    QVERIFY(m_client->channel->isOpen());
}

// The queue of one consumer belongs to another connection, and is deleted with its last consumer.
void tst_Recovery::refusedConsumerDoesNotAffectOthers()
{
    BrokerClient other;
    const QString gone = uniqueName(u"gone"_s), kept = uniqueName(u"kept"_s);
    VERIFY_OK(other.channel->declareQueue(gone, {.durable = false, .autoDelete = true}));
    VERIFY_OK(m_client->channel->declareQueue(kept, sharedQueue()));
    QList<Message> messages;
    Consumer *const first = m_client->channel->consume(kept, {.ackMode = AckMode::AfterDelivery});
    Consumer *const refused = m_client->channel->consume(gone);
    Consumer *const last = m_client->channel->consume(kept, {.ackMode = AckMode::AfterDelivery});
    for (Consumer *consumer : {first, refused, last}) {
        collect(consumer, &messages);
        VERIFY_OK(consumer->whenStarted());
    }
    QSignalSpy cancelled(refused, &Consumer::cancelled);
    QSignalSpy closed(m_client->channel, &Channel::closed);
    connect(
        &m_client->connection, &Connection::reconnecting, this,
        [&] { m_client->channel->publish({}, kept, Message("during the outage")); }, Qt::SingleShotConnection);
    QVERIFY(loseAndRecover());
    const RecoveryReport &report = m_reports.constLast();
    QCOMPARE(report.consumers, 2);
    QCOMPARE(report.failed.size(), 1);
    QCOMPARE(report.failed.constFirst().error.replyCode(), quint16(404));
    QCOMPARE(cancelled.size(), 1);
    QCOMPARE(closed.size(), 0);
    QCOMPARE(first->state(), Consumer::State::Active);
    QCOMPARE(last->state(), Consumer::State::Active);
    QVERIFY(waitFor([&] { return messages.size() == 1; }));
    QCOMPARE(messages.constFirst().body(), "during the outage");
}

void tst_Recovery::lateAcknowledgementsDoNoHarm()
{
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_client->channel->declareQueue(queue, sharedQueue()));
    QList<Message> messages;
    Consumer *const consumer = m_client->channel->consume(queue);
    collect(consumer, &messages);
    VERIFY_OK(consumer->whenStarted());
    for (const char *body : {"1", "2", "3"})
        m_client->channel->publish({}, queue, Message(body));
    QVERIFY(waitFor([&] { return messages.size() == 3; }));
    QSignalSpy failed(m_client->channel, &Channel::settlementFailed);
    QVERIFY(loseAndRecover());
    QVERIFY(waitFor([&] { return messages.size() == 6; }));
    QVERIFY(!messages.at(0).canSettle());
    QVERIFY(!m_client->channel->ack(messages.at(0)));
    QVERIFY(!m_client->channel->ackUpTo(messages.at(2)));
    QCOMPARE(consumer->unackedCount(), 3);
    QVERIFY(messages.at(5).canSettle() && messages.at(5).isRedelivered());
    QVERIFY(m_client->channel->ackUpTo(messages.at(5)));
    QVERIFY(loseAndRecover());
    const auto info = await(m_client->channel->inspectQueue(queue));
    QVERIFY(info);
    QCOMPARE(info->messageCount, 0u);
    QCOMPARE(messages.size(), 6);
    QCOMPARE(failed.size(), 0);
}

void tst_Recovery::publisherSendsAgainInOrder()
{
    constexpr int Count = 3000;
    const QString queue = uniqueName(u"q"_s);
    VERIFY_OK(m_client->channel->declareQueue(queue, sharedQueue()));
    Publisher publisher(&m_client->connection);
    publisher.setRoutingKey(queue);
    publisher.setLossPolicy(Publisher::LossPolicy::Republish);
    QMap<quint64, int> settled;
    connect(&publisher, &Publisher::settled, this, [&](quint64 id, const Error &error) {
        QVERIFY2(!error.isError(), qPrintable(error.text()));
        ++settled[id];
    });
    for (int i = 1; i <= Count / 2; ++i)
        QVERIFY(publisher.publish(Message(QByteArray::number(i))));
    QVERIFY(waitFor([&] { return settled.size() > Count / 10; }));
    const auto publishRest = [&] {
        for (int i = Count / 2 + 1; i <= Count; ++i)
            publisher.publish(Message(QByteArray::number(i)));
    };
    connect(&m_client->connection, &Connection::reconnecting, this, publishRest, Qt::SingleShotConnection);
    QVERIFY(loseAndRecover());
    QVERIFY(waitFor([&] { return settled.size() == Count; }));
    QVERIFY(std::all_of(settled.cbegin(), settled.cend(), [](int times) { return times == 1; }));

    QList<Message> messages;
    collect(m_client->channel->consume(queue, {.ackMode = AckMode::AfterDelivery}), &messages);
    int next = 1; // the message whose first copy is expected next
    qsizetype seen = 0;
    QVERIFY(waitFor([&] {
        for (; seen < messages.size(); ++seen)
            next += messages.at(seen).body().toInt() == next;
        return next > Count;
    }));
}

void tst_Recovery::connectionThatIsClosedStaysClosed()
{
    connect(&m_client->connection, &Connection::reconnecting, this, [this] { m_client->connection.close(); });
    QSignalSpy closed(&m_client->connection, &Connection::closed);
    QVERIFY(closeByOperator());
    QVERIFY(waitFor([&] { return closed.size() == 1; }));
    QCOMPARE(m_client->connection.state(), Connection::State::Closed);
    QCOMPARE(m_client->channel->state(), Channel::State::Closed);
    QCOMPARE(m_reports.size(), 0);
}

QTEST_GUILESS_MAIN(tst_Recovery)

#include "tst_recovery.moc"
