// SPDX-License-Identifier: MIT
#include "client/connection/transportlink_p.h"

#include <QtCore/qmetaobject.h>
#include <QtCore/qthread.h>
#include <QtCore/qtimer.h>

#include <array>

namespace AmqpQt
{

static Engine::Time now()
{
    return std::chrono::steady_clock::now();
}

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

// Gives up on a peer that has stopped reading, but not on one that reads slowly.
static void deleteWhenStuck(Transport *leaving, std::chrono::milliseconds patience)
{
    auto *const timer = new QTimer(leaving);
    timer->setSingleShot(true);
    QObject::connect(timer, &QTimer::timeout, leaving, &QObject::deleteLater);
    QObject::connect(leaving, &Transport::written, timer, qOverload<>(&QTimer::start));
    QObject::connect(leaving, &Transport::finished, timer, &QTimer::stop);
    timer->start(patience);
}

void TransportLink::release(bool graceful, std::chrono::milliseconds patience)
{
    if (!m_transport)
        return;
    disconnect(m_transport.get(), nullptr, this, nullptr);
    const bool isWritten = graceful && writeAll();
    Transport *const old = m_transport.release();
    if (isWritten) {
        connect(old, &Transport::finished, old, &QObject::deleteLater);
        deleteWhenStuck(old, patience);
        old->close();
    } else {
        old->abort();
        old->deleteLater();
    }
}

void TransportLink::reset()
{
    release(false, {});
    m_isReadable = false;
    m_error = {};
}

static void discardInput(Transport *leaving)
{
    constexpr int Reads = 16;
    char space[4096];
    for (int reads = 0; reads < Reads; ++reads) {
        const qint64 size = leaving->read(space, sizeof space);
        if (size < 0)
            leaving->deleteLater();
        if (size <= 0)
            return;
    }
    QMetaObject::invokeMethod(
        leaving, [leaving] { discardInput(leaving); }, Qt::QueuedConnection); // others come first
}

// Nothing waits for the transport any more. A socket closed with unread input is reset, and the peer may then drop the
// last bytes written. So it stays in the event loop until the peer closes the connection.
void TransportLink::leave(std::chrono::milliseconds patience)
{
    const bool isCloseSent = m_engine.state() == Engine::ConnectionEngine::State::CloseSent;
    QAbstractEventDispatcher *const loop =
        thread() == QThread::currentThread() ? QAbstractEventDispatcher::instance() : nullptr;
    if (!isCloseSent || !loop || !writeAll())
        return m_transport.reset();
    Transport *const leaving = m_transport.release();
    disconnect(leaving, nullptr, this, nullptr);
    leaving->setParent(loop); // the event dispatcher deletes it when the thread ends
    connect(leaving, &Transport::readable, leaving, [leaving] { discardInput(leaving); });
    connect(leaving, &Transport::failed, leaving, &QObject::deleteLater);
    deleteWhenStuck(leaving, patience);
    discardInput(leaving);
}

} // namespace AmqpQt
