// SPDX-License-Identifier: MIT
#pragma once

#include "engine/channel/channelcontext_p.h"
#include "engine/channel/publishing_p.h"
#include "engine/channel/topologycalls_p.h"

#include <AmqpQt/options.h>

#include <memory>

namespace AmqpQt::Engine
{

// Starts and ends the consumers of a channel, with the prefetch that each gets.
class Subscriptions
{
public:
    Subscriptions(ChannelContext &channel, const TopologyCalls &topology, Publishing &publishing) noexcept
        : m_channel(channel)
        , m_topology(topology)
        , m_publishing(publishing)
    {
    }

    Result<std::shared_ptr<ConsumerEntry>> consume(const QString &queue, const ConsumeOptions &options,
                                                   ConsumerClient *client);
    CallId cancel(ConsumerEntry &consumer); // Starting or Active
    // Cancels like cancel(), but messages that the broker has sent before its cancel-ok are still delivered.
    CallId drain(ConsumerEntry &consumer);
    Result<CallId> setPrefetch(quint16 count, bool perChannel);
    quint16 prefetch() const noexcept { return m_prefetch; } // the default of consumers

    void channelOpened(); // restores the prefetch of the channel
    void cancelAll();     // the channel is closing
    void end(const Error &callError, bool isFailure);

    bool claimTag(const ChannelCall &consume); // called before it is sent; returns false if the tag is taken
    void consumeRejected(const ChannelCall &call, const Error &error); // called if it was too large to be sent
    void cancelTooLarge(ConsumerEntry &consumer, const Error &reason); // called after a message that is too large
    // Called for a delivery with an unknown tag, whose consumer ended too long ago to be remembered, or never existed.
    ConsumerEntry *rejectDelivery(QByteArrayView tag);

    void on(const Wire::BasicConsumeOk &);
    void on(const Wire::BasicCancelOk &);
    void on(const Wire::BasicCancel &);

private:
    void sendCancel(const std::shared_ptr<ConsumerEntry> &consumer);
    void stopDeliveries(QByteArrayView consumerTag);
    void recordEnd(const ConsumerEntry &consumer, TopologyRecord::EndOfConsumer how);
    void endConsumer(const std::shared_ptr<ConsumerEntry> &consumer);
    bool hasDirectReplyTo() const
    {
        return m_channel.consumers().hasDirectReplyTo() || m_channel.callQueue().holdsDirectReplyTo();
    }

    ChannelContext &m_channel;
    const TopologyCalls &m_topology;
    Publishing &m_publishing;
    quint16 m_prefetch = 0;     // the default of consumers
    quint16 m_sentPrefetch = 0; // the prefetch at the broker, which applies to the next consumer
    quint16 m_channelPrefetch = 0;
};

} // namespace AmqpQt::Engine
