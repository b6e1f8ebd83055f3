// SPDX-License-Identifier: MIT
#pragma once

#include <AmqpQt/fieldtable.h>

#include <chrono>
#include <optional>

namespace AmqpQt
{

// Plain aggregates for designated initialisers, {.exclusive = true}, with a with…() function for each field for C++17.
// A new field means a new SOVERSION; new broker features arrive as `arguments`, for which there are with…() functions
// too.

struct AMQPQT_EXPORT QueueOptions {
    bool durable = true;
    bool exclusive = false;
    bool autoDelete = false;
    FieldTable arguments = {};

    [[nodiscard]] static QueueOptions
    temporary(); // exclusive, auto-delete, not durable: what RabbitMQ 4.3 still takes for unnamed queues
    [[nodiscard]] static QueueOptions quorum();
    [[nodiscard]] static QueueOptions stream();
    [[nodiscard]] QueueOptions withDurable(bool isDurable = true) const;
    [[nodiscard]] QueueOptions withExclusive(bool isExclusive = true) const;
    [[nodiscard]] QueueOptions withAutoDelete(bool deletes = true) const;
    [[nodiscard]] QueueOptions withArgument(const QString &name, const QVariant &value) const;
    [[nodiscard]] QueueOptions withMessageTtl(std::chrono::milliseconds ttl) const;
    [[nodiscard]] QueueOptions withExpiry(std::chrono::milliseconds unused) const;
    [[nodiscard]] QueueOptions withMaxLength(qint64 messages) const;
    [[nodiscard]] QueueOptions withMaxLengthBytes(qint64 bytes) const;
    [[nodiscard]] QueueOptions
    withOverflow(const QString &behaviour) const; // drop-head, reject-publish, reject-publish-dlx
    [[nodiscard]] QueueOptions withDeadLetter(const QString &exchange, const QString &routingKey = {}) const;
    [[nodiscard]] QueueOptions withMaxPriority(quint8 levels) const;
    [[nodiscard]] QueueOptions withDeliveryLimit(int times) const;
    [[nodiscard]] QueueOptions withSingleActiveConsumer() const;
};

struct AMQPQT_EXPORT ExchangeOptions {
    bool durable = true;
    bool autoDelete = false;
    bool internal = false;
    FieldTable arguments = {};

    [[nodiscard]] ExchangeOptions withDurable(bool isDurable = true) const;
    [[nodiscard]] ExchangeOptions withAutoDelete(bool deletes = true) const;
    [[nodiscard]] ExchangeOptions withInternal(bool isInternal = true) const;
    [[nodiscard]] ExchangeOptions withArgument(const QString &name, const QVariant &value) const;
    [[nodiscard]] ExchangeOptions withAlternate(const QString &exchange) const;
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
    std::optional<quint16> prefetch = {}; // unset: that of Channel::setPrefetch(), or 100
    FieldTable arguments = {};

    [[nodiscard]] ConsumeOptions withConsumerTag(const QString &tag) const;
    [[nodiscard]] ConsumeOptions withAckMode(AckMode mode) const;
    [[nodiscard]] ConsumeOptions withExclusive(bool isExclusive = true) const;
    [[nodiscard]] ConsumeOptions withNoLocal(bool excludesLocal = true) const;
    [[nodiscard]] ConsumeOptions withResubscribe(bool subscribesAgain = true) const;
    [[nodiscard]] ConsumeOptions withPrefetch(quint16 count) const;
    [[nodiscard]] ConsumeOptions withArgument(const QString &name, const QVariant &value) const;
    [[nodiscard]] ConsumeOptions withPriority(int priority) const;
    [[nodiscard]] ConsumeOptions
    withStreamOffset(const QVariant &offset) const; // "first" "last" "next", a number, a QDateTime, "1h"
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
