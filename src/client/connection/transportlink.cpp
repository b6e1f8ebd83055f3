// SPDX-License-Identifier: MIT
#include "client/connection/transportlink_p.h"

#include "client/clock_p.h"
#include "client/connection/departingtransport_p.h"

#include <array>

namespace AmqpQt
{

TransportLink::TransportLink(Engine::ConnectionEngine &engine, TurnScheduler &scheduler, QObject *parent)
    : QObject(parent) // a child, so that it moves to another thread as well
    , m_engine(engine)
    , m_scheduler(scheduler)
{
}

void TransportLink::setTransport(std::unique_ptr<Transport> transport)
{
    m_transport = std::move(transport);
    m_transport->setParent(this);
    connect(m_transport.get(), &Transport::readable, this, [this] {
        m_isReadable = true;
        m_scheduler.scheduleInLoop();
    });
    connect(m_transport.get(), &Transport::written, this, [this] {
        writeNow();
        m_scheduler.schedule();
    });
    connect(m_transport.get(), &Transport::failed, this, &TransportLink::fail);
}

void TransportLink::lookAgain()
{
    m_isReadable = m_isReadable || (m_transport && m_transport->isReady());
}

// Earlier input is dispatched before the error.
void TransportLink::fail(const Error &error)
{
    m_error = error;
    m_isReadable = true;
    m_scheduler.schedule();
}

bool TransportLink::read(Engine::Time &time)
{
    if (!m_isReadable)
        return false;
    if (m_transport && m_transport->isReady()) {
        const std::span<char> space = m_engine.inputSpace();
        const qint64 size = m_transport->read(space.data(), qint64(space.size()));
        if (size > 0) {
            m_isReadable = m_error.isError() || size == qint64(space.size());
            m_bytesIn += quint64(size);
            time = now();
            m_engine.inputRead(size, time);
            return true;
        }
        if (size < 0)
            m_error = m_transport->error();
    }
    m_isReadable = false;
    if (!m_error.isError())
        return false;
    m_engine.transportClosed(m_error);
    return true;
}

void TransportLink::write(Engine::Time time)
{
    m_engine.prepareOutput(time, bytesToWrite());
    std::array<QByteArrayView, 32> space; // enough for 15 bodies of one frame each
    while (m_transport && !m_error.isError() && m_transport->isReady() && m_transport->bytesToWrite() == 0) {
        const std::span<const QByteArrayView> pieces = m_engine.output(space);
        if (pieces.empty())
            break;
        const qint64 size = m_transport->writeSome(pieces);
        if (size < 0)
            return fail(m_transport->error());
        if (size == 0)
            break;
        m_bytesOut += quint64(size);
        m_engine.written(qsizetype(size), time, m_transport->bytesToWrite());
    }
    m_engine.writeTried();
}

void TransportLink::writeNow()
{
    write(now());
}

// Writes all output, including bytes that the kernel does not accept yet. Returns false if writing is no longer
// possible.
bool TransportLink::writeAll()
{
    while (m_transport->isReady() && !m_engine.output().isEmpty()) {
        const QByteArrayView output = m_engine.output();
        if (m_transport->write(output.data(), output.size()) < 0)
            return false;
        m_bytesOut += quint64(output.size());
        m_engine.written(output.size(), now());
    }
    return m_transport->isReady();
}

void TransportLink::release(Engine::Ending ending, std::chrono::milliseconds patience)
{
    if (!m_transport)
        return;
    disconnect(m_transport.get(), nullptr, this, nullptr);
    const bool isWritten = ending != Engine::Ending::Abort && writeAll();
    std::unique_ptr<Transport> old = std::move(m_transport);
    if (isWritten)
        return DepartingTransport::depart(std::move(old), ending, patience, m_engine.unprocessedInput());
    old->abort();
    old.release()->deleteLater();
}

void TransportLink::reset()
{
    release(Engine::Ending::Abort, {});
    m_isReadable = false;
    m_error = {};
}

} // namespace AmqpQt
