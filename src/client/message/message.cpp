// SPDX-License-Identifier: MIT
#include "client/message/message_p.h"

#include "base/logging_p.h"
#include "base/utctime_p.h"
#include "wire/contentheader_p.h"
#include "wire/fieldtable_p.h"

#include <QtCore/qdebug.h>

#include <limits>

using namespace Qt::StringLiterals;

namespace AmqpQt
{

/*!
    \class AmqpQt::Message
    \inheaderfile AmqpQt/Message
    \inmodule AmqpQt
    \since 0.1
    \brief A message: its body, its properties and, if it came from the broker, its envelope.

    A Message is a value. It is implicitly shared, so it is cheap to copy, to store in models and to send through queued
    signals. Copies may be read and settled in any thread; a single object must not be used in several threads at the
    same time, as with any Qt value class.

    \section1 Content

    The body consists of bytes. text(), json() and jsonDocument() decode them, and fromText() and fromJson() create a
    message from text or JSON. The properties are the 14 properties of the class \c basic in AMQP 0-9-1. An empty string
    means that the property is absent. Properties are decoded when one of them is read for the first time; the headers
    are decoded separately.

    The publishing call reports unsendable values as ErrorKind::InvalidArgument with the name of the property: a string
    over 255 bytes of UTF-8, a value in the headers that has no AMQP type, and a value for which RabbitMQ would close
    the channel, see Channel::publish(). A setter rejects a number or a time out of range with a warning in the category
    \c amqpqt.channel, and keeps the old value.

    New messages are \e persistent, because a default must not lose data; setPersistent(\c false) makes them faster. A
    message from the broker has the delivery mode that was sent, and is transient if none was sent.

    \section1 Text

    The string properties, the header names and the routing key of a received message may hold any bytes, such as the 16
    bytes of a UUID in correlationId(). The QString keeps all of them, see textFromBytes(). So a property can be copied
    to another message, as in \c{reply.setCorrelationId(request.correlationId())}, and a message can be published with
    the routing key that it came with. textToBytes() returns the bytes, and
    \c{setCorrelationId(textFromBytes(uuid.toRfc4122()))} sets them.

    \section1 Envelope

    A message that was delivered, fetched or returned also knows its exchange and routing key, and a delivered or
    fetched one its consumer, channel and delivery tag. Setters change the content only: a changed copy has the same
    envelope, and all copies settle the same delivery. A received message is forwarded byte for byte, each property and
    the table of headers alike, except for those that a setter has changed.

    \section1 Settling

    ack() and nack() go back to the channel that the message came from, in any thread and at any time. If the message is
    already settled, the channel has been closed and reopened, or the channel or connection is gone, nothing is sent and
    the error is StaleDelivery; RabbitMQ would otherwise close the channel with 406. The Channel object that the message
    came through reports the error, even if another channel has the same number by then. If this object has been
    deleted, the Connection reports the error; if the connection has been deleted too, a warning is logged.

    \code
    connect(consumer, &AmqpQt::Consumer::delivered, this, [this](const AmqpQt::Message &message) {
        if (store(message.json(u"order.id"_s)))
            message.ack();
        else
            message.nack(AmqpQt::Requeue::No);
    });
    \endcode

    \sa Channel::publish(), Consumer::delivered()
*/

namespace
{

// Also handles messages without data, that is, default-constructed or moved-from ones.
const MessagePrivate &read(const QSharedDataPointer<MessagePrivate> &d)
{
    if (d)
        return *d;
    static const auto *const empty =
        new MessagePrivate; // never destroyed, since a message may outlive static destructors
    return *empty;
}

MessagePrivate &write(QSharedDataPointer<MessagePrivate> &d)
{
    if (!d)
        d = new MessagePrivate;
    MessagePrivate &message = *d; // detaches
    // QSharedDataPointer reads the count without ordering. If another thread has released the last copy, its reads have
    // to happen before the writes here.
    (void)message.ref.loadAcquire();
    return message;
}

MessagePrivate &change(QSharedDataPointer<MessagePrivate> &d, Wire::PropertyFlag property)
{
    MessagePrivate &message = write(d);
    message.decodedProperties();
    message.decoded.edit()->encoded.reset();
    message.changed |= property;
    return message;
}

MessageProperties &changeValue(QSharedDataPointer<MessagePrivate> &d, Wire::PropertyFlag property)
{
    return change(d, property).decoded.edit()->values;
}

quint64 integer(const QVariant &value)
{
    switch (value.typeId()) {
    case QMetaType::SChar:
    case QMetaType::UChar:
    case QMetaType::Short:
    case QMetaType::UShort:
    case QMetaType::Int:
    case QMetaType::UInt:
    case QMetaType::LongLong:
        return quint64(qMax(0LL, value.toLongLong()));
    default:
        return 0;
    }
}

bool isSame(const FieldTable &a, const FieldTable &b)
{
    // Comparing recurses as deep as the tables are nested, as encoding does. Only the application can nest them too
    // deeply.
    if (Wire::isNestedTooDeeply(a) || Wire::isNestedTooDeeply(b))
        return a.isSharedWith(b);
    if (a != b)
        return false;
    // QVariant treats a bool, an int and a double of equal value as equal, but on the wire they differ.
    const auto first = Wire::encodeTable(a, u"headers");
    const auto second = Wire::encodeTable(b, u"headers");
    return !first || !second || *first == *second;
}

bool hasSameHeaders(const MessagePrivate &a, const MessagePrivate &b)
{
    const bool isUndecoded = a.undecodableHeaders();
    if (isUndecoded != bool(b.undecodableHeaders()))
        return false;
    return isUndecoded ? encodedHeaders(a.properties) == encodedHeaders(b.properties)
                       : isSame(a.headers(), b.headers());
}

bool isSame(const DeliveryOrigin *a, const DeliveryOrigin *b)
{
    if (a == b || !a || !b)
        return a == b;
    return a->exchange == b->exchange && a->routingKey == b->routingKey && a->consumerTag == b->consumerTag &&
           a->incarnation == b->incarnation && a->channelNumber == b->channelNumber && a->mailbox == b->mailbox;
}

Settlement settlementOf(const MessagePrivate &message, Settlement::Kind kind)
{
    const DeliveryOrigin &origin = *message.origin;
    return {.incarnation = origin.incarnation,
            .deliveryTag = message.deliveryTag,
            .channelNumber = origin.channelNumber,
            .kind = kind,
            .noAck = origin.noAck,
            .channelSerial = origin.channelSerial};
}

void settle(const MessagePrivate &message, Settlement::Kind kind)
{
    if (!message.origin || !message.origin->mailbox || message.deliveryTag == 0) {
        qCWarning(lcChannel, "a message that was not delivered by a broker cannot be settled");
        return;
    }
    message.origin->mailbox->settle(settlementOf(message, kind)); // afterwards the message may have been destroyed
}

} // namespace

MessagePrivate::MessagePrivate()
    : properties(QByteArrayLiteral("\x10\x00\x02")) // the flag of delivery-mode and its value 2 (persistent)
{
}

const DecodedProperties &MessagePrivate::decodeNow() const
{
    return decoded.publish({.values = decodeProperties(properties), .encoded = {}});
}

const FieldTable &MessagePrivate::headers() const
{
    const FieldTable *present = decodedHeaders.get();
    return present ? *present : decodedHeaders.publish(decodeHeaders(properties));
}

QVariant MessagePrivate::header(const QString &name, const QVariant &fallback) const
{
    if (const auto found = headers().constFind(name); found != headers().cend())
        return *found;
    const QVariant found = headers().isEmpty() && undecodableHeaders() ? decodeHeader(properties, name) : QVariant();
    return found.isValid() ? found : fallback;
}

void MessagePrivate::setBody(QByteArrayView bytes)
{
    body = bytes.toByteArray();
}

Message MessageAccess::makeDelivered(QByteArray body, QByteArray properties,
                                     QExplicitlySharedDataPointer<const DeliveryOrigin> origin, quint64 deliveryTag,
                                     bool redelivered)
{
    auto *d = new MessagePrivate(std::move(body), std::move(properties));
    d->origin = std::move(origin);
    d->deliveryTag = deliveryTag;
    d->redelivered = redelivered;
    d->ref.storeRelaxed(1); // not shared yet; this saves an atomic increment per delivery
    Message message;
    message.d = QSharedDataPointer(d, QAdoptSharedDataTag());
    return message;
}

const DeliveryOrigin *MessageAccess::origin(const Message &message)
{
    return read(message.d).origin.constData();
}

const QByteArray *MessageAccess::encodedProperties(const Message &message, Error *error)
{
    const MessagePrivate &d = read(message.d);
    if (const QByteArray *encoded = d.encodedProperties())
        return encoded;
    const DecodedProperties &decoded = d.decodedProperties();
    const FieldTable headers = d.changed & Wire::HeadersFlag ? d.headers() : FieldTable();
    auto encoded = replaceProperties(d.properties, d.changed, decoded.values, headers);
    if (!encoded) {
        *error = encoded.error();
        return nullptr;
    }
    return &decoded.encoded.publish(*std::move(encoded));
}

const QByteArray &MessageAccess::body(const Message &message)
{
    return read(message.d).body;
}

/*!
    Constructs a persistent message with an empty body and no other properties.
*/
Message::Message() = default;

/*!
    Constructs a persistent message with \a body and no other properties.
*/
Message::Message(QByteArray body)
    : Message()
{
    write(d).body = std::move(body);
}

/*!
    Constructs a persistent message with \a body, whose MIME type is \a contentType.
*/
Message::Message(QByteArray body, const QString &contentType)
    : Message(std::move(body))
{
    setContentType(contentType);
}

/*! Constructs a copy of \a other; of a delivered message, with the same envelope. */
Message::Message(const Message &other) noexcept = default;

/*! Moves \a other, which is an empty message afterwards. */
Message::Message(Message &&other) noexcept = default;

/*! Makes this message a copy of \a other. */
Message &Message::operator=(const Message &other) noexcept = default;

/*!
    Destroys the message. A delivery that was never settled stays unacknowledged: the broker delivers it again when its
    channel is closed.
*/
Message::~Message() = default;

/*!
    \fn void AmqpQt::Message::swap(AmqpQt::Message &other)

    Swaps this message with \a other.
*/

/*!
    \property AmqpQt::Message::body
    \brief the bytes of the message; there may be none.
*/
QByteArray Message::body() const
{
    const QByteArray &body = read(d).body;
    return body.isNull() ? QByteArrayLiteral("") : body; // QML treats null bytes as a detached ArrayBuffer
}

void Message::setBody(const QByteArray &body)
{
    write(d).body = body;
}

/*!
    \property AmqpQt::Message::contentType
    \brief the MIME type of the body; empty if absent.
*/
QString Message::contentType() const
{
    return read(d).values().contentType;
}

void Message::setContentType(const QString &type)
{
    changeValue(d, Wire::ContentTypeFlag).contentType = type;
}

/*!
    \property AmqpQt::Message::contentEncoding
    \brief the encoding of the body, a character encoding or a compression; empty if absent.

    The library does not encode the body; text() and jsonDocument() use this property to decode it.
*/
QString Message::contentEncoding() const
{
    return read(d).values().contentEncoding;
}

void Message::setContentEncoding(const QString &encoding)
{
    changeValue(d, Wire::ContentEncodingFlag).contentEncoding = encoding;
}

/*!
    \property AmqpQt::Message::headers
    \brief the application's table of headers, which a headers exchange also uses for routing.

    The type of each value selects its type on the wire, see FieldTable; a value without one, NaN and infinities are
    reported when the message is published. An empty table is absent on the wire. The table of a received message is
    decoded on first use, and forwarded byte for byte if no header is set. If it cannot be decoded this property is
    empty, see hasUndecodedHeaders().
*/
FieldTable Message::headers() const
{
    return read(d).headers();
}

void Message::setHeaders(const FieldTable &headers)
{
    change(d, Wire::HeadersFlag).decodedHeaders.set(headers);
}

/*!
    Returns the header \a name, or \a fallback if there is none.
*/
QVariant Message::header(const QString &name, const QVariant &fallback) const
{
    return read(d).header(name, fallback);
}

/*!
    Returns whether the message came with headers that cannot be decoded, since they are nested more than 32 levels
    deep, truncated or of an unknown type. Any publisher can send such headers. headers() is empty in this case, and a
    warning in the category \c amqpqt.channel has the reason, at most once a minute for each connection. header() still
    finds headers that are well-formed themselves. The message can be settled as any other, and is forwarded byte for
    byte.
*/
bool Message::hasUndecodedHeaders() const
{
    return read(d).undecodableHeaders();
}

/*!
    Sets the header \a name to \a value and leaves the others. An invalid QVariant is sent as a header without a value;
    setHeaders() removes one. Headers that could not be decoded stay as they are, and a warning is logged.
*/
void Message::setHeader(const QString &name, const QVariant &value)
{
    if (const char *wrong = read(d).undecodableHeaders()) {
        qCWarning(lcChannel).nospace() << "header " << name << " cannot be set because the received headers cannot be "
                                       << "decoded (" << wrong << "); setHeaders() replaces them";
        return;
    }
    MessagePrivate &message = change(d, Wire::HeadersFlag);
    message.headers(); // decodes them
    message.decodedHeaders.edit()->insert(name, value);
}

/*!
    Returns whether a broker keeps the message on disk in a durable queue, so that it survives a restart. New messages
    are DeliveryMode::Persistent, received ones without a delivery mode are DeliveryMode::Transient.
*/
DeliveryMode Message::deliveryMode() const
{
    return read(d).values().deliveryMode;
}

/*!
    Sets the delivery mode to \a mode.
*/
void Message::setDeliveryMode(DeliveryMode mode)
{
    changeValue(d, Wire::DeliveryModeFlag).deliveryMode = mode;
}

/*!
    \property AmqpQt::Message::persistent
    \brief whether deliveryMode() is DeliveryMode::Persistent, as it is in a new message.
*/
bool Message::isPersistent() const
{
    return deliveryMode() == DeliveryMode::Persistent;
}

void Message::setPersistent(bool persistent)
{
    setDeliveryMode(persistent ? DeliveryMode::Persistent : DeliveryMode::Transient);
}

/*!
    \property AmqpQt::Message::priority
    \brief 0 to 255 in queues with \c x-max-priority, where a higher one is delivered first; -1 if absent.
*/
int Message::priority() const
{
    return read(d).values().priority;
}

void Message::setPriority(int priority)
{
    if (priority < -1 || priority > std::numeric_limits<quint8>::max()) {
        qCWarning(lcChannel, "priority: %d is out of range; the range is 0 to 255, or -1 for none", priority);
        return;
    }
    changeValue(d, Wire::PriorityFlag).priority = qint16(priority);
}

/*!
    \property AmqpQt::Message::correlationId
    \brief an identifier shared by a request and its reply; empty if absent.
*/
QString Message::correlationId() const
{
    return read(d).values().correlationId;
}

void Message::setCorrelationId(const QString &id)
{
    changeValue(d, Wire::CorrelationIdFlag).correlationId = id;
}

/*!
    \property AmqpQt::Message::replyTo
    \brief the queue where the sender waits for a reply; empty if absent.
*/
QString Message::replyTo() const
{
    return read(d).values().replyTo;
}

void Message::setReplyTo(const QString &queue)
{
    changeValue(d, Wire::ReplyToFlag).replyTo = queue;
}

/*!
    Returns how long the message may wait in a queue before the broker drops or dead-letters it, or nothing if it is not
    limited or not given as a whole number of milliseconds.
*/
std::optional<std::chrono::milliseconds> Message::expiration() const
{
    bool isNumber = false;
    const qint64 milliseconds = read(d).values().expiration.toLongLong(&isNumber);
    if (!isNumber || milliseconds < 0)
        return std::nullopt;
    return std::chrono::milliseconds(milliseconds);
}

/*!
    Limits the time that the message may wait in a queue to \a ttl, from 0, which means that it is delivered at once or
    not at all; std::nullopt lifts the limit. A negative time is rejected with a warning, more than ten years
    (315360000000 ms, RabbitMQ's limit) when the message is published.
*/
void Message::setExpiration(std::optional<std::chrono::milliseconds> ttl)
{
    if (ttl && ttl->count() < 0) {
        qCWarning(lcChannel) << "expiration:" << qint64(ttl->count()) << "ms is out of range; the minimum is 0 ms";
        return;
    }
    changeValue(d, Wire::ExpirationFlag).expiration = ttl ? QString::number(ttl->count()) : QString();
}

/*!
    \property AmqpQt::Message::messageId
    \brief the application's identifier for this message; empty if absent.
*/
QString Message::messageId() const
{
    return read(d).values().messageId;
}

void Message::setMessageId(const QString &id)
{
    changeValue(d, Wire::MessageIdFlag).messageId = id;
}

/*!
    \property AmqpQt::Message::timestamp
    \brief the time set by the sender, in UTC and whole seconds; invalid if absent.

    Fractions of a second are cut off. A time before 1970 cannot be sent and is rejected with a warning.
*/
QDateTime Message::timestamp() const
{
    const std::optional<quint64> seconds = read(d).values().timestamp;
    if (!seconds || *seconds > quint64(std::numeric_limits<qint64>::max() / 1000)) // QDateTime counts milliseconds
        return {};
    return utcFromSeconds(qint64(*seconds));
}

void Message::setTimestamp(const QDateTime &timestamp)
{
    if (timestamp.isValid() && timestamp.toMSecsSinceEpoch() < 0) {
        qCWarning(lcChannel) << "timestamp:" << timestamp << "is out of range; the minimum is the beginning of 1970";
        return;
    }
    std::optional<quint64> &seconds = changeValue(d, Wire::TimestampFlag).timestamp;
    seconds.reset();
    if (timestamp.isValid())
        seconds = quint64(timestamp.toSecsSinceEpoch());
}

/*!
    \property AmqpQt::Message::type
    \brief the application's name for this kind of message; empty if absent.
*/
QString Message::type() const
{
    return read(d).values().type;
}

void Message::setType(const QString &type)
{
    changeValue(d, Wire::TypeFlag).type = type;
}

/*!
    \property AmqpQt::Message::userId
    \brief the user who published the message; empty if absent.

    RabbitMQ closes the channel with 406 if it differs from the user of the connection, so publishing rejects other
    names; see ConnectionParameters::setChecksUserId().
*/
QString Message::userId() const
{
    return read(d).values().userId;
}

void Message::setUserId(const QString &id)
{
    changeValue(d, Wire::UserIdFlag).userId = id;
}

/*!
    \property AmqpQt::Message::clusterId
    \brief a property that AMQP 0-9-1 reserves; empty if absent.
*/
QString Message::clusterId() const
{
    return read(d).values().clusterId;
}

void Message::setClusterId(const QString &id)
{
    changeValue(d, Wire::ClusterIdFlag).clusterId = id;
}

/*!
    \property AmqpQt::Message::appId
    \brief the application that published the message; empty if absent.
*/
QString Message::appId() const
{
    return read(d).values().appId;
}

void Message::setAppId(const QString &id)
{
    changeValue(d, Wire::AppIdFlag).appId = id;
}

/*!
    Acknowledges this delivery (\c basic.ack); the broker then discards the message.

    May be called in any thread. In the thread of the connection it takes effect at once; calls of other threads are
    collected and wake that thread once per batch. If the call is too late, nothing is sent, see \l {Settling}. If the
    message is not a delivery, the call only logs a warning; if it needs no settling (AckMode::NoAck), the channel
    reports ErrorKind::InvalidArgument.

    \sa nack(), Channel::ack(), Channel::ackUpTo()
*/
void Message::ack() const
{
    settle(read(d), Settlement::Kind::Ack);
}

/*!
    Rejects this delivery (\c basic.nack). If \a requeue is Requeue::Yes, the message goes back to the queue; with
    Requeue::No it is dead-lettered or dropped.

    Like ack(), this function may be called in any thread.

    \sa ack(), Channel::nack(), deliveryCount()
*/
void Message::nack(Requeue requeue) const
{
    settle(read(d), requeue == Requeue::Yes ? Settlement::Kind::NackRequeue : Settlement::Kind::NackDiscard);
}

/*!
    Returns whether this message was delivered to a consumer or fetched by Channel::get(), and thus can be settled. It
    is \c false for a message that the application created and for one that the broker returned as unroutable.
*/
bool Message::isDelivered() const
{
    const MessagePrivate &message = read(d);
    return message.origin && message.deliveryTag != 0;
}

/*!
    Returns whether this message is a delivery that can still be acknowledged or rejected: it needs an acknowledgement,
    has not been settled, and its channel has neither been closed nor lost its connection since. After a recovery, the
    broker delivers such messages again, so work that would only be acknowledged in vain may be skipped.

    Only the thread of the connection knows which deliveries have been settled and which channels have been closed. In
    other threads, this function returns \c false only after the connection has been lost or deleted.

    \since 0.1
    \sa ack(), nack()
*/
bool Message::canSettle() const
{
    const MessagePrivate &message = read(d);
    return message.origin && message.origin->mailbox && message.deliveryTag != 0 && !message.origin->noAck &&
           message.origin->mailbox->canSettle(settlementOf(message, Settlement::Kind::Ack));
}

/*!
    \property AmqpQt::Message::exchange
    \brief the exchange that the message was published to; empty for the default exchange and without an envelope.
*/
QString Message::exchange() const
{
    const DeliveryOrigin *origin = MessageAccess::origin(*this);
    return origin ? origin->exchange : QString();
}

/*!
    \property AmqpQt::Message::routingKey
    \brief the routing key that the message was published with; empty without an envelope.
*/
QString Message::routingKey() const
{
    const DeliveryOrigin *origin = MessageAccess::origin(*this);
    return origin ? origin->routingKey : QString();
}

/*!
    \property AmqpQt::Message::consumerTag
    \brief the consumer that the message was delivered to; empty for Channel::get() and without an envelope.
*/
QString Message::consumerTag() const
{
    const DeliveryOrigin *origin = MessageAccess::origin(*this);
    return origin ? origin->consumerTag : QString();
}

/*!
    Returns the number of the channel that the message came through, or 0 without an envelope.
*/
int Message::channelNumber() const
{
    const DeliveryOrigin *origin = MessageAccess::origin(*this);
    return origin ? origin->channelNumber : 0;
}

/*!
    \property AmqpQt::Message::deliveryTag
    \brief the number of this delivery in its channel, from 1; 0 without an envelope.
*/
quint64 Message::deliveryTag() const
{
    return read(d).deliveryTag;
}

/*!
    \property AmqpQt::Message::redelivered
    \brief whether the broker may have delivered the message before.
*/
bool Message::isRedelivered() const
{
    return read(d).redelivered;
}

/*!
    Returns how often the message was delivered before, which helps to detect messages that fail repeatedly. Uses the
    header \c x-delivery-count if the queue counts deliveries (quorum queues). Otherwise uses \c x-death to count how
    often the message was dead-lettered because it was rejected or, if it never was, because it expired. So a message
    that is rejected into a queue where it waits and expires counts once per round. Returns 0 if neither header is
    present.
*/
int Message::deliveryCount() const
{
    const MessagePrivate &message = read(d);
    quint64 count = 0;
    if (const QVariant counted = message.header(u"x-delivery-count"_s, {}); counted.isValid()) {
        count = integer(counted);
    } else {
        quint64 expired = 0;
        const QVariantList deaths = message.header(u"x-death"_s, {}).toList();
        for (const QVariant &death : deaths) { // there is one for each queue and reason
            const QVariantMap row = death.toMap();
            quint64 &sum = row.value(u"reason"_s) == u"expired"_s ? expired : count;
            sum = qMin<quint64>(sum + integer(row.value(u"count"_s)), std::numeric_limits<int>::max());
        }
        if (count == 0)
            count = expired;
    }
    return int(qMin<quint64>(count, std::numeric_limits<int>::max()));
}

/*!
    \fn bool AmqpQt::Message::operator==(const AmqpQt::Message &a, const AmqpQt::Message &b)

    Returns whether \a a and \a b have equal bodies, properties and envelopes. Headers are equal if they are the same
    on the wire: 1 and 1.0 differ.
*/
bool operator==(const Message &a, const Message &b)
{
    const MessagePrivate &first = read(a.d);
    const MessagePrivate &second = read(b.d);
    if (&first == &second)
        return true;
    if (first.deliveryTag != second.deliveryTag || first.redelivered != second.redelivered ||
        first.body != second.body || !isSame(first.origin.constData(), second.origin.constData()))
        return false;
    if (!first.changed && !second.changed && first.properties == second.properties)
        return true;
    return first.values() == second.values() && hasSameHeaders(first, second);
}

/*!
    \fn bool AmqpQt::Message::operator!=(const AmqpQt::Message &a, const AmqpQt::Message &b)

    Returns whether \a a and \a b differ.
*/

/*!
    \fn QDebug AmqpQt::Message::operator<<(QDebug debug, const AmqpQt::Message &message)

    Writes the identifying properties of \a message and the size of its body to \a debug, but neither the body nor the
    headers.
*/
QDebug operator<<(QDebug debug, const Message &message)
{
    const QDebugStateSaver saver(debug);
    debug.nospace() << "AmqpQt::Message(" << message.body().size() << " bytes";
    if (const QString contentType = message.contentType(); !contentType.isEmpty())
        debug << ", contentType " << contentType;
    if (const QString messageId = message.messageId(); !messageId.isEmpty())
        debug << ", messageId " << messageId;
    if (MessageAccess::origin(message))
        debug << ", exchange " << message.exchange() << ", routingKey " << message.routingKey();
    if (message.isDelivered())
        debug << ", deliveryTag " << message.deliveryTag() << (message.isRedelivered() ? ", redelivered" : "");
    return debug << ')';
}

} // namespace AmqpQt
