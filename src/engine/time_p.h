// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>

namespace AmqpQt::Engine
{

// The engine has no clock; its caller passes the time, and the engine only compares.
using Time = std::chrono::steady_clock::time_point;
using Milliseconds = std::chrono::milliseconds;

} // namespace AmqpQt::Engine
