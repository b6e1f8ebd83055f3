// SPDX-License-Identifier: MIT
#include "engine/channelparts.h"

using namespace AmqpQt;
using namespace Qt::StringLiterals;

using Engine::Publishing;

// The class Publishing; the tests of messages with a broker are in tst_publishing.
class tst_ChannelPublishing : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void messagesAreNumberedAndSent();
    void aMessageLikeTheLastOneIsTheSameOnTheWire();
    void aHeldMessageIsSentLater();
    void rejectedMessagesUseNoNumber_data();
    void rejectedMessagesUseNoNumber();
    void confirmsAreMatchedOnce();
    void aReturnDecidesTheOutcome();
    void theConfirmWindowHoldsMessagesUntilHalfOfItIsFree();
    void blockedBrokerHoldsMessages();
    void theEndReportsUnconfirmedMessages();
};

namespace
{

const QByteArray NoProperties(2, '\0');

struct PublishingPart : ChannelParts {
    using ChannelParts::ChannelParts;
    quint64 publish(const QByteArray &body, bool mandatory = false)
    {
        return *publishing.publish(u"x"_s, u"key"_s, NoProperties, body, mandatory, false);
    }
    bool isHeld(const QByteArray &body) // and not sent
    {
        publish(body);
        s.expectNothingSent();
        return calls.isHolding() && !calls.firstCall() && calls.takeFirstPublish().body == body;
    }
};

} // namespace

void tst_ChannelPublishing::messagesAreNumberedAndSent()
{
    PublishingPart t;
    QCOMPARE(t.publish("one"), quint64(1));
    QCOMPARE(t.publish("two", true), quint64(2));
    t.s.expectPublished("one", "key").expectPublished("two", "key").expectNothingSent();
    QCOMPARE(t.publishing.unconfirmed(), 0);
    QVERIFY(!t.calls.isHolding());
}

void tst_ChannelPublishing::aMessageLikeTheLastOneIsTheSameOnTheWire()
{
    const auto framesOf = [](PublishingPart &t, const QByteArray &body) {
        t.publish(body);
        t.s.write();
        QByteArrayList payloads;
        for (const Frame &frame : t.s.takeSent())
            payloads += frame.payload;
        return payloads;
    };
    PublishingPart t;
    framesOf(t, "one");
    const QByteArrayList again = framesOf(t, "again");
    PublishingPart other;
    QCOMPARE(again, framesOf(other, "again")); // its first message
    t.publishing.dropTemplate();
    QCOMPARE(framesOf(t, "again"), again);
    // A message that differs is not like the last one, nor is the next one like the message before it.
    t.publishing.publish(u"x"_s, u"other"_s, NoProperties, "2", false, false);
    t.publish("3");
    t.s.expectPublished("2", "other").expectPublished("3", "key").expectNothingSent();
}

void tst_ChannelPublishing::aHeldMessageIsSentLater()
{
    PublishingPart t;
    const auto published = t.publishing.publish(u"x"_s, u"key"_s, NoProperties, "held", false, true);
    QCOMPARE(*published, quint64(1));
    t.s.expectNothingSent();
    QVERIFY(t.calls.isHolding());
    const qint64 queued = t.s.engine.flow().queuedBytes();
    const Engine::HeldPublish held = t.calls.takeFirstPublish();
    t.publishing.sendHeld(held);
    QVERIFY(t.s.engine.flow().queuedBytes() >= queued); // now in the output
    t.s.expectPublished("held", "key").expectNothingSent();
    QCOMPARE(t.s.engine.flow().queuedBytes(), 0);
}

