// SPDX-License-Identifier: MIT
#include "engine/connection/restoration_p.h"

#include <utility>

namespace AmqpQt::Engine
{

void Restoration::connectionLost()
{
    m_isReleased = false;
    m_result.consumers = 0;
}

void Restoration::channelsReleased()
{
    m_isReleased = true;
    reportWhenDone();
}

void Restoration::channelEnded(quint16 number, const Error &failure)
{
    if (!m_channels.remove(number))
        return;
    addFailure({.channel = number}, failure);
    reportWhenDone();
}

void Restoration::consumerEnded(CallId start, const Error &failure)
{
    const auto at = m_consumers.find(start);
    if (at == m_consumers.end())
        return;
    m_result.consumers += !failure.isError();
    addFailure(std::move(*at), failure);
    m_consumers.erase(at);
    reportWhenDone();
}

void Restoration::resumeReport()
{
    m_isPaused = false;
    reportWhenDone();
}

void Restoration::addFailure(Consumer consumer, const Error &failure)
{
    if (!failure.isError() || failure.kind() == ErrorKind::Cancelled) // by the application
        return;
    consumer.error = failure;
    m_result.failures.push_back(std::move(consumer));
}

void Restoration::reportWhenDone()
{
    if (!m_isReleased || m_isPaused || isPending())
        return;
    m_isReleased = false; // until the next loss
    m_events.post(std::exchange(m_result, {}));
}

} // namespace AmqpQt::Engine
