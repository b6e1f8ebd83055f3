// SPDX-License-Identifier: MIT
#include "engine/channel/assembler_p.h"

#include <algorithm>

namespace AmqpQt::Engine
{

void Assembler::begin(const Method &method, QByteArrayView exchange, QByteArrayView routingKey,
                      QByteArrayView replyText)
{
    m_method = method;
    m_strings.resize(0); // keeps its memory for the next delivery
    m_strings.append(exchange).append(routingKey).append(replyText);
    m_exchangeSize = quint8(exchange.size());
    m_routingKeySize = quint8(routingKey.size());
    m_state = State::Header;
}

void Assembler::header(const Wire::ContentHeader &header)
{
    if (QByteArrayView(m_properties) != header.properties)
        m_properties = header.properties.toByteArray();
    m_bodySize = header.bodySize;
    m_body = QByteArray();
    m_isSkipped = false;
    completeIfWhole();
}

void Assembler::skip(quint64 bodySize)
{
    m_bodySize = bodySize;
    m_body = QByteArray();
    m_isSkipped = true;
    completeIfWhole();
}

void Assembler::append(QByteArrayView part, qsizetype frameRemaining)
{
    Q_ASSERT(part.size() <= frameRemaining && quint64(frameRemaining) <= bodyRemaining());
    if (m_isSkipped) {
        m_bodySize -= quint64(part.size());
    } else if (m_body.isEmpty() && quint64(part.size()) == m_bodySize) {
        m_body = part.toByteArray();
    } else {
        reserve(std::max(part.size(), std::min(frameRemaining, LargestRoom)));
        m_body.append(part);
    }
    completeIfWhole();
}

std::span<char> Assembler::space(qsizetype frameRemaining)
{
    Q_ASSERT(frameRemaining > 0 && quint64(frameRemaining) <= bodyRemaining());
    reserve(std::min(frameRemaining, LargestRoom));
    const qsizetype size = m_body.size();
    const qsizetype room = std::min(frameRemaining, m_body.capacity() - size);
    return {m_body.data() + size, size_t(room)};
}

void Assembler::filled(qsizetype size)
{
    Q_ASSERT(quint64(size) <= bodyRemaining() && m_body.size() + size <= m_body.capacity());
    m_body.resize(m_body.size() + size); // within the capacity, so the bytes stay in place
    completeIfWhole();
}

// Makes room for `more` bytes plus twice the bytes that have arrived.
void Assembler::reserve(qsizetype more)
{
    const qsizetype needed = m_body.size() + more;
    if (needed > m_body.capacity())
        m_body.reserve(qsizetype(std::min(m_bodySize, quint64(needed) + 2 * quint64(m_body.size()))));
}

QByteArray Assembler::takeBody()
{
    m_state = State::Idle;
    return std::exchange(m_body, {});
}

void Assembler::reset() noexcept
{
    m_state = State::Idle;
    m_body = QByteArray();
    m_bodySize = 0;
}

} // namespace AmqpQt::Engine
