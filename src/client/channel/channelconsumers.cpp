// SPDX-License-Identifier: MIT
#include "client/channel/channelconsumers_p.h"

#include "client/consumer/consumer_p.h"

#include <algorithm>
#include <utility>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

QList<ConsumerPrivate *> ChannelConsumers::active() const
{
    QList<ConsumerPrivate *> sorted = m_active;
    std::sort(sorted.begin(), sorted.end(), [](const auto *a, const auto *b) { return a->serial < b->serial; });
    return sorted;
}

qsizetype ChannelConsumers::position(const QString &tag) const
{
    const auto at = std::lower_bound(
        m_active.cbegin(), m_active.cend(), tag, [](const ConsumerPrivate *consumer, const QString &searched) {
            const QString &own = consumer->options.consumerTag;
            return own.size() != searched.size() ? own.size() < searched.size() : own < searched;
        });
    return at - m_active.cbegin();
}

ConsumerPrivate *ChannelConsumers::find(const QString &tag) const
{
    ConsumerPrivate *consumer = m_active.value(position(tag));
    return consumer && consumer->options.consumerTag == tag ? consumer : nullptr;
}

QString ChannelConsumers::unusedTag() const
{
    QString tag = u"amqpqt-%1"_s.arg(m_lastSerial + 1);
    while (find(tag))
        tag += u'+';
    return tag;
}

quint64 ChannelConsumers::add(ConsumerPrivate *consumer)
{
    m_all.append(consumer);
    return ++m_lastSerial;
}

void ChannelConsumers::remove(const ConsumerPrivate *consumer)
{
    const auto at =
        std::lower_bound(m_all.cbegin(), m_all.cend(), consumer->serial,
                         [](const ConsumerPrivate *other, quint64 serial) { return other->serial < serial; });
    if (at != m_all.cend() && *at == consumer) // otherwise the channel is ending and has forgotten all consumers
        m_all.erase(at);
    setEnded(consumer);
}

QList<ConsumerPrivate *> ChannelConsumers::takeAll()
{
    m_active.clear();
    return std::exchange(m_all, {});
}

void ChannelConsumers::setActive(ConsumerPrivate *consumer)
{
    const qsizetype at = position(consumer->options.consumerTag);
    if (find(consumer->options.consumerTag))
        m_active[at] = consumer; // the consumer restarts, or replaces a consumer that waits for its queue
    else
        m_active.insert(at, consumer);
}

void ChannelConsumers::setEnded(const ConsumerPrivate *consumer)
{
    if (find(consumer->options.consumerTag) == consumer)
        m_active.removeAt(position(consumer->options.consumerTag));
}

// channel.close does not contain the tag, so this returns the oldest unanswered consumer whose queue it names, as
// RabbitMQ does, or otherwise the oldest unanswered consumer. Answers may overtake each other.
const ConsumerPrivate *ChannelConsumers::rejectedBy(const Error &reason) const
{
    if (reason.method() != "basic.consume"_L1)
        return nullptr;
    const ConsumerPrivate *oldest = nullptr;
    for (const ConsumerPrivate *consumer : m_all) {
        if (!consumer->isStarting())
            continue;
        if (reason.text().contains(u"'%1'"_s.arg(consumer->queue)))
            return consumer;
        if (!oldest)
            oldest = consumer;
    }
    return oldest;
}

} // namespace AmqpQt
