// SPDX-License-Identifier: MIT
#include "support/wiresupport.h"
#include "wire/fieldtable_p.h"

#include <QtCore/qdatetime.h>
#include <QtCore/qsize.h>
#include <QtCore/qurl.h>
#include <QtCore/quuid.h>
#include <QtTest/qtest.h>

#include <cmath>
#include <limits>

using namespace AmqpQt;
using namespace AmqpQt::Wire;
using namespace Qt::StringLiterals;
using WireSupport::ExactBytes;

namespace
{

template <typename T>
constexpr T smallest = std::numeric_limits<T>::min();
template <typename T>
constexpr T largest = std::numeric_limits<T>::max();

template <typename T>
QVariant of(T value)
{
    return QVariant::fromValue(value);
}

QDateTime utc(qint64 seconds)
{
    return QDateTime::fromSecsSinceEpoch(seconds).toUTC();
}

// The contents of the table {"k": value}.
QByteArray tableOf(const QByteArray &encodedValue)
{
    return "\x01k" + encodedValue;
}

QByteArray lengthAnd(const QByteArray &bytes)
{
    QByteArray length(4, '\0');
    qToBigEndian(quint32(bytes.size()), length.data());
    return length + bytes;
}

QByteArray encoded(const FieldTable &table)
{
    const Result<QByteArray> contents = encodeTable(table, u"headers");
    if (!contents)
        qFatal("%s", qPrintable(contents.error().text()));
    return *contents;
}

QString encodingError(const FieldTable &table)
{
    const Result<QByteArray> contents = encodeTable(table, u"headers");
    if (contents.has_value() || contents.error().kind() != ErrorKind::InvalidArgument)
        return {};
    return contents.error().text();
}

FieldTable decoded(const QByteArray &contents)
{
    const ExactBytes bytes(contents);
    if (const char *error = checkTable(bytes))
        qFatal("%s", error);
    return decodeTable(bytes);
}

// A table of `levels` levels, including itself.
FieldTable nestedTables(int levels)
{
    FieldTable table;
    for (; levels > 1; --levels)
        table = {{u"k"_s, table}};
    return table;
}

QByteArray nestedContents(int levels, char type)
{
    QByteArray contents;
    for (; levels > 1; --levels)
        contents = (type == 'F' || levels == 2 ? QByteArray("\x01k") : QByteArray()) + type + lengthAnd(contents);
    return contents;
}

// Each entry of a table with each type.
QByteArrayList entriesOfEachType()
{
    const QByteArray array = "I" + QByteArray(4, '\x11') + "S" + lengthAnd("deep") + "V";
    const QByteArray decimals = tableOf(QByteArray("D\2\0\0\1\0", 6));
    const QByteArray table = tableOf("A" + lengthAnd(array)) + tableOf("F" + lengthAnd(decimals));
    QByteArrayList entries;
    for (const QByteArray &value :
         {QByteArray("t\1", 2), QByteArray("b\x80", 2), QByteArray("B\xff", 2), QByteArray("s\x80\0", 3),
          QByteArray("u\xff\xff", 3), QByteArray("U\x7f\xff", 3), QByteArray("I\x80\0\0\0", 5),
          QByteArray("i\xff\xff\xff\xff", 5), QByteArray("l\x80\0\0\0\0\0\0\0", 9),
          QByteArray("L\x7f\xff\xff\xff\xff\xff\xff\xff", 9), QByteArray("f\x3f\x80\0\0", 5),
          QByteArray("d\x3f\xf0\0\0\0\0\0\0", 9), QByteArray("D\2\0\0\1\x3a", 6), "S" + lengthAnd("text"),
          "A" + lengthAnd(array), QByteArray("T\0\0\0\0\x65\x53\xf1\0", 9), "F" + lengthAnd(table),
          "x" + lengthAnd("bytes"), QByteArray("V")})
        entries.append("\x05key-" + value.first(1) + value);
    return entries;
}

} // namespace

