// SPDX-License-Identifier: MIT

// The part of ChannelEngine for publishing, confirm mode, returns and transactions.

#include "engine/arguments_p.h"
#include "engine/knownproperties_p.h"
#include "engine/repeatedpublish_p.h"

#include <QtCore/qstringconverter.h>

#include <algorithm>

namespace AmqpQt::Engine
{

using namespace Qt::StringLiterals;

// Publishing is the hot path: short names are encoded on the stack.
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

inline bool ChannelEngine::fits(const QByteArray &properties, const QByteArray &body) const
{
    return headerFits(properties) &&
           Wire::ContentHeaderPrefix + properties.size() + body.size() <= m_host.settings().bufferLimit;
}

Error ChannelEngine::checkProperties(const QByteArray &properties) const
{
    const Settings &settings = m_host.settings();
    // While the channel is closed, its consumers may be about to be restored.
    if (acceptsCalls() && asksForDirectReply(properties) && !hasConsumerForReplies()) {
        return Error(ErrorKind::InvalidArgument,
                     u"replyTo: \"%1\" needs a consumer of this queue on the same channel; channel %2 has none"_s
                         .arg(DirectReplyTo)
                         .arg(m_number));
    }
    return Engine::checkProperties(properties, settings.checksUserId, settings.userName);
}

bool ChannelEngine::hasConsumerForReplies() const
{
    return m_consumers.hasDirectReplyTo() || m_calls.holdsDirectReplyTo();
}

Error ChannelEngine::checkContent(const QByteArray &properties, const QByteArray &body) const
{
    if (fits(properties, body))
        return checkProperties(properties);
    const qsizetype headerPayload = Wire::ContentHeaderPrefix + properties.size();
    if (headerPayload > m_host.frames().maximumPayload())
        return Error(
            ErrorKind::InvalidArgument,
            u"headers: the content header needs %1 bytes; the maximum of a frame on this connection is %2 bytes"_s
                .arg(headerPayload)
                .arg(m_host.frames().maximumPayload()));
    return Error(ErrorKind::InvalidArgument,
                 u"message: %1 bytes exceed the buffer limit of %2 bytes"_s.arg(headerPayload + body.size())
                     .arg(m_host.settings().bufferLimit));
}

Error ChannelEngine::encodePublish(const QString &exchange, const QString &routingKey, const QByteArray &properties,
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
        .ticket = m_ticket, .exchange = *exchangeName, .routingKey = *key, .mandatory = mandatory};
    char payload[4 + 2 + 2 * (1 + Wire::MaximumShortString) + 1];
    if (!m_published)
        m_published = std::make_unique<Published>();
    m_published->frames.encode(m_number, QByteArrayView(payload, Wire::writePayload(payload, method) - payload),
                               properties);
    // Deep copies, since the application's strings may be made by QString::fromRawData(), or it may write to their
    // characters through a pointer.
    m_published->exchange = QString(exchange.constData(), exchange.size());
    m_published->routingKey = QString(routingKey.constData(), routingKey.size());
    m_published->properties = properties;
    m_published->mandatory = mandatory;
    return {};
}

Result<quint64> ChannelEngine::publish(const QString &exchange, const QString &routingKey, const QByteArray &properties,
                                       const QByteArray &body, bool mandatory)
{
    if (!acceptsCalls())
        return notOpen(Wire::BasicPublish::name);
    if (!fits(properties, body))
        return checkContent(properties, body);
    if (!isLikeLastPublish(exchange, routingKey, properties, mandatory)) {
        if (const Error wrong = encodePublish(exchange, routingKey, properties, mandatory); wrong.isError())
            return wrong;
    }
    if (!hasRoom(properties, body))
        return Error(ErrorKind::BufferFull,
                     u"%1 bytes are waiting to be sent; the limit is %2 bytes"_s.arg(m_host.flow().queuedBytes())
                         .arg(m_host.settings().bufferLimit));

    const bool confirm = m_mode == Mode::Confirm;
    ++m_sequence;
    if (mustHold(true))
        m_calls.hold(HeldPublish{m_published->frames.methodPayload().toByteArray(), properties, body, m_sequence,
                                 mandatory, confirm});
    else
        sendPublish(m_sequence, m_published->frames, properties, body, mandatory, confirm);
    return notePublished();
}

void ChannelEngine::sendPublish(quint64 sequence, const ContentFrames &frames, const QByteArray &properties,
                                const QByteArray &body, bool mandatory, bool confirm)
{
    if (confirm)
        expectConfirm(sequence, frames, properties, body, mandatory);
    m_host.frames().sendContent(m_number, frames, body);
}

Error ChannelEngine::wrongMode(const char *method, const QString &need) const
{
    return Error(ErrorKind::InvalidArgument, u"channel %1 %2"_s.arg(m_number).arg(need), 0,
                 QString::fromLatin1(method));
}

Result<CallId> ChannelEngine::confirmSelect()
{
    if (!acceptsCalls())
        return notOpen(Wire::ConfirmSelect::name);
    if (m_mode == Mode::Transaction)
        return wrongMode(Wire::ConfirmSelect::name, u"is in transaction mode, which excludes confirm mode"_s);
    const Result<CallId> selecting = call(Wire::ConfirmSelect{});
    m_mode = Mode::Confirm;
    if (!m_confirms)
        m_confirms = std::make_unique<Confirms>();
    return selecting;
}

