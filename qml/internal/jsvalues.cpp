// SPDX-License-Identifier: MIT
#include "jsvalues.h"

#include <QtCore/qdatetime.h>
#include <QtCore/qjsonarray.h>
#include <QtCore/qjsonobject.h>
#include <QtCore/qjsonvalue.h>
#include <QtCore/qsequentialiterable.h>
#include <QtCore/qurl.h>
#include <QtQml/qjsvalueiterator.h>

#include <algorithm>
#include <cmath>
#include <limits>

// Has no AMQP type. The check of every table rejects it and names the type.
namespace JavaScript
{

struct Function {
};
struct Symbol {
};
struct Map {
};
struct Set {
};
struct Promise {
};
struct Error {
};
struct CyclicObject {
};
struct DeeplyNestedObject {
};
struct OtherObject {
};

} // namespace JavaScript

namespace AmqpQt
{

using namespace Qt::StringLiterals;

namespace
{

constexpr qsizetype MaximumDepth = 100;                 // more than a field table may have, and little of the stack
constexpr qint64 LargestExactInteger = qint64(1) << 53; // of a double

QVariant fromNumber(double number)
{
    constexpr double beyond = 9223372036854775808.0; // 2^63
    if (number != std::trunc(number) || !(number >= -beyond && number < beyond))
        return number;
    const qint64 integer = qint64(number);
    const bool isShort = integer >= std::numeric_limits<int>::min() && integer <= std::numeric_limits<int>::max();
    return isShort ? QVariant(int(integer)) : QVariant(integer);
}

// Returns "Map" for a Map, and "Object" for an ordinary object or an instance of a class.
QString className(const QJSValue &object)
{
    QJSValue root = object;
    for (QJSValue next = root.prototype(); next.isObject(); next = root.prototype())
        root = next;
    const QJSValue tag = root.property(u"toString"_s).callWithInstance(object); // "[object Map]"
    return tag.isString() ? tag.toString().sliced(8).chopped(1) : u"Object"_s;
}

// An undefined element becomes null, as in JSON, so that the others keep their places.
QVariant orNull(const QVariant &element)
{
    return element.isValid() ? element : QVariant::fromValue(nullptr);
}

class FromScript
{
public:
    QVariant value(const QJSValue &value);
    QVariant value(const QVariant &value);

private:
    QVariant object(const QJSValue &object);
    QVariantMap map(const QVariantMap &map);
    QVariantMap members(const QJSValue &object);
    QVariantList elements(const QJSValue &array);
    static QVariant viewOfBytes(const QJSValue &view);