class tst_FieldTable : public QObject
{
    Q_OBJECT

private Q_SLOTS:
    void valuesAreLaidOutByTheirType_data();
    void valuesAreLaidOutByTheirType();
    void otherTypesAreSentAsTheirNearestOne_data();
    void otherTypesAreSentAsTheirNearestOne();
    void otherEncodingsAreRead_data();
    void otherEncodingsAreRead();
    void valuesWithoutCounterpartAreRejected_data();
    void valuesWithoutCounterpartAreRejected();
    void errorsNameTheArgumentAndThePath();
    void validateReturnsTheSameWithoutAnArgument();
    void keysHaveAtMost255Bytes();
    void keysAreReadWhateverTheirBytesAre();
    void theLastOfEqualKeysCounts();
    void tablesNestUpTo32Levels();
    void nestingIsCheckedOnReceipt_data();
    void nestingIsCheckedOnReceipt();
    void moreThanFourGiBAreRejected();
    void malformedTablesAreFound_data();
    void malformedTablesAreFound();
    void everyOtherTypeLetterIsUnknown();
    void tablesCutOffAnywhereButBetweenEntriesAreMalformed();
    void mutatedTablesAreDecodedOrRejected();
    void decimalsConvertToDouble();
    void decimalsConvertToText();
};

void tst_FieldTable::valuesAreLaidOutByTheirType_data()
{
    QTest::addColumn<QVariant>("value");
    QTest::addColumn<QByteArray>("expected");
    const auto row = [](const char *name, const QVariant &value, const char *hex) {
        QTest::newRow(name) << value << QByteArray::fromHex(hex);
    };
    row("true", true, "74 01");
    row("false", false, "74 00");
    row("b zero", of<qint8>(0), "62 00");
    row("b least", of<qint8>(-128), "62 80");
    row("b greatest", of<qint8>(127), "62 7f");
    row("b -1", of<qint8>(-1), "62 ff");
    row("B zero", of<quint8>(0), "42 00");
    row("B greatest", of<quint8>(255), "42 ff");
    row("s least", of<qint16>(-32768), "73 8000");
    row("s -2", of<qint16>(-2), "73 fffe");
    row("s greatest", of<qint16>(32767), "73 7fff");
    row("u zero", of<quint16>(0), "75 0000");
    row("u greatest", of<quint16>(65535), "75 ffff");
    row("I zero", 0, "49 00000000");
    row("I one", 1, "49 00000001");
    row("I -1", -1, "49 ffffffff");
    row("I least", smallest<qint32>, "49 80000000");
    row("I greatest", largest<qint32>, "49 7fffffff");
    row("i zero", 0u, "69 00000000");
    row("i greatest", largest<quint32>, "69 ffffffff");
    row("l zero", of<qint64>(0), "6c 0000000000000000");
    row("l -1", of<qint64>(-1), "6c ffffffffffffffff");
    row("l least", smallest<qint64>, "6c 8000000000000000");
    row("l greatest", largest<qint64>, "6c 7fffffffffffffff");
    row("f one", 1.0f, "66 3f800000");
    row("f negative zero", -0.0f, "66 80000000");
    row("f smallest denormal", std::numeric_limits<float>::denorm_min(), "66 00000001");
    row("f smallest normal", smallest<float>, "66 00800000");
    row("f greatest", largest<float>, "66 7f7fffff");
    row("f lowest", std::numeric_limits<float>::lowest(), "66 ff7fffff");
    row("d one", 1.0, "64 3ff0000000000000");
    row("d third", 1.0 / 3, "64 3fd5555555555555");
    row("d negative zero", -0.0, "64 8000000000000000");
    row("d smallest denormal", std::numeric_limits<double>::denorm_min(), "64 0000000000000001");
    row("d smallest normal", smallest<double>, "64 0010000000000000");
    row("d greatest", largest<double>, "64 7fefffffffffffff");
    row("D zero", of(Decimal{}), "44 00 00000000");
    row("D 3.14", of(Decimal{2, 314}), "44 02 0000013a");
    row("D greatest", of(Decimal{255, largest<quint32>}), "44 ff ffffffff");
    row("S empty", QString(u""_s), "53 00000000");
    row("S Latin", u"abc"_s, "53 00000003 616263");
    row("S Cyrillic", u"да"_s, "53 00000004 d0b4d0b0");
    row("S beyond the basic plane", u"🐇"_s, "53 00000004 f09f9087");
    row("S with zero", QString(u"a\0b"_s), "53 00000003 610062");
    row("S with a byte order mark", u"\uFEFFa"_s, "53 00000004 efbbbf61");
    row("x empty", QByteArray(""), "78 00000000");
    row("x bytes", QByteArray("\0\xff\x80", 3), "78 00000003 00ff80");
    row("T zero", utc(0), "54 0000000000000000");
    row("T today", utc(1700000000), "54 000000006553f100");
    row("T beyond 32 bits", utc(5000000000), "54 000000012a05f200");
    row("T greatest", utc(largest<qint64> / 1000), "54 0020c49ba5e353f7");
    row("V", of(nullptr), "56");
    row("A empty", QVariantList(), "41 00000000");
    row("A of several types", QVariantList{1, u"a"_s, of(nullptr)}, "41 0000000c 49 00000001 53 00000001 61 56");
    row("A nested", QVariantList{QVariantList{true}, QVariantMap()}, "41 0000000c 41 00000002 74 01 46 00000000");
    row("F empty", QVariantMap(), "46 00000000");
    row("F of several types", QVariantMap{{u"a"_s, false}, {u"b"_s, QVariantMap{{u""_s, true}}}},
        "46 0000000e 01 61 74 00 01 62 46 00000003 00 74 01");
}

