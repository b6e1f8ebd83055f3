// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/connectionparameters.h>

#include <limits>

// The ranges that setters and URLs have in common.
namespace AmqpQt {

inline constexpr quint16 DefaultPort = 5672;
inline constexpr quint32 MinimumFrameSize = 8192; // RabbitMQ 4.1 and later refuse less
inline constexpr qsizetype MaximumVirtualHost = 255;
inline constexpr std::chrono::seconds MaximumHeartbeat{std::numeric_limits<quint16>::max()};
inline constexpr std::chrono::milliseconds MaximumTimeout{std::numeric_limits<int>::max()};

} // namespace AmqpQt
