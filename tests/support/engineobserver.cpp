// SPDX-License-Identifier: MIT
#include "support/engineobserver.h"

#include <algorithm>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using State = Engine::ConnectionEngine::State;

EngineObserver::EngineObserver(Engine::ConnectionEngine &engine, qint64 maximumMessageSize)
    : m_engine(engine)
    , m_maximumMessageSize(maximumMessageSize)
{
}

void EngineObserver::fail(const QString &what)
{
    if (m_failure.isEmpty())
        m_failure = u"%1, in step %2 (%3)"_s.arg(what).arg(m_steps).arg(QLatin1StringView(m_operation));
}

void EngineObserver::noteStart()
{
    m_isStarted = true;
    m_isOpened = m_isEndReported = false;
}

void EngineObserver::note(const Result<Engine::CallId> &call)
{
    if (!call)
        return;
    if (*call == 0 || m_endedCalls.contains(*call) || !m_openCalls.insert(*call).second)
        fail(u"the number of call %1 is not new"_s.arg(*call));
}

void EngineObserver::noteGet(Channel &channel, const Result<Engine::CallId> &call)
{
    note(call);
    if (call)
        m_gets[*call] = &channel;
}

void EngineObserver::noteUnsure(Channel &channel, const Result<Engine::CallId> &call)
{
    note(call);
    if (!call)
        return;
    m_unsure[*call] = &channel;
    ++channel.unsure;
}

void EngineObserver::noteCancels(Channel &channel)
{
    for (const auto &consumer : channel.consumers) {
        if (consumer->entry->cancelCall && !consumer->isCancelled && !consumer->isEnded) {
            consumer->isCancelled = true;
            note(consumer->entry->cancelCall);
        }
    }
}

void EngineObserver::notePublished(Channel &channel, Engine::Published sequence, bool confirms)
{
    if (!sequence)
        return;
    if (*sequence != ++channel.lastPublished)
        fail(u"message %1 of channel %2 got the number %3"_s.arg(channel.lastPublished)
                 .arg(channel.engine->number())
                 .arg(*sequence));
    channel.published.emplace(*sequence, confirms);
}

void EngineObserver::noteSettled(Channel &channel, quint64 tag, Engine::Deliveries::Settled settled)
{
    if (channel.unsure)
        return;
    const bool wasOpen = channel.openTags.erase(tag) > 0;
    if (settled.count > 0 && !wasOpen)
        fail(u"delivery %1 was settled that was not open"_s.arg(tag));
    if (settled.consumer && --static_cast<Consumer *>(settled.consumer)->unacked < 0)
        fail(u"delivery %1 was settled for a consumer that had none"_s.arg(tag));
}

void EngineObserver::noteSettledUpTo(Channel &channel, quint64 tag, bool wasOpen,
                                     const std::vector<Engine::Deliveries::Settled> &all)
{
    if (channel.unsure)
        return;
    const auto end = channel.openTags.upper_bound(tag);
    if (countOf(all) != (wasOpen ? std::distance(channel.openTags.begin(), end) : 0))
        fail(u"%1 deliveries were settled up to %2"_s.arg(countOf(all)).arg(tag));
    for (const auto &run : all) {
        for (int i = 0; i < run.count && !channel.openTags.empty(); ++i)
            noteSettled(channel, *channel.openTags.begin(), {1, run.consumer});
    }
}

void EngineObserver::drain()
{
    while (auto event = m_engineEvents.next(m_engine)) {
        if (hasFailed())
            return;
        ++m_eventCount;
        std::visit([this](const auto &alternative) { on(alternative); }, *event);
        if (afterEvent)
            afterEvent();
    }
}

