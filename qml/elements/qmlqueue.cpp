// SPDX-License-Identifier: MIT
#include "qmlqueue.h"

#include "declarationqueue.h"

namespace AmqpQt
{

using namespace Qt::StringLiterals;

namespace
{

constexpr quint16 NotFound = 404, ResourceLocked = 405; // reply codes

} // namespace

QmlQueue::QmlQueue(QObject *parent)
    : QmlElement(parent)
{
    connect(this, &QmlQueue::changed, this, &QmlQueue::declare);
}

QmlQueue::~QmlQueue()
{
    abandonRestored();
}

void QmlQueue::setDurable(bool durable)
{
    if (std::exchange(m_durable, durable) != durable)
        Q_EMIT changed();
}

void QmlQueue::setExclusive(bool exclusive)
{
    if (std::exchange(m_exclusive, exclusive) != exclusive)
        Q_EMIT changed();
}

void QmlQueue::setMessageTtl(double milliseconds)
{
    if (isCount("messageTtl", milliseconds))
        reset(this, m_messageTtl, qint64(milliseconds));
}

void QmlQueue::setMaximumLength(double messages)
{
    if (isCount("maximumLength", messages))
        reset(this, m_maximumLength, qint64(messages));
}

void QmlQueue::setArguments(const QVariant &arguments)
{
    if (setTable("arguments", m_arguments, arguments))
        Q_EMIT changed();
}

QueueOptions QmlQueue::options() const
{
    QueueOptions options{
        .durable = isDurable(), .exclusive = isExclusive(), .autoDelete = m_autoDelete, .arguments = m_arguments};
    if (!m_queueType.isEmpty())
        options.arguments.insert(u"x-queue-type"_s, m_queueType);
    if (m_messageTtl >= 0)
        options.arguments.insert(u"x-message-ttl"_s, m_messageTtl);
    if (m_maximumLength >= 0)
        options.arguments.insert(u"x-max-length"_s, m_maximumLength);
    if (!m_deadLetterExchange.isEmpty())
        options.arguments.insert(u"x-dead-letter-exchange"_s, m_deadLetterExchange);
    return options;
}

void QmlQueue::connectionOpened()
{
    m_backoff.reset();
    declare();
}

void QmlQueue::connectionClosed()
{
    m_backoff.stop();
    m_declaration.reset();
    const QPointer<QmlQueue> self(this);
    setDeclaredName({});
    if (self)
        setInfo({});
}

void QmlQueue::queueRenamed(const QString &oldName, const QString &newName)
{
    if (!m_declaration || m_declaration->state != Declaration::State::Declared || m_declaration->name != oldName)
        return;
    m_declaration->name = newName;
    if (m_declaredName == oldName)
        setDeclaredName(newName);
}

void QmlQueue::connectionRecovered(const RecoveryReport &report)
{
    if (!m_declaration || m_declaration->state != Declaration::State::Declared)
        return; // a declaration follows
    if (m_declaration->passive)
        return declare();
    if (const Error failure = failureOf(Topology().queue(m_declaration->name), report); failure.isError())
        onDeclared(m_declaration, failure);
}

// During an outage, an exclusive queue is gone and another one may be declared in its place. The recovery restores it
// all the same, so it is deleted then. The same applies to an auto-delete queue that has lost its consumers.
void QmlQueue::abandonRestored()
{
    if (!isRecovering() || !m_declaration || m_declaration->state != Declaration::State::Declared ||
        m_declaration->passive || !(m_declaration->options.exclusive || m_declaration->options.autoDelete))
        return;
    m_declaration->state = Declaration::State::Gone;
    declarations()->deleteUnusedQueue(m_declaration->name);
}

void QmlQueue::readProperties(Declaration &declaration) const
{
    declaration.name = m_name;
    declaration.options = options();
    declaration.passive = m_passive;
}

void QmlQueue::declare()
{
    using enum Declaration::State;
    if (!isLive())
        return;
    m_backoff.stop();
    abandonRestored();
    const QPointer<QmlQueue> self(this);
    if (m_name != m_declaredName || (m_declaration && m_declaration->state == Gone)) {
        setDeclaredName({}); // users of the old queue wait for the new one
        if (self)
            setInfo({});
        if (!self || !isLive())
            return;
    }
    if (m_declaration && m_declaration->state == Waiting && !m_declaration->isFixed)
        return;
    const DeclarationPointer declaration = m_declaration = std::make_shared<Declaration>();
    declarations()->add(
        DeclarationQueue::Phase::Queues, this,
        [this, declaration](Channel *channel) -> std::optional<Reply<QueueInfo>> {
            if (!declaration->isFixed) {
                if (declaration != m_declaration)
                    return {}; // the element has changed since, and nothing depends on this declaration
                readProperties(*declaration);
            }
            declaration->state = Sent;
            if (!declaration->passive)
                return channel->declareQueue(declaration->name, declaration->options);
            if (!declaration->name.isEmpty()) // otherwise the broker would use the last queue of the channel
                return channel->inspectQueue(declaration->name);
            failAsNameless(declaration);
            return {};
        },
        [this, declaration](const Result<QueueInfo> &result) { onDeclared(declaration, result); });
}

void QmlQueue::failAsNameless(const DeclarationPointer &declaration)
{
    const QPointer<QmlQueue> self(this);
    forget(declaration);
    if (self)
        fail(tr("A passive queue needs a name"));
}

void QmlQueue::onDeclared(const DeclarationPointer &declaration, const Result<QueueInfo> &result)
{
    declaration->state = result ? Declaration::State::Declared : Declaration::State::Gone;
    if (result)
        declaration->name = result->name;
    if (declaration != m_declaration)
        return; // the element has changed since
    const QPointer<QmlQueue> self(this);
    if (!result) {
        const Error &error = result.error();
        // The queue may be declared later, or another connection may release it.
        if (error.replyCode() == NotFound || error.replyCode() == ResourceLocked)
            m_backoff.start(this);
        setDeclaredName({});
        if (self && error.text() != errorString()) // one warning for many attempts
            fail(error.text());
        return;
    }
    m_backoff.succeeded();
    m_mayBeGone = false;
    setDeclaredName(result->name);
    if (self)
        setErrorString({});
    if (self)
        setInfo(*result);
    if (self)
        Q_EMIT declared(*result);
}

void QmlQueue::lost(const QString &name, const Error &reason)
{
    if (!isLive() || !m_declaration || m_declaration->state != Declaration::State::Declared || name != m_declaredName)
        return;
    const bool isWanted = !m_declaration->isBeingRemoved;
    const QPointer<QmlQueue> self(this);
    if (isWanted)
        m_backoff.start(this);
    forget(m_declaration);
    if (self && isWanted)
        setErrorString(reason.text());
}

void QmlQueue::consumerLeft()
{
    m_mayBeGone = m_autoDelete && !m_passive;
}

void QmlQueue::checkIfAutoDeleted()
{
    if (!isLive() || !std::exchange(m_mayBeGone, false) || !m_declaration ||
        m_declaration->state != Declaration::State::Declared)
        return;
    declarations()->add(
        DeclarationQueue::Phase::Queues, this,
        [name = m_declaredName](Channel *channel) { return std::optional(channel->inspectQueue(name)); },
        [this, name = m_declaredName](const Result<QueueInfo> &result) {
            if (result.error().replyCode() == NotFound)
                lost(name, result.error());
        });
}

void QmlQueue::forget(const DeclarationPointer &declaration)
{
    declaration->state = Declaration::State::Gone;
    if (declaration != m_declaration)
        return;
    const QPointer<QmlQueue> self(this);
    setDeclaredName({});
    if (self)
        setInfo({});
}

void QmlQueue::timerEvent(QTimerEvent *)
{
    declare();
}

void QmlQueue::setDeclaredName(const QString &name)
{
    if (std::exchange(m_declaredName, name) != name)
        Q_EMIT declaredNameChanged();
}

void QmlQueue::setInfo(const QueueInfo &info)
{
    const QueueInfo old = std::exchange(m_info, info);
    if (old.messageCount != info.messageCount || old.consumerCount != info.consumerCount)
        Q_EMIT countsChanged();
}

QmlQueue::DeclarationPointer QmlQueue::declarationForCall()
{
    if (!isLive() || !m_declaration || m_declaration->state == Declaration::State::Gone) {
        failAsUndeclared();
        return {};
    }
    if (m_declaration->state == Declaration::State::Waiting && !std::exchange(m_declaration->isFixed, true))
        readProperties(*m_declaration);
    return m_declaration;
}

void QmlQueue::failAsUndeclared()
{
    fail(tr("The queue is not declared"));
}

void QmlQueue::purge()
{
    const DeclarationPointer declaration = declarationForCall();
    if (!declaration)
        return;
    declarations()->addOnce(
        this,
        [this, declaration](Channel *channel) -> std::optional<Reply<quint32>> {
            if (declaration->state == Declaration::State::Declared)
                return channel->purgeQueue(declarations()->currentName(declaration->name));
            failAsUndeclared();
            return {};
        },
        [this, declaration](const Result<quint32> &result) {
            if (result) {
                if (declaration == m_declaration)
                    setInfo({m_info.name, 0, m_info.consumerCount});
                return;
            }
            onCallFailed(declaration, result.error());
        });
}

void QmlQueue::refresh()
{
    const DeclarationPointer declaration = declarationForCall();
    if (!declaration || std::exchange(declaration->isRefreshing, true))
        return;
    declarations()->add(
        DeclarationQueue::Phase::AnyTime, this,
        [this, declaration](Channel *channel) -> std::optional<Reply<QueueInfo>> {
            declaration->isRefreshing = false;
            if (declaration->state == Declaration::State::Declared)
                return channel->inspectQueue(declarations()->currentName(declaration->name));
            failAsUndeclared();
            return {};
        },
        [this, declaration](const Result<QueueInfo> &result) {
            if (!result)
                onCallFailed(declaration, result.error());
            else if (declaration == m_declaration)
                setInfo(*result);
        });
}

void QmlQueue::remove()
{
    const DeclarationPointer declaration = declarationForCall();
    if (!declaration)
        return;
    declaration->isBeingRemoved = true;
    declarations()->addOnce(
        this,
        [this, declaration](Channel *channel) -> std::optional<Reply<quint32>> {
            if (declaration->state == Declaration::State::Declared)
                return channel->deleteQueue(declarations()->currentName(declaration->name));
            failAsUndeclared();
            return {};
        },
        [this, declaration](const Result<quint32> &result) {
            if (result)
                return forget(declaration);
            declaration->isBeingRemoved = false;
            fail(result.error().text());
        });
}

void QmlQueue::onCallFailed(const DeclarationPointer &declaration, const Error &error)
{
    const QPointer<QmlQueue> self(this);
    fail(error.text());
    if (self && error.replyCode() == NotFound && declaration == m_declaration)
        lost(declaration->name, error);
}

} // namespace AmqpQt
