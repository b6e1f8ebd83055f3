// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qbytearrayview.h>
#include <QtCore/qglobal.h>

#include <memory>
#include <span>

namespace AmqpQt::Engine
{

// Bytes from the broker, parsed in place. The buffer grows only when it is full, so its memory follows the data that
// has arrived.
class InputBuffer
{
public:
    static constexpr qsizetype NormalCapacity = 128 * 1024 - 256; // below the allocator's threshold for mapped memory

    QByteArrayView bytes() const noexcept { return QByteArrayView(m_data.get() + m_begin, m_end - m_begin); }
    bool isEmpty() const noexcept { return m_begin == m_end; }
    void consume(qsizetype size) noexcept
    {
        Q_ASSERT(size <= m_end - m_begin);
        m_begin += size;
        if (m_begin == m_end)
            m_begin = m_end = 0;
    }

    // Room for the next read, never empty. A frame cut by the end of the buffer is moved to its beginning.
    std::span<char> space();
    void filled(qsizetype size) noexcept;

    void clear() noexcept;
    bool hasIdleMemory() const noexcept { return m_capacity > 0 && isEmpty(); }

private:
    static constexpr qsizetype InitialCapacity = 4 * 1024;
    static constexpr qsizetype UsefulRead = 2 * 1024;
    void grow(qsizetype capacity);

    std::unique_ptr<char[]> m_data;
    qsizetype m_begin = 0;
    qsizetype m_end = 0;
    qsizetype m_capacity = 0;
    bool m_wasFilled = false; // the last read used all the room
};

} // namespace AmqpQt::Engine
