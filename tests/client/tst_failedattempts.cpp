// SPDX-License-Identifier: MIT
#include "client/openingsupport.h"

#include <AmqpQt/publisher.h>

#include <QtCore/qregularexpression.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// Tests what a failed attempt leaves unchanged, and what ends an attempt.
class tst_FailedAttempts : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void failureKeepsWaitingCalls_data();
    void failureKeepsWaitingCalls();
    void firstSuccessSendsAllInOrder();
    void closedChannelsWaitForTheirSuccess();
    void deletedChannelsAreNotOpenedLater();
    void bufferLimitHoldsThroughFailures();
    void reopenedChannelsWaitThroughFailures();
    void endAfterAFailureCancelsWaitingCalls_data();
    void endAfterAFailureCancelsWaitingCalls();
    void closeCrossesTheFailure();
    void lossDuringTheLogin_data();
    void lossDuringTheLogin();
};

void tst_FailedAttempts::failureKeepsWaitingCalls_data()
{
    QTest::addColumn<QString>("cause");
    QTest::addColumn<QString>("error");
    QTest::newRow("login rejected") << u"connection.tune 403"_s << u"Authentication 403"_s;
    QTest::newRow("lost during the login") << u"connection.start-ok"_s << u"Network"_s;
    QTest::newRow("silent during the login") << u"connection.tune"_s << u"Timeout"_s;
    QTest::newRow("no such virtual host") << u"connection.open-ok 530"_s << u"ConnectionClosed 530"_s;
    QTest::newRow("lost at open") << u"connection.open"_s << u"Network"_s;
    QTest::newRow("closed port") << u"closed port"_s << u"Network"_s;
    QTest::newRow("invalid URL") << u"amqp://localhost?colour=red"_s << u"InvalidArgument"_s;
}

void tst_FailedAttempts::failureKeepsWaitingCalls()
{
    QFETCH(const QString, cause);
    QFETCH(const QString, error);
    ScriptedPeer peer;
    ConnectionParameters good = withoutRecovery(peer);
    good.setConnectTimeout(100ms);
    Waiting waiting(good);
    SignalLog &log = waiting.log;
    Connection &connection = waiting.connection;
    if (cause.startsWith(u"amqp:"))
        connection.setUrl(QUrl(cause));
    else if (cause == u"closed port")
        connection.setParameters(to({closedPort()}));
    else if (cause.contains(u' '))
        peer.closeInsteadOf(cause.section(u' ', 0, 0).toLatin1(), cause.section(u' ', 1).toUShort(), "no");
    else if (error == u"Timeout")
        peer.withhold(cause.toLatin1());
    else
        peer.setHook([&](const Command &command) {
            if (command.name == cause.toLatin1())
                peer.dropConnection();
            return command.name == cause.toLatin1();
        });

    for (int attempt = 1; attempt <= 3; ++attempt) {
        const qint64 waitingBytes = connection.bytesToWrite();
        log.entries.clear();
        log.watch(connection.open(), u"open%1"_s.arg(attempt));
        QVERIFY(waitUntil([&] { return !log.only(u"connection.closed"_s).isEmpty(); }));
        log.entries.removeIf(comesOncePerTurn);
        log.entries.removeAll(u"connection.stateChanged Handshaking"_s);
        log.entries.removeAll(u"connection.parametersChanged"_s);
        QStringList expected{u"connection.stateChanged Connecting"_s, u"reply.open%1 "_s.arg(attempt) + error,
                             u"connection.errorOccurred "_s + error, u"connection.stateChanged Closed"_s,
                             u"connection.closed "_s + error};
        if (attempt == 1)
            expected.insert(2, u"reply.whenOpen "_s + error); // this reply waits for the next attempt
        QCOMPARE(log.entries, expected);
        QCOMPARE(brief(connection.error()), error);
        QCOMPARE(connection.bytesToWrite(), waitingBytes);
        for (const Channel *channel : connection.channels())
            QCOMPARE(channel->state(), Channel::State::Opening);
    }

    peer.setHook({});
    peer.answerAgain(cause.section(u' ', 0, 0).toLatin1());
    connection.setParameters(good);
    QVERIFY(waiting.open());
    QVERIFY(waitUntil([&] { return log.has(u"consumer1.started"_s) && log.has(u"consumer2.started"_s); }));
    for (const QString &reply : std::as_const(log.replies)) {
        QCOMPARE(log.ended.count(reply), 1);
        if (!reply.startsWith(u"open") && reply != u"whenOpen")
            QVERIFY2(log.has(u"reply."_s + reply + u" ok"_s), qPrintable(log.entries.join(u'\n')));
    }
    QCOMPARE(log.entries.filter(u"publishFailed"_s), QStringList());
    QStringList sent;
    for (const Command &command : peer.received()) {
        if (command.channel == 1)
            sent += QString::fromLatin1(command.name + command.body);
    }
    QCOMPARE(sent, QStringList({u"channel.open"_s, u"queue.declare"_s, u"basic.publish1"_s, u"basic.get"_s,
                                u"basic.publish2"_s, u"basic.qos"_s, u"basic.consume"_s}));
    QCOMPARE(peer.violations(), QStringList());
}

