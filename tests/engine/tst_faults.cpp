// SPDX-License-Identifier: MIT
#include "engine/arguments/arguments_p.h"
#include "support/script.h"

#include <QtTest/qtest.h>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using Engine::CallId;
using Wire::FrameType;

// Tests the reaction to each fault of a peer.
class tst_Faults : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void aFaultEndsTheConnection_data();
    void aFaultEndsTheConnection();
    void aFaultBeforeOpenIsNotAnswered_data();
    void aFaultBeforeOpenIsNotAnswered();
    void aFaultWhileClosingIsNotAnsweredTwice();
    void aFaultInAnyPieceIsTheSame_data();
    void aFaultInAnyPieceIsTheSame();
    void isTolerated_data();
    void isTolerated();
    void aConfirmOfNothingClosesItsChannel_data();
    void aConfirmOfNothingClosesItsChannel();
    void longReplyTextsAreCutBetweenCharacters();
};

namespace
{

enum class CloseSent { No, Yes };

template <typename Method>
QByteArray method(const Method &fields, quint16 channel = 1)
{
    return Wire::encodeFrame(channel, fields);
}

// The payload of a method with these arguments.
QByteArray methodPayload(Wire::MethodId id, const QByteArray &arguments)
{
    QByteArray payload(4, '\0');
    qToBigEndian(id.value(), payload.data());
    return payload + arguments;
}

QByteArray deliver(quint64 tag, quint16 channel = 1)
{
    return method(Wire::BasicDeliver{.consumerTag = "tag", .deliveryTag = tag, .routingKey = "k"}, channel);
}

QByteArray withTable(const QByteArray &contents)
{
    QByteArray length(4, '\0');
    qToBigEndian(quint32(contents.size()), length.data());
    return encodeFrame(FrameType::Method, 0,
                       methodPayload(Wire::ConnectionStart::id, QByteArray("\0\x09", 2) + length + contents +
                                                                    QByteArray("\0\0\0\x05PLAIN\0\0\0\0", 13)));
}

QByteArray nested(int levels)
{
    QByteArray contents;
    for (int i = 1; i < levels; ++i) {
        QByteArray length(4, '\0');
        qToBigEndian(quint32(contents.size()), length.data());
        contents = "\x01kF" + length + contents;
    }
    return contents;
}

// Faults that do not depend on earlier frames.
void addFramingFaults()
{
    const QByteArray good = method(Wire::ChannelOpenOk{});
    QTest::newRow("wrong frame-end") << good.chopped(1) + '\xcd' << 501 << CloseSent::No;
    QTest::newRow("unknown frame type 0") << frameHeader(0, 0, 0) << 501 << CloseSent::No;
    QTest::newRow("unknown frame type 4") << frameHeader(4, 1, 10) << 501 << CloseSent::No;
    QTest::newRow("unknown frame type 255") << frameHeader(255, 0xffff, 0xffffffff) << 501 << CloseSent::No;
    QTest::newRow("body frame over frame-max") << frameHeader(3, 1, 131072 - 7) << 501 << CloseSent::Yes;
    QTest::newRow("heartbeat on a channel") << encodeFrame(FrameType::Heartbeat, 1, {}) << 501 << CloseSent::Yes;
    QTest::newRow("heartbeat with a payload") << encodeFrame(FrameType::Heartbeat, 0, "x") << 501 << CloseSent::Yes;
    QTest::newRow("method frame over 1 MiB") << frameHeader(1, 1, 1024 * 1024 + 1) << 501 << CloseSent::Yes;
    QTest::newRow("method frame of 4 GiB") << frameHeader(1, 1, 0xffffffff) << 501 << CloseSent::Yes;
}

void addMethodFaults()
{
    QTest::newRow("empty method frame") << encodeFrame(FrameType::Method, 0, {}) << 502 << CloseSent::Yes;
    QTest::newRow("half a method id") << encodeFrame(FrameType::Method, 0, "\x01\x02\x03") << 502 << CloseSent::Yes;
    QTest::newRow("truncated arguments") << encodeFrame(FrameType::Method, 0,
                                                        methodPayload(Wire::ConnectionClose::id, "\x01"))
                                         << 502 << CloseSent::Yes;
    QTest::newRow("string beyond its frame")
        << encodeFrame(FrameType::Method, 0, methodPayload(Wire::ConnectionBlocked::id, "\xffreason")) << 502
        << CloseSent::Yes;
    QTest::newRow("table beyond its frame")
        << encodeFrame(FrameType::Method, 0,
                       methodPayload(Wire::ConnectionStart::id, QByteArray("\0\x09\xff\xff\xff\xff", 6)))
        << 502 << CloseSent::Yes;
    QTest::newRow("table entry beyond its table")
        << withTable(QByteArray("\x01kS\0\0\0\x09x", 8)) << 502 << CloseSent::Yes;
    QTest::newRow("unknown field type") << withTable("\x01kZ") << 502 << CloseSent::Yes;
    QTest::newRow("nested over 32 levels") << withTable(nested(33)) << 502 << CloseSent::Yes;
    QTest::newRow("unknown class") << encodeFrame(FrameType::Method, 0, methodPayload({255, 10}, {})) << 540
                                   << CloseSent::Yes;
    QTest::newRow("unknown method") << encodeFrame(FrameType::Method, 0, methodPayload({10, 255}, {})) << 540
                                    << CloseSent::Yes;
    QTest::newRow("channel method on channel 0") << method(Wire::ChannelOpenOk{}, 0) << 503 << CloseSent::Yes;
    QTest::newRow("wrong direction on channel 0") << method(Wire::ConnectionTuneOk{}, 0) << 503 << CloseSent::Yes;
    QTest::newRow("unexpected close-ok") << method(Wire::ConnectionCloseOk{}, 0) << 503 << CloseSent::Yes;
    QTest::newRow("unexpected update-secret-ok")
        << method(Wire::ConnectionUpdateSecretOk{}, 0) << 503 << CloseSent::Yes;
    QTest::newRow("method on a channel never opened")
        << method(Wire::QueueDeclareOk{.queue = "q"}, 9) << 504 << CloseSent::Yes;
    QTest::newRow("the highest channel") << method(Wire::ChannelCloseOk{}, 65535) << 504 << CloseSent::Yes;
    QTest::newRow("content method on channel 0") << deliver(1, 0) << 504 << CloseSent::Yes;
    QTest::newRow("header on channel 0") << headerFrame(0, 1) << 504 << CloseSent::Yes;
    QTest::newRow("body on channel 0") << encodeFrame(FrameType::Body, 0, "x") << 504 << CloseSent::Yes;
    QTest::newRow("content on a channel never opened") << deliver(1, 9) << 504 << CloseSent::Yes;
    QTest::newRow("header on a channel never opened") << headerFrame(9, 1) << 504 << CloseSent::Yes;
    QTest::newRow("body on a channel never opened") << encodeFrame(FrameType::Body, 9, "x") << 504 << CloseSent::Yes;
}

// Faults on channel 1, which has one consumer, "tag", and waits for queue.purge-ok and then for a reply to basic.get.
void addChannelFaults()
{
    const auto row = [](const char *name, const QByteArray &bytes, int code) {
        QTest::newRow(name) << bytes << code << CloseSent::Yes;
    };
    const QByteArray largest = QByteArray::fromHex("003c0000ffffffffffffffff0000");
    row("body frame overruns its content", deliver(1) + headerFrame(1, 3) + encodeFrame(FrameType::Body, 1, "four"),
        501);
    row("last body frame overruns",
        deliver(1) + headerFrame(1, 3) + encodeFrame(FrameType::Body, 1, "tw") + encodeFrame(FrameType::Body, 1, "oo"),
        501);
    row("content of 2^63 bytes", deliver(1) + headerFrame(1, quint64(1) << 63), 501);
    row("content of 2^64-1 bytes", deliver(1) + encodeFrame(FrameType::Header, 1, largest), 501);
    row("truncated header", deliver(1) + encodeFrame(FrameType::Header, 1, QByteArray("\0\x3c\0\0", 4)), 502);
    row("header without property flags", deliver(1) + encodeFrame(FrameType::Header, 1, largest.first(12)), 502);
    row("truncated arguments on a channel",
        encodeFrame(FrameType::Method, 1, methodPayload(Wire::QueuePurgeOk::id, "\x01")), 502);

    row("reply that nobody asked for", method(Wire::ExchangeDeclareOk{}), 503);
    row("reply out of order", method(Wire::BasicGetEmpty{}), 503);
    row("message out of order", method(Wire::BasicGetOk{.deliveryTag = 1}), 503);
    row("second open-ok", method(Wire::ChannelOpenOk{}), 503);
    row("close-ok without close", method(Wire::ChannelCloseOk{}), 503);
    row("flow-ok without flow", method(Wire::ChannelFlowOk{}), 503);
    row("second consume-ok", method(Wire::BasicConsumeOk{.consumerTag = "tag"}), 503);
    row("consume-ok of nobody", method(Wire::BasicConsumeOk{.consumerTag = "nobody"}), 503);
    row("cancel-ok without cancel", method(Wire::BasicCancelOk{.consumerTag = "tag"}), 503);
    row("cancel-ok of nobody", method(Wire::BasicCancelOk{.consumerTag = "nobody"}), 503);
    row("confirm.select-ok", method(Wire::ConfirmSelectOk{}), 503);
    row("tx.commit-ok", method(Wire::TxCommitOk{}), 503);
    row("tx.rollback-ok", method(Wire::TxRollbackOk{}), 503);
    row("basic.recover-ok", method(Wire::BasicRecoverOk{}), 503);
    row("wrong direction", method(Wire::QueueDeclare{.queue = "q"}), 503);
    row("wrong direction with content", method(Wire::BasicPublish{}), 503);
    row("connection method on a channel", method(Wire::ConnectionBlocked{}), 503);
    row("delivery tag 0", deliver(0) + contentFrames(1, {}), 503);
    row("delivery tag twice", (deliver(5) + contentFrames(1, {})).repeated(2), 503);
    row("delivery tags that fall", deliver(5) + contentFrames(1, {}) + deliver(4) + contentFrames(1, {}), 503);
    row("delivery tag of a got message that falls",
        deliver(5) + contentFrames(1, {}) + method(Wire::QueuePurgeOk{}) + method(Wire::BasicGetOk{.deliveryTag = 5}) +
            contentFrames(1, {}),
        503);
    row("second start", method(Wire::ConnectionStart{.versionMinor = 9, .mechanisms = "PLAIN"}, 0), 503);
    row("second tune", method(Wire::ConnectionTune{.frameMax = 131072}, 0), 503);
    row("second connection.open-ok", method(Wire::ConnectionOpenOk{}, 0), 503);

    row("body without method", encodeFrame(FrameType::Body, 1, "x"), 505);
    row("body without header", deliver(1) + encodeFrame(FrameType::Body, 1, "x"), 505);
    row("empty body without header", deliver(1) + encodeFrame(FrameType::Body, 1, {}), 505);
    row("header without method", headerFrame(1, 1), 505);
    row("second header", deliver(1) + headerFrame(1, 1) + headerFrame(1, 1), 505);
    row("body behind an empty content", deliver(1) + headerFrame(1, 0) + encodeFrame(FrameType::Body, 1, {}), 505);
    row("body behind a complete content",
        deliver(1) + contentFrames(1, {.body = "b"}) + encodeFrame(FrameType::Body, 1, {}), 505);
    row("method where a header is due", deliver(1) + method(Wire::QueuePurgeOk{}), 505);
    row("method where a body is due", deliver(1) + headerFrame(1, 2) + method(Wire::QueuePurgeOk{}), 505);
    row("content in a content", deliver(1) + headerFrame(1, 2) + encodeFrame(FrameType::Body, 1, "x") + deliver(2),
        505);
    row("channel.close in a content", deliver(1) + method(Wire::ChannelClose{.replyCode = 404}), 505);
    row("header of another class",
        deliver(1) +
            encodeFrame(FrameType::Header, 1, QByteArray::fromHex("003200000000000000010000") + QByteArray(2, '\0')),
        505);
    row("unknown method on a channel", encodeFrame(FrameType::Method, 1, methodPayload({60, 255}, {})), 540);
}

// An open connection with as many outstanding operations as possible.
struct Busy : Script {
    Busy()
    {
        open();
        auto &first = openChannel();
        auto &second = openChannel();
        auto &third = openChannel();
        subscribe(first, u"tag"_s);
        purging = *first.topology().purgeQueue(u"q"_s);
        getting = *first.get(u"q"_s, false);
        calls = {purging, getting, *second.topology().declareQueue(u"q"_s, {}, false), *third.close()};
        const auto starting = *second.subscriptions().consume(u"q"_s, {.consumerTag = u"late"_s}, this);
        second.subscriptions().cancel(*starting);
        calls << starting->startCall << starting->cancelCall;
        write();
        takeSent();
    }
    CallId purging = 0;
    CallId getting = 0;
    QSet<CallId> calls;
};

// Takes all events. Each call must have ended, each channel once, and the connection last.
void expectEndOfAll(Busy &s)
{
    QStringList channels;
    QStringList rest;
    for (const QString &event : s.takeEvents()) {
        if (!rest.isEmpty())
            s.failTest(event + u" after ConnectionClosed"_s, {});
        if (event.startsWith(u"ReplyArrived"_s))
            s.calls.remove(event.section(u' ', 1, 1).toULongLong());
        else if (event.startsWith(u"ChannelClosed"_s))
            channels += event.section(u' ', 1, 1);
        else if (event.startsWith(u"ConnectionClosed"_s))
            rest += event;
    }
    channels.sort();
    if (channels != QStringList({u"1"_s, u"2"_s, u"3"_s}))
        s.failTest(u"channels ended: "_s + channels.join(u' '), {});
    if (!s.calls.isEmpty())
        s.failTest(u"%1 calls never ended"_s.arg(s.calls.size()), {});
    if (rest.size() != 1)
        s.failTest(u"no end of the connection"_s, {});
}

} // namespace

