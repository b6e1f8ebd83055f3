// SPDX-License-Identifier: MIT
#include "wire/fieldtable_p.h"

#include "base/utctime_p.h"
#include "wire/codec_p.h"

#include <QtCore/qdatetime.h>
#include <QtCore/qhash.h>
#include <QtCore/qstringconverter.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

namespace AmqpQt::Wire
{

using namespace Qt::StringLiterals;

namespace
{

enum class Names { No, Yes }; // No in an array and Yes in a table before each value

const char *checkValues(QByteArrayView contents, Names names, int nesting) noexcept;

struct Value {
    quint8 type = 0;
    QByteArrayView contents; // of a table or an array
};

// Reads type letter and value; reads a table or an array as a whole.
const char *skipValue(Reader &reader, Value &value) noexcept
{
    value.type = reader.number<quint8>();
    if (reader.failed())
        return "truncated field table";
    switch (value.type) {
    case 't':
    case 'b':
    case 'B':
        reader.bytes(1);
        break;
    case 's':
    case 'u':
    case 'U':
        reader.bytes(2);
        break;
    case 'I':
    case 'i':
    case 'f':
        reader.bytes(4);
        break;
    case 'D':
        reader.bytes(5);
        break;
    case 'l':
    case 'L':
    case 'd':
    case 'T':
        reader.bytes(8);
        break;
    case 'S':
    case 'x':
        reader.longString();
        break;
    case 'A':
    case 'F':
        value.contents = reader.longString();
        break;
    case 'V':
        break;
    default:
        return "unknown type in a field table";
    }
    return reader.failed() ? "truncated field table" : nullptr;
}

const char *checkValue(Reader &reader, int nesting) noexcept
{
    Value value;
    if (const char *error = skipValue(reader, value))
        return error;
    if (value.type != 'A' && value.type != 'F')
        return nullptr;
    return checkValues(value.contents, value.type == 'F' ? Names::Yes : Names::No, nesting + 1);
}

const char *checkValues(QByteArrayView contents, Names names, int nesting) noexcept
{
    if (nesting > MaximumTableNesting)
        return "field table nested too deeply";
    Reader reader(contents);
    while (reader.remaining() > 0) {
        if (names == Names::Yes)
            reader.shortString();
        if (const char *error = checkValue(reader, nesting))
            return error;
    }
    return nullptr;
}

QVariant decodeTimestamp(quint64 seconds)
{
    constexpr quint64 lastSecond = quint64(std::numeric_limits<qint64>::max() / 1000); // QDateTime counts milliseconds
    if (seconds > lastSecond)
        return QVariant::fromValue(seconds);
    return utcFromSeconds(qint64(seconds));
}

QVariant decodeValue(Reader &reader)
{
    switch (reader.number<quint8>()) {
    case 't':
        return reader.number<quint8>() != 0;
    case 'b':
        return QVariant::fromValue(qint8(reader.number<quint8>()));
    case 'B':
        return QVariant::fromValue(reader.number<quint8>());
    case 's':
    case 'U':
        return QVariant::fromValue(qint16(reader.number<quint16>()));
    case 'u':
        return QVariant::fromValue(reader.number<quint16>());
    case 'I':
        return qint32(reader.number<quint32>());
    case 'i':
        return reader.number<quint32>();
    case 'l':
    case 'L':
        return qint64(reader.number<quint64>());
    case 'f':
        return std::bit_cast<float>(reader.number<quint32>());
    case 'd':
        return std::bit_cast<double>(reader.number<quint64>());
    case 'D': {
        const quint8 scale = reader.number<quint8>();
        return QVariant::fromValue(Decimal{scale, reader.number<quint32>()});
    }
    case 'S': {
        const LongString text = reader.longString();
        return text.isValidUtf8() ? QVariant(decodeText(text)) : QVariant(text.toByteArray());
    }
    case 'x':
        return reader.longString().toByteArray();
    case 'T':
        return decodeTimestamp(reader.number<quint64>());
    case 'A': {
        QVariantList list;
        for (Reader values(reader.longString()); values.remaining() > 0;)
            list.append(decodeValue(values));
        return list;
    }
    case 'F':
        return decodeTable(reader.longString());
    default: // 'V', since checkTable() rejects unknown types
        return QVariant::fromValue(nullptr);
    }
}

class TableEncoder
{
public:
    // A function that rejects a value returns false, and sets reason() and path().
    bool map(const QVariantMap &map, int nesting = 1);