void EngineObserver::check()
{
    if (m_engine.flow().queuedBytes() < 0)
        fail(u"%1 bytes wait"_s.arg(m_engine.flow().queuedBytes()));
    if (m_isStarted && !m_engine.hasInput() && (m_engine.state() == State::Closed) != m_isEndReported)
        fail(u"the end was not reported"_s);
    for (const auto &channel : channels) {
        using ChannelState = Engine::ChannelEngine::State;
        if (channel->engine && channel->engine->state() != ChannelState::Closed &&
            m_engine.channels().channel(channel->engine->number()) != channel->engine.get())
            fail(u"channel %1 has lost its number"_s.arg(channel->engine->number()));
        if (channel->engine && size_t(channel->engine->publishing().unconfirmed()) != channel->unconfirmed())
            fail(u"%1 messages are unconfirmed, %2 are counted"_s.arg(channel->unconfirmed())
                     .arg(channel->engine->publishing().unconfirmed()));
        if (channel->engine && channel->engine->publishing().isConfirmWindowFull() != channel->isWindowFull)
            fail(u"the window of channel %1 is not as reported"_s.arg(channel->engine->number()));
        for (const auto &consumer : channel->consumers) {
            const Engine::ConsumerEntry &entry = *consumer->entry;
            if (entry.unacked < 0 || entry.returned < 0 || entry.lost < 0)
                fail(u"negative counts of consumer %1"_s.arg(QString::fromUtf8(entry.tag)));
            if (entry.client && !channel->unsure && entry.unacked != consumer->unacked)
                fail(u"%1 deliveries are unsettled, %2 are counted"_s.arg(consumer->unacked).arg(entry.unacked));
        }
    }
}

bool EngineObserver::isOver() const
{
    return m_isEndReported && m_engine.state() == State::Closed;
}

void EngineObserver::checkAllEnded()
{
    for (const auto &channel : channels) {
        if (channel->engine && channel->engine->state() != Engine::ChannelEngine::State::Closed)
            fail(u"channel %1 did not end"_s.arg(channel->engine->number()));
        if (channel->engine && channel->unconfirmed() > 0)
            fail(u"%1 messages of channel %2 did not end"_s.arg(channel->unconfirmed()).arg(channel->engine->number()));
    }
    if (!m_openCalls.empty())
        fail(u"call %1 did not end"_s.arg(*m_openCalls.begin()));
    check();
}

EngineObserver::Channel *EngineObserver::channelOf(const std::shared_ptr<Engine::ChannelEngine> &engine)
{
    auto *channel = static_cast<Channel *>(engine->client);
    if (channel && channel->engine != engine)
        fail(u"a channel has the client of another one"_s);
    return channel;
}

void EngineObserver::on(const Engine::RepeatedDelivery &event)
{
    fail(u"the repeated delivery %1 was not made whole"_s.arg(event.deliveryTag));
}

void EngineObserver::on(const Engine::Delivered &event)
{
    auto *consumer = static_cast<Consumer *>(event.consumer->client);
    if (!consumer || consumer->isCancelled || consumer->isEnded)
        return fail(u"delivery %1 has no active consumer"_s.arg(event.message.deliveryTag));
    if (event.message.body.size() > m_maximumMessageSize)
        fail(u"a message of %1 bytes was delivered"_s.arg(event.message.body.size()));
    if (consumer->entry->noAck)
        return;
    ++consumer->unacked;
    noteDelivered(*consumer->channel, event.message.deliveryTag);
}

void EngineObserver::noteDelivered(Channel &channel, quint64 tag)
{
    if (std::exchange(channel.incarnation, channel.engine->incarnation()) != channel.engine->incarnation()) {
        channel.lastTag = 0;
        channel.tags.clear();
    }
    channel.tags.insert(tag);
    if (tag <= std::exchange(channel.lastTag, tag))
        fail(u"delivery %1 is not larger than the previous one"_s.arg(tag));
    if (channel.engine->deliveries().isUnsettled(tag))
        channel.openTags.insert(tag);
    else if (channel.engine->state() != Engine::ChannelEngine::State::Closing &&
             !channel.unsure) // afterwards the broker requeues the message
        fail(u"delivery %1 is settled before it is reported"_s.arg(tag));
}

void EngineObserver::on(const Engine::ReplyArrived &event)
{
    if (!m_endedCalls.insert(event.call).second)
        return fail(u"call %1 ended twice"_s.arg(event.call));
    m_openCalls.erase(event.call);
    const auto *got = std::get_if<Engine::GotMessage>(&event.value);
    const auto get = m_gets.find(event.call);
    if (got && get != m_gets.end() && get->second->engine)
        noteDelivered(*get->second, got->message.deliveryTag);
    const auto unsure = m_unsure.find(event.call);
    if (unsure == m_unsure.end() || --unsure->second->unsure > 0 || !unsure->second->engine)
        return;
    Channel &channel = *unsure->second;
    channel.openTags.clear();
    std::copy_if(channel.tags.begin(), channel.tags.end(), std::inserter(channel.openTags, channel.openTags.end()),
                 [&](quint64 tag) { return channel.engine->deliveries().isUnsettled(tag); });
    for (const auto &consumer : channel.consumers)
        consumer->unacked = consumer->entry->unacked;
}