// Makes every call that is allowed before open().
void tst_FailedAttempts::firstSuccessSendsAllInOrder()
{
    ScriptedPeer peer;
    SignalLog log;
    Connection connection(to({closedPort()}));
    Channel *plain = connection.channel(7);
    Channel *confirming = connection.createChannel();
    Channel *transacting = connection.createChannel();
    Publisher publisher(&connection);
    log.watch(plain->setPrefetch(10), u"setPrefetch"_s);
    log.watch(plain->declareExchange(u"x"_s, ExchangeType::Topic), u"declareExchange"_s);
    log.watch(plain->declareTemporaryQueue(), u"declareQueue"_s);
    log.watch(plain->bindQueue({}, u"x"_s, u"#"_s), u"bindQueue"_s);
    log.watch(plain->bindExchange(u"x"_s, u"y"_s, u"#"_s), u"bindExchange"_s);
    log.watch(plain->purgeQueue(u"q"_s), u"purgeQueue"_s);
    Consumer *cancelled = plain->consume({});
    log.watch(cancelled->whenStarted(), u"whenStarted"_s);
    log.watch(cancelled->cancel(), u"cancel"_s);
    log.watch(confirming->confirmSelect(), u"confirmSelect"_s);
    log.watch(confirming->publishWithReply({}, u"q"_s, Message("1")), u"publishWithReply"_s);
    log.watch(confirming->whenConfirmed(), u"whenConfirmed"_s);
    log.watch(transacting->txSelect(), u"txSelect"_s);
    transacting->publish({}, u"q"_s, Message("2"));
    log.watch(transacting->txCommit(), u"txCommit"_s);
    log.watch(publisher.publishWithReply({}, u"q"_s, Message("3")), u"publisher"_s);

    for (int attempt = 1; attempt <= 2; ++attempt) {
        QSignalSpy closed(&connection, &Connection::closed);
        connection.open();
        QVERIFY(waitUntil([&] { return closed.size() == 1; }));
        settleEvents();
        QCOMPARE(log.entries, QStringList());
        QCOMPARE(confirming->unconfirmedCount(), 1);
        QCOMPARE(confirming->mode(), Channel::Mode::Confirm);
    }
    connection.setParameters(withoutRecovery(peer));
    connection.open();
    QVERIFY(waitUntil([&] { return log.ended.size() == log.replies.size(); }));
    QCOMPARE(log.entries.filter(QRegularExpression(u"(?<! ok)$"_s)), QStringList());
    QCOMPARE(plain->number(), quint16(7));
    QMap<int, QStringList> sent;
    for (const Command &command : peer.received())
        sent[command.channel] += QString::fromLatin1(command.name + command.body);
    QCOMPARE(sent.value(7),
             QStringList({u"channel.open"_s, u"basic.qos"_s, u"exchange.declare"_s, u"queue.declare"_s, u"queue.bind"_s,
                          u"exchange.bind"_s, u"queue.purge"_s, u"basic.consume"_s, u"basic.cancel"_s}));
    QCOMPARE(sent.value(confirming->number()),
             QStringList({u"channel.open"_s, u"confirm.select"_s, u"basic.publish1"_s}));
    QCOMPARE(sent.value(transacting->number()),
             QStringList({u"channel.open"_s, u"tx.select"_s, u"basic.publish2"_s, u"tx.commit"_s}));
    QCOMPARE(sent.value(publisher.channel()->number()),
             QStringList({u"channel.open"_s, u"confirm.select"_s, u"basic.publish3"_s}));
    QCOMPARE(peer.violations(), QStringList());
}

static void failToOpen(Connection &connection)
{
    const Reply<void> opening = connection.open();
    QVERIFY(waitUntil([&] { return opening.isFinished() && connection.state() == Connection::State::Closed; }));
    QVERIFY(!opening.result());
}

void tst_FailedAttempts::closedChannelsWaitForTheirSuccess()
{
    ScriptedPeer peer;
    Connection connection(to({closedPort()}));
    Channel *channel = connection.createChannel();
    SignalLog log;
    log.watch(channel);
    channel->publish({}, u"q"_s, Message("1"));
    log.watch(channel->close(), u"close"_s);
    failToOpen(connection);
    QCOMPARE(channel->state(), Channel::State::Closing);
    QCOMPARE(log.only(u"reply"_s) + log.only(u"channel.closed"_s), QStringList());
    connection.setParameters(withoutRecovery(peer));
    connection.open();
    QVERIFY(waitUntil([&] { return log.has(u"channel.closed ok"_s); }));
    QVERIFY(log.has(u"reply.close ok"_s));
    QCOMPARE(peer.count("basic.publish"), 1);
    QCOMPARE(peer.violations(), QStringList());
}