void tst_Faults::aFaultEndsTheConnection_data()
{
    QTest::addColumn<QByteArray>("input");
    QTest::addColumn<int>("replyCode");
    QTest::addColumn<CloseSent>("closeSent");
    addFramingFaults();
    addMethodFaults();
    addChannelFaults();
}

void tst_Faults::aFaultEndsTheConnection()
{
    QFETCH(QByteArray, input);
    QFETCH(int, replyCode);
    QFETCH(CloseSent, closeSent);
    Busy s;
    s.brokerBytes(input);
    QCOMPARE(s.engine.state(), Engine::ConnectionEngine::State::Closed);
    const auto sent = s.takeSent();
    if (closeSent == CloseSent::No) {
        QVERIFY(sent.empty());
    } else {
        QCOMPARE(sent.size(), size_t(1));
        QVERIFY(sent.front().is(Wire::ConnectionClose::id));
        Wire::ConnectionClose close;
        QVERIFY(!Wire::decodeArguments(QByteArrayView(sent.front().payload).sliced(4), close));
        QCOMPARE(close.replyCode, quint16(replyCode));
        QVERIFY(!close.replyText.isEmpty());
    }
    expectEndOfAll(s);

    Busy again; // checks the reason and the contents of the events
    again.brokerBytes(input);
    const Error reason = again.takeConnectionClosed();
    QCOMPARE(reason.kind(), ErrorKind::ProtocolViolation);
    QCOMPARE(reason.replyCode(), quint16(replyCode));
    QVERIFY(!reason.text().isEmpty());
    again.brokerBytes(input).brokerBytes(input).expectNoEvent(); // later bytes are ignored
    QVERIFY(!again.engine.hasInput());
}

