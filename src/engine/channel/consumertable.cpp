// SPDX-License-Identifier: MIT
#include "engine/channel/consumertable_p.h"

#include "engine/channel/channelcall_p.h"

#include <algorithm>
#include <utility>

namespace AmqpQt::Engine
{

void ConsumerEntry::queueNamed(QByteArrayView name)
{
    ChannelCall starting{.payload = consume};
    starting.setQueue(name);
    consume = starting.payload;
    queueDeclare = 0;
}

ConsumerTable::Entries::const_iterator ConsumerTable::position(QByteArrayView tag) const
{
    return std::lower_bound(m_entries.cbegin(), m_entries.cend(), tag,
                            [](const auto &consumer, QByteArrayView searched) {
                                const QByteArrayView own = consumer->tag;
                                return own.size() != searched.size() ? own.size() < searched.size() : own < searched;
                            });
}

void ConsumerTable::insert(const std::shared_ptr<ConsumerEntry> &consumer)
{
    if (m_entries.isEmpty())
        m_entries.reserve(1); // most channels have a single consumer
    m_entries.insert(position(consumer->tag), consumer);
}

std::shared_ptr<ConsumerEntry> ConsumerTable::find(QByteArrayView tag) const
{
    const auto at = position(tag);
    return at != m_entries.cend() && QByteArrayView((*at)->tag) == tag ? *at : nullptr;
}

bool ConsumerTable::hasDirectReplyTo() const
{
    return std::any_of(m_entries.cbegin(), m_entries.cend(),
                       [](const auto &consumer) { return consumer->isForReplies && !consumer->isEnding(); });
}

ConsumerEntry *ConsumerTable::receiver(QByteArrayView tag)
{
    if (m_lastReceiver && QByteArrayView(m_lastReceiver->tag) == tag)
        return m_lastReceiver;
    m_lastReceiver = find(tag).get();
    if (m_lastReceiver)
        return m_lastReceiver;
    if (!m_ended)
        return nullptr;
    const Entries &ended = m_ended->recently;
    const auto late = std::find_if(ended.crbegin(), ended.crend(),
                                   [tag](const auto &consumer) { return QByteArrayView(consumer->tag) == tag; });
    return late != ended.crend() ? late->get() : nullptr;
}

std::shared_ptr<ConsumerEntry> ConsumerTable::take(QByteArrayView tag)
{
    const auto at = position(tag);
    const std::shared_ptr<ConsumerEntry> consumer = *at;
    m_entries.erase(at);
    m_lastReceiver = nullptr;
    consumer->state = ConsumerEntry::State::Gone;
    remember(consumer);
    if (consumer->unacked > 0)
        m_ended->unsettled.push_back(consumer);
    return consumer;
}

void ConsumerTable::remember(const std::shared_ptr<ConsumerEntry> &ended)
{
    constexpr qsizetype Remembered = 16; // the header of ConsumerTable explains why this suffices
    if (!m_ended)
        m_ended = std::make_unique<Ended>();
    if (m_ended->recently.size() == Remembered)
        m_ended->recently.pop_front();
    m_ended->recently.push_back(ended);
}

ConsumerEntry *ConsumerTable::addEnded(QByteArrayView tag)
{
    auto consumer = std::make_shared<ConsumerEntry>();
    consumer->tag = tag.toByteArray();
    consumer->state = ConsumerEntry::State::Gone;
    remember(consumer);
    return consumer.get();
}

bool ConsumerTable::takeDueConsumeOk(QByteArrayView tag)
{
    if (!m_ended)
        return false;
    const Entries &ended = m_ended->recently;
    const auto due = std::find_if(ended.cbegin(), ended.cend(), [tag](const auto &consumer) {
        return consumer->consumeOkIsDue && QByteArrayView(consumer->tag) == tag;
    });
    return due != ended.cend() && std::exchange((*due)->consumeOkIsDue, false);
}

ConsumerTable::Entries ConsumerTable::takeAll()
{
    m_lastReceiver = nullptr;
    m_ended.reset();
    return std::exchange(m_entries, {});
}

void ConsumerTable::forget(const ConsumerEntry &settled)
{
    m_ended->unsettled.removeIf([&](const auto &ended) { return ended.get() == &settled; });
}

void ConsumerTable::reopened(const std::shared_ptr<ConsumerEntry> &consumer)
{
    if (consumer->unacked++ == 0 && consumer->state == ConsumerEntry::State::Gone)
        m_ended->unsettled.push_back(consumer);
}

void ConsumerTable::requeued()
{
    for (const auto &consumer : std::as_const(m_entries))
        consumer->unacked = 0;
    if (!m_ended)
        return;
    for (const auto &consumer : std::exchange(m_ended->unsettled, {}))
        consumer->unacked = 0;
}

} // namespace AmqpQt::Engine
