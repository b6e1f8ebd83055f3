// SPDX-License-Identifier: MIT
#pragma once

#include "support/script.h"
#include "wire/contentheader_p.h"

inline QByteArray propertiesOf(const QString &messageId, const AmqpQt::FieldTable &headers = {})
{
    Wire::BasicProperties properties;
    const QByteArray id = messageId.toUtf8();
    const QByteArray table = headers.isEmpty() ? QByteArray() : *Wire::encodeTable(headers, u"");
    if (!messageId.isEmpty())
        properties.flags |= Wire::MessageIdFlag;
    properties.messageId = QByteArrayView(id);
    if (!headers.isEmpty())
        properties.flags |= Wire::HeadersFlag;
    properties.headers = {table};
    return Wire::encodeProperties(properties);
}

// A dialogue in which a channel is in confirm mode.
struct Confirming {
    explicit Confirming(int window = 0)
    {
        s.open();
        channel = &s.openChannel();
        const auto selecting = *channel->confirmSelect();
        s.expectSent<Wire::ConfirmSelect>().broker(Wire::ConfirmSelectOk{}).expectReply(selecting);
        channel->publishing().setConfirmWindow(window);
    }
    quint64 publish(const QByteArray &body, bool mandatory = false, const QString &key = QStringLiteral("key"),
                    const QByteArray &properties = QByteArray(2, '\0'))
    {
        const Engine::Published sequence = channel->publish({}, key, properties, body, mandatory);
        return sequence ? *sequence : 0;
    }
    void publishMany(int count)
    {
        for (int i = 0; i < count; ++i)
            publish(QByteArray::number(i));
        s.takeSent();
    }
    Confirming &returns(const QByteArray &body, const QByteArray &key = "key",
                        const QByteArray &properties = QByteArray(2, '\0'))
    {
        s.broker(Wire::BasicReturn{
            .replyCode = 312, .replyText = "NO_ROUTE", .exchange = "", .routingKey = QByteArrayView(key)});
        s.brokerBytes(contentFrames(1, {.body = body, .properties = properties}));
        return *this;
    }
    Confirming &acks(quint64 tag, bool multiple = false)
    {
        s.broker(Wire::BasicAck{.deliveryTag = tag, .multiple = multiple});
        return *this;
    }
    void reopen()
    {
        const auto opening = *channel->open();
        s.expectSent<Wire::ChannelOpen>().expectSent<Wire::ConfirmSelect>();
        s.broker(Wire::ChannelOpenOk{}).expectReply(opening).expectEvent<Engine::ChannelOpened>();
        s.broker(Wire::ConfirmSelectOk{}).expectEvent<Engine::ReplyArrived>();
    }

    Script s;
    Engine::ChannelEngine *channel = nullptr;
};
