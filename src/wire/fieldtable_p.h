// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/fieldtable.h>

#include <QtCore/qbytearrayview.h>

// Field tables (AMQP 0-9-1 section 4.2.5.5, with the type letters RabbitMQ reads and writes). "Contents" are the bytes
// of a table behind its 32-bit length.
namespace AmqpQt::Wire {

inline constexpr int MaximumTableNesting = 32; // a table inside a table inside …, arrays counted too

// Unlike QString::fromUtf8() this keeps an initial U+FEFF: the text belongs to the peer.
QString decodeText(QByteArrayView utf8);

// The bytes of a short string, or an InvalidArgument that begins with the name of the argument.
Result<QByteArray> encodeShortText(QLatin1StringView argument, const QString &text);

// Walks the contents: lengths, type letters, nesting. Null if they are well-formed, else what is wrong with them.
const char *checkTable(QByteArrayView contents) noexcept;

// Contents for which checkTable() found nothing.
FieldTable decodeTable(QByteArrayView contents);

// Type letter and value of a key, without decoding anything: empty if there is none. Of several the last, as decoded.
QByteArrayView findValue(QByteArrayView contents, QByteArrayView key) noexcept;

// The contents, or an InvalidArgument that names the argument and the key ("headers: "x-a.b": type QSize cannot …").
Result<QByteArray> encodeTable(const FieldTable &table, QStringView argument);

} // namespace AmqpQt::Wire