    QList<QJSValue> m_outer; // the objects that contain the current one
};

QVariant FromScript::value(const QJSValue &value)
{
    if (value.isUndefined())
        return {};
    if (value.isNull())
        return QVariant::fromValue(nullptr);
    if (value.isBool())
        return value.toBool();
    if (value.isNumber())
        return fromNumber(value.toNumber());
    if (value.isString())
        return value.toString();
    if (value.isCallable())
        return QVariant::fromValue(JavaScript::Function());
    if (!value.isObject())
        return QVariant::fromValue(JavaScript::Symbol());
    const QVariant variant = value.toVariant(QJSValue::RetainJSObjects);
    if (variant.metaType() != QMetaType::fromType<QJSValue>())
        return this->value(variant); // a Date, an ArrayBuffer, a value of C++
    const bool isCyclic = std::any_of(m_outer.cbegin(), m_outer.cend(),
                                      [&](const QJSValue &outer) { return outer.strictlyEquals(value); });
    if (isCyclic)
        return QVariant::fromValue(JavaScript::CyclicObject());
    if (m_outer.size() >= MaximumDepth)
        return QVariant::fromValue(JavaScript::DeeplyNestedObject());
    m_outer.append(value);
    const QVariant result = value.isArray() ? QVariant(elements(value)) : object(value);
    m_outer.removeLast();
    return result;
}

QVariant FromScript::value(const QVariant &value)
{
    switch (value.typeId()) {
    case QMetaType::Float:
    case QMetaType::Double:
        return fromNumber(value.toDouble());
    case QMetaType::QVariantMap:
    case QMetaType::QVariantHash:
        return map(value.toMap());
    case QMetaType::QString:
    case QMetaType::QByteArray:
        return value;
    case QMetaType::QUrl:
        return value.toUrl().toString(QUrl::FullyEncoded);
    case QMetaType::QJsonValue:
    case QMetaType::QJsonObject:
    case QMetaType::QJsonArray:
        return this->value(value.toJsonValue().toVariant());
    default:
        break;
    }
    if (value.metaType() == QMetaType::fromType<QJSValue>())
        return this->value(value.value<QJSValue>());
    if (!value.canConvert<QSequentialIterable>())
        return value;
    QVariantList list;
    for (const QVariant &element : value.value<QSequentialIterable>())
        list.append(orNull(this->value(element)));
    return list;
}

QVariant FromScript::object(const QJSValue &object)
{
    const QString name = className(object);
    if (name == "Object"_L1)
        return members(object);
    if (name == "DataView"_L1 || (name.endsWith("Array"_L1) && object.hasProperty(u"buffer"_s)))
        return viewOfBytes(object);
    if (name == "Number"_L1)
        return fromNumber(object.toNumber());
    if (name == "String"_L1)
        return object.toString();
    if (name == "Boolean"_L1)
        return object.property(u"valueOf"_s).callWithInstance(object).toBool();
    if (name == "Map"_L1 || name == "WeakMap"_L1)
        return QVariant::fromValue(JavaScript::Map());
    if (name == "Set"_L1 || name == "WeakSet"_L1)
        return QVariant::fromValue(JavaScript::Set());
    if (name == "Promise"_L1)
        return QVariant::fromValue(JavaScript::Promise());
    if (name == "Error"_L1)
        return QVariant::fromValue(JavaScript::Error());
    return QVariant::fromValue(JavaScript::OtherObject());
}

QVariantMap FromScript::map(const QVariantMap &map)
{
    QVariantMap result;
    for (auto member = map.begin(); member != map.end(); ++member) {
        const QVariant converted = value(member.value());
        if (converted.isValid())
            result.insert(member.key(), converted);
    }
    return result;
}

QVariantMap FromScript::members(const QJSValue &object)
{
    QVariantMap result;
    for (QJSValueIterator member(object); member.next();) {
        const QVariant converted = value(member.value());
        if (converted.isValid())
            result.insert(member.name(), converted);
    }
    return result;
}

QVariantList FromScript::elements(const QJSValue &array)
{
    QVariantList result;
    const quint32 length = array.property(u"length"_s).toUInt();
    for (quint32 i = 0; i < length; ++i)
        result.append(orNull(value(array.property(i))));
    return result;
}

QVariant FromScript::viewOfBytes(const QJSValue &view)
{
    const QByteArray buffer = view.property(u"buffer"_s).toVariant().toByteArray();
    return buffer.mid(view.property(u"byteOffset"_s).toInt(), view.property(u"byteLength"_s).toInt());
}

template <typename Integer>
QVariant integerToScript(const QVariant &value, Integer number)
{
    bool isExact = number <= Integer(LargestExactInteger);
    if constexpr (std::numeric_limits<Integer>::is_signed)
        isExact = isExact && number >= -LargestExactInteger;
    return isExact ? value : QVariant(QString::number(number));
}

} // namespace

QVariant fromScript(const QVariant &value)
{
    return FromScript().value(value);
}

QVariant fromScript(const QJSValue &value)
{
    return FromScript().value(value);
}

std::optional<FieldTable> tableFromScript(const QVariant &value)
{
    const QVariant table = fromScript(value);
    if (!table.isValid())
        return FieldTable();
    if (table.typeId() == QMetaType::QVariantMap)
        return table.toMap();
    return std::nullopt;
}

std::optional<QByteArray> bytesFromScript(const QVariant &value)
{
    if (value.typeId() == QMetaType::QByteArray)
        return value.toByteArray();
    if (value.metaType() == QMetaType::fromType<QJSValue>())
        return bytesFromScript(value.value<QJSValue>());
    return std::nullopt;
}

std::optional<QByteArray> bytesFromScript(const QJSValue &value)
{
    if (!value.isObject() || !value.hasProperty(u"byteLength"_s))
        return std::nullopt; // without looking at the contents
    const QVariant bytes = fromScript(value);
    return bytes.typeId() == QMetaType::QByteArray ? std::optional(bytes.toByteArray()) : std::nullopt;
}

QVariant toScript(const QVariant &value)
{
    switch (value.typeId()) {
    case QMetaType::Long:
    case QMetaType::LongLong:
        return integerToScript(value, value.toLongLong());
    case QMetaType::ULong:
    case QMetaType::ULongLong:
        return integerToScript(value, value.toULongLong());
    case QMetaType::QByteArray:
        return value.toByteArray().isNull() ? QVariant(QByteArray("")) : value;
    case QMetaType::QVariantMap:
        return toScript(value.toMap());
    case QMetaType::QVariantList: {
        QVariantList list = value.toList();
        for (QVariant &element : list)
            element = toScript(element);
        return list;
    }
    default:
        return value;
    }
}

QVariantMap toScript(const QVariantMap &values)
{
    QVariantMap result = values;
    for (QVariant &value : result)
        value = toScript(value);
    return result;
}

} // namespace AmqpQt
