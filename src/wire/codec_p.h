// SPDX-License-Identifier: MIT
#pragma once

#include "wire/frame_p.h"

#include <QtCore/qbytearray.h>
#include <QtCore/qbytearrayview.h>

#include <concepts>

// The elementary types of AMQP 0-9-1 and the visitors that read, size and write a method's fields. The method structs
// in methods_p.h are views: made and used within one call, never stored.
namespace AmqpQt::Wire
{

// UTF-8 bytes of at most 255.
struct ShortString : QByteArrayView {
    using QByteArrayView::QByteArrayView;
    constexpr ShortString(QByteArrayView bytes)
        : QByteArrayView(bytes)
    {
    }
};

// Bytes of at most 2³²-1.
struct LongString : QByteArrayView {
    using QByteArrayView::QByteArrayView;
    constexpr LongString(QByteArrayView bytes)
        : QByteArrayView(bytes)
    {
    }
};

// The contents of a field table, without its length. A decoded table has passed checkTable().
struct Table {
    QByteArrayView contents;
};

inline constexpr qsizetype MaximumShortString = 255;

struct MethodId {
    quint16 classId = 0;
    quint16 methodId = 0;

    constexpr quint32 value() const noexcept { return quint32(classId) << 16 | methodId; }
    friend constexpr bool operator==(MethodId a, MethodId b) noexcept { return a.value() == b.value(); }
    friend constexpr bool operator!=(MethodId a, MethodId b) noexcept { return a.value() != b.value(); }
};

// Reads big-endian values from bounded memory. After a read beyond the end, or of a malformed table, failed() stays
// true, every value read is zero, and error() has the reason.
class Reader
{
public:
    explicit Reader(QByteArrayView bytes) noexcept
        : m_at(bytes.data())
        , m_end(bytes.data() + bytes.size())
    {
    }

    bool failed() const noexcept { return m_error; }
    const char *error() const noexcept { return m_error; }
    qsizetype remaining() const noexcept { return m_end - m_at; }
    const char *position() const noexcept { return m_at; }

    template <std::unsigned_integral T>
    T number() noexcept
    {
        if (!take(sizeof(T)))
            return 0;
        return qFromBigEndian<T>(m_at - sizeof(T));
    }
    QByteArrayView bytes(qsizetype size) noexcept
    {
        return take(size) ? QByteArrayView(m_at - size, size) : QByteArrayView();
    }
    ShortString shortString() noexcept { return bytes(number<quint8>()); }
    LongString longString() noexcept { return bytes(number<quint32>()); }
    Table table() noexcept; // checked

private:
    bool take(qsizetype size) noexcept
    {
        if (size < 0 || size > m_end - m_at) [[unlikely]] { // negative for a size over 2 GiB if qsizetype has 32 bits
            fail("truncated");
            return false;
        }
        m_at += size;
        return true;
    }
    void fail(const char *what) noexcept
    {
        if (!m_error)
            m_error = what;
        m_at = m_end;
    }

    const char *m_at;
    const char *m_end;
    const char *m_error = nullptr;
};

class FieldReader
{
public:
    explicit FieldReader(Reader &reader) noexcept
        : m_reader(reader)
    {
    }

    void operator()(const char *, bool &value) noexcept
    {
        if (m_bit == 8) { // consecutive bits share an octet
            m_octet = m_reader.number<quint8>();
            m_bit = 0;
        }
        value = m_octet >> m_bit++ & 1;
    }
    template <std::unsigned_integral T>
    void operator()(const char *, T &value) noexcept
    {
        m_bit = 8;
        value = m_reader.number<T>();
    }
    void operator()(const char *, ShortString &value) noexcept
    {
        m_bit = 8;
        value = m_reader.shortString();
    }
    void operator()(const char *, LongString &value) noexcept
    {
        m_bit = 8;
        value = m_reader.longString();
    }
    void operator()(const char *, Table &value) noexcept
    {
        m_bit = 8;
        value = m_reader.table();
    }

private:
    Reader &m_reader;
    quint8 m_octet = 0;
    quint8 m_bit = 8;
};

class FieldSizer
{
public:
    qsizetype size() const noexcept { return m_size; }

