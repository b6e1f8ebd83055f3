// SPDX-License-Identifier: MIT
#include "engine/channel/assembler_p.h"
#include "engine/connection/framereader_p.h"

#include "support/frames.h"
#include "wire/methods_p.h"

#include <QtTest/qtest.h>

#include <algorithm>
#include <cstring>

using namespace AmqpQt;
using Engine::FrameReader;
using Step = FrameReader::Step;

class tst_FrameReader : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init()
    {
        m_reader.start();
        m_reader.setMaximumFrameSize(Wire::SpecFrameMinimum);
    }
    void framesComeWholeHoweverTheirBytesArrive();
    void bodyIsWrittenToItsAssembler();
    void bodyWithoutPlaceIsSkipped();
    void largeBodyIsReadIntoItsPlace();
    void largeHeaderIsSkippedButForItsBeginning();
    void faultsAreReported_data();
    void faultsAreReported();
    void otherProtocolsAreNamed_data();
    void otherProtocolsAreNamed();

private:
    void feed(QByteArrayView bytes)
    {
        while (!bytes.isEmpty()) {
            const std::span<char> space = m_reader.space();
            const qsizetype size = std::min(bytes.size(), qsizetype(space.size()));
            std::memcpy(space.data(), bytes.data(), size_t(size));
            m_reader.filled(size);
            bytes = bytes.sliced(size);
        }
    }
    void beginBody(Engine::Assembler &content, quint64 size)
    {
        content.begin({}, "exchange", "key");
        content.header({.bodySize = size});
    }

    FrameReader m_reader;
};

void tst_FrameReader::framesComeWholeHoweverTheirBytesArrive()
{
    const QByteArray bytes = encodeFrame(Wire::FrameType::Method, 7, "payload");
    for (const char byte : bytes.chopped(1)) {
        feed(QByteArrayView(&byte, 1));
        QVERIFY(m_reader.next() == Step::NeedsInput);
        QVERIFY(!m_reader.hasInput());
    }
    feed(bytes.last(1) + encodeFrame(Wire::FrameType::Heartbeat, 0, {}));
    QVERIFY(m_reader.hasInput());
    QVERIFY(m_reader.next() == Step::Frame);
    QCOMPARE(m_reader.header().channel, 7);
    QCOMPARE(m_reader.payload(), QByteArrayView("payload"));
    QCOMPARE(m_reader.frame(), QByteArrayView(bytes));
    QVERIFY(m_reader.next() == Step::Frame);
    QCOMPARE(m_reader.header().type, quint8(Wire::FrameType::Heartbeat));
    QVERIFY(m_reader.next() == Step::NeedsInput);
}

void tst_FrameReader::bodyIsWrittenToItsAssembler()
{
    Engine::Assembler content;
    beginBody(content, 4);
    feed(encodeFrame(Wire::FrameType::Body, 1, "body").chopped(2));
    QVERIFY(m_reader.next() == Step::Body);
    QVERIFY(!m_reader.isBetweenFrames());
    m_reader.streamTo(&content);
    QVERIFY(m_reader.next() == Step::NeedsInput);
    QCOMPARE(content.bodyRemaining(), quint64(1));
    feed(QByteArray("y") + char(Wire::FrameEnd));
    QVERIFY(m_reader.next() == Step::BodyEnd);
    QVERIFY(m_reader.isBetweenFrames());
    QCOMPARE(content.takeBody(), QByteArray("body"));
}

void tst_FrameReader::bodyWithoutPlaceIsSkipped()
{
    feed(encodeFrame(Wire::FrameType::Body, 1, "body") + encodeFrame(Wire::FrameType::Method, 2, "next"));
    QVERIFY(m_reader.next() == Step::Body);
    QVERIFY(m_reader.next() == Step::BodyEnd);
    QVERIFY(m_reader.next() == Step::Frame);
    QCOMPARE(m_reader.payload(), QByteArrayView("next"));
}

