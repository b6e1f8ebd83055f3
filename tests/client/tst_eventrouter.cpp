// SPDX-License-Identifier: MIT
#include "client/channel/channel_p.h"
#include "client/clientsupport.h"
#include "client/connection/connection_p.h"

#include <QtCore/qregularexpression.h>

using namespace AmqpQt;
using namespace AmqpQt::Test;
using Delivery = Internal::ReplyStateBase::Delivery;

namespace
{

// A router of its own, which gets events of the channel of a connection that is not opened.
struct Routing {
    Routing()
        : router(*ConnectionPrivate::of(&connection))
        , channel(connection.createChannel())
        , engine(ChannelPrivate::get(channel)->engine)
    {
    }
    template <typename E>
    void route(E event)
    {
        Engine::Event any = std::move(event);
        router.route(any, spare);
    }
    template <typename E>
    void routeLast(E event)
    {
        Engine::Event any = std::move(event);
        router.routeLast(any);
    }
    int publishUnconfirmed(int count)
    {
        channel->confirmSelect();
        for (int i = 0; i < count; ++i)
            channel->publish({}, u"q"_s, Message("body"));
        return channel->unconfirmedCount();
    }

    Connection connection;
    EventRouter router;
    Message spare;
    QPointer<Channel> channel;
    std::shared_ptr<Engine::ChannelEngine> engine;
};

const Error failure(ErrorKind::Network, u"gone"_s);

} // namespace

class tst_EventRouter : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void replyReachesItsCallOnce();
    void lastReplyIsPosted();
    void outcomesReachTheirChannel();
    void returnedMessageReachesItsChannel();
    void channelEventsOfADeletedChannelAreIgnored();
    void blockingReachesTheFlowReports();
    void backpressureIsReported();
    void lastOutcomesComeFromTheEventLoop();
    void otherLastEventsAreDropped();
};

void tst_EventRouter::replyReachesItsCallOnce()
{
    Routing t;
    QStringList log;
    for (const Engine::CallId id : {1, 2}) {
        t.router.expectReply(id, [&log, id](Engine::ReplyValue &value, Delivery delivery) {
            QCOMPARE(delivery, Delivery::Direct);
            log += u"%1: %2"_s.arg(id).arg(std::get<quint32>(value));
        });
    }
    t.route(Engine::ReplyArrived{2, quint32(5)});
    QCOMPARE(log, QStringList{u"2: 5"_s});
    t.route(Engine::ReplyArrived{2, quint32(6)});
    t.route(Engine::ReplyArrived{3, quint32(6)});
    QCOMPARE(log, QStringList{u"2: 5"_s});
    t.route(Engine::ReplyArrived{1, quint32(7)});
    QCOMPARE(log, QStringList({u"2: 5"_s, u"1: 7"_s}));
}

void tst_EventRouter::lastReplyIsPosted()
{
    Routing t;
    std::optional<Delivery> got;
    t.router.expectReply(1, [&got](Engine::ReplyValue &, Delivery delivery) { got = delivery; });
    t.routeLast(Engine::ReplyArrived{1, failure});
    QCOMPARE(got, std::optional(Delivery::Posted));
}

void tst_EventRouter::outcomesReachTheirChannel()
{
    Routing t;
    QCOMPARE(t.publishUnconfirmed(3), 3);
    QSignalSpy confirmed(t.channel, &Channel::publishConfirmed);
    QSignalSpy failed(t.channel, &Channel::publishFailed);
    t.route(Engine::PublishConfirmed{t.engine, 1, 2});
    QCOMPARE(confirmed, QList<QVariantList>({{quint64(1), quint64(2)}}));
    QCOMPARE(t.channel->unconfirmedCount(), 1);
    t.route(Engine::PublishFailed{t.engine, 3, 3, failure});
    QCOMPARE(failed.count(), 1);
    QCOMPARE(failed.first().at(0).value<quint64>(), quint64(3));
    QCOMPARE(failed.first().at(2).value<Error>(), failure);
    QCOMPARE(t.channel->unconfirmedCount(), 0);
}