void tst_FailedAttempts::deletedChannelsAreNotOpenedLater()
{
    ScriptedPeer peer;
    Connection connection(to({closedPort()}));
    Channel *deletedBefore = connection.createChannel();
    Channel *deletedAfter = connection.createChannel();
    Channel *kept = connection.createChannel();
    SignalLog log;
    log.watch(deletedBefore->declareQueue(u"1"_s), u"before"_s);
    log.watch(deletedAfter->declareQueue(u"2"_s), u"after"_s);
    log.watch(kept->declareQueue(u"3"_s), u"kept"_s);
    delete deletedBefore;
    failToOpen(connection);
    delete deletedAfter;
    settleEvents();
    QCOMPARE(log.entries, QStringList({u"reply.before Cancelled"_s, u"reply.after Cancelled"_s}));
    connection.setParameters(withoutRecovery(peer));
    connection.open();
    QVERIFY(waitUntil([&] { return log.has(u"reply.kept ok"_s); }));
    QCOMPARE(peer.count("channel.open"), 1);
}

void tst_FailedAttempts::bufferLimitHoldsThroughFailures()
{
    ScriptedPeer peer;
    ConnectionParameters parameters = to({closedPort()});
    parameters.setWriteBuffer(10, 500, 1000);
    Connection connection(parameters);
    Channel *channel = connection.createChannel();
    const Message message(QByteArray(300, 'x'));
    quint64 accepted = 0;
    while (channel->publish({}, u"q"_s, message) > 0)
        ++accepted;
    QCOMPARE(channel->lastCallError().kind(), ErrorKind::BufferFull);
    for (int attempt = 1; attempt <= 2; ++attempt) {
        failToOpen(connection);
        QCOMPARE(channel->publish({}, u"q"_s, message), quint64(0));
        QCOMPARE(channel->lastCallError().kind(), ErrorKind::BufferFull);
        QVERIFY(!connection.isWritable());
    }
    parameters.setEndpoints({endpointOf(peer)});
    connection.setParameters(parameters);
    connection.open();
    QVERIFY(waitUntil([&] { return peer.count("basic.publish") == int(accepted) && connection.isWritable(); }));
}

// The same rule holds after a success.
void tst_FailedAttempts::reopenedChannelsWaitThroughFailures()
{
    ScriptedPeer peer;
    OpenClient client(withoutRecovery(peer));
    Consumer *consumer = client.consume();
    peer.dropConnection();
    QVERIFY(waitUntil([&] { return client.connection.state() == Connection::State::Closed; }));
    QCOMPARE(client.channel->state(), Channel::State::Closed);
    SignalLog log;
    log.watch(client.channel);
    log.watch(client.channel->reopen(), u"reopen"_s);
    log.watch(client.channel->declareQueue(u"q"_s), u"declareQueue"_s);
    client.channel->publish({}, u"q"_s, Message("m"));
    client.connection.setParameters(to({closedPort()}));
    for (int attempt = 1; attempt <= 3; ++attempt) {
        failToOpen(client.connection);
        log.watch(client.channel->reopen(), u"reopen again %1"_s.arg(attempt)); // as an application that retries does
        QCOMPARE(client.channel->state(), Channel::State::Opening);
    }
    QCOMPARE(log.entries, QStringList{u"channel.stateChanged Opening"_s});
    peer.forgetReceived();
    client.connection.setParameters(withoutRecovery(peer));
    client.connection.open();
    QVERIFY(
        waitUntil([&] { return consumer->state() == Consumer::State::Active && peer.count("basic.publish") == 1; }));
    QVERIFY(waitUntil([&] { return log.ended.size() == log.replies.size(); }));
    QCOMPARE(log.only(u"reply."_s).filter(QRegularExpression(u"(?<! ok)$"_s)), QStringList());
    QCOMPARE(peer.count("channel.open"), 1);
    QCOMPARE(peer.count("basic.consume"), 1);
}

void tst_FailedAttempts::endAfterAFailureCancelsWaitingCalls_data()
{
    QTest::addColumn<QString>("end");
    QTest::addColumn<int>("failures");
    for (const char *end : {"close", "abort", "delete"}) {
        for (const int failures : {0, 1, 3})
            QTest::addRow("%s after %d failures", end, failures) << QString::fromLatin1(end) << failures;
    }
}

