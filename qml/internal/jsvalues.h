// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/fieldtable.h>

#include <QtCore/qmetatype.h>
#include <QtQml/qjsvalue.h>

#include <optional>

// Converts all values between QML and the broker: JavaScript has one number type and many views of bytes, AMQP has many
// number types and one type for bytes.
namespace AmqpQt
{

// Converts to the value of an argument or a header: whole numbers become integers, views of bytes become bytes, and
// undefined members are left out. A value without an AMQP type, such as a function or a Map, becomes a value that every
// call rejects, naming it and its place in the table.
QVariant fromScript(const QVariant &value);
QVariant fromScript(const QJSValue &value);

// The same for an object with string keys; nothing if it is something else. undefined is an empty table.
std::optional<FieldTable> tableFromScript(const QVariant &value);

// The bytes of an ArrayBuffer, a typed array or a DataView; nothing if it is something else.
std::optional<QByteArray> bytesFromScript(const QVariant &value);
std::optional<QByteArray> bytesFromScript(const QJSValue &value);

// Converts in the opposite direction: integers that a double cannot represent become strings, and bytes are never null,
// since QML takes a null QByteArray for a detached ArrayBuffer.
QVariant toScript(const QVariant &value);
QVariantMap toScript(const QVariantMap &values);

} // namespace AmqpQt
