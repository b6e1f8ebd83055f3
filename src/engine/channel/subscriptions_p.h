// SPDX-License-Identifier: MIT
#pragma once

#include "engine/channel/channelcontext_p.h"
#include "engine/channel/publishing_p.h"
#include "engine/channel/topologycalls_p.h"

#include <AmqpQt/options.h>

#include <memory>
#include <vector>

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
    // The connection was lost. Ends the consumers that are ending, and adds the basic.consume of the others to `calls`.
    void suspend(const Error &callError, std::vector<ChannelCall> &calls);
    // Prepares a basic.consume that suspend() has added.
    void restart(ChannelCall &consume);
    int restartCount() const noexcept { return m_restarts; } // prepared by restart() and not answered
    // The consumer whose restart has made the broker close the channel, and the others of its queue, which would be
    // refused as well. Returns an empty list if the cause was the start of a new consumer.
    std::vector<std::shared_ptr<ConsumerEntry>> refusedRestarts(const Error &reason) const;
    std::vector<std::shared_ptr<ConsumerEntry>> oldestUnanswered() const; // one at most
    void endRefused(const std::vector<std::shared_ptr<ConsumerEntry>> &refused, const Error &reason);
    void suspended(quint16 prefetch) noexcept { m_sentPrefetch = prefetch; } // the prefetch after all held calls
    quint16 channelPrefetch() const noexcept { return m_channelPrefetch; }
    bool dropChannelPrefetch(const ChannelCall &qos); // returns false if the call is for consumers
    void end(const Error &callError, bool isFailure);

    bool claimTag(const ChannelCall &consume); // called before it is sent; returns false if the tag is taken
    void consumeRejected(const ChannelCall &call, const Error &error); // called if it was too large to be sent
    void cancelTooLarge(ConsumerEntry &consumer, const Error &reason); // called after a message that is too large
    // Called for a delivery with an unknown tag, whose consumer ended too long ago to be remembered, or never existed.
    ConsumerEntry *rejectDelivery(QByteArrayView tag);

    // The queue of the consumer, if the connection recovers or the broker has named the queue; otherwise empty.
    static QString queueOf(const ConsumerEntry &consumer);
    void consumeSent(const ChannelCall &call); // basic.consume
    void on(const Wire::BasicConsumeOk &);
    void on(const Wire::BasicCancelOk &);
    void on(const Wire::BasicCancel &);

private:
    void sendCancel(const std::shared_ptr<ConsumerEntry> &consumer);
    void stopDeliveries(QByteArrayView consumerTag);
    void noteEnd(ConsumerEntry &consumer, TopologyRecord::EndOfConsumer how);
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
    int m_restarts = 0;
};

} // namespace AmqpQt::Engine
