// SPDX-License-Identifier: MIT
#include "support/script.h"

#include <QtCore/qregularexpression.h>
#include <QtTest/qtest.h>

#include <functional>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

class tst_Contents : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void bodiesOfAllSizesArrive_data();
    void bodiesOfAllSizesArrive();
    void aDeliveryHasTheFieldsSentByTheBroker();
    void framesMayBeSmallerThanTheyHaveToBe();
    void contentsOfSeveralChannelsInterleave();
    void aLargeBodyIsReadIntoItsPlace();
    void aDirectReadStopsAtTheEndOfItsFrame();
    void aChannelMayBeReleasedWhileItsBodyIsRead_data();
    void aChannelMayBeReleasedWhileItsBodyIsRead();
    void inputMayBeCutAnywhere();
    void inputMayComeInPieces_data();
    void inputMayComeInPieces();
    void equalPropertiesAreShared();
    void largeHeadersAreAccepted();
    void aMessageOverTheLimitEndsItsConsumer_data();
    void aMessageOverTheLimitEndsItsConsumer();
    void aHeaderAboveTheLimitMayHaveNoBody();
    void aMessageAboveTheLimitSparesAConsumerBeingCancelled();
    void aMessageOverTheLimitIsNotDrained();
    void aConsumerIsCancelledBeforeHeldPublishes();
    void aGetOverTheLimitEndsWithAnError_data();
    void aGetOverTheLimitEndsWithAnError();
    void aReturnedMessageMayBeLargerThanADelivery();
    void undecodableHeadersAreWarnedOfOnceAMinute();
    void aMessageOverTheLimitOnAClosingChannelIsSkipped();
    void aMessageOfTheLimitArrives();
    void returnedMessagesArrive();
    void publishedContentsAreWhole_data();
    void publishedContentsAreWhole();
    void namesMayBeRawData();
    void namesMayChangeInPlace();
    void aNewAccessTicketIsInTheNextPublish();
    void messagePublishedAfterAnotherKeepsItsFields();
    void aLargeBodyIsNotCopiedForSending();
};

namespace
{

constexpr quint32 frameMax = 131072;

QByteArray pattern(qsizetype size)
{
    QByteArray bytes(size, Qt::Uninitialized);
    for (qsizetype i = 0; i < size; ++i)
        bytes[i] = char(i * 7 + i / 251);
    return bytes;
}

struct Subscribed : Script {
    explicit Subscribed(const Engine::Settings &usedSettings = defaultSettings(), const Offer &offer = {})
        : Script(usedSettings)
    {
        open(offer);
        channel = &openChannel();
        consumer = subscribe(*channel, u"tag"_s);
    }
    Engine::ChannelEngine *channel = nullptr;
    std::shared_ptr<Engine::ConsumerEntry> consumer;
};

// The reported properties of a delivery, for comparison.
QStringList reported(const Engine::Delivered &delivered)
{
    const Engine::ReceivedMessage &message = delivered.message;
    return {QString::number(message.deliveryTag),  QString::fromUtf8(message.exchange),
            QString::fromUtf8(message.routingKey), QString::fromLatin1(message.properties.toHex()),
            QString::number(message.body.size()),  QString::fromLatin1(message.body.toHex()),
            QString::number(message.redelivered)};
}

// A stream with methods and contents of all kinds, and the expected result.
QByteArray manyFrames()
{
    const QByteArray properties = Wire::encodeProperties({.flags = Wire::ContentTypeFlag, .contentType = "text/plain"});
    QByteArray bytes = deliverFrames("tag", 1, {.body = ""});
    bytes += deliverFrames("tag", 2, {.body = "b", .properties = properties, .redelivered = true});
    bytes += encodeFrame(Wire::FrameType::Heartbeat, 0, {});
    bytes += Wire::encodeFrame(1, Wire::QueuePurgeOk{.messageCount = 5});
    bytes += Wire::encodeFrame(1, Wire::BasicGetOk{.deliveryTag = 3}) + contentFrames(1, {.body = "got"});
    bytes += Wire::encodeFrame(1, Wire::BasicReturn{.replyCode = 312, .replyText = "NO_ROUTE"}) +
             contentFrames(1, {.body = "back"});
    const QByteArray body = pattern(500);
    bytes += Wire::encodeFrame(1, Wire::BasicDeliver{.consumerTag = "tag", .deliveryTag = 4, .routingKey = "заказы"}) +
             headerFrame(1, 500) + encodeFrame(Wire::FrameType::Body, 1, body.first(200)) +
             encodeFrame(Wire::FrameType::Body, 1, {}) + encodeFrame(Wire::FrameType::Body, 1, body.sliced(200));
    bytes += Wire::encodeFrame(0, Wire::ConnectionBlocked{.reason = "memory"});
    return bytes + Wire::encodeFrame(0, Wire::ConnectionClose{.replyCode = 320, .replyText = "shutdown"});
}

QStringList eventsOf(const std::function<void(Script &)> &feed)
{
    Subscribed s;
    const auto purging = s.channel->topology().purgeQueue(u"q"_s);
    const auto getting = s.channel->get(u"q"_s, false);
    s.write();
    feed(s);
    QStringList events;
    events += reported(s.takeEvent<Engine::Delivered>());
    events += reported(s.takeEvent<Engine::Delivered>());
    events += QString::number(s.takeReply<quint32>(*purging));
    events += QString::fromUtf8(s.takeReply<Engine::GotMessage>(*getting).message.body);
    const auto returned = s.takeEvent<Engine::Returned>();
    events += QString::fromUtf8(returned.message.body) + returned.message.reason.toString();
    events += reported(s.takeEvent<Engine::Delivered>());
    return events + s.takeEvents();
}

} // namespace

