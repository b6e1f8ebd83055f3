// SPDX-License-Identifier: MIT
#include "outgoing.h"

#include "jsvalues.h"

#include <QtCore/qcoreapplication.h>
#include <QtCore/qmetaobject.h>
#include <QtQml/qjsengine.h>

#include <chrono>
#include <limits>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

namespace
{

QString tr(const char *text)
{
    return QCoreApplication::translate("AmqpQt::QmlPublisher", text);
}

bool isNumber(const QVariant &value)
{
    const int type = value.typeId();
    return type == QMetaType::Int || type == QMetaType::LongLong || type == QMetaType::Double;
}

std::optional<QString> textFrom(const QVariant &value)
{
    if (value.typeId() == QMetaType::QString || isNumber(value))
        return value.toString();
    return std::nullopt;
}

std::optional<bool> boolFrom(const QVariant &value)
{
    if (value.typeId() == QMetaType::Bool || isNumber(value))
        return value.toBool();
    return std::nullopt;
}

// Returns a whole number, which fromScript() has converted to an integer.
std::optional<qint64> integerFrom(const QVariant &value, qint64 minimum, qint64 maximum)
{
    if (value.typeId() != QMetaType::Int && value.typeId() != QMetaType::LongLong)
        return std::nullopt;
    const qint64 number = value.toLongLong();
    return number >= minimum && number <= maximum ? std::optional(number) : std::nullopt;
}

std::optional<QByteArray> bodyFrom(const QVariant &value)
{
    if (value.typeId() == QMetaType::QByteArray)
        return value.toByteArray();
    if (value.typeId() == QMetaType::QString)
        return value.toString().toUtf8();
    return std::nullopt;
}

std::optional<QDateTime> timeFrom(const QVariant &value)
{
    const QDateTime time = value.toDateTime();
    return time.isValid() && time.toMSecsSinceEpoch() >= 0 ? std::optional(time) : std::nullopt;
}

} // namespace

QJSValue JsonFunction::call(QJSEngine *engine, const QJSValue &value)
{
    if (!engine)
        return {};
    if (!m_function.isCallable()) {
        m_function =
            engine->evaluate(u"(() => {"
                             "    const classOf = Object.prototype.toString;"
                             "    const withoutJson = ['ArrayBuffer', 'SharedArrayBuffer', 'Map', 'Set', 'WeakMap', "
                             "'WeakSet', 'Promise',"
                             "                         'RegExp', 'Error'];"
                             "    function check(key, value) {"
                             "        if (typeof value !== 'object' || value === null)"
                             "            return value;"
                             "        const name = classOf.call(value).slice(8, -1);"
                             "        if (ArrayBuffer.isView(value) || withoutJson.includes(name))"
                             "            throw new TypeError((key === '' ? '' : key + ': ') +"
                             "                                name + ' cannot be converted to JSON');"
                             "        return value;"
                             "    }"
                             "    return body => JSON.stringify(body, check);"
                             "})()"_s);
    }
    return m_function.call({value});
}

QString Outgoing::setBody(const QJSValue &body, QJSEngine *engine, JsonFunction &toJson)
{
    if (body.isString()) {
        message = Message::fromText(body.toString());
        return {};
    }
    const QVariant variant = body.toVariant(QJSValue::RetainJSObjects);
    if (variant.metaType() == QMetaType::fromType<Message>()) {
        message = variant.value<Message>();
        isForwarded = true;
        return {};
    }
    if (const std::optional<QByteArray> bytes = bytesFromScript(body)) {
        message = Message(*bytes);
        return {};
    }
    if (body.isQObject())
        return tr(
            "The body cannot be sent: a QML object cannot be converted to JSON; send an object with its properties");
    // With Qt 6.4 a value created in C++ is not a JavaScript object.
    const bool isScript = variant.metaType() == QMetaType::fromType<QJSValue>();
    const QJSValue json = toJson.call(engine, isScript || !engine ? body : engine->toScriptValue(variant));
    if (json.isString()) {
        message = Message(json.toString().toUtf8(), u"application/json"_s);
        return {};
    }
    if (json.isError())
        return tr("The body cannot be sent: %1").arg(json.toString());
    return tr("The body cannot be sent: the value is not a string, an ArrayBuffer or a message, and cannot be "
              "converted to JSON");
}

QString Outgoing::setOptions(const QJSValue &options)
{
    const std::optional<FieldTable> table = tableFromScript(QVariant::fromValue(options));
    if (!table)
        return tr("The options must be an object, such as { routingKey: \"a.b\" }");
    for (auto option = table->begin(); option != table->end(); ++option) {
        if (!setOption(option.key(), option.value()))
            return tr("The option %1 is unknown or has an invalid value").arg(option.key());
    }
    return {};
}

bool Outgoing::setOption(const QString &name, const QVariant &value)
{
    // Sets the value and returns true if there is one.
    const auto set = [](const auto &wanted, auto apply) {
        if (wanted)
            apply(*wanted);
        return wanted.has_value();
    };
    if (name == "exchange"_L1)
        return set(textFrom(value), [&](const QString &text) { exchange = text; });
    if (name == "routingKey"_L1)
        return set(textFrom(value), [&](const QString &text) { routingKey = text; });
    if (name == "mandatory"_L1)
        return set(boolFrom(value), [&](bool isMandatory) { mandatory = isMandatory; });
    if (name == "persistent"_L1)
        return set(boolFrom(value), [&](bool isPersistent) { message.setPersistent(isPersistent); });
    if (name == "body"_L1)
        return set(bodyFrom(value), [&](const QByteArray &body) { message.setBody(body); });
    if (name == "headers"_L1)
        return value.typeId() == QMetaType::QVariantMap && (message.setHeaders(value.toMap()), true);
    if (name == "expiration"_L1)
        return set(integerFrom(value, 0, std::numeric_limits<qint64>::max()),
                   [&](qint64 time) { message.setExpiration(std::chrono::milliseconds(time)); });
    if (name == "priority"_L1)
        return set(integerFrom(value, -1, std::numeric_limits<quint8>::max()),
                   [&](qint64 priority) { message.setPriority(int(priority)); });
    if (name == "timestamp"_L1)
        return set(timeFrom(value), [&](const QDateTime &time) { message.setTimestamp(time); });
    const QMetaObject &properties = Message::staticMetaObject;
    const QMetaProperty property = properties.property(properties.indexOfProperty(name.toUtf8().constData()));
    if (!property.isWritable() || property.metaType() != QMetaType::fromType<QString>())
        return false;
    return set(textFrom(value), [&](const QString &text) { property.writeOnGadget(&message, text); });
}

} // namespace AmqpQt
