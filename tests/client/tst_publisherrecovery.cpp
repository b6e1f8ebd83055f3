// SPDX-License-Identifier: MIT
#include "client/publisherclient.h"
#include "client/recoveringclient.h"

#include <QtCore/qregularexpression.h>

#include <limits>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// A Publisher whose connection is lost and recovers, and its time limit for confirms.
class tst_PublisherRecovery : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void unknownMessagesAreReportedInOrder();
    void unknownMessagesAreSentAgainBeforeNewOnes();
    void everyLossRepublishes();
    void messageSentIntoTheLossStaysInOrder();
    void publishingGoesOnInSettled();
    void closedConnectionKeepsTheOutbox();
    void unconfirmedMessageTimesOut();
    void lateConfirmIsIgnored();
    void eachMessageHasItsOwnTime();
    void messageThatTimedOutKeepsItsPlaceInTheWindow();
    void messageThatTimedOutIsNotSentAgain();
    void timeInTheOutboxDoesNotCount();
    void badTimeoutIsRejected_data();
    void badTimeoutIsRejected();
};

namespace
{

class RecoveringPublisher : public PublisherClient
{
public:
    explicit RecoveringPublisher(ScriptedPeer &scriptedPeer)
        : PublisherClient(scriptedPeer, false)
    {
        connection->setParameters(recovering(scriptedPeer));
        open();
    }
    void lose()
    {
        loseConnection(peer, *connection);
        peer.forgetReceived();
    }
    bool recover()
    {
        Test::recover(*connection);
        return waitUntil([this] { return publisher->channel()->isOpen(); });
    }
};

} // namespace

void tst_PublisherRecovery::unknownMessagesAreReportedInOrder()
{
    ScriptedPeer peer;
    RecoveringPublisher client(peer);
    client.publishMany(1, 4);
    QVERIFY(client.waitForPublishes(4));
    client.ack(2);
    QVERIFY(client.waitForEntries(1));
    client.lose();
    QCOMPARE(client.log.entries,
             QStringList({u"2 ok"_s, u"1 Unconfirmed"_s, u"3 Unconfirmed"_s, u"4 Unconfirmed"_s, u"drained"_s}));
    client.publishMany(5, 6);
    QCOMPARE(client.publisher->outstandingCount(), 2);
    QVERIFY(client.recover());
    QVERIFY(client.waitForPublishes(2));
    QCOMPARE(client.published(), QByteArrayList({"5", "6"}));
    client.ack(2, true);
    QVERIFY(client.waitForEntries(8));
    QCOMPARE(client.log.entries.mid(5), QStringList({u"5 ok"_s, u"6 ok"_s, u"drained"_s}));
}

void tst_PublisherRecovery::unknownMessagesAreSentAgainBeforeNewOnes()
{
    ScriptedPeer peer;
    RecoveringPublisher client(peer);
    client.publisher->setLossPolicy(Publisher::LossPolicy::Republish);
    client.publishMany(1, 4);
    QVERIFY(client.waitForPublishes(4));
    client.ack(2);
    QVERIFY(client.waitForEntries(1));
    client.lose();
    client.publishMany(5, 6);
    QCOMPARE(client.log.entries, QStringList{u"2 ok"_s});
    QVERIFY(client.recover());
    QVERIFY(client.waitForPublishes(5));
    QCOMPARE(client.published(), QByteArrayList({"1", "3", "4", "5", "6"}));
    client.ack(5, true);
    QVERIFY(client.waitForEntries(7));
    QCOMPARE(client.log.entries,
             QStringList({u"2 ok"_s, u"1 ok"_s, u"3 ok"_s, u"4 ok"_s, u"5 ok"_s, u"6 ok"_s, u"drained"_s}));
}

void tst_PublisherRecovery::everyLossRepublishes()
{
    ScriptedPeer peer;
    RecoveringPublisher client(peer);
    client.publisher->setLossPolicy(Publisher::LossPolicy::Republish);
    client.publisher->setConfirmWindow(2);
    client.publishMany(1, 3);
    for (int loss = 0; loss < 3; ++loss) {
        QVERIFY(client.waitForPublishes(2));
        QCOMPARE(client.published(), QByteArrayList({"1", "2"}));
        client.lose();
        QVERIFY(client.recover());
    }
    QVERIFY(client.waitForPublishes(2));
    client.ack(2, true);
    QVERIFY(client.waitForPublishes(3));
    client.ack(3);
    QVERIFY(client.waitForEntries(4));
    QCOMPARE(client.log.entries, QStringList({u"1 ok"_s, u"2 ok"_s, u"3 ok"_s, u"drained"_s}));
}

