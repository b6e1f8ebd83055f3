// SPDX-License-Identifier: MIT
#include "client/clientsupport.h"
#include "support/channelcalls.h"

#include <AmqpQt/publisher.h>

#include <thread>

using namespace AmqpQt;
using namespace AmqpQt::Test;

// A destructor finishes the futures of everything that it ends, without an event loop. No test here runs an event
// loop after it has deleted something.
class tst_Futures : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void everyCallEndsWithItsObject_data();
    void everyCallEndsWithItsObject();
    void eachMessageOfAPublisherHasItsOwnEnd();
    void anotherThreadMayWait();
    void functionsWaitForTheEventLoop();
};

namespace
{

bool isOfConfirming(const QString &call) // not of the other channel
{
    return call == u"confirmSelect" || call == u"publishWithReply" || call == u"whenConfirmed";
}

// All kinds of replies of a connection that is not opened, or whose peer no longer answers.
struct Calls {
    explicit Calls(Connection *connection)
        : channel(connection->createChannel())
        , confirming(connection->createChannel())
        , publisher(new Publisher(connection))
    {
        note("connection.whenOpen", connection->whenOpen());
        consumer = channel->consume(u"q"_s);
        note("whenStarted", consumer->whenStarted());
        note("cancel", channel->consume(u"q"_s)->cancel());
        visitChannelCalls([this](const char *name, auto call) {
            if constexpr (IsReply<ReturnedBy<decltype(call)>>) {
                if (qstrcmp(name, "reopen") != 0) // fails at once, since the channel is not closed
                    note(name, call(isOfConfirming(QLatin1StringView(name)) ? confirming : channel, {}));
            }
        });
        note("publisher", publisher->publishWithReply({}, u"q"_s, Message("2")));
    }

    template <typename T>
    void note(const char *name, const Reply<T> &reply)
    {
        const QFuture<Result<T>> future = reply.toFuture();
        ends.insert(QString::fromLatin1(name), [future]() -> QString {
            return future.isFinished() && future.resultCount() == 1 ? brief(future.result().error()) : u"unfinished"_s;
        });
    }
    QStringList unfinished() const
    {
        QStringList names;
        for (auto end = ends.cbegin(); end != ends.cend(); ++end) {
            if (end.value()() == u"unfinished")
                names += end.key();
        }
        return names;
    }

    QPointer<Channel> channel;
    QPointer<Channel> confirming;
    QPointer<Consumer> consumer;
    std::unique_ptr<Publisher> publisher;
    QMap<QString, std::function<QString()>> ends;
};

} // namespace

void tst_Futures::everyCallEndsWithItsObject_data()
{
    QTest::addColumn<bool>("isOpen");
    QTest::addColumn<QString>("victim");
    for (const bool isOpen : {false, true}) {
        for (const char *victim :
             {"connection", "channel", "confirming channel", "consumer", "publisher", "publisher's channel"})
            QTest::addRow("%s, %s", victim, isOpen ? "open" : "never opened") << isOpen << QString::fromLatin1(victim);
    }
}

