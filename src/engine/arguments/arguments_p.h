// SPDX-License-Identifier: MIT
#pragma once

#include "engine/arguments/knownarguments_p.h"
#include "wire/fieldtable_p.h"

#include <AmqpQt/error.h>

#include <QtCore/qbytearray.h>
#include <QtCore/qstring.h>

namespace AmqpQt::Engine
{

// Turns an operation's arguments into wire bytes and keeps the first error.
class Arguments
{
public:
    QByteArray shortString(const char *argument, const QString &text);
    QByteArray table(const char *argument, const FieldTable &table, std::span<const KnownArgument> known = {});

    bool areInvalid() const noexcept { return m_error.isError(); }
    const Error &error() const noexcept { return m_error; }

    // Returns as much of an informational text as fits in a short string.
    static QByteArray shortened(const QString &text);

private:
    Error m_error;
};

} // namespace AmqpQt::Engine