void tst_FieldTable::valuesAreLaidOutByTheirType()
{
    QFETCH(QVariant, value);
    QFETCH(QByteArray, expected);
    const FieldTable table{{u"k"_s, value}};
    QCOMPARE(encoded(table).toHex(), tableOf(expected).toHex());

    const FieldTable read = decoded(tableOf(expected));
    QCOMPARE(read.keys(), QStringList(u"k"_s));
    QCOMPARE(read.value(u"k"_s).metaType(), value.metaType());
    QCOMPARE(read.value(u"k"_s), value);
    QCOMPARE(encoded(read).toHex(), tableOf(expected).toHex()); // -0.0 and 0.0 are equal above
}

void tst_FieldTable::otherTypesAreSentAsTheirNearestOne_data()
{
    QTest::addColumn<QVariant>("value");
    QTest::addColumn<QByteArray>("expected");
    const auto row = [](const char *name, const QVariant &value, const char *hex) {
        QTest::newRow(name) << value << QByteArray::fromHex(hex);
    };
    row("an invalid QVariant", {}, "56");
    row("char", of('A'), "62 41");
    row("long", of<long>(-2), "6c fffffffffffffffe");
    row("unsigned long", of<unsigned long>(7), "6c 0000000000000007");
    row("quint64 zero", of<quint64>(0), "6c 0000000000000000");
    row("quint64 that fits", of<quint64>(largest<qint64>), "6c 7fffffffffffffff");
    row("null QString", QString(), "53 00000000");
    row("null QByteArray", QByteArray(), "78 00000000");
    row("QStringList", QStringList{u"a"_s, u""_s}, "41 0000000b 53 00000001 61 53 00000000");
    row("QVariantHash", QVariantHash{{u"c"_s, 1}, {u"a"_s, true}, {u"b"_s, false}},
        "46 0000000f 01 61 74 01 01 62 74 00 01 63 49 00000001");
    row("QDateTime with an offset", QDateTime::fromString(u"2023-11-15T00:13:20+02:00"_s, Qt::ISODate),
        "54 000000006553f100");
    row("QDateTime with a fraction", utc(1700000000).addMSecs(999), "54 000000006553f100");
}

void tst_FieldTable::otherTypesAreSentAsTheirNearestOne()
{
    QFETCH(QVariant, value);
    QFETCH(QByteArray, expected);
    QCOMPARE(encoded({{u"k"_s, value}}).toHex(), tableOf(expected).toHex());
}

