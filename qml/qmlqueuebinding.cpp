// SPDX-License-Identifier: MIT
#include "qmlqueuebinding.h"

#include "qmlqueue.h"
#include "setup.h"

namespace AmqpQt
{

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
        [this](Channel *channel) -> std::optional<Reply<void>> {
            m_isPending = false;
            if (!m_queue || m_queue->declaredName().isEmpty())
                return {}; // it has said so itself; its declaration calls this again
            m_wanted = {m_queue->declaredName(), exchangeName(), m_routingKey, m_arguments};
            return channel->bindQueue(m_wanted.queue, m_wanted.exchange, m_wanted.routingKey, m_wanted.arguments);
        },
        [this](const Result<void> &result) {
            if (!result)
                return fail(result.error().text());
            unbind(std::exchange(m_bound, m_wanted));
            setErrorString({});
        });
}

// After the new binding is there, so that nothing is lost between, and an auto-delete exchange stays. The old binding
// of another queue stays, as that queue does.
void QmlQueueBinding::unbind(const Binding &old)
{
    if (old.queue != m_bound.queue || old == m_bound)
        return;
    setUp()->add(
        SetUp::Phase::Bindings, this,
        [old](Channel *channel) {
            return std::optional(channel->unbindQueue(old.queue, old.exchange, old.routingKey, old.arguments));
        },
        [this](const Result<void> &result) {
            if (!result)
                fail(result.error().text());
        });
}

} // namespace AmqpQt
