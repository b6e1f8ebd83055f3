// SPDX-License-Identifier: MIT
#include "engine/arguments_p.h"

#include "wire/codec_p.h"

namespace AmqpQt::Engine {

using namespace Qt::StringLiterals;

QByteArray Arguments::shortString(const char *argument, const QString &text)
{
    Result<QByteArray> bytes = Wire::encodeShortText(QLatin1StringView(argument), text);
    if (bytes)
        return std::move(bytes).value();
    if (!m_error.isError())
        m_error = bytes.error();
    return {};
}

QByteArray Arguments::table(const char *argument, const FieldTable &table)
{
    if (table.isEmpty())
        return {};
    Result<QByteArray> contents = Wire::encodeTable(table, QString::fromLatin1(argument));
    if (contents)
        return std::move(contents).value();
    if (!m_error.isError())
        m_error = contents.error();
    return {};
}

QByteArray Arguments::shortened(const QString &text)
{
    QByteArray bytes = text.toUtf8();
    if (bytes.size() <= Wire::MaximumShortString)
        return bytes;
    qsizetype end = Wire::MaximumShortString;
    while (end > 0 && (bytes[end] & 0xc0) == 0x80) // not within a character
        --end;
    return bytes.first(end);
}

} // namespace AmqpQt::Engine