void tst_Contents::bodiesOfAllSizesArrive_data()
{
    QTest::addColumn<qsizetype>("size");
    for (const qsizetype size : {0, 1, 4095, 4096, 4097, int(frameMax) - 9, int(frameMax) - 8, int(frameMax) - 7,
                                 2 * (int(frameMax) - 8), 2 * (int(frameMax) - 8) + 1, 1024 * 1024})
        QTest::addRow("%d", int(size)) << size;
}

void tst_Contents::bodiesOfAllSizesArrive()
{
    QFETCH(qsizetype, size);
    Subscribed s;
    const QByteArray body = pattern(size);
    s.deliver("tag", 1, {.body = body}).deliver("tag", 2, {.body = "next"});
    const auto delivered = s.takeEvent<Engine::Delivered>();
    QCOMPARE(delivered.message.body, body);
    QCOMPARE(delivered.consumer, s.consumer.get());
    QCOMPARE(s.takeEvent<Engine::Delivered>().message.body, "next");
    s.expectNoEvent().expectNothingSent();
}

void tst_Contents::aDeliveryHasTheFieldsSentByTheBroker()
{
    Subscribed s;
    const QByteArray properties = Wire::encodeProperties({.flags = Wire::PriorityFlag, .priority = 9});
    s.deliver("tag", 77,
              {.body = "b", .properties = properties, .exchange = "e", .routingKey = "k", .redelivered = true});
    const auto delivered = s.takeEvent<Engine::Delivered>();
    QCOMPARE(delivered.message.exchange, QByteArrayView("e"));
    QCOMPARE(delivered.message.routingKey, QByteArrayView("k"));
    QCOMPARE(delivered.message.properties, properties);
    QCOMPARE(delivered.message.deliveryTag, quint64(77));
    QVERIFY(delivered.message.redelivered);
    s.deliver("tag", 78, {.exchange = "", .routingKey = ""});
    const auto second = s.takeEvent<Engine::Delivered>();
    QVERIFY(second.message.exchange.isEmpty() && second.message.routingKey.isEmpty());
    QVERIFY(!second.message.redelivered);
    QCOMPARE(second.message.properties, QByteArray(2, '\0'));
}

void tst_Contents::framesMayBeSmallerThanTheyHaveToBe()
{
    Subscribed s;
    const QByteArray body = pattern(1000);
    QByteArray bytes = Wire::encodeFrame(1, Wire::BasicDeliver{.consumerTag = "tag", .deliveryTag = 1});
    bytes += headerFrame(1, 1000);
    for (qsizetype offset = 0; offset < 1000; offset += 10)
        bytes +=
            encodeFrame(Wire::FrameType::Body, 1, body.mid(offset, 10)) + encodeFrame(Wire::FrameType::Body, 1, {});
    bytes.chop(Wire::FrameOverhead); // no frame follows a complete content
    s.brokerBytes(bytes.chopped(1)).expectNoEvent().brokerBytes(bytes.last(1));
    QCOMPARE(s.takeEvent<Engine::Delivered>().message.body, body);
}