void EngineObserver::on(const Engine::Opened &)
{
    if (std::exchange(m_isOpened, true) || m_isEndReported)
        fail(u"opened twice, or after the end"_s);
}

void EngineObserver::on(const Engine::ConnectionClosed &)
{
    if (!m_isStarted || std::exchange(m_isEndReported, true))
        fail(u"the end was reported twice"_s);
}

void EngineObserver::on(const Engine::ResponseRequested &event)
{
    if (m_isOpened || m_isEndReported || event.mechanism != "OWN")
        fail(u"a response was requested outside the handshake"_s);
    responseRequested();
}

void EngineObserver::on(const Engine::BlockedChanged &event)
{
    if (std::exchange(m_isBlocked, event.blocked) == event.blocked)
        fail(u"blocked or unblocked twice"_s);
}

void EngineObserver::on(const Engine::WritableChanged &event)
{
    if (std::exchange(m_isWritable, event.writable) == event.writable)
        fail(u"writable or not, twice"_s);
}

void EngineObserver::on(const Engine::ChannelOpened &event)
{
    channelOf(event.channel);
}

void EngineObserver::on(const Engine::ChannelClosed &event)
{
    Channel *channel = channelOf(event.channel);
    if (!channel)
        return;
    channel->openTags.clear();
    channel->isWindowFull = false;
    for (const auto &consumer : channel->consumers)
        consumer->isEnded = consumer->isEnded || consumer->entry->state == Engine::ConsumerEntry::State::Gone;
}

void EngineObserver::on(const Engine::ChannelSuspended &event)
{
    Channel *channel = channelOf(event.channel);
    if (!channel)
        return;
    channel->openTags.clear();
    for (const auto &consumer : channel->consumers) {
        const bool isGone = consumer->entry->state == Engine::ConsumerEntry::State::Gone;
        consumer->unacked = isGone ? consumer->entry->unacked : 0; // it may have ended with an earlier incarnation
        consumer->isEnded = consumer->isEnded || isGone;
    }
}

void EngineObserver::on(const Engine::ChannelsRestored &)
{
    for (const auto &channel : channels) {
        if (channel->engine && channel->engine->isSuspended())
            fail(u"channel %1 was not restored"_s.arg(channel->engine->number()));
    }
}

void EngineObserver::on(const Engine::FlowChanged &event)
{
    channelOf(event.channel);
}

void EngineObserver::on(const Engine::Returned &event)
{
    channelOf(event.channel);
}

void EngineObserver::on(const Engine::PublishConfirmed &event)
{
    if (Channel *channel = channelOf(event.channel))
        publishesEnded(*channel, event.first, event.last, true);
}

void EngineObserver::on(const Engine::PublishFailed &event)
{
    if (Channel *channel = channelOf(event.channel))
        publishesEnded(*channel, event.first, event.last, false);
}

void EngineObserver::publishesEnded(Channel &channel, quint64 first, quint64 last, bool confirmed)
{
    if (first == 0 || last < first || last > channel.lastPublished)
        return fail(u"messages %1 to %2 ended, with %3 published"_s.arg(first).arg(last).arg(channel.lastPublished));
    for (quint64 sequence = first; sequence <= last; ++sequence) {
        const auto published = channel.published.find(sequence);
        if (published == channel.published.end())
            return fail(u"message %1 ended twice"_s.arg(sequence));
        if (confirmed && !published->second)
            fail(u"message %1 was confirmed, but not published in confirm mode"_s.arg(sequence));
        channel.published.erase(published);
    }
}

void EngineObserver::on(const Engine::ConfirmWindowChanged &event)
{
    Channel *channel = channelOf(event.channel);
    if (channel && std::exchange(channel->isWindowFull, event.full) == event.full)
        fail(u"the window is full or not, twice"_s);
}

void EngineObserver::on(const Engine::ConsumerCancelled &event)
{
    if (auto *consumer = static_cast<Consumer *>(event.consumer->client)) {
        if (std::exchange(consumer->isEnded, true))
            fail(u"consumer %1 ended twice"_s.arg(QString::fromUtf8(event.consumer->tag)));
    }
}
