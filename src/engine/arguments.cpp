// SPDX-License-Identifier: MIT
#include "engine/arguments_p.h"

#include "wire/codec_p.h"

namespace AmqpQt::Engine {

using namespace Qt::StringLiterals;

QByteArray Arguments::shortString(const char *argument, const QString &text)
{
    QByteArray bytes = text.toUtf8();
    if (bytes.size() > Wire::MaximumShortString) {
        if (!m_error.isError())
            m_error = tooLong(argument, bytes.size());
        bytes.clear();
    }
    return bytes;
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

Error Arguments::tooLong(const char *argument, qsizetype bytes)
{
    return Error(ErrorKind::InvalidArgument,
                 u"%1: %2 bytes of UTF-8, at most %3 are possible"_s.arg(QLatin1StringView(argument))
                     .arg(bytes)
                     .arg(Wire::MaximumShortString));
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
