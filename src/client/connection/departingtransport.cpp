// SPDX-License-Identifier: MIT
#include "client/connection/departingtransport_p.h"

#include "wire/codec_p.h"
#include "wire/methods_p.h"

#include <QtCore/qabstracteventdispatcher.h>
#include <QtCore/qcoreapplication.h>
#include <QtCore/qthread.h>

#include <algorithm>
#include <array>

namespace AmqpQt
{

void DepartingTransport::depart(std::unique_ptr<Transport> transport, Engine::Ending ending,
                                std::chrono::milliseconds patience, QByteArrayView input)
{
    // The connection may be deleted earlier, so the event dispatcher is the parent. It is deleted when the thread ends.
    QAbstractEventDispatcher *const loop = QAbstractEventDispatcher::instance();
    if (!loop || transport->thread() != QThread::currentThread())
        return; // without an event loop nothing more is written or read
    transport->setParent(nullptr);
    auto *const departing = new DepartingTransport(std::move(transport), loop);
    departing->m_timer.start(patience);
    if (ending != Engine::Ending::AwaitCloseOk)
        return departing->close();
    departing->keepTail(input);
    departing->discardInput();
}

DepartingTransport::DepartingTransport(std::unique_ptr<Transport> transport, QObject *parent)
    : QObject(parent)
    , m_transport(std::move(transport))
    , m_timer(this)
    , m_closeOk(Wire::encodeFrame(0, Wire::ConnectionCloseOk{}))
{
    m_transport->setParent(this);
    m_timer.setSingleShot(true);
    connect(&m_timer, &QTimer::timeout, this, &DepartingTransport::patienceEnded);
    // Input does not restart the timer, so that a broker that never stops sending cannot keep the socket open.
    connect(m_transport.get(), &Transport::written, &m_timer, qOverload<>(&QTimer::start));
    connect(m_transport.get(), &Transport::readable, this, &DepartingTransport::discardInput);
    connect(m_transport.get(), &Transport::failed, this, &QObject::deleteLater);
    connect(m_transport.get(), &Transport::finished, this, &QObject::deleteLater);
}

// When the thread ends, the rest of the output is lost. Reading what has arrived makes a reset less likely, and so the
// loss of bytes that the kernel has accepted.
DepartingTransport::~DepartingTransport()
{
    m_transport->disconnect(this);
    if (m_isClosing || !m_transport->isReady())
        return;
    constexpr int Reads = 256;
    std::array<char, 4096> space;
    int reads = 0;
    while (reads < Reads && m_transport->read(space.data(), qint64(space.size())) > 0)
        ++reads;
    if (QCoreApplication::instance()) // it is being destroyed otherwise, and the TLS back end of Qt with it
        m_transport->close();
}

void DepartingTransport::discardInput()
{
    constexpr int Reads = 16; // then other event sources come first
    std::array<char, 4096> space;
    for (int reads = 0; reads < Reads; ++reads) {
        if (m_isClosing || !m_transport->isReady())
            return; // until finished() or the timer
        const qint64 size = m_transport->read(space.data(), qint64(space.size()));
        if (size < 0)
            return deleteLater();
        if (size == 0) {
            if (m_tail == m_closeOk) // the last frame of a broker
                close();
            return;
        }
        keepTail(QByteArrayView(space.data(), size));
    }
    QMetaObject::invokeMethod(this, &DepartingTransport::discardInput, Qt::QueuedConnection);
}

void DepartingTransport::keepTail(QByteArrayView input)
{
    m_tail.append(input.last(std::min(input.size(), m_closeOk.size())));
    m_tail.remove(0, std::max<qsizetype>(m_tail.size() - m_closeOk.size(), 0));
}

void DepartingTransport::close()
{
    m_isClosing = true;
    m_transport->close(); // writes the rest first
}

void DepartingTransport::patienceEnded()
{
    if (m_isClosing || m_transport->bytesToWrite() > 0)
        return deleteLater(); // the peer does not read
    close();                  // the peer has the output, but has not answered
    m_timer.start();
}

} // namespace AmqpQt
