// SPDX-License-Identifier: MIT
#pragma once

#include "engine/channelcalls_p.h"

#include <cstring>

// The path of most messages of a steady stream, where each instruction counts, so all of it can be inlined into the
// caller.
namespace AmqpQt::Engine
{

inline bool ChannelEngine::headerFits(const QByteArray &properties) const
{
    return Wire::ContentHeaderPrefix + properties.size() <= m_host.frames().maximumPayload();
}

inline bool ChannelEngine::hasRoom(const QByteArray &properties, const QByteArray &body) const
{
    return m_host.flow().hasRoom(Wire::ContentHeaderPrefix + properties.size() + body.size());
}

// If true, m_published has the frames, so a steady stream of messages encodes nothing twice.
inline bool ChannelEngine::isLikeLastPublish(const QString &exchange, const QString &routingKey,
                                             const QByteArray &properties, bool mandatory) const
{
    const auto isSame = [](const QString &a, const QString &b) {
        return a.size() == b.size() &&
               (a.isEmpty() || std::memcmp(a.constData(), b.constData(), size_t(a.size()) * sizeof(QChar)) == 0);
    };
    return m_published && isSame(routingKey, m_published->routingKey) && isSame(exchange, m_published->exchange) &&
           (properties.isSharedWith(m_published->properties) || properties == m_published->properties) &&
           m_published->mandatory == mandatory;
}

inline void ChannelEngine::expectConfirm(quint64 sequence, const ContentFrames &frames, const QByteArray &properties,
                                         const QByteArray &body, bool mandatory)
{
    if (mandatory)
        m_confirms->sentMandatory(sequence, frames.methodPayload(), properties, body);
    else
        m_confirms->sent(sequence);
}

inline quint64 ChannelEngine::notePublished()
{
    m_host.flow().checkWatermarks();
    if (m_confirmWindow > 0)
        noteConfirmWindow();
    return m_sequence;
}

inline quint64 ChannelEngine::publishRepeated(const QString &exchange, const QString &routingKey,
                                              const QByteArray &properties, const QByteArray &body, bool mandatory)
{
    if (!acceptsCalls() || mustHold(true) || !headerFits(properties) || !hasRoom(properties, body) ||
        !isLikeLastPublish(exchange, routingKey, properties, mandatory))
        return 0;
    ++m_sequence;
    if (m_mode == Mode::Confirm)
        expectConfirm(m_sequence, m_published->frames, properties, body, mandatory);
    m_host.frames().sendContent(m_number, m_published->frames, body);
    return notePublished();
}

} // namespace AmqpQt::Engine