void tst_FieldTable::otherEncodingsAreRead_data()
{
    QTest::addColumn<QByteArray>("bytes");
    QTest::addColumn<QVariant>("expected");
    const auto row = [](const char *name, const char *hex, const QVariant &value) {
        QTest::newRow(name) << QByteArray::fromHex(hex) << value;
    };
    row("L least", "4c 8000000000000000", smallest<qint64>);
    row("L greatest", "4c 7fffffffffffffff", largest<qint64>);
    row("U -1", "55 ffff", of<qint16>(-1));
    row("U greatest", "55 7fff", of<qint16>(32767));
    row("any bit but zero is true", "74 80", true);
    row("S that is not UTF-8", "53 00000002 fffe", QByteArray("\xff\xfe"));
    row("S with a surrogate in UTF-8", "53 00000003 eda080", QByteArray("\xed\xa0\x80"));
    row("S with an overlong form", "53 00000002 c080", QByteArray("\xc0\x80"));
    row("S that ends within a character", "53 00000002 61d0", QByteArray("a\xd0"));
    row("T just beyond QDateTime", "54 0020c49ba5e353f8", of(quint64(largest<qint64> / 1000 + 1)));
    row("T greatest", "54 ffffffffffffffff", of(largest<quint64>));
    row("f infinite", "66 7f800000", std::numeric_limits<float>::infinity());
    row("d infinite", "64 fff0000000000000", -std::numeric_limits<double>::infinity());
}

void tst_FieldTable::otherEncodingsAreRead()
{
    QFETCH(QByteArray, bytes);
    QFETCH(QVariant, expected);
    const QVariant value = decoded(tableOf(bytes)).value(u"k"_s);
    QCOMPARE(value.metaType(), expected.metaType());
    QCOMPARE(value, expected);
}

void tst_FieldTable::valuesWithoutCounterpartAreRejected_data()
{
    QTest::addColumn<QVariant>("value");
    QTest::addColumn<QString>("reason");
    const auto row = [](const char *name, const QVariant &value, const QString &reason) {
        QTest::newRow(name) << value << reason;
    };
    const QString type = u"a value of type %1 cannot be sent in a field table"_s;
    row("QSize", QSize(1, 2), type.arg("QSize"_L1));
    row("QUrl", QUrl(u"amqp://h"_s), type.arg("QUrl"_L1));
    row("QUuid", QUuid(), type.arg("QUuid"_L1));
    row("QDate", QDate(2023, 1, 1), type.arg("QDate"_L1));
    row("QTime", QTime(1, 2), type.arg("QTime"_L1));
    row("QChar", QChar(u'a'), type.arg("QChar"_L1));
    row("char16_t", of(u'a'), type.arg("char16_t"_L1));
    row("QByteArrayList", of(QByteArrayList{"a"}), type.arg("QByteArrayList"_L1));
    row("QObject", of<QObject *>(nullptr), type.arg("QObject*"_L1));
    row("void pointer", of<void *>(nullptr), type.arg("void*"_L1));

    const QString finite = u"NaN and infinities cannot be sent in a field table"_s;
    row("float NaN", std::numeric_limits<float>::quiet_NaN(), finite);
    row("float infinity", std::numeric_limits<float>::infinity(), finite);
    row("double NaN", std::numeric_limits<double>::quiet_NaN(), finite);
    row("double infinity", std::numeric_limits<double>::infinity(), finite);
    row("double negative infinity", -std::numeric_limits<double>::infinity(), finite);

    row("quint64 over 2^63-1", of(quint64(1) << 63),
        u"9223372036854775808 does not fit the signed 64-bit integers of a field table"_s);
    row("greatest quint64", of(largest<quint64>),
        u"18446744073709551615 does not fit the signed 64-bit integers of a field table"_s);

    row("invalid QDateTime", QDateTime(), u"an invalid QDateTime cannot be sent in a field table"_s);
    row("a second before 1970", utc(-1), u"a time before 1970 cannot be sent in a field table"_s);
    row("a millisecond before 1970", utc(0).addMSecs(-1), u"a time before 1970 cannot be sent in a field table"_s);

    row("unpaired surrogate", QString(QChar(0xd800)),
        u"a string with an unpaired surrogate cannot be sent in a field table"_s);
}

