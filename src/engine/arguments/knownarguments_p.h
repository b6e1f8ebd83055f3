// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qstring.h>
#include <QtCore/qvariant.h>

#include <span>

namespace AmqpQt::Engine
{

// Optional arguments for which RabbitMQ closes the channel if a value is wrong. Rejects only values that both 3.10
// and 4.3 reject for every type of queue, and values of new arguments that 4.3 ignores without an error. Unlisted
// arguments pass, since brokers and plug-ins have more.
struct KnownArgument {
    QLatin1StringView name;
    QString (*problem)(const QVariant &value); // returns an empty string if there is none
};

std::span<const KnownArgument> queueArguments();
std::span<const KnownArgument> exchangeArguments();
std::span<const KnownArgument> consumeArguments();

} // namespace AmqpQt::Engine
