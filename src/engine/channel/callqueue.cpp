// SPDX-License-Identifier: MIT
#include "engine/channel/callqueue_p.h"

#include "engine/channel/channelcontext_p.h"
#include "wire/fieldtable_p.h"

#include <algorithm>
#include <utility>

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

std::optional<ChannelCall> CallQueue::take(Wire::MethodId reply, const char *received)
{
    if (m_sent.isEmpty() || m_sent.constFirst().reply != reply.value()) {
        m_channel.reportUnexpected(received);
        return std::nullopt;
    }
    ChannelCall call = m_sent.takeFirst();
    if (m_sent.isEmpty())
        m_sent = {}; // frees the memory, since most channels are idle
    return call;
}

bool CallQueue::awaits(Wire::MethodId reply) const
{
    return std::any_of(m_sent.cbegin(), m_sent.cend(),
                       [reply](const ChannelCall &call) { return call.reply == reply.value(); });
}

void CallQueue::hold(ChannelCall call)
{
    m_held.push_back(std::move(call));
    noteHeld();
}

void CallQueue::hold(HeldPublish publish)
{
    m_channel.host().flow().addHeld(publish.bytes());
    m_unconfirmed += publish.confirm;
    m_held.push_back(std::move(publish));
    noteHeld();
}

void CallQueue::noteHeld()
{
    if (!m_channel.canSend())
        m_channel.host().gate().waitForOpen(m_channel.shared_from_this());
}

const ChannelCall *CallQueue::firstCall() const
{
    return std::get_if<ChannelCall>(&m_held.constFirst());
}

ChannelCall CallQueue::takeFirstCall()
{
    return std::get<ChannelCall>(m_held.takeFirst());
}

const HeldPublish *CallQueue::firstPublish() const
{
    for (const Held &held : m_held) {
        if (const auto *publish = std::get_if<HeldPublish>(&held))
            return publish;
    }
    return nullptr;
}

HeldPublish CallQueue::takeFirstPublish()
{
    HeldPublish publish = std::get<HeldPublish>(m_held.takeFirst());
    m_unconfirmed -= publish.confirm;
    return publish;
}

const ChannelCall *CallQueue::consumeWaitingFor(QByteArrayView tag) const
{
    for (const Held &held : m_held) {
        const auto *call = std::get_if<ChannelCall>(&held);
        if (call && call->consumer && call->consumer->waitsForTag && QByteArrayView(call->consumer->tag) == tag)
            return call;
    }
    return nullptr;
}

bool CallQueue::holdsDirectReplyTo() const
{
    return std::any_of(m_held.cbegin(), m_held.cend(), [](const Held &held) {
        const auto *call = std::get_if<ChannelCall>(&held);
        return call && call->consumer && call->consumer->isForReplies && !call->consumer->isEnding();
    });
}

void CallQueue::cancelWaitingConsumes(const ConsumerEntry *only)
{
    const Error cancelled(ErrorKind::Cancelled, u"the consumer was cancelled before it was started"_s);
    m_held.removeIf([&](const Held &held) {
        const auto *call = std::get_if<ChannelCall>(&held);
        ConsumerEntry *consumer = call ? call->consumer.get() : nullptr;
        if (!consumer || !consumer->waitsForTag || (only && consumer != only))
            return false;
        consumer->waitsForTag = false;
        consumer->state = ConsumerEntry::State::Gone;
        m_channel.finish(consumer->startCall, cancelled);
        if (consumer->cancelCall)
            m_channel.finish(consumer->cancelCall, CancelResult{});
        return true;
    });
}

void CallQueue::nameQueueOfWaitingConsumes(CallId declare, QByteArrayView name)
{
    for (const Held &held : std::as_const(m_held)) {
        const auto *call = std::get_if<ChannelCall>(&held);
        if (call && call->consumer && call->consumer->waitsForTag && call->consumer->queueDeclare == declare)
            call->consumer->queueNamed(name);
    }
}

void CallQueue::renameQueues(const QHash<QString, QString> &newNames)
{
    if (m_held.isEmpty())
        return;
    const auto encoded = [](const QString &name) { return Wire::encodeText(name).value_or(name.toUtf8()); };
    QHash<QByteArray, QByteArray> names;
    for (auto name = newNames.cbegin(); name != newNames.cend(); ++name)
        names.insert(encoded(name.key()), encoded(*name));
    const TopologyRecord *record = m_channel.host().recordedTopology();
    for (Held &held : m_held) {
        auto *call = std::get_if<ChannelCall>(&held);
        const auto name = call ? names.constFind(call->queue()) : names.cend();
        if (name == names.cend())
            continue;
        call->setQueue(*name, record && record->expectsNameAsKey(call->id));
        if (call->consumer)
            call->consumer->consume = call->payload;
    }
}

