// SPDX-License-Identifier: MIT
#include "support/wiresupport.h"
#include "wire/contentheader_p.h"

#include <QtTest/qtest.h>

using namespace AmqpQt::Wire;
using namespace Qt::StringLiterals;
using WireSupport::ExactBytes;

namespace
{

constexpr quint16 AllFlags = 0xfffc;

const QByteArray someHeaders = QByteArray::fromHex("01 61 49 00000001"); // a=1

BasicProperties allProperties()
{
    return {.flags = AllFlags,
            .contentType = "text/plain",
            .contentEncoding = "gzip",
            .headers = {someHeaders},
            .deliveryMode = 2,
            .priority = 9,
            .correlationId = "корреляция",
            .replyTo = "amq.rabbitmq.reply-to",
            .expiration = "60000",
            .messageId = "消息",
            .timestamp = 1700000000,
            .type = "t",
            .userId = "guest",
            .appId = "a",
            .clusterId = "c"};
}

QByteArray contentHeader(quint16 classId, quint64 bodySize, const QByteArray &properties)
{
    QByteArray payload(ContentHeaderPrefix, '\x55');
    writeContentHeaderPrefix(payload.data(), classId, bodySize);
    return payload + properties;
}

} // namespace

class tst_ContentHeader : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void headersAreLaidOutAsSpecified();
    void propertiesAreLaidOutAsSpecified_data();
    void propertiesAreLaidOutAsSpecified();
    void everyCombinationOfPropertiesSurvivesARoundTrip();
    void absentPropertiesAreNotEncoded();
    void decodingReplacesPreviousValues();
    void limitsSurviveARoundTrip();
    void theBodyMayBeOfAnySize_data();
    void theBodyMayBeOfAnySize();
    void theWeightIsIgnored();
    void paddingIsToleratedAndNotForwarded();
    void unknownFlagsAreIgnored_data();
    void unknownFlagsAreIgnored();
    void malformedHeadersLeaveTheOtherProperties_data();
    void malformedHeadersLeaveTheOtherProperties();
    void propertiesInFrontOfAFaultAreRead();
    void mutatedHeadersAreDecodedFaithfullyOrRejected();
};

void tst_ContentHeader::headersAreLaidOutAsSpecified()
{
    const QByteArray properties = encodeProperties({.flags = PriorityFlag, .priority = 5});
    const QByteArray payload = contentHeader(60, 0x0102030405060708, properties);
    QCOMPARE(payload.toHex(' '), "00 3c 00 00 01 02 03 04 05 06 07 08 08 00 05");

    const ExactBytes bytes(payload);
    ContentHeader header;
    QVERIFY(decodeContentHeader(bytes, header) && !header.undecodable);
    QCOMPARE(header.classId, 60);
    QCOMPARE(header.bodySize, 0x0102030405060708u);
    QCOMPARE(header.properties.toByteArray().toHex(' '), "08 00 05");
}

void tst_ContentHeader::propertiesAreLaidOutAsSpecified_data()
{
    QTest::addColumn<quint16>("flags");
    QTest::addColumn<QByteArray>("expected");
    const auto row = [](const char *name, quint16 flags, const char *hex) {
        QTest::newRow(name) << flags << QByteArray::fromHex(hex).toHex();
    };
    row("none", 0, "0000");
    row("content-type", ContentTypeFlag, "8000 0a 746578742f706c61696e");
    row("content-encoding", ContentEncodingFlag, "4000 04 677a6970");
    row("headers", HeadersFlag, "2000 00000007 01 61 49 00000001");
    row("delivery-mode", DeliveryModeFlag, "1000 02");
    row("priority", PriorityFlag, "0800 09");
    row("correlation-id", CorrelationIdFlag, "0400 14 d0bad0bed180d180d0b5d0bbd18fd186d0b8d18f");
    row("reply-to", ReplyToFlag, "0200 15 616d712e7261626269746d712e7265706c792d746f");
    row("expiration", ExpirationFlag, "0100 05 3630303030");
    row("message-id", MessageIdFlag, "0080 06 e6b688e681af");
    row("timestamp", TimestampFlag, "0040 000000006553f100");
    row("type", TypeFlag, "0020 01 74");
    row("user-id", UserIdFlag, "0010 05 6775657374");
    row("app-id", AppIdFlag, "0008 01 61");
    row("cluster-id", ClusterIdFlag, "0004 01 63");
    row("all", AllFlags,
        "fffc 0a 746578742f706c61696e 04 677a6970 00000007 01 61 49 00000001 02 09"
        "14 d0bad0bed180d180d0b5d0bbd18fd186d0b8d18f 15 616d712e7261626269746d712e7265706c792d746f"
        "05 3630303030 06 e6b688e681af 000000006553f100 01 74 05 6775657374 01 61 01 63");
}