void ChannelEngine::setConfirmWindow(int messages)
{
    m_confirmWindow = messages;
    noteConfirmWindow();
    releaseHeld();
}

void ChannelEngine::noteConfirmWindow()
{
    const qsizetype freeAgain = m_confirmWindow / 2;
    const bool full = m_confirmWindow > 0 && unconfirmed() > (m_windowFull ? freeAgain : m_confirmWindow - 1);
    if (full != m_windowFull)
        changeWindowFull(full);
}

void ChannelEngine::changeWindowFull(bool full)
{
    m_windowFull = full;
    m_host.post(ConfirmWindowChanged{shared_from_this(), full});
}

void ChannelEngine::on(const Wire::BasicNack &method)
{
    onConfirm(method.deliveryTag, method.multiple,
              Error(ErrorKind::Nacked, u"the broker rejected the message (basic.nack)"_s, 0,
                    QString::fromLatin1(Wire::BasicNack::name)));
}

void ChannelEngine::onConfirm(quint64 deliveryTag, bool multiple, const Error &failure)
{
    if (m_isCloseSent)
        return;
    std::vector<Confirms::Outcome> outcomes;
    if (m_mode != Mode::Confirm || !m_confirms->settle(deliveryTag, multiple, outcomes)) {
        return closeByUs(Wire::ReplyCode::PreconditionFailed,
                         Error(ErrorKind::ProtocolViolation,
                               u"the broker confirmed a message that was never published in confirm mode"_s,
                               Wire::ReplyCode::PreconditionFailed));
    }
    if (outcomes.empty())
        return; // already confirmed
    tellOutcomes(outcomes, failure);
    m_host.noteProgress();
    releaseHeld();
    noteConfirmWindow();
}

// `failure` applies to messages that were not returned.
void ChannelEngine::tellOutcomes(std::vector<Confirms::Outcome> &outcomes, const Error &failure)
{
    for (Confirms::Outcome &outcome : outcomes) {
        if (outcome.returned) {
            const Error reason = outcome.returned->reason;
            m_host.post(Returned{shared_from_this(), *std::move(outcome.returned), outcome.first});
            m_host.post(PublishFailed{shared_from_this(), outcome.first, outcome.last, reason});
        } else if (failure.isError()) {
            m_host.post(PublishFailed{shared_from_this(), outcome.first, outcome.last, failure});
        } else {
            m_host.post(PublishConfirmed{shared_from_this(), outcome.first, outcome.last});
        }
    }
    for (ReturnedMessage &message : m_confirms->takeUnclaimed())
        m_host.post(Returned{shared_from_this(), std::move(message)});
}

void ChannelEngine::completeReturn()
{
    ReturnedMessage message{
        m_assembler->exchange().toByteArray(), m_assembler->routingKey().toByteArray(), m_assembler->properties(),
        QByteArray(),
        Error(ErrorKind::Returned,
              u"%1 (exchange \"%2\", routing key \"%3\")"_s.arg(QString::fromUtf8(m_assembler->replyText()),
                                                                QString::fromUtf8(m_assembler->exchange()),
                                                                QString::fromUtf8(m_assembler->routingKey())),
              m_assembler->method().replyCode, QString::fromLatin1(Wire::BasicReturn::name))};
    message.body = m_assembler->takeBody();
    if (sentUnconfirmed() > 0)
        m_confirms->returned(std::move(message)); // the following ack identifies its message
    else
        m_host.post(Returned{shared_from_this(), std::move(message)});
}

Result<CallId> ChannelEngine::txSelect()
{
    if (!acceptsCalls())
        return notOpen(Wire::TxSelect::name);
    if (m_mode == Mode::Confirm)
        return wrongMode(Wire::TxSelect::name, u"is in confirm mode, which excludes transactions"_s);
    const Result<CallId> selecting = call(Wire::TxSelect{});
    m_mode = Mode::Transaction;
    m_deliveries.startTransactions();
    return selecting;
}

Result<CallId> ChannelEngine::txCommit()
{
    if (!acceptsCalls())
        return notOpen(Wire::TxCommit::name);
    if (m_mode != Mode::Transaction)
        return wrongMode(Wire::TxCommit::name, u"is not in transaction mode"_s);
    return call(Wire::TxCommit{});
}

Result<CallId> ChannelEngine::txRollback()
{
    if (!acceptsCalls())
        return notOpen(Wire::TxRollback::name);
    if (m_mode != Mode::Transaction)
        return wrongMode(Wire::TxRollback::name, u"is not in transaction mode"_s);
    return call(Wire::TxRollback{});
}

void ChannelEngine::on(const Wire::TxCommitOk &method)
{
    if (!m_deliveries.isTransacted())
        return reportUnexpected(method.name);
    m_deliveries.committed();
    finishSimple(method);
    releaseHeld();
}

void ChannelEngine::on(const Wire::TxRollbackOk &method)
{
    if (!m_deliveries.isTransacted())
        return reportUnexpected(method.name);
    m_deliveries.rolledBack();
    finishSimple(method);
    releaseHeld();
}

} // namespace AmqpQt::Engine
