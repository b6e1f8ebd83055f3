// SPDX-License-Identifier: MIT
#pragma once

#include "engine/event_p.h"

#include <QtCore/qbytearray.h>
#include <QtCore/qbytearrayview.h>

#include <optional>

namespace AmqpQt::Engine
{

// Remembers the frames of a consumer's previous delivery. In a steady stream the next delivery differs only in its
// delivery tag, its redelivered bit and its body, so it is recognised by comparing bytes instead of decoding.
class DeliveryTemplate
{
public:
    // Identifies the consumer of the delivery that `input` begins with, if those bytes have arrived; otherwise empty.
    struct Address {
        quint16 channel = 0;
        QByteArrayView consumerTag;
    };
    static std::optional<Address> address(QByteArrayView input) noexcept;

    // Take whole frames, as they arrive. Frames that do not make up one delivery leave the template empty.
    void method(QByteArrayView frame); // basic.deliver
    void header(QByteArrayView frame);
    void delivered() noexcept
    {
        m_state = m_state == State::Header ? State::Complete : State::None;
    } // the delivery was well-formed

    // The size of the frames if `input` begins with a delivery like this, with its body in one frame; otherwise 0.
    qsizetype match(QByteArrayView input, RepeatedDelivery &delivery) const noexcept;

private:
    enum class State : quint8 { None, Method, Header, Complete };
    static constexpr qsizetype LongestFrames = 2048; // with more properties, decoding is not the main cost

    State m_state = State::None;
    quint16 m_tagOffset = 0;
    quint16 m_bodySizeOffset = 0;
    QByteArray m_frames; // method, header and the beginning of a body frame, up to its size
};

} // namespace AmqpQt::Engine
