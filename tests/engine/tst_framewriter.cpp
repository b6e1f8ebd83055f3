// SPDX-License-Identifier: MIT
#include "engine/connection/framewriter_p.h"

#include "support/frames.h"

#include <QtTest/qtest.h>

#include <vector>

using namespace AmqpQt;
using Engine::FrameWriter;
using Engine::PublishTemplate;
using Wire::FrameType;

class tst_FrameWriter : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void init()
    {
        m_writer.start();
        m_writer.setMaximumFrameSize(Wire::SpecFrameMinimum);
        takeOutput();
        m_content.encode(3, Wire::encodePayload(Wire::BasicPublish{.exchange = "e", .routingKey = "k"}),
                         QByteArray(2, '\0'));
    }
    void aConnectionBeginsWithTheProtocolHeader();
    void methodsBecomeFrames();
    void heartbeatsAreEmptyFramesOnChannelZero();
    void aBodyIsSplitAtTheMaximumFrameSize_data();
    void aBodyIsSplitAtTheMaximumFrameSize();
    void withoutALimitFramesHaveTheUsualMaximum();
    void largeBodiesAreNotCopied();
    void everyFrameCounts();

private:
    QByteArray takeOutput()
    {
        QByteArray bytes;
        while (!m_writer.output().isEmpty()) {
            const QByteArrayView front = m_writer.output().front();
            bytes += front;
            m_writer.output().consume(front.size());
        }
        return bytes;
    }
    std::vector<Frame> takeFrames()
    {
        const QByteArray bytes = takeOutput();
        FrameParser parser;
        std::vector<Frame> frames;
        for (QByteArrayView left = bytes; !left.isEmpty();) {
            if (const std::optional<Frame> frame = parser.next(left))
                frames.push_back(*frame);
        }
        return frames;
    }

    FrameWriter m_writer;
    PublishTemplate m_content;
};

void tst_FrameWriter::aConnectionBeginsWithTheProtocolHeader()
{
    m_writer.sendHeartbeat(); // of the previous connection
    m_writer.start();
    QCOMPARE(m_writer.frameCount(), 0);
    QCOMPARE(takeOutput(), QByteArray("AMQP\0\0\x09\x01", 8));
}

void tst_FrameWriter::methodsBecomeFrames()
{
    const Wire::QueueDeclare declare{.queue = "q", .durable = true};
    m_writer.send(7, declare);
    m_writer.sendMethod(8, Wire::encodePayload(Wire::TxSelect{}));
    QCOMPARE(takeOutput(), Wire::encodeFrame(7, declare) + Wire::encodeFrame(8, Wire::TxSelect{}));
}

void tst_FrameWriter::heartbeatsAreEmptyFramesOnChannelZero()
{
    m_writer.sendHeartbeat();
    QCOMPARE(takeOutput(), encodeFrame(FrameType::Heartbeat, 0, {}));
}

void tst_FrameWriter::aBodyIsSplitAtTheMaximumFrameSize_data()
{
    QTest::addColumn<qsizetype>("size");
    QTest::addColumn<QList<qsizetype>>("frameSizes");
    QTest::newRow("empty") << qsizetype(0) << QList<qsizetype>();
    QTest::newRow("one byte") << qsizetype(1) << QList<qsizetype>{1};
    QTest::newRow("one full frame") << qsizetype(4088) << QList<qsizetype>{4088};
    QTest::newRow("one byte more") << qsizetype(4089) << QList<qsizetype>{4088, 1};
    QTest::newRow("ten frames") << qsizetype(40880) << QList<qsizetype>(10, 4088);
}

void tst_FrameWriter::aBodyIsSplitAtTheMaximumFrameSize()
{
    QFETCH(const qsizetype, size);
    QFETCH(const QList<qsizetype>, frameSizes);
    QByteArray body(size, '\0');
    for (qsizetype i = 0; i < size; ++i)
        body[i] = char(i * 7);
    m_writer.sendContent(3, m_content, body);

    const std::vector<Frame> frames = takeFrames();
    QCOMPARE(frames.size(), size_t(2 + frameSizes.size()));
    QVERIFY(frames.at(0).is(Wire::BasicPublish::id));
    Wire::ContentHeader header;
    QCOMPARE(frames.at(1).type, FrameType::Header);
    QVERIFY(Wire::decodeContentHeader(frames.at(1).payload, header));
    QCOMPARE(header.bodySize, quint64(size));
    QByteArray sent;
    for (size_t i = 2; i < frames.size(); ++i) {
        QCOMPARE(frames.at(i).type, FrameType::Body);
        QCOMPARE(frames.at(i).channel, 3);
        QCOMPARE(frames.at(i).payload.size(), frameSizes.at(qsizetype(i) - 2));
        sent += frames.at(i).payload;
    }
    QCOMPARE(sent, body);
}

void tst_FrameWriter::withoutALimitFramesHaveTheUsualMaximum()
{
    m_writer.setMaximumFrameSize(0);
    m_writer.sendContent(3, m_content, QByteArray(131072, 'x'));
    const std::vector<Frame> frames = takeFrames();
    QCOMPARE(frames.size(), size_t(4));
    QCOMPARE(frames.at(2).payload.size(), 131072 - Wire::FrameOverhead);
}

void tst_FrameWriter::largeBodiesAreNotCopied()
{
    m_writer.setMaximumFrameSize(0);
    const QByteArray body(100'000, 'x');
    m_writer.sendContent(3, m_content, body);
    QByteArrayView space[8];
    bool isShared = false;
    for (const QByteArrayView piece : m_writer.output().pieces(space))
        isShared = isShared || piece.data() == body.constData();
    QVERIFY(isShared);
}

void tst_FrameWriter::everyFrameCounts()
{
    m_writer.send(0, Wire::ConnectionClose{});
    QCOMPARE(m_writer.frameCount(), 1);
    m_writer.sendMethod(1, Wire::encodePayload(Wire::TxSelect{}));
    QCOMPARE(m_writer.frameCount(), 2);
    m_writer.sendHeartbeat();
    QCOMPARE(m_writer.frameCount(), 3);
    m_writer.sendContent(3, m_content, {});
    QCOMPARE(m_writer.frameCount(), 5); // method and header
    m_writer.sendContent(3, m_content, "x");
    QCOMPARE(m_writer.frameCount(), 8);
    m_writer.sendContent(3, m_content, QByteArray(4089, 'x'));
    QCOMPARE(m_writer.frameCount(), 12);
}

QTEST_GUILESS_MAIN(tst_FrameWriter)
#include "tst_framewriter.moc"
