// SPDX-License-Identifier: MIT
#include "chaos/verdict.h"

#include <algorithm>

using namespace Qt::StringLiterals;

namespace
{

constexpr int ExamplesOfEach = 5;

// In the order of the enum.
constexpr std::array names{"lost",          "ended twice",        "never ended",     "out of order", "over prefetch",
                           "not published", "not recovered",      "recovered twice", "not restored", "topology differs",
                           "stale acks",    "second connections", "unexpected"};
static_assert(names.size() == size_t(Violation::Unexpected) + 1);

} // namespace

void Verdict::add(Violation violation, const QString &example, qint64 count)
{
    if (count == 0)
        return;
    m_counts[size_t(violation)] += count;
    if (m_shown[size_t(violation)]++ < ExamplesOfEach)
        m_examples += QLatin1StringView(names[size_t(violation)]) + ": "_L1 + example;
}

void Verdict::add(const Verdict &other)
{
    for (size_t i = 0; i < Kinds; ++i) {
        m_counts[i] += other.m_counts[i];
        m_shown[i] += other.m_shown[i];
    }
    m_examples += other.m_examples;
}

bool Verdict::isClean() const
{
    return std::all_of(m_counts.begin(), m_counts.end(), [](qint64 count) { return count == 0; });
}

QString Verdict::toString() const
{
    QStringList parts;
    for (size_t i = 0; i < Kinds; ++i)
        parts += u"%1: %2"_s.arg(QLatin1StringView(names[i])).arg(m_counts[i]);
    return parts.join(", "_L1);
}

QJsonObject Verdict::toJson() const
{
    QJsonObject object;
    for (size_t i = 0; i < Kinds; ++i)
        object.insert(QString::fromLatin1(names[i]).replace(u' ', u'_'), m_counts[i]);
    return object;
}
