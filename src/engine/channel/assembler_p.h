// SPDX-License-Identifier: MIT
#pragma once

#include "wire/contentheader_p.h"

#include <QtCore/qbytearray.h>

#include <span>

namespace AmqpQt::Engine
{

struct ConsumerEntry;

// Assembles the content of one channel from its method, header and body frames. Memory grows with the data that
// arrived, not with the size that the header announces.
class Assembler
{
public:
    enum class State : quint8 { Idle, Header, Body, Complete };
    enum class Kind : quint8 { Deliver, GetOk, Return };

    struct Method // the fields of basic.deliver, basic.get-ok and basic.return that their content needs
    {
        Kind kind = Kind::Deliver;
        bool redelivered = false;
        quint16 replyCode = 0;
        quint32 messageCount = 0;
        quint64 deliveryTag = 0;
        ConsumerEntry *consumer = nullptr;
    };

    State state() const noexcept { return m_state; }
    const Method &method() const noexcept { return m_method; }
    QByteArrayView exchange() const noexcept { return QByteArrayView(m_strings).first(m_exchangeSize); }
    QByteArrayView routingKey() const noexcept
    {
        return QByteArrayView(m_strings).sliced(m_exchangeSize, m_routingKeySize);
    }
    QByteArrayView replyText() const noexcept
    {
        return QByteArrayView(m_strings).sliced(m_exchangeSize + m_routingKeySize);
    }
    quint64 bodyRemaining() const noexcept { return m_bodySize - quint64(m_body.size()); }

    void begin(const Method &method, QByteArrayView exchange, QByteArrayView routingKey, QByteArrayView replyText = {});
    void header(const Wire::ContentHeader &header);
    void skip(quint64 bodySize); // replaces header(); nothing of the content is kept
    bool isSkipped() const noexcept { return m_isSkipped; }

    // `frameRemaining` is the rest of the body in the frame, including this part. Reserves room for all of it, since a
    // connection receives only one frame at a time.
    void append(QByteArrayView part, qsizetype frameRemaining);
    // Returns the place for the next bytes.
    std::span<char> space(qsizetype frameRemaining);
    void filled(qsizetype size);

    QByteArray properties() const { return m_properties; }
    QByteArray takeBody();
    void reset() noexcept; // drops a partly received content

private:
    static constexpr qsizetype LargestRoom = 128 * 1024; // reserved for announced bytes that have not arrived

    void reserve(qsizetype more);
    void completeIfWhole() noexcept { m_state = bodyRemaining() == 0 ? State::Complete : State::Body; }

    Method m_method;
    QByteArray m_strings; // exchange, routing key, reply text
    QByteArray m_properties;
    QByteArray m_body;
    quint64 m_bodySize = 0; // for a skipped content, the number of bytes still to arrive
    State m_state = State::Idle;
    bool m_isSkipped = false;
    quint8 m_exchangeSize = 0; // both are short strings
    quint8 m_routingKeySize = 0;
};

} // namespace AmqpQt::Engine
