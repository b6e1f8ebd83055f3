// SPDX-License-Identifier: MIT
#pragma once

#include "wire/codec_p.h"
#include "wire/contentheader_p.h"
#include "wire/frame_p.h"
#include "wire/methods_p.h"

#include <QtCore/qbytearray.h>
#include <QtCore/qstring.h>

#include <optional>

// The frame codec of the tests, for both directions.

struct Frame {
    AmqpQt::Wire::FrameType type = AmqpQt::Wire::FrameType::Method;
    quint16 channel = 0;
    QByteArray payload;

    AmqpQt::Wire::MethodId methodId() const; // zeros if this is not a method
    bool is(AmqpQt::Wire::MethodId id) const
    {
        return type == AmqpQt::Wire::FrameType::Method && methodId().value() == id.value();
    }
    QByteArrayView arguments() const { return QByteArrayView(payload).sliced(4); } // of a method
    template <typename Method>
    std::optional<Method> as() const // with views into the payload
    {
        Method method;
        if (!is(Method::id) || AmqpQt::Wire::decodeArguments(arguments(), method))
            return std::nullopt;
        return method;
    }
    QString describe() const;
};

// A message that a broker delivers, returns, or sends in answer to basic.get.
struct Content {
    QByteArray body;
    QByteArray properties = QByteArray(2, '\0'); // encoded
    QByteArray exchange = "exchange";
    QByteArray routingKey = "key";
    bool redelivered = false;
};

QByteArray frameHeader(int type, quint16 channel, quint32 size);
QByteArray encodeFrame(AmqpQt::Wire::FrameType type, quint16 channel, const QByteArray &payload);
QByteArray headerFrame(quint16 channel, quint64 bodySize, const QByteArray &properties = QByteArray(2, '\0'));
// The header, and as many body frames as this frame-max requires, or one if it is 0.
QByteArray contentFrames(quint16 channel, const Content &content, quint32 frameMax = 131072);
// basic.deliver and its content.
QByteArray deliverFrames(const QByteArray &tag, quint64 deliveryTag, const Content &content = {}, quint16 channel = 1);

// Splits a stream of bytes into frames.
class FrameParser
{
public:
    enum class Keeps { AllPayloads, Methods }; // the payloads of other frames are discarded as they arrive

    explicit FrameParser(Keeps keeps = Keeps::AllPayloads)
        : m_keeps(keeps)
    {
    }

    // Removes bytes from the front of `bytes`, up to the end of a frame, and returns that frame if it is complete.
    std::optional<Frame> next(QByteArrayView &bytes);
    bool isMalformed() const { return m_isMalformed; } // no more frames can be found

private:
    static constexpr quint32 MaximumPayload = 16 * 1024 * 1024; // a larger size is treated as malformed

    Keeps m_keeps;
    QByteArray m_bytes; // of the header, then of the payload
    qsizetype m_missing = AmqpQt::Wire::FrameHeaderSize;
    std::optional<AmqpQt::Wire::FrameHeader> m_header;
    bool m_isMalformed = false;
};
