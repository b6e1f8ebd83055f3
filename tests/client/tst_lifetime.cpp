// SPDX-License-Identifier: MIT
#include "client/story.h"

using namespace AmqpQt;
using namespace AmqpQt::Test;

namespace
{

enum class Victim { TheConsumer, TheChannel, TheConnection, TheMessages };
enum class Way { Delete, DeleteLater };

const char *const VictimNames[] = {"consumer", "channel", "connection", "messages"};

} // namespace

// Deletes any object in any slot. No deleted object is accessed, every reply ends once, and other objects stay usable.
class tst_Lifetime : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void storyHasEverySignal_data();
    void storyHasEverySignal();
    void storyIsTheSameEachTime();
    void everythingMayBeDeletedInEverySlot_data();
    void everythingMayBeDeletedInEverySlot();
};

void tst_Lifetime::storyHasEverySignal_data()
{
    QTest::addColumn<const QMetaObject *>("metaObject");
    QTest::addColumn<QStringList>("prefixes");
    QTest::newRow("Connection") << &Connection::staticMetaObject << QStringList{u"connection."_s};
    QTest::newRow("Channel") << &Channel::staticMetaObject << QStringList{u"channel."_s};
    QTest::newRow("Consumer") << &Consumer::staticMetaObject << QStringList{u"a."_s, u"b."_s, u"c."_s, u"d."_s};
}

void tst_Lifetime::storyHasEverySignal()
{
    QFETCH(const QMetaObject *const, metaObject);
    QFETCH(const QStringList, prefixes);
    Story story(Story::Parents::Each);
    story.run();
    for (int i = metaObject->methodOffset(); i < metaObject->methodCount(); ++i) {
        const QMetaMethod method = metaObject->method(i);
        if (method.methodType() != QMetaMethod::Signal)
            continue;
        const QString name = QString::fromLatin1(method.name());
        // Other tests delete a connection in these. A connection with a password, but without TLS and recovery, emits
        // only those that describe its state.
        static const QStringList others{u"sslErrors"_s,        u"credentialsRequested"_s,    u"reconnecting"_s,
                                        u"recovered"_s,        u"reconnectAttemptChanged"_s, u"queueRenamed"_s,
                                        u"calmStateChanged"_s, u"stateTextChanged"_s};
        if (metaObject == &Connection::staticMetaObject && others.contains(name))
            continue;
        QVERIFY2(std::any_of(prefixes.begin(), prefixes.end(),
                             [&](const QString &prefix) { return !story.log.only(prefix + name).isEmpty(); }),
                 method.name().constData());
    }
    QCOMPARE(story.peer.violations(), QStringList());
}

void tst_Lifetime::storyIsTheSameEachTime()
{
    QStringList before;
    for (const Story::Parents parents : {Story::Parents::Each, Story::Parents::Other}) {
        Story story(parents);
        story.run();
        story.endRemaining();
        QCOMPARE(story.log.ended.size(), story.log.replies.size());
        QCOMPARE(QSet<QString>(story.log.ended.begin(), story.log.ended.end()).size(), story.log.replies.size());
        story.log.entries.removeIf(comesOncePerTurn);
        if (!before.isEmpty())
            QCOMPARE(story.log.entries, before);
        before = story.log.entries;
    }
}

void tst_Lifetime::everythingMayBeDeletedInEverySlot_data()
{
    QTest::addColumn<QString>("entry");
    QTest::addColumn<int>("occurrence");
    QTest::addColumn<int>("victim");
    QTest::addColumn<int>("way");
    QTest::addColumn<int>("parents");

    Story story(Story::Parents::Each);
    story.run();
    QHash<QString, int> occurrences;
    for (QString entry : std::as_const(story.log.entries)) {
        const bool isFickle = comesOncePerTurn(entry);
        if (isFickle)
            entry = entry.section(u' ', 0, 0);
        const int occurrence = ++occurrences[entry];
        if (occurrence > (isFickle ? 1 : 2))
            continue;
        for (const Victim victim :
             {Victim::TheConsumer, Victim::TheChannel, Victim::TheConnection, Victim::TheMessages}) {
            for (const Way way : {Way::Delete, Way::DeleteLater}) {
                if (victim == Victim::TheMessages && way == Way::DeleteLater)
                    continue;
                for (const Story::Parents parents : {Story::Parents::Each, Story::Parents::Other}) {
                    QTest::addRow("%s #%d: the %s, %s%s", qPrintable(entry), occurrence, VictimNames[int(victim)],
                                  way == Way::Delete ? "at once" : "later",
                                  parents == Story::Parents::Each ? "" : ", the others survive")
                        << entry << occurrence << int(victim) << int(way) << int(parents);
                }
            }
        }
    }
}

