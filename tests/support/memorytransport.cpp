// SPDX-License-Identifier: MIT
#include "support/memorytransport.h"

#include <QtCore/qmetaobject.h>

#include <algorithm>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

MemoryTransport::MemoryTransport(QObject *parent)
    : Transport(parent)
{
}

MemoryTransport::~MemoryTransport()
{
    end();
}

void MemoryTransport::connectTo(const PeerAddress &address)
{
    m_address = address;
    m_state = State::Connecting;
}

qint64 MemoryTransport::read(char *to, qint64 size)
{
    if (m_state != State::Ready)
        return m_state == State::Closed ? -1 : 0;
    const qint64 taken = std::min<qint64>(size, m_input.size());
    if (taken == 0 && m_isEnded) {
        m_error = Error(ErrorKind::Network, u"the broker closed the connection"_s);
        end();
        return -1;
    }
    std::copy_n(m_input.constData(), taken, to);
    m_input.remove(0, taken);
    if (!m_input.isEmpty() || m_isEnded)
        post(&Transport::readable, m_isReadablePosted);
    return taken;
}

qint64 MemoryTransport::write(const char *from, qint64 size)
{
    if (!isReady())
        return -1;
    const QByteArrayView bytes(from, size);
    const qint64 taken = m_unsent.isEmpty() ? take(bytes) : 0;
    m_unsent.append(bytes.sliced(taken));
    return size;
}

qint64 MemoryTransport::writeSome(std::span<const QByteArrayView> pieces)
{
    constexpr qint64 Remainder = 16 * 1024; // as in SocketTransport
    if (!isReady())
        return -1;
    qint64 written = 0;
    for (const QByteArrayView piece : pieces) {
        const qint64 taken = m_unsent.isEmpty() ? take(piece) : 0;
        written += taken;
        if (taken < piece.size()) {
            m_unsent.append(piece.sliced(taken, std::min(piece.size() - taken, Remainder)));
            return written + m_unsent.size();
        }
    }
    return written;
}

void MemoryTransport::close()
{
    if (isReady())
        m_state = State::Closing;
    if (m_unsent.isEmpty())
        finish();
}

void MemoryTransport::abort()
{
    end();
}

void MemoryTransport::accept()
{
    QMetaObject::invokeMethod(
        this,
        [this] {
            if (m_state != State::Connecting)
                return;
            m_state = State::Ready;
            Q_EMIT ready();
        },
        Qt::QueuedConnection);
}

void MemoryTransport::fail(const Error &error)
{
    if (m_state == State::Idle || m_state == State::Closed)
        return;
    if (m_state == State::Closing)
        return finish();
    m_error = error;
    end();
    QMetaObject::invokeMethod(
        this, [this] { Q_EMIT failed(m_error); }, Qt::QueuedConnection);
}

void MemoryTransport::send(QByteArrayView bytes)
{
    if (m_isEnded || m_state == State::Closed)
        return;
    m_input.append(bytes);
    post(&Transport::readable, m_isReadablePosted);
}

void MemoryTransport::hangUp()
{
    if (m_state == State::Closing)
        return finish();
    m_isEnded = true;
    post(&Transport::readable, m_isReadablePosted);
}

void MemoryTransport::setRoom(qint64 bytes)
{
    m_room = bytes;
    if (m_unsent.isEmpty())
        return;
    m_unsent.remove(0, take(m_unsent));
    if (m_state == State::Closing && m_unsent.isEmpty())
        finish();
    else
        post(&Transport::written, m_isWrittenPosted);
}

void MemoryTransport::post(void (Transport::*signal)(), bool &isPosted)
{
    if (std::exchange(isPosted, true))
        return;
    QMetaObject::invokeMethod(
        this,
        [this, signal, &isPosted] {
            isPosted = false;
            if (isReady())
                Q_EMIT(this->*signal)();
        },
        Qt::QueuedConnection);
}

qint64 MemoryTransport::take(QByteArrayView bytes)
{
    const qint64 taken = std::min<qint64>(bytes.size(), m_room);
    m_room -= taken;
    if (taken > 0 && m_peer)
        m_peer->received(bytes.first(taken));
    return taken;
}

void MemoryTransport::finish()
{
    end();
    QMetaObject::invokeMethod(this, &Transport::finished, Qt::QueuedConnection);
}

void MemoryTransport::end()
{
    if (m_state == State::Closed)
        return;
    m_state = State::Closed;
    m_input.clear();
    m_unsent.clear();
    if (m_peer)
        std::exchange(m_peer, nullptr)->clientClosed();
}