    void operator()(const char *, const bool &) noexcept
    {
        if (m_bit == 8) {
            ++m_size;
            m_bit = 0;
        }
        ++m_bit;
    }
    template <std::unsigned_integral T>
    void operator()(const char *, const T &) noexcept
    {
        add(sizeof(T));
    }
    void operator()(const char *, const ShortString &value) noexcept { add(1 + value.size()); }
    void operator()(const char *, const LongString &value) noexcept { add(4 + value.size()); }
    void operator()(const char *, const Table &value) noexcept { add(4 + value.contents.size()); }

private:
    void add(qsizetype size) noexcept
    {
        m_size += size;
        m_bit = 8;
    }
    qsizetype m_size = 0;
    quint8 m_bit = 8;
};

class FieldWriter
{
public:
    explicit FieldWriter(char *at) noexcept
        : m_at(at)
    {
    }
    char *position() const noexcept { return m_at; }

    void operator()(const char *, const bool &value) noexcept
    {
        if (m_bit == 8) {
            *m_at++ = 0;
            m_bit = 0;
        }
        m_at[-1] = char(quint8(m_at[-1]) | quint8(value) << m_bit++);
    }
    template <std::unsigned_integral T>
    void operator()(const char *, const T &value) noexcept
    {
        m_bit = 8;
        qToBigEndian(value, m_at);
        m_at += sizeof(T);
    }
    void operator()(const char *name, const ShortString &value) noexcept
    {
        Q_ASSERT(value.size() <= MaximumShortString);
        operator()(name, quint8(value.size()));
        append(value);
    }
    void operator()(const char *name, const LongString &value) noexcept
    {
        operator()(name, quint32(value.size()));
        append(value);
    }
    void operator()(const char *name, const Table &value) noexcept
    {
        operator()(name, quint32(value.contents.size()));
        append(value.contents);
    }

private:
    void append(QByteArrayView bytes) noexcept
    {
        if (!bytes.isEmpty())
            std::memcpy(m_at, bytes.data(), size_t(bytes.size()));
        m_at += bytes.size();
    }
    char *m_at;
    quint8 m_bit = 8;
};

// Decodes the fields of `method` from the bytes after class-id and method-id. Returns null if they are well-formed,
// otherwise the error. Trailing bytes are tolerated.
template <typename Method>
const char *decodeArguments(QByteArrayView arguments, Method &method) noexcept
{
    Reader reader(arguments);
    FieldReader fields(reader);
    Method::fields(method, fields);
    return reader.error();
}

// The size of a method frame's payload, which consists of class-id, method-id and fields.
template <typename Method>
qsizetype payloadSize(const Method &method) noexcept
{
    FieldSizer sizer;
    Method::fields(method, sizer);
    return 4 + sizer.size();
}

// `at` must have payloadSize(method) writable bytes; returns the end.
template <typename Method>
char *writePayload(char *at, const Method &method) noexcept
{
    qToBigEndian(Method::id.value(), at);
    FieldWriter writer(at + 4);
    Method::fields(method, writer);
    return writer.position();
}

template <typename Method>
QByteArray encodePayload(const Method &method)
{
    QByteArray payload(payloadSize(method), Qt::Uninitialized);
    writePayload(payload.data(), method);
    return payload;
}

// A complete method frame.
template <typename Method>
QByteArray encodeFrame(quint16 channel, const Method &method)
{
    const qsizetype size = payloadSize(method);
    QByteArray frame(size + FrameOverhead, Qt::Uninitialized);
    char *end = writePayload(writeFrameHeader(frame.data(), FrameType::Method, channel, quint32(size)), method);
    *end = char(FrameEnd);
    return frame;
}

} // namespace AmqpQt::Wire
