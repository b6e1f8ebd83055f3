// SPDX-License-Identifier: MIT
#include "qmlqueue.h"

#include "setup.h"

#include <limits>

namespace AmqpQt
{

using namespace Qt::StringLiterals;

QmlQueue::QmlQueue(QObject *parent)
    : QmlElement(parent)
{
    connect(this, &QmlQueue::changed, this, &QmlQueue::declare);
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

void QmlQueue::setMessageTtl(int milliseconds)
{
    if (isInRange("messageTtl", milliseconds, 0, std::numeric_limits<int>::max()) &&
        std::exchange(m_messageTtl, milliseconds) != milliseconds)
        Q_EMIT changed();
}

void QmlQueue::resetMessageTtl()
{
    if (std::exchange(m_messageTtl, -1) != -1)
        Q_EMIT changed();
}

void QmlQueue::setMaximumLength(int messages)
{
    if (isInRange("maximumLength", messages, 0, std::numeric_limits<int>::max()) &&
        std::exchange(m_maximumLength, messages) != messages)
        Q_EMIT changed();
}

void QmlQueue::resetMaximumLength()
{
    if (std::exchange(m_maximumLength, -1) != -1)
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

// --- declaring
// ------------------------------------------------------------------------------------------------------------

void QmlQueue::connectionOpened()
{
    declare();
}

void QmlQueue::connectionClosed()
{
    m_isPending = false;
    setDeclaredName({});
}

void QmlQueue::declare()
{
    if (!isLive() || m_isPending)
        return;
    m_isPending = true;
    setUp()->add(
        SetUp::Phase::Queues, this,
        [this](Channel *channel) {
            m_isPending = false;
            return std::optional(m_passive ? channel->inspectQueue(m_name) : channel->declareQueue(m_name, options()));
        },
        [this](const Result<QueueInfo> &result) { onDeclared(result); });
    if (m_name != m_declaredName)
        setDeclaredName({}); // those who use the queue wait for the other one
}

void QmlQueue::onDeclared(const Result<QueueInfo> &result)
{
    const QPointer<QmlQueue> self(this);
    setDeclaredName(result ? result->name : QString());
    if (!self)
        return;
    if (!result)
        return fail(result.error().text());
    setErrorString({});
    setInfo(*result);
    if (self)
        Q_EMIT declared(*result);
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

// --- calls
// ----------------------------------------------------------------------------------------------------------------

bool QmlQueue::isDeclared()
{
    if (isLive() && (!m_declaredName.isEmpty() || m_isPending))
        return true;
    fail(tr("The queue is not declared"));
    return false;
}

void QmlQueue::purge()
{
    if (!isDeclared())
        return;
    setUp()->add(
        SetUp::Phase::Queues, this,
        [this](Channel *channel) { return std::optional(channel->purgeQueue(m_declaredName)); },
        [this](const Result<quint32> &result) {
            if (!result)
                return fail(result.error().text());
            setInfo({m_info.name, 0, m_info.consumerCount});
        });
}

void QmlQueue::refresh()
{
    if (!isDeclared())
        return;
    setUp()->add(
        SetUp::Phase::Queues, this,
        [this](Channel *channel) { return std::optional(channel->inspectQueue(m_declaredName)); },
        [this](const Result<QueueInfo> &result) {
            if (result)
                return setInfo(*result);
            const QPointer<QmlQueue> self(this);
            setDeclaredName({});
            if (self)
                fail(result.error().text());
        });
}

void QmlQueue::remove()
{
    if (!isDeclared())
        return;
    setUp()->add(
        SetUp::Phase::Queues, this,
        [this](Channel *channel) { return std::optional(channel->deleteQueue(m_declaredName)); },
        [this](const Result<quint32> &result) {
            if (!result)
                return fail(result.error().text());
            setDeclaredName({});
        });
}

} // namespace AmqpQt