void tst_Faults::aFaultBeforeOpenIsNotAnswered_data()
{
    QTest::addColumn<QByteArray>("input");
    QTest::addColumn<int>("replyCode");
    QTest::addColumn<CloseSent>("closeSent");
    addFramingFaults();
    addMethodFaults();
}

void tst_Faults::aFaultBeforeOpenIsNotAnswered()
{
    QFETCH(QByteArray, input);
    QFETCH(int, replyCode);
    for (const bool tuned : {false, true}) {
        Script s;
        s.start().brokerStart();
        if (tuned)
            s.broker(Wire::ConnectionTune{.channelMax = 2047, .frameMax = 131072});
        s.takeSent();
        s.brokerBytes(input).expectNothingSent();
        const auto closed = s.takeEvent<Engine::ConnectionClosed>();
        QCOMPARE(closed.reason.kind(), ErrorKind::ProtocolViolation);
        QCOMPARE(closed.reason.replyCode(), quint16(replyCode));
        QCOMPARE(closed.ending, Engine::Ending::Abort);
        s.expectNoEvent();
    }
}

void tst_Faults::aFaultWhileClosingIsNotAnsweredTwice()
{
    Script s;
    s.open();
    s.engine.close(s.now);
    s.expectSent<Wire::ConnectionClose>();
    s.brokerBytes(frameHeader(255, 0, 0)).expectNothingSent();
    QCOMPARE(s.takeConnectionClosed().replyCode(), Wire::ReplyCode::FrameError);
    s.expectNoEvent();
}

