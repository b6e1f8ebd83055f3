// SPDX-License-Identifier: MIT
#pragma once

#include "client/connection/mailbox_p.h"
#include "client/lazy_p.h"
#include "client/message/messageproperties_p.h"
#include "wire/contentheader_p.h"

#include <AmqpQt/message.h>

#include <cstring>
#include <memory>

namespace AmqpQt
{

// The data common to consecutive deliveries of one consumer, shared so that a steady stream creates no new strings.
class DeliveryOrigin : public QSharedData
{
public:
    QString exchange;
    QString routingKey;
    QByteArray exchangeBytes; // as on the wire, for comparison with the next delivery
    QByteArray routingKeyBytes;
    QString consumerTag; // empty for basic.get
    quint64 incarnation = 0;
    quint64 channelSerial = 0; // of the Channel object
    quint16 channelNumber = 0;
    bool noAck = false;
    std::shared_ptr<Mailbox> mailbox; // null if there is nothing to settle, as in a returned message
};

struct DecodedProperties {
    MessageProperties values;
    Lazy<QByteArray> encoded; // of a changed message
};

// The properties are kept as the bytes of a content header; setters record the changes.
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
    const char *undecodableHeaders() const // returns the error, or null if there is none
    {
        return changed & Wire::HeadersFlag ? nullptr : checkHeaders(properties);
    }
    void setBody(QByteArrayView bytes);         // copies the bytes
    const QByteArray *encodedProperties() const // returns null if a change is not encoded yet
    {
        if (!changed)
            return &properties;
        const DecodedProperties *present = decoded.get();
        return present ? present->encoded.get() : nullptr;
    }

    bool redelivered = false;
    quint16 changed = 0; // bits of Wire::PropertyFlag; set bits are in the decoded values, others in `properties`
    quint64 deliveryTag = 0;
    QByteArray body;
    QByteArray properties; // flags and list, as in Wire::ContentHeader::properties
    QExplicitlySharedDataPointer<const DeliveryOrigin> origin;
    Lazy<DecodedProperties> decoded;
    Lazy<FieldTable> decodedHeaders;

private:
    const DecodedProperties &decodeNow() const;
};

// Returns whether these bytes have no other owner and may be overwritten. QByteArray::isDetached() reads the
// reference count without ordering. It may see that another thread has released its copy, and yet the write may
// happen before that thread's last read. An acquiring load is ordered after the release of the copy, and costs
// nothing on x86.
inline bool isSoleOwner(const QByteArray &bytes)
{
    const auto *data = const_cast<QByteArray &>(bytes).data_ptr().d_ptr(); // null for literals, which have no owner
    return data && data->ref_.loadAcquire() == 1;
}

class MessageAccess
{
public:
    static Message makeDelivered(QByteArray body, QByteArray properties,
                                 QExplicitlySharedDataPointer<const DeliveryOrigin> origin, quint64 deliveryTag,
                                 bool redelivered);
    // Turns `message` into the next delivery if it has the same properties and no other owner.
    static bool reuseForDelivery(Message &message, QByteArrayView body, const QByteArray &properties,
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
    static const MessagePrivate *data(const Message &message) { return message.d.constData(); } // null if unset
    static const DeliveryOrigin *origin(const Message &message); // null if created by the application

    // Returns the properties for publishing, as received byte for byte or with the application's changes. Returns null
    // and sets *error if the changes cannot be encoded. The message owns the bytes.
    static const QByteArray *encodedProperties(const Message &message, Error *error);
    static const QByteArray &body(const Message &message);
};

} // namespace AmqpQt
