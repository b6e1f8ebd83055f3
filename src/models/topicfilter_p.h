// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/message.h>

namespace AmqpQt
{

// The pattern of a binding to a topic exchange: words separated by dots, "*" for one word, "#" for any number of them.
class TopicFilter
{
public:
    TopicFilter() = default; // as with an empty pattern, every message matches
    explicit TopicFilter(const QString &pattern)
        : m_pattern(pattern)
        , m_words(pattern.split(u'.'))
    {
    }

    QString pattern() const { return m_pattern; }
    bool matches(const Message &message) const { return m_pattern.isEmpty() || matches(message.routingKey()); }
    bool matches(QStringView routingKey) const;

private:
    QString m_pattern;
    QStringList m_words;
};

} // namespace AmqpQt
