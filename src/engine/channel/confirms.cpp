// SPDX-License-Identifier: MIT
#include "engine/channel/confirms_p.h"

#include "wire/codec_p.h"
#include "wire/contentheader_p.h"
#include "wire/methods_p.h"

#include <algorithm>
#include <utility>

namespace AmqpQt::Engine
{

namespace
{

// The broker returns a message unchanged, except that it removes the header BCC, so headers are not compared.
bool isSame(const Confirms::Mandatory &message, const ReturnedMessage &returned)
{
    if (message.body != returned.body)
        return false;
    Wire::BasicPublish method;
    if (Wire::decodeArguments(QByteArrayView(message.method).sliced(4), method) ||
        method.exchange != returned.exchange || method.routingKey != returned.routingKey)
        return false;
    Wire::BasicProperties ours, theirs;
    Wire::decodeProperties(message.properties, ours); // the properties before the first malformed one
    Wire::decodeProperties(returned.properties, theirs);
    return ours.messageId == theirs.messageId;
}

} // namespace

void Confirms::sent(quint64 sequence)
{
    m_entries.push_back({sequence});
    ++m_lastTag;
    ++m_outstanding;
}

void Confirms::sentMandatory(quint64 sequence, QByteArrayView method, const QByteArray &properties,
                             const QByteArray &body)
{
    sent(sequence);
    m_entries.back().isMandatory = true;
    if (m_lastMethod != method)
        m_lastMethod = method.toByteArray();
    m_mandatory.push_back({m_lastTag, m_lastMethod, properties, body});
}

bool Confirms::settle(quint64 deliveryTag, bool multiple, std::vector<Outcome> &outcomes)
{
    if (deliveryTag == 0 && multiple)
        deliveryTag = m_lastTag;
    if (deliveryTag == 0 || deliveryTag > m_lastTag)
        return false;
    if (deliveryTag < firstTag())
        return true; // already settled
    const qsizetype index = qsizetype(deliveryTag - firstTag());
    for (qsizetype i = multiple ? 0 : index; i <= index; ++i)
        settleEntry(i, outcomes);
    dropSettled();
    if (deliveryTag >= firstTag() && m_entries.at(qsizetype(deliveryTag - firstTag())).isMandatory)
        *mandatory(deliveryTag) = {deliveryTag, {}, {}, {}}; // frees its memory without waiting for earlier messages
    return true;
}

void Confirms::settleEntry(qsizetype index, std::vector<Outcome> &outcomes)
{
    Entry &entry = m_entries[index];
    if (entry.isSettled)
        return;
    entry.isSettled = true;
    --m_outstanding;
    if (entry.isMandatory) {
        if (auto returned = claimReturn(firstTag() + quint64(index))) {
            outcomes.push_back({entry.sequence, entry.sequence, std::move(returned)});
            return;
        }
    }
    if (!outcomes.empty() && !outcomes.back().returned && outcomes.back().last + 1 == entry.sequence)
        outcomes.back().last = entry.sequence;
    else
        outcomes.push_back({entry.sequence, entry.sequence, {}});
}

QList<Confirms::Mandatory>::iterator Confirms::mandatory(quint64 deliveryTag)
{
    return std::lower_bound(m_mandatory.begin(), m_mandatory.end(), deliveryTag,
                            [](const Mandatory &message, quint64 tag) { return message.deliveryTag < tag; });
}

// Takes the return of this message. If several messages are equal, the first settled one takes the return.
std::optional<ReturnedMessage> Confirms::claimReturn(quint64 deliveryTag)
{
    if (m_returned.empty())
        return std::nullopt;
    const auto message = mandatory(deliveryTag);
    const auto found = std::find_if(m_returned.begin(), m_returned.end(),
                                    [&](const ReturnedMessage &returned) { return isSame(*message, returned); });
    if (found == m_returned.end())
        return std::nullopt;
    std::optional<ReturnedMessage> returned = std::move(*found);
    m_returned.erase(found);
    return returned;
}

std::vector<ReturnedMessage> Confirms::takeUnclaimed()
{
    return m_outstanding == 0 ? std::exchange(m_returned, {}) : std::vector<ReturnedMessage>();
}

void Confirms::dropSettled()
{
    while (!m_entries.empty() && m_entries.front().isSettled)
        m_entries.pop_front();
    while (!m_mandatory.empty() && m_mandatory.front().deliveryTag < firstTag())
        m_mandatory.pop_front();
}

void Confirms::end(std::vector<Outcome> &outcomes)
{
    for (qsizetype i = 0; i < m_entries.size(); ++i)
        settleEntry(i, outcomes);
    m_entries.clear();
    m_mandatory.clear();
    m_lastMethod.clear();
    m_lastTag = 0;
}

} // namespace AmqpQt::Engine
