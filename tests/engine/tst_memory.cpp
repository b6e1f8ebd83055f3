// SPDX-License-Identifier: MIT
#include "engine/buffers/deliverytemplate_p.h"
#include "engine/topologystory.h"
#include "support/heapmeter.h"
#include "support/script.h"

#include <QtCore/qregularexpression.h>
#include <QtTest/qtest.h>

#include <algorithm>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

class tst_Memory : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void theMeterCountsAllocations();
    void memoryFollowsTheBytesThatCameIn_data();
    void memoryFollowsTheBytesThatCameIn();
    void aTableOfTheServerIsNotDecodedUnasked_data();
    void aTableOfTheServerIsNotDecodedUnasked();
    void skippedContentsAreNotBuffered_data();
    void skippedContentsAreNotBuffered();
    void undecodableHeadersUseNoMoreMemoryThanTheirBytes_data();
    void undecodableHeadersUseNoMoreMemoryThanTheirBytes();
    void idleMemoryIsReleased();
    void aFloodThatIsConsumedKeepsNoMemory();
    void publishedBodiesAreReleasedWhenWritten();
    void confirmedMessagesAreForgotten();
    void longMethodsOfDeliveriesAreNotKept();
    void channelsAreSmall();
    void queuesThatComeAndGoAreForgotten();
    void theRecordGrowsWithItsEntitiesOnly();
};

namespace
{

constexpr qint64 MiB = 1024 * 1024;
constexpr quint16 channels = 1000;

QByteArray deliverMethod(quint16 channel, quint64 tag)
{
    return Wire::encodeFrame(channel, Wire::BasicDeliver{.consumerTag = "tag", .deliveryTag = tag});
}

// One table of `size` bytes whose decoded form is as large as possible.
QByteArray arrayOf(const QByteArray &value, qsizetype size)
{
    const QByteArray values = value.repeated(size / value.size());
    QByteArray length(4, '\0');
    qToBigEndian(quint32(values.size()), length.data());
    return "\x01kA" + length + values;
}

// Feeds without keeping events or input.
class Victim
{
public:
    Victim()
    {
        s.settings.replyTimeout = Engine::Milliseconds(0);
        s.open({.channelMax = channels});
        for (quint16 number = 1; number <= channels; ++number)
            s.subscribe(s.openChannel(), u"tag"_s, {.ackMode = AckMode::NoAck});
    }
    void feed(QByteArrayView bytes)
    {
        fed += bytes.size();
        while (!bytes.isEmpty() && s.engine.isOpen()) {
            bytes = bytes.sliced(feedEngine(s.engine, bytes, s.now));
            for (Engine::Event event; s.engine.next(event);)
                events += 1;
        }
    }
    Script s;
    qint64 fed = 0;
    int events = 0;
};

} // namespace

void tst_Memory::theMeterCountsAllocations()
{
    const HeapMeter meter;
    {
        const QByteArray large(10 * MiB, 'x');
        QVERIFY(meter.live() >= large.size());
    }
    QVERIFY(meter.live() < MiB);
    QVERIFY(meter.peak() >= 10 * MiB);
    QVERIFY(meter.peak() < 11 * MiB);
}

void tst_Memory::memoryFollowsTheBytesThatCameIn_data()
{
    QTest::addColumn<int>("attack");
    QTest::newRow("headers that claim much, and a byte of each body") << 0;
    QTest::newRow("body frames that claim much") << 1;
    QTest::newRow("4096 bytes of each body") << 2;
    QTest::newRow("the largest body frames, complete") << 3;
    QTest::newRow("one growing body") << 4;
    QTest::newRow("method frames that claim much") << 5;
    QTest::newRow("the largest header frame") << 6;
    QTest::newRow("long keys") << 7;
}

