// SPDX-License-Identifier: MIT
#include "engine/buffers/outputbuffer_p.h"

#include "base/secret_p.h"

#include <algorithm>
#include <cstring>
#include <iterator>
#include <utility>

namespace AmqpQt::Engine
{

void OutputBuffer::Chunk::wipe() noexcept
{
    if (std::exchange(isSecret, false))
        Secret::wipe(own.get(), end);
}

void OutputBuffer::addChunk(qsizetype size)
{
    const bool isBurst = m_last && m_last->own;
    const qsizetype wanted = isBurst ? std::min(Growth * m_last->capacity, LargeChunk) : SmallChunk;
    const qsizetype capacity = std::max(size, wanted);
    if (!m_spares.empty() && m_spares.back().capacity >= capacity) {
        m_chunks.splice(m_chunks.end(), m_spares, std::prev(m_spares.end()));
    } else {
        Chunk &chunk = m_chunks.emplace_back();
        chunk.own = std::make_unique_for_overwrite<char[]>(size_t(capacity));
        chunk.capacity = capacity;
    }
    m_last = &m_chunks.back();
}

void OutputBuffer::append(const QByteArray &bytes, qsizetype offset, qsizetype size)
{
    if (size < ShareThreshold) {
        if (size > 0)
            std::memcpy(append(size), bytes.constData() + offset, size_t(size));
        return;
    }
    m_last = &m_chunks.emplace_back();
    m_last->shared = bytes;
    m_last->begin = offset;
    m_last->end = offset + size;
    m_appended += size;
}

QByteArrayView OutputBuffer::front() const noexcept
{
    return m_chunks.empty() ? QByteArrayView() : m_chunks.front().bytes();
}

std::span<const QByteArrayView> OutputBuffer::pieces(std::span<QByteArrayView> space) const noexcept
{
    size_t count = 0;
    for (auto chunk = m_chunks.begin(); chunk != m_chunks.end() && count < space.size(); ++chunk)
        space[count++] = chunk->bytes();
    return space.first(count);
}

void OutputBuffer::consume(qsizetype size) noexcept
{
    Q_ASSERT(size <= this->size());
    m_consumed += size;
    while (size > 0) {
        Chunk &first = m_chunks.front();
        const qsizetype part = std::min(size, first.end - first.begin);
        first.begin += part;
        size -= part;
        if (first.begin == first.end) {
            first.wipe();
            if (first.own && first.capacity <= LargeChunk && m_spares.size() < MostSpares) {
                first.begin = first.end = 0;
                m_spares.splice(m_spares.end(), m_chunks, m_chunks.begin());
            } else {
                m_chunks.pop_front();
            }
            if (m_chunks.empty())
                m_last = nullptr;
        }
    }
}

void OutputBuffer::clear() noexcept
{
    for (Chunk &chunk : m_chunks)
        chunk.wipe();
    m_chunks.clear();
    m_last = nullptr;
    m_appended = m_consumed = m_leftUnwritten = 0;
}

void OutputBuffer::releaseSpare() noexcept
{
    m_spares.clear();
}

} // namespace AmqpQt::Engine
