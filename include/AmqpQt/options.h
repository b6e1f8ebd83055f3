// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/fieldtable.h>

#include <chrono>
#include <optional>

namespace AmqpQt
{

// Plain aggregates for designated initialisers, {.exclusive = true}. A new field means a new SOVERSION; new broker
// features arrive as `arguments`, for which the with…() helpers exist.

struct AMQPQT_EXPORT QueueOptions {
    bool durable = true;
    bool exclusive = false;
    bool autoDelete = false;
    FieldTable arguments = {};

    static QueueOptions
    temporary(); // exclusive, auto-delete, not durable: what RabbitMQ 4.3 still takes for unnamed queues
    static QueueOptions quorum();
    static QueueOptions stream();
    QueueOptions withMessageTtl(std::chrono::milliseconds ttl) const;
    QueueOptions withExpiry(std::chrono::milliseconds unused) const;
    QueueOptions withMaxLength(qint64 messages) const;
    QueueOptions withMaxLengthBytes(qint64 bytes) const;
    QueueOptions withOverflow(const QString &behaviour) const; // drop-head, reject-publish, reject-publish-dlx
    QueueOptions withDeadLetter(const QString &exchange, const QString &routingKey = {}) const;
    QueueOptions withMaxPriority(quint8 levels) const;
    QueueOptions withDeliveryLimit(int times) const;
    QueueOptions withSingleActiveConsumer() const;
};

struct AMQPQT_EXPORT ExchangeOptions {
    bool durable = true;
    bool autoDelete = false;
    bool internal = false;
    FieldTable arguments = {};

    ExchangeOptions withAlternate(const QString &exchange) const;
};

namespace ExchangeType
{ // any other name (plug-ins) is a plain QString too
inline constexpr QLatin1String Direct{"direct"}, Fanout{"fanout"}, Topic{"topic"}, Headers{"headers"};
}

struct AMQPQT_EXPORT ConsumeOptions {
    QString consumerTag = {}; // empty: made by the library, never by the broker
    AckMode ackMode = AckMode::Manual;
    bool exclusive = false;
    bool noLocal = false;
    bool resubscribe = false;             // when the broker cancels it: wait for the queue, then subscribe again
    std::optional<quint16> prefetch = {}; // unset: the channel's
    FieldTable arguments = {};

    ConsumeOptions withPriority(int priority) const;
    ConsumeOptions withStreamOffset(const QVariant &offset) const; // "first" "last" "next", a number, a QDateTime, "1h"
};

class AMQPQT_EXPORT QueueInfo // queue.declare-ok
{
    Q_GADGET
    Q_PROPERTY(QString name MEMBER name CONSTANT)
    Q_PROPERTY(double messageCount MEMBER messageCount CONSTANT)
    Q_PROPERTY(double consumerCount MEMBER consumerCount CONSTANT)
public:
    QString name;
    quint32 messageCount = 0;
    quint32 consumerCount = 0;
};

} // namespace AmqpQt