void tst_Faults::aFaultInAnyPieceIsTheSame_data()
{
    aFaultEndsTheConnection_data();
}

void tst_Faults::aFaultInAnyPieceIsTheSame()
{
    QFETCH(QByteArray, input);
    QFETCH(int, replyCode);
    for (const qsizetype size : {1, 5}) {
        Busy s;
        s.pieceSize = size;
        s.brokerBytes(input);
        QCOMPARE(s.takeConnectionClosed().replyCode(), quint16(replyCode));
    }
}

void tst_Faults::isTolerated_data()
{
    QTest::addColumn<QByteArray>("input");
    QTest::addColumn<QStringList>("events");
    const QStringList delivered{u"Delivered 1"_s};
    QTest::newRow("padding behind a method")
        << encodeFrame(FrameType::Method, 1, Wire::encodePayload(Wire::QueuePurgeOk{}) + "padding")
        << QStringList{u"ReplyArrived"_s};
    QTest::newRow("method frame of 1 MiB")
        << encodeFrame(FrameType::Method, 0,
                       Wire::encodePayload(Wire::ConnectionBlocked{}) + QByteArray(1024 * 1024 - 5, 'p'))
        << QStringList{u"BlockedChanged true"_s};
    QTest::newRow("padding behind the properties")
        << deliver(1) + headerFrame(1, 0, QByteArray(2, '\0') + "padding") << delivered;
    QTest::newRow("a weight in a header")
        << deliver(1) + encodeFrame(FrameType::Header, 1, QByteArray::fromHex("003c000700000000000000000000"))
        << delivered;
    QTest::newRow("frames of other channels in a content")
        << deliver(1) + method(Wire::QueueDeclareOk{.queue = "q"}, 2) + headerFrame(1, 1) +
               encodeFrame(FrameType::Heartbeat, 0, {}) + method(Wire::ConnectionBlocked{}, 0) +
               encodeFrame(FrameType::Body, 1, "b")
        << QStringList{u"ReplyArrived"_s, u"BlockedChanged true"_s, u"Delivered 1"_s};
    QTest::newRow("empty body frames") << deliver(1) + headerFrame(1, 1) + encodeFrame(FrameType::Body, 1, {}) +
                                              encodeFrame(FrameType::Body, 1, "b")
                                       << delivered;
    QTest::newRow("a body frame of frame-max")
        << deliver(1) + headerFrame(1, 131064) + encodeFrame(FrameType::Body, 1, QByteArray(131064, 'b')) << delivered;
    QTest::newRow("replies for a channel that is closing")
        << method(Wire::ExchangeDeclareOk{}, 3) + method(Wire::BasicDeliver{.consumerTag = "x", .deliveryTag = 1}, 3) +
               contentFrames(3, {.body = "b"}) + method(Wire::BasicCancel{.consumerTag = "x"}, 3) +
               method(Wire::BasicAck{.deliveryTag = 1}, 3)
        << QStringList();
    QTest::newRow("gaps in the delivery tags")
        << deliver(1) + contentFrames(1, {}) + deliver(1000) + contentFrames(1, {})
        << QStringList{u"Delivered 1"_s, u"Delivered 1000"_s};
    QTest::newRow("headers nested 32 levels")
        << deliver(1) + headerFrame(1, 0, Wire::encodeProperties({.flags = Wire::HeadersFlag, .headers = {nested(32)}}))
        << delivered;
    // Any publisher can send these headers.
    const auto withHeaders = [](const QByteArray &contents) {
        return deliver(1) +
               headerFrame(1, 0, Wire::encodeProperties({.flags = Wire::HeadersFlag, .headers = {contents}}));
    };
    for (const int levels : {33, 40, 200, 5000})
        QTest::addRow("headers nested %d levels", levels) << withHeaders(nested(levels)) << delivered;
    QTest::newRow("headers of an unknown type") << withHeaders("\x01kZ") << delivered;
    QTest::newRow("truncated headers") << withHeaders("\x01kI") << delivered;
    QTest::newRow("unknown property flags") << deliver(1) + headerFrame(1, 0, QByteArray("\0\x03", 2)) << delivered;
    QTest::newRow("property beyond its frame")
        << deliver(1) + headerFrame(1, 0, QByteArray("\x80\0\x09x", 4)) << delivered;
    QTest::newRow("properties that are not UTF-8")
        << method(
               Wire::BasicDeliver{.consumerTag = "tag", .deliveryTag = 1, .exchange = "\xff", .routingKey = "\xfe"}) +
               headerFrame(1, 0, Wire::encodeProperties({.flags = Wire::TypeFlag, .type = "\xff"}))
        << delivered;
    QTest::newRow("text that is not UTF-8")
        << method(Wire::ConnectionBlocked{.reason = "\xff\xfe"}, 0) << QStringList{u"BlockedChanged true"_s};
}

