// SPDX-License-Identifier: MIT
#include "engine/buffers/outputbuffer_p.h"

#include <QtCore/qrandom.h>
#include <QtCore/qset.h>
#include <QtTest/qtest.h>

#include <array>
#include <cstring>

using AmqpQt::Engine::OutputBuffer;

class tst_OutputBuffer : public QObject
{
    Q_OBJECT
private Q_SLOTS:
    void isEmptyAtFirst();
    void smallPartsStandTogether();
    void largePartsAreShared();
    void partsOfAByteArrayKeepTheirPlace();
    void reportsThePiecesInOrder();
    void consumesAcrossChunks();
    void acceptsMoreWhilePartlyConsumed();
    void clearForgetsEverything();
    void wipesSecretsOnceTheyAreWritten();
    void keepsSpareChunks();
    void aBurstReusesTheMemoryOfThePreviousBurst();
    void decodedTableEqualsTheEncodedOne_data();
    void decodedTableEqualsTheEncodedOne();
};

namespace
{

void append(OutputBuffer &buffer, QByteArrayView bytes)
{
    std::memcpy(buffer.append(bytes.size()), bytes.data(), size_t(bytes.size()));
}

QByteArray drain(OutputBuffer &buffer, qsizetype piece = 1'000'000)
{
    QByteArray all;
    while (!buffer.isEmpty()) {
        const QByteArrayView front = buffer.front();
        const qsizetype size = std::min(piece, front.size());
        all.append(front.first(size));
        buffer.consume(size);
    }
    return all;
}

} // namespace

void tst_OutputBuffer::isEmptyAtFirst()
{
    OutputBuffer buffer;
    QVERIFY(buffer.isEmpty());
    QVERIFY(buffer.front().isEmpty());
    QCOMPARE(buffer.size(), 0);
}

void tst_OutputBuffer::smallPartsStandTogether()
{
    OutputBuffer buffer;
    append(buffer, "one ");
    append(buffer, "two ");
    const QByteArray three = "three";
    buffer.append(three, 0, three.size());
    QCOMPARE(buffer.front(), QByteArrayView("one two three")); // one write
    QCOMPARE(buffer.size(), 13);
}

void tst_OutputBuffer::largePartsAreShared()
{
    OutputBuffer buffer;
    const QByteArray large(OutputBuffer::ShareThreshold, 'l');
    const QByteArray small(OutputBuffer::ShareThreshold - 1, 's');
    append(buffer, "head");
    buffer.append(large, 0, large.size());
    append(buffer, "tail");
    buffer.append(small, 0, small.size());
    QCOMPARE(buffer.front(), QByteArrayView("head"));
    buffer.consume(4);
    QVERIFY(buffer.front().data() == large.constData());
    QVERIFY(!large.isDetached());
    buffer.consume(large.size());
    QVERIFY(large.isDetached()); // released as soon as it is written
    QCOMPARE(drain(buffer), "tail" + small);
}

void tst_OutputBuffer::partsOfAByteArrayKeepTheirPlace()
{
    OutputBuffer buffer;
    QByteArray bytes(3 * OutputBuffer::ShareThreshold, 'x');
    for (qsizetype i = 0; i < bytes.size(); ++i)
        bytes[i] = char(i * 31);
    buffer.append(bytes, OutputBuffer::ShareThreshold, OutputBuffer::ShareThreshold);
    QVERIFY(buffer.front().data() == bytes.constData() + OutputBuffer::ShareThreshold);
    buffer.append(bytes, 10, 20);
    buffer.append(bytes, 0, 0);
    QCOMPARE(buffer.size(), OutputBuffer::ShareThreshold + 20);
    QCOMPARE(drain(buffer), bytes.mid(OutputBuffer::ShareThreshold, OutputBuffer::ShareThreshold) + bytes.mid(10, 20));
}

void tst_OutputBuffer::reportsThePiecesInOrder()
{
    OutputBuffer buffer;
    std::array<QByteArrayView, 3> space;
    QVERIFY(buffer.pieces(space).empty());
    const QByteArray large(OutputBuffer::ShareThreshold, 'l');
    append(buffer, "head");
    buffer.append(large, 0, large.size());
    append(buffer, "tail and head");
    buffer.append(large, 0, large.size());
    append(buffer, "tail");
    buffer.consume(1);

    const std::span<const QByteArrayView> pieces = buffer.pieces(space);
    QCOMPARE(pieces.size(), 3u);
    QCOMPARE(pieces[0], "ead");
    QVERIFY(pieces[1].data() == large.constData());
    QCOMPARE(pieces[1].size(), large.size());
    QCOMPARE(pieces[2], "tail and head");
    buffer.consume(3 + large.size() + 13 + 10); // ends within the second large piece
    QCOMPARE(buffer.pieces(space).size(), 2u);
    QVERIFY(space[0].data() == large.constData() + 10);
    QCOMPARE(buffer.pieces(std::span(space).first(1)).size(), 1u);
}

