// SPDX-License-Identifier: MIT
#pragma once

#include <QtCore/qbytearray.h>
#include <QtCore/qbytearrayview.h>
#include <QtCore/qrandom.h>

#include <algorithm>
#include <vector>

// Arbitrary bytes that decide what an exerciser does; zeros at their end.
class ScriptBytes
{
public:
    explicit ScriptBytes(QByteArrayView bytes)
        : m_left(bytes)
    {
    }

    bool isEmpty() const { return m_left.isEmpty(); }
    quint8 byte()
    {
        if (m_left.isEmpty())
            return 0;
        const auto value = quint8(m_left.front());
        m_left = m_left.sliced(1);
        return value;
    }
    quint32 number()
    {
        const quint32 high = byte();
        return high << 8 | byte();
    }
    bool chance(int of256) { return byte() < of256; }
    template <typename Weighted>
    const Weighted &anyOf(const std::vector<Weighted> &choices) // one of them, by weight
    {
        int total = 0;
        for (const Weighted &choice : choices)
            total += choice.weight;
        int at = byte() * total / 256;
        return *std::find_if(choices.begin(), choices.end(),
                             [&at](const Weighted &choice) { return (at -= choice.weight) < 0; });
    }
    QByteArray take(qsizetype size)
    {
        const QByteArrayView taken = m_left.first(std::min(size, m_left.size()));
        m_left = m_left.sliced(taken.size());
        return taken.toByteArray();
    }

private:
    QByteArrayView m_left;
};

inline QByteArray randomScript(quint32 seed)
{
    QRandomGenerator random(seed);
    QByteArray bytes(random.bounded(20, 1500), Qt::Uninitialized);
    for (char &byte : bytes)
        byte = char(random.bounded(256));
    return bytes;
}
