// SPDX-License-Identifier: MIT
#include "support/wiresupport.h"
#include "wire/codec_p.h"

#include <QtTest/qtest.h>

using namespace AmqpQt::Wire;
using WireSupport::ExactBytes;

namespace
{

struct ManyBits {
    static constexpr MethodId id{1, 2};
    bool bits[9] = {};
    quint8 octet = 0;
    bool last = false;

    template <typename Self, typename Visitor>
    static void fields(Self &self, Visitor &visitor)
    {
        for (auto &bit : self.bits)
            visitor("bit", bit);
        visitor("octet", self.octet);
        visitor("last", self.last);
    }
};

struct BitsApart {
    static constexpr MethodId id{7, 8};
    bool bits[5] = {};
    ShortString shortString;
    LongString longString;
    Table table;
    quint16 number = 0;

    template <typename Self, typename Visitor>
    static void fields(Self &self, Visitor &visitor)
    {
        visitor("bit", self.bits[0]);
        visitor("short-string", self.shortString);
        visitor("bit", self.bits[1]);
        visitor("long-string", self.longString);
        visitor("bit", self.bits[2]);
        visitor("table", self.table);
        visitor("bit", self.bits[3]);
        visitor("number", self.number);
        visitor("bit", self.bits[4]);
    }
};

struct Strings {
    static constexpr MethodId id{3, 4};
    ShortString shortString;
    LongString longString;

    template <typename Self, typename Visitor>
    static void fields(Self &self, Visitor &visitor)
    {
        visitor("short-string", self.shortString);
        visitor("long-string", self.longString);
    }
};

struct OneTable {
    static constexpr MethodId id{5, 6};
    Table table;

    template <typename Self, typename Visitor>
    static void fields(Self &self, Visitor &visitor)
    {
        visitor("table", self.table);
    }
};

struct Numbers {
    static constexpr MethodId id{0x1234, 0x5678};
    quint8 octet = 0;
    quint16 shortInteger = 0;
    quint32 longInteger = 0;
    quint64 longLongInteger = 0;

    template <typename Self, typename Visitor>
    static void fields(Self &self, Visitor &visitor)
    {
        visitor("octet", self.octet);
        visitor("short", self.shortInteger);
        visitor("long", self.longInteger);
        visitor("longlong", self.longLongInteger);
    }
};

} // namespace

class tst_Codec : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void protocolHeaderNamesVersion091();
    void framesAreLaidOutAsSpecified();
    void frameHeadersAreReadBack();
    void unknownFrameTypesAreReadAsTheyAre();
    void numbersAreBigEndian();
    void consecutiveBitsShareOctets();
    void bitsApartHaveTheirOwnOctets();
    void everyPatternOfBitsIsReadBack();
    void shortStringsCarryAnyTextUpTo255Bytes_data();
    void shortStringsCarryAnyTextUpTo255Bytes();
    void longStringsCarryMoreThanShortOnes();
    void trailingBytesAreTolerated();
    void readsStopAtTheEnd();
    void aFailedReaderStaysFailed();
    void claimedLengthsAreComparedWithTheAvailableBytes_data();
    void claimedLengthsAreComparedWithTheAvailableBytes();
    void tablesAreCheckedWhenTheyAreRead();
};

void tst_Codec::protocolHeaderNamesVersion091()
{
    QCOMPARE(ProtocolHeader.toByteArray().toHex(' '), "41 4d 51 50 00 00 09 01");
}

void tst_Codec::framesAreLaidOutAsSpecified()
{
    const QByteArray frame = encodeFrame(0x0102, Strings{.shortString = "ab", .longString = "c"});
    QCOMPARE(frame.toHex(' '), "01 01 02 00 00 00 0c 00 03 00 04 02 61 62 00 00 00 01 63 ce");
    QCOMPARE(payloadSize(Strings{.shortString = "ab", .longString = "c"}), 12);
    QCOMPARE(encodePayload(Strings{.shortString = "ab", .longString = "c"}), frame.sliced(7, 12));
}

void tst_Codec::frameHeadersAreReadBack()
{
    char bytes[FrameHeaderSize];
    QVERIFY(writeFrameHeader(bytes, FrameType::Body, 0xfffe, 0xfedcba98) == bytes + FrameHeaderSize);
    QCOMPARE(QByteArray(bytes, sizeof bytes).toHex(' '), "03 ff fe fe dc ba 98");
    const FrameHeader header = readFrameHeader(ExactBytes({bytes, sizeof bytes}).operator QByteArrayView().data());
    QCOMPARE(header.type, quint8(FrameType::Body));
    QCOMPARE(header.channel, 0xfffe);
    QCOMPARE(header.size, 0xfedcba98);
}

