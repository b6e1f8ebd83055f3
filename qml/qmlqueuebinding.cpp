// SPDX-License-Identifier: MIT
#include "qmlqueuebinding.h"

#include "qmlqueue.h"
#include "setup.h"

namespace AmqpQt {

QmlQueueBinding::QmlQueueBinding(QObject *parent)
    : QmlElement(parent)
{
    connect(this, &QmlQueueBinding::changed, this, &QmlQueueBinding::bind);
}

void QmlQueueBinding::setExchange(QmlExchange *exchange)
{
    if (m_exchange == exchange)
        return;
    if (m_exchange)
        m_exchange->disconnect(this);
    m_exchange = exchange;
    if (exchange) // its name, mostly
        connect(exchange, &QmlExchange::changed, this, &QmlQueueBinding::changed);
    Q_EMIT changed();
}

void QmlQueueBinding::setExchangeName(const QString &name)
{
    if (std::exchange(m_exchangeName, name) != name)
        Q_EMIT changed();
}

void QmlQueueBinding::componentComplete()
{
    m_queue = qobject_cast<QmlQueue *>(parent());
    QmlElement::componentComplete();
    if (!m_queue)
        return fail(tr("A QueueBinding is to be put into a Queue"));
    connect(m_queue, &QmlQueue::declaredNameChanged, this, &QmlQueueBinding::bind);
    connect(m_queue, &QmlElement::connectionChanged, this, &QmlQueueBinding::findConnection);
}

void QmlQueueBinding::connectionOpened()
{
    bind();
}

void QmlQueueBinding::connectionClosed()
{
    m_isPending = false;
}

void QmlQueueBinding::bind()
{
    if (!isLive() || !m_queue || m_isPending)
        return;
    if (exchangeName().isEmpty())
        return fail(tr("A QueueBinding needs an exchange"));
    m_isPending = true;
    setUp()->add(
        SetUp::Phase::Bindings, this,
        [this](Channel *channel) {
            m_isPending = false;
            // A queue that is not there has said so itself; its declaration calls this again.
            return m_queue && !m_queue->declaredName().isEmpty() ? std::optional(bindOn(channel)) : std::nullopt;
        },
        [this](const Result<void> &result) {
            if (result)
                return setErrorString({});
            m_bound.reset();
            fail(result.error().text());
        });
}

Reply<void> QmlQueueBinding::bindOn(Channel *channel)
{
    const Bound wanted{m_queue->declaredName(), exchangeName(), m_routingKey, m_arguments};
    // The old binding of another queue stays, as that queue does.
    if (m_bound && m_bound->queue == wanted.queue && m_bound != wanted)
        channel->unbindQueue(m_bound->queue, m_bound->exchange, m_bound->routingKey, m_bound->arguments);
    m_bound = wanted;
    return channel->bindQueue(wanted.queue, wanted.exchange, wanted.routingKey, wanted.arguments);
}

} // namespace AmqpQt
