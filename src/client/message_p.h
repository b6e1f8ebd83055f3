// SPDX-License-Identifier: MIT
#pragma once

#include "client/lazy_p.h"
#include "client/mailbox_p.h"
#include "client/messageproperties_p.h"
#include "wire/contentheader_p.h"

#include <AmqpQt/message.h>

#include <cstring>
#include <memory>

namespace AmqpQt
{

// What consecutive deliveries of one consumer have in common, shared so that a steady stream makes no new strings.
class DeliveryOrigin : public QSharedData
{
public:
    QString exchange;
    QString routingKey;
    QByteArray exchangeBytes; // as on the wire: what the next delivery is compared with
    QByteArray routingKeyBytes;
    QString consumerTag; // empty: from basic.get
    quint64 incarnation = 0;
    quint64 channelSerial = 0; // of the Channel object
    quint16 channelNumber = 0;
    bool noAck = false;
    std::shared_ptr<Mailbox> mailbox; // null: there is nothing to settle, as in a returned message
};

struct DecodedProperties {
    MessageProperties values;
    Lazy<QByteArray> encoded; // of a changed message
};

// The properties are kept as the bytes of a content header; setters record what differs from them.
class MessagePrivate : public QSharedData
{
public:
    MessagePrivate();
    MessagePrivate(QByteArray content, QByteArray encoded)
        : body(std::move(content))
        , properties(std::move(encoded))
    {
    }

    const DecodedProperties &decodedProperties() const
    {
        const DecodedProperties *present = decoded.get();
        return present ? *present : decodeNow();
    }
    const MessageProperties &values() const { return decodedProperties().values; }
    const FieldTable &headers() const;
    QVariant header(const QString &name, const QVariant &fallback) const;
    const char *undecodableHeaders() const // what is wrong with them; null: nothing
    {
        return changed & Wire::HeadersFlag ? nullptr : checkHeaders(properties);
    }
    void setBody(QByteArrayView bytes);         // a copy of them
    const QByteArray *encodedProperties() const // null: a change is still to be encoded
    {
        if (!changed)
            return &properties;
        const DecodedProperties *present = decoded.get();
        return present ? present->encoded.get() : nullptr;
    }

    bool redelivered = false;
    quint16 changed = 0; // bits of Wire::PropertyFlag: these are in the decoded values, the others in `properties`
    quint64 deliveryTag = 0;
    QByteArray body;
    QByteArray properties; // flags and list, as in Wire::ContentHeader::properties
    QExplicitlySharedDataPointer<const DeliveryOrigin> origin;
    Lazy<DecodedProperties> decoded;
    Lazy<FieldTable> decodedHeaders;

private:
    const DecodedProperties &decodeNow() const;
};

// Whether these bytes have no other owner, so that they may be overwritten. QByteArray::isDetached() reads the
// reference count without ordering: it may see that another thread has released its copy, and yet the write may happen
// before that thread's last read. An acquiring load is ordered after the release of the copy, and costs nothing on x86.
inline bool isSoleOwner(const QByteArray &bytes)
{
    const auto *data = const_cast<QByteArray &>(bytes).data_ptr().d_ptr(); // null: literals, which are nobody's
    return data && data->ref_.loadAcquire() == 1;
}

class MessageAccess
{
public:
    static Message makeDelivered(QByteArray body, QByteArray properties,
                                 QExplicitlySharedDataPointer<const DeliveryOrigin> origin, quint64 deliveryTag,
                                 bool redelivered);
    // Makes `message` another delivery if it has the same properties and nobody else has it.
    static bool remakeDelivered(Message &message, QByteArrayView body, const QByteArray &properties,
                                const QExplicitlySharedDataPointer<const DeliveryOrigin> &origin, quint64 deliveryTag,
                                bool redelivered)
    {
        const MessagePrivate *present = message.d.constData();
        if (!present || present->ref.loadAcquire() != 1 ||
            (!present->properties.isSharedWith(properties) && present->properties != properties))
            return false;
        auto *d = const_cast<MessagePrivate *>(present);
        if (d->origin != origin) // consumers take turns
            d->origin = origin;
        if (d->body.size() == body.size() && isSoleOwner(d->body))
            std::memcpy(const_cast<char *>(d->body.constData()), body.data(), size_t(body.size()));
        else
            d->setBody(body);
        d->deliveryTag = deliveryTag;
        d->redelivered = redelivered;
        return true;
    }
    static const MessagePrivate *data(const Message &message) { return message.d.constData(); } // null: nothing was set
    static const DeliveryOrigin *origin(const Message &message); // null: made by the application

    // For publishing: what was received, byte for byte, or with the application's changes. Null, and the reason in
    // *error, if these do not fit. It is the message's.
    static const QByteArray *encodedProperties(const Message &message, Error *error);
    static const QByteArray &body(const Message &message);
};

} // namespace AmqpQt