void tst_Contents::contentsOfSeveralChannelsInterleave()
{
    Subscribed s;
    auto &second = s.openChannel();
    s.subscribe(second, u"tag"_s);
    const QByteArray one = pattern(3000);
    const QByteArray two = one.toBase64();
    const auto method = [](quint16 channel) {
        return Wire::encodeFrame(channel,
                                 Wire::BasicDeliver{.consumerTag = "tag", .deliveryTag = 1, .routingKey = "k"});
    };
    const auto part = [](quint16 channel, const QByteArray &bytes) {
        return encodeFrame(Wire::FrameType::Body, channel, bytes);
    };
    s.brokerBytes(method(1) + method(2) + headerFrame(2, quint64(two.size())) + headerFrame(1, 3000));
    s.brokerBytes(part(1, one.first(1)) + part(2, two.first(100)) + part(1, one.mid(1, 1999)));
    s.broker(Wire::ConnectionBlocked{}).brokerBytes(encodeFrame(Wire::FrameType::Heartbeat, 0, {}));
    s.brokerBytes(part(2, two.sliced(100))).brokerBytes(part(1, one.sliced(2000)));
    s.expectEvent<Engine::BlockedChanged>();
    QCOMPARE(s.takeEvent<Engine::Delivered>().message.body, two);
    QCOMPARE(s.takeEvent<Engine::Delivered>().message.body, one);
    s.expectNoEvent().expectNothingSent();
}

void tst_Contents::aLargeBodyIsReadIntoItsPlace()
{
    Subscribed s;
    const QByteArray body = pattern(1024 * 1024);
    const QByteArray stream = deliverFrames("tag", 1, {.body = body});
    QByteArrayView left = stream;
    const auto read = [&](qsizetype most) {
        const std::span<char> space = s.engine.inputSpace();
        const qsizetype size = std::min({left.size(), qsizetype(space.size()), most});
        std::memcpy(space.data(), left.data(), size_t(size));
        left = left.sliced(size);
        s.engine.inputRead(size, s.now);
        return std::span<char>(space.data(), size_t(size));
    };
    Engine::Event event;
    std::vector<std::span<char>> reads;
    bool isReceived = false;
    while (!isReceived && !left.isEmpty()) {
        reads.push_back(read(stream.size()));
        isReceived = s.engine.next(event);
    }
    QVERIFY(isReceived);
    const QByteArray received = std::get<Engine::Delivered>(event).message.body;
    QCOMPARE(received, body);
    QCOMPARE(received.capacity(), received.size());
    // The input buffer holds only a small part of the body, and growing moves the body only while it is small.
    qsizetype direct = 0;
    qsizetype inPlace = 0;
    for (const std::span<char> part : reads) {
        if (part.size() > 4096)
            direct += qsizetype(part.size());
        if (part.data() >= received.constData() && part.data() < received.constData() + received.size())
            inPlace += qsizetype(part.size());
    }
    QVERIFY2(direct > body.size() * 9 / 10, qPrintable(QString::number(direct)));
    QVERIFY2(inPlace > body.size() / 3, qPrintable(QString::number(inPlace)));
}

void tst_Contents::aDirectReadStopsAtTheEndOfItsFrame()
{
    Subscribed s;
    const QByteArray body = pattern(20000);
    QByteArray start = Wire::encodeFrame(1, Wire::BasicDeliver{.consumerTag = "tag", .deliveryTag = 1});
    start += headerFrame(1, 20000) + encodeFrame(Wire::FrameType::Body, 1, body.first(10000)).first(7 + 100);
    s.brokerBytes(start);
    const std::span<char> space = s.engine.inputSpace();
    QCOMPARE(space.size(), size_t(9900));
    std::memcpy(space.data(), body.constData() + 100, space.size());
    s.engine.inputRead(qsizetype(space.size()), s.now);
    s.expectNoEvent();
    s.brokerBytes(QByteArray(1, char(Wire::FrameEnd)) + encodeFrame(Wire::FrameType::Body, 1, body.sliced(10000)));
    QCOMPARE(s.takeEvent<Engine::Delivered>().message.body, body);
}

void tst_Contents::aChannelMayBeReleasedWhileItsBodyIsRead_data()
{
    QTest::addColumn<bool>("released");
    QTest::newRow("released") << true;
    QTest::newRow("timed out") << false;
}