void tst_Futures::everyCallEndsWithItsObject()
{
    QFETCH(const bool, isOpen);
    QFETCH(const QString, victim);
    ScriptedPeer peer;
    auto connection = std::make_unique<Connection>(parametersOf(peer));
    if (isOpen) {
        connection->open();
        QVERIFY(waitUntil([&] { return connection->isOpen(); }));
        peer.setHook([](const Command &command) { return command.channel > 0; });
    }
    Calls calls(connection.get());
    if (isOpen)
        QVERIFY(waitUntil([&] { return peer.count("channel.open") >= 3; }));
    else
        calls.note("open", connection->open());
    const QString early = isOpen ? u"connection.whenOpen"_s : QString();
    const auto isOf = [&](const QString &call) {
        const bool ofConfirming = isOfConfirming(call);
        const bool ofConnection = call == u"open" || call == u"connection.whenOpen";
        if (victim == u"connection")
            return true;
        if (victim == u"consumer")
            return call == u"whenStarted";
        if (victim.startsWith(u"publisher"))
            return call == u"publisher";
        if (victim == u"channel")
            return !ofConfirming && !ofConnection && call != u"publisher";
        return ofConfirming;
    };
    QStringList left;
    for (const QString &call : calls.ends.keys()) {
        if (call == early)
            QCOMPARE(calls.ends.value(call)(), u"ok"_s);
        else if (!isOf(call))
            left += call;
        else
            QCOMPARE(calls.ends.value(call)(), u"unfinished"_s);
    }
    if (victim == u"connection")
        connection.reset();
    else if (victim == u"channel")
        delete calls.channel;
    else if (victim == u"confirming channel")
        delete calls.confirming;
    else if (victim == u"consumer")
        delete calls.consumer;
    else if (victim == u"publisher")
        calls.publisher.reset();
    else
        delete calls.publisher->channel();
    QCOMPARE(calls.unfinished(), left);
    connection.reset();
    QCOMPARE(calls.unfinished(), QStringList());
    for (auto end = calls.ends.cbegin(); end != calls.ends.cend(); ++end) {
        if (end.key() != early && end.key() != u"cancel" && end.key() != u"close") // these may succeed
            QVERIFY2(end.value()() != u"ok", qPrintable(end.key()));
    }
}

// Messages confirmed before the connection is lost count as confirmed; each of the others has its own error.
void tst_Futures::eachMessageOfAPublisherHasItsOwnEnd()
{
    ScriptedPeer peer(ScriptedPeer::Lives::InItsOwnThread);
    peer.withhold("basic.ack");
    auto connection = std::make_unique<Connection>(parametersOf(peer));
    Publisher publisher(connection.get());
    connection->open();
    QVERIFY(waitUntil([&] { return publisher.isWritable(); }));
    QList<QFuture<Result<void>>> futures;
    for (const char *body : {"1", "2", "3"})
        futures += publisher.publishWithReply({}, u"q"_s, Message(body)).toFuture();
    QVERIFY(waitUntil([&] { return peer.count("basic.publish") == 3; }));
    publisher.setPaused(true);
    futures += publisher.publishWithReply({}, u"q"_s, Message("4")).toFuture();
    connect(publisher.channel(), &Channel::publishConfirmed, &publisher, [&] { connection.reset(); });
    peer.send(1, Wire::BasicAck{.deliveryTag = 2});
    QVERIFY(waitUntil([&] { return !connection; }));
    QStringList ends;
    for (const auto &future : std::as_const(futures))
        ends += future.isFinished() ? brief(future.result().error()) : u"unfinished"_s;
    QCOMPARE(ends, QStringList({u"Unconfirmed"_s, u"ok"_s, u"Unconfirmed"_s, u"NotOpen"_s}));
}

void tst_Futures::anotherThreadMayWait()
{
    auto *connection = new Connection;
    QFuture<Result<QueueInfo>> future = connection->createChannel()->declareQueue(u"q"_s).toFuture();
    ErrorKind kind = ErrorKind::NoError;
    std::thread worker([&] { kind = future.result().error().kind(); });
    delete connection;
    worker.join();
    QCOMPARE(kind, ErrorKind::Cancelled);
}

void tst_Futures::functionsWaitForTheEventLoop()
{
    auto *connection = new Connection;
    bool isCalled = false;
    connection->createChannel()->declareQueue(u"q"_s).then(
        this, [&](const Result<QueueInfo> &result) { isCalled = result.error().kind() == ErrorKind::Cancelled; });
    delete connection;
    QVERIFY(!isCalled);
    settleEvents();
    QVERIFY(isCalled);
}

QTEST_GUILESS_MAIN(tst_Futures)
#include "tst_futures.moc"
