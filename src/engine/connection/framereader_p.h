// SPDX-License-Identifier: MIT
#pragma once

#include "engine/buffers/inputbuffer_p.h"
#include "wire/frame_p.h"

#include <QtCore/qstring.h>

#include <span>

namespace AmqpQt::Engine
{

class Assembler;

// Splits the bytes of the broker into frames and checks that they are well-formed. The payload of a body frame is not
// collected here: its bytes go to an Assembler as they arrive, and large ones are read directly into its memory.
class FrameReader
{
public:
    enum class Step : quint8 {
        NeedsInput,
        Frame,       // a whole method, header or heartbeat frame
        LargeHeader, // a header frame that is too large; its beginning is kept, and the rest is skipped
        Body,        // a body frame begins; streamTo() sets the target of its bytes, otherwise they are skipped
        BodyEnd,     // the body frame is complete
        Fault,
    };
    struct Fault {
        quint16 replyCode = 0;
        QString text;
        bool isFraming = false; // the beginning of the next frame is unknown
    };

    void start();                                        // called for a new connection; forgets everything
    void stop();                                         // drops unread input
    void setMaximumFrameSize(quint32 frameMax) noexcept; // 0 means no limit
    void handshakeDone() noexcept { m_isHandshakeDone = true; }

    // Fill space() and report the size, then call next() until it needs more.
    std::span<char> space();
    void filled(qsizetype size);
    bool hasInput() const noexcept { return !m_input.isEmpty() && !m_needsInput; }
    Step next();

    // Valid until the next call of space().
    const Wire::FrameHeader &header() const noexcept { return m_header; } // valid for Frame, LargeHeader and Body
    QByteArrayView frame() const noexcept { return m_frame; }             // valid for Frame; the whole frame
    QByteArrayView payload() const noexcept { return m_payload; } // valid for Frame; the beginning for LargeHeader
    const Fault &fault() const noexcept { return m_fault; }

    void streamTo(Assembler *body) noexcept { m_body.to = body; } // null skips the rest of the body frame
    // Sets the size of the body whose header has arrived. Only a little is read past the end of a large body, so
    // that the next large body is not read into the buffer and copied.
    void expectBody(quint64 size) noexcept { m_readsShort = size >= LargeBody; }
    quint32 methodFrameLimit() const noexcept;

    // For callers that recognise the beginning of the input between two frames, and consume it themselves.
    bool isBetweenFrames() const noexcept { return !m_body.active; }
    QByteArrayView input() const noexcept { return m_input.bytes(); }
    void skip(qsizetype size) noexcept { m_input.consume(size); }
    qsizetype maximumBody() const noexcept { return qsizetype(m_maximumFrameSize) - Wire::FrameOverhead; }

    bool hasIdleMemory() const noexcept { return m_input.hasIdleMemory(); }
    void releaseIdleMemory() noexcept;

private:
    static constexpr quint32 HandshakeFrameLimit = 128 * 1024;
    static constexpr quint32 MethodFrameLimit = 1024 * 1024;
    static constexpr qsizetype DirectReadSize = 4096; // a smaller rest of a body frame is copied
    static constexpr quint64 LargeBody = 32 * 1024;
    static constexpr qsizetype ShortRead = 4096;

    struct Body // the current body frame
    {
        bool active = false;
        bool direct = false;     // the next read goes directly into the memory of the body
        Assembler *to = nullptr; // null if the body is skipped
        quint32 remaining = 0;
    };

    Step fail(quint16 replyCode, const QString &text);
    Step failFraming(const QString &text);
    Step failProtocol(const QString &spoken);
    Step failTls();
    Step checkFirstBytes();
    bool checkHeader();
    Step readLargeHeader();
    Step streamBody();

    InputBuffer m_input;
    bool m_needsInput = false; // the input has only a part of a frame
    bool m_isFirst = true;     // nothing has been read yet
    bool m_isHandshakeDone = false;
    bool m_readsShort = false;
    quint32 m_maximumFrameSize = HandshakeFrameLimit;
    Wire::FrameHeader m_header;
    QByteArrayView m_frame;
    QByteArrayView m_payload;
    Fault m_fault;
    Body m_body;
};

} // namespace AmqpQt::Engine
