// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/fieldtable.h>

#include <QtCore/qbytearray.h>

#include <optional>

namespace AmqpQt
{

// The decoded properties of the class basic, except for the headers.
struct MessageProperties {
    QString contentType;
    QString contentEncoding;
    QString correlationId;
    QString replyTo;
    QString expiration; // as on the wire; milliseconds if valid
    QString messageId;
    QString type;
    QString userId;
    QString appId;
    QString clusterId;
    std::optional<quint64> timestamp; // seconds since 1970 in UTC
    qint16 priority = -1;             // -1 if absent
    DeliveryMode deliveryMode = DeliveryMode::Transient;

    friend bool operator==(const MessageProperties &, const MessageProperties &) = default;
};

// `encoded` are the flags and the list of a content header.
MessageProperties decodeProperties(QByteArrayView encoded);
FieldTable decodeHeaders(QByteArrayView encoded);                   // empty if they are undecodable
QVariant decodeHeader(QByteArrayView encoded, const QString &name); // works even if other headers are undecodable
// The header table as on the wire, and a description of its error, null if there is none.
QByteArrayView encodedHeaders(QByteArrayView encoded);
const char *checkHeaders(QByteArrayView encoded);

// `encoded` with the properties in `changed` (bits of Wire::PropertyFlag) replaced by those of `values` and `headers`.
// The others stay byte for byte. An InvalidArgument names the property that does not fit.
Result<QByteArray> replaceProperties(QByteArrayView encoded, quint16 changed, const MessageProperties &values,
                                     const FieldTable &headers);

} // namespace AmqpQt