void tst_FieldTable::valuesWithoutCounterpartAreRejected()
{
    QFETCH(QVariant, value);
    QFETCH(QString, reason);
    QCOMPARE(encodingError({{u"k"_s, value}}), u"headers: \"k\": "_s + reason);
    QCOMPARE(encodingError({{u"k"_s, QVariantList{value}}}), u"headers: \"k[0]\": "_s + reason);
}

void tst_FieldTable::errorsNameTheArgumentAndThePath()
{
    const QVariantList list{1, 2, QVariantMap{{u"ok"_s, 1}, {u"size%1"_s, QSize()}}};
    const FieldTable table{{u"a"_s, 1}, {u"x-a"_s, QVariantMap{{u"b"_s, list}}}, {u"z"_s, 1}};
    const Result<QByteArray> contents = encodeTable(table, u"arguments");
    QVERIFY(!contents);
    QCOMPARE(contents.error(),
             Error(ErrorKind::InvalidArgument,
                   u"arguments: \"x-a.b[2].size%1\": a value of type QSize cannot be sent in a field table"_s));
}

void tst_FieldTable::validateReturnsTheSameWithoutAnArgument()
{
    QCOMPARE(validate({{u"k"_s, 1}}), Error());
    QCOMPARE(validate({{u"k"_s, QSize()}}),
             Error(ErrorKind::InvalidArgument, u"\"k\": a value of type QSize cannot be sent in a field table"_s));
}

void tst_FieldTable::keysHaveAtMost255Bytes()
{
    for (const QString &key : {QString(), u"k"_s, QString(255, u'k'), u"ключ"_s.repeated(31), u"🐇"_s.repeated(63)}) {
        const QByteArray contents = encoded({{key, true}});
        QCOMPARE(contents, char(key.toUtf8().size()) + key.toUtf8() + QByteArray("t\x01"));
        QCOMPARE(decoded(contents), (FieldTable{{key, true}}));
    }
    QVERIFY(encodingError({{QString(256, u'k'), true}})
                .endsWith(u"…\": a key of 256 bytes cannot be sent in a field table; the maximum is 255 bytes"_s));
    // 128 characters, 256 bytes
    QVERIFY(encodingError({{u"ключ"_s.repeated(32), true}}).startsWith(u"headers: \"ключ"_s));
    QVERIFY(
        encodingError({{u"table"_s, QVariantMap{{QString(256, u'k'), true}}}}).startsWith(u"headers: \"table.kkkk"_s));
    // The name of a huge key is cut short.
    QVERIFY(encodingError({{QString(1000000, u'k'), true}}).size() < 300);
    QCOMPARE(encodingError({{QString(QChar(0xdc00)), true}}),
             u"headers: \"%1\": a key with an unpaired surrogate cannot be sent in a field table"_s.arg(QChar(0xdc00)));
}

void tst_FieldTable::keysAreReadWhateverTheirBytesAre()
{
    QCOMPARE(decoded(QByteArray::fromHex("02 ff61 7401")), (FieldTable{{QChar(0xdcff) + u"a"_s, true}}));
    QCOMPARE(decoded(QByteArray::fromHex("02 61d0 7401")), (FieldTable{{u"a"_s + QChar(0xdcd0), true}}));
    QCOMPARE(decoded(QByteArray::fromHex("04 efbbbf61 7401")), (FieldTable{{u"\uFEFFa"_s, true}}));
    QCOMPARE(decoded(QByteArray::fromHex("00 7401")), (FieldTable{{QString(), true}}));
    QCOMPARE(decoded('\xff' + QByteArray(255, 'k') + "V"), (FieldTable{{QString(255, u'k'), of(nullptr)}}));
}

void tst_FieldTable::theLastOfEqualKeysCounts()
{
    QCOMPARE(decoded(tableOf("t\x01") + tableOf("B\x05") + tableOf("B\x06")), (FieldTable{{u"k"_s, of<quint8>(6)}}));
}

