// SPDX-License-Identifier: MIT
#include "engine/channel/publishing_p.h"

#include "engine/arguments/knownproperties_p.h"
#include "wire/fieldtable_p.h"

#include <QtCore/qstringconverter.h>

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

// Short names are encoded on the stack.
constexpr qsizetype EncodedNameSpace =
    3 * Wire::MaximumShortString; // UTF-8 needs at most three bytes for a UTF-16 unit

static Result<QByteArrayView> encodeName(QLatin1StringView argument, const QString &name,
                                         char (&space)[EncodedNameSpace])
{
    if (name.size() <= Wire::MaximumShortString) {
        QStringEncoder encode(QStringEncoder::Utf8, QStringEncoder::Flag::Stateless);
        const qsizetype size = encode.appendToBuffer(space, name) - space;
        if (size <= Wire::MaximumShortString && !encode.hasError())
            return QByteArrayView(space, size);
    }
    return Wire::encodeShortText(argument, name).error();
}

// The key of another publisher's message may have bytes that are not UTF-8, which RabbitMQ accepts.
static Result<QByteArrayView> encodeKey(const QString &key, char (&space)[EncodedNameSpace])
{
    const Result<QByteArrayView> name = encodeName("routingKey"_L1, key, space);
    if (name)
        return name;
    const Result<QByteArray> bytes = Wire::encodeShortText("routingKey"_L1, key, Wire::NotUtf8::Allowed);
    if (!bytes)
        return bytes.error();
    std::memcpy(space, bytes->constData(), size_t(bytes->size()));
    return QByteArrayView(space, bytes->size());
}

inline bool Publishing::fits(const QByteArray &properties, const QByteArray &body) const
{
    return headerFits(properties) &&
           Wire::ContentHeaderPrefix + properties.size() + body.size() <= m_channel.host().settings().bufferLimit;
}

Error Publishing::checkProperties(const QByteArray &properties) const
{
    // While the channel is closed, its consumers may be about to be restored.
    if (m_channel.acceptsCalls() && asksForDirectReply(properties) && !m_channel.consumers().hasDirectReplyTo() &&
        !m_channel.callQueue().holdsDirectReplyTo()) {
        return Error(ErrorKind::InvalidArgument,
                     u"replyTo: \"%1\" needs a consumer of this queue on the same channel; channel %2 has none"_s
                         .arg(DirectReplyTo)
                         .arg(m_channel.number()));
    }
    const Settings &settings = m_channel.host().settings();
    return Engine::checkProperties(properties, settings.checksUserId, settings.userName);
}

Error Publishing::checkContent(const QByteArray &properties, const QByteArray &body) const
{
    if (fits(properties, body))
        return checkProperties(properties);
    const qsizetype headerPayload = Wire::ContentHeaderPrefix + properties.size();
    if (headerPayload > m_channel.host().frames().maximumPayload())
        return Error(
            ErrorKind::InvalidArgument,
            u"headers: the content header needs %1 bytes; the maximum of a frame on this connection is %2 bytes"_s
                .arg(headerPayload)
                .arg(m_channel.host().frames().maximumPayload()));
    return Error(ErrorKind::InvalidArgument,
                 u"message: %1 bytes exceed the buffer limit of %2 bytes"_s.arg(headerPayload + body.size())
                     .arg(m_channel.host().settings().bufferLimit));
}

Error Publishing::prepare(const QString &exchange, const QString &routingKey, const QByteArray &properties,
                          bool mandatory)
{
    char exchangeBytes[EncodedNameSpace];
    char keyBytes[EncodedNameSpace];
    const Result<QByteArrayView> exchangeName = encodeName("exchange"_L1, exchange, exchangeBytes);
    if (!exchangeName)
        return exchangeName.error();
    const Result<QByteArrayView> key = encodeKey(routingKey, keyBytes);
    if (!key)
        return key.error();
    if (const Error wrong = checkProperties(properties); wrong.isError())
        return wrong;
    const Wire::BasicPublish method{
        .ticket = m_channel.ticket(), .exchange = *exchangeName, .routingKey = *key, .mandatory = mandatory};
    char payload[4 + 2 + 2 * (1 + Wire::MaximumShortString) + 1];
    if (!m_last)
        m_last = std::make_unique<Last>();
    m_last->frames.encode(m_channel.number(), QByteArrayView(payload, Wire::writePayload(payload, method) - payload),
                          properties);
    // Deep copies, since the application's strings may refer to raw data (QString::fromRawData()), or the application
    // may write to their characters through a pointer.
    m_last->exchange = QString(exchange.constData(), exchange.size());
    m_last->routingKey = QString(routingKey.constData(), routingKey.size());
    m_last->properties = properties;
    m_last->mandatory = mandatory;
    return {};
}

