// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qbytearray.h>
#include <QtCore/qbytearrayview.h>

#include <list>
#include <memory>
#include <span>

namespace AmqpQt::Engine
{

// Bytes to be sent to the broker. Small pieces are collected in chunks; large bodies stay in the application's
// QByteArray and are only referenced.
class OutputBuffer
{
public:
    static constexpr qsizetype ShareThreshold = 32 * 1024;

    OutputBuffer() = default;
    OutputBuffer(const OutputBuffer &) = delete;
    OutputBuffer &operator=(const OutputBuffer &) = delete;
    ~OutputBuffer() { clear(); }

    qint64 size() const noexcept { return m_appended - m_consumed; }
    bool isEmpty() const noexcept { return m_appended == m_consumed; }
    qint64 appended() const noexcept { return m_appended; } // bytes since clear(), as a position in the stream
    qint64 consumed() const noexcept { return m_consumed; } // bytes of appended() that are written
    // The number of bytes added since the last attempt to write.
    qint64 untried() const noexcept { return size() - m_leftUnwritten; }
    void setTried() noexcept { m_leftUnwritten = size(); }

    char *append(qsizetype size) // returns memory that the caller fills
    {
        if (!m_last || m_last->capacity - m_last->end < size)
            addChunk(size);
        char *at = m_last->own.get() + m_last->end;
        m_last->end += size;
        m_appended += size;
        return at;
    }
    void append(const QByteArray &bytes, qsizetype offset, qsizetype size); // copies or shares the bytes
    void markSecret() noexcept { m_last->isSecret = true; } // the last bytes are wiped once they are written or dropped

    QByteArrayView front() const noexcept; // returns the next bytes to write; empty if there are none
    // Returns front() and the pieces that follow, as many as fit into `space`, in its first elements.
    std::span<const QByteArrayView> pieces(std::span<QByteArrayView> space) const noexcept;
    void consume(qsizetype size) noexcept;
    void clear() noexcept;
    bool hasSpare() const noexcept { return !m_spares.empty(); } // memory kept for the next burst
    void releaseSpare() noexcept;

private:
    struct Chunk {
        std::unique_ptr<char[]> own;
        QByteArray shared; // used if own is null
        qsizetype begin = 0;
        qsizetype end = 0;
        qsizetype capacity = 0;
        bool isSecret = false; // contains a secret, and is wiped before its memory is used again

        void wipe() noexcept;
        QByteArrayView bytes() const noexcept
        {
            return QByteArrayView((own ? own.get() : shared.constData()) + begin, end - begin);
        }
    };
    static constexpr qsizetype SmallChunk = 2 * 1024;
    static constexpr qsizetype Growth = 4;                    // from a chunk to the next, up to LargeChunk
    static constexpr qsizetype LargeChunk = 128 * 1024 - 256; // below the allocator's threshold for mapped memory
    static constexpr size_t MostSpares = 32;                  // 4 MiB, where publishers should pause

    void addChunk(qsizetype size);

    // Lists, since an idle connection then uses no memory for them, and a chunk keeps its address when it becomes a
    // spare.
    std::list<Chunk> m_chunks;
    Chunk *m_last = nullptr; // of m_chunks
    std::list<Chunk> m_spares;
    qint64 m_appended = 0;
    qint64 m_consumed = 0;
    qint64 m_leftUnwritten = 0; // the number of unwritten bytes at the last attempt to write
};

} // namespace AmqpQt::Engine
