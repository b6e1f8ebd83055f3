// SPDX-License-Identifier: MIT
#include "engine/subscribed.h"

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
    void undecodableHeadersAreWarnedOfOnceAMinute();
    void returnedMessagesArrive();
};

namespace
{

constexpr quint32 frameMax = 131072;

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

QTEST_GUILESS_MAIN(tst_Contents)
#include "tst_contents.moc"
