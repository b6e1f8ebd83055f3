// SPDX-License-Identifier: MIT
#include "engine/arguments/arguments_p.h"

#include "wire/codec_p.h"

namespace AmqpQt::Engine
{

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

QByteArray Arguments::table(const char *argument, const FieldTable &table, std::span<const KnownArgument> known)
{
    if (table.isEmpty())
        return {};
    Result<QByteArray> contents = Wire::encodeTable(table, QString::fromLatin1(argument));
    Error error = contents.error();
    for (const KnownArgument &entry : known) {
        if (error.isError())
            break;
        const auto value = table.constFind(entry.name);
        const QString problem = value == table.cend() ? QString() : entry.problem(*value);
        if (!problem.isEmpty())
            error = Error(ErrorKind::InvalidArgument,
                          u"%1: \"%2\": %3"_s.arg(QLatin1StringView(argument), entry.name, problem));
    }
    if (!error.isError())
        return std::move(contents).value();
    if (!m_error.isError())
        m_error = error;
    return {};
}

QByteArray Arguments::shortened(const QString &text)
{
    QByteArray bytes = text.toUtf8();
    if (bytes.size() <= Wire::MaximumShortString)
        return bytes;
    qsizetype end = Wire::MaximumShortString;
    while (end > 0 && (bytes[end] & 0xc0) == 0x80) // do not split a character
        --end;
    return bytes.first(end);
}

} // namespace AmqpQt::Engine