// The engine may know of the loss before the publisher.
void tst_PublisherRecovery::messageSentIntoTheLossStaysInOrder()
{
    ScriptedPeer peer;
    RecoveringPublisher client(peer);
    client.publisher->setLossPolicy(Publisher::LossPolicy::Republish);
    client.publishMany(1, 2);
    QVERIFY(client.waitForPublishes(2));
    bool isPublished = false;
    QObject::connect(client.publisher->channel(), &Channel::publishFailed, client.publisher,
                     [&] { isPublished = isPublished || client.publish("3"); });
    client.lose();
    QVERIFY(isPublished);
    QVERIFY(client.recover());
    QVERIFY(client.waitForPublishes(3));
    QCOMPARE(client.published(), QByteArrayList({"1", "2", "3"}));
}

void tst_PublisherRecovery::publishingGoesOnInSettled()
{
    ScriptedPeer peer;
    RecoveringPublisher client(peer);
    QObject::connect(client.publisher, &Publisher::settled, client.publisher, [&](quint64, const Error &error) {
        if (error.kind() == ErrorKind::Unconfirmed)
            client.publish("again");
    });
    client.publishMany(1, 2);
    QVERIFY(client.waitForPublishes(2));
    client.lose();
    QVERIFY(client.recover());
    QVERIFY(client.waitForPublishes(2));
    client.ack(2, true);
    QVERIFY(client.waitForEntries(5));
    QCOMPARE(client.log.entries,
             QStringList({u"1 Unconfirmed"_s, u"2 Unconfirmed"_s, u"3 ok"_s, u"4 ok"_s, u"drained"_s}));
}

void tst_PublisherRecovery::closedConnectionKeepsTheOutbox()
{
    ScriptedPeer peer;
    RecoveringPublisher client(peer);
    client.publisher->setLossPolicy(Publisher::LossPolicy::Republish);
    client.publishMany(1, 2);
    QVERIFY(client.waitForPublishes(2));
    client.lose();
    client.connection->close(); // ends the recovery
    QVERIFY(waitUntil([&] { return client.publisher->channel()->state() == Channel::State::Closed; }));
    settleEvents();
    QCOMPARE(client.log.entries, QStringList());
    QCOMPARE(client.publisher->outstandingCount(), 2);
    QVERIFY(client.recover());
    QVERIFY(client.waitForPublishes(2));
    QCOMPARE(client.published(), QByteArrayList({"1", "2"}));
}

void tst_PublisherRecovery::unconfirmedMessageTimesOut()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setConfirmTimeout(1ms);
    QCOMPARE(client.publisher->confirmTimeout(), 1ms);
    client.publish("1");
    const Reply<void> reply = client.publisher->publishWithReply(Message("2"));
    QVERIFY(client.waitForEntries(3));
    QCOMPARE(client.log.entries, QStringList({u"1 Timeout"_s, u"2 Timeout"_s, u"drained"_s}));
    QCOMPARE(reply.result().error().kind(), ErrorKind::Timeout);
    QCOMPARE(client.publisher->outstandingCount(), 0);
}

void tst_PublisherRecovery::lateConfirmIsIgnored()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setConfirmTimeout(1ms);
    client.publishMany(1, 2);
    QVERIFY(client.waitForEntries(3));
    client.publisher->setConfirmTimeout(0ms);
    client.publish("3");
    QVERIFY(client.waitForPublishes(3));
    client.ack(1);
    peer.send(1, Wire::BasicNack{.deliveryTag = 2});
    client.ack(3);
    QVERIFY(client.waitForEntries(5));
    settle(*client.connection);
    QCOMPARE(client.log.entries, QStringList({u"1 Timeout"_s, u"2 Timeout"_s, u"drained"_s, u"3 ok"_s, u"drained"_s}));
    QCOMPARE(client.publisher->outstandingCount(), 0);
    QCOMPARE(client.publisher->pressure(), 0);
}

