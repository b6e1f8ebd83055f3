// SPDX-License-Identifier: MIT
#include "engine/buffers/outputbuffer_p.h"

#include "base/secret_p.h"

#include <algorithm>
#include <cstring>

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
    const qsizetype capacity = std::max(size, isBurst ? LargeChunk : SmallChunk);
    Chunk chunk;
    if (!m_spares.empty() && m_spares.back().capacity >= capacity) {
        chunk = std::move(m_spares.back());
        m_spares.pop_back();
    } else {
        chunk.capacity = capacity;
        chunk.own = std::make_unique_for_overwrite<char[]>(size_t(capacity));
    }
    m_last = &m_chunks.emplace_back(std::move(chunk));
}

void OutputBuffer::append(const QByteArray &bytes, qsizetype offset, qsizetype size)
{
    if (size < ShareThreshold) {
        if (size > 0)
            std::memcpy(append(size), bytes.constData() + offset, size_t(size));
        return;
    }
    Chunk chunk;
    chunk.shared = bytes;
    chunk.begin = offset;
    chunk.end = offset + size;
    m_last = &m_chunks.emplace_back(std::move(chunk));
    m_appended += size;
}

QByteArrayView OutputBuffer::front() const noexcept
{
    return m_chunks.empty() ? QByteArrayView() : m_chunks.front().bytes();
}

std::span<const QByteArrayView> OutputBuffer::pieces(std::span<QByteArrayView> space) const noexcept
{
    const size_t count = std::min(space.size(), m_chunks.size());
    std::transform(m_chunks.begin(), m_chunks.begin() + qsizetype(count), space.begin(),
                   [](const Chunk &chunk) { return chunk.bytes(); });
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
                m_spares.push_back(std::move(first));
            }
            m_chunks.pop_front();
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
    m_spares.shrink_to_fit();
}

} // namespace AmqpQt::Engine