std::optional<ChannelCall> CallQueue::takeFirstSent(QLatin1StringView method)
{
    if (m_sent.isEmpty() || QLatin1StringView(m_sent.constFirst().method) != method)
        return std::nullopt;
    return m_sent.takeFirst();
}

std::vector<ChannelCall> CallQueue::takeRepeatable(const Error &error)
{
    std::vector<ChannelCall> repeatable;
    for (ChannelCall &call : std::exchange(m_sent, {})) {
        if (!call.isRepeatable()) {
            m_channel.finish(call.id, error);
            continue;
        }
        m_channel.host().calls().ended(call.id); // until it is sent again
        if (!call.isForRestoring)
            repeatable.push_back(std::move(call));
    }
    return repeatable;
}

void CallQueue::nameLastQueue(std::vector<ChannelCall> &repeated, QByteArrayView name)
{
    const auto setName = [name](ChannelCall &call) {
        if (call.is<Wire::QueueDeclare>())
            return false;
        if (call.queue().isEmpty())
            call.setQueue(name);
        return true;
    };
    if (!std::all_of(repeated.begin(), repeated.end(), setName))
        return;
    for (Held &held : m_held) {
        if (auto *call = std::get_if<ChannelCall>(&held); call && !setName(*call))
            return;
    }
}

quint16 CallQueue::holdFirst(std::vector<ChannelCall> calls, bool hasBarrier)
{
    QList<Held> held;
    held.reserve(qsizetype(calls.size()) + m_held.size() + 1);
    quint16 prefetch = 0; // of a new channel
    const auto add = [&](Held operation) {
        if (std::holds_alternative<Barrier>(operation))
            return; // of an earlier loss
        const auto *call = std::get_if<ChannelCall>(&operation);
        const ConsumerEntry *consumer = call ? call->consumer.get() : nullptr;
        if (consumer && consumer->state == ConsumerEntry::State::Gone)
            return;
        if (consumer && call->is<Wire::BasicConsume>() && consumer->prefetch != prefetch) {
            prefetch = consumer->prefetch;
            ChannelCall limiting =
                ChannelCall::of(m_channel.host().calls().nextId(), Wire::BasicQos{.prefetchCount = prefetch});
            limiting.isForRestoring = true;
            held.push_back(std::move(limiting));
        } else if (Wire::BasicQos qos; call && call->is<Wire::BasicQos>() &&
                                       !Wire::decodeArguments(QByteArrayView(call->payload).sliced(4), qos) &&
                                       !qos.global) {
            prefetch = qos.prefetchCount;
        }
        held.push_back(std::move(operation));
    };
    for (ChannelCall &call : calls)
        add(std::move(call));
    if (hasBarrier)
        held.push_back(Barrier());
    for (Held &operation : std::exchange(m_held, {}))
        add(std::move(operation));
    m_held = std::move(held);
    for (qsizetype i = 0; i < m_held.size(); ++i)
        noteHeld();
    return prefetch;
}

bool CallQueue::undoTransaction()
{
    for (Held &held : m_held) {
        auto *call = std::get_if<ChannelCall>(&held);
        if (call && call->is<Wire::TxCommit>())
            *call = ChannelCall::undoing(call->id);
        if (call && call->is<Wire::TxRollback>())
            return true;
    }
    return false;
}

void CallQueue::forget(CallId id)
{
    m_sent.removeIf([id](const ChannelCall &call) { return call.id == id; });
    m_held.removeIf([id](const Held &held) {
        const auto *call = std::get_if<ChannelCall>(&held);
        return call && call->id == id;
    });
}

void CallQueue::endSent(const Error &error, CallId close, const ReplyValue &closeResult)
{
    for (const ChannelCall &call : std::exchange(m_sent, {}))
        m_channel.finish(call.id, call.id == close ? closeResult : ReplyValue(error));
}

void CallQueue::endHeld(const Error &error, CallId close, const ReplyValue &closeResult)
{
    std::optional<PublishFailed> failed;
    qint64 bytes = 0;
    for (const Held &held : std::exchange(m_held, {})) {
        if (const auto *publish = std::get_if<HeldPublish>(&held)) {
            bytes += publish->bytes();
            if (!failed)
                failed = PublishFailed{m_channel.shared_from_this(), publish->sequence, publish->sequence, error};
            else
                failed->last = publish->sequence; // held publishes have consecutive numbers
        } else if (const auto *call = std::get_if<ChannelCall>(&held); call && !call->consumer) {
            m_channel.finish(call->id, call->id == close ? closeResult : ReplyValue(error));
        } else if (call && call->consumer->waitsForTag) {
            call->consumer->waitsForTag = false;
            call->consumer->state = ConsumerEntry::State::Gone;
            m_channel.finish(call->id, error);
        }
    }
    m_unconfirmed = 0;
    if (failed)
        m_channel.host().post(*std::move(failed));
    if (bytes > 0)
        m_channel.host().flow().addHeld(-bytes);
}

} // namespace AmqpQt::Engine