void tst_EventRouter::returnedMessageReachesItsChannel()
{
    Routing t;
    QSignalSpy returned(t.channel, &Channel::messageReturned);
    t.route(Engine::Returned{t.engine, {"x", "key", QByteArray(2, '\0'), "back", failure}, 4});
    QCOMPARE(returned.count(), 1);
    QCOMPARE(returned.first().at(0).value<quint64>(), quint64(4));
    const auto message = returned.first().at(1).value<Message>();
    QCOMPARE(message.body(), "back"_ba);
    QCOMPARE(message.exchange(), u"x"_s);
    QCOMPARE(message.routingKey(), u"key"_s);
    QCOMPARE(message.deliveryTag(), quint64(0)); // it cannot be settled
    QCOMPARE(returned.first().at(2).value<Error>(), failure);
}

void tst_EventRouter::channelEventsOfADeletedChannelAreIgnored()
{
    Routing t;
    delete t.channel;
    QVERIFY(!t.engine->client);
    t.route(Engine::ChannelOpened{t.engine});
    t.route(Engine::ChannelClosed{t.engine, failure});
    t.route(Engine::FlowChanged{t.engine, false});
    t.route(Engine::Returned{t.engine, {}, 0});
    t.route(Engine::PublishConfirmed{t.engine, 1, 1});
    t.route(Engine::ConfirmWindowChanged{t.engine, true});
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"was deleted; its messages 2 to 3 ended with"_s));
    t.route(Engine::PublishFailed{t.engine, 2, 3, failure});
    t.routeLast(Engine::PublishConfirmed{t.engine, 1, 1});
    t.routeLast(Engine::PublishFailed{t.engine, 2, 3, failure});
    settleEvents();
}

void tst_EventRouter::blockingReachesTheFlowReports()
{
    Routing t;
    const FlowReports &flow = ConnectionPrivate::of(&t.connection)->flow;
    t.route(Engine::BlockedChanged{true, u"memory"_s});
    QVERIFY(flow.isBlocked());
    QCOMPARE(flow.blockedReason(), u"memory"_s);
    t.route(Engine::WritableChanged{false});
    QVERIFY(flow.isBufferFull());
}

void tst_EventRouter::backpressureIsReported()
{
    Routing t;
    QSignalSpy detected(&t.connection, &Connection::backpressureDetected);
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"^7000 bytes are waiting to be sent"_s));
    t.route(Engine::BackpressureDetected{7000});
    QCOMPARE(detected, QList<QVariantList>{{qint64(7000)}});
}

void tst_EventRouter::lastOutcomesComeFromTheEventLoop()
{
    Routing t;
    QCOMPARE(t.publishUnconfirmed(2), 2);
    QStringList log;
    connect(t.channel, &Channel::publishFailed, this, [&](quint64 first, quint64 last, const Error &reason) {
        log += u"failed %1-%2 %3"_s.arg(first).arg(last).arg(brief(reason));
    });
    connect(t.channel, &Channel::publishConfirmed, this,
            [&](quint64 first, quint64 last) { log += u"confirmed %1-%2"_s.arg(first).arg(last); });
    t.routeLast(Engine::PublishConfirmed{t.engine, 1, 1});
    t.routeLast(Engine::PublishFailed{t.engine, 2, 2, failure});
    QCOMPARE(t.channel->unconfirmedCount(), 0);
    QCOMPARE(log, QStringList());
    QVERIFY(waitUntil([&] { return log.size() == 2; }));
    QCOMPARE(log, QStringList({u"confirmed 1-1"_s, u"failed 2-2 Network"_s}));
}

void tst_EventRouter::otherLastEventsAreDropped()
{
    Routing t;
    QSignalSpy returned(t.channel, &Channel::messageReturned);
    t.routeLast(Engine::BlockedChanged{true, {}});
    t.routeLast(Engine::Returned{t.engine, {}, 0});
    settleEvents();
    QVERIFY(!ConnectionPrivate::of(&t.connection)->flow.isBlocked());
    QCOMPARE(returned.count(), 0);
}

QTEST_GUILESS_MAIN(tst_EventRouter)

#include "tst_eventrouter.moc"