void tst_ContentHeader::propertiesAreLaidOutAsSpecified()
{
    QFETCH(quint16, flags);
    QFETCH(QByteArray, expected);
    BasicProperties properties = allProperties();
    properties.flags = flags;
    QCOMPARE(encodeProperties(properties).toHex(), expected);
}

void tst_ContentHeader::everyCombinationOfPropertiesSurvivesARoundTrip()
{
    BasicProperties sent = allProperties();
    for (int mask = 0; mask < 1 << 14; ++mask) {
        sent.flags = quint16(mask << 2);
        const ExactBytes bytes(encodeProperties(sent));
        BasicProperties received;
        QCOMPARE(decodeProperties(bytes, received), nullptr);
        QCOMPARE(received.flags, sent.flags);
        QCOMPARE(WireSupport::collected(received), WireSupport::collected(sent));

        const ExactBytes payload(contentHeader(60, 1, QByteArrayView(bytes).toByteArray()));
        ContentHeader header;
        QVERIFY(decodeContentHeader(payload, header) && !header.undecodable);
        QCOMPARE(header.properties.toByteArray(), QByteArrayView(bytes).toByteArray());
    }
}

void tst_ContentHeader::absentPropertiesAreNotEncoded()
{
    BasicProperties properties = allProperties();
    properties.flags = 0;
    QCOMPARE(encodeProperties(properties), QByteArray(2, '\0'));
    // A property may be present and empty.
    QCOMPARE(encodeProperties({.flags = ReplyToFlag | HeadersFlag}).toHex(), "22000000000000");
}

void tst_ContentHeader::decodingReplacesPreviousValues()
{
    BasicProperties properties = allProperties();
    QCOMPARE(decodeProperties(ExactBytes(QByteArray::fromHex("0800 05")), properties), nullptr);
    QCOMPARE(properties.flags, quint16(PriorityFlag));
    QCOMPARE(properties.priority, 5);
    properties.flags = AllFlags;
    QCOMPARE(WireSupport::collected(properties),
             WireSupport::collected(BasicProperties{.flags = AllFlags, .priority = 5}));
}

void tst_ContentHeader::limitsSurviveARoundTrip()
{
    const QByteArray longest(255, 'x');
    constexpr quint16 flags = ContentTypeFlag | DeliveryModeFlag | PriorityFlag | TimestampFlag | ClusterIdFlag;
    const BasicProperties sent{.flags = flags,
                               .contentType = longest,
                               .deliveryMode = 255,
                               .priority = 255,
                               .timestamp = ~quint64(0),
                               .clusterId = longest};
    const ExactBytes bytes(encodeProperties(sent));
    BasicProperties received;
    QCOMPARE(decodeProperties(bytes, received), nullptr);
    QCOMPARE(WireSupport::collected(received), WireSupport::collected(sent));
}

void tst_ContentHeader::theBodyMayBeOfAnySize_data()
{
    QTest::addColumn<quint64>("size");
    QTest::newRow("empty") << quint64(0);
    QTest::newRow("2^32") << (quint64(1) << 32);
    QTest::newRow("2^63") << (quint64(1) << 63);
    QTest::newRow("2^64-1") << ~quint64(0);
}

void tst_ContentHeader::theBodyMayBeOfAnySize()
{
    QFETCH(quint64, size);
    ContentHeader header;
    QVERIFY(decodeContentHeader(ExactBytes(contentHeader(60, size, QByteArray(2, '\0'))), header) &&
            !header.undecodable);
    QCOMPARE(header.bodySize, size);
}

void tst_ContentHeader::theWeightIsIgnored()
{
    ContentHeader header;
    QVERIFY(decodeContentHeader(ExactBytes(QByteArray::fromHex("003c ffff 0000000000000003 0000")), header) &&
            !header.undecodable);
    QCOMPARE(header.classId, 60);
    QCOMPARE(header.bodySize, 3u);
}

void tst_ContentHeader::paddingIsToleratedAndNotForwarded()
{
    const ExactBytes bytes(contentHeader(60, 0, QByteArray::fromHex("0800 05 ffffff")));
    ContentHeader header;
    QVERIFY(decodeContentHeader(bytes, header) && !header.undecodable);
    QCOMPARE(header.properties.toByteArray().toHex(), "080005");
}

void tst_ContentHeader::unknownFlagsAreIgnored_data()
{
    QTest::addColumn<QByteArray>("properties");
    QTest::addColumn<quint16>("flags");
    QTest::newRow("a second word of flags") << QByteArray::fromHex("0801 05") << quint16(PriorityFlag);
    QTest::newRow("a fifteenth property") << QByteArray::fromHex("0002") << quint16(0);
    QTest::newRow("all bits") << QByteArray::fromHex("ffff") + encodeProperties(allProperties()).sliced(2) << AllFlags;
}

