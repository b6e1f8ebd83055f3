// SPDX-License-Identifier: MIT
#pragma once

#include "engine/channel/assembler_p.h"
#include "engine/channel/channelcontext_p.h"
#include "engine/channel/deliveries_p.h"
#include "engine/channel/publishing_p.h"
#include "engine/channel/subscriptions_p.h"

#include <memory>

namespace AmqpQt::Engine
{

// Receives the contents of a channel: deliveries, the messages of basic.get, and returned messages. Keeps the frames of
// each consumer's last delivery, so that the next one is recognised if it repeats them.
class ContentReceiver
{
public:
    ContentReceiver(ChannelContext &channel, Deliveries &deliveries, Publishing &publishing,
                    Subscriptions &subscriptions) noexcept
        : m_channel(channel)
        , m_deliveries(deliveries)
        , m_publishing(publishing)
        , m_subscriptions(subscriptions)
    {
    }

    Assembler::State state() const noexcept { return m_assembler ? m_assembler->state() : Assembler::State::Idle; }
    bool isReceiving() const noexcept { return state() != Assembler::State::Idle; }
    Assembler &content() const { return *m_assembler; } // must exist

    // `frame` is the whole frame.
    void on(const Wire::BasicDeliver &method, QByteArrayView frame);
    void on(const Wire::BasicGetOk &);
    void on(const Wire::BasicGetEmpty &);
    void on(const Wire::BasicReturn &);
    void onHeader(const Wire::ContentHeader &header, QByteArrayView frame);
    // Skips a content that exceeds `limit`, and ends its consumer. `what` describes the size in the error.
    void skip(quint64 bodySize, const QString &what, qint64 limit);
    // Called when the content is complete. Returns true if `delivered` must be reported, and false if the
    // content has been handled.
    bool complete(Delivered &delivered);

    // Returns the size of the frames if `input` begins with a delivery that differs only in the fields of
    // RepeatedDelivery from the last one, or from the last one of the consumer with this tag; otherwise 0.
    qsizetype matchLast(QByteArrayView input, RepeatedDelivery &delivery) const noexcept
    {
        ConsumerEntry *const consumer = m_channel.consumers().lastReceiver();
        if (!consumer || !consumer->lastDelivery)
            return 0;
        delivery.consumer = consumer;
        return consumer->lastDelivery->match(input, delivery);
    }
    qsizetype match(QByteArrayView consumerTag, QByteArrayView input, RepeatedDelivery &delivery);
    // Called when a delivery is complete. Returns false if it has been handled and is not reported.
    bool accept(ConsumerEntry &consumer, quint64 deliveryTag, bool isSkipped = false);

    void end(const Error &callError); // the channel has ended

private:
    Assembler &assembler();
    void drop() noexcept; // the current content
    bool completeDelivery(Delivered &delivered);
    void completeGet();
    void completeReturn();
    ReceivedMessage takeMessage();
    void rejectTag(quint64 deliveryTag);

    ChannelContext &m_channel;
    Deliveries &m_deliveries;
    Publishing &m_publishing;
    Subscriptions &m_subscriptions;
    std::unique_ptr<Assembler> m_assembler; // created with the first content
    CallId m_getCall = 0;                   // answered by the current content
    bool m_getNoAck = false;                // of m_getCall
};

} // namespace AmqpQt::Engine
