// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"

#include "client/channel/helperchannel_p.h"
#include "client/connection/connection_p.h"
#include "client/missingqueues.h"

#include <numeric>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// The library's own calls share a channel, and only a call that the broker rejects fails.
class tst_HelperChannel : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void onlyCallsThatTheBrokerRejectsFail_data();
    void onlyCallsThatTheBrokerRejectsFail();
    void callThatCannotBeSentFailsAlone();
    void callsOfDeletedContextsAreNotRepeated();
    void lossOfTheConnectionEndsPendingCalls();
    void resultMayEndEverything_data();
    void resultMayEndEverything();
};

namespace
{

HelperChannel &helperOf(Connection &connection)
{
    return connection.findChild<ConnectionPrivate *>()->helperChannel();
}

bool isMissing(const QString &queue)
{
    return queue.startsWith(u"missing"_s);
}

class Questions : public QObject
{
public:
    explicit Questions(Connection &asking)
        : connection(asking)
    {
    }

    void ask(const QString &queue)
    {
        helperOf(connection)
            .call<QueueInfo>(
                this, [queue](Channel *channel) { return channel->inspectQueue(queue); },
                [this, queue](const Result<QueueInfo> &found) {
                    answers += queue + u' ' + brief(found.error());
                    if (afterAnswer)
                        afterAnswer();
                });
    }

    Connection &connection;
    QStringList answers;
    std::function<void()> afterAnswer;
};

} // namespace

void tst_HelperChannel::onlyCallsThatTheBrokerRejectsFail_data()
{
    QTest::addColumn<QList<int>>("missing");
    QTest::newRow("none") << QList<int>();
    QTest::newRow("the first") << QList<int>{0};
    QTest::newRow("the last") << QList<int>{99};
    QTest::newRow("neighbours and others") << QList<int>{0, 1, 2, 31, 32, 33, 60, 99};
    QTest::newRow("all") << [] {
        QList<int> all(100);
        std::iota(all.begin(), all.end(), 0);
        return all;
    }();
}

void tst_HelperChannel::onlyCallsThatTheBrokerRejectsFail()
{
    QFETCH(const QList<int>, missing);
    ScriptedPeer peer;
    rejectMissingQueues(peer, isMissing);
    OpenClient client(peer);
    Questions questions(client.connection);
    QStringList expected;
    for (int i = 0; i < 100; ++i) {
        const bool isRejected = missing.contains(i);
        const QString queue = (isRejected ? u"missing%1"_s : u"q%1"_s).arg(i);
        questions.ask(queue);
        expected += queue + (isRejected ? u" ChannelClosed 404"_s : u" ok"_s);
    }
    QVERIFY(waitUntil([&] { return questions.answers.size() == 100; }));
    settle(client.connection);
    QCOMPARE(questions.answers, expected);
    QCOMPARE(peer.count("channel.close-ok"), int(missing.size()));
    QCOMPARE(client.connection.channels(), QList<Channel *>{client.channel});
    QCOMPARE(peer.violations(), QStringList());
}

void tst_HelperChannel::callThatCannotBeSentFailsAlone()
{
    ScriptedPeer peer;
    rejectMissingQueues(peer, isMissing);
    OpenClient client(peer);
    Questions questions(client.connection);
    const QString tooLong(300, u'x');
    for (const QString &queue : {u"missing"_s, tooLong, u"q"_s})
        questions.ask(queue);
    QVERIFY(waitUntil([&] { return questions.answers.size() == 3; }));
    questions.answers.sort();
    QCOMPARE(questions.answers,
             QStringList({u"missing ChannelClosed 404"_s, u"q ok"_s, tooLong + u" InvalidArgument"_s}));
}

