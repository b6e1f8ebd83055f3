// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/fieldtable.h>

#include <QtCore/qmetatype.h>
#include <QtQml/qjsvalue.h>

#include <optional>

// What goes from QML to the broker and back is converted here and nowhere else: JavaScript has one type of numbers and many
// views of bytes, AMQP many types of numbers and one of bytes.
namespace AmqpQt
{

// As an argument or a header has it: whole numbers are integers, views of bytes are bytes, and members that are undefined
// are left out. What AMQP has no type for, such as a function or a Map, becomes a value that every call refuses by its
// name and its place in the table.
QVariant fromScript(const QVariant &value);
QVariant fromScript(const QJSValue &value);

// The same of an object with string keys; nothing if it is something else. undefined is an empty table.
std::optional<FieldTable> tableFromScript(const QVariant &value);

// The bytes of an ArrayBuffer, a typed array or a DataView; nothing if it is something else.
std::optional<QByteArray> bytesFromScript(const QVariant &value);
std::optional<QByteArray> bytesFromScript(const QJSValue &value);

// The other way: numbers that a double cannot hold are the text of their digits, and bytes are never null, which QML takes
// for a detached ArrayBuffer.
QVariant toScript(const QVariant &value);
QVariantMap toScript(const QVariantMap &values);

} // namespace AmqpQt
