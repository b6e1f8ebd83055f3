// SPDX-License-Identifier: MIT
#include "rabbitmq/recoveringclient.h"

#include <QtTest/qsignalspy.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// The broker's configuration changes during an outage: it does not accept any more what it has accepted before.
class tst_RecoveryRefusals : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void initTestCase();
    void cleanupTestCase();
    void init();
    void cleanup();

    void changedPasswordIsAskedFor();
    void changedPasswordEndsTheRecoveryIfNobodyAnswers();
    void recoveryWaitsForAnAnswer();
    void lastOfSeveralAnswersCounts();
    void revokedPermissionsAreReported();
    void permissionsThatAreBackRestoreEverything();
    void deletedVirtualHostEndsTheRecovery(); // the last one, since all use this virtual host

private:
    bool control(const QStringList &command)
    {
        return brokerControl(QStringList{u"--quiet"_s} + command).exitCode == 0;
    }
    bool permit(const QString &configure, const QString &write, const QString &read)
    {
        m_isRestricted = configure != u".*"_s;
        return control({u"set_permissions"_s, u"-p"_s, m_name, m_name, configure, write, read});
    }
    bool permitAll() { return permit(u".*"_s, u".*"_s, u".*"_s); }
    bool changePassword()
    {
        m_password += u"2"_s;
        return control({u"change_password"_s, m_name, m_password});
    }

    QString m_name; // of the user and its virtual host
    QString m_password = u"secret"_s;
    bool m_isRestricted = false;
    std::unique_ptr<RecoveringClient> m_client;
};

void tst_RecoveryRefusals::initTestCase()
{
    m_name = uniqueName(u"refused"_s);
    QVERIFY(control({u"add_vhost"_s, m_name}));
    QVERIFY(control({u"add_user"_s, m_name, m_password}));
    QVERIFY(permitAll());
}

void tst_RecoveryRefusals::cleanupTestCase()
{
    control({u"delete_user"_s, m_name});
    control({u"delete_vhost"_s, m_name}); // fails if the last test has deleted it
}

void tst_RecoveryRefusals::init()
{
    m_client = std::make_unique<RecoveringClient>();
    ConnectionParameters parameters = m_client->connection.parameters();
    parameters.setVirtualHost(m_name);
    parameters.setCredentials(m_name, m_password);
    m_client->connection.setParameters(parameters);
    QVERIFY(m_client->open());
}

void tst_RecoveryRefusals::cleanup()
{
    m_client.reset();
    if (m_isRestricted)
        QVERIFY(permitAll());
}

void tst_RecoveryRefusals::changedPasswordIsAskedFor()
{
    VERIFY_OK(m_client->channel->declareQueue(u"q"_s));
    Connection &connection = m_client->connection;
    QList<Connection::CredentialReason> reasons;
    connect(&connection, &Connection::credentialsRequested, this, [&](Connection::CredentialReason reason) {
        reasons += reason;
        connection.setCredentials(m_name, m_password);
    });
    QVERIFY(changePassword());
    QVERIFY(m_client->loseAndRecover());
    QCOMPARE(reasons, QList{Connection::CredentialReason::Refused});
    QCOMPARE(m_client->failures(), QStringList());
    QCOMPARE(m_client->reports.constLast().queues, 1);
    QVERIFY(m_client->loseAndRecover()); // the answer is used from now on
    QCOMPARE(reasons.size(), 1);
}

void tst_RecoveryRefusals::changedPasswordEndsTheRecoveryIfNobodyAnswers()
{
    QSignalSpy closed(&m_client->connection, &Connection::closed);
    QVERIFY(changePassword());
    QVERIFY(m_client->lose());
    const Reply<QueueInfo> waiting = m_client->channel->declareQueue(u"q"_s);
    QVERIFY(waitFor([&] { return !closed.isEmpty(); }));
    const Error reason = closed.constFirst().constFirst().value<Error>();
    QCOMPARE(reason.kind(), ErrorKind::Authentication);
    QCOMPARE(reason.replyCode(), quint16(403));
    QCOMPARE(m_client->connection.state(), Connection::State::Closed);
    QVERIFY(!await(waiting));
    QCOMPARE(m_client->reports.size(), 0);
}

