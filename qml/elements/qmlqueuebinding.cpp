// SPDX-License-Identifier: MIT
#include "qmlqueuebinding.h"

#include "declarationqueue.h"
#include "qmlqueue.h"

namespace AmqpQt
{

using namespace Qt::StringLiterals;

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
    if (exchange) {
        connect(exchange, &QmlExchange::changed, this, &QmlQueueBinding::changed); // usually its name
        connect(exchange, &QmlExchange::declared, this, &QmlQueueBinding::onExchangeDeclared);
    }
    Q_EMIT changed();
}

void QmlQueueBinding::setExchangeName(const QString &name)
{
    if (std::exchange(m_exchangeName, name) != name)
        Q_EMIT changed();
}

void QmlQueueBinding::setArguments(const QVariant &arguments)
{
    if (setTable("arguments", m_arguments, arguments))
        Q_EMIT changed();
}

void QmlQueueBinding::componentComplete()
{
    m_queue = qobject_cast<QmlQueue *>(parent());
    QmlElement::componentComplete();
    if (!m_queue)
        return fail(tr("A QueueBinding must be placed inside a Queue"));
    connect(m_queue, &QmlQueue::declaredNameChanged, this, &QmlQueueBinding::onQueueNameChanged);
    connect(m_queue, &QmlElement::connectionChanged, this, &QmlQueueBinding::findConnection);
}

void QmlQueueBinding::connectionOpened()
{
    if (connection() != m_boundOn) {
        m_boundOn = connection();
        m_bound = declarations()->bindings().add(this);
    }
    bind();
}

void QmlQueueBinding::connectionClosed()
{
    m_attempt = Attempt::None;
    m_made.reset();
}

void QmlQueueBinding::queueRenamed(const QString &oldName, const QString &newName)
{
    if (m_made && m_made->queue == oldName)
        m_made->queue = newName;
}

void QmlQueueBinding::connectionRecovered(const RecoveryReport &report)
{
    if (!m_made)
        return;
    const Binding made = *m_made;
    const Error failure =
        failureOf(Topology().bind(made.queue, made.exchange, made.routingKey, made.arguments), report);
    if (!failure.isError())
        return;
    m_made.reset();
    m_bound->bindings.removeAll(made);
    if (m_attempt == Attempt::None) // otherwise the element has changed during the outage
        onBound(made, failure);
}

void QmlQueueBinding::onQueueNameChanged()
{
    if (m_queue->declaredName().isEmpty()) // the queue is gone, with its bindings
        m_made.reset();
    bind();
}

Binding QmlQueueBinding::wanted() const
{
    return {m_queue ? m_queue->declaredName() : QString(), exchangeName(), m_routingKey, m_arguments};
}

void QmlQueueBinding::bind()
{
    if (!isLive() || !m_queue || m_attempt == Attempt::Waiting)
        return;
    if (m_attempt == Attempt::Sent) {
        m_hasChanged = true;
        return;
    }
    if (exchangeName().isEmpty())
        return fail(tr("A QueueBinding needs an exchange"));
    m_attempt = Attempt::Waiting;
    // The queue of declarations owns the step, so that the old binding is removed even if the element is destroyed
    // before the new binding exists.
    const auto binding = std::make_shared<Binding>();
    declarations()->add(
        DeclarationQueue::Phase::Bindings, declarations(),
        [self = QPointer(this), declarations = declarations(), bound = m_bound,
         binding](Channel *channel) -> std::optional<Reply<void>> {
            // A binding that is repeated because another call was refused is the same as when it was
            // first sent.
            if (binding->queue.isEmpty()) {
                if (!self || !self->isLive() || self->m_bound != bound)
                    return {};
                self->m_attempt = Attempt::None;
                *binding = self->wanted();
                // The queue and the exchange have reported this themselves; their declarations call
                // this again.
                if (binding->queue.isEmpty() || binding->exchange.isEmpty())
                    return {};
                if (self->m_made == *binding) // its queue has got a new name
                    return {};
                self->m_attempt = Attempt::Sent;
                self->m_hasChanged = false;
            }
            binding->queue = declarations->currentName(binding->queue);
            bound->last = *binding;
            if (!bound->bindings.contains(*binding))
                bound->bindings.append(*binding);
            return channel->bindQueue(binding->queue, binding->exchange, binding->routingKey, binding->arguments);
        },
        [self = QPointer(this), declarations = declarations(), bound = m_bound, binding](const Result<void> &result) {
            binding->queue = declarations->currentName(binding->queue);
            if (result)
                unbindOthers(declarations, self, bound, *binding);
            else
                bound->bindings.removeAll(*binding);
            if (self && self->isLive() && self->m_bound == bound)
                self->onBound(*binding, result);
        });
}

void QmlQueueBinding::onBound(const Binding &binding, const Result<void> &result)
{
    m_attempt = Attempt::None;
    if (result)
        m_made = binding;
    else
        m_made.reset();
    if (m_hasChanged)
        return bind();
    if (result)
        return setErrorString({});
    constexpr quint16 NotFound = 404;
    const Error &error = result.error();
    const QPointer<QmlQueueBinding> self(this);
    if (error.text() != errorString()) // one warning for many attempts
        fail(error.text());
    if (!self || error.replyCode() != NotFound)
        return;
    // Their elements declare them again, which leads to the next attempt.
    if (m_queue && error.text().contains(u"queue '%1'"_s.arg(binding.queue)))
        m_queue->lost(binding.queue, error);
    else if (m_exchange)
        m_exchange->lost(binding.exchange, error);
}

void QmlQueueBinding::onExchangeDeclared()
{
    if (!errorString().isEmpty())
        bind();
}

// Called when the new binding exists, so that no message is lost in between, and an auto-delete exchange is not
// deleted. The old bindings of another queue stay, as that queue does.
void QmlQueueBinding::unbindOthers(DeclarationQueue *declarations, const QPointer<QmlQueueBinding> &element,
                                   const std::shared_ptr<BoundByElement> &bound, const Binding &kept)
{
    for (const Binding &other : std::as_const(bound->bindings)) {
        if (other.queue != kept.queue || other == kept)
            continue;
        const auto current = [declarations, other] {
            Binding old = other;
            old.queue = declarations->currentName(old.queue);
            return old;
        };
        declarations->add(
            DeclarationQueue::Phase::Bindings, declarations,
            [declarations, element, bound, current](Channel *channel) -> std::optional<Reply<void>> {
                const Binding old = current();
                if (element && element->m_bound == bound && element->wanted() == old)
                    return {}; // the binding is wanted again
                if (declarations->bindings().isWantedByAnother(old, bound)) {
                    bound->bindings.removeAll(old);
                    return {};
                }
                return channel->unbindQueue(old.queue, old.exchange, old.routingKey, old.arguments);
            },
            [element, bound, current](const Result<void> &result) {
                const Binding old = current();
                if (!result) {
                    if (element)
                        element->fail(result.error().text());
                } else if (bound->last != old) { // otherwise it has been bound again
                    bound->bindings.removeAll(old);
                }
            });
    }
}

} // namespace AmqpQt
