// SPDX-License-Identifier: MIT
#pragma once

#include "engine/time_p.h"

namespace AmqpQt
{

// The time that the client passes to the engine, which has no clock.
inline Engine::Time now()
{
    return Engine::Time::clock::now();
}

} // namespace AmqpQt