void tst_Codec::unknownFrameTypesAreReadAsTheyAre()
{
    QCOMPARE(readFrameHeader("\xff\0\0\0\0\0\0").type, 0xff);
}

void tst_Codec::numbersAreBigEndian()
{
    const Numbers numbers{
        .octet = 0x81, .shortInteger = 0x8283, .longInteger = 0x84858687, .longLongInteger = 0x88898a8b8c8d8e8f};
    const QByteArray payload = encodePayload(numbers);
    QCOMPARE(payload.toHex(' '), "12 34 56 78 81 82 83 84 85 86 87 88 89 8a 8b 8c 8d 8e 8f");

    Numbers read;
    QCOMPARE(decodeArguments(ExactBytes(payload.sliced(4)), read), nullptr);
    QCOMPARE(read.octet, numbers.octet);
    QCOMPARE(read.shortInteger, numbers.shortInteger);
    QCOMPARE(read.longInteger, numbers.longInteger);
    QCOMPARE(read.longLongInteger, numbers.longLongInteger);
}

void tst_Codec::consecutiveBitsShareOctets()
{
    // The first bit is the lowest one; the ninth opens a second octet; a bit after another type opens a third.
    const ManyBits method{
        .bits = {true, false, true, false, false, false, false, true, true}, .octet = 0x55, .last = true};
    QCOMPARE(payloadSize(method), 8);
    QCOMPARE(encodePayload(method).toHex(' '), "00 01 00 02 85 01 55 01");
}

void tst_Codec::bitsApartHaveTheirOwnOctets()
{
    for (int pattern = 0; pattern < 1 << 5; ++pattern) {
        BitsApart method{.shortString = "a", .longString = "b"};
        QByteArray expected = QByteArray::fromHex("00070008");
        const char *const between[] = {"0161", "0000000162", "00000000", "0000", ""};
        for (int i = 0; i < 5; ++i) {
            method.bits[i] = pattern >> i & 1;
            expected += char(method.bits[i]) + QByteArray::fromHex(between[i]);
        }
        QCOMPARE(payloadSize(method), expected.size());
        QCOMPARE(encodePayload(method).toHex(), expected.toHex());
        const ExactBytes arguments(expected.sliced(4));
        BitsApart read;
        QCOMPARE(decodeArguments(arguments, read), nullptr);
        QCOMPARE(WireSupport::collected(read), WireSupport::collected(method));
    }
}

void tst_Codec::everyPatternOfBitsIsReadBack()
{
    for (int pattern = 0; pattern < 1 << 10; ++pattern) {
        ManyBits method;
        for (int i = 0; i < 9; ++i)
            method.bits[i] = pattern >> i & 1;
        method.last = pattern >> 9;
        ManyBits read;
        QCOMPARE(decodeArguments(ExactBytes(encodePayload(method).sliced(4)), read), nullptr);
        QCOMPARE(WireSupport::collected(read), WireSupport::collected(method));
    }
}

void tst_Codec::shortStringsCarryAnyTextUpTo255Bytes_data()
{
    QTest::addColumn<QByteArray>("text");
    QTest::newRow("empty") << QByteArray();
    QTest::newRow("127 bytes") << QByteArray(127, 'a');
    QTest::newRow("128 bytes") << QByteArray(128, 'b');
    QTest::newRow("255 bytes") << QByteArray(255, 'c');
    QTest::newRow("Cyrillic") << QByteArray("очередь").repeated(18);
    QTest::newRow("Han") << QByteArray("队列").repeated(42);
    QTest::newRow("Arabic") << QByteArray("طابور");
    QTest::newRow("beyond the basic plane") << QByteArray("🐇").repeated(63);
    QTest::newRow("zeros") << QByteArray(3, '\0');
}

void tst_Codec::shortStringsCarryAnyTextUpTo255Bytes()
{
    QFETCH(QByteArray, text);
    const QByteArray payload = encodePayload(Strings{.shortString = text, .longString = {}});
    QCOMPARE(payload.size(), 4 + 1 + text.size() + 4);
    QCOMPARE(quint8(payload.at(4)), text.size());

    const ExactBytes arguments(QByteArrayView(payload).sliced(4));
    Strings read;
    QCOMPARE(decodeArguments(arguments, read), nullptr);
    QCOMPARE(read.shortString.toByteArray(), text);
}