void tst_PublisherRecovery::eachMessageHasItsOwnTime()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setConfirmTimeout(1h);
    client.publish("1");
    client.publisher->setConfirmTimeout(1ms); // earlier than that of the first message
    client.publish("2");
    client.publisher->setConfirmTimeout(0ms);
    client.publish("3");
    QVERIFY(client.waitForEntries(1));
    QCOMPARE(client.log.entries, QStringList{u"2 Timeout"_s});
    QCOMPARE(client.publisher->outstandingCount(), 2);
    client.publisher->setConfirmTimeout(1ms);
    client.publish("4");
    QVERIFY(client.waitForEntries(2));
    QCOMPARE(client.log.entries, QStringList({u"2 Timeout"_s, u"4 Timeout"_s}));
    client.ack(4, true);
    QVERIFY(client.waitForEntries(5));
    QCOMPARE(client.log.entries.mid(2), QStringList({u"1 ok"_s, u"3 ok"_s, u"drained"_s}));
}

void tst_PublisherRecovery::messageThatTimedOutKeepsItsPlaceInTheWindow()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setConfirmWindow(2);
    client.publisher->setConfirmTimeout(1ms);
    client.publishMany(1, 2);
    QVERIFY(client.waitForEntries(2));
    QVERIFY(!client.publisher->isWritable());
    client.publisher->setConfirmTimeout(0ms);
    client.publish("3");
    settle(*client.connection);
    QCOMPARE(peer.count("basic.publish"), 2);
    client.ack(1);
    QVERIFY(client.waitForPublishes(3));
    client.ack(3, true);
    QVERIFY(client.waitForEntries(5));
    QVERIFY(client.publisher->isWritable());
}

void tst_PublisherRecovery::messageThatTimedOutIsNotSentAgain()
{
    ScriptedPeer peer;
    RecoveringPublisher client(peer);
    client.publisher->setLossPolicy(Publisher::LossPolicy::Republish);
    client.publisher->setConfirmTimeout(1ms);
    client.publish("1");
    QVERIFY(client.waitForEntries(2));
    client.publisher->setConfirmTimeout(0ms);
    client.publish("2");
    QVERIFY(client.waitForPublishes(2));
    client.lose();
    QVERIFY(client.recover());
    QVERIFY(client.waitForPublishes(1));
    QCOMPARE(client.published(), QByteArrayList{"2"});
    client.ack(1);
    QVERIFY(client.waitForEntries(4));
    QCOMPARE(client.log.entries, QStringList({u"1 Timeout"_s, u"drained"_s, u"2 ok"_s, u"drained"_s}));
}

void tst_PublisherRecovery::timeInTheOutboxDoesNotCount()
{
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setConfirmTimeout(1ms);
    client.publisher->setPaused(true);
    client.publish("1");
    QTest::qWait(5); // longer than the time limit
    QCOMPARE(client.log.entries, QStringList());
    client.publisher->setPaused(false);
    QVERIFY(client.waitForEntries(1));
    QCOMPARE(client.log.entries.first(), u"1 Timeout"_s);
    QCOMPARE(peer.count("basic.publish"), 1);
}

void tst_PublisherRecovery::badTimeoutIsRejected_data()
{
    QTest::addColumn<qint64>("timeout");
    QTest::newRow("negative") << qint64(-1);
    QTest::newRow("too large for a timer") << qint64(std::numeric_limits<int>::max());
}

void tst_PublisherRecovery::badTimeoutIsRejected()
{
    QFETCH(const qint64, timeout);
    ScriptedPeer peer;
    PublisherClient client(peer);
    client.publisher->setConfirmTimeout(5ms);
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"cannot publish"_s));
    client.publisher->setConfirmTimeout(std::chrono::milliseconds(timeout));
    QCOMPARE(client.publisher->error().kind(), ErrorKind::InvalidArgument);
    QVERIFY(client.publisher->error().text().startsWith(u"timeout: "_s));
    QCOMPARE(client.publisher->confirmTimeout(), 5ms);
}

QTEST_GUILESS_MAIN(tst_PublisherRecovery)

#include "tst_publisherrecovery.moc"