// RabbitMQ ignores these flags and delivers the bytes unchanged.
void tst_ContentHeader::unknownFlagsAreIgnored()
{
    QFETCH(QByteArray, properties);
    QFETCH(quint16, flags);
    BasicProperties values;
    QCOMPARE(decodeProperties(ExactBytes(properties), values), nullptr);
    QCOMPARE(values.flags, flags);
    ContentHeader header;
    const ExactBytes payload(contentHeader(60, 0, properties));
    QVERIFY(decodeContentHeader(payload, header) && !header.undecodable);
    QCOMPARE(header.properties.toByteArray().toHex(), properties.toHex());
}

void tst_ContentHeader::malformedHeadersLeaveTheOtherProperties_data()
{
    QTest::addColumn<QByteArray>("table");
    QTest::addColumn<QByteArray>("problem");
    const auto nested = [](const QByteArray &prefix, int levels) {
        QByteArray value("t\x01");
        for (int i = 0; i < levels; ++i) {
            const QByteArray contents = (prefix == "F" ? QByteArray("\x01k") : QByteArray()) + value;
            QByteArray length(4, '\0');
            qToBigEndian(quint32(contents.size()), length.data());
            value = prefix + length + contents;
        }
        return "\x01k" + value;
    };
    for (const int levels : {32, 40, 200, 5000}) { // the table itself is a level, too
        QTest::addRow("tables %d levels deep", levels)
            << nested("F", levels) << QByteArray("field table nested too deeply");
        QTest::addRow("arrays %d levels deep", levels)
            << nested("A", levels) << QByteArray("field table nested too deeply");
    }
    QTest::newRow("unknown type") << QByteArray("\x01k?") << QByteArray("unknown type in a field table");
    QTest::newRow("truncated") << QByteArray("\x01kI") << QByteArray("truncated field table");
    QTest::newRow("key without end") << QByteArray("\x09k") << QByteArray("truncated field table");
}

void tst_ContentHeader::malformedHeadersLeaveTheOtherProperties()
{
    QFETCH(QByteArray, table);
    QFETCH(QByteArray, problem);
    const QByteArray properties = encodeProperties({.flags = HeadersFlag | ContentTypeFlag | MessageIdFlag,
                                                    .contentType = "text/plain",
                                                    .headers = {table},
                                                    .messageId = "id"});
    const ExactBytes payload(contentHeader(60, 7, properties));
    ContentHeader header;
    QVERIFY(decodeContentHeader(payload, header));
    QCOMPARE(header.bodySize, 7u);
    QCOMPARE(QByteArray(header.undecodable), problem);
    QCOMPARE(header.properties.toByteArray().toHex(), properties.toHex());
    BasicProperties values;
    QCOMPARE(decodeProperties(header.properties, values), nullptr);
    QCOMPARE(values.contentType.toByteArray(), "text/plain");
    QCOMPARE(values.messageId.toByteArray(), "id");
    QCOMPARE(encodeProperties(values).toHex(), properties.toHex());
}

void tst_ContentHeader::propertiesInFrontOfAFaultAreRead()
{
    const QByteArray payload = contentHeader(60, 1, encodeProperties(allProperties()));
    for (qsizetype size = 0; size < payload.size(); ++size) {
        ContentHeader header;
        const ExactBytes part(payload.first(size));
        const bool isHeader = decodeContentHeader(part, header);
        QCOMPARE(isHeader, size >= ContentHeaderPrefix + 2);
        if (!isHeader)
            continue;
        QCOMPARE(header.undecodable, "truncated");
        QCOMPARE(header.properties.toByteArray(), payload.first(size).sliced(ContentHeaderPrefix));
        BasicProperties values;
        QCOMPARE(decodeProperties(header.properties, values), "truncated");
        const QByteArray read = encodeProperties(values);
        QVERIFY(read.size() <= header.properties.size());
        QCOMPARE(read.sliced(2).toHex(), header.properties.sliced(2, read.size() - 2).toByteArray().toHex());
    }
}

void tst_ContentHeader::mutatedHeadersAreDecodedFaithfullyOrRejected()
{
    QRandomGenerator random(0xc0ffee);
    int read = 0, malformed = 0;
    for (int i = 0; i < 100'000; ++i) {
        BasicProperties sent = allProperties();
        sent.flags = quint16(random.generate()) & AllFlags;
        const ExactBytes payload(WireSupport::mutated(contentHeader(60, 1, encodeProperties(sent)), random));
        ContentHeader header;
        if (!decodeContentHeader(payload, header) || header.undecodable) {
            ++malformed;
            continue;
        }
        ++read;
        BasicProperties received;
        QCOMPARE(decodeProperties(header.properties, received), nullptr);
        QCOMPARE(encodeProperties(received).sliced(2).toHex(), header.properties.sliced(2).toByteArray().toHex());
    }
    QVERIFY2(read > 10000 && malformed > 10000, qPrintable(u"%1 read, %2 malformed"_s.arg(read).arg(malformed)));
}

QTEST_APPLESS_MAIN(tst_ContentHeader)
#include "tst_contentheader.moc"
