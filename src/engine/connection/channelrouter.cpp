// SPDX-License-Identifier: MIT
#include "engine/connection/channelrouter_p.h"

#include "base/logging_p.h"
#include "wire/fieldtable_p.h"

#include <limits>

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

Wire::Visit ChannelRouter::onMethod(quint16 number, Wire::MethodId id, QByteArrayView arguments)
{
    const ChannelTable::Slot slot = m_channels.slot(number);
    if (slot.awaitsCloseOk) {
        onMethodWhileClosing(number, id);
        return Wire::Visit::Done;
    }
    if (slot.closedByPeer && isLate(number, id, arguments))
        return Wire::Visit::Done;
    if (!slot.channel || !slot.channel->isOnWire()) {
        m_host.reportViolation(Wire::ReplyCode::ChannelError,
                               u"received a method on channel %1, which is not open"_s.arg(number));
        return Wire::Visit::Done;
    }
    if (slot.channel->contents().isReceiving()) {
        m_host.reportViolation(Wire::ReplyCode::UnexpectedFrame,
                               u"received a method on channel %1, but content is expected"_s.arg(number));
        return Wire::Visit::Done;
    }
    return slot.channel->receive(id, arguments, m_reader.frame());
}

void ChannelRouter::onMethodWhileClosing(quint16 number, Wire::MethodId id)
{
    if (id == Wire::ChannelCloseOk::id) {
        m_host.noteProgress();
        m_channels.closed(number, false);
    } else if (id == Wire::ChannelClose::id) {
        m_host.frames().send(number, Wire::ChannelCloseOk{});
    }
}

// Returns whether the method is for a channel that the broker has closed, not for a new one with the same number.
// RabbitMQ may send a second channel.close: it resolves the empty name of a queue in later methods before it drops
// them. The answer to the first one is the answer to both.
bool ChannelRouter::isLate(quint16 number, Wire::MethodId id, QByteArrayView arguments)
{
    const ChannelEngine *channel = m_channels.channel(number);
    if (!channel || !channel->isOnWire())
        return true;
    if (id == Wire::ChannelOpenOk::id) {
        m_channels.setClosedByPeer(number, false);
        return false;
    }
    if (id != Wire::ChannelClose::id)
        return true;
    Wire::ChannelClose close;
    const bool refusesOpen =
        Wire::decodeArguments(arguments, close) || close.classId == 0 || close.classId == Wire::ChannelOpen::id.classId;
    return !refusesOpen;
}

// Returns null if the content is skipped or is a protocol error.
ChannelEngine *ChannelRouter::channelForContent(quint16 number)
{
    const ChannelTable::Slot slot = m_channels.slot(number);
    if (slot.awaitsCloseOk || slot.closedByPeer)
        return nullptr;
    if (slot.channel && slot.channel->isOnWire())
        return slot.channel;
    m_host.reportViolation(Wire::ReplyCode::ChannelError,
                           number == 0 ? u"received content on channel 0"_s
                                       : u"received content on channel %1, which is not open"_s.arg(number));
    return nullptr;
}

ChannelEngine *ChannelRouter::channelForHeader(quint16 number, const Wire::ContentHeader &header, bool isComplete)
{
    ChannelEngine *channel = channelForContent(number);
    if (!channel)
        return nullptr;
    if (channel->contents().state() != Assembler::State::Header)
        m_host.reportViolation(
            Wire::ReplyCode::UnexpectedFrame,
            u"received a content header on channel %1 without a method that has content"_s.arg(number));
    else if (!isComplete)
        m_host.reportViolation(Wire::ReplyCode::SyntaxError, u"received a truncated content header"_s);
    else if (header.classId != Wire::BasicDeliver::id.classId)
        m_host.reportViolation(Wire::ReplyCode::UnexpectedFrame,
                               u"received a content header of class %1"_s.arg(header.classId));
    else if (header.bodySize > quint64(std::numeric_limits<qint64>::max()))
        m_host.reportViolation(Wire::ReplyCode::FrameError,
                               u"received a content header that announces a body of %1 bytes"_s.arg(header.bodySize));
    else
        return channel;
    return nullptr;
}

bool ChannelRouter::onHeader(Time now)
{
    Wire::ContentHeader header;
    const bool isComplete = Wire::decodeContentHeader(m_reader.payload(), header);
    ChannelEngine *channel = channelForHeader(m_reader.header().channel, header, isComplete);
    if (!channel)
        return false;
    if (header.undecodable)
        warnOfUndecodable(*channel, header.undecodable, now);
    m_reader.expectBody(header.bodySize);
    channel->contents().onHeader(header, m_reader.frame());
    return completeContent(channel);
}

