// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/fieldtable.h>

#include <QtCore/qbytearray.h>

#include <optional>

namespace AmqpQt
{

// The properties of the class basic but for the headers, as values.
struct MessageProperties {
    QString contentType;
    QString contentEncoding;
    QString correlationId;
    QString replyTo;
    QString expiration; // the text on the wire: milliseconds, if the sender kept to the rules
    QString messageId;
    QString type;
    QString userId;
    QString appId;
    QString clusterId;
    std::optional<quint64> timestamp; // seconds since 1970 in UTC
    qint16 priority = -1;             // -1: absent
    DeliveryMode deliveryMode = DeliveryMode::Transient;

    friend bool operator==(const MessageProperties &, const MessageProperties &) = default;
};

// `encoded` are the flags and the list of a content header.
MessageProperties decodeProperties(QByteArrayView encoded);
FieldTable decodeHeaders(QByteArrayView encoded);                   // empty if they are undecodable
QVariant decodeHeader(QByteArrayView encoded, const QString &name); // one of them, even if others are undecodable
// The table of headers as it stands on the wire, and what is wrong with it; null: nothing.
QByteArrayView encodedHeaders(QByteArrayView encoded);
const char *checkHeaders(QByteArrayView encoded);

// `encoded` with the properties in `changed` (bits of Wire::PropertyFlag) replaced by those of `values` and `headers`.
// The others stay byte for byte. An InvalidArgument names the property that does not fit.
Result<QByteArray> replaceProperties(QByteArrayView encoded, quint16 changed, const MessageProperties &values,
                                     const FieldTable &headers);

} // namespace AmqpQt
