// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qstring.h>
#include <QtCore/qvariant.h>

#include <span>

namespace AmqpQt::Engine {

// RabbitMQ's optional arguments whose wrong values it answers with an error that ends the channel. Only what 3.10
// and 4.3 both refuse, whatever the type of the queue, is refused here. Arguments that are not listed pass: brokers and
// plug-ins have more.
struct KnownArgument
{
    QLatin1StringView name;
    QString (*problem)(const QVariant &value); // empty: none
};

std::span<const KnownArgument> queueArguments();
std::span<const KnownArgument> exchangeArguments();
std::span<const KnownArgument> consumeArguments();

} // namespace AmqpQt::Engine
