// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/fieldtable.h>

#include <QtCore/qbytearrayview.h>

#include <optional>

// Field tables (AMQP 0-9-1 section 4.2.5.5, with the type letters RabbitMQ reads and writes). "Contents" are the
// bytes of a table after its 32-bit length.
namespace AmqpQt::Wire
{

inline constexpr int MaximumTableNesting = 32; // nested tables and arrays, including the outermost table

// Unlike QString::fromUtf8(), keeps an initial U+FEFF, since the text belongs to the peer, and bytes that are not
// UTF-8, see AmqpQt::textFromBytes().
QString decodeText(QByteArrayView utf8);

// The inverse of decodeText(); nothing if the text has unpaired surrogates that decodeText() does not produce.
std::optional<QByteArray> encodeText(const QString &text);

// Returns whether a short string may have bytes that are not UTF-8. RabbitMQ closes the connection (501) for such
// bytes in a method, except in the routing key of basic.publish.
enum class NotUtf8 { Rejected, Allowed };

// Returns the bytes of a short string, or an InvalidArgument that begins with the name of the argument.
Result<QByteArray> encodeShortText(QLatin1StringView argument, const QString &text,
                                   NotUtf8 notUtf8 = NotUtf8::Rejected);

// Checks the lengths, type letters and nesting of the contents. Returns null if they are well-formed, otherwise the
// error.
const char *checkTable(QByteArrayView contents) noexcept;

// Decodes contents that have passed checkTable().
FieldTable decodeTable(QByteArrayView contents);

// Returns the type letter and value of a key, without decoding them; empty if the key is missing. The last of equal
// keys counts, as in decoding. The values of the other keys may be malformed if their lengths are right.
QByteArrayView findValue(QByteArrayView contents, QByteArrayView key) noexcept;

// Returns whether encodeTable() rejects the table because of its nesting. Safe for any table, since it never looks
// deeper than the limit.
bool isNestedTooDeeply(const FieldTable &table);

// Returns the contents, or an InvalidArgument that names the argument and the key ("headers: "x-a.b": type QSize
// cannot …").
Result<QByteArray> encodeTable(const FieldTable &table, QStringView argument);

} // namespace AmqpQt::Wire
