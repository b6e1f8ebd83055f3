// SPDX-License-Identifier: MIT
#include "models/topicfilter_p.h"

#include <QtCore/qvarlengtharray.h>

namespace AmqpQt
{

bool TopicFilter::matches(QStringView routingKey) const
{
    QVarLengthArray<QStringView, 16> words;
    if (!routingKey.isEmpty()) { // an empty key has no words, as RabbitMQ counts them
        for (const QStringView word : routingKey.tokenize(u'.'))
            words.append(word);
    }
    // Works like "*" in file names: on a mismatch, the last "#" takes one more word.
    qsizetype at = 0;
    qsizetype hash = -1;
    qsizetype afterHash = 0;
    for (qsizetype i = 0; i < words.size();) {
        const QStringView expected = at < m_words.size() ? QStringView(m_words[at]) : QStringView();
        if (expected == u'#') {
            hash = at++;
            afterHash = i;
        } else if (at < m_words.size() && (expected == u'*' || expected == words[i])) {
            ++at;
            ++i;
        } else if (hash >= 0) {
            at = hash + 1;
            i = ++afterHash;
        } else {
            return false;
        }
    }
    while (at < m_words.size() && m_words[at] == u'#')
        ++at;
    return at == m_words.size();
}

} // namespace AmqpQt