Published Publishing::publishOther(const QString &exchange, const QString &routingKey, const QByteArray &properties,
                                   const QByteArray &body, bool mandatory, bool isHeld)
{
    if (!fits(properties, body))
        return reject(checkContent(properties, body));
    if (!isLikeLast(exchange, routingKey, properties, mandatory)) {
        if (const Error wrong = prepare(exchange, routingKey, properties, mandatory); wrong.isError())
            return reject(wrong);
    }
    if (!hasRoom(properties, body)) {
        ChannelHost &host = m_channel.host();
        return reject(Error(ErrorKind::BufferFull,
                            u"%1 bytes are waiting to be sent; the limit is %2 bytes"_s.arg(host.flow().queuedBytes())
                                .arg(host.settings().bufferLimit)));
    }
    if (!isHeld && mayPublish())
        return publishPrepared(properties, body, mandatory);
    ++m_sequence;
    m_channel.callQueue().hold(HeldPublish{m_last->frames.methodPayload().toByteArray(), properties, body, m_sequence,
                                           mandatory, m_confirms != nullptr});
    return published();
}

void Publishing::sendHeld(const HeldPublish &publish)
{
    const qsizetype headerPayload = Wire::ContentHeaderPrefix + publish.properties.size();
    Error error = m_channel.checkSize(headerPayload, Wire::BasicPublish::name);
    if (!error.isError())
        error = checkProperties(publish.properties); // the user of the connection may have changed
    if (error.isError()) {
        m_channel.host().post(PublishFailed{m_channel.shared_from_this(), publish.sequence, publish.sequence, error});
        dropTemplate(); // a message like this one must be checked again
        checkConfirmWindow();
    } else {
        PublishTemplate frames;
        frames.encode(m_channel.number(), publish.payload, publish.properties);
        if (publish.confirm)
            expectConfirm(publish.sequence, frames, publish.properties, publish.body, publish.mandatory);
        m_channel.host().frames().sendContent(m_channel.number(), frames, publish.body);
    }
    m_channel.host().flow().addHeld(-publish.bytes());
}

void Publishing::startConfirms()
{
    if (!m_confirms)
        m_confirms = std::make_unique<Confirms>();
}

void Publishing::setConfirmWindow(int messages)
{
    m_confirmWindow = messages;
    checkConfirmWindow();
    m_channel.releaseHeld();
}

void Publishing::checkConfirmWindow()
{
    const qsizetype freeAgain = m_confirmWindow / 2;
    const bool isFull = m_confirmWindow > 0 && unconfirmed() > (m_isWindowFull ? freeAgain : m_confirmWindow - 1);
    if (isFull == m_isWindowFull)
        return;
    m_isWindowFull = isFull;
    m_channel.host().post(ConfirmWindowChanged{m_channel.shared_from_this(), isFull});
}

Publishing::Confirmed Publishing::confirm(quint64 deliveryTag, bool multiple, const Error &failure)
{
    std::vector<Confirms::Outcome> outcomes;
    if (!m_confirms || !m_confirms->settle(deliveryTag, multiple, outcomes))
        return Confirmed::NeverPublished;
    if (outcomes.empty())
        return Confirmed::Before;
    report(outcomes, failure);
    return Confirmed::Now;
}

// `failure` applies to messages that were not returned.
void Publishing::report(std::vector<Confirms::Outcome> &outcomes, const Error &failure)
{
    ChannelHost &host = m_channel.host();
    for (Confirms::Outcome &outcome : outcomes) {
        if (outcome.returned) {
            const Error reason = outcome.returned->reason;
            host.post(Returned{m_channel.shared_from_this(), *std::move(outcome.returned), outcome.first});
            host.post(PublishFailed{m_channel.shared_from_this(), outcome.first, outcome.last, reason});
        } else if (failure.isError()) {
            host.post(PublishFailed{m_channel.shared_from_this(), outcome.first, outcome.last, failure});
        } else {
            host.post(PublishConfirmed{m_channel.shared_from_this(), outcome.first, outcome.last});
        }
    }
    for (ReturnedMessage &message : m_confirms->takeUnclaimed())
        host.post(Returned{m_channel.shared_from_this(), std::move(message)});
}

void Publishing::returned(ReturnedMessage message)
{
    if (sentUnconfirmed() > 0)
        m_confirms->returned(std::move(message)); // the following ack identifies its message
    else
        m_channel.host().post(Returned{m_channel.shared_from_this(), std::move(message)});
}

void Publishing::endUnconfirmed(const QString &text, const Error &cause)
{
    if (!m_confirms)
        return;
    std::vector<Confirms::Outcome> outcomes;
    m_confirms->end(outcomes);
    report(outcomes, Error(ErrorKind::Unconfirmed, text.arg(cause.text()), cause.replyCode()));
}

void Publishing::end(const Error &callError)
{
    endUnconfirmed(u"the channel ended before the broker confirmed the message: %1"_s, callError);
    m_isWindowFull = false;
    m_last.reset();
}

void Publishing::suspend(const Error &lossOfConnection)
{
    endUnconfirmed(u"the connection was lost before the broker confirmed the message: %1"_s, lossOfConnection);
    checkConfirmWindow();
    m_last.reset();
}

} // namespace AmqpQt::Engine
