// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>

namespace AmqpQt::Engine
{

// The engine has no clock: whoever drives it says what time it is, and it compares.
using Time = std::chrono::steady_clock::time_point;
using Milliseconds = std::chrono::milliseconds;

} // namespace AmqpQt::Engine
