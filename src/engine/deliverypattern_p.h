// SPDX-License-Identifier: MIT
#pragma once

#include "engine/event_p.h"

#include <QtCore/qbytearray.h>
#include <QtCore/qbytearrayview.h>

#include <optional>

namespace AmqpQt::Engine
{

// The frames of a consumer's delivery before. In a steady stream the next one differs in its delivery tag, its
// redelivered bit and its body only: it is recognised by comparing bytes instead of being taken apart.
class DeliveryPattern
{
public:
    // Whose delivery `input` begins with, as far as its bytes have come; else nothing.
    struct Address {
        quint16 channel = 0;
        QByteArrayView consumerTag;
    };
    static std::optional<Address> address(QByteArrayView input) noexcept;

    // Whole frames, as they come. Those that do not make up one delivery leave no pattern.
    void method(QByteArrayView frame); // basic.deliver
    void header(QByteArrayView frame);
    void delivered() noexcept
    {
        m_state = m_state == State::Header ? State::Complete : State::None;
    } // it was all in order

    // If `input` begins with a delivery like this, with its whole body in one frame: the size of its frames, else 0.
    qsizetype match(QByteArrayView input, RepeatedDelivery &delivery) const noexcept;

private:
    enum class State : quint8 { None, Method, Header, Complete };
    static constexpr qsizetype LongestFrames = 2048; // with more properties, taking them apart is not what counts

    State m_state = State::None;
    quint16 m_tagOffset = 0;
    quint16 m_bodySizeOffset = 0;
    QByteArray m_frames; // method, header and what a body frame begins with, up to its size
};

} // namespace AmqpQt::Engine