void tst_HelperChannel::callsOfDeletedContextsAreNotRepeated()
{
    ScriptedPeer peer;
    OpenClient client(peer);
    Questions staying(client.connection);
    auto leaving = std::make_unique<Questions>(client.connection);
    peer.withhold("queue.declare-ok");
    staying.ask(u"missing"_s);
    for (int i = 0; i < 100; ++i)
        leaving->ask(u"q%1"_s.arg(i));
    staying.ask(u"last"_s);
    QVERIFY(waitUntil([&] { return peer.count("queue.declare") > 1; }));
    leaving.reset();
    settle(client.connection);
    const int asked = peer.count("queue.declare");
    peer.answerAgain("queue.declare-ok");
    peer.closeChannel(2, 404, "NOT_FOUND - no queue 'missing'");
    QVERIFY(waitUntil([&] { return staying.answers.size() == 2; }));
    QCOMPARE(staying.answers, QStringList({u"missing ChannelClosed 404"_s, u"last ok"_s}));
    QCOMPARE(peer.count("queue.declare"), asked + 1);
}

void tst_HelperChannel::lossOfTheConnectionEndsPendingCalls()
{
    ScriptedPeer peer;
    OpenClient client(withoutRecovery(peer));
    Questions questions(client.connection);
    peer.withhold("queue.declare-ok");
    for (int i = 0; i < 100; ++i)
        questions.ask(u"q%1"_s.arg(i));
    QVERIFY(waitUntil([&] { return peer.count("queue.declare") > 1; }));
    peer.dropConnection();
    QVERIFY(waitUntil([&] { return questions.answers.size() == 100; }));
    for (const QString &answer : std::as_const(questions.answers))
        QVERIFY2(answer.endsWith(u" Network"_s), qPrintable(answer));
    settleEvents();

    questions.answers.clear();
    questions.ask(u"later"_s);
    settleEvents();
    QCOMPARE(questions.answers, QStringList());
    peer.answerAgain("queue.declare-ok");
    client.connection.open();
    QVERIFY(waitUntil([&] { return questions.answers.size() == 1; }));
    QCOMPARE(questions.answers, QStringList{u"later ok"_s});
    QCOMPARE(peer.violations(), QStringList());
}

void tst_HelperChannel::resultMayEndEverything_data()
{
    QTest::addColumn<QString>("end");
    QTest::addColumn<bool>("isRejected");
    for (const char *end :
         {"delete the context", "delete the connection", "close the connection", "abort the connection"}) {
        for (const bool isRejected : {false, true})
            QTest::addRow("%s, %s", end, isRejected ? "rejected" : "answered")
                << QString::fromLatin1(end) << isRejected;
    }
}

void tst_HelperChannel::resultMayEndEverything()
{
    QFETCH(const QString, end);
    QFETCH(const bool, isRejected);
    ScriptedPeer peer;
    rejectMissingQueues(peer, isMissing);
    auto client = std::make_unique<OpenClient>(peer);
    auto questions = std::make_unique<Questions>(client->connection);
    int answers = 0;
    questions->afterAnswer = [&] {
        if (++answers > 1)
            return;
        if (end == u"delete the context"_s)
            questions.reset();
        else if (end == u"delete the connection"_s)
            client.reset();
        else if (end == u"close the connection"_s)
            client->connection.close();
        else
            client->connection.abort();
    };
    questions->ask(isRejected ? u"missing"_s : u"q"_s);
    for (int i = 0; i < 50; ++i)
        questions->ask(u"q%1"_s.arg(i));
    QVERIFY(waitUntil([&] { return answers > 0; }));
    if (client && questions) {
        QVERIFY(waitUntil([&] { return client->connection.state() == Connection::State::Closed; }));
        client->connection.open(); // calls to be repeated wait for this
        QVERIFY(waitUntil([&] { return answers == 51; }));
    }
    if (client && !questions)
        settle(client->connection);
    settleEvents();
    QCOMPARE(answers, client && questions ? 51 : 1);
    QCOMPARE(peer.violations(), QStringList());
}

QTEST_GUILESS_MAIN(tst_HelperChannel)

#include "tst_helperchannel.moc"