void tst_FailedAttempts::endAfterAFailureCancelsWaitingCalls()
{
    QFETCH(const QString, end);
    QFETCH(const int, failures);
    auto waiting = std::make_unique<Waiting>(to({closedPort()}));
    for (int i = 0; i < failures; ++i)
        failToOpen(waiting->connection);
    SignalLog &log = waiting->log;
    log.watch(waiting->connection.whenOpen(), u"whenOpen again"_s);
    log.entries.clear();
    if (end == u"delete") {
        QFuture<Result<QueueInfo>> future =
            waiting->connection.channels().constFirst()->declareQueue(u"q"_s).toFuture();
        waiting.reset();
        QVERIFY(future.isFinished());
        QCOMPARE(future.result().error().kind(), ErrorKind::Cancelled);
        return;
    }
    if (end == u"close")
        QVERIFY(waiting->connection.close().result());
    else
        waiting->connection.abort();
    QVERIFY(waitUntil([&] { return log.ended.size() == log.replies.size(); }));
    settleEvents();
    for (const QString &reply : std::as_const(log.replies)) {
        QCOMPARE(log.ended.count(reply), 1);
        if (reply != u"whenOpen")
            QVERIFY2(log.has(u"reply."_s + reply + u" Cancelled"_s), qPrintable(log.entries.join(u'\n')));
    }
    for (int i = 1; i <= 2; ++i) {
        const QString channel = u"channel%1."_s.arg(i);
        QCOMPARE(log.countOf(channel + u"publishFailed 1-2 Cancelled"_s), 1);
        QCOMPARE(log.countOf(channel + u"closed ok"_s), 1);
        QCOMPARE(log.countOf(u"consumer%1.cancelled ok"_s.arg(i)), 1);
    }
    QCOMPARE(log.only(u"connection.closed"_s), QStringList()); // the connection was already closed

    ScriptedPeer peer;
    waiting->connection.setParameters(withoutRecovery(peer));
    QVERIFY(waiting->open());
    settle(waiting->connection);
    QCOMPARE(peer.count("queue.declare") + peer.count("basic.publish"), 0);
}

// close() is called after the attempt has failed and before the failure is reported.
void tst_FailedAttempts::closeCrossesTheFailure()
{
    Waiting waiting{withoutRecovery()};
    waiting.connection.setUrl(QUrl(u"amqp://localhost?colour=red"_s));
    waiting.log.watch(waiting.connection.open(), u"open"_s);
    waiting.log.watch(waiting.connection.close(), u"close"_s);
    SignalLog &log = waiting.log;
    QVERIFY(waitUntil([&] { return !log.only(u"connection.closed"_s).isEmpty(); }));
    QCOMPARE(log.ended.size(), log.replies.size());
    QVERIFY(log.has(u"channel1.publishFailed 1-2 Cancelled"_s));
    QVERIFY(log.has(u"channel2.closed ok"_s));
    QCOMPARE(log.entries.last(), u"connection.closed InvalidArgument"_s);
}

void tst_FailedAttempts::lossDuringTheLogin_data()
{
    QTest::addColumn<bool>("announcesRefusals");
    QTest::addColumn<ErrorKind>("kind");
    QTest::newRow("of a broker that rejects in words") << true << ErrorKind::Network;
    QTest::newRow("of a broker that rejects by hanging up") << false << ErrorKind::Authentication;
}

void tst_FailedAttempts::lossDuringTheLogin()
{
    QFETCH(const bool, announcesRefusals);
    QFETCH(const ErrorKind, kind);
    ScriptedPeer dropping;
    ScriptedPeer::Handshake handshake;
    QVariantMap capabilities = handshake.serverProperties.value(u"capabilities"_s).toMap();
    capabilities.insert(u"authentication_failure_close"_s, announcesRefusals);
    handshake.serverProperties.insert(u"capabilities"_s, capabilities);
    dropping.setHandshake(handshake);
    dropping.setHook([&](const Command &command) {
        if (command.id == Wire::ConnectionStartOk::id)
            dropping.hangUp();
        return command.id == Wire::ConnectionStartOk::id;
    });
    Connection alone(to({endpointOf(dropping)}));
    const Reply<void> opening = alone.open();
    QVERIFY(waitUntil([&] { return opening.isFinished(); }));
    QCOMPARE(opening.result().error().kind(), kind);
    QCOMPARE(opening.result().error().isRecoverable(), announcesRefusals);

    ScriptedPeer another;
    Connection connection(to({endpointOf(dropping), endpointOf(another)}));
    const Reply<void> second = connection.open();
    QVERIFY(waitUntil([&] { return second.isFinished(); }));
    QCOMPARE(second.result().error().kind(), announcesRefusals ? ErrorKind::NoError : kind);
    QCOMPARE(another.connectionCount(), announcesRefusals ? 1 : 0);
}

QTEST_GUILESS_MAIN(tst_FailedAttempts)
#include "tst_failedattempts.moc"