void tst_Contents::aChannelMayBeReleasedWhileItsBodyIsRead()
{
    QFETCH(bool, released);
    Subscribed s;
    const QByteArray stream = deliverFrames("tag", 1, {.body = pattern(300'000)});
    if (!released)
        QVERIFY(s.channel->topology().purgeQueue(u"q"_s));
    s.brokerBytes(stream.first(50'000)).write();
    if (released)
        s.channel->release();
    else
        s.advance(std::chrono::seconds(30));
    s.takeEvents();
    s.takeSent();
    s.brokerBytes(stream.sliced(50'000)).expectNoEvent().broker(Wire::ChannelCloseOk{}).expectNoEvent();
    s.openChannel(1); // the frames are still in sync
}

void tst_Contents::inputMayBeCutAnywhere()
{
    const QByteArray stream = manyFrames();
    const QStringList whole = eventsOf([&](Script &s) { s.brokerBytes(stream); });
    QVERIFY(whole.last().startsWith(u"ConnectionClosed"_s));
    for (qsizetype cut = 1; cut < stream.size(); ++cut) {
        const QStringList events =
            eventsOf([&](Script &s) { s.brokerBytes(stream.first(cut)).brokerBytes(stream.sliced(cut)); });
        if (events != whole) {
            qWarning() << "cut at" << cut;
            QCOMPARE(events, whole);
        }
    }
}

void tst_Contents::inputMayComeInPieces_data()
{
    QTest::addColumn<qsizetype>("size");
    for (const int size : {1, 2, 3, 5, 7, 8, 13, 64})
        QTest::addRow("%d", size) << qsizetype(size);
}

void tst_Contents::inputMayComeInPieces()
{
    QFETCH(qsizetype, size);
    const QByteArray stream = manyFrames();
    const QStringList whole = eventsOf([&](Script &s) { s.brokerBytes(stream); });
    const QStringList events = eventsOf([&](Script &s) {
        s.pieceSize = size;
        s.brokerBytes(stream);
    });
    QCOMPARE(events, whole);
}

void tst_Contents::equalPropertiesAreShared()
{
    Subscribed s;
    const QByteArray properties = Wire::encodeProperties({.flags = Wire::AppIdFlag, .appId = "till"});
    const QByteArray others = Wire::encodeProperties({.flags = Wire::AppIdFlag, .appId = "bill"});
    s.deliver("tag", 1, {.properties = properties}).deliver("tag", 2, {.properties = properties});
    s.deliver("tag", 3, {.properties = others});
    const QByteArray first = s.takeEvent<Engine::Delivered>().message.properties;
    const QByteArray second = s.takeEvent<Engine::Delivered>().message.properties;
    const QByteArray third = s.takeEvent<Engine::Delivered>().message.properties;
    QCOMPARE(first, properties);
    QVERIFY(second.constData() == first.constData());
    QCOMPARE(third, others);
}

void tst_Contents::largeHeadersAreAccepted()
{
    Subscribed s(Script::defaultSettings(), {.frameMax = 4096});
    const FieldTable table{{u"x-death"_s, QString(1024 * 1024 - 64, u'd')}};
    const QByteArray properties =
        Wire::encodeProperties({.flags = Wire::HeadersFlag, .headers = {*Wire::encodeTable(table, u"")}});
    s.deliver("tag", 1, {.properties = properties});
    QCOMPARE(s.takeEvent<Engine::Delivered>().message.properties, properties);
}

void tst_Contents::aMessageOverTheLimitEndsItsConsumer_data()
{
    QTest::addColumn<AckMode>("ackMode");
    QTest::addColumn<bool>("isHeaderTooLarge"); // otherwise the body is too large
    for (const AckMode ackMode : {AckMode::Manual, AckMode::NoAck}) {
        const char *name = ackMode == AckMode::Manual ? "acked" : "no-ack";
        QTest::addRow("body, %s", name) << ackMode << false;
        QTest::addRow("header, %s", name) << ackMode << true;
    }
}

void tst_Contents::aMessageOverTheLimitEndsItsConsumer()
{
    QFETCH(AckMode, ackMode);
    QFETCH(bool, isHeaderTooLarge);
    Script s;
    s.settings.maximumMessageSize = 1000;
    s.open();
    auto &channel = s.openChannel();
    const auto consumer = s.subscribe(channel, u"tag"_s, {.ackMode = ackMode});
    const auto other = s.subscribe(channel, u"other"_s);
    const auto pending = *channel.topology().purgeQueue(u"q"_s);
    s.expectSent<Wire::QueuePurge>();
    s.deliver("tag", 1, {.body = "before"}).expectEvent<Engine::Delivered>();

    const QByteArray body = pattern(isHeaderTooLarge ? 1000 : 1001);
    const QByteArray header = headerFrame(1, quint64(body.size()),
                                          isHeaderTooLarge ? QByteArray(1024 * 1024 - 11, '\0') : QByteArray(2, '\0'));
    const QByteArray method =
        Wire::encodeFrame(1, Wire::BasicDeliver{.consumerTag = "tag", .deliveryTag = 2, .routingKey = "key"});
    const qsizetype beginning = isHeaderTooLarge ? 19 : header.size(); // up to the body size is enough
    s.brokerBytes(method + header.first(beginning));
    Error reason;
    s.expectSent(Wire::BasicCancel{.consumerTag = "tag"}).expectNothingSent();
    s.expectEvent<Engine::ConsumerCancelled>([&](const Engine::ConsumerCancelled &cancelled) {
        QCOMPARE(cancelled.consumer, consumer);
        reason = cancelled.reason;
    });
    QCOMPARE(reason.kind(), ErrorKind::MessageTooLarge);
    QCOMPARE(reason.replyCode(), quint16(311));
    const QString size = isHeaderTooLarge ? u"1048577"_s : u"1001"_s;
    for (const QString &detail : {size, u"\"key\""_s, isHeaderTooLarge ? u"1048576"_s : u"1000"_s})
        QVERIFY2(reason.text().contains(detail), qPrintable(reason.text()));

    // The rest of the body is skipped, and the delivery is returned when it is complete.
    s.brokerBytes(header.sliced(beginning) + encodeFrame(Wire::FrameType::Body, 1, body.first(500)))
        .expectNothingSent();
    s.brokerBytes(encodeFrame(Wire::FrameType::Body, 1, body.sliced(500))).expectNoEvent();
    if (ackMode != AckMode::NoAck)
        s.expectSent(Wire::BasicNack{.deliveryTag = 2, .requeue = true});
    s.expectNothingSent();
    QCOMPARE(consumer->lost, ackMode == AckMode::NoAck ? 1 : 0);
    // The channel and its other consumer continue, and earlier deliveries can still be settled.
    s.deliver("other", 3, {.body = "small"});
    s.expectEvent<Engine::Delivered>([&](const Engine::Delivered &delivered) {
        QCOMPARE(delivered.consumer, other.get());
        QCOMPARE(delivered.message.body, "small");
    });
    s.broker(Wire::QueuePurgeOk{}).expectReply(pending);
    s.broker(Wire::BasicCancelOk{.consumerTag = "tag"});
    QCOMPARE(s.takeEvents().size(), 1); // the reply to basic.cancel
    if (ackMode != AckMode::NoAck) {
        QVERIFY(channel.deliveries().ack(1).count);
        s.expectSent(Wire::BasicAck{.deliveryTag = 1});
    }
    s.expectNothingSent();
    QVERIFY(s.engine.isOpen());
}

void tst_Contents::aHeaderAboveTheLimitMayHaveNoBody()
{
    Subscribed s;
    s.brokerBytes(Wire::encodeFrame(1, Wire::BasicDeliver{.consumerTag = "tag", .deliveryTag = 1}) +
                  headerFrame(1, 0, QByteArray(2 * 1024 * 1024, '\0')));
    s.expectSent<Wire::BasicCancel>()
        .expectSent(Wire::BasicNack{.deliveryTag = 1, .requeue = true})
        .expectNothingSent();
    s.expectEvent<Engine::ConsumerCancelled>().expectNoEvent();
    s.broker(Wire::BasicCancelOk{.consumerTag = "tag"}).takeEvents();
    s.subscribe(*s.channel, u"tag"_s); // the frames are still in sync
}

void tst_Contents::aMessageAboveTheLimitSparesAConsumerBeingCancelled()
{
    Script s;
    s.settings.maximumMessageSize = 10;
    s.open();
    auto &channel = s.openChannel();
    s.subscribe(channel, u"a"_s);
    const auto leaving = s.subscribe(channel, u"c"_s);
    const auto leavingCall = channel.subscriptions().cancel(*leaving);
    s.expectSent<Wire::BasicCancel>();
    s.deliver("c", 1, {.body = pattern(11)}).expectSent(Wire::BasicNack{.deliveryTag = 1, .requeue = true});
    s.expectNoEvent().expectNothingSent();
    s.broker(Wire::BasicCancelOk{.consumerTag = "c"});
    QCOMPARE(s.takeReply<Engine::CancelResult>(leavingCall).returned, 1);
    s.deliver("a", 2, {.body = "small"}).expectEvent<Engine::Delivered>();
}

void tst_Contents::aMessageOverTheLimitIsNotDrained()
{
    Script s;
    s.settings.maximumMessageSize = 10;
    s.open();
    auto &channel = s.openChannel();
    const auto leaving = s.subscribe(channel, u"tag"_s);
    channel.subscriptions().drain(*leaving);
    s.expectSent<Wire::BasicCancel>();
    s.deliver("tag", 1, {.body = pattern(11)})
        .expectSent(Wire::BasicNack{.deliveryTag = 1, .requeue = true})
        .expectNoEvent();
    s.deliver("tag", 2, {.body = "small"}).expectEvent<Engine::Delivered>().expectNothingSent();
}

// Held publishes may wait for a long time, and until then the broker would deliver the message again and again.
void tst_Contents::aConsumerIsCancelledBeforeHeldPublishes()
{
    Script s;
    s.settings.maximumMessageSize = 10;
    s.open();
    auto &channel = s.openChannel();
    s.subscribe(channel, u"tag"_s);
    s.broker(Wire::ConnectionBlocked{.reason = "low on memory"}).expectEvent<Engine::BlockedChanged>();
    QVERIFY(channel.publish(u""_s, u"q"_s, QByteArray(2, '\0'), "held", false));
    s.expectNothingSent();
    s.deliver("tag", 1, {.body = pattern(11)});
    s.expectSent<Wire::BasicCancel>()
        .expectSent(Wire::BasicNack{.deliveryTag = 1, .requeue = true})
        .expectNothingSent();
}

void tst_Contents::aGetOverTheLimitEndsWithAnError_data()
{
    QTest::addColumn<bool>("noAck");
    QTest::newRow("acked") << false;
    QTest::newRow("no-ack") << true;
}

void tst_Contents::aGetOverTheLimitEndsWithAnError()
{
    QFETCH(bool, noAck);
    Script s;
    s.settings.maximumMessageSize = 10;
    s.open();
    auto &channel = s.openChannel();
    const auto getting = *channel.get(u"q"_s, noAck);
    s.expectSent<Wire::BasicGet>().getOk(1, {.body = pattern(11)});
    if (!noAck)
        s.expectSent(Wire::BasicNack{.deliveryTag = 1, .requeue = true});
    s.expectNothingSent().expectReply(getting, ErrorKind::MessageTooLarge).expectNoEvent();
    const auto again = *channel.get(u"q"_s, noAck);
    s.expectSent<Wire::BasicGet>().getOk(2, {.body = pattern(10)});
    QCOMPARE(s.takeReply<Engine::GotMessage>(again).message.body, pattern(10));
}

void tst_Contents::aReturnedMessageMayBeLargerThanADelivery()
{
    Engine::Settings settings = Script::defaultSettings();
    settings.maximumMessageSize = 10;
    settings.bufferLimit = 1000;
    Subscribed s(settings);
    const auto sendBack = [&](qsizetype size) {
        s.broker(Wire::BasicReturn{.replyCode = 312, .replyText = "NO_ROUTE", .exchange = "e", .routingKey = "k"});
        s.brokerBytes(contentFrames(1, {.body = pattern(size)}));
    };
    sendBack(1000);
    QCOMPARE(s.takeEvent<Engine::Returned>().message.body, pattern(1000));
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"returned message was dropped.*1001 bytes"_s));
    sendBack(1001); // the client cannot have published this message
    s.expectNoEvent();
    s.deliver("tag", 1, {.body = "small"}).expectEvent<Engine::Delivered>();
}

void tst_Contents::aMessageOverTheLimitOnAClosingChannelIsSkipped()
{
    Script s;
    s.settings.maximumMessageSize = 10;
    s.open();
    auto &channel = s.openChannel();
    s.subscribe(channel, u"tag"_s);
    const auto closing = *channel.close();
    s.expectSent<Wire::BasicCancel>().expectSent<Wire::ChannelClose>();
    s.deliver("tag", 1, {.body = pattern(11)}).deliver("tag", 2, {.body = pattern(11)}).expectNothingSent();
    s.broker(Wire::ChannelCloseOk{});
    const QStringList events = s.takeEvents();
    QVERIFY2(events.contains(u"ReplyArrived %1"_s.arg(closing)), qPrintable(events.join(u", "_s)));
    QCOMPARE(events.last(), u"ChannelClosed 1"_s);
    s.openChannel(1);
}

void tst_Contents::aMessageOfTheLimitArrives()
{
    Script s;
    s.settings.maximumMessageSize = 1000;
    s.open();
    s.subscribe(s.openChannel(), u"tag"_s);
    s.deliver("tag", 1, {.body = pattern(1000)}).expectEvent<Engine::Delivered>().expectNothingSent();
}

void tst_Contents::undecodableHeadersAreWarnedOfOnceAMinute()
{
    const auto warning = [](const char *what) {
        return QRegularExpression(
            u"channel 1: the headers of a message cannot be decoded: %1"_s.arg(QLatin1StringView(what)));
    };
    const auto properties = [](const QByteArray &headers) {
        return Wire::encodeProperties({.flags = Wire::HeadersFlag, .headers = {headers}});
    };
    Subscribed s;
    quint64 tag = 0;
    const auto deliver = [&](const QByteArray &headers) {
        s.deliver("tag", ++tag, {.body = "body", .properties = properties(headers), .routingKey = "k\xff\n"});
        const auto delivered = s.takeEvent<Engine::Delivered>();
        QCOMPARE(delivered.message.body, "body");
        QCOMPARE(delivered.message.properties, properties(headers));
    };
    QTest::failOnWarning(QRegularExpression(u"."_s));
    QTest::ignoreMessage(QtWarningMsg, warning("unknown type in a field table \\(exchange \"exchange\", routing key "
                                               "\"k.+\\\\n\", such headers since the last warning: 1\\)"));
    deliver("\x01kZ");
    for (int i = 0; i < 5; ++i) {
        deliver("\x01kZ");
        deliver("\x01kI");
    }
    QCOMPARE(s.repeatedCount(), 1);
    s.advance(std::chrono::seconds(59));
    deliver("\x01kI");
    deliver("\x01kZ");
    s.advance(std::chrono::seconds(2));
    QTest::ignoreMessage(QtWarningMsg, warning("truncated field table .*: 11\\)"));
    deliver("\x01kI");
}

void tst_Contents::returnedMessagesArrive()
{
    Subscribed s;
    s.broker(Wire::BasicReturn{.replyCode = 312, .replyText = "NO_ROUTE", .exchange = "e", .routingKey = "k"});
    s.brokerBytes(contentFrames(1, {.body = "back"}));
    s.expectEvent<Engine::Returned>([&](const Engine::Returned &returned) {
        QCOMPARE(returned.channel.get(), s.channel);
        QCOMPARE(returned.message.body, "back");
        QCOMPARE(returned.message.exchange, "e");
        QCOMPARE(returned.message.routingKey, "k");
        QCOMPARE(returned.sequence, quint64(0));
        QCOMPARE(returned.message.reason,
                 Error(ErrorKind::Returned, u"NO_ROUTE (exchange \"e\", routing key \"k\")"_s, 312, u"basic.return"_s));
    });
    QVERIFY(!s.channel->deliveries().isUnsettled(0));
}

void tst_Contents::publishedContentsAreWhole_data()
{
    QTest::addColumn<qsizetype>("size");
    QTest::addColumn<quint32>("limit");
    for (const quint32 limit : {quint32(4096), frameMax, quint32(0)}) {
        const int payload = int(limit ? limit : frameMax) - 8;
        for (const int size :
             {0, 1, payload - 1, payload, payload + 1, 32 * 1024 - 1, 32 * 1024, 3 * payload, 1024 * 1024})
            QTest::addRow("%d bytes, frame-max %u", size, limit) << qsizetype(size) << limit;
    }
}

void tst_Contents::namesMayBeRawData()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const QByteArray properties(2, '\0');
    QChar buffer[] = {u'a', u'b'};
    for (const QChar last : {u'1', u'2'}) {
        buffer[1] = last;
        const QString name = QString::fromRawData(buffer, 2);
        QVERIFY(channel.publish(name, name, properties, "b", false));
        s.expectSent<Wire::BasicPublish>([&](const Wire::BasicPublish &publish) {
            QCOMPARE(QString::fromUtf8(publish.exchange), name);
            QCOMPARE(QString::fromUtf8(publish.routingKey), name);
        });
        s.takeSent();
    }
}

void tst_Contents::namesMayChangeInPlace()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const QByteArray properties(2, '\0');
    QString exchange(2, u'e');
    QString key(2, u'k');
    QChar *const end = &key[1]; // writing through it does not detach the string
    for (const QChar last : {u'1', u'2', u'2'}) {
        exchange[1] = last;
        *end = last;
        QVERIFY(channel.publish(exchange, key, properties, "b", false));
        s.expectSent<Wire::BasicPublish>([&](const Wire::BasicPublish &publish) {
            QCOMPARE(publish.exchange, QByteArrayView(exchange.toUtf8()));
            QCOMPARE(publish.routingKey, QByteArrayView(key.toUtf8()));
        });
        s.takeSent();
    }
}

void tst_Contents::aNewAccessTicketIsInTheNextPublish()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    const auto publishedTicket = [&] {
        quint16 ticket = 0;
        channel.publish(u"e"_s, u"k"_s, QByteArray(2, '\0'), "b", false);
        s.expectSent<Wire::BasicPublish>([&](const Wire::BasicPublish &publish) { ticket = publish.ticket; });
        s.takeSent();
        return ticket;
    };
    QCOMPARE(publishedTicket(), quint16(0));
    QVERIFY(channel.requestAccess(u"/data"_s, {}));
    s.expectSent<Wire::AccessRequest>();
    QCOMPARE(publishedTicket(), quint16(0)); // the ticket has not been granted yet
    s.broker(Wire::AccessRequestOk{.ticket = 7});
    QCOMPARE(publishedTicket(), quint16(7));
}

// The frames of the previous message are reused where they are the same.
void tst_Contents::messagePublishedAfterAnotherKeepsItsFields()
{
    struct Published {
        QString exchange;
        QString routingKey;
        QByteArray properties;
        QByteArray body;
        bool mandatory;
    };
    const QByteArray none(2, '\0');
    const QByteArray priority = Wire::encodeProperties({.flags = Wire::PriorityFlag, .priority = 1});
    const QByteArray other = Wire::encodeProperties({.flags = Wire::PriorityFlag, .priority = 2});
    const Published all[] = {
        {u"e"_s, u"k"_s, none, "body", false},    {u"e"_s, u"k"_s, none, "longer body", false},
        {u"e"_s, u"k"_s, none, "", false},        {u"f"_s, u"k"_s, none, "body", false},
        {u"f"_s, u"l"_s, none, "body", false},    {u""_s, u"l"_s, none, "body", false},
        {u""_s, u"l"_s, priority, "body", false}, {u""_s, u"l"_s, other, "body", false},
        {u""_s, u"l"_s, other, "body", true},     {u""_s, u"l"_s, other, "body", true},
    };
    Script s;
    s.open();
    auto &channel = s.openChannel();
    for (const Published &published : all) {
        QVERIFY(channel.publish(published.exchange, published.routingKey, published.properties, published.body,
                                published.mandatory));
        s.write();
        const auto sent = s.takeSent();
        QCOMPARE(sent.size(), size_t(published.body.isEmpty() ? 2 : 3));
        QCOMPARE(sent[0].payload,
                 Wire::encodePayload(Wire::BasicPublish{.exchange = QByteArrayView(published.exchange.toUtf8()),
                                                        .routingKey = QByteArrayView(published.routingKey.toUtf8()),
                                                        .mandatory = published.mandatory}));
        Wire::ContentHeader header;
        QVERIFY(Wire::decodeContentHeader(sent[1].payload, header));
        QCOMPARE(header.bodySize, quint64(published.body.size()));
        QCOMPARE(header.properties, QByteArrayView(published.properties));
        if (!published.body.isEmpty())
            QCOMPARE(sent[2].payload, published.body);
    }
}

void tst_Contents::publishedContentsAreWhole()
{
    QFETCH(qsizetype, size);
    QFETCH(quint32, limit);
    Script s;
    s.settings.frameMax = 0;
    s.open({.frameMax = limit});
    auto &channel = s.openChannel();
    const QByteArray body = pattern(size);
    const QByteArray properties = Wire::encodeProperties({.flags = Wire::TypeFlag, .type = "t"});
    QCOMPARE(*channel.publish(u"e"_s, u"k"_s, properties, "before", true), quint64(1));
    s.write();
    s.takeSent();
    QCOMPARE(*channel.publish(u"e"_s, u"k"_s, properties, body, true), quint64(2));
    QVERIFY(s.engine.flow().queuedBytes() >= size);
    s.write();
    QCOMPARE(s.engine.flow().queuedBytes(), 0);
    auto sent = s.takeSent();
    QCOMPARE(sent.front().payload,
             Wire::encodePayload(Wire::BasicPublish{.exchange = "e", .routingKey = "k", .mandatory = true}));
    Wire::ContentHeader header;
    QVERIFY(Wire::decodeContentHeader(sent[1].payload, header));
    QCOMPARE(header.bodySize, quint64(size));
    QCOMPARE(header.properties, QByteArrayView(properties));
    const qsizetype largest = qsizetype(limit ? limit : frameMax) - 8;
    QCOMPARE(qsizetype(sent.size()), 2 + (size + largest - 1) / largest); // as few frames as possible are sent
    QByteArray received;
    for (size_t i = 2; i < sent.size(); ++i)
        received += sent[i].payload;
    QCOMPARE(received, body);
}

void tst_Contents::aLargeBodyIsNotCopiedForSending()
{
    Script s;
    s.open();
    const QByteArray body = pattern(100'000);
    QVERIFY(s.openChannel().publish({}, u"k"_s, QByteArray(2, '\0'), body, false));
    s.engine.prepareOutput(s.now);
    bool shared = false;
    for (QByteArrayView bytes = s.engine.output(); !bytes.isEmpty(); bytes = s.engine.output()) {
        shared = shared || bytes.data() == body.constData();
        s.engine.written(bytes.size(), s.now);
    }
    QVERIFY(shared);
}

QTEST_GUILESS_MAIN(tst_Contents)
#include "tst_contents.moc"