void tst_Faults::isTolerated()
{
    QFETCH(QByteArray, input);
    QFETCH(QStringList, events);
    Busy s;
    s.brokerBytes(input);
    QVERIFY(s.engine.isOpen());
    QStringList reported = s.takeEvents();
    for (QString &event : reported) {
        if (event.startsWith(u"ReplyArrived"_s))
            event = u"ReplyArrived"_s;
    }
    QCOMPARE(reported, events);
    s.expectNothingSent();
    s.broker(Wire::ChannelCloseOk{}, 3); // the frames are still in sync
    QCOMPARE(s.takeEvents().last(), u"ChannelClosed 3"_s);
}

void tst_Faults::aConfirmOfNothingClosesItsChannel_data()
{
    QTest::addColumn<QByteArray>("confirm");
    QTest::newRow("ack") << method(Wire::BasicAck{.deliveryTag = 1});
    QTest::newRow("ack of all") << method(Wire::BasicAck{.deliveryTag = 0, .multiple = true});
    QTest::newRow("nack") << method(Wire::BasicNack{.deliveryTag = 1});
}

void tst_Faults::aConfirmOfNothingClosesItsChannel()
{
    QFETCH(QByteArray, confirm);
    Busy s;
    s.brokerBytes(confirm);
    s.expectSent<Wire::ChannelClose>([](const Wire::ChannelClose &close) { QCOMPARE(close.replyCode, quint16(406)); });
    s.expectNothingSent().expectReply(s.purging, ErrorKind::ProtocolViolation);
    s.expectReply(s.getting, ErrorKind::ProtocolViolation);
    s.expectEvent<Engine::ChannelClosed>([](const Engine::ChannelClosed &closed) {
        QCOMPARE(closed.reason.kind(), ErrorKind::ProtocolViolation);
        QCOMPARE(closed.reason.replyCode(), quint16(406));
    });
    s.expectNoEvent();
    QVERIFY(s.engine.isOpen());
    s.brokerBytes(confirm).expectNoEvent().broker(Wire::ChannelCloseOk{}).expectNoEvent().expectNothingSent();
}

void tst_Faults::longReplyTextsAreCutBetweenCharacters()
{
    const QByteArray text = Engine::Arguments::shortened(QString(255, u'\u20ac')); // three bytes each
    QCOMPARE(text.size(), 255);
    QVERIFY(text.isValidUtf8());
    QVERIFY(Engine::Arguments::shortened(u'x' + QString(255, u'\u20ac')).isValidUtf8());
}

QTEST_GUILESS_MAIN(tst_Faults)
#include "tst_faults.moc"