void tst_ChannelPublishing::rejectedMessagesUseNoNumber_data()
{
    QTest::addColumn<QString>("exchange");
    QTest::addColumn<QString>("key");
    QTest::addColumn<QByteArray>("properties");
    QTest::addColumn<qsizetype>("bodySize");
    QTest::addColumn<QString>("argument");
    QTest::newRow("exchange") << QString(256, u'x') << u"k"_s << NoProperties << qsizetype(1) << u"exchange"_s;
    QTest::newRow("key") << u"x"_s << QString(256, u'k') << NoProperties << qsizetype(1) << u"routingKey"_s;
    QTest::newRow("properties") << u"x"_s << u"k"_s << QByteArray(200'000, '\0') << qsizetype(1) << u"headers"_s;
    QTest::newRow("body") << u"x"_s << u"k"_s << NoProperties << qsizetype(100'001) << u"message"_s;
    const QByteArray replyTo = "amq.rabbitmq.reply-to";
    const QByteArray asking = Wire::encodeProperties({.flags = Wire::ReplyToFlag, .replyTo = QByteArrayView(replyTo)});
    QTest::newRow("direct reply without a consumer") << u"x"_s << u"k"_s << asking << qsizetype(1) << u"replyTo"_s;
}

void tst_ChannelPublishing::rejectedMessagesUseNoNumber()
{
    QFETCH(const QString, exchange);
    QFETCH(const QString, key);
    QFETCH(const QByteArray, properties);
    QFETCH(const qsizetype, bodySize);
    QFETCH(const QString, argument);
    Engine::Settings settings = Script::defaultSettings();
    settings.bufferLimit = 100'000;
    PublishingPart t(settings);
    const auto rejected = t.publishing.publish(exchange, key, properties, QByteArray(bodySize, 'b'), false, false);
    QVERIFY(!rejected);
    QCOMPARE(rejected.error().kind(), ErrorKind::InvalidArgument);
    QVERIFY2(rejected.error().text().startsWith(argument + u": "_s), qPrintable(rejected.error().text()));
    t.s.expectNothingSent();
    QCOMPARE(t.publish("good"), quint64(1));
    t.s.expectPublished("good", "key");
}

void tst_ChannelPublishing::confirmsAreMatchedOnce()
{
    PublishingPart t;
    t.publish("before");
    QCOMPARE(t.publishing.confirm(1, false, {}), Publishing::Confirmed::NeverPublished);
    t.publishing.startConfirms();
    for (const char *body : {"1", "2", "3"})
        t.publish(body);
    QCOMPARE(t.publishing.unconfirmed(), 3);
    QCOMPARE(t.publishing.confirm(2, true, {}), Publishing::Confirmed::Now);
    QCOMPARE(t.publishing.confirm(1, false, {}), Publishing::Confirmed::Before);
    QCOMPARE(t.publishing.confirm(4, false, {}), Publishing::Confirmed::NeverPublished);
    const Error nacked(ErrorKind::Nacked, u"nacked"_s);
    QCOMPARE(t.publishing.confirm(3, false, nacked), Publishing::Confirmed::Now);
    QCOMPARE(t.s.takeEvents(), QStringList({u"PublishConfirmed 1 2-3"_s, u"PublishFailed 1 4-4 Nacked"_s}));
    QCOMPARE(t.publishing.unconfirmed(), 0);
}

void tst_ChannelPublishing::aReturnDecidesTheOutcome()
{
    PublishingPart t;
    const auto returned = [&](const QByteArray &body) {
        Engine::ReturnedMessage message;
        message.exchange = "x";
        message.routingKey = "key";
        message.properties = NoProperties;
        message.body = body;
        message.reason = Error(ErrorKind::Returned, u"NO_ROUTE"_s, 312);
        t.publishing.returned(message);
    };
    returned("without confirms");
    QCOMPARE(t.s.takeEvents(), QStringList{u"Returned 1"_s});
    t.publishing.startConfirms();
    t.publish("1", true);
    t.publish("2", true);
    returned("2");
    t.s.expectNoEvent();
    t.publishing.confirm(2, true, {});
    QCOMPARE(t.s.takeEvents(),
             QStringList({u"PublishConfirmed 1 1-1"_s, u"Returned 1"_s, u"PublishFailed 1 2-2 Returned"_s}));
}

void tst_ChannelPublishing::theConfirmWindowHoldsMessagesUntilHalfOfItIsFree()
{
    PublishingPart t;
    t.publishing.startConfirms();
    t.publishing.setConfirmWindow(4);
    for (const char *body : {"1", "2", "3"})
        t.publish(body);
    QVERIFY(t.publishing.mayPublish() && !t.publishing.isConfirmWindowFull());
    t.publish("4");
    QVERIFY(!t.publishing.mayPublish() && t.publishing.isConfirmWindowFull());
    t.s.takeSent();
    QVERIFY(t.isHeld("5"));
    QCOMPARE(t.s.takeEvents(), QStringList{u"ConfirmWindowChanged 1 true"_s});
    t.publishing.confirm(1, false, {});
    t.publishing.checkConfirmWindow();
    QVERIFY(t.publishing.mayPublish() && t.publishing.isConfirmWindowFull());
    t.publishing.confirm(2, false, {});
    t.publishing.checkConfirmWindow();
    QVERIFY(!t.publishing.isConfirmWindowFull());
    QCOMPARE(t.s.takeEvents(), QStringList({u"PublishConfirmed 1 1-1"_s, u"PublishConfirmed 1 2-2"_s,
                                            u"ConfirmWindowChanged 1 false"_s}));
    t.publishing.setConfirmWindow(0);
    for (int i = 0; i < 10; ++i)
        t.publish("more");
    QVERIFY(t.publishing.mayPublish() && !t.calls.isHolding());
}

void tst_ChannelPublishing::blockedBrokerHoldsMessages()
{
    PublishingPart t;
    t.s.broker(Wire::ConnectionBlocked{.reason = "memory"}).expectEvent<Engine::BlockedChanged>();
    QVERIFY(!t.publishing.mayPublish());
    QVERIFY(t.isHeld("held"));
    t.s.broker(Wire::ConnectionUnblocked{}).expectEvent<Engine::BlockedChanged>();
    QVERIFY(t.publishing.mayPublish());
}

void tst_ChannelPublishing::theEndReportsUnconfirmedMessages()
{
    PublishingPart t;
    t.publishing.startConfirms();
    t.publishing.setConfirmWindow(2);
    t.publish("1");
    t.publish("2");
    t.publishing.end(Error(ErrorKind::Network, u"the network is gone"_s));
    t.s.expectEvent<Engine::ConfirmWindowChanged>();
    t.s.expectEvent<Engine::PublishFailed>([&](const Engine::PublishFailed &failed) {
        QCOMPARE(failed.first, quint64(1));
        QCOMPARE(failed.last, quint64(2));
        QCOMPARE(failed.reason.kind(), ErrorKind::Unconfirmed);
        QVERIFY(failed.reason.text().contains(u"the network is gone"_s));
    });
    QCOMPARE(t.publishing.unconfirmed(), 0);
    QVERIFY(!t.publishing.isConfirmWindowFull());
}

QTEST_APPLESS_MAIN(tst_ChannelPublishing)
#include "tst_channelpublishing.moc"
