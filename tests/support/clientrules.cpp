// SPDX-License-Identifier: MIT
#include "support/clientrules.h"

#include <utility>

using namespace AmqpQt;
using namespace Qt::StringLiterals;

QString ClientRules::check(const Frame &frame)
{
    // Both sides may close at the same time.
    const bool isCloseOk = frame.channel == 0 && frame.is(Wire::ConnectionCloseOk::id) && m_brokerClosed;
    if (m_closeSent && !isCloseOk)
        return u"a frame after connection.close or its close-ok"_s;
    if (m_frameMax && frame.payload.size() + Wire::FrameOverhead > m_frameMax)
        return u"a frame larger than frame-max"_s;
    switch (frame.type) {
    case Wire::FrameType::Heartbeat:
        return frame.channel == 0 && frame.payload.isEmpty() ? QString() : u"a malformed heartbeat"_s;
    case Wire::FrameType::Header:
    case Wire::FrameType::Body:
        return checkContent(m_channels[frame.channel], frame);
    case Wire::FrameType::Method:
        break;
    default:
        return u"an unknown frame type"_s;
    }
    if (const QString violation = checkArguments(frame); !violation.isEmpty())
        return violation;
    Channel &channel = m_channels[frame.channel];
    if (std::exchange(channel.expected, Expected::Method) != Expected::Method)
        return u"a method between the frames of a content"_s;
    return frame.channel == 0 ? checkConnectionMethod(frame) : checkMethod(channel, frame);
}

QString ClientRules::checkContent(Channel &channel, const Frame &frame)
{
    if (frame.type == Wire::FrameType::Header) {
        if (channel.expected != Expected::Header)
            return u"a header without basic.publish"_s;
        Wire::ContentHeader header;
        if (!Wire::decodeContentHeader(frame.payload, header))
            return u"a truncated content header"_s;
        channel.bodyLeft = header.bodySize;
        channel.expected = header.bodySize > 0 ? Expected::Body : Expected::Method;
        return header.classId == Wire::BasicPublish::id.classId ? QString() : u"a content header of another class"_s;
    }
    if (channel.expected != Expected::Body || quint64(frame.payload.size()) > channel.bodyLeft)
        return u"a body that no header announced"_s;
    channel.bodyLeft -= quint64(frame.payload.size());
    channel.expected = channel.bodyLeft > 0 ? Expected::Body : Expected::Method;
    return {};
}

QString ClientRules::checkArguments(const Frame &frame)
{
    if (frame.payload.size() < 4)
        return u"a method frame without a method"_s;
    bool isForServers = false;
    const Wire::Visit visit = Wire::visitMethod(
        frame.methodId(), frame.arguments(), [&]<typename Method>(const Method &) { isForServers = Method::toServer; });
    if (visit != Wire::Visit::Done)
        return visit == Wire::Visit::Malformed ? u"malformed arguments"_s : u"an unknown method"_s;
    return isForServers ? QString() : u"a method that only brokers send"_s;
}

QString ClientRules::checkConnectionMethod(const Frame &frame)
{
    m_closeSent = frame.is(Wire::ConnectionClose::id) || frame.is(Wire::ConnectionCloseOk::id);
    if (frame.is(Wire::ConnectionCloseOk::id))
        m_brokerClosed = false;
    if (const auto tuneOk = frame.as<Wire::ConnectionTuneOk>()) {
        m_frameMax = tuneOk->frameMax;
        m_channelMax = tuneOk->channelMax ? tuneOk->channelMax : 0xffff;
        const auto exceeds = [](auto answer, auto offer) { return offer && (!answer || answer > offer); };
        if (exceeds(tuneOk->frameMax, m_offeredFrameMax) || exceeds(tuneOk->channelMax, m_offeredChannelMax))
            return u"tune-ok above the offer"_s;
    }
    return {};
}

QString ClientRules::checkMethod(Channel &channel, const Frame &frame)
{
    if (frame.channel > m_channelMax)
        return u"a channel above channel-max"_s;
    if (frame.is(Wire::ChannelCloseOk::id)) {
        if (channel.state == State::Open)
            channel.state = State::Closed;
        return std::exchange(channel.brokerClosed, false) ? QString() : u"an unexpected channel.close-ok"_s;
    }
    if (frame.is(Wire::ChannelOpen::id)) {
        if (channel.state != State::Closed)
            return u"channel.open on a number in use"_s;
        channel.state = State::Open;
        channel.transactionEnds = false;
        channel.consumerTags.clear();
        return {};
    }
    if (channel.state != State::Open)
        return channel.state == State::Closed ? u"a method on a closed channel"_s : u"a method after channel.close"_s;
    if (frame.is(Wire::ChannelClose::id))
        channel.state = State::CloseSent;
    else if (channel.transactionEnds && !channel.brokerClosed && !frame.is(Wire::ChannelFlowOk::id) &&
             !frame.is(Wire::BasicCancelOk::id) && !frame.is(Wire::BasicCancel::id))
        return u"a method between the end of a transaction and its answer"_s;
    if (frame.is(Wire::TxCommit::id) || frame.is(Wire::TxRollback::id))
        channel.transactionEnds = true;
    if (frame.is(Wire::BasicPublish::id))
        channel.expected = Expected::Header;
    return checkConsumerMethod(channel, frame);
}

// Follows RabbitMQ 4.3, which keeps the tag of a consumer that it has cancelled.
QString ClientRules::checkConsumerMethod(Channel &channel, const Frame &frame)
{
    if (const auto consume = frame.as<Wire::BasicConsume>()) {
        const QByteArray tag = consume->consumerTag.toByteArray();
        if (channel.consumerTags.contains(tag))
            return u"basic.consume with a consumer tag in use"_s;
        if (!tag.isEmpty()) // otherwise the broker chooses one
            channel.consumerTags.append(tag);
    } else if (const auto cancel = frame.as<Wire::BasicCancel>()) {
        channel.consumerTags.removeOne(cancel->consumerTag.toByteArray());
    } else if (const auto cancelOk = frame.as<Wire::BasicCancelOk>()) {
        channel.consumerTags.removeOne(cancelOk->consumerTag.toByteArray());
    }
    return {};
}

void ClientRules::brokerSent(const Frame &frame)
{
    if (const auto tune = frame.as<Wire::ConnectionTune>()) {
        m_offeredFrameMax = tune->frameMax;
        m_offeredChannelMax = tune->channelMax;
    }
    m_brokerClosed = m_brokerClosed || frame.is(Wire::ConnectionClose::id);
    Channel &channel = m_channels[frame.channel];
    if (frame.is(Wire::ChannelCloseOk::id)) {
        if (channel.state == State::CloseSent) // otherwise it was not requested
            channel = {.brokerClosed = channel.brokerClosed};
    } else if (frame.is(Wire::TxCommitOk::id) || frame.is(Wire::TxRollbackOk::id)) {
        channel.transactionEnds = false;
    } else if (frame.is(Wire::ChannelClose::id)) {
        channel.brokerClosed = true; // the broker skips everything until close-ok
    }
}

bool ClientRules::awaitsCloseOk(quint16 channel) const
{
    if (channel == 0)
        return m_brokerClosed;
    const auto found = m_channels.find(channel);
    return found != m_channels.end() && found->second.brokerClosed;
}
