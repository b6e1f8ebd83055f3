// SPDX-License-Identifier: MIT
#include "engine/channel/channelrestart_p.h"

#include "wire/fieldtable_p.h"

#include <algorithm>
#include <iterator>

namespace AmqpQt::Engine
{

void ChannelRestart::endRefusedCall(const Error &refusal)
{
    if (refusal.method() == QLatin1StringView(Wire::BasicConsume::name))
        return m_subscriptions.endRefused(m_subscriptions.oldestUnanswered(), refusal);
    const QByteArray method = refusal.method().toLatin1();
    const auto call = m_channel.callQueue().takeFirstSent(QLatin1StringView(method));
    if (!call)
        return;
    if (call->is<Wire::BasicQos>() && m_subscriptions.dropChannelPrefetch(*call) && call->isForRestoring)
        m_channel.host().gate().startRestoration().addFailure({.channel = m_channel.number()}, refusal);
    m_channel.finish(call->id, refusal);
}

std::vector<ChannelCall> ChannelRestart::calls(std::vector<ChannelCall> repeated)
{
    using Mode = ChannelContext::Mode;
    std::sort(repeated.begin(), repeated.end(),
              [](const ChannelCall &one, const ChannelCall &other) { return one.id < other.id; });
    if (const QString queue = m_topology.declaredQueue(); !queue.isEmpty())
        m_channel.callQueue().nameLastQueue(repeated, queue.toUtf8());
    m_channel.host().gate().startRestoration().addChannel(m_channel.number());
    Mode mode = m_channel.sentMode();
    for (ChannelCall &call : repeated) {
        if (call.is<Wire::ConfirmSelect>() || call.is<Wire::TxSelect>())
            mode = Mode::Plain; // this call sets it
        if (call.consumer)
            prepare(call);
    }
    if (!repeated.empty() && repeated.front().is<Wire::ChannelOpen>())
        return repeated; // all calls of ChannelEngine::open()

    std::vector<ChannelCall> calls;
    const auto add = [&](const auto &method) {
        calls.push_back(ChannelCall::of(m_channel.host().calls().nextId(), method));
        calls.back().isForRestoring = true;
    };
    add(Wire::ChannelOpen{});
    if (mode == Mode::Confirm)
        add(Wire::ConfirmSelect{});
    else if (mode == Mode::Transaction)
        add(Wire::TxSelect{});
    if (m_subscriptions.channelPrefetch() > 0)
        add(Wire::BasicQos{.prefetchCount = m_subscriptions.channelPrefetch(), .global = true});
    std::move(repeated.begin(), repeated.end(), std::back_inserter(calls));
    return calls;
}

void ChannelRestart::prepare(ChannelCall &consume)
{
    ChannelGate &gate = m_channel.host().gate();
    if (consume.consumer->state == ConsumerEntry::State::Active && gate.isConnectionOpen())
        gate.startRestoration().consumerSuspendedAgain();
    m_subscriptions.restart(consume);
    gate.startRestoration().addConsumer(consume.id, {.channel = m_channel.number(),
                                                     .consumerTag = consume.consumer->tag,
                                                     .queue = Wire::decodeText(consume.queue())});
}

} // namespace AmqpQt::Engine
