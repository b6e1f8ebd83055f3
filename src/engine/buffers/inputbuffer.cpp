// SPDX-License-Identifier: MIT
#include "engine/buffers/inputbuffer_p.h"

#include <algorithm>
#include <cstring>

namespace AmqpQt::Engine
{

std::span<char> InputBuffer::space()
{
    if (m_capacity == 0)
        grow(InitialCapacity);
    else if (m_wasFilled && m_capacity < NormalCapacity)
        grow(NormalCapacity);
    else if (m_capacity - m_end < UsefulRead && m_begin > 0)
        grow(m_capacity); // same size; moves the rest to the beginning
    if (m_end == m_capacity)
        grow(2 * m_capacity); // one frame fills the whole buffer
    m_wasFilled = false;
    return {m_data.get() + m_end, size_t(m_capacity - m_end)};
}

void InputBuffer::filled(qsizetype size) noexcept
{
    Q_ASSERT(size <= m_capacity - m_end);
    m_end += size;
    m_wasFilled = m_end == m_capacity;
}

void InputBuffer::grow(qsizetype capacity)
{
    const qsizetype left = m_end - m_begin;
    if (capacity == m_capacity) {
        std::memmove(m_data.get(), m_data.get() + m_begin, size_t(left));
    } else {
        auto data = std::make_unique_for_overwrite<char[]>(size_t(capacity));
        if (left > 0)
            std::memcpy(data.get(), m_data.get() + m_begin, size_t(left));
        m_data = std::move(data);
        m_capacity = capacity;
    }
    m_begin = 0;
    m_end = left;
}

void InputBuffer::clear() noexcept
{
    m_data.reset();
    m_begin = m_end = m_capacity = 0;
    m_wasFilled = false;
}

} // namespace AmqpQt::Engine