void tst_FieldTable::tablesNestUpTo32Levels()
{
    const FieldTable deepest = nestedTables(32);
    QCOMPARE(decoded(encoded(deepest)), deepest);
    QVERIFY(encodingError(nestedTables(33)).endsWith(u"a field table cannot be nested more than 32 levels deep"_s));

    QVariant lists = QVariantList{true};
    for (int i = 0; i < 30; ++i)
        lists = QVariantList{lists};
    QCOMPARE(decoded(encoded({{u"k"_s, lists}})), (FieldTable{{u"k"_s, lists}})); // 31 lists in a table
    QVERIFY(encodingError({{u"k"_s, QVariantList{lists}}}).endsWith(u"cannot be nested more than 32 levels deep"_s));

    QVERIFY(encodingError(nestedTables(2000)).endsWith(u"cannot be nested more than 32 levels deep"_s));
}

void tst_FieldTable::nestingIsCheckedOnReceipt_data()
{
    QTest::addColumn<char>("type");
    QTest::newRow("tables") << 'F';
    QTest::newRow("arrays") << 'A';
}

void tst_FieldTable::nestingIsCheckedOnReceipt()
{
    QFETCH(char, type);
    QCOMPARE(checkTable(ExactBytes(nestedContents(32, type))), nullptr);
    QCOMPARE(checkTable(ExactBytes(nestedContents(33, type))), "field table nested too deeply");
    QCOMPARE(checkTable(ExactBytes(nestedContents(3000, type))), "field table nested too deeply");

    // Levels are counted in depth, not in number.
    const QByteArray deepest = nestedContents(32, type);
    QCOMPARE(decoded(deepest + QByteArray(deepest).replace('k', 'l')).size(), 2);
}

void tst_FieldTable::moreThanFourGiBAreRejected()
{
    // The value claims to be larger than the one byte that it has, so the size alone must decide.
    for (const quint64 size : {quint64(1) << 32, (quint64(1) << 32) + 1, (quint64(1) << 32) - 1, quint64(1) << 40}) {
        const QByteArray huge = QByteArray::fromRawData("x", qsizetype(size));
        QCOMPARE(encodingError({{u"k"_s, huge}}), u"headers: \"k\": a field table cannot have more than 4 GiB"_s);
    }
}

void tst_FieldTable::malformedTablesAreFound_data()
{
    QTest::addColumn<QByteArray>("contents");
    QTest::addColumn<QByteArray>("error");
    const auto row = [](const char *name, const char *hex, const char *error) {
        QTest::newRow(name) << QByteArray::fromHex(hex) << QByteArray(error);
    };
    row("key longer than the table", "05 6b", "truncated field table");
    row("key without a value", "01 6b", "truncated field table");
    row("text longer than the table", "01 6b 53 00000002 61", "truncated field table");
    row("text of 4 GiB", "01 6b 53 ffffffff 61", "truncated field table");
    row("bytes of 2 GiB", "01 6b 78 80000000 61", "truncated field table");
    row("table longer than its table", "01 6b 46 00000005 01 61 74 01", "truncated field table");
    row("array longer than its table", "01 6b 41 00000003 74 01", "truncated field table");
    row("array of 4 GiB", "01 6b 41 ffffffff 56", "truncated field table");
    row("value longer than its array", "01 6b 41 00000002 49 00 000000", "truncated field table");
    row("text longer than its array, not than the table", "01 6b 41 00000005 53 00000001 61", "truncated field table");
    row("key longer than its table, not than the outer one", "01 6b 46 00000001 01 61 74 01", "truncated field table");
    row("unknown type", "01 6b 3f", "unknown type in a field table");
    row("unknown type in an array", "01 6b 41 00000001 00", "unknown type in a field table");
    row("unknown type in a table in an array", "01 6b 41 00000007 46 00000002 00 3f", "unknown type in a field table");
}

void tst_FieldTable::malformedTablesAreFound()
{
    QFETCH(QByteArray, contents);
    QFETCH(QByteArray, error);
    QCOMPARE(checkTable(ExactBytes(contents)), error.constData());
}

