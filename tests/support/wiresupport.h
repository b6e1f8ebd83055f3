// SPDX-License-Identifier: MIT
#pragma once

#include "wire/contentheader_p.h"
#include "wire/methods_p.h"

#include <QtCore/qbytearraylist.h>
#include <QtCore/qrandom.h>

#include <algorithm>
#include <deque>
#include <memory>

// Shared by the tests of the wire layer.
namespace WireSupport
{

// A copy in heap memory of exactly its size, so that a sanitizer sees each read beyond the end.
class ExactBytes
{
public:
    explicit ExactBytes(QByteArrayView bytes)
        : m_bytes(new char[size_t(bytes.size())])
        , m_size(bytes.size())
    {
        std::copy(bytes.begin(), bytes.end(), m_bytes.get());
    }
    operator QByteArrayView() const { return {m_bytes.get(), m_size}; }

private:
    std::unique_ptr<char[]> m_bytes;
    qsizetype m_size;
};

// A visitor that gives each field a distinctive value, including text in several scripts. It owns the bytes.
class FieldFiller
{
public:
    explicit FieldFiller(quint32 seed)
        : m_random(seed)
    {
    }

    void operator()(const char *, bool &value) { value = m_random.bounded(2); }
    template <std::unsigned_integral T>
    void operator()(const char *, T &value)
    {
        value = T(m_random.generate64());
    }
    void operator()(const char *, AmqpQt::Wire::ShortString &value) { value = keep(text()); }
    void operator()(const char *, AmqpQt::Wire::LongString &value)
    {
        value = keep(text().repeated(m_random.bounded(4)));
    }
    void operator()(const char *, AmqpQt::Wire::Table &value)
    {
        const QByteArray entries[] = {{},
                                      QByteArray("\x01kt\x01", 4),
                                      QByteArray("\x01"
                                                 "aF\0\0\0\x03\x01vV",
                                                 10)};
        value.contents = keep(entries[m_random.bounded(3)]);
    }

private:
    QByteArray text()
    {
        static const char *const texts[] = {"",     "orders.*.#",  "заказы",   "注文",    "طلبات",
                                            "ऑर्डर", "παραγγελίες", "🐇🥕", "\xff\xfe"};
        return texts[m_random.bounded(int(std::size(texts)))];
    }
    QByteArrayView keep(const QByteArray &bytes) { return m_kept.emplace_back(bytes); }

    QRandomGenerator m_random;
    std::deque<QByteArray> m_kept;
};

// A visitor that collects names and values, for comparison.
class FieldCollector
{
public:
    QByteArrayList fields() const { return m_fields; }

    template <std::unsigned_integral T> // includes bool
    void operator()(const char *name, const T &value)
    {
        add(name, QByteArray::number(qulonglong(value)));
    }
    void operator()(const char *name, const AmqpQt::Wire::ShortString &value) { addBytes(name, value); }
    void operator()(const char *name, const AmqpQt::Wire::LongString &value) { addBytes(name, value); }
    void operator()(const char *name, const AmqpQt::Wire::Table &value) { addBytes(name, value.contents); }

private:
    void addBytes(const char *name, QByteArrayView bytes) { add(name, bytes.toByteArray().toHex()); }
    void add(const char *name, const QByteArray &value) { m_fields.append(QByteArray(name) + '=' + value); }

    QByteArrayList m_fields;
};

template <typename Fields>
QByteArrayList collected(const Fields &fields)
{
    FieldCollector collector;
    Fields::fields(fields, collector);
    return collector.fields();
}

// Calls function.template operator()<M>() for each method M.
template <typename Function>
void forEachMethod(Function &&function)
{
    const QByteArray zeros(64, '\0'); // well-formed arguments of any method
    for (quint16 classId = 0; classId < 128; ++classId) {
        for (quint16 methodId = 0; methodId < 128; ++methodId) {
            AmqpQt::Wire::visitMethod({classId, methodId}, zeros,
                                      [&]<typename M>(const M &) { function.template operator()<M>(); });
        }
    }
}

// One to four random changes: bytes overwritten, inserted, removed, or the rest cut off.
inline QByteArray mutated(QByteArray bytes, QRandomGenerator &random)
{
    for (int changes = random.bounded(1, 5); changes > 0; --changes) {
        const qsizetype at = random.bounded(int(bytes.size()) + 1);
        static const char telling[] = {0, 1, '\x7f', '\x80', '\xff', 'F', 'A', 'S', 'x', 'V', 'T', 't'};
        const char byte = random.bounded(2) ? telling[random.bounded(int(sizeof telling))] : char(random.bounded(256));
        switch (random.bounded(8)) {
        case 0:
            bytes.truncate(at);
            break;
        case 1:
            bytes.remove(at, random.bounded(1, 5));
            break;
        case 2:
            bytes.insert(at, byte);
            break;
        default:
            if (at < bytes.size())
                bytes[at] = byte;
            break;
        }
    }
    return bytes;
}

} // namespace WireSupport
