// SPDX-License-Identifier: MIT

// The part of EngineExerciser that checks the events of the engine.

#include "support/engineexerciser.h"

#include <algorithm>

using namespace AmqpQt;
using namespace Qt::StringLiterals;
using State = Engine::ConnectionEngine::State;

void EngineExerciser::drain()
{
    while (auto event = m_engineEvents.next(m_engine)) {
        if (!m_failure.isEmpty())
            return;
        ++m_eventCount;
        std::visit([this](const auto &alternative) { on(alternative); }, *event);
        if (m_interrupts && !m_script.isEmpty())
            runOne(applicationOperations()); // in a slot
    }
}

void EngineExerciser::check()
{
    if (m_engine.flow().queuedBytes() < 0)
        fail(u"%1 bytes wait"_s.arg(m_engine.flow().queuedBytes()));
    if (m_isStarted && !m_engine.hasInput() && (engineState() == State::Closed) != m_isEndReported)
        fail(u"the end was not reported"_s);
    for (const auto &channel : m_channels) {
        using ChannelState = Engine::ChannelEngine::State;
        if (channel->engine && channel->engine->state() != ChannelState::Closed &&
            m_engine.channel(channel->engine->number()) != channel->engine.get())
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

EngineExerciser::Channel *EngineExerciser::channelOf(const std::shared_ptr<Engine::ChannelEngine> &engine)
{
    auto *channel = static_cast<Channel *>(engine->client);
    if (channel && channel->engine != engine)
        fail(u"a channel has the client of another one"_s);
    return channel;
}

void EngineExerciser::on(const Engine::RepeatedDelivery &event)
{
    fail(u"the repeated delivery %1 was not made whole"_s.arg(event.deliveryTag));
}

void EngineExerciser::on(const Engine::Delivered &event)
{
    auto *consumer = static_cast<Consumer *>(event.consumer->client);
    if (!consumer || consumer->isCancelled || consumer->isEnded)
        return fail(u"delivery %1 has no active consumer"_s.arg(event.message.deliveryTag));
    if (event.message.body.size() > m_settings.maximumMessageSize)
        fail(u"a message of %1 bytes was delivered"_s.arg(event.message.body.size()));
    if (consumer->entry->noAck)
        return;
    ++consumer->unacked;
    noteDelivered(*consumer->channel, event.message.deliveryTag);
}

void EngineExerciser::noteDelivered(Channel &channel, quint64 tag)
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

void EngineExerciser::on(const Engine::ReplyArrived &event)
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

void EngineExerciser::on(const Engine::Opened &)
{
    if (std::exchange(m_isOpened, true) || m_isEndReported)
        fail(u"opened twice, or after the end"_s);
}

void EngineExerciser::on(const Engine::ConnectionClosed &)
{
    if (!m_isStarted || std::exchange(m_isEndReported, true))
        fail(u"the end was reported twice"_s);
}

void EngineExerciser::on(const Engine::ResponseRequested &event)
{
    if (m_isOpened || m_isEndReported || event.mechanism != "OWN")
        fail(u"a response was requested outside the handshake"_s);
    const QByteArray response(m_script.chance(32) ? 9000 : 9, 'r');
    const Error error =
        m_script.chance(16) ? m_engine.handshake().respond(std::nullopt) : m_engine.handshake().respond(response);
    if (error.isError())
        m_engine.abort(error);
}

void EngineExerciser::on(const Engine::BlockedChanged &event)
{
    if (std::exchange(m_isBlocked, event.blocked) == event.blocked)
        fail(u"blocked or unblocked twice"_s);
}

void EngineExerciser::on(const Engine::WritableChanged &event)
{
    if (std::exchange(m_isWritable, event.writable) == event.writable)
        fail(u"writable or not, twice"_s);
}

void EngineExerciser::on(const Engine::ChannelOpened &event)
{
    channelOf(event.channel);
}

void EngineExerciser::on(const Engine::ChannelClosed &event)
{
    Channel *channel = channelOf(event.channel);
    if (!channel)
        return;
    channel->openTags.clear();
    channel->isWindowFull = false;
    for (const auto &consumer : channel->consumers)
        consumer->isEnded = consumer->isEnded || consumer->entry->state == Engine::ConsumerEntry::State::Gone;
}

void EngineExerciser::on(const Engine::FlowChanged &event)
{
    channelOf(event.channel);
}

void EngineExerciser::on(const Engine::Returned &event)
{
    channelOf(event.channel);
}

void EngineExerciser::on(const Engine::PublishConfirmed &event)
{
    if (Channel *channel = channelOf(event.channel))
        publishesEnded(*channel, event.first, event.last, true);
}

void EngineExerciser::on(const Engine::PublishFailed &event)
{
    if (Channel *channel = channelOf(event.channel))
        publishesEnded(*channel, event.first, event.last, false);
}

void EngineExerciser::publishesEnded(Channel &channel, quint64 first, quint64 last, bool confirmed)
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

void EngineExerciser::on(const Engine::ConfirmWindowChanged &event)
{
    Channel *channel = channelOf(event.channel);
    if (channel && std::exchange(channel->isWindowFull, event.full) == event.full)
        fail(u"the window is full or not, twice"_s);
}

void EngineExerciser::on(const Engine::ConsumerCancelled &event)
{
    if (auto *consumer = static_cast<Consumer *>(event.consumer->client)) {
        if (std::exchange(consumer->isEnded, true))
            fail(u"consumer %1 ended twice"_s.arg(QString::fromUtf8(event.consumer->tag)));
    }
}
