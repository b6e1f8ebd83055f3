// SPDX-License-Identifier: MIT
#pragma once

#include "engine/event_p.h"

#include <QtCore/qbytearray.h>
#include <QtCore/qbytearrayview.h>

namespace AmqpQt::Engine
{

// The frames of the delivery before. In a steady stream the next one differs in its delivery tag, its redelivered bit
// and its body only: it is recognised by comparing bytes instead of being taken apart.
class DeliveryPattern
{
public:
    // Whole frames, as they come. Those that do not make up one delivery leave no pattern.
    void method(ChannelEngine *channel, QByteArrayView frame); // basic.deliver
    void header(ChannelEngine *channel, QByteArrayView frame);
    void delivered(ChannelEngine *channel, ConsumerEntry *consumer); // it was all in order
    void forget() noexcept { m_state = State::None; }
    void forget(const ChannelEngine *channel) noexcept
    {
        if (m_channel == channel)
            forget();
    }
    void release() noexcept; // its memory, too

    bool isComplete() const noexcept { return m_state == State::Complete; }
    // If `input` begins with a delivery like this, with its whole body in one frame: the size of its frames, else 0.
    // The pattern has to be complete.
    qsizetype match(QByteArrayView input, RepeatedDelivery &delivery) const noexcept;
    ChannelEngine *channel() const noexcept { return m_channel; }

private:
    enum class State : quint8 { None, Method, Header, Complete };
    static constexpr qsizetype LongestFrames = 2048; // with more properties, taking them apart is not what counts

    State m_state = State::None;
    ChannelEngine *m_channel = nullptr;
    ConsumerEntry *m_consumer = nullptr;
    QByteArray m_frames; // method, header and what a body frame begins with, up to its size
    qsizetype m_tagOffset = 0;
    qsizetype m_bodySizeOffset = 0;
};

} // namespace AmqpQt::Engine