    QByteArray contents() const { return m_contents; }
    QString reason() const { return m_reason; }
    QString path() const { return m_path.mid(1); } // the path of the rejected value, as in x-a.b[2]

private:
    bool list(const QVariantList &list, int nesting);
    bool key(const QString &key);
    bool value(const QVariant &value, int nesting);
    template <typename Integer>
    bool integer(char type, Integer value);
    template <typename Bits, typename Real>
    bool real(char type, Real value);
    bool decimal(Decimal value);
    bool text(const QString &text);
    bool bytes(char type, QByteArrayView bytes);
    bool time(const QDateTime &time);
    template <typename Write>
    bool nested(char type, int nesting, Write write);
    bool append(QByteArrayView bytes);
    bool reject(const QString &reason)
    {
        m_reason = reason;
        return false;
    }

    QByteArray m_contents;
    QString m_reason;
    QString m_path; // grows at its front while the rejection is passed back
};

bool TableEncoder::append(QByteArrayView bytes)
{
    if (quint64(m_contents.size()) + quint64(bytes.size()) > std::numeric_limits<quint32>::max())
        return reject(u"a field table cannot have more than 4 GiB"_s);
    m_contents.append(bytes);
    return true;
}

template <typename Integer>
bool TableEncoder::integer(char type, Integer value)
{
    char encoded[1 + sizeof value] = {type};
    qToBigEndian(value, encoded + 1);
    return append({encoded, sizeof encoded});
}

template <typename Bits, typename Real>
bool TableEncoder::real(char type, Real value)
{
    return std::isfinite(value) ? integer(type, std::bit_cast<Bits>(value))
                                : reject(u"NaN and infinities cannot be sent in a field table"_s);
}

bool TableEncoder::decimal(Decimal value)
{
    char encoded[6] = {'D', char(value.scale)};
    qToBigEndian(value.value, encoded + 2);
    return append({encoded, sizeof encoded});
}

bool TableEncoder::bytes(char type, QByteArrayView bytes)
{
    return integer(type, quint32(bytes.size())) && append(bytes);
}

bool TableEncoder::text(const QString &text)
{
    const std::optional<QByteArray> encoded = encodeText(text);
    return encoded ? bytes('S', *encoded)
                   : reject(u"a string with an unpaired surrogate cannot be sent in a field table"_s);
}

bool TableEncoder::time(const QDateTime &time)
{
    if (!time.isValid())
        return reject(u"an invalid QDateTime cannot be sent in a field table"_s);
    const qint64 milliseconds = time.toMSecsSinceEpoch(); // seconds would be rounded towards 1970
    return milliseconds >= 0 ? integer('T', quint64(milliseconds / 1000))
                             : reject(u"a time before 1970 cannot be sent in a field table"_s);
}

bool TableEncoder::key(const QString &key)
{
    const std::optional<QByteArray> encoded = encodeText(key);
    if (!encoded)
        return reject(u"a key with an unpaired surrogate cannot be sent in a field table"_s);
    if (encoded->size() > MaximumShortString)
        return reject(
            u"a key of %1 bytes cannot be sent in a field table; the maximum is 255 bytes"_s.arg(encoded->size()));
    return append(QByteArray(1, char(encoded->size()))) && append(*encoded);
}

// Writes the length, which is known only afterwards, and the output of `write`.
template <typename Write>
bool TableEncoder::nested(char type, int nesting, Write write)
{
    if (nesting > MaximumTableNesting)
        return reject(u"a field table cannot be nested more than %1 levels deep"_s.arg(MaximumTableNesting));
    if (!integer(type, quint32(0)))
        return false;
    const qsizetype start = m_contents.size();
    if (!write())
        return false;
    qToBigEndian(quint32(m_contents.size() - start), m_contents.data() + start - sizeof(quint32));
    return true;
}

bool TableEncoder::map(const QVariantMap &map, int nesting)
{
    for (auto it = map.cbegin(), end = map.cend(); it != end; ++it) {
        if (!key(it.key()) || !value(it.value(), nesting)) {
            constexpr qsizetype shown = 80; // a key that is too long may be a whole document
            m_path.prepend(u'.' + (it.key().size() > shown ? it.key().left(shown) + u'…' : it.key()));
            return false;
        }
    }
    return true;
}

bool TableEncoder::list(const QVariantList &list, int nesting)
{
    for (qsizetype i = 0; i < list.size(); ++i) {
        if (!value(list.at(i), nesting)) {
            m_path.prepend(u"[%1]"_s.arg(i));
            return false;
        }
    }
    return true;
}

bool TableEncoder::value(const QVariant &value, int nesting)
{
    const auto nestedMap = [&](const QVariantMap &entries) {
        return nested('F', nesting + 1, [&] { return map(entries, nesting + 1); });
    };
    const auto nestedList = [&](const QVariantList &elements) {
        return nested('A', nesting + 1, [&] { return list(elements, nesting + 1); });
    };
    switch (value.typeId()) {
    case QMetaType::UnknownType:
    case QMetaType::Nullptr:
        return append("V");
    case QMetaType::Bool:
        return integer('t', quint8(value.toBool()));
    case QMetaType::Char:
    case QMetaType::SChar:
        return integer('b', qint8(value.toInt()));
    case QMetaType::UChar:
        return integer('B', quint8(value.toUInt()));
    case QMetaType::Short:
        return integer('s', qint16(value.toInt()));
    case QMetaType::UShort:
        return integer('u', quint16(value.toUInt()));
    case QMetaType::Int:
        return integer('I', qint32(value.toInt()));
    case QMetaType::UInt:
        return integer('i', quint32(value.toUInt()));
    case QMetaType::Long:
    case QMetaType::LongLong:
        return integer('l', value.toLongLong());
    case QMetaType::ULong:
    case QMetaType::ULongLong: {
        const qulonglong number = value.toULongLong();
        return number <= quint64(std::numeric_limits<qint64>::max())
                   ? integer('l', qint64(number))
                   : reject(u"%1 does not fit the signed 64-bit integers of a field table"_s.arg(number));
    }
    case QMetaType::Float:
        return real<quint32>('f', value.toFloat());
    case QMetaType::Double:
        return real<quint64>('d', value.toDouble());
    case QMetaType::QString:
        return text(value.toString());
    case QMetaType::QByteArray:
        return bytes('x', value.toByteArray());
    case QMetaType::QDateTime:
        return time(value.toDateTime());
    case QMetaType::QStringList:
    case QMetaType::QVariantList:
        return nestedList(value.toList());
    case QMetaType::QVariantMap:
        return nestedMap(value.toMap());
    case QMetaType::QVariantHash: {
        const QVariantHash hash = value.toHash();
        QVariantMap sorted; // so that equal hashes give equal bytes
        for (auto it = hash.cbegin(), end = hash.cend(); it != end; ++it)
            sorted.insert(it.key(), it.value());
        return nestedMap(sorted);
    }
    default:
        if (value.metaType() == QMetaType::fromType<Decimal>())
            return decimal(value.value<Decimal>());
        return reject(u"a value of type %1 cannot be sent in a field table"_s.arg(QLatin1StringView(value.typeName())));
    }
}

bool isTooDeep(const QVariant &value, int nesting)
{
    const auto anyOf = [nesting](const auto &container) {
        return nesting > MaximumTableNesting ||
               std::any_of(container.cbegin(), container.cend(),
                           [nesting](const QVariant &element) { return isTooDeep(element, nesting + 1); });
    };
    switch (value.typeId()) {
    case QMetaType::QVariantMap:
        return anyOf(value.toMap());
    case QMetaType::QVariantHash:
        return anyOf(value.toHash());
    case QMetaType::QVariantList:
        return anyOf(value.toList());
    case QMetaType::QStringList:
        return nesting > MaximumTableNesting;
    default:
        return false;
    }
}

// A byte b that is not part of valid UTF-8 becomes the unpaired surrogate RawByte + b, as in PEP 383 for Python.
// Such bytes are above 0x7f, so the surrogates are low ones, which valid text has only after a high one.
constexpr char16_t RawByte = 0xdc00;

bool isRawByte(QChar c)
{
    return c.unicode() >= RawByte + 0x80 && c.unicode() <= RawByte + 0xff;
}

qsizetype lengthOfCharacter(quint8 firstByte)
{
    return firstByte < 0x80   ? 1
           : firstByte < 0xe0 ? 2
           : firstByte < 0xf0 ? 3
                              : 4; // an invalid byte fails with any length
}

// Empty if the text is not valid.
std::optional<QString> decodeUtf8(QByteArrayView utf8)
{
    using Flag = QStringDecoder::Flag;
    QStringDecoder decoder(QStringDecoder::Utf8, Flag::ConvertInitialBom | Flag::Stateless);
    QString text = decoder(utf8);
    return decoder.hasError() ? std::nullopt : std::optional(std::move(text));
}

} // namespace

Result<QByteArray> encodeShortText(QLatin1StringView argument, const QString &text, NotUtf8 notUtf8)
{
    std::optional<QByteArray> encoded;
    if (notUtf8 == NotUtf8::Allowed || text.isValidUtf16())
        encoded = encodeText(text);
    if (!encoded)
        return Error(ErrorKind::InvalidArgument,
                     u"%1: a string with an unpaired surrogate cannot be sent"_s.arg(argument));
    if (encoded->size() > MaximumShortString) {
        return Error(ErrorKind::InvalidArgument,
                     u"%1: the text has %2 bytes of UTF-8; the maximum is %3 bytes"_s.arg(argument)
                         .arg(encoded->size())
                         .arg(MaximumShortString));
    }
    return *std::move(encoded);
}

QString decodeText(QByteArrayView utf8)
{
    if (std::optional<QString> valid = decodeUtf8(utf8))
        return *std::move(valid);
    QString text;
    while (!utf8.isEmpty()) {
        const QByteArrayView character = utf8.first(std::min(lengthOfCharacter(quint8(utf8.front())), utf8.size()));
        if (const std::optional<QString> valid = decodeUtf8(character)) {
            text += *valid;
            utf8 = utf8.sliced(character.size());
        } else {
            text += QChar(RawByte + quint8(utf8.front()));
            utf8 = utf8.sliced(1);
        }
    }
    return text;
}

std::optional<QByteArray> encodeText(const QString &text)
{
    if (text.isValidUtf16())
        return text.toUtf8();
    QByteArray bytes;
    qsizetype start = 0; // of the valid text not yet appended
    for (qsizetype at = 0; at < text.size(); ++at) {
        if (text[at].isHighSurrogate() && at + 1 < text.size() && text[at + 1].isLowSurrogate()) {
            ++at;
        } else if (isRawByte(text[at])) {
            bytes.append(QStringView(text).sliced(start, at - start).toUtf8())
                .append(char(text[at].unicode() - RawByte));
            start = at + 1;
        } else if (text[at].isSurrogate()) {
            return std::nullopt;
        }
    }
    return bytes.append(QStringView(text).sliced(start).toUtf8());
}

bool isNestedTooDeeply(const FieldTable &table)
{
    return isTooDeep(table, 1);
}

const char *checkTable(QByteArrayView contents) noexcept
{
    return checkValues(contents, Names::Yes, 1);
}

FieldTable decodeTable(QByteArrayView contents)
{
    FieldTable table;
    for (Reader reader(contents); reader.remaining() > 0;) {
        const QString key = decodeText(reader.shortString());
        table.insert(key, decodeValue(reader));
    }
    return table;
}

QByteArrayView findValue(QByteArrayView contents, QByteArrayView key) noexcept
{
    QByteArrayView found;
    for (Reader reader(contents); reader.remaining() > 0;) {
        const bool isKey = reader.shortString() == key;
        const char *value = reader.position();
        if (Value skipped; skipValue(reader, skipped))
            return found;
        if (isKey)
            found = QByteArrayView(value, reader.position());
    }
    return found;
}

Result<QByteArray> encodeTable(const FieldTable &table, QStringView argument)
{
    TableEncoder encoder;
    if (encoder.map(table))
        return encoder.contents();
    const QString place = u"\"%1\": %2"_s.arg(encoder.path(), encoder.reason());
    return Error(ErrorKind::InvalidArgument, argument.isEmpty() ? place : u"%1: %2"_s.arg(argument, place));
}

} // namespace AmqpQt::Wire
