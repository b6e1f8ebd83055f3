// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Connection::updateSecret().
class tst_SecretRenewal : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void replyComesWithTheBrokersAnswer();
    void refusedCallsAreReported();
    void refusedSecretEndsTheConnection();
    void deletedConnectionEndsTheCall();
};

void tst_SecretRenewal::replyComesWithTheBrokersAnswer()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    SignalLog log;
    log.watch(&client.connection);
    log.watch(client.connection.updateSecret(u"new tøken"_s, u"expiry"_s), u"updateSecret"_s);
    QCOMPARE(log.entries, QStringList());
    QVERIFY(waitUntil([&] { return log.has(u"reply.updateSecret ok"_s); }));
    const Command sent = peer.last("connection.update-secret");
    QCOMPARE(sent.channel, quint16(0));
    QCOMPARE(sent.fields.value(u"new-secret"_s).toByteArray(), u"new tøken"_s.toUtf8());
    QCOMPARE(sent.fields.value(u"reason"_s).toString(), u"expiry"_s);
    settle(client.connection);
    QVERIFY(client.channel->isOpen());
    QCOMPARE(client.connection.parameters().password(), u"guest"_s);
    QCOMPARE(log.only(u"reply."_s).size(), 1);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_SecretRenewal::refusedCallsAreReported()
{
    ScriptedPeer peer;
    Connection connection(parametersOf(peer));
    SignalLog log;
    log.watch(&connection);
    log.watch(connection.updateSecret(u"token"_s), u"early"_s);
    QCOMPARE(connection.lastCallError().kind(), ErrorKind::NotOpen);
    QVERIFY(waitUntil([&] { return log.has(u"reply.early NotOpen"_s); }));
    QVERIFY(log.has(u"connection.errorOccurred NotOpen"_s));
    connection.open();
    QVERIFY(waitUntil([&] { return connection.isOpen(); }));
    log.watch(connection.updateSecret(QString(QChar(0xd800))), u"secret"_s);
    QVERIFY(connection.lastCallError().text().startsWith(u"newSecret: "));
    log.watch(connection.updateSecret(u"token"_s, QString(256, u'x')), u"reason"_s);
    QVERIFY(connection.lastCallError().text().startsWith(u"reason: "));
    QVERIFY(waitUntil([&] { return log.ended.size() == 3; }));
    QCOMPARE(log.countOf(u"connection.errorOccurred InvalidArgument"_s), 2);
    QVERIFY(connection.isOpen());
    QCOMPARE(peer.count("connection.update-secret"), 0);
}

void tst_SecretRenewal::refusedSecretEndsTheConnection()
{
    ScriptedPeer peer;
    peer.closeInsteadOf("connection.update-secret-ok", 530, "NOT_ALLOWED");
    OpenClient client(withoutRecovery(peer));
    SignalLog log;
    log.watch(&client.connection);
    log.watch(client.connection.updateSecret(u"token"_s), u"updateSecret"_s);
    QVERIFY(waitUntil([&] { return log.has(u"connection.closed ConnectionClosed 530"_s); }));
    QVERIFY(log.has(u"reply.updateSecret ConnectionClosed 530"_s));
    QVERIFY(log.entries.indexOf(u"reply.updateSecret ConnectionClosed 530"_s) <
            log.entries.indexOf(u"connection.closed ConnectionClosed 530"_s));
}

void tst_SecretRenewal::deletedConnectionEndsTheCall()
{
    ScriptedPeer peer;
    peer.withhold("connection.update-secret-ok");
    auto client = std::make_unique<OpenClient>(peer);
    const QFuture<Result<void>> future = client->connection.updateSecret(u"token"_s).toFuture();
    QVERIFY(waitUntil([&] { return peer.count("connection.update-secret") == 1; }));
    QVERIFY(!future.isFinished());
    client.reset();
    QVERIFY(future.isFinished());
    QCOMPARE(future.result().error().kind(), ErrorKind::Cancelled);
}

QTEST_GUILESS_MAIN(tst_SecretRenewal)
#include "tst_secretrenewal.moc"
