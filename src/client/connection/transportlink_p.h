// SPDX-License-Identifier: MIT
#pragma once

#include "client/connection/turnscheduler_p.h"
#include "engine/connection/connectionengine_p.h"
#include "transport/transport_p.h"

#include <memory>

namespace AmqpQt
{

// Moves bytes between the engine and the transport.
class TransportLink final : public QObject
{
public:
    TransportLink(Engine::ConnectionEngine &engine, TurnScheduler &scheduler, QObject *parent);

    void setTransport(std::unique_ptr<Transport> transport); // called after Transport::ready()
    bool hasTransport() const noexcept { return bool(m_transport); }
    qint64 bytesToWrite() const { return m_transport ? m_transport->bytesToWrite() : 0; }
    quint64 bytesIn() const noexcept { return m_bytesIn; }
    quint64 bytesOut() const noexcept { return m_bytesOut; }
    void watchIdleness() noexcept { m_bytesWhenWatched = m_bytesIn + m_bytesOut; }
    bool isIdle() const noexcept { return m_bytesWhenWatched == m_bytesIn + m_bytesOut; } // since watchIdleness()

    bool isReadable() const noexcept { return m_isReadable; } // whether the transport may have bytes or has failed
    void lookAgain();                                         // checks for bytes without a signal
    bool read(Engine::Time &time);                            // sets the time of reading
    void write(Engine::Time time);
    void writeNow(); // writes before the end of the turn
    void fail(const Error &error);

    void release(Engine::Ending ending, std::chrono::milliseconds patience); // called when the connection has ended
    void reset();                                                            // called before another attempt

private:
    bool writeAll();

    Engine::ConnectionEngine &m_engine;
    TurnScheduler &m_scheduler;
    std::unique_ptr<Transport> m_transport;
    Error m_error; // passed to the engine once all input is dispatched
    bool m_isReadable = false;
    quint64 m_bytesIn = 0;
    quint64 m_bytesOut = 0;
    quint64 m_bytesWhenWatched = 0;
};

} // namespace AmqpQt