void tst_Memory::memoryFollowsTheBytesThatCameIn()
{
    QFETCH(int, attack);
    Victim victim;
    const auto begin = [&](quint16 channel, quint64 size) {
        return deliverMethod(channel, 1) + headerFrame(channel, size);
    };
    const quint64 claimed = 100 * MiB;
    const QByteArray largeHeader =
        headerFrame(1, 1, Wire::encodeProperties({.flags = Wire::HeadersFlag, .headers = {arrayOf("V", 1'000'000)}}));
    const HeapMeter meter;
    const auto check = [&] {
        QVERIFY2(meter.peak() <= 4 * victim.fed + MiB,
                 qPrintable(u"%1 bytes of heap for %2 bytes"_s.arg(meter.peak()).arg(victim.fed)));
    };
    const auto last = quint16(attack == 3 ? 100 : attack == 6 ? 1 : channels);
    for (quint16 channel = 1; channel <= last; ++channel) {
        switch (attack) {
        case 0:
            victim.feed(begin(channel, claimed) + encodeFrame(Wire::FrameType::Body, channel, "x"));
            break;
        case 1:
            victim.feed(begin(channel, claimed));
            if (channel == channels)
                victim.feed(frameHeader(int(Wire::FrameType::Body), 1, 131064) + QByteArray(100, 'x'));
            break;
        case 2:
            // The body arrives in pieces, so that it is read directly.
            victim.feed(begin(channel, claimed) + frameHeader(int(Wire::FrameType::Body), channel, 4200));
            victim.feed(QByteArray(4200, 'x'));
            victim.feed(QByteArray(1, char(Wire::FrameEnd)));
            break;
        case 3:
            victim.feed(begin(channel, claimed) + frameHeader(int(Wire::FrameType::Body), channel, 131064));
            victim.feed(QByteArray(131064, 'x'));
            victim.feed(QByteArray(1, char(Wire::FrameEnd)));
            break;
        case 4:
            victim.feed(channel == 1 ? begin(1, claimed)
                                     : encodeFrame(Wire::FrameType::Body, 1, QByteArray(20'000, 'x')));
            break;
        case 5:
            if (channel == 1)
                victim.feed(frameHeader(int(Wire::FrameType::Method), 0, 1024 * 1024));
            victim.feed(QByteArray(100, 'x'));
            break;
        case 6:
            victim.feed(deliverMethod(channel, 1));
            victim.feed(largeHeader);
            break;
        case 7:
            victim.feed(Wire::encodeFrame(channel, Wire::BasicDeliver{.consumerTag = "tag",
                                                                      .deliveryTag = 1,
                                                                      .exchange = QByteArray(255, 'e'),
                                                                      .routingKey = QByteArray(255, 'k')}));
            break;
        }
        check();
        if (QTest::currentTestFailed())
            return;
    }
    QVERIFY(victim.s.engine.isOpen());
    QCOMPARE(victim.events, 0);
}

void tst_Memory::aTableOfTheServerIsNotDecodedUnasked_data()
{
    QTest::addColumn<QByteArray>("value");
    QTest::newRow("void") << QByteArray("V");
    QTest::newRow("empty string") << QByteArray("S\0\0\0\0", 5);
    QTest::newRow("empty table") << QByteArray("F\0\0\0\0", 5);
    QTest::newRow("octet") << QByteArray("B\0", 2);
}

void tst_Memory::aTableOfTheServerIsNotDecodedUnasked()
{
    QFETCH(QByteArray, value);
    Script s;
    s.start();
    const QByteArray table = arrayOf(value, 128 * 1024 - 100);
    const QByteArray bytes = Wire::encodeFrame(
        0, Wire::ConnectionStart{.versionMinor = 9, .serverProperties = {table}, .mechanisms = "PLAIN"});
    const HeapMeter meter;
    s.brokerBytes(bytes);
    QCOMPARE(s.engine.handshake().step(), Engine::Handshake::Step::AwaitsTune);
    QVERIFY2(meter.peak() <= 4 * bytes.size() + MiB, qPrintable(QString::number(meter.peak())));
    s.expectSent<Wire::ConnectionStartOk>();
    QCOMPARE(s.engine.handshake().serverProperties().value(u"k"_s).toList().size(), (table.size() - 7) / value.size());

    // A list of mechanisms that is split into as many pieces as possible.
    Script t;
    t.start();
    const QByteArray mechanisms(100'000, ' ');
    const HeapMeter mechanismMeter;
    t.brokerStart({}, mechanisms);
    QVERIFY(mechanismMeter.peak() <= 4 * mechanisms.size() + MiB);
    QCOMPARE(t.takeConnectionClosed().kind(), ErrorKind::Authentication);
}

void tst_Memory::undecodableHeadersUseNoMoreMemoryThanTheirBytes_data()
{
    QTest::addColumn<QByteArray>("value");
    QTest::newRow("deep arrays") << QByteArray("A");
    QTest::newRow("deep tables") << QByteArray("F");
    QTest::newRow("unknown type") << QByteArray("Z");
}

void tst_Memory::undecodableHeadersUseNoMoreMemoryThanTheirBytes()
{
    QFETCH(QByteArray, value);
    QByteArray table("V");
    if (value == "Z") {
        table = arrayOf("V", 900'000) + "\x01kZ";
    } else {
        // Built from the inside out, since each length covers the bytes that follow.
        const qsizetype levels = 1'000'000 / 7;
        QByteArray reversed("V");
        for (qsizetype i = 0; i < levels; ++i) {
            QByteArray length(4, '\0');
            qToBigEndian(quint32(reversed.size()), length.data());
            std::reverse(length.begin(), length.end());
            reversed += length + value + (value == "F" || i + 1 == levels ? "k\x01" : "");
        }
        std::reverse(reversed.begin(), reversed.end());
        table = reversed;
    }
    Script s;
    s.open();
    s.subscribe(s.openChannel(), u"tag"_s);
    const Content content{.properties = Wire::encodeProperties({.flags = Wire::HeadersFlag, .headers = {table}})};
    const QByteArray stream = deliverFrames("tag", 1, content);
    QTest::ignoreMessage(QtWarningMsg, QRegularExpression(u"cannot be decoded"_s));
    const HeapMeter meter;
    s.brokerBytes(stream);
    QVERIFY2(meter.peak() <= 4 * stream.size() + MiB, qPrintable(QString::number(meter.peak())));
    QCOMPARE(s.takeEvent<Engine::Delivered>().message.properties, content.properties);
}

void tst_Memory::skippedContentsAreNotBuffered_data()
{
    QTest::addColumn<QByteArray>("stream");
    QTest::newRow("body") << deliverFrames("tag", 1, {.body = QByteArray(20 * MiB, 'x')});
    QTest::newRow("header") << deliverFrames("tag", 1, {.body = "x", .properties = QByteArray(20 * MiB, '\0')});
}

void tst_Memory::skippedContentsAreNotBuffered()
{
    QFETCH(QByteArray, stream);
    Script s;
    s.settings.maximumMessageSize = 1000;
    s.open();
    s.subscribe(s.openChannel(), u"tag"_s);
    const HeapMeter meter;
    s.brokerBytes(stream);
    QVERIFY2(meter.peak() < MiB, qPrintable(QString::number(meter.peak())));
    s.expectSent<Wire::BasicCancel>().expectSent<Wire::BasicNack>();
}

void tst_Memory::idleMemoryIsReleased()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    s.subscribe(channel, u"tag"_s, {.ackMode = AckMode::NoAck});
    s.engine.releaseIdleMemory();
    const HeapMeter meter;
    for (quint64 tag = 1; tag <= 10; ++tag) {
        s.deliver("tag", tag, {.body = QByteArray(300'000, 'x')}).expectEvent<Engine::Delivered>();
        for (int i = 0; i < 20; ++i)
            QVERIFY(channel.publish({}, u"k"_s, QByteArray(2, '\0'), QByteArray(20'000, 'y'), false));
        s.takeSent();
    }
    s.takeEvents();
    QVERIFY2(meter.peak() > 300'000, qPrintable(QString::number(meter.peak())));
    s.engine.releaseIdleMemory();
    QVERIFY2(meter.live() < 16 * 1024, qPrintable(QString::number(meter.live())));
    s.deliver("tag", 11).expectEvent<Engine::Delivered>();
    QVERIFY(channel.publish({}, u"k"_s, QByteArray(2, '\0'), "z", false));
    s.expectPublished("z", "k");
}

void tst_Memory::aFloodThatIsConsumedKeepsNoMemory()
{
    Victim victim;
    QByteArray burst;
    quint64 tag = 0;
    const HeapMeter meter;
    for (int i = 0; i < 100; ++i) {
        burst.clear();
        for (int j = 0; j < 500; ++j)
            burst += deliverFrames("tag", ++tag, {.body = "sixteen bytes..."});
        victim.feed(burst);
    }
    QCOMPARE(victim.events, 50'000);
    burst = QByteArray();
    QVERIFY2(meter.live() < MiB / 4, qPrintable(QString::number(meter.live()))); // the input buffer
}

void tst_Memory::publishedBodiesAreReleasedWhenWritten()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    s.broker(Wire::ConnectionBlocked{}).takeEvents();
    const HeapMeter meter;
    for (int i = 0; i < 30; ++i)
        QVERIFY(channel.publish({}, u"k"_s, QByteArray(2, '\0'), QByteArray(MiB, 'x'), false));
    QVERIFY(meter.live() >= 30 * MiB);
    QVERIFY2(meter.peak() < 31 * MiB, "bodies that wait are shared with the application");
    s.broker(Wire::ConnectionUnblocked{});
    QVERIFY2(meter.peak() < 31 * MiB, "bodies that are queued are shared with the application");
    while (s.engine.hasOutput())
        s.engine.written(s.engine.output().size(), s.now);
    s.takeEvents();
    QVERIFY2(meter.live() < MiB / 4, qPrintable(QString::number(meter.live())));
    QCOMPARE(s.engine.flow().queuedBytes(), 0);
}

// Mandatory messages are kept until they are confirmed, so that returns can be matched to them.
void tst_Memory::confirmedMessagesAreForgotten()
{
    Script s;
    s.open();
    auto &channel = s.openChannel();
    QVERIFY(channel.confirmSelect());
    s.takeSent();
    s.broker(Wire::ConfirmSelectOk{}).takeEvents();
    const HeapMeter meter;
    for (quint64 tag = 1; tag <= 1000; ++tag) {
        QVERIFY(channel.publish({}, u"k"_s, QByteArray(2, '\0'), QByteArray(10'000, 'x'), true));
        s.takeSent();
        s.broker(Wire::BasicAck{.deliveryTag = tag}).takeEvents();
    }
    QVERIFY2(meter.live() < MiB / 4, qPrintable(QString::number(meter.live())));
}

void tst_Memory::longMethodsOfDeliveriesAreNotKept()
{
    const QByteArray frame(MiB, '\0');
    Engine::DeliveryTemplate deliveries;
    const HeapMeter meter;
    deliveries.method(frame);
    QVERIFY(meter.live() < 16 * 1024);
}

void tst_Memory::channelsAreSmall()
{
    Script s;
    s.open();
    s.engine.releaseIdleMemory();
    const HeapMeter meter;
    constexpr quint16 count = 200;
    for (quint16 number = 1; number <= count; ++number)
        s.subscribe(s.openChannel(), u"a tag of usual size"_s);
    s.engine.releaseIdleMemory();
    QVERIFY2(meter.live() / count < 1500, qPrintable(QString::number(meter.live() / count)));
}

void tst_Memory::queuesThatComeAndGoAreForgotten()
{
    TopologyStory t;
    const auto serve = [&t](int first, int count) {
        for (int i = first; i < first + count; ++i) {
            const QString name = u"amq.gen-%1"_s.arg(i);
            const auto declaring = t.expect(Engine::DeclaredQueue{{}, {.exclusive = true, .autoDelete = i % 2 == 0}});
            const auto binding = t.expect(Engine::BindingChange{Engine::BindingChange::Kind::Bind,
                                                                t.queueBinding({}, u"replies"_s, name), declaring});
            t.confirm(declaring, t.infoOf(name));
            t.confirm(binding);
            const auto refused = t.expect(Engine::ConsumerStart{{name}});
            t.fail(refused);
            t.record.consumerEnded(t.consume(name), TopologyStory::EndOfConsumer::Ended);
            t.deleteQueue(name);
            t.record.consumerEnded(t.consume(u"of others-%1"_s.arg(i)), TopologyStory::EndOfConsumer::Ended);
        }
    };
    serve(0, 1'000);
    const HeapMeter meter;
    serve(1'000, 10'000);
    QVERIFY(t.record.confirmed().isEmpty());
    QVERIFY2(meter.live() < 1'024, qPrintable(QString::number(meter.live())));
}

void tst_Memory::theRecordGrowsWithItsEntitiesOnly()
{
    constexpr int Count = 10'000;
    TopologyStory t;
    t.exchange(u"x"_s);
    const HeapMeter meter;
    const auto declare = [&] {
        for (int i = 0; i < Count; ++i) {
            const QString name = u"queue-%1"_s.arg(i);
            t.queue(name);
            t.bind(t.queueBinding(name, u"x"_s, name));
            t.consume(name); // of a queue that outlives its consumers
        }
    };
    declare();
    QVERIFY2(meter.live() < Count * 700, qPrintable(QString::number(meter.live() / Count)));
    declare(); // the bindings no longer share the strings of the queues
    const qint64 declared = meter.live();
    declare();
    QVERIFY2(meter.live() <= declared, qPrintable(QString::number((meter.live() - declared) / Count)));
}

QTEST_GUILESS_MAIN(tst_Memory)
#include "tst_memory.moc"