void tst_OutputBuffer::consumesAcrossChunks()
{
    OutputBuffer buffer;
    const QByteArray large(50'000, 'l');
    append(buffer, "ab");
    buffer.append(large, 0, large.size());
    append(buffer, "cd");
    buffer.consume(2 + 50'000 + 1);
    QCOMPARE(buffer.front(), QByteArrayView("d"));
    QCOMPARE(buffer.size(), 1);
    buffer.consume(1);
    QVERIFY(buffer.isEmpty());
    buffer.consume(0);
}

void tst_OutputBuffer::acceptsMoreWhilePartlyConsumed()
{
    OutputBuffer buffer;
    append(buffer, "abc");
    buffer.consume(2);
    append(buffer, "def");
    QCOMPARE(buffer.front(), QByteArrayView("cdef"));
    buffer.consume(4);
    append(buffer, "ghi");
    QCOMPARE(drain(buffer), "ghi");
}

void tst_OutputBuffer::clearForgetsEverything()
{
    OutputBuffer buffer;
    const QByteArray large(50'000, 'l');
    append(buffer, "abc");
    buffer.append(large, 0, large.size());
    buffer.clear();
    QVERIFY(buffer.isEmpty());
    QVERIFY(buffer.front().isEmpty());
    QVERIFY(large.isDetached());
    append(buffer, "new");
    QCOMPARE(drain(buffer), "new");
}

// The memory of a small chunk is kept for the next burst, so it can still be read.
void tst_OutputBuffer::wipesSecretsOnceTheyAreWritten()
{
    OutputBuffer buffer;
    append(buffer, "public ");
    const char *begin = buffer.front().data();
    append(buffer, "secret");
    buffer.markSecret();
    append(buffer, " public");
    buffer.consume(19);
    QCOMPARE(QByteArrayView(begin, 20), QByteArrayView("public secret public")); // not written yet
    buffer.consume(1);
    QCOMPARE(QByteArrayView(begin, 20), QByteArray(20, '\0'));

    append(buffer, "public");
    QVERIFY(buffer.front().data() == begin); // the same memory
    buffer.consume(6);
    QCOMPARE(QByteArrayView(begin, 6), QByteArrayView("public")); // no longer marked
}

void tst_OutputBuffer::keepsSpareChunks()
{
    OutputBuffer buffer;
    append(buffer, QByteArray(100, 'a'));
    const char *memory = buffer.front().data();
    buffer.consume(100);
    append(buffer, QByteArray(100, 'b'));
    QVERIFY(buffer.front().data() == memory); // no allocation for each turn
    buffer.consume(100);
    append(buffer, QByteArray(100'000, 'c')); // the spare chunk is too small
    append(buffer, QByteArray(10, 'd'));
    buffer.consume(100'010);
    buffer.releaseSpare();
    buffer.releaseSpare();
    append(buffer, "e");
    QCOMPARE(drain(buffer), "e");
}

void tst_OutputBuffer::aBurstReusesTheMemoryOfThePreviousBurst()
{
    OutputBuffer buffer;
    const auto burst = [&buffer] {
        for (int i = 0; i < 40; ++i)
            append(buffer, QByteArray(10'000, 'a'));
        std::array<QByteArrayView, 32> space;
        QSet<const char *> chunks;
        for (const QByteArrayView piece : buffer.pieces(space))
            chunks.insert(piece.data());
        buffer.consume(qsizetype(buffer.size()));
        return chunks;
    };
    burst(); // begins with a small chunk
    const QSet<const char *> before = burst();
    QVERIFY(before.size() > 2);
    QCOMPARE(burst(), before);
    QVERIFY(buffer.hasSpare());
    buffer.releaseSpare();
    QVERIFY(!buffer.hasSpare());
}

void tst_OutputBuffer::decodedTableEqualsTheEncodedOne_data()
{
    QTest::addColumn<quint32>("seed");
    for (quint32 seed = 1; seed <= 10; ++seed)
        QTest::addRow("%u", seed) << seed;
}

void tst_OutputBuffer::decodedTableEqualsTheEncodedOne()
{
    QFETCH(quint32, seed);
    QRandomGenerator random(seed);
    OutputBuffer buffer;
    QByteArray in;
    QByteArray out;
    for (int i = 0; i < 1000; ++i) {
        switch (random.bounded(5)) {
        case 0:
            out += drain(buffer, random.bounded(1, 40'000));
            break;
        case 1: {
            const qsizetype size = std::min(buffer.front().size(), qsizetype(random.bounded(5000)));
            out.append(buffer.front().first(size));
            buffer.consume(size);
            break;
        }
        case 2: {
            QByteArray bytes(random.bounded(1, 200), Qt::Uninitialized);
            random.generate(bytes.begin(), bytes.end());
            append(buffer, bytes);
            in += bytes;
            break;
        }
        case 3: {
            std::array<QByteArrayView, 4> space;
            qsizetype size = 0;
            for (const QByteArrayView piece : buffer.pieces(space)) {
                out.append(piece);
                size += piece.size();
            }
            buffer.consume(size);
            break;
        }
        case 4: {
            QByteArray bytes(random.bounded(2) ? random.bounded(100) : random.bounded(100'000), Qt::Uninitialized);
            random.generate(bytes.begin(), bytes.end());
            const qsizetype offset = random.bounded(int(bytes.size()) + 1);
            buffer.append(bytes, offset, bytes.size() - offset);
            in += bytes.sliced(offset);
            break;
        }
        }
        QCOMPARE(buffer.size(), in.size() - out.size());
        QCOMPARE(buffer.isEmpty(), buffer.front().isEmpty());
    }
    out += drain(buffer);
    QVERIFY(out == in);
}

QTEST_APPLESS_MAIN(tst_OutputBuffer)
#include "tst_outputbuffer.moc"