void tst_Codec::longStringsCarryMoreThanShortOnes()
{
    const QByteArray text(70000, 'x');
    const QByteArray payload = encodePayload(Strings{.shortString = {}, .longString = text});
    QCOMPARE(payload.sliced(5, 4).toHex(), "00011170");

    const ExactBytes arguments(QByteArrayView(payload).sliced(4));
    Strings read;
    QCOMPARE(decodeArguments(arguments, read), nullptr);
    QCOMPARE(read.longString.toByteArray(), text);
}

void tst_Codec::trailingBytesAreTolerated()
{
    const ExactBytes arguments(QByteArray::fromHex("0161 00000000 ffffff"));
    Strings read;
    QCOMPARE(decodeArguments(arguments, read), nullptr);
    QCOMPARE(read.shortString.toByteArray(), "a");
}

void tst_Codec::readsStopAtTheEnd()
{
    const QByteArray nine = QByteArray::fromHex("000000000000000000");
    for (qsizetype size = 0; size < 8; ++size) {
        const ExactBytes bytes(nine.first(size));
        QCOMPARE(Reader(bytes).remaining(), size);
        Reader octet(bytes), shortInteger(bytes), longInteger(bytes), longLongInteger(bytes), view(bytes);
        octet.number<quint8>();
        QCOMPARE(octet.failed(), size < 1);
        shortInteger.number<quint16>();
        QCOMPARE(shortInteger.failed(), size < 2);
        longInteger.number<quint32>();
        QCOMPARE(longInteger.failed(), size < 4);
        longLongInteger.number<quint64>();
        QVERIFY(longLongInteger.failed());
        QCOMPARE(view.bytes(size).size(), size);
        QVERIFY(!view.failed());
        view.bytes(1);
        QVERIFY(view.failed());
    }
}

void tst_Codec::aFailedReaderStaysFailed()
{
    const ExactBytes bytes(QByteArray::fromHex("ffffff"));
    Reader reader(bytes);
    QCOMPARE(reader.number<quint32>(), 0u);
    QVERIFY(reader.failed());
    QCOMPARE(reader.error(), "truncated");
    QCOMPARE(reader.remaining(), 0);
    QCOMPARE(reader.number<quint8>(), 0); // the value would have fitted
    QVERIFY(reader.shortString().isEmpty());
    QVERIFY(reader.longString().isEmpty());
    QVERIFY(reader.table().contents.isEmpty());
    QVERIFY(reader.failed());
    QCOMPARE(reader.error(), "truncated");
}

void tst_Codec::claimedLengthsAreComparedWithTheAvailableBytes_data()
{
    QTest::addColumn<QByteArray>("arguments");
    QTest::newRow("short string by one") << QByteArray::fromHex("03 6161");
    QTest::newRow("short string, longest claim") << QByteArray::fromHex("ff 00000000");
    QTest::newRow("long string by one") << QByteArray::fromHex("00 00000003 6161");
    QTest::newRow("long string, 2 GiB") << QByteArray::fromHex("00 80000000 6161");
    QTest::newRow("long string, longest claim") << QByteArray::fromHex("00 ffffffff 6161");
    QTest::newRow("length cut off") << QByteArray::fromHex("00 000000");
}

void tst_Codec::claimedLengthsAreComparedWithTheAvailableBytes()
{
    QFETCH(QByteArray, arguments);
    Strings read;
    QCOMPARE(decodeArguments(ExactBytes(arguments), read), "truncated");
}

void tst_Codec::tablesAreCheckedWhenTheyAreRead()
{
    OneTable read;
    const ExactBytes good(QByteArray::fromHex("00000004 01 61 74 01"));
    QCOMPARE(decodeArguments(good, read), nullptr);
    QCOMPARE(read.table.contents.toByteArray().toHex(), "01617401");

    const ExactBytes unknownType(QByteArray::fromHex("00000004 01 61 3f 01"));
    QCOMPARE(decodeArguments(unknownType, read), "unknown type in a field table");
    QVERIFY(read.table.contents.isEmpty());
    const ExactBytes longerThanItsTable(QByteArray::fromHex("00000005 01 61 49 0000 0000"));
    QCOMPARE(decodeArguments(longerThanItsTable, read), "truncated field table");
    const ExactBytes longerThanTheArguments(QByteArray::fromHex("00000005 01 61 74 01"));
    QCOMPARE(decodeArguments(longerThanTheArguments, read), "truncated");
}

QTEST_APPLESS_MAIN(tst_Codec)
#include "tst_codec.moc"