void tst_FrameReader::largeBodyIsReadIntoItsPlace()
{
    const QByteArray body(64 * 1024, 'x');
    m_reader.setMaximumFrameSize(128 * 1024);
    Engine::Assembler content;
    beginBody(content, quint64(body.size()));
    const QByteArray bytes = encodeFrame(Wire::FrameType::Body, 1, body);
    feed(bytes.first(Wire::FrameHeaderSize));
    QVERIFY(m_reader.next() == Step::Body);
    m_reader.streamTo(&content);
    QVERIFY(m_reader.next() == Step::NeedsInput);
    feed(bytes.sliced(Wire::FrameHeaderSize, body.size() - 1));
    QCOMPARE(content.bodyRemaining(), quint64(1)); // without next()
    feed(bytes.last(2));
    QVERIFY(m_reader.next() == Step::BodyEnd);
    QCOMPARE(content.takeBody(), body);
}

void tst_FrameReader::largeHeaderIsSkippedButForItsBeginning()
{
    m_reader.handshakeDone();
    const QByteArray payload = QByteArray("class, weight:") + QByteArray(int(m_reader.methodFrameLimit()), 'h');
    feed(encodeFrame(Wire::FrameType::Header, 3, payload) + encodeFrame(Wire::FrameType::Method, 2, "next"));
    QVERIFY(m_reader.next() == Step::LargeHeader);
    QCOMPARE(m_reader.header().channel, 3);
    QCOMPARE(m_reader.header().size, quint32(payload.size()));
    QVERIFY(payload.startsWith(m_reader.payload()));
    QVERIFY(m_reader.next() == Step::BodyEnd);
    QVERIFY(m_reader.next() == Step::Frame);
    QCOMPARE(m_reader.payload(), QByteArrayView("next"));
}

void tst_FrameReader::faultsAreReported_data()
{
    QTest::addColumn<QByteArray>("bytes");
    QTest::addColumn<bool>("isFraming");
    QTest::newRow("frame-end") << encodeFrame(Wire::FrameType::Method, 0, "x").chopped(1) + 'X' << true;
    QTest::newRow("type") << encodeFrame(Wire::FrameType(9), 0, "x") << true;
    QTest::newRow("body") << encodeFrame(Wire::FrameType::Body, 1, QByteArray(int(Wire::SpecFrameMinimum), 'x'))
                          << false;
    QTest::newRow("heartbeat") << encodeFrame(Wire::FrameType::Heartbeat, 1, {}) << false;
    QTest::newRow("method") << encodeFrame(Wire::FrameType::Method, 1, QByteArray(128 * 1024 + 1, 'x')) << false;
}

void tst_FrameReader::faultsAreReported()
{
    QFETCH(QByteArray, bytes);
    QFETCH(bool, isFraming);
    feed(bytes);
    QVERIFY(m_reader.next() == Step::Fault);
    QCOMPARE(m_reader.fault().replyCode, quint16(Wire::ReplyCode::FrameError));
    QCOMPARE(m_reader.fault().isFraming, isFraming);
    QVERIFY(!m_reader.fault().text.isEmpty());
}

void tst_FrameReader::otherProtocolsAreNamed_data()
{
    QTest::addColumn<QByteArray>("bytes");
    QTest::addColumn<QString>("name");
    QTest::newRow("HTTP") << QByteArray("HTTP/1.1 400") << QStringLiteral("HTTP");
    QTest::newRow("TLS") << QByteArray("\x15\x03\x01\0", 4) << QStringLiteral("TLS");
    QTest::newRow("AMQP 1.0") << QByteArray("AMQP\0\1\0\0", 8) << QStringLiteral("AMQP 1.0");
}

void tst_FrameReader::otherProtocolsAreNamed()
{
    QFETCH(QByteArray, bytes);
    QFETCH(QString, name);
    feed(bytes.first(1));
    QVERIFY(m_reader.next() == Step::NeedsInput);
    feed(bytes.sliced(1));
    QVERIFY(m_reader.next() == Step::Fault);
    QVERIFY2(m_reader.fault().text.contains(name), qPrintable(m_reader.fault().text));
}

QTEST_GUILESS_MAIN(tst_FrameReader)
#include "tst_framereader.moc"