void tst_Lifetime::everythingMayBeDeletedInEverySlot()
{
    QFETCH(const QString, entry);
    QFETCH(int, occurrence);
    QFETCH(const int, victim);
    QFETCH(const int, way);
    QFETCH(const int, parents);

    Story story(Story::Parents{parents});
    const auto object = [&]() -> QObject * {
        switch (Victim(victim)) {
        case Victim::TheConsumer:
            return story.consumer;
        case Victim::TheChannel:
            return story.channel;
        case Victim::TheConnection:
            return story.connection;
        case Victim::TheMessages:
            break;
        }
        return nullptr;
    };
    story.log.afterEntry = [&](const QString &heard) {
        if ((comesOncePerTurn(heard) ? heard.section(u' ', 0, 0) : heard) != entry || --occurrence != 0)
            return;
        story.stopped = true;
        if (Victim(victim) == Victim::TheMessages)
            story.messages.clear();
        else if (QObject *unlucky = object())
            Way(way) == Way::Delete ? delete unlucky : unlucky->deleteLater();
    };
    story.run();
    QVERIFY(story.stopped);
    QCoreApplication::sendPostedEvents(nullptr, QEvent::DeferredDelete);

    // The connection still works.
    if (story.connection && story.connection->isOpen()) {
        story.peer.answerAgain("queue.declare-ok");
        Channel *another = story.connection->createChannel();
        story.log.watch(another->declareQueue(u"another"_s), u"another"_s);
        // The connection may also be lost already, which has not been reported yet.
        QVERIFY(waitUntil([&] {
            return story.log.ended.contains(u"another"_s) || !story.connection || !story.connection->isOpen();
        }));
        if (!story.log.has(u"reply.another ok"_s)) // the connection was lost, which is reported next
            QVERIFY(waitUntil([&] { return !story.connection->isOpen(); }));
    }
    story.endRemaining();

    const bool connectionIsGone = !story.connection;
    if (!connectionIsGone)
        QCOMPARE(story.connection->state(), Connection::State::Closed);
    if (story.channel) {
        QCOMPARE(story.channel->connection(), story.connection.data());
        if (connectionIsGone || story.channel->state() == Channel::State::Closed) {
            QCOMPARE(story.channel->publish(u"x"_s, u"k"_s, Message("late")), quint64(0));
            QCOMPARE(story.channel->lastCallError().kind(), ErrorKind::NotOpen);
            QCOMPARE(story.channel->purgeQueue(u"q"_s).result().error().kind(), ErrorKind::NotOpen);
            QVERIFY(!story.channel->isWritable());
        }
        if (connectionIsGone)
            QCOMPARE(story.channel->state(), Channel::State::Closed);
    }
    if (story.consumer) {
        QVERIFY(story.consumer->state() == Consumer::State::Cancelled || story.channel);
        const auto channelOfConsumer = story.consumer->channel();
        QVERIFY(!channelOfConsumer || channelOfConsumer == story.channel);
        if (connectionIsGone || !story.channel)
            QCOMPARE(story.consumer->state(), Consumer::State::Cancelled);
        if (story.consumer->state() == Consumer::State::Cancelled)
            QVERIFY(story.consumer->cancel().isFinished());
    }
    for (const Message &message : std::as_const(story.messages))
        message.ack(); // too late in every case
    QCoreApplication::processEvents();

    // Calls that wait for the next open() end with the connection.
    delete story.connection;
    QCoreApplication::processEvents();
    for (const QString &reply : std::as_const(story.log.replies))
        QVERIFY2(story.log.ended.count(reply) == 1, qPrintable(reply));
    QCOMPARE(story.peer.violations(), QStringList());
}

QTEST_GUILESS_MAIN(tst_Lifetime)
#include "tst_lifetime.moc"