void tst_FieldTable::everyOtherTypeLetterIsUnknown()
{
    const QMap<char, qsizetype> sizes{{'t', 1}, {'b', 1}, {'B', 1}, {'s', 2}, {'u', 2}, {'U', 2}, {'I', 4},
                                      {'i', 4}, {'l', 8}, {'L', 8}, {'f', 4}, {'d', 8}, {'D', 5}, {'S', 4},
                                      {'A', 4}, {'T', 8}, {'F', 4}, {'x', 4}, {'V', 0}};
    for (int i = 0; i < 256; ++i) {
        const char letter = char(i);
        const QByteArray contents = tableOf(letter + QByteArray(sizes.value(letter, 8), '\0'));
        QCOMPARE(checkTable(ExactBytes(contents)), sizes.contains(letter) ? nullptr : "unknown type in a field table");
    }
}

void tst_FieldTable::tablesCutOffAnywhereButBetweenEntriesAreMalformed()
{
    QByteArray contents;
    QList<qsizetype> boundaries{0};
    for (const QByteArray &entry : entriesOfEachType()) {
        contents += entry;
        boundaries.append(contents.size());
    }
    QCOMPARE(boundaries.size(), 20); // 19 types
    QCOMPARE(decoded(contents).size(), 19);
    for (qsizetype size = 0; size <= contents.size(); ++size) {
        const ExactBytes bytes(contents.first(size));
        const char *error = checkTable(bytes);
        if (boundaries.contains(size))
            QCOMPARE(decodeTable(bytes).size(), boundaries.indexOf(size));
        else
            QCOMPARE(error, "truncated field table");
    }
}

void tst_FieldTable::mutatedTablesAreDecodedOrRejected()
{
    QRandomGenerator random(0x5eed);
    const QByteArray original = entriesOfEachType().join();
    int decodedTables = 0, malformed = 0, rejected = 0;
    for (int i = 0; i < 100'000; ++i) {
        const ExactBytes bytes(WireSupport::mutated(original, random));
        if (checkTable(bytes)) {
            ++malformed;
            continue;
        }
        ++decodedTables;
        const FieldTable table = decodeTable(bytes);
        QVERIFY(!table.isEmpty() || QByteArrayView(bytes).isEmpty());
        const Result<QByteArray> contents = encodeTable(table, u"headers");
        if (!contents) { // NaN, or a timestamp far away
            ++rejected;
            continue;
        }
        QCOMPARE(checkTable(*contents), nullptr);
        QCOMPARE(encoded(decodeTable(*contents)).toHex(), contents->toHex());
    }
    QVERIFY2(malformed > 10000 && decodedTables > 10000 && rejected > 100 && rejected < decodedTables / 2,
             qPrintable(u"%1 malformed, %2 decoded, %3 rejected"_s.arg(malformed).arg(decodedTables).arg(rejected)));
}

void tst_FieldTable::decimalsConvertToDouble()
{
    QCOMPARE(Decimal().toDouble(), 0.0);
    QVERIFY((Decimal{2, 314}.toDouble() == 3.14));
    QVERIFY((Decimal{0, largest<quint32>}.toDouble() == 4294967295.0));
    QVERIFY((Decimal{1, 1}.toDouble() == 0.1));
    QVERIFY((Decimal{255, 1}.toDouble() > 0.0));
    QVERIFY((Decimal{255, 1}.toDouble() < 1.1e-255));
    QVERIFY(!(Decimal{1, 10} == Decimal{2, 100}));
}

void tst_FieldTable::decimalsConvertToText()
{
    QCOMPARE(Decimal().toString(), u"0"_s);
    QCOMPARE((Decimal{0, largest<quint32>}.toString()), u"4294967295"_s);
    QCOMPARE((Decimal{2, 1230}.toString()), u"12.30"_s);
    QCOMPARE((Decimal{2, 5}.toString()), u"0.05"_s);
    QCOMPARE((Decimal{2, 0}.toString()), u"0.00"_s);
    QCOMPARE((Decimal{4, 1234}.toString()), u"0.1234"_s);
    QCOMPARE((Decimal{255, 1}.toString()), u"0."_s + QString(254, u'0') + u'1');
}

QTEST_APPLESS_MAIN(tst_FieldTable)
#include "tst_fieldtable.moc"