// The publisher determines the size of the message, so the error must not affect more than the consumer.
bool ChannelRouter::onLargeHeader()
{
    Wire::ContentHeader header;
    Wire::decodeContentHeader(m_reader.payload(), header);
    m_bodyChannel = nullptr;
    ChannelEngine *channel = channelForHeader(m_reader.header().channel, header, true);
    if (!channel)
        return false;
    channel->contents().skip(header.bodySize, u"a content header of %1 bytes"_s.arg(m_reader.header().size),
                             m_reader.methodFrameLimit());
    return completeContent(channel);
}

void ChannelRouter::warnOfUndecodable(ChannelEngine &channel, const char *what, Time now)
{
    using namespace std::chrono_literals;
    ++m_undecodableSince;
    if (m_undecodableWarned && now - *m_undecodableWarned < 1min)
        return;
    m_undecodableWarned = now;
    const Assembler &content = channel.contents().content();
    qCWarning(lcChannel).nospace() << "channel " << channel.number()
                                   << ": the headers of a message cannot be decoded: " << what << " (exchange "
                                   << Wire::decodeText(content.exchange()) << ", routing key "
                                   << Wire::decodeText(content.routingKey())
                                   << ", such headers since the last warning: " << std::exchange(m_undecodableSince, 0)
                                   << ')';
}

void ChannelRouter::onBody()
{
    const Wire::FrameHeader &frame = m_reader.header();
    m_bodyChannel = nullptr;
    ChannelEngine *channel = channelForContent(frame.channel);
    if (!channel)
        return;
    if (channel->contents().state() != Assembler::State::Body)
        return m_host.reportViolation(
            Wire::ReplyCode::UnexpectedFrame,
            u"received a body frame on channel %1 without a content header"_s.arg(frame.channel));
    Assembler &content = channel->contents().content();
    if (const quint64 missing = content.bodyRemaining(); frame.size > missing)
        return m_host.reportViolation(
            Wire::ReplyCode::FrameError,
            u"received a body frame of %1 bytes, but only %2 bytes are expected"_s.arg(frame.size).arg(missing));
    m_bodyChannel = channel;
    m_reader.streamTo(&content);
}

bool ChannelRouter::onBodyEnd()
{
    ChannelEngine *channel = std::exchange(m_bodyChannel, nullptr);
    return channel && completeContent(channel);
}

bool ChannelRouter::completeContent(ChannelEngine *channel)
{
    if (channel->contents().state() != Assembler::State::Complete || !channel->contents().complete(m_delivered))
        return false;
    m_lastChannel = channel;
    return true;
}

bool ChannelRouter::nextRepeated(RepeatedDelivery &delivery)
{
    if (!m_lastChannel)
        return false;
    qsizetype size = m_lastChannel->contents().matchLast(m_reader.input(), delivery);
    if (size == 0)
        size = matchDelivery(delivery);
    if (size == 0 || delivery.body.size() > m_reader.maximumBody() ||
        delivery.body.size() > m_host.settings().maximumMessageSize || m_lastChannel->contents().isReceiving())
        return false;
    m_reader.skip(size); // the bytes stay where they are until the next read
    m_reader.expectBody(quint64(delivery.body.size()));
    return m_lastChannel->contents().accept(*delivery.consumer, delivery.deliveryTag);
}

// Consumers may take turns. If the delivery matches, its channel becomes the last channel.
qsizetype ChannelRouter::matchDelivery(RepeatedDelivery &delivery)
{
    const auto address = DeliveryTemplate::address(m_reader.input());
    ChannelEngine *channel = address ? m_channels.channel(address->channel) : nullptr;
    const qsizetype size = channel ? channel->contents().match(address->consumerTag, m_reader.input(), delivery) : 0;
    if (size > 0)
        m_lastChannel = channel;
    return size;
}

void ChannelRouter::connectionLost()
{
    m_lastChannel = nullptr;
    m_bodyChannel = nullptr;
    m_reader.streamTo(nullptr);
}

void ChannelRouter::channelEnded(const ChannelEngine &channel)
{
    if (m_lastChannel == &channel)
        m_lastChannel = nullptr;
    if (m_bodyChannel == &channel) {
        m_bodyChannel = nullptr;
        m_reader.streamTo(nullptr);
    }
}

} // namespace AmqpQt::Engine
