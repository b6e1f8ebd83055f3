// SPDX-License-Identifier: MIT
#include "client/publisherclient.h"

#include <QtCore/qscopeguard.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;

class tst_PublisherDeletion : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void deletingInASlotIsSafe_data();
    void deletingInASlotIsSafe();
    void deletedConnectionEndsEverything_data();
    void deletedConnectionEndsEverything();
    void deletedChannelEndsEverything();
    void deletionLeavesNoReplyOpen();
};

void tst_PublisherDeletion::deletingInASlotIsSafe_data()
{
    QTest::addColumn<QString>("what");
    QTest::addColumn<QString>("where");
    for (const char *what : {"publisher", "connection", "channel", "channel and connection"}) {
        for (const char *where :
             {"settled", "drained", "reply", "outstandingCountChanged", "pressureChanged", "writableChanged"})
            QTest::addRow("%s in %s", what, where) << QString::fromLatin1(what) << QString::fromLatin1(where);
    }
}

void tst_PublisherDeletion::deletingInASlotIsSafe()
{
    QFETCH(const QString, what);
    QFETCH(const QString, where);
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setParent(nullptr);
    const auto deletePublisher = qScopeGuard([&] { delete client.publisher.data(); });
    client.publisher->setConfirmWindow(2);
    int ends = 0;
    const Reply<void> first = client.publisher->publishWithReply({}, u"q"_s, Message("1"));
    const Reply<void> second = client.publisher->publishWithReply({}, u"q"_s, Message("2"));
    for (const Reply<void> &reply : {first, second})
        reply.then(this, [&](const Result<void> &) { ++ends; });
    if (where != u"drained")
        client.publishMany(3, 4);
    settleEvents(); // processes the changes so far
    QVERIFY(client.waitForPublishes(2));
    bool isDone = false;
    const auto act = [&] {
        if (std::exchange(isDone, true))
            return;
        if (what == u"publisher")
            delete client.publisher.data();
        if (what.startsWith(u"channel"))
            delete client.publisher->channel();
        if (what.endsWith(u"connection"))
            client.connection.reset();
    };
    if (where == u"settled")
        connect(client.publisher, &Publisher::settled, &client.log, act);
    else if (where == u"drained")
        connect(client.publisher, &Publisher::drained, &client.log, act);
    else if (where == u"outstandingCountChanged")
        connect(client.publisher, &Publisher::outstandingCountChanged, &client.log, act);
    else if (where == u"pressureChanged")
        connect(client.publisher, &Publisher::pressureChanged, &client.log, act);
    else if (where == u"writableChanged")
        connect(client.publisher, &Publisher::writableChanged, &client.log, act);
    else
        first.then(&client.log, act);
    client.ack(2, true);
    QVERIFY(waitUntil([&] { return isDone || peer.count("basic.publish") == 4; }));
    if (!isDone)
        client.ack(4, true);
    QVERIFY(waitUntil([&] { return isDone && ends == 2; }));
    for (int i = 0; i < 5; ++i)
        settleEvents();
    QVERIFY(first.isFinished() && second.isFinished());
    if (what == u"publisher") {
        QVERIFY(!client.publisher);
        return;
    }
    // Every message has ended once.
    QCOMPARE(client.publisher->outstandingCount(), 0);
    QCOMPARE(client.log.countOf(u"drained"_s), 1);
    QCOMPARE(client.log.entries.size(), where == u"drained" ? 3 : 5);
    for (int id = 1; id <= (where == u"drained" ? 2 : 4); ++id)
        QCOMPARE(client.log.only(u"%1 "_s.arg(id)).size(), 1);
    QCOMPARE(client.publish("more"), quint64(0));
    QCOMPARE(client.publisher->error().kind(), ErrorKind::NotOpen);
}

void tst_PublisherDeletion::deletedConnectionEndsEverything_data()
{
    QTest::addColumn<Publisher::LossPolicy>("policy");
    QTest::addColumn<bool>("isLost");
    QTest::newRow("Report") << Publisher::LossPolicy::Report << false;
    QTest::newRow("Republish") << Publisher::LossPolicy::Republish << false;
    QTest::newRow("Republish, lost before") << Publisher::LossPolicy::Republish << true;
}

void tst_PublisherDeletion::deletedConnectionEndsEverything()
{
    QFETCH(const Publisher::LossPolicy, policy);
    QFETCH(const bool, isLost);
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setParent(nullptr);
    const auto deletePublisher = qScopeGuard([&] { delete client.publisher.data(); });
    client.publisher->setLossPolicy(policy);
    client.publisher->setConfirmWindow(2);
    client.publishMany(1, 4);
    QVERIFY(client.waitForPublishes(2));
    if (isLost)
        client.lose();
    client.connection.reset();
    QCOMPARE(client.log.entries, QStringList());
    QVERIFY(client.waitForEntries(5));
    settleEvents();
    const QString sent = isLost ? u"NotOpen"_s : u"Unconfirmed"_s;
    QCOMPARE(client.log.entries,
             QStringList({u"1 "_s + sent, u"2 "_s + sent, u"3 NotOpen"_s, u"4 NotOpen"_s, u"drained"_s}));
}

void tst_PublisherDeletion::deletedChannelEndsEverything()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setConfirmWindow(2);
    client.publishMany(1, 4);
    QVERIFY(client.waitForPublishes(2));
    client.ack(2);
    QVERIFY(client.waitForPublishes(3));
    delete client.publisher->channel();
    QVERIFY(client.waitForEntries(5));
    QCOMPARE(client.log.entries,
             QStringList({u"2 ok"_s, u"1 Unconfirmed"_s, u"3 Unconfirmed"_s, u"4 NotOpen"_s, u"drained"_s}));
    QCOMPARE(client.publish("5"), quint64(0));
    client.connection->close();
    QVERIFY(waitUntil([&] { return client.connection->state() == Connection::State::Closed; }));
    client.connection->open(); // must not access the channel
    QVERIFY(waitUntil([&] { return client.connection->isOpen(); }));
    settleEvents();
}

void tst_PublisherDeletion::deletionLeavesNoReplyOpen()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setConfirmWindow(1);
    client.log.watch(client.publisher->publishWithReply({}, u"q"_s, Message("1")), u"sent"_s);
    client.log.watch(client.publisher->publishWithReply({}, u"q"_s, Message("2")), u"kept"_s);
    client.publish("3");
    QTest::ignoreMessage(QtWarningMsg, "a publisher was deleted with 3 messages outstanding");
    delete client.publisher;
    QCOMPARE(client.log.entries, QStringList());
    QVERIFY(client.waitForEntries(2));
    QCOMPARE(QSet<QString>(client.log.entries.cbegin(), client.log.entries.cend()),
             QSet<QString>({u"reply.sent Cancelled"_s, u"reply.kept Cancelled"_s}));
    settle(*client.connection);
    QCOMPARE(peer.count("channel.close"), 2); // including the channel.close of settle()
}

QTEST_GUILESS_MAIN(tst_PublisherDeletion)
#include "tst_publisherdeletion.moc"
