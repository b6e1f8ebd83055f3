// SPDX-License-Identifier: MIT
#include "client/channel/helperchannel_p.h"

#include "client/channel/channel_p.h"

#include <utility>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

namespace
{

// The maximum number of outstanding calls. A refused call causes all calls after it to be repeated, so without a limit
// many refused calls would cause very many repetitions.
constexpr int MaximumOutstanding = 32;

// Returns whether the error may have ended only the channel and not the connection.
bool mayBeChannelError(const Error &failure)
{
    return failure.kind() == ErrorKind::ChannelClosed || failure.kind() == ErrorKind::Timeout;
}

} // namespace

HelperChannel::HelperChannel(ConnectionPrivate *connection, Use use)
    : QObject(connection)
    , m_connection(connection)
    , m_use(use)
{
}

void HelperChannel::add(Call call)
{
    m_calls.emplace(++m_lastNumber, std::move(call));
    sendCalls();
}

void HelperChannel::sendCalls()
{
    if (m_calls.empty() || m_awaitsClosed || m_outstanding == MaximumOutstanding || !prepareChannel())
        return;
    for (auto call = m_calls.begin(); call != m_calls.end() && m_outstanding < MaximumOutstanding;) {
        auto &[number, next] = *call;
        if (next.isOutstanding) {
            ++call;
        } else if (!next.context) {
            call = m_calls.erase(call);
        } else {
            next.isOutstanding = true;
            ++m_outstanding;
            next.begin(m_channel, number); // the result comes from the event loop
            ++call;
        }
    }
}

bool HelperChannel::prepareChannel()
{
    if (m_channel && !ChannelPrivate::get(m_channel)->engine)
        delete m_channel; // no number was free, but by now there may be one
    if (m_use == Use::Replay)
        m_connection->engine.gate().lendNumber();
    if (!m_channel)
        createChannel();
    const ChannelPrivate *channel = ChannelPrivate::get(m_channel);
    if (channel->engine && channel->state == Channel::State::Closed)
        m_channel->reopen();
    return !channel->engine || channel->engine->acceptsCalls() || channel->state == Channel::State::Closed;
}

void HelperChannel::createChannel()
{
    m_channel = m_connection->q->createChannel(m_use == Use::Replay ? this : nullptr);
    ChannelPrivate *const channel = ChannelPrivate::get(m_channel);
    channel->isInternal = true;
    if (m_use == Use::Replay && channel->engine) {
        channel->engine->setRecorded(false);
        channel->engine->setReplaying(true);
    }
    connect(m_channel, &Channel::closed, this, &HelperChannel::onClosed);
}

void HelperChannel::endChannel()
{
    delete m_channel;
    m_awaitsClosed = false; // if the last call was refused, closed() does not come any more
}

void HelperChannel::onEnded(quint64 number, const Error &failure, const std::function<void()> &report)
{
    --m_outstanding;
    const auto at = m_calls.find(number);
    at->second.isOutstanding = false;
    // When a channel ends, its calls end in order, and the first call is the cause.
    if (mayBeChannelError(failure) && std::exchange(m_awaitsClosed, true))
        return;
    const QPointer<QObject> context = at->second.context;
    m_calls.erase(at);
    sendCalls();
    if (context)
        report();
}

void HelperChannel::onClosed(const Error &reason)
{
    m_awaitsClosed = false;
    if (mayBeChannelError(reason) && ChannelPrivate::get(m_channel)->engine)
        return sendCalls(); // if the connection was lost as well, the calls wait for open()
    std::map<quint64, Call> waiting;
    for (auto call = m_calls.begin(); call != m_calls.end();) {
        const auto present = call++;
        if (!present->second.isOutstanding)
            waiting.insert(m_calls.extract(present));
    }
    const Error failure = reason.isError() ? reason : Error(ErrorKind::Cancelled, u"the connection was closed"_s);
    for (const auto &[number, call] : waiting) { // each report may delete this object
        if (call.context)
            call.fail(failure);
    }
}

} // namespace AmqpQt
