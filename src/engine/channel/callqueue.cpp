// SPDX-License-Identifier: MIT
#include "engine/channel/callqueue_p.h"

#include "engine/channel/channelcontext_p.h"
#include "wire/fieldtable_p.h"

#include <algorithm>
#include <utility>

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

std::optional<SentCall> CallQueue::take(Wire::MethodId reply, const char *received)
{
    if (m_sent.isEmpty() || m_sent.constFirst().reply != reply.value()) {
        m_channel.reportUnexpected(received);
        return std::nullopt;
    }
    const SentCall call = m_sent.takeFirst();
    if (m_sent.isEmpty())
        m_sent = {}; // frees the memory, since most channels are idle
    return call;
}

bool CallQueue::awaits(Wire::MethodId reply) const
{
    return std::any_of(m_sent.cbegin(), m_sent.cend(),
                       [reply](const SentCall &call) { return call.reply == reply.value(); });
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
    if (!m_channel.host().isOpen())
        m_channel.host().waitForOpen(m_channel.shared_from_this());
}

const ChannelCall *CallQueue::firstCall() const
{
    return std::get_if<ChannelCall>(&m_held.constFirst());
}

ChannelCall CallQueue::takeFirstCall()
{
    return std::get<ChannelCall>(m_held.takeFirst());
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
        if (!call)
            continue;
        const QByteArray payload = call->payload;
        const Wire::MethodId id{qFromBigEndian<quint16>(payload.constData()),
                                qFromBigEndian<quint16>(payload.constData() + 2)};
        Wire::visitMethod(id, QByteArrayView(payload).sliced(4), [&](auto method) {
            if constexpr (requires { method.queue; }) {
                const auto name = names.constFind(method.queue.toByteArray());
                if (name == names.cend())
                    return;
                if constexpr (requires { method.routingKey; }) {
                    if (record && record->expectsNameAsKey(call->id))
                        method.routingKey = *name;
                }
                method.queue = *name;
                call->payload = Wire::encodePayload(method);
            }
        });
    }
}

void CallQueue::forget(CallId id)
{
    m_sent.removeIf([id](const SentCall &call) { return call.id == id; });
    m_held.removeIf([id](const Held &held) {
        const auto *call = std::get_if<ChannelCall>(&held);
        return call && call->id == id;
    });
}

void CallQueue::endSent(const Error &error, CallId close, const ReplyValue &closeResult)
{
    for (const SentCall &call : std::exchange(m_sent, {}))
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
        } else if (const ChannelCall &call = std::get<ChannelCall>(held); !call.consumer) {
            m_channel.finish(call.id, call.id == close ? closeResult : ReplyValue(error));
        } else if (call.consumer->waitsForTag) {
            call.consumer->waitsForTag = false;
            call.consumer->state = ConsumerEntry::State::Gone;
            m_channel.finish(call.id, error);
        }
    }
    m_unconfirmed = 0;
    if (failed)
        m_channel.host().post(*std::move(failed));
    if (bytes > 0)
        m_channel.host().flow().addHeld(-bytes);
}

} // namespace AmqpQt::Engine
