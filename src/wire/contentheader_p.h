// SPDX-License-Identifier: MIT
#pragma once

#include "wire/codec_p.h"

#include <QtCore/qbytearray.h>

// Content headers (AMQP 0-9-1 section 4.2.6.1) and the 14 properties of the class basic.
namespace AmqpQt::Wire
{

// Bits of the property flags.
enum PropertyFlag : quint16 {
    ContentTypeFlag = 1 << 15,
    ContentEncodingFlag = 1 << 14,
    HeadersFlag = 1 << 13,
    DeliveryModeFlag = 1 << 12,
    PriorityFlag = 1 << 11,
    CorrelationIdFlag = 1 << 10,
    ReplyToFlag = 1 << 9,
    ExpirationFlag = 1 << 8,
    MessageIdFlag = 1 << 7,
    TimestampFlag = 1 << 6,
    TypeFlag = 1 << 5,
    UserIdFlag = 1 << 4,
    AppIdFlag = 1 << 3,
    ClusterIdFlag = 1 << 2,
};

// A view. `flags` has the properties that are present; the others are empty or zero. A publisher can put anything into
// the headers, so call checkTable() before decoding received ones.
struct BasicProperties {
    quint16 flags = 0;
    ShortString contentType;
    ShortString contentEncoding;
    Table headers;
    quint8 deliveryMode = 0;
    quint8 priority = 0;
    ShortString correlationId;
    ShortString replyTo;
    ShortString expiration;
    ShortString messageId;
    quint64 timestamp = 0; // seconds since 1970 in UTC
    ShortString type;
    ShortString userId;
    ShortString appId;
    ShortString clusterId;

    bool has(PropertyFlag flag) const noexcept { return flags & flag; }

    // Visits the properties that are present.
    template <typename Self, typename Visitor>
    static void fields(Self &self, Visitor &visitor)
    {
        const auto visit = [&](PropertyFlag flag, const char *name, auto &value) {
            if (self.has(flag))
                visitor(name, value);
        };
        visit(ContentTypeFlag, "content-type", self.contentType);
        visit(ContentEncodingFlag, "content-encoding", self.contentEncoding);
        visit(HeadersFlag, "headers", self.headers);
        visit(DeliveryModeFlag, "delivery-mode", self.deliveryMode);
        visit(PriorityFlag, "priority", self.priority);
        visit(CorrelationIdFlag, "correlation-id", self.correlationId);
        visit(ReplyToFlag, "reply-to", self.replyTo);
        visit(ExpirationFlag, "expiration", self.expiration);
        visit(MessageIdFlag, "message-id", self.messageId);
        visit(TimestampFlag, "timestamp", self.timestamp);
        visit(TypeFlag, "type", self.type);
        visit(UserIdFlag, "user-id", self.userId);
        visit(AppIdFlag, "app-id", self.appId);
        visit(ClusterIdFlag, "cluster-id", self.clusterId);
    }
};

struct ContentHeader {
    quint16 classId = 0;
    quint64 bodySize = 0;
    QByteArrayView properties; // flags and list as on the wire, for decodeProperties() and for forwarding unchanged
    const char *undecodable = nullptr; // the error in the properties or their headers; null if there is none
};

inline constexpr qsizetype ContentHeaderPrefix = 12; // class-id, weight and body size, before `properties`

// Decodes the payload of a header frame. Returns false if it is too short. ContentHeader::undecodable reports errors
// that a publisher can cause.
bool decodeContentHeader(QByteArrayView payload, ContentHeader &header) noexcept;

// `properties` as in ContentHeader::properties. Returns null if the list is well-formed, regardless of the headers'
// contents. Otherwise returns the error, and `values` has the properties before it.
const char *decodeProperties(QByteArrayView properties, BasicProperties &values) noexcept;

// Encodes flags and list, with the values whose flag is set.
QByteArray encodeProperties(const BasicProperties &values);

// `at` must have ContentHeaderPrefix writable bytes; returns the place of the properties.
char *writeContentHeaderPrefix(char *at, quint16 classId, quint64 bodySize) noexcept;

} // namespace AmqpQt::Wire
