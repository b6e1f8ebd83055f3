// SPDX-License-Identifier: MIT

// The part of ChannelPrivate that accounts for published messages.

#include "client/channel_p.h"

#include "engine/channelengine_p.h"
#include "values/logging_p.h"

#include <algorithm>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

quint64 ChannelPrivate::publish(const char *function, const QString &exchange, const QString &routingKey,
                                const Message &message, Channel::PublishFlags flags)
{
    const auto fail = [this](const Error &reason) {
        reportCallError(reason);
        return quint64(0);
    };
    if (!isKnownUsable()) {
        if (const Error reason = checkUsable(function); reason.isError())
            return fail(reason);
    }
    Error invalid;
    const QByteArray *properties = MessageAccess::encodedProperties(message, &invalid);
    if (!properties)
        return fail(invalid);
    const Result<quint64> published = engine->publish(exchange, routingKey, *properties, MessageAccess::body(message),
                                                      flags.testFlag(Channel::PublishFlag::Mandatory));
    if (!published)
        return fail(published.error());
    const quint64 sequence = *published;
    m_lastSequence = sequence;
    if (engine->mode() == Engine::ChannelEngine::Mode::Confirm) {
        ++unconfirmedCount;
        noteUnconfirmed();
    }
    connection->outputAdded();
    return sequence;
}

Reply<void> ChannelPrivate::publishWithReply(const QString &exchange, const QString &routingKey, const Message &message,
                                             Channel::PublishFlags flags)
{
    if (const Error reason = checkConfirmMode("publishWithReply"); reason.isError())
        return Promise<void>::finished(reportCallError(reason));
    const quint64 sequence = publish("publishWithReply", exchange, routingKey, message, flags);
    if (sequence == 0)
        return Promise<void>::finished(lastCallError);
    return m_confirmReplies[sequence].reply();
}

Reply<void> ChannelPrivate::whenConfirmed()
{
    if (const Error reason = checkConfirmMode("whenConfirmed"); reason.isError())
        return Promise<void>::finished(reportCallError(reason));
    if (unconfirmedCount == 0)
        return Promise<void>::finished({});
    m_confirmWaits.push_back({m_lastSequence, unconfirmedCount, {}, {}});
    return m_confirmWaits.back().promise.reply();
}

Error ChannelPrivate::checkConfirmMode(const char *function) const
{
    if (const Error reason = checkUsable(function); reason.isError())
        return reason;
    if (engine->mode() == Engine::ChannelEngine::Mode::Confirm)
        return {};
    return Error(ErrorKind::InvalidArgument, u"%1() requires confirm mode; call confirmSelect() on channel %2 first"_s
                                                 .arg(QLatin1StringView(function))
                                                 .arg(q->number()));
}

Reply<void> ChannelPrivate::select(const char *function, const Call &call)
{
    const Channel::Mode before = q->mode();
    const Reply<void> selecting = reply(function, call);
    const Channel::Mode mode = q->mode();
    if (mode == before)
        return selecting;
    if (mode == Channel::Mode::Confirm)
        m_firstConfirmed = m_lastSequence + 1;
    defer(q, [channel = q, mode] { Q_EMIT channel->modeChanged(mode); });
    return selecting;
}

void ChannelPrivate::publishesEnded(quint64 first, quint64 last, const Error &failure)
{
    if (m_firstConfirmed == 0 || last < m_firstConfirmed)
        return;
    first = std::max(first, m_firstConfirmed); // before, there was no confirm mode
    unconfirmedCount -= int(last - first + 1);
    noteUnconfirmed();

    for (auto reply = m_confirmReplies.lowerBound(first); reply != m_confirmReplies.end() && reply.key() <= last;
         reply = m_confirmReplies.erase(reply))
        connection->dispatcher.finishLater<void>(*reply, failure.isError() ? Result<void>(failure) : Result<void>());

    for (ConfirmWait &wait : m_confirmWaits) {
        if (first > wait.last)
            continue;
        wait.outstanding -= int(std::min(last, wait.last) - first + 1);
        if (failure.isError() && !wait.failure.isError())
            wait.failure = failure;
        if (wait.outstanding == 0)
            connection->dispatcher.finishLater<void>(wait.promise, wait.failure.isError() ? Result<void>(wait.failure)
                                                                                          : Result<void>());
    }
    std::erase_if(m_confirmWaits, [](const ConfirmWait &wait) { return wait.outstanding == 0; });
}

// No further outcomes will arrive.
void ChannelPrivate::failConfirmWaits(const Error &reason)
{
    for (const Promise<void> &promise : std::exchange(m_confirmReplies, {}))
        promise.finish(reason, ConnectionPrivate::Delivery::Posted);
    for (const ConfirmWait &wait : std::exchange(m_confirmWaits, {}))
        wait.promise.finish(wait.failure.isError() ? wait.failure : reason, ConnectionPrivate::Delivery::Posted);
}

void ChannelPrivate::noteUnconfirmed()
{
    if (!std::exchange(m_unconfirmedNoted, true))
        connection->dispatcher.noteUnconfirmedChange(this);
}

void ChannelPrivate::emitUnconfirmedCount()
{
    m_unconfirmedNoted = false;
    if (std::exchange(m_reportedUnconfirmedCount, unconfirmedCount) != unconfirmedCount)
        Q_EMIT q->unconfirmedCountChanged(unconfirmedCount);
}

void ChannelPrivate::setConfirmWindowFull(bool full)
{
    reportedWindowFull = full;
    notifyBackpressure();
}

} // namespace AmqpQt
