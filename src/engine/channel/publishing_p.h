// SPDX-License-Identifier: MIT
#pragma once

#include "engine/buffers/publishtemplate_p.h"
#include "engine/channel/channelcontext_p.h"
#include "engine/channel/confirms_p.h"
#include "wire/contentheader_p.h"

#include <cstring>
#include <memory>

namespace AmqpQt::Engine
{

// The number of a message, from 1 and never repeated, or the reason why it was not published, which is valid until the
// channel publishes again. Unlike Result, it fits in two registers.
class Published
{
public:
    Published(quint64 sequence) noexcept
        : m_sequence(sequence)
    {
    }
    Published(const Error *reason) noexcept
        : m_reason(reason)
    {
    }

    explicit operator bool() const noexcept { return !m_reason; }
    quint64 operator*() const noexcept { return m_sequence; }
    Error error() const { return m_reason ? *m_reason : Error(); }

private:
    quint64 m_sequence = 0;
    const Error *m_reason = nullptr;
};

// Publishes on a channel: checks and numbers messages, and keeps account of their confirms and the confirm window.
class Publishing
{
public:
    explicit Publishing(ChannelContext &channel) noexcept
        : m_channel(channel)
    {
    }

    // Does the same as ChannelEngine::publish(), on a channel that accepts calls. `isHeld` is true if other
    // operations hold the message.
    Published publish(const QString &exchange, const QString &routingKey, const QByteArray &properties,
                      const QByteArray &body, bool mandatory, bool isHeld)
    {
        // The path of most messages of a steady stream, where each instruction counts.
        if (!isHeld && mayPublish() && headerFits(properties) && hasRoom(properties, body) &&
            isLikeLast(exchange, routingKey, properties, mandatory))
            return publishPrepared(properties, body, mandatory);
        return publishOther(exchange, routingKey, properties, body, mandatory, isHeld);
    }
    Published reject(Error reason) // rejects a message
    {
        m_rejection = std::move(reason);
        return &m_rejection;
    }
    Error checkContent(const QByteArray &properties, const QByteArray &body) const;
    bool mayPublish() const // neither the broker nor the confirm window holds messages
    {
        return !m_channel.host().flow().isBlocked() && !m_channel.isFlowed() &&
               (m_confirmWindow <= 0 || sentUnconfirmed() < m_confirmWindow);
    }
    void sendHeld(const HeldPublish &publish);
    void dropTemplate() noexcept { m_last.reset(); } // a message like the last one must be checked again

    void startConfirms(); // enters confirm mode
    qsizetype sentUnconfirmed() const noexcept { return m_confirms ? m_confirms->outstanding() : 0; }
    quint64 lastSent() const // the number of the last message that was sent
    {
        const HeldPublish *held = m_channel.callQueue().firstPublish();
        return held ? held->sequence - 1 : m_sequence;
    }
    // Publishes that wait for their confirms, including those not sent yet.
    qsizetype unconfirmed() const noexcept { return sentUnconfirmed() + m_channel.callQueue().unconfirmed(); }
    enum class Confirmed { Now, Before, NeverPublished };
    Confirmed confirm(quint64 deliveryTag, bool multiple, const Error &failure); // handles basic.ack and basic.nack
    void returned(ReturnedMessage message);                                      // handles basic.return

    // Sets the maximum number of sent and unconfirmed messages; others wait. 0 means no limit.
    void setConfirmWindow(int messages);
    int confirmWindow() const noexcept { return m_confirmWindow; }
    // True from the time when the window is full until half of its messages are confirmed.
    bool isConfirmWindowFull() const noexcept { return m_isWindowFull; }
    void checkConfirmWindow();

    void end(const Error &callError);            // the channel has ended
    void suspend(const Error &lossOfConnection); // held messages stay

private:
    struct Last {
        QString exchange;
        QString routingKey;
        QByteArray properties;
        bool mandatory = false;
        PublishTemplate frames; // with the channel's number and ticket
    };

    bool headerFits(const QByteArray &properties) const
    {
        return Wire::ContentHeaderPrefix + properties.size() <= m_channel.host().frames().maximumPayload();
    }
    bool hasRoom(const QByteArray &properties, const QByteArray &body) const
    {
        return m_channel.host().flow().hasRoom(Wire::ContentHeaderPrefix + properties.size() + body.size());
    }
    bool fits(const QByteArray &properties, const QByteArray &body) const;
    // If true, m_last has the frames, so a steady stream of messages encodes nothing twice.
    bool isLikeLast(const QString &exchange, const QString &routingKey, const QByteArray &properties,
                    bool mandatory) const
    {
        const auto isSame = [](const QString &a, const QString &b) {
            return a.size() == b.size() &&
                   (a.isEmpty() || std::memcmp(a.constData(), b.constData(), size_t(a.size()) * sizeof(QChar)) == 0);
        };
        return m_last && isSame(routingKey, m_last->routingKey) && isSame(exchange, m_last->exchange) &&
               (properties.isSharedWith(m_last->properties) || properties == m_last->properties) &&
               m_last->mandatory == mandatory;
    }
    Error prepare(const QString &exchange, const QString &routingKey, const QByteArray &properties, bool mandatory);
    Error checkProperties(const QByteArray &properties) const;
    Published publishOther(const QString &exchange, const QString &routingKey, const QByteArray &properties,
                           const QByteArray &body, bool mandatory, bool isHeld);
    quint64 publishPrepared(const QByteArray &properties, const QByteArray &body,
                            bool mandatory) // m_last has its frames
    {
        ++m_sequence;
        if (m_confirms)
            expectConfirm(m_sequence, m_last->frames, properties, body, mandatory);
        m_channel.host().frames().sendContent(m_channel.number(), m_last->frames, body);
        return published();
    }
    void expectConfirm(quint64 sequence, const PublishTemplate &frames, const QByteArray &properties,
                       const QByteArray &body, bool mandatory)
    {
        if (mandatory)
            m_confirms->sentMandatory(sequence, frames.methodPayload(), properties, body);
        else
            m_confirms->sent(sequence);
    }
    quint64 published()
    {
        m_channel.host().flow().checkWatermarks();
        if (m_confirmWindow > 0)
            checkConfirmWindow();
        return m_sequence;
    }
    void endUnconfirmed(const QString &text, const Error &cause); // `text` has a place for that of the cause
    void report(std::vector<Confirms::Outcome> &outcomes, const Error &failure);

    ChannelContext &m_channel;
    quint64 m_sequence = 0;
    std::unique_ptr<Last> m_last;         // the last message, or a rejected one
    std::unique_ptr<Confirms> m_confirms; // in confirm mode
    Error m_rejection;                    // the error of the last message that was rejected
    int m_confirmWindow = 0;
    bool m_isWindowFull = false;
};

} // namespace AmqpQt::Engine