void tst_RecoveryRefusals::recoveryWaitsForAnAnswer()
{
    Connection &connection = m_client->connection;
    QSignalSpy requests(&connection, &Connection::credentialsRequested);
    QVERIFY(changePassword());
    QVERIFY(m_client->lose());
    QVERIFY(waitFor([&] { return requests.size() == 1; }));
    VERIFY_OK(BrokerClient().connection.open()); // time passes
    QCOMPARE(connection.state(), Connection::State::Recovering);
    QCOMPARE(requests.size(), 1);
    connection.setCredentials(m_name, m_password);
    QVERIFY(m_client->recover());
    QCOMPARE(requests.size(), 1);

    QVERIFY(changePassword());
    QVERIFY(m_client->lose());
    QVERIFY(waitFor([&] { return requests.size() == 2; }));
    QSignalSpy closed(&connection, &Connection::closed);
    VERIFY_OK(connection.close());
    QCOMPARE(closed.size(), 1);
    QCOMPARE(connection.state(), Connection::State::Closed);
}

void tst_RecoveryRefusals::lastOfSeveralAnswersCounts()
{
    Connection &connection = m_client->connection;
    int requests = 0;
    connect(&connection, &Connection::credentialsRequested, this, [&] {
        ++requests;
        connection.setCredentials(m_name, u"wrong"_s);
        connection.setCredentials(m_name, m_password);
    });
    QVERIFY(changePassword());
    QVERIFY(m_client->loseAndRecover());
    QCOMPARE(requests, 1);
}

void tst_RecoveryRefusals::revokedPermissionsAreReported()
{
    Connection &connection = m_client->connection;
    for (const QString &queue : {u"open"_s, u"secret"_s})
        VERIFY_OK(m_client->channel->declareQueue(queue));
    const QPointer<Consumer> open = m_client->channel->consume(u"open"_s, {.ackMode = AckMode::AfterDelivery});
    Channel *const other = connection.createChannel();
    const QPointer<Consumer> secret = other->consume(u"secret"_s);
    VERIFY_OK(open->whenStarted());
    VERIFY_OK(secret->whenStarted());
    QSignalSpy cancelled(secret, &Consumer::cancelled);
    QSignalSpy delivered(open, &Consumer::delivered);

    QVERIFY(permit(u"^$"_s, u".*"_s, u"^open$"_s)); // declare nothing, read one queue only
    QVERIFY(m_client->loseAndRecover());
    const RecoveryReport report = m_client->reports.constLast();
    QCOMPARE(report.failed.size(), 3); // two declarations and a consumer
    for (const EntityFailure &failure : report.failed)
        QCOMPARE(failure.error.replyCode(), quint16(403));
    QCOMPARE(report.consumers, 1);
    QVERIFY(waitFor([&] { return !cancelled.isEmpty(); }));
    QCOMPARE(open->state(), Consumer::State::Active);
    VERIFY_OK(m_client->channel->confirmSelect());
    VERIFY_OK(m_client->channel->publishWithReply({}, u"open"_s, Message("goes on")));
    QVERIFY(waitFor([&] { return !delivered.isEmpty(); }));
    QCOMPARE(cancelled.size(), 1);
}

void tst_RecoveryRefusals::permissionsThatAreBackRestoreEverything()
{
    VERIFY_OK(m_client->channel->declareQueue(u"bound"_s));
    VERIFY_OK(m_client->channel->bindQueue(u"bound"_s, u"amq.topic"_s, u"#"_s));
    QVERIFY(permit(u"^$"_s, u".*"_s, u".*"_s));
    QVERIFY(m_client->loseAndRecover());
    QVERIFY(!m_client->reports.constLast().isComplete());
    QVERIFY(permitAll());
    QVERIFY(m_client->loseAndRecover());
    QCOMPARE(m_client->failures(), QStringList());
    QCOMPARE(m_client->reports.constLast().queues, 1);
    QCOMPARE(m_client->reports.constLast().bindings, 1);
}

void tst_RecoveryRefusals::deletedVirtualHostEndsTheRecovery()
{
    Connection &connection = m_client->connection;
    VERIFY_OK(m_client->channel->declareQueue(u"q"_s));
    const QPointer<Consumer> consumer = m_client->channel->consume(u"q"_s);
    VERIFY_OK(consumer->whenStarted());
    QSignalSpy closed(&connection, &Connection::closed);
    QSignalSpy cancelled(consumer, &Consumer::cancelled);
    QVERIFY(control({u"delete_vhost"_s, m_name}));
    QVERIFY(waitFor([&] { return !closed.isEmpty(); }));
    QCOMPARE(brief(closed.constFirst().constFirst().value<Error>()), u"ConnectionClosed 530 connection.open"_s);
    QCOMPARE(connection.state(), Connection::State::Closed);
    QCOMPARE(connection.error().replyCode(), quint16(530));
    QCOMPARE(cancelled.size(), 1);
    QCOMPARE(m_client->reports.size(), 0);
    QVERIFY(!await(m_client->channel->inspectQueue(u"q"_s)));
    QCOMPARE(closed.size(), 1);
}

QTEST_GUILESS_MAIN(tst_RecoveryRefusals)

#include "tst_recoveryrefusals.moc"
